//! Our own hosts and smoltcp's.

use super::links::no_host;
use super::{micros, millis, peers, seconds};
use crate::doc::{Table, Value};
use crate::keys;
use crate::model::{
    BrowserSpec, ClientSpec, HostKind, HostSpec, MachineSpec, ServerSpec, SmoltcpClientSpec,
    SmoltcpServerSpec, SmoltcpSpec, StackSpec, WorkSpec,
};
use crate::problem::Sink;
use crate::schema::Fields;
use simoom_core::content::Mode;
use simoom_core::tcp;
use simoom_core::tcp::congestion::Algorithm;
use simoom_core::time::Duration;
use simoom_sim::hosts::site::{SiteConfig, Sizes};
use simoom_sim::machine::{CostFile, CostModel};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, RandomStalls, Stalled};

/// Bytes that the buffers of one host take, at most.
const MEMORY_MAX: u64 = 4 << 30;

type NamedTable<'t> = (String, usize, Option<&'t Table>);

/// Reads every host; None for one that is wrong beyond use.
pub(super) fn read(tables: &[NamedTable<'_>], sink: &mut Sink<'_>) -> Vec<Option<HostSpec>> {
    let names: Vec<&str> = tables.iter().map(|(name, ..)| name.as_str()).collect();
    let host = |(name, at, table): &NamedTable<'_>| {
        let path = format!("host.{name}");
        let kind = read_kind((*table)?, *at, &path, &names, sink)?;
        Some(HostSpec { name: name.clone(), kind })
    };
    tables.iter().map(host).collect()
}

fn read_kind(
    table: &Table,
    at: usize,
    path: &str,
    names: &[&str],
    sink: &mut Sink<'_>,
) -> Option<HostKind> {
    let kind = match table.get("kind").map(|node| &node.value) {
        Some(Value::Text(kind)) => kind.as_str(),
        _ => "",
    };
    let section = match kind {
        "server" => &keys::SERVER,
        "client" => &keys::CLIENT,
        "machine" => &keys::MACHINE,
        "smoltcp-server" => &keys::SMOLTCP_SERVER,
        "smoltcp-client" => &keys::SMOLTCP_CLIENT,
        "receiver" => &keys::RECEIVER,
        "browser" => &keys::BROWSER,
        "scripted" => &keys::SCRIPTED,
        "switch" => &keys::SWITCH,
        "cross-source" => &keys::CROSS_SOURCE,
        "cross-sink" => &keys::CROSS_SINK,
        "syn-flood" => &keys::SYN_FLOOD,
        "random-segments" => &keys::RANDOM_SEGMENTS,
        "blind-injector" => &keys::BLIND_INJECTOR,
        "optimistic-acker" => &keys::OPTIMISTIC_ACKER,
        _ => {
            // Keys of unknown kinds are unknown: the kind alone is worth a word.
            let mut only = Table::default();
            if let Some(node) = table.get("kind") {
                only.set("kind", node.clone());
            }
            let fields = Fields::open(&only, at, path, &keys::SERVER, sink);
            fields.require("kind", sink);
            return None;
        }
    };
    let fields = Fields::open(table, at, path, section, sink);
    Some(match kind {
        "server" => HostKind::Server(read_server(&fields, sink)),
        "client" => HostKind::Client(ClientSpec {
            work: read_work(&fields, names, sink)?,
            requests_per_connection: fields.whole("requests_per_connection").unwrap_or(u64::MAX),
            pipeline: fields.whole("pipeline").unwrap_or(1) as u8,
            think: fields.number("think_ms").map_or(Duration::ZERO, millis),
            random_order: fields.text("order") == Some("random"),
            stack: read_stack(&fields, 256.0, sink),
        }),
        "machine" => HostKind::Machine(read_machine(&fields, sink)),
        "smoltcp-server" => HostKind::SmoltcpServer(SmoltcpServerSpec {
            net: read_smoltcp(&fields),
            sockets: fields.whole("sockets").unwrap_or(0) as usize,
            objects: Vec::new(),
        }),
        "smoltcp-client" => {
            let work = read_work(&fields, names, sink)?;
            let net = read_smoltcp(&fields);
            // Its bodies, requests and sockets are memory, unlike those of our own hosts.
            let sockets = u64::from(work.connections) * (net.receive_bytes + net.send_bytes) as u64;
            let requests = work.requests.saturating_mul(64);
            let bodies = work.sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
            let total = sockets.saturating_add(requests).saturating_add(bodies);
            if total > MEMORY_MAX {
                let what = format!(
                    "takes {total} bytes for sockets, requests and bodies; {MEMORY_MAX} at most"
                );
                sink.add(at, path, what);
            }
            let keep_alive = fields.flag("keep_alive").unwrap_or(true);
            HostKind::SmoltcpClient(SmoltcpClientSpec { net, work, keep_alive })
        }
        "receiver" => peers::read_receiver(&fields, names, sink)?,
        "browser" => HostKind::Browser(read_browser(&fields, names, sink)?),
        "scripted" => peers::read_scripted(&fields, names, sink)?,
        "switch" => peers::read_switch(&fields, names, sink),
        "cross-source" => peers::read_cross_source(&fields, names, sink)?,
        "cross-sink" => HostKind::CrossSink,
        _ => peers::read_hostile(kind, &fields, names, sink)?,
    })
}

