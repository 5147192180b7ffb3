//! Frames that wait to be received, written before the measured region begins.

use simoom_core::port::{BATCH_MAX, RxFrame, Unclaimed};

/// Frames one after the other. What is shown at a time is limited, so that a script of many turns
/// can be written in advance.
#[derive(Debug, Default)]
pub struct RxQueue {
    bytes: Vec<u8>,
    /// Where each frame starts, and where the last one ends.
    starts: Vec<u32>,
    next: usize,
    limit: usize,
}

impl RxQueue {
    /// Forgets everything; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.starts.push(0);
        (self.next, self.limit) = (0, 0);
    }

    /// Adds a frame behind the others.
    pub fn push(&mut self, frame: &[u8]) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.bytes.extend_from_slice(frame);
        self.starts.push(self.bytes.len() as u32);
    }

    /// Frames written, shown ones among them.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether none was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the frames below number `limit` be received.
    #[inline]
    pub fn release(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether all frames that may be received were.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.next >= self.limit
    }

    /// The next frame.
    #[inline]
    pub fn pop(&mut self) -> Option<&[u8]> {
        if self.is_drained() {
            return None;
        }
        let range = self.starts[self.next] as usize..self.starts[self.next + 1] as usize;
        self.next += 1;
        Some(&self.bytes[range])
    }

    /// The next frames as a batch.
    #[inline]
    pub fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let count = max.min(BATCH_MAX).min(self.limit.saturating_sub(self.next));
        if count == 0 {
            return 0;
        }
        let starts = &self.starts[self.next..=self.next + count];
        let mut frames = [RxFrame { bytes: &[] }; BATCH_MAX];
        for (frame, ends) in frames.iter_mut().zip(starts.windows(2)) {
            frame.bytes = &self.bytes[ends[0] as usize..ends[1] as usize];
        }
        on_batch(&frames[..count]);
        self.next += count;
        count
    }
}
