//! A port with one fault over a sound device, and a device that keeps its knowledge to itself.

use crate::world::PORT_ID;
use simoom_core::port::{
    Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull, TxSync, Unclaimed,
};
use simoom_core::time::{Duration, Instant};
use simoom_port_conformance::vec_port::{RX_SLOTS, ReadAt, VecPort};
use simoom_sim::nic::{NicViolation, SimPort};
use std::collections::VecDeque;
use std::convert::Infallible;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// What was submitted is at the store's disposal again in the next turn.
    ReusesTooEarly,
    /// A completion is reported together with that of the frame before it.
    ReportsTooEarly,
    /// One completion of 40 is not passed on.
    LosesBuffer,
    /// The last byte of one frame of 40 is changed once the device has it.
    ChangesAfterSubmit,
    /// A payload is unpinned though frames in flight have pieces of it.
    UnpinsInUse,
    /// The piece of one frame of 40 begins a byte too early.
    TakesWrongPiece,
}

/// A NIC as the host of a world uses it.
pub(crate) trait Device: Port<Error = Infallible> {
    fn arrive(&mut self, frame: &[u8]);
    fn has_room(&self) -> bool;
    fn has_frames(&self) -> bool;
    fn advance(&mut self, now: Instant);
    fn next_event(&self) -> Option<Instant>;
    fn has_awaited_completions(&self) -> bool;
    fn left(&mut self) -> Vec<Vec<u8>>;
    fn violation(&mut self) -> Option<NicViolation>;
}

/// The port.
pub(crate) struct Faulty<D> {
    pub(crate) device: D,
    fault: Fault,
    /// Submitted, and not completed by the device.
    away: VecDeque<u32>,
    /// Of these, so many were reported already.
    told: usize,
    calls: usize,
}

impl<D: Device> Faulty<D> {
    pub(crate) fn new(device: D, fault: Fault) -> Self {
        Self { device, fault, away: VecDeque::new(), told: 0, calls: 0 }
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        self.calls += usize::from(self.fault == fault);
        self.fault == fault && self.calls.is_multiple_of(40)
    }
}

impl<D: Device> Port for Faulty<D> {
    type Error = Infallible;

    const GATHERS: bool = true;

    fn caps(&self) -> &PortCaps {
        self.device.caps()
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        self.device.bytes(buf)
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        self.device.bytes_mut(buf)
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        self.device.copy(from, to, len);
    }

    fn take_free(&mut self) -> Option<Buf> {
        self.device.take_free()
    }

    fn give_back(&mut self, buf: Buf) {
        self.device.give_back(buf);
    }

    fn free(&self) -> usize {
        self.device.free()
    }

    fn receive(&mut self, max: usize, on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed) -> usize {
        self.device.receive(max, on_batch)
    }

    fn tx_free(&self) -> usize {
        self.device.tx_free()
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        let index = buf.index();
        self.device.submit(buf, len)?;
        self.away.push_back(index);
        if self.strikes(Fault::ChangesAfterSubmit) {
            let mut again = Buf::mint(PORT_ID, index);
            self.device.bytes_mut(&mut again)[usize::from(len) - 1] ^= 1;
        }
        Ok(())
    }

    fn pin(&mut self, buf: Buf) -> Pinned {
        self.device.pin(buf)
    }

    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        match self.device.unpin(pinned) {
            Err(in_use) if self.fault == Fault::UnpinsInUse => Ok(in_use.into_buf()),
            answer => answer,
        }
    }

    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        let index = header.index();
        let early = u16::from(self.strikes(Fault::TakesWrongPiece));
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Piece { at: piece.at - early, ..*piece }).collect();
        self.device.submit_gather(header, header_len, &pieces)?;
        self.away.push_back(index);
        if self.strikes(Fault::ChangesAfterSubmit) {
            let mut again = Buf::mint(PORT_ID, pieces[0].of.buf().index());
            self.device.bytes_mut(&mut again)[usize::from(pieces[0].at)] ^= 1;
        }
        Ok(())
    }

    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let mut done = Vec::new();
        self.device.reclaim(|buf| {
            done.push(buf);
            None
        });
        let completed = done.len();
        let mut report = Vec::new();
        for buf in done {
            self.away.pop_front();
            if self.told > 0 {
                // Reported before. This token is the second one of its buffer: it must go.
                self.told -= 1;
            } else if !self.strikes(Fault::LosesBuffer) {
                report.push(buf);
            }
        }
        let early = match self.fault {
            Fault::ReusesTooEarly => self.away.len() - self.told,
            Fault::ReportsTooEarly => (self.away.len() - self.told).min(completed),
            _ => 0,
        };
        let ahead = self.away.range(self.told..self.told + early);
        report.extend(ahead.map(|&index| Buf::mint(PORT_ID, index)));
        self.told += early;
        let count = report.len();
        for buf in report {
            if let Some(back) = on_done(buf) {
                self.device.give_back(back);
            }
        }
        count
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), Infallible> {
        self.device.sync_tx(how)
    }

    /// Adds up, whatever the fault: a port that lies lies here too.
    fn census(&self) -> Census {
        let Census { free, caller, device } = self.device.census();
        let told = self.told as u32;
        Census { free, caller: caller.wrapping_add(told), device: device - told }
    }
}

