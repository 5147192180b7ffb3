//! Slow start, congestion avoidance and the window of fast recovery. RFC 5681, RFC 6582.

use super::CongestionControl;
use crate::mutants::mutant;

/// Largest congestion window: half the sequence space would be ambiguous, and a quarter is plenty.
const WINDOW_MAX: u32 = 1 << 30;

/// Segments that the end of recovery lets out at once, at most: as many as an initial window of
/// RFC 6928.
const BURST_SEGMENTS: u32 = 10;

/// The window of a NewReno sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance since cwnd last grew. RFC 3465 §2.1.
    bytes_acked: u32,
}

impl NewReno {
    /// Slow start from a window of so many bytes; ssthresh is as high as can be. RFC 5681 §3.1.
    pub const fn new(initial_window: u32) -> Self {
        Self { cwnd: initial_window, ssthresh: u32::MAX, bytes_acked: 0 }
    }

    /// RFC 5681 equation (4).
    fn half_flight(flight: u32, mss: u32) -> u32 {
        let share = if mutant!(WindowNotHalved) { flight } else { flight / 2 };
        share.max(2 * mss)
    }
}

impl CongestionControl for NewReno {
    #[inline]
    fn window(&self) -> u32 {
        self.cwnd
    }

    #[inline]
    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    #[inline]
    fn on_ack(&mut self, acked: u32, mss: u32, limited: bool) {
        // A window that is not in use says nothing about the path. RFC 7661 §3.
        if !limited {
            return;
        }
        if self.cwnd < self.ssthresh {
            let acked = if mutant!(SlowStartSquared) { self.cwnd } else { acked };
            // RFC 3465 §2.2 with L = 2: an ACK of many segments does not make a burst.
            self.cwnd = (self.cwnd + acked.min(2 * mss)).min(WINDOW_MAX);
            return;
        }
        self.bytes_acked = self.bytes_acked.saturating_add(acked);
        if self.bytes_acked >= self.cwnd {
            self.bytes_acked -= self.cwnd;
            self.cwnd = (self.cwnd + mss).min(WINDOW_MAX);
        }
    }

    fn on_enter_recovery(&mut self, flight: u32, mss: u32) {
        self.ssthresh = Self::half_flight(flight, mss);
        self.cwnd = (self.ssthresh + 3 * mss).min(WINDOW_MAX);
        self.bytes_acked = 0;
    }

    fn on_duplicate_ack(&mut self, mss: u32) {
        self.cwnd = (self.cwnd + mss).min(WINDOW_MAX);
    }

    fn on_partial_ack(&mut self, acked: u32, mss: u32) {
        self.cwnd = self.cwnd.saturating_sub(acked).max(mss);
        if acked >= mss {
            self.cwnd += mss;
        }
    }

    fn on_exit_recovery(&mut self, flight: u32, mss: u32) {
        // RFC 6582 §3.2 step 3, full, option 2: ssthresh, without a long burst. Option 1 (a segment
        // more than is in flight) is slow start from two segments wherever the peer's window ends
        // with the segment that was lost, and nothing is in flight when recovery ends.
        self.cwnd = self.ssthresh.min(flight.saturating_add(BURST_SEGMENTS * mss));
        self.bytes_acked = 0;
    }

    fn on_timeout(&mut self, flight: u32, mss: u32, first: bool) {
        if first {
            self.ssthresh = Self::half_flight(flight, mss);
        }
        if !mutant!(WindowKeptAtTimeout) {
            self.cwnd = mss;
        }
        self.bytes_acked = 0;
    }

    fn on_idle(&mut self, restart_window: u32) {
        self.cwnd = self.cwnd.min(restart_window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    #[test]
    fn slow_start_grows_by_what_was_acknowledged_up_to_two_segments() {
        // RFC 5681 equation (2), RFC 3465 §2.2
        let mut cc = NewReno::new(10 * MSS);
        cc.on_ack(500, MSS, true);
        assert_eq!(cc.window(), 10_500);
        cc.on_ack(5_000, MSS, true);
        assert_eq!(cc.window(), 12_500);
    }

    #[test]
    fn congestion_avoidance_grows_by_one_segment_a_window() {
        let mut cc = NewReno::new(10 * MSS);
        cc.ssthresh = 10 * MSS;
        for _ in 0..9 {
            cc.on_ack(MSS, MSS, true);
            assert_eq!(cc.window(), 10 * MSS);
        }
        cc.on_ack(MSS, MSS, true);
        assert_eq!(cc.window(), 11 * MSS);
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut cc = NewReno::new(10 * MSS);
        cc.on_ack(MSS, MSS, false);
        assert_eq!(cc.window(), 10 * MSS);
    }

    #[test]
    fn recovery_halves_inflates_deflates_and_ends_at_ssthresh() {
        // RFC 5681 §3.2, RFC 6582 §3.2
        let mut cc = NewReno::new(20 * MSS);
        cc.on_enter_recovery(20 * MSS, MSS);
        assert_eq!((cc.ssthresh(), cc.window()), (10 * MSS, 13 * MSS));
        cc.on_duplicate_ack(MSS);
        assert_eq!(cc.window(), 14 * MSS);
        cc.on_partial_ack(3 * MSS, MSS);
        assert_eq!(cc.window(), 12 * MSS);
        cc.on_partial_ack(MSS / 2, MSS);
        assert_eq!(cc.window(), 12 * MSS - MSS / 2);
        cc.on_exit_recovery(0, MSS);
        assert_eq!(cc.window(), 10 * MSS);
        cc.on_enter_recovery(60 * MSS, MSS);
        cc.on_exit_recovery(4 * MSS, MSS);
        assert_eq!((cc.ssthresh(), cc.window()), (30 * MSS, 14 * MSS), "not a burst of 26");
        cc.on_exit_recovery(60 * MSS, MSS);
        assert_eq!(cc.window(), 30 * MSS);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_halves_once() {
        // RFC 5681 §3.1
        let mut cc = NewReno::new(20 * MSS);
        cc.on_timeout(20 * MSS, MSS, true);
        assert_eq!((cc.ssthresh(), cc.window()), (10 * MSS, MSS));
        cc.on_timeout(MSS, MSS, false);
        assert_eq!((cc.ssthresh(), cc.window()), (10 * MSS, MSS));
        cc.on_timeout(MSS, MSS, true);
        assert_eq!(cc.ssthresh(), 2 * MSS);
    }
}
