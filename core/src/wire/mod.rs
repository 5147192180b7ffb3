//! Frame formats: one file a header, parsed once into a checked view, rewritten in place.
//!
//! Must not know connections, content or ports.
//!
//! [`parse`] reads a frame in one pass; behind it nothing returns a parse error. [`emit`] writes the
//! frames that the stack sends; [`rewrite`] changes frames of others. Nothing here panics, whatever
//! the bytes.

pub mod arp;
pub mod burst;
pub mod checksum;
pub mod emit;
pub mod ethernet;
pub mod icmpv4;
pub mod ipv4;
pub mod plain;
pub mod rewrite;
pub mod rss;
pub mod tcp;

pub use arp::{ArpOperation, ArpPacket};
pub use checksum::Sum;
pub use emit::{
    HeaderTemplate, TcpHeader, headers_len, write_tcp_frame, write_tcp_frame_with_sack,
};
pub use ethernet::{EthernetHeader, MacAddr};
pub use icmpv4::{IcmpFrame, IcmpMessage};
pub use ipv4::Ipv4Header;
pub use tcp::{
    OrdinarySegment, SackBlocks, SynOptions, TcpFlags, TcpFrame, TcpOptions, TcpSegment, Timestamps,
};

use core::fmt;
use ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_MIN};
use ipv4::{PROTOCOL_ICMP, PROTOCOL_TCP};

/// The header in which a frame is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Ethernet II or its 802.1Q tag.
    Ethernet,
    /// ARP.
    Arp,
    /// IPv4.
    Ipv4,
    /// ICMP for IPv4.
    Icmpv4,
    /// TCP.
    Tcp,
}

/// In what way a frame is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireErrorKind {
    /// `need` bytes should follow `offset`; there are `have`.
    Truncated,
    /// The length in the field at `offset` is `have` bytes; `need` is the least that it may say.
    Length,
    /// The version at `offset` is `have`, not `need`.
    Version,
    /// The checksum at `offset` is `have`; the bytes ask for `need`.
    Checksum,
    /// The option at `offset` says that it is `have` bytes long. `need` is the length that it
    /// must have, or the most that the header has left for it.
    Option,
}

/// Why a frame, or part of one, cannot be what it says. The peer's or the path's fault: count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireError {
    /// Where.
    pub layer: Layer,
    /// What.
    pub kind: WireErrorKind,
    /// Bytes from the start of the frame to the field or header at fault.
    pub offset: u16,
    /// What should be there: see [`WireErrorKind`].
    pub need: u16,
    /// What is there: see [`WireErrorKind`].
    pub have: u16,
}

impl WireError {
    #[cold]
    const fn truncated(layer: Layer, offset: usize, need: usize, have: usize) -> Self {
        Self::new(layer, WireErrorKind::Truncated, offset, need, have)
    }

    #[cold]
    const fn length(layer: Layer, offset: usize, need: usize, have: usize) -> Self {
        Self::new(layer, WireErrorKind::Length, offset, need, have)
    }

    #[cold]
    const fn option(offset: usize, need: usize, have: usize) -> Self {
        Self::new(Layer::Tcp, WireErrorKind::Option, offset, need, have)
    }

    /// For a checksum field of value `field` whose coverage, field in, sums up to `found`.
    #[cold]
    const fn checksum(layer: Layer, offset: usize, field: u16, found: u16) -> Self {
        let need = Sum::from_folded(found).add_u16(!field).finish();
        Self::new(layer, WireErrorKind::Checksum, offset, need as usize, field as usize)
    }

    const fn new(
        layer: Layer,
        kind: WireErrorKind,
        offset: usize,
        need: usize,
        have: usize,
    ) -> Self {
        Self { layer, kind, offset: saturate(offset), need: saturate(need), have: saturate(have) }
    }
}

const fn saturate(n: usize) -> u16 {
    if n > u16::MAX as usize { u16::MAX } else { n as u16 }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Icmpv4 => "ICMP",
            Self::Tcp => "TCP",
        })
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, kind, offset, need, have } = *self;
        match kind {
            WireErrorKind::Truncated => {
                write!(f, "{layer} at byte {offset}: needs {need} bytes, has {have}")
            }
            WireErrorKind::Length => {
                write!(f, "{layer} length at byte {offset}: says {have}, at least {need}")
            }
            WireErrorKind::Version => {
                write!(f, "{layer} version at byte {offset}: {have}, not {need}")
            }
            WireErrorKind::Checksum => {
                write!(f, "{layer} checksum at byte {offset}: {have:#06x}, should be {need:#06x}")
            }
            WireErrorKind::Option => {
                write!(f, "{layer} option at byte {offset}: says {have} bytes, not {need}")
            }
        }
    }
}

impl core::error::Error for WireError {}

