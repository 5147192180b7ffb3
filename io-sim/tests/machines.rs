//! Hosts with cores: what the interface's hash decides, what turns cost, and what that does to a run.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::content::Mode;
use simoom_core::port::{BATCH_MAX, Port, Unclaimed};
use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::Stack;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::rss::{MICROSOFT_KEY, SYMMETRIC_KEY, Spread};
use simoom_sim::endpoint::{Either, Endpoint, EndpointHost, Host};
use simoom_sim::hash::EventHash;
use simoom_sim::link::{LinkConfig, Rate};
use simoom_sim::machine::{CoreStats, CostModel, Machine, MachineConfig, MachineSetup, Ring, Work};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, NicConfig, RandomStalls, SimPort, Stalled};
use simoom_sim::oracle::promises::Promise;
use simoom_sim::port_host::{Fork, PortStack};
use simoom_sim::seed::{Chance, Seed, Stream, check};
use simoom_sim::stack_host::StackHost;
use simoom_sim::world::{HostId, World};
use std::net::{Ipv4Addr, SocketAddrV4};

type App = FileServer<MemoryBodies>;
type Client = FetchClient<ExpectPatterns>;
type Machines = Either<Machine<Stack<App>>, Machine<Stack<Client>>>;

const LEN: u64 = 22_528;
const SERVER: u16 = 64;
const CLIENT: u16 = 1;

fn server_app() -> App {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(1);
    let file = bodies.add_pattern(3, LEN);
    let info = FileInfo {
        path: "/o",
        content_type: "text/plain",
        modified: 1_700_000_000,
        version: 1,
        len: LEN,
        file,
    };
    catalogue.add_file(info).unwrap();
    FileServer::new(catalogue.build(), bodies, ServerConfig::default())
}

fn client_app(interface: u16, connections: u32, requests: u64) -> Client {
    let server = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, SERVER as u8 + interface as u8), 80);
    let config = FetchConfig {
        connections,
        completions_max: 10_000,
        ..FetchConfig::new(server, vec![String::from("/o")], requests)
    };
    FetchClient::new(config, ExpectPatterns(vec![(3, LEN)]))
}

/// A machine with tables for a small world.
fn small(number: u16) -> MachineSetup {
    let mut setup = MachineSetup::new(number);
    setup.each.stack.connections_max = 256;
    setup.each.stack.half_open_max = 128;
    setup.each.stack.receive_buffers = 32;
    setup.each.stack.content.copies_max = 512;
    setup.each.stack.content.runs_max = 64;
    setup.each.nic.caps.buffers = 1_024;
    // Looks at every connection; the cheap oracles run after every event all the same.
    setup.each.host.audit_every = 16;
    setup
}

/// 10 Gb/s over 50 µs.
fn link() -> LinkConfig {
    LinkConfig {
        rate: Rate::gbit(10),
        overhead_bytes: 24,
        delay: Duration::from_micros(50),
        ..LinkConfig::default()
    }
}

/// A server that is a machine, and a client that is one: interface to interface.
fn pair(
    seed: Seed,
    server: MachineSetup,
    client: MachineSetup,
    (connections, requests): (u32, u64),
    link: LinkConfig,
) -> (World<Machines>, [HostId; 2]) {
    let mut world = World::new(seed);
    let interfaces = usize::from(server.interfaces);
    let client = client.machine(seed, |n, _| client_app(n, connections, requests));
    let server = server.machine(seed, |_, _| server_app());
    let client = world.add_host(Either::Right(client));
    let server = world.add_host(Either::Left(server));
    for interface in 0..interfaces {
        world.connect((client, interface), (server, interface), link.clone(), link.clone());
    }
    (world, [client, server])
}

fn clients(world: &World<Machines>, host: HostId) -> impl Iterator<Item = &Client> {
    let machine = world.host(host).right().unwrap();
    machine.shards().iter().map(|shard| shard.stack.app())
}

fn server(world: &World<Machines>, host: HostId) -> &Machine<Stack<App>> {
    world.host(host).left().unwrap()
}

fn run_all(world: &mut World<Machines>, client: HostId, requests: u64) {
    let done = |world: &World<Machines>| {
        clients(world, client).all(|app| app.stats().succeeded + app.stats().failed == requests)
    };
    world.run_until(done).unwrap_or_else(|error| panic!("{error}"));
    for app in clients(world, client) {
        let stats = app.stats();
        assert!(stats.succeeded == requests && stats.wrong_bytes == 0, "{stats:?}");
    }
}

