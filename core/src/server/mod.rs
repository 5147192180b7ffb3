//! The file server: an [`App`] that answers HTTP requests out of a catalogue.
//!
//! It keeps no response. A connection holds what was asked (at most two answers not yet
//! acknowledged, with the second of their `Date`); every byte of an answer follows from that and
//! from the catalogue, so that a retransmission shows what the first transmission showed.
//!
//! Read [`catalogue`] first (what is served), then [`conn`] (what is kept), then `input` (from
//! bytes to answers). Must not know segments, frames or files.

pub mod bodies;
pub mod catalogue;
pub mod conn;
#[cfg(test)]
pub(crate) mod harness;
mod input;
mod memo;
#[cfg(test)]
mod tests;

pub use bodies::{Bodies, FileContent, FileId, MemoryBodies};
pub use catalogue::{Catalogue, CatalogueBuilder, CatalogueError, FileInfo};
pub use conn::ServerConn;

use crate::content::{ObjectId, Pin};
use crate::http::date::ImfFixdate;
use crate::http::head::HEAD_BYTES_MAX;
use crate::http::response::{Pages, Status, begin_head, connection_value, fill_in};
use crate::stack::app::{App, CloseReason, Cx, Peer, Source};
use crate::time::Duration;
use alloc::vec::Vec;
use catalogue::Generations;
use conn::{Kind, Response, Ticks};
use memo::HeadMemo;

/// What a server may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Bytes of a request head, at most [`HEAD_BYTES_MAX`] and at most what the stack buffers for
    /// a connection: a head must be in the window whole.
    pub head_bytes_max: usize,
    /// From the first byte of a head (or the head of a request with a body) to its last: then 408.
    pub request_timeout: Duration,
    /// Without a request: then the connection is closed, without a word.
    pub idle_timeout: Duration,
    /// Without an acknowledgement of an answer under way: then the connection is reset.
    pub stall_timeout: Duration,
    /// Short heads remembered with their meaning, 128 bytes each; rounded up to a power of two, 0
    /// for none. About as many as there are files asked for often.
    pub memo_heads: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            head_bytes_max: HEAD_BYTES_MAX,
            request_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(120),
            memo_heads: 4096,
        }
    }
}

impl ServerConfig {
    /// How long after a request was accepted, or after an acknowledgement, to look at a connection
    /// again: when a stall would be over, and early enough to see an idle time that began
    /// meanwhile. The deadline that the connection has anyway, for `idle_timeout` or
    /// `request_timeout`, falls within this time unless one of those is longer.
    fn busy_timeout(&self) -> Duration {
        self.stall_timeout.min(self.idle_timeout)
    }
}

/// What a server counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Connections that reached ESTABLISHED.
    pub connections: u64,
    /// Heads taken, good or bad.
    pub requests: u64,
    /// Answers by status, at the number of [`Status`].
    pub responses: [u64; Status::ALL.len()],
    /// Bytes of answers acknowledged in full.
    pub response_bytes: u64,
    /// Bytes of request bodies dropped.
    pub body_bytes: u64,
    /// Connections closed because nothing was asked.
    pub idle_closed: u64,
    /// Connections reset because nothing was acknowledged.
    pub stalled: u64,
    /// Connections that ended before their answers were acknowledged.
    pub cut_off: u64,
}

impl ServerStats {
    /// Answers with a status.
    pub fn responses_with(&self, status: Status) -> u64 {
        self.responses[status as usize]
    }
}

/// The file server.
#[derive(Clone, Debug)]
pub struct FileServer<B> {
    content: FileContent<B>,
    config: ServerConfig,
    /// Accepting a request sets a deadline: see [`ServerConfig::busy_timeout`].
    clocks_answers: bool,
    stats: ServerStats,
    /// Answers queued and not acknowledged in full.
    pending: u64,
    draining: bool,
    pages: Pages,
    dates: DateCache,
    memo: HeadMemo,
    /// What opens a 304, with placeholders.
    not_modified: Vec<u8>,
    /// Where answers without an object are put together; grows at start and with a catalogue only.
    scratch: Vec<u8>,
    /// Where names are decoded.
    path_scratch: Vec<u8>,
}

/// Room for the longest head of a catalogue: a `Location` of the longest name, and the rest.
const SCRATCH_BYTES: usize = HEAD_BYTES_MAX + 512;

