//! What a connection takes that does nothing: counted by the allocator, not by `size_of`.

use simoom_benches::arena::Pages;
use simoom_benches::client::Script;
use simoom_benches::counting::{self, Counting};
use simoom_benches::memory_port::MemoryPort;
use simoom_benches::row::Row;
use simoom_benches::run::simoom_of;
use simoom_benches::simoom::{config, file_server};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::stack::Stack;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: u32 = 100_000;

/// Bytes that a stack for so many connections keeps, with its application.
fn stack_bytes(connections: u32) -> u64 {
    let port: MemoryPort = MemoryPort::new(64, false, Pages::Small);
    let before = counting::bytes_live();
    let app = file_server(1_024, 1);
    let stack = Stack::new(config(connections), Secrets::new([1, 2, 3, 4]), port.caps(), app);
    let bytes = counting::bytes_live() - before;
    drop(stack);
    bytes
}

/// All in: the slot with TCP and the application's state, the connection table, the timer, the
/// ready list. The tables are allocated whole, so being open costs nothing beyond them, which the
/// second half shows.
#[test]
fn an_idle_connection_takes_at_most_320_bytes() {
    let one = stack_bytes(1);
    let all = stack_bytes(CONNECTIONS);
    let each = (all - one) as f64 / f64::from(CONNECTIONS - 1);
    println!("an idle connection takes {each:.1} bytes");
    assert!(each <= 320.0, "{each:.1} bytes");

    let row = Row { open: CONNECTIONS, object_bytes: 1_024, ..Row::BASE };
    let mut script = Script::new(simoom_of(&row), 50);
    let handshakes = script.open(CONNECTIONS);
    let mut next = 0;
    let requests = script.keep_alive(CONNECTIONS / 50, 50, true, || {
        next += 1;
        (next - 1, 0)
    });
    assert_eq!(script.subject.stack.connections(), CONNECTIONS);
    assert_eq!(handshakes.allocations + requests.allocations, 0);
}
