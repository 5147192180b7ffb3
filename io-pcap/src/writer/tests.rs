//! Byte for byte, back through a reader that is not ours, and over sinks that fail.

use super::*;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::{Block, PcapNgReader};
use std::cell::RefCell;
use std::rc::Rc;

/// 2023-11-14 22:13:20.123456789 UTC.
const AT: u64 = 1_700_000_000_123_456_789;

fn frame(at_unix_nanos: u64, bytes: &[u8]) -> Packet<'_> {
    Packet { interface: 0, at_unix_nanos, direction: Direction::Inbound, bytes, comment: None }
}

fn read_back(file: &[u8]) -> Vec<EnhancedPacketBlock<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            packets.push(packet.into_owned());
        }
    }
    packets
}

/// Takes `room` bytes, then fails. Shows what it took, also after it was dropped.
struct Sink {
    taken: Rc<RefCell<Vec<u8>>>,
    room: usize,
    flushes: Rc<RefCell<u32>>,
}

impl Sink {
    fn new(room: usize) -> (Self, Rc<RefCell<Vec<u8>>>) {
        let taken = Rc::new(RefCell::new(Vec::new()));
        let sink = Self { taken: taken.clone(), room, flushes: Rc::default() };
        (sink, taken)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 && !bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room"));
        }
        self.room -= count;
        self.taken.borrow_mut().extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        *self.flushes.borrow_mut() += 1;
        Ok(())
    }
}

#[test]
fn a_small_file_is_this_byte_for_byte() {
    let interface = Interface { name: "tap0", snaplen: 1518 };
    let mut writer = Writer::new(Vec::new(), &[interface]).unwrap();
    writer.write(&Packet {
        interface: 0,
        at_unix_nanos: 0x1797_9CFE_3FC4_F515,
        direction: Direction::Outbound,
        bytes: &[0xa1, 0xa2, 0xa3, 0xa4, 0xa5],
        comment: Some("hi"),
    });
    let expected = [
        // Section Header Block: type, length, byte order, 1.0, unknown length.
        &[0x0a, 0x0d, 0x0d, 0x0a][..],
        &[44, 0, 0, 0],
        &[0x4d, 0x3c, 0x2b, 0x1a],
        &[1, 0, 0, 0],
        &[0xff; 8],
        // shb_userappl, end of options.
        &[4, 0, 6, 0],
        b"simoom\0\0",
        &[0, 0, 0, 0],
        &[44, 0, 0, 0],
        // Interface Description Block: type, length, Ethernet, snaplen.
        &[1, 0, 0, 0],
        &[40, 0, 0, 0],
        &[1, 0, 0, 0],
        &[0xee, 0x05, 0, 0],
        // if_name, if_tsresol, end of options.
        &[2, 0, 4, 0],
        b"tap0",
        &[9, 0, 1, 0],
        &[9, 0, 0, 0],
        &[0, 0, 0, 0],
        &[40, 0, 0, 0],
        // Enhanced Packet Block: type, length, interface, time high, time low, lengths.
        &[6, 0, 0, 0],
        &[60, 0, 0, 0],
        &[0, 0, 0, 0],
        &[0xfe, 0x9c, 0x97, 0x17],
        &[0x15, 0xf5, 0xc4, 0x3f],
        &[5, 0, 0, 0],
        &[5, 0, 0, 0],
        &[0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0, 0, 0],
        // opt_comment, epb_flags: outbound, end of options.
        &[1, 0, 2, 0],
        b"hi\0\0",
        &[2, 0, 4, 0],
        &[2, 0, 0, 0],
        &[0, 0, 0, 0],
        &[60, 0, 0, 0],
    ]
    .concat();
    assert_eq!(writer.finish().unwrap(), expected);
}

