//! Where the bodies of files are read. The core reads no files: bytes come through [`Bodies`].

use crate::content::{ContentSource, ObjectId, ReadAt};
use crate::server::catalogue::Generations;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A body, numbered by whoever holds the bytes. A number means the same bytes for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u32);

/// Reads bodies. Files on disk are one implementation, outside this crate.
pub trait Bodies {
    /// Fills `out` with the bytes of `file` from `offset` on. `out` never reaches beyond the
    /// length that the catalogue names.
    fn read_at(&mut self, file: FileId, offset: u64, out: &mut [u8]) -> ReadAt;
}

/// Bodies in memory: bytes, or a pattern that needs none.
#[derive(Clone, Debug, Default)]
pub struct MemoryBodies {
    bodies: Vec<Body>,
}

#[derive(Clone, Debug)]
enum Body {
    Bytes(Arc<[u8]>),
    Pattern { seed: u64, len: u64 },
}

impl MemoryBodies {
    /// None at all.
    pub const fn new() -> Self {
        Self { bodies: Vec::new() }
    }

    /// Adds a body; a clone of this value shares its bytes.
    pub fn add_bytes(&mut self, bytes: impl Into<Arc<[u8]>>) -> FileId {
        self.add(Body::Bytes(bytes.into()))
    }

    /// Adds a body of `len` bytes of the pattern named by `seed`: see [`pattern_fill`].
    pub fn add_pattern(&mut self, seed: u64, len: u64) -> FileId {
        self.add(Body::Pattern { seed, len })
    }

    fn add(&mut self, body: Body) -> FileId {
        self.bodies.push(body);
        FileId(self.bodies.len() as u32 - 1)
    }
}

impl Bodies for MemoryBodies {
    fn read_at(&mut self, file: FileId, offset: u64, out: &mut [u8]) -> ReadAt {
        match self.bodies.get(file.0 as usize) {
            Some(Body::Bytes(bytes)) => {
                let part =
                    usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..out.len()));
                let Some(part) = part else {
                    return ReadAt::Gone;
                };
                out.copy_from_slice(part);
                ReadAt::Done
            }
            Some(Body::Pattern { seed, len })
                if offset.saturating_add(out.len() as u64) <= *len =>
            {
                pattern_fill(*seed, offset, out);
                ReadAt::Done
            }
            _ => ReadAt::Gone,
        }
    }
}

/// Bytes of the pattern that one mixing gives.
const BLOCK: usize = 16;

/// Fills `out` with the bytes from `offset` on of an endless pattern without a short period: a
/// byte at a wrong offset, or of another seed, shows with probability 255/256.
pub fn pattern_fill(seed: u64, offset: u64, out: &mut [u8]) {
    let skip = (offset % BLOCK as u64) as usize;
    let mut index = offset / BLOCK as u64;
    let (head, rest) = out.split_at_mut(((BLOCK - skip) % BLOCK).min(out.len()));
    if !head.is_empty() {
        head.copy_from_slice(&pattern_block(seed, index)[skip..skip + head.len()]);
        index += 1;
    }
    let (blocks, tail) = rest.as_chunks_mut::<BLOCK>();
    for block in blocks {
        *block = pattern_block(seed, index);
        index += 1;
    }
    tail.copy_from_slice(&pattern_block(seed, index)[..tail.len()]);
}

/// Whether `bytes` are those of the pattern from `offset` on.
pub fn pattern_matches(seed: u64, offset: u64, bytes: &[u8]) -> bool {
    let skip = (offset % BLOCK as u64) as usize;
    let mut index = offset / BLOCK as u64;
    let (head, rest) = bytes.split_at(((BLOCK - skip) % BLOCK).min(bytes.len()));
    if !head.is_empty() {
        if *head != pattern_block(seed, index)[skip..skip + head.len()] {
            return false;
        }
        index += 1;
    }
    let (blocks, tail) = rest.as_chunks::<BLOCK>();
    // All differences are gathered: a mismatch is the end of a test, not a case to be quick in.
    let differences = (index..).zip(blocks).fold(0, |seen, (index, block)| {
        seen | (u128::from_le_bytes(pattern_block(seed, index)) ^ u128::from_le_bytes(*block))
    });
    let last = pattern_block(seed, index + blocks.len() as u64);
    differences == 0 && *tail == last[..tail.len()]
}

