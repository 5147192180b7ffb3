//! Links that are not plain.

use super::*;
use crate::link::codel::{CoDel, Verdict, control_law};
use proptest::prelude::*;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::checksum;
use simoom_core::wire::icmpv4::IcmpMessage;
use simoom_core::wire::{self, Frame};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A link and its frames on a clock of their own: what a world does, without hosts.
struct Bench {
    link: Link,
    frames: Frames,
    now: Instant,
    /// What has become of frames: (number, when it was decided, how).
    ends: Vec<(u64, Instant, Passage)>,
    /// The bytes of those that arrive, in the order of arrival: (when, number, bytes).
    arrived: Vec<(Instant, u64, Vec<u8>)>,
    answers: Vec<Vec<u8>>,
}

impl Bench {
    fn new(config: LinkConfig) -> Self {
        Self::with_seed(config, SEED)
    }

    fn with_seed(config: LinkConfig, seed: Seed) -> Self {
        let mut link = Link::new(config, seed, 0);
        link.record_faults();
        let frames = Frames::default();
        let (ends, arrived, answers) = Default::default();
        Self { link, frames, now: Instant::ZERO, ends, arrived, answers }
    }

    fn collect(&mut self, mut passed: Vec<(FrameId, Passage)>) {
        while let Some(outcome) = self.link.take_outcome() {
            match outcome {
                Outcome::Passed(frame, passage) => passed.push((frame, passage)),
                Outcome::Answer(frame) => {
                    self.answers.push(self.frames.get(frame).to_vec());
                    self.frames.remove(frame);
                }
            }
        }
        for (frame, passage) in passed {
            let number = self.frames.entry(frame).number;
            self.ends.push((number, self.now, passage));
            if let Passage::Arrives { at, again, .. } = passage {
                assert!(at >= self.now, "frame {number} arrives before it is decided");
                for one in [Some(frame), again].into_iter().flatten() {
                    self.arrived.push((at, number, self.frames.get(one).to_vec()));
                    if one != frame {
                        self.frames.remove(one);
                    }
                }
            }
            self.frames.remove(frame);
        }
    }

    /// Lets the link work until `until`.
    fn run(&mut self, until: Instant) {
        while let Some(at) = self.link.next_wake(self.now)
            && at <= until
        {
            self.now = self.now.max(at);
            self.link.on_wake(self.now, &mut self.frames);
            self.collect(Vec::new());
        }
        self.now = self.now.max(until);
    }

    fn offer(&mut self, at: Instant, bytes: &[u8]) {
        self.run(at);
        let frame = self.frames.add(bytes);
        let passed = match self.link.offer(at, &mut self.frames, frame) {
            Passage::Stays => Vec::new(),
            passage => vec![(frame, passage)],
        };
        self.collect(passed);
    }

    /// Nothing more is offered. Arrivals are in their order then.
    fn finish(&mut self) {
        self.run(Instant::from_nanos(u64::MAX - 1));
        assert_eq!(self.link.held(), 0);
        self.arrived.sort_by_key(|(at, ..)| *at);
    }

    /// Offers frames of 1,250 bytes, one each 10 µs: a gigabit.
    fn stream(config: LinkConfig, n: u64) -> Self {
        let mut bench = Self::new(config);
        for i in 0..n {
            bench.offer(at_us(10 * i), &ipv4(1250));
        }
        bench.finish();
        bench
    }

    fn lost(&self) -> Vec<u64> {
        let lost = |end: &&(u64, Instant, Passage)| end.2 == LOST;
        self.ends.iter().filter(lost).map(|end| end.0).collect()
    }

    fn order(&self) -> Vec<u64> {
        self.arrived.iter().map(|(_, number, _)| *number).collect()
    }
}

/// Wide enough for whole streams.
fn wide() -> LinkConfig {
    LinkConfig { queue_frames_max: u32::MAX, ..LinkConfig::default() }
}

