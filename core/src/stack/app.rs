//! What runs on top of a stack: the [`App`] trait and what it is given.
//!
//! HTTP is one application of several. An application never sees a frame, a buffer or a sequence
//! number: it is given bytes in order, and asked for bytes by offset of the stream it sends.

use crate::content::{ContentSource, ObjectId, Pin};
use crate::seq::SeqNumber;
use crate::time::Instant;
use core::net::SocketAddrV4;

/// A connection of one stack. Stays unique: the slot's generation is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection, for [`Cx::wake`].
    pub id: ConnId,
    /// Our end.
    pub local: SocketAddrV4,
    /// The other end.
    pub remote: SocketAddrV4,
    /// What was handed to `connect` by the end that opened; None where the peer opened.
    pub token: Option<u64>,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both directions ended by FIN and everything was acknowledged.
    Finished,
    /// The peer sent RST.
    Reset,
    /// The application asked for it ([`Cx::abort`]).
    Aborted,
    /// The peer stopped answering: R2 of RFC 9293 §3.8.3 was reached.
    TimedOut,
    /// Content that was promised is gone ([`crate::content::ReadAt::Gone`]).
    ContentGone,
}

/// Why a connection that this side opened never came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The peer answered with RST.
    Refused,
    /// Nobody answered the SYN, or the neighbour cannot be found.
    TimedOut,
    /// The connection table, or the list of requests to open, is full.
    TableFull,
    /// No local port is left for that peer.
    NoLocalPort,
}

/// What an application has to send from some offset of its stream on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// Bytes of an object.
    Prepared {
        /// Which object.
        object: ObjectId,
        /// Offset in the object.
        offset: u64,
        /// Bytes from there on that belong to this response: to the object's end, not cut to `max`.
        len: u64,
        /// Fields pinned for this response, ascending by offset; the same at every call for the
        /// same stream offset.
        pins: [Option<Pin<'a>>; 2],
        /// The stream ends after these bytes: the last segment carries FIN.
        fin: bool,
    },
    /// The application's own bytes.
    Bytes {
        /// The bytes; more than `max` are cut. Kept by the application until acknowledged.
        bytes: &'a [u8],
        /// The stream ends after these bytes.
        fin: bool,
    },
    /// Nothing yet: asked again when bytes were shown or shown again, after the deadline or the
    /// peer's FIN, and on [`Cx::wake`]. A mere acknowledgement is no reason to ask.
    Pending,
    /// The stream ended at this offset.
    End,
}

/// What an application may ask of the stack while it is called. Everything is carried out after
/// the call returns.
pub struct Cx<'a> {
    pub(crate) now: Instant,
    pub(crate) unix_nanos: u64,
    pub(crate) conn: ConnId,
    pub(crate) commands: &'a mut Commands,
}

/// A connection to open: see [`Cx::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// Whom to call.
    pub remote: SocketAddrV4,
    /// Handed back in [`Peer::token`], or in [`App::on_open_failed`].
    pub token: u64,
}

/// What was asked for during one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    pub(crate) close: bool,
    pub(crate) abort: bool,
    pub(crate) deadline: Option<Option<Instant>>,
    pub(crate) wakes: alloc::vec::Vec<ConnId>,
    pub(crate) opens: alloc::vec::Vec<OpenRequest>,
    /// Something was asked for its own connection, and is to be carried out.
    pub(crate) own: bool,
}

impl Cx<'_> {
    /// The same once more. For a call that is rare and not inlined: what is handed to it has an
    /// address, and this one then needs none.
    #[inline(always)]
    pub(crate) fn again(&mut self) -> Cx<'_> {
        let Self { now, unix_nanos, conn, .. } = *self;
        Cx { now, unix_nanos, conn, commands: self.commands }
    }
}

impl Commands {
    pub(crate) fn with_capacity() -> Self {
        Self {
            wakes: alloc::vec::Vec::with_capacity(COMMANDS_MAX),
            opens: alloc::vec::Vec::with_capacity(COMMANDS_MAX),
            ..Self::default()
        }
    }

    /// Whether nobody else is to be opened or woken.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.wakes.is_empty() && self.opens.is_empty()
    }
}

