//! `--shrink`: the first run that fails, made smaller and written as a scenario of its own.

use super::choice::{Choice, quoted};
use super::progress::Progress;
use super::{Output, sweep};
use crate::failure::{Failure, Kind};
use crate::human;
use simoom_scenarios::{RunResult, Scenario, shrink};
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Runs that are made to make one smaller, at most.
const RUNS_MAX: u32 = 600;

/// Finds the first run of a choice that fails, makes it smaller, writes it to `out`, and says how to
/// see it.
pub(super) fn run(choice: &Choice<'_>, out: Option<&Path>) -> Result<(), Failure> {
    let out = out.map_or_else(
        || PathBuf::from(format!("{}-small.toml", choice.scenario.name)),
        Path::to_path_buf,
    );
    check_output(choice, &out)?;
    let Some((failed, before)) = first_failure(choice) else {
        let runs = choice.count();
        let what = if runs == 1 { "the run did not fail" } else { "none failed" };
        return print(&format!("{}: {what}, nothing to make smaller\n", human::count(runs, "run")));
    };
    let progress = Progress::new(choice);
    let case = choice.cases.iter().find(|case| case.name == failed.case);
    let case = case.expect("only chosen cases are run");
    let mut alike = 0;
    let mut watch = |runs: u32, fails_alike: bool| {
        alike += u32::from(fails_alike);
        progress.say(format!("making it smaller: {runs} runs, {alike} of them failed alike"));
    };
    let shrunk = shrink(case, failed.seed, RUNS_MAX, &mut watch);
    progress.clear();
    let Some(shrunk) = shrunk else {
        let what = format!("run {before} failed, and made again it does not");
        return Err(Failure::new(Kind::Runtime, what));
    };
    let text = shrunk.to_toml();
    Output::new(&out, "the scenario")?.fill(|to| to.write_all(text.as_bytes()))?;
    let name = out.display();
    let small = Scenario::load(&out).map_err(|errors| {
        let hint = "what it names with a relative path has to lie beside it";
        Failure::new(
            Kind::File,
            format!("written to {name}, but it cannot be read ({hint}):\n{errors}"),
        )
    })?;
    debug_assert_eq!(small.cases().len(), 1);

    let mut said = format!("{} under seed {} fails:\n", failed.case, failed.seed);
    said += &indented(&failed.violations);
    let (was, is) = (&failed, &shrunk.result);
    said += &format!(
        "made smaller in {}: {} instead of {}, {:.3} simulated seconds instead of {:.3}\n",
        human::count(shrunk.runs.into(), "run"),
        human::count(is.packets, "packet"),
        was.packets,
        is.simulated_seconds,
        was.simulated_seconds,
    );
    match &shrunk.faults {
        None => said += "what its links do is left to chance: no list of faults fails alike\n",
        Some(faults) if faults.is_empty() => said += "no fault of a link is needed\n",
        Some(faults) => {
            said +=
                &format!("{} in place of chance:\n", human::count(faults.len() as u64, "fault"));
            for fault in faults {
                said += &format!("  {fault}\n");
            }
        }
    }
    said += "it fails alike:\n";
    said += &indented(&shrunk.result.violations);
    said += &format!("written to {name}; to see it: simoom sim {}\n", quoted(&out));
    print(&said)
}

/// Refuses to write where it cannot be meant, before any work is done.
fn check_output(choice: &Choice<'_>, out: &Path) -> Result<(), Failure> {
    refuse_the_scenario(choice, "--shrink", out)?;
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let what =
            format!("cannot write the scenario to {}: there is no such folder", out.display());
        return Err(Failure::new(Kind::File, what));
    }
    Ok(())
}

/// Refuses to write over the scenario that is run.
pub(super) fn refuse_the_scenario(
    choice: &Choice<'_>,
    option: &str,
    out: &Path,
) -> Result<(), Failure> {
    match (fs::canonicalize(choice.file), fs::canonicalize(out)) {
        (Ok(scenario), Ok(out)) if scenario == out => {
            let what = format!("{option} {}: that is the scenario itself", out.display());
            Err(Failure::new(Kind::Usage, what))
        }
        _ => Ok(()),
    }
}

/// The first run that fails, and how many there were up to it.
fn first_failure(choice: &Choice<'_>) -> Option<(RunResult, u64)> {
    let progress = Progress::new(choice);
    let (mut found, mut runs) = (None, 0);
    sweep::run(choice, false, &progress, &mut |result, _| {
        runs += 1;
        progress.finished(result.ok);
        if result.ok {
            return ControlFlow::Continue(());
        }
        found = Some((result, runs));
        ControlFlow::Break(())
    });
    progress.clear();
    found
}

fn indented(violations: &[String]) -> String {
    let lines = violations.iter().flat_map(|violation| violation.lines());
    lines.map(|line| format!("  {line}\n")).collect()
}

fn print(text: &str) -> Result<(), Failure> {
    human::print(text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the results: {e}")))
}
