//! A segment was taken: what does it oblige us to? RFC 9293 §3.10.7 once more, from the RFC, with
//! nothing but sequence numbers.

use super::PromiseConfig;
use super::conn::{Conn, Stage};
use super::estimate::CwndBound;
use super::glimpse::Glimpse;
use super::promise::Promise;
use simoom_core::seq::SeqNumber;
use simoom_core::tcp::RANGES_MAX;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::tcp::TcpFlags;

/// Samples after which one that was taken or not does not matter: its weight is 0.875 to the power of
/// that, less than two in a hundred.
pub(super) const VAGUE_SAMPLES: u32 = 32;

/// Ranges of text that need not be kept, remembered at most: as many as a stack keeps, over and over.
const MAYBE_KEPT_MAX: usize = 8 * RANGES_MAX;

impl Conn {
    /// Takes over what the peer's SYN says.
    pub(super) fn on_peer_syn(&mut self, config: &PromiseConfig, syn: &Glimpse) {
        let tcp = &config.tcp;
        self.irs = syn.seq;
        self.came = syn.seq + 1;
        self.sure = self.came;
        self.last_ack_sent = self.came;
        self.last_ack_seen = self.came;
        self.stamps = tcp.timestamps && syn.timestamps.is_some();
        self.ts_recent = syn.timestamps.map_or(0, |stamps| stamps.val);
        self.ts_recent_least = self.ts_recent;
        match syn.scale {
            Some(shift) if tcp.window_scaling => self.snd_shift = shift.min(14),
            _ => self.rcv_shift = 0,
        }
        let theirs = syn.mss.unwrap_or(536).max(64).min(tcp.mss);
        self.mss = u32::from(theirs) - if self.stamps { 12 } else { 0 };
        self.bound = CwndBound::new(self.initial_window(config));
        self.wnd = u32::from(syn.window);
        self.wnd_max = self.wnd;
        self.wl1 = syn.seq;
        self.edge = self.came + tcp.receive_window.min(0xffff);
    }

    /// A segment of this connection, whole and for us.
    pub(super) fn on_took(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) {
        if self.stage == Stage::SynSent {
            return self.on_took_in_syn_sent(config, now, seg);
        }
        if !seg.has(TcpFlags::RST) && self.stamps {
            let Some(stamps) = seg.timestamps else { return };
            if (stamps.val.wrapping_sub(self.ts_recent) as i32) < 0 {
                return self.on_unacceptable(config, now, seg);
            }
        }
        if seg.has(TcpFlags::RST) && self.may_or_may_not_be_next(seg.seq) {
            (self.over, self.doubtful) = (true, true);
            return;
        }
        let again =
            self.stage == Stage::SynReceived && seg.has(TcpFlags::SYN) && seg.seq + 1 == self.came;
        if !self.accepts(seg) {
            if again && !seg.has(TcpFlags::ACK) {
                self.syn_again = true;
                return;
            }
            if !again {
                let window = self.edge.since(self.came);
                let ack_only =
                    seg.has(TcpFlags::ACK) && !seg.has(TcpFlags::RST) && !seg.has(TcpFlags::SYN);
                if window == 0 && seg.seq == self.came && ack_only {
                    self.owe_ack(now, Promise::AckOfUnacceptable);
                    self.process_ack(config, now, seg);
                } else if !seg.has(TcpFlags::RST) {
                    self.on_unacceptable(config, now, seg);
                }
                return;
            }
        }
        if seg.has(TcpFlags::RST) {
            if seg.seq == self.came {
                self.over = true;
            } else {
                self.challenge(config, now);
            }
            return;
        }
        if seg.has(TcpFlags::SYN) && !again {
            return self.challenge(config, now);
        }
        if !seg.has(TcpFlags::ACK) {
            return;
        }
        if let Some(stamps) = seg.timestamps
            && self.stamps
            && seg.seq.le(self.last_ack_sent)
        {
            self.ts_recent = stamps.val;
            if seg.seq.le(self.last_ack_seen) {
                self.ts_recent_least = stamps.val;
            }
        }
        if !self.process_ack(config, now, seg) {
            return;
        }
        if seg.has(TcpFlags::SYN) {
            return self.owe_ack(now, Promise::AckAtOnce);
        }
        if seg.len > 0 {
            self.process_text(config, now, seg);
        }
        if seg.has(TcpFlags::FIN) {
            self.process_fin(config, now, seg);
        }
    }

