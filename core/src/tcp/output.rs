//! What to send next. A plan names numbers and flags; the stack finds the bytes.

use super::Config;
use super::congestion::CongestionControl;
use super::state::State;
use super::tcb::{Tcb, flag, initial_window, millis};
use super::timers::{NEVER, TimerKind};
use crate::marks::mark;
use crate::mutants::mutant;
use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::tcp::{SynOptions, TcpFlags, Timestamps};

/// A segment to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentPlan {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK; zero without ACK.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window field, as on the wire.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The options of a SYN.
    pub syn: Option<SynOptions>,
    /// Stream offset of the text.
    pub at: u64,
    /// Bytes of text.
    pub len: u32,
}

/// What all segments of a burst say, beside their own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// SEG.SEQ of the first: what [`Tcb::take_text`] will answer.
    pub seq: SeqNumber,
    /// SEG.ACK.
    pub ack: SeqNumber,
    /// The window field, as on the wire.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
}

/// What [`Tcb::poll_output`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A segment without text. It counts as sent.
    Segment(SegmentPlan),
    /// Text may be sent: answer with [`Tcb::take_text`], once or more, with [`Tcb::no_text`], or
    /// with [`Tcb::decline_text`].
    Text {
        /// Stream offset of the first byte.
        at: u64,
        /// Bytes that may be sent from there, in segments of [`Tcb::mss`] bytes. A shorter one is
        /// made only where it ends what the source has, or where segments begin that are prepared.
        max: u32,
        /// One segment of any length up to `max` will do: a retransmission, or a probe.
        partial: bool,
        /// Nagle: a segment shorter than [`Tcb::mss`] is not to be made, even of all that there is,
        /// unless it ends the stream. RFC 9293 §3.7.4.
        whole_only: bool,
        /// The first byte was sent before.
        retransmit: bool,
    },
}

impl Tcb {
    /// Something changed outside, a source woke: text that was declined may be offered again.
    #[inline]
    pub fn on_visit(&mut self) {
        self.flags &= !flag::DECLINED;
    }

    /// Whether there is something to send that does not wait for the source to have more: an ACK, a
    /// retransmission, a FIN. True too often rather than too seldom.
    #[inline]
    pub fn has_output(&self) -> bool {
        let own = flag::ACK_NOW
            | flag::SEND_SYN
            | flag::RETRANSMIT
            | flag::PROBE
            | flag::ENDED
            | flag::CLOSING;
        self.flags & own != 0 || self.snd.nxt != self.snd.max
    }

    /// [`Tcb::poll_output`], whatever comes next.
    #[inline(never)]
    pub(super) fn poll_any_output(&mut self, config: &Config, now: Instant) -> Option<Output> {
        if self.has(flag::SEND_SYN) {
            return Some(Output::Segment(self.send_syn(config, now)));
        }
        if self.state.is_synchronized() && self.state != State::TimeWait {
            if let Some(text) = self.offer_text(config, now) {
                return Some(text);
            }
            if let Some(plan) = self.send_bare_fin(config, now) {
                return Some(Output::Segment(plan));
            }
        }
        if self.has(flag::ACK_NOW) && self.state != State::SynSent {
            return Some(Output::Segment(self.send_ack(config, now)));
        }
        None
    }

    /// Where the text ends that may be (re)sent: before FIN.
    #[inline]
    fn text_end(&self) -> SeqNumber {
        if self.has(flag::FIN_SENT) { self.snd.fin } else { self.snd.max }
    }

