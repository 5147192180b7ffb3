//! The pcapng writer: one section, some interfaces, one Enhanced Packet Block a frame.
//!
//! Blocks gather in memory and go out whole, many at a time, so that recording costs a copy of the
//! frame and, now and then, one write. Little-endian on every machine. Knows no port and no clock.

mod block;
#[cfg(test)]
mod tests;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};
use std::fmt;
use std::io::{self, Write};

/// Bytes of blocks held before they are written. Large enough that a system call is rare against
/// the frames it carries (some 170 of full size), small enough for a second-level cache.
pub const DRAIN_AT: usize = 256 * 1024;
/// The most bytes of a frame that a capture holds: what the common readers accept.
pub const SNAPLEN_MAX: u32 = 256 * 1024;
/// The most bytes of a comment; a longer one is cut at a character's end.
pub const COMMENT_BYTES_MAX: usize = 4096;
/// The most bytes of an interface's name.
pub const NAME_BYTES_MAX: usize = 255;

/// One interface of a capture. Its number is its place in the slice that [`Writer::new`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// What readers show, at most [`NAME_BYTES_MAX`] bytes.
    pub name: &'a str,
    /// Bytes of a frame that are kept, 1 to [`SNAPLEN_MAX`]; the rest is left out, and the packet
    /// says how long it was.
    pub snaplen: u32,
}

impl<'a> Interface<'a> {
    /// An Ethernet interface whose frames are kept whole, up to [`SNAPLEN_MAX`].
    pub const fn new(name: &'a str) -> Self {
        Self { name, snaplen: SNAPLEN_MAX }
    }
}

/// Which way a frame went, as the recorded host sees it: `epb_flags`, bits 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Nobody knows, as on a link between two hosts.
    Unknown,
    /// Received.
    Inbound,
    /// Sent.
    Outbound,
}

/// One frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Which interface: its place in the slice that [`Writer::new`] took.
    pub interface: u32,
    /// When: nanoseconds since 1970, UTC. Lasts until 2554.
    pub at_unix_nanos: u64,
    /// Which way.
    pub direction: Direction,
    /// The frame from its Ethernet header on, FCS out.
    pub bytes: &'a [u8],
    /// A note that readers show with the frame, at most [`COMMENT_BYTES_MAX`] bytes.
    pub comment: Option<&'a str>,
}

/// Writes a capture to `W`.
///
/// After the first failed write nothing more is recorded: a capture with a hole inside would lie.
/// The error waits for [`Writer::finish`], and [`Writer::packets_lost`] counts what is missing.
/// Dropping a writer writes what it holds, and has nobody to tell of an error.
pub struct Writer<W: Write> {
    /// None once `finish` took it.
    sink: Option<W>,
    /// Whole blocks that are not written yet. Never grows beyond what `new` reserved.
    blocks: Vec<u8>,
    /// Packets in `blocks`.
    held: u64,
    written: u64,
    lost: u64,
    snaplens: Box<[u32]>,
    error: Option<io::Error>,
}

/// The state before a packet was appended, to go back to.
#[must_use]
#[derive(Debug)]
pub(crate) struct Mark {
    blocks_len: usize,
    held: u64,
    lost: u64,
}

