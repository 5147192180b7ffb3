//! All that a link knows of TCP, for the faults that are aimed at it.

use simoom_core::wire::rewrite::TcpFrameMut;
use simoom_core::wire::{self, Frame};
use std::ops::Range;

/// Where the text of a whole TCP segment lies in its frame; empty where there is none.
pub(super) fn payload(bytes: &[u8]) -> Range<usize> {
    let len = match wire::parse(bytes, false) {
        Ok(Frame::Tcp(frame)) => frame.tcp.payload.len(),
        _ => 0,
    };
    if len == 0 {
        return 0..0;
    }
    // The text ends where the packet does.
    let end = super::damage::packet(bytes).end;
    end - len..end
}

/// Makes the IPv4 and TCP checksums right for what the frame now holds.
pub(super) fn repair_checksums(bytes: &mut [u8]) {
    if let Ok(Some(mut frame)) = TcpFrameMut::new(bytes) {
        frame.repair_checksums();
    }
}
