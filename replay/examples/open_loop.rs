//! Replays a capture in the open loop, and says how long it took: for measuring and profiling.
//!
//! `cargo run --release -p simoom-replay --example open_loop -- FILE [PROFILE]`

use simoom_pcap::dissect::Checksums;
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::open::{NoOutput, OpenLoop, OpenOptions, Profile};
use simoom_replay::prepare::{Preparation, PrepareOptions};
use std::error::Error;
use std::fs::File;
use std::io::{Seek, SeekFrom};
#[allow(clippy::disallowed_types, reason = "it measures")]
use std::time::Instant;

fn spool(name: &str) -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("open-loop-{}-{name}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which capture?")?;
    let name = args.next().unwrap_or_else(|| "simoom".into());
    let profile = Profile::named(&name).ok_or("which profile?")?;
    let begin = Instant::now();
    let capture = Capture::new(vec![Input::new(path.clone(), File::open(&path)?)])?;
    let mut segments = Segments::with_checksums(capture, Checksums::Verify);
    let options = PrepareOptions::default();
    let mut first = Preparation::new(options, spool("tape")?, spool("index")?, spool("scripts")?);
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => first.on_item(&item)?,
            Err(error) => eprintln!("{error}"),
        }
    }
    let (mut tape, mut prepared) = first.finish()?;
    let prepared_at = begin.elapsed();
    tape.seek(SeekFrom::Start(0))?;
    let options = OpenOptions { profile, wants_frames: false, files: None };
    let totals = OpenLoop::run(tape, &mut prepared, &options, &mut NoOutput)?;
    let all = begin.elapsed();
    let frames = segments.read_stats().frames;
    let summary = &totals.summary;
    println!(
        "{frames} frames, {} connections replayed, {} the same, {} compared, left out {:?}",
        summary.connections, summary.same, summary.compared, prepared.left_out
    );
    println!(
        "fed {}, theirs {}, ours {}, shapes {:?}, alive {}, slots {}",
        totals.fed,
        totals.theirs,
        totals.ours,
        prepared.shapes,
        prepared.counts.alive_most,
        prepared.slots
    );
    for (class, count) in summary.by_weight() {
        println!(
            "{class}: first in {}, found in {}, {} times",
            count.first_in, count.found_in, count.times
        );
    }
    println!("meaningless {:?}, farthest {} ns", summary.meaningless, summary.farthest);
    for one in summary.kept.iter().take(5) {
        println!("{one:?}");
    }
    let nanos = |time: std::time::Duration| time.as_nanos() as u64 / frames.max(1);
    println!(
        "first pass {prepared_at:?} ({} ns a frame), all {all:?} ({} ns a frame)",
        nanos(prepared_at),
        nanos(all)
    );
    Ok(())
}
