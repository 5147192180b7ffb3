//! A stack from inside: why each segment was sent, and what its connection's state was then.

use crate::oracle::FlowName;
use simoom_core::seq::SeqNumber;
use simoom_core::stack::FlowKey;
use simoom_core::tcp::{Info, State, Why};
use simoom_core::time::{Duration, Instant};
use simoom_core::trace::Trace;
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// How much a [`Probe`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Points of one connection, at most: the first ones are kept.
    pub points_max: usize,
    /// Connections, at most: the first ones are kept.
    pub connections_max: usize,
}

impl Default for ProbeConfig {
    /// 65,536 points, about 8 MB, for each of the first 64 connections.
    fn default() -> Self {
        Self { points_max: 1 << 16, connections_max: 64 }
    }
}

/// What a [`Point`] was noted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointKind {
    /// A segment was sent, for this reason.
    Sent(Why),
    /// A segment was taken in or a timer ran out, and nothing is sent yet.
    Changed,
}

/// A connection's state at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: Instant,
    /// At what.
    pub kind: PointKind,
    /// Stream offset of the first byte that the segment carries: 0 is the first of the stream. At
    /// [`PointKind::Changed`] the first byte not acknowledged.
    pub from: u64,
    /// Stream offset behind its last byte; `from` without text. At [`PointKind::Changed`] behind
    /// the last byte sent.
    pub upto: u64,
    /// The state of RFC 9293 §3.3.2.
    pub state: State,
    /// The congestion window, in bytes.
    pub cwnd: u32,
    /// The slow start threshold, in bytes.
    pub ssthresh: u32,
    /// Bytes between SND.UNA and SND.NXT, those of the segment among them.
    pub flight: u32,
    /// The peer's window, in bytes.
    pub snd_wnd: u32,
    /// Smoothed round-trip time; zero before the first sample.
    pub srtt: Duration,
    /// Its variation.
    pub rttvar: Duration,
    /// The retransmission timeout, backoff included.
    pub rto: Duration,
    /// Whether fast recovery is under way.
    pub in_recovery: bool,
}

/// What was seen of one connection of the probed stack.
#[derive(Clone, Debug)]
pub struct ProbedConnection {
    /// From our end to the peer.
    pub name: FlowName,
    /// In the order of time, the first [`ProbeConfig::points_max`].
    pub points: Vec<Point>,
    /// Points beyond them.
    pub unrecorded: u64,
    sent: [u64; Why::ALL.len()],
    isn: SeqNumber,
    /// The highest number seen, counted from the SYN, which is 0.
    highest: u64,
}

impl ProbedConnection {
    fn new(name: FlowName, isn: SeqNumber) -> Self {
        Self { name, points: Vec::new(), unrecorded: 0, sent: [0; 9], isn, highest: 0 }
    }

    /// The sequence number of our SYN.
    pub fn isn(&self) -> SeqNumber {
        self.isn
    }

    /// Segments sent for a reason, those beyond the bound of the record among them.
    pub fn sent(&self, why: Why) -> u64 {
        self.sent[why as usize]
    }

    /// Segments sent again, for whatever reason.
    pub fn retransmissions(&self) -> u64 {
        Why::ALL.into_iter().filter(|why| why.is_retransmission()).map(|why| self.sent(why)).sum()
    }

    /// The congestion window over time: a step for every change.
    pub fn cwnd(&self) -> impl Iterator<Item = (Instant, u32)> {
        let mut before = None;
        self.points
            .iter()
            .map(|point| (point.at, point.cwnd))
            .filter(move |(_, cwnd)| before.replace(*cwnd) != Some(*cwnd))
    }

    /// The stream offset of a sequence number next to those seen before.
    fn offset(&mut self, seq: SeqNumber) -> u64 {
        let distance = seq.since(self.isn + self.highest as u32) as i32;
        let number = self.highest.saturating_add_signed(i64::from(distance));
        self.highest = self.highest.max(number);
        number.saturating_sub(1)
    }

