//! The script: one connection of ours, and a peer whose every packet the test writes.
//!
//! What the connection sends is kept with its time until `expect` takes it. Whatever is sent is
//! held to the peer's window, and the connection's own `audit` runs after every step.

use crate::seq::SeqNumber;
use crate::tcp::{
    Arrival, Config, Drop, Ended, Events, Output, Reassembly, SegmentPlan, State, Taken, Tcb,
    TextSink,
};
use crate::time::{Duration, Instant};
use crate::wire::tcp::{TcpFlags, TcpOptions, TcpSegment, Timestamps};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::ops::Range;

/// Our initial sequence number.
pub(super) const ISS: u32 = 1_000;
/// The peer's.
pub(super) const IRS: u32 = 5_000;
/// What is added to our millisecond clock in timestamps.
pub(super) const TS_OFFSET: u32 = 70_000;

pub(super) const fn ms(n: u64) -> Instant {
    Instant::from_nanos(n * 1_000_000)
}

/// The byte that the sender puts at this number, either side.
pub(super) fn byte_at(seq: SeqNumber) -> u8 {
    (seq.0.wrapping_mul(2_654_435_761) >> 24) as u8
}

/// A packet of a script. What is None is filled in where it is received, and not compared where it
/// is expected.
#[derive(Clone, Debug, Default)]
pub(super) struct Packet {
    flags: TcpFlags,
    seq: Option<u32>,
    ack: Option<u32>,
    window: Option<u16>,
    len: u32,
    push: Option<bool>,
    timestamps: Option<Option<Timestamps>>,
    mss: Option<u16>,
    scale: Option<Option<u8>>,
}

/// An ACK without text.
pub(super) fn ack(number: u32) -> Packet {
    Packet { flags: TcpFlags::ACK, ack: Some(number), ..Packet::default() }
}

/// Text, with ACK.
pub(super) fn data(numbers: Range<u32>) -> Packet {
    let len = numbers.end.wrapping_sub(numbers.start);
    Packet { flags: TcpFlags::ACK, seq: Some(numbers.start), len, ..Packet::default() }
}

/// FIN at this number, with ACK.
pub(super) fn fin(number: u32) -> Packet {
    Packet { flags: TcpFlags::FIN | TcpFlags::ACK, seq: Some(number), ..Packet::default() }
}

/// RST at this number, without ACK.
pub(super) fn rst(number: u32) -> Packet {
    Packet { flags: TcpFlags::RST, seq: Some(number), ..Packet::default() }
}

/// SYN at this number.
pub(super) fn syn(number: u32) -> Packet {
    Packet { flags: TcpFlags::SYN, seq: Some(number), ..Packet::default() }
}

/// SYN at this number, with ACK of another.
pub(super) fn syn_ack(number: u32, acknowledged: u32) -> Packet {
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    Packet { flags, seq: Some(number), ack: Some(acknowledged), ..Packet::default() }
}

impl Packet {
    pub(super) fn seq(mut self, number: u32) -> Self {
        self.seq = Some(number);
        self
    }
    pub(super) fn ack(mut self, number: u32) -> Self {
        self.ack = Some(number);
        self.flags = self.flags | TcpFlags::ACK;
        self
    }
    pub(super) fn without_ack(mut self) -> Self {
        self.flags = TcpFlags(self.flags.0 & !TcpFlags::ACK.0);
        self
    }
    pub(super) fn window(mut self, field: u16) -> Self {
        self.window = Some(field);
        self
    }
    pub(super) fn text(mut self, len: u32) -> Self {
        self.len = len;
        self
    }
    pub(super) fn fin(mut self) -> Self {
        self.flags = self.flags | TcpFlags::FIN;
        self
    }
    pub(super) fn push(mut self) -> Self {
        self.push = Some(true);
        self
    }
    pub(super) fn timestamps(mut self, val: u32, ecr: u32) -> Self {
        self.timestamps = Some(Some(Timestamps { val, ecr }));
        self
    }
    pub(super) fn without_timestamps(mut self) -> Self {
        self.timestamps = Some(None);
        self
    }
    pub(super) fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(mss);
        self
    }
    pub(super) fn scale(mut self, shift: u8) -> Self {
        self.scale = Some(Some(shift));
        self
    }
    pub(super) fn without_scale(mut self) -> Self {
        self.scale = Some(None);
        self
    }

    /// Whether a planned segment is this one, as far as it is written.
    fn describes(&self, plan: &SegmentPlan) -> bool {
        let without_push = plan.flags.0 & !TcpFlags::PSH.0;
        without_push == self.flags.0
            && plan.len == self.len
            && self.seq.is_none_or(|seq| plan.seq == SeqNumber(seq))
            && self.ack.is_none_or(|ack| plan.ack == SeqNumber(ack))
            && self.window.is_none_or(|window| plan.window == window)
            && self.push.is_none_or(|push| plan.flags.contains(TcpFlags::PSH) == push)
            && self.timestamps.is_none_or(|timestamps| plan.timestamps == timestamps)
            && self.mss.is_none_or(|mss| plan.syn.is_some_and(|syn| syn.mss == mss))
            && self.scale.is_none_or(|scale| plan.syn.is_some_and(|syn| syn.window_scale == scale))
    }
}

