//! Frames of several slots: a private header, and payload that other frames send too.
//!
//! Each slot keeps the buffer that it had, as that of a plain frame does; the buffer of a payload may be
//! in many slots at once, and its uses are counted by token. A frame is done when its last slot is.
//! Ports that do not gather never come here, and frames of one slot only while gathered ones, or frames
//! of the host's, are away.

use super::host::HOST;
use super::{Away, ETHERNET_LEN, NetmapPort};
use crate::kernel::Kernel;
use crate::mutants::mutant;
use crate::region::Index;
use crate::ring::{Descriptor, Malformed};
use crate::sys::{BUF_CHANGED, MORE_FRAGMENTS};
use simoom_core::port::{Buf, GatherFull, Piece, Pinned, Port, gathered_len};

/// Slots that a frame may take, at most: as many descriptors as common NICs chain without further ado.
pub const FRAGS_MAX: u8 = 4;

/// In [`Away::token`]: the frame goes on in the next slot. Tokens are far below.
pub(super) const MORE: u32 = 1 << 31;

impl<K: Kernel> NetmapPort<K> {
    /// A frame of a header and pieces is queued.
    #[inline]
    pub(super) fn submit_parts(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        header.assert_port(self.id);
        let (most, longest) = (usize::from(self.caps.max_frags), usize::from(self.caps.frame_max));
        assert!((1..most).contains(&pieces.len()), "{} pieces of {most} parts", pieces.len());
        let len = gathered_len(header_len, pieces);
        assert!(
            header_len >= ETHERNET_LEN && len <= longest,
            "a frame of {len} bytes with a header of {header_len}: {ETHERNET_LEN} to {longest} can be sent"
        );
        if self.tx_free() <= pieces.len() {
            self.stats.tx_ring_full += 1;
            return Err(GatherFull(header));
        }
        let (slot, token) = (self.tx.head(), header.index());
        let more = if mutant!(MoreFragmentsMissing) { 0 } else { MORE_FRAGMENTS };
        let buf_idx = self.memory[token as usize].get();
        let descriptor = Descriptor { buf_idx, len: header_len, flags: BUF_CHANGED | more };
        let before = self.tx.fill(slot, descriptor);
        let Some(kept) = self.buffers.check(before) else {
            return Err(GatherFull(self.take_back(header, before)));
        };
        self.away[slot as usize] = Away { token: token | MORE, kept };
        self.tx.step();
        for (number, piece) in (1..).zip(pieces) {
            piece.of.buf().assert_port(self.id);
            self.submit_piece(piece.of.buf().index(), piece.len, number < pieces.len());
        }
        self.more_slots += pieces.len() as u32;
        self.stats.tx_frames += 1;
        self.stats.tx_gathered += 1;
        Ok(())
    }

    /// The next slot gets a payload's buffer.
    #[inline]
    fn submit_piece(&mut self, token: u32, len: u16, goes_on: bool) {
        assert!((1..=self.caps.frame_max).contains(&len), "a piece of {len} bytes");
        let slot = self.tx.head();
        let (more, mark) = if goes_on { (MORE_FRAGMENTS, MORE) } else { (0, 0) };
        let of = if mutant!(PieceOfAnother) {
            (token as usize + 1) % self.memory.len()
        } else {
            token as usize
        };
        let len = if mutant!(PieceTooShort) && len > 1 { len - 1 } else { len };
        let buf_idx = self.memory[of].get();
        let before = self.tx.fill(slot, Descriptor { buf_idx, len, flags: BUF_CHANGED | more });
        // The frame has begun: what is wrong ends the port, and the frame with it.
        let kept = self.buffers.check(before).unwrap_or_else(|| self.no_buffer(before));
        self.away[slot as usize] = Away { token: token | mark, kept };
        self.uses[token as usize] += 1;
        self.tx.step();
    }

    #[cold]
    fn no_buffer(&mut self, found: u32) -> Index {
        self.die_of(Malformed { what: "the buffer in a slot", found: found.into() });
        Index::NONE
    }

