//! `simoom content` over real directories: what is in the catalogue, and what must not be.

mod common;

use common::{TestDir, run, stderr, stdout};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

fn content(dir: &TestDir) -> (Value, String) {
    let output = run(&["content", dir.path().to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (serde_json::from_str(&stdout(&output)).expect("one JSON object"), stderr(&output))
}

fn paths(content: &Value) -> Vec<&str> {
    let objects = content["objects"].as_array().unwrap();
    let mut paths: Vec<_> = objects.iter().map(|o| o["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn no_link_leads_out_of_the_directory() {
    let outside = TestDir::new("outside");
    outside.file("secret.txt", b"secret");
    let dir = TestDir::new("inside");
    dir.file("page.html", b"page");
    dir.file("sub/deep.txt", b"deep");
    let secret = outside.path().join("secret.txt");
    symlink(&secret, dir.path().join("file-link.txt")).unwrap();
    symlink(outside.path(), dir.path().join("directory-link")).unwrap();
    symlink("../../../../../../etc", dir.path().join("relative-link")).unwrap();
    symlink("nowhere", dir.path().join("broken-link")).unwrap();
    // A link to a link that leads out, by way of the directory.
    symlink("../file-link.txt", dir.path().join("sub/second-link.txt")).unwrap();
    // A name that only begins like the directory's.
    let twin = TestDir::new("inside-twin");
    symlink(twin.file("twin.txt", b"twin"), dir.path().join("twin-link.txt")).unwrap();
    // These stay inside.
    symlink("page.html", dir.path().join("alias.html")).unwrap();
    symlink("sub", dir.path().join("sub-alias")).unwrap();
    // This one would go round in circles.
    symlink("..", dir.path().join("sub/up")).unwrap();

    let (content, said) = content(&dir);
    assert_eq!(
        paths(&content),
        ["/alias.html", "/page.html", "/sub-alias/deep.txt", "/sub/deep.txt"]
    );
    for wanted in [
        "file-link.txt: this link leads out",
        "directory-link: this link leads out",
        "second-link.txt: this link leads out",
        "twin-link.txt: this link leads out",
        "up: this link leads back up",
        "broken-link: ",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
    }
}

#[test]
fn names_of_any_kind_are_served_or_named_as_left_out() {
    let dir = TestDir::new("names");
    for name in ["with space.txt", "caf\u{e9}.html", "per%41cent", "..hidden", "a+b&c.txt"] {
        dir.file(name, b"x");
    }
    fs::write(dir.path().join(OsStr::from_bytes(b"not-\xff-utf8")), b"x").unwrap();
    dir.file("new\nline", b"x");
    let (content, said) = content(&dir);
    assert_eq!(
        paths(&content),
        ["/..hidden", "/a+b&c.txt", "/caf\u{e9}.html", "/per%41cent", "/with space.txt"]
    );
    assert!(said.contains("its name is not UTF-8"), "{said}");
    assert!(said.contains("cannot be the path of a file"), "{said}");
}

#[test]
fn the_table_adds_up() {
    let dir = TestDir::new("table");
    dir.file("a.bin", &[1; 22_000]);
    dir.file("b.bin", &[2; 10]);
    dir.file("empty", b"");
    let (content, said) = content(&dir);
    assert_eq!(said, "");
    let segments_of = |o: &Value| o["segments"].as_u64().unwrap();
    let objects = content["objects"].as_array().unwrap();
    // 22,000 bytes and a head of some 200 in pieces of 1,448; each of the others in one.
    assert_eq!(objects.iter().map(segments_of).collect::<Vec<_>>(), [16, 1, 1]);
    let variants = content["variants"].as_array().unwrap();
    let usual = variants.iter().find(|v| v["mss"] == 1460 && v["timestamps"] == true).unwrap();
    assert_eq!((segments_of(usual), &usual["text_bytes_max"]), (18, &Value::from(1_448)));
    let all: u64 = variants.iter().map(segments_of).sum();
    for (rows, segments) in [("memory_usual_variant", 18), ("memory_all_variants", all)] {
        for row in content[rows].as_array().unwrap() {
            let copies = if row["mode"] == "copies-in-advance:4" { 4 } else { 1 };
            assert_eq!(row["buffers"], segments * copies, "{row}");
            assert_eq!(row["buffer_bytes"], segments * copies * 2_048, "{row}");
            assert!(row["table_bytes"].as_u64().unwrap() > 0);
        }
    }

    let output = run(&["content", dir.path().to_str().unwrap(), "--objects", "1"]);
    let text = stdout(&output);
    for wanted in ["/a.bin", "and 2 more", "3 objects, 22.0 KB of bodies", "copies-on-demand"] {
        assert!(text.contains(wanted), "{wanted:?} is not in: {text}");
    }
}

#[test]
fn memory_of_a_port_is_that_of_all_its_shards() {
    let dir = TestDir::new("memory");
    dir.file("a.bin", &[1; 22_000]);
    let path = dir.path().to_str().unwrap();
    let port = ["--port", "vale0:srv@conf:slots=512", "--shards", "4"];
    let output = run(&[&["content", path, "--json"], &port[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let need = &json["netmap"];
    // 16 segments, a frame for each of 511 slots, and 64.
    assert_eq!(need["buffers_each"], 16 + 511 + 64);
    assert_eq!(need["extra_buffers"], 4 * 591);
    assert_eq!(need["buf_num"], 4 * 591 + 2 * 4 * 512 + 2);
    assert_eq!((&need["ring_num"], &need["parameter_prefix"]), (&8.into(), &"priv_".into()));
    let output = run(&[&["content", path], &port[..]].concat());
    let text = stdout(&output);
    for wanted in ["served by 4 shards", "591 for each shard", "6462  priv_buf_num at least"] {
        assert!(text.contains(wanted), "{wanted:?} is not in: {text}");
    }
    let output = run(&["content", path, "--port", "tap:t0"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = run(&["content", path, "--shards", "2"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