    /// RFC 9293 §3.10.7.3.
    fn on_took_in_syn_sent(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) {
        let has_ack = seg.has(TcpFlags::ACK);
        let ack_is_good = has_ack && seg.ack.gt(self.una) && seg.ack.le(self.max);
        if has_ack && !ack_is_good {
            return;
        }
        if seg.has(TcpFlags::RST) {
            self.over |= ack_is_good;
            return;
        }
        if !seg.has(TcpFlags::SYN) {
            return;
        }
        self.on_peer_syn(config, seg);
        if has_ack {
            self.establish(config, now, seg);
            self.owe_ack(now, Promise::AckAtOnce);
        } else {
            self.stage = Stage::SynReceived;
            self.syn_again = true;
        }
    }

    /// The table of RFC 9293 §3.4.
    fn accepts(&self, seg: &Glimpse) -> bool {
        let window = self.edge.since(self.came);
        match (seg.seg_len(), window) {
            (0, 0) => seg.seq == self.came,
            (0, _) => seg.seq.in_window(self.came, window),
            (_, 0) => false,
            (len, _) => {
                seg.seq.in_window(self.came, window)
                    || (seg.seq + (len - 1)).in_window(self.came, window)
            }
        }
    }

    fn on_unacceptable(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) {
        if self.time_wait.is_some() && seg.has(TcpFlags::FIN) && seg.end() == self.came {
            self.time_wait = Some(now + config.tcp.time_wait);
        }
        if seg.seg_len() > 0 {
            self.owe_ack(now, Promise::AckOfUnacceptable);
        } else {
            self.challenge(config, now);
        }
    }

    /// RFC 5961 §7. Empty segments outside the window count too: two confused ends would answer each
    /// other for ever.
    fn challenge(&mut self, config: &PromiseConfig, now: Instant) {
        let clock = now.as_millis() as u32;
        let interval = config.tcp.challenge_ack_interval.as_millis() as u32;
        if clock.wrapping_sub(self.challenged_at) >= interval {
            self.challenged_at = clock;
            self.owe_ack(now, Promise::ChallengeAck);
        }
    }

    fn establish(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) {
        self.stage = Stage::Open;
        self.syn_again = false;
        self.una += 1;
        self.nxt = self.nxt.max(self.una);
        self.take_sample(now, seg);
        if self.retries > 0 {
            self.estimate.on_syn_sent_again();
        }
        if self.retries > 1 {
            self.bound = CwndBound::new(self.smss());
        }
        self.doublings = (0, 0);
        self.retries = 0;
        self.timer = None;
        self.fired = None;
        self.sent_at = now;
        let shift = if seg.has(TcpFlags::SYN) { 0 } else { self.snd_shift };
        self.wnd = u32::from(seg.window) << shift;
        self.wnd_max = self.wnd_max.max(self.wnd);
        self.wl1 = seg.seq;
        debug_assert!(config.tcp.mss >= 64);
    }

    /// False where the segment ends here.
    fn process_ack(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) -> bool {
        if self.stage == Stage::SynReceived {
            if !(seg.ack.gt(self.una) && seg.ack.le(self.max)) {
                return false;
            }
            self.establish(config, now, seg);
        }
        if seg.ack.gt(self.max) {
            self.challenge(config, now);
            return false;
        }
        let advanced = seg.ack.gt(self.una);
        if advanced {
            self.on_new_ack(now, seg);
        } else if seg.ack == self.una {
            self.on_same_ack(now, seg);
        } else if self.una.since(seg.ack) > self.wnd_max {
            self.challenge(config, now);
            return false;
        }
        self.update_window(now, seg, advanced);
        if self.una == self.max && self.wnd < self.mss {
            // Asking for a larger window may have begun and ended unseen: it takes doublings back.
            self.doublings.0 = 0;
        }
        if self.fin_is_acked() && self.fin_came && self.time_wait.is_none() {
            if self.closed_second {
                self.over = true;
                return false;
            }
            self.time_wait = Some(now + config.tcp.time_wait);
        }
        true
    }

