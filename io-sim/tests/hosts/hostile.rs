//! Each hostile host beside a client that behaves: the server bears it, and the client's bytes are right.

use super::*;
use crate::any::{Any, as_kind};
use simoom_core::tcp::Drop;
use simoom_sim::hosts::hostile::{
    Aim, BlindConfig, BlindInjector, Forgery, OptAckConfig, OptimisticAcker, Pace, RandomConfig,
    RandomSegments, SynFlood, SynFloodConfig,
};
use simoom_sim::hosts::tcp_peer::{Manners, Station};
use simoom_sim::hosts::{Receiver, ReceiverConfig, Spoke, Switch, star};
use simoom_sim::oracle::promises::Promise;
use simoom_sim::seed::check;

/// The client that behaves, its address, and the port of its first connection.
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 20_000);

struct Scene {
    world: World<Any>,
    server: HostId,
    client: HostId,
    hostile: HostId,
}

impl Scene {
    fn server(&self) -> &Server {
        as_kind!(self.world, self.server, Server)
    }

    fn client(&self) -> &Receiver {
        &as_kind!(self.world, self.client, Receiver).endpoint
    }

    fn dropped(&self, why: Drop) -> u64 {
        self.server().stack.stats().tcp_drops[why as usize]
    }

    fn run(mut self, time: Duration) -> Self {
        self.world.run_for(time).unwrap_or_else(|error| panic!("{error}"));
        self
    }

    fn run_until_client_is_done(mut self) -> Self {
        let client = self.client;
        self.world
            .run_until(|world| as_kind!(world, client, Receiver).endpoint.is_done())
            .unwrap_or_else(|error| panic!("{error}"));
        self
    }
}

/// 1 ms to the switch and from it; the hostile host overhears everything.
fn scene(seed: Seed, client: ReceiverConfig, hostile: impl Into<Any>) -> Scene {
    let mut world: World<Any> = World::new(seed);
    let server = world.add_host(server(seed).into());
    let client = EndpointHost::new(Receiver::numbered(2, client, seed));
    let client = world.add_host(client.into());
    let hostile = world.add_lawless_host(hostile.into());
    let switch = world.add_forwarder(Switch::new(3).mirrored(2).into());
    for (port, host) in [server, client, hostile].into_iter().enumerate() {
        let link = LinkConfig::default();
        world.connect((host, 0), (switch, port), link.clone(), link);
    }
    Scene { world, server, client, hostile }
}

fn client(requests: &[usize]) -> ReceiverConfig {
    ReceiverConfig::new(SERVER, requests.iter().map(|n| get(*n)).collect())
}

fn station() -> Station {
    Station::numbered(3)
}

fn injector(seed: Seed, aim: Aim, forgeries: Vec<Forgery>, pace: Pace) -> Any {
    let config = BlindConfig { aim, forgeries, ..BlindConfig::resets(SERVER, CLIENT, pace) };
    EndpointHost::new(BlindInjector::new(station(), config, seed, 3)).into()
}

/// A transfer of 3 MB that takes about 3 seconds: 4 KiB in each round trip of 4 ms.
fn long_transfer() -> ReceiverConfig {
    let mut client = client(&[5]);
    client.manners = client.manners.with_window(4096);
    client
}

#[test]
fn blind_segments_with_random_numbers_do_no_harm() {
    check(0..3, |seed| {
        let all = vec![Forgery::Reset, Forgery::Syn, Forgery::Text];
        let blind = injector(seed, Aim::Random, all, Pace::per_second(20_000, 20_000));
        let scene = scene(seed, long_transfer(), blind).run_until_client_is_done();
        scene.client().verdict().unwrap();
        assert!(as_kind!(scene.world, scene.hostile, Blind).endpoint.sent() > 10_000);
        assert!(scene.dropped(Drop::OutsideWindow) > 1000);
    });
}

/// RFC 5961 §3.2 and §4.2: a reset or SYN in the window, but not at its start, is challenged.
#[test]
fn resets_and_syns_in_the_window_are_challenged_and_kill_nothing() {
    check(0..3, |seed| {
        let forgeries = vec![Forgery::Reset, Forgery::Syn];
        let aim = Aim::Overheard { from: 1, upto: 16_000 };
        let blind = injector(seed, aim, forgeries, Pace::per_second(1000, 1000));
        let scene = scene(seed, long_transfer(), blind).run_until_client_is_done();
        scene.client().verdict().unwrap();
        assert!(scene.dropped(Drop::BadResetSequence) > 200);
        assert!(scene.dropped(Drop::SynInWindow) > 200);
        assert_eq!(scene.server().stack.stats().reset_by_peer, 0);
        // Once an interval, and the model waited for each.
        assert!(scene.world.promise_stats().of(Promise::ChallengeAck) > 3);
    });
}

