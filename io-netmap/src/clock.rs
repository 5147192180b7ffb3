//! The clock of a port: nanoseconds of its [`Kernel`], counted from the port's start.

use crate::kernel::Kernel;
use crate::sys;
use simoom_core::time::Instant;

/// When a port started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start_nanos: u64,
    start_unix_nanos: u64,
}

impl Clock {
    /// Starts counting now: this moment is [`Instant::ZERO`].
    pub(crate) fn start(kernel: &impl Kernel) -> Self {
        Self { start_nanos: kernel.now_nanos(), start_unix_nanos: sys::realtime_nanos() }
    }

    /// The time since the start, by the same kernel.
    pub(crate) fn now(&self, kernel: &impl Kernel) -> Instant {
        Instant::from_nanos(kernel.now_nanos().saturating_sub(self.start_nanos))
    }

    /// The UTC time of [`Instant::ZERO`]: nanoseconds since 1970, as the system's clock had it when
    /// the port was opened. Does not follow later corrections of the system's clock.
    pub fn start_unix_nanos(&self) -> u64 {
        self.start_unix_nanos
    }
}
