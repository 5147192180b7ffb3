//! Where a head ends. Looks at every byte once, however the bytes arrive, and checks the line
//! endings on its way: after this, CR and LF stand side by side or not at all.
//!
//! RFC 9112 §2.2 lets a recipient take a lone LF for a line's end. We do not: two recipients of
//! one stream that disagree about where a line ends are how requests are smuggled.

use super::request::RequestError;

/// Bytes of a head, from the request line to the empty line. Holds the request line of 8,000
/// octets that RFC 9112 §3 recommends. Longer is 431, or 414 where the request line has no end.
pub const HEAD_BYTES_MAX: usize = 8192;

/// What a look at the first bytes of a message told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head is the first `len` bytes, the empty line in.
    Complete {
        /// Bytes of the head.
        len: usize,
    },
    /// The head goes on beyond what is there.
    NeedMore {
        /// Bytes that need no second look: hand them in next time.
        scanned: u16,
    },
}

/// Looks for the end of the head that starts at `bytes[0]`. The first `scanned` bytes were seen by
/// an earlier call; `max` is at most [`HEAD_BYTES_MAX`]. The answer depends on the bytes alone,
/// never on how they were split: faults count in the order of the bytes, up to `max`.
pub fn find_end(bytes: &[u8], scanned: u16, max: usize) -> Result<Progress, RequestError> {
    let max = max.min(HEAD_BYTES_MAX);
    let window = bytes.get(..max).unwrap_or(bytes);
    let mut from = usize::from(scanned);
    while let Some(at) = next_control(window, from) {
        match window.get(at) {
            Some(b'\r') => match window.get(at..).unwrap_or(&[]) {
                [_, b'\n', b'\r', b'\n', ..] => return Ok(Progress::Complete { len: at + 4 }),
                // An end that may have begun is looked at again when more is there.
                [_] | [_, b'\n'] | [_, b'\n', b'\r'] if window.len() == max => {
                    return Err(too_long(window));
                }
                [_] | [_, b'\n'] | [_, b'\n', b'\r'] => {
                    return Ok(Progress::NeedMore { scanned: at as u16 });
                }
                [_, b'\n', ..] => from = at + 2,
                _ => return Err(RequestError::BareCr),
            },
            Some(b'\t') => from = at + 1,
            Some(b'\n') => return Err(RequestError::BareLf),
            _ => return Err(RequestError::ControlByte),
        }
    }
    if window.len() == max {
        return Err(too_long(window));
    }
    Ok(Progress::NeedMore { scanned: window.len() as u16 })
}

/// Bytes of empty lines before a request line, which RFC 9112 §2.2 asks to ignore.
#[inline]
pub fn leading_empty_lines(bytes: &[u8]) -> usize {
    let mut n = 0;
    while bytes.get(n..n + 2) == Some(b"\r\n") {
        n += 2;
    }
    n
}

/// The fault of a head that does not end within the bound.
fn too_long(window: &[u8]) -> RequestError {
    if window.contains(&b'\n') { RequestError::HeadTooLong } else { RequestError::TargetTooLong }
}

