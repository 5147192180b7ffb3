//! What dissection answers: plain data that borrows the text from the frame.

use simoom_core::seq::SeqNumber;
use simoom_core::wire::{TcpFlags, TcpOptions};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What a frame was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dissected<'a> {
    /// A TCP segment.
    Segment(Segment<'a>),
    /// A part of an IP datagram that others have to complete.
    Fragment(Fragment<'a>),
    /// Nothing of TCP, or not enough of it.
    Other(OtherKind),
}

/// One TCP segment, and what of the headers in front of it matters to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub src: SocketAddr,
    /// To whom.
    pub dst: SocketAddr,
    /// VLAN identifier of the outermost tag, 0 to 4095; 0 is a tag for priority alone.
    pub vlan: Option<u16>,
    /// Sequence number of the first octet, or of SYN.
    pub seq: SeqNumber,
    /// Acknowledgement number; meaningful with ACK only.
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field, not scaled.
    pub window: u16,
    /// What the options say, as far as [`Segment::options_seen`].
    pub options: TcpOptions,
    /// Whether all options could be read.
    pub options_seen: OptionsSeen,
    /// The octets of text that were captured: the first ones.
    pub payload: &'a [u8],
    /// Octets of text on the wire, from the IP header's length; where that is 0, as in frames
    /// captured before segmentation, from the frame's. Never fewer than were captured.
    pub payload_len: u32,
    /// The IP header's ECN field.
    pub ecn: Ecn,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4's identification; 0 for IPv6.
    pub ip_id: u16,
    /// What can be said about the checksums.
    pub checksum: ChecksumSeen,
}

impl Segment<'_> {
    /// An empty segment without control bits, for callers that make their own.
    pub fn new(src: SocketAddr, dst: SocketAddr) -> Self {
        Self {
            src,
            dst,
            vlan: None,
            seq: SeqNumber(0),
            ack: SeqNumber(0),
            flags: TcpFlags::NONE,
            window: 0,
            options: TcpOptions::default(),
            options_seen: OptionsSeen::All,
            payload: &[],
            payload_len: 0,
            ecn: Ecn::NotEct,
            ttl: 64,
            ip_id: 0,
            checksum: ChecksumSeen::Good,
        }
    }

    /// SEG.LEN: octets of text on the wire, and one each for SYN and FIN. RFC 9293 §3.3.1.
    pub const fn seg_len(&self) -> u32 {
        self.payload_len
            .saturating_add(self.flags.contains(TcpFlags::SYN) as u32)
            .saturating_add(self.flags.contains(TcpFlags::FIN) as u32)
    }

    /// Whether the capture holds less text than the wire carried.
    pub const fn is_cut(&self) -> bool {
        (self.payload.len() as u64) < self.payload_len as u64
    }
}

/// How much of the options [`Segment::options`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OptionsSeen {
    /// All.
    #[default]
    All,
    /// Those in front of one that cannot be what it says (RFC 9293 MUST-7).
    UpToMalformed,
    /// Those in front of where the capture cut the frame.
    UpToCut,
}

/// The ECN field of an IP header. RFC 3168 §5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// 00: the transport does not use ECN for this packet.
    #[default]
    NotEct,
    /// 01: ECN-capable, ECT(1).
    Ect1,
    /// 10: ECN-capable, ECT(0).
    Ect0,
    /// 11: congestion experienced.
    Ce,
}

impl Ecn {
    /// The field in the lower two bits of a traffic class.
    pub const fn from_traffic_class(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }
}

/// What a capture shows of a segment's checksums, that of IPv4's header among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumSeen {
    /// Right.
    Good,
    /// Wrong: the receiver will not have taken the segment.
    Bad,
    /// Not filled in yet: zero, or the pseudo-header's sum alone, as a sender leaves it to its
    /// device; or wrong on a frame too large to have been on a wire in one piece.
    Offloaded,
    /// Not to be known, since bytes are missing, or not asked for.
    NotChecked,
}

/// A part of an IP datagram. RFC 791 §3.2, RFC 8200 §4.5. A datagram in one piece that carries a
/// fragment header ("atomic", RFC 6946) is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Who sent the datagram.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
    /// VLAN identifier of the outermost tag.
    pub vlan: Option<u16>,
    /// Which datagram of these hosts; 16 bits in IPv4.
    pub id: u32,
    /// IPv4's protocol, or IPv6's next header behind the fragment header.
    pub protocol: u8,
    /// Where the part begins in the datagram's payload: bytes, a multiple of 8.
    pub offset: u32,
    /// Whether parts follow.
    pub more: bool,
    /// The bytes of the part that were captured: the first ones.
    pub payload: &'a [u8],
    /// Bytes of the part on the wire.
    pub payload_len: u32,
    /// The IP header's ECN field.
    pub ecn: Ecn,
    /// Time to live, or hop limit.
    pub ttl: u8,
}

/// Why a frame gave no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OtherKind {
    /// ARP.
    Arp,
    /// ICMP, of either IP version.
    Icmp,
    /// UDP.
    Udp,
    /// Another protocol over IP.
    OtherIp,
    /// No IP and no ARP: another EtherType, or IEEE 802.3 with LLC.
    OtherEther,
    /// The capture's cut goes through a header.
    CutHeader,
    /// A header contradicts itself or the length of its frame.
    BadHeader,
    /// More VLAN tags or IPv6 extension headers in a row than are followed.
    TooManyHeaders,
    /// The link's type is not known.
    UnknownLink,
}

impl OtherKind {
    /// Every kind, in the order of the type.
    pub const ALL: [Self; 9] = [
        Self::Arp,
        Self::Icmp,
        Self::Udp,
        Self::OtherIp,
        Self::OtherEther,
        Self::CutHeader,
        Self::BadHeader,
        Self::TooManyHeaders,
        Self::UnknownLink,
    ];

    /// The kind's name for tables and JSON: lower case, underscores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Icmp => "icmp",
            Self::Udp => "udp",
            Self::OtherIp => "other_ip",
            Self::OtherEther => "other_ether",
            Self::CutHeader => "cut_header",
            Self::BadHeader => "bad_header",
            Self::TooManyHeaders => "too_many_headers",
            Self::UnknownLink => "unknown_link",
        }
    }
}

impl fmt::Display for OtherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp => "ARP",
            Self::Icmp => "ICMP",
            Self::Udp => "UDP",
            Self::OtherIp => "another protocol over IP",
            Self::OtherEther => "neither IP nor ARP",
            Self::CutHeader => "a header cut by the capture",
            Self::BadHeader => "a header that cannot be true",
            Self::TooManyHeaders => "too many headers in a row",
            Self::UnknownLink => "an unknown link type",
        })
    }
}