/// The application of the script's connection, with its receive buffer.
struct Side {
    /// Bytes that it has to send, from the start of the stream.
    written: u64,
    /// It will never have more.
    ended: bool,
    /// Takes what arrives at once; else it waits for `reads`.
    eager: bool,
    list: Reassembly,
    store: Vec<u8>,
    /// Number of the first byte not yet taken.
    next: SeqNumber,
    taken: u64,
}

impl Side {
    fn take(&mut self, bytes: u32) {
        for offset in 0..bytes {
            let expected = byte_at(self.next + offset);
            assert_eq!(
                self.store[offset as usize],
                expected,
                "byte {} is wrong",
                self.next + offset
            );
        }
        self.list.consume(&mut self.store, bytes);
        self.next += bytes;
        self.taken += u64::from(bytes);
    }
}

impl TextSink for Side {
    fn on_text(&mut self, offset: u32, bytes: &[u8]) -> Taken {
        let at = self.list.ready() + offset;
        let advance = self.list.insert(&mut self.store, at, bytes);
        if self.eager {
            self.take(self.list.ready());
        }
        Taken { advance, unread: self.list.ready() }
    }
}

/// One connection of ours and what was sent but not yet expected.
pub(super) struct Script {
    pub(super) config: Config,
    tcb: Option<Tcb>,
    now: Instant,
    side: Side,
    sent: VecDeque<(Instant, SegmentPlan)>,
    /// The latest arrival, or what it came to.
    arrival: Arrival,
    ended: Option<Ended>,
    events: Vec<Events>,
    /// The peer's highest announced edge, none before its first packet.
    edge: Option<SeqNumber>,
    /// Defaults of packets received.
    peer_seq: u32,
    peer_ack: u32,
    peer_window: u16,
    peer_shift: u8,
    peer_timestamps: bool,
    log: String,
}

/// What most scripts run with: no options, so that numbers are easy to follow.
pub(super) fn plain() -> Config {
    Config {
        mss: 1_460,
        receive_window: 10_000,
        timestamps: false,
        window_scaling: false,
        ..Config::default()
    }
}

impl Script {
    fn new(config: Config, tcb: Tcb) -> Self {
        let side = Side {
            written: 0,
            ended: false,
            eager: true,
            list: Reassembly::default(),
            store: vec![0; config.receive_window as usize],
            next: SeqNumber(IRS + 1),
            taken: 0,
        };
        Self {
            config,
            tcb: Some(tcb),
            now: Instant::ZERO,
            side,
            sent: VecDeque::new(),
            arrival: Arrival::default(),
            ended: None,
            events: Vec::new(),
            edge: None,
            peer_seq: IRS + 1,
            peer_ack: ISS + 1,
            peer_window: 60_000,
            peer_shift: 0,
            peer_timestamps: false,
            log: String::new(),
        }
    }

