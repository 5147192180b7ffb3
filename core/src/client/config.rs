//! What the client is to do: whom to ask for what, how often, and when.

use crate::time::{Duration, Instant};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddrV4;

/// Which path is asked for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, over and over.
    RoundRobin,
    /// Evenly at random, the same for the same seed.
    Seeded(u64),
    /// At random, the same for the same seed: one of the first `first` paths, at least one and not
    /// all, with a chance of `first_ppm` in a million, else one of the others.
    Split {
        /// What is drawn from.
        seed: u64,
        /// How many paths are of the first kind.
        first: u32,
        /// Their share of the requests, in a million.
        first_ppm: u32,
    },
}

/// When requests are due, whatever became of those before: the open loop. Request `n`, from 0 on, is
/// due `n` intervals after the start, and its time counts from then, also where all connections were
/// busy and it was made later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// When the first is due.
    pub start: Instant,
    /// Requests in a thousand seconds, at least 1.
    pub per_kilosecond: u64,
}

impl Pace {
    /// When request `number` is due.
    pub fn due(&self, number: u64) -> Instant {
        const KILOSECOND_NANOS: u128 = 1_000_000_000_000;
        let nanos = u128::from(number) * KILOSECOND_NANOS / u128::from(self.per_kilosecond.max(1));
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }
}

/// What the client is to do.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// Whom to ask.
    pub server: SocketAddrV4,
    /// Value of `Host`.
    pub host: String,
    /// Targets, as they stand in the request line.
    pub paths: Vec<String>,
    /// The order of the paths.
    pub order: Order,
    /// Connections open at once.
    pub connections: u32,
    /// Requests in all; then every connection is closed.
    pub requests: u64,
    /// Requests of one connection; the last asks for `Connection: close`, and another connection
    /// takes the place of this one. At least 1; `u64::MAX` for keep-alive to the end.
    pub requests_per_connection: u64,
    /// Requests without an answer on one connection: 1 to [`PIPELINE_MAX`](super::PIPELINE_MAX).
    pub pipeline: u8,
    /// From the last answer to the next request.
    pub think: Duration,
    /// When requests are due; None: as soon as a connection has room (the closed loop). With a pace a
    /// connection is opened when a request is due and no other connection is waiting, and there is no
    /// thinking. Needs [`FetchClient::set_now`](super::FetchClient::set_now).
    pub pace: Option<Pace>,
    /// Completions recorded at most; further ones are counted only.
    pub completions_max: usize,
}

impl FetchConfig {
    /// So many requests for these paths in turn, over one connection that is kept, one at a time.
    pub fn new(server: SocketAddrV4, paths: Vec<String>, requests: u64) -> Self {
        Self {
            server,
            host: server.ip().to_string(),
            paths,
            order: Order::RoundRobin,
            connections: 1,
            requests,
            requests_per_connection: u64::MAX,
            pipeline: 1,
            think: Duration::ZERO,
            pace: None,
            completions_max: 0,
        }
    }
}
