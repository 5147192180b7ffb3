//! The stack over a lossy link: 1 % loss, 2 % reordering, 0.5 % corruption, under every DMA policy,
//! to smoltcp and to our own client. Every byte of every body is compared, and every oracle is on.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::content::Mode;
use simoom_core::port::Port;
use simoom_core::server::bodies::{MemoryBodies, pattern_fill};
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::Stack;
use simoom_core::stack::app::App;
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hash::EventHash;
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, SimPort};
use simoom_sim::seed::{Chance, Seed, Stream, check};
use simoom_sim::smoltcp_host::{ClientConfig, Fetch, HttpClient, Identity};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{HostId, Limits, World};
use std::net::{Ipv4Addr, SocketAddrV4};

type Server = StackHost<FileServer<MemoryBodies>>;
type Host =
    Either<Server, Either<StackHost<FetchClient<ExpectPatterns>>, EndpointHost<HttpClient>>>;

/// Bytes of the bodies.
const SIZES: [u64; 6] = [0, 1, 1000, 1460, 22_000, 100_000];
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 80);

fn lossy() -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(2),
        loss: Chance::ppm(10_000),
        reorder: Chance::ppm(20_000),
        corrupt: Chance::ppm(5_000),
        ..LinkConfig::default()
    }
}

/// How a world is to be, drawn from its seed.
#[derive(Clone, Copy, Debug)]
struct Plan {
    dma: DmaPolicy,
    completion: CompletionPolicy,
    mode: Mode,
    keep_alive: bool,
    connections: u32,
}

const MODES: [Mode; 4] = [Mode::Copy, Mode::CopiesInAdvance(2), Mode::CopiesOnDemand, Mode::Gather];

fn plan(seed: Seed, dma: DmaPolicy) -> Plan {
    let mut draws = seed.stream(Stream::Choice);
    Plan {
        dma,
        completion: *draws.one_of(&CompletionPolicy::ALL),
        mode: *draws.one_of(&MODES),
        keep_alive: draws.below(2) == 0,
        connections: 1 + draws.below(6) as u32,
    }
}

fn setup(number: u16, plan: Plan) -> StackSetup {
    let mut setup = StackSetup::new(number);
    setup.nic.dma = plan.dma;
    setup.nic.completion = plan.completion;
    setup.nic.caps.tx_slots = 64;
    setup.nic.caps.tx_hold_max = 64;
    setup.nic.caps.tx_hold_idle = 1;
    setup.nic.caps.buffers = 512;
    setup.stack.content.mode = plan.mode;
    setup.nic.caps.max_frags = if plan.mode == Mode::Gather { 2 } else { 1 };
    setup
}

fn server(seed: Seed, plan: Plan) -> Server {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    for (n, len) in (0..).zip(SIZES) {
        let path = format!("/{n}");
        let file = bodies.add_pattern(n, len);
        let info = FileInfo {
            path: &path,
            content_type: "text/plain",
            modified: 1_700_000_000,
            version: n,
            len,
            file,
        };
        catalogue.add_file(info).unwrap();
    }
    // With 10 % loss each way a retransmission timeout of a minute is nothing special: the server's
    // patience is not what is tested here.
    let hours = Duration::from_secs(10 * 3600);
    let config = ServerConfig {
        request_timeout: hours,
        idle_timeout: hours,
        stall_timeout: hours,
        ..ServerConfig::default()
    };
    let app = FileServer::new(catalogue.build(), bodies, config);
    setup(2, plan).host(seed, app)
}

fn our_client(seed: Seed, plan: Plan) -> StackHost<FetchClient<ExpectPatterns>> {
    let config = FetchConfig {
        server: SERVER,
        host: String::from("sim"),
        paths: (0..SIZES.len()).map(|n| format!("/{n}")).collect(),
        order: Order::RoundRobin,
        connections: plan.connections,
        requests: 2 * SIZES.len() as u64,
        requests_per_connection: if plan.keep_alive { u64::MAX } else { 1 },
        pipeline: 1,
        think: Duration::ZERO,
        pace: None,
        completions_max: 100,
    };
    let client = FetchClient::new(config, ExpectPatterns((0..).zip(SIZES).collect()));
    setup(1, plan).host(seed, client)
}

