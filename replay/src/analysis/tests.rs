use super::*;
use crate::flow::Class;
use proptest::prelude::*;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::{TcpFlags, Timestamps};
use simoom_pcap::dissect::OtherKind;
use simoom_pcap::read::FrameInfo;
use simoom_pcap::writer::Direction as Way;
use std::net::SocketAddr;

const ACK: TcpFlags = TcpFlags::ACK;
const MS: u64 = 1_000_000;
const MSS: u32 = 1000;

#[derive(Clone, Copy, PartialEq)]
enum By {
    Client,
    Server,
}
use By::{Client, Server};

/// A capture of one connection, written by hand: times in microseconds from the start.
struct Tape {
    analysis: Analysis,
    told: Told,
    number: u64,
    windows: [u16; 2],
    sack: Vec<(u32, u32)>,
    stamps: Option<(u32, u32)>,
}

#[derive(Default)]
struct Told {
    turns: Vec<Turn>,
    counts: Vec<[SendCounts; 2]>,
    vantage: Vec<Vantage>,
}

impl Sink for Told {
    fn on_turn(&mut self, _: &Flow, turn: &Turn) {
        assert_eq!(turn.division.total(), turn.nanos, "the parts are the whole");
        assert!(turn.frames.0 <= turn.frames.1);
        self.turns.push(*turn);
    }

    fn on_connection(&mut self, connection: &Connection<'_>) {
        let [client, server] = &connection.directions;
        self.counts.push([client.counts, server.counts]);
        self.vantage.push(connection.handshake.vantage());
    }
}

impl Tape {
    fn new() -> Self {
        let analysis = Analysis::new(AnalysisOptions::default());
        let (told, sack, stamps) = (Told::default(), Vec::new(), None);
        Self { analysis, told, number: 0, windows: [60_000; 2], sack, stamps }
    }

    fn put(&mut self, at_us: u64, segment: Segment<'_>) {
        self.number += 1;
        let frame = FrameInfo {
            number: self.number,
            at_unix_nanos: 1_000_000_000 + at_us * 1000,
            wire_len: 66 + segment.payload_len,
            captured_len: 66,
            input: 0,
            interface: 0,
            direction: Way::Unknown,
        };
        self.analysis.on_item(&Item { frame, what: Dissected::Segment(segment) }, &mut self.told);
    }

