//! Packets as a test writes them: only the fields that matter.

use crate::seq::SeqNumber;
use crate::tcp::SegmentPlan;
use crate::time::Instant;
use crate::wire::tcp::{TcpFlags, TcpOptions, TcpSegment, Timestamps};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Our initial sequence number.
pub(super) const ISS: u32 = 1_000;
/// The peer's.
pub(super) const IRS: u32 = 5_000;
/// What is added to our millisecond clock in timestamps.
pub(super) const TS_OFFSET: u32 = 70_000;

pub(super) const fn ms(n: u64) -> Instant {
    Instant::from_nanos(n * 1_000_000)
}

/// The byte that the sender puts at this number, either side.
pub(super) fn byte_at(seq: SeqNumber) -> u8 {
    (seq.0.wrapping_mul(2_654_435_761) >> 24) as u8
}

/// A packet of a script. What is None is filled in where it is received, and not compared where it
/// is expected.
#[derive(Clone, Debug, Default)]
pub(super) struct Packet {
    pub(super) flags: TcpFlags,
    pub(super) seq: Option<u32>,
    pub(super) ack: Option<u32>,
    pub(super) window: Option<u16>,
    pub(super) len: u32,
    pub(super) push: Option<bool>,
    pub(super) timestamps: Option<Option<Timestamps>>,
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<Option<u8>>,
}

/// An ACK without text.
pub(super) fn ack(number: u32) -> Packet {
    Packet { flags: TcpFlags::ACK, ack: Some(number), ..Packet::default() }
}

/// Text, with ACK.
pub(super) fn data(numbers: Range<u32>) -> Packet {
    data_at(numbers.start, numbers.end - numbers.start)
}

/// So many bytes of text from this number on, with ACK.
pub(super) fn data_at(number: u32, len: u32) -> Packet {
    Packet { flags: TcpFlags::ACK, seq: Some(number), len, ..Packet::default() }
}

/// FIN at this number, with ACK.
pub(super) fn fin(number: u32) -> Packet {
    Packet { flags: TcpFlags::FIN | TcpFlags::ACK, seq: Some(number), ..Packet::default() }
}

/// RST at this number, without ACK.
pub(super) fn rst(number: u32) -> Packet {
    Packet { flags: TcpFlags::RST, seq: Some(number), ..Packet::default() }
}

/// SYN at this number.
pub(super) fn syn(number: u32) -> Packet {
    Packet { flags: TcpFlags::SYN, seq: Some(number), ..Packet::default() }
}

/// SYN at this number, with ACK of another.
pub(super) fn syn_ack(number: u32, acknowledged: u32) -> Packet {
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    Packet { flags, seq: Some(number), ack: Some(acknowledged), ..Packet::default() }
}

impl Packet {
    pub(super) fn seq(mut self, number: u32) -> Self {
        self.seq = Some(number);
        self
    }
    pub(super) fn ack(mut self, number: u32) -> Self {
        self.ack = Some(number);
        self.flags = self.flags | TcpFlags::ACK;
        self
    }
    pub(super) fn without_ack(mut self) -> Self {
        self.flags = TcpFlags(self.flags.0 & !TcpFlags::ACK.0);
        self
    }
    pub(super) fn window(mut self, field: u16) -> Self {
        self.window = Some(field);
        self
    }
    pub(super) fn text(mut self, len: u32) -> Self {
        self.len = len;
        self
    }
    pub(super) fn fin(mut self) -> Self {
        self.flags = self.flags | TcpFlags::FIN;
        self
    }
    pub(super) fn push(mut self) -> Self {
        self.push = Some(true);
        self
    }
    pub(super) fn timestamps(mut self, val: u32, ecr: u32) -> Self {
        self.timestamps = Some(Some(Timestamps { val, ecr }));
        self
    }
    pub(super) fn without_timestamps(mut self) -> Self {
        self.timestamps = Some(None);
        self
    }
    pub(super) fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(mss);
        self
    }
    pub(super) fn scale(mut self, shift: u8) -> Self {
        self.scale = Some(Some(shift));
        self
    }
    pub(super) fn without_scale(mut self) -> Self {
        self.scale = Some(None);
        self
    }

    /// Whether a planned segment is this one, as far as it is written.
    pub(super) fn describes(&self, plan: &SegmentPlan) -> bool {
        let without_push = plan.flags.0 & !TcpFlags::PSH.0;
        without_push == self.flags.0
            && plan.len == self.len
            && self.seq.is_none_or(|seq| plan.seq == SeqNumber(seq))
            && self.ack.is_none_or(|ack| plan.ack == SeqNumber(ack))
            && self.window.is_none_or(|window| plan.window == window)
            && self.push.is_none_or(|push| plan.flags.contains(TcpFlags::PSH) == push)
            && self.timestamps.is_none_or(|timestamps| plan.timestamps == timestamps)
            && self.mss.is_none_or(|mss| plan.syn.is_some_and(|syn| syn.mss == mss))
            && self.scale.is_none_or(|scale| plan.syn.is_some_and(|syn| syn.window_scale == scale))
    }
}

/// Makes the segment that a packet describes, its text in `bytes`.
pub(super) fn segment<'a>(
    packet: &Packet,
    seq: u32,
    acknowledged: u32,
    window: u16,
    bytes: &'a mut Vec<u8>,
) -> TcpSegment<'a> {
    let seq = SeqNumber(packet.seq.unwrap_or(seq));
    let first = seq + u32::from(packet.flags.contains(TcpFlags::SYN));
    bytes.extend((0..packet.len).map(|offset| byte_at(first + offset)));
    TcpSegment {
        src_port: 4_711,
        dst_port: 80,
        seq,
        ack: if packet.flags.contains(TcpFlags::ACK) {
            SeqNumber(packet.ack.unwrap_or(acknowledged))
        } else {
            SeqNumber(0)
        },
        flags: packet.flags,
        window,
        options: TcpOptions {
            mss: packet.mss,
            window_scale: packet.scale.flatten(),
            timestamps: packet.timestamps.flatten(),
            ..TcpOptions::default()
        },
        payload: bytes,
    }
}

pub(super) fn show(segment: &TcpSegment<'_>) -> String {
    format!(
        "{:?} seq {} ack {} win {} len {} {:?}",
        segment.flags,
        segment.seq,
        segment.ack,
        segment.window,
        segment.payload.len(),
        segment.options.timestamps
    )
}
