//! Controlled delay: drops or marks when the queue has stood for too long. RFC 8289 §5.
//!
//! Knows packets by when they came and how long the queue is, nothing more. The names are the RFC's.

use super::config::CoDelConfig;
use simoom_core::time::{Duration, Instant};

/// The estimator and the control loop.
#[derive(Clone, Debug, Default)]
pub(super) struct CoDel {
    /// When the delay will have stood above the target for an interval.
    first_above_time: Option<Instant>,
    /// When to drop the next.
    drop_next: Instant,
    /// Packets dropped since dropping began.
    count: u32,
    /// `count` when the last dropping began.
    lastcount: u32,
    dropping: bool,
    /// One was dropped, and `drop_next` is still the time at which that was due: it moves on when
    /// the next packet is to be dropped too.
    moves_on: bool,
}

/// What to do with a packet that leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it.
    Send,
    /// Drop it, or mark it and send it.
    Drop,
}

impl CoDel {
    /// A packet leaves the queue at `now` after `sojourn`, and `bytes` stay there. Where it was
    /// dropped, call again for the next one; where it was marked, do not.
    pub(super) fn judge(
        &mut self,
        config: &CoDelConfig,
        now: Instant,
        sojourn: Duration,
        bytes: u64,
        maxpacket: u64,
    ) -> Verdict {
        let ok_to_drop = self.is_above(config, now, sojourn, bytes, maxpacket);
        if self.dropping {
            let moves_on = std::mem::take(&mut self.moves_on);
            if !ok_to_drop {
                self.dropping = false;
                return Verdict::Send;
            }
            if moves_on {
                self.drop_next = control_law(config, self.drop_next, self.count);
            }
            if now >= self.drop_next {
                self.count += 1;
                self.moves_on = true;
                return Verdict::Drop;
            }
        } else if ok_to_drop {
            self.dropping = true;
            // Dropping began not long ago: go on at about the rate that controlled the queue then.
            let delta = self.count.saturating_sub(self.lastcount);
            let recently = now - self.drop_next < config.interval.saturating_mul(16);
            self.count = if delta > 1 && recently { delta } else { 1 };
            self.drop_next = control_law(config, now, self.count);
            self.lastcount = self.count;
            return Verdict::Drop;
        }
        Verdict::Send
    }

    /// The queue is empty: its delay does not stand. RFC 8289 §5, `dodequeue`.
    pub(super) fn on_empty(&mut self) {
        self.first_above_time = None;
        self.dropping = false;
        self.moves_on = false;
    }

    /// Whether the delay has stood above the target for an interval. RFC 8289 §5, `dodequeue`.
    fn is_above(
        &mut self,
        config: &CoDelConfig,
        now: Instant,
        sojourn: Duration,
        bytes: u64,
        maxpacket: u64,
    ) -> bool {
        if sojourn < config.target || bytes <= maxpacket {
            self.first_above_time = None;
            return false;
        }
        now >= *self.first_above_time.get_or_insert(now + config.interval)
    }
}

/// When to drop next: the rate grows with the square root of the count. RFC 8289 §5, `control_law`. In integers,
/// rounded down.
pub(super) fn control_law(config: &CoDelConfig, at: Instant, count: u32) -> Instant {
    let interval = u128::from(config.interval.as_nanos());
    at + Duration::from_nanos((interval * interval / u128::from(count.max(1))).isqrt() as u64)
}
