//! Two applications of a stack, and what runs them: over a lossy link in the simulator, or over a
//! TAP device.
#![allow(dead_code, unreachable_pub, reason = "each of those who include this uses a part of it")]

pub mod echo;
pub mod rpc;

use clap::Parser;
use simoom_core::port::{Advance, Port};
use simoom_core::secrets::Secrets;
use simoom_core::stack::app::App;
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_linux::prefix::Ipv4Prefix;
use simoom_linux::stop::StopFlag;
use simoom_linux::tap::{TapConfig, TapPort};
use simoom_sim::endpoint::Either;
use simoom_sim::hash::EventHash;
use simoom_sim::lab::Talker;
use simoom_sim::link::LinkConfig;
use simoom_sim::seed::{Chance, Seed};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{Limits, World};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where an example's server listens.
pub const PORT: u16 = 7;

/// Where an example runs.
#[derive(Debug, Parser)]
pub struct Args {
    /// Serve over this TAP device, instead of in the simulator
    #[arg(long, value_name = "NAME", requires = "addr")]
    tap: Option<String>,
    /// The stack's own address with its subnet
    #[arg(long, value_name = "ADDR/LEN", requires = "tap")]
    addr: Option<Ipv4Prefix>,
    /// The seed of the simulation
    #[arg(long, default_value = "1")]
    seed: Seed,
}

/// Serves `app` over TAP, or lets a client say `say` to it in the simulator and compares what it
/// hears with `expect`.
pub fn run<A: App>(app: A, say: Vec<u8>, expect: Vec<u8>) -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if let (Some(tap), Some(addr)) = (&args.tap, args.addr) {
        let stop = StopFlag::new()?;
        stop.raise_on_interrupt()?;
        return serve(app, tap, addr, stop);
    }
    let heard = expect.len();
    let (hash, seconds) = simulate(args.seed, app, say, expect)?;
    println!("{heard} bytes came back right in {seconds:.3} simulated seconds; events {hash}");
    Ok(())
}

/// A world of a server, a client that talks to it, and a link that loses, reorders, doubles and
/// damages.
pub fn simulate<A: App>(
    seed: Seed,
    app: A,
    say: Vec<u8>,
    expect: Vec<u8>,
) -> Result<(EventHash, f64), Box<dyn Error>> {
    let mut world: World<Either<StackHost<A>, StackHost<Talker>>> = World::new(seed);
    world.set_limits(Limits {
        time_max: Instant::ZERO + Duration::from_secs(3_600),
        ..Limits::default()
    });
    let mut server = StackSetup::new(1);
    server.stack.listen = vec![PORT];
    let server = world.add_host(Either::Left(server.host(seed, app)));
    let talker = Talker::new(SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 1), PORT), say, expect);
    let client = world.add_host(Either::Right(StackSetup::new(2).host(seed, talker)));
    let link = LinkConfig {
        loss: Chance::ppm(10_000),
        reorder: Chance::ppm(20_000),
        duplicate: Chance::ppm(2_000),
        corrupt: Chance::ppm(5_000),
        ..LinkConfig::default()
    };
    world.connect((client, 0), (server, 0), link.clone(), link);
    let talker = |world: &World<_>| {
        let host: &Either<_, StackHost<Talker>> = world.host(client);
        host.right().map(|host| host.stack.app().verdict().cloned())
    };
    world.run_until(|world| talker(world).flatten().is_some())?;
    match talker(&world).flatten() {
        Some(Err(why)) => Err(why.into()),
        _ => Ok((world.hash(), world.now().as_nanos() as f64 / 1e9)),
    }
}

/// Serves over TAP until `stop` is raised.
pub fn serve<A: App>(
    app: A,
    tap: &str,
    addr: Ipv4Prefix,
    stop: StopFlag,
) -> Result<(), Box<dyn Error>> {
    let mut port = TapPort::open(&TapConfig::new(tap).with_host_addr(addr.first_other()))?;
    port.set_stop(Some(stop));
    let mut config = Config::new(MacAddr([2, 0x73, 0, 0, 0, 1]), addr.addr(), addr.len());
    config.listen = vec![PORT];
    config.unix_nanos_at_start = port.clock().start_unix_nanos();
    let mut words = [0; 4];
    for word in &mut words {
        *word = getrandom::u64()?;
    }
    let mut stack = Stack::new(config, Secrets::new(words), &port.caps().clone(), app);
    println!("listening on {}, port {PORT}, through tap:{tap}", addr.addr());
    let mut wake_at = Some(Instant::ZERO);
    while let Some(now) = port.advance(wake_at) {
        wake_at = stack.turn(now, &mut port)?.map(|deadline| deadline.at);
    }
    stack.shut_down(port.clock().now(), &mut port)?;
    Ok(())
}
