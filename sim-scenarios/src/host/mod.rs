//! Every kind of host that a file can name, as one type.

mod ours;
mod peers;
mod probe;

use crate::model::{HostKind, HostSpec, WorkSpec};
use crate::record::Recorder;
use ours::{Browsing, Client, Server, ServerMachine};
use peers::Noise;
use simoom_core::port::Port;
use simoom_core::stack::app::App;
use simoom_core::stack::{FlowKey, Stack};
use simoom_core::tcp;
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{EndpointHost, Host, HostCx, HostFault};
use simoom_sim::frames::FrameId;
use simoom_sim::hosts::scripted::Scripted;
use simoom_sim::hosts::site::SiteConfig;
use simoom_sim::hosts::{Receiver, Switch};
use simoom_sim::machine::CoreStats;
use simoom_sim::nic::SimPort;
use simoom_sim::observe::ProbeConfig;
use simoom_sim::oracle::FlowName;
use simoom_sim::oracle::promises::{Passed, PromiseConfig};
use simoom_sim::seed::Seed;
use simoom_sim::smoltcp_host::{self, HttpClient, HttpServer};
use std::net::{Ipv4Addr, SocketAddrV4};

/// A host of a scenario's world.
#[derive(Debug)]
pub(crate) enum ScenarioHost {
    Server(Box<Server>),
    Client(Box<Client>),
    Machine(Box<ServerMachine>),
    SmoltcpServer(Box<EndpointHost<HttpServer>>),
    SmoltcpClient(Box<EndpointHost<HttpClient>>),
    Receiver(Box<EndpointHost<Receiver>>),
    Browser(Box<Browsing>),
    Scripted(Box<EndpointHost<Scripted>>),
    Switch(Box<Switch>),
    Noise(Box<EndpointHost<Noise>>),
}

/// Calls the same thing on whatever host it is.
macro_rules! each {
    ($self:ident, $host:ident => $call:expr) => {
        match $self {
            ScenarioHost::Server($host) => $call,
            ScenarioHost::Client($host) => $call,
            ScenarioHost::Machine($host) => $call,
            ScenarioHost::SmoltcpServer($host) => $call,
            ScenarioHost::SmoltcpClient($host) => $call,
            ScenarioHost::Receiver($host) => $call,
            ScenarioHost::Browser($host) => $call,
            ScenarioHost::Scripted($host) => $call,
            ScenarioHost::Switch($host) => $call,
            ScenarioHost::Noise($host) => $call,
        }
    };
}

impl Host for ScenarioHost {
    #[inline]
    fn accepts(&mut self, port: usize, frame: &[u8]) -> bool {
        each!(self, host => host.accepts(port, frame))
    }

    #[inline]
    fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId) {
        each!(self, host => host.on_frame(cx, port, frame));
    }

    #[inline]
    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        each!(self, host => host.on_wake(cx));
    }

    #[inline]
    fn next_wake(&self) -> Option<Instant> {
        each!(self, host => host.next_wake())
    }

    fn poke(&mut self, now: Instant) {
        each!(self, host => host.poke(now));
    }

    #[inline]
    fn audit(&mut self) -> Result<(), HostFault> {
        each!(self, host => host.audit())
    }

    fn promises(&mut self) -> Vec<PromiseConfig> {
        each!(self, host => host.promises())
    }

    #[inline]
    fn take_passed(&mut self, into: &mut Vec<Passed>) {
        each!(self, host => host.take_passed(into));
    }

    fn connections(&self) -> Vec<(FlowName, tcp::Info)> {
        each!(self, host => host.connections())
    }

    fn describe(&self) -> String {
        each!(self, host => host.describe())
    }
}

/// What hosts are made from, besides the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making {
    pub(crate) seed: Seed,
    /// Whether stacks are observed, and how much is kept.
    pub(crate) probe: Option<ProbeConfig>,
}

/// What a client has got so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    /// Answers with another byte, another length, or without sense.
    pub(crate) wrong_answers: u64,
    /// Of bodies; smoltcp's client counts those of whole bodies, a receiver heads too.
    pub(crate) bytes: u64,
    /// Every answer is there, or given up.
    pub(crate) is_done: bool,
}

