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

use crate::hosts::tcp_peer::Station;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use std::net::SocketAddrV4;

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

/// A host that acts at a pace, as soon as it knows the server's hardware address.
trait Paced {
    fn station(&mut self) -> &mut Station;

    /// Whom it acts against.
    fn server(&self) -> SocketAddrV4;

    /// When it acts next; None where it is done.
    fn next_at(&self) -> Option<Instant>;

    /// Acts once, which moves `next_at`.
    fn act(&mut self, now: Instant, server: MacAddr, out: &mut dyn FnMut(&[u8]));

    /// What such a host does when it is polled.
    fn poll_paced(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station().poll(out);
        while let Some(at) = self.next_at() {
            if at > now {
                return Some(at);
            }
            let server = *self.server().ip();
            let Some(mac) = self.station().resolve(now, server, out) else {
                return self.station().ask_at();
            };
            self.act(now, mac, out);
        }
        None
    }
}
