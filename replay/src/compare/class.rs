//! What differences are called.

use super::sent::Again;
use std::fmt;

/// What kind of difference, in the order in which equals are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// One sent again by fast retransmit what the other did not, or not then.
    FastRetransmit,
    /// The same in the course of a recovery, from hole to hole.
    PartialAck,
    /// The same by a retransmission timer that ran out.
    Timeout,
    /// The same, or something new, to hear of a window that is closed.
    WindowProbe,
    /// The last segment again, to hear of a loss at the end.
    TailProbe,
    /// The same for a SYN.
    SynAgain,
    /// The same for a reason that cannot be told.
    OtherAgain,
    /// The captured server sent again what had arrived, and ours did not.
    Spurious,
    /// The congestion window let one send what the other held back.
    CongestionWindow,
    /// The client's window, as one of them understood it, held something back.
    ClientWindow,
    /// The window announced to the client.
    AnnouncedWindow,
    /// The same octets in other pieces.
    Segmentation,
    /// The options of a SYN-ACK or of a later segment.
    Options,
    /// ECN: the IP field, ECE or CWR.
    Ecn,
    /// FIN or RST, where the other sent none.
    FinOrReset,
    /// Other octets at the same place of the stream.
    Octets,
    /// The status of an answer in HTTP, or a field of its head.
    HttpHead,
    /// An acknowledgement that the other did not send.
    Acknowledgement,
    /// The client acknowledged a part of a segment.
    PartOfSegment,
    /// PSH.
    Push,
    /// The same segment at another time.
    Timing,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 21] = [
        Self::FastRetransmit,
        Self::PartialAck,
        Self::Timeout,
        Self::WindowProbe,
        Self::TailProbe,
        Self::SynAgain,
        Self::OtherAgain,
        Self::Spurious,
        Self::CongestionWindow,
        Self::ClientWindow,
        Self::AnnouncedWindow,
        Self::Segmentation,
        Self::Options,
        Self::Ecn,
        Self::FinOrReset,
        Self::Octets,
        Self::HttpHead,
        Self::Acknowledgement,
        Self::PartOfSegment,
        Self::Push,
        Self::Timing,
    ];

    /// The name in JSON: lower case, underscores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastRetransmit => "retransmission_fast",
            Self::PartialAck => "retransmission_partial_ack",
            Self::Timeout => "retransmission_timeout",
            Self::WindowProbe => "retransmission_window_probe",
            Self::TailProbe => "retransmission_tail_probe",
            Self::SynAgain => "retransmission_syn",
            Self::OtherAgain => "retransmission_other",
            Self::Spurious => "retransmission_spurious",
            Self::CongestionWindow => "window_congestion",
            Self::ClientWindow => "window_client",
            Self::AnnouncedWindow => "window_announced",
            Self::Segmentation => "segmentation",
            Self::Options => "options",
            Self::Ecn => "ecn",
            Self::FinOrReset => "fin_or_rst",
            Self::Octets => "octets",
            Self::HttpHead => "http_head",
            Self::Acknowledgement => "acknowledgement",
            Self::PartOfSegment => "ack_of_part",
            Self::Push => "push",
            Self::Timing => "timing",
        }
    }

    /// Whether what both send afterwards cannot be laid side by side any more.
    pub const fn parts_the_ways(self) -> bool {
        !matches!(
            self,
            Self::AnnouncedWindow
                | Self::Options
                | Self::Ecn
                | Self::Octets
                | Self::HttpHead
                | Self::Acknowledgement
                | Self::PartOfSegment
                | Self::Push
                | Self::Timing
        )
    }

    /// What sending something again is called.
    pub const fn of(again: Again) -> Self {
        match again {
            Again::Fast => Self::FastRetransmit,
            Again::Partial => Self::PartialAck,
            Again::Timeout => Self::Timeout,
            Again::WindowProbe => Self::WindowProbe,
            Again::TailProbe => Self::TailProbe,
            Again::Syn => Self::SynAgain,
            Again::Other => Self::OtherAgain,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FastRetransmit => "retransmission: fast",
            Self::PartialAck => "retransmission: partial ACK",
            Self::Timeout => "retransmission: timeout",
            Self::WindowProbe => "retransmission: window probe",
            Self::TailProbe => "retransmission: tail probe",
            Self::SynAgain => "retransmission: SYN",
            Self::OtherAgain => "retransmission: other",
            Self::Spurious => "retransmission: spurious",
            Self::CongestionWindow => "window: congestion",
            Self::ClientWindow => "window: the client's",
            Self::AnnouncedWindow => "window: announced",
            Self::Segmentation => "segmentation",
            Self::Options => "options",
            Self::Ecn => "ECN",
            Self::FinOrReset => "FIN or RST",
            Self::Octets => "other octets",
            Self::HttpHead => "HTTP status or header",
            Self::Acknowledgement => "acknowledgement",
            Self::PartOfSegment => "ACK of a part of a segment",
            Self::Push => "PSH",
            Self::Timing => "timing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_stands_at_its_place_and_has_a_name_of_its_own() {
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            assert_eq!(Class::ALL.iter().filter(|other| other.name() == class.name()).count(), 1);
        }
    }
}
