//! The ideal receiver: gets every byte, at the speed that the path allows.

use super::*;
use simoom_sim::hosts::tcp_peer::{Acknowledging, Closing, ConnEnd, Manners};
use simoom_sim::hosts::{Receiver, ReceiverConfig};
use simoom_sim::link::Rate;
use simoom_sim::seed::{Chance, check};

fn lossy() -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(2),
        loss: Chance::ppm(20_000),
        reorder: Chance::ppm(20_000),
        duplicate: Chance::ppm(10_000),
        corrupt: Chance::ppm(10_000),
        ..LinkConfig::default()
    }
}

fn config(requests: &[usize]) -> ReceiverConfig {
    ReceiverConfig::new(SERVER, requests.iter().map(|n| get(*n)).collect())
}

fn run(seed: Seed, config: ReceiverConfig, link: LinkConfig) -> World<Host<Receiver>> {
    let (mut world, _, client) = pair(seed, Receiver::numbered(2, config, seed), link);
    world
        .run_until(|world| endpoint(world, client).is_done())
        .unwrap_or_else(|error| panic!("{error}"));
    world
}

fn receiver(world: &World<Host<Receiver>>) -> &Receiver {
    &world.hosts().last().unwrap().right().unwrap().endpoint
}

#[test]
fn gets_every_byte_over_a_lossy_link() {
    check(0..12, |seed| {
        let mut config = config(&[0, 1, 2, 3, 4]);
        config.connections = 3;
        config.rounds = 2;
        config.manners.timestamps = seed.0 % 2 == 0;
        config.manners.sack = seed.0 % 3 == 0;
        config.manners.mss = [1460, 536, 88][seed.0 as usize % 3];
        config.manners.acknowledging =
            [Acknowledging::EACH, Acknowledging::DELAYED][seed.0 as usize / 2 % 2];
        let world = run(seed, config, lossy());
        let receiver = receiver(&world);
        receiver.verdict().unwrap();
        assert_eq!(receiver.completions().len(), 30);
        assert_eq!(receiver.body_bytes(), 6 * (1 + 1460 + 22_000 + 100_000));
        assert!(receiver.stats().beyond_gap > 0);
    });
}

#[test]
fn the_rate_of_the_link_is_the_goodput_of_a_long_transfer() {
    let link =
        LinkConfig { rate: Rate::mbit(100), queue_frames_max: 10_000, ..LinkConfig::default() };
    let world = run(Seed(1), config(&[5]), link);
    let [done] = receiver(&world).completions() else { panic!("one completion") };
    // 1,448 bytes of text in each frame of 1,514, and a start of a few round trips.
    let best = SIZES[5] as f64 * 8.0 * 1514.0 / 1448.0 / 100e6;
    let took = done.done_at.saturating_since(done.asked_at).as_secs_f64();
    assert!((best..best * 1.1).contains(&took), "{took} s, at best {best} s");
}

/// The peer's window is the ceiling: 32 KiB in each round trip of 100 ms.
#[test]
fn a_short_window_is_the_ceiling() {
    let link = LinkConfig { delay: Duration::from_millis(50), ..LinkConfig::default() };
    let mut config = config(&[5]);
    config.manners = Manners::default().with_window(32_768);
    let world = run(Seed(1), config, link);
    let [done] = receiver(&world).completions() else { panic!("one completion") };
    let took = done.done_at.saturating_since(done.asked_at).as_secs_f64();
    let ceiling = SIZES[5] as f64 / 32_768.0 * 0.1;
    assert!((ceiling * 0.99..ceiling * 1.1).contains(&took), "{took} s, ceiling {ceiling} s");
}

