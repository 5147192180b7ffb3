//! The pcap format: a header of 24 bytes, then records of 16 bytes and a frame each.
//!
//! pcap-file reads the header. Its record readers are not used: they refuse a frame longer than
//! the snap length (which every cut frame is), and wait without bound for the bytes that a
//! hostile length asks for.

use super::file::{Head, Step};
use super::{FRAME_BYTES_MAX, LinkType, ReadErrorKind, Window};
use crate::writer::Direction;
use pcap_file::pcap::PcapHeader;
use pcap_file::{Endianness, TsResolution};

pub(super) const HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
/// While looking for a record behind damage, its time may be so many seconds from the last good one.
const NEAR_SECONDS: u32 = 24 * 3600;

/// What the header of a pcap file says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    nanos_per_fraction: u64,
    link: LinkType,
    /// Seconds of the last good record.
    last_seconds: Option<u32>,
}

/// The fields in front of a frame.
#[derive(Clone, Copy, Debug)]
struct Record {
    seconds: u32,
    fraction: u32,
    captured: u32,
    wire: u32,
}

impl Pcap {
    /// Whether these are the first bytes of a pcap file, in either byte order.
    pub(super) fn is_magic(magic: [u8; 4]) -> bool {
        matches!(u32::from_be_bytes(magic), 0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1)
    }

    pub(super) fn begin(window: &mut Window) -> Result<Self, ReadErrorKind> {
        let have = window.fill(HEADER_LEN).map_err(ReadErrorKind::Io)?;
        let Ok((_, header)) = PcapHeader::from_slice(window.bytes()) else {
            let (need, have) = (HEADER_LEN as u64, have as u64);
            return Err(ReadErrorKind::Cut { what: "the header of a pcap file", need, have });
        };
        let PcapHeader { version_major: major, version_minor: minor, .. } = header;
        if major != 2 {
            return Err(ReadErrorKind::Version { what: "pcap", major, minor });
        }
        window.consume(HEADER_LEN);
        Ok(Self {
            big_endian: header.endianness == Endianness::Big,
            nanos_per_fraction: match header.ts_resolution {
                TsResolution::MicroSecond => 1_000,
                TsResolution::NanoSecond => 1,
            },
            // The bits above tell the length of the frame check sequence.
            link: LinkType::from_number(u32::from(header.datalink) as u16),
            last_seconds: None,
        })
    }

    /// The next record. The window stays where it begins.
    #[inline]
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Step, ReadErrorKind> {
        let have = window.fill(RECORD_HEADER_LEN).map_err(ReadErrorKind::Io)?;
        let Some(record) = self.record(window.bytes()) else {
            if have == 0 {
                return Ok(Step::End);
            }
            let (need, have) = (RECORD_HEADER_LEN as u64, have as u64);
            return Err(ReadErrorKind::Cut { what: "the header of a record", need, have });
        };
        if record.captured as usize > FRAME_BYTES_MAX {
            return Err(ReadErrorKind::Length {
                what: "a frame",
                length: u64::from(record.captured),
                min: 0,
                max: FRAME_BYTES_MAX as u64,
            });
        }
        let len = RECORD_HEADER_LEN + record.captured as usize;
        let have = window.fill(len).map_err(ReadErrorKind::Io)?;
        if have < len {
            let (need, have) = (len as u64, have as u64);
            return Err(ReadErrorKind::Cut { what: "a record", need, have });
        }
        self.last_seconds = Some(record.seconds);
        Ok(Step::Frame(Head {
            // At most 2³² * 10⁹ + 2³² * 10³: the sum fits.
            at_unix_nanos: Some(
                u64::from(record.seconds) * 1_000_000_000
                    + u64::from(record.fraction) * self.nanos_per_fraction,
            ),
            link: self.link,
            frame_at: RECORD_HEADER_LEN,
            frame_len: record.captured as usize,
            wire_len: record.wire.max(record.captured),
            interface: 0,
            direction: Direction::Unknown,
            comment_at: 0,
            comment_len: 0,
            record_len: len,
        }))
    }

    fn record(&self, bytes: &[u8]) -> Option<Record> {
        let fields = bytes.first_chunk::<RECORD_HEADER_LEN>()?.as_chunks::<4>().0;
        let read = |at: usize| match self.big_endian {
            true => u32::from_be_bytes(fields[at]),
            false => u32::from_le_bytes(fields[at]),
        };
        Some(Record { seconds: read(0), fraction: read(1), captured: read(2), wire: read(3) })
    }

    /// Moves the window to the next place that looks like a record, or to the end. The window
    /// begins with what turned out to be none.
    ///
    /// A record looks like one where its lengths and its time make sense and another such record,
    /// or the end of the input, follows it.
    pub(super) fn find(&self, window: &mut Window) -> Result<(), ReadErrorKind> {
        window.consume(1);
        loop {
            if window.fill(RECORD_HEADER_LEN).map_err(ReadErrorKind::Io)? < RECORD_HEADER_LEN {
                let rest = window.bytes().len();
                window.consume(rest);
                return Ok(());
            }
            if let Some(record) = self.record(window.bytes())
                && self.is_plausible(&record)
            {
                let next = RECORD_HEADER_LEN + record.captured as usize;
                let have = window.fill(next + RECORD_HEADER_LEN).map_err(ReadErrorKind::Io)?;
                let follows = window.bytes().get(next..).and_then(|bytes| self.record(bytes));
                if have == next || follows.is_some_and(|record| self.is_plausible(&record)) {
                    return Ok(());
                }
            }
            window.consume(1);
        }
    }

    /// Whether the window begins with a record that is right as far as it goes: one that is cut is
    /// then the end of the input, and not a length that lies.
    pub(super) fn is_record(&self, window: &Window) -> bool {
        self.record(window.bytes()).is_none_or(|record| self.is_plausible(&record))
    }

    fn is_plausible(&self, record: &Record) -> bool {
        let fractions = 1_000_000_000 / self.nanos_per_fraction;
        record.captured > 0
            && record.captured <= record.wire
            && record.wire as usize <= FRAME_BYTES_MAX
            && u64::from(record.fraction) < fractions
            && self.last_seconds.is_none_or(|last| record.seconds.abs_diff(last) <= NEAR_SECONDS)
    }
}