impl<W: Write> Writer<W> {
    /// Starts a capture: writes the section's header and the interfaces, at once, so that a sink
    /// which takes nothing is known before the first frame.
    ///
    /// An error of kind `InvalidInput` says which interface is out of bounds.
    pub fn new(mut sink: W, interfaces: &[Interface<'_>]) -> io::Result<Self> {
        let head = encode_head(interfaces)?;
        sink.write_all(&head)?;
        let snaplens: Box<[u32]> = interfaces.iter().map(|i| i.snaplen).collect();
        let longest = snaplens.iter().copied().max().unwrap_or_default() as usize;
        Ok(Self {
            sink: Some(sink),
            blocks: Vec::with_capacity(DRAIN_AT + block::len_max(longest)),
            held: 0,
            written: 0,
            lost: 0,
            snaplens,
            error: None,
        })
    }

    /// Records one frame. Panics where [`Packet::interface`] is none of this capture.
    pub fn write(&mut self, packet: &Packet<'_>) {
        let _ = self.append(packet);
    }

    /// Writes all blocks held, and flushes the sink.
    pub fn flush(&mut self) {
        self.drain();
        if self.error.is_none()
            && let Some(sink) = &mut self.sink
            && let Err(e) = sink.flush()
        {
            self.error = Some(e);
        }
    }

    /// Writes what is held and gives the sink back, or the first error of this capture.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush();
        let sink = self.sink.take().expect("only this function takes it");
        self.error.take().map_or(Ok(sink), Err)
    }

    /// Packets that the sink has taken.
    pub fn packets_written(&self) -> u64 {
        self.written
    }

    /// Packets that were given to this writer and are not wholly in the capture, since a write
    /// failed.
    pub fn packets_lost(&self) -> u64 {
        self.lost
    }

    /// The error that ended the recording.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Records one frame. Up to the next call of another method, [`Writer::retract`] undoes it:
    /// nothing is written after the packet was appended.
    pub(crate) fn append(&mut self, packet: &Packet<'_>) -> Mark {
        let snaplen = self.snaplens[packet.interface as usize];
        if self.blocks.len() >= DRAIN_AT {
            self.drain();
        }
        let mark = Mark { blocks_len: self.blocks.len(), held: self.held, lost: self.lost };
        if self.error.is_some() {
            self.lost += 1;
        } else {
            block::push_enhanced_packet(&mut self.blocks, packet, snaplen);
            self.held += 1;
        }
        mark
    }

    /// Takes back the packet that the last `append` recorded: it was never sent.
    pub(crate) fn retract(&mut self, mark: Mark) {
        self.blocks.truncate(mark.blocks_len);
        self.held = mark.held;
        self.lost = mark.lost;
    }

    fn drain(&mut self) {
        // After an error there are no blocks, and writing nothing is no write.
        if let Some(sink) = &mut self.sink {
            match sink.write_all(&self.blocks) {
                Ok(()) => self.written += self.held,
                Err(e) => {
                    self.error = Some(e);
                    self.lost += self.held;
                }
            }
        }
        self.blocks.clear();
        self.held = 0;
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    /// What it counted, without the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("written", &self.written)
            .field("held", &self.held)
            .field("lost", &self.lost)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Section Header Block and one Interface Description Block each.
fn encode_head(interfaces: &[Interface<'_>]) -> io::Result<Vec<u8>> {
    let section = SectionHeaderBlock {
        endianness: Endianness::Little,
        options: vec![SectionHeaderOption::UserApplication("simoom".into())],
        ..SectionHeaderBlock::default()
    };
    let mut head = PcapNgWriter::with_section_header(Vec::new(), section).map_err(into_io_error)?;
    for interface in interfaces {
        check(interface)?;
        head.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: interface.snaplen,
            options: vec![
                InterfaceDescriptionOption::IfName(interface.name.into()),
                InterfaceDescriptionOption::IfTsResol(block::TIME_RESOLUTION),
            ],
        })
        .map_err(into_io_error)?;
    }
    Ok(head.into_inner())
}

fn check(interface: &Interface<'_>) -> io::Result<()> {
    let Interface { name, snaplen } = interface;
    let why = if name.len() > NAME_BYTES_MAX {
        format!("its name has {} bytes, at most {NAME_BYTES_MAX} can be kept", name.len())
    } else if !(1..=SNAPLEN_MAX).contains(snaplen) {
        format!("its snaplen is {snaplen}: it must be 1 to {SNAPLEN_MAX}")
    } else {
        return Ok(());
    };
    let message = format!("capture interface {name:?}: {why}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn into_io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(e) => e,
        other => io::Error::other(other),
    }
}
