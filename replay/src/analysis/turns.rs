//! A connection as turns, and the division of each turn's time.
//!
//! A turn is a request of the client and the server's answer to it: from the first byte of the
//! request (of the first turn: from SYN) to the acknowledgement of the last byte of the answer. What
//! the client sends before an answer is acknowledged belongs to the same turn.
//!
//! Everything up to `mark` has been given to a kind of wait; each frame that ends a wait gives the
//! time since `mark` to one kind, or two, and moves it. So the parts always add up to the whole.

use super::acks::Ack;
use super::cause::{Division, Wait};
use super::sender::{Kind, Repair, RtoKind, Sent};

/// Even distances in a row before they are called pacing.
const PACED_MIN: u8 = 4;

/// Segments so close together follow each other; nobody waited.
const HEELS_NANOS: u64 = 30_000;

/// What a client closes so soon behind is no request.
const FAREWELL_NANOS: u64 = 1_000_000;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnEnd {
    /// The whole answer was acknowledged.
    Acked,
    /// The connection was closed or reset before an answer began.
    Unanswered,
    /// It was closed or reset, or the capture ended, before all of the answer was acknowledged.
    Unfinished,
}

impl TurnEnd {
    /// Lower case, underscores: for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Unanswered => "unanswered",
            Self::Unfinished => "unfinished",
        }
    }
}

/// The longest wait of a kind: how long, and the frames between which it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Longest {
    /// Nanoseconds.
    pub nanos: u64,
    /// The frame before it, counted from the first frame of the turn.
    pub from: u32,
    /// The frame that ended it, likewise.
    pub upto: u32,
}

/// A turn, with all times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From 1 on in its connection.
    pub number: u32,
    /// When it began, since 1970.
    pub began_at: u64,
    /// How long it took: [`Division::total`].
    pub nanos: u64,
    /// Where the time went.
    pub division: Division,
    /// The longest wait of each kind, in the order of [`Wait::ALL`].
    pub longest: [Longest; Wait::ALL.len()],
    /// Bytes of text from the client.
    pub request_bytes: u64,
    /// Bytes of text from the server, without repetitions.
    pub answer_bytes: u64,
    /// Frames in which it began and ended.
    pub frames: (u64, u64),
    /// How it ended.
    pub end: TurnEnd,
    /// Whether its beginning was not captured.
    pub is_partial: bool,
    /// Whether the client asked again before the answer was acknowledged.
    pub is_pipelined: bool,
}

impl Turn {
    /// The frames around its longest wait of a kind, in the capture's numbers; its own first and last
    /// where it had none.
    pub fn frames_of(&self, wait: Wait) -> (u64, u64) {
        let longest = &self.longest[wait as usize];
        match longest.nanos {
            0 => self.frames,
            _ => (self.frames.0 + u64::from(longest.from), self.frames.0 + u64::from(longest.upto)),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    None,
    Opening,
    Asking,
    Request,
    Answer,
}

/// Whether a window has no room for what a sender would send: a full segment, or half of a window
/// that is smaller (RFC 9293 §3.8.6.2.1).
fn is_full(room: i64, window: i64, mss: u32) -> bool {
    room < i64::from(mss).min(window / 2).max(1)
}

/// What is known about the connection when the server sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// What the server knew.
    pub(super) known: Ack,
    /// From the capture to the server and back.
    pub(super) lag: u64,
    /// A whole round trip; 0 where not known.
    pub(super) round_trip: u64,
    /// Bytes in a full segment.
    pub(super) mss: u32,
    /// Whether the client's window is known: its scale was seen.
    pub(super) knows_window: bool,
    /// Whether that window is closed.
    pub(super) is_closed: bool,
}

/// The turns of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    phase: Phase,
    number: u32,
    began_at: u64,
    mark: u64,
    mark_frame: u64,
    first_frame: u64,
    answered_at: u64,
    answered_frame: u64,
    gave_up: Option<(u64, u64)>,
    request_bytes: u64,
    answer_bytes: u64,
    is_partial: bool,
    is_pipelined: bool,
    division: Division,
    longest: [Longest; Wait::ALL.len()],
    /// The window was full after the latest segment; since when, and how long it has been before.
    blocked_since: Option<u64>,
    blocked_nanos: u64,
    was_closed: bool,
    /// In flight after the latest segment, and the most so far without a loss.
    flight: i64,
    flight_most: i64,
    pace: Pace,
    round_trip: u64,
    /// Sums over the turns that ended.
    pub(super) sum: Division,
    pub(super) ended: u32,
    /// Between turns: the client had nothing to ask.
    pub(super) idle_nanos: u64,
    pub(super) slowest_nanos: u64,
    ended_at: u64,
}

/// Even distances, not yet many enough to be called so.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    mean: u64,
    run: u8,
    pending: u64,
}

