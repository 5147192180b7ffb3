//! Which rare branches of the core a run reached: known where the feature `marks` is on.

/// A rare branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub name: &'static str,
    /// What happens there.
    pub about: &'static str,
}

/// Every mark that there is, in a fixed order; none without the feature `marks`.
pub fn marks() -> Vec<Mark> {
    #[cfg(feature = "marks")]
    {
        let all = simoom_sim::marks::Mark::ALL.into_iter();
        all.map(|mark| Mark { name: mark.name(), about: mark.text().trim() }).collect()
    }
    #[cfg(not(feature = "marks"))]
    Vec::new()
}

/// How often each was reached on this thread since the last call, in the order of [`marks`].
pub(crate) fn take() -> Vec<u64> {
    #[cfg(feature = "marks")]
    {
        simoom_sim::marks::take().iter().map(|(_, count)| count).collect()
    }
    #[cfg(not(feature = "marks"))]
    Vec::new()
}
