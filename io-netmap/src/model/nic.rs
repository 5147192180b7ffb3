//! One ring pair of a modelled NIC: descriptors, DMA, and when the driver tells.

use super::memory::{Kring, Memory, Place, Rings, open_rings};
use super::{CompletionPolicy, DmaPolicy, ModelConfig, Random, Violation};
use crate::mutants::mutant;
use crate::sys::{BUF_CHANGED, MORE_FRAGMENTS};
use std::collections::VecDeque;

/// A ring pair, and the wire behind it.
#[derive(Debug)]
pub(super) struct Nic {
    dma: DmaPolicy,
    completion: CompletionPolicy,
    tx: Kring,
    rx: Kring,
    /// The buffer that each transmit descriptor was programmed with.
    tx_mapped: Vec<u32>,
    /// The same of each receive descriptor.
    rx_mapped: Vec<u32>,
    /// Handed to the NIC and not reported, oldest first; the first `read` were read, the first
    /// `visible` were handed over before the current call.
    queue: VecDeque<Queued>,
    /// Reported and not read: empty, but for a fault that tests ask for.
    unread: VecDeque<Queued>,
    read: usize,
    visible: usize,
    /// How buffers are queued: not at all, [`WHOLE`], or in so many slots behind the first of a frame.
    queued: Vec<u32>,
    /// The slot that was handed over last says that its frame goes on.
    within_frame: bool,
    wire: Wire,
    /// The next receive descriptor that DMA writes to.
    fill: u32,
    /// See [`ModelConfig::rx_slot_forgotten`].
    rx_slot_forgotten: bool,
    /// Length and flags of what came, by slot.
    came: Vec<(u16, u16)>,
    overflows: u64,
    /// Room for one buffer.
    scratch: Vec<u8>,
}

/// A descriptor of the transmit ring.
#[derive(Clone, Copy, Debug)]
struct Queued {
    slot: u32,
    /// The buffer that it is programmed with.
    buffer: u32,
    /// The buffer that the slot names.
    index: u32,
    len: u16,
    /// It is not the first slot of its frame.
    is_piece: bool,
    more: bool,
    /// Of the bytes at the doorbell.
    sum: u64,
}

impl Queued {
    /// Its buffer is queued in one slot less.
    fn count_down(&self, queued: &mut [u32]) {
        let uses = &mut queued[self.index as usize];
        *uses = if self.is_piece && *uses != WHOLE { uses.saturating_sub(1) } else { 0 };
    }
}

/// What left, one frame after the other.
#[derive(Debug, Default)]
struct Wire {
    bytes: Vec<u8>,
    lens: VecDeque<usize>,
    /// Bytes of a frame whose last part has not left.
    part: usize,
}

/// A frame begins in the buffer.
const WHOLE: u32 = u32::MAX;
/// The buffer of a descriptor that has none: netmap's own.
const UNMAPPED: u32 = 0;

/// What a released receive buffer is overwritten with.
const POISON: u8 = 0xdd;

impl Nic {
    pub(super) fn new(config: &ModelConfig, place: Place) -> Self {
        Self {
            dma: config.dma,
            completion: config.completion,
            tx: Kring::new(place.tx, config.tx_slots),
            rx: Kring::new(place.rx, config.rx_slots),
            tx_mapped: vec![0; config.tx_slots as usize],
            rx_mapped: vec![0; config.rx_slots as usize],
            queue: VecDeque::with_capacity(config.tx_slots as usize),
            unread: VecDeque::new(),
            read: 0,
            visible: 0,
            queued: vec![0; config.buffers as usize + 2],
            within_frame: false,
            wire: Wire::default(),
            rx_slot_forgotten: config.rx_slot_forgotten,
            fill: 0,
            came: vec![(0, 0); config.rx_slots as usize],
            overflows: 0,
            scratch: vec![0; config.buffer_bytes as usize],
        }
    }

    /// Fresh rings; false where there are too few buffers for them.
    pub(super) fn open(&mut self, memory: &mut Memory) -> bool {
        if !open_rings(&mut self.tx, &mut self.rx, memory) {
            return false;
        }
        for slot in 0..self.tx.slots {
            self.tx_mapped[slot as usize] = self.tx.index(memory, slot);
        }
        for slot in 0..self.rx.slots {
            self.rx_mapped[slot as usize] = self.rx.index(memory, slot);
        }
        if self.rx_slot_forgotten {
            self.rx_mapped[self.rx.slots as usize - 1] = UNMAPPED;
        }
        self.queue.clear();
        self.unread.clear();
        self.queued.fill(0);
        self.within_frame = false;
        (self.read, self.visible, self.fill) = (0, 0, 0);
        true
    }

