//! A world drawn from a seed: a server of ours, our client or smoltcp's, a link with everything that
//! can go wrong, and a configuration from the corners.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::content::Mode;
use simoom_core::server::bodies::{MemoryBodies, pattern_fill};
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::Config;
use simoom_core::tcp::State;
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};
use simoom_sim::oracle::promises::Stats;
use simoom_sim::seed::{Chance, Draws, Seed, Stream};
use simoom_sim::smoltcp_host::{ClientConfig, Fetch, HttpClient, Identity};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{HostId, Limits, RunError, World};
use std::net::{Ipv4Addr, SocketAddrV4};

type Client = Either<StackHost<FetchClient<ExpectPatterns>>, EndpointHost<HttpClient>>;
type Host = Either<StackHost<FileServer<MemoryBodies>>, Client>;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 80);

/// Bytes of the bodies; the place is the seed of the pattern.
const SIZES: [u64; 6] = [0, 1, 1_000, 1_460, 22_000, 150_000];

/// How a run ended well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) promises: Stats,
}

fn link(draws: &mut Draws) -> LinkConfig {
    let mut ppm = |most: u64| Chance::ppm(draws.below(most) as u32);
    let (loss, reorder, duplicate, corrupt) = (ppm(40_000), ppm(40_000), ppm(20_000), ppm(10_000));
    let delay = *draws.one_of(&[50, 500, 2_000, 10_000, 40_000]);
    LinkConfig {
        rate: *draws.one_of(&[Rate::mbit(5), Rate::mbit(100), Rate::gbit(1), Rate::gbit(10)]),
        delay: Duration::from_micros(delay),
        queue_frames_max: *draws.one_of(&[8, 50, 1_000]),
        reorder_by_max: Duration::from_micros(delay * 2),
        loss,
        reorder,
        duplicate,
        corrupt,
        ..LinkConfig::default()
    }
}

/// A stack from the corners of its configuration.
fn setup(number: u16, draws: &mut Draws) -> StackSetup {
    let mut setup = StackSetup::new(number);
    let nic = &mut setup.nic;
    nic.dma = *draws.one_of(&DmaPolicy::ALL);
    nic.completion = *draws.one_of(&CompletionPolicy::ALL);
    nic.caps.tx_slots = *draws.one_of(&[8, 64, 256]);
    nic.caps.tx_hold_max = nic.caps.tx_slots;
    nic.caps.tx_hold_idle = draws.below(2) as u32;
    nic.caps.buffers = *draws.one_of(&[160, 512]);
    let Config { tcp, content, quantum_frames, .. } = &mut setup.stack;
    content.mode = *draws.one_of(&[Mode::Copy, Mode::CopiesInAdvance(2), Mode::CopiesOnDemand]);
    content.reserve = *draws.one_of(&[16, 64]);
    *quantum_frames = *draws.one_of(&[4, 64]);
    tcp.mss = *draws.one_of(&[1_460, 1_460, 1_300, 536, 200]);
    tcp.receive_window = *draws.one_of(&[2_000, 16_384, 65_535, 200_000]);
    tcp.timestamps = draws.below(4) != 0;
    tcp.window_scaling = draws.below(4) != 0;
    tcp.nagle = draws.below(4) == 0;
    tcp.delayed_ack = Duration::from_millis(*draws.one_of(&[0, 10, 40]));
    tcp.min_rto = Duration::from_millis(*draws.one_of(&[50, 200, 1_000]));
    tcp.time_wait = Duration::from_millis(*draws.one_of(&[200, 60_000]));
    setup
}

fn server(seed: Seed, draws: &mut Draws) -> StackHost<FileServer<MemoryBodies>> {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    for (n, len) in (0..).zip(SIZES) {
        let info = FileInfo {
            path: &format!("/{n}"),
            content_type: "text/plain",
            modified: 1_700_000_000,
            version: n,
            len,
            file: bodies.add_pattern(n, len),
        };
        catalogue.add_file(info).expect("a file that can be served");
    }
    let hours = Duration::from_secs(10 * 3600);
    let config = ServerConfig {
        request_timeout: hours,
        idle_timeout: hours,
        stall_timeout: hours,
        ..ServerConfig::default()
    };
    setup(2, draws).host(seed, FileServer::new(catalogue.build(), bodies, config))
}

