//! Where the time of a server's answers went, from a capture of its connections.
//!
//! One pass over the segments, without allocation for each, and with memory that depends on how
//! many connections are alive at once, not on the capture's length. Knows no protocol above TCP, and
//! prints nothing.
//!
//! # Rules
//!
//! A turn's time is cut at every frame in which its server sends. What lies between two of them is
//! given to the first rule that fits. Windows and acknowledgements are those that the server knew
//! when it sent: where the capture is not at the server, those that had passed the capture one *lag*
//! before, the time from the capture to the server and back (`acks`).
//!
//! | wait | rule | counts to |
//! |---|---|---|
//! | `handshake_lost` | until the last repetition of SYN or SYN-ACK | handshake |
//! | `handshake` | from there to the client's acknowledgement | handshake |
//! | `asking` | handshake to the first byte of the first request | client |
//! | `request_lost` | until a part of the request was sent again that the server had not acknowledged | client |
//! | `not_reading` | between two parts of the request, the server's window closed | application |
//! | `upload` | between two other parts of the request | client |
//! | `path` | last byte of the request to first byte of the answer: the lag | client |
//! | `think` | the rest of it; or until the connection was given up | application |
//! | `rto_tail` | until a retransmission of the first outstanding byte after silence, no duplicate ACK and no SACK before it | RTO |
//! | `rto_again` | the same, of what had been sent again before | RTO |
//! | `rto_few_signs` | the same, after signs that were too few | RTO |
//! | `rto_repair` | until other segments, sent before what the RTO found outstanding was acknowledged | RTO |
//! | `tail_probe` | until a retransmission of the last segment after silence that is shorter than an RTO, or while earlier ones are outstanding | RTO |
//! | `fast_recovery` | until a retransmission after duplicate ACKs or SACK; until other segments, before that was acknowledged | fast recovery |
//! | `window_zero` | the client's window was closed, or the segment probes it | receiver window |
//! | `window_full` | the client's window had no room for a full segment | receiver window |
//! | `missing` | bytes in front of the segment were not captured | unknown |
//! | `nagle` | a short segment behind a short one, sent at the acknowledgement of all, less than two segments outstanding | application |
//! | `slow_start` | sent at an acknowledgement, to a larger flight than ever since a loss | congestion window |
//! | `congestion` | sent at another acknowledgement | congestion window |
//! | `back_to_back` | 30 µs or less behind the segment before | unknown |
//! | `pause` | nothing was outstanding; or the segment before was short, so that there was no more to send; or more had been in flight before | application |
//! | `pacing` | the fourth and further distances in a row that differ by less than half, each shorter than half a round trip; seen elsewhere than at the server they are `spread` | pacing, or unknown |
//! | `last_ack` | last segment of the answer to the acknowledgement of its last byte | client |
//! | `unclear` | anything else | unknown |
//!
//! "At an acknowledgement" means within an eighth of a round trip after it, at least 0.1 ms and at
//! most 2 ms. A silence is a timer's from one and a half round trips on.
//!
//! Read in this order: [`Analysis`], `turns` (the rules), `conn`, `sender` (what was sent again, and
//! why), `acks`, [`cause`], [`find`], [`spread`].

mod acks;
pub mod cause;
mod conn;
pub mod find;
mod rtt;
mod sender;
pub mod spread;
mod summary;
mod turns;

pub use cause::{Cause, Division, Wait};
pub use conn::{Handshake, Vantage};
pub use rtt::Times;
pub use sender::SendCounts;
pub use summary::{SLOWEST_MAX, Summary, TurnOf, TurnTotals};
pub use turns::{Longest, Turn, TurnEnd};

use crate::flow::{Ended, Flow, FlowId, FlowOptions, FlowTable, Placed};
use conn::Conn;
use simoom_pcap::dissect::{Dissected, Segment};
use simoom_pcap::segments::Item;
use std::collections::BTreeSet;

/// Connections kept for their memory after they ended, at most.
const SPARE_MAX: usize = 1024;

/// What is analysed.
#[derive(Clone, Debug, Default)]
pub struct AnalysisOptions {
    /// Bounds and filters of the connections.
    pub flows: FlowOptions,
    /// Only these connections, where given.
    pub only: Option<BTreeSet<FlowId>>,
}

/// One direction of a connection that is over.
#[derive(Clone, Copy, Debug)]
pub struct Direction {
    /// What was counted.
    pub counts: SendCounts,
    /// Round trips between the capture and the receiver by timestamps.
    pub by_timestamps: Times,
    /// The same by sequence numbers, with Karn's rule.
    pub by_sequence: Times,
    /// Median, 95th percentile and 99th, of timestamps where there are any, else of sequence
    /// numbers: nanoseconds, within 10 %.
    pub rtt_quantiles: Option<[u64; 3]>,
    /// Bytes of text in a full segment.
    pub mss: u32,
}

/// A connection that is over.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Addresses, frames, streams.
    pub flow: &'a Flow,
    /// Class, reason and ending.
    pub ended: Ended,
    /// How it was opened.
    pub handshake: Handshake,
    /// What each side sent, the client's first.
    pub directions: [Direction; 2],
    /// Turns.
    pub turns: u32,
    /// Where the time of all turns went.
    pub division: Division,
    /// The slowest turn, in nanoseconds.
    pub slowest_nanos: u64,
    /// Time between turns, in nanoseconds.
    pub idle_nanos: u64,
}

