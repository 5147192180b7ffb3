//! Payloads that frames share while they are verified, where the sender gathers.
//!
//! A few are pinned. Each is used by some frames, and as soon as the port gives it back, which it may not
//! do while the device reads it, it is written anew on the spot: the earliest moment that is permitted.

use super::content::{Contents, HEADER_LEN};
use simoom_core::port::{Pinned, Port};

/// Payloads in use at once, for so many slots each: some are sent while others wait to be given back.
const SLOTS_EACH: u32 = 8;
/// The least and the most.
const PAYLOADS: (u32, u32) = (4, 64);
/// Frames that are made of one payload before it is written anew.
const USES: u32 = 5;
/// Bytes of a frame in front of the payload, in a buffer of its own: a header and six words.
pub(super) const PRIVATE: u16 = HEADER_LEN as u16 + 48;

/// All payloads of a run.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    all: Vec<Payload>,
    /// The one that the next frame is made of.
    hand: usize,
    /// Whose content was written last.
    last: Option<u64>,
}

#[derive(Debug)]
struct Payload {
    /// None only while it is written.
    pinned: Option<Pinned>,
    /// Whose content it has: the frame for which it was written.
    of: u64,
    /// Frames made of it so far.
    uses: u32,
    /// Of these, frames that were not submitted.
    ready: u32,
}

/// The part of a frame that is shared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    place: usize,
    /// Whose content it has.
    pub(super) of: u64,
    /// Bytes.
    pub(super) len: u16,
}

impl Payloads {
    /// Pins payloads where the port gathers and has buffers to spare.
    pub(super) fn new<A: Port>(a: &mut A) -> Self {
        let mut all = Vec::new();
        let most = (a.caps().tx_slots / SLOTS_EACH).clamp(PAYLOADS.0, PAYLOADS.1);
        if A::GATHERS && a.caps().max_frags > 1 && a.free() > 4 * most as usize {
            for _ in 0..most {
                let Some(buf) = a.take_free() else { break };
                // Full of uses: it is written before the first.
                all.push(Payload { pinned: Some(a.pin(buf)), of: 0, uses: USES, ready: 0 });
            }
        }
        Self { all, hand: 0, last: None }
    }

    /// Writes one anew that is used up and that the port gives back, if there is one. `of` is the number
    /// of the next frame: one payload has its content, so that no two are alike.
    pub(super) fn renew<A: Port>(&mut self, a: &mut A, contents: &Contents, of: u64) -> bool {
        if self.last == Some(of) {
            return false;
        }
        for payload in &mut self.all {
            if payload.uses < USES || payload.ready > 0 {
                continue;
            }
            let Some(pinned) = payload.pinned.take() else { continue };
            match a.unpin(pinned) {
                Ok(mut buf) => {
                    contents.fill_behind(of, PRIVATE, a.bytes_mut(&mut buf));
                    payload.pinned = Some(a.pin(buf));
                    (payload.of, payload.uses, self.last) = (of, 0, Some(of));
                    return true;
                }
                Err(in_use) => payload.pinned = Some(in_use),
            }
        }
        false
    }

    /// What a frame of `len` bytes shares; None where it goes alone.
    pub(super) fn lend(&mut self, len: u16) -> Option<Shared> {
        if len <= PRIVATE || self.all.is_empty() {
            return None;
        }
        self.hand = (self.hand + 1) % self.all.len();
        let place = self.hand;
        let payload = &mut self.all[place];
        if payload.uses >= USES {
            return None;
        }
        payload.uses += 1;
        payload.ready += 1;
        Some(Shared { place, of: payload.of, len: len - PRIVATE })
    }

    /// The buffer of a part.
    pub(super) fn pinned(&self, shared: &Shared) -> Option<&Pinned> {
        self.all[shared.place].pinned.as_ref()
    }

    /// A frame with it was submitted, or will not be.
    pub(super) fn submitted(&mut self, shared: &Shared) {
        self.all[shared.place].ready -= 1;
    }

    /// Gives back what no frame uses; how many are left, since an idle device keeps a frame with them.
    pub(super) fn give_back<A: Port>(&mut self, a: &mut A) -> u32 {
        for payload in &mut self.all {
            let Some(pinned) = payload.pinned.take() else { continue };
            match a.unpin(pinned) {
                Ok(buf) => a.give_back(buf),
                Err(in_use) => payload.pinned = Some(in_use),
            }
        }
        self.all.iter().filter(|payload| payload.pinned.is_some()).count() as u32
    }
}
