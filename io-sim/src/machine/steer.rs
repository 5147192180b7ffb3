//! Which ring of an interface a frame comes to. What hardware does; must not know stacks.

use simoom_core::wire::rss::{KEY_LEN, Spread};

/// Bytes that are hashed: two IPv4 addresses and two ports.
const INPUT_LEN: usize = 12;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_VLAN: u16 = 0x8100;

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steered {
    /// To one ring.
    Ring(u8),
    /// To every ring, each getting a copy: what one stack of several waits for, and the interface
    /// cannot know which. These are ARP replies, and ICMP errors about some connection. A host whose
    /// interface cannot do it has the core of ring 0 pass copies on.
    Every,
}

/// The hash of one interface, with a table for each byte of its input.
#[derive(Clone)]
pub struct Steering {
    spread: Spread,
    rings: u8,
    /// The share of the hash of each value of each byte.
    shares: Box<[[u32; 256]; INPUT_LEN]>,
}

impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steering").field("spread", &self.spread).finish_non_exhaustive()
    }
}

impl Steering {
    /// An interface of so many rings that spreads like this.
    ///
    /// # Panics
    /// Where the table names a ring that is not there.
    pub fn new(spread: Spread, rings: u8) -> Self {
        assert!(
            spread.table.iter().all(|ring| *ring < rings),
            "the indirection table names a ring beyond the {rings} there are"
        );
        let mut shares = Box::new([[0; 256]; INPUT_LEN]);
        for (at, share) in shares.iter_mut().enumerate() {
            for (value, share) in share.iter_mut().enumerate() {
                *share = share_of(&spread.key, at, value as u8);
            }
        }
        Self { spread, rings, shares }
    }

    /// How it spreads.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }

    /// Where a frame goes. TCP and UDP by the hash of addresses and ports; whatever else one stack
    /// alone has to answer (ARP requests, ICMP echo, fragments, unknown protocols) to ring 0.
    #[inline]
    pub fn steer(&self, frame: &[u8]) -> Steered {
        if self.rings == 1 {
            return Steered::Ring(0);
        }
        self.steer_frame(frame).unwrap_or(Steered::Ring(0))
    }

    fn steer_frame(&self, frame: &[u8]) -> Option<Steered> {
        let ethertype =
            |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
        let (kind, packet) = match ethertype(12)? {
            ETHERTYPE_VLAN => (ethertype(16)?, frame.get(18..)?),
            kind => (kind, frame.get(14..)?),
        };
        match kind {
            ETHERTYPE_ARP => (packet.get(6..8)? == [0, 2]).then_some(Steered::Every),
            ETHERTYPE_IPV4 => self.steer_ipv4(packet),
            _ => None,
        }
    }

    fn steer_ipv4(&self, packet: &[u8]) -> Option<Steered> {
        let header_len = usize::from(packet.first()? & 0x0f) * 4;
        let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff != 0;
        let (addresses, above) = (packet.get(12..20)?, packet.get(header_len..)?);
        match packet.get(9)? {
            6 | 17 if !fragment => {
                let input = addresses.iter().chain(above.get(..4)?);
                let shares = input.zip(self.shares.iter()).map(|(byte, of)| of[usize::from(*byte)]);
                Some(Steered::Ring(self.spread.ring(shares.fold(0, |hash, share| hash ^ share))))
            }
            // Unreachable (also "too big"), time exceeded, parameter problem. RFC 792.
            1 if matches!(above.first()?, 3 | 11 | 12) => Some(Steered::Every),
            _ => None,
        }
    }
}

/// What a byte at a place adds to the hash: for each bit that is set, the 32 bits of the key there.
fn share_of(key: &[u8; KEY_LEN], at: usize, value: u8) -> u32 {
    let window = key[at..at + 5].iter().fold(0u64, |window, byte| window << 8 | u64::from(*byte));
    (0..8)
        .filter(|bit| value >> (7 - bit) & 1 != 0)
        .fold(0, |hash, bit| hash ^ (window >> (8 - bit)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simoom_core::wire::rss::{MICROSOFT_KEY, SYMMETRIC_KEY, hash_tcp_ipv4, toeplitz};
    use std::net::Ipv4Addr;

    fn frame(protocol: u8, src: u32, dst: u32, ports: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend(src.to_be_bytes());
        frame.extend(dst.to_be_bytes());
        frame.extend(ports);
        frame.resize(60, 0);
        frame
    }

    proptest! {
        #[test]
        fn the_ring_is_that_of_the_toeplitz_hash(
            key in proptest::array::uniform32(any::<u8>()), symmetric: bool, rings in 1u8..=16,
            src: u32, dst: u32, src_port: u16, dst_port: u16, udp: bool, tag: bool,
        ) {
            let mut long = if symmetric { SYMMETRIC_KEY } else { MICROSOFT_KEY };
            if !symmetric {
                long[..32].copy_from_slice(&key);
            }
            let spread = Spread::in_turn(long, rings);
            let steering = Steering::new(spread.clone(), rings);
            let [a, b] = src_port.to_be_bytes();
            let [c, d] = dst_port.to_be_bytes();
            let mut frame = frame(if udp { 17 } else { 6 }, src, dst, [a, b, c, d]);
            if tag {
                frame.splice(12..12, [0x81, 0, 0, 7]);
            }
            let (src, dst) = (Ipv4Addr::from_bits(src), Ipv4Addr::from_bits(dst));
            let ring = spread.ring(hash_tcp_ipv4(&long, src, dst, src_port, dst_port));
            prop_assert_eq!(steering.steer(&frame), Steered::Ring(ring));
        }

        #[test]
        fn no_frame_is_too_short_or_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let steering = Steering::new(Spread::in_turn(MICROSOFT_KEY, 3), 3);
            for len in 0..bytes.len() {
                if let Steered::Ring(ring) = steering.steer(&bytes[..len]) {
                    prop_assert!(ring < 3);
                }
            }
        }
    }

    #[test]
    fn a_byte_adds_what_the_bitwise_hash_says() {
        for (at, value) in (0..INPUT_LEN).flat_map(|at| (0..=255).map(move |value| (at, value))) {
            let mut input = [0; INPUT_LEN];
            input[at] = value;
            assert_eq!(share_of(&MICROSOFT_KEY, at, value), toeplitz(&MICROSOFT_KEY, &input));
        }
    }

    #[test]
    fn what_one_stack_of_several_waits_for_comes_to_all() {
        let steering = Steering::new(Spread::in_turn(MICROSOFT_KEY, 4), 4);
        let arp = |operation| {
            let mut frame = vec![0xff; 12];
            frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
            frame.resize(60, 0);
            frame
        };
        let icmp = |kind| frame(1, 1, 2, [kind, 4, 0, 0]);
        assert_eq!(steering.steer(&arp(1)), Steered::Ring(0), "one answers");
        assert_eq!(steering.steer(&arp(2)), Steered::Every, "who asked is not known");
        assert_eq!(steering.steer(&icmp(8)), Steered::Ring(0));
        assert_eq!(steering.steer(&icmp(3)), Steered::Every);
        let mut fragment = frame(6, 0x0102_0304, 0x0506_0708, [1, 2, 3, 4]);
        let whole = steering.steer(&fragment);
        fragment[20] = 0x20;
        assert_eq!((whole, steering.steer(&fragment)), (Steered::Ring(2), Steered::Ring(0)));
    }

    #[test]
    #[should_panic(expected = "a ring beyond the 2 there are")]
    fn a_table_that_names_no_ring_is_refused() {
        Steering::new(Spread::in_turn(MICROSOFT_KEY, 3), 2);
    }
}
