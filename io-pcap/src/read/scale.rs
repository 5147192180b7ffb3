//! Time stamps of captures, in nanoseconds since 1970.

/// What one tick of an interface's clock is, and what is added. draft-ietf-opsawg-pcapng §4.2:
/// `if_tsresol` and `if_tsoffset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    unit: Unit,
    offset_nanos: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Times(u64),
    /// 10⁻ⁿ nanoseconds: the divisor, None where it does not fit (every stamp is then less than
    /// two nanoseconds).
    Parts(Option<u64>),
    /// 2⁻ⁿ seconds, n up to 127.
    Binary(u32),
}

impl Scale {
    /// From the bytes of `if_tsresol` and `if_tsoffset` (seconds).
    pub(super) fn new(resolution: u8, offset_seconds: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if exponent <= 9 {
            Unit::Times(10u64.pow(9 - exponent))
        } else {
            Unit::Parts(10u64.checked_pow(exponent - 9))
        };
        Self { unit, offset_nanos: i128::from(offset_seconds) * 1_000_000_000 }
    }

    /// Nanoseconds since 1970, rounded down; None where that is before 1970 or after 2554.
    #[inline]
    pub(super) fn unix_nanos(self, ticks: u64) -> Option<u64> {
        if self.offset_nanos == 0
            && let Unit::Times(factor) = self.unit
        {
            return ticks.checked_mul(factor);
        }
        let nanos = match self.unit {
            Unit::Times(factor) => u128::from(ticks) * u128::from(factor),
            Unit::Parts(Some(divisor)) => u128::from(ticks / divisor),
            Unit::Parts(None) => 0,
            Unit::Binary(shift) => (u128::from(ticks) * 1_000_000_000) >> shift,
        };
        // Below 2⁹⁴ and above -2⁹⁴: the sum fits.
        u64::try_from(nanos as i128 + self.offset_nanos).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_are_powers_of_ten_or_two() {
        for (resolution, ticks, nanos) in [
            (0, 3, 3_000_000_000),
            (3, 1_500, 1_500_000_000),
            (6, 1, 1_000),
            (9, 7, 7),
            (12, 7_999, 7),
            (28, u64::MAX, 1),
            (29, u64::MAX, 0),
            (127, u64::MAX, 0),
            (0x80, 3, 3_000_000_000),
            (0x80 | 20, (5 << 20) + (1 << 19), 5_500_000_000),
            (0x80 | 127, u64::MAX, 0),
        ] {
            assert_eq!(Scale::new(resolution, 0).unix_nanos(ticks), Some(nanos), "{resolution:#x}");
        }
    }

    #[test]
    fn offsets_move_times_both_ways() {
        assert_eq!(Scale::new(9, 1_700_000_000).unix_nanos(5), Some(1_700_000_000_000_000_005));
        assert_eq!(Scale::new(6, -1).unix_nanos(1_000_001), Some(1_000));
    }

    #[test]
    fn times_out_of_range_are_none() {
        assert_eq!(Scale::new(6, -1).unix_nanos(0), None);
        assert_eq!(Scale::new(0, 0).unix_nanos(u64::MAX), None);
        assert_eq!(Scale::new(0x80, i64::MAX).unix_nanos(u64::MAX), None);
        assert_eq!(Scale::new(0, i64::MIN).unix_nanos(0), None);
    }
}
