//! The straight paths: the segment that everyone sends and everyone gets, without the questions
//! that it does not raise. Each is a shorter way to what `input` and `output` do, and falls back to
//! them; every script runs both and compares. Read those two first.

use super::congestion::CongestionControl;
use super::output::Output;
use super::state::{Arrival, State};
use super::tcb::{Tcb, flag, hours};
use super::timers::{NEVER, TimerKind};
use super::{Config, TextSink};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::wire::tcp::{OrdinarySegment, TcpFlags, TcpSegment};

impl Tcb {
    /// A segment of this connection arrived.
    #[inline]
    pub fn on_segment<S: TextSink>(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        sink: &mut S,
    ) -> Arrival {
        let ordinary = seg.ordinary();
        if self.predicts(&ordinary) {
            let acked = self.on_predicted(config, now, ordinary, sink);
            Arrival { acked, ..Arrival::default() }
        } else {
            self.on_any_segment(config, now, seg, sink)
        }
    }

    /// Header prediction: ESTABLISHED, text or an ACK in order, both windows open, nothing lost.
    /// Without recovery and backoff there is neither a retransmission nor a probe to take back, and
    /// no retry to forget.
    #[inline(always)]
    pub(crate) fn predicts(&self, seg: &OrdinarySegment<'_>) -> bool {
        let snd = &self.snd;
        self.state == State::Established
            && seg.flags.0 & !TcpFlags::PSH.0 == TcpFlags::ACK.0
            && seg.seq == self.rcv.nxt
            && seg.payload.len() <= self.rcv.len() as usize
            && seg.ack.since(snd.una) <= snd.max.since(snd.una)
            && (seg.ack != snd.una || !seg.payload.is_empty())
            && snd.wnd != 0
            && seg.window != 0
            && !snd.wl1.gt(seg.seq)
            && self.backoffs == 0
            && self.recovery.is_open()
            && match seg.timestamps {
                Some(stamps) => {
                    !self.has(flag::TIMESTAMPS)
                        || (stamps.val.wrapping_sub(self.ts_recent) as i32) >= 0
                }
                None => !self.has(flag::TIMESTAMPS),
            }
    }

    /// A segment that [`Tcb::predicts`]. Answers how many bytes of text it newly acknowledged: nothing
    /// else can come of it.
    #[inline(always)]
    pub(crate) fn on_predicted<S: TextSink>(
        &mut self,
        config: &Config,
        now: Instant,
        seg: OrdinarySegment<'_>,
        sink: &mut S,
    ) -> u32 {
        self.flags &= !flag::DECLINED;
        if self.has(flag::TIMESTAMPS)
            && let Some(stamps) = seg.timestamps
            && self.last_ack_sent == seg.seq
            && !mutant!(StaleTimestampEcho)
        {
            self.ts_recent = stamps.val;
            self.ts_recent_at = hours(now);
        }
        let acked = seg.ack.since(self.snd.una);
        if acked != 0 {
            self.acked += u64::from(acked);
            self.snd.una = seg.ack;
            if self.snd.nxt.lt(seg.ack) {
                self.snd.nxt = seg.ack;
            }
            if self.has(flag::TIMING) && seg.ack.ge(self.rtt_seq) {
                self.flags &= !flag::TIMING;
                self.rto.on_sample(config, now - self.rtt_at);
            }
            self.recovery.forget_duplicates();
            self.controller.on_ack(acked, u32::from(self.mss), self.has(flag::LIMITED));
            if seg.ack == self.snd.max {
                self.timer_at = NEVER;
            } else {
                self.timer = TimerKind::Retransmission;
                self.timer_at = now + self.rto.without_backoff();
            }
        }
        let wnd = u32::from(seg.window) << self.snd_shift;
        self.snd.wl1 = seg.seq;
        self.snd.wnd = wnd;
        self.snd.wnd_max = self.snd.wnd_max.max(wnd);
        if !seg.payload.is_empty() {
            let taken = sink.on_text(0, seg.payload);
            let plain = taken.advance as usize == seg.payload.len() && !taken.fills_gap;
            self.note_taken(config, now, taken, plain);
        }
        acked
    }

    /// What to send next, or None: nothing until the next event.
    #[inline]
    pub fn poll_output(&mut self, config: &Config, now: Instant) -> Option<Output> {
        const DISTURBED: u16 = flag::SEND_SYN
            | flag::RETRANSMIT
            | flag::PROBE
            | flag::ENDED
            | flag::FIN_SENT
            | flag::ACK_NOW;
        let snd = &self.snd;
        let flight = snd.nxt.since(snd.una);
        if self.flags & DISTURBED == 0 && self.state.can_send() && snd.nxt == snd.max && flight != 0
        {
            let usable = self.controller.window().min(snd.wnd).saturating_sub(flight);
            if usable == 0 || self.has(flag::DECLINED) {
                return None;
            }
            if usable >= self.mss() {
                return Some(Output::Text {
                    at: self.acked + u64::from(flight),
                    max: usable,
                    partial: false,
                    whole_only: config.nagle,
                    retransmit: false,
                });
            }
        }
        self.poll_any_output(config, now)
    }
}