/// The one number that counts, known to whoever overhears: nothing but encryption helps.
#[test]
fn a_reset_at_the_exact_number_ends_the_connection() {
    let aim = Aim::Overheard { from: 0, upto: 0 };
    let pace = Pace { start_at: Instant::from_nanos(500_000_000), ..Pace::per_second(1, 1) };
    let blind = injector(Seed(1), aim, vec![Forgery::Reset], pace);
    let scene = scene(Seed(1), long_transfer(), blind).run_until_client_is_done();
    assert_eq!(scene.server().stack.stats().reset_by_peer, 1);
    assert_eq!(scene.client().stats().broken, 1);
    assert!(scene.client().bytes() > 0 && scene.client().wrongs().is_none());
}

#[test]
fn random_segments_leave_nothing_behind() {
    check(0..5, |seed| {
        let config = RandomConfig::new(SERVER, Pace::per_second(5000, 10_000));
        let random = RandomSegments::new(station(), config, seed, 3);
        let mut client = client(&[3, 4]);
        client.rounds = 20;
        // A FIN that nobody acknowledges is repeated for a quarter of an hour.
        let time = Duration::from_secs(1500);
        let scene = scene(seed, client, EndpointHost::new(random)).run(time);
        scene.client().verdict().unwrap();
        let random = &as_kind!(scene.world, scene.hostile, Random).endpoint;
        assert!(random.sent() == 10_000 && random.answers() > 100, "{}", random.answers());
        let stack = &scene.server().stack;
        assert!(stack.stats().rx_bad_checksum > 0 && stack.stats().opened > 40);
        assert_eq!((stack.connections(), stack.half_open()), (0, 0));
        assert!(scene.world.promise_stats().of(Promise::ResetForm) > 100);
    });
}

/// There are no SYN cookies yet: while the table of half-open connections is full of SYNs from nowhere, a
/// client's SYN has to be lucky. What it gets is right, and once the flood is over all is as before.
#[test]
fn a_syn_flood_delays_clients_and_breaks_none() {
    let run = |count| {
        let pace = Pace::per_second(5000, count);
        let flood = SynFlood::new(station(), SynFloodConfig::new(SERVER, pace), Seed(1), 3);
        let mut client = client(&[3]);
        client.rounds = 20;
        client.start_at = Instant::from_nanos(1_000_000_000);
        let scene = scene(Seed(1), client, EndpointHost::new(flood)).run_until_client_is_done();
        scene.client().verdict().unwrap();
        scene
    };
    let quiet = run(0);
    assert!(quiet.world.now() < Instant::from_nanos(2_000_000_000));
    let flooded = run(50_000);
    let stats = flooded.server().stack.stats();
    assert!(stats.syn_half_open_full > 10_000, "{stats:?}");
    let timeouts = flooded.client().stats().timeouts;
    assert!(timeouts > 0, "not one SYN of the client was dropped");
    let flooded = flooded.run(Duration::from_secs(300));
    assert_eq!(flooded.server().stack.half_open(), 0);
}

/// A transfer to an optimistic acker, host 1, which asks for 3,000,000 bytes.
fn opt_ack_world(
    seed: Seed,
    every: Duration,
    step: u32,
    ahead_max: u32,
) -> (World<Any>, HostId, HostId) {
    let config = OptAckConfig {
        server: SERVER,
        request: get(5).bytes,
        pace: Pace { every, ..Pace::per_second(1, 20_000) },
        step,
        ahead_max,
    };
    let acker = OptimisticAcker::new(station(), config, seed, 3);
    let mut world: World<Any> = World::new(seed);
    let server = world.add_host(server(seed).into());
    let acker = EndpointHost::new(acker);
    let hostile = world.add_lawless_host(acker.into());
    // A round trip of 100 ms.
    let link = LinkConfig {
        delay: Duration::from_millis(50),
        queue_frames_max: 5000,
        ..LinkConfig::default()
    };
    world.connect((server, 0), (hostile, 0), link.clone(), link);
    (world, server, hostile)
}

fn opt_ack(seed: Seed, every: Duration, step: u32, ahead_max: u32) -> (Scene, Duration) {
    let (world, server, hostile) = opt_ack_world(seed, every, step, ahead_max);
    let mut scene = Scene { world, server, client: server, hostile };
    let all = |world: &World<Any>| as_kind!(world, hostile, OptAck).endpoint.stats().bytes;
    while all(&scene.world) < SIZES[5] && scene.world.now() < Instant::from_nanos(60_000_000_000) {
        assert!(scene.world.step().unwrap_or_else(|error| panic!("{error}")));
    }
    let took = scene.world.now().saturating_since(Instant::ZERO);
    (scene, took)
}

