//! What the committed turn logs are recordings of: a file server, a client that fetches, and a wire
//! in memory between them that loses and damages frames.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::content::Mode;
use simoom_core::port::turn_log::{Header, Recorder, TurnLog};
use simoom_core::port::{ChecksumOffload, PortCaps};
use simoom_core::secrets::Secrets;
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_port_conformance::fixture::{Fixture, FixtureFile, IP, PREFIX_LEN};
use simoom_port_conformance::vec_port::{ReadAt, VecPort};
use std::net::{Ipv4Addr, SocketAddrV4};

/// A recording to be made.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The file's name, without its ending.
    pub(crate) name: &'static str,
    mode: Mode,
    /// Buffers, slots and `tx_hold_max` of the recorded port.
    port: (u32, u32, u32),
    copies_max: u32,
    reserve: u32,
    /// Length and number of the files.
    files: &'static [u64],
    connections: u32,
    requests: u64,
    requests_per_connection: u64,
    /// One frame of so many is lost; 0 for none.
    loses: u64,
    /// One frame of so many to the server is damaged or made up; 0 for none.
    damages: u64,
    /// Completions with their bytes for each one without; None: all have them.
    keeps: Option<u32>,
}

const PLAIN: Scenario = Scenario {
    name: "keep-alive",
    mode: Mode::CopiesOnDemand,
    port: (128, 32, 16),
    copies_max: 96,
    reserve: 16,
    files: &[22_000],
    connections: 1,
    requests: 6,
    requests_per_connection: u64::MAX,
    loses: 0,
    damages: 0,
    keeps: None,
};

/// Every recording.
pub(crate) const ALL: [Scenario; 9] = [
    PLAIN,
    Scenario {
        name: "loss-small-ring",
        port: (40, 8, 7),
        copies_max: 24,
        reserve: 8,
        files: &[0, 1, 1_000, 40_000],
        connections: 5,
        requests: 24,
        requests_per_connection: 4,
        loses: 11,
        ..PLAIN
    },
    Scenario {
        name: "copy-mode",
        mode: Mode::Copy,
        connections: 3,
        requests: 9,
        loses: 19,
        ..PLAIN
    },
    Scenario {
        name: "copies-in-advance",
        mode: Mode::CopiesInAdvance(2),
        connections: 3,
        requests: 9,
        loses: 19,
        ..PLAIN
    },
    Scenario {
        name: "many-short",
        port: (96, 16, 8),
        copies_max: 48,
        files: &[300, 1_400, 5_000],
        connections: 48,
        requests: 96,
        requests_per_connection: 1,
        ..PLAIN
    },
    Scenario {
        name: "hostile-wire",
        files: &[1_000, 9_000],
        connections: 4,
        requests: 40,
        requests_per_connection: 5,
        loses: 29,
        damages: 3,
        ..PLAIN
    },
    Scenario {
        name: "gather",
        mode: Mode::Gather,
        connections: 3,
        requests: 9,
        loses: 19,
        ..PLAIN
    },
    // Payload has to make room for other payload while frames use it.
    Scenario {
        name: "gather-few-buffers",
        mode: Mode::Gather,
        port: (40, 16, 7),
        copies_max: 20,
        reserve: 12,
        files: &[0, 1, 300, 1_000, 40_000, 9_000],
        connections: 5,
        requests: 24,
        requests_per_connection: 4,
        loses: 23,
        ..PLAIN
    },
    Scenario {
        name: "exchanged-buffers",
        port: (64, 16, 7),
        copies_max: 40,
        files: &[1_000, 22_000],
        connections: 3,
        requests: 12,
        loses: 19,
        keeps: Some(2),
        ..PLAIN
    },
];

/// Logs of real servers over real netmap, which nothing here records: see the README beside them.
pub(crate) const LIVE: [&str; 3] = ["netmap-pipe", "netmap-switch", "netmap-veth"];

/// The UTC time of instant 0: a Tuesday in November 2023, just before a second ends, so that
/// answers and their retransmissions fall into different seconds.
const START: u64 = 1_700_000_000_990_000_000;

/// Between a frame's way there and its way back.
const STEP: Duration = Duration::from_micros(200);

/// Turns of a recording at most: one that does not end would be a bug to look at, not to commit.
const TURNS_MAX: usize = 20_000;

