//! A pipe: what one end's transmit ring holds, the other end's receive ring shows, slot by slot.
//!
//! The two rings of a direction mirror each other and have one set of buffers. Sending copies a slot
//! over, and with it the buffer; releasing copies it back, whatever buffer is in it then. Either way
//! the slots that the other side gets are shown at its own next call.

use super::Violation;
use super::memory::{Kring, Memory, Place, Rings};
use crate::sys::{BUF_CHANGED, MORE_FRAGMENTS};

/// Both directions.
#[derive(Debug)]
pub(super) struct Pipe {
    /// By the end that sends.
    directions: [Direction; 2],
    open: bool,
    /// What a peer that exchanges buffers has: free ones of its own.
    spares: Vec<u32>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Direction {
    tx: Kring,
    rx: Kring,
    /// What the sender's `hwtail` becomes at its next call.
    tx_tail: u32,
    /// What the receiver's does.
    rx_tail: u32,
}

/// Buffers that a peer that exchanges them brings along.
const SPARES: usize = 8;
/// What they are full of.
const FOREIGN: u8 = 0xee;

impl Pipe {
    pub(super) fn new(ends: [Place; 2], slots: u32) -> Self {
        let direction = |from: Place, to: Place| Direction {
            tx: Kring::new(from.tx, slots),
            rx: Kring::new(to.rx, slots),
            tx_tail: 0,
            rx_tail: 0,
        };
        Self {
            directions: [direction(ends[0], ends[1]), direction(ends[1], ends[0])],
            open: false,
            spares: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The first end to be bound makes the rings of both; a later one finds them as they are.
    pub(super) fn open(&mut self, memory: &mut Memory) -> bool {
        if self.open {
            return true;
        }
        for at in 0..2 {
            if !self.directions[at].tx.fill(memory) {
                if at == 1 {
                    self.directions[0].tx.release(memory, &mut Vec::new());
                }
                return false;
            }
        }
        for Direction { tx, rx, tx_tail, rx_tail } in &mut self.directions {
            for slot in 0..tx.slots {
                let (index, len) = (tx.index(memory, slot), tx.len(memory, slot));
                rx.set(memory, slot, index, len, 0);
            }
            (*tx_tail, *rx_tail) = (tx.slots - 1, 0);
            tx.start(memory, *tx_tail);
            rx.start(memory, *rx_tail);
        }
        self.open = true;
        true
    }

    /// Both ends are closed. Of the two slots that name a buffer, the one that was its owner's counts:
    /// the kernel's parts of both rings are cleared, and what is left is freed.
    pub(super) fn close(&mut self, memory: &mut Memory, twice: &mut Vec<u32>) {
        self.open = false;
        for Direction { tx, rx, tx_tail, rx_tail } in &self.directions {
            rx.set_index(memory, *rx_tail, 0);
            for (ring, tail) in [(tx, *tx_tail), (rx, *rx_tail)] {
                let mut slot = ring.next(tail);
                while slot != ring.hwcur {
                    ring.set_index(memory, slot, 0);
                    slot = ring.next(slot);
                }
            }
            for ring in [tx, rx] {
                for slot in 0..ring.slots {
                    let index = ring.index(memory, slot);
                    if index != 0 {
                        memory.put(index, twice);
                    }
                    ring.set_index(memory, slot, 0);
                }
            }
        }
        for index in self.spares.drain(..) {
            memory.put(index, twice);
        }
    }

    pub(super) fn rings(&self, end: usize) -> Rings {
        Rings { tx: self.directions[end].tx, rx: self.directions[1 - end].rx }
    }

    pub(super) fn tx_sync(
        &mut self,
        end: usize,
        memory: &Memory,
        violations: &mut Vec<Violation>,
    ) -> bool {
        let Direction { tx, rx, tx_tail, rx_tail } = &mut self.directions[end];
        let head = match tx.prologue(memory) {
            Ok(head) => head,
            Err(violation) => {
                violations.push(violation);
                return false;
            }
        };
        tx.hwtail = *tx_tail;
        while tx.hwcur != head {
            let slot = tx.hwcur;
            let (index, flags) = (tx.index(memory, slot), tx.flags(memory, slot));
            let len = tx.len(memory, slot);
            if !memory.has(index) || usize::from(len) > memory.buffer_bytes() {
                violations.push(Violation::BadSlot { slot, index });
                return false;
            }
            rx.set(memory, slot, index, len, flags);
            tx.set_flags(memory, slot, flags & !BUF_CHANGED);
            tx.hwcur = tx.next(slot);
            if flags & MORE_FRAGMENTS == 0 {
                // Whole frames only.
                *rx_tail = tx.hwcur;
            }
        }
        tx.finish(memory);
        true
    }

    pub(super) fn rx_sync(
        &mut self,
        end: usize,
        memory: &Memory,
        violations: &mut Vec<Violation>,
    ) -> bool {
        let Direction { tx, rx, tx_tail, rx_tail } = &mut self.directions[1 - end];
        let head = match rx.prologue(memory) {
            Ok(head) => head,
            Err(violation) => {
                violations.push(violation);
                return false;
            }
        };
        rx.hwtail = *rx_tail;
        if rx.hwcur != head {
            while rx.hwcur != head {
                let slot = rx.hwcur;
                let (index, flags) = (rx.index(memory, slot), rx.flags(memory, slot));
                if !memory.has(index) {
                    violations.push(Violation::BadSlot { slot, index });
                    return false;
                }
                tx.set(memory, slot, index, rx.len(memory, slot), flags);
                rx.set_flags(memory, slot, flags & !BUF_CHANGED);
                rx.hwcur = rx.next(slot);
            }
            *tx_tail = rx.previous(rx.hwcur);
        }
        rx.finish(memory);
        true
    }

    /// What a peer does that keeps what it gets: shows the oldest frame at `end`, puts a buffer of its
    /// own into the slot, and gives that back.
    pub(super) fn exchange_received(
        &mut self,
        end: usize,
        memory: &mut Memory,
        mut on_frame: impl FnMut(&[u8]),
    ) -> bool {
        if self.spares.is_empty() {
            while self.spares.len() < SPARES {
                let Some(index) = memory.take() else { panic!("the peer finds no buffer") };
                self.spares.push(index);
            }
            self.scratch.resize(memory.buffer_bytes(), 0);
        }
        let Direction { tx, rx, tx_tail, rx_tail } = &mut self.directions[1 - end];
        rx.hwtail = *rx_tail;
        if rx.hwcur == rx.hwtail {
            return false;
        }
        let slot = rx.hwcur;
        let (index, len) = (rx.index(memory, slot), rx.len(memory, slot));
        let bytes = &mut self.scratch[..usize::from(len)];
        memory.region().copy_out(memory.buffer(index), bytes);
        on_frame(bytes);
        // The one it kept longest goes back, full of what it had there.
        let spare = self.spares.remove(0);
        self.spares.push(index);
        self.scratch.fill(FOREIGN);
        memory.region().copy_in(memory.buffer(spare), &self.scratch);
        tx.set(memory, slot, spare, len, BUF_CHANGED);
        rx.set(memory, slot, spare, len, BUF_CHANGED);
        rx.hwcur = rx.next(slot);
        *tx_tail = slot;
        rx.release_to(memory, rx.hwcur);
        rx.finish(memory);
        true
    }
}
