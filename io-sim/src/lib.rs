//! A deterministic simulator of hosts, NICs and lossy links, where the stack is proven.
//!
//! This crate may not read a clock or draw from the system's randomness: one [`seed::Seed`]
//! decides everything, and the same seed gives the same [`hash::EventHash`] on every machine.
//! A world of the stack's own hosts is plain data and can be cloned at any event.
//!
//! Read in this order: [`seed`] (chance), [`link`] (what happens to a frame on the way), [`nic`]
//! (the port that reads late), [`endpoint`] (what a host is), [`world`] (the loop), [`oracle`]
//! (what must never happen), [`hash`] (what two runs are compared by).
//!
//! A world in a test of your own:
//!
//! ```
//! use simoom_core::time::Instant;
//! use simoom_sim::endpoint::{Endpoint, EndpointHost};
//! use simoom_sim::link::LinkConfig;
//! use simoom_sim::seed::{Chance, check};
//! use simoom_sim::world::World;
//!
//! /// Sends one frame when the world starts, and counts what comes.
//! struct Hello(bool, u32);
//!
//! impl Endpoint for Hello {
//!     fn on_frame(&mut self, _now: Instant, _frame: &[u8]) {
//!         self.1 += 1;
//!     }
//!     fn poll(&mut self, _now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
//!         if std::mem::replace(&mut self.0, false) {
//!             out(&[0xff; 60]);
//!         }
//!         None
//!     }
//! }
//!
//! check(0..10, |seed| {
//!     let mut world = World::new(seed);
//!     let one = world.add_host(EndpointHost::new(Hello(true, 0)));
//!     let other = world.add_host(EndpointHost::new(Hello(true, 0)));
//!     let link = LinkConfig { duplicate: Chance::ALWAYS, ..LinkConfig::default() };
//!     world.connect((one, 0), (other, 0), link, LinkConfig::default());
//!     world.run_to_end().unwrap();
//!     assert_eq!(world.host(other).endpoint.1, 2, "doubled on the way there");
//!     assert_eq!(world.host(one).endpoint.1, 1, "and not on the way back");
//! });
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "pcap")]
pub mod capture;
mod case;
pub mod check;
pub mod endpoint;
pub mod exhaust;
pub mod fault;
pub mod frames;
pub mod hash;
pub mod hosts;
pub mod lab;
pub mod link;
pub mod machine;
pub mod nic;
pub mod observe;
pub mod oracle;
pub mod port_host;
pub mod print;
pub mod queue;
pub mod seed;
#[cfg(feature = "smoltcp")]
pub mod smoltcp_host;
pub mod stack_host;
pub mod theory;
pub mod world;