    /// Offsets count from each side's first byte; `seq` -1 is a SYN.
    fn seg(&mut self, at_us: u64, by: By, flags: TcpFlags, seq: i64, ack: i64, len: u32) {
        let ends: [SocketAddr; 2] =
            ["10.0.0.1:40000", "10.0.0.2:80"].map(|end| end.parse().unwrap());
        let (src, dst) = if by == Client { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        let isns = if by == Client { (1000u32, 90_000u32) } else { (90_000, 1000) };
        let mut segment = Segment::new(src, dst);
        segment.flags = flags;
        segment.seq = SeqNumber(isns.0) + (seq + 1) as u32;
        segment.ack = SeqNumber(isns.1) + (ack + 1) as u32;
        segment.payload_len = len;
        segment.window = self.windows[by as usize];
        if flags.contains(TcpFlags::SYN) {
            segment.options.mss = Some(MSS as u16);
            segment.options.window_scale = Some(0);
        }
        for (left, right) in self.sack.drain(..) {
            segment.options.sack.push(SeqNumber(isns.1 + 1 + left), SeqNumber(isns.1 + 1 + right));
        }
        segment.options.timestamps = self.stamps.map(|(val, ecr)| Timestamps { val, ecr });
        self.put(at_us, segment);
    }

    /// At the server, 20 ms from the client; the handshake takes until 20 ms.
    fn at_the_server() -> Self {
        let mut tape = Self::new();
        tape.seg(0, Client, TcpFlags::SYN, -1, -1, 0);
        tape.seg(10, Server, TcpFlags(0x12), -1, 0, 0);
        tape.seg(20_010, Client, ACK, 0, 0, 0);
        tape
    }

    fn request(&mut self, at_us: u64, seq: i64, ack: i64) {
        self.seg(at_us, Client, ACK, seq, ack, 100);
    }

    fn data(&mut self, at_us: u64, seq: i64) {
        self.seg(at_us, Server, ACK, seq, 100, MSS);
    }

    fn ack(&mut self, at_us: u64, ack: i64) {
        self.seg(at_us, Client, ACK, 100, ack, 0);
    }

    fn sacked(&mut self, at_us: u64, ack: i64, left: u32, right: u32) {
        self.sack = vec![(left, right)];
        self.ack(at_us, ack);
    }

    fn end(mut self) -> (Told, Summary) {
        let summary = self.analysis.finish(&mut self.told);
        (self.told, summary)
    }

    /// The only turn, as kinds of wait and microseconds.
    fn waits(self) -> Vec<(Wait, u64)> {
        let (told, _) = self.end();
        assert_eq!(told.turns.len(), 1);
        told.turns[0].division.parts().map(|(wait, nanos)| (wait, nanos / 1000)).collect()
    }
}

#[test]
fn a_short_answer_is_handshake_asking_thought_and_an_acknowledgement() {
    let mut tape = Tape::at_the_server();
    tape.request(25_010, 0, 0);
    tape.data(30_010, 0);
    tape.ack(50_010, 1000);
    let wanted = [
        (Wait::Handshake, 20_010),
        (Wait::Think, 5_000),
        (Wait::Asking, 5_000),
        (Wait::LastAck, 20_000),
    ];
    assert_eq!(tape.waits(), wanted);
}

#[test]
fn a_second_turn_begins_with_its_request_and_the_time_between_is_idle() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.data(20_020, 0);
    // The next request carries the acknowledgement.
    tape.request(60_000, 100, 1000);
    tape.seg(61_000, Server, ACK, 1000, 200, 10);
    tape.seg(81_000, Client, ACK, 200, 1010, 0);
    let (told, summary) = tape.end();
    let turns: Vec<_> = told.turns.iter().map(|t| (t.number, t.nanos / 1000, t.end)).collect();
    assert_eq!(turns, [(1, 60_000, TurnEnd::Acked), (2, 21_000, TurnEnd::Acked)]);
    assert_eq!(summary.turns.bytes, [200, 1010]);
    assert_eq!(told.vantage, [Vantage::Server]);
    assert_eq!(summary.vantage(), Vantage::Server);
}

#[test]
fn a_lost_syn_costs_the_handshake() {
    let mut tape = Tape::new();
    tape.seg(0, Client, TcpFlags::SYN, -1, -1, 0);
    tape.seg(1_000_000, Client, TcpFlags::SYN, -1, -1, 0);
    tape.seg(1_000_010, Server, TcpFlags(0x12), -1, 0, 0);
    tape.seg(1_020_010, Client, ACK, 0, 0, 100);
    tape.data(1_020_020, 0);
    tape.ack(1_040_000, 1000);
    let waits = tape.waits();
    assert_eq!(waits[..2], [(Wait::Handshake, 20_010), (Wait::HandshakeLost, 1_000_000)]);
}

/// Ten segments at once, two acknowledged at a time, two more sent at each acknowledgement.
fn in_slow_start(tape: &mut Tape) {
    tape.request(20_010, 0, 0);
    for n in 0..10 {
        tape.data(20_020 + n, n as i64 * 1000);
    }
    for n in 0..5 {
        let at = 40_020 + n * 500;
        tape.ack(at, (n as i64 + 1) * 2000);
        for more in 0..3 {
            tape.data(at + 10 + more, 10_000 + (n as i64 * 3 + more as i64) * 1000);
        }
    }
}

#[test]
fn sending_at_acknowledgements_waits_for_the_congestion_window() {
    let mut tape = Tape::at_the_server();
    in_slow_start(&mut tape);
    tape.ack(62_000, 25_000);
    let waits = tape.waits();
    let of = |wait| waits.iter().find(|(it, _)| *it == wait).map_or(0, |(_, us)| *us);
    // The first of the three fills the room that the acknowledgement made, the others are more.
    assert_eq!(of(Wait::SlowStart) + of(Wait::Congestion), 20_001 + 4 * 498);
    assert_eq!(of(Wait::LastAck), 62_000 - 42_032);
    assert_eq!(of(Wait::Unclear) + of(Wait::Pause), 0);
}

