//! From the IP header to the transport's: IPv4 with options, IPv6 with extension headers, either
//! in fragments.

use super::cursor::Rest;
use super::link::{Packet, Version};
use super::transport::{self, IpSum, Network};
use super::{Checksums, Dissected, Ecn, Fragment, OtherKind};
use etherparse::err::{ipv4, ipv6};
use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
};
use simoom_core::wire::checksum;
use std::net::IpAddr;

/// IPv6 extension headers in a row that are followed. RFC 8200 §4.1 lists six, one of them twice.
pub const EXTENSION_HEADERS_MAX: usize = 8;

const PROTOCOL_ICMP: u8 = 1;
pub(crate) const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_FRAGMENT: u8 = 44;
const PROTOCOL_AUTHENTICATION: u8 = 51;
const PROTOCOL_ICMPV6: u8 = 58;
const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_DESTINATION_OPTIONS: u8 = 60;
/// Mobility, host identity, Shim6: laid out like the headers of RFC 8200.
const PROTOCOLS_LIKE_OPTIONS: [u8; 3] = [135, 139, 140];

pub(super) fn packet<'a>(packet: Packet<'a>, sums: Checksums) -> Result<Dissected<'a>, OtherKind> {
    match packet.version {
        Version::V4 => ipv4(packet, sums),
        Version::V6 => ipv6(packet, sums),
    }
}

/// RFC 791 §3.1.
fn ipv4<'a>(packet: Packet<'a>, sums: Checksums) -> Result<Dissected<'a>, OtherKind> {
    let Packet { rest, vlan, .. } = packet;
    let header = match Ipv4HeaderSlice::from_slice(rest.bytes) {
        Ok(header) => header,
        Err(ipv4::HeaderSliceError::Len(_)) => return Err(rest.too_short()),
        Err(ipv4::HeaderSliceError::Content(_)) => return Err(OtherKind::BadHeader),
    };
    // A frame captured before segmentation can be too long for the field, or have none yet.
    let said = u32::from(header.total_len());
    let datagram = if said == 0 { rest } else { rest.limit(said) };
    let header_len = header.slice().len();
    if datagram.wire < header_len as u32 {
        return Err(OtherKind::BadHeader);
    }
    let payload = datagram.skip(header_len);
    let network = Network {
        src: IpAddr::V4(header.source_addr()),
        dst: IpAddr::V4(header.destination_addr()),
        vlan,
        ecn: Ecn::from_traffic_class(header.ecn().value()),
        ttl: header.ttl(),
        ip_id: header.identification(),
        ip_sum: match checksum::sum(header.slice()).fold() {
            0xffff => IpSum::Good,
            _ if header.header_checksum() == 0 => IpSum::Unset,
            _ => IpSum::Bad,
        },
        final_destination: true,
        length_unset: said == 0,
        frame_wire_len: rest.wire,
    };
    let protocol = header.protocol().0;
    if header.is_fragmenting_payload() {
        let offset = u32::from(header.fragments_offset().value()) * 8;
        let id = u32::from(header.identification());
        return Ok(fragment(&network, id, protocol, offset, header.more_fragments(), payload));
    }
    upper(network, protocol, payload, sums)
}

/// RFC 8200 §3.
fn ipv6<'a>(packet: Packet<'a>, sums: Checksums) -> Result<Dissected<'a>, OtherKind> {
    let Packet { rest, vlan, .. } = packet;
    let header = match Ipv6HeaderSlice::from_slice(rest.bytes) {
        Ok(header) => header,
        Err(ipv6::HeaderSliceError::Len(_)) => return Err(rest.too_short()),
        Err(ipv6::HeaderSliceError::Content(_)) => return Err(OtherKind::BadHeader),
    };
    let behind = rest.skip(header.slice().len());
    // Zero for a jumbogram (RFC 2675 §3) and for a frame captured before segmentation: both are as
    // long as their frame.
    let said = u32::from(header.payload_length());
    let payload = if said == 0 { behind } else { behind.limit(said) };
    let network = Network {
        src: IpAddr::V6(header.source_addr()),
        dst: IpAddr::V6(header.destination_addr()),
        vlan,
        ecn: Ecn::from_traffic_class(header.traffic_class()),
        ttl: header.hop_limit(),
        ip_id: 0,
        ip_sum: IpSum::Good,
        final_destination: true,
        length_unset: said == 0,
        frame_wire_len: rest.wire,
    };
    upper(network, header.next_header().0, payload, sums)
}

