//! From arguments to shards, before anything is opened.

use super::live::Misfit;
use super::rings::{Expected, Key, RingFacts, Split, split};
use super::{Args, PortName, cores, netmap_failure, whole_frames_only};
use crate::failure::{Failure, Kind};
use crate::human;
use simoom_core::content::Mode;
use simoom_core::wire::rss;
use simoom_linux::cpu::{self, Cpu};
use simoom_linux::prefix::Ipv4Prefix;
use simoom_netmap::name;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Files that all shards may keep open: half of the 1,024 descriptors that a process has by default.
const FILES_OPEN: usize = 512;

/// One port with what it is told, before it is opened.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) port: PortName,
    pub(super) addr: Ipv4Prefix,
    pub(super) host_addr: Ipv4Prefix,
    pub(super) gateway: Ipv4Addr,
}

/// One ring pair of a port, before it is opened.
#[derive(Clone, Debug)]
pub(super) struct ShardPlan {
    pub(super) plan: Arc<Plan>,
    /// What is opened.
    pub(super) name: PortName,
    /// What it is called: the name without options.
    pub(super) label: String,
    /// The core that its thread is kept on; None where the system may move it.
    pub(super) core: Option<usize>,
    /// What comes to it by the hash, where that is known.
    pub(super) hashed: Option<Hashed>,
    /// Files that it may keep open.
    pub(super) files_open: usize,
    /// There are others, of this port or of another.
    pub(super) has_others: bool,
}

/// The part of a shard in a hash.
#[derive(Clone, Debug)]
pub(super) struct Hashed {
    pub(super) shard: rss::Shard,
    /// Whose key and table they are.
    key: Key,
    /// The interface, where it is one.
    interface: Option<String>,
    /// Whether a shard of this port has said that the rings do not fit the hash.
    said: Arc<AtomicBool>,
}

impl Hashed {
    /// What is to be said where it does not fit.
    pub(super) fn misfit(&self) -> Misfit {
        let hash = match self.key {
            Key::Said => "the Toeplitz hash with the interface's key and table",
            Key::Kernels => {
                "the Toeplitz hash with the kernel's key (net.core.netdev_rss_key), which is assumed since \
                 the interface shows none,"
            }
            Key::Usual => {
                "the Toeplitz hash with Microsoft's key, which is assumed since the port says none,"
            }
        };
        let fix = match &self.interface {
            Some(name) => format!("look at `ethtool -x {name}` and `ethtool -n {name}`"),
            None => "this port spreads in its own way".into(),
        };
        Misfit { hash: hash.into(), fix, said: Arc::clone(&self.said) }
    }
}

impl ShardPlan {
    /// Where something about it is written: a file of its own where there are others.
    pub(super) fn file_for(&self, path: Option<&PathBuf>) -> Option<PathBuf> {
        let path = path?;
        if !self.has_others {
            return Some(path.clone());
        }
        let mut name = path.file_stem().unwrap_or_default().to_os_string();
        name.push(format!("-{}", plain(&self.name).for_a_file()));
        if let Some(ending) = path.extension() {
            name.push(".");
            name.push(ending);
        }
        Some(path.with_file_name(name))
    }
}

/// Asks the system about every port and plans its shards; says what is less than was asked for.
pub(super) fn shards(args: &Args, plans: Vec<Plan>) -> Result<Vec<ShardPlan>, Failure> {
    let Some(asked) = args.shards else {
        let split = |port: &PortName| Split {
            names: vec![port.clone()],
            spread: None,
            remarks: Vec::new(),
        };
        let ports = plans.into_iter().map(|plan| (split(&plan.port), None, plan)).collect();
        return Ok(lay_out(ports, &[]));
    };
    let cpus = cpu::allowed().map_err(|e| {
        Failure::new(Kind::Runtime, format!("cannot ask which cores may be used: {e}"))
    })?;
    let mut ports = Vec::new();
    for plan in plans {
        let facts = RingFacts::gather(&plan.port).map_err(|e| netmap_failure(&e))?;
        let split = split(&plan.port, asked, &facts).map_err(|remark| {
            Failure::new(Kind::Usage, format!("{}: {}", plan.port, remark.sentence()))
        })?;
        for remark in &split.remarks {
            eprintln!("simoom: {}: {}", plan.port, remark.sentence());
        }
        ports.push((split, facts.node, plan));
    }
    let shards = lay_out(ports, &cpus);
    if let Some(said) = cores::sharing(shards.len(), cpus.len()) {
        eprintln!("simoom: {said}");
    }
    Ok(shards)
}

/// Shards of all ports, in order, each on a core; `cpus` is empty where threads are not kept on any.
pub(super) fn lay_out(ports: Vec<(Split, Option<usize>, Plan)>, cpus: &[Cpu]) -> Vec<ShardPlan> {
    let near: Vec<_> =
        ports.iter().flat_map(|(split, node, _)| split.names.iter().map(|_| *node)).collect();
    let mut cores = cores::assign(cpus, &near).into_iter();
    let mut shards = Vec::with_capacity(near.len());
    for (Split { names, spread, .. }, _, plan) in ports {
        let plan = Arc::new(plan);
        let said = Arc::new(AtomicBool::new(false));
        for (ring, name) in names.into_iter().enumerate() {
            let hashed = |Expected { spread, key }: &Expected| Hashed {
                shard: rss::Shard { spread: spread.clone(), ring: ring as u8 },
                key: *key,
                interface: interface_of(&name),
                said: Arc::clone(&said),
            };
            shards.push(ShardPlan {
                hashed: spread.as_ref().map(hashed),
                label: plain(&name).to_string(),
                plan: Arc::clone(&plan),
                core: cores.next().flatten(),
                files_open: FILES_OPEN / near.len().max(4),
                has_others: near.len() > 1,
                name,
            });
        }
    }
    shards
}

