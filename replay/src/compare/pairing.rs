//! One connection: what ours sent beside what the captured server sent.
//!
//! Both sides send the same stream, so what differs is which segment comes next. The side that is
//! ahead waits in a queue; each segment of the other is held against its front. After a difference
//! that parts their ways ([`Class::parts_the_ways`]) nothing more is compared.

use super::Rules;
use super::class::Class;
use super::infer::{Inferred, Told};
use super::sent::{Again, Kind, Sent};

use crate::tape::TapeSegment;
use simoom_core::tcp::State;
use simoom_core::wire::tcp::TcpFlags;
use std::collections::VecDeque;

/// Segments of one side that wait for the other, at most: more than fit the largest window that
/// 16 bits and a shift of 5 make, in segments of Ethernet. Beyond it the two differ by a window.
pub const WAITING_MAX: usize = 2_048;

/// Whose segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Our stack's.
    Ours,
    /// The captured server's.
    Theirs,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Ours => Self::Theirs,
            Self::Theirs => Self::Ours,
        }
    }
}

/// What our stack knew: the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OurState {
    /// RFC 9293 §3.3.2.
    pub state: State,
    /// Congestion window, in bytes.
    pub cwnd: u32,
    /// Slow start threshold, in bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// Bytes in flight.
    pub flight: u32,
    /// Bytes that the client takes beyond what it acknowledged.
    pub window: u32,
    /// Smoothed round-trip time, in microseconds.
    pub srtt_micros: u32,
    /// Retransmission timeout, backoff included, in microseconds.
    pub rto_micros: u32,
    /// Bytes of text per segment.
    pub mss: u32,
    /// Fast recovery is under way.
    pub in_recovery: bool,
}

/// What the captured server is inferred to have known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TheirState {
    /// Bytes in flight.
    pub flight: u64,
    /// Bytes that the client takes beyond what it acknowledged.
    pub window: u64,
    /// Duplicate acknowledgements in a row.
    pub duplicates: u8,
    /// Fast recovery is under way.
    pub in_recovery: bool,
    /// Since the client last acknowledged something new, or the same once more, in nanoseconds; None
    /// where it never did.
    pub since_told: Option<u64>,
}

/// What keeps our stack from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The application has nothing to say.
    Application,
    /// The congestion window.
    Congestion,
    /// The client's window.
    Client,
    /// Something else: the handshake, a short segment that waits.
    Other,
}

/// The first difference of a connection, or the first of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is called.
    pub class: Class,
    /// When: the earlier of both, nanoseconds since 1970.
    pub at: u64,
    /// The captured frame that was there when it showed.
    pub frame: u64,
    /// What ours sent, where it sent something.
    pub ours: Option<Sent>,
    /// What the captured server sent, where it sent something.
    pub theirs: Option<Sent>,
    /// What ours knew.
    pub our_state: OurState,
    /// What the captured server is inferred to have known.
    pub their_state: TheirState,
}

/// Segments without text, one side of them ahead.
#[derive(Clone, Debug, Default)]
struct Acks {
    waiting: VecDeque<Sent>,
}

/// The comparison of one connection.
#[derive(Clone, Debug)]
pub struct Pairing {
    rules: Rules,
    /// The captured server.
    pub inferred: Inferred,
    waiting: VecDeque<Sent>,
    whose: Side,
    /// What kept ours from sending, at the end of the turn in which the captured server sent what
    /// stands at the front of the queue.
    limit: Option<Limit>,
    acks: Acks,
    acks_whose: Side,
    /// Where segments of the captured server end that are not acknowledged, ascending: kept where
    /// acknowledgements are compared one by one.
    ends: VecDeque<u64>,
    /// What each side acknowledged at most.
    acked: [u32; 2],
    /// Each class: how often.
    counts: [u32; Class::ALL.len()],
    first: Option<Box<Difference>>,
    /// The difference that parted their ways, where it is not the first.
    parting: Option<Box<Difference>>,
    parted: bool,
    /// What each side sent again, by reason.
    again: [[u32; Again::ALL.len()]; 2],
    /// What the captured server sent again last, where ours did not: it may turn out spurious.
    lone_again: Option<(u64, u64)>,
    compared: u64,
    farthest: u64,
}

