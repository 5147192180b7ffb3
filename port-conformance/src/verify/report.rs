//! What a run found, and what it measured.

use simoom_core::time::Duration;
use std::fmt;

/// Findings that a report keeps; all are counted.
pub const FINDINGS_MAX: usize = 64;

/// Whose bytes stood where others should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Those of the frame with this number, submitted later or not yet: its buffer was written anew
    /// before the device had read it.
    Later(u64),
    /// Those of a frame submitted before: the device read memory that was not up to date, or another
    /// buffer.
    Earlier(u64),
    /// Those of the same frame, in this place: it was the bytes before that were wrong.
    Own,
    /// Those of no frame of this run.
    Nobody,
}

/// Something that a device must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A frame came with bytes that were not in it when it was submitted.
    WrongBytes {
        /// The frame, counted from 0 in the order of submission.
        number: u64,
        /// The first wrong byte, from the start of the Ethernet header.
        offset: u16,
        /// Bytes of the frame.
        len: u16,
        /// How many of its bytes are wrong.
        wrong: u16,
        /// What stood there.
        seen: Seen,
    },
    /// A frame came with another length.
    WrongLength {
        /// The frame whose bytes it has.
        number: u64,
        /// Bytes that were submitted.
        sent: u16,
        /// Bytes that came.
        came: usize,
    },
    /// A frame came once more, or came though it had not been submitted.
    NotSent {
        /// The frame.
        number: u64,
    },
    /// A frame came after one that was submitted later.
    OutOfOrder {
        /// The frame.
        number: u64,
        /// The one that came before it.
        after: u64,
    },
    /// A frame came whose bytes are none of this run's, behind addresses or an EtherType that are.
    Unknown {
        /// Bytes of it.
        len: usize,
    },
    /// A completion showed another buffer than that of the oldest frame.
    CompletedOutOfOrder {
        /// The oldest frame.
        number: u64,
    },
    /// A buffer came home with other bytes than were submitted, and the port did not say so.
    ChangedAtHome {
        /// The frame that it was submitted as.
        number: u64,
        /// The first wrong byte.
        offset: u16,
        /// What stood there.
        seen: Seen,
    },
    /// A completion showed later than the port's capabilities say.
    HeldTooLong {
        /// The frame.
        number: u64,
        /// Frames submitted after it.
        later: u32,
        /// What the port says at most.
        claimed: u32,
    },
    /// More frames stay with an idle device than the port's capabilities say.
    IdleKeepsMore {
        /// So many, when completions had been forced many times.
        count: u32,
        /// What the port says at most.
        claimed: u32,
    },
    /// Buffers that are neither free nor with the device at the end.
    BuffersLost {
        /// How many.
        count: u32,
    },
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(n) => write!(
                f,
                "there stood what was written for frame {n} later: the buffer was shown as done \
                 before it was read"
            ),
            Self::Earlier(n) => write!(
                f,
                "there stood what frame {n} had had before: another buffer was read, or old memory"
            ),
            Self::Own => f.write_str("what follows them is its own"),
            Self::Nobody => f.write_str("there stood what no frame of this run has"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongBytes { number, offset, len, wrong, seen } => write!(
                f,
                "frame {number}: {wrong} of {len} bytes are wrong, the first at offset {offset}: \
                 {seen}"
            ),
            Self::WrongLength { number, sent, came } => {
                write!(f, "frame {number}: {sent} bytes were sent and {came} came")
            }
            Self::NotSent { number } => {
                write!(f, "frame {number}: came without having been sent, or once more")
            }
            Self::OutOfOrder { number, after } => {
                write!(f, "frame {number}: came after frame {after}, which was sent later")
            }
            Self::Unknown { len } => {
                write!(f, "a frame of {len} bytes came that has nothing of what was sent")
            }
            Self::CompletedOutOfOrder { number } => {
                write!(f, "frame {number}: another buffer was shown as done in its turn")
            }
            Self::ChangedAtHome { number, offset, seen } => write!(
                f,
                "frame {number}: its buffer came home changed, from offset {offset} on: {seen}"
            ),
            Self::HeldTooLong { number, later, claimed } => write!(
                f,
                "frame {number}: shown as done when {later} more had been sent, the port says \
                 {claimed} at most"
            ),
            Self::IdleKeepsMore { count, claimed } => {
                write!(f, "the idle device keeps {count} frames, the port says {claimed} at most")
            }
            Self::BuffersLost { count } => {
                write!(f, "{count} buffers are neither free nor with the device at the end")
            }
        }
    }
}

/// What a run found and measured. Times are those that the driver gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames submitted.
    pub submitted: u64,
    /// Of these, frames of two slots, whose payload other frames share.
    pub shared: u64,
    /// How often a payload was written anew, each time as soon as it was given back.
    pub renewed: u64,
    /// Frames that came as they were submitted.
    pub right: u64,
    /// How often the device did what it must not.
    pub wrong: u64,
    /// The first of that, [`FINDINGS_MAX`] at most.
    pub findings: Vec<Finding>,
    /// Frames that never came. Not a finding: cables and rings lose frames.
    pub missing: u64,
    /// Frames from somebody else.
    pub foreign: u64,
    /// Later frames submitted before a completion showed, at most, where completions were not forced
    /// unless nothing else was left to do.
    pub hold_lazy_max: u32,
    /// The same where they were forced at every turn.
    pub hold_eager_max: u32,
    /// Calls of `reclaim` that showed completions, while none were forced.
    pub batches: u64,
    /// Completions that those showed, in all.
    pub batched: u64,
    /// Completions that one call showed, at most.
    pub batch_max: u32,
    /// Turns without forced completions at whose end nothing but forcing them was left to do.
    pub forced: u64,
    /// Frames that stayed with the device when all had arrived and nothing was forced.
    pub idle_unforced: u32,
    /// Frames that stayed when completions had been forced many times.
    pub idle: u32,
    /// From submission to arrival, at most: the device has read a frame by then.
    pub arrival_max: Duration,
    /// Completions whose buffer is another than was submitted: the peer kept it.
    pub exchanged: u64,
    /// From the first turn to the last.
    pub took: Duration,
}

impl Report {
    /// Whether the device did nothing wrong and showed enough to say so.
    pub fn is_right(&self) -> bool {
        self.wrong == 0 && self.right > 0
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.wrong += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}
