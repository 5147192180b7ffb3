//! A turn log determines the output: the stack that it tells of, run over any port, sends the same
//! frames byte for byte.

use crate::Harness;
use crate::fixture::Fixture;
use crate::scripted::{Divergence, replay, replay_in_parts};
use simoom_core::content::Mode;
use simoom_core::port::turn_log::{Header, TurnLog};

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

/// The same for a log whose stack sent whole frames, with one that makes its frames out of private
/// headers and shared payload: the mode *gather*. It is told of two slots for each that was logged,
/// since a frame takes two, and may use every buffer that the port of `harness` has.
///
/// # Errors
/// The first thing that was not as recorded; buffers in the pool are not compared.
pub fn same_bytes_in_parts<H: Harness>(
    log: &TurnLog,
    harness: &mut H,
) -> Result<Vec<Vec<u8>>, Divergence> {
    let config = |error: crate::fixture::FixtureError| Divergence::Config(error.to_string());
    let fixture: Fixture = log.header.config.parse().map_err(config)?;
    let fixture = Fixture { mode: Mode::Gather, ..fixture };
    let mut stack = None;
    replay_in_parts(log, harness, |now, port| {
        use simoom_core::port::Port;
        if stack.is_none() {
            let header = Header { caps: *port.caps(), ..log.header.clone() };
            stack = Some(fixture.stack(&header).map_err(config)?);
        }
        stack.as_mut().map_or(Ok(()), |stack| stack.turn(now, port).map(|_deadline| ()))
    })
}
