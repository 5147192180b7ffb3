//! One frame out of several buffers: a private header in front of payload that others send too.
//!
//! A pinned buffer is read only: [`Pinned::buf`] shows it, nothing writes to it, and the one way back
//! to a token that may is [`Port::unpin`], which the port refuses while a queued frame has a piece of
//! it. So any number of frames may share a payload, and none can change under another.

use super::{Buf, Port};
use alloc::vec::Vec;
use core::fmt;

/// The right to read a buffer that frames are made of. Neither `Copy` nor `Clone`; counted as the
/// caller's ([`super::Census::caller`]), however many frames use it.
///
/// Only a port makes these, out of a [`Buf`] ([`Port::pin`]).
#[must_use = "a dropped token is a lost buffer: keep it, or unpin it"]
#[derive(PartialEq, Eq)]
pub struct Pinned(Buf);

impl Pinned {
    /// Takes the right to write away from a buffer. For implementors of [`Port::pin`] only.
    pub const fn mint(buf: Buf) -> Self {
        Self(buf)
    }

    /// Gives the right to write back. For implementors of [`Port::unpin`] only, once no queued frame
    /// has a piece of it.
    pub fn into_buf(self) -> Buf {
        self.0
    }

    /// The buffer, to read.
    #[inline]
    pub const fn buf(&self) -> &Buf {
        &self.0
    }

    /// The same right once more, for [`crate::stack::Stack::fork`] alone: the port is forked with it.
    pub(crate) const fn duplicate_for_fork(&self) -> Self {
        Self(self.0.duplicate_for_fork())
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({})", self.0.index())
    }
}

/// A part of a frame: the first bytes of a pinned buffer. It begins where the buffer does, since that
/// is all that the slot of a ring can say to every kernel and driver.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The buffer.
    pub of: &'a Pinned,
    /// How many, 1 to [`super::PortCaps::frame_max`].
    pub len: u16,
}

/// The ring has fewer slots free than the frame takes: its header comes back to the caller.
#[derive(Debug, PartialEq, Eq)]
pub struct GatherFull(pub Buf);

/// Bytes of the frame that a header of `header_len` bytes and these pieces make.
#[inline]
pub fn gathered_len(header_len: u16, pieces: &[Piece<'_>]) -> usize {
    usize::from(header_len) + pieces.iter().map(|piece| usize::from(piece.len)).sum::<usize>()
}

/// Calls `each` with the bytes of a gathered frame, part by part, as memory has them now.
#[inline]
pub fn for_each_part<P: Port>(
    port: &P,
    header: &Buf,
    header_len: u16,
    pieces: &[Piece<'_>],
    mut each: impl FnMut(&[u8]),
) {
    each(&port.bytes(header)[..usize::from(header_len)]);
    for piece in pieces {
        each(&port.bytes(piece.of.buf())[..usize::from(piece.len)]);
    }
}

/// A gathered frame in one piece, for observers.
pub fn assembled<P: Port>(
    port: &P,
    header: &Buf,
    header_len: u16,
    pieces: &[Piece<'_>],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(gathered_len(header_len, pieces));
    for_each_part(port, header, header_len, pieces, |part| frame.extend_from_slice(part));
    frame
}