impl Pairing {
    /// Nothing sent yet.
    pub fn new(rules: Rules, inferred: Inferred) -> Self {
        Self {
            rules,
            inferred,
            waiting: VecDeque::new(),
            whose: Side::Ours,
            limit: None,
            acks: Acks::default(),
            acks_whose: Side::Ours,
            ends: VecDeque::new(),
            acked: [0; 2],
            counts: [0; Class::ALL.len()],
            first: None,
            parting: None,
            parted: false,
            again: [[0; Again::ALL.len()]; 2],
            lone_again: None,
            compared: 0,
            farthest: 0,
        }
    }

    /// How often a class was found.
    pub fn counts(&self) -> &[u32; Class::ALL.len()] {
        &self.counts
    }

    /// The first difference.
    pub fn first(&self) -> Option<&Difference> {
        self.first.as_deref()
    }

    /// The difference after which nothing was compared any more, where it is not the first.
    pub fn parting(&self) -> Option<&Difference> {
        self.parting.as_deref()
    }

    /// Segments that were laid side by side.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// The longest time between two segments that are the same, in nanoseconds.
    pub fn farthest(&self) -> u64 {
        self.farthest
    }

    /// What a side sent again, by [`Again::ALL`].
    pub fn again(&self, side: Side) -> &[u32; Again::ALL.len()] {
        &self.again[side as usize]
    }