#[test]
fn a_full_receive_window_is_the_clients() {
    let mut tape = Tape::at_the_server();
    tape.windows[0] = 4000;
    tape.request(20_010, 0, 0);
    for round in 0..3u64 {
        let at = 20_020 + round * 20_000;
        for n in 0..4 {
            tape.data(at + n, (round * 4 + n) as i64 * 1000);
        }
        tape.ack(at + 20_000 - 5, (round as i64 + 1) * 4000);
    }
    let waits = tape.waits();
    assert!(waits.contains(&(Wait::WindowFull, 2 * 19_997)), "{waits:?}");
}

/// What the window held back is not the distance's too.
#[test]
fn a_distance_behind_a_full_window_begins_where_that_opens() {
    let mut tape = Tape::at_the_server();
    tape.windows[0] = 2000;
    tape.request(20_010, 0, 0);
    tape.data(20_020, 0);
    tape.data(39_000, 1000);
    tape.ack(40_030, 1000);
    tape.data(43_100, 2000);
    tape.ack(63_100, 3000);
    let waits = tape.waits();
    let of = |wait| waits.iter().find(|(it, _)| *it == wait).map_or(0, |(_, us)| *us);
    assert_eq!(of(Wait::WindowFull), 1_030, "{waits:?}");
    assert_eq!(of(Wait::BackToBack), 3_070, "{waits:?}");
}

#[test]
fn a_closed_window_is_timed_and_its_probes_are_none_of_loss() {
    let mut tape = Tape::at_the_server();
    tape.windows[0] = 2000;
    tape.request(20_010, 0, 0);
    tape.data(20_020, 0);
    tape.data(20_021, 1000);
    tape.windows[0] = 0;
    tape.ack(40_000, 2000);
    tape.seg(300_000, Server, ACK, 1999, 100, 0);
    tape.ack(320_000, 2000);
    tape.windows[0] = 2000;
    tape.ack(500_000, 2000);
    tape.data(500_010, 2000);
    tape.ack(520_000, 3000);
    let (told, _) = tape.end();
    let division = told.turns[0].division;
    assert_eq!(division.of(Wait::WindowZero) / 1000, 500_010 - 20_021);
    let counts = told.counts[0][1];
    assert_eq!((counts.zero_windows, counts.zero_window_nanos), (1, 460 * MS));
    assert_eq!((counts.window_probes, counts.again()), (1, 0));
}

#[test]
fn a_tail_loss_is_named_with_its_cost() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.data(20_020, 0);
    tape.data(20_021, 1000);
    tape.ack(40_020, 1000);
    // The second is lost, and nothing comes behind it.
    tape.data(260_021, 1000);
    tape.ack(280_021, 2000);
    let (told, summary) = tape.end();
    assert_eq!(told.turns[0].division.of(Wait::RtoTail), 240 * MS);
    assert_eq!(told.turns[0].division.of(Wait::LastAck), 20 * MS);
    let worst = &summary.findings.worst()[0];
    assert_eq!((worst.wait, worst.nanos), (Wait::RtoTail, 240 * MS));
    assert_eq!(worst.cases[0].frames, (6, 8));
    assert_eq!((told.counts[0][1].rto, told.counts[0][1].rto_tail), (1, 1));
}

#[test]
fn a_probe_for_a_tail_loss_is_no_rto() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    (0..3).for_each(|n| tape.data(20_020 + n, n as i64 * 1000));
    // The last two are lost; the probe repeats the last, and SACK of it shows the other.
    tape.ack(40_020, 1000);
    tape.data(85_000, 2000);
    tape.sacked(105_000, 1000, 2000, 3000);
    tape.data(105_010, 1000);
    tape.ack(125_010, 3000);
    let (told, _) = tape.end();
    let division = told.turns[0].division;
    assert_eq!(division.of(Wait::TailProbe) / 1000, 85_000 - 20_022);
    assert_eq!(division.of(Wait::FastRecovery) / 1000, 105_010 - 85_000);
    let counts = told.counts[0][1];
    assert_eq!((counts.tail_probes, counts.fast, counts.rto), (1, 1, 0));
}

