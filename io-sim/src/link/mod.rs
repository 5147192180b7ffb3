//! One direction of a link: a queue, a rate, a distance, and what goes wrong on the way.
//!
//! A frame is offered, may be too long, meet an outage or find the queue full, is sent at the link's
//! rate, and travels. Where nothing else can change it ([`LinkConfig`] without CoDel, trace,
//! held frames or changes to come), the time at which it leaves is known at once, and what happens
//! to it on the way is drawn then; else that is done when its turn comes, and the link asks to be
//! called ([`Link::on_wake`]). Each kind of fault draws from a stream of its own. Integers only.
//!
//! Must not know what a frame means, apart from its Ethernet header and the length of an IPv4
//! packet; what is aimed at TCP is in `tcp`, what a router does in `ip`.
//!
//! What goes wrong can be written down ([`Link::record_faults`]) and ordered
//! ([`Link::force_faults`]) as a list of [`Fault`]s.

use crate::fault::{Fault, FaultKind};
use crate::frames::{Entry, FrameId, Frames};
use crate::hash::Fate;
use crate::seed::{Draws, Seed, Stream};
use simoom_core::time::{Duration, Instant};
use std::collections::VecDeque;

mod codel;
mod config;
mod damage;
mod faults;
mod full;
mod ip;
mod jitter;
mod outages;
mod presets;
mod tcp;
mod trace;
mod waiting;

pub use config::{
    AckBunch, Aqm, CoDelConfig, Displace, Every, GilbertElliott, LinkConfig, LoseByte, Mtu,
    MtuExceeded, Rate,
};
pub use jitter::{Jitter, Variation};
pub use outages::{Flap, Outages, WhileDown};
pub use presets::Preset;
pub use trace::{OPPORTUNITIES_MAX, OPPORTUNITY_BYTES, Trace, TraceError};

use faults::Faults;
use full::Full;

/// What a direction has done, in frames. Every frame offered, and every second one of a doubled
/// frame, is in one of `delivered`, `queue_full`, `queue_managed`, `too_long`, `link_down` and `lost`,
/// or still in the link's hands ([`Link::held`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Handed to it.
    pub offered: u64,
    /// Bytes handed to it.
    pub offered_bytes: u64,
    /// Sent on their way to the other end, to arrive.
    pub delivered: u64,
    /// Dropped, the queue being full.
    pub queue_full: u64,
    /// Frames that waited at once, at most; the one being sent not counted.
    pub queue_max: u64,
    /// Dropped by the management of the queue.
    pub queue_managed: u64,
    /// Marked as having met congestion (CE) instead.
    pub marked: u64,
    /// Dropped, being too long.
    pub too_long: u64,
    /// Answered with an ICMP message for that.
    pub too_long_answered: u64,
    /// Dropped, the link being down.
    pub link_down: u64,
    /// Lost on the way, for whatever reason.
    pub lost: u64,
    /// Of these, where [`LinkConfig::burst_loss`] would have lost them.
    pub lost_in_bursts: u64,
    /// Of these, where [`LinkConfig::loss_every`] would.
    pub lost_by_period: u64,
    /// Of these, where [`LinkConfig::lose_frames`] or [`LinkConfig::lose_bytes`] would.
    pub lost_by_list: u64,
    /// Of these, where [`LinkConfig::ack_loss`] would.
    pub lost_acks: u64,
    /// Pure ACKs held up in bunches.
    pub bunched: u64,
    /// Delayed beyond others.
    pub reordered: u64,
    /// Held until others have passed.
    pub displaced: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Damaged, in any way; the second of two counts like the first.
    pub damaged: u64,
    /// Of these, so that lengths and checksums are right.
    pub forged: u64,
    /// Of these, cut short.
    pub truncated: u64,
}