impl Connection<'_> {
    /// First frame to last, in nanoseconds.
    pub fn nanos(&self) -> u64 {
        self.flow.last_at - self.flow.opened_at
    }

    /// Bytes of text that the client acknowledged, in bits a second of the connection's life.
    pub fn goodput(&self) -> u64 {
        let acked = self.flow.streams[1].acked().max(0) as u64;
        bits_a_second(acked.min(self.directions[1].counts.bytes), self.nanos())
    }

    /// Bytes on the wire from the server, in bits a second of the turns' time.
    pub fn throughput(&self) -> u64 {
        bits_a_second(self.flow.wire_bytes[1], self.division.total())
    }
}

fn bits_a_second(bytes: u64, nanos: u64) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000_000_000;
    bits.checked_div(u128::from(nanos)).map_or(0, |bits| bits.min(u64::MAX.into()) as u64)
}

/// Who hears of each turn and connection as it ends. All by default does nothing.
pub trait Sink {
    /// A turn ended.
    fn on_turn(&mut self, flow: &Flow, turn: &Turn) {
        let _ = (flow, turn);
    }

    /// A connection that is wanted is over; its turns have been told.
    fn on_connection(&mut self, connection: &Connection<'_>) {
        let _ = connection;
    }

    /// A segment of a connection that is wanted, before its effects.
    fn on_segment(&mut self, item: &Item<'_>, segment: &Segment<'_>, placed: &Placed, flow: &Flow) {
        let _ = (item, segment, placed, flow);
    }
}

/// Nobody.
impl Sink for () {}

/// The analysis of a capture.
#[derive(Debug)]
pub struct Analysis {
    table: FlowTable,
    only: Option<BTreeSet<FlowId>>,
    /// By place in the table; none for what had only a SYN so far.
    conns: Vec<Option<Box<Conn>>>,
    #[expect(clippy::vec_box, reason = "what is spared is the allocation")]
    spare: Vec<Box<Conn>>,
    summary: Summary,
}

impl Analysis {
    /// One before the first frame.
    pub fn new(options: AnalysisOptions) -> Self {
        Self {
            table: FlowTable::new(options.flows),
            only: options.only,
            conns: Vec::new(),
            spare: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Takes the next frame of the capture.
    pub fn on_item(&mut self, item: &Item<'_>, sink: &mut impl Sink) {
        let placed = self.table.on_item(item);
        self.summary.on_frame(item);
        if let (Dissected::Segment(segment), Some(placed)) = (&item.what, placed) {
            self.on_placed(item, segment, &placed, sink);
        }
        while let Some(ended) = self.table.poll_ended() {
            self.on_ended(ended, sink);
        }
    }

    fn on_placed(
        &mut self,
        item: &Item<'_>,
        segment: &Segment<'_>,
        placed: &Placed,
        sink: &mut impl Sink,
    ) {
        let is_passed_over = placed.is_copy || placed.is_damaged || !placed.is_wanted;
        if is_passed_over || self.only.as_ref().is_some_and(|only| !only.contains(&placed.flow)) {
            return;
        }
        let flow = self.table.flow(placed.slot);
        sink.on_segment(item, segment, placed, flow);
        if placed.slot >= self.conns.len() {
            self.conns.resize_with(self.table.slots(), || None);
        }
        let slot = &mut self.conns[placed.slot];
        let conn = match slot {
            Some(conn) => conn,
            // A flood of SYNs costs no more than its places in the table.
            None if flow.frames_total() == flow.frames[0] && !flow.was_open => return,
            None => {
                let mut conn = self.spare.pop().unwrap_or_default();
                if let Some(syn) = &flow.syns[0]
                    && syn.frame != item.frame.number
                {
                    conn.open(syn);
                }
                slot.insert(conn)
            }
        };
        if placed.is_turned_round {
            conn.turn_round();
        }
        let (at, number) = (item.frame.at_unix_nanos, item.frame.number);
        let (turn, samples) = conn.on_segment(at, number, placed, segment, flow);
        self.summary.on_samples(placed.from, &samples);
        if let Some(turn) = turn {
            self.summary.on_turn(flow, &turn);
            sink.on_turn(flow, &turn);
        }
    }

    fn on_ended(&mut self, ended: Ended, sink: &mut impl Sink) {
        let flow = self.table.flow(ended.slot);
        let conn = self.conns.get_mut(ended.slot).and_then(Option::take);
        let is_wanted =
            ended.is_wanted && self.only.as_ref().is_none_or(|only| only.contains(&ended.flow));
        let mut conn = match conn {
            Some(conn) => conn,
            None if !is_wanted => return,
            None => self.spare.pop().unwrap_or_default(),
        };
        if is_wanted {
            if let Some(turn) = conn.finish(flow) {
                self.summary.on_turn(flow, &turn);
                sink.on_turn(flow, &turn);
            }
            let connection = conn.report(flow, ended);
            self.summary.on_connection(&connection);
            sink.on_connection(&connection);
        }
        if self.spare.len() < SPARE_MAX {
            *conn = Conn::default();
            self.spare.push(conn);
        }
    }

    /// The capture is over: every connection ends.
    pub fn finish(mut self, sink: &mut impl Sink) -> Summary {
        self.table.finish();
        while let Some(ended) = self.table.poll_ended() {
            self.on_ended(ended, sink);
        }
        self.summary.counts = self.table.counts().clone();
        self.summary
    }
}

#[cfg(test)]
mod tests;
