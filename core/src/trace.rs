//! What an observer may see of a stack. Monomorphised: [`NoTrace`] costs nothing.

use crate::tcp;
use crate::time::Instant;

/// Is told what the stack sends. Must not change anything that the stack can see.
pub trait Trace {
    /// Whether there is anything to tell: false takes the calls out of the program.
    const ENABLED: bool = true;

    /// A frame is about to be queued. `sender` is the state of the connection that sends it, as it
    /// was when its burst began; None for answers that belong to no connection (RST, ARP, echo).
    fn on_sent(&mut self, now: Instant, frame: &[u8], sender: Option<&tcp::Info>);
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    const ENABLED: bool = false;

    fn on_sent(&mut self, _now: Instant, _frame: &[u8], _sender: Option<&tcp::Info>) {}
}
