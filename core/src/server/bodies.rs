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

/// Fills `out` with the bytes from `offset` on of an endless pattern without a short period: a
/// byte at a wrong offset, or of another seed, shows with probability 255/256.
pub fn pattern_fill(seed: u64, offset: u64, out: &mut [u8]) {
    let mut index = offset / 8;
    let mut rest = out;
    let skip = (offset % 8) as usize;
    if skip > 0 {
        let word = pattern_word(seed, index);
        let (now, later) = rest.split_at_mut(rest.len().min(8 - skip));
        now.copy_from_slice(&word[skip..skip + now.len()]);
        rest = later;
        index += 1;
    }
    let (words, last) = rest.as_chunks_mut::<8>();
    for word in words {
        *word = pattern_word(seed, index);
        index += 1;
    }
    if !last.is_empty() {
        let word = pattern_word(seed, index);
        last.copy_from_slice(&word[..last.len()]);
    }
}

/// Eight bytes of the pattern: a mixing of seed and position that has no simple structure.
#[inline]
fn pattern_word(seed: u64, index: u64) -> [u8; 8] {
    let x = (seed ^ 0x5851_f42d_4c95_7f2d).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let x = (x ^ (x >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (x ^ (x >> 31)).to_le_bytes()
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

    #[test]
    fn a_part_of_the_pattern_is_what_stands_there_in_the_whole() {
        let mut whole = [0; 100];
        pattern_fill(7, 0, &mut whole);
        for from in 0..whole.len() {
            for upto in from..whole.len() {
                let mut part = [0; 100];
                pattern_fill(7, from as u64, &mut part[..upto - from]);
                assert_eq!(part[..upto - from], whole[from..upto]);
            }
        }
        // Bodies in captures and pinned hashes have these bytes.
        let first: Vec<u8> = (0..2).flat_map(|n| pattern_word(7, n)).collect();
        assert_eq!(whole[..16], first[..]);
        assert_eq!(whole[..4], [10, 117, 88, 193]);
    }
}
