//! TCP segments. RFC 9293 §3.1; options of RFC 7323 and RFC 2018.
//!
//! Must not know connections: numbers are read and written, never judged.

use super::checksum::Sum;
use super::ipv4::{self, PROTOCOL_TCP};
use super::{EthernetHeader, Ipv4Header, Layer, WireError, rewrite};
use crate::seq::SeqNumber;
use core::net::Ipv4Addr;
use core::ops::BitOr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes that options can take.
pub const OPTIONS_MAX: usize = 40;
/// Bytes of the timestamps option as everyone lays it out: NOP NOP TS. RFC 7323 appendix A.
pub const TIMESTAMPS_LEN: usize = 12;
/// The first four of them: NOP, NOP, kind 8, length 10.
pub const TIMESTAMPS_WORD: u32 = 0x0101_080a;

const CHECKSUM_AT: usize = 16;

const KIND_END: u8 = 0;
const KIND_NOP: u8 = 1;
const KIND_MSS: u8 = 2;
const KIND_WINDOW_SCALE: u8 = 3;
const KIND_SACK_PERMITTED: u8 = 4;
const KIND_SACK: u8 = 5;
const KIND_TIMESTAMPS: u8 = 8;

/// The control bits of a segment, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No bit at all.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);
    /// ECN echo. RFC 3168.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced. RFC 3168.
    pub const CWR: Self = Self(0x80);

    /// Whether every bit of `other` is set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The timestamps option. RFC 7323 §3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub val: u32,
    /// TSecr: the clock value echoed; meaningful with ACK only.
    pub ecr: u32,
}

/// Blocks of a SACK option, in the order received. RFC 2018 §3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(SeqNumber, SeqNumber); Self::MAX],
    len: u8,
}

impl SackBlocks {
    /// Blocks that 40 bytes of options can hold.
    pub const MAX: usize = 4;

    /// Adds a block of the numbers from `left` up to and without `right`; false where it is full.
    pub fn push(&mut self, left: SeqNumber, right: SeqNumber) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *slot = (left, right);
        self.len += 1;
        true
    }

    /// The blocks: (left edge, right edge), the right edge excluded.
    #[inline]
    pub fn as_slice(&self) -> &[(SeqNumber, SeqNumber)] {
        self.blocks.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What a segment's options say. Unknown ones are skipped; a malformed list is a parse error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size, on SYN. RFC 9293 §3.7.1.
    pub mss: Option<u16>,
    /// Window scale shift, on SYN; as received, not yet limited to 14. RFC 7323 §2.
    pub window_scale: Option<u8>,
    /// SACK permitted, on SYN. RFC 2018 §2.
    pub sack_permitted: bool,
    /// Timestamps. RFC 7323 §3.
    pub timestamps: Option<Timestamps>,
    /// Selective acknowledgements. RFC 2018 §3.
    pub sack: SackBlocks,
}

/// A received segment whose checksum and lengths have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first octet, or of SYN.
    pub seq: SeqNumber,
    /// Acknowledgement number; meaningful with ACK only.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window field, not scaled.
    pub window: u16,
    /// The options.
    pub options: TcpOptions,
    /// The octets of text.
    pub payload: &'a [u8],
}

/// What of a segment matters where it is an ordinary one: neither a SYN nor a report of blocks out of
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrdinarySegment<'a> {
    /// Sequence number of the first octet.
    pub seq: SeqNumber,
    /// Acknowledgement number.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window field, not scaled.
    pub window: u16,
    /// Timestamps. RFC 7323 §3.
    pub timestamps: Option<Timestamps>,
    /// The octets of text.
    pub payload: &'a [u8],
}

impl<'a> TcpSegment<'a> {
    /// The part of it that matters to an ordinary one.
    #[inline(always)]
    pub const fn ordinary(&self) -> OrdinarySegment<'a> {
        OrdinarySegment {
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            timestamps: self.options.timestamps,
            payload: self.payload,
        }
    }
}

impl TcpSegment<'_> {
    /// SEG.LEN: octets of text, and one each for SYN and FIN. RFC 9293 §3.3.1.
    #[inline]
    pub const fn seg_len(&self) -> u32 {
        self.payload.len() as u32
            + self.flags.contains(TcpFlags::SYN) as u32
            + self.flags.contains(TcpFlags::FIN) as u32
    }
}

