//! Prepared segments over netmap cost no copy and no allocation: a test of its own, because the
//! counter is the whole process's. What the model allocates counts too.

use simoom_benches::client::Script;
use simoom_benches::counting::{self, Counting};
use simoom_benches::netmap::NetmapSimoom;
use simoom_core::content::Mode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: u32 = 64;

#[test]
fn prepared_segments_over_netmap_cost_no_copy_and_no_allocation() {
    let before = counting::allocations();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(counting::allocations() - before, 1, "the counter counts");

    let server = NetmapSimoom::new(22_528, 8, CONNECTIONS, Mode::CopiesOnDemand);
    let mut script = Script::new(server, 1_000);
    script.open(CONNECTIONS);
    let mut i = 0;
    let mut pick = || {
        i += 1;
        ((i - 1) % CONNECTIONS, i % 8)
    };
    // Every object is cut, and as many copies are made as are away at once.
    for _ in 0..20 {
        script.keep_alive(8, 16, true, &mut pick);
    }
    let seen = |script: &Script<NetmapSimoom>| {
        let server = &script.subject;
        let (stack, store) = (server.stack.stats(), server.stack.store().stats());
        (stack.tx_copied, store.cuts + store.copies_made, server.port.stats().copied_bytes)
    };
    let before = seen(&script);
    let prepared = script.subject.stack.stats().tx_prepared;
    let mut done = script.keep_alive(8, 16, false, &mut pick);
    for _ in 0..9 {
        done += script.keep_alive(8, 16, false, &mut pick);
    }
    let requests = 10 * 8 * 16;
    assert_eq!(done.allocations, 0, "in {requests} requests");
    assert_eq!(seen(&script), before, "segments copied, copies made, bytes copied");
    let prepared = script.subject.stack.stats().tx_prepared - prepared;
    assert!(prepared >= 16 * requests, "{prepared} segments of {requests} answers were prepared");
    assert_eq!(script.subject.model.violations(), []);
}
