//! Round-trip times between the capture and the receiver of a direction: by timestamps (RFC 7323
//! §4), and by sequence numbers without what was sent again (Karn's rule, RFC 6298 §3).

use super::spread::Small;
use simoom_core::wire::Timestamps;

/// Segments timed at once. With more in flight the rest of the flight is not timed.
const TIMED_MAX: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    end: i64,
    at: u64,
    tsval: u32,
    /// Whether an acknowledgement of it can only mean this transmission.
    is_clear: bool,
}

/// Least, greatest, sum and number of times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: u32,
    /// The least; 0 without any.
    pub least: u64,
    /// The greatest.
    pub most: u64,
    /// Their sum.
    pub sum: u64,
}

impl Times {
    fn add(&mut self, nanos: u64) {
        self.least = if self.count == 0 { nanos } else { self.least.min(nanos) };
        self.most = self.most.max(nanos);
        self.sum = self.sum.saturating_add(nanos);
        self.count = self.count.saturating_add(1);
    }

    /// The mean, rounded down; none without any.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(u64::from(self.count))
    }
}

/// A sample, and how it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) by_timestamps: Option<u64>,
    pub(super) by_sequence: Option<u64>,
}

/// Round-trip times of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Rtt {
    timed: [Timed; TIMED_MAX],
    len: u8,
    pub(super) by_timestamps: Times,
    pub(super) by_sequence: Times,
    /// Of timestamps where the connection has them, else of sequence numbers.
    pub(super) spread: Small,
    /// Smoothed: an eighth of each new sample. RFC 6298 §2. Zero without a sample.
    pub(super) smoothed: u64,
}

impl Rtt {
    /// Text up to `end` was sent.
    pub(super) fn on_sent(&mut self, end: i64, at: u64, tsval: Option<u32>, is_again: bool) {
        if is_again {
            // Whether the first or the second is acknowledged cannot be told. The timestamp can.
            for timed in &mut self.timed[..usize::from(self.len)] {
                timed.is_clear = false;
            }
        }
        if usize::from(self.len) < TIMED_MAX {
            let timed = Timed { end, at, tsval: tsval.unwrap_or(0), is_clear: !is_again };
            self.timed[usize::from(self.len)] = timed;
            self.len += 1;
        }
    }

    /// All below `ack` is newly acknowledged.
    pub(super) fn on_acked(&mut self, ack: i64, at: u64, echo: Option<Timestamps>) -> Sample {
        let timed = &self.timed[..usize::from(self.len)];
        let mut sample = Sample::default();
        if let Some(echo) = echo
            && let Some(first) = timed.iter().find(|timed| timed.tsval == echo.ecr)
        {
            sample.by_timestamps = Some(at.saturating_sub(first.at));
        }
        let latest = timed.iter().filter(|timed| timed.end <= ack).max_by_key(|timed| timed.end);
        if let Some(latest) = latest
            && latest.is_clear
        {
            sample.by_sequence = Some(at.saturating_sub(latest.at));
        }
        self.take(sample);
        let mut kept = 0;
        for n in 0..usize::from(self.len) {
            if self.timed[n].end > ack {
                self.timed[kept] = self.timed[n];
                kept += 1;
            }
        }
        self.len = kept as u8;
        sample
    }

    /// Takes the time between SYN and its answer.
    pub(super) fn on_handshake(&mut self, nanos: u64) {
        if self.smoothed == 0 {
            self.smoothed = nanos.max(1);
        }
    }

    fn take(&mut self, sample: Sample) {
        if let Some(nanos) = sample.by_timestamps {
            self.by_timestamps.add(nanos);
        }
        if let Some(nanos) = sample.by_sequence {
            self.by_sequence.add(nanos);
        }
        if let Some(nanos) = sample.by_timestamps.or(sample.by_sequence) {
            self.spread.add(nanos);
            self.smoothed = match self.smoothed {
                0 => nanos.max(1),
                old => (old - old / 8 + nanos / 8).max(1),
            };
        }
    }

    /// Median, 95th percentile and 99th; none without a sample.
    pub(super) fn quantiles(&self) -> Option<[u64; 3]> {
        let median = self.spread.quantile(500)?;
        Some([median, self.spread.quantile(950)?, self.spread.quantile(990)?])
    }

    /// The least time seen; none without a sample.
    pub(super) fn least(&self) -> Option<u64> {
        let times = [self.by_timestamps, self.by_sequence];
        times.iter().filter(|times| times.count > 0).map(|times| times.least).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(ecr: u32) -> Option<Timestamps> {
        Some(Timestamps { val: 0, ecr })
    }

    #[test]
    fn both_ways_time_a_plain_segment() {
        let mut rtt = Rtt::default();
        rtt.on_sent(100, 1000, Some(7), false);
        let sample = rtt.on_acked(100, 1500, echo(7));
        assert_eq!(sample, Sample { by_timestamps: Some(500), by_sequence: Some(500) });
    }

    #[test]
    fn what_was_sent_again_is_timed_by_timestamps_alone() {
        let mut rtt = Rtt::default();
        rtt.on_sent(100, 1000, Some(7), false);
        rtt.on_sent(100, 9000, Some(8), true);
        let sample = rtt.on_acked(100, 9300, echo(8));
        assert_eq!(sample, Sample { by_timestamps: Some(300), by_sequence: None });
        rtt.on_sent(200, 10_000, None, false);
        rtt.on_sent(200, 20_000, None, true);
        assert_eq!(rtt.on_acked(200, 20_100, None), Sample::default());
    }

    #[test]
    fn a_delayed_acknowledgement_is_timed_from_the_segment_that_it_echoes() {
        let mut rtt = Rtt::default();
        rtt.on_sent(100, 1000, Some(7), false);
        rtt.on_sent(200, 1010, Some(8), false);
        let sample = rtt.on_acked(200, 1500, echo(7));
        assert_eq!(sample, Sample { by_timestamps: Some(500), by_sequence: Some(490) });
        assert_eq!(rtt.least(), Some(490));
    }

    #[test]
    fn a_long_flight_is_timed_in_part() {
        let mut rtt = Rtt::default();
        for n in 1..=100 {
            rtt.on_sent(n * 10, 0, None, false);
        }
        assert_eq!(rtt.on_acked(1000, 5, None).by_sequence, Some(5));
        rtt.on_sent(1010, 10, None, false);
        assert_eq!(rtt.on_acked(1010, 17, None).by_sequence, Some(7));
        assert_eq!((rtt.by_sequence.count, rtt.by_sequence.least), (2, 5));
    }
}
