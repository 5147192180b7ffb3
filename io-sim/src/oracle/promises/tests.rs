//! The model, shown segments made by hand: promises that few runs put to the test, kept once and
//! broken once.

use super::*;
use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::{TcpFlags, Timestamps};
use std::net::SocketAddrV4;

const US: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80);
const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4_000);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// The round trip of the handshake, in milliseconds: RTO is 300 from then on.
const RTT: u64 = 100;

/// A host with one stack, and the time. Our ISN is 5,000, the peer's 1,000.
#[derive(Clone)]
struct Scene {
    promises: Promises,
    now: Instant,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ours(seq: u32, len: u32) -> Glimpse {
    Glimpse {
        mac: MacAddr([2, 0, 0, 0, 0, 2]),
        vlan: None,
        from: US,
        to: PEER,
        seq: SeqNumber(seq),
        ack: SeqNumber(1_001),
        flags: TcpFlags::ACK,
        window: 10_000,
        len,
        timestamps: None,
        mss: None,
        scale: None,
    }
}

fn theirs(seq: u32, ack: u32) -> Glimpse {
    Glimpse { mac: MAC, from: PEER, to: US, seq: SeqNumber(seq), ack: SeqNumber(ack), ..ours(0, 0) }
}

fn stamped(seg: Glimpse, val: u32, ecr: u32) -> Glimpse {
    Glimpse { timestamps: Some(Timestamps { val, ecr }), ..seg }
}

impl Scene {
    fn listening(timestamps: bool) -> Self {
        let mut config = stack::Config::new(MAC, *US.ip(), 24);
        let tcp = &mut config.tcp;
        (tcp.timestamps, tcp.window_scaling, tcp.nagle) = (timestamps, false, false);
        (tcp.initial_rto, tcp.min_rto, tcp.max_rto) = (ms(1_000), ms(200), ms(60_000));
        (tcp.retries_max, tcp.receive_window) = (15, 10_000);
        tcp.challenge_ack_interval = ms(500);
        let mut promises = Promises::default();
        promises.hold(0, vec![PromiseConfig::of(&config)]);
        Self { promises, now: Instant::ZERO }
    }

    /// A connection that the peer opened; with timestamps our clock shows 100, the peer's 2.
    fn open(timestamps: bool) -> Self {
        let mut scene = Self::listening(timestamps);
        let stamp = |seg, val, ecr| if timestamps { stamped(seg, val, ecr) } else { seg };
        let syn = Glimpse { flags: TcpFlags::SYN, mss: Some(1_000), ..theirs(1_000, 0) };
        scene.took(stamp(syn, 1, 0));
        let syn_ack = Glimpse { flags: TcpFlags::SYN | TcpFlags::ACK, ..ours(5_000, 0) };
        scene.sends(stamp(syn_ack, 100, 1));
        scene.passes(RTT).took(stamp(theirs(1_001, 5_001), 2, 100));
        scene
    }

    fn show(&mut self, what: Passage) -> Result<(), BrokenPromise> {
        self.promises.on_passed(0, &mut vec![Passed { at: self.now, stack: 0, what }])
    }

    fn took(&mut self, seg: Glimpse) -> &mut Self {
        self.show(Passage::Took(seg)).unwrap();
        self
    }

    #[track_caller]
    fn sends(&mut self, seg: Glimpse) -> &mut Self {
        self.show(Passage::Sent(seg)).unwrap_or_else(|broken| panic!("{broken}"));
        self
    }

    /// Sent now, this breaks a promise. The scene itself goes on without.
    #[track_caller]
    fn breaks(&mut self, promise: Promise, seg: Glimpse) -> &mut Self {
        let broken = self.clone().show(Passage::Sent(seg)).expect_err("it was let pass");
        assert_eq!(broken.promise, promise, "{broken}");
        assert_eq!((broken.flow.from, broken.flow.to), (US, seg.to));
        self
    }

    /// Time passes in which nothing is due.
    #[track_caller]
    fn passes(&mut self, time: u64) -> &mut Self {
        self.now += ms(time);
        let late = self.promises.on_time(self.now).err();
        assert_eq!(late, None, "at {:?}", self.now);
        self
    }

    /// Were this long nothing to happen, a promise would be broken.
    #[track_caller]
    fn owes(&mut self, promise: Promise, within: u64) -> &mut Self {
        let late = self.promises.clone().on_time(self.now + ms(within));
        let (host, broken) = late.expect_err("nothing is due");
        assert_eq!((host, broken.promise), (0, promise), "{broken}");
        self
    }

