//! The ideal receiver, and its kin: a client that opens connections, asks, and takes everything that comes.
//!
//! With the default [`Manners`] it has a window of 1 GiB and acknowledges every segment at once: what it gets
//! is limited by the server and the path alone, which is what theories are about. Other manners make it a slow
//! reader, one that divides its acknowledgements, shrinks its window, half-closes, aborts or falls silent.

use super::tcp_peer::answers::{Request, Wrongs};
use super::tcp_peer::conn::{Completion, Conn, ConnEnd, ConnStats, Means};
use super::tcp_peer::manners::Manners;
use super::tcp_peer::station::{Segment, Station};
use crate::endpoint::Endpoint;
use crate::seed::{Draws, Seed, Stream};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{MacAddr, TcpFlags, TcpFrame};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// What a receiver does.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Whom to ask: a neighbour on the same Ethernet.
    pub server: SocketAddrV4,
    /// How its connections behave.
    pub manners: Manners,
    /// What each connection asks, one after the other, each when the answer before was read.
    pub requests: Arc<[Request]>,
    /// Connections at once.
    pub connections: u32,
    /// How many connections follow each other in the place of each: 1 for no more than the first.
    pub rounds: u32,
    /// When the first connection is opened.
    pub start_at: Instant,
    /// From the opening of one of the first connections to that of the next.
    pub stagger: Duration,
    /// The local port of the first connection; each has the next. All have to lie below 65,536.
    pub first_port: u16,
    /// Completions recorded at most.
    pub completions_max: usize,
    /// How often the bytes received are noted in [`Receiver::progress`]; zero: never.
    pub progress_every: Duration,
}

impl ReceiverConfig {
    /// One connection with the ideal manners that makes these requests.
    pub fn new(server: SocketAddrV4, requests: Vec<Request>) -> Self {
        Self {
            server,
            manners: Manners::default(),
            requests: requests.into(),
            connections: 1,
            rounds: 1,
            start_at: Instant::ZERO,
            stagger: Duration::ZERO,
            first_port: 20_000,
            completions_max: 10_000,
            progress_every: Duration::ZERO,
        }
    }

    /// Says what no receiver can do.
    ///
    /// # Errors
    /// The field, and what would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        self.manners.check()?;
        let all = u64::from(self.connections) * u64::from(self.rounds);
        match () {
            () if all == 0 => Err("connections, rounds: at least 1 each"),
            () if u64::from(self.first_port) + all > 65_536 => {
                Err("connections, rounds: their local ports from first_port on end at 65,535")
            }
            () if self.first_port == 0 => Err("first_port: not 0"),
            () => Ok(()),
        }
    }
}

/// One note of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When.
    pub at: Instant,
    /// Bytes of the streams of all connections that have come in order until then.
    pub bytes: u64,
}

/// The place of a connection at a time.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// The connection that is there now.
    conn: Option<u32>,
    /// When the next one is opened.
    open_at: Instant,
    rounds_left: u32,
}

/// The receiver. A host: `EndpointHost::new(Receiver::new(..))`.
#[derive(Clone, Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    station: Station,
    draws: Draws,
    /// All there ever were: number `n` has the port `first_port + n`.
    conns: Vec<Conn>,
    lanes: Vec<Lane>,
    /// No deadline of a connection or a lane comes before.
    wake_at: Instant,
    /// Connections to which something came since the last poll.
    touched: Vec<u32>,
    /// Segments that belong to nothing, to be answered by RST.
    strays: Vec<Segment>,
    /// Bytes of streams that came in order.
    bytes: u64,
    stats: ConnStats,
    completions: Vec<Completion>,
    progress: Vec<Progress>,
    progress_at: Instant,
}

/// Stray segments answered at one poll, at most.
const STRAYS_MAX: usize = 16;

