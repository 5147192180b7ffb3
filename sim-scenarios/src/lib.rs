//! Worlds written down in files: a scenario is parsed, checked, run under a seed, and judged by the
//! expectations that the file states.
//!
//! [`Scenario::load`] reads a file and says everything that is wrong with it; [`Scenario::cases`]
//! are its worlds, axes multiplied out; [`run`] runs one under a seed. The format is described in
//! the package's README, beside the files. Reads no clock, and nothing but the file it is told.
#![forbid(unsafe_code)]

mod doc;
mod host;
#[rustfmt::skip]
mod keys;
mod marks;
mod measure;
mod model;
mod problem;
mod read;
mod record;
mod reference;
mod run;
mod schema;
mod shrink;
mod table;

pub use marks::{Mark, marks};
pub use measure::decimals;
pub use measure::{HOST as HOST_MEASURES, Measure, WAY as WAY_MEASURES, WORLD as WORLD_MEASURES};
pub use model::Case;
pub use problem::{Errors, Problem};
pub use read::{CASES_MAX, FILE_BYTES_MAX, LinkFile, Measurement, NicFile, NicFindings, Scenario};
pub use reference::reference;
pub use run::{
    Observed, Probed, RunOptions, RunResult, WATCH_EVERY, Watch, run, run_observed, run_with,
};
pub use shrink::{Shrunk, shrink};
pub use table::{Pair, json_line, pairs, shard, table};
