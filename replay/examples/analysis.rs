//! Analyses a capture, and says how long it took and what memory: for measuring and profiling.
//!
//! `cargo run --release -p simoom-replay --example make_world -- 1400000 10000 BIG.pcapng`
//! `cargo run --release -p simoom-replay --example analysis -- BIG.pcapng [read|split]`

use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::analysis::{Analysis, AnalysisOptions, Cause};
use simoom_replay::flow::{FlowOptions, FlowTable};
use std::error::Error;
use std::fs::File;
#[allow(clippy::disallowed_types, reason = "it measures")]
use std::time::Instant;

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which capture?")?;
    let upto = args.next();
    let begin = Instant::now();
    let capture = Capture::new(vec![Input::new(path.clone(), File::open(&path)?)])?;
    let mut segments = Segments::new(capture);
    let mut table = FlowTable::new(FlowOptions::default());
    let mut analysis = Analysis::new(AnalysisOptions::default());
    while let Some(item) = segments.next() {
        let item = item?;
        match upto.as_deref() {
            Some("read") => {}
            Some(_) => {
                table.on_item(&item);
                while table.poll_ended().is_some() {}
            }
            None => analysis.on_item(&item, &mut ()),
        }
    }
    let summary = analysis.finish(&mut ());
    let took = begin.elapsed();
    let frames = segments.read_stats().frames;
    let each = took.as_nanos() as u64 / frames.max(1);
    println!(
        "{frames} frames in {took:?}, {each} ns each, {} a second",
        1_000_000_000 / each.max(1)
    );
    println!("alive at once: {}", summary.counts.alive_most);
    println!("turns: {}", summary.turns.spread.count());
    for cause in Cause::ALL {
        println!("  {}: {} ns", cause.name(), summary.turns.sum.of_cause(cause));
    }
    // What Linux counted; elsewhere nothing is said.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or(""));
    Ok(())
}
