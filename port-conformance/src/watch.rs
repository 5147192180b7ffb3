//! Calls a port and checks, around every call, what is true of every port at any time.
//!
//! Keeps a slow and obvious model of the port: which buffers the caller has, which the device,
//! and which frames are due on the wire.

use crate::frames::{self, POISON};
use crate::{Claim, Harness};
use simoom_core::port::{BATCH_MAX, Buf, Census, Port, PortCaps, TxFull, TxSync};
use std::collections::{BTreeSet, VecDeque};

/// A claim that did not hold, and how.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) claim: Claim,
    pub(crate) detail: String,
}

pub(crate) type Checked<T = ()> = Result<T, Broken>;

/// Answers `Broken` with this claim unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $claim:ident, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::watch::Broken {
                claim: $crate::Claim::$claim,
                detail: format!($($detail)+),
            });
        }
    };
}
pub(crate) use ensure;

/// A harness and the model of its port.
pub(crate) struct Watch<H> {
    harness: H,
    pub(crate) caps: PortCaps,
    /// Buffers in the caller's hands.
    hands: BTreeSet<u32>,
    /// Buffers that the device has, oldest first.
    device: VecDeque<u32>,
    /// Frames submitted and not yet seen on the wire.
    due: VecDeque<Vec<u8>>,
    /// What `tx_free` said after the last call that may change it.
    slots: usize,
    /// Frames made so far.
    serial: u32,
}

impl<H: Harness> Watch<H> {
    pub(crate) fn new(mut harness: H) -> Self {
        let caps = *harness.port_mut().caps();
        let slots = harness.port_mut().tx_free();
        Self {
            harness,
            caps,
            hands: BTreeSet::new(),
            device: VecDeque::new(),
            due: VecDeque::new(),
            slots,
            serial: 0,
        }
    }

    pub(crate) fn port(&mut self) -> &mut H::Port {
        self.harness.port_mut()
    }

    pub(crate) fn rx_room(&self) -> usize {
        self.harness.rx_room().clamp(1, 2 * BATCH_MAX)
    }

    /// Buffers that the device has.
    pub(crate) fn away(&self) -> usize {
        self.device.len()
    }

    /// Buffers that the pool must have.
    pub(crate) fn pooled(&self) -> usize {
        (self.caps.buffers as usize).saturating_sub(self.hands.len() + self.device.len())
    }

    /// The next frame, of `len` bytes, unlike every other.
    pub(crate) fn new_frame(&mut self, len: usize) -> Vec<u8> {
        self.serial += 1;
        frames::numbered(self.serial, len)
    }

    /// What holds after every call.
    pub(crate) fn settled(&mut self) -> Checked {
        let expected = Census {
            free: self.pooled() as u32,
            caller: self.hands.len() as u32,
            device: self.device.len() as u32,
        };
        let (caps, slots, due_slots) = (self.caps, self.slots, self.port().tx_free());
        let (census, free) = (self.port().census(), self.port().free());
        ensure!(*self.port().caps() == caps, CapsConstant, "{:?} became another", caps);
        ensure!(census == expected, CensusRight, "{census:?}, where {expected:?} is right");
        ensure!(free == census.free as usize, CensusRight, "free() is {free}, {census:?}");
        ensure!(due_slots == slots, OneSlotAFrame, "slots went from {slots} to {due_slots}");
        let most = caps.tx_slots as usize;
        ensure!(slots <= most, SlotsBounded, "{slots} slots free in a ring of {most}");
        Ok(())
    }

