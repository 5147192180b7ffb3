use super::*;
use proptest::prelude::*;
use simoom_core::seq::SeqNumber;
use simoom_pcap::dissect::Segment;
use simoom_pcap::writer::Direction;
use std::net::SocketAddr;

const C: &str = "10.0.0.1:40000";
const S: &str = "10.0.0.2:8080";
const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags(0x11);
const RST: TcpFlags = TcpFlags::RST;
const SYN_ACK: TcpFlags = TcpFlags(0x12);

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Frames by the microsecond, into a table.
struct Feed {
    table: FlowTable,
    number: u64,
    at: u64,
    interface: u32,
    ip_id: u16,
    ended: Vec<(Ended, Flow)>,
}

impl Feed {
    fn new(options: FlowOptions) -> Self {
        let table = FlowTable::new(options);
        Self { table, number: 0, at: 1_000_000_000, interface: 0, ip_id: 0, ended: Vec::new() }
    }

    fn put(&mut self, segment: &Segment<'_>) -> Option<Placed> {
        self.number += 1;
        self.at += 1_000;
        let info = FrameInfo {
            number: self.number,
            at_unix_nanos: self.at,
            wire_len: 54 + segment.payload_len,
            captured_len: 54,
            input: 0,
            interface: self.interface,
            direction: Direction::Unknown,
        };
        let placed = self.table.on_segment(&info, segment);
        self.drain();
        placed
    }

    fn drain(&mut self) {
        while let Some(ended) = self.table.poll_ended() {
            self.ended.push((ended, self.table.flow(ended.slot).clone()));
        }
    }

    /// From, to, flags, sequence number, acknowledgement, bytes of text.
    fn seg(
        &mut self,
        (src, dst): (&str, &str),
        flags: TcpFlags,
        seq: u32,
        ack: u32,
        len: u32,
    ) -> Placed {
        let mut segment = Segment::new(end(src), end(dst));
        (segment.flags, segment.seq, segment.ack) = (flags, SeqNumber(seq), SeqNumber(ack));
        (segment.payload_len, segment.ip_id) = (len, self.ip_id);
        self.put(&segment).unwrap()
    }

    fn handshake(&mut self) {
        self.seg((C, S), SYN, 100, 0, 0);
        self.seg((S, C), SYN_ACK, 500, 101, 0);
        self.seg((C, S), ACK, 101, 501, 0);
    }

    fn close(&mut self, seq: u32, ack: u32) {
        self.seg((C, S), FIN, seq, ack, 0);
        self.seg((S, C), FIN, ack, seq + 1, 0);
        self.seg((C, S), ACK, seq + 1, ack + 1, 0);
    }

    fn finish(mut self) -> Vec<(Ended, Flow)> {
        self.table.finish();
        self.drain();
        let counts = self.table.counts();
        assert_eq!(counts.accounted(), counts.frames);
        assert_eq!(counts.frames, self.number);
        self.ended
    }

