//! What a router does to an IPv4 packet: marks it, or answers that it is too long.

use super::damage::ETHERNET_LEN;
use simoom_core::wire::checksum;
use std::net::Ipv4Addr;

/// Where an IPv4 header lies in its frame, and what of it a router looks at.
struct Header<'a> {
    bytes: &'a [u8],
    len: usize,
}

/// An IPv4 header without options, and that of an ICMP message.
const IPV4_LEN: usize = 20;
const ICMP_LEN: usize = 8;
const ICMP: u8 = 1;

impl<'a> Header<'a> {
    /// Of an untagged frame that carries IPv4.
    fn of(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, bytes) = frame.split_at_checked(ETHERNET_LEN)?;
        let len = usize::from(bytes.first()? & 0x0f) * 4;
        let is = ethernet[12..] == [0x08, 0x00] && bytes[0] >> 4 == 4;
        (is && (IPV4_LEN..=bytes.len()).contains(&len)).then_some(Self { bytes, len })
    }
}

/// Where the type of service and the checksum lie in a frame.
const TOS_AT: usize = ETHERNET_LEN + 1;
const CHECKSUM_AT: usize = ETHERNET_LEN + 10;

/// Sets CE in a packet of an ECN-capable transport and repairs the header's checksum incrementally
/// (RFC 3168 §5, RFC 1624). False, and nothing changes, where the packet is of another.
pub(super) fn mark_congestion(frame: &mut [u8]) -> bool {
    if Header::of(frame).is_none() {
        return false;
    }
    let tos = frame[TOS_AT];
    if tos & 0b11 == 0 {
        return false;
    }
    frame[TOS_AT] = tos | 0b11;
    // HC' = ~(~HC + ~m + m'), where m is the word that changed: its upper half did not.
    let checksum = u16::from_be_bytes([frame[CHECKSUM_AT], frame[CHECKSUM_AT + 1]]);
    let sum = u32::from(!checksum) + u32::from(!u16::from(tos)) + u32::from(tos | 0b11);
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    frame[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    true
}

/// The frame that tells a sender of the MTU of the next hop: ICMP «destination unreachable,
/// fragmentation needed and DF set» with the IP header and eight bytes of what was too long (RFC
/// 792, RFC 1191 §4). The Ethernet addresses are swapped. None where RFC 1122 §3.2.2 or a missing DF
/// forbids an answer.
pub(super) fn too_long(frame: &[u8], from: Ipv4Addr, mtu: u16) -> Option<Vec<u8>> {
    let header = Header::of(frame)?;
    let dont_fragment = header.bytes[6] & 0x40 != 0;
    let later_fragment = u16::from_be_bytes([header.bytes[6], header.bytes[7]]) & 0x1fff != 0;
    let icmp_error = header.bytes[9] == ICMP
        && !matches!(header.bytes.get(header.len), Some(0 | 8..=10 | 13..=18));
    if !dont_fragment || later_fragment || icmp_error {
        return None;
    }
    let quoted = &header.bytes[..header.bytes.len().min(header.len + 8)];

    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(quoted);
    let sum = checksum::sum(&icmp).finish();
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());

    let total = (IPV4_LEN + ICMP_LEN + quoted.len()) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, ICMP, 0, 0]);
    ip.extend(from.octets());
    ip.extend(&header.bytes[12..16]);
    let sum = checksum::sum(&ip).finish();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    Some([&frame[6..12], &frame[..6], &frame[12..14], &ip, &icmp].concat())
}
