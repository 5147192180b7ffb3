//! The memory of a model: where interfaces, rings and buffers lie, and which buffers are free.
//!
//! First a page for each interface, then the rings of each, then the buffers: as netmap's three pools.

use super::ModelConfig;
use crate::region::Region;
use crate::sys::{FIRST_BUFFER, InterfaceHeader, RingHeader, Slot};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const PAGE: usize = 4_096;

/// Where one end's interface and rings are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) interface: usize,
    pub(super) tx: usize,
    pub(super) rx: usize,
}

/// A region laid out, and its buffers.
#[derive(Debug)]
pub(super) struct Memory {
    region: Arc<Region>,
    ends: u16,
    /// Pairs of the host's rings, each a place behind those of the ends.
    hosts: u16,
    tx_ring_bytes: usize,
    rx_ring_bytes: usize,
    buffers_at: usize,
    buffer_bytes: u32,
    /// Which buffers are somebody's.
    taken: Vec<bool>,
    /// None below it is free.
    lowest: usize,
    /// Those that nobody gave back before the memory was reset.
    lost: u32,
}

impl Memory {
    /// Memory for so many ends. The interface of an end lists all ends of a NIC, where those that it
    /// did not bind have no offset, or just itself.
    pub(super) fn new(config: &ModelConfig, ends: u16, one_nic: bool) -> Self {
        assert!(ends > 0 && ends <= 64, "{ends} ring pairs");
        assert!(config.tx_slots >= 2 && config.rx_slots >= 2, "a ring of less than two slots");
        assert!(
            config.buffer_bytes >= 64 && config.buffer_bytes.is_multiple_of(64),
            "buffers of {} bytes",
            config.buffer_bytes
        );
        let ring = |slots: u32| {
            (size_of::<RingHeader>() + slots as usize * size_of::<Slot>()).next_multiple_of(PAGE)
        };
        let (tx_ring_bytes, rx_ring_bytes) = (ring(config.tx_slots), ring(config.rx_slots));
        let hosts = if one_nic { config.host_rings } else { 0 };
        let places = usize::from(ends) + usize::from(hosts);
        let buffers_at = places * (PAGE + tx_ring_bytes + rx_ring_bytes);
        let buffers = (config.buffers + FIRST_BUFFER) as usize;
        let region = Region::allocate(buffers_at + buffers * config.buffer_bytes as usize);
        let mut memory = Self {
            region,
            ends,
            hosts,
            tx_ring_bytes,
            rx_ring_bytes,
            buffers_at,
            buffer_bytes: config.buffer_bytes,
            taken: vec![false; buffers],
            lowest: 0,
            lost: 0,
        };
        memory.taken[..FIRST_BUFFER as usize].fill(true);
        for end in 0..ends + hosts {
            memory.write_interface(end, if one_nic { ends } else { 1 });
            let Place { tx, rx, .. } = memory.place(end);
            memory.write_ring(tx, config.tx_slots, 1);
            memory.write_ring(rx, config.rx_slots, 0);
        }
        memory
    }

    pub(super) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub(super) fn place(&self, end: u16) -> Place {
        let (end, places) = (usize::from(end), usize::from(self.ends + self.hosts));
        let tx = places * PAGE + end * (self.tx_ring_bytes + self.rx_ring_bytes);
        // Not at the region's beginning: a real one has other programs' interfaces before it.
        Place { interface: end * PAGE + 256, tx, rx: tx + self.tx_ring_bytes }
    }

    /// Where the host's pair `ring` is listed, and its rings.
    pub(super) fn host_place(&self, ring: u16) -> Place {
        self.place(self.ends + ring)
    }

    fn write_interface(&mut self, end: u16, rings: u16) {
        let Place { interface, tx, rx } = self.place(end);
        let write = |field: usize, value: u32| self.region.write(interface + field, value);
        write(offset_of!(InterfaceHeader, ni_version), 14);
        write(offset_of!(InterfaceHeader, ni_tx_rings), rings.into());
        write(offset_of!(InterfaceHeader, ni_rx_rings), rings.into());
        // One pair of host rings is always listed.
        let hosts = self.hosts.max(1);
        write(offset_of!(InterfaceHeader, ni_host_tx_rings), hosts.into());
        write(offset_of!(InterfaceHeader, ni_host_rx_rings), hosts.into());
        let (rings, hosts) = (usize::from(rings), usize::from(hosts));
        let places = match end.checked_sub(self.ends) {
            Some(host) => [rings + usize::from(host), rings + hosts + rings + usize::from(host)],
            None if rings == 1 => [0, 1 + hosts],
            None => [usize::from(end), rings + hosts + usize::from(end)],
        };
        let offsets = interface + size_of::<InterfaceHeader>();
        for (place, ring) in places.into_iter().zip([tx, rx]) {
            self.region.write(offsets + place * 8, ring as i64 - interface as i64);
        }
    }

