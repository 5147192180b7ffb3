//! What came of a replay, for people: at most 40 lines.

use simoom_replay::compare::pairing::{OurState, TheirState};
use simoom_replay::compare::summary::Meaningless;
use simoom_replay::compare::{Again, Class, ConnectionReport, Difference, HeadDifference, Sent};
use simoom_replay::open::OpenTotals;
use simoom_replay::open::wire::tshark_filter;
use simoom_replay::prepare::Prepared;
use simoom_sim::print::state_name;
use std::fmt::Write;
use std::fs::File;

/// Classes in the table, at most.
const CLASSES_MAX: usize = 9;

/// Differences told in full, at most: four lines each.
const EXAMPLES_MAX: usize = 3;

pub(super) fn text(
    whom: &str,
    prepared: &Prepared<File>,
    totals: &OpenTotals,
    frames: u64,
) -> String {
    let mut out = String::new();
    let summary = &totals.summary;
    let _ = writeln!(out, "{}", servers(prepared));
    let _ = writeln!(
        out,
        "{} frames: {} in {} connections, {} of no connection",
        grouped(frames),
        grouped(in_connections(prepared)),
        grouped(prepared.counts.connections()),
        grouped(frames - in_connections(prepared)),
    );
    if !prepared.left_out.is_empty() {
        let each = prepared.left_out.iter().map(|(class, n)| format!("{} {class}", grouped(*n)));
        let mut each = each.collect::<Vec<_>>().join(", ");
        if prepared.handshakes_unread > 0 {
            let _ = write!(each, " ({} with a SYN cut off)", grouped(prepared.handshakes_unread));
        }
        let _ = writeln!(out, "not replayed: {each}");
    }
    let _ = writeln!(
        out,
        "replayed as {whom}: {} connections, {} segments of their clients; {} of the captured \
         server beside {} of ours",
        grouped(summary.connections),
        grouped(totals.fed),
        grouped(totals.theirs),
        grouped(totals.ours),
    );
    let _ = writeln!(
        out,
        "the same: {} connections; {} pairs of segments, at most {} apart",
        grouped(summary.same),
        grouped(summary.compared),
        micros(summary.farthest),
    );
    if prepared.counts.damaged > 0 {
        let n = grouped(prepared.counts.damaged);
        let _ =
            writeln!(out, "{n} segments have wrong checksums: left out, as their receivers did");
    }
    if prepared.text_gaps.0 > 0 {
        let (gaps, octets) = prepared.text_gaps;
        let (gaps, octets) = (grouped(gaps), grouped(octets));
        let _ =
            writeln!(out, "the capture lacks {octets} octets of text in {gaps} places: made up");
    }
    if totals.from_files > 0 {
        let (n, heads) = (grouped(totals.from_files), grouped(totals.heads_compared));
        let _ = write!(out, "{n} connections answered from files: {heads} heads compared");
        if totals.heads_unread > 0 {
            let unread = grouped(totals.heads_unread);
            let _ = write!(out, "; {unread} answers without a captured head that can be read");
        }
        out.push('\n');
    }
    if totals.distant > 0 {
        let n = grouped(totals.distant);
        let _ = writeln!(
            out,
            "{n} connections were captured away from their server: times are its own"
        );
    }
    if totals.misfits > 0 {
        let n = grouped(totals.misfits);
        let _ = writeln!(out, "{n} connections have a SYN-ACK that none of our stacks has");
    }
    for (why, n) in Meaningless::ALL.into_iter().zip(summary.meaningless) {
        if n > 0 {
            let n = grouped(n);
            let _ = writeln!(out, "means nothing from some event on, in {n}: {}", why.text());
        }
    }
    out.push_str(&again(totals));
    let classes = summary.by_weight();
    if !classes.is_empty() {
        let heads = ["first in", "found in", "times", "for example"];
        let [first, found, times, example] = heads;
        let _ = writeln!(out, "\n{:28}{first:>10}{found:>10}{times:>10}  {example}", "difference");
        for (class, count) in classes.iter().take(CLASSES_MAX) {
            let examples: Vec<_> = count.examples.iter().map(|n| format!("#{n}")).collect();
            let [first, found, times] = [count.first_in, count.found_in, count.times].map(grouped);
            let examples = examples.join(" ");
            let class = class.to_string();
            let _ = writeln!(out, "{class:28}{first:>10}{found:>10}{times:>10}  {examples}");
        }
        if classes.len() > CLASSES_MAX {
            let _ = writeln!(out, "and {} more: see --json", classes.len() - CLASSES_MAX);
        }
    }
    let told: Vec<_> = classes
        .iter()
        .filter_map(|(class, _)| {
            // Heads are told behind whatever else came first.
            let is_it = |one: &&ConnectionReport| match (class, &one.head) {
                (Class::HttpHead, head) => head.is_some(),
                _ => one.first.is_some_and(|first| first.class == *class),
            };
            summary.kept.iter().find(is_it).map(|one| (class, one))
        })
        .take(EXAMPLES_MAX)
        .collect();
    for (class, one) in told {
        match (class, &one.head, &one.first) {
            (Class::HttpHead, Some(head), _) => out.push_str(&head_in_full(one, head)),
            (_, _, Some(first)) => out.push_str(&told_in_full(one, first)),
            _ => (),
        }
    }
    out
}

