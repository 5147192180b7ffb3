//! Windows: scaling (RFC 7323 §2), what we announce, and when a short segment is worth sending
//! (RFC 9293 §3.8.6.2).

use crate::mutants::mutant;
use crate::seq::SeqNumber;

/// Largest shift that is allowed. RFC 7323 §2.3.
const SHIFT_MAX: u8 = 14;

/// The shift with which a window of `bytes` fits 16 bits.
pub(super) fn shift_for(bytes: u32) -> u8 {
    let mut shift = 0;
    while shift < SHIFT_MAX && bytes >> shift > 0xffff {
        shift += 1;
    }
    shift
}

/// A peer's shift, limited as RFC 7323 §2.3 asks.
pub(super) fn limit_shift(shift: u8) -> u8 {
    shift.min(SHIFT_MAX)
}

/// The receive side of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiveWindow {
    /// RCV.NXT.
    pub(super) nxt: SeqNumber,
    /// Right edge that was announced: RCV.NXT + RCV.WND. Never moves left.
    pub(super) edge: SeqNumber,
    /// Bytes in order that the application has not taken.
    pub(super) unread: u32,
    /// Our shift, applied to what we announce.
    pub(super) shift: u8,
}

impl ReceiveWindow {
    /// RCV.WND.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.edge.since(self.nxt)
    }

    /// How far the edge could be, with a buffer of `capacity` bytes: in whole units of the shift.
    #[inline]
    fn possible(&self, capacity: u32) -> u32 {
        (capacity.saturating_sub(self.unread) >> self.shift) << self.shift
    }

    /// Whether the edge may move by enough to be worth announcing: a segment or half the buffer.
    /// RFC 9293 §3.8.6.2.2.
    #[inline]
    pub(super) fn is_worth_announcing(&self, capacity: u32, mss: u32) -> bool {
        self.possible(capacity).saturating_sub(self.len()) >= mss.min(capacity / 2).max(1)
    }

    /// The window field of a segment, after moving the edge where that is worth it.
    #[inline]
    pub(super) fn announce(&mut self, capacity: u32, mss: u32) -> u16 {
        if self.is_worth_announcing(capacity, mss) {
            self.edge = self.nxt + self.possible(capacity);
        }
        // Rounded up: the edge that was announced before must not move left.
        let field = (u64::from(self.len()) + (1 << self.shift) - 1) >> self.shift;
        let field = field.min(0xffff) as u32;
        self.edge = self.edge.max(self.nxt + (field << self.shift));
        if mutant!(WindowTakenBack) { field as u16 / 2 } else { field as u16 }
    }

    /// RFC 9293 §3.4, table of acceptable segments: some octet lies in the window, or the segment
    /// is empty and stands at it.
    #[inline]
    pub(super) fn accepts(&self, seq: SeqNumber, len: u32) -> bool {
        let window = self.len();
        match (len, window) {
            (0, 0) => seq == self.nxt,
            (0, _) => seq.in_window(self.nxt, window),
            (_, 0) => false,
            (_, _) => {
                seq.in_window(self.nxt, window) || (seq + (len - 1)).in_window(self.nxt, window)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(len: u32) -> ReceiveWindow {
        let nxt = SeqNumber(1_000);
        ReceiveWindow { nxt, edge: nxt + len, unread: 0, shift: 0 }
    }

    #[test]
    fn shifts_are_the_smallest_that_fit() {
        assert_eq!([0, 65_535, 65_536, 131_071, 131_072].map(shift_for), [0, 0, 1, 1, 2]);
        assert_eq!(shift_for(u32::MAX), 14);
        assert_eq!([0, 14, 15, 255].map(limit_shift), [0, 14, 14, 14]);
    }

    #[test]
    fn acceptance_follows_the_table_of_the_rfc() {
        // RFC 9293 §3.4
        let at = SeqNumber;
        assert!(window(0).accepts(at(1_000), 0));
        assert!(!window(0).accepts(at(1_001), 0) && !window(0).accepts(at(999), 0));
        assert!(!window(0).accepts(at(1_000), 1));
        assert!(window(10).accepts(at(1_000), 0) && window(10).accepts(at(1_009), 0));
        assert!(!window(10).accepts(at(1_010), 0) && !window(10).accepts(at(999), 0));
        assert!(window(10).accepts(at(1_009), 5) && window(10).accepts(at(990), 11));
        assert!(!window(10).accepts(at(990), 10) && !window(10).accepts(at(1_010), 5));
    }

    #[test]
    fn small_openings_are_not_announced() {
        // RFC 9293 MUST-39
        let mut w = window(5_000);
        w.unread = 5_000 - 1_459;
        assert!(!w.is_worth_announcing(10_000, 1_460));
        assert_eq!(w.announce(10_000, 1_460), 5_000, "the edge stays");
        w.unread = 5_000 - 1_460;
        assert!(w.is_worth_announcing(10_000, 1_460));
        assert_eq!(w.announce(10_000, 1_460), 6_460);
        // With a small buffer, half of it is enough.
        let mut w = window(0);
        w.unread = 501;
        assert_eq!(w.announce(1_000, 1_460), 0);
        w.unread = 500;
        assert_eq!(w.announce(1_000, 1_460), 500);
    }

    #[test]
    fn a_scaled_edge_never_moves_left() {
        let mut w = ReceiveWindow { nxt: SeqNumber(0), edge: SeqNumber(0), unread: 0, shift: 7 };
        let mut edge = SeqNumber(0);
        for step in 0..2_000u32 {
            let take = (step * 37) % 900;
            let take = take.min(w.len());
            w.nxt += take;
            w.unread = (w.unread + take).min(500_000);
            if step % 3 == 0 {
                w.unread = 0;
            }
            let field = w.announce(1 << 20, 1_460);
            assert!(w.edge.ge(edge));
            assert_eq!(w.nxt + (u32::from(field) << 7), w.edge);
            edge = w.edge;
        }
    }
}
