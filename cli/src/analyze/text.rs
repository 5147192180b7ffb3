//! The answer on one screen: at most [`LINES_MAX`] lines of at most [`COLUMNS_MAX`] columns.

use super::Read;
use super::number::{bytes, date, grouped, ms, percent, seconds};
use simoom_pcap::dissect::OtherKind;
use simoom_replay::analysis::find::{Case, Finding};
use simoom_replay::analysis::{Cause, Division, SendCounts, Summary, Vantage};
use simoom_replay::flow::{Class, Found};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Lines at most: a screen.
#[cfg(test)]
pub(super) const LINES_MAX: usize = 40;

/// Columns at most.
pub(super) const COLUMNS_MAX: usize = 100;

/// Findings shown.
pub(super) const FINDINGS_MAX: usize = 3;

/// A finding on the screen took at least one such part of all time.
const FINDING_PART: u64 = 1000;

/// Connections named with a finding, the first of them with all there is to say.
const NAMED_MAX: usize = 4;

/// The whole screen.
pub(super) fn screen(summary: &Summary, read: &Read, inputs: usize) -> String {
    let mut out = String::new();
    out += &fitted(&format!("{}.", servers(summary)));
    out += &fitted(&format!("{}.", capitalised(&vantage(summary))));
    out += &fitted(&capture_line(summary, read, inputs));
    let classes = classes(summary);
    wrapped(&mut out, "connections", &classes, 4);
    let others = others(summary);
    if !others.is_empty() {
        wrapped(&mut out, "frames besides", &others, 2);
    }
    out.push('\n');
    divisions(&mut out, summary);
    out.push('\n');
    findings(&mut out, summary, inputs);
    out.push('\n');
    counters(&mut out, summary);
    out
}

/// Which server, how it was found, and where the capture was made.
pub(super) fn server_line(summary: &Summary) -> String {
    format!("{}; {}", servers(summary), vantage(summary))
}

fn servers(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut servers: Vec<_> = counts.servers.iter().collect();
    servers.sort_by_key(|(_, count)| std::cmp::Reverse(count.connections));
    servers.retain(|(_, count)| count.connections > 0);
    let Some((first, _)) = servers.first() else {
        return String::from("No server: no connection beyond a SYN");
    };
    let more = servers.len() as u64 - 1 + counts.servers_unlisted;
    let names = match more {
        0 => format!("Server {first}"),
        1 => format!("Servers {first} and {}", servers.get(1).map_or(**first, |(it, _)| **it)),
        n => format!("Servers {first} and {} more", grouped(n)),
    };
    let of = |found: Found| counts.found[found as usize];
    let by_handshake = of(Found::Syn) + of(Found::SynAck);
    let guessed = [
        (Found::Known, "other connections"),
        (Found::WellKnownPort, "well-known port"),
        (Found::LowerPort, "lower port"),
        (Found::MoreBytes, "bytes sent"),
        (Found::FirstFrame, "first frame"),
    ];
    let mut how = Vec::new();
    if of(Found::Asked) > 0 {
        how.push(String::from("as asked"));
    } else if by_handshake > 0 {
        how.push(format!("by {}", counted(by_handshake, "handshake")));
    }
    let guessed = guessed.into_iter().filter(|(found, _)| of(*found) > 0);
    how.extend(guessed.map(|(found, name)| format!("by {name} {}", grouped(of(found)))));
    format!("{names}, found {}", how.join(", "))
}

fn vantage(summary: &Summary) -> String {
    let medians = match (summary.to_server.quantile(500), summary.to_client.quantile(500)) {
        (Some(server), Some(client)) => {
            format!(": {} ms to it and back, {} ms to the client and back", ms(server), ms(client))
        }
        _ => String::new(),
    };
    match summary.vantage() {
        Vantage::Server => format!("captured at the server{medians}"),
        Vantage::Client => format!("captured at the client{medians}"),
        Vantage::Between => format!("captured between both{medians}"),
        Vantage::Unknown => String::from("captured where no handshake tells"),
    }
}

