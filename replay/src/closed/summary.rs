//! What came of a study: completion times over all connections, their changes, and how far seeds
//! spread.

use super::options::Variant;
use super::world::Run;
use crate::fit::{Fit, Fits, quantile};
use std::collections::BTreeMap;

/// A difference below this, in nanoseconds, is none.
const SAME: u64 = 1_000;

/// Median, 90th and 99th percentile, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of the turns took no longer.
    pub median: u64,
    /// Nine of ten.
    pub p90: u64,
    /// Ninety-nine of a hundred.
    pub p99: u64,
}

impl Quantiles {
    fn of(sorted: &[u64]) -> Self {
        let at = |thousandths| quantile(sorted, thousandths).unwrap_or(0);
        Self { median: at(500), p90: at(900), p99: at(990) }
    }

    const fn each(&self) -> [u64; 3] {
        [self.median, self.p90, self.p99]
    }
}

/// From the least to the most over the seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range<T> {
    /// The least.
    pub min: T,
    /// The middle one.
    pub middle: T,
    /// The most.
    pub max: T,
}

impl<T: Copy> Range<T> {
    fn of(mut values: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Option<Self> {
        values.sort_by(&order);
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self { min, middle: values[(values.len() - 1) / 2], max })
    }
}

fn range(values: Vec<u64>) -> Option<Range<u64>> {
    Range::of(values, u64::cmp)
}

/// The numbers of one seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeedNumbers {
    /// Of the turns that ended.
    pub quantiles: Quantiles,
    /// Turns that ended.
    pub turns: u64,
}

/// A connection that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Its number.
    pub serial: u64,
    /// Nanoseconds of its turns together, as captured.
    pub captured: u64,
    /// The same, simulated as captured.
    pub before: Range<u64>,
    /// The same, under the variant.
    pub after: Range<u64>,
}

impl Changed {
    /// By how many nanoseconds; negative is sooner.
    pub fn by(&self) -> i64 {
        self.after.middle as i64 - self.before.middle as i64
    }
}

/// What came of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantAnswer {
    /// Its name.
    pub name: String,
    /// One for each seed.
    pub seeds: Vec<SeedNumbers>,
    /// Completion times over the seeds: median, 90th and 99th percentile.
    pub times: [Range<u64>; 3],
    /// By how much they differ from the captured variant's under the same seed: a part of those, so
    /// that -0.25 is a quarter less. None for the captured variant itself.
    pub changes: Option<[Range<f64>; 3]>,
    /// Connections all of whose seeds are sooner than any seed as captured, later, and neither.
    pub better: u64,
    /// Later.
    pub worse: u64,
    /// Neither.
    pub same: u64,
    /// Runs in which a connection ended before its last answer, by why.
    pub unfinished: BTreeMap<&'static str, u64>,
    /// Those that changed most, and by how much: the largest first.
    pub most_changed: Vec<Changed>,
    /// Turns of the first seed, ascending: for drawing. At most [`DRAWN_MAX`].
    pub drawn: Vec<u64>,
}

/// Turns drawn of one variant at most: regularly chosen where there are more.
pub const DRAWN_MAX: usize = 2_000;

/// How well the fits explain the capture: each connection simulated as captured, against what was
/// captured.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionAnswer {
    /// Its number.
    pub serial: u64,
    /// Nanoseconds of its turns together, as captured.
    pub captured: u64,
    /// Simulated as captured; none where no seed got to the end.
    pub simulated: Option<Range<u64>>,
}

impl ConnectionAnswer {
    /// How far the simulation lies from the capture: 0.1 is a tenth longer.
    pub fn error(&self) -> Option<f64> {
        let simulated = self.simulated?.middle;
        let captured = self.captured.max(1);
        Some((simulated as f64 - captured as f64) / captured as f64)
    }
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Completion times as captured.
    pub captured: Quantiles,
    /// Turns captured, ascending: for drawing. At most [`DRAWN_MAX`].
    pub captured_drawn: Vec<u64>,
    /// Turns of all connections.
    pub turns: u64,
    /// The captured variant first.
    pub variants: Vec<VariantAnswer>,
    /// Each connection, by number: how well it is explained.
    pub connections: Vec<ConnectionAnswer>,
}

impl Answer {
    /// Sizes of the errors of [`ConnectionAnswer::error`], ascending.
    pub fn errors(&self) -> Vec<f64> {
        let mut errors: Vec<f64> =
            self.connections.iter().filter_map(ConnectionAnswer::error).map(f64::abs).collect();
        errors.sort_by(f64::total_cmp);
        errors
    }

    /// The middle of them, the 90th percentile, and the largest; none without a connection.
    pub fn error_quantiles(&self) -> Option<[f64; 3]> {
        let errors = self.errors();
        let at = |thousandths: usize| {
            errors.get((errors.len() * thousandths).div_ceil(1000).max(1) - 1).copied()
        };
        Some([at(500)?, at(900)?, *errors.last()?])
    }
}

