//! `simoom replay`: a capture's clients against our stack, and what it does otherwise than the server
//! that was captured.
//!
//! Opens files, shows how far the work is, and says what came of it; the work is
//! [`simoom_replay::prepare`] and [`simoom_replay::open`]. Read [`input`] (files in, spools),
//! [`text`] and [`json`] (what is said), [`page`] (drawn), [`frames`] (`--pcap`); [`what_if`] is the
//! closed loop, [`turn_log`] what a port told a stack.

mod frames;
mod input;
mod json;
mod page;
mod text;
mod turn_log;
mod what_if;

use crate::captures::{Bar, Captures, check_numbers};
use crate::failure::{Failure, Kind};
use crate::human;
use crate::site::bodies::OPEN_MAX;
use crate::site::{DiskBodies, Site};
use crate::time::Around;
use clap::value_parser;
use frames::FrameWriter;
use input::First;
use simoom_replay::compare::ConnectionReport;
use simoom_replay::flow::{Class, FlowOptions, Net, Selection, ServerAddr};
use simoom_replay::open::{
    Files, Mark, OpenLoop, OpenOptions, OpenTotals, OurFrame, Output, Profile,
};
use simoom_replay::prepare::{PrepareOptions, Prepared};
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
pub(crate) use turn_log::EXAMPLE as TURN_LOG;
pub(crate) use what_if::EXAMPLE as WHAT_IF;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Examples:
  simoom replay server.pcapng
  simoom replay server.pcap.gz --as linux --server 192.0.2.7:443 --report replay.html
  tcpdump -i eth0 -w - -c 100000 port 443 | simoom replay - --as freebsd --json
  simoom replay web.pcap --content ./public
  simoom replay ours.pcapng --as simoom --pcap again.pcapng

Each client's segments reach our stack when they were captured. A connection is by default what its
client sent, how long its server thought and how much it answered, whatever the bytes say: TLS and
HTTP/2 too. From the first acknowledgement of something that our stack has not sent a connection
means nothing any more; how many came to that is said.

A profile of --as is a file in TOML: base = \"linux\", and any of initial_window_segments, min_rto_ms,
initial_rto_ms, max_rto_ms, delayed_ack_ms, retries_max, syn_retries_max, nagle, congestion,
mss_classes, tolerance_us, timer_slack_us, reacts_within_us, exact_acks, push, receive_window, push_ends_writes.";

/// What `simoom replay` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Captures, merged by time: pcap or pcapng, as they are or packed with gzip or zstd; - for
    /// standard input
    #[arg(value_name = "FILE", required_unless_present = "turn_log")]
    files: Vec<PathBuf>,
    /// Whose options, windows and timers our stack takes on: simoom, linux, freebsd, or a file
    /// [default: simoom for captures that simoom wrote, else linux]
    #[arg(long = "as", value_name = "WHOM")]
    whom: Option<String>,
    /// Only connections to this server
    #[arg(long, value_name = "ADDR[:PORT]")]
    server: Option<ServerAddr>,
    /// Only connections of clients in this network
    #[arg(long, value_name = "NET")]
    client: Option<Net>,
    /// Only connections open at this time: 2026-03-01T12:00:00.5Z, seconds since 1970, or +SECONDS
    /// after the first frame
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    around: Option<Around>,
    /// Only the N connections with the slowest turns, as analyze finds them
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000))]
    slowest: Option<u32>,
    /// How far apart the same segment of both may be sent, in microseconds [default: 2000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = value_parser!(i64).range(0..=60_000_000))]
    tolerance_us: Option<i64>,
    /// Take segments with wrong checksums, as from a capture before the device fills them in
    #[arg(long)]
    ignore_checksums: bool,
    /// Rebuild the servers' text from the capture, in a temporary file, instead of making it up
    #[arg(long)]
    exact_bytes: bool,
    /// Answer clients whose octets read as HTTP with our own file server over this directory, and
    /// compare status and header fields with the captured ones
    #[arg(long, value_name = "DIR")]
    content: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write a page with tables, and the time-sequence graphs of both servers over each other
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    /// Which connection is drawn, by its number [default: the first that differs]
    #[arg(long, value_name = "N", requires = "report")]
    connection: Option<u32>,
    /// Write our frames, each with its sender's true state as a comment
    #[arg(long, value_name = "OUT.pcapng")]
    pcap: Option<PathBuf>,
    #[command(flatten)]
    what_if: what_if::WhatIfArgs,
    #[command(flatten)]
    turn_log: turn_log::TurnLogArgs,
}

