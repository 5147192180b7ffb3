//! What is said of a whole capture.

use super::Connection;
use super::cause::Division;
use super::conn::Vantage;
use super::find::Findings;
use super::rtt::Sample;
use super::sender::SendCounts;
use super::spread::{Nothing, Spread};
use super::turns::{Turn, TurnEnd};
use crate::flow::{Counts, Flow, FlowId, Side};
use simoom_pcap::segments::Item;
use std::net::SocketAddr;

/// The slowest turns that are kept whole.
pub const SLOWEST_MAX: usize = 200;

/// A turn and its connection.
#[derive(Clone, Copy, Debug)]
pub struct TurnOf {
    /// The connection.
    pub flow: FlowId,
    /// Its client.
    pub client: SocketAddr,
    /// Its server.
    pub server: SocketAddr,
    /// The turn.
    pub turn: Turn,
}

/// The turns of a capture.
#[derive(Clone, Debug, Default)]
pub struct TurnTotals {
    /// Those whose beginning was captured, by how long they took, with where their time went.
    pub spread: Spread<Division>,
    /// Where the time of these went, all together.
    pub sum: Division,
    /// Of these, those that were given up without an answer.
    pub unanswered: u64,
    /// Of these, those whose answer was never acknowledged in full.
    pub unfinished: u64,
    /// Those whose beginning was not captured: in no other number here.
    pub partial: u64,
    /// Those in which the client asked again before the answer was acknowledged.
    pub pipelined: u64,
    /// Bytes of all requests and answers.
    pub bytes: [u64; 2],
    /// The slowest, slowest first; at most [`SLOWEST_MAX`].
    pub slowest: Vec<TurnOf>,
}

/// What is said of a whole capture.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Where every frame went.
    pub counts: Counts,
    /// Times of the earliest and the latest frame, in nanoseconds since 1970. None without frames.
    pub span: Option<(u64, u64)>,
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
    /// Connections that the filters want.
    pub connections: u64,
    /// Of these, those with turns.
    pub with_turns: u64,
    /// Turns.
    pub turns: TurnTotals,
    /// What each side's directions counted, the client's first.
    pub directions: [SendCounts; 2],
    /// Round trips between the capture and the receiver of each direction by timestamps.
    pub by_timestamps: [Spread<Nothing>; 2],
    /// The same by sequence numbers, with Karn's rule.
    pub by_sequence: [Spread<Nothing>; 2],
    /// SYN to the acknowledgement of SYN-ACK.
    pub handshakes: Spread<Nothing>,
    /// SYN to SYN-ACK.
    pub to_server: Spread<Nothing>,
    /// SYN-ACK to its acknowledgement.
    pub to_client: Spread<Nothing>,
    /// Connections by where their handshakes say that the capture was made: in the order of
    /// [`Vantage::ALL`].
    pub vantages: [u64; Vantage::ALL.len()],
    /// Time between turns.
    pub idle_nanos: u64,
    /// What cost most.
    pub findings: Findings,
}

impl Summary {
    pub(super) fn on_frame(&mut self, item: &Item<'_>) {
        let at = item.frame.at_unix_nanos;
        self.wire_bytes += u64::from(item.frame.wire_len);
        self.span = Some(match self.span {
            None => (at, at),
            Some((first, last)) => (first.min(at), last.max(at)),
        });
    }

    pub(super) fn on_samples(&mut self, from: Side, sample: &Sample) {
        // An acknowledgement times the other side's direction.
        let of = from.other().index();
        if let Some(nanos) = sample.by_timestamps {
            self.by_timestamps[of].add(nanos, Nothing);
        }
        if let Some(nanos) = sample.by_sequence {
            self.by_sequence[of].add(nanos, Nothing);
        }
    }

    pub(super) fn on_turn(&mut self, flow: &Flow, turn: &Turn) {
        let totals = &mut self.turns;
        if turn.is_partial {
            totals.partial += 1;
            return;
        }
        totals.spread.add(turn.nanos, turn.division);
        totals.sum += turn.division;
        totals.unanswered += u64::from(turn.end == TurnEnd::Unanswered);
        totals.unfinished += u64::from(turn.end == TurnEnd::Unfinished);
        totals.pipelined += u64::from(turn.is_pipelined);
        totals.bytes[0] += turn.request_bytes;
        totals.bytes[1] += turn.answer_bytes;
        self.findings.on_turn(flow, turn);
        let slowest = &mut totals.slowest;
        if slowest.len() == SLOWEST_MAX && slowest[SLOWEST_MAX - 1].turn.nanos >= turn.nanos {
            return;
        }
        let at = slowest.partition_point(|other| other.turn.nanos >= turn.nanos);
        slowest.truncate(SLOWEST_MAX - 1);
        let (client, server) = (flow.client(), flow.server());
        slowest.insert(at, TurnOf { flow: flow.id, client, server, turn: *turn });
    }

    pub(super) fn on_connection(&mut self, connection: &Connection<'_>) {
        self.connections += 1;
        self.with_turns += u64::from(connection.turns > 0);
        for (sum, direction) in self.directions.iter_mut().zip(&connection.directions) {
            sum.add(&direction.counts);
        }
        let handshake = connection.handshake;
        self.vantages[handshake.vantage() as usize] += 1;
        for (spread, nanos) in [
            (&mut self.handshakes, handshake.nanos),
            (&mut self.to_server, handshake.to_server),
            (&mut self.to_client, handshake.to_client),
        ] {
            if let Some(nanos) = nanos {
                spread.add(nanos, Nothing);
            }
        }
        self.idle_nanos = self.idle_nanos.saturating_add(connection.idle_nanos);
    }

    /// Where the capture was made, by most of the handshakes that tell.
    pub fn vantage(&self) -> Vantage {
        let known = [Vantage::Server, Vantage::Client, Vantage::Between];
        let votes = |vantage: Vantage| self.vantages[vantage as usize];
        let most = known.into_iter().max_by_key(|it| (votes(*it), std::cmp::Reverse(*it)));
        most.filter(|it| votes(*it) > 0).unwrap_or(Vantage::Unknown)
    }
}