fn smoltcp_client(seed: Seed, plan: Plan) -> EndpointHost<HttpClient> {
    let fetches = (0..2).flat_map(|_| (0..).zip(SIZES)).map(|(n, len)| {
        let mut body = vec![0; len as usize];
        pattern_fill(n, 0, &mut body);
        Fetch { path: format!("/{n}"), body: body.into() }
    });
    let config = ClientConfig {
        server: SERVER,
        connections: plan.connections as usize,
        keep_alive: plan.keep_alive,
        fetches: fetches.collect(),
    };
    let random_seed = seed.stream(Stream::Host(1)).word();
    EndpointHost::new(HttpClient::new(Identity::new(1, random_seed), config))
}

fn world(seed: Seed, plan: Plan, ours: bool, link: LinkConfig) -> (World<Host>, [HostId; 2]) {
    let mut world = World::new(seed);
    world.set_limits(Limits {
        time_max: Instant::ZERO + Duration::from_secs(4 * 3600),
        ..Limits::default()
    });
    let client = match ours {
        true => Either::Left(our_client(seed, plan)),
        false => Either::Right(smoltcp_client(seed, plan)),
    };
    let client = world.add_host(Either::Right(client));
    let server = world.add_host(Either::Left(server(seed, plan)));
    world.connect((client, 0), (server, 0), link.clone(), link);
    (world, [client, server])
}

fn is_done(world: &World<Host>, client: HostId) -> bool {
    match world.host(client).right().unwrap() {
        Either::Left(ours) => {
            let stats = ours.stack.app().stats();
            stats.succeeded + stats.failed == 2 * SIZES.len() as u64
        }
        Either::Right(smoltcp) => smoltcp.endpoint.is_done(),
    }
}

fn verdict(world: &World<Host>, client: HostId) -> Result<(), String> {
    match world.host(client).right().unwrap() {
        Either::Left(ours) => {
            let stats = ours.stack.app().stats();
            let all = stats.succeeded == 2 * SIZES.len() as u64 && stats.failed == 0;
            if all { Ok(()) } else { Err(format!("{stats:?}")) }
        }
        Either::Right(smoltcp) => smoltcp.endpoint.verdict(),
    }
}

/// Runs a world until every answer has come, and every byte was right.
fn run_in(seed: Seed, dma: DmaPolicy, ours: bool, link: LinkConfig) -> (World<Host>, [HostId; 2]) {
    let plan = plan(seed, dma);
    let (mut world, [client, server]) = world(seed, plan, ours, link);
    if let Err(error) = world.run_until(|world| is_done(world, client)) {
        panic!("{plan:?}: {error}");
    }
    if let Err(error) = verdict(&world, client) {
        panic!("{plan:?}: {error}");
    }
    (world, [client, server])
}

fn run(seed: Seed, dma: DmaPolicy, ours: bool) -> EventHash {
    run_in(seed, dma, ours, lossy()).0.hash()
}

macro_rules! each_policy {
    ($($name:ident: $policy:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn smoltcp_gets_every_byte() {
                check(0..20, |seed| {
                    run(seed, DmaPolicy::$policy, false);
                });
            }

            #[test]
            fn our_client_gets_every_byte() {
                check(0..20, |seed| {
                    run(seed, DmaPolicy::$policy, true);
                });
            }
        }
    )*};
}

each_policy! {
    at_once: AtOnce;
    when_wire_is_free: WhenWireIsFree;
    next_turn: NextTurn;
    half_ring: HalfRing;
    whole_ring: WholeRing;
    random: Random;
}

#[test]
fn two_runs_of_a_seed_have_the_same_hash() {
    for ours in [false, true] {
        let hashes = |n| run(Seed(n), DmaPolicy::Random, ours);
        assert_eq!(hashes(7), hashes(7));
        assert_ne!(hashes(7), hashes(8));
    }
}

