//! Segment arrival. RFC 9293 §3.10.7, in the RFC's order, one function a step.
//! Does not send: it changes the [`Tcb`] and lets `output` decide.

use super::congestion::{CongestionControl, Controller};
use super::recovery::Verdict;
use super::state::{Arrival, Drop, Ended, Events, State};
use super::tcb::{Tcb, flag, hours, millis};
use super::timers::{NEVER, TimerKind};
use super::{Config, Taken, TextSink};
use crate::marks::mark;
use crate::mutants::mutant;
use crate::seq::SeqNumber;
use crate::time::{Duration, Instant};
use crate::wire::tcp::{TcpFlags, TcpSegment};

/// What a step decides: go on, or stop here with this result.
type Step = Result<(), Arrival>;

impl Tcb {
    /// A segment of this connection arrived: any.
    #[inline(never)]
    pub(super) fn on_any_segment<S: TextSink>(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        sink: &mut S,
    ) -> Arrival {
        self.flags &= !flag::DECLINED;
        let result = match self.state {
            State::SynSent => self.on_segment_in_syn_sent(config, now, seg),
            _ => self.on_segment_otherwise(config, now, seg, sink),
        };
        match result {
            Ok(arrival) | Err(arrival) => arrival,
        }
    }

    /// §3.10.7.4: all states but SYN-SENT.
    #[inline(always)]
    fn on_segment_otherwise<S: TextSink>(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        sink: &mut S,
    ) -> Result<Arrival, Arrival> {
        let ordinary = TcpFlags::ACK | TcpFlags::PSH;
        if seg.flags.0 & !ordinary.0 != 0 || !seg.flags.contains(TcpFlags::ACK) {
            return self.on_control_segment(config, now, seg, sink);
        }
        self.check_timestamps(config, now, seg)?;
        self.check_acceptable(config, now, seg)?;
        self.note_timestamp(now, seg);
        let mut arrival = Arrival::default();
        self.process_ack(config, now, seg, &mut arrival)?;
        if !seg.payload.is_empty() {
            self.process_text(config, now, seg, sink, &mut arrival);
        }
        Ok(arrival)
    }

    /// The same steps for a segment that carries SYN, FIN, RST, URG or no ACK.
    #[inline(never)]
    fn on_control_segment<S: TextSink>(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        sink: &mut S,
    ) -> Result<Arrival, Arrival> {
        if !seg.flags.contains(TcpFlags::RST) {
            self.check_timestamps(config, now, seg)?;
        }
        self.check_acceptable(config, now, seg)?;
        self.check_rst(now, config, seg)?;
        self.check_syn(config, now, seg)?;
        if !seg.flags.contains(TcpFlags::ACK) {
            return Err(Arrival::dropped(Drop::AckMissing));
        }
        self.note_timestamp(now, seg);
        let mut arrival = Arrival::default();
        self.process_ack(config, now, seg, &mut arrival)?;
        if seg.flags.contains(TcpFlags::SYN) {
            // A SYN-ACK that crossed ours. What else it carries is sent again.
            self.flags |= flag::ACK_NOW;
            return Ok(arrival);
        }
        if !seg.payload.is_empty() {
            self.process_text(config, now, seg, sink, &mut arrival);
        }
        if seg.flags.contains(TcpFlags::FIN) {
            self.process_fin(config, now, seg, &mut arrival);
        }
        Ok(arrival)
    }

    /// RFC 7323 §5.3 R1 and §3.2.
    #[inline]
    fn check_timestamps(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) -> Step {
        if !self.has(flag::TIMESTAMPS) {
            return Ok(());
        }
        let Some(timestamps) = seg.options.timestamps else {
            return Err(Arrival::dropped(Drop::TimestampMissing));
        };
        if (timestamps.val.wrapping_sub(self.ts_recent) as i32) < 0
            && !self.ts_recent_is_stale(now)
            && !mutant!(PawsForgotten)
        {
            self.acknowledge_unacceptable(config, now, seg);
            return Err(Arrival::dropped(Drop::PawsFailed));
        }
        Ok(())
    }

