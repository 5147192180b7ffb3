//! `--report`: the same as a page, with pictures.

use super::Read;
use super::marks::{DRAWN_MAX, Marks};
use super::number::{bit_rate, bytes, date, grouped, ms, percent, seconds};
use super::text::{counted, filter, server_line, title};
use simoom_pcap::dissect::OtherKind;
use simoom_replay::analysis::spread::{Nothing, Spread};
use simoom_replay::analysis::{Cause, Division, Summary, Wait};
use simoom_replay::flow::{Class, FlowId};
use simoom_report::{Axis, Colour, Page, Plot, Series, Style, Table, plots};

/// Turns with a bar each.
const BARS_MAX: usize = 100;

/// Connections worth drawing: the worst of each finding on the screen, and then the slowest.
pub(super) fn worth_drawing(summary: &Summary) -> Vec<FlowId> {
    let mut ids = Vec::new();
    let worst = summary.findings.worst();
    let worst = worst.iter().take(3).filter_map(|finding| finding.cases.first());
    let slowest = summary.turns.slowest.iter().map(|turn| turn.flow);
    for id in worst.map(|case| case.flow).chain(slowest) {
        if !ids.contains(&id) && ids.len() < DRAWN_MAX.min(4) {
            ids.push(id);
        }
    }
    ids
}

/// The page.
pub(super) fn build(summary: &Summary, read: &Read, names: &[String], marks: &Marks) -> Page {
    let mut page = Page {
        title: String::from("Where the time of the server's answers went"),
        subtitle: format!("{}.", server_line(summary)),
        facts: facts(summary, read, names),
        tables: vec![causes(summary), findings(summary, names.len()), waits(summary)],
        plots: Vec::new(),
    };
    page.tables.push(classes(summary));
    page.tables.push(slowest(summary));
    page.plots.extend(bars(summary));
    page.plots.extend(spreads(summary));
    for drawn in &marks.drawn {
        let mut plot = plots::time_sequence(&drawn.title, &drawn.marks);
        plot.note = String::from(
            "The server's bytes over time since the connection's first frame; \
             point at a mark for its frame.",
        );
        if drawn.left_out > 0 {
            plot.note += &format!(" {} later frames are not drawn.", grouped(drawn.left_out));
        }
        // Each has a time of its own.
        plot.zooms_with = format!("connection {}", drawn.id.0);
        page.plots.push(plot);
    }
    page
}

