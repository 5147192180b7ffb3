//! A pair of the host's rings: what netmap does between an interface and the kernel's own network.
//!
//! What is queued for the host is copied at the next call, whatever the slot says of its buffer, and all
//! slots but one are free again. What the host sends waits in a queue, no longer than the ring, and is
//! copied into the slots' buffers at the next call for received frames.

use super::Violation;
use super::memory::{Kring, Memory, Place, open_rings};
use crate::sys::BUF_CHANGED;
use std::collections::VecDeque;

/// Both rings, and the network behind them.
#[derive(Debug)]
pub(super) struct Host {
    tx: Kring,
    rx: Kring,
    /// The buffer that each slot had at the last call.
    tx_known: Vec<u32>,
    rx_known: Vec<u32>,
    /// What the host sent and no call has taken.
    sent: VecDeque<Vec<u8>>,
    /// What came to the host.
    came: Vec<Vec<u8>>,
    /// What the host sent and there was no room for.
    dropped: u64,
}

/// What a released receive buffer is overwritten with: the next frame may lie there.
const POISON: u8 = 0xcc;

impl Host {
    pub(super) fn new(place: Place, tx_slots: u32, rx_slots: u32) -> Self {
        Self {
            tx: Kring::new(place.tx, tx_slots),
            rx: Kring::new(place.rx, rx_slots),
            tx_known: Vec::new(),
            rx_known: Vec::new(),
            sent: VecDeque::new(),
            came: Vec::new(),
            dropped: 0,
        }
    }

    /// Fresh rings; false where there are too few buffers for them.
    pub(super) fn open(&mut self, memory: &mut Memory) -> bool {
        if !open_rings(&mut self.tx, &mut self.rx, memory) {
            return false;
        }
        let known = |ring: &Kring| (0..ring.slots).map(|slot| ring.index(memory, slot)).collect();
        (self.tx_known, self.rx_known) = (known(&self.tx), known(&self.rx));
        true
    }

    pub(super) fn close(&mut self, memory: &mut Memory, twice: &mut Vec<u32>) {
        self.tx.release(memory, twice);
        self.rx.release(memory, twice);
        self.sent.clear();
    }

    pub(super) fn has_news(&self, memory: &Memory) -> bool {
        self.tx.has_news(memory)
    }

    pub(super) fn shows_any(&self, memory: &Memory) -> bool {
        self.rx.shows_any(memory)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The host sends a frame; false where there is no room for it.
    pub(super) fn send(&mut self, frame: &[u8]) -> bool {
        let busy = self.rx.distance(self.rx.hwcur, self.rx.hwtail) as usize + self.sent.len();
        if busy >= self.rx.slots as usize - 1 {
            self.dropped += 1;
            return false;
        }
        self.sent.push_back(frame.to_vec());
        true
    }

    /// What came to the host since the last call, oldest first.
    pub(super) fn take_came(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.came)
    }

    pub(super) fn tx_sync(&mut self, memory: &Memory, violations: &mut Vec<Violation>) -> bool {
        let head = match self.tx.prologue(memory) {
            Ok(head) => head,
            Err(violation) => {
                violations.push(violation);
                return false;
            }
        };
        while self.tx.hwcur != head {
            let slot = self.tx.hwcur;
            let (index, len) = (self.tx.index(memory, slot), self.tx.len(memory, slot));
            if !memory.has(index) || !(14..=memory.buffer_bytes()).contains(&len.into()) {
                violations.push(Violation::BadSlot { slot, index });
                return false;
            }
            note_change(&self.tx, &mut self.tx_known, slot, memory, violations);
            let mut frame = vec![0; len.into()];
            memory.region().copy_out(memory.buffer(index), &mut frame);
            self.came.push(frame);
            self.tx.hwcur = self.tx.next(slot);
        }
        self.tx.hwtail = self.tx.previous(head);
        self.tx.finish(memory);
        true
    }

    pub(super) fn rx_sync(&mut self, memory: &Memory, violations: &mut Vec<Violation>) -> bool {
        let head = match self.rx.prologue(memory) {
            Ok(head) => head,
            Err(violation) => {
                violations.push(violation);
                return false;
            }
        };
        let last = self.rx.previous(self.rx.hwcur);
        while self.rx.hwtail != last
            && let Some(frame) = self.sent.pop_front()
        {
            let slot = self.rx.hwtail;
            let index = self.rx.index(memory, slot);
            memory.region().copy_in(memory.buffer(index), &frame);
            self.rx.set(memory, slot, index, frame.len() as u16, 0);
            self.rx.hwtail = self.rx.next(slot);
        }
        while self.rx.hwcur != head {
            let slot = self.rx.hwcur;
            let index = self.rx.index(memory, slot);
            if !memory.has(index) {
                violations.push(Violation::BadSlot { slot, index });
                return false;
            }
            note_change(&self.rx, &mut self.rx_known, slot, memory, violations);
            memory.region().copy_in(memory.buffer(index), &[POISON; 64]);
            self.rx.hwcur = self.rx.next(slot);
        }
        self.rx.finish(memory);
        true
    }
}

/// A slot comes back: with the buffer that it had, or it says that it has another.
fn note_change(
    ring: &Kring,
    known: &mut [u32],
    slot: u32,
    memory: &Memory,
    violations: &mut Vec<Violation>,
) {
    let (index, flags) = (ring.index(memory, slot), ring.flags(memory, slot));
    let before = std::mem::replace(&mut known[slot as usize], index);
    if index != before && flags & BUF_CHANGED == 0 {
        violations.push(Violation::BufChangedMissing { slot });
    }
    ring.set_flags(memory, slot, flags & !BUF_CHANGED);
}
