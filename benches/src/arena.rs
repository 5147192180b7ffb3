//! The memory of the buffers: one stretch of zeroed bytes on pages of a stated size.
#![allow(unsafe_code, reason = "mmap and madvise have no safe form")]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

const HUGE: usize = 2 << 20;

/// Which pages to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// The system's own: 4 KB where the machine is an x86.
    Small,
    /// Transparent huge pages of 2 MB, where the kernel gives them.
    Huge,
}

/// Zeroed bytes that begin on a border of 2 MB. A mapping of its own: the advice about pages stays
/// with addresses, and would pass on to whoever allocates there next.
pub struct Arena {
    mapped: NonNull<u8>,
    mapped_len: usize,
    /// From the start of the mapping.
    offset: usize,
    len: usize,
}

impl Arena {
    /// `len` bytes, at least one.
    ///
    /// # Panics
    /// Where the system has not as much memory.
    pub fn new(len: usize, pages: Pages) -> Self {
        let len = len.max(1).next_multiple_of(HUGE);
        let mapped_len = len + HUGE;
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: (fresh) no address is asked for, so nothing that exists is replaced.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), mapped_len, access, kind, -1, 0) };
        assert!(at != libc::MAP_FAILED, "{mapped_len} bytes: {}", std::io::Error::last_os_error());
        let mapped = NonNull::new(at.cast::<u8>()).expect("a mapping does not begin at zero");
        let offset = mapped.as_ptr().align_offset(HUGE);
        let advice = if pages == Pages::Huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        // A kernel without huge pages refuses; the pages are then small, and the table says so.
        // SAFETY: (fresh) the range is exactly this mapping, and neither advice changes bytes.
        let _refused = unsafe { libc::madvise(at, mapped_len, advice) };
        let mut arena = Self { mapped, mapped_len, offset, len };
        // Not in the measured region, the page faults.
        for page in arena.chunks_mut(4_096) {
            page[0] = 0;
        }
        arena
    }
}

impl Deref for Arena {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: (whole) the mapping has `offset + len` bytes at least: `offset` is below 2 MB.
        let at = unsafe { self.mapped.as_ptr().add(self.offset) };
        // SAFETY: (whole) as above; zero from the start, and mapped until drop.
        unsafe { std::slice::from_raw_parts(at, self.len) }
    }
}

impl DerefMut for Arena {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: (whole) the mapping has `offset + len` bytes at least: `offset` is below 2 MB.
        let at = unsafe { self.mapped.as_ptr().add(self.offset) };
        // SAFETY: (whole) as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(at, self.len) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: (whole) the mapping made in `new`, given back once.
        unsafe { libc::munmap(self.mapped.as_ptr().cast(), self.mapped_len) };
    }
}
