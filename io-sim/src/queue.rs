//! What happens next: events ordered by (time, number of insertion).
//!
//! Never by address or hash, so that two runs of one seed meet the same events in the same order.

use simoom_core::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events to come. Of two at the same time, the one inserted first comes first.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    // The key holds (time, insertion number); events are compared by it alone.
    heap: BinaryHeap<Reverse<Entry<E>>>,
    inserted: u64,
}

#[derive(Clone, Debug)]
struct Entry<E> {
    at: Instant,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            inserted: 0,
        }
    }
}

impl<E> EventQueue<E> {
    /// Adds an event.
    #[inline]
    pub fn push(&mut self, at: Instant, event: E) {
        let number = self.inserted;
        self.inserted += 1;
        self.heap.push(Reverse(Entry { at, number, event }));
    }

    /// Takes the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        self.heap
            .pop()
            .map(|Reverse(entry)| (entry.at, entry.event))
    }

    /// When the next event is.
    #[inline]
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// How many events are to come.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is to come.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_of_one_instant_come_in_the_order_of_insertion() {
        let mut queue = EventQueue::default();
        let t = Instant::from_nanos;
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (3, 'b'), (5, 'e')] {
            queue.push(t(at), event);
        }
        assert_eq!((queue.len(), queue.next_at()), (5, Some(t(1))));
        let order: String = std::iter::from_fn(|| queue.pop())
            .map(|(_, event)| event)
            .collect();
        assert_eq!(order, "abcde");
        assert!(queue.is_empty() && queue.next_at().is_none());
    }

    proptest! {
        #[test]
        fn order_is_that_of_a_stable_sort(times in proptest::collection::vec(0u64..20, 0..200)) {
            let mut queue = EventQueue::default();
            for (i, at) in times.iter().enumerate() {
                queue.push(Instant::from_nanos(*at), i);
            }
            let mut sorted: Vec<_> = times.iter().copied().enumerate().collect();
            sorted.sort_by_key(|(_, at)| *at);
            let popped: Vec<_> =
                std::iter::from_fn(|| queue.pop()).map(|(at, i)| (i, at.as_nanos())).collect();
            prop_assert_eq!(popped, sorted);
        }
    }
}
