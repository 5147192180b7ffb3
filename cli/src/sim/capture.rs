//! `--pcap`: the frames of one run, as its links or its NICs saw them.

use super::choice::Choice;
use super::progress::Progress;
use super::sweep::seconds_of;
use super::{Args, Output};
use crate::failure::{Failure, Kind};
use crate::human;
use simoom_linux::clock::Clock;
use simoom_scenarios::{Case, Observed, RunOptions, RunResult, run_observed};
use simoom_sim::capture::{Sender, View, write};
use simoom_sim::observe::{ProbeConfig, Recording};
use simoom_sim::world::Direction;

/// 2026-01-01 00:00:00 UTC: when a simulated world begins, for readers who want to know. Always the
/// same, so that the same run gives the same file.
const START_UNIX_NANOS: u64 = 1_767_225_600_000_000_000;

/// Which links and hosts `--at` names.
///
/// # Errors
/// Where there is none of a name.
pub(super) fn check_places(args: &Args, case: &Case) -> Result<(), Failure> {
    for place in &args.at {
        if !case.links().chain(case.hosts()).any(|name| name == place) {
            let links: Vec<_> = case.links().collect();
            let hosts: Vec<_> = case.hosts().collect();
            let what = format!(
                "--at {place}: neither a link ({}) nor a host ({})",
                links.join(", "),
                hosts.join(", ")
            );
            return Err(Failure::new(Kind::Usage, what));
        }
    }
    Ok(())
}

/// Makes the only run of a choice and writes its frames. Answers the run, and the seconds on the
/// clock that it took.
pub(super) fn run(
    choice: &Choice<'_>,
    at: &[String],
    file: Output<'_>,
    progress: &Progress,
) -> Result<(RunResult, f64), Failure> {
    let pair = choice.require_one("--pcap captures")?;
    let clock = Clock::start();
    let options = RunOptions::new(pair.seed);
    // As many as the recording has room for frames.
    let probe = ProbeConfig { points_max: 1 << 20, connections_max: 1 << 16 };
    let mut watch = |watch| progress.watch(&watch);
    let seen = run_observed(pair.case, &options, probe, Recording::default(), &mut watch);
    let seconds = seconds_of(clock);

    let views = views(pair.case, at, &seen);
    let views: Vec<_> = views.iter().map(|(name, of)| View { name, of: *of }).collect();
    let senders: Vec<_> =
        seen.stacks.iter().map(|stack| Sender { probe: &stack.probe, way: stack.way }).collect();
    let written = file.fill(|to| write(to, &seen.tap, &views, &senders, START_UNIX_NANOS))?;
    if written.unrecorded > 0 {
        progress.suspend(|| {
            eprintln!(
                "simoom: the capture holds the first {} only: memory for {} more is refused",
                human::count(written.frames, "frame"),
                written.unrecorded
            );
        });
    }
    Ok((seen.result, seconds))
}

/// Every link once, or what was asked for.
fn views<T>(
    case: &Case,
    at: &[String],
    seen: &Observed<T>,
) -> Vec<(String, simoom_sim::capture::Watched)> {
    let links = || case.links().zip(&seen.links).zip(&seen.ends);
    let mut views = Vec::new();
    for ((name, link), ends) in links() {
        if at.is_empty() || at.iter().any(|place| place == name) {
            views.push((name.to_owned(), View::link("", *link).of));
        }
        for (host, direction) in ends.iter().zip([Direction::Forward, Direction::Backward]) {
            if at.contains(host) {
                // A host may have several.
                let of = View::nic("", (*link, direction)).of;
                views.push((format!("{host} at {name}"), of));
            }
        }
    }
    views
}
