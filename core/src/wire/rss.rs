//! Receive side scaling: which ring a network interface puts a frame on.
//!
//! The interface hashes, not the stack. This is its model, for choosing local ports, for splitting
//! a capture into rings, and for the simulator.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Bytes of a Toeplitz key: enough for two IPv6 addresses and two ports.
pub const KEY_LEN: usize = 40;

/// Bytes of a key that the hash of a TCP segment over IPv4 comes from: what it hashes, and a window.
pub const KEY_LEN_TCP_IPV4: usize = 16;

/// The key of Microsoft's published verification suite; many drivers have it as their default.
pub const MICROSOFT_KEY: [u8; KEY_LEN] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// A key of period 16 bits: both directions of a connection get the same hash, since its addresses
/// and ports begin at multiples of 16 bits.
pub const SYMMETRIC_KEY: [u8; KEY_LEN] = {
    let mut key = [0x5a; KEY_LEN];
    let mut i = 0;
    while i < KEY_LEN {
        key[i] = 0x6d;
        i += 2;
    }
    key
};

/// Entries of the indirection table that most interfaces have.
pub const INDIRECTION_ENTRIES: u32 = 128;

/// The Toeplitz hash: for each bit of `input` that is set, the 32 bits of the key that begin at
/// its place, all exclusive-ored. At most `KEY_LEN - 4` bytes of input count.
pub fn toeplitz(key: &[u8; KEY_LEN], input: &[u8]) -> u32 {
    let (first, rest) = key.split_at(4);
    let mut window = first.iter().fold(0u32, |w, &b| w << 8 | u32::from(b));
    let mut hash = 0;
    for (&byte, &next) in input.iter().zip(rest) {
        for bit in (0..8).rev() {
            if byte >> bit & 1 != 0 {
                hash ^= window;
            }
            window = window << 1 | u32::from(next >> bit & 1);
        }
    }
    hash
}

/// The hash of a datagram that has no ports, or is a fragment.
pub fn hash_ipv4(key: &[u8; KEY_LEN], src: Ipv4Addr, dst: Ipv4Addr) -> u32 {
    let mut input = [0; 8];
    input[..4].copy_from_slice(&src.octets());
    input[4..].copy_from_slice(&dst.octets());
    toeplitz(key, &input)
}

/// The hash of a TCP segment, with the addresses and ports as they are in the frame received.
pub fn hash_tcp_ipv4(
    key: &[u8; KEY_LEN],
    src: Ipv4Addr,
    dst: Ipv4Addr,
    src_port: u16,
    dst_port: u16,
) -> u32 {
    let mut input = [0; 12];
    input[..4].copy_from_slice(&src.octets());
    input[4..8].copy_from_slice(&dst.octets());
    input[8..10].copy_from_slice(&src_port.to_be_bytes());
    input[10..].copy_from_slice(&dst_port.to_be_bytes());
    toeplitz(key, &input)
}

/// The ring, of `rings`, for a hash, where the indirection table is filled in turn as drivers do.
/// Ring 0 where there are none.
pub const fn ring_of(hash: u32, rings: u32) -> u32 {
    match (hash % INDIRECTION_ENTRIES).checked_rem(rings) {
        Some(ring) => ring,
        None => 0,
    }
}

/// How one interface spreads what it receives over its rings: the key of its hash, and the ring for
/// each of the hash's lowest bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The key.
    pub key: [u8; KEY_LEN],
    /// The ring for each value of the hash modulo the table's length. Where it is empty, all go to
    /// ring 0.
    pub table: Vec<u8>,
}

impl Spread {
    /// A table filled in turn, as drivers do: [`ring_of`]. At least one ring.
    pub fn in_turn(key: [u8; KEY_LEN], rings: u8) -> Self {
        let ring = |entry| ring_of(entry, rings.into()) as u8;
        Self { key, table: (0..INDIRECTION_ENTRIES).map(ring).collect() }
    }

    /// The spread of an interface that says its key and its table. Keys are of many lengths: bytes
    /// beyond [`KEY_LEN`] hash nothing that is spoken here. None for one shorter than
    /// [`KEY_LEN_TCP_IPV4`], and for an empty table.
    pub fn said(key: &[u8], table: Vec<u8>) -> Option<Self> {
        if key.len() < KEY_LEN_TCP_IPV4 || table.is_empty() {
            return None;
        }
        let mut whole = [0; KEY_LEN];
        whole.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Some(Self { key: whole, table })
    }

    /// The ring for a hash.
    #[inline]
    pub fn ring(&self, hash: u32) -> u8 {
        let entry = (hash as usize).checked_rem(self.table.len()).unwrap_or(0);
        self.table.get(entry).copied().unwrap_or(0)
    }

    /// The ring for a TCP segment, with the ends as they are in the frame received.
    pub fn ring_of_tcp(&self, src: SocketAddrV4, dst: SocketAddrV4) -> u8 {
        self.ring(hash_tcp_ipv4(&self.key, *src.ip(), *dst.ip(), src.port(), dst.port()))
    }
}

