//! Results for people, as text.

use super::choice::Choice;
use super::gather::{CaseRuns, FAILURES_MAX, Gathered, median};
use crate::human;
use simoom_scenarios::{RunResult, decimals};
use std::fmt::Write;

/// Runs of one case that have a line each; where there are more, the least, the median and the
/// most stand for them.
pub(super) const LINES_MAX: usize = 20;

/// Everything there is to say: what the file shows, a table, what failed, and what was done in so
/// many seconds on the clock.
pub(super) fn tables(choice: &Choice<'_>, gathered: &Gathered<'_>, wall_seconds: f64) -> String {
    let scenario = choice.scenario;
    let mut out = format!("{}\n", scenario.title);
    if let Some(needs) = &scenario.needs {
        let _ = writeln!(out, "Not yet: it needs {needs}. What it does until then is checked.");
    }
    out.push('\n');
    match &gathered.last {
        Some(only) if gathered.runs() == 1 => one_run(&mut out, only),
        _ => out.push_str(&aligned(&table(choice, gathered))),
    }
    for failed in &gathered.failed {
        failure(&mut out, choice, failed);
    }
    let more = gathered.failures().saturating_sub(gathered.failed.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "\n{more} more failed; the first {FAILURES_MAX} are shown");
    }
    let _ = writeln!(out, "\n{}", summary(gathered, wall_seconds));
    out
}

/// A run alone: every measure, one a line.
fn one_run(out: &mut String, result: &RunResult) {
    let facts = [
        ("case", result.case.clone()),
        ("seed", result.seed.to_string()),
        ("event hash", result.event_hash.to_string()),
        ("outcome", String::from(if result.ok { "ok" } else { "FAILED" })),
        ("simulated seconds", result.simulated_seconds.to_string()),
    ];
    let measures =
        result.measures.iter().map(|(name, value)| (name.as_str(), shown(name, Some(*value))));
    let facts: Vec<_> = facts.into_iter().chain(measures).collect();
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in facts {
        let _ = writeln!(out, "{name:<width$}  {value}");
    }
}

/// Headings and rows. Cells of cases with many runs say the least, the median and the most.
pub(super) fn table(choice: &Choice<'_>, gathered: &Gathered<'_>) -> Vec<Vec<String>> {
    let columns = &choice.scenario.columns;
    let many = gathered.cases.iter().any(|case| case.rows.len() > LINES_MAX);
    let head: &[&str] =
        if many { &["case", "runs", "failed", ""] } else { &["case", "seed", "event hash", "ok"] };
    let head = head.iter().map(|s| String::from(*s)).chain(columns.iter().cloned());
    let mut rows = vec![head.collect()];
    for case in gathered.cases.iter().filter(|case| !case.rows.is_empty()) {
        if many {
            rows.extend(spread_of(case, columns));
        } else {
            rows.extend(lines_of(case, columns));
        }
    }
    rows
}

fn lines_of(case: &CaseRuns<'_>, columns: &[String]) -> Vec<Vec<String>> {
    let rows = case.rows.iter().map(|row| {
        let ok = if row.ok { "ok" } else { "FAILED" };
        let (seed, hash) = (row.seed.0.to_string(), row.event_hash.to_string());
        let mut cells = vec![case.case.name.clone(), seed, hash, ok.to_owned()];
        cells.extend(columns.iter().zip(&row.values).map(|(name, value)| shown(name, *value)));
        cells
    });
    rows.collect()
}

fn spread_of(case: &CaseRuns<'_>, columns: &[String]) -> Vec<Vec<String>> {
    let failed = case.rows.iter().filter(|row| !row.ok).count();
    let runs = [case.rows.len(), failed].map(|n| n.to_string());
    let first = [case.case.name.clone()].into_iter().chain(runs).collect::<Vec<_>>();
    let sorted: Vec<_> = (0..columns.len()).map(|column| case.sorted(column)).collect();
    let kinds = ["least", "median", "most"];
    let rows = kinds.into_iter().enumerate().map(|(n, name)| {
        let mut cells = if n == 0 { first.clone() } else { vec![String::new(); 3] };
        cells.push(name.to_owned());
        let of = |all: &[f64]| match n {
            0 => all.first().copied(),
            1 => median(all),
            _ => all.last().copied(),
        };
        cells.extend(columns.iter().zip(&sorted).map(|(name, all)| shown(name, of(all))));
        cells
    });
    rows.collect()
}

fn shown(name: &str, value: Option<f64>) -> String {
    value.map_or_else(|| String::from("-"), |value| format!("{value:.*}", decimals(name)))
}

/// Names to the left, numbers to the right, with as much room as they need.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_number = |n: usize| {
        let mut cells = rows[1..].iter().map(|row| row[n].as_str());
        cells.all(|cell| matches!(cell, "" | "-") || cell.parse::<f64>().is_ok())
    };
    let numbers: Vec<bool> = (0..columns).map(is_number).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            let width = widths[n];
            let _ = match numbers[n] {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn failure(out: &mut String, choice: &Choice<'_>, failed: &RunResult) {
    let _ = writeln!(out, "\nFAILED: {} under seed {}", failed.case, failed.seed);
    for violation in &failed.violations {
        for line in violation.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    let _ = writeln!(out, "  again: {}", choice.command_of(&failed.case, failed.seed));
}

/// One line: how much was simulated, and what it took.
fn summary(gathered: &Gathered<'_>, wall_seconds: f64) -> String {
    let failed = match gathered.failures() {
        0 => String::from("none failed"),
        n => format!("{n} failed"),
    };
    let runs = human::count(gathered.runs(), "run");
    let head = if gathered.runs() == 1 { runs } else { format!("{runs}, {failed}") };
    let (packets, seconds) = (gathered.packets, wall_seconds.max(1e-9));
    format!(
        "{head}: {} packets and {:.3} simulated seconds in {:.3} s, {} packets a second",
        grouped(packets),
        gathered.simulated_seconds,
        seconds,
        grouped((packets as f64 / seconds) as u64)
    )
}

/// `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let shown = [0, 999, 1_000, 12_345_678].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn columns_of_numbers_stand_to_the_right() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let rows = [row(["case", "n", "x"]), row(["a", "5", "-"]), row(["long", "10", "1.5"])];
        assert_eq!(aligned(&rows), "case   n    x\na      5    -\nlong  10  1.5\n");
    }
}
