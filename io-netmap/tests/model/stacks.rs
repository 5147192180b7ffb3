//! A server and a client of ours on two ports, driven by `advance` as a live port is: every byte of
//! every answer is compared, whatever the kernel's side does and however few buffers there are.

use crate::harness::{Faults, ModelPort, Policies, Shape, all_policies, open, open_with_host};
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::content::{self, Mode};
use simoom_core::port::{Advance, Port};
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::app::App;
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_netmap::model::{Model, ModelConfig};
use std::net::{Ipv4Addr, SocketAddrV4};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const FILES: [(u64, u64); 4] = [(1, 100), (2, 22_000), (3, 90_001), (4, 0)];
const REQUESTS: u64 = 120;

/// Few enough buffers that the server runs out of copies all the time.
const SCARCE: Shape = Shape { tx_slots: 32, rx_slots: 128, extra: 40, mtu: 1_500 };
const AMPLE: Shape = Shape { tx_slots: 256, rx_slots: 256, extra: 400, mtu: 1_500 };

type Server = Stack<FileServer<MemoryBodies>>;
type Client = Stack<FetchClient<ExpectPatterns>>;

fn config(ip: Ipv4Addr, mode: Mode, port: &ModelPort) -> Config {
    let [.., last] = ip.octets();
    let mut config = Config::new(MacAddr([2, 0, 0, 0, 0, last]), ip, 24);
    config.connections_max = 64;
    config.host_shares_address = port.has_host_rings();
    config.content = content::Config { mode, reserve: 8, ..content::Config::default() };
    config
}

fn server(port: &ModelPort, mode: Mode) -> Server {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(0);
    for (seed, len) in FILES {
        let info = FileInfo {
            path: &format!("/{seed}"),
            content_type: "application/octet-stream",
            modified: 1_000_000_000,
            version: seed,
            len,
            file: bodies.add_pattern(seed, len),
        };
        catalogue.add_file(info).unwrap();
    }
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    Stack::new(config(SERVER, mode, port), Secrets::new([1, 2, 3, 4]), port.caps(), app)
}

fn client(port: &ModelPort, requests_per_connection: u64) -> Client {
    let paths = FILES.iter().map(|(seed, _)| format!("/{seed}")).collect();
    let fetch = FetchConfig {
        connections: 6,
        requests_per_connection,
        pipeline: 2,
        ..FetchConfig::new(SocketAddrV4::new(SERVER, 80), paths, REQUESTS)
    };
    let app = FetchClient::new(fetch, ExpectPatterns(FILES.to_vec()));
    Stack::new(config(CLIENT, Mode::Copy, port), Secrets::new([5, 6, 7, 8]), port.caps(), app)
}

/// One side: a stack, its port, and when it is to be called again.
struct Side<A: App> {
    stack: Stack<A>,
    port: ModelPort,
    wake_at: Option<Instant>,
}

impl<A: App> Side<A> {
    fn turn(&mut self) {
        // Nobody waits for long while the other side has something to do.
        let soon = self.port.now() + Duration::from_micros(50);
        let until = self.wake_at.map_or(soon, |at| at.min(soon));
        let now = self.port.advance(Some(until)).unwrap();
        self.wake_at = self.stack.turn(now, &mut self.port).unwrap().map(|deadline| deadline.at);
        self.stack.audit().unwrap();
    }
}

/// Runs both sides until the client has everything; `wire` carries frames between them.
fn fetch_all(
    [server_port, client_port]: [ModelPort; 2],
    mode: Mode,
    requests_per_connection: u64,
    mut wire: impl FnMut(),
) -> Server {
    let wake_at = Some(Instant::ZERO);
    let server = server(&server_port, mode);
    let mut server = Side { stack: server, port: server_port, wake_at };
    let client = client(&client_port, requests_per_connection);
    let mut client = Side { stack: client, port: client_port, wake_at };
    for turns in 0.. {
        assert!(turns < 200_000, "{:?}\n{:?}", client.stack.app().stats(), server.stack.stats());
        client.turn();
        wire();
        server.turn();
        wire();
        if client.stack.app().is_done() {
            break;
        }
    }
    let seen = client.stack.app().stats();
    assert_eq!((seen.succeeded, seen.failed, seen.wrong_bytes), (REQUESTS, 0, 0), "{seen:?}");
    let Side { stack, port, .. } = server;
    port.close().unwrap();
    client.port.close().unwrap();
    stack
}

/// Over a pipe, which does not gather, the last is copies on demand.
const MODES: [Mode; 4] = [Mode::CopiesOnDemand, Mode::CopiesInAdvance(2), Mode::Copy, Mode::Gather];

fn over_nics(policies: Policies, shape: Shape, mode: Mode, requests_per_connection: u64) -> Server {
    let nic = |seed| Model::nic(ModelConfig { seed, ..shape.model_config(policies) });
    let (a, b) = (nic(1), nic(2));
    let carry = |from: &Model, to: &Model| {
        from.take_wire(0, |frame| {
            // Where the ring is full the frame is lost, as on a wire.
            to.inject(0, frame);
        });
    };
    let ports = [open(&a, 0, shape), open(&b, 0, shape)];
    let stack = fetch_all(ports, mode, requests_per_connection, || {
        carry(&a, &b);
        carry(&b, &a);
    });
    let faults = Faults::default();
    faults.look_at(&a);
    faults.look_at(&b);
    assert_eq!(faults.all(), Vec::<String>::new(), "{policies:?} {mode:?}");
    stack
}

