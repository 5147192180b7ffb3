//! `--report`: the page about all runs, and the pictures of one of them.

use super::choice::Choice;
use super::gather::{CaseRuns, Gathered, median};
use super::pictures::{self, Pictures};
use super::text::{grouped, table};
use crate::failure::{Failure, Kind};
use crate::human;
use simoom_report::{Axis, Page, Plot, Series, Style, Table, plots};
use simoom_scenarios::{Case, Pair, decimals};

/// Series of one plot, at most: more cannot be told apart.
const SERIES_MAX: usize = 12;

/// Cases in the plot of completion times, at most: their names are long, and on a narrow screen a
/// line each.
const SPREADS_MAX: usize = 4;

/// Rows of a table, at most.
const ROWS_MAX: usize = 500;

/// Draws the first run before any is made, where another than its first connection was asked for: what
/// cannot be drawn is better known now than after the sweep.
///
/// # Errors
/// Where it has not so many connections.
pub(super) fn draw_first(
    choice: &Choice<'_>,
    connection: u32,
) -> Result<Option<Pictures>, Failure> {
    if connection == 1 {
        return Ok(None);
    }
    let first = choice.runs().next().expect("a choice has a run");
    let pictures = pictures::of(first, connection);
    if pictures.connections < connection as usize {
        let there = human::count(pictures.connections as u64, "connection");
        let what = format!("--connection {connection}: the first run has {there}");
        return Err(Failure::new(Kind::Usage, what));
    }
    Ok(Some(pictures))
}

/// Makes the page. Makes one run again, with everything watched: the first that failed, else the
/// first, which may be drawn already.
pub(super) fn build(
    choice: &Choice<'_>,
    gathered: &Gathered<'_>,
    connection: u32,
    first_drawn: Option<Pictures>,
) -> Page {
    let failed = gathered.first_failure().and_then(|failed| {
        let case = choice.cases.iter().find(|case| case.name == failed.case)?;
        Some(Pair { case, seed: failed.seed })
    });
    let first = choice.runs().next().expect("a choice has a run");
    let run = failed.unwrap_or(first);
    let is_first = run.seed == first.seed && run.case.name == first.case.name;
    let drawn = first_drawn.filter(|_| is_first);
    let pictured = drawn.unwrap_or_else(|| pictures::of(run, connection));
    let scenario = choice.scenario;
    let mut subtitle = scenario.about.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(source) = &scenario.source {
        subtitle += &format!(" Where its numbers come from: {source}.");
    }
    let mut page = Page {
        title: scenario.title.clone(),
        subtitle,
        facts: facts(choice, gathered),
        tables: tables(choice, gathered),
        plots: sweep_plots(choice, gathered),
    };
    page.facts.extend(pictured.facts);
    page.plots.extend(completions(gathered));
    page.plots.extend(pictured.plots);
    page
}

