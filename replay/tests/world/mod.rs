//! A server and a client of ours, a wire between them that loses what it is told to, and the capture
//! that the server's own recorder would make.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_pcap::writer::{Direction, Interface, Packet, Writer};
use simoom_port_conformance::vec_port::VecPort;
use simoom_replay::open::{NoOutput, OpenLoop, OpenOptions, OpenTotals, Profile};
use simoom_replay::prepare::{Preparation, PrepareOptions, Prepared};
use std::collections::BTreeMap;
use std::io::Cursor;

/// 2026-01-01 00:00:00 UTC.
pub const START: u64 = 1_767_225_600_000_000_000;

/// What is to happen.
pub struct World {
    pub server: Config,
    pub client: Config,
    pub fetch: FetchConfig,
    /// Sizes of the files.
    pub files: Vec<u64>,
    /// From one end to the other.
    pub delay: Duration,
    /// What a frame takes on the wire: those of a burst arrive one after the other. Zero: together.
    pub spacing: Duration,
    /// Whether the client must have got the right octets.
    pub checks_bodies: bool,
    /// Whether the frame of this number, from 1 on, is lost on its way to the client.
    pub loses_to_client: fn(u64) -> bool,
    /// The same on its way to the server.
    pub loses_to_server: fn(u64) -> bool,
}

pub fn config(n: u8) -> Config {
    Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24)
}

impl World {
    /// Connections one after the other and side by side, each asking for `requests` files of these
    /// sizes.
    pub fn new(files: &[u64], connections: u32, requests: u64, per_connection: u64) -> Self {
        let paths = (0..files.len()).map(|n| format!("/file-{n}")).collect();
        let mut fetch = FetchConfig::new("10.66.0.2:80".parse().unwrap(), paths, requests);
        fetch.connections = connections;
        fetch.requests_per_connection = per_connection;
        let mut client = config(1);
        client.tcp.receive_window = 65_535;
        Self {
            server: config(2),
            client,
            fetch,
            files: files.to_vec(),
            delay: Duration::from_millis(10),
            spacing: Duration::from_micros(12),
            checks_bodies: true,
            loses_to_client: |_| false,
            loses_to_server: |_| false,
        }
    }

