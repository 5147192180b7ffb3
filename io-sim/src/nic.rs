//! A modelled NIC: the [`Port`] that reads late.
//!
//! A frame's bytes are copied when the modelled DMA runs, not when the frame was submitted: what
//! memory holds *then* goes on the wire. When that is, and when completions show, is a policy.
//! Two oracles are always on: a copy taken at submit is compared when DMA runs, and a write to a
//! buffer that the device owns, or that is pinned, is noticed as it happens. A frame of several parts
//! is read, all of it, when its DMA runs.
//!
//! Time comes in through [`SimPort::advance`]; frames come in through [`SimPort::deliver`] and go
//! out through [`SimPort::take_sent`]. Must not know links, hosts or worlds.

mod config;
mod gather;
mod port;
mod stall;

pub use config::{CompletionPolicy, DmaPolicy, NicConfig};
pub use gather::FRAGS_MAX;
pub use stall::{RandomStalls, Stall, Stalled};

use crate::frames::{FrameId, Frames};
use crate::oracle::promises::{Passage, Passed};
use crate::seed::Draws;
use gather::Pieces;
use simoom_core::port::{Buf, Port, TxSync};
use simoom_core::time::Instant;
use simoom_core::wire::rewrite::TcpFrameMut;
use simoom_core::wire::{self, WireError, WireErrorKind};
use stall::Stalls;
use std::collections::VecDeque;

/// What the caller did to a buffer that the device owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicViolation {
    /// A frame's bytes at DMA are not those at submit.
    FrameChangedAfterSubmit {
        /// The buffer.
        buffer: u32,
        /// Bytes of the frame.
        len: u16,
    },
    /// A buffer was opened for writing while the device owned it, while it was pinned, or while it was
    /// free.
    WrittenWithoutRight {
        /// The buffer.
        buffer: u32,
    },
    /// A buffer was submitted, pinned or given back that was not in the caller's hands: its token was
    /// made twice.
    TokenOfAnother {
        /// The buffer.
        buffer: u32,
    },
    /// A piece of a frame was of a buffer that is not pinned, or such a one was unpinned.
    NotPinned {
        /// The buffer.
        buffer: u32,
    },
}

/// What a NIC has done, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicStats {
    /// Given to the wire.
    pub tx: u64,
    /// Of these, made of several parts.
    pub tx_gathered: u64,
    /// Taken into the receive ring.
    pub rx: u64,
    /// Dropped, the receive ring being full.
    pub rx_ring_full: u64,
    /// Dropped for a wrong checksum, where the device checks them.
    pub rx_bad_checksum: u64,
    /// Times that the caller asked for completions.
    pub reclaims_asked: u64,
    /// Doorbells: calls of [`Port::sync_tx`].
    pub doorbells: u64,
    /// Bytes that the caller copied from buffer to buffer.
    pub copied_bytes: u64,
    /// The most frames that the receive ring held at once.
    pub rx_high: u32,
    /// Stalls begun or ended.
    pub stall_changes: u64,
}

/// A frame that the NIC gives to the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The frame, in the NIC's arena.
    pub frame: FrameId,
    /// When its last bit has left; not before now, not before the one given out before it.
    pub at: Instant,
}

/// A frame in the transmit ring, in one slot or several.
#[derive(Clone, Copy, Debug)]
struct Slot {
    buffer: u32,
    /// Bytes of the frame.
    len: u16,
    /// What follows the bytes in `buffer`.
    pieces: Pieces,
    /// What the buffers held when it was submitted: what goes on the wire, if it still does.
    submitted: FrameId,
    /// When it may be read by policy; final from the doorbell on, but for `WholeRing` and `NextTurn`.
    due: Instant,
    /// When its last bit has left, once it was read.
    left: Instant,
}

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    Caller,
    /// The caller's, and nobody's to write.
    Pinned,
    Device,
}

/// Whether the caller's doorbell is heard when it rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doorbell {
    /// At once.
    Heard,
    /// Later: the core that rings it is at that place of its turn later. What was rung so far.
    Held(Option<TxSync>),
}