fn capture_line(summary: &Summary, read: &Read, inputs: usize) -> String {
    let frames = counted(summary.counts.frames, "frame");
    let mut line = match inputs {
        1 => frames,
        n => format!("{n} files, {frames}"),
    };
    let _ = write!(line, ", {} on the wire", bytes(summary.wire_bytes));
    if let Some((first, last)) = summary.span {
        let _ = write!(line, ", {}, {} s long", date(first), seconds(last - first));
    }
    for (n, what) in [
        (read.stats.clock_backwards, "back in time"),
        (read.stats.cut_frames, "cut"),
        (summary.counts.copies, "captured twice"),
        (summary.counts.damaged, "damaged"),
    ] {
        if n > 0 {
            let _ = write!(line, ", {} {what}", grouped(n));
        }
    }
    line
}

fn classes(summary: &Summary) -> Vec<String> {
    let counts = &summary.counts;
    let total = counts.connections();
    let mut all = vec![grouped(total)];
    let classes = Class::ALL.iter().rev().filter(|class| counts.class(**class).connections > 0);
    all.extend(classes.map(|class| {
        let count = counts.class(*class);
        format!("{} {class} ({})", grouped(count.connections), counted(count.frames, "frame"))
    }));
    if summary.connections < total {
        all.push(format!("{} wanted", grouped(summary.connections)));
    }
    all
}

fn others(summary: &Summary) -> Vec<String> {
    let counts = &summary.counts;
    let kinds = OtherKind::ALL.iter().zip(counts.others).filter(|(_, n)| *n > 0);
    let mut all: Vec<_> = kinds.map(|(kind, n)| format!("{} {kind}", grouped(n))).collect();
    for (n, what) in [
        (counts.fragments, "parts of datagrams"),
        (counts.damaged_strays, "damaged and of no connection"),
    ] {
        if n > 0 {
            all.push(format!("{} {what}", grouped(n)));
        }
    }
    all
}

/// The table of causes over median, slowest and all turns.
fn divisions(out: &mut String, summary: &Summary) {
    let turns = &summary.turns;
    let count = turns.spread.count();
    let mut line = counted(count, "turn");
    if count == 0 {
        line = String::from("No turn of a server whose beginning was captured");
    }
    for (per_mille, name) in [(500, "median"), (950, "p95"), (990, "p99"), (1000, "longest")] {
        if let Some(nanos) = turns.spread.quantile(per_mille) {
            let nanos =
                if per_mille == 1000 { turns.spread.most().unwrap_or(nanos) } else { nanos };
            let _ = write!(line, ", {name} {} ms", ms(nanos));
        }
    }
    for (n, what) in [
        (turns.unanswered, "unanswered"),
        (turns.unfinished, "unfinished"),
        (turns.partial, "without their beginning"),
    ] {
        if n > 0 {
            let _ = write!(line, ", {} {what}", grouped(n));
        }
    }
    *out += &fitted(&line);
    if count == 0 {
        return;
    }
    let median = turns.spread.at(500).unwrap_or_default();
    let slow = turns.spread.from(990).unwrap_or_default();
    let _ = writeln!(
        out,
        "  {:<19}{:>16}{:>16}{:>16}{:>19}",
        "where it went", "median turns", "p99 and slower", "all turns", "all turns (ms)"
    );
    let part = |division: &Division, cause| percent(division.of_cause(cause), division.total());
    for cause in Cause::ALL {
        let _ = writeln!(
            out,
            "  {:<19}{:>14} %{:>14} %{:>14} %{:>19}",
            cause.title(),
            part(&median.with, cause),
            part(&slow.with, cause),
            part(&turns.sum, cause),
            ms(turns.sum.of_cause(cause)),
        );
    }
}

