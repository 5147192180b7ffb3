//! A station on an Ethernet: its addresses, its neighbours, and the making of frames.
//!
//! Must not know connections.

use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::arp;
use simoom_core::wire::checksum::{Sum, sum};
use simoom_core::wire::tcp::{OPTIONS_MAX, segment_sum, write_options};
use simoom_core::wire::{
    self, ArpOperation, ArpPacket, Frame, HeaderTemplate, MacAddr, TcpFlags, TcpFrame, TcpHeader,
    TcpOptions, write_tcp_frame,
};
use std::net::Ipv4Addr;

/// From one ARP request to the next for an address that does not answer.
pub const ARP_AGAIN: Duration = Duration::from_secs(1);

/// Bytes before an IPv4 packet.
const ETHERNET_LEN: usize = 14;
/// Bytes of an IPv4 header without options.
const IPV4_LEN: usize = 20;
/// Bytes of the longest headers in front of a segment's text.
const HEADERS_MAX: usize = ETHERNET_LEN + IPV4_LEN + 20 + OPTIONS_MAX;

/// Who a frame says that it is from, and to whom. A liar says what it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Source Ethernet address.
    pub src_mac: MacAddr,
    /// Destination Ethernet address.
    pub dst_mac: MacAddr,
    /// Source IPv4 address.
    pub src_ip: Ipv4Addr,
    /// Destination IPv4 address.
    pub dst_ip: Ipv4Addr,
}

/// What the header of a segment says: every field free, none checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: SeqNumber,
    /// Acknowledgement number; written also without ACK.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window field, not scaled.
    pub window: u16,
    /// Options.
    pub options: TcpOptions,
}