/// Acknowledgements that keep just ahead of what comes are believed: nothing in TCP tells them from true ones.
/// Those beyond what was sent are refused and challenged (RFC 9293 §3.10.7.4).
#[test]
fn opt_acks_speed_a_transfer_up_only_as_far_as_they_were_sent() {
    check(0..3, |seed| {
        let (honest, honest_took) = opt_ack(seed, Duration::from_millis(1), 1460, 0);
        assert_eq!(honest.dropped(Drop::AckBeyondSndNxt), 0);
        let (modest, took) = opt_ack(seed, Duration::from_millis(1), 2 * 1460, 14_600);
        let stats = *as_kind!(modest.world, modest.hostile, OptAck).endpoint.stats();
        assert!(stats.ahead_bytes > 10_000, "{stats:?}");
        assert!(took < honest_took, "{took:?}, {honest_took:?}");
        let (greedy, _) = opt_ack(seed, Duration::from_millis(1), 1 << 20, 1 << 30);
        let stats = *as_kind!(greedy.world, greedy.hostile, OptAck).endpoint.stats();
        assert!(greedy.dropped(Drop::AckBeyondSndNxt) > 100 && stats.challenges > 0, "{stats:?}");
    });
}

#[test]
fn opt_acks_are_the_same_twice_and_forked_at_any_event() {
    check(0..6, |seed| {
        let (step, ahead_max) =
            [(1460, 0), (2 * 1460, 14_600), (1 << 20, 1 << 30)][seed.0 as usize % 3];
        let make = || opt_ack_world(seed, Duration::from_millis(1), step, ahead_max).0;
        same_twice_and_forked(make, Duration::from_secs(2));
    });
}

/// RFC 3465: the window grows by bytes acknowledged, not by acknowledgements.
#[test]
fn divided_acknowledgements_do_not_open_the_window_faster() {
    let run = |manners| {
        let mut config = client(&[5]);
        config.manners = manners;
        let link = LinkConfig { delay: Duration::from_millis(50), ..LinkConfig::default() };
        let (mut world, server, client) =
            pair(Seed(1), Receiver::numbered(2, config, Seed(1)), link);
        world.run_until(|world| endpoint(world, client).is_done()).unwrap();
        let receiver = endpoint(&world, client);
        receiver.verdict().unwrap();
        let [done] = receiver.completions() else { panic!("one completion") };
        let received = world.host(server).left().unwrap().stack.stats().frames_in;
        (done.done_at.saturating_since(done.asked_at).as_nanos() as f64, received)
    };
    let (plain, frames) = run(Manners::default());
    let (divided, divided_frames) = run(Manners::ack_divider(20));
    assert!(divided_frames > 10 * frames, "{divided_frames}, {frames}");
    let ratio = divided / plain;
    assert!((0.97..1.2).contains(&ratio), "{ratio}");
}

/// Heads that come a byte every second: answered with a timeout by the server's clock, however many.
#[test]
fn slow_headers_time_out() {
    let mut slow = client(&[0]);
    slow.connections = 100;
    slow.manners = Manners::slow_headers(Duration::from_secs(1));
    let (mut world, server, client) =
        pair(Seed(1), Receiver::numbered(2, slow, Seed(1)), LinkConfig::default());
    world.run_until(|world| endpoint(world, client).is_done()).unwrap();
    let limit = ServerConfig::default().request_timeout;
    let now = world.now().saturating_since(Instant::ZERO);
    assert!(now >= limit && now < limit + Duration::from_secs(2), "{now:?}");
    assert_eq!(endpoint(&world, client).stats().succeeded, 0);
    world.run_for(Duration::from_secs(130)).unwrap();
    assert_eq!(world.host(server).left().unwrap().stack.connections(), 0);
}

#[test]
fn same_twice_and_forked_at_any_event() {
    check(0..6, |seed| {
        let make = || {
            let pace = Pace::per_second(2000, 2000);
            let hostile: Any = match seed.0 % 3 {
                0 => injector(
                    seed,
                    Aim::Overheard { from: 1, upto: 9999 },
                    vec![Forgery::Reset, Forgery::Text],
                    pace,
                ),
                1 => {
                    let config = RandomConfig::new(SERVER, pace);
                    EndpointHost::new(RandomSegments::new(station(), config, seed, 3)).into()
                }
                _ => {
                    let config = SynFloodConfig::new(SERVER, pace);
                    EndpointHost::new(SynFlood::new(station(), config, seed, 3)).into()
                }
            };
            scene(seed, long_transfer(), hostile).world
        };
        same_twice_and_forked(make, Duration::from_secs(3));
    });
}

/// A star of ten clients behind one switch, each with its own bytes.
#[test]
fn a_star_of_clients_is_served() {
    let mut world: World<Any> = World::new(Seed(1));
    let mut hosts = vec![world.add_host(server(Seed(1)).into())];
    for number in 2..12 {
        let receiver = Receiver::numbered(number, client(&[3, 4]), Seed(1));
        hosts.push(world.add_host(EndpointHost::new(receiver).into()));
    }
    let spokes: Vec<Spoke> =
        hosts.iter().map(|host| Spoke::new(*host, LinkConfig::default())).collect();
    let star = star(&mut world, &spokes);
    world.run_for(Duration::from_secs(5)).unwrap_or_else(|error| panic!("{error}"));
    for client in &hosts[1..] {
        as_kind!(world, *client, Receiver).endpoint.verdict().unwrap();
    }
    assert_eq!(as_kind!(world, star.switch, Switch).known(), 11);
}
