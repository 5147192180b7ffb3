//! A server as it was fitted: writes what it wrote once it has heard what it had heard and has
//! thought for as long as it had.

use super::model::Model;
use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use simoom_core::time::{Duration, Instant};
use std::sync::{Arc, LazyLock};

/// Octets after which the text comes again. Not a power of two, so that a segment sent in the place of
/// another is seen to be wrong.
const PERIOD: usize = 65_521;

/// More than a segment, so that every one finds its text in one piece.
const ROOM: usize = 16_384;

static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let octet = |n: usize| (n.wrapping_mul(0x9e37_79b1) >> 11) as u8;
    (0..PERIOD + ROOM).map(|n| octet(n % PERIOD)).collect()
});

/// The application. Serves one connection.
#[derive(Clone, Debug)]
pub(super) struct TalkApp {
    model: Arc<Model>,
    content: NoContent,
    heard: u64,
    /// When the writes whose condition is met were asked for.
    asked_at: Vec<Instant>,
    /// Writes whose time has come.
    due: usize,
    closed: bool,
}

impl TalkApp {
    pub(super) fn new(model: Arc<Model>) -> Self {
        let asked_at = Vec::with_capacity(model.writes.len());
        Self { model, content: NoContent, heard: 0, asked_at, due: 0, closed: false }
    }

    fn advance(&mut self, cx: &mut Cx<'_>) {
        let (now, writes) = (cx.now(), &self.model.writes);
        while writes.get(self.asked_at.len()).is_some_and(|write| write.after <= self.heard) {
            self.asked_at.push(now);
        }
        let at = |n: usize| {
            let asked_at = self.asked_at.get(n)?;
            Some(*asked_at + Duration::from_nanos(writes[n].think))
        };
        let mut due = self.due;
        while at(due).is_some_and(|at| at <= now) {
            due += 1;
        }
        let next = at(due);
        self.due = due;
        if due == writes.len() && self.model.server_closes && !self.closed {
            self.closed = true;
            cx.close();
        }
        cx.set_deadline(next);
    }

    /// Where what has been written so far ends.
    fn due_upto(&self) -> u64 {
        match self.model.writes.get(self.due) {
            Some(next) => next.from,
            None => self.model.server_bytes,
        }
    }
}

impl App for TalkApp {
    type Conn = ();
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, _peer: Peer) {
        self.advance(cx);
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, _conn: &mut (), bytes: &[u8]) -> usize {
        self.heard += bytes.len() as u64;
        self.advance(cx);
        bytes.len()
    }

    fn source(&mut self, _conn: &(), at: u64, _max: u32) -> Source<'_> {
        let upto = self.due_upto();
        if at >= upto {
            return Source::Pending;
        }
        let from = (at % PERIOD as u64) as usize;
        let len = (upto - at).min(ROOM as u64) as usize;
        Source::Bytes { bytes: &TEXT[from..from + len], fin: false }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), _upto: u64) {}

    fn on_deadline(&mut self, cx: &mut Cx<'_>, _conn: &mut ()) {
        self.advance(cx);
    }

    fn on_close(&mut self, _conn: (), _why: CloseReason) {}
}
