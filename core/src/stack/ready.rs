//! Who wants to send, in the order in which they asked: each connection is in the list once.
//!
//! The links are kept beside the connections, so that a slot may stay in the list when its
//! connection ends; whoever visits it finds nobody, or a new connection a little early.

use alloc::vec::Vec;

const END: u32 = u32::MAX;
const OUTSIDE: u32 = u32::MAX - 1;

#[derive(Clone)]
pub(super) struct ReadyList {
    next: Vec<u32>,
    head: u32,
    tail: u32,
    len: u32,
}

impl ReadyList {
    /// A list for slots below `capacity`.
    pub(super) fn new(capacity: u32) -> Self {
        Self { next: Vec::with_capacity(capacity as usize), head: END, tail: END, len: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Adds a slot at the end, where it is not in the list already.
    #[inline]
    pub(super) fn push_back(&mut self, slot: u32) {
        if !self.enter(slot) {
            return;
        }
        self.next[slot as usize] = END;
        if self.tail == END {
            self.head = slot;
        } else {
            self.next[self.tail as usize] = slot;
        }
        self.tail = slot;
    }

    /// Adds a slot at the front: its turn was interrupted.
    pub(super) fn push_front(&mut self, slot: u32) {
        if !self.enter(slot) {
            return;
        }
        self.next[slot as usize] = self.head;
        self.head = slot;
        if self.tail == END {
            self.tail = slot;
        }
    }

    /// Takes the first slot.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u32> {
        let slot = self.head;
        if slot == END {
            return None;
        }
        self.head = core::mem::replace(&mut self.next[slot as usize], OUTSIDE);
        if self.head == END {
            self.tail = END;
        }
        self.len -= 1;
        Some(slot)
    }

    /// Whether a slot is in the list.
    pub(super) fn contains(&self, slot: u32) -> bool {
        self.next.get(slot as usize).is_some_and(|&next| next != OUTSIDE)
    }

    #[inline]
    fn enter(&mut self, slot: u32) -> bool {
        while self.next.len() <= slot as usize {
            self.next.push(OUTSIDE);
        }
        if self.next[slot as usize] != OUTSIDE {
            return false;
        }
        self.len += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_queue_without_repeats(ops in prop::collection::vec((0u8..3, 0u32..6), 0..200)) {
            let mut list = ReadyList::new(6);
            let mut twin = VecDeque::new();
            for (op, slot) in ops {
                match op {
                    0 => {
                        list.push_back(slot);
                        if !twin.contains(&slot) {
                            twin.push_back(slot);
                        }
                    }
                    1 => {
                        list.push_front(slot);
                        if !twin.contains(&slot) {
                            twin.push_front(slot);
                        }
                    }
                    _ => prop_assert_eq!(list.pop(), twin.pop_front()),
                }
                prop_assert_eq!(list.len() as usize, twin.len());
            }
        }
    }
}
