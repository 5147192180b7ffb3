//! What ends the program early: a sentence for people, and a number for scripts.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, as `--help` shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or ended by Ctrl-C after draining
  1  failed while running: a device that went away, a check that found wrong bytes
  2  a wrong argument
  3  a missing privilege or driver; the message says what to type
  4  a directory or file that cannot be read or written
  5  an interface, address or subnet that is taken
  6  a simulated run that broke a rule, missed what its file expects, or did not end;
     a load that got wrong answers
  7  a replay in which our stack does otherwise than the captured server
  8  a capture without a connection that can be replayed
  9  a capture with damaged places: the answer is about what could be read of it";

/// Which exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Failed while running.
    Runtime = 1,
    /// A wrong argument.
    Usage = 2,
    /// A missing privilege or driver.
    Privilege = 3,
    /// A directory or file that cannot be read or written.
    File = 4,
    /// Something that another program or interface holds.
    Taken = 5,
    /// A run of a scenario that failed, or answers that were wrong.
    Scenario = 6,
    /// A replay that differs.
    Difference = 7,
    /// A capture without a connection that can be replayed.
    NothingToReplay = 8,
    /// A capture that could be read in part.
    Capture = 9,
}

/// Why the program ends.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
