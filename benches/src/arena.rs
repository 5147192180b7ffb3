//! The memory of the buffers: one stretch of zeroed bytes on pages of a stated size.
#![allow(unsafe_code, reason = "madvise has no safe form")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
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

/// Zeroed bytes, aligned to 2 MB.
pub struct Arena {
    at: NonNull<u8>,
    layout: Layout,
    advised: bool,
}

impl Arena {
    /// `len` bytes, at least one.
    pub fn new(len: usize, pages: Pages) -> Self {
        let len = len.max(1).next_multiple_of(HUGE);
        let layout = Layout::from_size_align(len, HUGE).expect("an arena fits the address space");
        // SAFETY: (sized) the layout's size is at least 2 MB.
        let raw = unsafe { alloc(layout) };
        let at = NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout));
        let advice = if pages == Pages::Huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        // SAFETY: (advice) the range is exactly this allocation, and neither advice changes bytes.
        let advised = unsafe { libc::madvise(at.as_ptr().cast(), len, advice) } == 0;
        // Only now, because the first touch decides about the page.
        // SAFETY: (whole) the range is exactly this allocation, and nobody else knows it yet.
        unsafe { at.as_ptr().write_bytes(0, len) };
        Self { at, layout, advised }
    }

    /// Whether the kernel took the advice about pages. It may still not follow it.
    pub fn advised(&self) -> bool {
        self.advised
    }
}

impl Deref for Arena {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: (whole) `at` is valid for the layout's size, initialised to zero, until drop.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.layout.size()) }
    }
}

impl DerefMut for Arena {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: (whole) as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: (whole) allocated in `new` with this layout, and given back once.
        unsafe { dealloc(self.at.as_ptr(), self.layout) }
    }
}
