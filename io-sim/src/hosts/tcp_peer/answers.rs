//! What a client asks, and whether what comes is the answer.
//!
//! Reads HTTP/1.1 as far as needed: a status line, `Content-Length`, a body. Must not know TCP: it is given the
//! bytes of a stream by offset.

use simoom_core::server::bodies::pattern_fill;
use std::sync::Arc;

/// Bytes of the head of an answer at most.
const HEAD_MAX: usize = 8192;

/// Bytes that are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Those of [`pattern_fill`] under a seed.
    Pattern {
        /// The seed.
        seed: u64,
        /// How many.
        len: u64,
    },
    /// These.
    Bytes(Arc<[u8]>),
    /// So many, or (None) as many as the head says; not compared.
    Any(Option<u64>),
}

impl Body {
    fn len(&self) -> Option<u64> {
        match self {
            Self::Pattern { len, .. } => Some(*len),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Any(len) => *len,
        }
    }

    /// Whether `bytes` are those from `offset` on. Not more than there are.
    fn check(&self, offset: u64, bytes: &[u8]) -> bool {
        match self {
            Self::Pattern { seed, .. } => {
                let mut expected = [0; 512];
                let mut at = offset;
                bytes.chunks(expected.len()).all(|part| {
                    let expected = &mut expected[..part.len()];
                    pattern_fill(*seed, at, expected);
                    at += part.len() as u64;
                    part == expected
                })
            }
            Self::Bytes(body) => body.get(offset as usize..).is_some_and(|b| b.starts_with(bytes)),
            Self::Any(_) => true,
        }
    }
}

/// What should come for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An answer of HTTP/1.1 with this status, a `Content-Length`, and this body.
    Http(u16, Body),
    /// These bytes and nothing else. One without a length goes on for ever.
    Stream(Body),
}

/// Bytes to send, and what should come for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is sent.
    pub bytes: Arc<[u8]>,
    /// What should come.
    pub expected: Expected,
}

impl Request {
    /// `GET path`, to be answered with 200 and this body.
    pub fn get(path: &str, body: Body) -> Self {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: sim\r\n\r\n").into_bytes().into();
        Self { bytes, expected: Expected::Http(200, body) }
    }

    /// `GET path` with `Connection: close`.
    pub fn get_and_close(path: &str, body: Body) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n");
        Self { bytes: head.into_bytes().into(), expected: Expected::Http(200, body) }
    }
}

/// What was wrong with what came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrongs {
    /// Runs of bytes that differ from the expected.
    pub bytes: u64,
    /// Answers with another status.
    pub status: u64,
    /// Answers of another length.
    pub length: u64,
    /// Streams that make no sense, or go on behind the last answer.
    pub malformed: u64,
}

impl Wrongs {
    /// Whether nothing was wrong.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Counts those of another.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.status += other.status;
        self.length += other.length;
        self.malformed += other.malformed;
    }
}

/// The answer that is expected now, as far as it has come.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    expected: Option<Expected>,
    /// Offset up to which the stream was read.
    at: u64,
    /// The head, until it is whole.
    head: Vec<u8>,
    /// Offsets of the stream: where the body begins and ends.
    body: Option<(u64, u64)>,
    /// Whether the body is compared.
    compared: bool,
    verify_one_in: u32,
    unverified: u32,
    /// Bytes of bodies so far.
    pub(crate) body_bytes: u64,
    /// What was wrong so far.
    pub(crate) wrongs: Wrongs,
    /// This answer was wrong.
    is_wrong: bool,
}

impl Answers {
    pub(crate) fn new(verify_one_in: u32) -> Self {
        Self {
            expected: None,
            at: 0,
            head: Vec::new(),
            body: None,
            compared: true,
            verify_one_in,
            unverified: 0,
            body_bytes: 0,
            wrongs: Wrongs::default(),
            is_wrong: false,
        }
    }

    /// A request was made: what comes from here on answers it.
    pub(crate) fn expect(&mut self, expected: Expected) {
        self.head.clear();
        self.is_wrong = false;
        self.compared = true;
        self.body = match &expected {
            Expected::Http(..) => None,
            Expected::Stream(body) => {
                Some((self.at, body.len().map_or(u64::MAX, |len| self.at + len)))
            }
        };
        self.expected = Some(expected);
    }

    /// The offset where the answer ends and whether it was right, once all of it was read.
    pub(crate) fn take_finished(&mut self, read: u64) -> Option<bool> {
        let (_, end) = self.body?;
        if self.at < end || read < end {
            return None;
        }
        self.expected = None;
        self.body = None;
        Some(!self.is_wrong)
    }

    /// Compares bytes that lie beyond a gap, if their place in the body is known. False where they have
    /// to be kept until the gap is filled.
    pub(crate) fn check_early(&mut self, first: u64, bytes: &[u8]) -> bool {
        match self.body {
            Some((from, end)) if first >= from && first + bytes.len() as u64 <= end => {
                self.compare(first - from, bytes);
                true
            }
            _ => false,
        }
    }

    /// Reads on: bytes that were compared before.
    pub(crate) fn skip(&mut self, n: u64) {
        self.at += n;
        self.body_bytes += n;
    }

    /// Reads on.
    #[inline]
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.body {
                Some((from, end)) if self.at < end => {
                    let n = (end - self.at).min(bytes.len() as u64) as usize;
                    self.compare(self.at - from, &bytes[..n]);
                    self.body_bytes += n as u64;
                    n
                }
                None if self.expected.is_some() => self.read_head(bytes),
                _ => {
                    // Nothing more was asked for.
                    self.wrongs.malformed += 1;
                    bytes.len()
                }
            };
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    #[inline]
    fn compare(&mut self, offset: u64, bytes: &[u8]) {
        self.unverified += 1;
        if self.verify_one_in == 0 || self.unverified < self.verify_one_in || !self.compared {
            return;
        }
        self.unverified = 0;
        let Some(Expected::Http(_, body) | Expected::Stream(body)) = &self.expected else {
            return;
        };
        if !body.check(offset, bytes) {
            self.wrongs.bytes += 1;
            self.is_wrong = true;
        }
    }

