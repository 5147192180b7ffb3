//! Every kind of host that a file can name, as one type.

use crate::model::{
    ClientSpec, HostKind, HostSpec, ServerSpec, SmoltcpClientSpec, SmoltcpServerSpec, SmoltcpSpec,
    StackSpec,
};
use crate::record::Recorder;
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::content::Mode;
use simoom_core::server::bodies::{MemoryBodies, pattern_fill};
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::app::App;
use simoom_core::stack::{FlowKey, Stack, Stats};
use simoom_core::tcp;
use simoom_core::time::Instant;
use simoom_sim::endpoint::{EndpointHost, Host, HostCx, HostFault};
use simoom_sim::frames::FrameId;
use simoom_sim::link::Rate;
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, SimPort};
use simoom_sim::port_host::PortHost;
use simoom_sim::seed::{Seed, Stream};
use simoom_sim::smoltcp_host::{self, Fetch, HttpClient, HttpServer, Identity};
use simoom_sim::stack_host::{StackHost, StackSetup};
use std::net::{Ipv4Addr, SocketAddrV4};

type Server = StackHost<FileServer<MemoryBodies>, Recorder>;
type Client = StackHost<FetchClient<ExpectPatterns>, Recorder>;

/// A host of a scenario's world.
#[derive(Debug)]
pub(crate) enum ScenarioHost {
    Server(Box<Server>),
    Client(Box<Client>),
    SmoltcpServer(Box<EndpointHost<HttpServer>>),
    SmoltcpClient(Box<EndpointHost<HttpClient>>),
}

/// Calls the same thing on whatever host it is.
macro_rules! each {
    ($self:ident, $host:ident => $call:expr) => {
        match $self {
            ScenarioHost::Server($host) => $call,
            ScenarioHost::Client($host) => $call,
            ScenarioHost::SmoltcpServer($host) => $call,
            ScenarioHost::SmoltcpClient($host) => $call,
        }
    };
}

/// Calls something on the stack of a host of ours; None for others.
macro_rules! ours {
    ($self:ident, $host:ident => $call:expr) => {
        match $self {
            ScenarioHost::Server($host) => Some($call),
            ScenarioHost::Client($host) => Some($call),
            ScenarioHost::SmoltcpServer(_) | ScenarioHost::SmoltcpClient(_) => None,
        }
    };
}

impl Host for ScenarioHost {
    #[inline]
    fn accepts(&self, port: usize) -> bool {
        each!(self, host => host.accepts(port))
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

    fn describe(&self) -> String {
        each!(self, host => host.describe())
    }
}

/// What a client has got so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) wrong_bytes: u64,
    /// Of bodies. smoltcp's client counts those of whole bodies.
    pub(crate) bytes: u64,
}

impl ScenarioHost {
    /// Builds host number `index` of a file under a seed.
    pub(crate) fn build(hosts: &[HostSpec], index: usize, seed: Seed) -> Self {
        let number = number_of(index);
        match &hosts[index].kind {
            HostKind::Server(spec) => Self::Server(Box::new(build_server(spec, number, seed))),
            HostKind::Client(spec) => Self::Client(Box::new(build_client(spec, number, seed))),
            HostKind::SmoltcpServer(spec) => {
                let server = build_smoltcp_server(spec, number, seed);
                Self::SmoltcpServer(Box::new(EndpointHost::new(server)))
            }
            HostKind::SmoltcpClient(spec) => {
                let client = build_smoltcp_client(spec, number, seed);
                Self::SmoltcpClient(Box::new(EndpointHost::new(client)))
            }
        }
    }

    /// What it has got, if it asks for anything.
    pub(crate) fn progress(&self) -> Option<Progress> {
        match self {
            Self::Client(host) => {
                let stats = host.stack.app().stats();
                Some(Progress {
                    completed: stats.succeeded,
                    failed: stats.failed,
                    wrong_bytes: stats.wrong_bytes,
                    bytes: stats.bytes,
                })
            }
            Self::SmoltcpClient(host) => {
                let stats = host.endpoint.stats();
                let wrong = |failure: &smoltcp_host::Failure| {
                    matches!(failure, smoltcp_host::Failure::WrongByte { .. })
                };
                let wrong_bytes = stats.failures.iter().filter(|(_, f)| wrong(f)).count() as u64;
                Some(Progress {
                    completed: stats.completed,
                    failed: stats.failures.len() as u64,
                    wrong_bytes,
                    bytes: stats.body_bytes,
                })
            }
            Self::Server(_) | Self::SmoltcpServer(_) => None,
        }
    }

