//! Captures named on the command line: opened, and how far they are read.

use crate::failure::{Failure, Kind};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use simoom_pcap::dissect::Checksums;
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::segments::Segments;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Damaged places that are told one by one; of more, how many.
const DAMAGES_TOLD: u64 = 8;

/// Captures, to be read as often as they allow.
#[derive(Debug)]
pub(crate) struct Captures {
    paths: Vec<PathBuf>,
    damages: u64,
}

impl Captures {
    /// Of these files; `-` is standard input.
    pub(crate) fn new(paths: &[PathBuf]) -> Result<Self, Failure> {
        if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
            return Err(Failure::new(
                Kind::Usage,
                "standard input can be read once: - is there twice",
            ));
        }
        let this = Self { paths: paths.to_vec(), damages: 0 };
        // Before anything is written: what is missing is known now.
        for (path, name) in this.paths.iter().zip(this.names()) {
            if !is_stdin(path) {
                let failed = |what| Failure::new(Kind::File, format!("cannot read {name}: {what}"));
                let meta = path.metadata().map_err(|e| failed(e.to_string()))?;
                if meta.is_dir() {
                    return Err(failed(String::from("it is a directory")));
                }
            }
        }
        Ok(this)
    }

    /// Refuses to write to one of them what an option asks for.
    pub(crate) fn refuse_as_output(&self, option: &str, out: &Path) -> Result<(), Failure> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_it = |path: &PathBuf| !is_stdin(path) && real(path) == real(out);
        if self.paths.iter().any(is_it) {
            let what = format!("{option} would write over the capture {}", out.display());
            return Err(Failure::new(Kind::Usage, what));
        }
        Ok(())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.paths.len()
    }

    /// Whether they can be read more than once.
    pub(crate) fn are_files(&self) -> bool {
        self.paths.iter().all(|path| !is_stdin(path) && path.is_file())
    }

    /// What to call them: the names in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| match is_stdin(path) {
            true => String::from("standard input"),
            false => path.display().to_string(),
        };
        self.paths.iter().map(name).collect()
    }

    /// Opens all of them, and begins a bar over their bytes.
    pub(crate) fn open(&self, doing: &str) -> Result<(Segments, Bar), Failure> {
        let mut length = Some(0);
        let mut files = Vec::new();
        for (path, name) in self.paths.iter().zip(self.names()) {
            let reader: Box<dyn Read> = if is_stdin(path) {
                length = None;
                Box::new(io::stdin())
            } else {
                let failed = |e| Failure::new(Kind::File, format!("cannot read {name}: {e}"));
                let file = File::open(path).map_err(failed)?;
                let meta = file.metadata().map_err(failed)?;
                length = length.filter(|_| meta.is_file()).map(|sum: u64| sum + meta.len());
                Box::new(file)
            };
            files.push((name, reader));
        }
        let bar = Bar::new(length, doing);
        let inputs = files.into_iter().map(|(name, reader)| Input {
            name,
            reader: Box::new(Counted { reader, bar: bar.bar.clone() }),
        });
        let capture = Capture::new(inputs.collect());
        let capture = capture.map_err(|e| Failure::new(Kind::Usage, e.to_string()))?;
        Ok((Segments::with_checksums(capture, Checksums::Verify), bar))
    }

    /// Says that a place of a capture is damaged, in place of the bar.
    pub(crate) fn tell(&mut self, bar: &Bar, damage: &impl std::fmt::Display) {
        self.damages += 1;
        if self.damages <= DAMAGES_TOLD {
            bar.bar.suspend(|| eprintln!("simoom: {damage}"));
        }
    }

    /// How the reading ended: an error where a place was damaged, for the exit code.
    pub(crate) fn verdict(&self, frames: u64) -> Result<(), Failure> {
        let more = self.damages.saturating_sub(DAMAGES_TOLD);
        let rest = if more > 0 { format!(", {more} more than are told") } else { String::new() };
        match (self.damages, frames) {
            (0, _) => Ok(()),
            (_, 0) => Err(Failure::new(Kind::File, format!("no frame could be read{rest}"))),
            (n, _) => {
                let places = crate::human::count(n, "damaged place");
                let what = format!("{places}{rest}: what could be read is in the answer");
                Err(Failure::new(Kind::Capture, what))
            }
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether connections that were asked for by number are there.
pub(crate) fn check_numbers(
    asked: impl IntoIterator<Item = u64>,
    connections: u64,
) -> Result<(), Failure> {
    let Some(number) = asked.into_iter().find(|number| *number >= connections) else {
        return Ok(());
    };
    let there_are = match connections {
        0 => String::from("the capture has no connection"),
        1 => String::from("the capture has connection 0 alone"),
        n => format!("the capture has connections 0 to {}", n - 1),
    };
    Err(Failure::new(Kind::Usage, format!("--connection {number}: {there_are}")))
}

/// How much was read: a line on stderr, where somebody watches.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(length: Option<u64>, doing: &str) -> Self {
        let shows = match length {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{msg} {bytes}, {bytes_per_sec}",
        };
        // Not drawn where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        bar.set_style(style(shows));
        bar.set_message(doing.to_owned());
        Self { bar }
    }

    /// The same line for so many runs of a simulation.
    pub(crate) fn begin_runs(&self, runs: u64) {
        self.bar.set_style(style("simulating [{bar:30}] {pos}/{len} runs, {eta} left"));
        self.bar.reset();
        self.bar.set_length(runs);
    }

    /// The same line for a pass over `segments` segments that were put down.
    pub(crate) fn begin(&self, doing: &str, segments: u64) {
        self.bar.set_style(style("{msg} [{bar:30}] {pos}/{len} segments, {eta} left"));
        self.bar.set_message(doing.to_owned());
        self.bar.reset();
        self.bar.set_length(segments);
    }

    /// So many are done.
    pub(crate) fn done(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(shows: &str) -> ProgressStyle {
    ProgressStyle::with_template(shows).expect("the template is right").progress_chars("=> ")
}

/// A reader that moves a bar: by the bytes of the file, packed or not.
struct Counted {
    reader: Box<dyn Read>,
    bar: ProgressBar,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.bar.inc(n as u64);
        Ok(n)
    }
}
