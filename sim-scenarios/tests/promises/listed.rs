//! The marks that the sweep of this file need not reach, each with its reason. All others are listed:
//! the suite fails when one is never reached.

use simoom_sim::marks::{Mark, Marks};

/// Not reached by worlds of a server and a client that both behave: what reaches them instead.
const UNLISTED: &[(Mark, &str)] = &[
    (Mark::DropTimestampMissing, "a peer that stops sending timestamps: core's options tests"),
    (Mark::DropAckBeyondSndNxt, "a hostile peer: opt-ACK"),
    (Mark::DropAckMissing, "a hostile peer: segments without ACK"),
    (Mark::DropBadResetSequence, "a hostile peer: blind resets"),
    (Mark::DropResetNotForUs, "a hostile peer: blind resets of a SYN"),
    (Mark::DropSynInWindow, "a hostile peer: a blind SYN"),
    (Mark::DropBadHandshakeAck, "a hostile peer: an ACK of another SYN"),
    (Mark::DropTextAfterFin, "a peer that goes on after FIN"),
    (Mark::DropNotSyn, "a peer that answers SYN without SYN"),
    (Mark::TimeoutGaveUp, "an outage beyond all retries"),
    (Mark::TimeoutWithWindowClosed, "a reader that stops"),
    (Mark::ProbeDue, "a reader that stops"),
    (Mark::ProbeOfNothing, "a reader that stops while the server has nothing to say"),
    (Mark::ProbeOfOneByte, "a reader that stops"),
    (Mark::WindowOpenedWhileProbing, "a reader that stops and goes on"),
    (Mark::WindowClosed, "a reader that stops"),
    (Mark::SillyWindowOverridden, "a reader that takes bytes in small pieces"),
    (Mark::FinWaitedForWindow, "a window that ends with the last byte"),
    (Mark::SimultaneousOpen, "two active opens at once: core's handshake tests"),
    (Mark::TimeWaitReused, "a client that uses its port again within a minute"),
    (Mark::TimeWaitRecycled, "a table of connections full of TIME-WAIT"),
    (Mark::FinWait2TimedOut, "a peer that never closes"),
    (Mark::ConnectionRefused, "a server that does not listen"),
    (Mark::ZeroWindowAckTaken, "an application that does not read"),
    (Mark::TextTrimmedBack, "a peer that sends beyond the window"),
    (Mark::WindowUpdateSent, "an application that reads late"),
    (Mark::AppLeftBytes, "an application that reads late, or a request cut in two"),
    (Mark::ReceivePoolEmpty, "more connections out of order than receive buffers"),
    (Mark::SynTableFull, "a SYN flood"),
    (Mark::SynHalfOpenFull, "a SYN flood"),
    (Mark::RepliesFull, "a flood of segments of no connection"),
    (Mark::AddressAskedAgain, "a loss of ARP"),
    (Mark::AddressNeverCame, "a next hop that is not there"),
    (Mark::AbortSent, "an application that aborts"),
    (Mark::AbortSilent, "an application that aborts while closing"),
    (Mark::ContentNotYet, "a slow disk: core's store tests"),
    (Mark::ContentGone, "a file that is removed: core's store tests"),
    (Mark::StoreNoRun, "more objects than runs: core's store tests"),
    (Mark::StoreSourceChanged, "a file that is changed in place: core's store tests"),
];

/// The listed marks that were never reached.
pub(crate) fn unreached(marks: &Marks) -> Vec<Mark> {
    let listed = |mark: &Mark| UNLISTED.iter().all(|(unlisted, _)| unlisted != mark);
    marks.iter().filter(|(mark, n)| *n == 0 && listed(mark)).map(|(mark, _)| mark).collect()
}
