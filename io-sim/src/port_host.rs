//! Whatever drives a port, as a host behind a modelled NIC: one core.
//!
//! Gives it a turn when a frame came, its deadline passed or completions show that it waits for,
//! and asks after every event whether buffers are conserved. [`crate::stack_host::StackHost`] is the
//! simoom stack.

use crate::endpoint::{Host, HostCx, HostFault, Sending};
use crate::frames::FrameId;
use crate::machine::Work;
use crate::nic::SimPort;
use crate::oracle::FlowName;
use crate::oracle::promises::{Passed, PromiseConfig};
use simoom_core::port::Port;
use simoom_core::tcp::Info;
use simoom_core::time::{Duration, Instant};
use std::fmt;

/// What drives a port in turns.
pub trait PortStack {
    /// One bounded turn. Answers when to come again, if no frame comes before; a time that has
    /// passed means at once.
    fn turn(&mut self, now: Instant, port: &mut SimPort) -> Option<Instant>;

    /// Buffers in its hands between two turns: what the port's census must show as the caller's.
    fn buffers_held(&self) -> u32;

    /// Checks what must hold between two turns.
    ///
    /// # Errors
    /// What does not hold.
    fn audit(&self) -> Result<(), &'static str>;

    /// Connections that [`PortStack::audit`] looks at.
    fn audited(&self) -> usize {
        0
    }

    /// Its connections and what TCP says of each; this end is `from`.
    fn connections(&self) -> Vec<(FlowName, Info)> {
        Vec::new()
    }

    /// What its TCP promises, if its turns take no time.
    fn promises(&self) -> Option<PromiseConfig> {
        None
    }

    /// What it waits for, to be printed when a run ends too early.
    fn describe(&self) -> String;

    /// What it has done so far, for [`crate::machine::Machine`]'s cost model: everything but the
    /// turns and what its port counts (doorbells, bytes copied).
    fn work(&self) -> Work {
        Work::default()
    }
}

/// What can go on twice from here, its port being forked with it. Tokens of buffers cannot be
/// cloned by anybody else.
pub trait Fork {
    /// A second one in the same state, holding the same tokens.
    #[must_use]
    fn fork(&self) -> Self;
}

/// How the host of a stack behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortHostConfig {
    /// How long after a frame's arrival the turn for it begins: what comes meanwhile is in the
    /// same batch.
    pub rx_coalesce: Duration,
    /// Events from one [`PortStack::audit`], which may look at every connection, to the next; 1 is
    /// after every event, 0 never. Buffers are counted after every event in any case. A stack of more
    /// than [`Self::AUDITED_AN_EVENT`] connections is audited more seldom, so that no more than so
    /// many connections are looked at for each event, on average.
    pub audit_every: u32,
}

impl PortHostConfig {
    /// Connections that an event's audit looks at, at most, on average. What an audit finds does not
    /// go away by itself: a few events later it finds the same.
    pub const AUDITED_AN_EVENT: usize = 8;

    /// Whether a stack of so many connections is audited after so many events without an audit.
    #[inline]
    pub(crate) fn audits(&self, events: u32, connections: usize) -> bool {
        let every = self.audit_every as usize;
        every != 0 && events as usize >= every.max(connections / Self::AUDITED_AN_EVENT)
    }
}

impl Default for PortHostConfig {
    fn default() -> Self {
        Self { rx_coalesce: Duration::ZERO, audit_every: 1 }
    }
}

/// A stack and its NIC.
pub struct PortHost<S> {
    /// The stack. Whoever changes it between two events has to come through
    /// [`crate::world::World::host_mut`].
    pub stack: S,
    /// Its port.
    pub port: SimPort,
    config: PortHostConfig,
    /// A turn is wanted then: frames came, or somebody asked.
    turn_at: Instant,
    /// What the last turn said.
    deadline: Instant,
    turns: u64,
    events_since_audit: u32,
}

impl<S: PortStack> PortHost<S> {
    /// A host of a stack and its port. The first turn is at the world's start.
    pub fn new(stack: S, port: SimPort, config: PortHostConfig) -> Self {
        Self {
            stack,
            port,
            config,
            turn_at: Instant::ZERO,
            deadline: Instant::FAR_FUTURE,
            turns: 0,
            events_since_audit: 0,
        }
    }

