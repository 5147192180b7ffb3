//! What comes: its text, in order or not, the FIN, and when to acknowledge.
//!
//! Sends nothing: it sets what `send` looks at.

use super::super::arrived::Came;
use super::super::manners::{Acknowledging, Manners, Reading};
use super::window::time_of_chunk;
use super::{Conn, ConnEnd, ConnStats};
use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::{TcpFlags, TcpSegment};

impl Conn {
    #[inline]
    pub(super) fn on_open(
        &mut self,
        now: Instant,
        tcp: &TcpSegment<'_>,
        manners: &Manners,
        stats: &mut ConnStats,
    ) {
        stats.segments_in += 1;
        // Distances of less than 2³¹ from what comes next: offset -1 is the SYN.
        let next = self.arrived.next();
        let distance = tcp.seq.since(self.irs + 1 + next as u32) as i32;
        let first = next.checked_add_signed(i64::from(distance));
        if tcp.flags.contains(TcpFlags::RST) {
            if tcp.seq == self.seq_of_ack() {
                self.finish(ConnEnd::Reset, stats);
            } else {
                stats.resets_ignored += 1;
            }
            return;
        }
        if tcp.flags.contains(TcpFlags::SYN) {
            self.ack_now = true; // Our ACK of it was lost.
            return;
        }
        if !tcp.flags.contains(TcpFlags::ACK) {
            return;
        }
        self.on_ack(now, tcp, manners);
        if tcp.seg_len() == 0 {
            // A keep-alive asks from below the window. RFC 9293 §3.8.4.
            self.ack_now |= first.is_none_or(|first| first < next);
            return;
        }
        let Some(first) = first else {
            self.ack_now = true;
            return;
        };
        if let (true, Some(timestamps)) = (self.timestamps, tcp.options.timestamps)
            && first <= self.acked
            && (timestamps.val.wrapping_sub(self.ts_recent) as i32) >= 0
        {
            self.ts_recent = timestamps.val; // RFC 7323 §4.3.
        }
        self.on_text(now, first, tcp, manners, stats);
    }

    #[inline]
    fn on_text(
        &mut self,
        now: Instant,
        first: u64,
        tcp: &TcpSegment<'_>,
        manners: &Manners,
        stats: &mut ConnStats,
    ) {
        let mut text = tcp.payload;
        let mut fin = tcp.flags.contains(TcpFlags::FIN);
        let mut end = first + text.len() as u64;
        if end > self.edge {
            let kept = self.edge.saturating_sub(first).min(text.len() as u64);
            stats.beyond_window_bytes += text.len() as u64 - kept;
            if kept < text.len() as u64 {
                text = &text[..kept as usize];
                end = first + kept;
                fin = false;
                self.ack_now = true;
            }
        }
        if fin {
            self.fin_at = Some(end);
            self.ack_now = true;
        }
        if text.is_empty() {
            return;
        }
        let next = self.arrived.next();
        let had_gap = !self.arrived.islands().is_empty();
        match self.arrived.insert(first, end) {
            Came::Before => {
                stats.repeated += 1;
                self.ack_now = true;
            }
            Came::BeyondGap => {
                stats.beyond_gap += 1;
                self.ack_now = true;
                if !self.answers.check_early(first, text) {
                    self.held.insert(first, text.to_vec());
                }
            }
            Came::InOrder(upto) => {
                stats.in_order += 1;
                self.first_byte_at.get_or_insert(now);
                self.answers.read(&text[(next - first) as usize..]);
                if upto > end {
                    self.read_held(end, upto);
                }
                self.on_in_order(now, had_gap, manners);
            }
        }
    }

    /// Reads what had come beyond a gap: `at..upto`.
    fn read_held(&mut self, mut at: u64, upto: u64) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() < upto
        {
            let (first, bytes) = entry.remove_entry();
            let end = first + bytes.len() as u64;
            if end <= at {
                continue;
            }
            if first > at {
                self.answers.skip(first - at);
                at = first;
            }
            self.answers.read(&bytes[(at - first) as usize..]);
            at = end;
        }
        self.answers.skip(upto - at);
    }

    #[inline]
    fn on_in_order(&mut self, now: Instant, had_gap: bool, manners: &Manners) {
        match manners.acknowledging {
            Acknowledging::Delayed { every, delay } => {
                self.unacked += 1;
                if self.unacked >= every || had_gap {
                    self.ack_now = true;
                } else if self.ack_at == Instant::FAR_FUTURE {
                    self.ack_at = now + delay;
                }
            }
            Acknowledging::Divided { .. } => self.ack_now = true,
        }
        match manners.reading {
            Reading::AtOnce => self.read = self.arrived.next(),
            Reading::Slow { bytes_per_second, chunk, .. } => {
                if self.read_at == Instant::FAR_FUTURE {
                    self.read_at = now + time_of_chunk(chunk, bytes_per_second);
                }
            }
        }
    }

    /// The offset that an acknowledgement of all that came names: a FIN counts as one more.
    #[inline]
    pub(super) fn ack_offset(&self) -> u64 {
        self.arrived.next() + u64::from(self.fin_came())
    }

    fn seq_of_ack(&self) -> SeqNumber {
        self.irs + 1 + self.ack_offset() as u32
    }

    #[inline]
    pub(super) fn fin_came(&self) -> bool {
        self.fin_at == Some(self.arrived.next())
    }
}
