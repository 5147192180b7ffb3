//! Closed loop: every fitted connection lives again in a world of its own, its client and its path as
//! they were, the server ours; first as captured, then otherwise, to ask «what if».
//!
//! A pure function of the fits, the variants and the seeds: how many threads work on it changes no
//! byte. The simulator's oracles watch every world.
//!
//! Read in this order: [`study`] (what is asked, and the answer), [`options`] (variants), `model` (a
//! fit as a world needs it), `world`, `client`, `app`; [`summary`] (numbers over all connections).

mod app;
mod client;
mod model;
pub mod options;
pub mod summary;
mod work;
mod world;

pub use model::{LossMode, SEGMENTS_FOR_OWN_RATE};
pub use options::{KNOBS, Knob, VARIANTS_MAX, Variant, variants};
pub use summary::{
    Answer, Changed, ConnectionAnswer, Quantiles, Range, SeedNumbers, VariantAnswer,
};
pub use world::{EVENTS_MAX, TIME_MAX};

use crate::fit::Fits;
use model::{Model, captured_tcp};
use simoom_core::tcp;
use simoom_sim::seed::{Seed, Stream};
use std::ops::Range as Seeds;
use std::sync::Arc;
use world::Run;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The server's TCP, but for what it announced when it was captured.
    pub base: tcp::Config,
    /// What is to be tried beside it.
    pub variants: Vec<Variant>,
    /// How losses come about.
    pub losses: LossMode,
    /// Seeds; at least one.
    pub seeds: Seeds<u64>,
    /// Threads.
    pub jobs: usize,
    /// Connections that changed most, listed for each variant at most.
    pub listed_max: usize,
}

/// A rule of the simulator that was broken: where, and the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The connection's number.
    pub connection: u64,
    /// The variant.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// What.
    pub what: String,
}

/// Runs every connection under every variant and seed. `on_done` is told how many of how many runs are
/// done, from any thread.
///
/// # Errors
/// The first broken rule, by the order of variants, connections and seeds.
pub fn study(
    fits: &Fits,
    question: &Question,
    on_done: &(dyn Fn(u64, u64) + Sync),
) -> Result<Answer, Broken> {
    let seeds: Vec<u64> = question.seeds.clone().collect();
    let base = Variant::default();
    let all: Vec<&Variant> = [&base].into_iter().chain(&question.variants).collect();
    let runs = (all.len() * fits.fits.len() * seeds.len()) as u64;
    let done = std::sync::atomic::AtomicU64::new(0);
    let mut summary = summary::Builder::new(fits, seeds.len(), question.listed_max);
    for variant in all {
        let results = work::in_order(question.jobs, fits.fits.len(), |n| {
            let fit = &fits.fits[n];
            let model = Arc::new(Model::new(fit, question.losses, fits.pooled));
            let tcp = variant.applied(&captured_tcp(&question.base, fit));
            let each = |seed: &u64| {
                let run = world::run(&model, &tcp, seed_of(*seed, fit.serial));
                let so_far = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                on_done(so_far, runs);
                run
            };
            seeds.iter().map(each).collect::<Vec<Run>>()
        });
        for (fit, runs) in fits.fits.iter().zip(&results) {
            for (seed, run) in seeds.iter().zip(runs) {
                if let Run::Broken(what) = run {
                    return Err(Broken {
                        connection: fit.serial,
                        variant: variant.name(),
                        seed: *seed,
                        what: what.clone(),
                    });
                }
            }
        }
        summary.add(variant, &results);
    }
    Ok(summary.finish())
}

/// The seed of a connection's world: connections draw apart from each other, and the same under every
/// variant.
fn seed_of(seed: u64, serial: u64) -> Seed {
    Seed(Seed(seed).stream(Stream::Named("Connection", serial as u32)).word())
}
