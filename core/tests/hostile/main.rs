//! A whole stack against whatever a network can send: random frames, and the scripts of those who
//! mean it. After every turn [`peer::Net::check`] holds.

mod peer;
mod random;
mod unclaimed;

use peer::{
    ACK, Conn, FIN, Net, OUR_IP, OUR_MAC, PEER_IP, PEER_MAC, PSH, RST, SYN, Seg, arp, check_answer,
    config, ethernet, frame, frame_from, icmp, ipv4, read, tagged, tcp,
};
use simoom_core::content::{self, ReadAt};
use simoom_core::port::{Port, PortCaps};
use simoom_core::stack::{Config, WakeReason};
use simoom_core::tcp;
use simoom_core::time::Duration;
use simoom_port_conformance::vec_port::{self, VecPort};

fn net() -> Net {
    Net::new(config(), VecPort::at_once(256))
}

fn syn_from(src: [u8; 4], src_port: u16) -> Vec<u8> {
    frame_from(
        src,
        &Seg { src_port, dst_port: 80, seq: 5, flags: SYN, window: 999, ..Seg::default() },
    )
}

#[test]
fn who_asks_for_our_address_is_answered_and_noted() {
    let mut net = net();
    net.send(&arp(1, PEER_MAC, PEER_IP, OUR_IP));
    let mut expected = vec![0, 1, 8, 0, 6, 4, 0, 2];
    expected.extend([&OUR_MAC[..], &OUR_IP, &PEER_MAC, &PEER_IP].concat());
    let out = net.settle();
    assert_eq!(out.len(), 1);
    let reply = ethernet(PEER_MAC, OUR_MAC, 0x0806, &expected);
    assert_eq!(out[0][..reply.len()], reply[..]);
    // Noted: a connection to it goes out without a question.
    net.stack.connect("10.66.0.1:99".parse().unwrap(), 1).unwrap();
    let out = net.settle();
    assert_eq!(net.stack.stats().arp_requests, 0);
    let syn = read(&out[0]).expect("a SYN");
    assert_eq!((syn.flags, syn.dst_port, &out[0][..6]), (SYN, 99, &PEER_MAC[..]));
    net.end();
}

#[test]
fn who_speaks_of_others_is_neither_answered_nor_noted() {
    let mut net = net();
    net.send(&arp(1, PEER_MAC, PEER_IP, [10, 66, 0, 9]));
    net.send(&arp(1, PEER_MAC, [10, 67, 0, 1], OUR_IP));
    net.send(&arp(2, PEER_MAC, OUR_IP, OUR_IP));
    assert!(net.settle().is_empty());
    assert_eq!((net.stack.stats().rx_not_ours, net.stack.stats().rx_other), (2, 1));
    net.stack.connect("10.66.0.1:99".parse().unwrap(), 1).unwrap();
    net.settle();
    assert_eq!(net.stack.stats().arp_requests, 1, "it is not known");
    net.end();
}

#[test]
fn echo_is_answered_byte_for_byte() {
    let mut net = net();
    for len in [0, 1, 56, 57, 1_468] {
        let mut rest = vec![0x12, 0x34, 0, 9];
        rest.extend((0..len).map(|n| (n * 7) as u8));
        net.send(&icmp(8, 0, &rest));
        let out = net.settle();
        assert_eq!(out.len(), 1);
        let mut message = vec![0, 0, out[0][36], out[0][37]];
        message.extend(&rest);
        assert_eq!(out[0][..12], [PEER_MAC, OUR_MAC].concat()[..]);
        assert_eq!(out[0][26..34], [OUR_IP, PEER_IP].concat()[..]);
        assert_eq!(out[0][34..], message[..]);
        let sum: u32 = message
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        assert_eq!(((sum & 0xffff) + (sum >> 16)) % 0xffff, 0, "checksum, {len} bytes");
    }
    assert_eq!(net.stack.stats().echo_replies, 5);
    net.end();
}

