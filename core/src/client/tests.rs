//! The client against the file server, and against answers that are wrong, without a stack.

use super::*;
use crate::server::harness::Driver;
use crate::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use alloc::string::String;
use core::net::{Ipv4Addr, SocketAddrV4};

const FILES: [(u64, u64); 4] = [(1, 0), (2, 1), (3, 1000), (4, 22_000)];

fn server() -> Driver<FileServer<MemoryBodies>> {
    let mut bodies = MemoryBodies::new();
    let mut builder = Catalogue::builder(5);
    for (seed, len) in FILES {
        let file = bodies.add_pattern(seed, len);
        let path = alloc::format!("/{seed}");
        let info =
            FileInfo { path: &path, content_type: "a/b", modified: 0, version: seed, len, file };
        builder.add_file(info).unwrap();
    }
    Driver::new(FileServer::new(builder.build(), bodies, ServerConfig::default()), 1_000_000)
}

fn config(requests: u64) -> FetchConfig {
    FetchConfig {
        server: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80),
        host: "a".into(),
        paths: FILES.iter().map(|(seed, _)| alloc::format!("/{seed}")).collect(),
        order: Order::RoundRobin,
        connections: 1,
        requests,
        requests_per_connection: u64::MAX,
        pipeline: 1,
        think: Duration::ZERO,
        pace: None,
        completions_max: 1000,
    }
}

fn client(config: FetchConfig) -> Driver<FetchClient<ExpectPatterns>> {
    let mut client = FetchClient::new(config, ExpectPatterns(FILES.to_vec()));
    client.set_now(START);
    assert!(client.poll_open().is_some());
    Driver::new(client, 1_000_000)
}

/// Runs one connection after the other until the client asks for no more. Segments are `mss` long;
/// `damage` may change what the server sends.
fn run(
    config: FetchConfig,
    mss: u32,
    mut damage: impl FnMut(&mut Vec<u8>),
) -> Driver<FetchClient<ExpectPatterns>> {
    let (mut c, mut s) = (client(config), server());
    loop {
        for _ in 0..100_000 {
            let asked = c.send(mss);
            if !asked.is_empty() {
                s.deliver(&asked);
                c.retransmit_all(mss);
                c.ack_all();
            }
            let mut answered = s.send(mss);
            if !answered.is_empty() {
                damage(&mut answered);
                c.deliver(&answered);
                s.retransmit_all(mss);
                s.ack_all();
            }
            if s.ended && !c.closing {
                c.fin();
            }
            if c.ended && !s.closing {
                s.fin();
            }
            if c.aborted || (c.ended && s.ended) {
                break;
            }
            if asked.is_empty() && answered.is_empty() {
                c.pass(1_000_000);
            }
        }
        c.close(CloseReason::Finished);
        s.close(CloseReason::Finished);
        let again = c.opens.pop().or_else(|| c.app.poll_open());
        if again.is_none() {
            return c;
        }
        c.open();
        s.open();
    }
}

fn bytes_of(requests: u64) -> u64 {
    (0..requests).map(|n| FILES[n as usize % FILES.len()].1).sum()
}

#[test]
fn every_mode_fetches_every_byte() {
    for (per_connection, pipeline, mss) in
        [(u64::MAX, 1, 1460), (u64::MAX, 8, 1460), (u64::MAX, 3, 11), (1, 1, 536), (3, 2, 1460)]
    {
        let config =
            FetchConfig { requests_per_connection: per_connection, pipeline, ..config(41) };
        let c = run(config, mss, |_| {});
        let stats = *c.app.stats();
        let connections =
            if per_connection == u64::MAX { 1 } else { 41u64.div_ceil(per_connection) };
        assert_eq!(
            stats,
            FetchStats {
                connections,
                requests: 41,
                succeeded: 41,
                bytes: bytes_of(41),
                head_bytes: stats.head_bytes,
                ..FetchStats::default()
            }
        );
        assert!(c.app.is_done());
        assert_eq!(c.app.completions().len(), 41);
        assert!(
            c.app.completions().iter().enumerate().all(|(i, x)| x.path_index as usize == i % 4)
        );
    }
}

