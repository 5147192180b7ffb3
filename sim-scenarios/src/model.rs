//! A case: one world, fully decided but for its seed, and what is expected of it.

use crate::doc::Table;
use simoom_core::content::Mode;
use simoom_core::tcp;
use simoom_core::time::{Duration, Instant};
use simoom_sim::fault::Fault;
use simoom_sim::hosts::hostile::{Aim, Forgery, Pace};
use simoom_sim::hosts::scripted::Script;
use simoom_sim::hosts::site::SiteConfig;
use simoom_sim::hosts::tcp_peer::Manners;
use simoom_sim::link::LinkConfig;
use simoom_sim::machine::CostModel;
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, RandomStalls, Stall};
use simoom_sim::seed::Chance;
use std::path::Path;
use std::sync::Arc;

/// One world of a scenario. [`crate::run`] runs it under a seed.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of the file, without `.toml`.
    pub scenario: Arc<str>,
    /// Its place on the axes, `loss_percent=1,delay_ms=5`, or `base` where there are none.
    pub name: String,
    /// The same as pairs of an axis and its value here, both as the name has them; the axis of
    /// named cases is `case`.
    pub axes: Vec<(String, String)>,
    /// The file that it comes from; what that names lies beside it.
    pub(crate) path: Arc<Path>,
    /// What must be, at its place in the file.
    pub(crate) expect: Vec<Expectation>,
    /// Of a scenario whose time has not come: what is.
    pub(crate) pinned: Option<Vec<Expectation>>,
    pub(crate) world: WorldSpec,
    /// What it was read from, axes and other cases taken out.
    pub(crate) tree: Table,
}

impl Case {
    /// Whether the scenario waits for something that is not built.
    pub fn is_not_yet(&self) -> bool {
        self.pinned.is_some()
    }

    /// The names of the hosts, in the order of the file: the world's host `n` is the nth.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.world.hosts.iter().map(|host| host.name.as_str())
    }

    /// The names of the links, in the order of the file.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.world.links.iter().map(|link| link.name.as_str())
    }

    /// The case as a scenario file of its own.
    pub fn to_toml(&self) -> String {
        crate::doc::write(&self.tree)
    }
}

