//! Frames that say of every eight bytes whose they are, so that wrong bytes tell where they come from.

use simoom_core::wire::MacAddr;

/// IEEE 802's first EtherType for local experiments: no host takes such a frame for its own.
pub(super) const ETHERTYPE: u16 = 0x88b5;
/// Addresses, EtherType, length.
pub(super) const HEADER_LEN: usize = 16;
/// The shortest frame without its FCS (IEEE 802.3): a shorter one would be padded on the way.
pub(super) const FRAME_MIN: u16 = 60;
/// Frames can be numbered up to here; sixteen bits of a word are its place.
pub(super) const NUMBER_MAX: u64 = 1 << 47;

/// The contents of all frames of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    pub(super) seed: u64,
    pub(super) destination: MacAddr,
    pub(super) source: MacAddr,
    /// At least [`FRAME_MIN`].
    pub(super) len_max: u16,
}

impl Contents {
    /// Bytes of a frame: from the shortest to the longest, each as likely. Frames next to each other
    /// differ in it, which tells the place of a frame from its content.
    pub(super) fn len(&self, number: u64) -> u16 {
        let spread = u64::from(self.len_max - FRAME_MIN) + 1;
        FRAME_MIN + (scramble(number ^ self.seed.rotate_left(32)) % spread) as u16
    }

    /// Writes a frame to the start of a buffer; answers its length.
    pub(super) fn fill(&self, number: u64, buffer: &mut [u8]) -> u16 {
        let len = self.len(number);
        let (header, body) = buffer[..usize::from(len)].split_at_mut(HEADER_LEN);
        header[..6].copy_from_slice(&self.destination.0);
        header[6..12].copy_from_slice(&self.source.0);
        header[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
        header[14..].copy_from_slice(&len.to_be_bytes());
        for (place, chunk) in body.chunks_mut(8).enumerate() {
            let word = self.word(number, place).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        len
    }

    /// Writes what stands behind the first `at` bytes of a frame (a header and whole words) to a buffer, as
    /// far as the longest frame goes.
    pub(super) fn fill_behind(&self, number: u64, at: u16, buffer: &mut [u8]) {
        let first = (usize::from(at) - HEADER_LEN) / 8;
        let body = &mut buffer[..usize::from(self.len_max - at)];
        for (place, chunk) in (first..).zip(body.chunks_mut(8)) {
            let word = self.word(number, place).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    fn word(&self, number: u64, place: usize) -> u64 {
        scramble((number << 16 | place as u64) ^ self.seed)
    }

    /// Whose content a word is, if it is one that stands at this place.
    fn number_of(&self, word: u64, place: usize) -> Option<u64> {
        let plain = unscramble(word) ^ self.seed;
        (plain & 0xffff == place as u64 && plain >> 16 < NUMBER_MAX).then_some(plain >> 16)
    }

    /// Whose content stands around a byte of a frame; None where it is no frame's of this run.
    pub(super) fn seen_at(&self, frame: &[u8], offset: usize) -> Option<u64> {
        // The word that the byte is in, and the next: a change may begin inside of one.
        let first = offset.saturating_sub(HEADER_LEN) / 8;
        (first..=first + 1).find_map(|place| {
            let at = HEADER_LEN + 8 * place;
            let word = frame.get(at..at + 8)?;
            self.number_of(u64::from_le_bytes(word.try_into().expect("eight bytes")), place)
        })
    }

    /// Whether a frame is of this run, however damaged: its EtherType or one of its words says so.
    pub(super) fn is_ours(&self, frame: &[u8]) -> bool {
        frame.get(12..14) == Some(&ETHERTYPE.to_be_bytes())
            || (HEADER_LEN..frame.len()).step_by(8).any(|at| self.seen_at(frame, at).is_some())
    }
}

/// A sum of a frame's bytes in which each change shows.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let step = |sum: u64, word: u64| scramble(sum.rotate_left(5) ^ word);
    let mut chunks = bytes.chunks_exact(8);
    let mut sum = bytes.len() as u64;
    for chunk in &mut chunks {
        sum = step(sum, u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    chunks.remainder().iter().fold(sum, |sum, byte| step(sum, u64::from(*byte)))
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_INVERSE: u64 = inverse(ODD);

/// Spreads the bits of a word; can be taken back.
fn scramble(word: u64) -> u64 {
    let word = word.wrapping_mul(ODD);
    let word = (word ^ (word >> 32)).wrapping_mul(ODD);
    word ^ (word >> 32)
}

fn unscramble(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(ODD_INVERSE);
    (word ^ (word >> 32)).wrapping_mul(ODD_INVERSE)
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the right bits.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut step = 0;
    while step < 6 {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let (destination, source) = (MacAddr([0xff; 6]), MacAddr([2, 0, 0, 0, 0, 1]));
        Contents { seed: 7, destination, source, len_max: 1_514 }
    }

    #[test]
    fn every_word_says_whose_it_is_and_no_other_place_believes_it() {
        let contents = contents();
        for number in [0, 1, 77, 1_000_000, NUMBER_MAX - 1] {
            let mut frame = [0; 1_514];
            let len = contents.fill(number, &mut frame).into();
            for at in (HEADER_LEN..len - 16).step_by(8) {
                assert_eq!(contents.seen_at(&frame[..len], at + 3), Some(number));
            }
            assert!(contents.is_ours(&frame[..len]));
            frame[12] = 0;
            assert!(contents.is_ours(&frame[..len]), "its words still say so");
            assert_eq!(contents.seen_at(&frame[8..len], 40), None);
        }
        assert!(!contents.is_ours(&[0xdd; 200]));
        assert!(!contents.is_ours(&[0; 5]));
    }

    #[test]
    fn digest_sees_every_changed_byte_and_the_length() {
        let mut frame = [0; 100];
        let right = digest(&frame);
        for at in 0..frame.len() {
            frame[at] ^= 0x10;
            assert_ne!(digest(&frame), right, "byte {at}");
            frame[at] ^= 0x10;
        }
        assert_ne!(digest(&frame[..99]), right);
    }

    #[test]
    fn lengths_reach_both_ends() {
        let contents = Contents { len_max: FRAME_MIN + 3, ..contents() };
        let lens: Vec<_> = (0..64).map(|n| contents.len(n)).collect();
        assert_eq!(lens.iter().min(), Some(&FRAME_MIN));
        assert_eq!(lens.iter().max(), Some(&(FRAME_MIN + 3)));
    }
}
