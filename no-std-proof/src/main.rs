//! A program without `std` and without a C library that makes a stack and lets it turn once. A
//! dependency that needed either would fail to link here. It is linked, and may be run: it ends with
//! status 0 where the turn went as it must.
#![no_std]
#![no_main]

extern crate alloc;

mod mem;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicUsize, Ordering};
use simoom_core::content::NoContent;
use simoom_core::port::{
    Buf, Census, ChecksumOffload, Port, PortCaps, RxFrame, TxFull, TxSync, Unclaimed,
};
use simoom_core::secrets::Secrets;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use simoom_core::stack::{Config, Stack};
use simoom_core::time::Instant;
use simoom_core::wire::MacAddr;

const HEAP_BYTES: usize = 32 << 20;

/// Hands out one region from front to back and takes nothing back.
struct Bump {
    region: UnsafeCell<[u8; HEAP_BYTES]>,
    used: AtomicUsize,
}

// SAFETY: (one-owner) `used` only grows, atomically, so no two allocations overlap.
unsafe impl Sync for Bump {}

// SAFETY: (one-owner) every block lies in the region, aligned, and is handed out once.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.region.get().addr();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start = (base + used).next_multiple_of(layout.align()) - base;
            let Some(end) = start.checked_add(layout.size()).filter(|&end| end <= HEAP_BYTES)
            else {
                return core::ptr::null_mut();
            };
            match self.used.compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.region.get().cast::<u8>().wrapping_add(start),
                Err(now) => used = now,
            }
        }
    }
    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump { region: UnsafeCell::new([0; HEAP_BYTES]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

/// Named by the tables for unwinding of the `alloc` that comes with the compiler; nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

fn exit(status: i32) -> ! {
    // SAFETY: (system call) exit_group takes a number and does not return.
    unsafe {
        core::arch::asm!("syscall", in("rax") 231, in("rdi") status, options(noreturn, nostack));
    }
}

/// An application that never has anything to say.
struct Silent(NoContent);

impl App for Silent {
    type Conn = ();
    type Content = NoContent;
    fn content(&mut self) -> &mut NoContent {
        &mut self.0
    }
    fn on_open(&mut self, _: &mut Cx<'_>, _: Peer) {}
    fn on_bytes(&mut self, _: &mut Cx<'_>, (): &mut (), bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn source(&mut self, (): &(), _: u64, _: u32) -> Source<'_> {
        Source::Pending
    }
    fn on_acked(&mut self, _: &mut Cx<'_>, (): &mut (), _: u64) {}
    fn on_close(&mut self, (): (), _: CloseReason) {}
}

/// A port to which one frame comes and from which none leaves.
struct OneFrame {
    caps: PortCaps,
    frame: Option<[u8; 60]>,
}

impl Port for OneFrame {
    type Error = ();
    fn caps(&self) -> &PortCaps {
        &self.caps
    }
    fn bytes(&self, _: &Buf) -> &[u8] {
        &[]
    }
    fn bytes_mut(&mut self, _: &mut Buf) -> &mut [u8] {
        &mut []
    }
    fn copy(&mut self, _: &Buf, _: &mut Buf, _: usize) {}
    fn take_free(&mut self) -> Option<Buf> {
        None
    }
    fn give_back(&mut self, _: Buf) {}
    fn free(&self) -> usize {
        0
    }
    fn receive(
        &mut self,
        _: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        match self.frame.take() {
            Some(frame) => {
                on_batch(&[RxFrame { bytes: &frame }]);
                1
            }
            None => 0,
        }
    }
    fn tx_free(&self) -> usize {
        0
    }
    fn submit(&mut self, buf: Buf, _: u16) -> Result<(), TxFull> {
        Err(TxFull(buf))
    }
    fn reclaim(&mut self, _: impl FnMut(Buf) -> Option<Buf>) -> usize {
        0
    }
    fn sync_tx(&mut self, _: TxSync) -> Result<(), ()> {
        Ok(())
    }
    fn census(&self) -> Census {
        Census::default()
    }
}

// The kernel enters with the stack aligned; a function expects it so before its return address.
core::arch::global_asm!(".globl _start", "_start:", "and rsp, -16", "call run");

#[unsafe(no_mangle)]
extern "C" fn run() -> ! {
    let caps = PortCaps {
        frame_max: 1_514,
        buffers: 0,
        tx_slots: 0,
        tx_hold_max: 0,
        tx_hold_idle: 0,
        max_frags: 1,
        checksum: ChecksumOffload::default(),
    };
    let mut config = Config::new(MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1), 24);
    config.connections_max = 16;
    config.content.runs_max = 16;
    let mut port = OneFrame { caps, frame: Some([0xff; 60]) };
    let mut stack = Stack::new(config, Secrets::new([1, 2, 3, 4]), &caps, Silent(NoContent));
    let turned = stack.turn(Instant::ZERO, &mut port).is_ok();
    let counted = stack.stats().frames_in == 1 && stack.stats().frames_out == 0;
    exit(if turned && counted { 0 } else { 1 })
}
