//! A window that moves over an input: as many bytes as were asked for, in one piece.
//!
//! Must not know formats. Grows to little more than what is asked for; whoever asks has a bound.

use std::io::{self, ErrorKind, Read};

/// Bytes asked of the reader at once. Large enough that a system call is rare, small enough that
/// what was read is still in the second-level cache when it is dissected.
pub(super) const CHUNK: usize = 256 * 1024;

pub(super) struct Window {
    /// None once it has said that nothing follows, or failed.
    reader: Option<Box<dyn Read>>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Where `start` lies in the input.
    offset: u64,
    /// Bytes moved to the front.
    #[cfg(test)]
    pub(super) copied: u64,
}

impl Window {
    pub(super) fn new(reader: Box<dyn Read>) -> Self {
        Self {
            reader: Some(reader),
            bytes: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            #[cfg(test)]
            copied: 0,
        }
    }

    /// Where the window begins in the input.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Everything that is there without asking the reader.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Makes at least `need` bytes be there, fewer only where the input ends. Answers how many are.
    #[inline]
    pub(super) fn fill(&mut self, need: usize) -> io::Result<usize> {
        let have = self.end - self.start;
        if have >= need { Ok(have) } else { self.read(need) }
    }

    #[cold]
    fn read(&mut self, need: usize) -> io::Result<usize> {
        // What is left moves to the front where it is little, or where there is no room behind it.
        // Then there are CHUNK / 2 bytes of room at least, and it moves no more until they are
        // consumed: whoever asks for far more than it takes, byte for byte, copies a bounded
        // number of times what it reads.
        let have = self.end - self.start;
        if self.reader.is_none() {
            return Ok(have);
        }
        if have <= CHUNK / 8 || self.start + need > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            #[cfg(test)]
            {
                self.copied += have as u64;
            }
            (self.start, self.end) = (0, have);
            let room = if need <= CHUNK / 2 { CHUNK } else { need + CHUNK };
            if self.bytes.len() < room {
                self.bytes.resize(room, 0);
            }
        }
        let need = self.start + need;
        while self.end < need
            && let Some(reader) = &mut self.reader
        {
            match reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => self.reader = None,
                // A reader that claims more than it was given room for is not believed.
                Ok(count) => self.end = (self.end + count).min(self.bytes.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.reader = None;
                    return Err(error);
                }
            }
        }
        Ok(self.end - self.start)
    }

    /// Moves the start forward over bytes that are there.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Moves the start forward by `count` bytes, without keeping them. Answers how many there were.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let have = self.fill(1)?.min(usize::try_from(left).unwrap_or(usize::MAX));
            if have == 0 {
                break;
            }
            self.consume(have);
            left -= have as u64;
        }
        Ok(count - left)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives the memory back: nothing more will be asked for.
    pub(super) fn close(&mut self) {
        self.reader = None;
        self.bytes = Vec::new();
        (self.start, self.end) = (0, 0);
    }
}