/// What the stacks of a host counted, together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StackCounts {
    pub(crate) opened: u64,
    pub(crate) dropped_segments: u64,
    /// Connections reset by either side, or given up.
    pub(crate) resets: u64,
    pub(crate) syns_refused: u64,
    pub(crate) segments: u64,
    pub(crate) retransmitted: u64,
    pub(crate) timeouts: u64,
    /// The longest handshake, where one was completed.
    pub(crate) handshake_max: Option<Duration>,
    /// Congestion windows as segments with text were sent: their sum, and how many they are.
    pub(crate) window_sum: u64,
    pub(crate) windows: u64,
}

impl StackCounts {
    fn add<A: App>(&mut self, stack: &Stack<A, Recorder>) {
        let (stats, recorder) = (stack.stats(), stack.trace());
        self.opened += stats.opened;
        self.dropped_segments += stats.tcp_drops.iter().sum::<u64>();
        self.resets += stats.reset_by_peer + stats.aborted + stats.timed_out;
        self.syns_refused += stats.syn_table_full + stats.syn_half_open_full;
        self.segments += recorder.segments;
        self.retransmitted += recorder.retransmitted;
        self.timeouts += recorder.timeouts;
        self.handshake_max = self.handshake_max.max(recorder.handshake_max);
        self.window_sum += recorder.window_sum;
        self.windows += recorder.windows;
    }
}

impl ScenarioHost {
    /// Builds host number `index` of a file.
    pub(crate) fn build(hosts: &[HostSpec], index: usize, making: Making) -> Self {
        let seed = making.seed;
        let number = number_of(hosts, index);
        let server = |work: &WorkSpec| address_of(hosts, work);
        match &hosts[index].kind {
            HostKind::Server(spec) => Self::Server(Box::new(ours::server(spec, number, making))),
            HostKind::Client(spec) => {
                let client = ours::client(spec, server(&spec.work), number, making);
                Self::Client(Box::new(client))
            }
            HostKind::Machine(spec) => Self::Machine(Box::new(ours::machine(spec, number, making))),
            HostKind::SmoltcpServer(spec) => {
                let server = peers::smoltcp_server(spec, number, seed);
                Self::SmoltcpServer(Box::new(EndpointHost::new(server)))
            }
            HostKind::SmoltcpClient(spec) => {
                let client = peers::smoltcp_client(spec, server(&spec.work), number, seed);
                Self::SmoltcpClient(Box::new(EndpointHost::new(client)))
            }
            HostKind::Receiver(spec) => {
                let receiver = peers::receiver(spec, server(&spec.work), number, seed);
                Self::Receiver(Box::new(EndpointHost::new(receiver)))
            }
            HostKind::Browser(spec) => {
                let site = (number_of(hosts, spec.work.server), site_of(hosts, spec.work.server));
                let browser = ours::browser(spec, server(&spec.work), site, number, making);
                Self::Browser(Box::new(browser))
            }
            HostKind::Scripted(spec) => {
                let scripted =
                    peers::scripted(spec, (!spec.is_asked).then(|| server(&spec.work)), number);
                Self::Scripted(Box::new(EndpointHost::new(scripted)))
            }
            HostKind::Switch(spec) => {
                let switch = Switch::new(spec.ports);
                Self::Switch(Box::new(match spec.mirror_port {
                    Some(port) => switch.mirrored(port),
                    None => switch,
                }))
            }
            HostKind::CrossSource(_) | HostKind::CrossSink | HostKind::Hostile(_) => {
                let noise = peers::noise(hosts, index, seed);
                Self::Noise(Box::new(EndpointHost::new(noise)))
            }
        }
    }

