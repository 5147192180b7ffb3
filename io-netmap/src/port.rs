//! The port: tokens and slots, the doorbell and the wait.
//!
//! A token stands for an extra buffer. While its frame is with the device, the slot holds the token's
//! buffer and the port keeps the one that the slot had; when it completes, they change back. Frames of
//! several slots are in [`gather`] and, received, in [`join`]; those between the NIC and the host in
//! [`host`]. Never blocks but in `advance`. Does not know which kernel it talks to; read
//! [`crate::kernel`] first.

mod bare;
mod gather;
mod host;
mod join;
mod lifetime;
mod stats;

pub use bare::BareLoop;
pub use gather::FRAGS_MAX;
pub use lifetime::{Attachment, HostAttachment, MTU_MAX, MTU_MIN, NetmapConfig};
pub use stats::NetmapStats;

use crate::clock::Clock;
use crate::error::NetmapError;
use crate::gathering::Gathering;
use crate::kernel::{Kernel, Ready, Wait};
use crate::mutants::mutant;
use crate::region::{Buffers, Index};
use crate::ring::{Descriptor, Interface, Malformed, Ring};
use crate::sys::{BUF_CHANGED, MORE_FRAGMENTS};
use host::HostRings;
use join::{Joined, Joiner};
use simoom_core::port::{
    Advance, BATCH_MAX, Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull,
    TxSync, Unclaimed,
};
use simoom_core::time::{Duration, Instant};
use std::io;

/// Ethernet II header: two addresses and a type.
const ETHERNET_LEN: u16 = 14;
/// An 802.1Q tag, which a received frame may have on top of the MTU.
const VLAN_TAG_LEN: u16 = 4;

/// A [`Port`] over one netmap ring pair.
///
/// # System calls
/// `sync_tx(Push)` makes none: the poll(2) of the next [`Advance::advance`] sends what was queued and
/// shows what came, in one call. While received frames wait, `advance` makes none either, and frames
/// queue until those are done, or until half a ring waits. `sync_tx(PushAndReclaim)` is one call more,
/// since poll(2) forces no completions. Whoever does without `advance` calls [`NetmapPort::flush`].
#[derive(Debug)]
pub struct NetmapPort<K: Kernel> {
    id: u32,
    caps: PortCaps,
    name: String,
    tx: Ring,
    rx: Ring,
    buffers: Buffers,
    interface: Interface,
    /// netmap's index of each token's buffer.
    memory: Box<[Index]>,
    /// Tokens of the free pool.
    free: Vec<u32>,
    /// What each transmit slot is for, while it is away.
    away: Box<[Away]>,
    /// The slot of the oldest frame that was not reclaimed.
    oldest: u32,
    /// The first transmit slot that is not ours, as of the last `reclaim`.
    tail: u32,
    /// The first slot that no system call has shown to the kernel.
    pushed: u32,
    /// Slots that are away and not the first of a frame of the caller's: further parts of such frames, and
    /// frames of the host's.
    more_slots: u32,
    /// Of each token, the slots that have a piece of its buffer. Empty where the port does not gather.
    uses: Box<[u32]>,
    gathering: Gathering,
    /// The way to the host's own network and back, where the port has one.
    host: Option<HostRings>,
    /// The caller ran out of slots or buffers.
    starved: bool,
    /// In the middle of a received frame of several slots, which is dropped.
    skipping: bool,
    /// Received slots up to here were looked at. Beyond the ring's head only where a frame waits there
    /// whose last slot has not come.
    rx_seen: u32,
    /// Room for a batch of frames that came in several slots.
    joined: Box<[u8]>,
    /// Receive slots that were not released yet since the port was opened. See [`Self::tell_buffers`].
    rx_untold: u32,
    /// Bytes of the longest frame that is shown.
    rx_len_max: u16,
    busy_poll: bool,
    /// Extra buffers asked for.
    asked: u32,
    given_back: bool,
    fatal: Option<NetmapError>,
    clock: Clock,
    stats: NetmapStats,
    /// Closes the binding when dropped, which is after everything was given back.
    kernel: K,
}

/// Takes its numbers by value, so that `submit` keeps them in registers.
#[cold]
#[inline(never)]
fn not_a_frame(len: u16, longest: u16) -> ! {
    panic!("a frame of {len} bytes: {ETHERNET_LEN} to {longest} can be sent")
}

