//! Which rings of a port its shards take, and whether the NIC spreads over exactly those.
//!
//! Pure but for [`RingFacts::gather`]: facts in, rings and remarks out. `serve` opens what comes of it,
//! `doctor` says it.

use super::PortName;
use crate::human;
use simoom_core::wire::rss::{MICROSOFT_KEY, Spread};
use simoom_linux::cpu;
use simoom_linux::ethtool::{self, HashFields, HashFunction, Rss};
use simoom_netmap::error::NetmapError;
use simoom_netmap::name;
use simoom_netmap::probe::{Rings, probe};

/// Shards of one port, at most: rings that a table of bytes can name, and more than a NIC has cores to
/// feed.
pub(crate) const SHARDS_MAX: u16 = 128;

/// What is known of a port before it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingFacts {
    /// Rings of an interface; None for what is made as it is opened.
    pub(crate) rings: Option<Rings>,
    /// How the interface spreads what it receives, where it says so.
    pub(crate) rss: Option<Rss>,
    /// What of a TCP segment it hashes, where it says so.
    pub(crate) fields: Option<HashFields>,
    /// The memory that it is near to.
    pub(crate) node: Option<usize>,
}

impl RingFacts {
    /// Asks the system about a port.
    pub(crate) fn gather(port: &PortName) -> Result<Self, NetmapError> {
        let PortName::Netmap(name) = port else { return Ok(Self::default()) };
        let rings = probe(name)?.rings;
        if !name.is_interface() {
            return Ok(Self { rings, ..Self::default() });
        }
        Ok(Self {
            rings,
            rss: ethtool::rss(&name.name).ok().filter(|rss| !rss.table.is_empty()),
            fields: ethtool::hash_fields(&name.name).ok(),
            node: cpu::node_of(&name.name),
        })
    }
}

/// Something to be said, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl Remark {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }

    /// In one sentence.
    pub(crate) fn sentence(&self) -> String {
        format!("{}: {}", self.what, self.fix)
    }
}

/// The shards of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// What each opens, by ring; one that is the port itself where it has one ring.
    pub(crate) names: Vec<PortName>,
    /// How received frames are spread over the rings, to hold against what comes. None for one shard,
    /// and where nobody can say.
    pub(crate) spread: Option<Expected>,
    /// What is less than was asked for, or worth knowing.
    pub(crate) remarks: Vec<Remark>,
}

/// The spread that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) spread: Spread,
    pub(crate) key: Key,
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The interface's own word.
    Said,
    /// The kernel's, since the interface shows none: assumed.
    Kernels,
    /// The usual one, and where the table is not said either, the usual table: assumed.
    Usual,
}

/// Rings for `asked` shards of a port.
///
/// # Errors
/// Where they cannot be had, or frames would be lost.
pub(crate) fn split(port: &PortName, asked: u16, facts: &RingFacts) -> Result<Split, Remark> {
    let whole = |names| Split { names, spread: None, remarks: Vec::new() };
    let name = match port {
        PortName::Tap(_) if asked > 1 => {
            return Err(Remark::new(
                "a TAP device has one queue here, and so one shard",
                "leave out --shards, or write a --port for each thread",
            ));
        }
        PortName::Tap(_) => return Ok(whole(vec![port.clone()])),
        PortName::Netmap(name) => name,
    };
    if let Some(ring) = name.ring {
        if asked > 1 {
            return Err(Remark::new(
                format!("this names one ring, and {asked} shards take one each"),
                format!("leave out -{ring}, or --shards"),
            ));
        }
        return Ok(whole(vec![port.clone()]));
    }
    // What is not ours comes on every ring: each has a way to the host, and by default there are as many.
    if name.host && (1..asked).contains(&name.conf.host_rings) {
        return Err(Remark::new(
            format!(
                "each shard takes a pair of the host's rings, of which {} would be there",
                name.conf.host_rings
            ),
            format!("@conf:host-rings={asked}, or none said"),
        ));
    }
    let Some(rings) = facts.rings else { return split_made(name, asked) };
    split_interface(name, asked, rings, facts)
}

/// Of a pipe or a switch port, which has the rings that are asked for as it is made.
fn split_made(name: &name::PortName, asked: u16) -> Result<Split, Remark> {
    let mut name = name.clone();
    let conf = &mut name.conf;
    // What is not said is as many as there are shards.
    for rings in [&mut conf.tx_rings, &mut conf.rx_rings] {
        if *rings == 0 && asked > 1 {
            *rings = asked;
        }
    }
    let (tx, rx) = (conf.tx_rings.max(1), conf.rx_rings.max(1));
    let shards = asked.min(tx).min(rx);
    if rx > shards {
        return Err(Remark::new(
            format!("it is made with {rx} receive rings, and {shards} would be served"),
            format!("--shards {rx}, or fewer rings with @conf:rings={shards}"),
        ));
    }
    let mut remarks = Vec::new();
    if shards < asked {
        let pairs = human::count(shards.into(), "ring pair");
        let what = format!("made with {pairs}, it is served by {shards} of {asked} shards");
        remarks.push(Remark::new(what, format!("@conf:rings={asked} for more")));
    }
    let names =
        if shards > 1 { ring_names(&name, shards) } else { vec![PortName::Netmap(name.clone())] };
    let spread = (shards > 1).then(|| assumed(shards));
    Ok(Split { names, spread, remarks })
}

