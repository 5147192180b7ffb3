//! The addresses of a connection, and how they are hashed.

use simoom_pcap::dissect::Segment;
use std::net::{IpAddr, SocketAddr};

/// Both ends of a connection, the lower one first, whoever sent. VLAN tags are no part of it: a
/// frame is often captured on both sides of a router or a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowKey {
    pub(super) low: SocketAddr,
    pub(super) high: SocketAddr,
}

impl FlowKey {
    /// The key of a segment, and whether its sender is the higher end.
    pub(super) fn of(segment: &Segment<'_>) -> (Self, bool) {
        let (src, dst) = (plain(segment.src), plain(segment.dst));
        match src > dst {
            true => (Self { low: dst, high: src }, true),
            false => (Self { low: src, high: dst }, false),
        }
    }

    /// A hash with a fixed key: what a capture holds cannot be answered by chance here. Who makes a
    /// capture whose connections collide slows it down, within the bound on the table.
    pub(super) fn hash(&self) -> u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for end in [&self.low, &self.high] {
            let port = u64::from(end.port());
            match end.ip() {
                IpAddr::V4(ip) => state = mix(state, u64::from(ip.to_bits()) << 16 | port),
                IpAddr::V6(ip) => {
                    let bits = ip.to_bits();
                    state = mix(state, bits as u64);
                    state = mix(state, (bits >> 64) as u64);
                    state = mix(state, port | 1 << 63);
                }
            }
        }
        state
    }
}

/// Without scope and flow label, which are not the connection's.
fn plain(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip(), end.port())
}

/// Folds a word in: the product's halves, so that every bit reaches every other.
pub(super) const fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ 0xa076_1d64_78bd_642f) as u128 * (word ^ 0xe703_7ed1_a0b4_28db) as u128;
    (product as u64) ^ ((product >> 64) as u64)
}
