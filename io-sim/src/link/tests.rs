use super::*;
use crate::seed::Chance;

mod bench;
mod loss;
mod turn;
mod whole;

const SEED: Seed = Seed(4711);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at_us(n: u64) -> Instant {
    Instant::ZERO + Duration::from_micros(n)
}

/// An IPv4 frame whose total length says that all of it is the packet.
fn ipv4(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    bytes
}

/// Offers `n` frames of 1,250 bytes at once: 10 µs each at a gigabit.
fn burst(config: LinkConfig, n: usize) -> (Vec<Passage>, Link) {
    let (mut link, mut frames) = (Link::new(config, SEED, 0), Frames::default());
    let bytes = ipv4(1250);
    let passages = (0..n)
        .map(|_| {
            let frame = frames.add(&bytes);
            link.offer(Instant::ZERO, &mut frames, frame)
        })
        .collect();
    (passages, link)
}

const LOST: Passage = Passage::Ends(Fate::Lost);
const QUEUE_FULL: Passage = Passage::Ends(Fate::QueueFull);

/// Offers a frame that the link does not keep.
fn offer(link: &mut Link, now: Instant, frames: &mut Frames, frame: FrameId) -> Passage {
    match link.offer(now, frames, frame) {
        Passage::Stays => match link.take_outcome() {
            Some(Outcome::Passed(one, passage)) if one == frame => passage,
            other => panic!("{other:?}"),
        },
        passage => passage,
    }
}

fn arrives(us: u64) -> Passage {
    Passage::Arrives { at: at_us(us), fate: Fate::Arrived, again: None }
}

#[test]
fn time_on_the_wire_is_rounded_up_and_never_overflows() {
    assert_eq!(Rate::gbit(1).time_of(1250), Duration::from_micros(10));
    assert_eq!(Rate::bits_per_second(3).time_of(1).as_nanos(), 2_666_666_667);
    assert_eq!(Rate::UNLIMITED.time_of(u64::MAX), Duration::ZERO);
    assert_eq!(Rate::bits_per_second(1).time_of(u64::MAX), Duration::MAX);
    assert_eq!(Rate::gbit(8).time_of(1 << 40).as_nanos(), 1 << 40);
}

#[test]
fn frames_leave_at_the_rate_and_arrive_after_the_delay() {
    let (passages, _) = burst(LinkConfig::default(), 3);
    assert_eq!(passages, [arrives(1010), arrives(1020), arrives(1030)]);
    let config = LinkConfig { overhead_bytes: 125, ..LinkConfig::default() };
    assert_eq!(burst(config, 2).0, [arrives(1011), arrives(1022)]);
}

#[test]
fn the_queue_is_bounded_in_frames_and_the_frame_being_sent_is_not_in_it() {
    let config = LinkConfig { queue_frames_max: 2, ..LinkConfig::default() };
    let (passages, mut link) = burst(config, 5);
    assert_eq!(passages[..3], [arrives(1010), arrives(1020), arrives(1030)]);
    assert_eq!(passages[3..], [QUEUE_FULL; 2]);
    assert_eq!((link.queue(Instant::ZERO), link.stats.queue_full), ((2, 2500), 2));
    assert_eq!(link.queue(at_us(9)), (2, 2500));
    assert_eq!(link.queue(at_us(10)), (1, 1250));
    assert_eq!(link.queue(at_us(20)), (0, 0));
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let config = LinkConfig { queue_bytes_max: 2499, ..LinkConfig::default() };
    let (passages, _) = burst(config, 4);
    assert_eq!(passages[..2], [arrives(1010), arrives(1020)]);
    assert_eq!(passages[2..], [QUEUE_FULL; 2]);
    let none = LinkConfig { queue_bytes_max: 0, ..LinkConfig::default() };
    assert_eq!(burst(none, 2).0, [arrives(1010), QUEUE_FULL]);
}

#[test]
fn an_idle_link_begins_at_once() {
    let (mut link, mut frames) = (Link::new(LinkConfig::default(), SEED, 0), Frames::default());
    let frame = frames.add(&ipv4(1250));
    assert_eq!(link.offer(at_us(5), &mut frames, frame), arrives(1015));
    assert_eq!(link.offer(at_us(7000), &mut frames, frame), arrives(8010));
}

