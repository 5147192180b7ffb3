//! Calls a port and checks, around every call, what is true of every port at any time.
//!
//! Keeps a slow and obvious model of the port: which buffers the caller has, which the device,
//! and which frames are due on the wire.

use crate::frames::{self, POISON};
use crate::{Claim, Harness};
use simoom_core::port::{
    BATCH_MAX, Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, TxFull, TxSync, Unclaimed,
    assembled,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// Buffers in the caller's hands, but for pinned ones.
    hands: BTreeSet<u32>,
    /// Buffers that are pinned.
    pinned: BTreeMap<u32, PinnedState>,
    /// Frames that the device has, oldest first.
    device: VecDeque<Away>,
    /// Frames submitted and not yet seen on the wire.
    due: VecDeque<Due>,
    /// What `tx_free` said after the last call that may change it.
    slots: usize,
    /// Frames made so far.
    serial: u32,
}

/// What is known of a pinned buffer.
struct PinnedState {
    bytes: Vec<u8>,
    /// Frames with the device that have a piece of it; a frame with two counts twice.
    uses: usize,
}

/// A frame that the device has.
struct Away {
    /// The buffer that comes home.
    buffer: u32,
    /// Pinned buffers of which it has pieces.
    pieces: Vec<u32>,
}

/// A frame that has to leave.
struct Due {
    bytes: Vec<u8>,
    gathered: bool,
}

