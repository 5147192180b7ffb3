//! The marks that the scenarios need not reach, each with its reason. All others are listed.

use simoom_scenarios::marks;

/// Not reached by scenarios: why, and what reaches them instead.
pub(crate) const UNLISTED: &[(&str, &str)] = &[
    (
        "ReceivePoolEmpty",
        "hosts of files have a receive buffer for every connection: core's stack tests",
    ),
    (
        "ContentNotYet",
        "content of scenarios is in memory, never on a slow disk: core's store tests",
    ),
    ("ContentGone", "the same, and nobody removes it: core's store tests"),
    ("StoreSourceChanged", "the same, and nobody changes it: core's store tests"),
    ("StoreNoRun", "no scenario has more objects than runs: core's store tests"),
];

/// The names of listed marks that were not reached; `counts` in the order of all marks.
pub(crate) fn unreached(counts: &[u64]) -> Vec<&'static str> {
    let listed = |name: &str| UNLISTED.iter().all(|(unlisted, _)| *unlisted != name);
    let all = marks().into_iter().zip(counts);
    all.filter(|(mark, n)| **n == 0 && listed(mark.name)).map(|(mark, _)| mark.name).collect()
}
