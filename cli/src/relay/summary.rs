//! What a relay did: a table for people, an object for scripts.

use super::{Args, Crossing, Relay};
use crate::human;
use serde_json::{Value, json};
use simoom_core::time::{Duration, Instant};
use simoom_linux::tap::TapStats;
use simoom_sim::link::LinkStats;
use simoom_sim::world::Direction;
use std::fmt::Write;

/// The results.
pub(super) struct Summary {
    time: Duration,
    under_way: u64,
    ways: [Way; 2],
    devices: [TapStats; 2],
}

/// One direction.
struct Way {
    crossing: Crossing,
    link: LinkStats,
}

impl Summary {
    pub(super) fn of(relay: &Relay) -> Self {
        let way = |direction: Direction| Way {
            crossing: relay.crossings[direction as usize],
            link: *relay.world.link_stats(relay.link, direction),
        };
        let ways = [way(Direction::Forward), way(Direction::Backward)];
        Self {
            time: relay.clock.now() - Instant::ZERO,
            under_way: super::under_way(&relay.world, relay.link),
            ways,
            devices: relay.ports.each_ref().map(|port| *port.stats()),
        }
    }

    /// What was lost outside of the link: by the relay itself or by a device that refused it.
    fn dropped(&self, from: usize) -> u64 {
        let crossing = &self.ways[from].crossing;
        crossing.refused + crossing.too_long + self.devices[1 - from].tx_errors
    }

    /// What was lost since the device that was to get it was down.
    fn down(&self, from: usize) -> u64 {
        self.devices[1 - from].tx_link_down
    }

    pub(super) fn json(&self, args: &Args) -> String {
        let way = |from: usize| -> Value {
            let Way { crossing, link } = &self.ways[from];
            json!({
                "frames_in": crossing.read,
                "bytes_in": crossing.read_bytes,
                "frames_out": crossing.written,
                "bytes_out": crossing.written_bytes,
                "lost": link.lost,
                "queue_full": link.queue_full,
                "queue_managed": link.queue_managed,
                "too_long": link.too_long,
                "link_down": link.link_down,
                "damaged": link.damaged,
                "reordered": link.reordered,
                "duplicated": link.duplicated,
                "device_down": self.down(from),
                "dropped_outside": self.dropped(from),
                "late_mean_us": mean_micros(crossing),
                "late_max_us": crossing.late_max.as_nanos() as f64 / 1e3,
            })
        };
        let object = json!({
            "a": args.a.to_string(),
            "b": args.b.to_string(),
            "link": args.link.display().to_string(),
            "seed": args.seed.to_string(),
            "seconds": self.time.as_nanos() as f64 / 1e9,
            "under_way": self.under_way,
            "forward": way(0),
            "backward": way(1),
        });
        format!("{object:#}\n")
    }

    pub(super) fn table(&self, args: &Args) -> String {
        let mut out = String::new();
        let names = [format!("{} to {}", args.a, args.b), format!("{} to {}", args.b, args.a)];
        let widths = names.each_ref().map(|name| name.len().max(10));
        let row = |out: &mut String, what: &str, cells: [String; 2]| {
            let [one, other] = &cells;
            let (w0, w1) = (widths[0], widths[1]);
            let _ = writeln!(out, "{what:<22}  {one:>w0$}  {other:>w1$}");
        };
        row(&mut out, "", names.clone());
        type Count = fn(&Way) -> u64;
        let counts: [(&str, Count); 10] = [
            ("frames in", |way| way.crossing.read),
            ("lost", |way| way.link.lost),
            ("dropped, queue full", |way| way.link.queue_full),
            ("dropped, queue managed", |way| way.link.queue_managed),
            ("dropped, too long", |way| way.link.too_long),
            ("dropped, link down", |way| way.link.link_down),
            ("damaged", |way| way.link.damaged),
            ("reordered", |way| way.link.reordered),
            ("doubled", |way| way.link.duplicated),
            ("frames out", |way| way.crossing.written),
        ];
        for (what, count) in counts {
            row(&mut out, what, self.ways.each_ref().map(|way| count(way).to_string()));
        }
        let bytes = self.ways.each_ref().map(|way| human::bytes(way.crossing.written_bytes));
        row(&mut out, "bytes out", bytes);
        for (what, counts) in [
            ("lost, device down", [0, 1].map(|from| self.down(from))),
            ("dropped outside", [0, 1].map(|from| self.dropped(from))),
        ] {
            if counts != [0, 0] {
                row(&mut out, what, counts.map(|n| n.to_string()));
            }
        }
        let late = self.ways.each_ref().map(|Way { crossing, .. }| {
            format!("{:.0} / {}", mean_micros(crossing), crossing.late_max.as_nanos() / 1_000)
        });
        row(&mut out, "late by µs, mean / max", late);
        let _ = writeln!(
            out,
            "{:.3} seconds, {} under way at the end, seed {}",
            self.time.as_nanos() as f64 / 1e9,
            human::count(self.under_way, "frame"),
            args.seed
        );
        out
    }
}

/// How late frames were in the mean.
fn mean_micros(crossing: &Crossing) -> f64 {
    crossing.late.as_nanos() as f64 / 1e3 / crossing.written.max(1) as f64
}
