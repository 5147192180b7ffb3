//! What must never happen on a wire, whatever the stack, the seed and the link.
//!
//! The oracles see every frame twice: as a host sends it, before the link touches it, and as it
//! arrives whole. From that alone they check that checksums are right, that a sequence number of a
//! connection carries one byte value for ever, that nothing is sent beyond the window that reached
//! the sender, and that nothing is acknowledged that never came. They know no stack.

use crate::observe::FlowStats;
use simoom_core::time::Instant;
use simoom_core::wire::{self, Frame};
use std::fmt;
use std::net::SocketAddrV4;

mod flow;
pub mod promises;
mod text;

use flow::Flows;

/// What the oracles look at, and how much they keep for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OracleConfig {
    /// Off: nothing is looked at.
    pub enabled: bool,
    /// Bytes of each direction of a connection that are kept for comparison at most: the newest,
    /// and of those that were acknowledged the last 64 KiB. A retransmission of older ones is not
    /// compared. A power of two.
    pub bytes_kept: usize,
    /// Connections remembered at most; the oldest are forgotten.
    pub flows_max: usize,
    /// Whether judged hosts that say what they promise ([`crate::endpoint::Host::promises`]) are held
    /// to it.
    pub promises: bool,
}

impl Default for OracleConfig {
    fn default() -> Self {
        Self { enabled: true, bytes_kept: 1 << 20, flows_max: 1 << 14, promises: true }
    }
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowName {
    /// Who sends.
    pub from: SocketAddrV4,
    /// To whom.
    pub to: SocketAddrV4,
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// What a host sent that it must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireViolation {
    /// The frame is malformed or a checksum is wrong.
    Malformed(wire::WireError),
    /// A byte was sent once more with another value.
    ByteChanged {
        /// Of which connection.
        flow: FlowName,
        /// Offset in the stream: 0 is the first byte.
        offset: u64,
        /// As first sent.
        was: u8,
        /// As sent now.
        is: u8,
    },
    /// Bytes were sent whose predecessors were not.
    SequenceSkipped {
        /// Of which connection.
        flow: FlowName,
        /// Offset in the stream that should have come.
        expected: u64,
        /// That came.
        found: u64,
    },
    /// The stream ended at another offset than before, or went on behind its end.
    EndMoved {
        /// Of which connection.
        flow: FlowName,
        /// Where it had ended.
        was: u64,
        /// Where this segment ends.
        is: u64,
    },
    /// Bytes beyond every window that has reached the sender.
    BeyondWindow {
        /// Of which connection.
        flow: FlowName,
        /// Offset behind the last byte that may be sent.
        allowed: u64,
        /// Offset behind the last byte sent.
        sent: u64,
    },
    /// An acknowledgement of what has not come.
    AckOfNothing {
        /// The direction that sends the acknowledgement.
        flow: FlowName,
        /// Sequence numbers from the peer's SYN on, it included, that have come without a gap.
        came: u64,
        /// That are acknowledged, by the same count.
        acknowledged: u64,
    },
    /// A SACK block of what has not come.
    SackOfNothing {
        /// The direction that sends the block.
        flow: FlowName,
        /// The block, counted from the peer's SYN.
        block: (u64, u64),
    },
}

impl fmt::Display for WireViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "sent a bad frame: {error}"),
            Self::ByteChanged { flow, offset, was, is } => {
                write!(f, "{flow}: byte {offset} of the stream was {was:#04x} and is now {is:#04x}")
            }
            Self::SequenceSkipped { flow, expected, found } => {
                write!(f, "{flow}: byte {found} was sent when {expected} was next")
            }
            Self::EndMoved { flow, was, is } => {
                write!(f, "{flow}: the stream had ended at {was}, a segment ends at {is}")
            }
            Self::BeyondWindow { flow, allowed, sent } => {
                write!(f, "{flow}: the window ends at byte {allowed}, sent up to {sent}")
            }
            Self::AckOfNothing { flow, came, acknowledged } => {
                write!(f, "{flow}: acknowledges {acknowledged} numbers, {came} have come")
            }
            Self::SackOfNothing { flow, block: (left, right) } => {
                write!(f, "{flow}: SACK block {left}..{right} has not come")
            }
        }
    }
}

