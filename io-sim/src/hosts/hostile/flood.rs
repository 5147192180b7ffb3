//! Floods: SYNs from addresses that are not the sender's, and segments without sense.

use super::{Pace, Paced};
use crate::endpoint::Endpoint;
use crate::hosts::tcp_peer::station::{Route, Segment, Station, write_segment};
use crate::seed::{Chance, Draws, Seed, Stream};
use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::{MacAddr, SackBlocks, TcpFlags, TcpOptions, Timestamps};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What a SYN flood is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynFloodConfig {
    /// Whom it is for.
    pub server: SocketAddrV4,
    /// How fast, and how much.
    pub pace: Pace,
    /// The SYNs come from this address and those that follow it: nobody is there.
    pub first_source: Ipv4Addr,
    /// So many addresses, at least 1.
    pub sources: u32,
}

impl SynFloodConfig {
    /// A flood from the 1,000 addresses from 10.66.200.0 on.
    pub fn new(server: SocketAddrV4, pace: Pace) -> Self {
        Self { server, pace, first_source: Ipv4Addr::new(10, 66, 200, 0), sources: 1000 }
    }
}

/// Sends SYNs from addresses that are not its own, and never answers what comes for them.
#[derive(Clone, Debug)]
pub struct SynFlood {
    config: SynFloodConfig,
    station: Station,
    draws: Draws,
    sent: u64,
    /// Segments that came for the pretended addresses.
    answers: u64,
    frame: Vec<u8>,
}

impl SynFlood {
    /// A flood from a station. `number` is that of its stream of draws.
    pub fn new(station: Station, config: SynFloodConfig, seed: Seed, number: u32) -> Self {
        assert!(config.sources > 0, "sources: at least 1");
        let draws = seed.stream(Stream::Named("SynFlood", number));
        Self { config, station, draws, sent: 0, answers: 0, frame: Vec::new() }
    }

    /// SYNs sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// SYN-ACKs and the like that came back here.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    fn send(&mut self, dst_mac: MacAddr, out: &mut dyn FnMut(&[u8])) {
        let nth = self.draws.below(u64::from(self.config.sources)) as u32;
        let src_ip = Ipv4Addr::from_bits(self.config.first_source.to_bits().wrapping_add(nth));
        let dst_ip = *self.config.server.ip();
        let route = Route { src_mac: self.station.mac(), dst_mac, src_ip, dst_ip };
        let segment = Segment {
            src_port: 1024 + self.draws.below(64_512) as u16,
            dst_port: self.config.server.port(),
            seq: SeqNumber(self.draws.word() as u32),
            flags: TcpFlags::SYN,
            window: 65_535,
            options: TcpOptions { mss: Some(1460), ..TcpOptions::default() },
            ..Segment::default()
        };
        write_segment(&mut self.frame, &route, &segment, &[]);
        out(&self.frame);
        self.sent += 1;
    }
}

impl Paced for SynFlood {
    fn station(&mut self) -> &mut Station {
        &mut self.station
    }

    fn server(&self) -> SocketAddrV4 {
        self.config.server
    }

    fn next_at(&self) -> Option<Instant> {
        self.config.pace.at(self.sent)
    }

    fn act(&mut self, _now: Instant, server: MacAddr, out: &mut dyn FnMut(&[u8])) {
        self.send(server, out);
    }
}

impl Endpoint for SynFlood {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.station.on_frame(frame);
        let for_us = frame.first_chunk::<6>() == Some(&self.station.mac().0);
        // An IPv4 packet that carries TCP.
        self.answers += u64::from(for_us && frame.get(12..14) == Some(&[8, 0]));
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.poll_paced(now, out)
    }

    fn describe(&self) -> String {
        format!("a SYN flood, {} sent", self.sent)
    }
}

/// What random segments are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomConfig {
    /// Whom they are for.
    pub server: SocketAddrV4,
    /// How fast, and how many.
    pub pace: Pace,
    /// They come from this many ports, at least 1: few make it likely that one hits what another began.
    pub ports: u16,
    /// Bytes of text at most, up to 1,460.
    pub text_max: u16,
    /// How likely some bytes behind the Ethernet header are changed without repairing checksums.
    pub malformed: Chance,
}

impl RandomConfig {
    /// Segments from 16 ports with up to 100 bytes of text, a tenth malformed.
    pub fn new(server: SocketAddrV4, pace: Pace) -> Self {
        Self { server, pace, ports: 16, text_max: 100, malformed: Chance::ppm(100_000) }
    }
}

