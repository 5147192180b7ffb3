//! One connection under analysis: its frames go to the sender's side of each direction, and to its
//! turns.

use super::acks::{Ack, Acks};
use super::rtt::Sample;
use super::sender::{Kind, Sender};
use super::turns::{Scene, Turn, Turns};
use super::{Connection, Direction};
use crate::flow::{Ended, Flow, Placed, Side, SynSeen, Text};
use simoom_core::wire::TcpFlags;
use simoom_pcap::dissect::Segment;

/// Text of a full segment where no SYN told: Ethernet's, with timestamps.
const MSS_USUAL: u32 = 1448;

/// Where the capture was made, as far as a handshake tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Vantage {
    /// SYN-ACK followed SYN at once.
    Server,
    /// The acknowledgement followed SYN-ACK at once.
    Client,
    /// Neither did.
    Between,
    /// No whole handshake without repetitions was seen.
    #[default]
    Unknown,
}

impl Vantage {
    /// Every one, in the order of the type.
    pub const ALL: [Self; 4] = [Self::Server, Self::Client, Self::Between, Self::Unknown];

    /// Lower case: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Between => "between",
            Self::Unknown => "unknown",
        }
    }
}

/// How a connection was opened. Nanoseconds; none where a part was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// First SYN to the acknowledgement of SYN-ACK.
    pub nanos: Option<u64>,
    /// The latest SYN to the SYN-ACK: from the capture to the server and back.
    pub to_server: Option<u64>,
    /// The latest SYN-ACK to its acknowledgement: from the capture to the client and back.
    pub to_client: Option<u64>,
}

impl Handshake {
    /// Where the capture was made: a side whose way there and back is a fifth of the other's or less.
    pub fn vantage(&self) -> Vantage {
        match (self.to_server, self.to_client) {
            (Some(server), Some(client)) if server.saturating_mul(5) <= client => Vantage::Server,
            (Some(server), Some(client)) if client.saturating_mul(5) <= server => Vantage::Client,
            (Some(_), Some(_)) => Vantage::Between,
            _ => Vantage::Unknown,
        }
    }
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Conn {
    /// What each side sends, the client's first.
    pub(super) senders: [Sender; 2],
    pub(super) turns: Turns,
    acks: Acks,
    /// The latest time: a capture may run backwards.
    pub(super) now: u64,
    first_syn_at: Option<u64>,
    syn_at: Option<u64>,
    syn_ack_at: Option<u64>,
    is_open: bool,
    pub(super) handshake: Handshake,
    shifts: [Option<u8>; 2],
    /// From the capture to the server and back, at least; 0 where the capture is at the server.
    lag: u64,
}

impl Conn {
    /// Client and server were taken for each other: what was kept is of no use.
    pub(super) fn turn_round(&mut self) {
        self.senders.swap(0, 1);
        self.shifts.swap(0, 1);
        let now = self.now;
        *self = Self {
            senders: std::mem::take(&mut self.senders),
            shifts: self.shifts,
            now,
            ..Self::default()
        };
    }

    /// The SYN that opened it, and its repetitions, have been seen before anything else was.
    pub(super) fn open(&mut self, syn: &SynSeen) {
        let (first, latest) = (syn.at_unix_nanos, syn.latest_at_unix_nanos);
        self.now = self.now.max(first).max(latest);
        self.turns.on_syn(first, syn.frame);
        if syn.count > 1 {
            self.turns.on_syn(latest.max(first), syn.frame);
            self.senders[0].counts.syn = syn.count - 1;
        }
        self.first_syn_at = Some(first);
        self.syn_at = Some(latest.max(first));
    }

