//! A port whose wire is memory: what is submitted is done at the next doorbell.
//!
//! It does nothing but move indexes, so that its share of a request is small; what it counts is
//! what a script is checked against.

use crate::arena::{Arena, Pages};
use crate::rx::RxQueue;
use simoom_core::port::{Buf, Census, ChecksumOffload, Port, PortCaps, RxFrame, TxFull, TxSync};
use std::convert::Infallible;

/// Bytes from one buffer to the next.
pub const STRIDE: usize = 2_048;
/// Frames the ring holds.
pub const TX_SLOTS: u32 = 4_096;
/// Bytes of the headers of a segment with timestamps.
pub const HEADERS: u64 = 66;

/// The port.
pub struct MemoryPort {
    caps: PortCaps,
    arena: Arena,
    free: Vec<Buf>,
    /// Submitted, with lengths; the first `done` may be reclaimed.
    ring: Vec<(Buf, u16)>,
    done: usize,
    /// What arrives.
    pub rx: RxQueue,
    /// Frames submitted.
    pub frames_out: u64,
    /// Bytes beyond [`HEADERS`] in them: text, where every segment carries timestamps.
    pub text_out: u64,
    /// Bytes copied from buffer to buffer.
    pub copied_bytes: u64,
}

impl MemoryPort {
    /// A port with `buffers` buffers, whose device takes care of all checksums or of none.
    pub fn new(buffers: u32, offload: bool, pages: Pages) -> Self {
        Self {
            caps: PortCaps {
                frame_max: 1_514,
                buffers,
                tx_slots: TX_SLOTS,
                tx_hold_max: TX_SLOTS,
                tx_hold_idle: 0,
                max_frags: 1,
                checksum: ChecksumOffload { tx: offload, rx: offload },
            },
            arena: Arena::new(buffers as usize * STRIDE, pages),
            free: (0..buffers).rev().map(|index| Buf::mint(0, index)).collect(),
            ring: Vec::with_capacity(TX_SLOTS as usize),
            done: 0,
            rx: RxQueue::default(),
            frames_out: 0,
            text_out: 0,
            copied_bytes: 0,
        }
    }

    /// The frames of the last turn.
    pub fn last_frames(&self) -> impl Iterator<Item = &[u8]> {
        self.ring.iter().map(|(buf, len)| &self.bytes(buf)[..usize::from(*len)])
    }
}

impl Port for MemoryPort {
    type Error = Infallible;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    #[inline]
    fn bytes(&self, buf: &Buf) -> &[u8] {
        &self.arena[buf.index() as usize * STRIDE..][..STRIDE]
    }

    #[inline]
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        &mut self.arena[buf.index() as usize * STRIDE..][..STRIDE]
    }

    #[inline]
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        self.copied_bytes += len as u64;
        let from = from.index() as usize * STRIDE;
        self.arena.copy_within(from..from + len, to.index() as usize * STRIDE);
    }

    #[inline]
    fn take_free(&mut self) -> Option<Buf> {
        self.free.pop()
    }

    #[inline]
    fn give_back(&mut self, buf: Buf) {
        self.free.push(buf);
    }

    #[inline]
    fn free(&self) -> usize {
        self.free.len()
    }

    #[inline]
    fn receive(&mut self, max: usize, on_batch: impl FnMut(&[RxFrame<'_>])) -> usize {
        self.rx.receive(max, on_batch)
    }

    #[inline]
    fn tx_free(&self) -> usize {
        TX_SLOTS as usize - self.ring.len()
    }

    #[inline]
    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        if self.ring.len() == TX_SLOTS as usize {
            return Err(TxFull(buf));
        }
        self.frames_out += 1;
        self.text_out += u64::from(len).saturating_sub(HEADERS);
        self.ring.push((buf, len));
        Ok(())
    }

    #[inline]
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let done = std::mem::take(&mut self.done);
        for (buf, _) in self.ring.drain(..done) {
            if let Some(buf) = on_done(buf) {
                self.free.push(buf);
            }
        }
        done
    }

    #[inline]
    fn sync_tx(&mut self, _how: TxSync) -> Result<(), Infallible> {
        self.done = self.ring.len();
        Ok(())
    }

    fn census(&self) -> Census {
        let (free, device) = (self.free.len() as u32, self.ring.len() as u32);
        Census { free, device, caller: self.caps.buffers - free - device }
    }
}
