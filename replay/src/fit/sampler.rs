//! A bounded choice of many values: all of them while they are few, then every second, every fourth
//! and so on. The same values in the same order give the same choice.

/// Values kept at most.
const KEPT_MAX: usize = 64;

/// What was chosen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampler {
    kept: Vec<u64>,
    /// Every so manieth is kept, as a power of two.
    shift: u32,
    seen: u32,
}

impl Sampler {
    pub(super) fn add(&mut self, value: u64) {
        let number = self.seen;
        self.seen = self.seen.saturating_add(1);
        if number & ((1 << self.shift) - 1) != 0 {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            let mut n = 0;
            self.kept.retain(|_| {
                n += 1;
                n % 2 == 1
            });
            self.shift = (self.shift + 1).min(31);
            if number & ((1 << self.shift) - 1) != 0 {
                return;
            }
        }
        self.kept.push(value);
    }

    /// How many values there were, kept or not.
    pub(super) fn seen(&self) -> u32 {
        self.seen
    }

    /// The values kept, ascending.
    pub(super) fn sorted(&self) -> Vec<u64> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        sorted
    }
}

/// The value below which so many thousandths lie (nearest rank); none of an empty list.
pub(crate) fn quantile(sorted: &[u64], thousandths: usize) -> Option<u64> {
    let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_all_kept_and_of_many_a_regular_choice() {
        let mut sampler = Sampler::default();
        (0..64).for_each(|n| sampler.add(n));
        assert_eq!(sampler.sorted(), (0..64).collect::<Vec<_>>());
        (64..100_000).for_each(|n| sampler.add(n));
        let sorted = sampler.sorted();
        assert_eq!(sampler.seen(), 100_000);
        assert!((32..=64).contains(&sorted.len()), "{}", sorted.len());
        let step = sorted[1] - sorted[0];
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] == step));
        assert!(quantile(&sorted, 500).unwrap().abs_diff(50_000) <= 2 * step);
    }

    #[test]
    fn quantiles_are_values_of_the_list() {
        assert_eq!(quantile(&[], 500), None);
        assert_eq!(quantile(&[7], 990), Some(7));
        assert_eq!(quantile(&[1, 2, 3, 4], 500), Some(2));
        assert_eq!(quantile(&[1, 2, 3, 4], 990), Some(4));
        assert_eq!(quantile(&[1, 2, 3, 4], 0), Some(1));
    }
}
