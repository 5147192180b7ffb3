//! A client that fetches and checks: an [`App`] for the other side of a simulation or a bench.
//!
//! It opens connections, asks for paths in a fixed or seeded order, takes the answers apart as
//! they come and holds every byte of every body against an [`Expect`]. It keeps no body.
//!
//! Must not know the server: it reads HTTP and nothing else.

mod answer;
mod config;
#[cfg(test)]
mod tests;

use crate::content::NoContent;
use crate::server::bodies::{pattern_fill, pattern_matches};
use crate::stack::app::{App, CloseReason, Cx, OpenError, OpenRequest, Peer, Source};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use answer::{Answer, Fault};
pub use config::{FetchConfig, Order, Pace};

/// Requests without an answer on one connection, at most.
pub const PIPELINE_MAX: usize = 8;

/// What should come. Paths are numbered as the client was told them.
pub trait Expect {
    /// Bytes of the body of a path.
    fn len(&self, path_index: u32) -> u64;
    /// Whether these are the bytes of the body from `offset` on.
    fn check(&mut self, path_index: u32, offset: u64, bytes: &[u8]) -> bool;
}

/// Expects the patterns of [`pattern_fill`]: for each path a seed and a length.
#[derive(Clone, Debug, Default)]
pub struct ExpectPatterns(pub Vec<(u64, u64)>);

impl Expect for ExpectPatterns {
    fn len(&self, path_index: u32) -> u64 {
        self.0.get(path_index as usize).map_or(0, |(_, len)| *len)
    }

    fn check(&mut self, path_index: u32, offset: u64, bytes: &[u8]) -> bool {
        let Some(&(seed, len)) = self.0.get(path_index as usize) else {
            return false;
        };
        offset + bytes.len() as u64 <= len && pattern_matches(seed, offset, bytes)
    }
}

/// Expects bodies kept in memory, one for each path.
#[derive(Clone, Debug, Default)]
pub struct ExpectBytes(pub Vec<alloc::sync::Arc<[u8]>>);

impl Expect for ExpectBytes {
    fn len(&self, path_index: u32) -> u64 {
        self.0.get(path_index as usize).map_or(0, |b| b.len() as u64)
    }

    fn check(&mut self, path_index: u32, offset: u64, bytes: &[u8]) -> bool {
        let at = offset as usize;
        let body = self.0.get(path_index as usize);
        body.and_then(|b| b.get(at..at + bytes.len())).is_some_and(|part| part == bytes)
    }
}

/// A request that was answered in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// When the request was handed to the stack; with a pace, when it was due.
    pub asked_at: Instant,
    /// When the last byte of the answer came.
    pub done_at: Instant,
    /// Which path.
    pub path_index: u32,
}

/// What the client saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Connections that reached ESTABLISHED.
    pub connections: u64,
    /// Connections that could not be opened.
    pub open_failed: u64,
    /// Requests handed to the stack.
    pub requests: u64,
    /// Requests answered with the right status, length and bytes.
    pub succeeded: u64,
    /// Requests answered otherwise, or not at all.
    pub failed: u64,
    /// Answers with another status than 200.
    pub wrong_status: u64,
    /// Answers whose length is not the expected one.
    pub wrong_length: u64,
    /// Runs of bytes that differ from the expected.
    pub wrong_bytes: u64,
    /// Bytes that are no answer.
    pub malformed: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Bytes of heads.
    pub head_bytes: u64,
    /// Connections that ended before their last answer.
    pub cut_off: u64,
    /// Completions beyond the bound of the record.
    pub unrecorded: u64,
}

/// The client.
#[derive(Clone, Debug)]
pub struct FetchClient<E> {
    config: FetchConfig,
    expect: E,
    stats: FetchStats,
    completions: Vec<Completion>,
    /// The request of each path: to go on with, and as the last of a connection.
    requests: Vec<[Vec<u8>; 2]>,
    /// Requests given to a connection.
    issued: u64,
    /// Requests that were given to a connection which ended before they were due. At most one for each
    /// connection.
    returned: Vec<u64>,
    /// The time, as far as it was told.
    now: Instant,
    /// No further request is made.
    stopping: bool,
    /// Connections that ask, or are on their way to: at most as many as configured.
    alive: u32,
    /// Connections that the stack still has, those in their last exchange of FINs among them.
    open: u32,
    /// Connections asked of the stack and not yet open.
    opening: u32,
    content: NoContent,
}

