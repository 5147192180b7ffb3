//! Every format, resolution and byte order.

use super::*;
use crate::writer::{Interface, Packet, Writer};
use pcap_file::pcapng::blocks::packet::PacketBlock;
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::blocks::unknown::UnknownBlock;

#[test]
fn the_same_frames_have_the_same_times_in_every_resolution_and_byte_order() {
    for endianness in [Endianness::Little, Endianness::Big] {
        for resolution in [TsResolution::MicroSecond, TsResolution::NanoSecond] {
            let all = read(&pcap(EXACT, resolution, endianness));
            assert_frames(&all, EXACT);
            assert_eq!(all.errors, [""; 0]);
            assert_eq!(all.stats.cut_frames, 1);
        }
        // Ticks a second, and if_tsresol.
        for (ticks, resolution) in [
            (1_000_000u128, Some(6)),
            (1_000_000, None),
            (1 << 20, Some(0x80 | 20)),
            (1_000_000_000, Some(9)),
            (64, Some(0x80 | 6)),
            (10u128.pow(10), Some(10)),
        ] {
            for offset in [0i64, 1_600_000_000, -7] {
                let mut writer =
                    PcapNgWriter::with_section_header(Vec::new(), section(endianness)).unwrap();
                let mut options: Vec<_> =
                    resolution.map(InterfaceDescriptionOption::IfTsResol).into_iter().collect();
                if offset != 0 {
                    options.push(InterfaceDescriptionOption::IfTsOffset(offset as u64));
                }
                writer.write_pcapng_block(interface(DataLink::ETHERNET, options)).unwrap();
                for &(at, bytes, wire_len) in EXACT {
                    let nanos = i128::from(at) - i128::from(offset) * 1_000_000_000;
                    let Ok(ticks) = u64::try_from(nanos as u128 * ticks / 1_000_000_000) else {
                        continue;
                    };
                    writer.write_pcapng_block(packet(0, ticks, bytes, wire_len)).unwrap();
                }
                let all = read(&writer.into_inner());
                assert_frames(&all, EXACT);
                assert_eq!(all.errors, [""; 0], "{resolution:?} {offset}");
            }
        }
    }
}

#[test]
fn interfaces_of_all_sections_keep_their_own_links_and_resolutions() {
    let resolution = |value| vec![InterfaceDescriptionOption::IfTsResol(value)];
    let mut writer =
        PcapNgWriter::with_section_header(Vec::new(), section(Endianness::Big)).unwrap();
    writer.write_pcapng_block(interface(DataLink::ETHERNET, resolution(3))).unwrap();
    writer.write_pcapng_block(interface(DataLink::LINUX_SLL, resolution(9))).unwrap();
    writer.write_pcapng_block(packet(1, 5, b"a", 1)).unwrap();
    writer.write_pcapng_block(packet(0, 5, b"b", 1)).unwrap();
    // Described after packets of others, as when a device is plugged in.
    writer.write_pcapng_block(interface(DataLink::Unknown(276), resolution(0))).unwrap();
    writer.write_pcapng_block(packet(2, 5, b"c", 1)).unwrap();
    writer.write_pcapng_block(section(Endianness::Little)).unwrap();
    writer.write_pcapng_block(interface(DataLink::RAW, vec![])).unwrap();
    writer.write_pcapng_block(packet(0, 6_000_000, b"d", 1)).unwrap();
    let all = read(&writer.into_inner());

    let got: Vec<_> =
        all.frames.iter().map(|f| (f.at, f.interface, f.link, &f.bytes[..])).collect();
    assert_eq!(
        got,
        [
            (5, 1, LinkType::LinuxSll, &b"a"[..]),
            (5_000_000, 0, LinkType::Ethernet, b"b"),
            (5_000_000_000, 2, LinkType::LinuxSll2, b"c"),
            (6_000_000_000, 0, LinkType::RawIp, b"d"),
        ]
    );
    assert_eq!(all.errors, [""; 0]);
}

#[test]
fn our_own_captures_come_back_with_directions_and_comments() {
    let interfaces = [Interface::new("a"), Interface { name: "b", snaplen: 4 }];
    let mut writer = Writer::new(Vec::new(), &interfaces).unwrap();
    let written = [
        Packet {
            interface: 0,
            at_unix_nanos: 1_700_000_000_123_456_789,
            direction: Direction::Inbound,
            bytes: &[1; 60],
            comment: Some("cwnd=14480 why=new data"),
        },
        Packet {
            interface: 1,
            at_unix_nanos: 1_700_000_000_123_456_790,
            direction: Direction::Outbound,
            bytes: &[2; 61],
            comment: None,
        },
        Packet {
            interface: 0,
            at_unix_nanos: 1_700_000_000_123_456_791,
            direction: Direction::Unknown,
            bytes: &[],
            comment: Some("é"),
        },
    ];
    written.iter().for_each(|packet| writer.write(packet));
    let file = writer.finish().unwrap();
    let mut capture = capture(&[&file]);
    for packet in written {
        let frame = capture.next_frame().unwrap().unwrap();
        assert_eq!(frame.at_unix_nanos, packet.at_unix_nanos);
        assert_eq!(frame.direction, packet.direction);
        assert_eq!(frame.interface, packet.interface);
        assert_eq!(frame.comment().as_deref(), packet.comment);
        let kept = packet.bytes.len().min(interfaces[packet.interface as usize].snaplen as usize);
        assert_eq!(frame.bytes, &packet.bytes[..kept]);
        assert_eq!(frame.wire_len as usize, packet.bytes.len());
    }
    assert!(capture.next_frame().is_none());
}

