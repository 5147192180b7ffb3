//! What a connection remembers: the transmission control block of RFC 9293 §3.3.1.

use super::Config;
use super::congestion::{CongestionControl, Controller};
use super::output::SegmentPlan;
use super::recovery::Recovery;
use super::rto::Rto;
use super::state::State;
use super::timers::{NEVER, TimerKind};
use super::why::Why;
use super::window::{self, ReceiveWindow};
use crate::marks::mark;
use crate::mutants::mutant;
use crate::seq::SeqNumber;
use crate::time::{Duration, Instant};
use crate::wire::tcp::{TIMESTAMPS_LEN, TcpFlags, TcpSegment};

/// MSS of a peer that does not say. RFC 9293 MUST-15.
const MSS_DEFAULT: u16 = 536;

/// Smallest MSS that is believed: less would make every segment a header.
const MSS_MIN: u16 = 64;

/// Things that are so or not so; bits of [`Tcb::flags`].
pub(super) mod flag {
    /// An ACK is to be sent now, with text or without.
    pub(in crate::tcp) const ACK_NOW: u16 = 1;
    /// Our SYN, or SYN-ACK, is to be sent.
    pub(in crate::tcp) const SEND_SYN: u16 = 1 << 1;
    /// The segment at SND.UNA is to be sent again, out of turn.
    pub(in crate::tcp) const RETRANSMIT: u16 = 1 << 2;
    /// The peer's window is zero and a probe is due.
    pub(in crate::tcp) const PROBE: u16 = 1 << 3;
    /// The source had nothing, or nothing that fits, since the last event.
    pub(in crate::tcp) const DECLINED: u16 = 1 << 4;
    /// The application closed: when the source has nothing more, the stream ends.
    pub(in crate::tcp) const CLOSING: u16 = 1 << 5;
    /// The stream ended at SND.NXT (before FIN is sent) or at `fin` (after).
    pub(in crate::tcp) const ENDED: u16 = 1 << 6;
    /// FIN was sent; it occupies the number `snd.fin`.
    pub(in crate::tcp) const FIN_SENT: u16 = 1 << 7;
    /// Timestamps were agreed on.
    pub(in crate::tcp) const TIMESTAMPS: u16 = 1 << 8;
    /// The segment `rtt_seq` is being timed.
    pub(in crate::tcp) const TIMING: u16 = 1 << 9;
    /// We opened: SYN-RECEIVED came by simultaneous open, and RST means refused.
    pub(in crate::tcp) const ACTIVE: u16 = 1 << 10;
    /// The peer offered window scaling and so did we.
    pub(in crate::tcp) const SCALING: u16 = 1 << 11;
    /// The congestion window was in full use since the last ACK.
    pub(in crate::tcp) const LIMITED: u16 = 1 << 12;
    /// The ACK that is to be sent is a challenge: for observers alone.
    pub(in crate::tcp) const CHALLENGE: u16 = 1 << 13;
}

/// SND of the RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Send {
    /// Oldest number not acknowledged.
    pub(super) una: SeqNumber,
    /// Next number to send. Goes back to `una` when the retransmission timer expires.
    pub(super) nxt: SeqNumber,
    /// One beyond the highest number ever sent.
    pub(super) max: SeqNumber,
    /// The number of our FIN, once sent.
    pub(super) fin: SeqNumber,
    /// Bytes that the peer takes beyond `una`, already scaled. RFC 9293 §3.8.6.
    pub(super) wnd: u32,
    /// The largest `wnd` ever.
    pub(super) wnd_max: u32,
    /// SEG.SEQ of the last window update.
    pub(super) wl1: SeqNumber,
}

