//! Links that decide when a frame's turn comes: outages, changes, traces, CoDel.

use super::bench::*;
use super::*;
use crate::link::codel::{CoDel, Verdict, control_law};
use proptest::prelude::*;
use simoom_core::wire::{self, checksum};
use std::sync::Arc;

#[test]
fn frames_are_dropped_or_held_while_the_link_is_down() {
    let times = [(at_us(100), at_us(200)), (at_us(150), at_us(300))];
    let offered = [50, 100, 150, 299, 300];
    let run = |while_down| {
        let outages = Outages::new(times, while_down);
        let mut bench = Bench::new(LinkConfig { outages, queue_frames_max: 2, ..wide() });
        for us in offered {
            bench.offer(at_us(us), &ipv4(1250));
        }
        bench.finish();
        let times: Vec<_> = bench.arrived.iter().map(|(at, n, _)| (*n, *at)).collect();
        (times, bench.link.stats.link_down, bench.link.stats.queue_full)
    };
    assert_eq!(run(WhileDown::Drop), (vec![(1, at_us(1060)), (5, at_us(1310))], 3, 0));
    let held = vec![(1, at_us(1060)), (2, at_us(1310)), (3, at_us(1320)), (5, at_us(1330))];
    assert_eq!(run(WhileDown::Hold), (held, 0, 1));
}

#[test]
fn a_flapping_link_is_down_and_up_over_and_over() {
    let flap = Flap { first: at_us(100), down: ms(1), up: ms(2) };
    let outages = Outages::new([(at_us(50), at_us(120))], WhileDown::Drop).and_flapping(flap);
    for (at, up) in [
        (0, 0),
        (50, 1100),
        (100, 1100),
        (1099, 1100),
        (1100, 1100),
        (3099, 3099),
        (3100, 4100),
        (30_100, 31_100),
        (31_100, 31_100),
    ] {
        assert_eq!(outages.up_at(at_us(at)), at_us(up), "at {at}");
    }
    let for_ever = Outages::new([(at_us(10), Instant::FAR_FUTURE)], WhileDown::Hold);
    assert_eq!(for_ever.up_at(at_us(11)), Instant::FAR_FUTURE);
}

#[test]
fn what_an_endless_outage_holds_leaves_when_the_link_heals() {
    for trace in [None, Some(Trace::from_millis([1]).unwrap())] {
        let outages = Outages::new([(Instant::ZERO, Instant::FAR_FUTURE)], WhileDown::Hold);
        let mut bench = Bench::new(LinkConfig { outages, trace, ..wide() });
        for us in [0, 10, 20] {
            bench.offer(at_us(us), &ipv4(1250));
        }
        assert_eq!((bench.link.next_wake(bench.now), bench.link.held()), (None, 3));
        bench.run(at_us(50_000));
        bench.link.heal(bench.now);
        bench.finish();
        assert_eq!(bench.order(), [1, 2, 3]);
        assert!(bench.arrived.iter().all(|(at, ..)| (at_us(51_000)..at_us(55_000)).contains(at)));
    }
}

#[test]
fn a_change_takes_what_waits_with_it() {
    let narrow = LinkConfig { rate: Rate::mbit(10), delay: ms(2), ..wide() };
    let changes = Arc::from([(at_us(25), narrow.clone()), (at_us(5_000), wide())]);
    let mut bench = Bench::new(LinkConfig { changes, ..wide() });
    for _ in 0..4 {
        bench.offer(Instant::ZERO, &ipv4(1250));
    }
    bench.offer(at_us(6_000), &ipv4(1250));
    bench.finish();
    // 10 µs a frame, the third under way at the change; then 1 ms a frame.
    let times: Vec<_> = bench.arrived.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [1010, 1020, 1030, 3030, 7010].map(at_us));
}

#[test]
fn a_trace_is_read_and_what_is_wrong_with_one_is_named_with_its_line() {
    let trace = Trace::parse("0\n 5 \n5\n12\n").unwrap();
    assert_eq!((trace.opportunities(), trace.period()), (4, ms(12)));
    assert_eq!(trace.bits_per_second(), 4 * 12_000 * 1000 / 12);
    let error = |text| Trace::parse(text).unwrap_err().to_string();
    assert_eq!(error("1\n2\nx3\n"), "line 3: \"x3\" is no time in whole milliseconds");
    assert_eq!(error("1\n\n2"), "line 2: \"\" is no time in whole milliseconds");
    assert_eq!(error("4294967296"), "line 1: \"4294967296\" is no time in whole milliseconds");
    assert_eq!(error("-1"), "line 1: \"-1\" is no time in whole milliseconds");
    assert_eq!(error("7\n9\n8"), "line 3: time 8 comes after 9: they must not fall");
    assert_eq!(error("0\n0\n"), "the last time is 0: the trace has no length");
    assert_eq!(Trace::parse(""), Err(TraceError::Empty));
    let long = std::iter::repeat_n(1, OPPORTUNITIES_MAX + 1);
    let line = OPPORTUNITIES_MAX + 1;
    assert_eq!(Trace::from_millis(long), Err(TraceError::TooLong { line }));
}

