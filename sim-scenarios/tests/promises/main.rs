//! The promises, put to the test: worlds from the corners keep every one of them; a stack with one
//! line wrong is found; and the rare branches that the sweep must reach, it reaches.

mod listed;
mod world;

use listed::unreached;
use simoom_sim::marks;
use simoom_sim::mutants::{self, Mutant};
use simoom_sim::oracle::promises::{Promise, Stats};
use simoom_sim::seed::{Seed, check};
use std::cell::RefCell;
use world::{Found, run};

#[test]
fn every_promise_is_kept_and_was_put_to_the_test() {
    mutants::activate(None);
    let tested = RefCell::new(Stats::default());
    check(0..300, |seed| match run(seed) {
        Ok(outcome) => tested.borrow_mut().merge(&outcome.promises),
        Err(found) => panic!("{}", show(&found)),
    });
    if ["SIMOOM_SEED", "SIMOOM_SEEDS"].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let tested = tested.into_inner();
    for promise in Promise::ALL {
        println!("{:>9} {promise:?}, {}", tested.of(promise), promise.rfc());
    }
    for promise in Promise::ALL {
        assert!(tested.of(promise) > 0, "{promise:?} was never put to the test");
    }
}

fn show(found: &Found) -> String {
    match found {
        Found::By(error) => error.to_string(),
        Found::Answer(answer) => answer.clone(),
    }
}

/// Seeds until a fault is found, at most. The issue asks for 1,000.
const SEEDS_MAX: u64 = 1_000;

#[test]
fn every_mutant_is_found() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let (mut happened, mut first) = (0, None);
        for seed in 0..SEEDS_MAX {
            mutants::activate(Some(mutant));
            let outcome = run(Seed(seed));
            happened += mutants::happened();
            if let Err(found) = outcome {
                first = Some((seed, show(&found)));
                break;
            }
        }
        mutants::activate(None);
        match first {
            Some((seed, found)) => {
                let line = found.lines().next().unwrap_or_default();
                println!("{mutant:?}: found by seed {seed}: {}", &line[..line.len().min(230)]);
                assert!(run(Seed(seed)).is_ok(), "seed {seed} fails without {mutant:?}");
            }
            None => missed.push((mutant, happened)),
        }
    }
    assert!(
        missed.is_empty(),
        "not found in {SEEDS_MAX} seeds (and how often it happened): {missed:?}"
    );
}

/// Seeds that together reach every listed mark.
const MARK_SEEDS: u64 = 80;

#[test]
fn every_listed_mark_is_reached() {
    mutants::activate(None);
    marks::take();
    for seed in 0..MARK_SEEDS {
        run(Seed(seed)).unwrap_or_else(|found| panic!("{}", show(&found)));
    }
    let marks = marks::take();
    for (mark, count) in marks.iter() {
        println!("{count:>8} {mark:?}");
    }
    assert_eq!(unreached(&marks), [], "listed marks that no seed below {MARK_SEEDS} reached");
}