/// A transmit slot that is away.
#[derive(Clone, Copy, Debug)]
struct Away {
    /// Whose buffer is in the slot, and [`gather::MORE`]; or [`host::HOST`].
    token: u32,
    /// The buffer that the slot had, and gets again.
    kept: Index,
}

impl<K: Kernel> NetmapPort<K> {
    /// What was counted so far.
    pub fn stats(&self) -> &NetmapStats {
        &self.stats
    }

    /// The port's clock: its start is the zero of every `Instant` that `advance` answers.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The port's time: what `advance` would answer now.
    pub fn now(&self) -> Instant {
        self.clock.now(&self.kernel)
    }

    /// The port's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Extra buffers that were asked for and not there when the port was opened: others have them,
    /// or a program that was killed held them. The last program that closes the memory sets it right.
    pub fn buffers_missing(&self) -> u32 {
        self.asked.saturating_sub(self.caps.buffers)
    }

    /// Whether frames of several slots can be sent, and why.
    pub fn gathering(&self) -> &Gathering {
        &self.gathering
    }

    /// Frames that the receive ring holds at most: one slot is always the kernel's.
    pub fn rx_slots(&self) -> u32 {
        self.rx.num_slots() - 1
    }

    /// Why the port is dead, if it is. `sync_tx` answers the same, and `advance` None.
    pub fn fatal(&self) -> Option<&NetmapError> {
        self.fatal.as_ref()
    }

    /// The kernel's side.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The kernel's side.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Whether what is not claimed goes to the host's own network.
    pub fn has_host_rings(&self) -> bool {
        self.host.is_some()
    }

    /// Shows the kernel everything that was queued and released, and lets it show what came: two system
    /// calls, for whoever does not call `advance`. Forces no completions.
    ///
    /// # Errors
    /// Where the port is dead.
    pub fn flush(&mut self) -> Result<(), NetmapError> {
        if let Some(error) = &self.fatal {
            return Err(error.clone());
        }
        match self.poll(Wait { timeout: Some(Duration::ZERO), output: false, host: true }) {
            Ok(Ready { failed: true, .. }) => {
                let name = self.name.clone();
                return Err(self.die(NetmapError::Gone { name }));
            }
            done => self.survive("send through", done.map(|_| ()))?,
        }
        self.stats.rx_syncs += 1;
        let done = self.kernel.rx_sync();
        self.survive("receive from", done)
    }

    /// Frames submitted and not reclaimed.
    #[inline]
    fn pending(&self) -> u32 {
        (self.stats.tx_frames - self.stats.tx_done) as u32
    }

    /// Slots of the transmit ring that were filled and not reclaimed: all but one, at most.
    #[inline]
    fn pending_slots(&self) -> u32 {
        self.pending() + self.more_slots
    }

    /// Slots that no system call has shown to the kernel.
    #[inline]
    fn unpushed(&self) -> u32 {
        self.tx.distance(self.pushed, self.tx.head())
    }

    /// Tells where the queue ends; the kernel looks at it in its next system call.
    #[inline]
    fn publish_tx(&mut self) {
        if mutant!(CursorTooFar) && self.unpushed() > 0 {
            self.tx.publish_as(self.tx.next(self.tx.head()));
        } else if mutant!(CursorShort) && self.unpushed() > 0 {
            self.tx.publish_as((self.tx.head() + self.tx.num_slots() - 1) % self.tx.num_slots());
        } else {
            self.tx.publish();
        }
    }

    /// Rings the transmit doorbell, and forces completions.
    fn ring_tx(&mut self) -> Result<(), NetmapError> {
        self.stats.tx_syncs += 1;
        self.pushed = self.tx.head();
        let done = self.kernel.tx_sync();
        self.survive("send through", done)
    }

    fn survive(&mut self, step: &'static str, done: io::Result<()>) -> Result<(), NetmapError> {
        match done {
            Ok(()) => Ok(()),
            // A signal; what was asked is done by the next call.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(self.die(NetmapError::running(step, &self.name, &e))),
        }
    }

    #[cold]
    fn die(&mut self, error: NetmapError) -> NetmapError {
        self.fatal.get_or_insert(error).clone()
    }

    #[cold]
    fn die_of(&mut self, Malformed { what, found }: Malformed) {
        let name = self.name.clone();
        self.die(NetmapError::Corrupt { name, what, found });
    }

    /// Whether received frames wait to be shown.
    #[inline]
    fn rx_waits(&mut self) -> bool {
        match self.rx.tail() {
            Ok(tail) => tail != self.rx_seen,
            Err(malformed) => {
                self.die_of(malformed);
                false
            }
        }
    }

