//! A machine of simoom stacks.

use super::{CostModel, Machine, MachineConfig, Ring};
use crate::nic::SimPort;
use crate::seed::{Seed, Stream};
use crate::stack_host::StackSetup;
use simoom_core::stack::Stack;
use simoom_core::stack::app::App;
use simoom_core::time::Duration;
use simoom_core::wire::rss::{KEY_LEN, MICROSOFT_KEY, Shard, Spread};

/// How a machine of our own stacks is set up: each interface has an address of its own and is a
/// network of its own; every ring of it has a stack with that address.
#[derive(Clone, Debug)]
pub struct MachineSetup {
    /// The number of interface 0, as in [`StackSetup::new`]; the others follow, so the numbers
    /// `number..number + interfaces` are this machine's.
    pub number: u16,
    /// Interfaces: 1 to 64.
    pub interfaces: u16,
    /// Rings of each, and so stacks: 1 to 64.
    pub rings: u8,
    /// Cores. The rings of all interfaces are dealt to them in turn.
    pub cores: usize,
    /// What turns cost.
    pub cost: CostModel,
    /// See [`MachineConfig::tx_coalesce`].
    pub tx_coalesce: Duration,
    /// The key of the interfaces' hash.
    pub key: [u8; KEY_LEN],
    /// What every stack, ring and shard is like; the number and the address are those of interface 0.
    pub each: StackSetup,
}

impl MachineSetup {
    /// One interface with one ring on one core, and nothing takes time: what
    /// [`StackSetup::host`] makes, and the same run.
    pub fn new(number: u16) -> Self {
        Self {
            number,
            interfaces: 1,
            rings: 1,
            cores: 1,
            cost: CostModel::ZERO,
            tx_coalesce: Duration::ZERO,
            key: MICROSOFT_KEY,
            each: StackSetup::new(number),
        }
    }

    /// The machine; `app` makes the application of (interface, ring).
    ///
    /// # Panics
    /// Where a number is out of its bounds.
    pub fn machine<A: App>(
        self,
        seed: Seed,
        mut app: impl FnMut(u16, u8) -> A,
    ) -> Machine<Stack<A>> {
        assert!((1..=64).contains(&self.interfaces) && (1..=64).contains(&self.rings));
        let Self { cores, cost, tx_coalesce, .. } = self;
        let host = self.each.host;
        let mut machine = Machine::new(MachineConfig { cores, cost, host, tx_coalesce });
        for interface in 0..self.interfaces {
            let spread = Spread::in_turn(self.key, self.rings);
            let identity = StackSetup::new(self.number + interface);
            let rings = (0..self.rings).map(|ring| {
                // Ring 0 draws what a host of one ring would.
                let number = identity.number | u32::from(ring) << 16;
                let mut config = self.each.stack.clone();
                (config.mac, config.ip) = (identity.stack.mac, identity.stack.ip);
                if self.rings > 1 {
                    config.shard = Some(Shard { spread: spread.clone(), ring });
                }
                let draws = seed.stream(Stream::Dma(number));
                let port = SimPort::new(self.each.nic, number, draws);
                let app = app(interface, ring);
                let caps = &self.each.nic.caps;
                let stack = Stack::new(config, seed.secrets(number), caps, app);
                let core = usize::from(interface) * usize::from(self.rings) + usize::from(ring);
                Ring { stack, port, core: core % self.cores }
            });
            let rings = rings.collect();
            machine.add_interface(spread, rings);
        }
        machine
    }
}
