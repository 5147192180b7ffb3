//! One connection while its frames come: what each of them tells goes to the part that wants to know.

use super::losses::Losses;
use super::path::Path;
use super::talk::{Listener, Moment};
use super::windows::Windows;
use crate::analysis::Vantage;
use crate::flow::{Flow, Placed, Side, Text};
use crate::script::Announced;
use simoom_core::wire::TcpFlags;
use simoom_pcap::dissect::Segment;
use simoom_pcap::read::FrameInfo;

/// A server that answers a SYN within this, in nanoseconds, is where the capture is: a kernel needs
/// some ten microseconds, and no path that matters is shorter.
const BESIDE: u64 = 500_000;

/// A gap that is filled within this, in nanoseconds, was overtaken rather than lost, where no round-trip
/// time says what would be soon.
const OVERTAKEN: u64 = 3_000_000;

/// Client text whose way to the server is not over yet, at most.
const UNDER_WAY_MAX: usize = 8;

/// A connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Conn {
    now: u64,
    syn_at: Option<u64>,
    pub(super) syn_ack_at: Option<u64>,
    pub(super) syn_acks: u32,
    pub(super) syn: Announced,
    pub(super) syn_ack: Announced,
    pub(super) hs_to_server: Option<u64>,
    pub(super) hs_to_client: Option<u64>,
    pub(super) opened_at: u64,
    is_open: bool,
    piece: i64,
    /// What the server sent, on its way to the client.
    pub(super) path: Path,
    /// From the capture to the server and back, at least.
    pub(super) to_server: Option<u64>,
    pub(super) to_server_samples: u32,
    client_timed: Option<(i64, u64)>,
    pub(super) losses: Losses,
    pub(super) windows: Windows,
    pub(super) talk: Listener,
    under_way: [(u64, u64); UNDER_WAY_MAX],
    under_way_len: u8,
    asked: (u64, u64),
    max: i64,
    text_end: i64,
    una: i64,
    una_at: u64,
    had_at: u64,
    raw_window: u16,
    duplicates: u32,
    sent_again: bool,
    hole_at: u64,
    /// Times that the receiver asked for what was not lost, and by how many segments it was passed.
    pub(super) overtaken: u32,
    pub(super) overtaken_by: u32,
    /// Retransmissions that were for nothing.
    pub(super) spurious: u32,
    /// The largest window that the server offered.
    pub(super) server_window: u32,
    pub(super) fins: [bool; 2],
    pub(super) reset: bool,
}

impl Conn {
    /// Where the capture was made.
    pub(super) fn vantage(&self) -> Vantage {
        let (server, client) = match (self.hs_to_server, self.hs_to_client) {
            (Some(server), Some(client)) => (server, client),
            // A handshake with repetitions tells this much.
            (Some(server), None) if server < BESIDE => return Vantage::Server,
            _ => return Vantage::Unknown,
        };
        if server.saturating_mul(5) <= client {
            Vantage::Server
        } else if client.saturating_mul(5) <= server {
            Vantage::Client
        } else {
            Vantage::Between
        }
    }

    /// From the capture to the server and back; nothing where both are one.
    pub(super) fn distance(&self) -> u64 {
        self.to_server.filter(|nanos| *nanos >= BESIDE).unwrap_or(0)
    }

    /// Client and server were taken for each other: no handshake was seen, and nothing can be fitted.
    pub(super) fn turn_round(&mut self) {
        *self = Self { now: self.now, ..Self::default() };
    }

    pub(super) fn on_segment(
        &mut self,
        frame: &FrameInfo,
        placed: &Placed,
        segment: &Segment<'_>,
        flow: &Flow,
    ) {
        self.now = self.now.max(frame.at_unix_nanos);
        if segment.flags.contains(TcpFlags::SYN) {
            return self.on_syn(placed.from, segment);
        }
        if segment.flags.contains(TcpFlags::RST) {
            self.reset = true;
            return;
        }
        match placed.from {
            Side::Client => {
                self.on_acknowledgement(placed, segment, flow);
                self.on_client_text(placed, segment);
            }
            Side::Server => {
                self.on_server_ack(placed, segment);
                self.on_server_text(frame, placed, segment);
            }
        }
    }

