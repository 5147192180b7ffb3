//! `simoom replay FILE --what-if …`: the closed loop. Every captured connection lives again in a world
//! of its own, as captured and otherwise.
//!
//! Reads, runs and says; the work is [`simoom_replay::fit`] and [`simoom_replay::closed`]. [`text`] and
//! [`json`] are what is said, [`page`] what is drawn.

mod json;
mod page;
mod text;

use super::input::{self, Progress};
use crate::failure::{Failure, Kind};
use crate::human;
use clap::value_parser;
use simoom_pcap::read::Capture;
use simoom_pcap::segments::Segments;
use simoom_replay::closed::{Answer, LossMode, Question, Variant, study, variants};
use simoom_replay::fit::{CONNECTIONS_DEFAULT, Choice, FitOptions, Fits, Fitting};
use simoom_replay::flow::FlowOptions;
use simoom_replay::open::Profile;
use simoom_sim::seed::Seed;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

/// What `--help` says of it below the arguments.
pub(crate) const EXAMPLE: &str = "\
With --what-if each connection lives again in a simulated world: its client and path fitted from the
capture, its server our stack, first as captured and then with each combination of the values given.
Completion times before and after, over --seeds. Options: iw, min-rto, initial-rto, max-rto, cc, mss,
window, window-scaling, window-shift-min, timestamps, delayed-ack, nagle, retries, syn-retries,
time-wait, fin-wait-2, challenge-ack-interval. Alone, it shows how well the fit explains the capture.
  simoom replay server.pcapng --what-if iw=10,20 min-rto=200ms,1s";

/// Options of the closed loop.
#[derive(Debug, clap::Args)]
pub(super) struct WhatIfArgs {
    /// What would have been otherwise: options of our stack with the values to try, as iw=10,20
    #[arg(
        long = "what-if", value_name = "OPTION=VALUES", num_args = 0..,
        conflicts_with_all = ["tolerance_us", "exact_bytes", "connection", "pcap"]
    )]
    options: Option<Vec<String>>,
    /// Seeds of --what-if: every one from A on, B not among them [default: 0..5]
    #[arg(long, value_name = "A..B", requires = "options")]
    seeds: Option<Seeds>,
    /// Connections of --what-if at most; of more, so many are drawn, the same ones each time
    #[arg(
        long, value_name = "N", requires = "options",
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    connections: Option<u32>,
    /// Only the slowest N connections, with --what-if
    #[arg(
        long, value_name = "N", requires = "options", conflicts_with = "connections",
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    slowest: Option<u32>,
    /// How losses come about in --what-if
    #[arg(long, value_name = "HOW", requires = "options", default_value = "observed")]
    losses: Losses,
    /// Threads of --what-if [default: as many as there are cores]
    #[arg(
        long, value_name = "N", requires = "options", value_parser = value_parser!(u16).range(1..=1024)
    )]
    jobs: Option<u16>,
}

/// `--losses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Losses {
    /// The bytes that were lost are lost, as often as they were
    Observed,
    /// By chance, as likely and in bursts as long as they were
    Resampled,
}

/// `A..B`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seeds(Range<u64>);

/// Seeds of one study, at most.
const SEEDS_MAX: u64 = 1_000;

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("write the first and the end, like 0..5");
        let (from, end) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<Seed>().map(|seed| seed.0).map_err(|_| wrong());
        let (from, end) = (number(from)?, number(end)?);
        match end.checked_sub(from) {
            None | Some(0) => Err(format!("is empty: {end}, its end, is not one of them")),
            Some(n) if n > SEEDS_MAX => Err(format!("{SEEDS_MAX} seeds at most")),
            Some(_) => Ok(Self(from..end)),
        }
    }
}

impl WhatIfArgs {
    /// Whether the closed loop is asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.options.is_some()
    }
}

/// What `simoom replay` was told beside.
pub(super) struct Beside<'a> {
    pub(super) files: &'a [PathBuf],
    pub(super) whom: &'a str,
    pub(super) profile: Profile,
    pub(super) flows: FlowOptions,
    pub(super) json: bool,
    pub(super) report: Option<&'a Path>,
}

