//! Random frames: noise, valid frames with a few bytes changed, and segments that know enough of a
//! connection to hurt it.

use super::peer::{
    ACK, Conn, FIN, Net, OUR_IP, OUR_MAC, PEER_IP, PEER_MAC, RST, SYN, Seg, arp, config, ethernet,
    frame, icmp, ipv4, tagged, tcp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use simoom_core::content::{Mode, ReadAt};
use simoom_core::time::Duration;
use simoom_port_conformance::vec_port::VecPort;
use std::net::SocketAddrV4;

/// What the network does next.
#[derive(Clone, Debug)]
enum Act {
    /// Bytes without sense.
    Noise(Vec<u8>),
    /// Bytes behind an Ethernet header to us.
    NoiseToUs(u16, Vec<u8>),
    /// An IPv4 packet to us of any protocol and fragment.
    Packet {
        protocol: u8,
        fragment: u16,
        payload: Vec<u8>,
    },
    /// A frame like those that are good, with bytes changed, cut to a length, a tag put in.
    Mutated {
        kind: u8,
        changes: Vec<(Index, u8)>,
        cut: Option<Index>,
        vlan: Option<u16>,
    },
    Arp {
        operation: u16,
        sender: [u8; 4],
        target: [u8; 4],
    },
    Icmp {
        kind: u8,
        code: u8,
        rest: Vec<u8>,
    },
    /// A SYN with absurd options.
    Syn {
        port: u16,
        options: Vec<u8>,
    },
    /// A handshake, and a connection from then on.
    Open {
        mss: u16,
        stamps: bool,
    },
    /// We open: towards a neighbour that may answer, or not.
    Connect {
        host: u8,
    },
    /// The peer's FIN, in order.
    Close {
        conn: Index,
    },
    /// A segment to a connection, near its window.
    Segment {
        conn: Index,
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        options: Vec<u8>,
        len: u16,
    },
    /// A good request.
    Request {
        conn: Index,
        file: usize,
    },
    /// What came is taken and acknowledged.
    Read {
        conn: Index,
    },
    Time(u32),
    Content(u8),
}

/// Options as a multiple of four bytes: well-formed, absurd, or noise.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        Just(vec![]),
        any::<u16>().prop_map(|mss| [&[2, 4][..], &mss.to_be_bytes()].concat()),
        any::<u8>().prop_map(|shift| vec![3, 3, shift, 1]),
        Just(vec![4, 2, 1, 1]),
        any::<[u8; 8]>().prop_map(|stamps| [&[1, 1, 8, 10][..], &stamps].concat()),
        any::<[u8; 8]>().prop_map(|block| [&[1, 1, 5, 10][..], &block].concat()),
        any::<[u8; 4]>().prop_map(|noise| noise.to_vec()),
        (any::<u8>(), 0..4u8).prop_map(|(kind, len)| vec![kind, len, 0, 0]),
    ];
    vec(one, 0..4).prop_map(|options| {
        let mut all = options.concat();
        all.truncate(40);
        all
    })
}

