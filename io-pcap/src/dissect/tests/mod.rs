//! Frames built by etherparse, or byte by byte, and what they are.

mod headers;
mod hostile;
mod links;
mod oracle;

use super::*;
use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6Header, PacketBuilder, TcpHeader,
};
use simoom_core::seq::SeqNumber;
use simoom_core::wire::TcpFlags;
use std::net::SocketAddr;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [192, 0, 2, 80];
const CLIENT6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];

/// 50000 > 80, sequence 1001, acknowledgement 77, PSH and ACK, window 501.
fn tcp_header() -> TcpHeader {
    let mut header = TcpHeader::new(50_000, 80, 1_001, 501);
    (header.ack, header.psh, header.acknowledgment_number) = (true, true, 77);
    header
}

fn v4() -> IpHeaders {
    let mut header = Ipv4Header::new(0, 63, IpNumber::TCP, CLIENT, SERVER).unwrap();
    header.identification = 0x1234;
    IpHeaders::Ipv4(header, Ipv4Extensions::default())
}

fn v6() -> IpHeaders {
    let header = Ipv6Header {
        traffic_class: 2,
        flow_label: Ipv6FlowLabel::try_new(7).unwrap(),
        payload_length: 0,
        next_header: IpNumber::TCP,
        hop_limit: 62,
        source: CLIENT6,
        destination: SERVER6,
    };
    IpHeaders::Ipv6(header, Ipv6Extensions::default())
}

/// An IP datagram with its segment, lengths and checksums right.
fn datagram(ip: IpHeaders, tcp: TcpHeader, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ip(ip).tcp_header(tcp).write(&mut out, text).unwrap();
    out
}

fn ethernet(ether_type: u16, rest: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ether_type.to_be_bytes(), rest].concat()
}

/// An Ethernet frame, checksums right.
fn frame(ip: IpHeaders, text: &[u8]) -> Vec<u8> {
    let ether_type = if matches!(ip, IpHeaders::Ipv4(..)) { 0x0800 } else { 0x86dd };
    ethernet(ether_type, &datagram(ip, tcp_header(), text))
}

fn whole(link: LinkType, bytes: &[u8]) -> Dissected<'_> {
    dissect_bytes(link, bytes, bytes.len() as u32, Checksums::Verify)
}

#[track_caller]
fn segment(dissected: Dissected<'_>) -> Segment<'_> {
    match dissected {
        Dissected::Segment(segment) => segment,
        other => panic!("no segment: {other:?}"),
    }
}

#[track_caller]
fn other(dissected: Dissected<'_>) -> OtherKind {
    match dissected {
        Dissected::Other(kind) => kind,
        other => panic!("{other:?}"),
    }
}

/// What `tcp_header` and this text are, over IPv4 or IPv6.
fn expected(text: &[u8], is_v6: bool) -> Segment<'_> {
    let (src, dst) = match is_v6 {
        false => (IpAddr::from(CLIENT), IpAddr::from(SERVER)),
        true => (IpAddr::from(CLIENT6), IpAddr::from(SERVER6)),
    };
    Segment {
        seq: SeqNumber(1_001),
        ack: SeqNumber(77),
        flags: TcpFlags::ACK | TcpFlags::PSH,
        window: 501,
        payload: text,
        payload_len: text.len() as u32,
        ecn: if is_v6 { Ecn::Ect0 } else { Ecn::NotEct },
        ttl: if is_v6 { 62 } else { 63 },
        ip_id: if is_v6 { 0 } else { 0x1234 },
        ..Segment::new(SocketAddr::new(src, 50_000), SocketAddr::new(dst, 80))
    }
}

/// Sets IPv4's total length and makes the header's checksum right again.
fn set_total_len(frame: &mut [u8], len: u16) {
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    frame[24..26].fill(0);
    let sum = simoom_core::wire::checksum::sum(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}
