//! The memory that a port shares with its kernel, and the buffers in it.
//!
//! Either a mapping of the real kernel's, or memory of this process in which [`crate::model`] plays
//! the kernel. Typed access is volatile and checked against the region's length; ring cursors are
//! atomic. Knows nothing of slots and tokens.
#![allow(unsafe_code, reason = "memory shared with a kernel")]

use crate::sys;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Shared memory. Unmapped or freed when nobody has it any more.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// mmap of a bound descriptor.
    Mapped,
    /// Of this process, in pages.
    Owned(Layout),
}

// SAFETY: (one-owner) a region is an address and a length; who may touch what of the memory is
// settled by ring cursors and tokens, not by which thread asks.
unsafe impl Send for Region {}
// SAFETY: (one-owner) as above: through a shared region all access is volatile or atomic.
unsafe impl Sync for Region {}

/// A number that may lie in shared memory: any bits are a value of it.
///
/// # Safety
/// Implemented for integers alone.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: (plain-data) an integer.
unsafe impl Plain for u16 {}
// SAFETY: (plain-data) an integer.
unsafe impl Plain for u32 {}
// SAFETY: (plain-data) an integer.
unsafe impl Plain for i64 {}
// SAFETY: (plain-data) an integer.
unsafe impl Plain for u64 {}

/// Of what [`Region::allocate`] gives.
const PAGE: usize = 4_096;

impl Region {
    /// Maps the memory of a bound descriptor.
    pub(crate) fn map(netmap: &std::fs::File, len: usize) -> std::io::Result<Arc<Self>> {
        let base = sys::map(netmap, len)?;
        Ok(Arc::new(Self { base, len, kind: Kind::Mapped }))
    }

    /// Memory of this process: so many bytes of zeroes, from a page's beginning.
    ///
    /// # Panics
    /// Where `len` is 0 or there is not that much memory.
    pub fn allocate(len: usize) -> Arc<Self> {
        assert!(len > 0, "a region of no bytes");
        let Ok(layout) = Layout::from_size_align(len, PAGE) else {
            panic!("a region of {len} bytes");
        };
        // SAFETY: (plain-data) the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        Arc::new(Self { base, len, kind: Kind::Owned(layout) })
    }

    /// Its bytes.
    #[expect(clippy::len_without_is_empty, reason = "no region is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where it begins in this process: for tests of who writes to which line.
    pub fn address(&self) -> usize {
        self.base.addr().get()
    }

    /// Whether so many bytes from `offset` on lie in the region.
    pub(crate) fn holds(&self, offset: usize, len: usize) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// The address of a `T` at `offset`.
    ///
    /// # Panics
    /// Where it is not within the region, or not aligned.
    pub(crate) fn at<T>(&self, offset: usize) -> NonNull<T> {
        assert!(self.holds(offset, size_of::<T>()), "{offset} is beyond {} bytes", self.len);
        // SAFETY: (in-region) just asserted.
        let at = unsafe { self.base.add(offset) }.cast::<T>();
        assert!(at.is_aligned(), "{offset} is not aligned");
        at
    }

