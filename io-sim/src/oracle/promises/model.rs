//! The model of one stack: which connections it has, and who may be answered without one.

use super::conn::{Conn, Stage, Verdict};
use super::glimpse::{Glimpse, Passage};
use super::promise::{BrokenPromise, Promise};
use super::{PromiseConfig, Stats};
use crate::oracle::FlowName;
use crate::oracle::flow::KeyHasher;
use hashbrown::HashMap;
use simoom_core::time::Instant;
use simoom_core::wire::tcp::TcpFlags;
use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::net::SocketAddrV4;

/// Segments that may be answered with RST, remembered at most: the answer waits for a slot of the ring,
/// seldom longer than a turn. So many connections in doubt as well.
const PENDING_MAX: usize = 4_096;

/// SYNs that may be answered with SYN-ACK, remembered at most: as many as one peer can open at once,
/// which wait for slots of a ring that is shorter.
const SYNS_MAX: usize = 65_536;

/// The model of one stack.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) config: PromiseConfig,
    index: HashMap<u128, u32, BuildHasherDefault<KeyHasher>>,
    pub(super) conns: Vec<Conn>,
    free: Vec<u32>,
    /// The connection of the last segment.
    last: (u64, u32),
    /// SYNs that were taken and not answered yet, and [`Self::losses`] then.
    syns: VecDeque<(Glimpse, u32)>,
    /// Segments that were taken and may be answered with RST.
    strays: VecDeque<Glimpse>,
    /// Connections that may be over, or not ([`Conn::doubtful`]): they may say what they like until
    /// another takes their place.
    doubtful: VecDeque<u64>,
    pub(super) starved_at: Option<Instant>,
    /// Times that a segment without text may have been lost for want of a buffer: one at most each
    /// time, of whichever connection.
    pub(super) losses: u32,
    /// The last of them.
    lost_at: Option<Instant>,
    pub(super) touched: Vec<u32>,
}

/// Names a connection of a host: the remote end, and the local port.
#[inline]
fn key(local: SocketAddrV4, remote: SocketAddrV4) -> u64 {
    u64::from(remote.ip().to_bits()) << 32
        | u64::from(remote.port()) << 16
        | u64::from(local.port())
}

impl Model {
    pub(super) fn new(config: PromiseConfig) -> Self {
        Self {
            config,
            index: HashMap::default(),
            conns: Vec::new(),
            free: Vec::new(),
            last: (0, u32::MAX),
            syns: VecDeque::new(),
            strays: VecDeque::new(),
            doubtful: VecDeque::new(),
            starved_at: None,
            losses: 0,
            lost_at: None,
            touched: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn on_passage(
        &mut self,
        now: Instant,
        what: &Passage,
        stats: &mut Stats,
    ) -> Verdict {
        match what {
            Passage::Took(seg) => {
                self.on_took(now, seg);
                Ok(())
            }
            Passage::Sent(seg) => self.on_sent(now, seg, stats),
            Passage::Starved { no_buffer } => {
                self.starved_at = Some(now);
                if *no_buffer {
                    self.lost_at = Some(now);
                    self.losses = self.losses.wrapping_add(1);
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
        slot
    }

    pub(super) fn end_if_over(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.over {
            return;
        }
        let key = conn.key;
        conn.armed = None;
        if conn.doubtful {
            if self.doubtful.len() == PENDING_MAX {
                self.doubtful.pop_front();
            }
            self.doubtful.push_back(key);
        }
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
        // More connections than receive buffers: some of them have to do without.
        let crowded = self.index.len() > self.config.receive_buffers as usize;
        let conn = &mut self.conns[slot as usize];
        conn.may_refuse |= crowded && seg.len > 0;
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
            if self.syns.len() == SYNS_MAX {
                self.syns.pop_front();
            }
            self.syns.push_back((*seg, self.losses));
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
        if slot.is_none() && self.doubtful.contains(&key) {
            return Ok(());
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
        let verdict = conn.on_sent(&self.config, now, seg, stats);
        self.touch(slot);
        verdict
    }

    /// RFC 9293 §3.10.7.1, and §3.10.5 for an abort.
    #[cold]
    fn on_sent_reset(&mut self, slot: Option<u32>, seg: &Glimpse, stats: &mut Stats) -> Verdict {
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
            stats.tested(Promise::ResetForm);
            // In answer to a bad handshake the connection stays; gone unseen, it will be found out.
            if let Some(slot) = slot
                && self.conns[slot as usize].stage == Stage::Open
            {
                self.conns[slot as usize].over = true;
                self.end_if_over(slot);
            }
            return Ok(());
        }
        // Behind a FIN, or of a connection whose SYN-ACK, may have been lost unseen.
        let excused = match slot {
            Some(slot) => {
                let conn = &mut self.conns[slot as usize];
                conn.excuse_losses(self.losses);
                conn.fin_unseen && seg.seq == conn.max + 1
            }
            None => self.syn_ack_may_be_lost(seg) || self.doubtful.contains(&key(seg.from, seg.to)),
        };
        let conn = slot.map(|slot| &self.conns[slot as usize]);
        if !excused {
            stats.tested(Promise::ResetForm);
        }
        if conn.is_none_or(|conn| conn.max != seg.seq) && !excused {
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

    /// Whether the peer has asked for the connection of this RST, and what answered it may have been
    /// lost unseen. It ends what began then.
    fn syn_ack_may_be_lost(&mut self, seg: &Glimpse) -> bool {
        let asked = |(syn, losses): &(Glimpse, u32)| {
            syn.from == seg.to && syn.to == seg.from && *losses != self.losses
        };
        let found = self.syns.iter().rposition(asked);
        found.is_some_and(|at| self.syns.remove(at).is_some())
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
            let asks = |(syn, _): &(Glimpse, u32)| {
                syn.from == seg.to && syn.to == seg.from && syn.seq + 1 == seg.ack
            };
            // The connection began with the first of them, if its SYN-ACK was lost unseen.
            let echoed = |asked: &(Glimpse, u32)| {
                let stamps = (seg.timestamps, asked.0.timestamps);
                asks(asked)
                    && matches!(stamps, (Some(ours), Some(theirs)) if ours.ecr == theirs.val)
            };
            let found = self.syns.iter().rposition(echoed);
            let Some(at) = found.or_else(|| self.syns.iter().rposition(asks)) else {
                return Err(broken(
                    seg,
                    Promise::Handshake,
                    "SYN-ACK in answer to a SYN only".into(),
                    format!("{seg:?}"),
                ));
            };
            let (syn, losses) = self.syns.remove(at).expect("just found");
            if losses != self.losses {
                conn.excuse_first_syn();
            }
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
        } else if self.lost_at.is_some_and(|at| now - at <= self.config.tcp.max_rto) {
            // Two SYNs are never further apart.
            conn.excuse_first_syn();
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
        self.doubtful.retain(|other| *other != key);
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
