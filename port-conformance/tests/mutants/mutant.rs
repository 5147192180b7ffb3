//! A port with one fault. It wraps a late-reading [`VecPort`], keeps the pool itself, and is right
//! in every respect but one.

use simoom_core::port::{
    Buf, Census, ChecksumOffload, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull,
    TxSync, Unclaimed,
};
use simoom_port_conformance::Harness;
use simoom_port_conformance::vec_port::{RX_SLOTS, ReadAt, VecPort};
use std::collections::{BTreeMap, VecDeque};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    PoolStartsShort,
    TokenTwice,
    TokenBeyond,
    HandsOutAway,
    HidesLast,
    LosesGivenBack,
    LosesCompletion,
    SwallowsTxFull,
    CensusOff,
    FreeOff,
    LosesReturned,
    PoolsKept,
    PoolsShownNotReturned,
    CapsDrift,
    NoSlots,
    ShortBuffers,
    BuffersOverlap,
    CopiesTooMuch,
    CopiesTooLittle,
    TwoSlotsAFrame,
    SlotTooMany,
    RefusesEarly,
    RefusesWithAnother,
    RefusesWithOtherBytes,
    SyncFails,
    SwapsFrames,
    AltersAfterSubmit,
    CutsFrames,
    PadsFrames,
    SendsTwice,
    LosesFrames,
    ReportsBeforeReading,
    ReportsReversed,
    ReportsTwice,
    MiscountsCompletions,
    HoldsLonger,
    IdleKeepsMore,
    IgnoresPushAndReclaim,
    NewestFirst,
    ReceivesShort,
    ReceivesTwice,
    ReceivesAltered,
    IgnoresMax,
    BigBatch,
    CallsTwice,
    CallsForNothing,
    MiscountsFrames,
    LeaksRx,
    UnpinsInUse,
    UnpinsAnother,
    PinsAnother,
    HandsOutPinned,
    WritesPinned,
    CountsDownTwice,
    NeverCountsDown,
    ReportsHeaderEarly,
    ReportsPayload,
    TakesWrongPiece,
    TakesWrongPayload,
    ExchangesPieces,
    CutsLastPiece,
    OneSlotForAll,
    RefusesPartsEarly,
    SwallowsGatherFull,
    RefusesWithAnotherHeader,
}

const ID: u32 = 7;
const BUFFERS: u32 = 40;
const SLOTS: u32 = 16;

const CAPS: PortCaps = PortCaps {
    frame_max: 1514,
    buffers: BUFFERS,
    tx_slots: SLOTS,
    tx_hold_max: 5,
    tx_hold_idle: 1,
    max_frags: 3,
    checksum: ChecksumOffload { tx: false, rx: false },
};

pub(crate) struct Mutant {
    fault: Fault,
    caps: PortCaps,
    device: VecPort,
    pool: Vec<Buf>,
    /// Submitted and not reported, oldest first.
    away: VecDeque<u32>,
    /// The same, as far as the wrapped port has not reported them.
    beneath: VecDeque<u32>,
    /// Of frames that were not reported, by header: the payloads that they have pieces of.
    pieces: BTreeMap<u32, Vec<u32>>,
    /// Uses of payloads.
    uses: BTreeMap<u32, usize>,
    /// Frames that came and were not shown.
    inbox: VecDeque<Vec<u8>>,
    /// Receive slots that are never free again.
    leaked: usize,
    /// Calls of what the fault is about, so that it strikes now and then.
    calls: usize,
}

impl Mutant {
    pub(crate) fn new(fault: Fault) -> Self {
        let mut beneath = CAPS;
        match fault {
            Fault::HoldsLonger => beneath.tx_hold_max = CAPS.tx_hold_max + 1,
            Fault::IdleKeepsMore => beneath.tx_hold_idle = CAPS.tx_hold_idle + 1,
            _ => {}
        }
        let mut device = VecPort::new(beneath, ReadAt::Work, ID);
        let mut pool: Vec<_> = std::iter::from_fn(|| device.take_free()).collect();
        let mut caps = CAPS;
        match fault {
            Fault::PoolStartsShort => drop(pool.pop()),
            Fault::NoSlots => caps.tx_slots = 0,
            _ => {}
        }
        Self {
            fault,
            caps,
            device,
            pool,
            away: VecDeque::new(),
            beneath: VecDeque::new(),
            pieces: BTreeMap::new(),
            uses: BTreeMap::new(),
            inbox: VecDeque::new(),
            leaked: 0,
            calls: 0,
        }
    }

