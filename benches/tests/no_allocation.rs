//! The stack allocates when it is made, and never again: a test of its own, because the counter is
//! the whole process's.

use simoom_benches::arena::Pages;
use simoom_benches::client::Script;
use simoom_benches::counting::{self, Counting};
use simoom_benches::simoom::{Setup, Simoom, config};
use simoom_core::content::Mode;
use simoom_core::wire::tcp::TcpFlags;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: u32 = 400;
const SECOND: u64 = 1_000_000_000;

fn script() -> Script<Simoom> {
    let setup = Setup {
        object_bytes: 40_000,
        objects: 8,
        connections: CONNECTIONS,
        checksums: true,
        mode: Mode::CopiesOnDemand,
        class: true,
        pages: Pages::Small,
    };
    let mut config = config(CONNECTIONS);
    config.half_open_max = 64;
    config.neighbours_max = 32;
    config.receive_buffers = 48;
    Script::new(Simoom::with_config(setup, config), 1_000)
}

/// Bytes without meaning, the same at every run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn inject(script: &mut Script<Simoom>, frames: &[Vec<u8>]) -> u64 {
    script.inject(frames.iter().map(Vec::as_slice)).allocations
}

fn arp_request(sender: u32) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    let [_, a, b, c] = sender.to_be_bytes();
    let mac = [2, 0, 0, a, b, c];
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&(0x0a02_0000 + sender).to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    frame
}

/// Each step names what it drives against its bound; afterwards the counters tell that the bound was
/// hit, so that silence is not mistaken for success.
#[test]
fn no_allocation_from_first_syn_to_last_bound() {
    let before = counting::allocations();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(counting::allocations() - before, 1, "the counter counts");

    let mut script = script();
    let mut allocated = Vec::new();
    let mut note = |what: &'static str, count: u64| {
        if count > 0 {
            allocated.push((what, count));
        }
    };

    // Connections to the bound, and every object by every one of them: cuts, copies, growth.
    note("handshakes", script.open(CONNECTIONS).allocations);
    let mut i = 0;
    let pick = || {
        i += 1;
        ((i - 1) % CONNECTIONS, i % 8)
    };
    note("requests", script.keep_alive(64, 50, true, pick).allocations);

    // One connection more than there may be.
    let late: Vec<_> = (0..64).map(|n| script.syn(1_000 + n)).collect();
    note("table full", inject(&mut script, &late));

    // Half requests and text out of order, on more connections than there are buffers.
    let ooo: Vec<_> = (0..100)
        .flat_map(|conn| (1..12).map(move |gap| (conn, gap * 40)).collect::<Vec<_>>())
        .map(|(conn, ahead)| script.frame(conn, TcpFlags::ACK, ahead, b"out of order"))
        .collect();
    note("out of order", inject(&mut script, &ooo));
    let halves: Vec<_> = (100..200)
        .map(|conn| script.frame(conn, TcpFlags::ACK, 0, b"GET / HTTP/1.1\r\nHo"))
        .collect();
    note("half requests", inject(&mut script, &halves));

    // Frames that are wrong in every layer, and answers to more of them than may wait.
    let mut bad: Vec<_> = (0..200u64).map(|n| noise(n, n as usize * 7)).collect();
    for n in 0..200 {
        let mut frame = script.frame(n, TcpFlags::ACK, 0, b"GET / HTTP/1.1\r\n\r\n");
        let at = 14 + (n as usize * 11) % (frame.len() - 14);
        frame[at] ^= 0x55;
        bad.push(frame.clone());
        frame.truncate(at);
        bad.push(frame);
    }
    note("bad frames", inject(&mut script, &bad));
    let strangers: Vec<_> =
        (0..500).map(|n| script.frame(n % CONNECTIONS, TcpFlags::SYN, 1 << 30, &[])).collect();
    note("challenges", inject(&mut script, &strangers));
    let arps: Vec<_> = (1..200).map(arp_request).collect();
    note("neighbours", inject(&mut script, &arps));

    // Retransmissions, probes, timeouts, the server's own deadlines.
    note("timers", script.pass(200 * SECOND, 4_000).allocations);

    // RST and FIN; then connections again, half-open ones to their bound.
    let ends: Vec<_> = (0..CONNECTIONS)
        .map(|conn| {
            let flags = if conn % 2 == 0 { TcpFlags::RST } else { TcpFlags::FIN };
            script.frame(conn, flags | TcpFlags::ACK, 0, &[])
        })
        .collect();
    note("ends", inject(&mut script, &ends));
    note("after the ends", script.pass(400 * SECOND, 4_000).allocations);
    let again: Vec<_> = (0..200).map(|n| script.syn(2_000 + n)).collect();
    note("half open", inject(&mut script, &again));
    note("and after", script.pass(400 * SECOND, 4_000).allocations);

    let stats = script.subject.stack.stats().clone();
    assert_eq!(allocated, [], "{stats:?}");
    assert_eq!(stats.opened, u64::from(CONNECTIONS));
    assert!(stats.syn_table_full > 0, "{stats:?}");
    assert!(stats.syn_half_open_full > 0, "{stats:?}");
    assert!(stats.receive_pool_empty > 0, "{stats:?}");
    assert!(stats.rx_malformed > 0 && stats.rx_bad_checksum > 0, "{stats:?}");
    assert!(stats.neighbours_replaced > 0, "{stats:?}");
    assert!(stats.tcp_drops.iter().any(|&drops| drops > 0), "{stats:?}");
    assert_eq!(script.subject.stack.connections(), 0, "{stats:?}");
}
