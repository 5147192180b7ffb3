//! The states of a connection, and what the arrival of a segment comes to.

use core::ops::BitOr;

/// State of a connection. RFC 9293 §3.3.2. LISTEN and CLOSED have no control block here: LISTEN is
/// the stack's list of ports, CLOSED is the absence of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl State {
    /// Whether text may still be sent.
    #[inline]
    pub const fn can_send(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait)
    }

    /// Whether the peer may still send text.
    #[inline]
    pub const fn can_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether the connection has been ESTABLISHED: everything but the two SYN states.
    #[inline]
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::SynSent | Self::SynReceived)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both FINs were acknowledged, and TIME-WAIT passed where there was one.
    Finished,
    /// The peer reset it.
    Reset,
    /// The peer answered our SYN with RST.
    Refused,
    /// The peer stopped answering.
    TimedOut,
}

/// What happened to the connection while a segment was processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u8);

impl Events {
    /// Nothing to tell.
    pub const NONE: Self = Self(0);
    /// The connection reached ESTABLISHED (or a later state at once).
    pub const ESTABLISHED: Self = Self(1);
    /// The peer's FIN was taken, in order: no text will follow.
    pub const FIN: Self = Self(2);
    /// The connection entered TIME-WAIT.
    pub const TIME_WAIT: Self = Self(4);

    /// Whether all of `other` happened.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Events {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What came of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Bytes of text that it newly acknowledged. SYN and FIN do not count.
    pub acked: u32,
    /// What happened.
    pub events: Events,
    /// Why it was dropped, or answered with a challenge, where it was.
    pub drop: Option<Drop>,
    /// The connection is over: remove it.
    pub ended: Option<Ended>,
}

impl Arrival {
    /// Whether the segment did nothing but acknowledge and bring text.
    #[inline]
    pub fn is_ordinary(&self) -> bool {
        self.events == Events::NONE && self.drop.is_none() && self.ended.is_none()
    }

    /// Whether the segment is to be answered with [`super::reset_for`] it.
    #[inline]
    pub fn asks_for_reset(&self) -> bool {
        self.drop == Some(Drop::BadHandshakeAck)
    }

    pub(super) fn dropped(why: Drop) -> Self {
        Self { drop: Some(why), ..Self::default() }
    }

    pub(super) fn ended(how: Ended) -> Self {
        Self { ended: Some(how), ..Self::default() }
    }
}

/// Why a segment was dropped. RFC 9293 §3.10.7, RFC 5961, RFC 7323.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// No octet of it lies in the receive window.
    OutsideWindow,
    /// Its timestamp is older than one seen before. RFC 7323 §5.3 R1.
    PawsFailed,
    /// It carries no timestamp, though timestamps were agreed on. RFC 7323 §3.2.
    TimestampMissing,
    /// It acknowledges what was never sent. RFC 9293 §3.10.7.4, RFC 5961 §5.
    AckBeyondSndNxt,
    /// Its acknowledgement is older than the largest window ever announced. RFC 5961 §5.
    AckTooOld,
    /// A synchronized connection's segment without ACK.
    AckMissing,
    /// RST in the window but not at RCV.NXT. RFC 5961 §3.
    BadResetSequence,
    /// RST in SYN-SENT that does not acknowledge our SYN.
    ResetNotForUs,
    /// SYN for a synchronized connection. RFC 5961 §4.
    SynInWindow,
    /// An acknowledgement in SYN-SENT or SYN-RECEIVED that is not of our SYN: answered with RST.
    BadHandshakeAck,
    /// Text after the peer's FIN.
    TextAfterFin,
    /// Neither SYN nor RST in SYN-SENT.
    NotSyn,
}

impl Drop {
    /// Kinds of drop: the length of a table of counters indexed by `drop as usize`.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, in the order of a table indexed by `drop as usize`.
    pub const ALL: [Self; 12] = [
        Self::OutsideWindow,
        Self::PawsFailed,
        Self::TimestampMissing,
        Self::AckBeyondSndNxt,
        Self::AckTooOld,
        Self::AckMissing,
        Self::BadResetSequence,
        Self::ResetNotForUs,
        Self::SynInWindow,
        Self::BadHandshakeAck,
        Self::TextAfterFin,
        Self::NotSyn,
    ];
}