    /// RFC 7323 §5.5: after 24 days TS.Recent says nothing any more. It then follows the segment.
    #[cold]
    fn ts_recent_is_stale(&self, now: Instant) -> bool {
        const DAYS_24: u16 = ((24 * 86_400 * 1_000_000_000u64) >> 42) as u16;
        hours(now).wrapping_sub(self.ts_recent_at) > DAYS_24
    }

    /// First: check the sequence number. §3.10.7.4.
    #[inline]
    fn check_acceptable(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) -> Step {
        if self.rcv.accepts(seg.seq, seg.seg_len()) {
            return Ok(());
        }
        self.on_unacceptable(config, now, seg)
    }

    #[cold]
    fn on_unacceptable(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) -> Step {
        if self.state == State::SynReceived
            && seg.flags.contains(TcpFlags::SYN)
            && seg.seq + 1 == self.rcv.nxt
        {
            // The peer did not get our SYN-ACK: once more.
            if !seg.flags.contains(TcpFlags::ACK) {
                mark!(SynAgain);
                self.flags |= flag::SEND_SYN;
                return Err(Arrival::dropped(Drop::OutsideWindow));
            }
            // Simultaneous open: the peer's SYN-ACK acknowledges our SYN.
            return Ok(());
        }
        // §3.10.7.4: a window of zero still takes valid ACKs.
        if self.rcv.len() == 0
            && seg.seq == self.rcv.nxt
            && seg.flags.contains(TcpFlags::ACK)
            && !seg.flags.intersects(TcpFlags::RST | TcpFlags::SYN)
        {
            mark!(ZeroWindowAckTaken);
            self.flags |= flag::ACK_NOW;
            let mut arrival = Arrival::dropped(Drop::OutsideWindow);
            if let Err(stop) = self.process_ack(config, now, seg, &mut arrival) {
                arrival = stop;
            }
            return Err(arrival);
        }
        if !seg.flags.contains(TcpFlags::RST) {
            self.acknowledge_unacceptable(config, now, seg);
        }
        Err(Arrival::dropped(Drop::OutsideWindow))
    }

    /// An old duplicate is answered with an ACK: at once where it brings text again (the peer lost
    /// our ACK), else as rarely as a challenge, or two confused ends would answer each other for
    /// ever.
    fn acknowledge_unacceptable(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) {
        let fin_again =
            seg.flags.contains(TcpFlags::FIN) && seg.seq + seg.seg_len() == self.rcv.nxt;
        if self.state == State::TimeWait && fin_again {
            mark!(TimeWaitFinAgain);
            // §3.10.7.4, eighth: the peer did not get our last ACK.
            self.start_timer(config, now, TimerKind::TimeWait);
        }
        if self.state == State::TimeWait && mutant!(TimeWaitDeaf) {
            return;
        }
        if seg.seg_len() > 0 {
            self.flags |= flag::ACK_NOW;
        } else {
            self.challenge(config, now);
        }
    }

    /// RFC 5961 §7: not more often than the interval.
    fn challenge(&mut self, config: &Config, now: Instant) {
        let clock = now.as_millis() as u32;
        let interval = config.challenge_ack_interval.as_millis() as u32;
        if clock.wrapping_sub(self.challenged_at) >= interval || mutant!(ChallengeUnlimited) {
            mark!(ChallengeSent);
            self.challenged_at = clock;
            self.flags |= flag::ACK_NOW | flag::CHALLENGE;
        } else {
            mark!(ChallengeHeldBack);
        }
    }

    /// Second: check the RST bit. RFC 5961 §3.
    fn check_rst(&mut self, now: Instant, config: &Config, seg: &TcpSegment<'_>) -> Step {
        if !seg.flags.contains(TcpFlags::RST) {
            return Ok(());
        }
        if seg.seq != self.rcv.nxt {
            self.challenge(config, now);
            return Err(Arrival::dropped(Drop::BadResetSequence));
        }
        if mutant!(ResetIgnored) {
            return Err(Arrival::dropped(Drop::ResetNotForUs));
        }
        mark!(ConnectionReset);
        Err(Arrival::ended(match self.state {
            State::SynReceived if self.has(flag::ACTIVE) => Ended::Refused,
            State::TimeWait => Ended::Finished,
            _ => Ended::Reset,
        }))
    }

