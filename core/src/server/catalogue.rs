//! What is served: names, the heads rendered once, and where the bodies are.
//!
//! An object of the catalogue is a whole response, `200` with its head and body. Its two
//! fixed-width fields lie in the first three lines, where they are pinned per response.

use super::bodies::FileId;
use crate::content::Pin;
use crate::http::bytes::{PLAIN, is};
use crate::http::conditional::Validators;
use crate::http::date::ImfFixdate;
use crate::http::request::TARGET_BYTES_MAX;
use crate::http::response::{Status, begin_head, push_decimal};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use hashbrown::HashTable;

const _: () = assert!((Status::Ok.opening_len() as usize) < Pin::REACH);

/// Bytes of a content type at most.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// One file, or one redirection.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Bytes of head and body.
    pub(crate) total_len: u64,
    /// Seconds since 1970.
    modified: u64,
    head_at: u32,
    path_at: u32,
    pub(crate) file: FileId,
    pub(crate) head_len: u16,
    path_len: u16,
    /// Where in the head the lines `ETag`, `Last-Modified` and the empty line begin.
    pub(crate) validators_at: u16,
    etag_len: u8,
    /// [`Status::Ok`], or [`Status::MovedPermanently`] without a body.
    pub(crate) status: Status,
}

impl Entry {
    pub(crate) fn body_len(&self) -> u64 {
        self.total_len - u64::from(self.head_len)
    }
}

/// A name: where its bytes are, and what it leads to.
#[derive(Clone, Copy, Debug)]
struct Name {
    at: u32,
    len: u16,
    entry: u32,
}

/// A finished catalogue. Never changes; a change on disk makes another one.
#[derive(Clone, Debug)]
pub struct Catalogue {
    entries: Vec<Entry>,
    /// All heads and names, one after the other.
    text: Vec<u8>,
    names: Vec<Name>,
    /// Indexes of `names`. Never iterated.
    table: HashTable<u32>,
    seed: u64,
}

/// A file of a catalogue, for those who list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueItem<'a> {
    /// Its name.
    pub path: &'a str,
    /// The head as it is sent, but for the two fields.
    pub head: &'a [u8],
    /// Bytes of head and body.
    pub total_len: u64,
    /// Where the body is.
    pub file: FileId,
    /// Number within the catalogue; the object's number is this plus the generation's first.
    pub index: u32,
}

/// Why a file is not taken into a catalogue. The caller's or the disk's fault, not the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// The path does not start with `/`, has empty or dot segments, control bytes or no end.
    BadPath {
        /// The path as given.
        path: String,
    },
    /// The path is there already.
    Doubled {
        /// The path as given.
        path: String,
    },
    /// The content type is empty, too long, or not visible ASCII.
    BadContentType {
        /// The path of the file.
        path: String,
    },
    /// More heads and names than 32 bits can address.
    Full,
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPath { path } => write!(f, "{path:?} cannot be the path of a file"),
            Self::Doubled { path } => write!(f, "{path:?} is in the catalogue already"),
            Self::BadContentType { path } => write!(f, "{path:?}: not a content type"),
            Self::Full => f.write_str("too many files for one catalogue"),
        }
    }
}

impl core::error::Error for CatalogueError {}

/// What is needed to know about a file.
#[derive(Clone, Copy, Debug)]
pub struct FileInfo<'a> {
    /// Absolute, decoded, normalised: `/docs/café.html`.
    pub path: &'a str,
    /// As in `Content-Type`.
    pub content_type: &'a str,
    /// Seconds since 1970 of the last change.
    pub modified: u64,
    /// What changes whenever the bytes do: a hash of the content, or of time, length and inode.
    pub version: u64,
    /// Bytes of the body.
    pub len: u64,
    /// Where the body is.
    pub file: FileId,
}

/// Makes a [`Catalogue`].
#[derive(Clone, Debug)]
pub struct CatalogueBuilder {
    catalogue: Catalogue,
}

