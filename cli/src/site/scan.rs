//! Looks through a directory once: names, lengths, types and versions of what is served.
//!
//! Nothing outside the directory is ever named: a symbolic link is followed only to what lies in
//! the directory itself. Reads no contents.

use crate::failure::{Failure, Kind};
use simoom_core::server::{Catalogue, CatalogueError, FileId, FileInfo};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directories within directories that are looked into. A deeper one is left out, with a note.
const DEPTH_MAX: usize = 64;

/// Notes that are kept; further ones are counted only.
const NOTES_MAX: usize = 20;

/// A file as the scan found it. [`Stamp`] tells later whether it is still the same.
#[derive(Clone, Debug)]
pub(crate) struct DiskFile {
    /// Where it is, all links resolved.
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// What changes when a file does: whoever opens it later compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    device: u64,
    inode: u64,
    modified_secs: i64,
    modified_nanos: i64,
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self {
            len: meta.len(),
            device: meta.dev(),
            inode: meta.ino(),
            modified_secs: meta.mtime(),
            modified_nanos: meta.mtime_nsec(),
        }
    }

    /// Seconds since 1970 of the last change, 0 where that was before.
    pub(crate) fn modified(&self) -> u64 {
        u64::try_from(self.modified_secs).unwrap_or(0)
    }

    /// The version part of the entity tag: another time or another inode gives another number.
    pub(crate) fn version(&self) -> u64 {
        let mixed = (self.modified_secs as u64).wrapping_mul(1_000_000_007)
            ^ (self.modified_nanos as u64).rotate_left(32)
            ^ self.inode.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) catalogue: Catalogue,
    /// By number of [`FileId`].
    pub(crate) files: Arc<[DiskFile]>,
    /// Bytes of all bodies.
    pub(crate) bytes: u64,
    /// What was left out, and why.
    pub(crate) notes: Notes,
}

/// What was left out.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) lines: Vec<String>,
    /// All that were made, those beyond the bound in.
    pub(crate) count: usize,
}

impl Notes {
    fn add(&mut self, path: &Path, why: &str) {
        self.count += 1;
        if self.lines.len() < NOTES_MAX {
            self.lines.push(format!("left out: {}: {why}", path.display()));
        }
    }
}

impl Site {
    /// Scans `dir`. What cannot be served is left out with a note; a directory that cannot be read
    /// at all is a failure.
    pub(crate) fn scan(dir: &Path) -> Result<Self, Failure> {
        let fail = |what: &str| Failure::new(Kind::File, format!("{}: {what}", dir.display()));
        let root = fs::canonicalize(dir)
            .map_err(|e| fail(&format!("{e}: give a directory that exists")))?;
        if !root.is_dir() {
            return Err(fail("this is a file: give the directory that it is in"));
        }
        fs::read_dir(&root)
            .map_err(|e| fail(&format!("{e}: this user cannot list the directory")))?;
        let mut scan = Scan { root: &root, found: Vec::new(), notes: Notes::default() };
        scan.directory(&root, "", &mut vec![root.clone()]);
        scan.finish(dir)
    }
}

struct Found {
    /// As in a request, decoded: `/a/b.html`.
    name: String,
    file: DiskFile,
}

struct Scan<'a> {
    root: &'a Path,
    found: Vec<Found>,
    notes: Notes,
}

impl Scan<'_> {
    /// Looks into `dir`, which is served as `prefix` (no slash at its end). `above`: the
    /// directories that led here, links resolved, itself the last: a link back to one of them
    /// would lead round in circles.
    fn directory(&mut self, dir: &Path, prefix: &str, above: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) => return self.notes.add(dir, &format!("cannot be listed: {e}")),
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        // The order of a directory on disk is nobody's promise.
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                self.notes.add(&path, "its name is not UTF-8");
                continue;
            };
            let real = match fs::canonicalize(&path) {
                Ok(real) => real,
                Err(e) => {
                    self.notes.add(&path, &e.to_string());
                    continue;
                }
            };
            if !real.starts_with(self.root) {
                self.notes.add(&path, "this link leads out of the directory");
                continue;
            }
            match fs::metadata(&real) {
                Err(e) => self.notes.add(&path, &e.to_string()),
                Ok(meta) if meta.is_dir() => {
                    if above.contains(&real) {
                        self.notes.add(&path, "this link leads back up");
                    } else if above.len() > DEPTH_MAX {
                        self.notes.add(&path, "too deep");
                    } else {
                        above.push(real.clone());
                        self.directory(&real, &format!("{prefix}/{name}"), above);
                        above.pop();
                    }
                }
                Ok(meta) if meta.is_file() => {
                    self.file(&path, real, format!("{prefix}/{name}"), &meta)
                }
                Ok(_) => self.notes.add(&path, "neither a file nor a directory"),
            }
        }
    }

    fn file(&mut self, path: &Path, real: PathBuf, name: String, meta: &Metadata) {
        if let Err(e) = fs::File::open(&real) {
            return self.notes.add(path, &format!("cannot be opened: {e}"));
        }
        self.found.push(Found { name, file: DiskFile { path: real, stamp: Stamp::of(meta) } });
    }

    fn finish(mut self, dir: &Path) -> Result<Site, Failure> {
        let mut builder = Catalogue::builder(self.found.len() as u64);
        let (mut files, mut bytes) = (Vec::new(), 0);
        for Found { name, file } in self.found {
            let added = builder.add_file(FileInfo {
                path: &name,
                content_type: content_type(&name),
                modified: file.stamp.modified(),
                version: file.stamp.version(),
                len: file.stamp.len,
                file: FileId(files.len() as u32),
            });
            match added {
                Ok(()) => {
                    bytes += file.stamp.len;
                    files.push(file);
                }
                Err(CatalogueError::Full) => {
                    return Err(Failure::new(
                        Kind::File,
                        format!("{}: {}: serve fewer", dir.display(), CatalogueError::Full),
                    ));
                }
                Err(e) => self.notes.add(&file.path, &e.to_string()),
            }
        }
        Ok(Site { catalogue: builder.build(), files: files.into(), bytes, notes: self.notes })
    }
}

/// The content type that a file's name says it has.
pub(crate) fn content_type(name: &str) -> &'static str {
    mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream")
}
