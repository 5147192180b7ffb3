//! The store of prepared segments: which copies exist, which are home, which are away.
//!
//! Segments are kept in runs of [`SEGMENTS_PER_RUN`] neighbours, the unit of look-up and eviction.
//! A copy that was checked out is written by nobody until the port hands it back
//! ([`Store::on_done`]): the store holds no token for it meanwhile, so it cannot. A payload that is
//! shared is pinned: the store may read it, and nobody may write ([`shared`]).

mod shared;

pub use shared::{Loan, PIECE_MIN, SharedPiece};

use super::pins::PinnedFields;
use super::{ContentSource, ObjectId, ReadAt};
use crate::marks::mark;
use crate::mutants::mutant;
use crate::port::{Buf, Pinned, Port};
use crate::wire::checksum::{Sum, sum};
use alloc::vec::Vec;
use hashbrown::HashTable;

/// Neighbouring segments that are looked up and evicted together: 22 KB at an MSS of 1460.
pub const SEGMENTS_PER_RUN: usize = 16;

/// Runs that one search for something to evict looks at, at most: bounds the time of a turn.
const EVICTION_STEPS_MAX: usize = 64;

const NONE: u32 = u32::MAX;

/// How a segment gets into the buffer that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One master a segment; every send copies it into a free buffer.
    Copy,
    /// That many copies of each segment are made when it is cut; a send when all are away goes the
    /// copying way.
    CopiesInAdvance(u16),
    /// A further copy is made when all are away, and kept.
    #[default]
    CopiesOnDemand,
    /// One payload a segment, pinned; every send puts a private header in front of it. Over a port
    /// that does not gather as [`Mode::CopiesOnDemand`].
    Gather,
}

/// How the store cuts and how much it may keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How segments are sent.
    pub mode: Mode,
    /// Copies, or payloads, kept over the whole store, at most; idle ones are stolen beyond it. Also
    /// limited by what the port has.
    pub copies_max: u32,
    /// Buffers of the port that the store leaves to the copying way, to segments without text and to
    /// private headers.
    pub reserve: u32,
    /// Runs of [`SEGMENTS_PER_RUN`] segments known at once, at most.
    pub runs_max: u32,
    /// Sizes, as MSS option values, for which segments are prepared, in descending order. A peer
    /// whose MSS is up to an eighth above a class gets segments of the class; any other goes the
    /// copying way.
    pub mss_classes: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            copies_max: 16_384,
            reserve: 64,
            runs_max: 4_096,
            mss_classes: alloc::vec![8_960, 1_460, 1_440, 1_400, 1_360, 1_220, 536],
        }
    }
}

impl Config {
    /// The MSS of the class that serves a peer which takes `mss` bytes, where one does. Both
    /// without the bytes of options carried by each segment.
    pub fn class_for(&self, mss: u16) -> Option<u16> {
        self.mss_classes.iter().copied().find(|&class| class <= mss && mss - class <= mss / 8)
    }
}

/// How an object is cut for a connection: names the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The object.
    pub object: ObjectId,
    /// Its length in bytes.
    pub object_len: u64,
    /// Bytes of text in every segment but the last.
    pub text_max: u16,
    /// Where the text starts in the frame: the length of the headers.
    pub text_at: u16,
}

/// What came of asking for a segment.
#[derive(Debug)]
pub enum Checkout {
    /// A buffer whose text is in place, pinned fields included. Headers are the caller's to write.
    Ready {
        /// The buffer. Submit it, or hand it to [`Store::on_done`].
        buf: Buf,
        /// The sum of the text.
        sum: Sum,
    },
    /// No copy can be had now: the copying way may serve.
    Miss,
    /// The source is not ready.
    NotYet,
    /// The source lost the object.
    Gone,
}

/// What the store counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segments handed out from the store.
    pub checkouts: u64,
    /// Segments cut, evicted ones again.
    pub cuts: u64,
    /// Copies made beyond the first of their segment.
    pub copies_made: u64,
    /// Frames copied from a master ([`Mode::Copy`]).
    pub master_copies: u64,
    /// Of `checkouts`, those that share a payload ([`Mode::Gather`]).
    pub shared: u64,
    /// Copies given up to make room.
    pub stolen: u64,
    /// Copies that came back from the device without their bytes.
    pub bytes_lost: u64,
    /// Checkouts refused because all copies were away and no further one was allowed.
    pub misses_all_away: u64,
    /// Checkouts refused because neither a free buffer nor an idle copy was to be had.
    pub misses_no_buffer: u64,
    /// Checkouts refused because every run in reach had copies away ([`Config::runs_max`]).
    pub misses_no_run: u64,
    /// The most copies kept at once.
    pub kept_high: u32,
    /// The most copies away at once.
    pub away_high: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct RunKey {
    /// Object above number of the run within its variant.
    name: u64,
    /// [`Cut::text_max`] above [`Cut::text_at`].
    variant: u32,
}

