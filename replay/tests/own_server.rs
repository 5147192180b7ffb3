//! A capture of our own server, replayed: no difference, and what was changed on purpose shows as its
//! class and as nothing else.

#[allow(unreachable_pub, reason = "shared by several tests")]
mod world;

use simoom_core::mutants::{Mutant, activate, happened};
use simoom_core::time::Duration;
use simoom_core::wire::rewrite::TcpFrameMut;
use simoom_core::wire::{Frame, TcpFlags, TcpFrame, parse};
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
    assert_eq!(
        totals.summary.our_again.iter().sum::<u64>(),
        totals.summary.their_again.iter().sum::<u64>()
    );
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

/// Server and fault: what the replay finds where the captured server has the fault and ours has not.
fn with_fault(world: World, mutant: Mutant) -> OpenTotals {
    activate(Some(mutant));
    let capture = world.record();
    assert!(happened() > 0, "{mutant:?} did not happen");
    activate(None);
    replay(&capture, &exact())
}

fn lossy() -> World {
    let mut world = World::new(&[100_000], 1, 1, 1);
    world.loses_to_client = |n| n == 20;
    world
}

#[test]
fn a_wrong_retransmission_shows_as_its_kind() {
    assert_same(&replay(&lossy().record(), &exact()), 1);
    assert_only(&with_fault(lossy(), Mutant::DuplicateThresholdOne), Class::FastRetransmit);
    assert_only(&with_fault(lossy(), Mutant::SkippedRetransmission), Class::FastRetransmit);
    let mut tail = World::new(&[20_000], 1, 1, 1);
    tail.loses_to_client = |n| n > 14 && n < 18;
    assert_only(&with_fault(tail, Mutant::NoBackoff), Class::Timeout);
}

#[test]
fn a_wrong_window_shows_as_that() {
    let world = || World::new(&[100_000], 1, 1, 1);
    assert_only(&with_fault(world(), Mutant::InitialWindowTripled), Class::CongestionWindow);
    assert_only(&with_fault(world(), Mutant::SlowStartSquared), Class::CongestionWindow);
    assert_only(&with_fault(lossy(), Mutant::WindowNotHalved), Class::CongestionWindow);
}

/// The nth frame of a capture in pcapng, counted from 0, that `wanted` wants, changed by `change`,
/// its checksums made right.
fn changed(
    capture: &[u8],
    nth: usize,
    wanted: fn(&TcpFrame<'_>) -> bool,
    change: fn(&mut [u8]),
) -> Vec<u8> {
    let mut out = capture.to_vec();
    let (mut at, mut seen) = (0, 0);
    while at < out.len() {
        let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
        let (kind, len) = (word(at), word(at + 4) as usize);
        if kind == 6 {
            let frame = at + 28..at + 28 + word(at + 20) as usize;
            if let Ok(Frame::Tcp(tcp)) = parse(&capture[frame.clone()], true)
                && wanted(&tcp)
            {
                if seen == nth {
                    change(&mut out[frame.clone()]);
                    let mut tcp = TcpFrameMut::new(&mut out[frame]).unwrap().unwrap();
                    tcp.repair_checksums();
                    return out;
                }
                seen += 1;
            }
        }
        at += len;
    }
    panic!("no such frame")
}

#[test]
fn one_altered_ack_in_the_file_is_reported() {
    let capture = World::new(&[60_000], 5, 10, 1).record();
    let pure = |tcp: &TcpFrame<'_>| {
        tcp.tcp.dst_port == 80 && tcp.tcp.payload.is_empty() && tcp.tcp.flags == TcpFlags::ACK
    };
    let theirs = |tcp: &TcpFrame<'_>| tcp.tcp.src_port == 80 && !tcp.tcp.payload.is_empty();
    assert_same(&replay(&capture, &exact()), 10);
    // In the middle of an answer, by 1,000 octets less; of something never sent; of the server's.
    let less = |frame: &mut [u8]| {
        let ack = u32::from_be_bytes(frame[42..46].try_into().unwrap()).wrapping_sub(1_000);
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
    };
    let more = |frame: &mut [u8]| {
        let ack = u32::from_be_bytes(frame[42..46].try_into().unwrap()).wrapping_add(1_000_000);
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
    };
    for (nth, wanted, change) in [
        (40, pure as fn(&TcpFrame<'_>) -> bool, less as fn(&mut [u8])),
        (41, pure, less),
        (60, pure, more),
        (33, theirs, less),
    ] {
        let summary = replay(&changed(&capture, nth, wanted, change), &exact()).summary;
        assert_eq!((summary.connections, summary.same), (10, 9), "{nth}");
    }
}
