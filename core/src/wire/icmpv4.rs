//! ICMP for IPv4. RFC 792; next-hop MTU by RFC 1191; echo by RFC 1122 §3.2.2.6.
//!
//! Must not know which connection an error is about: it shows the header that the error quotes.

use super::checksum;
use super::emit::HeaderTemplate;
use super::ethernet::{self, ETHERTYPE_IPV4};
use super::ipv4::{self, PROTOCOL_ICMP};
use super::{EthernetHeader, Ipv4Header, Layer, MacAddr, WireError, WireErrorKind};
use crate::seq::SeqNumber;
use core::net::Ipv4Addr;

/// Bytes of a message's header.
pub const HEADER_LEN: usize = 8;

/// Destination unreachable, code: fragmentation needed and DF set.
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;

const TYPE_ECHO_REPLY: u8 = 0;
const TYPE_UNREACHABLE: u8 = 3;
const TYPE_ECHO_REQUEST: u8 = 8;
const TYPE_TIME_EXCEEDED: u8 = 11;
const CHECKSUM_AT: usize = 2;

/// An ICMP message with the headers it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpFrame<'a> {
    /// The Ethernet header.
    pub eth: EthernetHeader,
    /// The IPv4 header.
    pub ip: Ipv4Header,
    /// The message.
    pub icmp: IcmpMessage<'a>,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpMessage<'a> {
    /// Someone asks for its bytes back.
    EchoRequest(Echo<'a>),
    /// Bytes that came back.
    EchoReply(Echo<'a>),
    /// A datagram of ours could not be delivered.
    Unreachable {
        /// Why: [`CODE_FRAGMENTATION_NEEDED`] and others.
        code: u8,
        /// Bytes of the longest datagram that the next hop takes, with
        /// [`CODE_FRAGMENTATION_NEEDED`]; zero from routers older than RFC 1191, and otherwise.
        next_hop_mtu: u16,
        /// What could not be delivered.
        quoted: Quoted,
    },
    /// A datagram of ours was too long on its way.
    TimeExceeded {
        /// In transit (0), or in reassembly (1).
        code: u8,
        /// What was too long on its way.
        quoted: Quoted,
    },
    /// Anything else.
    Other {
        /// Type.
        message_type: u8,
        /// Code.
        code: u8,
    },
}

/// An echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifier, the requester's.
    pub identifier: u16,
    /// Sequence number, the requester's.
    pub sequence: u16,
    /// Data, the requester's.
    pub data: &'a [u8],
}

/// The start of the datagram that an error is about, as the router saw it. Anybody can forge one:
/// check that it was sent (RFC 5927 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Source: one of our addresses.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Protocol number. The fields below have their meanings for TCP.
    pub protocol: u8,
    /// Bytes of the datagram, header in.
    pub total_len: u16,
    /// Source port: one of ours.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: SeqNumber,
}

/// Parses a message: all of what the datagram carries. `offset` is where `bytes` starts in the
/// frame, for errors.
#[inline(never)]
pub fn parse(
    bytes: &[u8],
    offset: usize,
    verify_checksum: bool,
) -> Result<IcmpMessage<'_>, WireError> {
    let Some((h, data)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(WireError::truncated(Layer::Icmpv4, offset, HEADER_LEN, bytes.len()));
    };
    if verify_checksum {
        let found = checksum::sum(bytes).fold();
        if found != 0xffff {
            let field = u16::from_be_bytes([h[2], h[3]]);
            return Err(WireError::checksum(Layer::Icmpv4, offset + CHECKSUM_AT, field, found));
        }
    }
    let [message_type, code, _, _, a0, a1, b0, b1] = *h;
    let echo = Echo {
        identifier: u16::from_be_bytes([a0, a1]),
        sequence: u16::from_be_bytes([b0, b1]),
        data,
    };
    let quoted = || parse_quoted(data, offset + HEADER_LEN);
    Ok(match (message_type, code) {
        (TYPE_ECHO_REQUEST, 0) => IcmpMessage::EchoRequest(echo),
        (TYPE_ECHO_REPLY, 0) => IcmpMessage::EchoReply(echo),
        (TYPE_UNREACHABLE, _) => IcmpMessage::Unreachable {
            code,
            next_hop_mtu: if code == CODE_FRAGMENTATION_NEEDED { echo.sequence } else { 0 },
            quoted: quoted()?,
        },
        (TYPE_TIME_EXCEEDED, _) => IcmpMessage::TimeExceeded { code, quoted: quoted()? },
        _ => IcmpMessage::Other { message_type, code },
    })
}

