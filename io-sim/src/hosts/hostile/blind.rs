//! Segments forged in another host's name: resets, SYNs and text that are to hit its connections. RFC 5961.

use super::{Pace, Paced};
use crate::endpoint::Endpoint;
use crate::hosts::tcp_peer::station::{Route, Segment, Station, write_segment};
use crate::seed::{Draws, Seed, Stream};
use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::{self, Frame, MacAddr, TcpFlags, TcpOptions, Timestamps};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What is forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// RST.
    Reset,
    /// SYN.
    Syn,
    /// A hundred bytes of text with ACK.
    Text,
}

/// Which numbers a forged segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Any of 2³²: the attacker sees nothing, it is "off path".
    Random,
    /// From `from` to `upto` (both included) beyond the number that the server expects next. For an attacker
    /// that overhears the victim: on the mirror port of a [`crate::hosts::Switch`].
    Overheard {
        /// The nearest; 0 is exact.
        from: u32,
        /// The farthest.
        upto: u32,
    },
}

/// What an injector does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindConfig {
    /// Whom the forged segments are for.
    pub server: SocketAddrV4,
    /// In whose name they are sent.
    pub victim: Ipv4Addr,
    /// The victim's ports that are guessed: from this one on.
    pub first_port: u16,
    /// So many of them, at least 1. An attacker that overhears takes the port of what it heard last.
    pub ports: u16,
    /// What is forged, each as often; at least one.
    pub forgeries: Vec<Forgery>,
    /// With which numbers.
    pub aim: Aim,
    /// How fast, and how much.
    pub pace: Pace,
}

impl BlindConfig {
    /// Resets with random numbers into the victim's one port.
    pub fn resets(server: SocketAddrV4, victim: SocketAddrV4, pace: Pace) -> Self {
        Self {
            server,
            victim: *victim.ip(),
            first_port: victim.port(),
            ports: 1,
            forgeries: vec![Forgery::Reset],
            aim: Aim::Random,
            pace,
        }
    }
}

/// The victim's connection that was heard last.
#[derive(Clone, Copy, Debug)]
struct Heard {
    port: u16,
    /// What the server expects next from the victim.
    seq: SeqNumber,
    /// What the victim expects next from the server.
    ack: SeqNumber,
    timestamps: Option<Timestamps>,
}

/// Sends forged segments.
#[derive(Clone, Debug)]
pub struct BlindInjector {
    config: BlindConfig,
    station: Station,
    draws: Draws,
    heard: Option<Heard>,
    /// Times that its turn came.
    turns: u64,
    sent: u64,
    frame: Vec<u8>,
}

impl BlindInjector {
    /// An injector at a station of its own. `number` is that of its stream of draws.
    pub fn new(station: Station, config: BlindConfig, seed: Seed, number: u32) -> Self {
        assert!(config.ports > 0 && !config.forgeries.is_empty(), "ports, forgeries: at least 1");
        let draws = seed.stream(Stream::Named("Blind", number));
        Self { config, station, draws, heard: None, turns: 0, sent: 0, frame: Vec::new() }
    }

    /// Segments sent. One that overhears sends nothing while there is nothing to hear.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn send(&mut self, dst_mac: MacAddr, out: &mut dyn FnMut(&[u8])) {
        self.turns += 1;
        let (port, seq, ack, timestamps) = match (self.config.aim, self.heard) {
            (Aim::Random, _) => {
                let nth = self.draws.below(u64::from(self.config.ports)) as u16;
                let port = self.config.first_port.wrapping_add(nth);
                let numbers = self.draws.word();
                (port, SeqNumber(numbers as u32), SeqNumber((numbers >> 32) as u32), None)
            }
            (Aim::Overheard { from, upto }, Some(heard)) => {
                let more = u64::from(upto.saturating_sub(from)) + 1;
                let beyond = from.wrapping_add(self.draws.below(more) as u32);
                (heard.port, heard.seq + beyond, heard.ack, heard.timestamps)
            }
            (Aim::Overheard { .. }, None) => return,
        };
        let (flags, text): (_, &[u8]) = match self.draws.one_of(&self.config.forgeries) {
            Forgery::Reset => (TcpFlags::RST, &[]),
            Forgery::Syn => (TcpFlags::SYN, &[]),
            Forgery::Text => (TcpFlags::ACK | TcpFlags::PSH, &[b'!'; 100]),
        };
        let segment = Segment {
            src_port: port,
            dst_port: self.config.server.port(),
            seq,
            ack,
            flags,
            window: 65_535,
            options: TcpOptions { timestamps, ..TcpOptions::default() },
        };
        let route = Route {
            src_mac: self.station.mac(),
            dst_mac,
            src_ip: self.config.victim,
            dst_ip: *self.config.server.ip(),
        };
        write_segment(&mut self.frame, &route, &segment, text);
        out(&self.frame);
        self.sent += 1;
    }
}

impl Paced for BlindInjector {
    fn station(&mut self) -> &mut Station {
        &mut self.station
    }

    fn server(&self) -> SocketAddrV4 {
        self.config.server
    }

    fn next_at(&self) -> Option<Instant> {
        self.config.pace.at(self.turns)
    }

    fn act(&mut self, _now: Instant, server: MacAddr, out: &mut dyn FnMut(&[u8])) {
        self.send(server, out);
    }
}

impl Endpoint for BlindInjector {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.station.on_frame(frame);
        if self.config.aim == Aim::Random {
            return;
        }
        let Ok(Frame::Tcp(frame)) = wire::parse(frame, false) else { return };
        let from_victim = frame.ip.src == self.config.victim
            && frame.ip.dst == *self.config.server.ip()
            && frame.eth.src != self.station.mac();
        if from_victim && frame.tcp.flags.contains(TcpFlags::ACK) {
            self.heard = Some(Heard {
                port: frame.tcp.src_port,
                seq: frame.tcp.seq + frame.tcp.seg_len(),
                ack: frame.tcp.ack,
                timestamps: frame.tcp.options.timestamps,
            });
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.poll_paced(now, out)
    }

    fn describe(&self) -> String {
        format!("an injector of forged segments, {} sent", self.sent)
    }
}
