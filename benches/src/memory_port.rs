//! A port whose wire is memory: what is submitted is done at the next doorbell.
//!
//! It does nothing but move indexes, so that its share of a request is small; what it counts is
//! what a script is checked against.

use crate::arena::{Arena, Pages};
use crate::rx::RxQueue;
use simoom_core::port::{
    Buf, Census, ChecksumOffload, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull,
    TxSync, Unclaimed,
};
use std::convert::Infallible;

/// Bytes from one buffer to the next.
pub const STRIDE: usize = 2_048;
/// Frames the ring holds.
pub const TX_SLOTS: u32 = 4_096;
/// Bytes of the headers of a segment with timestamps.
pub const HEADERS: u64 = 66;

/// The port. One that gathers is another type, so that the other pays nothing for it.
pub struct MemoryPort<const GATHERS: bool = false> {
    caps: PortCaps,
    arena: Arena,
    free: Vec<Buf>,
    /// Submitted, with lengths; the first `done` may be reclaimed.
    ring: Vec<(Buf, u16)>,
    /// Of each frame in the ring its piece of a pinned buffer. Empty where it does not gather.
    pieces: Vec<Option<PieceAt>>,
    /// Slots that these take.
    more_slots: usize,
    /// Of each buffer, its pieces in the ring. Empty where it does not gather.
    uses: Vec<u32>,
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

/// Bytes of a pinned buffer.
#[derive(Clone, Copy)]
struct PieceAt {
    buffer: u32,
    at: u16,
    len: u16,
}

impl<const GATHERS: bool> MemoryPort<GATHERS> {
    /// A port with `buffers` buffers, whose device takes care of all checksums or of none.
    pub fn new(buffers: u32, offload: bool, pages: Pages) -> Self {
        Self {
            caps: PortCaps {
                frame_max: 1_514,
                buffers,
                tx_slots: TX_SLOTS,
                tx_hold_max: TX_SLOTS,
                tx_hold_idle: 0,
                max_frags: if GATHERS { 2 } else { 1 },
                checksum: ChecksumOffload { tx: offload, rx: offload },
            },
            arena: Arena::new(buffers as usize * STRIDE, pages),
            free: (0..buffers).rev().map(|index| Buf::mint(0, index)).collect(),
            ring: Vec::with_capacity(TX_SLOTS as usize),
            pieces: Vec::with_capacity(if GATHERS { TX_SLOTS as usize } else { 0 }),
            more_slots: 0,
            uses: vec![0; if GATHERS { buffers as usize } else { 0 }],
            done: 0,
            rx: RxQueue::default(),
            frames_out: 0,
            text_out: 0,
            copied_bytes: 0,
        }
    }

    /// Shows the frames of the last turn.
    pub fn show_last_frames(&self, show: &mut dyn FnMut(&[u8])) {
        for (i, (buf, len)) in self.ring.iter().enumerate() {
            let header = &self.bytes(buf)[..usize::from(*len)];
            match self.pieces.get(i) {
                Some(Some(PieceAt { buffer, at, len })) => {
                    let start = *buffer as usize * STRIDE + usize::from(*at);
                    show(&[header, &self.arena[start..][..usize::from(*len)]].concat());
                }
                _ => show(header),
            }
        }
    }

    /// The most buffers that were out of the pool at once: it is a stack, and what nobody ever
    /// reached still lies at its bottom as it was put there.
    pub fn buffers_used(&self) -> u32 {
        let as_made = |(i, buf): &(usize, &Buf)| buf.index() == self.caps.buffers - 1 - *i as u32;
        self.caps.buffers - self.free.iter().enumerate().take_while(as_made).count() as u32
    }
}

impl<const GATHERS: bool> Port for MemoryPort<GATHERS> {
    type Error = Infallible;

    const GATHERS: bool = GATHERS;

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
    fn receive(&mut self, max: usize, on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed) -> usize {
        self.rx.receive(max, on_batch)
    }

    #[inline]
    fn tx_free(&self) -> usize {
        let more = if GATHERS { self.more_slots } else { 0 };
        TX_SLOTS as usize - self.ring.len() - more
    }

    #[inline]
    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        let more = if GATHERS { self.more_slots } else { 0 };
        if self.ring.len() + more == TX_SLOTS as usize {
            return Err(TxFull(buf));
        }
        self.frames_out += 1;
        self.text_out += u64::from(len).saturating_sub(HEADERS);
        self.ring.push((buf, len));
        if GATHERS {
            self.pieces.push(None);
        }
        Ok(())
    }

    #[inline]
    fn pin(&mut self, buf: Buf) -> Pinned {
        Pinned::mint(buf)
    }

    #[inline]
    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        let uses = self.uses[pinned.buf().index() as usize];
        if uses > 0 { Err(pinned) } else { Ok(pinned.into_buf()) }
    }

    #[inline]
    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        let &[Piece { of, at, len }] = pieces else { panic!("a frame of more than two parts") };
        if self.tx_free() < 2 {
            return Err(GatherFull(header));
        }
        self.frames_out += 1;
        self.text_out += u64::from(header_len + len).saturating_sub(HEADERS);
        let buffer = of.buf().index();
        self.uses[buffer as usize] += 1;
        self.more_slots += 1;
        self.ring.push((header, header_len));
        self.pieces.push(Some(PieceAt { buffer, at, len }));
        Ok(())
    }

    #[inline]
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let done = std::mem::take(&mut self.done);
        if GATHERS {
            for piece in self.pieces.drain(..done).flatten() {
                self.uses[piece.buffer as usize] -= 1;
                self.more_slots -= 1;
            }
        }
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