fn near() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(0), 3 => -3..4i32, 2 => -20_000..20_000i32, 1 => any::<i32>()]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let flags = prop_oneof![
        6 => Just(ACK),
        2 => select(vec![ACK | FIN, RST, SYN, SYN | ACK, RST | ACK, 0, FIN]),
        1 => any::<u8>(),
    ];
    let act = prop_oneof![
        1 => vec(any::<u8>(), 0..1_600).prop_map(Act::Noise),
        1 => (select(vec![0x0800, 0x0806, 0x8100, 0x88a8, 0x86dd, 0, 60]), vec(any::<u8>(), 0..200))
            .prop_map(|(ethertype, bytes)| Act::NoiseToUs(ethertype, bytes)),
        1 => (select(vec![1, 6, 17, 255]), prop_oneof![Just(0), any::<u16>()], vec(any::<u8>(), 0..80))
            .prop_map(|(protocol, fragment, payload)| Act::Packet { protocol, fragment, payload }),
        4 => (any::<u8>(), vec((any::<Index>(), any::<u8>()), 0..4),
              proptest::option::weighted(0.3, any::<Index>()),
              proptest::option::weighted(0.1, any::<u16>()))
            .prop_map(|(kind, changes, cut, vlan)| Act::Mutated { kind, changes, cut, vlan }),
        1 => (0..4u16, any::<u8>(), any::<u8>())
            .prop_map(|(operation, sender, target)| Act::Arp {
                operation, sender: [10, 66, 0, sender], target: [10, 66, 0, target % 4],
            }),
        1 => (select(vec![0, 3, 4, 5, 8, 11, 13]), 0..3u8, vec(any::<u8>(), 0..1_480))
            .prop_map(|(kind, code, rest)| Act::Icmp { kind, code, rest }),
        2 => (1..20u16, options()).prop_map(|(port, options)| Act::Syn { port, options }),
        3 => (select(vec![0, 1, 64, 536, 1_000, 1_400, 1_460, 9_000, 65_535]), any::<bool>())
            .prop_map(|(mss, stamps)| Act::Open { mss, stamps }),
        1 => (0..4u8).prop_map(|host| Act::Connect { host }),
        2 => any::<Index>().prop_map(|conn| Act::Close { conn }),
        12 => (any::<Index>(), flags, near(), near(), any::<u16>(), options(), 0..1_400u16)
            .prop_map(|(conn, flags, seq, ack, window, options, len)| {
                Act::Segment { conn, flags, seq, ack, window, options, len: len.saturating_sub(700) }
            }),
        3 => (any::<Index>(), 0..3usize).prop_map(|(conn, file)| Act::Request { conn, file }),
        4 => any::<Index>().prop_map(|conn| Act::Read { conn }),
        2 => (0..100_000u32).prop_map(Act::Time),
        1 => (0..6u8).prop_map(Act::Content),
    ];
    vec(act, 1..120)
}

/// A frame that is good but for the connection that it may not belong to.
fn good(kind: u8) -> Vec<u8> {
    let payload = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let seg = Seg { src_port: 1, dst_port: 80, seq: 9, ack: 9, window: 9, ..Seg::default() };
    match kind % 6 {
        0 => frame(&Seg { flags: SYN, options: vec![2, 4, 5, 180], ..seg }),
        1 => frame(&Seg { flags: ACK, payload, ..seg }),
        2 => arp(1, PEER_MAC, PEER_IP, OUR_IP),
        3 => icmp(8, 0, &[1; 40]),
        4 => frame(&Seg { flags: ACK, options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], ..seg }),
        _ => {
            let packet = ipv4(PEER_IP, OUR_IP, 6, 0x2000, &tcp(PEER_IP, OUR_IP, &seg));
            ethernet(OUR_MAC, PEER_MAC, 0x0800, &packet)
        }
    }
}

