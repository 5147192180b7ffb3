//! How evenly the shards of a port were used. Pure: counters in, lines out.

use super::summary::Snapshot;
use crate::human;
use std::fmt::Write;

type Measure = fn(&Snapshot) -> u64;

/// What shards are compared by.
const MEASURES: [(&str, Measure); 3] = [
    ("requests", |s| s.requests),
    ("frames", |s| s.frames_in + s.frames_out),
    ("bytes", |s| s.bytes_out),
];

/// The totals of several shards with the share of each, and the largest over the mean.
pub(super) fn table(what: &str, shards: &[(&str, Snapshot)]) -> String {
    let sum = Snapshot::sum(shards.iter().map(|(_, one)| *one));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{what}: {} requests, {} frames in, {} out ({}) by {}",
        sum.requests,
        sum.frames_in,
        sum.frames_out,
        human::bytes(sum.bytes_out),
        human::count(shards.len() as u64, "shard"),
    );
    for (name, one) in shards {
        let shares = MEASURES
            .map(|(measure, of)| format!("{:>5.1} % of {measure}", percent(of(one), of(&sum))));
        let _ = writeln!(out, "  {}  {name}", shares.join("  "));
    }
    let worst =
        MEASURES.map(|(measure, of)| format!("{:.2} of {measure}", largest_over_mean(shards, of)));
    let _ = writeln!(out, "  largest over mean: {}", worst.join(", "));
    out
}

/// The same in the words that end a line of `--stats`: of a bounded length, however many shards.
pub(super) fn short(shards: &[(&str, Snapshot)]) -> String {
    let requests = |s: &Snapshot| s.requests;
    let busiest = shards.iter().max_by_key(|(_, one)| one.requests);
    let sum = shards.iter().map(|(_, one)| one.requests).sum();
    match busiest {
        Some((name, one)) if sum > 0 => format!(
            "; most by {name}: {:.1} % of requests, {:.2} times the mean",
            percent(one.requests, sum),
            largest_over_mean(shards, requests)
        ),
        _ => String::new(),
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// 1 where all did the same, the number of shards where one did all; 0 where nothing was done.
fn largest_over_mean(shards: &[(&str, Snapshot)], of: impl Fn(&Snapshot) -> u64) -> f64 {
    let sum: u64 = shards.iter().map(|(_, one)| of(one)).sum();
    let largest = shards.iter().map(|(_, one)| of(one)).max().unwrap_or(0);
    percent(largest, sum) / 100.0 * shards.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(requests: u64, frames: u64, bytes_out: u64) -> Snapshot {
        Snapshot {
            requests,
            frames_in: frames,
            frames_out: frames,
            bytes_out,
            ..Snapshot::default()
        }
    }

    #[test]
    fn shares_and_the_largest_over_the_mean_are_told_for_each_measure() {
        let shards = [("netmap:eth0-0", did(300, 100, 0)), ("netmap:eth0-1", did(100, 100, 5_000))];
        assert_eq!(
            table("netmap:eth0", &shards),
            "\
netmap:eth0: 400 requests, 200 frames in, 200 out (5.0 KB) by 2 shards
   75.0 % of requests   50.0 % of frames    0.0 % of bytes  netmap:eth0-0
   25.0 % of requests   50.0 % of frames  100.0 % of bytes  netmap:eth0-1
  largest over mean: 1.50 of requests, 1.00 of frames, 2.00 of bytes
"
        );
    }

    #[test]
    fn shards_that_did_nothing_are_no_division_by_zero() {
        let shards = [("a", did(0, 0, 0)), ("b", did(0, 0, 0))];
        let said = table("both", &shards);
        assert!(said.contains("0.0 % of requests") && said.contains("0.00 of bytes"), "{said}");
        assert_eq!(short(&shards), "");
    }

    #[test]
    fn end_of_a_line_names_the_busiest_however_many_there_are() {
        let names: Vec<_> = (0..64).map(|n| format!("ring {n}")).collect();
        let shards: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), did(if name == "ring 7" { 64 } else { 0 }, 1, 1)))
            .collect();
        assert_eq!(short(&shards), "; most by ring 7: 100.0 % of requests, 64.00 times the mean");
    }
}
