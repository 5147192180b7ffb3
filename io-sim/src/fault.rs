//! What went wrong on the way: a plain list that a run can be given instead of its chances.
//!
//! A link keeps what its chances did to each frame; the same list forced on another run of the seed
//! gives the same run, and a part of it a run in which less goes wrong. Must not know hosts.
//!
//! A fault is what chance, a period or a list did to one frame: each loss that is not a full queue,
//! an outage, a queue's management or a frame too long for the link, since those follow from the
//! traffic and the configuration and come again by themselves. Jitter is no fault: it is drawn as
//! before when faults are forced.

use crate::case;
use simoom_core::time::Duration;
use std::fmt;

mod text;

pub use crate::case::CaseFault;
pub use text::{FaultTextError, parse_faults, print_faults};

/// One thing that happened to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// The direction: link `n` has the ways `2n` (from the end named first) and `2n + 1`.
    pub way: u32,
    /// Which frame: the first that was offered to this direction is 1.
    pub frame: u64,
    /// What happened to it.
    pub kind: FaultKind,
}

/// What can happen to a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// It is held back until later frames have passed it.
    Displaced {
        /// How many have to pass; at least 1.
        frames: u32,
        /// How long it is held at most, from the time at which it would have arrived.
        time_max: Duration,
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
            FaultKind::Displaced { frames, time_max } => {
                write!(f, "hold frame {frame} until {frames} pass it or for {time_max:?}")?;
            }
        }
        let direction = if way % 2 == 0 { "forward" } else { "backward" };
        write!(f, " of link {} {direction}", way / 2)
    }
}

/// Faults in the order in which they happened, up to a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultLog {
    faults: Vec<Fault>,
    left_out: u64,
    /// The world's number in the case that it is a part of.
    case: Option<u32>,
    /// How many of the faults the case was told the frames of.
    told: usize,
    /// Events of the world.
    events: u64,
}

/// Faults that a world keeps at most: 40 MB of them. Later ones are only counted.
pub const FAULTS_MAX: usize = 1 << 20;

impl FaultLog {
    /// Takes in what has just happened.
    pub(crate) fn extend(&mut self, faults: impl Iterator<Item = Fault>) {
        for fault in faults {
            if self.faults.len() < FAULTS_MAX {
                self.faults.push(fault);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// What was kept.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How many more happened.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The log of world number `world` of a case, which is told of it when the world ends.
    pub(crate) fn of_case(world: u32) -> Self {
        Self { faults: Vec::new(), left_out: 0, case: Some(world), told: 0, events: 0 }
    }

    /// The case has no say in what happens to this world.
    pub(crate) fn leave_case(&mut self) {
        self.case = None;
    }

    #[inline]
    pub(crate) fn count_event(&mut self) {
        self.events += 1;
    }

    /// Says to which frame the newest faults have happened.
    pub(crate) fn tell_case(&mut self, frame: impl FnOnce() -> Option<String>) {
        let new = std::mem::replace(&mut self.told, self.faults.len());
        if new < self.faults.len()
            && let Some(world) = self.case
        {
            case::tell(world, &self.faults[new..], frame);
        }
    }
}

impl Drop for FaultLog {
    fn drop(&mut self) {
        if let Some(world) = self.case {
            case::leave(world, &self.faults, self.left_out, self.events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_an_order_to_the_link() {
        let text = |way, kind| Fault { way, frame: 7, kind }.to_string();
        assert_eq!(text(0, FaultKind::Lost), "drop frame 7 of link 0 forward");
        let by = Duration::from_micros(5);
        assert_eq!(
            text(3, FaultKind::Delayed(by)),
            "delay frame 7 by 0.000005000s of link 1 backward"
        );
        assert_eq!(text(2, FaultKind::Duplicated), "duplicate frame 7 of link 1 forward");
        let flip = |repaired| FaultKind::Corrupted { offset: 60, mask: 0x81, repaired };
        assert_eq!(text(0, flip(false)), "flip 0x81 in byte 60 of frame 7 of link 0 forward");
        assert_eq!(
            text(0, flip(true)),
            "flip 0x81 in byte 60 of frame 7 and repair its checksums of link 0 forward"
        );
        assert_eq!(
            text(1, FaultKind::Truncated { len: 40 }),
            "cut frame 7 to 40 bytes of link 0 backward"
        );
        assert_eq!(
            text(1, FaultKind::Displaced { frames: 3, time_max: by }),
            "hold frame 7 until 3 pass it or for 0.000005000s of link 0 backward"
        );
    }

    #[test]
    fn the_log_is_bounded_and_counts_what_it_leaves_out() {
        let mut log = FaultLog::default();
        let fault = |frame| Fault { way: 0, frame, kind: FaultKind::Lost };
        log.extend((1..=FAULTS_MAX as u64 + 3).map(fault));
        assert_eq!((log.faults().len(), log.left_out()), (FAULTS_MAX, 3));
        assert_eq!(log.faults().last(), Some(&fault(FAULTS_MAX as u64)));
    }
}