    /// Slots that are done, and the first slot that is not ours now.
    #[inline]
    fn completed(&mut self) -> (u32, u32) {
        match self.tx.tail() {
            Ok(tail) => {
                // All slots but `ours` are the kernel's: those of our pending frames that are not done,
                // and the one at `tail`, which it keeps. What is pending beyond them is done.
                let ours = self.tx.distance(self.tx.head(), tail);
                ((self.pending_slots() + ours).saturating_sub(self.tx.num_slots()), tail)
            }
            Err(malformed) => {
                self.die_of(malformed);
                (0, self.tail)
            }
        }
    }

    /// Whether a frame is done that was not reclaimed.
    #[inline]
    fn has_completed(&mut self) -> bool {
        let done = self.completed().0;
        self.is_frame_done(done)
    }

    /// A completion is due: the oldest slot, which has the buffer of `token`, is ours again.
    #[inline(always)]
    fn take_slot(&mut self, token: u32, kept: Index) -> Buf {
        let slot = self.oldest;
        // A pipe's peer may have left another buffer than the one that was sent: what is in the slot is
        // ours, whatever it is.
        let found = if mutant!(SlotNotRefilled) {
            self.tx.read(slot).buf_idx
        } else {
            self.tx.exchange_buffer(slot, kept.get())
        };
        self.oldest = self.tx.next(slot);
        self.stats.tx_done += 1;
        if found == self.memory[token as usize].get() {
            return Buf::mint(self.id, token);
        }
        self.exchanged(token, found)
    }

    /// Says of the receive slots before `to` that their buffers changed, once for each slot. They did
    /// not; but a driver may have given the NIC no buffer for some slot (netmap's e1000 leaves one out),
    /// and would show it as the beginning of a longer frame in every round.
    #[cold]
    fn tell_buffers(&mut self, to: u32) {
        let mut slot = self.rx.head();
        while slot != to && self.rx_untold > 0 {
            let said = self.rx.read(slot);
            self.rx.fill(slot, Descriptor { flags: said.flags | BUF_CHANGED, ..said });
            self.rx_untold -= 1;
            slot = self.rx.next(slot);
        }
    }

    #[cold]
    fn exchanged(&mut self, token: u32, found: u32) -> Buf {
        if mutant!(ExchangeUnseen) {
            return Buf::mint(self.id, token);
        }
        let Some(index) = self.buffers.check(found) else {
            // Nobody knows where the buffer went: there is none to give back.
            self.memory[token as usize] = Index::NONE;
            self.die_of(Malformed { what: "the buffer in a slot", found: found.into() });
            return Buf::mint_without_bytes(self.id, token);
        };
        self.stats.tx_exchanged += 1;
        self.memory[token as usize] = index;
        Buf::mint_without_bytes(self.id, token)
    }

    /// The slot to be filled had no buffer: the ring is not what it must be. Nothing more is sent.
    #[cold]
    fn take_back(&mut self, buf: Buf, found: u32) -> Buf {
        self.tail = self.tx.head();
        self.tx.exchange_buffer(self.tail, found);
        self.die_of(Malformed { what: "the buffer in a slot", found: found.into() });
        buf
    }

    /// One poll(2), with everything published.
    fn poll(&mut self, wait: Wait) -> io::Result<Ready> {
        self.publish_tx();
        if wait.output
            && let Ok(tail) = self.tx.tail()
        {
            // What slots there are, of frames that are done or of parts of one, are too few: others are
            // waited for.
            self.tx.publish_until(self.tx.head(), tail);
        }
        self.stats.polls += 1;
        self.pushed = self.tx.head();
        if let Some(host) = &mut self.host {
            host.push();
        }
        self.kernel.poll(wait)
    }
}

impl<K: Kernel> Port for NetmapPort<K> {
    type Error = NetmapError;

    const GATHERS: bool = true;

    #[inline]
    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    #[inline]
    fn bytes(&self, buf: &Buf) -> &[u8] {
        buf.assert_port(self.id);
        self.buffers.bytes(self.memory[buf.index() as usize], self.buffers.size())
    }

