//! Heads seen before, whole, and what they asked for.
//!
//! Clients repeat themselves: a head that is equal to one taken before, byte for byte, under the
//! same catalogue, means the same. Only plain requests are kept (no body, no precondition), whose
//! meaning depends on nothing but their bytes. Forgetting one costs the time of parsing it.

use super::catalogue::hash;
use super::conn::Kind;
use alloc::vec::Vec;

/// Bytes of a head that is kept, at most: so that a slot fills two cache lines.
pub(crate) const MEMO_HEAD_MAX: usize = 112;

/// A head and its meaning.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Slot {
    /// 0: empty.
    len: u8,
    meaning: Meaning,
    head: [u8; MEMO_HEAD_MAX],
}

/// What a plain request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: Kind,
    pub(crate) close: bool,
    pub(crate) what: u32,
}

const _: () = assert!(size_of::<Slot>() == 128);

/// The table: a slot for each value of a hash, the latest head wins.
#[derive(Clone, Debug)]
pub(crate) struct HeadMemo {
    /// A power of two, or none.
    slots: Vec<Slot>,
    seed: u64,
}

impl HeadMemo {
    /// Room for about `slots` heads, allocated here and never again.
    pub(crate) fn new(slots: usize, seed: u64) -> Self {
        let meaning = Meaning { kind: Kind::Object, close: false, what: 0 };
        let empty = Slot { len: 0, meaning, head: [0; MEMO_HEAD_MAX] };
        let len = if slots == 0 { 0 } else { slots.next_power_of_two() };
        Self { slots: alloc::vec![empty; len], seed }
    }

    /// What `head` means, if it is known. Never for bytes that are not one whole head.
    #[inline]
    pub(crate) fn get(&self, head: &[u8]) -> Option<Meaning> {
        if head.len() > MEMO_HEAD_MAX {
            return None;
        }
        let slot = self.slots.get(self.index(head))?;
        let known = slot.head.get(..usize::from(slot.len))?;
        (known == head && !head.is_empty()).then_some(slot.meaning)
    }

    /// Remembers what a whole head means; longer ones are left out.
    pub(crate) fn put(&mut self, head: &[u8], meaning: Meaning) {
        let index = self.index(head);
        if let Some(slot) = self.slots.get_mut(index)
            && let Some(room) = slot.head.get_mut(..head.len())
        {
            room.copy_from_slice(head);
            (slot.len, slot.meaning) = (head.len() as u8, meaning);
        }
    }

    /// Forgets everything: the catalogue has changed.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.len = 0);
    }

    #[inline]
    fn index(&self, head: &[u8]) -> usize {
        hash(self.seed, head) as usize & self.slots.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANING: Meaning = Meaning { kind: Kind::EntryHead, close: true, what: 7 };

    #[test]
    fn only_the_same_bytes_are_known_and_only_until_cleared() {
        let mut memo = HeadMemo::new(1, 5);
        memo.put(b"abc", MEANING);
        assert_eq!(memo.get(b"abc"), Some(MEANING));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert_eq!(memo.get(other), None);
        }
        let other = Meaning { what: 8, ..MEANING };
        memo.put(b"abd", other);
        assert_eq!((memo.get(b"abc"), memo.get(b"abd")), (None, Some(other)));
        memo.clear();
        assert_eq!((memo.get(b"abd"), memo.get(b"")), (None, None));
    }

    #[test]
    fn long_heads_and_an_empty_table_are_no_trouble() {
        let mut memo = HeadMemo::new(8, 5);
        memo.put(&[b'a'; MEMO_HEAD_MAX + 1], MEANING);
        assert_eq!(memo.get(&[b'a'; MEMO_HEAD_MAX + 1]), None);
        memo.put(&[b'a'; MEMO_HEAD_MAX], MEANING);
        assert_eq!(memo.get(&[b'a'; MEMO_HEAD_MAX]), Some(MEANING));
        let mut none = HeadMemo::new(0, 5);
        none.put(b"abc", MEANING);
        assert_eq!(none.get(b"abc"), None);
    }
}
