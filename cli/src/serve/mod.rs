//! `simoom serve`: a directory over live ports. A *shard* is one ring pair of a port with a thread, a
//! stack and a store of its own; shards of one port have one address.
//!
//! Here: arguments, and from a plan to open ports and stacks. [`plan`] makes it of the arguments, with
//! [`rings`] (which shard takes which ring, and whether the NIC spreads over them) and [`cores`];
//! [`crew`] runs the threads, [`live`] is what one does; [`summary`] and [`skew`] say what came of it.

mod cores;
mod crew;
mod host;
mod live;
mod name;
mod plan;
mod rings;
mod skew;
mod summary;
mod turn_log;

pub(crate) use cores::sharing;
pub(crate) use live::{LivePort, Report};
pub(crate) use name::{PortName, TapName};
pub(crate) use rings::{Expected, Key, RingFacts, SHARDS_MAX, split};
use turn_log::LogFile;

use crate::failure::{Failure, Kind};
use crate::human;
use crate::site::{DiskBodies, Site};
use clap::{ValueEnum, value_parser};
use crew::{Crew, Member, Post, Serving};
use live::Watch;
use plan::{Plan, ShardPlan, plan};
use simoom_core::content::Mode;
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::{Config, Stack};
use simoom_core::tcp::congestion::Algorithm;
use simoom_core::time::Duration;
use simoom_core::wire::MacAddr;
use simoom_linux::prefix::Ipv4Prefix;
use simoom_linux::stop::StopFlag;
use simoom_linux::tap::{TapConfig, TapError, TapPort};
use simoom_netmap::device::{Device, hardware_address};
use simoom_netmap::error::NetmapError;
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Examples, as root or with cap_net_admin:
  simoom serve public/ --port tap:simoom0 --addr 10.66.0.2/24
  curl http://10.66.0.2/
With four rings of a NIC, as docs/deploy-netmap.md sets it up:
  simoom serve public/ --port netmap:eth0 --shards 4 --addr 192.0.2.10/24 --gateway 192.0.2.1

Ctrl-C or SIGTERM stops accepting, finishes for up to 5 seconds what is under way, resets the
rest and puts the interface back; a second one ends at once.";

/// What `simoom serve` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory to serve; symbolic links that leave it are not followed
    dir: PathBuf,
    /// A network port, as tap:NAME or netmap:NAME; may repeat, each with a thread, a stack and a store
    /// of its own. One that fails ends alone: the others go on, and the exit code tells
    #[arg(long = "port", value_name = "KIND:NAME", required = true)]
    ports: Vec<PortName>,
    /// Serve rings 0 to N-1 of each netmap port, each by a shard: a thread kept on a core of its own, a
    /// stack and a store, all with the port's address. Threads share cores where there are fewer; with
    /// fewer rings there are fewer shards. By default one ring, by a thread that the system moves
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=i64::from(SHARDS_MAX)))]
    shards: Option<u16>,
    /// The stack's own address with its subnet, once for each port
    #[arg(long = "addr", value_name = "ADDR/LEN", required = true)]
    addrs: Vec<Ipv4Prefix>,
    /// The address of the host's end, once for each port; by default the first other of the subnet
    #[arg(long = "host-addr", value_name = "ADDR/LEN")]
    host_addrs: Vec<Ipv4Prefix>,
    /// Where packets to other subnets go, once for each port; by default the host's end
    #[arg(long = "gateway", value_name = "ADDR")]
    gateways: Vec<Ipv4Addr>,
    /// TCP ports to listen on
    #[arg(long, value_name = "PORT", default_value = "80", value_delimiter = ',',
          value_parser = value_parser!(u16).range(1..))]
    listen: Vec<u16>,
    /// Congestion control
    #[arg(long, value_name = "NAME", value_enum, default_value = "new-reno")]
    cc: Congestion,
    /// How prepared segments are sent: copy, copies-in-advance, copies-in-advance:N, copies-on-demand,
    /// or gather where the port's device makes a frame out of two parts
    #[arg(long, value_name = "MODE", default_value = "copies-on-demand",
          value_parser = parse_content_mode)]
    content_mode: Mode,
    /// Connections at once, at most, for each shard
    #[arg(long, value_name = "N", default_value_t = 4_096,
          value_parser = value_parser!(u32).range(1..=4_000_000))]
    connections: u32,
    /// Packet buffers of 2 KB, for each shard: what prepared content may fill; netmap may have fewer
    #[arg(long, value_name = "N", default_value_t = 16_384,
          value_parser = value_parser!(u32).range(256..=1_048_576))]
    buffers: u32,
    /// The shortest retransmission timeout
    #[arg(long, value_name = "MS", default_value_t = 200,
          value_parser = value_parser!(u64).range(1..=60_000))]
    min_rto: u64,
    /// Record every frame to this file, as pcapng; with several shards, one file each, the ring's
    /// name before the ending
    #[arg(long, value_name = "FILE.pcapng")]
    record: Option<PathBuf>,
    /// Write down what the port tells the stack, turn by turn, for simoom replay --turn-log; with several
    /// ports or shards one file each. The stack's secrets are in it: only its owner may read it
    #[arg(long, value_name = "FILE.turnlog")]
    turn_log: Option<PathBuf>,
    /// Memory that a turn log may take, in megabytes; further turns are served and not logged
    #[arg(long, value_name = "MB", default_value_t = 64, requires = "turn_log",
          value_parser = value_parser!(u32).range(1..=65_536))]
    turn_log_max: u32,
    /// Print counters on stderr once a second, a line for each port
    #[arg(long)]
    stats: bool,
}

