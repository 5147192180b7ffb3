//! Two hosts and a bad link: a server over a port that may be faulty, and a client that checks
//! every byte.

use crate::faulty::{Device, Fault, Faulty};
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::content::{self, Mode};
use simoom_core::port::{ChecksumOffload, Port, PortCaps};
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::app::App;
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_sim::endpoint::{Either, Host, HostCx, HostFault};
use simoom_sim::frames::FrameId;
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, NicConfig, SimPort};
use simoom_sim::seed::{Chance, Seed, Stream};
use simoom_sim::world::{RunError, World};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The number of the server's port.
pub(crate) const PORT_ID: u32 = 21;

const SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
const CLIENT_IP: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);

/// Length of each file; the seed of its pattern is its place. Small ones are asked for by all
/// connections at once, so that copies are reused while others are in flight.
const FILES: [u64; 3] = [1_000, 22_000, 60_000];

/// A small ring and few buffers.
const CAPS: PortCaps = PortCaps {
    frame_max: 1514,
    buffers: 96,
    tx_slots: 32,
    tx_hold_max: 16,
    tx_hold_idle: 0,
    max_frags: 1,
    checksum: ChecksumOffload { tx: false, rx: false },
};

/// The server's port where it sends in that mode.
pub(crate) fn caps(mode: Mode) -> PortCaps {
    PortCaps { max_frags: if mode == Mode::Gather { 2 } else { 1 }, ..CAPS }
}

/// Copies, or payloads, kept at most. Shared payload has to make room for other payload.
fn copies_max(mode: Mode) -> u32 {
    if mode == Mode::Gather { 24 } else { 64 }
}

/// A NIC with a policy chosen by the seed.
pub(crate) fn sim_port(seed: Seed, mode: Mode) -> SimPort {
    let dma = DmaPolicy::ALL[seed.0 as usize % DmaPolicy::ALL.len()];
    let config = NicConfig {
        caps: caps(mode),
        rx_slots: 256,
        rate: Rate::gbit(1),
        overhead_bytes: 24,
        dma,
        completion: CompletionPolicy::HalfRing,
        lateness_max: Duration::from_micros(100),
        stalls: None,
    };
    SimPort::new(config, PORT_ID, seed.stream(Stream::Dma(0)))
}

type ClientHost = FaultyHost<SimPort, FetchClient<ExpectPatterns>>;

/// Sixty requests over a link that loses, reorders and doubles. Ends well where every byte came
/// and no oracle has anything to say.
pub(crate) fn run<D: Device, A: App>(
    seed: Seed,
    (mode, fault): (Mode, Fault),
    device: D,
    app: impl FnOnce(FileServer<MemoryBodies>) -> A,
) -> Result<(), RunError> {
    let mut world = World::new(seed);
    let server = world.add_host(Either::Left(server_host(seed, (mode, fault), device, app)));
    let client = world.add_host(Either::Right(client_host(seed)));
    let link = LinkConfig {
        rate: Rate::mbit(200),
        delay: Duration::from_millis(1),
        loss: Chance::ppm(20_000),
        reorder: Chance::ppm(10_000),
        duplicate: Chance::ppm(10_000),
        ..LinkConfig::default()
    };
    world.connect((server, 0), (client, 0), link.clone(), link);
    let fetch = |world: &World<Either<FaultyHost<D, A>, ClientHost>>| {
        let host = world.host(client).right().expect("the client is on the right");
        (host.stack.app().is_done(), *host.stack.app().stats())
    };
    world.run_until(|world| fetch(world).0)?;
    let stats = fetch(&world).1;
    assert_eq!((stats.succeeded, stats.failed), (REQUESTS, 0), "seed {seed}: {stats:?}");
    Ok(())
}

/// Requests of a run.
const REQUESTS: u64 = 60;

