//! Connections in one preallocated table, with generations: an old handle never finds a new one.

use super::app::ConnId;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;

#[derive(Clone)]
struct Slot<T> {
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

/// A table of at most `capacity` values. Allocates once.
#[derive(Clone)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    first_free: u32,
    len: u32,
    capacity: u32,
}

impl<T> Slab<T> {
    pub(super) fn new(capacity: u32) -> Self {
        Self { slots: Vec::with_capacity(capacity as usize), first_free: NONE, len: 0, capacity }
    }

    /// Values in the table.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Whether [`Slab::insert`] would refuse.
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Adds a value; hands it back where the table is full.
    pub(super) fn insert(&mut self, value: T) -> Result<u32, T> {
        if let Some(slot) = self.slots.get_mut(self.first_free as usize) {
            let at = core::mem::replace(&mut self.first_free, slot.next_free);
            slot.value = Some(value);
            self.len += 1;
            Ok(at)
        } else if self.slots.len() < self.capacity as usize {
            self.slots.push(Slot { generation: 0, next_free: NONE, value: Some(value) });
            self.len += 1;
            Ok(self.slots.len() as u32 - 1)
        } else {
            Err(value)
        }
    }

    /// Takes a value out. Handles to it find nothing from now on.
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let slot = self.slots.get_mut(at as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next_free = core::mem::replace(&mut self.first_free, at);
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.slots.get(at as usize)?.value.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.slots.get_mut(at as usize)?.value.as_mut()
    }

    /// A value and its handle.
    #[inline]
    pub(super) fn get_mut_with_id(&mut self, at: u32) -> Option<(&mut T, ConnId)> {
        let slot = self.slots.get_mut(at as usize)?;
        let id = ConnId { slot: at, generation: slot.generation };
        Some((slot.value.as_mut()?, id))
    }

    /// The handle of the value in slot `at`.
    pub(super) fn id(&self, at: u32) -> ConnId {
        let generation = self.slots.get(at as usize).map_or(0, |slot| slot.generation);
        ConnId { slot: at, generation }
    }

    /// The slot of a handle whose value still lives.
    pub(super) fn resolve(&self, id: ConnId) -> Option<u32> {
        let slot = self.slots.get(id.slot as usize)?;
        (slot.generation == id.generation && slot.value.is_some()).then_some(id.slot)
    }

    /// All values, by slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((at as u32, slot.value.as_ref()?)))
    }

    /// Slots ever used: an upper bound for indexes.
    pub(super) fn used(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Bytes of one slot.
    pub(super) const fn slot_bytes() -> usize {
        size_of::<Slot<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_outlives_its_value_and_finds_nothing() {
        let mut slab = Slab::new(2);
        let a = slab.insert('a').unwrap();
        let old = slab.id(a);
        assert_eq!(slab.resolve(old), Some(a));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.resolve(old), None);
        let b = slab.insert('b').unwrap();
        assert_eq!(b, a, "the slot is used again");
        assert_eq!(slab.resolve(old), None);
        assert_eq!(slab.resolve(slab.id(b)), Some(b));
    }

    #[test]
    fn a_full_table_hands_the_value_back_and_keeps_count() {
        let mut slab = Slab::new(2);
        assert!(slab.insert(1).is_ok() && slab.insert(2).is_ok());
        assert!(slab.is_full());
        assert_eq!(slab.insert(3), Err(3));
        slab.remove(0);
        assert_eq!((slab.len(), slab.is_full()), (1, false));
        assert_eq!(slab.insert(4), Ok(0));
        assert_eq!(
            slab.iter().map(|(at, v)| (at, *v)).collect::<alloc::vec::Vec<_>>(),
            [(0, 4), (1, 2)]
        );
    }
}
