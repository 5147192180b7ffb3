//! Small worlds, exhaustively: a transfer of six segments under *every* pattern of loss,
//! duplication and adjacent swap over its first ten packets, under each DMA policy.
//!
//! The ten packets are counted from the SYN over both directions, in the order in which they come
//! to the link; with the default initial window they are the handshake, the request, all six
//! segments and the first acknowledgement. A second walk begins with the response, so that its ten
//! packets are the segments, their acknowledgements and both FINs. After the tenth packet the
//! world is whole: the client has to get every byte, both sides have to end by FIN and forget the
//! connection, and every buffer has to come home. Every oracle is on.
//!
//! In a release build all patterns are walked: 4 to the 10th a walk, less those with two swaps in
//! a row. A debug build walks those with at most two faults, which takes seconds.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::content;
use simoom_core::port::Port;
use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::Stack;
use simoom_core::stack::app::App;
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::Either;
use simoom_sim::exhaust::{Walk, walk};
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, SimPort};
use simoom_sim::oracle::OracleConfig;
use simoom_sim::seed::Seed;
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{Direction, HostId, Limits, LinkId, World};
use std::net::{Ipv4Addr, SocketAddrV4};

type Server = StackHost<FileServer<MemoryBodies>>;
type Client = StackHost<FetchClient<ExpectPatterns>>;
type Small = World<Either<Client, Server>>;

/// Packets of a walk.
const PACKETS: usize = 10;

/// Faults among them, at most.
const FAULTS_MAX: usize = if cfg!(debug_assertions) { 2 } else { PACKETS };

const MSS: u16 = 536;

/// Bytes of the body: with a head of less than 300 bytes, six segments of 524.
const BODY: u64 = 2_800;

/// Longer than ten lost packets in a row can take.
const HOUR: Duration = Duration::from_secs(3600);

/// When completions show under each DMA policy: each policy of the one kind with one of the other.
fn completion(dma: DmaPolicy) -> CompletionPolicy {
    match dma {
        DmaPolicy::AtOnce | DmaPolicy::Random => CompletionPolicy::AtRead,
        DmaPolicy::WhenWireIsFree => CompletionPolicy::AtSent,
        DmaPolicy::NextTurn | DmaPolicy::HalfRing => CompletionPolicy::HalfRing,
        DmaPolicy::WholeRing => CompletionPolicy::WholeRing,
    }
}

/// A host with small tables, so that forking it is cheap.
fn setup(number: u16, dma: DmaPolicy, syn_retries_max: u8) -> StackSetup {
    let mut setup = StackSetup::new(number);
    let nic = &mut setup.nic;
    nic.dma = dma;
    nic.completion = completion(dma);
    // Longer than a round trip: acknowledgements come while frames wait to be read.
    nic.lateness_max = Duration::from_millis(5);
    nic.caps.frame_max = 640;
    nic.caps.buffers = 24;
    nic.caps.tx_slots = 8;
    nic.caps.tx_hold_max = 8;
    nic.caps.tx_hold_idle = 1;
    nic.rx_slots = 16;
    let stack = &mut setup.stack;
    stack.connections_max = 2;
    stack.half_open_max = 2;
    stack.neighbours_max = 2;
    stack.receive_buffers = 1;
    stack.tcp.mss = MSS;
    stack.tcp.receive_window = 4096;
    stack.tcp.syn_retries_max = syn_retries_max;
    // Nor is the one side to forget while the other still tries.
    stack.tcp.fin_wait_2 = HOUR;
    stack.tcp.time_wait = Duration::from_secs(240);
    stack.content = content::Config {
        copies_max: 16,
        reserve: 4,
        runs_max: 4,
        mss_classes: vec![MSS],
        ..content::Config::default()
    };
    setup
}

/// One client, one server, one file.
fn world(dma: DmaPolicy) -> (Small, [HostId; 2], LinkId) {
    // Ten losses in a row are no reason to give up here.
    world_with(dma, 12)
}

fn world_with(dma: DmaPolicy, syn_retries_max: u8) -> (Small, [HostId; 2], LinkId) {
    let seed = Seed(8);
    let mut world: Small = World::new(seed);
    world.set_oracles(OracleConfig { bytes_kept: 4096, flows_max: 4, ..OracleConfig::default() });
    world.set_limits(Limits {
        events_max: 100_000,
        time_max: Instant::ZERO + HOUR + HOUR,
        ..Limits::default()
    });
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 80);
    let config = FetchConfig {
        requests_per_connection: 1,
        ..FetchConfig::new(address, vec![String::from("/six")], 1)
    };
    let client = FetchClient::new(config, ExpectPatterns(vec![(1, BODY)]));

    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(1, BODY);
    let mut catalogue = Catalogue::builder(1);
    let info = FileInfo {
        path: "/six",
        content_type: "text/plain",
        modified: 1_700_000_000,
        version: 1,
        len: BODY,
        file,
    };
    catalogue.add_file(info).unwrap();
    let config = ServerConfig {
        request_timeout: HOUR,
        idle_timeout: HOUR,
        stall_timeout: HOUR,
        memo_heads: 0,
        ..ServerConfig::default()
    };
    let server = FileServer::new(catalogue.build(), bodies, config);

    let client = world.add_host(Either::Left(setup(1, dma, syn_retries_max).host(seed, client)));
    let server = world.add_host(Either::Right(setup(2, dma, syn_retries_max).host(seed, server)));
    let link = LinkConfig {
        rate: Rate::UNLIMITED,
        delay: Duration::from_millis(1),
        ..LinkConfig::default()
    };
    let link = world.connect((client, 0), (server, 0), link.clone(), link);
    (world, [client, server], link)
}

