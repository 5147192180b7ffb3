//! Answers that belong to no connection: resets, ARP, ICMP echo. They wait in a bounded queue for a
//! slot of the ring, and go before any connection's segments.

use super::app::App;
use super::demux::FlowKey;
use super::transmit::{header, room as room_of, submit};
use super::turn::Held;
use super::{ECHO_FRAME_MAX, REPLIES_MAX, Stack};
use crate::marks::mark;
use crate::port::Port;
use crate::tcp::SegmentPlan;
use crate::time::Instant;
use crate::trace::Trace;
use crate::wire::checksum::Sum;
use crate::wire::emit::{HeaderTemplate, write_tcp_frame};
use crate::wire::{self, ArpPacket, Frame, IcmpFrame, IcmpMessage, MacAddr, arp, icmpv4};
use alloc::boxed::Box;
use core::net::Ipv4Addr;

/// An answer that belongs to no connection, or to one that is gone.
#[derive(Clone)]
pub(super) enum Reply {
    /// A segment without text.
    Segment { key: FlowKey, mac: MacAddr, plan: SegmentPlan },
    /// Our hardware address, for whoever asked.
    Arp(ArpPacket),
    /// Who has this address?
    ArpRequest { ip: Ipv4Addr },
    /// The frame of an echo request in one of the echo buffers.
    Echo { slot: u8, len: u16 },
}

/// Frames of echo requests that wait to be turned round. Allocated once.
#[derive(Clone)]
pub(super) struct EchoFrames {
    bytes: Box<[u8]>,
    taken: u8,
}

impl EchoFrames {
    /// Echo requests that wait at once, at most.
    const SLOTS: usize = 8;

    pub(super) fn new() -> Self {
        Self { bytes: alloc::vec![0; Self::SLOTS * ECHO_FRAME_MAX].into_boxed_slice(), taken: 0 }
    }

    fn keep(&mut self, frame: &[u8]) -> Option<u8> {
        let slot = self.taken.trailing_ones() as usize;
        if slot >= Self::SLOTS || frame.len() > ECHO_FRAME_MAX {
            return None;
        }
        self.taken |= 1 << slot;
        self.bytes[slot * ECHO_FRAME_MAX..][..frame.len()].copy_from_slice(frame);
        Some(slot as u8)
    }

    fn release(&mut self, slot: u8, len: u16) -> &[u8] {
        self.taken &= !(1 << slot);
        &self.bytes[usize::from(slot) * ECHO_FRAME_MAX..][..usize::from(len)]
    }
}

impl<A: App, T: Trace> Stack<A, T> {
    pub(super) fn queue_reply(&mut self, reply: Reply) {
        if self.replies.len() >= REPLIES_MAX {
            mark!(RepliesFull);
            self.stats.replies_full += 1;
            return;
        }
        self.replies.push_back(reply);
    }

    pub(super) fn queue_echo(&mut self, frame: &[u8]) {
        if self.replies.len() >= REPLIES_MAX {
            self.stats.replies_full += 1;
            return;
        }
        match self.echo_frames.keep(frame) {
            Some(slot) => self.queue_reply(Reply::Echo { slot, len: frame.len() as u16 }),
            None => self.stats.replies_full += 1,
        }
    }

    /// Sends what waits, as far as slots and buffers go.
    pub(super) fn send_replies<P: Port>(
        &mut self,
        now: Instant,
        port: &mut P,
        room: &mut usize,
    ) -> Held {
        while let Some(reply) = self.replies.front() {
            if P::GATHERS && *room == 0 {
                *room = room_of(&self.store, port);
            }
            if *room == 0 {
                self.stats.tx_ring_full += 1;
                return Held::RingFull;
            }
            let Some(mut buf) = self.store.take_buffer(port) else {
                self.stats.tx_no_buffer += 1;
                return Held::NoBuffer;
            };
            let out = port.bytes_mut(&mut buf);
            let len = match *reply {
                Reply::Segment { ref key, mac, ref plan } => Some(write_tcp_frame(
                    &self.template,
                    out,
                    &header(key, mac, plan),
                    0,
                    Sum::ZERO,
                    self.caps.checksum.tx,
                )),
                Reply::Arp(ref request) => {
                    self.stats.arp_replies += 1;
                    arp::write_reply(&self.template, out, request)
                }
                Reply::ArpRequest { ip } => {
                    self.stats.arp_requests += 1;
                    arp::write_request(&self.template, out, ip)
                }
                Reply::Echo { slot, len } => {
                    self.stats.echo_replies += 1;
                    let request = self.echo_frames.release(slot, len);
                    write_echo_reply(&self.template, out, request, self.caps.checksum.tx)
                }
            };
            self.replies.pop_front();
            match len {
                Some(len) => {
                    if T::ENABLED {
                        self.trace.on_sent(now, &port.bytes(&buf)[..len], None);
                    }
                    submit(port, room, &mut self.store, &mut self.stats, buf, len);
                }
                None => port.give_back(buf),
            }
        }
        Held::No
    }
}

/// Turns an echo request round. RFC 1122 §3.2.2.6.
fn write_echo_reply(
    template: &HeaderTemplate,
    out: &mut [u8],
    request: &[u8],
    offload: bool,
) -> Option<usize> {
    match wire::parse(request, false) {
        Ok(Frame::Icmp(IcmpFrame { eth, ip, icmp: IcmpMessage::EchoRequest(echo) })) => {
            icmpv4::write_echo_reply(template, out, eth.src, ip.src, &echo, offload)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{ChecksumOffload, PortCaps};
    use crate::secrets::Secrets;
    use crate::server::{Catalogue, FileServer, MemoryBodies, ServerConfig};
    use crate::stack::Config;

    #[test]
    fn echo_requests_that_find_the_queue_full_leave_room_for_later_ones() {
        let config = Config::new(MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1), 24);
        let caps = PortCaps {
            frame_max: 1_514,
            buffers: 16,
            tx_slots: 16,
            tx_hold_max: 16,
            tx_hold_idle: 0,
            max_frags: 1,
            checksum: ChecksumOffload::default(),
        };
        let catalogue = Catalogue::builder(0).build();
        let app = FileServer::new(catalogue, MemoryBodies::new(), ServerConfig::default());
        let mut stack = Stack::new(config, Secrets::new([1; 4]), &caps, app);
        for _ in 0..REPLIES_MAX {
            stack.queue_reply(Reply::ArpRequest { ip: Ipv4Addr::new(10, 0, 0, 9) });
        }
        for _ in 0..20 {
            stack.queue_echo(&[0; 60]);
        }
        assert_eq!(stack.stats.replies_full, 20);
        stack.replies.clear();
        stack.queue_echo(&[0; 60]);
        assert_eq!((stack.replies.len(), stack.stats.replies_full), (1, 20));
    }
}
