//! The simoom stack as what drives a port of a world.

use crate::machine::Work;
use crate::nic::{NicConfig, SimPort};
use crate::oracle::FlowName;
use crate::oracle::promises::PromiseConfig;
use crate::port_host::{Fork, PortHost, PortHostConfig, PortStack};
use crate::seed::{Seed, Stream};
use simoom_core::stack::app::App;
use simoom_core::stack::{Config, FlowKey, Stack};
use simoom_core::tcp::Info;
use simoom_core::time::Instant;
use simoom_core::trace::{NoTrace, Trace};
use simoom_core::wire::ethernet::MacAddr;
use std::net::Ipv4Addr;

/// A simoom stack behind a modelled NIC.
pub type StackHost<A, T = NoTrace> = PortHost<Stack<A, T>>;

/// Bytes of memory that a prepared frame is counted as: one of an Ethernet MTU, and its share of the
/// store's tables.
const KEPT_FRAME_BYTES: u64 = 1_600;

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

    #[inline]
    fn audited(&self) -> usize {
        Stack::connections(self) as usize
    }

    fn connections(&self) -> Vec<(FlowName, Info)> {
        let named =
            |(key, info): (FlowKey, Info)| (FlowName { from: key.local(), to: key.remote() }, info);
        self.connection_infos().map(named).collect()
    }

    fn promises(&self) -> Option<PromiseConfig> {
        Some(PromiseConfig::of(self.config()))
    }

    fn describe(&self) -> String {
        format!("a stack of {} connections", self.connections())
    }

    fn work(&self) -> Work {
        let (stats, store) = (self.stats(), self.store().stats());
        Work {
            frames_in: stats.frames_in,
            texts_in: stats.texts_in,
            frames_out: stats.frames_out,
            filled_frames: store.cuts + stats.tx_copied,
            copied_frames: store.master_copies,
            opened: stats.opened,
            kept_bytes: u64::from(store.kept_high) * KEPT_FRAME_BYTES,
            ..Work::default()
        }
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

/// Who a host of our own stack is, and how it is set up.
#[derive(Clone, Debug)]
pub struct StackSetup {
    /// The stack's configuration.
    pub stack: Config,
    /// The NIC's.
    pub nic: NicConfig,
    /// The host's.
    pub host: PortHostConfig,
    /// Secrets and draws come from the seed's streams with this number; the port has it too.
    pub number: u32,
}

impl StackSetup {
    /// Host `number` (not 0) of 10.66.0.0/16, address 10.66.x.y, with defaults for the rest.
    pub fn new(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let mac = MacAddr([2, 0x66, 0, 0, high, low]);
        Self {
            stack: Config::new(mac, Ipv4Addr::new(10, 66, high, low), 16),
            nic: NicConfig::default(),
            host: PortHostConfig::default(),
            number: u32::from(number),
        }
    }

    /// A host that runs an application.
    pub fn host<A: App>(self, seed: Seed, app: A) -> StackHost<A> {
        self.host_with(seed, app, NoTrace)
    }

    /// The same with an observer of its stack.
    pub fn host_with<A: App, T: Trace>(self, seed: Seed, app: A, trace: T) -> StackHost<A, T> {
        let draws = seed.stream(Stream::Dma(self.number));
        let port = SimPort::new(self.nic, self.number, draws);
        let secrets = seed.secrets(self.number);
        let stack = Stack::with_trace(self.stack, secrets, &self.nic.caps, app, trace);
        PortHost::new(stack, port, self.host)
    }
}