    /// Whether the port's fault is this one, and it is the time for it: every `period`th call.
    fn strikes(&mut self, fault: Fault, period: usize) -> bool {
        self.calls += usize::from(self.fault == fault);
        self.fault == fault && self.calls.is_multiple_of(period)
    }

    /// The buffer whose memory a token names.
    fn place(&self, buf: &Buf) -> Buf {
        let overlap = self.fault == Fault::BuffersOverlap;
        Buf::mint(ID, if overlap { buf.index() & !1 } else { buf.index() % BUFFERS })
    }

    fn arrive(&mut self, frame: &[u8]) {
        if self.inbox.len() + self.leaked >= RX_SLOTS {
            return;
        }
        self.inbox.push_back(frame.to_vec());
        self.leaked += usize::from(self.strikes(Fault::LeaksRx, 16));
    }

    fn work(&mut self) {
        if self.fault == Fault::AltersAfterSubmit {
            // Not yet read: the last one queued.
            if let Some(&index) = self.beneath.back() {
                self.device.bytes_mut(&mut Buf::mint(ID, index))[20] ^= 0x40;
            }
        }
        self.device.work();
    }

    fn take_wire(&mut self) -> Vec<Vec<u8>> {
        let mut wire = self.device.take_wire();
        if !wire.is_empty() {
            if self.strikes(Fault::SendsTwice, 3) {
                wire.push(wire[wire.len() - 1].clone());
            }
            if self.strikes(Fault::LosesFrames, 3) {
                wire.pop();
            }
        }
        if self.fault == Fault::SwapsFrames {
            wire.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        wire
    }
}

impl Port for Mutant {
    type Error = &'static str;

    const GATHERS: bool = true;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        let bytes = self.device.bytes(&self.place(buf));
        if self.fault == Fault::ShortBuffers { &bytes[..1513] } else { bytes }
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        let mut place = self.place(buf);
        let short = self.fault == Fault::ShortBuffers;
        let bytes = self.device.bytes_mut(&mut place);
        if short { &mut bytes[..1513] } else { bytes }
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        let len = match self.fault {
            Fault::CopiesTooMuch if len < 1514 => len + 1,
            Fault::CopiesTooLittle if len > 0 => len - 1,
            _ => len,
        };
        let (from, mut to) = (self.place(from), self.place(to));
        self.device.copy(&from, &mut to, len);
    }

    fn take_free(&mut self) -> Option<Buf> {
        if self.strikes(Fault::TokenTwice, 5)
            && let [.., below, _] = &self.pool[..]
        {
            // The next one in the pool, which stays there; another one is lost for it.
            let twice = Buf::mint(ID, below.index());
            self.pool.pop();
            return Some(twice);
        }
        if self.strikes(Fault::TokenBeyond, 5) {
            self.pool.pop();
            return Some(Buf::mint(ID, BUFFERS));
        }
        if self.fault == Fault::HandsOutAway && self.pool.is_empty() {
            return self.away.front().map(|&index| Buf::mint(ID, index));
        }
        if self.fault == Fault::HandsOutPinned
            && self.pool.is_empty()
            && let Some((&index, _)) = self.uses.iter().next()
        {
            return Some(Buf::mint(ID, index));
        }
        if self.fault == Fault::HidesLast && self.pool.len() == 1 {
            return None;
        }
        self.pool.pop()
    }

    fn give_back(&mut self, buf: Buf) {
        if !self.strikes(Fault::LosesGivenBack, 9) {
            self.pool.push(buf);
        }
    }

