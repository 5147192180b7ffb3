//! One connection while it is replayed: its numbers, and how its segments are told to the comparison
//! and to our stack.

use super::app;
use super::watch::Known;
use crate::compare::head::HeadDifference;
use crate::compare::infer::Inferred;
use crate::compare::pairing::Limit;
use crate::compare::summary::Meaningless;
use crate::compare::{ConnectionReport, Kind, OurState, Pairing, Rules, Sent, Side};
use crate::script::Script;
use crate::tape::TapeSegment;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::{SackBlocks, TcpFlags, TcpOptions, Timestamps};
use std::net::{SocketAddr, SocketAddrV4};

/// A connection while it is replayed.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) serial: u32,
    pub(super) lane: u8,
    pub(super) watched: bool,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) synthetic: SocketAddrV4,
    pub(super) opened_at: u64,
    pub(super) client_isn: SeqNumber,
    pub(super) server_isn: SeqNumber,
    /// Shift of what servers announce.
    pub(super) shift: u8,
    /// Most text per segment.
    pub(super) text_max: u32,
    /// The captured server's clock: its first stamp and ticks a second.
    pub(super) clock: (u32, u32),
    pub(super) client_max: u64,
    /// The client's newest timestamp.
    pub(super) client_stamp: Option<u32>,
    pub(super) cut: Option<u64>,
    /// Before its segments were captured the server had sent them, by so much; and the client's
    /// segments needed as long: both together.
    pub(super) distance: u64,
    /// Stream offset from which on nothing of the captured server is known, though it went on.
    pub(super) unknown_from: u64,
    pub(super) pairing: Pairing,
    pub(super) meaningless: Option<(Meaningless, u64, u64)>,
    /// The client's newest frame.
    pub(super) last_frame: u64,
    /// The first head of an answer that differs.
    pub(super) head: Option<Box<HeadDifference>>,
    /// Stream offset of the highest octet that ours sent.
    pub(super) our_max: u64,
    /// Ours has answered the SYN.
    pub(super) our_syn: bool,
    /// Each of the client's segments has a turn of its own: our own server, captured by its device.
    /// What its recorder captures at one time came in one turn.
    pub(super) alone: bool,
}

impl Live {
    /// A connection that follows this script, in stack `lane`.
    pub(super) fn new(script: &Script, lane: u8, rules: Rules, watched: bool) -> Self {
        let inferred = Inferred::new(script.server_isn, script.client_shift());
        Self {
            serial: script.flow.serial,
            lane,
            watched,
            client: script.client,
            server: script.server,
            synthetic: app::synthetic_client(script.flow.slot, script.flow.serial),
            opened_at: script.opened_at,
            client_isn: script.client_isn,
            server_isn: script.server_isn,
            shift: script.server_shift(),
            text_max: script.segment_text_max(),
            clock: (script.syn_ack.timestamps.unwrap_or(0), script.ts_per_second),
            client_max: 0,
            client_stamp: script.syn.timestamps.filter(|_| script.uses_timestamps()),
            cut: script.cut,
            distance: script.distance(),
            unknown_from: if script.goes_on { script.server_bytes } else { u64::MAX },
            pairing: Pairing::new(rules, inferred),
            meaningless: None,
            last_frame: 0,
            head: None,
            our_max: 0,
            our_syn: false,
            alone: rules.exact_acks && script.way() > 0,
        }
    }

    /// A segment of the captured server in the terms of the comparison.
    pub(super) fn theirs(&self, seg: &TapeSegment<'_>) -> Sent {
        let syn = seg.flags.contains(TcpFlags::SYN);
        Sent {
            at: seg.at_unix_nanos,
            frame: seg.frame,
            from: self.pairing.inferred.offset_of(seg),
            len: seg.len,
            window: u32::from(seg.window) << if syn { 0 } else { self.shift },
            acked: seg.ack.0.wrapping_sub(self.client_isn.0.wrapping_add(1)),
            echo: seg.options.timestamps.map_or(0, |ts| ts.ecr),
            options: Sent::options(&seg.options),
            flags: seg.flags,
            ecn: seg.ecn,
            kind: Kind::Ack,
        }
    }

    /// Timestamps that the capture has cut off: the client's last one again, which echoes nothing.
    pub(super) fn repair(&mut self, options: &mut TcpOptions, flags: TcpFlags) {
        let Some(stamp) = &mut self.client_stamp else { return };
        match options.timestamps {
            Some(ts) => *stamp = ts.val,
            None if !flags.intersects(TcpFlags::RST | TcpFlags::SYN) => {
                options.timestamps = Some(Timestamps { val: *stamp, ecr: 0 });
            }
            None => (),
        }
    }

    /// From the captured server's numbers to ours: the clock's ticks, and blocks of what ours has
    /// not sent.
    pub(super) fn translate(&self, options: &mut TcpOptions, known: &Known) {
        let (first, per_second) = self.clock;
        if per_second != 1_000
            && let Some(ts) = &mut options.timestamps
            && ts.ecr != 0
        {
            let ticks = i64::from(ts.ecr.wrapping_sub(first) as i32);
            let millis = ticks * 1_000 / i64::from(per_second.max(1));
            ts.ecr = first.wrapping_add(millis as u32);
        }
        if !options.sack.is_empty() {
            let mut kept = SackBlocks::default();
            for &(left, right) in options.sack.as_slice() {
                if right.le(known.snd_max) {
                    kept.push(left, right);
                }
            }
            options.sack = kept;
        }
    }

    pub(super) fn report(&self) -> ConnectionReport {
        ConnectionReport {
            serial: self.serial,
            client: self.client,
            server: self.server,
            opened_at: self.opened_at,
            compared: self.pairing.compared(),
            first: self.pairing.first().copied(),
            parting: self.pairing.parting().copied(),
            counts: *self.pairing.counts(),
            meaningless: self.meaningless,
            head: self.head.as_deref().cloned(),
            our_again: *self.pairing.again(Side::Ours),
            their_again: *self.pairing.again(Side::Theirs),
            farthest: self.pairing.farthest(),
            damaged: 0,
        }
    }
}

/// What keeps our stack from sending more; `has_more`: its application has.
pub(super) fn limit(state: &OurState, has_more: bool) -> Limit {
    if !has_more {
        Limit::Application
    } else if state.flight + state.mss > state.cwnd {
        Limit::Congestion
    } else if state.flight + state.mss > state.window {
        Limit::Client
    } else {
        Limit::Other
    }
}

/// A segment captured before segmentation, in the pieces that the device made of it.
pub(super) fn in_pieces(
    seg: &TapeSegment<'_>,
    text_max: u32,
    mut each: impl FnMut(&TapeSegment<'_>),
) {
    if seg.len <= text_max {
        each(seg);
        return;
    }
    let mut at = 0;
    while at < seg.len {
        let len = (seg.len - at).min(text_max);
        let mut piece = *seg;
        piece.seq = seg.seq + at;
        piece.len = len;
        if at + len < seg.len {
            piece.flags = TcpFlags(seg.flags.0 & !(TcpFlags::FIN | TcpFlags::PSH).0);
        }
        if at > 0 {
            piece.flags = TcpFlags(piece.flags.0 & !TcpFlags::CWR.0);
        }
        each(&piece);
        at += len;
    }
}