    pub(crate) fn take(&mut self) -> Checked<Option<Buf>> {
        let pooled = self.pooled();
        let taken = self.port().take_free();
        let Some(buf) = taken else {
            ensure!(pooled == 0, PoolEmpties, "take_free gave nothing, {pooled} are free");
            self.settled()?;
            return Ok(None);
        };
        let index = buf.index();
        let known = index < self.caps.buffers;
        ensure!(known, TokensDistinct, "{buf:?} of {} buffers", self.caps.buffers);
        let away = self.device.contains(&index);
        ensure!(!away, AwayIsAway, "take_free gave {buf:?}, which the device has");
        ensure!(self.hands.insert(index), TokensDistinct, "take_free gave {buf:?} twice");
        ensure!(pooled > 0, PoolEmpties, "take_free gave {buf:?} out of an empty pool");
        self.settled()?;
        Ok(Some(buf))
    }

    /// Takes a buffer of a pool that must have one.
    pub(crate) fn take_one(&mut self) -> Checked<Buf> {
        let taken = self.take()?;
        let caps = self.caps;
        taken.ok_or_else(|| Broken {
            claim: Claim::CapsPlausible,
            detail: format!("a check found no buffer free: {caps:?}"),
        })
    }

    pub(crate) fn give_back(&mut self, buf: Buf) -> Checked {
        self.hands.remove(&buf.index());
        self.port().give_back(buf);
        self.settled()
    }

    pub(crate) fn give_all_back(&mut self, bufs: impl IntoIterator<Item = Buf>) -> Checked {
        bufs.into_iter().try_for_each(|buf| self.give_back(buf))
    }

    /// Writes a frame to the front of a buffer.
    pub(crate) fn write(&mut self, buf: &mut Buf, frame: &[u8]) -> Checked {
        let buffer = self.port().bytes_mut(buf);
        let (len, have) = (frame.len(), buffer.len());
        ensure!(have >= len, BufferHoldsAFrame, "{have} bytes, a frame has {len}");
        buffer[..len].copy_from_slice(frame);
        Ok(())
    }

    /// Submits a new frame of `len` bytes in this buffer; the buffer where the ring is full.
    pub(crate) fn submit_new(&mut self, mut buf: Buf, len: usize) -> Checked<Option<Buf>> {
        let frame = self.new_frame(len);
        self.write(&mut buf, &frame)?;
        self.submit(buf, len)
    }

    /// Submits the first `len` bytes of a buffer; the buffer where the ring is full.
    pub(crate) fn submit(&mut self, buf: Buf, len: usize) -> Checked<Option<Buf>> {
        let (index, slots) = (buf.index(), self.slots);
        let before = self.port().bytes(&buf).to_vec();
        match self.port().submit(buf, len as u16) {
            Ok(()) => {
                ensure!(slots > 0, TxFullAtZero, "a frame was taken with no slot free");
                self.hands.remove(&index);
                self.device.push_back(index);
                self.due.push_back(before[..len].to_vec());
                self.slots -= 1;
                self.settled()?;
                Ok(None)
            }
            Err(TxFull(back)) => {
                ensure!(slots == 0, TxFullAtZero, "refused with {slots} slots free");
                let same = back.index() == index;
                ensure!(same, TxFullGivesBack, "{back:?} came back for buffer {index}");
                let same = self.port().bytes(&back) == before;
                ensure!(same, TxFullGivesBack, "{back:?} came back with other bytes");
                self.settled()?;
                Ok(Some(back))
            }
        }
    }

    pub(crate) fn sync(&mut self, how: TxSync) -> Checked {
        if let Err(error) = self.port().sync_tx(how) {
            ensure!(false, SyncSucceeds, "{how:?}: {error:?}");
        }
        self.slots = self.port().tx_free();
        self.settled()
    }

