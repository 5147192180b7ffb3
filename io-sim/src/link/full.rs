//! What a link does that is not plain: all that keeps a frame, decides about it when its turn comes,
//! or looks at more than its length.

use super::damage::{self, ETHERNET_LEN};
use super::jitter::Jitter;
use super::outages::Outages;
use super::trace::{OPPORTUNITY_BYTES, Trace};
use super::waiting::{Head, Waiting};
use super::{Link, MtuExceeded, Outcome, Passage, ip, tcp};
use crate::fault::FaultKind;
use crate::frames::{FrameId, Frames};
use crate::hash::Fate;
use crate::seed::{Draws, Seed, Stream};
use simoom_core::time::Instant;
use std::collections::VecDeque;

/// What such a link has beyond a plain one.
#[derive(Clone, Debug)]
pub(super) struct Full {
    bursts: Draws,
    ack_loss: Draws,
    displace: Draws,
    repaired: Draws,
    truncate: Draws,
    jitter: Draws,
    /// How many of `LinkConfig::changes` have happened.
    changes_done: usize,
    /// The state of `LinkConfig::burst_loss`.
    bad: bool,
    bytes: tcp::ByteCounts,
    /// Frames, by number, that hold one of `LinkConfig::lose_bytes` and have not left yet.
    condemned: VecDeque<u64>,
    /// Pure ACKs that wait for more, and when they wait no longer.
    bunch: Vec<FrameId>,
    bunch_until: Instant,
    queue: Waiting,
    /// The next opportunity of the trace, and the frame that it goes on with: (which, bytes left).
    opportunity: u64,
    in_transit: Option<(FrameId, u64)>,
    /// When the latest frame arrives, where none may pass another.
    last_arrival: Instant,
    displaced: Vec<Displaced>,
    outcomes: VecDeque<Outcome>,
}

/// A frame that waits for others to pass it.
#[derive(Clone, Copy, Debug)]
struct Displaced {
    frame: FrameId,
    fate: Fate,
    again: Option<(FrameId, Fate)>,
    /// When it would have arrived, and when it does at the latest.
    at: Instant,
    until: Instant,
    /// How many have yet to pass.
    left: u32,
}

impl Full {
    pub(super) fn new(seed: Seed, number: u32) -> Self {
        Self {
            bursts: seed.stream(Stream::Bursts(number)),
            ack_loss: seed.stream(Stream::AckLoss(number)),
            displace: seed.stream(Stream::Displace(number)),
            repaired: seed.stream(Stream::Repaired(number)),
            truncate: seed.stream(Stream::Truncate(number)),
            jitter: seed.stream(Stream::Jitter(number)),
            changes_done: 0,
            bad: false,
            bytes: tcp::ByteCounts::default(),
            condemned: VecDeque::new(),
            bunch: Vec::new(),
            bunch_until: Instant::FAR_FUTURE,
            queue: Waiting::default(),
            opportunity: 0,
            in_transit: None,
            last_arrival: Instant::ZERO,
            displaced: Vec::new(),
            outcomes: VecDeque::new(),
        }
    }

    /// Another list of changes begins.
    pub(super) fn begin_changes(&mut self) {
        self.changes_done = 0;
    }

    /// What a trace could have carried before `now` is gone.
    pub(super) fn skip_opportunities(&mut self, now: Instant, trace: Option<&Trace>) {
        self.opportunity = trace.map_or(0, |trace| trace.first_after(now));
    }

    pub(super) fn queue(&self) -> (usize, u64) {
        (self.queue.len(), self.queue.bytes())
    }

    pub(super) fn held(&self) -> usize {
        let displaced = |held: &Displaced| 1 + usize::from(held.again.is_some());
        self.bunch.len()
            + self.queue.len()
            + usize::from(self.in_transit.is_some())
            + self.displaced.iter().map(displaced).sum::<usize>()
    }

    /// When the next opportunity of a trace is that no outage takes.
    fn next_opportunity(&self, trace: &Trace, outages: &Outages) -> Instant {
        let at = trace.at(self.opportunity);
        match outages.sends_at(at) {
            Instant::FAR_FUTURE => Instant::FAR_FUTURE,
            up if up == at => at,
            up => trace.at(trace.first_from(up)),
        }
    }
}

