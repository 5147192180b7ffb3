//! Received frames of several slots, joined into one piece.
//!
//! A VALE switch keeps the slots of a frame apart, and so does a NIC whose buffers are smaller than the
//! frame. What is no longer than a frame of one slot may be is copied together; the rest is dropped.

use super::{ETHERNET_LEN, NetmapStats};
use crate::region::Buffers;
use crate::ring::{Descriptor, Ring};
use crate::sys::MORE_FRAGMENTS;

/// Slots of a frame, at most: netmap's own bound.
const SLOTS_MAX: u32 = 64;

/// Joins the frames of one batch.
pub(super) struct Joiner<'a> {
    /// What is left for frames, one behind the other.
    room: &'a mut [u8],
    /// Bytes of the longest frame that is shown.
    longest: usize,
}

/// What a frame of several slots comes to.
pub(super) enum Joined<'a> {
    /// A frame that is shown, and the slot after its last.
    Shown(&'a [u8], u32),
    /// One that is too short, and was counted, and the slot after its last.
    Runt(u32),
    /// Its last slot has not come: it stays in the ring, from this slot on.
    Unfinished(u32),
    /// It is dropped, and was counted; slots follow that belong to it.
    Dropped,
}

impl<'a> Joiner<'a> {
    /// For a batch of frames of at most so many bytes; `room` is for as many as a batch has.
    #[inline]
    pub(super) fn new(room: &'a mut [u8], longest: u16) -> Self {
        Self { room, longest: longest.into() }
    }

    /// The frame whose first slot is the one before `second`; `tail` is the first slot that is the
    /// kernel's.
    #[cold]
    #[inline(never)]
    pub(super) fn join(
        &mut self,
        (rx, buffers): (&Ring, &Buffers),
        stats: &mut NetmapStats,
        second: u32,
        tail: u32,
    ) -> Joined<'a> {
        let first = rx.previous(second);
        let (mut len, mut slot, mut slots) = (0, first, 0);
        // A ring has no more slots to show than all but one.
        let most = SLOTS_MAX.min(rx.num_slots() - 1);
        while slot != tail {
            let Descriptor { buf_idx, len: part, flags } = rx.read(slot);
            let part = usize::from(part);
            let Some(index) = buffers.check(buf_idx).filter(|_| part <= buffers.size()) else {
                stats.rx_bad_slot += 1;
                return Joined::Dropped;
            };
            let into = self.room[..self.longest].get_mut(len..len + part);
            let goes_on = flags & MORE_FRAGMENTS != 0;
            let Some(into) = into.filter(|_| !goes_on || slots + 1 < most) else {
                stats.rx_fragmented += 1;
                return Joined::Dropped;
            };
            into.copy_from_slice(buffers.bytes(index, part));
            (len, slot, slots) = (len + part, rx.next(slot), slots + 1);
            if !goes_on {
                return self.whole(len, slot, stats);
            }
        }
        Joined::Unfinished(first)
    }

    fn whole(&mut self, len: usize, next: u32, stats: &mut NetmapStats) -> Joined<'a> {
        if len < ETHERNET_LEN.into() {
            stats.rx_runt += 1;
            return Joined::Runt(next);
        }
        stats.rx_joined += 1;
        let (whole, rest) = std::mem::take(&mut self.room).split_at_mut(len);
        self.room = rest;
        Joined::Shown(whole, next)
    }
}
