//! Traffic that nobody asked for: sources that send datagrams at a rate or in bursts, and sinks that count them.
//!
//! The datagrams are UDP to port 9 (discard) and carry their number and the time when they were sent, so that a
//! sink knows what was lost and how long the rest took. Nothing answers, nothing slows down.

use super::tcp_peer::station::{Route, Station, write_ipv4};
use crate::endpoint::Endpoint;
use crate::link::Rate;
use crate::seed::{Draws, Seed, Stream};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{self, Frame, OtherReason};
use std::net::Ipv4Addr;

const PROTOCOL_UDP: u8 = 17;
/// RFC 863.
const PORT_DISCARD: u16 = 9;
/// Ethernet, IPv4 and UDP headers, and what a sink reads: a number and a time.
const HEADERS_LEN: usize = 14 + 20 + 8;
/// The shortest frame: with the number and the time.
pub const FRAME_MIN: u16 = 60;

/// How long something lasts, drawn each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Always the same.
    Constant(Duration),
    /// Exponentially distributed with this mean.
    Exponential(Duration),
    /// Pareto distributed between two bounds, not zero.
    Pareto {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
        /// The shape in thousandths: 1,500 is 1.5, as in models of self-similar traffic.
        shape_thousandths: u32,
    },
}

impl Times {
    fn draw(self, draws: &mut Draws) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Exponential(mean) => draws.exponential(mean),
            Self::Pareto { low, high, shape_thousandths } => Duration::from_nanos(
                draws.bounded_pareto(low.as_nanos(), high.as_nanos(), shape_thousandths),
            ),
        }
    }
}

/// When the frames of a source leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// At even distances.
    Even,
    /// As a Poisson process of the same mean rate.
    Poisson,
}

/// What a source sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossConfig {
    /// To whom: a sink on the same Ethernet.
    pub to: Ipv4Addr,
    /// How much while it sends, counted in whole frames. Not unlimited.
    pub rate: Rate,
    /// Bytes of a frame, FCS out: [`FRAME_MIN`] to 1,514, or more where links take more.
    pub frame_bytes: u16,
    /// When the frames leave.
    pub gaps: Gaps,
    /// How long it sends, and how long it then pauses; None: it sends all the time.
    pub bursts: Option<(Times, Times)>,
    /// When it begins.
    pub start_at: Instant,
    /// When it ends.
    pub stop_at: Instant,
}

impl CrossConfig {
    /// Even frames of 1,514 bytes all the time, at a rate.
    pub fn constant(to: Ipv4Addr, rate: Rate, stop_at: Instant) -> Self {
        Self {
            to,
            rate,
            frame_bytes: 1514,
            gaps: Gaps::Even,
            bursts: None,
            start_at: Instant::ZERO,
            stop_at,
        }
    }

    /// Says what no source can do.
    ///
    /// # Errors
    /// The field, and what would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        let lasts = |times: Times| match times {
            Times::Constant(time) | Times::Exponential(time) => time > Duration::ZERO,
            Times::Pareto { low, high, shape_thousandths } => {
                low > Duration::ZERO && low <= high && shape_thousandths > 0
            }
        };
        match () {
            () if self.rate == Rate::UNLIMITED => Err("rate: not unlimited"),
            () if self.frame_bytes < FRAME_MIN => Err("frame_bytes: at least 60"),
            () if !self.bursts.is_none_or(|(on, off)| lasts(on) && lasts(off)) => {
                Err("bursts: times are not zero, low not above high, shape not zero")
            }
            () => Ok(()),
        }
    }
}

/// Sends datagrams.
#[derive(Clone, Debug)]
pub struct CrossSource {
    config: CrossConfig,
    station: Station,
    draws: Draws,
    next_at: Instant,
    /// When the present burst ends.
    burst_until: Instant,
    sent: u64,
    frame: Vec<u8>,
}

impl CrossSource {
    /// A source at a station. `number` is that of its stream of draws.
    ///
    /// # Panics
    /// Where [`CrossConfig::check`] finds fault.
    pub fn new(station: Station, config: CrossConfig, seed: Seed, number: u32) -> Self {
        if let Err(error) = config.check() {
            panic!("{error}");
        }
        let mut draws = seed.stream(Stream::Named("Cross", number));
        let burst_until = match config.bursts {
            None => Instant::FAR_FUTURE,
            Some((on, _)) => config.start_at + on.draw(&mut draws),
        };
        let (next_at, frame) = (config.start_at, Vec::new());
        Self { station, draws, next_at, burst_until, sent: 0, frame, config }
    }

    /// Source `number` (not 0) of 10.66.0.0/16, as [`Station::numbered`].
    pub fn numbered(number: u16, config: CrossConfig, seed: Seed) -> Self {
        Self::new(Station::numbered(number), config, seed, u32::from(number))
    }

