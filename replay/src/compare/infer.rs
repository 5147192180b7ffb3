//! What the captured server must have known: from its client's segments and its own, what it had in
//! flight, what it was told, and why it sent something again.

use super::sent::{Again, Kind};
use crate::script::build::offset;
use crate::tape::TapeSegment;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::TcpFlags;

/// The captured server's side of a connection, as its capture shows it.
#[derive(Clone, Copy, Debug)]
pub struct Inferred {
    isn: SeqNumber,
    shift: u8,
    /// Stream offset behind the highest octet sent.
    pub max: u64,
    /// Stream offset that the client acknowledged.
    pub una: u64,
    /// Bytes that the client takes beyond `una`.
    pub window: u64,
    /// Acknowledgements of the same in a row.
    pub duplicates: u8,
    /// Fast recovery is under way.
    pub in_recovery: bool,
    recover: u64,
    partial: bool,
    /// What is sent again below this follows a timeout.
    timed_out_upto: u64,
    /// When it last sent text.
    pub sent_at: u64,
    /// When an acknowledgement last said something new, or a duplicate came.
    pub told_at: u64,
    syn_sent: bool,
    fin_sent: bool,
}

/// What an acknowledgement told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The client got these octets twice: D-SACK, RFC 2883.
    pub twice: Option<(u64, u64)>,
}

impl Inferred {
    /// A connection whose SYN-ACK has this number, with the client's window shift.
    pub fn new(isn: SeqNumber, shift: u8) -> Self {
        Self {
            isn,
            shift,
            max: 0,
            una: 0,
            window: 0,
            duplicates: 0,
            in_recovery: false,
            recover: 0,
            partial: false,
            timed_out_upto: 0,
            sent_at: 0,
            told_at: 0,
            syn_sent: false,
            fin_sent: false,
        }
    }

    /// Bytes in flight.
    pub fn flight(&self) -> u64 {
        self.max.saturating_sub(self.una)
    }

    /// A segment of the client reached the server.
    pub fn on_client(&mut self, seg: &TapeSegment<'_>) -> Told {
        let mut told = Told::default();
        if !seg.flags.contains(TcpFlags::ACK) || seg.flags.contains(TcpFlags::SYN) {
            return told;
        }
        let ack = offset(self.isn, self.una, seg.ack).max(0) as u64;
        let window = u64::from(seg.window) << self.shift;
        // FIN takes a number.
        let ack = ack.min(self.max + u64::from(self.fin_sent));
        if ack > self.una {
            self.una = ack;
            self.duplicates = 0;
            self.told_at = seg.at_unix_nanos;
            self.partial = self.in_recovery && ack < self.recover;
            self.in_recovery = self.partial;
        } else if ack == self.una && seg.len == 0 && self.max > self.una && window == self.window {
            self.duplicates = self.duplicates.saturating_add(1);
            self.told_at = seg.at_unix_nanos;
        }
        if ack >= self.una {
            self.window = window;
        }
        if let Some(&(left, right)) = seg.options.sack.as_slice().first() {
            let left = offset(self.isn, self.una, left).max(0) as u64;
            let right = offset(self.isn, self.una, right).max(0) as u64;
            if right <= self.una && left < right {
                told.twice = Some((left, right));
            }
        }
        told
    }

    /// Where a segment of the server stands in its stream.
    pub fn offset_of(&self, seg: &TapeSegment<'_>) -> u64 {
        let first = if seg.flags.contains(TcpFlags::SYN) { seg.seq + 1 } else { seg.seq };
        offset(self.isn, self.max, first).max(0) as u64
    }

    /// The server sent this; what it was for. `near`: how long after the client's word the server
    /// still answers to it, in nanoseconds.
    pub fn on_server(&mut self, seg: &TapeSegment<'_>, near: u64) -> Kind {
        let from = self.offset_of(seg);
        let (at, upto) = (seg.at_unix_nanos, from + u64::from(seg.len));
        if seg.flags.contains(TcpFlags::SYN) {
            let again = std::mem::replace(&mut self.syn_sent, true);
            return if again { Kind::Again(Again::Syn) } else { Kind::Syn };
        }
        if seg.flags.contains(TcpFlags::RST) {
            return Kind::Reset;
        }
        let fin = seg.flags.contains(TcpFlags::FIN);
        let fin_again = fin && std::mem::replace(&mut self.fin_sent, true);
        if seg.len == 0 && !fin {
            return Kind::Ack;
        }
        let kind = if seg.len > 0 && upto > self.max {
            let probe = self.window == 0 && seg.len == 1;
            if probe { Kind::Again(Again::WindowProbe) } else { Kind::Text }
        } else if seg.len == 0 && !fin_again {
            Kind::Fin
        } else {
            Kind::Again(self.why_again(from, upto, at, near))
        };
        if kind == Kind::Again(Again::Timeout) {
            self.timed_out_upto = self.max;
            self.in_recovery = false;
        } else if kind == Kind::Again(Again::Fast) && !self.in_recovery {
            (self.in_recovery, self.recover) = (true, self.max);
        }
        self.max = self.max.max(upto);
        self.sent_at = at;
        kind
    }

    fn why_again(&self, from: u64, upto: u64, at: u64, near: u64) -> Again {
        if self.window == 0 && upto - from <= 1 {
            return Again::WindowProbe;
        }
        if self.partial && from == self.una {
            return Again::Partial;
        }
        if self.in_recovery || self.duplicates >= 3 {
            return Again::Fast;
        }
        let answers = at.saturating_sub(self.told_at) <= near;
        if answers && self.duplicates > 0 {
            return Again::Fast;
        }
        if from < self.timed_out_upto {
            return Again::Timeout;
        }
        if answers {
            return Again::Other;
        }
        // The last one alone, with others unacknowledged before it.
        if upto == self.max && from > self.una { Again::TailProbe } else { Again::Timeout }
    }
}
