//! Prepared content: objects, variants, segments and copies.
//!
//! An *object* is a byte string that never changes: a response head and its body. A *variant* is
//! one way to cut it (payload size, options layout); it is cut a segment at a time, as they are
//! first sent. A *copy* is one buffer that holds one segment; where the device gathers, one *payload*
//! is shared by all who send the segment. [`store`] keeps them.
//!
//! Knows ports and frames. Must not know connections, TCP state or HTTP.

mod pins;
mod store;

pub use pins::{PINNED_BYTES_MAX, PinnedFields};
pub use store::{
    Checkout, Config, Cut, IdleRun, Loan, Mode, PIECE_MIN, SEGMENTS_PER_RUN, SharedPiece, Stats,
    Store,
};

/// An object of the application's catalogue. The application gives the numbers; a number must
/// mean the same bytes for ever (a changed file is a new object).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId(pub u32);

/// What came of reading an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAt {
    /// All of `out` was filled.
    Done,
    /// The bytes are on their way: ask again in a later turn.
    NotYet,
    /// The bytes can never be had again: the connection is reset.
    Gone,
}

/// Where the bytes of objects come from. The core reads no files.
pub trait ContentSource {
    /// Fills `out` with the bytes of `object` from `offset` on. `out` never reaches beyond the
    /// object's end. Pinned fields read as whatever the source likes: the store clears them.
    fn read_at(&mut self, object: ObjectId, offset: u64, out: &mut [u8]) -> ReadAt;
}

/// A source without objects, for applications that send bytes of their own only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContent;

impl ContentSource for NoContent {
    fn read_at(&mut self, _object: ObjectId, _offset: u64, _out: &mut [u8]) -> ReadAt {
        ReadAt::Gone
    }
}

/// A fixed-width field of an object whose bytes are chosen per response and pinned: every copy and
/// every retransmission shows the same (a `Date`, a `Connection`). Lies in the object's first
/// [`Pin::REACH`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin<'a> {
    /// Offset of the field's first byte in the object.
    pub offset: u16,
    /// The bytes shown. The length is the field's, the same for every response of the object.
    pub bytes: &'a [u8],
}

impl Pin<'_> {
    /// Pinned fields lie below this offset, so that an MSS of 536 holds them in its first segment.
    pub const REACH: usize = 512;
}
