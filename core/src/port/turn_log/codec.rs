//! The file format of a turn log, versions 1 and 2. A log is written in the first version that can
//! say all of it.
//!
//! Fixed integers are little-endian. A *varint* is LEB128: seven bits a byte, lowest first, the
//! top bit set on all but the last byte, no longer than needed.
//!
//! | field | form |
//! |---|---|
//! | magic | the 8 bytes `simoomTL` |
//! | version | `u16`: 1 or 2 |
//! | capabilities | `frame_max` `u16`, `buffers` `u32`, `tx_slots` `u32`, `tx_hold_max` `u32`, `tx_hold_idle` `u32`, `max_frags` `u8`, `checksum` `u8` (bit 0 tx, bit 1 rx) |
//! | secrets | `u8`: 0 none, 1 four `u64` follow |
//! | configuration | varint length, at most [`CONFIG_BYTES_MAX`] (in version 1 [`CONFIG_BYTES_MAX_1`]), and so many bytes of UTF-8 |
//! | content, version 2 only | varint count at most [`CONTENT_FILES_MAX`]; each: varint length at most [`CONTENT_BYTES_MAX`], and the bytes |
//! | turns | varint count, then each turn |
//! | output | varint frames, varint bytes, 16 bytes of digest |
//! | check | `u64`: SipHash-2-4 with a key of zero of every byte before |
//!
//! | a turn | form |
//! |---|---|
//! | `now` | varint: nanoseconds since the turn before (the first: since the start), modulo 2⁶⁴ |
//! | `tx_free`, `buffers_free` | varints |
//! | reclaims | varint count at most [`CALLS_MAX`]; each: varint completed, varint `tx_free`; in version 2 also varint count of those without bytes, at most completed, and for each the varint number of completions since the one before (the first: since the beginning) |
//! | received | varint count at most [`CALLS_MAX`]; each batch: varint count at most [`BATCH_MAX`]; each frame: varint length at most [`FRAME_BYTES_MAX`], and the bytes |
//!
//! Decoding takes time and memory in proportion to the file, whatever it says; nothing is
//! allocated on the word of a count alone.

use super::{Header, Output, Reclaim, Turn, TurnLog};
use crate::port::{BATCH_MAX, ChecksumOffload, PortCaps};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// The first bytes of every turn log.
pub const MAGIC: [u8; 8] = *b"simoomTL";

/// The newest version. Older ones are read too.
pub const VERSION: u16 = 2;

/// Bytes of the configuration text at most: room for every setting, and for the names of more than
/// 100,000 files.
pub const CONFIG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The same in version 1.
pub const CONFIG_BYTES_MAX_1: usize = 64 * 1024;

/// Bodies that a log carries at most.
pub const CONTENT_FILES_MAX: usize = 65_536;

/// Bytes of one of them at most.
pub const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Calls of `receive`, and of `reclaim`, in one turn at most. A turn makes one or two; a busy ring
/// drained in one turn makes its slots divided by [`BATCH_MAX`].
pub const CALLS_MAX: usize = 4096;

/// Bytes of one frame at most: what a 16-bit length can say.
pub const FRAME_BYTES_MAX: usize = u16::MAX as usize;

/// Why a file is no turn log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError {
    /// The file does not begin with [`MAGIC`].
    NotATurnLog,
    /// The file has a version that this code does not read.
    Version {
        /// The version found.
        found: u16,
    },
    /// The file ends inside a field.
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// Bytes that it needs.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// A number is larger than it may be.
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// Where it begins.
        offset: usize,
        /// What it says.
        value: u64,
        /// What it may be at most.
        max: u64,
    },
    /// A varint is longer than needed, or than 64 bits.
    Varint {
        /// Where it begins.
        offset: usize,
    },
    /// The configuration is not UTF-8.
    Text {
        /// The first byte that is none.
        offset: usize,
    },
    /// The bytes do not match the check at the end: the file was damaged.
    Check,
    /// Bytes follow the end.
    Trailing {
        /// Where they begin.
        offset: usize,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotATurnLog => {
                f.write_str("not a turn log: the first bytes are not \"simoomTL\"")
            }
            Self::Version { found } => {
                write!(f, "turn log of version {found}; this program reads versions 1 to {VERSION}")
            }
            Self::Truncated { offset, need, have } => write!(
                f,
                "turn log ends early: a field at byte {offset} needs {need} bytes, {have} are left"
            ),
            Self::OutOfRange { field, offset, value, max } => {
                write!(f, "turn log: {field} at byte {offset} is {value}, more than {max}")
            }
            Self::Varint { offset } => {
                write!(f, "turn log: the number at byte {offset} is longer than it may be")
            }
            Self::Text { offset } => {
                write!(f, "turn log: the configuration is not UTF-8 at byte {offset}")
            }
            Self::Check => f.write_str("turn log damaged: its bytes do not match its check"),
            Self::Trailing { offset } => {
                write!(f, "turn log: bytes follow its end at byte {offset}")
            }
        }
    }
}

