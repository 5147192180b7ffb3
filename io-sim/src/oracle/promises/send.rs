//! A segment was sent: is it one that may be sent now, and what does it settle?

use super::conn::{Conn, Stage, Verdict};
use super::glimpse::Glimpse;
use super::promise::Promise;
use super::receive::VAGUE_SAMPLES;
use super::{PromiseConfig, Stats};
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::tcp::TcpFlags;

/// Segments beyond the bound of cwnd that are let pass: the bound may have left slow start, or may
/// have to count its next window, while the sender has not.
const SLACK_SEGMENTS: u64 = 2;

impl Conn {
    /// A segment of this connection, RST not among them.
    pub(super) fn on_sent(
        &mut self,
        config: &PromiseConfig,
        now: Instant,
        seg: &Glimpse,
        stats: &mut Stats,
    ) -> Verdict {
        if seg.has(TcpFlags::SYN) {
            self.check_syn(now, seg, stats)?;
        }
        if seg.has(TcpFlags::ACK) {
            self.check_ack(seg, stats)?;
        } else if self.stage != Stage::SynSent {
            return Err(self.broken(
                Promise::AckExact,
                "every segment but the first SYN to acknowledge".into(),
                format!("one at {} without ACK", self.ours(seg.seq)),
            ));
        }
        self.check_timestamps(now, seg, stats)?;
        if seg.len > 0 {
            self.on_text(config, now, seg, stats)?;
        } else if seg.has(TcpFlags::FIN) {
            self.on_bare_fin(now, seg, stats)?;
        } else if !seg.has(TcpFlags::SYN) {
            self.check_bare_ack(seg, stats)?;
        }
        if seg.has(TcpFlags::ACK) {
            self.settle_ack(seg, stats);
        }
        Ok(())
    }

    fn check_syn(&mut self, now: Instant, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        let shift = if self.stage == Stage::SynSent { None } else { seg.scale };
        if self.stage == Stage::Open || shift.is_some_and(|shift| shift != self.rcv_shift) {
            return Err(self.broken(
                Promise::Handshake,
                "the same SYN until it is acknowledged, none afterwards".into(),
                format!("{seg:?} in {:?}", self.stage),
            ));
        }
        if std::mem::take(&mut self.syn_unseen) {
            // One that was lost unseen may have started the timer.
            self.timer = Some(now);
            self.doublings = (0, u32::MAX);
            self.timing = None;
            self.vague = VAGUE_SAMPLES;
            return Ok(());
        }
        stats.tested(Promise::Handshake);
        // Both may be due at about the same time; then both may be sent.
        let expired = self.expiry().is_some_and(|(expiry, _)| expiry <= now);
        if !expired && std::mem::take(&mut self.syn_again) {
            self.timing = None;
            return Ok(());
        }
        self.on_timer_fired(now, stats)
    }

    fn check_ack(&mut self, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        let exact = seg.ack == self.came || seg.ack == self.sure || seg.ack == self.most();
        let between = seg.ack.ge(self.last_ack_seen) && seg.ack.le(self.most());
        let excused = self.may_refuse && between;
        if exact || !excused {
            stats.tested(Promise::AckExact);
        }
        if !(exact || excused) {
            return Err(self.broken(
                Promise::AckExact,
                format!("an ACK of {}: that has come", self.theirs(self.came)),
                format!("one of {}", self.theirs(seg.ack)),
            ));
        }
        if seg.ack.lt(self.last_ack_seen) {
            return Err(self.broken(
                Promise::AckExact,
                format!(
                    "acknowledgements that do not go back behind {}",
                    self.theirs(self.last_ack_seen)
                ),
                format!("one of {}", self.theirs(seg.ack)),
            ));
        }
        stats.tested(Promise::WindowKept);
        let shift = if seg.has(TcpFlags::SYN) { 0 } else { self.rcv_shift };
        let edge = seg.ack + (u32::from(seg.window) << shift);
        if edge.lt(self.edge) {
            return Err(self.broken(
                Promise::WindowKept,
                format!("a window up to {}", self.theirs(self.edge)),
                format!("one up to {}", self.theirs(edge)),
            ));
        }
        if edge.gt(self.edge) {
            self.ack_cause = true;
            self.edge = edge;
        }
        Ok(())
    }

