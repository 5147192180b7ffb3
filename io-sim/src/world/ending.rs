//! What ends a run before it is done: limits, and what must not happen.

use super::{HostId, Stuck};
use crate::endpoint::HostFault;
use crate::oracle::WireViolation;
use crate::oracle::promises::BrokenPromise;
use crate::seed::Seed;
use simoom_core::time::{Duration, Instant};
use std::fmt;

/// What ends a run that would not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events at most, counted from the world's start.
    pub events_max: u64,
    /// Simulated time at most.
    pub time_max: Instant,
    /// Events in a row at one instant, at most: more means that a host asks to be called again
    /// without letting time pass.
    pub events_at_once_max: u64,
}

impl Default for Limits {
    /// 100 million events, an hour, a million events at one instant.
    fn default() -> Self {
        Self {
            events_max: 100_000_000,
            time_max: Instant::ZERO + Duration::from_secs(3600),
            events_at_once_max: 1_000_000,
        }
    }
}

/// Why a run ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A host sent what must not be sent.
    Wire(HostId, WireViolation),
    /// A host broke a promise of TCP.
    Promise(HostId, Box<BrokenPromise>),
    /// A host's own oracles.
    Host(HostId, HostFault),
    /// The links healed, and it was not done within a time.
    NoProgress {
        /// The time.
        within: Duration,
        /// The connections that have been still for longest.
        stuck: Vec<Stuck>,
    },
    /// Nothing is to come, and it is not done.
    NothingLeft,
    /// [`Limits::events_max`].
    EventsMax(u64),
    /// [`Limits::time_max`].
    TimeMax(Instant),
    /// [`Limits::events_at_once_max`].
    TimeStandsStill(u64),
}

/// A run that ended before it was done: where, why, and what every host was waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// The seed.
    pub seed: Seed,
    /// The number of the event: the first is 1.
    pub event: u64,
    /// Its time.
    pub at: Instant,
    /// What was wrong.
    pub why: Why,
    /// What each host says of itself.
    pub hosts: Vec<String>,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, event {}, at {:?}: ", self.seed, self.event, self.at)?;
        match &self.why {
            Why::Wire(host, violation) => write!(f, "host {} {violation}", host.0)?,
            Why::Promise(host, broken) => write!(f, "host {} broke a promise: {broken}", host.0)?,
            Why::Host(host, fault) => write!(f, "host {}: {fault}", host.0)?,
            Why::NoProgress { within, stuck } => {
                write!(f, "not done {within:?} after the links healed")?;
                for stuck in stuck {
                    write!(f, "\n  stuck: {stuck}")?;
                }
            }
            Why::NothingLeft => f.write_str("not done, and nothing is to come")?,
            Why::EventsMax(n) => write!(f, "not done after {n} events, the limit")?,
            Why::TimeMax(at) => write!(f, "not done at {at:?}, the limit of simulated time")?,
            Why::TimeStandsStill(n) => {
                write!(f, "{n} events at one instant: a host does not let time pass")?;
            }
        }
        for (n, host) in self.hosts.iter().enumerate() {
            write!(f, "\n  host {n}: {host}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RunError {}
