//! Hosts of our own stack: the file server on one core or several, and the client.

use super::{Making, path_of, pattern_of};
use crate::model::{BrowserSpec, ClientSpec, MachineSpec, ServerSpec, StackSpec};
use crate::record::Recorder;
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::content::Mode;
use simoom_core::port::ChecksumOffload;
use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::Stack;
use simoom_core::stack::app::App;
use simoom_core::wire::rss::{MICROSOFT_KEY, Shard, Spread};
use simoom_sim::hosts::site::{Site, SiteConfig};
use simoom_sim::hosts::{Browser, BrowserConfig};
use simoom_sim::link::Rate;
use simoom_sim::machine::{Machine, MachineConfig, Ring};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, SimPort};
use simoom_sim::port_host::PortHost;
use simoom_sim::seed::Stream;
use simoom_sim::stack_host::{StackHost, StackSetup};
use std::net::SocketAddrV4;
use std::sync::Arc;

pub(super) type Server = StackHost<FileServer<MemoryBodies>, Recorder>;
pub(super) type Client = StackHost<FetchClient<ExpectPatterns>, Recorder>;
pub(super) type Browsing = StackHost<Browser, Recorder>;
pub(super) type ServerMachine = Machine<Stack<FileServer<MemoryBodies>, Recorder>>;

fn setup(spec: &StackSpec, number: u16, making: Making, connections: u32) -> StackSetup {
    // What the file leaves to the seed is drawn in a fixed order, needed or not.
    let mut draws = making.seed.stream(Stream::Named("Nic", u32::from(number)));
    let dma = *draws.one_of(&DmaPolicy::ALL);
    let completion = *draws.one_of(&CompletionPolicy::ALL);
    let mut setup = StackSetup::new(number);
    setup.nic.dma = spec.dma.unwrap_or(dma);
    setup.nic.completion = spec.completion.unwrap_or(completion);
    setup.nic.rate = Rate::bits_per_second(spec.nic_rate_bits);
    setup.nic.lateness_max = spec.lateness;
    setup.nic.rx_slots = spec.rx_slots;
    setup.nic.caps.tx_slots = spec.tx_slots;
    setup.nic.caps.tx_hold_max = spec.tx_slots;
    setup.nic.caps.tx_hold_idle = 1;
    setup.nic.caps.buffers = spec.buffers;
    setup.nic.stalls = spec.stalls;
    setup.host.rx_coalesce = spec.rx_coalesce;
    setup.stack.tcp = spec.tcp.clone();
    setup.stack.connections_max = connections;
    setup.stack.half_open_max = connections;
    setup.stack.receive_buffers = connections.min(256);
    setup
}

fn server_setup(spec: &ServerSpec, number: u16, making: Making) -> StackSetup {
    let mut draws = making.seed.stream(Stream::Named("Mode", u32::from(number)));
    let modes = [Mode::Copy, Mode::CopiesInAdvance(spec.copies), Mode::CopiesOnDemand];
    let drawn = *draws.one_of(&modes);
    let mut setup = setup(&spec.stack, number, making, spec.connections_max);
    setup.stack.half_open_max = spec.half_open_max;
    setup.stack.content.mode = spec.mode.unwrap_or(drawn);
    setup.nic.caps.max_frags = if setup.stack.content.mode == Mode::Gather { 2 } else { 1 };
    setup
}

fn file_server(spec: &ServerSpec, number: u16, making: Making) -> FileServer<MemoryBodies> {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    for len in &spec.objects {
        let file = bodies.add_pattern(pattern_of(*len), *len);
        let path = path_of(*len);
        let info = FileInfo {
            path: &path,
            content_type: "application/octet-stream",
            modified: 1_700_000_000,
            version: *len,
            len: *len,
            file,
        };
        catalogue.add_file(info).expect("sizes are distinct, names are short");
    }
    if let Some(config) = spec.site {
        let site = Site::new(making.seed, u32::from(number), config);
        site.add_to(&mut catalogue, &mut bodies).expect("paths of sites are letters and numbers");
    }
    let config = ServerConfig {
        request_timeout: spec.request_timeout,
        idle_timeout: spec.idle_timeout,
        stall_timeout: spec.stall_timeout,
        memo_heads: 64,
        ..ServerConfig::default()
    };
    FileServer::new(catalogue.build(), bodies, config)
}