impl<H: Harness> Watch<H> {
    pub(crate) fn new(mut harness: H) -> Self {
        let caps = *harness.port_mut().caps();
        let slots = harness.port_mut().tx_free();
        Self {
            harness,
            caps,
            hands: BTreeSet::new(),
            pinned: BTreeMap::new(),
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
        let elsewhere = self.hands.len() + self.pinned.len() + self.device.len();
        (self.caps.buffers as usize).saturating_sub(elsewhere)
    }

    /// Parts that a frame may have: 1 where the port does not gather.
    pub(crate) fn parts_max(&self) -> usize {
        usize::from(self.caps.max_frags)
    }

    /// Slots free, as the port said last.
    pub(crate) fn slots(&self) -> usize {
        self.slots
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
            caller: (self.hands.len() + self.pinned.len()) as u32,
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
        let pinned = self.pinned.contains_key(&index);
        ensure!(!pinned, PinnedStays, "take_free gave {buf:?}, which is pinned");
        let away = self.device.iter().any(|away| away.buffer == index);
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
                self.device.push_back(Away { buffer: index, pieces: Vec::new() });
                self.due.push_back(Due { bytes: before[..len].to_vec(), gathered: false });
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

    /// Pins a buffer.
    pub(crate) fn pin(&mut self, buf: Buf) -> Checked<Pinned> {
        let index = buf.index();
        let bytes = self.port().bytes(&buf).to_vec();
        let pinned = self.port().pin(buf);
        let same = pinned.buf().index() == index;
        ensure!(same, PinKeepsTheBuffer, "{pinned:?} was made of buffer {index}");
        self.hands.remove(&index);
        self.pinned.insert(index, PinnedState { bytes, uses: 0 });
        self.settled()?;
        Ok(pinned)
    }

    /// A pinned buffer whose first bytes are those of a new frame of `len` bytes.
    pub(crate) fn pin_new(&mut self, len: usize) -> Checked<Pinned> {
        let mut buf = self.take_one()?;
        let bytes = self.new_frame(len);
        self.write(&mut buf, &bytes)?;
        self.pin(buf)
    }

    /// Unpins a buffer, or does not, as its uses demand.
    pub(crate) fn unpin(&mut self, pinned: Pinned) -> Checked<Result<Buf, Pinned>> {
        let index = pinned.buf().index();
        self.pinned_stays(&pinned)?;
        let uses = self.pinned.get(&index).map_or(0, |state| state.uses);
        match self.port().unpin(pinned) {
            Ok(buf) => {
                ensure!(uses == 0, UnpinRefusedInUse, "{buf:?} was unpinned with {uses} uses left");
                let same = buf.index() == index;
                ensure!(same, PinKeepsTheBuffer, "{buf:?} came for buffer {index}");
                self.pinned.remove(&index);
                self.hands.insert(index);
                self.settled()?;
                Ok(Ok(buf))
            }
            Err(pinned) => {
                ensure!(uses > 0, UnpinGivesUnused, "{pinned:?} is in no frame, and stays pinned");
                let same = pinned.buf().index() == index;
                ensure!(same, PinKeepsTheBuffer, "{pinned:?} came back for buffer {index}");
                self.settled()?;
                Ok(Err(pinned))
            }
        }
    }

    /// A pinned buffer has the bytes that it had.
    pub(crate) fn pinned_stays(&mut self, pinned: &Pinned) -> Checked {
        let Self { harness, pinned: all, .. } = self;
        let state = all.get(&pinned.buf().index());
        let same = state.is_some_and(|s| s.bytes == harness.port().bytes(pinned.buf()));
        ensure!(same, PinnedStays, "{pinned:?} has other bytes than when it was pinned");
        Ok(())
    }

    /// Submits a frame of a new header of `len` bytes and these pieces; the header where the ring is
    /// full.
    pub(crate) fn submit_parts(
        &mut self,
        mut header: Buf,
        len: usize,
        pieces: &[Piece<'_>],
    ) -> Checked<Option<Buf>> {
        let bytes = self.new_frame(len);
        self.write(&mut header, &bytes)?;
        let (index, slots, parts) = (header.index(), self.slots, 1 + pieces.len());
        let before = self.port().bytes(&header).to_vec();
        let bytes = assembled(self.port(), &header, len as u16, pieces);
        match self.port().submit_gather(header, len as u16, pieces) {
            Ok(()) => {
                let said = "taken with fewer slots free";
                ensure!(slots >= parts, GatherFullWhenShort, "{parts} parts, {slots} free: {said}");
                let used: Vec<_> = pieces.iter().map(|piece| piece.of.buf().index()).collect();
                for buffer in &used {
                    if let Some(state) = self.pinned.get_mut(buffer) {
                        state.uses += 1;
                    }
                }
                self.hands.remove(&index);
                self.device.push_back(Away { buffer: index, pieces: used });
                self.due.push_back(Due { bytes, gathered: true });
                self.slots -= parts;
                let (left, is) = (self.slots, self.port().tx_free());
                ensure!(is == left, OneSlotAPart, "{parts} parts: slots from {slots} to {is}");
                self.settled()?;
                Ok(None)
            }
            Err(GatherFull(back)) => {
                let short = slots < parts;
                ensure!(short, GatherFullWhenShort, "{parts} parts refused with {slots} free");
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
        let Self { harness, hands, pinned, device, .. } = self;
        let (mut kept, mut shown) = (Vec::new(), 0);
        let (mut wrong, mut wrong_header) = (None, None);
        let count = harness.port_mut().reclaim(|buf| {
            shown += 1;
            let due = device.pop_front();
            let name = due.as_ref().map(|due| due.buffer);
            if name != Some(buf.index()) {
                let said = format!("{buf:?} was reported, the oldest away is {name:?}");
                let gathered = due.as_ref().is_some_and(|due| !due.pieces.is_empty());
                if gathered || pinned.contains_key(&buf.index()) {
                    wrong_header.get_or_insert(said);
                } else {
                    wrong.get_or_insert(said);
                }
            }
            for piece in due.into_iter().flat_map(|due| due.pieces) {
                if let Some(state) = pinned.get_mut(&piece) {
                    state.uses -= 1;
                }
            }
            if keep() {
                hands.insert(buf.index());
                kept.push(buf);
                return None;
            }
            Some(buf)
        });
        ensure!(wrong_header.is_none(), HeaderComesHome, "{}", wrong_header.unwrap_or_default());
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
            let Due { bytes: due, gathered } = due;
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
            let later = self.due.iter().any(|later| later.bytes == frame);
            ensure!(!later, WireOrder, "{} was due, {} left", show(&due), show(&frame));
            let submitted = frames::serial(&frame).is_some_and(|n| Some(n) < frames::serial(&due));
            let again = submitted
                && frame == frames::numbered(frames::serial(&frame).unwrap_or(0), frame.len());
            ensure!(!again, WireOnlySubmitted, "{} left once more", show(&frame));
            let (was, is) = (show(&due), show(&frame));
            ensure!(!gathered, PiecesOnTheWire, "{was} was due in parts, {is} left");
            ensure!(false, WireBytes, "{} was due, {} left", show(&due), show(&frame));
        }
        self.settled()
    }

    /// Makes everything visible, lets the device work and demands that all has left.
    pub(crate) fn all_left(&mut self) -> Checked {
        self.sync(TxSync::Push)?;
        self.work()?;
        let due = self.due.front().map(|frame| show(&frame.bytes));
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
        let held: usize = self.device.iter().map(|away| 1 + away.pieces.len()).sum();
        let (slots, least) =
            (self.slots, (self.caps.tx_slots as usize).saturating_sub(held.max(idle)));
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
            Unclaimed::NONE
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
