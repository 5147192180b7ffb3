//! Running a test under many seeds, and making what fails small.
//!
//! [`check`] runs a closure under each seed. The first failure prints the line that repeats it.
//! Then the closure runs again, with everything written down that went wrong on links; if it fails
//! again in the same way, the list of these faults is made smaller, run by run, until no single one
//! can be left out, and printed with the line that runs the test with them alone:
//!
//! ```text
//! seed v1:4711 failed; to repeat it:
//!     SIMOOM_SEED=v1:4711 cargo test -p my-server every_byte_arrives
//! making it smaller; SIMOOM_REDUCE=0 does without
//! of 37 faults 2 are enough, none of which can be left out (21 runs):
//!     drop frame 3 of link 0 forward: bytes 0..1460 of 10.66.0.1:80 to 10.66.0.2:49371
//!     drop frame 7 of link 0 forward: bytes 5840..7300 of 10.66.0.1:80 to 10.66.0.2:49371
//! to run with these alone:
//!     SIMOOM_SEED=v1:4711 SIMOOM_FAULTS=0f:3:lost,0f:7:lost cargo test -p my-server every_byte_arrives
//! ```
//!
//! The closure does nothing for that: every [`World`](crate::world::World) and every
//! [`Lab`](crate::lab::Lab) that it makes, on this thread, takes part, unless it forces faults itself.
//! The panics of these runs are not printed; what the closure prints is, each time. What is no fault of a link
//! stays as the seed draws it: jitter, full queues, stalls of a NIC, what hosts do.
//!
//! The environment:
//!
//! | variable | what |
//! |---|---|
//! | `SIMOOM_SEED=v1:4711` | this seed, instead of those that the test names |
//! | `SIMOOM_SEEDS=0..1000` | these seeds |
//! | `SIMOOM_FAULTS=0f:3:lost,0b:7:twice` | these faults and no others: see [`crate::fault::parse_faults`] |
//! | `SIMOOM_REDUCE=0` | a failure is not made smaller |

mod reduce;

pub use reduce::{Reduced, reduce};

use crate::case::{self, CaseFault, Ended, Plan};
use crate::fault::{parse_faults, print_faults};
use crate::panics;
use crate::seed::Seed;
use std::fmt::Write;
use std::ops::Range;
use std::panic::resume_unwind;

/// Runs of the closure for one reduction, at most.
pub const REDUCTION_RUNS_MAX: u32 = 400;

/// Events of all runs of one reduction, at most: this many times those of the run that failed, but
/// [`REDUCTION_EVENTS_MIN`] to [`REDUCTION_EVENTS_MAX`]. Counted, not timed: the same failure is
/// reduced to the same list on every machine.
pub const REDUCTION_EFFORT: u64 = 100;

/// See [`REDUCTION_EFFORT`].
pub const REDUCTION_EVENTS_MIN: u64 = 1_000_000;

/// See [`REDUCTION_EFFORT`].
pub const REDUCTION_EVENTS_MAX: u64 = 20_000_000;

/// Runs `body` under every seed of the range, or under those that the environment names. The first
/// failure prints what the [module](self) says, and fails the test.
///
/// # Panics
/// Where `body` does, with its panic; where a variable of the environment makes no sense.
pub fn check(seeds: Range<u64>, body: impl Fn(Seed)) {
    let var = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let settings = Settings::new(&var, seeds).unwrap_or_else(|error| panic!("{error}"));
    for number in settings.seeds.clone() {
        let seed = Seed(number);
        let forced = settings.faults.as_deref();
        let plan = forced.map_or(Plan::Watch, Plan::Force);
        let ended = case::run(plan, u64::MAX, || body(seed));
        if let Err(panic) = ended.result {
            eprintln!("\nseed {seed} failed; to repeat it:\n    {}", repeat_line(seed, forced));
            if settings.reduce && forced.is_none() && ended.worlds > 0 {
                eprintln!("making it smaller; SIMOOM_REDUCE=0 does without");
                eprint!("{}", explain(seed, &body));
            }
            eprintln!();
            resume_unwind(panic);
        }
    }
}

/// What the environment and the test ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    seeds: Range<u64>,
    faults: Option<Vec<CaseFault>>,
    reduce: bool,
}

impl Settings {
    fn new(var: &dyn Fn(&str) -> Option<String>, seeds: Range<u64>) -> Result<Self, String> {
        let faults = var("SIMOOM_FAULTS").map(|text| parse_faults(&text)).transpose();
        Ok(Self {
            seeds: chosen_by(var("SIMOOM_SEED").as_deref(), var("SIMOOM_SEEDS").as_deref(), seeds)?,
            faults: faults.map_err(|error| format!("SIMOOM_FAULTS: {error}"))?,
            reduce: var("SIMOOM_REDUCE").as_deref() != Some("0"),
        })
    }
}

fn chosen_by(
    one: Option<&str>,
    range: Option<&str>,
    seeds: Range<u64>,
) -> Result<Range<u64>, String> {
    if let Some(one) = one {
        let Seed(n) = one.trim().parse().map_err(|error| format!("SIMOOM_SEED: {error}"))?;
        let end = n.checked_add(1).ok_or("SIMOOM_SEED: the last number is not usable")?;
        return Ok(n..end);
    }
    let Some(range) = range else { return Ok(seeds) };
    let wrong = || format!("SIMOOM_SEEDS={range}: write the first and the end, like 0..1000");
    let (from, end) = range.trim().split_once("..").ok_or_else(wrong)?;
    let parse = |text: &str| text.parse::<Seed>().map_err(|_| wrong());
    let (Seed(from), Seed(end)) = (parse(from)?, parse(end)?);
    if from < end { Ok(from..end) } else { Err(wrong()) }
}