fn facts(summary: &Summary, read: &Read, names: &[String]) -> Vec<(String, String)> {
    let mut facts = vec![("Capture", names.join(", "))];
    facts.push(("Frames", grouped(summary.counts.frames)));
    facts.push(("On the wire", bytes(summary.wire_bytes)));
    if let Some((first, last)) = summary.span {
        facts.push(("Begins", date(first)));
        facts.push(("Takes", format!("{} s", seconds(last - first))));
    }
    facts.push(("Connections", grouped(summary.counts.connections())));
    if summary.connections < summary.counts.connections() {
        facts.push(("Of these analysed", grouped(summary.connections)));
    }
    facts.push(("Turns", grouped(summary.turns.spread.count())));
    for (n, name) in [
        (read.stats.clock_backwards, "Frames back in time"),
        (read.stats.cut_frames, "Frames cut"),
        (summary.counts.copies, "Frames captured twice"),
        (summary.counts.damaged, "Segments damaged"),
    ] {
        if n > 0 {
            facts.push((name, grouped(n)));
        }
    }
    let (first, last) = summary.span.unwrap_or_default();
    let nanos = u128::from(last - first);
    let bits = u128::from(summary.wire_bytes) * 8_000_000_000;
    if let Some(rate) = bits.checked_div(nanos) {
        facts.push(("Mean rate", bit_rate(rate.min(u64::MAX.into()) as u64)));
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn strings<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(String::from).to_vec()
}

fn causes(summary: &Summary) -> Table {
    let turns = &summary.turns;
    let median = turns.spread.at(500).unwrap_or_default();
    let slow = turns.spread.from(990).unwrap_or_default();
    let part = |division: &Division, cause| {
        format!("{} %", percent(division.of_cause(cause), division.total()))
    };
    let rows = Cause::ALL.iter().map(|cause| {
        vec![
            cause.title().to_owned(),
            part(&median.with, *cause),
            part(&slow.with, *cause),
            part(&turns.sum, *cause),
            ms(turns.sum.of_cause(*cause)),
        ]
    });
    Table {
        title: String::from("Where the time went"),
        columns: strings(["", "median turns", "p99 and slower", "all turns", "all turns (ms)"]),
        rows: rows.collect(),
    }
}

fn findings(summary: &Summary, inputs: usize) -> Table {
    let rows = summary.findings.worst().into_iter().flat_map(|finding| {
        finding.cases.iter().take(3).enumerate().map(move |(n, case)| {
            let what = if n == 0 { title(finding, summary) } else { String::new() };
            vec![
                what,
                format!("#{} turn {}", case.flow.0, case.turn),
                ms(case.nanos),
                filter(case, inputs),
            ]
        })
    });
    Table {
        title: String::from("Findings, what cost most first"),
        columns: strings(["what", "worst", "ms", "display filter"]),
        rows: rows.collect(),
    }
}

fn waits(summary: &Summary) -> Table {
    let total = summary.turns.sum.total();
    let rows = Wait::ALL.iter().map(|wait| summary.findings.of(*wait)).filter(|f| f.nanos > 0);
    let rows = rows.map(|finding| {
        vec![
            finding.wait.name().replace('_', " "),
            finding.wait.cause().title().to_owned(),
            grouped(finding.turns),
            ms(finding.nanos),
            format!("{} %", percent(finding.nanos, total)),
        ]
    });
    Table {
        title: String::from("Every kind of wait"),
        columns: strings(["wait", "counts to", "turns", "ms", "of all time"]),
        rows: rows.collect(),
    }
}

fn classes(summary: &Summary) -> Table {
    let counts = &summary.counts;
    let mut rows: Vec<_> = Class::ALL
        .iter()
        .rev()
        .map(|class| (class.to_string(), counts.class(*class)))
        .filter(|(_, count)| count.connections > 0)
        .map(|(name, count)| vec![name, grouped(count.connections), grouped(count.frames)])
        .collect();
    let others = OtherKind::ALL.iter().zip(counts.others);
    let others = others.map(|(kind, n)| (kind.to_string(), n));
    let rest = [
        (String::from("part of a datagram"), counts.fragments),
        (String::from("damaged, of no connection"), counts.damaged_strays),
    ];
    let rest = others.chain(rest).filter(|(_, n)| *n > 0);
    rows.extend(rest.map(|(name, n)| vec![name, String::from("-"), grouped(n)]));
    Table {
        title: String::from("Where every frame went"),
        columns: strings(["class", "connections", "frames"]),
        rows,
    }
}

fn slowest(summary: &Summary) -> Table {
    let rows = summary.turns.slowest.iter().take(20).map(|of| {
        let most = Cause::ALL.iter().max_by_key(|cause| of.turn.division.of_cause(**cause));
        let most = most.expect("there are causes");
        let part = of.turn.division.of_cause(*most);
        vec![
            format!("#{} turn {}", of.flow.0, of.turn.number),
            of.client.to_string(),
            date(of.turn.began_at),
            ms(of.turn.nanos),
            bytes(of.turn.answer_bytes),
            format!("{} {} %", most.title(), percent(part, of.turn.nanos)),
        ]
    });
    Table {
        title: String::from("The slowest turns"),
        columns: strings(["turn", "client", "began", "ms", "answer", "mostly"]),
        rows: rows.collect(),
    }
}

/// Causes as they are drawn: as many as there are colours that can be told apart.
const DRAWN: [(&str, Colour, &[Cause]); 7] = [
    ("handshake, client and path", Colour::Grey, &[Cause::Handshake, Cause::Client]),
    ("application", Colour::Blue, &[Cause::Application]),
    ("congestion window", Colour::Sky, &[Cause::CongestionWindow]),
    ("receiver window", Colour::Green, &[Cause::ReceiverWindow]),
    ("fast recovery", Colour::Orange, &[Cause::FastRecovery]),
    ("RTO", Colour::Red, &[Cause::Rto]),
    ("pacing and unknown", Colour::Purple, &[Cause::Pacing, Cause::Unknown]),
];

/// A bar for each of the slowest turns, cut by cause.
fn bars(summary: &Summary) -> Option<Plot> {
    let turns = &summary.turns.slowest;
    let shown = &turns[..turns.len().min(BARS_MAX)];
    let series = DRAWN.iter().enumerate().map(|(n, (name, colour, causes))| {
        let mut series = Series {
            name: (*name).to_owned(),
            style: Style::Bars,
            colour: *colour,
            ..Series::default()
        };
        for (rank, of) in shown.iter().enumerate() {
            let division = &of.turn.division;
            let sum = |causes: &[Cause]| -> u64 {
                causes.iter().map(|cause| division.of_cause(*cause)).sum()
            };
            let below: u64 = DRAWN[..n].iter().map(|(.., causes)| sum(causes)).sum();
            let own = sum(causes);
            if own > 0 {
                series.points.push((rank as f64 + 1.0, below as f64 / 1e6));
                series.upto.push((below + own) as f64 / 1e6);
                let parts = division.parts().map(|(wait, nanos)| {
                    format!("\n{} {} ms", wait.name().replace('_', " "), ms(nanos))
                });
                series.hover.push(format!(
                    "#{} turn {}: {} ms, {} answered{}",
                    of.flow.0,
                    of.turn.number,
                    ms(of.turn.nanos),
                    bytes(of.turn.answer_bytes),
                    parts.collect::<String>()
                ));
            }
        }
        series
    });
    let series: Vec<_> = series.filter(|series| !series.points.is_empty()).collect();
    (!series.is_empty()).then(|| Plot {
        title: String::from("The slowest turns, each a bar"),
        note: format!(
            "{} of {}; point at a part for all of a turn's waits.",
            counted(shown.len() as u64, "turn"),
            grouped(summary.turns.spread.count())
        ),
        x: Axis { label: String::from("rank, the slowest first"), ..Axis::default() },
        y: Axis { label: String::from("time (ms)"), from_zero: true, ..Axis::default() },
        series,
        ..Plot::default()
    })
}

/// How many values are at or below each, from buckets.
fn cumulative<T: Copy + Default + std::ops::AddAssign>(
    name: &str,
    spread: &Spread<T>,
) -> Option<Series> {
    let total = spread.count();
    if total == 0 {
        return None;
    }
    let mut series = Series { name: name.to_owned(), style: Style::Steps, ..Series::default() };
    let mut below = 0;
    series.points.push((spread.least()?.max(1000) as f64 / 1e6, 0.0));
    for (_, next, bucket) in spread.buckets() {
        below += bucket.count;
        let upto = next.min(spread.most()?).max(1000);
        series.points.push((upto as f64 / 1e6, below as f64 / total as f64));
    }
    Some(series)
}

/// Whether values lie so far apart that a linear scale would hide the small ones.
fn is_wide(series: &[Series]) -> bool {
    let values = || series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
    values().fold(0.0, f64::max) >= 30.0 * values().fold(f64::INFINITY, f64::min)
}

fn spreads(summary: &Summary) -> Vec<Plot> {
    let plot = |title: &str, note: &str, series: Vec<Option<Series>>| {
        let series: Vec<_> = series.into_iter().flatten().collect();
        (!series.is_empty()).then(|| Plot {
            title: title.to_owned(),
            note: note.to_owned(),
            x: Axis { label: String::from("time (ms)"), log: is_wide(&series), ..Axis::default() },
            y: Axis { label: String::from("part of all"), from_zero: true, ..Axis::default() },
            series,
            ..Plot::default()
        })
    };
    let rtts: [(&str, &Spread<Nothing>); 5] = [
        ("to the client, by timestamps", &summary.by_timestamps[1]),
        ("to the client, by sequence", &summary.by_sequence[1]),
        ("to the server, by timestamps", &summary.by_timestamps[0]),
        ("to the server, by sequence", &summary.by_sequence[0]),
        ("handshakes", &summary.handshakes),
    ];
    let turns = vec![cumulative("turns", &summary.turns.spread)];
    let rtts = rtts.into_iter().map(|(name, spread)| cumulative(name, spread)).collect();
    [
        plot("How long turns took", "How many of all took a time or less.", turns),
        plot("Round trips", "From the capture to an end and back.", rtts),
    ]
    .into_iter()
    .flatten()
    .collect()
}
