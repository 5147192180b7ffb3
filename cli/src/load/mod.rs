//! `simoom load`: requests over the stack's own client side, through any port, and what became of
//! them.
//!
//! Here: arguments, and from them a port and a client. [`targets`] says what is asked for and what must
//! come; [`drive`] turns stack and port until all is done; [`report`] is what people and scripts read.

mod drive;
mod report;
mod targets;

use crate::failure::{Failure, Kind};
use crate::serve::{LivePort, PortName, address_for, netmap_failure, secrets, tap_failure};
use clap::value_parser;
use drive::Limits;
use report::Setup;
use simoom_core::client::{FetchClient, FetchConfig, Order, Pace};
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_linux::prefix::Ipv4Prefix;
use simoom_linux::stop::StopFlag;
use simoom_linux::tap::{TapConfig, TapPort};
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use targets::{Pattern, Targets};

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Closed loop by default: each connection asks again as soon as it is answered. With --rate, open loop:
requests are due at fixed times, and each counts from when it was due, however late it was made.

Example, two programs on one machine and no kernel between them:
  simoom serve public/ --port netmap:x{1 --addr 10.66.0.2/24
  simoom load --content public/ --port netmap:x}1 --addr 10.66.0.9/24 --server 10.66.0.2 \\
      --requests 1000000

Every byte of every body is compared. Ctrl-C ends early, with the report of what was done.";

/// Connections that may be open at once: as many as an address has local ports for.
const CONNECTIONS_MAX: i64 = 16_000;
/// Completions of one turn. A turn takes in at most 32 frames of at most 9 KB.
const COMPLETIONS_MAX: usize = 65_536;

/// What `simoom load` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The network port to go through, as tap:NAME, netmap:NAME or valeN:NAME
    #[arg(long, value_name = "KIND:NAME")]
    port: PortName,
    /// The client's own address with its subnet
    #[arg(long, value_name = "ADDR/LEN")]
    addr: Ipv4Prefix,
    /// Whom to ask
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_server)]
    server: SocketAddrV4,
    /// The address of the host's end of a TAP device; by default the first other of the subnet
    #[arg(long, value_name = "ADDR/LEN")]
    host_addr: Option<Ipv4Prefix>,
    /// Where packets to other subnets go; by default the host's end of a TAP device, else nowhere
    #[arg(long, value_name = "ADDR")]
    gateway: Option<Ipv4Addr>,
    /// The directory that is served there: every file is asked for, and every byte compared
    #[arg(long, value_name = "DIR", required_unless_present = "patterns")]
    content: Option<PathBuf>,
    /// Of the directory's files these alone, as they are served; may repeat
    #[arg(long = "path", value_name = "/PATH", requires = "content")]
    paths: Vec<String>,
    /// A path whose body is a pattern of so many bytes by simoom's generator; may repeat
    #[arg(long = "pattern", value_name = "/PATH:BYTES:SEED", conflicts_with = "content")]
    patterns: Vec<Pattern>,
    /// How many of a hundred requests are for files below 25 KB, where there are files of both kinds
    #[arg(long, value_name = "PERCENT", default_value_t = 90,
          value_parser = value_parser!(u8).range(0..=100))]
    small: u8,
    /// What the order of the paths is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Connections open at once, at most
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    connections: u32,
    /// Requests on a connection before another takes its place; by default it is kept to the end
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    requests_per_connection: Option<u64>,
    /// Requests without an answer on one connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u8).range(1..=8))]
    pipeline: u8,
    /// Open loop: so many requests a second, 0.001 to 100,000,000
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    rate: Option<u64>,
    /// End after so many requests
    #[arg(long, value_name = "N", required_unless_present = "seconds",
          value_parser = value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// End after so many seconds
    #[arg(long = "for", id = "seconds", value_name = "SECONDS",
          value_parser = value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// Give up where no answer came for so many seconds and one is due
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = value_parser!(u64).range(1..=3_600))]
    timeout: u64,
    /// Packet buffers of 2 KB
    #[arg(long, value_name = "N", default_value_t = 4_096,
          value_parser = value_parser!(u32).range(256..=1_048_576))]
    buffers: u32,
    /// Print one JSON object with everything
    #[arg(long)]
    json: bool,
}

fn parse_server(text: &str) -> Result<SocketAddrV4, String> {
    let server = text
        .parse()
        .or_else(|_| text.parse().map(|ip| SocketAddrV4::new(ip, 80)))
        .map_err(|_| "write an IPv4 address, or one with a port, as 10.66.0.2:80".to_string())?;
    if server.port() == 0 || server.ip().is_unspecified() || server.ip().is_multicast() {
        return Err("no server can have this address".into());
    }
    Ok(server)
}

/// Requests in a thousand seconds.
fn parse_rate(text: &str) -> Result<u64, String> {
    let rate: f64 = text.parse().map_err(|_| "write a number of requests a second".to_string())?;
    if !(0.001..=100_000_000.0).contains(&rate) {
        return Err("write a rate from 0.001 to 100000000".into());
    }
    Ok((rate * 1_000.0).round() as u64)
}

