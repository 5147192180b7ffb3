//! Which frames of a batch go on to whoever else is behind the interface.

use super::BATCH_MAX;

/// Frames of one [`super::Port::receive`] batch that its caller does not claim, or not alone: a port
/// that shares its interface with the host's own network hands them on to it. By place in the batch,
/// the first frame being 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed(u32);

const _: () = assert!(BATCH_MAX <= u32::BITS as usize);

impl Unclaimed {
    /// All frames are the caller's: the answer of whoever shares its interface with nobody.
    pub const NONE: Self = Self(0);

    /// The frame at place `at` goes on.
    ///
    /// # Panics
    /// In debug builds, where no batch has such a place.
    #[inline]
    pub fn insert(&mut self, at: usize) {
        debug_assert!(at < BATCH_MAX, "frame {at} of a batch");
        self.0 |= 1 << (at % BATCH_MAX);
    }

    /// Whether the frame at place `at` goes on.
    #[inline]
    pub const fn contains(self, at: usize) -> bool {
        at < BATCH_MAX && self.0 >> at & 1 == 1
    }

    /// Whether no frame goes on.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many frames go on.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}

impl FromIterator<usize> for Unclaimed {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut set = Self::NONE;
        places.into_iter().for_each(|at| set.insert(at));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_places_that_were_put_in_and_no_others() {
        let set: Unclaimed = [0, 7, 31, 7].into_iter().collect();
        let found: alloc::vec::Vec<_> = (0..40).filter(|&at| set.contains(at)).collect();
        assert_eq!((found, set.len(), set.is_empty()), (alloc::vec![0, 7, 31], 3, false));
        assert_eq!((Unclaimed::NONE.len(), Unclaimed::NONE.is_empty()), (0, true));
        assert!((0..40).all(|at| !Unclaimed::NONE.contains(at)));
    }
}
