//! Links, what changes on them, and faults.

use super::hosts::{read_host, read_stalled};
use super::way::WayDraft;
use super::{index_of, millis};
use crate::doc::{Table, Value};
use crate::keys;
use crate::model::{Change, HostSpec, LinkSpec};
use crate::problem::{Sink, listed, nearest};
use crate::schema::Fields;
use simoom_core::time::{Duration, Instant};
use simoom_sim::fault::{Fault, FaultKind};
use simoom_sim::link::LinkConfig;
use simoom_sim::nic::Stall;

/// A link as far as it was read.
#[derive(Clone, Debug)]
pub(super) struct LinkDraft {
    pub(super) name: String,
    /// Host and port; None where the file is wrong.
    pub(super) ends: [Option<(usize, usize)>; 2],
    ways: [WayDraft; 2],
}

/// Both directions of a link whose ends are nobody's concern.
#[derive(Clone, Debug, Default)]
pub(super) struct WayDrafts([WayDraft; 2]);

impl WayDrafts {
    /// Puts in what a table says of both directions, and what its `forward` and `backward` say of
    /// one.
    pub(super) fn read(&mut self, link: &Fields<'_>, sink: &mut Sink<'_>) {
        read_ways(&mut self.0, link, sink);
    }

    /// The directions, forward first.
    pub(super) fn configs(self) -> [LinkConfig; 2] {
        let draft = LinkDraft { name: String::new(), ends: [None; 2], ways: self.0 };
        [draft.config(0), draft.config(1)]
    }
}

impl LinkDraft {
    /// The link; ends that the file does not name right are the first host's: nobody will run it.
    pub(super) fn finish(self) -> LinkSpec {
        let ways = [self.config(0), self.config(1)];
        let [from, to] = self.ends.map(Option::unwrap_or_default);
        LinkSpec { name: self.name, from, to, ways }
    }

    /// One direction, its queue's bound worked out.
    fn config(&self, direction: usize) -> LinkConfig {
        let way = &self.ways[direction];
        let mut config = way.config.clone();
        if let Some(bdp) = way.queue_bdp {
            let round_trip = self.ways[0].config.delay + self.ways[1].config.delay;
            // How long a million bytes take; without a rate there is no product.
            let million = config.rate.time_of(1_000_000).as_nanos().max(1);
            let bytes = 1e6 / million as f64 * round_trip.as_nanos() as f64 * bdp;
            // One frame waits at least: a queue of nothing is said with queue_packets = 0.
            config.queue_bytes_max = (bytes.round() as u64).max(1514);
            config.queue_frames_max = u32::MAX;
        }
        config
    }
}

type NamedTable<'t> = (String, usize, Option<&'t Table>);