fn play(net: &mut Net, conns: &mut Vec<Conn>, next_port: &mut u16, act: Act) {
    let at = |index: &Index, conns: &[Conn]| (!conns.is_empty()).then(|| index.index(conns.len()));
    match act {
        Act::Noise(bytes) => net.send(&bytes),
        Act::NoiseToUs(ethertype, bytes) => {
            net.send(&ethernet(OUR_MAC, PEER_MAC, ethertype, &bytes));
        }
        Act::Packet { protocol, fragment, payload } => {
            let packet = ipv4(PEER_IP, OUR_IP, protocol, fragment, &payload);
            net.send(&ethernet(OUR_MAC, PEER_MAC, 0x0800, &packet));
        }
        Act::Mutated { kind, changes, cut, vlan } => {
            let mut bytes = good(kind);
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] ^= byte;
            }
            if let Some(vlan) = vlan {
                bytes = tagged(&bytes, vlan);
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            net.send(&bytes);
        }
        Act::Arp { operation, sender, target } => {
            net.send(&arp(operation, PEER_MAC, sender, target))
        }
        Act::Icmp { kind, code, rest } => net.send(&icmp(kind, code, &rest)),
        Act::Syn { port, options } => {
            let syn = Seg { src_port: port, dst_port: 80, flags: SYN, options, ..Seg::default() };
            net.send(&frame(&syn));
        }
        Act::Open { mss, stamps } => {
            *next_port += 1;
            let [high, low] = mss.to_be_bytes();
            let mut options = vec![2, 4, high, low];
            if stamps {
                options.extend([1, 1, 8, 10, 0, 0, 0, 77, 0, 0, 0, 0]);
            }
            if let Some(conn) = net.syn(*next_port, &options) {
                assert_eq!(conn.options.is_empty(), !stamps, "timestamps where they are offered");
                net.send(&frame(&conn.seg(ACK)));
                conns.push(conn);
            }
        }
        Act::Connect { host } => {
            let to = SocketAddrV4::new([10, 66, host / 3, host].into(), 99);
            net.stack.connect(to, 1).expect("few wait to be opened");
            // The peer answers some of them with a SYN of its own: both open at once.
            for seg in net.segments().iter().filter(|seg| seg.flags == SYN && host == 1) {
                let (src_port, dst_port) = (seg.dst_port, seg.src_port);
                let syn = Seg { src_port, dst_port, seq: 6, flags: SYN, ..Seg::default() };
                net.send(&frame(&syn));
            }
        }
        Act::Close { conn } => {
            let Some(at) = at(&conn, conns) else { return };
            let conn = &mut conns[at];
            net.send(&frame(&conn.seg(FIN | ACK)));
            conn.seq = conn.seq.wrapping_add(1);
            net.exchange(conn);
            net.send(&frame(&conn.seg(ACK)));
        }
        Act::Segment { conn, flags, seq, ack, window, options, len } => {
            let Some(at) = at(&conn, conns) else { return };
            let base = conns[at].seg(flags);
            net.send(&frame(&Seg {
                seq: base.seq.wrapping_add_signed(seq),
                ack: base.ack.wrapping_add_signed(ack),
                window,
                options,
                payload: (0..len)
                    .map(|n| b"GET /page HTTP/1.1\r\n\r\n"[usize::from(n) % 22])
                    .collect(),
                ..base
            }));
        }
        Act::Request { conn, file } => {
            let Some(at) = at(&conn, conns) else { return };
            net.request(&mut conns[at], super::peer::FILES[file].0);
        }
        Act::Read { conn } => {
            let Some(at) = at(&conn, conns) else { return };
            net.exchange(&mut conns[at]);
        }
        Act::Time(millis) => net.pass(Duration::from_millis(u64::from(millis))),
        Act::Content(answer) => {
            net.bodies().answer = match answer {
                0 => ReadAt::Gone,
                1 => ReadAt::NotYet,
                _ => ReadAt::Done,
            };
        }
    }
}

proptest! {
    /// No frame makes the stack panic, grow, lose a buffer or lose count; and when the noise is
    /// over, connections end by themselves and whoever comes is served.
    #[test]
    fn nothing_that_arrives_breaks_the_stack(
        acts in acts(),
        buffers in select(vec![16u32, 40, 200]),
        late in any::<bool>(),
        mode in select(vec![Mode::Copy, Mode::CopiesInAdvance(2), Mode::CopiesOnDemand]),
    ) {
        let port = if late { VecPort::late(buffers) } else { VecPort::at_once(buffers) };
        let mut config = config();
        config.content.mode = mode;
        let mut net = Net::new(config, port);
        let (mut conns, mut next_port) = (Vec::new(), 100);
        for act in acts {
            play(&mut net, &mut conns, &mut next_port, act);
            net.turn();
        }
        net.bodies().answer = ReadAt::Done;
        net.settle();
        net.outlive();
        prop_assert_eq!(net.stack.receive_buffers_lent(), 0);
        prop_assert_eq!(net.stack.half_open(), 0);
        let mut conn = net.open(60_000, 1_460);
        net.request(&mut conn, "/page");
        for _ in 0..100 {
            net.pass(Duration::from_millis(1));
            net.exchange(&mut conn);
        }
        super::check_answer(&conn.got, "/page");
        net.end();
    }
}