/// One frame in ten lost, one in five out of order by up to ten times the delay, one in twenty
/// damaged, one in ten doubled, and a queue that overflows.
#[test]
fn a_terrible_link_only_makes_it_slower() {
    let terrible = LinkConfig {
        rate: Rate::mbit(20),
        queue_frames_max: 20,
        loss: Chance::ppm(100_000),
        reorder: Chance::ppm(200_000),
        reorder_by_max: Duration::from_millis(20),
        duplicate: Chance::ppm(100_000),
        corrupt: Chance::ppm(50_000),
        ..lossy()
    };
    check(0..20, |seed| {
        let dma = *seed.stream(Stream::Named("Dma", 0)).one_of(&DmaPolicy::ALL);
        let (world, _) = run_in(seed, dma, seed.0 % 2 == 0, terrible.clone());
        let seen = world.oracle_stats();
        assert!(seen.segments > 100 && seen.compared_bytes > 1000, "{seen:?}");
    });
}

/// After the last answer the link heals, and everybody comes to rest: no connection is left behind,
/// and every buffer is home but what an idle device holds.
#[test]
fn a_healed_world_comes_to_rest() {
    check(0..30, |seed| {
        let dma = *seed.stream(Stream::Named("Dma", 0)).one_of(&DmaPolicy::ALL);
        let (mut world, [client, server]) = run_in(seed, dma, seed.0 % 2 == 0, lossy());
        world.heal();
        world.run_for(Duration::from_secs(400)).unwrap_or_else(|error| panic!("{error}"));
        verdict(&world, client).unwrap();
        let now = world.now();
        for host in [client, server] {
            match world.host_mut(host) {
                Either::Left(host) => assert_at_rest(&mut host.stack, &mut host.port, now),
                Either::Right(Either::Left(host)) => {
                    assert_at_rest(&mut host.stack, &mut host.port, now);
                }
                Either::Right(Either::Right(smoltcp)) => assert!(smoltcp.endpoint.is_quiet()),
            }
        }
    });
}

/// No connection is there, and when the stack is shut down every buffer is free but what an idle
/// device holds: a frame, and the payload that this one shares.
fn assert_at_rest<A: App>(stack: &mut Stack<A>, port: &mut SimPort, now: Instant) {
    assert_eq!((stack.connections(), stack.half_open()), (0, 0));
    let Ok(()) = stack.shut_down(now, port);
    port.reclaim(Some);
    let (census, caps) = (port.census(), port.caps());
    let shared = census.device * u32::from(caps.max_frags - 1);
    assert!(census.caller <= shared && census.device <= caps.tx_hold_idle, "{census:?}");
}

/// A world of our own stacks is plain data.
#[test]
fn a_fork_at_any_event_goes_on_to_the_same_hash() {
    type Ours = World<Either<Server, StackHost<FetchClient<ExpectPatterns>>>>;
    fn end(world: &Ours) -> (EventHash, u64, Instant) {
        (world.hash(), world.events(), world.now())
    }
    check(0..20, |seed| {
        let plan = plan(seed, DmaPolicy::Random);
        let mut world: Ours = World::new(seed);
        let client = world.add_host(Either::Right(our_client(seed, plan)));
        let server = world.add_host(Either::Left(server(seed, plan)));
        world.connect((client, 0), (server, 0), lossy(), lossy());
        let at = seed.stream(Stream::Named("Fork", 0)).below(600);
        while world.events() < at {
            assert!(world.step().unwrap());
        }
        let mut fork = world.clone();
        let second = Duration::from_secs(20);
        world.run_for(second).unwrap();
        assert_ne!(end(&fork), end(&world));
        fork.run_for(second).unwrap();
        assert_eq!(end(&fork), end(&world));
        assert!(world.host(client).right().unwrap().stack.app().stats().succeeded > 0);
    });
}
