//! All that a link knows of TCP, for the faults that are aimed at it.

use super::config::LoseByte;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::rewrite::TcpFrameMut;
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame, TcpFrame};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;

/// Where the text of a whole TCP segment lies in its frame; empty where there is none.
pub(super) fn payload(bytes: &[u8]) -> Range<usize> {
    let len = match wire::parse(bytes, false) {
        Ok(Frame::Tcp(frame)) => frame.tcp.payload.len(),
        _ => 0,
    };
    if len == 0 {
        return 0..0;
    }
    // The text ends where the packet does.
    let end = super::damage::packet(bytes).end;
    end - len..end
}

/// Makes the IPv4 and TCP checksums right for what the frame now holds.
pub(super) fn repair_checksums(bytes: &mut [u8]) {
    if let Ok(Some(mut frame)) = TcpFrameMut::new(bytes) {
        frame.repair_checksums();
    }
}

/// Whether a frame only acknowledges: a TCP segment without text, SYN, FIN or RST.
pub(super) fn is_pure_ack(bytes: &[u8]) -> bool {
    let Ok(Frame::Tcp(frame)) = wire::parse(bytes, false) else { return false };
    let flags = frame.tcp.flags;
    let more = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST];
    frame.tcp.payload.is_empty()
        && flags.contains(TcpFlags::ACK)
        && !more.iter().any(|flag| flags.contains(*flag))
}

/// Connections that are followed at most in one direction of a link; the oldest are forgotten.
pub(super) const FLOWS_MAX: usize = 4096;

/// How often the segments that hold certain bytes have come by, in each connection.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteCounts {
    index: BTreeMap<Name, usize>,
    flows: Vec<Flow>,
    /// Which is forgotten next, once there are [`FLOWS_MAX`].
    oldest: usize,
}

type Name = (Ipv4Addr, u16, Ipv4Addr, u16);

#[derive(Clone, Debug)]
struct Flow {
    name: Name,
    isn: SeqNumber,
    /// The largest number seen, the SYN's being 0: what a sequence number is taken to be next to.
    reach: u64,
    /// How often each of the bytes has come by.
    counts: Vec<u32>,
}

impl ByteCounts {
    /// A segment comes by. Answers whether it holds one of the bytes at the time at which that is
    /// to be lost. Of connections whose SYN did not come by nothing is known.
    pub(super) fn on_segment(&mut self, bytes: &[u8], rules: &[LoseByte]) -> bool {
        let Ok(Frame::Tcp(frame)) = wire::parse(bytes, false) else { return false };
        let tcp = &frame.tcp;
        let name = (frame.ip.src, tcp.src_port, frame.ip.dst, tcp.dst_port);
        let syn = tcp.flags.contains(TcpFlags::SYN);
        if syn {
            self.on_syn(name, &frame);
        }
        let Some(flow) = self.index.get(&name).map(|slot| &mut self.flows[*slot]) else {
            return false;
        };
        let distance = tcp.seq.since(flow.isn + flow.reach as u32) as i32;
        let Some(seq) = flow.reach.checked_add_signed(i64::from(distance)) else { return false };
        flow.reach = flow.reach.max(seq + u64::from(tcp.seg_len()));
        // The SYN has a number, the first byte of the stream is the next.
        let Some(first) = (seq + u64::from(syn)).checked_sub(1) else { return false };
        let text = first..first + tcp.payload.len() as u64;
        flow.counts.resize(rules.len(), 0);
        let mut hit = false;
        for (rule, count) in rules.iter().zip(&mut flow.counts) {
            if text.contains(&rule.offset) {
                hit |= *count == rule.retransmission;
                *count = count.saturating_add(1);
            }
        }
        hit
    }

    /// A connection begins, or its SYN comes by once more.
    fn on_syn(&mut self, name: Name, frame: &TcpFrame<'_>) {
        let isn = frame.tcp.seq;
        let flow = Flow { name, isn, reach: 0, counts: Vec::new() };
        if let Some(slot) = self.index.get(&name) {
            if self.flows[*slot].isn != isn {
                self.flows[*slot] = flow;
            }
            return;
        }
        let slot = if self.flows.len() < FLOWS_MAX {
            self.flows.push(flow);
            self.flows.len() - 1
        } else {
            let slot = self.oldest;
            self.oldest = (slot + 1) % FLOWS_MAX;
            let forgotten = std::mem::replace(&mut self.flows[slot], flow);
            self.index.remove(&forgotten.name);
            slot
        };
        self.index.insert(name, slot);
    }
}
