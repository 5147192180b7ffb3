//! The rare branches of the stack that the scenarios reach together: the suite fails when a listed one
//! is never reached.
//!
//! The large sweep asks the same over many seeds. Which branch the corner worlds reach is
//! asked by `tests/promises`.

#[path = "marks/unlisted.rs"]
mod unlisted;

use simoom_scenarios::{Pair, RunOptions, Scenario, marks, pairs, run};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use unlisted::{UNLISTED, unreached};

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter(|path| !path.ends_with("Cargo.toml") && !path.ends_with("costs.toml"))
        .collect();
    files.sort();
    files.iter().map(|file| Scenario::load(file).unwrap_or_else(|e| panic!("\n{e}"))).collect()
}

#[test]
fn every_listed_mark_is_reached_by_the_scenarios() {
    let scenarios = scenarios();
    // Seeds that the tables run too; no run is needed once all marks are reached.
    let runs: Vec<Pair<'_>> =
        scenarios.iter().flat_map(|scenario| pairs(scenario, scenario.seed_range())).collect();
    let next = AtomicUsize::new(0);
    let reached = Mutex::new(vec![0; marks().len()]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !unreached(&reached.lock().unwrap()).is_empty() {
                    let Some(pair) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let options = RunOptions { marks: true, ..RunOptions::new(pair.seed) };
                    let result = run(pair.case, &options);
                    let mut reached = reached.lock().unwrap();
                    for (all, of_run) in reached.iter_mut().zip(&result.marks) {
                        *all += of_run;
                    }
                }
            });
        }
    });
    let reached = reached.into_inner().unwrap();
    for (mark, count) in marks().iter().zip(&reached) {
        println!("{count:>12}  {}", mark.name);
    }
    println!("after {} of {} runs", next.into_inner().min(runs.len()), runs.len());
    assert_eq!(unreached(&reached), [""; 0], "listed marks that no scenario reaches");
}

#[test]
fn every_mark_that_is_not_listed_is_a_mark_and_has_a_reason() {
    for (name, reason) in UNLISTED {
        assert!(marks().iter().any(|mark| mark.name == *name), "{name} is no mark");
        assert!(!reason.is_empty());
    }
}

#[test]
fn marks_are_of_the_run_alone_and_counted_only_where_they_are_asked_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("loss-iid.toml");
    let scenario = Scenario::load(&path).unwrap();
    let pair = pairs(&scenario, 0..1).last().unwrap();
    let options = RunOptions { marks: true, ..RunOptions::new(pair.seed) };
    let first = run(pair.case, &options);
    let of = |name: &str| {
        let index = marks().iter().position(|mark| mark.name == name).unwrap();
        first.marks[index]
    };
    assert!(of("Timeout") > 0 && of("FastRetransmit") > 0);
    assert_eq!(of("SimultaneousOpen"), 0);
    let plain = run(pair.case, &RunOptions::new(pair.seed));
    assert!(plain.marks.is_empty());
    assert_eq!(run(pair.case, &options), first, "the run between left nothing behind");
    assert_eq!(plain.event_hash, first.event_hash);
    let line = simoom_scenarios::json_line(&first, None);
    assert!(line.contains("\"marks\":{") && !line.contains("SimultaneousOpen"), "{line}");
    assert!(!simoom_scenarios::json_line(&plain, None).contains("\"marks\""));
}