/// Sends segments with random flags, numbers, windows, options and text from its own address. Some numbers
/// are those that the server last used, so that not everything fails at the first check.
#[derive(Clone, Debug)]
pub struct RandomSegments {
    config: RandomConfig,
    station: Station,
    draws: Draws,
    /// The last (SEQ, ACK) that the server sent to each port.
    heard: Vec<Option<(SeqNumber, SeqNumber)>>,
    sent: u64,
    answers: u64,
    frame: Vec<u8>,
}

/// The first of its ports.
const FIRST_PORT: u16 = 30_000;

impl RandomSegments {
    /// Random segments from a station. `number` is that of its stream of draws.
    pub fn new(station: Station, config: RandomConfig, seed: Seed, number: u32) -> Self {
        assert!(config.ports > 0 && config.text_max <= 1460, "ports: at least 1, text_max: 1,460");
        let draws = seed.stream(Stream::Named("Random", number));
        let heard = vec![None; usize::from(config.ports)];
        Self { config, station, draws, heard, sent: 0, answers: 0, frame: Vec::new() }
    }

    /// Segments sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Segments that came back.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    fn send(&mut self, now: Instant, dst_mac: MacAddr, out: &mut dyn FnMut(&[u8])) {
        let draws = &mut self.draws;
        let port = draws.below(u64::from(self.config.ports)) as u16;
        let bits = draws.word();
        let near = |heard: Option<u32>, draws: &mut Draws| match heard {
            Some(number) if draws.below(4) != 0 => SeqNumber(number) + draws.below(4) as u32,
            _ => SeqNumber(draws.word() as u32),
        };
        let heard = self.heard[usize::from(port)];
        let seq = near(heard.map(|(_, ack)| ack.0), draws);
        let ack = near(heard.map(|(seq, _)| seq.0), draws);
        let one_in = |n: u64, draws: &mut Draws| draws.below(n) == 0;
        let mut sack = SackBlocks::default();
        for _ in 0..draws.below(4) {
            sack.push(SeqNumber(draws.word() as u32), SeqNumber(draws.word() as u32));
        }
        let segment = Segment {
            src_port: FIRST_PORT.wrapping_add(port),
            dst_port: self.config.server.port(),
            seq,
            ack,
            // SYN alone, ACK alone and anything.
            flags: match draws.below(4) {
                0 => TcpFlags::SYN,
                1 => TcpFlags::ACK,
                _ => TcpFlags(bits as u8),
            },
            window: (bits >> 16) as u16,
            options: TcpOptions {
                mss: one_in(2, draws).then_some((bits >> 32) as u16),
                window_scale: one_in(2, draws).then_some((bits >> 48) as u8),
                sack_permitted: one_in(2, draws),
                timestamps: one_in(2, draws)
                    .then(|| Timestamps { val: now.as_millis() as u32, ecr: draws.word() as u32 }),
                sack: if one_in(4, draws) { sack } else { SackBlocks::default() },
            },
        };
        let mut text = vec![0; draws.below(u64::from(self.config.text_max) + 1) as usize];
        text.fill_with(|| draws.word() as u8);
        let (src_mac, src_ip) = (self.station.mac(), self.station.ip());
        let route = Route { src_mac, dst_mac, src_ip, dst_ip: *self.config.server.ip() };
        write_segment(&mut self.frame, &route, &segment, &text);
        if self.draws.happens(self.config.malformed) {
            for _ in 0..=self.draws.below(4) {
                let at = 14 + self.draws.below(self.frame.len() as u64 - 14) as usize;
                self.frame[at] = self.draws.word() as u8;
            }
        }
        out(&self.frame);
        self.sent += 1;
    }
}

impl Paced for RandomSegments {
    fn station(&mut self) -> &mut Station {
        &mut self.station
    }

    fn server(&self) -> SocketAddrV4 {
        self.config.server
    }

    fn next_at(&self) -> Option<Instant> {
        self.config.pace.at(self.sent)
    }

    fn act(&mut self, now: Instant, server: MacAddr, out: &mut dyn FnMut(&[u8])) {
        self.send(now, server, out);
    }
}

impl Endpoint for RandomSegments {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        let Some(frame) = self.station.on_frame(frame) else { return };
        self.answers += 1;
        let port = usize::from(frame.tcp.dst_port.wrapping_sub(FIRST_PORT));
        if let Some(heard) = self.heard.get_mut(port) {
            *heard = Some((frame.tcp.seq + frame.tcp.seg_len(), frame.tcp.ack));
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.poll_paced(now, out)
    }

    fn describe(&self) -> String {
        format!("random segments, {} sent, {} came back", self.sent, self.answers)
    }
}
