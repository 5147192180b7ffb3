//! What a host is: to a world ([`Host`]), and to whoever brings a stack of their own ([`Endpoint`]).
//!
//! A host is given frames and told the time, and gives frames. [`crate::port_host::PortHost`] is a stack
//! behind a modelled NIC; [`EndpointHost`] is anything that speaks frames, without a NIC;
//! [`Either`] puts two kinds into one world without `dyn`.

use crate::frames::{FrameId, Frames};
use crate::nic::NicViolation;
use crate::oracle::FlowName;
use crate::oracle::promises::{Passed, PromiseConfig};
use simoom_core::tcp::Info;
use simoom_core::time::Instant;
use std::fmt;

/// A stack without input and output: a frame in, frames out, a deadline.
pub trait Endpoint {
    /// A frame came, from its destination address on, FCS out. [`Endpoint::poll`] follows.
    fn on_frame(&mut self, now: Instant, frame: &[u8]);

    /// Sends what there is to send and says when to come again at the latest. Called after each
    /// frame, at the deadline, and when the world was told that the host was changed.
    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant>;

    /// What it waits for, to be printed when a run ends too early.
    fn describe(&self) -> String {
        String::from("an endpoint")
    }
}

/// What a host may do while it is called.
#[derive(Debug)]
pub struct HostCx<'a> {
    pub(crate) now: Instant,
    pub(crate) frames: &'a mut Frames,
    pub(crate) sent: &'a mut Vec<Sending>,
}

/// A frame that a host has given to one of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) port: usize,
    pub(crate) frame: FrameId,
    pub(crate) at: Instant,
}

impl HostCx<'_> {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The bytes of a frame that came.
    pub fn bytes(&self, frame: FrameId) -> &[u8] {
        self.frames.get(frame)
    }

    /// Ends a frame that came. Whoever takes a frame has to end it or send it on.
    pub fn release(&mut self, frame: FrameId) {
        self.frames.remove(frame);
    }

    /// Sends bytes out of a port, now.
    pub fn send(&mut self, port: usize, bytes: &[u8]) {
        let frame = self.frames.add(bytes);
        self.send_frame(port, frame, self.now);
    }

    /// Sends a frame out of a port; its last bit leaves at `at`.
    pub fn send_frame(&mut self, port: usize, frame: FrameId, at: Instant) {
        self.sent.push(Sending { port, frame, at });
    }
}

/// What a host's own oracles found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// The stack misused the NIC.
    Nic(NicViolation),
    /// The stack says that it holds so many buffers, the port's census says otherwise.
    BuffersLost {
        /// What the stack accounts for.
        held: u32,
        /// What the port gave it.
        given: u32,
    },
    /// What the stack's audit says.
    Audit(&'static str),
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nic(NicViolation::FrameChangedAfterSubmit { buffer, len }) => write!(
                f,
                "the frame of {len} bytes in buffer {buffer} changed between submit and DMA"
            ),
            Self::Nic(NicViolation::WrittenWithoutRight { buffer }) => {
                write!(f, "buffer {buffer} was opened for writing by one who does not own it")
            }
            Self::Nic(NicViolation::NotPinned { buffer }) => {
                write!(f, "a frame had a piece of buffer {buffer}, which was not pinned")
            }
            Self::Nic(NicViolation::TokenOfAnother { buffer }) => {
                write!(f, "there is more than one token of buffer {buffer}")
            }
            Self::BuffersLost { held, given } => {
                write!(f, "the stack holds {held} buffers, the port gave it {given}")
            }
            Self::Audit(what) => f.write_str(what),
        }
    }
}

/// A host as the world sees it.
pub trait Host {
    /// Whether a frame that comes to `port` now is taken: [`Host::on_frame`] follows. Where not, it
    /// is dropped there, which the host counts.
    fn accepts(&mut self, _port: usize, _frame: &[u8]) -> bool {
        true
    }

    /// A frame came and is the host's now.
    fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId);

    /// The time said by [`Host::next_wake`] has come.
    fn on_wake(&mut self, cx: &mut HostCx<'_>);

    /// When to call `on_wake`; a time that has passed means now.
    fn next_wake(&self) -> Option<Instant>;

    /// Somebody changed the host from outside: have it look at everything at the next wake.
    fn poke(&mut self, now: Instant);

    /// The host's own oracles, asked after every event that concerned it.
    fn audit(&mut self) -> Result<(), HostFault> {
        Ok(())
    }

    /// What the TCP of each of its stacks promises, where it can show what passes between them and
    /// their ports; nothing where it cannot. Asked when it is added to a world; it takes notes from
    /// then on.
    fn promises(&mut self) -> Vec<PromiseConfig> {
        Vec::new()
    }

    /// Moves what passed between stack and ports since the last call to the end of `into`, oldest
    /// first.
    fn take_passed(&mut self, _into: &mut Vec<Passed>) {}

    /// Its connections and what TCP says of each, where it can tell. The host is `from`.
    fn connections(&self) -> Vec<(FlowName, Info)> {
        Vec::new()
    }

    /// What it waits for, to be printed when a run ends too early.
    fn describe(&self) -> String;
}

