//! Receive buffers, lent to connections only while they hold something: a request cut in two, or
//! text that came out of order. An idle connection has none.

use crate::tcp::Reassembly;
use alloc::vec;
use alloc::vec::Vec;

/// No buffer.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone)]
pub(super) struct ReceivePool {
    store: Vec<u8>,
    lists: Vec<Reassembly>,
    free: Vec<u32>,
    capacity: usize,
}

impl ReceivePool {
    /// `buffers` buffers of `capacity` bytes each, allocated at once.
    pub(super) fn new(buffers: u32, capacity: u32) -> Self {
        Self {
            store: vec![0; buffers as usize * capacity as usize],
            lists: (0..buffers).map(|_| Reassembly::default()).collect(),
            free: (0..buffers).rev().collect(),
            capacity: capacity as usize,
        }
    }

    /// Lends an empty buffer.
    pub(super) fn take(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.lists[slot as usize] = Reassembly::default();
        Some(slot)
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        debug_assert!(!self.free.contains(&slot));
        self.free.push(slot);
    }

    /// The buffer's list of ranges and its bytes.
    pub(super) fn get(&mut self, slot: u32) -> (&mut Reassembly, &mut [u8]) {
        let start = slot as usize * self.capacity;
        (&mut self.lists[slot as usize], &mut self.store[start..start + self.capacity])
    }

    /// Buffers on loan.
    pub(super) fn lent(&self) -> usize {
        self.lists.len() - self.free.len()
    }
}
