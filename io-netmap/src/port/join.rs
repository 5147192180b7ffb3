//! Received frames of several slots, joined into one piece.
//!
//! A VALE switch keeps the slots of a frame apart, and so does a NIC whose buffers are smaller than the
//! frame. What is no longer than a frame of one slot may be is copied together; the rest is dropped.

use crate::region::Buffers;
use crate::ring::{Descriptor, Ring};
use crate::sys::MORE_FRAGMENTS;

/// Slots of a frame, at most: netmap's own bound.
const SLOTS_MAX: u32 = 64;

/// What the slots from one on come to.
pub(super) enum Joined {
    /// A frame of so many bytes, up to the slot before `next`.
    Whole {
        /// Bytes that were copied.
        len: usize,
        /// The slot after its last.
        next: u32,
    },
    /// Its last slot has not come.
    Unfinished,
    /// It is too long, or takes too many slots.
    TooLong,
    /// One of its slots names no buffer, or more bytes than one has.
    BadSlot,
}

/// Copies the frame that begins in `first` together; `tail` is the first slot that is the kernel's.
#[cold]
#[inline(never)]
pub(super) fn join(
    rx: &Ring,
    buffers: &Buffers,
    (first, tail): (u32, u32),
    into: &mut [u8],
) -> Joined {
    let (mut len, mut slot, mut slots) = (0, first, 0);
    // A ring has no more slots to show than all but one.
    let most = SLOTS_MAX.min(rx.num_slots() - 1);
    while slot != tail {
        let Descriptor { buf_idx, len: part, flags } = rx.read(slot);
        let part = usize::from(part);
        let Some(index) = buffers.check(buf_idx).filter(|_| part <= buffers.size()) else {
            return Joined::BadSlot;
        };
        let Some(room) = into.get_mut(len..len + part) else { return Joined::TooLong };
        room.copy_from_slice(buffers.bytes(index, part));
        (len, slot, slots) = (len + part, rx.next(slot), slots + 1);
        if flags & MORE_FRAGMENTS == 0 {
            return Joined::Whole { len, next: slot };
        }
        if slots == most {
            return Joined::TooLong;
        }
    }
    Joined::Unfinished
}