/// A measure and its bounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expectation {
    pub(crate) measure: String,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct WorldSpec {
    pub(crate) hosts: Vec<HostSpec>,
    pub(crate) links: Vec<LinkSpec>,
    /// Ascending by time; the order of the file where that is the same.
    pub(crate) changes: Vec<Change>,
    pub(crate) limits: LimitSpec,
    /// Exactly these happen, and no chance has its way.
    pub(crate) faults: Option<Vec<Fault>>,
    /// Whether stacks are held to the model of TCP's promises.
    pub(crate) promises: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct HostSpec {
    pub(crate) name: String,
    pub(crate) kind: HostKind,
}

#[derive(Clone, Debug)]
pub(crate) enum HostKind {
    Server(ServerSpec),
    Client(ClientSpec),
    Machine(MachineSpec),
    SmoltcpServer(SmoltcpServerSpec),
    SmoltcpClient(SmoltcpClientSpec),
    Receiver(Box<ReceiverSpec>),
    Browser(BrowserSpec),
    Scripted(ScriptedSpec),
    Switch(SwitchSpec),
    CrossSource(CrossSourceSpec),
    CrossSink,
    Hostile(HostileSpec),
}

impl HostKind {
    /// How many links it can have.
    pub(crate) fn ports_max(&self) -> usize {
        match self {
            Self::Machine(machine) => usize::from(machine.interfaces),
            Self::Switch(_) => usize::MAX,
            _ => 1,
        }
    }

    /// What it asks for, if it asks.
    pub(crate) fn work(&self) -> Option<&WorkSpec> {
        match self {
            Self::Client(client) => Some(&client.work),
            Self::SmoltcpClient(client) => Some(&client.work),
            Self::Receiver(receiver) => Some(&receiver.work),
            Self::Browser(browser) => Some(&browser.work),
            Self::Scripted(scripted) => Some(&scripted.work),
            _ => None,
        }
    }

    /// The same, to complete, and that of a hostile host.
    pub(crate) fn target_mut(&mut self) -> Option<&mut WorkSpec> {
        match self {
            Self::Client(client) => Some(&mut client.work),
            Self::SmoltcpClient(client) => Some(&mut client.work),
            Self::Receiver(receiver) => Some(&mut receiver.work),
            Self::Browser(browser) => Some(&mut browser.work),
            Self::Scripted(scripted) => Some(&mut scripted.work),
            Self::Hostile(hostile) => Some(&mut hostile.target),
            _ => None,
        }
    }

    /// The server that it talks to, and what it wants of it.
    pub(crate) fn target(&self) -> Option<&WorkSpec> {
        match self {
            Self::Hostile(hostile) => Some(&hostile.target),
            Self::Scripted(scripted) if scripted.is_asked => None,
            _ => self.work(),
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        match self {
            Self::Server(_) | Self::Machine(_) | Self::SmoltcpServer(_) => true,
            Self::Scripted(scripted) => scripted.is_asked,
            _ => false,
        }
    }

    /// Whether its NIC stands still at times of its own.
    pub(crate) fn stalls(&self) -> bool {
        let stack = match self {
            Self::Server(server) => &server.stack,
            Self::Client(client) => &client.stack,
            Self::Browser(browser) => &browser.stack,
            Self::Machine(machine) => &machine.each.stack,
            _ => return false,
        };
        stack.stalls.is_some()
    }

    /// What its stacks are like, where they are ours.
    pub(crate) fn stack_mut(&mut self) -> Option<&mut StackSpec> {
        match self {
            Self::Server(server) => Some(&mut server.stack),
            Self::Client(client) => Some(&mut client.stack),
            Self::Browser(browser) => Some(&mut browser.stack),
            Self::Machine(machine) => Some(&mut machine.each.stack),
            _ => None,
        }
    }
}

/// What one of our stacks is like, besides its application.
#[derive(Clone, Debug)]
pub(crate) struct StackSpec {
    pub(crate) tcp: tcp::Config,
    pub(crate) nic_rate_bits: u64,
    pub(crate) tx_slots: u32,
    pub(crate) rx_slots: u32,
    pub(crate) buffers: u32,
    /// None: drawn from the seed.
    pub(crate) dma: Option<DmaPolicy>,
    /// None: drawn from the seed.
    pub(crate) completion: Option<CompletionPolicy>,
    pub(crate) lateness: Duration,
    pub(crate) hold_max: u32,
    pub(crate) hold_idle: u32,
    pub(crate) rx_coalesce: Duration,
    pub(crate) stalls: Option<RandomStalls>,
    /// Of the schedule.
    pub(crate) planned_stalls: Vec<Stall>,
}

#[derive(Clone, Debug)]
pub(crate) struct ServerSpec {
    pub(crate) stack: StackSpec,
    /// None: drawn from the seed.
    pub(crate) mode: Option<Mode>,
    pub(crate) copies: u16,
    pub(crate) connections_max: u32,
    pub(crate) half_open_max: u32,
    pub(crate) request_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    /// Bytes of the objects, ascending, each once.
    pub(crate) objects: Vec<u64>,
    /// The site for browsers.
    pub(crate) site: Option<SiteConfig>,
}

/// What a client asks, and whom.
#[derive(Clone, Debug)]
pub(crate) struct WorkSpec {
    /// The number of the server among the hosts.
    pub(crate) server: usize,
    /// The server's port that a link leads to: which of a machine's interfaces.
    pub(crate) server_port: usize,
    pub(crate) connections: u32,
    pub(crate) requests: u64,
    /// Bytes of what is asked for, in turn.
    pub(crate) sizes: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct ClientSpec {
    pub(crate) stack: StackSpec,
    pub(crate) work: WorkSpec,
    pub(crate) requests_per_connection: u64,
    pub(crate) pipeline: u8,
    pub(crate) think: Duration,
    pub(crate) random_order: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SmoltcpSpec {
    pub(crate) receive_bytes: usize,
    pub(crate) send_bytes: usize,
    pub(crate) mtu: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct SmoltcpServerSpec {
    pub(crate) net: SmoltcpSpec,
    pub(crate) sockets: usize,
    pub(crate) objects: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct SmoltcpClientSpec {
    pub(crate) net: SmoltcpSpec,
    pub(crate) work: WorkSpec,
    pub(crate) keep_alive: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct MachineSpec {
    pub(crate) each: ServerSpec,
    pub(crate) cores: usize,
    pub(crate) interfaces: u16,
    pub(crate) rings: u8,
    pub(crate) cost: CostModel,
    pub(crate) is_offloaded: bool,
    pub(crate) tx_coalesce: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct ReceiverSpec {
    /// `requests` are those of all connections together.
    pub(crate) work: WorkSpec,
    pub(crate) rounds: u32,
    pub(crate) requests_each: u32,
    pub(crate) start_at: Instant,
    pub(crate) stagger: Duration,
    pub(crate) manners: Manners,
}

#[derive(Clone, Debug)]
pub(crate) struct BrowserSpec {
    pub(crate) stack: StackSpec,
    /// Requests are pages here.
    pub(crate) work: WorkSpec,
    pub(crate) pages: u32,
    pub(crate) think: Duration,
    pub(crate) think_max: Duration,
    pub(crate) give_up: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct ScriptedSpec {
    pub(crate) work: WorkSpec,
    pub(crate) script: Script,
    pub(crate) tolerance: Duration,
    /// It waits for who asks first; `work.server` says nothing then.
    pub(crate) is_asked: bool,
    /// What it sends need not keep to any rule.
    pub(crate) is_lawless: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SwitchSpec {
    /// The host that overhears, by its number.
    pub(crate) mirror_to: Option<usize>,
    /// As many as links name it, and which of them mirrors; known when the links are.
    pub(crate) ports: usize,
    pub(crate) mirror_port: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct CrossSourceSpec {
    /// The sink, by its number among the hosts.
    pub(crate) to: usize,
    pub(crate) rate_bits: u64,
    pub(crate) frame_bytes: u16,
    pub(crate) poisson: bool,
    /// Mean times of sending and of pausing.
    pub(crate) bursts: Option<(Duration, Duration)>,
    pub(crate) start_at: Instant,
    pub(crate) stop_at: Instant,
}

/// What a hostile host does, to whom, and how often.
#[derive(Clone, Debug)]
pub(crate) struct HostileSpec {
    /// Whom it attacks, and what it asks for, if it asks.
    pub(crate) target: WorkSpec,
    pub(crate) pace: Pace,
    pub(crate) kind: HostileKind,
}

#[derive(Clone, Debug)]
pub(crate) enum HostileKind {
    SynFlood { sources: u32 },
    RandomSegments { ports: u16, malformed: Chance },
    BlindInjector { victim: usize, forgeries: Vec<Forgery>, aim: Aim },
    OptimisticAcker { step: u32, ahead_max: u32 },
}

#[derive(Clone, Debug)]
pub(crate) struct LinkSpec {
    pub(crate) name: String,
    /// Host and port.
    pub(crate) from: (usize, usize),
    pub(crate) to: (usize, usize),
    /// Forward and backward.
    pub(crate) ways: [LinkConfig; 2],
}

/// From `at` on, one direction of a link is this.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Instant,
    pub(crate) link: usize,
    /// 0 forward, 1 backward.
    pub(crate) direction: usize,
    pub(crate) config: LinkConfig,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitSpec {
    pub(crate) simulated: Duration,
    pub(crate) events: u64,
    pub(crate) measure_at: Option<Instant>,
    pub(crate) rest: Duration,
}
