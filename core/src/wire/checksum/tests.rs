use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// The definition, word by word: the oracle of [`sum`].
fn sum_slow(bytes: &[u8]) -> u16 {
    let mut acc = 0u32;
    for pair in bytes.chunks(2) {
        acc += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        acc = (acc & 0xffff) + (acc >> 16);
    }
    acc as u16
}

/// The checksum computed anew with the bytes changed: the oracle of the updates.
fn recomputed(bytes: &[u8], at: usize, new: &[u8]) -> u16 {
    let mut changed = bytes.to_vec();
    changed[at..at + new.len()].copy_from_slice(new);
    !sum_slow(&changed)
}

#[test]
fn example_of_rfc_1071_sums_as_published() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(sum(&bytes).fold(), 0xddf2);
    assert_eq!(sum(&bytes).finish(), 0x220d);
}

#[test]
fn example_of_rfc_1624_is_not_minus_zero() {
    assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn sum_of_every_length_agrees_with_its_slow_twin() {
    let bytes: Vec<u8> = (0..300u32).map(|i| (i * 37 + 11) as u8).collect();
    for from in 0..3 {
        for to in from..bytes.len() {
            let part = &bytes[from..to];
            assert_eq!(sum(part).fold(), sum_slow(part), "{from}..{to}");
        }
    }
}

#[test]
fn carries_come_round_from_every_place() {
    for len in 0..200 {
        assert_eq!(sum(&std::vec![0xff; len]).fold(), sum_slow(&std::vec![0xff; len]));
        for one in 0..len {
            let mut bytes = std::vec![0xff; len];
            bytes[one] = 0;
            assert_eq!(sum(&bytes).fold(), sum_slow(&bytes), "{len} {one}");
        }
    }
}

#[test]
fn nothing_but_zeros_sums_to_zero_and_anything_else_does_not() {
    assert_eq!(sum(&[0; 99]).fold(), 0);
    assert_eq!(Sum::ZERO.finish(), 0xffff);
    assert_eq!(Sum::ZERO.add_u16(0xffff).fold(), 0xffff);
    assert_eq!(Sum::ZERO.add_u16(1).add_u16(0xfffe).finish(), 0);
    assert_eq!(Sum::from_wide(u64::MAX).add_u16(1).fold(), 1);
    assert_eq!(Sum::from_wide(u64::MAX).combine(Sum::from_wide(u64::MAX)).fold(), 0xffff);
    assert_eq!(Sum::from_wide(0x7_0000_0005).narrow(), 12);
}

#[test]
fn sums_are_equal_where_they_fold_alike() {
    assert_eq!(Sum::ZERO.add_u32(0x0001_0002), Sum::ZERO.add_u16(3));
    assert_ne!(Sum::ZERO.add_u16(3), Sum::ZERO.add_u16(4));
    assert_eq!(std::format!("{:?}", Sum::from_folded(0x2a)), "Sum(0x002a)");
}

proptest! {
    #[test]
    fn sum_agrees_with_its_slow_twin(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(sum(&bytes).fold(), sum_slow(&bytes));
    }

    #[test]
    fn parts_combine_at_any_offset(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        prop_assert_eq!(sum(a).combine_at(sum(b), a.len()).fold(), sum_slow(&bytes));
        if a.len() % 2 == 0 {
            prop_assert_eq!(sum(a).add_bytes(b).fold(), sum_slow(&bytes));
        }
    }

    #[test]
    fn words_add_as_their_bytes_do(a: u16, b: u32, c: u64) {
        let mut bytes = a.to_be_bytes().to_vec();
        bytes.extend(b.to_be_bytes());
        prop_assert_eq!(Sum::ZERO.add_u16(a).add_u32(b).fold(), sum_slow(&bytes));
        prop_assert_eq!(Sum::from_wide(c).fold(), sum_slow(&c.to_be_bytes()));
        prop_assert_eq!(Sum::from_wide(Sum::from_wide(c).narrow()).fold(), sum_slow(&c.to_be_bytes()));
        prop_assert_eq!(Sum::from_folded(a).fold(), a);
    }

    #[test]
    fn updates_equal_recomputation(
        mut bytes in prop::collection::vec(any::<u8>(), 8..60),
        at in 0usize..60,
        odd in prop::collection::vec(any::<u8>(), 0..6),
        word: u16,
        words: u32,
    ) {
        bytes[0] |= 0x40; // no header is all zeros
        let checksum = !sum_slow(&bytes);
        let even = (2 + at % (bytes.len() - 5)) & !1;
        let old = u16::from_be_bytes([bytes[even], bytes[even + 1]]);
        prop_assert_eq!(update(checksum, old, word), recomputed(&bytes, even, &word.to_be_bytes()));
        let old = u32::from_be_bytes([bytes[even], bytes[even + 1], bytes[even + 2], bytes[even + 3]]);
        prop_assert_eq!(update32(checksum, old, words), recomputed(&bytes, even, &words.to_be_bytes()));
        let at = 1 + at % (bytes.len() - odd.len());
        let at = at.min(bytes.len() - odd.len());
        let updated = update_sum(checksum, at, sum(&bytes[at..at + odd.len()]), sum(&odd));
        prop_assert_eq!(updated, recomputed(&bytes, at, &odd));
    }
}

#[test]
fn the_last_carry_of_an_array_comes_round() {
    fn check<const N: usize>() {
        let bytes = [0xff; N];
        assert_eq!(sum_array(&bytes), sum(&bytes), "{N} bytes");
        let mut mixed = [0x80; N];
        mixed[N - 1] = 1;
        assert_eq!(sum_array(&mixed), sum(&mixed), "{N} bytes");
    }
    check::<8>();
    check::<16>();
    check::<20>();
    check::<40>();
    check::<47>();
}
