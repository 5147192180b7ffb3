//! The closed loop: what a capture would have been with another server, held to worlds in which that
//! server was there.

#[allow(dead_code, reason = "shared by several tests")]
mod known;

use known::{At, Exchange, Known, fits};
use simoom_core::time::Duration;
use simoom_replay::closed::{Answer, LossMode, Question, VariantAnswer, study, variants};
use simoom_replay::open::Profile;
use simoom_sim::hosts::tcp_peer::{Acknowledging, Manners};
use simoom_sim::lab::Rate;
use simoom_sim::link::{Jitter, LoseByte, Variation};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Text of a full segment: MSS 1460 less timestamps.
const SEGMENT: usize = 1_448;

fn question(what_if: &[&str]) -> Question {
    Question {
        base: Profile::simoom().tcp,
        variants: variants(what_if).unwrap(),
        losses: LossMode::Observed,
        seeds: 0..3,
        jobs: 2,
        listed_max: 10,
    }
}

fn ask(capture: &[u8], question: &Question) -> Answer {
    study(&fits(capture), question, &|_, _| {}).unwrap()
}

/// Nanoseconds of the only turn.
fn only(variant: &VariantAnswer) -> u64 {
    assert_eq!(variant.times[0].min, variant.times[0].max, "nothing is left to chance");
    assert!(variant.unfinished.is_empty());
    variant.times[0].middle
}

#[test]
fn a_larger_initial_window_saves_one_round_trip_between_ten_segments_and_twenty() {
    for (segments, saves) in [(10, 0), (11, 1), (15, 1), (20, 1)] {
        let exchange: [Exchange; 1] = [(100, ms(0), segments * SEGMENT)];
        let recorded = Known::new(ms(100), &exchange).run();
        let answer = ask(&recorded.capture, &question(&["iw=10,20"]));
        let [base, ten, twenty] = &answer.variants[..] else { panic!() };
        assert_eq!(only(base), recorded.took[0], "{segments}: as captured it is as captured");
        assert_eq!(only(ten), recorded.took[0]);
        assert_eq!(only(ten) - only(twenty), saves * ms(100).as_nanos(), "{segments} segments");
        assert_eq!(twenty.better, saves);
        assert_eq!((ten.better, ten.worse, ten.same), (0, 0, 1));
    }
}

#[test]
fn a_shorter_minimum_timeout_repairs_a_tail_loss_as_soon_as_the_real_one_does() {
    let exchange: [Exchange; 1] = [(100, ms(0), 20_000)];
    let mut slow = Known::new(ms(40), &exchange);
    slow.change = |setup| setup.stack.tcp.min_rto = ms(1_000);
    let tail = LoseByte { offset: 19_999, retransmission: 0 };
    slow.to_client.lose_bytes = [tail].into();
    let recorded = slow.run();
    let mut fast = slow;
    fast.change = |setup| setup.stack.tcp.min_rto = ms(200);
    let direct = fast.run().took[0];
    let mut question = question(&["min-rto=200ms,1s"]);
    question.base.min_rto = ms(1_000);
    let answer = ask(&recorded.capture, &question);
    let [base, short, long] = &answer.variants[..] else { panic!() };
    let near = |found: u64, known: u64, what: &str| {
        let off = found.abs_diff(known);
        assert!(off * 100 <= known, "{what}: {found} is not {known}");
    };
    near(only(base), recorded.took[0], "as captured");
    near(only(long), recorded.took[0], "1s");
    near(only(short), direct, "200ms");
    assert!(recorded.took[0] - direct > 700_000_000);
    assert_eq!((short.better, long.same), (1, 1));
    assert_eq!(short.most_changed.len(), 1);
    assert!(short.most_changed[0].by() < -700_000_000);
}

#[test]
fn worlds_of_every_kind_are_explained_as_captured() {
    let exchanges: [Exchange; 3] =
        [(200, ms(5), 40_000), (300, ms(80), 3_000), (90, ms(0), 120_000)];
    let plain = || Known::new(ms(60), &exchanges);
    let mut all: Vec<(&str, Known)> = vec![("plain", plain())];
    let mut add = |name, change: fn(&mut Known)| {
        let mut known = plain();
        change(&mut known);
        all.push((name, known));
    };
    add("at the client", |known| known.at = At::Client);
    add("a bottleneck", |known| known.to_client.rate = Rate::mbit(4));
    add("delayed acknowledgements", |known| {
        known.manners.acknowledging = Acknowledging::DELAYED;
        known.manners.think = ms(300);
    });
    add("a small window", |known| known.manners = Manners::default().with_window(6_000));
    add("a slow reader", |known| known.manners = Manners::slow_reader(16_000, 200_000));
    add("losses", |known| {
        let lose = |offset| LoseByte { offset, retransmission: 0 };
        known.to_client.lose_bytes = [lose(20_000), lose(42_999), lose(90_000)].into();
    });
    add("neither timestamps nor scaling", |known| {
        known.manners =
            Manners { timestamps: false, window_scale: None, window: 65_535, ..Manners::default() };
    });
    for (name, known) in all {
        let recorded = known.run();
        let answer = ask(&recorded.capture, &question(&[]));
        let error = answer.connections[0]
            .error()
            .unwrap_or_else(|| panic!("{name}: {:?}", answer.variants[0].unfinished));
        let fit = &fits(&recorded.capture).fits[0];
        assert!(
            error.abs() < 0.02,
            "{:?} {:?} {name}: {error} of {:?}",
            fit.path,
            fit.talk,
            answer.connections
        );
    }
}

/// A dozen connections with jitter, losses and a bottleneck.
fn mixed() -> Vec<u8> {
    let exchanges: Vec<Exchange> =
        (0..12).map(|n| (100 + n, ms(n as u64), 1_000 + 9_000 * n)).collect();
    let mut known = Known::new(ms(30), &exchanges);
    known.to_client.jitter = Jitter::InOrder(Variation::Exponential { mean: ms(2) });
    known.to_client.loss = simoom_sim::lab::Chance::ppm(20_000);
    known.run().capture
}

#[test]
fn the_answer_is_the_same_each_time_and_for_any_number_of_threads() {
    let capture = mixed();
    for losses in [LossMode::Observed, LossMode::Resampled] {
        let asked =
            |jobs| Question { losses, jobs, seeds: 0..4, ..question(&["iw=4,20", "nagle=on"]) };
        let once = ask(&capture, &asked(1));
        for jobs in [1, 2, 5] {
            assert_eq!(ask(&capture, &asked(jobs)), once);
        }
        let base = &once.variants[0];
        assert_eq!(base.seeds.len(), 4);
        assert!(base.times[2].max > base.times[2].min, "seeds spread: {:?}", base.times);
    }
}

#[test]
fn resampled_losses_are_as_likely_as_they_were() {
    // Long enough to go by its own rate.
    let mut known = Known::new(ms(10), &[(100, ms(0), 3_000_000)]);
    known.to_client.loss = simoom_sim::lab::Chance::ppm(20_000);
    let recorded = known.run();
    let fits = fits(&recorded.capture);
    let (segments, losses, _) = fits.pooled;
    assert!((20..70).contains(&losses), "{losses} of {segments}");
    let asked = Question { losses: LossMode::Resampled, seeds: 0..20, ..question(&[]) };
    let answer = study(&fits, &asked, &|_, _| {}).unwrap();
    let middle = answer.variants[0].times[0].middle as f64;
    let off = (middle - recorded.took[0] as f64).abs() / recorded.took[0] as f64;
    assert!(off < 0.35, "the middle of twenty seeds is {off} away from the capture");
}