#[test]
fn three_duplicate_acknowledgements_are_a_fast_retransmission() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    (0..5).for_each(|n| tape.data(20_020 + n, n as i64 * 1000));
    tape.ack(40_020, 1000);
    (0..3).for_each(|n| tape.ack(40_021 + n, 1000));
    tape.data(40_030, 1000);
    tape.ack(60_030, 5000);
    let (told, _) = tape.end();
    assert_eq!(told.turns[0].division.of(Wait::FastRecovery) / 1000, 40_030 - 20_024);
    let counts = told.counts[0][1];
    assert_eq!((counts.fast, counts.duplicate_acks, counts.bytes_again), (1, 3, 1000));
}

#[test]
fn a_retransmission_that_was_lost_takes_an_rto() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    (0..5).for_each(|n| tape.data(20_020 + n, n as i64 * 1000));
    (0..4).for_each(|n| tape.ack(40_021 + n, 0));
    tape.data(40_030, 0);
    tape.data(300_000, 0);
    tape.ack(320_000, 5000);
    let (told, _) = tape.end();
    assert_eq!(told.turns[0].division.of(Wait::RtoAgain) / 1000, 300_000 - 40_030);
    assert_eq!((told.counts[0][1].rto, told.counts[0][1].rto_tail), (1, 0));
}

#[test]
fn a_needless_retransmission_is_told_by_dsack_and_by_timestamps() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.data(20_020, 0);
    tape.data(240_000, 0);
    tape.ack(241_000, 1000);
    tape.sacked(260_000, 1000, 0, 1000);
    assert_eq!(tape.end().0.counts[0][1].spurious, 1);

    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.stamps = Some((500, 1));
    tape.data(20_020, 0);
    tape.stamps = Some((720, 1));
    tape.data(240_000, 0);
    tape.stamps = Some((9, 500));
    tape.ack(241_000, 1000);
    assert_eq!(tape.end().0.counts[0][1].spurious, 1);
}

#[test]
fn even_distances_without_acknowledgements_are_pacing() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    (0..10u64).for_each(|n| tape.data(20_020 + n * 1000, n as i64 * 1000));
    tape.ack(49_020, 10_000);
    assert!(tape.waits().contains(&(Wait::Pacing, 9_000)));
}

#[test]
fn a_pause_of_the_application_is_its_own() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.seg(20_020, Server, ACK, 0, 100, 300);
    tape.ack(40_020, 300);
    tape.seg(140_000, Server, ACK, 300, 100, 700);
    tape.ack(160_000, 1000);
    assert!(tape.waits().contains(&(Wait::Pause, 119_980)));
}

#[test]
fn a_short_segment_that_waits_for_an_acknowledgement_is_nagles() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.seg(20_020, Server, ACK, 0, 100, 300);
    tape.ack(60_020, 300);
    tape.seg(60_040, Server, ACK, 300, 100, 200);
    tape.ack(80_000, 500);
    assert!(tape.waits().contains(&(Wait::Nagle, 40_020)));
}

#[test]
fn what_was_given_up_is_a_turn_without_an_answer() {
    let mut tape = Tape::at_the_server();
    tape.request(20_010, 0, 0);
    tape.seg(20_030, Server, ACK, 0, 100, 0);
    tape.seg(5_020_010, Client, TcpFlags(0x11), 100, 0, 0);
    let (told, summary) = tape.end();
    assert_eq!(told.turns[0].end, TurnEnd::Unanswered);
    assert_eq!(told.turns[0].division.of(Wait::Think), 5_000 * MS);
    assert_eq!(summary.turns.unanswered, 1);
}

/// Found by fuzzing: the turn ended before its first frame.
#[test]
fn a_request_behind_a_reset_is_a_turn_of_its_own_frames() {
    let mut tape = Tape::new();
    tape.seg(0, Server, TcpFlags::RST, 0, 0, 0);
    tape.request(1_000, 0, 0);
    let (told, _) = tape.end();
    assert_eq!((told.turns[0].frames, told.turns[0].end), ((2, 2), TurnEnd::Unfinished));
}

