//! How fast captures are read and dissected: frames and bytes a second, and what the frames were.
//!
//! ```sh
//! cargo run --release -p simoom-pcap --example read_speed -- FILE...            # - is standard input
//! cargo run --release -p simoom-pcap --example read_speed -- --no-checksums FILE...
//! ```
//!
//! `make_capture` beside it makes a large one.

#![allow(clippy::disallowed_methods, reason = "measures wall-clock time")]

use simoom_pcap::dissect::{Checksums, Dissected, OtherKind};
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use std::error::Error;
use std::fs::File;
use std::io;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let is_checked = args.first().is_none_or(|arg| arg != "--no-checksums");
    if !is_checked {
        args.remove(0);
    }
    let inputs = args.iter().map(|name| open(name)).collect::<io::Result<_>>()?;
    let sums = if is_checked { Checksums::Verify } else { Checksums::Ignore };
    let mut segments = Segments::with_checksums(Capture::new(inputs)?, sums);

    let begin = Instant::now();
    let (mut text, mut at) = (0u64, None);
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => {
                let (first, _) = at.unwrap_or((item.frame.at_unix_nanos, 0));
                at = Some((first, item.frame.at_unix_nanos));
                if let Dissected::Segment(segment) = item.what {
                    text += u64::from(segment.payload_len);
                }
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    let seconds = begin.elapsed().as_secs_f64();

    let (read, stats) = (segments.read_stats(), segments.stats());
    let (frames, bytes) = (read.frames as f64, read.frame_bytes as f64);
    println!("{:.2} million frames/s, {:.0} MB/s", frames / seconds / 1e6, bytes / seconds / 1e6);
    println!("{} frames, {} TCP, {} fragments", stats.frames, stats.segments, stats.fragments);
    for kind in OtherKind::ALL.into_iter().filter(|kind| stats.other(*kind) > 0) {
        println!("{} {}", stats.other(kind), kind.name());
    }
    println!("{text} bytes of text");
    if let Some((first, last)) = at {
        println!("from {first} to {last}");
    }
    println!("{read:?}");
    println!("{:?}", stats.fragment);
    Ok(())
}

fn open(name: &str) -> io::Result<Input> {
    Ok(match name {
        "-" => Input::new("standard input", io::stdin()),
        path => Input::new(path, File::open(path)?),
    })
}
