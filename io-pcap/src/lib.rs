//! Captures of what crossed a port, in pcapng (draft-ietf-opsawg-pcapng) with nanosecond times,
//! for Wireshark, tshark and every other reader of that format.
//!
//! This crate reads no clock, opens no file and knows no protocol above Ethernet: times come from
//! the port, bytes go to any [`std::io::Write`]. The same packets give the same file everywhere.
//!
//! [`recorder::Recorder`] goes around a port and records what passes; [`writer::Writer`] is for
//! those who have frames from elsewhere.
//!
//! ```
//! use simoom_pcap::writer::{Direction, Interface, Packet, Writer};
//!
//! # fn main() -> std::io::Result<()> {
//! let file = Vec::new(); // anything that can be written to
//! let mut writer = Writer::new(file, &[Interface::new("tap0")])?;
//! writer.write(&Packet {
//!     interface: 0,
//!     at_unix_nanos: 1_700_000_000_123_456_789,
//!     direction: Direction::Inbound,
//!     bytes: &[0xff; 60],
//!     comment: Some("the first frame"),
//! });
//! let file = writer.finish()?;
//! assert_eq!(file.len() % 4, 0);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod dissect;
pub mod read;
pub mod recorder;
pub mod segments;
pub mod writer;