    fn note(
        &mut self,
        at: Instant,
        kind: PointKind,
        range: (SeqNumber, u64),
        info: &Info,
        max: usize,
    ) {
        if let PointKind::Sent(why) = kind {
            self.sent[why as usize] += 1;
        }
        if self.points.len() >= max {
            self.unrecorded += 1;
            return;
        }
        let from = self.offset(range.0);
        self.points.push(Point {
            at,
            kind,
            from,
            upto: from + range.1,
            state: info.state,
            cwnd: info.cwnd,
            ssthresh: info.ssthresh,
            flight: info.flight,
            snd_wnd: info.snd_wnd,
            srtt: info.srtt,
            rttvar: info.rttvar,
            rto: info.rto,
            in_recovery: info.in_recovery,
        });
    }
}

/// An observer of one stack: for `Stack::with_trace`, `StackSetup::host_with`; every stack of a
/// [`Lab`](crate::lab::Lab) has one.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    config: ProbeConfig,
    connections: Vec<ProbedConnection>,
    /// The newest connection of each name, by the ends' addresses and ports.
    index: BTreeMap<(u64, u64), usize>,
    unprobed: u64,
    resets: u64,
}

impl Probe {
    /// A probe that keeps so much.
    pub fn new(config: ProbeConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// The connections, in the order of their SYNs.
    pub fn connections(&self) -> &[ProbedConnection] {
        &self.connections
    }

    /// Connections beyond [`ProbeConfig::connections_max`], of which nothing is kept.
    pub fn unprobed(&self) -> u64 {
        self.unprobed
    }

    /// Segments with RST that the stack has sent.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Segments of the probed connections sent for a reason.
    pub fn sent(&self, why: Why) -> u64 {
        self.connections.iter().map(|connection| connection.sent(why)).sum()
    }

    /// Segments of the probed connections sent again.
    pub fn retransmissions(&self) -> u64 {
        self.connections.iter().map(ProbedConnection::retransmissions).sum()
    }

    fn begin(&mut self, name: FlowName, isn: SeqNumber) -> Option<usize> {
        let found = self.index.get(&key(name)).copied();
        if found.is_some_and(|at| self.connections[at].isn == isn) {
            return found;
        }
        if self.connections.len() >= self.config.connections_max {
            self.unprobed += 1;
            // What follows is of a connection that is not kept.
            self.index.remove(&key(name));
            return None;
        }
        self.connections.push(ProbedConnection::new(name, isn));
        self.index.insert(key(name), self.connections.len() - 1);
        Some(self.connections.len() - 1)
    }
}

fn key(name: FlowName) -> (u64, u64) {
    let end = |end: SocketAddrV4| u64::from(end.ip().to_bits()) << 16 | u64::from(end.port());
    (end(name.from), end(name.to))
}

impl Trace for Probe {
    fn on_sent(&mut self, now: Instant, frame: &[u8], sender: Option<&Info>) {
        let Ok(Frame::Tcp(frame)) = wire::parse(frame, false) else { return };
        let tcp = &frame.tcp;
        self.resets += u64::from(tcp.flags.contains(TcpFlags::RST));
        let Some(info) = sender else { return };
        let name = FlowName {
            from: SocketAddrV4::new(frame.ip.src, tcp.src_port),
            to: SocketAddrV4::new(frame.ip.dst, tcp.dst_port),
        };
        let found = if tcp.flags.contains(TcpFlags::SYN) {
            self.begin(name, tcp.seq)
        } else {
            self.index.get(&key(name)).copied()
        };
        if let (Some(at), Some(why)) = (found, info.why) {
            let range = (tcp.seq, tcp.payload.len() as u64);
            let max = self.config.points_max;
            self.connections[at].note(now, PointKind::Sent(why), range, info, max);
        }
    }

    fn on_state(&mut self, now: Instant, connection: &FlowKey, after: &Info) {
        let name = FlowName { from: connection.local(), to: connection.remote() };
        if let Some(at) = self.index.get(&key(name)).copied() {
            let range = (after.snd_una, u64::from(after.snd_max.since(after.snd_una)));
            let max = self.config.points_max;
            self.connections[at].note(now, PointKind::Changed, range, after, max);
        }
    }
}
