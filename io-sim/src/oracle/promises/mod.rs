//! What every connection of a host promises its peer: a slow, obvious TCP beside the fast one.
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
//! Read `receive` (what a segment that came obliges to), then `send` (what may be sent), then `conn`
//! (what is overdue).

mod conn;
mod estimate;
mod glimpse;
mod promise;
mod receive;
mod send;

pub use glimpse::{Glimpse, Passage, Passed};
pub use promise::{BrokenPromise, Promise};

use super::FlowName;
use super::flow::KeyHasher;
use conn::{Conn, Stage, Verdict};
use hashbrown::HashMap;
use send::Excuses;
use simoom_core::stack;
use simoom_core::tcp;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_core::wire::tcp::TcpFlags;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::BuildHasherDefault;
use std::net::{Ipv4Addr, SocketAddrV4};

/// How a host is set up that is held to its promises.
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
    /// How long after it was due something may be done, beside the exactness of each estimate: for
    /// hosts whose turns take time.
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

/// Segments that may be answered with RST, and SYNs that may be answered with SYN-ACK, remembered
/// at most: the answer waits for a slot of the ring, seldom longer than a turn.
const PENDING_MAX: usize = 4_096;

/// How long after a turn that could not send all the next one comes, at most.
const STARVED_GRACE: Duration = Duration::from_millis(1);

/// The promises of every host that is held to them.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// By host; None for one that is not held to any.
    hosts: Vec<Option<Model>>,
    alarms: BinaryHeap<Reverse<(Instant, u32, u32)>>,
    stats: Stats,
}

/// The model of one host.
#[derive(Clone, Debug)]
struct Model {
    config: PromiseConfig,
    index: HashMap<u128, u32, BuildHasherDefault<KeyHasher>>,
    conns: Vec<Conn>,
    free: Vec<u32>,
    /// The connection of the last segment.
    last: (u64, u32),
    /// SYNs that were taken and not answered yet.
    syns: VecDeque<Glimpse>,
    /// Segments that were taken and may be answered with RST.
    strays: VecDeque<Glimpse>,
    starved_at: Option<Instant>,
    excuses: Excuses,
    /// Times that a segment without text may have been lost for want of a buffer.
    losses: u32,
    touched: Vec<u32>,
}

impl Promises {
    /// Holds host number `host` to its promises from now on: before its first turn.
    pub fn hold(&mut self, host: u32, config: PromiseConfig) {
        let host = host as usize;
        if self.hosts.len() <= host {
            self.hosts.resize_with(host + 1, || None);
        }
        self.hosts[host] = Some(Model {
            config,
            index: HashMap::default(),
            conns: Vec::new(),
            free: Vec::new(),
            last: (0, u32::MAX),
            syns: VecDeque::new(),
            strays: VecDeque::new(),
            starved_at: None,
            excuses: Excuses::default(),
            losses: 0,
            touched: Vec::new(),
        });
    }

    /// Holds a host to nothing any more.
    pub fn release(&mut self, host: u32) {
        if let Some(model) = self.hosts.get_mut(host as usize) {
            *model = None;
        }
    }

    /// Whether a host is held to anything.
    #[inline]
    pub fn holds(&self, host: u32) -> bool {
        self.hosts.get(host as usize).is_some_and(Option::is_some)
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

    /// What passed between the host's stack and its port, oldest first; the list is emptied.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn on_passed(&mut self, host: u32, passed: &mut Vec<Passed>) -> Result<(), BrokenPromise> {
        let Some(Some(model)) = self.hosts.get_mut(host as usize) else {
            passed.clear();
            return Ok(());
        };
        let mut verdict = Ok(());
        for Passed { at, what } in passed.drain(..) {
            if verdict.is_ok() {
                verdict = model.on_passage(at, &what, &mut self.stats);
            }
        }
        for slot in model.touched.drain(..) {
            let conn = &mut model.conns[slot as usize];
            conn.touched = false;
            if let Some(due) = conn.next_due(&model.config)
                && conn.armed.is_none_or(|armed| due < armed)
            {
                conn.armed = Some(due);
                self.alarms.push(Reverse((due, host, slot)));
            }
        }
        verdict.map_err(|broken| *broken)
    }

    /// Before anything happens at `now`: what was due earlier has been done.
    ///
    /// # Errors
    /// The host, and what it promised.
    #[inline]
    pub fn on_time(&mut self, now: Instant) -> Result<(), (u32, BrokenPromise)> {
        match self.alarms.peek() {
            Some(Reverse((due, _, _))) if *due < now => self.on_alarms(now),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn on_alarms(&mut self, now: Instant) -> Result<(), (u32, BrokenPromise)> {
        while let Some(&Reverse((at, host, slot))) = self.alarms.peek()
            && at < now
        {
            self.alarms.pop();
            let Some(Some(model)) = self.hosts.get_mut(host as usize) else { continue };
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
                    self.alarms.push(Reverse((due.max(now), host, slot)));
                }
            } else {
                conn.armed = Some(due);
                self.alarms.push(Reverse((due, host, slot)));
            }
        }
        Ok(())
    }
}