impl Link {
    /// Takes what has become of frames, oldest first, after each call of [`Link::offer`] that said
    /// [`Passage::Stays`] and each of [`Link::on_wake`].
    #[inline]
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        self.full.as_mut()?.outcomes.pop_front()
    }

    /// When the link wants [`Link::on_wake`] to be called: may be another after every other call.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let full = self.full.as_ref()?;
        let bunch = (!full.bunch.is_empty()).then_some(full.bunch_until);
        let displaced = full.displaced.iter().map(|held| held.until).min();
        let waits = !full.queue.is_empty() || full.in_transit.is_some();
        let turn = waits.then(|| {
            let turn = match &self.config.trace {
                Some(trace) => full.next_opportunity(trace, &self.config.outages),
                None => self.config.outages.sends_at(self.busy_until.max(now)),
            };
            let change = self.config.changes.get(full.changes_done).map(|(at, _)| *at);
            turn.min(change.unwrap_or(turn))
        });
        let next = bunch.into_iter().chain(displaced).chain(turn).min()?;
        (next < Instant::FAR_FUTURE).then_some(next)
    }

    /// Does what is due at `now`.
    pub fn on_wake(&mut self, now: Instant, frames: &mut Frames) {
        self.change(now);
        if self.full.as_ref().is_some_and(|full| full.bunch_until <= now) {
            self.send_bunch(now, frames);
        }
        self.serve(now, frames);
        self.release_displaced(|held| held.until <= now, |held| held.until.max(now));
    }

    /// Takes a frame that was counted already.
    pub(super) fn offer_full(&mut self, now: Instant, frames: &mut Frames, frame: FrameId) {
        self.change(now);
        let number = frames.entry(frame).number;
        let bytes = frames.get(frame);
        let Some(full) = &mut self.full else { return };
        let config = &self.config;
        if !config.lose_bytes.is_empty()
            && !self.faults.is_forced()
            && full.bytes.on_segment(bytes, &config.lose_bytes)
        {
            full.condemned.push_back(number);
        }
        if let Some(mtu) = config.mtu
            && bytes.len().saturating_sub(ETHERNET_LEN) > usize::from(mtu.bytes)
        {
            self.stats.too_long += 1;
            if let MtuExceeded::Icmp { from } = mtu.exceeded
                && let Some(answer) = ip::too_long(bytes, from, mtu.bytes)
            {
                self.stats.too_long_answered += 1;
                full.outcomes.push_back(Outcome::Answer(frames.add(&answer)));
            }
            return self.passed(frame, Passage::Ends(Fate::TooLong));
        }
        if config.outages.drops(now) {
            self.stats.link_down += 1;
            return self.passed(frame, Passage::Ends(Fate::LinkDown));
        }
        if let Some(bunch) = config.ack_bunch
            && bunch.count_max > 1
            && tcp::is_pure_ack(bytes)
        {
            if full.bunch.is_empty() {
                full.bunch_until = now + bunch.time_max;
            }
            full.bunch.push(frame);
            self.stats.bunched += 1;
            if full.bunch.len() >= bunch.count_max as usize {
                self.send_bunch(now, frames);
            }
            return;
        }
        self.send_bunch(now, frames);
        self.admit(now, frames, frame);
    }

    /// Makes the changes whose time has come.
    fn change(&mut self, now: Instant) {
        while let Some(full) = &mut self.full
            && let Some((at, config)) = self.config.changes.get(full.changes_done)
            && *at <= now
        {
            full.changes_done += 1;
            let mut config = config.clone();
            config.changes = self.config.changes.clone();
            if config.trace != self.config.trace {
                full.skip_opportunities(now, config.trace.as_ref());
            }
            self.config = config;
        }
    }

    /// Lets the ACKs go that wait for each other.
    fn send_bunch(&mut self, now: Instant, frames: &mut Frames) {
        let Some(full) = &mut self.full else { return };
        full.bunch_until = Instant::FAR_FUTURE;
        if full.bunch.is_empty() {
            return;
        }
        for frame in std::mem::take(&mut full.bunch) {
            self.admit(now, frames, frame);
        }
    }

    /// Takes a frame into the queue, if there is room, or sends it.
    fn admit(&mut self, now: Instant, frames: &mut Frames, frame: FrameId) {
        let len = frames.get(frame).len() as u64;
        let Some(full) = &mut self.full else { return };
        if !self.config.is_served() && full.queue.is_empty() && full.in_transit.is_none() {
            match self.send_later(now, len) {
                Some(left) => self.send(left, frames, frame),
                None => self.passed(frame, Passage::Ends(Fate::QueueFull)),
            }
            return;
        }
        // Whose turn has come is gone already.
        self.serve(now, frames);
        let idle = self.config.trace.is_none()
            && self.busy_until <= now
            && self.config.outages.sends_at(now) == now;
        let (waiting, bytes) = self.queue(now);
        if !idle && !self.fits(waiting, bytes, len) {
            self.stats.queue_full += 1;
            return self.passed(frame, Passage::Ends(Fate::QueueFull));
        }
        let Some(full) = &mut self.full else { return };
        if full.queue.is_empty() && full.in_transit.is_none() {
            full.skip_opportunities(now, self.config.trace.as_ref());
        }
        full.queue.push(now, frame, len);
        self.serve(now, frames);
        let (waiting, _) = self.queue(now);
        self.stats.queue_max = self.stats.queue_max.max(waiting as u64);
    }

    /// Sends what waits, as far as its turn has come.
    fn serve(&mut self, now: Instant, frames: &mut Frames) {
        if self.config.trace.is_some() {
            return self.serve_by_trace(now, frames);
        }
        // What a trace had begun, the rate ends.
        if self.busy_until <= now
            && self.config.outages.sends_at(now) == now
            && let Some(full) = &mut self.full
            && let Some((frame, left)) = full.in_transit.take()
        {
            self.busy_until = now + self.config.rate.time_of(left);
            self.send(self.busy_until, frames, frame);
        }
        while self.busy_until <= now
            && self.config.outages.sends_at(now) == now
            && let Some((frame, len)) = self.next_to_send(now, frames)
        {
            let on_wire = len + u64::from(self.config.overhead_bytes);
            self.busy_until = now + self.config.rate.time_of(on_wire);
            self.send(self.busy_until, frames, frame);
        }
    }

    /// Uses the opportunities that have come.
    fn serve_by_trace(&mut self, now: Instant, frames: &mut Frames) {
        while let Some(trace) = &self.config.trace
            && let Some(full) = &mut self.full
            && (full.in_transit.is_some() || !full.queue.is_empty())
        {
            let at = full.next_opportunity(trace, &self.config.outages);
            if at > now {
                return;
            }
            full.opportunity = trace.first_from(at).max(full.opportunity) + 1;
            let mut room = u64::from(OPPORTUNITY_BYTES);
            while room > 0
                && let Some((frame, left)) = self.next_in_transit(at, frames)
            {
                let used = left.min(room);
                room -= used;
                let Some(full) = &mut self.full else { return };
                full.in_transit = (left > used).then_some((frame, left - used));
                if left == used {
                    self.send(at, frames, frame);
                }
            }
        }
    }

    /// The frame that an opportunity goes on with, and how many of its bytes are left.
    fn next_in_transit(&mut self, at: Instant, frames: &mut Frames) -> Option<(FrameId, u64)> {
        if let Some(transit) = self.full.as_mut()?.in_transit.take() {
            return Some(transit);
        }
        let (frame, len) = self.next_to_send(at, frames)?;
        let packet = len.saturating_sub(ETHERNET_LEN as u64);
        Some((frame, (packet + u64::from(self.config.overhead_bytes)).max(1)))
    }

    /// The next frame of the queue that its management lets go, and its length.
    fn next_to_send(&mut self, now: Instant, frames: &mut Frames) -> Option<(FrameId, u64)> {
        let full = self.full.as_mut()?;
        loop {
            match full.queue.pop(now, &self.config.aqm, frames)? {
                Head::Send { frame, len, marked } => {
                    self.stats.marked += u64::from(marked);
                    return Some((frame, len));
                }
                Head::Drop(frame) => {
                    self.stats.queue_managed += 1;
                    let passage = Passage::Ends(Fate::QueueManaged);
                    full.outcomes.push_back(Outcome::Passed(frame, passage));
                }
            }
        }
    }

    /// Sends a frame on its way, its last bit at `left`.
    fn send(&mut self, left: Instant, frames: &mut Frames, frame: FrameId) {
        let number = frames.entry(frame).number;
        let at = self.vary(left + self.config.delay);
        if self.faults.is_forced() {
            self.faults.obey(number);
        } else if !self.draw_losses(number, frames.get(frame)) {
            self.draw_plain(frames.get(frame));
            self.draw_rest(frames.get(frame));
        }
        if self.faults.happening.is_empty() {
            let passage = Passage::Arrives { at, fate: Fate::Arrived, again: None };
            return self.passed_in_turn(at, frame, passage);
        }
        match self.suffer(at, frames, frame) {
            (Passage::Arrives { at, fate, again }, Some((left, time_max))) => {
                let until = at + time_max;
                if let Some(full) = &mut self.full {
                    full.displaced.push(Displaced { frame, fate, again, at, until, left });
                }
            }
            (Passage::Arrives { at, fate, again }, None) => {
                self.passed_in_turn(at, frame, Passage::Arrives { at, fate, again });
            }
            (passage, _) => self.passed(frame, passage),
        }
    }

    /// A frame arrives, and so do those that have waited for it to pass.
    fn passed_in_turn(&mut self, at: Instant, frame: FrameId, passage: Passage) {
        self.passed(frame, passage);
        let Some(full) = &mut self.full else { return };
        if full.displaced.is_empty() {
            return;
        }
        for held in &mut full.displaced {
            // Who comes after it was let go does not pass it.
            held.left -= u32::from(held.left > 0 && at <= held.until);
        }
        self.release_displaced(|held| held.left == 0, |held| held.at.max(at));
    }

    /// Adds what varies the delay.
    fn vary(&mut self, at: Instant) -> Instant {
        let Some(full) = &mut self.full else { return at };
        match self.config.jitter {
            Jitter::None => at,
            Jitter::Reordering(variation) => at + variation.draw(&mut full.jitter),
            Jitter::InOrder(variation) => {
                let at = (at + variation.draw(&mut full.jitter)).max(full.last_arrival);
                full.last_arrival = at;
                at
            }
        }
    }

    /// Whether one of the losses that are not plain takes a frame. Each is asked, whatever the
    /// others say, so that none moves another.
    fn draw_losses(&mut self, number: u64, bytes: &[u8]) -> bool {
        let Some(full) = &mut self.full else { return false };
        let config = &self.config;
        let mut lost = false;
        if let Some(model) = config.burst_loss {
            let (loss, turns) = match full.bad {
                false => (model.loss_good, model.to_bad),
                true => (model.loss_bad, model.to_good),
            };
            let hit = full.bursts.happens(loss);
            full.bad ^= full.bursts.happens(turns);
            self.stats.lost_in_bursts += u64::from(hit);
            lost |= hit;
        }
        if let Some(every) = config.loss_every {
            let hit = every.hits(number);
            self.stats.lost_by_period += u64::from(hit);
            lost |= hit;
        }
        while full.condemned.front().is_some_and(|condemned| *condemned < number) {
            full.condemned.pop_front();
        }
        let condemned = full.condemned.pop_front_if(|condemned| *condemned == number).is_some();
        if condemned || config.lose_frames.binary_search(&number).is_ok() {
            self.stats.lost_by_list += 1;
            lost = true;
        }
        if !config.ack_loss.is_never() && tcp::is_pure_ack(bytes) {
            let hit = full.ack_loss.happens(config.ack_loss);
            self.stats.lost_acks += u64::from(hit);
            lost |= hit;
        }
        if lost {
            // The plain chance is asked too; that it took the frame first changes nothing.
            self.loss.happens(config.loss);
            self.faults.happening.push(FaultKind::Lost);
        }
        lost
    }

    /// Draws which of the faults that are not plain happen to a frame that is not lost.
    fn draw_rest(&mut self, bytes: &[u8]) {
        let Some(full) = &mut self.full else { return };
        let config = &self.config;
        let happening = &mut self.faults.happening;
        if happening.contains(&FaultKind::Lost) {
            return;
        }
        if let Some(displace) = config.displace
            && full.displace.happens(displace.chance)
        {
            let (frames, time_max) = (displace.frames.max(1), displace.time_max);
            happening.push(FaultKind::Displaced { frames, time_max });
        }
        if full.repaired.happens(config.corrupt_repaired) {
            happening.extend(damage::draw(&mut full.repaired, tcp::payload(bytes), true));
        }
        if full.truncate.happens(config.truncate) {
            happening.extend(damage::draw_cut(&mut full.truncate, damage::packet(bytes)));
        }
    }

    /// Lets those frames arrive that waited for others to pass, at the time that `at` says.
    fn release_displaced(
        &mut self,
        is_due: impl Fn(&Displaced) -> bool,
        at: impl Fn(&Displaced) -> Instant,
    ) {
        let Some(full) = &mut self.full else { return };
        if !full.displaced.iter().any(&is_due) {
            return;
        }
        let (due, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut full.displaced).into_iter().partition(|held| is_due(held));
        full.displaced = kept;
        for held in due {
            let Displaced { frame, fate, again, .. } = held;
            self.passed(frame, Passage::Arrives { at: at(&held), fate, again });
        }
    }

    fn passed(&mut self, frame: FrameId, passage: Passage) {
        self.count_delivered(&passage);
        if let Some(full) = &mut self.full {
            full.outcomes.push_back(Outcome::Passed(frame, passage));
        }
    }
}
