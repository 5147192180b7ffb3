//! When a link could send: a recording of a real one, in mahimahi's format.
//!
//! A text with one number a line, each a time in whole milliseconds from the start, none smaller
//! than the one before: at that time the link carries 1,500 bytes. A time that stands n times
//! carries n times as much. Behind the last line the recording begins anew, the last time being the
//! new start. (Netravali et al., "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015.)
//!
//! What is counted is the packet, the frame without its Ethernet header, and the link's overhead. A
//! packet takes what is left of an opportunity and goes on with the next; it leaves with its last
//! byte. An opportunity at which nothing waits is gone, and so is what a packet leaves of its last
//! one when no other waits; a packet that comes at the very time of an opportunity is too late.

use simoom_core::time::{Duration, Instant};
use std::fmt;
use std::sync::Arc;

/// Bytes that an opportunity carries.
pub const OPPORTUNITY_BYTES: u32 = 1500;
/// Opportunities of a recording at most: 16 MB of memory.
pub const OPPORTUNITIES_MAX: usize = 4_000_000;

/// When a link could send. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    /// Milliseconds, ascending; the last, which is not zero, is the period.
    millis: Arc<[u32]>,
}

/// Why a text or a list is no trace. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// There is no line.
    Empty,
    /// The line holds no whole number of milliseconds below 2^32.
    NotANumber {
        /// Which.
        line: usize,
        /// What it holds, the first 40 characters.
        text: String,
    },
    /// The time is smaller than that of the line before.
    GoesBack {
        /// Which.
        line: usize,
        /// Its time.
        millis: u32,
        /// The one before.
        before: u32,
    },
    /// All times are zero: it would never end.
    NoTimePasses,
    /// There are more than [`OPPORTUNITIES_MAX`] lines.
    TooLong {
        /// The first line too many.
        line: usize,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty trace: write a time in milliseconds on each line"),
            Self::NotANumber { line, text } => {
                write!(f, "line {line}: {text:?} is no time in whole milliseconds")
            }
            Self::GoesBack { line, millis, before } => {
                write!(f, "line {line}: time {millis} comes after {before}: they must not fall")
            }
            Self::NoTimePasses => f.write_str("the last time is 0: the trace has no length"),
            Self::TooLong { line } => {
                write!(f, "line {line}: a trace has at most {OPPORTUNITIES_MAX} lines")
            }
        }
    }
}

impl std::error::Error for TraceError {}

impl Trace {
    /// Reads a trace. Spaces around a number and an empty last line are allowed.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut millis = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let Some(time) = digits.then(|| text.parse().ok()).flatten() else {
                let text = text.chars().take(40).collect();
                return Err(TraceError::NotANumber { line, text });
            };
            Self::push(&mut millis, time)?;
        }
        Self::finish(millis)
    }

    /// A trace of these times. A "line" of an error is the place in the list, from 1.
    pub fn from_millis(times: impl IntoIterator<Item = u32>) -> Result<Self, TraceError> {
        let mut millis = Vec::new();
        for time in times {
            Self::push(&mut millis, time)?;
        }
        Self::finish(millis)
    }

    fn push(millis: &mut Vec<u32>, time: u32) -> Result<(), TraceError> {
        let line = millis.len() + 1;
        if line > OPPORTUNITIES_MAX {
            return Err(TraceError::TooLong { line });
        }
        if let Some(before) = millis.last().copied().filter(|before| *before > time) {
            return Err(TraceError::GoesBack { line, millis: time, before });
        }
        millis.push(time);
        Ok(())
    }

    fn finish(millis: Vec<u32>) -> Result<Self, TraceError> {
        match millis.last() {
            None => Err(TraceError::Empty),
            Some(0) => Err(TraceError::NoTimePasses),
            Some(_) => Ok(Self { millis: millis.into() }),
        }
    }

    /// Opportunities until it repeats.
    pub fn opportunities(&self) -> usize {
        self.millis.len()
    }

    /// After how long it repeats.
    pub fn period(&self) -> Duration {
        Duration::from_millis(u64::from(self.millis.last().copied().unwrap_or(1)))
    }

    /// Bits a second on average.
    pub fn bits_per_second(&self) -> u64 {
        let bits = self.millis.len() as u64 * u64::from(OPPORTUNITY_BYTES) * 8;
        bits * 1000 / self.period().as_millis()
    }

    /// When opportunity `n` is, counted from 0 over all repetitions, which begin at time 0.
    pub(super) fn at(&self, n: u64) -> Instant {
        let count = self.millis.len() as u64;
        let start = self.period().saturating_mul(n / count);
        Instant::ZERO + start + Duration::from_millis(u64::from(self.millis[(n % count) as usize]))
    }

    /// The first opportunity at `at` or later.
    pub(super) fn first_from(&self, at: Instant) -> u64 {
        match at.as_nanos().checked_sub(1) {
            Some(before) => self.first_after(Instant::from_nanos(before)),
            None => 0,
        }
    }

    /// The first opportunity later than `now`.
    pub(super) fn first_after(&self, now: Instant) -> u64 {
        let period = self.period().as_nanos();
        let (round, into) = (now.as_nanos() / period, now.as_nanos() % period);
        let past = self.millis.partition_point(|ms| u64::from(*ms) * 1_000_000 <= into) as u64;
        let mut n = round * self.millis.len() as u64 + past;
        // The end of one round is the start of the next, which may have opportunities there.
        while self.at(n) <= now {
            n += 1;
        }
        n
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { millis } = self;
        write!(f, "Trace({} opportunities in {:?})", millis.len(), self.period())
    }
}