    fn settle_ack(&mut self, seg: &Glimpse, stats: &mut Stats) {
        self.last_ack_sent = seg.ack;
        self.last_ack_seen = seg.ack;
        if let Some((_, promise)) = self.ack_due.take() {
            stats.tested(promise);
        }
        self.ack_cause = false;
        self.settle_came(seg.ack);
    }

    fn check_timestamps(&mut self, now: Instant, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        let expects = self.stamps;
        let Some(stamps) = seg.timestamps else {
            if expects {
                return Err(self.broken(
                    Promise::TimestampClock,
                    "timestamps, as agreed".into(),
                    format!("a segment at {} without", self.ours(seg.seq)),
                ));
            }
            return Ok(());
        };
        if !expects {
            return Err(self.broken(
                Promise::Handshake,
                "no timestamps: the peer did not offer them".into(),
                format!("a segment at {} with", self.ours(seg.seq)),
            ));
        }
        stats.tested(Promise::TimestampClock);
        if let Some(before) = self.ts_sent
            && (stamps.val.wrapping_sub(before) as i32) < 0
        {
            return Err(self.broken(
                Promise::TimestampClock,
                format!("a TSval of at least {before}"),
                format!("{}", stamps.val),
            ));
        }
        self.ts_sent = Some(stamps.val);
        self.ts_sent_at = now;
        if self.stage == Stage::SynSent {
            return Ok(());
        }
        // An ACK that may have been lost unseen may have moved it.
        let range = self.ts_recent.wrapping_sub(self.ts_recent_least);
        if range == 0 {
            stats.tested(Promise::TimestampEcho);
        }
        if stamps.ecr.wrapping_sub(self.ts_recent_least) > range {
            let promised = match range {
                0 => format!("a TSecr of {}", self.ts_recent),
                _ => format!("a TSecr of {} to {}", self.ts_recent_least, self.ts_recent),
            };
            return Err(self.broken(Promise::TimestampEcho, promised, format!("{}", stamps.ecr)));
        }
        (self.ts_recent, self.ts_recent_least) = (stamps.ecr, stamps.ecr);
        Ok(())
    }

    fn check_bare_ack(&mut self, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        stats.tested(Promise::AckHasCause);
        if self.ack_cause {
            return Ok(());
        }
        Err(self.broken(
            Promise::AckHasCause,
            "no ACK by itself: nothing came that asks for one since the last, and the window has \
             not moved"
                .into(),
            format!("one of {}, window {}", self.theirs(seg.ack), seg.window),
        ))
    }

    fn on_text(
        &mut self,
        config: &PromiseConfig,
        now: Instant,
        seg: &Glimpse,
        stats: &mut Stats,
    ) -> Verdict {
        let end = seg.seq + seg.len;
        stats.tested(Promise::SegmentSize);
        if seg.len > self.mss {
            return Err(self.broken(
                Promise::SegmentSize,
                format!("at most {} bytes of text a segment", self.mss),
                format!("{} at {}", seg.len, self.ours(seg.seq)),
            ));
        }
        if let Some(fin) = self.fin
            && end.gt(fin)
        {
            return Err(self.broken(
                Promise::NothingAfterFin,
                format!("nothing behind {}, where FIN was sent", self.ours(fin)),
                format!("text up to {}", self.ours(end)),
            ));
        }
        let known = self.max;
        if seg.seq.lt(known) {
            self.check_sent_again(now, seg, stats)?;
        } else {
            self.check_new_text(config, now, seg, stats)?;
        }
        self.check_windows(seg, end, stats)?;
        let fin = u32::from(seg.has(TcpFlags::FIN));
        if fin == 1 {
            self.note_fin(end, stats)?;
        }
        let after = end + fin;
        self.nxt = self.nxt.max(after);
        self.max = known.max(after);
        if after.gt(known) {
            // Text goes before FIN.
            self.fin_unseen = false;
            let push = seg.has(TcpFlags::PSH);
            let timed = self.again_at != Some(now) || push;
            if push {
                self.again_at = None;
            }
            if self.timing.is_none() && seg.seq == known && !timed && self.maybe_timing.is_none() {
                self.maybe_timing = Some(end);
            }
            if self.timing.is_none() && seg.seq == known && timed {
                self.timing = Some((seg.seq + seg.len.min(self.mss), now));
            }
        } else {
            self.timing = None;
        }
        self.run_timer(now);
        self.sent_at = now;
        Ok(())
    }