/// Every shard was held to its promises, with the slack that its machine says, and no turn waited
/// longer than that.
fn assert_judged(world: &mut World<Machines>, host: HostId) {
    let tested = world.promise_stats();
    let of = |promise| tested.of(promise);
    assert!(of(Promise::AckExact) > 100 && of(Promise::CongestionWindow) > 100, "{tested:?}");
    let machine = world.host_mut(host);
    let promises = machine.promises();
    let machine = machine.left().expect("the server");
    assert_eq!(promises.len(), machine.shards().len());
    for (promise, shard) in promises.iter().zip(machine.shards()) {
        let core = machine.core_stats().nth(shard.core()).expect("its core");
        assert!(core.waited_max <= promise.latency, "{core:?}, {:?}", promise.latency);
        assert_eq!(promise.latency == Duration::ZERO, machine.config().cost.is_zero());
    }
}

fn loads(machine: &Machine<Stack<App>>, elapsed: Duration) -> Vec<u64> {
    machine.core_stats().map(|core| core.load_ppm(&CoreStats::default(), elapsed)).collect()
}

/// About what the measured file says, in round numbers.
const COSTS: CostModel = CostModel {
    turn_ps: 50_000,
    frame_in_ps: 25_000,
    text_in_ps: 120_000,
    frame_out_ps: 15_000,
    copied_byte_ps: 10,
    filled_frame_ps: 100_000,
    connection_ps: 500_000,
    doorbell_ps: 100_000,
    ..CostModel::ZERO
};

#[test]
fn one_ring_without_cost_is_the_same_run_as_a_plain_host() {
    type Plain = Either<StackHost<App>, StackHost<Client>>;
    check(0..12, |seed| {
        let mut draws = seed.stream(Stream::Choice);
        let lossy = LinkConfig {
            loss: Chance::ppm(10_000),
            reorder: Chance::ppm(20_000),
            corrupt: Chance::ppm(5_000),
            ..link()
        };
        let mut each = |number| {
            let mut setup = small(number);
            setup.each.nic.dma = *draws.one_of(&DmaPolicy::ALL);
            setup.each.nic.completion = *draws.one_of(&CompletionPolicy::ALL);
            setup.each.nic.caps.tx_slots = 64;
            setup.each.nic.caps.tx_hold_max = 64;
            setup.each.nic.caps.tx_hold_idle = 1;
            setup.each.host.rx_coalesce = Duration::from_micros(draws.below(2) * 7);
            setup
        };
        let (server, client) = (each(SERVER), each(CLIENT));
        let mut plain: World<Plain> = World::new(seed);
        let one = client.each.clone().host(seed, client_app(0, 5, 40));
        let one = plain.add_host(Either::Right(one));
        let other = plain.add_host(Either::Left(server.each.clone().host(seed, server_app())));
        plain.connect((one, 0), (other, 0), lossy.clone(), lossy.clone());
        let (mut machines, _) = pair(seed, server, client, (5, 40), lossy);
        plain.run_for(Duration::from_secs(5)).unwrap();
        machines.run_for(Duration::from_secs(5)).unwrap();
        let of = |events, hash: EventHash| (events, hash.to_string());
        assert_eq!(of(plain.events(), plain.hash()), of(machines.events(), machines.hash()));
        assert!(plain.host(one).right().unwrap().stack.app().stats().succeeded == 40);
    });
}

/// Every shard of both machines keeps to itself: what arrives is for a connection that it has, ARP
/// is answered once, and every connection comes to be, whatever the key and the number of rings.
#[test]
fn every_connection_stays_with_one_shard_on_both_sides() {
    check(0..12, |seed| {
        let mut draws = seed.stream(Stream::Choice);
        let mut each = |number| MachineSetup {
            rings: 1 + draws.below(8) as u8,
            cores: 1 + draws.below(5) as usize,
            key: *draws.one_of(&[MICROSOFT_KEY, SYMMETRIC_KEY]),
            cost: *draws.one_of(&[CostModel::ZERO, COSTS]),
            ..small(number)
        };
        let (server_setup, client_setup) = (each(SERVER), each(CLIENT));
        let rings = u64::from(client_setup.rings);
        let lossy = LinkConfig { loss: Chance::ppm(5_000), ..link() };
        let (mut world, [client, host]) = pair(seed, server_setup, client_setup, (6, 12), lossy);
        run_all(&mut world, client, 12);
        // The last handshake may have lost its last segment.
        world.run_for(Duration::from_secs(5)).unwrap();
        let machine = server(&world, host);
        let of = |what: fn(&simoom_core::stack::Stats) -> u64| -> u64 {
            machine.shards().iter().map(|shard| what(shard.stack.stats())).sum()
        };
        assert_eq!((of(|s| s.opened), of(|s| s.rx_no_connection)), (6 * rings, 0));
        assert!(machine.shards()[1..].iter().all(|shard| shard.stack.stats().arp_replies == 0));
        let asked = world.host(client).right().unwrap();
        for shard in asked.shards() {
            let stats = shard.stack.stats();
            assert_eq!((stats.opened, stats.rx_no_connection), (6, 0), "its answers came to it");
            assert!(stats.arp_requests > 0);
        }
        let seen: u64 = machine.ring_stats(0).map(|ring| ring.rx).sum();
        let through: u64 = machine.shards().iter().map(|s| s.stack.stats().frames_in).sum();
        assert_eq!((seen, of(|s| s.rx_not_ours)), (through, 0));
        assert_judged(&mut world, host);
    });
}

