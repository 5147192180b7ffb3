//! The segments of a capture: every frame read, dissected, its fragments put together. What
//! splitting, analysis and replay read.
//!
//! Must not know connections. Every frame of the capture gives exactly one [`Item`], so that
//! whoever counts items accounts for every frame.

mod fragments;
#[cfg(test)]
mod tests;

pub use fragments::{
    DATAGRAM_AGE_MAX_NANOS, DATAGRAM_BYTES_MAX, DATAGRAM_RANGES_MAX, DATAGRAMS_MAX,
    FRAGMENT_BYTES_MAX, FragmentStats,
};

use crate::dissect::{Checksums, Dissected, OtherKind, dissect_bytes};
use crate::read::{Capture, FrameInfo, ReadError, ReadStats};
use fragments::Reassembly;

/// One frame of a capture and what it was.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The frame.
    pub frame: FrameInfo,
    /// What it was. The fragment that completes a datagram gives what the whole datagram holds; the
    /// others give themselves.
    pub what: Dissected<'a>,
}

/// What the frames were. All but `fragment` together, and `frames`, are the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Frames given.
    pub frames: u64,
    /// TCP segments.
    pub segments: u64,
    /// Fragments that completed no datagram.
    pub fragments: u64,
    /// The rest, in the order of [`OtherKind::ALL`].
    pub other: [u64; OtherKind::ALL.len()],
    /// What became of fragments.
    pub fragment: FragmentStats,
}

impl SegmentStats {
    /// Frames of this kind.
    pub const fn other(&self, kind: OtherKind) -> u64 {
        self.other[kind as usize]
    }
}

/// The segments of a capture.
#[derive(Debug)]
pub struct Segments {
    capture: Capture,
    sums: Checksums,
    fragments: Reassembly,
    stats: SegmentStats,
}

impl Segments {
    /// The segments of `capture`, their checksums verified.
    pub fn new(capture: Capture) -> Self {
        Self::with_checksums(capture, Checksums::Verify)
    }

    /// The segments of `capture`.
    pub fn with_checksums(capture: Capture, sums: Checksums) -> Self {
        let (fragments, stats) = (Reassembly::default(), SegmentStats::default());
        Self { capture, sums, fragments, stats }
    }

    /// The next frame and what it was; None at the end of the capture. Errors are those of
    /// [`Capture::next_frame`].
    #[expect(clippy::should_implement_trait, reason = "an item borrows, an iterator's cannot")]
    pub fn next(&mut self) -> Option<Result<Item<'_>, ReadError>> {
        let frame = match self.capture.next_frame()? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error)),
        };
        let info = frame.info();
        let mut what = dissect_bytes(frame.link, frame.bytes, frame.wire_len, self.sums);
        if let Dissected::Fragment(fragment) = &what
            && let Some(whole) = self.fragments.on_fragment(info.at_unix_nanos, fragment, self.sums)
        {
            what = whole;
        }
        self.stats.frames += 1;
        match &what {
            Dissected::Segment(_) => self.stats.segments += 1,
            Dissected::Fragment(_) => self.stats.fragments += 1,
            Dissected::Other(kind) => self.stats.other[*kind as usize] += 1,
        }
        Some(Ok(Item { frame: info, what }))
    }

    /// What was counted so far.
    pub fn stats(&self) -> SegmentStats {
        SegmentStats { fragment: self.fragments.stats(), ..self.stats }
    }

    /// What reading counted so far.
    pub fn read_stats(&self) -> &ReadStats {
        self.capture.stats()
    }
}
