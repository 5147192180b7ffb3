//! Captures explained and replayed.
//!
//! Reads no file by itself, no clock, and draws nothing by chance: segments come in, plain data goes
//! out, and the same capture gives the same answers. Prints nothing.
//!
//! Read in this order: [`flow`] (segments to connections), [`analysis`] (where the time of every
//! answer went); for replay [`prepare`] (the first pass: [`tape`] and [`script`]), [`open`] (the
//! second: the captured clients against our stack) and [`compare`] (what both servers sent, side by
//! side); for the closed loop [`fit`] (a client and a path for each connection) and [`closed`] (worlds
//! of them).
#![forbid(unsafe_code)]

pub mod analysis;
pub mod closed;
pub mod compare;
pub mod content;
pub mod fit;
pub mod flow;
pub mod open;
pub mod prepare;
pub mod script;
pub mod tape;
