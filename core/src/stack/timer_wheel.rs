//! A hierarchical timer wheel: one deadline a connection, exact to the nanosecond.
//!
//! Seven levels of 64 buckets; a bucket of level 0 spans 2¹⁴ ns (16 µs), one of the next level 64
//! times as much. An entry sinks from level to level as its time comes nearer. Deadlines are armed
//! lazily by the stack: one that moves later stays where it is and is looked at when it fires.

use crate::time::Instant;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;
const LEVELS: usize = 7;
const BUCKETS: usize = 64;
const TICK_SHIFT: u32 = 14;
const IDLE: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    next: u32,
    prev: u32,
    /// Level · 64 + bucket, or [`IDLE`].
    place: u16,
}

/// Deadlines of the slots 0 to `capacity` - 1.
#[derive(Clone)]
pub(super) struct TimerWheel {
    entries: Vec<Entry>,
    heads: [u32; LEVELS * BUCKETS],
    /// A bit for each bucket that is not empty.
    occupied: [u64; LEVELS],
    /// Everything before this tick has fired.
    tick: u64,
    /// Not later than the earliest deadline, nor than the next step of the wheel: nothing is to be
    /// done before.
    wake: u64,
}

impl TimerWheel {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            entries: Vec::with_capacity(capacity as usize),
            heads: [NONE; LEVELS * BUCKETS],
            occupied: [0; LEVELS],
            tick: 0,
            wake: u64::MAX,
        }
    }

    /// Bytes of one entry.
    pub(super) const fn entry_bytes() -> usize {
        size_of::<Entry>()
    }

    /// Sets or moves the deadline of a slot.
    pub(super) fn arm(&mut self, slot: u32, at: Instant) {
        while self.entries.len() <= slot as usize {
            self.entries.push(Entry { at: 0, next: NONE, prev: NONE, place: IDLE });
        }
        self.cancel(slot);
        self.entries[slot as usize].at = at.as_nanos();
        self.link(slot);
        self.wake = self.wake.min(at.as_nanos());
    }

    /// Takes the deadline of a slot back, where it has one.
    pub(super) fn cancel(&mut self, slot: u32) {
        let Some(&Entry { next, prev, place, .. }) = self.entries.get(slot as usize) else {
            return;
        };
        if place == IDLE {
            return;
        }
        if prev == NONE {
            self.heads[usize::from(place)] = next;
            if next == NONE {
                self.occupied[usize::from(place) / BUCKETS] &=
                    !(1 << (usize::from(place) % BUCKETS));
            }
        } else {
            self.entries[prev as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        self.entries[slot as usize].place = IDLE;
    }

    /// Takes out one slot whose deadline is at or before `now`. The order of slots that are due is
    /// fixed by what was armed, not by memory.
    #[inline]
    pub(super) fn poll_expired(&mut self, now: Instant) -> Option<u32> {
        if now.as_nanos() < self.wake {
            return None;
        }
        let expired = self.turn_to(now);
        if expired.is_none() {
            self.wake = self.find_wake().map_or(u64::MAX, Instant::as_nanos);
        }
        expired
    }

    fn turn_to(&mut self, now: Instant) -> Option<u32> {
        let now_tick = now.as_nanos() >> TICK_SHIFT;
        loop {
            // Level 0: the bucket of the current tick may hold entries that are not due yet.
            let bucket = (self.tick % BUCKETS as u64) as usize;
            let mut slot = self.heads[bucket];
            while slot != NONE {
                let entry = self.entries[slot as usize];
                if entry.at <= now.as_nanos() {
                    self.cancel(slot);
                    return Some(slot);
                }
                slot = entry.next;
            }
            if self.tick >= now_tick {
                return None;
            }
            self.tick = self.next_tick().min(now_tick);
            self.sink();
        }
    }

    /// When to call [`TimerWheel::poll_expired`] next: never later than the earliest deadline,
    /// exact once that lies within a millisecond. A deadline taken back may leave it too early.
    #[inline]
    pub(super) fn next_wake(&self) -> Option<Instant> {
        (self.wake != u64::MAX).then(|| Instant::from_nanos(self.wake))
    }

    fn find_wake(&self) -> Option<Instant> {
        let bucket = (self.tick % BUCKETS as u64) as usize;
        let here = self.earliest_in(bucket);
        if here.is_some() {
            return here;
        }
        let tick = self.next_tick();
        if tick == u64::MAX {
            return None;
        }
        let same_turn_of_level_0 = tick / BUCKETS as u64 == self.tick / BUCKETS as u64;
        if same_turn_of_level_0 {
            return self.earliest_in((tick % BUCKETS as u64) as usize);
        }
        Some(Instant::from_nanos(tick << TICK_SHIFT))
    }

    fn earliest_in(&self, bucket: usize) -> Option<Instant> {
        let mut slot = self.heads[bucket];
        let mut earliest = u64::MAX;
        while slot != NONE {
            let entry = &self.entries[slot as usize];
            earliest = earliest.min(entry.at);
            slot = entry.next;
        }
        (earliest != u64::MAX).then(|| Instant::from_nanos(earliest))
    }

    /// The first tick after the current one at which a bucket, of any level, begins that holds
    /// something; `u64::MAX` where the wheel is empty.
    fn next_tick(&self) -> u64 {
        let mut best = u64::MAX;
        for level in 0..LEVELS {
            let shift = 6 * level as u32;
            let here = self.tick >> shift;
            let position = (here % BUCKETS as u64) as u32;
            // Buckets after the current position, in this turn of the level.
            let later = self.occupied[level] & (u64::MAX << position) & !(1 << position);
            if later != 0 {
                let bucket = u64::from(later.trailing_zeros());
                best = best.min((here - u64::from(position) + bucket) << shift);
            } else if level == LEVELS - 1 && self.occupied[level] != 0 {
                // The top level goes round: what lies before the position is a turn ahead.
                let bucket = u64::from(self.occupied[level].trailing_zeros());
                best = best.min((here - u64::from(position) + BUCKETS as u64 + bucket) << shift);
            }
        }
        best
    }

    /// Moves what begins at the current tick down the levels.
    fn sink(&mut self) {
        for level in (1..LEVELS).rev() {
            let shift = 6 * level as u32;
            if self.tick & ((1 << shift) - 1) != 0 {
                continue;
            }
            let bucket = level * BUCKETS + ((self.tick >> shift) % BUCKETS as u64) as usize;
            let mut slot = core::mem::replace(&mut self.heads[bucket], NONE);
            self.occupied[level] &= !(1 << (bucket % BUCKETS));
            while slot != NONE {
                let next = self.entries[slot as usize].next;
                self.link(slot);
                slot = next;
            }
        }
    }

    fn link(&mut self, slot: u32) {
        let at = self.entries[slot as usize].at;
        let tick = (at >> TICK_SHIFT).max(self.tick);
        // The level is the highest at which the deadline lies in another bucket than now.
        let differs = tick ^ self.tick;
        let level = (63 - (differs | 1).leading_zeros() as usize) / 6;
        let (level, position) = if level < LEVELS {
            (level, tick >> (6 * level))
        } else {
            // In a later turn of the top level, or beyond the horizon: as far ahead as it reaches;
            // it is linked again from there.
            let top = 6 * (LEVELS - 1);
            (LEVELS - 1, (tick >> top).min((self.tick >> top) + BUCKETS as u64 - 1))
        };
        let bucket = (position % BUCKETS as u64) as usize;
        let place = level * BUCKETS + bucket;
        let next = core::mem::replace(&mut self.heads[place], slot);
        self.occupied[level] |= 1 << bucket;
        if next != NONE {
            self.entries[next as usize].prev = slot;
        }
        let entry = &mut self.entries[slot as usize];
        (entry.next, entry.prev, entry.place) = (next, NONE, place as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn fires_at_its_nanosecond_and_not_before() {
        for nanos in [1, 16_383, 16_384, 1_000_000, 200_000_001, 60_000_000_000, 1 << 40, 1 << 57] {
            let mut wheel = TimerWheel::new(1);
            wheel.arm(0, at(nanos));
            assert_eq!(wheel.poll_expired(at(nanos - 1)), None, "{nanos}");
            assert_eq!(wheel.poll_expired(at(nanos)), Some(0), "{nanos}");
            assert_eq!(wheel.poll_expired(at(nanos)), None, "{nanos}");
            assert_eq!(wheel.next_wake(), None);
        }
    }

    #[test]
    fn following_next_wake_reaches_a_far_deadline_in_a_few_steps() {
        let mut wheel = TimerWheel::new(1);
        wheel.arm(0, at(200_123_456));
        let mut steps = 0;
        loop {
            let wake = wheel.next_wake().unwrap();
            assert!(wake <= at(200_123_456));
            steps += 1;
            if wheel.poll_expired(wake).is_some() {
                assert_eq!(wake, at(200_123_456));
                break;
            }
        }
        assert!(steps <= LEVELS, "{steps}");
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(
            ops in prop::collection::vec((0u32..8, 0u8..3, 0u64..1 << 44, 0u32..44), 1..200)
        ) {
            let mut wheel = TimerWheel::new(8);
            let mut twin: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = 0u64;
            for (slot, what, span, shift) in ops {
                let span = span >> shift;
                match what {
                    0 => {
                        wheel.arm(slot, at(now + span));
                        twin.insert(slot, now + span);
                    }
                    1 => {
                        wheel.cancel(slot);
                        twin.remove(&slot);
                    }
                    _ => {
                        now += span;
                        while let Some(slot) = wheel.poll_expired(at(now)) {
                            prop_assert!(twin.remove(&slot).is_some_and(|due| due <= now));
                        }
                        prop_assert!(twin.values().all(|&due| due > now));
                    }
                }
                let earliest = twin.values().min().copied();
                let wake = wheel.next_wake().map(Instant::as_nanos);
                if let Some(earliest) = earliest {
                    prop_assert!(wake.is_some_and(|wake| wake <= earliest));
                }
            }
        }
    }
}
