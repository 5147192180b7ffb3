//! The script: one connection of ours, and a peer whose every packet the test writes.
//!
//! What the connection sends is kept with its time until `expect` takes it. Whatever is sent is
//! held to the peer's window, the connection's own `audit` runs after every step, and each step on
//! a straight path is taken on the long one too: both must come to the same.

use super::packet::*;
use super::take_one;
use crate::seq::SeqNumber;
use crate::tcp::reset_for;
use crate::tcp::{
    Arrival, Config, Drop, Ended, Events, Output, Reassembly, SegmentPlan, State, Taken, Tcb,
    TextSink,
};
use crate::time::{Duration, Instant};
use crate::wire::tcp::{TcpFlags, TcpSegment, Timestamps};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::ops::Range;

/// The application of the script's connection, with its receive buffer.
#[derive(Clone)]
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
        let beyond_hole = self.list.beyond_hole();
        let advance = self.list.insert(&mut self.store, at, bytes);
        let fills_gap = advance > 0 && beyond_hole > 0;
        if self.eager {
            self.take(self.list.ready());
        }
        Taken { advance, unread: self.list.ready(), fills_gap }
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
        Self::passive_from(config, syn, ISS)
    }

    fn passive_from(config: Config, syn: Packet, iss: u32) -> Self {
        let mut bytes = Vec::new();
        let window = syn.window.unwrap_or(60_000);
        let segment = segment(&syn, IRS, 0, window, &mut bytes);
        let iss = SeqNumber(iss);
        let tcb = Tcb::open_passive(&config, Instant::ZERO, &segment, iss, TS_OFFSET);
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
        Self::accepted_from(config, ISS)
    }

    /// The same with another initial sequence number of ours.
    pub(super) fn accepted_from(config: Config, iss: u32) -> Self {
        let mut p = Self::passive_from(config, syn(IRS).mss(1_000), iss);
        p.expect(syn_ack(iss, IRS + 1));
        p.at(ms(100))
            .recv(ack(iss.wrapping_add(1)))
            .expect_state(State::Established)
            .then_silence();
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
        let before = self.tcb_ref().info(&self.config);
        self.note_peer(&segment);
        self.note_edge(&segment, before.snd_una, before.snd_max);
        let Self { tcb, side, config, now, .. } = self;
        let tcb = tcb.as_mut().expect("the connection is over");
        let mut twin = (tcb.clone(), side.clone());
        self.arrival = tcb.on_segment(config, *now, &segment, side);
        let slowly = twin.0.on_any_segment(config, *now, &segment, &mut twin.1);
        assert_eq!((&self.arrival, &*tcb), (&slowly, &twin.0), "so far:\n{}", self.log);
        if before.state == State::SynSent && tcb.state() != State::SynSent {
            side.next = segment.seq + 1;
        }
        if self.arrival.events != Events::NONE {
            self.events.push(self.arrival.events);
        }
        if let Some(reply) = self.arrival.asks_for_reset().then(|| reset_for(&segment)).flatten() {
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
        }
        let end = segment.seq + segment.seg_len();
        if segment.seq == SeqNumber(self.peer_seq) {
            self.peer_seq = end.0;
        }
    }

    /// How far the peer lets us send, by the acknowledgements that mean something.
    fn note_edge(&mut self, segment: &TcpSegment<'_>, una: SeqNumber, max: SeqNumber) {
        if !segment.flags.contains(TcpFlags::ACK) || segment.ack.lt(una) || segment.ack.gt(max) {
            return;
        }
        let shift = if segment.flags.contains(TcpFlags::SYN) { 0 } else { self.peer_shift };
        let edge = segment.ack + (u32::from(segment.window) << shift);
        self.edge = Some(self.edge.map_or(edge, |before| before.max(edge)));
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
            let mut twin = tcb.clone();
            let output = tcb.poll_output(config, *now);
            let slowly = twin.poll_any_output(config, *now);
            assert_eq!((&output, &*tcb), (&slowly, &twin), "so far:\n{}", self.log);
            let Some(output) = output else { break };
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
                let plan = take_one(tcb, config, *now, len as u32, ends && side.ended, ends);
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
        let Some(edge) = self.edge.filter(|_| plan.len > 0) else { return };
        let end = plan.seq + plan.len;
        let beyond = if end.gt(edge) { end.since(edge) } else { 0 };
        let probe = plan.len == 1 && beyond == 1;
        assert!(beyond == 0 || probe, "{beyond} bytes beyond the window:\n{}", self.log);
    }

    /// Whether the connection is gone.
    pub(super) fn is_over(&self) -> bool {
        self.tcb.is_none()
    }

    /// A segment whose number and acknowledgement are off by so much from RCV.NXT and SND.UNA.
    pub(super) fn recv_near(
        &mut self,
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        len: u32,
        stamps: Option<(u32, u32)>,
    ) -> &mut Self {
        let info = self.tcb_ref().info(&self.config);
        let stamps = stamps.map(|(val, ecr)| Timestamps { val, ecr });
        self.recv(Packet {
            flags: TcpFlags(flags),
            seq: Some(info.rcv_nxt.0.wrapping_add_signed(seq)),
            ack: Some(info.snd_una.0.wrapping_add_signed(ack)),
            window: Some(window),
            len,
            timestamps: stamps.map(Some),
            ..Packet::default()
        })
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&mut self, millis: u64) -> &mut Self {
        let later = self.now + Duration::from_millis(millis);
        self.at(later)
    }

    /// The application takes all that waits.
    pub(super) fn read_all(&mut self) -> &mut Self {
        self.read(self.side.list.ready())
    }

    /// What was sent and not expected so far.
    pub(super) fn take_sent(&mut self) -> Vec<SegmentPlan> {
        self.sent.drain(..).map(|(_, plan)| plan).collect()
    }

    /// The peer acknowledges everything sent, again and again 10 ms later, until nothing comes.
    pub(super) fn acknowledge_all(&mut self) -> &mut Self {
        while let Some((_, last)) = self.sent.back() {
            let fin = u32::from(last.flags.contains(TcpFlags::FIN));
            let upto = last.seq + last.len + fin;
            self.sent.clear();
            let later = self.now + Duration::from_millis(10);
            self.at(later).recv(ack(upto.0));
        }
        self
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
        self.expect_run_at(numbers.start, numbers.end - numbers.start)
    }

    /// The same for so many numbers from one on.
    #[track_caller]
    pub(super) fn expect_run_at(&mut self, number: u32, len: u32) -> &mut Self {
        let mss = self.tcb_ref().mss();
        for at in (0..len).step_by(mss as usize) {
            self.expect(data_at(number.wrapping_add(at), mss.min(len - at)));
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

    /// The same, with FIN on the last of them.
    #[track_caller]
    pub(super) fn expect_run_with_fin(&mut self, numbers: Range<u32>) -> &mut Self {
        let mss = self.tcb_ref().mss();
        let last = numbers.start + (numbers.end - numbers.start - 1) / mss * mss;
        self.expect_run(numbers.start..last).expect(data(last..numbers.end).fin())
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

    /// RCV.WND.
    #[track_caller]
    pub(super) fn expect_window_of_ours(&mut self, bytes: u32) -> &mut Self {
        assert_eq!(self.tcb_ref().info(&self.config).rcv_wnd, bytes, "so far:\n{}", self.log);
        self
    }

    /// The peer's text begins at another number than 5001.
    pub(super) fn starts_reading_at(&mut self, number: u32) -> &mut Self {
        self.side.next = SeqNumber(number);
        self.peer_seq = number;
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
