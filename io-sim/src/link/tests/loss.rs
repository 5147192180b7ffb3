//! What links lose, hold back, reorder, damage and find too long.

use super::bench::*;
use super::*;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::icmpv4::IcmpMessage;
use simoom_core::wire::{self, Frame};
use std::net::Ipv4Addr;
use std::sync::Arc;

#[test]
fn one_frame_in_so_many_is_lost_from_the_first_on() {
    let loss_every = Some(Every { nth: 7, first: 3 });
    let bench = Bench::stream(LinkConfig { loss_every, ..wide() }, 30);
    assert_eq!(bench.lost(), [3, 10, 17, 24]);
    assert_eq!((bench.link.stats.lost, bench.link.stats.lost_by_period), (4, 4));
}

#[test]
fn listed_frames_are_lost_and_no_other() {
    let lose_frames = Arc::from([1, 2, 9, 500]);
    let bench = Bench::stream(LinkConfig { lose_frames, ..wide() }, 30);
    assert_eq!(bench.lost(), [1, 2, 9]);
    assert_eq!(bench.link.stats.lost_by_list, 3);
}

/// Against the chain's stationary distribution: loss within 10 % of itself, bursts within 10 %, over
/// 400,000 frames, for each of five seeds.
#[test]
fn gilbert_elliott_loses_as_often_and_in_such_bursts_as_its_chain() {
    let model = GilbertElliott {
        to_bad: Chance::ppm(10_000),
        to_good: Chance::ppm(250_000),
        loss_good: Chance::ppm(1_000),
        loss_bad: Chance::ppm(600_000),
    };
    for seed in 0..5 {
        let config = LinkConfig { burst_loss: Some(model), rate: Rate::UNLIMITED, ..wide() };
        let mut bench = Bench::with_seed(config, Seed(seed));
        let n = 400_000;
        let lost: Vec<bool> = (0..n)
            .map(|i| {
                let frame = bench.frames.add(&[0; 60]);
                let passage = offer(&mut bench.link, at_us(i), &mut bench.frames, frame);
                bench.frames.remove(frame);
                passage == LOST
            })
            .collect();
        let bad = 0.01 / (0.01 + 0.25);
        let expected = (1.0 - bad) * 0.001 + bad * 0.6;
        let found = lost.iter().filter(|lost| **lost).count() as f64 / n as f64;
        assert!((found / expected - 1.0).abs() < 0.1, "{found} for {expected}, seed {seed}");
        // The chance that the frame behind a lost one is lost.
        let pairs = lost.windows(2).filter(|pair| pair[0]);
        let (mut all, mut both) = (0.0, 0.0);
        for pair in pairs {
            all += 1.0;
            both += f64::from(u8::from(pair[1]));
        }
        let bad_given_lost = bad * 0.6 / expected;
        let still_bad = bad_given_lost * 0.75 + (1.0 - bad_given_lost) * 0.01;
        let again = still_bad * 0.6 + (1.0 - still_bad) * 0.001;
        assert!((both / all / again - 1.0).abs() < 0.1, "{} for {again}", both / all);
        assert_eq!(bench.link.stats.lost_in_bursts, bench.link.stats.lost);
    }
}

#[test]
fn a_byte_is_lost_at_the_retransmission_that_is_named_and_at_no_other() {
    let lose_bytes = Arc::from([
        LoseByte { offset: 4345, retransmission: 3 },
        LoseByte { offset: 0, retransmission: 0 },
    ]);
    let mut bench = Bench::new(LinkConfig { lose_bytes, ..wide() });
    let isn = u32::MAX - 2000; // wraps within the stream
    let text = [7; 1000];
    bench.offer(at_us(0), &tcp(SYN, isn, &[]));
    let mut sends = vec![0, 1000, 2000, 3000, 4000];
    // Frame 6 is the first with byte 4345; 8, 9 and 10 are its retransmissions, cut otherwise.
    sends.extend([0, 4000, 4345, 3346, 4346, 4000]);
    for (n, offset) in (1..).zip(sends) {
        bench.offer(at_us(20 * n), &tcp(ACK, isn.wrapping_add(1 + offset), &text));
    }
    // A connection whose SYN never passed is not followed.
    let mut other = tcp(ACK, isn.wrapping_add(1), &text);
    other[37] = 81;
    bench.offer(at_us(1000), &other);
    bench.finish();
    assert_eq!(bench.lost(), [2, 10]);
    assert_eq!(bench.link.stats.lost_by_list, 2);
}

