//! The simoom stack as what drives a port of a world.

use crate::nic::SimPort;
use crate::port_host::{Fork, PortHost, PortStack};
use simoom_core::stack::Stack;
use simoom_core::stack::app::App;
use simoom_core::time::Instant;
use simoom_core::trace::{NoTrace, Trace};

/// A simoom stack behind a modelled NIC.
pub type StackHost<A, T = NoTrace> = PortHost<Stack<A, T>>;

impl<A: App, T: Trace> PortStack for Stack<A, T> {
    fn turn(&mut self, now: Instant, port: &mut SimPort) -> Option<Instant> {
        match Stack::turn(self, now, port) {
            Ok(deadline) => deadline.map(|deadline| deadline.at),
            Err(never) => match never {},
        }
    }

    fn buffers_held(&self) -> u32 {
        Stack::buffers_held(self)
    }

    fn audit(&self) -> Result<(), &'static str> {
        Stack::audit(self)
    }

    fn describe(&self) -> String {
        format!("a stack of {} connections", self.connections())
    }
}

impl<A, T> Fork for Stack<A, T>
where
    A: App + Clone,
    A::Conn: Clone,
    T: Trace + Clone,
{
    fn fork(&self) -> Self {
        Stack::fork(self)
    }
}
