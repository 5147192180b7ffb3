//! Reading captures: pcap and pcapng, packed by gzip or zstd or not, one or several merged by time.
//!
//! A stream: memory does not depend on the length of what is read, and no length in it is trusted.
//! What is damaged is an error that names its place; what comes before is given, and what can be
//! found again behind it. Opens no file and knows no protocol: bytes come from [`std::io::Read`],
//! frames are for [`dissect`](crate::dissect).
//!
//! ```
//! use simoom_pcap::read::{Capture, Input};
//!
//! # fn main() -> Result<(), simoom_pcap::read::ReadError> {
//! let file: &[u8] = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0";
//! let mut capture = Capture::new(vec![Input::new("empty.pcap", file)])?;
//! while let Some(frame) = capture.next_frame() {
//!     match frame {
//!         Ok(frame) => println!("{} {} bytes", frame.at_unix_nanos, frame.bytes.len()),
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod file;
mod frame;
mod pcap;
mod pcapng;
mod scale;
#[cfg(test)]
mod tests;
mod unpack;
mod window;

pub use error::{ReadError, ReadErrorKind};
pub use frame::{Frame, FrameInfo, LinkType};
pub use pcapng::{BLOCK_BYTES_MAX, INTERFACES_MAX};
pub use unpack::ZSTD_WINDOW_BYTES_MAX;

use file::File;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::io::Read;
use window::Window;

/// Bytes of the longest frame that is read: what Linux coalesces at most (`GSO_MAX_SIZE`, 512 KiB),
/// and headers. A longer one is damage.
pub const FRAME_BYTES_MAX: usize = 512 * 1024 + 4096;
/// Inputs merged at most: each is open, with a window of its own.
pub const INPUTS_MAX: usize = 128;
/// Damaged places in one input at which it is given up: what follows would be noise.
pub const DAMAGES_MAX: u32 = 100;

/// One input of a capture.
pub struct Input {
    /// What errors call it.
    pub name: String,
    /// The bytes, from the first on. Read in large pieces: needs no buffer.
    pub reader: Box<dyn Read>,
}

impl Input {
    /// An input of this name.
    pub fn new(name: impl Into<String>, reader: impl Read + 'static) -> Self {
        Self { name: name.into(), reader: Box::new(reader) }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was counted while reading, over all inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadStats {
    /// Frames found. With several inputs, some of them are still to be given.
    pub frames: u64,
    /// Captured bytes of these frames.
    pub frame_bytes: u64,
    /// Frames of which the wire carried more than was captured.
    pub cut_frames: u64,
    /// Frames earlier than the one before in the same input.
    pub clock_backwards: u64,
    /// Frames whose time does not fit between 1970 and 2554: they got that of the one before.
    pub times_out_of_range: u64,
    /// Blocks of pcapng that contradict themselves, or hold a packet of an interface that is not
    /// described: an error each.
    pub bad_blocks: u64,
    /// Places at which a length could not be true and the format had to be found again.
    pub bad_lengths: u64,
    /// Bytes passed over while looking for the format again.
    pub bytes_passed_over: u64,
    /// Inputs that end within a record or a block.
    pub cut_inputs: u64,
}

/// Frames of one or several inputs, merged by time.
///
/// Each input's own order is kept: where its clock runs backwards, its frames come as they are. Of
/// frames with the same time, those of the earlier input in the list come first.
pub struct Capture {
    files: Vec<File>,
    /// The inputs with a frame at hand, by its time.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    /// Those of which the next frame has to be found, the last one first.
    to_load: Vec<usize>,
    number: u64,
    stats: ReadStats,
}

impl Capture {
    /// The capture of these inputs. Nothing is read yet.
    ///
    /// The only error is that there are more than [`INPUTS_MAX`].
    pub fn new(inputs: Vec<Input>) -> Result<Self, ReadError> {
        if let Some(input) = inputs.get(INPUTS_MAX) {
            let kind = ReadErrorKind::TooMany { what: "inputs", max: INPUTS_MAX as u64 };
            let input = input.name.as_str().into();
            return Err(ReadError { input, offset: 0, kind, goes_on: false });
        }
        let to_load = (0..inputs.len()).rev().collect();
        let files = inputs.into_iter().map(File::new).collect();
        let order = BinaryHeap::new();
        Ok(Self { files, order, to_load, number: 0, stats: ReadStats::default() })
    }

    /// The next frame; None at the end of all inputs. An error tells of one input: whether it goes
    /// on is in it, and the others do.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'_>, ReadError>> {
        while let Some(index) = self.to_load.pop() {
            match self.files[index].load(&mut self.stats) {
                Ok(Some(at)) => self.order.push(Reverse((at, index))),
                Ok(None) => {}
                Err(error) => {
                    if error.goes_on {
                        self.to_load.push(index);
                    }
                    return Some(Err(error));
                }
            }
        }
        let Reverse((at_unix_nanos, index)) = self.order.pop()?;
        self.to_load.push(index);
        self.number += 1;
        let (head, bytes) = self.files[index].head();
        Some(Ok(Frame {
            number: self.number,
            at_unix_nanos,
            link: head.link,
            bytes: &bytes[head.frame_at..head.frame_at + head.frame_len],
            wire_len: head.wire_len,
            input: index as u32,
            interface: head.interface,
            direction: head.direction,
            comment: &bytes[head.comment_at..head.comment_at + head.comment_len],
        }))
    }

    /// What was counted so far.
    pub fn stats(&self) -> &ReadStats {
        &self.stats
    }

    /// Bytes of windows held.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.files.iter().map(File::held).sum()
    }

    /// Bytes that windows moved to their front.
    #[cfg(test)]
    fn copied(&self) -> u64 {
        self.files.iter().map(File::copied).sum()
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("stats", &self.stats).finish_non_exhaustive()
    }
}