    /// A segment that is no copy and not damaged. `at` is its time in nanoseconds. Answers the turn
    /// that it ended.
    pub(super) fn on_segment(
        &mut self,
        at: u64,
        frame: u64,
        placed: &Placed,
        segment: &Segment<'_>,
        flow: &Flow,
    ) -> (Option<Turn>, Sample) {
        self.now = self.now.max(at);
        let from = placed.from;
        if segment.flags.contains(TcpFlags::SYN) {
            self.on_syn(frame, from, segment, flow);
        } else if !self.is_open && (from == Side::Client || placed.text != Text::None) {
            self.on_open(frame, from);
        }
        let mut sample = Sample::default();
        if let Some(ack) = placed.ack {
            sample = self.on_ack(frame, ack, from, segment, flow);
        }
        let ended = self.on_text(frame, placed, segment);
        if segment.flags.intersects(TcpFlags(TcpFlags::RST.0 | TcpFlags::FIN.0)) {
            self.turns.on_giving_up(self.now, frame);
        }
        (ended, sample)
    }

    fn on_syn(&mut self, frame: u64, from: Side, segment: &Segment<'_>, flow: &Flow) {
        let n = from.index();
        let seen = flow.syns[n].as_ref().map_or(1, |syn| syn.count);
        if seen > 1 {
            self.senders[n].counts.syn += 1;
        }
        self.learn(flow);
        if self.is_open {
            return;
        }
        match from {
            Side::Client => {
                self.first_syn_at.get_or_insert(self.now);
                self.syn_at = Some(self.now);
                // One that comes behind its answer opens nothing.
                if self.syn_ack_at.is_none() || seen > 1 {
                    self.turns.on_syn(self.now, frame);
                }
            }
            Side::Server if segment.flags.contains(TcpFlags::ACK) => {
                self.syn_ack_at = Some(self.now);
                if seen > 1 {
                    self.turns.on_syn(self.now, frame);
                } else {
                    self.turns.on_syn_ack(self.now, frame);
                    self.handshake.to_server = self.syn_at.map(|at| self.now - at);
                    let to_server = self.handshake.to_server.unwrap_or(0);
                    self.senders[0].rtt.on_handshake(to_server);
                }
            }
            Side::Server => {}
        }
    }

    /// What the SYNs say.
    fn learn(&mut self, flow: &Flow) {
        let [client, server] = &flow.syns;
        if let (Some(client), Some(server)) = (client, server) {
            // Both have to offer it. RFC 7323 §2.2.
            let both = client.window_scale.zip(server.window_scale);
            self.shifts = match both {
                Some((client, server)) => [Some(client), Some(server)],
                None => [Some(0), Some(0)],
            };
            let stamps = client.timestamps.is_some() && server.timestamps.is_some();
            let header = if stamps { 12 } else { 0 };
            for (sender, receiver) in [(0, server), (1, client)] {
                let mss = u32::from(receiver.mss.unwrap_or(536));
                self.senders[sender].mss = mss.saturating_sub(header).max(1);
            }
        }
    }

    fn on_open(&mut self, frame: u64, from: Side) {
        self.is_open = true;
        self.turns.on_open(self.now, frame);
        if from == Side::Client
            && let Some(syn_ack_at) = self.syn_ack_at
        {
            let to_client = self.now - syn_ack_at;
            self.handshake.to_client = Some(to_client);
            self.handshake.nanos = self.first_syn_at.map(|at| self.now - at);
            self.senders[1].rtt.on_handshake(to_client);
        }
        self.lag = match self.handshake.vantage() {
            Vantage::Server | Vantage::Unknown => 0,
            Vantage::Client | Vantage::Between => self.handshake.to_server.unwrap_or(0),
        };
    }