    /// Segments that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.acks.waiting.len() + self.ends.len() / 8
    }

    /// Whether nothing is compared any more.
    pub fn is_over(&self) -> bool {
        self.parted
    }

    /// Ends the comparison: what follows means nothing.
    pub fn stop(&mut self) {
        self.parted = true;
        self.waiting = VecDeque::new();
        self.acks.waiting = VecDeque::new();
        self.ends = VecDeque::new();
    }

    /// Whether [`Pairing::note_limit`] wants to be told before our stack's state changes.
    #[inline]
    pub fn wants_limit(&self, now: u64) -> bool {
        self.limit.is_none()
            && self.whose == Side::Theirs
            && self.waiting.front().is_some_and(|front| front.at < now)
    }

    /// What keeps ours from sending what the captured server has sent.
    pub fn note_limit(&mut self, limit: Limit) {
        self.limit = Some(limit);
    }

    /// A segment of the client reached both servers.
    pub fn on_client(&mut self, seg: &TapeSegment<'_>, ours: &OurState) {
        let before = self.inferred.una;
        let Told { twice } = self.inferred.on_client(seg);
        if self.inferred.una > before && !self.ends.is_empty() {
            self.check_ack(seg, ours);
        }
        if let (Some((left, right)), Some((from, upto))) = (twice, self.lone_again)
            && left < upto
            && from < right
        {
            self.lone_again = None;
            self.count(Class::Spurious);
            // What the first difference was is known better now.
            let is_it =
                |found: &&mut Box<Difference>| found.theirs.is_some_and(|sent| sent.from == from);
            let found = self.first.iter_mut().chain(&mut self.parting);
            if let Some(found) = found.filter(is_it).last() {
                found.class = Class::Spurious;
            } else if self.first.is_none() {
                let at = (seg.at_unix_nanos, seg.frame);
                self.first = Some(self.difference(Class::Spurious, at, None, None, ours));
            }
        }
    }

    /// Whether what the client acknowledges ends where a segment does: receivers take them whole.
    fn check_ack(&mut self, seg: &TapeSegment<'_>, ours: &OurState) {
        let una = self.inferred.una;
        let mut last = None;
        while let Some(end) = self.ends.front().filter(|end| **end <= una) {
            last = Some(*end);
            self.ends.pop_front();
        }
        // FIN takes a number of its own.
        if last != Some(una) && una <= self.inferred.max && !self.parted {
            self.count(Class::PartOfSegment);
            if self.first.is_none() {
                let at = (seg.at_unix_nanos, seg.frame);
                self.first = Some(self.difference(Class::PartOfSegment, at, None, None, ours));
            }
        }
    }

    /// Notes where a segment of the captured server ends.
    fn note_end(&mut self, upto: u64) {
        if !self.rules.exact_acks || self.parted || self.ends.len() >= WAITING_MAX {
            return;
        }
        let place = self.ends.partition_point(|end| *end < upto);
        if self.ends.get(place) != Some(&upto) && upto > self.inferred.una {
            self.ends.insert(place, upto);
        }
    }

    /// The captured server sent a segment, of at most the MSS: `sent` without what it is for.
    pub fn on_theirs(&mut self, seg: &TapeSegment<'_>, mut sent: Sent, ours: &OurState) {
        sent.kind = self.inferred.on_server(seg, self.rules.tolerance);
        if sent.len > 0 {
            self.note_end(sent.upto());
        }
        if seg.rewrites {
            self.find(Class::Octets, None, Some(sent), ours);
        }
        self.offer(Side::Theirs, sent, ours);
    }

    /// The head of an answer in HTTP differs: ours is about to be sent. `parts`: what follows stands at
    /// other places of the stream.
    pub fn on_head(&mut self, (at, frame): (u64, u64), parts: bool, ours: &OurState) {
        if self.parted {
            return;
        }
        self.count(Class::HttpHead);
        let found = self.difference(Class::HttpHead, (at, frame), None, None, ours);
        if self.first.is_none() {
            self.first = Some(found);
        } else if parts && self.parting.is_none() {
            self.parting = Some(found);
        }
        if parts {
            self.stop();
        }
    }

    /// Ours sent a segment.
    pub fn on_ours(&mut self, sent: Sent, ours: &OurState) {
        self.offer(Side::Ours, sent, ours);
    }

    fn offer(&mut self, side: Side, sent: Sent, ours: &OurState) {
        if let Kind::Again(again) = sent.kind {
            self.again[side as usize][again as usize] += 1;
        }
        if self.parted {
            return;
        }
        let acked = &mut self.acked[side as usize];
        if sent.acked.wrapping_sub(*acked) as i32 > 0 {
            *acked = sent.acked;
        }
        if sent.kind == Kind::Ack {
            if self.rules.exact_acks {
                self.offer_ack(side, sent, ours);
            }
            return;
        }
        if self.waiting.is_empty() || self.whose == side {
            if self.waiting.len() >= WAITING_MAX {
                self.only_one_sends(ours);
                return;
            }
            self.whose = side;
            self.waiting.push_back(sent);
            return;
        }
        let Some(front) = self.waiting.pop_front() else { return };
        let (mine, other) = match side {
            Side::Ours => (sent, front),
            Side::Theirs => (front, sent),
        };
        self.lay_side_by_side(mine, other, ours);
        self.limit = None;
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
    }

    fn offer_ack(&mut self, side: Side, sent: Sent, ours: &OurState) {
        if self.acks.waiting.is_empty() || self.acks_whose == side {
            if self.acks.waiting.len() < WAITING_MAX {
                self.acks_whose = side;
                self.acks.waiting.push_back(sent);
            }
            return;
        }
        let Some(front) = self.acks.waiting.pop_front() else { return };
        let (mine, other) = match side {
            Side::Ours => (sent, front),
            Side::Theirs => (front, sent),
        };
        self.compared += 1;
        if mine.acked != other.acked {
            self.find(Class::Acknowledgement, Some(mine), Some(other), ours);
            return;
        }
        if self.apart(mine, other) {
            self.find(Class::Timing, Some(mine), Some(other), ours);
        } else {
            self.compare_headers(mine, other, ours);
        }
    }

    /// The next segment of both sides.
    fn lay_side_by_side(&mut self, mine: Sent, other: Sent, ours: &OurState) {
        self.compared += 1;
        if let Some(class) = self.misfit(&mine, &other) {
            self.find(class, Some(mine), Some(other), ours);
            return;
        }
        // What headers say depends on when they are written.
        if self.apart(mine, other) {
            let class = self.why_late(&mine, &other);
            self.find(class, Some(mine), Some(other), ours);
        } else {
            self.compare_headers(mine, other, ours);
        }
    }

    /// What is wrong where the next segments of both are not the same.
    fn misfit(&self, mine: &Sent, other: &Sent) -> Option<Class> {
        use Kind::{Fin, Reset, Syn, Text};
        let counted = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        let (ends, same) = (mine.flags.0 ^ other.flags.0, mine.from == other.from);
        if same && mine.len == other.len && ends & counted.0 == 0 {
            return None;
        }
        let again = |sent: &Sent| match sent.kind {
            Kind::Again(again) => Some(Class::of(again)),
            _ => None,
        };
        // What one sent again, the other did not: the earlier of both names it.
        let (first, second) = if mine.at <= other.at { (mine, other) } else { (other, mine) };
        if let Some(class) = again(first).or_else(|| again(second)) {
            if first.from == second.from && again(first).is_some() && again(second).is_some() {
                return Some(Class::Segmentation);
            }
            return Some(class);
        }
        Some(match (mine.kind, other.kind) {
            (Syn, _) | (_, Syn) => Class::FinOrReset,
            (Reset, _) | (_, Reset) | (Fin, _) | (_, Fin) => Class::FinOrReset,
            (Text, Text) if same && mine.len == other.len => Class::FinOrReset,
            _ if self.limit == Some(Limit::Congestion) => Class::CongestionWindow,
            _ => Class::Segmentation,
        })
    }

    /// The headers of two segments that are otherwise the same.
    fn compare_headers(&mut self, mine: Sent, other: Sent, ours: &OurState) {
        let (Rules { push, receive_window, exact_acks, .. }, both) =
            (self.rules, (Some(mine), Some(other)));
        let differs = mine.flags.0 ^ other.flags.0;
        let ecn = (TcpFlags::ECE | TcpFlags::CWR).0;
        let options = if exact_acks || mine.kind == Kind::Syn {
            mine.options != other.options
        } else {
            // SACK blocks come with acknowledgements, and those may be merged.
            (mine.options ^ other.options) & 0x00ff_ffff != 0
        };
        // Milliseconds: as old as the tolerance lets what it answers be.
        let apart = (mine.echo.wrapping_sub(other.echo) as i32).unsigned_abs();
        let echo = exact_acks && u64::from(apart) > self.rules.tolerance.div_ceil(1_000_000);
        if options || echo {
            self.find(Class::Options, both.0, both.1, ours);
        }
        if mine.kind == Kind::Syn && Sent::other_terms(mine.options, other.options) {
            return self.stop();
        }
        if differs & ecn != 0 || mine.ecn != other.ecn {
            self.find(Class::Ecn, both.0, both.1, ours);
        }
        if push && differs & TcpFlags::PSH.0 != 0 {
            self.find(Class::Push, both.0, both.1, ours);
        }
        if exact_acks && mine.kind != Kind::Ack && mine.acked != other.acked {
            self.find(Class::Acknowledgement, both.0, both.1, ours);
        }
        let window = match receive_window {
            true => mine.window != other.window,
            false => (mine.window == 0) != (other.window == 0) && mine.kind != Kind::Reset,
        };
        if window {
            self.find(Class::AnnouncedWindow, both.0, both.1, ours);
        }
    }

    /// Whether two segments that are the same were sent too far apart.
    fn apart(&mut self, mine: Sent, other: Sent) -> bool {
        let apart = mine.at.abs_diff(other.at);
        self.farthest = self.farthest.max(apart);
        apart > self.rules.tolerance
    }

    /// Why one of two segments that are the same was sent later.
    fn why_late(&self, mine: &Sent, other: &Sent) -> Class {
        let ours_late = mine.at > other.at;
        let earlier = if ours_late { other } else { mine };
        match (earlier.kind, mine.kind, other.kind) {
            (Kind::Again(again), _, _) => Class::of(again),
            (_, Kind::Again(again), _) | (_, _, Kind::Again(again)) => Class::of(again),
            (Kind::Text, _, _) if ours_late => match self.limit {
                Some(Limit::Congestion) => Class::CongestionWindow,
                Some(Limit::Client) => Class::ClientWindow,
                _ => Class::Timing,
            },
            // The captured server sent it when it was told of something: it had been waiting.
            (Kind::Text, _, _)
                if other.at.saturating_sub(self.inferred.told_at) <= self.rules.tolerance =>
            {
                Class::CongestionWindow
            }
            _ => Class::Timing,
        }
    }

    /// One side has sent more than may wait, and the other nothing.
    fn only_one_sends(&mut self, ours: &OurState) {
        if let Some(front) = self.waiting.pop_front() {
            self.find_alone(front, ours);
        }
        self.stop();
    }

    /// A segment to which the other side has none.
    fn find_alone(&mut self, alone: Sent, ours: &OurState) {
        let class = match alone.kind {
            Kind::Again(again) => Class::of(again),
            Kind::Fin | Kind::Reset | Kind::Syn => Class::FinOrReset,
            Kind::Ack => Class::Acknowledgement,
            Kind::Text => match (self.whose, self.limit) {
                (Side::Theirs, Some(Limit::Client)) => Class::ClientWindow,
                (Side::Theirs, Some(Limit::Application | Limit::Other)) => Class::Timing,
                _ => Class::CongestionWindow,
            },
        };
        let (mine, other) = match self.whose {
            Side::Ours => (Some(alone), None),
            Side::Theirs => (None, Some(alone)),
        };
        self.find(class, mine, other, ours);
    }

    /// The client acknowledged what ours has not sent: what the captured server has sent alone is the
    /// difference, and nothing more is compared.
    pub fn overtaken(&mut self, ours: &OurState) {
        if !self.parted
            && self.whose == Side::Theirs
            && let Some(front) = self.waiting.front().copied()
        {
            self.find_alone(front, ours);
        }
        self.stop();
    }

    /// The connection is over, or the capture is: at `at`, in nanoseconds since 1970. What was sent
    /// shortly before may have its like behind the end.
    pub fn finish(&mut self, at: u64, ours: &OurState) {
        if self.parted {
            return;
        }
        let early = |sent: &Sent| at.saturating_sub(sent.at) > self.rules.tolerance;
        if let Some(front) = self.waiting.front().copied().filter(early) {
            self.find_alone(front, ours);
        } else if let Some(front) = self.acks.waiting.front().copied().filter(early) {
            let (mine, other) = match self.acks_whose {
                Side::Ours => (Some(front), None),
                Side::Theirs => (None, Some(front)),
            };
            self.find(Class::Acknowledgement, mine, other, ours);
        } else if !self.rules.exact_acks
            && self.acked[0] != self.acked[1]
            && self.waiting.is_empty()
            && self.first.is_none()
        {
            self.find(Class::Acknowledgement, None, None, ours);
        }
        self.stop();
    }

    fn count(&mut self, class: Class) {
        self.counts[class as usize] = self.counts[class as usize].saturating_add(1);
    }

    fn find(&mut self, class: Class, mine: Option<Sent>, other: Option<Sent>, ours: &OurState) {
        self.count(class);
        let at = [mine, other].into_iter().flatten().map(|sent| sent.at).min();
        let frame = other.map_or(0, |sent| sent.frame);
        let at = (at.unwrap_or(0), frame);
        if self.first.is_none() {
            self.first = Some(self.difference(class, at, mine, other, ours));
        } else if class.parts_the_ways() && self.parting.is_none() {
            self.parting = Some(self.difference(class, at, mine, other, ours));
        }
        let alone = mine.is_none_or(|sent| !matches!(sent.kind, Kind::Again(_)));
        if let Some(sent) = other.filter(|sent| matches!(sent.kind, Kind::Again(_)) && alone) {
            self.lone_again = Some((sent.from, sent.upto()));
        }
        if class.parts_the_ways() {
            self.stop();
        }
    }

    fn difference(
        &self,
        class: Class,
        (at, frame): (u64, u64),
        mine: Option<Sent>,
        other: Option<Sent>,
        ours: &OurState,
    ) -> Box<Difference> {
        let inferred = &self.inferred;
        let told_at = Some(inferred.told_at).filter(|told_at| *told_at > 0);
        Box::new(Difference {
            class,
            at,
            frame,
            ours: mine,
            theirs: other,
            our_state: *ours,
            their_state: TheirState {
                flight: inferred.flight(),
                window: inferred.window,
                duplicates: inferred.duplicates,
                in_recovery: inferred.in_recovery,
                since_told: told_at.map(|told_at| at.saturating_sub(told_at)),
            },
        })
    }
}

impl Side {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }

    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ours, Self::Ours.other()];
}

#[cfg(test)]
mod tests;
