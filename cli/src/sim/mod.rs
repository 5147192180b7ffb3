//! `simoom sim`: worlds written down in files, run under one seed or thousands.
//!
//! Chooses the runs and says what came of them; the worlds are built, run and judged by
//! [`simoom_scenarios`]. Read [`choice`] (which runs), [`sweep`] (on how many threads), [`gather`]
//! (what is kept of them), then what is shown: [`text`], [`page`] and [`pictures`], [`capture`].

mod capture;
mod choice;
mod gather;
mod marks;
mod page;
mod pictures;
mod progress;
mod shrink;
mod sweep;
mod text;

use crate::failure::{Failure, Kind};
use choice::{Choice, Seeds, Shard};
use clap::value_parser;
use gather::Gathered;
use progress::Progress;
use simoom_linux::clock::Clock;
use simoom_scenarios::{Errors, NicFile, RunOptions, RunResult, Scenario, json_line, run_with};
use simoom_sim::hash::NoTap;
use simoom_sim::seed::Seed;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Examples:
  simoom sim sim-scenarios/standard.toml
  simoom sim sim-scenarios/loss-iid.toml --seeds 0..1000 --jobs 4 --json > runs.jsonl
  simoom sim sim-scenarios/standard.toml --seed 7 --pcap seven.pcapng --report seven.html
  simoom sim sim-scenarios/rtt.toml --seeds 0..30 --report rtt.html
  simoom sim sim-scenarios/standard.toml --seed 7 --until 5000 --dump
  simoom sim mine.toml --seeds 0..1000 --shrink mine-small.toml
  simoom sim mine.toml --seeds 0..100 --nic nic.toml
  simoom sim mine.toml --seeds 0..10000 --shard \"$SLURM_ARRAY_TASK_ID/20\" --json

The same file and the same seed give the same run, event by event, on every machine and whatever
--jobs says; of a line of --json only wall_seconds differs from run to run. The lines come in
this order: every case under the first seed, then every case under the next.";

/// What `simoom sim` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The scenario: see sim-scenarios/README.md
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What every host of our own stack has for a NIC, in place of what the scenario says: a file that
    /// `simoom verify` wrote
    #[arg(long, value_name = "NIC.toml")]
    nic: Option<PathBuf>,
    /// One seed: 4711, or v1:4711 as it is printed [default: the seeds that the file names]
    #[arg(long, value_name = "N", conflicts_with = "seeds", allow_hyphen_values = true)]
    seed: Option<Seed>,
    /// Every seed from A on, B not among them
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: Option<Seeds>,
    /// Only this case, or all cases with this value on their axes: delay_ms=5
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Runs at a time [default: as many as there are cores]
    #[arg(long, value_name = "J", value_parser = value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Part I of N of the runs, the first being 1: the parts have every run once
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Print each run as a line of JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Say which rare branches of the stack the runs reached, and how often; with --json as a key of
    /// each line. Only where the program was built with the feature `marks`
    #[arg(long, conflicts_with_all = ["pcap", "until", "shrink"])]
    marks: bool,
    /// Write the frames of the one run to this file, each of ours with its sender's state
    #[arg(long, value_name = "OUT.pcapng")]
    pcap: Option<PathBuf>,
    /// Capture at this link, or at the NICs of this host; may be repeated [default: every link]
    #[arg(long, value_name = "NAME", requires = "pcap")]
    at: Vec<String>,
    /// Write a page with tables and plots to this file
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    /// Which connection is drawn of the run in the page's pictures, the first that failed or else the
    /// first; connections are counted in the order of their beginning
    #[arg(long, value_name = "N", requires = "report", default_value_t = 1,
          value_parser = value_parser!(u32).range(1..))]
    connection: u32,
    /// Stop the one run after the event with this number
    #[arg(long, value_name = "EVENT", requires = "dump",
          value_parser = value_parser!(u64).range(1..),
          conflicts_with_all = ["json", "pcap", "report", "shard", "shrink"])]
    until: Option<u64>,
    /// Show the state of every connection and every link where --until stopped it
    #[arg(long, requires = "until")]
    dump: bool,
    /// Make the first run that fails smaller, and write it as a scenario [default file:
    /// NAME-small.toml]
    #[arg(long, value_name = "OUT.toml", num_args = 0..=1,
          conflicts_with_all = ["json", "pcap", "report", "shard"])]
    #[expect(clippy::option_option, reason = "not asked for; asked for; asked for with a name")]
    shrink: Option<Option<PathBuf>>,
}