#[test]
fn echo_requests_are_bounded_and_counted() {
    let mut net = net();
    for _ in 0..30 {
        net.send(&icmp(8, 0, &[7; 100]));
    }
    let replies = net.settle().len() as u64;
    assert!((1..30).contains(&replies));
    assert_eq!(net.stack.stats().replies_full, 30 - replies);
    net.end();
}

#[test]
fn a_segment_of_no_connection_is_answered_with_rst() {
    let mut net = net();
    let stray = Seg { src_port: 9, dst_port: 80, seq: 100, ack: 200, flags: ACK, ..Seg::default() };
    let cases = [
        (Seg { ..stray.clone() }, Some((RST, 200, 0))),
        (Seg { dst_port: 81, flags: SYN, ..stray.clone() }, Some((RST | ACK, 0, 101))),
        (Seg { flags: FIN, payload: vec![1; 10], ..stray.clone() }, Some((RST | ACK, 0, 111))),
        (Seg { flags: SYN | ACK, ..stray.clone() }, Some((RST, 200, 0))),
        (Seg { flags: RST, ..stray.clone() }, None),
        (Seg { flags: RST | ACK, ..stray.clone() }, None),
    ];
    let count = cases.len() as u64;
    for (seg, expected) in cases {
        net.send(&frame(&seg));
        let out = net.segments();
        let answer = out.first().map(|seg| (seg.flags, seg.seq, seg.ack));
        assert_eq!(answer, expected, "to {seg:?}");
        assert!(out.iter().all(|answer| (answer.src_port, answer.dst_port) == (seg.dst_port, 9)));
    }
    assert_eq!(net.stack.stats().rx_no_connection, count);
    assert_eq!(net.stack.connections(), 0);
    net.end();
}

#[test]
fn broadcast_and_multicast_open_nothing_and_are_not_answered() {
    let mut net = net();
    let syn = syn_from(PEER_IP, 9);
    let to = |mac: [u8; 6], frame: &[u8]| [&mac[..], &frame[6..]].concat();
    net.send(&to([0xff; 6], &syn));
    net.send(&to([1, 0, 0x5e, 0, 0, 1], &syn));
    net.send(&to([2, 0, 0, 0, 0, 9], &syn));
    for src in [[255; 4], [224, 0, 0, 1], [0; 4], OUR_IP] {
        net.send(&syn_from(src, 9));
    }
    for dst in [[255; 4], [10, 66, 0, 255], [10, 66, 0, 3], [224, 0, 0, 1]] {
        let seg = Seg { src_port: 9, dst_port: 80, flags: SYN, ..Seg::default() };
        let packet = ipv4(PEER_IP, dst, 6, 0, &tcp(PEER_IP, dst, &seg));
        net.send(&ethernet(OUR_MAC, PEER_MAC, 0x0800, &packet));
    }
    assert!(net.settle().is_empty());
    let stats = net.stack.stats();
    assert_eq!(stats.rx_not_ours + stats.rx_malformed, 11);
    assert_eq!(net.stack.connections(), 0);
    net.end();
}

#[test]
fn another_vlan_is_not_ours() {
    let mut net = net();
    for tag in [0, 1, 7, 4_095] {
        net.send(&tagged(&syn_from(PEER_IP, 9), tag));
        net.send(&tagged(&arp(1, PEER_MAC, PEER_IP, OUR_IP), tag));
        net.send(&tagged(&icmp(8, 0, &[0; 8]), tag));
    }
    assert!(net.settle().is_empty());
    assert_eq!(net.stack.stats().rx_not_ours, 12);

    let mut net = Net::new(
        Config { vlan: Some(7), tcp: tcp::Config { mss: 1_456, ..config().tcp }, ..config() },
        VecPort::at_once(64),
    );
    net.send(&syn_from(PEER_IP, 9));
    net.send(&tagged(&syn_from(PEER_IP, 9), 8));
    assert!(net.settle().is_empty());
    assert_eq!(net.stack.stats().rx_not_ours, 2);
    // With our tag and any priority.
    net.send(&tagged(&arp(1, PEER_MAC, PEER_IP, OUR_IP), 7 | 5 << 13));
    let out = net.settle();
    assert_eq!(out[0][12..18], [0x81, 0, 0, 7, 0x08, 0x06]);
    net.end();
}

