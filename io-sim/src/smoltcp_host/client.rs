//! An HTTP/1.1 client over smoltcp. Fetches a list over several connections and compares every
//! byte of every body.

use super::{Identity, Net};
use crate::endpoint::Endpoint;
use simoom_core::time::Instant;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::sync::Arc;

/// One thing to fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The request target.
    pub path: String,
    /// What its body must be.
    pub body: Arc<[u8]>,
}

/// What a client does.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Whom it asks.
    pub server: SocketAddrV4,
    /// Connections open at once, at most.
    pub connections: usize,
    /// Whether a connection is used again for the next fetch. Else each asks to be closed.
    pub keep_alive: bool,
    /// What it fetches, in this order, each once.
    pub fetches: Vec<Fetch>,
}

/// Why a fetch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The status was another than 200, or the head made no sense.
    Head(String),
    /// The body's length, as announced, is another than it must be.
    Length(u64),
    /// A byte of the body is wrong.
    WrongByte {
        /// Which.
        offset: u64,
        /// What it must be.
        expected: u8,
        /// What came.
        found: u8,
    },
    /// The connection ended in mid-response, or before one.
    Cut,
}

/// What a client has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Fetches whose every byte was right.
    pub completed: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// Fetches that failed: (number in the list, why).
    pub failures: Vec<(usize, Failure)>,
    /// Connections opened.
    pub opened: u64,
    /// When the last fetch ended.
    pub ended_at: Instant,
}

/// The client.
#[derive(Debug)]
pub struct HttpClient {
    net: Net,
    config: ClientConfig,
    waiting: VecDeque<usize>,
    slots: Vec<Slot>,
    next_port: u16,
    stats: ClientStats,
}

#[derive(Debug)]
struct Slot {
    handle: SocketHandle,
    stage: Stage,
    /// The fetch under way.
    fetch: usize,
    /// Request bytes that smoltcp has not yet taken.
    request: Vec<u8>,
    /// The response's head so far.
    head: Vec<u8>,
    /// Bytes of the body so far.
    body: u64,
    /// Whether a response has come over this connection before.
    used: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No connection.
    Idle,
    /// A connection without a fetch: on its way to being closed.
    Closing,
    /// A request is sent, the head is not whole.
    Head,
    /// In the body.
    Body,
}

/// A head is not longer than this.
const HEAD_MAX: usize = 16 << 10;

impl HttpClient {
    /// A client that begins when the world does.
    pub fn new(identity: Identity, config: ClientConfig) -> Self {
        let mut net = Net::new(identity);
        let slots = (0..config.connections.max(1)).map(|_| Slot::new(net.add_socket())).collect();
        let next_port = 49_152 + (identity.random_seed % 16_384) as u16;
        let waiting = (0..config.fetches.len()).collect();
        Self { net, config, waiting, slots, next_port, stats: ClientStats::default() }
    }

    /// What it has seen.
    pub fn stats(&self) -> &ClientStats {
        &self.stats
    }

    /// Bytes of bodies that have come and were right, of fetches under way too.
    pub fn body_bytes(&self) -> u64 {
        let busy = self.slots.iter().filter(|slot| slot.stage == Stage::Body);
        self.stats.body_bytes + busy.map(|slot| slot.body).sum::<u64>()
    }

    /// Whether every fetch has ended, well or not.
    pub fn is_done(&self) -> bool {
        self.stats.completed as usize + self.stats.failures.len() == self.config.fetches.len()
    }

    /// Whether every connection is closed, or in TIME-WAIT, too.
    pub fn is_quiet(&self) -> bool {
        self.is_done() && self.slots.iter().all(|slot| slot.stage == Stage::Idle)
    }

    /// Fails with what went wrong unless every fetch ended well.
    pub fn verdict(&self) -> Result<(), String> {
        if self.stats.completed as usize == self.config.fetches.len() {
            return Ok(());
        }
        Err(match self.stats.failures.first() {
            Some((n, why)) => format!("fetch {n} of {}: {why:?}", self.config.fetches[*n].path),
            None => format!(
                "{} of {} fetches completed",
                self.stats.completed,
                self.config.fetches.len()
            ),
        })
    }

