//! Results as text: a table to be reviewed, and a line of JSON; and which runs a sweep has.

use crate::marks;
use crate::measure::decimals;
use crate::model::Case;
use crate::read::Scenario;
use crate::run::RunResult;
use serde_json::{Map, Value, json};
use simoom_sim::seed::Seed;
use std::fmt::Write;
use std::ops::Range;

/// One run of a sweep: a case and a seed.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The case.
    pub case: &'a Case,
    /// The seed.
    pub seed: Seed,
}

/// The runs of a scenario under a range of seeds: all cases under the first seed, then all under
/// the next, so that a sweep cut short has seen every case.
pub fn pairs(scenario: &Scenario, seeds: Range<u64>) -> impl Iterator<Item = Pair<'_>> {
    seeds.flat_map(|seed| scenario.cases().iter().map(move |case| Pair { case, seed: Seed(seed) }))
}

/// Shard `index` of `count`, the first being 1: every `count`th run. The shards of a sweep have its
/// runs, each once, whatever runs where.
///
/// # Panics
/// Where there is no such shard.
pub fn shard<T>(
    runs: impl Iterator<Item = T>,
    index: usize,
    count: usize,
) -> impl Iterator<Item = T> {
    assert!(index >= 1 && index <= count, "shard {index} of {count}: the first is 1");
    runs.skip(index - 1).step_by(count)
}

/// A table of results: a row for each, columns as the scenario says.
pub fn table(scenario: &Scenario, results: &[RunResult]) -> String {
    let mut rows = vec![vec!["case".to_owned(), "seed".to_owned(), "event hash".to_owned()]];
    rows[0].extend(scenario.columns.iter().cloned());
    for result in results {
        let mut row =
            vec![result.case.clone(), result.seed.0.to_string(), result.event_hash.to_string()];
        row.extend(scenario.columns.iter().map(|name| match result.measure(name) {
            Some(value) => format!("{value:.*}", decimals(name)),
            None => String::from("-"),
        }));
        rows.push(row);
    }
    let columns = rows[0].len();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = format!("{}\n\n", scenario.title);
    for row in &rows {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            let width = widths[n];
            // Names stand to the left, numbers to the right.
            let _ = if n == 0 || n == 2 {
                write!(line, "{cell:<width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    for result in results.iter().filter(|result| !result.ok) {
        let _ = writeln!(out, "\n{} under seed {}:", result.case, result.seed);
        for violation in &result.violations {
            let _ = writeln!(out, "  {violation}");
        }
    }
    out
}

/// A run as one line of JSON, keys always in the same order. Time on the wall is the caller's to
/// know; without it the line depends on the run alone. Marks are in it where the run counted them:
/// those that it reached.
pub fn json_line(result: &RunResult, wall_seconds: Option<f64>) -> String {
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
    put("scenario", json!(result.scenario));
    put("case", json!(result.case));
    put("seed", json!(result.seed.0));
    put("event_hash", json!(result.event_hash.to_string()));
    put("ok", json!(result.ok));
    put("violations", json!(result.violations));
    put("packets", json!(result.packets));
    put("events", json!(result.events));
    put("simulated_seconds", json!(result.simulated_seconds));
    if let Some(seconds) = wall_seconds {
        put("wall_seconds", json!(seconds));
    }
    let measures: Map<_, _> =
        result.measures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    put("measures", Value::Object(measures));
    if !result.marks.is_empty() {
        let reached = marks::marks().into_iter().zip(&result.marks).filter(|(_, n)| **n > 0);
        let reached: Map<_, _> =
            reached.map(|(mark, n)| (mark.name.to_owned(), json!(n))).collect();
        put("marks", Value::Object(reached));
    }
    Value::Object(line).to_string()
}
