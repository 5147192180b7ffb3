//! The Internet checksum. RFC 1071; incremental update by RFC 1624.
//!
//! Must not know headers: it sees bytes and 16-bit words.
//!
//! Sums are kept unfolded as long as possible. A one's-complement sum of 16-bit words may be taken
//! over wider words and folded late, since 2¹⁶ ≡ 1 (mod 2¹⁶ − 1); and it may be taken in either
//! byte order and swapped at the end. [`sum`] uses both.

use core::fmt;

/// A one's-complement sum of 16-bit words in network order, not yet folded.
///
/// The value 0 means "nothing but zeros was added"; once any word was not zero, the folded sum is
/// never 0 (it is 0xffff where it would be, RFC 1624 §3).
#[derive(Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// The sum whose folded value is `folded`: what [`Sum::fold`] gave, or a one's-complement term.
    #[inline]
    pub const fn from_folded(folded: u16) -> Self {
        Self(folded as u64)
    }

    /// Adds bytes that start at an even offset of what is summed. An odd last byte is the upper
    /// half of a word whose lower half is zero.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        self.combine(sum(bytes))
    }

    /// Adds one word.
    #[inline]
    #[must_use]
    pub const fn add_u16(self, word: u16) -> Self {
        self.combine(Self(word as u64))
    }

    /// Adds two words, the upper half first on the wire.
    #[inline]
    #[must_use]
    pub const fn add_u32(self, words: u32) -> Self {
        self.combine(Self(words as u64))
    }

    /// The sum of both, where the other's first byte lies at an even offset.
    #[inline]
    #[must_use]
    pub const fn combine(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        Self(sum.wrapping_add(carry as u64))
    }

    /// The sum of both, where the other's first byte lies at `offset`. At an odd offset its bytes
    /// sit in the other halves of the words (RFC 1071 §2, "byte order independence").
    #[inline]
    #[must_use]
    pub const fn combine_at(self, other: Self, offset: usize) -> Self {
        if offset & 1 == 0 { self.combine(other) } else { self.add_u16(other.fold().swap_bytes()) }
    }

    /// The sum in 16 bits.
    #[inline]
    pub const fn fold(self) -> u16 {
        // Adding a number to itself turned by half its width leaves, in the upper half, the sum of
        // both halves with the carry brought round.
        Self::fold32((self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32)
    }

    /// The same of a sum that has 32 bits.
    #[inline]
    pub(super) const fn fold32(sum: u32) -> u16 {
        (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
    }

    /// The checksum: the complement of the folded sum. Zero is sent as it is; sending 0xffff in its
    /// place is a rule of UDP alone.
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }

    /// The sum in 33 bits at most, so that 2³⁰ more words of 32 bits may be added plainly.
    #[inline]
    pub(super) const fn narrow(self) -> u64 {
        (self.0 >> 32) + (self.0 & 0xffff_ffff)
    }

    /// A sum made by plain addition of words that cannot have overflowed.
    #[inline]
    pub(super) const fn from_wide(sum: u64) -> Self {
        Self(sum)
    }
}

impl PartialEq for Sum {
    /// Whether both fold to the same word.
    fn eq(&self, other: &Self) -> bool {
        self.fold() == other.fold()
    }
}

impl Eq for Sum {}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({:#06x})", self.fold())
    }
}

/// The sum of `bytes`, the first of which lies at an even offset.
///
/// Eight chained additions of 64 bits for each 64 bytes, the carry brought round once.
#[inline]
pub fn sum(bytes: &[u8]) -> Sum {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut acc = 0u64;
    for block in blocks {
        let mut carry = false;
        for word in block.as_chunks::<8>().0 {
            (acc, carry) = acc.carrying_add(u64::from_ne_bytes(*word), carry);
        }
        acc = add_round(acc, u64::from(carry));
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        acc = add_round(acc, u64::from_ne_bytes(*word));
    }
    acc = add_round(acc, tail(rest));
    // Turning the whole word round puts the bytes of each 16-bit word in network order; that it
    // also changes the order of those words does not matter to their sum.
    Sum(u64::from_be(acc))
}

/// The sum of an array of known length, without loops and calls.
#[inline(always)]
pub fn sum_array<const N: usize>(bytes: &[u8; N]) -> Sum {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut acc = 0u64;
    let mut carry = false;
    for word in words {
        (acc, carry) = acc.carrying_add(u64::from_ne_bytes(*word), carry);
    }
    Sum(u64::from_be(add_round(acc, tail(rest) + u64::from(carry))))
}

/// Up to seven last bytes as a word in memory order, zeros behind them.
#[inline]
fn tail(mut rest: &[u8]) -> u64 {
    // The parts are below 2³² + 2¹⁶ + 2¹⁶ together, so they add plainly.
    let mut acc = 0u64;
    if let Some((four, after)) = rest.split_first_chunk::<4>() {
        acc += u64::from(u32::from_ne_bytes(*four));
        rest = after;
    }
    if let Some((two, after)) = rest.split_first_chunk::<2>() {
        acc += u64::from(u16::from_ne_bytes(*two));
        rest = after;
    }
    if let Some(&last) = rest.first() {
        acc += u64::from(u16::from_ne_bytes([last, 0]));
    }
    acc
}

#[inline]
const fn add_round(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u64)
}

/// The checksum after one word of what it covers changed from `old` to `new`. RFC 1624 equation 3.
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::from_wide(!checksum as u64 + !old as u64 + new as u64).finish()
}

/// The checksum after two adjoining words, the first at an even offset, changed from `old` to
/// `new`. RFC 1624 equation 3.
#[inline]
pub const fn update32(checksum: u16, old: u32, new: u32) -> u16 {
    Sum::from_wide(!checksum as u64 + !old as u64 + new as u64).finish()
}

/// The checksum after bytes at `offset` of what it covers changed their sum from `old` to `new`, each
/// summed as if it began at an even offset. RFC 1624 equation 3.
#[inline]
pub const fn update_sum(checksum: u16, offset: usize, old: Sum, new: Sum) -> u16 {
    // The complement of the folded sum stands for the complements of all words.
    Sum::from_folded(!checksum)
        .combine_at(Sum::from_folded(!old.fold()), offset)
        .combine_at(new, offset)
        .finish()
}

#[cfg(test)]
mod tests;
