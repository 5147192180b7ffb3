//! The port of a replayed stack: frames are staged by whoever replays, and what is sent is done with
//! at once. The observer has seen it by then ([`super::watch`]).

use simoom_core::port::{
    BATCH_MAX, Buf, Census, ChecksumOffload, Port, PortCaps, RxFrame, TxFull, TxSync, Unclaimed,
};
use std::convert::Infallible;

/// Bytes of transmit buffers, about.
const MEMORY: usize = 4 << 20;

/// A port in memory for one stack.
#[derive(Debug)]
pub(super) struct ReplayPort {
    caps: PortCaps,
    memory: Vec<u8>,
    free: Vec<u32>,
    done: Vec<u32>,
    taken: u32,
    /// Staged frames, one behind the other, and where each ends.
    staged: Vec<u8>,
    ends: Vec<usize>,
}

impl ReplayPort {
    /// A port whose frames hold `text_max` octets of text.
    pub(super) fn new(text_max: u16) -> Self {
        let frame_max = (usize::from(text_max) + 128).min(usize::from(u16::MAX)) as u16;
        let buffers = (MEMORY / usize::from(frame_max)).max(256) as u32;
        Self {
            caps: PortCaps {
                frame_max,
                buffers,
                tx_slots: buffers,
                tx_hold_max: 0,
                tx_hold_idle: 0,
                max_frags: 1,
                checksum: ChecksumOffload { tx: true, rx: true },
            },
            memory: vec![0; usize::from(frame_max) * buffers as usize],
            free: (0..buffers).rev().collect(),
            done: Vec::with_capacity(buffers as usize),
            taken: 0,
            staged: Vec::new(),
            ends: Vec::with_capacity(BATCH_MAX),
        }
    }

    /// Frames that wait for the next turn.
    pub(super) fn staged(&self) -> usize {
        self.ends.len()
    }

    /// Stages a frame that `write` appends to what it is given. At most [`BATCH_MAX`] wait.
    pub(super) fn stage(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(self.ends.len() < BATCH_MAX);
        write(&mut self.staged);
        self.ends.push(self.staged.len());
    }

    fn place(&self, buf: &Buf) -> std::ops::Range<usize> {
        buf.assert_port(0);
        let len = usize::from(self.caps.frame_max);
        let start = buf.index() as usize * len;
        start..start + len
    }
}

impl Port for ReplayPort {
    type Error = Infallible;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    #[inline]
    fn bytes(&self, buf: &Buf) -> &[u8] {
        &self.memory[self.place(buf)]
    }

    #[inline]
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        let place = self.place(buf);
        &mut self.memory[place]
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        let (from, to) = (self.place(from), self.place(to));
        self.memory.copy_within(from.start..from.start + len, to.start);
    }

    #[inline]
    fn take_free(&mut self) -> Option<Buf> {
        let index = self.free.pop()?;
        self.taken += 1;
        Some(Buf::mint(0, index))
    }

    fn give_back(&mut self, buf: Buf) {
        buf.assert_port(0);
        self.taken -= 1;
        self.free.push(buf.index());
    }

    fn free(&self) -> usize {
        self.free.len()
    }

    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let count = self.ends.len().min(max).min(BATCH_MAX);
        if count == 0 {
            return 0;
        }
        let mut frames = [RxFrame { bytes: &[] }; BATCH_MAX];
        let mut start = 0;
        for (frame, end) in frames.iter_mut().zip(&self.ends[..count]) {
            frame.bytes = &self.staged[start..*end];
            start = *end;
        }
        on_batch(&frames[..count]);
        if count == self.ends.len() {
            self.staged.clear();
            self.ends.clear();
        } else {
            self.staged.drain(..start);
            self.ends.drain(..count);
            self.ends.iter_mut().for_each(|end| *end -= start);
        }
        count
    }

    #[inline]
    fn tx_free(&self) -> usize {
        self.caps.tx_slots as usize - self.done.len()
    }

    #[inline]
    fn submit(&mut self, buf: Buf, _len: u16) -> Result<(), TxFull> {
        if self.done.len() == self.caps.tx_slots as usize {
            return Err(TxFull(buf));
        }
        buf.assert_port(0);
        self.taken -= 1;
        self.done.push(buf.index());
        Ok(())
    }

    #[inline]
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let count = self.done.len();
        for index in self.done.drain(..) {
            match on_done(Buf::mint(0, index)) {
                Some(buf) => self.free.push(buf.index()),
                None => self.taken += 1,
            }
        }
        count
    }

    fn sync_tx(&mut self, _how: TxSync) -> Result<(), Infallible> {
        Ok(())
    }

    fn census(&self) -> Census {
        Census { free: self.free.len() as u32, caller: self.taken, device: self.done.len() as u32 }
    }
}
