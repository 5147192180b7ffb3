//! What is wrong with a capture: which input, where, what was expected.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why an input, or a part of it, could not be read.
#[derive(Debug)]
pub struct ReadError {
    /// The input's name.
    pub input: Arc<str>,
    /// Bytes from the start of the input, unpacked where it was compressed, to what is wrong.
    pub offset: u64,
    /// What.
    pub kind: ReadErrorKind,
    /// Whether reading of this input goes on behind the damage. The other inputs always go on.
    pub goes_on: bool,
}

/// In what way a capture is wrong.
#[derive(Debug)]
pub enum ReadErrorKind {
    /// The reader failed, or the compressed stream is damaged.
    Io(io::Error),
    /// The first bytes are those of no capture format.
    NotACapture {
        /// The first bytes, as many as there are.
        found: Vec<u8>,
    },
    /// The input ends within something.
    Cut {
        /// Within what.
        what: &'static str,
        /// Bytes that it has.
        need: u64,
        /// Bytes that are there.
        have: u64,
    },
    /// A length that cannot be true.
    Length {
        /// The length of what.
        what: &'static str,
        /// What it says, in bytes.
        length: u64,
        /// The least that it may say.
        min: u64,
        /// The most that it may say.
        max: u64,
    },
    /// The length at the end of a pcapng block differs from the one at its start.
    Trailer {
        /// At the start, in bytes.
        start: u32,
        /// At the end.
        end: u32,
    },
    /// A packet of an interface that its section does not describe.
    Interface {
        /// The interface's number.
        number: u32,
        /// Interfaces that the section describes.
        described: u32,
    },
    /// A version of the format that is not known.
    Version {
        /// Which format.
        what: &'static str,
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// A section's byte order mark is none.
    ByteOrder {
        /// What stands in its place, in the order of the file.
        found: [u8; 4],
    },
    /// More of something than is kept.
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that is kept.
        max: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: byte {}: {}", self.input, self.offset, self.kind)?;
        if self.goes_on {
            f.write_str("; went on behind it")?;
        }
        Ok(())
    }
}

impl fmt::Display for ReadErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotACapture { found } if found.is_empty() => f.write_str("the input is empty"),
            Self::NotACapture { found } => {
                f.write_str("expected a capture (pcap or pcapng, as it is or packed by gzip or zstd), found")?;
                found.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
            Self::Cut { what, need, have } => {
                write!(f, "the input ends within {what}: {need} bytes expected, {have} are there")
            }
            Self::Length { what, length, min, max } => {
                write!(f, "the length of {what} is {length} bytes, expected {min} to {max}")
            }
            Self::Trailer { start, end } => {
                write!(f, "a block is {start} bytes long at its start and {end} at its end")
            }
            Self::Interface { number, described } => write!(
                f,
                "a packet of interface {number}, of which there is no description: the section has {described}"
            ),
            Self::Version { what, major, minor } => {
                write!(f, "version {major}.{minor} of {what} is not known")
            }
            Self::ByteOrder { found: [a, b, c, d] } => write!(
                f,
                "expected a byte order mark (1a2b3c4d), found {a:02x}{b:02x}{c:02x}{d:02x}"
            ),
            Self::TooMany { what, max } => write!(f, "more than {max} {what}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ReadErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
