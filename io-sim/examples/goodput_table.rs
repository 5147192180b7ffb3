//! The goodput of our server beside smoltcp's, over a long path on which packets are lost.
//!
//! ```text
//! cargo run --release -p simoom-sim --features smoltcp --example goodput_table [SEEDS]
//! ```
//!
//! The world: one connection, one file; a round trip of 100 ms, no queue; i.i.d. loss with the same
//! chance in each direction; a receive buffer of 32 KiB. The ceiling is buffer / RTT, 327,680 B/s. The
//! MSS is 1,024 bytes without timestamps for all, so that 32 whole segments fill the window: with other
//! sizes the avoidance of silly windows (RFC 9293 §3.8.6.2.1) leaves up to a segment of it unused.
//! Clients: smoltcp's, which delays ACKs by 10 ms; and the ideal receiver with the same buffer, which
//! acknowledges each segment at once. Servers: ours with a minimum RTO of 200 ms (its default) and of
//! 1 s (smoltcp's, RFC 6298's); smoltcp's as it is, without congestion control, and with its Reno.
//!
//! What must hold, or the run fails: to the ideal receiver ours is within 1 % of the ceiling without
//! loss; and ours, by its default, is at least equal to smoltcp with the same kind of congestion
//! control everywhere, and to smoltcp without any from 10 % on. Below that a sender that never slows
//! down gets more: the square-root law bounds every Reno (at 1 %, 12 segments a round trip, 125 kB/s).
//!
//! Goodput is what the client has taken in order in 300 s, from 5 s after the start on.

use simoom_core::server::bodies::{MemoryBodies, pattern_fill};
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::time::Duration;
use simoom_sim::endpoint::{Either, EndpointHost};
use simoom_sim::hosts::tcp_peer::answers::{Body, Request};
use simoom_sim::hosts::tcp_peer::manners::Manners;
use simoom_sim::hosts::{Receiver, ReceiverConfig};
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::seed::{Chance, Seed, Stream};
use simoom_sim::smoltcp_host::{self, Fetch, HttpClient, HttpServer, Identity};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::theory::mean_and_deviation;
use simoom_sim::world::World;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

type Server = Either<StackHost<FileServer<MemoryBodies>>, EndpointHost<HttpServer>>;
type Client = Either<EndpointHost<HttpClient>, EndpointHost<Receiver>>;
type Host = Either<Server, Client>;

/// Chances of a loss, in parts per million.
const LOSSES: [u32; 7] = [0, 1_000, 10_000, 20_000, 50_000, 100_000, 200_000];
const BUFFER: u32 = 32 << 10;
const RTT: Duration = Duration::from_millis(100);
const MSS: u16 = 1024;
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(300);
/// Bytes of the file: more than passes in that time.
const FILE: u64 = 110_000_000;
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 80);

#[derive(Clone, Copy, PartialEq)]
enum Subject {
    Ours { min_rto: Duration },
    Smoltcp { reno: bool },
}

const SUBJECTS: [(&str, Subject); 4] = [
    ("simoom, RTO >= 200 ms", Subject::Ours { min_rto: Duration::from_millis(200) }),
    ("simoom, RTO >= 1 s", Subject::Ours { min_rto: Duration::from_secs(1) }),
    ("smoltcp as it is", Subject::Smoltcp { reno: false }),
    ("smoltcp with Reno", Subject::Smoltcp { reno: true }),
];

fn ours(seed: Seed, min_rto: Duration) -> Server {
    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(1, FILE);
    let mut catalogue = Catalogue::builder(1);
    let info = FileInfo {
        path: "/big",
        content_type: "text/plain",
        modified: 1_700_000_000,
        version: 1,
        len: FILE,
        file,
    };
    catalogue.add_file(info).expect("a good path");
    let hours = Duration::from_secs(10 * 3600);
    let config = ServerConfig { stall_timeout: hours, ..ServerConfig::default() };
    let app = FileServer::new(catalogue.build(), bodies, config);
    let mut setup = StackSetup::new(2);
    setup.stack.tcp.min_rto = min_rto;
    setup.stack.tcp.timestamps = false;
    setup.stack.content.mss_classes = vec![MSS];
    setup.nic.rate = Rate::UNLIMITED;
    Either::Left(setup.host(seed, app))
}

fn smoltcp(seed: Seed, reno: bool, file: &Arc<[u8]>) -> Server {
    let random_seed = seed.stream(Stream::Host(2)).word();
    let identity = Identity { reno, ..Identity::new(2, random_seed) };
    let objects = [(String::from("/big"), Arc::clone(file))].into();
    let config = smoltcp_host::ServerConfig { port: 80, connections: 1, objects };
    Either::Right(EndpointHost::new(HttpServer::new(identity, config)))
}

