//! What a turn costs: so much for each thing that it did, in picoseconds.
//!
//! The numbers are measured: `cargo run --release -p simoom-benches --bin cost_model` writes
//! `sim-scenarios/costs.toml`, and `CostFile::parse` (feature `cost-file`) reads it. They are those
//! of the file server: an application of another kind costs something else.

use crate::nic::NicConfig;
use simoom_core::port::BATCH_MAX;
use simoom_core::time::Duration;

/// What turns did: counters since the stack was made, and one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Turns.
    pub turns: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Of them, those whose text was shown to the application: requests, to a server.
    pub texts_in: u64,
    /// Frames queued for transmission.
    pub frames_out: u64,
    /// Bytes copied from buffer to buffer: each send in the mode *copy*, further copies elsewhere.
    pub copied_bytes: u64,
    /// Frames whose text was read from the source and summed: segments cut for the first time or
    /// again, and segments that went the copying way.
    pub filled_frames: u64,
    /// Frames copied from a master (the mode *copy*).
    pub copied_frames: u64,
    /// Connections that reached ESTABLISHED.
    pub opened: u64,
    /// Times that the doorbell rang.
    pub doorbells: u64,
    /// Bytes of prepared frames kept at once, at most: a level, not a counter.
    pub kept_bytes: u64,
}

impl Work {
    /// What was done since an earlier time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            turns: self.turns - earlier.turns,
            frames_in: self.frames_in - earlier.frames_in,
            texts_in: self.texts_in - earlier.texts_in,
            frames_out: self.frames_out - earlier.frames_out,
            copied_bytes: self.copied_bytes - earlier.copied_bytes,
            filled_frames: self.filled_frames - earlier.filled_frames,
            copied_frames: self.copied_frames - earlier.copied_frames,
            opened: self.opened - earlier.opened,
            doorbells: self.doorbells - earlier.doorbells,
            kept_bytes: self.kept_bytes,
        }
    }
}

/// What each thing costs, in picoseconds of one core. All zero: nothing takes time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cost-file", derive(serde::Deserialize), serde(deny_unknown_fields))]
pub struct CostModel {
    /// A turn, whatever it does.
    pub turn_ps: u64,
    /// A frame received: parsed, verified, looked up, processed.
    pub frame_in_ps: u64,
    /// On top of that, text shown to the application: a request is read, and its answer chosen.
    pub text_in_ps: u64,
    /// A frame sent that was prepared and is in cache.
    pub frame_out_ps: u64,
    /// A byte copied from buffer to buffer, in cache.
    pub copied_byte_ps: u64,
    /// On top of `frame_out_ps`, a frame whose text is read from the source and summed.
    pub filled_frame_ps: u64,
    /// A connection opened and closed, beyond its frames.
    pub connection_ps: u64,
    /// A doorbell: a system call, or a write across the bus.
    pub doorbell_ps: u64,
    /// On top of `frame_out_ps`, a prepared frame that is not in cache.
    pub cold_frame_ps: u64,
    /// On top of `frame_out_ps` and the bytes copied, a frame whose master is not in cache.
    pub cold_copy_ps: u64,
    /// Bytes of prepared frames that stay in cache. Of what is kept beyond, a share as large as the
    /// excess is cold: objects are asked for evenly.
    pub cache_bytes: u64,
}

impl CostModel {
    /// Nothing takes time.
    pub const ZERO: Self = Self {
        turn_ps: 0,
        frame_in_ps: 0,
        text_in_ps: 0,
        frame_out_ps: 0,
        copied_byte_ps: 0,
        filled_frame_ps: 0,
        connection_ps: 0,
        doorbell_ps: 0,
        cold_frame_ps: 0,
        cold_copy_ps: 0,
        cache_bytes: 0,
    };

    /// Whether nothing takes time.
    pub fn is_zero(&self) -> bool {
        Self { cache_bytes: 0, ..*self } == Self::ZERO
    }

    /// What a turn costs at most, in picoseconds: a whole batch of requests on new connections comes,
    /// and the ring is filled with frames, each of which is the dearest of its kind and had as much
    /// copied for it twice (the master, and the copy).
    pub fn longest_turn(&self, nic: &NicConfig) -> u64 {
        let frame =
            [self.frame_out_ps, self.filled_frame_ps, self.cold_frame_ps, self.cold_copy_ps];
        let copied = self.copied_byte_ps.saturating_mul(2 * u64::from(nic.caps.frame_max));
        let frame_out = frame.into_iter().fold(copied, u64::saturating_add);
        let frame = [self.frame_in_ps, self.text_in_ps, self.connection_ps];
        let frame_in = frame.into_iter().fold(0, u64::saturating_add);
        let terms = [
            (1, self.turn_ps),
            (BATCH_MAX as u64, frame_in),
            (u64::from(nic.caps.tx_slots), frame_out),
            (1, self.doorbell_ps),
        ];
        terms
            .into_iter()
            .fold(0, |sum: u64, (count, each)| sum.saturating_add(count.saturating_mul(each)))
    }