    /// Reclaims. `keep` says, completion by completion, whether the caller keeps the buffer (they
    /// are answered, full of poison) or the pool gets it.
    pub(crate) fn reclaim(&mut self, mut keep: impl FnMut() -> bool) -> Checked<Vec<Buf>> {
        let Self { harness, hands, device, .. } = self;
        let (mut kept, mut shown) = (Vec::new(), 0);
        let mut wrong = None;
        let count = harness.port_mut().reclaim(|buf| {
            shown += 1;
            let due = device.pop_front();
            if due != Some(buf.index()) && wrong.is_none() {
                wrong = Some(format!("{buf:?} was reported, the oldest away is {due:?}"));
            }
            if keep() {
                hands.insert(buf.index());
                kept.push(buf);
                return None;
            }
            Some(buf)
        });
        ensure!(wrong.is_none(), ReclaimOrder, "{}", wrong.unwrap_or_default());
        ensure!(count == shown, ReclaimCounts, "{shown} shown, {count} answered");
        for buf in &mut kept {
            self.port().bytes_mut(buf).fill(POISON);
        }
        self.slots = self.port().tx_free();
        self.settled()?;
        Ok(kept)
    }

    /// Reclaims all that shows, giving the pool `spare` instead of the first buffer reclaimed; the
    /// buffer that the caller has in the end.
    pub(crate) fn reclaim_exchanging(&mut self, spare: Buf) -> Checked<Buf> {
        let (before, given) = (self.away(), spare.index());
        let mut hand = Some(spare);
        let device = &mut self.device;
        self.harness.port_mut().reclaim(|done| {
            device.pop_front();
            if hand.as_ref().is_some_and(|buf| buf.index() == given) {
                return hand.replace(done);
            }
            Some(done)
        });
        let Some(hand) = hand else { unreachable!("one buffer goes for each that comes") };
        self.hands.remove(&given);
        self.hands.insert(hand.index());
        self.slots = self.port().tx_free();
        ensure!(before > self.away(), ComesHome, "nothing of {before} buffers came home");
        self.settled()?;
        Ok(hand)
    }

    /// Reclaims everything that shows into the pool; how many.
    pub(crate) fn reclaim_to_pool(&mut self) -> Checked<usize> {
        let before = self.away();
        self.reclaim(|| false)?;
        Ok(before - self.away())
    }

    /// Takes every buffer of the pool but `left`.
    pub(crate) fn take_all_but(&mut self, left: usize) -> Checked<Vec<Buf>> {
        let mut taken = Vec::new();
        while self.pooled() > left {
            taken.push(self.take_one()?);
        }
        Ok(taken)
    }

    /// Lets the device work and looks at the wire.
    pub(crate) fn work(&mut self) -> Checked {
        self.harness.let_device_work();
        let (before, slots) = (self.slots, self.port().tx_free());
        ensure!(slots >= before, OneSlotAFrame, "the device took slots: {before} to {slots}");
        self.slots = slots;
        self.look_at_wire()
    }

    /// Compares what left with what is due.
    pub(crate) fn look_at_wire(&mut self) -> Checked {
        for frame in self.harness.wire() {
            let Some(due) = self.due.pop_front() else {
                ensure!(false, WireOnlySubmitted, "nothing was due, {} left", show(&frame));
                continue;
            };
            if frame == due {
                continue;
            }
            let poisoned =
                frame.get(14..).is_some_and(|rest| rest.windows(2).any(|pair| pair == [POISON; 2]))
                    || frame.iter().all(|&byte| byte == POISON);
            ensure!(
                !poisoned,
                ReadBeforeReported,
                "{} left with what was written after its completion",
                show(&due)
            );
            let later = self.due.contains(&frame);
            ensure!(!later, WireOrder, "{} was due, {} left", show(&due), show(&frame));
            let submitted = frames::serial(&frame).is_some_and(|n| Some(n) < frames::serial(&due));
            let again = submitted
                && frame == frames::numbered(frames::serial(&frame).unwrap_or(0), frame.len());
            ensure!(!again, WireOnlySubmitted, "{} left once more", show(&frame));
            ensure!(false, WireBytes, "{} was due, {} left", show(&due), show(&frame));
        }
        self.settled()
    }