#[test]
fn a_frame_leaves_with_the_opportunity_that_takes_its_last_byte() {
    let trace = Some(Trace::from_millis([2, 2, 5, 10]).unwrap());
    let config = LinkConfig { trace, delay: Duration::ZERO, ..wide() };
    let mut bench = Bench::new(config);
    // Three packets of 1,000 bytes: two opportunities at 2 ms.
    for _ in 0..3 {
        bench.offer(at_us(100), &ipv4(1014));
    }
    // Too late for the one at 5 ms; the next is at 10, then 12 twice, which begins the second round.
    bench.offer(at_us(5_000), &ipv4(2014));
    bench.offer(at_us(5_000), &ipv4(1014));
    bench.finish();
    let times: Vec<_> = bench.arrived.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [2_000, 2_000, 2_000, 12_000, 12_000].map(at_us));
}

/// A trace of one opportunity a millisecond carries 12 Mb/s, whatever the packets.
#[test]
fn a_trace_carries_its_rate_when_there_is_enough_to_carry() {
    let trace = Some(Trace::from_millis([1]).unwrap());
    for len in [54, 700, 1514] {
        let mut bench = Bench::new(LinkConfig { trace: trace.clone(), ..wide() });
        for _ in 0..400_000 / len {
            bench.offer(Instant::ZERO, &ipv4(len));
        }
        bench.finish();
        let last = bench.arrived.last().unwrap().0 - at_us(1000);
        let packets = (400_000 / len * (len - 14)) as u64;
        assert_eq!(last, ms(packets.div_ceil(1500)));
    }
}

proptest! {
    #[test]
    fn the_next_opportunity_is_found_without_looking_at_all(
        mut times in proptest::collection::vec(0u32..20, 1..8),
        nanos in 0u64..200_000_000,
    ) {
        times.sort_unstable();
        *times.last_mut().unwrap() += 1;
        let trace = Trace::from_millis(times).unwrap();
        let at = Instant::from_nanos(nanos);
        let first = (0..).find(|n| trace.at(*n) > at).unwrap();
        prop_assert_eq!(trace.first_after(at), first);
        let whole = at_us(nanos / 1_000_000 * 1000);
        let from = (0..).find(|n| trace.at(*n) >= whole).unwrap();
        prop_assert_eq!(trace.first_from(whole), from);
    }
}

#[test]
fn the_control_law_falls_with_the_square_root() {
    let config = CoDelConfig::default();
    for (count, us) in [(1, 100_000), (2, 70_710), (4, 50_000), (100, 10_000), (10_000, 1_000)] {
        let next = control_law(&config, at_us(7), count);
        assert_eq!(next, Instant::from_nanos(next.as_nanos()));
        assert_eq!((next - at_us(7)).as_micros(), us, "count {count}");
    }
}

/// The times of the drops while the delay stands above the target: after one interval, then after
/// 100 ms, 70.7, 57.7, 50, ... RFC 8289 §4.
#[test]
fn drops_come_at_the_times_of_the_control_law() {
    let config = CoDelConfig::default();
    let mut codel = CoDel::default();
    let mut drops = Vec::new();
    for n in 0..600 {
        let now = at_us(1000 * n);
        // Each packet has waited for 20 ms; where one was dropped, the next is looked at.
        while codel.judge(&config, now, ms(20), 100_000, 1514) == Verdict::Drop {
            drops.push(n);
        }
    }
    let mut expected = vec![100];
    let mut at = 100.0;
    for count in 1..10 {
        at += 100.0 / f64::from(count).sqrt();
        if at < 600.0 {
            expected.push(at.ceil() as u64);
        }
    }
    assert_eq!(drops, expected);
    // One packet in time ends it.
    assert_eq!(codel.judge(&config, at_us(600_000), ms(4), 100_000, 1514), Verdict::Send);
    assert_eq!(codel.judge(&config, at_us(601_000), ms(20), 100_000, 1514), Verdict::Send);
    // A queue of one packet is no queue.
    assert_eq!(codel.judge(&config, at_us(999_000), ms(20), 1514, 1514), Verdict::Send);
}

