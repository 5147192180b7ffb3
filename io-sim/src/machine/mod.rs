//! A host with cores: several interfaces, each with several rings, and a stack behind each ring.
//!
//! A *shard* is one stack with one receive ring, one transmit ring and their memory. Shards share
//! nothing: the interface's hash ([`Steering`]) decides which one a frame comes to. A *core* gives
//! turns to the shards that are its own, one at a time, in rotation. A turn takes time by a
//! [`CostModel`]: it sees what was there when it began, what it sends is seen by the device when it
//! ends, and frames that come meanwhile wait in the receive ring, or find it full. So the load of a
//! core, and latency under load, are results of a run.
//!
//! Without cost, with one ring, it is the same as a [`crate::port_host::PortHost`], event by event.
//!
//! What there is one of: an address for each interface, which all its shards use; the interface's
//! line, which its rings share. An ARP request is answered by ring 0 alone; ARP replies come to every
//! ring, since any shard may have asked. For the connections that a shard opens, its stack picks
//! local ports whose answers come back to it (`Config::shard`).
//!
//! Read [`Machine::add_interface`], then [`Machine`]'s `Host::on_wake`. [`MachineSetup`] makes one
//! of our own stacks.

mod cost;
mod load;
mod setup;
mod steer;

pub use cost::{CoreStats, CostModel, Work};
#[cfg(feature = "cost-file")]
pub use cost::{CostFile, MeasuredRow};
pub use load::{LoadPlan, LoadPoint};
pub use setup::MachineSetup;
pub use steer::{Steered, Steering};

use crate::endpoint::{Host, HostCx, HostFault, Sending};
use crate::frames::FrameId;
use crate::nic::{NicStats, SimPort};
use crate::oracle::FlowName;
use crate::oracle::promises::{Passed, PromiseConfig};
use crate::port_host::{Fork, PortHostConfig, PortStack};
use simoom_core::port::Port;
use simoom_core::tcp::Info;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::rss::Spread;
use std::fmt;

/// What a machine is like, beyond its interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineConfig {
    /// Cores, at least one.
    pub cores: usize,
    /// What turns cost, on every core.
    pub cost: CostModel,
    /// How each shard is treated.
    pub host: PortHostConfig,
    /// Interrupt moderation: how long after its last turn completions alone, that a shard waits for,
    /// give it another.
    pub tx_coalesce: Duration,
}

impl Default for MachineConfig {
    /// One core, and nothing takes time.
    fn default() -> Self {
        Self {
            cores: 1,
            cost: CostModel::ZERO,
            host: PortHostConfig::default(),
            tx_coalesce: Duration::ZERO,
        }
    }
}

/// One ring pair of an interface to be: who is behind it, and which core runs it.
#[derive(Debug)]
pub struct Ring<S> {
    /// The stack.
    pub stack: S,
    /// Its port.
    pub port: SimPort,
    /// The number of its core, from 0.
    pub core: usize,
}

/// A stack with its ring pair.
pub struct Shard<S> {
    /// The stack. Whoever changes it between two events has to come through
    /// [`crate::world::World::host_mut`].
    pub stack: S,
    /// Its port.
    pub port: SimPort,
    interface: usize,
    core: usize,
    /// A turn is wanted then: frames came, or somebody asked.
    turn_at: Instant,
    /// What the last turn said.
    deadline: Instant,
    /// Completions that it waits for give it no turn before.
    completions_at: Instant,
    turns: u64,
    events_since_audit: u32,
    /// Something happened to it since the last audit.
    touched: bool,
}

impl<S: PortStack> Shard<S> {
    /// Turns so far.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// The number of its interface: that of the host's port.
    pub fn interface(&self) -> usize {
        self.interface
    }

    /// The number of its core.
    pub fn core(&self) -> usize {
        self.core
    }

    /// What it has done so far.
    pub fn work(&self) -> Work {
        let nic = self.port.stats();
        Work {
            turns: self.turns,
            doorbells: nic.doorbells,
            copied_bytes: nic.copied_bytes,
            ..self.stack.work()
        }
    }

