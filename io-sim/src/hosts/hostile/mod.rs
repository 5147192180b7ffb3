//! Hosts that mean harm, each in one way. Put them into a world with `World::add_lawless_host`.
//!
//! All are bounded: so many packets, so far apart. Those that do harm by the manners of an otherwise true client
//! (ACK division, shrinking windows, slow headers, aborts) are [`crate::hosts::Receiver`]s with such
//! [`crate::hosts::tcp_peer::Manners`], and judged like any other host.

pub mod blind;
pub mod flood;
pub mod opt_ack;

pub use blind::{Aim, BlindConfig, BlindInjector, Forgery};
pub use flood::{RandomConfig, RandomSegments, SynFlood, SynFloodConfig};
pub use opt_ack::{OptAckConfig, OptimisticAcker};

use simoom_core::time::{Duration, Instant};

/// When a hostile host acts, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first time.
    pub start_at: Instant,
    /// From one time to the next; not zero.
    pub every: Duration,
    /// How often at most.
    pub count: u64,
}

impl Pace {
    /// From the start, so many a second, so often.
    pub fn per_second(n: u64, count: u64) -> Self {
        let every = Duration::from_nanos((1_000_000_000 / n.max(1)).max(1));
        Self { start_at: Instant::ZERO, every, count }
    }

    /// When time `n` (from 0) is, if there is one.
    fn at(&self, n: u64) -> Option<Instant> {
        (n < self.count).then(|| self.start_at + self.every.saturating_mul(n))
    }
}