#[test]
fn pure_acks_alone_are_lost_by_chance() {
    let config = LinkConfig { ack_loss: Chance::ALWAYS, ..wide() };
    let mut bench = Bench::new(config);
    let frames = [
        tcp(ACK, 1, &[]),
        tcp(ACK, 1, b"text"),
        tcp(SYN | ACK, 1, &[]),
        tcp(ACK | 1, 1, &[]),
        tcp(ACK | 4, 1, &[]),
        tcp(ACK | 8, 1, &[]),
        ipv4(100),
    ];
    for (n, frame) in (0..).zip(&frames) {
        bench.offer(at_us(100 * n), frame);
    }
    bench.finish();
    assert_eq!((bench.lost(), bench.link.stats.lost_acks), (vec![1, 6], 2));
}

#[test]
fn one_model_of_loss_moves_no_other() {
    let some = LinkConfig { loss: Chance::ppm(100_000), ..wide() };
    let burst = GilbertElliott {
        to_bad: Chance::ppm(50_000),
        to_good: Chance::ppm(200_000),
        loss_good: Chance::NEVER,
        loss_bad: Chance::ALWAYS,
    };
    let bursts = LinkConfig { burst_loss: Some(burst), ..wide() };
    let every = LinkConfig { loss_every: Some(Every { nth: 9, first: 1 }), ..wide() };
    let all = LinkConfig { burst_loss: Some(burst), loss_every: every.loss_every, ..some.clone() };
    let lost = |config| Bench::stream(config, 3000).lost();
    let mut each = [lost(some), lost(bursts), lost(every)].concat();
    each.sort_unstable();
    each.dedup();
    assert_eq!(lost(all), each);
}

#[test]
fn acks_wait_for_each_other_up_to_a_count_a_time_or_another_frame() {
    let ack_bunch = Some(AckBunch { count_max: 3, time_max: ms(5) });
    let config = LinkConfig { ack_bunch, rate: Rate::UNLIMITED, ..wide() };
    let mut bench = Bench::new(config);
    let ack = tcp(ACK, 1, &[]);
    for us in [0, 100, 200] {
        bench.offer(at_us(us), &ack);
    }
    bench.offer(at_us(10_000), &ack);
    bench.offer(at_us(20_000), &ack);
    bench.offer(at_us(21_000), &tcp(ACK, 1, b"text"));
    bench.finish();
    let times: Vec<_> = bench.arrived.iter().map(|(at, number, _)| (*number, *at)).collect();
    let expected = [(1, 1200), (2, 1200), (3, 1200), (4, 16_000), (5, 22_000), (6, 22_000)];
    assert_eq!(times, expected.map(|(n, us)| (n, at_us(us))));
    assert_eq!(bench.link.stats.bunched, 5);
}

#[test]
fn a_displaced_frame_arrives_behind_the_nth_later_one() {
    let mut bench = Bench::new(wide());
    let kind = FaultKind::Displaced { frames: 3, time_max: ms(10) };
    bench.link.force_faults(&[
        Fault { way: 0, frame: 2, kind },
        Fault { way: 0, frame: 4, kind: FaultKind::Lost },
    ]);
    for i in 0..8 {
        bench.offer(at_us(10 * i), &ipv4(1250));
    }
    bench.finish();
    assert_eq!(bench.order(), [1, 3, 5, 6, 2, 7, 8]);
    let (at, ..) = bench.arrived[4];
    assert_eq!((at, bench.link.stats.displaced), (at_us(1060), 1));
}

#[test]
fn a_displaced_frame_is_not_held_for_longer_than_its_time() {
    let mut bench = Bench::new(wide());
    let kind = FaultKind::Displaced { frames: 2, time_max: Duration::from_micros(15) };
    let fault = |frame| Fault { way: 0, frame, kind };
    bench.link.force_faults(&[fault(1), fault(3), fault(4)]);
    for us in [0, 10, 20, 4000] {
        bench.offer(at_us(us), &ipv4(1250));
    }
    bench.finish();
    let times: Vec<_> = bench.arrived.iter().map(|(at, number, _)| (*number, *at)).collect();
    assert_eq!(times, [(2, at_us(1020)), (1, at_us(1025)), (3, at_us(1045)), (4, at_us(5025))]);
}