/// The first byte below 0x20 at or after `from`. Eight bytes a step: the lowest flag of the
/// classic "less than" test is exact, and only the lowest is used.
fn next_control(bytes: &[u8], mut from: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    while let Some(word) = bytes.get(from..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let flags = word.wrapping_sub(ONES * 0x20) & !word & (ONES * 0x80);
        if flags != 0 {
            return Some(from + (flags.trailing_zeros() / 8) as usize);
        }
        from += 8;
    }
    bytes.get(from..)?.iter().position(|b| *b < 0x20).map(|n| from + n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// The obvious twin: looks at all bytes from the start, one at a time.
    fn find_end_slowly(bytes: &[u8], max: usize) -> Result<Progress, RequestError> {
        let window = &bytes[..bytes.len().min(max)];
        let mut i = 0;
        while i < window.len() {
            match window[i] {
                b'\r' if i + 1 == window.len() => break,
                b'\r' if window[i + 1] != b'\n' => return Err(RequestError::BareCr),
                b'\r' => {
                    if window[..i].ends_with(b"\r\n") {
                        return Ok(Progress::Complete { len: i + 2 });
                    }
                    i += 2;
                }
                b'\n' => return Err(RequestError::BareLf),
                b'\t' => i += 1,
                b if b < 0x20 => return Err(RequestError::ControlByte),
                _ => i += 1,
            }
        }
        match window.len() == max {
            true if window.contains(&b'\n') => Err(RequestError::HeadTooLong),
            true => Err(RequestError::TargetTooLong),
            false => Ok(Progress::NeedMore { scanned: i as u16 }),
        }
    }

    /// What a caller learns that is shown `bytes` up to each of `cuts` in turn.
    fn find_end_split(bytes: &[u8], cuts: &[usize], max: usize) -> Result<Progress, RequestError> {
        let mut scanned = 0;
        for &cut in cuts {
            match find_end(&bytes[..cut], scanned, max)? {
                Progress::NeedMore { scanned: n } => {
                    assert!(n >= scanned, "nothing is scanned twice");
                    scanned = n;
                }
                done => return Ok(done),
            }
        }
        find_end(bytes, scanned, max)
    }

    /// Mostly the bytes that matter here.
    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            3 => Just(b"\r\n".to_vec()),
            1 => Just(b"\r".to_vec()),
            1 => Just(b"\n".to_vec()),
            1 => any::<u8>().prop_map(|b| alloc::vec![b]),
            20 => proptest::collection::vec(0x20u8..0xff, 1..12),
        ];
        proptest::collection::vec(byte, 0..24).prop_map(|parts| parts.concat())
    }

    #[test]
    fn end_is_found_and_nothing_after_it_is_looked_at() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\n\n\x00";
        assert_eq!(find_end(bytes, 0, 8192), Ok(Progress::Complete { len: 27 }));
        assert_eq!(find_end(&bytes[..26], 0, 8192), Ok(Progress::NeedMore { scanned: 23 }));
    }

    #[test]
    fn each_fault_has_its_name() {
        for (bytes, fault) in [
            (&b"GET / HTTP/1.1\nHost: a\n\n"[..], RequestError::BareLf),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", RequestError::BareLf),
            (b"GET / HTTP/1.1\rHost: a\r\n\r\n", RequestError::BareCr),
            (b"GET / HTTP/1.1\r\nA: b\r\r\n\r\n", RequestError::BareCr),
            (b"GET / HTTP/1.1\r\nA: \0\r\n\r\n", RequestError::ControlByte),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", RequestError::ControlByte),
        ] {
            assert_eq!(find_end(bytes, 0, 8192), Err(fault), "{bytes:?}");
        }
    }

    #[test]
    fn bounds_are_exact() {
        let head = |len: usize| {
            let mut v = b"GET / HTTP/1.1\r\n".to_vec();
            v.resize(len - 4, b'a');
            v.extend(b"\r\n\r\n");
            v
        };
        assert_eq!(find_end(&head(100), 0, 100), Ok(Progress::Complete { len: 100 }));
        assert_eq!(find_end(&head(101), 0, 100), Err(RequestError::HeadTooLong));
        assert_eq!(find_end(&[b'a'; 100], 0, 100), Err(RequestError::TargetTooLong));
        assert_eq!(find_end(&[b'a'; 99], 0, 100), Ok(Progress::NeedMore { scanned: 99 }));
        assert_eq!(
            find_end(&[b'a'; HEAD_BYTES_MAX], 0, usize::MAX),
            Err(RequestError::TargetTooLong)
        );
    }

    #[test]
    fn empty_lines_in_front_are_counted_in_pairs() {
        assert_eq!(leading_empty_lines(b"\r\n\r\nGET"), 4);
        assert_eq!(leading_empty_lines(b"\r"), 0);
        assert_eq!(leading_empty_lines(b"\n\r\n"), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_its_slow_twin(bytes in messages(), max in 1usize..200) {
            // How much needs no second look is not part of the answer.
            let answer = |found| match found {
                Ok(Progress::NeedMore { .. }) => Ok(Progress::NeedMore { scanned: 0 }),
                other => other,
            };
            prop_assert_eq!(answer(find_end(&bytes, 0, max)), answer(find_end_slowly(&bytes, max)));
        }

        #[test]
        fn splitting_changes_nothing(
            bytes in messages(),
            mut cuts in proptest::collection::vec(0usize..300, 0..6),
            max in 1usize..300,
        ) {
            cuts.iter_mut().for_each(|c| *c = (*c).min(bytes.len()));
            cuts.sort_unstable();
            prop_assert_eq!(find_end_split(&bytes, &cuts, max), find_end(&bytes, 0, max));
        }
    }
}
