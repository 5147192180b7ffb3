//! `--marks`: which rare branches of the stack the runs reached.

use crate::failure::{Failure, Kind};
use simoom_scenarios::{RunResult, marks};
use std::fmt::Write;

/// How often each mark was reached, over all runs so far.
#[derive(Debug, Default)]
pub(super) struct Reached(Vec<u64>);

impl Reached {
    pub(super) fn add(&mut self, result: &RunResult) {
        self.0.resize(self.0.len().max(result.marks.len()), 0);
        for (all, of_run) in self.0.iter_mut().zip(&result.marks) {
            *all += of_run;
        }
    }

    /// Those reached, the rarest last; then the names of the others.
    pub(super) fn text(&self) -> String {
        let mut rows: Vec<_> = marks().into_iter().zip(&self.0).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let (reached, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, n)| **n > 0);
        let all = reached.len() + others.len();
        let mut out = format!("\n{} of {all} marks reached\n", reached.len());
        for (mark, count) in reached {
            let _ = writeln!(out, "{count:>12}  {:<26}  {}", mark.name, mark.about);
        }
        if !others.is_empty() {
            let names: Vec<_> = others.iter().map(|(mark, _)| mark.name).collect();
            let _ = writeln!(out, "not reached: {}", names.join(", "));
        }
        out
    }
}

/// # Errors
/// Where this program counts no marks.
pub(super) fn check() -> Result<(), Failure> {
    if marks().is_empty() {
        let what = "--marks: this program counts none; one that does is built by\n  \
                    cargo build --release -p simoom --features marks";
        return Err(Failure::new(Kind::Usage, what));
    }
    Ok(())
}