/// A stack that notes what it is shown.
#[derive(Clone, Debug, Default)]
struct Notes(Vec<(u32, u32)>);

impl PortStack for Notes {
    fn turn(&mut self, _now: Instant, port: &mut SimPort) -> Option<Instant> {
        let word =
            |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        port.receive(BATCH_MAX, |batch| {
            self.0.extend(batch.iter().map(|frame| (word(frame.bytes, 34), word(frame.bytes, 42))));
            Unclaimed::NONE
        });
        None
    }

    fn buffers_held(&self) -> u32 {
        0
    }

    fn audit(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} notes", self.0.len())
    }

    fn work(&self) -> Work {
        Work { frames_in: self.0.len() as u64, ..Work::default() }
    }
}

impl Fork for Notes {
    fn fork(&self) -> Self {
        self.clone()
    }
}

/// Sends UDP datagrams of random flows, numbered in each flow, some at a time.
#[derive(Clone, Debug)]
struct Flows {
    draws: simoom_sim::seed::Draws,
    sent: Vec<u32>,
    left: u32,
}

impl Endpoint for Flows {
    fn on_frame(&mut self, _now: Instant, _frame: &[u8]) {}

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        for _ in 0..self.draws.below(6).min(self.left.into()) {
            self.left -= 1;
            let flow = self.draws.below(self.sent.len() as u64) as u32;
            let mut frame = vec![2; 12];
            frame.extend([
                8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
            ]);
            frame.extend((flow * 77_777).to_be_bytes());
            frame.extend([0; 4]);
            frame.extend(self.sent[flow as usize].to_be_bytes());
            frame.resize(60, 0);
            self.sent[flow as usize] += 1;
            out(&frame);
        }
        (self.left > 0).then(|| now + self.draws.duration_upto(Duration::from_micros(2)))
    }
}

#[test]
fn the_frames_of_a_flow_come_to_one_shard_in_order_however_slow_the_cores_are() {
    type Hosts = Either<Machine<Notes>, EndpointHost<Flows>>;
    check(0..30, |seed| {
        let mut draws = seed.stream(Stream::Choice);
        let rings = 1 + draws.below(16) as u8;
        let cores = 1 + draws.below(6) as usize;
        let cost = CostModel {
            turn_ps: draws.below(400_000),
            frame_in_ps: draws.below(900_000),
            ..CostModel::ZERO
        };
        let stalls = (draws.below(2) == 0).then_some(RandomStalls {
            gap_mean: Duration::from_micros(50),
            lasts_max: Duration::from_micros(20),
            what: Stalled::EVERYTHING,
        });
        let nic = NicConfig { stalls, rx_slots: 16, ..NicConfig::default() };
        let mut machine = Machine::new(MachineConfig { cores, cost, ..MachineConfig::default() });
        let ring = |ring: u8| {
            let number = u32::from(ring) + 10;
            let port = SimPort::new(nic, number, seed.stream(Stream::Dma(number)));
            Ring { stack: Notes::default(), port, core: usize::from(ring) % cores }
        };
        machine
            .add_interface(Spread::in_turn(MICROSOFT_KEY, rings), (0..rings).map(ring).collect());
        let mut world: World<Hosts> = World::new(seed);
        let flows = Flows { draws, sent: vec![0; 40], left: 3_000 };
        let sender = world.add_lawless_host(Either::Right(EndpointHost::new(flows)));
        let machine = world.add_host(Either::Left(machine));
        world.connect((sender, 0), (machine, 0), link(), link());
        world.run_for(Duration::from_millis(100)).unwrap();
        let sent = &world.host(sender).right().unwrap().endpoint.sent;
        let machine = world.host(machine).left().unwrap();
        let shown: usize = machine.shards().iter().map(|shard| shard.stack.0.len()).sum();
        let dropped: u64 = machine.ring_stats(0).map(|ring| ring.rx_ring_full).sum();
        assert_eq!(shown as u64 + dropped, 3_000, "every frame was shown or counted");
        assert_eq!(world.stats().ring_full, dropped);
        for (flow, sent) in (0u32..).zip(sent) {
            let of_flow = |notes: &Notes| {
                let mine = notes.0.iter().filter(|note| note.0 == flow * 77_777);
                mine.map(|note| note.1).collect::<Vec<_>>()
            };
            let at: Vec<_> = machine.shards().iter().map(|shard| of_flow(&shard.stack)).collect();
            let shards = at.iter().filter(|numbers| !numbers.is_empty()).count();
            assert!(shards <= 1, "flow {flow} came to {shards} shards");
            let numbers = at.concat();
            assert!(numbers.windows(2).all(|two| two[0] < two[1]), "flow {flow}: {numbers:?}");
            assert!(numbers.last().is_none_or(|last| last < sent));
        }
    });
}

