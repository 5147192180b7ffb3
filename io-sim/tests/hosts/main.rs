//! The hosts of `simoom_sim::hosts` around our file server: each does what its name says, delivered bytes are
//! right, the same seed gives the same hash, and worlds of them fork at any event.

mod any;
mod hostile;
mod receiver;
mod slow_reader;
mod topology;

use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hash::EventHash;
use simoom_sim::hosts::tcp_peer::{Body, Request};
use simoom_sim::link::LinkConfig;
use simoom_sim::seed::{Seed, Stream};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{HostId, World};
use std::net::{Ipv4Addr, SocketAddrV4};

type Server = StackHost<FileServer<MemoryBodies>>;
/// A server, and hosts of one other kind.
type Host<E> = Either<Server, EndpointHost<E>>;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 1), 80);

/// Bytes of the file `/n`, whose pattern has the seed `n`.
const SIZES: [u64; 6] = [0, 1, 1460, 22_000, 100_000, 3_000_000];

fn get(n: usize) -> Request {
    Request::get(&format!("/{n}"), Body::Pattern { seed: n as u64, len: SIZES[n] })
}

fn server_setup() -> StackSetup {
    let mut setup = StackSetup::new(1);
    setup.host.audit_every = 64;
    setup
}

fn server_with(seed: Seed, setup: StackSetup, config: ServerConfig) -> Server {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    for (n, len) in (0..).zip(SIZES) {
        let file = bodies.add_pattern(n, len);
        let path = format!("/{n}");
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
    setup.host(seed, FileServer::new(catalogue.build(), bodies, config))
}

fn server(seed: Seed) -> Server {
    server_with(seed, server_setup(), ServerConfig::default())
}

/// A server and one other host, host 1, on a link; the oracles judge both.
fn pair<E: simoom_sim::endpoint::Endpoint>(
    seed: Seed,
    other: E,
    link: LinkConfig,
) -> (World<Host<E>>, HostId, HostId) {
    let mut world = World::new(seed);
    let server = world.add_host(Either::Left(server(seed)));
    let other = world.add_host(Either::Right(EndpointHost::new(other)));
    world.connect((server, 0), (other, 0), link.clone(), link);
    (world, server, other)
}

fn endpoint<E: simoom_sim::endpoint::Endpoint>(world: &World<Host<E>>, id: HostId) -> &E {
    &world.host(id).right().expect("an endpoint").endpoint
}

/// Runs a world twice, and a fork of it from an event on: all have the same hash.
fn same_twice_and_forked<H: simoom_sim::endpoint::Host + Clone>(
    make: impl Fn() -> World<H>,
    time: Duration,
) {
    fn end<H: simoom_sim::endpoint::Host>(world: &World<H>) -> (EventHash, u64, Instant) {
        (world.hash(), world.events(), world.now())
    }
    let mut first = make();
    first.run_for(time).unwrap_or_else(|error| panic!("{error}"));
    let mut second = make();
    let at = second.seed().stream(Stream::Named("Fork", 0)).below(first.events());
    while second.events() < at {
        assert!(second.step().unwrap());
    }
    let mut fork = second.clone();
    let left = Duration::from_nanos(time.as_nanos() - second.now().as_nanos());
    second.run_for(left).unwrap();
    assert_ne!(end(&fork), end(&second), "nothing happened after event {at}");
    fork.run_for(left).unwrap();
    assert_eq!(end(&first), end(&second));
    assert_eq!(end(&first), end(&fork));
}
