//! Worlds written down in files: a scenario is parsed, checked, run under a seed, and judged by the
//! expectations that the file states.
#![forbid(unsafe_code)]

mod doc;
mod problem;

pub use problem::{Errors, Problem};