    fn free(&self) -> usize {
        self.pool.len() + usize::from(self.fault == Fault::FreeOff)
    }

    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let most = match self.fault {
            Fault::IgnoresMax => 32,
            Fault::BigBatch => max,
            _ => max.min(32),
        };
        let count = most.min(self.inbox.len());
        let mut came: Vec<_> = self.inbox.drain(..count).collect();
        if self.fault == Fault::NewestFirst {
            came.reverse();
        }
        if let Some(last) = came.last_mut() {
            if self.fault == Fault::ReceivesShort && last.len() > 1024 {
                last.truncate(1024);
            }
            if self.fault == Fault::ReceivesAltered {
                *last.last_mut().expect("a header at least") ^= 1;
            }
        }
        if count == 0 {
            if self.fault == Fault::CallsForNothing {
                on_batch(&[]);
            }
            return 0;
        }
        if self.strikes(Fault::ReceivesTwice, 4) {
            self.inbox.push_front(came[came.len() - 1].clone());
        }
        let frames: Vec<_> = came.iter().map(|bytes| RxFrame { bytes }).collect();
        if self.fault == Fault::CallsTwice && count > 1 {
            on_batch(&frames[..1]);
            on_batch(&frames[1..]);
        } else {
            on_batch(&frames);
        }
        count + usize::from(self.strikes(Fault::MiscountsFrames, 3))
    }

    fn tx_free(&self) -> usize {
        let free = self.device.tx_free();
        match self.fault {
            Fault::TwoSlotsAFrame => free.saturating_sub(self.beneath.len()),
            Fault::SlotTooMany => free + 1,
            Fault::OneSlotForAll => CAPS.tx_slots as usize - self.beneath.len(),
            _ => free,
        }
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        let refuses = self.fault == Fault::RefusesEarly && self.device.tx_free() == 1;
        if refuses || self.device.tx_free() == 0 {
            return self.refuse(buf);
        }
        let (index, mut len) = (buf.index(), len);
        if self.fault == Fault::CutsFrames {
            len = len.min(1024);
        }
        if self.fault == Fault::PadsFrames {
            len = len.max(60);
        }
        self.away.push_back(index);
        self.beneath.push_back(index);
        self.caps.tx_hold_max += u32::from(self.strikes(Fault::CapsDrift, 3));
        self.device.submit(buf, len)
    }

    fn pin(&mut self, buf: Buf) -> Pinned {
        self.uses.insert(buf.index(), 0);
        if self.fault == Fault::PinsAnother {
            return Pinned::mint(Buf::mint(ID, (buf.index() + 1) % BUFFERS));
        }
        self.device.pin(buf)
    }

    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        let index = pinned.buf().index();
        let in_use = self.uses.get(&index).is_some_and(|uses| *uses > 0);
        if in_use && self.fault != Fault::UnpinsInUse {
            return Err(pinned);
        }
        self.uses.remove(&index);
        if self.fault == Fault::UnpinsAnother {
            return Ok(Buf::mint(ID, (index + 1) % BUFFERS));
        }
        Ok(pinned.into_buf())
    }

    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        let free = self.device.tx_free();
        let refuses = self.fault == Fault::RefusesPartsEarly && free == 1 + pieces.len();
        if refuses || free < 1 + pieces.len() {
            if self.fault == Fault::SwallowsGatherFull {
                return Ok(());
            }
            if self.fault == Fault::RefusesWithAnotherHeader
                && let Some(other) = self.pool.pop()
            {
                self.pool.push(header);
                return Err(GatherFull(other));
            }
            return Err(GatherFull(header));
        }
        let (index, used) = (header.index(), pieces.iter().map(|piece| piece.of.buf().index()));
        let used: Vec<_> = used.collect();
        used.iter().for_each(|payload| *self.uses.entry(*payload).or_default() += 1);
        self.away.push_back(index);
        self.beneath.push_back(index);
        self.pieces.insert(index, used.clone());
        let mut pieces = pieces.to_vec();
        let other = Pinned::mint(Buf::mint(ID, (used[0] + 1) % BUFFERS));
        match self.fault {
            Fault::TakesWrongPiece if pieces[0].at > 0 => pieces[0].at -= 1,
            Fault::TakesWrongPayload => pieces[0].of = &other,
            Fault::ExchangesPieces => pieces.reverse(),
            Fault::CutsLastPiece if pieces[pieces.len() - 1].len > 1 => {
                pieces.last_mut().expect("there is one").len -= 1;
            }
            _ => {}
        }
        self.device.submit_gather(header, header_len, &pieces)?;
        if self.strikes(Fault::WritesPinned, 2) {
            self.device.bytes_mut(&mut Buf::mint(ID, used[0]))[0] ^= 1;
        }
        Ok(())
    }

    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let mut done = VecDeque::new();
        let beneath = &mut self.beneath;
        self.device.reclaim(|buf| {
            beneath.pop_front();
            done.push_back(buf.index());
            None
        });
        if self.fault == Fault::ReportsBeforeReading {
            done = self.away.clone();
        }
        if self.fault == Fault::ReportsHeaderEarly {
            let is_shared = |index: &u32| self.pieces.contains_key(index);
            if self.away.iter().all(is_shared) {
                done = self.away.clone();
            }
        }
        if self.fault == Fault::ReportsReversed {
            done.make_contiguous().reverse();
        }
        if !done.is_empty() && self.strikes(Fault::LosesCompletion, 4) {
            done.pop_front();
        }
        let mut count = done.len();
        for index in done {
            self.away.retain(|&away| away != index);
            let again = self.strikes(Fault::ReportsTwice, 4);
            let index = self.count_down(index);
            match on_done(Buf::mint(ID, index)) {
                Some(_) if self.strikes(Fault::LosesReturned, 6) => {}
                Some(_) if self.fault == Fault::PoolsShownNotReturned => {
                    self.pool.push(Buf::mint(ID, index));
                }
                Some(back) => self.pool.push(back),
                None if self.strikes(Fault::PoolsKept, 2) => self.pool.push(Buf::mint(ID, index)),
                None => {}
            }
            if again {
                on_done(Buf::mint(ID, index));
                count += 1;
            }
        }
        count + usize::from(self.fault == Fault::MiscountsCompletions)
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), &'static str> {
        if self.strikes(Fault::SyncFails, 10) {
            return Err("the doorbell broke");
        }
        let push_only = self.fault == Fault::IgnoresPushAndReclaim;
        let how = if push_only { TxSync::Push } else { how };
        self.device.sync_tx(how).map_err(|never| match never {})
    }

    fn census(&self) -> Census {
        let free = self.pool.len() as u32;
        let device = self.away.len() as u32 + u32::from(self.fault == Fault::CensusOff);
        Census { free, caller: BUFFERS.saturating_sub(free + self.away.len() as u32), device }
    }
}