#[test]
fn a_flood_of_syns_is_bounded_and_counted() {
    let mut net = net();
    for n in 0..100 {
        net.send(&syn_from([10, 66, 0, 10 + n], 9));
    }
    let answers = net.segments().iter().filter(|seg| seg.flags == SYN | ACK).count();
    assert_eq!(answers, 4);
    assert_eq!((net.stack.half_open(), net.stack.connections()), (4, 4));
    assert_eq!(net.stack.stats().syn_half_open_full, 96);
    net.outlive();
    assert_eq!(net.stack.half_open(), 0);
    assert_eq!(net.stack.stats().timed_out, 4);
    let mut conn = net.open(9, 1_460);
    net.fetch(&mut conn, "/page");
    net.end();
}

#[test]
fn a_full_table_refuses_until_time_wait_can_go() {
    let mut net = net();
    let mut conns: Vec<Conn> = (0..8).map(|n| net.open(1_000 + n, 1_460)).collect();
    assert!(net.syn(2_000, &[]).is_none());
    assert_eq!(net.stack.stats().syn_table_full, 1);
    // We close first: TIME-WAIT is ours.
    let conn = &mut conns[3];
    let payload = b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec();
    let request = Seg { payload, ..conn.seg(ACK) };
    conn.seq += request.payload.len() as u32;
    net.send(&frame(&request));
    net.drain(conn);
    check_answer(&conn.got, "/small");
    assert!(conn.fin);
    net.send(&frame(&conn.seg(FIN | ACK)));
    net.settle();
    assert_eq!((net.stack.connections(), net.stack.stats().closed), (8, 1));
    let mut conn = net.open(2_000, 1_460);
    assert_eq!((net.stack.connections(), net.stack.stats().time_wait_recycled), (8, 1));
    net.fetch(&mut conn, "/page");
    net.fetch(&mut conns[0], "/page");
    net.end();
}

#[test]
fn an_mss_between_two_classes_goes_the_copying_way_with_the_same_bytes() {
    for (mss, copied) in [(1_460, false), (1_459, false), (1_000, true), (300, true), (536, false)]
    {
        let mut net = net();
        let mut conn = net.open(1_000, mss);
        net.fetch(&mut conn, "/page");
        let stats = net.stack.stats();
        assert_eq!(stats.tx_prepared == 0, copied, "MSS {mss}: {stats:?}");
        assert_eq!(stats.copied_no_class > 0, copied);
        assert!(conn.lens.iter().all(|&len| len <= usize::from(mss)));
        net.end();
    }
}

#[test]
fn an_acknowledgement_inside_a_segment_costs_one_short_segment() {
    let mut net = net();
    let mut conn = net.open(1_000, 1_460);
    net.request(&mut conn, "/big");
    let first = net.segments();
    assert!(first.len() >= 4 && first.iter().all(|seg| seg.payload.len() == 1_460));
    let start = conn.ack;
    for seg in &first[..2] {
        conn.got.extend(&seg.payload);
    }
    // Two segments and 100 bytes of the third came; the rest was lost.
    conn.got.extend(&first[2].payload[..100]);
    conn.ack = start + 2 * 1_460 + 100;
    net.send(&frame(&conn.seg(ACK)));
    net.settle();
    net.pass(Duration::from_secs(3));
    net.drain(&mut conn);
    while conn.got.len() < 200_000 {
        net.pass(Duration::from_secs(1));
        net.drain(&mut conn);
    }
    check_answer(&conn.got, "/big");
    assert_eq!(conn.lens[0], 1_360, "back to where segments begin");
    let (_, whole) = conn.lens[1..].split_last().unwrap();
    assert!(whole.iter().all(|&len| len == 1_460), "{whole:?}");
    net.end();
}

