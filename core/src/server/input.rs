//! From arriving bytes to answers, and what happens when none arrive.

use super::FileServer;
use super::bodies::Bodies;
use super::conn::{Kind, Phase, Response, ServerConn, Ticks};
use super::memo::Meaning;
use crate::http::body::{BodyError, BodyReader};
use crate::http::conditional::{self, Verdict};
use crate::http::head::{self, Progress};
use crate::http::path::{self, PathError};
use crate::http::request::{Framing, Method, Request, RequestError, Target};
use crate::http::response::Status;
use crate::stack::app::Cx;

impl<B: Bodies> FileServer<B> {
    /// Takes as many requests as there is room for answers.
    pub(super) fn read(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let before = taken;
            taken += match conn.phase {
                Phase::Closing => rest.len(),
                Phase::Body(reader) => self.read_body(cx, conn, reader, rest),
                Phase::Idle | Phase::Head if conn.is_full() => 0,
                Phase::Idle | Phase::Head => self.read_head(cx, conn, rest),
            };
            if taken == before {
                break;
            }
        }
        conn.set_held(taken < bytes.len() && conn.is_full());
        if conn.ends_with_peer() {
            cx.close();
        }
        taken
    }

    /// Takes a head, or the empty lines before one, or nothing.
    fn read_head(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, bytes: &[u8]) -> usize {
        if conn.phase == Phase::Idle
            && let Some(meaning) = self.memo.get(bytes)
        {
            self.stats.requests += 1;
            self.repeat(cx, conn, meaning);
            return bytes.len();
        }
        if bytes.len() < usize::from(conn.scanned) {
            // What was looked at could not be kept, and came again in other pieces.
            conn.scanned = 0;
        }
        let empty = head::leading_empty_lines(bytes);
        if empty > 0 {
            conn.scanned = 0;
            return empty;
        }
        let len = match head::find_end(bytes, conn.scanned, self.config.head_bytes_max) {
            Ok(Progress::NeedMore { scanned }) => {
                conn.scanned = scanned;
                // A lone CR may be half of an empty line, which begins nothing.
                if conn.phase == Phase::Idle && bytes != b"\r" {
                    conn.phase = Phase::Head;
                    self.start_clock(cx, conn);
                }
                return 0;
            }
            Ok(Progress::Complete { len }) => len,
            Err(fault) => {
                self.stats.requests += 1;
                self.refuse(cx, conn, fault);
                return bytes.len();
            }
        };
        conn.scanned = 0;
        self.stats.requests += 1;
        let head = bytes.get(..len).unwrap_or(bytes);
        match Request::parse(head) {
            Ok(request) => {
                let (kind, what) = self.accept(cx, conn, &request);
                let is_plain = request.framing == Framing::None && !request.conditional;
                if kind.has_entry() && is_plain {
                    self.memo.put(head, Meaning { kind, close: request.close, what });
                }
            }
            Err(fault) => self.refuse(cx, conn, fault),
        }
        len
    }

    /// Answers a head that was taken before.
    fn repeat(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, meaning: Meaning) {
        self.content.generations.begin();
        conn.prepare(Response {
            what: meaning.what,
            second: cx.unix_seconds() as u32,
            kind: meaning.kind,
            head_only: false,
            close: meaning.close,
        });
        self.commit(cx, conn);
    }

    /// Decides the answer, and whether the request's body comes first.
    fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut ServerConn,
        request: &Request<'_>,
    ) -> (Kind, u32) {
        let second = cx.unix_seconds();
        let (kind, what) = self.answer(request, second);
        let body = BodyReader::new(request.framing);
        // A client that waits for 100 (Continue) may send the body after our final answer, or
        // not: only the end of the connection tells (RFC 9110 §10.1.1).
        let uncertain = request.expect_continue && request.framing != Framing::None;
        let response = Response {
            what,
            second: second as u32,
            kind,
            head_only: request.method == Method::Head,
            close: request.close || uncertain || body.is_err(),
        };
        if kind.has_entry() {
            self.content.generations.begin();
        }
        conn.prepare(response);
        match body {
            Ok(reader) if !reader.is_done() && !uncertain => {
                conn.phase = Phase::Body(reader);
                self.start_clock(cx, conn);
            }
            _ => self.commit(cx, conn),
        }
        (kind, what)
    }

    /// What the answer consists of.
    fn answer(&mut self, request: &Request<'_>, now: u64) -> (Kind, u32) {
        let page = |fault: RequestError| (Kind::Page(fault.status()), 0);
        match request.method {
            Method::Get | Method::Head => {}
            Method::Other => return page(RequestError::MethodNotAllowed),
            Method::Unknown => return page(RequestError::MethodUnknown),
        }
        let Target::Path(target) = request.target else {
            return page(RequestError::TargetInvalid);
        };
        let name = match path::normalise(target, &mut self.path_scratch) {
            Ok(name) => name,
            Err(PathError::NoName) => return (Kind::Page(Status::NotFound), 0),
            Err(PathError::Malformed | PathError::AboveRoot) => {
                return page(RequestError::TargetInvalid);
            }
        };
        let generations = &self.content.generations;
        let Some((number, entry)) = generations.lookup(name) else {
            return (Kind::Page(Status::NotFound), 0);
        };
        if entry.status != Status::Ok {
            return (Kind::EntryHead, number);
        }
        if request.conditional {
            let validators = generations.current().validators(entry);
            match conditional::evaluate(request, validators, now) {
                Verdict::NotModified => return (Kind::NotModified, number),
                Verdict::Failed => return (Kind::Page(Status::PreconditionFailed), 0),
                Verdict::Proceed => {}
            }
        }
        let kind = if request.method == Method::Head { Kind::EntryHead } else { Kind::Object };
        (kind, number)
    }

    /// Takes what belongs to a body; its end lets the answer go.
    fn read_body(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut ServerConn,
        mut reader: BodyReader,
        bytes: &[u8],
    ) -> usize {
        match reader.consume(bytes) {
            Ok(n) => {
                self.stats.body_bytes += n as u64;
                conn.phase = Phase::Body(reader);
                if reader.is_done() {
                    self.commit(cx, conn);
                }
                n
            }
            Err(BodyError::TooLong) => {
                if let Some(&waiting) = conn.waiting() {
                    conn.prepare(Response { close: true, ..waiting });
                    self.commit(cx, conn);
                }
                bytes.len()
            }
            Err(BodyError::Bad(fault)) => {
                self.forget_waiting(conn);
                self.refuse(cx, conn, fault);
                bytes.len()
            }
        }
    }

    /// Answers a fault of the peer; the connection ends with it.
    fn refuse(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, fault: RequestError) {
        conn.prepare(Response {
            what: 0,
            second: cx.unix_seconds() as u32,
            kind: Kind::Page(fault.status()),
            head_only: false,
            close: true,
        });
        self.commit(cx, conn);
    }

    fn commit(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn) {
        conn.since = Ticks::at(cx.now());
        if let Some(response) = conn.waiting() {
            let status = match response.kind {
                Kind::Object => Status::Ok,
                Kind::NotModified => Status::NotModified,
                Kind::Page(status) => status,
                Kind::EntryHead => {
                    let entry = self.content.generations.find(response.what);
                    entry.map_or(Status::Ok, |(_, e)| e.status)
                }
            };
            self.stats.responses[status as usize] += 1;
        }
        self.pending += 1;
        if self.clocks_answers {
            self.start_busy_clock(cx);
        }
        if self.draining {
            conn.close_after_waiting();
        }
        conn.commit();
    }

    /// The answer that waits for its body will never be sent.
    fn forget_waiting(&mut self, conn: &mut ServerConn) {
        if let (Phase::Body(_), Some(&waiting)) = (conn.phase, conn.waiting()) {
            self.release(&waiting);
            conn.phase = Phase::Idle;
        }
    }

    /// The peer began a request that is not whole.
    fn start_clock(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn) {
        let mut timeout = self.config.request_timeout;
        if !conn.queue().is_empty() {
            // The answers' clock runs, and this one after it.
            timeout = timeout.min(self.config.busy_timeout());
        }
        conn.since = Ticks::at(cx.now());
        cx.set_deadline(Some(cx.now() + timeout));
    }

    /// Which clock runs follows from the state. A deadline is never later than the end of the clock
    /// that runs: one is set when a clock starts that may end before the last one, and here.
    /// Requests that keep coming set none, unless stalls are to end sooner than idleness.
    pub(super) fn check_time(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn) {
        let answering = !conn.queue().is_empty();
        let timeout = match conn.phase {
            _ if answering => self.config.stall_timeout,
            // Whoever sends on after our FIN has that long to end.
            Phase::Closing | Phase::Idle => self.config.idle_timeout,
            Phase::Head | Phase::Body(_) => self.config.request_timeout,
        };
        if let Some(mut left) = conn.since.left_of(timeout, cx.now()) {
            if answering {
                // The answer may end at once, and an idle time begin.
                left = left.min(self.config.busy_timeout());
            }
            cx.set_deadline(Some(cx.now() + left));
        } else if answering {
            self.stats.stalled += 1;
            cx.abort();
        } else if conn.phase == Phase::Closing {
            cx.abort();
        } else if conn.phase == Phase::Idle {
            self.stats.idle_closed += 1;
            conn.phase = Phase::Closing;
            cx.close();
        } else {
            self.forget_waiting(conn);
            self.refuse(cx, conn, RequestError::TimedOut);
            self.start_busy_clock(cx);
        }
    }

    /// An answer begins.
    #[inline]
    fn start_busy_clock(&self, cx: &mut Cx<'_>) {
        cx.set_deadline(Some(cx.now() + self.config.busy_timeout()));
    }
}
