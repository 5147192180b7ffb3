//! A client's end of one connection: asks, receives, acknowledges, closes, by its [`Manners`].
//!
//! Numbers of what this side sends are counted from its SYN, which is 0; offsets of what comes, from the first
//! byte of the stream. There is no congestion control and no measurement: what it sends is a few requests.

use super::answers::{Answers, Request};
use super::arrived::{Arrived, Came};
use super::manners::{Acknowledging, Closing, Manners, Reading};
use super::station::{Segment, Station};
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{MacAddr, SackBlocks, TcpFlags, TcpOptions, TcpSegment, Timestamps};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// The longest retransmission timeout.
const RTO_MAX: Duration = Duration::from_secs(60);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnEnd {
    /// FIN both ways, and both acknowledged.
    Closed,
    /// The server's RST.
    Reset,
    /// RST instead of SYN-ACK.
    Refused,
    /// Our RST, as [`Closing::Abort`] asks.
    Aborted,
    /// Our silence, as [`Closing::Vanish`] asks.
    Vanished,
    /// Our RST, because what came makes no sense.
    Malformed,
    /// The server's FIN before the last answer was whole.
    CutOff,
}

/// A request that was answered in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which connection of its host, from 0 in the order of their opening.
    pub connection: u32,
    /// Which request of the connection, from 0.
    pub request: u32,
    /// When the SYN was first sent.
    pub opened_at: Instant,
    /// When the request was first sent.
    pub asked_at: Instant,
    /// When the first byte of the answer was there in order.
    pub first_byte_at: Instant,
    /// When the last byte was read.
    pub done_at: Instant,
    /// Whether it was what was expected.
    pub is_right: bool,
}

/// What the connections of a host have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnStats {
    /// SYNs sent for the first time.
    pub opened: u64,
    /// Connections that reached ESTABLISHED.
    pub established: u64,
    /// Ended as [`ConnEnd::Closed`].
    pub closed: u64,
    /// Ended in any other way.
    pub broken: u64,
    /// Requests made.
    pub requests: u64,
    /// Answers that were whole and right.
    pub succeeded: u64,
    /// Segments that came.
    pub segments_in: u64,
    /// Segments of text that came in order.
    pub in_order: u64,
    /// Segments of text that came beyond a gap.
    pub beyond_gap: u64,
    /// Segments of text that had come before.
    pub repeated: u64,
    /// Bytes refused because they lie beyond the window that was last announced.
    pub beyond_window_bytes: u64,
    /// Resets that came and were not at the one number that counts (RFC 5961 §3.2).
    pub resets_ignored: u64,
    /// Segments sent, text or not.
    pub segments_out: u64,
    /// Of them without text, SYN and FIN.
    pub acks_out: u64,
    /// Retransmission timeouts of this side.
    pub timeouts: u64,
    /// Times that the window announced was zero.
    pub zero_windows: u64,
    /// Times that window was taken back.
    pub shrunk: u64,
}

/// What a connection is given to work with.
pub(crate) struct Means<'a> {
    pub(crate) station: &'a mut Station,
    pub(crate) dst_mac: MacAddr,
    pub(crate) server: SocketAddrV4,
    pub(crate) manners: &'a Manners,
    pub(crate) requests: &'a [Request],
    pub(crate) stats: &'a mut ConnStats,
    pub(crate) completions: &'a mut Vec<Completion>,
    pub(crate) completions_max: usize,
    pub(crate) out: &'a mut dyn FnMut(&[u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A SYN is to be sent, or was.
    Opening,
    Open,
    Ended(ConnEnd),
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    number: u32,
    local_port: u16,
    phase: Phase,
    iss: SeqNumber,
    irs: SeqNumber,

    /// The oldest number not acknowledged.
    una: u64,
    /// The next number to send: goes back to `una` at a timeout.
    nxt: u64,
    /// Behind the last number ever sent.
    sent: u64,
    /// Text from number `text_from` on, to be sent or acknowledged.
    text: Vec<u8>,
    text_from: u64,
    /// FIN follows the text.
    fin: bool,
    /// Behind the last number that the server's window allows.
    send_edge: u64,
    send_scale: u8,
    rto: Duration,
    rto_at: Instant,
    /// A timeout allows one byte into a closed window.
    probing: bool,

    arrived: Arrived,
    /// Where the server's stream ends, once its FIN came.
    fin_at: Option<u64>,
    /// Bytes beyond a gap whose meaning is not known yet.
    held: BTreeMap<u64, Vec<u8>>,
    receive_scale: u8,
    /// Offset behind the last byte that we have announced to take.
    edge: u64,
    /// Segments of text since the last acknowledgement.
    unacked: u32,
    ack_now: bool,
    ack_at: Instant,
    /// The offset that was last acknowledged, with the FIN if it came.
    acked: u64,
    timestamps: bool,
    ts_recent: u32,
    sack: bool,

    answers: Answers,
    /// Requests made.
    asked: u32,
    /// The answer to the last of them has not been read to its end.
    waiting: bool,
    /// Offset up to which the application has read.
    read: u64,
    read_at: Instant,
    stalled: bool,
    /// Window is taken back until then.
    shrunk_until: Instant,
    /// Offset of the next time.
    shrink_at: u64,
    ask_at: Instant,
    /// Bytes of the present request that are handed over one by one.
    drip_from: usize,
    drip_at: Instant,
    opened_at: Instant,
    asked_at: Instant,
    first_byte_at: Option<Instant>,
}

