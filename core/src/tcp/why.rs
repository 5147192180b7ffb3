//! Why a segment is sent, for observers. Decides nothing: it names what `input`, `timers` and
//! `output` have decided.

use super::output::SegmentPlan;
use super::tcb::{Tcb, flag};
use crate::seq::SeqNumber;
use crate::wire::tcp::TcpFlags;
use core::fmt;

/// Why a segment of a connection is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Text that was not sent before.
    NewText,
    /// The third duplicate ACK: the segment at SND.UNA again. RFC 5681 §3.2.
    FastRetransmit,
    /// A partial ACK in recovery: the next hole. RFC 6582 §3.2.
    PartialAck,
    /// A retransmission timer ran out: text, SYN or FIN again, from SND.UNA on. RFC 6298 (5.4).
    Timeout,
    /// The peer's window is zero, or too small for too long. RFC 9293 §3.8.6.1.
    WindowProbe,
    /// SYN or SYN-ACK: the first, or one for a peer that did not get it.
    Syn,
    /// The first FIN, without text.
    Fin,
    /// An acknowledgement, or a window update.
    Ack,
    /// An ACK that challenges a segment that may be forged. RFC 5961.
    ChallengeAck,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::NewText,
        Self::FastRetransmit,
        Self::PartialAck,
        Self::Timeout,
        Self::WindowProbe,
        Self::Syn,
        Self::Fin,
        Self::Ack,
        Self::ChallengeAck,
    ];

    /// Whether something was sent before and is sent again.
    pub const fn is_retransmission(self) -> bool {
        matches!(self, Self::FastRetransmit | Self::PartialAck | Self::Timeout)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewText => "new text",
            Self::FastRetransmit => "fast retransmit",
            Self::PartialAck => "retransmit after a partial ACK",
            Self::Timeout => "retransmit after a timeout",
            Self::WindowProbe => "window probe",
            Self::Syn => "SYN",
            Self::Fin => "FIN",
            Self::Ack => "ACK",
            Self::ChallengeAck => "challenge ACK",
        })
    }
}

/// What decides why the next segment is sent: looked at before [`Tcb::poll_output`], which uses it
/// up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Motive {
    /// One beyond the highest number sent so far.
    max: SeqNumber,
    /// The segment at SND.UNA is next, for this reason.
    out_of_turn: Option<Why>,
    challenge: bool,
    timed_out: bool,
}

impl Motive {
    /// Before anything was looked at.
    pub(crate) const NONE: Self =
        Self { max: SeqNumber(0), out_of_turn: None, challenge: false, timed_out: false };

    /// Why text that begins at `seq` is sent.
    pub(crate) fn of_text(&self, seq: SeqNumber) -> Why {
        match self.out_of_turn {
            Some(why) => why,
            None if seq.lt(self.max) => Why::Timeout,
            None => Why::NewText,
        }
    }

    /// Why a segment without text is sent.
    pub(crate) fn of_plan(&self, plan: &SegmentPlan) -> Why {
        if plan.flags.contains(TcpFlags::SYN) {
            if self.timed_out { Why::Timeout } else { Why::Syn }
        } else if plan.flags.contains(TcpFlags::FIN) {
            if plan.seq.lt(self.max) { Why::Timeout } else { Why::Fin }
        } else if self.challenge {
            Why::ChallengeAck
        } else {
            Why::Ack
        }
    }
}

impl Tcb {
    /// What decides why the next segment is sent.
    pub(crate) fn motive(&self) -> Motive {
        let out_of_turn = if self.has(flag::PROBE) {
            Some(Why::WindowProbe)
        } else if self.has(flag::RETRANSMIT) {
            let partial = self.recovery.saw_partial();
            Some(if partial { Why::PartialAck } else { Why::FastRetransmit })
        } else {
            None
        };
        Motive {
            max: self.snd.max,
            out_of_turn,
            challenge: self.has(flag::CHALLENGE),
            timed_out: self.retries > 0,
        }
    }
}
