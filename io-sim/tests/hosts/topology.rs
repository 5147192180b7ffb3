//! Dumbbells with cross traffic.

use super::*;
use crate::any::{Any, as_kind};
use simoom_sim::hosts::cross_traffic::{Gaps, Times};
use simoom_sim::hosts::star;
use simoom_sim::hosts::tcp_peer::Station;
use simoom_sim::hosts::{
    CrossConfig, CrossSink, CrossSource, Dumbbell, Receiver, ReceiverConfig, Spoke, dumbbell,
};
use simoom_sim::link::Rate;
use simoom_sim::seed::check;
use simoom_sim::world::Direction;

fn access() -> LinkConfig {
    LinkConfig { delay: Duration::from_micros(100), ..LinkConfig::default() }
}

fn bottleneck() -> LinkConfig {
    LinkConfig {
        rate: Rate::mbit(50),
        delay: Duration::from_millis(10),
        queue_frames_max: 100,
        ..LinkConfig::default()
    }
}

struct Scene {
    world: World<Any>,
    client: HostId,
    source: HostId,
    sink: HostId,
    dumbbell: Dumbbell,
}

const STOP: Duration = Duration::from_secs(3);

/// The server and a source on the left; a client and a sink on the right.
fn scene(seed: Seed, cross: CrossConfig) -> Scene {
    let mut world: World<Any> = World::new(seed);
    let server = world.add_host(server(seed).into());
    let source = CrossSource::numbered(3, cross, seed);
    let source = world.add_host(EndpointHost::new(source).into());
    let config = ReceiverConfig::new(SERVER, vec![get(5)]);
    let client = world.add_host(EndpointHost::new(Receiver::numbered(2, config, seed)).into());
    let sink = world.add_host(EndpointHost::new(CrossSink::numbered(4)).into());
    let spoke = |host| Spoke::new(host, access());
    let dumbbell = dumbbell(
        &mut world,
        &[spoke(server), spoke(source)],
        &[spoke(client), spoke(sink)],
        bottleneck(),
        bottleneck(),
    );
    Scene { world, client, source, sink, dumbbell }
}

fn cross(rate: u64) -> CrossConfig {
    let sink = CrossSink::numbered(4).ip();
    CrossConfig::constant(sink, Rate::mbit(rate), Instant::ZERO + STOP)
}

/// How long the client's transfer took, in seconds, and the scene at the end.
fn run(seed: Seed, cross: CrossConfig) -> (f64, Scene) {
    let mut scene = scene(seed, cross);
    scene.world.run_for(Duration::from_secs(20)).unwrap_or_else(|error| panic!("{error}"));
    let client = &as_kind!(scene.world, scene.client, Receiver).endpoint;
    client.verdict().unwrap();
    let done = client.completions()[0];
    (done.done_at.saturating_since(done.asked_at).as_secs_f64(), scene)
}

/// Half of the bottleneck is somebody else's: what is left is the client's. Not twice the time: alone,
/// slow start's overshoot takes much of it.
#[test]
fn cross_traffic_takes_its_share_of_the_bottleneck() {
    let (alone, _) = run(Seed(1), cross(1));
    let (shared, scene) = run(Seed(1), cross(25));
    assert!(shared > 1.3 * alone, "{shared} s beside {alone} s alone");
    let sent = as_kind!(scene.world, scene.source, Source).endpoint.sent();
    // 25 Mb/s of frames of 1,514 bytes in 3 seconds, less the 20 ms of asking for the sink's address.
    assert!(sent.abs_diff(6192 - 41) <= 2, "{sent}");
    let sink = as_kind!(scene.world, scene.sink, Sink).endpoint.stats();
    let lost = sent - sink.frames;
    let queue = scene.world.link_stats(scene.dumbbell.bottleneck, Direction::Forward);
    assert!(lost <= queue.queue_full && lost < sent / 5, "{lost} lost, {queue:?}");
    // Through an empty queue 10.2 ms and the frames' own time; through a full one 24 ms more.
    let (mean, max) = (sink.delay_sum.as_nanos() / sink.frames, sink.delay_max.as_nanos());
    assert!((10_450_000..35_500_000).contains(&max) && mean < max, "{mean} ns, {max} ns at most");
}

