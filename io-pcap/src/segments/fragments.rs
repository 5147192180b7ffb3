//! IP datagrams out of their fragments. RFC 791 §3.2, RFC 8200 §4.5.
//!
//! Bounded in datagrams, bytes, pieces and age; what hits a bound is counted and left out. Only
//! what may carry TCP is kept.

use crate::dissect::{Checksums, Dissected, Ecn, Fragment, PROTOCOL_TCP, dissect_reassembled};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

/// Incomplete datagrams kept at once. TCP avoids fragments, so that a capture has few; a flood of
/// them pushes out the oldest, and `evicted` counts.
pub const DATAGRAMS_MAX: usize = 256;
/// Bytes of incomplete datagrams kept at once: as many as 64 of the largest.
pub const FRAGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a datagram's payload: what 16 bits of length allow.
pub const DATAGRAM_BYTES_MAX: u32 = 65_535;
/// Ranges with gaps between them kept of one datagram. In order there is one; a datagram that needs
/// more than this many is given up.
pub const DATAGRAM_RANGES_MAX: usize = 64;
/// How long a datagram may stay incomplete, in the capture's time: a minute, RFC 8200 §4.5.
pub const DATAGRAM_AGE_MAX_NANOS: u64 = 60_000_000_000;

/// IPv6 next headers behind which TCP may follow.
const MAY_LEAD_TO_TCP: [u8; 7] = [0, 43, 51, 60, 135, 139, 140];

/// What became of fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentStats {
    /// Fragments that carry no TCP: not kept.
    pub not_tcp: u64,
    /// Datagrams completed.
    pub completed: u64,
    /// Fragments that were there already, with the same bytes.
    pub duplicates: u64,
    /// Fragments that overlap others. In IPv4 the bytes that came first stand; an IPv6 datagram
    /// with an overlap is given up (RFC 8200 §4.5).
    pub overlaps: u64,
    /// Fragments that cannot be what they say: beyond the largest datagram or the datagram's own
    /// end, empty, or not the last and no multiple of 8 bytes long.
    pub malformed: u64,
    /// Datagrams given up: contradictory ends, overlaps in IPv6, too many gaps.
    pub given_up: u64,
    /// Datagrams that stayed incomplete for [`DATAGRAM_AGE_MAX_NANOS`].
    pub expired: u64,
    /// Incomplete datagrams pushed out by later ones: [`DATAGRAMS_MAX`], [`FRAGMENT_BYTES_MAX`].
    pub evicted: u64,
    /// Datagrams that are incomplete at present; at the end of a capture, for good.
    pub incomplete: u64,
}

/// Whose fragment: RFC 791's identification; in IPv6 the protocol is none of it and is 0 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    protocol: u8,
    vlan: Option<u16>,
}

impl Key {
    fn of(fragment: &Fragment<'_>) -> Self {
        let &Fragment { src, dst, id, vlan, .. } = fragment;
        let protocol = if src.is_ipv4() { fragment.protocol } else { 0 };
        Self { src, dst, id, protocol, vlan }
    }
}

/// Datagrams in the making.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    datagrams: BTreeMap<Key, Datagram>,
    /// By the order in which they began.
    begun: BTreeMap<u64, Key>,
    next_serial: u64,
    /// Bytes of all datagrams' buffers.
    bytes: usize,
    /// The last datagram completed.
    done: Vec<u8>,
    stats: FragmentStats,
}

#[derive(Debug)]
struct Datagram {
    serial: u64,
    began_at: u64,
    /// Given up: kept, empty, so that what still comes of it is not taken for a new one.
    is_dead: bool,
    payload: Vec<u8>,
    /// What is there, in order, with gaps between.
    ranges: Vec<Range<u32>>,
    /// Where the first byte lies that the capture left out.
    captured_end: u32,
    /// Where the payload ends, once the last fragment came.
    end: Option<u32>,
    /// The one at offset 0, without its payload.
    first: Option<Fragment<'static>>,
    saw_ce: bool,
}

