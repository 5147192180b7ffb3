use super::*;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::checksum;
use simoom_core::wire::emit::{
    HeaderTemplate, TcpHeader, write_tcp_frame, write_tcp_frame_with_sack,
};
use simoom_core::wire::ethernet::MacAddr;
use simoom_core::wire::tcp::{SackBlocks, SynOptions, TcpFlags};
use std::net::Ipv4Addr;

const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 1000);
const B: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 80);
const A_TO_B: FlowName = FlowName { from: A, to: B };

/// One end of a connection that is watched.
#[derive(Clone, Copy)]
struct End {
    from: SocketAddrV4,
    to: SocketAddrV4,
    isn: u32,
    peer_isn: u32,
    /// The window field of what it sends.
    window: u16,
    /// The shift that it offers.
    scale: Option<u8>,
}

impl End {
    /// A frame. Numbers count from the SYN: 0 is the SYN, 1 the first byte.
    fn frame(
        &self,
        seq: u32,
        ack: u32,
        flags: TcpFlags,
        text: &[u8],
        sack: &[(u32, u32)],
    ) -> Vec<u8> {
        let header = TcpHeader {
            dst_mac: MacAddr([2, 0, 0, 0, 0, 2]),
            dst_ip: *self.to.ip(),
            src_port: self.from.port(),
            dst_port: self.to.port(),
            seq: SeqNumber(self.isn) + seq,
            ack: SeqNumber(self.peer_isn) + ack,
            flags,
            window: self.window,
            timestamps: None,
            syn: flags.contains(TcpFlags::SYN).then_some(SynOptions {
                mss: 1460,
                window_scale: self.scale,
                sack_permitted: true,
            }),
        };
        let template = HeaderTemplate::new(MacAddr([2, 0, 0, 0, 0, 1]), None, *self.from.ip(), 64);
        let mut out = vec![0; 128];
        let sum = checksum::sum(text);
        let mut blocks = SackBlocks::default();
        for (left, right) in sack {
            let base = SeqNumber(self.peer_isn);
            assert!(blocks.push(base + *left, base + *right));
        }
        let len = if sack.is_empty() {
            write_tcp_frame(&template, &mut out, &header, text.len(), sum, false)
        } else {
            write_tcp_frame_with_sack(&template, &mut out, &header, blocks, text.len(), sum, false)
        };
        out.truncate(len);
        out.extend_from_slice(text);
        out
    }

    fn data(&self, seq: u32, text: &[u8]) -> Vec<u8> {
        self.frame(seq, 1, TcpFlags::ACK, text, &[])
    }

    fn ack(&self, ack: u32) -> Vec<u8> {
        self.frame(1, ack, TcpFlags::ACK, &[], &[])
    }

    fn fin(&self, seq: u32, text: &[u8]) -> Vec<u8> {
        self.frame(seq, 1, TcpFlags::ACK | TcpFlags::FIN, text, &[])
    }
}

/// Oracles that have seen a handshake of two ends with windows of 1,000 and these shifts, whose
/// initial numbers are close to the wrap.
fn open_with(config: OracleConfig, scales: [Option<u8>; 2]) -> (Oracles, End, End) {
    let mut oracles = Oracles::new(config);
    let (isn, peer_isn) = (u32::MAX - 5, u32::MAX - 50);
    let a = End { from: A, to: B, isn, peer_isn, window: 1000, scale: scales[0] };
    let b = End { from: B, to: A, isn: peer_isn, peer_isn: isn, window: 1000, scale: scales[1] };
    let pass = |oracles: &mut Oracles, frame: &[u8]| {
        oracles.on_sent(frame).unwrap();
        oracles.on_arrived(frame);
    };
    pass(&mut oracles, &a.frame(0, 0, TcpFlags::SYN, &[], &[]));
    pass(&mut oracles, &b.frame(0, 1, TcpFlags::SYN | TcpFlags::ACK, &[], &[]));
    pass(&mut oracles, &a.frame(1, 1, TcpFlags::ACK, &[], &[]));
    (oracles, a, b)
}

