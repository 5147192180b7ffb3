//! Ending a run from outside: by another thread, or by Ctrl-C.

use crate::sys;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that, once raised, stays up and wakes every port that waits with it.
///
/// Clones are the same flag. A port that has it ([`crate::tap::TapPort::set_stop`]) answers None
/// from `advance`. To drain first, take it from the port and go on turning until the stack is
/// quiet, or until a deadline of your own.
#[derive(Clone, Debug)]
pub struct StopFlag(Arc<Shared>);

/// What the clones share, and the signal handler sees.
#[derive(Debug)]
pub(crate) struct Shared {
    raised: AtomicBool,
    /// An eventfd; readable from the first `raise` on, since nobody reads it.
    event: File,
}

impl StopFlag {
    /// A flag that is not raised. Fails where the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared { raised: AtomicBool::new(false), event: sys::event_fd()? })))
    }

    /// Raises the flag: ports that wait return at once, the others at their next `advance`.
    pub fn raise(&self) {
        self.0.raise();
    }

    /// Whether the flag was raised.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Raises this flag at the first SIGINT (Ctrl-C) or SIGTERM of the process; one that finds it
    /// raised ends the process as if nothing had been installed. A process has one such flag: the last.
    pub fn raise_on_interrupt(&self) -> io::Result<()> {
        sys::raise_on_signals(Arc::clone(&self.0), &[libc::SIGINT, libc::SIGTERM])
    }

    /// A descriptor that is readable from the first [`StopFlag::raise`] on, for ports of other crates
    /// to wait for. Nobody may read it. Fails where the process has no file descriptor left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.0.event.try_clone()?.into())
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.0.event.as_raw_fd()
    }
}

impl Shared {
    /// Whether it was up before. Async-signal-safe: one atomic exchange and one write(2).
    pub(crate) fn raise(&self) -> bool {
        let before = self.raised.swap(true, Ordering::AcqRel);
        // Fails only when the counter is at its end, and then the fd is readable already.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
        before
    }
}
