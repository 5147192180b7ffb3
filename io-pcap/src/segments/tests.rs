//! Captures of fragments, in every order, cut, overlapping and without end.

use super::*;
use crate::dissect::{ChecksumSeen, Ecn, Segment};
use crate::read::Input;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::Cursor;
use std::time::Duration;

/// A raw IP packet in a capture.
#[derive(Clone, Debug)]
struct Raw {
    at_seconds: u32,
    bytes: Vec<u8>,
    wire_len: u32,
}

fn segments(packets: &[Raw]) -> Segments {
    let header = PcapHeader { datalink: DataLink::RAW, snaplen: 1 << 20, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for Raw { at_seconds, bytes, wire_len } in packets {
        let at = Duration::from_secs(u64::from(*at_seconds));
        writer.write_packet(&PcapPacket::new(at, *wire_len, bytes)).unwrap();
    }
    let file = Cursor::new(writer.into_writer());
    Segments::new(Capture::new(vec![Input::new("fragments", file)]).unwrap())
}

/// A segment of 10.0.0.1:50000 to 10.0.0.2:80 with this text and a right checksum.
fn tcp(text: &[u8], is_v6: bool) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(50_000, 80, 1, 1_000);
    header.checksum = match is_v6 {
        false => header.calc_checksum_ipv4_raw([10, 0, 0, 1], [10, 0, 0, 2], text).unwrap(),
        true => header.calc_checksum_ipv6_raw([1; 16], [2; 16], text).unwrap(),
    };
    [&header.to_bytes()[..], text].concat()
}

/// Bytes `offset` to `end` of a datagram's payload.
fn part(payload: &[u8], offset: usize, end: usize, id: u16, is_v6: bool) -> Raw {
    let more = end < payload.len();
    let bytes = &payload[offset..end];
    let place = (offset as u16) | u16::from(more);
    let mut packet = if is_v6 {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 44, 64];
        packet[4..6].copy_from_slice(&(bytes.len() as u16 + 8).to_be_bytes());
        packet.extend_from_slice(&[1; 16]);
        packet.extend_from_slice(&[2; 16]);
        packet.extend_from_slice(&[6, 0]);
        packet.extend_from_slice(&place.to_be_bytes());
        packet.extend_from_slice(&u32::from(id).to_be_bytes());
        packet
    } else {
        let mut header = etherparse::Ipv4Header::new(
            bytes.len() as u16,
            64,
            etherparse::IpNumber::TCP,
            [10, 0, 0, 1],
            [10, 0, 0, 2],
        )
        .unwrap();
        header.identification = id;
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = etherparse::IpFragOffset::try_new(offset as u16 / 8).unwrap();
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    };
    packet.extend_from_slice(bytes);
    Raw { at_seconds: 1, wire_len: packet.len() as u32, bytes: packet }
}

/// What was captured of a text, how long it was, its checksum.
type Text = (Vec<u8>, u32, ChecksumSeen);

/// Everything that is given: what each frame was, in a word, and the segments' texts.
fn run(packets: &[Raw]) -> (Vec<&'static str>, Vec<Text>, SegmentStats) {
    let mut segments = segments(packets);
    let (mut words, mut texts) = (vec![], vec![]);
    while let Some(item) = segments.next() {
        words.push(match item.unwrap().what {
            Dissected::Fragment(_) => "fragment",
            Dissected::Other(kind) => kind.name(),
            Dissected::Segment(Segment { payload, payload_len, checksum, .. }) => {
                texts.push((payload.to_vec(), payload_len, checksum));
                "segment"
            }
        });
    }
    let stats = segments.stats();
    let others: u64 = stats.other.iter().sum();
    assert_eq!(stats.frames, stats.segments + stats.fragments + others);
    assert_eq!(stats.frames, packets.len() as u64);
    (words, texts, stats)
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7) as u8).collect()
}

#[test]
fn fragments_in_every_order_give_the_segment_with_the_last() {
    for is_v6 in [false, true] {
        let text = text(80);
        let payload = tcp(&text, is_v6);
        let parts = [(0, 24), (24, 48), (48, 96), (96, 100)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let packets = order.map(|n: usize| part(&payload, parts[n].0, parts[n].1, 9, is_v6));
            let (words, texts, stats) = run(&packets);
            assert_eq!(words, ["fragment", "fragment", "fragment", "segment"]);
            assert_eq!(texts, [(text.clone(), 80, ChecksumSeen::Good)]);
            assert_eq!(stats.fragment.completed, 1);
        }
    }
}