impl Receiver {
    /// A receiver at a station. `number` is that of its stream of draws ([`Stream::Host`]), for initial sequence
    /// numbers.
    ///
    /// # Panics
    /// Where [`ReceiverConfig::check`] finds fault.
    pub fn new(station: Station, config: ReceiverConfig, seed: Seed, number: u32) -> Self {
        if let Err(error) = config.check() {
            panic!("{error}");
        }
        let lanes = (0..config.connections).map(|n| Lane {
            conn: None,
            open_at: config.start_at + config.stagger.saturating_mul(u64::from(n)),
            rounds_left: config.rounds,
        });
        Self {
            lanes: lanes.collect(),
            station,
            draws: seed.stream(Stream::Host(number)),
            conns: Vec::new(),
            wake_at: Instant::ZERO,
            touched: Vec::new(),
            strays: Vec::new(),
            bytes: 0,
            stats: ConnStats::default(),
            completions: Vec::new(),
            progress: Vec::new(),
            progress_at: config.start_at,
            config,
        }
    }

    /// Receiver `number` (not 0) of 10.66.0.0/16, as [`Station::numbered`].
    pub fn numbered(number: u16, config: ReceiverConfig, seed: Seed) -> Self {
        Self::new(Station::numbered(number), config, seed, u32::from(number))
    }

    /// What was counted.
    pub fn stats(&self) -> &ConnStats {
        &self.stats
    }

    /// What was wrong with what came, over all connections.
    pub fn wrongs(&self) -> Wrongs {
        let mut all = Wrongs::default();
        for conn in &self.conns {
            all.add(&conn.answers().wrongs);
        }
        all
    }

    /// Answered requests, in the order of their ends.
    pub fn completions(&self) -> &[Completion] {
        &self.completions
    }

    /// What has come, at multiples of [`ReceiverConfig::progress_every`] from the start on.
    pub fn progress(&self) -> &[Progress] {
        &self.progress
    }

    /// Bytes of the streams of all connections that have come in order, heads of answers in.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of bodies that have come in order.
    pub fn body_bytes(&self) -> u64 {
        self.conns.iter().map(|conn| conn.answers().body_bytes).sum()
    }

    /// Bytes of the stream of one connection that have come in order; 0 before it was opened.
    pub fn bytes_of(&self, connection: u32) -> u64 {
        self.conns.get(connection as usize).map_or(0, Conn::came)
    }

    /// How a connection ended, if it did.
    pub fn end_of(&self, connection: u32) -> Option<ConnEnd> {
        self.conns.get(connection as usize).and_then(Conn::end)
    }

    /// Whether every connection was opened and has ended.
    pub fn is_done(&self) -> bool {
        self.lanes.iter().all(|lane| lane.conn.is_none() && lane.rounds_left == 0)
    }

    /// Says whether all went well: every request of every connection answered rightly, every connection
    /// closed.
    ///
    /// # Errors
    /// What did not.
    pub fn verdict(&self) -> Result<(), String> {
        let connections = u64::from(self.config.connections) * u64::from(self.config.rounds);
        let requests = connections * self.config.requests.len() as u64;
        let wrongs = self.wrongs();
        if self.stats.succeeded == requests && self.stats.closed == connections && wrongs.is_none()
        {
            return Ok(());
        }
        Err(format!(
            "{} of {requests} requests, {} of {connections} connections: {wrongs:?}, {:?}",
            self.stats.succeeded, self.stats.closed, self.stats
        ))
    }

    fn on_segment(&mut self, now: Instant, frame: &TcpFrame<'_>) {
        let tcp = &frame.tcp;
        let from_server =
            frame.ip.src == *self.config.server.ip() && tcp.src_port == self.config.server.port();
        let number = usize::from(tcp.dst_port.wrapping_sub(self.config.first_port));
        let Some(conn) = self.conns.get_mut(number).filter(|_| from_server) else {
            return self.on_stray(frame);
        };
        let before = conn.came();
        conn.on_segment(now, tcp, &self.config.manners, &mut self.stats);
        let after = conn.came();
        if after != before {
            self.note_progress(now);
            self.bytes += after - before;
        }
        if self.touched.last() != Some(&(number as u32)) {
            self.touched.push(number as u32);
        }
    }

    /// RFC 9293 §3.10.7.1: what belongs to no connection is answered by RST.
    fn on_stray(&mut self, frame: &TcpFrame<'_>) {
        let tcp = &frame.tcp;
        let is_neighbour = frame.ip.src == *self.config.server.ip();
        if tcp.flags.contains(TcpFlags::RST) || !is_neighbour || self.strays.len() >= STRAYS_MAX {
            return;
        }
        let mut reset = Segment {
            src_port: tcp.dst_port,
            dst_port: tcp.src_port,
            flags: TcpFlags::RST,
            seq: tcp.ack,
            ..Segment::default()
        };
        if !tcp.flags.contains(TcpFlags::ACK) {
            reset.flags = TcpFlags::RST | TcpFlags::ACK;
            reset.seq.0 = 0;
            reset.ack = tcp.seq + tcp.seg_len();
        }
        self.strays.push(reset);
    }