    /// Fourth: check the SYN bit. RFC 5961 §4. Deviates from RFC 9293 §3.10.7.4, which sends a passive
    /// SYN-RECEIVED back to LISTEN: the challenge lets a peer that started anew reset us, and lets
    /// nobody else.
    fn check_syn(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) -> Step {
        if !seg.flags.contains(TcpFlags::SYN) {
            return Ok(());
        }
        if self.state == State::SynReceived && seg.seq + 1 == self.rcv.nxt {
            return Ok(());
        }
        self.challenge(config, now);
        Err(Arrival::dropped(Drop::SynInWindow))
    }

    /// RFC 7323 §5.3 R3: TS.Recent follows segments that stand at the last ACK sent.
    #[inline]
    fn note_timestamp(&mut self, now: Instant, seg: &TcpSegment<'_>) {
        if self.has(flag::TIMESTAMPS)
            && let Some(timestamps) = seg.options.timestamps
            && seg.seq.le(self.last_ack_sent)
            && !mutant!(StaleTimestampEcho)
        {
            self.ts_recent = timestamps.val;
            self.ts_recent_at = hours(now);
        }
    }

    /// Fifth: check the ACK field.
    #[inline]
    fn process_ack(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        arrival: &mut Arrival,
    ) -> Step {
        if self.state == State::SynReceived {
            self.process_handshake_ack(config, now, seg, arrival)?;
        }
        if seg.ack.gt(self.snd.max) {
            // RFC 9293 §3.10.7.4, RFC 5961 §5.
            self.challenge(config, now);
            return Err(Arrival { drop: Some(Drop::AckBeyondSndNxt), ..*arrival });
        }
        let advanced = seg.ack.gt(self.snd.una);
        if advanced {
            self.on_new_ack(config, now, seg, arrival);
        } else if seg.ack == self.snd.una {
            self.on_same_ack(config, now, seg);
        } else if self.snd.una.since(seg.ack) > self.snd.wnd_max {
            self.challenge(config, now);
            return Err(Arrival { drop: Some(Drop::AckTooOld), ..*arrival });
        }
        self.update_window(config, now, seg, advanced);
        if self.has(flag::FIN_SENT) && self.snd.una == self.snd.fin + 1 {
            self.on_fin_acked(config, now, arrival)?;
        }
        Ok(())
    }

    /// SYN-RECEIVED: the ACK of our SYN. §3.10.7.4, fifth, SYN-RECEIVED.
    #[cold]
    fn process_handshake_ack(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        arrival: &mut Arrival,
    ) -> Step {
        if !(seg.ack.gt(self.snd.una) && seg.ack.le(self.snd.max)) {
            return Err(Arrival::dropped(Drop::BadHandshakeAck));
        }
        self.establish(config, now, seg);
        arrival.events = arrival.events | Events::ESTABLISHED;
        Ok(())
    }

    /// Our SYN was acknowledged.
    fn establish(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) {
        self.state = State::Established;
        // One that waited to be sent again is not needed any more.
        self.flags &= !flag::SEND_SYN;
        self.snd.una += 1;
        self.snd.nxt = self.snd.nxt.max(self.snd.una);
        self.take_sample(config, now, seg);
        if self.retries > 0 {
            mark!(SynRetransmittedRto);
            self.rto.on_syn_retransmitted(config);
        }
        if self.retries > 1 {
            mark!(SynLossWindow);
            // RFC 6928 §2: more than one lost SYN leaves one segment.
            self.controller = Controller::new(config.congestion, self.mss());
        }
        self.backoffs = 0;
        self.retries = 0;
        self.timer_at = NEVER;
        self.sent_at = millis(now);
        let shift = if seg.flags.contains(TcpFlags::SYN) { 0 } else { self.snd_shift };
        self.snd.wnd = u32::from(seg.window) << shift;
        self.snd.wnd_max = self.snd.wnd_max.max(self.snd.wnd);
        self.snd.wl1 = seg.seq;
    }