#[test]
fn the_first_of_several_comments_is_shown_and_what_is_no_text_is_replaced() {
    let mut block = packet(0, 1, b"x", 1);
    block.options = vec![
        EnhancedPacketOption::Hash(vec![2, 1, 2, 3, 4].into()),
        EnhancedPacketOption::Comment("first".into()),
        EnhancedPacketOption::Comment("second".into()),
        EnhancedPacketOption::Flags(2),
    ];
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Big).unwrap();
    writer.write_pcapng_block(interface(DataLink::ETHERNET, vec![])).unwrap();
    writer.write_pcapng_block(block).unwrap();
    let mut file = writer.into_inner();
    let mut reader = capture(&[&file]);
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(frame.comment().as_deref(), Some("first"));
    assert_eq!(frame.direction, Direction::Outbound);

    let at = file.windows(5).position(|w| w == b"first").unwrap();
    file[at] = 0xff;
    let mut reader = capture(&[&file]);
    assert_eq!(reader.next_frame().unwrap().unwrap().comment().as_deref(), Some("\u{fffd}irst"));
}

#[test]
fn blocks_without_packets_are_passed_over_however_long() {
    let long = vec![0xee; 3 * BLOCK_BYTES_MAX];
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    writer.write_pcapng_block(UnknownBlock::new(0x0bad, 0, b"custom!!")).unwrap();
    writer.write_pcapng_block(interface(DataLink::ETHERNET, vec![])).unwrap();
    writer.write_pcapng_block(UnknownBlock::new(0x8000_0001, 0, &long)).unwrap();
    writer.write_pcapng_block(packet(0, 1, b"x", 1)).unwrap();
    writer.write_pcapng_block(UnknownBlock::new(4, 0, b"")).unwrap();
    let mut capture = capture(&[&writer.into_inner()]);
    assert_eq!(capture.next_frame().unwrap().unwrap().bytes, b"x");
    assert!(capture.next_frame().is_none());
    assert!(capture.held() <= 2 * window::CHUNK, "{} bytes held", capture.held());
}

#[test]
fn simple_packets_have_the_time_of_the_packet_before_and_the_snap_length_of_the_first_interface() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    let mut description = interface(DataLink::ETHERNET, vec![]);
    description.snaplen = 4;
    writer.write_pcapng_block(description).unwrap();
    writer
        .write_pcapng_block(SimplePacketBlock { original_len: 3, data: b"one"[..].into() })
        .unwrap();
    writer.write_pcapng_block(packet(0, 7, b"two", 3)).unwrap();
    writer
        .write_pcapng_block(SimplePacketBlock { original_len: 90, data: b"four"[..].into() })
        .unwrap();
    let all = read(&writer.into_inner());
    assert_frames(&all, &[(0, b"one", 3), (7_000, b"two", 3), (7_000, b"four", 90)]);
}

#[test]
fn packet_blocks_of_early_files_are_read() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Big).unwrap();
    writer.write_pcapng_block(interface(DataLink::ETHERNET, vec![])).unwrap();
    writer
        .write_pcapng_block(PacketBlock {
            interface_id: 0,
            drop_count: 9,
            timestamp: 12,
            captured_len: 5,
            original_len: 8,
            data: b"early"[..].into(),
            options: vec![],
        })
        .unwrap();
    assert_frames(&read(&writer.into_inner()), &[(12_000, b"early", 8)]);
}

#[test]
fn link_types_are_known_by_their_numbers() {
    for (number, link) in [
        (0, LinkType::Null),
        (1, LinkType::Ethernet),
        (12, LinkType::RawIp),
        (101, LinkType::RawIp),
        (108, LinkType::Loop),
        (113, LinkType::LinuxSll),
        (228, LinkType::RawIp),
        (229, LinkType::RawIp),
        (276, LinkType::LinuxSll2),
        (105, LinkType::Other(105)),
        // The length of a frame check sequence is told above the type.
        (0x4400_0001, LinkType::Ethernet),
    ] {
        let header = PcapHeader { datalink: DataLink::from(number), ..PcapHeader::default() };
        let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
        writer.write_packet(&PcapPacket::new(Duration::ZERO, 1, b"x")).unwrap();
        assert_eq!(read(&writer.into_writer()).frames[0].link, link, "{number:#x}");
    }
}

#[test]
fn readers_that_give_a_byte_at_a_time_give_the_same_frames() {
    for file in [pcap_micros(EXACT), pcapng(EXACT)] {
        let reader = Trickle { bytes: io::Cursor::new(file), step: 1, fails: false };
        let capture = Capture::new(vec![Input::new("slow", reader)]).unwrap();
        assert_frames(&read_all(capture), EXACT);
    }
}

#[test]
fn times_before_1970_and_after_2554_are_counted() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    let seconds = vec![InterfaceDescriptionOption::IfTsResol(0)];
    writer.write_pcapng_block(interface(DataLink::ETHERNET, seconds)).unwrap();
    let before = vec![InterfaceDescriptionOption::IfTsOffset((-1i64) as u64)];
    writer.write_pcapng_block(interface(DataLink::ETHERNET, before)).unwrap();
    writer.write_pcapng_block(packet(0, 3, b"a", 1)).unwrap();
    writer.write_pcapng_block(packet(0, 1 << 40, b"b", 1)).unwrap();
    writer.write_pcapng_block(packet(1, 0, b"c", 1)).unwrap();
    let all = read(&writer.into_inner());
    assert_frames(
        &all,
        &[(3_000_000_000, b"a", 1), (3_000_000_000, b"b", 1), (3_000_000_000, b"c", 1)],
    );
    assert_eq!((all.stats.times_out_of_range, all.stats.clock_backwards), (2, 0));
}