fn read_machine(fields: &Fields<'_>, sink: &mut Sink<'_>) -> MachineSpec {
    let interfaces = fields.whole("interfaces").unwrap_or(1) as u16;
    let rings = fields.whole("rings").unwrap_or(1) as u8;
    MachineSpec {
        each: read_server(fields, sink),
        cores: match fields.whole("cores") {
            Some(0) => usize::from(interfaces) * usize::from(rings),
            cores => cores.unwrap_or(1) as usize,
        },
        interfaces,
        rings,
        cost: read_costs(fields, sink),
        is_offloaded: fields.text("checksums") == Some("offloaded"),
        tx_coalesce: fields.number("tx_coalesce_us").map_or(Duration::ZERO, micros),
    }
}

/// Reads the file of measured costs; nothing takes time where there is none.
fn read_costs(fields: &Fields<'_>, sink: &mut Sink<'_>) -> CostModel {
    let Some(name) = fields.text("cost_file") else {
        if fields.has("checksums") {
            fields.complain("checksums", "chooses costs of a cost_file, and there is none", sink);
        }
        return CostModel::ZERO;
    };
    match sink.read_beside(name).and_then(|text| CostFile::parse(&text)) {
        Ok(file) if fields.text("checksums") == Some("offloaded") => file.checksums_offloaded,
        Ok(file) => file.checksums_in_software,
        Err(what) => {
            fields.complain("cost_file", format!("{name}: {what}"), sink);
            CostModel::ZERO
        }
    }
}

fn read_browser(fields: &Fields<'_>, names: &[&str], sink: &mut Sink<'_>) -> Option<BrowserSpec> {
    fields.require("pages", sink);
    let server = read_host("server", fields, names, sink)?;
    let connections = fields.whole("connections").unwrap_or(6) as u32;
    let pages = fields.whole("pages").unwrap_or(1) as u32;
    let time = |key, ms| millis(fields.number(key).unwrap_or(ms));
    let requests = u64::from(pages);
    Some(BrowserSpec {
        work: WorkSpec { server, server_port: 0, connections, requests, sizes: Vec::new() },
        pages,
        think: time("think_ms", 5_000.0),
        think_max: time("think_max_ms", 60_000.0),
        give_up: fields.number("give_up_s").map_or(Duration::from_secs(600), seconds),
        stack: read_stack(fields, 256.0, sink),
    })
}

fn read_server(fields: &Fields<'_>, sink: &mut Sink<'_>) -> ServerSpec {
    let copies = fields.whole("copies").unwrap_or(2) as u16;
    let mode = match fields.text("mode") {
        Some("copy") => Some(Mode::Copy),
        Some("copies-in-advance") => Some(Mode::CopiesInAdvance(copies)),
        Some("copies-on-demand") => Some(Mode::CopiesOnDemand),
        Some("gather") => Some(Mode::Gather),
        _ => None,
    };
    let timeout = |key, s| fields.number(key).map_or(Duration::from_secs(s), seconds);
    ServerSpec {
        stack: read_stack(fields, 16.384, sink),
        mode,
        copies,
        connections_max: fields.whole("connections_max").unwrap_or(0) as u32,
        half_open_max: fields.whole("half_open_max").unwrap_or(0) as u32,
        request_timeout: timeout("request_timeout_s", 600),
        idle_timeout: timeout("idle_timeout_s", 600),
        stall_timeout: timeout("stall_timeout_s", 36_000),
        objects: Vec::new(),
        site: fields.whole("site_pages").map(|pages| {
            let objects_max = fields.whole("site_objects_max").unwrap_or(20) as u32;
            let high = fields.number("site_object_kb_max").unwrap_or(2000.0) * 1e3;
            let default = SiteConfig::default();
            SiteConfig {
                pages: pages as u32,
                objects_min: objects_max / 10,
                objects_max,
                object: Sizes { high: high.round() as u64, ..default.object },
                ..default
            }
        }),
    }
}

