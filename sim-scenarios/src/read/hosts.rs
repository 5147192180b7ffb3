//! Hosts, and whether they can reach each other.

use super::links::{LinkDraft, no_host};
use super::{index_of, micros, millis, seconds};
use crate::doc::Table;
use crate::keys;
use crate::model::{
    ClientSpec, HostKind, HostSpec, ServerSpec, SmoltcpClientSpec, SmoltcpServerSpec, SmoltcpSpec,
    StackSpec, WorkSpec,
};
use crate::problem::Sink;
use crate::schema::Fields;
use simoom_core::content::Mode;
use simoom_core::tcp;
use simoom_core::time::Duration;
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};

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
        Some(crate::doc::Value::Text(kind)) => kind.as_str(),
        _ => "",
    };
    let section = match kind {
        "server" => &keys::SERVER,
        "client" => &keys::CLIENT,
        "smoltcp-server" => &keys::SMOLTCP_SERVER,
        "smoltcp-client" => &keys::SMOLTCP_CLIENT,
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
        "smoltcp-server" => HostKind::SmoltcpServer(SmoltcpServerSpec {
            net: read_smoltcp(&fields),
            sockets: fields.whole("sockets").unwrap_or(0) as usize,
            objects: Vec::new(),
        }),
        _ => HostKind::SmoltcpClient(SmoltcpClientSpec {
            net: read_smoltcp(&fields),
            work: read_work(&fields, names, sink)?,
            keep_alive: fields.flag("keep_alive").unwrap_or(true),
        }),
    })
}

fn read_server(fields: &Fields<'_>, sink: &mut Sink<'_>) -> ServerSpec {
    let copies = fields.whole("copies").unwrap_or(2) as u16;
    let mode = match fields.text("mode") {
        Some("copy") => Some(Mode::Copy),
        Some("copies-in-advance") => Some(Mode::CopiesInAdvance(copies)),
        Some("copies-on-demand") => Some(Mode::CopiesOnDemand),
        _ => None,
    };
    let timeout = |key| fields.number(key).map_or(Duration::from_secs(600), seconds);
    ServerSpec {
        stack: read_stack(fields, 16.384, sink),
        mode,
        copies,
        connections_max: fields.whole("connections_max").unwrap_or(0) as u32,
        half_open_max: fields.whole("half_open_max").unwrap_or(0) as u32,
        request_timeout: timeout("request_timeout_s"),
        idle_timeout: timeout("idle_timeout_s"),
        stall_timeout: timeout("stall_timeout_s"),
        objects: Vec::new(),
    }
}

/// What a client asks for; None where it is not known whom.
fn read_work(fields: &Fields<'_>, names: &[&str], sink: &mut Sink<'_>) -> Option<WorkSpec> {
    fields.require("server", sink);
    let connections = fields.whole("connections").unwrap_or(1) as u32;
    let units = [("size_bytes", 1.0), ("size_kb", 1e3), ("size_mb", 1e6)];
    let given: Vec<_> = units.iter().filter(|(key, _)| fields.has(key)).collect();
    let sizes = match given[..] {
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
    };
    let name = fields.text("server")?;
    let Some(server) = index_of(names.iter().copied()).get(name).copied() else {
        fields.complain("server", no_host(name, names), sink);
        return None;
    };
    let requests = fields.whole("requests").unwrap_or(u64::from(connections));
    Some(WorkSpec { server, connections, requests, sizes })
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
    StackSpec {
        tcp,
        nic_rate_bits: ((mbit * 1e6).round() as u64).max(1),
        tx_slots,
        rx_slots: fields.whole("rx_slots").unwrap_or(256) as u32,
        buffers: fields.whole("buffers").unwrap_or(u64::from(tx_slots * 4).max(1024)) as u32,
        dma: fields.text("dma").and_then(dma_policy),
        completion: fields.text("completion").and_then(completion_policy),
        lateness: fields.number("lateness_us").map_or(Duration::from_micros(100), micros),
        rx_coalesce: fields.number("rx_coalesce_us").map_or(Duration::ZERO, micros),
    }
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

/// Complains about hosts that nobody reaches, and work that nobody does.
pub(super) fn check_topology(
    tables: &[NamedTable<'_>],
    hosts: &[Option<HostSpec>],
    links: &[LinkDraft],
    sink: &mut Sink<'_>,
) {
    // What was wrong with a host or a link was said; what follows from it is not worth a word.
    let all_links = links.iter().all(|link| link.ends.iter().all(Option::is_some));
    if !all_links || hosts.iter().any(Option::is_none) || links.is_empty() {
        return;
    }
    let neighbours = |host: usize| {
        let of = move |link: &LinkDraft| match link.ends.map(|end| end.map(|(host, _)| host)) {
            [Some(a), Some(b)] if a == host => Some(b),
            [Some(a), Some(b)] if b == host => Some(a),
            _ => None,
        };
        links.iter().filter_map(of)
    };
    for (n, host) in hosts.iter().enumerate() {
        let (Some(host), (name, at, _)) = (host, &tables[n]) else { continue };
        let path = format!("host.{name}");
        if neighbours(n).next().is_none() {
            let what = "has no link: name it as from or to of a [link.NAME]";
            sink.add(*at, &path, what);
            continue;
        }
        if let Some(work) = host.kind.work() {
            let (server, ..) = &tables[work.server];
            let path = format!("{path}.server");
            if !hosts[work.server].as_ref().is_some_and(|h| h.kind.is_server()) {
                sink.add(*at, &path, format!("{server} is no server"));
            } else if !neighbours(n).any(|other| other == work.server) {
                sink.add(*at, &path, format!("no link leads to {server}"));
            }
        }
        let asks = |h: &Option<HostSpec>| {
            h.as_ref().and_then(|h| h.kind.work()).is_some_and(|work| work.server == n)
        };
        if host.kind.is_server() && !hosts.iter().any(asks) {
            let what =
                format!("is a server whom nobody asks: add a client with server = \"{name}\"");
            sink.add(*at, &path, what);
        }
    }
}

/// Tells each server what its clients ask for.
pub(super) fn complete(hosts: &mut [Option<HostSpec>]) {
    for n in 0..hosts.len() {
        let clients = hosts.iter().flatten().filter_map(|host| host.kind.work());
        let clients: Vec<_> = clients.filter(|work| work.server == n).collect();
        let mut objects: Vec<u64> = clients.iter().flat_map(|w| w.sizes.iter().copied()).collect();
        objects.sort_unstable();
        objects.dedup();
        let connections =
            clients.iter().fold(0_u32, |sum, work| sum.saturating_add(work.connections));
        match hosts[n].as_mut().map(|host| &mut host.kind) {
            Some(HostKind::Server(server)) => {
                server.objects = objects;
                // Connections in TIME-WAIT stand beside those that follow them.
                if server.connections_max == 0 {
                    server.connections_max = connections.saturating_mul(4).max(64);
                }
                if server.half_open_max == 0 {
                    server.half_open_max = server.connections_max;
                }
            }
            Some(HostKind::SmoltcpServer(server)) => {
                server.objects = objects;
                if server.sockets == 0 {
                    server.sockets = connections as usize * 2;
                }
            }
            _ => {}
        }
    }
}
