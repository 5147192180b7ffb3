//! From the path of a target to the name looked up in the catalogue.
//!
//! The name is looked up in a table and nowhere else: no path reaches a file system. Still, one
//! thing has one name here. Dot segments are resolved after decoding, empty segments dropped;
//! what is decoded is never decoded again.
//!
//! - 400: what is no path (a bad `%`, a control byte, bytes that are not UTF-8) and what would
//!   climb above the root.
//! - 404: a path that is well formed and whose decoded segment holds `/` or `\`: no name here does.

use super::bytes::{self, PLAIN};
use alloc::vec::Vec;

/// Why a path has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It is no path: 400.
    Malformed,
    /// It leads above the root: 400.
    AboveRoot,
    /// No name can be meant: 404.
    NoName,
}

/// The name that a target means. It starts with `/`; a query is cut off. Plain paths come back as
/// they are; others are written to `scratch`, never more bytes than the path has.
pub fn normalise<'a>(target: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    let plain = plain_len(target);
    match target.get(plain..) {
        Some([] | [b'?', ..]) if plain > 0 => return Ok(target.get(..plain).unwrap_or(target)),
        _ => {}
    }
    let path = target.split(|b| *b == b'?').next().unwrap_or(target);
    let Some((b'/', rest)) = path.split_first() else {
        return Err(PathError::Malformed);
    };
    scratch.clear();
    let mut foreign = false;
    let mut segments = rest.split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let mark = scratch.len();
        scratch.push(b'/');
        foreign |= decode(segment, scratch)?;
        let is_directory = match scratch.get(mark + 1..) {
            Some(b"" | b".") => {
                scratch.truncate(mark);
                true
            }
            Some(b"..") => {
                scratch.truncate(mark);
                let parent = scratch.iter().rposition(|b| *b == b'/');
                scratch.truncate(parent.ok_or(PathError::AboveRoot)?);
                true
            }
            _ => false,
        };
        if is_directory && segments.peek().is_none() {
            scratch.push(b'/');
        }
    }
    if core::str::from_utf8(scratch).is_err() {
        return Err(PathError::Malformed);
    }
    if foreign { Err(PathError::NoName) } else { Ok(scratch) }
}

/// Bytes at the start of a path that are a name as they stand: visible ASCII without `%`, `\\`,
/// `#`, `?`, and with neither an empty segment nor one that starts with a dot.
fn plain_len(path: &[u8]) -> usize {
    if path.first() != Some(&b'/') {
        return 0;
    }
    let mut before = b'/';
    let mut n = 1;
    for &b in path.get(1..).unwrap_or(&[]) {
        if !bytes::is(b, PLAIN) && !((b == b'/' || b == b'.') && before != b'/') {
            break;
        }
        before = b;
        n += 1;
    }
    n
}

/// Appends a segment, percent-decoded once. Says whether a separator came out of it.
fn decode(segment: &[u8], out: &mut Vec<u8>) -> Result<bool, PathError> {
    let mut foreign = false;
    let mut rest = segment;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        let byte = match b {
            b'%' => {
                let ([high, low], after) =
                    rest.split_first_chunk::<2>().ok_or(PathError::Malformed)?;
                rest = after;
                let (high, low) = (hex(*high)?, hex(*low)?);
                let byte = high << 4 | low;
                foreign |= byte == b'/' || byte == b'\\';
                byte
            }
            b'\\' | b'#' | b'?' | 0x80.. => return Err(PathError::Malformed),
            _ => b,
        };
        if byte.is_ascii_control() {
            return Err(PathError::Malformed);
        }
        out.push(byte);
    }
    Ok(foreign)
}

