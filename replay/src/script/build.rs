//! From the segments of a connection, as they come, to its script. Keeps some hundred bytes a
//! connection and its writes; no text.

use super::{Announced, End, Script, WRITES_MAX, WriteOp, text_max};
use crate::compare::head::reads_as_request;
use crate::tape::TapeSegment;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::TcpFlags;
use std::net::SocketAddr;

/// Where the server's stream may be divided, after the last of its octets so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boundary {
    No,
    Soft,
    Hard,
}

/// What is known of a connection so far.
#[derive(Clone, Debug)]
pub struct Builder {
    script: Script,
    has_syn: bool,
    has_syn_ack: bool,
    spoilt: bool,
    /// Not all of the client's octets were captured.
    text_cut: bool,
    /// Stream offset that the client acknowledged.
    acked: u64,
    /// Stream offset up to which the client's window lets the server send.
    edge: u64,
    /// When the client's newest octet came.
    asked_at: u64,
    /// When its newest segment came.
    told_at: u64,
    /// The client said something since the server last did.
    asked: bool,
    /// All that the server had said was acknowledged by then.
    asked_when_idle: bool,
    boundary: Boundary,
    /// The first write that is not acknowledged in full.
    unacked: usize,
    /// The newest timestamp of the server, and when.
    ts_last: (u32, u64),
    client_reset: bool,
    /// When the client's FIN came.
    client_fin_at: u64,
}

/// A server that ends within this time of its client's end did so because of it, in nanoseconds.
const ENDS_WITHIN: u64 = 1_000_000;