impl Catalogue {
    /// Starts an empty one. `seed` moves the table's hash; it need not be secret, since peers put
    /// nothing into the table.
    pub fn builder(seed: u64) -> CatalogueBuilder {
        CatalogueBuilder {
            catalogue: Catalogue {
                entries: Vec::new(),
                text: Vec::new(),
                names: Vec::new(),
                table: HashTable::new(),
                seed,
            },
        }
    }

    /// What moves the hash.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Number of entries, redirections in.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The files, in the order they were added.
    pub fn files(&self) -> impl Iterator<Item = CatalogueItem<'_>> {
        self.entries.iter().enumerate().filter(|(_, e)| e.status == Status::Ok).map(|(i, e)| {
            CatalogueItem {
                path: core::str::from_utf8(self.slice(e.path_at, e.path_len)).unwrap_or(""),
                head: self.head(e),
                total_len: e.total_len,
                file: e.file,
                index: i as u32,
            }
        })
    }

    /// The entry that a normalised path names, by its number.
    pub(crate) fn lookup(&self, path: &[u8]) -> Option<u32> {
        let found = self.table.find(hash(self.seed, path), |&i| self.name_is(i, path))?;
        self.names.get(*found as usize).map(|n| n.entry)
    }

    #[inline]
    pub(crate) fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)
    }

    pub(crate) fn head(&self, entry: &Entry) -> &[u8] {
        self.slice(entry.head_at, entry.head_len)
    }

    /// The lines of the head that a 304 repeats, the empty line in.
    pub(crate) fn validator_lines(&self, entry: &Entry) -> &[u8] {
        self.head(entry).get(usize::from(entry.validators_at)..).unwrap_or(&[])
    }

    pub(crate) fn validators(&self, entry: &Entry) -> Validators<'_> {
        let lines = self.validator_lines(entry);
        let end = ETAG_NAME.len() + usize::from(entry.etag_len);
        Validators {
            etag: lines.get(ETAG_NAME.len()..end).unwrap_or(&[]),
            modified: entry.modified,
        }
    }

    fn slice(&self, at: u32, len: u16) -> &[u8] {
        let at = at as usize;
        self.text.get(at..at + usize::from(len)).unwrap_or(&[])
    }

    fn name_is(&self, index: u32, path: &[u8]) -> bool {
        self.names.get(index as usize).is_some_and(|n| self.slice(n.at, n.len) == path)
    }
}

const ETAG_NAME: &[u8] = b"ETag: ";
/// What a directory shows.
const INDEX: &str = "index.html";

impl CatalogueBuilder {
    /// Adds a file. `…/index.html` is the directory `…/` too, and a request for `…` without the
    /// slash is led there (301).
    pub fn add_file(&mut self, info: FileInfo<'_>) -> Result<(), CatalogueError> {
        let path = info.path;
        if !is_name(path) {
            return Err(CatalogueError::BadPath { path: path.into() });
        }
        let kind = info.content_type.as_bytes();
        if kind.is_empty()
            || kind.len() > CONTENT_TYPE_BYTES_MAX
            || !kind.iter().all(|b| matches!(b, b' '..=b'~'))
        {
            return Err(CatalogueError::BadContentType { path: path.into() });
        }
        if self.catalogue.lookup(path.as_bytes()).is_some_and(|e| !self.is_redirection(e)) {
            return Err(CatalogueError::Doubled { path: path.into() });
        }
        let entry = self.push_file(info)?;
        self.name(path, entry)?;
        if let Some(directory) = path.strip_suffix(INDEX).filter(|d| d.ends_with('/')) {
            self.name(directory, entry)?;
            if let Some(bare) = directory.strip_suffix('/').filter(|b| !b.is_empty())
                && self.catalogue.lookup(bare.as_bytes()).is_none()
            {
                let redirection = self.push_redirection(directory)?;
                self.name(bare, redirection)?;
            }
        }
        Ok(())
    }

    /// The catalogue as it is now.
    pub fn build(self) -> Catalogue {
        self.catalogue
    }

    fn is_redirection(&self, entry: u32) -> bool {
        self.catalogue.entry(entry).is_some_and(|e| e.status == Status::MovedPermanently)
    }