/// One of the stacks behind an interface: it is shown what arrives on one ring, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// How the interface spreads what it receives.
    pub spread: Spread,
    /// Our ring.
    pub ring: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source, its port, destination, its port, hash of the addresses, hash with ports.
    type Vector = ([u8; 4], u16, [u8; 4], u16, u32, u32);

    const VECTORS: [Vector; 5] = [
        ([66, 9, 149, 187], 2794, [161, 142, 100, 80], 1766, 0x323e_8fc2, 0x51cc_c178),
        ([199, 92, 111, 2], 14230, [65, 69, 140, 83], 4739, 0xd718_262a, 0xc626_b0ea),
        ([24, 19, 198, 95], 12898, [12, 22, 207, 184], 38024, 0xd2d0_a5de, 0x5c2b_394a),
        ([38, 27, 205, 30], 48228, [209, 142, 163, 6], 2217, 0x8298_9176, 0xafc7_327f),
        ([153, 39, 163, 191], 44251, [202, 188, 127, 2], 1303, 0x5d18_09c5, 0x10e8_28a2),
    ];

    #[test]
    fn hash_agrees_with_the_published_verification_suite() {
        for (src, src_port, dst, dst_port, addresses, with_ports) in VECTORS {
            let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
            assert_eq!(hash_ipv4(&MICROSOFT_KEY, src, dst), addresses);
            assert_eq!(hash_tcp_ipv4(&MICROSOFT_KEY, src, dst, src_port, dst_port), with_ports);
        }
    }

    #[test]
    fn symmetric_key_gives_both_directions_one_hash() {
        let hash = hash_tcp_ipv4;
        for (src, src_port, dst, dst_port, ..) in VECTORS {
            let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
            let there = hash(&SYMMETRIC_KEY, src, dst, src_port, dst_port);
            assert_eq!(there, hash(&SYMMETRIC_KEY, dst, src, dst_port, src_port));
            let port_too = hash(&SYMMETRIC_KEY, src, dst, src_port ^ 1, dst_port);
            assert_ne!(there, port_too);
            assert_ne!(
                hash(&MICROSOFT_KEY, src, dst, src_port, dst_port),
                hash(&MICROSOFT_KEY, dst, src, dst_port, src_port)
            );
        }
        assert_eq!(SYMMETRIC_KEY[..4], [0x6d, 0x5a, 0x6d, 0x5a]);
        assert_eq!(SYMMETRIC_KEY[36..], [0x6d, 0x5a, 0x6d, 0x5a]);
    }

    #[test]
    fn input_beyond_the_key_does_not_count() {
        let long = [0xff; 50];
        assert_eq!(toeplitz(&MICROSOFT_KEY, &long), toeplitz(&MICROSOFT_KEY, &long[..36]));
        assert_ne!(toeplitz(&MICROSOFT_KEY, &long), toeplitz(&MICROSOFT_KEY, &long[..35]));
    }

    #[test]
    fn a_spread_in_turn_is_what_drivers_fill() {
        for (src, src_port, dst, dst_port, _, hash) in VECTORS {
            let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
            let (src, dst) = (SocketAddrV4::new(src, src_port), SocketAddrV4::new(dst, dst_port));
            for rings in 1..=8 {
                let spread = Spread::in_turn(MICROSOFT_KEY, rings);
                assert_eq!(u32::from(spread.ring_of_tcp(src, dst)), ring_of(hash, rings.into()));
            }
        }
    }

    #[test]
    fn a_spread_is_what_the_interface_says_of_any_length() {
        let (src, dst) = (Ipv4Addr::new(66, 9, 149, 187), Ipv4Addr::new(161, 142, 100, 80));
        let (src, dst) = (SocketAddrV4::new(src, 2794), SocketAddrV4::new(dst, 1766));
        let long = [&MICROSOFT_KEY[..], &[7; 12]].concat();
        for key in [&MICROSOFT_KEY[..KEY_LEN_TCP_IPV4], &MICROSOFT_KEY[..], &long] {
            for entries in [1, 64, 128, 512, 2_048] {
                let table: Vec<u8> = (0..entries).map(|entry| (entry % 7) as u8).collect();
                let spread = Spread::said(key, table).unwrap();
                assert_eq!(u32::from(spread.ring_of_tcp(src, dst)), 0x51cc_c178 % entries % 7);
            }
        }
        assert_eq!(Spread::said(&MICROSOFT_KEY[..KEY_LEN_TCP_IPV4 - 1], Vec::from([0])), None);
        assert_eq!(Spread::said(&MICROSOFT_KEY, Vec::new()), None);
        assert_eq!(Spread { key: MICROSOFT_KEY, table: Vec::new() }.ring(9), 0);
    }

    #[test]
    fn rings_are_filled_in_turn() {
        assert_eq!([0, 1, 2, 3, 127, 128].map(|h| ring_of(h, 3)), [0, 1, 2, 0, 1, 0]);
        assert_eq!(ring_of(u32::MAX, 8), 7);
        assert_eq!(ring_of(5, 0), 0);
    }
}