#[test]
fn datagrams_are_told_apart_by_their_identification() {
    let (a, b) = (tcp(&[b'a'; 40], false), tcp(&[b'b'; 40], false));
    let packets = [
        part(&a, 0, 32, 1, false),
        part(&b, 0, 32, 2, false),
        part(&b, 32, 60, 2, false),
        part(&a, 32, 60, 1, false),
    ];
    let (words, texts, _) = run(&packets);
    assert_eq!(words, ["fragment", "fragment", "segment", "segment"]);
    assert_eq!((&texts[0].0[..], &texts[1].0[..]), (&[b'b'; 40][..], &[b'a'; 40][..]));
}

#[test]
fn fragments_that_come_twice_are_counted_and_change_nothing() {
    for is_v6 in [false, true] {
        let payload = tcp(&text(80), is_v6);
        let first = part(&payload, 0, 48, 1, is_v6);
        let packets = [first.clone(), first, part(&payload, 48, 100, 1, is_v6)];
        let (words, texts, stats) = run(&packets);
        assert_eq!(words, ["fragment", "fragment", "segment"]);
        assert_eq!(texts[0].2, ChecksumSeen::Good);
        assert_eq!((stats.fragment.duplicates, stats.fragment.overlaps), (1, 0));
    }
}

#[test]
fn in_ipv4_what_came_first_stands_where_fragments_overlap() {
    let payload = tcp(&text(80), false);
    let mut other = payload.clone();
    other[24..72].fill(0xee);
    let packets = [
        part(&payload, 0, 48, 1, false),
        part(&payload, 64, 100, 1, false),
        part(&other, 24, 72, 1, false),
    ];
    let (words, texts, stats) = run(&packets);
    assert_eq!(words, ["fragment", "fragment", "segment"]);
    let mut expected = text(80);
    expected[48 - 20..64 - 20].fill(0xee);
    assert_eq!(texts[0].0, expected);
    assert_eq!((stats.fragment.overlaps, stats.fragment.given_up), (1, 0));
}

#[test]
fn in_ipv6_a_datagram_with_an_overlap_is_given_up() {
    let payload = tcp(&text(80), true);
    let mut other = payload.clone();
    other[24..72].fill(0xee);
    let packets = [
        part(&payload, 0, 48, 1, true),
        part(&other, 24, 72, 1, true),
        part(&payload, 48, 100, 1, true),
        part(&payload, 0, 48, 1, true),
    ];
    let (words, _, stats) = run(&packets);
    assert_eq!(words, ["fragment"; 4]);
    assert_eq!((stats.fragment.overlaps, stats.fragment.given_up), (1, 1));
}

#[test]
fn datagrams_with_two_ends_are_given_up() {
    let payload = tcp(&text(80), false);
    for second in
        [part(&payload[..90], 48, 90, 1, false), part(&tcp(&text(120), false), 96, 136, 1, false)]
    {
        let packets = [part(&payload, 48, 100, 1, false), second, part(&payload, 0, 48, 1, false)];
        let (words, _, stats) = run(&packets);
        assert_eq!(words, ["fragment"; 3]);
        assert_eq!(stats.fragment.given_up, 1);
    }
}

#[test]
fn an_end_before_what_is_there_already_is_none() {
    let payload = tcp(&text(100), false);
    let packets = [
        part(&payload, 48, 96, 1, false),
        part(&payload[..90], 48, 90, 1, false),
        part(&payload, 0, 48, 1, false),
    ];
    let (words, _, stats) = run(&packets);
    assert_eq!(words, ["fragment"; 3]);
    assert_eq!(stats.fragment.given_up, 1);
}

#[test]
fn congestion_that_one_fragment_experienced_is_the_segments() {
    let payload = tcp(&text(80), false);
    let mut packets = [(0, 48), (48, 96), (96, 100)].map(|(a, b)| part(&payload, a, b, 1, false));
    for (tos, ecn) in [(2, Ecn::NotEct), (3, Ecn::Ce)] {
        packets[1].bytes[1] = tos;
        let mut segments = segments(&packets);
        let what = (0..3).map(|_| match segments.next().unwrap().unwrap().what {
            Dissected::Segment(segment) => Some(segment.ecn),
            _ => None,
        });
        assert_eq!(what.last().unwrap(), Some(ecn));
    }
}

#[test]
fn fragments_that_cannot_be_are_counted() {
    let long = vec![0; 65_528 + 16];
    let beyond = part(&long, 65_528, 65_528 + 16, 1, false);
    let odd = {
        let mut odd = part(&[0; 60], 0, 32, 1, false);
        odd.bytes.pop();
        odd.bytes[3] -= 1;
        odd.wire_len -= 1;
        odd
    };
    let empty = part(&[0; 60], 32, 32, 1, false);
    let (words, _, stats) = run(&[beyond, odd, empty]);
    assert_eq!(words, ["fragment"; 3]);
    assert_eq!(stats.fragment.malformed, 3);
}

