//! Facts in, findings out.

use super::facts::{Facts, Interface, Tun};
use crate::failure::Kind;
use crate::human;
use crate::netmap_need::Need;
use crate::serve::{Expected, Key, PortName, RingFacts, netmap_failure, sharing, split};
use simoom_linux::ethtool::Offload;
use simoom_netmap::name;
use simoom_netmap::probe::{API_SPOKEN, Probe, Rings};

/// The MTU of ports that are not told another.
const MTU: u32 = 1_500;
/// Ethernet header and 802.1Q tag.
const HEADER_AND_TAG: u32 = 18;
/// Bytes of a packet buffer.
const BUFFER_BYTES: u64 = 2_048;
/// Rings shorter than this are full within a burst.
const SLOTS_FEW: u32 = 256;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It serves, but less well.
    Warn,
    /// It cannot serve; with the exit code that `simoom serve` would have.
    Fail(Kind),
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail(_) => "FAIL",
        }
    }
}

/// One thing that was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What it is about, in a word that does not change.
    pub(super) about: &'static str,
    pub(super) what: String,
    pub(super) fix: Option<String>,
}

/// Findings, in the order in which one would mend them.
struct Findings(Vec<Finding>);

impl Findings {
    fn say(&mut self, level: Level, about: &'static str, what: impl Into<String>) {
        self.0.push(Finding { level, about, what: what.into(), fix: None });
    }

    fn mend(
        &mut self,
        level: Level,
        about: &'static str,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding { level, about, what: what.into(), fix: Some(fix.into()) });
    }
}

/// What is to be said of a port.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    match &facts.port {
        PortName::Tap(name) => judge_tap(facts, name.as_str(), &mut found),
        PortName::Netmap(name) => judge_netmap(facts, name, &mut found),
    }
    judge_cores(facts, &mut found);
    judge_need(facts, &mut found);
    found.0
}

fn judge_tap(facts: &Facts, name: &str, found: &mut Findings) {
    match facts.tun {
        Tun::There => found.say(Level::Ok, "driver", "/dev/net/tun can be opened"),
        Tun::Missing => found.mend(
            Level::Fail(Kind::Privilege),
            "driver",
            "there is no /dev/net/tun",
            "modprobe tun",
        ),
        Tun::Forbidden => found.mend(
            Level::Fail(Kind::Privilege),
            "driver",
            "/dev/net/tun may not be opened by this user",
            "run as root, or chmod 666 /dev/net/tun",
        ),
    }
    match &facts.interface {
        None => found.say(Level::Note, "interface", format!("{name} is made when serving begins")),
        Some(interface) if !interface.is_tap => found.mend(
            Level::Fail(Kind::Taken),
            "interface",
            format!("{name} is no TAP device"),
            "choose a name that is free",
        ),
        Some(interface) => {
            found.say(Level::Ok, "interface", format!("{name} is a TAP device"));
            judge_up(interface, found);
            judge_mtu(interface, None, None, found);
        }
    }
    found.say(Level::Note, "mode", "a system call a frame: for trying things out, not for load");
    if let Some(have) = facts.memory_available {
        let need = u64::from(facts.buffers) * BUFFER_BYTES;
        judge_memory(need, have, "--buffers", found);
    }
}

fn judge_netmap(facts: &Facts, port: &name::PortName, found: &mut Findings) {
    let probe = match &facts.netmap {
        Some(Ok(probe)) => probe,
        Some(Err(error)) => {
            // The error says what to do in its own words, after its colon.
            let text = error.to_string();
            let text = text.strip_prefix(&format!("{port}: ")).unwrap_or(&text).to_string();
            let (what, fix) = match text.rsplit_once(": ") {
                Some((what, fix)) => (what.to_string(), Some(fix.to_string())),
                None => (text, None),
            };
            let level = Level::Fail(netmap_failure(error).kind());
            found.0.push(Finding { level, about: "netmap", what, fix });
            return;
        }
        None => return,
    };
    let api = format!("netmap speaks API {API_SPOKEN} to {}", probe.api_newest);
    found.say(Level::Ok, "netmap", api);
    if port.host {
        judge_host(port, facts, probe, found);
    }
    if let Some(rings) = &probe.rings {
        judge_rings(facts, port, rings, found);
    } else {
        if facts.shards.is_some() {
            judge_shards(facts, None, found);
        }
        let what = if port.pipe.is_some() {
            "a pipe: both ends are made when one is opened, slots change hands, nothing is copied"
        } else {
            "a port of a VALE switch: made when it is opened; the switch copies each frame"
        };
        found.say(Level::Note, "mode", what);
    }
    if let Some(gathering) = &probe.gathering {
        let (level, works) = match gathering.is_there() {
            true => (Level::Ok, "works"),
            false => (Level::Note, "does not work"),
        };
        found.say(level, "gather", format!("--content-mode gather {works}: {gathering}"));
    }
    if let Some(interface) = &facts.interface {
        judge_mode(interface, probe, found);
        judge_up(interface, found);
        let buffer_bytes = probe.buffers.map(|buffers| buffers.bytes);
        judge_mtu(interface, buffer_bytes, probe.native, found);
        judge_offloads(interface, probe.native, found);
        judge_rss(interface, probe, found);
        if interface.has_route && !port.host {
            found.mend(
                Level::Warn,
                "route",
                format!(
                    "the machine has routes through {}, which end while netmap has it",
                    interface.name
                ),
                format!(
                    "serve through another interface, or write netmap:{}^ and let the machine have \
                     what is not served",
                    port.name
                ),
            );
        }
    }
    judge_buffers(facts, probe, found);
}

