//! Throughput and load of a server that is a [`Machine`]: one point of the figure.
//!
//! Clients cost nothing and ask again as soon as they have their answer, so what bounds a point is
//! the line, the server's cores, or the round trips of few connections.

use super::{CoreStats, CostModel, Machine, MachineSetup};
use crate::endpoint::Either;
use crate::link::{LinkConfig, Rate};
use crate::nic::{CompletionPolicy, DmaPolicy};
use crate::seed::Seed;
use crate::world::{HostId, Limits, RunError, World};
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::content::Mode;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::Stack;
use simoom_core::time::{Duration, Instant};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What is measured: objects fetched over and over, by as many connections as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// Decides everything else.
    pub seed: Seed,
    /// Interfaces of the server, 1 to 64; each has a link and a client of its own.
    pub interfaces: u16,
    /// Rings of each interface.
    pub rings: u8,
    /// Cores of the server.
    pub cores: usize,
    /// Connections of all clients together, at least one for each interface.
    pub connections: u32,
    /// Bytes of an object.
    pub object_bytes: u64,
    /// Objects, asked for in turn.
    pub objects: u32,
    /// How segments get into buffers.
    pub mode: Mode,
    /// What turns of the server cost. Its stacks share the cache of the model evenly.
    pub cost: CostModel,
    /// Rate of each interface and its link.
    pub rate: Rate,
    /// From interface to interface, one way.
    pub delay: Duration,
    /// Simulated time before measuring begins.
    pub warm_up: Duration,
    /// Simulated time measured.
    pub measured: Duration,
}

