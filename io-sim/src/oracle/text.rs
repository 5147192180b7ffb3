//! The newest bytes of a stream, to compare retransmissions with.
//!
//! Kept in chunks that return to a pool once they lie far behind what was acknowledged, so that a
//! long transfer works in little memory, nothing is moved as a stream grows, and idle connections
//! cost a chunk.

use super::{FlowName, OracleStats, WireViolation};
use std::collections::VecDeque;

/// Bytes of a chunk: a request and a short answer fit.
const CHUNK: usize = 4096;

/// Bytes below what was acknowledged that are still compared: a spurious retransmission repeats
/// what the peer has, and is no older than a window.
const KEPT_BEHIND: u64 = 64 * 1024;

/// Chunks that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Chunks(Vec<Box<[u8; CHUNK]>>);

impl Clone for Chunks {
    /// The clone makes its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Chunks {
    fn take(&mut self) -> Box<[u8; CHUNK]> {
        self.0.pop().unwrap_or_else(|| Box::new([0; CHUNK]))
    }
}

/// The newest bytes of one direction. Bytes are numbered from 1 on.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    /// The chunks that hold the bytes up to `end`; byte `n` is in chunk `(n - 1) / CHUNK` of the stream.
    chunks: VecDeque<Box<[u8; CHUNK]>>,
    /// The number of the first chunk kept.
    first: u64,
    /// Behind the last byte; 0 before the stream began.
    pub(super) end: u64,
}

impl Text {
    /// Compares what was sent before, and keeps what is new, at most `bytes_max` of it.
    #[inline]
    pub(super) fn check_and_keep(
        &mut self,
        first: u64,
        bytes: &[u8],
        bytes_max: usize,
        pool: &mut Chunks,
        name: &impl Fn() -> FlowName,
        stats: &mut OracleStats,
    ) -> Result<(), WireViolation> {
        let end = first + bytes.len() as u64;
        if first < self.end {
            let kept_from = self.kept_from(bytes_max);
            let from = first.max(kept_from);
            let upto = end.min(self.end);
            stats.forgotten_bytes += from.min(upto).saturating_sub(first);
            if from < upto {
                stats.compared_bytes += upto - from;
                self.check(from, &bytes[(from - first) as usize..(upto - first) as usize], name)?;
            }
        }
        if end > self.end {
            self.keep(&bytes[self.end.saturating_sub(first) as usize..], pool);
            self.forget_before(self.end.saturating_sub(bytes_max as u64), pool);
        }
        Ok(())
    }

    /// Everything below `acknowledged` has arrived and was acknowledged.
    #[inline]
    pub(super) fn on_acknowledged(&mut self, acknowledged: u64, pool: &mut Chunks) {
        if acknowledged > self.first * CHUNK as u64 + KEPT_BEHIND + CHUNK as u64 {
            self.forget_before(acknowledged.min(self.end) - KEPT_BEHIND, pool);
        }
    }

    /// Gives everything back: another stream begins.
    pub(super) fn give_back(&mut self, pool: &mut Chunks) {
        pool.0.extend(self.chunks.drain(..));
    }

    /// The first byte that is still there.
    #[inline]
    fn kept_from(&self, bytes_max: usize) -> u64 {
        (self.first * CHUNK as u64 + 1).max(self.end.saturating_sub(bytes_max as u64)).max(1)
    }

    /// Chunk and place in it of a byte that is there.
    #[inline]
    fn place(&self, number: u64) -> (usize, usize) {
        let offset = number - 1;
        ((offset / CHUNK as u64 - self.first) as usize, (offset % CHUNK as u64) as usize)
    }

    #[inline]
    fn check(
        &self,
        from: u64,
        bytes: &[u8],
        name: &impl Fn() -> FlowName,
    ) -> Result<(), WireViolation> {
        let (mut chunk, mut at) = self.place(from);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(CHUNK - at));
            let was = &self.chunks[chunk][at..at + now.len()];
            if was != now {
                let n = (0..now.len()).find(|n| was[*n] != now[*n]).unwrap_or_default();
                return Err(WireViolation::ByteChanged {
                    flow: name(),
                    offset: from - 1 + (bytes.len() - rest.len() + n) as u64,
                    was: was[n],
                    is: now[n],
                });
            }
            (chunk, at, rest) = (chunk + 1, 0, later);
        }
        Ok(())
    }

    /// Appends bytes.
    #[inline]
    fn keep(&mut self, bytes: &[u8], pool: &mut Chunks) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (chunk, at) = self.place(self.end);
            if chunk == self.chunks.len() {
                self.chunks.push_back(pool.take());
            }
            let (now, later) = rest.split_at(rest.len().min(CHUNK - at));
            self.chunks[chunk][at..at + now.len()].copy_from_slice(now);
            self.end += now.len() as u64;
            rest = later;
        }
    }

    /// Gives the chunks back that lie wholly below byte `number`.
    #[inline]
    fn forget_before(&mut self, number: u64, pool: &mut Chunks) {
        while (self.first + 1) * (CHUNK as u64) < number
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.first += 1;
            pool.0.push(chunk);
        }
    }
}
