//! What the time of a turn went into: nine causes, each of one or more kinds of wait.

use std::ops::AddAssign;

/// What held an answer up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Opening the connection.
    Handshake,
    /// The server had nothing to send, or did not read.
    Application,
    /// The server's congestion window: it waited for acknowledgements.
    CongestionWindow,
    /// The client's receive window.
    ReceiverWindow,
    /// Repairing a loss that later segments showed.
    FastRecovery,
    /// Repairing a loss that only a timer showed.
    Rto,
    /// The server spread its segments on purpose.
    Pacing,
    /// The client asked or acknowledged, and the path's one round trip that every turn takes.
    Client,
    /// Nothing seen explains it.
    Unknown,
}

impl Cause {
    /// Every cause, in the order of the type.
    pub const ALL: [Self; 9] = [
        Self::Handshake,
        Self::Application,
        Self::CongestionWindow,
        Self::ReceiverWindow,
        Self::FastRecovery,
        Self::Rto,
        Self::Pacing,
        Self::Client,
        Self::Unknown,
    ];

    /// Lower case, underscores: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Application => "application",
            Self::CongestionWindow => "congestion_window",
            Self::ReceiverWindow => "receiver_window",
            Self::FastRecovery => "fast_recovery",
            Self::Rto => "rto",
            Self::Pacing => "pacing",
            Self::Client => "client",
            Self::Unknown => "unknown",
        }
    }

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Application => "application",
            Self::CongestionWindow => "congestion window",
            Self::ReceiverWindow => "receiver window",
            Self::FastRecovery => "fast recovery",
            Self::Rto => "RTO",
            Self::Pacing => "pacing",
            Self::Client => "client and path",
            Self::Unknown => "unknown",
        }
    }
}

/// A kind of wait. The rule for each is in the table of [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Wait {
    /// SYN to the acknowledgement of SYN-ACK.
    Handshake,
    /// The part of it until SYN or SYN-ACK was sent again.
    HandshakeLost,
    /// Last byte of the request to first byte of the answer.
    Think,
    /// Within an answer, with room in every window.
    Pause,
    /// A short segment that waited for the acknowledgement of all before it.
    Nagle,
    /// The server's closed window held up the request.
    NotReading,
    /// Acknowledgements, while the window was at its largest yet.
    SlowStart,
    /// Acknowledgements.
    Congestion,
    /// The client's window was full.
    WindowFull,
    /// The client's window was closed.
    WindowZero,
    /// Fast retransmission, and what followed until it was repaired.
    FastRecovery,
    /// RTO, where nothing behind the loss arrived.
    RtoTail,
    /// RTO, where a retransmission was lost as well.
    RtoAgain,
    /// RTO, with too few signs of the loss for a fast retransmission.
    RtoFewSigns,
    /// What followed an RTO until it was repaired.
    RtoRepair,
    /// A probe for a tail loss (RFC 8985 §7), before an RTO.
    TailProbe,
    /// Even distances without acknowledgements.
    Pacing,
    /// First byte of the request to its last.
    Upload,
    /// A part of the request was sent again.
    RequestLost,
    /// The handshake's end to the first byte of the first request.
    Asking,
    /// Last byte of the answer to its acknowledgement.
    LastAck,
    /// The way to the server and back, where the capture is not at the server.
    Path,
    /// Segments on each other's heels.
    BackToBack,
    /// Even distances without acknowledgements, seen elsewhere than at the server.
    Spread,
    /// The capture lacks what was sent in between.
    Missing,
    /// Anything else.
    Unclear,
}

impl Wait {
    /// Every kind, in the order of the type.
    pub const ALL: [Self; 26] = [
        Self::Handshake,
        Self::HandshakeLost,
        Self::Think,
        Self::Pause,
        Self::Nagle,
        Self::NotReading,
        Self::SlowStart,
        Self::Congestion,
        Self::WindowFull,
        Self::WindowZero,
        Self::FastRecovery,
        Self::RtoTail,
        Self::RtoAgain,
        Self::RtoFewSigns,
        Self::RtoRepair,
        Self::TailProbe,
        Self::Pacing,
        Self::Upload,
        Self::RequestLost,
        Self::Asking,
        Self::LastAck,
        Self::Path,
        Self::BackToBack,
        Self::Spread,
        Self::Missing,
        Self::Unclear,
    ];

    /// The cause that it counts to.
    pub const fn cause(self) -> Cause {
        match self {
            Self::Handshake | Self::HandshakeLost => Cause::Handshake,
            Self::Think | Self::Pause | Self::Nagle | Self::NotReading => Cause::Application,
            Self::SlowStart | Self::Congestion => Cause::CongestionWindow,
            Self::WindowFull | Self::WindowZero => Cause::ReceiverWindow,
            Self::FastRecovery => Cause::FastRecovery,
            Self::RtoTail
            | Self::RtoAgain
            | Self::RtoFewSigns
            | Self::RtoRepair
            | Self::TailProbe => Cause::Rto,
            Self::Pacing => Cause::Pacing,
            Self::Upload | Self::RequestLost | Self::Asking | Self::LastAck | Self::Path => {
                Cause::Client
            }
            Self::BackToBack | Self::Spread | Self::Missing | Self::Unclear => Cause::Unknown,
        }
    }

