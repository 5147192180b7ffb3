//! The timers of a connection: one for whatever the state waits for, one for the delayed ACK.

use super::Config;
use super::congestion::CongestionControl;
use super::state::{Ended, State};
use super::tcb::{Tcb, flag};
use crate::marks::mark;
use crate::time::Instant;

/// A timer that does not run.
pub(super) const NEVER: Instant = Instant::FAR_FUTURE;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimerKind {
    /// Something sent was not acknowledged. RFC 6298.
    Retransmission,
    /// The peer's window is zero. RFC 9293 §3.8.6.1.
    ZeroWindowProbe,
    /// An acknowledgement waits for text. RFC 9293 §3.8.6.3.
    DelayedAck,
    /// FIN-WAIT-2 after the application closed.
    FinWait2,
    /// TIME-WAIT. RFC 9293 §3.4.2.
    TimeWait,
}

/// When to call [`Tcb::on_deadline`], and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Not before this.
    pub at: Instant,
    /// The reason.
    pub why: TimerKind,
}

impl Tcb {
    /// The earliest deadline, where a timer runs.
    #[inline]
    pub fn next_deadline(&self) -> Option<Deadline> {
        let deadline = if self.ack_at < self.timer_at {
            Deadline { at: self.ack_at, why: TimerKind::DelayedAck }
        } else {
            Deadline { at: self.timer_at, why: self.timer }
        };
        (deadline.at != NEVER).then_some(deadline)
    }

    /// Runs every timer that is due. The connection is to be removed where it ended.
    pub fn on_deadline(&mut self, config: &Config, now: Instant) -> Option<Ended> {
        if self.ack_at <= now {
            mark!(DelayedAckFired);
            self.ack_at = NEVER;
            self.flags |= flag::ACK_NOW;
        }
        if self.timer_at > now {
            return None;
        }
        self.flags &= !flag::DECLINED;
        match self.timer {
            TimerKind::TimeWait => Some(Ended::Finished),
            TimerKind::FinWait2 => {
                mark!(FinWait2TimedOut);
                Some(Ended::TimedOut)
            }
            TimerKind::ZeroWindowProbe => self.on_probe_due(config, now),
            TimerKind::Retransmission | TimerKind::DelayedAck => self.on_timeout(config, now),
        }
    }

    /// RFC 6298 (5.4) to (5.7), RFC 5681 §3.1, RFC 6582 §4.
    fn on_timeout(&mut self, config: &Config, now: Instant) -> Option<Ended> {
        let handshake = !self.state.is_synchronized();
        if !handshake && self.snd.wnd == 0 {
            // The peer took its window back: ask with one byte.
            mark!(TimeoutWithWindowClosed);
            return self.on_probe_due(config, now);
        }
        let retries_max = if handshake { config.syn_retries_max } else { config.retries_max };
        if self.retries >= retries_max {
            mark!(TimeoutGaveUp);
            return Some(Ended::TimedOut);
        }
        let first = self.retries == 0;
        if first {
            mark!(Timeout);
        } else {
            mark!(TimeoutAgain);
        }
        self.retries += 1;
        self.backoffs = self.backoffs.saturating_add(1);
        // Karn: what is sent again is not timed.
        self.flags &= !flag::TIMING;
        self.start_timer(config, now, TimerKind::Retransmission);
        if handshake {
            mark!(TimeoutOfSyn);
            self.flags |= flag::SEND_SYN;
            return None;
        }
        let outstanding = self.snd.max.since(self.snd.una);
        let flight = self.recovery.flight(outstanding, self.controller.ssthresh());
        self.controller.on_timeout(flight, self.mss(), first);
        if self.recovery.is_active() {
            mark!(TimeoutInRecovery);
        }
        self.recovery.on_timeout(self.snd.max);
        self.flags &= !flag::RETRANSMIT;
        self.snd.nxt = self.snd.una;
        None
    }

    /// RFC 9293 §3.8.6.1: the interval between probes grows; an ACK of any keeps the connection. Also
    /// where the window stays too small for a segment (§3.8.6.2.1, override timeout).
    fn on_probe_due(&mut self, config: &Config, now: Instant) -> Option<Ended> {
        if self.retries >= config.retries_max {
            mark!(TimeoutGaveUp);
            return Some(Ended::TimedOut);
        }
        mark!(ProbeDue);
        self.retries += 1;
        self.backoffs = self.backoffs.saturating_add(1);
        self.snd.nxt = self.snd.una;
        self.flags &= !(flag::TIMING | flag::RETRANSMIT);
        self.flags |= flag::PROBE;
        self.start_timer(config, now, TimerKind::ZeroWindowProbe);
        None
    }

    #[inline]
    pub(super) fn start_timer(&mut self, config: &Config, now: Instant, kind: TimerKind) {
        self.timer = kind;
        self.timer_at = now
            + match kind {
                TimerKind::TimeWait => config.time_wait,
                TimerKind::FinWait2 => config.fin_wait_2,
                _ => self.rto.timeout(config, self.backoffs),
            };
    }

    /// Everything is acknowledged: nothing to wait for, unless the state waits.
    pub(super) fn stop_timer(&mut self, config: &Config, now: Instant) {
        match self.state {
            State::TimeWait => {}
            State::FinWait2 => self.start_timer(config, now, TimerKind::FinWait2),
            _ => self.timer_at = NEVER,
        }
    }
}