    /// A listener gets this SYN at time 0; its SYN-ACK is not yet expected.
    pub(super) fn passive(config: Config, syn: Packet) -> Self {
        let mut bytes = Vec::new();
        let window = syn.window.unwrap_or(60_000);
        let segment = segment(&syn, IRS, 0, window, &mut bytes);
        let tcb = Tcb::open_passive(&config, Instant::ZERO, &segment, SeqNumber(ISS), TS_OFFSET);
        let mut script = Self::new(config, tcb);
        script.note_peer(&segment);
        script.pump();
        script
    }

    /// We open at time 0; the SYN is not yet expected.
    pub(super) fn active(config: Config) -> Self {
        let tcb = Tcb::open_active(&config, Instant::ZERO, SeqNumber(ISS), TS_OFFSET);
        let mut script = Self::new(config, tcb);
        script.pump();
        script
    }

    /// ESTABLISHED at 100 ms, by a listener, with a round trip of 100 ms: the timeout is 300 ms.
    /// The peer's MSS is 1,000 and its window 60,000.
    pub(super) fn accepted(config: Config) -> Self {
        let mut p = Self::passive(config, syn(IRS).mss(1_000));
        p.expect(syn_ack(ISS, IRS + 1));
        p.at(ms(100)).recv(ack(ISS + 1)).expect_state(State::Established).then_silence();
        p
    }

    /// A connection in this state at 100 ms or later, our FIN at 1001 and the peer's at 5001 where
    /// the state has them; nothing waits to be expected. Time is 300 ms.
    pub(super) fn in_state(state: State) -> Self {
        let config = Config { delayed_ack: Duration::ZERO, ..plain() };
        let mut p = match state {
            State::SynSent => {
                let mut p = Self::active(config);
                p.expect(syn(ISS));
                p
            }
            State::SynReceived => {
                let mut p = Self::passive(config, syn(IRS).mss(1_000));
                p.expect(syn_ack(ISS, IRS + 1));
                p
            }
            _ => Self::accepted(config),
        };
        match state {
            State::SynSent | State::SynReceived | State::Established => {}
            State::FinWait1 => {
                p.close().expect(fin(1_001));
            }
            State::FinWait2 => {
                p.close().expect(fin(1_001)).recv(ack(1_002));
            }
            State::CloseWait => {
                p.recv(fin(5_001)).expect(ack(5_002));
            }
            State::Closing => {
                p.close().expect(fin(1_001)).recv(fin(5_001).ack(1_001)).expect(ack(5_002));
            }
            State::LastAck => {
                p.recv(fin(5_001)).expect(ack(5_002)).close().expect(fin(1_001));
            }
            State::TimeWait => {
                p.close().expect(fin(1_001)).recv(fin(5_001).ack(1_002)).expect(ack(5_002));
            }
        }
        p.at(ms(300)).expect_state(state).then_silence();
        p.events.clear();
        p
    }

    fn tcb(&mut self) -> &mut Tcb {
        self.tcb.as_mut().expect("the connection is over")
    }

    pub(super) fn tcb_ref(&self) -> &Tcb {
        self.tcb.as_ref().expect("the connection is over")
    }

    /// Lets time pass, with every deadline on the way.
    pub(super) fn at(&mut self, now: Instant) -> &mut Self {
        assert!(now >= self.now, "time runs backwards in the script");
        while let Some(tcb) = &mut self.tcb
            && let Some(deadline) = tcb.next_deadline()
            && deadline.at <= now
        {
            self.now = self.now.max(deadline.at);
            if let Some(ended) = tcb.on_deadline(&self.config, self.now) {
                self.end(ended);
                break;
            }
            self.pump();
            let again = self.tcb_ref().next_deadline();
            assert_ne!(again, Some(deadline), "a deadline that was run stays:\n{}", self.log);
        }
        self.now = now;
        self
    }

    /// A packet of the peer arrives. Left out: the number after its last text, the acknowledgement
    /// and window of its last packet.
    pub(super) fn recv(&mut self, packet: Packet) -> &mut Self {
        self.arrive(packet);
        if self.tcb.is_some() {
            self.pump();
        }
        self
    }

    /// Packets that arrive in one turn: nothing is sent in between.
    pub(super) fn recv_batch<const N: usize>(&mut self, packets: [Packet; N]) -> &mut Self {
        for packet in packets {
            self.arrive(packet);
        }
        self.pump();
        self
    }