    /// Durations of its requests in nanoseconds, and when each was over.
    pub(crate) fn completions(&self) -> Vec<(u64, Instant)> {
        match self {
            Self::Client(host) => host
                .stack
                .app()
                .completions()
                .iter()
                .map(|c| (c.done_at.saturating_since(c.asked_at).as_nanos(), c.done_at))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// When its last request was over, whether or not durations are known.
    pub(crate) fn last_done_at(&self) -> Option<Instant> {
        match self {
            Self::Client(host) => host.stack.app().completions().iter().map(|c| c.done_at).max(),
            Self::SmoltcpClient(host) => {
                let stats = host.endpoint.stats();
                (stats.completed > 0).then_some(stats.ended_at)
            }
            _ => None,
        }
    }

    /// What its stack counted, where it is ours.
    pub(crate) fn stats(&self) -> Option<&Stats> {
        ours!(self, host => host.stack.stats())
    }

    /// What its stack sent, where it is ours.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        ours!(self, host => host.stack.trace())
    }

    /// The connections of its stack, where it is ours.
    pub(crate) fn connections(&self) -> Vec<(FlowKey, tcp::Info)> {
        ours!(self, host => host.stack.connection_infos().collect()).unwrap_or_default()
    }

    /// Whether no connection is left.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self {
            Self::Server(host) => host.stack.connections() == 0,
            Self::Client(host) => host.stack.connections() == 0,
            Self::SmoltcpServer(_) => true,
            Self::SmoltcpClient(host) => host.endpoint.is_quiet(),
        }
    }

    /// Ends the stack and counts its buffers home: none may be left but what an idle device holds.
    pub(crate) fn shut_down(&mut self, now: Instant) -> Result<(), String> {
        fn end<A: App>(
            host: &mut PortHost<Stack<A, Recorder>>,
            now: Instant,
        ) -> Result<(), String> {
            use simoom_core::port::Port;
            let port: &mut SimPort = &mut host.port;
            let Ok(()) = host.stack.shut_down(now, port);
            port.reclaim(Some);
            let (census, hold) = (port.census(), port.caps().tx_hold_idle);
            if census.caller == 0 && census.device <= hold {
                return Ok(());
            }
            Err(format!("buffers are missing after the stack's end: {census:?}"))
        }
        ours!(self, host => end(host, now)).unwrap_or(Ok(()))
    }
}

/// Hosts have numbers from 1: address 10.66.x.y.
fn number_of(index: usize) -> u16 {
    u16::try_from(index + 1).expect("a file has fewer hosts")
}

fn address_of(index: usize) -> SocketAddrV4 {
    let [high, low] = number_of(index).to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, 66, high, low), 80)
}

/// What the pattern of a body is drawn from: its length, so that equal lengths are one object.
fn pattern_of(len: u64) -> u64 {
    len ^ 0x5eed
}

fn path_of(len: u64) -> String {
    format!("/{len}")
}

fn setup(spec: &StackSpec, number: u16, seed: Seed, connections: u32) -> StackSetup {
    // What the file leaves to the seed is drawn in a fixed order, needed or not.
    let mut draws = seed.stream(Stream::Named("Nic", u32::from(number)));
    let dma = *draws.one_of(&DmaPolicy::ALL);
    let completion = *draws.one_of(&CompletionPolicy::ALL);
    let mut setup = StackSetup::new(number);
    setup.nic.dma = spec.dma.unwrap_or(dma);
    setup.nic.completion = spec.completion.unwrap_or(completion);
    setup.nic.rate = Rate::bits_per_second(spec.nic_rate_bits);
    setup.nic.lateness_max = spec.lateness;
    setup.nic.rx_slots = spec.rx_slots;
    setup.nic.caps.tx_slots = spec.tx_slots;
    setup.nic.caps.tx_hold_max = spec.tx_slots;
    setup.nic.caps.tx_hold_idle = 1;
    setup.nic.caps.buffers = spec.buffers;
    setup.host.rx_coalesce = spec.rx_coalesce;
    setup.stack.tcp = spec.tcp.clone();
    setup.stack.connections_max = connections;
    setup.stack.half_open_max = connections;
    setup.stack.receive_buffers = connections.min(256);
    setup
}

