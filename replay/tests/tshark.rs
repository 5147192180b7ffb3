//! Our counters beside tshark's (`testvectors/pcap/expected.tsv`), for each direction of each
//! connection of each capture. Where they disagree, `tshark-differences.tsv` says so, with the reason
//! that docs/analyze.md explains; the test holds exactly these.

use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::analysis::{Analysis, AnalysisOptions, Connection, Sink, Summary};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What is compared, by tshark's column. Of acknowledgements the direction is who sent them.
const COMPARED: [&str; 12] = [
    "frames",
    "bytes",
    "syn",
    "retransmissions",
    "fast",
    "out_of_order",
    "dup_acks",
    "sack",
    "dsack",
    "zero_window",
    "zero_window_probe",
    "keep_alive",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/pcap")
}

type Counters = BTreeMap<(u64, String), Vec<u64>>;

#[derive(Default)]
struct Ours {
    rows: Counters,
}

impl Sink for Ours {
    fn on_connection(&mut self, connection: &Connection<'_>) {
        let flow = connection.flow;
        for n in [0, 1] {
            let (own, other) =
                (&connection.directions[n].counts, &connection.directions[1 - n].counts);
            let row = vec![
                flow.frames[n],
                flow.text_bytes[n],
                flow.syns[n].map_or(0, |syn| syn.count.into()),
                own.again(),
                own.fast.into(),
                own.out_of_order.into(),
                other.duplicate_acks.into(),
                other.sack_acks.into(),
                other.dsacks.into(),
                other.zero_window_acks.into(),
                own.window_probes.into(),
                own.keep_alives.into(),
            ];
            self.rows.insert((flow.id.0, flow.ends[n].to_string()), row);
        }
    }
}

fn analyse(names: &str) -> (Ours, Summary) {
    let inputs = names
        .split('+')
        .map(|name| Input::new(name, fs::File::open(folder().join(name)).expect("a capture")));
    let mut segments = Segments::new(Capture::new(inputs.collect()).unwrap());
    let mut analysis = Analysis::new(AnalysisOptions::default());
    let mut ours = Ours::default();
    while let Some(item) = segments.next() {
        analysis.on_item(&item.expect("an undamaged capture"), &mut ours);
    }
    let summary = analysis.finish(&mut ours);
    (ours, summary)
}

/// File to (stream, sender) to counters; and the frames that are no TCP.
fn expected() -> BTreeMap<String, (Counters, u64)> {
    let text = fs::read_to_string(folder().join("expected.tsv")).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let columns: Vec<_> = lines.next().unwrap().split('\t').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let compared = COMPARED.map(at);
    let mut all: BTreeMap<String, (Counters, u64)> = BTreeMap::new();
    for line in lines {
        let cells: Vec<_> = line.split('\t').collect();
        let file = all.entry(cells[0].to_owned()).or_default();
        match cells[1].parse() {
            Ok(stream) => {
                let row = compared.iter().map(|at| cells[*at].parse().unwrap()).collect();
                file.0.insert((stream, cells[2].to_owned()), row);
            }
            Err(_) => file.1 = cells[4].parse().unwrap(),
        }
    }
    all
}

#[test]
fn counters_are_tsharks_but_where_it_is_known_why_not() {
    let mut differences = String::new();
    for (name, (theirs, others)) in expected() {
        let (ours, summary) = analyse(&name);
        let frames = theirs.values().map(|row| row[0]).sum::<u64>() + others;
        assert_eq!(summary.counts.frames, frames, "{name}");
        assert_eq!(summary.counts.accounted(), frames, "{name}");
        let mut keys: Vec<_> = theirs.keys().chain(ours.rows.keys()).collect();
        keys.sort();
        keys.dedup();
        let none = vec![0; COMPARED.len()];
        for key in keys {
            let (we, they) =
                (ours.rows.get(key).unwrap_or(&none), theirs.get(key).unwrap_or(&none));
            for (n, counter) in COMPARED.iter().enumerate() {
                if we[n] != they[n] {
                    let (stream, from) = key;
                    let (we, they) = (we[n], they[n]);
                    writeln!(differences, "{name}\t{stream}\t{from}\t{counter}\t{we}\t{they}")
                        .unwrap();
                }
            }
        }
    }
    let known = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tshark-differences.tsv"),
    )
    .unwrap_or_default();
    let known: String = known
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (difference, reason) = line.rsplit_once('\t').expect("a reason");
            assert!(!reason.is_empty());
            format!("{difference}\n")
        })
        .collect();
    assert!(known == differences, "these differ now:\n{differences}");
}
