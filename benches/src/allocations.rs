//! A global allocator that remembers where everything is, and whose it is. For programs and tests of
//! this package alone.
#![allow(unsafe_code, reason = "an allocator is one by its nature; this one only writes down")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The system's allocator, with a table of what is allocated.
pub struct Remembering;

/// Allocations alive at once, at most: more are counted ([`forgotten`]).
const ENTRIES: usize = 1 << 15;

/// A place of the table: empty, or given back, or an allocation.
struct Entry {
    address: AtomicUsize,
    size: AtomicUsize,
    owner: AtomicU32,
}

const EMPTY: usize = 0;
const GIVEN_BACK: usize = 1;

static TABLE: [Entry; ENTRIES] = [const {
    Entry { address: AtomicUsize::new(EMPTY), size: AtomicUsize::new(0), owner: AtomicU32::new(0) }
}; ENTRIES];

static FORGOTTEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWNER: Cell<u32> = const { Cell::new(0) };
}

/// What this thread allocates from now on belongs to `owner`; 0 is nobody in particular.
pub fn set_owner(owner: u32) {
    OWNER.set(owner);
}

/// An allocation that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Where it begins.
    pub address: usize,
    /// Bytes.
    pub size: usize,
    /// Whose it is.
    pub owner: u32,
}

/// Everything that is allocated now, by address.
pub fn alive() -> Vec<Allocation> {
    let mut alive = Vec::with_capacity(ENTRIES);
    for entry in &TABLE {
        let address = entry.address.load(Ordering::Acquire);
        if address > GIVEN_BACK {
            let size = entry.size.load(Ordering::Relaxed);
            alive.push(Allocation { address, size, owner: entry.owner.load(Ordering::Relaxed) });
        }
    }
    alive.sort_unstable_by_key(|allocation| allocation.address);
    alive
}

/// Allocations that found the table full.
pub fn forgotten() -> usize {
    FORGOTTEN.load(Ordering::Relaxed)
}

fn places(address: usize) -> impl Iterator<Item = &'static Entry> {
    // Allocations begin at multiples of 16.
    let first = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (first..first + ENTRIES).map(|place| &TABLE[place % ENTRIES])
}

fn remember(address: usize, size: usize) {
    // Where the thread is ending there is no owner any more.
    let owner = OWNER.try_with(Cell::get).unwrap_or(0);
    for entry in places(address) {
        let now = entry.address.load(Ordering::Relaxed);
        if now > GIVEN_BACK {
            continue;
        }
        let taken =
            entry.address.compare_exchange(now, address, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_ok() {
            entry.size.store(size, Ordering::Relaxed);
            entry.owner.store(owner, Ordering::Relaxed);
            return;
        }
    }
    FORGOTTEN.fetch_add(1, Ordering::Relaxed);
}

fn forget(address: usize) {
    for entry in places(address) {
        match entry.address.load(Ordering::Relaxed) {
            EMPTY => return,
            found if found == address => {
                entry.address.store(GIVEN_BACK, Ordering::Release);
                return;
            }
            _ => {}
        }
    }
}

// SAFETY: (forwards) every call goes to `System` with the arguments it came with, and the table holds
// no memory that is allocated here.
unsafe impl GlobalAlloc for Remembering {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        let at = unsafe { System.alloc(layout) };
        remember(at.addr(), layout.size());
        at
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        let at = unsafe { System.alloc_zeroed(layout) };
        remember(at.addr(), layout.size());
        at
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        forget(at.addr());
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        let moved = unsafe { System.realloc(at, layout, new_size) };
        remember(moved.addr(), new_size);
        moved
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        forget(at.addr());
        // SAFETY: (forwards) the caller's promise is the one that `System` asks for.
        unsafe { System.dealloc(at, layout) }
    }
}
