//! Frames between the NIC and the host's own network: what the caller does not claim goes to the host,
//! what the host sends goes out of the NIC.
//!
//! Either way two slots change buffers, and no byte is copied. A transmit slot that has a frame of the
//! host's belongs to no token: it keeps whatever buffer is in it when the frame is done.
//!
//! *Bounds*: of the free transmit slots the host takes half at each `reclaim`, a batch at most, so that
//! neither it nor the caller can keep the other from sending; what is left waits in the host's ring and,
//! behind that, in the kernel, which drops what is beyond the ring's length. A frame for a host whose ring
//! is full is dropped and counted.

use super::lifetime::HostAttachment;
use super::{Away, ETHERNET_LEN, NetmapPort, NetmapStats};
use crate::kernel::Kernel;
use crate::mutants::mutant;
use crate::region::{Buffers, Index, Region};
use crate::ring::{Descriptor, Interface, Malformed, Ring};
use crate::sys::MORE_FRAGMENTS;
use simoom_core::port::{BATCH_MAX, Port, RxFrame, Unclaimed};
use std::sync::Arc;

/// In [`Away`]: the slot has a frame of the host's. No token has this number.
pub(super) const HOST: u32 = (1 << 31) - 1;

/// The rings of the host that belong to a port.
#[derive(Debug)]
pub(super) struct HostRings {
    /// To the host.
    tx: Ring,
    /// From the host.
    rx: Ring,
    /// The first slot of `tx` that no system call has shown to the kernel.
    pushed: u32,
    /// Whether the host gets the odd one of the free slots next time.
    odd: bool,
}

impl HostRings {
    /// Finds and checks the rings; `place` is that of the NIC's buffers, which have to be the host's.
    pub(super) fn bind(
        region: &Arc<Region>,
        HostAttachment { interface, ring }: HostAttachment,
        place: (i64, u32),
    ) -> Result<Self, Malformed> {
        let interface = Interface::new(Arc::clone(region), interface)?;
        let (tx_at, rx_at) = (interface.host_tx_ring(ring)?, interface.host_rx_ring(ring)?);
        let tx = Ring::new(Arc::clone(region), tx_at)?;
        let rx = Ring::new(Arc::clone(region), rx_at)?;
        for found in [tx.buffers_at(tx_at)?, rx.buffers_at(rx_at)?] {
            if found != place {
                return Err(Malformed { what: "the place of buffers", found: found.0 as u64 });
            }
        }
        let (tail, _) = (tx.tail()?, rx.tail()?);
        let pushed = tx.head();
        debug_assert!(tail < tx.num_slots());
        Ok(Self { tx, rx, pushed, odd: false })
    }

    /// Frames for the host that no system call has shown to the kernel.
    #[inline]
    pub(super) fn unpushed(&self) -> u32 {
        self.tx.distance(self.pushed, self.tx.head())
    }

    /// Whether enough waits for the host that it is not to wait longer.
    #[inline]
    pub(super) fn presses(&self) -> bool {
        self.unpushed() >= self.tx.num_slots() / 2
    }

    /// A system call shows everything to the kernel.
    #[inline]
    pub(super) fn push(&mut self) {
        self.pushed = self.tx.head();
    }

    /// Whether frames of the host wait.
    #[inline]
    fn waits(&self) -> Result<bool, Malformed> {
        Ok(self.rx.tail()? != self.rx.head())
    }