/// An [`Endpoint`] as a host with one port and no NIC: its frames are on the link at once.
#[derive(Clone, Debug)]
pub struct EndpointHost<E> {
    /// The endpoint. Whoever changes it between two events has to come through
    /// [`crate::world::World::host_mut`].
    pub endpoint: E,
    wake_at: Option<Instant>,
}

impl<E: Endpoint> EndpointHost<E> {
    /// A host of it. It is polled for the first time when the world starts.
    pub fn new(endpoint: E) -> Self {
        Self { endpoint, wake_at: Some(Instant::ZERO) }
    }
}

impl<E: Endpoint> Host for EndpointHost<E> {
    fn on_frame(&mut self, cx: &mut HostCx<'_>, _port: usize, frame: FrameId) {
        self.endpoint.on_frame(cx.now, cx.frames.get(frame));
        cx.frames.remove(frame);
        self.wake_at = Some(cx.now);
    }

    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        self.wake_at = self.endpoint.poll(cx.now, &mut |bytes| {
            let frame = cx.frames.add(bytes);
            cx.sent.push(Sending { port: 0, frame, at: cx.now });
        });
    }

    fn next_wake(&self) -> Option<Instant> {
        self.wake_at
    }

    fn poke(&mut self, now: Instant) {
        self.wake_at = Some(now);
    }

    fn describe(&self) -> String {
        self.endpoint.describe()
    }
}

/// One of two kinds of host.
#[derive(Clone, Debug)]
pub enum Either<L, R> {
    /// The one.
    Left(L),
    /// The other.
    Right(R),
}

impl<L, R> Either<L, R> {
    /// The one, if it is that.
    pub fn left(&self) -> Option<&L> {
        match self {
            Self::Left(left) => Some(left),
            Self::Right(_) => None,
        }
    }

    /// The other, if it is that.
    pub fn right(&self) -> Option<&R> {
        match self {
            Self::Left(_) => None,
            Self::Right(right) => Some(right),
        }
    }
}

macro_rules! either {
    ($self:ident, $host:ident => $call:expr) => {
        match $self {
            Either::Left($host) => $call,
            Either::Right($host) => $call,
        }
    };
}

impl<L: Host, R: Host> Host for Either<L, R> {
    #[inline]
    fn accepts(&mut self, port: usize, frame: &[u8]) -> bool {
        either!(self, host => host.accepts(port, frame))
    }

    #[inline]
    fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId) {
        either!(self, host => host.on_frame(cx, port, frame));
    }

    #[inline]
    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        either!(self, host => host.on_wake(cx));
    }

    #[inline]
    fn next_wake(&self) -> Option<Instant> {
        either!(self, host => host.next_wake())
    }

    fn poke(&mut self, now: Instant) {
        either!(self, host => host.poke(now));
    }

    #[inline]
    fn audit(&mut self) -> Result<(), HostFault> {
        either!(self, host => host.audit())
    }

    fn promises(&mut self) -> Vec<PromiseConfig> {
        either!(self, host => host.promises())
    }

    #[inline]
    fn take_passed(&mut self, into: &mut Vec<Passed>) {
        either!(self, host => host.take_passed(into));
    }

    fn connections(&self) -> Vec<(FlowName, Info)> {
        either!(self, host => host.connections())
    }

    fn describe(&self) -> String {
        either!(self, host => host.describe())
    }
}

impl<H: Host + ?Sized> Host for Box<H> {
    fn accepts(&mut self, port: usize, frame: &[u8]) -> bool {
        (**self).accepts(port, frame)
    }

    fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId) {
        (**self).on_frame(cx, port, frame);
    }

    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        (**self).on_wake(cx);
    }

    fn next_wake(&self) -> Option<Instant> {
        (**self).next_wake()
    }

    fn poke(&mut self, now: Instant) {
        (**self).poke(now);
    }

    fn audit(&mut self) -> Result<(), HostFault> {
        (**self).audit()
    }

    fn promises(&mut self) -> Vec<PromiseConfig> {
        (**self).promises()
    }

    fn take_passed(&mut self, into: &mut Vec<Passed>) {
        (**self).take_passed(into);
    }

    fn connections(&self) -> Vec<(FlowName, Info)> {
        (**self).connections()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
