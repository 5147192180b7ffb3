//! The body of a request: counted and dropped. RFC 9112 §6 and §7.1.
//!
//! Nobody here wants it, but its end must be found, or what comes after it is taken for a request.

use super::request::{Framing, RequestError};

/// Bytes of a body at most, the framing of chunks included. What is longer is answered at once,
/// and the connection closed.
pub const BODY_BYTES_MAX: u32 = 1 << 20;

/// How far a body has been consumed. Plain data of 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyReader {
    /// Bytes of the body, or of the chunk, that are still to come.
    left: u32,
    /// Bytes that may still come, framing in.
    budget: u32,
    state: State,
}

/// Where in a body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of a body with a length.
    Counted,
    /// The first digit of a chunk's size.
    Size,
    /// A further digit, or what ends them.
    SizeMore,
    /// White space before an extension or the line's end.
    SizeSpace,
    /// A chunk extension, ignored.
    Extension,
    /// The LF of a size line.
    SizeLf,
    /// Data of a chunk.
    Data,
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// The first byte of a trailer line, or the CR of the end.
    Trailer,
    /// A trailer line, ignored.
    TrailerLine,
    /// The LF of a trailer line.
    TrailerLf,
    /// The last LF.
    EndLf,
    /// Nothing more belongs to the body.
    Done,
}

/// What stopped a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than [`BODY_BYTES_MAX`]: answer and close.
    TooLong,
    /// It cannot be told where it ends: answer the error and close.
    Bad(RequestError),
}

impl BodyReader {
    /// A reader of the body of a request.
    pub fn new(framing: Framing) -> Result<Self, BodyError> {
        let reader = |left, state| Self { left, budget: BODY_BYTES_MAX, state };
        match framing {
            Framing::None => Ok(reader(0, State::Done)),
            Framing::Chunked => Ok(reader(0, State::Size)),
            Framing::Length(n) if n <= u64::from(BODY_BYTES_MAX) => {
                Ok(reader(n as u32, if n == 0 { State::Done } else { State::Counted }))
            }
            Framing::Length(_) => Err(BodyError::TooLong),
        }
    }

