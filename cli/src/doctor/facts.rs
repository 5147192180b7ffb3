//! What the system says of a port. Reads; judges nothing, changes nothing.

use crate::serve::PortName;
use simoom_linux::cpu;
use simoom_linux::ethtool::{self, HashFields, Offload, Rss};
use simoom_netmap::error::NetmapError;
use simoom_netmap::probe::{Probe, probe};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

/// What is known of a port.
pub(super) struct Facts {
    pub(super) port: PortName,
    /// The interface that the name means, where it means one and there is one.
    pub(super) interface: Option<Interface>,
    /// What netmap says; None for a TAP device.
    pub(super) netmap: Option<Result<Probe, NetmapError>>,
    /// What became of opening it, where that was tried: extra buffers that there were.
    pub(super) opened: Option<Result<u32, NetmapError>>,
    /// `/dev/net/tun`, for a TAP device.
    pub(super) tun: Tun,
    /// Packet buffers that each shard is to use.
    pub(super) buffers: u32,
    /// Shards that are to serve; None where one thread serves one ring.
    pub(super) shards: Option<u16>,
    /// Ports that are to be served at once, this one among them.
    pub(super) ports: usize,
    /// Processors that this process may use; None where nobody says.
    pub(super) cores: Option<usize>,
    /// Segments of the content, cut for most peers; None where no content was named.
    pub(super) segments: Option<u64>,
    /// Bytes of memory that programs may still have.
    pub(super) memory_available: Option<u64>,
}

/// An interface of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) mtu: Option<u32>,
    /// IFF_UP
    pub(super) is_up: bool,
    /// Whether there is a carrier; None where it is down or does not say.
    pub(super) carrier: Option<bool>,
    /// Whether it is a TAP device.
    pub(super) is_tap: bool,
    pub(super) driver: Option<String>,
    /// Those that could be read.
    pub(super) offloads: Vec<(Offload, bool)>,
    /// The other end of a veth pair, where it is in sight, and whether that end leaves checksums out.
    pub(super) peer: Option<(String, bool)>,
    pub(super) rss: Option<Rss>,
    /// What of a TCP segment is hashed.
    pub(super) hash_fields: Option<HashFields>,
    /// The memory that it is near to.
    pub(super) node: Option<usize>,
    /// A route of the machine goes through it.
    pub(super) has_route: bool,
}

/// The driver of TAP devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tun {
    /// It can be opened.
    There,
    /// There is no `/dev/net/tun`.
    Missing,
    /// This user may not open it.
    Forbidden,
}

impl Facts {
    pub(super) fn gather(
        port: &PortName,
        buffers: u32,
        shards: Option<u16>,
        segments: Option<u64>,
    ) -> Self {
        let (name, netmap) = match port {
            PortName::Tap(name) => (Some(name.as_str()), None),
            PortName::Netmap(name) => {
                (name.is_interface().then_some(name.name.as_str()), Some(probe(name)))
            }
        };
        Self {
            interface: name.and_then(Interface::gather),
            netmap,
            opened: None,
            tun: Tun::gather(),
            buffers,
            shards,
            ports: 1,
            cores: cpu::allowed().ok().map(|cpus| cpus.len()),
            segments,
            memory_available: memory_available(),
            port: port.clone(),
        }
    }
}

impl Interface {
    /// None where there is no such interface.
    fn gather(name: &str) -> Option<Self> {
        let folder = Path::new("/sys/class/net").join(name);
        if name.contains('/') || !folder.is_dir() {
            return None;
        }
        let read = |file: &str| {
            fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_string())
        };
        let flags = read("flags")
            .and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        let driver = fs::canonicalize(folder.join("device/driver")).ok();
        let offload = |&what: &Offload| Some((what, ethtool::offload(name, what).ok()?));
        Some(Self {
            name: name.to_string(),
            mtu: read("mtu").and_then(|text| text.parse().ok()),
            is_up: flags.is_some_and(|flags| flags & 1 != 0),
            carrier: read("carrier").map(|text| text == "1"),
            is_tap: folder.join("tun_flags").exists(),
            driver: driver.and_then(|path| Some(path.file_name()?.to_str()?.to_string())),
            offloads: Offload::ALL.iter().filter_map(offload).collect(),
            peer: peer_of(&folder),
            rss: ethtool::rss(name).ok().filter(|rss| !rss.table.is_empty()),
            hash_fields: ethtool::hash_fields(name).ok(),
            node: cpu::node_of(name),
            has_route: has_route(name),
        })
    }
}

/// The interface at the other end of a veth pair.
fn peer_of(folder: &Path) -> Option<(String, bool)> {
    let number =
        |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u32>().ok();
    let (own, far) = (number("ifindex")?, number("iflink")?);
    // Interfaces without another end name themselves, tunnels 0; those on top of others (VLANs) name
    // the one below, which does not name them back.
    if far == own || far == 0 {
        return None;
    }
    for entry in fs::read_dir(folder.parent()?).ok()?.flatten() {
        let number = |file: &str| {
            fs::read_to_string(entry.path().join(file)).ok()?.trim().parse::<u32>().ok()
        };
        if number("ifindex") == Some(far) && number("iflink") == Some(own) {
            let name = entry.file_name().into_string().ok()?;
            let leaves_out = ethtool::offload(&name, Offload::TxChecksum).unwrap_or(false);
            return Some((name, leaves_out));
        }
    }
    None
}

fn has_route(interface: &str) -> bool {
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    table.lines().skip(1).any(|line| line.split_whitespace().next() == Some(interface))
}

fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

impl Tun {
    fn gather() -> Self {
        match OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
            Ok(_) => Self::There,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Self::Forbidden,
            Err(_) => Self::Missing,
        }
    }
}