    /// When it wants a turn; a time that has passed means now.
    #[inline]
    fn wants_turn_at(&self) -> Instant {
        let at = self.turn_at.min(self.deadline);
        if self.port.has_awaited_completions() { at.min(self.completions_at) } else { at }
    }

    #[inline]
    fn turn(&mut self, now: Instant) {
        let deadline = self.stack.turn(now, &mut self.port);
        self.deadline = deadline.unwrap_or(Instant::FAR_FUTURE);
        self.turns += 1;
        self.touched = true;
    }
}

impl<S: Fork> Clone for Shard<S> {
    /// Forks the stack together with its port.
    fn clone(&self) -> Self {
        Self { stack: self.stack.fork(), port: self.port.clone(), ..*self }
    }
}

/// An attachment to a network: rings `first..first + rings` of the machine's shards.
#[derive(Clone, Debug)]
struct Interface {
    steering: Steering,
    first: usize,
    rings: usize,
    /// The ring whose turn it is on the wire.
    next: usize,
}

/// A core, and what it is at.
#[derive(Clone, Debug)]
struct Core {
    shards: Vec<usize>,
    /// Index in `shards` of who is looked at first.
    next: usize,
    /// It does nothing else before.
    busy_until: Instant,
    /// Picoseconds spent that are not yet a nanosecond.
    rest_ps: u64,
    /// The shard whose doorbell rings then.
    rings: Option<usize>,
    stats: CoreStats,
}

impl Core {
    /// Spends time from now on.
    fn spend(&mut self, now: Instant, picoseconds: u64) {
        let all = picoseconds.saturating_add(self.rest_ps);
        self.rest_ps = all % 1_000;
        let time = Duration::from_nanos(all / 1_000);
        self.busy_until = now + time;
        self.stats.busy = Duration::from_nanos(self.stats.busy.as_nanos() + time.as_nanos());
    }
}

/// A host of several stacks. See the module.
pub struct Machine<S> {
    config: MachineConfig,
    interfaces: Vec<Interface>,
    shards: Vec<Shard<S>>,
    cores: Vec<Core>,
}

impl<S: PortStack> Machine<S> {
    /// A machine without interfaces.
    pub fn new(config: MachineConfig) -> Self {
        assert!(config.cores > 0, "a machine has a core");
        let core = Core {
            shards: Vec::new(),
            next: 0,
            busy_until: Instant::ZERO,
            rest_ps: 0,
            rings: None,
            stats: CoreStats::default(),
        };
        let cores = vec![core; config.cores];
        Self { config, interfaces: Vec::new(), shards: Vec::new(), cores }
    }

    /// Adds an interface and answers its number, which is that of the host's port in
    /// [`crate::world::World::connect`]. The first turn of each ring is at the world's start.
    ///
    /// # Panics
    /// Where there is no ring or more than 255, a core is not there, or the table of `spread` names
    /// a ring that is not there.
    pub fn add_interface(&mut self, spread: Spread, rings: Vec<Ring<S>>) -> usize {
        let count = u8::try_from(rings.len()).expect("at most 255 rings");
        assert!(count > 0, "an interface has a ring");
        let interface = self.interfaces.len();
        let first = self.shards.len();
        for Ring { stack, port, core } in rings {
            let cores = self.cores.len();
            assert!(core < cores, "core {core} of {cores}, the first being 0");
            self.cores[core].shards.push(self.shards.len());
            self.shards.push(Shard {
                stack,
                port,
                interface,
                core,
                turn_at: Instant::ZERO,
                deadline: Instant::FAR_FUTURE,
                completions_at: Instant::ZERO,
                turns: 0,
                events_since_audit: 0,
                touched: false,
            });
        }
        let steering = Steering::new(spread, count);
        self.interfaces.push(Interface { steering, first, rings: count.into(), next: 0 });
        interface
    }

    /// The configuration.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// Interfaces.
    pub fn interfaces(&self) -> usize {
        self.interfaces.len()
    }

    /// Every shard: those of interface 0 by ring, then those of interface 1, and so on.
    pub fn shards(&self) -> &[Shard<S>] {
        &self.shards
    }

