//! The retransmission timeout. RFC 6298.

use super::Config;
use crate::mutants::mutant;
use crate::time::Duration;

/// Smoothed round-trip time, its variation, and the timeout that follows. Kept in units of
/// [`UNIT`] nanoseconds: 32 bits of them are 68 seconds, and connections are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rto {
    /// SRTT; zero before the first sample.
    srtt: u32,
    /// RTTVAR.
    rttvar: u32,
    /// RTO, without backoff.
    rto: u32,
}

/// Nanoseconds of one unit.
const UNIT: u64 = 16;

/// G of RFC 6298, in nanoseconds: the clock is finer, but a turn is not.
const GRANULARITY: u64 = 1_000;

impl Rto {
    pub(super) fn new(config: &Config) -> Self {
        let rto = config.initial_rto.as_nanos().min(config.max_rto.as_nanos());
        Self { srtt: 0, rttvar: 0, rto: units(rto) }
    }

    /// Takes a sample of a segment that was sent once. RFC 6298 (2.2), (2.3).
    pub(super) fn on_sample(&mut self, config: &Config, rtt: Duration) {
        let r = units(rtt.as_nanos()).max(1);
        if self.srtt == 0 {
            self.srtt = r;
            self.rttvar = r / 2;
        } else {
            self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(r) / 4;
            self.srtt = (self.srtt - self.srtt / 8 + r / 8).max(1);
        }
        let rto = nanos(self.srtt) + (4 * nanos(self.rttvar)).max(GRANULARITY);
        let rto = if mutant!(TimeoutHalved) { rto / 2 } else { rto };
        let (least, most) = (config.min_rto.as_nanos(), config.max_rto.as_nanos());
        self.rto = units(rto.max(least).min(most));
    }

    /// The SYN had to be sent again and gave no sample. RFC 6298 (5.7).
    pub(super) fn on_syn_retransmitted(&mut self, config: &Config) {
        if self.srtt == 0 {
            let rto = nanos(self.rto).max(3_000_000_000).min(config.max_rto.as_nanos());
            self.rto = units(rto);
        }
    }

    /// The timeout, no segment having been sent twice.
    #[inline]
    pub(super) fn without_backoff(&self) -> Duration {
        Duration::from_nanos(nanos(self.rto))
    }

    /// The timeout after `backoffs` expiries in a row. RFC 6298 (5.5).
    #[inline]
    pub(super) fn timeout(&self, config: &Config, backoffs: u8) -> Duration {
        let backoffs = if mutant!(NoBackoff) { 0 } else { backoffs };
        let doubled = nanos(self.rto) << u32::from(backoffs).min(28);
        Duration::from_nanos(doubled.min(config.max_rto.as_nanos()))
    }

    pub(super) fn srtt(&self) -> Duration {
        Duration::from_nanos(nanos(self.srtt))
    }

    pub(super) fn rttvar(&self) -> Duration {
        Duration::from_nanos(nanos(self.rttvar))
    }
}

/// At most 68 seconds.
#[inline]
fn units(nanos: u64) -> u32 {
    (nanos / UNIT).min(u64::from(u32::MAX)) as u32
}

#[inline]
fn nanos(units: u32) -> u64 {
    u64::from(units) * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_first_sample_sets_srtt_and_half_of_it_as_variation() {
        // RFC 6298 (2.2)
        let config = Config { min_rto: ms(1), ..Config::default() };
        let mut rto = Rto::new(&config);
        assert_eq!(rto.timeout(&config, 0), ms(1_000));
        rto.on_sample(&config, ms(100));
        assert_eq!((rto.srtt(), rto.rttvar()), (ms(100), ms(50)));
        assert_eq!(rto.timeout(&config, 0), ms(300));
    }

    #[test]
    fn later_samples_move_by_an_eighth_and_a_quarter() {
        // RFC 6298 (2.3)
        let config = Config { min_rto: ms(1), ..Config::default() };
        let mut rto = Rto::new(&config);
        rto.on_sample(&config, ms(80));
        rto.on_sample(&config, ms(160));
        assert_eq!((rto.srtt(), rto.rttvar()), (ms(90), ms(50)));
        assert_eq!(rto.timeout(&config, 0), ms(290));
    }

    #[test]
    fn backoff_doubles_up_to_the_maximum() {
        let config = Config::default();
        let mut rto = Rto::new(&config);
        rto.on_sample(&config, ms(1));
        let sequence: [u64; 11] =
            core::array::from_fn(|n| rto.timeout(&config, n as u8).as_millis());
        assert_eq!(
            sequence,
            [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000]
        );
        assert_eq!(rto.timeout(&config, u8::MAX), config.max_rto);
    }
}