fn facts(choice: &Choice<'_>, gathered: &Gathered<'_>) -> Vec<(String, String)> {
    let mut facts = vec![("Scenario", choice.scenario.name.clone())];
    if let Some(needs) = &choice.scenario.needs {
        facts.push(("Not yet", format!("needs {needs}")));
    }
    let (from, end) = (choice.seeds.start, choice.seeds.end);
    let seeds =
        if end - from == 1 { format!("v1:{from}") } else { format!("{from} to {}", end - 1) };
    let failed = match gathered.failures() {
        0 => String::from("none"),
        n => grouped(n),
    };
    facts.extend([
        ("Cases", choice.cases.len().to_string()),
        (if end - from == 1 { "Seed" } else { "Seeds" }, seeds),
        ("Runs", grouped(gathered.runs())),
        ("Failed", failed),
        ("Packets", grouped(gathered.packets)),
        ("Simulated time", format!("{:.3} s", gathered.simulated_seconds)),
    ]);
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn tables(choice: &Choice<'_>, gathered: &Gathered<'_>) -> Vec<Table> {
    let mut rows = table(choice, gathered);
    let columns = rows.remove(0);
    let all = rows.len();
    rows.truncate(ROWS_MAX);
    let title = match all {
        n if n > ROWS_MAX => format!("The first {ROWS_MAX} of {n} rows"),
        _ => String::from("Runs"),
    };
    let mut tables = vec![Table { title, columns, rows }];
    if !gathered.failed.is_empty() {
        let rows = gathered.failed.iter().flat_map(|failed| {
            failed.violations.iter().map(|violation| {
                let first = violation.lines().next().unwrap_or_default();
                vec![failed.case.clone(), failed.seed.to_string(), first.to_owned()]
            })
        });
        let columns = ["case", "seed", "what was wrong"].map(String::from).to_vec();
        tables.push(Table { title: String::from("Failed"), columns, rows: rows.collect() });
    }
    tables
}

/// How completion times are spread over all seeds, case by case.
fn completions(gathered: &Gathered<'_>) -> Option<Plot> {
    let all: Vec<_> = gathered.cases.iter().filter(|case| !case.completions.is_empty()).collect();
    // The first, the last, and some in between.
    let count = all.len().min(SPREADS_MAX);
    let nth = |n: usize| if count > 1 { n * (all.len() - 1) / (count - 1) } else { 0 };
    let shown: Vec<_> = (0..count).map(|n| all[nth(n)]).collect();
    let groups: Vec<(&str, &[f64])> =
        shown.iter().map(|case| (case.case.name.as_str(), case.completions.as_slice())).collect();
    if groups.is_empty() {
        return None;
    }
    let mut plot = plots::completion_times(&groups);
    plot.title = String::from("Completion times over all seeds");
    plot.note = String::from("How many of all requests were answered in full within a time.");
    if shown.len() < all.len() {
        plot.note += &format!(" {} of {} cases.", shown.len(), all.len());
    }
    Some(plot)
}

/// Where cases are points on axes: each measure of the scenario's table over the first axis whose
/// values are numbers, a line for each place on the others.
fn sweep_plots(choice: &Choice<'_>, gathered: &Gathered<'_>) -> Vec<Plot> {
    let Some(axis) = numeric_axis(&choice.cases) else { return Vec::new() };
    let name = choice.cases[0].axes[axis].0.clone();
    let mut lines: Vec<(String, Vec<(f64, &CaseRuns<'_>)>)> = Vec::new();
    for runs in gathered.cases.iter().filter(|case| !case.rows.is_empty()) {
        let Some(x) = number(&runs.case.axes[axis].1) else { continue };
        let others = place_on_others(runs.case, axis);
        match lines.iter_mut().find(|(known, _)| *known == others) {
            Some((_, points)) => points.push((x, runs)),
            None => lines.push((others, vec![(x, runs)])),
        }
    }
    for (_, points) in &mut lines {
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    let xs: Vec<f64> = lines.iter().flat_map(|(_, points)| points).map(|(x, _)| *x).collect();
    let least = xs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = xs.iter().copied().fold(0.0, f64::max);
    let log = least > 0.0 && most >= 30.0 * least;
    let columns = choice.scenario.columns.iter().enumerate();
    columns
        .filter_map(|(n, column)| {
            let series: Vec<Series> = lines
                .iter()
                .take(SERIES_MAX)
                .map(|(others, points)| line(others, column, n, points, &name))
                .filter(|series| !series.points.is_empty())
                .collect();
            // What is the same everywhere is no picture.
            let mut values = series.iter().flat_map(|series| &series.points).map(|(_, y)| *y);
            let first = values.next()?;
            if values.all(|value| value == first) {
                return None;
            }
            let mut note = String::from("The median over seeds; point at a mark for the range.");
            if lines.len() > SERIES_MAX {
                note += &format!(" The first {SERIES_MAX} of {} lines.", lines.len());
            }
            Some(Plot {
                title: format!("{column} over {name}"),
                note,
                x: Axis { label: name.clone(), log, ..Axis::default() },
                y: Axis { label: column.clone(), from_zero: true, ..Axis::default() },
                series,
                ..Plot::default()
            })
        })
        .collect()
}

fn line(
    others: &str,
    column: &str,
    n: usize,
    points: &[(f64, &CaseRuns<'_>)],
    axis: &str,
) -> Series {
    let name = if others.is_empty() { column.to_owned() } else { others.to_owned() };
    let mut series = Series { name, style: Style::Line, ..Series::default() };
    for (x, runs) in points {
        let sorted = runs.sorted(n);
        let Some(middle) = median(&sorted) else { continue };
        let digits = decimals(column);
        series.points.push((*x, middle));
        series.hover.push(format!(
            "{}\n{axis} {x}: {middle:.digits$}\n{:.digits$} to {:.digits$} in {} runs",
            runs.case.name,
            sorted[0],
            sorted[sorted.len() - 1],
            sorted.len(),
        ));
    }
    series
}

/// The first axis on which every case has a number, and not all the same.
fn numeric_axis(cases: &[&Case]) -> Option<usize> {
    let axes = cases.first()?.axes.len();
    (0..axes).find(|axis| {
        let values: Vec<Option<f64>> =
            cases.iter().map(|case| number(&case.axes[*axis].1)).collect();
        values.iter().all(Option::is_some) && values.iter().any(|value| *value != values[0])
    })
}

/// A value of an axis as a case's name has it.
fn number(label: &str) -> Option<f64> {
    label.replace('_', "").parse().ok().filter(|value: &f64| value.is_finite())
}

fn place_on_others(case: &Case, axis: usize) -> String {
    let others = case.axes.iter().enumerate().filter(|(n, _)| *n != axis);
    let places = others.map(|(_, (name, value))| match name.as_str() {
        "case" => value.clone(),
        _ => format!("{name}={value}"),
    });
    places.collect::<Vec<_>>().join(", ")
}
