//! What is sent: the SYN, requests, acknowledgements and FIN; and what the server acknowledges of it.

use super::super::manners::{Acknowledging, Manners};
use super::super::station::Segment;
use super::{Conn, Means, RTO_MAX};
use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::{SackBlocks, TcpFlags, TcpOptions, TcpSegment, Timestamps};

impl Conn {
    #[inline]
    pub(super) fn on_ack(&mut self, now: Instant, tcp: &TcpSegment<'_>, manners: &Manners) {
        let distance = tcp.ack.since(self.iss + self.una as u32) as i32;
        if distance < 0 || self.una + distance as u64 > self.sent {
            return;
        }
        let ack = self.una + distance as u64;
        self.send_edge = ack + (u64::from(tcp.window) << self.send_scale);
        if distance == 0 {
            return;
        }
        self.una = ack;
        self.nxt = self.nxt.max(ack);
        let acked = (ack.saturating_sub(self.text_from) as usize).min(self.text.len());
        self.text.drain(..acked);
        self.text_from += acked as u64;
        self.rto = manners.rto;
        self.rto_at = if self.una < self.sent { now + self.rto } else { Instant::FAR_FUTURE };
    }

    pub(super) fn poll_opening(&mut self, now: Instant, means: &mut Means<'_>) {
        if self.sent == 0 {
            means.stats.opened += 1;
            self.opened_at = now;
        } else if self.rto_at <= now {
            means.stats.timeouts += 1;
            self.rto = self.rto.saturating_mul(2).min(RTO_MAX);
        } else {
            return;
        }
        let manners = means.manners;
        let options = TcpOptions {
            mss: Some(manners.mss),
            window_scale: manners.window_scale,
            sack_permitted: manners.sack,
            timestamps: manners.timestamps.then(|| Timestamps { val: clock(now), ecr: 0 }),
            sack: SackBlocks::default(),
        };
        let window = manners.window.min(65_535);
        let segment = Segment {
            src_port: self.local_port,
            dst_port: means.server.port(),
            seq: self.iss,
            ack: SeqNumber(0),
            flags: TcpFlags::SYN,
            window: window as u16,
            options,
        };
        (self.nxt, self.sent) = (1, 1);
        self.edge = u64::from(window);
        self.rto_at = now + self.rto;
        means.stats.segments_out += 1;
        means.station.send(means.dst_mac, *means.server.ip(), &segment, &[], means.out);
    }

    /// Sends text, FIN and acknowledgements.
    #[inline]
    pub(super) fn send_text(&mut self, now: Instant, means: &mut Means<'_>) {
        let end = self.text_from + self.text.len() as u64;
        if self.nxt < end || (self.fin && self.nxt == end) {
            self.send_numbers(now, end, means);
        }
        self.probing = false;
        if self.una < self.nxt && self.rto_at == Instant::FAR_FUTURE {
            self.rto_at = now + self.rto;
        }
        if !self.ack_now {
            return;
        }
        if let Acknowledging::Divided { parts } = means.manners.acknowledging {
            let (from, upto) = (self.acked, self.ack_offset());
            for part in 1..u64::from(parts) {
                let at = from + (upto - from) * part / u64::from(parts);
                if at > self.acked {
                    self.send_ack_of(now, at, means);
                }
            }
        }
        self.send_ack_of(now, self.ack_offset(), means);
    }

    fn send_numbers(&mut self, now: Instant, end: u64, means: &mut Means<'_>) {
        let mss = u64::from(means.manners.mss).min(1460);
        while self.nxt < end {
            let edge = self.send_edge.max(self.una + u64::from(self.probing));
            let n = mss.min(end - self.nxt).min(edge.saturating_sub(self.nxt));
            if n == 0 {
                // Closed: the retransmission timeout probes.
                if self.rto_at == Instant::FAR_FUTURE {
                    self.rto_at = now + self.rto;
                }
                return;
            }
            let fin = self.fin && self.nxt + n == end;
            let mut flags = TcpFlags::ACK | TcpFlags::PSH;
            if fin {
                flags = flags | TcpFlags::FIN;
            }
            self.send(now, flags, self.nxt, n as usize, means);
            self.nxt += n + u64::from(fin);
            self.sent = self.sent.max(self.nxt);
        }
        if self.fin && self.nxt == end {
            self.send(now, TcpFlags::ACK | TcpFlags::FIN, self.nxt, 0, means);
            self.nxt += 1;
            self.sent = self.sent.max(self.nxt);
        }
    }

    fn send_ack_of(&mut self, now: Instant, offset: u64, means: &mut Means<'_>) {
        self.acked = offset;
        means.stats.acks_out += 1;
        self.emit(now, TcpFlags::ACK, self.nxt, offset, 0, means);
    }

    /// Sends numbers from `number` on, with an acknowledgement of all that came.
    pub(super) fn send(
        &mut self,
        now: Instant,
        flags: TcpFlags,
        number: u64,
        len: usize,
        means: &mut Means<'_>,
    ) {
        self.emit(now, flags, number, self.ack_offset(), len, means);
    }

    #[inline]
    fn emit(
        &mut self,
        now: Instant,
        flags: TcpFlags,
        number: u64,
        ack: u64,
        len: usize,
        means: &mut Means<'_>,
    ) {
        let window = self.announce(means);
        let mut sack = SackBlocks::default();
        if self.sack {
            for (left, right) in self.arrived.sack_blocks() {
                let at = |offset: u64| self.irs + 1 + offset as u32;
                if !sack.push(at(left), at(right)) {
                    break;
                }
            }
        }
        let stamps = || Timestamps { val: clock(now), ecr: self.ts_recent };
        let segment = Segment {
            src_port: self.local_port,
            dst_port: means.server.port(),
            seq: self.iss + number as u32,
            ack: self.irs + 1 + ack as u32,
            flags,
            window,
            options: TcpOptions {
                timestamps: self.timestamps.then(stamps),
                sack,
                ..TcpOptions::default()
            },
        };
        if ack == self.ack_offset() {
            self.acked = ack;
            self.unacked = 0;
            self.ack_now = false;
            self.ack_at = Instant::FAR_FUTURE;
        }
        means.stats.segments_out += 1;
        let from = (number.wrapping_sub(self.text_from) as usize).min(self.text.len());
        let text = if len == 0 { &[] } else { &self.text[from..from + len] };
        means.station.send(means.dst_mac, *means.server.ip(), &segment, text, means.out);
    }
}

/// The clock of timestamps: milliseconds.
fn clock(now: Instant) -> u32 {
    now.as_millis() as u32
}
