//! What simulating our own stack costs: server and client, all oracles and hashing on, on one core.
//! Run with `--release`; prints packets a second of wall time, each counted once, on arrival.
//!
//! `bulk`: one transfer in frames of 1,514 bytes over 10 Gb/s. `standard`: 20 connections, 1 MB
//! each, 1 % loss each way and reordering, the seeds 0 to 99. A second word, `unpromised`, lets the
//! hosts off their promises: the difference is what the model costs, and the hash is the same.
#![allow(clippy::disallowed_methods, reason = "measures wall time")]

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::time::Duration;
use simoom_sim::endpoint::Either;
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::oracle::OracleConfig;
use simoom_sim::seed::{Chance, Seed};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::World;
use std::process::ExitCode;

type Server = StackHost<FileServer<MemoryBodies>>;
type Client = StackHost<FetchClient<ExpectPatterns>>;

fn world(
    seed: Seed,
    promises: bool,
    connections: u32,
    len: u64,
    link: &LinkConfig,
) -> (World<Either<Client, Server>>, simoom_sim::world::HostId) {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(0);
    let file = bodies.add_pattern(7, len);
    let info =
        FileInfo { path: "/body", content_type: "text/plain", modified: 0, version: 1, len, file };
    catalogue.add_file(info).expect("the catalogue has room");
    let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let address = "10.66.0.2:80".parse().expect("an address");
    let fetch = FetchConfig {
        connections,
        ..FetchConfig::new(address, vec![String::from("/body")], u64::from(connections))
    };
    let client = FetchClient::new(fetch, ExpectPatterns(vec![(7, len)]));
    let mut near = StackSetup::new(1);
    near.stack.tcp.receive_window = 65_535;
    let mut world = World::new(seed);
    world.set_oracles(OracleConfig { promises, ..OracleConfig::default() });
    let client = world.add_host(Either::Left(near.host(seed, client)));
    let server = world.add_host(Either::Right(StackSetup::new(2).host(seed, server)));
    world.connect((client, 0), (server, 0), link.clone(), link.clone());
    (world, client)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| String::from("bulk"));
    let (seeds, connections, len, link) = match what.as_str() {
        "bulk" => {
            let delay = Duration::from_micros(50);
            (
                1,
                1,
                3_000_000_000,
                LinkConfig { rate: Rate::gbit(10), delay, ..LinkConfig::default() },
            )
        }
        "standard" => {
            let link = LinkConfig {
                delay: Duration::from_millis(10),
                loss: Chance::ppm(10_000),
                reorder: Chance::ppm(20_000),
                ..LinkConfig::default()
            };
            (100, 20, 1_000_000, link)
        }
        other => {
            eprintln!("{other}: write bulk or standard");
            return ExitCode::FAILURE;
        }
    };
    let promises = match args.next().as_deref() {
        None => true,
        Some("unpromised") => false,
        Some(other) => {
            eprintln!("{other}: write unpromised, or nothing");
            return ExitCode::FAILURE;
        }
    };
    let (mut packets, mut simulated) = (0, 0);
    let mut hash = None;
    let start = std::time::Instant::now();
    for seed in 0..seeds {
        let (mut world, client) = world(Seed(seed), promises, connections, len, &link);
        let done = |world: &World<Either<Client, Server>>| {
            world.host(client).left().is_some_and(|host| {
                let stats = host.stack.app().stats();
                stats.succeeded + stats.failed == u64::from(connections)
            })
        };
        if let Err(error) = world.run_until(done) {
            println!("{error}");
            return ExitCode::FAILURE;
        }
        packets += world.stats().arrived;
        simulated += world.now().as_nanos();
        hash = Some(world.hash());
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "{what}: {seeds} seeds, {packets} packets, {:.3} s simulated, {took:.3} s; {:.0} packets/s, {:.0} ns a packet, {:.1} ms a seed; last hash {}",
        simulated as f64 / 1e9,
        packets as f64 / took,
        took * 1e9 / packets as f64,
        took * 1e3 / seeds as f64,
        hash.map(|hash| hash.to_string()).unwrap_or_default(),
    );
    ExitCode::SUCCESS
}