#[test]
fn every_byte_arrives_over_nics_under_every_policy() {
    for policies in all_policies() {
        for mode in MODES {
            let server = over_nics(policies, AMPLE, mode, u64::MAX);
            let shared = server.store().stats().shared;
            assert_eq!(shared > REQUESTS, mode == Mode::Gather, "{shared} segments shared");
        }
    }
}

#[test]
fn every_byte_arrives_with_too_few_buffers_under_every_policy() {
    for policies in all_policies() {
        for mode in MODES {
            let server = over_nics(policies, SCARCE, mode, 5);
            let stats = server.stats();
            assert!(stats.tx_copied + server.store().stats().stolen > 0, "{stats:?}");
        }
    }
}

#[test]
fn every_byte_arrives_over_a_pipe() {
    for shape in [AMPLE, Shape { tx_slots: 128, ..SCARCE }] {
        for mode in MODES {
            for requests_per_connection in [1, u64::MAX] {
                let model = Model::pipe(ModelConfig {
                    tx_slots: shape.rx_slots,
                    rx_slots: shape.rx_slots,
                    ..ModelConfig::default()
                });
                let ports = [open(&model, 0, shape), open(&model, 1, shape)];
                let server = fetch_all(ports, mode, requests_per_connection, || {});
                assert_eq!(server.store().stats().bytes_lost, 0, "the peer only reads");
                let faults = Faults::default();
                faults.look_at(&model);
                assert_eq!(faults.all(), Vec::<String>::new(), "{shape:?} {mode:?}");
            }
        }
    }
}

/// The host of a machine: answers who asks for the address that it shares with the stack, sends
/// datagrams, and keeps those that it gets.
struct Host<'a> {
    model: &'a Model,
    ip: Ipv4Addr,
    sent: Vec<Vec<u8>>,
    got: Vec<Vec<u8>>,
}

impl<'a> Host<'a> {
    fn new(model: &'a Model, ip: Ipv4Addr) -> Self {
        Self { model, ip, sent: Vec::new(), got: Vec::new() }
    }

    fn work(&mut self, peer: Ipv4Addr) {
        for frame in self.model.take_host(0) {
            if frame[12..14] == [8, 6] {
                if frame[21] == 1 && frame[38..42] == self.ip.octets() {
                    assert!(self.model.host_send(0, &self.arp_reply(&frame)));
                }
            } else {
                self.got.push(frame);
            }
        }
        let datagram = self.datagram(peer);
        if self.model.host_send(0, &datagram) {
            self.sent.push(datagram);
        }
    }

    fn mac(ip: Ipv4Addr) -> [u8; 6] {
        [2, 0, 0, 0, 0, ip.octets()[3]]
    }

    fn arp_reply(&self, request: &[u8]) -> Vec<u8> {
        let asker = &request[22..32];
        let ours = [&Self::mac(self.ip)[..], &self.ip.octets()].concat();
        let head = [&asker[..6], &ours[..6], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]].concat();
        [&head[..], &ours, asker].concat()
    }

    /// UDP, as far as the stack looks.
    fn datagram(&self, to: Ipv4Addr) -> Vec<u8> {
        let mut frame = [Self::mac(to), Self::mac(self.ip)].concat();
        frame.extend([8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([self.ip.octets(), to.octets()].concat());
        let words = frame[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
        let sum: u32 = words.sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame.extend((self.sent.len() as u64).to_be_bytes());
        frame.extend([0; 18]);
        frame
    }
}

/// One address on each machine, for its stack and its host: both pairs speak over the same wire.
#[test]
fn hosts_speak_beside_the_stacks_and_every_byte_arrives() {
    for policies in all_policies() {
        let nic = |seed| {
            let config = AMPLE.model_config(policies);
            Model::nic(ModelConfig { seed, host_rings: 1, buffers: 2_048, ..config })
        };
        let (a, b) = (nic(1), nic(2));
        let (mut host_a, mut host_b) = (Host::new(&a, SERVER), Host::new(&b, CLIENT));
        let ports = [open_with_host(&a, 0, AMPLE), open_with_host(&b, 0, AMPLE)];
        let carry = |from: &Model, to: &Model| {
            from.take_wire(0, |frame| {
                to.inject(0, frame);
            });
        };
        let server = fetch_all(ports, Mode::CopiesOnDemand, u64::MAX, || {
            carry(&a, &b);
            carry(&b, &a);
            host_a.work(CLIENT);
            host_b.work(SERVER);
        });
        assert_eq!((server.stats().arp_replies, server.stats().echo_replies), (0, 0));
        assert_eq!((a.overflows(), b.overflows()), (0, 0));
        for (from, to) in [(&host_a, &host_b), (&host_b, &host_a)] {
            let under_way = from.sent.len() - to.got.len();
            assert!(to.got.len() > 20 && under_way < 600, "{} under way", under_way);
            assert_eq!(to.got, from.sent[..to.got.len()], "{policies:?}");
        }
        let faults = Faults::default();
        faults.look_at(&a);
        faults.look_at(&b);
        assert_eq!(faults.all(), Vec::<String>::new(), "{policies:?}");
    }
}
