//! The promises, each with its RFC, and what one that was broken looks like.

use super::super::FlowName;
use std::fmt;

macro_rules! promises {
    ($($(#[doc = $doc:literal])+ $name:ident: $rfc:literal;)*) => {
        /// What TCP promises. The sender of a segment, or of none, is the one who promised.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Promise {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Promise {
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// All of them, in the order of a table indexed by `promise as usize`.
            pub const ALL: [Self; [$($rfc),*].len()] = [$(Self::$name),*];

            /// Where it is made.
            pub const fn rfc(self) -> &'static str {
                match self { $(Self::$name => $rfc,)* }
            }

            /// What is promised.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)* }
            }

            /// Its name in the code.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

promises! {
    /// A segment acknowledges exactly the numbers that came in order.
    AckExact: "RFC 9293 §3.10.7.4 seventh, §3.4";
    /// Text in order is acknowledged within the delay, and two full segments at once.
    AckInTime: "RFC 9293 §3.8.6.3 MUST-40 SHLD-18 SHLD-19, RFC 5681 §4.2";
    /// What came out of order, again, or into a gap is acknowledged at once; so is FIN.
    AckAtOnce: "RFC 5681 §4.2, RFC 9293 §3.10.7.4 eighth";
    /// A segment outside the window, or that fails PAWS, is answered with an ACK if it had a length.
    AckOfUnacceptable: "RFC 9293 §3.10.7.4 first, RFC 7323 §5.3 R1";
    /// A suspicious RST, SYN or ACK is answered with a challenge, once an interval.
    ChallengeAck: "RFC 5961 §3.2 §4.2 §5.2 §7";
    /// An ACK without text has a cause: something came, the window moved, or a challenge was due.
    AckHasCause: "RFC 9293 §3.10.7.4, RFC 5961 §7";
    /// The right edge of the window that is announced does not move left.
    WindowKept: "RFC 9293 §3.8.6 SHLD-14";
    /// Nothing is sent beyond the peer's present window, but a probe of one byte.
    SendWindow: "RFC 9293 §3.8.6 MUST-35 §3.8.6.1";
    /// No more is in flight than the congestion window allows.
    CongestionWindow: "RFC 5681 §3.1 §3.2 §4.1, RFC 6582 §3.2, RFC 3465 §2, RFC 6928 §2";
    /// The third duplicate ACK, and a partial ACK, make the first segment go again at once.
    FastRetransmit: "RFC 5681 §3.2, RFC 6582 §3.2 steps 2 and 3";
    /// The retransmission timer does not expire before RTO has passed.
    TimeoutNotEarly: "RFC 6298 §2 §5";
    /// What is outstanding is sent again, or probed for, when RTO has passed.
    TimeoutNotLate: "RFC 6298 §5, RFC 9293 §3.8.6.1 MUST-36";
    /// Each timeout in a row is twice the last, up to the maximum.
    Backoff: "RFC 6298 (5.5), RFC 9293 §3.8.6.1 SHLD-30";
    /// What is sent again is the first segment outstanding, or follows one that was sent again.
    RetransmissionInOrder: "RFC 6298 (5.4), RFC 5681 §3.2";
    /// Nothing new is sent behind FIN.
    NothingAfterFin: "RFC 9293 §3.10.4";
    /// A segment carries no more text than the peer's MSS and ours allow.
    SegmentSize: "RFC 9293 §3.7.1 MUST-16";
    /// A short segment waits while something is in flight, if Nagle is on.
    Nagle: "RFC 9293 §3.7.4";
    /// SYN-ACK answers a SYN that came, with options that it offered; the ISN stays.
    Handshake: "RFC 9293 §3.10.7.2 §3.10.7.3, RFC 7323 §2.2 §3.2";
    /// RST answers a segment as the RFC says, or aborts the connection at its own numbers.
    ResetForm: "RFC 9293 §3.10.7.1 §3.10.5 §3.5.2";
    /// A connection that is over, by RST, FINs acknowledged or TIME-WAIT passed, sends nothing.
    SilenceAfterEnd: "RFC 9293 §3.10.7.4 second, fifth, eighth";
    /// The timestamp echoed is TS.Recent.
    TimestampEcho: "RFC 7323 §4.3";
    /// Once agreed on, every segment carries timestamps, and the clock does not go back.
    TimestampClock: "RFC 7323 §3.2 §5.4";
}

/// A promise that was broken: whose, what was promised, what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPromise {
    /// Which.
    pub promise: Promise,
    /// Of which connection; the host that broke it is `from`.
    pub flow: FlowName,
    /// What it comes to here, in numbers. Sequence numbers are counted from the SYN of whoever's they
    /// are; segments that are shown whole have them as they are on the wire.
    pub promised: String,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for BrokenPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, flow, promised, seen } = self;
        write!(
            f,
            "{flow}: {} ({}): promised {promised}; seen {seen}",
            promise.name(),
            promise.rfc()
        )
    }
}
