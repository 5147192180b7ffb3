//! Loss recovery by duplicate ACKs: fast retransmit of RFC 5681 §3.2 with the partial ACKs of
//! RFC 6582. Decides; does not send and does not set timers. A richer recovery replaces this file.

use crate::marks::mark;
use crate::mutants::mutant;
use crate::seq::SeqNumber;

/// Duplicate ACKs that begin fast retransmit. RFC 5681 §3.2.
const DUPLICATE_ACKS: u8 = 3;

/// What an acknowledgement means for recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: no recovery is under way.
    Ordinary,
    /// No recovery, but what was acknowledged may have arrived before the last timeout: the window
    /// grows by a segment at most. RFC 3465 §2.3.
    AfterTimeout,
    /// The third duplicate: retransmit the first segment and enter recovery.
    Enter,
    /// A further duplicate in recovery.
    Inflate,
    /// Part of what was outstanding: retransmit the next segment. `first`: restart the timer too.
    Partial {
        /// The first partial ACK of this recovery.
        first: bool,
    },
    /// Everything that was outstanding at its start: recovery is over.
    Exit,
}

/// Where a connection stands in recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    /// `recover` of RFC 6582: the highest number sent when the last recovery or timeout began.
    recover: SeqNumber,
    duplicates: u8,
    active: bool,
    saw_partial: bool,
    /// What was sent before the last timeout is not all acknowledged yet.
    timed_out: bool,
}

impl Recovery {
    pub(super) fn new(iss: SeqNumber) -> Self {
        Self { recover: iss, duplicates: 0, active: false, saw_partial: false, timed_out: false }
    }

    /// Whether fast recovery is under way.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Whether this recovery goes from hole to hole: it has seen a partial ACK.
    pub(super) fn saw_partial(&self) -> bool {
        self.saw_partial
    }

    /// Whether an ACK of something new is [`Verdict::Ordinary`].
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        !(self.active | self.timed_out)
    }

    /// An ACK moved SND.UNA, outside of recovery.
    #[inline]
    pub(super) fn forget_duplicates(&mut self) {
        self.duplicates = 0;
    }

    /// A duplicate ACK of `una`, with everything below `max` sent.
    pub(super) fn on_duplicate(&mut self, una: SeqNumber, max: SeqNumber) -> Verdict {
        if self.active {
            return Verdict::Inflate;
        }
        self.duplicates = self.duplicates.saturating_add(1);
        // RFC 6582 §3.2 step 1: not twice for the same window. `una - 1` is the number last
        // acknowledged.
        let threshold = if mutant!(DuplicateThresholdOne) { 1 } else { DUPLICATE_ACKS };
        if self.duplicates == threshold && !una.gt(self.recover) {
            mark!(SecondRecoveryRefused);
        }
        if self.duplicates != threshold || !una.gt(self.recover) {
            return Verdict::Ordinary;
        }
        self.active = true;
        self.saw_partial = false;
        self.recover = max;
        Verdict::Enter
    }

    /// An ACK that moved SND.UNA to `una`.
    #[inline]
    pub(super) fn on_new_ack(&mut self, una: SeqNumber) -> Verdict {
        self.duplicates = 0;
        if !self.active {
            if self.timed_out {
                self.timed_out = una.lt(self.recover);
                return Verdict::AfterTimeout;
            }
            return Verdict::Ordinary;
        }
        if una.ge(self.recover) {
            self.active = false;
            return Verdict::Exit;
        }
        let first = !self.saw_partial;
        if first {
            mark!(PartialAckFirst);
        } else {
            mark!(PartialAckLater);
        }
        self.saw_partial = true;
        Verdict::Partial { first }
    }

    /// FlightSize for what a timeout makes of ssthresh. In recovery most of what is `outstanding` has
    /// left the network: that is what the duplicate ACKs said which let the rest of it out. Half of
    /// it could be more than the ssthresh that recovery began with, so that a timeout raised it, and
    /// slow start would overrun the same queue again and again. RFC 5681 §3.1 says "no more than" half:
    /// what was halved stays as it is; where not even one partial ACK came, the retransmission was
    /// lost, and it is halved twice (RFC 5681 §4.3).
    pub(super) fn flight(&self, outstanding: u32, ssthresh: u32) -> u32 {
        match (self.active, self.saw_partial) {
            (true, true) => outstanding.min(ssthresh.saturating_mul(2)),
            (true, false) => outstanding.min(ssthresh),
            (false, _) => outstanding,
        }
    }

    /// The timer expired with everything below `max` sent. RFC 6582 §4.
    pub(super) fn on_timeout(&mut self, max: SeqNumber) {
        *self = Self {
            recover: max,
            duplicates: 0,
            active: false,
            saw_partial: false,
            timed_out: true,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_duplicate_enters_and_later_ones_inflate() {
        let mut r = Recovery::new(SeqNumber(100));
        let (una, max) = (SeqNumber(200), SeqNumber(900));
        assert_eq!(r.on_duplicate(una, max), Verdict::Ordinary);
        assert_eq!(r.on_duplicate(una, max), Verdict::Ordinary);
        assert_eq!(r.on_duplicate(una, max), Verdict::Enter);
        assert_eq!(r.on_duplicate(una, max), Verdict::Inflate);
        assert_eq!(r.on_new_ack(SeqNumber(300)), Verdict::Partial { first: true });
        assert_eq!(r.on_new_ack(SeqNumber(400)), Verdict::Partial { first: false });
        assert_eq!(r.on_new_ack(SeqNumber(900)), Verdict::Exit);
        assert_eq!(r.on_new_ack(SeqNumber(950)), Verdict::Ordinary);
    }

    #[test]
    fn no_second_recovery_for_the_window_of_a_timeout() {
        // RFC 6582 §4
        let mut r = Recovery::new(SeqNumber(100));
        r.on_timeout(SeqNumber(900));
        for _ in 0..10 {
            assert_eq!(r.on_duplicate(SeqNumber(200), SeqNumber(900)), Verdict::Ordinary);
        }
        assert_eq!(r.on_new_ack(SeqNumber(901)), Verdict::AfterTimeout);
        assert!(r.is_open());
        for _ in 0..2 {
            assert_eq!(r.on_duplicate(SeqNumber(901), SeqNumber(1_200)), Verdict::Ordinary);
        }
        assert_eq!(r.on_duplicate(SeqNumber(901), SeqNumber(1_200)), Verdict::Enter);
    }

    #[test]
    fn an_ack_between_duplicates_starts_the_count_again() {
        let mut r = Recovery::new(SeqNumber(100));
        r.on_duplicate(SeqNumber(200), SeqNumber(900));
        r.on_duplicate(SeqNumber(200), SeqNumber(900));
        r.on_new_ack(SeqNumber(300));
        assert_eq!(r.on_duplicate(SeqNumber(300), SeqNumber(900)), Verdict::Ordinary);
        assert_eq!(r.on_duplicate(SeqNumber(300), SeqNumber(900)), Verdict::Ordinary);
        assert_eq!(r.on_duplicate(SeqNumber(300), SeqNumber(900)), Verdict::Enter);
    }
}