/// A well-formed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A TCP segment.
    Tcp(TcpFrame<'a>),
    /// An ARP packet for IPv4 over Ethernet.
    Arp {
        /// Its Ethernet header.
        eth: EthernetHeader,
        /// The packet.
        arp: ArpPacket,
    },
    /// An ICMP message.
    Icmp(IcmpFrame<'a>),
    /// Nothing that the stack speaks.
    Other {
        /// Its Ethernet header.
        eth: EthernetHeader,
        /// Why it goes no further.
        reason: OtherReason,
    },
}

/// Why a well-formed frame is none of the stack's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtherReason {
    /// An 802.3 frame, whose EtherType field is this length.
    Llc(u16),
    /// This EtherType, behind at most one 802.1Q tag; a second tag is one of these.
    EtherType(u16),
    /// ARP for another hardware or protocol, or with another operation than request and reply.
    Arp,
    /// An IPv4 datagram of this protocol.
    Protocol(u8),
    /// A fragment of an IPv4 datagram of this protocol.
    Fragment(u8),
}

/// Parses a frame, from the destination address of its Ethernet header on, FCS out.
///
/// Every length is checked; bytes behind the IP datagram (padding of the link) are left out. With
/// `verify_checksums` the IPv4, TCP and ICMP checksums are checked, else they are not looked at.
#[inline]
pub fn parse(bytes: &[u8], verify_checksums: bool) -> Result<Frame<'_>, WireError> {
    if verify_checksums { parse_frame::<true>(bytes) } else { parse_frame::<false>(bytes) }
}

/// The frame that nearly all are, an untagged one that carries IPv4, goes straight through: with
/// the offsets known, the compiler keeps nothing on the stack.
#[inline(never)]
fn parse_frame<const VERIFY: bool>(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    if let Some((h, datagram)) = bytes.split_first_chunk::<{ ethernet::HEADER_LEN }>()
        && [h[12], h[13]] == ETHERTYPE_IPV4.to_be_bytes()
    {
        return parse_ipv4::<VERIFY>(ethernet::untagged(h), ethernet::HEADER_LEN, datagram);
    }
    parse_unusual::<VERIFY>(bytes)
}

/// A frame with a tag, without IPv4, or without a whole header.
#[inline(never)]
fn parse_unusual<const VERIFY: bool>(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    let (eth, ethertype, rest) = ethernet::parse(bytes)?;
    if ethertype == ETHERTYPE_IPV4 {
        parse_ipv4::<VERIFY>(eth, eth.header_len(), rest)
    } else {
        parse_other(eth, ethertype, rest)
    }
}

/// A datagram that begins `offset` bytes into the frame.
#[inline(always)]
fn parse_ipv4<const VERIFY: bool>(
    eth: EthernetHeader,
    offset: usize,
    datagram: &[u8],
) -> Result<Frame<'_>, WireError> {
    let (ip, payload) = ipv4::parse(datagram, offset, VERIFY)?;
    let offset = offset + usize::from(ip.header_len);
    if ip.protocol == PROTOCOL_TCP && !ip.fragment {
        let pseudo = if VERIFY {
            // A datagram's length is 16 bits, so that of what it carries is.
            Some(ipv4::pseudo_header(ip.src, ip.dst, PROTOCOL_TCP, payload.len() as u16))
        } else {
            None
        };
        let tcp = tcp::parse(payload, offset, pseudo)?;
        return Ok(Frame::Tcp(TcpFrame { eth, ip, tcp }));
    }
    parse_datagram(eth, ip, offset, payload, VERIFY)
}

/// A datagram that does not carry TCP.
#[inline(never)]
fn parse_datagram(
    eth: EthernetHeader,
    ip: Ipv4Header,
    offset: usize,
    payload: &[u8],
    verify_checksums: bool,
) -> Result<Frame<'_>, WireError> {
    if ip.fragment {
        return Ok(Frame::Other { eth, reason: OtherReason::Fragment(ip.protocol) });
    }
    if ip.protocol == PROTOCOL_ICMP {
        let icmp = icmpv4::parse(payload, offset, verify_checksums)?;
        return Ok(Frame::Icmp(IcmpFrame { eth, ip, icmp }));
    }
    Ok(Frame::Other { eth, reason: OtherReason::Protocol(ip.protocol) })
}

/// A frame that does not carry IPv4.
#[inline(never)]
fn parse_other(eth: EthernetHeader, ethertype: u16, rest: &[u8]) -> Result<Frame<'_>, WireError> {
    let reason = match ethertype {
        ETHERTYPE_ARP => match arp::parse(rest, eth.header_len())? {
            Some(arp) => return Ok(Frame::Arp { eth, arp }),
            None => OtherReason::Arp,
        },
        ..ETHERTYPE_MIN => OtherReason::Llc(ethertype),
        _ => OtherReason::EtherType(ethertype),
    };
    Ok(Frame::Other { eth, reason })
}

#[cfg(test)]
mod tests;