    fn push_file(&mut self, info: FileInfo<'_>) -> Result<u32, CatalogueError> {
        let text = &mut self.catalogue.text;
        let head_at = text.len();
        begin_head(text, Status::Ok);
        text.extend_from_slice(b"Content-Type: ");
        text.extend_from_slice(info.content_type.as_bytes());
        text.extend_from_slice(b"\r\nContent-Length: ");
        push_decimal(text, info.len);
        text.extend_from_slice(b"\r\n");
        let validators_at = text.len();
        text.extend_from_slice(ETAG_NAME);
        let etag_at = text.len();
        text.push(b'"');
        push_hex(text, info.len);
        text.push(b'-');
        push_hex(text, info.version);
        text.push(b'"');
        let etag_len = text.len() - etag_at;
        text.extend_from_slice(b"\r\nLast-Modified: ");
        text.extend_from_slice(&ImfFixdate::from_unix(info.modified).0);
        text.extend_from_slice(b"\r\n\r\n");
        let head_len = text.len() - head_at;
        self.push_entry(Entry {
            total_len: info.len.saturating_add(head_len as u64),
            modified: info.modified,
            head_at: head_at as u32,
            path_at: 0,
            file: info.file,
            head_len: head_len as u16,
            path_len: 0,
            validators_at: (validators_at - head_at) as u16,
            etag_len: etag_len as u8,
            status: Status::Ok,
        })
    }

    fn push_redirection(&mut self, to: &str) -> Result<u32, CatalogueError> {
        let text = &mut self.catalogue.text;
        let head_at = text.len();
        begin_head(text, Status::MovedPermanently);
        text.extend_from_slice(b"Location: ");
        push_encoded(text, to);
        text.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
        let head_len = text.len() - head_at;
        self.push_entry(Entry {
            total_len: head_len as u64,
            modified: 0,
            head_at: head_at as u32,
            path_at: 0,
            file: FileId(u32::MAX),
            head_len: head_len as u16,
            path_len: 0,
            validators_at: head_len as u16,
            etag_len: 0,
            status: Status::MovedPermanently,
        })
    }

    fn push_entry(&mut self, entry: Entry) -> Result<u32, CatalogueError> {
        let fits = u32::try_from(self.catalogue.text.len()).is_ok();
        let index = u32::try_from(self.catalogue.entries.len()).ok().filter(|_| fits);
        self.catalogue.entries.push(entry);
        index.ok_or(CatalogueError::Full)
    }

    /// Lets `path` lead to `entry`; a file takes the place of a redirection.
    fn name(&mut self, path: &str, entry: u32) -> Result<(), CatalogueError> {
        let Catalogue { entries, text, names, table, seed } = &mut self.catalogue;
        let at = u32::try_from(text.len()).map_err(|_| CatalogueError::Full)?;
        let name = Name { at, len: path.len() as u16, entry };
        text.extend_from_slice(path.as_bytes());
        if let Some(entry) = entries.get_mut(entry as usize)
            && entry.path_len == 0
        {
            (entry.path_at, entry.path_len) = (name.at, name.len);
        }
        let text_of = |n: &Name| &text[n.at as usize..n.at as usize + usize::from(n.len)];
        let key = hash(*seed, path.as_bytes());
        if let Some(i) = table.find(key, |&i| text_of(&names[i as usize]) == path.as_bytes()) {
            names[*i as usize] = name;
            return Ok(());
        }
        names.push(name);
        let index = names.len() as u32 - 1;
        table.insert_unique(key, index, |&i| hash(*seed, text_of(&names[i as usize])));
        Ok(())
    }
}

/// Whether a path is normalised, names no directory, and could be asked for within the bound of a
/// target: a byte takes up to three there.
fn is_name(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    path.len() * 3 <= TARGET_BYTES_MAX
        && !path.bytes().any(|b| b.is_ascii_control() || b == b'\\')
        && rest.split('/').all(|segment| !["", ".", ".."].contains(&segment))
}

