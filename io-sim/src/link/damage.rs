//! Bits that flip and frames that are cut short: what a receiver gets instead of the frame.
//!
//! Only IPv4 packets are damaged, and only where something can notice: padding of a short frame is
//! no part of the packet, and other frames have no checksum but Ethernet's own.

use super::tcp;
use crate::fault::FaultKind;
use crate::seed::Draws;
use simoom_core::wire::{self, Frame};
use std::ops::Range;

/// Bytes of an Ethernet header.
pub(super) const ETHERNET_LEN: usize = 14;

/// What became of the bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// The frame is whole.
    None,
    /// A checksum or a length shows it.
    Seen,
    /// Checksums and lengths are right; a byte is not.
    Unseen,
}

/// Where the packet of an IPv4 frame lies, as far as the frame reaches; empty for other frames.
pub(super) fn packet(bytes: &[u8]) -> Range<usize> {
    let end = match bytes {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, _, _, high, low, ..] => {
            bytes.len().min(ETHERNET_LEN + usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => return 0..0,
    };
    if end > ETHERNET_LEN { ETHERNET_LEN..end } else { 0..0 }
}

/// Draws which bits of which byte of the range flip; `None`, and no draw, where there is no byte.
pub(super) fn draw(draws: &mut Draws, range: Range<usize>, repaired: bool) -> Option<FaultKind> {
    if range.is_empty() {
        return None;
    }
    let offset = range.start + draws.below(range.len() as u64) as usize;
    let mask = 1 + draws.below(255) as u8;
    Some(FaultKind::Corrupted { offset: offset as u16, mask, repaired })
}

/// Draws how many bytes of a packet arrive; `None`, and no draw, where there is no packet.
pub(super) fn draw_cut(draws: &mut Draws, packet: Range<usize>) -> Option<FaultKind> {
    if packet.is_empty() {
        return None;
    }
    let len = packet.start + draws.below(packet.len() as u64) as usize;
    Some(FaultKind::Truncated { len: len as u16 })
}

/// Whether a frame cut to `len` bytes lacks some of its packet, and has its Ethernet header.
pub(super) fn can_be_cut(bytes: &[u8], len: u16) -> bool {
    packet(bytes).contains(&usize::from(len))
}

/// Flips bits. A byte outside the packet, or of its headers where the checksums are to be
/// repaired, stays as it is.
pub(super) fn flip(bytes: &mut [u8], offset: u16, mask: u8, repaired: bool) -> Damage {
    let at = usize::from(offset);
    let range = if repaired { tcp::payload(bytes) } else { packet(bytes) };
    if mask == 0 || !range.contains(&at) {
        return Damage::None;
    }
    // What is wrong already is not to be made right by the way.
    let was_right = repaired && wire::parse(bytes, true).is_ok();
    bytes[at] ^= mask;
    if !was_right {
        return Damage::Seen;
    }
    tcp::repair_checksums(bytes);
    Damage::Unseen
}

/// What a receiver makes of a frame that was damaged several times: one damage may undo what
/// shows another.
pub(super) fn judge(bytes: &[u8]) -> Damage {
    match wire::parse(bytes, true) {
        Ok(Frame::Tcp(_)) => Damage::Unseen,
        _ => Damage::Seen,
    }
}