/// The same transfer as captured at the client: what the server waited for is the same.
#[test]
fn at_the_client_the_way_there_and_back_is_no_thought() {
    let mut tape = Tape::new();
    tape.seg(0, Client, TcpFlags::SYN, -1, -1, 0);
    tape.seg(20_000, Server, TcpFlags(0x12), -1, 0, 0);
    tape.seg(20_010, Client, ACK, 0, 0, 0);
    tape.request(20_020, 0, 0);
    // One millisecond of thought.
    for n in 0..10u64 {
        tape.data(41_020 + n * 10, n as i64 * 1000);
        if n % 2 == 1 {
            tape.ack(41_020 + n * 10, (n as i64 + 1) * 1000);
        }
    }
    for n in 0..10 {
        tape.data(61_030 + n * 10, 10_000 + n as i64 * 1000);
    }
    tape.ack(61_130, 20_000);
    let (told, _) = tape.end();
    assert_eq!(told.vantage, [Vantage::Client]);
    let division = told.turns[0].division;
    assert_eq!((division.of(Wait::Path), division.of(Wait::Think)), (20 * MS, MS));
    let window = division.of_cause(Cause::CongestionWindow);
    assert!(window > 19 * MS, "{:?}", division.parts().collect::<Vec<_>>());
    assert_eq!(division.of(Wait::Pause) + division.of(Wait::Unclear), 0);
}

#[test]
fn a_capture_that_begins_in_an_answer_has_a_partial_turn() {
    let mut tape = Tape::new();
    tape.data(10, 5000);
    tape.ack(20_000, 6000);
    tape.request(30_000, 100, 6000);
    tape.data(30_010, 6000);
    tape.ack(50_000, 7000);
    let (told, summary) = tape.end();
    assert!(told.turns[0].is_partial && !told.turns[1].is_partial);
    assert_eq!((summary.turns.partial, summary.turns.spread.count()), (1, 1));
    assert_eq!(summary.counts.class(Class::StartsInTheMiddle).connections, 1);
}

/// The bounds of `FlowOptions` are chosen by this: as many connections as are followed at once take
/// less than 150 MB beside their places in the table.
#[test]
fn an_analysed_connection_takes_a_bounded_memory() {
    let bytes = size_of::<Conn>();
    assert!(bytes <= 3_300, "{bytes}");
}

fn any_step() -> impl Strategy<Value = (u64, u8, u8, i64, i64, u32, u16, u8)> {
    let offset = prop_oneof![-3i64..6000, Just(-1i64), any::<u32>().prop_map(i64::from)];
    let flags =
        prop_oneof![Just(0x10u8), Just(0x10), Just(0x11), Just(0x02), Just(0x12), any::<u8>()];
    (0u64..400_000, 0u8..8, flags, offset.clone(), offset, 0u32..3000, any::<u16>(), any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// `Told` checks each turn.
    #[test]
    fn whatever_comes_the_parts_are_the_whole(steps in prop::collection::vec(any_step(), 1..150)) {
        let mut tape = Tape::new();
        let mut at = 0u64;
        for (later, kind, flags, seq, ack, len, window, sack) in steps {
            // The clock runs backwards at times.
            at = if kind == 7 { at.saturating_sub(later) } else { at + later };
            if kind == 6 {
                tape.number += 1;
                let frame = FrameInfo {
                    number: tape.number, at_unix_nanos: at, wire_len: 60, captured_len: 60,
                    input: 0, interface: 0, direction: Way::Unknown,
                };
                let what = Dissected::Other(OtherKind::Udp);
                tape.analysis.on_item(&Item { frame, what }, &mut tape.told);
                continue;
            }
            let by = if kind % 2 == 0 { Client } else { Server };
            tape.windows[by as usize] = if window < 20_000 { 0 } else { window };
            if sack < 60 {
                tape.sack = vec![(u32::from(sack) * 100, u32::from(sack) * 100 + len)];
            }
            tape.stamps = (sack % 3 > 0).then_some((at as u32 / 1000, len));
            tape.seg(at, by, TcpFlags(flags), seq, ack, len);
        }
        let number = tape.number;
        let (told, summary) = tape.end();
        prop_assert_eq!(summary.counts.frames, number);
        prop_assert_eq!(summary.counts.accounted(), number);
        let whole = told.turns.iter().filter(|turn| !turn.is_partial);
        let nanos: u64 = whole.map(|turn| turn.nanos).sum();
        prop_assert_eq!(summary.turns.sum.total(), nanos);
        let found: u64 = Wait::ALL.iter().map(|wait| summary.findings.of(*wait).nanos).sum();
        prop_assert_eq!(found, nanos);
    }
}