    /// SND.UNA < SEG.ACK =< highest sent.
    #[inline]
    fn on_new_ack(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        arrival: &mut Arrival,
    ) {
        let acked = seg.ack.since(self.snd.una);
        let fin_acked = self.has(flag::FIN_SENT) && seg.ack == self.snd.fin + 1;
        let text = acked - u32::from(fin_acked);
        self.snd.una = seg.ack;
        if self.snd.nxt.lt(seg.ack) {
            self.snd.nxt = seg.ack;
        }
        self.acked += u64::from(text);
        arrival.acked = text;
        self.take_sample(config, now, seg);
        self.retries = 0;
        self.flags &= !(flag::RETRANSMIT | flag::PROBE);
        let limited = self.has(flag::LIMITED);
        let mut restart = true;
        match self.recovery.on_new_ack(seg.ack) {
            Verdict::Ordinary => self.controller.on_ack(acked, u32::from(self.mss), limited),
            Verdict::AfterTimeout => {
                mark!(AckAfterTimeout);
                let mss = u32::from(self.mss);
                self.controller.on_ack(acked.min(mss), mss, limited);
            }
            Verdict::Partial { first } => {
                self.controller.on_partial_ack(acked, u32::from(self.mss));
                if !mutant!(SkippedRetransmission) {
                    self.flags |= flag::RETRANSMIT;
                }
                // RFC 6582 §3.2 step 3: only the first partial ACK restarts the timer.
                restart = first;
            }
            Verdict::Exit => {
                mark!(RecoveryEnded);
                let flight = self.snd.max.since(self.snd.una);
                self.controller.on_exit_recovery(flight, u32::from(self.mss));
            }
            Verdict::Enter | Verdict::Inflate => {}
        }
        if self.snd.una == self.snd.max {
            self.flags &= !flag::RETRANSMIT;
            self.stop_timer(config, now);
        } else if restart {
            // RFC 6298 (5.3)
            self.start_timer(config, now, TimerKind::Retransmission);
        }
    }

    /// A sample of the timed segment; else, after a retransmission, of the echoed timestamp.
    #[inline]
    fn take_sample(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) {
        if self.has(flag::TIMING) {
            if seg.ack.ge(self.rtt_seq) {
                self.flags &= !flag::TIMING;
                self.backoffs = 0;
                self.rto.on_sample(config, now - self.rtt_at);
            }
        } else if self.backoffs > 0
            && self.has(flag::TIMESTAMPS)
            && let Some(timestamps) = seg.options.timestamps
        {
            // RFC 7323 §4.1: the echo says which transmission was acknowledged. Milliseconds. An echo
            // from before the last transmission is no sample: a receiver that got the text earlier
            // answers the duplicate with the stamp it had then (RFC 7323 §5.3 R2), and a timeout of
            // the age of that stamp would follow.
            let rtt = self.ts_clock(now).wrapping_sub(timestamps.ecr);
            let since_sent = millis(now).wrapping_sub(self.sent_at);
            if rtt <= since_sent + since_sent / 16 + 2 {
                mark!(SampleByTimestamp);
                self.backoffs = 0;
                self.rto.on_sample(config, Duration::from_millis(u64::from(rtt.max(1))));
            } else {
                mark!(SampleRefused);
            }
        }
    }

    /// SEG.ACK = SND.UNA: perhaps a duplicate. RFC 5681 §2.
    #[inline]
    fn on_same_ack(&mut self, config: &Config, now: Instant, seg: &TcpSegment<'_>) {
        let duplicate = self.snd.max != self.snd.una
            && seg.seg_len() == 0
            && u32::from(seg.window) << self.snd_shift == self.snd.wnd
            && self.timer == TimerKind::Retransmission;
        if self.timer == TimerKind::ZeroWindowProbe && self.timer_at != NEVER {
            // RFC 9293 MUST-37: a peer that answers probes is alive, however long.
            self.retries = 0;
        }
        if !duplicate || !self.state.is_synchronized() {
            return;
        }
        match self.recovery.on_duplicate(self.snd.una, self.snd.max) {
            Verdict::Enter => {
                mark!(FastRetransmit);
                let flight = self.snd.max.since(self.snd.una);
                self.controller.on_enter_recovery(flight, self.mss());
                if !mutant!(SkippedRetransmission) {
                    self.flags |= flag::RETRANSMIT;
                }
                self.start_timer(config, now, TimerKind::Retransmission);
            }
            Verdict::Inflate => {
                mark!(RecoveryInflated);
                self.controller.on_duplicate_ack(self.mss());
            }
            _ => {}
        }
    }