/// One connection's TCP state. Plain data; knows no memory but its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcb {
    pub(super) snd: Send,
    pub(super) rcv: ReceiveWindow,
    pub(super) state: State,
    /// The peer's window shift.
    pub(super) snd_shift: u8,
    pub(super) flags: u16,
    /// SMSS: bytes of text per segment, options taken off.
    pub(super) mss: u16,
    /// What the timer at `timer_at` is for.
    pub(super) timer: TimerKind,
    /// Doublings of the timeout: expiries since the last sample (Karn). RFC 6298 (5.5).
    pub(super) backoffs: u8,
    /// Expiries since the peer last acknowledged something, or answered a probe: held to R2.
    pub(super) retries: u8,
    /// When `timer` expires; [`NEVER`] where none runs.
    pub(super) timer_at: Instant,
    /// When the delayed ACK is due; [`NEVER`] where none waits.
    pub(super) ack_at: Instant,
    /// Bytes of text acknowledged: the stream offset of SND.UNA.
    pub(super) acked: u64,
    /// TS.Recent. RFC 7323 §4.3.
    pub(super) ts_recent: u32,
    /// Added to the clock for TSval.
    pub(super) ts_offset: u32,
    /// Last.ACK.sent. RFC 7323 §4.3.
    pub(super) last_ack_sent: SeqNumber,
    /// The timed segment ends here.
    pub(super) rtt_seq: SeqNumber,
    /// When it was sent.
    pub(super) rtt_at: Instant,
    /// When text was sent last: [`millis`].
    pub(super) sent_at: u32,
    pub(super) rto: Rto,
    pub(super) controller: Controller,
    pub(super) recovery: Recovery,
    /// When a challenge ACK was sent last, in milliseconds of the clock.
    pub(super) challenged_at: u32,
    /// When TS.Recent was last confirmed: [`hours`]. RFC 7323 §5.5.
    pub(super) ts_recent_at: u16,
}

/// What there is to see of a connection, for dumps, captures and oracles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub struct Info {
    pub state: State,
    pub snd_una: SeqNumber,
    pub snd_nxt: SeqNumber,
    /// One beyond the highest number ever sent.
    pub snd_max: SeqNumber,
    pub snd_wnd: u32,
    pub rcv_nxt: SeqNumber,
    pub rcv_wnd: u32,
    pub mss: u32,
    pub cwnd: u32,
    pub ssthresh: u32,
    /// Bytes between `snd_una` and `snd_nxt`.
    pub flight: u32,
    /// Zero before the first sample.
    pub srtt: Duration,
    pub rttvar: Duration,
    /// The timeout, backoff included.
    pub rto: Duration,
    /// Expiries since the last sample.
    pub backoffs: u8,
    /// Expiries since the peer last acknowledged something.
    pub retries: u8,
    /// Whether fast recovery is under way.
    pub in_recovery: bool,
    /// What the segment at hand is sent for; None outside of [`crate::trace::Trace::on_sent`].
    pub why: Option<Why>,
}

impl Tcb {
    /// LISTEN received a SYN: SYN-RECEIVED, with the SYN-ACK to be sent. RFC 9293 §3.10.7.2.
    pub fn open_passive(
        config: &Config,
        now: Instant,
        syn: &TcpSegment<'_>,
        iss: SeqNumber,
        ts_offset: u32,
    ) -> Self {
        let mut tcb = Self::new(config, now, iss, ts_offset, State::SynReceived);
        tcb.on_peer_syn(config, syn);
        tcb
    }

    /// The user calls OPEN: SYN-SENT, with the SYN to be sent. RFC 9293 §3.10.1.
    pub fn open_active(config: &Config, now: Instant, iss: SeqNumber, ts_offset: u32) -> Self {
        let mut tcb = Self::new(config, now, iss, ts_offset, State::SynSent);
        tcb.flags |= flag::ACTIVE;
        tcb
    }

    fn new(config: &Config, now: Instant, iss: SeqNumber, ts_offset: u32, state: State) -> Self {
        let shift = if config.window_scaling {
            window::limit_shift(
                window::shift_for(config.receive_window).max(config.window_shift_min),
            )
        } else {
            0
        };
        let mss = MSS_DEFAULT.min(config.mss);
        Self {
            snd: Send {
                una: iss,
                nxt: iss,
                max: iss,
                fin: iss,
                wnd: 0,
                wnd_max: 0,
                wl1: SeqNumber(0),
            },
            rcv: ReceiveWindow { nxt: SeqNumber(0), edge: SeqNumber(0), unread: 0, shift },
            state,
            snd_shift: 0,
            flags: flag::SEND_SYN,
            mss,
            timer: TimerKind::Retransmission,
            backoffs: 0,
            retries: 0,
            timer_at: NEVER,
            ack_at: NEVER,
            acked: 0,
            ts_recent: 0,
            ts_offset,
            last_ack_sent: SeqNumber(0),
            rtt_seq: iss,
            rtt_at: now,
            sent_at: millis(now),
            rto: Rto::new(config),
            controller: Controller::new(config.congestion, initial_window(config, mss)),
            recovery: Recovery::new(iss),
            challenged_at: (now.as_millis() as u32)
                .wrapping_sub(config.challenge_ack_interval.as_millis() as u32),
            ts_recent_at: hours(now),
        }
    }