fn hex(digit: u8) -> Result<u8, PathError> {
    (digit as char).to_digit(16).map(|n| n as u8).ok_or(PathError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathError::{AboveRoot, Malformed, NoName};
    use proptest::prelude::*;
    use std::string::String;

    fn name(path: &str) -> Result<String, PathError> {
        let mut scratch = Vec::new();
        normalise(path.as_bytes(), &mut scratch).map(|n| String::from_utf8(n.to_vec()).unwrap())
    }

    #[test]
    fn one_thing_has_one_name() {
        for (path, meant) in [
            ("/", "/"),
            ("/a.txt", "/a.txt"),
            ("//", "/"),
            ("//a///b", "/a/b"),
            ("/./a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/a%2e%2E/b", "/a../b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%41%7e", "/A~"),
            ("/caf%C3%A9", "/café"),
            ("/a%20b", "/a b"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/..a/.b", "/..a/.b"),
            ("/a%3fb%23", "/a?b#"),
            ("/a?b", "/a"),
            ("/?/../..", "/"),
            ("/a/..?%", "/"),
            ("/%41?\u{e9}", "/A"),
        ] {
            assert_eq!(name(path).as_deref(), Ok(meant), "{path}");
        }
    }

    #[test]
    fn no_encoding_of_a_traversal_leaves_the_root() {
        for (path, fault) in [
            ("/..", AboveRoot),
            ("/../etc/passwd", AboveRoot),
            ("/a/../../etc/passwd", AboveRoot),
            ("/%2e%2e/etc/passwd", AboveRoot),
            ("/%2E./etc/passwd", AboveRoot),
            ("//../etc/passwd", AboveRoot),
            ("/./../etc/passwd", AboveRoot),
            ("/..%2fetc/passwd", NoName),
            ("/%2e%2e%2fetc%2fpasswd", NoName),
            ("/..%5cetc", NoName),
            ("/a/..%5c..%5cetc", NoName),
            ("/..\\etc", Malformed),
            ("/\\etc", Malformed),
            ("/a%00.html", Malformed),
            ("/..%00/", Malformed),
            ("/%0d%0aSet-Cookie:x", Malformed),
            ("/%c0%ae%c0%ae/etc", Malformed),
            ("/%e0%80%ae%e0%80%ae/etc", Malformed),
            ("/%c0%af", Malformed),
            ("/%ff", Malformed),
            ("/%", Malformed),
            ("/%2", Malformed),
            ("/%zz", Malformed),
            ("/%+1", Malformed),
            ("/%u002e", Malformed),
            ("/a#b", Malformed),
            ("", Malformed),
            ("etc/passwd", Malformed),
        ] {
            assert_eq!(name(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn what_is_decoded_is_not_decoded_again() {
        assert_eq!(name("/%252e%252e/etc").as_deref(), Ok("/%2e%2e/etc"));
        assert_eq!(name("/%25%32%65").as_deref(), Ok("/%2e"));
    }

    fn paths() -> impl Strategy<Value = String> {
        const PARTS: [&str; 13] = [
            "/", ".", "..", "%2e", "%2F", "%5c", "%25", "a", "%", "%00", "%c3%a9", "%c0%ae", "b.c",
        ];
        let part = proptest::sample::select(&PARTS[..]);
        proptest::collection::vec(part, 0..16).prop_map(|p| std::format!("/{}", p.concat()))
    }

    proptest! {
        #[test]
        fn a_name_has_neither_dots_nor_empty_segments(path in paths()) {
            let mut scratch = Vec::with_capacity(path.len());
            let room = scratch.capacity();
            if let Ok(name) = normalise(path.as_bytes(), &mut scratch) {
                let name = String::from_utf8(name.to_vec()).unwrap();
                prop_assert!(name.starts_with('/') && name.len() <= path.len());
                let inner = name[1..].strip_suffix('/').unwrap_or(&name[1..]);
                if !inner.is_empty() {
                    for segment in inner.split('/') {
                        prop_assert!(!["", ".", ".."].contains(&segment), "{} -> {}", path, name);
                    }
                }
            }
            prop_assert_eq!(scratch.capacity(), room, "no allocation");
        }

        #[test]
        fn plain_paths_would_come_out_the_same_the_slow_way(path in "/[!-~]{0,20}") {
            if plain_len(path.as_bytes()) == path.len() {
                // A first segment that the fast way does not take.
                let slow = name(&std::format!("/.{path}"));
                prop_assert_eq!(slow.as_deref(), Ok(path.as_str()));
            }
        }

        #[test]
        fn arbitrary_bytes_are_named_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = normalise(&bytes, &mut Vec::new());
        }
    }
}
