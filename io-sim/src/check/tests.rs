use super::*;
use crate::endpoint::{Endpoint, EndpointHost};
use crate::fault::{Fault, FaultKind};
use crate::lab::Lab;
use crate::link::LinkConfig;
use crate::panics::QUIET;
use crate::seed::Chance;
use crate::world::World;
use simoom_core::content::NoContent;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use simoom_core::time::{Duration, Instant};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn the_environment_overrides_the_seeds() {
    assert_eq!(chosen_by(None, None, 3..9), Ok(3..9));
    assert_eq!(chosen_by(Some("v1:4711"), Some("0..5"), 3..9), Ok(4711..4712));
    assert_eq!(chosen_by(None, Some("0..5"), 3..9), Ok(0..5));
    assert!(chosen_by(Some("4711x"), None, 3..9).unwrap_err().starts_with("SIMOOM_SEED: "));
    for wrong in ["5", "5..5", "6..5", "a..b", "..", "0..-1"] {
        assert!(chosen_by(None, Some(wrong), 3..9).unwrap_err().contains("like 0..1000"));
    }
}

#[test]
fn check_stops_at_the_first_seed_that_fails_and_names_the_test() {
    if std::env::var_os("SIMOOM_SEED").is_some() || std::env::var_os("SIMOOM_SEEDS").is_some() {
        return; // The environment chose the seeds; this test is about the range.
    }
    let seen = RefCell::new(Vec::new());
    let failed = catch_unwind(AssertUnwindSafe(|| {
        check(0..10, |seed| {
            seen.borrow_mut().push(seed.0);
            assert!(seed.0 < 3);
        });
    }));
    assert!(failed.is_err());
    assert_eq!(*seen.borrow(), [0, 1, 2, 3]);
    let line = repeat_line(Seed(3), None);
    assert!(line.starts_with("SIMOOM_SEED=v1:3 cargo test -p simoom-sim"), "{line}");
}

/// One end sends thirty numbered frames, a millisecond apart, the other notes which came.
#[derive(Clone, Default)]
struct Numbers {
    next: u8,
    came: Vec<u8>,
}

impl Endpoint for Numbers {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.came.push(frame[14]);
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        if self.next == 0 || self.next > 30 {
            return None;
        }
        // Of the EtherType for local experiments.
        let mut frame = [0; 60];
        frame[12..15].copy_from_slice(&[0x88, 0xb5, self.next]);
        out(&frame);
        self.next += 1;
        Some(now + Duration::from_millis(1))
    }
}

/// The numbers that arrive over a link that loses and doubles many; the world's own faults too.
fn numbers(seed: Seed, lossy: bool) -> (Vec<u8>, Vec<Fault>) {
    let mut world = World::new(seed);
    let one = world.add_host(EndpointHost::new(Numbers { next: 1, came: Vec::new() }));
    let other = world.add_host(EndpointHost::new(Numbers::default()));
    let link = LinkConfig {
        loss: if lossy { Chance::ppm(400_000) } else { Chance::NEVER },
        duplicate: Chance::ppm(200_000),
        ..LinkConfig::default()
    };
    world.connect((one, 0), (other, 0), link, LinkConfig::default());
    world.run_to_end().unwrap();
    (world.host(other).endpoint.came.clone(), world.faults())
}

/// Breaks where frames 3 and 7 are both lost, whatever else is.
fn breaks_without_three_and_seven(seed: Seed) {
    let (came, _) = numbers(seed, true);
    assert!(came.contains(&3) || came.contains(&7), "{} came, neither 3 nor 7", came.len());
}

fn first_failing(body: impl Fn(Seed)) -> Seed {
    let fails =
        |n: &u64| quietly(|| case::run(Plan::Watch, u64::MAX, || body(Seed(*n)))).failure.is_some();
    Seed((0..1000).find(fails).expect("one of a thousand seeds fails"))
}

#[test]
fn a_bug_that_needs_two_losses_is_reduced_to_these_two() {
    let seed = first_failing(breaks_without_three_and_seven);
    let text = explain(seed, &breaks_without_three_and_seven);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains(" faults 2 are enough, none of which can be left out ("), "{text}");
    assert_eq!(lines[1], "    drop frame 3 of link 0 forward");
    assert_eq!(lines[2], "    drop frame 7 of link 0 forward");
    assert!(lines[3].starts_with("which ends with: 28 came, neither 3 nor 7"), "{text}");
    let line = format!("    SIMOOM_SEED={seed} SIMOOM_FAULTS=0f:3:lost,0f:7:lost cargo test");
    assert!(lines[5].starts_with(&line), "{text}");
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(explain(seed, &breaks_without_three_and_seven), text, "the same list every time");
}

