//! Every access to memory of a program of this package, by running it under
//! `valgrind --tool=lackey --trace-mem=yes`: which cache lines each shard writes and reads.
//!
//! The program says by its marks ([`Said`]) who runs. Memory is bounded by the lines that there are,
//! not by the length of the trace.

use crate::threads::Said;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Who wrote and who read a line, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Shards that wrote to it.
    pub writers: u16,
    /// Shards that read it.
    pub readers: u16,
}

/// The lines that shards touched, by number: address divided by [`LINE`].
pub type Lines = BTreeMap<usize, Touched>;

/// What came of a run.
pub struct Traced {
    /// Up to the mark that starting up is over.
    pub start_up: Lines,
    /// After it.
    pub steady: Lines,
    /// What the program said, but for its first line.
    pub said: Vec<String>,
}

/// Runs this program again as `--worker ARGUMENTS`. The worker's first line must be `marks START END`,
/// in hexadecimal digits, after which it must read a line before it marks anything.
///
/// # Errors
/// Where valgrind is not to be had, or the worker fails.
pub fn trace(arguments: &[&str]) -> Result<Traced, String> {
    let program = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
    let mut worker = Command::new("valgrind")
        .args(["--tool=lackey", "--trace-mem=yes", "--basic-counts=no"])
        .arg(program)
        .arg("--worker")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("valgrind: {e}"))?;
    let (to, from, trace) = (worker.stdin.take(), worker.stdout.take(), worker.stderr.take());
    let (Some(mut to), Some(from), Some(trace)) = (to, from, trace) else {
        return Err("valgrind has no pipes".into());
    };
    let (marks, marks_are) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut lines = BufReader::new(from).lines().map_while(Result::ok);
        if let Some(range) = lines.next().as_deref().and_then(range_of_marks) {
            // Known before the worker goes on. Where nobody waits for it, the trace has ended.
            let _ = marks.send(range);
            let _ = to.write_all(b"go\n");
        }
        lines.collect::<Vec<_>>()
    });
    let mut state = State::default();
    let mut last = String::new();
    let done = each_line(trace, |line| {
        if state.marks.is_empty()
            && let Ok(range) = marks_are.try_recv()
        {
            state.marks = range;
        }
        if !state.on_line(line) {
            last = String::from_utf8_lossy(line).into_owned();
        }
    });
    let status = worker.wait().map_err(|e| format!("valgrind: {e}"))?;
    let said = reader.join().map_err(|_| "the reader of the worker's lines panicked")?;
    done.map_err(|e| format!("the trace: {e}"))?;
    if !status.success() {
        return Err(format!("valgrind ended with {status}: {last}"));
    }
    let [start_up, steady] = state.lines;
    Ok(Traced { start_up, steady, said })
}

fn range_of_marks(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.strip_prefix("marks ")?.split_once(' ')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    Some(hex(start)?..hex(end)?)
}

fn each_line(trace: impl Read, mut on_line: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut trace = BufReader::with_capacity(1 << 20, Patient(trace));
    let mut line = Vec::new();
    loop {
        line.clear();
        if trace.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        on_line(line.trim_ascii_end());
    }
}

/// Reads what has come together meanwhile. Lackey writes line by line, and whoever waits for the next
/// one is woken for each: most of the time goes there.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    #[allow(clippy::disallowed_methods, reason = "what is read is complete, whenever it is read")]
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        thread::sleep(Duration::from_millis(1));
        self.0.read(into)
    }
}

/// How far the trace has been read.
#[derive(Default)]
struct State {
    /// Where the marks are; empty as long as nobody knows.
    marks: Range<usize>,
    shard: Option<u16>,
    is_steady: bool,
    is_over: bool,
    /// While starting up, and after.
    lines: [Lines; 2],
}

impl State {
    /// Takes a line of the trace; false where it is none.
    fn on_line(&mut self, line: &[u8]) -> bool {
        // `I` is an instruction, ` L` a load, ` S` a store, ` M` both.
        let (writes, reads) = match line.get(..2) {
            Some(b"I ") => return true,
            Some(b" S") => (true, false),
            Some(b" L") => (false, true),
            Some(b" M") => (true, true),
            _ => return false,
        };
        let Some((address, size)) = access(&line[2..]) else { return false };
        if writes && let Some(said) = Said::of(&self.marks, address) {
            match said {
                Said::Nobody => self.shard = None,
                Said::Steady => self.is_steady = true,
                Said::Over => self.is_over = true,
                Said::Shard(shard) => self.shard = Some(shard),
            }
            return true;
        }
        let Some(shard) = self.shard.filter(|_| !self.is_over) else { return true };
        let bit = 1 << shard;
        let lines = &mut self.lines[usize::from(self.is_steady)];
        for line in address / LINE..=(address + size.max(1) - 1) / LINE {
            let touched = lines.entry(line).or_default();
            touched.writers |= if writes { bit } else { 0 };
            touched.readers |= if reads { bit } else { 0 };
        }
        true
    }
}

/// Address and bytes of ` 1ffefffd00,8`.
fn access(text: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (address, size) = text.split_once(',')?;
    Some((usize::from_str_radix(address, 16).ok()?, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(trace: &str) -> State {
        let mut state = State { marks: 0x1000..0x1000 + 64 * 19, ..State::default() };
        for line in trace.lines() {
            assert!(state.on_line(line.as_bytes()), "{line:?}");
        }
        state
    }

    /// Mark 3 is shard 0, mark 4 shard 1; marks 0 to 2 are nobody, the end of starting up, the end.
    #[test]
    fn accesses_are_those_of_the_shard_that_runs() {
        let state = after(
            "I  0400,3\n S 2000,8\n S 10c0,1\n S 2000,8\n L 203c,8\n S 1040,1\n M 2040,4\n \
             S 1100,1\n S 207f,1\n L 1ffffff000,32\n S 1000,1\n S 3000,8\n S 1080,1\n \
             S 10c0,1\n S 3000,8",
        );
        let touched = |writers, readers| Touched { writers, readers };
        let expected = [(0x80, touched(1, 1)), (0x81, touched(0, 1))];
        assert_eq!(state.lines[0], expected.into());
        let expected = [(0x81, touched(3, 1)), (0x1f_ffff_f000 / LINE, touched(0, 2))];
        assert_eq!(state.lines[1], expected.into());
    }

    #[test]
    fn lines_that_are_no_accesses_are_told_apart() {
        let mut state = after("");
        for line in ["==12== Lackey", "", " S zz,8", " S 2000", " X 2000,8"] {
            assert!(!state.on_line(line.as_bytes()), "{line:?}");
        }
    }
}