#[test]
fn faults_come_at_their_rate_with_golden_counts() {
    let config = LinkConfig {
        queue_frames_max: u32::MAX,
        loss: Chance::ppm(10_000),
        reorder: Chance::ppm(20_000),
        duplicate: Chance::ppm(30_000),
        corrupt: Chance::ppm(5_000),
        ..LinkConfig::default()
    };
    let (passages, link) = burst(config.clone(), 20_000);
    let stats = link.stats;
    assert_eq!((stats.lost, stats.reordered, stats.duplicated, stats.damaged), GOLDEN_FAULTS);
    let lost = passages.iter().filter(|p| **p == LOST).count() as u64;
    let again = |p: &&Passage| matches!(p, Passage::Arrives { again: Some(_), .. });
    let damaged = |p: &&Passage| matches!(p, Passage::Arrives { fate: Fate::ArrivedDamaged, .. });
    assert_eq!(lost, stats.lost);
    assert_eq!(passages.iter().filter(again).count() as u64, stats.duplicated);
    assert_eq!(passages.iter().filter(damaged).count() as u64, stats.damaged);
    let healed = burst(config.healed(), 1000).0;
    assert!((1..=1000).zip(healed).all(|(n, p)| p == arrives(1000 + 10 * n)));
}

const GOLDEN_FAULTS: (u64, u64, u64, u64) = (203, 391, 588, 94);

#[test]
fn one_fault_moves_no_other() {
    let config = LinkConfig {
        queue_frames_max: u32::MAX,
        loss: Chance::ppm(100_000),
        ..LinkConfig::default()
    };
    let more = LinkConfig {
        duplicate: Chance::ppm(500_000),
        corrupt: Chance::ppm(500_000),
        ..config.clone()
    };
    let lost = |config| burst(config, 2000).0.iter().map(|p| *p == LOST).collect::<Vec<_>>();
    assert_eq!(lost(config), lost(more));
}

#[test]
fn a_reordered_frame_is_passed_by_later_ones_within_the_bound() {
    let config = LinkConfig {
        queue_frames_max: u32::MAX,
        reorder: Chance::ppm(100_000),
        reorder_by_max: ms(3),
        ..LinkConfig::default()
    };
    let (passages, link) = burst(config, 1000);
    let mut displaced = 0;
    for (n, passage) in (1..).zip(passages) {
        let Passage::Arrives { at, .. } = passage else { panic!("{passage:?}") };
        let beyond = at - at_us(1000 + 10 * n);
        assert!(beyond <= ms(3));
        displaced += u64::from(beyond > Duration::ZERO);
    }
    assert_eq!(displaced, link.stats.reordered);
    assert!(displaced > 50);
}

#[test]
fn damage_is_within_one_byte_of_the_ip_packet_and_leaves_other_frames_whole() {
    let config =
        LinkConfig { corrupt: Chance::ALWAYS, queue_frames_max: u32::MAX, ..LinkConfig::default() };
    let (mut link, mut frames) = (Link::new(config, SEED, 0), Frames::default());
    let mut whole = ipv4(40);
    whole.resize(60, 0); // 20 bytes of padding
    for _ in 0..500 {
        let frame = frames.add(&whole);
        let passage = link.offer(Instant::ZERO, &mut frames, frame);
        assert!(matches!(passage, Passage::Arrives { fate: Fate::ArrivedDamaged, .. }));
        let differs: Vec<usize> = (0..60).filter(|i| frames.get(frame)[*i] != whole[*i]).collect();
        assert!(matches!(differs[..], [at] if (14..40).contains(&at)), "{differs:?}");
        frames.remove(frame);
    }
    for (kind, len) in [([8, 6], 42), ([8, 0], 14), ([8, 0], 17)] {
        let mut other = vec![0; len];
        other[12..14].copy_from_slice(&kind);
        let frame = frames.add(&other);
        let passage = link.offer(Instant::ZERO, &mut frames, frame);
        assert!(matches!(passage, Passage::Arrives { fate: Fate::Arrived, .. }));
        assert_eq!(frames.get(frame), other);
    }
}

#[test]
fn the_second_of_two_is_whole_where_the_first_is_damaged() {
    let config =
        LinkConfig { corrupt: Chance::ALWAYS, duplicate: Chance::ALWAYS, ..LinkConfig::default() };
    let (mut link, mut frames) = (Link::new(config, SEED, 0), Frames::default());
    let frame = frames.add(&ipv4(100));
    let Passage::Arrives { again: Some((again, _)), .. } =
        link.offer(Instant::ZERO, &mut frames, frame)
    else {
        panic!("not doubled")
    };
    assert_eq!(frames.get(again), ipv4(100));
    assert_ne!(frames.get(frame), ipv4(100));
}

