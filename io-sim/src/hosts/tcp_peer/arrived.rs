//! Which bytes of a stream have come: everything below one offset, and islands beyond it.
//!
//! Must not know what the bytes are.

/// What a range of bytes was when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// All of it had come before.
    Before,
    /// It lies beyond a gap.
    BeyondGap,
    /// The stream goes on without a gap up to this offset.
    InOrder(u64),
}

/// The bytes of one stream that have come. Offset 0 is its first byte.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    next: u64,
    /// Beyond `next`: ascending, disjoint, not touching.
    islands: Vec<(u64, u64)>,
    /// A number in the island that changed last: the first block of a SACK option. RFC 2018 §4.
    latest: u64,
}

impl Arrived {
    /// The offset up to which the stream has come without a gap.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Ranges that have come beyond a gap, ascending.
    #[inline]
    pub fn islands(&self) -> &[(u64, u64)] {
        &self.islands
    }

    /// The blocks to report, the latest first. RFC 2018 §4.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let is_latest = |island: &&(u64, u64)| (island.0..island.1).contains(&self.latest);
        let latest = self.islands.iter().find(is_latest);
        latest.into_iter().chain(self.islands.iter().filter(move |i| !is_latest(i))).copied()
    }

    /// Bytes `first..end` came, at least one.
    #[inline]
    pub fn insert(&mut self, first: u64, end: u64) -> Came {
        if end <= self.next {
            return Came::Before;
        }
        if first > self.next {
            return self.insert_beyond(first, end);
        }
        self.next = end;
        let reached = self.islands.iter().take_while(|(left, _)| *left <= end).count();
        for (_, right) in self.islands.drain(..reached) {
            self.next = self.next.max(right);
        }
        Came::InOrder(self.next)
    }

    fn insert_beyond(&mut self, mut first: u64, mut end: u64) -> Came {
        self.latest = first;
        let from = self.islands.partition_point(|(_, right)| *right < first);
        let upto = self.islands.partition_point(|(left, _)| *left <= end);
        if let Some((left, right)) = self.islands.get(from)
            && *left <= first
            && *right >= end
        {
            return Came::Before;
        }
        if from < upto {
            first = first.min(self.islands[from].0);
            end = end.max(self.islands[upto - 1].1);
        }
        self.islands.splice(from..upto, [(first, end)]);
        Came::BeyondGap
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A set of the numbers that came says the same.
        #[test]
        fn agrees_with_a_set(ranges in prop::collection::vec((0u64..60, 1u64..9), 1..40)) {
            let mut set = [false; 80];
            let mut arrived = Arrived::default();
            for (first, len) in ranges {
                let cells = &mut set[first as usize..(first + len) as usize];
                let was_new = cells.iter().any(|cell| !cell);
                cells.fill(true);
                let came = arrived.insert(first, first + len);
                prop_assert_eq!(came != Came::Before, was_new);
                let next = set.iter().position(|cell| !cell).unwrap() as u64;
                prop_assert_eq!(arrived.next(), next);
                prop_assert!(!matches!(came, Came::InOrder(upto) if upto != next));
                let mut beyond = [false; 80];
                for &(left, right) in arrived.islands() {
                    prop_assert!(left > next && left < right);
                    beyond[left as usize..right as usize].fill(true);
                }
                beyond[..next as usize].fill(true);
                prop_assert_eq!(beyond, set);
                let touching = arrived.islands().windows(2).any(|w| w[0].1 >= w[1].0);
                prop_assert!(!touching);
                if came == Came::BeyondGap {
                    let (left, right) = arrived.sack_blocks().next().unwrap();
                    prop_assert!((left..right).contains(&first));
                }
                prop_assert_eq!(arrived.sack_blocks().count(), arrived.islands().len());
            }
        }
    }
}