/// What the rings of the host need.
fn judge_host(port: &name::PortName, facts: &Facts, probe: &Probe, found: &mut Findings) {
    let ring = port.ring.unwrap_or(0);
    let rings = probe.rings.unwrap_or_default();
    // Without a word of the name a port asks for as many as the NIC has.
    let asked = match port.conf.host_rings {
        0 => rings.tx.min(rings.rx),
        asked => asked,
    };
    let have = rings.host.max(asked);
    if ring >= have {
        found.mend(
            Level::Fail(Kind::Usage),
            "host-rings",
            format!("ring pair {ring} has no pair of the host's rings, of which there are {have}"),
            format!("write @conf:host-rings={} in the port's name", u32::from(ring) + 1),
        );
    } else if probe.forwards {
        found.mend(
            Level::Fail(Kind::Runtime),
            "host-rings",
            "netmap forwards to the host by itself, so each frame would arrive twice",
            "echo 0 > /sys/module/netmap/parameters/fwd",
        );
    } else {
        let what = "the machine has what is not served";
        found.say(Level::Ok, "host-rings", what);
    }
    if let Some(interface) = &facts.interface
        && interface.offloads.contains(&(Offload::TxChecksum, true))
    {
        found.mend(
            Level::Warn,
            "host-checksums",
            "the machine leaves checksums to the NIC: netmap drops such frames of its, or, where the \
             module's generic_hwcsum is 1, lets them leave wrong",
            format!("ethtool -K {} tx off", interface.name),
        );
    }
}

fn judge_rings(facts: &Facts, port: &name::PortName, rings: &Rings, found: &mut Findings) {
    let pairs = rings.tx.min(rings.rx);
    let shape = format!(
        "{} transmit and {} receive rings of {} and {} slots",
        rings.tx, rings.rx, rings.tx_slots, rings.rx_slots
    );
    match port.ring {
        None if facts.shards.is_some() => judge_shards(facts, Some(&shape), found),
        Some(ring) if ring >= pairs => found.mend(
            Level::Fail(Kind::Usage),
            "rings",
            format!("there is no ring pair {ring}: {shape}"),
            format!("name one from 0 to {}", pairs.saturating_sub(1)),
        ),
        None if pairs > 1 => found.mend(
            Level::Fail(Kind::Usage),
            "rings",
            format!("{shape}, of which a port takes one: the others' frames would be lost"),
            format!(
                "serve with --shards {pairs}, or ethtool -L {} combined 1, or serve netmap:{}-0",
                port.name, port.name
            ),
        ),
        _ => found.say(Level::Ok, "rings", shape),
    }
    let fewest = rings.tx_slots.min(rings.rx_slots);
    if fewest < SLOTS_FEW {
        found.mend(
            Level::Warn,
            "slots",
            format!("rings of {fewest} slots are full within a burst"),
            format!("ethtool -G {} rx 1024 tx 1024", port.name),
        );
    }
}

/// Rings against shards, and whether the interface spreads over them.
fn judge_shards(facts: &Facts, shape: Option<&str>, found: &mut Findings) {
    let asked = facts.shards.unwrap_or(1);
    let interface = facts.interface.as_ref();
    let known = RingFacts {
        rings: facts.netmap.as_ref().and_then(|probe| probe.as_ref().ok()?.rings),
        rss: interface.and_then(|interface| interface.rss.clone()),
        fields: interface.and_then(|interface| interface.hash_fields),
        node: interface.and_then(|interface| interface.node),
    };
    let shape = shape.map_or(String::new(), |shape| format!("{shape}; "));
    match split(&facts.port, asked, &known) {
        Err(remark) => {
            found.mend(Level::Fail(Kind::Usage), "rings", shape + &remark.what, remark.fix);
        }
        Ok(split) => {
            let shards = human::count(split.names.len() as u64, "shard");
            found.say(Level::Ok, "rings", format!("{shape}{shards} would serve"));
            for remark in split.remarks {
                found.mend(Level::Warn, "shards", remark.what, remark.fix);
            }
            if let Some(Expected { key, .. }) = split.spread {
                let (level, what) = match key {
                    Key::Said => {
                        (Level::Ok, "a Toeplitz hash whose table spreads over exactly these rings")
                    }
                    Key::Kernels => (
                        Level::Note,
                        "the port does not say its key: what comes is held against the kernel's, \
                         net.core.netdev_rss_key",
                    ),
                    Key::Usual => (
                        Level::Note,
                        "the port does not say its key: what comes is held against the usual one, \
                         Microsoft's",
                    ),
                };
                found.say(level, "hash", what);
            }
        }
    }
}