    fn note_progress(&mut self, now: Instant) {
        if self.config.progress_every == Duration::ZERO {
            return;
        }
        while self.progress_at <= now {
            self.progress.push(Progress { at: self.progress_at, bytes: self.bytes });
            self.progress_at += self.config.progress_every;
        }
    }

    /// Opens connections whose time has come.
    fn open(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            if lane.conn.is_some() || lane.rounds_left == 0 || lane.open_at > now {
                continue;
            }
            lane.rounds_left -= 1;
            let number = self.conns.len() as u32;
            let port = self.config.first_port + number as u16;
            let iss = self.draws.word() as u32;
            self.conns.push(Conn::new(number, port, iss, now, &self.config.manners));
            lane.conn = Some(number);
        }
    }

    /// Polls a connection.
    fn poll_conn(
        &mut self,
        now: Instant,
        number: u32,
        dst_mac: MacAddr,
        out: &mut dyn FnMut(&[u8]),
    ) {
        let conn = &mut self.conns[number as usize];
        let mut means = Means {
            station: &mut self.station,
            dst_mac,
            server: self.config.server,
            manners: &self.config.manners,
            requests: &self.config.requests,
            stats: &mut self.stats,
            completions: &mut self.completions,
            completions_max: self.config.completions_max,
            out,
        };
        let had_ended = conn.end().is_some();
        conn.poll(now, &mut means);
        if conn.end().is_some() && !had_ended {
            // Its lane is looked at in this poll.
            self.wake_at = now;
        }
        self.wake_at = self.wake_at.min(conn.next_deadline());
    }

    /// Everything whose time has come, and when to come again.
    fn look_at_all(&mut self, now: Instant, dst_mac: MacAddr, out: &mut dyn FnMut(&[u8])) {
        for n in 0..self.lanes.len() {
            let lane = &mut self.lanes[n];
            if let Some(conn) = lane.conn
                && self.conns[conn as usize].end().is_some()
            {
                lane.conn = None;
                lane.open_at = now;
            }
        }
        self.open(now);
        self.wake_at = Instant::FAR_FUTURE;
        for n in 0..self.lanes.len() {
            let lane = self.lanes[n];
            match lane.conn {
                Some(conn) if self.conns[conn as usize].next_deadline() <= now => {
                    self.poll_conn(now, conn, dst_mac, out);
                }
                Some(conn) => {
                    self.wake_at = self.wake_at.min(self.conns[conn as usize].next_deadline());
                }
                None if lane.rounds_left > 0 => self.wake_at = self.wake_at.min(lane.open_at),
                None => {}
            }
        }
    }
}

impl Endpoint for Receiver {
    fn on_frame(&mut self, now: Instant, frame: &[u8]) {
        if let Some(frame) = self.station.on_frame(frame) {
            self.on_segment(now, &frame);
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station.poll(out);
        if now < self.config.start_at {
            return Some(self.config.start_at);
        }
        let Some(dst_mac) = self.station.resolve(now, *self.config.server.ip(), out) else {
            return self.station.ask_at();
        };
        while let Some(reset) = self.strays.pop() {
            self.station.send(dst_mac, *self.config.server.ip(), &reset, &[], out);
        }
        let mut touched = std::mem::take(&mut self.touched);
        for number in touched.drain(..) {
            self.poll_conn(now, number, dst_mac, out);
        }
        self.touched = touched;
        if self.wake_at <= now {
            self.look_at_all(now, dst_mac, out);
        }
        (self.wake_at != Instant::FAR_FUTURE).then_some(self.wake_at)
    }

    fn describe(&self) -> String {
        format!(
            "a receiver: {} connections open, {} bytes, {:?}",
            self.lanes.iter().filter(|lane| lane.conn.is_some()).count(),
            self.bytes,
            self.stats
        )
    }
}
