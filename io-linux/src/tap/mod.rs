//! A TAP device: a virtual Ethernet cable between the stack and the machine it runs on.
//!
//! [`TapPort::open`] makes the interface (or joins one that an administrator made), addresses the
//! host's end and brings it up; dropping the port puts back what it changed. [`TapPort::over`]
//! takes any descriptor on which one read or write is one Ethernet frame.
//!
//! One system call a frame in each direction is what TAP offers; the kernel sees a frame at once,
//! so a buffer is done when its write returns. The kernel hands over frames with finished
//! checksums, no longer than the MTU allows, and takes frames whose checksums the stack has filled.

mod device;
mod error;
mod port;
mod queue;
#[cfg(test)]
mod tests;

pub use error::TapError;
pub use port::{TapPort, TapStats};

use crate::prefix::Ipv4Prefix;

/// Bytes from one buffer to the next. A frame with its 802.1Q tag fits for every MTU allowed.
pub(crate) const STRIDE: usize = 2048;
/// Ethernet II header: two addresses and a type.
pub(crate) const ETHERNET_LEN: u16 = 14;
/// An 802.1Q tag, which a received frame may have on top of the MTU.
pub(crate) const VLAN_TAG_LEN: u16 = 4;
/// The smallest MTU: RFC 791 §3.2 asks every link to carry 68 bytes.
pub const MTU_MIN: u16 = 68;
/// The largest MTU: the frame and a tag fill a buffer.
pub const MTU_MAX: u16 = STRIDE as u16 - ETHERNET_LEN - VLAN_TAG_LEN;
/// Frames that the kernel keeps for us while we do something else, at least: an interface with a
/// shorter queue gets this one where the privilege is there. The kernel's 1000 are too few: a turn
/// that answers some hundred connections draws as many acknowledgements before it reads again, and
/// a request dropped among them waits 200 ms and more for its retransmission.
pub const HOST_QUEUE_FRAMES: u32 = 8_192;
/// The most buffers, and the most transmit slots: 2 GiB of buffers.
pub const BUFFERS_MAX: u32 = 1 << 20;

/// What kind of TAP port to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapConfig {
    /// The interface's name, at most 15 bytes. It is made where there is none.
    pub name: String,
    /// The address of the host's end, with its subnet. None: leave the addresses as they are.
    pub host_addr: Option<Ipv4Prefix>,
    /// Bytes of the longest IP packet, [`MTU_MIN`] to [`MTU_MAX`]; 1500 by default.
    pub mtu: u16,
    /// Transmit buffers, in the free pool at start; 1 to [`BUFFERS_MAX`]. 4096 (8 MiB) by default.
    pub buffers: u32,
    /// Frames that may be queued between two doorbells, 1 to [`BUFFERS_MAX`]; 1024 by default.
    pub tx_slots: u32,
}

impl TapConfig {
    /// The defaults, for the interface `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_string(), host_addr: None, mtu: 1500, buffers: 4096, tx_slots: 1024 }
    }

    /// The same, with an address for the host's end.
    pub fn with_host_addr(self, addr: Ipv4Prefix) -> Self {
        Self { host_addr: Some(addr), ..self }
    }

    /// Refuses numbers out of bounds.
    fn check(&self) -> Result<(), TapError> {
        for (what, given, min, max) in [
            ("the MTU", u32::from(self.mtu), u32::from(MTU_MIN), u32::from(MTU_MAX)),
            ("the number of buffers", self.buffers, 1, BUFFERS_MAX),
            ("the number of transmit slots", self.tx_slots, 1, BUFFERS_MAX),
        ] {
            if !(min..=max).contains(&given) {
                return Err(TapError::Config { what, given, min, max });
            }
        }
        Ok(())
    }
}