    fn arrive(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        let packet = Packet {
            timestamps: packet.timestamps.or_else(|| {
                let val = self.now.as_millis() as u32 + 1;
                let ecr = self.now.as_millis() as u32 + TS_OFFSET;
                self.peer_timestamps.then_some(Some(Timestamps { val, ecr }))
            }),
            ..packet
        };
        let window = packet.window.unwrap_or(self.peer_window);
        let segment = segment(&packet, self.peer_seq, self.peer_ack, window, &mut bytes);
        self.log += &format!("{:?} < {}\n", self.now, show(&segment));
        self.note_peer(&segment);
        let Self { tcb, side, config, now, .. } = self;
        let tcb = tcb.as_mut().expect("the connection is over");
        self.arrival = tcb.on_segment(config, *now, &segment, side);
        if self.arrival.events != Events::NONE {
            self.events.push(self.arrival.events);
        }
        if let Some(reply) = self.arrival.reply {
            self.sent.push_back((self.now, reply));
            self.log += &format!("{:?} > {reply:?}\n", self.now);
        }
        if let Some(ended) = self.arrival.ended {
            self.end(ended);
        }
    }

    /// The peer's defaults follow what it sent, as if it were well-behaved.
    fn note_peer(&mut self, segment: &TcpSegment<'_>) {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        if is_syn {
            self.peer_shift = segment.options.window_scale.unwrap_or(0).min(14);
            self.peer_timestamps = self.config.timestamps && segment.options.timestamps.is_some();
            if self.config.window_scaling && segment.options.window_scale.is_some() {
                self.peer_window = 60_000 >> self.peer_shift;
            } else {
                self.peer_shift = 0;
            }
        } else {
            self.peer_window = segment.window;
        }
        if segment.flags.contains(TcpFlags::RST) {
            return;
        }
        if segment.flags.contains(TcpFlags::ACK) {
            self.peer_ack = segment.ack.0;
            let shift = if is_syn { 0 } else { self.peer_shift };
            let edge = segment.ack + (u32::from(segment.window) << shift);
            self.edge = Some(self.edge.map_or(edge, |before| before.max(edge)));
        }
        let end = segment.seq + segment.seg_len();
        if segment.seq == SeqNumber(self.peer_seq) {
            self.peer_seq = end.0;
        }
    }

    fn end(&mut self, ended: Ended) {
        self.log += &format!("{:?} * {ended:?}\n", self.now);
        self.ended = Some(ended);
        self.tcb = None;
    }

    /// Sends whatever may be sent, as the stack does.
    fn pump(&mut self) {
        let Self { tcb: Some(tcb), config, now, side, .. } = self else { return };
        let mut out = Vec::new();
        tcb.on_visit();
        for turn in 0.. {
            assert!(turn < 10_000, "output never ends:\n{}", self.log);
            let Some(output) = tcb.poll_output(config, *now) else { break };
            let (at, max, partial, whole_only) = match output {
                Output::Segment(plan) => {
                    out.push(plan);
                    continue;
                }
                Output::Text { at, max, partial, whole_only, .. } => (at, max, partial, whole_only),
            };
            assert!(max > 0, "an empty offer");
            let (mut at, mut allowed) = (at, u64::from(max));
            if at >= side.written {
                tcb.no_text(side.ended);
                continue;
            }
            loop {
                let available = side.written - at;
                let len = u64::from(tcb.mss()).min(allowed).min(available);
                let whole = len == u64::from(tcb.mss()) || len == available;
                if len == 0 {
                    break;
                }
                let ends = len == available;
                let short = len < u64::from(tcb.mss());
                if (!whole && !partial) || (whole_only && short && !(ends && side.ended)) {
                    tcb.decline_text();
                    break;
                }
                let plan = tcb.take_text(config, *now, len as u32, ends && side.ended, ends);
                assert_eq!(
                    (plan.at, u64::from(plan.len)),
                    (at, len),
                    "another text than was offered"
                );
                out.push(plan);
                (at, allowed) = (at + len, allowed - len);
                if partial || ends {
                    break;
                }
            }
        }
        if let Err(broken) = tcb.audit() {
            panic!("{broken}:\n{}", self.log);
        }
        for plan in out {
            self.log += &format!("{:?} > {plan:?}\n", self.now);
            self.check_window(&plan);
            self.sent.push_back((self.now, plan));
        }
    }

    /// RFC 9293 §3.8.6: nothing beyond the window, but for one probing octet.
    fn check_window(&self, plan: &SegmentPlan) {
        let Some(edge) = self.edge else { return };
        let end = plan.seq + plan.len;
        let beyond = if end.gt(edge) { end.since(edge) } else { 0 };
        let probe = plan.len == 1 && beyond == 1;
        assert!(beyond == 0 || probe, "{beyond} bytes beyond the window:\n{}", self.log);
    }

    /// The application has `n` more bytes to send.
    pub(super) fn write(&mut self, n: u64) -> &mut Self {
        self.side.written += n;
        self.pump();
        self
    }

    /// The application has `n` more bytes to send, and the stream ends behind them.
    pub(super) fn write_last(&mut self, n: u64) -> &mut Self {
        self.side.ended = true;
        self.write(n)
    }

    /// The application closes.
    pub(super) fn close(&mut self) -> &mut Self {
        self.tcb().close();
        self.pump();
        self
    }

    /// The application aborts.
    pub(super) fn abort(&mut self) -> &mut Self {
        let now = self.now;
        if let Some(plan) = self.tcb().abort(now) {
            self.sent.push_back((now, plan));
        }
        self.tcb = None;
        self
    }

    /// Whether TIME-WAIT would make way for this SYN.
    pub(super) fn can_reuse(&self, packet: Packet) -> bool {
        let mut bytes = Vec::new();
        let segment = segment(&packet, self.peer_seq, self.peer_ack, self.peer_window, &mut bytes);
        self.tcb_ref().can_reuse(&segment)
    }

    /// From now on the application takes bytes only by `read`.
    pub(super) fn stop_reading(&mut self) -> &mut Self {
        self.side.eager = false;
        self
    }

    /// The application takes `n` bytes that wait for it.
    pub(super) fn read(&mut self, n: u32) -> &mut Self {
        self.side.take(n);
        let Self { tcb: Some(tcb), config, .. } = self else { panic!("the connection is over") };
        tcb.on_app_read(config, n);
        self.pump();
        self
    }

    pub(super) fn set_mss(&mut self, mss: u32) -> &mut Self {
        self.tcb().set_mss(mss);
        self
    }

    /// The next segment sent is this one, and it was sent now.
    #[track_caller]
    pub(super) fn expect(&mut self, packet: Packet) -> &mut Self {
        match self.sent.pop_front() {
            Some((at, plan)) if at == self.now && packet.describes(&plan) => self,
            Some((at, plan)) => panic!(
                "expected at {:?}: {packet:?}\nsent at {at:?}: {plan:?}\nso far:\n{}",
                self.now, self.log
            ),
            None => panic!("nothing was sent; expected {packet:?}\nso far:\n{}", self.log),
        }
    }

    /// The next segments carry these numbers in segments of the MSS, all sent now.
    #[track_caller]
    pub(super) fn expect_run(&mut self, numbers: Range<u32>) -> &mut Self {
        let mss = self.tcb_ref().mss();
        let mut at = numbers.start;
        while at != numbers.end {
            let end = at.wrapping_add(mss.min(numbers.end.wrapping_sub(at)));
            self.expect(data(at..end));
            at = end;
        }
        self
    }

    /// Nothing else was sent.
    #[track_caller]
    pub(super) fn then_silence(&mut self) -> &mut Self {
        if let Some((at, plan)) = self.sent.front() {
            panic!("expected silence; sent at {at:?}: {plan:?}\nso far:\n{}", self.log);
        }
        self
    }

    /// The last packet was dropped for this reason.
    #[track_caller]
    pub(super) fn expect_drop(&mut self, why: Drop) -> &mut Self {
        assert_eq!(self.arrival.drop, Some(why), "so far:\n{}", self.log);
        self
    }

    /// The last packet acknowledged this many bytes of text.
    #[track_caller]
    pub(super) fn expect_acked(&mut self, bytes: u32) -> &mut Self {
        assert_eq!(self.arrival.acked, bytes, "so far:\n{}", self.log);
        self
    }

    #[track_caller]
    pub(super) fn expect_state(&mut self, state: State) -> &mut Self {
        let found = self.tcb.as_ref().map(Tcb::state);
        assert_eq!(found, Some(state), "so far:\n{}", self.log);
        self
    }

    #[track_caller]
    pub(super) fn expect_ended(&mut self, how: Ended) -> &mut Self {
        assert_eq!(self.ended, Some(how), "so far:\n{}", self.log);
        self
    }

    /// The events so far, since the state was set up.
    #[track_caller]
    pub(super) fn expect_events(&mut self, events: &[Events]) -> &mut Self {
        assert_eq!(self.events, events, "so far:\n{}", self.log);
        self
    }

    /// The application has taken so many bytes, all of them right.
    #[track_caller]
    pub(super) fn expect_read(&mut self, bytes: u64) -> &mut Self {
        assert_eq!(self.side.taken, bytes, "so far:\n{}", self.log);
        self
    }

    #[track_caller]
    pub(super) fn expect_window(&mut self, cwnd: u32, ssthresh: u32) -> &mut Self {
        let info = self.tcb_ref().info(&self.config);
        assert_eq!((info.cwnd, info.ssthresh), (cwnd, ssthresh), "so far:\n{}", self.log);
        self
    }

    #[track_caller]
    pub(super) fn expect_rto(&mut self, rto: Duration) -> &mut Self {
        assert_eq!(self.tcb_ref().info(&self.config).rto, rto, "so far:\n{}", self.log);
        self
    }

    /// What this script came to so far, for tables: state or end, reason of the drop, what was sent.
    pub(super) fn summary(&mut self) -> String {
        let mut text = match (&self.tcb, self.ended) {
            (Some(tcb), _) => format!("{:?}", tcb.state()),
            (None, Some(ended)) => format!("{ended:?}"),
            (None, None) => String::from("gone"),
        };
        if let Some(why) = self.arrival.drop {
            text += &format!(" {why:?}");
        }
        while let Some((_, plan)) = self.sent.pop_front() {
            let names = [
                (TcpFlags::SYN, "SYN"),
                (TcpFlags::FIN, "FIN"),
                (TcpFlags::RST, "RST"),
                (TcpFlags::ACK, "ACK"),
            ];
            let flags: Vec<&str> = names
                .iter()
                .filter(|(flag, _)| plan.flags.contains(*flag))
                .map(|(_, n)| *n)
                .collect();
            text += &format!(" >{}:{}", flags.join("-"), plan.seq);
            if plan.flags.contains(TcpFlags::ACK) {
                text += &format!("/{}", plan.ack);
            }
        }
        text
    }
}

/// Makes the segment that a packet describes, its text in `bytes`.
fn segment<'a>(
    packet: &Packet,
    seq: u32,
    acknowledged: u32,
    window: u16,
    bytes: &'a mut Vec<u8>,
) -> TcpSegment<'a> {
    let seq = SeqNumber(packet.seq.unwrap_or(seq));
    bytes.extend((0..packet.len).map(|offset| byte_at(seq + offset)));
    TcpSegment {
        src_port: 4_711,
        dst_port: 80,
        seq,
        ack: if packet.flags.contains(TcpFlags::ACK) {
            SeqNumber(packet.ack.unwrap_or(acknowledged))
        } else {
            SeqNumber(0)
        },
        flags: packet.flags,
        window,
        options: TcpOptions {
            mss: packet.mss,
            window_scale: packet.scale.flatten(),
            timestamps: packet.timestamps.flatten(),
            ..TcpOptions::default()
        },
        payload: bytes,
    }
}

fn show(segment: &TcpSegment<'_>) -> String {
    format!(
        "{:?} seq {} ack {} win {} len {} {:?}",
        segment.flags,
        segment.seq,
        segment.ack,
        segment.window,
        segment.payload.len(),
        segment.options.timestamps
    )
}