/// One receive and one transmit ring with their memory, and the device behind them.
#[derive(Clone, Debug)]
pub struct SimPort {
    id: u32,
    config: NicConfig,
    now: Instant,
    draws: Draws,
    /// Of the buffers that were ever taken, as far as their highest number.
    memory: Vec<u8>,
    stride: usize,
    free: Vec<u32>,
    places: Vec<Place>,
    /// Of each buffer, its pieces in the ring. Empty where the device does not gather.
    uses: Vec<u32>,
    caller: u32,
    /// Oldest first: the first `reported` are done and shown, the first `read` were read, the
    /// first `pushed` are visible to the device. `reported <= read <= pushed <= ring.len()`.
    ring: VecDeque<Slot>,
    /// Slots that its frames take beyond one each.
    more_slots: usize,
    reported: usize,
    read: usize,
    pushed: usize,
    wire_free_at: Instant,
    /// `HalfRing` reads on until nothing waits.
    draining: bool,
    /// The caller asked for completions of frames that had not been read then: so many of the
    /// ring's first are reported as soon as they are.
    asked: usize,
    sent: VecDeque<Sent>,
    rx: VecDeque<FrameId>,
    /// How many of them the caller can see: all, but for those that came during a stall.
    rx_shown: usize,
    /// A stall has ended that kept frames from the caller.
    rx_released: bool,
    /// A stall began or ended outside of [`SimPort::advance`], which is to see what came of it.
    caught_up: bool,
    /// Where there is any stall, ever.
    stalls: Option<Box<Stalls>>,
    doorbell: Doorbell,
    frames: Frames,
    violation: Option<NicViolation>,
    stats: NicStats,
    /// What passed between the caller and this port, where somebody watches.
    passed: Option<Vec<Passed>>,
    /// Which of its host's stacks the caller is, for `passed`.
    stack: u16,
}

impl SimPort {
    /// A NIC with number `id`, which no other port of the process should have. Draws are for
    /// [`DmaPolicy::Random`] and [`NicConfig::stalls`] alone.
    pub fn new(config: NicConfig, id: u32, mut draws: Draws) -> Self {
        let caps = &config.caps;
        assert!(
            caps.tx_slots >= u32::from(caps.max_frags) * (caps.tx_hold_idle + 1),
            "a ring that an idle device holds passes nothing"
        );
        assert!(caps.buffers > 0 && config.rx_slots > 0, "a NIC has buffers and a receive ring");
        assert!(
            (1..=FRAGS_MAX).contains(&caps.max_frags),
            "a frame takes from 1 to {FRAGS_MAX} slots of this NIC"
        );
        let gathers = caps.max_frags > 1;
        let stride = usize::from(caps.frame_max).next_multiple_of(64);
        let random = config.stalls;
        let stalls = random.map(|random| Box::new(Stalls::new(Some(random), &mut draws)));
        Self {
            id,
            config,
            now: Instant::ZERO,
            draws,
            memory: Vec::new(),
            stride,
            // Buffer 0 is taken first.
            free: (0..caps.buffers).rev().collect(),
            places: vec![Place::Free; caps.buffers as usize],
            uses: vec![0; if gathers { caps.buffers as usize } else { 0 }],
            caller: 0,
            ring: VecDeque::with_capacity(caps.tx_slots as usize),
            more_slots: 0,
            reported: 0,
            read: 0,
            pushed: 0,
            wire_free_at: Instant::ZERO,
            draining: false,
            asked: 0,
            sent: VecDeque::new(),
            rx: VecDeque::with_capacity(config.rx_slots as usize),
            rx_shown: 0,
            rx_released: false,
            caught_up: false,
            stalls,
            doorbell: Doorbell::Heard,
            frames: Frames::default(),
            violation: None,
            stats: NicStats::default(),
            passed: None,
            stack: 0,
        }
    }

    /// From now on notes what segments pass between the caller, its host's stack of that number, and
    /// this port.
    pub fn watch(&mut self, stack: u16) {
        self.stack = stack;
        self.passed.get_or_insert_default();
    }

    /// Moves what passed since the last call to the end of `into`.
    #[inline]
    pub fn take_passed(&mut self, into: &mut Vec<Passed>) {
        match &mut self.passed {
            Some(passed) if into.is_empty() => std::mem::swap(passed, into),
            Some(passed) => into.append(passed),
            None => {}
        }
    }

    /// What it is like.
    pub fn config(&self) -> &NicConfig {
        &self.config
    }

    /// What it has done.
    pub fn stats(&self) -> &NicStats {
        &self.stats
    }

    /// The arena of the frames that were delivered, submitted and sent. A world with one arena for all
    /// its frames swaps it in before it uses the NIC, or gives a turn to who drives it, and out again
    /// afterwards.
    pub fn frames_mut(&mut self) -> &mut Frames {
        &mut self.frames
    }