/// The command that runs the current test under one seed, with these faults alone if there is a
/// list.
fn repeat_line(seed: Seed, faults: Option<&[CaseFault]>) -> String {
    let package = std::env::var("CARGO_PKG_NAME").map(|p| format!(" -p {p}")).unwrap_or_default();
    let thread = std::thread::current();
    // With one test thread the harness runs tests on the main thread: the name is not known then.
    let test = thread.name().filter(|name| *name != "main").map(|name| format!(" {name}"));
    let faults = faults.map(|faults| match print_faults(faults) {
        // An empty variable is none: a lone comma is a list without a fault.
        list if list.is_empty() => String::from(" SIMOOM_FAULTS=,"),
        list => format!(" SIMOOM_FAULTS={list}"),
    });
    let (faults, test) = (faults.unwrap_or_default(), test.unwrap_or_default());
    format!("SIMOOM_SEED={seed}{faults} cargo test{package}{test}")
}

/// What makes `body` fail under a seed under which it does, in lines to print.
fn explain(seed: Seed, body: &impl Fn(Seed)) -> String {
    let recorded = quietly(|| case::run(Plan::Record, u64::MAX, || body(seed)));
    let (Some(failure), all) = (recorded.failure, recorded.ended.faults) else {
        return String::from(
            "run once more it does not fail: not everything in it is of the seed\n",
        );
    };
    if recorded.ended.left_out > 0 {
        return format!("more than {} faults: not reduced\n", all.len());
    }
    let count = all.len();
    let effort = recorded.ended.events.saturating_mul(REDUCTION_EFFORT);
    let mut events_left = effort.clamp(REDUCTION_EVENTS_MIN, REDUCTION_EVENTS_MAX);
    let mut fails = |faults: &[CaseFault]| {
        if events_left == 0 {
            return None;
        }
        let run = quietly(|| case::run(Plan::Force(faults), events_left, || body(seed)));
        events_left = events_left.saturating_sub(run.ended.events.max(1));
        Some(run.failure.is_some_and(|other| other.is_like(&failure)))
    };
    if fails(&all) != Some(true) {
        return format!("with its {count} faults forced it does not fail in the same way\n");
    }
    let reduced = reduce(all, REDUCTION_RUNS_MAX, &mut fails);
    let last = quietly(|| case::run(Plan::Force(&reduced.list), u64::MAX, || body(seed)));
    print_reduced(seed, count, &reduced, &last)
}

fn print_reduced(seed: Seed, count: usize, reduced: &Reduced<CaseFault>, last: &Quiet) -> String {
    let mut text = String::new();
    let Reduced { list, is_minimal, tests } = reduced;
    let again = repeat_line(seed, Some(list));
    if list.is_empty() {
        let of = if count == 0 { "" } else { ": none of them is needed" };
        let _ = writeln!(text, "fails without any fault of a link ({count} happened{of})");
        if count > 0 {
            let _ = writeln!(text, "to run without one:\n    {again}");
        }
        return text;
    }
    let enough = match (list.len(), is_minimal) {
        (1, true) => String::from("1 is enough"),
        (n, true) => format!("{n} are enough, none of which can be left out"),
        (n, false) => format!("{n} are enough, and perhaps fewer"),
    };
    let _ = writeln!(text, "of {count} faults {enough} ({tests} runs):");
    for fault in list {
        let world =
            if fault.world == 1 { String::new() } else { format!("world {}: ", fault.world) };
        let frame = last.ended.frames.get(fault).map(|frame| format!(": {frame}"));
        let _ = writeln!(text, "    {world}{}{}", fault.fault, frame.unwrap_or_default());
    }
    if let Some(failure) = &last.failure {
        let _ = writeln!(text, "which ends with: {}", failure.message);
    }
    let _ = writeln!(text, "to run with these alone:\n    {again}");
    text
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    /// File, line and column of the panic.
    at: String,
    /// The first line of what it said.
    message: String,
}

impl Failure {
    /// Whether another failure is of the same kind: panicked at the same place, with the same words.
    /// Numbers may differ, since with fewer faults the same thing happens at another time.
    fn is_like(&self, other: &Self) -> bool {
        let words = |text: &str| -> Vec<String> {
            let is_word =
                |word: &&str| !word.is_empty() && !word.contains(|c: char| c.is_numeric());
            let words = text.split(|c: char| !c.is_alphanumeric());
            words.filter(is_word).map(String::from).collect()
        };
        self.at == other.at && words(&self.message) == words(&other.message)
    }
}

/// A run that printed nothing when it panicked.
struct Quiet {
    ended: Ended,
    failure: Option<Failure>,
}

/// Runs something whose panics are not printed.
fn quietly(run: impl FnOnce() -> Ended) -> Quiet {
    let (ended, at) = panics::noting(run);
    let failure = ended.result.as_ref().err().map(|panic| Failure {
        at: at.unwrap_or_default(),
        message: panics::words_of(&**panic).lines().next().unwrap_or_default().to_owned(),
    });
    Quiet { ended, failure }
}

#[cfg(test)]
mod tests;
