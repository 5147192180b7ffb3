//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks; here, those with packets.
//!
//! pcap-file's parser is not used for it, since it takes every time as nanoseconds, keeps every
//! interface description for as long as the file lasts, allocates for the options of each packet,
//! refuses lists of options that lack an end or hold text other than UTF-8, and waits without
//! bound for the bytes that a hostile length asks for. In tests it writes what is read here.

use super::file::{Head, Step};
use super::scale::Scale;
use super::{FRAME_BYTES_MAX, LinkType, ReadErrorKind, Window};
use crate::writer::Direction;

/// Interfaces kept of a section. One more is an error, and packets of it are others. The largest
/// routers have a few thousand.
pub const INTERFACES_MAX: usize = 65_536;
/// Bytes of the longest block that is held in one piece: a frame, and options as long as one may
/// be. Blocks without packets may be longer; they are skipped.
pub const BLOCK_BYTES_MAX: usize = FRAME_BYTES_MAX + 256 * 1024;

/// Block type of a section's header: the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const TYPE_SECTION: u32 = 0x0a0d_0d0a;
const TYPE_INTERFACE: u32 = 1;
const TYPE_PACKET: u32 = 2;
const TYPE_SIMPLE_PACKET: u32 = 3;
const TYPE_ENHANCED_PACKET: u32 = 6;
/// The highest standard type, of those numbered from 1 on.
const TYPE_LAST: u32 = 10;
const TYPE_CUSTOM: [u32; 2] = [0x0bad, 0x4000_0bad];

const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;
/// Type and length; the length once more.
const HEADER_LEN: usize = 8;
const TRAILER_LEN: usize = 4;
const BLOCK_LEN_MIN: usize = HEADER_LEN + TRAILER_LEN;
/// Type, length, byte order mark, version, section length.
const SECTION_LEN_MIN: usize = 28;
/// Interface, time, captured and original length.
const ENHANCED_FIELDS_LEN: usize = 20;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_PACKET_FLAGS: u16 = 2;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;

/// The section being read.
#[derive(Debug)]
pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// The time of the last packet, for those that have none.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// Bytes of a frame that are kept; 0: all.
    snaplen: u32,
    scale: Scale,
}