fn client(seed: Seed, ideal: bool, file: &Arc<[u8]>) -> Client {
    if ideal {
        let manners =
            Manners { mss: MSS, timestamps: false, ..Manners::default().with_window(BUFFER) };
        let request = Request::get("/big", Body::Pattern { seed: 1, len: FILE });
        let config = ReceiverConfig { manners, ..ReceiverConfig::new(SERVER, vec![request]) };
        return Either::Right(EndpointHost::new(Receiver::numbered(1, config, seed)));
    }
    let random_seed = seed.stream(Stream::Host(1)).word();
    let identity = Identity {
        receive_buffer: BUFFER as usize,
        ip_mtu: usize::from(MSS) + 40,
        ..Identity::new(1, random_seed)
    };
    let fetches = vec![Fetch { path: String::from("/big"), body: Arc::clone(file) }];
    let config =
        smoltcp_host::ClientConfig { server: SERVER, connections: 1, keep_alive: true, fetches };
    Either::Left(EndpointHost::new(HttpClient::new(identity, config)))
}

/// Bytes of the body that the client has taken, all of them right.
fn taken(client: &Client) -> u64 {
    match client {
        Either::Left(smoltcp) => {
            assert!(smoltcp.endpoint.stats().failures.is_empty(), "{:?}", smoltcp.endpoint.stats());
            smoltcp.endpoint.body_bytes()
        }
        Either::Right(ideal) => {
            assert!(ideal.endpoint.wrongs().is_none(), "{:?}", ideal.endpoint.wrongs());
            ideal.endpoint.body_bytes()
        }
    }
}

/// Bytes a second.
fn goodput(seed: Seed, subject: Subject, ideal: bool, ppm: u32, file: &Arc<[u8]>) -> f64 {
    let mut world: World<Host> = World::new(seed);
    let server = match subject {
        Subject::Ours { min_rto } => ours(seed, min_rto),
        Subject::Smoltcp { reno } => smoltcp(seed, reno, file),
    };
    let server = world.add_host(Either::Left(server));
    let client = world.add_host(Either::Right(client(seed, ideal, file)));
    let link = LinkConfig {
        rate: Rate::UNLIMITED,
        delay: Duration::from_nanos(RTT.as_nanos() / 2),
        loss: Chance::ppm(ppm),
        ..LinkConfig::default()
    };
    world.connect((server, 0), (client, 0), link.clone(), link);
    let mut run = |time| {
        world.run_for(time).unwrap_or_else(|error| panic!("{error}"));
        taken(world.host(client).right().expect("the client"))
    };
    let before = run(WARM_UP);
    (run(MEASURED) - before) as f64 / MEASURED.as_secs_f64()
}

/// What is not as it must be, the subjects' means being in their order.
fn shortfalls(ideal: bool, ppm: u32, means: [f64; 4], ceiling: f64) -> Vec<String> {
    let [ours, _, smoltcp, reno] = means;
    let mut found = Vec::new();
    if ideal && ppm == 0 && ours < 0.99 * ceiling {
        found.push(format!("{ours:.0} B/s is less than 99 % of the ceiling"));
    }
    if ours < reno {
        found.push(format!("{ours:.0} B/s is less than smoltcp's {reno:.0} with Reno"));
    }
    if (ppm == 0 || ppm >= 100_000) && ours < smoltcp {
        found.push(format!("{ours:.0} B/s is less than smoltcp's {smoltcp:.0}"));
    }
    found
}

fn main() {
    let seeds: u64 = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 20,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => {
            eprintln!("goodput_table [SEEDS]: a number of seeds, at least 1");
            std::process::exit(2);
        }
    };
    let mut file = vec![0; FILE as usize];
    pattern_fill(1, 0, &mut file);
    let file: Arc<[u8]> = file.into();
    let ceiling = f64::from(BUFFER) / RTT.as_secs_f64();
    println!("goodput in kB/s, mean ± deviation over {seeds} seeds; ceiling {:.1}", ceiling / 1e3);
    let mut all_well = true;
    for ideal in [false, true] {
        let name = if ideal { "the ideal receiver" } else { "smoltcp's client" };
        println!("\nto {name}\n");
        print!("| loss ");
        for (name, _) in SUBJECTS {
            print!("| {name} ");
        }
        println!("|\n|---|---|---|---|---|");
        for ppm in LOSSES {
            print!("| {} % ", f64::from(ppm) / 1e4);
            let means = SUBJECTS.map(|(_, subject)| {
                let values: Vec<f64> =
                    (0..seeds).map(|n| goodput(Seed(n), subject, ideal, ppm, &file)).collect();
                let (mean, deviation) = mean_and_deviation(&values);
                print!("| {:.1} ± {:.1} ", mean / 1e3, deviation / 1e3);
                mean
            });
            println!("|");
            let found = shortfalls(ideal, ppm, means, ceiling);
            all_well &= found.is_empty();
            for what in found {
                eprintln!("{} % to {name}: {what}", f64::from(ppm) / 1e4);
            }
        }
    }
    if !all_well {
        std::process::exit(1);
    }
}
