//! What the model knows of one connection, and the time by which something has to happen.

use super::estimate::{CwndBound, Estimate};
use super::glimpse::Glimpse;
use super::promise::{BrokenPromise, Promise};
use super::{PromiseConfig, Stats};
use crate::oracle::FlowName;
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};

/// What went wrong; boxed, since it hardly ever does.
pub(super) type Verdict = Result<(), Box<BrokenPromise>>;

/// How far the handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Our SYN is out.
    SynSent,
    /// Both SYNs are out, ours is not acknowledged.
    SynReceived,
    /// Both are acknowledged.
    Open,
}

/// One connection of a host that keeps promises. "We" are that host.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) name: FlowName,
    pub(super) key: u64,
    pub(super) stage: Stage,
    /// Nothing may be sent any more.
    pub(super) over: bool,
    /// Whether it is over was not to be known: it is not looked at any more.
    pub(super) doubtful: bool,
    /// When the model looks at it without being asked.
    pub(super) armed: Option<Instant>,
    pub(super) touched: bool,
    /// [`PromiseConfig::latency`].
    pub(super) latency: Duration,
    /// Losses unseen of the host that were taken note of.
    pub(super) losses: u32,
    /// Our SYN may have gone again since it was seen last, and was lost unseen.
    pub(super) syn_unseen: bool,
    /// Our FIN, of which nothing was seen yet, may have been lost unseen.
    pub(super) fin_unseen: bool,
    /// Text that came may have been refused, for want of a receive buffer; until all is acknowledged.
    pub(super) may_refuse: bool,

    // What we send.
    pub(super) iss: SeqNumber,
    pub(super) una: SeqNumber,
    /// Next to be sent: behind what was sent, but goes back at a timeout.
    pub(super) nxt: SeqNumber,
    pub(super) max: SeqNumber,
    /// The number of our FIN.
    pub(super) fin: Option<SeqNumber>,
    /// The peer's FIN came before ours was sent.
    pub(super) closed_second: bool,
    pub(super) mss: u32,
    pub(super) wnd: u32,
    pub(super) wnd_max: u32,
    pub(super) wl1: SeqNumber,
    pub(super) snd_shift: u8,
    pub(super) bound: CwndBound,
    pub(super) recover: SeqNumber,
    pub(super) duplicates: u32,
    pub(super) in_recovery: bool,
    pub(super) saw_partial: bool,
    pub(super) timed_out: bool,
    /// The first segment has to be sent again by then.
    pub(super) resend_due: Option<Instant>,
    /// The SYN may be sent again without a timeout: the peer's came again.
    pub(super) syn_again: bool,

    // The retransmission timer.
    pub(super) estimate: Estimate,
    /// Doublings since the last sample: at least, and at most. They differ where a timer may have
    /// expired that shows nothing on the wire.
    pub(super) doublings: (u32, u32),
    /// Samples until the estimate is good again: one may have been taken or not.
    pub(super) vague: u32,
    /// Timeouts since the peer last acknowledged something.
    pub(super) retries: u32,
    /// When the timer was started.
    pub(super) timer: Option<Instant>,
    /// It runs for the peer's closed window.
    pub(super) probing: bool,
    /// The number behind the segment that is timed, and when it was sent.
    pub(super) timing: Option<(SeqNumber, Instant)>,
    /// The number behind a segment that may be timed instead: the stack times bursts, and where one
    /// ends is not always to be seen.
    pub(super) maybe_timing: Option<SeqNumber>,
    /// Text was sent again then, in its turn: what is new in the same burst is not timed, unless it
    /// ends what there is to send.
    pub(super) again_at: Option<Instant>,
    /// When text was sent last.
    pub(super) sent_at: Instant,
    /// The last timeout, and the interval that led from the one before to it.
    pub(super) fired: Option<(Instant, Option<Duration>)>,

    // What we receive.
    /// The number of the peer's SYN.
    pub(super) irs: SeqNumber,
    pub(super) came: SeqNumber,
    /// The same without what came out of order: a receiver may forget that, until it is acknowledged.
    pub(super) sure: SeqNumber,
    pub(super) islands: Vec<(SeqNumber, SeqNumber)>,
    /// Text beyond `came` that came and need not be kept: it came when the application was gone, or
    /// was let go with it, or was refused.
    pub(super) maybe_kept: Vec<(SeqNumber, SeqNumber)>,
    pub(super) fin_came: bool,
    pub(super) rcv_shift: u8,
    /// The right edge of the window announced.
    pub(super) edge: SeqNumber,
    /// RFC 7323's Last.ACK.sent at most: an ACK that may have been lost unseen counts.
    pub(super) last_ack_sent: SeqNumber,
    /// And at least: the last one seen.
    pub(super) last_ack_seen: SeqNumber,
    pub(super) ack_due: Option<(Instant, Promise)>,
    /// An ACK without text has a cause.
    pub(super) ack_cause: bool,
    /// When the last challenge was due, in milliseconds.
    pub(super) challenged_at: u32,
    pub(super) stamps: bool,
    /// TS.Recent, if [`Self::last_ack_sent`] was sent.
    pub(super) ts_recent: u32,
    /// TS.Recent, if [`Self::last_ack_seen`] was the last.
    pub(super) ts_recent_least: u32,
    pub(super) ts_sent: Option<u32>,
    /// When that was.
    pub(super) ts_sent_at: Instant,
    /// When TIME-WAIT ends.
    pub(super) time_wait: Option<Instant>,
}

