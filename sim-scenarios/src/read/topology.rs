//! Who reaches whom, and what follows from it: which port of a machine, what a server has to have.

use super::links::LinkDraft;
use crate::doc::Table;
use crate::host::numbers_of;
use crate::model::{HostKind, HostSpec};
use crate::problem::Sink;

/// Addresses of 10.66.0.0/16 that hosts have: above are those that a SYN flood pretends to be.
const NUMBERS_MAX: usize = 50_000;

type NamedTable<'t> = (String, usize, Option<&'t Table>);

/// Complains about hosts that nobody reaches, and work that nobody does; tells the rest what they
/// have to know of each other.
pub(super) fn complete(
    tables: &[NamedTable<'_>],
    hosts: &mut [Option<HostSpec>],
    links: &[LinkDraft],
    sink: &mut Sink<'_>,
) {
    // What was wrong with a host or a link was said; what follows from it is not worth a word.
    let all_links = links.iter().all(|link| link.ends.iter().all(Option::is_some));
    if !all_links || hosts.iter().any(Option::is_none) || links.is_empty() {
        return;
    }
    check_links(tables, hosts, links, sink);
    for n in 0..hosts.len() {
        complete_target(n, tables, hosts, links, sink);
        complete_switch(n, tables, hosts, links, sink);
    }
    check_servers(tables, hosts, sink);
    let numbers: usize = hosts.iter().flatten().map(|host| numbers_of(&host.kind)).sum();
    if numbers > NUMBERS_MAX {
        let what =
            format!("makes {numbers} hosts and interfaces; there are {NUMBERS_MAX} addresses");
        sink.add(tables[0].1, "host", what);
    }
    for n in 0..hosts.len() {
        complete_server(n, hosts);
    }
}

/// The other ends of a host's links: (own port, host, port).
fn neighbours(links: &[LinkDraft], host: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    links.iter().filter_map(move |link| match link.ends {
        [Some((a, own)), Some((b, port))] if a == host => Some((own, b, port)),
        [Some((b, port)), Some((a, own))] if a == host => Some((own, b, port)),
        _ => None,
    })
}

/// The port of `target` at which frames of `from` come, through any number of switches.
fn reach(
    from: usize,
    target: usize,
    hosts: &[Option<HostSpec>],
    links: &[LinkDraft],
) -> Option<usize> {
    let is_switch =
        |n: usize| matches!(&hosts[n], Some(HostSpec { kind: HostKind::Switch(_), .. }));
    let mut seen = vec![false; hosts.len()];
    let mut queue = std::collections::VecDeque::from([from]);
    seen[from] = true;
    while let Some(host) = queue.pop_front() {
        for (_, other, port) in neighbours(links, host) {
            if other == target {
                return Some(port);
            }
            if is_switch(other) && !std::mem::replace(&mut seen[other], true) {
                queue.push_back(other);
            }
        }
    }
    None
}

fn check_links(
    tables: &[NamedTable<'_>],
    hosts: &[Option<HostSpec>],
    links: &[LinkDraft],
    sink: &mut Sink<'_>,
) {
    for (n, (name, at, _)) in tables.iter().enumerate() {
        let path = format!("host.{name}");
        let count = neighbours(links, n).count();
        if count == 0 {
            let what = "has no link: name it as from or to of a [link.NAME]";
            sink.add(*at, &path, what);
        } else if let Some(HostSpec { kind: HostKind::Machine(machine), .. }) = &hosts[n]
            && count < usize::from(machine.interfaces)
        {
            let what = format!("has {} interfaces and {count} links", machine.interfaces);
            sink.add(*at, &format!("{path}.interfaces"), what);
        }
    }
}

fn complete_target(
    n: usize,
    tables: &[NamedTable<'_>],
    hosts: &mut [Option<HostSpec>],
    links: &[LinkDraft],
    sink: &mut Sink<'_>,
) {
    let (name, at, _) = &tables[n];
    let Some(host) = &hosts[n] else { return };
    let is_linked = |n: usize| neighbours(links, n).next().is_some();
    let mut check = |target: usize, key: &str, is_right: bool, what: &str| {
        let path = format!("host.{name}.{key}");
        if !is_right {
            sink.add(*at, &path, format!("{} is no {what}", tables[target].0));
            return None;
        }
        let port = reach(n, target, hosts, links);
        if port.is_none() && is_linked(n) && is_linked(target) {
            sink.add(*at, &path, format!("no link leads to {}", tables[target].0));
        }
        port
    };
    let is_server = |n: usize| hosts[n].as_ref().is_some_and(|host| host.kind.is_server());
    let is_sink = |n: usize| matches!(&hosts[n], Some(HostSpec { kind: HostKind::CrossSink, .. }));
    let is_receiver =
        |n: usize| matches!(&hosts[n], Some(HostSpec { kind: HostKind::Receiver(_), .. }));
    if let HostKind::CrossSource(source) = &host.kind {
        check(source.to, "to", is_sink(source.to), "cross-sink");
    }
    if let HostKind::Hostile(hostile) = &host.kind
        && let crate::model::HostileKind::BlindInjector { victim, .. } = &hostile.kind
    {
        check(*victim, "victim", is_receiver(*victim), "receiver");
    }
    let Some(target) = host.kind.target() else { return };
    let port = check(target.server, "server", is_server(target.server), "server");
    let has_site = match hosts[target.server].as_ref().map(|host| &host.kind) {
        Some(HostKind::Server(server)) => server.site.is_some(),
        Some(HostKind::Machine(machine)) => machine.each.site.is_some(),
        _ => false,
    };
    if matches!(host.kind, HostKind::Browser(_)) && port.is_some() && !has_site {
        let what = format!("{} has no site for browsers: site_pages", tables[target.server].0);
        sink.add(*at, &format!("host.{name}.server"), what);
    }
    let Some(port) = port else { return };
    if let Some(target) = hosts[n].as_mut().and_then(|host| host.kind.target_mut()) {
        target.server_port = port;
    }
}

fn complete_switch(
    n: usize,
    tables: &[NamedTable<'_>],
    hosts: &mut [Option<HostSpec>],
    links: &[LinkDraft],
    sink: &mut Sink<'_>,
) {
    let Some(HostSpec { kind: HostKind::Switch(switch), .. }) = &mut hosts[n] else { return };
    switch.ports = neighbours(links, n).count();
    let Some(mirror) = switch.mirror_to else { return };
    switch.mirror_port =
        neighbours(links, n).find(|(_, other, _)| *other == mirror).map(|(own, ..)| own);
    if switch.mirror_port.is_none() {
        let (name, at, _) = &tables[n];
        let what = format!("{} is not on this switch", tables[mirror].0);
        sink.add(*at, &format!("host.{name}.mirror_to"), what);
    }
}

fn check_servers(tables: &[NamedTable<'_>], hosts: &[Option<HostSpec>], sink: &mut Sink<'_>) {
    for (n, (name, at, _)) in tables.iter().enumerate() {
        let asks = |h: &HostSpec| h.kind.target().is_some_and(|target| target.server == n);
        let is_server = hosts[n].as_ref().is_some_and(|host| host.kind.is_server());
        if is_server && !hosts.iter().flatten().any(asks) {
            let path = format!("host.{name}");
            let what =
                format!("is a server whom nobody asks: add a client with server = \"{name}\"");
            sink.add(*at, &path, what);
        }
    }
}

/// Tells a server what its clients ask for.
fn complete_server(n: usize, hosts: &mut [Option<HostSpec>]) {
    let clients = hosts.iter().flatten().filter_map(|host| host.kind.target());
    let clients: Vec<_> = clients.filter(|target| target.server == n).collect();
    let mut objects: Vec<u64> = clients.iter().flat_map(|w| w.sizes.iter().copied()).collect();
    objects.sort_unstable();
    objects.dedup();
    let connections = clients.iter().fold(0_u32, |sum, work| sum.saturating_add(work.connections));
    let server = match hosts[n].as_mut().map(|host| &mut host.kind) {
        Some(HostKind::Server(server)) => server,
        Some(HostKind::Machine(machine)) => &mut machine.each,
        Some(HostKind::SmoltcpServer(server)) => {
            server.objects = objects;
            if server.sockets == 0 {
                server.sockets = (connections as usize * 2).max(1);
            }
            return;
        }
        _ => return,
    };
    server.objects = objects;
    // Connections in TIME-WAIT stand beside those that follow them.
    if server.connections_max == 0 {
        server.connections_max = connections.saturating_mul(4).max(64);
    }
    if server.half_open_max == 0 {
        server.half_open_max = server.connections_max;
    }
}
