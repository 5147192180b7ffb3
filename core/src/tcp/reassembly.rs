//! Text that came out of order, and text in order that waits for the application: ranges over a
//! buffer that the caller owns.

use crate::marks::mark;

/// Out-of-order ranges kept per connection. Requests are small: four covers a head split by
/// several losses. More is refused and the peer sends it again.
pub const RANGES_MAX: usize = 4;

/// Which bytes of a receive buffer are there. Offset 0 is the first byte that the application has
/// not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reassembly {
    /// Bytes in order from offset 0 on.
    ready: u32,
    /// Ranges beyond a hole: start and end, ascending, apart from each other.
    ranges: [(u32, u32); RANGES_MAX],
    len: u8,
}

impl Reassembly {
    /// Bytes in order that wait for the application.
    #[inline]
    pub fn ready(&self) -> u32 {
        self.ready
    }

    /// Ranges beyond a hole.
    #[inline]
    pub fn beyond_hole(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether nothing is held: the buffer can be given back.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ready == 0 && self.len == 0
    }

    /// Copies text that starts `offset` bytes after the first unread one into `store`, and answers
    /// by how many bytes the part in order grew. What lies beyond the store is cut off; a range too
    /// many is refused. Bytes that are there already keep their first value.
    pub fn insert(&mut self, store: &mut [u8], offset: u32, bytes: &[u8]) -> u32 {
        let start = offset.max(self.ready);
        let end = (u64::from(offset) + bytes.len() as u64).min(store.len() as u64) as u32;
        if start >= end {
            return 0;
        }
        // Find the ranges that the new one touches: `first..last` of them are merged into it.
        let ranges = &self.ranges[..usize::from(self.len)];
        let first = ranges.iter().take_while(|range| range.1 < start).count();
        let last = first + ranges[first..].iter().take_while(|range| range.0 <= end).count();
        let extends_ready = start == self.ready;
        if first == last && !extends_ready && ranges.len() == RANGES_MAX {
            mark!(ReassemblyRangeRefused);
            return 0;
        }
        if last - first > 1 {
            mark!(ReassemblyMerged);
        }
        // Only the gaps are written.
        let mut at = start;
        for &(from, to) in &ranges[first..last] {
            copy(store, offset, bytes, at, from.min(end));
            at = at.max(to);
        }
        copy(store, offset, bytes, at, end);
        let merged = ranges[first..last]
            .iter()
            .fold((start, end), |all, range| (all.0.min(range.0), all.1.max(range.1)));
        let before = self.ready;
        if extends_ready {
            self.ready = merged.1;
            self.replace(first, last, None);
        } else {
            self.replace(first, last, Some(merged));
        }
        self.ready - before
    }

    /// Forgets the first `n` bytes, which the application took, and moves the rest down.
    ///
    /// # Panics
    /// Where fewer than `n` bytes are in order.
    pub fn consume(&mut self, store: &mut [u8], n: u32) {
        assert!(n <= self.ready, "more bytes taken than were shown");
        if n == 0 {
            return;
        }
        let end = self.ranges[..usize::from(self.len)].last().map_or(self.ready, |range| range.1);
        store.copy_within(n as usize..end as usize, 0);
        self.ready -= n;
        for range in &mut self.ranges[..usize::from(self.len)] {
            *range = (range.0 - n, range.1 - n);
        }
    }

    /// Puts `with` in place of the ranges `first..last`.
    fn replace(&mut self, first: usize, last: usize, with: Option<(u32, u32)>) {
        let len = usize::from(self.len);
        let added = usize::from(with.is_some());
        self.ranges.copy_within(last..len, first + added);
        if let Some(range) = with {
            self.ranges[first] = range;
        }
        self.len = (len - (last - first) + added) as u8;
    }
}

/// Writes the part `from..to` of text that starts at `offset`.
fn copy(store: &mut [u8], offset: u32, bytes: &[u8], from: u32, to: u32) {
    if from < to {
        let text = &bytes[(from - offset) as usize..(to - offset) as usize];
        store[from as usize..to as usize].copy_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// The slow twin: one optional byte a place.
    struct Twin(Vec<Option<u8>>);

    impl Twin {
        fn ready(&self) -> usize {
            self.0.iter().take_while(|byte| byte.is_some()).count()
        }
        fn islands(&self) -> usize {
            let beyond = &self.0[self.ready()..];
            (0..beyond.len())
                .filter(|&i| beyond[i].is_some() && (i == 0 || beyond[i - 1].is_none()))
                .count()
        }
        fn insert(&mut self, offset: usize, bytes: &[u8]) -> usize {
            let before = self.ready();
            let kept = self.0.clone();
            for (i, byte) in bytes.iter().enumerate() {
                if let Some(place) = self.0.get_mut(offset + i) {
                    place.get_or_insert(*byte);
                }
            }
            if self.islands() > RANGES_MAX {
                self.0 = kept;
            }
            self.ready() - before
        }
        fn consume(&mut self, n: usize) {
            self.0.drain(..n);
            self.0.resize(self.0.len() + n, None);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_one_optional_byte_a_place(
            ops in prop::collection::vec((0u32..48, 0usize..20, 0u32..9), 1..120)
        ) {
            let mut store = vec![0; 40];
            let mut list = Reassembly::default();
            let mut twin = Twin(vec![None; 40]);
            for (n, (offset, len, take)) in ops.into_iter().enumerate() {
                let bytes = vec![n as u8; len];
                let grew = list.insert(&mut store, offset, &bytes);
                prop_assert_eq!(grew as usize, twin.insert(offset as usize, &bytes));
                let take = take.min(list.ready());
                prop_assert_eq!(list.ready() as usize, twin.ready());
                list.consume(&mut store, take);
                twin.consume(take as usize);
                prop_assert_eq!(list.is_empty(), twin.0.iter().all(Option::is_none));
                for (i, byte) in twin.0.iter().enumerate() {
                    if let Some(byte) = byte {
                        prop_assert_eq!(store[i], *byte, "byte {}", i);
                    }
                }
            }
        }
    }

    #[test]
    fn a_fifth_range_is_refused_and_a_hole_filler_is_not() {
        let mut store = vec![0; 100];
        let mut list = Reassembly::default();
        for n in 0..4 {
            assert_eq!(list.insert(&mut store, 10 + n * 20, b"abcde"), 0);
        }
        assert_eq!(list.insert(&mut store, 90, b"xyz"), 0);
        assert_eq!(list.insert(&mut store, 0, b"0123456789"), 15);
        assert_eq!(&store[..15], b"0123456789abcde");
        assert_eq!(list.insert(&mut store, 90, b"xyz"), 0);
        assert_eq!(list.insert(&mut store, 15, &[b'.'; 75]), 78);
        assert_eq!(&store[88..93], b"..xyz");
    }
}
