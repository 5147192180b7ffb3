//! Writes a page of made-up but plausible data, with everything that a page can show, to the file
//! named by the only argument. What `check/check.mjs` opens in a browser.
//!
//! The sawtooth of a Reno sender over a link of 48 Mb/s and 40 ms, 20,000 segments long.

use simoom_report::plots::{self, Sequence, SequenceMark};
use simoom_report::{Page, Table, write};
use std::io::BufWriter;
use std::{env, fs};

const SEGMENTS: u64 = 20_000;
const SEGMENT_BYTES: u64 = 1448;
const RATE_BYTES: f64 = 6e6;
const DELAY: f64 = 0.04;

fn main() -> std::io::Result<()> {
    let path = env::args_os().nth(1).expect("usage: sample OUT.html");
    write(&page(), BufWriter::new(fs::File::create(path)?))
}

fn page() -> Page {
    let run = Run::new();
    let (one, two): (Vec<f64>, Vec<f64>) =
        (0..400).map(|n| (0.05 + spread(n) * 0.1, 0.2 + spread(n + 400).powi(4) * 9.0)).unzip();
    Page {
        title: "One bulk transfer over a lossy link".into(),
        subtitle: "Made-up data: shows what a page looks like, and serves to check it.".into(),
        facts: [
            ("Seed", "v1:4711"),
            ("Event hash", "9f86d081884c7d659a2feaa0c55ad015"),
            ("Simulated time", "5.04 s"),
            ("Packets", "31,204"),
            ("A name & its <value>", "\"1 < 2\" && 'so on'"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
        tables: vec![table()],
        plots: vec![
            plots::time_sequence("Time and sequence: 10.66.0.1:80 to 10.66.0.2:49152", &run.marks),
            plots::goodput(&[("to 10.66.0.2:49152", &run.delivered)], 0.2),
            plots::congestion(run.cwnd, run.ssthresh),
            plots::round_trip(run.rtt, run.srtt, run.rto),
            plots::queue(&[("server to switch", &run.queue)]),
            plots::completion_times(&[("22 KB", &one), ("1 MB", &two)]),
        ],
    }
}

fn table() -> Table {
    let row = |cells: [&str; 7]| cells.map(String::from).into();
    Table {
        title: "Runs by seed".into(),
        columns: row([
            "case",
            "seed",
            "goodput (Mb/s)",
            "retransmitted",
            "timeouts",
            "done (s)",
            "ok",
        ]),
        rows: vec![
            row(["no loss", "1", "47.41", "0", "0", "4.89", "yes"]),
            row(["loss of 0.1 %", "2", "44.02", "23", "0", "5.27", "yes"]),
            row(["loss of 1 %", "3", "9.70", "211", "4", "23.90", "yes"]),
            row(["outage of two seconds, <then healed>", "4", "31.33", "64", "2", "7.40", "yes"]),
        ],
    }
}

/// The n-th of a fixed sequence of numbers, 0 to 1.
fn spread(n: u64) -> f64 {
    let mut word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (word >> 40) as f64 / (1u64 << 24) as f64
}

#[derive(Default)]
struct Run {
    marks: Vec<SequenceMark>,
    delivered: Vec<(f64, f64)>,
    cwnd: Vec<(f64, f64)>,
    ssthresh: Vec<(f64, f64)>,
    rtt: Vec<(f64, f64)>,
    srtt: Vec<(f64, f64)>,
    rto: Vec<(f64, f64)>,
    queue: Vec<(f64, f64)>,
}

impl Run {
    fn new() -> Self {
        let mut run = Self::default();
        let bytes = SEGMENT_BYTES as f64;
        let (mut now, mut cwnd, mut ssthresh, mut srtt) = (0.0, 10.0, f64::INFINITY, 2.0 * DELAY);
        for n in 0..SEGMENTS {
            // Packets beyond what the path holds wait in its queue.
            let queue = (cwnd - RATE_BYTES * 2.0 * DELAY / bytes).max(0.0);
            let rtt = 2.0 * DELAY + queue * bytes / RATE_BYTES;
            now += rtt / cwnd;
            let (from, upto) = (n * SEGMENT_BYTES, (n + 1) * SEGMENT_BYTES);
            let state = format!(
                "cwnd {:.0}, srtt {:.1} ms, {}",
                cwnd * bytes,
                srtt * 1e3,
                if cwnd < ssthresh { "slow start" } else { "congestion avoidance" }
            );
            let mut mark = |at, kind, (from, upto), note: &str| {
                run.marks.push(SequenceMark { at, kind, from, upto, note: note.into() });
            };
            let segment = (from, upto);
            mark(now, Sequence::Sent, segment, &state);
            if cwnd > 480.0 || n % 2801 == 2800 {
                mark(now + rtt / 2.0, Sequence::Lost, segment, "the link's queue was full");
                for more in 1..4 {
                    let held = (upto, upto + more * 40 * SEGMENT_BYTES);
                    let at = now + rtt * (1.0 + 0.2 * more as f64);
                    mark(at, Sequence::Sacked, held, "beyond a hole");
                }
                mark(now + rtt * 2.0, Sequence::Retransmitted, segment, "third duplicate ACK");
                ssthresh = cwnd / 2.0;
                cwnd = ssthresh;
            }
            cwnd += if cwnd < ssthresh { 1.0 } else { 1.0 / cwnd };
            srtt += (rtt - srtt) / 8.0;
            if n % 2 == 1 {
                mark(now + rtt, Sequence::Acked, segment, "");
                mark(now + rtt, Sequence::Window, (from, upto + 1_048_576), "");
                run.delivered.push((now + rtt, upto as f64));
            }
            if n % 8 == 0 {
                run.cwnd.push((now, (cwnd * bytes).floor()));
                run.ssthresh.push((now, (ssthresh * bytes).floor()));
                run.queue.push((now, (queue * bytes).floor()));
                run.rtt.push((now, rtt + spread(n) * 0.002));
                run.srtt.push((now, srtt));
                run.rto.push((now, (srtt * 1.5).max(0.2)));
            }
        }
        run.marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        run
    }
}