    /// Takes bytes of the head, up to its end at most.
    fn read_head(&mut self, bytes: &[u8]) -> usize {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let Some(at) = self.head[from..].windows(4).position(|w| w == b"\r\n\r\n") else {
            if self.head.len() > HEAD_MAX {
                self.give_up();
            }
            return bytes.len();
        };
        let len = from + at + 4;
        let taken = len - before;
        self.head.truncate(len);
        let begin = self.at + taken as u64;
        match (parse_head(&self.head), &self.expected) {
            (Some((status, len)), Some(Expected::Http(want, body))) => {
                let wrong_status = status != *want;
                let wrong_length = !wrong_status && body.len().is_some_and(|l| l != len);
                self.wrongs.status += u64::from(wrong_status);
                self.wrongs.length += u64::from(wrong_length);
                self.compared = !wrong_status && !wrong_length;
                self.is_wrong |= !self.compared;
                self.body = Some((begin, begin + len));
            }
            _ => self.give_up(),
        }
        taken
    }

    fn give_up(&mut self) {
        self.wrongs.malformed += 1;
        self.is_wrong = true;
        self.compared = false;
        self.body = Some((self.at, u64::MAX));
    }
}

/// The status and the `Content-Length` of a head.
fn parse_head(head: &[u8]) -> Option<(u16, u64)> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut len = None;
    for line in lines {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            len = Some(value.trim().parse().ok()?);
        }
    }
    match status {
        204 | 304 => Some((status, 0)),
        _ => Some((status, len?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(seed: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        pattern_fill(seed, 0, &mut bytes);
        bytes
    }

    fn stream(seed: u64, len: u64) -> Vec<u8> {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: {len}\r\n\r\n").into_bytes();
        bytes.extend(pattern(seed, len));
        bytes
    }

    #[test]
    fn an_answer_is_read_in_any_pieces() {
        let bytes = stream(7, 100);
        for cut in 1..bytes.len() {
            let mut answers = Answers::new(1);
            answers.expect(Expected::Http(200, Body::Pattern { seed: 7, len: 100 }));
            for piece in bytes.chunks(cut) {
                assert_eq!(answers.take_finished(u64::MAX), None);
                answers.read(piece);
            }
            assert_eq!(answers.take_finished(bytes.len() as u64 - 1), None, "not read yet");
            assert_eq!(answers.take_finished(bytes.len() as u64), Some(true));
            assert!(answers.wrongs.is_none() && answers.body_bytes == 100);
        }
    }

    #[test]
    fn each_wrong_is_counted_as_what_it_is() {
        let expect = |status, body, bytes: &[u8]| {
            let mut answers = Answers::new(1);
            answers.expect(Expected::Http(status, body));
            answers.read(bytes);
            assert_ne!(answers.take_finished(u64::MAX), Some(true));
            answers.wrongs
        };
        let body = || Body::Pattern { seed: 7, len: 100 };
        let none = Wrongs::default();
        assert_eq!(expect(404, body(), &stream(7, 100)), Wrongs { status: 1, ..none });
        assert_eq!(expect(200, body(), &stream(7, 99)), Wrongs { length: 1, ..none });
        assert_eq!(expect(200, body(), &stream(8, 100)), Wrongs { bytes: 1, ..none });
        assert_eq!(
            expect(200, body(), b"HTTP/1.0 200 OK\r\n\r\n"),
            Wrongs { malformed: 1, ..none }
        );
        assert_eq!(expect(200, body(), &[b'x'; HEAD_MAX + 1]), Wrongs { malformed: 1, ..none });
        let mut wrong = stream(7, 100);
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(expect(200, body(), &wrong), Wrongs { bytes: 1, ..none });
    }

    #[test]
    fn bytes_behind_the_last_answer_are_malformed() {
        let mut answers = Answers::new(1);
        answers.expect(Expected::Http(200, Body::Any(None)));
        answers.read(&stream(1, 5));
        answers.read(b"more");
        assert_eq!(answers.wrongs.malformed, 1);
    }

    #[test]
    fn what_lies_beyond_a_gap_is_compared_where_its_place_is_known() {
        let bytes = stream(7, 100);
        let head = bytes.len() - 100;
        let mut answers = Answers::new(1);
        answers.expect(Expected::Http(200, Body::Pattern { seed: 7, len: 100 }));
        assert!(!answers.check_early(head as u64 + 10, &bytes[head + 10..]));
        answers.read(&bytes[..head + 10]);
        assert!(!answers.check_early(head as u64 + 50, &[0; 51]), "beyond the end");
        assert!(answers.check_early(head as u64 + 50, &bytes[head + 50..]));
        assert!(answers.wrongs.is_none());
        assert!(answers.check_early(head as u64 + 50, &bytes[head + 49..head + 99]));
        assert_eq!(answers.wrongs.bytes, 1);
    }

    #[test]
    fn one_in_so_many_segments_is_compared() {
        let mut answers = Answers::new(3);
        answers.expect(Expected::Stream(Body::Pattern { seed: 7, len: 1000 }));
        for _ in 0..9 {
            answers.read(&[0; 100]);
        }
        assert_eq!(answers.wrongs.bytes, 3);
        let mut answers = Answers::new(0);
        answers.expect(Expected::Stream(Body::Pattern { seed: 7, len: 1000 }));
        answers.read(&[0; 1000]);
        assert_eq!(answers.take_finished(1000), Some(true));
    }
}
