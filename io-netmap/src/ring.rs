//! One ring as the port sees it: cursors and slots in shared memory.
//!
//! Slots from `head` up to, not including, `tail` are ours; the kernel looks at them in system calls
//! that we make, and at `head` and `cur` then. All others are the kernel's. `tail` is read with
//! acquire before the slots that it hands over, `head` is written with release after them.
#![allow(unsafe_code, reason = "memory shared with a kernel")]

use crate::mutants::mutant;
use crate::region::Region;
use crate::sys::{BUF_CHANGED, InterfaceHeader, RingHeader, Slot};
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is wrong with a ring or an interface in shared memory: a number that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) what: &'static str,
    pub(crate) found: u64,
}

/// The first half of a slot: what is read and written at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) buf_idx: u32,
    pub(crate) len: u16,
    pub(crate) flags: u16,
}

const _: () = {
    assert!(size_of::<Descriptor>() == 8);
    assert!(offset_of!(Descriptor, len) == offset_of!(Slot, len));
    assert!(offset_of!(Descriptor, flags) == offset_of!(Slot, flags));
};

/// A bound ring.
#[derive(Debug)]
pub(crate) struct Ring {
    header: NonNull<RingHeader>,
    slots: NonNull<Slot>,
    num_slots: u32,
    /// Our own `head`, in front of or at the one published.
    head: u32,
    region: Arc<Region>,
}

// SAFETY: (one-owner) one port has the ring, wherever it goes; the kernel keeps to its slots.
unsafe impl Send for Ring {}

/// Slots of a ring, at most: more than any driver has.
const SLOTS_MAX: u32 = 1 << 20;

impl Ring {
    /// The ring at `offset` of the region. Its cursors are taken as they are: a ring may be bound
    /// again with frames of its last owner still in it.
    pub(crate) fn new(region: Arc<Region>, offset: usize) -> Result<Self, Malformed> {
        let malformed = |what, found| Err(Malformed { what, found });
        let fits = region.holds(offset, size_of::<RingHeader>());
        if offset == 0 || !fits || !offset.is_multiple_of(align_of::<Slot>()) {
            return malformed("the offset of a ring", offset as u64);
        }
        let number = |field: usize| region.read::<u32>(offset + field);
        let num_slots = number(offset_of!(RingHeader, num_slots));
        let first_slot = offset + size_of::<RingHeader>();
        let room = (2..=SLOTS_MAX).contains(&num_slots)
            && region.holds(first_slot, num_slots as usize * size_of::<Slot>());
        if !room {
            return malformed("the number of slots of a ring", num_slots.into());
        }
        let head = number(offset_of!(RingHeader, head));
        if head >= num_slots {
            return malformed("the head of a ring", head.into());
        }
        // Netmap aligns rings to 128 by its own header, to 64 in the kernel's pools.
        let header = region.at::<u64>(offset).cast::<RingHeader>();
        let slots = region.at::<Slot>(first_slot);
        Ok(Self { header, slots, num_slots, head, region })
    }

    /// Where buffer 0 of the ring's memory is, from the region's beginning, and the bytes of one.
    pub(crate) fn buffers_at(&self, offset: usize) -> Result<(i64, u32), Malformed> {
        let buf_ofs = self.region.read::<i64>(offset + offset_of!(RingHeader, buf_ofs));
        let size = self.region.read::<u32>(offset + offset_of!(RingHeader, nr_buf_size));
        match i64::try_from(offset).ok().and_then(|offset| offset.checked_add(buf_ofs)) {
            Some(at) => Ok((at, size)),
            None => Err(Malformed { what: "the offset of buffers", found: buf_ofs as u64 }),
        }
    }

    /// Slots of the ring; one of them is always the kernel's.
    #[inline]
    pub(crate) fn num_slots(&self) -> u32 {
        self.num_slots
    }

    /// The first slot that is ours, where there is one.
    #[inline]
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// The slot after `slot`.
    #[inline]
    pub(crate) fn next(&self, slot: u32) -> u32 {
        if slot + 1 == self.num_slots { 0 } else { slot + 1 }
    }

    /// The slot before `slot`.
    pub(crate) fn previous(&self, slot: u32) -> u32 {
        if slot == 0 { self.num_slots - 1 } else { slot - 1 }
    }

    /// Slots from `from` up to, not including, `to`.
    #[inline]
    pub(crate) fn distance(&self, from: u32, to: u32) -> u32 {
        if to >= from { to - from } else { to + self.num_slots - from }
    }

