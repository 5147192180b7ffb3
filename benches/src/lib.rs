//! What a request costs. A scripted client in memory drives simoom, and smoltcp as a server of the
//! same bytes, and what is counted is exact where it can be: instructions, allocations, frames.
//!
//! Ships nothing. May not hide cost: the client's frames are written before the measured region
//! begins ([`client`]), and inside it there is nothing but the stack, its application, and a port
//! that moves indexes ([`memory_port`]).
//!
//! Read [`client`] first, then [`subject`] (what is measured), then the program `request_cost`.

pub mod allocations;
pub mod arena;
pub mod callgrind;
pub mod client;
pub mod counting;
pub mod lackey;
pub mod memory_port;
pub mod netmap;
pub mod row;
pub mod run;
pub mod rx;
pub mod shards;
pub mod simoom;
pub mod smol;
pub mod subject;
pub mod threads;
