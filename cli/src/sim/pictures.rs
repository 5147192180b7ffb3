//! One run in pictures: the time-sequence graph of a connection, goodput, windows, round trips,
//! queues.

use crate::human;
use simoom_core::tcp::State;
use simoom_core::time::Instant;
use simoom_report::plots::{self, Sequence, SequenceMark};
use simoom_report::{Colour, Plot, Style};
use simoom_scenarios::{Case, Observed, Pair, Probed, RunOptions, run_observed};
use simoom_sim::hash::Fate;
use simoom_sim::observe::{
    AckSeen, FlowTimeline, Point, PointKind, ProbeConfig, ProbedConnection, SegmentSeen, Timeline,
};
use std::collections::{BTreeMap, BTreeSet};

/// Connections that have a line of their own in the plot of goodput, at most.
const FLOWS_MAX: usize = 6;

/// Queues that have a line, at most: those that were the longest.
const QUEUES_MAX: usize = 6;

/// The plots of a run, and facts that say which it is.
pub(super) struct Pictures {
    pub(super) facts: Vec<(String, String)>,
    pub(super) plots: Vec<Plot>,
    /// Connections that the run has.
    pub(super) connections: usize,
}

/// One connection, in the direction in which more was sent.
struct Connection {
    /// On each link that it took, in the order in which it came there.
    links: Vec<FlowTimeline>,
    /// How many of the same name began before.
    before: usize,
}

impl Connection {
    fn bytes(&self) -> u64 {
        let sent = self.links[0].segments.iter().map(|segment| segment.upto);
        sent.max().unwrap_or(0)
    }

    fn title(&self) -> String {
        let name = self.links[0].name;
        format!("{} to {}", name.from, name.to)
    }
}

/// Makes a run, everything watched, and draws it with connection `number`, or the last where there are
/// not so many.
pub(super) fn of(run: Pair<'_>, number: u32) -> Pictures {
    let Pair { case, seed } = run;
    let options = RunOptions::new(seed);
    let probe = ProbeConfig { connections_max: 1 << 12, ..ProbeConfig::default() };
    let seen = run_observed(case, &options, probe, Timeline::default(), &mut |_| {});
    let connections = connections(seen.tap.flows());
    let index = (number as usize).min(connections.len()).saturating_sub(1);
    let mut facts = vec![
        (String::from("Run in the pictures"), format!("{}, seed {seed}", case.name)),
        (String::from("Its event hash"), seen.result.event_hash.to_string()),
    ];
    let mut plots = Vec::new();
    if let Some(connection) = connections.get(index) {
        let all = human::count(connections.len() as u64, "connection");
        let mut which = format!("{} of {all}", index + 1);
        if index + 1 < number as usize {
            which += &format!("; there is no number {number}");
        }
        facts.push((String::from("Connection in the pictures"), which));
        let probed = probed(&seen.stacks, connection);
        plots.push(time_sequence(connection, probed));
        plots.push(goodput(&connections));
        plots.extend(windows(connection, probed));
        plots.extend(round_trips(connection, probed));
    }
    plots.extend(queues(case, &seen));
    let what = format!("{}, seed {seed}.", case.name);
    for plot in &mut plots {
        plot.note =
            if plot.note.is_empty() { what.clone() } else { format!("{what} {}", plot.note) };
    }
    if seen.tap.unrecorded() > 0 {
        let what = format!("the first {} only", human::count(kept(&seen.tap), "segment"));
        facts.push((String::from("In the pictures"), what));
    }
    Pictures { facts, plots, connections: connections.len() }
}

fn kept(timeline: &Timeline) -> u64 {
    timeline.flows().iter().map(|flow| flow.segments.len() as u64).sum()
}