#[test]
fn a_full_ring_and_an_empty_pool_hold_back_and_resume() {
    // Slots for half of the buffers; for more than there are; a device that holds on to both.
    for (port, is_ring_full) in
        [(VecPort::at_once(8), true), (with_slots(6, 64), false), (VecPort::late(24), true)]
    {
        let content = content::Config { reserve: 2, ..content::Config::default() };
        let mut net = Net::new(Config { content, ..config() }, port);
        let mut conn = net.open(1_000, 1_460);
        net.request(&mut conn, "/big");
        for _ in 0..4_000 {
            net.pass(Duration::from_millis(1));
            net.exchange(&mut conn);
        }
        check_answer(&conn.got, "/big");
        let stats = net.stack.stats();
        assert_eq!(stats.tx_ring_full > 0, is_ring_full, "{stats:?}");
        assert_eq!(stats.tx_no_buffer > 0, !is_ring_full, "{stats:?}");
    }
}

/// A port in memory with more slots than it has by itself.
fn with_slots(buffers: u32, tx_slots: u32) -> VecPort {
    let caps = PortCaps { tx_slots, ..*VecPort::at_once(buffers).caps() };
    VecPort::new(caps, vec_port::ReadAt::Doorbell, 3)
}

#[test]
fn late_content_is_waited_for_and_lost_content_resets() {
    let mut net = net();
    let mut conn = net.open(1_000, 1_460);
    net.bodies().answer = ReadAt::NotYet;
    net.request(&mut conn, "/page");
    assert_eq!(net.exchange(&mut conn), 0);
    assert!(net.stack.stats().content_not_yet > 0);
    assert_eq!(net.deadline.map(|deadline| deadline.why), Some(WakeReason::Content));
    net.bodies().answer = ReadAt::Done;
    net.pass(Duration::from_millis(1));
    net.drain(&mut conn);
    check_answer(&conn.got, "/page");

    net.request(&mut conn, "/big");
    net.exchange(&mut conn);
    assert!(!conn.reset);
    net.bodies().answer = ReadAt::Gone;
    net.exchange(&mut conn);
    assert!(conn.reset, "an answer that cannot be finished");
    assert_eq!((net.stack.connections(), net.stack.stats().aborted), (0, 1));
    net.bodies().answer = ReadAt::Done;
    let mut other = net.open(1_001, 1_460);
    net.fetch(&mut other, "/big");
    net.end();
}

#[test]
fn text_out_of_order_is_kept_within_the_bound_and_served() {
    let mut net = net();
    let mut conns: Vec<Conn> = (0..4).map(|n| net.open(1_000 + n, 1_460)).collect();
    let request = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
    for conn in &conns {
        let mut seg = Seg { payload: request[10..].to_vec(), ..conn.seg(ACK | PSH) };
        seg.seq += 10;
        net.send(&frame(&seg));
    }
    net.settle();
    assert_eq!(net.stack.receive_buffers_lent(), 2);
    assert_eq!(net.stack.stats().receive_pool_empty, 2);
    for conn in &mut conns {
        let seg = Seg { payload: request[..10].to_vec(), ..conn.seg(ACK) };
        net.send(&frame(&seg));
        net.settle();
        // Whatever was refused is sent again.
        let seg = Seg { payload: request.to_vec(), ..conn.seg(ACK) };
        conn.seq += request.len() as u32;
        conn.got.clear();
        net.send(&frame(&seg));
        net.pass(Duration::from_secs(1));
        net.drain(conn);
    }
    assert_eq!(net.stack.receive_buffers_lent(), 0);
    for conn in &mut conns {
        net.fetch(conn, "/page");
    }
    net.end();
}