/// Names of congestion controllers.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Congestion {
    /// RFC 5681 with the recovery of RFC 6582
    NewReno,
}

impl From<Congestion> for Algorithm {
    fn from(name: Congestion) -> Self {
        match name {
            Congestion::NewReno => Self::NewReno,
        }
    }
}

pub(crate) fn parse_content_mode(text: &str) -> Result<Mode, String> {
    const COPIES_IN_ADVANCE: u16 = 4;
    match text.split_once(':') {
        None => match text {
            "copy" => Ok(Mode::Copy),
            "copies-in-advance" => Ok(Mode::CopiesInAdvance(COPIES_IN_ADVANCE)),
            "copies-on-demand" => Ok(Mode::CopiesOnDemand),
            "gather" => Ok(Mode::Gather),
            _ => Err("write copy, copies-in-advance, copies-in-advance:N, copies-on-demand or \
                      gather"
                .into()),
        },
        Some(("copies-in-advance", n)) => match n.parse() {
            Ok(n @ 1..=1024) => Ok(Mode::CopiesInAdvance(n)),
            _ => Err(format!("{n:?} copies: write a number from 1 to 1024")),
        },
        Some(_) => Err("only copies-in-advance takes a number".into()),
    }
}

/// Serves until a signal, or until every shard has failed.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let plans = plan(&args)?;
    let site = Site::scan(&args.dir)?;
    for line in &site.notes.lines {
        eprintln!("simoom: {line}");
    }
    let unsaid = site.notes.count - site.notes.lines.len();
    if unsaid > 0 {
        eprintln!("simoom: left out: {} more", human::count(unsaid as u64, "file"));
    }
    let stop = StopFlag::new()
        .and_then(|stop| stop.raise_on_interrupt().map(|()| stop))
        .map_err(|e| Failure::new(Kind::Runtime, format!("cannot wait for signals: {e}")))?;

    let shards = plan::shards(&args, plans)?;
    let (args, site) = (Arc::new(args), Arc::new(site));
    let members = shards.iter().map(|shard| member(&args, shard, &site, &stop)).collect();
    // All ports are opened before the first one serves: a failure then leaves nothing half done.
    let crew = Crew::open(members, &stop)?;
    let files = human::count(site.files.len() as u64, "file");
    for of_port in shards.chunk_by(|a, b| a.plan.port == b.plan.port) {
        let plan = &of_port[0].plan;
        let port = match args.listen.first() {
            Some(80) | None => String::new(),
            Some(port) => format!(":{port}"),
        };
        let line = format!(
            "serving {files} ({}) on http://{}{port}/ through {}{}\n",
            human::bytes(site.bytes),
            plan.addr.addr(),
            plan.port,
            on_cores(of_port),
        );
        // Whoever closed stdout wants no lines; curl is served all the same.
        let _ = human::print(&line);
    }
    crew.serve(&mut |text| eprint!("{text}"))
}