impl Turns {
    /// SYN: the first turn begins.
    pub(super) fn on_syn(&mut self, now: u64, frame: u64) {
        match self.phase {
            Phase::None => {
                self.begin(now, frame);
                self.phase = Phase::Opening;
            }
            // Sent again, or answered again: the time until then went into the loss.
            Phase::Opening => self.take(Wait::HandshakeLost, now, frame),
            _ => {}
        }
    }

    /// SYN-ACK, for the first time.
    pub(super) fn on_syn_ack(&mut self, now: u64, frame: u64) {
        match self.phase {
            Phase::None => self.on_syn(now, frame),
            Phase::Opening => self.take(Wait::Handshake, now, frame),
            _ => {}
        }
    }

    /// The first segment behind the handshake.
    pub(super) fn on_open(&mut self, now: u64, frame: u64) {
        if self.phase == Phase::Opening {
            self.take(Wait::Handshake, now, frame);
            self.phase = Phase::Asking;
        }
    }

    /// Text of the client. Answers the turn that it ended.
    pub(super) fn on_request(
        &mut self,
        now: u64,
        frame: u64,
        len: u64,
        is_again: bool,
        is_server_closed: bool,
    ) -> Option<Turn> {
        let mut ended = None;
        match self.phase {
            Phase::None => {
                self.begin(now, frame);
                self.phase = Phase::Request;
            }
            Phase::Opening | Phase::Asking => {
                self.on_open(now, frame);
                self.take(Wait::Asking, now, frame);
                self.phase = Phase::Request;
            }
            Phase::Request => {
                let wait = match (is_again, is_server_closed) {
                    (true, _) => Wait::RequestLost,
                    (false, true) => Wait::NotReading,
                    (false, false) => Wait::Upload,
                };
                self.take(wait, now, frame);
            }
            Phase::Answer if self.answered_at > 0 && !is_again => {
                ended = Some(self.end(TurnEnd::Acked));
                self.begin(now, frame);
                let idle = now.saturating_sub(self.ended_at);
                self.idle_nanos = self.idle_nanos.saturating_add(idle);
                self.phase = Phase::Request;
            }
            Phase::Answer => self.is_pipelined |= !is_again,
        }
        if !is_again {
            self.request_bytes += len;
        }
        ended
    }

    /// The client's acknowledgement or window has come, to the server as well. `room` is what it
    /// lets the server send beyond what it has sent, `window` the whole of it.
    pub(super) fn on_window(&mut self, now: u64, room: i64, window: i64, mss: u32) {
        if self.phase != Phase::Answer {
            return;
        }
        self.was_closed |= window == 0;
        match (is_full(room, window, mss), self.blocked_since) {
            (false, Some(since)) => {
                self.blocked_nanos += now.saturating_sub(since.max(self.mark));
                self.blocked_since = None;
            }
            (true, None) => self.blocked_since = Some(now),
            _ => {}
        }
    }

    /// All of the answer is acknowledged.
    pub(super) fn on_all_acked(&mut self, now: u64, frame: u64) {
        if self.phase == Phase::Answer && self.answered_at == 0 {
            (self.answered_at, self.answered_frame) = (now, frame);
        }
    }

    /// A side closes or resets the connection.
    pub(super) fn on_giving_up(&mut self, now: u64, frame: u64) {
        if self.gave_up.is_none() {
            self.gave_up = Some((now, frame));
        }
    }

    /// Text of the server.
    pub(super) fn on_answer(&mut self, now: u64, frame: u64, sent: &Sent, scene: &Scene) {
        if sent.kind == Kind::KeepAlive || sent.len == 0 {
            return;
        }
        match self.phase {
            Phase::None => {
                self.begin(now, frame);
                self.is_partial = true;
            }
            Phase::Opening | Phase::Asking => {
                self.on_open(now, frame);
                self.take(Wait::Think, now, frame);
            }
            Phase::Request if matches!(sent.kind, Kind::New | Kind::OutOfOrder) => {
                let path = scene.lag.min(now.saturating_sub(self.mark));
                self.take_part(Wait::Path, path, frame);
                self.take(Wait::Think, now, frame);
            }
            // The end of the answer before, again.
            Phase::Request => return,
            Phase::Answer => self.take_wait(now, frame, sent, scene),
        }
        self.phase = Phase::Answer;
        self.round_trip = scene.round_trip;
        self.answered_at = 0;
        if matches!(sent.kind, Kind::New | Kind::OutOfOrder) {
            self.answer_bytes += u64::from(sent.len);
        }
        let max = sent.max_before.max(sent.max_before + self.grown(sent));
        self.flight = max - scene.known.una;
        match sent.kind {
            Kind::Fast if sent.repair == Repair::None => self.flight_most = self.flight / 2,
            Kind::Rto(_) => self.flight_most = 0,
            _ => self.flight_most = self.flight_most.max(self.flight),
        }
        self.blocked_nanos = 0;
        let (room, window) = (scene.known.edge - max, scene.known.edge - scene.known.una);
        let is_full = scene.knows_window && is_full(room, window, scene.mss);
        self.blocked_since = is_full.then_some(now);
        self.was_closed = scene.is_closed;
    }