    /// Lower case, underscores: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::HandshakeLost => "handshake_lost",
            Self::Think => "think",
            Self::Pause => "pause",
            Self::Nagle => "nagle",
            Self::NotReading => "not_reading",
            Self::SlowStart => "slow_start",
            Self::Congestion => "congestion",
            Self::WindowFull => "window_full",
            Self::WindowZero => "window_zero",
            Self::FastRecovery => "fast_recovery",
            Self::RtoTail => "rto_tail",
            Self::RtoAgain => "rto_again",
            Self::RtoFewSigns => "rto_few_signs",
            Self::RtoRepair => "rto_repair",
            Self::TailProbe => "tail_probe",
            Self::Pacing => "pacing",
            Self::Upload => "upload",
            Self::RequestLost => "request_lost",
            Self::Asking => "asking",
            Self::LastAck => "last_ack",
            Self::Path => "path",
            Self::BackToBack => "back_to_back",
            Self::Spread => "spread",
            Self::Missing => "missing",
            Self::Unclear => "unclear",
        }
    }

    /// A finding in words; none for waits that are no finding: what every turn has, and what is
    /// not known.
    pub const fn finding(self) -> Option<&'static str> {
        Some(match self {
            Self::HandshakeLost => "SYN or SYN-ACK lost, sent again by timer",
            Self::Think => "the application thought before its first byte",
            Self::Pause => "the application paused within answers",
            Self::Nagle => "short segments waited for an ACK (Nagle; TCP_NODELAY)",
            Self::NotReading => "the application did not read the request",
            Self::SlowStart => "slow start: the congestion window was still growing",
            Self::Congestion => "the congestion window was full",
            Self::WindowFull => "the client's receive window was full",
            Self::WindowZero => "the client's receive window was closed",
            Self::FastRecovery => "loss, repaired by fast retransmission",
            Self::RtoTail => "tail loss, repaired by RTO",
            Self::RtoAgain => "a retransmission was lost, repaired by RTO",
            Self::RtoFewSigns => "loss with too few duplicate ACKs, repaired by RTO",
            Self::RtoRepair => "sending again after an RTO",
            Self::TailProbe => "tail loss, repaired by a probe",
            Self::Pacing => "the server paced its segments",
            Self::Upload => "the client was slow to send its request",
            Self::RequestLost => "the request was lost, sent again by the client",
            Self::Handshake
            | Self::Asking
            | Self::LastAck
            | Self::Path
            | Self::BackToBack
            | Self::Spread
            | Self::Missing
            | Self::Unclear => return None,
        })
    }
}

/// Nanoseconds by kind of wait, in the order of [`Wait::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Division {
    nanos: [u64; Wait::ALL.len()],
}

impl Division {
    /// Adds to a kind.
    pub(super) fn add(&mut self, wait: Wait, nanos: u64) {
        self.nanos[wait as usize] += nanos;
    }

    /// Nanoseconds of a kind.
    pub fn of(&self, wait: Wait) -> u64 {
        self.nanos[wait as usize]
    }

    /// Nanoseconds of a cause.
    pub fn of_cause(&self, cause: Cause) -> u64 {
        let of_it = Wait::ALL.iter().filter(|wait| wait.cause() == cause);
        of_it.fold(0, |sum, wait| sum.saturating_add(self.of(*wait)))
    }

    /// All of it. Sums over many turns stop at the most that 64 bits hold.
    pub fn total(&self) -> u64 {
        self.nanos.iter().fold(0, |sum, nanos| sum.saturating_add(*nanos))
    }

    /// The kinds that took any time, with it.
    pub fn parts(&self) -> impl Iterator<Item = (Wait, u64)> + '_ {
        Wait::ALL.into_iter().map(|wait| (wait, self.of(wait))).filter(|(_, nanos)| *nanos > 0)
    }
}

impl AddAssign for Division {
    fn add_assign(&mut self, other: Self) {
        for (sum, nanos) in self.nanos.iter_mut().zip(other.nanos) {
            *sum = sum.saturating_add(nanos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_causes_stand_at_their_places_and_have_names_of_their_own() {
        let mut names: Vec<_> = Wait::ALL.iter().map(|wait| wait.name()).collect();
        assert!(Wait::ALL.iter().enumerate().all(|(n, wait)| *wait as usize == n));
        assert!(Cause::ALL.iter().enumerate().all(|(n, cause)| *cause as usize == n));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Wait::ALL.len());
    }

    #[test]
    fn causes_add_up_to_the_whole() {
        let mut division = Division::default();
        for (n, wait) in Wait::ALL.into_iter().enumerate() {
            division.add(wait, 1 << n);
        }
        let sum: u64 = Cause::ALL.iter().map(|cause| division.of_cause(*cause)).sum();
        assert_eq!(sum, division.total());
        assert_eq!(division.parts().count(), Wait::ALL.len());
    }
}
