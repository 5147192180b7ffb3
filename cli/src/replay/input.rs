//! The first pass over captures, and its temporary files.

use super::Failure;
use crate::captures::{Bar, Captures};
use crate::failure::Kind;
use crate::slowest::Slowest;
use crate::time::Around;
use simoom_replay::analysis::{Analysis, AnalysisOptions};
use simoom_replay::prepare::{Preparation, PrepareOptions, Prepared};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// What the first pass gives.
pub(super) struct First {
    pub(super) tape: File,
    pub(super) prepared: Prepared<File>,
    pub(super) frames: u64,
}

/// The passes over each frame: what makes scripts, and where only the slowest connections are wanted
/// what finds them, as `simoom analyze` does.
struct Passes {
    first: Preparation<File, File>,
    slowest: Option<(Analysis, Slowest)>,
}

/// Reads the captures once. `around` may be told from the first frame on.
pub(super) fn first_pass(
    captures: &mut Captures,
    mut options: PrepareOptions,
    around: Option<Around>,
    slowest: Option<u32>,
    keeps_text: bool,
) -> Result<(First, Bar), Failure> {
    let (mut segments, bar) = captures.open("reading")?;
    let unwritable =
        |e: io::Error| Failure::new(Kind::File, format!("cannot write to a temporary file: {e}"));
    let mut pass = None;
    while let Some(item) = segments.next() {
        match item {
            Ok(item) => {
                let pass = match &mut pass {
                    Some(pass) => pass,
                    None => {
                        let first = item.frame.at_unix_nanos;
                        options.flows.selection.around_unix_nanos =
                            around.map(|around| around.at(first));
                        pass.insert(begin(options, slowest, keeps_text)?)
                    }
                };
                if let Some((analysis, sink)) = &mut pass.slowest {
                    analysis.on_item(&item, sink);
                }
                pass.first.on_item(&item).map_err(unwritable)?;
            }
            Err(error) => captures.tell(&bar, &error),
        }
    }
    let frames = segments.read_stats().frames;
    if frames == 0 {
        bar.clear();
        captures.verdict(0)?;
    }
    let pass = match pass {
        Some(pass) => pass,
        None => begin(options, slowest, keeps_text)?,
    };
    let (tape, mut prepared) = pass.first.finish().map_err(unwritable)?;
    if let Some((analysis, mut sink)) = pass.slowest {
        analysis.finish(&mut sink);
        prepared.only = Some(sink.into_ids().into_iter().map(|id| id.0 as u32).collect());
    }
    Ok((First { tape, prepared, frames }, bar))
}

fn begin(
    options: PrepareOptions,
    slowest: Option<u32>,
    keeps_text: bool,
) -> Result<Passes, Failure> {
    let pass = Preparation::new(options, spool()?, spool()?, spool()?);
    let first = if keeps_text { pass.keeping_text(spool()?) } else { pass };
    let slowest = slowest.map(|most| {
        let options = AnalysisOptions { flows: options.flows, ..AnalysisOptions::default() };
        (Analysis::new(options), Slowest::new(most))
    });
    Ok(Passes { first, slowest })
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

/// A file without a name, gone when the program is.
fn spool() -> Result<File, Failure> {
    tempfile::tempfile()
        .map_err(|e| Failure::new(Kind::File, format!("no room for a temporary file: {e}")))
}
