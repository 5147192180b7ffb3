//! The file server without a stack: requests in, bytes out.

mod statuses;
mod streams;
mod time;

use super::harness::Driver;
use super::*;
use crate::server::bodies::pattern_fill;
use std::string::String;

/// 1994-11-06 08:49:37, the second of the RFC's examples.
pub(super) const NOW: u64 = 784_111_777;
const MODIFIED: u64 = NOW - 86_400;
pub(super) const ETAG: &str = "\"5-2a\"";
pub(super) const BIG: u64 = 100_000;

pub(super) fn file(path: &str, len: u64, file: FileId) -> FileInfo<'_> {
    FileInfo { path, content_type: "text/plain", modified: MODIFIED, version: 42, len, file }
}

pub(super) fn site() -> (Catalogue, MemoryBodies) {
    let mut bodies = MemoryBodies::new();
    let mut builder = Catalogue::builder(7);
    for (path, body) in [
        ("/index.html", &b"home!"[..]),
        ("/empty", b""),
        ("/docs/index.html", b"docs."),
        ("/docs/caf\u{e9} au lait/index.html", b"milk."),
        ("/a b", b"blank"),
        ("/%2e", b"perc."),
    ] {
        let id = bodies.add_bytes(body);
        builder.add_file(file(path, body.len() as u64, id)).unwrap();
    }
    let id = bodies.add_pattern(9, BIG);
    builder.add_file(file("/big", BIG, id)).unwrap();
    (builder.build(), bodies)
}

pub(super) fn driver_with(config: ServerConfig) -> Driver<FileServer<MemoryBodies>> {
    let (catalogue, bodies) = site();
    Driver::new(FileServer::new(catalogue, bodies, config), NOW)
}

pub(super) fn driver() -> Driver<FileServer<MemoryBodies>> {
    driver_with(ServerConfig::default())
}

/// What a fresh server answers to `bytes`, and whether it then ends its direction.
pub(super) fn answer(bytes: &[u8]) -> (String, bool) {
    let mut d = driver();
    d.deliver(bytes);
    let mut all = Vec::new();
    loop {
        let sent = d.send_all(1460);
        if sent.is_empty() {
            break;
        }
        all.extend(sent);
        d.retransmit_all(100);
        d.ack_all();
    }
    (String::from_utf8_lossy(&all).into_owned(), d.ended)
}

/// The head of a 200 with `len` bytes.
pub(super) fn head_of_200(len: u64, connection: &str) -> String {
    std::format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: {connection}\r\n\
         Content-Type: text/plain\r\nContent-Length: {len}\r\nETag: \"{len:x}-2a\"\r\n\
         Last-Modified: Sat, 05 Nov 1994 08:49:37 GMT\r\n\r\n"
    )
}

pub(super) fn big_body() -> Vec<u8> {
    let mut body = alloc::vec![0; BIG as usize];
    pattern_fill(9, 0, &mut body);
    body
}

