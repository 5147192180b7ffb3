//! `simoom analyze`: where the time of a server's answers went.
//!
//! Reads captures and shows what [`simoom_replay::analysis`] says of them: [`text`] on one screen,
//! [`json`] for programs, [`page`] with pictures. [`number`] writes numbers from integers, so that
//! the same capture gives the same bytes everywhere.

mod json;
mod marks;
mod number;
mod page;
mod text;

use crate::captures::{Bar, Captures, check_numbers};
use crate::failure::{Failure, Kind};
use crate::human;
use crate::slowest::Slowest;
use crate::time::Around;
use marks::Marks;
use simoom_pcap::segments::Segments;
use simoom_replay::analysis::{Analysis, AnalysisOptions, Connection, Sink, Summary};
use simoom_replay::flow::{FlowId, Net, ServerAddr};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Examples:
  simoom analyze server.pcapng
  simoom analyze server.pcap.0 server.pcap.1 --server 10.0.0.2:443
  tcpdump -i eth0 -w - 'tcp port 80' | simoom analyze -
  simoom analyze server.pcapng --slowest 20 --report slow.html
  simoom analyze server.pcapng --around 2026-03-01T12:00:00Z --json > connections.jsonl

The page docs/analyze.md says what each line means and how each wait is told.";

/// What `simoom analyze` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Captures, pcap or pcapng, packed by gzip or zstd or not; several are merged by time; - is
    /// standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The server, where handshakes do not tell or tell several: 10.0.0.2, 10.0.0.2:443,
    /// [2001:db8::1]:443
    #[arg(long, value_name = "ADDR[:PORT]")]
    server: Option<ServerAddr>,
    /// Only connections of clients in this network: 10.0.0.0/8
    #[arg(long, value_name = "NET")]
    client: Option<Net>,
    /// Only connections open at this time: 2026-03-01T12:00:00.5Z, seconds since 1970, or +SECONDS
    /// after the first frame
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    around: Option<Around>,
    /// Only the N connections with the slowest turns; reads the files twice
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    slowest: Option<u32>,
    /// Take segments whose checksum is wrong, too: for captures in which it was never right
    #[arg(long)]
    ignore_checksums: bool,
    /// Print lines of JSON: each turn and each connection as it ends, the capture last
    #[arg(long)]
    json: bool,
    /// Write a page with tables and pictures to this file
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    /// Draw this connection in the page, by the number that the findings and --json show; may be
    /// repeated [default: the worst of each finding]
    #[arg(long, value_name = "N", requires = "report")]
    connection: Vec<u64>,
}

/// Says where the time went.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut captures = Captures::new(&args.files)?;
    if args.slowest.is_some() && !captures.are_files() {
        let what = "--slowest reads its files twice; standard input and pipes can be read once: \
                    write the capture to a file first";
        return Err(Failure::new(Kind::Usage, what));
    }
    // Made before the work: a folder that is not there is better known now than in an hour.
    let page = match &args.report {
        Some(path) => {
            captures.refuse_as_output("--report", path)?;
            let failed =
                |e| Failure::new(Kind::File, format!("cannot write {}: {e}", path.display()));
            Some((path, std::fs::File::create(path).map_err(failed)?))
        }
        None => None,
    };
    let mut only = None;
    if let Some(most) = args.slowest {
        let mut slowest = Slowest::new(most);
        pass(args, &mut captures, None, &mut slowest, "looking for the slowest")?;
        only = Some(slowest.into_ids());
        captures = Captures::new(&args.files)?;
    }
    let mut shown = Shown::new(args, captures.are_files());
    let (summary, read) = pass(args, &mut captures, only.as_ref(), &mut shown, "reading")?;
    shown.lines.end(&summary, &read, &captures)?;
    let is_nothing = summary.counts.frames == 0 && captures.verdict(0).is_err();
    if !args.json && !is_nothing {
        let text = text::screen(&summary, &read, captures.count());
        human::print(&text).map_err(|e| Failure::new(Kind::Runtime, format!("stdout: {e}")))?;
    }
    let filters = args.server.is_some() || args.client.is_some() || args.around.is_some();
    if filters && summary.connections == 0 && summary.counts.connections() > 0 {
        let all = human::count(summary.counts.connections(), "connection");
        eprintln!("simoom: none of {all} is what --server, --client and --around ask for");
    }
    check_numbers(args.connection.iter().copied(), summary.counts.connections())?;
    if let Some((path, file)) = page {
        let mut marks = shown.marks;
        if args.connection.is_empty() && captures.are_files() {
            marks = Marks::of(page::worth_drawing(&summary));
            let mut again = Captures::new(&args.files)?;
            pass(args, &mut again, only.as_ref(), &mut marks, "drawing")?;
        }
        let page = page::build(&summary, &read, &captures.names(), &marks);
        let failed = |e| Failure::new(Kind::File, format!("cannot write {}: {e}", path.display()));
        let mut out = std::io::BufWriter::new(file);
        simoom_report::write(&page, &mut out).and_then(|()| out.flush()).map_err(failed)?;
    }
    captures.verdict(summary.counts.frames)
}