    /// Makes everything visible, lets the device work and demands that all has left.
    pub(crate) fn all_left(&mut self) -> Checked {
        self.sync(TxSync::Push)?;
        self.work()?;
        let due = self.due.front().map(|frame| show(frame));
        ensure!(due.is_none(), WireComplete, "{} did not leave", due.unwrap_or_default());
        Ok(())
    }

    /// Makes everything visible and reclaims until no more than `tx_hold_idle` buffers are away.
    pub(crate) fn all_home(&mut self) -> Checked {
        let idle = self.caps.tx_hold_idle as usize;
        self.all_left()?;
        for _ in 0..ROUNDS_MAX {
            self.sync(TxSync::PushAndReclaim)?;
            self.work()?;
            self.reclaim_to_pool()?;
            if self.away() <= idle {
                break;
            }
        }
        let away = self.away();
        ensure!(away <= idle, ComesHome, "{away} stay with an idle device, {idle} may");
        let (slots, least) = (self.slots, (self.caps.tx_slots as usize).saturating_sub(idle));
        ensure!(slots >= least, ComesHome, "{slots} slots of an idle ring are free, not {least}");
        Ok(())
    }

    pub(crate) fn inject(&mut self, frames: &[Vec<u8>]) -> Checked {
        let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
        self.harness.inject(&frames);
        self.work()
    }

    /// Receives, and answers the suite's own frames.
    pub(crate) fn receive(&mut self, max: usize) -> Checked<Vec<Vec<u8>>> {
        let (mut calls, mut shown, mut ours) = (0, 0, Vec::new());
        let count = self.port().receive(max, |batch| {
            calls += 1;
            shown += batch.len();
            ours.extend(batch.iter().map(|f| f.bytes.to_vec()).filter(|f| frames::is_ours(f)));
        });
        let most = max.min(BATCH_MAX);
        ensure!(shown <= most, ReceiveBounded, "{shown} frames shown, {most} asked for");
        let due = usize::from(shown > 0);
        ensure!(calls == due, ReceiveOneCall, "{calls} calls for {shown} frames");
        ensure!(count == shown, ReceiveCounts, "{shown} shown, {count} answered");
        self.settled()?;
        Ok(ours)
    }

    /// Receives until these frames, and no other of the suite's, have come; `max` a call.
    pub(crate) fn receive_all(&mut self, due: &[Vec<u8>], max: usize) -> Checked {
        let mut came = Vec::new();
        for _ in 0..due.len() + ROUNDS_MAX {
            came.extend(self.receive(max)?);
        }
        Self::compare_received(&came, due)
    }

    /// Receives these frames, and no more, while others may wait.
    pub(crate) fn receive_exactly(&mut self, due: &[Vec<u8>]) -> Checked {
        let mut came = Vec::new();
        for _ in 0..due.len() + ROUNDS_MAX {
            came.extend(self.receive(due.len() - came.len())?);
        }
        Self::compare_received(&came, due)
    }

    fn compare_received(came: &[Vec<u8>], due: &[Vec<u8>]) -> Checked {
        let wrong = came.iter().zip(due).find(|(came, due)| came != due);
        if let Some((came, due)) = wrong {
            ensure!(false, ReceiveFaithful, "{} came where {} was due", show(came), show(due));
        }
        let (came, due) = (came.len(), due.len());
        ensure!(came <= due, ReceiveFaithful, "{due} frames were sent, {came} came");
        ensure!(came >= due, ReceiveReleases, "{due} frames were sent, {came} came");
        Ok(())
    }
}

/// Rounds of doorbell, work and reclaim that a device may need to bring everything home.
pub(crate) const ROUNDS_MAX: usize = 8;

/// A frame, for people.
fn show(frame: &[u8]) -> String {
    let number = frames::serial(frame).map_or_else(String::new, |n| format!(" number {n}"));
    let start: Vec<_> = frame.iter().skip(14).take(12).map(|b| format!("{b:02x}")).collect();
    format!("a frame{number} of {} bytes ({})", frame.len(), start.concat())
}
