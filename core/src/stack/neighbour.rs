//! Which hardware address a neighbour has. Bounded; learns from frames that arrive.
//!
//! The table has sets of [`WAYS`] entries chosen by address: a flood of addresses can push out
//! neighbours of the same set, never make the table grow. Server connections do not depend on it:
//! they answer to the hardware address that their peer's frames came from.

use crate::time::{Duration, Instant};
use crate::wire::MacAddr;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

const WAYS: usize = 4;

/// How long a neighbour is believed to have the address that it spoke with. RFC 1122 §2.3.2.1 (2)
/// speaks of the order of a minute.
const LIFETIME: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Entry {
    ip: Ipv4Addr,
    mac: MacAddr,
    seen: Instant,
    live: bool,
}

#[derive(Clone)]
pub(super) struct Neighbours {
    entries: Vec<Entry>,
    sets: usize,
    key: u64,
}

impl Neighbours {
    /// A table for `capacity` neighbours, rounded up to a power of two and to one set.
    pub(super) fn new(capacity: u32, key: u64) -> Self {
        let sets = (capacity as usize).div_ceil(WAYS).next_power_of_two();
        let vacant = Entry {
            ip: Ipv4Addr::UNSPECIFIED,
            mac: MacAddr([0; 6]),
            seen: Instant::ZERO,
            live: false,
        };
        Self { entries: vec![vacant; sets * WAYS], sets, key }
    }

    /// Notes an address seen in a frame. True where it replaced another neighbour.
    pub(super) fn learn(&mut self, now: Instant, ip: Ipv4Addr, mac: MacAddr) -> bool {
        if mac.is_multicast() || ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified() {
            return false;
        }
        let set = self.set(ip);
        let set = &mut self.entries[set];
        let found = set.iter().position(|entry| entry.live && entry.ip == ip);
        let at = found
            .or_else(|| set.iter().position(|entry| !entry.live))
            .unwrap_or_else(|| (0..WAYS).min_by_key(|&way| set[way].seen).unwrap_or(0));
        let replaced = set[at].live && set[at].ip != ip;
        set[at] = Entry { ip, mac, seen: now, live: true };
        replaced
    }

    /// The hardware address of a neighbour that spoke within its [`LIFETIME`].
    pub(super) fn find(&self, now: Instant, ip: Ipv4Addr) -> Option<MacAddr> {
        let set = &self.entries[self.set(ip)];
        let entry = set.iter().find(|entry| entry.live && entry.ip == ip)?;
        (now - entry.seen <= LIFETIME).then_some(entry.mac)
    }

    fn set(&self, ip: Ipv4Addr) -> core::ops::Range<usize> {
        let wide = u128::from(u64::from(ip.to_bits()) ^ self.key) * u128::from(self.key | 1);
        let at = ((wide >> 32) as usize & (self.sets - 1)) * WAYS;
        at..at + WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant::from_nanos(2_000);

    fn mac(n: u32) -> MacAddr {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    #[test]
    fn learns_and_corrects() {
        let mut table = Neighbours::new(16, 0x1234_5678_9abc_def0);
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(table.find(AT, ip), None);
        assert!(!table.learn(Instant::from_nanos(1), ip, mac(1)));
        assert_eq!(table.find(AT, ip), Some(mac(1)));
        assert!(!table.learn(Instant::from_nanos(2), ip, mac(2)));
        assert_eq!(table.find(AT, ip), Some(mac(2)));
    }

    #[test]
    fn a_neighbour_that_fell_silent_is_asked_for_again() {
        let mut table = Neighbours::new(16, 7);
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        table.learn(AT, ip, mac(1));
        assert_eq!(table.find(AT + LIFETIME, ip), Some(mac(1)));
        assert_eq!(table.find(AT + LIFETIME + Duration::from_nanos(1), ip), None);
    }

    #[test]
    fn a_flood_replaces_the_oldest_and_never_grows() {
        let mut table = Neighbours::new(16, 0x1234_5678_9abc_def0);
        let size = table.entries.len();
        let mut replaced = 0;
        for n in 0..1_000u32 {
            let ip = Ipv4Addr::from_bits(0x0a00_0000 + n);
            replaced += u32::from(table.learn(Instant::from_nanos(u64::from(n)), ip, mac(n)));
            assert_eq!(table.find(AT, ip), Some(mac(n)));
        }
        assert_eq!(table.entries.len(), size);
        assert_eq!(replaced as usize, 1_000 - table.entries.iter().filter(|e| e.live).count());
    }

    #[test]
    fn multicast_and_unspecified_addresses_are_not_neighbours() {
        let mut table = Neighbours::new(4, 1);
        table.learn(Instant::ZERO, Ipv4Addr::new(10, 0, 0, 1), MacAddr([0xff; 6]));
        table.learn(Instant::ZERO, Ipv4Addr::UNSPECIFIED, mac(1));
        assert_eq!(table.find(AT, Ipv4Addr::new(10, 0, 0, 1)), None);
        assert_eq!(table.find(AT, Ipv4Addr::UNSPECIFIED), None);
    }
}
