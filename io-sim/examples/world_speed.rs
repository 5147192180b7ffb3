//! What a world costs: a bulk transfer between two endpoints that do next to nothing, with all
//! oracles and hashing on. Run with `--release`; prints frames a second of wall time.
//!
//! Frames of 1,514 bytes one way, an acknowledgement for every second one the other way; each
//! frame is counted once, on arrival. Arguments: how many frames, and `served` for a link that
//! decides about each frame when its turn comes (CoDel) and varies its delay.
#![allow(clippy::disallowed_methods, reason = "measures wall time")]

use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::checksum::{self, Sum};
use simoom_core::wire::emit::{HeaderTemplate, TcpHeader, write_tcp_frame};
use simoom_core::wire::ethernet::MacAddr;
use simoom_core::wire::tcp::{SynOptions, TcpFlags};
use simoom_core::wire::{self, Frame};
use simoom_sim::endpoint::{Either, Endpoint, EndpointHost};
use simoom_sim::link::{Aqm, CoDelConfig, Jitter, LinkConfig, Rate, Variation};
use simoom_sim::seed::Seed;
use simoom_sim::world::World;
use std::net::Ipv4Addr;

const SEGMENT: usize = 1460;
/// Below 64 KiB: the window of the SYN is not scaled.
const WINDOW: u32 = 44 * SEGMENT as u32;

/// One end of a connection that never loses anything.
struct End {
    template: HeaderTemplate,
    peer: Ipv4Addr,
    /// Next number to send, and next expected.
    snd_nxt: u32,
    rcv_nxt: u32,
    unacknowledged: u32,
    frame: Vec<u8>,
}

impl End {
    fn new(number: u8) -> Self {
        let mac = |n| MacAddr([2, 0, 0, 0, 0, n]);
        let ip = |n| Ipv4Addr::new(10, 0, 0, n);
        let mut frame = vec![0; 54];
        frame.extend((0..SEGMENT).map(|n| n as u8));
        Self {
            template: HeaderTemplate::new(mac(number), None, ip(number), 64),
            peer: ip(3 - number),
            snd_nxt: 0,
            rcv_nxt: 0,
            unacknowledged: 0,
            frame,
        }
    }

    fn send(&mut self, flags: TcpFlags, text: Option<Sum>, out: &mut dyn FnMut(&[u8])) {
        let syn = flags.contains(TcpFlags::SYN);
        let header = TcpHeader {
            dst_mac: MacAddr([2, 0, 0, 0, 0, 9]),
            dst_ip: self.peer,
            src_port: 5,
            dst_port: 5,
            seq: SeqNumber(self.snd_nxt),
            ack: SeqNumber(self.rcv_nxt),
            flags,
            window: 0xffff,
            timestamps: None,
            syn: syn.then_some(SynOptions {
                mss: 1460,
                window_scale: Some(8),
                sack_permitted: false,
            }),
        };
        let len = if text.is_some() { SEGMENT } else { 0 };
        let sum = text.unwrap_or_default();
        // The options of a SYN would lie over the text.
        let mut short = [0; 128];
        let frame = if text.is_some() { &mut self.frame[..] } else { &mut short[..] };
        let head = write_tcp_frame(&self.template, frame, &header, len, sum, false);
        out(&frame[..head + len]);
        self.snd_nxt = self.snd_nxt.wrapping_add(len as u32 + u32::from(syn));
    }
}

struct Sender {
    end: End,
    sum: Sum,
    una: u32,
}

impl Endpoint for Sender {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        if let Ok(Frame::Tcp(frame)) = wire::parse(frame, false) {
            self.una = frame.tcp.ack.0;
            self.end.rcv_nxt = self.end.rcv_nxt.wrapping_add(frame.tcp.seg_len());
        }
    }

    fn poll(&mut self, _now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        if self.end.snd_nxt == 0 {
            self.end.send(TcpFlags::SYN, None, out);
        }
        if self.una > 0 {
            while self.end.snd_nxt.wrapping_sub(self.una) < WINDOW {
                self.end.send(TcpFlags::ACK, Some(self.sum), out);
            }
        }
        None
    }
}

struct Receiver {
    end: End,
}

impl Endpoint for Receiver {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        if let Ok(Frame::Tcp(frame)) = wire::parse(frame, false) {
            self.end.rcv_nxt = self.end.rcv_nxt.wrapping_add(frame.tcp.seg_len());
            self.end.unacknowledged += 1;
        }
    }

    fn poll(&mut self, _now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        if self.end.snd_nxt == 0 && self.end.rcv_nxt > 0 {
            self.end.unacknowledged = 0;
            self.end.send(TcpFlags::SYN | TcpFlags::ACK, None, out);
        } else if self.end.unacknowledged >= 2 {
            self.end.unacknowledged = 0;
            self.end.send(TcpFlags::ACK, None, out);
        }
        None
    }
}

fn main() {
    let frames: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(3_000_000);
    let mut world = World::new(Seed(1));
    let sender = End::new(1);
    let sum = checksum::sum(&sender.frame[54..]);
    let one = world.add_host(Either::Left(EndpointHost::new(Sender { end: sender, sum, una: 0 })));
    let receiver = Receiver { end: End::new(2) };
    let other = world.add_host(Either::Right(EndpointHost::new(receiver)));
    let link = LinkConfig {
        rate: Rate::gbit(10),
        delay: Duration::from_micros(50),
        ..LinkConfig::default()
    };
    let link = match std::env::args().nth(2).as_deref() {
        Some("served") => LinkConfig {
            aqm: Aqm::CoDel(CoDelConfig::default()),
            jitter: Jitter::InOrder(Variation::Uniform { max: Duration::from_micros(5) }),
            ..link
        },
        _ => link,
    };
    world.connect((one, 0), (other, 0), link.clone(), link);
    let start = std::time::Instant::now();
    let outcome = world.run_until(|world| world.stats().arrived >= frames);
    let took = start.elapsed().as_secs_f64();
    if let Err(error) = outcome {
        println!("{error}");
        std::process::exit(1);
    }
    println!(
        "{} frames, {:.3} s simulated, {took:.3} s, {:.0} frames/s, {:.0} ns a frame, hash {}",
        world.stats().arrived,
        world.now().as_nanos() as f64 / 1e9,
        world.stats().arrived as f64 / took,
        took * 1e9 / world.stats().arrived as f64,
        world.hash()
    );
}
