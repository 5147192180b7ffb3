//! What an observer may see of a stack. Monomorphised: [`NoTrace`] costs nothing.

use crate::stack::FlowKey;
use crate::tcp;
use crate::time::Instant;

/// Is told what the stack sends and what that does to its connections. Must not change anything
/// that the stack can see.
pub trait Trace {
    /// Whether there is anything to tell: false takes the calls out of the program.
    const ENABLED: bool = true;

    /// A frame is about to be queued. `sender` is the state of the connection that sends it, the
    /// frame counted as sent, with the reason in [`tcp::Info::why`]; None for answers that belong
    /// to no connection, or to one that is gone (RST, ARP, echo).
    fn on_sent(&mut self, now: Instant, frame: &[u8], sender: Option<&tcp::Info>);

    /// A connection has taken in a segment, or a timer of it has run out. `after` is its state then,
    /// before anything is sent: the congestion window after each ACK is seen here.
    fn on_state(&mut self, _now: Instant, _connection: &FlowKey, _after: &tcp::Info) {}
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    const ENABLED: bool = false;

    fn on_sent(&mut self, _now: Instant, _frame: &[u8], _sender: Option<&tcp::Info>) {}
}
