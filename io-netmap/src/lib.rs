//! A port over netmap rings: a NIC's, a pipe's, a VALE switch's, or those of [`model`], which plays
//! the kernel in tests.
//!
//! Prepared segments live in netmap's *extra buffers*. Submitting one writes its index into a slot of
//! the transmit ring and keeps the index that the slot had; a completion puts that one back. Nothing
//! is copied, and at any moment every slot that is ours has a buffer of its own, so that closing
//! only has to link the extra buffers again.
//!
//! This crate knows frames, rings and file descriptors; it may not know TCP, HTTP or content.
//! `unsafe` lives in [`mod@region`], `ring.rs` and `sys.rs`. Each block names one of these invariants:
//!
//! - *one-owner*: a buffer is in one place, a slot of the kernel's, a slot of ours, or a token or a
//!   note of the port; bytes are reached through the token only.
//! - *in-region*: the address was checked to lie in the region, whose memory lives as long as the
//!   [`region::Region`] that everything derived from it keeps alive.
//! - *live-argument*: what a system call reads and writes outlives the call.
//! - *no-memory*: the system call reads and writes no memory that Rust has a reference to.
//! - *plain-data*: an integer, or an argument that any value is right for.
//!
//! # Opening
//!
//! ```no_run
//! use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
//! use simoom_netmap::port::{NetmapConfig, NetmapPort};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut port = NetmapPort::open(&"netmap:eth0".parse()?, &NetmapConfig::default())?;
//!     while let Some(_now) = port.advance(None) {
//!         // A stack would take its turn here: `stack.turn(now, &mut port)?`.
//!         port.receive(32, |frames| {
//!             println!("{} frames", frames.len());
//!             Unclaimed::NONE
//!         });
//!         port.sync_tx(TxSync::Push)?;
//!     }
//!     Ok(port.close()?) // dropping the port gives everything back too
//! }
//! ```
#![cfg(all(any(target_os = "linux", target_os = "freebsd"), target_pointer_width = "64"))]
#![deny(unsafe_code)]

pub mod clock;
pub mod device;
pub mod error;
pub mod kernel;
pub mod model;
pub mod mutants;
pub mod name;
pub mod port;
pub mod probe;
pub mod region;
mod ring;
mod sys;
