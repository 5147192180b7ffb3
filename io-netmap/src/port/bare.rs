//! The loop that a port is measured beside: it swaps buffers into slots, and does nothing else.
//!
//! For benches. No tokens, no counters, no checks of what came; what was in a slot is sent again later.

use super::lifetime::{Attachment, Bound, bind};
use crate::error::NetmapError;
use crate::kernel::{Kernel, Wait};
use crate::region::{Buffers, Index};
use crate::ring::{Descriptor, Interface, Malformed, Ring};
use crate::sys::BUF_CHANGED;
use simoom_core::time::Duration;
use std::collections::VecDeque;

/// Two rings, and buffers to swap.
#[derive(Debug)]
pub struct BareLoop<K: Kernel> {
    tx: Ring,
    rx: Ring,
    buffers: Buffers,
    interface: Interface,
    /// netmap's indexes of the buffers that are ours, as many as at the beginning.
    ours: VecDeque<u32>,
    kernel: K,
}

impl<K: Kernel> BareLoop<K> {
    /// A loop over what a kernel has bound.
    ///
    /// # Errors
    /// Where the memory is not as it must be.
    pub fn over(attachment: Attachment<K>) -> Result<Self, NetmapError> {
        let Attachment { name, region, interface, ring, extra, kernel, .. } = attachment;
        let bound = bind(&region, interface, ring, extra);
        let Bound { tx, rx, buffers, interface, extra, .. } = bound
            .map_err(|Malformed { what, found }| NetmapError::Corrupt { name, what, found })?;
        interface.set_extra_head(0);
        Ok(Self {
            tx,
            rx,
            buffers,
            interface,
            ours: extra.iter().map(|index| index.get()).collect(),
            kernel,
        })
    }

    /// Releases up to `max` received frames, after a look at each; how many.
    #[inline]
    pub fn receive(&mut self, max: usize) -> usize {
        let tail = self.rx.tail().unwrap_or(self.rx.head());
        let (mut slot, mut count, mut seen) = (self.rx.head(), 0, 0);
        while count < max && slot != tail {
            let Descriptor { buf_idx, .. } = self.rx.read(slot);
            let index = self.buffers.check(buf_idx).unwrap_or(Index::NONE);
            seen ^= self.buffers.bytes(index, 1)[0];
            slot = self.rx.next(slot);
            count += 1;
        }
        std::hint::black_box(seen);
        self.rx.release_to(slot, slot);
        count
    }

    /// Swaps up to `count` of our buffers into transmit slots, `len` bytes each; how many.
    #[inline]
    pub fn send(&mut self, count: usize, len: u16) -> usize {
        let tail = self.tx.tail().unwrap_or(self.tx.head());
        let mut sent = 0;
        while sent < count && self.tx.head() != tail {
            let slot = self.tx.head();
            let Some(buf_idx) = self.ours.pop_front() else { break };
            let before = self.tx.fill(slot, Descriptor { buf_idx, len, flags: BUF_CHANGED });
            self.ours.push_back(before);
            self.tx.step();
            sent += 1;
        }
        self.tx.publish();
        sent
    }

    /// One poll(2) that does not wait.
    ///
    /// # Errors
    /// Those of the call.
    pub fn poll(&mut self) -> std::io::Result<()> {
        self.kernel
            .poll(Wait { timeout: Some(Duration::ZERO), output: false, host: false })
            .map(|_| ())
    }
}

impl<K: Kernel> Drop for BareLoop<K> {
    fn drop(&mut self) {
        let mut next = 0;
        for &index in &self.ours {
            if let Some(index) = self.buffers.check(index) {
                self.buffers.set_link(index, next);
                next = index.get();
            }
        }
        self.interface.set_extra_head(next);
    }
}
