//! Heads of HTTP answers: what ours says beside what the captured server said. RFC 9112 §4, §5, §6.
//!
//! Knows octets only. [`Captured`] finds the heads in the captured server's stream, one answer after
//! the other; [`compare`] lays two heads side by side.

use std::io;

/// Octets of a head, at most: a longer one is not read.
pub const HEAD_MAX: usize = 16 << 10;

/// Fields that differ and are told of one answer, at most.
pub const FIELDS_MAX: usize = 8;

/// Octets of a value that are told, at most.
const VALUE_MAX: usize = 80;

/// Chunks of one answer, at most: what follows an answer of more is not read.
const CHUNKS_MAX: u32 = 1 << 16;

/// Fields that each server words in its own way: only whether they are there is compared.
const OWN_WORDS: [&str; 3] = ["date", "etag", "server"];

/// A field whose value differs, or that one of both leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its name, in lower case.
    pub name: String,
    /// What ours says, the beginning of it.
    pub ours: Option<String>,
    /// What the captured server said.
    pub theirs: Option<String>,
}

/// Two heads that are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadDifference {
    /// Which answer of the connection, from 1.
    pub answer: u32,
    /// The status that ours has, and the captured one.
    pub status: [u16; 2],
    /// What differs in the fields, by name; at most [`FIELDS_MAX`].
    pub fields: Vec<FieldDifference>,
    /// Fields that differ and are not listed.
    pub fields_more: u32,
    /// Octets of both answers, as far as they are known: ours, and the captured one.
    pub len: [Option<u64>; 2],
}

impl HeadDifference {
    /// Whether what follows stands at other places of the stream: it cannot be compared.
    pub fn moves_the_rest(&self) -> bool {
        self.len[0] != self.len[1]
    }
}

/// A head, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The three digits.
    pub status: u16,
    /// Names as they are and values without the space around them.
    pub fields: Vec<(&'a str, &'a str)>,
}

/// Where a head at the beginning of `octets` ends.
pub fn end_of_head(octets: &[u8]) -> Option<usize> {
    octets.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Takes a head apart; None for what is none of HTTP/1.0 or 1.1.
pub fn parse(head: &[u8]) -> Option<Head<'_>> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let rest = lines.next()?.strip_prefix("HTTP/1.")?;
    let (minor, rest) = rest.split_once(' ')?;
    let digits = rest.get(..3)?;
    if !matches!(minor, "0" | "1") || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fields = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name, value.trim_matches([' ', '\t'])))
    });
    Some(Head { status: digits.parse().ok()?, fields: fields.collect::<Option<_>>()? })
}

