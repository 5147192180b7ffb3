//! The walk itself, over worlds of hosts that only send and write down what comes.

use super::*;
use crate::endpoint::{Endpoint, EndpointHost};
use crate::link::{LinkConfig, Rate};
use crate::seed::Seed;
use simoom_core::time::Instant;
use std::collections::BTreeSet;

/// Sends packets numbered from its first one on, one a millisecond, and keeps the numbers that come.
#[derive(Clone, Debug)]
struct Counter {
    next: u8,
    end: u8,
    seen: Vec<u8>,
}

impl Counter {
    fn host(first: u8, count: u8) -> EndpointHost<Self> {
        EndpointHost::new(Self { next: first, end: first + count, seen: Vec::new() })
    }
}

impl Endpoint for Counter {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.seen.push(frame[14]);
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        let due = Instant::ZERO + Duration::from_millis(u64::from(self.next % 100));
        if self.next < self.end && due <= now {
            let mut frame = [0xff; 60];
            // IPv4 by its type, though not by its bytes: the oracles are off.
            frame[12..15].copy_from_slice(&[0x08, 0x00, self.next]);
            out(&frame);
            self.next += 1;
        }
        let due = Instant::ZERO + Duration::from_millis(u64::from(self.next % 100));
        (self.next < self.end).then_some(due)
    }
}

/// So many packets from the one (numbered from 0) and from the other (from 100).
fn world(one: u8, other: u8) -> World<EndpointHost<Counter>> {
    let mut world = World::new(Seed(0));
    world.set_oracles(crate::oracle::OracleConfig { enabled: false, ..Default::default() });
    let a = world.add_host(Counter::host(0, one));
    let b = world.add_host(Counter::host(100, other));
    let link = LinkConfig { rate: Rate::UNLIMITED, ..LinkConfig::default() };
    world.connect((a, 0), (b, 0), link.clone(), link);
    world
}

fn all(packets: usize) -> Walk {
    Walk { packets, faults_max: packets, swap_wait: Duration::from_secs(1) }
}

/// What the second host saw under each pattern.
fn seen(one: u8, other: u8, plan: Walk) -> Vec<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let patterns = walk(world(one, other), plan, |mut world, pattern| {
        world.run_to_end().map_err(|error| error.to_string())?;
        seen.push((pattern.to_string(), world.hosts().nth(1).unwrap().endpoint.seen.clone()));
        Ok(())
    });
    assert_eq!(patterns, Ok(seen.len() as u64));
    seen
}

#[test]
fn each_ruling_does_what_it_says() {
    let find = |what: &str| {
        let all = seen(3, 0, all(3));
        all.into_iter().find(|(pattern, _)| pattern == what).map(|(_, seen)| seen)
    };
    for (pattern, arrived) in [
        ("nothing", vec![0, 1, 2]),
        ("lose 2", vec![0, 2]),
        ("double 2", vec![0, 1, 1, 2]),
        ("swap 1", vec![1, 0, 2]),
        ("swap 2", vec![0, 2, 1]),
        // None follows: it comes late.
        ("swap 3", vec![0, 1, 2]),
        ("swap 1, lose 2", vec![0, 2]),
        ("swap 1, double 2", vec![1, 1, 0, 2]),
        ("swap 1, swap 3", vec![1, 0, 2]),
        ("lose 1, lose 2, lose 3", vec![]),
    ] {
        assert_eq!(find(pattern), Some(arrived), "{pattern}");
    }
    assert_eq!(find("swap 1, swap 2"), None, "swaps are disjoint");
}

#[test]
fn every_pattern_is_walked_once() {
    // One direction: a(n) = 3 a(n-1) + 3 a(n-2), since a swap is followed by no swap.
    for (n, expected) in [(1, 4), (2, 15), (3, 57), (4, 216), (5, 819)] {
        let seen = seen(n, 0, all(usize::from(n)));
        assert_eq!(seen.len(), expected);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), expected);
    }
    // Packets of two directions in turn do not swap with each other.
    assert_eq!(seen(1, 1, all(2)).len(), 16);
    assert_eq!(seen(2, 2, all(4)).len(), 15 * 15);
}

#[test]
fn faults_are_counted_where_they_are_bounded() {
    let walk = |faults_max| Walk { faults_max, ..all(4) };
    assert_eq!(seen(4, 0, walk(0)).len(), 1);
    assert_eq!(seen(4, 0, walk(1)).len(), 1 + 4 * 3);
    // Two of four, less the three places for two swaps in a row.
    assert_eq!(seen(4, 0, walk(2)).len(), 1 + 4 * 3 + 6 * 9 - 3);
    assert_eq!(seen(4, 0, walk(4)), seen(4, 0, all(4)));
}

#[test]
fn a_world_that_ends_before_the_last_packet_is_a_pattern_too() {
    assert_eq!(seen(2, 0, all(10)).len(), 15);
}

#[test]
fn what_is_wrong_is_found_with_the_fewest_faults() {
    let mut tried = 0;
    let found = walk(world(4, 0), all(4), |mut world, _| {
        world.run_to_end().map_err(|error| error.to_string())?;
        tried += 1;
        let seen = &world.hosts().nth(1).unwrap().endpoint.seen;
        if seen.contains(&1) || seen.contains(&3) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    assert_eq!(found.unwrap_err().to_string(), "lose 2, lose 4: [0, 2]");
    assert!(tried > 1 + 12, "a walk with fewer faults came first");
}
