//! Links with everything at once, healing, and presets.

use super::bench::*;
use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::sync::Arc;

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
