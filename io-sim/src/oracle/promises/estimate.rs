//! What the sender's two estimates may be at most: the congestion window, and the timeout. Written from
//! the RFCs, in nanoseconds and bytes, without regard for speed or size.

use simoom_core::time::Duration;

/// An upper bound of cwnd. It grows as if the window were always in use, which makes it a bound and
/// not a copy; after a loss it starts from FlightSize, as the RFC has it, and is tight again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CwndBound {
    pub(super) cwnd: u64,
    pub(super) ssthresh: u64,
    acked_in_avoidance: u64,
}

impl CwndBound {
    pub(super) fn new(initial: u64) -> Self {
        Self { cwnd: initial, ssthresh: u64::MAX, acked_in_avoidance: 0 }
    }

    /// RFC 5681 §3.1, RFC 3465 §2 with L = 2.
    pub(super) fn on_ack(&mut self, acked: u64, mss: u64) {
        if self.cwnd < self.ssthresh {
            self.cwnd += acked.min(2 * mss);
            return;
        }
        self.acked_in_avoidance += acked;
        while self.acked_in_avoidance >= self.cwnd {
            self.acked_in_avoidance -= self.cwnd;
            self.cwnd += mss;
        }
    }

    /// RFC 5681 equation (4).
    fn halve(&mut self, flight: u64, mss: u64) {
        self.ssthresh = (flight / 2).max(2 * mss);
        self.acked_in_avoidance = 0;
    }

    /// RFC 5681 §3.2 steps 2 and 3.
    pub(super) fn on_fast_retransmit(&mut self, flight: u64, mss: u64) {
        self.halve(flight, mss);
        self.cwnd = self.ssthresh + 3 * mss;
    }

    /// RFC 5681 §3.2 step 4.
    pub(super) fn on_further_duplicate(&mut self, mss: u64) {
        self.cwnd += mss;
    }

    /// RFC 6582 §3.2 step 3, partial. The store may cut segments by up to an eighth smaller than
    /// `mss`: one of those is one too.
    pub(super) fn on_partial_ack(&mut self, acked: u64, mss: u64) {
        self.cwnd = self.cwnd.saturating_sub(acked).max(mss);
        if acked >= mss - mss / 8 {
            self.cwnd += mss;
        }
    }

    /// RFC 6582 §3.2 step 3, full; the larger of the two that it allows.
    pub(super) fn on_recovered(&mut self) {
        self.cwnd = self.ssthresh;
        self.acked_in_avoidance = 0;
    }

    /// RFC 5681 §3.1, equation (4) and the loss window.
    pub(super) fn on_timeout(&mut self, flight: u64, mss: u64, first: bool) {
        if first {
            self.halve(flight, mss);
        }
        self.cwnd = mss;
        self.acked_in_avoidance = 0;
    }
}

/// SRTT, RTTVAR and RTO. RFC 6298 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    srtt: Option<u64>,
    rttvar: u64,
    rto: u64,
    min: u64,
    max: u64,
}

/// G: the granularity of the clock.
const G: u64 = 1_000;

impl Estimate {
    pub(super) fn new(initial: Duration, min: Duration, max: Duration) -> Self {
        let (min, max) = (min.as_nanos(), max.as_nanos());
        Self { srtt: None, rttvar: 0, rto: initial.as_nanos().min(max), min, max }
    }

    pub(super) fn on_sample(&mut self, rtt: Duration) {
        let r = rtt.as_nanos();
        let srtt = match self.srtt {
            None => {
                self.rttvar = r / 2;
                r
            }
            Some(srtt) => {
                self.rttvar = (3 * self.rttvar + srtt.abs_diff(r)) / 4;
                (7 * srtt + r) / 8
            }
        };
        self.srtt = Some(srtt);
        self.rto = (srtt + (4 * self.rttvar).max(G)).max(self.min).min(self.max);
    }

    /// (5.7)
    pub(super) fn on_syn_sent_again(&mut self) {
        if self.srtt.is_none() {
            self.rto = self.rto.max(3_000_000_000).min(self.max);
        }
    }

    /// The timeout at least and at most, whatever the samples.
    pub(super) fn limits(&self) -> (Duration, Duration) {
        (Duration::from_nanos(self.min), Duration::from_nanos(self.max))
    }

    /// The timeout after so many doublings.
    pub(super) fn timeout(&self, doublings: u32) -> Duration {
        let doubled = u128::from(self.rto) << doublings.min(60);
        Duration::from_nanos(doubled.min(u128::from(self.max)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_the_worked_example_of_a_loss() {
        let mut bound = CwndBound::new(10_000);
        bound.on_ack(5_000, 1_000);
        assert_eq!(bound.cwnd, 12_000);
        bound.on_fast_retransmit(12_000, 1_000);
        bound.on_further_duplicate(1_000);
        assert_eq!((bound.ssthresh, bound.cwnd), (6_000, 10_000));
        bound.on_partial_ack(2_000, 1_000);
        assert_eq!(bound.cwnd, 9_000);
        bound.on_recovered();
        for _ in 0..6 {
            assert_eq!(bound.cwnd, 6_000);
            bound.on_ack(1_000, 1_000);
        }
        assert_eq!(bound.cwnd, 7_000);
        bound.on_timeout(7_000, 1_000, true);
        assert_eq!((bound.ssthresh, bound.cwnd), (3_500, 1_000));
    }

    #[test]
    fn the_estimate_follows_the_rfc() {
        let ms = Duration::from_millis;
        let mut estimate = Estimate::new(ms(1_000), ms(1), ms(60_000));
        assert_eq!(estimate.timeout(0), ms(1_000));
        estimate.on_sample(ms(80));
        assert_eq!(estimate.timeout(0), ms(240));
        estimate.on_sample(ms(160));
        assert_eq!(estimate.timeout(0), ms(290));
        assert_eq!(estimate.timeout(3), ms(2_320));
        assert_eq!(estimate.timeout(200), ms(60_000));
    }
}
