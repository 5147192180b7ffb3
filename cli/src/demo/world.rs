//! The world of the demonstration: a server behind a switch, and clients behind lossy links.

use super::bundled::{self, Page};
use simoom_core::client::{ExpectBytes, FetchClient, FetchConfig, FetchStats, Order};
use simoom_core::content;
use simoom_core::server::{FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::Stats;
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hash::{EventHash, EventTap};
use simoom_sim::hosts::Switch;
use simoom_sim::link::{LinkConfig, LinkStats, Rate};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};
use simoom_sim::seed::{Chance, Seed, Stream};
use simoom_sim::smoltcp_host::{ClientConfig, ClientStats, Failure, Fetch, HttpClient, Identity};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{Direction, HostId, Limits, LinkId, RunError, World};
use std::net::{Ipv4Addr, SocketAddrV4};

type Server = StackHost<FileServer<MemoryBodies>>;
type OurClient = StackHost<FetchClient<ExpectBytes>>;
type SmoltcpClient = EndpointHost<HttpClient>;
type Host = Either<Either<Server, Switch>, Either<OurClient, SmoltcpClient>>;

/// The server's number; the clients' follow.
const SERVER: u16 = 1;
const SERVER_ADDR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, SERVER as u8), 80);

/// Connections of each client.
const CONNECTIONS: u32 = 4;

/// Connections that a host has room for, those in TIME-WAIT and half open in.
const CONNECTIONS_MAX: u32 = 2_048;

/// Simulated time at most. With a fifth of all frames lost, timeouts of a minute follow each other;
/// a run that is not done after a day will never be.
const TIME_MAX: Duration = Duration::from_secs(86_400);

/// What one client saw.
#[derive(Clone, Debug)]
pub(super) struct ClientReport {
    /// `simoom` or `smoltcp`.
    pub(super) kind: &'static str,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
    pub(super) wrong_bytes: u64,
    pub(super) connections: u64,
}

struct Client {
    host: HostId,
    link: LinkId,
    requests: u64,
}

/// The world, and who is in it.
pub(super) struct Demo<T> {
    world: World<Host, T>,
    server: HostId,
    clients: Vec<Client>,
}

impl<T: EventTap> Demo<T> {
    pub(super) fn new(seed: Seed, clients: u16, requests: u32, loss_ppm: u32, tap: T) -> Self {
        let pages = bundled::pages();
        let mut world = World::with_tap(seed, tap);
        world.set_limits(Limits { time_max: Instant::ZERO + TIME_MAX, ..Limits::default() });
        let server = world.add_host(Either::Left(Either::Left(server(seed, &pages))));
        // What goes through a switch is not its own: the oracles judge the hosts behind it.
        let switch = Switch::new(usize::from(clients) + 1);
        let switch = world.add_forwarder(Either::Left(Either::Right(switch)));
        world.connect((server, 0), (switch, 0), backbone(), backbone());
        let mut demo = Self { world, server, clients: Vec::new() };
        for n in 0..clients {
            let share = requests / u32::from(clients)
                + u32::from(u32::from(n) < requests % u32::from(clients));
            let number = SERVER + 1 + n;
            let client = if n % 2 == 0 {
                Either::Left(our_client(seed, number, share, &pages))
            } else {
                Either::Right(smoltcp_client(seed, number, share, &pages))
            };
            let host = demo.world.add_host(Either::Right(client));
            let access = access(loss_ppm);
            let link =
                demo.world.connect((host, 0), (switch, usize::from(n) + 1), access.clone(), access);
            demo.clients.push(Client { host, link, requests: share.into() });
        }
        demo
    }

    /// Runs until every request has its answer; `watch` is called after every event.
    pub(super) fn run(&mut self, mut watch: impl FnMut(&Self)) -> Result<(), RunError> {
        // The first client that is not done yet: those before it stay done.
        let mut at = 0;
        while let Some(client) = self.clients.get(at) {
            if self.answered(client) == client.requests {
                at += 1;
            } else if self.world.step()? {
                watch(self);
            } else {
                // Nothing is to come: the world says who waits for what.
                return self.world.run_until(|_| false);
            }
        }
        Ok(())
    }

    /// Requests answered, and all.
    pub(super) fn progress(&self) -> (u64, u64) {
        let done = self.clients.iter().map(|c| self.answered(c)).sum();
        (done, self.clients.iter().map(|c| c.requests).sum())
    }

    pub(super) fn now(&self) -> Instant {
        self.world.now()
    }

    pub(super) fn seed(&self) -> Seed {
        self.world.seed()
    }

    pub(super) fn hash(&self) -> EventHash {
        self.world.hash()
    }

    pub(super) fn events(&self) -> u64 {
        self.world.events()
    }

    /// What the clients' links did, both directions of all together.
    pub(super) fn links(&self) -> LinkStats {
        let mut all = LinkStats::default();
        for client in &self.clients {
            for direction in [Direction::Forward, Direction::Backward] {
                let one = self.world.link_stats(client.link, direction);
                all.offered += one.offered;
                all.queue_full += one.queue_full;
                all.lost += one.lost;
                all.reordered += one.reordered;
                all.duplicated += one.duplicated;
                all.damaged += one.damaged;
                all.offered_bytes += one.offered_bytes;
            }
        }
        all
    }