    /// Takes over what the peer's SYN says.
    pub(super) fn on_peer_syn(&mut self, config: &Config, syn: &TcpSegment<'_>) {
        let options = &syn.options;
        self.rcv.nxt = syn.seq + 1;
        self.last_ack_sent = self.rcv.nxt;
        if config.timestamps
            && let Some(timestamps) = options.timestamps
        {
            self.flags |= flag::TIMESTAMPS;
            self.ts_recent = timestamps.val;
        }
        match options.window_scale {
            Some(shift) if config.window_scaling => {
                self.flags |= flag::SCALING;
                self.snd_shift = window::limit_shift(shift);
            }
            _ => self.rcv.shift = 0,
        }
        let offered = options.mss.unwrap_or(MSS_DEFAULT).max(MSS_MIN).min(config.mss);
        let carried = if self.has(flag::TIMESTAMPS) { TIMESTAMPS_LEN as u16 } else { 0 };
        self.mss = offered.saturating_sub(carried).max(1);
        self.controller = Controller::new(config.congestion, initial_window(config, self.mss));
        // The window of a SYN is never scaled. RFC 7323 §2.2.
        let wnd = u32::from(syn.window);
        self.snd.wnd = wnd;
        self.snd.wnd_max = wnd;
        self.snd.wl1 = syn.seq;
        self.rcv.edge = self.rcv.nxt + config.receive_window.min(0xffff);
    }

    #[inline]
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Bytes of text that a segment carries, at most.
    #[inline]
    pub fn mss(&self) -> u32 {
        u32::from(self.mss)
    }

    /// Makes segments smaller: to a size for which they are prepared.
    ///
    /// # Panics
    /// Where `mss` is zero or larger than what the peer takes.
    pub fn set_mss(&mut self, mss: u32) {
        assert!((1..=u32::from(self.mss)).contains(&mss), "an MSS may only become smaller");
        self.mss = mss as u16;
    }

    /// Whether every segment carries timestamps.
    #[inline]
    pub fn uses_timestamps(&self) -> bool {
        self.has(flag::TIMESTAMPS)
    }

    /// Bytes of text that the peer acknowledged: the stream offset of SND.UNA.
    #[inline]
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether a number of ours has been sent before.
    #[inline]
    pub(crate) fn was_sent(&self, seq: SeqNumber) -> bool {
        seq.lt(self.snd.max)
    }

    /// The application closed: after what the source still has, FIN follows. RFC 9293 §3.10.4.
    pub fn close(&mut self) {
        self.flags |= flag::CLOSING;
        self.flags &= !flag::DECLINED;
    }

    /// The application aborted: the RST to send, where the state asks for one. The connection is to
    /// be removed. RFC 9293 §3.10.5.
    pub fn abort(&mut self, now: Instant) -> Option<SegmentPlan> {
        match self.state {
            State::SynSent | State::Closing | State::LastAck | State::TimeWait => {
                mark!(AbortSilent);
                None
            }
            _ => {
                mark!(AbortSent);
                let mut plan = self.plain_segment(now, TcpFlags::RST | TcpFlags::ACK);
                plan.window = 0;
                Some(plan)
            }
        }
    }

    /// The application took bytes that had been waiting for it.
    pub fn on_app_read(&mut self, config: &Config, bytes: u32) {
        self.rcv.unread = self.rcv.unread.saturating_sub(bytes);
        if self.state.can_receive()
            && self.rcv.is_worth_announcing(config.receive_window, u32::from(config.mss))
        {
            mark!(WindowUpdateSent);
            self.flags |= flag::ACK_NOW;
        }
    }