/// As in "…, 2 shards on cores 0 and 1".
fn on_cores(shards: &[ShardPlan]) -> String {
    let cores: Vec<_> = shards.iter().filter_map(|shard| shard.core).collect();
    if cores.is_empty() {
        return String::new();
    }
    format!(", {} on {}", human::count(shards.len() as u64, "shard"), cores::said(&cores))
}

/// The thread of a shard.
fn member(args: &Arc<Args>, shard: &ShardPlan, site: &Arc<Site>, stop: &StopFlag) -> Member {
    let (args, site, stop) = (Arc::clone(args), Arc::clone(site), stop.clone());
    let of_thread = shard.clone();
    Member {
        name: shard.label.clone(),
        port: shard.plan.port.to_string(),
        core: shard.core,
        open: Box::new(move |post| match &of_thread.name {
            PortName::Tap(name) => {
                let port = open_tap(&args, &of_thread.plan, name, &stop)?;
                start(&args, &of_thread, &site, port, post)
            }
            PortName::Netmap(name) => {
                start(&args, &of_thread, &site, open_netmap(&args, name, &stop)?, post)
            }
        }),
    }
}

/// Why a port does not serve with `--content-mode gather`.
fn whole_frames_only(port: impl Display, why: impl Display) -> Failure {
    let what = format!(
        "--content-mode gather: {port} takes whole frames only, since {why}; write copies-on-demand"
    );
    Failure::new(Kind::Usage, what)
}

fn open_tap(args: &Args, plan: &Plan, name: &TapName, stop: &StopFlag) -> Result<TapPort, Failure> {
    let tap = TapConfig {
        host_addr: Some(plan.host_addr),
        buffers: args.buffers,
        ..TapConfig::new(name.as_str())
    };
    let mut port = TapPort::open(&tap).map_err(|e| tap_failure(&e))?;
    port.set_stop(Some(stop.clone()));
    Ok(port)
}

fn open_netmap(
    args: &Args,
    name: &simoom_netmap::name::PortName,
    stop: &StopFlag,
) -> Result<NetmapPort<Device>, Failure> {
    let config = NetmapConfig { buffers: args.buffers, ..NetmapConfig::default() };
    let mut port = NetmapPort::open(name, &config).map_err(|e| match e {
        NetmapError::ManyRings { have, .. } => {
            Failure::new(Kind::Usage, format!("{e}; or serve all of them with --shards {have}"))
        }
        e => netmap_failure(&e),
    })?;
    if args.content_mode == Mode::Gather && port.caps().max_frags < 2 {
        return Err(whole_frames_only(name, port.gathering()));
    }
    let missing = port.buffers_missing();
    if missing > 0 {
        eprintln!(
            "simoom: {name}: {missing} of the buffers asked for are not there: other programs hold \
             them, or lost them when they were killed"
        );
    }
    let stop = stop
        .descriptor()
        .map_err(|e| Failure::new(Kind::Runtime, format!("cannot wait for signals: {e}")))?;
    port.set_stop(Some(stop));
    Ok(port)
}