/// What there is to say.
struct Shown<'a> {
    whom: &'a str,
    fits: &'a Fits,
    answer: &'a Answer,
    question: &'a Question,
    slowest: bool,
    frames: u64,
}

/// Asks, and says what came of it.
pub(super) fn run(args: &WhatIfArgs, beside: Beside<'_>) -> Result<(), Failure> {
    let options = args.options.as_deref().unwrap_or_default();
    let variants =
        variants(options).map_err(|what| Failure::new(Kind::Usage, format!("--what-if {what}")))?;
    // Made before the work: a folder that is not there is better known now than in an hour.
    let page = beside.report.map(|path| super::create(path, "the report")).transpose()?;
    let fit_options = FitOptions {
        flows: beside.flows,
        connections_max: match args.slowest.or(args.connections) {
            Some(n) => n as usize,
            None => CONNECTIONS_DEFAULT,
        },
        choice: if args.slowest.is_some() { Choice::Slowest } else { Choice::Spread },
    };
    let progress = Progress::new(beside.files);
    let (fits, frames) = read(beside.files, fit_options, &progress)?;
    if fits.fits.is_empty() {
        progress.finish();
        let what = "no connection of the capture can be replayed";
        return Err(Failure::new(Kind::NothingToReplay, what));
    }
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let question = Question {
        base: beside.profile.tcp,
        variants,
        losses: match args.losses {
            Losses::Observed => LossMode::Observed,
            Losses::Resampled => LossMode::Resampled,
        },
        seeds: args.seeds.as_ref().map_or(0..5, |seeds| seeds.0.clone()),
        jobs: args.jobs.map_or_else(cores, usize::from),
        listed_max: 20,
    };
    progress.begin_runs(runs(&fits, &question));
    let answer = study(&fits, &question, &|done, _| progress.replayed(done)).map_err(|broken| {
        let (connection, variant, seed) = (broken.connection, &broken.variant, broken.seed);
        let what = &broken.what;
        let what = format!("connection {connection}, {variant}, seed {seed} broke a rule: {what}");
        Failure::new(Kind::Scenario, what)
    })?;
    progress.finish();
    let shown = Shown {
        whom: beside.whom,
        fits: &fits,
        answer: &answer,
        question: &question,
        slowest: args.slowest.is_some(),
        frames,
    };
    if let Some((mut file, path)) = page {
        let html = simoom_report::render(&page::build(&shown));
        file.write_all(html.as_bytes()).map_err(|e| super::cannot_write("the report", path, &e))?;
    }
    let said = if beside.json { json::text(&shown) } else { text::text(&shown) };
    human::print(&said)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the results: {e}")))
}

fn runs(fits: &Fits, question: &Question) -> u64 {
    let seeds = question.seeds.end - question.seeds.start;
    (question.variants.len() as u64 + 1) * fits.fits.len() as u64 * seeds
}

fn read(
    files: &[PathBuf],
    options: FitOptions,
    progress: &Progress,
) -> Result<(Fits, u64), Failure> {
    let inputs = files.iter().map(|path| input::open(path, progress)).collect::<Result<_, _>>()?;
    let unreadable = |e: &dyn std::fmt::Display| Failure::new(Kind::File, e.to_string());
    let mut segments = Segments::new(Capture::new(inputs).map_err(|e| unreadable(&e))?);
    let mut fitting = Fitting::new(options);
    let mut errors = Vec::new();
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => fitting.on_item(&item),
            Err(error) if errors.len() < input::ERRORS_MAX => errors.push(error.to_string()),
            Err(_) => (),
        }
    }
    let frames = segments.read_stats().frames;
    if frames == 0
        && let Some(error) = errors.first()
    {
        return Err(unreadable(error));
    }
    for error in errors {
        progress.suspend(|| eprintln!("simoom: {error}"));
    }
    Ok((fitting.finish(), frames))
}

/// The variants in words: `as captured`, and what was asked for.
fn names(variants: &[Variant]) -> Vec<String> {
    variants.iter().map(Variant::name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_that_is_not_empty_and_not_endless() {
        assert_eq!("3..7".parse(), Ok(Seeds(3..7)));
        for text in ["", "5", "5..5", "7..3", "0..1001", "a..b", "-1..2"] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
    }
}