    /// What some work costs, in picoseconds.
    pub fn picoseconds_of(&self, work: &Work) -> u64 {
        let prepared =
            work.frames_out.saturating_sub(work.filled_frames).saturating_sub(work.copied_frames);
        // In steps of 1/1024: of `kept`, what is beyond the cache.
        let beyond = work.kept_bytes.saturating_sub(self.cache_bytes);
        let cold = match work.kept_bytes {
            0 => 0,
            kept => (u128::from(beyond) * 1024 / u128::from(kept)) as u64,
        };
        let terms = [
            (work.turns, self.turn_ps),
            (work.frames_in, self.frame_in_ps),
            (work.texts_in, self.text_in_ps),
            (work.frames_out, self.frame_out_ps),
            (work.copied_bytes, self.copied_byte_ps),
            (work.filled_frames, self.filled_frame_ps),
            (work.opened, self.connection_ps),
            (work.doorbells, self.doorbell_ps),
            (prepared * cold, self.cold_frame_ps / 1024),
            (work.copied_frames * cold, self.cold_copy_ps / 1024),
        ];
        terms
            .into_iter()
            .fold(0, |sum: u64, (count, each)| sum.saturating_add(count.saturating_mul(each)))
    }
}

/// What a core has done since the world began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreStats {
    /// Time that it was busy, turns that are still under way included in full.
    pub busy: Duration,
    /// Turns.
    pub turns: u64,
    /// The longest that a turn waited, from when it was wanted until it began.
    pub waited_max: Duration,
}

impl CoreStats {
    /// The share of `elapsed` that it was busy since an earlier time, in millionths. More than a
    /// million where a turn has begun that ends later.
    pub fn load_ppm(&self, earlier: &Self, elapsed: Duration) -> u64 {
        let busy = u128::from(self.busy.as_nanos() - earlier.busy.as_nanos());
        (busy * 1_000_000 / u128::from(elapsed.as_nanos().max(1))) as u64
    }
}

#[cfg(feature = "cost-file")]
mod file;
#[cfg(feature = "cost-file")]
pub use file::{CostFile, MeasuredRow};

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: CostModel = CostModel {
        turn_ps: 1_000_000_000_000,
        frame_in_ps: 10_000_000_000,
        text_in_ps: 1_000_000_000,
        frame_out_ps: 100_000_000,
        copied_byte_ps: 1_000,
        filled_frame_ps: 10_000_000,
        connection_ps: 100,
        doorbell_ps: 1,
        cold_frame_ps: 0,
        cold_copy_ps: 0,
        cache_bytes: 0,
    };

    #[test]
    fn a_cost_is_the_sum_of_its_terms() {
        let work = Work {
            turns: 1,
            frames_in: 2,
            texts_in: 3,
            frames_out: 4,
            filled_frames: 5,
            copied_bytes: 6,
            opened: 7,
            doorbells: 8,
            ..Work::default()
        };
        assert_eq!(MODEL.picoseconds_of(&work), 1_023_450_006_708);
        assert_eq!(CostModel::ZERO.picoseconds_of(&work), 0);
        assert!(
            CostModel::ZERO.is_zero() && CostModel { cache_bytes: 9, ..CostModel::ZERO }.is_zero()
        );
        assert!(!MODEL.is_zero());
        let huge = Work { turns: u64::MAX, ..work };
        assert_eq!(MODEL.picoseconds_of(&huge), u64::MAX);
    }

    #[test]
    fn what_is_kept_beyond_the_cache_is_cold_in_that_share() {
        let model = CostModel {
            cold_frame_ps: 1024 * 100,
            cold_copy_ps: 1024 * 7,
            cache_bytes: 1_000_000,
            ..CostModel::ZERO
        };
        let cost = |kept_bytes, copied_frames| {
            let work = Work { frames_out: 10, copied_frames, kept_bytes, ..Work::default() };
            model.picoseconds_of(&work)
        };
        assert_eq!((cost(0, 0), cost(1_000_000, 0)), (0, 0));
        assert_eq!(cost(2_000_000, 0), 10 * 512 * 100, "half of it");
        assert_eq!(cost(4_000_000, 0), 10 * 768 * 100);
        assert_eq!(cost(2_000_000, 10), 10 * 512 * 7, "a copied frame is no prepared one");
    }

    #[test]
    fn load_is_busy_time_over_time() {
        let at = |busy| CoreStats { busy: Duration::from_micros(busy), ..CoreStats::default() };
        assert_eq!(at(300).load_ppm(&at(100), Duration::from_micros(800)), 250_000);
        assert_eq!(at(300).load_ppm(&at(300), Duration::ZERO), 0);
    }
}
