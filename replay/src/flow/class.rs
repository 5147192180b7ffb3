//! What becomes of a connection in a capture: a class, and the reason for it.

use std::fmt;

/// What a capture holds of a connection. The first that applies, in the order of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Neither end is the server that was asked for.
    NotToTheServer,
    /// SYN, and no answer.
    SynOnly,
    /// SYN, answered by RST.
    Refused,
    /// SYN and SYN-ACK, and then nothing from the client.
    HandshakeUnfinished,
    /// Segments of one side alone.
    OneDirectionOnly,
    /// No SYN of either side.
    StartsInTheMiddle,
    /// The SYN of one side was not captured.
    HandshakeMissing,
    /// Bytes were acknowledged that the capture does not hold.
    GapInTheCapture,
    /// Neither closed nor reset.
    EndsInTheMiddle,
    /// From SYN to the end.
    Complete,
}

impl Class {
    /// Every class, in the order of the type.
    pub const ALL: [Self; 10] = [
        Self::NotToTheServer,
        Self::SynOnly,
        Self::Refused,
        Self::HandshakeUnfinished,
        Self::OneDirectionOnly,
        Self::StartsInTheMiddle,
        Self::HandshakeMissing,
        Self::GapInTheCapture,
        Self::EndsInTheMiddle,
        Self::Complete,
    ];

    /// Lower case, underscores: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotToTheServer => "not_to_the_server",
            Self::SynOnly => "syn_only",
            Self::Refused => "refused",
            Self::HandshakeUnfinished => "handshake_unfinished",
            Self::OneDirectionOnly => "one_direction_only",
            Self::StartsInTheMiddle => "starts_in_the_middle",
            Self::HandshakeMissing => "handshake_missing",
            Self::GapInTheCapture => "gap_in_the_capture",
            Self::EndsInTheMiddle => "ends_in_the_middle",
            Self::Complete => "complete",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotToTheServer => "not to the server",
            Self::SynOnly => "SYN only",
            Self::Refused => "refused",
            Self::HandshakeUnfinished => "handshake unfinished",
            Self::OneDirectionOnly => "one direction only",
            Self::StartsInTheMiddle => "starts in the middle",
            Self::HandshakeMissing => "handshake missing",
            Self::GapInTheCapture => "gap in the capture",
            Self::EndsInTheMiddle => "ends in the middle",
            Self::Complete => "complete",
        })
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who accepted it.
    Server,
}

impl Side {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Place in an array of two: the client first.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// Why a connection is no longer followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides sent FIN and had it acknowledged.
    Closed,
    /// RST of a side.
    Reset(Side),
    /// A SYN with other numbers began another connection between the same ends.
    Replaced,
    /// There were more connections at once than are followed, and this one was silent longest.
    Evicted,
    /// The capture ended.
    EndOfCapture,
}

impl Ending {
    /// Lower case, underscores: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset(Side::Client) => "reset_by_client",
            Self::Reset(Side::Server) => "reset_by_server",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::EndOfCapture => "end_of_capture",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by both sides"),
            Self::Reset(side) => write!(f, "reset by the {side}"),
            Self::Replaced => f.write_str("open when another began between the same ends"),
            Self::Evicted => f.write_str("silent longest of too many at once"),
            Self::EndOfCapture => f.write_str("open at the end of the capture"),
        }
    }
}

/// A class and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The class.
    pub class: Class,
    /// Why it is of this class.
    pub reason: Reason,
}

/// Why a connection is of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither end is the server that was asked for.
    OtherServer,
    /// So many SYNs, and how the wait for an answer ended.
    NoAnswer {
        /// SYN segments of the client.
        syns: u64,
        /// How the wait ended.
        ending: Ending,
    },
    /// RST in answer to SYN.
    RstOnSyn,
    /// The SYN-ACK was not answered.
    NoAckOfSynAck(Ending),
    /// Only this side was captured.
    Only(Side),
    /// No SYN of either side.
    NoSyns,
    /// No SYN of this side.
    NoSynOf(Side),
    /// Acknowledged and not captured.
    Gap {
        /// Whose bytes.
        of: Side,
        /// How many, of both sides.
        bytes: u64,
        /// The frame whose acknowledgement showed it first.
        frame: u64,
    },
    /// How it ended, or did not.
    Ended(Ending),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherServer => f.write_str("neither end is the server that was asked for"),
            Self::NoAnswer { syns: 1, ending } => write!(f, "one SYN, no answer, {ending}"),
            Self::NoAnswer { syns, ending } => write!(f, "{syns} SYNs, no answer, {ending}"),
            Self::RstOnSyn => f.write_str("RST answers SYN"),
            Self::NoAckOfSynAck(ending) => write!(f, "no ACK of the SYN-ACK, {ending}"),
            Self::Only(side) => write!(f, "only frames of the {side}"),
            Self::NoSyns => f.write_str("no SYN of either side"),
            Self::NoSynOf(Side::Client) => f.write_str("no SYN of the client"),
            Self::NoSynOf(Side::Server) => f.write_str("no SYN-ACK of the server"),
            Self::Gap { of, bytes, frame } => write!(
                f,
                "{bytes} bytes acknowledged and not captured, first the {of}'s, by frame {frame}"
            ),
            Self::Ended(ending) => ending.fmt(f),
        }
    }
}
