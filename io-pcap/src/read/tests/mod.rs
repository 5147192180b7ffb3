//! Files written by another crate, or byte by byte, and what is read of them.

mod damage;
mod formats;
mod hostile;
mod merge;
mod packed;

use super::*;
use crate::writer::Direction;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::{DataLink, Endianness, TsResolution};
use std::io;
use std::time::Duration;

/// A frame, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    at: u64,
    bytes: Vec<u8>,
    wire_len: u32,
    link: LinkType,
    input: u32,
    interface: u32,
}

/// Everything that a capture gives: frames in order, errors as texts.
#[derive(Debug, Default, PartialEq, Eq)]
struct All {
    frames: Vec<Got>,
    errors: Vec<String>,
    stats: ReadStats,
}

fn read_all(mut capture: Capture) -> All {
    let mut all = All::default();
    while let Some(frame) = capture.next_frame() {
        match frame {
            Ok(frame) => {
                assert_eq!(frame.number, all.frames.len() as u64 + 1);
                all.frames.push(Got {
                    at: frame.at_unix_nanos,
                    bytes: frame.bytes.to_vec(),
                    wire_len: frame.wire_len,
                    link: frame.link,
                    input: frame.input,
                    interface: frame.interface,
                });
            }
            Err(error) => all.errors.push(error.to_string()),
        }
    }
    all.stats = *capture.stats();
    assert_eq!(all.stats.frames, all.frames.len() as u64);
    all
}

fn capture(files: &[&[u8]]) -> Capture {
    let input = |(index, bytes): (usize, &&[u8])| {
        Input::new(format!("file{index}"), io::Cursor::new(bytes.to_vec()))
    };
    Capture::new(files.iter().enumerate().map(input).collect()).unwrap()
}

fn read(file: &[u8]) -> All {
    read_all(capture(&[file]))
}

/// Frames to be written: time in nanoseconds, bytes, length on the wire.
type Frames<'a> = &'a [(u64, &'a [u8], u32)];

/// Multiples of 2⁻⁶ seconds, so that every resolution from 10⁻⁶ on and 2⁻²⁰ tells them exactly.
const EXACT: Frames<'static> = &[
    (1_700_000_000_015_625_000, b"first frame", 11),
    (1_700_000_000_031_250_000, b"cut", 1514),
    (1_700_000_001_000_000_000, &[0xff; 60], 60),
    (1_700_000_007_984_375_000, b"", 0),
];

fn pcap(frames: Frames<'_>, ts_resolution: TsResolution, endianness: Endianness) -> Vec<u8> {
    let header = PcapHeader { ts_resolution, endianness, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for &(at, bytes, wire_len) in frames {
        writer.write_packet(&PcapPacket::new(Duration::from_nanos(at), wire_len, bytes)).unwrap();
    }
    writer.into_writer()
}

fn pcap_micros(frames: Frames<'_>) -> Vec<u8> {
    pcap(frames, TsResolution::MicroSecond, Endianness::Little)
}

/// pcap-file writes the nanoseconds that it is given as ticks, whatever the interface's resolution.
fn packet(interface: u32, ticks: u64, bytes: &[u8], wire_len: u32) -> EnhancedPacketBlock<'_> {
    EnhancedPacketBlock {
        interface_id: interface,
        timestamp: Duration::from_nanos(ticks),
        original_len: wire_len,
        data: bytes.into(),
        options: vec![],
    }
}

fn interface(
    linktype: DataLink,
    options: Vec<InterfaceDescriptionOption<'static>>,
) -> InterfaceDescriptionBlock<'static> {
    InterfaceDescriptionBlock { linktype, snaplen: 0, options }
}

fn section(endianness: Endianness) -> SectionHeaderBlock<'static> {
    SectionHeaderBlock { endianness, ..SectionHeaderBlock::default() }
}

fn pcapng(frames: Frames<'_>) -> Vec<u8> {
    let mut writer =
        PcapNgWriter::with_section_header(Vec::new(), section(Endianness::Little)).unwrap();
    let resolution = vec![InterfaceDescriptionOption::IfTsResol(9)];
    writer.write_pcapng_block(interface(DataLink::ETHERNET, resolution)).unwrap();
    for &(at, bytes, wire_len) in frames {
        writer.write_pcapng_block(packet(0, at, bytes, wire_len)).unwrap();
    }
    writer.into_inner()
}

fn assert_frames(got: &All, expected: Frames<'_>) {
    let got: Vec<_> = got.frames.iter().map(|f| (f.at, &f.bytes[..], f.wire_len)).collect();
    assert_eq!(got, expected);
}

/// Gives so many bytes a read, then fails or ends.
struct Trickle {
    bytes: io::Cursor<Vec<u8>>,
    step: usize,
    fails: bool,
}

impl io::Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(out.len());
        match self.bytes.read(&mut out[..step])? {
            0 if self.fails && !out.is_empty() => Err(io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}
