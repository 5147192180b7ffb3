//! What went wrong on the way: a plain list that a run can be given instead of its chances.
//!
//! A link keeps what its chances did to each frame; the same list forced on another run of the seed
//! gives the same run, and a part of it a run in which less goes wrong. Must not know hosts.

use simoom_core::time::Duration;
use std::fmt;

/// One thing that happened to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The direction: link `n` has the ways `2n` (from the end named first) and `2n + 1`.
    pub way: u32,
    /// Which frame: the first that was offered to this direction is 1.
    pub frame: u64,
    /// What happened to it.
    pub kind: FaultKind,
}

/// What can happen to a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// It is lost.
    Lost,
    /// It arrives later than its turn, so that others pass it.
    Delayed(Duration),
    /// It arrives twice.
    Duplicated,
    /// Bits of one byte flip.
    Corrupted {
        /// Which byte, the frame's first being 0.
        offset: u16,
        /// The bits that flip.
        mask: u8,
        /// Whether the checksums are made right again, so that nothing below the application can
        /// notice.
        repaired: bool,
    },
    /// Only its first bytes arrive.
    Truncated {
        /// How many.
        len: u16,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, frame, kind } = self;
        match kind {
            FaultKind::Lost => write!(f, "drop frame {frame}")?,
            FaultKind::Delayed(by) => write!(f, "delay frame {frame} by {by:?}")?,
            FaultKind::Duplicated => write!(f, "duplicate frame {frame}")?,
            FaultKind::Corrupted { offset, mask, repaired } => {
                write!(f, "flip {mask:#04x} in byte {offset} of frame {frame}")?;
                if *repaired {
                    f.write_str(" and repair its checksums")?;
                }
            }
            FaultKind::Truncated { len } => write!(f, "cut frame {frame} to {len} bytes")?,
        }
        let direction = if way % 2 == 0 { "forward" } else { "backward" };
        write!(f, " of link {} {direction}", way / 2)
    }
}
