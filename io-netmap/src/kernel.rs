//! What a port asks of a kernel while it runs: the seam between the real one and the model.

use simoom_core::time::Duration;
use std::io;

/// The kernel's side of one bound ring pair, as system calls. Dropping it closes the binding: the
/// kernel then takes back what the slots and the list of extra buffers hold.
pub trait Kernel {
    /// Takes what was queued for sending, and reports every completion there is: `NIOCTXSYNC`.
    ///
    /// # Errors
    /// errno of the call.
    fn tx_sync(&mut self) -> io::Result<()>;

    /// Takes back what was released of the receive ring and shows what came: `NIOCRXSYNC`.
    ///
    /// # Errors
    /// errno of the call.
    fn rx_sync(&mut self) -> io::Result<()>;

    /// Takes what was queued for sending, without asking for completions unless the ring is full,
    /// takes back what was released of the receive ring, and waits: poll(2). May end early with nothing.
    ///
    /// # Errors
    /// errno of the call; `Interrupted` after a signal.
    fn poll(&mut self, wait: Wait) -> io::Result<Ready>;

    /// Nanoseconds of a clock that never goes back.
    fn now_nanos(&self) -> u64;

    /// Does nothing for so long: while closing, for the last frames to leave.
    fn pause(&mut self, span: Duration);
}

/// What to wait for, besides received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long at most; None: for ever.
    pub timeout: Option<Duration>,
    /// Also for a free slot of the transmit ring.
    pub output: bool,
}

/// What a wait saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The kernel refuses the rings, or their interface is gone: it will not get better.
    pub failed: bool,
    /// The end was asked for, or nothing can ever come.
    pub ended: bool,
}
