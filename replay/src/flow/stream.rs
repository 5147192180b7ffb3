//! One direction of a connection in sequence space: where in the stream a segment lies, which bytes
//! the capture has shown, and which were acknowledged without ever having been seen.
//!
//! Offsets are 64-bit and count from ISN + 1: the first byte of text is 0, SYN is -1. Where no SYN
//! was seen, from the first number that was; earlier bytes are then negative.

use simoom_core::seq::SeqNumber;

/// Ranges kept that were skipped. A sender whose every tenth segment is lost in front of the capture
/// has some ten outstanding at a time. Of more the lowest is settled early: `holes_settled` counts.
pub const HOLES_MAX: usize = 8;

/// A number further ahead than the largest window (RFC 7323 §2.3) belongs to no stream.
pub const AHEAD_MAX: i64 = 1 << 30;

/// Whether the capture had shown a segment's text before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The segment has none, and no FIN.
    None,
    /// Its end lies beyond all that was seen.
    New,
    /// It fills, in part at least, what was skipped: a segment out of order, or one sent again
    /// because it was lost in front of the capture.
    Filling,
    /// All of it was seen before.
    Again,
    /// It lies outside of every window, and is ignored.
    Outside,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hole {
    from: i64,
    upto: i64,
}

impl Hole {
    fn below(self, acked: i64) -> u64 {
        u64::try_from(self.upto.min(acked) - self.from).unwrap_or(0)
    }
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    base: SeqNumber,
    is_based: bool,
    /// The initial sequence number, where a SYN was seen.
    isn: Option<SeqNumber>,
    next: i64,
    acked: i64,
    fin: Option<i64>,
    holes: [Hole; HOLES_MAX],
    holes_len: u8,
    gap_bytes: u64,
    gap_frame: u64,
    /// Ranges given up early for want of room.
    holes_settled: u32,
}

impl Stream {
    /// The initial sequence number, where a SYN was seen.
    pub fn isn(&self) -> Option<SeqNumber> {
        self.isn
    }

    /// Whether anything has told where the stream is.
    pub fn is_based(&self) -> bool {
        self.is_based
    }

    /// One beyond the highest offset seen or acknowledged; FIN counts one.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The highest offset that the other side acknowledged.
    pub fn acked(&self) -> i64 {
        self.acked
    }

    /// The offset of FIN, which is that of the end of the text.
    pub fn fin(&self) -> Option<i64> {
        self.fin
    }

