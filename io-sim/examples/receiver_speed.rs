//! What a bulk transfer from our file server to the ideal receiver costs, all oracles and hashing on. Run with
//! `--release`; prints frames a second of wall time, each frame counted once on arrival.
#![allow(clippy::disallowed_methods, reason = "measures wall time")]

use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::time::Duration;
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hosts::tcp_peer::{Acknowledging, Body, Manners, Request};
use simoom_sim::hosts::{Receiver, ReceiverConfig};
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::seed::Seed;
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::World;
use std::net::{Ipv4Addr, SocketAddrV4};

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|n| n.parse::<u64>().ok());
    let len = arguments.next().unwrap_or(2_000_000_000);
    let verify_one_in = arguments.next().unwrap_or(1) as u32;
    let seed = Seed(1);
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    let file = bodies.add_pattern(7, len);
    let info = FileInfo {
        path: "/bulk",
        content_type: "application/octet-stream",
        modified: 1_700_000_000,
        version: 1,
        len,
        file,
    };
    catalogue.add_file(info).expect("a good name");
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    type Hosts = Either<StackHost<FileServer<MemoryBodies>>, EndpointHost<Receiver>>;
    let mut world: World<Hosts> = World::new(seed);
    let server = world.add_host(Either::Left(StackSetup::new(1).host(seed, app)));
    let body = Body::Pattern { seed: 7, len };
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 1), 80);
    let mut config = ReceiverConfig::new(address, vec![Request::get("/bulk", body)]);
    // Four times what the path holds: what waits in its queue stays in the caches.
    config.manners = Manners::default().with_window(1 << 19);
    config.manners.acknowledging = Acknowledging::DELAYED;
    config.manners.verify_one_in = verify_one_in;
    let receiver = EndpointHost::new(Receiver::numbered(2, config, seed));
    let receiver = world.add_host(Either::Right(receiver));
    let link = LinkConfig {
        rate: Rate::gbit(10),
        delay: Duration::from_micros(50),
        ..LinkConfig::default()
    };
    world.connect((server, 0), (receiver, 0), link.clone(), link);
    let start = std::time::Instant::now();
    let done = |world: &World<Hosts>| match world.host(receiver) {
        Either::Right(host) => host.endpoint.is_done(),
        Either::Left(_) => false,
    };
    let outcome = world.run_until(done);
    let took = start.elapsed().as_secs_f64();
    if let Err(error) = outcome {
        println!("{error}");
    }
    let frames = world.stats().arrived;
    println!(
        "{frames} frames, {} events, {} simulated, {took:.2} s: {:.2} million frames a second; hash {}",
        world.events(),
        world.now().as_nanos(),
        frames as f64 / took / 1e6,
        world.hash()
    );
}