/// A block without its header and trailer, and how to read numbers in it.
#[derive(Clone, Copy)]
struct Body<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Body<'a> {
    fn u32_at(self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u16_at(self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// The list of options from `at` on: code, and where the value lies. Ends at the end-of-options
    /// option, at the end of the block, and where an option is longer than the block.
    fn options(self, mut at: usize) -> impl Iterator<Item = (u16, usize, &'a [u8])> {
        std::iter::from_fn(move || {
            let code = self.u16_at(at)?;
            let len = usize::from(self.u16_at(at + 2)?);
            if code == OPTION_END {
                return None;
            }
            let value_at = at + 4;
            let value = self.bytes.get(value_at..value_at + len)?;
            at = value_at + len.next_multiple_of(4);
            Some((code, value_at, value))
        })
    }
}

impl PcapNg {
    /// Before the first section header.
    pub(super) const fn new() -> Self {
        Self { big_endian: false, interfaces: Vec::new(), last: 0 }
    }

    /// The next block. The window stays where the block begins, but behind a block that was
    /// skipped without being kept.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Step, ReadErrorKind> {
        let have = window.fill(BLOCK_LEN_MIN).map_err(ReadErrorKind::Io)?;
        if have < BLOCK_LEN_MIN {
            if have == 0 {
                return Ok(Step::End);
            }
            return Err(cut("the header of a block", BLOCK_LEN_MIN, have));
        }
        let start: [u8; BLOCK_LEN_MIN] = *window.bytes().first_chunk().expect("filled");
        if start[..4] == SECTION {
            self.big_endian = byte_order(&start)?;
        }
        let header = Body { bytes: &start, big_endian: self.big_endian };
        let (kind, len) = (header.u32_at(0).unwrap_or(0), header.u32_at(4).unwrap_or(0));
        if (len as usize) < BLOCK_LEN_MIN || !len.is_multiple_of(4) {
            let max = u64::from(u32::MAX - 3);
            return Err(length("a block (a multiple of four)", len, BLOCK_LEN_MIN, max));
        }
        match kind {
            TYPE_ENHANCED_PACKET | TYPE_SECTION | TYPE_INTERFACE | TYPE_SIMPLE_PACKET
            | TYPE_PACKET => self.whole(kind, len, window),
            _ => self.skip(len, window),
        }
    }

    /// A block that is held in one piece.
    fn whole(&mut self, kind: u32, len: u32, window: &mut Window) -> Result<Step, ReadErrorKind> {
        if len as usize > BLOCK_BYTES_MAX {
            return Err(length("a block", len, BLOCK_LEN_MIN, BLOCK_BYTES_MAX as u64));
        }
        let len = len as usize;
        let have = window.fill(len).map_err(ReadErrorKind::Io)?;
        let Some(block) = window.bytes().get(..len) else { return Err(cut("a block", len, have)) };
        let block = Body { bytes: block, big_endian: self.big_endian };
        let trailer = block.u32_at(len - TRAILER_LEN).unwrap_or(0);
        if trailer as usize != len {
            return Err(ReadErrorKind::Trailer { start: len as u32, end: trailer });
        }
        let body = Body { bytes: &block.bytes[..len - TRAILER_LEN], ..block };
        let head = match kind {
            TYPE_ENHANCED_PACKET => self.enhanced_packet(body, len),
            TYPE_PACKET => self.packet(body, len),
            TYPE_SIMPLE_PACKET => self.simple_packet(body, len),
            TYPE_INTERFACE => {
                return Ok(match self.interface(body) {
                    Ok(()) => Step::Passed(len),
                    Err(error) => Step::BadBlock(len, error),
                });
            }
            _ => return self.section(body).map(|()| Step::Passed(len)),
        };
        Ok(match head {
            Ok(head) => Step::Frame(head),
            Err(error) => Step::BadBlock(len, error),
        })
    }

    /// A block that holds no packet.
    fn skip(&self, len: u32, window: &mut Window) -> Result<Step, ReadErrorKind> {
        let body_len = u64::from(len) - TRAILER_LEN as u64;
        let skipped = window.skip(body_len).map_err(ReadErrorKind::Io)?;
        let have = window.fill(TRAILER_LEN).map_err(ReadErrorKind::Io)?.min(TRAILER_LEN);
        let trailer = Body { bytes: window.bytes(), big_endian: self.big_endian }.u32_at(0);
        match trailer {
            Some(trailer) if trailer == len => Ok(Step::Passed(TRAILER_LEN)),
            Some(end) => Err(ReadErrorKind::Trailer { start: len, end }),
            None => {
                let (need, have) = (u64::from(len), skipped + have as u64);
                Err(ReadErrorKind::Cut { what: "a block", need, have })
            }
        }
    }

    fn section(&mut self, body: Body<'_>) -> Result<(), ReadErrorKind> {
        let (Some(major), Some(minor)) = (body.u16_at(12), body.u16_at(14)) else {
            let len = (body.bytes.len() + TRAILER_LEN) as u32;
            return Err(length("a section header", len, SECTION_LEN_MIN, BLOCK_BYTES_MAX as u64));
        };
        if major != 1 {
            return Err(ReadErrorKind::Version { what: "pcapng", major, minor });
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: Body<'_>) -> Result<(), ReadErrorKind> {
        if self.interfaces.len() >= INTERFACES_MAX {
            let (what, max) = ("interfaces in a section", INTERFACES_MAX as u64);
            return Err(ReadErrorKind::TooMany { what, max });
        }
        let (Some(link), Some(snaplen)) = (body.u16_at(8), body.u32_at(12)) else {
            // It counts as one all the same, so that those behind it keep their numbers.
            self.interfaces.push(Interface {
                link: LinkType::Other(u16::MAX),
                snaplen: 0,
                scale: Scale::new(6, 0),
            });
            let len = (body.bytes.len() + TRAILER_LEN) as u32;
            return Err(length("an interface description", len, 20, BLOCK_BYTES_MAX as u64));
        };
        let (mut resolution, mut offset) = (6, 0);
        for (code, _, value) in body.options(16) {
            match (code, value) {
                (OPTION_TIME_RESOLUTION, &[value]) => resolution = value,
                (OPTION_TIME_OFFSET, value) => {
                    if let Ok(bytes) = <[u8; 8]>::try_from(value) {
                        offset = match body.big_endian {
                            true => i64::from_be_bytes(bytes),
                            false => i64::from_le_bytes(bytes),
                        };
                    }
                }
                _ => {}
            }
        }
        let scale = Scale::new(resolution, offset);
        self.interfaces.push(Interface { link: LinkType::from_number(link), snaplen, scale });
        Ok(())
    }

    fn enhanced_packet(&mut self, body: Body<'_>, len: usize) -> Result<Head, ReadErrorKind> {
        let fields = [8, 12, 16, 20, 24].map(|at| body.u32_at(at));
        let [Some(number), Some(high), Some(low), Some(captured), Some(wire)] = fields else {
            let min = BLOCK_LEN_MIN + ENHANCED_FIELDS_LEN;
            return Err(length("a packet block", len as u32, min, BLOCK_BYTES_MAX as u64));
        };
        self.head(body, len, number, [high, low], [captured, wire])
    }

    /// The packet block of early files: its interface has 16 bits, and drops are counted beside it.
    fn packet(&mut self, body: Body<'_>, len: usize) -> Result<Head, ReadErrorKind> {
        let fields = [12, 16, 20, 24].map(|at| body.u32_at(at));
        let (Some(number), [Some(high), Some(low), Some(captured), Some(wire)]) =
            (body.u16_at(8), fields)
        else {
            let min = BLOCK_LEN_MIN + ENHANCED_FIELDS_LEN;
            return Err(length("a packet block", len as u32, min, BLOCK_BYTES_MAX as u64));
        };
        self.head(body, len, u32::from(number), [high, low], [captured, wire])
    }

    #[inline]
    fn head(
        &mut self,
        body: Body<'_>,
        len: usize,
        number: u32,
        [high, low]: [u32; 2],
        [captured, wire]: [u32; 2],
    ) -> Result<Head, ReadErrorKind> {
        let interface = self.interface_of(number)?;
        let frame_at = HEADER_LEN + ENHANCED_FIELDS_LEN;
        check_frame(captured, body.bytes.len() - frame_at)?;
        let at_unix_nanos = interface.scale.unix_nanos(u64::from(high) << 32 | u64::from(low));
        self.last = at_unix_nanos.unwrap_or(self.last);
        let mut head = Head {
            at_unix_nanos,
            link: interface.link,
            frame_at,
            frame_len: captured as usize,
            wire_len: wire.max(captured),
            interface: number,
            direction: Direction::Unknown,
            comment_at: 0,
            comment_len: 0,
            record_len: len,
        };
        let options_at = frame_at + (captured as usize).next_multiple_of(4);
        if options_at < body.bytes.len() {
            read_options(body, options_at, &mut head);
        }
        Ok(head)
    }

    /// A packet without time, of the section's first interface.
    fn simple_packet(&mut self, body: Body<'_>, len: usize) -> Result<Head, ReadErrorKind> {
        let Some(wire) = body.u32_at(8) else {
            return Err(length("a packet block", len as u32, 16, BLOCK_BYTES_MAX as u64));
        };
        let interface = self.interface_of(0)?;
        let frame_at = HEADER_LEN + 4;
        // It does not say how much was captured: all, up to the snap length.
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = wire.min(snaplen);
        check_frame(captured, body.bytes.len() - frame_at)?;
        Ok(Head {
            at_unix_nanos: Some(self.last),
            link: interface.link,
            frame_at,
            frame_len: captured as usize,
            wire_len: wire,
            interface: 0,
            direction: Direction::Unknown,
            comment_at: 0,
            comment_len: 0,
            record_len: len,
        })
    }

    fn interface_of(&self, number: u32) -> Result<Interface, ReadErrorKind> {
        let described = self.interfaces.len() as u32;
        let missing = ReadErrorKind::Interface { number, described };
        self.interfaces.get(number as usize).copied().ok_or(missing)
    }

    /// Moves the window to the next place that looks like a block, or to the end. The window begins
    /// with what turned out to be none.
    ///
    /// A block looks like one where its type is known, its length makes sense and stands at its
    /// end once more.
    pub(super) fn find(&self, window: &mut Window) -> Result<(), ReadErrorKind> {
        window.consume(1);
        while window.fill(BLOCK_LEN_MIN).map_err(ReadErrorKind::Io)? >= BLOCK_LEN_MIN {
            let start: [u8; BLOCK_LEN_MIN] = *window.bytes().first_chunk().expect("filled");
            if let Some((len, big_endian)) = self.plausible(&start) {
                window.fill(len).map_err(ReadErrorKind::Io)?;
                let trailer = Body { bytes: window.bytes(), big_endian }.u32_at(len - TRAILER_LEN);
                if trailer == Some(len as u32) {
                    return Ok(());
                }
            }
            window.consume(1);
        }
        let rest = window.bytes().len();
        window.consume(rest);
        Ok(())
    }

    /// How long a block with this start would be, and its byte order.
    fn plausible(&self, start: &[u8; BLOCK_LEN_MIN]) -> Option<(usize, bool)> {
        let big_endian =
            if start[..4] == SECTION { byte_order(start).ok()? } else { self.big_endian };
        let header = Body { bytes: start, big_endian };
        let kind = header.u32_at(0)?;
        let known =
            (1..=TYPE_LAST).contains(&kind) || kind == TYPE_SECTION || TYPE_CUSTOM.contains(&kind);
        let len = header.u32_at(4)? as usize;
        let fits = (BLOCK_LEN_MIN..=BLOCK_BYTES_MAX).contains(&len) && len.is_multiple_of(4);
        (known && fits).then_some((len, big_endian))
    }
}

/// Whether a section that starts like this is big-endian.
fn byte_order(start: &[u8; BLOCK_LEN_MIN]) -> Result<bool, ReadErrorKind> {
    let found = [start[8], start[9], start[10], start[11]];
    if u32::from_be_bytes(found) == BYTE_ORDER_MARK {
        Ok(true)
    } else if u32::from_le_bytes(found) == BYTE_ORDER_MARK {
        Ok(false)
    } else {
        Err(ReadErrorKind::ByteOrder { found })
    }
}

/// The direction and the first comment of a packet.
fn read_options(body: Body<'_>, at: usize, head: &mut Head) {
    for (code, value_at, value) in body.options(at) {
        match code {
            OPTION_COMMENT if head.comment_len == 0 => {
                (head.comment_at, head.comment_len) = (value_at, value.len());
            }
            OPTION_PACKET_FLAGS => {
                let flags = Body { bytes: value, ..body }.u32_at(0).unwrap_or(0);
                head.direction = match flags & 3 {
                    1 => Direction::Inbound,
                    2 => Direction::Outbound,
                    _ => Direction::Unknown,
                };
            }
            _ => {}
        }
    }
}

/// Whether a frame of `captured` bytes is in a block with so much room behind the fields.
fn check_frame(captured: u32, room: usize) -> Result<(), ReadErrorKind> {
    let max = room.min(FRAME_BYTES_MAX);
    if captured as usize > max { Err(length("a frame", captured, 0, max as u64)) } else { Ok(()) }
}

fn length(what: &'static str, length: u32, min: usize, max: u64) -> ReadErrorKind {
    ReadErrorKind::Length { what, length: u64::from(length), min: min as u64, max }
}

fn cut(what: &'static str, need: usize, have: usize) -> ReadErrorKind {
    ReadErrorKind::Cut { what, need: need as u64, have: have as u64 }
}
