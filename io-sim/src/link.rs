//! One direction of a link: a queue, a rate, a distance, and what goes wrong on the way.
//!
//! A frame is offered, may find the queue full, is sent at the link's rate, and travels. Whether
//! it is lost, damaged, delayed beyond others or doubled is drawn when it is offered, each from a
//! stream of its own. Integers only. Must not know what a frame means, apart from its Ethernet
//! header.

use crate::frames::{FrameId, Frames};
use crate::seed::{Chance, Draws, Seed, Stream};
use simoom_core::time::{Duration, Instant};
use std::collections::VecDeque;

/// How fast bits pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// A frame takes no time.
    pub const UNLIMITED: Self = Self(0);

    /// `n` bits in a second, not zero.
    pub const fn bits_per_second(n: u64) -> Self {
        assert!(n > 0, "a rate of zero passes nothing: take the link down instead");
        Self(n)
    }

    /// `n` million bits in a second, not zero.
    pub const fn mbit(n: u64) -> Self {
        Self::bits_per_second(n * 1_000_000)
    }

    /// `n` thousand million bits in a second, not zero.
    pub const fn gbit(n: u64) -> Self {
        Self::bits_per_second(n * 1_000_000_000)
    }

    /// How long `bytes` take, rounded up.
    #[inline]
    pub const fn time_of(self, bytes: u64) -> Duration {
        if self.0 == 0 {
            return Duration::ZERO;
        }
        // Up to 18 MB at once fit 64 bits, which spares frames the wide division.
        match bytes.checked_mul(8_000_000_000) {
            Some(scaled) if scaled < u64::MAX - self.0 => {
                Duration::from_nanos(scaled.div_ceil(self.0))
            }
            _ => {
                let nanos = (bytes as u128 * 8_000_000_000).div_ceil(self.0 as u128);
                Duration::from_nanos(if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 })
            }
        }
    }
}

/// What one direction of a link is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Bits a second.
    pub rate: Rate,
    /// Bytes that a frame takes on the wire beyond its own (Ethernet: 24 for preamble, FCS and gap).
    pub overhead_bytes: u16,
    /// Propagation delay.
    pub delay: Duration,
    /// Bytes that wait at most, the frame being sent not counted; a longer queue drops its tail.
    pub queue_bytes_max: u64,
    /// Frames that wait at most, the one being sent not counted.
    pub queue_frames_max: u32,
    /// How likely a frame is lost, each on its own.
    pub loss: Chance,
    /// How likely a frame is delayed beyond `delay`, so that later ones pass it.
    pub reorder: Chance,
    /// By how much at most; at least 1 ns.
    pub reorder_by_max: Duration,
    /// How likely a frame arrives twice.
    pub duplicate: Chance,
    /// How likely a frame is damaged: some bits of one byte flip and the checksum is not repaired.
    /// That is a burst of at most eight bits, which the Internet checksum always finds. The byte
    /// lies behind the Ethernet header of an IPv4 packet; other frames, which have no checksum to
    /// show it, stay whole: Ethernet's own FCS is for them.
    pub corrupt: Chance,
}

impl Default for LinkConfig {
    /// A gigabit of 1 ms with a queue of 1,000 frames, without faults.
    fn default() -> Self {
        Self {
            rate: Rate::gbit(1),
            overhead_bytes: 0,
            delay: Duration::from_millis(1),
            queue_bytes_max: u64::MAX,
            queue_frames_max: 1000,
            loss: Chance::NEVER,
            reorder: Chance::NEVER,
            reorder_by_max: Duration::from_millis(1),
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
        }
    }
}

impl LinkConfig {
    /// The same link when nothing goes wrong any more.
    #[must_use]
    pub const fn healed(self) -> Self {
        Self {
            loss: Chance::NEVER,
            reorder: Chance::NEVER,
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
            ..self
        }
    }
}

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
    /// The queue is full: the frame ends here and now.
    QueueFull,
    /// It is lost on the way.
    Lost,
    /// It arrives at that time, and once more, `again` being a copy of it.
    Arrives {
        /// When.
        at: Instant,
        /// Whether it was damaged (it is, already).
        damaged: bool,
        /// The second of two, arriving at the same time, behind it.
        again: Option<FrameId>,
    },
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    /// When the last frame of the queue has left.
    busy_until: Instant,
    /// (when its sending begins, bytes) of the frames that wait, oldest first.
    waiting: VecDeque<(Instant, u32)>,
    waiting_bytes: u64,
    loss: Draws,
    reorder: Draws,
    duplicate: Draws,
    corrupt: Draws,
    stats: LinkStats,
}

/// Bytes of an Ethernet header.
const ETHERNET_LEN: usize = 14;

impl Link {
    /// Direction number `number` of a world with this seed.
    pub fn new(config: LinkConfig, seed: Seed, number: u32) -> Self {
        Self {
            config,
            busy_until: Instant::ZERO,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            loss: seed.stream(Stream::Loss(number)),
            reorder: seed.stream(Stream::Reorder(number)),
            duplicate: seed.stream(Stream::Duplicate(number)),
            corrupt: seed.stream(Stream::Corrupt(number)),
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

    /// What it has done.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
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
        let config = self.config;
        let len = frames.get(frame).len() as u64;
        self.stats.offered += 1;
        self.stats.offered_bytes += len;
        if self.busy_until <= now {
            self.waiting.clear();
            self.waiting_bytes = 0;
            self.busy_until = now;
        } else {
            let (waiting, bytes) = self.queue(now);
            if waiting >= config.queue_frames_max as usize || bytes + len > config.queue_bytes_max {
                self.stats.queue_full += 1;
                return Passage::QueueFull;
            }
            self.waiting.push_back((self.busy_until, len as u32));
            self.waiting_bytes += len;
        }
        self.busy_until += config.rate.time_of(len + u64::from(config.overhead_bytes));
        if self.loss.happens(config.loss) {
            self.stats.lost += 1;
            return Passage::Lost;
        }
        let mut at = self.busy_until + config.delay;
        if self.reorder.happens(config.reorder) {
            self.stats.reordered += 1;
            let beyond = config.reorder_by_max.as_nanos().max(1);
            at += Duration::from_nanos(1 + self.reorder.below(beyond));
        }
        let again = self.duplicate.happens(config.duplicate).then(|| {
            self.stats.duplicated += 1;
            frames.add_copy(frame)
        });
        let damaged = self.corrupt.happens(config.corrupt) && self.damage(frames.get_mut(frame));
        Passage::Arrives { at, damaged, again }
    }

    /// Flips some bits of one byte behind the Ethernet header, in an IPv4 packet.
    fn damage(&mut self, bytes: &mut [u8]) -> bool {
        // Padding of a short frame is no part of the packet: nothing would notice.
        let end = match &*bytes {
            [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, _, _, high, low, ..] => {
                bytes.len().min(ETHERNET_LEN + usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => return false,
        };
        let Some(range) = end.checked_sub(ETHERNET_LEN).filter(|range| *range > 0) else {
            return false;
        };
        let at = ETHERNET_LEN + self.corrupt.below(range as u64) as usize;
        bytes[at] ^= 1 + self.corrupt.below(255) as u8;
        self.stats.damaged += 1;
        true
    }
}

#[cfg(test)]
mod tests;