#[test]
fn seeded_order_is_the_same_for_the_same_seed_and_reaches_every_path() {
    let order = |seed| {
        let c = run(FetchConfig { order: Order::Seeded(seed), ..config(60) }, 1460, |_| {});
        c.app.completions().iter().map(|x| x.path_index).collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert!((0..4).all(|path| order(1).contains(&path)));
}

#[test]
fn one_changed_byte_of_a_body_is_seen() {
    let mut seen = 0;
    let c = run(config(4), 1460, |bytes| {
        seen += 1;
        if bytes.len() == 1460 && seen > 6 {
            bytes[700] ^= 1;
            seen = i32::MIN;
        }
    });
    let stats = c.app.stats();
    assert_eq!((stats.wrong_bytes, stats.failed, stats.succeeded), (1, 1, 3));
}

#[test]
fn wrong_status_and_length_fail_the_request_and_not_the_next() {
    let paths = ["/1", "/nowhere", "/2", "/4"].map(String::from).to_vec();
    let c = run(FetchConfig { paths, ..config(4) }, 1460, |_| {});
    let stats = c.app.stats();
    // The second expects file 2, the third file 3, and gets another.
    assert_eq!((stats.wrong_status, stats.wrong_length), (1, 1));
    assert_eq!((stats.succeeded, stats.failed, stats.wrong_bytes), (2, 2, 0));
}

#[test]
fn what_is_no_answer_ends_the_connection() {
    for bytes in [
        &b"SSH-2.0-x\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut c = client(FetchConfig { think: Duration::from_secs(1), ..config(2) });
        c.send_all(1460);
        c.ack_all();
        c.deliver(bytes);
        assert!(c.aborted, "{}", String::from_utf8_lossy(bytes));
        assert_eq!(c.app.stats().malformed, 1);
        c.close(CloseReason::Aborted);
    }
}

#[test]
fn connection_that_breaks_fails_its_requests_and_is_replaced() {
    let mut c = client(FetchConfig { pipeline: 3, ..config(10) });
    c.send_all(1460);
    c.close(CloseReason::Reset);
    let stats = *c.app.stats();
    assert_eq!((stats.requests, stats.failed, stats.cut_off), (3, 3, 1));
    assert!(!c.app.is_done());
    assert!(c.app.poll_open().is_some());
    assert!(c.app.poll_open().is_none(), "one at a time");
    c.app.on_open_failed(0, OpenError::Refused);
    assert_eq!(c.app.stats().open_failed, 1);
    assert!(c.app.poll_open().is_some());
}

#[test]
fn thinking_takes_its_time() {
    let think = Duration::from_secs(1);
    let c = run(FetchConfig { think, ..config(5) }, 1460, |_| {});
    let done = c.app.completions();
    assert_eq!(c.app.stats().succeeded, 5);
    assert!(done.windows(2).all(|w| w[1].asked_at - w[0].done_at >= think));
}

#[test]
fn record_of_completions_is_bounded() {
    let c = run(FetchConfig { completions_max: 3, ..config(10) }, 1460, |_| {});
    assert_eq!((c.app.completions().len(), c.app.stats().unrecorded), (3, 7));
}

/// When the driver begins.
const START: Instant = Instant::from_nanos(5_000_000_000);
/// A request each millisecond.
const PACE: Pace = Pace { start: START, per_kilosecond: 1_000_000 };

fn millis(n: u64) -> Instant {
    START + Duration::from_millis(n)
}

#[test]
fn paced_requests_count_from_when_they_were_due() {
    for pipeline in [1, 4] {
        let c = run(FetchConfig { pace: Some(PACE), pipeline, ..config(41) }, 1460, |_| {});
        assert_eq!((c.app.stats().succeeded, c.app.stats().connections), (41, 1));
        assert!(c.app.is_done());
        for (number, done) in c.app.completions().iter().enumerate() {
            assert_eq!(done.asked_at, millis(number as u64));
            assert!(done.done_at >= done.asked_at, "{done:?} was asked for before it was due");
        }
    }
}

#[test]
fn time_of_a_request_that_found_every_connection_busy_counts_from_when_it_was_due() {
    let mut c = client(FetchConfig { pace: Some(PACE), paths: vec1("/1"), ..config(4) });
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert!(!c.send_all(1460).is_empty());
    c.ack_all();
    c.pass(5_000_000);
    assert!(c.send_all(1460).is_empty(), "one at a time");
    for at in [5, 5, 5, 5] {
        c.deliver(answer);
        c.send_all(1460);
        c.ack_all();
        assert_eq!(c.app.completions().last().unwrap().done_at, millis(at));
    }
    let asked: Vec<_> = c.app.completions().iter().map(|done| done.asked_at).collect();
    assert_eq!(asked, [millis(0), millis(1), millis(2), millis(3)]);
}

fn vec1(path: &str) -> Vec<String> {
    Vec::from([String::from(path)])
}

#[test]
fn paced_connections_open_when_their_request_is_due() {
    let config =
        FetchConfig { pace: Some(PACE), connections: 3, requests_per_connection: 1, ..config(10) };
    let mut app = FetchClient::new(config, ExpectPatterns(FILES.to_vec()));
    app.set_now(START);
    let opened = |app: &mut FetchClient<_>| core::iter::from_fn(|| app.poll_open()).count();
    assert_eq!((app.next_open(), opened(&mut app)), (Some(millis(0)), 1));
    assert_eq!((app.next_open(), opened(&mut app)), (Some(millis(1)), 0));
    app.set_now(millis(1));
    assert_eq!(opened(&mut app), 1);
    app.set_now(millis(7));
    assert_eq!((opened(&mut app), app.next_open()), (1, None), "as many as may be open");
}

#[test]
fn request_of_a_connection_that_ended_before_it_was_due_goes_to_another() {
    let mut c = client(FetchConfig { pace: Some(PACE), paths: vec1("/1"), ..config(2) });
    c.send_all(1460);
    c.ack_all();
    c.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    // The second request waits for its time; the server ends the connection meanwhile.
    c.fin();
    c.close(CloseReason::Finished);
    assert_eq!((c.app.stats().requests, c.app.stats().failed), (1, 0));
    assert_eq!(c.app.next_open(), Some(millis(1)));
    assert!(!c.app.is_done());
    c.app.set_now(millis(1));
    assert!(c.app.poll_open().is_some());
}

#[test]
fn stopped_client_asks_nothing_more_and_is_done() {
    let mut c = client(FetchConfig { pace: Some(PACE), paths: vec1("/1"), ..config(9) });
    c.send_all(1460);
    c.ack_all();
    c.app.stop();
    c.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    c.pass(50_000_000);
    assert_eq!(c.send_all(1460), b"");
    assert!(c.closing);
    c.fin();
    c.close(CloseReason::Finished);
    assert_eq!((c.app.next_open(), c.app.poll_open().is_none()), (None, true));
    assert_eq!((c.app.stats().requests, c.app.stats().succeeded), (1, 1));
    assert!(c.app.is_done());
}

#[test]
fn split_order_gives_the_first_paths_their_share() {
    let order = Order::Split { seed: 3, first: 3, first_ppm: 900_000 };
    let client =
        FetchClient::new(FetchConfig { order, ..config(1) }, ExpectPatterns(FILES.to_vec()));
    let mut seen = [0u32; 4];
    (0..10_000).for_each(|number| seen[client.path_of(number) as usize] += 1);
    // A tenth of 10,000, give or take four standard deviations (30 each).
    assert!((880..=1_120).contains(&seen[3]), "{seen:?}");
    assert!(seen[..3].iter().all(|n| (2_750..=3_250).contains(n)), "{seen:?}");
}
