//! ARP for IPv4 over Ethernet. RFC 826.
//!
//! Must not know the neighbour cache: it says what a packet says.

use super::emit::HeaderTemplate;
use super::ethernet::{self, ETHERTYPE_ARP, EthernetHeader, MacAddr};
use super::{Layer, WireError};
use core::net::Ipv4Addr;

/// Bytes of a packet for IPv4 over Ethernet.
pub const PACKET_LEN: usize = 28;

/// What an ARP packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target's IP address?
    Request,
    /// The sender has it.
    Reply,
}

/// A packet for IPv4 over Ethernet. A gratuitous one has the sender's IP address as its target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// Request or reply.
    pub operation: ArpOperation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddr,
    /// The sender's IP address; 0.0.0.0 in a probe (RFC 5227 §2.1.1).
    pub sender_ip: Ipv4Addr,
    /// The target's Ethernet address; without meaning in a request.
    pub target_mac: MacAddr,
    /// The target's IP address.
    pub target_ip: Ipv4Addr,
}

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// Parses a packet; None where it is for another hardware, another protocol, or another purpose.
/// `offset` is where `bytes` starts in the frame, for errors.
pub fn parse(bytes: &[u8], offset: usize) -> Result<Option<ArpPacket>, WireError> {
    let Some(p) = bytes.first_chunk::<PACKET_LEN>() else {
        return Err(WireError::truncated(Layer::Arp, offset, PACKET_LEN, bytes.len()));
    };
    let [k0, k1, k2, k3, k4, k5, o0, o1, ..] = *p;
    let operation = match ([k0, k1, k2, k3, k4, k5], u16::from_be_bytes([o0, o1])) {
        (KIND, 1) => ArpOperation::Request,
        (KIND, 2) => ArpOperation::Reply,
        _ => return Ok(None),
    };
    Ok(Some(ArpPacket {
        operation,
        sender_mac: MacAddr([p[8], p[9], p[10], p[11], p[12], p[13]]),
        sender_ip: Ipv4Addr::new(p[14], p[15], p[16], p[17]),
        target_mac: MacAddr([p[18], p[19], p[20], p[21], p[22], p[23]]),
        target_ip: Ipv4Addr::new(p[24], p[25], p[26], p[27]),
    }))
}

/// Writes a frame that asks everyone who has `target_ip`. Gives its length, without padding to the
/// link's minimum; None where `out` is too short.
pub fn write_request(
    template: &HeaderTemplate,
    out: &mut [u8],
    target_ip: Ipv4Addr,
) -> Option<usize> {
    let packet = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: template.src_mac(),
        sender_ip: template.src_ip(),
        target_mac: MacAddr::ZERO,
        target_ip,
    };
    write(out, MacAddr::BROADCAST, template.vlan(), &packet)
}

/// Writes the frame that answers `request` with the template's addresses. Gives its length, without
/// padding to the link's minimum; None where `out` is too short. Whether the request was for the
/// template's address is the caller's question.
pub fn write_reply(
    template: &HeaderTemplate,
    out: &mut [u8],
    request: &ArpPacket,
) -> Option<usize> {
    let packet = ArpPacket {
        operation: ArpOperation::Reply,
        sender_mac: template.src_mac(),
        sender_ip: template.src_ip(),
        target_mac: request.sender_mac,
        target_ip: request.sender_ip,
    };
    write(out, request.sender_mac, template.vlan(), &packet)
}

/// Writes any packet as a frame from its sender to `dst`. Gives the frame's length, without padding
/// to the link's minimum; None where `out` is too short.
pub fn write(out: &mut [u8], dst: MacAddr, vlan: Option<u16>, packet: &ArpPacket) -> Option<usize> {
    let header = EthernetHeader { dst, src: packet.sender_mac, vlan };
    let rest = ethernet::write(out, header, ETHERTYPE_ARP)?;
    let p = rest.first_chunk_mut::<PACKET_LEN>()?;
    p[..6].copy_from_slice(&KIND);
    p[6] = 0;
    p[7] = match packet.operation {
        ArpOperation::Request => 1,
        ArpOperation::Reply => 2,
    };
    p[8..14].copy_from_slice(&packet.sender_mac.0);
    p[14..18].copy_from_slice(&packet.sender_ip.octets());
    p[18..24].copy_from_slice(&packet.target_mac.0);
    p[24..].copy_from_slice(&packet.target_ip.octets());
    Some(header.header_len() + PACKET_LEN)
}