/// Writes an IPv4 packet in an Ethernet frame to `out`, which is emptied: identification 0, DF, TTL 64. The
/// payload is at most 65,515 bytes.
pub fn write_ipv4(out: &mut Vec<u8>, route: &Route, protocol: u8, payload: &[u8]) {
    out.clear();
    out.extend_from_slice(&route.dst_mac.0);
    out.extend_from_slice(&route.src_mac.0);
    out.extend_from_slice(&[8, 0]);
    let total_len =
        u16::try_from(IPV4_LEN + payload.len()).expect("an IPv4 packet has 65,535 bytes");
    let [l0, l1] = total_len.to_be_bytes();
    out.extend_from_slice(&[0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    out.extend_from_slice(&route.src_ip.octets());
    out.extend_from_slice(&route.dst_ip.octets());
    let checksum = sum(&out[ETHERNET_LEN..]).finish();
    out[ETHERNET_LEN + 10..ETHERNET_LEN + 12].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Writes any segment, options as given, as a frame to `out`, which is emptied. Checksums are right.
pub fn write_segment(out: &mut Vec<u8>, route: &Route, segment: &Segment, text: &[u8]) {
    let mut options = [0; OPTIONS_MAX];
    let len = write_options(&segment.options, &mut options);
    let mut tcp = Vec::with_capacity(20 + len + text.len());
    tcp.extend_from_slice(&segment.src_port.to_be_bytes());
    tcp.extend_from_slice(&segment.dst_port.to_be_bytes());
    tcp.extend_from_slice(&segment.seq.0.to_be_bytes());
    tcp.extend_from_slice(&segment.ack.0.to_be_bytes());
    tcp.extend_from_slice(&[((20 + len) as u8 / 4) << 4, segment.flags.0]);
    tcp.extend_from_slice(&segment.window.to_be_bytes());
    tcp.extend_from_slice(&[0; 4]);
    tcp.extend_from_slice(&options[..len]);
    tcp.extend_from_slice(text);
    let checksum = segment_sum(route.src_ip, route.dst_ip, &tcp).finish();
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    write_ipv4(out, route, wire::ipv4::PROTOCOL_TCP, &tcp);
}

/// A station with one address and a few neighbours, which it asks for by ARP.
#[derive(Clone, Debug)]
pub struct Station {
    template: HeaderTemplate,
    /// Few: an endpoint talks to a server or two.
    neighbours: Vec<Neighbour>,
    /// ARP requests for this station, to be answered at the next [`Station::poll`].
    asked: Vec<ArpPacket>,
    /// Where frames are made.
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Neighbour {
    ip: Ipv4Addr,
    mac: Option<MacAddr>,
    ask_at: Instant,
}

/// ARP requests that wait for an answer at most; more are dropped, and asked again.
const ASKED_MAX: usize = 16;

impl Station {
    /// A station with these addresses. Everyone it talks to is on its own Ethernet.
    pub fn new(mac: MacAddr, ip: Ipv4Addr) -> Self {
        let template = HeaderTemplate::new(mac, None, ip, 64);
        Self { template, neighbours: Vec::new(), asked: Vec::new(), scratch: Vec::new() }
    }

    /// Station `number` (not 0): 10.66.x.y, with the addresses that `StackSetup::new` gives to the same
    /// number.
    pub fn numbered(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self::new(MacAddr([2, 0x66, 0, 0, high, low]), Ipv4Addr::new(10, 66, high, low))
    }

    /// Its Ethernet address.
    pub fn mac(&self) -> MacAddr {
        self.template.src_mac()
    }

    /// Its IPv4 address.
    pub fn ip(&self) -> Ipv4Addr {
        self.template.src_ip()
    }

    /// Takes a frame: learns from ARP, and gives the segment if it is one for this station, with checksums
    /// right.
    #[inline]
    pub fn on_frame<'a>(&mut self, frame: &'a [u8]) -> Option<TcpFrame<'a>> {
        match wire::parse(frame, true) {
            Ok(Frame::Tcp(tcp)) if tcp.eth.dst == self.mac() && tcp.ip.dst == self.ip() => {
                Some(tcp)
            }
            Ok(Frame::Arp { arp, .. }) => {
                self.on_arp(arp);
                None
            }
            _ => None,
        }
    }

    fn on_arp(&mut self, arp: ArpPacket) {
        if let Some(known) = self.neighbours.iter_mut().find(|n| n.ip == arp.sender_ip) {
            known.mac = Some(arp.sender_mac);
        }
        let for_us = arp.operation == ArpOperation::Request && arp.target_ip == self.ip();
        if for_us && self.asked.len() < ASKED_MAX {
            self.asked.push(arp);
        }
    }

    /// Answers those who asked for this station.
    #[inline]
    pub fn poll(&mut self, out: &mut dyn FnMut(&[u8])) {
        for arp in self.asked.drain(..) {
            let mut frame = [0; 60];
            if arp::write_reply(&self.template, &mut frame, &arp).is_some() {
                out(&frame);
            }
        }
    }

    /// The Ethernet address of a neighbour, if it is known. If not, asks for it, not more often than
    /// every [`ARP_AGAIN`]: come again at [`Station::ask_at`].
    #[inline]
    pub fn resolve(
        &mut self,
        now: Instant,
        ip: Ipv4Addr,
        out: &mut dyn FnMut(&[u8]),
    ) -> Option<MacAddr> {
        let known = self.neighbours.iter().position(|neighbour| neighbour.ip == ip);
        let known = known.unwrap_or_else(|| {
            self.neighbours.push(Neighbour { ip, mac: None, ask_at: now });
            self.neighbours.len() - 1
        });
        let neighbour = &mut self.neighbours[known];
        if neighbour.mac.is_none() && neighbour.ask_at <= now {
            neighbour.ask_at = now + ARP_AGAIN;
            let mut frame = [0; 60];
            if arp::write_request(&self.template, &mut frame, ip).is_some() {
                out(&frame);
            }
        }
        neighbour.mac
    }

    /// When a neighbour whose address is not known yet is to be asked for again.
    pub fn ask_at(&self) -> Option<Instant> {
        self.neighbours.iter().filter(|n| n.mac.is_none()).map(|n| n.ask_at).min()
    }

    /// Sends a segment from this station to a neighbour that was resolved.
    #[inline]
    pub fn send(
        &mut self,
        dst_mac: MacAddr,
        dst_ip: Ipv4Addr,
        segment: &Segment,
        text: &[u8],
        out: &mut dyn FnMut(&[u8]),
    ) {
        let options = &segment.options;
        let plain = options.mss.is_none()
            && options.window_scale.is_none()
            && !options.sack_permitted
            && options.sack.is_empty();
        if plain && text.len() <= 1500 {
            let header = TcpHeader {
                dst_mac,
                dst_ip,
                src_port: segment.src_port,
                dst_port: segment.dst_port,
                seq: segment.seq,
                ack: segment.ack,
                flags: segment.flags,
                window: segment.window,
                timestamps: options.timestamps,
                syn: None,
            };
            if text.is_empty() {
                let mut frame = [0; HEADERS_MAX];
                let at = write_tcp_frame(&self.template, &mut frame, &header, 0, Sum::ZERO, false);
                return out(&frame[..at]);
            }
            let mut frame = [0; HEADERS_MAX + 1500];
            let (len, of_text) = (text.len(), sum(text));
            let at = write_tcp_frame(&self.template, &mut frame, &header, len, of_text, false);
            frame[at..at + len].copy_from_slice(text);
            return out(&frame[..at + len]);
        }
        let route = Route { src_mac: self.mac(), dst_mac, src_ip: self.ip(), dst_ip };
        let mut frame = std::mem::take(&mut self.scratch);
        write_segment(&mut frame, &route, segment, text);
        out(&frame);
        self.scratch = frame;
    }
}