fn open() -> (Oracles, End, End) {
    open_with(OracleConfig::default(), [None, None])
}

fn pass(oracles: &mut Oracles, frame: &[u8]) {
    oracles.on_sent(frame).unwrap();
    oracles.on_arrived(frame);
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 256) as u8).collect()
}

#[test]
fn a_bad_checksum_and_a_bad_length_are_malformed() {
    let (mut oracles, a, _) = open();
    let good = a.data(1, b"hello");
    for at in [18, 24, 40, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(matches!(oracles.on_sent(&bad), Err(WireViolation::Malformed(_))), "byte {at}");
    }
    assert!(matches!(oracles.on_sent(&good[..20]), Err(WireViolation::Malformed(_))));
    assert_eq!(oracles.on_sent(&good), Ok(()));
}

#[test]
fn a_byte_that_changes_on_retransmission_is_found_and_named() {
    let (mut oracles, a, _) = open();
    oracles.on_sent(&a.data(1, b"hello world")).unwrap();
    oracles.on_sent(&a.data(4, b"lo wo")).unwrap();
    // Another cut, overlapping, with what is new behind it.
    oracles.on_sent(&a.data(7, b"world and all")).unwrap();
    let changed = oracles.on_sent(&a.data(7, b"worLd"));
    let expected = WireViolation::ByteChanged { flow: A_TO_B, offset: 9, was: b'l', is: b'L' };
    assert_eq!(changed, Err(expected));
    assert_eq!(oracles.stats().compared_bytes, 5 + 5 + 5);
}

#[test]
fn the_newest_bytes_are_compared_and_older_ones_are_counted() {
    let config = OracleConfig { bytes_kept: 64, ..OracleConfig::default() };
    let (mut oracles, a, _) = open_with(config, [None, None]);
    let all = text(200);
    for at in (0..200).step_by(20) {
        oracles.on_sent(&a.data(1 + at as u32, &all[at..at + 20])).unwrap();
    }
    // Bytes 136 to 199 are kept.
    oracles.on_sent(&a.data(121, &all[120..160])).unwrap();
    assert_eq!(oracles.stats().forgotten_bytes, 16);
    assert_eq!(oracles.stats().compared_bytes, 24);
    for (at, right) in (0..).zip(&all).skip(136) {
        let wrong = [!right];
        let changed = oracles.on_sent(&a.data(1 + at as u32, &wrong));
        assert!(
            matches!(changed, Err(WireViolation::ByteChanged { offset, .. }) if offset == at as u64)
        );
    }
    assert_eq!(oracles.on_sent(&a.data(136, &[!all[135]])), Ok(()), "no longer kept");
}

#[test]
fn a_segment_longer_than_what_is_kept_leaves_its_end() {
    let config = OracleConfig { bytes_kept: 64, ..OracleConfig::default() };
    let (mut oracles, a, _) = open_with(config, [None, None]);
    let all = text(150);
    oracles.on_sent(&a.data(1, &all)).unwrap();
    oracles.on_sent(&a.data(1, &all)).unwrap();
    assert_eq!(oracles.stats().compared_bytes, 64);
    let mut wrong = all.clone();
    wrong[149] ^= 1;
    assert!(oracles.on_sent(&a.data(1, &wrong)).is_err());
}

#[test]
fn skipped_bytes_are_found() {
    let (mut oracles, a, _) = open();
    oracles.on_sent(&a.data(1, b"12345")).unwrap();
    let skipped = oracles.on_sent(&a.data(7, b"7"));
    assert_eq!(
        skipped,
        Err(WireViolation::SequenceSkipped { flow: A_TO_B, expected: 5, found: 6 })
    );
}

