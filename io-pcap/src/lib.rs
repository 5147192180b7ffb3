//! Captures: writing what crossed a port, reading what others captured, and a port over it.
//!
//! This crate reads no clock and opens no file: times come from the port or the capture, bytes go
//! to any [`std::io::Write`] and come from any [`std::io::Read`]. The same packets give the same
//! file everywhere. It knows TCP as headers, and no connection.
//!
//! Out, in pcapng (draft-ietf-opsawg-pcapng) with nanosecond times, for Wireshark, tshark and every
//! other reader: [`recorder::Recorder`] goes around a port and records what passes;
//! [`writer::Writer`] is for those who have frames from elsewhere.
//!
//! In: [`segments::Segments`] answers what each frame of a capture was; it reads with
//! [`read::Capture`] and dissects with [`dissect`]. [`port::CapturePort`] lets a stack live in a
//! capture's time.
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
pub mod port;
pub mod read;
pub mod recorder;
pub mod segments;
pub mod writer;