#[test]
fn a_copy_of_a_damaged_frame_is_damaged_and_a_frame_damaged_later_has_a_whole_copy() {
    let flip = |mask| FaultKind::Corrupted { offset: 40, mask, repaired: false };
    let twice = FaultKind::Duplicated;
    let (damaged, again) = (Fate::ArrivedDamaged, Fate::ArrivedAgain);
    for (kinds, fates) in [
        (vec![flip(1), twice], [damaged, damaged]),
        (vec![twice, flip(1)], [damaged, again]),
        (vec![FaultKind::Truncated { len: 60 }, twice], [damaged, damaged]),
        (vec![twice], [Fate::Arrived, again]),
    ] {
        let (mut link, mut frames) = (Link::new(LinkConfig::default(), SEED, 0), Frames::default());
        let faults: Vec<_> =
            kinds.iter().map(|kind| Fault { way: 0, frame: 1, kind: *kind }).collect();
        link.force_faults(&faults);
        let frame = frames.add(&ipv4(100));
        let passage = offer(&mut link, Instant::ZERO, &mut frames, frame);
        let Passage::Arrives { fate, again: Some((copy, copy_fate)), .. } = passage else {
            panic!("{passage:?}")
        };
        assert_eq!([fate, copy_fate], fates, "{kinds:?}");
        assert_eq!(frames.get(copy) == ipv4(100), copy_fate == again, "{kinds:?}");
        let count = fates.iter().filter(|fate| **fate == damaged).count() as u64;
        assert_eq!(link.stats.damaged, count, "{kinds:?}");
    }
}

#[test]
fn a_recorded_list_of_faults_forced_on_a_fresh_link_gives_the_same_passages() {
    let config = LinkConfig {
        queue_frames_max: 600,
        loss: Chance::ppm(100_000),
        reorder: Chance::ppm(100_000),
        duplicate: Chance::ppm(100_000),
        corrupt: Chance::ppm(100_000),
        ..LinkConfig::default()
    };
    let passages = |forced: Option<&[Fault]>, seed| {
        let (mut link, mut frames) = (Link::new(config.clone(), seed, 5), Frames::default());
        link.record_faults();
        if let Some(faults) = forced {
            link.force_faults(faults);
        }
        let passages: Vec<_> = (0..1000)
            .map(|_| {
                let frame = frames.add(&ipv4(1250));
                let passage = offer(&mut link, Instant::ZERO, &mut frames, frame);
                (passage, frames.get(frame).to_vec(), frames.entry(frame))
            })
            .collect();
        (passages, link.take_faults().collect::<Vec<_>>(), link.stats)
    };
    let drawn = passages(None, SEED);
    assert!(drawn.1.len() > 150 && drawn.1.iter().all(|fault| fault.way == 5));
    assert_eq!(passages(Some(&drawn.1), Seed(1)), drawn);
    // The first frame beyond 601 found the queue full.
    assert!(drawn.1.iter().all(|fault| fault.frame <= 601));
    let none = passages(Some(&[]), SEED);
    assert_eq!((none.1.len(), none.2.lost, none.2.queue_full), (0, 0, 399));
}

#[test]
fn a_forced_fault_that_does_not_fit_its_frame_does_not_happen() {
    let flip = |offset| FaultKind::Corrupted { offset, mask: 1, repaired: false };
    let kinds = [
        flip(13),                                                     // Ethernet
        flip(100),                                                    // behind the end
        FaultKind::Corrupted { offset: 40, mask: 1, repaired: true }, // no TCP
        FaultKind::Corrupted { offset: 40, mask: 0, repaired: false },
    ];
    for kind in kinds {
        let (mut link, mut frames) = (Link::new(LinkConfig::default(), SEED, 0), Frames::default());
        link.record_faults();
        link.force_faults(&[Fault { way: 0, frame: 1, kind }]);
        let frame = frames.add(&ipv4(100));
        let passage = offer(&mut link, Instant::ZERO, &mut frames, frame);
        assert!(matches!(passage, Passage::Arrives { fate: Fate::Arrived, .. }), "{kind:?}");
        assert_eq!((frames.get(frame), link.stats.damaged), (&ipv4(100)[..], 0));
        assert_eq!(link.take_faults().count(), 0);
    }
}
