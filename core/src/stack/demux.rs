//! From a four-tuple to a connection.
//!
//! The table keeps, beside the slot, 32 bits of the keyed hash: a look-up for a batch of frames
//! touches the table alone, so the cache misses of a batch overlap; whether the connection really
//! has the four-tuple is checked when it is touched anyway.

use core::net::{Ipv4Addr, SocketAddrV4};
use hashbrown::HashTable;

/// The four-tuple of a connection, as a table key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    remote: u32,
    local: u32,
    /// Remote port above local port.
    ports: u32,
}

impl FlowKey {
    /// The key of a connection between `local` and `remote`.
    #[inline]
    pub const fn new(local: SocketAddrV4, remote: SocketAddrV4) -> Self {
        Self {
            remote: remote.ip().to_bits(),
            local: local.ip().to_bits(),
            ports: (remote.port() as u32) << 16 | local.port() as u32,
        }
    }

    /// Our end.
    #[inline]
    pub const fn local(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(self.local), self.ports as u16)
    }

    /// The other end.
    #[inline]
    pub const fn remote(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(self.remote), (self.ports >> 16) as u16)
    }

    /// The key of a TCP frame read at fixed places: Ethernet II, IPv4 without options, no
    /// fragment. None for any other frame, which is then looked up after it was parsed. Nothing
    /// is checked: the key is a guess about which connection to touch.
    #[inline]
    pub(super) fn peek(frame: &[u8]) -> Option<Self> {
        let head = frame.first_chunk::<38>()?;
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if word(12) & 0xffff_ff00 != 0x0800_4500 || head[23] != 6 {
            return None;
        }
        Some(Self { remote: word(26), local: word(30), ports: word(34) })
    }
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    slot: u32,
}

/// Connections by four-tuple. No iteration: its order would depend on the key.
#[derive(Clone)]
pub(super) struct Demux {
    key: [u64; 2],
    table: HashTable<Entry>,
}

impl Demux {
    /// A table for `connections` entries, allocated whole: twice the entries, because hashbrown
    /// then cleans tombstones in place and never grows.
    pub(super) fn new(key: [u64; 2], connections: u32) -> Self {
        Self { key, table: HashTable::with_capacity(connections as usize * 2) }
    }

    /// A slot that probably has this key. The caller compares.
    #[inline]
    pub(super) fn candidate(&self, key: &FlowKey) -> Option<u32> {
        let tag = self.tag(key);
        self.table.find(spread(tag), |entry| entry.tag == tag).map(|entry| entry.slot)
    }

    /// The slot whose key is equal by `same`: two keys may share a tag.
    pub(super) fn find(&self, key: &FlowKey, same: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = self.tag(key);
        self.table
            .find(spread(tag), |entry| entry.tag == tag && same(entry.slot))
            .map(|entry| entry.slot)
    }

    /// Adds a key that is not in the table.
    pub(super) fn insert(&mut self, key: &FlowKey, slot: u32) {
        let tag = self.tag(key);
        self.table.insert_unique(spread(tag), Entry { tag, slot }, |entry| spread(entry.tag));
    }

    /// Removes the key of `slot`.
    pub(super) fn remove(&mut self, key: &FlowKey, slot: u32) {
        let tag = self.tag(key);
        if let Ok(entry) = self.table.find_entry(spread(tag), |entry| entry.slot == slot) {
            entry.remove();
        }
    }

    /// Bytes that a connection takes of a table sized for a power of two of them: twice the
    /// entries, a seventh more for the load factor, each an entry and a control byte.
    pub(super) const BYTES_PER_CONNECTION: usize = (size_of::<Entry>() + 1) * 16 / 7;

    /// 32 bits that whoever does not know the key cannot make collide better than by chance: two
    /// rounds of a full 64 × 64 multiplication, each with a secret factor.
    #[inline]
    fn tag(&self, key: &FlowKey) -> u32 {
        let addresses = u64::from(key.remote) << 32 | u64::from(key.local);
        let first = fold(addresses ^ self.key[0], u64::from(key.ports) ^ self.key[1]);
        let second = fold(first ^ self.key[1], 0x9e37_79b9_7f4a_7c15 ^ self.key[0]);
        (second >> 32) as u32
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide >> 64) as u64 ^ wide as u64
}

/// The table's hash of a tag: hashbrown takes its buckets from the low bits and its control byte
/// from the high ones.
#[inline]
fn spread(tag: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn key(remote: u32, port: u16) -> FlowKey {
        FlowKey::new(
            SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80),
            SocketAddrV4::new(Ipv4Addr::from_bits(remote), port),
        )
    }

    #[test]
    fn a_key_shows_both_ends() {
        let key = key(0x0a00_0002, 4711);
        assert_eq!(key.local(), "10.0.0.1:80".parse().unwrap());
        assert_eq!(key.remote(), "10.0.0.2:4711".parse().unwrap());
    }

    /// An attacker who has found many keys of one bucket under one secret gains nothing under
    /// another: the tags then spread as those of random keys do.
    #[test]
    fn keys_that_collide_under_one_secret_spread_under_another() {
        let known = Demux::new([1, 2], 0);
        let colliding: Vec<FlowKey> = (0..4_000_000u32)
            .map(|i| key(i, (i >> 7) as u16))
            .filter(|key| known.tag(key) & 0x3ff == 0)
            .take(2_048)
            .collect();
        assert_eq!(colliding.len(), 2_048);
        let secret = Demux::new([0x1234_5678_9abc_def1, 0x0fed_cba9_8765_4321], 0);
        let mut buckets = [0u32; 1_024];
        for key in &colliding {
            buckets[(secret.tag(key) & 0x3ff) as usize] += 1;
        }
        // 2,048 balls in 1,024 urns: the fullest holds 14 or more once in ten million draws.
        assert!(buckets.iter().all(|&n| n < 14), "{:?}", buckets.iter().max());
    }

    proptest! {
        #[test]
        fn agrees_with_an_ordered_map(ops in prop::collection::vec((any::<bool>(), 0u32..64, 0u16..4), 1..400)) {
            let mut demux = Demux::new([7, 9], 256);
            let mut twin = BTreeMap::new();
            let keys: Vec<FlowKey> = (0..256).map(|i| key(i / 4, (i % 4) as u16)).collect();
            for (add, remote, port) in ops {
                let slot = remote * 4 + u32::from(port);
                let key = keys[slot as usize];
                if add && !twin.contains_key(&slot) {
                    demux.insert(&key, slot);
                    twin.insert(slot, ());
                } else if !add && twin.remove(&slot).is_some() {
                    demux.remove(&key, slot);
                }
                for (slot, key) in keys.iter().enumerate() {
                    let found = demux.find(key, |s| keys[s as usize] == *key);
                    prop_assert_eq!(found, twin.contains_key(&(slot as u32)).then_some(slot as u32));
                }
            }
        }
    }
}
