//! What is known of a world is found again in a capture of it.

#[allow(dead_code, reason = "shared by several tests")]
mod known;

use known::{At, Known, START};
use simoom_core::time::Duration;
use simoom_replay::analysis::Vantage;
use simoom_sim::hosts::tcp_peer::{Acknowledging, Manners};
use simoom_sim::lab::Rate;
use simoom_sim::link::LoseByte;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn within(part: f64, found: u64, known: u64) {
    let off = (found as f64 - known as f64).abs() / known as f64;
    assert!(off <= part, "{found} is {off:.4} away from {known}");
}

/// Text of a full segment: MSS 1460 less timestamps.
const SEGMENT: u64 = 1_448;

#[test]
fn round_trips_are_found_within_two_percent() {
    for (round_trip, at) in [(2, At::Server), (40, At::Server), (300, At::Server), (40, At::Client)]
    {
        let mut known = Known::new(ms(round_trip), &[(100, ms(3), 40_000)]);
        known.at = at;
        let (_, fit) = known.fit();
        within(0.02, fit.round_trip(), ms(round_trip).as_nanos());
        let vantage = if at == At::Server { Vantage::Server } else { Vantage::Client };
        assert_eq!(fit.vantage, vantage);
        let there = if at == At::Server { fit.path.to_client } else { fit.path.to_server };
        assert_eq!(there.stands_in, None);
        assert!(there.samples >= 1);
    }
}

#[test]
fn bottlenecks_are_found_within_five_percent() {
    for mbit in [1, 5, 50, 200] {
        for every in [1, 2] {
            let mut known = Known::new(ms(40), &[(100, ms(0), 400_000)]);
            known.to_client.rate = Rate::mbit(mbit);
            known.manners.acknowledging = Acknowledging::Delayed { every, delay: ms(40) };
            let (_, fit) = known.fit();
            let rate = fit.path.rate.value.expect("a rate is found");
            within(0.05, rate, mbit * 1_000_000);
            assert_eq!(fit.path.variation.value, 0, "a queue is no jitter");
            assert!(fit.path.losses.is_empty());
        }
    }
}

#[test]
fn a_path_without_a_bottleneck_shows_none_and_says_why() {
    let (_, fit) = Known::new(ms(40), &[(100, ms(0), 400_000)]).fit();
    assert_eq!(fit.path.rate.value, None);
    assert!(fit.path.rate.stands_in.is_some());
    let (_, short) = Known::new(ms(40), &[(100, ms(0), 500)]).fit();
    assert!(short.path.rate.stands_in.unwrap().contains("too few"));
}

#[test]
fn every_loss_is_found_at_its_place_and_none_else() {
    for (name, rules) in [
        ("none", vec![]),
        ("one", vec![(20 * SEGMENT, 0)]),
        ("two in one flight", vec![(20 * SEGMENT, 0), (22 * SEGMENT, 0)]),
        ("and its retransmission", vec![(20 * SEGMENT, 0), (20 * SEGMENT, 1)]),
        ("the last", vec![(199_999, 0)]),
        ("the last four times", vec![(199_999, 0), (199_999, 1), (199_999, 2), (199_999, 3)]),
        ("far apart", vec![(9 * SEGMENT, 0), (60 * SEGMENT, 0), (100 * SEGMENT, 0)]),
    ] {
        for every in [1, 2] {
            let mut known = Known::new(ms(40), &[(100, ms(0), 200_000)]);
            known.manners.acknowledging = Acknowledging::Delayed { every, delay: ms(40) };
            let lose = |(offset, retransmission): &(u64, u32)| LoseByte {
                offset: *offset,
                retransmission: *retransmission,
            };
            known.to_client.lose_bytes = rules.iter().map(lose).collect();
            let (_, fit) = known.fit();
            let found: Vec<_> = fit.path.losses.iter().collect();
            assert_eq!(found.len(), rules.len(), "{name}, every {every}: {found:?}");
            for (loss, (offset, retransmission)) in found.iter().zip(&rules) {
                assert!(loss.offset <= *offset && *offset < loss.upto, "{name}: {loss:?}");
                assert_eq!(loss.retransmission, *retransmission, "{name}");
            }
        }
    }
}

