//! Hosts that do not know our stack: smoltcp, receivers of all manners, cross traffic, hostile ones.

use super::{address_of, ip_of, number_of, path_of, pattern_of};
use crate::model::{
    CrossSourceSpec, HostKind, HostSpec, HostileKind, HostileSpec, ReceiverSpec, ScriptedSpec,
    SmoltcpClientSpec, SmoltcpServerSpec, SmoltcpSpec,
};
use simoom_core::server::bodies::pattern_fill;
use simoom_core::time::Instant;
use simoom_sim::endpoint::Endpoint;
use simoom_sim::hosts::cross_traffic::{Gaps, Times};
use simoom_sim::hosts::hostile::{
    BlindConfig, BlindInjector, OptAckConfig, OptimisticAcker, RandomConfig, RandomSegments,
    SynFlood, SynFloodConfig,
};
use simoom_sim::hosts::scripted::{Scripted, ScriptedConfig};
use simoom_sim::hosts::tcp_peer::{Body, Request, Station};
use simoom_sim::hosts::{CrossConfig, CrossSink, CrossSource, Receiver, ReceiverConfig};
use simoom_sim::link::Rate;
use simoom_sim::seed::{Seed, Stream};
use simoom_sim::smoltcp_host::{self, Fetch, HttpClient, HttpServer, Identity};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

fn identity(spec: SmoltcpSpec, number: u16, seed: Seed) -> Identity {
    let random_seed = seed.stream(Stream::Host(u32::from(number))).word();
    Identity {
        receive_buffer: spec.receive_bytes,
        send_buffer: spec.send_bytes,
        ip_mtu: spec.mtu,
        ..Identity::new(number, random_seed)
    }
}

fn body_of(len: u64) -> Arc<[u8]> {
    let mut body = vec![0; len as usize];
    pattern_fill(pattern_of(len), 0, &mut body);
    body.into()
}

pub(super) fn smoltcp_server(spec: &SmoltcpServerSpec, number: u16, seed: Seed) -> HttpServer {
    let config = smoltcp_host::ServerConfig {
        port: 80,
        connections: spec.sockets,
        objects: spec.objects.iter().map(|len| (path_of(*len), body_of(*len))).collect(),
    };
    HttpServer::new(identity(spec.net, number, seed), config)
}

pub(super) fn smoltcp_client(
    spec: &SmoltcpClientSpec,
    server: SocketAddrV4,
    number: u16,
    seed: Seed,
) -> HttpClient {
    let work = &spec.work;
    let bodies: Vec<_> =
        work.sizes.iter().map(|len| Fetch { path: path_of(*len), body: body_of(*len) }).collect();
    let config = smoltcp_host::ClientConfig {
        server,
        connections: work.connections as usize,
        keep_alive: spec.keep_alive,
        fetches: bodies.iter().cycle().take(work.requests as usize).cloned().collect(),
    };
    HttpClient::new(identity(spec.net, number, seed), config)
}

pub(super) fn receiver(
    spec: &ReceiverSpec,
    server: SocketAddrV4,
    number: u16,
    seed: Seed,
) -> Receiver {
    let sizes = spec.work.sizes.iter().cycle().take(spec.requests_each as usize);
    let body = |len: &u64| Body::Pattern { seed: pattern_of(*len), len: *len };
    let requests = sizes.map(|len| Request::get(&path_of(*len), body(len))).collect();
    let config = ReceiverConfig {
        manners: spec.manners,
        connections: spec.work.connections,
        rounds: spec.rounds,
        start_at: spec.start_at,
        stagger: spec.stagger,
        completions_max: spec.work.requests.min(1_000_000) as usize,
        ..ReceiverConfig::new(server, requests)
    };
    Receiver::numbered(number, config, seed)
}

/// A script; with the address of a server that of a client.
pub(super) fn scripted(spec: &ScriptedSpec, server: Option<SocketAddrV4>, number: u16) -> Scripted {
    let script = spec.script.clone();
    let config = match server {
        Some(server) => ScriptedConfig::client(server, script),
        None => ScriptedConfig::server(80, script),
    };
    let config = ScriptedConfig { tolerance: spec.tolerance, ..config };
    Scripted::new(Station::numbered(number), config)
}