/// Reads every link. Ports are given out in the order of the file.
pub(super) fn read(
    tables: &[NamedTable<'_>],
    names: &[&str],
    hosts: &[Option<HostSpec>],
    sink: &mut Sink<'_>,
) -> Vec<LinkDraft> {
    let index = index_of(names.iter().copied());
    let mut used = vec![0_usize; names.len()];
    let mut drafts = Vec::new();
    for (name, at, table) in tables {
        let mut draft = LinkDraft { name: name.clone(), ends: [None; 2], ways: Default::default() };
        if let Some(table) = table {
            let path = format!("link.{name}");
            let link = Fields::open(table, *at, &path, &keys::LINK, sink);
            for (end, key) in ["from", "to"].into_iter().enumerate() {
                link.require(key, sink);
                let Some(text) = link.text(key) else { continue };
                let Some(host) = index.get(text).copied() else {
                    link.complain(key, no_host(text, names), sink);
                    continue;
                };
                let ports_max = hosts[host].as_ref().map_or(usize::MAX, |h| h.kind.ports_max());
                if used[host] >= ports_max {
                    let what = match ports_max {
                        1 => format!("is wrong: {text} has one port, and a link on it already"),
                        n => format!("is wrong: {text} has {n} ports, each with a link already"),
                    };
                    link.complain(key, what, sink);
                    continue;
                }
                draft.ends[end] = Some((host, used[host]));
                used[host] += 1;
            }
            if link.has("from") && link.text("from") == link.text("to") {
                link.complain("to", "must be another host than from", sink);
            }
            read_ways(&mut draft.ways, &link, sink);
        }
        drafts.push(draft);
    }
    drafts
}

/// What a table says of both directions, and what its `forward` and `backward` say of one.
fn read_ways(ways: &mut [WayDraft; 2], link: &Fields<'_>, sink: &mut Sink<'_>) {
    for (direction, way) in ways.iter_mut().enumerate() {
        way.apply(link, direction == 0, sink);
    }
    for (direction, key) in ["forward", "backward"].into_iter().enumerate() {
        if let Some((table, at)) = link.table(key) {
            let fields = Fields::open(table, at, link.path_of(key), &keys::DIRECTION, sink);
            ways[direction].apply(&fields, direction == 0, sink);
        } else if link.node(key).is_some() {
            link.complain(key, "must be a table", sink);
        }
    }
}

/// What to say of a host that there is not.
pub(super) fn no_host(name: &str, names: &[&str]) -> String {
    match nearest(name, names.iter().copied()) {
        Some(meant) => format!("is no host of this file; {meant} perhaps?"),
        None => format!("is no host of this file: there are {}", listed(names.iter().copied())),
    }
}

/// The link that a table names.
fn link_of(fields: &Fields<'_>, links: &[LinkDraft], sink: &mut Sink<'_>) -> Option<usize> {
    fields.require("link", sink);
    let name = fields.text("link")?;
    let found = links.iter().position(|link| link.name == name);
    if found.is_none() {
        let names = || links.iter().map(|link| link.name.as_str());
        let what = match nearest(name, names()) {
            Some(meant) => format!("is no link of this file; {meant} perhaps?"),
            None => format!("is no link of this file: there are {}", listed(names())),
        };
        fields.complain("link", what, sink);
    }
    found
}

/// Reads the schedule. Each change adds to those before it in time.
pub(super) fn read_changes(
    file: &Fields<'_>,
    links: &[LinkDraft],
    names: &[&str],
    hosts: &mut [Option<HostSpec>],
    sink: &mut Sink<'_>,
) -> Vec<Change> {
    let tables = file.tables("at", sink);
    let mut read: Vec<(Instant, usize, &[usize], Fields<'_>)> = Vec::new();
    for (table, at) in tables {
        let fields = Fields::open(table, at, "at", &keys::AT, sink);
        fields.require("time_ms", sink);
        if fields.has("host") {
            read_stall(&fields, names, hosts, sink);
            continue;
        }
        for key in ["stall_ms", "stall_what"].into_iter().filter(|key| fields.has(key)) {
            fields.complain(key, "is for a host: name it with host", sink);
        }
        let link = link_of(&fields, links, sink);
        let directions: &[usize] = match fields.text("direction") {
            Some("forward") => &[0],
            Some("backward") => &[1],
            _ => &[0, 1],
        };
        if !keys::LINK_KEYS.iter().any(|key| fields.has(key.name)) {
            let what = "changes nothing: name what is different from then on, rate_mbit = 1 say";
            sink.add(at, "at", what);
        }
        if let (Some(link), Some(ms)) = (link, fields.number("time_ms")) {
            read.push((Instant::ZERO + millis(ms), link, directions, fields));
        }
    }
    read.sort_by_key(|(at, ..)| *at);
    let mut links = links.to_vec();
    let mut changes = Vec::new();
    for (at, link, directions, fields) in read {
        for direction in directions {
            links[link].ways[*direction].apply(&fields, *direction == 0, sink);
        }
        for direction in directions {
            let config = links[link].config(*direction);
            changes.push(Change { at, link, direction: *direction, config });
        }
    }
    changes
}

/// The NIC of a host stands still for a while.
fn read_stall(
    fields: &Fields<'_>,
    names: &[&str],
    hosts: &mut [Option<HostSpec>],
    sink: &mut Sink<'_>,
) {
    fields.require("stall_ms", sink);
    let link_keys = keys::LINK_KEYS.iter().map(|key| key.name).chain(["link", "direction"]);
    for key in link_keys.filter(|key| fields.has(key)) {
        fields.complain(key, "is for a link; this change is one of a host", sink);
    }
    let Some(n) = read_host("host", fields, names, sink) else { return };
    let what = read_stalled(fields, sink);
    let Some(host) = &mut hosts[n] else { return };
    let Some(stack) = host.kind.stack_mut() else {
        return fields.complain("host", "has no NIC: only hosts of ours have", sink);
    };
    if let (Some(at), Some(lasts)) = (fields.number("time_ms"), fields.number("stall_ms")) {
        let at = Instant::ZERO + millis(at);
        stack.planned_stalls.push(Stall { at, lasts: millis(lasts), what });
    }
}

/// Reads the list of faults; None where the file has none.
pub(super) fn read_faults(
    file: &Fields<'_>,
    links: &[LinkDraft],
    sink: &mut Sink<'_>,
) -> Option<Vec<Fault>> {
    let node = file.node("fault")?;
    if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
        return Some(Vec::new());
    }
    let tables = file.tables("fault", sink);
    let mut faults = Vec::new();
    for (table, at) in tables {
        let fields = Fields::open(table, at, "fault", &keys::FAULT, sink);
        let link = link_of(&fields, links, sink);
        for key in ["direction", "frame", "kind"] {
            fields.require(key, sink);
        }
        let needs: &[&str] = match fields.text("kind") {
            Some("delayed") => &["by_ns"],
            Some("displaced") => &["by_ns", "frames"],
            Some("corrupted") => &["offset", "mask"],
            Some("truncated") => &["len_bytes"],
            _ => &[],
        };
        for key in needs {
            fields.require(key, sink);
        }
        let whole = |key| fields.whole(key).unwrap_or_default();
        let kind = match fields.text("kind") {
            Some("lost") => FaultKind::Lost,
            Some("delayed") => FaultKind::Delayed(Duration::from_nanos(whole("by_ns"))),
            Some("duplicated") => FaultKind::Duplicated,
            Some("corrupted") => FaultKind::Corrupted {
                offset: whole("offset") as u16,
                mask: whole("mask") as u8,
                repaired: fields.flag("repaired").unwrap_or(false),
            },
            Some("truncated") => FaultKind::Truncated { len: whole("len_bytes") as u16 },
            Some("displaced") => FaultKind::Displaced {
                frames: whole("frames") as u32,
                time_max: Duration::from_nanos(whole("by_ns")),
            },
            _ => continue,
        };
        let Some(link) = link else { continue };
        let way = 2 * link as u32 + u32::from(fields.text("direction") == Some("backward"));
        faults.push(Fault { way, frame: whole("frame"), kind });
    }
    Some(faults)
}
