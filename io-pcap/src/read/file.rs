//! One input: its format told by its first bytes, then frame after frame.
//!
//! Must not know other inputs.

use super::pcap::Pcap;
use super::pcapng::{self, PcapNg};
use super::unpack::unpack;
use super::{DAMAGES_MAX, Input, LinkType, ReadError, ReadErrorKind, ReadStats, Window};
use crate::writer::Direction;
use std::sync::Arc;

/// Bytes by which a format is known.
const MAGIC_LEN: usize = 4;

pub(super) struct File {
    name: Arc<str>,
    state: State,
    window: Window,
    head: Head,
    /// The time of the frame before; that of a frame without one.
    last: u64,
    damages: u32,
}

enum State {
    /// Nothing was read yet.
    Packed(Box<dyn std::io::Read>),
    Pcap(Pcap),
    PcapNg(PcapNg),
    Ended,
}

/// A frame that lies at the start of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// None where it cannot be told in 64 bits.
    pub(super) at_unix_nanos: Option<u64>,
    pub(super) link: LinkType,
    /// Where the frame lies in the window.
    pub(super) frame_at: usize,
    pub(super) frame_len: usize,
    pub(super) wire_len: u32,
    pub(super) interface: u32,
    pub(super) direction: Direction,
    pub(super) comment_at: usize,
    pub(super) comment_len: usize,
    /// Bytes to consume when the frame is done with.
    pub(super) record_len: usize,
}

/// What a format found at the start of the window.
pub(super) enum Step {
    Frame(Head),
    /// So many bytes without a frame.
    Passed(usize),
    /// So many bytes of a block that cannot be used. What follows can.
    BadBlock(usize, ReadErrorKind),
    End,
}

impl File {
    pub(super) fn new(input: Input) -> Self {
        Self {
            name: input.name.into(),
            state: State::Packed(input.reader),
            window: Window::new(Box::new(std::io::empty())),
            head: Head {
                at_unix_nanos: None,
                link: LinkType::Other(0),
                frame_at: 0,
                frame_len: 0,
                wire_len: 0,
                interface: 0,
                direction: Direction::Unknown,
                comment_at: 0,
                comment_len: 0,
                record_len: 0,
            },
            last: 0,
            damages: 0,
        }
    }

    /// The frame that the last `load` found.
    pub(super) fn head(&self) -> (&Head, &[u8]) {
        (&self.head, self.window.bytes())
    }

    /// Leaves the last frame and finds the next: its time, or None at the end. Behind an error
    /// that says that it goes on, the next call does.
    #[inline]
    pub(super) fn load(&mut self, stats: &mut ReadStats) -> Result<Option<u64>, ReadError> {
        self.window.consume(std::mem::take(&mut self.head.record_len));
        loop {
            let step = match &mut self.state {
                State::Pcap(pcap) => pcap.next(&mut self.window),
                State::PcapNg(pcapng) => pcapng.next(&mut self.window),
                State::Ended => return Ok(None),
                State::Packed(_) => {
                    self.begin()?;
                    continue;
                }
            };
            match step {
                Ok(Step::Frame(head)) => return Ok(Some(self.take(head, stats))),
                Ok(Step::Passed(count)) => self.window.consume(count),
                Ok(Step::End) => {
                    self.end();
                    return Ok(None);
                }
                Ok(Step::BadBlock(count, kind)) => {
                    let error = self.error(kind);
                    self.window.consume(count);
                    stats.bad_blocks += 1;
                    return Err(self.damage(error));
                }
                Err(kind) => return Err(self.broken(kind, stats)),
            }
        }
    }

    /// Tells the format.
    #[cold]
    fn begin(&mut self) -> Result<(), ReadError> {
        let State::Packed(reader) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(());
        };
        match unpack(reader) {
            Ok(reader) => self.window = Window::new(reader),
            Err(error) => return Err(self.error(ReadErrorKind::Io(error))),
        }
        if let Err(error) = self.window.fill(MAGIC_LEN) {
            return Err(self.error(ReadErrorKind::Io(error)));
        }
        let found = match self.window.bytes().first_chunk::<MAGIC_LEN>() {
            Some(&magic) if magic == pcapng::SECTION => {
                self.state = State::PcapNg(PcapNg::new());
                return Ok(());
            }
            Some(&magic) if Pcap::is_magic(magic) => match Pcap::begin(&mut self.window) {
                Ok(pcap) => {
                    self.state = State::Pcap(pcap);
                    return Ok(());
                }
                Err(kind) => return Err(self.error(kind)),
            },
            Some(magic) => magic.to_vec(),
            None => self.window.bytes().to_vec(),
        };
        Err(self.error(ReadErrorKind::NotACapture { found }))
    }

    #[inline]
    fn take(&mut self, head: Head, stats: &mut ReadStats) -> u64 {
        let at = head.at_unix_nanos.unwrap_or_else(|| {
            stats.times_out_of_range += 1;
            self.last
        });
        stats.clock_backwards += u64::from(at < self.last);
        stats.cut_frames += u64::from((head.frame_len as u64) < u64::from(head.wire_len));
        stats.frames += 1;
        stats.frame_bytes += head.frame_len as u64;
        self.last = at;
        self.head = Head { at_unix_nanos: Some(at), ..head };
        at
    }

    /// The format is lost: looks for where it can be picked up again.
    #[cold]
    fn broken(&mut self, kind: ReadErrorKind, stats: &mut ReadStats) -> ReadError {
        let error = self.error(kind);
        match &error.kind {
            ReadErrorKind::Cut { .. } => stats.cut_inputs += 1,
            ReadErrorKind::Length { .. } | ReadErrorKind::Trailer { .. } => stats.bad_lengths += 1,
            _ => {}
        }
        let before = self.window.offset();
        let found = match (&error.kind, &self.state) {
            // What a section of another version or without a byte order holds is not known.
            (
                ReadErrorKind::Io(_)
                | ReadErrorKind::Version { .. }
                | ReadErrorKind::ByteOrder { .. },
                _,
            ) => {
                self.end();
                return error;
            }
            (ReadErrorKind::Cut { .. }, State::Pcap(pcap)) if pcap.is_record(&self.window) => {
                self.end();
                return error;
            }
            (_, State::Pcap(pcap)) => pcap.find(&mut self.window),
            (_, State::PcapNg(pcapng)) => pcapng.find(&mut self.window),
            _ => Ok(()),
        };
        stats.bytes_passed_over += self.window.offset() - before;
        if found.is_err() || self.window.bytes().is_empty() {
            self.end();
            return error;
        }
        self.damage(error)
    }

    /// Counts an error behind which reading goes on, up to a bound.
    fn damage(&mut self, error: ReadError) -> ReadError {
        self.damages += 1;
        if self.damages >= DAMAGES_MAX {
            let (what, max) = ("damaged places in one input", u64::from(DAMAGES_MAX) - 1);
            let error = self.error(ReadErrorKind::TooMany { what, max });
            self.end();
            return error;
        }
        ReadError { goes_on: true, ..error }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.window.close();
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.window.held()
    }

    #[cfg(test)]
    pub(super) fn copied(&self) -> u64 {
        self.window.copied
    }

    fn error(&self, kind: ReadErrorKind) -> ReadError {
        let (input, offset) = (self.name.clone(), self.window.offset());
        ReadError { input, offset, kind, goes_on: false }
    }
}
