//! Hosts, links between them, and the loop that runs them on virtual time.
//!
//! Everything that happens is an event with a number; the same seed and the same calls give the
//! same events. After each one the oracles are asked, and the first thing that must not happen
//! ends the run with the number of the event where it did.

use crate::case;
use crate::endpoint::{Host, HostCx, Sending};
use crate::fault::{Fault, FaultLog};
use crate::frames::{Entry, FrameId, Frames};
use crate::hash::{EventDigest, EventHash, EventRecord, EventTap, Fate, NoTap};
use crate::link::{Link, LinkConfig, LinkStats, Outcome, Passage};
use crate::observe::FlowStats;
use crate::oracle::promises::{Passed, Promises};
use crate::oracle::{OracleConfig, OracleStats, Oracles};
use crate::queue::{Alarms, EventQueue};
use crate::seed::Seed;
use simoom_core::time::{Duration, Instant};

mod ending;
mod gate;
mod progress;

pub use ending::{Limits, RunError, Why};
use gate::Gate;
pub use gate::Ruling;
pub use progress::{Demand, Stuck};

/// A host of one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(u32);

impl HostId {
    /// Its place among the hosts, in the order in which they were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A link of one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(pub(crate) u32);

/// One of the two directions of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the end that was named first when it was made.
    Forward = 0,
    /// Towards it.
    Backward = 1,
}

/// What has happened in a world, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorldStats {
    /// Arrived and were taken.
    pub arrived: u64,
    /// Their bytes.
    pub arrived_bytes: u64,
    /// Arrived where the receive ring was full.
    pub ring_full: u64,
    /// Were sent out of a port without a link.
    pub nowhere: u64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The last bit of a frame has left its host.
    Enter { way: u32, frame: FrameId },
    /// A frame reaches the other end.
    Arrive { way: u32, frame: FrameId, fate: Fate },
    /// A host wants to be called.
    Wake { host: u32 },
    /// A link has something to do with a frame that it keeps.
    Serve { way: u32 },
    /// A packet was swapped with the next one, and none has come.
    SwapOverdue { number: u32 },
}

/// One direction of a link, in place: link `n` has the ways `2n` and `2n + 1`.
#[derive(Clone, Debug)]
struct Way {
    link: Link,
    to: u32,
    to_port: usize,
}

#[derive(Clone, Debug)]
struct Node<H> {
    host: H,
    /// The way out of each port.
    ways: Vec<Option<u32>>,
    /// Whether the oracles hold it to anything.
    judged: bool,
    /// The oracles do not look at it.
    forwards: bool,
}

/// Hosts of type `H`, links, a seed and a time.
#[derive(Clone, Debug)]
pub struct World<H, T = NoTap> {
    seed: Seed,
    limits: Limits,
    /// Events that a case of [`crate::check`] leaves to this world, whatever the limits say.
    events_ceiling: u64,
    now: Instant,
    event: u64,
    events_at_once: u64,
    queue: EventQueue<Event>,
    /// When each host wants to be called.
    alarms: Alarms,
    /// When each direction of a link does.
    link_alarms: Alarms,
    frames: Frames,
    nodes: Vec<Node<H>>,
    ways: Vec<Way>,
    oracles: Oracles,
    promises: Promises,
    hold_to_promises: bool,
    digest: EventDigest,
    tap: T,
    stats: WorldStats,
    /// What a host gave to its ports during one call.
    sent: Vec<Sending>,
    /// What went wrong on the links, where somebody wants to know.
    faults: Option<FaultLog>,
    /// What is to go wrong, instead of what chances would do.
    forced: Option<Vec<Fault>>,
    /// What passed in a host during one call.
    passed: Vec<Passed>,
    /// Where packets wait for a ruling, in a world that is walked exhaustively.
    gate: Option<Gate>,
    /// The run has failed: nothing goes on.
    failed: Option<RunError>,
}

impl<H: Host> World<H> {
    /// An empty world.
    pub fn new(seed: Seed) -> Self {
        Self::with_tap(seed, NoTap)
    }
}

