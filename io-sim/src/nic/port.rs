//! The driver's side of the NIC.

use super::gather::Pieces;
use super::{Doorbell, NicViolation, Place, SimPort, Slot};
use crate::frames::FrameId;
use crate::oracle::promises::{Glimpse, Passage, Passed};
use simoom_core::port::{
    BATCH_MAX, Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull, TxSync,
    Unclaimed,
};
use simoom_core::time::Instant;
use std::convert::Infallible;

impl SimPort {
    /// The caller queued a frame, whose bytes are in the arena.
    #[inline]
    pub(super) fn enqueue(&mut self, buffer: u32, len: u16, pieces: Pieces, submitted: FrameId) {
        if let Some(passed) = &mut self.passed
            && let Some(seg) = Glimpse::of(self.frames.get(submitted), false)
        {
            passed.push(Passed { at: self.now, stack: self.stack, what: Passage::Sent(seg) });
        }
        self.more_slots += pieces.len();
        let never = Instant::FAR_FUTURE;
        self.ring.push_back(Slot { buffer, len, pieces, submitted, due: never, left: never });
    }
}

impl Port for SimPort {
    type Error = Infallible;

    const GATHERS: bool = true;

    fn caps(&self) -> &PortCaps {
        &self.config.caps
    }

    #[inline]
    fn bytes(&self, buf: &Buf) -> &[u8] {
        &self.memory[self.range_of(buf)]
    }

    #[inline]
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        self.is_callers(buf.index(), NicViolation::WrittenWithoutRight { buffer: buf.index() });
        let range = self.range_of(buf);
        &mut self.memory[range]
    }

    #[inline]
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        assert!(len <= usize::from(self.config.caps.frame_max), "longer than a buffer");
        self.is_callers(to.index(), NicViolation::WrittenWithoutRight { buffer: to.index() });
        self.stats.copied_bytes += len as u64;
        let (from, to) = (self.range_of(from).start, self.range_of(to).start);
        let end = from.max(to) + self.stride;
        if self.memory.len() < end {
            // Only whoever forged a token copies from a buffer that was never taken.
            self.grow(end);
        }
        self.memory.copy_within(from..from + len, to);
    }

    #[inline]
    fn take_free(&mut self) -> Option<Buf> {
        let index = self.free.pop()?;
        self.places[index as usize] = Place::Caller;
        self.caller += 1;
        let end = (index as usize + 1) * self.stride;
        if self.memory.len() < end {
            self.grow(end);
        }
        Some(Buf::mint(self.id, index))
    }

    #[inline]
    fn give_back(&mut self, buf: Buf) {
        buf.assert_port(self.id);
        let buffer = buf.index();
        if self.is_callers(buffer, NicViolation::TokenOfAnother { buffer }) {
            self.places[buffer as usize] = Place::Free;
            self.caller -= 1;
            self.free.push(buffer);
        }
    }

    fn free(&self) -> usize {
        self.free.len()
    }

    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let count = self.rx_shown.min(max).min(BATCH_MAX);
        if count == 0 {
            return 0;
        }
        let mut batch = [RxFrame { bytes: &[] }; BATCH_MAX];
        for (shown, frame) in batch.iter_mut().zip(self.rx.range(..count)) {
            shown.bytes = self.frames.get(*frame);
        }
        if let Some(passed) = &mut self.passed {
            let verify = !self.config.caps.checksum.rx;
            for (frame, id) in batch[..count].iter().zip(&self.rx) {
                let verify = verify && !self.frames.is_intact(*id);
                if let Some(seg) = Glimpse::of(frame.bytes, verify) {
                    let what = Passage::Took(seg);
                    passed.push(Passed { at: self.now, stack: self.stack, what });
                }
            }
        }
        on_batch(&batch[..count]);
        for frame in self.rx.drain(..count) {
            self.frames.remove(frame);
        }
        self.rx_shown -= count;
        count
    }

    #[inline]
    fn tx_free(&self) -> usize {
        (self.config.caps.tx_slots as usize).saturating_sub(self.ring.len() + self.more_slots)
    }

    #[inline]
    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        buf.assert_port(self.id);
        assert!(len <= self.config.caps.frame_max, "a frame of {len} bytes is too long");
        if self.tx_free() == 0 {
            return Err(TxFull(buf));
        }
        let buffer = buf.index();
        if !self.is_callers(buffer, NicViolation::TokenOfAnother { buffer }) {
            return Ok(());
        }
        self.places[buffer as usize] = Place::Device;
        self.caller -= 1;
        let start = buffer as usize * self.stride;
        let bytes = &self.memory[start..start + usize::from(len)];
        let submitted = self.frames.add(bytes);
        self.enqueue(buffer, len, Pieces::NONE, submitted);
        Ok(())
    }

    #[inline]
    fn pin(&mut self, buf: Buf) -> Pinned {
        buf.assert_port(self.id);
        let buffer = buf.index();
        if self.is_callers(buffer, NicViolation::TokenOfAnother { buffer }) {
            self.places[buffer as usize] = Place::Pinned;
        }
        Pinned::mint(buf)
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
        self.enqueue_parts(header, header_len, pieces)
    }

    #[inline]
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let count = self.reported;
        for slot in self.ring.drain(..count) {
            self.more_slots -= slot.pieces.len();
            for piece in slot.pieces.iter() {
                self.uses[piece.buffer as usize] -= 1;
            }
            self.places[slot.buffer as usize] = Place::Caller;
            self.caller += 1;
            if let Some(buf) = on_done(Buf::mint(self.id, slot.buffer)) {
                let buffer = buf.index();
                buf.assert_port(self.id);
                if self.places[buffer as usize] == Place::Caller {
                    self.places[buffer as usize] = Place::Free;
                    self.caller -= 1;
                    self.free.push(buffer);
                } else {
                    self.violation.get_or_insert(NicViolation::TokenOfAnother { buffer });
                }
            }
        }
        self.reported = 0;
        self.read -= count;
        self.pushed -= count;
        self.asked = self.asked.saturating_sub(count);
        count
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), Infallible> {
        self.stats.doorbells += 1;
        match &mut self.doorbell {
            Doorbell::Heard => self.ring_doorbell(how),
            Doorbell::Held(Some(TxSync::PushAndReclaim)) => {}
            Doorbell::Held(rung) => *rung = Some(how),
        }
        Ok(())
    }

    fn census(&self) -> Census {
        Census { free: self.free.len() as u32, caller: self.caller, device: self.ring.len() as u32 }
    }
}
