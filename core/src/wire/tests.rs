//! Frames in and out, with `etherparse` as a second opinion both ways.

use super::icmpv4::{Echo, Quoted};
use super::rewrite::TcpFrameMut;
use super::*;
use crate::seq::SeqNumber;
use core::net::Ipv4Addr;
use etherparse::{
    NetSlice, PacketBuilder, SlicedPacket, TcpOptionElement, TransportSlice, VlanId, VlanSlice,
};
use proptest::prelude::*;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER: MacAddr = MacAddr([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
const PEER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 254);

fn template(vlan: Option<u16>) -> HeaderTemplate {
    HeaderTemplate::new(US, vlan, OUR_IP, 64)
}

fn header() -> TcpHeader {
    TcpHeader {
        dst_mac: PEER,
        dst_ip: PEER_IP,
        src_port: 80,
        dst_port: 50000,
        seq: SeqNumber(0xdead_beef),
        ack: SeqNumber(0x0102_0304),
        flags: TcpFlags::ACK | TcpFlags::PSH,
        window: 4000,
        timestamps: Some(Timestamps { val: 0x1122_3344, ecr: 0x5566_7788 }),
        syn: None,
    }
}

fn written(vlan: Option<u16>, h: &TcpHeader, text: &[u8], offload: bool) -> Vec<u8> {
    let mut out = std::vec![0xee; 120 + text.len()];
    let n = write_tcp_frame(&template(vlan), &mut out, h, text.len(), checksum::sum(text), offload);
    assert!(out[n..].iter().all(|&b| b == 0xee), "nothing is written behind the headers");
    out.truncate(n);
    out.extend(text);
    out
}

fn tcp(bytes: &[u8]) -> TcpFrame<'_> {
    match parse(bytes, true) {
        Ok(Frame::Tcp(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

fn sacks(list: &[(u32, u32)]) -> SackBlocks {
    let mut blocks = SackBlocks::default();
    for &(l, r) in list {
        blocks.push(SeqNumber(l), SeqNumber(r));
    }
    blocks
}

fn any_header() -> impl Strategy<Value = TcpHeader> {
    let syn = (any::<u16>(), any::<Option<u8>>(), any::<bool>());
    (
        (any::<[u8; 6]>(), any::<u32>(), any::<u16>(), any::<u16>()),
        (any::<u32>(), any::<u32>(), any::<u8>(), any::<u16>()),
        any::<Option<(u32, u32)>>(),
        prop::option::of(syn),
    )
        .prop_map(|((mac, ip, src_port, dst_port), (seq, ack, flags, window), ts, syn)| {
            TcpHeader {
                dst_mac: MacAddr(mac),
                dst_ip: Ipv4Addr::from_bits(ip),
                src_port,
                dst_port,
                seq: SeqNumber(seq),
                ack: SeqNumber(ack),
                flags: TcpFlags(flags),
                window,
                timestamps: ts.map(|(val, ecr)| Timestamps { val, ecr }),
                syn: syn.map(|(mss, window_scale, sack_permitted)| SynOptions {
                    mss,
                    window_scale,
                    sack_permitted,
                }),
            }
        })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #[test]
    fn what_we_write_we_read_and_etherparse_reads(
        h in any_header(),
        vlan in prop::option::of(0u16..4096),
        text in text(),
        blocks in prop::collection::vec(any::<(u32, u32)>(), 0..5),
    ) {
        let mut bytes = written(vlan, &h, &text, false);
        let mut sack = SackBlocks::default();
        if !blocks.is_empty() && h.syn.is_none() {
            sack = sacks(&blocks);
            let mut out = std::vec![0; 1514];
            let n = write_tcp_frame_with_sack(
                &template(vlan), &mut out, &h, sack, text.len(), checksum::sum(&text), false);
            let room = if h.timestamps.is_some() { 3 } else { 4 };
            let kept = blocks.len().min(room);
            prop_assert_eq!(
                n, headers_len(vlan.is_some(), h.timestamps.is_some()) + 4 + 8 * kept);
            sack = sacks(&blocks[..kept]);
            out.truncate(n);
            out.extend(&text);
            bytes = out;
        } else if h.syn.is_none() {
            prop_assert_eq!(
                bytes.len() - text.len(), headers_len(vlan.is_some(), h.timestamps.is_some()));
        }
        let TcpFrame { eth, ip, tcp } = tcp(&bytes);
        prop_assert_eq!(eth, EthernetHeader { dst: h.dst_mac, src: US, vlan });
        prop_assert_eq!(ip, Ipv4Header {
            src: OUR_IP, dst: h.dst_ip, protocol: 6, ttl: 64, dscp_ecn: 0, identification: 0,
            dont_fragment: true, fragment: false, header_len: 20,
            total_len: (bytes.len() - eth.header_len()) as u16,
        });
        let options = TcpOptions {
            mss: h.syn.map(|s| s.mss),
            window_scale: h.syn.and_then(|s| s.window_scale),
            sack_permitted: h.syn.is_some_and(|s| s.sack_permitted),
            timestamps: h.timestamps,
            sack,
        };
        prop_assert_eq!(tcp, TcpSegment {
            src_port: h.src_port, dst_port: h.dst_port, seq: h.seq, ack: h.ack, flags: h.flags,
            window: h.window, options, payload: &text,
        });
        prop_assert_eq!(parse(&bytes, false), parse(&bytes, true));

        let other = SlicedPacket::from_ethernet(&bytes).unwrap();
        let Some(NetSlice::Ipv4(v4)) = &other.net else { panic!() };
        let Some(TransportSlice::Tcp(t)) = &other.transport else { panic!() };
        prop_assert_eq!(v4.header().header_checksum(), v4.header().to_header().calc_header_checksum());
        prop_assert_eq!(t.checksum(), t.calc_checksum_ipv4(OUR_IP.octets(), h.dst_ip.octets()).unwrap());
        prop_assert_eq!((t.source_port(), t.destination_port()), (h.src_port, h.dst_port));
        prop_assert_eq!((t.sequence_number(), t.acknowledgment_number()), (h.seq.0, h.ack.0));
        prop_assert_eq!((t.window_size(), t.urgent_pointer()), (h.window, 0));
        prop_assert_eq!(t.payload(), &text[..]);
        let tag = match other.vlan() {
            Some(VlanSlice::SingleVlan(v)) => Some(v.vlan_identifier().value()),
            _ => None,
        };
        prop_assert_eq!(tag, vlan);
        let theirs: Vec<_> = t.options_iterator().map(Result::unwrap)
            .filter(|o| *o != TcpOptionElement::Noop).collect();
        let mut ours = Vec::new();
        if let Some(m) = options.mss { ours.push(TcpOptionElement::MaximumSegmentSize(m)); }
        if options.sack_permitted { ours.push(TcpOptionElement::SelectiveAcknowledgementPermitted); }
        if let Some(ts) = options.timestamps { ours.push(TcpOptionElement::Timestamp(ts.val, ts.ecr)); }
        if let Some(s) = options.window_scale { ours.push(TcpOptionElement::WindowScale(s)); }
        if let [(l, r), rest @ ..] = options.sack.as_slice() {
            let mut more = [None; 3];
            for (slot, (l, r)) in more.iter_mut().zip(rest) { *slot = Some((l.0, r.0)); }
            ours.push(TcpOptionElement::SelectiveAcknowledgement((l.0, r.0), more));
        }
        prop_assert_eq!(theirs, ours);
    }

    #[test]
    fn what_etherparse_writes_we_read(
        h in any_header(),
        vlan in prop::option::of(0u16..4096),
        text in text(),
        padding in 0usize..20,
        order in 0usize..3,
    ) {
        let mut elements = Vec::new();
        if let Some(ts) = h.timestamps { elements.push(TcpOptionElement::Timestamp(ts.val, ts.ecr)); }
        if let Some(syn) = h.syn {
            elements.push(TcpOptionElement::MaximumSegmentSize(syn.mss));
            if let Some(s) = syn.window_scale { elements.push(TcpOptionElement::WindowScale(s)); }
            if syn.sack_permitted { elements.push(TcpOptionElement::SelectiveAcknowledgementPermitted); }
        }
        if !elements.is_empty() { let n = order % elements.len(); elements.rotate_left(n); }
        let (src, dst) = (PEER_IP.octets(), h.dst_ip.octets());
        let mut bytes = Vec::new();
        let build = PacketBuilder::ethernet2(PEER.0, h.dst_mac.0);
        let tcp_step = match vlan {
            Some(v) => build.single_vlan(VlanId::try_new(v).unwrap()).ipv4(src, dst, 9),
            None => build.ipv4(src, dst, 9),
        }.tcp(h.src_port, h.dst_port, h.seq.0, h.window);
        tcp_step.ack(h.ack.0).fin().options(&elements).unwrap().write(&mut bytes, &text).unwrap();
        bytes.extend(std::vec![0xa5; padding]);
        let TcpFrame { eth, ip, tcp } = tcp(&bytes);
        prop_assert_eq!(eth, EthernetHeader { dst: h.dst_mac, src: PEER, vlan });
        prop_assert_eq!((ip.src, ip.dst, ip.ttl), (PEER_IP, h.dst_ip, 9));
        prop_assert_eq!((tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack, tcp.window),
            (h.src_port, h.dst_port, h.seq, h.ack, h.window));
        prop_assert_eq!(tcp.flags, TcpFlags::ACK | TcpFlags::FIN);
        prop_assert_eq!(tcp.payload, &text[..]);
        prop_assert_eq!(tcp.options.timestamps, h.timestamps);
        prop_assert_eq!(tcp.options.mss, h.syn.map(|s| s.mss));
        prop_assert_eq!(tcp.options.window_scale, h.syn.and_then(|s| s.window_scale));
        prop_assert_eq!(tcp.options.sack_permitted, h.syn.is_some_and(|s| s.sack_permitted));
    }

    #[test]
    fn random_bytes_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0usize..5,
        verify: bool,
    ) {
        // Lead it deep into one parser: the EtherType, version and protocol that are looked for.
        let lead: &[(usize, u8)] = [
            &[][..],
            &[(12, 8), (13, 0), (14, 0x45), (16, 0), (20, 0), (21, 0), (23, 6)][..],
            &[(12, 8), (13, 0), (14, 0x46), (16, 0), (20, 0), (21, 0), (23, 1)][..],
            &[(12, 8), (13, 6)][..],
            &[(12, 0x81), (13, 0), (16, 8), (17, 0), (18, 0x45), (20, 0), (24, 0), (25, 0), (27, 6)][..],
        ][kind];
        for &(at, b) in lead {
            if let Some(slot) = bytes.get_mut(at) { *slot = b; }
        }
        if let Err(e) = parse(&bytes, verify) {
            prop_assert!(!e.to_string().is_empty());
        }
        if let Ok(Some(mut views)) = TcpFrameMut::new(&mut bytes) {
            views.set_src(OUR_IP);
            views.tcp.set_timestamps(Timestamps { val: 1, ecr: 2 });
            views.repair_checksums();
            prop_assert!(matches!(parse(&bytes, true), Ok(Frame::Tcp(f)) if f.ip.src == OUR_IP));
        }
    }

    #[test]
    fn random_options_never_panic_and_views_agree(
        bytes in prop::collection::vec(prop_oneof![0u8..12, any::<u8>()], 0..41),
    ) {
        if let Ok(options) = tcp::parse_options(&bytes, 0) {
            let mut out = [0; tcp::OPTIONS_MAX];
            let n = tcp::write_options(&options, &mut out);
            prop_assert_eq!(n % 4, 0);
            let again = tcp::parse_options(&out[..n], 0).unwrap();
            prop_assert_eq!((again.mss, again.timestamps, again.window_scale, again.sack_permitted),
                (options.mss, options.timestamps, options.window_scale, options.sack_permitted));
            prop_assert!(options.sack.as_slice().starts_with(again.sack.as_slice()));
        }
    }

    #[test]
    fn rewriting_equals_writing_anew(
        a in any_header(), b in any_header(), vlan in prop::option::of(0u16..4096), text in text(),
        damage: u8,
    ) {
        // The options' layout stays; everything else changes.
        let b = TcpHeader {
            syn: a.syn, timestamps: a.timestamps.and(b.timestamps.or(a.timestamps)), ..b };
        let mut bytes = written(vlan, &a, &text, false);
        let expected = written(vlan, &b, &text, false);
        let mut views = TcpFrameMut::new(&mut bytes).unwrap().unwrap();
        views.eth.set_dst(b.dst_mac);
        views.set_dst(b.dst_ip);
        views.tcp.set_src_port(b.src_port);
        views.tcp.set_dst_port(b.dst_port);
        views.tcp.set_seq(b.seq);
        views.tcp.set_ack(b.ack);
        views.tcp.set_flags(b.flags);
        views.tcp.set_window(b.window);
        prop_assert_eq!(views.tcp.set_timestamps(b.timestamps.unwrap_or_default()), b.timestamps.is_some());
        prop_assert_eq!(views.tcp.payload(), &text[..]);
        prop_assert_eq!((views.src(), views.dst()), (OUR_IP, b.dst_ip));
        prop_assert_eq!(&bytes, &expected);
        TcpFrameMut::new(&mut bytes).unwrap().unwrap().repair_checksums();
        prop_assert_eq!(&bytes, &expected);
        // What was wrong stays wrong.
        let seq_at = if vlan.is_some() { 42 } else { 38 };
        bytes[seq_at] ^= damage | 1;
        TcpFrameMut::new(&mut bytes).unwrap().unwrap().set_src(PEER_IP);
        let refused = matches!(parse(&bytes, true), Err(e) if e.kind == WireErrorKind::Checksum);
        prop_assert!(refused);
    }
}

#[test]
fn each_setter_keeps_both_checksums_right() {
    type Change = fn(&mut TcpFrameMut<'_>);
    let changes: [Change; 14] = [
        |v| v.set_src(Ipv4Addr::new(1, 2, 3, 4)),
        |v| v.set_dst(Ipv4Addr::new(4, 3, 2, 1)),
        |v| v.ip.set_ttl(3),
        |v| v.ip.set_dscp_ecn(0x2b),
        |v| v.ip.set_identification(0xfffe),
        |v| v.tcp.set_src_port(1),
        |v| v.tcp.set_dst_port(65535),
        |v| v.tcp.set_seq(SeqNumber(7)),
        |v| v.tcp.set_ack(SeqNumber(8)),
        |v| v.tcp.set_flags(TcpFlags::RST),
        |v| v.tcp.set_window(9),
        |v| assert!(v.tcp.set_timestamps(Timestamps { val: 10, ecr: 11 })),
        |v| assert!(v.tcp.set_payload(0, b"HE")),
        |v| assert!(v.tcp.set_payload(1, b"ELLO WORL")),
    ];
    for vlan in [None, Some(9)] {
        let mut bytes = written(vlan, &header(), b"hello world", false);
        for change in changes {
            let before = bytes.clone();
            change(&mut TcpFrameMut::new(&mut bytes).unwrap().unwrap());
            assert_ne!(bytes, before);
            tcp(&bytes);
        }
        let f = tcp(&bytes);
        assert_eq!((f.ip.src, f.ip.dst), (Ipv4Addr::new(1, 2, 3, 4), Ipv4Addr::new(4, 3, 2, 1)));
        assert_eq!((f.ip.ttl, f.ip.dscp_ecn, f.ip.identification), (3, 0x2b, 0xfffe));
        assert_eq!((f.tcp.src_port, f.tcp.dst_port), (1, 65535));
        assert_eq!((f.tcp.seq, f.tcp.ack), (SeqNumber(7), SeqNumber(8)));
        assert_eq!((f.tcp.flags, f.tcp.window), (TcpFlags::RST, 9));
        assert_eq!(f.tcp.options.timestamps, Some(Timestamps { val: 10, ecr: 11 }));
        assert_eq!(f.tcp.payload, b"HELLO WORLd");
    }
}

#[test]
fn views_refuse_what_they_cannot_hold() {
    let mut bytes = written(None, &header(), b"12345", false);
    let before = bytes.clone();
    let mut v = TcpFrameMut::new(&mut bytes).unwrap().unwrap();
    assert!(!v.tcp.set_payload(1, b"12345") && !v.tcp.set_payload(usize::MAX, b"12"));
    assert!(v.tcp.set_payload(5, b"") && !v.tcp.set_payload(6, b""));
    assert!(!v.eth.set_vid(1));
    assert_eq!(bytes, before);
    let mut bytes = written(Some(0xabc), &header(), b"", false);
    bytes[14] |= 0xe0; // priority 7
    let mut v = TcpFrameMut::new(&mut bytes).unwrap().unwrap();
    assert!(v.eth.set_vid(0xf123));
    v.eth.set_src(PEER);
    assert_eq!(bytes[14..16], [0xe1, 0x23]);
    assert_eq!(tcp(&bytes).eth, EthernetHeader { dst: PEER, src: PEER, vlan: Some(0x123) });
    let mut arp = [0; 46];
    let n = arp::write_request(&template(None), &mut arp, PEER_IP).unwrap();
    assert!(TcpFrameMut::new(&mut arp[..n]).unwrap().is_none());
}

#[test]
fn timestamps_are_rewritten_at_any_alignment() {
    for before in 0..5 {
        let mut options = [1u8; 20];
        options[before..before + 10].copy_from_slice(&[8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        // An unknown option behind, whose data looks like timestamps.
        options[16..].copy_from_slice(&[99, 4, 8, 10]);
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(PEER.0, US.0)
            .ipv4([1, 2, 3, 4], [5, 6, 7, 8], 1)
            .tcp(1, 2, 3, 4)
            .options_raw(&options)
            .unwrap()
            .write(&mut bytes, b"abc")
            .unwrap();
        let mut expected = bytes.clone();
        expected[56 + before..64 + before].copy_from_slice(&[1, 2, 3, 4, 0x80, 0x90, 0xa0, 0xb0]);
        let new = Timestamps { val: 0x0102_0304, ecr: 0x8090_a0b0 };
        let mut v = TcpFrameMut::new(&mut bytes).unwrap().unwrap();
        assert!(v.tcp.set_timestamps(new));
        assert_eq!(tcp(&bytes).tcp.options.timestamps, Some(new));
        expected[50..52].copy_from_slice(&bytes[50..52]);
        assert_eq!(bytes, expected, "nothing but timestamps and checksum changed");
    }
}

#[test]
fn truncation_anywhere_is_an_error() {
    let mut syn = header();
    syn.syn = Some(SynOptions { mss: 1460, window_scale: Some(7), sack_permitted: true });
    for vlan in [None, Some(5)] {
        for h in [header(), syn] {
            let bytes = written(vlan, &h, b"some text", false);
            for len in 0..bytes.len() {
                let e = parse(&bytes[..len], false).unwrap_err();
                assert_eq!(e.kind, WireErrorKind::Truncated);
                assert_eq!(e, parse(&bytes[..len], true).unwrap_err());
                assert!(usize::from(e.offset) <= len && e.have < e.need);
                assert_eq!(usize::from(e.offset + e.have), len, "{e}");
            }
        }
    }
}

#[test]
fn any_one_flipped_bit_below_ethernet_is_detected() {
    let bytes = written(None, &header(), b"some text", false);
    for bit in 14 * 8..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&bad, true).is_err(), "bit {bit}");
    }
    let n = bytes.len();
    let mut echo = [0; 60];
    let ping = Echo { identifier: 1, sequence: 2, data: b"abc" };
    let len = icmpv4::write_echo_request(&template(None), &mut echo, PEER, PEER_IP, &ping, false);
    for bit in 14 * 8..len.unwrap() * 8 {
        let mut bad = echo;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&bad[..len.unwrap()], true).is_err(), "bit {bit}");
    }
    // Without verification the same damage to the text goes unseen.
    let mut bad = bytes;
    bad[n - 1] ^= 1;
    assert!(parse(&bad, false).is_ok());
}

#[test]
fn checksum_error_says_what_it_should_be() {
    let good = written(None, &header(), b"some text", false);
    for (at, layer) in [(24usize, Layer::Ipv4), (50, Layer::Tcp)] {
        let right = u16::from_be_bytes([good[at], good[at + 1]]);
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let have = right ^ 0x4000;
        let e = parse(&bad, true).unwrap_err();
        let kind = WireErrorKind::Checksum;
        assert_eq!(e, WireError { layer, kind, offset: at as u16, need: right, have });
        assert_eq!(
            e.to_string(),
            format!("{layer} checksum at byte {at}: {have:#06x}, should be {right:#06x}")
        );
    }
}

#[test]
fn offload_leaves_both_checksums_zero_and_all_else_alike() {
    let mut a = written(Some(3), &header(), b"text", false);
    let b = written(Some(3), &header(), b"text", true);
    assert_eq!((&b[28..30], &b[54..56]), (&[0, 0][..], &[0, 0][..]));
    a[28..30].fill(0);
    a[54..56].fill(0);
    assert_eq!(a, b);
}

#[test]
fn a_tcp_checksum_of_zero_is_sent_as_zero() {
    let mut h = header();
    h.window = 0;
    let missing = {
        let b = written(None, &h, b"", false);
        u16::from_be_bytes([b[50], b[51]])
    };
    h.window = missing;
    let b = written(None, &h, b"", false);
    assert_eq!(b[50..52], [0, 0]);
    assert_eq!(tcp(&b).tcp.window, missing);
}

#[test]
fn header_lengths_are_those_of_rfc_7323() {
    let all = [(false, false), (false, true), (true, false), (true, true)];
    assert_eq!(all.map(|(v, t)| headers_len(v, t)), [54, 66, 58, 70]);
    assert_eq!(template(Some(1)).headers_len(true), 70);
    assert_eq!(template(None).headers_len(false), 54);
    let b = written(None, &header(), b"", false);
    assert_eq!(b[54..], [1, 1, 8, 10, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
    let t = HeaderTemplate::new(US, Some(0xf00f), OUR_IP, 9);
    assert_eq!((t.src_mac(), t.vlan(), t.src_ip(), t.ttl()), (US, Some(0x00f), OUR_IP, 9));
}

#[test]
#[should_panic(expected = "65 bytes for 66 of headers before 0 of text")]
fn headers_without_room_are_the_callers_fault() {
    write_tcp_frame(&template(None), &mut [0; 65], &header(), 0, Sum::ZERO, false);
}

#[test]
fn the_longest_datagram_is_written_and_no_longer_one() {
    let mut out = [0; 66];
    let n = 65535 - 52;
    assert_eq!(write_tcp_frame(&template(None), &mut out, &header(), n, Sum::ZERO, false), 66);
    assert_eq!(out[16..18], [0xff, 0xff]);
    let longer = std::panic::catch_unwind(move || {
        write_tcp_frame(&template(None), &mut out, &header(), n + 1, Sum::ZERO, false)
    });
    assert!(longer.is_err());
}

/// Changes one byte of a good frame and gives the error, checksums not looked at.
fn error_with(changes: &[(usize, u8)]) -> WireError {
    let mut bytes = written(None, &header(), b"text", false);
    for &(at, b) in changes {
        bytes[at] = b;
    }
    parse(&bytes, false).unwrap_err()
}

#[test]
fn lengths_that_cannot_be_are_errors() {
    let says = |changes: &[(usize, u8)]| error_with(changes).to_string();
    assert_eq!(says(&[(14, 0x65)]), "IPv4 version at byte 14: 6, not 4");
    assert_eq!(says(&[(14, 0x44)]), "IPv4 length at byte 14: says 16, at least 20");
    assert_eq!(says(&[(16, 0), (17, 19)]), "IPv4 length at byte 16: says 19, at least 20");
    assert_eq!(says(&[(16, 0), (17, 57)]), "IPv4 at byte 14: needs 57 bytes, has 56");
    assert_eq!(says(&[(16, 0), (17, 39)]), "TCP at byte 34: needs 20 bytes, has 19");
    assert_eq!(says(&[(16, 0), (17, 51)]), "TCP at byte 34: needs 32 bytes, has 31");
    assert_eq!(says(&[(46, 0x40)]), "TCP length at byte 46: says 16, at least 20");
    assert_eq!(says(&[(46, 0xf0)]), "TCP at byte 34: needs 60 bytes, has 36");
    assert_eq!(says(&[(14, 0x4f), (17, 56)]), "IPv4 length at byte 16: says 56, at least 60");
    assert_eq!(says(&[(56, 8), (57, 1)]), "TCP option at byte 56: says 1 bytes, not 2");
    assert_eq!(says(&[(57, 11)]), "TCP option at byte 56: says 11 bytes, not 10");
    assert_eq!(
        parse(&[0; 13], true).unwrap_err().to_string(),
        "Ethernet at byte 0: needs 14 bytes, has 13"
    );
    assert_eq!([Layer::Arp, Layer::Icmpv4].map(|l| l.to_string()), ["ARP", "ICMP"]);
}

#[test]
fn errors_beyond_sixteen_bits_saturate() {
    let e = WireError::truncated(Layer::Tcp, 65535, 65536, 1 << 20);
    assert_eq!((e.offset, e.need, e.have), (65535, 65535, 65535));
}

/// RFC 9293 MUST-6, MUST-7.
#[test]
fn option_lists_are_read_as_the_rfcs_say() {
    let options = |bytes: &[u8]| tcp::parse_options(bytes, 100);
    let none = TcpOptions::default();
    assert_eq!(options(&[]), Ok(none));
    assert_eq!(options(&[1, 1, 0, 2, 0]), Ok(none), "what follows the end is padding");
    assert_eq!(options(&[99, 2, 98, 5, 2, 4, 9, 1]), Ok(none), "unknown kinds are skipped");
    assert_eq!(options(&[1, 2, 4, 5, 0xb4]), Ok(TcpOptions { mss: Some(1460), ..none }));
    assert_eq!(options(&[3, 3, 255]), Ok(TcpOptions { window_scale: Some(255), ..none }));
    assert_eq!(options(&[4, 2]), Ok(TcpOptions { sack_permitted: true, ..none }));
    assert_eq!(options(&[2, 4, 0, 1, 2, 4, 0, 2]), Ok(TcpOptions { mss: Some(2), ..none }));
    let sack = [5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4];
    assert_eq!(options(&sack), Ok(TcpOptions { sack: sacks(&[(1, 2), (3, 4)]), ..none }));
    let full = [&[5u8, 34][..], &[7; 32]].concat();
    assert_eq!(options(&full).unwrap().sack.as_slice().len(), 4);

    let error = |bytes: &[u8]| {
        let e = options(bytes).unwrap_err();
        (e.kind, e.offset, e.need, e.have)
    };
    use WireErrorKind::{Option as Bad, Truncated};
    assert_eq!(error(&[1, 2]), (Truncated, 101, 2, 1));
    assert_eq!(error(&[99, 0]), (Bad, 100, 2, 0));
    assert_eq!(error(&[1, 99, 1, 1]), (Bad, 101, 2, 1));
    assert_eq!(error(&[1, 99, 4, 1]), (Bad, 101, 3, 4));
    assert_eq!(error(&[2, 3, 1]), (Bad, 100, 4, 3));
    assert_eq!(error(&[3, 2]), (Bad, 100, 3, 2));
    assert_eq!(error(&[4, 3, 1]), (Bad, 100, 2, 3));
    assert_eq!(error(&[8, 9, 1, 1, 1, 1, 1, 1, 1]), (Bad, 100, 10, 9));
    assert_eq!(error(&[5, 2]), (Bad, 100, 10, 2));
    assert_eq!(error(&[5, 9, 1, 1, 1, 1, 1, 1, 1]), (Bad, 100, 10, 9));
    assert_eq!(error(&[5, 11, 1, 1, 1, 1, 1, 1, 1, 1, 1]), (Bad, 100, 18, 11));
}

#[test]
fn what_is_not_for_us_says_why() {
    let good = written(None, &header(), b"text", false);
    let reason = |changes: &[(usize, u8)]| {
        let mut bytes = good.clone();
        for &(at, b) in changes {
            bytes[at] = b;
        }
        match parse(&bytes, false) {
            Ok(Frame::Other { eth, reason }) => {
                assert_eq!((eth.src, eth.dst), (US, PEER));
                reason
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason(&[(12, 0x05), (13, 0xff)]), OtherReason::Llc(0x5ff));
    assert_eq!(reason(&[(12, 0x06), (13, 0x00)]), OtherReason::EtherType(0x600));
    assert_eq!(reason(&[(12, 0x86), (13, 0xdd)]), OtherReason::EtherType(0x86dd));
    assert_eq!(reason(&[(12, 0x88), (13, 0xa8)]), OtherReason::EtherType(0x88a8));
    let two_tags = [(12, 0x81), (13, 0), (16, 0x81), (17, 0)];
    assert_eq!(reason(&two_tags), OtherReason::EtherType(0x8100));
    assert_eq!(reason(&[(23, 17)]), OtherReason::Protocol(17));
    assert_eq!(reason(&[(20, 0x20)]), OtherReason::Fragment(6));
    assert_eq!(reason(&[(20, 0x00), (21, 0x01)]), OtherReason::Fragment(6));
    assert_eq!(reason(&[(20, 0x10), (23, 1)]), OtherReason::Fragment(1));
    assert_eq!(reason(&[(12, 8), (13, 6)]), OtherReason::Arp);
}

#[test]
fn ip_options_are_skipped_and_counted_in() {
    for words in [6u8, 15] {
        let mut bytes = written(None, &header(), b"text", false);
        let extra = usize::from(words - 5) * 4;
        bytes.splice(34..34, std::vec![1; extra]);
        bytes[14] = 0x40 | words;
        bytes[17] += extra as u8;
        bytes[20] = 0x80; // DF clear; the reserved bit means nothing
        bytes[15] = 0xb9;
        let mut views = TcpFrameMut::new(&mut bytes).unwrap().unwrap();
        views.repair_checksums();
        let f = tcp(&bytes);
        assert_eq!((usize::from(f.ip.header_len), f.ip.dscp_ecn), (20 + extra, 0xb9));
        assert!(!f.ip.dont_fragment);
        assert_eq!(f.tcp.payload, b"text");
        bytes[33 + extra] ^= 1; // the options are under the checksum
        assert_eq!(parse(&bytes, true).unwrap_err().layer, Layer::Ipv4);
    }
}

#[test]
fn arp_is_asked_and_answered() {
    for vlan in [None, Some(12)] {
        let len = if vlan.is_some() { 46 } else { 42 };
        let mut out = [0; 60];
        assert_eq!(arp::write_request(&template(vlan), &mut out, PEER_IP), Some(len));
        let request = ArpPacket {
            operation: ArpOperation::Request,
            sender_mac: US,
            sender_ip: OUR_IP,
            target_mac: MacAddr::ZERO,
            target_ip: PEER_IP,
        };
        let eth = EthernetHeader { dst: MacAddr::BROADCAST, src: US, vlan };
        assert_eq!(parse(&out, true), Ok(Frame::Arp { eth, arp: request }), "padded");
        let asked = out;
        let other = SlicedPacket::from_ethernet(&asked[..len]).unwrap();
        let Some(NetSlice::Arp(theirs)) = other.net else { panic!() };
        assert_eq!(
            (theirs.sender_hw_addr(), theirs.target_protocol_addr()),
            (&US.0[..], &PEER_IP.octets()[..])
        );
        for short in 0..len {
            assert!(parse(&out[..short], true).is_err());
            assert_eq!(arp::write_request(&template(vlan), &mut [0; 60][..short], PEER_IP), None);
        }
        let them = HeaderTemplate::new(PEER, vlan, PEER_IP, 64);
        assert_eq!(arp::write_reply(&them, &mut out, &request), Some(len));
        let arp = ArpPacket {
            operation: ArpOperation::Reply,
            sender_mac: PEER,
            sender_ip: PEER_IP,
            target_mac: US,
            target_ip: OUR_IP,
        };
        let eth = EthernetHeader { dst: US, src: PEER, vlan };
        assert_eq!(parse(&out[..len], true), Ok(Frame::Arp { eth, arp }));
        for (at, b) in [(0, 1), (1, 6), (3, 1), (4, 8), (5, 16), (6, 1), (7, 0), (7, 3)] {
            let mut strange = out;
            strange[len - 28 + at] = b;
            let reason = OtherReason::Arp;
            assert_eq!(parse(&strange, true), Ok(Frame::Other { eth, reason }));
        }
    }
}

#[test]
fn echo_comes_back() {
    for (vlan, data) in [(None, &b""[..]), (Some(2), b"odd"), (None, b"even")] {
        let ping = Echo { identifier: 0x1234, sequence: 0xfedc, data };
        let them = HeaderTemplate::new(PEER, vlan, PEER_IP, 3);
        let mut out = [0; 80];
        let len = icmpv4::write_echo_request(&them, &mut out, US, OUR_IP, &ping, false).unwrap();
        assert_eq!(len, headers_len(vlan.is_some(), false) - 12 + data.len());
        let Ok(Frame::Icmp(IcmpFrame { eth, ip, icmp: IcmpMessage::EchoRequest(echo) })) =
            parse(&out[..len], true)
        else {
            panic!()
        };
        assert_eq!(echo, ping);
        let mut back = [0; 80];
        let write = |out: &mut [u8], offload| {
            icmpv4::write_echo_reply(&template(vlan), out, eth.src, ip.src, &echo, offload)
        };
        assert_eq!(write(&mut back, false), Some(len));
        let Ok(Frame::Icmp(reply)) = parse(&back[..len], true) else { panic!() };
        assert_eq!(reply.icmp, IcmpMessage::EchoReply(ping));
        assert_eq!(reply.eth, EthernetHeader { dst: PEER, src: US, vlan });
        assert_eq!((reply.ip.src, reply.ip.dst, reply.ip.ttl), (OUR_IP, PEER_IP, 64));
        assert_eq!(reply.ip.protocol, 1);
        for short in 0..len {
            assert_eq!(write(&mut [0; 80][..short], false), None);
        }
        let mut off = [0; 80];
        assert_eq!(write(&mut off, true), Some(len));
        let at = eth.header_len() + 10;
        assert_eq!(off[at..at + 2], [0, 0]);
        off[at..at + 2].copy_from_slice(&back[at..at + 2]);
        assert_eq!(off, back);
    }
}

/// An ICMP message from a router to us, as a frame.
fn icmp_frame(message: &[u8]) -> Vec<u8> {
    let mut b = Vec::new();
    PacketBuilder::ethernet2(PEER.0, US.0)
        .ipv4(PEER_IP.octets(), OUR_IP.octets(), 9)
        .icmpv4_raw(message[0], message[1], [message[4], message[5], message[6], message[7]])
        .write(&mut b, &message[8..])
        .unwrap();
    b
}

#[test]
fn icmp_errors_show_whom_they_are_about() {
    let sent = written(None, &header(), b"text", false);
    let quote = &sent[14..42];
    let quoted = Quoted {
        src: OUR_IP,
        dst: PEER_IP,
        protocol: 6,
        total_len: 56,
        src_port: 80,
        dst_port: 50000,
        seq: SeqNumber(0xdead_beef),
    };
    let message = |head: [u8; 8]| [&head[..], quote].concat();
    let read = |m: &[u8]| match parse(&icmp_frame(m), true) {
        Ok(Frame::Icmp(f)) => {
            assert_eq!((f.ip.src, f.eth.src), (PEER_IP, PEER));
            match f.icmp {
                IcmpMessage::Unreachable { .. }
                | IcmpMessage::TimeExceeded { .. }
                | IcmpMessage::Other { .. } => Ok(format!("{:?}", f.icmp)),
                echo => panic!("{echo:?}"),
            }
        }
        Ok(other) => panic!("{other:?}"),
        Err(e) => Err(e.to_string()),
    };
    let shown = |m: IcmpMessage<'_>| Ok::<String, String>(format!("{m:?}"));
    let too_big = message([3, 4, 0, 0, 0, 0, 0x05, 0xdc]);
    let next_hop_mtu = 1500;
    assert_eq!(read(&too_big), shown(IcmpMessage::Unreachable { code: 4, next_hop_mtu, quoted }));
    let port = message([3, 3, 0, 0, 0, 0, 0x05, 0xdc]);
    assert_eq!(read(&port), shown(IcmpMessage::Unreachable { code: 3, next_hop_mtu: 0, quoted }));
    let late = message([11, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&late), shown(IcmpMessage::TimeExceeded { code: 1, quoted }));
    let redirect = message([5, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&redirect), shown(IcmpMessage::Other { message_type: 5, code: 2 }));
    assert_eq!(
        read(&[8, 1, 0, 0, 0, 0, 0, 0]),
        shown(IcmpMessage::Other { message_type: 8, code: 1 })
    );

    for len in 8..too_big.len() {
        let e = read(&too_big[..len]).unwrap_err();
        assert_eq!(e, format!("ICMP at byte 42: needs 28 bytes, has {}", len - 8));
    }
    let mut bad = too_big.clone();
    bad[8] = 0x65;
    assert_eq!(read(&bad).unwrap_err(), "ICMP version at byte 42: 6, not 4");
    bad[8] = 0x44;
    assert_eq!(read(&bad).unwrap_err(), "ICMP length at byte 42: says 16, at least 20");
    bad[8] = 0x46;
    assert_eq!(read(&bad).unwrap_err(), "ICMP at byte 42: needs 32 bytes, has 28");
    let mut options = too_big;
    options[8] = 0x46;
    options.splice(28..28, [1; 4]);
    let unreachable = IcmpMessage::Unreachable { code: 4, next_hop_mtu, quoted };
    assert_eq!(read(&options), shown(unreachable));
    let whole = icmp_frame(&[8, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(parse(&whole[..41], true).unwrap_err().layer, Layer::Ipv4);
    let mut short = whole;
    short[17] = 27;
    let e = parse(&short, false).unwrap_err();
    assert_eq!(e.to_string(), "ICMP at byte 34: needs 8 bytes, has 7");
}

#[test]
fn addresses_print_and_know_what_they_are() {
    assert_eq!(format!("{PEER} {PEER:?}"), "52:54:00:ab:cd:ef 52:54:00:ab:cd:ef");
    assert!(MacAddr::BROADCAST.is_multicast() && !MacAddr::BROADCAST.is_unicast());
    assert!(MacAddr([1, 0, 0x5e, 0, 0, 1]).is_multicast());
    assert!(!PEER.is_multicast() && PEER.is_unicast());
    assert!(!MacAddr::ZERO.is_unicast() && !MacAddr::ZERO.is_multicast());
}

/// A hand-annotated packet of `testvectors/packets`: lines of hexadecimal bytes with comments
/// behind `#`, and what the frame is, behind `=`.
fn vector(file: &str) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for line in file.lines() {
        if let Some(text) = line.strip_prefix("= ") {
            expected.push(text.trim().to_string());
            continue;
        }
        for pair in line.split('#').next().unwrap().split_whitespace() {
            bytes.push(u8::from_str_radix(pair, 16).unwrap());
        }
    }
    (bytes, expected)
}

/// What a frame is, in the words of the vectors.
fn described(bytes: &[u8]) -> Vec<String> {
    let parsed = match parse(bytes, true) {
        Ok(parsed) => parsed,
        Err(e) => return std::vec![format!("error: {e}")],
    };
    match parsed {
        Frame::Tcp(TcpFrame { eth, ip, tcp }) => std::vec![
            format!("eth {} > {} vlan {:?}", eth.src, eth.dst, eth.vlan),
            format!("ip {} > {} ttl {} ecn {}", ip.src, ip.dst, ip.ttl, ip.dscp_ecn),
            format!(
                "tcp {} > {} seq {} ack {} flags {:#04x} window {}",
                tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack, tcp.flags.0, tcp.window
            ),
            format!("options {:?}", tcp.options),
            format!("text {:?}", String::from_utf8_lossy(tcp.payload)),
        ],
        Frame::Arp { arp, .. } => std::vec![format!("{arp:?}")],
        Frame::Icmp(f) => std::vec![format!("{:?}", f.icmp)],
        Frame::Other { reason, .. } => std::vec![format!("other: {reason:?}")],
    }
}

#[test]
fn packets_made_by_hand_are_what_their_comments_say() {
    let vectors = [
        include_str!("../../../testvectors/packets/syn.hex"),
        include_str!("../../../testvectors/packets/ack-sack-vlan.hex"),
        include_str!("../../../testvectors/packets/frag-needed.hex"),
        include_str!("../../../testvectors/packets/arp-request.hex"),
        include_str!("../../../testvectors/packets/option-length-zero.hex"),
    ];
    for file in vectors {
        let (bytes, expected) = vector(file);
        assert!(!expected.is_empty());
        assert_eq!(described(&bytes), expected, "{file}");
    }
}
