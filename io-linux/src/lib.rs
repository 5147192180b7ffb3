//! Ports over what any Linux machine has. Today: [`tap`], a virtual Ethernet cable whose other end
//! is the machine itself, so that a stock `curl` reaches the stack.
//!
//! This crate knows frames, file descriptors and interfaces; it may not know TCP, HTTP or content.
//! It is the place where a real clock is read ([`clock`]) and where a signal ends a run ([`stop`]).
//! `unsafe` lives in one private file, `sys.rs`, which only wraps system calls.
//!
//! # Serving over TAP
//!
//! ```no_run
//! use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
//! use simoom_linux::stop::StopFlag;
//! use simoom_linux::tap::{TapConfig, TapPort};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The host's end of the cable; the stack takes another address of the same subnet.
//!     let config = TapConfig::new("simoom0").with_host_addr("10.66.0.1/24".parse()?);
//!     let mut port = TapPort::open(&config)?;
//!     let stop = StopFlag::new()?;
//!     stop.raise_on_interrupt()?; // Ctrl-C makes `advance` answer None
//!     port.set_stop(Some(stop));
//!
//!     while let Some(_now) = port.advance(None) {
//!         // A stack would take its turn here: `stack.turn(now, &mut port)?`.
//!         port.receive(32, |frames| {
//!             println!("{} frames", frames.len());
//!             Unclaimed::NONE
//!         });
//!         port.sync_tx(TxSync::Push)?;
//!     }
//!     Ok(()) // dropping the port takes the interface away, or puts it back as it was
//! }
//! ```
//!
//! # Privileges
//!
//! Making an interface needs `CAP_NET_ADMIN`. Without it, an administrator can make one for you
//! once, and everything here works without privilege from then on:
//!
//! ```text
//! sudo ip tuntap add dev simoom0 mode tap user $USER
//! sudo ip addr add 10.66.0.1/24 dev simoom0
//! sudo ip link set simoom0 up
//! ```
#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

pub mod clock;
pub mod ethtool;
pub mod netlink;
pub mod prefix;
pub mod stop;
mod sys;
pub mod tap;