fn build_server(spec: &ServerSpec, number: u16, seed: Seed) -> Server {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    for len in &spec.objects {
        let file = bodies.add_pattern(pattern_of(*len), *len);
        let path = path_of(*len);
        let info = FileInfo {
            path: &path,
            content_type: "application/octet-stream",
            modified: 1_700_000_000,
            version: *len,
            len: *len,
            file,
        };
        catalogue.add_file(info).expect("sizes are distinct, names are short");
    }
    let config = ServerConfig {
        request_timeout: spec.request_timeout,
        idle_timeout: spec.idle_timeout,
        stall_timeout: spec.stall_timeout,
        memo_heads: 64,
        ..ServerConfig::default()
    };
    let mut draws = seed.stream(Stream::Named("Mode", u32::from(number)));
    let modes = [Mode::Copy, Mode::CopiesInAdvance(spec.copies), Mode::CopiesOnDemand];
    let drawn = *draws.one_of(&modes);
    let mut setup = setup(&spec.stack, number, seed, spec.connections_max);
    setup.stack.half_open_max = spec.half_open_max;
    setup.stack.content.mode = spec.mode.unwrap_or(drawn);
    host(setup, seed, FileServer::new(catalogue.build(), bodies, config))
}

fn build_client(spec: &ClientSpec, number: u16, seed: Seed) -> Client {
    let work = &spec.work;
    let mut draws = seed.stream(Stream::Host(u32::from(number)));
    let config = FetchConfig {
        server: address_of(work.server),
        host: String::from("scenario"),
        paths: work.sizes.iter().map(|len| path_of(*len)).collect(),
        order: if spec.random_order { Order::Seeded(draws.word()) } else { Order::RoundRobin },
        connections: work.connections,
        requests: work.requests,
        requests_per_connection: spec.requests_per_connection,
        pipeline: spec.pipeline,
        think: spec.think,
        completions_max: work.requests.min(1_000_000) as usize,
    };
    let expected = work.sizes.iter().map(|len| (pattern_of(*len), *len)).collect();
    // Connections in TIME-WAIT stand beside those that follow them.
    let connections = work.connections.saturating_mul(4).max(64);
    let mut setup = setup(&spec.stack, number, seed, connections);
    setup.stack.receive_buffers = work.connections;
    host(setup, seed, FetchClient::new(config, ExpectPatterns(expected)))
}

/// A host of ours whose stack is recorded.
fn host<A: App>(setup: StackSetup, seed: Seed, app: A) -> StackHost<A, Recorder> {
    let port = SimPort::new(setup.nic, setup.number, seed.stream(Stream::Dma(setup.number)));
    let secrets = seed.secrets(setup.number);
    let recorder = Recorder::default();
    let stack = Stack::with_trace(setup.stack, secrets, &setup.nic.caps, app, recorder);
    PortHost::new(stack, port, setup.host)
}

fn identity(spec: SmoltcpSpec, number: u16, seed: Seed) -> Identity {
    let random_seed = seed.stream(Stream::Host(u32::from(number))).word();
    Identity {
        receive_buffer: spec.receive_bytes,
        send_buffer: spec.send_bytes,
        ip_mtu: spec.mtu,
        ..Identity::new(number, random_seed)
    }
}

fn body_of(len: u64) -> std::sync::Arc<[u8]> {
    let mut body = vec![0; len as usize];
    pattern_fill(pattern_of(len), 0, &mut body);
    body.into()
}

fn build_smoltcp_server(spec: &SmoltcpServerSpec, number: u16, seed: Seed) -> HttpServer {
    let config = smoltcp_host::ServerConfig {
        port: 80,
        connections: spec.sockets,
        objects: spec.objects.iter().map(|len| (path_of(*len), body_of(*len))).collect(),
    };
    HttpServer::new(identity(spec.net, number, seed), config)
}

fn build_smoltcp_client(spec: &SmoltcpClientSpec, number: u16, seed: Seed) -> HttpClient {
    let work = &spec.work;
    let bodies: Vec<_> =
        work.sizes.iter().map(|len| Fetch { path: path_of(*len), body: body_of(*len) }).collect();
    let config = smoltcp_host::ClientConfig {
        server: address_of(work.server),
        connections: work.connections as usize,
        keep_alive: spec.keep_alive,
        fetches: bodies.iter().cycle().take(work.requests as usize).cloned().collect(),
    };
    HttpClient::new(identity(spec.net, number, seed), config)
}