/// The quoted header and the 64 bits behind it that RFC 792 promises. The quoted datagram is cut
/// off, so its length says nothing about what is here.
fn parse_quoted(bytes: &[u8], offset: usize) -> Result<Quoted, WireError> {
    let Some(h) = bytes.first_chunk::<{ ipv4::HEADER_LEN }>() else {
        return Err(WireError::truncated(Layer::Icmpv4, offset, ipv4::HEADER_LEN + 8, bytes.len()));
    };
    let header_len = usize::from(h[0] & 0x0f) * 4;
    if h[0] >> 4 != 4 {
        return Err(WireError::new(
            Layer::Icmpv4,
            WireErrorKind::Version,
            offset,
            4,
            usize::from(h[0] >> 4),
        ));
    }
    if header_len < ipv4::HEADER_LEN {
        return Err(WireError::length(Layer::Icmpv4, offset, ipv4::HEADER_LEN, header_len));
    }
    let Some(&[s0, s1, d0, d1, q0, q1, q2, q3]) =
        bytes.get(header_len..).and_then(|b| b.first_chunk::<8>())
    else {
        return Err(WireError::truncated(Layer::Icmpv4, offset, header_len + 8, bytes.len()));
    };
    Ok(Quoted {
        src: Ipv4Addr::new(h[12], h[13], h[14], h[15]),
        dst: Ipv4Addr::new(h[16], h[17], h[18], h[19]),
        protocol: h[9],
        total_len: u16::from_be_bytes([h[2], h[3]]),
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: SeqNumber(u32::from_be_bytes([q0, q1, q2, q3])),
    })
}

/// Writes the frame that answers an echo request, from the template's addresses to those given.
/// Gives the frame's length; None where `out` is too short for it. With `checksum_offload` the IPv4
/// checksum is left zero; ICMP's is always written, since no device computes it.
pub fn write_echo_reply(
    template: &HeaderTemplate,
    out: &mut [u8],
    dst_mac: MacAddr,
    dst_ip: Ipv4Addr,
    request: &Echo<'_>,
    checksum_offload: bool,
) -> Option<usize> {
    write_echo(template, out, dst_mac, dst_ip, TYPE_ECHO_REPLY, request, checksum_offload)
}

/// Writes the frame of an echo request, in the manner of [`write_echo_reply`].
pub fn write_echo_request(
    template: &HeaderTemplate,
    out: &mut [u8],
    dst_mac: MacAddr,
    dst_ip: Ipv4Addr,
    request: &Echo<'_>,
    checksum_offload: bool,
) -> Option<usize> {
    write_echo(template, out, dst_mac, dst_ip, TYPE_ECHO_REQUEST, request, checksum_offload)
}

fn write_echo(
    template: &HeaderTemplate,
    out: &mut [u8],
    dst_mac: MacAddr,
    dst_ip: Ipv4Addr,
    message_type: u8,
    echo: &Echo<'_>,
    checksum_offload: bool,
) -> Option<usize> {
    let message_len = HEADER_LEN + echo.data.len();
    let total_len = u16::try_from(ipv4::HEADER_LEN + message_len).ok()?;
    let eth = EthernetHeader { dst: dst_mac, src: template.src_mac(), vlan: template.vlan() };
    let rest = ethernet::write(out, eth, ETHERTYPE_IPV4)?;
    let (ip, rest) = rest.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
    let message = rest.get_mut(..message_len)?;
    let (header, data) = message.split_first_chunk_mut::<HEADER_LEN>()?;
    let [i0, i1] = echo.identifier.to_be_bytes();
    let [s0, s1] = echo.sequence.to_be_bytes();
    *header = [message_type, 0, 0, 0, i0, i1, s0, s1];
    data.copy_from_slice(echo.data);
    let checksum = checksum::sum(message).finish();
    message
        .get_mut(CHECKSUM_AT..)?
        .first_chunk_mut::<2>()?
        .copy_from_slice(&checksum.to_be_bytes());
    ipv4::write(
        ip,
        template.src_ip(),
        dst_ip,
        PROTOCOL_ICMP,
        template.ttl(),
        total_len,
        checksum_offload,
    );
    Some(eth.header_len() + usize::from(total_len))
}