/// What is kept per connection.
#[derive(Clone, Debug)]
pub struct FetchConn {
    /// Stream offset of the oldest request that is not acknowledged in full.
    start: u64,
    asked: [Asked; PIPELINE_MAX],
    /// Requests made, answered in full and acknowledged in full. The last two are at most the
    /// first, and at most [`PIPELINE_MAX`] behind it.
    issued: u64,
    answered: u64,
    acked: u64,
    /// The answer to request `answered`.
    answer: Answer,
    /// The last request was made, or the peer has said that no more will be answered.
    finishing: bool,
    /// The pause before the next request is running.
    thinking: bool,
    /// A request that is this connection's and not yet due.
    reserved: Option<u64>,
    /// Another connection may take the place of this one.
    is_over: bool,
}

/// A request without an answer, or without an acknowledgement.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    path_index: u32,
    last: bool,
}

impl FetchConn {
    fn slot(&self, number: u64) -> &Asked {
        &self.asked[(number % PIPELINE_MAX as u64) as usize]
    }

    fn unanswered(&self) -> u64 {
        self.issued - self.answered
    }
}

impl<E: Expect> FetchClient<E> {
    /// A client that has done nothing. Bounds of the configuration are asserted.
    pub fn new(config: FetchConfig, expect: E) -> Self {
        assert!(!config.paths.is_empty() && config.requests_per_connection > 0);
        assert!((1..=PIPELINE_MAX).contains(&usize::from(config.pipeline)));
        let request = |path: &str, more: &str| {
            alloc::format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", config.host)
                .into_bytes()
        };
        let requests =
            config.paths.iter().map(|p| [request(p, ""), request(p, "Connection: close\r\n")]);
        let returned_max = config.pace.map_or(0, |_| config.connections as usize);
        Self {
            requests: requests.collect(),
            completions: Vec::with_capacity(config.completions_max),
            expect,
            stats: FetchStats::default(),
            issued: 0,
            returned: Vec::with_capacity(returned_max),
            now: Instant::ZERO,
            stopping: false,
            alive: 0,
            open: 0,
            opening: 0,
            content: NoContent,
            config,
        }
    }

    /// What was seen so far.
    pub fn stats(&self) -> &FetchStats {
        &self.stats
    }

    /// Requests answered, in the order of their ends.
    pub fn completions(&self) -> &[Completion] {
        &self.completions
    }

    /// Shows the recorded completions, in the order of their ends, and forgets them: whoever does so
    /// every turn needs room for those of a turn.
    pub fn drain_completions(&mut self, mut on_completion: impl FnMut(&Completion)) {
        self.completions.iter().for_each(&mut on_completion);
        self.completions.clear();
    }

    /// What time it is: told before every turn where there is a pace, since connections are opened
    /// when requests are due.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// When a connection is to be opened for a request that is not yet due; None where none is.
    pub fn next_open(&self) -> Option<Instant> {
        let pace = self.config.pace?;
        let room = self.alive < self.config.connections && self.unclaimed() > 0;
        room.then(|| pace.due(self.next_number()))
    }

    /// Makes no further request: connections end after what they have asked.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Every request was made, and answered or given up; no connection is left.
    pub fn is_done(&self) -> bool {
        let asked =
            self.stopping || (self.issued == self.config.requests && self.returned.is_empty());
        asked && self.alive == 0 && self.open == 0
    }

    /// Requests that no connection has, or will have as soon as it is open.
    fn unclaimed(&self) -> u64 {
        if self.stopping {
            return 0;
        }
        let left = self.config.requests - self.issued + self.returned.len() as u64;
        left.saturating_sub(self.opening.into())
    }

    /// The request that the next connection would be for.
    fn next_number(&self) -> u64 {
        let opening = self.opening as usize;
        match self.returned.len().checked_sub(opening + 1) {
            Some(place) => self.returned.get(place).copied().unwrap_or(self.issued),
            None => self.issued + (opening - self.returned.len()) as u64,
        }
    }

    /// More connections are wanted than there are, and each has something to ask.
    fn wants_connection(&self) -> bool {
        self.alive < self.config.connections
            && self.unclaimed() > 0
            && self.config.pace.is_none_or(|pace| pace.due(self.next_number()) <= self.now)
    }