/// What a frame's way will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The frame ends here and now, like that.
    Ends(Fate),
    /// It arrives at that time, and once more where there is a copy of it.
    Arrives {
        /// When.
        at: Instant,
        /// In which condition (it is in it, already).
        fate: Fate,
        /// The second of two, arriving at the same time, behind it, and in which condition: a copy
        /// of a frame that was damaged before is damaged, one made before that is whole.
        again: Option<(FrameId, Fate)>,
    },
    /// The link keeps it for now; [`Link::take_outcome`] tells of it, perhaps at once.
    Stays,
}

/// What a link has done with a frame that it had kept, or besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What became of a frame; never [`Passage::Stays`].
    Passed(FrameId, Passage),
    /// A frame of the link's own, to be offered to its other direction now: a router's answer.
    Answer(FrameId),
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    seed: Seed,
    number: u32,
    /// Nothing but rate, delay, tail drop and the four plain chances, and nothing is kept.
    plain: bool,
    /// When the last frame that was given a time has left.
    busy_until: Instant,
    /// (when its sending begins, bytes) of the frames that wait and have been given a time, oldest
    /// first.
    waiting: VecDeque<(Instant, u32)>,
    waiting_bytes: u64,
    loss: Draws,
    reorder: Draws,
    duplicate: Draws,
    corrupt: Draws,
    faults: Faults,
    /// What links have that are not plain.
    full: Option<Box<Full>>,
    stats: LinkStats,
}

impl Link {
    /// Direction number `number` of a world with this seed. Panics where a number of the
    /// configuration has no meaning.
    pub fn new(config: LinkConfig, seed: Seed, number: u32) -> Self {
        let mut link = Self {
            config: LinkConfig::default(),
            seed,
            number,
            plain: true,
            busy_until: Instant::ZERO,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            loss: seed.stream(Stream::Loss(number)),
            reorder: seed.stream(Stream::Reorder(number)),
            duplicate: seed.stream(Stream::Duplicate(number)),
            corrupt: seed.stream(Stream::Corrupt(number)),
            faults: Faults::new(number),
            full: None,
            stats: LinkStats::default(),
        };
        link.set_config(Instant::ZERO, config);
        link
    }

    /// What it is like now.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes what it is like, for frames offered from now on, and for those that wait where the
    /// link looks at them again when their turn comes; [`Link::next_wake`] may be another then.
    pub fn set_config(&mut self, now: Instant, config: LinkConfig) {
        config.assert_meaningful();
        self.config = config;
        self.classify();
        if let Some(full) = &mut self.full {
            full.begin_changes();
            full.skip_opportunities(now, self.config.trace.as_ref());
        }
    }

    /// From now on nothing goes wrong, neither by chance nor because it was forced. As
    /// [`Link::set_config`] with [`LinkConfig::healed`], but changes that have happened stay.
    pub fn heal(&mut self, now: Instant) {
        self.config = self.config.healed();
        self.faults.stop_forced();
        if let Some(full) = &mut self.full {
            full.skip_opportunities(now, self.config.trace.as_ref());
        }
    }

    /// Once more than plain, a link stays so: it may hold something.
    fn classify(&mut self) {
        self.plain = self.config.is_plain() && !self.faults.is_forced() && self.full.is_none();
        if !self.plain && self.full.is_none() {
            self.full = Some(Box::new(Full::new(self.seed, self.number)));
        }
    }

    /// What it has done.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// From now on each fault is written down, for [`Link::take_faults`].
    pub fn record_faults(&mut self) {
        self.faults.record();
    }

    /// Takes what was written down since the last call, in the order in which it happened.
    #[inline]
    pub fn take_faults(&mut self) -> impl Iterator<Item = Fault> {
        self.faults.take()
    }

    /// From now on chances, periods and lists do nothing and draw nothing; what this list has of
    /// this direction happens instead, in its order where it has several things of one frame; a
    /// frame that is lost suffers nothing else. A fault of a frame that is not offered any more,
    /// or that ends before the wire (in a full queue), does not happen; nor does one that would
    /// change nothing: a byte outside the IPv4 packet, a cut behind its end.
    pub fn force_faults(&mut self, faults: &[Fault]) {
        self.faults.force(faults);
        self.classify();
    }

