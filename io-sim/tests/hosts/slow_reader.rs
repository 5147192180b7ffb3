//! Receivers whose window closes, opens, and is taken back.

use super::*;
use simoom_sim::hosts::tcp_peer::{Manners, Reading, Shrinking};
use simoom_sim::hosts::{Receiver, ReceiverConfig};
use simoom_sim::oracle::promises::Promise;
use simoom_sim::seed::{Chance, check};
use simoom_sim::world::Why;

fn lossy(seed: Seed) -> LinkConfig {
    let loss = Chance::ppm(10_000 * (seed.0 % 2) as u32);
    LinkConfig { delay: Duration::from_millis(5), loss, ..LinkConfig::default() }
}

fn reading(bytes_per_second: u64, chunk: u32) -> Reading {
    Reading::Slow { bytes_per_second, chunk, stall: None, silly: false }
}

/// Runs a client with a window of 20,000 bytes that reads 100,000 bytes so; how long it took, and the world.
fn run(seed: Seed, reading: Reading) -> (f64, World<Host<Receiver>>) {
    let mut config = ReceiverConfig::new(SERVER, vec![get(4)]);
    config.manners = Manners { reading, ..Manners::default().with_window(20_000) };
    let receiver = Receiver::numbered(2, config, seed);
    let (mut world, _, client) = pair(seed, receiver, lossy(seed));
    world
        .run_until(|world| endpoint(world, client).is_done())
        .unwrap_or_else(|error| panic!("{error}"));
    let receiver = endpoint(&world, client);
    receiver.verdict().unwrap();
    let done = receiver.completions()[0];
    (done.done_at.saturating_since(done.asked_at).as_secs_f64(), world)
}

fn receiver(world: &World<Host<Receiver>>) -> &Receiver {
    &world.hosts().last().unwrap().right().unwrap().endpoint
}

#[test]
fn the_application_sets_the_pace() {
    check(0..6, |seed| {
        let (took, _) = run(seed, reading(50_000, 5_000));
        assert!((1.99..2.6).contains(&took), "{took} s for 100,000 bytes at 50,000 a second");
    });
}

#[test]
fn a_slow_reader_is_one_line() {
    let mut config = ReceiverConfig::new(SERVER, vec![get(4)]);
    config.manners = Manners::slow_reader(16_384, 100_000);
    let (mut world, _, client) =
        pair(Seed(1), Receiver::numbered(2, config, Seed(1)), LinkConfig::default());
    world.run_until(|world| endpoint(world, client).is_done()).unwrap();
    endpoint(&world, client).verdict().unwrap();
    assert!((1000..1300).contains(&world.now().as_millis()), "{:?}", world.now());
}

/// The window stays closed for longer than any retransmission timeout: the server probes, and goes on.
#[test]
fn a_stall_of_a_minute_ends_and_the_transfer_goes_on() {
    check(0..6, |seed| {
        let stall = Some((30_000, Duration::from_secs(60)));
        let (bytes_per_second, chunk) = (1_000_000, 5_000);
        let (took, world) =
            run(seed, Reading::Slow { bytes_per_second, chunk, stall, silly: false });
        assert!((60.0..66.0).contains(&took), "{took}");
        let stats = receiver(&world).stats();
        // Probes of one byte beyond the window.
        assert!(stats.beyond_window_bytes > 0 && stats.zero_windows > 3, "{stats:?}");
        // The server was held to what it promises of them.
        let tested = world.promise_stats();
        let of = |promise| tested.of(promise);
        assert!(of(Promise::Backoff) > 2 && of(Promise::SendWindow) > 70, "{tested:?}");
    });
}

/// RFC 9293 §3.8.6.2.1: small windows are not filled with small segments at once.
#[test]
fn silly_windows_cost_segments_but_no_bytes() {
    let segments = |silly| {
        let (bytes_per_second, chunk) = (200_000, 100);
        let reading = Reading::Slow { bytes_per_second, chunk, stall: None, silly };
        let (took, world) = run(Seed(0), reading);
        assert!((0.49..0.8).contains(&took), "{took}");
        receiver(&world).stats().in_order
    };
    let (good, silly) = (segments(false), segments(true));
    assert!(good <= 80, "{good} segments for 100,000 bytes");
    assert!(silly < 2 * good, "{silly} segments: the server is silly too");
}