#[test]
fn a_get_is_answered_byte_for_byte() {
    let (text, ended) = answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(text, head_of_200(5, "keep-alive") + "home!");
    assert!(!ended);
    let (text, ended) = answer(b"GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(text, head_of_200(0, "close     "));
    assert!(ended);
}

#[test]
fn pinned_fields_are_within_reach_and_where_the_head_says() {
    let (catalogue, _) = site();
    for item in catalogue.files() {
        let at = usize::from(Status::Ok.date_at());
        assert!(item.head[..at].ends_with(b"Date: "));
        let at = usize::from(Status::Ok.connection_at());
        assert!(item.head[..at].ends_with(b"Connection: "));
        assert!(at + 10 < Pin::REACH);
        assert!(item.total_len >= item.head.len() as u64);
    }
}

#[test]
fn catalogue_refuses_what_cannot_be_asked_for() {
    let mut builder = Catalogue::builder(0);
    for path in ["", "a", "/", "/a/", "//a", "/./a", "/a/..", "/a\0", "/a\r\n", "/a\\b"] {
        let refused = builder.add_file(file(path, 0, FileId(0)));
        assert_eq!(refused, Err(CatalogueError::BadPath { path: path.into() }));
    }
    let long = String::from("/") + &"a".repeat(4000);
    assert!(matches!(
        builder.add_file(file(&long, 0, FileId(0))),
        Err(CatalogueError::BadPath { .. })
    ));
    for kind in ["", "a\r\nb", "\u{e9}", &"x".repeat(256)] {
        let info = FileInfo { content_type: kind, ..file("/a", 0, FileId(0)) };
        assert_eq!(
            builder.add_file(info),
            Err(CatalogueError::BadContentType { path: "/a".into() })
        );
    }
    assert_eq!(builder.add_file(file("/a", 0, FileId(0))), Ok(()));
    let again = builder.add_file(file("/a", 0, FileId(0)));
    assert_eq!(again, Err(CatalogueError::Doubled { path: "/a".into() }));
    assert_eq!(builder.build().len(), 1);
}

#[test]
fn every_name_of_a_large_catalogue_is_found_and_no_other() {
    let mut builder = Catalogue::builder(3);
    for i in 0..5000u32 {
        builder.add_file(file(&std::format!("/f{i}.bin"), u64::from(i), FileId(i))).unwrap();
    }
    let catalogue = builder.build();
    for i in 0..5000 {
        let found = catalogue.lookup(std::format!("/f{i}.bin").as_bytes()).unwrap();
        assert_eq!(catalogue.entry(found).unwrap().file, FileId(i));
    }
    assert_eq!(catalogue.lookup(b"/f5000.bin"), None);
    assert_eq!(catalogue.lookup(b"/f1.bi"), None);
    assert_eq!(catalogue.lookup(b""), None);
}

#[test]
fn a_file_takes_the_name_that_would_redirect() {
    let mut builder = Catalogue::builder(3);
    builder.add_file(file("/d/index.html", 1, FileId(1))).unwrap();
    builder.add_file(file("/d", 2, FileId(2))).unwrap();
    builder.add_file(file("/e", 3, FileId(3))).unwrap();
    builder.add_file(file("/e/index.html", 4, FileId(4))).unwrap();
    let catalogue = builder.build();
    let len = |path: &str| {
        let e = catalogue.entry(catalogue.lookup(path.as_bytes()).unwrap()).unwrap();
        (e.status, e.body_len())
    };
    assert_eq!(len("/d"), (Status::Ok, 2));
    assert_eq!(len("/d/"), (Status::Ok, 1));
    assert_eq!(len("/e"), (Status::Ok, 3));
    assert_eq!(len("/e/"), (Status::Ok, 4));
}

#[test]
fn replaced_catalogue_serves_the_next_request_and_old_answers_end_as_they_began() {
    let mut d = driver();
    d.deliver(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut first = d.send(5000);
    d.ack(3000);
    let id = d.app.content().bodies_mut().add_bytes(&b"new"[..]);
    let mut builder = Catalogue::builder(1);
    builder.add_file(file("/big", 3, id)).unwrap();
    let before = d.app.object(0);
    d.app.replace_catalogue(builder.build()).unwrap();
    assert_ne!(d.app.object(0), before, "object numbers are not used again");
    d.deliver(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(d.app.old_generations(), 1);
    let rest = d.send_all(1460);
    first.extend(rest);
    let head = head_of_200(BIG, "keep-alive").into_bytes();
    assert_eq!(first[..head.len()], head);
    assert!(first[head.len()..].starts_with(&big_body()));
    assert!(first.ends_with(b"\r\n\r\nnew"));
    d.retransmit_all(700);
    d.ack_all();
    assert_eq!(d.app.old_generations(), 0);
}

#[test]
fn connection_that_breaks_off_lets_its_generation_go() {
    let mut d = driver();
    d.deliver(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    d.deliver(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    d.app.replace_catalogue(Catalogue::builder(1).build()).unwrap();
    assert_eq!(d.app.old_generations(), 1);
    d.close(CloseReason::Reset);
    assert_eq!(d.app.old_generations(), 0);
    assert_eq!(d.app.stats().cut_off, 1);
}

#[test]
fn longest_names_fit_what_was_allocated_at_start() {
    let directory = std::format!("/{}/", "\u{7f8a}".repeat(880));
    let mut builder = Catalogue::builder(1);
    let path = directory.clone() + "index.html";
    builder.add_file(file(&path, 0, FileId(0))).unwrap();
    let server = FileServer::new(builder.build(), MemoryBodies::new(), ServerConfig::default());
    let mut d = Driver::new(server, NOW);
    let room = (d.app.scratch.capacity(), d.app.path_scratch.capacity());
    let encoded = "%E7%BE%8A".repeat(880);
    d.deliver(std::format!("GET /{encoded} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    let text = String::from_utf8(d.send_all(1460)).unwrap();
    assert!(text.starts_with("HTTP/1.1 301 "), "{text}");
    assert!(text.contains(&std::format!("\r\nLocation: /{encoded}/\r\n")));
    d.ack_all();
    for request in ["GET /%2e/x", "HEAD /", "PUT /"] {
        d.deliver(std::format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        d.send_all(1460);
        d.ack_all();
    }
    assert_eq!((d.app.scratch.capacity(), d.app.path_scratch.capacity()), room);
}