/// Every connection that carried text, in the order of their beginning.
fn connections(flows: Vec<FlowTimeline>) -> Vec<Connection> {
    // Flows on one link and of one name stand one behind the other; the nth on each link is one.
    let mut count = BTreeMap::new();
    let mut order = Vec::new();
    let mut found: BTreeMap<_, Connection> = BTreeMap::new();
    for flow in flows {
        let ends = (flow.name.from, flow.name.to);
        let before = count.entry((ends, flow.link)).or_insert(0_usize);
        let key = (ends, *before);
        let connection = found.entry(key).or_insert_with(|| {
            order.push(key);
            Connection { links: Vec::new(), before: *before }
        });
        connection.links.push(flow);
        *before += 1;
    }
    let mut connections = Vec::new();
    for (ends, before) in order {
        let one = found.remove(&(ends, before));
        let other = found.remove(&((ends.1, ends.0), before));
        let both = one.into_iter().chain(other);
        let most = both.max_by_key(Connection::bytes).filter(|most| most.bytes() > 0);
        connections.extend(most);
    }
    connections
}

/// What the sender of a connection noted about it, where it is a stack of ours.
fn probed<'a>(stacks: &'a [Probed], connection: &Connection) -> Option<&'a ProbedConnection> {
    let name = connection.links[0].name;
    let all = stacks.iter().flat_map(|stack| stack.probe.connections());
    all.filter(|known| known.name == name).nth(connection.before)
}

fn seconds(at: Instant) -> f64 {
    at.as_nanos() as f64 / 1e9
}

fn time_sequence(connection: &Connection, probed: Option<&ProbedConnection>) -> Plot {
    let flow = &connection.links[0];
    let mut marks = Vec::new();
    let mut notes = Notes { points: probed.map_or(&[], |probed| &probed.points), next: 0 };
    for segment in flow.segments.iter().filter(|segment| segment.upto > segment.from) {
        let SegmentSeen { from, upto, .. } = *segment;
        let mut mark = |at, kind, note| {
            marks.push(SequenceMark { at: seconds(at), kind, from, upto, note });
        };
        let kind = if segment.again { Sequence::Retransmitted } else { Sequence::Sent };
        mark(segment.sent_at, kind, notes.find(from, upto).map(describe).unwrap_or_default());
        if !segment.fate.is_arrival() {
            mark(segment.ended_at, Sequence::Lost, fate_name(segment.fate).to_owned());
        }
    }
    for ack in arrivals(flow) {
        let at = seconds(ack.ended_at);
        let mut mark = |kind, from, upto, note: &str| {
            marks.push(SequenceMark { at, kind, from, upto, note: note.to_owned() });
        };
        let again = if ack.duplicate { "a duplicate ACK" } else { "" };
        mark(Sequence::Acked, 0, ack.ack, again);
        mark(Sequence::Window, 0, ack.edge, "");
        for (from, upto) in &ack.sack {
            mark(Sequence::Sacked, *from, *upto, "");
        }
    }
    marks.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut plot =
        plots::time_sequence(&format!("Time and sequence: {}", connection.title()), &marks);
    plot.note =
        String::from("As its sender saw it; drag to zoom, point at a mark for what it was.");
    plot
}

/// ACKs that reached the sender, in the order of their arrival.
fn arrivals(flow: &FlowTimeline) -> Vec<&AckSeen> {
    let mut acks: Vec<_> = flow.acks.iter().filter(|ack| ack.fate.is_arrival()).collect();
    acks.sort_by_key(|ack| ack.ended_at);
    acks
}

/// What a sender noted, in the order of what it sent.
struct Notes<'a> {
    points: &'a [Point],
    next: usize,
}

impl<'a> Notes<'a> {
    /// Points that a search looks at, at most: a segment that the sender could not queue leaves one.
    const SEARCH_MAX: usize = 64;

    fn find(&mut self, from: u64, upto: u64) -> Option<&'a Point> {
        let sent = |(_, point): &(usize, &Point)| matches!(point.kind, PointKind::Sent(_));
        let (at, point) = (self.next..)
            .zip(self.points.get(self.next..)?)
            .filter(sent)
            .take(Self::SEARCH_MAX)
            .find(|(_, point)| (point.from, point.upto) == (from, upto))?;
        self.next = at + 1;
        Some(point)
    }
}

