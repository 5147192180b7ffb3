//! What is kept of the runs: rows of the tables, and what plots are drawn from.

use super::choice::Choice;
use simoom_scenarios::{Case, RunResult, Scenario};
use simoom_sim::hash::EventHash;
use simoom_sim::seed::Seed;

/// Failed runs of which every word is kept.
pub(super) const FAILURES_MAX: usize = 10;

/// Completion times of one case, at most: those of the first runs.
const COMPLETIONS_MAX: usize = 100_000;

/// What is kept of a run.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) seed: Seed,
    pub(super) event_hash: EventHash,
    pub(super) ok: bool,
    /// As the columns of the scenario.
    pub(super) values: Vec<Option<f64>>,
}

/// The runs of one case.
#[derive(Debug)]
pub(super) struct CaseRuns<'a> {
    pub(super) case: &'a Case,
    /// In the order of seeds.
    pub(super) rows: Vec<Row>,
    /// How long requests took, in seconds; where clients do not know, how long runs took to the
    /// last answer.
    pub(super) completions: Vec<f64>,
}

impl CaseRuns<'_> {
    /// What a column has in every run that has it, ascending.
    pub(super) fn sorted(&self, column: usize) -> Vec<f64> {
        let mut values: Vec<f64> = self.rows.iter().filter_map(|row| row.values[column]).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// All runs.
#[derive(Debug)]
pub(super) struct Gathered<'a> {
    scenario: &'a Scenario,
    pub(super) cases: Vec<CaseRuns<'a>>,
    keeps_completions: bool,
    runs: u64,
    failures: u64,
    /// The first [`FAILURES_MAX`].
    pub(super) failed: Vec<RunResult>,
    /// The last run.
    pub(super) last: Option<RunResult>,
    pub(super) packets: u64,
    pub(super) simulated_seconds: f64,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        choice: &Choice<'a>,
        keeps_completions: bool,
    ) -> Self {
        let cases = choice.cases.iter();
        let cases = cases.map(|case| CaseRuns { case, rows: Vec::new(), completions: Vec::new() });
        Self {
            scenario,
            cases: cases.collect(),
            keeps_completions,
            runs: 0,
            failures: 0,
            failed: Vec::new(),
            last: None,
            packets: 0,
            simulated_seconds: 0.0,
        }
    }

    /// Takes in a run. `is_counted_only`: nobody will ask for more than how many failed.
    pub(super) fn add(&mut self, result: RunResult, is_counted_only: bool) {
        self.runs += 1;
        self.packets += result.packets;
        self.simulated_seconds += result.simulated_seconds;
        if !result.ok {
            self.failures += 1;
            if self.failed.len() < FAILURES_MAX {
                self.failed.push(RunResult { completion_nanos: Vec::new(), ..result.clone() });
            }
        }
        if is_counted_only {
            return;
        }
        let case = self.cases.iter_mut().find(|known| known.case.name == result.case);
        let case = case.expect("only chosen cases are run");
        let columns = self.scenario.columns.iter();
        case.rows.push(Row {
            seed: result.seed,
            event_hash: result.event_hash,
            ok: result.ok,
            values: columns.map(|name| result.measure(name)).collect(),
        });
        if self.keeps_completions {
            let room = COMPLETIONS_MAX.saturating_sub(case.completions.len());
            let times = result.completion_nanos.iter().map(|nanos| *nanos as f64 / 1e9);
            case.completions.extend(times.take(room));
            if result.completion_nanos.is_empty() && room > 0 {
                case.completions.extend(result.measure("done_at_ms").map(|ms| ms / 1e3));
            }
        }
        self.last = Some(result);
    }

    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    pub(super) fn first_failure(&self) -> Option<&RunResult> {
        self.failed.first()
    }
}

/// The nearest rank: of ascending values the smallest that half of them do not exceed.
pub(super) fn median(ascending: &[f64]) -> Option<f64> {
    ascending.get(ascending.len().div_ceil(2).checked_sub(1)?).copied()
}
