//! Captures in: files and standard input, the first pass over them, and how far it is.

use super::Failure;
use crate::failure::Kind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use simoom_replay::prepare::{Preparation, PrepareOptions, Prepared};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What the first pass gives.
pub(super) struct First {
    pub(super) tape: File,
    pub(super) prepared: Prepared<File>,
    pub(super) frames: u64,
    /// What could not be read; the rest was.
    pub(super) errors: Vec<String>,
}

/// Errors of reading that are told, at most: a damaged file may have many.
pub(super) const ERRORS_MAX: usize = 10;

/// Reads the captures once.
pub(super) fn first_pass(
    files: &[PathBuf],
    options: PrepareOptions,
    keeps_text: bool,
    progress: &Progress,
) -> Result<First, Failure> {
    let inputs = files.iter().map(|path| open(path, progress)).collect::<Result<_, _>>()?;
    let unreadable = |e: &dyn std::fmt::Display| Failure::new(Kind::File, e.to_string());
    let capture = Capture::new(inputs).map_err(|e| unreadable(&e))?;
    let mut segments = Segments::new(capture);
    let spool = || spool().map_err(|e| unreadable(&format!("no room for a temporary file: {e}")));
    let mut first = Preparation::new(options, spool()?, spool()?, spool()?);
    if keeps_text {
        first = first.keeping_text(spool()?);
    }
    let mut errors = Vec::new();
    let full = |e: io::Error| unreadable(&format!("cannot write to a temporary file: {e}"));
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => first.on_item(&item).map_err(full)?,
            Err(error) if errors.len() < ERRORS_MAX => errors.push(error.to_string()),
            Err(_) => (),
        }
    }
    let frames = segments.read_stats().frames;
    if frames == 0
        && let Some(error) = errors.first()
    {
        return Err(unreadable(error));
    }
    let (tape, prepared) = first.finish().map_err(full)?;
    Ok(First { tape, prepared, frames, errors })
}

/// Whether the first capture says that simoom wrote it: as the application of a pcapng section.
pub(super) fn is_ours(files: &[PathBuf]) -> bool {
    let Some(path) = files.first().filter(|path| path.as_os_str() != "-") else { return false };
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut head));
    read.is_ok()
        && head.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
        && head.windows(6).any(|window| window == b"simoom")
}

pub(super) fn open(path: &Path, progress: &Progress) -> Result<Input, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Input::new("standard input", io::stdin()));
    }
    let name = path.display().to_string();
    let file = File::open(path)
        .map_err(|e| Failure::new(Kind::File, format!("cannot read {name}: {e}")))?;
    Ok(Input::new(name, progress.bar.wrap_read(file)))
}

/// A file without a name, gone when the program is.
fn spool() -> io::Result<File> {
    tempfile::tempfile()
}

/// How far the work is: a line on stderr, where somebody watches.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let sizes = files.iter().map(|path| std::fs::metadata(path).map_or(0, |meta| meta.len()));
        // Not drawn where stderr is no terminal.
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(sizes.sum()), target);
        let shows = "reading [{bar:30}] {bytes}/{total_bytes}, {eta} left";
        bar.set_style(style(shows));
        Self { bar }
    }

    pub(super) fn begin_replay(&self, records: u64) {
        self.bar.set_style(style("replaying [{bar:30}] {pos}/{len} segments, {eta} left"));
        self.bar.reset();
        self.bar.set_length(records);
    }

    pub(super) fn begin_runs(&self, runs: u64) {
        self.bar.set_style(style("simulating [{bar:30}] {pos}/{len} runs, {eta} left"));
        self.bar.reset();
        self.bar.set_length(runs);
    }

    pub(super) fn replayed(&self, records: u64) {
        self.bar.set_position(records);
    }

    /// Writes to the terminal without the bar in between.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(shows: &str) -> ProgressStyle {
    ProgressStyle::with_template(shows).expect("the template is right").progress_chars("=> ")
}
