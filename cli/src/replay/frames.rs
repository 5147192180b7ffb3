//! `--pcap`: our frames between the captured addresses, each with its sender's state.

use simoom_pcap::writer::{Direction, Interface, Packet, Writer};
use simoom_replay::open::OurFrame;
use simoom_replay::open::wire::{describe, frame_between};
use std::io::{self, Write};

/// Writes our frames to a capture.
pub(super) struct FrameWriter<W: Write> {
    writer: Writer<W>,
    frame: Vec<u8>,
    comment: String,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(sink: W) -> io::Result<Self> {
        let writer = Writer::new(sink, &[Interface::new("replay")])?;
        Ok(Self { writer, frame: Vec::new(), comment: String::new() })
    }

    pub(super) fn write(&mut self, frame: &OurFrame<'_>) {
        self.frame.clear();
        frame_between(frame, &mut self.frame);
        self.comment.clear();
        if let Some(info) = frame.info {
            describe(&mut self.comment, info);
        }
        self.writer.write(&Packet {
            interface: 0,
            at_unix_nanos: frame.at,
            direction: Direction::Outbound,
            bytes: &self.frame,
            comment: (!self.comment.is_empty()).then_some(&self.comment),
        });
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.writer.finish()?.flush()
    }
}