#[test]
fn a_core_that_is_too_slow_overflows_its_ring_and_is_busy_all_the_time() {
    let slow = CostModel { frame_in_ps: 40_000_000, ..COSTS };
    let run = |cost| {
        let mut setup = MachineSetup { cost, ..small(SERVER) };
        setup.each.nic.rx_slots = 64;
        let (mut world, [client, host]) = pair(Seed(1), setup, small(CLIENT), (64, 400), link());
        run_all(&mut world, client, 400);
        let machine = server(&world, host);
        let dropped = machine.ring_stats(0).map(|ring| ring.rx_ring_full).sum::<u64>();
        let waited = machine.core_stats().next().unwrap().waited_max;
        let load = loads(machine, world.now() - Instant::ZERO)[0];
        assert_judged(&mut world, host);
        (dropped, load, waited, world.now())
    };
    let (dropped, load, waited, end) = run(slow);
    assert!(dropped > 0 && load > 500_000, "{dropped} dropped, load {load} ppm");
    assert!(waited >= Duration::from_micros(40), "{waited:?}");
    let (dropped, load, _, fast_end) = run(COSTS);
    assert!(dropped == 0 && load < 500_000 && fast_end < end, "{dropped}, {load} ppm");
    let (_, load, waited, _) = run(CostModel::ZERO);
    assert_eq!((load, waited), (0, Duration::ZERO));
}