/// The client, and whether its connections stay.
fn client(seed: Seed, draws: &mut Draws, requests: u64) -> (Client, bool) {
    let keep_alive = draws.below(2) == 0;
    let connections = 1 + draws.below(5) as u32;
    let think = Duration::from_millis(*draws.one_of(&[0, 0, 700]));
    let setup = setup(1, draws);
    if draws.below(3) > 0 {
        let config = FetchConfig {
            server: SERVER,
            host: String::from("sim"),
            paths: (0..SIZES.len()).map(|n| format!("/{n}")).collect(),
            order: Order::RoundRobin,
            connections,
            requests,
            requests_per_connection: if keep_alive { u64::MAX } else { 1 },
            pipeline: 1,
            think,
            pace: None,
            completions_max: 0,
        };
        let expect = ExpectPatterns((0..).zip(SIZES).collect());
        return (Either::Left(setup.host(seed, FetchClient::new(config, expect))), keep_alive);
    }
    let fetches = (0..).zip(SIZES).cycle().take(requests as usize).map(|(n, len)| {
        let mut body = vec![0; len as usize];
        pattern_fill(n, 0, &mut body);
        Fetch { path: format!("/{n}"), body: body.into() }
    });
    let config = ClientConfig {
        server: SERVER,
        connections: connections as usize,
        keep_alive,
        fetches: fetches.collect(),
    };
    let random_seed = seed.stream(Stream::Host(1)).word();
    let mut identity = Identity::new(1, random_seed);
    identity.receive_buffer = *draws.one_of(&[3_000, 1 << 16, 1 << 18]);
    (Either::Right(EndpointHost::new(HttpClient::new(identity, config))), keep_alive)
}

/// Requests of a run.
const REQUESTS: u64 = 12;

/// Of these, those that clients ask on connections that stay and that are answered on healed links.
const HEALED: u64 = 2;

/// Requests that have an answer, or have failed.
fn answered(world: &World<Host>, client: HostId) -> u64 {
    match world.host(client).right().expect("the client is on the right") {
        Either::Left(ours) => {
            let stats = ours.stack.app().stats();
            stats.succeeded + stats.failed
        }
        Either::Right(smoltcp) if smoltcp.endpoint.is_done() => REQUESTS,
        Either::Right(smoltcp) => {
            let stats = smoltcp.endpoint.stats();
            stats.completed + stats.failures.len() as u64
        }
    }
}

/// Every connection has said all it had to say, and both of its ends know; none is about to end.
fn is_idle(world: &World<Host>) -> bool {
    let all: Vec<_> = world.hosts().flat_map(simoom_sim::endpoint::Host::connections).collect();
    all.iter().all(|(flow, info)| {
        let peer = all.iter().find(|(other, _)| (other.from, other.to) == (flow.to, flow.from));
        let heard = peer.is_none_or(|(_, peer)| peer.rcv_nxt == info.snd_max);
        let is_over = info.state == State::TimeWait;
        is_over || (info.state == State::Established && info.snd_una == info.snd_max && heard)
    })
}

/// Nobody has a connection but in TIME-WAIT.
fn is_at_rest(world: &World<Host>) -> bool {
    world.hosts().all(|host| match host {
        Either::Left(server) => server.stack.connections() == 0,
        Either::Right(Either::Left(ours)) => ours.stack.connections() == 0,
        Either::Right(Either::Right(smoltcp)) => smoltcp.endpoint.is_quiet(),
    })
}

/// Why a run did not end well: an oracle, or an answer that was wrong or missing.
#[derive(Debug)]
#[allow(dead_code, reason = "shown")]
pub(crate) enum Found {
    By(Box<RunError>),
    Answer(String),
}

/// Twelve requests over a link on which everything goes wrong; then the links heal, and everybody has
/// to come to rest. Where connections stay, the links heal while the last requests are under way: these
/// have to be answered, and the connections to be idle.
pub(crate) fn run(seed: Seed) -> Result<Outcome, Found> {
    let mut draws = seed.stream(Stream::Named("Promises", 0));
    let mut world: World<Host> = World::new(seed);
    world.set_limits(Limits {
        time_max: Instant::ZERO + Duration::from_secs(4 * 3600),
        events_max: 2_000_000,
        ..Limits::default()
    });
    let (client, keep_alive) = client(seed, &mut draws, REQUESTS);
    let client = world.add_host(Either::Right(client));
    let server = server(seed, &mut draws);
    let server = world.add_host(Either::Left(server));
    let (there, back) = (link(&mut draws), link(&mut draws));
    world.connect((client, 0), (server, 0), there, back);
    let found = |error| Found::By(Box::new(error));
    let sick = if keep_alive { REQUESTS - HEALED } else { REQUESTS };
    world.run_until(|world| answered(world, client) >= sick).map_err(found)?;
    if keep_alive {
        let think = Duration::from_secs(2);
        let within = world.progress_bound(400_000) + think;
        let done = |world: &World<Host>| answered(world, client) == REQUESTS && is_idle(world);
        world.heal_and_demand_progress(within, done).map_err(found)?;
    }
    match world.host(client).right().expect("the client is on the right") {
        Either::Left(ours) if ours.stack.app().stats().succeeded < REQUESTS => {
            return Err(Found::Answer(format!("{:?}", ours.stack.app().stats())));
        }
        Either::Left(_) => {}
        Either::Right(smoltcp) => smoltcp.endpoint.verdict().map_err(Found::Answer)?,
    }
    if !keep_alive {
        // TIME-WAIT is a minute.
        let within = world.progress_bound(400_000) + Duration::from_secs(60);
        world.heal_and_demand_progress(within, is_at_rest).map_err(found)?;
    }
    Ok(Outcome { promises: *world.promise_stats() })
}
