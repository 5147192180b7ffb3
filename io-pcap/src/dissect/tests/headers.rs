//! IP and TCP headers: lengths, padding, cuts, extension headers, fragments, options, checksums.

use super::*;
use etherparse::{IpAuthHeader, Ipv6FragmentHeader, Ipv6RawExtHeader, TcpOptionElement};
use simoom_core::wire::{TcpOptions, Timestamps};

#[test]
fn padding_of_the_link_is_no_text() {
    for is_v6 in [false, true] {
        let ip = if is_v6 { v6() } else { v4() };
        let mut bytes = frame(ip, b"");
        bytes.resize(bytes.len() + 6, 0xaa);
        assert_eq!(segment(whole(LinkType::Ethernet, &bytes)), expected(b"", is_v6));
    }
}

#[test]
fn text_that_was_cut_keeps_the_length_of_the_ip_header() {
    let text = [0x55; 1_000];
    for is_v6 in [false, true] {
        let ip = if is_v6 { v6() } else { v4() };
        let bytes = frame(ip, &text);
        let cut = &bytes[..96];
        let seg =
            segment(dissect_bytes(LinkType::Ethernet, cut, bytes.len() as u32, Checksums::Verify));
        assert_eq!(seg.payload_len, 1_000);
        assert_eq!(seg.payload.len(), if is_v6 { 22 } else { 42 });
        assert!(seg.is_cut());
        assert_eq!(seg.seg_len(), 1_000);
        // A file that does not tell the frame's length on the wire changes nothing.
        assert_eq!(segment(whole(LinkType::Ethernet, cut)), seg);
    }
}

#[test]
fn frames_captured_before_segmentation_have_their_frames_length() {
    let text = vec![0x55; 100_000];
    let mut four = frame(v4(), &text[..40_000]);
    set_total_len(&mut four, 0);
    let seg = segment(whole(LinkType::Ethernet, &four));
    assert_eq!((seg.payload_len, seg.payload.len()), (40_000, 40_000));
    // Longer than the IP header can say, as IPv6 with 512 KiB at once.
    let mut six = frame(v6(), b"");
    six.extend_from_slice(&text);
    six[18..20].fill(0);
    let seg = segment(whole(LinkType::Ethernet, &six));
    assert_eq!((seg.payload_len, seg.payload.len()), (100_000, 100_000));
    assert_eq!(seg.checksum, ChecksumSeen::Offloaded);
}

#[test]
fn checksums_are_classed() {
    let good = frame(v4(), b"some text");
    let checksum = |bytes: &[u8]| segment(whole(LinkType::Ethernet, bytes)).checksum;
    assert_eq!(checksum(&good), ChecksumSeen::Good);

    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(checksum(&bad), ChecksumSeen::Bad);

    // The sender left it to its device: zero, or the pseudo-header's sum.
    let field = 14 + 20 + 16;
    let mut unset = bad.clone();
    unset[field..field + 2].fill(0);
    assert_eq!(checksum(&unset), ChecksumSeen::Offloaded);
    let pseudo = |len: u32| {
        let sum = simoom_core::wire::Sum::ZERO.add_bytes(&good[26..34]).add_u32(6 + len);
        sum.fold().to_be_bytes()
    };
    for len in [29, 0] {
        unset[field..field + 2].copy_from_slice(&pseudo(len));
        assert_eq!(checksum(&unset), ChecksumSeen::Offloaded);
    }
    unset[field..field + 2].copy_from_slice(&pseudo(30));
    assert_eq!(checksum(&unset), ChecksumSeen::Bad);

    // IPv4's own.
    let mut bad = good.clone();
    bad[24] ^= 1;
    assert_eq!(checksum(&bad), ChecksumSeen::Bad);
    bad[field..field + 2].fill(0);
    assert_eq!(checksum(&bad), ChecksumSeen::Bad);
    let mut unset = good.clone();
    unset[24..26].fill(0);
    assert_eq!(checksum(&unset), ChecksumSeen::Offloaded);

    // What was coalesced after it came has one checksum for many segments.
    let mut coalesced = frame(v4(), &[7; 20_000]);
    coalesced[field] ^= 1;
    assert_eq!(checksum(&coalesced), ChecksumSeen::Offloaded);

    let ignored = dissect_bytes(LinkType::Ethernet, &good, good.len() as u32, Checksums::Ignore);
    assert_eq!(segment(ignored).checksum, ChecksumSeen::NotChecked);
    assert_eq!(checksum(&good[..good.len() - 1]), ChecksumSeen::NotChecked);

    // A length that was damaged on the way makes whole segments look cut.
    let mut longer = good.clone();
    longer[16] ^= 1;
    assert_eq!(checksum(&longer), ChecksumSeen::Bad);
}

