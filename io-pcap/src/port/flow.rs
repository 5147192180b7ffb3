//! Where a capture port's frames come from, and where they go.

use crate::read::{Capture, Frame, LinkType, ReadError};
use crate::writer::{Direction, Packet, Writer};
use simoom_core::time::Instant;
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;

/// Frames for a stack, in the order in which they arrive.
///
/// A source decides what arrives, when, and with which bytes: a replay translates the captured
/// server's numbers to ours here, frame by frame, knowing what was sent so far.
pub trait FrameSource {
    /// When the next frame arrives, on the port's clock; a time that has passed means now. None: no
    /// more will come. Asking again answers the same, until the frame is taken.
    fn next_at(&mut self) -> Option<Instant>;

    /// Takes the next frame: appends its bytes, from the Ethernet header on, to `frame`, which is
    /// empty. Not called after `next_at` said that there is none.
    fn take_next(&mut self, frame: &mut Vec<u8>);
}

/// Frames with the times at which they arrive; the caller keeps them in order.
impl FrameSource for VecDeque<(Instant, Vec<u8>)> {
    fn next_at(&mut self) -> Option<Instant> {
        self.front().map(|(at, _)| *at)
    }

    fn take_next(&mut self, frame: &mut Vec<u8>) {
        if let Some((_, bytes)) = self.pop_front() {
            frame.extend_from_slice(&bytes);
        }
    }
}

/// What takes the frames that a stack submits.
pub trait FrameSink {
    /// A frame leaves at `now`, on the port's clock.
    fn on_frame(&mut self, now: Instant, bytes: &[u8]);
}

/// A frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When, on the port's clock.
    pub at: Instant,
    /// The frame, from its Ethernet header on.
    pub bytes: Vec<u8>,
}

/// Keeps every frame.
impl FrameSink for Vec<Sent> {
    fn on_frame(&mut self, at: Instant, bytes: &[u8]) {
        self.push(Sent { at, bytes: bytes.to_vec() });
    }
}

/// Writes every frame to a capture, as outbound frames of interface 0.
#[derive(Debug)]
pub struct WriterSink<W: Write> {
    writer: Writer<W>,
    unix_nanos_at_start: u64,
}

impl<W: Write> WriterSink<W> {
    /// Writes to `writer`. `unix_nanos_at_start` is the UTC time of the port's [`Instant::ZERO`],
    /// in nanoseconds since 1970.
    pub fn new(writer: Writer<W>, unix_nanos_at_start: u64) -> Self {
        Self { writer, unix_nanos_at_start }
    }

    /// The capture, to [`Writer::finish`].
    pub fn into_writer(self) -> Writer<W> {
        self.writer
    }
}

impl<W: Write> FrameSink for WriterSink<W> {
    fn on_frame(&mut self, now: Instant, bytes: &[u8]) {
        self.writer.write(&Packet {
            interface: 0,
            at_unix_nanos: self.unix_nanos_at_start.saturating_add(now.as_nanos()),
            direction: Direction::Outbound,
            bytes,
            comment: None,
        });
    }
}

/// The frames of a capture that a selection wants, as they are.
///
/// The clock starts with the capture's first frame, selected or not, if nothing else is said; a
/// frame earlier than the start arrives at the start. Frames of other links than Ethernet, and those of which a part was not
/// captured, are no frames that a stack could take: they are counted.
pub struct CaptureFrames<F> {
    capture: Capture,
    select: F,
    unix_nanos_at_start: Option<u64>,
    /// The next frame's bytes; in use where `next_at` is not none.
    next: Vec<u8>,
    next_at: Option<Instant>,
    stats: CaptureFramesStats,
    /// The first error, and how many there were.
    error: Option<ReadError>,
}

/// What became of a capture's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureFramesStats {
    /// Frames selected.
    pub selected: u64,
    /// Frames not selected.
    pub others: u64,
    /// Frames selected that begin with no Ethernet header: left out.
    pub not_ethernet: u64,
    /// Frames selected that were cut by the capture: left out.
    pub cut: u64,
    /// Errors met while reading.
    pub errors: u64,
}

impl<F: FnMut(&Frame<'_>) -> bool> CaptureFrames<F> {
    /// The frames of `capture` for which `select` is true: those addressed to the stack.
    pub fn new(capture: Capture, select: F) -> Self {
        Self {
            capture,
            select,
            unix_nanos_at_start: None,
            next: Vec::new(),
            next_at: None,
            stats: CaptureFramesStats::default(),
            error: None,
        }
    }

    /// The same, with the clock's start at this UTC time in nanoseconds since 1970, before the first
    /// frame was read.
    #[must_use]
    pub fn starting_at(mut self, unix_nanos: u64) -> Self {
        self.unix_nanos_at_start = Some(unix_nanos);
        self
    }

    /// What was counted so far.
    pub fn stats(&self) -> CaptureFramesStats {
        self.stats
    }

    /// The first error met while reading.
    pub fn error(&self) -> Option<&ReadError> {
        self.error.as_ref()
    }

    /// The UTC time of the port's [`Instant::ZERO`], once a frame was read: nanoseconds since 1970.
    pub fn unix_nanos_at_start(&self) -> Option<u64> {
        self.unix_nanos_at_start
    }

    /// Reads up to the next frame that is wanted.
    fn find(&mut self) {
        while self.next_at.is_none() {
            let frame = match self.capture.next_frame() {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.stats.errors += 1;
                    self.error.get_or_insert(error);
                    continue;
                }
                None => return,
            };
            let start = *self.unix_nanos_at_start.get_or_insert(frame.at_unix_nanos);
            if !(self.select)(&frame) {
                self.stats.others += 1;
            } else if frame.link != LinkType::Ethernet {
                self.stats.not_ethernet += 1;
            } else if (frame.bytes.len() as u64) < u64::from(frame.wire_len) {
                self.stats.cut += 1;
            } else {
                self.stats.selected += 1;
                self.next.clear();
                self.next.extend_from_slice(frame.bytes);
                let since_start = frame.at_unix_nanos.saturating_sub(start);
                self.next_at = Some(Instant::from_nanos(since_start));
            }
        }
    }
}

impl<F: FnMut(&Frame<'_>) -> bool> FrameSource for CaptureFrames<F> {
    fn next_at(&mut self) -> Option<Instant> {
        self.find();
        self.next_at
    }

    fn take_next(&mut self, frame: &mut Vec<u8>) {
        self.find();
        if self.next_at.take().is_some() {
            frame.extend_from_slice(&self.next);
        }
    }
}

impl<F> fmt::Debug for CaptureFrames<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureFrames")
            .field("stats", &self.stats)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