    pub(super) fn close(&mut self, memory: &mut Memory, twice: &mut Vec<u32>) {
        self.tx.release(memory, twice);
        self.rx.release(memory, twice);
        self.queue.clear();
        (self.read, self.visible) = (0, 0);
    }

    pub(super) fn rings(&self) -> Rings {
        Rings { tx: self.tx, rx: self.rx }
    }

    pub(super) fn overflows(&self) -> u64 {
        self.overflows
    }

    pub(super) fn take_wire(&mut self, mut on_frame: impl FnMut(&[u8])) {
        let mut start = 0;
        for len in self.wire.lens.drain(..) {
            on_frame(&self.wire.bytes[start..start + len]);
            start += len;
        }
        self.wire.bytes.drain(..start);
    }

    /// DMA of a frame that came, to as many descriptors as it has parts; it ends there, or goes on.
    pub(super) fn arrive(&mut self, memory: &mut Memory, parts: &[&[u8]], ends: bool) -> bool {
        // Descriptors that the NIC has: those given back, less the one at the end.
        let room = self.rx.distance(self.fill, self.rx.previous(self.rx.hwcur));
        let passed_over = usize::from(self.rx_mapped[self.fill as usize] == UNMAPPED);
        if (room as usize) < parts.len() + passed_over {
            self.overflows += 1;
            return false;
        }
        if passed_over > 0 {
            self.came[self.fill as usize] = (0, MORE_FRAGMENTS);
            self.fill = self.rx.next(self.fill);
        }
        for (i, part) in parts.iter().enumerate() {
            assert!(part.len() <= memory.buffer_bytes(), "a part of {} bytes", part.len());
            let slot = self.fill as usize;
            memory.region().copy_in(memory.buffer(self.rx_mapped[slot]), part);
            let flags = if i + 1 < parts.len() || !ends { MORE_FRAGMENTS } else { 0 };
            self.came[slot] = (part.len() as u16, flags);
            self.fill = self.rx.next(self.fill);
        }
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
        while self.rx.hwcur != head {
            let slot = self.rx.hwcur;
            let index = self.rx.index(memory, slot);
            if !memory.has(index) {
                violations.push(Violation::BadSlot { slot, index });
                return false;
            }
            let mapped = &mut self.rx_mapped[slot as usize];
            let flags = self.rx.flags(memory, slot);
            if flags & BUF_CHANGED != 0 {
                *mapped = index;
            } else if *mapped != index && *mapped != UNMAPPED {
                violations.push(Violation::BufChangedMissing { slot });
            }
            self.rx.set_flags(memory, slot, 0);
            if *mapped == UNMAPPED {
                self.rx.hwcur = self.rx.next(slot);
                continue;
            }
            // The NIC may write to it from now on.
            let len = usize::from(self.came[slot as usize].0);
            self.scratch[..len].fill(POISON);
            memory.region().copy_in(memory.buffer(*mapped), &self.scratch[..len]);
            self.rx.hwcur = self.rx.next(slot);
        }
        // What came since.
        let mut slot = self.rx.hwtail;
        while slot != self.fill {
            let (len, flags) = self.came[slot as usize];
            self.rx.set(memory, slot, self.rx.index(memory, slot), len, flags);
            slot = self.rx.next(slot);
        }
        self.rx.hwtail = self.fill;
        self.rx.finish(memory);
        true
    }