    #[inline]
    fn offer_text(&mut self, config: &Config, now: Instant) -> Option<Output> {
        let snd = &self.snd;
        if self.flags & (flag::RETRANSMIT | flag::PROBE) != 0 {
            return self.offer_out_of_turn();
        }
        let may_be_new = self.state.can_send() && !self.has(flag::ENDED);
        let resend = self.text_end().since(snd.nxt);
        let resending = snd.nxt.lt(self.text_end());
        if (!may_be_new && !resending) || self.has(flag::DECLINED) {
            return None;
        }
        let flight = snd.nxt.since(snd.una);
        if snd.wnd == 0 && flight == 0 {
            if self.timer_at == NEVER {
                self.start_timer(config, now, TimerKind::ZeroWindowProbe);
            }
            return None;
        }
        if flight == 0 && !resending && self.idle_for_long(config, now) {
            mark!(IdleRestart);
            // RFC 5681 §4.1
            self.controller.on_idle(initial_window(config, self.mss));
        }
        let cwnd = self.controller.window();
        let wnd = if mutant!(ReceiveWindowIgnored) { u32::MAX } else { self.snd.wnd };
        let allowed = cwnd.min(wnd);
        let mut usable = allowed.saturating_sub(flight);
        if usable == 0 {
            return None;
        }
        // RFC 9293 §3.8.6.2.1: a segment shorter than the MSS goes where it is all there is (which
        // the source knows), where the window is half as large as it ever was, or by the override
        // timeout.
        let mut partial = false;
        if usable < self.mss() {
            partial = usable >= self.snd.wnd_max / 2 || (resending && flight == 0);
            if !partial {
                mark!(SillyWindowAvoided);
            }
            if !partial && flight == 0 && self.timer_at == NEVER {
                mark!(SillyWindowOverridden);
                self.start_timer(config, now, TimerKind::ZeroWindowProbe);
            }
        }
        if resending && !may_be_new {
            usable = usable.min(resend);
        }
        Some(Output::Text {
            at: self.acked + u64::from(flight),
            max: usable,
            partial,
            whole_only: config.nagle && flight > 0 && !resending,
            retransmit: resending,
        })
    }

    /// The segment at SND.UNA: fast retransmit, or a probe: what the window takes, or one byte.
    #[cold]
    fn offer_out_of_turn(&mut self) -> Option<Output> {
        let probe = self.has(flag::PROBE);
        let left = self.text_end().since(self.snd.una);
        let may_be_new = self.state.can_send() && !self.has(flag::ENDED);
        if left == 0 && !(probe && may_be_new) {
            // Nothing but FIN is outstanding, or nothing at all.
            self.flags &= !(flag::RETRANSMIT | flag::PROBE);
            if self.has(flag::FIN_SENT) {
                self.snd.nxt = self.snd.fin;
            }
            return None;
        }
        if self.has(flag::DECLINED) {
            return None;
        }
        let usable = self.mss().min(self.snd.wnd);
        if usable == 0 && !probe {
            // The window closed meanwhile: the timer probes it.
            self.flags &= !flag::RETRANSMIT;
            return None;
        }
        if probe && usable == 0 {
            mark!(ProbeOfOneByte);
        }
        let max = if left > 0 { usable.min(left) } else { usable }.max(1);
        Some(Output::Text {
            at: self.acked,
            max,
            partial: true,
            whole_only: false,
            retransmit: left > 0,
        })
    }

    fn idle_for_long(&self, config: &Config, now: Instant) -> bool {
        let idle = u64::from(millis(now).wrapping_sub(self.sent_at)) << 20;
        idle > self.rto.timeout(config, 0).as_nanos()
    }

    /// What the segments about to be taken acknowledge and announce. They carry every ACK that
    /// waits, so at least one must follow: call this once its buffer is at hand.
    #[inline]
    pub fn begin_burst(&mut self, config: &Config, now: Instant) -> Burst {
        self.flags &= !(flag::ACK_NOW | flag::CHALLENGE);
        self.ack_at = NEVER;
        self.last_ack_sent = self.rcv.nxt;
        let off = u32::from(mutant!(AckOneMore)).wrapping_sub(u32::from(mutant!(AckOneLess)));
        Burst {
            seq: self.next_text(),
            ack: self.rcv.nxt + off,
            window: self.rcv.announce(config.receive_window, u32::from(config.mss)),
            timestamps: self.timestamps(now),
        }
    }