impl Scenario {
    /// Records it. The same every time.
    ///
    /// # Panics
    /// Where the client does not get what it asked for.
    pub(crate) fn record(&self) -> TurnLog {
        let files = self.files.iter().enumerate().map(|(n, &len)| FixtureFile {
            path: format!("/{n}.bin"),
            len,
            seed: 1 + n as u64,
        });
        let fixture = Fixture {
            unix_nanos_at_start: START,
            mode: self.mode,
            copies_max: self.copies_max,
            reserve: self.reserve,
            files: files.collect(),
        };
        let (buffers, tx_slots, tx_hold_max) = self.port;
        let checksum = ChecksumOffload::default();
        let caps = PortCaps {
            frame_max: 1514,
            buffers,
            tx_slots,
            tx_hold_max,
            tx_hold_idle: 1,
            max_frags: if self.mode == Mode::Gather { 2 } else { 1 },
            checksum,
        };
        let secrets = Some([11, 22, 33, 44]);
        let config = fixture.to_string();
        let header = Header { caps, secrets, config: config.clone(), content: Vec::new() };
        let mut server = fixture.stack(&header).expect("a fixture of our own");
        let mut port = VecPort::new(caps, ReadAt::Work, 1);
        if let Some(keeps) = self.keeps {
            port = port.losing_bytes(keeps);
        }
        let mut server_port = Recorder::new(port, config, secrets, 1 << 24);
        let mut client_port = VecPort::at_once(1024);
        let mut client = self.client(&fixture, &client_port);
        let mut wire = Wire { random: self.name.len() as u64, frames: 0 };
        let mut now = Instant::ZERO;
        for _ in 0..TURNS_MAX {
            server_port.begin(now);
            let Ok(server_wake) = server.turn(now, &mut server_port);
            server_port.port_mut().work();
            let mut moved = false;
            for frame in server_port.port_mut().take_wire() {
                moved = true;
                if !wire.strikes(self.loses) {
                    client_port.arrive(&frame);
                }
            }
            let Ok(client_wake) = client.turn(now, &mut client_port);
            for frame in client_port.take_wire() {
                moved = true;
                if !wire.strikes(self.loses) {
                    server_port.port_mut().arrive(&frame);
                }
                if wire.strikes(self.damages) {
                    server_port.port_mut().arrive(&wire.damaged(frame));
                }
            }
            if client.app().is_done() && !moved {
                break;
            }
            let next = [server_wake, client_wake].into_iter().flatten().map(|wake| wake.at).min();
            now = match next {
                Some(at) if !moved => at.max(now + Duration::from_micros(1)),
                _ => now + STEP,
            };
        }
        let stats = client.app().stats();
        assert_eq!(stats.succeeded, self.requests, "{}: {stats:?}", self.name);
        server_port.finish().1
    }

    fn client(&self, fixture: &Fixture, port: &VecPort) -> Stack<FetchClient<ExpectPatterns>> {
        use simoom_core::port::Port;
        let config = FetchConfig {
            server: SocketAddrV4::new(IP, 80),
            host: "fixture".into(),
            paths: fixture.files.iter().map(|file| file.path.clone()).collect(),
            order: Order::RoundRobin,
            connections: self.connections,
            requests: self.requests,
            requests_per_connection: self.requests_per_connection,
            pipeline: 2,
            think: Duration::ZERO,
            pace: None,
            completions_max: 0,
        };
        let expect = fixture.files.iter().map(|file| (file.seed, file.len)).collect();
        let app = FetchClient::new(config, ExpectPatterns(expect));
        let mac = MacAddr([0x02, 0, 0, 0, 0, 1]);
        let config = Config::new(mac, Ipv4Addr::new(10, 66, 0, 1), PREFIX_LEN);
        Stack::new(config, Secrets::new([5, 6, 7, 8]), port.caps(), app)
    }
}

/// Chance of the wire between the two.
struct Wire {
    random: u64,
    frames: u64,
}

impl Wire {
    /// A number from Knuth's linear congruential generator, its better half.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 33
    }

    /// Whether this frame is the one of `period`. The first few are spared.
    fn strikes(&mut self, period: u64) -> bool {
        self.frames += 1;
        period != 0 && self.frames > 4 && self.draw().is_multiple_of(period)
    }

    /// The frame cut, lengthened, made up behind its Ethernet header, with a flipped bit, or with
    /// two bytes exchanged (which an Internet checksum may not see).
    fn damaged(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        let at = self.draw() as usize % frame.len();
        match self.draw() % 5 {
            0 => frame.truncate(at),
            1 => frame.extend((0..at).map(|n| n as u8)),
            2 => (14..frame.len()).for_each(|n| frame[n] = self.draw() as u8),
            3 => frame[at] ^= 1 << (self.draw() % 8),
            _ => frame.swap(at, 14 + at % 20),
        }
        frame
    }
}

/// The first line of `expected.tsv`.
pub(crate) const TABLE_HEAD: &str = "log\tturns\tframes in\tframes out\tbytes out\tdigest\n";

/// The line of `expected.tsv` for a log.
pub(crate) fn table_row(name: &str, log: &TurnLog) -> String {
    let frames_in = log.turns.iter().flat_map(|turn| &turn.received).flatten().count();
    let digest: String = log.output.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let (turns, frames, bytes) = (log.turns.len(), log.output.frames, log.output.bytes);
    format!("{name}\t{turns}\t{frames_in}\t{frames}\t{bytes}\t{digest}\n")
}