fn findings(out: &mut String, summary: &Summary, inputs: usize) {
    let total = summary.turns.sum.total();
    let mut worst = summary.findings.worst();
    worst.retain(|finding| finding.nanos.saturating_mul(FINDING_PART) >= total);
    if worst.is_empty() {
        out.push_str("No findings.\n");
    }
    for (n, finding) in worst.into_iter().take(FINDINGS_MAX).enumerate() {
        *out += &fitted(&format!("{}. {}", n + 1, title(finding, summary)));
        *out += &fitted(&format!("   {}", named(&finding.cases)));
        if let Some(case) = finding.cases.first() {
            for line in filter_lines(&filter(case, inputs)) {
                let _ = writeln!(out, "   {line}");
            }
        }
    }
}

/// A finding with its cost.
pub(super) fn title(finding: &Finding, summary: &Summary) -> String {
    format!(
        "{}: {} ms in {} ({} % of all time)",
        finding.wait.finding().unwrap_or(finding.wait.name()),
        ms(finding.nanos),
        counted(finding.turns, "turn"),
        percent(finding.nanos, summary.turns.sum.total())
    )
}

fn named(cases: &[Case]) -> String {
    let mut line = String::new();
    for (n, case) in cases.iter().take(NAMED_MAX).enumerate() {
        let cost = ms(case.nanos);
        let (flow, client, turn) = (case.flow.0, case.client, case.turn);
        let _ = match n {
            0 => write!(line, "worst: #{flow} {client} turn {turn}: {cost} ms"),
            _ => write!(line, "; #{flow}: {cost} ms"),
        };
    }
    line
}

/// A display filter of Wireshark that finds the frames of a case: of one file by their numbers, of
/// several merged ones by their time.
pub(super) fn filter(case: &Case, inputs: usize) -> String {
    let client = end_filter(case.client);
    let server = format!("tcp.port=={}", case.server.port());
    let (first, last) = case.frames;
    let which = match inputs {
        1 => format!("frame.number in {{{first}..{last}}}"),
        _ => {
            let (from, upto) = (case.began_at, case.began_at.saturating_add(case.turn_nanos));
            let at = |nanos: u64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            format!("frame.time_epoch>={}&&frame.time_epoch<={}", at(from), at(upto))
        }
    };
    format!("{client}&&{server}&&{which}")
}

fn end_filter(end: SocketAddr) -> String {
    match end.ip() {
        IpAddr::V4(ip) => format!("ip.addr=={ip}&&tcp.port=={}", end.port()),
        IpAddr::V6(ip) => format!("ipv6.addr=={ip}&&tcp.port=={}", end.port()),
    }
}

/// A filter as one types it, on two lines where it is long.
fn filter_lines(filter: &str) -> Vec<String> {
    let whole = format!("tshark -Y '{filter}'");
    if whole.len() + 3 <= COLUMNS_MAX {
        return vec![whole];
    }
    let middle = whole[..COLUMNS_MAX - 3].rfind("&&").map_or(whole.len(), |at| at + 2);
    let (first, rest) = whole.split_at(middle);
    vec![first.to_owned(), format!("  {rest}")]
}

fn counters(out: &mut String, summary: &Summary) {
    for (n, who) in [(1, "server"), (0, "client")] {
        *out += &fitted(&sent_again(who, &summary.directions[n]));
    }
    let server = &summary.directions[1];
    let mut line = format!(
        "Out of order {}, duplicate ACKs {}, D-SACKs {}, window closed {} times for {} ms, probes {}",
        grouped(u64::from(summary.directions[0].out_of_order) + u64::from(server.out_of_order)),
        grouped(u64::from(server.duplicate_acks)),
        grouped(u64::from(server.dsacks)),
        grouped(u64::from(server.zero_windows)),
        ms(server.zero_window_nanos),
        grouped(u64::from(server.window_probes)),
    );
    if server.keep_alives > 0 {
        let _ = write!(line, ", keep-alives {}", grouped(u64::from(server.keep_alives)));
    }
    *out += &fitted(&line);
    let spreads = [
        ("to the client by timestamps", &summary.by_timestamps[1]),
        ("to the client by sequence", &summary.by_sequence[1]),
        ("to the server by sequence", &summary.by_sequence[0]),
        ("handshakes", &summary.handshakes),
    ];
    let shown: Vec<_> = spreads
        .into_iter()
        .filter_map(|(name, spread)| {
            let (median, p99) = (spread.quantile(500)?, spread.quantile(990)?);
            Some(format!("{name} {} to {}", ms(median), ms(p99)))
        })
        .collect();
    if !shown.is_empty() {
        wrapped(out, "round trips, median to p99 (ms)", &shown, 2);
    }
}