/// Replays what was asked for. Fails where something differs.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(path) = &args.turn_log.turn_log {
        return turn_log::run(path, &args.turn_log, args.content.as_deref(), args.json);
    }
    if args.report.is_some() && args.report == args.pcap {
        let what = "--report and --pcap name the same file";
        return Err(Failure::new(Kind::Usage, what));
    }
    let mut captures = Captures::new(&args.files)?;
    for (option, path) in [("--report", &args.report), ("--pcap", &args.pcap)] {
        if let Some(path) = path {
            captures.refuse_as_output(option, path)?;
        }
    }
    let whom = match &args.whom {
        Some(whom) => whom.clone(),
        None if input::is_ours(&args.files) => String::from("simoom"),
        None => String::from("linux"),
    };
    let mut profile = profile(&whom)?;
    if let Some(micros) = args.tolerance_us.map(i64::unsigned_abs) {
        profile.rules.tolerance = micros * 1_000;
        profile.timer_slack = profile.timer_slack.min(micros * 1_000);
    }
    let selection = Selection {
        server: args.server,
        clients: args.client,
        // Known with the first frame.
        around_unix_nanos: None,
    };
    let flows = FlowOptions {
        selection,
        ignore_checksums: args.ignore_checksums,
        ..FlowOptions::default()
    };
    if args.what_if.is_asked() {
        let (whom, report, json) = (&whom[..], args.report.as_deref(), args.json);
        let (around, slowest) = (args.around, args.slowest);
        let beside = what_if::Beside { whom, profile, flows, around, slowest, json, report };
        return what_if::run(&args.what_if, beside, &mut captures);
    }
    let files = args.content.as_deref().map(files).transpose()?;
    // Made before the work: a folder that is not there is better known now than in an hour.
    let page = args.report.as_deref().map(|path| create(path, "the report")).transpose()?;
    let pcap = args.pcap.as_deref().map(|path| create(path, "the capture")).transpose()?;

    let options = PrepareOptions {
        flows,
        keeps_requests: args.content.is_some(),
        takes_copies: profile.rules.exact_acks,
    };
    let keeps_text = args.exact_bytes || args.content.is_some();
    let (First { tape, mut prepared, frames }, bar) =
        input::first_pass(&mut captures, options, args.around, args.slowest, keeps_text)?;
    check_numbers(args.connection.map(u64::from), prepared.counts.connections())?;
    let options = OpenOptions { profile, wants_frames: pcap.is_some(), files };
    bar.begin("replaying", prepared.records);
    let mut second = Second::new(&bar, args.connection);
    if let Some((file, path)) = pcap {
        let writer = FrameWriter::new(BufWriter::new(file))
            .map_err(|e| cannot_write("the capture", path, &e))?;
        second.frames = Some(writer);
    }
    let totals = replay(&tape, &mut prepared, &options, &mut second)?;
    if let (Some(writer), Some(path)) = (second.frames.take(), &args.pcap) {
        writer.finish().map_err(|e| cannot_write("the capture", path, &e))?;
    }
    let drawn = drawn(args, &totals);
    if let Some((file, path)) = page {
        let mut watch = Second::new(&bar, drawn);
        if args.connection == drawn {
            watch.marks = std::mem::take(&mut second.marks);
        } else {
            let options = OpenOptions { wants_frames: false, ..options.clone() };
            replay(&tape, &mut prepared, &options, &mut watch)?;
        }
        let shown = page::Shown { whom: &whom, prepared: &prepared, totals: &totals, frames };
        let html = simoom_report::render(&page::build(&shown, drawn, &watch.marks));
        let mut file = BufWriter::new(file);
        file.write_all(html.as_bytes())
            .and_then(|()| file.flush())
            .map_err(|e| cannot_write("the report", path, &e))?;
    }
    bar.clear();
    let said = if args.json {
        json::text(&whom, &prepared, &totals, frames)
    } else {
        text::text(&whom, &prepared, &totals, frames)
    };
    human::print(&said)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the results: {e}")))?;
    verdict(&totals, &prepared, &options)?;
    captures.verdict(frames)
}

