//! `simoom serve`: a directory over live ports, one thread, stack and store each.
//!
//! Here: from arguments to ports and stacks. [`live`] turns them; [`summary`] says what came of it.

mod live;
mod name;
mod summary;
mod turn_log;

pub(crate) use live::{LivePort, Report};
pub(crate) use name::{PortName, TapName};
use turn_log::LogFile;

use crate::failure::{Failure, Kind};
use crate::human;
use crate::site::{DiskBodies, Site};
use clap::{ValueEnum, value_parser};
use simoom_core::content::Mode;
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
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Example, as root or with cap_net_admin:
  simoom serve public/ --port tap:simoom0 --addr 10.66.0.2/24
  curl http://10.66.0.2/

Ctrl-C or SIGTERM stops accepting, finishes for up to 5 seconds what is under way, resets the
rest and puts the interface back; a second one ends at once.";

/// What `simoom serve` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory to serve; symbolic links that leave it are not followed
    dir: PathBuf,
    /// A network port, as tap:NAME or netmap:NAME; may repeat, each with a thread, a stack and a store
    /// of its own
    #[arg(long = "port", value_name = "KIND:NAME", required = true)]
    ports: Vec<PortName>,
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
    /// Connections at once, at most, for each port
    #[arg(long, value_name = "N", default_value_t = 4_096,
          value_parser = value_parser!(u32).range(1..=4_000_000))]
    connections: u32,
    /// Packet buffers of 2 KB, for each port: what prepared content may fill; netmap may have fewer
    #[arg(long, value_name = "N", default_value_t = 16_384,
          value_parser = value_parser!(u32).range(256..=1_048_576))]
    buffers: u32,
    /// The shortest retransmission timeout
    #[arg(long, value_name = "MS", default_value_t = 200,
          value_parser = value_parser!(u64).range(1..=60_000))]
    min_rto: u64,
    /// Record every frame to this file, as pcapng; with several ports, one file each, the port's
    /// name before the ending
    #[arg(long, value_name = "FILE.pcapng")]
    record: Option<PathBuf>,
    /// Write down what the port tells the stack, turn by turn, for simoom replay --turn-log; with several
    /// ports one file each. The stack's secrets are in it: only its owner may read it
    #[arg(long, value_name = "FILE.turnlog")]
    turn_log: Option<PathBuf>,
    /// Memory that a turn log may take, in megabytes; further turns are served and not logged
    #[arg(long, value_name = "MB", default_value_t = 64, requires = "turn_log",
          value_parser = value_parser!(u32).range(1..=65_536))]
    turn_log_max: u32,
    /// Print counters on stderr once a second
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

/// One port with what it is told, before it is opened.
#[derive(Debug)]
struct Plan {
    port: PortName,
    addr: Ipv4Prefix,
    host_addr: Ipv4Prefix,
    gateway: Ipv4Addr,
}

/// Serves until a signal, or until a port fails.
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

    // All ports are opened before the first one serves: a failure then leaves nothing half done.
    let mut servers: Vec<ReadyServer> = Vec::new();
    for plan in &plans {
        servers.push(match &plan.port {
            PortName::Tap(name) => start(&args, plan, &site, open_tap(&args, plan, name, &stop)?)?,
            PortName::Netmap(name) => start(&args, plan, &site, open_netmap(&args, name, &stop)?)?,
        });
    }
    let files = human::count(site.files.len() as u64, "file");
    for plan in &plans {
        let port = match args.listen.first() {
            Some(80) | None => String::new(),
            Some(port) => format!(":{port}"),
        };
        let line = format!(
            "serving {files} ({}) on http://{}{port}/ through {}\n",
            human::bytes(site.bytes),
            plan.addr.addr(),
            plan.port
        );
        // Whoever closed stdout wants no lines; curl is served all the same.
        let _ = human::print(&line);
    }
    let threads: Vec<_> = servers
        .into_iter()
        .zip(&plans)
        .map(|(server, plan)| {
            let name = plan.port.to_string();
            let stop = stop.clone();
            let run = move || {
                let done = server();
                // One port that fails ends the others: half a service hides.
                stop.raise();
                done
            };
            (name.clone(), thread::Builder::new().name(name).spawn(run))
        })
        .collect();
    let mut answer = Ok(());
    for (name, thread) in threads {
        let done = match thread.map(thread::JoinHandle::join) {
            Ok(Ok(report)) => report,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(e) => {
                stop.raise();
                let why = format!("{name}: cannot start a thread: {e}");
                answer = Err(Failure::new(Kind::Runtime, why));
                continue;
            }
        };
        eprint!("{}", done.summary);
        if let Some(failure) = done.failure {
            answer = Err(failure);
        }
    }
    answer
}