    fn on_ack(
        &mut self,
        frame: u64,
        ack: i64,
        from: Side,
        segment: &Segment<'_>,
        flow: &Flow,
    ) -> Sample {
        let (now, of) = (self.now, from.other());
        let shift = match segment.flags.contains(TcpFlags::SYN) {
            true => Some(0),
            false => self.shifts[from.index()],
        };
        let wnd = match (segment.window, shift) {
            (0, _) => Some(0),
            (window, shift) => shift.map(|shift| u32::from(window) << shift),
        };
        let stream = &flow.streams[of.index()];
        let sender = &mut self.senders[of.index()];
        let acked = sender.on_ack(now, ack, wnd, segment, |seq| stream.offset(seq));
        match of {
            // How far the server is behind the capture: never more than its quickest answer.
            Side::Client => {
                if self.lag > 0
                    && let Some(least) = sender.rtt.least()
                {
                    self.lag = self.lag.min(least);
                }
            }
            Side::Server => {
                let edge = ack + i64::from(wnd.unwrap_or(0));
                let (una, una_at) = (sender.una, sender.una_at);
                self.acks.push(Ack { at: now, una, una_at, edge }, self.lag);
                // Elsewhere than at the server it still has to get there.
                if self.lag == 0 && wnd.is_some() {
                    let (room, window) = (edge - sender.max, edge - una);
                    self.turns.on_window(now, room, window, sender.mss.max(1));
                }
                if acked.is_new && una >= sender.text_end {
                    self.turns.on_all_acked(now, frame);
                }
            }
        }
        acked.sample
    }

    fn on_text(&mut self, frame: u64, placed: &Placed, segment: &Segment<'_>) -> Option<Turn> {
        let (now, from) = (self.now, placed.from);
        let round_trip = match self.senders[1].rtt.smoothed {
            0 => 0,
            to_client => to_client.saturating_add(self.lag),
        };
        // Acknowledgements of the client's text pass the capture on their way back.
        let lag = match from {
            Side::Server => self.lag,
            Side::Client => 0,
        };
        let is_server_closed = self.senders[0].is_closed();
        let sender = &mut self.senders[from.index()];
        if sender.mss == 0 {
            sender.mss = MSS_USUAL;
        }
        let una = sender.una;
        let sent = sender.on_segment(now, placed, segment, round_trip, lag)?;
        if sent.len == 0 {
            return None;
        }
        if from == Side::Client {
            let is_again = !matches!(sent.kind, Kind::New | Kind::OutOfOrder | Kind::WindowProbe);
            // What the server has acknowledged already it need not wait for.
            if is_again && placed.seq < una || sent.kind == Kind::KeepAlive {
                return None;
            }
            let len = u64::from(sent.len);
            return self.turns.on_request(now, frame, len, is_again, is_server_closed);
        }
        let scene = Scene {
            // A path is quicker at times than when it was measured.
            known: self.acks.at(now.saturating_sub(self.lag - self.lag / 8)),
            lag: self.lag,
            round_trip,
            mss: sender.mss,
            knows_window: sender.wnd.is_some(),
            is_closed: sender.is_closed(),
        };
        self.turns.on_answer(now, frame, &sent, &scene);
        None
    }

    /// The connection is over. Answers its last turn.
    pub(super) fn finish(&mut self, flow: &Flow) -> Option<Turn> {
        for sender in &mut self.senders {
            sender.finish(self.now);
        }
        let is_one_way = flow.frames.contains(&0);
        self.turns.finish(self.now, flow.last_frame, is_one_way)
    }

    /// What is told of it once it is over.
    pub(super) fn report<'a>(&self, flow: &'a Flow, ended: Ended) -> Connection<'a> {
        let direction = |sender: &Sender| Direction {
            counts: sender.counts,
            by_timestamps: sender.rtt.by_timestamps,
            by_sequence: sender.rtt.by_sequence,
            rtt_quantiles: sender.rtt.quantiles(),
            mss: sender.mss,
        };
        Connection {
            flow,
            ended,
            handshake: self.handshake,
            directions: [direction(&self.senders[0]), direction(&self.senders[1])],
            turns: self.turns.ended,
            division: self.turns.sum,
            slowest_nanos: self.turns.slowest_nanos,
            idle_nanos: self.turns.idle_nanos,
        }
    }
}