impl Builder {
    /// A connection of which nothing was seen.
    pub fn new(flow: crate::tape::FlowRef, client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            script: Script {
                flow,
                client,
                server,
                opened_at: 0,
                accepted_at: 0,
                asked_at: 0,
                established_at: 0,
                client_isn: SeqNumber(0),
                server_isn: SeqNumber(0),
                syn: Announced::default(),
                syn_ack: Announced::default(),
                ts_per_second: 1_000,
                window_max: 0,
                writes: Vec::new(),
                client_bytes: 0,
                server_bytes: 0,
                end: End::Open,
                goes_on: false,
                cut: None,
                reads_as_http: false,
                kept: None,
            },
            has_syn: false,
            has_syn_ack: false,
            spoilt: false,
            text_cut: false,
            acked: 0,
            edge: 0,
            asked_at: 0,
            told_at: 0,
            asked: false,
            asked_when_idle: false,
            boundary: Boundary::Hard,
            unacked: 0,
            ts_last: (0, 0),
            client_reset: false,
            client_fin_at: 0,
        }
    }

    /// Bytes that it holds outside of itself.
    pub fn held_bytes(&self) -> usize {
        self.script.writes.capacity() * size_of::<WriteOp>()
    }

    /// Where the text of a segment of the server stands in its stream, once its SYN-ACK was seen.
    pub fn place_of_text(&self, seg: &TapeSegment<'_>) -> Option<u64> {
        if !self.has_syn_ack || seg.flags.contains(TcpFlags::SYN) {
            return None;
        }
        let script = &self.script;
        offset(script.server_isn, script.server_bytes, seg.seq).try_into().ok()
    }

    /// Takes in a segment. `room`: whether one more write may be kept.
    pub fn on_segment(&mut self, seg: &TapeSegment<'_>, room: bool) {
        if seg.to_server { self.on_client(seg) } else { self.on_server(seg, room) }
    }

    /// Something about its handshake is not known: it cannot be replayed.
    pub fn spoil(&mut self) {
        self.spoilt = true;
    }

    /// The client's octets in a segment, `captured` of them as they are; before
    /// [`Builder::on_segment`].
    pub fn on_request(&mut self, seg: &TapeSegment<'_>, captured: &[u8]) {
        self.text_cut |= (captured.len() as u64) < u64::from(seg.len);
        if self.has_syn && seg.len > 0 && seg.seq == self.script.client_isn + 1 {
            self.script.reads_as_http = reads_as_request(captured);
        }
    }

    /// The script, where the handshake was seen.
    pub fn finish(mut self) -> Option<Script> {
        if self.spoilt || !(self.has_syn && self.has_syn_ack) {
            return None;
        }
        self.script.reads_as_http &= !self.text_cut;
        self.measure_clock();
        self.script.goes_on = self.boundary == Boundary::No && self.script.end == End::Open;
        Some(self.script)
    }

    fn on_client(&mut self, seg: &TapeSegment<'_>) {
        let script = &mut self.script;
        if seg.flags.contains(TcpFlags::SYN) {
            if !self.has_syn_ack || script.asked_at == 0 {
                script.asked_at = seg.at_unix_nanos;
            }
            if !self.has_syn {
                self.has_syn = true;
                script.client_isn = seg.seq;
                script.opened_at = seg.at_unix_nanos;
                script.syn = announced(seg);
            }
            return;
        }
        if !(self.has_syn && self.has_syn_ack) {
            return;
        }
        self.told_at = seg.at_unix_nanos;
        if script.established_at == 0 {
            script.established_at = seg.at_unix_nanos;
        }
        if seg.flags.contains(TcpFlags::FIN) && self.client_fin_at == 0 {
            self.client_fin_at = seg.at_unix_nanos;
        }
        self.client_reset |= seg.flags.contains(TcpFlags::RST);
        let end = offset(script.client_isn, script.client_bytes, seg.seq) + i64::from(seg.len);
        if seg.len > 0 && end > script.client_bytes as i64 {
            script.client_bytes = end as u64;
            self.asked_at = seg.at_unix_nanos;
            if !self.asked {
                self.asked_when_idle = self.acked >= script.server_bytes;
            }
            self.asked = true;
        }
        if seg.flags.contains(TcpFlags::ACK) && !seg.flags.contains(TcpFlags::RST) {
            let acked = offset(script.server_isn, self.acked, seg.ack).max(0) as u64;
            let acked = acked.min(script.server_bytes);
            let window = u64::from(seg.window) << script.client_shift();
            self.edge = self.edge.max(acked + window);
            if acked > self.acked {
                let before = std::mem::replace(&mut self.acked, acked);
                self.note_acked(seg.at_unix_nanos, before);
            }
        }
    }

    /// Writes that end at or before what is acknowledged.
    fn note_acked(&mut self, at: u64, before: u64) {
        while let Some(next) = self.script.writes.get(self.unacked + 1) {
            if next.start > self.acked {
                return;
            }
            if before < next.start {
                self.script.writes[self.unacked].acked_at = at;
            }
            self.unacked += 1;
        }
        if self.acked >= self.script.server_bytes
            && let Some(last) = self.script.writes.get_mut(self.unacked)
        {
            last.acked_at = at;
        }
    }

    fn on_server(&mut self, seg: &TapeSegment<'_>, room: bool) {
        let script = &mut self.script;
        let at = seg.at_unix_nanos;
        let both = TcpFlags::SYN | TcpFlags::ACK;
        if seg.flags.contains(TcpFlags::SYN) {
            if !self.has_syn_ack && seg.flags.contains(both) {
                self.has_syn_ack = true;
                script.server_isn = seg.seq;
                script.accepted_at = at;
                script.syn_ack = announced(seg);
                script.window_max = u32::from(seg.window);
                self.ts_last = (script.syn_ack.timestamps.unwrap_or(0), at);
            }
            return;
        }
        if !self.has_syn_ack {
            return;
        }
        if let Some(ts) = seg.options.timestamps {
            self.ts_last = (ts.val, at);
        }
        if seg.flags.contains(TcpFlags::RST) {
            if script.end == End::Open && !self.client_reset {
                script.end = End::Reset { at, told_at: self.told_at };
            }
            return;
        }
        script.window_max = script.window_max.max(u32::from(seg.window) << script.server_shift());
        let from = offset(script.server_isn, script.server_bytes, seg.seq);
        let end = from + i64::from(seg.len);
        let is_new = seg.len > 0 && end > script.server_bytes as i64;
        if is_new {
            self.on_new_text(seg, room);
        }
        if seg.flags.contains(TcpFlags::FIN)
            && self.script.end == End::Open
            && end >= self.script.server_bytes as i64
        {
            let after_fin = at.saturating_sub(self.client_fin_at);
            let after_fin = after_fin <= ENDS_WITHIN;
            let told_at = if after_fin { self.client_fin_at } else { self.told_at };
            self.script.end = End::Fin { at, told_at, after_fin, with_text: is_new };
        }
    }

    fn on_new_text(&mut self, seg: &TapeSegment<'_>, room: bool) {
        let script = &mut self.script;
        let start = script.server_bytes;
        let end = offset(script.server_isn, start, seg.seq) + i64::from(seg.len);
        script.server_bytes = end as u64;
        let asked = std::mem::take(&mut self.asked);
        let begins = match self.boundary {
            Boundary::Hard => Some(false),
            // The client spoke after what might be the end of an answer.
            Boundary::Soft => Some(!asked),
            Boundary::No if asked && self.asked_when_idle => Some(false),
            Boundary::No => None,
        };
        if script.cut.is_none()
            && let Some(soft) = begins
        {
            if room && script.writes.len() < WRITES_MAX {
                script.writes.push(WriteOp {
                    start,
                    at: seg.at_unix_nanos,
                    request_upto: script.client_bytes,
                    request_at: self.asked_at,
                    told_at: if asked { self.asked_at } else { self.told_at },
                    acked_at: 0,
                    soft,
                });
            } else {
                script.cut = Some(start);
            }
        }
        // A segment that is short because the client's window was ends nothing.
        let whole = text_max(&script.syn, &script.syn_ack);
        let short = !seg.len.is_multiple_of(whole) && script.server_bytes < self.edge;
        self.boundary = match (seg.flags.contains(TcpFlags::PSH), short) {
            (true, true) => Boundary::Hard,
            (true, false) => Boundary::Soft,
            (false, _) => Boundary::No,
        };
    }

    /// Ticks a second of the server's timestamps: one of the clocks that systems have, where the time
    /// between the first and the last is long enough to tell them apart.
    fn measure_clock(&mut self) {
        /// What FreeBSD, Linux and others tick at.
        const CLOCKS: [u64; 5] = [10, 100, 250, 300, 1_000];
        let script = &mut self.script;
        let Some(first) = script.syn_ack.timestamps else { return };
        let ticks = u64::from(self.ts_last.0.wrapping_sub(first));
        let nanos = self.ts_last.1.saturating_sub(script.accepted_at);
        if nanos < 200_000_000 || ticks == 0 || ticks > 1 << 31 {
            return;
        }
        let rate = ticks.saturating_mul(1_000_000_000) / nanos;
        let nearest = CLOCKS.into_iter().min_by_key(|clock| clock.abs_diff(rate));
        script.ts_per_second = nearest.unwrap_or(1_000) as u32;
    }
}

/// The stream offset of `seq`, where offset 0 stands at `isn` + 1, near the offset `near`.
pub(crate) fn offset(isn: SeqNumber, near: u64, seq: SeqNumber) -> i64 {
    let at_near = isn + 1 + near as u32;
    near as i64 + i64::from(seq.0.wrapping_sub(at_near.0) as i32)
}

/// What a SYN says.
pub(crate) fn announced(seg: &TapeSegment<'_>) -> Announced {
    Announced {
        mss: seg.options.mss,
        window_scale: seg.options.window_scale,
        sack_permitted: seg.options.sack_permitted,
        timestamps: seg.options.timestamps.map(|ts| ts.val),
        window: seg.window,
    }
}