#[test]
fn faults_given_by_the_environment_are_the_only_ones() {
    let forced = |text: &str| {
        let var = |name: &str| (name == "SIMOOM_FAULTS").then(|| String::from(text));
        let settings = Settings::new(&var, 0..1).unwrap();
        let mut result = None;
        let plan = settings.faults.unwrap();
        let ended = case::run(Plan::Force(&plan), u64::MAX, || {
            result = Some(numbers(Seed(5), true));
        });
        assert!(ended.result.is_ok() && ended.worlds == 1 && ended.faults == plan);
        result.unwrap()
    };
    let (came, faults) = forced("0f:3:lost,0f:5:twice");
    let expected = [1, 2, 4, 5, 5].into_iter().chain(6..=30);
    assert!(came.iter().copied().eq(expected), "{came:?}");
    let kinds: Vec<_> = faults.iter().map(|fault| (fault.frame, fault.kind)).collect();
    assert_eq!(kinds, [(3, FaultKind::Lost), (5, FaultKind::Duplicated)]);
    assert!(forced(",").0.iter().copied().eq(1..=30), "an empty list forces that nothing happens");

    let var = |name: &str| (name == "SIMOOM_FAULTS").then(|| String::from("0f:3:eaten"));
    let error = Settings::new(&var, 0..1).unwrap_err();
    assert!(error.contains("SIMOOM_FAULTS") && error.contains("0f:3:eaten"), "{error}");
}

#[test]
fn recorded_faults_forced_again_are_the_same_run() {
    for n in 0..20 {
        let mut came = None;
        let recorded = case::run(Plan::Record, u64::MAX, || came = Some(numbers(Seed(n), true)));
        let text = print_faults(&recorded.faults);
        let again = parse_faults(&text).unwrap();
        let mut forced = None;
        case::run(Plan::Force(&again), u64::MAX, || forced = Some(numbers(Seed(n), true)));
        assert!(came == forced && came.is_some(), "seed {n}: {text}");
    }
}

#[test]
fn what_fails_anyway_is_said_to_need_no_fault() {
    let body = |seed| assert!(numbers(seed, true).0.len() > 1000, "too few");
    let text = explain(Seed(1), &body);
    assert!(text.starts_with("fails without any fault of a link ("), "{text}");
    assert!(text.contains("none of them is needed") && text.contains("SIMOOM_FAULTS=, "), "{text}");
}

#[test]
fn another_failure_on_the_way_is_not_mistaken_for_the_one_looked_for() {
    // With fewer losses it fails for another reason: that is not what is to be explained.
    let body = |seed| {
        let (came, _) = numbers(seed, true);
        assert!(came.contains(&3) || came.contains(&7), "neither");
        assert!(!came.contains(&3), "another");
    };
    let seed = first_failing(|seed| {
        let (came, _) = numbers(seed, true);
        assert!(came.contains(&3) || came.contains(&7), "neither");
    });
    let text = explain(seed, &body);
    assert!(
        text.contains("\n    drop frame 3 of") && text.contains("\n    drop frame 7 of"),
        "{text}"
    );
    assert_eq!(text.matches("\n    drop").count(), 2, "{text}");
}

#[test]
fn what_does_not_fail_again_is_called_what_it_is() {
    let first = Cell::new(true);
    let body = |seed| {
        numbers(seed, true);
        assert!(!first.replace(false), "only once");
    };
    assert!(quietly(|| case::run(Plan::Watch, u64::MAX, || body(Seed(1)))).failure.is_some());
    let text = explain(Seed(1), &body);
    assert!(text.contains("does not fail"), "{text}");
}

#[test]
fn worlds_of_one_run_are_told_apart() {
    let body = |seed: Seed| {
        let first = numbers(seed, true).0;
        let second = numbers(Seed(seed.0 + 1000), true).0;
        assert!(first.contains(&3) || second.contains(&4), "neither");
    };
    let seed = first_failing(body);
    let text = explain(seed, &body);
    assert!(text.contains("\n    drop frame 3 of link 0 forward\n"), "{text}");
    assert!(text.contains("\n    world 2: drop frame 4 of link 0 forward\n"), "{text}");
    assert!(text.contains("SIMOOM_FAULTS=0f:3:lost,w2/0f:4:lost cargo"), "{text}");
}

