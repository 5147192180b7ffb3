//! The observer of a replayed stack: what it sends, and what its connections know, by slot.

use super::app::slot_of;
use crate::compare::{Again, Kind, OurState};
use simoom_core::seq::SeqNumber;
use simoom_core::stack::FlowKey;
use simoom_core::tcp::{Info, State};
use simoom_core::time::Instant;
use simoom_core::trace::Trace;
use simoom_core::wire::tcp::{self, TcpFlags, TcpOptions, Timestamps};
use simoom_pcap::dissect::Ecn;
use std::net::Ipv4Addr;
use std::ops::Range;

/// Headers of a frame of ours up to TCP's options: Ethernet, IPv4 and TCP.
const HEADERS: usize = 54;

/// A segment that ours sent, as the turn left it.
#[derive(Clone, Debug)]
pub(super) struct OurSegment {
    pub(super) slot: u32,
    pub(super) seq: SeqNumber,
    pub(super) ack: SeqNumber,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) options: TcpOptions,
    pub(super) len: u32,
    pub(super) ecn: Ecn,
    pub(super) kind: Kind,
    /// What the connection knew then.
    pub(super) state: Option<OurState>,
    pub(super) info: Option<Info>,
    /// Its TCP segment in [`Watch::bytes`], where frames are kept.
    pub(super) bytes: Range<usize>,
}

/// What a slot's connection knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) state: OurState,
    /// One beyond the highest number sent.
    pub(super) snd_max: SeqNumber,
    pub(super) rcv_nxt: SeqNumber,
    /// Bytes that it takes beyond `rcv_nxt`.
    pub(super) rcv_wnd: u32,
}

impl Known {
    pub(super) const NOTHING: Self = Self {
        state: OurState {
            state: State::SynReceived,
            cwnd: 0,
            ssthresh: 0,
            flight: 0,
            window: 0,
            srtt_micros: 0,
            rto_micros: 0,
            mss: 0,
            in_recovery: false,
        },
        snd_max: SeqNumber(0),
        rcv_nxt: SeqNumber(0),
        rcv_wnd: 0,
    };

    fn of(info: &Info) -> Self {
        let micros = |nanos: u64| (nanos / 1_000).min(u64::from(u32::MAX)) as u32;
        Self {
            state: OurState {
                state: info.state,
                cwnd: info.cwnd,
                ssthresh: info.ssthresh,
                flight: info.flight,
                window: info.snd_wnd,
                srtt_micros: micros(info.srtt.as_nanos()),
                rto_micros: micros(info.rto.as_nanos()),
                mss: info.mss,
                in_recovery: info.in_recovery,
            },
            snd_max: info.snd_max,
            rcv_nxt: info.rcv_nxt,
            rcv_wnd: info.rcv_wnd,
        }
    }
}

/// Notes what a stack does in one turn.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// In the order of sending; the driver takes them after each turn.
    pub(super) sent: Vec<OurSegment>,
    /// By slot.
    known: Vec<Known>,
    /// TCP segments of `sent`, one behind the other.
    pub(super) bytes: Vec<u8>,
    keeps_bytes: bool,
}

impl Watch {
    pub(super) fn new(keeps_bytes: bool) -> Self {
        Self { keeps_bytes, ..Self::default() }
    }

    pub(super) fn known(&self, slot: u32) -> &Known {
        self.known.get(slot as usize).unwrap_or(&Known::NOTHING)
    }

    /// The slot's connection is gone, or about to be another.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(known) = self.known.get_mut(slot as usize) {
            *known = Known::NOTHING;
        }
    }

    #[inline]
    fn learn(&mut self, slot: u32, info: &Info) {
        if self.known.len() <= slot as usize {
            self.known.resize(slot as usize + 1, Known::NOTHING);
        }
        self.known[slot as usize] = Known::of(info);
    }
}

impl Trace for Watch {
    fn on_sent(&mut self, _now: Instant, frame: &[u8], sender: Option<&Info>) {
        // Frames of ours: untagged Ethernet, IPv4 without options.
        let Some((h, rest)) = frame.split_first_chunk::<HEADERS>() else { return };
        if h[12..14] != [8, 0] || h[23] != 6 {
            return;
        }
        let word = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let slot = slot_of(Ipv4Addr::from_bits(word(30)));
        let header_len = usize::from(h[46] >> 4) * 4;
        let options_len = header_len.saturating_sub(20).min(rest.len());
        let flags = TcpFlags(h[47]);
        let len = (rest.len() - options_len) as u32;
        let options = match options_len {
            0 => TcpOptions::default(),
            12 if !flags.contains(TcpFlags::SYN)
                && rest[..4] == tcp::TIMESTAMPS_WORD.to_be_bytes() =>
            {
                let word = |at: usize| {
                    u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]])
                };
                let timestamps = Some(Timestamps { val: word(4), ecr: word(8) });
                TcpOptions { timestamps, ..TcpOptions::default() }
            }
            _ => tcp::parse_options(&rest[..options_len], 0).unwrap_or_default(),
        };
        let again = sender
            .and_then(|info| info.why)
            .filter(|why| why.is_retransmission() || *why == simoom_core::tcp::Why::WindowProbe);
        let kind = if flags.contains(TcpFlags::RST) {
            Kind::Reset
        } else if flags.contains(TcpFlags::SYN) {
            if again.is_some() { Kind::Again(Again::Syn) } else { Kind::Syn }
        } else if let Some(why) = again {
            Kind::Again(Again::of(why))
        } else if len > 0 {
            Kind::Text
        } else if flags.contains(TcpFlags::FIN) {
            Kind::Fin
        } else {
            Kind::Ack
        };
        if let Some(info) = sender {
            self.learn(slot, info);
        }
        let start = self.bytes.len();
        if self.keeps_bytes {
            self.bytes.extend_from_slice(&frame[34..]);
        }
        self.sent.push(OurSegment {
            slot,
            seq: SeqNumber(word(38)),
            ack: SeqNumber(word(42)),
            flags,
            window: u16::from_be_bytes([h[48], h[49]]),
            options,
            len,
            ecn: Ecn::from_traffic_class(h[15]),
            kind,
            state: sender.map(|_| self.known[slot as usize].state),
            info: sender.filter(|_| self.keeps_bytes).copied(),
            bytes: start..self.bytes.len(),
        });
    }

    fn on_state(&mut self, _now: Instant, connection: &FlowKey, after: &Info) {
        self.learn(slot_of(*connection.remote().ip()), after);
    }
}
