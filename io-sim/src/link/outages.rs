//! When a link is down.

use simoom_core::time::{Duration, Instant};
use std::sync::Arc;

/// When nothing passes a link, and what becomes of frames that are offered then. Frames that are
/// on their way go on, and so does what waits in the queue where frames are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// From when until when, the end not included; ascending, apart from each other.
    times: Arc<[(Instant, Instant)]>,
    flap: Option<Flap>,
    while_down: WhileDown,
}

/// A link that goes down and comes back, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// When it goes down for the first time.
    pub first: Instant,
    /// How long it is down each time; not zero.
    pub down: Duration,
    /// How long it is up in between; not zero.
    pub up: Duration,
}

/// What becomes of a frame that is offered to a link that is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhileDown {
    /// It ends there.
    #[default]
    Drop,
    /// It waits in the queue, as far as that reaches, and so does what is there already.
    Hold,
}

impl Outages {
    /// From when until when, the end not included, in any order; an end of
    /// [`Instant::FAR_FUTURE`] is for ever. Times that overlap are one.
    pub fn new(times: impl IntoIterator<Item = (Instant, Instant)>, while_down: WhileDown) -> Self {
        let mut times: Vec<_> = times.into_iter().filter(|(from, to)| from < to).collect();
        times.sort_unstable();
        let mut joined: Vec<(Instant, Instant)> = Vec::with_capacity(times.len());
        for (from, to) in times {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self { times: joined.into(), flap: None, while_down }
    }

    /// Down and up again, over and over.
    pub fn flapping(flap: Flap, while_down: WhileDown) -> Self {
        Self::new([], while_down).and_flapping(flap)
    }

    /// The same, and down and up again besides.
    #[must_use]
    pub fn and_flapping(self, flap: Flap) -> Self {
        let Flap { down, up, .. } = flap;
        assert!(down > Duration::ZERO && up > Duration::ZERO, "a flap lasts, and so does its end");
        Self { flap: Some(flap), ..self }
    }

    /// From when until when, apart from flaps.
    pub fn times(&self) -> &[(Instant, Instant)] {
        &self.times
    }

    /// Whether it is never down.
    pub fn is_none(&self) -> bool {
        self.times.is_empty() && self.flap.is_none()
    }

    /// Whether frames wait for the end of an outage.
    pub(super) fn holds(&self) -> bool {
        self.while_down == WhileDown::Hold && !self.is_none()
    }

    /// Whether frames offered now end here.
    pub(super) fn drops(&self, now: Instant) -> bool {
        self.while_down == WhileDown::Drop && self.up_at(now) > now
    }

    /// The first time from `at` on at which a frame that waits may be sent.
    pub(super) fn sends_at(&self, at: Instant) -> Instant {
        if self.while_down == WhileDown::Hold { self.up_at(at) } else { at }
    }

    /// The first time from `at` on at which the link is up.
    pub fn up_at(&self, mut at: Instant) -> Instant {
        loop {
            let listed = self.times.partition_point(|(_, to)| *to <= at);
            let mut up = match self.times.get(listed) {
                Some((from, to)) if *from <= at => *to,
                _ => at,
            };
            if let Some(Flap { first, down, up: for_long }) = self.flap
                && up >= first
            {
                let into = (up - first).as_nanos() % (down + for_long).as_nanos();
                up += Duration::from_nanos(down.as_nanos().saturating_sub(into));
            }
            if up == at || up == Instant::FAR_FUTURE {
                return up;
            }
            at = up;
        }
    }
}