/// Appends a path as it stands in a `Location`.
fn push_encoded(out: &mut Vec<u8>, path: &str) {
    for b in path.bytes() {
        // The characters of RFC 3986 §3.3.
        if b == b'/' || b == b'.' || is(b, PLAIN) && !b"\"<>[]^`{|}".contains(&b) {
            out.push(b);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_hex(out: &mut Vec<u8>, n: u64) {
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    for i in (0..digits).rev() {
        out.push(HEX[(n >> (4 * i) & 15) as usize].to_ascii_lowercase());
    }
}

/// A fast hash of a name: eight bytes a step, folded by a multiplication. Floods are no concern:
/// what is in the table is the server's own.
#[inline]
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e6c_63d0_876a_3f6b;
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a) * u128::from(b);
        wide as u64 ^ (wide >> 64) as u64
    };
    let mut h = seed ^ ODD ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        h = fold(h ^ u64::from_le_bytes(*word), ODD);
        rest = after;
    }
    let tail = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
    };
    fold(h ^ tail, ODD.rotate_left(32) | 1)
}

/// The current catalogue and those that responses under way still need.
#[derive(Clone, Debug)]
pub(crate) struct Generations {
    current: Generation,
    /// Oldest first. Dropped when unused.
    old: Vec<Generation>,
}

#[derive(Clone, Debug)]
struct Generation {
    /// Number of its first object. Numbers only rise: none ever means other bytes.
    first: u32,
    catalogue: Catalogue,
    /// Unfinished responses of it.
    in_use: u32,
}

impl Generations {
    pub(crate) fn new(catalogue: Catalogue) -> Self {
        Self { current: Generation { first: 0, catalogue, in_use: 0 }, old: Vec::new() }
    }

    /// Puts a new catalogue in the place of the current one; gives it back where the numbers of
    /// objects are used up.
    pub(crate) fn replace(&mut self, catalogue: Catalogue) -> Result<(), Catalogue> {
        let first = u32::try_from(self.current.catalogue.len())
            .ok()
            .and_then(|len| self.current.first.checked_add(len));
        let end = first.and_then(|first| {
            u32::try_from(catalogue.len()).ok().and_then(|n| first.checked_add(n))
        });
        let (Some(first), Some(_)) = (first, end) else {
            return Err(catalogue);
        };
        let new = Generation { first, catalogue, in_use: 0 };
        let before = core::mem::replace(&mut self.current, new);
        if before.in_use > 0 {
            self.old.push(before);
        }
        Ok(())
    }

    pub(crate) fn current(&self) -> &Catalogue {
        &self.current.catalogue
    }

    /// Number of the current generation's first object.
    pub(crate) fn first(&self) -> u32 {
        self.current.first
    }

    /// Generations kept for responses under way.
    pub(crate) fn old_len(&self) -> usize {
        self.old.len()
    }

    /// The current entry of a path, with its number among all generations.
    #[inline]
    pub(crate) fn lookup(&self, path: &[u8]) -> Option<(u32, &Entry)> {
        let index = self.current.catalogue.lookup(path)?;
        Some((self.current.first + index, self.current.catalogue.entry(index)?))
    }

    /// An entry of any generation.
    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<(&Catalogue, &Entry)> {
        let generation =
            if number >= self.current.first { &self.current } else { self.find_old(number)? };
        let entry = generation.catalogue.entry(number - generation.first)?;
        Some((&generation.catalogue, entry))
    }

    #[cold]
    fn find_old(&self, number: u32) -> Option<&Generation> {
        self.old.iter().rev().find(|g| g.first <= number)
    }

    /// A response of the current generation begins.
    pub(crate) fn begin(&mut self) {
        self.current.in_use += 1;
    }

    /// A response with entry `number` is over.
    pub(crate) fn end(&mut self, number: u32) {
        if number >= self.current.first {
            self.current.in_use = self.current.in_use.saturating_sub(1);
            return;
        }
        if let Some(i) = self.old.iter().rposition(|g| g.first <= number) {
            self.old[i].in_use = self.old[i].in_use.saturating_sub(1);
            if self.old[i].in_use == 0 {
                self.old.remove(i);
            }
        }
    }
}
