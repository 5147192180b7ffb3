//! What an observer may see of a stack. Monomorphised: [`NoTrace`] costs nothing.

use crate::time::Instant;

/// Receives notice of what the stack did. Must not change anything the stack can see.
pub trait Trace {
    /// A frame was queued for transmission, with the state of the connection that sent it.
    #[inline]
    fn on_sent(&mut self, _now: Instant, _frame: &[u8]) {}
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {}
