//! The clock of a live port: CLOCK_MONOTONIC, counted from the port's start.
//!
//! The only thing besides [`crate::tap`]'s waiting that brings real time into a run.

use crate::sys;
use simoom_core::time::Instant;

/// Real time, in nanoseconds since [`Clock::start`]. Never goes back; stands still in suspend.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start_monotonic_nanos: u64,
    start_unix_nanos: u64,
}

impl Clock {
    /// Starts counting now: this moment is [`Instant::ZERO`].
    pub fn start() -> Self {
        Self {
            start_monotonic_nanos: sys::monotonic_nanos(),
            start_unix_nanos: sys::realtime_nanos(),
        }
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(sys::monotonic_nanos().saturating_sub(self.start_monotonic_nanos))
    }

    /// The UTC time of [`Instant::ZERO`]: nanoseconds since 1970, as the system's clock had it when
    /// this clock was started. Does not follow later corrections of the system's clock.
    pub fn start_unix_nanos(&self) -> u64 {
        self.start_unix_nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_its_own_start_and_never_back() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(first <= second);
        assert!(first.as_millis() < 60_000, "not the machine's uptime");
        // 2020 to 2200.
        assert!(
            (1_577_836_800..7_258_118_400).contains(&(clock.start_unix_nanos() / 1_000_000_000))
        );
    }
}