    #[inline]
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        buf.assert_port(self.id);
        self.buffers.bytes_mut(self.memory[buf.index() as usize])
    }

    #[inline]
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        from.assert_port(self.id);
        to.assert_port(self.id);
        self.stats.copied_bytes += len as u64;
        let (from, to) = (self.memory[from.index() as usize], self.memory[to.index() as usize]);
        self.buffers.copy(from, to, len);
    }

    #[inline]
    fn copy_part(&mut self, from: &Buf, at: usize, into: &mut Buf, into_at: usize, len: usize) {
        from.assert_port(self.id);
        into.assert_port(self.id);
        self.stats.copied_bytes += len as u64;
        let (from, into) = (self.memory[from.index() as usize], self.memory[into.index() as usize]);
        self.buffers.copy_part((from, at), (into, into_at), len);
    }

    #[inline]
    fn prefetch(&self, buf: &Buf) {
        self.buffers.prefetch(self.memory[buf.index() as usize]);
    }

    #[inline]
    fn take_free(&mut self) -> Option<Buf> {
        self.free.pop().map(|token| Buf::mint(self.id, token))
    }

    #[inline]
    fn give_back(&mut self, buf: Buf) {
        buf.assert_port(self.id);
        debug_assert!(self.free.len() + (self.pending() as usize) < self.caps.buffers as usize);
        self.free.push(buf.index());
    }

    #[inline]
    fn free(&self) -> usize {
        self.free.len()
    }

    /// Shows frames where they lie in the ring, without a system call: what the last one brought.
    #[inline]
    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let max = max.min(BATCH_MAX);
        let tail = match self.rx.tail() {
            Ok(tail) if tail != self.rx_seen && max > 0 => tail,
            Ok(_) => return 0,
            Err(malformed) => {
                self.die_of(malformed);
                return 0;
            }
        };
        let longest = self.rx_len_max;
        let Self { rx, buffers, stats, skipping, joined, host, .. } = self;
        let mut frames = [RxFrame { bytes: &[] }; BATCH_MAX];
        let (mut count, mut bytes, mut slot, mut is_unfinished) = (0, 0, rx.head(), false);
        let mut joiner = Joiner::new(joined, longest);
        while count < max && slot != tail {
            // Read anew every time: a pipe brings other buffers.
            let Descriptor { buf_idx, len, flags } = rx.read(slot);
            slot = rx.next(slot);
            let index = buffers.check(buf_idx);
            if let Some(index) = index
                && (ETHERNET_LEN..=longest).contains(&len)
                && flags & MORE_FRAGMENTS == 0
                && !*skipping
            {
                buffers.prefetch(index);
                frames[count] = RxFrame { bytes: buffers.bytes(index, len.into()) };
                count += 1;
                bytes += u64::from(len);
            } else if *skipping {
                *skipping = flags & MORE_FRAGMENTS != 0;
            } else if flags & MORE_FRAGMENTS != 0 {
                match joiner.join((rx, buffers), stats, slot, tail) {
                    Joined::Shown(whole, next) => {
                        frames[count] = RxFrame { bytes: whole };
                        (count, bytes, slot) = (count + 1, bytes + whole.len() as u64, next);
                    }
                    Joined::Runt(next) => slot = next,
                    Joined::Unfinished(first) => {
                        (slot, is_unfinished) = (first, true);
                        break;
                    }
                    Joined::Dropped => *skipping = true,
                }
            } else if index.is_none() || usize::from(len) > buffers.size() {
                stats.rx_bad_slot += 1;
            } else {
                stats.rx_runt += u64::from(len < ETHERNET_LEN);
                stats.rx_oversize += u64::from(len >= ETHERNET_LEN);
            }
        }
        if mutant!(EarlyRelease) {
            rx.release_to(slot, slot);
            let _ = self.kernel.rx_sync();
        }
        stats.rx_frames += count as u64;
        stats.rx_bytes += bytes;
        if count > 0 {
            let unclaimed = on_batch(&frames[..count]);
            if !unclaimed.is_empty()
                && let Some(host) = host
                && let Err(malformed) =
                    host.take_unclaimed(unclaimed, &frames[..count], (rx, slot), buffers, stats)
            {
                self.die_of(malformed);
            }
        }
        if self.rx_untold > 0 {
            self.tell_buffers(slot);
        }
        self.rx_seen = if is_unfinished { tail } else { slot };
        self.rx.release_to(slot, self.rx_seen);
        count
    }

    #[inline]
    fn tx_free(&self) -> usize {
        self.tx.distance(self.tx.head(), self.tail) as usize
    }

    #[inline(always)]
    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        buf.assert_port(self.id);
        let longest = self.caps.frame_max;
        if !(ETHERNET_LEN..=longest).contains(&len) {
            not_a_frame(len, longest);
        }
        let slot = self.tx.head();
        if slot == self.tail {
            self.stats.tx_ring_full += 1;
            return Err(TxFull(buf));
        }
        let token = buf.index();
        let buf_idx = self.memory[token as usize].get();
        let flags = if mutant!(BufChangedMissing) { 0 } else { BUF_CHANGED };
        let before = self.tx.fill(slot, Descriptor { buf_idx, len, flags });
        let Some(kept) = self.buffers.check(before) else {
            return Err(TxFull(self.take_back(buf, before)));
        };
        self.away[slot as usize] = Away { token, kept };
        self.tx.step();
        self.stats.tx_frames += 1;
        Ok(())
    }

    #[inline]
    fn pin(&mut self, buf: Buf) -> Pinned {
        self.pin_buffer(buf)
    }

    #[inline]
    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        self.unpin_unused(pinned)
    }

    #[inline]
    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        self.submit_parts(header, header_len, pieces)
    }

    #[inline]
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let (mut done, mut tail) = self.completed();
        if mutant!(EarlyReclaim) {
            done = (done + 1).min(self.pending_slots() - self.unpushed());
        }
        if self.more_slots > 0 {
            (done, tail) = self.reclaim_by_frame(done, tail, &mut on_done);
        } else {
            for _ in 0..done {
                let Away { token, kept } = self.away[self.oldest as usize];
                let buf = self.take_slot(token, kept);
                if let Some(buf) = on_done(buf) {
                    self.give_back(buf);
                }
            }
        }
        self.tail = tail;
        if self.host.is_some() {
            self.forward_from_host();
        }
        self.stats.tx_done_most = self.stats.tx_done_most.max(done);
        done as usize
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), NetmapError> {
        if let Some(error) = &self.fatal {
            return Err(error.clone());
        }
        self.starved = how == TxSync::PushAndReclaim;
        let push = self.unpushed() >= self.tx.num_slots() / 2;
        let reclaim = self.starved && !mutant!(ReclaimNotForced);
        if push || reclaim {
            self.publish_tx();
            return self.ring_tx();
        }
        Ok(())
    }

    fn census(&self) -> Census {
        let (free, device) = (self.free.len() as u32, self.pending());
        Census { free, caller: self.caps.buffers - free - device, device }
    }
}

