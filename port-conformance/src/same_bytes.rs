//! A turn log determines the output: the stack that it tells of, run over any port, sends the same
//! frames byte for byte.

use crate::Harness;
use crate::fixture::{self, Fixture, FixtureError};
use crate::scripted::{Divergence, Scripted, replay, replay_in_parts, replay_summed};
use crate::served::{self, Served};
use simoom_core::content::Mode;
use simoom_core::port::Port;
use simoom_core::port::turn_log::{Header, Output, TurnLog};
use simoom_core::server::{FileServer, MemoryBodies};
use simoom_core::stack::Stack;
use simoom_core::time::Instant;
use simoom_core::wire::MacAddr;

/// Builds the stack that `log` tells of (its configuration is a [`Fixture`] or a [`Served`], its secrets
/// and the bodies are in it) and runs it over the port of `harness` with what the log says at each
/// turn. Answers the frames that left; they are those of the recording.
///
/// The port must be fresh, and have a few buffers more than the recorded one.
///
/// # Errors
/// The first thing that was not as recorded.
pub fn same_bytes<H: Harness>(log: &TurnLog, harness: &mut H) -> Result<Vec<Vec<u8>>, Divergence> {
    let mut stack = server(&log.header)?;
    replay(log, harness, turns(&mut stack))
}

/// The same for logs of any length: the frames are not kept. Answers what they sum up to.
///
/// # Errors
/// The first thing that was not as recorded.
pub fn same_output<H: Harness>(log: &TurnLog, harness: &mut H) -> Result<Output, Divergence> {
    let mut stack = server(&log.header)?;
    replay_summed(log, harness, turns(&mut stack))
}

/// The same as [`same_bytes`] for a log whose stack sent whole frames, with one that makes its frames
/// out of private headers and shared payload: the mode *gather*. It is told of two slots for each that
/// was logged, since a frame takes two, and may use every buffer that the port of `harness` has.
///
/// # Errors
/// The first thing that was not as recorded; buffers in the pool are not compared.
pub fn same_bytes_in_parts<H: Harness>(
    log: &TurnLog,
    harness: &mut H,
) -> Result<Vec<Vec<u8>>, Divergence> {
    let recorded = Recorded::of(&log.header)?.in_parts();
    let mut stack = None;
    replay_in_parts(log, harness, |now, port| {
        if stack.is_none() {
            let header = Header { caps: *port.caps(), ..log.header.clone() };
            stack = Some(recorded.stack(&header)?);
        }
        stack.as_mut().map_or(Ok(()), |stack| stack.turn(now, port).map(|_deadline| ()))
    })
}

/// The hardware address of the stack that a log tells of: what all its frames are from.
///
/// # Errors
/// Where the log's configuration is none that this knows.
pub fn sender(header: &Header) -> Result<MacAddr, Divergence> {
    Ok(match Recorded::of(header)? {
        Recorded::Fixture(_) => fixture::MAC,
        Recorded::Served(served) => served.config.mac,
    })
}

/// The stack that a log tells of.
pub type Server = Stack<FileServer<MemoryBodies>>;

/// Builds the stack that a log with this header tells of, for a port with its capabilities.
///
/// # Errors
/// Where the header tells of none, or the secrets or a body are missing.
pub fn server(header: &Header) -> Result<Server, Divergence> {
    Recorded::of(header)?.stack(header)
}

fn turns<H: Harness>(
    stack: &mut Server,
) -> impl FnMut(Instant, &mut Scripted<'_, H>) -> Result<(), Divergence> {
    |now, port| stack.turn(now, port).map(|_deadline| ())
}

/// What a log tells of.
enum Recorded {
    /// A server that was made for the recording.
    Fixture(Fixture),
    /// One that served.
    Served(Box<Served>),
}

impl Recorded {
    fn of(header: &Header) -> Result<Self, Divergence> {
        let text = &header.config;
        if text.lines().next() == Some(served::TITLE) {
            return text.parse().map(Box::new).map(Self::Served).map_err(unbuildable);
        }
        text.parse().map(Self::Fixture).map_err(unbuildable)
    }

    /// The same server, sending in parts.
    fn in_parts(self) -> Self {
        match self {
            Self::Fixture(fixture) => Self::Fixture(Fixture { mode: Mode::Gather, ..fixture }),
            Self::Served(mut served) => {
                served.config.content.mode = Mode::Gather;
                Self::Served(served)
            }
        }
    }

    fn stack(&self, header: &Header) -> Result<Server, Divergence> {
        match self {
            Self::Fixture(fixture) => fixture.stack(header),
            Self::Served(served) => served.stack(header),
        }
        .map_err(unbuildable)
    }
}

fn unbuildable(error: FixtureError) -> Divergence {
    Divergence::Config(error.to_string())
}