/// Who was the server, as far as handshakes tell.
pub(super) fn servers(prepared: &Prepared<File>) -> String {
    let servers = &prepared.counts.servers;
    let most = servers
        .iter()
        .max_by_key(|(addr, one)| ((one.handshakes, one.connections), std::cmp::Reverse(*addr)));
    let Some((addr, one)) = most else { return String::from("no server was found") };
    let mut out = format!("server {addr}, {} connections", grouped(one.connections));
    let others = servers.len() as u64 - 1;
    if others > 0 {
        let _ = write!(out, "; and {} others", grouped(others));
    }
    out
}

pub(super) fn in_connections(prepared: &Prepared<File>) -> u64 {
    prepared.counts.classes.iter().map(|class| class.frames).sum()
}

fn again(totals: &OpenTotals) -> String {
    let list = |counts: &[u64; Again::ALL.len()]| {
        let each = Again::ALL.into_iter().zip(counts).filter(|(_, n)| **n > 0);
        let words: Vec<_> = each.map(|(again, n)| format!("{} {again}", grouped(*n))).collect();
        if words.is_empty() { String::from("none") } else { words.join(", ") }
    };
    let summary = &totals.summary;
    format!(
        "sent again by ours: {}\nsent again by the captured server: {}\n",
        list(&summary.our_again),
        list(&summary.their_again)
    )
}

fn told_in_full(one: &ConnectionReport, first: &Difference) -> String {
    let after = first.at.saturating_sub(one.opened_at);
    format!(
        "\n#{} {} after its SYN: {}  ({})\n  captured: {}; {}\n  ours:     {}; {}\n",
        one.serial,
        micros(after),
        first.class,
        tshark_filter(one.client, one.server),
        sent(first.theirs.as_ref(), one.opened_at),
        their_state(&first.their_state),
        sent(first.ours.as_ref(), one.opened_at),
        our_state(&first.our_state),
    )
}

fn head_in_full(one: &ConnectionReport, head: &HeadDifference) -> String {
    format!(
        "\n#{}, answer {}: {}  ({})\n  captured: {}\n  ours:     {}\n",
        one.serial,
        head.answer,
        Class::HttpHead,
        tshark_filter(one.client, one.server),
        head_text(head, 1),
        head_text(head, 0),
    )
}

/// What one side says where two heads differ: 0 is ours, 1 the captured server.
pub(super) fn head_text(head: &HeadDifference, side: usize) -> String {
    let mut out = head.status[side].to_string();
    for field in &head.fields {
        let value = if side == 0 { &field.ours } else { &field.theirs };
        let _ = match value {
            Some(value) => {
                write!(out, ", {}: {}", field.name, value.replace(char::is_control, "?"))
            }
            None => write!(out, ", no {}", field.name),
        };
    }
    if head.fields_more > 0 {
        let _ = write!(out, ", and {} other fields", head.fields_more);
    }
    out
}

pub(super) fn sent(sent: Option<&Sent>, opened_at: u64) -> String {
    match sent {
        None => String::from("nothing"),
        Some(sent) => {
            let at = micros(sent.at.saturating_sub(opened_at));
            let syn = sent.kind == simoom_replay::compare::Kind::Syn;
            let options = match syn {
                true => format!(" ({})", Sent::options_text(sent.options)),
                false => String::new(),
            };
            format!("{sent}{options} at {at}")
        }
    }
}

pub(super) fn our_state(state: &OurState) -> String {
    let ssthresh = match state.ssthresh {
        u32::MAX => String::from("none"),
        bytes => bytes.to_string(),
    };
    format!(
        "{}, cwnd {}, ssthresh {ssthresh}, flight {}, window {}, srtt {}, rto {}{}",
        state_name(state.state),
        state.cwnd,
        state.flight,
        state.window,
        micros(u64::from(state.srtt_micros) * 1_000),
        micros(u64::from(state.rto_micros) * 1_000),
        if state.in_recovery { ", in fast recovery" } else { "" },
    )
}

pub(super) fn their_state(state: &TheirState) -> String {
    let told = match state.since_told {
        Some(nanos) => format!("last told something {} before", micros(nanos)),
        None => String::from("told nothing yet"),
    };
    format!(
        "flight {}, window {}, {} duplicate ACKs, {told}{}",
        state.flight,
        state.window,
        state.duplicates,
        if state.in_recovery { ", in fast recovery" } else { "" },
    )
}

/// Milliseconds with three digits, from nanoseconds.
pub(super) fn micros(nanos: u64) -> String {
    format!("{}.{:03} ms", nanos / 1_000_000, nanos / 1_000 % 1_000)
}

/// Digits in groups of three.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