#[test]
fn the_end_of_a_stream_stays_where_it_was() {
    let (mut oracles, a, _) = open();
    oracles.on_sent(&a.fin(1, b"12345")).unwrap();
    oracles.on_sent(&a.fin(6, b"")).unwrap();
    oracles.on_sent(&a.data(3, b"345")).unwrap();
    let moved = |oracles: &mut Oracles, frame: &[u8]| {
        assert!(matches!(oracles.on_sent(frame), Err(WireViolation::EndMoved { was: 5, .. })));
    };
    moved(&mut oracles, &a.fin(3, b"34"));
    moved(&mut oracles, &a.data(6, b"6"));
    let (mut oracles, a, _) = open();
    oracles.on_sent(&a.data(1, b"12345")).unwrap();
    moved(&mut oracles, &a.fin(1, b"123"));
}

#[test]
fn nothing_is_sent_beyond_the_window_but_one_byte_to_probe() {
    let (mut oracles, a, b) = open();
    oracles.on_sent(&a.data(1, &text(1000))).unwrap();
    oracles.on_sent(&a.data(1001, b"p")).unwrap();
    let beyond = oracles.on_sent(&a.data(1001, b"pq"));
    let expected = WireViolation::BeyondWindow { flow: A_TO_B, allowed: 1000, sent: 1002 };
    assert_eq!(beyond, Err(expected));
    // A window that has not reached the sender allows nothing; one that has does.
    oracles.on_arrived(&a.data(1, &text(1000)));
    oracles.on_sent(&b.ack(1001)).unwrap();
    assert_eq!(oracles.on_sent(&a.data(1001, b"pq")), Err(expected));
    oracles.on_arrived(&b.ack(1001));
    assert_eq!(oracles.on_sent(&a.data(1001, b"pq")), Ok(()));
    // FIN is no text.
    let (mut oracles, a, _) = open();
    oracles.on_sent(&a.fin(1, &text(1000))).unwrap();
}

#[test]
fn windows_are_scaled_where_both_ends_offered_to_and_not_in_a_syn() {
    let (mut oracles, a, b) = open_with(OracleConfig::default(), [Some(3), Some(2)]);
    // The SYN's window counts as it is: 1,000.
    assert!(oracles.on_sent(&a.data(1, &text(1002))).is_err());
    pass(&mut oracles, &b.ack(1));
    oracles.on_sent(&a.data(1, &text(1002))).unwrap();
    oracles.on_sent(&a.data(1003, &text(1460))).unwrap();
    oracles.on_sent(&a.data(2463, &text(1460))).unwrap();
    assert!(oracles.on_sent(&a.data(3923, &text(79))).is_err());
    oracles.on_sent(&a.data(3923, &text(78))).unwrap();
    let (mut oracles, a, b) = open_with(OracleConfig::default(), [None, Some(2)]);
    pass(&mut oracles, &b.ack(1));
    assert!(oracles.on_sent(&a.data(1, &text(1002))).is_err());
}

#[test]
fn what_has_not_come_is_not_acknowledged() {
    let (mut oracles, a, b) = open();
    let first = a.data(1, b"12345");
    oracles.on_sent(&first).unwrap();
    let early = oracles.on_sent(&b.ack(6));
    assert!(matches!(early, Err(WireViolation::AckOfNothing { came: 1, acknowledged: 6, .. })));
    oracles.on_arrived(&first);
    assert_eq!(oracles.on_sent(&b.ack(6)), Ok(()));
    // Below the SYN.
    assert!(oracles.on_sent(&b.ack(u32::MAX)).is_err());
}

