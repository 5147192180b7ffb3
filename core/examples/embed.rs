//! The core as a library: a server and a client, each a stack with a port in memory, and a loop
//! that carries frames between them. No clock, no thread, no network.
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{Config, Stack, app::App};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_port_conformance::vec_port::VecPort;

/// A stack at 10.66.0.`n` with a port of 256 buffers.
fn host<A: App>(n: u8, app: A) -> (Stack<A>, VecPort) {
    let config = Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24);
    let port = VecPort::at_once(256);
    (Stack::new(config, Secrets::new([n.into(); 4]), port.caps(), app), port)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (path, content_type, len, mut bodies) =
        ("/page", "text/plain", 22_000, MemoryBodies::new());
    let file = bodies.add_pattern(7, len);
    let mut catalogue = Catalogue::builder(0);
    catalogue.add_file(FileInfo { path, content_type, modified: 0, version: 1, len, file })?;
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let (mut server, mut server_port) = host(2, app);

    let fetch = FetchConfig::new("10.66.0.2:80".parse()?, vec![path.into()], 10);
    let app = FetchClient::new(fetch, ExpectPatterns(vec![(7, len)]));
    let (mut client, mut client_port) = host(1, app);

    let mut now = Instant::ZERO;
    while client.app().stats().succeeded < 10 {
        client.turn(now, &mut client_port)?;
        client_port.take_wire().iter().for_each(|frame| server_port.arrive(frame));
        server.turn(now, &mut server_port)?;
        server_port.take_wire().iter().for_each(|frame| client_port.arrive(frame));
        now += Duration::from_millis(1);
    }
    println!("{:?} after {now:?}", client.app().stats());
    Ok(())
}