#[test]
fn another_reader_sees_exact_nanoseconds_bytes_directions_and_comments() {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut writer =
        Writer::new(Vec::new(), &[Interface::new("eth0"), Interface::new("a name of 17 byt")])
            .unwrap();
    let mut sent = Vec::new();
    for (i, at_unix_nanos) in
        [0, 1, 999_999_999, AT, u64::from(u32::MAX), u64::MAX].into_iter().enumerate()
    {
        sent.push(Packet {
            interface: i as u32 % 2,
            at_unix_nanos,
            direction: [Direction::Unknown, Direction::Inbound, Direction::Outbound][i % 3],
            // Every remainder of four, the empty frame too.
            bytes: &bytes[..i * 41],
            comment: [None, Some("größer"), Some("")][i % 3],
        });
    }
    for packet in &sent {
        writer.write(packet);
    }
    let file = writer.finish().unwrap();

    let mut reader = PcapNgReader::new(&file[..]).unwrap();
    reader.next_block().unwrap().unwrap();
    reader.next_block().unwrap().unwrap();
    for (interface, name) in reader.interfaces().iter().zip(["eth0", "a name of 17 byt"]) {
        assert_eq!(interface.linktype, DataLink::ETHERNET);
        assert_eq!(interface.snaplen, SNAPLEN_MAX);
        let [InterfaceDescriptionOption::IfName(seen), InterfaceDescriptionOption::IfTsResol(9)] =
            &interface.options[..]
        else {
            panic!("{:?}", interface.options)
        };
        assert_eq!(seen, name);
    }
    let seen = read_back(&file);
    assert_eq!(seen.len(), sent.len());
    for (seen, sent) in seen.iter().zip(&sent) {
        assert_eq!(seen.interface_id, sent.interface);
        assert_eq!(seen.timestamp.as_nanos(), u128::from(sent.at_unix_nanos));
        assert_eq!(seen.original_len as usize, sent.bytes.len());
        assert_eq!(seen.data, sent.bytes);
        let mut options = Vec::new();
        options.extend(sent.comment.map(|c| EnhancedPacketOption::Comment(c.into())));
        options.push(EnhancedPacketOption::Flags(match sent.direction {
            Direction::Unknown => 0,
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        }));
        assert_eq!(seen.options, options);
    }
}

#[test]
fn a_frame_beyond_the_snaplen_is_cut_and_keeps_its_length() {
    let interface = Interface { name: "cut", snaplen: 61 };
    let mut writer = Writer::new(Vec::new(), &[interface]).unwrap();
    for len in [60, 61, 62, 1500] {
        writer.write(&frame(AT, &vec![7; len]));
    }
    let seen: Vec<_> = read_back(&writer.finish().unwrap())
        .iter()
        .map(|p| (p.data.len(), p.original_len))
        .collect();
    assert_eq!(seen, [(60, 60), (61, 61), (61, 62), (61, 1500)]);
}