    /// How far the segment went beyond all before it.
    fn grown(&self, sent: &Sent) -> i64 {
        match sent.kind {
            Kind::New => i64::from(sent.len),
            _ => 0,
        }
    }

    /// A segment of the answer that is not its first: what has the server waited for?
    fn take_wait(&mut self, now: u64, frame: u64, sent: &Sent, scene: &Scene) {
        let wait = match sent.kind {
            Kind::New => return self.take_new(now, frame, sent, scene),
            Kind::Fast => Wait::FastRecovery,
            Kind::Rto(RtoKind::Tail) => Wait::RtoTail,
            Kind::Rto(RtoKind::Again) => Wait::RtoAgain,
            Kind::Rto(RtoKind::FewSigns) => Wait::RtoFewSigns,
            Kind::AfterRto => Wait::RtoRepair,
            Kind::TailProbe => Wait::TailProbe,
            Kind::WindowProbe => Wait::WindowZero,
            Kind::OutOfOrder if now.saturating_sub(self.mark) <= HEELS_NANOS => Wait::BackToBack,
            Kind::OutOfOrder | Kind::Unclear | Kind::KeepAlive | Kind::FinAgain => Wait::Unclear,
        };
        self.take(wait, now, frame);
    }

    /// New text within an answer.
    fn take_new(&mut self, now: u64, frame: u64, sent: &Sent, scene: &Scene) {
        match sent.repair {
            Repair::Fast(_) => return self.take(Wait::FastRecovery, now, frame),
            Repair::Timer(_) => return self.take(Wait::RtoRepair, now, frame),
            Repair::None => {}
        }
        let gap = now.saturating_sub(self.mark);
        let heard_at = scene.known.una_at.saturating_add(scene.lag);
        let is_clocked = heard_at >= self.mark && scene.known.una > 0;
        let since_ack = now.saturating_sub(heard_at);
        // An answer to an acknowledgement comes within this time: elsewhere than at the server the
        // path's jitter is part of it.
        let prompt = match scene.lag {
            0 => (scene.round_trip / 8).clamp(100_000, 2_000_000),
            _ => (scene.round_trip / 4).max(100_000),
        };
        let blocked = match self.blocked_since {
            // Still: then the segment fits all the same, and the window was not what held it.
            Some(_) if scene.lag == 0 => 0,
            Some(_) => gap,
            None => self.blocked_nanos.min(gap),
        };
        if blocked > 0 {
            let wait = if self.was_closed { Wait::WindowZero } else { Wait::WindowFull };
            self.take_part(wait, blocked, frame);
            if gap - blocked <= prompt {
                self.take(wait, now, frame);
                return;
            }
        }
        // What the window did not hold back.
        let gap = gap - blocked;
        let flight = sent.max_before - scene.known.una;
        let grown = flight + i64::from(sent.len);
        let mss = i64::from(scene.mss);
        let wait = if is_clocked && since_ack <= prompt {
            if flight == 0 && i64::from(sent.len) < mss && self.flight < 2 * mss && sent.was_short {
                Wait::Nagle
            } else if grown > self.flight_most {
                Wait::SlowStart
            } else {
                Wait::Congestion
            }
        } else if gap <= HEELS_NANOS {
            Wait::BackToBack
        } else if sent.is_behind_gap {
            Wait::Missing
        } else if flight == 0 || sent.was_short {
            Wait::Pause
        } else if gap <= scene.round_trip.max(2_000_000) / 2 {
            return self.take_paced(now, frame, gap, scene.lag == 0);
        } else if grown <= self.flight_most {
            Wait::Pause
        } else {
            Wait::Unclear
        };
        self.take(wait, now, frame);
    }

    /// A short distance that nothing explains: pacing, if enough like it come in a row.
    fn take_paced(&mut self, now: u64, frame: u64, gap: u64, is_at_server: bool) {
        if self.pace.run > 0 && gap.abs_diff(self.pace.mean) <= self.pace.mean / 2 {
            self.pace.run = self.pace.run.saturating_add(1);
            self.pace.mean = self.pace.mean - self.pace.mean / 8 + gap / 8;
        } else {
            self.settle_pace();
            (self.pace.mean, self.pace.run) = (gap, 1);
        }
        let wait = if is_at_server { Wait::Pacing } else { Wait::Spread };
        if self.pace.run < PACED_MIN {
            // Not part of the division yet, so that what it is can be told once it is known.
            self.pace.pending += gap;
            (self.mark, self.mark_frame) = (now.max(self.mark), frame);
        } else {
            let pending = std::mem::take(&mut self.pace.pending);
            self.division.add(wait, pending);
            self.take(wait, now, frame);
        }
    }

