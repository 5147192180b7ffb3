//! Frames that etherparse reads whole: its reading is ours.

use super::*;
use etherparse::{NetSlice, SlicedPacket, TcpOptionElement, TransportSlice, VlanId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use simoom_core::wire::{SackBlocks, TcpOptions, Timestamps};

/// The whole reading of a frame by etherparse, in our terms.
fn oracle(frame: &[u8]) -> Option<Segment<'_>> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    let (src, dst, traffic_class, ttl, ip_id, is_good) = match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header();
            let sums = ip.header_checksum() == ip.to_header().calc_header_checksum()
                && tcp.calc_checksum_ipv4(ip.source(), ip.destination()) == Ok(tcp.checksum());
            let (src, dst) = (IpAddr::V4(ip.source_addr()), IpAddr::V4(ip.destination_addr()));
            (src, dst, ip.ecn().value(), ip.ttl(), ip.identification(), sums)
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header();
            let sum = tcp.calc_checksum_ipv6(ip.source(), ip.destination()) == Ok(tcp.checksum());
            let (src, dst) = (IpAddr::V6(ip.source_addr()), IpAddr::V6(ip.destination_addr()));
            (src, dst, ip.traffic_class(), ip.hop_limit(), 0, sum)
        }
        NetSlice::Arp(_) => return None,
    };
    let bits =
        [tcp.fin(), tcp.syn(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg(), tcp.ece(), tcp.cwr()];
    let flags = bits.iter().enumerate().map(|(bit, set)| u8::from(*set) << bit).sum();
    let mut options = TcpOptions::default();
    for option in tcp.options_iterator() {
        match option.ok()? {
            TcpOptionElement::Noop => {}
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => options.window_scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack_permitted = true,
            TcpOptionElement::SelectiveAcknowledgement(first, more) => {
                options.sack = SackBlocks::default();
                for (left, right) in std::iter::once(first).chain(more.into_iter().flatten()) {
                    options.sack.push(SeqNumber(left), SeqNumber(right));
                }
            }
            TcpOptionElement::Timestamp(val, ecr) => {
                options.timestamps = Some(Timestamps { val, ecr });
            }
        }
    }
    Some(Segment {
        vlan: packet.vlan_ids().first().map(|id| id.value()),
        seq: SeqNumber(tcp.sequence_number()),
        ack: SeqNumber(tcp.acknowledgment_number()),
        flags: TcpFlags(flags),
        window: tcp.window_size(),
        options,
        payload: tcp.payload(),
        payload_len: tcp.payload().len() as u32,
        ecn: Ecn::from_traffic_class(traffic_class),
        ttl,
        ip_id,
        checksum: if is_good { ChecksumSeen::Good } else { ChecksumSeen::Bad },
        ..Segment::new(
            SocketAddr::new(src, tcp.source_port()),
            SocketAddr::new(dst, tcp.destination_port()),
        )
    })
}

fn options() -> impl Strategy<Value = Vec<TcpOptionElement>> {
    let option = prop_oneof![
        Just(TcpOptionElement::Noop),
        any::<u16>().prop_map(TcpOptionElement::MaximumSegmentSize),
        any::<u8>().prop_map(TcpOptionElement::WindowScale),
        Just(TcpOptionElement::SelectiveAcknowledgementPermitted),
        any::<(u32, u32)>().prop_map(|(val, ecr)| TcpOptionElement::Timestamp(val, ecr)),
    ];
    let sack =
        (any::<(u32, u32)>(), option::of(any::<(u32, u32)>())).prop_map(|(first, second)| {
            TcpOptionElement::SelectiveAcknowledgement(first, [second, None, None])
        });
    (vec(option, 0..3), option::of(sack)).prop_map(|(mut options, sack)| {
        options.extend(sack);
        options
    })
}

/// Frames with everything that etherparse and we both follow.
fn good_frame() -> impl Strategy<Value = Vec<u8>> {
    let ip = prop_oneof![
        any::<([u8; 4], [u8; 4], u8, u8, u16)>().prop_map(|(src, dst, ttl, ecn, id)| {
            let mut header = Ipv4Header::new(0, ttl, IpNumber::TCP, src, dst).unwrap();
            header.ecn = etherparse::IpEcn::try_new(ecn & 3).unwrap();
            header.identification = id;
            IpHeaders::Ipv4(header, Ipv4Extensions::default())
        }),
        any::<([u8; 16], [u8; 16], u8, u8)>().prop_map(|(src, dst, hop_limit, traffic_class)| {
            let IpHeaders::Ipv6(header, none) = v6() else { unreachable!() };
            let header =
                Ipv6Header { source: src, destination: dst, hop_limit, traffic_class, ..header };
            IpHeaders::Ipv6(header, none)
        }),
    ];
    let tcp = (any::<(u16, u16, u32, u32)>(), any::<(u16, u8)>(), options());
    let tags = vec(0u16..4096, 0..3);
    (ip, tcp, tags, vec(any::<u8>(), 0..300), 0..9usize).prop_map(
        |(ip, ((from, to, seq, ack), (window, bits), options), tags, text, padding)| {
            let mut tcp = TcpHeader::new(from, to, seq, window);
            tcp.acknowledgment_number = ack;
            let set = |bit: u8| bits >> bit & 1 == 1;
            (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (set(0), set(1), set(2), set(3));
            (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (set(4), set(5), set(6), set(7));
            tcp.set_options(&options).unwrap();
            let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
            let id = |tag: u16| VlanId::try_new(tag).unwrap();
            let mut frame = Vec::new();
            match tags[..] {
                [] => link.ip(ip).tcp_header(tcp).write(&mut frame, &text).unwrap(),
                [tag] => {
                    link.single_vlan(id(tag))
                        .ip(ip)
                        .tcp_header(tcp)
                        .write(&mut frame, &text)
                        .unwrap();
                }
                [outer, inner, ..] => {
                    let tagged = link.double_vlan(id(outer), id(inner));
                    tagged.ip(ip).tcp_header(tcp).write(&mut frame, &text).unwrap();
                }
            }
            frame.resize(frame.len() + padding, 0);
            frame
        },
    )
}

proptest! {
    #[test]
    fn good_frames_read_as_etherparse_reads_them(frame in good_frame()) {
        let expected = oracle(&frame).unwrap();
        prop_assert_eq!(expected.checksum, ChecksumSeen::Good);
        prop_assert_eq!(whole(LinkType::Ethernet, &frame), Dissected::Segment(expected));
    }

    /// Where both read a damaged frame, they read the same; we read some that etherparse refuses.
    #[test]
    fn damaged_frames_read_as_etherparse_reads_them(
        frame in good_frame(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let mut frame = frame;
        let at = at.index(frame.len());
        frame[at] ^= flip;
        if let Some(mut expected) = oracle(&frame)
            && let Dissected::Segment(seg) = whole(LinkType::Ethernet, &frame)
        {
            if seg.checksum == ChecksumSeen::Offloaded {
                expected.checksum = ChecksumSeen::Offloaded;
            }
            if seg.options_seen == OptionsSeen::All {
                prop_assert_eq!(seg, expected);
            }
        }
    }
}
