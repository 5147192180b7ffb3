//! Which of the server's transmissions were lost, as far as a capture can tell.
//!
//! A retransmission says that its sender believed something lost. It was, unless the acknowledgement
//! of it came sooner than it could (it was sent before the retransmission was there), echoes an
//! earlier timestamp (RFC 3522 §3.2), or D-SACK tells of a duplicate (RFC 2883).

use simoom_core::seq::SeqNumber;

/// Retransmissions remembered for one connection. More are counted, and are not played again.
pub const LOSSES_MAX: usize = 256;

/// A transmission that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// Stream offset of its first byte.
    pub offset: u64,
    /// Behind its last byte.
    pub upto: u64,
    /// Which time these bytes were sent: 0 for the first, 3 for the third retransmission.
    pub retransmission: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Lost,
    Arrived,
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    from: i64,
    upto: i64,
    /// The transmission that is suspected to be lost.
    nth: u32,
    /// When it was made good, and with which timestamp.
    again_at: u64,
    tsval: Option<u32>,
    verdict: Verdict,
}

/// The retransmissions of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    suspects: Vec<Suspect>,
    /// Of the suspects, those that may still change: from here on.
    open: usize,
    pub(super) unlisted: u32,
}

impl Losses {
    /// Bytes are sent again.
    pub(super) fn on_again(
        &mut self,
        from: i64,
        upto: i64,
        piece: i64,
        at: u64,
        tsval: Option<u32>,
    ) {
        let mut from = from;
        while from < upto {
            let end = upto.min(from + piece.max(1));
            let nth = self.suspects.iter().filter(|s| s.from <= from && from < s.upto).count();
            self.push(Suspect {
                from,
                upto: end,
                nth: nth as u32,
                again_at: at,
                tsval,
                verdict: Verdict::Open,
            });
            from = end;
        }
    }

    /// Bytes that were skipped came late: seen from the receiver, they had been lost on the way.
    pub(super) fn on_late(&mut self, from: i64, upto: i64, piece: i64) {
        let mut from = from;
        while from < upto {
            let end = upto.min(from + piece.max(1));
            if !self.suspects.iter().any(|s| s.from < end && from < s.upto) {
                self.push(Suspect {
                    from,
                    upto: end,
                    nth: 0,
                    again_at: 0,
                    tsval: None,
                    verdict: Verdict::Lost,
                });
            }
            from = end;
        }
    }

    fn push(&mut self, suspect: Suspect) {
        if self.suspects.len() == LOSSES_MAX {
            self.unlisted = self.unlisted.saturating_add(1);
        } else {
            self.suspects.push(suspect);
        }
    }

    /// All below `ack` arrived. `soonest`: from the capture to the receiver and back. Answers
    /// whether a retransmission turned out to have been for nothing.
    pub(super) fn on_acked(&mut self, ack: i64, at: u64, echo: Option<u32>, soonest: u64) -> bool {
        let mut for_nothing = false;
        for suspect in &mut self.suspects[self.open..] {
            if suspect.verdict != Verdict::Open || suspect.upto > ack {
                continue;
            }
            let too_soon = at.saturating_sub(suspect.again_at) < soonest - soonest / 10;
            let older = matches!(
                (echo, suspect.tsval),
                (Some(echo), Some(tsval)) if SeqNumber(echo).lt(SeqNumber(tsval))
            );
            suspect.verdict = if too_soon || older { Verdict::Arrived } else { Verdict::Lost };
            for_nothing |= too_soon || older;
        }
        let still = self.suspects[self.open..].iter().take_while(|s| s.verdict != Verdict::Open);
        self.open += still.count();
        for_nothing
    }

    /// The receiver had these bytes twice.
    pub(super) fn on_dsack(&mut self, from: i64, upto: i64) -> bool {
        let had =
            |s: &&mut Suspect| s.from < upto && from < s.upto && s.verdict != Verdict::Arrived;
        match self.suspects.iter_mut().filter(had).max_by_key(|s| s.nth) {
            Some(suspect) => {
                suspect.verdict = Verdict::Arrived;
                true
            }
            None => false,
        }
    }

    /// What was lost, by offset. What was never acknowledged is not known, and not among them.
    pub(super) fn finish(&self) -> Vec<Loss> {
        let lost = self.suspects.iter().filter(|s| s.verdict == Verdict::Lost && s.from >= 0);
        let mut lost: Vec<Loss> = lost
            .map(|s| Loss { offset: s.from as u64, upto: s.upto as u64, retransmission: s.nth })
            .collect();
        lost.sort_unstable();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_is_acknowledged_in_time_was_lost_each_time() {
        let mut losses = Losses::default();
        losses.on_again(0, 1000, 1000, 100 * MS, None);
        losses.on_again(0, 1000, 1000, 300 * MS, None);
        losses.on_acked(1000, 340 * MS, None, 40 * MS);
        let of = |retransmission| Loss { offset: 0, upto: 1000, retransmission };
        assert_eq!(losses.finish(), [of(0), of(1)]);
    }

    #[test]
    fn an_acknowledgement_that_comes_too_soon_is_of_the_transmission_before() {
        let mut losses = Losses::default();
        losses.on_again(0, 1000, 1000, 100 * MS, None);
        losses.on_again(0, 1000, 1000, 130 * MS, None);
        losses.on_acked(1000, 141 * MS, None, 40 * MS);
        assert_eq!(losses.finish(), [Loss { offset: 0, upto: 1000, retransmission: 0 }]);
    }

    #[test]
    fn an_older_echo_and_a_duplicate_told_clear_a_transmission() {
        let mut losses = Losses::default();
        losses.on_again(0, 1000, 1000, 0, Some(50));
        assert!(losses.on_acked(1000, 900 * MS, Some(49), 40 * MS));
        losses.on_again(1000, 2000, 1000, 0, Some(60));
        assert!(!losses.on_acked(2000, 900 * MS, Some(60), 40 * MS));
        assert!(losses.on_dsack(1000, 2000));
        assert_eq!(losses.finish(), []);
    }

    #[test]
    fn what_is_never_acknowledged_is_not_known() {
        let mut losses = Losses::default();
        losses.on_again(0, 1000, 1000, 0, None);
        assert_eq!(losses.finish(), []);
    }

    #[test]
    fn a_long_retransmission_is_several_segments() {
        let mut losses = Losses::default();
        losses.on_again(0, 2500, 1000, 0, None);
        losses.on_acked(2500, 900 * MS, None, 40 * MS);
        let lost = losses.finish();
        let bounds: Vec<_> = lost.iter().map(|loss| (loss.offset, loss.upto)).collect();
        assert_eq!(bounds, [(0, 1000), (1000, 2000), (2000, 2500)]);
    }

    #[test]
    fn more_than_the_bound_are_counted() {
        let mut losses = Losses::default();
        for n in 0..300 {
            losses.on_again(n * 10, n * 10 + 10, 10, 0, None);
        }
        assert_eq!(losses.unlisted, 300 - LOSSES_MAX as u32);
    }
}
