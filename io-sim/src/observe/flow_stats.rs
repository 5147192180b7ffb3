//! One direction of a connection as the wire shows it, whoever the hosts are.
//!
//! Counted by the oracles as they follow the flows; must not know stacks.

use crate::oracle::FlowName;
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};

/// What one direction of a connection has sent, and what of it has reached the other end. Times are
/// those at which a host gave a frame to its port, or was given one. Connections that had the same
/// addresses and ports one after the other count as one. What a lawless host sends may pretend to be
/// anything: its segments and resets are counted, not its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowStats {
    /// Whose direction.
    pub name: FlowName,
    /// Segments sent, of any kind.
    pub segments: u64,
    /// Bytes of text sent, those sent again among them.
    pub bytes: u64,
    /// Segments that begin with a number sent before: text, SYN or FIN again.
    pub retransmitted_segments: u64,
    /// Bytes of text that had been sent before.
    pub retransmitted_bytes: u64,
    /// Segments that only acknowledge: no text, no SYN, FIN or RST.
    pub pure_acks: u64,
    /// Pure ACKs that repeat the number and the window of the segment before, while something is
    /// outstanding. RFC 5681 §2.
    pub duplicate_acks: u64,
    /// Segments with RST.
    pub resets: u64,
    /// When the first segment was sent; zero where none was.
    pub first_at: Instant,
    /// When the last segment was sent; zero where none was.
    pub last_at: Instant,
    /// Bytes of text that the other end has without a gap.
    pub delivered_bytes: u64,
    /// When the last of them reached it; zero where none has.
    pub delivered_at: Instant,
    /// Round trips, from a segment's sending to the arrival of its acknowledgement.
    pub rtt: RttStats,
    /// The segment that is being timed: behind its last number, and when it was sent.
    timed: Option<(u64, Instant)>,
    /// SEG.ACK and SEG.WND of the last segment.
    last_ack: Option<(SeqNumber, u16)>,
}

/// Round-trip times: one segment at a time is timed, none that was sent twice (Karn).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RttStats {
    /// How many.
    pub samples: u64,
    /// The shortest; zero without a sample.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// All together.
    pub sum: Duration,
}

impl RttStats {
    /// The mean; zero without a sample.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum.as_nanos().checked_div(self.samples).unwrap_or(0))
    }

    fn add(&mut self, rtt: Duration) {
        self.min = if self.samples == 0 { rtt } else { self.min.min(rtt) };
        self.max = self.max.max(rtt);
        self.sum = self.sum + rtt;
        self.samples += 1;
    }
}

impl FlowStats {
    pub(crate) fn new(name: FlowName) -> Self {
        Self {
            name,
            segments: 0,
            bytes: 0,
            retransmitted_segments: 0,
            retransmitted_bytes: 0,
            pure_acks: 0,
            duplicate_acks: 0,
            resets: 0,
            first_at: Instant::ZERO,
            last_at: Instant::ZERO,
            delivered_bytes: 0,
            delivered_at: Instant::ZERO,
            rtt: RttStats::default(),
            timed: None,
            last_ack: None,
        }
    }

    /// Bits a second that reached the other end in order, from the first segment sent to the last
    /// byte delivered; zero where nothing was.
    pub fn goodput(&self) -> f64 {
        let seconds = (self.delivered_at - self.first_at).as_secs_f64();
        if seconds > 0.0 { self.delivered_bytes as f64 * 8.0 / seconds } else { 0.0 }
    }

    /// The share of the text's bytes that were sent again: 0 to 1.
    pub fn retransmitted_share(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.retransmitted_bytes as f64 / self.bytes as f64 }
    }

    /// A segment is sent.
    #[inline]
    pub(crate) fn on_sent(&mut self, now: Instant) {
        if self.segments == 0 {
            self.first_at = now;
        }
        self.segments += 1;
        self.last_at = now;
    }

    /// A pure ACK, or the acknowledgement that another segment carries.
    #[inline]
    pub(crate) fn on_ack_sent(&mut self, ack: SeqNumber, window: u16, pure: bool, waits: bool) {
        if pure {
            self.pure_acks += 1;
            self.duplicate_acks += u64::from(waits && self.last_ack == Some((ack, window)));
        }
        self.last_ack = Some((ack, window));
    }

    /// Numbers are sent of which `again` bytes of text were sent before.
    #[inline]
    pub(crate) fn on_numbers_sent(
        &mut self,
        now: Instant,
        (text, again): (u64, u64),
        is_again: bool,
        end: u64,
    ) {
        self.bytes += text;
        if is_again {
            self.retransmitted_segments += 1;
            self.retransmitted_bytes += again;
            self.timed = None;
        } else if self.timed.is_none() {
            self.timed = Some((end, now));
        }
    }

    /// Everything below a number was acknowledged, and the sender knows.
    #[inline]
    pub(crate) fn on_acknowledged(&mut self, now: Instant, upto: u64) {
        if let Some((_, sent_at)) = self.timed.take_if(|(end, _)| *end <= upto) {
            self.rtt.add(now - sent_at);
        }
    }

    /// More bytes of text have reached the other end without a gap.
    #[inline]
    pub(crate) fn on_delivered(&mut self, now: Instant, bytes: u64) {
        if bytes > 0 {
            self.delivered_bytes += bytes;
            self.delivered_at = now;
        }
    }

    /// Another connection of the same name begins: its numbers are others.
    pub(crate) fn on_new_connection(&mut self) {
        self.timed = None;
        self.last_ack = None;
    }
}