impl Reassembly {
    /// Takes a fragment that was captured at `at` (unix nanoseconds). Answers what the datagram
    /// holds, if this completes it.
    pub(super) fn on_fragment(
        &mut self,
        at: u64,
        fragment: &Fragment<'_>,
        sums: Checksums,
    ) -> Option<Dissected<'_>> {
        let is_v6 = fragment.src.is_ipv6();
        if fragment.protocol != PROTOCOL_TCP
            && !(is_v6 && MAY_LEAD_TO_TCP.contains(&fragment.protocol))
        {
            self.stats.not_tcp += 1;
            return None;
        }
        self.expire(at);
        let len = fragment.payload_len;
        let end = fragment.offset.checked_add(len).filter(|end| *end <= DATAGRAM_BYTES_MAX);
        let Some(end) = end.filter(|_| len > 0 && (!fragment.more || len.is_multiple_of(8))) else {
            self.stats.malformed += 1;
            return None;
        };
        let key = Key::of(fragment);
        if !self.datagrams.contains_key(&key) {
            self.begin(key, at);
        }
        let datagram = self.datagrams.get_mut(&key)?;
        self.bytes -= datagram.payload.len();
        datagram.add(fragment, end, is_v6, &mut self.stats);
        self.bytes += datagram.payload.len();
        if datagram.is_complete() {
            return self.complete(&key, sums);
        }
        while self.bytes > FRAGMENT_BYTES_MAX && self.evict() {}
        None
    }

    pub(super) fn stats(&self) -> FragmentStats {
        let alive = self.datagrams.values().filter(|datagram| !datagram.is_dead).count();
        FragmentStats { incomplete: alive as u64, ..self.stats }
    }

    fn complete(&mut self, key: &Key, sums: Checksums) -> Option<Dissected<'_>> {
        let datagram = self.remove(key)?;
        self.stats.completed += 1;
        self.done = datagram.payload;
        let len = datagram.end?;
        let captured = len.min(datagram.captured_end) as usize;
        let first = datagram.first?;
        // RFC 3168 §5.3: one fragment that experienced congestion makes the datagram one.
        let ecn = if datagram.saw_ce { Ecn::Ce } else { first.ecn };
        let payload = self.done.get(..captured)?;
        Some(dissect_reassembled(&first, ecn, payload, len, sums))
    }

    fn begin(&mut self, key: Key, at: u64) {
        if self.datagrams.len() >= DATAGRAMS_MAX {
            self.evict();
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        self.begun.insert(serial, key);
        self.datagrams.insert(
            key,
            Datagram {
                serial,
                began_at: at,
                is_dead: false,
                payload: Vec::new(),
                ranges: Vec::new(),
                captured_end: u32::MAX,
                end: None,
                first: None,
                saw_ce: false,
            },
        );
    }

    /// Removes the oldest; false where there is none.
    fn evict(&mut self) -> bool {
        let Some((_, &key)) = self.begun.first_key_value() else { return false };
        self.stats.evicted += u64::from(self.remove(&key).is_some_and(|gone| !gone.is_dead));
        true
    }

    fn expire(&mut self, at: u64) {
        while let Some((_, key)) = self.begun.first_key_value() {
            let key = *key;
            let began_at = self.datagrams.get(&key).map_or(0, |datagram| datagram.began_at);
            if at.saturating_sub(began_at) <= DATAGRAM_AGE_MAX_NANOS {
                break;
            }
            self.stats.expired += u64::from(self.remove(&key).is_some_and(|gone| !gone.is_dead));
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.begun.remove(&datagram.serial);
        self.bytes -= datagram.payload.len();
        Some(datagram)
    }
}

impl Datagram {
    fn is_complete(&self) -> bool {
        let whole = |end| matches!(&self.ranges[..], [range] if *range == (0..end));
        !self.is_dead && self.end.is_some_and(whole)
    }

    /// Takes a fragment up to `end`.
    fn add(&mut self, fragment: &Fragment<'_>, end: u32, is_v6: bool, stats: &mut FragmentStats) {
        if self.is_dead {
            return;
        }
        let range = fragment.offset..end;
        let last = self.ranges.last().map_or(0, |range| range.end);
        let contradicts = match (self.end, fragment.more) {
            (Some(known), true) => end > known,
            (Some(known), false) => end != known,
            (None, true) => false,
            (None, false) => last > end,
        };
        let overlaps = self.ranges.iter().any(|have| have.start < end && range.start < have.end);
        let is_duplicate = overlaps && self.has_same(&range, fragment.payload);
        stats.duplicates += u64::from(is_duplicate);
        stats.overlaps += u64::from(overlaps && !is_duplicate);
        if contradicts || (is_v6 && overlaps && !is_duplicate) {
            self.give_up(stats);
            return;
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if fragment.offset == 0 && self.first.is_none() {
            let &Fragment { src, dst, vlan, id, protocol, offset, more, .. } = fragment;
            let &Fragment { payload_len, ecn, ttl, .. } = fragment;
            let payload = &[];
            self.first = Some(Fragment {
                src,
                dst,
                vlan,
                id,
                protocol,
                offset,
                more,
                payload,
                payload_len,
                ecn,
                ttl,
            });
        }
        self.saw_ce |= fragment.ecn == Ecn::Ce;
        if is_duplicate {
            return;
        }
        self.payload.resize(self.payload.len().max(end as usize), 0);
        for gap in self.gaps(&range) {
            self.fill(gap, fragment);
        }
        self.insert(range);
        if self.ranges.len() > DATAGRAM_RANGES_MAX {
            self.give_up(stats);
        }
    }

    fn give_up(&mut self, stats: &mut FragmentStats) {
        self.is_dead = true;
        self.payload = Vec::new();
        self.ranges = Vec::new();
        stats.given_up += 1;
    }

    /// Copies what was captured of a gap; notes where the capture left something out.
    fn fill(&mut self, gap: Range<u32>, fragment: &Fragment<'_>) {
        let captured_end = fragment.offset + fragment.payload.len() as u32;
        if captured_end < gap.end {
            self.captured_end = self.captured_end.min(captured_end.max(gap.start));
        }
        let from = (gap.start - fragment.offset) as usize..(gap.end - fragment.offset) as usize;
        let from = from.start.min(fragment.payload.len())..from.end.min(fragment.payload.len());
        let bytes = &fragment.payload[from];
        let at = gap.start as usize;
        self.payload[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The parts of `range` that are missing.
    fn gaps(&self, range: &Range<u32>) -> Vec<Range<u32>> {
        let mut gaps = Vec::new();
        let mut from = range.start;
        for have in &self.ranges {
            if have.end <= from {
                continue;
            }
            if have.start >= range.end {
                break;
            }
            if have.start > from {
                gaps.push(from..have.start);
            }
            from = have.end;
        }
        if from < range.end {
            gaps.push(from..range.end);
        }
        gaps
    }

    /// Adds a range; those that touch become one.
    fn insert(&mut self, range: Range<u32>) {
        let mut merged = range;
        self.ranges.retain(|have| {
            let touches = have.start <= merged.end && merged.start <= have.end;
            if touches {
                merged = have.start.min(merged.start)..have.end.max(merged.end);
            }
            !touches
        });
        let at = self.ranges.partition_point(|have| have.start < merged.start);
        self.ranges.insert(at, merged);
    }

    /// Whether all of `range` is there, with these bytes as far as they were captured.
    fn has_same(&self, range: &Range<u32>, captured: &[u8]) -> bool {
        let is_there =
            self.ranges.iter().any(|have| have.start <= range.start && range.end <= have.end);
        let start = range.start as usize;
        let known = self.captured_end.saturating_sub(range.start) as usize;
        let captured = &captured[..captured.len().min(known)];
        is_there && self.payload.get(start..start + captured.len()) == Some(captured)
    }
}
