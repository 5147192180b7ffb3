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
    let (head, skip) = (offset.next_multiple_of(8) - offset, (offset % 8) as usize);
    let (head, rest) = out.split_at_mut((head as usize).min(out.len()));
    if !head.is_empty() {
        head.copy_from_slice(&pattern_word(seed, offset / 8)[skip..skip + head.len()]);
    }
    let mut words = rest.chunks_exact_mut(8);
    let mut index = offset.div_ceil(8);
    for word in &mut words {
        word.copy_from_slice(&pattern_word(seed, index));
        index += 1;
    }
    let tail = words.into_remainder();
    tail.copy_from_slice(&pattern_word(seed, index)[..tail.len()]);
}

/// Whether `bytes` are those of the pattern from `offset` on.
pub fn pattern_matches(seed: u64, offset: u64, bytes: &[u8]) -> bool {
    let (head, skip) = (offset.next_multiple_of(8) - offset, (offset % 8) as usize);
    let (head, rest) = bytes.split_at((head as usize).min(bytes.len()));
    if !head.is_empty() && *head != pattern_word(seed, offset / 8)[skip..skip + head.len()] {
        return false;
    }
    let (words, tail) = rest.as_chunks::<8>();
    let first = offset.div_ceil(8);
    // All differences are gathered: a mismatch is the end of a test, not a case to be quick in.
    let differences = (first..).zip(words).fold(0, |seen, (index, word)| {
        seen | (u64::from_le_bytes(pattern_word(seed, index)) ^ u64::from_le_bytes(*word))
    });
    let last = pattern_word(seed, first + words.len() as u64);
    differences == 0 && *tail == last[..tail.len()]
}

/// Eight bytes of the pattern: a mixing of seed and position that has no simple structure.
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