impl RunKey {
    #[inline]
    fn new(cut: &Cut, index: u32) -> Self {
        Self {
            name: u64::from(cut.object.0) << 32 | u64::from(index / SEGMENTS_PER_RUN as u32),
            variant: u32::from(cut.text_max) << 16 | u32::from(cut.text_at),
        }
    }
}

struct Segment {
    /// First of the idle copies; [`Home::next`] leads to the others.
    idle: Option<Buf>,
    /// Copies kept, idle and away.
    copies: u16,
    /// Folded sum of the text with its pinned fields cleared; meaningful while `cut`.
    sum: u16,
    /// Of a payload, the bytes of text that frames do not share ([`shared`]).
    private: u16,
    cut: bool,
}

struct Run {
    key: RunKey,
    /// Copies of its segments that are away.
    away: u32,
    /// Asked for since the eviction hand last passed.
    referenced: bool,
    live: bool,
    segments: [Segment; SEGMENTS_PER_RUN],
}

/// Where a buffer belongs. One a buffer of the port.
struct Home {
    /// Run · [`SEGMENTS_PER_RUN`] + segment; [`NONE`] where the store does not know the buffer.
    segment: u32,
    /// Next idle copy of the same segment.
    next: Option<Buf>,
}

/// Copies at home of the segments of one run. What is taken counts as away when this is dropped.
pub struct IdleRun<'a> {
    segments: &'a mut [Segment; SEGMENTS_PER_RUN],
    homes: &'a mut [Home],
    run_away: &'a mut u32,
    store_away: &'a mut u32,
    stats: &'a mut Stats,
    taken: u32,
}

impl IdleRun<'_> {
    /// A copy of segment `index` (which must lie in the run, and pin nothing), and its sum; None
    /// where none is at home.
    #[inline]
    pub fn take(&mut self, index: u32) -> Option<(Buf, Sum)> {
        let segment = &mut self.segments[index as usize % SEGMENTS_PER_RUN];
        let buf = segment.idle.take()?;
        segment.idle = self.homes[buf.index() as usize].next.take();
        if mutant!(EarlyReuse) {
            segment.idle = Some(buf.duplicate_for_fork());
        }
        self.taken += 1;
        Some((buf, Sum::from_folded(segment.sum)))
    }
}

impl Drop for IdleRun<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.run_away += self.taken;
        *self.store_away += self.taken;
        self.stats.checkouts += u64::from(self.taken);
        self.stats.away_high = self.stats.away_high.max(*self.store_away);
    }
}

/// The prepared segments of one stack.
pub struct Store {
    mode: Mode,
    copies_max: u32,
    reserve: usize,
    runs_max: usize,
    hash_key: u64,
    runs: Vec<Run>,
    free_runs: Vec<u32>,
    table: HashTable<u32>,
    homes: Vec<Home>,
    /// The payloads of [`Mode::Gather`], one place a segment of `runs`; else without capacity.
    payloads: Vec<Option<Pinned>>,
    hand: usize,
    kept: u32,
    away: u32,
    stats: Stats,
}

impl Store {
    /// An empty store for a port of `buffers` buffers. Allocates everything it will ever use.
    pub fn new(config: &Config, buffers: u32, hash_key: u64) -> Self {
        let runs_max = config.runs_max as usize;
        Self {
            mode: config.mode,
            copies_max: config.copies_max.min(buffers.saturating_sub(config.reserve)),
            reserve: config.reserve as usize,
            runs_max,
            hash_key,
            runs: Vec::with_capacity(runs_max),
            free_runs: Vec::with_capacity(runs_max),
            // Twice the entries: hashbrown then cleans tombstones in place and never grows.
            table: HashTable::with_capacity(runs_max * 2),
            homes: (0..buffers).map(|_| Home { segment: NONE, next: None }).collect(),
            payloads: shared::table(config.mode, runs_max),
            hand: 0,
            kept: 0,
            away: 0,
            stats: Stats::default(),
        }
    }