    /// The number of a request to be made; None where others have the rest.
    fn take_number(&mut self) -> Option<u64> {
        if self.stopping {
            return None;
        }
        if let Some(number) = self.returned.pop() {
            return Some(number);
        }
        let number = self.issued;
        (number < self.config.requests).then(|| {
            self.issued += 1;
            number
        })
    }

    fn open_more(&mut self, cx: &mut Cx<'_>) {
        while self.wants_connection() {
            if cx.open(self.config.server, u64::from(self.alive) + 1).is_err() {
                break;
            }
            self.alive += 1;
            self.opening += 1;
        }
    }

    /// Makes as many requests as the pipeline has room for.
    fn ask(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn) {
        conn.thinking = false;
        while !conn.finishing
            && conn.unanswered() < u64::from(self.config.pipeline)
            && conn.issued - conn.acked < PIPELINE_MAX as u64
        {
            let reserved = conn.reserved.take().filter(|_| !self.stopping);
            let Some(number) = reserved.or_else(|| self.take_number()) else {
                // Others asked for the rest. Nothing is left to say.
                conn.finishing = true;
                break;
            };
            let due = self.config.pace.map(|pace| pace.due(number));
            if let Some(due) = due.filter(|due| *due > cx.now()) {
                conn.reserved = Some(number);
                cx.set_deadline(Some(due));
                break;
            }
            let path_index = self.path_of(number);
            self.stats.requests += 1;
            let last = conn.issued + 1 == self.config.requests_per_connection
                || number + 1 == self.config.requests;
            let slot = (conn.issued % PIPELINE_MAX as u64) as usize;
            conn.asked[slot] = Asked { at: due.unwrap_or(cx.now()), path_index, last };
            conn.issued += 1;
            conn.finishing = last;
        }
        if conn.finishing && conn.unanswered() == 0 {
            cx.close();
            self.leave(cx, conn);
        }
    }

    /// The connection asks nothing more: another one may open.
    fn leave(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn) {
        self.returned.extend(conn.reserved.take());
        if !conn.is_over {
            conn.is_over = true;
            self.alive = self.alive.saturating_sub(1);
            self.open_more(cx);
        }
    }

    fn thinks(&self) -> bool {
        self.config.pace.is_none() && self.config.think > Duration::ZERO
    }

    fn path_of(&self, number: u64) -> u32 {
        let n = self.requests.len() as u64;
        let choice = match self.config.order {
            Order::RoundRobin => number,
            Order::Seeded(seed) => draw(seed, number),
            Order::Split { seed, first, first_ppm } => {
                let first = u64::from(first).clamp(1, n);
                let is_first = draw(seed, number) % 1_000_000 < u64::from(first_ppm);
                let choice = draw(!seed, number);
                if is_first || first == n { choice % first } else { first + choice % (n - first) }
            }
        };
        (choice % n) as u32
    }

    /// The answer to the oldest request is whole.
    fn complete(&mut self, now: Instant, conn: &mut FetchConn) {
        let asked = *conn.slot(conn.answered);
        let answer = core::mem::take(&mut conn.answer);
        conn.answered += 1;
        conn.finishing |= answer.close;
        if answer.is_wrong {
            self.stats.failed += 1;
        } else {
            self.stats.succeeded += 1;
        }
        if self.completions.len() < self.config.completions_max {
            let Asked { at: asked_at, path_index, .. } = asked;
            self.completions.push(Completion { asked_at, done_at: now, path_index });
        } else {
            self.stats.unrecorded += 1;
        }
    }

    /// The stream makes no sense any more.
    fn give_up(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn) {
        self.stats.malformed += 1;
        conn.finishing = true;
        cx.abort();
        self.leave(cx, conn);
    }

