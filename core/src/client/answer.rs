//! One answer, taken apart as it comes.

use crate::http::head::{HEAD_BYTES_MAX, Progress, find_end};

/// Field lines of an answer at most.
const HEADERS_MAX: usize = 32;

/// What came is no answer that this client can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

/// The answer to the oldest request, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Bytes of the head that need no second look.
    scanned: u16,
    pub(super) status: u16,
    /// Bytes of the body, by `Content-Length`.
    pub(super) len: u64,
    /// Bytes of the body seen.
    pub(super) read: u64,
    pub(super) has_head: bool,
    /// Status or length are not the expected ones: the body is skipped.
    pub(super) wrong_head: bool,
    /// Something of it was not as expected.
    pub(super) is_wrong: bool,
    /// It said `Connection: close`.
    pub(super) close: bool,
}

impl Answer {
    /// Reads the head at the start of `bytes`, if it is whole. How many bytes it had; 0 while it
    /// goes on.
    pub(super) fn read_head(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match find_end(bytes, self.scanned, HEAD_BYTES_MAX) {
            Ok(Progress::NeedMore { scanned }) => {
                self.scanned = scanned;
                Ok(0)
            }
            Ok(Progress::Complete { len }) => {
                self.parse(bytes.get(..len).unwrap_or(bytes))?;
                self.has_head = true;
                Ok(len)
            }
            Err(_) => Err(Fault),
        }
    }

    fn parse(&mut self, head: &[u8]) -> Result<(), Fault> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut lines);
        if !response.parse(head).is_ok_and(|s| s.is_complete()) {
            return Err(Fault);
        }
        self.status = response.code.ok_or(Fault)?;
        let mut len = None;
        for line in response.headers.iter() {
            if line.name.eq_ignore_ascii_case("content-length") {
                let text = core::str::from_utf8(line.value).map_err(|_| Fault)?;
                let n = text.parse::<u64>().map_err(|_| Fault)?;
                if len.replace(n).is_some() {
                    return Err(Fault);
                }
            } else if line.name.eq_ignore_ascii_case("connection") {
                let options = line.value.split(|b| *b == b',');
                self.close |=
                    options.into_iter().any(|o| o.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if line.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(Fault);
            }
        }
        self.len = match (self.status, len) {
            // RFC 9112 §6.3: these have no content, whatever they say.
            (100..=199, _) => return Err(Fault),
            (204 | 304, _) => 0,
            (_, Some(n)) => n,
            (_, None) => return Err(Fault),
        };
        Ok(())
    }

    /// Bytes of the body still to come.
    pub(super) fn left(&self) -> u64 {
        self.len.saturating_sub(self.read)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.has_head && self.left() == 0
    }
}
