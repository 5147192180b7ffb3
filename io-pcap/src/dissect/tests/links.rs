//! Every link that carries IP, and tags.

use super::*;

#[test]
fn segments_are_the_same_over_every_link() {
    let (four, six) =
        (datagram(v4(), tcp_header(), b"hello"), datagram(v6(), tcp_header(), b"hello"));
    // Packet type, ARPHRD, address length, address; the protocol follows.
    let cooked = |arphrd: [u8; 2], protocol: u16, rest: &[u8]| {
        [&[0, 4][..], &arphrd, &[0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &protocol.to_be_bytes(), rest]
            .concat()
    };
    // Protocol, reserved, interface, ARPHRD, packet type, address length, address.
    let cooked2 = |protocol: u16, rest: &[u8]| {
        let middle = [0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        [&protocol.to_be_bytes()[..], &middle, rest].concat()
    };
    let family = |bytes: [u8; 4], rest: &[u8]| [&bytes[..], rest].concat();
    for (link, bytes, is_v6) in [
        (LinkType::Ethernet, ethernet(0x0800, &four), false),
        (LinkType::Ethernet, ethernet(0x86dd, &six), true),
        (LinkType::LinuxSll, cooked([0, 1], 0x0800, &four), false),
        (LinkType::LinuxSll, cooked([0, 1], 0x86dd, &six), true),
        // A tunnel's device, of a kind that etherparse does not know.
        (LinkType::LinuxSll, cooked([0xff, 0xfe], 0x0800, &four), false),
        (LinkType::LinuxSll2, cooked2(0x0800, &four), false),
        (LinkType::LinuxSll2, cooked2(0x86dd, &six), true),
        (LinkType::RawIp, four.clone(), false),
        (LinkType::RawIp, six.clone(), true),
        (LinkType::Null, family([2, 0, 0, 0], &four), false),
        (LinkType::Null, family([0, 0, 0, 2], &four), false),
        (LinkType::Null, family([24, 0, 0, 0], &six), true),
        (LinkType::Null, family([0, 0, 0, 28], &six), true),
        (LinkType::Null, family([30, 0, 0, 0], &six), true),
        (LinkType::Null, family([10, 0, 0, 0], &six), true),
        (LinkType::Loop, family([0, 0, 0, 2], &four), false),
        (LinkType::Loop, family([0, 0, 0, 24], &six), true),
    ] {
        assert_eq!(
            segment(whole(link, &bytes)),
            expected(b"hello", is_v6),
            "{link:?} {bytes:02x?}"
        );
        // Every shorter capture of it is cut, and never anything else.
        for len in 0..bytes.len() {
            match dissect_bytes(link, &bytes[..len], bytes.len() as u32, Checksums::Verify) {
                Dissected::Other(OtherKind::CutHeader) => {}
                Dissected::Segment(seg) => {
                    assert!(seg.is_cut() || seg.options_seen == OptionsSeen::UpToCut);
                    assert_eq!((seg.payload_len, seg.checksum), (5, ChecksumSeen::NotChecked));
                }
                other => panic!("{link:?}, {len} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn the_outermost_of_several_tags_is_told() {
    let datagram = datagram(v4(), tcp_header(), b"");
    for (tags, vlan) in [
        (vec![(0x8100, 0x2fff)], Some(0xfff)),
        (vec![(0x8100, 0)], Some(0)),
        (vec![(0x88a8, 7), (0x8100, 42)], Some(7)),
        (vec![(0x9100, 7), (0x9100, 8), (0x88a8, 9), (0x8100, 10)], Some(7)),
    ] {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for (tpid, tci) in tags {
            bytes.extend_from_slice(&u16::to_be_bytes(tpid));
            bytes.extend_from_slice(&u16::to_be_bytes(tci));
        }
        bytes.extend_from_slice(&[8, 0]);
        bytes.extend_from_slice(&datagram);
        let seg = segment(whole(LinkType::Ethernet, &bytes));
        assert_eq!(seg, Segment { vlan, ..expected(b"", false) });
    }
}

#[test]
fn a_tag_behind_a_cooked_header_is_followed() {
    let datagram = datagram(v4(), tcp_header(), b"x");
    let bytes =
        [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 42, 8, 0][..], &datagram].concat();
    assert_eq!(segment(whole(LinkType::LinuxSll, &bytes)).vlan, Some(42));
}

#[test]
fn more_tags_than_are_followed_are_told() {
    let tags = [0x81, 0, 0, 1].repeat(VLAN_TAGS_MAX + 1);
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend_from_slice(&tags);
    bytes.extend_from_slice(&[8, 0]);
    bytes.extend_from_slice(&datagram(v4(), tcp_header(), b""));
    assert_eq!(other(whole(LinkType::Ethernet, &bytes)), OtherKind::TooManyHeaders);
}

#[test]
fn what_is_no_ip_is_told() {
    for (ether_type, kind) in [
        (0x0806, OtherKind::Arp),
        (0x88cc, OtherKind::OtherEther),
        // IEEE 802.3: a length.
        (46, OtherKind::OtherEther),
    ] {
        assert_eq!(other(whole(LinkType::Ethernet, &ethernet(ether_type, &[0; 46]))), kind);
    }
    assert_eq!(other(whole(LinkType::Other(147), &[0; 60])), OtherKind::UnknownLink);
    assert_eq!(other(whole(LinkType::RawIp, &[0x50; 60])), OtherKind::BadHeader);
    assert_eq!(other(whole(LinkType::Loop, &[2, 0, 0, 0, 0x45])), OtherKind::OtherEther);
    assert_eq!(other(whole(LinkType::Ethernet, &[0; 13])), OtherKind::BadHeader);
    assert_eq!(other(whole(LinkType::RawIp, &[])), OtherKind::BadHeader);
}
