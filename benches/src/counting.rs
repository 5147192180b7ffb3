//! A global allocator that counts. For programs and tests of this package alone: each names it with
//! `#[global_allocator]`.
#![allow(unsafe_code, reason = "an allocator is one by its nature; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, counted.
pub struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES_LIVE: AtomicU64 = AtomicU64::new(0);

/// Calls that asked for memory since the process began; zero for ever where [`Counting`] is not
/// the global allocator.
pub fn allocations() -> u64 {
    CALLS.load(Relaxed)
}

/// Bytes asked for and not given back.
pub fn bytes_live() -> u64 {
    BYTES_LIVE.load(Relaxed)
}

// SAFETY: (forwards) every call goes to `System` with the arguments it came with, and the counters
// touch no memory that is allocated here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES_LIVE.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES_LIVE.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES_LIVE.fetch_add(new_size as u64, Relaxed);
        BYTES_LIVE.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        unsafe { System.realloc(at, layout, new_size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES_LIVE.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        unsafe { System.dealloc(at, layout) }
    }
}
