//! One line a request: what status it gets, and whether the connection lives on.

use super::*;
use crate::http::request::{HEADERS_MAX, RequestError, TARGET_BYTES_MAX};

const OPEN: bool = false;
const CLOSED: bool = true;

fn status(request: &[u8]) -> (u16, bool) {
    let (text, ended) = answer(request);
    let code = text.get(9..12).and_then(|t| t.parse().ok()).unwrap_or(0);
    assert_eq!(ended, text.contains("\r\nConnection: close     \r\n"), "{text}");
    (code, ended)
}

fn check(table: &[(&str, u16, bool)]) {
    for (request, code, ended) in table {
        assert_eq!(status(request.as_bytes()), (*code, *ended), "{request:?}");
    }
}

#[test]
fn methods_and_versions() {
    check(&[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.0\r\n\r\n", 200, CLOSED),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", 200, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", 200, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: te, close\r\n\r\n", 200, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", 200, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.9\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, CLOSED),
        ("PRI * HTTP/2.0\r\n\r\n", 505, CLOSED),
        ("GET / HTTP/0.9\r\n\r\n", 505, CLOSED),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.11\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET /\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405, OPEN),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405, OPEN),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, OPEN),
        ("DELETE /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 405, OPEN),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, OPEN),
        ("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", 405, OPEN),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, OPEN),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, OPEN),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
    ]);
}

#[test]
fn fields_that_leave_a_doubt_are_refused() {
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\n fold\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: b\x7f\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\rA: b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: \t b\t \r\n\r\n", 200, OPEN),
        // A fault of HTTP/1.2 is one of HTTP/1.1.
        ("GET / HTTP/1.2\r\nHost: a\r\nA : b\r\n\r\n", 400, CLOSED),
        ("GET / HTTP/1.2\r\nHost: a\r\nHost: b\r\n\r\n", 400, CLOSED),
    ]);
}