impl<B: Bodies> FileServer<B> {
    /// A server of one catalogue.
    pub fn new(catalogue: Catalogue, bodies: B, config: ServerConfig) -> Self {
        let mut not_modified = Vec::new();
        begin_head(&mut not_modified, Status::NotModified);
        Self {
            memo: HeadMemo::new(config.memo_heads, catalogue.seed()),
            content: FileContent { generations: Generations::new(catalogue), bodies },
            clocks_answers: config.busy_timeout() < config.idle_timeout.max(config.request_timeout),
            config,
            stats: ServerStats::default(),
            pending: 0,
            draining: false,
            pages: Pages::new(),
            dates: DateCache::new(),
            not_modified,
            scratch: Vec::with_capacity(SCRATCH_BYTES),
            path_scratch: Vec::with_capacity(HEAD_BYTES_MAX),
        }
    }

    /// What it counted.
    pub fn stats(&self) -> &ServerStats {
        &self.stats
    }

    /// Answers under way: queued, and not acknowledged in full.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// From now on every answer closes its connection: for a server that is about to end.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The current catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        self.content.generations.current()
    }

    /// The object that holds the file `index` of the current catalogue.
    pub fn object(&self, index: u32) -> ObjectId {
        ObjectId(self.content.generations.first() + index)
    }

    /// Serves another catalogue from the next request on. Answers under way end with the bytes
    /// they began with; the new objects get numbers never used before. The bodies of the old
    /// catalogue must stay readable until [`Self::old_generations`] is 0. Refused, and given back,
    /// where 2³² objects were named already.
    pub fn replace_catalogue(&mut self, catalogue: Catalogue) -> Result<(), Catalogue> {
        self.memo.clear();
        self.content.generations.replace(catalogue)
    }

    /// Catalogues that answers under way still need.
    pub fn old_generations(&self) -> usize {
        self.content.generations.old_len()
    }

    /// Bytes of an answer on the wire.
    #[inline]
    fn len_of(&self, response: &Response) -> u64 {
        let entry = || self.content.generations.find(response.what);
        match response.kind {
            Kind::Object => entry().map_or(0, |(_, e)| e.total_len),
            Kind::EntryHead => entry().map_or(0, |(_, e)| u64::from(e.head_len)),
            Kind::NotModified => entry().map_or(0, |(_, e)| {
                (self.not_modified.len() as u64) + u64::from(e.head_len - e.validators_at)
            }),
            Kind::Page(status) => {
                let page = self.pages.get(status);
                if response.head_only { u64::from(page.head_len) } else { page.bytes.len() as u64 }
            }
        }
    }

    /// What to send from `offset` after the start of the oldest answer.
    #[inline(never)]
    fn source_of_any(&mut self, conn: &ServerConn, from: u64) -> Source<'_> {
        let mut offset = from;
        for response in conn.queue() {
            let len = self.len_of(response);
            if offset < len {
                return match response.kind {
                    Kind::Object => self.emit_object(response, offset, len),
                    _ => self.emit_bytes(response, offset, len),
                };
            }
            offset -= len;
        }
        if conn.is_closing() { Source::End } else { Source::Pending }
    }

    /// An object from `offset` of it on.
    #[inline]
    fn emit_object(&mut self, response: &Response, offset: u64, len: u64) -> Source<'_> {
        let date = self.dates.get(response.second);
        let connection = connection_value(response.close);
        Source::Prepared {
            object: ObjectId(response.what),
            offset,
            len: len - offset,
            pins: [
                Some(Pin { offset: Status::Ok.date_at(), bytes: &date.0 }),
                Some(Pin { offset: Status::Ok.connection_at(), bytes: connection }),
            ],
            fin: response.close,
        }
    }

    /// Any other answer from `offset` of it on, put together anew.
    fn emit_bytes(&mut self, response: &Response, offset: u64, len: u64) -> Source<'_> {
        let Self { content, pages, dates, not_modified, scratch, .. } = self;
        scratch.clear();
        let status = match response.kind {
            Kind::Page(status) => {
                scratch.extend_from_slice(&pages.get(status).bytes);
                status
            }
            Kind::Object | Kind::EntryHead | Kind::NotModified => {
                let Some((catalogue, entry)) = content.generations.find(response.what) else {
                    return Source::End;
                };
                if response.kind == Kind::NotModified {
                    scratch.extend_from_slice(not_modified);
                    scratch.extend_from_slice(catalogue.validator_lines(entry));
                    Status::NotModified
                } else {
                    scratch.extend_from_slice(catalogue.head(entry));
                    entry.status
                }
            }
        };
        fill_in(scratch, status, dates.get(response.second), response.close);
        let bytes = scratch.get(offset as usize..len as usize).unwrap_or(&[]);
        Source::Bytes { bytes, fin: response.close }
    }
}

