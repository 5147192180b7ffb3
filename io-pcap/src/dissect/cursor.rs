//! What is left of a frame behind the headers that were read.

use super::OtherKind;

/// The rest of a frame: what was captured of it, and how long it was on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    /// The captured bytes: never more than `wire`.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire.
    pub(super) wire: u32,
}

impl<'a> Rest<'a> {
    pub(super) fn new(bytes: &'a [u8], wire: u32) -> Self {
        Self { bytes, wire: wire.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) }
    }

    /// Why a header does not fit: the capture was cut, or the frame is too short for it.
    pub(super) fn too_short(self) -> OtherKind {
        if (self.bytes.len() as u64) < u64::from(self.wire) {
            OtherKind::CutHeader
        } else {
            OtherKind::BadHeader
        }
    }

    /// The first `N` bytes, and what follows.
    pub(super) fn take<const N: usize>(self) -> Result<(&'a [u8; N], Self), OtherKind> {
        let (first, bytes) = self.bytes.split_first_chunk::<N>().ok_or_else(|| self.too_short())?;
        Ok((first, Self { bytes, wire: self.wire - N as u32 }))
    }

    /// What follows the first `count` bytes; nothing where fewer were captured.
    pub(super) fn skip(self, count: usize) -> Self {
        let bytes = self.bytes.get(count..).unwrap_or(&[]);
        Self { bytes, wire: self.wire.saturating_sub(count as u32) }
    }

    /// The first `wire` bytes, on the wire, as far as they were captured. A length beyond the
    /// frame's is taken at its word: what is missing counts as cut.
    pub(super) fn limit(self, wire: u32) -> Self {
        let bytes = self.bytes.get(..wire as usize).unwrap_or(self.bytes);
        Self { bytes, wire }
    }

    /// Whether everything that was on the wire is here.
    pub(super) fn is_whole(self) -> bool {
        self.bytes.len() as u64 == u64::from(self.wire)
    }
}