#[test]
fn what_came_out_of_order_is_acknowledged_when_the_gap_is_closed() {
    let (mut oracles, a, b) = open();
    let all = text(60);
    let parts: Vec<_> = (0..6).map(|n| a.data(1 + n * 10, &all[n as usize * 10..][..10])).collect();
    parts.iter().for_each(|part| oracles.on_sent(part).unwrap());
    let sack = |left, right| b.frame(1, 1, TcpFlags::ACK, &[], &[(left, right)]);
    for n in [4, 1, 2] {
        assert!(oracles.on_sent(&sack(1 + n * 10, 11 + n * 10)).is_err(), "part {n} has not come");
        oracles.on_arrived(&parts[n as usize]);
        assert_eq!(oracles.on_sent(&sack(1 + n * 10, 11 + n * 10)), Ok(()));
    }
    assert_eq!(oracles.on_sent(&sack(11, 31)), Ok(()), "two islands that touch are one");
    assert!(oracles.on_sent(&sack(11, 51)).is_err());
    assert!(oracles.on_sent(&b.ack(11)).is_err());
    oracles.on_arrived(&parts[0]);
    assert_eq!(oracles.on_sent(&b.ack(31)), Ok(()));
    assert!(oracles.on_sent(&b.ack(32)).is_err());
    oracles.on_arrived(&parts[5]);
    oracles.on_arrived(&parts[3]);
    assert_eq!(oracles.on_sent(&b.ack(61)), Ok(()));
    // What came twice may be reported so. RFC 2883.
    assert_eq!(oracles.on_sent(&b.frame(1, 61, TcpFlags::ACK, &[], &[(11, 21)])), Ok(()));
}

#[test]
fn a_fin_counts_as_one_number() {
    let (mut oracles, a, b) = open();
    let fin = a.fin(1, b"12345");
    pass(&mut oracles, &fin);
    assert_eq!(oracles.on_sent(&b.ack(7)), Ok(()));
    assert!(oracles.on_sent(&b.ack(8)).is_err());
}

#[test]
fn a_name_may_be_used_again_and_late_segments_of_the_old_connection_harm_nothing() {
    let (mut oracles, a, b) = open();
    pass(&mut oracles, &a.data(1, b"old bytes"));
    let late = a.data(1, b"old bytes");
    let (a2, b2) = (
        End { isn: 1_000_000, peer_isn: 2_000_000, ..a },
        End { isn: 2_000_000, peer_isn: 1_000_000, ..b },
    );
    pass(&mut oracles, &a2.frame(0, 0, TcpFlags::SYN, &[], &[]));
    // The other end is still in the old connection and says so. RFC 5961 §4.
    assert_eq!(oracles.on_sent(&b.ack(10)), Ok(()));
    pass(&mut oracles, &b2.frame(0, 1, TcpFlags::SYN | TcpFlags::ACK, &[], &[]));
    oracles.on_arrived(&late);
    pass(&mut oracles, &a2.data(1, b"new bytes"));
    assert_eq!(oracles.on_sent(&b2.ack(10)), Ok(()));
    assert!(oracles.on_sent(&b2.ack(11)).is_err());
    assert!(oracles.on_sent(&a2.data(1, b"old bytes")).is_err());
}

#[test]
fn the_oldest_connections_are_forgotten_beyond_the_bound() {
    let config = OracleConfig { flows_max: 2, ..OracleConfig::default() };
    let mut oracles = Oracles::new(config);
    let end = |port| End {
        from: SocketAddrV4::new(*A.ip(), port),
        to: B,
        isn: 7,
        peer_isn: 0,
        window: 1000,
        scale: None,
    };
    for port in [1, 2, 3] {
        oracles.on_sent(&end(port).frame(0, 0, TcpFlags::SYN, &[], &[])).unwrap();
        oracles.on_sent(&end(port).frame(1, 0, TcpFlags::NONE, b"x", &[])).unwrap();
    }
    let changed = |oracles: &mut Oracles, port| {
        oracles.on_sent(&end(port).frame(1, 0, TcpFlags::NONE, b"y", &[])).is_err()
    };
    assert!(changed(&mut oracles, 2) && changed(&mut oracles, 3));
    assert!(!changed(&mut oracles, 1), "forgotten");
}