    /// Turns so far.
    pub fn turns(&self) -> u64 {
        self.turns
    }
}

impl<S: Fork> Clone for PortHost<S> {
    /// Forks the stack together with its port.
    fn clone(&self) -> Self {
        Self { stack: self.stack.fork(), port: self.port.clone(), ..*self }
    }
}

impl<S: PortStack> fmt::Debug for PortHost<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl<S: PortStack> Host for PortHost<S> {
    #[inline]
    fn accepts(&mut self, _port: usize, _frame: &[u8]) -> bool {
        let full = self.port.rx_is_full();
        if full {
            self.port.count_overflow();
        }
        !full
    }

    #[inline]
    fn on_frame(&mut self, cx: &mut HostCx<'_>, _port: usize, frame: FrameId) {
        std::mem::swap(self.port.frames_mut(), cx.frames);
        self.port.catch_up(cx.now);
        if self.port.deliver(frame) {
            if !self.port.rx_is_stalled() {
                self.turn_at = self.turn_at.min(cx.now + self.config.rx_coalesce);
            }
        } else {
            self.port.frames_mut().remove(frame);
        }
        std::mem::swap(self.port.frames_mut(), cx.frames);
    }

    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        std::mem::swap(self.port.frames_mut(), cx.frames);
        self.port.advance(cx.now);
        if self.port.take_rx_released() {
            self.turn_at = cx.now;
        }
        if self.turn_at.min(self.deadline) <= cx.now || self.port.has_awaited_completions() {
            self.turn_at = Instant::FAR_FUTURE;
            loop {
                let deadline = self.stack.turn(cx.now, &mut self.port);
                self.deadline = deadline.unwrap_or(Instant::FAR_FUTURE);
                self.turns += 1;
                if self.port.rx_len() == 0 {
                    break;
                }
            }
        }
        while let Some(sent) = self.port.take_sent() {
            cx.sent.push(Sending { port: 0, frame: sent.frame, at: sent.at });
        }
        std::mem::swap(self.port.frames_mut(), cx.frames);
    }

    #[inline]
    fn next_wake(&self) -> Option<Instant> {
        if self.port.has_awaited_completions() {
            return Some(Instant::ZERO);
        }
        let device = self.port.next_event().unwrap_or(Instant::FAR_FUTURE);
        let at = self.turn_at.min(self.deadline).min(device);
        (at != Instant::FAR_FUTURE).then_some(at)
    }

    fn poke(&mut self, now: Instant) {
        self.turn_at = now;
    }

    fn audit(&mut self) -> Result<(), HostFault> {
        if let Some(violation) = self.port.take_violation() {
            return Err(HostFault::Nic(violation));
        }
        let (held, given) = (self.stack.buffers_held(), self.port.census().caller);
        if held != given {
            return Err(HostFault::BuffersLost { held, given });
        }
        self.events_since_audit += 1;
        if self.config.audits(self.events_since_audit, self.stack.audited()) {
            self.events_since_audit = 0;
            self.stack.audit().map_err(HostFault::Audit)?;
        }
        Ok(())
    }

    fn promises(&mut self) -> Vec<PromiseConfig> {
        let promises = self.stack.promises();
        if promises.is_some() {
            self.port.watch(0);
        }
        promises.into_iter().collect()
    }

    #[inline]
    fn take_passed(&mut self, into: &mut Vec<Passed>) {
        self.port.take_passed(into);
    }

    fn connections(&self) -> Vec<(FlowName, Info)> {
        self.stack.connections()
    }

    fn describe(&self) -> String {
        let at = |at: Instant| match at {
            Instant::FAR_FUTURE => String::from("never"),
            at => format!("{at:?}"),
        };
        format!(
            "{}; {} turns, next deadline {}, next turn {}, {:?}",
            self.stack.describe(),
            self.turns,
            at(self.deadline),
            at(self.turn_at),
            self.port.census(),
        )
    }
}