impl Conn {
    /// Connection `number` of its host, whose SYN is sent at the next poll.
    pub(crate) fn new(
        number: u32,
        local_port: u16,
        iss: u32,
        now: Instant,
        manners: &Manners,
    ) -> Self {
        Self {
            number,
            local_port,
            phase: Phase::Opening,
            iss: SeqNumber(iss),
            irs: SeqNumber(0),
            una: 0,
            nxt: 0,
            sent: 0,
            text: Vec::new(),
            text_from: 1,
            fin: false,
            send_edge: 0,
            send_scale: 0,
            rto: manners.rto,
            rto_at: Instant::FAR_FUTURE,
            probing: false,
            arrived: Arrived::default(),
            fin_at: None,
            held: BTreeMap::new(),
            receive_scale: 0,
            edge: 0,
            unacked: 0,
            ack_now: false,
            ack_at: Instant::FAR_FUTURE,
            acked: 0,
            timestamps: false,
            ts_recent: 0,
            sack: false,
            answers: Answers::new(manners.verify_one_in),
            asked: 0,
            waiting: false,
            read: 0,
            read_at: Instant::FAR_FUTURE,
            stalled: false,
            shrunk_until: Instant::ZERO,
            shrink_at: manners.shrinking.map_or(u64::MAX, |s| s.after),
            ask_at: Instant::FAR_FUTURE,
            drip_from: 0,
            drip_at: Instant::FAR_FUTURE,
            opened_at: now,
            asked_at: now,
            first_byte_at: None,
        }
    }