/// What reading counted, for the screen and the others.
#[derive(Debug)]
struct Read {
    stats: simoom_pcap::read::ReadStats,
    segments: simoom_pcap::segments::SegmentStats,
}

/// Reads all of the captures once.
fn pass(
    args: &Args,
    captures: &mut Captures,
    only: Option<&BTreeSet<FlowId>>,
    sink: &mut impl Sink,
    doing: &str,
) -> Result<(Summary, Read), Failure> {
    let (mut segments, bar) = captures.open(doing)?;
    let summary = through(args, &mut segments, &bar, captures, only, sink);
    bar.clear();
    let read = Read { stats: *segments.read_stats(), segments: segments.stats() };
    Ok((summary, read))
}

fn through(
    args: &Args,
    segments: &mut Segments,
    bar: &Bar,
    captures: &mut Captures,
    only: Option<&BTreeSet<FlowId>>,
    sink: &mut impl Sink,
) -> Summary {
    let mut options = AnalysisOptions { only: only.cloned(), ..AnalysisOptions::default() };
    options.flows.ignore_checksums = args.ignore_checksums;
    options.flows.selection.server = args.server;
    options.flows.selection.clients = args.client;
    let mut analysis = None;
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => {
                let analysis = analysis.get_or_insert_with(|| {
                    let first = item.frame.at_unix_nanos;
                    options.flows.selection.around_unix_nanos =
                        args.around.map(|around| around.at(first));
                    Analysis::new(options.clone())
                });
                analysis.on_item(&item, sink);
            }
            Err(error) => captures.tell(bar, &error),
        }
    }
    analysis.unwrap_or_else(|| Analysis::new(options)).finish(sink)
}

/// What hears of turns and connections as they end.
struct Shown {
    lines: json::Lines,
    marks: Marks,
}

impl Shown {
    fn new(args: &Args, can_read_again: bool) -> Self {
        let chosen = match (args.report.is_some(), args.connection.is_empty()) {
            (false, _) => Vec::new(),
            (true, false) => args.connection.iter().map(|id| FlowId(*id)).collect(),
            // Known at the end, and drawn in another pass.
            (true, true) if can_read_again => Vec::new(),
            (true, true) => vec![FlowId(0)],
        };
        Self { lines: json::Lines::new(args.json), marks: Marks::of(chosen) }
    }
}

impl Sink for Shown {
    fn on_turn(&mut self, flow: &simoom_replay::flow::Flow, turn: &simoom_replay::analysis::Turn) {
        self.lines.turn(flow, turn);
    }

    fn on_connection(&mut self, connection: &Connection<'_>) {
        self.lines.connection(connection);
    }

    fn on_segment(
        &mut self,
        item: &simoom_pcap::segments::Item<'_>,
        segment: &simoom_pcap::dissect::Segment<'_>,
        placed: &simoom_replay::flow::Placed,
        flow: &simoom_replay::flow::Flow,
    ) {
        self.marks.on_segment(item, segment, placed, flow);
    }
}