/// Loads until the requests or the time are over, or a signal comes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let targets = match &args.content {
        Some(dir) => Targets::of_directory(dir, &args.paths)?,
        None => Targets::of_patterns(&args.patterns)?,
    };
    check_addresses(args)?;
    let stop = StopFlag::new()
        .and_then(|stop| stop.raise_on_interrupt().map(|()| stop))
        .map_err(|e| Failure::new(Kind::Runtime, format!("cannot wait for signals: {e}")))?;
    match &args.port {
        PortName::Tap(name) => {
            let host_addr = args.host_addr.unwrap_or_else(|| args.addr.first_other());
            let tap = TapConfig {
                host_addr: Some(host_addr),
                buffers: args.buffers,
                ..TapConfig::new(name.as_str())
            };
            let mut port = TapPort::open(&tap).map_err(|e| tap_failure(&e))?;
            port.set_stop(Some(stop));
            load(args, targets, port, Some(args.gateway.unwrap_or(host_addr.addr())))
        }
        PortName::Netmap(name) => {
            let config = NetmapConfig { buffers: args.buffers, ..NetmapConfig::default() };
            let mut port = NetmapPort::open(name, &config).map_err(|e| netmap_failure(&e))?;
            let stop = stop.descriptor().map_err(|e| {
                Failure::new(Kind::Runtime, format!("cannot wait for signals: {e}"))
            })?;
            port.set_stop(Some(stop));
            load(args, targets, port, args.gateway)
        }
    }
}

fn check_addresses(args: &Args) -> Result<(), Failure> {
    let usage = |message| Err(Failure::new(Kind::Usage, message));
    let (addr, server) = (args.addr, *args.server.ip());
    let is_tap = matches!(args.port, PortName::Tap(_));
    if server == addr.addr() {
        return usage(format!("--server {server} is the client's own --addr: give it another"));
    }
    if !is_tap && args.host_addr.is_some() {
        return usage(
            "--host-addr is for TAP devices alone: the host has no end of this port".into(),
        );
    }
    if let Some(host) = args.host_addr.filter(|host| {
        host.addr() == addr.addr() || !addr.contains(host.addr()) || host.len() != addr.len()
    }) {
        return usage(format!("--host-addr {host} must be another address of {addr}'s subnet"));
    }
    if let Some(gateway) = args.gateway.filter(|ip| !addr.contains(*ip) || *ip == addr.addr()) {
        return usage(format!("--gateway {gateway} must be another address of {addr}'s subnet"));
    }
    if !addr.contains(server) && args.gateway.is_none() && !is_tap {
        return usage(format!("--server {server} is not in {addr}'s subnet: give a --gateway"));
    }
    Ok(())
}

fn load<P: LivePort>(
    args: &Args,
    targets: Targets,
    port: P,
    gateway: Option<Ipv4Addr>,
) -> Result<(), Failure> {
    let mut config =
        Config::new(address_for(&args.port, args.addr.addr()), args.addr.addr(), args.addr.len());
    config.gateway = gateway;
    config.listen.clear();
    // Those that are ending have a place beside those that ask.
    config.connections_max = 2 * args.connections + 64;
    config.receive_buffers = (args.connections / 4).clamp(64, 4_096);
    config.unix_nanos_at_start = port.start_unix_nanos();
    let start = port.now();
    let order = match targets.small() {
        0 => Order::Seeded(args.seed),
        small if small == targets.len() => Order::Seeded(args.seed),
        first => Order::Split { seed: args.seed, first, first_ppm: u32::from(args.small) * 10_000 },
    };
    let fetch = FetchConfig {
        order,
        connections: args.connections,
        requests_per_connection: args.requests_per_connection.unwrap_or(u64::MAX),
        pipeline: args.pipeline,
        pace: args.rate.map(|per_kilosecond| Pace { start, per_kilosecond }),
        completions_max: COMPLETIONS_MAX,
        ..FetchConfig::new(args.server, targets.paths(), args.requests.unwrap_or(u64::MAX))
    };
    let caps = *port.caps();
    let setup = Setup::of(args, &targets);
    let client = FetchClient::new(fetch, targets);
    let stack = Stack::new(config, secrets()?, &caps, client);
    let limits = Limits {
        start,
        end: args.seconds.map(|seconds| start + Duration::from_secs(seconds)),
        silence_max: Duration::from_secs(args.timeout),
    };
    let outcome = drive::drive(stack, port, &limits);
    let text =
        if args.json { format!("{:#}\n", outcome.json(&setup)) } else { outcome.text(&setup) };
    crate::human::print(&text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the report: {e}")))?;
    outcome.verdict(&setup)
}

/// Times are shown in seconds.
fn seconds(from: Instant, to: Instant) -> f64 {
    (to - from).as_nanos() as f64 / 1e9
}
