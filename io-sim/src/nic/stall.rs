//! Times at which a device stands still: a firmware that thinks, a bus that is busy, a driver that
//! resets a queue. What comes meanwhile waits, as far as the rings hold it.

use crate::seed::Draws;
use simoom_core::time::{Duration, Instant};

/// Which of a device's works stand still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stalled {
    /// Received frames are not shown: they fill the receive ring, and what finds it full is dropped.
    pub receive: bool,
    /// Submitted frames are not read.
    pub transmit: bool,
    /// Completions are not reported, whatever the caller asks.
    pub report: bool,
}

impl Stalled {
    /// All three.
    pub const EVERYTHING: Self = Self { receive: true, transmit: true, report: true };

    const fn works(self) -> [bool; WORKS] {
        [self.receive, self.transmit, self.report]
    }
}

/// A time at which a device stands still. Those of one device may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// From then on, inclusive; what is due at that very instant still happens.
    pub at: Instant,
    /// For so long.
    pub lasts: Duration,
    /// What stands still.
    pub what: Stalled,
}

/// Stalls that come by themselves, drawn from the device's own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomStalls {
    /// Mean time from the end of one to the begin of the next, exponentially distributed; at least
    /// a microsecond.
    pub gap_mean: Duration,
    /// How long one lasts at most: uniform from 1 ns.
    pub lasts_max: Duration,
    /// What stands still.
    pub what: Stalled,
}

impl RandomStalls {
    fn next(&self, after: Instant, draws: &mut Draws) -> Stall {
        let at = after + draws.exponential(self.gap_mean);
        let lasts = draws.duration_upto(self.lasts_max).max(Duration::from_nanos(1));
        Stall { at, lasts, what: self.what }
    }
}

const WORKS: usize = 3;
pub(super) const RECEIVE: usize = 0;
pub(super) const TRANSMIT: usize = 1;
pub(super) const REPORT: usize = 2;

/// The stalls of one device: those to come, and until when each work stands still.
#[derive(Clone, Debug)]
pub(super) struct Stalls {
    /// Latest first.
    planned: Vec<Stall>,
    random: Option<(RandomStalls, Stall)>,
    until: [Option<Instant>; WORKS],
}

impl Stalls {
    pub(super) fn new(random: Option<RandomStalls>, draws: &mut Draws) -> Self {
        let random = random.map(|random| {
            assert!(
                random.gap_mean >= Duration::from_micros(1),
                "stalls without a pause between them"
            );
            (random, random.next(Instant::ZERO, draws))
        });
        Self { planned: Vec::new(), random, until: [None; WORKS] }
    }

    pub(super) fn plan(&mut self, stall: Stall) {
        let place = self.planned.partition_point(|other| other.at > stall.at);
        self.planned.insert(place, stall);
    }

    /// Until when a work stands still now.
    #[inline]
    pub(super) fn until(&self, work: usize) -> Option<Instant> {
        self.until[work]
    }

    /// When the next stall begins or ends.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let planned = self.planned.last().map(|stall| stall.at);
        let random = self.random.map(|(_, stall)| stall.at);
        self.until.into_iter().chain([planned, random]).flatten().min()
    }

    /// Lets end and begin what does so at `at`, which is [`Stalls::next_change`]. Answers which works
    /// go on now and did not before.
    pub(super) fn change(&mut self, at: Instant, draws: &mut Draws) -> [bool; WORKS] {
        let stood = self.until;
        for until in &mut self.until {
            *until = until.filter(|until| *until > at);
        }
        while let Some(stall) = self.planned.pop_if(|stall| stall.at <= at) {
            self.begin(stall, at);
        }
        if let Some((random, stall)) = self.random.filter(|(_, stall)| stall.at <= at) {
            self.begin(stall, at);
            self.random = Some((random, random.next(stall.at + stall.lasts, draws)));
        }
        std::array::from_fn(|work| stood[work].is_some() && self.until[work].is_none())
    }

    fn begin(&mut self, stall: Stall, now: Instant) {
        let end = stall.at + stall.lasts;
        for (until, stalled) in self.until.iter_mut().zip(stall.what.works()) {
            if stalled && end > now {
                *until = Some(until.map_or(end, |until| until.max(end)));
            }
        }
    }
}