    /// What the server's stack and store counted.
    pub(super) fn server(&self) -> (&Stats, &content::Stats) {
        let Some(Either::Left(server)) = self.world.host(self.server).left() else {
            unreachable!("the first host is the server")
        };
        (server.stack.stats(), server.stack.store().stats())
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = ClientReport> {
        self.clients.iter().map(|client| match self.client(client) {
            Either::Left(ours) => ours_report(ours.stack.app().stats()),
            Either::Right(smoltcp) => smoltcp_report(smoltcp.endpoint.stats()),
        })
    }

    pub(super) fn into_tap(self) -> T {
        self.world.into_tap()
    }

    fn client(&self, client: &Client) -> &Either<OurClient, SmoltcpClient> {
        self.world.host(client.host).right().expect("a client's number names a client")
    }

    fn answered(&self, client: &Client) -> u64 {
        match self.client(client) {
            Either::Left(ours) => {
                let stats = ours.stack.app().stats();
                stats.succeeded + stats.failed
            }
            Either::Right(smoltcp) => {
                let stats = smoltcp.endpoint.stats();
                stats.completed + stats.failures.len() as u64
            }
        }
    }
}

fn ours_report(stats: &FetchStats) -> ClientReport {
    ClientReport {
        kind: "simoom",
        requests: stats.requests,
        failed: stats.failed,
        bytes: stats.bytes,
        wrong_bytes: stats.wrong_bytes,
        connections: stats.connections,
    }
}

fn smoltcp_report(stats: &ClientStats) -> ClientReport {
    let wrong = |(_, why): &&(usize, Failure)| matches!(why, Failure::WrongByte { .. });
    ClientReport {
        kind: "smoltcp",
        requests: stats.completed + stats.failures.len() as u64,
        failed: stats.failures.len() as u64,
        bytes: stats.body_bytes,
        wrong_bytes: stats.failures.iter().filter(wrong).count() as u64,
        connections: stats.opened,
    }
}

/// A client's way to the switch: 50 Mb/s over 10 ms, with every fault that a link has.
fn access(loss_ppm: u32) -> LinkConfig {
    LinkConfig {
        rate: Rate::mbit(50),
        overhead_bytes: 24,
        delay: Duration::from_millis(10),
        queue_frames_max: 256,
        loss: Chance::ppm(loss_ppm),
        reorder: Chance::ppm(20_000),
        reorder_by_max: Duration::from_millis(2),
        duplicate: Chance::ppm(2_000),
        corrupt: Chance::ppm(5_000),
        ..LinkConfig::default()
    }
}

/// The server's way to the switch: 10 Gb/s over 20 µs, without faults.
fn backbone() -> LinkConfig {
    LinkConfig {
        rate: Rate::gbit(10),
        overhead_bytes: 24,
        delay: Duration::from_micros(20),
        ..LinkConfig::default()
    }
}

/// A stack with tables for a small world.
fn setup(number: u16) -> StackSetup {
    let mut setup = StackSetup::new(number);
    setup.stack.connections_max = CONNECTIONS_MAX;
    setup.stack.half_open_max = CONNECTIONS_MAX / 2;
    setup.stack.receive_buffers = 64;
    // 2026-01-01 00:00:00 UTC.
    setup.stack.unix_nanos_at_start = 1_767_225_600_000_000_000;
    // Looks at every connection; the cheap oracles run after every event all the same.
    setup.host.audit_every = 64;
    setup
}

fn server(seed: Seed, pages: &[Page]) -> Server {
    let (catalogue, bodies) = bundled::catalogue(pages);
    // With heavy loss a minute without an acknowledgement is nothing special, and a connection
    // given up would hide whether its bytes were right.
    let patience = ServerConfig {
        request_timeout: TIME_MAX,
        idle_timeout: TIME_MAX,
        stall_timeout: TIME_MAX,
        ..ServerConfig::default()
    };
    let mut setup = setup(SERVER);
    // The device that is hardest on the store: it reads frames as late as it may and reports them
    // half a ring later.
    setup.nic.dma = DmaPolicy::WholeRing;
    setup.nic.completion = CompletionPolicy::HalfRing;
    setup.host(seed, FileServer::new(catalogue, bodies, patience))
}

fn our_client(seed: Seed, number: u16, requests: u32, pages: &[Page]) -> OurClient {
    let config = FetchConfig {
        server: SERVER_ADDR,
        host: "demo.example".into(),
        paths: pages.iter().map(|page| page.target.into()).collect(),
        order: Order::Seeded(seed.stream(Stream::Named("Pages", number.into())).word()),
        connections: CONNECTIONS,
        requests: requests.into(),
        requests_per_connection: 16,
        pipeline: 2,
        think: Duration::ZERO,
        pace: None,
        completions_max: 0,
    };
    let expect = ExpectBytes(pages.iter().map(|page| page.body.clone()).collect());
    setup(number).host(seed, FetchClient::new(config, expect))
}

fn smoltcp_client(seed: Seed, number: u16, requests: u32, pages: &[Page]) -> SmoltcpClient {
    let mut draws = seed.stream(Stream::Named("Pages", number.into()));
    let fetches = (0..requests).map(|_| {
        let page = draws.one_of(pages);
        Fetch { path: page.target.into(), body: page.body.clone() }
    });
    let config = ClientConfig {
        server: SERVER_ADDR,
        connections: CONNECTIONS as usize,
        keep_alive: number % 4 == 1,
        fetches: fetches.collect(),
    };
    let random_seed = seed.stream(Stream::Host(number.into())).word();
    EndpointHost::new(HttpClient::new(Identity::new(number, random_seed), config))
}