impl Mutant {
    /// A frame is reported: what it shared has a use less. The buffer that is reported.
    fn count_down(&mut self, header: u32) -> u32 {
        let Some(used) = self.pieces.remove(&header) else { return header };
        let less = match self.fault {
            Fault::CountsDownTwice => 2,
            Fault::NeverCountsDown => 0,
            _ => 1,
        };
        for payload in &used {
            if let Some(uses) = self.uses.get_mut(payload) {
                *uses = uses.saturating_sub(less);
            }
        }
        if self.fault == Fault::ReportsPayload { used[0] } else { header }
    }

    fn refuse(&mut self, mut buf: Buf) -> Result<(), TxFull> {
        match self.fault {
            Fault::SwallowsTxFull => return Ok(()),
            Fault::RefusesWithAnother => {
                if let Some(other) = self.pool.pop() {
                    self.pool.push(buf);
                    return Err(TxFull(other));
                }
            }
            Fault::RefusesWithOtherBytes => self.bytes_mut(&mut buf)[30] ^= 1,
            _ => {}
        }
        Err(TxFull(buf))
    }
}

pub(crate) struct MutantHarness(Mutant);

impl MutantHarness {
    pub(crate) fn new(port: Mutant) -> Self {
        Self(port)
    }
}

impl Harness for MutantHarness {
    type Port = Mutant;

    fn port(&self) -> &Mutant {
        &self.0
    }

    fn port_mut(&mut self) -> &mut Mutant {
        &mut self.0
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        frames.iter().for_each(|frame| self.0.arrive(frame));
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        self.0.take_wire()
    }

    fn let_device_work(&mut self) {
        self.0.work();
    }
}