/// Makes the stack of an open port.
fn start<P: live::LivePort>(
    args: &Args,
    shard: &ShardPlan,
    site: &Site,
    port: P,
    post: Post,
) -> Result<Serving, Failure> {
    let plan = &shard.plan;
    let mut config =
        Config::new(address_for(&plan.port, plan.addr.addr()), plan.addr.addr(), plan.addr.len());
    config.gateway = Some(plan.gateway);
    config.listen.clone_from(&args.listen);
    config.shard = shard.hashed.as_ref().map(|hashed| hashed.shard.clone());
    config.connections_max = args.connections;
    config.half_open_max = (args.connections / 4).clamp(64, 65_536);
    config.receive_buffers = (args.connections / 16).clamp(64, 4_096);
    config.unix_nanos_at_start = port.start_unix_nanos();
    config.tcp.congestion = args.cc.into();
    config.tcp.min_rto = Duration::from_millis(args.min_rto);
    config.content.mode = args.content_mode;
    config.content.copies_max = args.buffers;
    config.host_shares_address = host::shares_address(&shard.name, plan.addr.addr())?;
    let secrets = secret_words()?;
    let log = match shard.file_for(args.turn_log.as_ref()) {
        Some(path) => Some(LogFile::create(&path, args.turn_log_max, &config, site, secrets)?),
        None => None,
    };
    let caps = *port.caps();
    let bodies = DiskBodies::new(Arc::clone(&site.files), shard.files_open);
    let app = FileServer::new(site.catalogue.clone(), bodies, ServerConfig::default());
    let stack = Stack::new(config, Secrets::new(secrets), &caps, app);
    let watch = Watch {
        post,
        core: shard.core,
        stats: args.stats,
        misfit: shard.hashed.as_ref().map(plan::Hashed::misfit),
    };
    let server = live::Server::new(shard.label.clone(), port, stack, watch);
    let record = shard.file_for(args.record.as_ref());
    match log {
        Some(log) => ready(server.log_turns(log), record),
        None => ready(server, record),
    }
}

fn ready<P: live::LivePort>(
    server: live::Server<P>,
    record: Option<PathBuf>,
) -> Result<Serving, Failure> {
    Ok(match record {
        Some(path) => {
            let server = server.record(&path)?;
            Box::new(move || server.serve())
        }
        None => Box::new(move || server.serve()),
    })
}

/// The address that a NIC takes frames for; else a locally administered unicast address, the same for
/// the same interface and address: whoever remembers it from the run before is right.
pub(crate) fn address_for(port: &PortName, own: Ipv4Addr) -> MacAddr {
    if let PortName::Netmap(name) = port
        && let Some(address) = hardware_address(name)
    {
        return MacAddr(address);
    }
    // FNV-1a: any spread will do.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for b in port.for_a_file().bytes().chain(own.octets()) {
        hash = (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let [a, b, c, d, e, ..] = hash.to_be_bytes();
    MacAddr([0x02, a, b, c, d, e])
}

/// Secrets from the operating system.
pub(crate) fn secrets() -> Result<Secrets, Failure> {
    secret_words().map(Secrets::new)
}

fn secret_words() -> Result<[u64; 4], Failure> {
    let mut words = [0; 4];
    for word in &mut words {
        *word = getrandom::u64().map_err(|e| {
            Failure::new(Kind::Runtime, format!("the system gives no random numbers: {e}"))
        })?;
    }
    Ok(words)
}

pub(crate) fn tap_failure(error: &TapError) -> Failure {
    let kind = match error {
        TapError::NoDriver | TapError::DriverForbidden | TapError::NoPrivilege { .. } => {
            Kind::Privilege
        }
        TapError::Name { .. } | TapError::Config { .. } => Kind::Usage,
        TapError::Busy { .. }
        | TapError::NotTap { .. }
        | TapError::AddressInUse { .. }
        | TapError::SubnetInUse { .. } => Kind::Taken,
        TapError::Gone { .. } | TapError::System { .. } => Kind::Runtime,
    };
    Failure::new(kind, error.to_string())
}

pub(crate) fn netmap_failure(error: &NetmapError) -> Failure {
    let kind = match error {
        NetmapError::NoNetmap | NetmapError::Forbidden | NetmapError::OldApi => Kind::Privilege,
        NetmapError::NoInterface { .. }
        | NetmapError::NoRing { .. }
        | NetmapError::ManyRings { .. }
        | NetmapError::MtuAboveBuffer { .. }
        | NetmapError::NoHostRings { .. }
        | NetmapError::NoHostRing { .. }
        | NetmapError::HostMemory { .. }
        | NetmapError::Config { .. } => Kind::Usage,
        NetmapError::Busy { .. }
        | NetmapError::TooFewBuffers { .. }
        | NetmapError::NoMemory { .. } => Kind::Taken,
        NetmapError::Corrupt { .. } | NetmapError::Gone { .. } | NetmapError::System { .. } => {
            Kind::Runtime
        }
    };
    Failure::new(kind, error.to_string())
}

#[cfg(test)]
mod tests;