/// What a client asks for; None where it is not known whom.
fn read_work(fields: &Fields<'_>, names: &[&str], sink: &mut Sink<'_>) -> Option<WorkSpec> {
    let connections = fields.whole("connections").unwrap_or(1) as u32;
    let sizes = read_sizes(fields, sink);
    let server = read_host("server", fields, names, sink)?;
    let requests = fields.whole("requests").unwrap_or(u64::from(connections));
    Some(WorkSpec { server, server_port: 0, connections, requests, sizes })
}

/// Bytes of what is asked for.
pub(super) fn read_sizes(fields: &Fields<'_>, sink: &mut Sink<'_>) -> Vec<u64> {
    let units = [("size_bytes", 1.0), ("size_kb", 1e3), ("size_mb", 1e6)];
    let given: Vec<_> = units.iter().filter(|(key, _)| fields.has(key)).collect();
    match given[..] {
        [(key, unit)] => {
            let sizes = fields.numbers(key).unwrap_or_default();
            sizes.into_iter().map(|size| (size * unit).round() as u64).collect()
        }
        [] => {
            let what = "is missing: say what is asked for with size_bytes, size_kb or size_mb";
            sink.add(fields.at, &fields.path_of("size_kb"), what);
            Vec::new()
        }
        [_, (key, _), ..] => {
            fields.complain(key, "says again what another key says: keep one of them", sink);
            Vec::new()
        }
    }
}

/// The host that a key names.
pub(super) fn read_host(
    key: &str,
    fields: &Fields<'_>,
    names: &[&str],
    sink: &mut Sink<'_>,
) -> Option<usize> {
    fields.require(key, sink);
    let name = fields.text(key)?;
    let found = names.iter().position(|known| *known == name);
    if found.is_none() {
        fields.complain(key, no_host(name, names), sink);
    }
    found
}

fn read_smoltcp(fields: &Fields<'_>) -> SmoltcpSpec {
    let bytes = |key| fields.number(key).map_or(65_536, |kb| (kb * 1e3).round() as usize);
    SmoltcpSpec {
        receive_bytes: bytes("receive_kb"),
        send_bytes: bytes("send_kb"),
        mtu: fields.whole("mtu_bytes").unwrap_or(1500) as usize,
    }
}

