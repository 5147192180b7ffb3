//! The seam between the stack and a network: buffers, rings, and who owns what.
//!
//! A buffer is in one place at any time: the port's free pool, the caller's hands, or the device.
//! A [`Buf`] is the right to one buffer in the caller's hands. Submitting it gives the right away,
//! so there is nothing left to write through while the device may still read. Where the device makes
//! a frame out of several buffers, all but the first are [`Pinned`]: the right to read them only.
//!
//! Must not know TCP, HTTP or content.

mod gather;
pub mod turn_log;
mod unclaimed;

pub use gather::{GatherFull, Piece, Pinned, assembled, for_each_part, gathered_len};
pub use unclaimed::Unclaimed;

use crate::time::Instant;
use core::fmt;
use core::num::NonZeroU32;

/// Frames shown by one [`Port::receive`] callback at most: they, and the connections they touch,
/// should fit a first-level cache.
pub const BATCH_MAX: usize = 32;

/// The right to one packet buffer of one port. Neither `Copy` nor `Clone`; holds no pointer.
///
/// Only a port makes these ([`Buf::mint`]). Debug builds carry the port's id, and ports assert it.
/// Dropping one loses the buffer: [`Port::census`] shows it.
#[must_use = "a dropped token is a lost buffer: give it back, keep it or submit it"]
#[derive(PartialEq, Eq)]
pub struct Buf {
    /// The index plus one; the highest bit says that the bytes are lost.
    index_plus_one: NonZeroU32,
    #[cfg(debug_assertions)]
    port: u32,
}

/// In [`Buf`]: what the device handed back does not hold what was submitted.
const BYTES_LOST: u32 = 1 << 31;

impl Buf {
    /// Makes the token of buffer `index` of port `port`. For implementors of [`Port`] and for
    /// forking a world only: two live tokens of one buffer break every promise of this module.
    pub const fn mint(port: u32, index: u32) -> Self {
        let _ = port;
        assert!(index < BYTES_LOST - 1, "a buffer index below 2^31 - 1");
        Self {
            index_plus_one: NonZeroU32::MIN.saturating_add(index),
            #[cfg(debug_assertions)]
            port,
        }
    }

    /// The token of a completion whose memory is another than what was submitted: the peer of a
    /// netmap pipe kept the buffer and gave one of its own for it. Whoever counts on the bytes of
    /// a completed frame asks [`Buf::has_lost_bytes`].
    pub const fn mint_without_bytes(port: u32, index: u32) -> Self {
        Self::mint(port, index).without_bytes()
    }

    /// The same right, to memory whose bytes are lost: what [`Buf::mint_without_bytes`] makes. For
    /// ports around another port.
    pub const fn without_bytes(self) -> Self {
        let index_plus_one = self.index_plus_one.get() | BYTES_LOST;
        let index_plus_one = NonZeroU32::new(index_plus_one).expect("has a bit set");
        Self { index_plus_one, ..self }
    }

    /// Whether the buffer came back from the device without the bytes that were submitted in it.
    #[inline]
    pub const fn has_lost_bytes(&self) -> bool {
        self.index_plus_one.get() & BYTES_LOST != 0
    }

    /// The buffer's index within its port, for side tables.
    #[inline]
    pub const fn index(&self) -> u32 {
        (self.index_plus_one.get() & !BYTES_LOST) - 1
    }

    /// Asserts, in debug builds, that this token belongs to port `port`.
    #[inline]
    pub fn assert_port(&self, port: u32) {
        #[cfg(debug_assertions)]
        assert_eq!(self.port, port, "buffer {} belongs to another port", self.index());
        let _ = port;
    }

    /// The same right once more, for [`crate::stack::Stack::fork`] alone: the port is forked with it.
    pub(crate) const fn duplicate_for_fork(&self) -> Self {
        Self {
            index_plus_one: self.index_plus_one,
            #[cfg(debug_assertions)]
            port: self.port,
        }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({})", self.index())
    }
}

/// What a port can do and how long it holds what it is given. Constant while the port lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCaps {
    /// Bytes of the longest frame, Ethernet header in, FCS out.
    pub frame_max: u16,
    /// Buffers of the transmit side, in the free pool at start: tokens have indexes below this.
    pub buffers: u32,
    /// Slots of the transmit ring. A frame takes one, a gathered one as many as it has parts.
    pub tx_slots: u32,
    /// Later frames before a completion shows, at most (netmap: a whole ring).
    pub tx_hold_max: u32,
    /// Frames that stay with an idle device, each with its buffer and its slots (netmap: 1).
    pub tx_hold_idle: u32,
    /// Slots that a frame may take: its header and so many pieces less one. 1 = no gather; more only
    /// where [`Port::GATHERS`].
    pub max_frags: u8,
    /// Who computes and checks checksums.
    pub checksum: ChecksumOffload,
}

/// Which checksums the device takes care of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChecksumOffload {
    /// The device fills IPv4 and TCP checksums on transmit; the stack leaves them zero.
    pub tx: bool,
    /// Received frames were verified by the device or never crossed a wire; the stack trusts them.
    pub rx: bool,
}

/// One received frame, from the destination address of its Ethernet header on.
#[derive(Clone, Copy, Debug)]
pub struct RxFrame<'a> {
    /// The bytes, FCS out. Released when the callback returns.
    pub bytes: &'a [u8],
}