/// What a switch passes on is no news: it has neither been sent again nor come.
#[test]
fn a_forwarded_frame_changes_nothing() {
    let (mut oracles, a, b) = open();
    let hello = a.data(1, b"hello");
    oracles.on_sent(&hello).unwrap();
    oracles.on_sent_unjudged(&hello);
    assert_eq!(oracles.stats().compared_bytes, 0);
    let early = oracles.on_sent(&b.ack(6));
    assert!(matches!(early, Err(WireViolation::AckOfNothing { came: 1, acknowledged: 6, .. })));
    oracles.on_arrived(&hello);
    oracles.on_sent_unjudged(&hello);
    assert_eq!(oracles.on_sent(&b.ack(6)), Ok(()));
    let beyond = oracles.on_sent(&b.ack(7));
    assert!(matches!(beyond, Err(WireViolation::AckOfNothing { .. })), "still checked");
}

/// Text, acknowledgements and SYNs forged in an end's name: whoever believes them is not to blame, and what the
/// true end sends is still compared.
#[test]
fn whoever_believes_a_lie_is_not_blamed() {
    let (mut oracles, a, b) = open();
    oracles.on_sent(&a.data(1, b"hello")).unwrap();
    let lie = |oracles: &mut Oracles, frame: &[u8]| {
        oracles.on_sent_unjudged(frame);
        oracles.on_arrived(frame);
    };
    lie(&mut oracles, &a.data(6, b"forged"));
    assert_eq!(oracles.on_sent(&b.ack(12)), Ok(()), "it came, and nobody knows from whom");
    for isn in [77, 1 << 20, 1 << 31] {
        let liar = End { isn, ..a };
        lie(&mut oracles, &liar.frame(0, 0, TcpFlags::SYN, &[], &[]));
        lie(&mut oracles, &liar.data(1, b"of another"));
        assert_eq!(oracles.on_sent(&b.ack(12)), Ok(()));
    }
    // The other direction is honest: its windows and acknowledgements are held to as ever.
    assert_eq!(oracles.on_sent(&b.data(1, b"answer")), Ok(()));
    let changed = oracles.on_sent(&b.data(1, b"Answer"));
    assert!(matches!(changed, Err(WireViolation::ByteChanged { offset: 0, .. })), "{changed:?}");
    let beyond = oracles.on_sent(&b.data(7, &text(1000)));
    assert!(matches!(beyond, Err(WireViolation::BeyondWindow { .. })), "{beyond:?}");
    let early = oracles.on_sent(&a.ack(7));
    assert!(matches!(early, Err(WireViolation::AckOfNothing { .. })), "{early:?}");
    let changed = oracles.on_sent(&a.data(1, b"hallo"));
    assert!(matches!(changed, Err(WireViolation::ByteChanged { offset: 1, .. })), "{changed:?}");
}

/// A liar with a connection of its own: what the honest end sends is held to the windows that reached it.
#[test]
fn the_window_of_a_liar_counts() {
    let mut oracles = Oracles::new(OracleConfig::default());
    let a = End { from: A, to: B, isn: 5, peer_isn: 9, window: 100, scale: Some(2) };
    let b = End { from: B, to: A, isn: 9, peer_isn: 5, window: 1000, scale: Some(0) };
    let lie = |oracles: &mut Oracles, frame: &[u8]| {
        oracles.on_sent_unjudged(frame);
        oracles.on_arrived(frame);
    };
    lie(&mut oracles, &a.frame(0, 0, TcpFlags::SYN, &[], &[]));
    pass(&mut oracles, &b.frame(0, 1, TcpFlags::SYN | TcpFlags::ACK, &[], &[]));
    lie(&mut oracles, &a.ack(1));
    assert_eq!(oracles.on_sent(&b.data(1, &text(400))), Ok(()));
    let beyond = oracles.on_sent(&b.data(401, &text(2)));
    assert!(matches!(beyond, Err(WireViolation::BeyondWindow { allowed: 400, .. })), "{beyond:?}");
    // An acknowledgement of what was not sent yet opens nothing.
    lie(&mut oracles, &a.ack(5000));
    assert!(oracles.on_sent(&b.data(401, &text(2))).is_err());
    // One of what was sent and has not come does: the end that is lied to cannot know.
    lie(&mut oracles, &a.ack(401));
    assert_eq!(oracles.on_sent(&b.data(401, &text(400))), Ok(()));
}
