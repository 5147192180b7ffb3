//! What a replayed server says: octets made from the connection's number and the stream offset, or
//! those that were captured. Those lie on a spool, in regions; see [`keep`] for how they get there.

pub mod keep;

use crate::script::store::Spool;
use crate::tape::FlowRef;
use simoom_core::content::{ContentSource, ObjectId, ReadAt};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, SeekFrom};
use std::rc::Rc;

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

/// The text of a replayed server. Objects are named by the slot of their connection.
pub struct Content {
    table: Box<[u8]>,
    /// Captured text.
    spool: Option<Rc<RefCell<dyn Spool>>>,
    /// By slot: the connection's number, and where its captured text is.
    flows: Vec<(u32, Option<Kept>)>,
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
        let table = table.into_boxed_slice();
        Self { table, spool: None, flows: Vec::new(), base: 0, fills }
    }

    /// The same, and captured text where there is some.
    #[must_use]
    pub fn with_captured(self, spool: Option<Rc<RefCell<dyn Spool>>>) -> Self {
        Self { spool, ..self }
    }

    /// A connection begins.
    pub(crate) fn begin(&mut self, flow: FlowRef, kept: Option<Kept>) {
        let slot = flow.slot as usize;
        if self.flows.len() <= slot {
            self.flows.resize(slot + 1, (0, None));
        }
        self.flows[slot] = (flow.serial, kept);
    }

    /// A connection is over.
    pub(crate) fn forget(&mut self, slot: u32) {
        if let Some((_, kept)) = self.flows.get_mut(slot as usize) {
            *kept = None;
        }
    }

    /// Objects are read from this stream offset on, from here on.
    #[inline]
    pub(crate) fn point_at(&mut self, base: u64) {
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

    /// Captured octets of a stream from an offset on, up to the first that is not known: how many.
    pub(crate) fn captured(&self, slot: u32, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let Some((_, Some(kept))) = self.flows.get(slot as usize) else { return Ok(0) };
        let Some(spool) = &self.spool else { return Ok(0) };
        let held = (kept.regions.len() as u64 * REGION).saturating_sub(offset);
        let gap = kept.gaps.iter().find(|(_, upto)| *upto > offset).map(|(from, _)| *from);
        let known = gap.map_or(u64::MAX, |from| from.saturating_sub(offset)).min(held);
        let n = (out.len() as u64).min(known) as usize;
        kept.read(&mut *spool.borrow_mut(), offset, &mut out[..n])?;
        Ok(n)
    }

    fn fill(&self, slot: usize, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let Some((serial, kept)) = self.flows.get(slot) else { return Ok(()) };
        let (Some(kept), Some(spool)) = (kept, &self.spool) else {
            self.synthesize(*serial, offset, out);
            return Ok(());
        };
        kept.read(&mut *spool.borrow_mut(), offset, out)?;
        let end = offset + out.len() as u64;
        for &(from, upto) in &kept.gaps {
            let (from, upto) = (from.max(offset), upto.min(end));
            if from < upto {
                let part = &mut out[(from - offset) as usize..(upto - offset) as usize];
                self.synthesize(*serial, from, part);
            }
        }
        Ok(())
    }
}

impl Kept {
    /// Reads captured text from a stream offset on; what no region holds reads as zero.
    pub(crate) fn read(
        &self,
        spool: &mut dyn Spool,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let (mut at, mut rest) = (offset, out);
        while !rest.is_empty() {
            let in_region = at % REGION;
            let n = (REGION - in_region).min(rest.len() as u64) as usize;
            let (mut piece, after) = rest.split_at_mut(n);
            if let Some(region) = self.regions.get((at / REGION) as usize) {
                spool.seek(SeekFrom::Start(region + in_region))?;
                while !piece.is_empty() {
                    match spool.read(piece) {
                        Ok(0) => break,
                        Ok(n) => piece = &mut piece[n..],
                        Err(e) if e.kind() == ErrorKind::Interrupted => (),
                        Err(e) => return Err(e),
                    }
                }
            }
            piece.fill(0);
            at += n as u64;
            rest = after;
        }
        Ok(())
    }
}

impl ContentSource for Content {
    fn read_at(&mut self, object: ObjectId, offset: u64, out: &mut [u8]) -> ReadAt {
        if self.fills && self.fill(object.0 as usize, self.base + offset, out).is_err() {
            return ReadAt::Gone;
        }
        ReadAt::Done
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("kept", &self.spool.is_some()).finish_non_exhaustive()
    }
}