    /// Frames sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// When the next frame leaves: after the pause, where the burst is over.
    fn advance(&mut self) {
        let gap = self.config.rate.time_of(u64::from(self.config.frame_bytes));
        let next_at = self.next_at + self.gap(gap);
        self.next_at = next_at;
        let Some((on, off)) = self.config.bursts else { return };
        while self.next_at >= self.burst_until {
            let start = self.burst_until + off.draw(&mut self.draws);
            self.burst_until = start + on.draw(&mut self.draws);
            // An even burst begins with a frame, a Poisson process with a gap.
            self.next_at = match self.config.gaps {
                Gaps::Even => start,
                Gaps::Poisson => start + self.gap(gap),
            };
        }
    }

    fn gap(&mut self, mean: Duration) -> Duration {
        match self.config.gaps {
            Gaps::Even => mean,
            Gaps::Poisson => self.draws.exponential(mean),
        }
    }
}

impl Endpoint for CrossSource {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.station.on_frame(frame);
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station.poll(out);
        if self.next_at >= self.config.stop_at {
            return None;
        }
        let Some(dst_mac) = self.station.resolve(now, self.config.to, out) else {
            return self.station.ask_at();
        };
        if self.sent == 0 {
            // What was to leave while the sink's address was asked for leaves later, not at once.
            let late = now.saturating_since(self.next_at);
            self.next_at += late;
            if self.config.bursts.is_some() {
                self.burst_until += late;
            }
        }
        while self.next_at <= now && self.next_at < self.config.stop_at {
            let (src_mac, src_ip) = (self.station.mac(), self.station.ip());
            let route = Route { src_mac, dst_mac, src_ip, dst_ip: self.config.to };
            let mut datagram = vec![0; usize::from(self.config.frame_bytes) - 34];
            let len = (datagram.len() as u16).to_be_bytes();
            datagram[..2].copy_from_slice(&PORT_DISCARD.to_be_bytes());
            datagram[2..4].copy_from_slice(&PORT_DISCARD.to_be_bytes());
            datagram[4..6].copy_from_slice(&len);
            // A checksum of zero is none. RFC 768.
            datagram[8..16].copy_from_slice(&self.sent.to_be_bytes());
            datagram[16..24].copy_from_slice(&now.as_nanos().to_be_bytes());
            write_ipv4(&mut self.frame, &route, PROTOCOL_UDP, &datagram);
            out(&self.frame);
            self.sent += 1;
            self.advance();
        }
        (self.next_at < self.config.stop_at).then_some(self.next_at)
    }

    fn describe(&self) -> String {
        format!("a source of datagrams, {} sent", self.sent)
    }
}

/// What a sink has seen, of all its sources together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// Datagrams that came.
    pub frames: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// The sum of the times that they took.
    pub delay_sum: Duration,
    /// The longest of them.
    pub delay_max: Duration,
}

/// Receives datagrams and counts them.
#[derive(Clone, Debug)]
pub struct CrossSink {
    station: Station,
    stats: SinkStats,
}

impl CrossSink {
    /// A sink at a station.
    pub fn new(station: Station) -> Self {
        Self { station, stats: SinkStats::default() }
    }

    /// Sink `number` (not 0) of 10.66.0.0/16, as [`Station::numbered`].
    pub fn numbered(number: u16) -> Self {
        Self::new(Station::numbered(number))
    }

    /// Its address, for [`CrossConfig::to`].
    pub fn ip(&self) -> Ipv4Addr {
        self.station.ip()
    }

    /// What it has seen.
    pub fn stats(&self) -> &SinkStats {
        &self.stats
    }
}

impl Endpoint for CrossSink {
    fn on_frame(&mut self, now: Instant, frame: &[u8]) {
        self.station.on_frame(frame);
        let Ok(Frame::Other { eth, reason: OtherReason::Protocol(PROTOCOL_UDP) }) =
            wire::parse(frame, true)
        else {
            return;
        };
        let sent_at = frame.get(HEADERS_LEN + 8..).and_then(|rest| rest.first_chunk());
        if eth.dst == self.station.mac()
            && let Some(sent_at) = sent_at
        {
            let sent_at = Instant::from_nanos(u64::from_be_bytes(*sent_at));
            let delay = now.saturating_since(sent_at);
            self.stats.frames += 1;
            self.stats.bytes += frame.len() as u64;
            self.stats.delay_sum =
                Duration::from_nanos(self.stats.delay_sum.as_nanos() + delay.as_nanos());
            self.stats.delay_max = self.stats.delay_max.max(delay);
        }
    }

    fn poll(&mut self, _now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station.poll(out);
        None
    }

    fn describe(&self) -> String {
        format!("a sink of datagrams: {:?}", self.stats)
    }
}