    pub(super) fn tx_sync(
        &mut self,
        memory: &Memory,
        force: bool,
        random: &mut Random,
        violations: &mut Vec<Violation>,
    ) -> bool {
        let head = match self.tx.prologue(memory) {
            Ok(head) => head,
            Err(violation) => {
                violations.push(violation);
                return false;
            }
        };
        self.visible = self.queue.len();
        while self.tx.hwcur != head {
            if !self.take_over(memory, violations) {
                return false;
            }
        }
        if self.within_frame {
            violations.push(Violation::EndsWithinFrame { slot: self.tx.previous(head) });
        }
        let full = self.tx.hwcur == self.tx.hwtail;
        let reads = match self.dma {
            DmaPolicy::AtDoorbell => self.queue.len(),
            DmaPolicy::NextCall => self.visible.max(self.read),
            DmaPolicy::Random => self.read + random.upto(self.queue.len() - self.read),
            DmaPolicy::AtWork if full => self.queue.len().div_ceil(2).max(self.read),
            DmaPolicy::AtWork => self.read,
        };
        self.read_up_to(reads, memory, violations);
        let reports = match self.completion {
            _ if force || full => self.read,
            CompletionPolicy::AtRead => self.read,
            CompletionPolicy::HalfRing if self.read >= self.tx.slots as usize / 2 => self.read,
            CompletionPolicy::HalfRing | CompletionPolicy::WholeRing => 0,
            CompletionPolicy::Random => random.upto(self.read),
        };
        for done in self.queue.drain(..reports) {
            self.tx.hwtail = done.slot;
            done.count_down(&mut self.queued);
        }
        self.read -= reports;
        if mutant!(ReportedUnread) {
            for done in self.queue.drain(self.read..) {
                self.tx.hwtail = done.slot;
                done.count_down(&mut self.queued);
                self.unread.push_back(done);
            }
        }
        self.tx.finish(memory);
        true
    }

    /// Programs a descriptor from the next slot.
    fn take_over(&mut self, memory: &Memory, violations: &mut Vec<Violation>) -> bool {
        let slot = self.tx.hwcur;
        let (index, len) = (self.tx.index(memory, slot), self.tx.len(memory, slot));
        if !memory.has(index) || usize::from(len) > memory.buffer_bytes() {
            violations.push(Violation::BadSlot { slot, index });
            return false;
        }
        let flags = self.tx.flags(memory, slot);
        let mapped = &mut self.tx_mapped[slot as usize];
        let before = *mapped;
        if flags & BUF_CHANGED != 0 {
            *mapped = index;
        } else if *mapped != index {
            violations.push(Violation::BufChangedMissing { slot });
        }
        self.tx.set_flags(memory, slot, flags & !BUF_CHANGED);
        let queued = &mut self.queued[index as usize];
        let is_piece = self.within_frame;
        if *queued == WHOLE || *queued > 0 && !is_piece {
            violations.push(Violation::QueuedTwice { index });
        }
        *queued = if is_piece && *queued != WHOLE { *queued + 1 } else { WHOLE };
        let buffer = if mutant!(StaleDescriptor) { before } else { *mapped };
        let (buffer, more) = (buffer, flags & MORE_FRAGMENTS != 0);
        let bytes = &mut self.scratch[..usize::from(len)];
        memory.region().copy_out(memory.buffer(buffer), bytes);
        self.queue.push_back(Queued { slot, buffer, index, len, is_piece, more, sum: sum(bytes) });
        self.within_frame = more;
        self.tx.hwcur = self.tx.next(slot);
        true
    }

    /// DMA of everything that was handed over.
    pub(super) fn read_all(&mut self, memory: &Memory, violations: &mut Vec<Violation>) {
        self.read_up_to(self.queue.len(), memory, violations);
    }

    fn read_up_to(&mut self, end: usize, memory: &Memory, violations: &mut Vec<Violation>) {
        for queued in
            self.unread.drain(..).chain(self.queue.range(self.read.min(end)..end).copied())
        {
            let bytes = &mut self.scratch[..usize::from(queued.len)];
            memory.region().copy_out(memory.buffer(queued.buffer), bytes);
            if sum(bytes) != queued.sum {
                violations.push(Violation::ChangedInFlight { index: queued.buffer });
            }
            self.wire.bytes.extend_from_slice(bytes);
            self.wire.part += bytes.len();
            if !queued.more {
                self.wire.lens.push_back(std::mem::take(&mut self.wire.part));
            }
        }
        self.read = self.read.max(end);
    }
}

/// FNV-1a, eight bytes at a time: to notice a change.
fn sum(bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    let mut chunks = bytes.chunks_exact(8);
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for chunk in &mut chunks {
        hash = step(hash, u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        // FNV over words moves no high bit down.
        hash ^= hash >> 29;
    }
    chunks.remainder().iter().fold(hash, |hash, byte| step(hash, u64::from(*byte)))
}