/// Requests to open, and wake-ups, that are kept until the next step of the turn. Full: `open` and
/// `wake` refuse.
pub const COMMANDS_MAX: usize = 256;

impl Cx<'_> {
    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The UTC time of this turn, in whole seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_nanos / 1_000_000_000
    }

    /// The connection that this call is about.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Calls [`App::on_deadline`] at or soon after `at`; None takes it back. One per connection.
    pub fn set_deadline(&mut self, at: Option<Instant>) {
        self.commands.deadline = Some(at);
        self.commands.own = true;
    }

    /// Ends our direction after what [`App::source`] still has: FIN follows at its first
    /// [`Source::Pending`] or [`Source::End`]. What the peer sends later is acknowledged and dropped.
    pub fn close(&mut self) {
        self.commands.close = true;
        self.commands.own = true;
    }

    /// Resets the connection at once.
    pub fn abort(&mut self) {
        self.commands.abort = true;
        self.commands.own = true;
    }

    /// Asks `source` of another connection again in this turn or the next. False where
    /// [`COMMANDS_MAX`] wake-ups wait already: ask once more in a later call.
    pub fn wake(&mut self, conn: ConnId) -> bool {
        if self.commands.wakes.len() >= COMMANDS_MAX {
            return false;
        }
        self.commands.wakes.push(conn);
        true
    }

    /// Opens a connection. [`App::on_open`] or [`App::on_open_failed`] follows, with the token.
    pub fn open(&mut self, remote: SocketAddrV4, token: u64) -> Result<(), OpenError> {
        if self.commands.opens.len() >= COMMANDS_MAX {
            return Err(OpenError::TableFull);
        }
        self.commands.opens.push(OpenRequest { remote, token });
        Ok(())
    }
}

/// An application of the stack. One value serves all connections of one stack.
pub trait App {
    /// What is kept per connection, from ESTABLISHED to the end.
    type Conn;
    /// Where the objects named in [`Source::Prepared`] are read.
    type Content: ContentSource;

    /// The source of prepared content.
    fn content(&mut self) -> &mut Self::Content;

    /// A connection reached ESTABLISHED.
    fn on_open(&mut self, cx: &mut Cx<'_>, peer: Peer) -> Self::Conn;

    /// A connection to open, where the application wants one: asked in every turn until it has none,
    /// for those whose wish arises outside of a call about a connection.
    #[inline]
    fn poll_open(&mut self) -> Option<OpenRequest> {
        None
    }

    /// The initial sequence number of a connection about to be made and the offset of its timestamp
    /// clock, where both are to be those of another run: of a captured server, in a replay. None, as
    /// everywhere else: derived from the secrets, as RFC 6528 asks.
    #[inline]
    fn pin_initial_sequence(
        &mut self,
        _local: SocketAddrV4,
        _remote: SocketAddrV4,
    ) -> Option<(SeqNumber, u32)> {
        None
    }

    /// A connection asked for by [`Cx::open`] or `Stack::connect` failed.
    fn on_open_failed(&mut self, _token: u64, _why: OpenError) {}

    /// Bytes arrived, in order. Answers how many of them it has taken, at most all; the rest is
    /// shown again, with what follows, after the next arrival or acknowledgement. Untaken bytes
    /// close the window.
    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn, bytes: &[u8]) -> usize;

    /// What to send from stream offset `at` on. `max` is what the stack could send now: a hint,
    /// never less than 1. Must answer the same bytes for every offset not yet acknowledged.
    fn source(&mut self, conn: &Self::Conn, at: u64, max: u32) -> Source<'_>;

    /// Everything below stream offset `upto` was acknowledged and will not be asked for again.
    fn on_acked(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn, upto: u64);

    /// The deadline set by [`Cx::set_deadline`] has passed.
    fn on_deadline(&mut self, _cx: &mut Cx<'_>, _conn: &mut Self::Conn) {}

    /// The peer sent FIN: all its bytes have been shown, except those that were not taken.
    fn on_fin(&mut self, cx: &mut Cx<'_>, _conn: &mut Self::Conn) {
        cx.close();
    }

    /// The connection is over.
    fn on_close(&mut self, conn: Self::Conn, why: CloseReason);
}