#[test]
fn every_kind_of_burst_sends_its_mean_rate() {
    let ms = Duration::from_millis;
    let pareto = Times::Pareto { low: ms(5), high: ms(500), shape_thousandths: 1500 };
    for (bursts, share) in [
        (None, 1.0),
        (Some((Times::Constant(ms(10)), Times::Constant(ms(30)))), 0.25),
        (Some((Times::Exponential(ms(20)), Times::Exponential(ms(20)))), 0.5),
        (Some((pareto, pareto)), 0.5),
    ] {
        for gaps in [Gaps::Even, Gaps::Poisson] {
            let seconds = 60;
            let config = CrossConfig {
                bursts,
                gaps,
                frame_bytes: 1000,
                stop_at: Instant::ZERO + Duration::from_secs(seconds),
                ..cross(8)
            };
            let mut world: World<Any> = World::new(Seed(3));
            let source = CrossSource::numbered(3, config, Seed(3));
            let source = world.add_host(EndpointHost::new(source).into());
            let sink = world.add_host(EndpointHost::new(CrossSink::numbered(4)).into());
            world.connect((source, 0), (sink, 0), access(), access());
            world.run_to_end().unwrap();
            let sent = as_kind!(world, source, Source).endpoint.sent();
            assert_eq!(as_kind!(world, sink, Sink).endpoint.stats().frames, sent);
            let expected = seconds as f64 * 1000.0 * share;
            let ratio = sent as f64 / expected;
            assert!((0.9..1.1).contains(&ratio), "{bursts:?} {gaps:?}: {sent} of {expected}");
        }
    }
}

#[test]
fn same_twice_and_forked_at_any_event() {
    check(0..3, |seed| {
        let bursts = Some((
            Times::Exponential(Duration::from_millis(30)),
            Times::Exponential(Duration::from_millis(30)),
        ));
        let cross = CrossConfig { bursts, gaps: Gaps::Poisson, ..cross(40) };
        same_twice_and_forked(|| scene(seed, cross).world, Duration::from_secs(4));
    });
}

/// Each of a thousand clients knows the server's address: nothing is flooded but the server's first frames, if
/// anything.
#[test]
fn a_thousand_clients_around_one_switch_are_served() {
    let mut world: World<Any> = World::new(Seed(1));
    let mut hosts = vec![world.add_host(server(Seed(1)).into())];
    for number in 2..1002 {
        let mut config = ReceiverConfig::new(SERVER, vec![get(2)]);
        config.start_at = Instant::from_nanos(u64::from(number) * 1_000_000);
        let station = Station::numbered(number).knows_number(1);
        let receiver = Receiver::new(station, config, Seed(1), number.into());
        hosts.push(world.add_host(EndpointHost::new(receiver).into()));
    }
    let spokes: Vec<Spoke> = hosts.iter().map(|host| Spoke::new(*host, access())).collect();
    star(&mut world, &spokes);
    world.run_for(Duration::from_secs(5)).unwrap_or_else(|error| panic!("{error}"));
    for client in &hosts[1..] {
        as_kind!(world, *client, Receiver).endpoint.verdict().unwrap();
    }
    // A connection is some 10 frames, each of which arrives twice; one that is flooded, a thousand times.
    let arrived = world.stats().arrived;
    assert!(arrived < 30_000, "{arrived} frames");
}

/// Ten thousand clients, nearly all of them connected at once, cost what ten thousand clients cost: events and
/// frames by the request, and nothing that is looked at for each of the others.
#[test]
fn ten_thousand_clients_in_one_world_are_served() {
    const CLIENTS: u16 = 10_000;
    let seed = Seed(1);
    let mut setup = server_setup();
    setup.stack.connections_max = 1 << 14;
    setup.stack.half_open_max = 1 << 14;
    setup.host.audit_every = 1;
    let mut world: World<Any> = World::new(seed);
    let site = server_with(seed, setup, ServerConfig::default());
    let server = world.add_host(site.into());
    let mut spokes = vec![Spoke::new(server, access())];
    // A round trip of 600 ms, and a start every 100 us.
    let far = LinkConfig { delay: Duration::from_millis(300), ..LinkConfig::default() };
    for number in 2..2 + CLIENTS {
        let mut config = ReceiverConfig::new(SERVER, vec![get(2)]);
        config.start_at = Instant::from_nanos(u64::from(number) * 100_000);
        let station = Station::numbered(number).knows_number(1);
        let receiver = Receiver::new(station, config, seed, number.into());
        let client = world.add_host(EndpointHost::new(receiver).into());
        spokes.push(Spoke::new(client, far.clone()));
    }
    star(&mut world, &spokes);
    let mut connected = 0;
    while world.now() < Instant::from_nanos(10_000_000_000) {
        world.run_for(Duration::from_millis(50)).unwrap_or_else(|error| panic!("{error}"));
        connected = connected.max(as_kind!(world, server, Server).stack.connections());
    }
    assert!(connected > u32::from(CLIENTS) * 9 / 10, "{connected} connections at most");
    for client in &spokes[1..] {
        as_kind!(world, client.host.0, Receiver).endpoint.verdict().unwrap();
    }
    assert_eq!(as_kind!(world, server, Server).stack.connections(), 0);
    let (frames, events) = (world.stats().arrived, world.events());
    assert!(frames <= 26 * u64::from(CLIENTS), "{frames} frames");
    assert!(events <= 80 * u64::from(CLIENTS), "{events} events");
}
