//! The file format of a turn log, version 1.
//!
//! Fixed integers are little-endian. A *varint* is LEB128: seven bits a byte, lowest first, the
//! top bit set on all but the last byte, no longer than needed.
//!
//! | field | form |
//! |---|---|
//! | magic | the 8 bytes `simoomTL` |
//! | version | `u16`: 1 |
//! | capabilities | `frame_max` `u16`, `buffers` `u32`, `tx_slots` `u32`, `tx_hold_max` `u32`, `tx_hold_idle` `u32`, `max_frags` `u8`, `checksum` `u8` (bit 0 tx, bit 1 rx) |
//! | secrets | `u8`: 0 none, 1 four `u64` follow |
//! | configuration | varint length, at most [`CONFIG_BYTES_MAX`], and so many bytes of UTF-8 |
//! | turns | varint count, then each turn |
//! | output | varint frames, varint bytes, 16 bytes of digest |
//! | check | `u64`: SipHash-2-4 with a key of zero of every byte before |
//!
//! | a turn | form |
//! |---|---|
//! | `now` | varint: nanoseconds since the turn before (the first: since the start), modulo 2⁶⁴ |
//! | `tx_free`, `buffers_free` | varints |
//! | reclaims | varint count at most [`CALLS_MAX`]; each: varint completed, varint `tx_free` |
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

/// The version written, and the only one read.
pub const VERSION: u16 = 1;

/// Bytes of the configuration text at most: room for every setting with its name.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;

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
                write!(f, "turn log of version {found}; this program reads version {VERSION}")
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
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        self.header.write(&mut out)?;
        put_varint(&mut out, self.turns.len() as u64);
        let mut before = Instant::ZERO;
        for turn in &self.turns {
            turn.write(&mut out, before)?;
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
        let found = r.u16()?;
        if found != VERSION {
            return Err(LogError::Version { found });
        }
        let header = Header::read(&mut r)?;
        let count = r.varint()?;
        let mut turns = Vec::new();
        let mut before = Instant::ZERO;
        for _ in 0..count {
            let turn = Turn::read(&mut r, before)?;
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
}

impl Header {
    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
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
        put_bytes(out, self.config.as_bytes(), CONFIG_BYTES_MAX)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, LogError> {
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
        let text = r.bytes("length of the configuration", CONFIG_BYTES_MAX)?;
        let start = r.at - text.len();
        let config = core::str::from_utf8(text)
            .map_err(|e| LogError::Text { offset: start + e.valid_up_to() })?;
        Ok(Self { caps, secrets, config: String::from(config) })
    }
}

impl Turn {
    fn write(&self, out: &mut Vec<u8>, before: Instant) -> Option<()> {
        put_varint(out, self.now.as_nanos().wrapping_sub(before.as_nanos()));
        put_varint(out, self.tx_free.into());
        put_varint(out, self.buffers_free.into());
        put_count(out, self.reclaims.len(), CALLS_MAX)?;
        for reclaim in &self.reclaims {
            put_varint(out, reclaim.completed.into());
            put_varint(out, reclaim.tx_free.into());
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

    fn read(r: &mut Reader<'_>, before: Instant) -> Result<Self, LogError> {
        let now = Instant::from_nanos(before.as_nanos().wrapping_add(r.varint()?));
        let tx_free = r.varint_u32("slots free")?;
        let buffers_free = r.varint_u32("buffers free")?;
        let mut reclaims = Vec::new();
        for _ in 0..r.varint_at_most("calls of reclaim", CALLS_MAX as u64)? {
            let completed = r.varint_u32("completions")?;
            reclaims.push(Reclaim { completed, tx_free: r.varint_u32("slots free")? });
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
