//! Every capture of testvectors/pcap, read and dissected: frames, times and links as their tables
//! say, segments and text as tshark counted them.

use simoom_core::wire::TcpFlags;
use simoom_pcap::dissect::{ChecksumSeen, Dissected, OtherKind};
use simoom_pcap::read::{Capture, Input, LinkType, ReadStats};
use simoom_pcap::segments::{SegmentStats, Segments};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/pcap").join(name)
}

/// The rows of a table, by the names in its first line that is no comment.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = lines.next().unwrap().split('\t').map(String::from).collect();
    let rows: Vec<_> = lines
        .map(|line| names.iter().cloned().zip(line.split('\t').map(String::from)).collect())
        .collect();
    assert!(!rows.is_empty(), "{path:?}");
    rows
}

/// Several files, joined by `+`, are one capture.
fn open(folder: &Path, names: &str) -> Capture {
    let input = |name: &str| Input::new(name, File::open(folder.join(name)).unwrap());
    Capture::new(names.split('+').map(input).collect()).unwrap()
}

/// What one direction of a connection holds, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    frames: u64,
    bytes: u64,
    syn: u64,
    fin: u64,
    rst: u64,
}

/// By source and destination.
type Directions = BTreeMap<(String, String), Counts>;

#[derive(Default)]
struct Seen {
    directions: Directions,
    frames: u64,
    bad_checksums: u64,
    errors: Vec<String>,
    /// Frames before the first error.
    before_error: u64,
    times: Vec<u64>,
    stats: SegmentStats,
    read: ReadStats,
}

fn run(folder: &Path, names: &str) -> Seen {
    let mut segments = Segments::new(open(folder, names));
    let mut seen = Seen::default();
    while let Some(item) = segments.next() {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                seen.errors.push(error.to_string());
                continue;
            }
        };
        seen.frames += 1;
        seen.before_error += u64::from(seen.errors.is_empty());
        seen.times.push(item.frame.at_unix_nanos);
        if let Dissected::Segment(segment) = item.what {
            let key = (segment.src.to_string(), segment.dst.to_string());
            let counts = seen.directions.entry(key).or_default();
            counts.frames += 1;
            counts.bytes += u64::from(segment.payload_len);
            counts.syn += u64::from(segment.flags.contains(TcpFlags::SYN));
            counts.fin += u64::from(segment.flags.contains(TcpFlags::FIN));
            counts.rst += u64::from(segment.flags.contains(TcpFlags::RST));
            seen.bad_checksums += u64::from(segment.checksum == ChecksumSeen::Bad);
        }
    }
    (seen.stats, seen.read) = (segments.stats(), *segments.read_stats());
    let others: u64 = seen.stats.other.iter().sum();
    assert_eq!(seen.stats.frames, seen.frames);
    assert_eq!(seen.stats.segments + seen.stats.fragments + others, seen.frames);
    seen
}

#[test]
fn segments_and_text_are_those_that_tshark_counts() {
    let folder = folder("");
    let mut files: BTreeMap<String, (Directions, u64)> = BTreeMap::new();
    for row in table(&folder.join("expected.tsv")) {
        let number = |name: &str| row[name].parse::<u64>().unwrap();
        let (directions, no_tcp) = files.entry(row["file"].clone()).or_default();
        if row["stream"] == "-" {
            *no_tcp += number("frames");
            continue;
        }
        // A four-tuple that was used again is another stream.
        let counts = directions.entry((row["from"].clone(), row["to"].clone())).or_default();
        counts.frames += number("frames");
        counts.bytes += number("bytes");
        counts.syn += number("syn");
        counts.fin += number("fin");
        counts.rst += number("rst");
    }
    for (file, (mut directions, no_tcp)) in files {
        // Where only one direction was captured, the other has a row of zeros.
        directions.retain(|_, counts| counts.frames > 0);
        let seen = run(&folder, &file);
        assert_eq!(seen.errors, [""; 0], "{file}");
        assert_eq!(seen.directions, directions, "{file}");
        assert_eq!(seen.frames - seen.stats.segments, no_tcp, "{file}");
        assert_eq!(seen.bad_checksums, 0, "{file}");
        assert_eq!(seen.stats.other(OtherKind::BadHeader), 0, "{file}");
        let fragment = seen.stats.fragment;
        assert_eq!((fragment.incomplete, fragment.overlaps), (0, 0), "{file}");
    }
}

#[test]
fn every_capture_is_in_the_table() {
    let folder = folder("");
    let rows = table(&folder.join("expected.tsv"));
    let mut captures = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.contains(".pcap") {
            captures += 1;
            assert!(
                rows.iter().any(|row| row["file"].split('+').any(|file| file == name)),
                "{name}"
            );
        }
    }
    assert!(captures > 50, "{captures} captures");
}

#[test]
fn the_exchange_is_the_same_in_every_format() {
    let folder = folder("formats");
    for row in table(&folder.join("expected.tsv")) {
        let file = &row["file"];
        let seen = run(&folder, file);
        assert_eq!(seen.errors, [""; 0], "{file}");
        assert_eq!(seen.frames.to_string(), row["frames"], "{file}");
        assert_eq!(seen.stats.segments, seen.frames, "{file}");
        assert_eq!(seen.bad_checksums, 0, "{file}");
        // Of a frame without a time the format says nothing.
        for (at, expected) in seen.times.iter().zip(row["times_ns"].split(',')) {
            assert!(expected == "-" || at.to_string() == *expected, "{file}: {at}, not {expected}");
        }
        let link = open(&folder, file).next_frame().unwrap().unwrap().link;
        let expected = match row["link"].as_str() {
            "ethernet" => LinkType::Ethernet,
            "sll" => LinkType::LinuxSll,
            "sll2" => LinkType::LinuxSll2,
            "null" => LinkType::Null,
            "loop" => LinkType::Loop,
            "raw" | "ipv4" | "ipv6" => LinkType::RawIp,
            other => panic!("{file}: {other}"),
        };
        assert_eq!(link, expected, "{file}");
    }
}

#[test]
fn what_is_broken_gives_the_frames_before_and_says_what_is_wrong() {
    let folder = folder("broken");
    for row in table(&folder.join("expected.tsv")) {
        let (file, end) = (&row["file"], row["end"].as_str());
        let seen = run(&folder, file);
        for error in &seen.errors {
            assert!(error.starts_with(&format!("{file}: byte ")), "{error}");
        }
        match end {
            "error" => assert!(!seen.errors.is_empty(), "{file}"),
            "any" => {}
            _ => assert_eq!(seen.errors, [""; 0], "{file}"),
        }
        if end == "link" {
            assert_eq!(seen.stats.other(OtherKind::UnknownLink), seen.frames, "{file}");
        }
        if end == "clock" {
            assert!(seen.read.clock_backwards > 0, "{file}");
        }
        if let Ok(frames) = row["frames"].parse::<u64>() {
            assert_eq!(seen.before_error, frames, "{file}");
        }
    }
}