#[test]
fn every_second_segment_is_acknowledged_where_asked() {
    let acks = |acknowledging| {
        let mut config = config(&[5]);
        config.manners.acknowledging = acknowledging;
        let world = run(Seed(1), config, LinkConfig::default());
        let stats = *receiver(&world).stats();
        assert_eq!(stats.beyond_gap, 0);
        stats.acks_out as f64 / stats.in_order as f64
    };
    assert!((0.99..=1.01).contains(&acks(Acknowledging::EACH)));
    assert!((0.49..=0.51).contains(&acks(Acknowledging::DELAYED)));
    let delay = Duration::from_millis(500);
    assert!((0.24..=0.26).contains(&acks(Acknowledging::Delayed { every: 4, delay })));
}

#[test]
fn half_closed_it_still_gets_everything() {
    check(0..10, |seed| {
        let mut config = config(&[4]);
        config.connections = 4;
        config.manners.closing = Closing::BehindRequests;
        let world = run(seed, config, lossy());
        receiver(&world).verdict().unwrap();
    });
}

#[test]
fn waits_for_the_server_to_close_where_asked() {
    let body = Body::Pattern { seed: 3, len: SIZES[3] };
    let mut config = ReceiverConfig::new(SERVER, vec![Request::get_and_close("/3", body)]);
    config.manners.closing = Closing::AfterServer;
    let world = run(Seed(1), config, LinkConfig::default());
    receiver(&world).verdict().unwrap();
}

#[test]
fn an_abort_in_the_middle_leaves_no_connection_behind() {
    check(0..10, |seed| {
        let mut config = config(&[5]);
        config.connections = 5;
        config.manners.closing = Closing::Abort { after: 10_000 * seed.0 };
        let mut world = run(seed, config, LinkConfig::default());
        assert_eq!(receiver(&world).end_of(4), Some(ConnEnd::Aborted));
        assert!(receiver(&world).wrongs().is_none());
        world.run_for(Duration::from_secs(1)).unwrap();
        let server = world.hosts().next().unwrap().left().unwrap();
        assert_eq!((server.stack.connections(), server.stack.stats().reset_by_peer), (0, 5));
    });
}

/// The server gives up on a client that fell silent, by its stall timeout.
#[test]
fn a_client_that_vanishes_is_given_up() {
    let mut config = config(&[5]);
    config.manners.closing = Closing::Vanish { after: 200_000 };
    let mut world = run(Seed(1), config, LinkConfig::default());
    assert_eq!(receiver(&world).end_of(0), Some(ConnEnd::Vanished));
    world.run_for(Duration::from_secs(600)).unwrap();
    let server = world.hosts().next().unwrap().left().unwrap();
    assert_eq!(server.stack.connections(), 0);
    assert_eq!(server.stack.app().stats().stalled, 1);
}

#[test]
fn wrong_bytes_are_seen() {
    let wrong = Request::get("/3", Body::Pattern { seed: 4, len: SIZES[3] });
    let world = run(Seed(1), ReceiverConfig::new(SERVER, vec![wrong]), LinkConfig::default());
    assert!(receiver(&world).wrongs().bytes > 0 && receiver(&world).verdict().is_err());
}

#[test]
fn progress_is_noted_at_its_times() {
    let mut config = config(&[5]);
    config.progress_every = Duration::from_millis(10);
    let world = run(Seed(1), config, LinkConfig::default());
    let progress = receiver(&world).progress();
    assert!(progress.len() >= 2);
    for (n, note) in (0..).zip(progress) {
        assert_eq!(note.at, Instant::ZERO + Duration::from_millis(10 * n));
    }
    assert!(progress.is_sorted_by_key(|note| note.bytes));
}

#[test]
fn same_twice_and_forked_at_any_event() {
    check(0..10, |seed| {
        same_twice_and_forked(
            || {
                let mut config = config(&[3, 4, 1]);
                config.connections = 4;
                config.manners.sack = true;
                config.stagger = Duration::from_millis(3);
                pair(seed, Receiver::numbered(2, config, seed), lossy()).0
            },
            Duration::from_secs(20),
        );
    });
}