    /// How it ended, if it did.
    pub(crate) fn end(&self) -> Option<ConnEnd> {
        match self.phase {
            Phase::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Bytes of the stream that have come without a gap.
    pub(crate) fn came(&self) -> u64 {
        self.arrived.next()
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// When to poll it, if nothing comes.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Instant {
        match self.phase {
            Phase::Opening if self.sent == 0 => Instant::ZERO,
            Phase::Ended(_) => Instant::FAR_FUTURE,
            _ => {
                let shrunk = match self.shrunk_until {
                    Instant::ZERO => Instant::FAR_FUTURE,
                    until => until,
                };
                let receive = self.ack_at.min(self.read_at).min(shrunk);
                self.rto_at.min(receive).min(self.ask_at).min(self.drip_at)
            }
        }
    }

    /// A segment of this connection came.
    #[inline]
    pub(crate) fn on_segment(
        &mut self,
        now: Instant,
        tcp: &TcpSegment<'_>,
        manners: &Manners,
        stats: &mut ConnStats,
    ) {
        match self.phase {
            Phase::Opening => self.on_opening(now, tcp, manners, stats),
            Phase::Open => self.on_open(now, tcp, manners, stats),
            // In TIME-WAIT a FIN that comes again is acknowledged again.
            Phase::Ended(ConnEnd::Closed | ConnEnd::CutOff) => self.ack_now = tcp.seg_len() > 0,
            Phase::Ended(_) => {}
        }
    }

    fn on_opening(
        &mut self,
        now: Instant,
        tcp: &TcpSegment<'_>,
        manners: &Manners,
        stats: &mut ConnStats,
    ) {
        stats.segments_in += 1;
        if !tcp.flags.contains(TcpFlags::ACK) || tcp.ack != self.iss + 1 || self.sent == 0 {
            return;
        }
        if tcp.flags.contains(TcpFlags::RST) {
            return self.finish(ConnEnd::Refused, stats);
        }
        if !tcp.flags.contains(TcpFlags::SYN) {
            return;
        }
        stats.established += 1;
        self.phase = Phase::Open;
        self.irs = tcp.seq;
        (self.una, self.nxt) = (1, 1);
        self.send_edge = 1 + u64::from(tcp.window);
        if let (Some(ours), Some(theirs)) = (manners.window_scale, tcp.options.window_scale) {
            self.receive_scale = ours;
            self.send_scale = theirs.min(14);
        }
        if let (true, Some(timestamps)) = (manners.timestamps, tcp.options.timestamps) {
            self.timestamps = true;
            self.ts_recent = timestamps.val;
        }
        self.sack = manners.sack && tcp.options.sack_permitted;
        self.rto = manners.rto;
        self.rto_at = Instant::FAR_FUTURE;
        self.ack_now = true;
        self.ask_at = now;
    }

    #[inline]
    fn on_open(
        &mut self,
        now: Instant,
        tcp: &TcpSegment<'_>,
        manners: &Manners,
        stats: &mut ConnStats,
    ) {
        stats.segments_in += 1;
        // Distances of less than 2³¹ from what comes next: offset -1 is the SYN.
        let next = self.arrived.next();
        let distance = tcp.seq.since(self.irs + 1 + next as u32) as i32;
        let first = next.checked_add_signed(i64::from(distance));
        if tcp.flags.contains(TcpFlags::RST) {
            if tcp.seq == self.seq_of_ack() {
                self.finish(ConnEnd::Reset, stats);
            } else {
                stats.resets_ignored += 1;
            }
            return;
        }
        if tcp.flags.contains(TcpFlags::SYN) {
            self.ack_now = true; // Our ACK of it was lost.
            return;
        }
        if !tcp.flags.contains(TcpFlags::ACK) {
            return;
        }
        self.on_ack(now, tcp, manners);
        if tcp.seg_len() == 0 {
            // A keep-alive asks from below the window. RFC 9293 §3.8.4.
            self.ack_now |= first.is_none_or(|first| first < next);
            return;
        }
        let Some(first) = first else {
            self.ack_now = true;
            return;
        };
        if let (true, Some(timestamps)) = (self.timestamps, tcp.options.timestamps)
            && first <= self.acked
            && (timestamps.val.wrapping_sub(self.ts_recent) as i32) >= 0
        {
            self.ts_recent = timestamps.val; // RFC 7323 §4.3.
        }
        self.on_text(now, first, tcp, manners, stats);
    }

    #[inline]
    fn on_ack(&mut self, now: Instant, tcp: &TcpSegment<'_>, manners: &Manners) {
        let distance = tcp.ack.since(self.iss + self.una as u32) as i32;
        if distance < 0 || self.una + distance as u64 > self.sent {
            return;
        }
        let ack = self.una + distance as u64;
        self.send_edge = ack + (u64::from(tcp.window) << self.send_scale);
        if distance == 0 {
            return;
        }
        self.una = ack;
        self.nxt = self.nxt.max(ack);
        let acked = (ack.saturating_sub(self.text_from) as usize).min(self.text.len());
        self.text.drain(..acked);
        self.text_from += acked as u64;
        self.rto = manners.rto;
        self.rto_at = if self.una < self.sent { now + self.rto } else { Instant::FAR_FUTURE };
    }

    #[inline]
    fn on_text(
        &mut self,
        now: Instant,
        first: u64,
        tcp: &TcpSegment<'_>,
        manners: &Manners,
        stats: &mut ConnStats,
    ) {
        let mut text = tcp.payload;
        let mut fin = tcp.flags.contains(TcpFlags::FIN);
        let mut end = first + text.len() as u64;
        if end > self.edge {
            let kept = self.edge.saturating_sub(first).min(text.len() as u64);
            stats.beyond_window_bytes += text.len() as u64 - kept;
            if kept < text.len() as u64 {
                text = &text[..kept as usize];
                end = first + kept;
                fin = false;
                self.ack_now = true;
            }
        }
        if fin {
            self.fin_at = Some(end);
            self.ack_now = true;
        }
        if text.is_empty() {
            return;
        }
        let next = self.arrived.next();
        let had_gap = !self.arrived.islands().is_empty();
        match self.arrived.insert(first, end) {
            Came::Before => {
                stats.repeated += 1;
                self.ack_now = true;
            }
            Came::BeyondGap => {
                stats.beyond_gap += 1;
                self.ack_now = true;
                if !self.answers.check_early(first, text) {
                    self.held.insert(first, text.to_vec());
                }
            }
            Came::InOrder(upto) => {
                stats.in_order += 1;
                self.first_byte_at.get_or_insert(now);
                self.answers.read(&text[(next - first) as usize..]);
                if upto > end {
                    self.read_held(end, upto);
                }
                self.on_in_order(now, had_gap, manners);
            }
        }
    }

    /// Reads what had come beyond a gap: `at..upto`.
    fn read_held(&mut self, mut at: u64, upto: u64) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() < upto
        {
            let (first, bytes) = entry.remove_entry();
            let end = first + bytes.len() as u64;
            if end <= at {
                continue;
            }
            if first > at {
                self.answers.skip(first - at);
                at = first;
            }
            self.answers.read(&bytes[(at - first) as usize..]);
            at = end;
        }
        self.answers.skip(upto - at);
    }

    #[inline]
    fn on_in_order(&mut self, now: Instant, had_gap: bool, manners: &Manners) {
        match manners.acknowledging {
            Acknowledging::Delayed { every, delay } => {
                self.unacked += 1;
                if self.unacked >= every || had_gap {
                    self.ack_now = true;
                } else if self.ack_at == Instant::FAR_FUTURE {
                    self.ack_at = now + delay;
                }
            }
            Acknowledging::Divided { .. } => self.ack_now = true,
        }
        match manners.reading {
            Reading::AtOnce => self.read = self.arrived.next(),
            Reading::Slow { bytes_per_second, chunk, .. } => {
                if self.read_at == Instant::FAR_FUTURE {
                    self.read_at = now + time_of_chunk(chunk, bytes_per_second);
                }
            }
        }
    }

    /// Does what is due and sends what there is to send.
    #[inline]
    pub(crate) fn poll(&mut self, now: Instant, means: &mut Means<'_>) {
        match self.phase {
            Phase::Opening => return self.poll_opening(now, means),
            Phase::Open => {}
            Phase::Ended(_) => {
                if std::mem::take(&mut self.ack_now) {
                    self.send(now, TcpFlags::ACK, self.nxt, 0, means);
                }
                return;
            }
        }
        if self.rto_at <= now {
            means.stats.timeouts += 1;
            self.rto = self.rto.saturating_mul(2).min(RTO_MAX);
            self.nxt = self.una;
            self.probing = true;
            self.rto_at = Instant::FAR_FUTURE;
        }
        if self.ack_at <= now {
            self.ack_now = true;
        }
        if self.read_at <= now {
            self.read_on(now, means.manners);
        }
        if means.manners.shrinking.is_some() {
            self.shrink(now, means);
        }
        self.converse(now, means);
        if let Phase::Open = self.phase {
            self.send_text(now, means);
            self.finish_if_over(means.stats);
        }
    }

    fn poll_opening(&mut self, now: Instant, means: &mut Means<'_>) {
        if self.sent == 0 {
            means.stats.opened += 1;
            self.opened_at = now;
        } else if self.rto_at <= now {
            means.stats.timeouts += 1;
            self.rto = self.rto.saturating_mul(2).min(RTO_MAX);
        } else {
            return;
        }
        let manners = means.manners;
        let options = TcpOptions {
            mss: Some(manners.mss),
            window_scale: manners.window_scale,
            sack_permitted: manners.sack,
            timestamps: manners.timestamps.then(|| Timestamps { val: clock(now), ecr: 0 }),
            sack: SackBlocks::default(),
        };
        let window = manners.window.min(65_535);
        let segment = Segment {
            src_port: self.local_port,
            dst_port: means.server.port(),
            seq: self.iss,
            ack: SeqNumber(0),
            flags: TcpFlags::SYN,
            window: window as u16,
            options,
        };
        (self.nxt, self.sent) = (1, 1);
        self.edge = u64::from(window);
        self.rto_at = now + self.rto;
        means.stats.segments_out += 1;
        means.station.send(means.dst_mac, *means.server.ip(), &segment, &[], means.out);
    }

    /// The application's part: answers that are whole, the next request, the end.
    #[inline]
    fn converse(&mut self, now: Instant, means: &mut Means<'_>) {
        let came = self.arrived.next();
        match means.manners.closing {
            Closing::Abort { after } if came >= after => {
                self.send(now, TcpFlags::RST | TcpFlags::ACK, self.nxt, 0, means);
                return self.finish(ConnEnd::Aborted, means.stats);
            }
            Closing::Vanish { after } if came >= after => {
                return self.finish(ConnEnd::Vanished, means.stats);
            }
            _ => {}
        }
        if self.answers.wrongs.malformed > 0 {
            self.send(now, TcpFlags::RST | TcpFlags::ACK, self.nxt, 0, means);
            return self.finish(ConnEnd::Malformed, means.stats);
        }
        if self.waiting
            && let Some(is_right) = self.answers.take_finished(self.read)
        {
            self.complete(now, is_right, means);
        }
        if self.ask_at <= now && !self.fin {
            self.ask_at = Instant::FAR_FUTURE;
            self.ask(now, means);
        }
        if self.drip_at <= now {
            self.drip(now, means);
        }
        if self.fin_came() && !self.fin {
            // Whatever was still to be asked will not be answered.
            self.fin = true;
            self.ask_at = Instant::FAR_FUTURE;
            self.drip_at = Instant::FAR_FUTURE;
        }
    }

    fn complete(&mut self, now: Instant, is_right: bool, means: &mut Means<'_>) {
        self.waiting = false;
        means.stats.succeeded += u64::from(is_right);
        if means.completions.len() < means.completions_max {
            means.completions.push(Completion {
                connection: self.number,
                request: self.asked - 1,
                opened_at: self.opened_at,
                asked_at: self.asked_at,
                first_byte_at: self.first_byte_at.unwrap_or(now),
                done_at: now,
                is_right,
            });
        }
        self.first_byte_at = None;
        if !self.fin {
            self.ask_at = now + means.manners.think;
        }
    }

    fn ask(&mut self, now: Instant, means: &mut Means<'_>) {
        let Some(request) = means.requests.get(self.asked as usize) else {
            self.fin |= means.manners.closing == Closing::AfterAnswers;
            return;
        };
        self.asked += 1;
        self.asked_at = now;
        self.waiting = true;
        means.stats.requests += 1;
        self.answers.expect(request.expected.clone());
        if means.manners.drip.is_some() {
            self.drip_from = 0;
            self.drip_at = now;
            return;
        }
        self.text.extend_from_slice(&request.bytes);
        let is_last = self.asked as usize == means.requests.len();
        self.fin |= is_last && means.manners.closing == Closing::BehindRequests;
        // An answer of no bytes is there already.
        if let Some(is_right) = self.answers.take_finished(self.read) {
            self.complete(now, is_right, means);
        }
    }

    /// Hands over one more byte of the present request.
    fn drip(&mut self, now: Instant, means: &Means<'_>) {
        self.drip_at = Instant::FAR_FUTURE;
        let request = &means.requests[self.asked as usize - 1];
        let Some(byte) = request.bytes.get(self.drip_from) else { return };
        self.text.push(*byte);
        self.drip_from += 1;
        if self.drip_from < request.bytes.len()
            && let Some(every) = means.manners.drip
        {
            self.drip_at = now + every;
        } else {
            let is_last = self.asked as usize == means.requests.len();
            self.fin |= is_last && means.manners.closing == Closing::BehindRequests;
        }
    }

    /// The application takes a chunk.
    fn read_on(&mut self, now: Instant, manners: &Manners) {
        let Reading::Slow { bytes_per_second, chunk, stall, silly } = manners.reading else {
            return;
        };
        let came = self.arrived.next();
        let mut upto = came.min(self.read + u64::from(chunk));
        let mut pause = (upto < came).then(|| time_of_chunk(chunk, bytes_per_second));
        if let Some((at, time)) = stall
            && !self.stalled
            && upto >= at
        {
            self.stalled = true;
            upto = upto.min(at.max(self.read));
            pause = Some(time);
        }
        self.read = upto;
        self.read_at = pause.map_or(Instant::FAR_FUTURE, |pause| now + pause);
        // RFC 9293 §3.8.6.2.2: the window opens by a segment, or half of the buffer, or not at all.
        let step = if silly { 1 } else { u32::from(manners.mss).min(manners.window / 2).max(1) };
        let could = self.could_announce(manners);
        if could >= self.edge + u64::from(step) {
            self.ack_now = true;
        }
    }

    /// Takes window back, and gives it again.
    fn shrink(&mut self, now: Instant, means: &mut Means<'_>) {
        let Some(shrinking) = means.manners.shrinking else { return };
        if self.shrunk_until != Instant::ZERO && self.shrunk_until <= now {
            self.shrunk_until = Instant::ZERO;
            self.ack_now = true;
        }
        if self.arrived.next() >= self.shrink_at {
            self.shrink_at = match shrinking.every {
                0 => u64::MAX,
                every => self.shrink_at.saturating_add(every),
            };
            self.shrunk_until = now + shrinking.hold;
            self.edge = self.arrived.next() + u64::from(shrinking.to);
            self.ack_now = true;
            means.stats.shrunk += 1;
        }
    }

    /// Offset behind the last byte for which there is room.
    #[inline]
    fn could_announce(&self, manners: &Manners) -> u64 {
        let window = match (self.shrunk_until, manners.shrinking) {
            (Instant::ZERO, _) | (_, None) => manners.window,
            (_, Some(shrinking)) => shrinking.to,
        };
        self.read + u64::from(window.min(65_535 << self.receive_scale))
    }

    /// Sends text, FIN and acknowledgements.
    #[inline]
    fn send_text(&mut self, now: Instant, means: &mut Means<'_>) {
        let end = self.text_from + self.text.len() as u64;
        if self.nxt < end || (self.fin && self.nxt == end) {
            self.send_numbers(now, end, means);
        }
        self.probing = false;
        if self.una < self.nxt && self.rto_at == Instant::FAR_FUTURE {
            self.rto_at = now + self.rto;
        }
        if !self.ack_now {
            return;
        }
        if let Acknowledging::Divided { parts } = means.manners.acknowledging {
            let (from, upto) = (self.acked, self.ack_offset());
            for part in 1..u64::from(parts) {
                let at = from + (upto - from) * part / u64::from(parts);
                if at > self.acked {
                    self.send_ack_of(now, at, means);
                }
            }
        }
        self.send_ack_of(now, self.ack_offset(), means);
    }

    fn send_numbers(&mut self, now: Instant, end: u64, means: &mut Means<'_>) {
        let mss = u64::from(means.manners.mss).min(1460);
        while self.nxt < end {
            let edge = self.send_edge.max(self.una + u64::from(self.probing));
            let n = mss.min(end - self.nxt).min(edge.saturating_sub(self.nxt));
            if n == 0 {
                // Closed: the retransmission timeout probes.
                if self.rto_at == Instant::FAR_FUTURE {
                    self.rto_at = now + self.rto;
                }
                return;
            }
            let fin = self.fin && self.nxt + n == end;
            let mut flags = TcpFlags::ACK | TcpFlags::PSH;
            if fin {
                flags = flags | TcpFlags::FIN;
            }
            self.send(now, flags, self.nxt, n as usize, means);
            self.nxt += n + u64::from(fin);
            self.sent = self.sent.max(self.nxt);
        }
        if self.fin && self.nxt == end {
            self.send(now, TcpFlags::ACK | TcpFlags::FIN, self.nxt, 0, means);
            self.nxt += 1;
            self.sent = self.sent.max(self.nxt);
        }
    }

    fn send_ack_of(&mut self, now: Instant, offset: u64, means: &mut Means<'_>) {
        self.acked = offset;
        means.stats.acks_out += 1;
        self.emit(now, TcpFlags::ACK, self.nxt, offset, 0, means);
    }

    /// Sends numbers from `number` on, with an acknowledgement of all that came.
    fn send(
        &mut self,
        now: Instant,
        flags: TcpFlags,
        number: u64,
        len: usize,
        means: &mut Means<'_>,
    ) {
        self.emit(now, flags, number, self.ack_offset(), len, means);
    }

    #[inline]
    fn emit(
        &mut self,
        now: Instant,
        flags: TcpFlags,
        number: u64,
        ack: u64,
        len: usize,
        means: &mut Means<'_>,
    ) {
        let window = self.announce(means);
        let mut sack = SackBlocks::default();
        if self.sack {
            for (left, right) in self.arrived.sack_blocks() {
                let at = |offset: u64| self.irs + 1 + offset as u32;
                if !sack.push(at(left), at(right)) {
                    break;
                }
            }
        }
        let stamps = || Timestamps { val: clock(now), ecr: self.ts_recent };
        let segment = Segment {
            src_port: self.local_port,
            dst_port: means.server.port(),
            seq: self.iss + number as u32,
            ack: self.irs + 1 + ack as u32,
            flags,
            window,
            options: TcpOptions {
                timestamps: self.timestamps.then(stamps),
                sack,
                ..TcpOptions::default()
            },
        };
        if ack == self.ack_offset() {
            self.acked = ack;
            self.unacked = 0;
            self.ack_now = false;
            self.ack_at = Instant::FAR_FUTURE;
        }
        means.stats.segments_out += 1;
        let from = (number.wrapping_sub(self.text_from) as usize).min(self.text.len());
        let text = if len == 0 { &[] } else { &self.text[from..from + len] };
        means.station.send(means.dst_mac, *means.server.ip(), &segment, text, means.out);
    }

    /// The window field, and notes what it promises. It never takes back what an earlier one has promised:
    /// a field that would, rounded down, is rounded up instead.
    #[inline]
    fn announce(&mut self, means: &mut Means<'_>) -> u16 {
        let (next, scale) = (self.arrived.next(), self.receive_scale);
        let silly = matches!(means.manners.reading, Reading::Slow { silly: true, .. });
        let mss = u64::from(means.manners.mss).min(u64::from(means.manners.window / 2)).max(1);
        let could = self.could_announce(means.manners);
        let slow = means.manners.reading != Reading::AtOnce;
        // RFC 9293 §3.8.6.2.2, for those who read slowly: others' windows never close.
        let edge = if slow && !silly && could < self.edge + mss { self.edge } else { could };
        let room = edge.saturating_sub(next);
        let mut field = (room >> scale).min(65_535);
        if next + (field << scale) < self.edge {
            field = (self.edge - next).div_ceil(1 << scale).min(65_535);
        }
        self.edge = self.edge.max(next + (field << scale));
        means.stats.zero_windows += u64::from(field == 0);
        field as u16
    }

    /// The offset that an acknowledgement of all that came names: a FIN counts as one more.
    #[inline]
    fn ack_offset(&self) -> u64 {
        self.arrived.next() + u64::from(self.fin_came())
    }

    fn seq_of_ack(&self) -> SeqNumber {
        self.irs + 1 + self.ack_offset() as u32
    }

    #[inline]
    fn fin_came(&self) -> bool {
        self.fin_at == Some(self.arrived.next())
    }

    fn finish_if_over(&mut self, stats: &mut ConnStats) {
        let end = self.text_from + self.text.len() as u64;
        if self.fin && self.una > end && self.fin_came() {
            let all = !self.waiting;
            self.finish(if all { ConnEnd::Closed } else { ConnEnd::CutOff }, stats);
        }
    }

    fn finish(&mut self, end: ConnEnd, stats: &mut ConnStats) {
        match end {
            ConnEnd::Closed => stats.closed += 1,
            _ => stats.broken += 1,
        }
        self.phase = Phase::Ended(end);
        self.text = Vec::new();
        self.held.clear();
    }
}

/// The clock of timestamps: milliseconds.
fn clock(now: Instant) -> u32 {
    now.as_millis() as u32
}

fn time_of_chunk(chunk: u32, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(chunk) * 1_000_000_000 / u128::from(bytes_per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
