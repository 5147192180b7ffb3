//! How much room is announced: by whoever reads at once, slowly or in silly pieces, or takes window back.

use super::super::manners::{Manners, Reading};
use super::{Conn, Means};
use simoom_core::time::{Duration, Instant};

impl Conn {
    /// The application takes a chunk.
    pub(super) fn read_on(&mut self, now: Instant, manners: &Manners) {
        let Reading::Slow { bytes_per_second, chunk, stall, silly } = manners.reading else {
            return;
        };
        let came = self.arrived.next();
        let mut upto = came.min(self.read + u64::from(chunk));
        let mut pause = (upto < came).then(|| time_of_chunk(chunk, bytes_per_second));
        if let Some((at, time)) = stall
            && !self.stalled
            && upto >= at
        {
            self.stalled = true;
            upto = upto.min(at.max(self.read));
            pause = Some(time);
        }
        self.read = upto;
        self.read_at = pause.map_or(Instant::FAR_FUTURE, |pause| now + pause);
        // RFC 9293 §3.8.6.2.2: the window opens by a segment, or half of the buffer, or not at all.
        let step = if silly { 1 } else { u32::from(manners.mss).min(manners.window / 2).max(1) };
        let could = self.could_announce(manners);
        if could >= self.edge + u64::from(step) {
            self.ack_now = true;
        }
    }

    /// Takes window back, and gives it again.
    pub(super) fn shrink(&mut self, now: Instant, means: &mut Means<'_>) {
        let Some(shrinking) = means.manners.shrinking else { return };
        if self.shrunk_until != Instant::ZERO && self.shrunk_until <= now {
            self.shrunk_until = Instant::ZERO;
            self.ack_now = true;
        }
        if self.arrived.next() >= self.shrink_at {
            self.shrink_at = match shrinking.every {
                0 => u64::MAX,
                every => self.shrink_at.saturating_add(every),
            };
            self.shrunk_until = now + shrinking.hold;
            self.edge = self.arrived.next() + u64::from(shrinking.to);
            self.ack_now = true;
            means.stats.shrunk += 1;
        }
    }

    /// Offset behind the last byte for which there is room.
    #[inline]
    fn could_announce(&self, manners: &Manners) -> u64 {
        let window = match (self.shrunk_until, manners.shrinking) {
            (Instant::ZERO, _) | (_, None) => manners.window,
            (_, Some(shrinking)) => shrinking.to,
        };
        self.read + u64::from(window.min(65_535 << self.receive_scale))
    }

    /// The window field, and notes what it promises. It never takes back what an earlier one has promised:
    /// a field that would, rounded down, is rounded up instead.
    #[inline]
    pub(super) fn announce(&mut self, means: &mut Means<'_>) -> u16 {
        let (next, scale) = (self.arrived.next(), self.receive_scale);
        let silly = matches!(means.manners.reading, Reading::Slow { silly: true, .. });
        let mss = u64::from(means.manners.mss).min(u64::from(means.manners.window / 2)).max(1);
        let could = self.could_announce(means.manners);
        let slow = means.manners.reading != Reading::AtOnce;
        // RFC 9293 §3.8.6.2.2, for those who read slowly: others' windows never close.
        let edge = if slow && !silly && could < self.edge + mss { self.edge } else { could };
        let room = edge.saturating_sub(next);
        let mut field = (room >> scale).min(65_535);
        if next + (field << scale) < self.edge {
            field = (self.edge - next).div_ceil(1 << scale).min(65_535);
        }
        self.edge = self.edge.max(next + (field << scale));
        means.stats.zero_windows += u64::from(field == 0);
        field as u16
    }
}

/// How long a slow reader takes for a chunk.
pub(super) fn time_of_chunk(chunk: u32, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(chunk) * 1_000_000_000 / u128::from(bytes_per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
