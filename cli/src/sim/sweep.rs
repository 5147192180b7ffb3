//! Runs on several threads, whose results come in order.

use super::choice::Choice;
use super::progress::Progress;
use simoom_core::time::Instant;
use simoom_linux::clock::Clock;
use simoom_scenarios::{Pair, RunOptions, RunResult, run_with};
use simoom_sim::hash::NoTap;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

/// Runs that may be done and wait for one before them, at most: what bounds memory.
const AHEAD_MAX: usize = 256;

/// Makes every run of a choice, as many at a time as it says. `on_done` is given results in the
/// order of the runs, with the seconds on the clock, and may end it. Runs count marks where that is
/// asked for.
pub(super) fn run(
    choice: &Choice<'_>,
    marks: bool,
    progress: &Progress,
    on_done: &mut dyn FnMut(RunResult, f64) -> ControlFlow<()>,
) {
    let queue = Queue {
        state: Mutex::new(State { runs: choice.runs().enumerate(), taken: 0, shown: 0 }),
        moved: Condvar::new(),
    };
    let (to, results) = mpsc::channel();
    let jobs = choice.count().min(choice.jobs as u64).max(1);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (queue, to) = (&queue, to.clone());
            scope.spawn(move || {
                while let Some((n, pair)) = queue.take() {
                    // Nobody listens any more where the work was ended.
                    if to.send((n, one(&pair, marks, progress))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to);
        let mut early = BTreeMap::new();
        for (n, done) in results {
            early.insert(n, done);
            while let Some(done) = early.remove(&queue.shown()) {
                let (result, seconds) = done;
                let goes_on = on_done(result, seconds);
                queue.show_one();
                if goes_on.is_break() {
                    queue.end();
                    return;
                }
            }
        }
    });
}

fn one(pair: &Pair<'_>, marks: bool, progress: &Progress) -> (RunResult, f64) {
    let clock = Clock::start();
    let options = RunOptions { marks, ..RunOptions::new(pair.seed) };
    let (result, NoTap) = run_with(pair.case, &options, NoTap, &mut |watch| progress.watch(&watch));
    (result, seconds_of(clock))
}

pub(super) fn seconds_of(clock: Clock) -> f64 {
    (clock.now() - Instant::ZERO).as_nanos() as f64 / 1e9
}

/// Where the threads get their runs from.
struct Queue<I> {
    state: Mutex<State<I>>,
    moved: Condvar,
}

struct State<I> {
    runs: I,
    /// Runs that a thread has taken.
    taken: usize,
    /// Runs whose results were given on; `usize::MAX` where the work was ended.
    shown: usize,
}

impl<T, I: Iterator<Item = (usize, T)>> Queue<I> {
    /// The next run. Waits while too many results wait for an earlier one.
    fn take(&self) -> Option<(usize, T)> {
        let mut state = self.lock();
        while state.shown != usize::MAX && state.taken - state.shown >= AHEAD_MAX {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.shown == usize::MAX {
            return None;
        }
        let run = state.runs.next()?;
        state.taken += 1;
        Some(run)
    }

    fn shown(&self) -> usize {
        self.lock().shown
    }

    fn show_one(&self) {
        self.lock().shown += 1;
        self.moved.notify_all();
    }

    /// No run is given out any more.
    fn end(&self) {
        self.lock().shown = usize::MAX;
        self.moved.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