    fn write_ring(&mut self, at: usize, slots: u32, dir: u16) {
        self.region.write(at + offset_of!(RingHeader, buf_ofs), self.buffers_at as i64 - at as i64);
        self.region.write(at + offset_of!(RingHeader, num_slots), slots);
        self.region.write(at + offset_of!(RingHeader, nr_buf_size), self.buffer_bytes);
        self.region.write(at + offset_of!(RingHeader, dir), dir);
    }

    /// Bytes of a buffer.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes as usize
    }

    /// Where a buffer is in the region.
    pub(super) fn buffer(&self, index: u32) -> usize {
        self.buffers_at + index as usize * self.buffer_bytes()
    }

    /// Whether a slot may name this buffer.
    pub(super) fn has(&self, index: u32) -> bool {
        index >= FIRST_BUFFER && (index as usize) < self.taken.len()
    }

    /// Buffers that are nobody's.
    pub(super) fn free(&self) -> u32 {
        self.taken.iter().filter(|taken| !**taken).count() as u32
    }

    /// Buffers that were somebody's when the memory was reset.
    pub(super) fn lost(&self) -> u32 {
        self.lost
    }

    /// Nobody has the memory any more.
    pub(super) fn reset(&mut self) {
        let still = self.taken[FIRST_BUFFER as usize..].iter().filter(|taken| **taken).count();
        self.lost += still as u32;
        self.taken[FIRST_BUFFER as usize..].fill(false);
        self.lowest = 0;
    }

    /// The first free buffer.
    pub(super) fn take(&mut self) -> Option<u32> {
        let index = self.lowest + self.taken[self.lowest..].iter().position(|taken| !taken)?;
        self.taken[index] = true;
        self.lowest = index + 1;
        Some(index as u32)
    }

    /// Frees a buffer; one that is free already, or none, goes to `twice`.
    pub(super) fn put(&mut self, index: u32, twice: &mut Vec<u32>) {
        if self.has(index) && self.taken[index as usize] {
            self.taken[index as usize] = false;
            self.lowest = self.lowest.min(index as usize);
        } else {
            twice.push(index);
        }
    }

    /// Links extra buffers for an end, as many of `count` as there are. The last one taken is the
    /// first of the list.
    pub(super) fn give_extra(&mut self, end: u16, count: u32) -> u32 {
        let (mut head, mut given) = (0, 0);
        while given < count {
            let Some(index) = self.take() else { break };
            self.region.write(self.buffer(index), head);
            (head, given) = (index, given + 1);
        }
        let at = self.place(end).interface + offset_of!(InterfaceHeader, ni_bufs_head);
        self.region.write(at, head);
        given
    }

    /// Frees the extra buffers that an end's list holds, up to the first that makes no sense.
    pub(super) fn take_extra(&mut self, end: u16, twice: &mut Vec<u32>) {
        let at = self.place(end).interface + offset_of!(InterfaceHeader, ni_bufs_head);
        let mut index: u32 = self.region.read(at);
        while self.has(index) {
            let next = self.region.read(self.buffer(index));
            let before = twice.len();
            self.put(index, twice);
            if twice.len() > before {
                break;
            }
            index = next;
        }
        self.region.write(at, 0u32);
    }
}

/// A ring as the kernel sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kring {
    at: usize,
    pub(super) slots: u32,
    /// The first slot that was not taken over yet.
    pub(super) hwcur: u32,
    /// What `tail` is at the end of the next call.
    pub(super) hwtail: u32,
}

/// Both rings of an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rings {
    pub(super) tx: Kring,
    pub(super) rx: Kring,
}

/// Fresh rings, nothing queued and nothing received; false, and nothing taken, where there are too few
/// buffers for both.
pub(super) fn open_rings(tx: &mut Kring, rx: &mut Kring, memory: &mut Memory) -> bool {
    if !tx.fill(memory) {
        return false;
    }
    if !rx.fill(memory) {
        tx.release(memory, &mut Vec::new());
        return false;
    }
    tx.start(memory, tx.slots - 1);
    rx.start(memory, 0);
    true
}

impl Kring {
    pub(super) fn new(at: usize, slots: u32) -> Self {
        Self { at, slots, hwcur: 0, hwtail: 0 }
    }

    /// A fresh ring with a buffer in every slot; false, and nothing taken, where there are too few.
    pub(super) fn fill(&mut self, memory: &mut Memory) -> bool {
        for slot in 0..self.slots {
            let Some(index) = memory.take() else {
                for earlier in 0..slot {
                    memory.put(self.index(memory, earlier), &mut Vec::new());
                }
                return false;
            };
            self.set(memory, slot, index, memory.buffer_bytes() as u16, 0);
        }
        true
    }

