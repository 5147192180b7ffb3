//! `--report`: the page, with the time-sequence graphs of both servers over each other.

use super::text::{
    grouped, head_text, in_connections, micros, our_state, sent, servers, their_state,
};
use simoom_replay::compare::pairing::Side;
use simoom_replay::compare::summary::Meaningless;
use simoom_replay::compare::{Again, Class, Kind, Sent};
use simoom_replay::open::{Mark, OpenTotals};
use simoom_replay::prepare::Prepared;
use simoom_report::{Axis, Colour, Page, Plot, Series, Style, Table};
use std::fs::File;

/// Rows of the table of connections, at most.
const ROWS_MAX: usize = 50;

/// What there is to show.
pub(super) struct Shown<'a> {
    pub(super) whom: &'a str,
    pub(super) prepared: &'a Prepared<File>,
    pub(super) totals: &'a OpenTotals,
    pub(super) frames: u64,
}

pub(super) fn build(shown: &Shown<'_>, drawn: Option<u32>, marks: &[Mark]) -> Page {
    let Shown { whom, prepared, totals, frames } = *shown;
    let summary = &totals.summary;
    let facts = [
        ("Capture", servers(prepared)),
        (
            "Frames",
            format!("{}, {} in connections", grouped(frames), grouped(in_connections(prepared))),
        ),
        ("Replayed as", whom.to_owned()),
        ("Connections replayed", grouped(summary.connections)),
        ("The same", grouped(summary.same)),
        ("Pairs of segments", grouped(summary.compared)),
        ("At most apart", micros(summary.farthest)),
    ];
    let mut facts: Vec<_> = facts.map(|(name, value)| (name.to_owned(), value)).into();
    for (why, n) in Meaningless::ALL.into_iter().zip(summary.meaningless) {
        if n > 0 {
            facts.push((
                String::from("Means nothing from some event on"),
                format!("{}: {}", grouped(n), why.text()),
            ));
        }
    }
    let mut page = Page {
        title: String::from("Replay"),
        subtitle: String::from(
            "The captured clients against our stack, beside the server that was captured.",
        ),
        facts,
        tables: tables(shown),
        plots: Vec::new(),
    };
    if !marks.is_empty() {
        page.plots.push(time_sequence(drawn.unwrap_or(0), marks));
    }
    page
}

fn tables(shown: &Shown<'_>) -> Vec<Table> {
    let summary = &shown.totals.summary;
    let mut tables = Vec::new();
    let rows = summary.by_weight().into_iter().map(|(class, count)| {
        let examples: Vec<_> = count.examples.iter().map(|n| format!("#{n}")).collect();
        vec![
            class.to_string(),
            count.first_in.to_string(),
            count.found_in.to_string(),
            count.times.to_string(),
            examples.join(" "),
        ]
    });
    let columns = ["difference", "first in", "found in", "times", "for example"];
    tables.push(table("Differences", &columns, rows.collect()));
    let rows = Again::ALL.into_iter().enumerate().map(|(n, again)| {
        let [ours, theirs] = [summary.our_again[n], summary.their_again[n]];
        vec![again.to_string(), theirs.to_string(), ours.to_string()]
    });
    let rows = rows.filter(|row| row[1] != "0" || row[2] != "0").collect();
    tables.push(table("Sent again", &["reason", "captured", "ours"], rows));
    let rows = summary.kept.iter().take(ROWS_MAX).map(|one| {
        let first = one.parting.as_ref().or(one.first.as_ref());
        let at = first.map_or(0, |first| first.at.saturating_sub(one.opened_at));
        let both = |sent: String, state: String| format!("{sent}; {state}");
        let captured = first
            .map(|f| both(sent(f.theirs.as_ref(), one.opened_at), their_state(&f.their_state)));
        let ours =
            first.map(|f| both(sent(f.ours.as_ref(), one.opened_at), our_state(&f.our_state)));
        let head = one.head.as_ref().filter(|_| first.is_some_and(|f| f.class == Class::HttpHead));
        let [ours, captured] = match head {
            Some(head) => [0, 1].map(|side| Some(head_text(head, side))),
            None => [ours, captured],
        };
        vec![
            format!("#{}", one.serial),
            first.map_or(String::new(), |first| first.class.to_string()),
            micros(at),
            captured.unwrap_or_default(),
            ours.unwrap_or_default(),
            one.meaningless
                .map_or(String::new(), |(why, frame, _)| format!("frame {frame}: {}", why.text())),
        ]
    });
    let columns = [
        "connection",
        "difference that counts",
        "after its SYN",
        "captured; inferred",
        "ours; true",
        "means nothing from",
    ];
    let title = match summary.kept.len() as u64 + summary.not_kept {
        n if n > ROWS_MAX as u64 => format!("The first {ROWS_MAX} of {n} connections that differ"),
        _ => String::from("Connections that differ"),
    };
    tables.push(table(&title, &columns, rows.collect()));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn table(title: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    Table { title: title.to_owned(), columns, rows }
}

/// Both servers' segments, and what the client acknowledged.
fn time_sequence(drawn: u32, marks: &[Mark]) -> Plot {
    let start = marks.iter().map(time_of).min().unwrap_or(0);
    let seconds = |at: u64| at.saturating_sub(start) as f64 / 1e9;
    let series = |name: &str, style, colour| Series {
        name: name.to_owned(),
        style,
        colour,
        ..Series::default()
    };
    let mut edge = series("client's window", Style::Bound, Colour::Grey);
    let mut acked = series("acked by the client", Style::Steps, Colour::Green);
    let mut bars = [
        series("captured", Style::Bars, Colour::Blue),
        series("ours", Style::Bars, Colour::Orange),
        series("captured, again", Style::Bars, Colour::Red),
        series("ours, again", Style::Bars, Colour::Purple),
    ];
    for mark in marks {
        match mark {
            Mark::Acked { at, acked: upto, edge: beyond } => {
                for (series, upto) in [(&mut acked, *upto), (&mut edge, *beyond)] {
                    let name = &series.name;
                    let hover = format!("{name} at {:.6} s\nup to {upto}", seconds(*at));
                    series.points.push((seconds(*at), upto as f64));
                    series.hover.push(hover);
                }
            }
            Mark::Sent(side, sent) if sent.len > 0 => {
                let again = matches!(sent.kind, Kind::Again(_));
                let at = usize::from(*side == Side::Ours) + 2 * usize::from(again);
                push(&mut bars[at], seconds(sent.at), sent);
            }
            Mark::Sent(..) => (),
        }
    }
    let series = [edge, acked].into_iter().chain(bars);
    Plot {
        title: format!("Time and sequence: connection #{drawn}"),
        note: String::from(
            "What the captured server sent and what ours did, with the same client; drag to zoom, \
             point at a mark for what it was.",
        ),
        x: Axis { label: String::from("time (s)"), ..Axis::default() },
        y: Axis { label: String::from("stream (bytes)"), from_zero: true, ..Axis::default() },
        zooms_with: String::from("time"),
        series: series.filter(|series| !series.points.is_empty()).collect(),
    }
}

fn push(series: &mut Series, at: f64, sent: &Sent) {
    series.points.push((at, sent.from as f64));
    series.upto.push(sent.upto() as f64);
    let frame = if sent.frame > 0 { format!(", frame {}", sent.frame) } else { String::new() };
    series.hover.push(format!("{} at {at:.6} s{frame}\n{sent}", series.name));
}

fn time_of(mark: &Mark) -> u64 {
    match mark {
        Mark::Sent(_, sent) => sent.at,
        Mark::Acked { at, .. } => *at,
    }
}