#[test]
fn a_comment_too_long_is_cut_at_the_end_of_a_character() {
    let comment = "ä".repeat(COMMENT_BYTES_MAX);
    let odd = format!("x{comment}");
    let mut writer = Writer::new(Vec::new(), &[Interface::new("notes")]).unwrap();
    for comment in [&comment, &odd] {
        writer.write(&Packet { comment: Some(comment), ..frame(AT, &[1; 60]) });
    }
    let lens: Vec<_> = read_back(&writer.finish().unwrap())
        .iter()
        .map(|p| match &p.options[0] {
            EnhancedPacketOption::Comment(text) => text.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lens, [COMMENT_BYTES_MAX, COMMENT_BYTES_MAX - 1]);
}

#[test]
fn whole_blocks_go_out_and_the_buffer_never_grows() {
    let (sink, taken) = Sink::new(usize::MAX);
    let mut writer = Writer::new(sink, &[Interface::new("bulk")]).unwrap();
    let head_len = taken.borrow().len();
    let capacity = writer.blocks.capacity();
    let longest = vec![3; SNAPLEN_MAX as usize + 1];
    let comment = "c".repeat(COMMENT_BYTES_MAX);
    let mut writes_seen = 0;
    let mut last_len = head_len;
    for i in 0..600 {
        let bytes = if i % 50 == 49 { &longest[..] } else { &longest[..1514] };
        writer.write(&Packet { comment: Some(&comment), ..frame(AT + i, bytes) });
        let len = taken.borrow().len();
        if len != last_len {
            writes_seen += 1;
            last_len = len;
            // Whatever the sink has is a capture that can be read to its end.
            assert_eq!(read_back(&taken.borrow()).len() as u64, writer.packets_written());
        }
    }
    assert!((5..60).contains(&writes_seen), "{writes_seen} writes");
    assert_eq!(writer.blocks.capacity(), capacity);
    let flushes = writer.finish().unwrap().flushes;
    assert_eq!(*flushes.borrow(), 1);
    let times: Vec<_> =
        read_back(&taken.borrow()).iter().map(|p| p.timestamp.as_nanos() as u64 - AT).collect();
    assert_eq!(times, (0..600).collect::<Vec<u64>>());
}

#[test]
fn the_first_error_ends_the_recording_and_the_rest_is_counted() {
    // Room for the head and something more than one drain.
    let (sink, taken) = Sink::new(DRAIN_AT + DRAIN_AT / 2);
    let mut writer = Writer::new(sink, &[Interface::new("full")]).unwrap();
    const PACKETS: u64 = 2000;
    for i in 0..PACKETS {
        writer.write(&frame(AT + i, &[9; 1000]));
    }
    assert_eq!(writer.error().unwrap().kind(), io::ErrorKind::StorageFull);
    assert_eq!(writer.packets_written() + writer.packets_lost(), PACKETS);
    assert!(writer.packets_written() > 0);
    let taken_len = taken.borrow().len();
    writer.flush();
    writer.write(&frame(AT, &[9; 60]));
    assert_eq!(writer.packets_written() + writer.packets_lost(), PACKETS + 1);
    assert_eq!(taken.borrow().len(), taken_len, "nothing after the hole");
    let error = writer.finish().err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    // What came before the cut is as good as ever.
    let taken = taken.borrow();
    let mut reader = PcapNgReader::new(&taken[..]).unwrap();
    let mut whole = 0;
    while let Some(Ok(block)) = reader.next_block() {
        whole += u64::from(block.into_enhanced_packet().is_some());
    }
    assert!((1..PACKETS).contains(&whole));
}

#[test]
fn a_sink_that_takes_nothing_is_known_at_once() {
    let (sink, _) = Sink::new(10);
    let error = Writer::new(sink, &[Interface::new("none")]).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn an_error_of_the_last_flush_is_not_lost() {
    struct Unflushable;
    impl Write for Unflushable {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
    }
    let mut writer = Writer::new(Unflushable, &[Interface::new("x")]).unwrap();
    writer.write(&frame(AT, &[1; 60]));
    let error = writer.finish().err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn dropping_a_writer_writes_what_it_holds() {
    let (sink, taken) = Sink::new(usize::MAX);
    let mut writer = Writer::new(sink, &[Interface::new("dropped")]).unwrap();
    writer.write(&frame(AT, &[1; 60]));
    assert_eq!(read_back(&taken.borrow()).len(), 0);
    drop(writer);
    assert_eq!(read_back(&taken.borrow()).len(), 1);
}

#[test]
fn interfaces_out_of_bounds_are_refused_in_words() {
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    for (interface, words) in [
        (Interface::new(&long), "256 bytes, at most 255"),
        (Interface { name: "z", snaplen: 0 }, "\"z\": its snaplen is 0: it must be 1 to 262144"),
        (Interface { name: "z", snaplen: SNAPLEN_MAX + 1 }, "its snaplen is 262145"),
    ] {
        let error = Writer::new(Vec::new(), &[interface]).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(Writer::new(Vec::new(), &[Interface::new(&long[1..])]).is_ok());
}

#[test]
fn a_packet_taken_back_leaves_no_trace() {
    let mut writer = Writer::new(Vec::new(), &[Interface::new("x")]).unwrap();
    writer.write(&frame(AT, &[1; 60]));
    let mark = writer.append(&frame(AT + 1, &[2; 61]));
    writer.retract(mark);
    writer.write(&frame(AT + 2, &[3; 62]));
    // The same where appending had to drain first.
    while writer.blocks.len() < DRAIN_AT {
        writer.write(&frame(AT + 3, &[4; 1514]));
    }
    let before = writer.held;
    let mark = writer.append(&frame(AT + 4, &[5; 60]));
    assert_eq!(writer.packets_written(), before);
    writer.retract(mark);
    writer.write(&frame(AT + 5, &[6; 60]));
    let seen = read_back(&writer.finish().unwrap());
    let kept = |n: u8| seen.iter().filter(|p| p.data[0] == n).count();
    assert_eq!((kept(1), kept(2), kept(3), kept(5), kept(6)), (1, 0, 1, 0, 1));
    assert_eq!(seen.len() as u64, before + 1);
}
