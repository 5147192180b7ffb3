//! A turn log determines the output: the stack that it tells of, run over any port, sends the same
//! frames byte for byte.

use crate::Harness;
use crate::fixture::Fixture;
use crate::scripted::{Divergence, replay};
use simoom_core::port::turn_log::TurnLog;

/// Builds the stack that `log` tells of (its configuration is a [`Fixture`], its secrets are in it)
/// and runs it over the port of `harness` with what the log says at each turn. Answers the frames
/// that left; they are those of the recording.
///
/// The port must be fresh, and have a few buffers more than the recorded one.
///
/// # Errors
/// The first thing that was not as recorded.
pub fn same_bytes<H: Harness>(log: &TurnLog, harness: &mut H) -> Result<Vec<Vec<u8>>, Divergence> {
    let config = |error: crate::fixture::FixtureError| Divergence::Config(error.to_string());
    let fixture: Fixture = log.header.config.parse().map_err(config)?;
    let mut stack = fixture.stack(&log.header).map_err(config)?;
    replay(log, harness, |now, port| stack.turn(now, port).map(|_deadline| ()))
}
