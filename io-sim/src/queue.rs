//! What happens next: events ordered by (time, number of insertion), and alarms that can be moved.
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
        Self { heap: BinaryHeap::new(), inserted: 0 }
    }
}

impl<E> EventQueue<E> {
    /// The number of an insertion that is about to happen here, or in an [`Alarms`] beside it.
    #[inline]
    pub fn next_number(&mut self) -> u64 {
        self.inserted += 1;
        self.inserted
    }

    /// Adds an event.
    #[inline]
    pub fn push(&mut self, at: Instant, event: E) {
        let number = self.next_number();
        self.heap.push(Reverse(Entry { at, number, event }));
    }

    /// Takes the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    /// When the next event is, and its number.
    #[inline]
    pub fn next_key(&self) -> Option<(Instant, u64)> {
        self.heap.peek().map(|Reverse(entry)| (entry.at, entry.number))
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

/// One alarm for each of several owners, which they move often: a heap that knows where each is.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    /// Owners by (time, number), as a binary heap.
    heap: Vec<u32>,
    owners: Vec<Alarm>,
}

#[derive(Clone, Copy, Debug)]
struct Alarm {
    key: (Instant, u64),
    /// Index in the heap; [`Alarm::OFF`] where there is none.
    place: u32,
}

impl Alarm {
    const OFF: u32 = u32::MAX;
}

impl Alarms {
    /// Adds an owner, whose alarm is off. Owners are numbered from 0.
    pub fn add_owner(&mut self) {
        self.owners.push(Alarm { key: (Instant::FAR_FUTURE, 0), place: Alarm::OFF });
    }

    /// The next alarm's (time, number), and whose it is.
    #[inline]
    pub fn next(&self) -> Option<((Instant, u64), u32)> {
        self.heap.first().map(|owner| (self.owners[*owner as usize].key, *owner))
    }

    /// When an owner's alarm is.
    #[inline]
    pub fn of(&self, owner: u32) -> Option<Instant> {
        let alarm = self.owners[owner as usize];
        (alarm.place != Alarm::OFF).then_some(alarm.key.0)
    }

    /// Sets or moves an owner's alarm. `number` orders alarms of one instant.
    #[inline]
    pub fn set(&mut self, owner: u32, at: Instant, number: u64) {
        let alarm = &mut self.owners[owner as usize];
        alarm.key = (at, number);
        if alarm.place == Alarm::OFF {
            alarm.place = self.heap.len() as u32;
            self.heap.push(owner);
        }
        let place = self.sift_up(self.owners[owner as usize].place as usize);
        self.sift_down(place);
    }

    /// Turns an owner's alarm off.
    #[inline]
    pub fn clear(&mut self, owner: u32) {
        let place = std::mem::replace(&mut self.owners[owner as usize].place, Alarm::OFF);
        if place == Alarm::OFF {
            return;
        }
        self.heap.swap_remove(place as usize);
        if let Some(moved) = self.heap.get(place as usize) {
            self.owners[*moved as usize].place = place;
            let place = self.sift_up(place as usize);
            self.sift_down(place);
        }
    }

    #[inline]
    fn key(&self, place: usize) -> (Instant, u64) {
        self.owners[self.heap[place] as usize].key
    }

    #[inline]
    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.owners[self.heap[a] as usize].place = a as u32;
        self.owners[self.heap[b] as usize].place = b as u32;
    }

    #[inline]
    fn sift_up(&mut self, mut place: usize) -> usize {
        while place > 0 && self.key(place) < self.key((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        place
    }

    #[inline]
    fn sift_down(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            if left >= self.heap.len() {
                return;
            }
            let right_is_less = right < self.heap.len() && self.key(right) < self.key(left);
            let child = if right_is_less { right } else { left };
            if self.key(place) <= self.key(child) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
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
        assert_eq!((queue.len(), queue.next_key().map(|key| key.0)), (5, Some(t(1))));
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcde");
        assert!(queue.is_empty() && queue.next_key().is_none());
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

        /// Against a plain table of times.
        #[test]
        fn the_next_alarm_is_the_least(moves in proptest::collection::vec((0u32..8, 0u64..6), 0..200)) {
            let mut alarms = Alarms::default();
            let mut table = [None; 8];
            (0..8).for_each(|_| alarms.add_owner());
            for (number, (owner, at)) in (1..).zip(moves) {
                // The last time stands for "off".
                if at == 5 {
                    alarms.clear(owner);
                    table[owner as usize] = None;
                } else {
                    alarms.set(owner, Instant::from_nanos(at), number);
                    table[owner as usize] = Some((Instant::from_nanos(at), number));
                }
                let least = (0u32..).zip(table).filter_map(|(n, key)| key.map(|key| (key, n))).min();
                prop_assert_eq!(alarms.next(), least);
                prop_assert_eq!(alarms.of(owner), table[owner as usize].map(|key| key.0));
            }
        }
    }
}
