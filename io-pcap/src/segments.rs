//! Segments of a capture, its fragments put together.

use crate::dissect::Dissected;
use crate::read::FrameInfo;

/// One frame of a capture and what it was. Every frame of the capture gives exactly one.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The frame.
    pub frame: FrameInfo,
    /// What it was. The fragment that completes a datagram gives the whole datagram's segment; the
    /// others give themselves.
    pub what: Dissected<'a>,
}