    fn on_new_ack(&mut self, now: Instant, seg: &Glimpse) {
        let (acked, smss) = (u64::from(seg.ack.since(self.una)), self.smss());
        self.una = seg.ack;
        self.nxt = self.nxt.max(self.una);
        self.take_sample(now, seg);
        self.retries = 0;
        self.resend_due = None;
        self.duplicates = 0;
        let mut restart = true;
        if self.in_recovery && self.una.ge(self.recover) {
            self.in_recovery = false;
            self.bound.on_recovered();
        } else if self.in_recovery {
            self.bound.on_partial_ack(acked, smss);
            self.resend_due = Some(now);
            restart = !self.saw_partial;
            self.saw_partial = true;
        } else if self.timed_out {
            // RFC 3465 §2.3: L = 1 until everything sent before the timeout is acknowledged.
            self.timed_out = self.una.lt(self.recover);
            self.bound.on_ack(acked.min(smss), smss);
        } else {
            self.bound.on_ack(acked, smss);
        }
        if self.una == self.max {
            self.resend_due = None;
            self.timer = None;
            self.probing = false;
            self.fired = None;
        } else if restart {
            self.start_timer(now);
            self.probing = false;
        }
    }

    /// RFC 6298 §3, and RFC 7323 §4.1 after a timeout.
    fn take_sample(&mut self, now: Instant, seg: &Glimpse) {
        if let Some(behind) = self.maybe_timing
            && seg.ack.ge(behind)
        {
            self.maybe_timing = None;
            self.vague = VAGUE_SAMPLES;
            self.doublings.0 = 0;
        }
        if let Some((behind, sent)) = self.timing {
            if seg.ack.ge(behind) {
                self.timing = None;
                self.doublings = (0, 0);
                self.vague = self.vague.saturating_sub(1);
                self.estimate.on_sample(now - sent);
            }
        } else if self.doublings.1 > 0
            && self.stamps
            && let Some(stamps) = seg.timestamps
            && let Some((clock, at)) = self.clock()
        {
            // The echo is of the last transmission or of a later one, or it is no sample.
            let age = clock.wrapping_add((now.as_millis() - at.as_millis()) as u32);
            let rtt = age.wrapping_sub(stamps.ecr);
            let since = (now.as_nanos() >> 20) as u32 - (self.sent_at.as_nanos() >> 20) as u32;
            if rtt <= since + since / 16 + 2 {
                if self.doublings.0 == 0 {
                    // It may have been taken or not.
                    self.vague = VAGUE_SAMPLES;
                    return;
                }
                self.doublings = (0, 0);
                self.estimate.on_sample(Duration::from_millis(u64::from(rtt.max(1))));
            }
        }
    }

    /// Our timestamp clock: a value of it, and when it showed that.
    fn clock(&self) -> Option<(u32, Instant)> {
        self.ts_sent.map(|val| (val, self.ts_sent_at))
    }

    fn on_same_ack(&mut self, now: Instant, seg: &Glimpse) {
        if self.probing && self.timer.is_some() {
            self.retries = 0;
        }
        let duplicate = self.max != self.una
            && seg.seg_len() == 0
            && u32::from(seg.window) << self.snd_shift == self.wnd
            && !self.probing;
        if !duplicate {
            return;
        }
        if self.in_recovery {
            return self.bound.on_further_duplicate(self.smss());
        }
        self.duplicates += 1;
        if self.duplicates == 3 && self.una.gt(self.recover) {
            self.in_recovery = true;
            self.saw_partial = false;
            self.recover = self.max;
            self.bound.on_fast_retransmit(u64::from(self.flight()), self.smss());
            self.resend_due = Some(now);
            self.start_timer(now);
        }
    }

    /// SND.WND; a new acknowledgement counts more than SND.WL1, so that no old window is added to a
    /// new edge.
    fn update_window(&mut self, now: Instant, seg: &Glimpse, advanced: bool) {
        if seg.ack != self.una || (!advanced && self.wl1.gt(seg.seq)) {
            return;
        }
        let shift = if seg.has(TcpFlags::SYN) { 0 } else { self.snd_shift };
        let wnd = u32::from(seg.window) << shift;
        self.wl1 = seg.seq;
        self.wnd_max = self.wnd_max.max(wnd);
        let opened = self.wnd == 0 && wnd > 0;
        self.wnd = wnd;
        if !opened {
            return;
        }
        self.doublings.0 = 0;
        if self.probing {
            self.doublings.1 = 0;
            self.retries = 0;
            self.nxt = self.una;
            self.probing = false;
            self.timer = None;
            if self.max != self.una {
                self.start_timer(now);
            }
        }
    }