    /// A frame came from the wire. False, and it stays the caller's, where the ring is full.
    #[inline]
    pub fn deliver(&mut self, frame: FrameId) -> bool {
        if self.rx_is_full() {
            self.stats.rx_ring_full += 1;
            return false;
        }
        if self.config.caps.checksum.rx
            && !self.frames.is_intact(frame)
            && has_bad_checksum(self.frames.get(frame))
        {
            self.stats.rx_bad_checksum += 1;
            self.frames.remove(frame);
            return true;
        }
        self.stats.rx += 1;
        self.rx.push_back(frame);
        self.stats.rx_high = self.stats.rx_high.max(self.rx.len() as u32);
        if !self.rx_is_stalled() {
            self.rx_shown = self.rx.len();
        }
        true
    }

    /// Lets the device stand still at a time of its own, from now on or later.
    pub fn plan_stall(&mut self, stall: Stall) {
        assert!(stall.at >= self.now, "a stall of the past");
        let draws = &mut self.draws;
        self.stalls.get_or_insert_with(|| Box::new(Stalls::new(None, draws))).plan(stall);
    }

    /// Lets stalls begin and end until `now`: whoever has a frame to deliver does this before.
    #[inline]
    pub fn catch_up(&mut self, now: Instant) {
        if self.stalls.is_some() {
            let before = self.stats.stall_changes;
            self.change_stalls(now);
            self.caught_up |= self.stats.stall_changes != before;
        }
    }

    /// Counts a frame that found the receive ring full and was dropped before it was delivered.
    pub fn count_overflow(&mut self) {
        self.stats.rx_ring_full += 1;
    }

    /// Whether frames that come now are not shown before a stall ends.
    #[inline]
    pub fn rx_is_stalled(&self) -> bool {
        self.stalled_until(stall::RECEIVE).is_some()
    }

    /// Whether frames became visible since the last call because a stall ended.
    #[inline]
    pub fn take_rx_released(&mut self) -> bool {
        std::mem::take(&mut self.rx_released)
    }

    /// From now on doorbells are noted, not heard, until [`SimPort::release_doorbell`]: the core
    /// computes its turn at once and spends the time for it afterwards.
    pub(crate) fn hold_doorbell(&mut self) {
        self.doorbell = Doorbell::Held(None);
    }

    /// The core has come to where it rings: what was noted is heard now.
    pub(crate) fn release_doorbell(&mut self) {
        if let Doorbell::Held(Some(how)) = std::mem::replace(&mut self.doorbell, Doorbell::Heard) {
            self.ring_doorbell(how);
        }
    }

    /// When the wire is free: shared by all rings of one interface.
    #[inline]
    pub(crate) fn wire_free_at(&self) -> Instant {
        self.wire_free_at
    }

    /// Another ring of the interface has used the wire.
    #[inline]
    pub(crate) fn share_wire(&mut self, free_at: Instant) {
        self.wire_free_at = self.wire_free_at.max(free_at);
    }

    /// Whether the receive ring would drop a frame; [`SimPort::deliver`] says so too.
    #[inline]
    pub fn rx_is_full(&self) -> bool {
        self.rx.len() >= self.config.rx_slots as usize
    }

    /// Frames in the receive ring that the caller can see.
    #[inline]
    pub fn rx_len(&self) -> usize {
        self.rx_shown
    }

    /// Lets the device work until `now`.
    #[inline]
    pub fn advance(&mut self, now: Instant) {
        debug_assert!(now >= self.now, "time went back");
        if self.stalls.is_some() {
            self.change_stalls(now);
            self.caught_up = false;
        }
        self.now = now;
        self.work();
    }

    /// When the device has something to do next, if nothing else happens.
    #[inline]
    pub fn next_event(&self) -> Option<Instant> {
        let read = (self.read < self.pushed).then(|| self.due());
        // The next report, where it waits for a frame to leave.
        let report = (self.config.completion == CompletionPolicy::AtSent && self.is_waited_for())
            .then(|| self.ring.range(self.reported..self.read).next().map(|slot| slot.left))
            .flatten()
            .filter(|left| *left > self.now);
        let next = match (read, report) {
            (Some(read), Some(report)) => Some(read.min(report)),
            (read, report) => read.or(report),
        };
        if self.stalls.is_none() { next } else { self.next_event_with_stalls(next) }
    }

