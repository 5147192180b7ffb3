//! What shards keep in memory lies in cache lines of their own: a test of its own, because the table
//! of allocations is the whole process's. What they *touch* is the program `shard_lines`'s business,
//! which needs valgrind.

use simoom_benches::allocations::{Allocation, Remembering, alive, forgotten, set_owner};
use simoom_benches::lackey::LINE;
use simoom_benches::shards::{self, Client, Shards};
use simoom_benches::threads::{Fault, MadeBy, Threads};
use std::collections::BTreeMap;

#[global_allocator]
static ALLOCATOR: Remembering = Remembering;

/// Memory of a shard, from its first byte to the one behind its last.
type Place = (u32, usize, usize);

/// Lines in which two shards have something, with whose they are.
fn shared(places: impl IntoIterator<Item = Place>) -> Vec<(usize, u32, u32)> {
    let mut owners: BTreeMap<usize, u32> = BTreeMap::new();
    let mut shared = Vec::new();
    for (owner, start, end) in places {
        for line in start / LINE..end.div_ceil(LINE) {
            let first = *owners.entry(line).or_insert(owner);
            if first != owner {
                shared.push((line, first, owner));
            }
        }
    }
    shared
}

fn of_shards(alive: &[Allocation]) -> impl Iterator<Item = Place> {
    let own = alive.iter().filter(|allocation| allocation.owner > 0);
    own.map(|a| (a.owner, a.address, a.address + a.size))
}

/// One test: what two would allocate at once is mixed up.
#[test]
fn no_two_shards_have_memory_in_one_line() {
    // The tester: two small allocations of one size lie side by side, or each in lines of its own.
    let small: Vec<Box<u64>> = (0..64)
        .map(|number| {
            set_owner(1 + number % 2);
            Box::new(u64::from(number))
        })
        .collect();
    set_owner(0);
    assert!(!shared(of_shards(&alive())).is_empty(), "64 boxes of 8 bytes share no line");
    drop(small);
    assert_eq!(of_shards(&alive()).count(), 0, "what was given back is forgotten");

    for count in [2, 8] {
        let model = shards::nic(count);
        let threads = Threads::new(&model, count, MadeBy::ItsThread, Fault::None);
        let mut client = Client::new(Shards::new(model, count, threads));
        client.run(2, true);
        client.run(2, false);
        let alive = alive();
        assert_eq!(forgotten(), 0, "the table of allocations is full");
        for shard in 1..=u32::from(count) {
            let bytes: usize = alive.iter().filter(|a| a.owner == shard).map(|a| a.size).sum();
            assert!(bytes > 100_000, "shard {shard} has {bytes} bytes");
        }
        let shards = client.into_shards();
        // The rings and the interface, which the model lays out as netmap does.
        let (model, region) = (&shards.model, shards.model.address());
        let rings = (0..count).flat_map(|shard| {
            let places = model.places(shard);
            places.map(|(_, at)| (u32::from(shard) + 1, region + at.start, region + at.end))
        });
        let rings: Vec<_> = rings.collect();
        assert_eq!(shared(of_shards(&alive).chain(rings)), [], "{count} shards");
    }
}