    /// Hands over the frames of a batch that the caller does not claim. The batch was shown from the
    /// slots of `nic` between its head and `end`.
    #[cold]
    pub(super) fn take_unclaimed(
        &mut self,
        unclaimed: Unclaimed,
        frames: &[RxFrame<'_>],
        (nic, end): (&mut Ring, u32),
        buffers: &Buffers,
        stats: &mut NetmapStats,
    ) -> Result<(), Malformed> {
        let mut slot = nic.head();
        for (_, frame) in frames.iter().enumerate().filter(|(at, _)| unclaimed.contains(*at)) {
            // A frame is shown where it lies, so its address tells the slot; one that was put together
            // from several slots lies elsewhere.
            let lies_in =
                |index| std::ptr::eq(buffers.bytes(index, 0).as_ptr(), frame.bytes.as_ptr());
            let mut at = slot;
            let found = loop {
                if at == end {
                    break None;
                }
                let found = nic.read(at);
                if buffers.check(found.buf_idx).is_some_and(lies_in) {
                    break Some(found);
                }
                at = nic.next(at);
            };
            let Some(found) = found else {
                // netmap's host rings take frames of one slot.
                stats.to_host_fragmented += 1;
                continue;
            };
            slot = nic.next(at);
            let free = self.tx.head();
            if free == self.tx.tail()? {
                stats.host_ring_full += 1;
                continue;
            }
            if !mutant!(ToHostLost) {
                let before = nic.hand_over(at, found, &mut self.tx, free);
                if buffers.check(before).is_none() {
                    return Err(Malformed { what: "the buffer in a slot", found: before.into() });
                }
                self.tx.step();
            }
            stats.to_host += 1;
            stats.to_host_bytes += u64::from(found.len);
        }
        // The kernel looks at it in its next system call.
        self.tx.publish();
        Ok(())
    }
}

impl<K: Kernel> NetmapPort<K> {
    /// Whether frames of the host wait.
    pub(super) fn host_waits(&mut self) -> bool {
        match self.host.as_ref().map_or(Ok(false), HostRings::waits) {
            Ok(waits) => waits,
            Err(malformed) => {
                self.die_of(malformed);
                false
            }
        }
    }

    /// Whether frames of the host wait, and whether there are slots for some of them.
    #[inline]
    pub(super) fn host_state(&mut self) -> (bool, bool) {
        if self.host.is_none() || !self.host_waits() {
            return (false, false);
        }
        (true, self.tx_free() > 0 || self.has_completed())
    }

    /// The oldest slot, which had a frame of the host's, is ours again, with the buffer that is in it.
    pub(super) fn take_host_slot(&mut self) {
        self.oldest = self.tx.next(self.oldest);
        self.more_slots -= 1;
    }

    /// Queues frames of the host, as many as its share of the free slots.
    pub(super) fn forward_from_host(&mut self) {
        if self.fatal.is_none()
            && self.host_waits()
            && let Err(malformed) = self.queue_from_host()
        {
            self.die_of(malformed);
        }
    }

    #[cold]
    fn queue_from_host(&mut self) -> Result<(), Malformed> {
        let free = self.tx_free();
        let Self { host: Some(host), tx, buffers, stats, away, more_slots, .. } = self else {
            return Ok(());
        };
        let mut share = (free + usize::from(host.odd)) / 2;
        if mutant!(HostTakesAll) {
            share = free;
        }
        host.odd ^= free % 2 == 1;
        share = share.min(BATCH_MAX);
        let (tail, mut slot) = (host.rx.tail()?, host.rx.head());
        // What is dropped counts, or one turn could see a whole ring of it.
        for _ in 0..share {
            if slot == tail {
                break;
            }
            let frame = host.rx.read(slot);
            let Descriptor { buf_idx, len, flags } = frame;
            let fits = (usize::from(ETHERNET_LEN)..=buffers.size()).contains(&len.into());
            if buffers.check(buf_idx).is_none() || !fits || flags & MORE_FRAGMENTS != 0 {
                stats.from_host_bad += 1;
                slot = host.rx.next(slot);
                continue;
            }
            stats.from_host += 1;
            stats.from_host_bytes += u64::from(len);
            if !mutant!(FromHostLost) {
                let free = tx.head();
                let before = host.rx.hand_over(slot, frame, tx, free);
                if buffers.check(before).is_none() {
                    return Err(Malformed { what: "the buffer in a slot", found: before.into() });
                }
                away[free as usize] = Away { token: HOST, kept: Index::NONE };
                tx.step();
                *more_slots += 1;
            }
            slot = host.rx.next(slot);
        }
        host.rx.release_to(slot, slot);
        Ok(())
    }
}
