//! How a quantity is spread: counts in buckets whose width grows with the value, so that no value is
//! told more than a few percent wrong and memory is fixed.

/// The bucket of a value, `SUB` of them for each doubling; values below `SUB` have their own.
const fn bucket_of(value: u64, sub_bits: u32) -> usize {
    let sub = 1 << sub_bits;
    if value < sub {
        return value as usize;
    }
    let octave = value.ilog2() - sub_bits;
    (((octave as u64) << sub_bits) + (value >> octave)) as usize
}

/// The lowest value of a bucket.
const fn floor_of(bucket: usize, sub_bits: u32) -> u64 {
    let sub = 1 << sub_bits;
    let bucket = bucket as u64;
    if bucket < 2 * sub {
        return bucket;
    }
    let octave = (bucket >> sub_bits) - 1;
    (sub + (bucket & (sub - 1))) << octave
}

/// Which of `count` values, from 0 on, is the quantile at so many in a thousand: the smallest value
/// that so many are at or below.
pub const fn rank(count: u64, per_mille: u64) -> u64 {
    let rank = (count as u128 * per_mille as u128).div_ceil(1000);
    if rank == 0 { 0 } else { rank as u64 - 1 }
}

/// Round-trip times of one connection in microseconds: four buckets for each doubling, up to 67 s.
#[derive(Clone, Debug)]
pub(super) struct Small {
    counts: [u16; Self::BUCKETS],
}

impl Default for Small {
    fn default() -> Self {
        Self { counts: [0; Self::BUCKETS] }
    }
}

impl Small {
    const SUB_BITS: u32 = 2;
    const BUCKETS: usize = 104;

    pub(super) fn add(&mut self, nanos: u64) {
        let at = bucket_of(nanos / 1000, Self::SUB_BITS).min(Self::BUCKETS - 1);
        // A bucket that is full stands for the most that a u16 holds.
        self.counts[at] = self.counts[at].saturating_add(1);
    }

    /// Nanoseconds at a quantile: the middle of its bucket. None without values.
    pub(super) fn quantile(&self, per_mille: u64) -> Option<u64> {
        let count: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let mut left = rank(count, per_mille);
        for (bucket, n) in self.counts.iter().enumerate() {
            if left < u64::from(*n) {
                let (low, high) =
                    (floor_of(bucket, Self::SUB_BITS), floor_of(bucket + 1, Self::SUB_BITS));
                return Some((low * 1000).midpoint(high * 1000));
            }
            left -= u64::from(*n);
        }
        None
    }
}

/// Sixteen buckets for each doubling of nanoseconds, each with a sum of type `T` beside its count.
#[derive(Clone, Debug)]
pub struct Spread<T> {
    buckets: Vec<Bucket<T>>,
    count: u64,
    sum: u128,
    least: u64,
    most: u64,
}

/// One bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket<T> {
    /// Values in it.
    pub count: u64,
    /// Their sum.
    pub sum: u128,
    /// What was added with them.
    pub with: T,
}

impl<T: Copy + Default + std::ops::AddAssign> Default for Spread<T> {
    fn default() -> Self {
        Self { buckets: Vec::new(), count: 0, sum: 0, least: u64::MAX, most: 0 }
    }
}

impl<T: Copy + Default + std::ops::AddAssign> Spread<T> {
    const SUB_BITS: u32 = 4;

    /// Adds a value, and what goes with it.
    pub fn add(&mut self, value: u64, with: T) {
        let at = bucket_of(value, Self::SUB_BITS);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, Bucket::default());
        }
        let bucket = &mut self.buckets[at];
        bucket.count += 1;
        bucket.sum += u128::from(value);
        bucket.with += with;
        self.count += 1;
        self.sum += u128::from(value);
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    /// Values added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The least value; none without any.
    pub fn least(&self) -> Option<u64> {
        (self.count > 0).then_some(self.least)
    }

    /// The greatest value; none without any.
    pub fn most(&self) -> Option<u64> {
        (self.count > 0).then_some(self.most)
    }

    /// The mean, rounded down; none without any.
    pub fn mean(&self) -> Option<u64> {
        (self.count > 0).then(|| (self.sum / u128::from(self.count)) as u64)
    }

    /// The mean of the values in the bucket of a quantile, which is exact where they are alike.
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        let bucket = self.bucket_at(per_mille)?;
        let bucket = &self.buckets[bucket];
        Some((bucket.sum / u128::from(bucket.count)) as u64)
    }

    /// What went with the values in the bucket of a quantile: their count and sums.
    pub fn at(&self, per_mille: u64) -> Option<Bucket<T>> {
        Some(self.buckets[self.bucket_at(per_mille)?])
    }

    /// The same for that bucket and all above it.
    pub fn from(&self, per_mille: u64) -> Option<Bucket<T>> {
        let mut all = Bucket::default();
        for bucket in &self.buckets[self.bucket_at(per_mille)?..] {
            all.count += bucket.count;
            all.sum += bucket.sum;
            all.with += bucket.with;
        }
        Some(all)
    }

    /// Each bucket with values: its lowest value, the next one's, and itself.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, &Bucket<T>)> {
        self.buckets.iter().enumerate().filter(|(_, bucket)| bucket.count > 0).map(|(n, bucket)| {
            (floor_of(n, Self::SUB_BITS), floor_of(n + 1, Self::SUB_BITS), bucket)
        })
    }

    fn bucket_at(&self, per_mille: u64) -> Option<usize> {
        let mut left = rank(self.count, per_mille);
        self.buckets.iter().position(|bucket| {
            let found = left < bucket.count;
            left = left.saturating_sub(bucket.count);
            found
        })
    }
}

/// What goes with values of which only the number matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing;

impl std::ops::AddAssign for Nothing {
    fn add_assign(&mut self, _: Self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(value: u64, sub_bits in 0u32..6) {
            let value = value >> (value % 64);
            let at = bucket_of(value, sub_bits);
            prop_assert!(floor_of(at, sub_bits) <= value);
            if value < 1 << 62 {
                prop_assert!(value < floor_of(at + 1, sub_bits));
            }
        }

        /// The twin sorts.
        #[test]
        fn a_quantile_is_within_a_sixteenth(
            mut values in prop::collection::vec(1u64..1 << 40, 1..60),
            per_mille in 0u64..=1000,
        ) {
            let mut spread = Spread::<Nothing>::default();
            for value in &values {
                spread.add(*value, Nothing);
            }
            values.sort_unstable();
            let wanted = values[rank(values.len() as u64, per_mille) as usize];
            let got = spread.quantile(per_mille).unwrap();
            prop_assert!(got.abs_diff(wanted) <= wanted / 16 + 1, "{} {}", got, wanted);
            prop_assert_eq!(spread.from(0).unwrap().count, values.len() as u64);
            let mut small = Small::default();
            for value in &values {
                small.add(*value % 60_000_000_000);
            }
            prop_assert!(small.quantile(per_mille).is_some());
        }
    }

    #[test]
    fn equal_values_are_told_exactly() {
        let mut spread = Spread::<Nothing>::default();
        (0..7).for_each(|_| spread.add(1_234_567, Nothing));
        assert_eq!(spread.quantile(500), Some(1_234_567));
        assert_eq!((spread.least(), spread.most()), (Some(1_234_567), Some(1_234_567)));
        assert_eq!(Spread::<Nothing>::default().quantile(500), None);
    }
}
