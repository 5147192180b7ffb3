//! What every connection of a stack promises its peer: a slow, obvious TCP beside the fast one.
//!
//! It is shown, in order, every segment that the stack took from its port and every one that it gave
//! to it, and knows the time and the stack's configuration, nothing else. From that it derives what
//! has to be sent, what may be, and by when: [`Promise`] lists it with the RFC's sections. It shares
//! no code with the stack but the parser of headers.
//!
//! It watches the port rather than the link, so that neither the lateness of a NIC nor the batches
//! of a busy host blur what was decided when. A ring that is full delays, and a pool that is empty
//! may lose, a segment: the port says so ([`Passage::Starved`]), and what is due then is excused.
//!
//! Amortised, a segment costs a look-up and a few comparisons: each connection has one alarm at
//! most, armed lazily.
//!
//! A host may have several stacks, each with connections of its own and a model of its own, though
//! they share an address.
//!
//! Read `receive` (what a segment that came obliges to), then `send` (what may be sent), then `conn`
//! (what is overdue).

mod conn;
mod estimate;
mod glimpse;
mod model;
mod promise;
mod receive;
mod send;

pub use glimpse::{Glimpse, Passage, Passed};
pub use promise::{BrokenPromise, Promise};

use model::Model;
use simoom_core::stack;
use simoom_core::tcp;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

/// How a stack is set up that is held to its promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseConfig {
    /// Its hardware address: what is for others it does not take.
    pub mac: MacAddr,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The VLAN that it is in.
    pub vlan: Option<u16>,
    /// Its TCP.
    pub tcp: tcp::Config,
    /// Receive buffers that its connections share. With more connections than that, text may be
    /// refused.
    pub receive_buffers: u32,
    /// How long after it was due something may be done, beside the exactness of each estimate: how
    /// long a turn that a deadline asks for may have to wait, where turns take time.
    pub latency: Duration,
}

impl PromiseConfig {
    /// What a stack of this configuration promises, if its turns take no time.
    pub fn of(config: &stack::Config) -> Self {
        Self {
            mac: config.mac,
            ip: config.ip,
            vlan: config.vlan,
            tcp: config.tcp.clone(),
            receive_buffers: config.receive_buffers,
            latency: Duration::ZERO,
        }
    }
}

/// How often each promise was put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats([u64; Promise::COUNT]);

impl Default for Stats {
    fn default() -> Self {
        Self([0; Promise::COUNT])
    }
}

impl Stats {
    #[inline]
    fn tested(&mut self, promise: Promise) {
        self.0[promise as usize] += 1;
    }

    /// How often this one was.
    pub fn of(&self, promise: Promise) -> u64 {
        self.0[promise as usize]
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// How long after a turn that could not send all the next one comes, at most.
const STARVED_GRACE: Duration = Duration::from_millis(1);

/// The promises of every host that is held to them.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// By host, its stacks; none where it is not held to any.
    hosts: Vec<Vec<Model>>,
    alarms: BinaryHeap<Alarm>,
    stats: Stats,
}

/// Which connection's alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Whose {
    host: u32,
    stack: u16,
    slot: u32,
}

type Alarm = Reverse<(Instant, Whose)>;

impl Promises {
    /// Holds the stacks of host number `host` to their promises from now on, and no others of it:
    /// before its first turn.
    pub fn hold(&mut self, host: u32, stacks: Vec<PromiseConfig>) {
        let host = host as usize;
        if self.hosts.len() <= host {
            self.hosts.resize_with(host + 1, Vec::new);
        }
        self.hosts[host] = stacks.into_iter().map(Model::new).collect();
    }

    /// Holds a host to nothing any more.
    pub fn release(&mut self, host: u32) {
        if let Some(models) = self.hosts.get_mut(host as usize) {
            models.clear();
        }
    }

    /// Whether a host is held to anything.
    #[inline]
    pub fn holds(&self, host: u32) -> bool {
        self.hosts.get(host as usize).is_some_and(|models| !models.is_empty())
    }

    /// The longest timeout of any host; the RFC's minute where none is held to anything.
    pub fn longest_timeout(&self) -> Duration {
        let timeouts = self.hosts.iter().flatten().map(|model| model.config.tcp.max_rto);
        timeouts.max().unwrap_or(Duration::from_secs(60))
    }

    /// How often each promise was put to the test.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What passed between the host's stacks and their ports, oldest first; the list is emptied.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn on_passed(&mut self, host: u32, passed: &mut Vec<Passed>) -> Result<(), BrokenPromise> {
        let mut verdict = Ok(());
        let models = self.hosts.get_mut(host as usize).map_or(&mut [][..], |models| models);
        let mut of = u16::MAX;
        for Passed { at, stack, what } in passed.drain(..) {
            if stack != of {
                arm(&mut self.alarms, (host, of), models);
                of = stack;
            }
            if let Some(model) = models.get_mut(usize::from(stack))
                && verdict.is_ok()
            {
                verdict = model.on_passage(at, &what, &mut self.stats);
            }
        }
        arm(&mut self.alarms, (host, of), models);
        verdict.map_err(|broken| *broken)
    }

    /// Before anything happens at `now`: what was due earlier has been done.
    ///
    /// # Errors
    /// The host, and what it promised.
    #[inline]
    pub fn on_time(&mut self, now: Instant) -> Result<(), (u32, BrokenPromise)> {
        match self.alarms.peek() {
            Some(Reverse((due, _))) if *due < now => self.on_alarms(now),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn on_alarms(&mut self, now: Instant) -> Result<(), (u32, BrokenPromise)> {
        while let Some(&Reverse((at, Whose { host, stack, slot }))) = self.alarms.peek()
            && at < now
        {
            self.alarms.pop();
            let Some(model) = self.hosts[host as usize].get_mut(usize::from(stack)) else {
                continue;
            };
            let conn = &mut model.conns[slot as usize];
            // An alarm that was moved nearer leaves the later one behind.
            if conn.armed != Some(at) {
                continue;
            }
            conn.armed = None;
            conn.excuse_losses(model.losses);
            let Some(due) = conn.next_due(&model.config) else { continue };
            let starved = model.starved_at.map(|at| at + STARVED_GRACE + model.config.latency);
            let due = starved.map_or(due, |excused| due.max(excused));
            if due < now {
                let stats = &mut self.stats;
                conn.check_due(&model.config, now, stats).map_err(|broken| (host, *broken))?;
                model.end_if_over(slot);
                let conn = &mut model.conns[slot as usize];
                if let Some(due) = conn.next_due(&model.config) {
                    conn.armed = Some(due.max(now));
                    self.alarms.push(Reverse((due.max(now), Whose { host, stack, slot })));
                }
            } else {
                conn.armed = Some(due);
                self.alarms.push(Reverse((due, Whose { host, stack, slot })));
            }
        }
        Ok(())
    }
}

/// Arms the connections of a stack that something happened to, nearer where something is due.
#[inline]
fn arm(alarms: &mut BinaryHeap<Alarm>, (host, stack): (u32, u16), models: &mut [Model]) {
    let Some(model) = models.get_mut(usize::from(stack)) else { return };
    for slot in model.touched.drain(..) {
        let conn = &mut model.conns[slot as usize];
        conn.touched = false;
        if let Some(due) = conn.next_due(&model.config)
            && conn.armed.is_none_or(|armed| due < armed)
        {
            conn.armed = Some(due);
            alarms.push(Reverse((due, Whose { host, stack, slot })));
        }
    }
}

#[cfg(test)]
mod tests;
