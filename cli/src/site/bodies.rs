//! Bodies read from disk, through a bounded number of open files.
//!
//! A read waits for the disk where the page cache has not the bytes: a turn is then that much
//! longer. Prepared segments are read once, not once a request.

use super::scan::{DiskFile, Stamp};
use simoom_core::content::ReadAt;
use simoom_core::server::{Bodies, FileId};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Files kept open by one reader, at most: far below the 1,024 descriptors that a process has by default.
/// The one not used for longest is closed for the next.
pub(crate) const OPEN_MAX: usize = 128;

const CLOSED: u8 = u8::MAX;
const _: () = assert!(OPEN_MAX < CLOSED as usize);

/// Reads the files of a scan.
pub(crate) struct DiskBodies {
    files: Arc<[DiskFile]>,
    /// For each file, its place in `open`, or [`CLOSED`].
    places: Vec<u8>,
    open: Vec<Open>,
    /// Files that may be open, 1 to [`OPEN_MAX`].
    open_max: usize,
    /// Counts reads: what "longest ago" is measured by.
    clock: u64,
}

struct Open {
    number: u32,
    file: File,
    used_at: u64,
}

impl DiskBodies {
    /// Opens nothing yet, and no more than so many at once, 1 to [`OPEN_MAX`].
    pub(crate) fn new(files: Arc<[DiskFile]>, open_max: usize) -> Self {
        let open_max = open_max.clamp(1, OPEN_MAX);
        Self {
            places: vec![CLOSED; files.len()],
            files,
            open: Vec::with_capacity(open_max),
            open_max,
            clock: 0,
        }
    }

    /// The open file `number`; None where it is not what the scan saw any more.
    fn file(&mut self, number: u32) -> Option<&File> {
        let place = *self.places.get(number as usize)?;
        let place = if place == CLOSED { self.open(number)? } else { usize::from(place) };
        self.clock += 1;
        let open = self.open.get_mut(place)?;
        open.used_at = self.clock;
        // It may have been written to since it was opened.
        let now = Stamp::of(&open.file.metadata().ok()?);
        (now == self.files.get(number as usize)?.stamp).then_some(&open.file)
    }

    #[cold]
    fn open(&mut self, number: u32) -> Option<usize> {
        let wanted = self.files.get(number as usize)?;
        let file = File::open(&wanted.path).ok()?;
        // Another file may have come in the place of the one scanned, or a link.
        if Stamp::of(&file.metadata().ok()?) != wanted.stamp {
            return None;
        }
        let opened = Open { number, file, used_at: self.clock };
        let place = if self.open.len() < self.open_max {
            self.open.push(opened);
            self.open.len() - 1
        } else {
            let (place, oldest) =
                self.open.iter_mut().enumerate().min_by_key(|(_, open)| open.used_at)?;
            self.places[oldest.number as usize] = CLOSED;
            *oldest = opened;
            place
        };
        self.places[number as usize] = place as u8;
        Some(place)
    }
}

impl Bodies for DiskBodies {
    fn read_at(&mut self, file: FileId, offset: u64, out: &mut [u8]) -> ReadAt {
        let Some(file) = self.file(file.0) else { return ReadAt::Gone };
        match file.read_exact_at(out, offset) {
            Ok(()) => ReadAt::Done,
            Err(_) => ReadAt::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;
    use crate::testdir::TestDir;
    use std::fs;

    #[test]
    fn more_files_than_may_be_open_read_right_in_any_order() {
        let dir = TestDir::new("many-open");
        for i in 0..OPEN_MAX + 40 {
            fs::write(dir.path().join(format!("{i:04}")), format!("body {i}")).unwrap();
        }
        let site = Site::scan(dir.path()).unwrap();
        let mut bodies = DiskBodies::new(Arc::clone(&site.files), OPEN_MAX);
        let n = site.files.len();
        for step in 0..3 * n {
            // 89 is prime to n: every file comes up, far from its neighbours.
            let i = step * 89 % n;
            let expected = format!("body {i}");
            let mut out = vec![0; expected.len() - 1];
            assert_eq!(bodies.read_at(FileId(i as u32), 1, &mut out), ReadAt::Done);
            assert_eq!(out, &expected.as_bytes()[1..]);
            assert!(bodies.open.len() <= OPEN_MAX);
        }
    }

    #[test]
    fn a_file_that_changed_since_the_scan_is_gone() {
        let dir = TestDir::new("changed");
        for name in ["cut", "replaced", "removed"] {
            fs::write(dir.path().join(name), b"as it was scanned").unwrap();
        }
        let site = Site::scan(dir.path()).unwrap();
        let mut bodies = DiskBodies::new(Arc::clone(&site.files), OPEN_MAX);
        fs::write(dir.path().join("cut"), b"short").unwrap();
        fs::remove_file(dir.path().join("removed")).unwrap();
        fs::remove_file(dir.path().join("replaced")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("replaced")).unwrap();
        for i in 0..3 {
            let mut out = [0; 4];
            assert_eq!(bodies.read_at(FileId(i), 0, &mut out), ReadAt::Gone, "file {i}");
        }
    }
}