impl Default for LoadPlan {
    /// One 10 GbE interface on one core, 64 connections, one object of 22 KB, copies on demand, 10 µs
    /// one way; nothing takes time.
    fn default() -> Self {
        Self {
            seed: Seed(1),
            interfaces: 1,
            rings: 1,
            cores: 1,
            connections: 64,
            object_bytes: 22_528,
            objects: 1,
            mode: Mode::CopiesOnDemand,
            cost: CostModel::ZERO,
            rate: Rate::gbit(10),
            delay: Duration::from_micros(10),
            warm_up: Duration::from_millis(20),
            measured: Duration::from_millis(20),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPoint {
    /// Bits of bodies that reached the clients in a second, of all interfaces together.
    pub bits_per_second: u64,
    /// Requests answered in a second.
    pub requests_per_second: u64,
    /// The share of the time that each core was busy, in millionths.
    pub core_load_ppm: Vec<u64>,
    /// From a request to the last byte of its answer: the median.
    pub latency_median: Duration,
    /// The same: 99 of 100 are faster.
    pub latency_p99: Duration,
    /// Frames that found a receive ring of the server full.
    pub rx_ring_full: u64,
    /// Frames that came to each ring of interface 0.
    pub ring_frames: Vec<u64>,
    /// Turns of the server.
    pub turns: u64,
    /// The digest of the run.
    pub event_hash: crate::hash::EventHash,
    /// Frames that arrived anywhere.
    pub packets: u64,
    /// Events.
    pub events: u64,
}

type Server = Machine<Stack<FileServer<MemoryBodies>>>;
type Client = Machine<Stack<FetchClient<ExpectPatterns>>>;
type Hosts = Either<Server, Client>;

/// The numbers of the server's interfaces begin here; a client's is that of its interface, less 1.
const SERVER: u16 = 128;

/// Interrupt moderation of the server: from one turn that only completions ask for to the next.
const TX_COALESCE: Duration = Duration::from_micros(20);

/// Completions that a client records: those of a tenth of a second at line rate.
const COMPLETIONS_MAX: usize = 6_000;

impl LoadPlan {
    /// Runs it.
    ///
    /// # Errors
    /// What an oracle found.
    ///
    /// # Panics
    /// Where a number of the plan is out of its bounds, or an answer was wrong.
    pub fn run(&self) -> Result<LoadPoint, RunError> {
        assert!(self.connections >= self.interfaces.into(), "a connection for each interface");
        let mut world: World<Hosts> = World::new(self.seed);
        let end = Instant::ZERO + self.warm_up + self.measured;
        world.set_limits(Limits { time_max: end + self.measured, ..Limits::default() });
        let server = world.add_host(Either::Left(self.server()));
        let clients: Vec<HostId> =
            (0..self.interfaces).map(|n| world.add_host(Either::Right(self.client(n)))).collect();
        let link = LinkConfig {
            rate: self.rate,
            overhead_bytes: 24,
            delay: self.delay,
            queue_frames_max: 4_096,
            ..LinkConfig::default()
        };
        for (interface, client) in clients.iter().enumerate() {
            world.connect((*client, 0), (server, interface), link.clone(), link.clone());
        }
        world.run_for(self.warm_up)?;
        let from = world.now();
        let before = Totals::of(&world, server, &clients);
        for client in &clients {
            for shard in client_of(&world, *client).shards() {
                assert_eq!(shard.stack.app().stats().failed, 0, "an answer was wrong");
            }
        }
        world.run_for(self.measured)?;
        let after = Totals::of(&world, server, &clients);
        let mut latencies: Vec<Duration> = clients
            .iter()
            .flat_map(|client| client_of(&world, *client).shards())
            .flat_map(|shard| shard.stack.app().completions())
            .filter(|done| done.done_at >= from)
            .map(|done| done.done_at - done.asked_at)
            .collect();
        latencies.sort_unstable();
        let percentile = |n: usize| {
            latencies.get((latencies.len() * n / 100).min(latencies.len().saturating_sub(1)))
        };
        let a_second = |count: u64| {
            let nanos = u128::from(self.measured.as_nanos().max(1));
            (u128::from(count) * 1_000_000_000 / nanos) as u64
        };
        let loads = after.cores.iter().zip(&before.cores);
        let machine = server_of(&world, server);
        Ok(LoadPoint {
            bits_per_second: a_second((after.bytes - before.bytes) * 8),
            requests_per_second: a_second(after.requests - before.requests),
            core_load_ppm: loads.map(|(core, old)| core.load_ppm(old, self.measured)).collect(),
            latency_median: percentile(50).copied().unwrap_or_default(),
            latency_p99: percentile(99).copied().unwrap_or_default(),
            rx_ring_full: after.rx_ring_full - before.rx_ring_full,
            ring_frames: machine.ring_stats(0).map(|ring| ring.rx).collect(),
            turns: after.turns - before.turns,
            event_hash: world.hash(),
            packets: world.stats().arrived,
            events: world.events(),
        })
    }

    fn setup(&self, number: u16, connections: u32) -> MachineSetup {
        let mut setup = MachineSetup::new(number);
        let stack = &mut setup.each.stack;
        stack.connections_max = connections + 64;
        stack.half_open_max = connections + 64;
        stack.receive_buffers = 64;
        stack.tcp.receive_window = 65_535;
        stack.content.mode = self.mode;
        let nic = &mut setup.each.nic;
        nic.rate = self.rate;
        nic.rx_slots = 1_024;
        nic.caps.tx_slots = 512;
        nic.caps.tx_hold_max = 512;
        // A store of this many copies, and the frames away.
        let segments = self.objects * (self.object_bytes / 1_400 + 2) as u32;
        let copies = segments.next_multiple_of(16) * 2 + 2_048;
        stack.content.copies_max = copies;
        stack.content.runs_max = self.objects * (self.object_bytes / 1_400 / 16 + 2) as u32 + 16;
        nic.caps.buffers = copies + 2_048;
        nic.dma = DmaPolicy::WhenWireIsFree;
        nic.completion = CompletionPolicy::AtRead;
        // Looks at every connection; the cheap oracles run after every event all the same.
        setup.each.host.audit_every = 4_096;
        setup
    }

    fn server(&self) -> Server {
        let connections = self.connections.div_ceil(self.interfaces.into());
        let mut setup = self.setup(SERVER, connections);
        setup.interfaces = self.interfaces;
        setup.rings = self.rings;
        setup.cores = self.cores;
        let stacks = u64::from(self.interfaces) * u64::from(self.rings);
        setup.cost = CostModel { cache_bytes: self.cost.cache_bytes / stacks, ..self.cost };
        setup.tx_coalesce = TX_COALESCE;
        setup.machine(self.seed, |_, _| {
            let mut bodies = MemoryBodies::new();
            let mut catalogue = Catalogue::builder(1);
            for object in 0..self.objects {
                let file = bodies.add_pattern(object.into(), self.object_bytes);
                let info = FileInfo {
                    path: &format!("/{object}"),
                    content_type: "application/octet-stream",
                    modified: 1_700_000_000,
                    version: object.into(),
                    len: self.object_bytes,
                    file,
                };
                catalogue.add_file(info).expect("a path of digits");
            }
            FileServer::new(catalogue.build(), bodies, ServerConfig::default())
        })
    }

    fn client(&self, interface: u16) -> Client {
        let n = u32::from(interface);
        let connections = self.connections / u32::from(self.interfaces)
            + u32::from(n < self.connections % u32::from(self.interfaces));
        let mut setup = self.setup(SERVER - 1 - interface, connections);
        setup.each.stack.content.copies_max = 64;
        setup.each.stack.content.runs_max = 16;
        setup.each.nic.caps.buffers = 2_048;
        let [high, low] = (SERVER + interface).to_be_bytes();
        let server = SocketAddrV4::new(Ipv4Addr::new(10, 66, high, low), 80);
        let paths = (0..self.objects).map(|object| format!("/{object}")).collect();
        let config = FetchConfig {
            connections,
            completions_max: COMPLETIONS_MAX,
            ..FetchConfig::new(server, paths, u64::MAX)
        };
        let patterns = (0..self.objects).map(|n| (n.into(), self.object_bytes)).collect();
        setup.machine(self.seed, |_, _| {
            FetchClient::new(config.clone(), ExpectPatterns(Vec::clone(&patterns)))
        })
    }
}

fn server_of(world: &World<Hosts>, host: HostId) -> &Server {
    world.host(host).left().expect("the first host is the server")
}

fn client_of(world: &World<Hosts>, host: HostId) -> &Client {
    world.host(host).right().expect("the others are clients")
}

/// Counters at one time.
struct Totals {
    bytes: u64,
    requests: u64,
    rx_ring_full: u64,
    turns: u64,
    cores: Vec<CoreStats>,
}

impl Totals {
    fn of(world: &World<Hosts>, server: HostId, clients: &[HostId]) -> Self {
        let stats = || {
            let shards = clients.iter().flat_map(|client| client_of(world, *client).shards());
            shards.map(|shard| shard.stack.app().stats())
        };
        let server = server_of(world, server);
        let rings = server.shards().iter().map(|shard| shard.port.stats().rx_ring_full);
        Self {
            bytes: stats().map(|stats| stats.bytes).sum(),
            requests: stats().map(|stats| stats.succeeded).sum(),
            rx_ring_full: rings.sum(),
            turns: server.core_stats().map(|core| core.turns).sum(),
            cores: server.core_stats().collect(),
        }
    }
}