    fn on_syn(&mut self, from: Side, segment: &Segment<'_>) {
        let announced = Announced {
            mss: segment.options.mss,
            window_scale: segment.options.window_scale.map(|shift| shift.min(14)),
            sack_permitted: segment.options.sack_permitted,
            timestamps: segment.options.timestamps.map(|timestamps| timestamps.val),
            window: segment.window,
        };
        match from {
            Side::Client => {
                if self.syn_at.is_none() {
                    self.opened_at = self.now;
                }
                self.syn_at = Some(self.now);
                self.syn = announced;
                self.windows.begin(u32::from(segment.window));
            }
            Side::Server => {
                if let Some(syn_at) = self.syn_at.filter(|_| self.syn_acks == 0) {
                    let nanos = self.now - syn_at;
                    self.hs_to_server = Some(nanos);
                    self.note_to_server(nanos);
                }
                self.syn_acks = self.syn_acks.saturating_add(1);
                self.syn_ack_at = Some(self.now);
                self.syn_ack = announced;
                self.piece = i64::from(self.text_max());
            }
        }
    }

    /// The most text in one segment of the server.
    pub(super) fn text_max(&self) -> u32 {
        let mss = self.syn.mss.unwrap_or(536).min(self.syn_ack.mss.unwrap_or(u16::MAX)).max(64);
        let stamps = self.syn.timestamps.is_some() && self.syn_ack.timestamps.is_some();
        u32::from(mss - if stamps { 12 } else { 0 })
    }

    fn client_shift(&self) -> u8 {
        match self.syn_ack.window_scale {
            Some(_) => self.syn.window_scale.unwrap_or(0),
            None => 0,
        }
    }

    fn note_to_server(&mut self, nanos: u64) {
        self.to_server = Some(self.to_server.map_or(nanos, |least| least.min(nanos)));
        self.to_server_samples = self.to_server_samples.saturating_add(1);
    }

    /// A segment of the client, whose acknowledgement is of the server's text.
    fn on_acknowledgement(&mut self, placed: &Placed, segment: &Segment<'_>, flow: &Flow) {
        let Some(ack) = placed.ack else { return };
        if !self.is_open {
            self.is_open = true;
            if let Some(syn_ack_at) = self.syn_ack_at {
                let nanos = self.now - syn_ack_at;
                self.had_at = self.now;
                self.una_at = self.now;
                if self.syn_acks == 1 {
                    self.hs_to_client = Some(nanos);
                    self.path.on_handshake(nanos);
                }
            }
        }
        self.windows.on_segment(ack, self.now, segment.window, self.client_shift());
        self.take_sack(ack, segment, flow);
        if ack > self.una {
            self.on_new_ack(ack, segment);
        } else if ack == self.una
            && segment.payload_len == 0
            && segment.window == self.raw_window
            && !segment.flags.contains(TcpFlags::FIN)
            && self.max > self.una
        {
            self.duplicates += 1;
        }
        self.raw_window = segment.window;
    }

    fn on_new_ack(&mut self, ack: i64, segment: &Segment<'_>) {
        let (with_text, repairs) =
            (segment.payload_len > 0, self.duplicates > 0 || self.sent_again);
        let soonest = self.path.least.unwrap_or(0);
        let echo = segment.options.timestamps.map(|timestamps| timestamps.ecr);
        let for_nothing = self.losses.on_acked(ack, self.now, echo, soonest);
        self.spurious += u32::from(for_nothing);
        if self.duplicates > 0 && (!self.sent_again || for_nothing) {
            self.overtaken += 1;
            self.overtaken_by = self.overtaken_by.saturating_add(self.duplicates);
        }
        self.had_at = self.path.on_acked(ack, self.now, (with_text, repairs), self.piece).had_at;
        self.duplicates = 0;
        self.una = ack;
        self.una_at = self.now;
        if self.una >= self.max {
            self.sent_again = false;
        }
        if self.una >= self.text_end {
            self.talk.on_had(self.text_end, self.had_at);
        }
    }

    fn take_sack(&mut self, ack: i64, segment: &Segment<'_>, flow: &Flow) {
        let blocks = segment.options.sack.as_slice();
        let Some((left, right)) = blocks.first() else { return };
        let stream = &flow.streams[Side::Server.index()];
        let (left, right) = (stream.offset(*left), stream.offset(*right));
        let within = blocks.get(1).is_some_and(|second| {
            stream.offset(second.0) <= left && right <= stream.offset(second.1)
        });
        if left < right && (right <= ack || within) {
            self.spurious += u32::from(self.losses.on_dsack(left, right));
        }
    }

