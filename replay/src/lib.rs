//! Captures explained and replayed.
//!
//! Reads no file by itself, no clock, and draws nothing by chance: segments come in, plain data goes
//! out, and the same capture gives the same answers. Prints nothing.
//!
//! Read in this order: [`flow`] (segments to connections), [`analysis`] (where the time of every
//! answer went).
#![forbid(unsafe_code)]

pub mod analysis;
pub mod flow;