/// The oracles of one world.
#[derive(Clone, Debug)]
pub struct Oracles {
    config: OracleConfig,
    flows: Flows,
    stats: OracleStats,
    /// What arrives may be damaged though nobody says so.
    verify_arrivals: bool,
}

/// What the oracles have looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OracleStats {
    /// TCP segments as they were sent.
    pub segments: u64,
    /// Bytes of text that were sent before and compared.
    pub compared_bytes: u64,
    /// Bytes of text that were sent before, too long ago to be compared.
    pub forgotten_bytes: u64,
}

impl Oracles {
    /// Oracles that have seen nothing yet.
    pub fn new(config: OracleConfig) -> Self {
        assert!(config.bytes_kept.is_power_of_two(), "bytes_kept is a power of two");
        assert!(config.flows_max > 0, "flows_max is not zero");
        Self {
            config,
            flows: Flows::new(config),
            stats: OracleStats::default(),
            verify_arrivals: false,
        }
    }

    /// What they have looked at.
    pub fn stats(&self) -> &OracleStats {
        &self.stats
    }

    /// The time from now on: what the flows' statistics say.
    #[inline]
    pub fn set_now(&mut self, now: Instant) {
        self.flows.set_now(now);
    }

    /// What each direction of each connection has done: in the order in which the connections were
    /// first seen, the direction that sent first before the other. Nothing where the oracles are
    /// off; the oldest are forgotten beyond [`OracleConfig::flows_max`] connections.
    pub fn flows(&self) -> impl Iterator<Item = &FlowStats> {
        self.flows.stats()
    }

    /// What a TCP frame carries, in words: which bytes of which stream. None for any other frame.
    pub(crate) fn describe(&self, bytes: &[u8]) -> Option<String> {
        match wire::parse(bytes, false) {
            Ok(Frame::Tcp(frame)) => Some(self.flows.describe(&frame)),
            _ => None,
        }
    }

    /// Whether [`Self::on_sent`] looks at anything: where it has no complaint, checksums are right.
    pub(crate) fn is_enabled(&self) -> bool {
        self.config.enabled
    }

    /// A host sends a frame.
    #[inline]
    pub fn on_sent(&mut self, bytes: &[u8]) -> Result<(), WireViolation> {
        if !self.config.enabled {
            return Ok(());
        }
        match wire::parse(bytes, true) {
            Ok(Frame::Tcp(frame)) => {
                self.stats.segments += 1;
                self.flows.on_sent(&frame, &mut self.stats)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(WireViolation::Malformed(error)),
        }
    }

    /// From now on checksums of what arrives are verified: a frame that was damaged on one link and
    /// passed on over another is not known to be.
    pub(crate) fn verify_arrivals(&mut self) {
        self.verify_arrivals = true;
    }

    /// A host that is held to nothing sends a frame: its own, one of another host that it passes on, or one
    /// that pretends to be of another. Whoever believes a lie is not to blame for it.
    #[inline]
    pub fn on_sent_unjudged(&mut self, bytes: &[u8]) {
        if !self.config.enabled {
            return;
        }
        // A link in front of a forwarder may have damaged the frame; nobody believes that.
        if let Ok(Frame::Tcp(frame)) = wire::parse(bytes, true) {
            self.flows.on_sent_unjudged(&frame);
        }
    }

    /// A frame, whole, reached a host that took it.
    #[inline]
    pub fn on_arrived(&mut self, bytes: &[u8]) {
        if !self.config.enabled {
            return;
        }
        if let Ok(Frame::Tcp(frame)) = wire::parse(bytes, self.verify_arrivals) {
            self.flows.on_arrived(&frame);
        }
    }
}

#[cfg(test)]
mod tests;
