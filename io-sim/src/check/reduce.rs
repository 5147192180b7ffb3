//! The smallest part of a list that still does it: delta debugging (Zeller and Hildebrandt,
//! "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002), algorithm ddmin.

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced<T> {
    /// The smallest list found that still fails, in its order.
    pub list: Vec<T>,
    /// No single member can be left out of it. False where the tests were used up before.
    pub is_minimal: bool,
    /// Tests made.
    pub tests: u32,
}

/// Makes a list that fails smaller. `fails` says whether a part of it still does, or None to give
/// up; it is asked at most `tests_max` times. The empty list is the first it is asked about.
pub fn reduce<T: Clone>(
    list: Vec<T>,
    tests_max: u32,
    mut fails: impl FnMut(&[T]) -> Option<bool>,
) -> Reduced<T> {
    let mut tests = 0;
    let mut list = list;
    let mut ask = |part: &[T]| {
        if tests == tests_max {
            return None;
        }
        tests += 1;
        fails(part)
    };
    let is_minimal = go(&mut list, &mut ask).is_some();
    Reduced { list, is_minimal, tests }
}

/// None where `ask` gave up; the list is the smallest found then.
fn go<T: Clone>(list: &mut Vec<T>, ask: &mut impl FnMut(&[T]) -> Option<bool>) -> Option<()> {
    if list.is_empty() {
        return Some(());
    }
    if ask(&[])? {
        list.clear();
        return Some(());
    }
    let mut pieces = 2;
    while list.len() > 1 {
        let size = list.len().div_ceil(pieces);
        let starts = || (0..list.len()).step_by(size);
        let mut smaller = None;
        for start in starts() {
            let piece = &list[start..list.len().min(start + size)];
            if ask(piece)? {
                smaller = Some((piece.to_vec(), 2));
                break;
            }
        }
        // Of two pieces, what is left without the one is the other.
        if smaller.is_none() && pieces > 2 {
            for start in starts() {
                let mut rest = list[..start].to_vec();
                rest.extend_from_slice(&list[list.len().min(start + size)..]);
                if ask(&rest)? {
                    smaller = Some((rest, (pieces - 1).max(2)));
                    break;
                }
            }
        }
        match smaller {
            Some((part, next)) => (*list, pieces) = (part, next.min(list.len())),
            None if size == 1 => break,
            None => pieces = (2 * pieces).min(list.len()),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needs(all: &[u32]) -> impl FnMut(&[u32]) -> Option<bool> {
        move |part| Some(all.iter().all(|n| part.contains(n)))
    }

    #[test]
    fn what_fails_without_anything_becomes_empty_in_one_test() {
        let reduced = reduce((0..1000).collect(), 100, |_| Some(true));
        assert_eq!(reduced, Reduced { list: Vec::<u32>::new(), is_minimal: true, tests: 1 });
    }

    #[test]
    fn two_of_a_thousand_are_found_within_150_tests() {
        let reduced = reduce((0..1000).collect(), 1000, needs(&[3, 700]));
        assert_eq!((reduced.list, reduced.is_minimal), (vec![3, 700], true));
        assert!(reduced.tests < 150, "{}", reduced.tests);
    }

    #[test]
    fn whoever_gives_up_keeps_the_smallest_list_so_far() {
        let mut left = 12;
        let mut fails = needs(&[3, 700]);
        let reduced = reduce((0..1000).collect(), 1000, |part| {
            left -= 1;
            (left >= 0).then(|| fails(part)).flatten()
        });
        assert!(!reduced.is_minimal && reduced.list.len() < 1000);
        assert_eq!(needs(&[3, 700])(&reduced.list), Some(true));
        let bounded = reduce((0..1000).collect(), 12, needs(&[3, 700]));
        assert!(!bounded.is_minimal && bounded.tests == 12);
    }

    proptest! {
        #[test]
        fn the_result_fails_and_nothing_can_be_left_out(
            len in 0u32..60,
            needed in prop::collection::btree_set(0u32..60, 0..6),
            either in prop::collection::btree_set(0u32..60, 0..4),
        ) {
            // Fails with all of the one set, and with any of the other where there is one.
            let fails = |part: &[u32]| {
                needed.iter().all(|n| part.contains(n))
                    && (either.is_empty() || either.iter().any(|n| part.contains(n)))
            };
            let list: Vec<u32> = (0..len).collect();
            prop_assume!(fails(&list));
            let reduced = reduce(list, u32::MAX, |part| Some(fails(part)));
            prop_assert!(reduced.is_minimal && fails(&reduced.list));
            prop_assert!(reduced.list.is_sorted());
            for left_out in 0..reduced.list.len() {
                let mut less = reduced.list.clone();
                less.remove(left_out);
                prop_assert!(!fails(&less), "{:?} without one", reduced.list);
            }
        }
    }
}
