//! TCP segments. RFC 9293 §3.1; options of RFC 7323 and RFC 2018.

use crate::seq::SeqNumber;
use core::ops::BitOr;

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

impl TcpSegment<'_> {
    /// SEG.LEN: octets of text, and one each for SYN and FIN. RFC 9293 §3.3.1.
    #[inline]
    pub const fn seg_len(&self) -> u32 {
        self.payload.len() as u32
            + self.flags.contains(TcpFlags::SYN) as u32
            + self.flags.contains(TcpFlags::FIN) as u32
    }
}