impl Device for SimPort {
    fn arrive(&mut self, frame: &[u8]) {
        let frame = self.frames_mut().add(frame);
        if !self.deliver(frame) {
            self.frames_mut().remove(frame);
        }
    }

    fn has_room(&self) -> bool {
        !self.rx_is_full()
    }

    fn has_frames(&self) -> bool {
        self.rx_len() > 0
    }

    fn advance(&mut self, now: Instant) {
        Self::advance(self, now);
    }

    fn next_event(&self) -> Option<Instant> {
        Self::next_event(self)
    }

    fn has_awaited_completions(&self) -> bool {
        Self::has_awaited_completions(self)
    }

    fn left(&mut self) -> Vec<Vec<u8>> {
        let mut left = Vec::new();
        while let Some(sent) = self.take_sent() {
            left.push(self.frames_mut().get(sent.frame).to_vec());
            self.frames_mut().remove(sent.frame);
        }
        left
    }

    fn violation(&mut self) -> Option<NicViolation> {
        self.take_violation()
    }
}

/// A device that reads late and knows nothing of owners: it sends what memory holds by then.
pub(crate) struct Silent {
    port: VecPort,
    now: Instant,
    /// When the device gets to work.
    work_at: Option<Instant>,
    waiting: usize,
}

/// From the doorbell to the reading.
const LATENESS: Duration = Duration::from_micros(60);

impl Silent {
    pub(crate) fn new(caps: PortCaps) -> Self {
        let port = VecPort::new(caps, ReadAt::Work, PORT_ID);
        Self { port, now: Instant::ZERO, work_at: None, waiting: 0 }
    }
}

impl Port for Silent {
    type Error = Infallible;

    const GATHERS: bool = true;

    fn caps(&self) -> &PortCaps {
        self.port.caps()
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        self.port.bytes(buf)
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        self.port.bytes_mut(buf)
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        self.port.copy(from, to, len);
    }

    fn take_free(&mut self) -> Option<Buf> {
        self.port.take_free()
    }

    fn give_back(&mut self, buf: Buf) {
        self.port.give_back(buf);
    }

    fn free(&self) -> usize {
        self.port.free()
    }

    fn receive(&mut self, max: usize, on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed) -> usize {
        let count = self.port.receive(max, on_batch);
        self.waiting -= count;
        count
    }

    fn tx_free(&self) -> usize {
        self.port.tx_free()
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        self.port.submit(buf, len)
    }

    fn pin(&mut self, buf: Buf) -> Pinned {
        self.port.pin(buf)
    }

    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        self.port.unpin(pinned)
    }

    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        self.port.submit_gather(header, header_len, pieces)
    }

    fn reclaim(&mut self, on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        self.port.reclaim(on_done)
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), Infallible> {
        self.work_at.get_or_insert(self.now + LATENESS);
        self.port.sync_tx(how)
    }

    fn census(&self) -> Census {
        self.port.census()
    }
}

impl Device for Silent {
    fn arrive(&mut self, frame: &[u8]) {
        self.port.arrive(frame);
        self.waiting += 1;
    }

    fn has_room(&self) -> bool {
        self.waiting < RX_SLOTS
    }

    fn has_frames(&self) -> bool {
        self.waiting > 0
    }

    fn advance(&mut self, now: Instant) {
        self.now = now;
        if self.work_at.is_some_and(|at| at <= now) {
            self.work_at = None;
            self.port.work();
        }
    }

    fn next_event(&self) -> Option<Instant> {
        self.work_at
    }

    fn has_awaited_completions(&self) -> bool {
        false
    }

    fn left(&mut self) -> Vec<Vec<u8>> {
        self.port.take_wire()
    }

    fn violation(&mut self) -> Option<NicViolation> {
        None
    }
}