    /// The next `len` bytes of what [`Output::Text`] offered are sent: the sequence number of the
    /// first, and the control bits of the last segment. They may be several segments that follow
    /// each other, the others with ACK alone. `fin`: the stream ends behind them. `push`: the source
    /// has no more now.
    #[inline]
    pub fn take_text(
        &mut self,
        config: &Config,
        now: Instant,
        len: u32,
        fin: bool,
        push: bool,
    ) -> (SeqNumber, TcpFlags) {
        debug_assert!(len > 0);
        let out_of_turn = self.flags & (flag::RETRANSMIT | flag::PROBE) != 0;
        let seq = self.next_text();
        let end = seq + len;
        let mut flags = TcpFlags::ACK;
        if push {
            flags = flags | TcpFlags::PSH;
        }
        let mut after = end;
        if self.has(flag::FIN_SENT) {
            if end == self.snd.fin {
                flags = flags | TcpFlags::FIN;
                after = end + 1;
            }
        } else if fin && end.ge(self.snd.max) && self.state.can_send() {
            self.flags |= flag::ENDED;
            // FIN takes a number too: beyond the window it waits.
            if end.since(self.snd.una) >= self.snd.wnd {
                mark!(FinWaitedForWindow);
            }
            if end.since(self.snd.una) < self.snd.wnd {
                mark!(FinWithText);
                self.note_fin(end);
                if !mutant!(FinLost) {
                    flags = flags | TcpFlags::FIN;
                }
                after = end + 1;
            }
        }
        if out_of_turn {
            self.flags &= !(flag::RETRANSMIT | flag::PROBE);
        }
        if after.gt(self.snd.nxt) {
            self.snd.nxt = after;
        }
        if after.gt(self.snd.max) {
            let was_all_new = seq == self.snd.max;
            self.snd.max = after;
            if !self.has(flag::TIMING) && was_all_new {
                self.flags |= flag::TIMING;
                self.rtt_seq = seq + len.min(self.mss());
                self.rtt_at = now;
            }
        } else {
            // Karn: sent again, in whole or in part.
            if self.has(flag::TIMING) {
                mark!(TimedAgain);
            }
            if !mutant!(KarnForgotten) {
                self.flags &= !flag::TIMING;
            }
        }
        if self.timer_at == NEVER || self.timer != TimerKind::Retransmission {
            self.start_retransmission_timer(config, now);
        }
        self.sent_at = millis(now);
        // Stays until a segment leaves room for another: several ACKs of one turn all count.
        if self.snd.nxt.since(self.snd.una) + self.mss() > self.controller.window() {
            self.flags |= flag::LIMITED;
        } else {
            self.flags &= !flag::LIMITED;
        }
        (seq, flags)
    }

    /// Something is outstanding from now on. A probe of a closed window keeps the probe's timer.
    fn start_retransmission_timer(&mut self, config: &Config, now: Instant) {
        if mutant!(TimerForgotten) {
            return;
        }
        if self.timer_at == NEVER || self.snd.wnd > 0 {
            self.start_timer(config, now, TimerKind::Retransmission);
        }
    }

    /// The number of the text that is offered.
    #[inline]
    fn next_text(&self) -> SeqNumber {
        let out_of_turn = self.flags & (flag::RETRANSMIT | flag::PROBE) != 0;
        if out_of_turn { self.snd.una } else { self.snd.nxt }
    }

    /// The source has nothing to send at the offset offered. `ended`: it never will, so FIN
    /// follows.
    pub fn no_text(&mut self, ended: bool) {
        self.flags |= flag::DECLINED;
        self.flags &= !(flag::RETRANSMIT | flag::PROBE);
        if self.snd.una == self.snd.max && self.timer == TimerKind::ZeroWindowProbe {
            // There was nothing to probe with.
            mark!(ProbeOfNothing);
            self.timer_at = NEVER;
            self.backoffs = 0;
            self.retries = 0;
        }
        if (ended || self.has(flag::CLOSING))
            && self.snd.nxt == self.snd.max
            && self.state.can_send()
        {
            self.flags |= flag::ENDED;
        }
    }

    /// What the source has does not fit what may be sent: nothing more until the next event.
    #[inline]
    pub fn decline_text(&mut self) {
        self.flags |= flag::DECLINED;
    }