/// The ring is full: the buffer comes back to the caller.
#[derive(Debug, PartialEq, Eq)]
pub struct TxFull(pub Buf);

/// What a turn asks of the transmit doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxSync {
    /// Make submitted frames visible to the device.
    Push,
    /// The same, and make the device report every completion that it can: copies ran out.
    PushAndReclaim,
}

/// Where the buffers of a port are. The three add up to [`PortCaps::buffers`] at all times. A pinned
/// buffer is the caller's, whatever the device reads of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In the free pool.
    pub free: u32,
    /// Taken or reclaimed, and not given back: what the caller must be able to account for.
    pub caller: u32,
    /// Submitted and not yet reclaimed.
    pub device: u32,
}

/// One receive ring, one transmit ring and their memory; owned by one core.
pub trait Port {
    /// Why the device failed. Fatal for this port.
    type Error: fmt::Debug;

    /// Whether [`Port::pin`], [`Port::unpin`] and [`Port::submit_gather`] are there to be called. A
    /// constant, so that a stack over a port without them has nothing of it in its code; whether the
    /// device at hand can do it is [`PortCaps::max_frags`]. A port over another one that does not pass
    /// them on says nothing, and gets whole frames.
    const GATHERS: bool = false;

    /// What the port can do.
    fn caps(&self) -> &PortCaps;
    /// The whole buffer, at least [`PortCaps::frame_max`] bytes.
    fn bytes(&self, buf: &Buf) -> &[u8];
    /// The whole buffer, to write.
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8];
    /// Copies the first `len` bytes of one buffer to another.
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize);
    /// Copies `len` bytes from `at` on in one buffer to `into_at` in another.
    fn copy_part(&mut self, from: &Buf, at: usize, into: &mut Buf, into_at: usize, len: usize) {
        // In pieces, since a port shows one buffer at a time.
        let mut piece = [0; 256];
        for done in (0..len).step_by(piece.len()) {
            let piece = &mut piece[..(len - done).min(256)];
            piece.copy_from_slice(&self.bytes(from)[at + done..][..piece.len()]);
            self.bytes_mut(into)[into_at + done..][..piece.len()].copy_from_slice(piece);
        }
    }
    /// Hints that the buffer's first bytes are about to be rewritten.
    fn prefetch(&self, _buf: &Buf) {}
    /// Takes a buffer out of the free pool.
    fn take_free(&mut self) -> Option<Buf>;
    /// Returns a buffer to the free pool.
    fn give_back(&mut self, buf: Buf);
    /// Buffers in the free pool.
    fn free(&self) -> usize;
    /// Shows received frames, oldest first: at most `max`, at most [`BATCH_MAX`], in one call of
    /// `on_batch`; none, and no call, where nothing came. All are released on return. What `on_batch`
    /// answers has a meaning where the interface is shared with the host's own network, which gets
    /// the frames named there; other ports ignore it, and a port over another one passes it on.
    fn receive(&mut self, max: usize, on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed) -> usize;
    /// Free slots of the transmit ring: the budget that TCP sees. Each `submit` takes one, each
    /// `submit_gather` one and one for each piece; while the caller does something else, the device
    /// may free some but never takes any.
    fn tx_free(&self) -> usize;
    /// Queues the first `len` bytes of the buffer. The device owns it until it is reclaimed.
    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull>;
    /// Gives up the right to write to a buffer, so that frames can share what is in it.
    ///
    /// # Panics
    /// Where the port does not gather.
    fn pin(&mut self, buf: Buf) -> Pinned {
        panic!("{buf:?} is of a port that does not gather")
    }
    /// Takes the right to write back. Refused while a queued frame that has not been reclaimed has a
    /// piece of the buffer.
    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        Err(pinned)
    }
    /// Queues a frame of the first `header_len` bytes of a buffer and, behind them, the first bytes of
    /// pinned ones: at least one and fewer than [`PortCaps::max_frags`], of at most
    /// [`PortCaps::frame_max`] bytes with the header. `reclaim` hands the header back, in its turn
    /// among all frames, when the device reads no part of the frame any more; each piece is a use of
    /// its buffer until then.
    ///
    /// # Panics
    /// Where the port does not gather.
    fn submit_gather(
        &mut self,
        header: Buf,
        _header_len: u16,
        _pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        panic!("{header:?} is of a port that does not gather")
    }
    /// Hands back buffers that the device no longer reads, in the order of submission, with the
    /// bytes that were submitted unless [`Buf::has_lost_bytes`]. What `on_done` returns goes to the
    /// free pool; what it keeps is the caller's. Answers how many were shown.
    fn reclaim(&mut self, on_done: impl FnMut(Buf) -> Option<Buf>) -> usize;
    /// The doorbell, once a turn.
    fn sync_tx(&mut self, how: TxSync) -> Result<(), Self::Error>;
    /// Where the buffers are.
    fn census(&self) -> Census;
}

/// Where time comes from.
pub trait Advance {
    /// Waits for input or for `wake_at`, whichever is first, and says what time it is.
    /// None: no more input will ever come.
    fn advance(&mut self, wake_at: Option<Instant>) -> Option<Instant>;
}