/// A TCP segment with right checksums.
fn tcp(flags: u8, seq: u32, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 54];
    bytes[0] = 2;
    bytes[5] = 9;
    bytes[6] = 2;
    bytes[11] = 8;
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&(40 + text.len() as u16).to_be_bytes());
    bytes[20] = 0x40;
    bytes[22..24].copy_from_slice(&[64, 6]);
    bytes[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    bytes[34..38].copy_from_slice(&[0x30, 0x39, 0, 80]);
    bytes[38..42].copy_from_slice(&seq.to_be_bytes());
    bytes[46] = 0x50;
    bytes[47] = flags;
    bytes[48..50].copy_from_slice(&[0x20, 0]);
    bytes.extend_from_slice(text);
    crate::link::tcp::repair_checksums(&mut bytes);
    assert!(matches!(wire::parse(&bytes, true), Ok(Frame::Tcp(_))));
    bytes
}

const SYN: u8 = 2;
const ACK: u8 = 16;

// Loss.

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

// Bunches of ACKs.

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

// Order.

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

// Jitter.

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

// Damage.

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

// Packets that are too long.

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

// Outages.

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

// Changes.

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

// Traces.

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

// CoDel.

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

// All of it.

/// A link with many things at once, decided by small numbers.
fn anything(pick: [u8; 8]) -> LinkConfig {
    let chance = |n: u8| Chance::ppm(u32::from(n % 4) * 60_000);
    let on = |n: u8| n.is_multiple_of(3);
    LinkConfig {
        rate: [Rate::mbit(100), Rate::gbit(1), Rate::UNLIMITED][usize::from(pick[0] % 3)],
        queue_frames_max: 5 + u32::from(pick[0]),
        jitter: match pick[1] % 3 {
            0 => Jitter::None,
            1 => Jitter::InOrder(Variation::Uniform { max: ms(1) }),
            _ => Jitter::Reordering(Variation::Exponential { mean: ms(1) }),
        },
        aqm: match pick[2] % 3 {
            0 => Aqm::DropTail,
            n => Aqm::CoDel(CoDelConfig {
                target: Duration::from_micros(50),
                interval: ms(1),
                ecn: n == 1,
            }),
        },
        trace: on(pick[3]).then(|| Trace::from_millis([0, 1, 1, 3]).unwrap()),
        loss: chance(pick[4]),
        burst_loss: on(pick[5]).then_some(GilbertElliott {
            to_bad: Chance::ppm(50_000),
            to_good: Chance::ppm(300_000),
            loss_good: Chance::NEVER,
            loss_bad: Chance::ppm(700_000),
        }),
        loss_every: on(pick[6]).then_some(Every { nth: 13, first: 5 }),
        lose_frames: Arc::from([3, 4]),
        lose_bytes: Arc::from([LoseByte { offset: 2000, retransmission: 0 }]),
        ack_loss: chance(pick[1]),
        ack_bunch: on(pick[7]).then_some(AckBunch { count_max: 4, time_max: ms(1) }),
        reorder: chance(pick[2]),
        displace: on(pick[4]).then_some(Displace {
            chance: Chance::ppm(100_000),
            frames: 3,
            time_max: ms(2),
        }),
        duplicate: chance(pick[5]),
        corrupt: chance(pick[6]),
        corrupt_repaired: chance(pick[7]),
        truncate: chance(pick[3]),
        mtu: on(pick[1]).then_some(Mtu {
            bytes: 1000,
            exceeded: MtuExceeded::Icmp { from: Ipv4Addr::LOCALHOST },
        }),
        outages: match pick[6] % 4 {
            0 => Outages::default(),
            n => Outages::new(
                [(at_us(2000), at_us(4000))],
                if n == 1 { WhileDown::Drop } else { WhileDown::Hold },
            ),
        },
        changes: match on(pick[2]) {
            true => Arc::from([(at_us(3000), LinkConfig { rate: Rate::mbit(50), ..wide() })]),
            false => Arc::default(),
        },
        ..wide()
    }
}