    fn read(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if conn.unanswered() == 0 {
                self.give_up(cx, conn);
                return bytes.len();
            }
            let path_index = conn.slot(conn.answered).path_index;
            if !conn.answer.has_head {
                match conn.answer.read_head(rest) {
                    Ok(0) => break,
                    Ok(n) => {
                        taken += n;
                        self.stats.head_bytes += n as u64;
                        self.check_head(&mut conn.answer, path_index);
                    }
                    Err(Fault) => {
                        self.give_up(cx, conn);
                        return bytes.len();
                    }
                }
            } else {
                let n = conn.answer.left().min(rest.len() as u64) as usize;
                let part = rest.get(..n).unwrap_or(rest);
                let is_ours = !conn.answer.wrong_head;
                if is_ours && !self.expect.check(path_index, conn.answer.read, part) {
                    self.stats.wrong_bytes += 1;
                    conn.answer.is_wrong = true;
                }
                conn.answer.read += n as u64;
                self.stats.bytes += n as u64;
                taken += n;
            }
            if conn.answer.is_whole() {
                self.complete(cx.now(), conn);
            }
        }
        taken
    }

    fn check_head(&mut self, answer: &mut Answer, path_index: u32) {
        let wrong_status = answer.status != 200;
        let wrong_length = !wrong_status && answer.len != self.expect.len(path_index);
        self.stats.wrong_status += u64::from(wrong_status);
        self.stats.wrong_length += u64::from(wrong_length);
        answer.wrong_head = wrong_status || wrong_length;
        answer.is_wrong |= answer.wrong_head;
    }
}

/// Number `number` of the random numbers of a seed.
fn draw(seed: u64, number: u64) -> u64 {
    let mut word = [0; 8];
    pattern_fill(seed, number.wrapping_mul(8), &mut word);
    u64::from_le_bytes(word)
}

impl<E: Expect> App for FetchClient<E> {
    type Conn = FetchConn;
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn poll_open(&mut self) -> Option<OpenRequest> {
        if !self.wants_connection() {
            return None;
        }
        self.alive += 1;
        self.opening += 1;
        Some(OpenRequest { remote: self.config.server, token: u64::from(self.alive) })
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, _peer: Peer) -> FetchConn {
        self.opening = self.opening.saturating_sub(1);
        self.open += 1;
        self.stats.connections += 1;
        let none = Asked { at: cx.now(), path_index: 0, last: false };
        let mut conn = FetchConn {
            start: 0,
            asked: [none; PIPELINE_MAX],
            issued: 0,
            answered: 0,
            acked: 0,
            answer: Answer::default(),
            finishing: false,
            thinking: false,
            reserved: None,
            is_over: false,
        };
        self.ask(cx, &mut conn);
        self.open_more(cx);
        conn
    }

    fn on_open_failed(&mut self, _token: u64, _why: OpenError) {
        self.opening = self.opening.saturating_sub(1);
        self.alive = self.alive.saturating_sub(1);
        self.stats.open_failed += 1;
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn, bytes: &[u8]) -> usize {
        let before = conn.answered;
        let taken = self.read(cx, conn, bytes);
        if conn.answered > before && !conn.thinking {
            if conn.finishing || !self.thinks() {
                self.ask(cx, conn);
            } else if conn.unanswered() == 0 {
                conn.thinking = true;
                cx.set_deadline(Some(cx.now() + self.config.think));
            }
        }
        taken
    }

    fn source(&mut self, conn: &FetchConn, at: u64, _max: u32) -> Source<'_> {
        let mut offset = at.saturating_sub(conn.start);
        for number in conn.acked..conn.issued {
            let asked = conn.slot(number);
            let request = &self.requests[asked.path_index as usize][usize::from(asked.last)];
            if let Some(bytes) = request.get(offset as usize..).filter(|b| !b.is_empty()) {
                return Source::Bytes { bytes, fin: false };
            }
            offset -= request.len() as u64;
        }
        Source::Pending
    }

    fn on_acked(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn, upto: u64) {
        while conn.acked < conn.issued {
            let asked = conn.slot(conn.acked);
            let request = &self.requests[asked.path_index as usize][usize::from(asked.last)];
            let end = conn.start + request.len() as u64;
            if end > upto {
                break;
            }
            conn.start = end;
            conn.acked += 1;
        }
        // Room for a request that only waited for the ring of requests.
        if !conn.thinking && !self.thinks() {
            self.ask(cx, conn);
        }
    }

    fn on_deadline(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn) {
        if conn.thinking || conn.reserved.is_some() {
            self.ask(cx, conn);
        }
    }

    fn on_fin(&mut self, cx: &mut Cx<'_>, conn: &mut FetchConn) {
        conn.finishing = true;
        cx.close();
        self.leave(cx, conn);
    }

    fn on_close(&mut self, conn: FetchConn, _why: CloseReason) {
        self.returned.extend(conn.reserved);
        self.alive = self.alive.saturating_sub(u32::from(!conn.is_over));
        self.open = self.open.saturating_sub(1);
        self.stats.failed += conn.unanswered();
        self.stats.cut_off += u64::from(conn.unanswered() > 0);
    }
}