/// Twice the rate for two seconds, of packets that may be marked or not.
fn overload(aqm: Aqm, tos: u8) -> Bench {
    let config = LinkConfig { aqm, rate: Rate::mbit(10), ..wide() };
    let mut bench = Bench::new(config);
    let mut frame = tcp(ACK, 1, &[3; 1446]);
    frame[15] = tos;
    crate::link::tcp::repair_checksums(&mut frame);
    for i in 0..3333 {
        bench.offer(at_us(600 * i), &frame);
    }
    bench.finish();
    bench
}

#[test]
fn codel_drops_what_is_not_ecn_capable_and_marks_what_is() {
    let with = |ecn| Aqm::CoDel(CoDelConfig { ecn, ..CoDelConfig::default() });
    let drops = overload(with(false), 0b10).link.stats;
    assert!(drops.queue_managed > 20 && drops.marked == 0, "{drops:?}");
    let not_capable = overload(with(true), 0b00).link.stats;
    assert_eq!(not_capable, drops);
    for ect in [0b01, 0b10, 0b11] {
        let bench = overload(with(true), 0xa0 | ect);
        assert_eq!(bench.link.stats.queue_managed, 0);
        assert!(bench.link.stats.marked > 20);
        let mut ce = 0;
        for (.., bytes) in &bench.arrived {
            assert!(wire::parse(bytes, true).is_ok(), "the checksum is repaired");
            assert!(bytes[15] == 0xa0 | ect || bytes[15] == 0xa3);
            ce += u64::from(bytes[15] & 0b11 == 0b11);
        }
        assert!(ect == 0b11 || ce == bench.link.stats.marked);
    }
    let tail = overload(Aqm::DropTail, 0).link.stats;
    assert_eq!((tail.queue_managed, tail.delivered), (0, 3333));
}

#[test]
fn codel_holds_the_delay_of_a_load_that_yields() {
    // A sender that sends at 12 Mb/s and halves its load for 50 ms at each drop.
    let aqm = Aqm::CoDel(CoDelConfig::default());
    let config = LinkConfig { aqm, rate: Rate::mbit(10), ..wide() };
    let mut bench = Bench::new(config);
    let (mut at, mut slow_until, mut dropped) = (Instant::ZERO, Instant::ZERO, 0);
    let mut offered = Vec::new();
    while at < Instant::ZERO + Duration::from_secs(20) {
        bench.offer(at, &ipv4(1500));
        offered.push(at);
        if bench.link.stats.queue_managed > dropped {
            dropped = bench.link.stats.queue_managed;
            slow_until = at + ms(50);
        }
        at += if at < slow_until { Duration::from_micros(2000) } else { ms(1) };
    }
    bench.finish();
    assert!(dropped > 50, "{dropped}");
    // How long frames waited in the second half: at most 1.2 ms on the wire, 1 ms of distance.
    let half = bench.arrived.len() / 2;
    let waits = bench.arrived[half..].iter().map(|(at, n, _)| {
        (*at - offered[*n as usize - 1]).as_nanos().saturating_sub(2_200_000) / 1_000
    });
    let mut waits: Vec<u64> = waits.collect();
    waits.sort_unstable();
    let median = waits[waits.len() / 2];
    assert!((1_000..15_000).contains(&median), "{median} µs of standing delay");
}

#[test]
fn what_a_trace_has_begun_the_rate_ends_when_it_takes_over() {
    let plain = LinkConfig { rate: Rate::mbit(8), delay: Duration::ZERO, ..wide() };
    let config = LinkConfig {
        trace: Some(Trace::from_millis([1]).unwrap()),
        changes: Arc::from([(at_us(1_500), plain.clone())]),
        ..plain
    };
    let mut bench = Bench::new(config);
    bench.offer(Instant::ZERO, &ipv4(2014));
    bench.offer(Instant::ZERO, &ipv4(1000));
    bench.finish();
    // 500 bytes are left at the change: 500 µs.
    let times: Vec<_> = bench.arrived.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [2_000, 3_000].map(at_us));
}

#[test]
fn a_mark_changes_the_checksum_as_if_it_were_computed_anew() {
    for tos in 0..=255u8 {
        for id in [0u16, 1, 0xfffe, 0xffff, 0x1234] {
            let mut frame = ipv4(100);
            frame[14] = 0x45;
            frame[15] = tos;
            frame[18..20].copy_from_slice(&id.to_be_bytes());
            let sum = checksum::sum(&frame[14..34]).finish();
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            let before = frame.clone();
            let marked = ip::mark_congestion(&mut frame);
            assert_eq!(marked, tos & 3 != 0);
            if !marked {
                assert_eq!(frame, before);
            }
            assert_eq!(
                (frame[15], checksum::sum(&frame[14..34]).finish()),
                (if marked { tos | 3 } else { tos }, 0)
            );
        }
    }
    assert!(!ip::mark_congestion(&mut [0; 60]), "no IPv4");
}
