//! Splits, pipelines, retransmissions and noise.

use super::*;
use proptest::prelude::*;

fn get(path: &str) -> Vec<u8> {
    std::format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// What is answered when the bytes come in pieces, each acknowledged as far as `acked` says.
fn answer_in_pieces(bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, bool) {
    let mut d = driver();
    let mut at = 0;
    for &piece in pieces {
        let end = (at + piece).min(bytes.len());
        if !d.ended {
            d.deliver(&bytes[at..end]);
        }
        at = end;
        d.send_all(536);
        d.retransmit_all(1460);
        if piece % 2 == 0 {
            d.ack_all();
        }
    }
    loop {
        d.ack_all();
        if d.send_all(1460).is_empty() {
            return (d.stream.clone(), d.ended);
        }
    }
}

const STREAMS: [&[u8]; 8] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\nGET /docs HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789HEAD / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: u\r\n\r\n\
      GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /empty HTTP/1.1\r\n\
      Host: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"GET / HTTP/7.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n",
];

#[test]
fn every_split_gives_the_same_answer() {
    for stream in STREAMS {
        let whole = answer_in_pieces(stream, &[stream.len()]);
        assert!(!whole.0.is_empty());
        for cut in 0..=stream.len() {
            let split = answer_in_pieces(stream, &[cut, stream.len() - cut]);
            assert_eq!(split, whole, "cut at {cut}: {}", String::from_utf8_lossy(stream));
        }
        let bytewise = alloc::vec![1; stream.len()];
        assert_eq!(answer_in_pieces(stream, &bytewise), whole);
    }
}

#[test]
fn pipelined_requests_wait_for_room_and_are_answered_in_order() {
    let mut d = driver();
    let requests: Vec<u8> =
        ["/", "/big", "/empty", "/nowhere", "/a%20b"].iter().flat_map(|p| get(p)).collect();
    d.deliver(&requests);
    assert_eq!(d.untaken, requests[get("/").len() + get("/big").len()..], "two are taken");
    let mut expected = head_of_200(5, "keep-alive").into_bytes();
    expected.extend(b"home!");
    expected.extend(head_of_200(BIG, "keep-alive").into_bytes());
    expected.extend(big_body());
    assert_eq!(d.send_all(1460), expected);
    // An acknowledgement within the first answer makes no room; its last byte does.
    d.ack(100);
    assert!(d.untaken.starts_with(&get("/empty")));
    d.ack((head_of_200(5, "keep-alive").len() + 5) as u64);
    assert!(d.untaken.starts_with(&get("/nowhere")));
    d.send_all(1460);
    d.retransmit_all(999);
    d.ack_all();
    assert!(d.untaken.is_empty());
    d.send_all(1460);
    d.ack_all();
    let text = String::from_utf8_lossy(&d.stream).into_owned();
    assert!(text.ends_with("\r\n\r\nblank") && text.contains("HTTP/1.1 404 Not Found"));
    assert_eq!(d.app.stats().requests, 5);
}

#[test]
fn fin_behind_waiting_requests_lets_them_be_answered() {
    let mut d = driver();
    d.deliver(&["/", "/empty", "/docs/"].iter().flat_map(|p| get(p)).collect::<Vec<u8>>());
    d.fin();
    assert!(!d.closing, "the third request still waits");
    d.send_all(1460);
    d.ack_all();
    assert!(d.closing && !d.ended);
    assert!(d.send_all(1460).ends_with(b"docs."));
    assert!(d.ended);
}

#[test]
fn fin_within_a_head_ends_quietly() {
    let mut d = driver();
    d.deliver(b"GET / HT");
    d.fin();
    assert!(d.send_all(1460).is_empty() && d.ended);
}

#[test]
fn nothing_after_a_closing_answer_is_taken_for_a_request() {
    let mut d = driver();
    d.deliver(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    d.deliver(&get("/big"));
    assert!(d.untaken.is_empty());
    assert!(d.send_all(1460).ends_with(b"home!"));
    assert!(d.ended);
    assert_eq!(d.app.stats().requests, 1);
}

#[test]
fn offsets_within_heads_and_bodies_agree_with_the_whole() {
    for request in ["GET /big", "HEAD /big", "GET /nowhere", "GET /docs"] {
        let mut d = driver();
        d.deliver(std::format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let whole = d.send_all(u32::MAX);
        for mss in [1, 7, 536, 1460] {
            if whole.len() < 1000 || mss > 7 {
                d.retransmit_all(mss);
            }
        }
    }
}

#[test]
fn no_deadline_is_set_for_requests_that_come_whole() {
    let mut d = driver();
    for _ in 0..100 {
        d.deliver(&get("/"));
        d.send_all(1460);
        d.ack_all();
    }
    assert_eq!(d.deadlines_set, 1, "the one of on_open");
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    const PARTS: [&[u8]; 16] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /",
        b" HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"Connection: close\r\n",
        b"HEAD /big HTTP/1.0\r\n",
        b"\0",
        b"abc",
        b"If-None-Match: \"5-2a\"\r\n",
    ];
    let part = prop_oneof![
        8 => proptest::sample::select(&PARTS[..]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(part, 0..30).prop_map(|p| p.concat())
}

/// What is answered to the same bytes on three connections, one after the other.
fn answers_on_three_connections(bytes: &[u8], config: ServerConfig) -> Vec<(Vec<u8>, bool)> {
    let mut d = driver_with(config);
    let mut answers = Vec::new();
    for _ in 0..3 {
        d.deliver(bytes);
        while !d.send_all(1460).is_empty() {
            d.ack_all();
        }
        answers.push((d.stream.clone(), d.ended));
        d.close(CloseReason::Reset);
        d.open();
    }
    answers
}

#[test]
fn remembered_heads_mean_what_they_meant() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /docs HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"5-2a\"\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answers = answers_on_three_connections(head.as_bytes(), ServerConfig::default());
        assert!(answers.iter().all(|a| *a == answers[0]), "{head}");
    }
}

proptest! {
    #[test]
    fn remembering_heads_changes_no_answer(bytes in noise()) {
        let with = answers_on_three_connections(&bytes, ServerConfig::default());
        let without = ServerConfig { memo_heads: 0, ..ServerConfig::default() };
        prop_assert_eq!(with, answers_on_three_connections(&bytes, without));
    }

    #[test]
    fn noise_never_panics_and_splits_change_nothing(
        bytes in noise(),
        pieces in proptest::collection::vec(0usize..60, 0..12),
    ) {
        let whole = answer_in_pieces(&bytes, &[bytes.len()]);
        let mut pieces = pieces;
        pieces.push(bytes.len());
        prop_assert_eq!(answer_in_pieces(&bytes, &pieces), whole);
    }
}