pub(super) fn server(spec: &ServerSpec, number: u16, making: Making) -> Server {
    let setup = server_setup(spec, number, making);
    let config = setup.host;
    let (stack, port) = stack(setup, &spec.stack, making, file_server(spec, number, making));
    PortHost::new(stack, port, config)
}

pub(super) fn client(
    spec: &ClientSpec,
    server: SocketAddrV4,
    number: u16,
    making: Making,
) -> Client {
    let work = &spec.work;
    let mut draws = making.seed.stream(Stream::Host(u32::from(number)));
    let config = FetchConfig {
        server,
        host: String::from("scenario"),
        paths: work.sizes.iter().map(|len| path_of(*len)).collect(),
        order: if spec.random_order { Order::Seeded(draws.word()) } else { Order::RoundRobin },
        connections: work.connections,
        requests: work.requests,
        requests_per_connection: spec.requests_per_connection,
        pipeline: spec.pipeline,
        think: spec.think,
        pace: None,
        completions_max: work.requests.min(1_000_000) as usize,
    };
    let expected = work.sizes.iter().map(|len| (pattern_of(*len), *len)).collect();
    // Connections in TIME-WAIT stand beside those that follow them.
    let connections = work.connections.saturating_mul(4).max(64);
    let mut setup = setup(&spec.stack, number, making, connections);
    setup.stack.receive_buffers = work.connections;
    let host = setup.host;
    let app = FetchClient::new(config, ExpectPatterns(expected));
    let (stack, port) = stack(setup, &spec.stack, making, app);
    PortHost::new(stack, port, host)
}

/// A browser of the site of the server with that number.
pub(super) fn browser(
    spec: &BrowserSpec,
    server: SocketAddrV4,
    site: (u16, SiteConfig),
    number: u16,
    making: Making,
) -> Browsing {
    let site = Arc::new(Site::new(making.seed, u32::from(site.0), site.1));
    let config = BrowserConfig {
        connections: spec.work.connections,
        think: spec.think,
        think_max: spec.think_max,
        give_up: spec.give_up,
        ..BrowserConfig::new(server, site, spec.pages)
    };
    let connections = spec.work.connections.saturating_mul(4).max(64);
    let mut setup = setup(&spec.stack, number, making, connections);
    setup.stack.receive_buffers = connections;
    let host = setup.host;
    let app = Browser::new(config, making.seed, u32::from(number));
    let (stack, port) = stack(setup, &spec.stack, making, app);
    PortHost::new(stack, port, host)
}

/// A stack that is recorded, and its port.
fn stack<A: App>(
    setup: StackSetup,
    spec: &StackSpec,
    making: Making,
    app: A,
) -> (Stack<A, Recorder>, SimPort) {
    let draws = making.seed.stream(Stream::Dma(setup.number));
    let mut port = SimPort::new(setup.nic, setup.number, draws);
    for stall in &spec.planned_stalls {
        port.plan_stall(*stall);
    }
    let secrets = making.seed.secrets(setup.number);
    let recorder = Recorder::new(making.probe);
    let stack = Stack::with_trace(setup.stack, secrets, &setup.nic.caps, app, recorder);
    (stack, port)
}

pub(super) fn machine(spec: &MachineSpec, number: u16, making: Making) -> ServerMachine {
    let each = server_setup(&spec.each, number, making);
    let config = MachineConfig {
        cores: spec.cores,
        cost: spec.cost,
        host: each.host,
        tx_coalesce: spec.tx_coalesce,
    };
    let mut machine = Machine::new(config);
    for interface in 0..spec.interfaces {
        let spread = Spread::in_turn(MICROSOFT_KEY, spec.rings);
        let identity = StackSetup::new(number + interface);
        let rings = (0..spec.rings).map(|ring| {
            let mut setup = each.clone();
            (setup.stack.mac, setup.stack.ip) = (identity.stack.mac, identity.stack.ip);
            // Ring 0 draws what a host of one ring would.
            setup.number = identity.number | u32::from(ring) << 16;
            if spec.rings > 1 {
                setup.stack.shard = Some(Shard { spread: spread.clone(), ring });
            }
            setup.nic.caps.checksum =
                ChecksumOffload { tx: spec.is_offloaded, rx: spec.is_offloaded };
            let (stack, port) =
                stack(setup, &spec.each.stack, making, file_server(&spec.each, number, making));
            let core = usize::from(interface) * usize::from(spec.rings) + usize::from(ring);
            Ring { stack, port, core: core % spec.cores }
        });
        machine.add_interface(spread.clone(), rings.collect());
    }
    machine
}