#[test]
fn checksums_of_ipv6_are_verified() {
    let mut bytes = frame(v6(), b"odd");
    assert_eq!(segment(whole(LinkType::Ethernet, &bytes)).checksum, ChecksumSeen::Good);
    bytes[30] ^= 1;
    assert_eq!(segment(whole(LinkType::Ethernet, &bytes)).checksum, ChecksumSeen::Bad);
}

#[test]
fn ecn_and_ttl_are_told() {
    let mut bytes = frame(v4(), b"");
    for (bits, ecn) in [(0, Ecn::NotEct), (1, Ecn::Ect1), (2, Ecn::Ect0), (3, Ecn::Ce)] {
        bytes[15] = 0xb8 | bits;
        bytes[22] = 9;
        let seg = segment(whole(LinkType::Ethernet, &bytes));
        assert_eq!((seg.ecn, seg.ttl), (ecn, 9));
    }
    let IpHeaders::Ipv6(mut header, none) = v6() else { unreachable!() };
    header.traffic_class = 0xff;
    let bytes = frame(IpHeaders::Ipv6(header, none), b"");
    assert_eq!(segment(whole(LinkType::Ethernet, &bytes)).ecn, Ecn::Ce);
}

#[test]
fn ipv4_options_are_passed_over() {
    let IpHeaders::Ipv4(mut header, none) = v4() else { unreachable!() };
    header.options = (&[1, 1, 1, 0][..]).try_into().unwrap();
    let bytes = frame(IpHeaders::Ipv4(header, none), b"text");
    assert_eq!(segment(whole(LinkType::Ethernet, &bytes)), expected(b"text", false));
}

#[test]
fn extension_headers_are_followed() {
    let raw = |payload: &[u8]| Ipv6RawExtHeader::new_raw(IpNumber::TCP, payload).unwrap();
    let extensions = Ipv6Extensions {
        hop_by_hop_options: Some(raw(&[1, 4, 0, 0, 0, 0])),
        destination_options: Some(raw(&[0; 14])),
        auth: Some(IpAuthHeader::new(IpNumber::TCP, 1, 2, &[3; 12]).unwrap()),
        ..Ipv6Extensions::default()
    };
    let IpHeaders::Ipv6(mut header, _) = v6() else { unreachable!() };
    let mut extensions = extensions;
    header.next_header = extensions.set_next_headers(IpNumber::TCP);
    let bytes = frame(IpHeaders::Ipv6(header, extensions), b"text");
    assert_eq!(segment(whole(LinkType::Ethernet, &bytes)), expected(b"text", true));
    for cut in 54..bytes.len() - 24 {
        let seen =
            dissect_bytes(LinkType::Ethernet, &bytes[..cut], bytes.len() as u32, Checksums::Verify);
        assert_eq!(other(seen), OtherKind::CutHeader);
    }
}