    /// Something is outstanding now.
    fn run_timer(&mut self, now: Instant) {
        if self.timer.is_none() || (self.probing && self.wnd > 0) {
            self.start_timer(now);
            self.probing = false;
        }
    }

    /// Text whose first byte was sent before: by duplicate ACKs, by going on after a timeout, or by
    /// the timeout itself.
    fn check_sent_again(&mut self, now: Instant, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        if self.resend_due.is_some() && seg.seq == self.una {
            stats.tested(Promise::FastRetransmit);
            self.resend_due = None;
            return Ok(());
        }
        let closed = self.wnd == 0 && seg.seq == self.una;
        if seg.seq == self.nxt && !closed {
            stats.tested(Promise::RetransmissionInOrder);
            self.again_at = Some(now);
            return Ok(());
        }
        if seg.seq == self.una {
            return self.on_timer_fired(now, stats);
        }
        Err(self.broken(
            Promise::RetransmissionInOrder,
            format!(
                "what is sent again to begin at {} or {}",
                self.ours(self.una),
                self.ours(self.nxt)
            ),
            format!("{} bytes at {}", seg.len, self.ours(seg.seq)),
        ))
    }

    fn check_new_text(
        &mut self,
        config: &PromiseConfig,
        now: Instant,
        seg: &Glimpse,
        stats: &mut Stats,
    ) -> Verdict {
        let idle = self.una == self.max;
        if idle && self.wnd == 0 {
            // The first probe of a closed window; when its timer began is not to be seen.
            self.doublings = (self.doublings.0 + 1, u32::MAX);
            self.retries += 1;
            self.timer = Some(now);
            self.probing = true;
            self.fired = Some((now, None));
            return Ok(());
        }
        if idle && self.wnd < self.mss {
            // Perhaps by the override timeout of RFC 9293 §3.8.6.2.1, whose doublings stay.
            self.doublings.1 = u32::MAX;
        }
        let rto = self.estimate.timeout(0);
        let idle_for = now.saturating_since(self.sent_at);
        if idle && idle_for > rto + self.tolerance(rto) + Duration::from_millis(3) {
            // RFC 5681 §4.1: the restart window.
            self.bound.cwnd = self.bound.cwnd.min(self.initial_window(config));
        }
        if config.tcp.nagle && !idle && !seg.has(TcpFlags::FIN) {
            stats.tested(Promise::Nagle);
            // The store may cut segments by up to an eighth smaller.
            if seg.len < self.mss - self.mss / 8 {
                return Err(self.broken(
                    Promise::Nagle,
                    format!("whole segments of about {} bytes while some are in flight", self.mss),
                    format!("{} bytes at {}", seg.len, self.ours(seg.seq)),
                ));
            }
        }
        Ok(())
    }

    fn check_windows(&mut self, seg: &Glimpse, end: SeqNumber, stats: &mut Stats) -> Verdict {
        let reach = end.since(self.una);
        stats.tested(Promise::SendWindow);
        if reach > self.wnd.max(1) {
            return Err(self.broken(
                Promise::SendWindow,
                format!("nothing behind {}", self.ours(self.una + self.wnd)),
                format!("text {}..{}", self.ours(seg.seq), self.ours(end)),
            ));
        }
        stats.tested(Promise::CongestionWindow);
        let allowed = self.bound.cwnd + SLACK_SEGMENTS * self.smss();
        if u64::from(reach) > allowed && u64::from(reach) > self.smss() {
            return Err(self.broken(
                Promise::CongestionWindow,
                format!(
                    "at most {} bytes in flight: cwnd is at most {}, and {SLACK_SEGMENTS} segments",
                    allowed, self.bound.cwnd
                ),
                format!("{reach}: {}..{}", self.ours(self.una), self.ours(end)),
            ));
        }
        Ok(())
    }