    /// What it has got, if it asks for anything. `wanted` requests in all.
    pub(crate) fn progress(&self, wanted: u64) -> Progress {
        match self {
            Self::Client(host) => {
                let stats = host.stack.app().stats();
                Progress {
                    completed: stats.succeeded,
                    failed: stats.failed,
                    wrong_answers: stats.wrong_bytes + stats.wrong_length + stats.malformed,
                    bytes: stats.bytes,
                    is_done: stats.succeeded + stats.failed >= wanted,
                }
            }
            Self::SmoltcpClient(host) => {
                let stats = host.endpoint.stats();
                let wrong = |failure: &smoltcp_host::Failure| {
                    !matches!(failure, smoltcp_host::Failure::Cut)
                };
                let wrong = stats.failures.iter().filter(|(_, f)| wrong(f)).count() as u64;
                Progress {
                    completed: stats.completed,
                    failed: stats.failures.len() as u64,
                    wrong_answers: wrong,
                    bytes: stats.body_bytes,
                    is_done: host.endpoint.is_done(),
                }
            }
            Self::Receiver(host) => {
                let receiver = &host.endpoint;
                let completed = receiver.stats().succeeded;
                let is_done = completed >= wanted || receiver.is_done();
                Progress {
                    completed,
                    failed: if is_done { wanted.saturating_sub(completed) } else { 0 },
                    wrong_answers: 0,
                    bytes: receiver.bytes(),
                    is_done,
                }
            }
            Self::Browser(host) => {
                let browser = host.stack.app();
                let stats = browser.stats();
                Progress {
                    completed: stats.succeeded,
                    failed: stats.failed,
                    wrong_answers: stats.wrong,
                    bytes: stats.bytes,
                    is_done: browser.loads().len() as u64 >= wanted,
                }
            }
            Self::Scripted(host) => {
                let script = &host.endpoint;
                let completed = u64::from(script.is_done() && script.verdict().is_ok());
                Progress {
                    completed,
                    failed: u64::from(script.is_done()) - completed,
                    is_done: script.is_done(),
                    ..Progress::default()
                }
            }
            _ => Progress { is_done: true, ..Progress::default() },
        }
    }

    /// The same with what takes a look at every connection: bytes of bodies, wrong answers.
    pub(crate) fn full_progress(&self, wanted: u64) -> Progress {
        let progress = self.progress(wanted);
        match self {
            Self::Receiver(host) => {
                let wrongs = host.endpoint.wrongs();
                Progress {
                    bytes: host.endpoint.body_bytes(),
                    wrong_answers: wrongs.bytes + wrongs.length + wrongs.malformed,
                    ..progress
                }
            }
            _ => progress,
        }
    }

    /// Where and why its script was not followed, if it has one.
    pub(crate) fn script_failure(&self) -> Option<String> {
        match self {
            Self::Scripted(host) => host.endpoint.verdict().err().map(|e| e.to_string()),
            _ => None,
        }
    }