#[test]
fn what_the_capture_cut_of_a_fragment_is_missing_from_the_text() {
    let text = text(80);
    let payload = tcp(&text, false);
    let mut second = part(&payload, 48, 72, 1, false);
    second.bytes.truncate(20 + 10);
    let packets = [part(&payload, 0, 48, 1, false), second, part(&payload, 72, 100, 1, false)];
    let (_, texts, _) = run(&packets);
    assert_eq!(texts, [(text[..38].to_vec(), 80, ChecksumSeen::NotChecked)]);
}

#[test]
fn incomplete_datagrams_expire_after_a_minute() {
    let payload = tcp(&text(80), false);
    let at = |at_seconds, raw: Raw| Raw { at_seconds, ..raw };
    for (later, word) in [(61, "segment"), (62, "fragment")] {
        let packets =
            [at(1, part(&payload, 0, 48, 1, false)), at(later, part(&payload, 48, 100, 1, false))];
        let (words, _, stats) = run(&packets);
        assert_eq!(words[1], word);
        assert_eq!(stats.fragment.expired, u64::from(later == 62));
    }
}

#[test]
fn a_flood_of_fragments_pushes_out_the_oldest() {
    let payload = tcp(&text(80), false);
    let mut packets = vec![part(&payload, 0, 48, 0, false)];
    packets.extend((1..=DATAGRAMS_MAX as u16).map(|id| part(&payload, 0, 48, id, false)));
    packets.push(part(&payload, 48, 100, 0, false));
    packets.push(part(&payload, 48, 100, DATAGRAMS_MAX as u16, false));
    let (words, _, stats) = run(&packets);
    assert_eq!(words[words.len() - 2..], ["fragment", "segment"]);
    assert_eq!(stats.fragment.evicted, 2);
    assert_eq!(stats.fragment.incomplete, DATAGRAMS_MAX as u64 - 1);

    // Bytes have a bound of their own.
    let large = vec![0; 65_000];
    let packets: Vec<_> = (0..200).map(|id| part(&large, 64_000, 64_992, id, false)).collect();
    let stats = run(&packets).2;
    let kept = (FRAGMENT_BYTES_MAX / 64_992) as u64;
    assert_eq!((stats.fragment.incomplete, stats.fragment.evicted), (kept, 200 - kept));
}

#[test]
fn a_datagram_with_too_many_gaps_is_given_up() {
    let payload = vec![0; 16 * 70];
    let packets: Vec<_> = (0..70).map(|n| part(&payload, 16 * n, 16 * n + 8, 1, false)).collect();
    assert_eq!(run(&packets).2.fragment.given_up, 1);
}

#[test]
fn fragments_of_other_protocols_are_not_kept() {
    let mut packet = part(&[0; 60], 0, 32, 1, false);
    packet.bytes[9] = 17;
    let (words, _, stats) = run(&[packet]);
    assert_eq!(words, ["fragment"]);
    assert_eq!((stats.fragment.not_tcp, stats.fragment.incomplete), (1, 0));
}

#[test]
fn a_datagram_of_fragments_can_hold_something_else() {
    // IPv6 whose fragments begin with destination options in front of UDP.
    let payload = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &[0; 16]].concat();
    let packets = [(0, 8), (8, 24)].map(|(offset, end)| {
        let mut packet = part(&payload, offset, end, 1, true);
        packet.bytes[40] = 60;
        packet
    });
    assert_eq!(run(&packets).0, ["fragment", "udp"]);
}

/// A datagram the slow way: every byte on its own; what came first stands.
fn slow(parts: &[(usize, usize, u8)], len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![None; len];
    for (offset, end, fill) in parts {
        bytes[*offset..*end].iter_mut().for_each(|byte| *byte = byte.or(Some(*fill)));
    }
    bytes.into_iter().collect()
}

proptest! {
    #[test]
    fn reassembly_agrees_with_a_byte_at_a_time(
        parts in vec((0usize..16, 1usize..6, any::<u8>()), 1..40),
    ) {
        const LEN: usize = 128;
        let mut header = tcp(&[], false);
        header.resize(24, 0);
        // The header first, so that what is completed is a segment.
        let mut packets = vec![part(&[header, vec![0; LEN - 24]].concat(), 0, 24, 1, false)];
        let mut spans = vec![(0, 24, 0)];
        let mut done = None;
        for (offset, count, fill) in parts {
            let (offset, end) = (offset * 8, ((offset + count) * 8).min(LEN));
            packets.push(part(&[fill; LEN], offset, end, 1, false));
            spans.push((offset, end, fill));
            if let Some(whole) = slow(&spans, LEN) {
                done = Some(whole);
                break;
            }
        }
        let (words, texts, _) = run(&packets);
        match done {
            Some(whole) => {
                prop_assert_eq!(*words.last().unwrap(), "segment");
                prop_assert_eq!(&texts[0].0[4..], &whole[24..]);
            }
            None => prop_assert!(!words.contains(&"segment")),
        }
    }
}
