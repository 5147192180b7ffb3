//! A large capture for measuring: a simulated server of ours and its clients, as many connections
//! alive at once as is said, each asking for one file after another.
//!
//! `cargo run --release -p simoom-replay --example make_world -- FRAMES CONNECTIONS FILE`

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_pcap::writer::{Direction, Interface, Packet, Writer};
use simoom_port_conformance::vec_port::VecPort;
use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;

/// 2026-01-01 00:00:00 UTC.
const START: u64 = 1_767_225_600_000_000_000;
/// From one end to the other.
const DELAY: Duration = Duration::from_millis(20);
const FILE_BYTES: u64 = 28_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [frames, connections, path] = &args[..] else {
        return Err("make_world FRAMES CONNECTIONS FILE".into());
    };
    let (frames, connections): (u64, u32) = (frames.parse()?, connections.parse()?);
    let config = |n: u8| {
        let mut config = Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24);
        config.connections_max = connections + 64;
        config.half_open_max = connections + 64;
        config
    };
    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(7, FILE_BYTES);
    let mut catalogue = Catalogue::builder(0);
    let (path_in, content_type, len) = ("/file", "text/plain", FILE_BYTES);
    let info = FileInfo { path: path_in, content_type, modified: 0, version: 1, len, file };
    catalogue.add_file(info)?;
    let mut server_config = config(2);
    server_config.unix_nanos_at_start = START;
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let mut server_port = VecPort::at_once(8_192);
    let mut server = Stack::new(server_config, Secrets::new([2; 4]), server_port.caps(), app);
    let mut fetch = FetchConfig::new("10.66.0.2:80".parse()?, vec![path_in.into()], u64::MAX);
    fetch.connections = connections;
    let mut client_config = config(1);
    client_config.tcp.receive_window = 65_535;
    let app = FetchClient::new(fetch, ExpectPatterns(vec![(7, FILE_BYTES)]));
    let mut client_port = VecPort::at_once(8_192);
    let mut client = Stack::new(client_config, Secrets::new([1; 4]), client_port.caps(), app);

    let mut writer = Writer::new(File::create(path)?, &[Interface::new("server")])?;
    let mut written = 0;
    // Frames under way: the delay is the same for all, so they arrive in the order of sending.
    let mut wires: [VecDeque<(Instant, Vec<u8>)>; 2] = Default::default();
    let (mut wakes, mut now) = ([Some(Instant::ZERO); 2], Instant::ZERO);
    while written < frames {
        let mut due = wakes.map(|wake| wake.is_some_and(|at| at <= now));
        // A batch at a time, as a ring would show them.
        for _ in 0..32 {
            if wires[1].front().is_none_or(|(at, _)| *at > now) {
                break;
            }
            let Some((_, frame)) = wires[1].pop_front() else { break };
            due[1] = true;
            let at_unix_nanos = START + now.as_nanos();
            writer.write(&Packet {
                interface: 0,
                at_unix_nanos,
                direction: Direction::Inbound,
                bytes: &frame,
                comment: None,
            });
            written += 1;
            server_port.arrive(&frame);
        }
        for _ in 0..32 {
            if wires[0].front().is_none_or(|(at, _)| *at > now) {
                break;
            }
            let Some((_, frame)) = wires[0].pop_front() else { break };
            due[0] = true;
            client_port.arrive(&frame);
        }
        if due[1] {
            wakes[1] = server.turn(now, &mut server_port)?.map(|deadline| deadline.at);
            for frame in server_port.take_wire() {
                writer.write(&Packet {
                    interface: 0,
                    at_unix_nanos: START + now.as_nanos(),
                    direction: Direction::Outbound,
                    bytes: &frame,
                    comment: None,
                });
                written += 1;
                wires[0].push_back((now + DELAY, frame));
            }
        }
        if due[0] {
            wakes[0] = client.turn(now, &mut client_port)?.map(|deadline| deadline.at);
            for frame in client_port.take_wire() {
                wires[1].push_back((now + DELAY, frame));
            }
        }
        let arrivals = wires.iter().filter_map(|wire| wire.front().map(|(at, _)| *at));
        let next = arrivals.chain(wakes.into_iter().flatten()).min().ok_or("it stands still")?;
        now = next.max(now + Duration::from_nanos(700));
    }
    writer.finish()?;
    println!("{written} frames, {} connections at the end", server.connections());
    Ok(())
}