/// Sixteen bytes of the pattern: two products, the second of what the first one left in its upper
/// half, since the low bits of a product know only the low bits of its factors.
#[inline]
fn pattern_block(seed: u64, index: u64) -> [u8; BLOCK] {
    let x = (seed ^ 0x5851_f42d_4c95_7f2d)
        .wrapping_mul(0xd6e8_feb8_6659_fd93)
        .wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let x = x ^ (x >> 32);
    let first = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    let second = (x ^ (first >> 29)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    let (first, second) = (first ^ (first >> 32), second ^ (second >> 31));
    (u128::from(second) << 64 | u128::from(first)).to_le_bytes()
}

/// Objects as the store sees them: a head of the catalogue, then a body.
#[derive(Clone, Debug)]
pub struct FileContent<B> {
    pub(crate) generations: Generations,
    pub(crate) bodies: B,
}

impl<B> FileContent<B> {
    /// The bodies, to add files before a new catalogue names them.
    pub fn bodies_mut(&mut self) -> &mut B {
        &mut self.bodies
    }
}

impl<B: Bodies> ContentSource for FileContent<B> {
    fn read_at(&mut self, object: ObjectId, offset: u64, out: &mut [u8]) -> ReadAt {
        let Some((catalogue, entry)) = self.generations.find(object.0) else {
            return ReadAt::Gone;
        };
        let head = catalogue.head(entry);
        let from_head = match usize::try_from(offset).ok().and_then(|at| head.get(at..)) {
            Some(part) => {
                let n = part.len().min(out.len());
                out[..n].copy_from_slice(&part[..n]);
                n
            }
            None => 0,
        };
        let rest = &mut out[from_head..];
        if rest.is_empty() {
            return ReadAt::Done;
        }
        let at = offset.saturating_sub(head.len() as u64);
        if at.saturating_add(rest.len() as u64) > entry.body_len() {
            return ReadAt::Gone;
        }
        self.bodies.read_at(entry.file, at, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_pattern_is_the_same_however_it_is_cut() {
        let mut whole = vec![0; 400];
        pattern_fill(3, 0, &mut whole);
        for from in 0..64 {
            for len in [0, 1, 7, 15, 16, 17, 40, 300] {
                let mut part = vec![0; len];
                pattern_fill(3, from as u64, &mut part);
                assert_eq!(part, whole[from..from + len], "{len} bytes from {from}");
                assert!(pattern_matches(3, from as u64, &part));
                for at in 0..len {
                    part[at] ^= 0x10;
                    assert!(!pattern_matches(3, from as u64, &part), "byte {at} of {len}");
                    part[at] ^= 0x10;
                }
            }
        }
    }

    #[test]
    fn a_byte_at_a_wrong_offset_or_of_another_seed_mostly_shows() {
        const LEN: usize = 1 << 16;
        let mut right = vec![0; LEN];
        pattern_fill(1, 0, &mut right);
        let held = |seed, offset: u64| {
            let mut other = vec![0; LEN];
            pattern_fill(seed, offset, &mut other);
            let same = right.iter().zip(&other).filter(|(a, b)| a == b).count();
            // 256 are expected; a standard deviation is 16.
            assert!((160..352).contains(&same), "{same} of {LEN} at {offset} of seed {seed}");
        };
        for shift in 0..32 {
            held(1, 1 << shift);
            held(1, (1 << shift) + 16);
            held(1, 1_460 * (shift + 1));
            held(shift + 2, 0);
            held(1 ^ 1 << (shift + 1), 0);
        }
    }
}