/// Hosts that want nothing.
#[derive(Clone, Debug)]
pub(crate) enum Noise {
    CrossSource(CrossSource),
    CrossSink(CrossSink),
    SynFlood(SynFlood),
    Random(RandomSegments),
    Blind(BlindInjector),
    OptAck(OptimisticAcker),
}

macro_rules! each {
    ($self:ident, $noise:ident => $call:expr) => {
        match $self {
            Noise::CrossSource($noise) => $call,
            Noise::CrossSink($noise) => $call,
            Noise::SynFlood($noise) => $call,
            Noise::Random($noise) => $call,
            Noise::Blind($noise) => $call,
            Noise::OptAck($noise) => $call,
        }
    };
}

impl Endpoint for Noise {
    fn on_frame(&mut self, now: Instant, frame: &[u8]) {
        each!(self, noise => noise.on_frame(now, frame));
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        each!(self, noise => noise.poll(now, out))
    }

    fn describe(&self) -> String {
        each!(self, noise => noise.describe())
    }
}

impl Noise {
    /// Frames that it has sent, or (a sink) that came.
    pub(super) fn frames(&self) -> u64 {
        match self {
            Self::CrossSource(source) => source.sent(),
            Self::CrossSink(sink) => sink.stats().frames,
            Self::SynFlood(flood) => flood.sent(),
            Self::Random(random) => random.sent(),
            Self::Blind(blind) => blind.sent(),
            Self::OptAck(acker) => acker.stats().acks,
        }
    }
}

/// Host number `index`, which is one of these.
pub(super) fn noise(hosts: &[HostSpec], index: usize, seed: Seed) -> Noise {
    let number = number_of(hosts, index);
    match &hosts[index].kind {
        HostKind::CrossSource(spec) => {
            let to = ip_of(number_of(hosts, spec.to));
            Noise::CrossSource(CrossSource::numbered(number, cross_config(spec, to), seed))
        }
        HostKind::Hostile(spec) => hostile(spec, hosts, number, seed),
        _ => Noise::CrossSink(CrossSink::numbered(number)),
    }
}

fn cross_config(spec: &CrossSourceSpec, to: Ipv4Addr) -> CrossConfig {
    let times = |(on, off)| (Times::Exponential(on), Times::Exponential(off));
    CrossConfig {
        to,
        rate: Rate::bits_per_second(spec.rate_bits),
        frame_bytes: spec.frame_bytes,
        gaps: if spec.poisson { Gaps::Poisson } else { Gaps::Even },
        bursts: spec.bursts.map(times),
        start_at: spec.start_at,
        stop_at: spec.stop_at,
    }
}

fn hostile(spec: &HostileSpec, hosts: &[HostSpec], number: u16, seed: Seed) -> Noise {
    let server = address_of(hosts, &spec.target);
    let station = Station::numbered(number);
    let (pace, stream) = (spec.pace, u32::from(number));
    match &spec.kind {
        HostileKind::SynFlood { sources } => {
            let config = SynFloodConfig { sources: *sources, ..SynFloodConfig::new(server, pace) };
            Noise::SynFlood(SynFlood::new(station, config, seed, stream))
        }
        HostileKind::RandomSegments { ports, malformed } => {
            let config = RandomConfig {
                ports: *ports,
                malformed: *malformed,
                ..RandomConfig::new(server, pace)
            };
            Noise::Random(RandomSegments::new(station, config, seed, stream))
        }
        HostileKind::BlindInjector { victim, forgeries, aim } => {
            let connections = hosts[*victim].kind.work().map_or(1, |work| work.connections);
            let config = BlindConfig {
                server,
                victim: ip_of(number_of(hosts, *victim)),
                first_port: 20_000,
                ports: connections as u16,
                forgeries: forgeries.clone(),
                aim: *aim,
                pace,
            };
            Noise::Blind(BlindInjector::new(station, config, seed, stream))
        }
        HostileKind::OptimisticAcker { step, ahead_max } => {
            let len = spec.target.sizes.first().copied().unwrap_or(0);
            let request = format!("GET {} HTTP/1.1\r\nHost: sim\r\n\r\n", path_of(len));
            let config = OptAckConfig {
                server,
                request: request.into_bytes().into(),
                pace,
                step: *step,
                ahead_max: *ahead_max,
            };
            Noise::OptAck(OptimisticAcker::new(station, config, seed, stream))
        }
    }
}