fn interface_of(name: &PortName) -> Option<String> {
    match name {
        PortName::Netmap(name) => name.is_interface().then(|| name.name.clone()),
        PortName::Tap(_) => None,
    }
}

/// The name of a ring without what is asked for beside it; any other name as it is.
fn plain(name: &PortName) -> PortName {
    match name {
        PortName::Netmap(ring @ name::PortName { ring: Some(_), .. }) => {
            let conf = name::Conf::default();
            PortName::Netmap(name::PortName { conf, buffers: None, ..ring.clone() })
        }
        name => name.clone(),
    }
}

/// Pairs ports with their addresses.
pub(super) fn plan(args: &Args) -> Result<Vec<Plan>, Failure> {
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
        && let Some(port) = args.ports.iter().find(|port| matches!(port, PortName::Tap(_)))
    {
        return Err(whole_frames_only(port, "a TAP device gets each in one system call"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use simoom_netmap::probe::Rings;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    const LINE: [&str; 12] = [
        "serve",
        "public",
        "--port",
        "netmap:eth0@buffers=512",
        "--addr",
        "10.0.0.2/24",
        "--port",
        "netmap:eth1",
        "--addr",
        "10.0.1.2/24",
        "--record",
        "/tmp/run.pcapng",
    ];

    /// Shards of two ports with these rings, near to these memories, on these processors.
    fn laid_out(
        asked: u16,
        rings: [u16; 2],
        nodes: [Option<usize>; 2],
        cpus: &[Cpu],
    ) -> Vec<ShardPlan> {
        let args = Line::try_parse_from(LINE).unwrap().args;
        let ports = plan(&args).unwrap().into_iter().enumerate().map(|(i, plan)| {
            let rings = Rings { tx: rings[i], rx: rings[i], tx_slots: 512, rx_slots: 512, host: 1 };
            let facts = RingFacts { rings: Some(rings), ..RingFacts::default() };
            (split(&plan.port, asked, &facts).unwrap(), nodes[i], plan)
        });
        lay_out(ports.collect(), cpus)
    }

    fn cpus(count: usize) -> Vec<Cpu> {
        (0..count).map(|number| Cpu { number, core: number, node: number / 2 }).collect()
    }

    #[test]
    fn shards_of_all_ports_have_a_core_a_ring_and_their_part_of_the_hash() {
        let shards = laid_out(4, [2, 4], [Some(1), Some(0)], &cpus(4));
        let seen: Vec<_> = shards.iter().map(|s| (s.label.as_str(), s.core.unwrap())).collect();
        let wanted = [
            ("netmap:eth0-0", 2),
            ("netmap:eth0-1", 3),
            ("netmap:eth1-0", 0),
            ("netmap:eth1-1", 1),
            ("netmap:eth1-2", 0),
            ("netmap:eth1-3", 1),
        ];
        assert_eq!(seen, wanted);
        assert_eq!(shards[1].name.to_string(), "netmap:eth0-1@buffers=512", "what is opened");
        for (shard, (port, rings, ring)) in shards.iter().zip([
            ("netmap:eth0@buffers=512", 2, 0),
            ("netmap:eth0@buffers=512", 2, 1),
            ("netmap:eth1", 4, 0),
            ("netmap:eth1", 4, 1),
            ("netmap:eth1", 4, 2),
            ("netmap:eth1", 4, 3),
        ]) {
            assert_eq!(shard.plan.port.to_string(), port);
            let hashed = &shard.hashed.as_ref().unwrap().shard;
            assert_eq!(hashed.ring, ring);
            assert_eq!(*hashed.spread.table.iter().max().unwrap(), rings - 1);
        }
        assert!(Arc::ptr_eq(&shards[0].plan, &shards[1].plan), "one address");
    }

    #[test]
    fn descriptors_are_shared_and_each_shard_records_to_a_file_of_its_own() {
        let args = Line::try_parse_from(LINE).unwrap().args;
        let shards = laid_out(64, [64, 64], [None; 2], &cpus(4));
        assert!(shards.iter().map(|shard| shard.files_open).sum::<usize>() <= FILES_OPEN);
        assert!(shards.iter().all(|shard| shard.files_open > 0));
        let path = |at: usize| shards[at].file_for(args.record.as_ref()).unwrap();
        assert_eq!(path(1), PathBuf::from("/tmp/run-netmap-eth0-1.pcapng"));
        assert_eq!(path(127), PathBuf::from("/tmp/run-netmap-eth1-63.pcapng"));
        let two = laid_out(1, [1, 1], [None; 2], &cpus(1));
        assert_eq!((two[0].label.as_str(), two[1].core), ("netmap:eth0@buffers=512", Some(0)));
        assert!(two.iter().all(|shard| shard.hashed.is_none()), "one ring gets everything");
    }
}