/// Names a connection of a host: the remote end, and the local port.
#[inline]
fn key(local: SocketAddrV4, remote: SocketAddrV4) -> u64 {
    u64::from(remote.ip().to_bits()) << 32
        | u64::from(remote.port()) << 16
        | u64::from(local.port())
}

impl Model {
    #[inline]
    fn on_passage(&mut self, now: Instant, what: &Passage, stats: &mut Stats) -> Verdict {
        match what {
            Passage::Took(seg) => {
                self.on_took(now, seg);
                Ok(())
            }
            Passage::Sent(seg) => self.on_sent(now, seg, stats),
            Passage::Starved { no_buffer } => {
                self.starved_at = Some(now);
                if *no_buffer {
                    self.excuses.lost_unseen = true;
                    self.losses += 1;
                }
                Ok(())
            }
        }
    }

    #[inline]
    fn find(&mut self, key: u64) -> Option<u32> {
        if self.last.0 == key && self.last.1 != u32::MAX {
            return Some(self.last.1);
        }
        let slot = *self.index.get(&u128::from(key))?;
        self.last = (key, slot);
        Some(slot)
    }

    #[inline]
    fn touch(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !std::mem::replace(&mut conn.touched, true) {
            self.touched.push(slot);
        }
    }

    fn insert(&mut self, conn: Conn) -> u32 {
        let key = conn.key;
        let slot = match self.free.pop() {
            Some(slot) => {
                // Alarms of the one before may still be about.
                self.conns[slot as usize] = conn;
                slot
            }
            None => {
                self.conns.push(conn);
                self.conns.len() as u32 - 1
            }
        };
        self.index.insert(u128::from(key), slot);
        self.last = (key, slot);
        if self.index.len() > self.config.receive_buffers as usize {
            self.excuses.refuses_text = true;
        }
        slot
    }

    fn end_if_over(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.over {
            return;
        }
        let key = conn.key;
        conn.armed = None;
        if self.index.get(&u128::from(key)) == Some(&slot) {
            self.index.remove(&u128::from(key));
            self.free.push(slot);
            self.last = (0, u32::MAX);
        }
    }

    #[inline]
    fn on_took(&mut self, now: Instant, seg: &Glimpse) {
        let config = &self.config;
        if seg.mac != config.mac || seg.vlan != config.vlan || *seg.to.ip() != config.ip {
            return;
        }
        let Some(slot) = self.find(key(seg.to, seg.from)) else {
            return self.on_took_by_nobody(seg);
        };
        let conn = &mut self.conns[slot as usize];
        conn.excuse_losses(self.losses);
        let ended = conn.time_wait.is_some_and(|until| until < now);
        if ended || may_reuse(conn, seg) {
            conn.over = true;
            self.end_if_over(slot);
            return self.on_took_by_nobody(seg);
        }
        let may_be_gone = conn.fin.is_some() || conn.stage != Stage::Open;
        if seg.has(TcpFlags::SYN) || may_be_gone {
            // It may have ended unseen: FIN-WAIT-2 gave up, an application aborted in CLOSING.
            self.on_took_by_nobody(seg);
        }
        let conn = &mut self.conns[slot as usize];
        conn.on_took(&self.config, now, seg);
        self.touch(slot);
        self.end_if_over(slot);
    }

    /// A segment for which RST, or SYN-ACK, may be the answer.
    fn on_took_by_nobody(&mut self, seg: &Glimpse) {
        if seg.has(TcpFlags::RST) {
            return;
        }
        if seg.has(TcpFlags::SYN) && !seg.has(TcpFlags::ACK) {
            if self.syns.len() == PENDING_MAX {
                self.syns.pop_front();
            }
            self.syns.push_back(*seg);
        }
        if self.strays.len() == PENDING_MAX {
            self.strays.pop_front();
        }
        self.strays.push_back(*seg);
    }

    fn on_sent(&mut self, now: Instant, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        let key = key(seg.from, seg.to);
        let slot = self.find(key);
        if seg.has(TcpFlags::RST) {
            return self.on_sent_reset(slot, seg, stats);
        }
        if seg.has(TcpFlags::SYN)
            && slot.is_none_or(|slot| self.conns[slot as usize].iss != seg.seq)
        {
            return self.on_sent_first_syn(now, slot, key, seg, stats);
        }
        stats.tested(Promise::SilenceAfterEnd);
        let ended = |conn: &Conn| conn.time_wait.is_some_and(|until| until < now);
        let Some(slot) = slot.filter(|slot| !ended(&self.conns[*slot as usize])) else {
            return Err(broken(
                seg,
                Promise::SilenceAfterEnd,
                "nothing of a connection that is over, or never was".into(),
                format!("{seg:?}"),
            ));
        };
        let conn = &mut self.conns[slot as usize];
        conn.excuse_losses(self.losses);
        let verdict = conn.on_sent(&self.config, now, seg, self.excuses, stats);
        self.touch(slot);
        verdict
    }

