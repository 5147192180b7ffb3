//! A client as it was fitted: says what it said once it has heard what it had heard, acknowledges and
//! offers windows as it did.
//!
//! An independent and plain TCP, like the other hosts of the simulator: it must not share a fault with
//! the stack that it is there to try. Its own text it sends by slow start and sends again by a timer.

use super::model::Model;
use crate::fit::windows::WindowStep;
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{
    MacAddr, SackBlocks, TcpFlags, TcpFrame, TcpOptions, TcpSegment, Timestamps,
};
use simoom_sim::endpoint::Endpoint;
use simoom_sim::hosts::tcp_peer::station::{Segment, Station};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// Its port.
const PORT: u16 = 40_000;

/// Ranges that it holds beyond a gap, at most. A segment that finds no room is not taken.
const ISLANDS_MAX: usize = 1_024;

/// The text that it sends over and over: nobody reads it.
const TEXT: [u8; 1_460] = [b'q'; 1_460];

/// Its congestion window at first, in segments.
const SEGMENTS_AT_FIRST: u64 = 10;

/// How many times in a row it sends the same again before it gives up.
const TRIES_MAX: u32 = 15;

/// The longest retransmission timeout.
const RTO_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Over,
}

/// The client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    station: Station,
    server: SocketAddrV4,
    server_mac: MacAddr,
    model: Arc<Model>,
    phase: Phase,
    failed: Option<&'static str>,
    iss: SeqNumber,
    irs: SeqNumber,

    // Sending. Stream offsets; SYN and FIN are not among them.
    una: u64,
    nxt: u64,
    sent: u64,
    syn_tries: u32,
    /// Said so far: bytes that may be sent.
    due: u64,
    says_done: usize,
    said_at: Instant,
    /// When it had heard what the next thing to say waits for.
    heard_at: Option<Instant>,
    edge: u64,
    cwnd: u64,
    send_shift: u8,
    fin: bool,
    fin_sent: bool,
    fin_acked: bool,
    tries: u32,
    rto: Duration,
    rto_at: Instant,

    // Receiving.
    next: u64,
    islands: Vec<(u64, u64)>,
    fin_at: Option<u64>,
    had_at: Instant,
    dsack: Option<(u64, u64)>,
    latest: (u64, u64),
    offered: u64,
    receive_shift: u8,
    steps_done: usize,
    /// The step that comes next, once its time has come.
    step_at: Instant,
    window: u32,
    unacked: u32,
    ack_now: bool,
    ack_at: Instant,
    acked: u64,
    timestamps: bool,
    ts_recent: u32,
    sack: bool,

    // Turns.
    turn: usize,
    asked_at: Option<Instant>,
    /// How long each took.
    pub(super) took: Vec<Duration>,
}

impl Client {
    pub(super) fn new(
        station: Station,
        server: SocketAddrV4,
        server_mac: MacAddr,
        iss: u32,
        model: Arc<Model>,
    ) -> Self {
        let turns = model.turns.len();
        Self {
            station,
            server,
            server_mac,
            phase: Phase::Opening,
            failed: None,
            iss: SeqNumber(iss),
            irs: SeqNumber(0),
            una: 0,
            nxt: 0,
            sent: 0,
            syn_tries: 0,
            due: 0,
            says_done: 0,
            said_at: Instant::ZERO,
            heard_at: None,
            edge: 0,
            cwnd: SEGMENTS_AT_FIRST * u64::from(model.client.mss),
            send_shift: 0,
            fin: false,
            fin_sent: false,
            fin_acked: false,
            tries: 0,
            rto: model.client.rto,
            rto_at: Instant::FAR_FUTURE,
            next: 0,
            islands: Vec::new(),
            fin_at: None,
            had_at: Instant::ZERO,
            dsack: None,
            latest: (0, 0),
            offered: 0,
            receive_shift: 0,
            steps_done: 0,
            step_at: Instant::FAR_FUTURE,
            window: u32::from(model.client.syn_window),
            unacked: 0,
            ack_now: false,
            ack_at: Instant::FAR_FUTURE,
            acked: 0,
            timestamps: false,
            ts_recent: 0,
            sack: false,
            turn: 0,
            asked_at: None,
            took: Vec::with_capacity(turns),
            model,
        }
    }

