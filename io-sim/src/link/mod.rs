//! One direction of a link: a queue, a rate, a distance, and what goes wrong on the way.
//!
//! A frame is offered, may find the queue full, is sent at the link's rate, and travels. Whether
//! it is lost, damaged, delayed beyond others or doubled is drawn when it is offered, each from a
//! stream of its own. Integers only. Must not know what a frame means, apart from its Ethernet
//! header and the length of an IPv4 packet; what is aimed at TCP is in `tcp`.
//!
//! What goes wrong can be written down ([`Link::record_faults`]) and ordered
//! ([`Link::force_faults`]) as a list of [`Fault`]s.

use crate::fault::{Fault, FaultKind};
use crate::frames::{Entry, FrameId, Frames};
use crate::hash::Fate;
use crate::seed::{Draws, Seed, Stream};
use simoom_core::time::{Duration, Instant};
use std::collections::VecDeque;

mod config;
mod damage;
mod tcp;

pub use config::{LinkConfig, Rate};
use damage::Damage;

/// What a direction has done, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Handed to it.
    pub offered: u64,
    /// Dropped, the queue being full.
    pub queue_full: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Delayed beyond others.
    pub reordered: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Damaged.
    pub damaged: u64,
    /// Bytes handed to it.
    pub offered_bytes: u64,
}

/// What a frame's way will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The frame ends here and now, like that.
    Ends(Fate),
    /// It arrives at that time, and once more, `again` being a copy of it.
    Arrives {
        /// When.
        at: Instant,
        /// In which condition (it is in it, already).
        fate: Fate,
        /// The second of two, arriving at the same time, behind it.
        again: Option<FrameId>,
    },
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    number: u32,
    /// When the last frame of the queue has left.
    busy_until: Instant,
    /// (when its sending begins, bytes) of the frames that wait, oldest first.
    waiting: VecDeque<(Instant, u32)>,
    waiting_bytes: u64,
    loss: Draws,
    reorder: Draws,
    duplicate: Draws,
    corrupt: Draws,
    /// What happens to the frame at hand.
    happening: Vec<FaultKind>,
    /// What has happened since somebody took it, where it is recorded.
    happened: Option<Vec<Fault>>,
    /// What is to happen instead of chances: (frame, what), by frame; the first `done` lie behind.
    forced: Option<Forced>,
    stats: LinkStats,
}

#[derive(Clone, Debug)]
struct Forced {
    faults: Vec<(u64, FaultKind)>,
    done: usize,
}

impl Link {
    /// Direction number `number` of a world with this seed.
    pub fn new(config: LinkConfig, seed: Seed, number: u32) -> Self {
        Self {
            config,
            number,
            busy_until: Instant::ZERO,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            loss: seed.stream(Stream::Loss(number)),
            reorder: seed.stream(Stream::Reorder(number)),
            duplicate: seed.stream(Stream::Duplicate(number)),
            corrupt: seed.stream(Stream::Corrupt(number)),
            happening: Vec::new(),
            happened: None,
            forced: None,
            stats: LinkStats::default(),
        }
    }

    /// What it is like now.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes what it is like, for frames offered from now on.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// From now on nothing goes wrong, neither by chance nor because it was forced.
    pub fn heal(&mut self) {
        self.config = self.config.healed();
        if let Some(forced) = &mut self.forced {
            forced.faults.clear();
            forced.done = 0;
        }
    }

    /// What it has done.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// From now on each fault is written down, for [`Link::take_faults`].
    pub fn record_faults(&mut self) {
        self.happened.get_or_insert_default();
    }

    /// Takes what was written down since the last call, in the order in which it happened.
    #[inline]
    pub fn take_faults(&mut self) -> impl Iterator<Item = Fault> {
        self.happened.iter_mut().flat_map(|happened| happened.drain(..))
    }

    /// From now on chances do nothing and draw nothing; what the list has of this direction
    /// happens instead, in the list's order where it has several things of one frame. A fault of a
    /// frame that is not offered any more, or that ends before the wire (in a full queue), does not
    /// happen; nor does one that would change nothing: a byte outside the IPv4 packet, a cut behind
    /// its end.
    pub fn force_faults(&mut self, faults: &[Fault]) {
        let mine = faults.iter().filter(|fault| fault.way == self.number);
        let mut faults: Vec<_> = mine.map(|fault| (fault.frame, fault.kind)).collect();
        faults.sort_by_key(|(frame, _)| *frame);
        self.forced = Some(Forced { faults, done: 0 });
    }

    /// Frames and bytes that wait at `now`, the one being sent not counted.
    pub fn queue(&mut self, now: Instant) -> (usize, u64) {
        while let Some((begins, bytes)) = self.waiting.front().copied()
            && begins <= now
        {
            self.waiting.pop_front();
            self.waiting_bytes -= u64::from(bytes);
        }
        (self.waiting.len(), self.waiting_bytes)
    }