    fn on_client_text(&mut self, placed: &Placed, segment: &Segment<'_>) {
        if segment.flags.contains(TcpFlags::FIN) && !self.fins[0] {
            self.fins[0] = true;
        }
        let upto = placed.seq + i64::from(segment.payload_len);
        let asked = self.asked_seen() as i64;
        if placed.text != Text::New || segment.payload_len == 0 || upto <= asked {
            return;
        }
        let from = placed.seq.max(asked) as u64;
        let moment = self.moment();
        let had = u64::try_from(self.una.min(self.text_end)).unwrap_or(0);
        let mss = self.piece as u32;
        self.talk.on_client(from, upto as u64, had, mss, moment);
        self.client_timed.get_or_insert((upto, self.now));
        if usize::from(self.under_way_len) == UNDER_WAY_MAX {
            self.arrive_oldest();
        }
        self.under_way[usize::from(self.under_way_len)] = (upto as u64, self.now);
        self.under_way_len += 1;
    }

    /// Client text that passed the capture.
    fn asked_seen(&self) -> u64 {
        match self.under_way_len {
            0 => self.asked.0,
            n => self.under_way[usize::from(n) - 1].0,
        }
    }

    fn arrive_oldest(&mut self) {
        self.asked = self.under_way[0];
        self.under_way.copy_within(1.., 0);
        self.under_way_len -= 1;
    }

    /// How things stand now.
    fn moment(&mut self) -> Moment {
        let to_server = self.distance();
        while self.under_way_len > 0 && self.under_way[0].1.saturating_add(to_server) <= self.now {
            self.arrive_oldest();
        }
        Moment {
            at: self.now,
            to_server,
            asked: self.asked.0,
            asked_at: match self.asked.1 {
                // Unasked: from when it could speak, which is when the handshake was over for it.
                0 => self.had_at.min(self.now.saturating_sub(to_server)),
                at => at,
            },
            una: self.una,
            una_at: self.una_at,
            max: self.max,
            had_at: self.had_at,
        }
    }

    fn on_server_ack(&mut self, placed: &Placed, segment: &Segment<'_>) {
        let shift = match self.syn.window_scale {
            Some(_) => self.syn_ack.window_scale.unwrap_or(0),
            None => 0,
        };
        self.server_window = self.server_window.max(u32::from(segment.window) << shift);
        let (Some(ack), Some((upto, at))) = (placed.ack, self.client_timed) else { return };
        if ack >= upto {
            self.note_to_server(self.now - at);
            self.client_timed = None;
        }
    }

    fn on_server_text(&mut self, frame: &FrameInfo, placed: &Placed, segment: &Segment<'_>) {
        let is_fin = segment.flags.contains(TcpFlags::FIN);
        if is_fin && !self.fins[1] {
            self.fins[1] = true;
            self.talk.on_fin(true, self.fins[0]);
        }
        let (from, len) = (placed.seq, i64::from(segment.payload_len));
        let (text_upto, upto) = (from + len, from + len + i64::from(is_fin));
        // A probe of a closed window, or for life, carries nothing new.
        let is_probe = len <= 1 && !is_fin && from == self.max - 1;
        if matches!(placed.text, Text::None | Text::Outside) || is_probe {
            return;
        }
        if placed.text == Text::Filling && self.is_at_client() {
            self.on_filling(from, text_upto);
        } else if from < self.max && len > 0 {
            let tsval = segment.options.timestamps.map(|timestamps| timestamps.val);
            let end = text_upto.min(self.max);
            if end <= self.una {
                // Its acknowledgement was on its way already.
                self.spurious += 1;
            } else if !self.is_at_client() {
                self.losses.on_again(from.max(self.una), end, self.piece, self.now, tsval);
                self.sent_again = true;
            }
        }
        if from > self.max {
            self.hole_at = self.now;
        }
        if text_upto > self.text_end {
            let new_from = from.max(self.text_end);
            let moment = self.moment();
            let mss = self.piece as u32;
            self.talk.on_server(new_from.max(0) as u64, text_upto as u64, mss, moment);
            self.text_end = text_upto;
        }
        self.path.on_sent(from, upto, self.now, u64::from(frame.wire_len), self.piece);
        self.max = self.max.max(upto);
    }

    fn is_at_client(&self) -> bool {
        self.vantage() == Vantage::Client
    }

    /// What had been skipped comes: it was overtaken, or lost in front of the capture.
    fn on_filling(&mut self, from: i64, upto: i64) {
        let soon = match self.to_server {
            Some(nanos) => (nanos / 2).max(1),
            None => OVERTAKEN,
        };
        if self.now.saturating_sub(self.hole_at) < soon {
            self.overtaken += 1;
            self.overtaken_by += 1;
        } else {
            self.losses.on_late(from, upto, self.piece);
        }
    }
}