#[test]
fn displacement_by_chance_holds_frames_and_loses_none() {
    let displace = Some(Displace { chance: Chance::ppm(50_000), frames: 4, time_max: ms(1) });
    let bench = Bench::stream(LinkConfig { displace, ..wide() }, 5000);
    let mut order = bench.order();
    let held = bench.link.stats.displaced;
    assert!((200..300).contains(&held), "{held}");
    let late = order.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
    assert!(late > held * 3 / 4 && late <= held, "{late} of {held}");
    order.sort_unstable();
    assert!(order.into_iter().eq(1..=5000));
}

/// Mean and deviation in microseconds of what jitter adds to the delay.
fn spread(variation: Variation) -> (f64, f64, Bench) {
    let config =
        LinkConfig { jitter: Jitter::Reordering(variation), rate: Rate::UNLIMITED, ..wide() };
    let mut bench = Bench::new(config);
    for i in 0..20_000 {
        bench.offer(at_us(1000 * i), &[0; 60]);
    }
    bench.finish();
    let extra = |(at, number, _): &(Instant, u64, Vec<u8>)| {
        (*at - at_us(1000 * (number - 1) + 1000)).as_nanos() as f64 / 1e3
    };
    let all: Vec<f64> = bench.arrived.iter().map(extra).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let variance = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / all.len() as f64;
    (mean, variance.sqrt(), bench)
}

/// Within 3 % over 20,000 frames.
#[test]
fn jitter_has_the_mean_and_deviation_of_its_distribution() {
    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.03;
    let us = Duration::from_micros;
    let (mean, deviation, bench) = spread(Variation::Uniform { max: us(600) });
    assert!(near(mean, 300.0) && near(deviation, 600.0 / 12f64.sqrt()), "{mean} {deviation}");
    assert!(bench.order().is_sorted(), "600 µs do not pass over 1 ms");
    let normal = Variation::Normal { mean: us(3000), deviation: us(400) };
    let (mean, deviation, bench) = spread(normal);
    assert!(near(mean, 3000.0) && near(deviation, 400.0), "{mean} {deviation}");
    assert!(!bench.order().is_sorted());
    let (mean, deviation, _) = spread(Variation::Exponential { mean: us(500) });
    assert!(near(mean, 500.0) && near(deviation, 500.0), "{mean} {deviation}");
}

#[test]
fn jitter_in_order_lets_no_frame_pass() {
    let variation = Variation::Uniform { max: ms(3) };
    let stream = |jitter| Bench::stream(LinkConfig { jitter, ..wide() }, 2000);
    let mut ordered = stream(Jitter::InOrder(variation));
    assert!(ordered.order().is_sorted());
    ordered.arrived.sort_by_key(|(_, number, _)| *number);
    assert!(ordered.arrived.is_sorted_by_key(|(at, ..)| *at));
    assert!(!stream(Jitter::Reordering(variation)).order().is_sorted());
}

#[test]
fn repaired_corruption_changes_one_byte_of_text_and_no_checksum_shows_it() {
    let config = LinkConfig { corrupt_repaired: Chance::ALWAYS, ..wide() };
    let mut bench = Bench::new(config);
    let whole = tcp(ACK, 5, &[0x55; 300]);
    for i in 0..200 {
        bench.offer(at_us(10 * i), &whole);
    }
    bench.offer(at_us(3000), &tcp(ACK, 5, &[]));
    bench.finish();
    let forged = bench
        .ends
        .iter()
        .filter(|end| matches!(end.2, Passage::Arrives { fate: Fate::ArrivedForged, .. }));
    assert_eq!(
        (forged.count(), bench.link.stats.forged, bench.link.stats.damaged),
        (200, 200, 200)
    );
    for (_, _, bytes) in &bench.arrived[..200] {
        let Ok(Frame::Tcp(frame)) = wire::parse(bytes, true) else { panic!("shows") };
        let wrong = frame.tcp.payload.iter().filter(|byte| **byte != 0x55).count();
        assert_eq!((wrong, &bytes[..24]), (1, &whole[..24]));
    }
}