    /// Takes the right to write to a buffer away.
    #[inline]
    pub(super) fn pin_buffer(&mut self, buf: Buf) -> Pinned {
        buf.assert_port(self.id);
        assert!(self.caps.max_frags > 1, "{buf:?} is of a port that does not gather");
        Pinned::mint(buf)
    }

    /// Gives it back, where no frame in the ring has a piece of the buffer.
    #[inline]
    pub(super) fn unpin_unused(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        pinned.buf().assert_port(self.id);
        let in_use = self.uses[pinned.buf().index() as usize] > 0;
        if in_use && !mutant!(UnpinnedInFlight) { Err(pinned) } else { Ok(pinned.into_buf()) }
    }

    /// Slots of the frame that begins in `slot`.
    #[inline]
    fn slots_of_frame(&self, mut slot: u32) -> u32 {
        let mut slots = 1;
        while self.away[slot as usize].token & MORE != 0 {
            slot = self.tx.next(slot);
            slots += 1;
        }
        slots
    }

    /// Whether the oldest frame is among so many slots that are done.
    #[inline]
    pub(super) fn is_frame_done(&self, slots: u32) -> bool {
        slots > 0 && (self.more_slots == 0 || self.slots_of_frame(self.oldest) <= slots)
    }

    /// So many slots are done, and `tail` is not: shows the caller's frames of which all slots are, and
    /// answers how many and the first slot that cannot be filled. Frames of the host's are passed by.
    #[inline(never)]
    pub(super) fn reclaim_by_frame(
        &mut self,
        mut slots: u32,
        tail: u32,
        on_done: &mut impl FnMut(Buf) -> Option<Buf>,
    ) -> (u32, u32) {
        let mut frames = 0;
        while slots > 0 {
            if self.away[self.oldest as usize].token == HOST {
                self.take_host_slot();
                slots -= 1;
                if mutant!(HostSlotMistaken) {
                    self.free.extend(on_done(Buf::mint(self.id, 0)).map(|buf| buf.index()));
                }
                continue;
            }
            let parts = self.slots_of_frame(self.oldest);
            if parts > slots {
                if mutant!(HeaderBackEarly) {
                    self.tx
                        .exchange_buffer(self.oldest, self.away[self.oldest as usize].kept.get());
                }
                return (frames, self.oldest);
            }
            let Away { token, kept } = self.away[self.oldest as usize];
            let header = self.take_slot(token & !MORE, kept);
            for _ in 1..parts {
                self.take_piece(kept);
            }
            self.more_slots -= parts - 1;
            slots -= parts;
            frames += 1;
            if let Some(buf) = on_done(header) {
                self.give_back(buf);
            }
        }
        (frames, tail)
    }

    /// The oldest slot is ours again, and had a piece of a payload.
    #[inline]
    fn take_piece(&mut self, _kept_of_header: Index) {
        let slot = self.oldest;
        let Away { token, kept } = self.away[slot as usize];
        let token = (token & !MORE) as usize;
        let kept = if mutant!(KeptOfAnotherSlot) { _kept_of_header } else { kept };
        let found = self.tx.exchange_buffer(slot, kept.get());
        self.oldest = self.tx.next(slot);
        if !mutant!(UseNotCounted) {
            self.uses[token] -= 1;
        }
        if found != self.memory[token].get() && !mutant!(PieceOfAnother) {
            // Nobody may keep a payload's buffer: others send it.
            self.die_of(Malformed { what: "the buffer in a slot", found: found.into() });
        }
    }

    /// A slot that is still away at the end had a piece. The payload's buffer stays in the first such
    /// slot, where the device may read it, in exchange for the one that the slot had; every other slot
    /// gets its own back.
    pub(super) fn give_piece_back(&mut self, slot: u32, token: usize, kept: Index) {
        if std::mem::replace(&mut self.uses[token], 0) > 0 {
            self.memory[token] = kept;
        } else if !mutant!(PiecesForgotten) {
            self.tx.exchange_buffer(slot, kept.get());
        }
    }
}
