use super::*;
use alloc::collections::BTreeSet;

/// Neighbouring runs of neighbouring objects spread over the table as random numbers would: 4,096
/// keys fill 63 % of 4,096 places, by the low bits (the place) as by the upper seven (the tag).
#[test]
fn hashes_of_neighbours_spread() {
    for key in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
        let hashes: alloc::vec::Vec<u64> = (0..64)
            .flat_map(|object| (0..64u64).map(move |run| (object << 32 | run, 1_448 << 16 | 66)))
            .map(|(name, variant)| hash(key, &RunKey { name, variant }))
            .collect();
        let places: BTreeSet<u64> = hashes.iter().map(|hash| hash & 4_095).collect();
        let tags: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(places.len() > 2_000, "key {key:#x}: {} places", places.len());
        assert!(tags.len() > 100, "key {key:#x}: {} tags", tags.len());
    }
}