    /// The first slot that is the kernel's, as it says now. Whatever it handed over before is seen.
    #[inline]
    pub(crate) fn tail(&self) -> Result<u32, Malformed> {
        let tail = self.cursor(offset_of!(RingHeader, tail)).load(Ordering::Acquire);
        if tail < self.num_slots {
            return Ok(tail);
        }
        Err(Malformed { what: "the tail of a ring", found: tail.into() })
    }

    /// One slot more is the kernel's, as soon as that is published.
    #[inline]
    pub(crate) fn step(&mut self) {
        self.head = self.next(self.head);
    }

    /// All slots before `slot` are the kernel's again, at its next system call; those up to `seen` say
    /// nothing new, and poll(2) waits for others.
    #[inline]
    pub(crate) fn release_to(&mut self, slot: u32, seen: u32) {
        self.head = slot;
        self.publish_until(slot, seen);
    }

    /// Tells the kernel which slots are its own; it looks in its next system call.
    #[inline]
    pub(crate) fn publish(&self) {
        self.publish_as(self.head);
    }

    /// The same with another number: what a faulty port would say.
    #[inline]
    pub(crate) fn publish_as(&self, head: u32) {
        self.publish_until(head, head);
    }

    /// The same where the slots from `head` up to `cur`, which are ours, are none to wake up for.
    #[inline]
    pub(crate) fn publish_until(&self, head: u32, cur: u32) {
        // `cur` first: it is never behind `head`.
        self.cursor(offset_of!(RingHeader, cur)).store(cur, Ordering::Release);
        self.cursor(offset_of!(RingHeader, head)).store(head, Ordering::Release);
    }

    #[inline]
    fn cursor(&self, field: usize) -> &AtomicU32 {
        // SAFETY: (in-region) a cursor lies within the header, which lies in the region.
        let at = unsafe { self.header.cast::<u8>().add(field) }.cast::<u32>();
        // SAFETY: (in-region) aligned, in memory that the ring's region keeps alive, and never
        // accessed but by atomics while the ring is bound.
        unsafe { AtomicU32::from_ptr(at.as_ptr()) }
    }

    #[inline]
    fn slot(&self, slot: u32) -> NonNull<Descriptor> {
        if slot >= self.num_slots {
            no_slot(slot, self.num_slots);
        }
        // SAFETY: (in-region) `num_slots` slots lie in the region.
        unsafe { self.slots.add(slot as usize) }.cast()
    }

    /// What a slot of ours says: the buffer in it is ours.
    #[inline]
    pub(crate) fn read(&self, slot: u32) -> Descriptor {
        // SAFETY: (in-region) `slot` checks the number; any bits are a descriptor.
        unsafe { self.slot(slot).read_volatile() }
    }

    /// Two slots of ours, here and in another ring, change buffers: the frame that is in this one lies in
    /// the other then. Answers the index that comes back. Both slots say that their buffer changed.
    pub(crate) fn hand_over(
        &mut self,
        slot: u32,
        frame: Descriptor,
        to: &mut Self,
        at: u32,
    ) -> u32 {
        let Descriptor { buf_idx, len, .. } = frame;
        let flags = if mutant!(HostBufChangedMissing) { 0 } else { BUF_CHANGED };
        let before = to.fill(at, Descriptor { buf_idx, len, flags });
        let refill = if mutant!(HostSlotNotRefilled) { buf_idx } else { before };
        self.fill(slot, Descriptor { buf_idx: refill, len: 0, flags: BUF_CHANGED });
        before
    }

    /// Fills a slot of ours and answers the buffer that was in it. The slot's last word, for offsets and
    /// user pointers, is left.
    #[inline]
    pub(crate) fn fill(&mut self, slot: u32, descriptor: Descriptor) -> u32 {
        let at = self.slot(slot);
        // SAFETY: (in-region) `slot` checks the number; any bits are an index, the first word.
        let before = unsafe { at.cast::<u32>().read_volatile() };
        let Descriptor { buf_idx, len, flags } = descriptor;
        // In native order as the fields of a descriptor lie in memory: one word, one write.
        let word = if cfg!(target_endian = "little") {
            u64::from(flags) << 48 | u64::from(len) << 32 | u64::from(buf_idx)
        } else {
            u64::from(buf_idx) << 32 | u64::from(len) << 16 | u64::from(flags)
        };
        // SAFETY: (one-owner) the slot is ours, so the kernel does not look at it before it is
        // published. Slots are aligned for 64 bits.
        unsafe { at.cast::<u64>().write_volatile(word) };
        before
    }