/// What an IP header with this protocol carries, or what its fragments came to: extension headers
/// are followed, TCP is read.
pub(super) fn upper<'a>(
    mut network: Network,
    mut protocol: u8,
    mut rest: Rest<'a>,
    sums: Checksums,
) -> Result<Dissected<'a>, OtherKind> {
    if protocol == PROTOCOL_TCP {
        return transport::tcp(&network, rest, sums).map(Dissected::Segment);
    }
    let is_v6 = network.src.is_ipv6();
    for _ in 0..=EXTENSION_HEADERS_MAX {
        let header_len;
        match protocol {
            PROTOCOL_TCP => return transport::tcp(&network, rest, sums).map(Dissected::Segment),
            PROTOCOL_UDP => return Err(OtherKind::Udp),
            PROTOCOL_ICMP if !is_v6 => return Err(OtherKind::Icmp),
            PROTOCOL_ICMPV6 if is_v6 => return Err(OtherKind::Icmp),
            PROTOCOL_AUTHENTICATION => {
                let header = IpAuthHeaderSlice::from_slice(rest.bytes).map_err(|error| {
                    use etherparse::err::ip_auth::HeaderSliceError::{Content, Len};
                    match error {
                        Len(_) => rest.too_short(),
                        Content(_) => OtherKind::BadHeader,
                    }
                })?;
                (protocol, header_len) = (header.next_header().0, header.slice().len());
            }
            PROTOCOL_FRAGMENT if is_v6 => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest.bytes)
                    .map_err(|_| rest.too_short())?;
                protocol = header.next_header().0;
                header_len = header.slice().len();
                if header.is_fragmenting_payload() {
                    let offset = u32::from(header.fragment_offset().value()) * 8;
                    let (id, more) = (header.identification(), header.more_fragments());
                    let part = rest.skip(header_len);
                    return Ok(fragment(&network, id, protocol, offset, more, part));
                }
            }
            PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION_OPTIONS if is_v6 => {
                let header =
                    Ipv6RawExtHeaderSlice::from_slice(rest.bytes).map_err(|_| rest.too_short())?;
                if protocol == PROTOCOL_ROUTING && header.slice()[3] != 0 {
                    network.final_destination = false;
                }
                (protocol, header_len) = (header.next_header().0, header.slice().len());
            }
            like if is_v6 && PROTOCOLS_LIKE_OPTIONS.contains(&like) => {
                let header =
                    Ipv6RawExtHeaderSlice::from_slice(rest.bytes).map_err(|_| rest.too_short())?;
                (protocol, header_len) = (header.next_header().0, header.slice().len());
            }
            _ => return Err(OtherKind::OtherIp),
        }
        rest = rest.skip(header_len);
    }
    Err(OtherKind::TooManyHeaders)
}

fn fragment<'a>(
    network: &Network,
    id: u32,
    protocol: u8,
    offset: u32,
    more: bool,
    part: Rest<'a>,
) -> Dissected<'a> {
    let &Network { src, dst, vlan, ecn, ttl, .. } = network;
    let (payload, payload_len) = (part.bytes, part.wire);
    let fragment =
        Fragment { src, dst, vlan, id, protocol, offset, more, payload, payload_len, ecn, ttl };
    Dissected::Fragment(fragment)
}