impl core::error::Error for LogError {}

impl TurnLog {
    /// Writes the log. None where a part is longer than the format allows (a text, a batch, the
    /// calls of a turn, a frame): the bounds of this module.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let version = if self.fits_version_1() { 1 } else { VERSION };
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&version.to_le_bytes());
        self.header.write(&mut out, version)?;
        put_varint(&mut out, self.turns.len() as u64);
        let mut before = Instant::ZERO;
        for turn in &self.turns {
            turn.write(&mut out, before, version)?;
            before = turn.now;
        }
        put_varint(&mut out, self.output.frames);
        put_varint(&mut out, self.output.bytes);
        out.extend_from_slice(&self.output.digest);
        let check = check(&out);
        out.extend_from_slice(&check.to_le_bytes());
        Some(out)
    }

    /// Reads a log that [`TurnLog::encode`] wrote.
    pub fn decode(file: &[u8]) -> Result<Self, LogError> {
        if !file.starts_with(&MAGIC) {
            return Err(LogError::NotATurnLog);
        }
        let mut r = Reader { file, at: MAGIC.len() };
        let version = r.u16()?;
        if !(1..=VERSION).contains(&version) {
            return Err(LogError::Version { found: version });
        }
        let header = Header::read(&mut r, version)?;
        let count = r.varint()?;
        let mut turns = Vec::new();
        let mut before = Instant::ZERO;
        for _ in 0..count {
            let turn = Turn::read(&mut r, before, version)?;
            before = turn.now;
            turns.push(turn);
        }
        let output = Output { frames: r.varint()?, bytes: r.varint()?, digest: r.array()? };
        let expected = check(r.read());
        if r.u64()? != expected {
            return Err(LogError::Check);
        }
        if r.at != file.len() {
            return Err(LogError::Trailing { offset: r.at });
        }
        Ok(Self { header, turns, output })
    }

    fn fits_version_1(&self) -> bool {
        let Header { config, content, .. } = &self.header;
        config.len() <= CONFIG_BYTES_MAX_1
            && content.is_empty()
            && self.turns.iter().flat_map(|turn| &turn.reclaims).all(|r| r.lost.is_empty())
    }
}

impl Header {
    fn write(&self, out: &mut Vec<u8>, version: u16) -> Option<()> {
        let PortCaps {
            frame_max,
            buffers,
            tx_slots,
            tx_hold_max,
            tx_hold_idle,
            max_frags,
            checksum,
        } = self.caps;
        out.extend_from_slice(&frame_max.to_le_bytes());
        for word in [buffers, tx_slots, tx_hold_max, tx_hold_idle] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.push(max_frags);
        out.push(u8::from(checksum.tx) | u8::from(checksum.rx) << 1);
        out.push(u8::from(self.secrets.is_some()));
        for word in self.secrets.iter().flatten() {
            out.extend_from_slice(&word.to_le_bytes());
        }
        put_bytes(out, self.config.as_bytes(), CONFIG_BYTES_MAX)?;
        if version > 1 {
            put_count(out, self.content.len(), CONTENT_FILES_MAX)?;
            for body in &self.content {
                put_bytes(out, body, CONTENT_BYTES_MAX)?;
            }
        }
        Some(())
    }

    fn read(r: &mut Reader<'_>, version: u16) -> Result<Self, LogError> {
        let frame_max = r.u16()?;
        let (buffers, tx_slots, tx_hold_max, tx_hold_idle) =
            (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
        let max_frags = r.u8()?;
        let bits = r.u8_at_most("checksum offload", 3)?;
        let checksum = ChecksumOffload { tx: bits & 1 != 0, rx: bits & 2 != 0 };
        let caps = PortCaps {
            frame_max,
            buffers,
            tx_slots,
            tx_hold_max,
            tx_hold_idle,
            max_frags,
            checksum,
        };
        let secrets = match r.u8_at_most("secrets", 1)? {
            0 => None,
            _ => Some([r.u64()?, r.u64()?, r.u64()?, r.u64()?]),
        };
        let text_max = if version == 1 { CONFIG_BYTES_MAX_1 } else { CONFIG_BYTES_MAX };
        let text = r.bytes("length of the configuration", text_max)?;
        let start = r.at - text.len();
        let config = core::str::from_utf8(text)
            .map_err(|e| LogError::Text { offset: start + e.valid_up_to() })?;
        let mut content = Vec::new();
        if version > 1 {
            for _ in 0..r.varint_at_most("bodies", CONTENT_FILES_MAX as u64)? {
                content.push(r.bytes("length of a body", CONTENT_BYTES_MAX)?.to_vec());
            }
        }
        Ok(Self { caps, secrets, config: String::from(config), content })
    }
}

impl Turn {
    fn write(&self, out: &mut Vec<u8>, before: Instant, version: u16) -> Option<()> {
        put_varint(out, self.now.as_nanos().wrapping_sub(before.as_nanos()));
        put_varint(out, self.tx_free.into());
        put_varint(out, self.buffers_free.into());
        put_count(out, self.reclaims.len(), CALLS_MAX)?;
        for reclaim in &self.reclaims {
            reclaim.write(out, version)?;
        }
        put_count(out, self.received.len(), CALLS_MAX)?;
        for batch in &self.received {
            put_count(out, batch.len(), BATCH_MAX)?;
            for frame in batch {
                put_bytes(out, frame, FRAME_BYTES_MAX)?;
            }
        }
        Some(())
    }