    fn process_text(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) {
        if self.fin_came {
            return self.owe_ack(now, Promise::AckAtOnce);
        }
        let whole = seg.seq + seg.len;
        let end = whole.min(self.edge);
        if seg.seq.gt(self.came) {
            self.keep_island(seg.seq, end);
            return self.owe_ack(now, Promise::AckAtOnce);
        }
        if end.le(self.came) {
            return self.owe_ack(now, Promise::AckAtOnce);
        }
        let before = self.came;
        self.came = end;
        if seg.seq.le(self.sure) {
            self.sure = self.sure.max(end);
        }
        let fills_gap = !self.islands.is_empty();
        let reached = self.islands.iter().take_while(|island| island.0.le(self.came)).count();
        for (_, right) in self.islands.drain(..reached) {
            self.came = self.came.max(right);
        }
        // RFC 5681 §4.2: at once where it filled all of a gap or a part of it.
        if seg.seq != before || end != whole || fills_gap {
            return self.owe_ack(now, Promise::AckAtOnce);
        }
        let full = u32::from(config.tcp.mss) - if self.stamps { 12 } else { 0 };
        if self.came.since(self.last_ack_sent) >= 2 * full {
            self.owe_ack(now, Promise::AckInTime);
        } else {
            self.owe_ack(now + config.tcp.delayed_ack, Promise::AckInTime);
        }
    }

    /// What has come in order at most, if all was kept that need not be.
    pub(super) fn most(&self) -> SeqNumber {
        let mut most = self.came;
        let all = || self.islands.iter().chain(&self.maybe_kept);
        while let Some(next) = all().find(|range| range.0.le(most) && range.1.gt(most)) {
            most = next.1;
        }
        most
    }

    /// Whether this is RCV.NXT depends on what was kept of text that need not be.
    fn may_or_may_not_be_next(&self, seq: SeqNumber) -> bool {
        let most = self.most();
        self.sure != most && seq.ge(self.sure) && seq.le(most)
    }

    /// We have acknowledged so much: what came beyond that was let go or never kept, or waits.
    pub(super) fn settle_came(&mut self, ack: SeqNumber) {
        if ack.lt(self.came) {
            // A FIN behind what is missing did not come in order, either.
            let end = self.came - u32::from(std::mem::take(&mut self.fin_came));
            self.time_wait = None;
            self.may_keep(ack, end);
            self.let_islands_go();
        }
        self.came = ack;
        self.sure = ack;
        self.islands.retain(|island| island.1.gt(ack));
        self.maybe_kept.retain(|range| range.1.gt(ack));
        self.may_refuse &= !self.maybe_kept.is_empty();
    }

    /// Text out of order need not be kept any more.
    pub(super) fn let_islands_go(&mut self) {
        while let Some((left, right)) = self.islands.pop() {
            self.may_keep(left, right);
        }
    }

    fn may_keep(&mut self, left: SeqNumber, right: SeqNumber) {
        if self.maybe_kept.len() == MAYBE_KEPT_MAX {
            self.maybe_kept.remove(0);
        }
        if right.gt(left) {
            self.maybe_kept.push((left, right));
        }
    }

    /// Keeps text out of order, up to the stack's number of ranges.
    fn keep_island(&mut self, first: SeqNumber, end: SeqNumber) {
        if self.fin.is_some() {
            return self.may_keep(first, end);
        }
        let from = self.islands.iter().take_while(|island| island.1.lt(first)).count();
        let touched = self.islands[from..].iter().take_while(|island| island.0.le(end)).count();
        if touched == 0 && self.islands.len() == RANGES_MAX {
            return;
        }
        let (mut left, mut right) = (first, end);
        if touched > 0 {
            left = left.min(self.islands[from].0);
            right = right.max(self.islands[from + touched - 1].1);
        }
        self.islands.splice(from..from + touched, [(left, right)]);
    }

    fn process_fin(&mut self, config: &PromiseConfig, now: Instant, seg: &Glimpse) {
        self.owe_ack(now, Promise::AckAtOnce);
        let (at, most) = (seg.seq + seg.len, self.most());
        if !self.fin_came && self.came != most && at.ge(self.came) && at.le(most) {
            // Text came that need not be kept, up to here or beyond the end of the stream.
            (self.over, self.doubtful) = (true, true);
            return;
        }
        if at != self.came || self.fin_came {
            return;
        }
        if self.sure == self.came {
            self.sure += 1;
        }
        self.came += 1;
        self.edge = self.edge.max(self.came);
        self.fin_came = true;
        if self.fin_is_acked() {
            self.time_wait = Some(now + config.tcp.time_wait);
        }
    }
}