fn client_host(seed: Seed) -> ClientHost {
    let config = FetchConfig {
        server: SocketAddrV4::new(SERVER_IP, 80),
        host: "server".into(),
        paths: (0..FILES.len()).map(|n| format!("/{n}")).collect(),
        order: Order::Seeded(seed.0),
        connections: 6,
        requests: REQUESTS,
        requests_per_connection: 5,
        pipeline: 2,
        think: Duration::ZERO,
        pace: None,
        completions_max: 0,
    };
    let expect = FILES.iter().enumerate().map(|(n, &len)| (n as u64, len)).collect();
    let app = FetchClient::new(config, ExpectPatterns(expect));
    let port = SimPort::new(NicConfig::default(), PORT_ID + 1, seed.stream(Stream::Dma(1)));
    let config = Config::new(MacAddr([2, 0, 0, 0, 0, 1]), CLIENT_IP, 24);
    let stack = Stack::new(config, seed.secrets(1), port.caps(), app);
    FaultyHost::new(stack, Faulty::new(port, Fault::None))
}

fn server_host<D: Device, A: App>(
    seed: Seed,
    (mode, fault): (Mode, Fault),
    device: D,
    app: impl FnOnce(FileServer<MemoryBodies>) -> A,
) -> FaultyHost<D, A> {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(0);
    for (n, &len) in FILES.iter().enumerate() {
        let info = FileInfo {
            path: &format!("/{n}"),
            content_type: "application/octet-stream",
            modified: 1_000_000_000,
            version: n as u64,
            len,
            file: bodies.add_pattern(n as u64, len),
        };
        catalogue.add_file(info).expect("a file that can be served");
    }
    let app = app(FileServer::new(catalogue.build(), bodies, ServerConfig::default()));
    let config = Config {
        unix_nanos_at_start: 1_700_000_000_000_000_000,
        content: content::Config {
            mode,
            copies_max: copies_max(mode),
            reserve: 16,
            ..content::Config::default()
        },
        ..Config::new(MacAddr([2, 0, 0, 0, 0, 2]), SERVER_IP, 24)
    };
    let port = Faulty::new(device, fault);
    FaultyHost::new(Stack::new(config, seed.secrets(0), port.caps(), app), port)
}

/// A stack behind a port that may be faulty, with the oracles of every host of the simulator.
pub(crate) struct FaultyHost<D: Device, A: App> {
    stack: Stack<A>,
    port: Faulty<D>,
    turn_at: Instant,
    deadline: Instant,
}

impl<D: Device, A: App> FaultyHost<D, A> {
    fn new(stack: Stack<A>, port: Faulty<D>) -> Self {
        Self { stack, port, turn_at: Instant::ZERO, deadline: Instant::FAR_FUTURE }
    }
}

impl<D: Device, A: App> Host for FaultyHost<D, A> {
    fn accepts(&mut self, _port: usize, _frame: &[u8]) -> bool {
        self.port.device.has_room()
    }

    fn on_frame(&mut self, cx: &mut HostCx<'_>, _port: usize, frame: FrameId) {
        self.port.device.arrive(cx.bytes(frame));
        cx.release(frame);
        self.turn_at = self.turn_at.min(cx.now());
    }

    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        let now = cx.now();
        self.port.device.advance(now);
        let due = self.turn_at.min(self.deadline) <= now;
        if due || self.port.device.has_awaited_completions() {
            self.turn_at = Instant::FAR_FUTURE;
            loop {
                let Ok(deadline) = self.stack.turn(now, &mut self.port);
                self.deadline = deadline.map_or(Instant::FAR_FUTURE, |deadline| deadline.at);
                if !self.port.device.has_frames() {
                    break;
                }
            }
        }
        for frame in self.port.device.left() {
            cx.send(0, &frame);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        if self.port.device.has_awaited_completions() {
            return Some(Instant::ZERO);
        }
        let device = self.port.device.next_event().unwrap_or(Instant::FAR_FUTURE);
        let at = self.turn_at.min(self.deadline).min(device);
        (at != Instant::FAR_FUTURE).then_some(at)
    }

    fn poke(&mut self, now: Instant) {
        self.turn_at = now;
    }

    fn audit(&mut self) -> Result<(), HostFault> {
        if let Some(violation) = self.port.device.violation() {
            return Err(HostFault::Nic(violation));
        }
        let (held, given) = (self.stack.buffers_held(), self.port.census().caller);
        if held != given {
            return Err(HostFault::BuffersLost { held, given });
        }
        self.stack.audit().map_err(HostFault::Audit)
    }

    fn describe(&self) -> String {
        format!("a stack of {} connections", self.stack.connections())
    }
}