    /// Durations of its requests (a browser's pages) in nanoseconds, and when each was over.
    pub(crate) fn completions(&self) -> Vec<(u64, Instant)> {
        let entry = |asked: Instant, done: Instant| (done.saturating_since(asked).as_nanos(), done);
        match self {
            Self::Client(host) => {
                let completions = host.stack.app().completions();
                completions.iter().map(|c| entry(c.asked_at, c.done_at)).collect()
            }
            Self::Receiver(host) => {
                let completions = host.endpoint.completions();
                completions.iter().map(|c| entry(c.asked_at, c.done_at)).collect()
            }
            Self::Browser(host) => {
                let loads = host.stack.app().loads();
                loads.iter().map(|load| entry(load.started_at, load.done_at)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// When its last request was over, whether or not durations are known.
    pub(crate) fn last_done_at(&self) -> Option<Instant> {
        match self {
            Self::SmoltcpClient(host) => {
                let stats = host.endpoint.stats();
                (stats.completed > 0).then_some(stats.ended_at)
            }
            _ => self.completions().into_iter().map(|(_, at)| at).max(),
        }
    }

    /// What its stacks counted, where they are ours.
    pub(crate) fn counts(&self) -> Option<StackCounts> {
        let mut counts = StackCounts::default();
        match self {
            Self::Server(host) => counts.add(&host.stack),
            Self::Client(host) => counts.add(&host.stack),
            Self::Browser(host) => counts.add(&host.stack),
            Self::Machine(machine) => {
                machine.shards().iter().for_each(|shard| counts.add(&shard.stack));
            }
            _ => return None,
        }
        Some(counts)
    }

    /// What its cores did, where it has cores.
    pub(crate) fn cores(&self) -> Vec<CoreStats> {
        match self {
            Self::Machine(machine) => machine.core_stats().collect(),
            _ => Vec::new(),
        }
    }

    /// The connections of its stacks, where they are ours, by their keys.
    pub(crate) fn keyed_connections(&self) -> Vec<(FlowKey, tcp::Info)> {
        match self {
            Self::Server(host) => host.stack.connection_infos().collect(),
            Self::Client(host) => host.stack.connection_infos().collect(),
            Self::Browser(host) => host.stack.connection_infos().collect(),
            Self::Machine(machine) => {
                machine.shards().iter().flat_map(|shard| shard.stack.connection_infos()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Frames of a host that wants nothing: sent, or (a sink) come.
    pub(crate) fn noise_frames(&self) -> Option<u64> {
        match self {
            Self::Noise(host) => Some(host.endpoint.frames()),
            _ => None,
        }
    }

    /// Whether no connection is left.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self {
            Self::Server(host) => host.stack.connections() == 0,
            Self::Client(host) => host.stack.connections() == 0,
            Self::Browser(host) => host.stack.connections() == 0,
            Self::Scripted(host) => host.endpoint.is_done(),
            Self::Machine(machine) => {
                machine.shards().iter().all(|shard| shard.stack.connections() == 0)
            }
            Self::SmoltcpClient(host) => host.endpoint.is_quiet(),
            Self::Receiver(host) => host.endpoint.is_done(),
            Self::SmoltcpServer(_) | Self::Switch(_) | Self::Noise(_) => true,
        }
    }

    /// Ends the stacks and counts their buffers home: none may be left but what an idle device
    /// holds, or what one that is `busy` has yet to send.
    pub(crate) fn shut_down(&mut self, now: Instant, busy: bool) -> Result<(), String> {
        fn end<A: App>(
            stack: &mut Stack<A, Recorder>,
            port: &mut SimPort,
            now: Instant,
            busy: bool,
        ) -> Result<(), String> {
            let Ok(()) = stack.shut_down(now, port);
            port.reclaim(Some);
            let (census, hold) = (port.census(), port.caps().tx_hold_idle);
            if census.caller == 0 && (busy || census.device <= hold) {
                return Ok(());
            }
            Err(format!("buffers are missing after the stack's end: {census:?}"))
        }
        match self {
            Self::Server(host) => end(&mut host.stack, &mut host.port, now, busy),
            Self::Client(host) => end(&mut host.stack, &mut host.port, now, busy),
            Self::Browser(host) => end(&mut host.stack, &mut host.port, now, busy),
            Self::Machine(machine) => machine
                .shards_mut()
                .iter_mut()
                .try_for_each(|shard| end(&mut shard.stack, &mut shard.port, now, busy)),
            _ => Ok(()),
        }
    }
}

/// Hosts have numbers from 1, a machine one for each interface: address 10.66.x.y.
pub(crate) fn number_of(hosts: &[HostSpec], index: usize) -> u16 {
    let before: usize = hosts[..index].iter().map(|host| numbers_of(&host.kind)).sum();
    u16::try_from(before + 1).expect("the reader bounds the number of hosts")
}

/// How many numbers a host has.
pub(crate) fn numbers_of(kind: &HostKind) -> usize {
    match kind {
        HostKind::Machine(machine) => usize::from(machine.interfaces),
        _ => 1,
    }
}

fn ip_of(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 66, high, low)
}

/// Where what somebody asks for is to be had.
fn address_of(hosts: &[HostSpec], work: &WorkSpec) -> SocketAddrV4 {
    let port = match &hosts[work.server].kind {
        HostKind::Machine(_) => work.server_port as u16,
        _ => 0,
    };
    SocketAddrV4::new(ip_of(number_of(hosts, work.server) + port), 80)
}

/// The site of a server.
fn site_of(hosts: &[HostSpec], server: usize) -> SiteConfig {
    let site = match &hosts[server].kind {
        HostKind::Server(server) => server.site,
        HostKind::Machine(machine) => machine.each.site,
        _ => None,
    };
    site.expect("the reader has seen that the server has a site")
}

/// What the pattern of a body is drawn from: its length, so that equal lengths are one object.
fn pattern_of(len: u64) -> u64 {
    len ^ 0x5eed
}

fn path_of(len: u64) -> String {
    format!("/{len}")
}