    /// What was counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Tokens that the store holds: copies at home, and payloads.
    pub fn idle(&self) -> u32 {
        self.kept - self.away
    }

    /// Copies kept, at home and away, or payloads.
    pub fn kept(&self) -> u32 {
        self.kept
    }

    /// Copies with the device.
    pub fn away(&self) -> u32 {
        self.away
    }

    /// Bytes of tables that a store of so many runs takes for a port of so many buffers: what
    /// [`Self::table_bytes`] comes to at least, without making one.
    pub const fn table_bytes_for(runs: u64, buffers: u64) -> u64 {
        runs * (size_of::<Run>() + 3 * size_of::<u32>()) as u64 + buffers * size_of::<Home>() as u64
    }

    /// Bytes of the tables, buffers not counted.
    pub fn table_bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
            + self.homes.capacity() * size_of::<Home>()
            + self.payloads.capacity() * size_of::<Option<Pinned>>()
            + (self.table.capacity() + self.free_runs.capacity()) * size_of::<u32>()
    }

    /// Asks for segment `index` of the variant. `hint` is kept by the caller from call to call
    /// ([`u32::MAX`] at first) and spares a look-up while the segments of one run follow each other.
    #[inline]
    pub fn checkout<P: Port, C: ContentSource>(
        &mut self,
        port: &mut P,
        content: &mut C,
        cut: &Cut,
        index: u32,
        pins: &PinnedFields,
        hint: &mut u32,
    ) -> Checkout {
        let Some(slot) = self.run_of(port, cut, index, hint) else { return Checkout::Miss };
        let at = index as usize % SEGMENTS_PER_RUN;
        let run = &mut self.runs[slot as usize];
        run.referenced = true;
        if self.mode == Mode::Copy {
            return self.checkout_by_copying(port, content, cut, index, pins, slot);
        }
        let segment = &mut run.segments[at];
        let Some(mut buf) = segment.idle.take() else {
            return self.checkout_without_idle(port, content, cut, index, pins, slot);
        };
        segment.idle = self.homes[buf.index() as usize].next.take();
        run.away += 1;
        let sum = show_pins(port, &mut buf, segment.sum, cut, index, pins);
        self.count_away();
        Checkout::Ready { buf, sum }
    }

    /// The run that holds segment `index`, known or made; None where no more can be known.
    #[inline]
    fn run_of<P: Port>(
        &mut self,
        port: &mut P,
        cut: &Cut,
        index: u32,
        hint: &mut u32,
    ) -> Option<u32> {
        let key = RunKey::new(cut, index);
        let slot = match self.runs.get(*hint as usize) {
            Some(run) if run.key == key && run.live => *hint,
            _ => self.find_or_make(port, &key)?,
        };
        *hint = slot;
        Some(slot)
    }

    /// The copies at home of the run that holds segment `index`, where that is the run of `hint` and
    /// copies are what is sent: the straight way through the middle of an object.
    #[inline]
    pub fn idle_run(&mut self, cut: &Cut, index: u32, hint: u32) -> Option<IdleRun<'_>> {
        let run = self.runs.get_mut(hint as usize)?;
        if run.key != RunKey::new(cut, index) || !run.live || self.mode == Mode::Copy {
            return None;
        }
        run.referenced = true;
        Some(IdleRun {
            segments: &mut run.segments,
            homes: &mut self.homes,
            run_away: &mut run.away,
            store_away: &mut self.away,
            stats: &mut self.stats,
            taken: 0,
        })
    }

    /// Takes back a buffer that was checked out or used for copying: after the device is done with
    /// it, or because it was not submitted. A buffer that the store does not keep is returned and
    /// belongs to the free pool.
    #[inline]
    pub fn on_done(&mut self, buf: Buf) -> Option<Buf> {
        let home = &mut self.homes[buf.index() as usize];
        if home.segment == NONE {
            if mutant!(LeakedBuffer) {
                return None;
            }
            return Some(buf);
        }
        if buf.has_lost_bytes() {
            return Some(self.forget_copy(buf));
        }
        let run = &mut self.runs[home.segment as usize / SEGMENTS_PER_RUN];
        let segment = &mut run.segments[home.segment as usize % SEGMENTS_PER_RUN];
        debug_assert!(run.live && run.away > 0);
        home.next = segment.idle.replace(buf);
        run.away -= 1;
        self.away -= 1;
        None
    }

    /// A copy came back as an empty buffer: it is one no more. A run that has none left is forgotten
    /// when the eviction hand comes by.
    #[cold]
    fn forget_copy(&mut self, buf: Buf) -> Buf {
        let home = &mut self.homes[buf.index() as usize];
        let run = &mut self.runs[home.segment as usize / SEGMENTS_PER_RUN];
        run.segments[home.segment as usize % SEGMENTS_PER_RUN].copies -= 1;
        run.away -= 1;
        home.segment = NONE;
        self.away -= 1;
        self.kept -= 1;
        self.stats.bytes_lost += 1;
        buf
    }

    /// A buffer for the copying way or for a segment without text: from the free pool, else
    /// stolen from an idle segment.
    #[inline]
    pub fn take_buffer<P: Port>(&mut self, port: &mut P) -> Option<Buf> {
        port.take_free().or_else(|| {
            self.steal(port, NONE);
            port.take_free()
        })
    }

    /// Gives every idle copy and every unused payload back to the port, and forgets the segments. For
    /// shutting down, and for tests of conservation.
    pub fn release<P: Port>(&mut self, port: &mut P) {
        let stolen = self.stats.stolen;
        for slot in 0..self.runs.len() {
            if self.runs[slot].live {
                self.steal_from(port, slot);
            }
        }
        // Given back, not given up for want of room.
        self.stats.stolen = stolen;
    }

    /// The same store with the same tokens, for a port that is forked with it.
    pub(crate) fn fork(&self) -> Self {
        let fork = |token: &Option<Buf>| token.as_ref().map(Buf::duplicate_for_fork);
        let mut runs = Vec::with_capacity(self.runs_max);
        runs.extend(self.runs.iter().map(|run| Run {
            segments: core::array::from_fn(|i| {
                let segment = &run.segments[i];
                Segment { idle: fork(&segment.idle), ..*segment }
            }),
            ..*run
        }));
        let mut free_runs = Vec::with_capacity(self.runs_max);
        free_runs.extend_from_slice(&self.free_runs);
        Self {
            runs,
            free_runs,
            table: self.table.clone(),
            homes: self
                .homes
                .iter()
                .map(|home| Home { segment: home.segment, next: fork(&home.next) })
                .collect(),
            payloads: self.fork_payloads(),
            ..*self
        }
    }

    #[inline]
    fn count_away(&mut self) {
        self.away += 1;
        self.stats.checkouts += 1;
        self.stats.away_high = self.stats.away_high.max(self.away);
    }

    /// No copy is at home: cut the segment, or make one more copy.
    #[cold]
    #[inline(never)]
    fn checkout_without_idle<P: Port, C: ContentSource>(
        &mut self,
        port: &mut P,
        content: &mut C,
        cut: &Cut,
        index: u32,
        pins: &PinnedFields,
        slot: u32,
    ) -> Checkout {
        let at = index as usize % SEGMENTS_PER_RUN;
        let segment = &self.runs[slot as usize].segments[at];
        let first = segment.copies == 0;
        let more = match self.mode {
            Mode::CopiesInAdvance(copies) if first => copies.max(1),
            Mode::CopiesInAdvance(_) | Mode::Copy => {
                mark!(StoreAllAway);
                self.stats.misses_all_away += 1;
                return Checkout::Miss;
            }
            Mode::CopiesOnDemand | Mode::Gather => 1,
        };
        let mut buf = match self.make_copy(port, content, cut, index, pins, slot) {
            Ok(buf) => buf,
            Err(refused) => return refused,
        };
        for _ in 1..more {
            let Some(mut further) = self.take_for_keeping(port, slot) else { break };
            port.copy(&buf, &mut further, usize::from(cut.text_at) + text_len(cut, index));
            self.keep(&further, slot, at);
            self.stats.copies_made += 1;
            let index = further.index() as usize;
            self.homes[index].next = self.runs[slot as usize].segments[at].idle.replace(further);
        }
        let run = &mut self.runs[slot as usize];
        run.away += 1;
        let sum = show_pins(port, &mut buf, run.segments[at].sum, cut, index, pins);
        self.count_away();
        Checkout::Ready { buf, sum }
    }

    /// [`Mode::Copy`]: the master stays at home, a free buffer gets its bytes.
    fn checkout_by_copying<P: Port, C: ContentSource>(
        &mut self,
        port: &mut P,
        content: &mut C,
        cut: &Cut,
        index: u32,
        pins: &PinnedFields,
        slot: u32,
    ) -> Checkout {
        let at = index as usize % SEGMENTS_PER_RUN;
        if self.runs[slot as usize].segments[at].idle.is_none() {
            match self.make_copy(port, content, cut, index, pins, slot) {
                Ok(master) => self.runs[slot as usize].segments[at].idle = Some(master),
                Err(refused) => return refused,
            }
        }
        let Some(mut buf) = port.take_free() else {
            mark!(StoreNoBuffer);
            self.stats.misses_no_buffer += 1;
            return Checkout::Miss;
        };
        let segment = &self.runs[slot as usize].segments[at];
        let Some(master) = &segment.idle else { unreachable!("the master was just made") };
        port.copy(master, &mut buf, usize::from(cut.text_at) + text_len(cut, index));
        let sum = show_pins(port, &mut buf, segment.sum, cut, index, pins);
        self.stats.checkouts += 1;
        self.stats.master_copies += 1;
        Checkout::Ready { buf, sum }
    }

    /// Fills a buffer with the segment's text, its pinned fields cleared, and counts it as kept.
    /// The caller holds the token: it is neither idle nor counted away yet.
    fn make_copy<P: Port, C: ContentSource>(
        &mut self,
        port: &mut P,
        content: &mut C,
        cut: &Cut,
        index: u32,
        pins: &PinnedFields,
        slot: u32,
    ) -> Result<Buf, Checkout> {
        let Some(mut buf) = self.take_for_keeping(port, slot) else {
            mark!(StoreNoBuffer);
            self.stats.misses_no_buffer += 1;
            return Err(Checkout::Miss);
        };
        let at = index as usize % SEGMENTS_PER_RUN;
        let offset = u64::from(index) * u64::from(cut.text_max);
        let start = usize::from(cut.text_at);
        let text = &mut port.bytes_mut(&mut buf)[start..start + text_len(cut, index)];
        let mut read = content.read_at(cut.object, offset, text);
        // The places of pinned fields are the object's, so the sum of the rest serves every response.
        pins.clear(offset, text);
        let segment = &mut self.runs[slot as usize].segments[at];
        if read == ReadAt::Done {
            let folded = sum(text).fold();
            if !segment.cut {
                segment.sum = folded;
            } else if segment.sum != folded {
                mark!(StoreSourceChanged);
                // The source broke its promise: two copies of one segment would differ.
                read = ReadAt::Gone;
            }
        }
        let refused = match read {
            ReadAt::Done => None,
            ReadAt::NotYet => Some(Checkout::NotYet),
            ReadAt::Gone => Some(Checkout::Gone),
        };
        if let Some(refused) = refused {
            port.give_back(buf);
            return Err(refused);
        }
        if segment.cut {
            mark!(StoreCopyAdded);
            self.stats.copies_made += 1;
        } else {
            segment.cut = true;
            self.stats.cuts += 1;
        }
        self.keep(&buf, slot, at);
        Ok(buf)
    }

    fn keep(&mut self, buf: &Buf, slot: u32, at: usize) {
        self.homes[buf.index() as usize] =
            Home { segment: slot * SEGMENTS_PER_RUN as u32 + at as u32, next: None };
        self.runs[slot as usize].segments[at].copies += 1;
        self.kept += 1;
        self.stats.kept_high = self.stats.kept_high.max(self.kept);
    }

    /// A buffer that will be kept, within the bounds; `except` is not robbed for it.
    fn take_for_keeping<P: Port>(&mut self, port: &mut P, except: u32) -> Option<Buf> {
        if self.kept >= self.copies_max || port.free() <= self.reserve {
            self.steal(port, except);
            if self.kept >= self.copies_max || port.free() <= self.reserve {
                return None;
            }
        }
        port.take_free()
    }

    /// Frees the idle copies, or the unused payloads, of one run that was not asked for lately, other
    /// than `except`.
    #[cold]
    fn steal<P: Port>(&mut self, port: &mut P, except: u32) {
        for _ in 0..EVICTION_STEPS_MAX.min(self.runs.len() * 2) {
            let slot = self.next_hand();
            let run = &mut self.runs[slot];
            if !run.live || slot as u32 == except {
                continue;
            }
            if run.referenced {
                run.referenced = false;
                continue;
            }
            if self.steal_from(port, slot) > 0 {
                mark!(StoreStole);
                return;
            }
        }
    }

    fn next_hand(&mut self) -> usize {
        let slot = self.hand;
        self.hand = if slot + 1 >= self.runs.len() { 0 } else { slot + 1 };
        slot
    }

    /// Gives back the idle copies of a run, or its payloads that no frame uses, and forgets the run
    /// where none is left.
    fn steal_from<P: Port>(&mut self, port: &mut P, slot: usize) -> u32 {
        let mut freed = if P::GATHERS { self.unpin_unused(port, slot) } else { 0 };
        let run = &mut self.runs[slot];
        let mut left = 0;
        for segment in &mut run.segments {
            while let Some(buf) = segment.idle.take() {
                let home = &mut self.homes[buf.index() as usize];
                segment.idle = home.next.take();
                home.segment = NONE;
                segment.copies -= 1;
                freed += 1;
                port.give_back(buf);
            }
            left += u32::from(segment.copies);
        }
        self.kept -= freed;
        self.stats.stolen += u64::from(freed);
        if left == 0 {
            debug_assert_eq!(run.away, 0);
            run.live = false;
            let hash = hash(self.hash_key, &run.key);
            if let Ok(entry) = self.table.find_entry(hash, |&s| s as usize == slot) {
                entry.remove();
            }
            self.free_runs.push(slot as u32);
        }
        freed
    }

    fn find_or_make<P: Port>(&mut self, port: &mut P, key: &RunKey) -> Option<u32> {
        let hash = hash(self.hash_key, key);
        let found = self.table.find(hash, |&slot| self.runs[slot as usize].key == *key);
        if let Some(&slot) = found {
            return Some(slot);
        }
        self.make_run(port, key, hash)
    }

    #[cold]
    fn make_run<P: Port>(&mut self, port: &mut P, key: &RunKey, hash: u64) -> Option<u32> {
        let fresh = Run {
            key: *key,
            away: 0,
            referenced: true,
            live: true,
            segments: core::array::from_fn(|_| Segment {
                idle: None,
                copies: 0,
                sum: 0,
                private: 0,
                cut: false,
            }),
        };
        if self.free_runs.is_empty() && self.runs.len() >= self.runs_max {
            for _ in 0..EVICTION_STEPS_MAX {
                self.steal(port, NONE);
                if !self.free_runs.is_empty() {
                    break;
                }
            }
        }
        let slot = if let Some(slot) = self.free_runs.pop() {
            self.runs[slot as usize] = fresh;
            slot
        } else if self.runs.len() < self.runs_max {
            self.runs.push(fresh);
            self.runs.len() as u32 - 1
        } else {
            mark!(StoreNoRun);
            self.stats.misses_no_run += 1;
            return None;
        };
        let (runs, hash_key) = (&self.runs, self.hash_key);
        self.table.insert_unique(hash, slot, |&s| self::hash(hash_key, &runs[s as usize].key));
        Some(slot)
    }
}

/// Writes the pinned fields into the first segment of an object, and answers the sum of the text
/// with them; `sum` is the one without.
#[inline]
fn show_pins<P: Port>(
    port: &mut P,
    buf: &mut Buf,
    sum: u16,
    cut: &Cut,
    index: u32,
    pins: &PinnedFields,
) -> Sum {
    let sum = Sum::from_folded(sum);
    if index != 0 {
        return sum;
    }
    sum.combine(pins.write(&mut port.bytes_mut(buf)[usize::from(cut.text_at)..]))
}

/// Bytes of text in segment `index`.
fn text_len(cut: &Cut, index: u32) -> usize {
    let start = u64::from(index) * u64::from(cut.text_max);
    cut.object_len.saturating_sub(start).min(u64::from(cut.text_max)) as usize
}

/// Keys are ours, not a peer's: a seeded multiplication spreads them well enough.
fn hash(key: u64, run: &RunKey) -> u64 {
    let variant = u64::from(run.variant) ^ 0x9e37_79b9_7f4a_7c15;
    let wide = u128::from(run.name ^ key) * u128::from(variant);
    (wide >> 64) as u64 ^ wide as u64
}

#[cfg(test)]
mod tests;