impl<H: Host, T: EventTap> World<H, T> {
    /// An empty world whose events `tap` sees.
    pub fn with_tap(seed: Seed, tap: T) -> Self {
        let orders = case::enter();
        let limits = Limits::default();
        Self {
            seed,
            limits: Limits { events_max: limits.events_max.min(orders.events_max), ..limits },
            events_ceiling: orders.events_max,
            now: Instant::ZERO,
            event: 0,
            events_at_once: 0,
            queue: EventQueue::default(),
            alarms: Alarms::default(),
            link_alarms: Alarms::default(),
            frames: Frames::default(),
            nodes: Vec::new(),
            ways: Vec::new(),
            oracles: Oracles::new(OracleConfig::default()),
            promises: Promises::default(),
            hold_to_promises: OracleConfig::default().promises,
            digest: EventDigest::default(),
            tap,
            stats: WorldStats::default(),
            sent: Vec::new(),
            faults: orders.log,
            forced: orders.forced,
            passed: Vec::new(),
            gate: None,
            failed: None,
        }
    }

    /// Other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        let events_max = limits.events_max.min(self.events_ceiling);
        self.limits = Limits { events_max, ..limits };
    }

    /// Other oracles, which have seen nothing yet: before the first event, or what is under way
    /// looks wrong to them.
    pub fn set_oracles(&mut self, config: OracleConfig) {
        assert_eq!(self.event, 0, "oracles are chosen before the first event");
        self.oracles = Oracles::new(config);
        if self.nodes.iter().any(|node| node.forwards) {
            self.oracles.verify_arrivals();
        }
        self.hold_to_promises = config.enabled && config.promises;
        for host in 0..self.nodes.len() as u32 {
            if self.hold_to_promises && self.nodes[host as usize].judged {
                self.promises.hold(host, self.nodes[host as usize].host.promises());
            } else {
                self.promises.release(host);
            }
        }
    }

    /// Adds a host. It is called for the first time when the world runs. If it says what it
    /// promises, it is held to that.
    pub fn add_host(&mut self, host: H) -> HostId {
        self.add(host, true)
    }

    fn add(&mut self, mut host: H, judged: bool) -> HostId {
        let id = self.nodes.len() as u32;
        // Asking a host for its promises makes it keep what passes, until somebody takes it.
        if judged && self.hold_to_promises {
            self.promises.hold(id, host.promises());
        }
        self.nodes.push(Node { host, ways: Vec::new(), judged, forwards: false });
        self.alarms.add_owner();
        self.wake(id, self.now);
        HostId(id)
    }

    /// Adds a host that may do what it likes: the oracles hold it to nothing.
    pub fn add_lawless_host(&mut self, host: H) -> HostId {
        self.add(host, false)
    }

    /// Adds a host that only passes on what comes, like a switch: the oracles look neither at what
    /// it sends nor at what reaches it, but at the hosts behind it.
    pub fn add_forwarder(&mut self, host: H) -> HostId {
        assert_eq!(self.event, 0, "forwarders are added before the first event");
        let id = self.add_host(host);
        self.nodes[id.0 as usize].forwards = true;
        // What was damaged before a forwarder comes from it like anything else.
        self.oracles.verify_arrivals();
        id
    }

    /// Joins two ports by a link, with a configuration for each direction.
    pub fn connect(
        &mut self,
        one: (HostId, usize),
        other: (HostId, usize),
        forward: LinkConfig,
        backward: LinkConfig,
    ) -> LinkId {
        let id = self.ways.len() as u32 / 2;
        for (from, to, config) in [(one, other, forward), (other, one, backward)] {
            let number = self.ways.len() as u32;
            let mut link = Link::new(config, self.seed, number);
            if self.faults.is_some() {
                link.record_faults();
            }
            if let Some(faults) = &self.forced {
                link.force_faults(faults);
            }
            self.ways.push(Way { link, to: to.0.0, to_port: to.1 });
            self.link_alarms.add_owner();
            let ways = &mut self.nodes[from.0.0 as usize].ways;
            if ways.len() <= from.1 {
                ways.resize(from.1 + 1, None);
            }
            let before = ways[from.1].replace(number);
            assert!(before.is_none(), "port {} of host {} has a link", from.1, from.0.0);
        }
        LinkId(id)
    }

    /// The seed.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.event
    }

    /// What has happened.
    pub fn stats(&self) -> &WorldStats {
        &self.stats
    }

    /// What the oracles have looked at.
    pub fn oracle_stats(&self) -> &OracleStats {
        self.oracles.stats()
    }

    /// What each direction of each connection has done, as the wire shows it: in the order in which
    /// the connections were first seen, the direction that sent first before the other. The oracles
    /// count it: nothing where they are off.
    pub fn flows(&self) -> impl Iterator<Item = &FlowStats> {
        self.oracles.flows()
    }

    /// The digest of all events so far.
    pub fn hash(&self) -> EventHash {
        self.digest.hash()
    }

    /// What sees the events.
    pub fn tap(&self) -> &T {
        &self.tap
    }

    /// What sees the events, to change.
    pub fn tap_mut(&mut self) -> &mut T {
        &mut self.tap
    }

    /// Ends the world and gives back what saw its events.
    pub fn into_tap(self) -> T {
        self.tap
    }

    /// A host.
    pub fn host(&self, id: HostId) -> &H {
        &self.nodes[id.0 as usize].host
    }

    /// A host, to change. It is called again at the present time.
    pub fn host_mut(&mut self, id: HostId) -> &mut H {
        self.wake(id.0, self.now);
        let host = &mut self.nodes[id.0 as usize].host;
        host.poke(self.now);
        host
    }

    /// Every host's id, in the order in which they were added.
    pub fn host_ids(&self) -> impl Iterator<Item = HostId> + use<H, T> {
        (0..self.nodes.len() as u32).map(HostId)
    }

    /// Every host, in the order in which they were added.
    pub fn hosts(&self) -> impl Iterator<Item = &H> {
        self.nodes.iter().map(|node| &node.host)
    }

    /// The direction of a link that leads away from a port, where one does.
    pub fn way_of(&self, host: HostId, port: usize) -> Option<(LinkId, Direction)> {
        let way = self.nodes[host.0 as usize].ways.get(port).copied().flatten()?;
        let direction = if way % 2 == 0 { Direction::Forward } else { Direction::Backward };
        Some((LinkId(way / 2), direction))
    }

    /// What one direction of a link has done.
    pub fn link_stats(&self, link: LinkId, direction: Direction) -> &LinkStats {
        self.ways[link.0 as usize * 2 + direction as usize].link.stats()
    }

    /// What one direction of a link is like. A change to come ([`LinkConfig::changes`]) shows when
    /// the link first has to do with a frame after its time.
    pub fn link_config(&self, link: LinkId, direction: Direction) -> &LinkConfig {
        self.ways[link.0 as usize * 2 + direction as usize].link.config()
    }

    /// Frames and bytes that wait in one direction of a link now, the one being sent not counted.
    pub fn link_queue(&mut self, link: LinkId, direction: Direction) -> (usize, u64) {
        self.ways[link.0 as usize * 2 + direction as usize].link.queue(self.now)
    }

    /// Changes one direction of a link for frames that enter it from now on, and for those that
    /// wait for their turn in it where it was not known in advance ([`Link::set_config`]).
    pub fn set_link(&mut self, link: LinkId, direction: Direction, config: LinkConfig) {
        let way = link.0 * 2 + direction as u32;
        self.ways[way as usize].link.set_config(self.now, config);
        self.arm(way);
    }

    /// From now on nothing goes wrong on any link.
    pub fn heal(&mut self) {
        for way in 0..self.ways.len() {
            self.ways[way].link.heal(self.now);
            self.arm(way as u32);
        }
    }

    /// From now on what chances do to frames on links is written down. Costs nothing where it was
    /// not asked for.
    pub fn record_faults(&mut self) {
        self.faults.get_or_insert_default();
        for way in &mut self.ways {
            way.link.record_faults();
        }
    }

    /// What was written down, in the order in which it happened: the first
    /// [`FAULTS_MAX`](crate::fault::FAULTS_MAX). Forced faults are written down too.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults.as_ref().map(|log| log.faults().to_vec()).unwrap_or_default()
    }

    /// How many faults happened beyond those: more than zero means that the list forced on another
    /// run does not give this one.
    pub fn faults_left_out(&self) -> u64 {
        self.faults.as_ref().map_or(0, FaultLog::left_out)
    }

    /// Nothing goes wrong by chance on any link, now or made later; what the list says happens, to
    /// the frames it names. Chances take no draws then; jitter, hosts and NICs draw as ever, so that
    /// the whole list of an earlier run of this seed gives that run again, event for event. See
    /// [`Link::force_faults`] for what a fault does that does not fit its frame. Before the first
    /// event.
    pub fn force_faults(&mut self, faults: Vec<Fault>) {
        assert_eq!(self.event, 0, "faults are forced before the first event");
        if let Some(log) = &mut self.faults {
            log.leave_case();
        }
        for way in &mut self.ways {
            way.link.force_faults(&faults);
        }
        self.forced = Some(faults);
    }

    /// Runs until `done`, which is asked after every event.
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) -> Result<(), RunError> {
        while !done(self) {
            if !self.step()? {
                return Err(self.fail(Why::NothingLeft));
            }
        }
        Ok(())
    }

    /// Runs for a time, or until nothing is to come; the time has passed then in either case.
    pub fn run_for(&mut self, time: Duration) -> Result<(), RunError> {
        let end = self.now + time;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step()?;
        }
        self.now = end;
        self.check_promises(end)
    }

    /// Runs until nothing is to come.
    pub fn run_to_end(&mut self) -> Result<(), RunError> {
        while self.step()? {}
        Ok(())
    }

    /// Lets one event happen. False where nothing is to come.
    pub fn step(&mut self) -> Result<bool, RunError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some((at, event)) = self.pop() else {
            // Nothing is to come: what is due will never be done.
            self.check_promises(Instant::FAR_FUTURE)?;
            return Ok(false);
        };
        self.happen(at, event).map_err(|why| self.fail(why))?;
        Ok(true)
    }

    /// When the next event is; None where nothing is to come.
    pub fn next_at(&self) -> Option<Instant> {
        let frame = self.queue.next_key();
        let alarm = self.alarms.next().map(|(key, _)| key);
        let link = self.link_alarms.next().map(|(key, _)| key);
        frame.into_iter().chain(alarm).chain(link).min().map(|(at, _)| at)
    }

    #[inline]
    fn pop(&mut self) -> Option<(Instant, Event)> {
        let frame = self.queue.next_key();
        let alarm = self.alarms.next();
        if let Some((key, way)) = self.link_alarms.next()
            && frame.is_none_or(|frame| key < frame)
            && alarm.is_none_or(|(alarm, _)| key < alarm)
        {
            self.link_alarms.clear(way);
            return Some((key.0, Event::Serve { way }));
        }
        match alarm {
            Some((key, host)) if frame.is_none_or(|frame| key < frame) => {
                self.alarms.clear(host);
                Some((key.0, Event::Wake { host }))
            }
            _ => self.queue.pop(),
        }
    }

    fn happen(&mut self, at: Instant, event: Event) -> Result<(), Why> {
        self.event += 1;
        self.events_at_once = if at > self.now { 1 } else { self.events_at_once + 1 };
        // A wake-up asked for in the past comes now.
        self.now = self.now.max(at);
        self.oracles.set_now(self.now);
        if let Some(log) = &mut self.faults {
            log.count_event();
        }
        if self.event > self.limits.events_max {
            return Err(Why::EventsMax(self.limits.events_max));
        }
        if self.now > self.limits.time_max {
            return Err(Why::TimeMax(self.limits.time_max));
        }
        if self.events_at_once > self.limits.events_at_once_max {
            return Err(Why::TimeStandsStill(self.events_at_once));
        }
        if let Err((host, broken)) = self.promises.on_time(self.now) {
            return Err(Why::Promise(HostId(host), Box::new(broken)));
        }
        match event {
            Event::Enter { way, frame } => {
                self.on_enter(way, frame);
                Ok(())
            }
            Event::Arrive { way, frame, fate } => {
                let host = self.on_arrive(way, frame, fate);
                self.settle(host)
            }
            Event::Wake { host } => self.settle(host),
            Event::Serve { way } => {
                self.ways[way as usize].link.on_wake(self.now, &mut self.frames);
                self.log_faults(way, None);
                self.tell_queue(way);
                self.take_outcomes(way);
                Ok(())
            }
            Event::SwapOverdue { number } => {
                self.on_swap_overdue(number);
                Ok(())
            }
        }
    }

    /// A frame comes to its link, or to the gate before it.
    #[inline]
    fn on_enter(&mut self, way: u32, frame: FrameId) {
        if self.gate.is_none() {
            self.offer(way, frame);
        } else if !self.hold(way, frame) {
            self.offer(way, frame);
            self.follow(way);
        }
    }

    /// A frame begins its way.
    fn offer(&mut self, way: u32, frame: FrameId) {
        let link = &mut self.ways[way as usize].link;
        if T::ENTRIES {
            let (id, direction) = ((way / 2) as u16, (way % 2) as u8);
            let number = link.stats().offered + 1;
            self.tap.on_enter(self.now, id, direction, number, self.frames.get(frame));
        }
        let passage = link.offer(self.now, &mut self.frames, frame);
        self.log_faults(way, Some(frame));
        self.tell_queue(way);
        match passage {
            Passage::Stays => self.take_outcomes(way),
            passage => self.pass(way, frame, passage),
        }
    }

    /// The link has said what becomes of a frame.
    #[inline]
    fn pass(&mut self, way: u32, frame: FrameId, passage: Passage) {
        match passage {
            Passage::Arrives { at, fate, again } => {
                self.queue.push(at, Event::Arrive { way, frame, fate });
                if let Some((frame, fate)) = again {
                    self.queue.push(at, Event::Arrive { way, frame, fate });
                }
            }
            Passage::Ends(fate) => {
                self.record(way, frame, fate);
                self.frames.remove(frame);
            }
            Passage::Stays => {}
        }
    }

    /// A link has decided about frames that it kept.
    fn take_outcomes(&mut self, way: u32) {
        while let Some(outcome) = self.ways[way as usize].link.take_outcome() {
            match outcome {
                Outcome::Passed(frame, passage) => self.pass(way, frame, passage),
                // By the other direction, back to where the frame came from.
                Outcome::Answer(frame) => self.offer(way ^ 1, frame),
            }
        }
        self.arm(way);
    }

    /// Writes down what has gone wrong, with the frame at hand where it is that one's.
    #[inline]
    fn log_faults(&mut self, way: u32, frame: Option<FrameId>) {
        if let Some(log) = &mut self.faults {
            log.extend(self.ways[way as usize].link.take_faults());
            let (oracles, frames) = (&self.oracles, &self.frames);
            let last = log.faults().last().map(|fault| fault.frame);
            let frame = frame.filter(|frame| last == Some(frames.entry(*frame).number));
            log.tell_case(|| oracles.describe(frames.get(frame?)));
        }
    }

    /// Tells the tap how much waits in one direction of a link.
    #[inline]
    fn tell_queue(&mut self, way: u32) {
        if T::QUEUES {
            let (frames, bytes) = self.ways[way as usize].link.queue(self.now);
            let (link, direction) = ((way / 2) as u16, (way % 2) as u8);
            self.tap.on_queue(self.now, link, direction, frames as u32, bytes);
        }
    }

    /// Moves a link's alarm.
    fn arm(&mut self, way: u32) {
        match self.ways[way as usize].link.next_wake(self.now) {
            Some(at) => {
                let at = at.max(self.now);
                if self.link_alarms.of(way) != Some(at) {
                    let number = self.queue.next_number();
                    self.link_alarms.set(way, at, number);
                }
            }
            None => self.link_alarms.clear(way),
        }
    }

    /// A frame ends its way. Answers at which host.
    fn on_arrive(&mut self, way: u32, frame: FrameId, fate: Fate) -> u32 {
        let Way { to, to_port, .. } = self.ways[way as usize];
        let bytes = self.frames.get(frame);
        if !self.nodes[to as usize].host.accepts(to_port, bytes) {
            self.stats.ring_full += 1;
            self.record(way, frame, Fate::RingFull);
            self.frames.remove(frame);
            return to;
        }
        self.record(way, frame, fate);
        let bytes = self.frames.get(frame);
        self.stats.arrived += 1;
        self.stats.arrived_bytes += bytes.len() as u64;
        // What has reached a switch has not reached the host behind it.
        if fate != Fate::ArrivedDamaged && !self.nodes[to as usize].forwards {
            self.oracles.on_arrived(bytes);
        }
        let mut cx = HostCx { now: self.now, frames: &mut self.frames, sent: &mut self.sent };
        self.nodes[to as usize].host.on_frame(&mut cx, to_port, frame);
        to
    }

    fn record(&mut self, way: u32, frame: FrameId, fate: Fate) {
        let Entry { at: sent_at, number } = self.frames.entry(frame);
        let record = EventRecord {
            at: self.now,
            sent_at,
            link: (way / 2) as u16,
            direction: (way % 2) as u8,
            fate,
            number,
            bytes: self.frames.get(frame),
        };
        self.digest.record(&record);
        self.tap.on_event(&record);
    }

    /// Calls a host whose time has come, sends what it sent, asks the oracles, and notes when it
    /// wants to be called again.
    fn settle(&mut self, host: u32) -> Result<(), Why> {
        let node = &mut self.nodes[host as usize];
        if node.host.next_wake().is_some_and(|at| at <= self.now) {
            let mut cx = HostCx { now: self.now, frames: &mut self.frames, sent: &mut self.sent };
            node.host.on_wake(&mut cx);
        }
        if self.promises.holds(host) {
            node.host.take_passed(&mut self.passed);
            if !self.passed.is_empty() {
                self.promises
                    .on_passed(host, &mut self.passed)
                    .map_err(|broken| Why::Promise(HostId(host), Box::new(broken)))?;
            }
        }
        self.send(host)?;
        let node = &mut self.nodes[host as usize];
        node.host.audit().map_err(|fault| Why::Host(HostId(host), fault))?;
        match node.host.next_wake() {
            Some(at) => self.wake(host, at.max(self.now)),
            None => self.alarms.clear(host),
        }
        Ok(())
    }

    /// Takes what a host has sent to the links, past the oracles.
    fn send(&mut self, host: u32) -> Result<(), Why> {
        let mut sent = std::mem::take(&mut self.sent);
        let mut outcome = Ok(());
        for Sending { port, frame, at } in sent.drain(..) {
            let node = &self.nodes[host as usize];
            let bytes = self.frames.get(frame);
            if node.forwards {
                // Not its own: the hosts behind it were looked at.
            } else if !node.judged {
                self.oracles.on_sent_unjudged(bytes);
            } else {
                match self.oracles.on_sent(bytes) {
                    Ok(()) if self.oracles.is_enabled() => self.frames.set_intact(frame),
                    Ok(()) => {}
                    Err(violation) if outcome.is_ok() => {
                        outcome = Err(Why::Wire(HostId(host), violation));
                    }
                    Err(_) => {}
                }
            }
            match node.ways.get(port).copied().flatten() {
                Some(way) if at <= self.now => self.on_enter(way, frame),
                Some(way) => self.queue.push(at, Event::Enter { way, frame }),
                None => {
                    self.stats.nowhere += 1;
                    self.frames.remove(frame);
                }
            }
        }
        self.sent = sent;
        outcome
    }

    /// Moves a host's alarm.
    #[inline]
    fn wake(&mut self, host: u32, at: Instant) {
        if self.alarms.of(host) != Some(at) {
            let number = self.queue.next_number();
            self.alarms.set(host, at, number);
        }
    }

    #[cold]
    fn fail(&mut self, why: Why) -> RunError {
        let error = RunError {
            seed: self.seed,
            event: self.event,
            at: self.now,
            why,
            hosts: self.nodes.iter().map(|node| node.host.describe()).collect(),
        };
        // A run that had nothing to do goes on when somebody gives it something.
        if error.why != Why::NothingLeft {
            self.failed = Some(error.clone());
        }
        error
    }
}