    /// Does what can be done for one connection. True where that gives smoltcp something to do.
    fn serve(&mut self, n: usize, now: Instant) -> bool {
        match self.slots[n].stage {
            Stage::Idle => self.open(n),
            Stage::Closing => self.finish_closing(n),
            Stage::Head | Stage::Body => self.push_request(n) | self.pull_response(n, now),
        }
    }

    fn open(&mut self, n: usize) -> bool {
        let Some(fetch) = self.waiting.pop_front() else {
            return false;
        };
        let slot = &mut self.slots[n];
        slot.used = false;
        self.begin(n, fetch);
        let port = self.next_port;
        self.next_port = if port == u16::MAX { 49_152 } else { port + 1 };
        let handle = self.slots[n].handle;
        let socket = self.net.sockets.get_mut::<smoltcp::socket::tcp::Socket<'_>>(handle);
        let server = (*self.config.server.ip(), self.config.server.port());
        socket.connect(self.net.iface.context(), server, port).expect("a closed socket connects");
        self.stats.opened += 1;
        true
    }

    fn begin(&mut self, n: usize, fetch: usize) {
        let connection = if self.config.keep_alive { "" } else { "Connection: close\r\n" };
        let path = &self.config.fetches[fetch].path;
        let host = self.config.server.ip();
        let slot = &mut self.slots[n];
        slot.request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{connection}\r\n").into();
        slot.head.clear();
        slot.body = 0;
        slot.fetch = fetch;
        slot.stage = Stage::Head;
    }

    fn push_request(&mut self, n: usize) -> bool {
        let slot = &mut self.slots[n];
        let socket = self.net.socket(slot.handle);
        if slot.request.is_empty() || !socket.can_send() {
            return false;
        }
        let taken = socket.send_slice(&slot.request).unwrap_or(0);
        slot.request.drain(..taken);
        taken > 0
    }

    fn pull_response(&mut self, n: usize, now: Instant) -> bool {
        let slot = &mut self.slots[n];
        let fetch = &self.config.fetches[slot.fetch];
        let socket = self.net.socket(slot.handle);
        let mut outcome = Ok(false);
        let mut moved = false;
        while socket.can_recv() && outcome == Ok(false) {
            let received = socket.recv(|data| {
                let (taken, progress) = slot.take(data, fetch);
                (taken, progress)
            });
            outcome = received.unwrap_or(Ok(false));
            moved = true;
        }
        // SYN-SENT has not yet had a chance to be anything else.
        let over = !socket.may_recv() && !matches!(socket.state(), State::SynSent);
        match outcome {
            Ok(true) => {
                self.stats.completed += 1;
                self.stats.body_bytes += slot.body;
                self.stats.ended_at = now;
                slot.used = true;
                let next = if self.config.keep_alive { self.waiting.pop_front() } else { None };
                match next {
                    Some(fetch) => self.begin(n, fetch),
                    None => self.close(n),
                }
                true
            }
            Ok(false) if over => {
                // A server may close a connection between two requests: ask again on another.
                if slot.used && slot.head.is_empty() && slot.body == 0 {
                    let fetch = slot.fetch;
                    self.waiting.push_front(fetch);
                    self.close(n);
                } else {
                    self.fail(n, Failure::Cut, now);
                }
                true
            }
            Ok(false) => moved,
            Err(failure) => {
                self.fail(n, failure, now);
                true
            }
        }
    }

    fn fail(&mut self, n: usize, why: Failure, now: Instant) {
        self.stats.failures.push((self.slots[n].fetch, why));
        self.stats.ended_at = now;
        self.net.socket(self.slots[n].handle).abort();
        self.slots[n].stage = Stage::Closing;
    }

