//! One Enhanced Packet Block, written byte by byte. draft-ietf-opsawg-pcapng §4.3.
//!
//! By hand, since it is the block on the packet path: no allocation, one pass, and room to take
//! the last block back.

use super::{COMMENT_BYTES_MAX, Direction, Packet};

/// `if_tsresol`: times count units of 10^-9 seconds.
pub(super) const TIME_RESOLUTION: u8 = 9;

const ENHANCED_PACKET: u32 = 6;
/// Type, length, interface, time (two halves), captured length, original length.
const HEADER_LEN: usize = 7 * 4;
/// The length once more.
const TRAILER_LEN: usize = 4;
const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const OPT_FLAGS: u16 = 2;
/// Code and length.
const OPT_HEADER_LEN: usize = 4;
const FLAGS_LEN: usize = 4;

/// Bytes of the longest block whose frame has `frame_len` bytes.
pub(super) const fn len_max(frame_len: usize) -> usize {
    HEADER_LEN
        + frame_len.next_multiple_of(4)
        + (OPT_HEADER_LEN + COMMENT_BYTES_MAX)
        + (OPT_HEADER_LEN + FLAGS_LEN)
        + OPT_HEADER_LEN
        + TRAILER_LEN
}

/// Appends one block: at most `snaplen` bytes of the frame.
pub(super) fn push_enhanced_packet(out: &mut Vec<u8>, packet: &Packet<'_>, snaplen: u32) {
    let start = out.len();
    let frame = &packet.bytes[..packet.bytes.len().min(snaplen as usize)];
    for field in [
        ENHANCED_PACKET,
        0, // the length, once it is known
        packet.interface,
        (packet.at_unix_nanos >> 32) as u32,
        packet.at_unix_nanos as u32,
        frame.len() as u32,
        packet.bytes.len() as u32,
    ] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    push_padded(out, frame);
    if let Some(comment) = packet.comment {
        let comment = &comment[..comment.floor_char_boundary(COMMENT_BYTES_MAX)];
        push_option(out, OPT_COMMENT, comment.as_bytes());
    }
    let flags: u32 = match packet.direction {
        Direction::Unknown => 0,
        Direction::Inbound => 1,
        Direction::Outbound => 2,
    };
    push_option(out, OPT_FLAGS, &flags.to_le_bytes());
    push_option(out, OPT_END, &[]);
    let len = ((out.len() - start + TRAILER_LEN) as u32).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&len);
    out.extend_from_slice(&len);
}

fn push_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    push_padded(out, value);
}

/// Appends `bytes` and zeroes up to a multiple of four.
fn push_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}