#[test]
fn a_routing_header_with_hops_to_go_leaves_the_checksum_unknown() {
    // Next header TCP, 8 bytes, type 4, segments left.
    let tcp = datagram(v6(), tcp_header(), b"x").split_off(40);
    for (left, seen) in [(0, ChecksumSeen::Good), (1, ChecksumSeen::NotChecked)] {
        let mut bytes = datagram(v6(), tcp_header(), b"x");
        bytes.truncate(40);
        bytes[5] += 8;
        bytes[6] = 43;
        bytes.extend_from_slice(&[6, 0, 4, left, 0, 0, 0, 0]);
        bytes.extend_from_slice(&tcp);
        assert_eq!(segment(whole(LinkType::RawIp, &bytes)).checksum, seen);
    }
}

#[test]
fn more_extension_headers_than_are_followed_are_told() {
    let mut bytes = datagram(v6(), tcp_header(), b"");
    bytes.truncate(40);
    let options = [60, 0, 1, 4, 0, 0, 0, 0].repeat(EXTENSION_HEADERS_MAX + 1);
    bytes[5] = options.len() as u8;
    bytes[6] = 60;
    bytes.extend_from_slice(&options);
    assert_eq!(other(whole(LinkType::RawIp, &bytes)), OtherKind::TooManyHeaders);
}

#[test]
fn fragments_are_told_with_their_place() {
    let IpHeaders::Ipv4(mut header, none) = v4() else { unreachable!() };
    (header.more_fragments, header.fragment_offset) = (true, IpFragOffset::try_new(3).unwrap());
    let mut bytes = frame(IpHeaders::Ipv4(header, none), &[9; 12]);
    bytes.extend_from_slice(&[0; 4]);
    let expected = Fragment {
        src: IpAddr::from(CLIENT),
        dst: IpAddr::from(SERVER),
        vlan: None,
        id: 0x1234,
        protocol: 6,
        offset: 24,
        more: true,
        payload: &bytes[34..66],
        payload_len: 32,
        ecn: Ecn::NotEct,
        ttl: 63,
    };
    assert_eq!(whole(LinkType::Ethernet, &bytes), Dissected::Fragment(expected));
    let cut =
        dissect_bytes(LinkType::Ethernet, &bytes[..50], bytes.len() as u32, Checksums::Verify);
    assert_eq!(cut, Dissected::Fragment(Fragment { payload: &bytes[34..50], ..expected }));
}

fn with_fragment_header(offset: u16, more: bool) -> Vec<u8> {
    let extensions = Ipv6Extensions {
        fragment: Some(Ipv6FragmentHeader::new(
            IpNumber::TCP,
            IpFragOffset::try_new(offset).unwrap(),
            more,
            0xdead_beef,
        )),
        ..Ipv6Extensions::default()
    };
    let IpHeaders::Ipv6(mut header, _) = v6() else { unreachable!() };
    header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
    frame(IpHeaders::Ipv6(header, extensions), b"text")
}

#[test]
fn an_atomic_fragment_is_a_whole_segment() {
    let bytes = with_fragment_header(0, false);
    assert_eq!(segment(whole(LinkType::Ethernet, &bytes)), expected(b"text", true));
    let bytes = with_fragment_header(5, false);
    let Dissected::Fragment(part) = whole(LinkType::Ethernet, &bytes) else { panic!() };
    assert_eq!((part.id, part.offset, part.more, part.protocol), (0xdead_beef, 40, false, 6));
    assert_eq!((part.payload, part.payload_len), (&bytes[62..], 24));
}