    /// The end of a stall that somebody waits for, where it is earlier.
    fn next_event_with_stalls(&self, next: Option<Instant>) -> Option<Instant> {
        let shows = self.stalled_until(stall::RECEIVE).filter(|_| self.rx_shown < self.rx.len());
        let reports = self
            .stalled_until(stall::REPORT)
            .filter(|_| self.reported < self.read && self.is_waited_for());
        let taken = self.caught_up.then_some(self.now);
        [next, shows, reports, taken].into_iter().flatten().min()
    }

    /// Whether completions show that the caller has reason to come for: it asked for them, or
    /// the ring was full.
    #[inline]
    pub fn has_awaited_completions(&self) -> bool {
        self.reported > 0 && self.is_waited_for()
    }

    /// Takes the frames given to the wire since the last call, oldest first.
    #[inline]
    pub fn take_sent(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    /// What the caller did wrong first, since the last call.
    #[inline]
    pub fn take_violation(&mut self) -> Option<NicViolation> {
        self.violation.take()
    }

    #[inline]
    fn is_waited_for(&self) -> bool {
        self.asked > 0 || self.is_full()
    }

    /// Whether the ring has no room for a frame of as many parts as there may be.
    #[inline]
    fn is_full(&self) -> bool {
        let most = usize::from(self.config.caps.max_frags);
        self.ring.len() + self.more_slots + most > self.config.caps.tx_slots as usize
    }

    /// Slots of the frames in that part of the ring.
    #[inline]
    fn slots(&self, frames: std::ops::Range<usize>) -> usize {
        if self.more_slots == 0 {
            return frames.len();
        }
        self.ring.range(frames).map(|slot| 1 + slot.pieces.len()).sum()
    }

    /// When the next unread frame is read; there is one.
    #[inline]
    fn due(&self) -> Instant {
        let slot = &self.ring[self.read];
        let full = self.is_full();
        let due = match self.config.dma {
            DmaPolicy::WholeRing if full => self.wire_free_at.max(self.now),
            DmaPolicy::WholeRing | DmaPolicy::WhenWireIsFree => slot.due.max(self.wire_free_at),
            DmaPolicy::HalfRing if self.draining => self.now,
            _ => slot.due,
        };
        match self.stalled_until(stall::TRANSMIT) {
            Some(until) => due.max(until),
            None => due,
        }
    }

    /// Until when a work of the device stands still now, where it does.
    #[inline]
    fn stalled_until(&self, work: usize) -> Option<Instant> {
        self.stalls.as_ref().and_then(|stalls| stalls.until(work))
    }

    /// Lets stalls begin and end, one after the other, and the device work up to each.
    #[cold]
    fn change_stalls(&mut self, now: Instant) {
        while let Some(stalls) = &mut self.stalls
            && let Some(at) = stalls.next_change().filter(|at| *at <= now)
        {
            self.now = self.now.max(at);
            self.work();
            let Some(stalls) = &mut self.stalls else { return };
            self.stats.stall_changes += 1;
            let goes_on = stalls.change(at, &mut self.draws);
            if goes_on[stall::RECEIVE] {
                self.rx_released |= self.rx_shown < self.rx.len();
                self.rx_shown = self.rx.len();
            }
            if goes_on[stall::TRANSMIT] {
                // What was due meanwhile is due now, not then.
                for slot in self.ring.range_mut(self.read..self.pushed) {
                    slot.due = slot.due.max(at);
                }
            }
        }
    }

    /// Reads what is due and reports what is to be reported.
    #[inline]
    fn work(&mut self) {
        let half = (self.config.caps.tx_slots as usize).div_ceil(2);
        self.draining |= self.slots(self.read..self.pushed) >= half;
        while self.read < self.pushed && self.due() <= self.now {
            self.read_one();
        }
        self.draining &= self.read < self.pushed;
        self.report();
    }

    /// The modelled DMA of one frame.
    #[inline]
    fn read_one(&mut self) {
        // What was due before now was read then: its place on the wire does not depend on when
        // the model gets to it.
        let read_at = self.due().min(self.now);
        let slot = self.ring[self.read];
        let frame = slot.submitted;
        if slot.pieces.is_empty() {
            let start = slot.buffer as usize * self.stride;
            let bytes = &self.memory[start..start + usize::from(slot.len)];
            if bytes != self.frames.get(frame) {
                let (buffer, len) = (slot.buffer, slot.len);
                self.violation.get_or_insert(NicViolation::FrameChangedAfterSubmit { buffer, len });
                self.frames.get_mut(frame).copy_from_slice(bytes);
            }
        } else {
            self.read_parts(&slot);
        }
        let slot = &mut self.ring[self.read];
        self.read += 1;
        if self.config.caps.checksum.tx {
            fill_checksums(self.frames.get_mut(frame));
        }
        let on_line = u64::from(slot.len) + u64::from(self.config.overhead_bytes);
        slot.left = self.wire_free_at.max(read_at) + self.config.rate.time_of(on_line);
        self.wire_free_at = slot.left;
        self.stats.tx += 1;
        self.sent.push_back(Sent { frame, at: slot.left.max(self.now) });
    }

    /// Moves `reported` as far as the policy, the holds and the caller's demand say.
    #[inline]
    fn report(&mut self) {
        if self.stalled_until(stall::REPORT).is_some() {
            return;
        }
        let caps = &self.config.caps;
        // What an idle device holds is not shown until later frames are submitted.
        let end = self.read.min(self.ring.len().saturating_sub(caps.tx_hold_idle as usize));
        if self.reported >= end {
            return;
        }
        let held = self.slots(self.reported..end);
        let full = self.is_full();
        let by_policy = match self.config.completion {
            CompletionPolicy::AtRead => end,
            CompletionPolicy::AtSent => {
                let left = |slot: &&Slot| slot.left <= self.now;
                self.reported + self.ring.range(self.reported..end).take_while(left).count()
            }
            CompletionPolicy::HalfRing if held >= (caps.tx_slots as usize).div_ceil(2) => end,
            CompletionPolicy::WholeRing | CompletionPolicy::HalfRing if full => end,
            CompletionPolicy::WholeRing | CompletionPolicy::HalfRing => self.reported,
        };
        let by_hold = end.saturating_sub(caps.tx_hold_max as usize);
        let by_demand = self.asked.min(end);
        self.reported = by_policy.max(by_hold).max(by_demand).max(self.reported);
    }

    /// The device hears the doorbell.
    fn ring_doorbell(&mut self, how: TxSync) {
        let now = self.now;
        let latest = now + self.config.lateness_max;
        if self.config.dma == DmaPolicy::NextTurn {
            for slot in self.ring.range_mut(self.read..self.pushed) {
                slot.due = now;
            }
        }
        let mut earliest = self.pushed.checked_sub(1).map_or(now, |last| self.ring[last].due);
        for slot in self.ring.range_mut(self.pushed..) {
            slot.due = match self.config.dma {
                DmaPolicy::AtOnce | DmaPolicy::WhenWireIsFree => now,
                DmaPolicy::NextTurn | DmaPolicy::HalfRing | DmaPolicy::WholeRing => latest,
                DmaPolicy::Random => now + self.draws.duration_upto(self.config.lateness_max),
            };
            // Read in order.
            slot.due = slot.due.max(earliest);
            earliest = slot.due;
        }
        self.pushed = self.ring.len();
        if how == TxSync::PushAndReclaim {
            let no_buffer = self.tx_free() >= usize::from(self.config.caps.max_frags);
            if let Some(passed) = &mut self.passed {
                let what = Passage::Starved { no_buffer };
                passed.push(Passed { at: self.now, stack: self.stack, what });
            }
            self.stats.reclaims_asked += 1;
            self.asked = self.pushed.saturating_sub(self.config.caps.tx_hold_idle as usize);
        }
        self.work();
    }

    #[inline]
    fn range_of(&self, buf: &Buf) -> std::ops::Range<usize> {
        buf.assert_port(self.id);
        let start = buf.index() as usize * self.stride;
        start..start + usize::from(self.config.caps.frame_max)
    }

    /// A buffer is taken for the first time: a host of little traffic costs little memory.
    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.memory.resize(bytes, 0);
    }

    /// Notices a token that should not exist: the buffer is not in the caller's hands.
    #[inline]
    fn is_callers(&mut self, buffer: u32, violation: NicViolation) -> bool {
        let is = self.places[buffer as usize] == Place::Caller;
        if !is {
            self.violation.get_or_insert(violation);
        }
        is
    }
}

/// What a device does that checks received frames: a wrong checksum, nothing else, ends them.
fn has_bad_checksum(bytes: &[u8]) -> bool {
    let checked = wire::parse(bytes, true);
    matches!(checked, Err(WireError { kind: WireErrorKind::Checksum, .. }))
}

/// What a device does that completes frames: the IPv4 and TCP checksums, where there are such.
fn fill_checksums(bytes: &mut [u8]) {
    if let Ok(Some(mut frame)) = TcpFrameMut::new(bytes) {
        frame.repair_checksums();
    }
}

#[cfg(test)]
mod tests;
