//! Scripts on spools: written in the order in which connections end, read in the order in which they
//! begin. In memory there is nothing of a connection that is not alive.

use super::{Script, code};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A place for bytes that need not stay in memory: a temporary file, or a vector in tests.
pub trait Spool: Read + Write + Seek {}

impl<T: Read + Write + Seek> Spool for T {}

/// Bytes of an entry of the index: where a script begins, and how long it is.
const ENTRY: u64 = 16;

/// The scripts of a capture by the number of their connection.
#[derive(Debug)]
pub struct ScriptStore<S> {
    /// An entry for each connection, at its serial number; zero where it has no script.
    index: S,
    scripts: S,
    /// Where the next script begins.
    end: u64,
    index_end: u64,
    count: u64,
    buffer: Vec<u8>,
}

impl<S: Spool> ScriptStore<S> {
    /// An empty store on two empty spools.
    pub fn new(index: S, scripts: S) -> Self {
        Self { index, scripts, end: 0, index_end: 0, count: 0, buffer: Vec::new() }
    }

    /// Scripts in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds the script of a connection that has none.
    ///
    /// # Errors
    /// What the spools answer.
    pub fn put(&mut self, script: &Script) -> io::Result<()> {
        self.buffer.clear();
        code::encode(script, &mut self.buffer);
        self.scripts.seek(SeekFrom::Start(self.end))?;
        self.scripts.write_all(&self.buffer)?;
        let len = self.buffer.len() as u64;
        let at = u64::from(script.flow.serial) * ENTRY;
        self.index.seek(SeekFrom::Start(at))?;
        let mut entry = [0; ENTRY as usize];
        entry[..8].copy_from_slice(&self.end.to_le_bytes());
        entry[8..].copy_from_slice(&len.to_le_bytes());
        self.index.write_all(&entry)?;
        self.index_end = self.index_end.max(at + ENTRY);
        self.end += len;
        self.count += 1;
        Ok(())
    }

    /// The script of a connection, where it has one.
    ///
    /// # Errors
    /// What the spools answer; of kind `InvalidData` where they hold something else.
    pub fn get(&mut self, serial: u32) -> io::Result<Option<Script>> {
        let at = u64::from(serial) * ENTRY;
        if at + ENTRY > self.index_end {
            return Ok(None);
        }
        self.index.seek(SeekFrom::Start(at))?;
        let (mut start, mut len) = ([0; 8], [0; 8]);
        self.index.read_exact(&mut start)?;
        self.index.read_exact(&mut len)?;
        let len = u64::from_le_bytes(len);
        if len == 0 {
            return Ok(None);
        }
        if len > self.end {
            return Err(damaged());
        }
        self.scripts.seek(SeekFrom::Start(u64::from_le_bytes(start)))?;
        self.buffer.resize(len as usize, 0);
        self.scripts.read_exact(&mut self.buffer)?;
        let script = code::decode(&self.buffer).ok_or_else(damaged)?;
        if script.flow.serial != serial { Err(damaged()) } else { Ok(Some(script)) }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the spool of scripts is damaged")
}