    /// SND.WND, from a segment that is not older than the last that set it. §3.10.7.4.
    ///
    /// Deviates from RFC 9293 §3.10.7.4 in the order: the acknowledgement decides, then SEG.SEQ. A
    /// retransmission has an old SEG.SEQ with a new SEG.ACK; passing over its window while SND.UNA
    /// follows its acknowledgement would add the old window to the new edge, and allow more than
    /// the peer ever did.
    #[inline]
    fn update_window(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        advanced: bool,
    ) {
        // SND.WL2 is not kept: it is SND.UNA, since every new acknowledgement sets the window.
        if seg.ack != self.snd.una || (!advanced && self.snd.wl1.gt(seg.seq)) {
            mark!(WindowUpdateOld);
            return;
        }
        // The window of a SYN is never scaled. RFC 7323 §2.2.
        let shift = if seg.flags.contains(TcpFlags::SYN) { 0 } else { self.snd_shift };
        let wnd = u32::from(seg.window) << shift;
        self.snd.wl1 = seg.seq;
        if wnd > self.snd.wnd_max {
            self.snd.wnd_max = wnd;
        }
        let opened = self.snd.wnd == 0 && wnd > 0;
        if !advanced && wnd < self.snd.wnd {
            mark!(WindowShrunk);
        }
        if wnd == 0 && self.snd.wnd > 0 {
            mark!(WindowClosed);
        }
        self.snd.wnd = wnd;
        if opened {
            self.on_window_opened(config, now);
        }
    }

    /// The peer's window was zero: what was probed with is sent again at once, and the rest.
    #[cold]
    fn on_window_opened(&mut self, config: &Config, now: Instant) {
        self.flags &= !flag::PROBE;
        if self.timer == TimerKind::ZeroWindowProbe {
            mark!(WindowOpenedWhileProbing);
            self.backoffs = 0;
            self.retries = 0;
            self.snd.nxt = self.snd.una;
            self.timer_at = NEVER;
            if self.snd.max != self.snd.una {
                self.start_timer(config, now, TimerKind::Retransmission);
            }
        }
    }

