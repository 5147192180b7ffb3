//! The transmit queue: frames in the order of submission, the first of them written already.
//!
//! Knows tokens and lengths, no bytes and no descriptor.

use simoom_core::port::{Buf, TxFull};
use std::collections::VecDeque;

/// Frames submitted and not reclaimed. The first `written` are done; the others wait, at most
/// `slots` of them.
#[derive(Debug)]
pub(super) struct TxQueue {
    frames: VecDeque<(Buf, u16)>,
    written: usize,
    slots: usize,
}

impl TxQueue {
    /// A queue for at most `slots` waiting frames of a port with `buffers` buffers. Allocates here,
    /// and never again: no more frames than buffers can be in it.
    pub(super) fn new(slots: u32, buffers: u32) -> Self {
        Self {
            frames: VecDeque::with_capacity(buffers as usize),
            written: 0,
            slots: slots as usize,
        }
    }

    /// Frames that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.frames.len() - self.written
    }

    /// Frames that wait and frames that are done: what the device has.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Waiting frames that still fit.
    pub(super) fn free(&self) -> usize {
        self.slots - self.waiting()
    }

    /// Appends a frame of `len` bytes.
    pub(super) fn push(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        if self.free() == 0 {
            return Err(TxFull(buf));
        }
        self.frames.push_back((buf, len));
        Ok(())
    }

    /// The oldest frame that waits: its buffer's index and its length.
    pub(super) fn next(&self) -> Option<(u32, u16)> {
        self.frames.get(self.written).map(|(buf, len)| (buf.index(), *len))
    }

    /// The oldest frame that waited is done.
    pub(super) fn mark_written(&mut self) {
        debug_assert!(self.written < self.frames.len(), "no frame waits");
        self.written += 1;
    }

    /// Takes out the oldest frame that is done.
    pub(super) fn take_written(&mut self) -> Option<Buf> {
        if self.written == 0 {
            return None;
        }
        self.written -= 1;
        self.frames.pop_front().map(|(buf, _)| buf)
    }
}