    /// FIN by itself: the first time, or again.
    #[inline]
    fn send_bare_fin(&mut self, config: &Config, now: Instant) -> Option<SegmentPlan> {
        if !self.has(flag::ENDED) {
            return None;
        }
        let first = !self.has(flag::FIN_SENT);
        if first {
            // Beyond the window only where nothing else is outstanding: then it is the probe.
            let flight = self.snd.nxt.since(self.snd.una);
            let fits = flight == 0 || flight < self.snd.wnd;
            if self.snd.nxt != self.snd.max || !self.state.can_send() || !fits {
                return None;
            }
            self.note_fin(self.snd.nxt);
        } else if self.snd.nxt != self.snd.fin {
            return None;
        } else {
            mark!(FinSentAgain);
        }
        self.snd.nxt = self.snd.fin + 1;
        self.snd.max = self.snd.nxt;
        if self.timer_at == NEVER || self.timer != TimerKind::Retransmission {
            self.start_retransmission_timer(config, now);
        }
        Some(self.segment(config, now, self.snd.fin, TcpFlags::FIN | TcpFlags::ACK))
    }

    /// FIN takes the number `at`: the state moves. RFC 9293 §3.10.4.
    fn note_fin(&mut self, at: SeqNumber) {
        self.flags |= flag::FIN_SENT | flag::ENDED;
        self.snd.fin = at;
        self.state = match self.state {
            State::CloseWait => State::LastAck,
            _ => State::FinWait1,
        };
    }

    #[cold]
    fn send_syn(&mut self, config: &Config, now: Instant) -> SegmentPlan {
        self.flags &= !(flag::SEND_SYN | flag::ACK_NOW | flag::CHALLENGE);
        let answer = self.state != State::SynSent;
        let iss = self.snd.una;
        if self.snd.max == iss {
            self.snd.nxt = iss + 1;
            self.snd.max = iss + 1;
            self.flags |= flag::TIMING;
            self.rtt_seq = iss + 1;
            self.rtt_at = now;
            self.start_timer(config, now, TimerKind::Retransmission);
        } else {
            self.snd.nxt = iss + 1;
            self.flags &= !flag::TIMING;
        }
        let timestamps = if answer { self.has(flag::TIMESTAMPS) } else { config.timestamps };
        let scaling = if answer { self.has(flag::SCALING) } else { config.window_scaling };
        let flags = if answer { TcpFlags::SYN | TcpFlags::ACK } else { TcpFlags::SYN };
        SegmentPlan {
            seq: iss,
            ack: if answer { self.rcv.nxt } else { SeqNumber(0) },
            flags,
            // Never scaled. RFC 7323 §2.2.
            window: config.receive_window.min(0xffff) as u16,
            timestamps: timestamps
                .then(|| Timestamps { val: self.ts_clock(now), ecr: self.ts_recent }),
            syn: Some(SynOptions {
                mss: config.mss,
                window_scale: scaling.then_some(self.rcv.shift),
                sack_permitted: false,
            }),
            at: 0,
            len: 0,
        }
    }

    fn send_ack(&mut self, config: &Config, now: Instant) -> SegmentPlan {
        // A probe of one byte lies beyond the peer's window: an ACK behind it would be refused.
        let probing = self.timer == TimerKind::ZeroWindowProbe && self.timer_at != NEVER;
        let seq = if probing { self.snd.una } else { self.snd.max };
        self.segment(config, now, seq, TcpFlags::ACK)
    }

    /// A segment that acknowledges everything and announces the window as it may be.
    #[inline]
    fn segment(
        &mut self,
        config: &Config,
        now: Instant,
        seq: SeqNumber,
        flags: TcpFlags,
    ) -> SegmentPlan {
        let Burst { ack, window, timestamps, .. } = self.begin_burst(config, now);
        SegmentPlan { seq, ack, flags, window, timestamps, syn: None, at: 0, len: 0 }
    }

    /// A segment at the highest number sent, with the window last announced.
    #[inline]
    pub(super) fn plain_segment(&self, now: Instant, flags: TcpFlags) -> SegmentPlan {
        SegmentPlan {
            seq: self.snd.max,
            ack: self.rcv.nxt,
            flags,
            window: (self.rcv.len() >> self.rcv.shift).min(0xffff) as u16,
            timestamps: self.timestamps(now),
            syn: None,
            at: 0,
            len: 0,
        }
    }

    #[inline]
    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        self.has(flag::TIMESTAMPS)
            .then(|| Timestamps { val: self.ts_clock(now), ecr: self.ts_recent })
    }
}
