//! Every capture in the repository is replayed: nothing panics, every frame is accounted for, and the
//! same comes out when it is done again.

#[allow(unreachable_pub, dead_code, reason = "shared by several tests")]
mod world;

use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::compare::ConnectionReport;
use simoom_replay::open::{OpenLoop, OpenOptions, OpenTotals, OurFrame, Output, Profile};
use simoom_replay::prepare::{Preparation, PrepareOptions};
use std::fmt::Write;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

/// Everything that a replay says, as text.
#[derive(Default)]
struct Said(String);

impl Output for Said {
    fn on_frame(&mut self, frame: &OurFrame<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        simoom_replay::open::wire::frame_between(frame, &mut bytes);
        let _ = writeln!(self.0, "{} {} {bytes:02x?}", frame.serial, frame.at);
        Ok(())
    }

    fn on_connection(&mut self, report: &ConnectionReport) {
        let _ = writeln!(self.0, "{report:?}");
    }
}

fn replay(bytes: &[u8], profile: &Profile) -> (String, OpenTotals, u64) {
    let input = Input::new("capture", Cursor::new(bytes.to_vec()));
    let mut segments = Segments::new(Capture::new(vec![input]).unwrap());
    let spool = || Cursor::new(Vec::new());
    let mut first = Preparation::new(PrepareOptions::default(), Vec::new(), spool(), spool());
    let mut said = Said::default();
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => first.on_item(&item).unwrap(),
            Err(error) => writeln!(said.0, "{error}").unwrap(),
        }
    }
    let (tape, mut prepared) = first.finish().unwrap();
    assert_eq!(prepared.counts.accounted(), segments.read_stats().frames);
    let replayable = prepared.scripts.count();
    let options = OpenOptions { profile: profile.clone(), wants_frames: true, files: None };
    let totals = OpenLoop::run(&tape[..], &mut prepared, &options, &mut said).unwrap();
    assert_eq!(totals.summary.connections, replayable);
    (said.0, totals, replayable)
}

fn captures(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            captures(&path, found);
        } else if name.contains(".pcap") || name.contains(".ntar") {
            found.push(path);
        }
    }
}

#[test]
fn every_capture_is_replayed_to_its_end_and_the_same_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/pcap");
    let mut paths = Vec::new();
    captures(&root, &mut paths);
    // Others, where somebody names a folder of them.
    if let Some(more) = std::env::var_os("SIMOOM_CAPTURES") {
        captures(Path::new(&more), &mut paths);
    }
    assert!(paths.len() > 20, "{paths:?}");
    let mut connections = 0;
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        for profile in [Profile::linux(), Profile::freebsd(), Profile::simoom()] {
            let (said, totals, replayable) = replay(&bytes, &profile);
            let again = replay(&bytes, &profile);
            assert_eq!(again, (said.clone(), totals.clone(), replayable), "{path:?}");
            connections += replayable;
            let name = path.file_name().unwrap().to_string_lossy();
            let classes: Vec<_> = totals
                .summary
                .by_weight()
                .into_iter()
                .map(|(class, count)| format!("{class} {}", count.first_in))
                .collect();
            // FNV-1a, to hold one build's output against another's.
            let digest = said.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            println!("{name} as {}: {digest:016x}, {replayable}, {classes:?}", profile.name);
        }
    }
    assert!(connections > 100);
}

#[test]
fn a_clock_that_leaps_by_centuries_costs_no_more_than_the_timeouts_of_a_connection() {
    // An answer whose client closes its window for good, and its last frame 200 years later.
    let mut world = world::World::new(&[60_000], 1, 1, 1);
    world.client.tcp.receive_window = 4_096;
    let mut capture = world.record();
    let word = |capture: &[u8], at: usize| {
        u32::from_le_bytes(capture[at..at + 4].try_into().unwrap()) as usize
    };
    let (mut at, mut packets) = (0, Vec::new());
    while at < capture.len() {
        if word(&capture, at) == 6 {
            packets.push(at);
        }
        at += word(&capture, at + 4);
    }
    for (number, &at) in packets.iter().enumerate() {
        if number >= packets.len() / 2 {
            // The window field of a frame to the server; the upper half of the time.
            let frame = &mut capture[at + 28..];
            if frame[36..38] == [0, 80] {
                let field = |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
                // What the field loses, the checksum gains.
                let sum = field(48) + field(50);
                let sum = (sum & 0xffff) + (sum >> 16);
                frame[48..50].fill(0);
                frame[50..52].copy_from_slice(&(sum as u16).to_be_bytes());
            }
        }
        if number + 1 == packets.len() {
            let high = word(&capture, at + 12) as u32 + 1_500_000_000;
            capture[at + 12..at + 16].copy_from_slice(&high.to_le_bytes());
        }
    }
    let profile = Profile::simoom();
    let (said, totals, replayable) = replay(&capture, &profile);
    assert_eq!(replayable, 1, "{said}");
    // Some probes, until it is given up.
    assert!(totals.summary.our_again.iter().sum::<u64>() < 30, "{totals:?}");
}
