//! Any bytes as a capture: split into connections and analysed, within small bounds, to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::analysis::{Analysis, AnalysisOptions, Connection, Sink, Turn};
use simoom_replay::flow::{Flow, FlowOptions};
use std::io::Cursor;

/// What a packed input may unpack to here.
const FRAMES_MAX: u64 = 200_000;

#[derive(Default)]
struct Told {
    frames: u64,
    nanos: u64,
}

impl Sink for Told {
    fn on_turn(&mut self, _: &Flow, turn: &Turn) {
        assert_eq!(turn.division.total(), turn.nanos);
        assert!(turn.frames.0 <= turn.frames.1);
        if !turn.is_partial {
            self.nanos = self.nanos.saturating_add(turn.nanos);
        }
    }

    fn on_connection(&mut self, connection: &Connection<'_>) {
        self.frames += connection.flow.frames_total();
        assert!(!connection.ended.verdict.reason.to_string().is_empty());
    }
}

fuzz_target!(|data: &[u8]| {
    let input = Input::new("fuzz", Cursor::new(data.to_vec()));
    let mut segments = Segments::new(Capture::new(vec![input]).expect("one input"));
    let flows = FlowOptions {
        live_max: 4,
        half_open_max: 3,
        closed_max: 2,
        // Fuzzed checksums are seldom right.
        ignore_checksums: true,
        ..FlowOptions::default()
    };
    let mut analysis = Analysis::new(AnalysisOptions { flows, only: None });
    let (mut told, mut frames) = (Told::default(), 0);
    while let Some(item) = segments.next() {
        if let Ok(item) = item {
            analysis.on_item(&item, &mut told);
            frames += 1;
        }
        if frames == FRAMES_MAX {
            break;
        }
    }
    let summary = analysis.finish(&mut told);
    let counts = &summary.counts;
    assert_eq!((counts.frames, counts.accounted()), (frames, frames));
    let others: u64 = counts.others.iter().sum();
    assert_eq!(told.frames + others + counts.fragments + counts.damaged_strays, frames);
    // Captures of many centuries reach the most that 64 bits hold in parts first.
    if told.nanos < u64::MAX {
        assert_eq!(summary.turns.sum.total(), told.nanos);
    }
});