    /// RFC 9293 §3.10.7.1, and §3.10.5 for an abort.
    #[cold]
    fn on_sent_reset(&mut self, slot: Option<u32>, seg: &Glimpse, stats: &mut Stats) -> Verdict {
        stats.tested(Promise::ResetForm);
        let answers = |stray: &Glimpse| {
            let for_it = stray.from == seg.to && stray.to == seg.from;
            for_it
                && match stray.has(TcpFlags::ACK) {
                    true => seg.seq == stray.ack && !seg.has(TcpFlags::ACK),
                    false => seg.seq.0 == 0 && seg.has(TcpFlags::ACK) && seg.ack == stray.end(),
                }
        };
        if let Some(at) = self.strays.iter().rposition(answers) {
            self.strays.remove(at);
            // In answer to a bad handshake the connection stays; gone unseen, it will be found out.
            if let Some(slot) = slot
                && self.conns[slot as usize].stage == Stage::Open
            {
                self.conns[slot as usize].over = true;
                self.end_if_over(slot);
            }
            return Ok(());
        }
        let conn = slot.map(|slot| &self.conns[slot as usize]);
        if conn.is_none_or(|conn| conn.max != seg.seq) && !self.excuses.lost_unseen {
            let (promised, seen) = match conn {
                Some(conn) => {
                    let [end, at] = [conn.max, seg.seq].map(|seq| conn.ours(seq));
                    let promised = format!("RST in answer to a segment, or at {end}, the end");
                    (promised, format!("one at {at}: {seg:?}"))
                }
                None => (String::from("RST in answer to a segment only"), format!("{seg:?}")),
            };
            return Err(broken(seg, Promise::ResetForm, promised, seen));
        }
        if let Some(slot) = slot {
            self.conns[slot as usize].over = true;
            self.end_if_over(slot);
        }
        Ok(())
    }

    /// A connection begins. RFC 9293 §3.10.1, §3.10.7.2.
    #[cold]
    fn on_sent_first_syn(
        &mut self,
        now: Instant,
        slot: Option<u32>,
        key: u64,
        seg: &Glimpse,
        stats: &mut Stats,
    ) -> Verdict {
        stats.tested(Promise::Handshake);
        let mut conn = Conn::new(&self.config, now, key, seg);
        if seg.has(TcpFlags::ACK) {
            let asks =
                |syn: &Glimpse| syn.from == seg.to && syn.to == seg.from && syn.seq + 1 == seg.ack;
            let Some(at) = self.syns.iter().rposition(asks) else {
                return Err(broken(
                    seg,
                    Promise::Handshake,
                    "SYN-ACK in answer to a SYN only".into(),
                    format!("{seg:?}"),
                ));
            };
            let syn = self.syns.remove(at).expect("just found");
            conn.stage = Stage::SynReceived;
            conn.on_peer_syn(&self.config, &syn);
            let too_much = (seg.scale.is_some() && syn.scale.is_none())
                || seg.timestamps.is_some() != conn.stamps
                || seg.timestamps.is_some_and(|stamps| stamps.ecr != conn.ts_recent);
            if too_much {
                return Err(broken(
                    seg,
                    Promise::Handshake,
                    format!("options as offered by {syn:?}"),
                    format!("{seg:?}"),
                ));
            }
        }
        if let Some(slot) = slot {
            // The one before must have been able to end unseen.
            let before = &self.conns[slot as usize];
            if before.stage == Stage::Open && before.fin.is_none() {
                return Err(broken(
                    seg,
                    Promise::Handshake,
                    "no new connection in place of one that is open".into(),
                    format!("{seg:?}"),
                ));
            }
            self.conns[slot as usize].over = true;
            self.end_if_over(slot);
        }
        conn.losses = self.losses;
        let slot = self.insert(conn);
        self.touch(slot);
        Ok(())
    }
}

/// A SYN that may take the place of a connection in TIME-WAIT. RFC 9293 §3.10.7.4 MAY-2, RFC 6191.
fn may_reuse(conn: &Conn, seg: &Glimpse) -> bool {
    if conn.time_wait.is_none()
        || !seg.has(TcpFlags::SYN)
        || seg.flags.intersects(TcpFlags::ACK | TcpFlags::RST)
    {
        return false;
    }
    match seg.timestamps {
        Some(stamps) if conn.stamps => {
            let newer = stamps.val.wrapping_sub(conn.ts_recent) as i32;
            newer > 0 || (newer == 0 && seg.seq.gt(conn.came))
        }
        _ => seg.seq.gt(conn.came),
    }
}

#[cold]
fn broken(seg: &Glimpse, promise: Promise, promised: String, seen: String) -> Box<BrokenPromise> {
    let flow = FlowName { from: seg.from, to: seg.to };
    Box::new(BrokenPromise { promise, flow, promised, seen })
}