    /// Takes a frame at `now`, not earlier than the one before. What ends here stays in `frames`
    /// for the caller to look at and remove.
    #[inline]
    pub fn offer(&mut self, now: Instant, frames: &mut Frames, frame: FrameId) -> Passage {
        let len = frames.get(frame).len() as u64;
        self.stats.offered += 1;
        self.stats.offered_bytes += len;
        frames.enter(frame, Entry { at: now, number: self.stats.offered });
        if self.busy_until <= now {
            self.waiting.clear();
            self.waiting_bytes = 0;
            self.busy_until = now;
        } else {
            let (waiting, bytes) = self.queue(now);
            if waiting >= self.config.queue_frames_max as usize
                || bytes + len > self.config.queue_bytes_max
            {
                self.stats.queue_full += 1;
                return Passage::Ends(Fate::QueueFull);
            }
            self.waiting.push_back((self.busy_until, len as u32));
            self.waiting_bytes += len;
        }
        self.busy_until += self.config.rate.time_of(len + u64::from(self.config.overhead_bytes));
        let at = self.busy_until + self.config.delay;
        match self.forced {
            None => self.draw(frames.get(frame)),
            Some(_) => self.obey(frames.entry(frame).number),
        }
        if self.happening.is_empty() {
            return Passage::Arrives { at, fate: Fate::Arrived, again: None };
        }
        self.suffer(at, frames, frame)
    }

    /// Draws what happens to a frame.
    #[inline]
    fn draw(&mut self, bytes: &[u8]) {
        let config = &self.config;
        if self.loss.happens(config.loss) {
            self.happening.push(FaultKind::Lost);
            return;
        }
        if self.reorder.happens(config.reorder) {
            let beyond = config.reorder_by_max.as_nanos().max(1);
            let by = Duration::from_nanos(1 + self.reorder.below(beyond));
            self.happening.push(FaultKind::Delayed(by));
        }
        if self.duplicate.happens(config.duplicate) {
            self.happening.push(FaultKind::Duplicated);
        }
        if self.corrupt.happens(config.corrupt) {
            let fault = damage::draw(&mut self.corrupt, damage::packet(bytes), false);
            self.happening.extend(fault);
        }
    }

    /// Looks up what is to happen to a frame.
    fn obey(&mut self, number: u64) {
        let Some(Forced { faults, done }) = &mut self.forced else { return };
        while let Some((frame, kind)) = faults.get(*done)
            && *frame <= number
        {
            if *frame == number {
                self.happening.push(*kind);
            }
            *done += 1;
        }
    }

    /// Lets happen to a frame what was drawn or ordered.
    #[cold]
    fn suffer(&mut self, mut at: Instant, frames: &mut Frames, frame: FrameId) -> Passage {
        let number = frames.entry(frame).number;
        let mut lost = false;
        let mut again = None;
        let mut damages = 0;
        let mut damage = Damage::None;
        let happening = std::mem::take(&mut self.happening);
        for kind in &happening {
            let happened = match *kind {
                FaultKind::Lost => !std::mem::replace(&mut lost, true),
                FaultKind::Delayed(by) => {
                    self.stats.reordered += 1;
                    at += by;
                    true
                }
                FaultKind::Duplicated if again.is_none() => {
                    self.stats.duplicated += 1;
                    again = Some(frames.add_copy(frame));
                    true
                }
                FaultKind::Duplicated => false,
                FaultKind::Corrupted { offset, mask, repaired } => {
                    damage = damage::flip(frames.get_mut(frame), offset, mask, repaired);
                    damage != Damage::None
                }
                FaultKind::Truncated { .. } | FaultKind::Displaced { .. } => false,
            };
            damages += u32::from(happened && matches!(kind, FaultKind::Corrupted { .. }));
            if happened && let Some(log) = &mut self.happened {
                log.push(Fault { way: self.number, frame: number, kind: *kind });
            }
        }
        self.happening = happening;
        self.happening.clear();
        if lost {
            if let Some(again) = again {
                frames.remove(again);
            }
            self.stats.lost += 1;
            return Passage::Ends(Fate::Lost);
        }
        if damages > 1 {
            damage = damage::judge(frames.get(frame));
        }
        self.stats.damaged += u64::from(damages > 0);
        let fate = match (damages, damage) {
            (0, _) => Fate::Arrived,
            (_, Damage::Unseen) => Fate::ArrivedForged,
            _ => Fate::ArrivedDamaged,
        };
        Passage::Arrives { at, fate, again }
    }
}

#[cfg(test)]
mod tests;
