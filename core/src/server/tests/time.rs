//! Clocks: the pinned second, and what happens when a peer falls silent.

use super::*;

const SECOND: u64 = 1_000_000_000;

#[test]
fn date_stays_that_of_the_second_the_request_came_in() {
    for request in ["GET /big", "HEAD /", "GET /nowhere", "GET /docs"] {
        let mut d = driver();
        d.deliver(std::format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        d.send(1460);
        // Longer than the cache of dates reaches, and through its slots.
        for _ in 0..12 {
            d.pass(SECOND);
            d.retransmit_all(100);
            d.app.dates.get((d.unix_nanos / SECOND) as u32);
        }
        assert!(String::from_utf8_lossy(&d.stream).contains("Date: Sun, 06 Nov 1994 08:49:37 GMT"));
        d.send_all(1460);
        d.ack_all();
        let from = d.stream.len();
        d.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        d.send_all(1460);
        let text = String::from_utf8_lossy(&d.stream[from..]).into_owned();
        assert!(text.contains("Date: Sun, 06 Nov 1994 08:49:49 GMT"), "{text}");
    }
}

#[test]
fn date_of_a_request_with_a_body_is_that_of_its_head() {
    let mut d = driver();
    d.deliver(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    d.pass(3 * SECOND);
    d.deliver(b"b");
    assert!(String::from_utf8_lossy(&d.send_all(1460)).contains("08:49:37 GMT"));
}

#[test]
fn date_cache_shows_each_second_its_own() {
    let mut cache = DateCache::new();
    for second in [0, 8, 0, 7, 1, 784_111_777, 784_111_785, 784_111_777, u32::MAX] {
        assert_eq!(*cache.get(second), ImfFixdate::from_unix(u64::from(second)));
    }
}

#[test]
fn slow_head_gets_408_once_its_time_is_over() {
    let mut d = driver();
    d.pass(70 * SECOND);
    d.deliver(b"GET / HTTP/1.1\r\n");
    d.pass(10 * SECOND);
    d.deliver(b"Host: a\r\n");
    d.pass(9 * SECOND);
    assert!(d.send_all(1460).is_empty());
    d.pass(2 * SECOND);
    let text = String::from_utf8(d.send_all(1460)).unwrap();
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: close     \r\n") && d.ended);
}

#[test]
fn slow_body_gets_408_too() {
    let mut d = driver();
    d.deliver(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    d.pass(21 * SECOND);
    assert!(d.send_all(1460).starts_with(b"HTTP/1.1 408 "));
    assert!(d.ended);
    assert_eq!(d.app.stats().responses_with(Status::MethodNotAllowed), 0);
}

#[test]
fn idle_connection_is_closed_without_a_word() {
    let mut d = driver();
    d.pass(74 * SECOND);
    assert!(!d.closing);
    d.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r");
    d.send_all(1460);
    d.ack_all();
    d.pass(74 * SECOND);
    assert!(!d.closing, "a request starts the time again");
    let sent = d.stream.len();
    d.pass(2 * SECOND);
    assert!(d.closing && d.send_all(1460).is_empty() && d.stream.len() == sent);
    assert_eq!(d.app.stats().idle_closed, 1);
}

#[test]
fn empty_lines_keep_no_connection_alive() {
    let mut d = driver();
    for _ in 0..80 {
        d.pass(SECOND);
        if !d.closing {
            d.deliver(b"\r\n");
        }
    }
    assert!(d.closing && d.app.stats().idle_closed == 1);
}

#[test]
fn answer_that_nobody_acknowledges_is_reset() {
    let mut d = driver();
    d.deliver(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    d.send_all(1460);
    for upto in [1000, 2000, 3000] {
        d.pass(119 * SECOND);
        assert!(!d.aborted);
        d.ack(upto);
    }
    d.pass(121 * SECOND);
    assert!(d.aborted);
    assert_eq!(d.app.stats().stalled, 1);
}

/// Timeouts in seconds: of a request, of idleness, of a stall.
fn driver_of(request: u64, idle: u64, stall: u64) -> Driver<FileServer<MemoryBodies>> {
    driver_with(ServerConfig {
        request_timeout: Duration::from_secs(request),
        idle_timeout: Duration::from_secs(idle),
        stall_timeout: Duration::from_secs(stall),
        ..ServerConfig::default()
    })
}

/// Every order of three different timeouts.
const ORDERS: [(u64, u64, u64); 6] =
    [(5, 20, 60), (5, 60, 20), (20, 5, 60), (20, 60, 5), (60, 5, 20), (60, 20, 5)];

#[test]
fn stall_ends_in_its_time_whatever_the_other_timeouts_are() {
    for (request, idle, stall) in ORDERS {
        for quiet in [0, 1, 3] {
            // A head at once, one in pieces, one with a body, one with the next one's beginning.
            for pieces in [
                &[&b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"[..]][..],
                &[b"GET /big HTTP/1.1\r\n", b"Host: a\r\n\r\n"],
                &[b"GET /big HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", b"ab"],
                &[b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET", b" / HT"],
            ] {
                let what = (request, idle, stall, quiet, pieces.len());
                let mut d = driver_of(request, idle, stall);
                d.pass(quiet * SECOND);
                for piece in pieces {
                    d.deliver(piece);
                    d.send(1460);
                    d.pass(SECOND / 2);
                }
                d.ack(700);
                d.pass((stall - 1) * SECOND);
                assert!(!d.aborted, "{what:?}");
                d.pass(SECOND + SECOND / 100);
                assert!(d.aborted && d.app.stats().stalled == 1, "{what:?}");
            }
        }
    }
}

#[test]
fn idleness_after_an_answer_ends_in_its_time_whatever_the_other_timeouts_are() {
    for (request, idle, stall) in ORDERS {
        // Long enough for a deadline of the answer's own, where the peer keeps acknowledging.
        for steps in [0, 1, 8, 40] {
            let what = (request, idle, stall, steps);
            let mut d = driver_of(request, idle, stall);
            d.deliver(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
            d.send_all(1460);
            for step in 0..steps {
                d.pass(2 * SECOND);
                d.ack(step * 1000);
            }
            d.ack_all();
            d.pass((idle - 1) * SECOND);
            assert!(!d.closing && !d.aborted, "{what:?}");
            d.pass(SECOND + SECOND / 100);
            assert!(d.closing && !d.aborted, "{what:?}");
            assert_eq!((d.app.stats().idle_closed, d.app.stats().stalled), (1, 0), "{what:?}");
        }
    }
}

#[test]
fn time_of_a_head_does_not_run_while_it_waits_behind_answers() {
    let mut d = driver();
    d.deliver(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET / HT");
    d.send_all(1460);
    d.pass(60 * SECOND);
    assert!(!d.closing && !d.aborted);
    d.ack_all();
    d.pass(19 * SECOND);
    d.deliver(b"TP/1.1\r\nHost: a\r\n\r\n");
    assert!(d.send_all(1460).ends_with(b"home!"));
}