    /// The capture at the server, in pcapng: what it received when it took it in, what it sent when
    /// it queued it.
    pub fn record(self) -> Vec<u8> {
        let (catalogue, bodies) = site(&self.files, "text/plain");
        let mut config = self.server;
        config.unix_nanos_at_start = START;
        let app = FileServer::new(catalogue, bodies, ServerConfig::default());
        let mut server_port = VecPort::at_once(4_096);
        let mut server = Stack::new(config, Secrets::new([2; 4]), server_port.caps(), app);
        let expect = self.files.iter().enumerate().map(|(n, len)| (n as u64, *len)).collect();
        let app = FetchClient::new(self.fetch, ExpectPatterns(expect));
        let mut client_port = VecPort::at_once(4_096);
        let mut client = Stack::new(self.client, Secrets::new([1; 4]), client_port.caps(), app);

        let mut writer = Writer::new(Vec::new(), &[Interface::new("server")]).unwrap();
        let mut write = |now: Instant, direction, bytes: &[u8]| {
            writer.write(&Packet {
                interface: 0,
                at_unix_nanos: START + now.as_nanos(),
                direction,
                bytes,
                comment: None,
            });
        };
        // By time and order: to the server (true) or to the client.
        let mut wire: BTreeMap<(Instant, u64), (bool, Vec<u8>)> = BTreeMap::new();
        let (mut wakes, mut now, mut order) = ([Some(Instant::ZERO); 2], Instant::ZERO, 0);
        let (mut sent, mut free) = ([0u64; 2], [Instant::ZERO; 2]);
        let end = Instant::ZERO + Duration::from_secs(600);
        loop {
            let mut arrived = [wakes[0].is_some_and(|at| at <= now), false];
            arrived[1] = wakes[1].is_some_and(|at| at <= now);
            while let Some(first) = wire.first_entry().filter(|first| first.key().0 <= now) {
                let (to_server, frame) = first.remove();
                arrived[usize::from(to_server)] = true;
                if to_server {
                    write(now, Direction::Inbound, &frame);
                    server_port.arrive(&frame);
                } else {
                    client_port.arrive(&frame);
                }
            }
            if arrived[0] {
                let deadline = client.turn(now, &mut client_port).unwrap();
                wakes[0] = deadline.map(|deadline| deadline.at);
                for frame in client_port.take_wire() {
                    sent[0] += 1;
                    free[0] = free[0].max(now) + self.spacing;
                    if !(self.loses_to_server)(sent[0]) {
                        order += 1;
                        wire.insert((free[0] + self.delay, order), (true, frame));
                    }
                }
            }
            if arrived[1] {
                let deadline = server.turn(now, &mut server_port).unwrap();
                wakes[1] = deadline.map(|deadline| deadline.at);
                for frame in server_port.take_wire() {
                    write(now, Direction::Outbound, &frame);
                    sent[1] += 1;
                    free[1] = free[1].max(now) + self.spacing;
                    if !(self.loses_to_client)(sent[1]) {
                        order += 1;
                        wire.insert((free[1] + self.delay, order), (false, frame));
                    }
                }
            }
            let next = wire.first_key_value().map(|(key, _)| key.0);
            let next = [next, wakes[0], wakes[1]].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at < end) else { break };
            now = next.max(now);
            if client.app().is_done() && wire.is_empty() {
                break;
            }
        }
        let stats = client.app().stats();
        assert!(client.app().is_done() && (stats.failed == 0 || !self.checks_bodies), "{stats:?}");
        writer.finish().unwrap()
    }
}

/// Files of these sizes, of one type.
pub fn site(files: &[u64], content_type: &str) -> (Catalogue, MemoryBodies) {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(0);
    for (n, len) in files.iter().copied().enumerate() {
        let path = format!("/file-{n}");
        let file = bodies.add_pattern(n as u64, len);
        let path = path.as_str();
        catalogue
            .add_file(FileInfo { path, content_type, modified: 0, version: 1, len, file })
            .unwrap();
    }
    (catalogue.build(), bodies)
}

/// The first pass over a capture: the tape, and what was found.
pub fn prepare(capture: &[u8]) -> (Vec<u8>, Prepared<Cursor<Vec<u8>>>) {
    prepare_with(capture, false)
}

/// The same, with the text of clients and servers kept or not.
pub fn prepare_with(capture: &[u8], keeps: bool) -> (Vec<u8>, Prepared<Cursor<Vec<u8>>>) {
    let input = Input::new("test", Cursor::new(capture.to_vec()));
    let mut segments = Segments::new(Capture::new(vec![input]).unwrap());
    let spool = || Cursor::new(Vec::new());
    let options = PrepareOptions { keeps_requests: keeps, ..PrepareOptions::default() };
    let mut first = Preparation::new(options, Vec::new(), spool(), spool());
    if keeps {
        first = first.keeping_text(spool());
    }
    while let Some(item) = segments.next() {
        first.on_item(&item.unwrap()).unwrap();
    }
    let (tape, prepared) = first.finish().unwrap();
    assert_eq!(prepared.counts.accounted(), segments.read_stats().frames);
    (tape, prepared)
}

/// Both passes.
pub fn replay(capture: &[u8], profile: &Profile) -> OpenTotals {
    let (tape, mut prepared) = prepare(capture);
    assert_eq!(prepared.left_out.values().sum::<u64>(), 0, "{:?}", prepared.left_out);
    let options = OpenOptions { profile: profile.clone(), wants_frames: false, files: None };
    OpenLoop::run(&tape[..], &mut prepared, &options, &mut NoOutput).unwrap()
}
