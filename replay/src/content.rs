//! What a replayed server says: octets made from the connection's number and the stream offset, or
//! those that were captured.

use crate::script::store::Spool;
use simoom_core::content::{ContentSource, ObjectId, ReadAt};
use std::fmt;
use std::io::SeekFrom;

/// Octets after which synthetic text comes again.
const PERIOD: usize = 1 << 16;

/// Octets of one region of the spool of captured text. A connection has one at a time to fill.
pub const REGION: u64 = 1 << 16;

/// Where in the spool the text of one connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The spool's offset of each [`REGION`] of the stream, in order.
    pub regions: Vec<u64>,
    /// Stream offsets of what the capture does not hold, from (inclusive) and upto (exclusive),
    /// ascending. Filled synthetically.
    pub gaps: Vec<(u64, u64)>,
}

/// The text of a replayed server.
pub struct Content {
    table: Box<[u8]>,
    /// Captured text, and where the connection at hand has its own.
    spool: Option<Box<dyn Spool>>,
    kept: Kept,
    serial: u32,
    /// Stream offset of the object at hand.
    base: u64,
    fills: bool,
}

impl Content {
    /// Synthetic text. `fills`: whether anybody looks at it; else buffers are left as they are.
    pub fn synthetic(fills: bool) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut table = vec![0; 2 * PERIOD];
        for word in table[..PERIOD].chunks_exact_mut(8) {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            word.copy_from_slice(&(z ^ z >> 31).to_le_bytes());
        }
        table.copy_within(..PERIOD, PERIOD);
        Self {
            table: table.into_boxed_slice(),
            spool: None,
            kept: Kept::default(),
            serial: 0,
            base: 0,
            fills,
        }
    }

    /// Names what [`ContentSource::read_at`] reads from here on: the object that begins at stream
    /// offset `base` of a connection.
    #[inline]
    pub(crate) fn point_at(&mut self, serial: u32, base: u64) {
        self.serial = serial;
        self.base = base;
    }

    /// Fills `out` with the synthetic octets of a connection from a stream offset on.
    pub fn synthesize(&self, serial: u32, offset: u64, out: &mut [u8]) {
        let phase = u64::from(serial).wrapping_mul(40_503);
        let mut at = (offset.wrapping_add(phase) % PERIOD as u64) as usize;
        for piece in out.chunks_mut(PERIOD) {
            piece.copy_from_slice(&self.table[at..at + piece.len()]);
            at = (at + piece.len()) % PERIOD;
        }
    }

    fn read_kept(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        let (mut at, mut rest) = (offset, out);
        while !rest.is_empty() {
            let in_region = at % REGION;
            let n = (REGION - in_region).min(rest.len() as u64) as usize;
            let (piece, after) = rest.split_at_mut(n);
            if let Some(region) = self.kept.regions.get((at / REGION) as usize) {
                spool.seek(SeekFrom::Start(region + in_region))?;
                spool.read_exact(piece)?;
            }
            at += n as u64;
            rest = after;
        }
        Ok(())
    }
}

impl ContentSource for Content {
    fn read_at(&mut self, _object: ObjectId, offset: u64, out: &mut [u8]) -> ReadAt {
        if self.fills {
            let from = self.base + offset;
            self.synthesize(self.serial, from, out);
            if self.spool.is_some() && self.read_kept(from, out).is_err() {
                return ReadAt::Gone;
            }
        }
        ReadAt::Done
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("kept", &self.spool.is_some()).finish_non_exhaustive()
    }
}