/// The same world with the request at the server, and nothing answered yet.
fn world_at_response(dma: DmaPolicy) -> (Small, [HostId; 2], LinkId) {
    let (mut world, [client, server], link) = world(dma);
    let asked = |world: &Small| world.host(server).right().unwrap().stack.stats().opened == 1;
    world.run_until(asked).unwrap();
    (world, [client, server], link)
}

/// Runs to the end of everything and says what is not as it must be.
fn end(mut world: Small, [client, server]: [HostId; 2]) -> Result<(), String> {
    world.run_to_end().map_err(|error| error.to_string())?;
    let now = world.now();
    let Either::Left(host) = world.host_mut(client) else { unreachable!("it is the client") };
    let fetched = host.stack.app().stats();
    if (fetched.succeeded, fetched.failed, fetched.bytes) != (1, 0, BODY) {
        return Err(format!("{fetched:?}"));
    }
    at_rest(&mut host.stack, &mut host.port, now)?;
    let Either::Right(host) = world.host_mut(server) else { unreachable!("it is the server") };
    at_rest(&mut host.stack, &mut host.port, now)
}

/// One connection came and went, by FIN both ways, and no buffer is missing.
fn at_rest<A: App>(stack: &mut Stack<A>, port: &mut SimPort, now: Instant) -> Result<(), String> {
    let stats = stack.stats();
    let ends = (stats.opened, stats.closed, stats.reset_by_peer, stats.aborted, stats.timed_out);
    if ends != (1, 1, 0, 0, 0) || (stack.connections(), stack.half_open()) != (0, 0) {
        return Err(format!("{} connections left, {stats:?}", stack.connections()));
    }
    let Ok(()) = stack.shut_down(now, port);
    port.reclaim(Some);
    let (census, caps) = (port.census(), port.caps());
    if census.caller > 0 || census.device > caps.tx_hold_idle {
        return Err(format!("buffers are missing: {census:?}"));
    }
    Ok(())
}

/// Walks through both trees of patterns.
fn walk_all(dma: DmaPolicy) {
    for (from, (world, hosts, _)) in [("SYN", world(dma)), ("response", world_at_response(dma))] {
        let plan =
            Walk { packets: PACKETS, faults_max: FAULTS_MAX, swap_wait: Duration::from_secs(3) };
        let patterns = walk(world, plan, |world, _| end(world, hosts))
            .unwrap_or_else(|found| panic!("{dma:?}, from the {from} on: {found}"));
        // Between all packets of one direction and no two in a row of one, some swaps being ruled
        // out by the ones before.
        let (least, most) = match FAULTS_MAX {
            PACKETS => (641_520, 1 << 20),
            _ => (1 + 30 + 36 * 9 + 9 * 8, 1 + 30 + 45 * 9),
        };
        println!("{dma:?}, from the {from} on: {patterns} patterns");
        assert!((least..=most).contains(&patterns), "{dma:?}: {patterns} patterns");
    }
}

macro_rules! each_policy {
    ($($name:ident: $policy:ident;)*) => {$(
        #[test]
        fn $name() {
            walk_all(DmaPolicy::$policy);
        }
    )*};
}

each_policy! {
    every_pattern_is_survived_when_frames_are_read_at_once: AtOnce;
    every_pattern_is_survived_when_frames_are_read_as_the_wire_is_free: WhenWireIsFree;
    every_pattern_is_survived_when_frames_are_read_a_turn_later: NextTurn;
    every_pattern_is_survived_when_frames_are_read_by_half_rings: HalfRing;
    every_pattern_is_survived_when_frames_are_read_by_whole_rings: WholeRing;
    every_pattern_is_survived_when_frames_are_read_at_random_times: Random;
}

#[test]
fn the_transfer_is_one_of_six_segments() {
    for dma in DmaPolicy::ALL {
        let (mut world, hosts, link) = world(dma);
        world.run_to_end().unwrap();
        let server = &world.host(hosts[1]).right().unwrap().stack;
        assert_eq!(server.stats().tx_prepared + server.stats().tx_copied, 6, "{dma:?}");
        let offered = [Direction::Forward, Direction::Backward]
            .map(|way| world.link_stats(link, way).offered);
        println!("{dma:?}: {offered:?}");
        end(world, hosts).unwrap();
    }
}

/// The walk finds what one pattern shows, and says it with the fewest faults.
#[test]
fn an_end_that_gives_up_too_early_is_found() {
    let dma = DmaPolicy::AtOnce;
    let (world, hosts, _) = world_with(dma, 2);
    let plan = Walk { packets: 4, faults_max: 4, swap_wait: Duration::from_secs(3) };
    let found = walk(world, plan, |world, _| end(world, hosts)).unwrap_err();
    assert_eq!(found.pattern.to_string(), "lose 1, lose 2, lose 3", "{found}");
}