#[test]
fn a_window_taken_back_delays_and_breaks_nothing() {
    check(0..10, |seed| {
        let mut config = ReceiverConfig::new(SERVER, vec![get(5)]);
        let shrinking = Shrinking {
            after: 20_000,
            every: 500_000,
            to: [0, 1, 3000][seed.0 as usize % 3],
            hold: Duration::from_millis(700),
        };
        config.manners = Manners::window_shrinker(60_000, shrinking);
        let (mut world, _, client) = pair(seed, Receiver::numbered(2, config, seed), lossy(seed));
        world
            .run_until(|world| endpoint(world, client).is_done())
            .unwrap_or_else(|error| panic!("{error}"));
        let receiver = endpoint(&world, client);
        receiver.verdict().unwrap();
        assert_eq!(receiver.stats().shrunk, 6);
        // A small window that moves on takes what is under way; one of next to nothing does not.
        assert!(receiver.stats().beyond_window_bytes > 0 || seed.0 % 3 == 2);
    });
}

#[test]
fn same_twice_and_forked_at_any_event() {
    check(0..8, |seed| {
        let hold = Duration::from_millis(300);
        let manners = match seed.0 / 2 {
            0 => Manners::slow_reader(16_384, 400_000),
            1 => {
                let stall = Some((30_000, Duration::from_secs(1)));
                let reading =
                    Reading::Slow { bytes_per_second: 1_000_000, chunk: 700, stall, silly: true };
                Manners { reading, ..Manners::default().with_window(20_000) }
            }
            2 => Manners::window_shrinker(
                60_000,
                Shrinking { after: 20_000, every: 200_000, to: 0, hold },
            ),
            _ => Manners::window_shrinker(
                60_000,
                Shrinking { after: 20_000, every: 200_000, to: 3_000, hold },
            ),
        };
        let make = || {
            let mut config = ReceiverConfig::new(SERVER, vec![get(5)]);
            config.manners = manners;
            pair(seed, Receiver::numbered(2, config, seed), lossy(seed)).0
        };
        same_twice_and_forked(make, Duration::from_secs(4));
    });
}

/// A reader that stops: the server probes for ever, and the demand for progress says who hangs where.
#[test]
fn a_demand_for_progress_names_the_connection_that_makes_none() {
    let mut config = ReceiverConfig::new(SERVER, vec![get(4)]);
    let stall = Some((30_000, Duration::from_secs(60)));
    let reading = Reading::Slow { bytes_per_second: 1_000_000, chunk: 5_000, stall, silly: false };
    config.manners = Manners { reading, ..Manners::default().with_window(20_000) };
    let receiver = Receiver::numbered(2, config, Seed(1));
    let (mut world, server, client) = pair(Seed(1), receiver, lossy(Seed(1)));
    let done = |world: &World<Host<Receiver>>| endpoint(world, client).is_done();
    world.run_for(Duration::from_secs(2)).unwrap();
    let mut patient = world.clone();

    let error = world.heal_and_demand_progress(Duration::from_secs(10), done).unwrap_err();
    let Why::NoProgress { within, stuck } = &error.why else { panic!("{error}") };
    assert_eq!(*within, Duration::from_secs(10));
    let [stuck] = &stuck[..] else { panic!("one connection: {stuck:?}") };
    assert!(stuck.host == server && stuck.flow.from == SERVER && stuck.info.snd_wnd == 0);
    // The window closed before; nothing has moved since it was first looked at.
    assert_eq!(stuck.since, Instant::ZERO + Duration::from_secs(2));
    let text = error.to_string();
    for part in [
        "not done 10.000000000s after the links healed",
        "stuck: host 0, 10.66.0.1:80 to 10.66.0.2:20000: Established, still since 2.000000000s",
        "window 0",
        "host 1: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // The run is over, whatever is asked of it.
    assert_eq!(world.step().unwrap_err(), error);

    patient.heal_and_demand_progress(Duration::from_secs(80), done).unwrap();
    endpoint(&patient, client).verdict().unwrap();
}