    /// Whether every turn is over, or the connection is.
    pub(super) fn is_done(&self) -> bool {
        self.turn >= self.model.turns.len() || self.phase == Phase::Over
    }

    /// Why it did not get all its answers.
    pub(super) fn failure(&self) -> Option<&'static str> {
        if self.turn >= self.model.turns.len() { None } else { self.failed }
    }

    fn fail(&mut self, why: &'static str) {
        self.failed.get_or_insert(why);
        self.phase = Phase::Over;
    }

    fn on_opening(&mut self, now: Instant, tcp: &TcpSegment<'_>) {
        let wanted = TcpFlags::SYN | TcpFlags::ACK;
        if !tcp.flags.contains(TcpFlags::ACK) || tcp.ack != self.iss + 1 {
            return;
        }
        if tcp.flags.contains(TcpFlags::RST) {
            return self.fail("the server refused the connection");
        }
        if !tcp.flags.contains(wanted) {
            return;
        }
        self.phase = Phase::Open;
        self.irs = tcp.seq;
        let client = &self.model.client;
        if let (Some(ours), Some(theirs)) = (client.window_scale, tcp.options.window_scale) {
            self.receive_shift = ours;
            self.send_shift = theirs.min(14);
        }
        self.edge = u64::from(tcp.window);
        if let (true, Some(timestamps)) = (client.timestamps, tcp.options.timestamps) {
            self.timestamps = true;
            self.ts_recent = timestamps.val;
        }
        self.sack = client.sack && tcp.options.sack_permitted;
        self.rto_at = Instant::FAR_FUTURE;
        self.rto = client.rto;
        self.tries = 0;
        self.ack_now = true;
        self.had_at = now;
        self.said_at = now;
        self.follow_windows(now);
    }

    fn on_open(&mut self, now: Instant, tcp: &TcpSegment<'_>) {
        let distance = tcp.seq.since(self.irs + 1 + self.next as u32) as i32;
        let first = self.next.checked_add_signed(i64::from(distance));
        if tcp.flags.contains(TcpFlags::RST) {
            if distance == 0 || self.fin_at.is_some() {
                self.fail("the server reset the connection");
            }
            return;
        }
        if tcp.flags.contains(TcpFlags::SYN) || first.is_none() && tcp.seg_len() > 0 {
            self.ack_now = true;
            return;
        }
        if !tcp.flags.contains(TcpFlags::ACK) {
            return;
        }
        self.on_ack(now, tcp);
        let Some(first) = first else {
            self.ack_now = true;
            return;
        };
        if tcp.seg_len() == 0 {
            self.ack_now |= first < self.next;
            return;
        }
        if let (true, Some(timestamps)) = (self.timestamps, tcp.options.timestamps)
            && first <= self.acked
            && (timestamps.val.wrapping_sub(self.ts_recent) as i32) >= 0
        {
            self.ts_recent = timestamps.val;
        }
        self.on_text(now, first, tcp);
    }

    fn on_ack(&mut self, now: Instant, tcp: &TcpSegment<'_>) {
        let distance = tcp.ack.since(self.iss + 1 + self.una as u32) as i32;
        let sent = self.sent + u64::from(self.fin_sent);
        if distance < 0 || self.una + distance as u64 > sent {
            return;
        }
        let ack = self.una + distance as u64;
        self.edge = self.edge.max(ack + (u64::from(tcp.window) << self.send_shift));
        if ack == self.una {
            return;
        }
        if self.fin_sent && ack == sent {
            self.fin_acked = true;
        }
        let text = ack.min(self.sent);
        self.cwnd += text - self.una.min(text);
        self.una = text;
        self.nxt = self.nxt.max(text);
        self.tries = 0;
        self.rto = self.model.client.rto;
        let waits = self.una < self.sent || self.fin_sent && !self.fin_acked;
        self.rto_at = if waits { now + self.rto } else { Instant::FAR_FUTURE };
    }

    fn on_text(&mut self, now: Instant, first: u64, tcp: &TcpSegment<'_>) {
        let mut end = first + tcp.payload.len() as u64;
        let mut fin = tcp.flags.contains(TcpFlags::FIN);
        if end > self.offered {
            // Beyond the window: cut, and told again what there is room for.
            end = self.offered.max(first);
            fin = false;
            self.ack_now = true;
        }
        if fin {
            self.fin_at = Some(end);
            self.ack_now = true;
        }
        if end <= first {
            return;
        }
        if end <= self.next || self.islands.iter().any(|(a, b)| *a <= first && end <= *b) {
            self.dsack = Some((first, end));
            self.ack_now = true;
            return;
        }
        let had_gap = !self.islands.is_empty();
        if first > self.next {
            self.keep(first, end);
            self.latest = (first, end);
            self.ack_now = true;
            return;
        }
        self.next = end;
        while let Some(&(from, upto)) = self.islands.first()
            && from <= self.next
        {
            self.next = self.next.max(upto);
            self.islands.remove(0);
        }
        self.had_at = now;
        self.follow_windows(now);
        self.follow_turns(now);
        self.unacked += 1;
        if self.unacked >= self.model.client.ack_every || had_gap {
            self.ack_now = true;
        } else if self.ack_at == Instant::FAR_FUTURE {
            self.ack_at = now + self.model.client.ack_delay;
        }
    }

    fn keep(&mut self, from: u64, upto: u64) {
        let at = self.islands.partition_point(|island| island.1 < from);
        let behind = self.islands.partition_point(|island| island.0 <= upto);
        let joined = self.islands[at..behind].iter();
        let joined = joined.fold((from, upto), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        if at < behind || self.islands.len() < ISLANDS_MAX {
            self.islands.splice(at..behind, [joined]);
        }
    }

    /// What the capture shows of the window once so much had come.
    fn follow_windows(&mut self, now: Instant) {
        while let Some(step) = self.model.client.windows.get(self.steps_done).copied() {
            let WindowStep { upto, after, window } = step;
            if upto > self.next {
                break;
            }
            // Reached late, or long ago: what was due by then is due now.
            let since = if upto == self.next { self.had_at } else { now };
            let due = if after > 0 { since + Duration::from_nanos(after) } else { now };
            if due > now && upto == self.next {
                self.step_at = due;
                return;
            }
            self.steps_done += 1;
            if after > 0 && window > self.window {
                self.ack_now = true;
            }
            self.window = window;
        }
        self.step_at = Instant::FAR_FUTURE;
    }

    fn follow_turns(&mut self, now: Instant) {
        while let Some(turn) = self.model.turns.get(self.turn)
            && turn.response_upto <= self.next
        {
            let asked_at = self.asked_at.take().unwrap_or(self.said_at);
            self.took.push(now - asked_at);
            self.turn += 1;
            self.had_at = now;
        }
    }

    /// Says what is due; answers when the next is.
    fn converse(&mut self, now: Instant) -> Instant {
        let model = Arc::clone(&self.model);
        let mut next_at = Instant::FAR_FUTURE;
        while let Some(said) = model.says.get(self.says_done) {
            if said.after > self.next {
                break;
            }
            let heard_at = *self.heard_at.get_or_insert(now);
            let at = heard_at.max(self.said_at) + Duration::from_nanos(said.think);
            if at > now {
                next_at = at;
                break;
            }
            self.says_done += 1;
            self.heard_at = None;
            self.said_at = now;
            self.due = model.says.get(self.says_done).map_or(model.client_bytes, |next| next.from);
        }
        if self.asked_at.is_none()
            && let Some(turn) = model.turns.get(self.turn)
            && turn.request_upto > turn.request_from
            && self.due > turn.request_from
        {
            self.asked_at = Some(self.said_at);
        }
        let all_said = self.says_done == model.says.len();
        let all_heard = self.turn == model.turns.len();
        self.fin |= all_said && all_heard;
        next_at
    }

    fn send_all(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) {
        let mss = u64::from(self.model.client.mss).min(TEXT.len() as u64);
        let mss = mss - if self.timestamps { 12 } else { 0 };
        while self.nxt < self.due {
            let room = self.edge.min(self.una + self.cwnd).saturating_sub(self.nxt);
            let n = mss.min(self.due - self.nxt).min(room);
            if n == 0 {
                break;
            }
            self.emit(now, TcpFlags::ACK | TcpFlags::PSH, self.nxt, n as usize, out);
            self.nxt += n;
            self.sent = self.sent.max(self.nxt);
        }
        if self.fin && !self.fin_sent && self.nxt == self.due {
            self.fin_sent = true;
            self.emit(now, TcpFlags::ACK | TcpFlags::FIN, self.nxt, 0, out);
        }
        let waits = self.una < self.due || self.fin_sent && !self.fin_acked;
        if waits && self.rto_at == Instant::FAR_FUTURE {
            self.rto_at = now + self.rto;
        }
        if self.ack_now {
            self.emit(now, TcpFlags::ACK, self.snd_nxt(), 0, out);
        }
    }

    fn snd_nxt(&self) -> u64 {
        self.nxt + u64::from(self.fin_sent)
    }

    fn on_timeout(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) {
        self.tries += 1;
        if self.tries > TRIES_MAX {
            return self.fail("the client gave up");
        }
        self.rto = self.rto.saturating_mul(2).min(RTO_MAX);
        self.rto_at = now + self.rto;
        self.nxt = self.una;
        self.cwnd = u64::from(self.model.client.mss);
        if self.una < self.due {
            // One segment, even into a closed window.
            let mss = u64::from(self.model.client.mss).min(TEXT.len() as u64) - 12;
            let open = self.edge.saturating_sub(self.nxt).max(1);
            let n = mss.min(self.due - self.nxt).min(open);
            self.emit(now, TcpFlags::ACK | TcpFlags::PSH, self.nxt, n as usize, out);
            self.nxt += n;
            self.sent = self.sent.max(self.nxt);
        } else if self.fin_sent {
            self.emit(now, TcpFlags::ACK | TcpFlags::FIN, self.nxt, 0, out);
        }
    }

    fn send_syn(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) {
        self.syn_tries += 1;
        if self.syn_tries > 7 {
            return self.fail("the client's SYN was not answered");
        }
        let client = &self.model.client;
        let segment = Segment {
            src_port: PORT,
            dst_port: self.server.port(),
            seq: self.iss,
            ack: SeqNumber(0),
            flags: TcpFlags::SYN,
            window: client.syn_window,
            options: TcpOptions {
                mss: Some(client.mss),
                window_scale: client.window_scale,
                sack_permitted: client.sack,
                timestamps: client.timestamps.then(|| Timestamps { val: clock(now), ecr: 0 }),
                sack: SackBlocks::default(),
            },
        };
        self.offered = u64::from(client.syn_window);
        self.rto_at = now + Duration::from_secs(1).saturating_mul(1 << (self.syn_tries - 1));
        self.station.send(self.server_mac, *self.server.ip(), &segment, &[], out);
    }

    fn emit(
        &mut self,
        now: Instant,
        flags: TcpFlags,
        from: u64,
        len: usize,
        out: &mut dyn FnMut(&[u8]),
    ) {
        let fin_came = self.fin_at == Some(self.next);
        let window = self.announce();
        let at = |offset: u64| self.irs + 1 + offset as u32;
        let mut sack = SackBlocks::default();
        if self.sack {
            let dsack = self.dsack.take();
            let latest = self.islands.iter().find(|i| i.0 <= self.latest.0 && self.latest.1 <= i.1);
            let rest = self.islands.iter().filter(|island| Some(*island) != latest);
            // As many as there is room for beside timestamps. RFC 2018 §3.
            let room = if self.timestamps { 3 } else { 4 };
            for (left, right) in dsack.iter().chain(latest).chain(rest).take(room) {
                if !sack.push(at(*left), at(*right)) {
                    break;
                }
            }
        }
        let stamps = || Timestamps { val: clock(now), ecr: self.ts_recent };
        let timestamps = self.timestamps.then(stamps);
        let segment = Segment {
            src_port: PORT,
            dst_port: self.server.port(),
            seq: self.iss + 1 + from as u32,
            ack: at(self.next) + u32::from(fin_came),
            flags,
            window,
            options: TcpOptions { timestamps, sack, ..TcpOptions::default() },
        };
        self.acked = self.next;
        self.unacked = 0;
        self.ack_now = false;
        self.ack_at = Instant::FAR_FUTURE;
        self.station.send(self.server_mac, *self.server.ip(), &segment, &TEXT[..len], out);
    }

    /// The window field. Never takes back what was offered.
    fn announce(&mut self) -> u16 {
        let shift = self.receive_shift;
        let most = 65_535u64 << shift;
        let room = u64::from(self.window).max(self.offered.saturating_sub(self.next)).min(most);
        let field = match self.offered.saturating_sub(self.next) {
            still if still >= room => still.div_ceil(1 << shift),
            _ => room >> shift,
        };
        let mut field = field.min(65_535);
        if self.next + (field << shift) < self.offered {
            field = (self.offered - self.next).div_ceil(1 << shift).min(65_535);
        }
        self.offered = self.offered.max(self.next + (field << shift));
        field as u16
    }
}

