//! Sequence numbers modulo 2³². RFC 9293 §3.4.
//!
//! There is no `Ord`: "less" has a meaning only between numbers less than 2³¹ apart. Nothing here
//! panics.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A TCP sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// Whether this number comes before `other` on the circle. False at a distance of exactly 2³¹.
    #[inline]
    pub const fn lt(self, other: Self) -> bool {
        // The distance to `other` is 1 to 2³¹ - 1.
        other.0.wrapping_sub(self.0).wrapping_sub(1) < (1 << 31) - 1
    }

    /// Whether this number equals `other` or comes before it.
    #[inline]
    pub const fn le(self, other: Self) -> bool {
        // The distance to `other` is 0 to 2³¹ - 1.
        other.0.wrapping_sub(self.0) < 1 << 31
    }

    /// Whether this number comes after `other`.
    #[inline]
    pub const fn gt(self, other: Self) -> bool {
        other.lt(self)
    }

    /// Whether this number equals `other` or comes after it.
    #[inline]
    pub const fn ge(self, other: Self) -> bool {
        other.le(self)
    }

    /// Whether this number is one of the `len` numbers from `start` on.
    #[inline]
    pub const fn in_window(self, start: Self, len: u32) -> bool {
        self.0.wrapping_sub(start.0) < len
    }

    /// How many numbers from `earlier` up to this one, modulo 2³².
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The later of two numbers.
    #[inline]
    pub const fn max(self, other: Self) -> Self {
        if self.lt(other) { other } else { self }
    }

    /// The earlier of two numbers.
    #[inline]
    pub const fn min(self, other: Self) -> Self {
        if other.lt(self) { other } else { self }
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;
    #[inline]
    fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, n: u32) {
        self.0 = self.0.wrapping_add(n);
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;
    #[inline]
    fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EDGE: [u32; 8] = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, u32::MAX];

    #[test]
    fn a_number_prints_as_a_number() {
        assert_eq!(std::format!("{} {:?}", SeqNumber(7), SeqNumber(u32::MAX)), "7 4294967295");
    }

    #[test]
    fn comparison_wraps() {
        assert!(SeqNumber(u32::MAX).lt(SeqNumber(0)));
        assert!(SeqNumber(0).gt(SeqNumber(u32::MAX)));
        assert!(SeqNumber(5).le(SeqNumber(5)) && SeqNumber(5).ge(SeqNumber(5)));
        assert!(!SeqNumber(5).lt(SeqNumber(5)) && !SeqNumber(5).gt(SeqNumber(5)));
        assert_eq!(SeqNumber(3).since(SeqNumber(u32::MAX)), 4);
    }

    #[test]
    fn numbers_half_the_circle_apart_are_neither_less_nor_greater() {
        for e in EDGE {
            let (a, b) = (SeqNumber(e), SeqNumber(e) + (1 << 31));
            assert!(!a.lt(b) && !b.lt(a) && !a.gt(b) && !a.le(b) && !a.ge(b));
            assert_eq!((a.max(b), a.min(b)), (a, a));
        }
    }

    #[test]
    fn window_holds_its_first_and_not_its_end() {
        for e in EDGE {
            let start = SeqNumber(e);
            assert!(start.in_window(start, 1));
            assert!(!start.in_window(start, 0));
            assert!((start + 9).in_window(start, 10));
            assert!(!(start + 10).in_window(start, 10));
            assert!(!(start - 1).in_window(start, 10));
        }
    }

    proptest! {
        #[test]
        fn order_agrees_with_signed_distance(a: u32, d in 1u32..0x8000_0000) {
            let (x, y) = (SeqNumber(a), SeqNumber(a) + d);
            prop_assert!(x.lt(y) && x.le(y) && y.gt(x) && y.ge(x));
            prop_assert!(!y.lt(x) && !y.le(x) && !x.gt(y) && !x.ge(y));
            prop_assert_eq!(x.max(y), y);
            prop_assert_eq!(x.min(y), x);
            prop_assert_eq!(y.since(x), d);
            prop_assert_eq!(y - d, x);
        }
    }
}