/// Threads of all ports against the cores that there are for them.
fn judge_cores(facts: &Facts, found: &mut Findings) {
    let (Some(asked), Some(cores)) = (facts.shards, facts.cores) else { return };
    let shards = usize::from(asked) * facts.ports;
    match sharing(shards, cores) {
        Some(said) => found.mend(
            Level::Warn,
            "cores",
            said,
            format!("--shards {}, or more cores (taskset, cpusets)", (cores / facts.ports).max(1)),
        ),
        None => found.say(Level::Ok, "cores", format!("a core for each of {shards} shards")),
    }
}

fn judge_mode(interface: &Interface, probe: &Probe, found: &mut Findings) {
    let driver = interface.driver.as_deref().unwrap_or("a virtual one");
    match probe.native {
        Some(true) => {
            found.say(
                Level::Ok,
                "mode",
                format!("native: netmap is built into the driver, {driver}"),
            );
        }
        Some(false) => found.mend(
            Level::Warn,
            "mode",
            format!("generic: the driver, {driver}, knows no netmap, and each frame is copied"),
            "for load, the driver that is built with netmap",
        ),
        None => found.say(Level::Note, "mode", "native or generic: nobody says so here"),
    }
}

fn judge_up(interface: &Interface, found: &mut Findings) {
    let name = &interface.name;
    if !interface.is_up {
        found.mend(
            Level::Fail(Kind::Runtime),
            "link",
            format!("{name} is down"),
            format!("ip link set {name} up"),
        );
    } else if interface.carrier == Some(false) && !interface.is_tap {
        found.mend(
            Level::Warn,
            "link",
            format!("{name} has no carrier"),
            "look at the cable, and whether the other end is up",
        );
    } else {
        found.say(Level::Ok, "link", format!("{name} is up"));
    }
}

fn judge_mtu(
    interface: &Interface,
    buffer_bytes: Option<u32>,
    native: Option<bool>,
    found: &mut Findings,
) {
    let Some(mtu) = interface.mtu else { return };
    let fix = format!("ip link set {} mtu {MTU}", interface.name);
    match buffer_bytes {
        // Some of these drivers spread a frame over slots, others refuse; only opening tells.
        Some(bytes) if mtu + HEADER_AND_TAG > bytes && native == Some(true) => found.mend(
            Level::Warn,
            "mtu",
            format!(
                "a frame of MTU {mtu} does not fit a buffer of {bytes} bytes: the driver refuses to be \
                 opened, or such frames are dropped"
            ),
            fix,
        ),
        Some(bytes) if mtu + HEADER_AND_TAG > bytes => found.mend(
            Level::Fail(Kind::Usage),
            "mtu",
            format!("a frame of MTU {mtu} does not fit a buffer of {bytes} bytes"),
            fix,
        ),
        _ if mtu > MTU => found.mend(
            Level::Warn,
            "mtu",
            format!("MTU {mtu}: frames above {MTU} are dropped, since ports are opened with that"),
            fix,
        ),
        _ if mtu < MTU => found.mend(
            Level::Warn,
            "mtu",
            format!("MTU {mtu}: segments for the usual {MTU} would not pass"),
            fix,
        ),
        _ => found.say(Level::Ok, "mtu", format!("MTU {mtu}")),
    }
}

