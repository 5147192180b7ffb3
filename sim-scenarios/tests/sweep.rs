//! The large sweep: every scenario under many seeds, or some of them under a great many.
//!
//! ```text
//! cargo test --release -p simoom-scenarios --test sweep -- --ignored --nocapture
//! SIMOOM_SCENARIO=standard SIMOOM_SEEDS=0..10000 cargo test --release -p simoom-scenarios --test sweep -- --ignored --nocapture
//! ```
//!
//! `SIMOOM_SCENARIO` names files, with commas between; all by default. `SIMOOM_SEEDS` names the seeds;
//! ten times those of a plain run by default. A run that fails is printed with the line that repeats
//! it, and as a smaller scenario.

use simoom_scenarios::{Pair, RunOptions, Scenario, pairs, run, shrink};
use simoom_sim::seed::Seed;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Failing runs that are made smaller; of more, the first lines are enough.
const SHRUNK_MAX: usize = 3;

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = var("SIMOOM_SCENARIO");
    let mut names: Vec<String> = match &wanted {
        Some(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        None => std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "Cargo" && name != "costs")
            .collect(),
    };
    names.sort();
    let load = |name: &String| Scenario::load(&folder.join(format!("{name}.toml")));
    names.iter().map(|name| load(name).unwrap_or_else(|e| panic!("\n{e}"))).collect()
}

fn seeds(scenario: &Scenario) -> Range<u64> {
    let Some(text) = var("SIMOOM_SEEDS") else {
        // A scenario of one seed is a long one.
        let times = if scenario.seeds == 1 { 2 } else { 10 };
        let first = scenario.seed_range().start;
        return first..first + scenario.seeds * times;
    };
    let parse = |text: &str| text.trim().parse::<Seed>().unwrap_or_else(|e| panic!("{e}")).0;
    match text.split_once("..") {
        Some((from, end)) => parse(from)..parse(end),
        None => parse(&text)..parse(&text) + 1,
    }
}

#[test]
#[ignore = "a sweep for release builds"]
fn sweep() {
    let scenarios = scenarios();
    let runs: Vec<Pair<'_>> =
        scenarios.iter().flat_map(|scenario| pairs(scenario, seeds(scenario))).collect();
    let next = AtomicUsize::new(0);
    let failed: Mutex<Vec<(usize, String)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (packets, events) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((n, pair)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, runs.get(n)?)))
                {
                    let result = run(pair.case, &RunOptions::new(pair.seed));
                    packets.fetch_add(result.packets as usize, Ordering::Relaxed);
                    events.fetch_add(result.events as usize, Ordering::Relaxed);
                    if let Some(violation) = result.violations.into_iter().next() {
                        failed.lock().unwrap().push((n, violation));
                    }
                }
            });
        }
    });
    println!("{} runs, {packets:?} packets, {events:?} events", runs.len());
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (n, violation) in &failed {
        let Pair { case, seed } = runs[*n];
        println!("\n{} {} under seed {seed}: {violation}", case.scenario, case.name);
        println!(
            "    SIMOOM_SCENARIO={} SIMOOM_SEEDS={} cargo test --release -p simoom-scenarios \
             --test sweep -- --ignored --nocapture",
            case.scenario, seed.0
        );
    }
    for (n, _) in failed.iter().take(SHRUNK_MAX) {
        let Pair { case, seed } = runs[*n];
        if let Some(shrunk) = shrink(case, seed, 200, &mut |_, _| {}) {
            println!("\n{}", shrunk.to_toml());
        }
    }
    assert!(failed.is_empty(), "{} of {} runs failed", failed.len(), runs.len());
}
