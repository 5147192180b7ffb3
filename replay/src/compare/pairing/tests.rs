//! Each class, from the fewest segments that show it.

use super::*;
use crate::compare::sent::Sent;
use crate::tape::FlowRef;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::{SackBlocks, TcpOptions};
use simoom_pcap::dissect::{ChecksumSeen, Ecn};

const MS: u64 = 1_000_000;
const STATE: OurState = OurState {
    state: State::Established,
    cwnd: 10_000,
    ssthresh: u32::MAX,
    flight: 0,
    window: 50_000,
    srtt_micros: 0,
    rto_micros: 200_000,
    mss: 1_000,
    in_recovery: false,
};

/// A connection whose handshake is over: both sent the same SYN-ACK.
struct Scene(Pairing);

impl Scene {
    fn new(rules: Rules) -> Self {
        let mut scene = Self(Pairing::new(rules, Inferred::new(SeqNumber(0), 0)));
        let flags = TcpFlags::SYN | TcpFlags::ACK;
        scene.theirs(0, |seg| (seg.seq, seg.flags) = (SeqNumber(0), flags));
        scene.ours(0, |sent| (sent.kind, sent.flags) = (Kind::Syn, flags));
        scene.client(1, 0, |_| ());
        scene
    }

    /// The captured server sends 1,000 octets from offset 0, unless `change` says otherwise.
    fn theirs(&mut self, at: u64, change: impl FnOnce(&mut TapeSegment<'_>)) {
        let mut seg = segment(at, false);
        seg.len = 1_000;
        change(&mut seg);
        if seg.flags.contains(TcpFlags::SYN) {
            seg.len = 0;
        }
        let sent = Sent {
            from: self.0.inferred.offset_of(&seg),
            len: seg.len,
            flags: seg.flags,
            frame: 1,
            ecn: seg.ecn,
            window: u32::from(seg.window),
            options: Sent::options(&seg.options),
            ..sent(at)
        };
        self.0.on_theirs(&seg, sent, &STATE);
    }

    fn ours(&mut self, at: u64, change: impl FnOnce(&mut Sent)) {
        let mut sent = Sent { len: 1_000, kind: Kind::Text, ..sent(at) };
        change(&mut sent);
        if matches!(sent.kind, Kind::Syn | Kind::Fin | Kind::Reset | Kind::Ack) {
            sent.len = 0;
        }
        self.0.on_ours(sent, &STATE);
    }

    fn both(&mut self, at: u64, from: u32) {
        self.theirs(at, |seg| seg.seq = SeqNumber(from + 1));
        self.ours(at, |sent| sent.from = u64::from(from));
    }

    /// The client acknowledges everything before this offset.
    fn client(&mut self, at: u64, acked: u32, change: impl FnOnce(&mut TapeSegment<'_>)) {
        let mut seg = segment(at, true);
        seg.ack = SeqNumber(acked + 1);
        change(&mut seg);
        self.0.on_client(&seg, &STATE);
    }

    #[track_caller]
    fn finds(mut self, class: Class) {
        self.0.finish(100_000 * MS, &STATE);
        let found: Vec<_> =
            Class::ALL.into_iter().filter(|class| self.0.counts()[*class as usize] > 0).collect();
        assert_eq!(found, [class]);
        let first = self.0.first().unwrap().class;
        assert_eq!(self.0.parting().map_or(first, |parting| parting.class), class);
    }
}

fn segment(at_ms: u64, to_server: bool) -> TapeSegment<'static> {
    TapeSegment {
        flow: FlowRef { slot: 0, serial: 0 },
        at_unix_nanos: at_ms * MS,
        frame: 1,
        to_server,
        seq: SeqNumber(1),
        ack: SeqNumber(1),
        flags: TcpFlags::ACK,
        window: 50_000,
        options: TcpOptions::default(),
        len: 0,
        text: &[],
        ecn: Ecn::NotEct,
        checksum: ChecksumSeen::Good,
        rewrites: false,
    }
}

fn sent(at_ms: u64) -> Sent {
    Sent {
        at: at_ms * MS,
        frame: 0,
        from: 0,
        len: 0,
        window: 50_000,
        acked: 0,
        echo: 0,
        options: 0,
        flags: TcpFlags::ACK,
        ecn: Ecn::NotEct,
        kind: Kind::Ack,
    }
}

#[test]
fn the_same_from_both_is_no_difference_whoever_is_first() {
    let mut scene = Scene::new(Rules::OWN);
    for n in 0..20 {
        if n % 2 == 0 {
            scene.both(10 + u64::from(n), n * 1_000);
        } else {
            scene.ours(10 + u64::from(n), |sent| sent.from = u64::from(n) * 1_000);
            scene.theirs(10 + u64::from(n), |seg| seg.seq = SeqNumber(n * 1_000 + 1));
        }
    }
    scene.0.finish(100_000 * MS, &STATE);
    assert_eq!((scene.0.first(), scene.0.compared()), (None, 21));
}

#[test]
fn a_segment_farther_away_than_the_tolerance_is_a_matter_of_timing() {
    let mut scene = Scene::new(Rules::OTHER);
    scene.theirs(10, |_| ());
    scene.0.note_limit(Limit::Application);
    scene.ours(13, |_| ());
    scene.finds(Class::Timing);
}

#[test]
fn text_that_ours_held_back_is_named_after_what_held_it() {
    for (limit, class) in
        [(Limit::Congestion, Class::CongestionWindow), (Limit::Client, Class::ClientWindow)]
    {
        let mut scene = Scene::new(Rules::OTHER);
        scene.theirs(10, |_| ());
        scene.0.note_limit(limit);
        scene.ours(60, |_| ());
        scene.finds(class);
    }
}

#[test]
fn text_that_the_captured_server_held_back_until_an_ack_came_waited_for_its_window() {
    let mut scene = Scene::new(Rules::OTHER);
    scene.both(10, 0);
    scene.ours(10, |sent| sent.from = 1_000);
    scene.client(60, 1_000, |_| ());
    scene.theirs(60, |seg| seg.seq = SeqNumber(1_001));
    scene.finds(Class::CongestionWindow);
}

#[test]
fn other_pieces_are_segmentation() {
    let mut scene = Scene::new(Rules::OTHER);
    scene.theirs(10, |seg| seg.len = 600);
    scene.ours(10, |_| ());
    scene.finds(Class::Segmentation);
}

#[test]
fn headers_are_compared_where_the_text_is_the_same() {
    type Change = fn(&mut TapeSegment<'_>);
    let cases: [(Rules, Change, Class); 5] = [
        (Rules::OTHER, |seg| seg.ecn = Ecn::Ect0, Class::Ecn),
        (Rules::OTHER, |seg| seg.flags = seg.flags | TcpFlags::CWR, Class::Ecn),
        (Rules::OWN, |seg| seg.flags = seg.flags | TcpFlags::PSH, Class::Push),
        (Rules::OWN, |seg| seg.window = 49_999, Class::AnnouncedWindow),
        (Rules::OTHER, |seg| seg.options.timestamps = Some(Default::default()), Class::Options),
    ];
    for (rules, change, class) in cases {
        let mut scene = Scene::new(rules);
        scene.theirs(10, change);
        scene.ours(10, |_| ());
        scene.finds(class);
    }
    // What is no matter with the others.
    let mut scene = Scene::new(Rules::OTHER);
    scene.theirs(10, |seg| {
        (seg.flags, seg.window) = (seg.flags | TcpFlags::PSH, 1_000);
    });
    scene.ours(10, |_| ());
    scene.0.finish(100_000 * MS, &STATE);
    assert_eq!(scene.0.first(), None);
}

#[test]
fn what_one_sends_again_alone_is_named_after_its_reason() {
    type Act = fn(&mut Scene);
    // Three duplicate ACKs; silence; silence with more behind it; a closed window.
    let cases: [(Act, Class); 4] = [
        (
            |scene| {
                (0..3).for_each(|_| scene.client(60, 0, |_| ()));
                scene.theirs(60, |_| ());
            },
            Class::FastRetransmit,
        ),
        (|scene| scene.theirs(400, |_| ()), Class::Timeout),
        (|scene| scene.theirs(400, |seg| seg.seq = SeqNumber(1_001)), Class::TailProbe),
        (
            |scene| {
                scene.client(60, 2_000, |seg| seg.window = 0);
                scene.theirs(400, |seg| (seg.seq, seg.len) = (SeqNumber(2_001), 1));
            },
            Class::WindowProbe,
        ),
    ];
    for (act, class) in cases {
        let mut scene = Scene::new(Rules::OTHER);
        scene.both(10, 0);
        scene.both(10, 1_000);
        act(&mut scene);
        scene.finds(class);
    }
    let mut scene = Scene::new(Rules::OTHER);
    scene.both(10, 0);
    scene.ours(400, |sent| sent.kind = Kind::Again(Again::Partial));
    scene.finds(Class::PartialAck);
}

#[test]
fn what_had_arrived_was_sent_again_in_vain() {
    let mut scene = Scene::new(Rules::OTHER);
    scene.both(10, 0);
    scene.theirs(400, |_| ());
    scene.both(500, 1_000);
    // D-SACK, RFC 2883: the client has it twice.
    let mut sack = SackBlocks::default();
    sack.push(SeqNumber(1), SeqNumber(1_001));
    scene.client(510, 1_000, |seg| seg.options.sack = sack);
    assert_eq!(scene.0.first().unwrap().class, Class::Spurious);
}

#[test]
fn an_end_that_the_other_did_not_make_is_found() {
    let mut scene = Scene::new(Rules::OTHER);
    scene.both(10, 0);
    scene.theirs(20, |seg| {
        (seg.seq, seg.len, seg.flags) = (SeqNumber(1_001), 0, TcpFlags::ACK | TcpFlags::FIN);
    });
    scene.finds(Class::FinOrReset);
    let mut scene = Scene::new(Rules::OTHER);
    scene.theirs(10, |_| ());
    scene.ours(10, |sent| (sent.kind, sent.flags) = (Kind::Reset, TcpFlags::RST));
    scene.finds(Class::FinOrReset);
}

#[test]
fn what_was_sent_just_before_the_end_may_have_its_like_behind_it() {
    let mut scene = Scene::new(Rules::OWN);
    scene.theirs(100, |_| ());
    scene.0.finish(101 * MS, &STATE);
    assert_eq!(scene.0.first(), None);
}

#[test]
fn acks_are_compared_one_by_one_where_that_is_asked_for() {
    let pair = |rules| {
        let mut scene = Scene::new(rules);
        scene.theirs(10, |seg| seg.len = 0);
        scene.theirs(11, |seg| seg.len = 0);
        scene.ours(11, |sent| sent.kind = Kind::Ack);
        scene
    };
    pair(Rules::OWN).finds(Class::Acknowledgement);
    let mut scene = pair(Rules::OTHER);
    scene.0.finish(100_000 * MS, &STATE);
    assert_eq!(scene.0.first(), None);
}

#[test]
fn a_client_that_acknowledges_half_a_segment_is_told_of_in_captures_of_our_own() {
    let mut scene = Scene::new(Rules::OWN);
    scene.both(10, 0);
    scene.client(60, 400, |_| ());
    scene.finds(Class::PartOfSegment);
}

#[test]
fn one_that_sends_without_end_alone_is_stopped() {
    let mut scene = Scene::new(Rules::OTHER);
    for n in 0..2 * WAITING_MAX as u32 {
        scene.theirs(10, |seg| seg.seq = SeqNumber(n * 1_000 + 1));
        assert!(scene.0.waiting() <= WAITING_MAX);
    }
    assert!(scene.0.is_over());
    scene.finds(Class::CongestionWindow);
}
