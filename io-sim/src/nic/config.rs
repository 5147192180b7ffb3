//! What a NIC is like: its rings, and when it reads and reports.

use super::RandomStalls;
use crate::link::Rate;
use simoom_core::port::{ChecksumOffload, PortCaps};
use simoom_core::time::Duration;

/// When the device reads a frame that was made visible to it. Frames are always read in order,
/// and within [`NicConfig::lateness_max`] unless the wire or the ring says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DmaPolicy {
    /// At the doorbell.
    AtOnce,
    /// When the wire is free for it.
    WhenWireIsFree,
    /// At the next doorbell.
    NextTurn,
    /// When half a ring waits, all of it.
    HalfRing,
    /// As late as allowed: when the ring is full or `lateness_max` has passed, and the wire is free.
    WholeRing,
    /// After a time drawn for each frame.
    Random,
}

impl DmaPolicy {
    /// Every policy.
    pub const ALL: [Self; 6] = [
        Self::AtOnce,
        Self::WhenWireIsFree,
        Self::NextTurn,
        Self::HalfRing,
        Self::WholeRing,
        Self::Random,
    ];
}

/// When the device says that it has read a frame. [`TxSync::PushAndReclaim`] makes it say so of
/// every frame as soon as it was read, whatever the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompletionPolicy {
    /// When it was read.
    AtRead,
    /// When it has left.
    AtSent,
    /// When half a ring has been read since the last report.
    HalfRing,
    /// When the ring is full: netmap's way.
    WholeRing,
}

impl CompletionPolicy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::AtRead, Self::AtSent, Self::HalfRing, Self::WholeRing];
}

/// What a NIC is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicConfig {
    /// What the port says of itself.
    pub caps: PortCaps,
    /// Frames that the receive ring holds; more are dropped.
    pub rx_slots: u32,
    /// The line's rate.
    pub rate: Rate,
    /// Bytes that a frame takes on the line beyond its own: preamble, FCS and gap.
    pub overhead_bytes: u16,
    /// When frames are read.
    pub dma: DmaPolicy,
    /// When that is reported.
    pub completion: CompletionPolicy,
    /// How long a frame waits at most before it is read, once the wire is free.
    pub lateness_max: Duration,
    /// Whether it stands still at times; more times can be planned with [`SimPort::plan_stall`](super::SimPort::plan_stall).
    pub stalls: Option<RandomStalls>,
}

impl Default for NicConfig {
    /// 10 Gb/s, rings of 256, read at once and reported then.
    fn default() -> Self {
        Self {
            caps: PortCaps {
                frame_max: 1514,
                buffers: 1024,
                tx_slots: 256,
                tx_hold_max: 256,
                tx_hold_idle: 0,
                max_frags: 1,
                checksum: ChecksumOffload { tx: false, rx: false },
            },
            rx_slots: 256,
            rate: Rate::gbit(10),
            overhead_bytes: 24,
            dma: DmaPolicy::AtOnce,
            completion: CompletionPolicy::AtRead,
            lateness_max: Duration::from_micros(100),
            stalls: None,
        }
    }
}