    fn tested(&self, promise: Promise) -> u64 {
        self.promises.stats().of(promise)
    }
}

#[test]
fn fourteen_timeouts_in_a_row_double_up_to_the_maximum() {
    // RFC 6298 (5.5), (5.7)
    let mut scene = Scene::open(false);
    scene.sends(ours(5_001, 1_000));
    let mut timeout = 3 * RTT;
    for n in 0..14 {
        scene.passes(timeout - timeout / 20).breaks(Promise::TimeoutNotEarly, ours(5_001, 1_000));
        scene.owes(Promise::TimeoutNotLate, timeout / 10);
        scene.passes(timeout / 20).sends(ours(5_001, 1_000));
        timeout = (2 * timeout).min(60_000);
        assert!(n < 8 || timeout == 60_000);
    }
    assert_eq!(scene.tested(Promise::Backoff), 12, "the first two have no interval before them");
}

#[test]
fn backoff_is_seen_where_the_estimate_is_not_known() {
    let mut scene = Scene::open(false);
    scene.sends(ours(5_001, 1_000)).sends(ours(6_001, 1_000));
    scene.passes(3 * RTT).sends(ours(5_001, 1_000));
    // Goes on after the timeout, and beyond what was sent: whether that was timed is not to be seen.
    scene
        .passes(RTT)
        .took(theirs(1_001, 6_001))
        .sends(ours(6_001, 1_000))
        .sends(ours(7_001, 1_000));
    scene.passes(RTT).took(theirs(1_001, 8_001));
    scene.sends(ours(8_001, 1_000)).passes(RTT).took(theirs(1_001, 9_001));
    scene.sends(ours(9_001, 1_000));
    scene.passes(700).sends(ours(9_001, 1_000)).passes(1_400).sends(ours(9_001, 1_000));
    scene.passes(1_400).breaks(Promise::Backoff, ours(9_001, 1_000));
    scene.passes(1_400).sends(ours(9_001, 1_000));
    scene.passes(6_500).breaks(Promise::Backoff, ours(9_001, 1_000));
}

#[test]
fn a_reset_answers_a_segment_or_ends_what_was_sent() {
    // RFC 9293 §3.10.7.1, §3.10.5
    let mut scene = Scene::listening(false);
    scene.took(theirs(7, 77));
    scene.breaks(Promise::ResetForm, reset(78)).sends(reset(77));
    scene.breaks(Promise::ResetForm, reset(77));
    // To a segment without ACK: at 0, acknowledging all of it.
    scene.took(Glimpse { flags: TcpFlags::SYN, ..theirs(50, 0) });
    let flags = TcpFlags::RST | TcpFlags::ACK;
    let answer = |ack| Glimpse { flags, ack: SeqNumber(ack), ..ours(0, 0) };
    scene.breaks(Promise::ResetForm, answer(50)).sends(answer(51));
    scene.took(Glimpse { flags: TcpFlags::RST, ..theirs(50, 0) });
    scene.breaks(Promise::ResetForm, answer(50));

    let mut scene = Scene::open(false);
    scene.sends(ours(5_001, 500));
    scene.breaks(Promise::ResetForm, reset(5_500)).sends(reset(5_501));
    scene.breaks(Promise::SilenceAfterEnd, ours(5_501, 10));
}

#[test]
fn a_syn_or_reset_in_the_window_is_challenged_once_an_interval() {
    // RFC 5961 §3.2, §4.2, §7
    for flags in [TcpFlags::SYN, TcpFlags::RST] {
        let forged = Glimpse { flags, ..theirs(1_500, 0) };
        let mut scene = Scene::open(false);
        scene.passes(50).breaks(Promise::AckHasCause, ours(5_001, 0));
        scene.took(forged).owes(Promise::ChallengeAck, 1).sends(ours(5_001, 0));
        scene.passes(499).took(forged).breaks(Promise::AckHasCause, ours(5_001, 0));
        scene.passes(1).took(forged).owes(Promise::ChallengeAck, 1).sends(ours(5_001, 0));
        assert_eq!(scene.tested(Promise::ChallengeAck), 2);
    }
}

#[test]
fn an_ack_of_what_was_not_sent_is_challenged() {
    // RFC 5961 §5.2
    let mut scene = Scene::open(false);
    scene.took(theirs(1_001, 5_002)).owes(Promise::ChallengeAck, 1);
    scene.breaks(Promise::AckExact, Glimpse { ack: SeqNumber(1_002), ..ours(5_001, 0) });
    scene.sends(ours(5_001, 0)).passes(1_000);
}

#[test]
fn a_closed_window_is_probed_with_one_byte_at_growing_intervals() {
    // RFC 9293 §3.8.6.1 MUST-36 SHLD-30
    let mut scene = Scene::open(false);
    let closed = Glimpse { window: 0, ..theirs(1_001, 5_001) };
    scene.took(closed).breaks(Promise::SendWindow, ours(5_001, 2));
    scene.passes(3 * RTT).sends(ours(5_001, 1));
    let mut timeout = 6 * RTT;
    for _ in 0..10 {
        scene.passes(RTT).took(closed);
        scene.breaks(Promise::TimeoutNotEarly, ours(5_001, 1));
        scene.owes(Promise::TimeoutNotLate, 65_000);
        scene.passes(timeout - RTT).breaks(Promise::SendWindow, ours(5_001, 2));
        scene.sends(ours(5_001, 1));
        timeout = (2 * timeout).min(60_000);
    }
    // Opened, the window is used from the byte probed for on; taken back, no more is sent.
    scene.took(theirs(1_001, 5_001)).sends(ours(5_001, 1_000)).sends(ours(6_001, 1_000));
    scene.took(Glimpse { window: 2_500, ..theirs(1_001, 5_001) });
    scene.breaks(Promise::SendWindow, ours(7_001, 1_000)).sends(ours(7_001, 500));
}

#[test]
fn a_closed_window_of_ours_answers_probes() {
    // RFC 9293 §3.10.7.4 first
    let mut scene = Scene::open(false);
    for n in 0..10 {
        scene.took(Glimpse { len: 1_000, ..theirs(1_001 + n * 1_000, 5_001) });
        let ack = SeqNumber(2_001 + n * 1_000);
        let of_window = |window| Glimpse { ack, window, ..ours(5_001, 0) };
        let window = 9_000 - n as u16 * 1_000;
        if window > 0 {
            scene.breaks(Promise::WindowKept, of_window(window - 1));
        }
        scene.sends(of_window(window));
    }
    let probe = Glimpse { len: 1, ..theirs(11_001, 5_001) };
    let answer = Glimpse { ack: SeqNumber(11_001), window: 0, ..ours(5_001, 0) };
    scene.took(probe).owes(Promise::AckOfUnacceptable, 1);
    scene.breaks(Promise::AckExact, Glimpse { ack: SeqNumber(11_002), ..answer });
    scene.sends(answer).breaks(Promise::AckHasCause, answer).passes(1_000);
}

#[test]
fn timestamps_are_on_every_segment_and_never_go_back() {
    // RFC 7323 §3.2, §5.4, §4.3
    let mut scene = Scene::open(true);
    let text = ours(5_001, 500);
    scene.breaks(Promise::TimestampClock, text);
    scene.breaks(Promise::TimestampClock, stamped(text, 99, 2));
    scene.breaks(Promise::TimestampEcho, stamped(text, 100, 1));
    scene.sends(stamped(text, 100, 2)).passes(RTT);
    // The clock wraps: half of its range on is forward.
    let far = 100 + (1 << 30);
    scene.took(stamped(theirs(1_001, 5_501), far, 100)).sends(stamped(ours(5_501, 10), far, far));
    scene.breaks(Promise::TimestampClock, stamped(ours(5_511, 10), far - 1, far));

    let mut scene = Scene::open(false);
    scene.breaks(Promise::Handshake, stamped(text, 100, 2)).sends(text);
}

#[test]
fn a_stack_is_judged_by_its_own_connections() {
    let mut scene = Scene::open(false);
    let model = &scene.promises.hosts[0][0];
    let config = model.config.clone();
    scene.promises.hold(1, vec![config.clone(), config]);
    let mut show =
        |stack, what| scene.promises.on_passed(1, &mut vec![Passed { at: scene.now, stack, what }]);
    let syn = Glimpse { flags: TcpFlags::SYN, mss: Some(1_000), ..theirs(1_000, 0) };
    let syn_ack = Glimpse { flags: TcpFlags::SYN | TcpFlags::ACK, ..ours(5_000, 0) };
    show(1, Passage::Took(syn)).unwrap();
    let broken = show(0, Passage::Sent(syn_ack)).unwrap_err();
    assert_eq!(broken.promise, Promise::Handshake, "another stack was asked: {broken}");
    show(1, Passage::Sent(syn_ack)).unwrap();
    let (host, broken) = scene.promises.on_time(scene.now + ms(5_000)).unwrap_err();
    assert_eq!((host, broken.promise), (1, Promise::TimeoutNotLate), "{broken}");
}

#[test]
fn lateness_is_let_pass_as_far_as_turns_take_time() {
    let mut scene = Scene::open(false);
    let config = scene.promises.hosts[0][0].config.clone();
    let mut slow = Scene::listening(false);
    slow.promises.hold(0, vec![PromiseConfig { latency: ms(50), ..config }]);
    for (scene, slack) in [(&mut scene, 0), (&mut slow, 50)] {
        if slack > 0 {
            let syn = Glimpse { flags: TcpFlags::SYN, mss: Some(1_000), ..theirs(1_000, 0) };
            scene.took(syn);
            scene.sends(Glimpse { flags: TcpFlags::SYN | TcpFlags::ACK, ..ours(5_000, 0) });
            scene.passes(RTT).took(theirs(1_001, 5_001));
        }
        scene.sends(ours(5_001, 1_000));
        // RTO / 32 is the exactness of the estimate.
        scene.passes(3 * RTT + 9 + slack).owes(Promise::TimeoutNotLate, 2);
    }
}

impl Scene {
    /// No buffer for a segment without text, now.
    fn starves(&mut self) -> &mut Self {
        self.show(Passage::Starved { no_buffer: true }).unwrap();
        self
    }
}

fn reset(seq: u32) -> Glimpse {
    Glimpse { flags: TcpFlags::RST, ..ours(seq, 0) }
}

fn ours_of(ack: u32) -> Glimpse {
    Glimpse { ack: SeqNumber(ack), window: (11_001 - ack) as u16, ..ours(5_001, 0) }
}

#[test]
fn a_missing_buffer_excuses_the_ack_that_was_due_and_no_later_one() {
    let text = |seq| Glimpse { len: 1_460, ..theirs(seq, 5_001) };
    let mut scene = Scene::open(false);
    scene.took(text(1_001)).took(text(2_461)).owes(Promise::AckInTime, 1);
    scene.starves().passes(1_000);
    assert_eq!(scene.tested(Promise::AckInTime), 0, "excused is not tested");
    scene.took(text(3_921)).took(text(5_381)).owes(Promise::AckInTime, 2);
    scene.sends(ours_of(6_841)).passes(1_000);
    scene.breaks(Promise::AckHasCause, ours_of(6_841));
    scene.breaks(Promise::WindowKept, Glimpse { window: 4_159, ..ours_of(6_841) });
    scene.breaks(Promise::AckExact, ours_of(5_381));
    scene.breaks(Promise::ResetForm, reset(5_500));
    // Text is never lost for want of a buffer: its timer is exact.
    let sent = Glimpse { len: 1_000, ..ours_of(6_841) };
    scene.sends(sent).passes(3 * RTT - 15).breaks(Promise::TimeoutNotEarly, sent);
    scene.passes(15).owes(Promise::TimeoutNotLate, 2 * RTT).sends(sent).passes(6 * RTT);
    scene.sends(sent).passes(12 * RTT - 60).breaks(Promise::TimeoutNotEarly, sent);
}

#[test]
fn a_missing_buffer_leaves_open_which_timestamp_is_echoed_until_one_is() {
    let mut scene = Scene::open(true);
    let text = |seq, val| stamped(Glimpse { len: 1_000, ..theirs(seq, 5_001) }, val, 100);
    let ack = |ecr| stamped(ours_of(4_001), 100, ecr);
    scene.took(text(1_001, 5)).took(text(2_001, 7)).starves();
    scene.took(text(3_001, 9));
    // Of the last segment that begins where the last ACK ends: the first if none was sent.
    scene.breaks(Promise::TimestampEcho, ack(4)).breaks(Promise::TimestampEcho, ack(10));
    scene.clone().sends(ack(5));
    let before = scene.tested(Promise::TimestampEcho);
    scene.sends(ack(9));
    assert_eq!(scene.tested(Promise::TimestampEcho), before, "excused is not tested");
    let later = |ecr| stamped(ours_of(5_001), 100, ecr);
    scene.took(text(4_001, 11)).breaks(Promise::TimestampEcho, later(9)).sends(later(11));
    assert_eq!(scene.tested(Promise::TimestampEcho), before + 1);
}

#[test]
fn a_missing_buffer_may_have_lost_a_fin_until_text_follows() {
    let fin = Glimpse { flags: TcpFlags::FIN | TcpFlags::ACK, ..ours(5_001, 0) };
    let mut scene = Scene::open(false);
    scene.breaks(Promise::ResetForm, reset(5_002)).starves().clone().sends(reset(5_002));
    // The timeout has doubled meanwhile, so often is not to be seen.
    scene.clone().sends(fin).passes(12 * RTT).sends(fin);
    scene.sends(ours(5_001, 500)).breaks(Promise::ResetForm, reset(5_502)).passes(RTT);
    scene.took(theirs(1_001, 5_501));
    scene.sends(Glimpse { seq: SeqNumber(5_501), ..fin }).owes(Promise::TimeoutNotLate, 5 * RTT);
}

#[test]
fn a_missing_buffer_may_have_lost_a_syn_ack_of_its_time_alone() {
    let syn = |from| Glimpse { from, flags: TcpFlags::SYN, mss: Some(1_000), ..theirs(1_000, 0) };
    let of = |to, flags| Glimpse { to, flags, ..ours(5_000, 0) };
    let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    let other = SocketAddrV4::new(*PEER.ip(), 4_001);
    let mut scene = Scene::listening(false);
    scene.took(syn(PEER)).starves().took(syn(other));
    scene.breaks(Promise::ResetForm, of(other, TcpFlags::RST));
    scene
        .clone()
        .sends(of(PEER, TcpFlags::RST))
        .breaks(Promise::ResetForm, of(PEER, TcpFlags::RST));
    scene.sends(of(PEER, syn_ack)).sends(of(other, syn_ack));
    scene.owes(Promise::TimeoutNotLate, 1_200);
    scene.took(Glimpse { from: other, ..theirs(1_001, 5_001) }).passes(30_000);
    scene.owes(Promise::TimeoutNotLate, 60_000);
}

#[test]
fn text_may_be_refused_while_connections_are_more_than_receive_buffers() {
    let text = |seq| Glimpse { len: 1_000, ..theirs(seq, 5_001) };
    let mut scene = Scene::open(false);
    scene.promises.hosts[0][0].config.receive_buffers = 1;
    let other = SocketAddrV4::new(*PEER.ip(), 4_001);
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    scene.took(Glimpse { from: other, flags: TcpFlags::SYN, mss: Some(1_000), ..theirs(1_000, 0) });
    scene.sends(Glimpse { to: other, flags, ..ours(5_000, 0) });
    scene.took(text(1_001)).sends(Glimpse { window: 10_000, ..ours(5_001, 0) });
    scene.took(Glimpse { from: other, flags: TcpFlags::RST, ..theirs(1_001, 0) });
    // Alone again, it takes text; what was refused is acknowledged when it came again.
    scene.took(text(1_001)).sends(ours_of(2_001));
    scene.took(text(2_001)).breaks(Promise::AckExact, ours_of(2_001)).sends(ours_of(3_001));
}

#[test]
fn a_reset_or_end_at_text_that_need_not_be_kept_may_count_or_not() {
    let text = |seq| Glimpse { len: 1_000, ..theirs(seq, 5_001) };
    let resets = |seq| Glimpse { flags: TcpFlags::RST, ..theirs(seq, 5_001) };
    let fin = Glimpse { flags: TcpFlags::FIN | TcpFlags::ACK, ..ours_of(1_001) };
    let mut open = Scene::open(false);
    open.took(text(2_001)).sends(ours_of(1_001));
    // With our FIN the application is gone, and what came out of order may be, too.
    let mut closed = open.clone();
    closed.sends(fin).took(text(1_001));
    for at in [2_001, 3_001] {
        let mut scene = closed.clone();
        scene.took(resets(at)).clone().passes(60_000);
        scene.sends(ours_of(2_001)).sends(reset(5_002));
    }
    // So it is with the end of their stream, if there was text beyond it.
    for (at, len) in [(1_500, 501), (2_001, 500)] {
        let mut scene = closed.clone();
        scene.took(Glimpse { flags: fin.flags, ..Glimpse { len, ..theirs(at, 5_001) } });
        scene.clone().passes(60_000);
        scene.sends(ours_of(3_001)).sends(ours_of(2_002));
    }
    // Elsewhere it is a challenge; and where all is known, it ends the connection.
    closed.took(resets(4_001)).owes(Promise::ChallengeAck, 1);
    open.took(text(1_001)).sends(ours_of(3_001)).took(resets(3_001));
    open.breaks(Promise::SilenceAfterEnd, ours_of(3_001));
}

#[test]
fn ten_thousand_syns_at_once_may_all_be_answered_later() {
    let from = |n: u16| SocketAddrV4::new(*PEER.ip(), 10_000 + n);
    let flags = TcpFlags::SYN;
    let mut scene = Scene::listening(false);
    for n in 0..10_000 {
        scene.took(Glimpse { from: from(n), flags, mss: Some(1_000), ..theirs(1_000, 0) });
    }
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    for n in 0..10_000 {
        scene.sends(Glimpse { to: from(n), flags, ..ours(5_000, 0) });
    }
}