    /// Puts another buffer into a slot of ours and answers the one that was in it. The rest is left: the
    /// slot will be filled before it is published.
    #[inline]
    pub(crate) fn exchange_buffer(&mut self, slot: u32, index: u32) -> u32 {
        let at = self.slot(slot).cast::<u32>();
        // SAFETY: (in-region) `slot` checks the number; any bits are an index, the first word.
        let before = unsafe { at.read_volatile() };
        // SAFETY: (one-owner) as in `fill`.
        unsafe { at.write_volatile(index) };
        before
    }
}

/// Takes its numbers by value, so that whoever asks for a slot keeps them in registers.
#[cold]
#[inline(never)]
fn no_slot(slot: u32, num_slots: u32) -> ! {
    panic!("slot {slot} of {num_slots}")
}

/// The interface at an offset of a region: what is bound.
#[derive(Debug)]
pub(crate) struct Interface {
    offset: usize,
    region: Arc<Region>,
}

impl Interface {
    pub(crate) fn new(region: Arc<Region>, offset: u64) -> Result<Self, Malformed> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if !region.holds(at, size_of::<InterfaceHeader>()) || !offset.is_multiple_of(8) {
            return Err(Malformed { what: "the offset of the interface", found: offset });
        }
        Ok(Self { offset: at, region })
    }

    fn number(&self, field: usize) -> u32 {
        self.region.read(self.offset + field)
    }

    /// Where the NIC's transmit ring `ring` is, from the region's beginning.
    pub(crate) fn tx_ring(&self, ring: u16) -> Result<usize, Malformed> {
        let have = self.number(offset_of!(InterfaceHeader, ni_tx_rings));
        self.ring(ring.into(), have, 0)
    }

    /// Where the NIC's receive ring `ring` is. The host's transmit rings, however many, come before
    /// the receive rings.
    pub(crate) fn rx_ring(&self, ring: u16) -> Result<usize, Malformed> {
        let have = self.number(offset_of!(InterfaceHeader, ni_rx_rings));
        let tx = self.number(offset_of!(InterfaceHeader, ni_tx_rings));
        let host = self.number(offset_of!(InterfaceHeader, ni_host_tx_rings));
        self.ring(ring.into(), have, u64::from(tx) + u64::from(host))
    }

    /// Where the ring that takes frames to the host is, the `ring`th of those.
    pub(crate) fn host_tx_ring(&self, ring: u16) -> Result<usize, Malformed> {
        let have = self.number(offset_of!(InterfaceHeader, ni_host_tx_rings));
        let tx = self.number(offset_of!(InterfaceHeader, ni_tx_rings));
        self.ring(ring.into(), have, tx.into())
    }

    /// Where the ring that brings frames from the host is: the last ones are these.
    pub(crate) fn host_rx_ring(&self, ring: u16) -> Result<usize, Malformed> {
        let have = self.number(offset_of!(InterfaceHeader, ni_host_rx_rings));
        let before = [
            offset_of!(InterfaceHeader, ni_tx_rings),
            offset_of!(InterfaceHeader, ni_host_tx_rings),
            offset_of!(InterfaceHeader, ni_rx_rings),
        ];
        self.ring(ring.into(), have, before.map(|field| u64::from(self.number(field))).iter().sum())
    }

    fn ring(&self, ring: u32, have: u32, before: u64) -> Result<usize, Malformed> {
        if ring >= have {
            return Err(Malformed { what: "the number of rings", found: have.into() });
        }
        let place = self.offset as u64
            + size_of::<InterfaceHeader>() as u64
            + (before + u64::from(ring)) * size_of::<i64>() as u64;
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if !self.region.holds(place, size_of::<i64>()) {
            return Err(Malformed { what: "the number of rings", found: before });
        }
        let from_here: i64 = self.region.read(place);
        // A ring that is not bound has offset 0.
        if from_here == 0 {
            return Err(Malformed { what: "the offset of a ring", found: 0 });
        }
        let offset = i64::try_from(self.offset).ok().and_then(|at| at.checked_add(from_here));
        let offset = offset.and_then(|at| usize::try_from(at).ok());
        offset.ok_or(Malformed { what: "the offset of a ring", found: from_here as u64 })
    }

    /// The first of the extra buffers; 0 where there is none.
    pub(crate) fn extra_head(&self) -> u32 {
        self.number(offset_of!(InterfaceHeader, ni_bufs_head))
    }

    pub(crate) fn set_extra_head(&self, index: u32) {
        self.region.write(self.offset + offset_of!(InterfaceHeader, ni_bufs_head), index);
    }
}