fn read_stack(fields: &Fields<'_>, window_kb: f64, sink: &mut Sink<'_>) -> StackSpec {
    let mut tcp = tcp::Config::default();
    if let Some(mss) = fields.whole("mss_bytes") {
        tcp.mss = mss as u16;
    }
    let window = fields.number("receive_window_kb").unwrap_or(window_kb);
    tcp.receive_window = (window * 1e3).round() as u32;
    let connections =
        if fields.section_has("connections") { fields.whole("connections") } else { None };
    let total = u64::from(tcp.receive_window) * connections.unwrap_or(1);
    if total > MEMORY_MAX {
        let what = format!("takes {total} bytes with all connections; {MEMORY_MAX} at most");
        fields.complain("receive_window_kb", what, sink);
    }
    for (key, flag) in [
        ("timestamps", &mut tcp.timestamps),
        ("window_scaling", &mut tcp.window_scaling),
        ("nagle", &mut tcp.nagle),
    ] {
        *flag = fields.flag(key).unwrap_or(*flag);
    }
    if let Some(name) = fields.text("controller")
        && let Some(algorithm) = Algorithm::ALL.into_iter().find(|known| known.name() == name)
    {
        tcp.congestion = algorithm;
    }
    if let Some(segments) = fields.whole("initial_window_segments") {
        tcp.initial_window_segments = segments as u16;
    }
    for (key, time) in [
        ("min_rto_ms", &mut tcp.min_rto),
        ("initial_rto_ms", &mut tcp.initial_rto),
        ("max_rto_ms", &mut tcp.max_rto),
        ("delayed_ack_ms", &mut tcp.delayed_ack),
    ] {
        *time = fields.number(key).map_or(*time, millis);
    }
    if tcp.min_rto > tcp.max_rto {
        fields.complain("min_rto_ms", "is above max_rto_ms", sink);
    }
    tcp.time_wait = fields.number("time_wait_s").map_or(tcp.time_wait, seconds);
    tcp.retries_max = fields.whole("retries_max").unwrap_or(15) as u8;
    tcp.syn_retries_max = fields.whole("syn_retries_max").unwrap_or(15) as u8;
    let tx_slots = fields.whole("tx_slots").unwrap_or(256) as u32;
    let mbit = fields.number("nic_mbit").unwrap_or(10_000.0);
    let (hold_idle, slots_each) = (fields.whole("hold_idle_frames").unwrap_or(1), slots_of(fields));
    if slots_each * (hold_idle + 1) > u64::from(tx_slots) {
        let key = if fields.has("hold_idle_frames") { "hold_idle_frames" } else { "tx_slots" };
        let what = format!(
            "leaves no slot free: {hold_idle} frames that idle and one to send need {} of {tx_slots}",
            slots_each * (hold_idle + 1)
        );
        fields.complain(key, what, sink);
    }
    StackSpec {
        tcp,
        nic_rate_bits: ((mbit * 1e6).round() as u64).max(1),
        tx_slots,
        rx_slots: fields.whole("rx_slots").unwrap_or(256) as u32,
        buffers: fields.whole("buffers").unwrap_or(u64::from(tx_slots * 4).max(1024)) as u32,
        dma: fields.text("dma").and_then(dma_policy),
        completion: fields.text("completion").and_then(completion_policy),
        lateness: fields.number("lateness_us").map_or(Duration::from_micros(100), micros),
        hold_max: fields.whole("hold_frames").map_or(tx_slots, |n| n as u32),
        hold_idle: hold_idle as u32,
        rx_coalesce: fields.number("rx_coalesce_us").map_or(Duration::ZERO, micros),
        stalls: fields.number("stall_every_ms").map(|every| RandomStalls {
            gap_mean: millis(every),
            lasts_max: millis(fields.number("stall_ms").unwrap_or(1.0)),
            what: read_stalled(fields, sink),
        }),
        planned_stalls: Vec::new(),
    }
}

/// Slots that a frame takes at most.
fn slots_of(fields: &Fields<'_>) -> u64 {
    let gathers = fields.section_has("mode") && fields.text("mode") == Some("gather");
    if gathers { 2 } else { 1 }
}

/// What stands still: everything where the file does not say.
pub(super) fn read_stalled(fields: &Fields<'_>, sink: &mut Sink<'_>) -> Stalled {
    let Some(texts) = fields.texts("stall_what") else { return Stalled::EVERYTHING };
    let mut what = Stalled::default();
    for (text, at) in texts {
        match text {
            "receive" => what.receive = true,
            "transmit" => what.transmit = true,
            "report" => what.report = true,
            _ => {
                let path = fields.path_of("stall_what");
                sink.add(at, &path, "must be receive, transmit or report");
            }
        }
    }
    what
}

/// None for `any`.
fn dma_policy(name: &str) -> Option<DmaPolicy> {
    let at = keys::DMA.iter().position(|known| *known == name)?;
    DmaPolicy::ALL.get(at).copied()
}

/// None for `any`.
fn completion_policy(name: &str) -> Option<CompletionPolicy> {
    let at = keys::COMPLETION.iter().position(|known| *known == name)?;
    CompletionPolicy::ALL.get(at).copied()
}

/// As files say it.
pub(super) fn dma_name(policy: DmaPolicy) -> &'static str {
    let at = DmaPolicy::ALL.iter().position(|known| *known == policy);
    at.map_or("any", |at| keys::DMA[at])
}

/// As files say it.
pub(super) fn completion_name(policy: CompletionPolicy) -> &'static str {
    let at = CompletionPolicy::ALL.iter().position(|known| *known == policy);
    at.map_or("any", |at| keys::COMPLETION[at])
}
