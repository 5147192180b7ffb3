//! What the stack leaves to the host behind the same interface: everything that is not for its own
//! address; and where the host has that address too, what the stack has no business with.

use super::peer::{
    ACK, FIN, Net, OUR_IP, OUR_MAC, PEER_IP, PEER_MAC, RST, SYN, Seg, arp, config, ethernet, frame,
    icmp, ipv4, tagged, tcp,
};
use simoom_core::port::turn_log::Recorder;
use simoom_core::port::{Port, Unclaimed};
use simoom_core::stack::Config;
use simoom_port_conformance::vec_port::VecPort;

const HOST_IP: [u8; 4] = [10, 66, 0, 3];
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];

fn net(host_shares_address: bool) -> Net {
    Net::new(Config { host_shares_address, ..config() }, VecPort::at_once(256))
}

fn datagram(
    dst_mac: [u8; 6],
    dst: [u8; 4],
    protocol: u8,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    ethernet(dst_mac, PEER_MAC, 0x0800, &ipv4(PEER_IP, dst, protocol, fragment, payload))
}

fn syn(dst_port: u16) -> Seg {
    Seg { src_port: 9, dst_port, seq: 5, flags: SYN, window: 999, ..Seg::default() }
}

fn bad_at(mut frame: Vec<u8>, from_end: usize) -> Vec<u8> {
    let at = frame.len() - from_end;
    frame[at] ^= 1;
    frame
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Left to the host, and nothing sent.
    Left,
    /// Not left, and answered.
    Answered,
    /// Not left, and not answered.
    Dropped,
}
use Fate::{Answered, Dropped, Left};

/// Frame, its fate where the address is ours alone, its fate where the host has it too.
fn cases() -> Vec<(&'static str, Vec<u8>, Fate, Fate)> {
    let segment = |dst, seg: &Seg| tcp(PEER_IP, dst, seg);
    let to_host = datagram(OUR_MAC, HOST_IP, 6, 0, &segment(HOST_IP, &syn(22)));
    let stray = Seg { flags: ACK, ack: 7, ..syn(80) };
    vec![
        ("ARP request for us", arp(1, PEER_MAC, PEER_IP, OUR_IP), Answered, Left),
        ("ARP reply to us", arp(2, PEER_MAC, PEER_IP, OUR_IP), Dropped, Left),
        ("ARP request for the host", arp(1, PEER_MAC, PEER_IP, HOST_IP), Left, Left),
        ("ARP reply to the host", arp(2, PEER_MAC, PEER_IP, HOST_IP), Left, Left),
        ("ARP that claims our address", arp(1, PEER_MAC, OUR_IP, OUR_IP), Dropped, Left),
        ("ARP of another operation", arp(3, PEER_MAC, PEER_IP, OUR_IP), Left, Left),
        ("echo request to us", icmp(8, 0, &[0; 12]), Answered, Left),
        ("ICMP of another kind to us", icmp(3, 4, &[0; 12]), Dropped, Left),
        ("SYN to our port", frame(&syn(80)), Answered, Answered),
        ("SYN to a port of nobody here", frame(&syn(22)), Answered, Left),
        ("FIN to a port of nobody here", frame(&Seg { flags: FIN, ..syn(22) }), Answered, Left),
        ("RST to a port of nobody here", frame(&Seg { flags: RST, ..syn(22) }), Dropped, Left),
        ("stray segment to our port", frame(&stray), Answered, Answered),
        (
            "answer to a connection of the host",
            frame(&Seg { dst_port: 40_000, ..stray }),
            Answered,
            Left,
        ),
        (
            "SYN from a broadcast address",
            {
                let packet = ipv4([255; 4], OUR_IP, 6, 0, &tcp([255; 4], OUR_IP, &syn(80)));
                ethernet(OUR_MAC, PEER_MAC, 0x0800, &packet)
            },
            Dropped,
            Dropped,
        ),
        ("SYN to the host", to_host.clone(), Left, Left),
        ("SYN to the host, bad checksum", bad_at(to_host, 3), Left, Left),
        ("SYN to us, bad checksum", bad_at(frame(&syn(80)), 3), Dropped, Left),
        ("SYN to us, cut short", frame(&syn(80))[..40].to_vec(), Dropped, Left),
        (
            "SYN to another hardware address",
            { [&HOST_MAC[..], &frame(&syn(80))[6..]].concat() },
            Left,
            Left,
        ),
        ("SYN as a broadcast", [&[0xff; 6][..], &frame(&syn(80))[6..]].concat(), Left, Left),
        ("SYN with a tag", tagged(&frame(&syn(80)), 7), Left, Left),
        ("UDP to us", datagram(OUR_MAC, OUR_IP, 17, 0, &[0; 16]), Left, Left),
        ("UDP broadcast", datagram([0xff; 6], [255; 4], 17, 0, &[0; 16]), Left, Left),
        ("fragment to us", datagram(OUR_MAC, OUR_IP, 6, 0x2000, &[0; 24]), Left, Left),
        ("IPv6", ethernet(OUR_MAC, PEER_MAC, 0x86dd, &[0x60; 60]), Left, Left),
        ("LLC", ethernet([1, 0x80, 0xc2, 0, 0, 0], PEER_MAC, 38, &[0x42; 46]), Left, Left),
        ("noise", vec![0xa5; 15], Left, Left),
    ]
}