    /// Whether this connection, in TIME-WAIT, may make way for a new one by this SYN: its number,
    /// or its timestamp, lies beyond everything seen. RFC 9293 §3.10.7.4, RFC 6191.
    pub fn can_reuse(&self, syn: &TcpSegment<'_>) -> bool {
        let control = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST;
        if self.state != State::TimeWait || syn.flags.0 & control.0 != TcpFlags::SYN.0 {
            return false;
        }
        match syn.options.timestamps {
            Some(timestamps) if self.has(flag::TIMESTAMPS) => {
                let age = timestamps.val.wrapping_sub(self.ts_recent) as i32;
                age > 0 || (age == 0 && syn.seq.gt(self.rcv.nxt))
            }
            _ => syn.seq.gt(self.rcv.nxt),
        }
    }

    /// What there is to see.
    pub fn info(&self, config: &Config) -> Info {
        Info {
            state: self.state,
            snd_una: self.snd.una,
            snd_nxt: self.snd.nxt,
            snd_max: self.snd.max,
            snd_wnd: self.snd.wnd,
            rcv_nxt: self.rcv.nxt,
            rcv_wnd: self.rcv.len(),
            mss: self.mss(),
            cwnd: self.controller.window(),
            ssthresh: self.controller.ssthresh(),
            flight: self.snd.nxt.since(self.snd.una),
            srtt: self.rto.srtt(),
            rttvar: self.rto.rttvar(),
            rto: self.rto.timeout(config, self.backoffs),
            backoffs: self.backoffs,
            retries: self.retries,
            in_recovery: self.recovery.is_active(),
            why: None,
        }
    }

    /// What there is to see once a segment that ends before `end` was sent for the reason `why`,
    /// whether TCP was told of it or will be later.
    pub(crate) fn info_behind(&self, config: &Config, end: SeqNumber, why: Why) -> Info {
        let mut info = self.info(config);
        info.why = Some(why);
        info.snd_nxt = info.snd_nxt.max(end);
        info.snd_max = info.snd_max.max(end);
        info.flight = info.snd_nxt.since(info.snd_una);
        info
    }

    /// Checks what must hold between two events.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn audit(&self) -> Result<(), &'static str> {
        let Send { una, nxt, max, .. } = self.snd;
        if !(una.le(nxt) && nxt.le(max)) {
            return Err("SND.UNA <= SND.NXT <= highest sent does not hold");
        }
        let outstanding = max.since(una);
        if outstanding > self.snd.wnd_max.saturating_add(2) {
            return Err("more is outstanding than the peer's window ever allowed");
        }
        if outstanding > 0 && self.timer_at == NEVER && !self.has(flag::RETRANSMIT) {
            return Err("numbers are outstanding and no timer runs");
        }
        if self.has(flag::FIN_SENT) && self.snd.fin + 1 != max {
            return Err("something was sent after FIN");
        }
        if self.mss == 0 || self.controller.window() == 0 {
            return Err("the MSS or the congestion window is zero");
        }
        Ok(())
    }

    /// TSval of a segment sent now: milliseconds. RFC 7323 §5.4.
    #[inline]
    pub(super) fn ts_clock(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.ts_offset)
    }
}

/// IW of RFC 6928 §2: so many segments, of Ethernet's size where they are larger, but two at least.
pub(super) fn initial_window(config: &Config, mss: u16) -> u32 {
    let (segments, mss) = (u32::from(config.initial_window_segments.max(1)), u32::from(mss));
    let segments = if mutant!(InitialWindowTripled) { 3 * segments } else { segments };
    (segments * mss).min((segments * 1_460).max(2 * mss))
}

/// Time in units of 2⁴² ns, a little more than an hour: wraps after nine years.
#[inline]
pub(super) fn hours(now: Instant) -> u16 {
    (now.as_nanos() >> 42) as u16
}

/// Time in units of 2²⁰ ns, a little more than a millisecond: wraps after 52 days.
#[inline]
pub(super) fn millis(now: Instant) -> u32 {
    (now.as_nanos() >> 20) as u32
}