fn sent_again(who: &str, counts: &SendCounts) -> String {
    let mut line = format!(
        "The {who} sent {} of {} again",
        grouped(counts.again()),
        counted(counts.segments, "segment"),
    );
    let kinds = [
        (counts.fast, "fast"),
        (counts.rto, "RTO"),
        (counts.rto_tail, "of these tail loss"),
        (counts.after_rto, "after RTO"),
        (counts.tail_probes, "probe"),
        (counts.syn, "SYN"),
        (counts.fin, "FIN"),
        (counts.unclear, "unclear"),
        (counts.spurious, "needless"),
    ];
    let shown: Vec<_> = kinds
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| format!("{} {name}", grouped(n.into())))
        .collect();
    if !shown.is_empty() {
        line = format!("{line}: {}", shown.join(", "));
    }
    line
}

/// `1 frame`, `1,234 frames`.
pub(super) fn counted(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(n)) }
}

/// A line, cut where it is too long.
fn fitted(line: &str) -> String {
    if line.chars().count() <= COLUMNS_MAX {
        return format!("{line}\n");
    }
    let cut: String = line.chars().take(COLUMNS_MAX - 3).collect();
    format!("{cut}...\n")
}

/// A list behind its name on as many lines as it takes, at most `most`; the last one is cut.
fn wrapped(out: &mut String, name: &str, parts: &[String], most: usize) {
    let mut lines = vec![format!("{name}:")];
    for (n, part) in parts.iter().enumerate() {
        let comma = if n + 1 < parts.len() { "," } else { "" };
        let many = lines.len();
        let last = &mut lines[many - 1];
        if last.chars().count() + part.chars().count() + 2 > COLUMNS_MAX && many < most {
            lines.push(format!("  {part}{comma}"));
        } else {
            let _ = write!(last, " {part}{comma}");
        }
    }
    for line in lines {
        *out += &fitted(&capitalised(&line));
    }
}

fn capitalised(line: &str) -> String {
    let mut chars = line.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_replay::flow::FlowId;

    #[test]
    fn the_screen_of_nothing_is_short() {
        let read = Read { stats: Default::default(), segments: Default::default() };
        let text = screen(&Summary::default(), &read, 1);
        assert!(text.starts_with("No server"), "{text}");
        assert!(text.lines().count() <= LINES_MAX);
    }

    #[test]
    fn the_longest_filter_takes_two_lines() {
        let end = |port: u16| {
            let ip = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
            SocketAddr::new(IpAddr::V6(ip), port)
        };
        let case = Case {
            flow: FlowId(u64::MAX),
            client: end(65_535),
            server: end(65_534),
            turn: u32::MAX,
            nanos: u64::MAX,
            frames: (u64::MAX, u64::MAX),
            began_at: 1_700_000_000_000_000_001,
            turn_nanos: 1,
        };
        for inputs in [1, 2] {
            let lines = filter_lines(&filter(&case, inputs));
            assert!(lines.len() <= 2 && lines.iter().all(|line| line.len() + 3 <= COLUMNS_MAX));
        }
        assert!(fitted(&named(&[case; 8])).chars().count() <= COLUMNS_MAX + 1);
    }

    #[test]
    fn lists_are_wrapped_and_cut() {
        let mut out = String::new();
        wrapped(&mut out, "all", &vec![String::from("0123456789"); 60], 3);
        assert_eq!(out.lines().count(), 3);
        assert!(out.lines().all(|line| line.chars().count() <= COLUMNS_MAX));
        assert!(out.ends_with("...\n"));
    }
}