impl<B: Bodies> App for FileServer<B> {
    type Conn = ServerConn;
    type Content = FileContent<B>;

    fn content(&mut self) -> &mut FileContent<B> {
        &mut self.content
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, _peer: Peer) -> ServerConn {
        self.stats.connections += 1;
        // One deadline for the life of most connections: `on_deadline` sees whether it matters.
        cx.set_deadline(Some(cx.now() + self.config.idle_timeout));
        ServerConn::new(Ticks::at(cx.now()))
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, bytes: &[u8]) -> usize {
        self.read(cx, conn, bytes)
    }

    fn source(&mut self, conn: &ServerConn, at: u64, _max: u32) -> Source<'_> {
        let offset = at.saturating_sub(conn.start);
        // Nearly always the oldest answer, and an object.
        if let Some(first) = conn.queue().first()
            && first.kind == Kind::Object
            && let Some((_, entry)) = self.content.generations.find(first.what)
            && offset < entry.total_len
        {
            let len = entry.total_len;
            return self.emit_object(first, offset, len);
        }
        self.source_of_any(conn, offset)
    }

    #[inline]
    fn on_acked(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, upto: u64) {
        conn.since = Ticks::at(cx.now());
        let Some(first) = conn.queue().first() else { return };
        // Nearly always an object that goes on.
        if first.kind == Kind::Object
            && let Some((_, entry)) = self.content.generations.find(first.what)
            && conn.start + entry.total_len > upto
        {
            return;
        }
        self.retire(&mut cx.again(), conn, upto);
    }

    fn on_deadline(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn) {
        self.check_time(cx, conn);
    }

    fn on_fin(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn) {
        // Requests that wait behind two answers are answered before our end follows.
        if conn.note_fin() {
            cx.close();
        }
    }

    fn on_close(&mut self, conn: ServerConn, _why: CloseReason) {
        self.stats.cut_off += u64::from(!conn.queue().is_empty());
        self.pending -= conn.queue().len() as u64;
        for response in conn.unfinished() {
            self.release(response);
        }
    }
}

impl<B: Bodies> FileServer<B> {
    /// Forgets the answers of which everything up to stream offset `upto` is all.
    #[inline(never)]
    fn retire(&mut self, cx: &mut Cx<'_>, conn: &mut ServerConn, upto: u64) {
        while let Some(&first) = conn.queue().first() {
            let len = self.len_of(&first);
            if conn.start + len > upto {
                break;
            }
            conn.pop(len);
            self.pending -= 1;
            self.release(&first);
            self.stats.response_bytes += len;
            if conn.queue().is_empty() && conn.waits_for_request() {
                // The peer's time runs from here: until now it may have been held up by us.
                cx.set_deadline(Some(cx.now() + self.config.request_timeout));
            }
        }
    }
}

impl<B> FileServer<B> {
    /// The answer needs its catalogue no longer.
    fn release(&mut self, response: &Response) {
        if response.kind.has_entry() {
            self.content.generations.end(response.what);
        }
    }
}

/// Dates rendered lately. Answers under way were mostly accepted within a few seconds.
#[derive(Clone, Debug)]
struct DateCache([(u32, ImfFixdate); Self::SECONDS]);

impl DateCache {
    /// Seconds kept; a power of two. An older one is rendered again each time it is asked for.
    const SECONDS: usize = 8;

    fn new() -> Self {
        // Slot 0 may hold second 0; no other slot may.
        Self(core::array::from_fn(|i| (i as u32, ImfFixdate::from_unix(i as u64))))
    }

    #[inline]
    fn get(&mut self, second: u32) -> &ImfFixdate {
        let slot = &mut self.0[second as usize % Self::SECONDS];
        if slot.0 != second {
            *slot = (second, ImfFixdate::from_unix(u64::from(second)));
        }
        &slot.1
    }
}