#[test]
fn how_a_client_acknowledges_is_found_exactly() {
    for (every, delay) in [(1, ms(40)), (2, ms(40)), (2, ms(200)), (3, ms(25)), (4, ms(100))] {
        let mut known = Known::new(
            ms(20),
            &[(100, ms(0), 100_000), (100, ms(0), 500), (100, ms(0), 700), (100, ms(0), 900)],
        );
        known.manners.acknowledging = Acknowledging::Delayed { every, delay };
        // Long enough that the delayed acknowledgement comes by itself.
        known.manners.think = ms(600);
        let (_, fit) = known.fit();
        assert_eq!(fit.client_side.ack_every.value, every);
        assert_eq!(fit.client_side.ack_every.stands_in, None);
        if every > 1 {
            assert_eq!(fit.client_side.ack_delay.value, delay.as_nanos());
            assert!(fit.client_side.ack_delay.samples >= 2);
        } else {
            assert!(fit.client_side.ack_delay.stands_in.is_some());
        }
    }
}

#[test]
fn sizes_and_thoughts_are_found_to_the_microsecond() {
    let exchanges = [
        (120, ms(0), 3_000),
        (300, Duration::from_micros(1_234), 70_000),
        (80, ms(250), 1),
        (4_000, ms(7), 9_999),
    ];
    for (at, every) in [(At::Server, 1), (At::Server, 2), (At::Client, 1), (At::Client, 2)] {
        let mut known = Known::new(ms(40), &exchanges);
        known.at = at;
        known.manners.think = Duration::from_micros(123_456);
        known.manners.acknowledging = Acknowledging::Delayed { every, delay: ms(40) };
        let (recorded, fit) = known.fit();
        let talk = &fit.talk;
        assert_eq!(talk.turns.len(), exchanges.len(), "{at:?}: {talk:?}");
        assert_eq!((talk.says.len(), talk.writes.len()), (4, 4), "{at:?}: {talk:?}");
        let (mut asked, mut answered) = (0, 0);
        for (n, (asks, think, answers)) in exchanges.into_iter().enumerate() {
            let (say, write, turn) = (&talk.says[n], &talk.writes[n], &talk.turns[n]);
            assert_eq!((say.from, say.after), (asked, answered), "{at:?} {n}");
            assert_eq!((turn.request_from, write.from), (asked, answered));
            asked += asks as u64;
            answered += answers as u64;
            assert_eq!((turn.request_upto, turn.response_upto), (asked, answered));
            assert_eq!(write.after, asked);
            let off = write.think.abs_diff(think.as_nanos());
            assert!(off < 1_000, "{at:?}: the server thought {} not {think:?}", write.think);
            let waited = if n == 0 { 0 } else { 123_456_000 };
            assert!(say.think.abs_diff(waited) < 1_000, "{at:?} {n}: {}", say.think);
            let off = turn.took.abs_diff(recorded.took[n]);
            assert!(off < 1_000, "{at:?} {n}: {} not {}", turn.took, recorded.took[n]);
        }
        assert!(fit.opened_at >= START);
    }
}

#[test]
fn windows_and_options_are_found() {
    let mut known = Known::new(ms(20), &[(100, ms(0), 60_000)]);
    known.manners = Manners { sack: true, mss: 1_000, ..Manners::default().with_window(20_000) };
    let (_, fit) = known.fit();
    let side = &fit.client_side;
    assert_eq!(side.syn.mss, Some(1_000));
    assert!(side.syn.sack_permitted && side.syn.timestamps.is_some());
    assert_eq!((side.window_max.value, side.windows_closed), (20_000, 0));
    assert_eq!(side.windows.len(), 1, "{:?}", side.windows);
    assert_eq!(fit.segment_text_max(), 988);
}

#[test]
fn a_reader_that_does_not_read_is_found_by_its_steps() {
    let mut known = Known::new(ms(20), &[(100, ms(0), 100_000)]);
    known.manners = Manners::slow_reader(8_000, 50_000);
    let (_, fit) = known.fit();
    let side = &fit.client_side;
    assert_eq!((side.window_max.value, side.windows_left_out), (8_000, 0));
    let later = side.windows.iter().filter(|step| step.after > 0).count();
    assert!(later > 20, "{:?}", side.windows);
}