    /// Every shard, to change.
    pub fn shards_mut(&mut self) -> &mut [Shard<S>] {
        &mut self.shards
    }

    /// The shards of one interface, by ring.
    pub fn rings(&self, interface: usize) -> &[Shard<S>] {
        let Interface { first, rings, .. } = self.interfaces[interface];
        &self.shards[first..first + rings]
    }

    /// What the rings of one interface did, by ring: how evenly its hash spreads frames is in `rx`,
    /// what found a ring full in `rx_ring_full`.
    pub fn ring_stats(&self, interface: usize) -> impl Iterator<Item = &NicStats> {
        self.rings(interface).iter().map(|shard| shard.port.stats())
    }

    /// What each core did.
    pub fn core_stats(&self) -> impl Iterator<Item = CoreStats> {
        self.cores.iter().map(|core| core.stats)
    }

    /// How long a turn that a shard of this core wants may have to wait for it to begin: a turn is
    /// under way, every other shard has one before, and completions alone wait for the moderation.
    /// Twice that, since the rest of what is due goes in a second turn.
    fn longest_wait(&self, core: usize) -> Duration {
        let of_core = self.shards.iter().filter(|shard| shard.core == core);
        let picoseconds = of_core.map(|shard| self.config.cost.longest_turn(shard.port.config()));
        let turns = picoseconds.fold(0, u64::saturating_add) / 1_000;
        let once = turns.saturating_add(self.config.tx_coalesce.as_nanos());
        Duration::from_nanos(once.saturating_mul(2))
    }

    /// A frame came to a ring.
    fn deliver(&mut self, cx: &mut HostCx<'_>, at: usize, frame: FrameId) {
        let shard = &mut self.shards[at];
        std::mem::swap(shard.port.frames_mut(), cx.frames);
        shard.port.catch_up(cx.now);
        shard.touched = true;
        if !shard.port.deliver(frame) {
            shard.port.frames_mut().remove(frame);
        } else if !shard.port.rx_is_stalled() {
            shard.turn_at = shard.turn_at.min(cx.now + self.config.host.rx_coalesce);
        }
        std::mem::swap(shard.port.frames_mut(), cx.frames);
    }

    /// Lets an interface's devices work until now, the rings taking turns on the wire.
    fn advance_interface(&mut self, cx: &mut HostCx<'_>, interface: usize) {
        let Interface { first, rings, next, .. } = self.interfaces[interface];
        for step in 0..rings {
            let ring = (next + step) % rings;
            let shard = &mut self.shards[first + ring];
            let wants = shard.wants_turn_at() <= cx.now;
            let rings_now = self.cores[shard.core].rings == Some(first + ring);
            if !wants && !rings_now && shard.port.next_event().is_none_or(|at| at > cx.now) {
                continue;
            }
            self.with_device(cx, first + ring, |port, now| port.advance(now));
            let shard = &mut self.shards[first + ring];
            shard.touched = true;
            if shard.port.take_rx_released() {
                shard.turn_at = cx.now;
            }
        }
    }

    /// Lets something happen to a ring's device, and tells the other rings of its interface when the
    /// wire is free afterwards.
    #[inline]
    fn with_device(
        &mut self,
        cx: &mut HostCx<'_>,
        at: usize,
        happen: impl FnOnce(&mut SimPort, Instant),
    ) {
        let shard = &mut self.shards[at];
        let port = &mut shard.port;
        std::mem::swap(port.frames_mut(), cx.frames);
        let before = port.stats().tx;
        happen(port, cx.now);
        while let Some(sent) = port.take_sent() {
            cx.sent.push(Sending { port: shard.interface, frame: sent.frame, at: sent.at });
        }
        std::mem::swap(port.frames_mut(), cx.frames);
        if port.stats().tx != before {
            self.share_wire(at);
        }
    }

    fn share_wire(&mut self, at: usize) {
        let free_at = self.shards[at].port.wire_free_at();
        let interface = &mut self.interfaces[self.shards[at].interface];
        let Interface { first, rings, .. } = *interface;
        if rings > 1 {
            interface.next = (at - first + 1) % rings;
            for shard in &mut self.shards[first..first + rings] {
                shard.port.share_wire(free_at);
            }
        }
    }