    fn on_bare_fin(&mut self, now: Instant, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        if self.fin.is_some() {
            self.check_sent_again(now, seg, stats)?;
        }
        self.note_fin(seg.seq, stats)?;
        self.nxt = seg.seq + 1;
        self.max = self.nxt;
        self.run_timer(now);
        Ok(())
    }

    fn note_fin(&mut self, at: SeqNumber, stats: &mut Stats) -> Verdict {
        stats.tested(Promise::NothingAfterFin);
        let promised = self.fin.unwrap_or(at.max(self.max));
        if at != promised {
            return Err(self.broken(
                Promise::NothingAfterFin,
                format!("FIN at {}, behind all text", self.ours(promised)),
                format!("FIN at {}", self.ours(at)),
            ));
        }
        if self.fin.replace(at).is_none() {
            // One that was lost unseen may have gone before the peer's, and doubled the timeout.
            let unseen = std::mem::take(&mut self.fin_unseen);
            // The application is gone, and with it what came out of order.
            self.let_islands_go();
            self.closed_second = self.fin_came && !unseen;
            if unseen {
                self.doublings.1 = u32::MAX;
            }
        }
        Ok(())
    }

    /// The retransmission timer must have expired. RFC 6298 §5, RFC 9293 §3.8.6.1.
    fn on_timer_fired(&mut self, now: Instant, stats: &mut Stats) -> Verdict {
        stats.tested(Promise::TimeoutNotEarly);
        stats.tested(Promise::TimeoutNotLate);
        let Some((expiry, _)) = self.expiry() else {
            return Err(self.broken(
                Promise::TimeoutNotEarly,
                "nothing again: no timer runs".into(),
                format!("{} again", self.ours(self.una)),
            ));
        };
        let (timeout, latest) = self.timeouts();
        let tolerance = self.tolerance(timeout);
        if now + tolerance < expiry {
            return Err(self.broken(
                Promise::TimeoutNotEarly,
                format!(
                    "no timeout before {expiry:?}: RTO is {timeout:?} after {} doublings",
                    self.doublings.0
                ),
                format!("{} again at {now:?}", self.ours(self.una)),
            ));
        }
        // Sent late for want of a slot, it was due all the same.
        let at = if now > expiry + tolerance && timeout == latest { expiry } else { now };
        let interval = self.fired.map(|(before, _)| at.saturating_since(before));
        if let Some((_, Some(last))) = self.fired
            && let Some(interval) = interval
            && (self.doublings.0 == self.doublings.1 || self.probing)
        {
            stats.tested(Promise::Backoff);
            let expected = last.saturating_mul(2).min(self.estimate.timeout(u32::MAX));
            let off = interval.as_nanos().abs_diff(expected.as_nanos());
            if off > self.tolerance(expected).as_nanos() {
                return Err(self.broken(
                    Promise::Backoff,
                    format!("a timeout {expected:?} after the last, which took {last:?}"),
                    format!("one after {interval:?}"),
                ));
            }
        }
        let first = self.retries == 0;
        self.retries += 1;
        self.doublings = (self.doublings.0.saturating_add(1), self.doublings.1.saturating_add(1));
        self.timer = Some(at);
        self.fired = Some((at, interval));
        self.timing = None;
        if self.stage != Stage::Open {
            return Ok(());
        }
        self.resend_due = None;
        self.nxt = self.una;
        if self.wnd == 0 {
            self.probing = true;
            return Ok(());
        }
        self.probing = false;
        self.bound.on_timeout(u64::from(self.flight()), self.smss(), first);
        self.in_recovery = false;
        self.timed_out = true;
        self.duplicates = 0;
        self.recover = self.max;
        Ok(())
    }
}
