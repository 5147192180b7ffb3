//! Hosts to put around a server: switches, clients with good and bad manners, and cross traffic.
//!
//! None of them knows the simoom stack: what speaks TCP here is an independent and obvious
//! implementation on [`tcp_peer`], so that a fault of the stack is not repeated by its peer. All are plain
//! data, draw only from streams of their own, and fork with their world.

pub mod cross_traffic;
pub mod dumbbell;
pub mod hostile;
pub mod receiver;
pub mod switch;
pub mod tcp_peer;

pub use cross_traffic::{CrossConfig, CrossSink, CrossSource};
pub use dumbbell::{Dumbbell, Spoke, Star, dumbbell, star};
pub use receiver::{Receiver, ReceiverConfig};
pub use switch::Switch;