/// A TCP segment with the headers it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFrame<'a> {
    /// The Ethernet header.
    pub eth: EthernetHeader,
    /// The IPv4 header.
    pub ip: Ipv4Header,
    /// The segment.
    pub tcp: TcpSegment<'a>,
}

/// What a SYN announces, beside timestamps. RFC 9293 §3.7.1, RFC 7323 §2, RFC 2018 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynOptions {
    /// The most text, in bytes, that the sender takes in one segment.
    pub mss: u16,
    /// Window scale shift; None leaves the option out.
    pub window_scale: Option<u8>,
    /// Whether the sender understands SACK.
    pub sack_permitted: bool,
}

/// Parses a segment: all of what the datagram carries. `pseudo` is the pseudo-header's sum where the
/// checksum is to be verified; `offset` is where `bytes` starts in the frame, for errors.
#[inline(always)]
pub fn parse(
    bytes: &[u8],
    offset: usize,
    pseudo: Option<Sum>,
) -> Result<TcpSegment<'_>, WireError> {
    let Some((h, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(WireError::truncated(Layer::Tcp, offset, HEADER_LEN, bytes.len()));
    };
    let header_len = usize::from(h[12] >> 4) * 4;
    let Some(options_len) = header_len.checked_sub(HEADER_LEN) else {
        return Err(WireError::length(Layer::Tcp, offset + 12, HEADER_LEN, header_len));
    };
    let Some((options, payload)) = rest.split_at_checked(options_len) else {
        return Err(WireError::truncated(Layer::Tcp, offset, header_len, bytes.len()));
    };
    if let Some(pseudo) = pseudo {
        let found = pseudo.add_bytes(bytes).fold();
        if found != 0xffff {
            let field = u16::from_be_bytes([h[16], h[17]]);
            return Err(WireError::checksum(Layer::Tcp, offset + CHECKSUM_AT, field, found));
        }
    }
    Ok(TcpSegment {
        src_port: u16::from_be_bytes([h[0], h[1]]),
        dst_port: u16::from_be_bytes([h[2], h[3]]),
        seq: SeqNumber(u32::from_be_bytes([h[4], h[5], h[6], h[7]])),
        ack: SeqNumber(u32::from_be_bytes([h[8], h[9], h[10], h[11]])),
        flags: TcpFlags(h[13]),
        window: u16::from_be_bytes([h[14], h[15]]),
        options: match common_options(options) {
            Some(options) => options,
            None => parse_options(options, offset + HEADER_LEN)?,
        },
        payload,
    })
}

/// No options, or timestamps alone in the usual layout.
#[inline]
fn common_options(bytes: &[u8]) -> Option<TcpOptions> {
    let timestamps = if bytes.is_empty() {
        None
    } else {
        let b: &[u8; TIMESTAMPS_LEN] = bytes.try_into().ok()?;
        if u32::from_be_bytes([b[0], b[1], b[2], b[3]]) != TIMESTAMPS_WORD {
            return None;
        }
        Some(Timestamps {
            val: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            ecr: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        })
    };
    Some(TcpOptions { timestamps, ..TcpOptions::default() })
}

