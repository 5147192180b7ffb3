//! The captured text of servers, put onto a spool as it comes: first come, first kept.

use super::{Kept, REGION};
use crate::script::store::Spool;
use std::io::{self, SeekFrom};

/// Ranges of one stream that are kept apart, at most: text beyond is left out, and is a gap.
pub const RANGES_MAX: usize = 64;

/// Regions that one segment may skip, at most: a number that far ahead is no text of this stream.
const SKIPPED_REGIONS_MAX: u64 = 1 << 10;

/// What is on the spool of one connection.
#[derive(Clone, Debug, Default)]
pub struct Keeper {
    kept: Kept,
    /// Ascending, apart from each other.
    have: Vec<(u64, u64)>,
}

impl Keeper {
    /// Keeps text at a stream offset. `end` is where the next region of the spool may begin, and moves.
    /// Answers whether the same place had other octets before.
    ///
    /// # Errors
    /// What the spool answers.
    pub fn put(
        &mut self,
        spool: &mut dyn Spool,
        end: &mut u64,
        offset: u64,
        text: &[u8],
    ) -> io::Result<bool> {
        let upto = offset + text.len() as u64;
        let regions = self.kept.regions.len() as u64;
        if text.is_empty() || upto.div_ceil(REGION) > regions + SKIPPED_REGIONS_MAX {
            return Ok(false);
        }
        let rewrites = self.differs(spool, offset, text)?;
        if rewrites || !self.insert(offset, upto) {
            return Ok(rewrites);
        }
        while (self.kept.regions.len() as u64) < upto.div_ceil(REGION) {
            self.kept.regions.push(*end);
            *end += REGION;
        }
        let (mut at, mut rest) = (offset, text);
        while !rest.is_empty() {
            let n = (REGION - at % REGION).min(rest.len() as u64) as usize;
            let region = self.kept.regions[(at / REGION) as usize];
            spool.seek(SeekFrom::Start(region + at % REGION))?;
            spool.write_all(&rest[..n])?;
            at += n as u64;
            rest = &rest[n..];
        }
        Ok(false)
    }

    /// Whether what is kept at this place is something else.
    fn differs(&self, spool: &mut dyn Spool, offset: u64, text: &[u8]) -> io::Result<bool> {
        let upto = offset + text.len() as u64;
        for &(from, end) in &self.have {
            let (from, end) = (from.max(offset), end.min(upto));
            if from < end {
                let mut before = vec![0; (end - from) as usize];
                self.kept.read(spool, from, &mut before)?;
                if before != text[(from - offset) as usize..(end - offset) as usize] {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Notes a range; false where it would be one too many.
    fn insert(&mut self, from: u64, upto: u64) -> bool {
        let first = self.have.partition_point(|range| range.1 < from);
        let last = self.have.partition_point(|range| range.0 <= upto);
        if first == last {
            if self.have.len() >= RANGES_MAX {
                return false;
            }
            self.have.insert(first, (from, upto));
            return true;
        }
        let from = from.min(self.have[first].0);
        let upto = upto.max(self.have[last - 1].1);
        self.have.splice(first..last, [(from, upto)]);
        true
    }

    /// Where the text is, of a stream of so many octets.
    pub fn finish(mut self, stream_bytes: u64) -> Kept {
        let mut from = 0;
        for (start, end) in self.have {
            if start > from {
                self.kept.gaps.push((from, start));
            }
            from = end;
        }
        if stream_bytes > from {
            self.kept.gaps.push((from, stream_bytes));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn text_is_kept_in_any_order_and_gaps_are_told() {
        let text: Vec<u8> = (0..200_000_u32).map(|n| (n * 7 / 3) as u8).collect();
        let (mut spool, mut end) = (Cursor::new(Vec::new()), 0);
        let mut keeper = Keeper::default();
        for (from, upto) in [(0, 100), (70_000, 140_000), (50, 65_536), (150_000, 199_000)] {
            let part = &text[from..upto];
            assert!(!keeper.put(&mut spool, &mut end, from as u64, part).unwrap());
        }
        // The same again, and something else.
        assert!(!keeper.put(&mut spool, &mut end, 60_000, &text[60_000..75_000]).unwrap());
        assert!(keeper.put(&mut spool, &mut end, 60_000, &text[..10]).unwrap());
        let kept = keeper.finish(200_000);
        assert_eq!(kept.gaps, [(140_000, 150_000), (199_000, 200_000)]);
        let mut read = vec![1; 200_000];
        kept.read(&mut spool, 0, &mut read).unwrap();
        for at in 0..200_000 {
            let is_gap = kept.gaps.iter().any(|(from, upto)| (*from..*upto).contains(&(at as u64)));
            assert!(is_gap || read[at] == text[at], "{at}");
        }
    }

    #[test]
    fn ranges_are_bounded_and_a_number_far_ahead_is_left_out() {
        let (mut spool, mut end) = (Cursor::new(Vec::new()), 0);
        let mut keeper = Keeper::default();
        for n in 0..1_000 {
            keeper.put(&mut spool, &mut end, n * 10, b"text").unwrap();
        }
        keeper.put(&mut spool, &mut end, 1 << 50, b"text").unwrap();
        assert_eq!((keeper.have.len(), keeper.kept.regions.len()), (RANGES_MAX, 1));
    }
}