#[test]
fn latency_grows_with_the_load_of_the_core_and_falls_with_a_second_one() {
    let median = |connections, rings, cores| {
        let cost = CostModel { frame_in_ps: 5_000_000, ..COSTS };
        let server = MachineSetup { cost, rings, cores, ..small(SERVER) };
        let client = small(CLIENT);
        let (mut world, [client, _]) = pair(Seed(3), server, client, (connections, 240), link());
        run_all(&mut world, client, 240);
        let app = clients(&world, client).next().unwrap();
        let mut times: Vec<_> =
            app.completions().iter().map(|done| done.done_at - done.asked_at).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (alone, many) = (median(1, 1, 1), median(60, 1, 1));
    let (two_rings, two_cores) = (median(60, 2, 1), median(60, 2, 2));
    assert!(many > alone + alone, "{alone:?} alone, {many:?} with 60");
    assert!(two_cores < two_rings, "{two_cores:?} on two cores, {two_rings:?} on one");
    assert!(two_cores < many, "{two_cores:?} on two cores, {many:?} on one");
}

#[test]
fn time_on_a_core_is_the_sum_of_what_its_turns_did() {
    let setup = MachineSetup { cost: COSTS, rings: 3, cores: 2, ..small(SERVER) };
    let (mut world, [client, host]) = pair(Seed(5), setup, small(CLIENT), (20, 100), link());
    run_all(&mut world, client, 100);
    let machine = server(&world, host);
    for (core, stats) in machine.core_stats().enumerate() {
        let mine = machine.shards().iter().filter(|shard| shard.core() == core);
        let work: Vec<_> = mine.map(|shard| shard.work()).collect();
        let spent: u64 = work.iter().map(|work| COSTS.picoseconds_of(work)).sum();
        assert_eq!(stats.busy.as_nanos(), spent / 1_000, "core {core}");
        assert_eq!(stats.turns, work.iter().map(|work| work.turns).sum::<u64>());
        assert!(work.iter().all(|work| work.doorbells > 0 && work.texts_in > 0));
    }
}

/// More interfaces than cores and fewer, over several rings each, with everything that a device may
/// do: every byte arrives, and the run is the same when it is made again.
#[test]
fn any_shape_of_machine_serves_every_byte_the_same_way_twice() {
    let run = |seed: Seed| {
        let mut draws = seed.stream(Stream::Choice);
        let interfaces = 1 + draws.below(4) as u16;
        let mut each = |number| {
            let mut setup = MachineSetup {
                interfaces,
                rings: 1 + draws.below(4) as u8,
                cores: 1 + draws.below(6) as usize,
                cost: COSTS,
                ..small(number)
            };
            setup.each.stack.content.mode = *draws.one_of(&[Mode::Copy, Mode::CopiesOnDemand]);
            setup.each.nic.dma = *draws.one_of(&DmaPolicy::ALL);
            setup.each.nic.completion = *draws.one_of(&CompletionPolicy::ALL);
            setup.each.nic.stalls = (draws.below(2) == 0).then_some(RandomStalls {
                gap_mean: Duration::from_micros(500),
                lasts_max: Duration::from_micros(300),
                what: *draws.one_of(&[
                    Stalled::EVERYTHING,
                    Stalled { transmit: true, ..Stalled::default() },
                    Stalled { receive: true, ..Stalled::default() },
                    Stalled { report: true, ..Stalled::default() },
                ]),
            });
            setup
        };
        let lossy = LinkConfig { loss: Chance::ppm(5_000), reorder: Chance::ppm(5_000), ..link() };
        let (server, client) = (each(SERVER), each(CLIENT));
        let (mut world, [client, _]) = pair(seed, server, client, (3, 9), lossy);
        run_all(&mut world, client, 9);
        (world.hash(), world.events(), world.now())
    };
    check(0..8, |seed| assert_eq!(run(seed), run(seed)));
    assert_ne!(run(Seed(1)).0, run(Seed(2)).0);
}

#[test]
fn a_fork_of_machines_at_any_event_goes_on_to_the_same_hash() {
    check(0..6, |seed| {
        let each = |number| MachineSetup {
            rings: 3,
            cores: 2,
            interfaces: 2,
            cost: COSTS,
            ..small(number)
        };
        let lossy = LinkConfig { loss: Chance::ppm(5_000), ..link() };
        let (mut world, _) = pair(seed, each(SERVER), each(CLIENT), (4, 20), lossy);
        let at = seed.stream(Stream::Named("Fork", 0)).below(4_000);
        while world.events() < at {
            assert!(world.step().unwrap());
        }
        let mut fork = world.clone();
        let end = |world: &World<Machines>| (world.hash(), world.events());
        world.run_for(Duration::from_millis(300)).unwrap();
        assert_ne!(end(&fork), end(&world));
        fork.run_for(Duration::from_millis(300)).unwrap();
        assert_eq!(end(&fork), end(&world));
    });
}

/// Rings of one interface share its line: two that read when the wire is free never send faster than
/// it, and neither starves.
#[test]
fn the_rings_of_an_interface_share_its_line() {
    let mut setup = MachineSetup { rings: 2, cores: 2, cost: COSTS, ..small(SERVER) };
    setup.each.nic.dma = DmaPolicy::WhenWireIsFree;
    setup.each.nic.rate = Rate::gbit(1);
    let client = small(CLIENT);
    let (mut world, [client, host]) = pair(Seed(9), setup, client, (40, 400), link());
    run_all(&mut world, client, 400);
    let bytes =
        server(&world, host).shards().iter().map(|s| s.stack.stats().bytes_out).sum::<u64>();
    let frames: Vec<u64> = server(&world, host).ring_stats(0).map(|ring| ring.tx).collect();
    let least = Rate::gbit(1).time_of(bytes + 24 * frames.iter().sum::<u64>());
    assert!(world.now() - Instant::ZERO >= least, "faster than the line");
    assert!(
        (world.now() - Instant::ZERO).as_nanos() < least.as_nanos() * 3 / 2,
        "{:?}",
        world.now()
    );
    assert!(frames.iter().all(|ring| ring * 4 > frames.iter().sum::<u64>()), "{frames:?}");
}

#[test]
fn a_machine_says_what_it_waits_for() {
    let (mut world, [_, host]) = pair(Seed(1), small(SERVER), small(CLIENT), (1, 1), link());
    world.run_for(Duration::from_millis(1)).unwrap();
    let text = world.host(host).describe();
    assert!(
        text.contains("core 0 busy for") && text.contains("a stack of 1 connections"),
        "{text}"
    );
    assert!(server(&world, host).shards()[0].port.census().free > 0);
}