/// Adds variants up.
pub(super) struct Builder<'a> {
    fits: &'a [Fit],
    seeds: usize,
    listed_max: usize,
    /// Of the captured variant: by connection.
    before: Vec<Option<Range<u64>>>,
    answer: Answer,
}

impl<'a> Builder<'a> {
    pub(super) fn new(fits: &'a Fits, seeds: usize, listed_max: usize) -> Self {
        let turns = fits.fits.iter().flat_map(|fit| &fit.talk.turns);
        let mut captured: Vec<u64> = turns.map(|turn| turn.took).collect();
        captured.sort_unstable();
        let answer = Answer {
            captured: Quantiles::of(&captured),
            turns: captured.len() as u64,
            captured_drawn: thinned(&captured),
            variants: Vec::new(),
            connections: Vec::new(),
        };
        Self { fits: &fits.fits, seeds, listed_max, before: Vec::new(), answer }
    }

    /// Of each connection, the runs of each seed.
    pub(super) fn add(&mut self, variant: &Variant, results: &[Vec<Run>]) {
        let totals: Vec<_> = results.iter().map(|runs| totals(runs)).collect();
        let mut seeds = Vec::with_capacity(self.seeds);
        let mut drawn = Vec::new();
        for seed in 0..self.seeds {
            let mut took: Vec<u64> = Vec::new();
            for runs in results {
                if let Some(Run::Took(turns, _)) = runs.get(seed) {
                    took.extend(turns);
                }
            }
            took.sort_unstable();
            if seed == 0 {
                drawn = thinned(&took);
            }
            seeds.push(SeedNumbers { quantiles: Quantiles::of(&took), turns: took.len() as u64 });
        }
        let mut unfinished = BTreeMap::new();
        for run in results.iter().flatten() {
            if let Run::Took(_, Some(why)) = run {
                *unfinished.entry(*why).or_default() += 1;
            }
        }
        let times = [0, 1, 2].map(|n| {
            range(seeds.iter().map(|seed| seed.quantiles.each()[n]).collect()).unwrap_or_default()
        });
        let base = self.answer.variants.first();
        let changes = base.map(|base| {
            [0, 1, 2].map(|n| {
                let pairs = seeds.iter().zip(&base.seeds);
                let part = |(seed, before): (&SeedNumbers, &SeedNumbers)| {
                    let (now, then) = (seed.quantiles.each()[n], before.quantiles.each()[n]);
                    (now as f64 - then as f64) / then.max(1) as f64
                };
                Range::of(pairs.map(part).collect(), f64::total_cmp).unwrap_or_default()
            })
        });
        let mut one = VariantAnswer {
            name: variant.name(),
            seeds,
            times,
            changes,
            better: 0,
            worse: 0,
            same: 0,
            unfinished,
            most_changed: Vec::new(),
            drawn,
        };
        if self.answer.variants.is_empty() {
            self.explain(&totals);
            self.before = totals;
            one.same = self.fits.len() as u64;
        } else {
            self.compare(&totals, &mut one);
        }
        self.answer.variants.push(one);
    }

    fn explain(&mut self, totals: &[Option<Range<u64>>]) {
        let each = self.fits.iter().zip(totals).map(|(fit, simulated)| ConnectionAnswer {
            serial: fit.serial,
            captured: fit.took(),
            simulated: *simulated,
        });
        self.answer.connections = each.collect();
    }

    fn compare(&self, totals: &[Option<Range<u64>>], one: &mut VariantAnswer) {
        let mut changed = Vec::new();
        for ((fit, before), after) in self.fits.iter().zip(&self.before).zip(totals) {
            let (before, after) = match (before, after) {
                (Some(before), Some(after)) => (*before, *after),
                // It got to the end, or did not any more: that is more than any time.
                (None, Some(_)) => {
                    one.better += 1;
                    continue;
                }
                (Some(_), None) => {
                    one.worse += 1;
                    continue;
                }
                (None, None) => {
                    one.same += 1;
                    continue;
                }
            };
            if after.max + SAME < before.min {
                one.better += 1;
            } else if after.min > before.max + SAME {
                one.worse += 1;
            } else {
                one.same += 1;
            }
            let row = Changed { serial: fit.serial, captured: fit.took(), before, after };
            if row.by().unsigned_abs() > SAME {
                changed.push(row);
            }
        }
        changed.sort_by_key(|row| (std::cmp::Reverse(row.by().unsigned_abs()), row.serial));
        changed.truncate(self.listed_max);
        one.most_changed = changed;
    }

    pub(super) fn finish(self) -> Answer {
        self.answer
    }
}

/// What the turns of a connection took together, over those seeds that got to its end.
fn totals(runs: &[Run]) -> Option<Range<u64>> {
    let whole = runs.iter().filter_map(|run| match run {
        Run::Took(turns, None) => Some(turns.iter().sum()),
        _ => None,
    });
    range(whole.collect())
}

fn thinned(sorted: &[u64]) -> Vec<u64> {
    let step = sorted.len().div_ceil(DRAWN_MAX).max(1);
    sorted.iter().step_by(step).copied().collect()
}
