//! A deterministic simulator of hosts, NICs and lossy links, where the stack is proven.
//!
//! This crate may not read a clock or draw from the system's randomness: one [`seed::Seed`]
//! decides everything, and the same seed gives the same [`hash::EventHash`] on every machine.
//! A world of the stack's own hosts is plain data and can be cloned at any event.
//!
//! Read in this order: [`seed`] (chance), [`link`] (what happens to a frame on the way), [`nic`]
//! (the port that reads late), [`endpoint`] (what a host is), [`world`] (the loop), [`oracle`]
//! (what must never happen), [`hash`] (what two runs are compared by).
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod frames;
pub mod hash;
pub mod link;
pub mod nic;
pub mod oracle;
pub mod port_host;
pub mod print;
pub mod queue;
pub mod seed;
#[cfg(feature = "smoltcp")]
pub mod smoltcp_host;

pub mod stack_host;
pub mod world;
