//! From the link's header to the network's: Ethernet, Linux cooked, raw IP and loopback, and VLAN
//! tags behind those that have an EtherType.

use super::OtherKind;
use super::cursor::Rest;
use crate::read::LinkType;
use etherparse::{Ethernet2HeaderSlice, LinuxSllHeaderSlice, SingleVlanHeaderSlice};

/// VLAN tags in a row that are followed. Two are QinQ; providers stack a third.
pub const VLAN_TAGS_MAX: usize = 4;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q, 802.1ad, and what was used for outer tags before it.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Bytes of a cooked header, version 2: protocol, reserved, interface, ARPHRD, packet type,
/// address length, address.
const SLL2_LEN: usize = 20;
/// Address families of the loopback header: IPv4 everywhere, IPv6 on NetBSD and OpenBSD, FreeBSD,
/// macOS, and Linux.
const FAMILY_IPV4: u32 = 2;
const FAMILIES_IPV6: [u32; 4] = [24, 28, 30, 10];

/// A packet of the network layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) version: Version,
    /// From the IP header on; link padding may follow the datagram.
    pub(super) rest: Rest<'a>,
    /// Identifier of the outermost tag.
    pub(super) vlan: Option<u16>,
}

/// Which IP header to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// Reads the headers in front of the network's.
pub(super) fn strip<'a>(link: LinkType, frame: Rest<'a>) -> Result<Packet<'a>, OtherKind> {
    match link {
        LinkType::Ethernet => {
            let header =
                Ethernet2HeaderSlice::from_slice(frame.bytes).map_err(|_| frame.too_short())?;
            tagged(header.ether_type().0, frame.skip(header.slice().len()))
        }
        LinkType::LinuxSll => {
            // etherparse knows the header for some kinds of device only; the protocol's place and
            // meaning are the same for the others that carry IP.
            let protocol = LinuxSllHeaderSlice::from_slice(frame.bytes)
                .map(|header| u16::from(header.protocol_type()));
            let (header, rest) = frame.take::<16>()?;
            tagged(protocol.unwrap_or(u16::from_be_bytes([header[14], header[15]])), rest)
        }
        LinkType::LinuxSll2 => {
            let (header, rest) = frame.take::<SLL2_LEN>()?;
            tagged(u16::from_be_bytes([header[0], header[1]]), rest)
        }
        LinkType::RawIp => {
            let &[first, ..] = frame.bytes else { return Err(frame.too_short()) };
            let version = match first >> 4 {
                4 => Version::V4,
                6 => Version::V6,
                _ => return Err(OtherKind::BadHeader),
            };
            Ok(Packet { version, rest: frame, vlan: None })
        }
        LinkType::Null => {
            // Families are small numbers: the byte order shows.
            let (&family, rest) = frame.take()?;
            let family = u32::from_le_bytes(family).min(u32::from_be_bytes(family));
            family_packet(family, rest)
        }
        LinkType::Loop => {
            let (&family, rest) = frame.take()?;
            family_packet(u32::from_be_bytes(family), rest)
        }
        LinkType::Other(_) => Err(OtherKind::UnknownLink),
    }
}

fn family_packet(family: u32, rest: Rest<'_>) -> Result<Packet<'_>, OtherKind> {
    let version = match family {
        FAMILY_IPV4 => Version::V4,
        family if FAMILIES_IPV6.contains(&family) => Version::V6,
        _ => return Err(OtherKind::OtherEther),
    };
    Ok(Packet { version, rest, vlan: None })
}

/// Follows VLAN tags.
fn tagged(mut ether_type: u16, mut rest: Rest<'_>) -> Result<Packet<'_>, OtherKind> {
    let mut vlan = None;
    for _ in 0..=VLAN_TAGS_MAX {
        let version = match ether_type {
            ETHERTYPE_IPV4 => Version::V4,
            ETHERTYPE_IPV6 => Version::V6,
            ETHERTYPE_ARP => return Err(OtherKind::Arp),
            tag if ETHERTYPES_VLAN.contains(&tag) => {
                let tag =
                    SingleVlanHeaderSlice::from_slice(rest.bytes).map_err(|_| rest.too_short())?;
                vlan = vlan.or(Some(tag.vlan_identifier().value()));
                ether_type = tag.ether_type().0;
                rest = rest.skip(tag.slice().len());
                continue;
            }
            _ => return Err(OtherKind::OtherEther),
        };
        return Ok(Packet { version, rest, vlan });
    }
    Err(OtherKind::TooManyHeaders)
}