impl Conn {
    /// A connection whose first SYN we send now.
    pub(super) fn new(config: &PromiseConfig, now: Instant, key: u64, syn: &Glimpse) -> Self {
        let tcp = &config.tcp;
        let zero = SeqNumber(0);
        Self {
            name: FlowName { from: syn.from, to: syn.to },
            key,
            stage: Stage::SynSent,
            over: false,
            doubtful: false,
            armed: None,
            touched: false,
            latency: config.latency,
            losses: 0,
            syn_unseen: false,
            fin_unseen: false,
            may_refuse: false,
            iss: syn.seq,
            una: syn.seq,
            nxt: syn.seq + 1,
            max: syn.seq + 1,
            fin: None,
            closed_second: false,
            mss: 0,
            wnd: 0,
            wnd_max: 0,
            wl1: zero,
            snd_shift: 0,
            bound: CwndBound::new(0),
            recover: syn.seq,
            duplicates: 0,
            in_recovery: false,
            saw_partial: false,
            timed_out: false,
            resend_due: None,
            syn_again: false,
            estimate: Estimate::new(tcp.initial_rto, tcp.min_rto, tcp.max_rto),
            doublings: (0, 0),
            vague: 0,
            retries: 0,
            timer: Some(now),
            probing: false,
            timing: Some((syn.seq + 1, now)),
            maybe_timing: None,
            again_at: None,
            sent_at: now,
            fired: None,
            irs: zero,
            came: zero,
            sure: zero,
            islands: Vec::new(),
            maybe_kept: Vec::new(),
            fin_came: false,
            rcv_shift: syn.scale.unwrap_or(0),
            edge: zero,
            last_ack_sent: zero,
            last_ack_seen: zero,
            ack_due: None,
            ack_cause: false,
            challenged_at: (now.as_millis() as u32)
                .wrapping_sub(tcp.challenge_ack_interval.as_millis() as u32),
            stamps: syn.timestamps.is_some(),
            ts_recent: 0,
            ts_recent_least: 0,
            ts_sent: syn.timestamps.map(|stamps| stamps.val),
            ts_sent_at: now,
            time_wait: None,
        }
    }

    /// Bytes and FIN in flight.
    pub(super) fn flight(&self) -> u32 {
        self.max.since(self.una)
    }

    /// Our FIN is acknowledged.
    pub(super) fn fin_is_acked(&self) -> bool {
        self.fin.is_some_and(|fin| self.una == fin + 1)
    }

    /// SMSS of RFC 5681 at most: the store may cut smaller segments.
    pub(super) fn smss(&self) -> u64 {
        u64::from(self.mss)
    }

    /// IW. RFC 6928 §2.
    pub(super) fn initial_window(&self, config: &PromiseConfig) -> u64 {
        let segments = u64::from(config.tcp.initial_window_segments.max(1));
        (segments * self.smss()).min((segments * 1_460).max(2 * self.smss()))
    }

    pub(super) fn start_timer(&mut self, now: Instant) {
        self.timer = Some(now);
        self.fired = None;
    }

    /// When the timer expires: not before, and not later than.
    pub(super) fn expiry(&self) -> Option<(Instant, Instant)> {
        let start = self.timer?;
        let (least, most) = self.timeouts();
        Some((start + least, start + most))
    }

    /// The timeout at least, and at most.
    pub(super) fn timeouts(&self) -> (Duration, Duration) {
        let (least, most) = self.doublings;
        if self.vague > 0 {
            return self.estimate.limits();
        }
        (self.estimate.timeout(least), self.estimate.timeout(most))
    }

    /// How exact a timeout has to be: the estimate is kept in coarser units than nanoseconds, echoed
    /// timestamps are milliseconds, and the turn may come late. Early, too: a timer that expired in a
    /// late turn begins again there, and the segment that shows it may leave in another turn.
    pub(super) fn tolerance(&self, timeout: Duration) -> Duration {
        Duration::from_nanos(timeout.as_nanos() / 32 + 10_000 + self.latency.as_nanos())
    }

