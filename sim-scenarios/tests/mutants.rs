//! The standard scenario finds a stack with one line wrong, and makes the run that found it smaller.
//!
//! One test a mutant: which one is active belongs to the thread, and counts begin anew with each run.

use simoom_scenarios::{Case, RunOptions, RunResult, Scenario, run, shrink};
use simoom_sim::mutants::{self, Mutant};
use simoom_sim::seed::Seed;
use std::path::Path;

/// Seeds within which each mutant must be found.
const SEEDS_MAX: u64 = 1_000;

/// Runs that making one smaller may take.
const RUNS_MAX: u32 = 120;

fn standard() -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("standard.toml");
    Scenario::load(&path).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A run; None where the stack panicked, which in a debug build some mutants make it do before an
/// oracle sees them.
fn run_with(mutant: Option<Mutant>, case: &Case, seed: Seed) -> Option<RunResult> {
    mutants::activate(mutant);
    let result = run(case, &RunOptions::new(seed));
    mutants::activate(None);
    (!result.panicked).then_some(result)
}

fn is_found_and_made_smaller(mutant: Mutant) {
    let scenario = standard();
    let [case] = scenario.cases() else { panic!("the standard scenario is one case") };
    let mut runs = (0..SEEDS_MAX)
        .filter_map(|n| run_with(Some(mutant), case, Seed(n)).map(|result| (Seed(n), result)));
    let Some((seed, first)) = runs.find(|(_, result)| !result.ok) else {
        panic!("{mutant:?} is not found within {SEEDS_MAX} seeds");
    };
    let unharmed = run_with(None, case, seed).expect("a stack without the mutant does not panic");
    assert!(unharmed.ok, "{seed} fails without {mutant:?}: {:?}", unharmed.violations);

    mutants::activate(Some(mutant));
    let mut again = |_: u32, _: bool| mutants::activate(Some(mutant));
    let shrunk = shrink(case, seed, RUNS_MAX, &mut again);
    mutants::activate(None);
    let shrunk = shrunk.unwrap_or_else(|| panic!("{mutant:?}: {seed} does not fail again"));
    let connections = |text: &str| {
        let of = text.lines().find_map(|line| line.strip_prefix("connections = "));
        of.map_or(1, |count| count.parse::<u32>().unwrap())
    };
    let faults = shrunk.faults.as_ref().map(Vec::len);
    let smaller = connections(&shrunk.to_toml()) < 20 || faults.is_some_and(|count| count < 5);
    assert!(!shrunk.result.ok && smaller, "{faults:?} faults\n{}", shrunk.to_toml());

    // What was written down fails in the same way, and only with the mutant.
    let small = Scenario::parse(Path::new("standard.toml"), &shrunk.to_toml())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let written = run_with(Some(mutant), &small.cases()[0], seed).expect("an oracle is first");
    assert!(!written.ok, "{mutant:?}:\n{}", shrunk.to_toml());
    assert_eq!(written.event_hash, shrunk.result.event_hash);
    let harmless = run_with(None, &small.cases()[0], seed).expect("it does not panic");
    let broken = harmless.violations.iter().find(|line| line.contains("broke a promise"));
    assert_eq!(broken, None, "{mutant:?}");
    println!(
        "{mutant:?}: found by {seed}; {} connections are enough, {:?} faults, {} runs: {}",
        connections(&shrunk.to_toml()),
        faults,
        shrunk.runs,
        first.violations.first().and_then(|text| text.lines().next()).unwrap_or_default()
    );
}

/// Asserts in a stack are the first to see some mutants: a run that panics is a failed run, and is
/// made smaller like any other.
#[test]
#[cfg(debug_assertions)]
fn a_stack_that_panics_is_made_smaller() {
    let scenario = standard();
    let case = &scenario.cases()[0];
    let mutant = Mutant::EarlyReuse;
    let panics = |seed: u64| {
        mutants::activate(Some(mutant));
        let result = run(case, &RunOptions::new(Seed(seed)));
        mutants::activate(None);
        result.panicked.then_some((seed, result))
    };
    let (seed, first) = (0..SEEDS_MAX).find_map(panics).expect("a debug build panics somewhere");
    mutants::activate(Some(mutant));
    let mut again = |_: u32, _: bool| mutants::activate(Some(mutant));
    let shrunk = shrink(case, Seed(seed), 60, &mut again).expect("it fails again");
    mutants::activate(None);
    assert!(shrunk.result.panicked && shrunk.result.packets < first.packets, "{shrunk:?}");
    println!(
        "{mutant:?} under seed {seed}: {} of {} packets",
        shrunk.result.packets, first.packets
    );
}

macro_rules! mutants {
    ($($name:ident: $mutant:ident;)*) => {$(
        #[test]
        fn $name() {
            is_found_and_made_smaller(Mutant::$mutant);
        }
    )*};
}

mutants! {
    a_wrong_ack: AckOneMore;
    a_skipped_retransmission: SkippedRetransmission;
    a_halved_window_that_is_not: WindowNotHalved;
    an_early_reuse: EarlyReuse;
    a_leaked_buffer: LeakedBuffer;
    a_byte_changed_on_retransmission: ByteChangedOnRetransmission;
}