/// Offers a mixture of data, ACKs and others.
fn mixture(bench: &mut Bench, n: u32, gap_us: u64) {
    bench.offer(Instant::ZERO, &tcp(SYN, 0, &[]));
    for i in 0..n {
        let at = at_us(gap_us * u64::from(i));
        match i % 4 {
            0 => bench.offer(at, &tcp(ACK, 1, &[])),
            1 => bench.offer(at, &ipv4(600)),
            2 => bench.offer(at, &[5; 60]),
            _ => bench.offer(at, &tcp(ACK, 1 + i * 300, &[9; 1200])),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every frame ends once: offered + doubled = delivered + each way of being lost + held.
    #[test]
    fn frames_are_conserved(pick: [u8; 8], seed: u64, gap_us in 1u64..40, heals: bool) {
        let mut bench = Bench::with_seed(anything(pick), Seed(seed));
        mixture(&mut bench, 300, gap_us);
        let check = |bench: &Bench| {
            let stats = &bench.link.stats;
            let ended = stats.delivered
                + stats.queue_full
                + stats.queue_managed
                + stats.too_long
                + stats.link_down
                + stats.lost;
            let held = bench.link.held() as u64;
            assert_eq!(stats.offered + stats.duplicated, ended + held, "{stats:?}");
            assert_eq!(bench.frames.len() as u64, held);
            assert_eq!(bench.arrived.len() as u64, stats.delivered);
            assert_eq!(stats.too_long_answered, bench.answers.len() as u64);
        };
        check(&bench);
        if heals {
            bench.link.heal(bench.now);
            let (ends, now) = (bench.ends.len(), bench.now);
            mixture_at(&mut bench, now, 50);
            bench.finish();
            let lost = |end: &(u64, Instant, Passage)| {
                end.0 > 301 && matches!(end.2, Passage::Ends(fate) if fate != Fate::QueueFull && fate != Fate::QueueManaged)
            };
            prop_assert!(!bench.ends[ends..].iter().any(lost), "{:?}", &bench.ends[ends..]);
        }
        bench.finish();
        check(&bench);
        prop_assert_eq!(bench.link.held(), 0);
    }

    /// What was drawn, forced on another seed's link with the same jitter, happens again.
    #[test]
    fn a_forced_list_gives_the_same_passages(pick: [u8; 8], seed: u64) {
        let run = |faults: Option<&[Fault]>| {
            let mut bench = Bench::with_seed(anything(pick), Seed(seed));
            if let Some(faults) = faults {
                bench.link.force_faults(faults);
            }
            mixture(&mut bench, 300, 11);
            bench.finish();
            let faults: Vec<Fault> = bench.link.take_faults().collect();
            (bench.ends, bench.arrived, faults)
        };
        let free = run(None);
        prop_assert_eq!(run(Some(&free.2)), free);
    }
}

/// After a healing: nothing that is too long for a queue.
fn mixture_at(bench: &mut Bench, from: Instant, n: u64) {
    for i in 1..=n {
        bench.offer(from + Duration::from_millis(i), &tcp(ACK, 1, &[8; 500]));
    }
}

#[test]
fn presets_have_names_and_are_not_alike() {
    for preset in Preset::ALL {
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
        for other in Preset::ALL {
            assert_eq!(preset == other, preset.down() == other.down());
        }
        // A frame of full size passes each way, alone.
        for config in [preset.down(), preset.up()] {
            let mut bench =
                Bench::new(LinkConfig { burst_loss: None, loss: Chance::NEVER, ..config });
            bench.offer(Instant::ZERO, &ipv4(1514));
            bench.finish();
            assert_eq!(bench.arrived.len(), 1);
        }
    }
    assert_eq!(Preset::from_name("modem"), None);
}

#[test]
fn healing_leaves_rate_delay_queue_and_changes_to_come() {
    let pick = [0, 1, 3, 0, 3, 3, 3, 3];
    let sick = anything(pick);
    let healed = sick.healed();
    let expected = LinkConfig {
        rate: sick.rate,
        queue_frames_max: sick.queue_frames_max,
        jitter: sick.jitter,
        aqm: sick.aqm,
        trace: sick.trace.clone(),
        changes: sick.changes.clone(),
        ..wide()
    };
    assert_eq!(healed, LinkConfig { queue_frames_max: sick.queue_frames_max, ..expected });
    assert!(!healed.changes.is_empty());
}