    fn close(&mut self, n: usize) {
        self.net.socket(self.slots[n].handle).close();
        self.slots[n].stage = Stage::Closing;
    }

    /// A closed connection, or one in TIME-WAIT, makes room for another.
    fn finish_closing(&mut self, n: usize) -> bool {
        let handle = self.slots[n].handle;
        let socket = self.net.socket(handle);
        // What still comes is of no interest.
        while socket.can_recv() {
            let _ = socket.recv(|data| (data.len(), ()));
        }
        match socket.state() {
            State::Closed => {}
            // TIME-WAIT goes on beside the next connection for as long as there is none.
            State::TimeWait if !self.waiting.is_empty() => {}
            State::TimeWait => {
                self.slots[n].stage = Stage::Idle;
                return false;
            }
            _ => return false,
        }
        self.replace_socket(n);
        self.slots[n].stage = Stage::Idle;
        true
    }

    fn replace_socket(&mut self, n: usize) {
        self.net.sockets.remove(self.slots[n].handle);
        self.slots[n].handle = self.net.add_socket();
    }
}

impl Slot {
    fn new(handle: SocketHandle) -> Self {
        Self {
            handle,
            stage: Stage::Idle,
            fetch: 0,
            request: Vec::new(),
            head: Vec::new(),
            body: 0,
            used: false,
        }
    }

    /// Takes received bytes: how many, and whether the response is whole.
    fn take(&mut self, data: &[u8], fetch: &Fetch) -> (usize, Result<bool, Failure>) {
        if self.stage == Stage::Head {
            let before = self.head.len();
            self.head.extend_from_slice(data);
            let from = before.saturating_sub(3);
            let end = self.head[from..].windows(4).position(|w| w == b"\r\n\r\n");
            let Some(end) = end.map(|at| from + at + 4) else {
                let too_long = self.head.len() > HEAD_MAX;
                let failure = || Failure::Head(String::from("without end"));
                return (data.len(), if too_long { Err(failure()) } else { Ok(false) });
            };
            self.head.truncate(end);
            self.stage = Stage::Body;
            let outcome = check_head(&self.head, fetch.body.len() as u64);
            return (end - before, outcome.map(|()| fetch.body.is_empty()));
        }
        let expected = &fetch.body[self.body as usize..];
        let len = data.len().min(expected.len());
        if data[..len] != expected[..len] {
            let at = (0..len).find(|n| data[*n] != expected[*n]).unwrap_or_default();
            let offset = self.body + at as u64;
            let wrong = Failure::WrongByte { offset, expected: expected[at], found: data[at] };
            return (data.len(), Err(wrong));
        }
        self.body += len as u64;
        (len, Ok(len == expected.len()))
    }
}

/// Whether a head says 200 and the right length.
fn check_head(head: &[u8], length: u64) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(Failure::Head(status.to_owned()));
    }
    let announced = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<u64>().ok());
    match announced {
        Some(n) if n == length => Ok(()),
        Some(n) => Err(Failure::Length(n)),
        None => Err(Failure::Head(String::from("no Content-Length"))),
    }
}

impl Endpoint for HttpClient {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.net.on_frame(frame);
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        loop {
            self.net.poll(now);
            let mut moved = false;
            for n in 0..self.slots.len() {
                moved |= self.serve(n, now);
            }
            if !moved {
                return self.net.finish(now, out);
            }
        }
    }

    fn describe(&self) -> String {
        let states: Vec<_> = self
            .slots
            .iter()
            .map(|slot| {
                let socket = self.net.sockets.get::<smoltcp::socket::tcp::Socket<'_>>(slot.handle);
                format!("{:?} in {:?}, {} B of body", slot.stage, socket.state(), slot.body)
            })
            .collect();
        format!(
            "a smoltcp client: {} of {} fetches completed, {} failed; {}",
            self.stats.completed,
            self.config.fetches.len(),
            self.stats.failures.len(),
            states.join("; ")
        )
    }
}