/// The exit code: see [`crate::failure::EXIT_CODES`].
fn verdict(
    totals: &OpenTotals,
    prepared: &Prepared<File>,
    options: &OpenOptions,
) -> Result<(), Failure> {
    let summary = &totals.summary;
    if summary.connections == 0 {
        let what = match prepared.scripts.count() + prepared.left_out.values().sum::<u64>() {
            0 if prepared.counts.connections() > 0 => {
                "no connection of the capture is what --server, --client and --around ask for"
            }
            _ => "no connection of the capture can be replayed",
        };
        return Err(Failure::new(Kind::NothingToReplay, what));
    }
    if !summary.is_same() {
        let differ = human::count(summary.connections - summary.same, "connection");
        return Err(Failure::new(Kind::Difference, format!("our stack differs in {differ}")));
    }
    // Our own recorder leaves no gaps: somebody acknowledged what was never sent.
    if options.profile.rules.exact_acks
        && let Some(gaps) = prepared.left_out.get(&Class::GapInTheCapture)
    {
        let what = format!("{} with a gap: not replayed", human::count(*gaps, "connection"));
        return Err(Failure::new(Kind::Difference, what));
    }
    Ok(())
}

/// The connection to be drawn: what was asked for, or the first that differs, or the first.
fn drawn(args: &Args, totals: &OpenTotals) -> Option<u32> {
    let first = totals.summary.kept.iter().map(|one| one.serial).min();
    args.connection.or(first).or(Some(0))
}

fn replay<O: Output>(
    mut tape: &File,
    prepared: &mut Prepared<File>,
    options: &OpenOptions,
    out: &mut O,
) -> Result<OpenTotals, Failure> {
    let failure = |e: io::Error| Failure::new(Kind::File, format!("cannot replay: {e}"));
    tape.seek(SeekFrom::Start(0)).map_err(failure)?;
    OpenLoop::run(tape, prepared, options, out).map_err(failure)
}

/// What our file server serves: a directory, as `simoom serve` takes it.
fn files(dir: &Path) -> Result<Files, Failure> {
    let site = Site::scan(dir)?;
    for line in &site.notes.lines {
        eprintln!("simoom: {line}");
    }
    let more = site.notes.count - site.notes.lines.len();
    if more > 0 {
        eprintln!("simoom: {more} more were left out");
    }
    Ok(Files::new(site.catalogue, DiskBodies::new(site.files, OPEN_MAX)))
}

/// The profile of a name, or in a file.
fn profile(whom: &str) -> Result<Profile, Failure> {
    if let Some(profile) = Profile::named(whom) {
        return Ok(profile);
    }
    let text = std::fs::read_to_string(whom).map_err(|e| {
        let what = format!("--as {whom}: neither simoom, linux nor freebsd, nor a file: {e}");
        Failure::new(Kind::Usage, what)
    })?;
    Profile::from_toml(&text)
        .map_err(|what| Failure::new(Kind::Usage, format!("--as {whom}: {what}")))
}

fn create<'a>(path: &'a Path, what: &str) -> Result<(File, &'a Path), Failure> {
    let file = File::create(path).map_err(|e| cannot_write(what, path, &e))?;
    Ok((file, path))
}

fn cannot_write(what: &str, path: &Path, e: &io::Error) -> Failure {
    Failure::new(Kind::File, format!("cannot write {what} to {}: {e}", path.display()))
}

/// Marks of one connection that are kept to be drawn, at most.
const MARKS_MAX: usize = 200_000;

/// What the second pass is to do beside comparing.
struct Second<'a> {
    bar: &'a Bar,
    frames: Option<FrameWriter<BufWriter<File>>>,
    watched: Option<u32>,
    marks: Vec<Mark>,
}

impl<'a> Second<'a> {
    fn new(bar: &'a Bar, watched: Option<u32>) -> Self {
        Self { bar, frames: None, watched, marks: Vec::new() }
    }
}

impl Output for Second<'_> {
    fn watches(&self, serial: u32) -> bool {
        self.watched == Some(serial)
    }

    fn on_mark(&mut self, _serial: u32, mark: Mark) {
        if self.marks.len() < MARKS_MAX {
            self.marks.push(mark);
        }
    }

    fn on_frame(&mut self, frame: &OurFrame<'_>) -> io::Result<()> {
        if let Some(writer) = &mut self.frames {
            writer.write(frame);
        }
        Ok(())
    }

    fn on_connection(&mut self, _report: &ConnectionReport) {}

    fn on_progress(&mut self, records: u64) {
        self.bar.done(records);
    }
}