    /// Whether the body is at its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what of `bytes` belongs to the body; says how many that were. All of them unless the
    /// body ends within.
    pub fn consume(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let n = match self.state {
                State::Done => break,
                State::Counted | State::Data => (bytes.len() - at).min(self.left as usize),
                _ => 1,
            };
            // `n` is at most `left`, so below the bound of a body.
            self.budget = self.budget.checked_sub(n as u32).ok_or(BodyError::TooLong)?;
            at += n;
            self.state = self.next(byte, n as u32)?;
        }
        Ok(at)
    }

    /// The state after `n` bytes, of which `byte` is the first.
    fn next(&mut self, byte: u8, n: u32) -> Result<State, BodyError> {
        const BAD: BodyError = BodyError::Bad(RequestError::ChunkInvalid);
        let is_text = byte == b'\t' || !byte.is_ascii_control();
        Ok(match (self.state, byte) {
            (State::Counted | State::Data, _) => {
                self.left -= n;
                match (self.left, self.state) {
                    (0, State::Counted) => State::Done,
                    (0, _) => State::DataCr,
                    (_, same) => same,
                }
            }
            (State::Size | State::SizeMore, _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                // 28 bits before the step are more than any bound: no overflow.
                self.left = self.left << 4 | digit;
                if self.left > BODY_BYTES_MAX {
                    return Err(BodyError::TooLong);
                }
                State::SizeMore
            }
            (State::SizeMore | State::SizeSpace, b' ' | b'\t') => State::SizeSpace,
            (State::SizeMore | State::SizeSpace, b';') => State::Extension,
            (State::SizeMore | State::SizeSpace | State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) if is_text => State::Extension,
            (State::SizeLf, b'\n') if self.left == 0 => State::Trailer,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Trailer, b'\r') => State::EndLf,
            (State::TrailerLine, b'\r') => State::TrailerLf,
            (State::Trailer, b' ' | b'\t') => return Err(BAD),
            (State::Trailer | State::TrailerLine, _) if is_text => State::TrailerLine,
            (State::TrailerLf, b'\n') => State::Trailer,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(BAD),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const BAD: BodyError = BodyError::Bad(RequestError::ChunkInvalid);

    /// Consumes at once: how many bytes, and whether the body ended.
    fn read(framing: Framing, bytes: &[u8]) -> Result<(usize, bool), BodyError> {
        let mut reader = BodyReader::new(framing)?;
        let n = reader.consume(bytes)?;
        Ok((n, reader.is_done()))
    }

    /// The obvious twin: cuts a chunked body at its line ends. Some(len) of a whole body.
    fn chunked_len_slowly(bytes: &[u8]) -> Option<usize> {
        let line = |at: usize| bytes[at..].windows(2).position(|w| w == b"\r\n").map(|n| at + n);
        let mut at = 0;
        loop {
            let end = line(at)?;
            let text = core::str::from_utf8(&bytes[at..end]).ok()?;
            let size = text.split(';').next()?.trim_end_matches([' ', '\t']);
            let size = usize::from_str_radix(size, 16).ok()?;
            at = end + 2;
            if size == 0 {
                break;
            }
            at += size;
            (bytes.get(at..at + 2)? == b"\r\n").then_some(())?;
            at += 2;
        }
        loop {
            let end = line(at)?;
            let empty = end == at;
            at = end + 2;
            if empty {
                return Some(at);
            }
        }
    }

    #[test]
    fn bodies_end_where_they_say() {
        for (framing, bytes, taken, done) in [
            (Framing::None, &b"GET"[..], 0, true),
            (Framing::Length(3), b"abcGET", 3, true),
            (Framing::Length(3), b"ab", 2, false),
            (Framing::Chunked, b"0\r\n\r\nGET", 5, true),
            (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\nGET", 13, true),
            (Framing::Chunked, b"00a;x=\"y\"\r\n0123456789\r\n0 ; z\r\nA: b\r\n\r\n", 38, true),
            (Framing::Chunked, b"3\r\nabc\r\n", 8, false),
        ] {
            assert_eq!(read(framing, bytes), Ok((taken, done)), "{bytes:?}");
        }
    }

    #[test]
    fn chunks_without_a_certain_end_are_bad() {
        for bytes in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b" 1\r\n",
            b"0x1\r\n",
            b"1\na\r\n",
            b"1\r\nab",
            b"1\r\na\n0\r\n\r\n",
            b"1 1\r\n",
            b"0\r\n\n",
            b"0\r\n fold\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"1;\0\r\n",
            b"1;a\rb\r\n",
        ] {
            assert_eq!(read(Framing::Chunked, bytes), Err(BAD), "{bytes:?}");
        }
    }

    #[test]
    fn bound_holds_for_every_framing() {
        let max = u64::from(BODY_BYTES_MAX);
        assert!(BodyReader::new(Framing::Length(max)).is_ok());
        assert_eq!(BodyReader::new(Framing::Length(max + 1)), Err(BodyError::TooLong));
        assert_eq!(read(Framing::Chunked, b"100001"), Err(BodyError::TooLong));
        assert_eq!(read(Framing::Chunked, b"ffffffffffffffff1"), Err(BodyError::TooLong));
        let mut endless = BodyReader::new(Framing::Chunked).unwrap();
        let mut fed = 0;
        while endless.consume(b"1\r\nx\r\n").is_ok() {
            fed += 6;
            assert!(fed <= BODY_BYTES_MAX);
        }
        let mut zeros = BodyReader::new(Framing::Chunked).unwrap();
        let many = alloc::vec![b'0'; BODY_BYTES_MAX as usize + 1];
        assert_eq!(zeros.consume(&many), Err(BodyError::TooLong));
    }

    fn chunked() -> impl Strategy<Value = Vec<u8>> {
        const PARTS: [&str; 10] =
            ["\r\n", "0", "1", "a", ";x", " ", "\n", "3\r\nabc\r\n", "0\r\n\r\n", "A: b\r\n"];
        let part = proptest::sample::select(&PARTS[..]);
        proptest::collection::vec(part, 0..12).prop_map(|p| p.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn splitting_changes_nothing(bytes in chunked(), cut in 0usize..60) {
            let cut = cut.min(bytes.len());
            let mut reader = BodyReader::new(Framing::Chunked).unwrap();
            let split = reader.consume(&bytes[..cut]).and_then(|n| {
                if n < cut { return Ok(n) }
                Ok(n + reader.consume(&bytes[cut..])?)
            });
            prop_assert_eq!(split.map(|n| (n, reader.is_done())), read(Framing::Chunked, &bytes));
        }

        #[test]
        fn whole_bodies_end_where_the_slow_twin_says(bytes in chunked()) {
            if let Ok((n, true)) = read(Framing::Chunked, &bytes) {
                prop_assert_eq!(chunked_len_slowly(&bytes), Some(n));
            }
        }
    }
}
