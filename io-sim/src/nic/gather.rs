//! Frames of several parts: a header that is the frame's own, and pieces of pinned buffers.

use super::{NicViolation, Place, SimPort, Slot};
use simoom_core::port::{Buf, GatherFull, Piece, Pinned, Port, for_each_part, gathered_len};

/// Slots that a frame takes, at most: as many descriptors as common NICs chain without further ado.
pub const FRAGS_MAX: u8 = 4;

const PIECES_MAX: usize = FRAGS_MAX as usize - 1;

/// The pieces of a frame in the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    pieces: [PieceOf; PIECES_MAX],
    len: u8,
}

/// Bytes of a pinned buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PieceOf {
    pub(super) buffer: u32,
    len: u16,
}

impl Pieces {
    pub(super) const NONE: Self =
        Self { pieces: [PieceOf { buffer: 0, len: 0 }; PIECES_MAX], len: 0 };

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn iter(&self) -> std::slice::Iter<'_, PieceOf> {
        self.pieces[..self.len()].iter()
    }
}

impl SimPort {
    /// A frame of a header and pieces is queued.
    pub(super) fn enqueue_parts(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        let caps = &self.config.caps;
        let (most, frame_max) = (usize::from(caps.max_frags), usize::from(caps.frame_max));
        assert!((1..most).contains(&pieces.len()), "{} pieces of {most} parts", pieces.len());
        let len = gathered_len(header_len, pieces);
        assert!(len <= frame_max, "a frame of {len} bytes is too long");
        for piece in pieces {
            let is_part = (1..=frame_max).contains(&usize::from(piece.len));
            assert!(is_part, "{piece:?} is no part of a buffer");
        }
        if self.tx_free() < 1 + pieces.len() {
            return Err(GatherFull(header));
        }
        let buffer = header.index();
        header.assert_port(self.id);
        if !self.is_callers(buffer, NicViolation::TokenOfAnother { buffer }) {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(len);
        for_each_part(self, &header, header_len, pieces, |part| bytes.extend_from_slice(part));
        self.places[buffer as usize] = Place::Device;
        self.caller -= 1;
        let mut noted = Pieces { len: pieces.len() as u8, ..Pieces::NONE };
        for (note, piece) in noted.pieces.iter_mut().zip(pieces) {
            let buffer = piece.of.buf().index();
            *note = PieceOf { buffer, len: piece.len };
            self.is_pinned(buffer);
            self.uses[buffer as usize] += 1;
        }
        let submitted = self.frames.add(&bytes);
        self.enqueue(buffer, len as u16, noted, submitted);
        Ok(())
    }

    /// Takes the right to write back, where no frame in the ring has a piece of the buffer.
    pub(super) fn unpin_unused(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        let buffer = pinned.buf().index();
        pinned.buf().assert_port(self.id);
        if self.uses[buffer as usize] > 0 {
            return Err(pinned);
        }
        if self.is_pinned(buffer) {
            self.places[buffer as usize] = Place::Caller;
        }
        Ok(pinned.into_buf())
    }

    /// The modelled DMA of a frame of several parts: what memory holds now goes on the wire.
    pub(super) fn read_parts(&mut self, slot: &Slot) {
        let shared: u16 = slot.pieces.iter().map(|piece| piece.len).sum();
        let header = PieceOf { buffer: slot.buffer, len: slot.len - shared };
        let mut from = 0;
        for part in std::iter::once(&header).chain(slot.pieces.iter()) {
            let (start, len) = (part.buffer as usize * self.stride, usize::from(part.len));
            let bytes = &self.memory[start..start + len];
            let submitted = &mut self.frames.get_mut(slot.submitted)[from..from + len];
            if bytes != submitted {
                let (buffer, len) = (part.buffer, slot.len);
                self.violation.get_or_insert(NicViolation::FrameChangedAfterSubmit { buffer, len });
                submitted.copy_from_slice(bytes);
            }
            from += len;
        }
        self.stats.tx_gathered += 1;
    }

    /// Notices a piece of a buffer that may be written to.
    fn is_pinned(&mut self, buffer: u32) -> bool {
        let is = self.places[buffer as usize] == Place::Pinned;
        if !is {
            self.violation.get_or_insert(NicViolation::NotPinned { buffer });
        }
        is
    }
}