    fn only(self) -> (Ended, Flow) {
        let mut all = self.finish();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn feed() -> Feed {
    Feed::new(FlowOptions::default())
}

#[test]
fn a_connection_from_syn_to_fin_is_complete() {
    let mut feed = feed();
    feed.handshake();
    let request = feed.seg((C, S), ACK, 101, 501, 10);
    assert_eq!((request.from, request.seq, request.ack), (Side::Client, 0, Some(0)));
    let answer = feed.seg((S, C), ACK, 501, 111, 1000);
    assert_eq!((answer.from, answer.seq, answer.ack), (Side::Server, 0, Some(10)));
    feed.close(111, 1501);
    let (ended, flow) = feed.only();
    assert_eq!(ended.verdict.class, Class::Complete);
    assert_eq!(ended.verdict.reason.to_string(), "closed by both sides");
    assert_eq!((flow.server(), flow.found), (end(S), Found::Syn));
    assert_eq!(flow.text_bytes, [10, 1000]);
}

#[test]
fn each_class_has_its_capture() {
    type Make = fn(&mut Feed);
    let cases: [(Class, &str, Make); 15] = [
        (Class::SynOnly, "2 SYNs, no answer, open at the end of the capture", |f| {
            f.seg((C, S), SYN, 1, 0, 0);
            f.seg((C, S), SYN, 1, 0, 0);
        }),
        (Class::Refused, "RST answers SYN", |f| {
            f.seg((C, S), SYN, 1, 0, 0);
            f.seg((S, C), TcpFlags(0x14), 0, 2, 0);
        }),
        (Class::HandshakeUnfinished, "no ACK of the SYN-ACK, reset by the client", |f| {
            f.seg((C, S), SYN, 1, 0, 0);
            f.seg((S, C), SYN_ACK, 7, 2, 0);
            f.seg((C, S), RST, 2, 0, 0);
        }),
        (Class::OneDirectionOnly, "only frames of the server", |f| {
            f.seg((S, C), SYN_ACK, 7, 2, 0);
            f.seg((S, C), ACK, 8, 2, 100);
        }),
        (Class::OneDirectionOnly, "only frames of the client", |f| {
            f.seg((C, S), SYN, 1, 0, 0);
            f.seg((C, S), ACK, 2, 8, 0);
        }),
        (Class::StartsInTheMiddle, "no SYN of either side", |f| {
            f.seg((S, C), ACK, 8, 2, 100);
            f.seg((C, S), ACK, 2, 108, 0);
        }),
        (Class::HandshakeMissing, "no SYN-ACK of the server", |f| {
            f.seg((C, S), SYN, 1, 0, 0);
            f.seg((C, S), ACK, 2, 8, 10);
            f.seg((S, C), ACK, 8, 12, 10);
        }),
        (Class::HandshakeMissing, "no SYN of the client", |f| {
            f.seg((S, C), SYN_ACK, 7, 2, 0);
            f.seg((C, S), ACK, 2, 8, 0);
        }),
        (
            Class::GapInTheCapture,
            "200 bytes acknowledged and not captured, first the server's, by frame 5",
            |f| {
                f.handshake();
                f.seg((S, C), ACK, 501, 101, 100);
                f.seg((C, S), ACK, 101, 801, 0);
                f.close(101, 801);
            },
        ),
        (Class::EndsInTheMiddle, "open at the end of the capture", |f| f.handshake()),
        (Class::Complete, "reset by the server", |f| {
            f.handshake();
            f.seg((S, C), RST, 501, 0, 0);
        }),
        (Class::EndsInTheMiddle, "open at the end of the capture", |f| {
            f.handshake();
            // Another's RST, with numbers of no window.
            f.seg((S, C), RST, 400, 0, 0);
        }),
        (Class::Complete, "closed by both sides", |f| {
            // The answer was captured in front of the question.
            f.seg((S, C), SYN_ACK, 500, 101, 0);
            f.seg((C, S), SYN, 100, 0, 0);
            f.seg((C, S), ACK, 101, 501, 0);
            f.close(101, 501);
        }),
        (Class::Complete, "closed by both sides", |f| {
            // Text comes with the SYN, and SYN-ACK acknowledges it.
            f.seg((C, S), SYN, 100, 0, 50);
            f.seg((S, C), SYN_ACK, 500, 151, 0);
            f.close(151, 501);
        }),
        (Class::EndsInTheMiddle, "open at the end of the capture", |f| {
            // An RST that the connection outlived.
            f.handshake();
            f.seg((S, C), RST, 501, 0, 0);
            f.seg((S, C), ACK, 501, 101, 10);
        }),
    ];
    for (class, reason, make) in cases {
        let mut feed = feed();
        make(&mut feed);
        let (ended, flow) = feed.only();
        let Verdict { class: got, reason: why } = ended.verdict;
        assert_eq!((got, why.to_string().as_str()), (class, reason));
        assert_eq!(flow.server(), end(S), "{class}");
    }
}

#[test]
fn a_syn_with_other_numbers_begins_another_connection() {
    let mut feed = feed();
    feed.handshake();
    feed.close(101, 501);
    feed.seg((C, S), SYN, 9_000, 0, 0);
    // The same SYN once more is no third one.
    feed.seg((C, S), SYN, 9_000, 0, 0);
    feed.seg((S, C), SYN_ACK, 3_000, 9_001, 0);
    feed.seg((C, S), ACK, 9_001, 3_001, 0);
    feed.seg((C, S), SYN, 70_000, 0, 0);
    let classes: Vec<_> = feed.finish().iter().map(|(it, _)| (it.flow.0, it.ending)).collect();
    let wanted = [(0, Ending::Closed), (1, Ending::Replaced), (2, Ending::EndOfCapture)];
    assert_eq!(classes, wanted);
}

#[test]
fn a_late_frame_belongs_to_the_closed_connection_for_a_while() {
    let mut feed = feed();
    feed.handshake();
    feed.close(101, 501);
    feed.seg((S, C), FIN, 501, 102, 0);
    feed.at += 300_000_000_000;
    feed.seg((S, C), FIN, 501, 102, 0);
    let all = feed.finish();
    let frames: Vec<_> = all.iter().map(|(_, flow)| flow.frames_total()).collect();
    assert_eq!(frames, [7, 1]);
}

#[test]
fn the_server_is_found_without_a_handshake() {
    let case = |src: &str, dst: &str, known: bool| {
        let mut feed = feed();
        if known {
            feed.handshake();
        }
        feed.seg((src, dst), ACK, 1, 1, 10);
        let (_, flow) = feed.finish().pop().unwrap();
        (flow.server().to_string(), flow.found)
    };
    let well_known = case("10.0.0.9:50000", "10.0.0.8:443", false);
    assert_eq!(well_known, ("10.0.0.8:443".into(), Found::WellKnownPort));
    let known = case("10.0.0.2:8080", "10.0.0.8:7000", true);
    assert_eq!(known, ("10.0.0.2:8080".into(), Found::Known));
    let lower = case("10.0.0.2:8080", "10.0.0.8:7000", false);
    assert_eq!(lower, ("10.0.0.8:7000".into(), Found::LowerPort));
    let first = case("10.0.0.2:7000", "10.0.0.8:7000", false);
    assert_eq!(first, ("10.0.0.2:7000".into(), Found::FirstFrame));
}

#[test]
fn who_sends_more_turns_out_to_be_the_server() {
    let mut feed = feed();
    let (high, low) = ("10.0.0.9:50000", "10.0.0.8:7000");
    assert_eq!(feed.seg((high, low), ACK, 1, 1, 10).from, Side::Client);
    let mut turned = 0;
    for n in 0..70 {
        let placed = feed.seg((high, low), ACK, 11 + n * 1000, 1, 1000);
        turned += u32::from(placed.is_turned_round);
    }
    assert_eq!(turned, 1);
    let last = feed.seg((low, high), ACK, 1, 70_011, 0);
    assert_eq!((last.from, last.ack), (Side::Client, Some(70_010)));
    let (_, flow) = feed.only();
    assert_eq!((flow.server(), flow.found), (end(high), Found::MoreBytes));
    assert_eq!(flow.text_bytes, [0, 70_010]);
}

#[test]
fn the_server_that_was_asked_for_is_the_only_one() {
    let selection =
        Selection { server: Some("10.0.0.2:8080".parse().unwrap()), ..Selection::default() };
    let mut feed = Feed::new(FlowOptions { selection, ..FlowOptions::default() });
    feed.handshake();
    assert!(!feed.seg(("10.0.0.1:5", "10.0.0.3:8080"), SYN, 1, 0, 0).is_wanted);
    // Opened by the one that was asked for: it is the server all the same.
    assert!(feed.seg((S, "10.0.0.3:8080"), SYN, 1, 0, 0).is_wanted);
    let all = feed.finish();
    let wanted: Vec<_> = all.iter().map(|(it, _)| (it.verdict.class, it.is_wanted)).collect();
    let (ends, foreign) = (Class::EndsInTheMiddle, Class::NotToTheServer);
    assert_eq!(wanted[..2], [(ends, true), (foreign, false)]);
    assert_eq!((all[2].1.server(), all[2].1.found), (end(S), Found::Asked));
}

#[test]
fn filters_choose_clients_and_times() {
    let selection = Selection {
        clients: Some("10.0.0.0/31".parse().unwrap()),
        around_unix_nanos: Some(1_000_002_500),
        ..Selection::default()
    };
    let mut feed = Feed::new(FlowOptions { selection, ..FlowOptions::default() });
    feed.handshake();
    feed.seg(("10.0.0.7:5", S), SYN, 1, 0, 0);
    feed.seg(("10.0.0.1:6", S), SYN, 1, 0, 0);
    let wanted: Vec<_> = feed.finish().iter().map(|(it, _)| it.is_wanted).collect();
    assert_eq!(wanted, [true, false, false]);
}

#[test]
fn a_frame_captured_twice_counts_once() {
    let mut feed = feed();
    feed.handshake();
    let copies = |feed: &mut Feed, interface: u32, ip_id: u16| {
        (feed.interface, feed.ip_id) = (interface, ip_id);
        feed.seg((C, S), ACK, 101, 501, 0).is_copy
    };
    // The same acknowledgement again is none; over another interface it is.
    assert!(!copies(&mut feed, 0, 0));
    assert!(!copies(&mut feed, 0, 0));
    assert!(copies(&mut feed, 1, 0));
    // Nor over the same one, unless the host numbers its datagrams.
    assert!(!copies(&mut feed, 0, 7));
    assert!(!copies(&mut feed, 0, 8));
    assert!(copies(&mut feed, 0, 8));
    assert!(copies(&mut feed, 0, 7));
    feed.at += 20_000_000;
    assert!(!copies(&mut feed, 0, 8));
    let (_, flow) = feed.only();
    assert_eq!((flow.copies, flow.frames_total()), (3, 11));
}

#[test]
fn a_damaged_segment_changes_nothing() {
    let mut feed = feed();
    let mut stray = Segment::new(end(C), end(S));
    stray.checksum = ChecksumSeen::Bad;
    assert_eq!(feed.put(&stray), None);
    feed.handshake();
    let mut bad = Segment::new(end(C), end(S));
    (bad.flags, bad.seq, bad.checksum) = (RST, SeqNumber(101), ChecksumSeen::Bad);
    assert!(feed.put(&bad).unwrap().is_damaged);
    let (ended, flow) = feed.only();
    assert_eq!((ended.ending, flow.damaged), (Ending::EndOfCapture, 1));
}

#[test]
fn a_flood_of_syns_stays_within_its_bound_and_spares_who_is_open() {
    let options = FlowOptions { half_open_max: 1000, ..FlowOptions::default() };
    let mut table = FlowTable::new(options);
    let mut ended = 0;
    let mut put = |n: u64, segment: &Segment<'_>| {
        let info = FrameInfo {
            number: n,
            at_unix_nanos: n * 1000,
            wire_len: 60,
            captured_len: 60,
            input: 0,
            interface: 0,
            direction: Direction::Unknown,
        };
        table.on_segment(&info, segment);
        while table.poll_ended().is_some() {
            ended += 1;
        }
        assert!(table.slots() <= 1003);
    };
    let mut handshake = [SYN, SYN_ACK, ACK].map(|flags| {
        let ends = if flags == SYN_ACK { (S, C) } else { (C, S) };
        let mut segment = Segment::new(end(ends.0), end(ends.1));
        segment.flags = flags;
        segment
    });
    handshake[1].ack = SeqNumber(1);
    handshake[2].seq = SeqNumber(1);
    for (n, segment) in handshake.iter().enumerate() {
        put(n as u64, segment);
    }
    const FLOOD: u64 = 2_000_000;
    for n in 0..FLOOD {
        let ip = std::net::Ipv4Addr::from_bits((n as u32).wrapping_mul(2_654_435_761));
        let mut segment = Segment::new(SocketAddr::new(ip.into(), n as u16), end(S));
        (segment.flags, segment.seq) = (SYN, SeqNumber(n as u32));
        put(n + 3, &segment);
    }
    table.finish();
    while table.poll_ended().is_some() {}
    let counts = table.counts();
    assert_eq!(counts.accounted(), FLOOD + 3);
    let syn_only = counts.class(Class::SynOnly);
    assert_eq!((syn_only.connections, syn_only.evicted), (FLOOD, FLOOD - 1000));
    assert_eq!(counts.class(Class::EndsInTheMiddle).connections, 1);
    assert_eq!(counts.servers.len(), 1);
}

#[test]
fn the_silent_are_evicted_where_too_many_are_open() {
    let mut feed = Feed::new(FlowOptions { live_max: 3, ..FlowOptions::default() });
    let of = |n: u32| format!("10.0.1.{n}:40000");
    for n in 0..3 {
        feed.seg((&of(n), S), ACK, 1, 1, 0);
    }
    feed.seg((&of(0), S), ACK, 1, 1, 1);
    feed.seg((&of(3), S), ACK, 1, 1, 0);
    assert_eq!(feed.ended.len(), 1);
    assert_eq!(feed.ended[0].1.client(), end(&of(1)));
    assert_eq!(feed.ended[0].0.ending, Ending::Evicted);
    feed.finish();
}

/// The bounds of [`FlowOptions`] are chosen by this: 77,000 places in less than 70 MB.
#[test]
fn a_connection_takes_no_more_memory_than_the_bounds_reckon_with() {
    let bytes = size_of::<Option<Flow>>();
    assert!(bytes <= 880, "{bytes}");
}

fn any_segment() -> impl Strategy<Value = (bool, u8, u8, u32, u32, u32, u8)> {
    let number = prop_oneof![0u32..3000, any::<u32>()];
    (any::<bool>(), 0u8..4, any::<u8>(), number.clone(), number, 0u32..2000, 0u8..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_comes_every_frame_has_a_place(
        segments in prop::collection::vec(any_segment(), 1..200),
        live_max in 0usize..4,
        half_open_max in 0usize..4,
        closed_max in 0usize..4,
    ) {
        let options = FlowOptions {
            live_max, half_open_max, closed_max, closed_linger_nanos: 50_000, ..FlowOptions::default()
        };
        let mut feed = Feed::new(options);
        let mut given = 0;
        for (to_server, client, flags, seq, ack, len, extra) in segments {
            if extra == 0 {
                feed.table.on_other(OtherKind::Arp);
                feed.number += 1;
                continue;
            }
            let client = format!("10.0.0.{client}:40000");
            let ends = if to_server { (client.as_str(), S) } else { (S, client.as_str()) };
            let mut segment = Segment::new(end(ends.0), end(ends.1));
            (segment.seq, segment.ack) = (SeqNumber(seq), SeqNumber(ack));
            (segment.flags, segment.payload_len) = (TcpFlags(flags), len);
            if extra == 1 {
                segment.checksum = ChecksumSeen::Bad;
            }
            feed.interface = u32::from(extra & 1);
            given += u64::from(feed.put(&segment).is_some());
            let alive = live_max + half_open_max + closed_max;
            prop_assert!(feed.table.by_key.len() <= alive, "{} {alive}", feed.table.by_key.len());
            let lens: usize = feed.table.queues.iter().map(|queue| queue.len).sum();
            prop_assert_eq!(lens, feed.table.by_key.len());
        }
        let ended = feed.finish();
        let frames: u64 = ended.iter().map(|(_, flow)| flow.frames_total()).sum();
        prop_assert_eq!(frames, given);
        let mut ids: Vec<_> = ended.iter().map(|(it, _)| it.flow.0).collect();
        ids.sort_unstable();
        prop_assert!(ids.iter().copied().eq(0..ids.len() as u64), "each is told once");
    }
}