    /// Our FIN was acknowledged. §3.10.7.4, fifth, FIN-WAIT-1 and following.
    #[cold]
    fn on_fin_acked(&mut self, config: &Config, now: Instant, arrival: &mut Arrival) -> Step {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.start_timer(config, now, TimerKind::FinWait2);
            }
            State::Closing => self.enter_time_wait(config, now, arrival),
            State::LastAck => {
                mark!(LastAckDone);
                return Err(Arrival { ended: Some(Ended::Finished), ..*arrival });
            }
            _ => {}
        }
        Ok(())
    }

    fn enter_time_wait(&mut self, config: &Config, now: Instant, arrival: &mut Arrival) {
        mark!(TimeWaitEntered);
        self.state = State::TimeWait;
        arrival.events = arrival.events | Events::TIME_WAIT;
        self.start_timer(config, now, TimerKind::TimeWait);
    }

    /// Seventh: process the segment text.
    #[inline]
    fn process_text<S: TextSink>(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        sink: &mut S,
        arrival: &mut Arrival,
    ) {
        if !self.state.can_receive() {
            // Text after FIN: §3.10.7.4 says that it should not occur, and to ignore it.
            arrival.drop = Some(Drop::TextAfterFin);
            self.flags |= flag::ACK_NOW;
            return;
        }
        // Trim to the window.
        let before = self.rcv.nxt.since(seg.seq);
        let (offset, text) = if seg.seq.lt(self.rcv.nxt) {
            mark!(TextTrimmedFront);
            (0, seg.payload.get(before as usize..).unwrap_or(&[]))
        } else {
            (seg.seq.since(self.rcv.nxt), seg.payload)
        };
        let room = self.rcv.len().saturating_sub(offset) as usize;
        if text.len() > room {
            mark!(TextTrimmedBack);
        }
        let text = &text[..text.len().min(room)];
        if text.is_empty() {
            self.flags |= flag::ACK_NOW;
            return;
        }
        let taken = sink.on_text(offset, text);
        if offset > 0 {
            mark!(TextOutOfOrder);
        } else if taken.fills_gap {
            mark!(GapFilled);
        }
        // At once where something is missing, was just filled, cut off or came before: RFC 5681 §4.2.
        let plain = offset == 0
            && text.len() == seg.payload.len()
            && taken.advance as usize == text.len()
            && !taken.fills_gap;
        self.note_taken(config, now, taken, plain);
    }

    /// The sink did this with text; `plain`: it was in order and all of it was taken.
    #[inline]
    pub(super) fn note_taken(&mut self, config: &Config, now: Instant, taken: Taken, plain: bool) {
        self.rcv.nxt += taken.advance;
        self.rcv.unread = taken.unread;
        if self.rcv.edge.lt(self.rcv.nxt) {
            self.rcv.edge = self.rcv.nxt;
        }
        // Once the application closed, what comes is dropped, and keeps nothing alive.
        if self.state == State::FinWait2 && !self.has(flag::CLOSING) {
            self.start_timer(config, now, TimerKind::FinWait2);
        }
        self.schedule_ack(config, now, plain);
    }

    /// RFC 9293 §3.8.6.3: at least every second segment; at once where the segment was not `plain`.
    #[inline]
    fn schedule_ack(&mut self, config: &Config, now: Instant, plain: bool) {
        let waiting = self.rcv.nxt.since(self.last_ack_sent);
        let plain = plain || mutant!(DuplicateAckDelayed);
        let segments = if mutant!(AckEveryFourth) { 4 } else { 2 };
        if !plain
            || waiting >= segments * u32::from(self.mss)
            || config.delayed_ack == Duration::ZERO
        {
            self.flags |= flag::ACK_NOW;
        } else if self.ack_at == NEVER && !mutant!(DelayedAckForgotten) {
            self.ack_at = now + config.delayed_ack;
        }
    }

    /// Eighth: check the FIN bit.
    #[cold]
    fn process_fin(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
        arrival: &mut Arrival,
    ) {
        self.flags |= flag::ACK_NOW;
        let fin: SeqNumber = seg.seq + seg.payload.len() as u32;
        if fin != self.rcv.nxt {
            // Text before it is missing, or it came before: the peer sends it again.
            mark!(FinOutOfOrder);
            return;
        }
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => {
                // Our FIN is not acknowledged, or we would be in FIN-WAIT-2.
                mark!(SimultaneousClose);
                self.state = State::Closing;
            }
            State::FinWait2 => self.enter_time_wait(config, now, arrival),
            State::TimeWait => {
                self.start_timer(config, now, TimerKind::TimeWait);
                return;
            }
            _ => return,
        }
        self.rcv.nxt += 1;
        self.rcv.edge = self.rcv.edge.max(self.rcv.nxt);
        arrival.events = arrival.events | Events::FIN;
    }

    /// §3.10.7.3: SYN-SENT.
    #[cold]
    fn on_segment_in_syn_sent(
        &mut self,
        config: &Config,
        now: Instant,
        seg: &TcpSegment<'_>,
    ) -> Result<Arrival, Arrival> {
        let has_ack = seg.flags.contains(TcpFlags::ACK);
        let ack_acceptable = has_ack && seg.ack.gt(self.snd.una) && seg.ack.le(self.snd.max);
        if has_ack && !ack_acceptable {
            return Err(Arrival::dropped(Drop::BadHandshakeAck));
        }
        if seg.flags.contains(TcpFlags::RST) {
            return Err(if ack_acceptable {
                mark!(ConnectionRefused);
                Arrival::ended(Ended::Refused)
            } else {
                Arrival::dropped(Drop::ResetNotForUs)
            });
        }
        if !seg.flags.contains(TcpFlags::SYN) {
            return Err(Arrival::dropped(Drop::NotSyn));
        }
        self.on_peer_syn(config, seg);
        let mut arrival = Arrival::default();
        if has_ack {
            self.establish(config, now, seg);
            arrival.events = Events::ESTABLISHED;
            self.flags |= flag::ACK_NOW;
        } else {
            mark!(SimultaneousOpen);
            // Simultaneous open: SYN-RECEIVED, and our SYN goes again with an ACK.
            self.state = State::SynReceived;
            self.flags |= flag::SEND_SYN;
        }
        // Text or FIN on a SYN is not taken: the peer sends them again. Deviates from RFC 9293
        // §3.10.7.3, which would queue them, because nobody sends them without TCP Fast Open.
        Ok(arrival)
    }
}
