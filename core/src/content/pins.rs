//! Pinned fields, held by value while a response's first bytes are sent.

use super::Pin;
use crate::wire::checksum::{Sum, sum};

/// Bytes that the pinned fields of one object hold together, at most.
pub const PINNED_BYTES_MAX: usize = 64;

/// Up to two pinned fields of one response, copied out of the application so that it can be asked
/// for content meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct PinnedFields {
    /// Offset in the object and length of each; a length of 0 is no field.
    fields: [(u16, u8); 2],
    bytes: [u8; PINNED_BYTES_MAX],
}

impl PinnedFields {
    /// No field at all.
    pub const NONE: Self = Self { fields: [(0, 0); 2], bytes: [0; PINNED_BYTES_MAX] };

    /// Copies the fields.
    ///
    /// # Panics
    /// Where the application breaks its contract: a field beyond [`Pin::REACH`], or more than
    /// [`PINNED_BYTES_MAX`] bytes together.
    pub fn new(pins: &[Option<Pin<'_>>; 2]) -> Self {
        let mut all = Self::NONE;
        let mut filled = 0;
        for (field, pin) in all.fields.iter_mut().zip(pins) {
            let Some(pin) = pin else { continue };
            let len = pin.bytes.len();
            assert!(
                usize::from(pin.offset) + len <= Pin::REACH && filled + len <= PINNED_BYTES_MAX,
                "a pinned field reaches beyond what an object may pin"
            );
            all.bytes[filled..filled + len].copy_from_slice(pin.bytes);
            *field = (pin.offset, len as u8);
            filled += len;
        }
        all
    }

    /// Calls `each` with the offset in the object and the bytes of every field.
    #[inline]
    fn for_each(&self, mut each: impl FnMut(usize, &[u8])) {
        let mut start = 0;
        for (offset, len) in self.fields {
            let len = usize::from(len);
            if len != 0 {
                each(usize::from(offset), &self.bytes[start..start + len]);
                start += len;
            }
        }
    }

    /// Where the last of the fields ends in the object; 0 where there is none.
    #[inline]
    pub(super) fn end(&self) -> usize {
        let ends = self.fields.iter().filter(|(_, len)| *len != 0);
        ends.map(|(offset, len)| usize::from(*offset) + usize::from(*len)).max().unwrap_or(0)
    }

    /// Overwrites what `payload`, which starts at `offset` of the object, shows of the fields.
    pub fn apply(&self, offset: u64, payload: &mut [u8]) {
        self.for_each(|at, bytes| {
            if let Some((shown, from)) = overlap(offset, payload, at, bytes.len()) {
                shown.copy_from_slice(&bytes[from..from + shown.len()]);
            }
        });
    }

    /// Clears what `payload` shows of the fields.
    pub(super) fn clear(&self, offset: u64, payload: &mut [u8]) {
        self.for_each(|at, bytes| {
            if let Some((shown, _)) = overlap(offset, payload, at, bytes.len()) {
                shown.fill(0);
            }
        });
    }

    /// Writes all fields into the first segment of an object, where they were cleared, and answers
    /// what they add to its sum.
    #[inline]
    pub(super) fn write(&self, payload: &mut [u8]) -> Sum {
        let mut total = Sum::ZERO;
        self.for_each(|at, bytes| {
            payload[at..at + bytes.len()].copy_from_slice(bytes);
            total = total.combine_at(sum(bytes), at);
        });
        total
    }
}

/// The part of `payload` (which starts at `offset` of the object) that the `len` bytes from `at`
/// on cover, and how many of those lie before it.
fn overlap(offset: u64, payload: &mut [u8], at: usize, len: usize) -> Option<(&mut [u8], usize)> {
    let offset = usize::try_from(offset).ok()?;
    let start = at.max(offset);
    let end = (at + len).min(offset.saturating_add(payload.len()));
    if start >= end {
        return None;
    }
    Some((&mut payload[start - offset..end - offset], start - at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn fields() -> PinnedFields {
        PinnedFields::new(&[
            Some(Pin { offset: 3, bytes: b"abcde" }),
            Some(Pin { offset: 11, bytes: b"XY" }),
        ])
    }

    #[test]
    fn apply_in_pieces_equals_apply_in_one() {
        let mut whole = vec![b'.'; 16];
        fields().apply(0, &mut whole);
        assert_eq!(whole, b"...abcde...XY...");
        for first in 0..16 {
            for second in first..16 {
                let mut pieces = Vec::new();
                for (from, to) in [(0, first), (first, second), (second, 16)] {
                    let mut piece = vec![b'.'; to - from];
                    fields().apply(from as u64, &mut piece);
                    pieces.extend(piece);
                }
                assert_eq!(pieces, whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn write_adds_exactly_the_sum_of_the_fields_at_odd_and_even_offsets() {
        let mut payload: Vec<u8> = (0..32).collect();
        fields().clear(0, &mut payload);
        let cleared = sum(&payload);
        let added = fields().write(&mut payload);
        assert_eq!(&payload[3..8], b"abcde");
        assert_eq!(&payload[11..13], b"XY");
        assert_eq!(cleared.combine(added).fold(), sum(&payload).fold());
    }

    #[test]
    fn clear_beyond_the_payload_touches_nothing() {
        let mut payload = vec![7; 4];
        fields().clear(13, &mut payload);
        assert_eq!(payload, [7; 4]);
        fields().clear(9, &mut payload);
        assert_eq!(payload, [7, 7, 0, 0]);
    }

    #[test]
    #[should_panic(expected = "pinned field")]
    fn a_field_beyond_the_reach_is_the_callers_fault() {
        let _ = PinnedFields::new(&[Some(Pin { offset: 511, bytes: b"ab" }), None]);
    }
}