#[test]
fn damage_that_checksums_show_is_not_repaired_with_other_damage() {
    let config = LinkConfig { corrupt_repaired: Chance::ALWAYS, corrupt: Chance::ALWAYS, ..wide() };
    let mut bench = Bench::new(config);
    for i in 0..200 {
        bench.offer(at_us(10 * i), &tcp(ACK, 5, &[0x55; 300]));
    }
    bench.finish();
    assert_eq!((bench.link.stats.forged, bench.link.stats.damaged), (0, 200));
    assert!(bench.arrived.iter().all(|(.., bytes)| wire::parse(bytes, true).is_err()));
}

#[test]
fn a_truncated_packet_is_shorter_than_its_header_says() {
    let mut bench = Bench::new(LinkConfig { truncate: Chance::ALWAYS, ..wide() });
    let mut padded = tcp(ACK, 5, &[]);
    padded.resize(60, 0);
    for i in 0..300 {
        bench.offer(at_us(10 * i), &padded);
    }
    bench.offer(at_us(4000), &[1; 40]);
    bench.finish();
    for (.., bytes) in &bench.arrived[..300] {
        assert!((14..54).contains(&bytes.len()) && wire::parse(bytes, true).is_err());
    }
    assert_eq!(bench.arrived[300].2, [1; 40], "no IPv4: whole");
    assert_eq!((bench.link.stats.truncated, bench.link.stats.damaged), (300, 300));
}

#[test]
fn a_packet_above_the_mtu_is_answered_as_rfc_1191_says() {
    let from = Ipv4Addr::new(10, 9, 9, 9);
    let mtu = Some(Mtu { bytes: 576, exceeded: MtuExceeded::Icmp { from } });
    let mut bench = Bench::new(LinkConfig { mtu, ..wide() });
    let long = tcp(ACK, 77, &[1; 537]);
    let fits = tcp(ACK, 77, &[1; 536]);
    let mut fragmentable = long.clone();
    fragmentable[20] = 0;
    for (n, frame) in (0..).zip([&long, &fits, &fragmentable]) {
        bench.offer(at_us(100 * n), frame);
    }
    bench.finish();
    let ends: Vec<_> = bench.ends.iter().map(|end| (end.0, end.2)).collect();
    let too_long = Passage::Ends(Fate::TooLong);
    assert_eq!((ends[0], ends[2]), ((1, too_long), (3, too_long)));
    assert_eq!(bench.order(), [2]);
    assert_eq!((bench.link.stats.too_long, bench.link.stats.too_long_answered), (2, 1));
    let [answer] = &bench.answers[..] else { panic!("{:?}", bench.answers) };
    assert_eq!((&answer[..6], &answer[6..12]), (&long[6..12], &long[..6]));
    let Ok(Frame::Icmp(icmp)) = wire::parse(answer, true) else { panic!("bad checksum") };
    assert_eq!((icmp.ip.src, icmp.ip.dst), (from, Ipv4Addr::new(10, 0, 0, 1)));
    let IcmpMessage::Unreachable { code: 4, next_hop_mtu: 576, quoted } = icmp.icmp else {
        panic!("{icmp:?}")
    };
    assert_eq!((quoted.src_port, quoted.dst_port, quoted.seq), (12345, 80, SeqNumber(77)));
    assert_eq!(answer[42..], long[14..42], "the header and eight bytes");
}

#[test]
fn a_black_hole_says_nothing_and_icmp_errors_are_not_answered() {
    let long = tcp(ACK, 77, &[1; 1000]);
    let silent = Some(Mtu { bytes: 576, exceeded: MtuExceeded::Silent });
    let mut bench = Bench::new(LinkConfig { mtu: silent, ..wide() });
    bench.offer(Instant::ZERO, &long);
    assert_eq!((bench.answers.len(), bench.link.stats.too_long), (0, 1));
    let icmp = |kind: u8| {
        let mut frame = long.clone();
        (frame[23], frame[34]) = (1, kind);
        ip::too_long(&frame, Ipv4Addr::LOCALHOST, 576)
    };
    assert!(icmp(8).is_some(), "an echo request");
    assert!(icmp(3).is_none() && icmp(11).is_none(), "an error");
}
