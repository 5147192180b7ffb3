use super::*;

#[test]
fn a_seed_is_printed_with_its_version_and_read_with_and_without() {
    assert_eq!(Seed(4711).to_string(), "v1:4711");
    assert_eq!("4711".parse(), Ok(Seed(4711)));
    assert_eq!("v1:4711".parse(), Ok(Seed(4711)));
    assert_eq!("18446744073709551615".parse(), Ok(Seed(u64::MAX)));
}

#[test]
fn what_is_no_seed_is_refused_with_what_would_be_right() {
    for text in ["", "v1:", "v1", "x", "-1", "+1", "1.5", "v1:-3", "18446744073709551616", "vx:1"] {
        let error = text.parse::<Seed>().unwrap_err();
        assert_eq!(error, SeedError::NotANumber(text.to_owned()));
        assert!(error.to_string().contains("v1:4711"));
    }
    let error = "v2:7".parse::<Seed>().unwrap_err();
    assert_eq!(error, SeedError::OtherVersion("v2:7".to_owned()));
    assert!(error.to_string().contains("version v2"), "{error}");
}

#[test]
fn draws_have_golden_values() {
    let mut draws = Seed(4711).stream(Stream::Loss(0));
    assert_eq!([draws.word(), draws.word()], GOLDEN_WORDS);
    let mut draws = Seed(4711).stream(Stream::Host(3));
    assert_eq!([(); 8].map(|()| draws.below(1000)), GOLDEN_BELOW);
    let mut draws = Seed(4711).stream(Stream::Arrivals);
    let mean = Duration::from_millis(1);
    assert_eq!([(); 4].map(|()| draws.exponential(mean).as_nanos()), GOLDEN_EXPONENTIAL);
    let mut draws = Seed(4711).stream(Stream::Reorder(1));
    let max = Duration::from_micros(5);
    assert_eq!([(); 4].map(|()| draws.duration_upto(max).as_nanos()), GOLDEN_DURATION);
    let mut draws = Seed(4711).stream(Stream::Corrupt(1));
    let hits = (0..1_000_000).filter(|_| draws.happens(Chance::ppm(10_000))).count();
    assert_eq!(hits, GOLDEN_HITS);
}

// The words, and what follows from them, were computed once more by a separate ChaCha8.
const GOLDEN_WORDS: [u64; 2] = [16_868_200_870_411_159_802, 6_935_487_929_796_302_265];
const GOLDEN_BELOW: [u64; 8] = [183, 334, 743, 787, 249, 528, 598, 555];
const GOLDEN_EXPONENTIAL: [u64; 4] = [1_882_338, 106_163, 68_020, 99_427];
const GOLDEN_DURATION: [u64; 4] = [293, 3333, 2086, 823];
const GOLDEN_HITS: usize = 10_070;

#[test]
fn streams_are_independent_of_one_another() {
    let seed = Seed(7);
    let firsts = [
        Stream::Loss(0),
        Stream::Loss(1),
        Stream::Reorder(0),
        Stream::Duplicate(0),
        Stream::Corrupt(0),
        Stream::Jitter(0),
        Stream::Dma(0),
        Stream::Arrivals,
        Stream::Host(0),
        Stream::Choice,
        Stream::Named("Loss", 0),
    ]
    .map(|stream| seed.stream(stream).word());
    for (i, a) in firsts.iter().enumerate() {
        assert!(firsts[..i].iter().all(|b| a != b), "stream {i} repeats another");
    }
    assert_ne!(seed.stream(Stream::Loss(0)).word(), Seed(8).stream(Stream::Loss(0)).word());
}

#[test]
#[should_panic(expected = "beginning with a capital")]
fn a_named_stream_cannot_take_the_name_of_another() {
    let _ = Seed(0).stream(Stream::Named("loss", 0));
}

#[test]
fn below_is_uniform_and_stays_below() {
    let mut draws = Seed(1).stream(Stream::Choice);
    let mut counts = [0u32; 7];
    for _ in 0..70_000 {
        counts[draws.below(7) as usize] += 1;
    }
    // Five standard deviations of a binomial of 70,000 and 1/7: 463.
    assert!(counts.iter().all(|c| c.abs_diff(10_000) < 463), "{counts:?}");
    assert_eq!(draws.below(1), 0);
    let high = (1 << 63) + 1;
    assert!((0..1000).all(|_| draws.below(high) < high));
}

#[test]
fn certain_things_happen_and_impossible_ones_draw_nothing() {
    let mut draws = Seed(1).stream(Stream::Loss(0));
    let untouched = draws.clone();
    assert!((0..1000).all(|_| !draws.happens(Chance::NEVER)));
    assert_eq!(draws.clone().word(), untouched.clone().word());
    assert!((0..1000).all(|_| draws.happens(Chance::ALWAYS)));
    assert_eq!(Chance::ppm(2_000_000), Chance::ALWAYS);
    assert_eq!(Chance::ppm(500_000), Chance::per_2_32(1 << 31));
}

#[test]
fn exponential_draws_have_their_mean() {
    let mut draws = Seed(1).stream(Stream::Arrivals);
    let mean = Duration::from_micros(1000);
    let sum: u64 = (0..100_000).map(|_| draws.exponential(mean).as_nanos()).sum();
    // Five standard deviations of the mean of 100,000: 1.6 %.
    assert!((sum / 100_000).abs_diff(1_000_000) < 16_000, "{}", sum / 100_000);
}

#[test]
fn pareto_draws_keep_their_bounds_and_their_tail() {
    let mut draws = Seed(1).stream(Stream::Choice);
    let sizes: Vec<u64> =
        (0..100_000).map(|_| draws.bounded_pareto(1000, 1_000_000, 1200)).collect();
    assert!(sizes.iter().all(|size| (1000..=1_000_000).contains(size)));
    // P(X > x) = ((1000/x)^1.2 - 0.001^1.2) / (1 - 0.001^1.2); five standard deviations.
    for (x, expected) in [(2000, 43_502), (10_000, 6_286), (100_000, 373)] {
        let above = sizes.iter().filter(|size| **size > x).count();
        let off = 5.0 * (expected as f64).sqrt();
        assert!((above as f64 - expected as f64).abs() < off, "{above} of 100,000 above {x}");
    }
    assert_eq!(draws.bounded_pareto(5, 5, 1), 5);
    // No upgrade of a dependency moves a seed.
    assert_eq!(sizes[..4], [3716, 9056, 1325, 3086]);
}