fn describe(point: &Point) -> String {
    let why = match point.kind {
        PointKind::Sent(why) => format!("{why}\n"),
        PointKind::Changed => String::new(),
    };
    let ssthresh = match point.ssthresh {
        u32::MAX => String::from("none"),
        bytes => bytes.to_string(),
    };
    let millis = |time: simoom_core::time::Duration| time.as_nanos() as f64 / 1e6;
    let established = point.state == State::Established;
    let state = if established { String::new() } else { format!("{:?}, ", point.state) };
    format!(
        "{why}{state}cwnd {}, ssthresh {ssthresh}, flight {}\nsrtt {:.3} ms, rto {:.3} ms{}",
        point.cwnd,
        point.flight,
        millis(point.srtt),
        millis(point.rto),
        if point.in_recovery { ", in fast recovery" } else { "" }
    )
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Lost => "lost by the link",
        Fate::QueueFull => "the queue was full",
        Fate::QueueManaged => "dropped by the queue's management",
        Fate::LinkDown => "the link was down",
        Fate::TooLong => "too long for the link",
        Fate::RingFull => "the receive ring was full",
        Fate::Arrived | Fate::ArrivedAgain | Fate::ArrivedDamaged | Fate::ArrivedForged => {
            "arrived"
        }
    }
}

/// (time, bytes in order so far) at the end of the last link.
fn delivered(connection: &Connection) -> Vec<(f64, f64)> {
    let flow = connection.links.last().expect("it took a link");
    let is_right = |segment: &&SegmentSeen| {
        segment.fate.is_arrival()
            && segment.fate != Fate::ArrivedDamaged
            && segment.upto > segment.from
    };
    let mut segments: Vec<_> = flow.segments.iter().filter(is_right).collect();
    segments.sort_by_key(|segment| segment.ended_at);
    let (mut whole, mut waiting) = (0, BTreeMap::new());
    let mut sums = vec![(flow.segments.first().map_or(0.0, |first| seconds(first.sent_at)), 0.0)];
    for segment in segments {
        let end = waiting.entry(segment.from).or_insert(segment.upto);
        *end = segment.upto.max(*end);
        let before = whole;
        while let Some(first) = waiting.first_entry().filter(|first| *first.key() <= whole) {
            whole = whole.max(first.remove());
        }
        if whole > before {
            sums.push((seconds(segment.ended_at), whole as f64));
        }
    }
    sums
}

