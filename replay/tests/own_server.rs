//! A capture of our own server, replayed: no difference, and what was changed on purpose shows as its
//! class and as nothing else.

#[allow(unreachable_pub, reason = "shared by several tests")]
mod world;

use simoom_core::time::Duration;
use simoom_replay::compare::{Class, Rules};
use simoom_replay::open::{OpenTotals, Profile};
use world::{World, replay};

/// Our own server, on time to the nanosecond.
fn exact() -> Profile {
    let mut profile = Profile::simoom();
    profile.rules = Rules { tolerance: 0, ..Rules::OWN };
    profile.timer_slack = 0;
    profile
}

#[track_caller]
fn assert_same(totals: &OpenTotals, connections: u64) {
    let summary = &totals.summary;
    assert_eq!(summary.connections, connections);
    assert!(summary.is_same() && summary.farthest == 0, "{:#?}", summary.kept.first());
    assert!(summary.compared > 3 * connections);
    assert_eq!(totals.ours, totals.theirs);
    assert_eq!(totals.misfits, 0);
}

/// The only class that is found in any connection.
#[track_caller]
fn assert_only(totals: &OpenTotals, class: Class) {
    let found: Vec<_> = totals.summary.by_weight().into_iter().map(|(class, _)| class).collect();
    assert_eq!(found, [class], "{:#?}", totals.summary.kept.first());
}

#[test]
fn one_answer_is_the_same() {
    let totals = replay(&World::new(&[60_000], 1, 1, 1).record(), &exact());
    assert_same(&totals, 1);
}

#[test]
fn keep_alive_and_pipelining_are_the_same() {
    let mut world = World::new(&[300, 14_480, 20_000, 1], 4, 80, 10);
    world.fetch.pipeline = 4;
    world.fetch.think = Duration::from_millis(3);
    assert_same(&replay(&world.record(), &exact()), 10);
}

#[test]
fn losses_in_both_directions_are_answered_in_the_same_way() {
    let mut world = World::new(&[200_000, 500, 40_000], 8, 96, 4);
    world.loses_to_client = |n| n % 23 == 7 || n % 101 < 3;
    world.loses_to_server = |n| n % 29 == 11;
    let totals = replay(&world.record(), &exact());
    assert!(totals.summary.our_again.iter().sum::<u64>() > 100);
    assert_eq!(totals.summary.our_again.iter().sum::<u64>(), totals.summary.their_again.iter().sum::<u64>());
    assert_same(&totals, 28);
}

#[test]
fn a_thousand_connections_are_the_same_within_the_default_tolerance_too() {
    let mut world = World::new(&[3_000, 30_000, 100], 100, 1_200, 1);
    world.loses_to_client = |n| n % 97 == 50;
    let capture = world.record();
    assert_same(&replay(&capture, &exact()), 1_200);
    assert_same(&replay(&capture, &Profile::simoom()), 1_200);
}

#[test]
fn another_initial_window_shows_as_that() {
    for segments in [4, 20] {
        let mut world = World::new(&[60_000], 2, 4, 1);
        world.server.tcp.initial_window_segments = segments;
        assert_only(&replay(&world.record(), &exact()), Class::CongestionWindow);
    }
}

#[test]
fn another_minimum_rto_shows_as_a_timeout() {
    for millis in [100, 300] {
        let mut world = World::new(&[60_000], 2, 4, 1);
        world.server.tcp.min_rto = Duration::from_millis(millis);
        // The end of an answer.
        world.loses_to_client = |n| n == 45;
        assert_only(&replay(&world.record(), &exact()), Class::Timeout);
    }
}

#[test]
fn an_option_left_out_shows_as_that() {
    let mut world = World::new(&[60_000], 2, 4, 1);
    world.server.tcp.timestamps = false;
    let capture = world.record();
    // What the capture shows is imitated; the difference is there where it is not.
    assert_same(&replay(&capture, &exact()), 4);
}