fn split_interface(
    name: &name::PortName,
    asked: u16,
    rings: Rings,
    facts: &RingFacts,
) -> Result<Split, Remark> {
    let interface = &name.name;
    let pairs = rings.tx.min(rings.rx).max(1);
    let shards = asked.min(pairs);
    let table = facts.rss.as_ref().map(|rss| &rss.table[..]);
    let lost = table.map(|table| lost_of(table, shards));
    if rings.rx > shards && lost.is_none_or(|lost| lost > 0) {
        let more = if rings.rx <= rings.tx.min(SHARDS_MAX) && asked < rings.rx {
            format!(", or --shards {}", rings.rx)
        } else {
            String::new()
        };
        return Err(Remark::new(
            format!(
                "the interface has {} receive rings and {shards} would be served: what arrives on the \
                 others would be lost",
                rings.rx
            ),
            format!("ethtool -L {interface} combined {shards}{more}"),
        ));
    }
    if let (Some(lost @ 1..), Some(table)) = (lost, table) {
        return Err(Remark::new(
            format!(
                "{lost} of the {} entries of its table send what they hash to rings that nobody serves",
                table.len()
            ),
            format!("ethtool -X {interface} equal {shards}"),
        ));
    }
    let mut remarks = Vec::new();
    if shards < asked {
        let what = format!(
            "the interface has {}, so {shards} of {asked} shards serve it",
            human::count(pairs.into(), "ring pair")
        );
        remarks
            .push(Remark::new(what, format!("ethtool -L {interface} combined {asked} for more")));
    }
    if shards == 1 {
        // Of several rings, those that the table leaves out get no flow.
        let names = match rings.rx {
            0 | 1 => vec![PortName::Netmap(name.clone())],
            _ => ring_names(name, 1),
        };
        return Ok(Split { names, spread: None, remarks });
    }
    let spread = expected(interface, shards, facts, &mut remarks);
    Ok(Split { names: ring_names(name, shards), spread, remarks })
}

/// Entries of a table that name a ring beyond those served.
fn lost_of(table: &[u32], shards: u16) -> usize {
    table.iter().filter(|&&ring| ring >= u32::from(shards)).count()
}

/// What the interface will do, by all that it says of itself; all of its table is served.
fn expected(
    interface: &str,
    shards: u16,
    facts: &RingFacts,
    remarks: &mut Vec<Remark>,
) -> Option<Expected> {
    // Who has no table may have no hash either, and then says of none that it has ports.
    let Some(rss) = &facts.rss else { return Some(assumed(shards)) };
    if let Some(fields) = facts.fields
        && !fields.ports
    {
        let what = if fields.addresses {
            "it hashes addresses without ports: all connections of one client, or of a proxy in front, \
             come to one shard"
        } else {
            "it does not hash TCP over IPv4: everything comes to one shard"
        };
        remarks.push(Remark::new(what, format!("ethtool -N {interface} rx-flow-hash tcp4 sdfn")));
        return None;
    }
    for ring in (0..shards).filter(|&ring| !rss.table.contains(&u32::from(ring))) {
        remarks.push(Remark::new(
            format!("ring {ring} gets no connection: the interface's table leaves it out"),
            format!("ethtool -X {interface} equal {shards}"),
        ));
    }
    let function = match rss.hash {
        HashFunction::Toeplitz | HashFunction::Unsaid if !rss.symmetric => None,
        HashFunction::Toeplitz | HashFunction::Unsaid => Some("a symmetric Toeplitz hash"),
        HashFunction::Xor => Some("an exclusive or"),
        HashFunction::Crc32 => Some("a CRC"),
        HashFunction::Other(_) => Some("a hash of its own"),
    };
    if let Some(function) = function {
        remarks.push(Remark::new(
            format!("it spreads by {function}, so what comes cannot be held against the hash"),
            format!("ethtool -X {interface} hfunc toeplitz"),
        ));
        return None;
    }
    let table: Vec<u8> = rss.table.iter().map(|&ring| ring as u8).collect();
    Some(match Spread::said(&rss.key, table.clone()) {
        Some(spread) if rss.key_is_kernels => Expected { spread, key: Key::Kernels },
        Some(spread) => Expected { spread, key: Key::Said },
        None => Expected { spread: Spread { key: MICROSOFT_KEY, table }, key: Key::Usual },
    })
}

/// What most drivers do.
fn assumed(shards: u16) -> Expected {
    Expected { spread: Spread::in_turn(MICROSOFT_KEY, shards as u8), key: Key::Usual }
}

fn ring_names(name: &name::PortName, shards: u16) -> Vec<PortName> {
    let name = |ring| PortName::Netmap(name::PortName { ring: Some(ring), ..name.clone() });
    (0..shards).map(name).collect()
}

#[cfg(test)]
mod tests;
