//! A client's end of one connection: asks, receives, acknowledges, closes, by its [`Manners`].
//!
//! Numbers of what this side sends are counted from its SYN, which is 0; offsets of what comes, from the first
//! byte of the stream. There is no congestion control and no measurement: what it sends is a few requests.
//!
//! Here are its state, its life and its clocks. `receive` takes what comes, `window` says how much room is
//! announced, `converse` is the application, `send` makes segments.

use super::answers::{Answers, Request};
use super::arrived::Arrived;
use super::manners::Manners;
use super::station::Station;
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{MacAddr, TcpFlags, TcpSegment};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

mod converse;
mod receive;
mod send;
mod window;

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