fn judge_offloads(interface: &Interface, native: Option<bool>, found: &mut Findings) {
    let name = &interface.name;
    let on = |what: Offload| interface.offloads.contains(&(what, true));
    // The kernel merges what a native driver never shows it.
    let gro = on(Offload::Gro) && native != Some(true);
    let lro = on(Offload::Lro);
    let (level, which, fix) = match (gro, lro) {
        (true, true) => (Level::Fail(Kind::Runtime), "gro and lro merge", "gro off lro off"),
        (false, true) => (Level::Fail(Kind::Runtime), "lro merges", "lro off"),
        (true, false) => (Level::Warn, "gro may merge", "gro off"),
        (false, false) => (Level::Ok, "", ""),
    };
    if level != Level::Ok {
        found.mend(
            level,
            "offloads",
            format!("{which} received frames into ones that fit no buffer"),
            format!("ethtool -K {name} {fix}"),
        );
    }
    if let Some((peer, true)) = &interface.peer {
        found.mend(
            Level::Fail(Kind::Runtime),
            "checksums",
            format!("{peer}, the other end, leaves out checksums, and its frames would be dropped"),
            format!("ethtool -K {peer} tx off"),
        );
    }
    if interface.offloads.is_empty() {
        found.say(Level::Note, "offloads", format!("{name} does not say which offloads are on"));
    } else if level == Level::Ok && !matches!(interface.peer, Some((_, true))) {
        found.say(Level::Ok, "offloads", "no offload is in the way");
    }
}

fn judge_rss(interface: &Interface, probe: &Probe, found: &mut Findings) {
    let many = probe.rings.is_some_and(|rings| rings.rx > 1);
    match &interface.rss {
        Some(rss) if !rss.table.is_empty() => {
            let key = match rss.key.len() {
                shown @ 1.. if !rss.key_is_kernels => format!("a key of {shown} bytes"),
                _ => "a key that it does not show".into(),
            };
            let what = format!(
                "received frames are spread by a hash with {key} over a table of {}",
                rss.table.len()
            );
            found.say(Level::Note, "rss", what);
        }
        _ if many => found.mend(
            Level::Warn,
            "rss",
            "how received frames are spread over the rings cannot be read",
            format!("ethtool -x {}, and look for what serve says of rings", interface.name),
        ),
        _ => {}
    }
}

fn judge_buffers(facts: &Facts, probe: &Probe, found: &mut Findings) {
    let need = facts.buffers;
    match &facts.opened {
        Some(Ok(got)) if *got < need => {
            return found.mend(
                Level::Warn,
                "buffers",
                format!(
                    "{got} of {need} packet buffers are there: others hold the rest, or lost it"
                ),
                more_buffers(need),
            );
        }
        Some(Ok(got)) => {
            return found.say(Level::Ok, "buffers", format!("opened, with {got} packet buffers"));
        }
        Some(Err(error)) => {
            let level = Level::Fail(netmap_failure(error).kind());
            return found.say(level, "open", error.to_string());
        }
        None => {}
    }
    let (Some(buffers), Some(rings)) = (probe.buffers, probe.rings) else { return };
    // Each ring has a buffer for each slot, the host's rings among them.
    let shards = facts.shards.unwrap_or(1).min(rings.tx.min(rings.rx).max(1));
    let of_rings = Need { shards, buffers_each: need, rings, host_rings: 1 };
    let (need, in_rings) = (of_rings.extra(), of_rings.in_rings());
    let left = buffers.total.saturating_sub(in_rings);
    let have = format!(
        "{} buffers of {} bytes ({}), {left} beside those of the rings",
        buffers.total,
        buffers.bytes,
        human::bytes(probe.memory_bytes)
    );
    if left == 0 {
        let what = format!("{have}: nothing can be sent");
        found.mend(Level::Fail(Kind::Taken), "buffers", what, more_buffers(need));
    } else if left < need {
        let what = format!("{have}: fewer than the {need} to be used");
        found.mend(Level::Warn, "buffers", what, more_buffers(need));
    } else {
        found.say(Level::Ok, "buffers", have);
    }
}

fn more_buffers(need: u32) -> String {
    format!(
        "a netmap module loaded with a buf_num larger by {need}, or fewer with --buffers; netmap \
         programs that hold its memory end first"
    )
}

fn judge_memory(need: u64, have: u64, option: &str, found: &mut Findings) {
    let what = format!("{} of packet buffers, {} free", human::bytes(need), human::bytes(have));
    if need > have {
        let fix = format!("fewer with {option}");
        found.mend(Level::Fail(Kind::Runtime), "memory", format!("not enough memory: {what}"), fix);
    } else {
        found.say(Level::Ok, "memory", what);
    }
}

/// Content against the buffers that it may fill.
fn judge_need(facts: &Facts, found: &mut Findings) {
    let Some(segments) = facts.segments else { return };
    let what = format!(
        "the content is {} for most peers, {} packet buffers are to be used",
        human::count(segments, "segment"),
        facts.buffers
    );
    if segments > u64::from(facts.buffers) {
        found.mend(
            Level::Warn,
            "content",
            format!("{what}: what is asked for least is prepared again and again"),
            format!("--buffers {} or more", segments.saturating_add(segments / 4)),
        );
    } else {
        found.say(Level::Ok, "content", what);
    }
}

#[cfg(test)]
mod tests;