    fn read(r: &mut Reader<'_>, before: Instant, version: u16) -> Result<Self, LogError> {
        let now = Instant::from_nanos(before.as_nanos().wrapping_add(r.varint()?));
        let tx_free = r.varint_u32("slots free")?;
        let buffers_free = r.varint_u32("buffers free")?;
        let mut reclaims = Vec::new();
        for _ in 0..r.varint_at_most("calls of reclaim", CALLS_MAX as u64)? {
            reclaims.push(Reclaim::read(r, version)?);
        }
        let mut received = Vec::new();
        for _ in 0..r.varint_at_most("calls of receive", CALLS_MAX as u64)? {
            let mut batch = Vec::new();
            for _ in 0..r.varint_at_most("frames of a batch", BATCH_MAX as u64)? {
                batch.push(r.bytes("length of a frame", FRAME_BYTES_MAX)?.to_vec());
            }
            received.push(batch);
        }
        Ok(Self { now, tx_free, buffers_free, reclaims, received })
    }
}

impl Reclaim {
    fn write(&self, out: &mut Vec<u8>, version: u16) -> Option<()> {
        put_varint(out, self.completed.into());
        put_varint(out, self.tx_free.into());
        if version > 1 {
            put_count(out, self.lost.len(), self.completed as usize)?;
            let mut next = 0;
            for &place in &self.lost {
                put_varint(out, place.checked_sub(next)?.into());
                next = place.checked_add(1)?;
            }
            if next > self.completed {
                return None;
            }
        }
        Some(())
    }

    fn read(r: &mut Reader<'_>, version: u16) -> Result<Self, LogError> {
        let completed = r.varint_u32("completions")?;
        let tx_free = r.varint_u32("slots free")?;
        let (mut lost, mut next) = (Vec::new(), 0);
        if version > 1 {
            for _ in 0..r.varint_at_most("completions without bytes", completed.into())? {
                let left = u64::from(completed - next);
                let offset = r.at;
                let skipped = r.varint()?;
                if skipped >= left {
                    let (field, max) = ("place of a completion", left.saturating_sub(1));
                    return Err(LogError::OutOfRange { field, offset, value: skipped, max });
                }
                lost.push(next + skipped as u32);
                next += skipped as u32 + 1;
            }
        }
        Ok(Self { completed, tx_free, lost })
    }
}

/// The check at the end of a file whose other bytes are `bytes`.
fn check(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytes);
    hasher.finish()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_count(out: &mut Vec<u8>, count: usize, max: usize) -> Option<()> {
    put_varint(out, count as u64);
    (count <= max).then_some(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], max: usize) -> Option<()> {
    put_count(out, bytes.len(), max)?;
    out.extend_from_slice(bytes);
    Some(())
}

/// What is left of a file.
struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The bytes before this point.
    fn read(&self) -> &'a [u8] {
        self.file.get(..self.at).unwrap_or(&[])
    }

    fn take(&mut self, need: usize) -> Result<&'a [u8], LogError> {
        let rest = self.file.get(self.at..).unwrap_or(&[]);
        let Some(field) = rest.get(..need) else {
            return Err(LogError::Truncated { offset: self.at, need, have: rest.len() });
        };
        self.at += need;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, LogError> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, LogError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, LogError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, LogError> {
        self.array().map(u64::from_le_bytes)
    }

    fn u8_at_most(&mut self, field: &'static str, max: u8) -> Result<u8, LogError> {
        let offset = self.at;
        let value = self.u8()?;
        in_range(field, offset, value.into(), max.into())?;
        Ok(value)
    }

    fn varint(&mut self) -> Result<u64, LogError> {
        let offset = self.at;
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit; a last byte of zero says nothing.
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(LogError::Varint { offset });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(LogError::Varint { offset })
    }

    fn varint_at_most(&mut self, field: &'static str, max: u64) -> Result<u64, LogError> {
        let offset = self.at;
        let value = self.varint()?;
        in_range(field, offset, value, max)?;
        Ok(value)
    }

    fn varint_u32(&mut self, field: &'static str) -> Result<u32, LogError> {
        self.varint_at_most(field, u32::MAX.into()).map(|value| value as u32)
    }

    fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], LogError> {
        let len = self.varint_at_most(field, max as u64)?;
        self.take(len as usize)
    }
}

fn in_range(field: &'static str, offset: usize, value: u64, max: u64) -> Result<(), LogError> {
    if value > max { Err(LogError::OutOfRange { field, offset, value, max }) } else { Ok(()) }
}