#[test]
fn options_are_read_up_to_what_is_none() {
    let with = |options: &[u8]| {
        let mut tcp = tcp_header();
        tcp.set_options_raw(options).unwrap();
        ethernet(0x0800, &datagram(v4(), tcp, b"t"))
    };
    let seen = |bytes: &[u8]| {
        let seg = segment(whole(LinkType::Ethernet, bytes));
        (seg.options, seg.options_seen)
    };
    let timestamps = Some(Timestamps { val: 0x0102_0304, ecr: 0x0506_0708 });
    let stamp = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    let expected = TcpOptions { timestamps, ..TcpOptions::default() };
    assert_eq!(seen(&with(&stamp)), (expected, OptionsSeen::All));

    let sack = [1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
    let mut expected = expected;
    expected.sack.push(SeqNumber(1), SeqNumber(2));
    expected.sack.push(SeqNumber(3), SeqNumber(4));
    let all = with(&[&stamp[..], &sack].concat());
    assert_eq!(seen(&all), (expected, OptionsSeen::All));

    // An MSS, then a window scale of the wrong length, then timestamps.
    let wrong = [&[2, 4, 5, 0xb4, 3, 4, 7, 0][..], &stamp].concat();
    let mss = TcpOptions { mss: Some(1_460), ..TcpOptions::default() };
    assert_eq!(seen(&with(&wrong)), (mss, OptionsSeen::UpToMalformed));

    // The capture ends within SACK, or between options.
    for (cut, expected) in [
        (14 + 20 + 20 + 12, timestamps),
        (14 + 20 + 20 + 19, timestamps),
        (14 + 20 + 20 + 11, None),
    ] {
        let expected = TcpOptions { timestamps: expected, ..TcpOptions::default() };
        let seg = segment(dissect_bytes(
            LinkType::Ethernet,
            &all[..cut],
            all.len() as u32,
            Checksums::Verify,
        ));
        assert_eq!((seg.options, seg.options_seen), (expected, OptionsSeen::UpToCut));
        assert_eq!((seg.payload, seg.payload_len), (&b""[..], 1));
    }
}

#[test]
fn syn_options_are_read() {
    let mut tcp = tcp_header();
    tcp.set_options(&[
        TcpOptionElement::MaximumSegmentSize(1_440),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOptionElement::Timestamp(7, 0),
        TcpOptionElement::Noop,
        TcpOptionElement::WindowScale(7),
    ])
    .unwrap();
    let bytes = datagram(v4(), tcp, b"");
    let options = segment(whole(LinkType::RawIp, &bytes)).options;
    assert_eq!((options.mss, options.window_scale), (Some(1_440), Some(7)));
    assert!(options.sack_permitted && options.timestamps.is_some());
}

#[test]
fn headers_that_contradict_themselves_are_told() {
    let good = frame(v4(), b"text");
    let change = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        other(whole(LinkType::Ethernet, &bytes))
    };
    assert_eq!(change(14, 0x65), OtherKind::BadHeader, "the version");
    assert_eq!(change(14, 0x44), OtherKind::BadHeader, "the header's length");
    assert_eq!(change(17, 19), OtherKind::BadHeader, "a total length below the header's");
    assert_eq!(change(17, 39), OtherKind::BadHeader, "no room for a TCP header");
    assert_eq!(change(46, 0x40), OtherKind::BadHeader, "the data offset is too small");
    assert_eq!(change(46, 0xf0), OtherKind::BadHeader, "the data offset is beyond the segment");
}

#[test]
fn other_protocols_are_told() {
    for (protocol, kind) in [
        (1, OtherKind::Icmp),
        (17, OtherKind::Udp),
        (47, OtherKind::OtherIp),
        (58, OtherKind::OtherIp),
        (0, OtherKind::OtherIp),
        (44, OtherKind::OtherIp),
    ] {
        let mut bytes = frame(v4(), b"");
        bytes[23] = protocol;
        assert_eq!(other(whole(LinkType::Ethernet, &bytes)), kind, "{protocol}");
    }
    for (protocol, kind) in [
        (58, OtherKind::Icmp),
        (17, OtherKind::Udp),
        (59, OtherKind::OtherIp),
        (1, OtherKind::OtherIp),
        (50, OtherKind::OtherIp),
    ] {
        let mut bytes = frame(v6(), b"");
        bytes[20] = protocol;
        assert_eq!(other(whole(LinkType::Ethernet, &bytes)), kind, "{protocol}");
    }
}

#[test]
fn kinds_stand_in_their_own_order() {
    for (index, kind) in OtherKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index);
    }
}