    /// Distances that did not go on evenly.
    fn settle_pace(&mut self) {
        let pending = std::mem::take(&mut self.pace.pending);
        self.division.add(Wait::BackToBack, pending);
        self.pace.run = 0;
    }

    /// Gives all time up to now to a kind of wait.
    fn take(&mut self, wait: Wait, now: u64, frame: u64) {
        self.take_part(wait, now.saturating_sub(self.mark), frame);
        self.mark_frame = frame;
    }

    /// Gives a part of the time since the latest frame to a kind of wait that `frame` ended.
    fn take_part(&mut self, wait: Wait, nanos: u64, frame: u64) {
        self.division.add(wait, nanos);
        let longest = &mut self.longest[wait as usize];
        if nanos > longest.nanos {
            let since = |number: u64| {
                u32::try_from(number.saturating_sub(self.first_frame)).unwrap_or(u32::MAX)
            };
            *longest = Longest { nanos, from: since(self.mark_frame), upto: since(frame) };
        }
        self.mark += nanos;
    }

    fn begin(&mut self, now: u64, frame: u64) {
        self.number += 1;
        (self.began_at, self.mark) = (now, now);
        (self.first_frame, self.mark_frame) = (frame, frame);
        self.answered_at = 0;
        // An earlier end was of an earlier turn, or nobody kept to it.
        self.gave_up = None;
        (self.request_bytes, self.answer_bytes) = (0, 0);
        (self.is_partial, self.is_pipelined) = (false, false);
        self.division = Division::default();
        self.longest = Default::default();
        self.pace = Pace::default();
        self.blocked_since = None;
        self.blocked_nanos = 0;
    }

    /// The turn ends: what is left went into waiting for the last acknowledgement.
    fn end(&mut self, end: TurnEnd) -> Turn {
        self.settle_pace();
        let (at, frame, wait) = match end {
            TurnEnd::Acked => (self.answered_at, self.answered_frame, Wait::LastAck),
            TurnEnd::Unanswered => {
                let (at, frame) = self.gave_up.unwrap_or((self.mark, self.mark_frame));
                (at, frame, Wait::Think)
            }
            TurnEnd::Unfinished => {
                let (at, frame) = self.gave_up.unwrap_or((self.mark, self.mark_frame));
                // So long an acknowledgement may take.
                let usual = self.round_trip.saturating_add(self.round_trip / 2);
                self.take_part(Wait::LastAck, usual.min(at.saturating_sub(self.mark)), frame);
                (at, frame, Wait::Unclear)
            }
        };
        self.take(wait, at.max(self.mark), frame);
        let nanos = self.mark - self.began_at;
        debug_assert_eq!(self.division.total(), nanos, "the parts are the whole");
        self.ended += 1;
        self.sum += self.division;
        self.ended_at = self.mark;
        if !self.is_partial {
            self.slowest_nanos = self.slowest_nanos.max(nanos);
        }
        self.phase = Phase::None;
        Turn {
            number: self.number,
            began_at: self.began_at,
            nanos,
            division: self.division,
            longest: self.longest,
            request_bytes: self.request_bytes,
            answer_bytes: self.answer_bytes,
            frames: (self.first_frame, frame.max(self.mark_frame)),
            end,
            is_partial: self.is_partial,
            is_pipelined: self.is_pipelined,
        }
    }

    /// Whether the client's latest text was no request: it closed right behind it, as TLS does, and
    /// had no answer.
    fn is_farewell(&self) -> bool {
        self.number > 1 && self.gave_up.is_some_and(|(at, _)| at <= self.mark + FAREWELL_NANOS)
    }

    /// The connection is over, after that frame. Answers its last turn, if one was going on.
    pub(super) fn finish(&mut self, now: u64, frame: u64, is_one_way: bool) -> Option<Turn> {
        // Of a side that was not captured nothing can be said.
        self.is_partial |= is_one_way;
        let end = match self.phase {
            Phase::None | Phase::Opening | Phase::Asking => return None,
            Phase::Request if self.is_farewell() => return None,
            Phase::Request if self.gave_up.is_some() => TurnEnd::Unanswered,
            Phase::Answer if self.answered_at > 0 => TurnEnd::Acked,
            Phase::Request | Phase::Answer => {
                self.gave_up = Some((now, frame));
                TurnEnd::Unfinished
            }
        };
        Some(self.end(end))
    }
}