    /// Sets all cursors: nothing queued, nothing received.
    pub(super) fn start(&mut self, memory: &Memory, tail: u32) {
        (self.hwcur, self.hwtail) = (0, tail);
        self.release_to(memory, 0);
        self.finish(memory);
    }

    /// What whoever has the ring does: all slots before `slot` are the kernel's.
    pub(super) fn release_to(&self, memory: &Memory, slot: u32) {
        for field in [offset_of!(RingHeader, cur), offset_of!(RingHeader, head)] {
            memory.region.atomic(self.at + field).store(slot, Ordering::Release);
        }
    }

    fn cursor(&self, memory: &Memory, field: usize) -> u32 {
        memory.region.atomic(self.at + field).load(Ordering::Acquire)
    }

    /// `head` as the port has set it.
    pub(super) fn head(&self, memory: &Memory) -> u32 {
        self.cursor(memory, offset_of!(RingHeader, head))
    }

    fn tail(&self, memory: &Memory) -> u32 {
        self.cursor(memory, offset_of!(RingHeader, tail))
    }

    /// Whether the port has set `head` further.
    pub(super) fn has_news(&self, memory: &Memory) -> bool {
        self.head(memory) != self.hwcur
    }

    /// Whether the port has a slot that it did not see yet.
    pub(super) fn shows_any(&self, memory: &Memory) -> bool {
        self.cursor(memory, offset_of!(RingHeader, cur)) != self.tail(memory)
    }

    /// The slots that the port hands over: `head`, if both cursors lie within what was the port's and
    /// it left `tail` alone. Else all is set to where it was, as the kernel does.
    pub(super) fn prologue(&self, memory: &Memory) -> Result<u32, super::Violation> {
        let head = self.head(memory);
        let cur = self.cursor(memory, offset_of!(RingHeader, cur));
        let tail = self.tail(memory);
        let most = self.distance(self.hwcur, tail);
        let within = |cursor: u32| cursor < self.slots && self.distance(self.hwcur, cursor) <= most;
        if within(head) && within(cur) && tail == self.hwtail {
            return Ok(head);
        }
        self.release_to(memory, self.hwcur);
        Err(super::Violation::BadCursor { head, first: self.hwcur, tail })
    }

    /// Shows `hwtail`.
    pub(super) fn finish(&self, memory: &Memory) {
        let tail = memory.region.atomic(self.at + offset_of!(RingHeader, tail));
        tail.store(self.hwtail, Ordering::Release);
    }

    pub(super) fn next(&self, slot: u32) -> u32 {
        if slot + 1 == self.slots { 0 } else { slot + 1 }
    }

    pub(super) fn previous(&self, slot: u32) -> u32 {
        if slot == 0 { self.slots - 1 } else { slot - 1 }
    }

    pub(super) fn distance(&self, from: u32, to: u32) -> u32 {
        if to >= from { to - from } else { to + self.slots - from }
    }

    fn slot(&self, slot: u32) -> usize {
        self.at + size_of::<RingHeader>() + slot as usize * size_of::<Slot>()
    }

    pub(super) fn index(&self, memory: &Memory, slot: u32) -> u32 {
        memory.region.read(self.slot(slot) + offset_of!(Slot, buf_idx))
    }

    pub(super) fn len(&self, memory: &Memory, slot: u32) -> u16 {
        memory.region.read(self.slot(slot) + offset_of!(Slot, len))
    }

    pub(super) fn flags(&self, memory: &Memory, slot: u32) -> u16 {
        memory.region.read(self.slot(slot) + offset_of!(Slot, flags))
    }

    pub(super) fn set_index(&self, memory: &Memory, slot: u32, index: u32) {
        memory.region.write(self.slot(slot) + offset_of!(Slot, buf_idx), index);
    }

    pub(super) fn set_flags(&self, memory: &Memory, slot: u32, flags: u16) {
        memory.region.write(self.slot(slot) + offset_of!(Slot, flags), flags);
    }

    pub(super) fn set(&self, memory: &Memory, slot: u32, index: u32, len: u16, flags: u16) {
        self.set_index(memory, slot, index);
        memory.region.write(self.slot(slot) + offset_of!(Slot, len), len);
        self.set_flags(memory, slot, flags);
    }

    /// Frees what all slots hold.
    pub(super) fn release(&self, memory: &mut Memory, twice: &mut Vec<u32>) {
        for slot in 0..self.slots {
            let index = self.index(memory, slot);
            memory.put(index, twice);
            self.set_index(memory, slot, 0);
        }
    }
}