impl Head<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Every value of a name, in order, as one. RFC 9110 §5.3.
    fn value(&self, name: &str) -> Option<String> {
        let all = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let all: Vec<_> = all.map(|(_, value)| *value).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// What differs between two heads that are the answer of this number, of so many octets.
pub fn compare(
    answer: u32,
    ours: &Head<'_>,
    theirs: &Head<'_>,
    len: [Option<u64>; 2],
) -> Option<HeadDifference> {
    let mut names: Vec<String> =
        ours.fields.iter().chain(&theirs.fields).map(|(n, _)| n.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let (mut fields, mut fields_more) = (Vec::new(), 0);
    for name in names {
        let (mine, other) = (ours.value(&name), theirs.value(&name));
        let same = match (&mine, &other) {
            (Some(mine), Some(other)) => {
                OWN_WORDS.contains(&name.as_str())
                    || mine == other
                    || (name == "connection" && mine.eq_ignore_ascii_case(other))
            }
            _ => false,
        };
        // HTTP/1.1 keeps connections without being asked to: saying so says nothing.
        let says_nothing = name == "connection" && {
            let said = mine.as_deref().xor(other.as_deref());
            said.is_some_and(|said| said.eq_ignore_ascii_case("keep-alive"))
        };
        if same || says_nothing {
            continue;
        }
        if fields.len() < FIELDS_MAX {
            let short = |value: Option<String>| value.map(|v| v.chars().take(VALUE_MAX).collect());
            let name = name.chars().take(VALUE_MAX).collect();
            fields.push(FieldDifference { name, ours: short(mine), theirs: short(other) });
        } else {
            fields_more += 1;
        }
    }
    let status = [ours.status, theirs.status];
    let differs = status[0] != status[1] || !fields.is_empty();
    differs.then_some(HeadDifference { answer, status, fields, fields_more, len })
}

/// The captured server's stream, answer by answer.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// Where the next answer begins; None where that is not known.
    lost: bool,
    at: u64,
}

/// Octets of a stream from an offset on, as many as there are; 0 where they are not known.
pub type ReadStream<'a> = dyn FnMut(u64, &mut [u8]) -> io::Result<usize> + 'a;

impl Captured {
    /// The head of the next answer, and how many octets the answer has, where its head tells.
    /// `to_head`: HEAD was asked. None where it cannot be read, and from there on.
    ///
    /// # Errors
    /// What reading answers.
    pub fn next(
        &mut self,
        to_head: bool,
        read: &mut ReadStream<'_>,
    ) -> io::Result<Option<(Vec<u8>, Option<u64>)>> {
        loop {
            if self.lost {
                return Ok(None);
            }
            let mut octets = vec![0; HEAD_MAX];
            let n = read(self.at, &mut octets)?;
            octets.truncate(n);
            let Some(end) = end_of_head(&octets) else {
                self.lost = true;
                return Ok(None);
            };
            octets.truncate(end);
            let Some(head) = parse(&octets) else {
                self.lost = true;
                return Ok(None);
            };
            let body_at = self.at + end as u64;
            let bare = to_head || head.status < 200 || matches!(head.status, 204 | 304);
            let chunked = head
                .value("transfer-encoding")
                .map(|v| v.to_ascii_lowercase().ends_with("chunked"));
            let body_end = match (bare, chunked, head.get("content-length")) {
                (true, ..) => Some(body_at),
                (_, Some(true), _) => end_of_chunks(body_at, read)?,
                // Until the connection ends.
                (_, Some(false), _) | (_, None, None) => None,
                (_, None, Some(len)) => len.parse().ok().and_then(|n: u64| body_at.checked_add(n)),
            };
            let len = body_end.map(|end| end - self.at);
            let interim = head.status < 200 && head.status != 101;
            match body_end {
                Some(end) if head.status != 101 => self.at = end,
                _ => self.lost = true,
            }
            if !interim {
                return Ok(Some((octets, len)));
            }
        }
    }
}

/// Where a body in chunks ends, with its trailers. RFC 9112 §7.1.
fn end_of_chunks(mut at: u64, read: &mut ReadStream<'_>) -> io::Result<Option<u64>> {
    let mut line = [0; 256];
    for _ in 0..CHUNKS_MAX {
        let n = read(at, &mut line)?;
        let Some(end) = line[..n].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let digits = line[..end].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits]).ok();
        let Some(size) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else {
            return Ok(None);
        };
        at += end as u64 + 2;
        if size > 0 {
            let Some(next) = size.checked_add(2).and_then(|n| at.checked_add(n)) else {
                return Ok(None);
            };
            at = next;
            continue;
        }
        for _ in 0..CHUNKS_MAX {
            let n = read(at, &mut line)?;
            let Some(end) = line[..n].windows(2).position(|two| two == b"\r\n") else {
                return Ok(None);
            };
            at += end as u64 + 2;
            if end == 0 {
                return Ok(Some(at));
            }
        }
    }
    Ok(None)
}

