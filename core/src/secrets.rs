//! What must not be guessed from outside. Everything unpredictable in the stack derives from here.

use core::fmt;

/// 256 secret bits, drawn by whoever starts the stack. Initial sequence numbers (RFC 6528),
/// timestamp offsets and table keys are derived; none of them is stored anywhere else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secrets {
    /// Key of the initial sequence numbers. RFC 6528 §3.
    pub isn_key: [u64; 2],
    /// Key of the connection table.
    pub demux_key: [u64; 2],
}

impl Secrets {
    /// The secrets made of four random words.
    pub const fn new(words: [u64; 4]) -> Self {
        Self { isn_key: [words[0], words[1]], demux_key: [words[2], words[3]] }
    }
}

impl fmt::Debug for Secrets {
    /// Shows that there are secrets, never which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}
