//! A client's stack and its port, turned until all is done.

use super::targets::Targets;
use crate::failure::Failure;
use crate::serve::{LivePort, Report};
use hdrhistogram::Histogram;
use simoom_core::client::{Completion, FetchClient, FetchStats};
use simoom_core::stack::{Stack, Stats};
use simoom_core::time::{Duration, Instant};

/// Latencies are recorded up to this many nanoseconds, an hour, with three digits.
const LATENCY_MAX: u64 = 3_600_000_000_000;
/// How long answers that are under way may take at the end.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Connections refused one after the other, before any was open: no server is there.
const REFUSED_MAX: u64 = 64;

/// When to end.
pub(super) struct Limits {
    pub(super) start: Instant,
    /// No request is made from then on.
    pub(super) end: Option<Instant>,
    /// The longest time without an answer while one is due.
    pub(super) silence_max: Duration,
}

/// Why it ended before all was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// Nothing was answered for so long.
    Silence,
    /// Every connection was refused.
    Refused,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) latencies: Histogram<u64>,
    /// From the first turn to the last completion.
    pub(super) seconds: f64,
    pub(super) client: FetchStats,
    /// Requests that were under way when the time was over.
    pub(super) unfinished: u64,
    pub(super) stack: Stats,
    /// What the port dropped.
    pub(super) dropped: Vec<(u64, &'static str)>,
    pub(super) gave_up: Option<GaveUp>,
    /// A signal ended it.
    pub(super) interrupted: bool,
    pub(super) failure: Option<Failure>,
}

/// Latencies, and when the last one came.
struct Record {
    latencies: Histogram<u64>,
    last: Instant,
}

impl Record {
    fn add(&mut self, done: &Completion) {
        self.latencies.saturating_record((done.done_at - done.asked_at).as_nanos().max(1));
        self.last = self.last.max(done.done_at);
    }
}

/// Turns until the client is done, the time is over, a signal came, or nobody answers.
pub(super) fn drive<P: LivePort>(
    mut stack: Stack<FetchClient<Targets>>,
    mut port: P,
    limits: &Limits,
) -> Outcome {
    let latencies = match Histogram::new_with_bounds(1, LATENCY_MAX, 3) {
        Ok(latencies) => latencies,
        Err(e) => unreachable!("constant bounds: {e}"),
    };
    let mut record = Record { latencies, last: limits.start };
    let mut end = End { gave_up: None, interrupted: false };
    let turned = turn_until_done(&mut stack, &mut port, limits, &mut record, &mut end);
    let client = *stack.app().stats();
    let unfinished = client.requests - client.succeeded - client.failed;
    let mut failure = turned.err().or_else(|| port.dead());
    if failure.is_none() {
        let now = port.now();
        failure = stack.shut_down(now, &mut port).err().map(|e| P::failure(&e));
    }
    let dropped = port.dropped();
    let mut report = Report::new(failure);
    port.finish(&mut report);
    Outcome {
        seconds: super::seconds(limits.start, record.last),
        latencies: record.latencies,
        client,
        unfinished,
        stack: stack.stats().clone(),
        dropped,
        gave_up: end.gave_up,
        interrupted: end.interrupted,
        failure: report.failure,
    }
}

struct End {
    gave_up: Option<GaveUp>,
    interrupted: bool,
}

fn turn_until_done<P: LivePort>(
    stack: &mut Stack<FetchClient<Targets>>,
    port: &mut P,
    limits: &Limits,
    record: &mut Record,
    end: &mut End,
) -> Result<(), Failure> {
    let mut wake_at = Some(limits.start);
    // The last time that something was answered, or that nothing was due.
    let mut alive_at = limits.start;
    let mut stop_at = limits.end;
    let mut drain_until = None;
    loop {
        let silent_at = alive_at + limits.silence_max;
        let wakes = [wake_at, stack.app().next_open(), stop_at, drain_until, Some(silent_at)];
        let Some(now) = port.advance(wakes.into_iter().flatten().min()) else {
            if port.dead().is_some() || drain_until.is_some() {
                return Ok(());
            }
            // Ctrl-C: what is under way may end.
            end.interrupted = true;
            port.ignore_stop();
            stop_at = Some(port.now());
            continue;
        };
        if stop_at.is_some_and(|at| at <= now) {
            stack.app_mut().stop();
            (stop_at, drain_until) = (None, Some(now + DRAIN_MAX));
        }
        stack.app_mut().set_now(now);
        wake_at = stack.turn(now, port).map_err(|e| P::failure(&e))?.map(|deadline| deadline.at);
        let before = record.latencies.len();
        stack.app_mut().drain_completions(|done| record.add(done));
        let stats = stack.app().stats();
        let under_way = stats.requests - stats.succeeded - stats.failed;
        let waits = under_way == 0 && stack.app().next_open().is_none_or(|at| at > now);
        if record.latencies.len() > before || waits && stats.connections > 0 {
            alive_at = now;
        }
        if stack.app().is_done() || drain_until.is_some_and(|at| at <= now) {
            return Ok(());
        }
        if stats.connections == 0 && stats.open_failed >= REFUSED_MAX {
            end.gave_up = Some(GaveUp::Refused);
            return Ok(());
        }
        if now >= alive_at + limits.silence_max {
            end.gave_up = Some(GaveUp::Silence);
            return Ok(());
        }
    }
}