/// Of all connections together, and of those that got the most.
fn goodput(connections: &[Connection]) -> Plot {
    let each: Vec<_> = connections.iter().map(delivered).collect();
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for sums in &each {
        steps.extend(sums.windows(2).map(|pair| (pair[1].0, pair[1].1 - pair[0].1)));
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let begin = each.iter().filter_map(|sums| sums.first()).map(|first| first.0);
    let begin = begin.fold(f64::INFINITY, f64::min);
    let mut all = vec![(begin, 0.0)];
    for (at, bytes) in steps {
        let sum = all.last().map_or(0.0, |last| last.1);
        all.push((at, sum + bytes));
    }
    let end = all.last().map_or(begin, |last| last.0);
    let mut most: Vec<usize> = (0..connections.len()).collect();
    most.sort_by_key(|n| std::cmp::Reverse(connections[*n].bytes()));
    most.truncate(FLOWS_MAX);
    most.sort_unstable();
    let together = format!("all {} together", connections.len());
    let names: Vec<String> = most.iter().map(|n| connections[*n].title()).collect();
    let mut flows: Vec<(&str, &[(f64, f64)])> = Vec::new();
    if connections.len() > 1 {
        flows.push((&together, &all));
    }
    flows.extend(names.iter().zip(&most).map(|(name, n)| (name.as_str(), each[*n].as_slice())));
    plots::goodput(&flows, round((end - begin) / 40.0))
}

/// The next of 1, 2 and 5 times a power of ten.
fn round(window: f64) -> f64 {
    if window.is_nan() || window <= 1e-6 {
        return 1e-6;
    }
    let decades = (-6..9).map(|power| format!("1e{power}").parse::<f64>().unwrap_or(1.0));
    let mut steps = decades.flat_map(|unit| [unit, 2.0 * unit, 5.0 * unit]);
    steps.find(|step| *step >= window).unwrap_or(window)
}

fn windows(connection: &Connection, probed: Option<&ProbedConnection>) -> Option<Plot> {
    let points = &probed?.points;
    let cwnd = points.iter().map(|point| (seconds(point.at), f64::from(point.cwnd))).collect();
    let ssthresh = points.iter().map(|point| {
        // Before the first loss there is none.
        let bytes = point.ssthresh;
        (seconds(point.at), if bytes == u32::MAX { f64::INFINITY } else { f64::from(bytes) })
    });
    let mut plot = plots::congestion(cwnd, ssthresh.collect());
    // Nothing of it would be drawn where nothing was ever lost.
    plot.series.retain(|series| series.points.iter().any(|(_, bytes)| bytes.is_finite()));
    let flight = points.iter().map(|point| (seconds(point.at), f64::from(point.flight))).collect();
    let mut flight = plots::steps("flight", flight);
    (flight.colour, flight.style) = (Colour::Grey, Style::Steps);
    plot.series.insert(0, flight);
    plot.note = connection.title();
    Some(plot)
}

fn round_trips(connection: &Connection, probed: Option<&ProbedConnection>) -> Option<Plot> {
    let samples = samples(&connection.links[0]);
    let empty = Vec::new();
    let points = probed.map_or(&empty, |probed| &probed.points);
    let known = || points.iter().filter(|point| point.srtt.as_nanos() > 0);
    let series = |of: fn(&Point) -> simoom_core::time::Duration| -> Vec<(f64, f64)> {
        known().map(|point| (seconds(point.at), of(point).as_nanos() as f64 / 1e9)).collect()
    };
    let plot = plots::round_trip(samples, series(|p| p.srtt), series(|p| p.rto));
    if plot.series.is_empty() {
        return None;
    }
    Some(Plot { note: connection.title(), ..plot })
}

/// From a segment's sending to the arrival of its ACK; none that was sent twice (Karn).
fn samples(flow: &FlowTimeline) -> Vec<(f64, f64)> {
    let again: BTreeSet<u64> =
        flow.segments.iter().filter(|segment| segment.again).map(|segment| segment.from).collect();
    let once = flow.segments.iter().filter(|s| s.upto > s.from && !s.again);
    let by_end: BTreeMap<u64, &SegmentSeen> =
        once.filter(|s| s.fate != Fate::ArrivedAgain).map(|s| (s.upto, s)).collect();
    let (mut acked, mut samples) = (0, Vec::new());
    for ack in arrivals(flow) {
        if ack.ack <= acked {
            continue;
        }
        if let Some((_, newest)) = by_end.range(acked + 1..=ack.ack).next_back()
            && !again.contains(&newest.from)
        {
            let time = ack.ended_at.saturating_since(newest.sent_at);
            samples.push((seconds(ack.ended_at), time.as_nanos() as f64 / 1e9));
        }
        acked = ack.ack;
    }
    samples
}

fn queues(case: &Case, seen: &Observed<Timeline>) -> Option<Plot> {
    let names: Vec<&str> = case.links().collect();
    let mut queues: Vec<_> = seen.tap.queues().iter().collect();
    let longest = |queue: &&simoom_sim::observe::QueueTimeline| {
        queue.depths.iter().map(|depth| depth.bytes).max().unwrap_or(0)
    };
    queues.sort_by_key(|queue| std::cmp::Reverse(longest(queue)));
    queues.truncate(QUEUES_MAX);
    queues.sort_by_key(|queue| (queue.link, queue.direction));
    let shown: Vec<(String, Vec<(f64, f64)>)> = queues
        .into_iter()
        .map(|queue| {
            let link = usize::from(queue.link);
            let [from, to] = &seen.ends[link];
            let (from, to) = if queue.direction == 0 { (from, to) } else { (to, from) };
            let name = format!("{}: {from} to {to}", names[link]);
            let depths = queue.depths.iter();
            (name, depths.map(|depth| (seconds(depth.at), depth.bytes as f64)).collect())
        })
        .collect();
    let links: Vec<(&str, &[(f64, f64)])> =
        shown.iter().map(|(name, points)| (name.as_str(), points.as_slice())).collect();
    (!links.is_empty()).then(|| plots::queue(&links))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_goodput_are_round() {
        for (window, rounded) in
            [(0.0, 1e-6), (0.0011, 0.002), (0.05, 0.05), (0.3, 0.5), (7.0, 10.0)]
        {
            assert!((round(window) - rounded).abs() < 1e-12, "{window}");
        }
    }
}
