//! Acknowledges text that has not come yet, to make the server send faster than the path allows (Savage et al.
//! 1999, Sherwood et al. 2005).

use super::Pace;
use crate::endpoint::Endpoint;
use crate::hosts::tcp_peer::station::{Segment, Station};
use crate::seed::{Draws, Seed, Stream};
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{MacAddr, TcpFlags, TcpOptions};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// What an optimistic acker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptAckConfig {
    /// Whom it asks.
    pub server: SocketAddrV4,
    /// What it asks; at most 1,400 bytes.
    pub request: Arc<[u8]>,
    /// When, how often and how many acknowledgements it sends, counted from the first text that came.
    pub pace: Pace,
    /// By how many bytes each acknowledgement goes beyond the one before.
    pub step: u32,
    /// How far beyond the last byte that came it acknowledges.
    pub ahead_max: u32,
}

/// What it has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptAckStats {
    /// Acknowledgements sent.
    pub acks: u64,
    /// Bytes acknowledged when they had not come.
    pub ahead_bytes: u64,
    /// Segments of text that came.
    pub segments: u64,
    /// Bytes up to the last that came, gaps in.
    pub bytes: u64,
    /// Segments without text that came back: challenges, mostly.
    pub challenges: u64,
    /// Resets that came.
    pub resets: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Asked,
    Over,
}

/// The optimistic acker: one connection.
#[derive(Clone, Debug)]
pub struct OptimisticAcker {
    config: OptAckConfig,
    station: Station,
    phase: Phase,
    iss: SeqNumber,
    irs: SeqNumber,
    /// Offsets behind the last byte that came, and that was acknowledged.
    came: u64,
    acked: u64,
    /// A SYN or the request is sent then, again.
    send_at: Instant,
    /// When the first text came.
    begun_at: Option<Instant>,
    stats: OptAckStats,
}

/// From one SYN, or one request, to the next.
const AGAIN: Duration = Duration::from_secs(1);
const PORT: u16 = 31_000;
const WINDOW_SCALE: u8 = 14;

impl OptimisticAcker {
    /// One at a station. `number` is that of its stream of draws.
    pub fn new(station: Station, config: OptAckConfig, seed: Seed, number: u32) -> Self {
        assert!(config.request.len() <= 1400, "request: at most 1,400 bytes");
        let mut draws: Draws = seed.stream(Stream::Named("OptAck", number));
        Self {
            iss: SeqNumber(draws.word() as u32),
            irs: SeqNumber(0),
            send_at: config.pace.start_at,
            config,
            station,
            phase: Phase::Opening,
            came: 0,
            acked: 0,
            begun_at: None,
            stats: OptAckStats::default(),
        }
    }

    /// What it has counted.
    pub fn stats(&self) -> &OptAckStats {
        &self.stats
    }

    /// When the next acknowledgement is sent.
    fn ack_at(&self) -> Option<Instant> {
        let pace = Pace { start_at: self.begun_at?, ..self.config.pace };
        pace.at(self.stats.acks).filter(|_| self.phase == Phase::Asked)
    }

    fn send(&mut self, mac: MacAddr, flags: TcpFlags, text: &[u8], out: &mut dyn FnMut(&[u8])) {
        let syn = flags.contains(TcpFlags::SYN);
        let mut options = TcpOptions::default();
        if syn {
            (options.mss, options.window_scale) = (Some(1460), Some(WINDOW_SCALE));
        }
        let sent = match (syn, text.is_empty()) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 1 + self.config.request.len() as u32,
        };
        let segment = Segment {
            src_port: PORT,
            dst_port: self.config.server.port(),
            seq: self.iss + sent,
            ack: if syn { SeqNumber(0) } else { self.irs + 1 + self.acked as u32 },
            flags,
            window: 65_535,
            options,
        };
        self.station.send(mac, *self.config.server.ip(), &segment, text, out);
    }
}

impl Endpoint for OptimisticAcker {
    fn on_frame(&mut self, now: Instant, frame: &[u8]) {
        let Some(frame) = self.station.on_frame(frame) else { return };
        let tcp = &frame.tcp;
        if tcp.dst_port != PORT || self.phase == Phase::Over {
            return;
        }
        if tcp.flags.contains(TcpFlags::RST) {
            self.stats.resets += 1;
            self.phase = Phase::Over;
            return;
        }
        if tcp.flags.contains(TcpFlags::SYN) {
            if self.phase == Phase::Opening && tcp.flags.contains(TcpFlags::ACK) {
                self.irs = tcp.seq;
                self.phase = Phase::Asked;
                self.send_at = now;
            }
            return;
        }
        if tcp.payload.is_empty() {
            self.stats.challenges += u64::from(self.begun_at.is_some());
            return;
        }
        self.begun_at.get_or_insert(now);
        self.stats.segments += 1;
        let end = tcp.seq + tcp.payload.len() as u32;
        let beyond = end.since(self.irs + 1 + self.came as u32) as i32;
        if beyond > 0 {
            self.came += beyond as u64;
            self.stats.bytes = self.came;
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station.poll(out);
        if now < self.config.pace.start_at {
            return Some(self.config.pace.start_at);
        }
        let Some(mac) = self.station.resolve(now, *self.config.server.ip(), out) else {
            return self.station.ask_at();
        };
        if self.begun_at.is_none() && self.send_at <= now {
            self.send_at = now + AGAIN;
            match self.phase {
                Phase::Opening => self.send(mac, TcpFlags::SYN, &[], out),
                Phase::Asked => {
                    let request = self.config.request.clone();
                    self.send(mac, TcpFlags::ACK | TcpFlags::PSH, &request, out);
                }
                Phase::Over => {}
            }
        }
        while let Some(at) = self.ack_at() {
            if at > now {
                return Some(at);
            }
            let most = self.came + u64::from(self.config.ahead_max);
            let next = (self.acked + u64::from(self.config.step)).min(most).max(self.acked);
            self.stats.ahead_bytes += next.saturating_sub(self.came.max(self.acked));
            self.acked = next;
            self.stats.acks += 1;
            self.send(mac, TcpFlags::ACK, &[], out);
        }
        (self.begun_at.is_none() && self.phase != Phase::Over).then_some(self.send_at)
    }

    fn describe(&self) -> String {
        format!("an optimistic acker: {:?}", self.stats)
    }
}