    /// Reads a number once.
    pub(crate) fn read<T: Plain>(&self, offset: usize) -> T {
        // SAFETY: (in-region) `at` checks bounds and alignment, and any bits are a `T`.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    /// Writes a number once.
    pub(crate) fn write<T: Plain>(&self, offset: usize, value: T) {
        // SAFETY: (in-region) `at` checks bounds and alignment.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }

    /// A number that both sides change while the other looks.
    pub(crate) fn atomic(&self, offset: usize) -> &AtomicU32 {
        let at = self.at::<u32>(offset).as_ptr();
        // SAFETY: (in-region) `at` checks bounds and alignment; the answer lives no longer than the
        // region; all other access to ring cursors is atomic too.
        unsafe { AtomicU32::from_ptr(at) }
    }

    /// Copies bytes out, for the model's DMA: it reads whatever is there then.
    pub(crate) fn copy_out(&self, offset: usize, into: &mut [u8]) {
        assert!(self.holds(offset, into.len()), "{offset} is beyond {} bytes", self.len);
        // SAFETY: (in-region) just asserted.
        let from = unsafe { self.base.add(offset) };
        // SAFETY: (in-region) as many bytes are there as are copied; `into` is the caller's own.
        unsafe { from.copy_to_nonoverlapping(NonNull::from(&mut *into).cast(), into.len()) };
    }

    /// Copies bytes in, for the model's DMA: the buffer is the kernel's.
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) {
        assert!(self.holds(offset, from.len()), "{offset} is beyond {} bytes", self.len);
        // SAFETY: (in-region) just asserted.
        let into = unsafe { self.base.add(offset) };
        // SAFETY: (in-region) as much room is there as is copied, and it is no token's.
        unsafe { into.copy_from_nonoverlapping(NonNull::from(from).cast(), from.len()) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match self.kind {
            // SAFETY: (in-region) everything derived from the region keeps it alive: there is nothing.
            Kind::Mapped => unsafe { sys::unmap(self.base, self.len) },
            // SAFETY: (in-region) as above; base and layout are those of the allocation.
            Kind::Owned(layout) => unsafe { dealloc(self.base.as_ptr(), layout) },
        }
    }
}

/// netmap's index of a buffer that lies in the region: what [`Buffers::check`] has let through. A port
/// has one [`Buffers`], and no index of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(u32);

impl Index {
    /// No buffer: 0, which is netmap's own, and lies in every region.
    pub(crate) const NONE: Self = Self(0);

    /// What slots and links say.
    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

/// All buffers of a region, by netmap's index.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// Buffer 0.
    base: NonNull<u8>,
    size: usize,
    /// Indexes below this lie in the region.
    end: u32,
    _region: Arc<Region>,
}

// SAFETY: (one-owner) which thread touches a buffer is settled by who has its token.
unsafe impl Send for Buffers {}

impl Buffers {
    /// The buffers of `size` bytes from `offset` on to the region's end, at least one that is not
    /// netmap's own; None where there is no such thing.
    pub(crate) fn new(region: Arc<Region>, offset: i64, size: u32) -> Option<Self> {
        let offset = usize::try_from(offset).ok()?;
        let room = region.len.checked_sub(offset)?;
        let end = u32::try_from(room.checked_div(size as usize)?).unwrap_or(u32::MAX);
        // The list of extra buffers is linked by words.
        if end <= sys::FIRST_BUFFER || !offset.is_multiple_of(4) || !size.is_multiple_of(4) {
            return None;
        }
        let base = region.at::<u8>(offset);
        Some(Self { base, size: size as usize, end, _region: region })
    }

    /// Bytes of a buffer.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The index, if a buffer of it may be somebody's.
    #[inline]
    pub(crate) fn check(&self, index: u32) -> Option<Index> {
        // Below 2 it wraps to more than there are.
        (index.wrapping_sub(sys::FIRST_BUFFER) < self.end - sys::FIRST_BUFFER)
            .then_some(Index(index))
    }

    #[inline]
    fn start(&self, index: Index) -> NonNull<u8> {
        // SAFETY: (in-region) `end` buffers of `size` bytes lie in the region, and an index is below.
        unsafe { self.base.add(index.0 as usize * self.size) }
    }

    /// The first `len` bytes of a buffer. The caller has the right to it: its token, or the receive
    /// slot that names it.
    #[inline]
    pub(crate) fn bytes(&self, index: Index, len: usize) -> &[u8] {
        assert!(len <= self.size, "{len} bytes of a buffer of {}", self.size);
        let start = self.start(index).as_ptr();
        // SAFETY: (one-owner) the caller has the right to this buffer, so neither the kernel nor
        // another token writes to it while the answer lives, which borrows from the port.
        unsafe { slice::from_raw_parts(start, len) }
    }

    /// A whole buffer to write to. The caller has its token.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, index: Index) -> &mut [u8] {
        let start = self.start(index).as_ptr();
        // SAFETY: (one-owner) the caller has the token, so nobody else reads or writes this buffer;
        // the answer borrows the port's buffers exclusively.
        unsafe { slice::from_raw_parts_mut(start, self.size) }
    }

    /// Copies the first `len` bytes of one buffer to another. The caller has both tokens.
    #[inline]
    pub(crate) fn copy(&mut self, from: Index, to: Index, len: usize) {
        assert!(len <= self.size, "{len} bytes of a buffer of {}", self.size);
        let (from, to) = (self.start(from), self.start(to));
        // SAFETY: (one-owner) both buffers are the caller's and hold `len` bytes each.
        unsafe { from.copy_to(to, len) };
    }

    /// Copies `len` bytes from a place in one buffer to a place in another. The caller has the token of
    /// `into`, and the right to read `from`.
    #[inline]
    pub(crate) fn copy_part(
        &mut self,
        (from, at): (Index, usize),
        (into, into_at): (Index, usize),
        len: usize,
    ) {
        let within = |at: usize| at.checked_add(len).is_some_and(|end| end <= self.size);
        assert!(within(at) && within(into_at), "{len} bytes of a buffer of {}", self.size);
        // SAFETY: (in-region) just asserted.
        let from = unsafe { self.start(from).add(at) };
        // SAFETY: (in-region) just asserted.
        let into = unsafe { self.start(into).add(into_at) };
        // SAFETY: (one-owner) nobody writes to `from`, and `into` is the caller's alone.
        unsafe { from.copy_to(into, len) };
    }

    /// The first word of a buffer, which links the list of extra buffers.
    pub(crate) fn link(&self, index: Index) -> u32 {
        let at = self.start(index).cast::<u32>();
        // SAFETY: (in-region) a buffer is aligned and larger than a word; any bits are a `u32`.
        unsafe { at.read_volatile() }
    }

    /// Links a buffer of ours to the next one, 0 for none.
    pub(crate) fn set_link(&mut self, index: Index, next: u32) {
        let at = self.start(index).cast::<u32>();
        // SAFETY: (one-owner) the buffer is ours, aligned and larger than a word.
        unsafe { at.write_volatile(next) }
    }

    /// Hints that the first bytes of a buffer, headers, are about to be used.
    #[inline]
    pub(crate) fn prefetch(&self, index: Index) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at = self.start(index).as_ptr().cast::<i8>();
            // SAFETY: (in-region) a hint, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
            // SAFETY: (in-region) a hint, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64)) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = index;
    }
}