    /// Frames and bytes that wait at `now`, the one being sent not counted.
    pub fn queue(&mut self, now: Instant) -> (usize, u64) {
        while let Some((begins, bytes)) = self.waiting.front().copied()
            && begins <= now
        {
            self.waiting.pop_front();
            self.waiting_bytes -= u64::from(bytes);
        }
        let (frames, bytes) = self.full.as_ref().map_or((0, 0), |full| full.queue());
        (self.waiting.len() + frames, self.waiting_bytes + bytes)
    }

    /// Frames that the link keeps: their way is not decided yet.
    pub fn held(&self) -> usize {
        self.full.as_ref().map_or(0, |full| full.held())
    }

    /// Takes a frame at `now`, not earlier than the one before. What ends here stays in `frames`
    /// for the caller to look at and remove.
    #[inline]
    pub fn offer(&mut self, now: Instant, frames: &mut Frames, frame: FrameId) -> Passage {
        let len = frames.get(frame).len() as u64;
        self.stats.offered += 1;
        self.stats.offered_bytes += len;
        frames.enter(frame, Entry { at: now, number: self.stats.offered });
        if !self.plain {
            self.offer_full(now, frames, frame);
            return Passage::Stays;
        }
        let Some(left) = self.send_later(now, len) else {
            return Passage::Ends(Fate::QueueFull);
        };
        self.draw_plain(frames.get(frame));
        let at = left + self.config.delay;
        if self.faults.happening.is_empty() {
            self.stats.delivered += 1;
            return Passage::Arrives { at, fate: Fate::Arrived, again: None };
        }
        let (passage, _) = self.suffer(at, frames, frame);
        self.count_delivered(&passage);
        passage
    }

    fn count_delivered(&mut self, passage: &Passage) {
        if let Passage::Arrives { again, .. } = passage {
            self.stats.delivered += 1 + u64::from(again.is_some());
        }
    }

    /// When a frame that is offered now will have left; None where the queue is full.
    #[inline]
    fn send_later(&mut self, now: Instant, len: u64) -> Option<Instant> {
        if self.busy_until <= now {
            self.waiting.clear();
            self.waiting_bytes = 0;
            self.busy_until = now;
        } else {
            let (waiting, bytes) = self.queue(now);
            if !self.fits(waiting, bytes, len) {
                self.stats.queue_full += 1;
                return None;
            }
            self.waiting.push_back((self.busy_until, len as u32));
            self.waiting_bytes += len;
            self.stats.queue_max = self.stats.queue_max.max(waiting as u64 + 1);
        }
        self.busy_until += self.config.rate.time_of(len + u64::from(self.config.overhead_bytes));
        Some(self.busy_until)
    }

    /// Whether the queue takes one more frame.
    #[inline]
    fn fits(&self, waiting: usize, bytes: u64, len: u64) -> bool {
        waiting < self.config.queue_frames_max as usize
            && bytes + len <= self.config.queue_bytes_max
    }

    /// Draws which of the plain faults happen to a frame.
    #[inline]
    fn draw_plain(&mut self, bytes: &[u8]) {
        let config = &self.config;
        let happening = &mut self.faults.happening;
        if self.loss.happens(config.loss) {
            happening.push(FaultKind::Lost);
            return;
        }
        if self.reorder.happens(config.reorder) {
            let beyond = config.reorder_by_max.as_nanos().max(1);
            let by = Duration::from_nanos(1 + self.reorder.below(beyond));
            happening.push(FaultKind::Delayed(by));
        }
        if self.duplicate.happens(config.duplicate) {
            happening.push(FaultKind::Duplicated);
        }
        if self.corrupt.happens(config.corrupt) {
            let fault = damage::draw(&mut self.corrupt, damage::packet(bytes), false);
            happening.extend(fault);
        }
    }
}

#[cfg(test)]
mod tests;
