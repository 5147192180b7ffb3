//! Two smoltcp hosts over a lossy link: shows that the world, the link and the oracles are right
//! before the stack under test joins.

use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hash::{EventHash, EventTap, EventWriter};
use simoom_sim::link::LinkConfig;
use simoom_sim::seed::{Chance, Seed, Stream, check};
use simoom_sim::smoltcp_host::{
    ClientConfig, Fetch, HttpClient, HttpServer, Identity, ServerConfig,
};
use simoom_sim::world::{Direction, HostId, Limits, LinkId, Why, World};
use std::net::SocketAddrV4;
use std::sync::Arc;

type Host = Either<EndpointHost<HttpClient>, EndpointHost<HttpServer>>;

fn body(len: usize, salt: u64) -> Arc<[u8]> {
    (0..len as u64).map(|n| ((n + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}

/// 1 % loss, 2 % reordering, 0.5 % corruption, and some doubling.
fn lossy() -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(5),
        loss: Chance::ppm(10_000),
        reorder: Chance::ppm(20_000),
        duplicate: Chance::ppm(5_000),
        corrupt: Chance::ppm(5_000),
        ..LinkConfig::default()
    }
}

fn fill<T: EventTap>(world: &mut World<Host, T>, keep_alive: bool) -> (HostId, LinkId) {
    let seed = world.seed();
    let sizes = [0, 1, 1000, 1460, 22_000, 100_000];
    let fetches: Vec<_> = (0..)
        .zip(sizes)
        .map(|(n, len)| Fetch { path: format!("/{n}"), body: body(len, n) })
        .collect();
    let objects = fetches.iter().map(|f| (f.path.clone(), Arc::clone(&f.body))).collect();
    let word = |n| seed.stream(Stream::Host(n)).word();
    let server_id = Identity::new(2, word(2));
    let server = HttpServer::new(server_id, ServerConfig { port: 80, connections: 16, objects });
    let config = ClientConfig {
        server: SocketAddrV4::new(server_id.ip, 80),
        connections: 3,
        keep_alive,
        fetches,
    };
    let client = HttpClient::new(Identity::new(1, word(1)), config);
    let client = world.add_host(Either::Left(EndpointHost::new(client)));
    let server = world.add_host(Either::Right(EndpointHost::new(server)));
    let link = world.connect((client, 0), (server, 0), lossy(), lossy());
    (client, link)
}

fn the_client<T: EventTap>(world: &World<Host, T>, id: HostId) -> &HttpClient {
    &world.host(id).left().unwrap().endpoint
}

fn run(seed: Seed) -> (EventHash, u64) {
    let mut world = World::new(seed);
    let (client, _) = fill(&mut world, seed.0.is_multiple_of(2));
    world
        .run_until(|world| the_client(world, client).is_done())
        .unwrap_or_else(|error| panic!("{error}"));
    the_client(&world, client).verdict().unwrap();
    (world.hash(), world.stats().arrived)
}

#[test]
fn every_byte_arrives_over_a_lossy_link() {
    check(0..100, |seed| {
        let (_, frames) = run(seed);
        assert!(frames > 100);
    });
}

#[test]
fn the_same_seed_gives_the_same_hash_and_another_seed_another() {
    let hashes: Vec<_> = (0..3).map(|n| run(Seed(n))).collect();
    assert_eq!(hashes, (0..3).map(|n| run(Seed(n))).collect::<Vec<_>>());
    assert!(hashes[0].0 != hashes[1].0 && hashes[1].0 != hashes[2].0 && hashes[0].0 != hashes[2].0);
}

#[test]
fn the_hash_is_the_digest_of_the_written_stream() {
    let mut world = World::with_tap(Seed(5), EventWriter::new(Vec::new()).unwrap());
    let (client, _) = fill(&mut world, true);
    world.run_until(|world| the_client(world, client).is_done()).unwrap();
    let hash = world.hash();
    assert_eq!(hash, {
        let mut plain = World::new(Seed(5));
        let (client, _) = fill(&mut plain, true);
        plain.run_until(|world| the_client(world, client).is_done()).unwrap();
        plain.hash()
    });
    let stream = world.into_tap().finish().unwrap();
    assert_eq!(hash.0, xxhash_rust::xxh3::xxh3_128(&stream));
}

#[test]
fn a_link_that_passes_nothing_is_stopped_by_the_bound_of_time_and_says_who_waits() {
    let mut world = World::new(Seed(1));
    let (client, link) = fill(&mut world, true);
    let dead = LinkConfig { loss: Chance::ALWAYS, ..LinkConfig::default() };
    for direction in [Direction::Forward, Direction::Backward] {
        world.set_link(link, direction, dead.clone());
    }
    let limit = Instant::ZERO + Duration::from_secs(60);
    world.set_limits(Limits { time_max: limit, ..Default::default() });
    let error = world.run_until(|world| the_client(world, client).is_done()).unwrap_err();
    assert_eq!(error.why, Why::TimeMax(limit));
    assert!(error.event > 1 && error.hosts[0].contains("0 of 6 fetches completed"), "{error}");
    assert_eq!(world.step(), Err(error), "a failed run stays failed");
}