/// Parses a list of options: at most [`OPTIONS_MAX`] bytes; what follows an end-of-list option is
/// padding. `offset` is where `bytes` starts in the frame, for errors.
///
/// RFC 9293 MUST-7: an option whose length cannot be true (less than two, beyond the header, or
/// not the one length that its kind has) makes the segment an error. Unknown kinds are skipped
/// (MUST-6). The last of repeated options counts; blocks of repeated SACK options are collected.
#[inline(never)]
pub fn parse_options(bytes: &[u8], offset: usize) -> Result<TcpOptions, WireError> {
    let mut options = TcpOptions::default();
    let mut rest = bytes;
    while let Some((&kind, after)) = rest.split_first() {
        match kind {
            KIND_END => break,
            KIND_NOP => {
                rest = after;
                continue;
            }
            _ => {}
        }
        let at = offset + (bytes.len() - rest.len());
        let Some(&len) = after.first() else {
            return Err(WireError::truncated(Layer::Tcp, at, 2, rest.len()));
        };
        let len = usize::from(len);
        if len < 2 {
            return Err(WireError::option(at, 2, len));
        }
        let Some((option, after)) = rest.split_at_checked(len) else {
            return Err(WireError::option(at, rest.len(), len));
        };
        rest = after;
        match kind {
            KIND_MSS => {
                let &[_, _, m0, m1] = option else { return Err(WireError::option(at, 4, len)) };
                options.mss = Some(u16::from_be_bytes([m0, m1]));
            }
            KIND_WINDOW_SCALE => {
                let &[_, _, shift] = option else { return Err(WireError::option(at, 3, len)) };
                options.window_scale = Some(shift);
            }
            KIND_SACK_PERMITTED => {
                let &[_, _] = option else { return Err(WireError::option(at, 2, len)) };
                options.sack_permitted = true;
            }
            KIND_SACK => {
                let (blocks, odd) = option.get(2..).unwrap_or(&[]).as_chunks::<8>();
                if blocks.is_empty() || !odd.is_empty() {
                    return Err(WireError::option(at, (len.max(3) + 5) / 8 * 8 + 2, len));
                }
                for &[l0, l1, l2, l3, r0, r1, r2, r3] in blocks {
                    // 40 bytes have no room for more blocks than are kept.
                    options.sack.push(
                        SeqNumber(u32::from_be_bytes([l0, l1, l2, l3])),
                        SeqNumber(u32::from_be_bytes([r0, r1, r2, r3])),
                    );
                }
            }
            KIND_TIMESTAMPS => {
                let &[_, _, v0, v1, v2, v3, e0, e1, e2, e3] = option else {
                    return Err(WireError::option(at, 10, len));
                };
                options.timestamps = Some(Timestamps {
                    val: u32::from_be_bytes([v0, v1, v2, v3]),
                    ecr: u32::from_be_bytes([e0, e1, e2, e3]),
                });
            }
            _ => {}
        }
    }
    Ok(options)
}

/// Lays options out, each at a multiple of four with NOPs before it, and gives the bytes used: a
/// multiple of four, at most [`OPTIONS_MAX`]. SACK comes last, with as many of its blocks as there
/// is room for (three beside timestamps).
pub fn write_options(options: &TcpOptions, out: &mut [u8; OPTIONS_MAX]) -> usize {
    let mut list = OptionList { out, len: 0 };
    if let Some(mss) = options.mss {
        let [m0, m1] = mss.to_be_bytes();
        list.put([KIND_MSS, 4, m0, m1]);
    }
    // Beside timestamps, SACK-permitted takes the place of their two NOPs.
    match (options.sack_permitted, options.timestamps) {
        (true, Some(_)) => list.put([KIND_SACK_PERMITTED, 2, KIND_TIMESTAMPS, 10]),
        (true, None) => list.put([KIND_NOP, KIND_NOP, KIND_SACK_PERMITTED, 2]),
        (false, Some(_)) => list.put(TIMESTAMPS_WORD.to_be_bytes()),
        (false, None) => {}
    }
    if let Some(Timestamps { val, ecr }) = options.timestamps {
        list.put(val.to_be_bytes());
        list.put(ecr.to_be_bytes());
    }
    if let Some(shift) = options.window_scale {
        list.put([KIND_NOP, KIND_WINDOW_SCALE, 3, shift]);
    }
    let room = (OPTIONS_MAX - list.len).saturating_sub(4) / 8;
    let blocks = options.sack.as_slice();
    let blocks = blocks.get(..room).unwrap_or(blocks);
    if !blocks.is_empty() {
        list.put([KIND_NOP, KIND_NOP, KIND_SACK, 2 + 8 * blocks.len() as u8]);
        for (left, right) in blocks {
            list.put(left.0.to_be_bytes());
            list.put(right.0.to_be_bytes());
        }
    }
    list.len
}

struct OptionList<'a> {
    out: &'a mut [u8; OPTIONS_MAX],
    len: usize,
}

impl OptionList<'_> {
    fn put(&mut self, word: [u8; 4]) {
        if let Some(place) = self.out.get_mut(self.len..).and_then(|o| o.first_chunk_mut::<4>()) {
            *place = word;
            self.len += 4;
        }
    }
}

/// The sum of a whole segment and its pseudo-header; 0xffff folded where the checksum is right.
pub fn segment_sum(src: Ipv4Addr, dst: Ipv4Addr, segment: &[u8]) -> Sum {
    ipv4::pseudo_header(src, dst, PROTOCOL_TCP, segment.len() as u16).add_bytes(segment)
}