    /// Gives turns to the shards of a core, as far as it has time.
    fn run_core(&mut self, cx: &mut HostCx<'_>, core: usize) {
        let count = self.cores[core].shards.len();
        let first = self.cores[core].next;
        for step in 0..count {
            if self.cores[core].busy_until > cx.now {
                return;
            }
            let place = (first + step) % count;
            let at = self.cores[core].shards[place];
            let wanted_at = self.shards[at].wants_turn_at();
            if wanted_at > cx.now {
                continue;
            }
            self.shards[at].turn_at = Instant::FAR_FUTURE;
            if self.config.tx_coalesce != Duration::ZERO {
                self.shards[at].completions_at = cx.now + self.config.tx_coalesce;
            }
            if self.config.cost.is_zero() {
                self.free_turns(cx, core, at);
            } else {
                self.cores[core].next = (place + 1) % count;
                self.costly_turn(cx, core, at, wanted_at);
            }
        }
    }

    /// Turns that take no time, until no frame waits.
    fn free_turns(&mut self, cx: &mut HostCx<'_>, core: usize, at: usize) {
        loop {
            let shard = &mut self.shards[at];
            std::mem::swap(shard.port.frames_mut(), cx.frames);
            shard.turn(cx.now);
            std::mem::swap(shard.port.frames_mut(), cx.frames);
            self.cores[core].stats.turns += 1;
            if self.shards[at].port.rx_len() == 0 {
                break;
            }
        }
        self.with_device(cx, at, |_, _| ());
        self.share_wire(at);
    }

    /// A turn that takes time: what it does is computed at once, its doorbell rings when the time
    /// has passed.
    fn costly_turn(&mut self, cx: &mut HostCx<'_>, core: usize, at: usize, wanted_at: Instant) {
        let shard = &mut self.shards[at];
        let before = shard.work();
        std::mem::swap(shard.port.frames_mut(), cx.frames);
        shard.port.hold_doorbell();
        shard.turn(cx.now);
        std::mem::swap(shard.port.frames_mut(), cx.frames);
        if shard.port.rx_len() > 0 {
            shard.turn_at = cx.now;
        }
        let cost = self.config.cost.picoseconds_of(&shard.work().since(&before));
        let core = &mut self.cores[core];
        core.stats.turns += 1;
        if wanted_at > Instant::ZERO {
            core.stats.waited_max = core.stats.waited_max.max(cx.now - wanted_at);
        }
        core.spend(cx.now, cost);
        core.rings = Some(at);
        if core.busy_until <= cx.now {
            core.rings = None;
            self.with_device(cx, at, |port, _| port.release_doorbell());
        }
    }

    /// Rings the doorbells of turns that have ended.
    fn end_turns(&mut self, cx: &mut HostCx<'_>) {
        for core in 0..self.cores.len() {
            let ended = self.cores[core].busy_until <= cx.now;
            if let Some(at) = self.cores[core].rings.take_if(|_| ended) {
                self.with_device(cx, at, |port, _| port.release_doorbell());
            }
        }
    }
}

impl<S: PortStack> Host for Machine<S> {
    fn accepts(&mut self, port: usize, frame: &[u8]) -> bool {
        let Interface { steering, first, .. } = &self.interfaces[port];
        let ring = match steering.steer(frame) {
            Steered::Ring(ring) => usize::from(ring),
            // Copies for other rings that are full are dropped there; the frame itself is ring 0's.
            Steered::Every => 0,
        };
        let device = &mut self.shards[first + ring].port;
        let full = device.rx_is_full();
        if full {
            device.count_overflow();
        }
        !full
    }

    fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId) {
        let Interface { steering, first, rings, .. } = &self.interfaces[port];
        let (first, rings) = (*first, *rings);
        match steering.steer(cx.frames.get(frame)) {
            Steered::Ring(ring) => self.deliver(cx, first + usize::from(ring), frame),
            Steered::Every => {
                // The frame itself goes last: whoever is given it may end it.
                let copies: Vec<_> = (1..rings).map(|_| cx.frames.add_copy(frame)).collect();
                for (ring, copy) in (1..).zip(copies) {
                    self.deliver(cx, first + ring, copy);
                }
                self.deliver(cx, first, frame);
            }
        }
    }

    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        for interface in 0..self.interfaces.len() {
            self.advance_interface(cx, interface);
        }
        self.end_turns(cx);
        for core in 0..self.cores.len() {
            self.run_core(cx, core);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let mut next = Instant::FAR_FUTURE;
        for shard in &self.shards {
            let turn = shard.wants_turn_at();
            if turn != Instant::FAR_FUTURE {
                // A core that is free is not waited for: a turn at once is at the time it asks for.
                let busy_until = self.cores[shard.core].busy_until;
                next = next.min(turn.max(busy_until));
            }
            next = next.min(shard.port.next_event().unwrap_or(Instant::FAR_FUTURE));
        }
        for core in self.cores.iter().filter(|core| core.rings.is_some()) {
            next = next.min(core.busy_until);
        }
        (next != Instant::FAR_FUTURE).then_some(next)
    }

    fn poke(&mut self, now: Instant) {
        for shard in &mut self.shards {
            shard.turn_at = now;
        }
    }

    /// A turn that takes time does all that it does at its beginning, so what a frame asks for is
    /// seen at once however busy the core is; what a deadline asks for waits for the turns of its
    /// core's other shards.
    fn promises(&mut self) -> Vec<PromiseConfig> {
        let waits: Vec<_> = (0..self.cores.len()).map(|core| self.longest_wait(core)).collect();
        let mut promises = Vec::new();
        for (n, shard) in (0..).zip(&mut self.shards) {
            let Some(promise) = shard.stack.promises() else { return Vec::new() };
            shard.port.watch(n);
            promises.push(PromiseConfig { latency: waits[shard.core], ..promise });
        }
        promises
    }

    fn take_passed(&mut self, into: &mut Vec<Passed>) {
        for shard in self.shards.iter_mut().filter(|shard| shard.touched) {
            shard.port.take_passed(into);
        }
    }

    fn connections(&self) -> Vec<(FlowName, Info)> {
        self.shards.iter().flat_map(|shard| shard.stack.connections()).collect()
    }

    fn audit(&mut self) -> Result<(), HostFault> {
        let config = self.config.host;
        for shard in &mut self.shards {
            if !std::mem::take(&mut shard.touched) {
                continue;
            }
            if let Some(violation) = shard.port.take_violation() {
                return Err(HostFault::Nic(violation));
            }
            let (held, given) = (shard.stack.buffers_held(), shard.port.census().caller);
            if held != given {
                return Err(HostFault::BuffersLost { held, given });
            }
            shard.events_since_audit += 1;
            if config.audits(shard.events_since_audit, shard.stack.audited()) {
                shard.events_since_audit = 0;
                shard.stack.audit().map_err(HostFault::Audit)?;
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = String::from("a machine");
        for (n, core) in self.cores.iter().enumerate() {
            let CoreStats { busy, turns, .. } = core.stats;
            text += &format!("; core {n} busy for {busy:?} in {turns} turns");
        }
        for (n, shard) in self.shards.iter().enumerate() {
            let Shard { interface, deadline, .. } = shard;
            let what = shard.stack.describe();
            let census = shard.port.census();
            text += &format!("; shard {n} of interface {interface}: {what}, next deadline ");
            text += &match *deadline {
                Instant::FAR_FUTURE => format!("never, {census:?}"),
                deadline => format!("{deadline:?}, {census:?}"),
            };
        }
        text
    }
}

impl<S: Fork> Clone for Machine<S> {
    /// Forks every stack together with its port.
    fn clone(&self) -> Self {
        Self {
            config: self.config,
            interfaces: self.interfaces.clone(),
            shards: self.shards.clone(),
            cores: self.cores.clone(),
        }
    }
}

impl<S: PortStack> fmt::Debug for Machine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