/// Pairs ports with their addresses.
fn plan(args: &Args) -> Result<Vec<Plan>, Failure> {
    let usage = |message| Err(Failure::new(Kind::Usage, message));
    let ports = args.ports.len();
    let repeats = [
        ("--addr", args.addrs.len(), false),
        ("--host-addr", args.host_addrs.len(), true),
        ("--gateway", args.gateways.len(), true),
    ];
    for (option, given, optional) in repeats {
        if given != ports && !(optional && given == 0) {
            return usage(format!(
                "{} for {}: give {option} once for each --port, in their order",
                human::count(given as u64, option),
                human::count(ports as u64, "port")
            ));
        }
    }
    if args.content_mode == Mode::Gather
        && let Some(port) = args.ports.first()
    {
        return usage(format!(
            "--content-mode gather: {port} takes whole frames only; write copies-on-demand"
        ));
    }
    let mut plans: Vec<Plan> = Vec::with_capacity(ports);
    for (i, port) in args.ports.iter().enumerate() {
        let addr = args.addrs[i];
        let host_addr = args.host_addrs.get(i).copied().unwrap_or_else(|| addr.first_other());
        let gateway = args.gateways.get(i).copied().unwrap_or(host_addr.addr());
        if host_addr.addr() == addr.addr() {
            return usage(format!(
                "--host-addr {host_addr} is the stack's own --addr: the two ends of the cable need one each"
            ));
        }
        if !addr.contains(host_addr.addr()) || host_addr.len() != addr.len() {
            return usage(format!(
                "--host-addr {host_addr} is not in the subnet of --addr {addr}: take another address of {}/{}",
                addr.network(),
                addr.len()
            ));
        }
        if !addr.contains(gateway) || gateway == addr.addr() {
            return usage(format!(
                "--gateway {gateway}: it must be another address of {}/{}",
                addr.network(),
                addr.len()
            ));
        }
        if let Some(other) = plans.iter().find(|p| p.port == *port) {
            return usage(format!("--port {} is there twice: one stack owns a port", other.port));
        }
        if let Some(other) =
            plans.iter().find(|p| p.addr.contains(addr.addr()) || addr.contains(p.addr.addr()))
        {
            return usage(format!(
                "--addr {addr} and --addr {} are in the same subnet: give each port one of its own",
                other.addr
            ));
        }
        plans.push(Plan { port: port.clone(), addr, host_addr, gateway });
    }
    Ok(plans)
}

/// A port with its stack, about to serve.
type ReadyServer = Box<dyn FnOnce() -> live::Report + Send>;

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
    let mut port = NetmapPort::open(name, &config).map_err(|e| netmap_failure(&e))?;
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
    plan: &Plan,
    site: &Site,
    port: P,
) -> Result<ReadyServer, Failure> {
    let mut config =
        Config::new(address_for(&plan.port, plan.addr.addr()), plan.addr.addr(), plan.addr.len());
    config.gateway = Some(plan.gateway);
    config.listen.clone_from(&args.listen);
    config.connections_max = args.connections;
    config.half_open_max = (args.connections / 4).clamp(64, 65_536);
    config.receive_buffers = (args.connections / 16).clamp(64, 4_096);
    config.unix_nanos_at_start = port.start_unix_nanos();
    config.tcp.congestion = args.cc.into();
    config.tcp.min_rto = Duration::from_millis(args.min_rto);
    config.content.mode = args.content_mode;
    config.content.copies_max = args.buffers;
    let secrets = secret_words()?;
    let log = match file_for(args.turn_log.as_ref(), args, plan) {
        Some(path) => Some(LogFile::create(&path, args.turn_log_max, &config, site, secrets)?),
        None => None,
    };
    let caps = *port.caps();
    let bodies = DiskBodies::new(site.files.clone());
    let app = FileServer::new(site.catalogue.clone(), bodies, ServerConfig::default());
    let stack = Stack::new(config, Secrets::new(secrets), &caps, app);
    let server = live::Server::new(plan.port.to_string(), port, stack, args.stats);
    let record = file_for(args.record.as_ref(), args, plan);
    match log {
        Some(log) => ready(server.log_turns(log), record),
        None => ready(server, record),
    }
}

fn ready<P: live::LivePort>(
    server: live::Server<P>,
    record: Option<PathBuf>,
) -> Result<ReadyServer, Failure> {
    Ok(match record {
        Some(path) => {
            let server = server.record(&path)?;
            Box::new(move || server.serve())
        }
        None => Box::new(move || server.serve()),
    })
}

/// Where something about one port is written: with several ports, a file each.
fn file_for(path: Option<&PathBuf>, args: &Args, plan: &Plan) -> Option<PathBuf> {
    let path = path?;
    if args.ports.len() == 1 {
        return Some(path.clone());
    }
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{}", plan.port.for_a_file()));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    Some(path.with_file_name(name))
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
        | NetmapError::HostRings { .. }
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