#[test]
fn a_reduction_ends_however_long_a_run_with_fewer_faults_would_take() {
    // Without the loss of frame 3 the world never comes to rest.
    #[derive(Clone)]
    struct Restless(Numbers);
    impl Endpoint for Restless {
        fn on_frame(&mut self, now: Instant, frame: &[u8]) {
            self.0.on_frame(now, frame);
        }
        fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
            let next = self.0.poll(now, out);
            let restless = self.0.came.contains(&3);
            next.or(restless.then(|| now + Duration::from_nanos(1)))
        }
    }
    let body = |seed| {
        let mut world = World::new(seed);
        let sender = Restless(Numbers { next: 1, came: Vec::new() });
        let one = world.add_host(EndpointHost::new(sender));
        let other = world.add_host(EndpointHost::new(Restless(Numbers::default())));
        let link = LinkConfig { loss: Chance::ppm(500_000), ..LinkConfig::default() };
        world.connect((one, 0), (other, 0), link, LinkConfig::default());
        world.run_to_end().unwrap();
        assert!(world.host(other).endpoint.0.came.contains(&3), "frame 3 did not come");
    };
    // Only a seed that loses frame 3 ends at all.
    let seed = (0..).map(Seed).find(|seed| !numbers(*seed, true).0.contains(&3)).unwrap();
    let text = explain(seed, &body);
    assert!(text.contains("drop frame 3 of link 0 forward"), "{text}");
}

#[test]
fn a_thread_that_reduces_is_quiet_alone_and_not_for_ever() {
    let other = || std::thread::spawn(|| QUIET.get()).join().unwrap();
    let quiet = quietly(|| {
        assert!(QUIET.get() && !other());
        let inner = quietly(|| case::run(Plan::Watch, 1, || panic!("inner")));
        assert_eq!(inner.failure.unwrap().message, "inner");
        assert!(QUIET.get());
        case::run(Plan::Watch, 1, || panic!("outer"))
    });
    assert_eq!(quiet.failure.unwrap().message, "outer");
    assert!(!QUIET.get());
}

/// A server with a bug: it says `k` when it was told `end`, unless it is shown more than four
/// segments at once, as happens where a hole in the stream closes.
#[derive(Default)]
struct ShortSighted {
    heard: u64,
    content: NoContent,
}

impl App for ShortSighted {
    type Conn = ();
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) {}

    fn on_bytes(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), bytes: &[u8]) -> usize {
        let seen = bytes.len().min(4 * 1448);
        self.heard += seen as u64;
        bytes.len()
    }

    fn source(&mut self, _conn: &(), at: u64, _max: u32) -> Source<'_> {
        match (at, self.heard) {
            (0, 200_000) => Source::Bytes { bytes: b"k", fin: false },
            _ => Source::Pending,
        }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), _upto: u64) {}

    fn on_close(&mut self, _conn: (), _why: CloseReason) {}
}

#[test]
fn an_application_that_breaks_where_a_hole_closes_is_shown_the_segment_that_was_lost() {
    let body = |seed| {
        let mut lab = Lab::new(seed);
        let server = lab.host(ShortSighted::default());
        let client = lab.talk(server, vec![b'a'; 200_000], "k");
        let link = LinkConfig {
            loss: Chance::ppm(20_000),
            reorder: Chance::ppm(50_000),
            duplicate: Chance::ppm(50_000),
            ..LinkConfig::default()
        };
        lab.join(client, server, link);
        lab.run_for(Duration::from_secs(20)).unwrap();
        assert!(lab[client].verdict().is_some(), "{} bytes were seen", lab[server].heard);
    };
    let seed = first_failing(body);
    let text = explain(seed, &body);
    let faults: Vec<_> = text.lines().filter(|line| line.starts_with("    d")).collect();
    // One fault is enough: a segment lost, or delayed until four others have passed it.
    let [fault] = faults[..] else { panic!("{text}") };
    assert!(fault.contains(" of link 0 forward: bytes "), "{text}");
    assert!(fault.contains(" of 10.66.0.2:") && fault.ends_with(" to 10.66.0.1:80"), "{text}");
    assert!(text.contains(" 1 is enough ("), "{text}");
}
