//! What one direction of a link is like: plain data, in units that its types carry.

use crate::seed::Chance;
use simoom_core::time::Duration;

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub fn healed(&self) -> Self {
        Self {
            loss: Chance::NEVER,
            reorder: Chance::NEVER,
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
            ..self.clone()
        }
    }
}