    /// Whether FIN was sent and acknowledged.
    pub fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| self.acked > fin)
    }

    /// Bytes acknowledged that the capture never showed.
    pub fn gap_bytes(&self) -> u64 {
        self.gap_bytes + self.holes().iter().map(|hole| hole.below(self.acked)).sum::<u64>()
    }

    /// The frame whose acknowledgement first showed a gap; 0 where there is none.
    pub fn gap_frame(&self) -> u64 {
        if self.gap_bytes() == 0 { 0 } else { self.gap_frame }
    }

    /// Ranges of skipped bytes that were given up because more than [`HOLES_MAX`] were open.
    pub fn holes_settled(&self) -> u32 {
        self.holes_settled
    }

    /// The offset of a sequence number: the one nearest to the highest seen.
    pub fn offset(&self, seq: SeqNumber) -> i64 {
        let reference = self.base + self.next as u32;
        self.next.wrapping_add(i64::from(seq.since(reference) as i32))
    }

    /// The sequence number of an offset.
    pub fn seq(&self, offset: i64) -> SeqNumber {
        self.base + offset as u32
    }

    /// Takes the numbers of a SYN.
    pub(super) fn on_syn(&mut self, isn: SeqNumber) {
        if self.isn.is_some_and(|known| known != isn) {
            // It begins anew, with nothing of before.
            *self = Self::default();
        } else if self.is_based && self.base != isn + 1 {
            // An acknowledgement had told where the stream is; the SYN knows better.
            let shift = i64::from(self.base.since(isn + 1) as i32);
            self.next += shift;
            self.acked += shift;
            self.fin = self.fin.map(|fin| fin + shift);
            for hole in &mut self.holes {
                hole.from += shift;
                hole.upto += shift;
            }
        }
        self.base = isn + 1;
        self.is_based = true;
        self.isn = Some(isn);
    }

    /// Begins the stream at a number, unless it has begun.
    pub(super) fn base_at(&mut self, seq: SeqNumber) {
        if !self.is_based {
            self.base = seq;
            self.is_based = true;
        }
    }

    /// Text of `len` bytes at `from`, and perhaps FIN behind it.
    pub(super) fn on_text(&mut self, from: i64, len: u32, fin: bool) -> Text {
        let end = from + i64::from(len);
        let upto = end + i64::from(fin);
        if upto == from {
            return Text::None;
        }
        if from - self.next > AHEAD_MAX {
            return Text::Outside;
        }
        if fin && self.fin.is_none() {
            self.fin = Some(end);
        }
        let filled = self.fill(from, upto);
        let known = self.next;
        if upto > known {
            if from > known {
                self.skip(known, from);
            }
            self.next = upto;
            return Text::New;
        }
        if filled { Text::Filling } else { Text::Again }
    }

    /// The other side acknowledges all below `ack`, in frame `frame`. False where nobody sends that.
    pub(super) fn on_ack(&mut self, ack: i64, frame: u64) -> bool {
        if ack <= self.acked {
            return true;
        }
        if ack - self.next > AHEAD_MAX {
            return false;
        }
        self.acked = ack;
        if ack > self.next {
            let known = self.next;
            self.next = ack;
            self.skip(known, ack);
        }
        if self.gap_frame == 0 && self.holes().iter().any(|hole| hole.from < ack) {
            self.gap_frame = frame;
        }
        true
    }

    fn holes(&self) -> &[Hole] {
        &self.holes[..usize::from(self.holes_len)]
    }

    fn skip(&mut self, from: i64, upto: i64) {
        if usize::from(self.holes_len) == HOLES_MAX {
            self.remove(0, true);
            self.holes_settled = self.holes_settled.saturating_add(1);
        }
        self.holes[usize::from(self.holes_len)] = Hole { from, upto };
        self.holes_len += 1;
    }

    /// Forgets a hole; what was acknowledged in it stays a gap where `settles`.
    fn remove(&mut self, at: usize, settles: bool) {
        let hole = self.holes[at];
        if settles {
            self.gap_bytes += hole.below(self.acked);
        }
        self.holes.copy_within(at + 1..usize::from(self.holes_len), at);
        self.holes_len -= 1;
    }

    /// Marks a range as seen. Whether anything of it had not been.
    fn fill(&mut self, from: i64, upto: i64) -> bool {
        let mut filled = false;
        let mut at = 0;
        while at < usize::from(self.holes_len) {
            let hole = self.holes[at];
            if upto <= hole.from || hole.upto <= from {
                at += 1;
                continue;
            }
            filled = true;
            match (from <= hole.from, hole.upto <= upto) {
                (true, true) => {
                    self.remove(at, false);
                    continue;
                }
                (true, false) => self.holes[at].from = upto,
                (false, true) => self.holes[at].upto = from,
                (false, false) => {
                    self.holes[at].upto = from;
                    let rest = Hole { from: upto, upto: hole.upto };
                    if usize::from(self.holes_len) < HOLES_MAX {
                        self.holes.copy_within(at + 1..usize::from(self.holes_len), at + 2);
                        self.holes[at + 1] = rest;
                        self.holes_len += 1;
                        at += 1;
                    } else {
                        self.gap_bytes += rest.below(self.acked);
                        self.holes_settled = self.holes_settled.saturating_add(1);
                    }
                }
            }
            at += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn based() -> Stream {
        let mut stream = Stream::default();
        stream.on_syn(SeqNumber(u32::MAX - 5));
        stream
    }

    #[test]
    fn offsets_go_on_where_sequence_numbers_wrap() {
        let mut stream = based();
        assert_eq!(stream.offset(SeqNumber(u32::MAX - 5)), -1);
        assert_eq!(stream.offset(SeqNumber(u32::MAX - 4)), 0);
        let mut at = 0;
        for _ in 0..10 {
            assert_eq!(stream.offset(stream.seq(at)), at);
            assert_eq!(stream.on_text(at, 1 << 29, false), Text::New);
            at += 1 << 29;
        }
        assert_eq!(stream.next(), 10 << 29);
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_seen_is_a_gap() {
        let mut stream = based();
        stream.on_text(0, 100, false);
        stream.on_text(200, 100, false);
        assert_eq!((stream.gap_bytes(), stream.gap_frame()), (0, 0));
        assert!(stream.on_ack(350, 9));
        assert_eq!((stream.gap_bytes(), stream.gap_frame()), (150, 9));
    }

    #[test]
    fn what_comes_after_its_acknowledgement_is_no_gap() {
        let mut stream = based();
        assert!(stream.on_ack(100, 2));
        assert_eq!(stream.gap_bytes(), 100);
        assert_eq!(stream.on_text(0, 100, false), Text::Filling);
        assert_eq!((stream.gap_bytes(), stream.gap_frame()), (0, 0));
    }

    #[test]
    fn a_number_beyond_every_window_is_ignored() {
        let mut stream = based();
        assert_eq!(stream.on_text(AHEAD_MAX + 1, 1, false), Text::Outside);
        assert!(!stream.on_ack(AHEAD_MAX + 1, 1));
        assert_eq!((stream.next(), stream.gap_bytes()), (0, 0));
    }

    #[test]
    fn a_fin_is_finished_once_acknowledged() {
        let mut stream = based();
        assert_eq!(stream.on_text(0, 3, true), Text::New);
        assert!(stream.on_ack(3, 1) && !stream.is_finished());
        assert!(stream.on_ack(4, 1) && stream.is_finished());
    }

    proptest! {
        /// The twin keeps every byte by itself.
        #[test]
        fn gaps_are_the_bytes_acknowledged_and_not_seen(
            steps in prop::collection::vec((any::<bool>(), 0i64..60, 1u32..12), 1..40)
        ) {
            let mut stream = based();
            let (mut seen, mut acked) = (BTreeSet::new(), 0);
            for (is_ack, at, len) in steps {
                if is_ack {
                    stream.on_ack(at, 1);
                    acked = acked.max(at);
                } else {
                    let bytes = at..at + i64::from(len);
                    let before = seen.len();
                    let top = seen.last().map_or(0, |last| last + 1).max(acked);
                    seen.extend(bytes.clone());
                    let text = stream.on_text(at, len, false);
                    if stream.holes_settled() == 0 {
                        let wanted = match (bytes.end > top, seen.len() > before) {
                            (true, _) => Text::New,
                            (false, true) => Text::Filling,
                            (false, false) => Text::Again,
                        };
                        prop_assert_eq!(text, wanted);
                    }
                }
                let wanted = (0..acked).filter(|byte| !seen.contains(byte)).count() as u64;
                if stream.holes_settled() == 0 {
                    prop_assert_eq!(stream.gap_bytes(), wanted);
                }
            }
        }
    }
}