impl Endpoint for Client {
    fn on_frame(&mut self, now: Instant, frame: &[u8]) {
        let server = self.server;
        let is_ours = |frame: &TcpFrame<'_>| {
            frame.ip.src == *server.ip()
                && frame.tcp.src_port == server.port()
                && frame.tcp.dst_port == PORT
        };
        let Some(frame) = self.station.on_frame(frame).filter(is_ours) else { return };
        match self.phase {
            Phase::Opening => self.on_opening(now, &frame.tcp),
            Phase::Open => self.on_open(now, &frame.tcp),
            Phase::Over => {}
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station.poll(out);
        match self.phase {
            Phase::Over => return None,
            Phase::Opening => {
                if self.syn_tries == 0 || self.rto_at <= now {
                    self.send_syn(now, out);
                }
                return (self.phase == Phase::Opening).then_some(self.rto_at);
            }
            Phase::Open => {}
        }
        if self.rto_at <= now {
            self.on_timeout(now, out);
        }
        if self.step_at <= now {
            self.follow_windows_due(now);
        }
        self.ack_now |= self.ack_at <= now;
        let mut next_at = self.converse(now);
        self.send_all(now, out);
        if self.fin_acked && self.fin_at == Some(self.next) {
            self.phase = Phase::Over;
            return None;
        }
        if self.fin_at == Some(self.next) && !self.is_done() {
            self.fail("the server closed before the last answer");
        }
        next_at = next_at.min(self.rto_at).min(self.ack_at).min(self.step_at);
        (next_at != Instant::FAR_FUTURE).then_some(next_at)
    }

    fn describe(&self) -> String {
        format!(
            "a fitted client: {} of {} turns, {} bytes heard, {} said",
            self.turn,
            self.model.turns.len(),
            self.next,
            self.due
        )
    }
}

impl Client {
    /// The time of a step has come.
    fn follow_windows_due(&mut self, now: Instant) {
        let Some(step) = self.model.client.windows.get(self.steps_done).copied() else {
            self.step_at = Instant::FAR_FUTURE;
            return;
        };
        self.steps_done += 1;
        self.ack_now |= step.window > self.window;
        self.window = step.window;
        self.follow_windows(now);
    }
}

/// The clock of timestamps: milliseconds.
fn clock(now: Instant) -> u32 {
    now.as_millis() as u32
}