/// A header and its text, to rewrite in place; the checksum follows every change (RFC 1624).
#[derive(Debug)]
pub struct HeaderMut<'a> {
    /// At least a header, and as much as its data offset says.
    segment: &'a mut [u8],
    header_len: usize,
    /// Where TSval lies, at any alignment.
    timestamps_at: Option<usize>,
}

impl<'a> HeaderMut<'a> {
    /// Views a segment: all of what the datagram carries. `offset` is where it starts in the frame,
    /// for errors. The checksum is not looked at.
    pub fn new(segment: &'a mut [u8], offset: usize) -> Result<Self, WireError> {
        let parsed = parse(segment, offset, None)?;
        let header_len = segment.len() - parsed.payload.len();
        let options = segment.get(HEADER_LEN..header_len).unwrap_or(&[]);
        let timestamps_at = find_timestamps(options).map(|at| HEADER_LEN + at);
        Ok(Self { segment, header_len, timestamps_at })
    }

    /// Replaces the source port.
    pub fn set_src_port(&mut self, port: u16) {
        self.patch(0, &port.to_be_bytes());
    }

    /// Replaces the destination port.
    pub fn set_dst_port(&mut self, port: u16) {
        self.patch(2, &port.to_be_bytes());
    }

    /// Replaces the sequence number.
    pub fn set_seq(&mut self, seq: SeqNumber) {
        self.patch(4, &seq.0.to_be_bytes());
    }

    /// Replaces the acknowledgement number.
    pub fn set_ack(&mut self, ack: SeqNumber) {
        self.patch(8, &ack.0.to_be_bytes());
    }

    /// Replaces the control bits.
    pub fn set_flags(&mut self, flags: TcpFlags) {
        self.patch(13, &[flags.0]);
    }

    /// Replaces the window field.
    pub fn set_window(&mut self, window: u16) {
        self.patch(14, &window.to_be_bytes());
    }

    /// Replaces both timestamps; false where the segment has none.
    pub fn set_timestamps(&mut self, timestamps: Timestamps) -> bool {
        let Some(at) = self.timestamps_at else { return false };
        self.patch(at, &timestamps.val.to_be_bytes());
        self.patch(at + 4, &timestamps.ecr.to_be_bytes());
        true
    }

    /// Replaces text from `at` bytes behind the header on; false, and nothing happens, where that
    /// reaches beyond the end.
    pub fn set_payload(&mut self, at: usize, new: &[u8]) -> bool {
        let fits = at.checked_add(new.len()).is_some_and(|end| end <= self.payload().len());
        if fits {
            self.patch(self.header_len + at, new);
        }
        fits
    }

    /// The octets of text.
    pub fn payload(&self) -> &[u8] {
        self.segment.get(self.header_len..).unwrap_or(&[])
    }

    /// Tells the checksum that an address of the pseudo-header changed.
    pub fn pseudo_header_changed(&mut self, old: Ipv4Addr, new: Ipv4Addr) {
        let (old, new) = (Sum::ZERO.add_u32(old.to_bits()), Sum::ZERO.add_u32(new.to_bits()));
        rewrite::patch_sum(self.segment, CHECKSUM_AT, 0, old, new);
    }

    /// Computes the checksum anew over the segment as it stands.
    pub fn repair_checksum(&mut self, src: Ipv4Addr, dst: Ipv4Addr) {
        let len = self.segment.len() as u16;
        let pseudo = ipv4::pseudo_header(src, dst, PROTOCOL_TCP, len);
        rewrite::repair(self.segment, CHECKSUM_AT, pseudo);
    }

    fn patch(&mut self, at: usize, new: &[u8]) {
        rewrite::patch(self.segment, CHECKSUM_AT, at, new);
    }
}

/// Where TSval of the last timestamps option lies in a list that parses.
fn find_timestamps(options: &[u8]) -> Option<usize> {
    let mut found = None;
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        at += match kind {
            KIND_END => break,
            KIND_NOP => 1,
            _ => {
                if kind == KIND_TIMESTAMPS {
                    found = Some(at + 2);
                }
                usize::from(*options.get(at + 1)?).max(2)
            }
        };
    }
    found
}
