//! `simoom demo`: the bundled site, served over a simulated lossy link to simulated clients.
//!
//! Needs no privilege and no network, and reads no clock: one seed decides everything, so the same
//! arguments give the same [`simoom_sim::hash::EventHash`] on every machine. Read [`world`] for who
//! is in it, [`report`] for what is shown.

mod bundled;
mod report;
mod world;

use crate::failure::{Failure, Kind};
use clap::value_parser;
use report::Report;
use simoom_sim::hash::{EventRecord, EventTap, EventWriter};
use simoom_sim::seed::Seed;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use world::Demo;

/// What `simoom demo` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Decides everything that happens: 4711, or v1:4711 as it is printed
    #[arg(long, default_value = "1")]
    seed: Seed,
    /// Clients; every second one is smoltcp, an independent TCP
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = value_parser!(u16).range(1..=200))]
    clients: u16,
    /// Requests of all clients together
    #[arg(long, value_name = "N", default_value_t = 400,
          value_parser = value_parser!(u32).range(1..=10_000_000))]
    requests: u32,
    /// Frames lost on each client's link, each way, in a million
    #[arg(long, value_name = "PPM", default_value_t = 10_000,
          value_parser = value_parser!(u32).range(0..=200_000))]
    loss: u32,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Write every event with its bytes to this file: the stream whose digest is the hash
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

impl Args {
    /// What to type to see the same again.
    fn command(&self) -> String {
        format!(
            "simoom demo --seed {} --clients {} --requests {} --loss {}",
            self.seed, self.clients, self.requests, self.loss
        )
    }
}

/// Runs the demonstration. Fails where a byte was wrong or a request without its answer.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let tap = match &args.events {
        Some(path) => EventFile(Some(open_events(path)?)),
        None => EventFile(None),
    };
    let mut demo = Demo::new(args.seed, args.clients, args.requests, args.loss, tap);
    let mut progress = Progress::new();
    let ended = demo.run(|demo| progress.show(demo));
    progress.clear();
    ended.map_err(|e| {
        let why = format!("{e}\nto see it again: {}", args.command());
        Failure::new(Kind::Runtime, why)
    })?;
    let report = Report::of(&demo);
    if let (Some(path), EventFile(Some(events))) = (&args.events, demo.into_tap()) {
        events.finish().map_err(|e| events_failure(path, &e))?;
    }
    let text = if args.json { report.json(args) } else { report.table(args) };
    crate::human::print(&text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the results: {e}")))?;
    match report.verdict() {
        Ok(()) => Ok(()),
        Err(why) => {
            let why = format!("{why}\nto see it again: {}", args.command());
            Err(Failure::new(Kind::Runtime, why))
        }
    }
}

fn open_events(path: &Path) -> Result<EventWriter<BufWriter<File>>, Failure> {
    File::create(path)
        .and_then(|file| EventWriter::new(BufWriter::new(file)))
        .map_err(|e| events_failure(path, &e))
}

fn events_failure(path: &Path, e: &io::Error) -> Failure {
    Failure::new(Kind::File, format!("cannot write events to {}: {e}", path.display()))
}

/// Writes the event stream, where it is wanted.
#[derive(Debug)]
struct EventFile(Option<EventWriter<BufWriter<File>>>);

impl EventTap for EventFile {
    fn on_event(&mut self, record: &EventRecord<'_>) {
        if let Some(writer) = &mut self.0 {
            writer.on_event(record);
        }
    }
}

/// A line on stderr that follows the run, where somebody watches.
struct Progress {
    watched: bool,
    calls: u64,
}

impl Progress {
    /// Events from one line to the next: some tens of milliseconds.
    const EVERY: u64 = 16_384;

    fn new() -> Self {
        Self { watched: io::stderr().is_terminal(), calls: 0 }
    }

    fn show(&mut self, demo: &Demo<EventFile>) {
        self.calls += 1;
        if !self.watched || !self.calls.is_multiple_of(Self::EVERY) {
            return;
        }
        let (done, all) = demo.progress();
        let width = 30;
        let filled = (done * width / all.max(1)) as usize;
        let mut err = io::stderr().lock();
        let _ = write!(
            err,
            "\r[{:<30}] {done}/{all} requests, {:.2} simulated seconds",
            "=".repeat(filled),
            demo.now().as_nanos() as f64 / 1e9
        );
        let _ = err.flush();
    }

    fn clear(&self) {
        if self.watched && self.calls >= Self::EVERY {
            eprint!("\r{:78}\r", "");
        }
    }
}