impl<K: Kernel> Advance for NetmapPort<K> {
    /// Sends what was queued and waits, in poll(2); no system call at all where received frames wait.
    /// None once the stop descriptor can be read or the port is dead ([`NetmapPort::fatal`]).
    fn advance(&mut self, wake_at: Option<Instant>) -> Option<Instant> {
        loop {
            let busy = self.rx_waits();
            // What the host sent goes on in the next `reclaim`, if there is room for it.
            let (host_waits, host_served) = self.host_state();
            if self.fatal.is_some() {
                return None;
            }
            let now = self.clock.now(&self.kernel);
            if busy && !self.host.as_ref().is_some_and(HostRings::presses) {
                self.stats.busy += 1;
                return Some(now);
            }
            let due = wake_at.is_some_and(|at| at <= now);
            // What the caller ran out of is here: it is not to wait, but frames come first.
            let served = self.starved && self.has_completed();
            let timeout = if busy || due || served || host_served || self.busy_poll {
                Some(Duration::ZERO)
            } else {
                wake_at.map(|at| at - now)
            };
            let wanted = if self.starved { usize::from(self.caps.max_frags) } else { 1 };
            let output = (self.starved || host_waits) && self.tx_free() < wanted;
            // Frames that are not taken would end every wait at once.
            let host = !host_waits || timeout == Some(Duration::ZERO);
            match self.poll(Wait { timeout, output, host }) {
                Ok(Ready { failed: true, .. }) => {
                    let name = self.name.clone();
                    self.die(NetmapError::Gone { name });
                    return None;
                }
                Ok(Ready { ended: true, .. }) => return None,
                Ok(_) => {}
                // The stop descriptor may have become readable.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.die(NetmapError::running("wait for", &self.name, &e));
                    return None;
                }
            }
            let now = self.clock.now(&self.kernel);
            let served = served || self.starved && self.has_completed();
            let served = served || host_served || self.host_state().1;
            if due || served || wake_at.is_some_and(|at| at <= now) || self.rx_waits() {
                return Some(now);
            }
        }
    }
}