#[test]
fn requests_that_would_be_smuggled_end_the_connection() {
    let tail = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, code) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: 5,6\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: -5\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 5 5\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 5;\r\n", 400),
        ("Content-Length : 5\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked, gzip\r\n", 400),
        ("Transfer-Encoding: chunked;q=1\r\n", 400),
        ("Transfer-Encoding:\r\n", 400),
        ("Transfer-Encoding: ,chunked\r\n", 400),
        ("Transfer-Encoding: \"chunked\"\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: gzip\r\n", 501),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding: identity\r\n", 501),
    ] {
        let request = std::format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{tail}");
        assert_eq!(status(request.as_bytes()), (code, CLOSED), "{fields:?}");
        let (text, _) = answer(request.as_bytes());
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "one answer only: {fields:?}");
    }
    check(&[("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, CLOSED)]);
}

#[test]
fn bodies_are_consumed_or_the_connection_ends() {
    let next = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (fields, body) in [
        ("Content-Length: 5\r\n", "GET /"),
        ("Content-Length: 0\r\n", ""),
        ("Transfer-Encoding: Chunked\r\n", "5\r\nGET /\r\n0\r\nA: b\r\n\r\n"),
    ] {
        for (method, code) in [("POST", "405"), ("GET", "200"), ("BREW", "501")] {
            let request =
                std::format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{next}");
            let (text, ended) = answer(request.as_bytes());
            assert!(text.starts_with(&std::format!("HTTP/1.1 {code}")), "{request}\n{text}");
            assert!(text.ends_with("\r\n\r\nhome!") && ended, "{request}\n{text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 2);
        }
    }
    let big = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n";
    let late = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n";
    let expect = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    check(&[
        (big, 200, CLOSED),
        (late, 200, CLOSED),
        (expect, 405, CLOSED),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", 200, OPEN),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n", 400, CLOSED),
    ]);
}

#[test]
fn targets() {
    check(&[
        ("GET /?a=../../b HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET HTTP://other:80 HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET https://other?x HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET http://other/nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, OPEN),
        ("GET http://other/ HTTP/1.1\r\n\r\n", 400, CLOSED),
        ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET ftp://other/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET index.html HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, CLOSED),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400, OPEN),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, OPEN),
        ("GET /docs/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET /docs/index.html HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET /docs/x/.. HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET /docs HTTP/1.1\r\nHost: a\r\n\r\n", 301, OPEN),
        ("GET /docs/index.html/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, OPEN),
        ("GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET /%252e HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET /%2e HTTP/1.1\r\nHost: a\r\n\r\n", 200, OPEN),
        ("GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 404, OPEN),
        ("GET /..%5cetc HTTP/1.1\r\nHost: a\r\n\r\n", 404, OPEN),
        ("GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400, OPEN),
        ("GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400, OPEN),
        ("GET /%c0%ae%c0%ae/etc HTTP/1.1\r\nHost: a\r\n\r\n", 400, OPEN),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, OPEN),
    ]);
}

#[test]
fn redirection_names_the_directory_encoded() {
    let (text, _) = answer(b"GET /docs/caf%C3%A9%20au%20lait HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        text,
        "HTTP/1.1 301 Moved Permanently\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Connection: keep-alive\r\nLocation: /docs/caf%C3%A9%20au%20lait/\r\n\
         Content-Length: 0\r\n\r\n"
    );
}

#[test]
fn bounds_of_heads() {
    let target = |n: usize| {
        std::format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n - 1)).into_bytes()
    };
    assert_eq!(status(&target(TARGET_BYTES_MAX)), (404, OPEN));
    assert_eq!(status(&target(TARGET_BYTES_MAX + 1)), (414, CLOSED));
    assert_eq!(status(&target(HEAD_BYTES_MAX * 2)), (414, CLOSED));
    let lines = |n: usize| {
        let lines = "A: b\r\n".repeat(n - 1);
        std::format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
    };
    assert_eq!(status(&lines(HEADERS_MAX)), (200, OPEN));
    assert_eq!(status(&lines(HEADERS_MAX + 1)), (431, CLOSED));
    assert_eq!(status(&lines(5000)), (431, CLOSED));
    let long = std::format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}", "b".repeat(HEAD_BYTES_MAX));
    assert_eq!(status(long.as_bytes()), (431, CLOSED));
}

#[test]
fn conditions_give_304_and_412() {
    let get = |method: &str, field: &str| {
        answer(std::format!("{method} / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").as_bytes()).0
    };
    let not_modified = std::format!(
        "HTTP/1.1 304 Not Modified\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Connection: keep-alive\r\nETag: {ETAG}\r\nLast-Modified: Sat, 05 Nov 1994 08:49:37 GMT\r\n\r\n"
    );
    for method in ["GET", "HEAD"] {
        assert_eq!(get(method, &std::format!("If-None-Match: W/{ETAG}")), not_modified);
        let since = "If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT";
        assert_eq!(get(method, since), not_modified);
        assert!(get(method, "If-None-Match: \"6-2a\"").starts_with("HTTP/1.1 200"));
        assert!(get(method, "If-Match: \"6-2a\"").starts_with("HTTP/1.1 412"));
    }
    assert!(get("POST", "If-None-Match: *").starts_with("HTTP/1.1 405"));
}

#[test]
fn head_gets_what_get_would_without_the_body() {
    for path in ["/", "/big", "/nowhere", "/docs", "/empty"] {
        let ask = |method| {
            answer(std::format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).0
        };
        let (get, head) = (ask("GET"), ask("HEAD"));
        let end = get.find("\r\n\r\n").unwrap() + 4;
        assert_eq!(head, get[..end], "{path}");
    }
}

#[test]
fn method_not_allowed_says_what_is() {
    let (text, _) = answer(b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
}

#[test]
fn answers_are_counted_by_status() {
    let mut d = driver();
    d.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    d.send_all(1460);
    d.ack_all();
    d.deliver(b"\x16\x03");
    let stats = *d.app.stats();
    assert_eq!((stats.connections, stats.requests), (1, 3));
    for status in [Status::Ok, Status::NotFound, RequestError::ControlByte.status()] {
        assert_eq!(stats.responses_with(status), 1);
    }
    assert_eq!(stats.responses.iter().sum::<u64>(), 3);
    assert_eq!(stats.response_bytes, d.acked);
}