/// Runs what was asked for. Fails where a run does.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let scenario = load(&args.file, args.nic.as_deref())?;
    let choice = Choice::new(args, &scenario)?;
    if let Some(what) = choice.emptiness() {
        // As good as done: the other parts of the job array have the runs.
        eprintln!("simoom: {what}");
        return Ok(());
    }
    if let Some(event) = args.until {
        return dump(&choice, event);
    }
    if let Some(out) = &args.shrink {
        return shrink::run(&choice, out.as_deref());
    }
    if args.marks {
        marks::check()?;
    }
    if args.pcap.is_some() {
        capture::check_places(args, choice.require_one("--pcap captures")?.case)?;
    }
    for (option, path) in [("--report", &args.report), ("--pcap", &args.pcap)] {
        if let Some(path) = path {
            shrink::refuse_the_scenario(&choice, option, path)?;
        }
    }
    if args.report.is_some() && args.report == args.pcap {
        let what = "--report and --pcap name the same file";
        return Err(Failure::new(Kind::Usage, what));
    }
    let first_drawn = match args.report {
        Some(_) => page::draw_first(&choice, args.connection)?,
        None => None,
    };
    // Made before the work: a folder that is not there is better known now than in an hour.
    let page = args.report.as_deref().map(|path| Output::new(path, "the report")).transpose()?;
    let pcap = args.pcap.as_deref().map(|path| Output::new(path, "the capture")).transpose()?;

    let mut gathered = Gathered::new(&scenario, &choice, page.is_some());
    let clock = Clock::start();
    let progress = Progress::new(&choice);
    let mut out = Out::default();
    let mut reached = marks::Reached::default();
    let ended = {
        let mut on_done = |result: RunResult, wall_seconds: f64| {
            progress.finished(result.ok);
            reached.add(&result);
            if args.json {
                let line = json_line(&result, Some(wall_seconds)) + "\n";
                progress.suspend(|| out.write(&line));
            }
            gathered.add(result, args.json && page.is_none());
            if out.is_open() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        match pcap {
            Some(file) => {
                capture::run(&choice, &args.at, file, &progress).map(|(result, seconds)| {
                    let _ = on_done(result, seconds);
                })
            }
            None => {
                sweep::run(&choice, args.marks, &progress, &mut on_done);
                Ok(())
            }
        }
    };
    progress.clear();
    ended?;
    if !args.json {
        out.write(&text::tables(&choice, &gathered, sweep::seconds_of(clock)));
        if args.marks {
            out.write(&reached.text());
        }
    }
    out.result()?;
    if let Some(file) = page {
        let page = page::build(&choice, &gathered, args.connection, first_drawn);
        file.fill(|to| simoom_report::write(&page, to))?;
    }
    match gathered.failures() {
        0 => Ok(()),
        failures => Err(failed(&choice, &gathered, failures)),
    }
}

/// What to say, and to type, where runs failed.
fn failed(choice: &Choice<'_>, gathered: &Gathered<'_>, failures: u64) -> Failure {
    let mut what = match gathered.runs() {
        1 => String::from("the run failed"),
        runs => format!("{failures} of {runs} runs failed"),
    };
    if let Some(first) = gathered.first_failure() {
        let again = choice.command_of(&first.case, first.seed);
        what += &format!("\nto see the first again: {again}");
        what += &format!("\nto make it smaller:     {again} --shrink");
    }
    Failure::new(Kind::Scenario, what)
}

fn load(path: &Path, nic: Option<&Path>) -> Result<Scenario, Failure> {
    let wrong = |errors: Errors| {
        let unreadable = errors.problems.iter().all(|problem| problem.line == 0);
        let kind = if unreadable { Kind::File } else { Kind::Usage };
        Failure::new(kind, errors.to_string())
    };
    let nic = nic.map(NicFile::load).transpose().map_err(wrong)?;
    Scenario::load_with(path, nic.as_ref()).map_err(wrong)
}

/// One run up to an event, and what everybody's state is then.
fn dump(choice: &Choice<'_>, event: u64) -> Result<(), Failure> {
    let pair = choice.require_one("--until stops")?;
    let progress = Progress::new(choice);
    let options = RunOptions { until: Some(event), ..RunOptions::new(pair.seed) };
    let (result, NoTap) = run_with(pair.case, &options, NoTap, &mut |watch| progress.watch(&watch));
    progress.clear();
    let mut out = Out::default();
    if let Some(dump) = &result.dump {
        out.write(dump);
        return out.result();
    }
    let events = result.events;
    if result.violations.is_empty() {
        let what = format!("--until {event}: the run was over after event {events}");
        return Err(Failure::new(Kind::Usage, what));
    }
    let what = result.violations.join("\n");
    let what = format!("the run failed before event {event}, after event {events}: {what}");
    Err(Failure::new(Kind::Scenario, what))
}

/// A file to be written when the work is done.
pub(super) struct Output<'a> {
    path: &'a Path,
    what: &'static str,
    file: File,
}

impl<'a> Output<'a> {
    fn new(path: &'a Path, what: &'static str) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|e| output_failure(what, path, &e))?;
        Ok(Self { path, what, file })
    }

    /// Writes all of it.
    pub(super) fn fill<R>(
        self,
        fill: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<R>,
    ) -> Result<R, Failure> {
        let mut to = io::BufWriter::new(self.file);
        let filled = fill(&mut to).and_then(|filled| to.flush().map(|()| filled));
        filled.map_err(|e| output_failure(self.what, self.path, &e))
    }
}

fn output_failure(what: &str, path: &Path, e: &io::Error) -> Failure {
    Failure::new(Kind::File, format!("cannot write {what} to {}: {e}", path.display()))
}

/// Standard output, line by line. A reader that has seen enough ends the work, and is no failure.
#[derive(Default)]
struct Out {
    ended: Option<io::Error>,
}

impl Out {
    fn write(&mut self, text: &str) {
        if self.ended.is_none() {
            let mut out = io::stdout().lock();
            self.ended = out.write_all(text.as_bytes()).and_then(|()| out.flush()).err();
        }
    }

    fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    fn result(self) -> Result<(), Failure> {
        match self.ended {
            Some(e) if e.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(Kind::File, format!("cannot write the results: {e}")))
            }
            _ => Ok(()),
        }
    }
}