/// Whether the first octets of a client read as a request of HTTP/1: RFC 9112 §3. They may be the
/// beginning of one only.
pub fn reads_as_request(octets: &[u8]) -> bool {
    let line = octets.split(|byte| *byte == b'\n').next().unwrap_or(octets);
    let whole = line.len() < octets.len();
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let method = words.next().unwrap_or(&[]);
    let is_method = (1..=20).contains(&method.len())
        && method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    let Some(target) = words.next().filter(|target| !target.is_empty()) else { return false };
    let version = words.next().unwrap_or(&[]);
    let version = version.strip_suffix(b"\r").unwrap_or(version);
    is_method
        && method != b"PRI"
        && target.iter().all(u8::is_ascii_graphic)
        && (!whole || matches!(version, b"HTTP/1.1" | b"HTTP/1.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(stream: &[u8], to_head: &[bool]) -> Vec<Option<(u16, Option<u64>)>> {
        let mut read = |at: u64, out: &mut [u8]| {
            let rest = stream.get(at as usize..).unwrap_or(&[]);
            let n = rest.len().min(out.len());
            out[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        };
        let mut captured = Captured::default();
        let mut next = |to_head| captured.next(to_head, &mut read).unwrap();
        let told = |(head, len): (Vec<u8>, _)| (parse(&head).unwrap().status, len);
        to_head.iter().map(|to_head| next(*to_head).map(told)).collect()
    }

    #[test]
    fn answers_are_found_one_after_the_other_however_their_bodies_end() {
        let stream = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde\
            HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n\
            HTTP/1.1 304 Not Modified\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nz\r\n0\r\nT: u\r\n\r\n\
            HTTP/1.0 404 Not Found\r\n\r\nuntil the end";
        let found = walk(stream, &[false, true, false, false, false, false]);
        let statuses: Vec<_> = found.iter().map(|one| one.map(|(status, _)| status)).collect();
        assert_eq!(statuses, [Some(200), Some(200), Some(304), Some(200), Some(404), None]);
        assert_eq!(found[0].unwrap().1, Some(43));
        assert_eq!(found[4].unwrap().1, None);
    }

    #[test]
    fn what_is_no_answer_ends_the_walk_without_a_panic() {
        for stream in [
            &b""[..],
            b"\x16\x03\x01\r\n\r\n",
            b"HTTP/1.1 2",
            b"HTTP/1.1 \xff\xff\xff\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(walk(stream, &[false, false]), [None, None]);
        }
        for body in ["zz\r\n", "ffffffffffffffffff\r\n", "ffffffffffffffff\r\n", "5\r\nab"] {
            let stream = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert_eq!(walk(stream.as_bytes(), &[false, false]), [Some((200, None)), None]);
        }
        let absurd = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
        assert_eq!(walk(absurd, &[false, false]), [Some((200, None)), None]);
    }

    #[test]
    fn only_what_means_something_differs() {
        let ours =
            b"HTTP/1.1 200 OK\r\nDate: Mon\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n";
        let theirs = b"HTTP/1.1 200 Fine\r\ndate: Tue\r\nCONTENT-LENGTH:5\r\n\r\n";
        let (ours, theirs) = (parse(ours).unwrap(), parse(theirs).unwrap());
        assert_eq!(compare(1, &ours, &theirs, [Some(9), Some(9)]), None);
        let other = parse(b"HTTP/1.1 404 No\r\nServer: x\r\nContent-Length: 6\r\n\r\n").unwrap();
        let found = compare(3, &ours, &other, [Some(9), None]).unwrap();
        assert_eq!((found.answer, found.status, found.moves_the_rest()), (3, [200, 404], true));
        let names: Vec<_> = found.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["content-length", "date", "server"]);
    }

    #[test]
    fn requests_are_told_from_what_only_begins_like_one() {
        for yes in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"HEAD /a%20b HTTP/1.0\r\n", b"GET /lo"]
        {
            assert!(reads_as_request(yes));
        }
        for no in [
            &b""[..],
            b"GET",
            b"\x16\x03\x01\x02\x00\x01",
            b"PRI * HTTP/2.0\r\n\r\n",
            b"GET / HTTP/2\r\n",
            b"EHLO example.org\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
        ] {
            assert!(!reads_as_request(no), "{}", no.escape_ascii());
        }
    }
}