#[test]
fn what_is_for_the_host_is_left_to_it_and_nothing_else() {
    for (name, bytes, alone, shared) in cases() {
        for (host_shares_address, expected) in [(false, alone), (true, shared)] {
            let mut net = net(host_shares_address);
            net.send(&bytes);
            let answered = !net.settle().is_empty();
            let left = net.port.take_unclaimed();
            let fate = match (left.len(), answered) {
                (0, true) => Answered,
                (0, false) => Dropped,
                (1, false) => Left,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(fate, expected, "{name}, shared: {host_shares_address}");
            assert!(left.iter().all(|frame| *frame == bytes), "{name} is left as it came");
            net.end();
        }
    }
}

#[test]
fn every_place_of_a_batch_is_told_apart() {
    for host_shares_address in [false, true] {
        let mut net = net(host_shares_address);
        let mut left = Vec::new();
        // Longer than a batch, and not a multiple of its length.
        for (_, bytes, alone, shared) in cases().into_iter().cycle().take(75) {
            net.send(&bytes);
            let fate = if host_shares_address { shared } else { alone };
            if fate == Left {
                left.push(bytes);
            }
        }
        net.settle();
        assert_eq!(net.port.take_unclaimed(), left);
        net.end();
    }
}

#[test]
fn segments_of_a_connection_are_never_the_hosts() {
    let mut net = net(true);
    let mut conn = net.open(5_000, 1_460);
    net.request(&mut conn, "/a");
    net.settle();
    assert_eq!(net.port.take_unclaimed(), Vec::<Vec<u8>>::new());
    assert_eq!(net.stack.stats().rx_for_host, 0);
    net.end();
}

/// The answer to a question of ours is of use to both, since either may have asked.
#[test]
fn an_answer_to_a_shared_address_is_learned_and_left() {
    let mut net = net(true);
    net.stack.connect("10.66.0.1:99".parse().unwrap(), 1).unwrap();
    assert_eq!(net.settle().len(), 1, "who has it?");
    let reply = arp(2, PEER_MAC, PEER_IP, OUR_IP);
    net.send(&reply);
    let out = net.settle();
    assert_eq!((out.len(), &out[0][..6]), (1, &PEER_MAC[..]), "a SYN");
    assert_eq!(net.port.take_unclaimed(), [reply]);
    assert_eq!((net.stack.stats().rx_for_host, net.stack.stats().arp_replies), (1, 0));
    net.end();
}

#[test]
fn a_turn_log_does_not_change_what_is_left() {
    let mut port = VecPort::at_once(16);
    (1..=3).for_each(|fill| port.arrive(&[fill; 60]));
    let mut recorder = Recorder::new(port, String::new(), None, 1 << 20);
    recorder.receive(8, |_| [0, 2].into_iter().collect::<Unclaimed>());
    assert_eq!(recorder.finish().0.take_unclaimed(), [[1; 60], [3; 60]]);
}
