//! `simoom replay FILE --what-if …`: the closed loop. Every captured connection lives again in a world
//! of its own, as captured and otherwise.
//!
//! Reads, runs and says; the work is [`simoom_replay::fit`] and [`simoom_replay::closed`]. [`text`] and
//! [`json`] are what is said, [`page`] what is drawn.

mod json;
mod page;
mod text;

use crate::captures::{Bar, Captures};
use crate::failure::{Failure, Kind};
use crate::human;
use crate::time::Around;
use clap::value_parser;
use simoom_replay::closed::{Answer, LossMode, Question, Variant, study, variants};
use simoom_replay::fit::{CONNECTIONS_DEFAULT, Choice, FitOptions, Fits, Fitting};
use simoom_replay::flow::FlowOptions;
use simoom_replay::open::Profile;
use simoom_sim::seed::Seed;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
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
        conflicts_with_all = ["tolerance_us", "exact_bytes", "connection", "pcap", "content"]
    )]
    options: Option<Vec<String>>,
    /// Seeds of --what-if: every one from A on, B not among them [default: 0..5]
    #[arg(long, value_name = "A..B", requires = "options")]
    seeds: Option<Seeds>,
    /// Connections of --what-if at most; of more, so many are drawn, the same ones each time
    #[arg(
        long, value_name = "N", requires = "options", conflicts_with = "slowest",
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    connections: Option<u32>,
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
    pub(super) whom: &'a str,
    pub(super) around: Option<Around>,
    pub(super) slowest: Option<u32>,
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
pub(super) fn run(
    args: &WhatIfArgs,
    beside: Beside<'_>,
    captures: &mut Captures,
) -> Result<(), Failure> {
    let options = args.options.as_deref().unwrap_or_default();
    let variants =
        variants(options).map_err(|what| Failure::new(Kind::Usage, format!("--what-if {what}")))?;
    // Made before the work: a folder that is not there is better known now than in an hour.
    let page = beside.report.map(|path| super::create(path, "the report")).transpose()?;
    let fit_options = FitOptions {
        flows: beside.flows,
        connections_max: match beside.slowest.or(args.connections) {
            Some(n) => n as usize,
            None => CONNECTIONS_DEFAULT,
        },
        choice: if beside.slowest.is_some() { Choice::Slowest } else { Choice::Spread },
    };
    let (fits, frames, bar) = read(captures, fit_options, beside.around)?;
    if fits.fits.is_empty() {
        bar.clear();
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
    bar.begin_runs(runs(&fits, &question));
    let answer = study(&fits, &question, &|done, _| bar.done(done)).map_err(|broken| {
        let (connection, variant, seed) = (broken.connection, &broken.variant, broken.seed);
        let what = &broken.what;
        let what = format!("connection {connection}, {variant}, seed {seed} broke a rule: {what}");
        Failure::new(Kind::Scenario, what)
    })?;
    bar.clear();
    let shown = Shown {
        whom: beside.whom,
        fits: &fits,
        answer: &answer,
        question: &question,
        slowest: beside.slowest.is_some(),
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
    captures: &mut Captures,
    mut options: FitOptions,
    around: Option<Around>,
) -> Result<(Fits, u64, Bar), Failure> {
    let (mut segments, bar) = captures.open("reading")?;
    let mut fitting = None;
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => {
                let fitting = fitting.get_or_insert_with(|| {
                    let first = item.frame.at_unix_nanos;
                    options.flows.selection.around_unix_nanos =
                        around.map(|around| around.at(first));
                    Fitting::new(options)
                });
                fitting.on_item(&item);
            }
            Err(error) => captures.tell(&bar, &error),
        }
    }
    let frames = segments.read_stats().frames;
    if frames == 0 {
        bar.clear();
        captures.verdict(0)?;
    }
    Ok((fitting.unwrap_or_else(|| Fitting::new(options)).finish(), frames, bar))
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