    /// The host had no buffer for a segment without text: if one was due here, it may have been that
    /// one, and counts as sent. Text is never lost so.
    #[inline]
    pub(super) fn excuse_losses(&mut self, losses: u32) {
        if self.losses != losses {
            self.losses = losses;
            self.excuse_loss();
        }
    }

    #[cold]
    fn excuse_loss(&mut self) {
        if self.ack_due.take().is_some() {
            self.last_ack_sent = self.came;
        }
        if self.stage != Stage::Open {
            self.syn_unseen = true;
            self.excuse_first_syn();
        } else if self.fin.is_none() {
            self.fin_unseen = true;
        } else if self.fin == Some(self.una) {
            self.resend_due = None;
            self.doublings.1 = u32::MAX;
        }
    }

    /// SYNs that were lost unseen may have started the timer, and made it wait longer; then the one
    /// that is seen is not timed, either (Karn's rule).
    pub(super) fn excuse_first_syn(&mut self) {
        self.doublings.1 = u32::MAX;
        if let Some((behind, _)) = self.timing.take() {
            self.maybe_timing = Some(behind);
        }
    }

    /// An ACK is to be sent by then.
    pub(super) fn owe_ack(&mut self, by: Instant, promise: Promise) {
        self.ack_cause = true;
        if self.ack_due.is_none_or(|(due, _)| by < due) {
            self.ack_due = Some((by, promise));
        }
    }

    /// The latest time by which something has to happen, if nothing else does before.
    pub(super) fn next_due(&self, config: &PromiseConfig) -> Option<Instant> {
        if self.over {
            return None;
        }
        let ack = self.ack_due.map(|(due, _)| due + config.latency);
        let resend = self.resend_due.map(|due| due + config.latency);
        let timer = self.timer_due();
        let rest = self.time_wait.map(|until| until + config.latency);
        [ack, resend, timer, rest].into_iter().flatten().min()
    }

    fn timer_due(&self) -> Option<Instant> {
        let (_, latest) = self.expiry()?;
        let (_, timeout) = self.timeouts();
        Some(latest + self.tolerance(timeout))
    }

    /// Time has passed beyond what is due: what was not done? Something the wire does not show may
    /// excuse it.
    pub(super) fn check_due(
        &mut self,
        config: &PromiseConfig,
        now: Instant,
        stats: &mut Stats,
    ) -> Verdict {
        if self.time_wait.is_some_and(|until| until + config.latency < now) {
            self.over = true;
            return Ok(());
        }
        if let Some((due, promise)) = self.ack_due
            && due + config.latency < now
        {
            return Err(self.broken(
                promise,
                format!("an ACK of {} by {due:?}", self.theirs(self.came)),
                format!(
                    "none until {now:?}; last acknowledged {}",
                    self.theirs(self.last_ack_sent)
                ),
            ));
        }
        if let Some(due) = self.resend_due
            && due + config.latency < now
        {
            if self.wnd == 0 {
                self.resend_due = None;
            } else {
                return Err(self.broken(
                    Promise::FastRetransmit,
                    format!("the segment at {} again at {due:?}", self.ours(self.una)),
                    format!("nothing until {now:?}"),
                ));
            }
        }
        if let Some(due) = self.timer_due()
            && due < now
        {
            stats.tested(Promise::TimeoutNotLate);
            let retries_max = match self.stage {
                Stage::Open => config.tcp.retries_max,
                _ => config.tcp.syn_retries_max,
            };
            // R2 of RFC 9293 §3.8.3; and ABORT sends nothing in CLOSING and LAST-ACK (§3.10.5).
            if self.retries >= u32::from(retries_max)
                || (self.fin.is_some() && self.fin_came)
                || self.stage == Stage::SynSent
            {
                self.over = true;
                return Ok(());
            }
            return Err(self.broken(
                Promise::TimeoutNotLate,
                format!(
                    "{}..{} outstanding, window {}, to be sent again or probed for by {due:?}, \
                     the timer being started at {:?} after {} timeouts",
                    self.ours(self.una),
                    self.ours(self.max),
                    self.wnd,
                    self.timer.unwrap_or(Instant::ZERO),
                    self.retries,
                ),
                format!("nothing until {now:?}"),
            ));
        }
        Ok(())
    }

    /// Our number, counted from our SYN.
    pub(super) fn ours(&self, seq: SeqNumber) -> u32 {
        seq.since(self.iss)
    }

    /// The peer's number, counted from its SYN.
    pub(super) fn theirs(&self, seq: SeqNumber) -> u32 {
        seq.since(self.irs)
    }

    #[cold]
    pub(super) fn broken(
        &self,
        promise: Promise,
        promised: String,
        seen: String,
    ) -> Box<BrokenPromise> {
        Box::new(BrokenPromise { promise, flow: self.name, promised, seen })
    }
}
