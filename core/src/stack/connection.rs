//! What the stack keeps beside a connection's TCP state, and the beginning and end of connections.

use super::app::{App, CloseReason, ConnId, Cx, OpenError, OpenRequest, Peer};
use super::demux::FlowKey;
use super::replies::Reply;
use super::{Stack, receive_pool};
use crate::content;
use crate::marks::mark;
use crate::secrets::Secrets;
use crate::tcp::{self, Ended, Tcb};
use crate::time::{Duration, Instant};
use crate::trace::Trace;
use crate::wire::MacAddr;
use crate::wire::tcp::{TIMESTAMPS_LEN, TcpSegment};
use core::net::{Ipv4Addr, SocketAddrV4};

/// First of the local ports given to connections that we open. RFC 6335 §6.
const EPHEMERAL_FIRST: u16 = 49_152;

/// ARP requests sent for one next hop before the connection fails.
const ARP_TRIES_MAX: u8 = 4;

/// Time between two ARP requests for the same next hop.
const ARP_RETRY: Duration = Duration::from_secs(1);

/// How far a connection has come, as the application sees it.
#[derive(Clone)]
pub(super) enum Phase<C> {
    /// The peer opened; not ESTABLISHED yet.
    Passive,
    /// We opened, for whoever gave this token; not ESTABLISHED yet.
    Active(u64),
    /// The application has a value for it.
    Open(C),
    /// The application has been told that it is over; TIME-WAIT runs.
    Over,
}

/// One connection.
#[derive(Clone)]
pub(super) struct Connection<C> {
    pub(super) key: FlowKey,
    pub(super) peer_mac: MacAddr,
    /// The MSS in use is a class of the store.
    pub(super) prepared: bool,
    /// The application closed: what still arrives is acknowledged and dropped.
    pub(super) discard: bool,
    /// The application had nothing to send when asked last, and nothing happened since that could
    /// change it.
    pub(super) drained: bool,
    /// Waits for the hardware address of its next hop: nothing can be sent.
    pub(super) unresolved: bool,
    /// Buffer of the receive pool, or [`receive_pool::NONE`].
    pub(super) receive: u32,
    /// Run of the store used last.
    pub(super) run_hint: u32,
    /// When the wheel will fire; [`Instant::FAR_FUTURE`] where it will not.
    pub(super) armed_at: Instant,
    /// The application's deadline, or [`Instant::FAR_FUTURE`].
    pub(super) app_deadline: Instant,
    pub(super) tcb: Tcb,
    pub(super) phase: Phase<C>,
}

impl<C> Connection<C> {
    fn new(key: FlowKey, peer_mac: Option<MacAddr>, tcb: Tcb, phase: Phase<C>) -> Self {
        Self {
            key,
            peer_mac: peer_mac.unwrap_or(MacAddr([0; 6])),
            prepared: false,
            discard: false,
            drained: false,
            unresolved: peer_mac.is_none(),
            receive: receive_pool::NONE,
            run_hint: u32::MAX,
            armed_at: Instant::FAR_FUTURE,
            app_deadline: Instant::FAR_FUTURE,
            tcb,
            phase,
        }
    }

    /// Rounds the segment size down to a class of the store, where one is near.
    pub(super) fn choose_class(&mut self, config: &content::Config) {
        let options = if self.tcb.uses_timestamps() { TIMESTAMPS_LEN as u16 } else { 0 };
        if let Some(class) = config.class_for(self.tcb.mss() as u16 + options) {
            self.tcb.set_mss(u32::from(class - options));
            self.prepared = true;
        }
    }

    /// Reads a byte of each cache line that a segment will need.
    #[inline]
    pub(super) fn touch(&self) -> (FlowKey, Instant, u32) {
        (self.key, self.app_deadline, self.tcb.mss())
    }

    /// The earliest of its deadlines, where it came nearer than what the wheel is armed for: to be
    /// armed now.
    #[inline]
    pub(super) fn take_nearer_due(&mut self) -> Option<Instant> {
        let due = self.next_due();
        if due >= self.armed_at {
            return None;
        }
        self.armed_at = due;
        Some(due)
    }

    /// The earliest of its deadlines.
    #[inline]
    pub(super) fn next_due(&self) -> Instant {
        let tcp = self.tcb.next_deadline().map_or(Instant::FAR_FUTURE, |deadline| deadline.at);
        tcp.min(self.app_deadline)
    }
}

/// A connection of ours whose SYN waits for ARP.
#[derive(Clone, Copy)]
pub(super) struct Resolving {
    conn: ConnId,
    next_hop: Ipv4Addr,
    tries: u8,
    retry_at: Instant,
}

/// Where the search for free local ports starts.
pub(super) fn first_local_port(secrets: &Secrets) -> u16 {
    EPHEMERAL_FIRST | (secrets.isn_key[0] as u16 & !EPHEMERAL_FIRST)
}

impl<A: App, T: Trace> Stack<A, T> {
    /// LISTEN: a SYN for a port that accepts. RFC 9293 §3.10.7.2.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        key: &FlowKey,
        mac: MacAddr,
        syn: &TcpSegment<'_>,
    ) {
        if self.half_open >= self.config.half_open_max {
            mark!(SynHalfOpenFull);
            self.stats.syn_half_open_full += 1;
            return;
        }
        if self.conns.is_full() && !self.recycle_time_wait() {
            mark!(SynTableFull);
            self.stats.syn_table_full += 1;
            return;
        }
        let (iss, ts_offset) = self.initial_sequence(now, key);
        let tcb = Tcb::open_passive(&self.config.tcp, now, syn, iss, ts_offset);
        if self.config.is_on_link(*key.remote().ip()) {
            self.learn_neighbour(now, *key.remote().ip(), mac);
        }
        self.enter(key, Connection::new(*key, Some(mac), tcb, Phase::Passive));
    }

    /// Carries out one request to open. RFC 9293 §3.10.1.
    pub(super) fn open(&mut self, now: Instant, request: OpenRequest) {
        if let Err(why) = self.try_open(now, request) {
            self.app.on_open_failed(request.token, why);
        }
    }

    fn try_open(&mut self, now: Instant, request: OpenRequest) -> Result<(), OpenError> {
        let next_hop = self.config.next_hop(*request.remote.ip()).ok_or(OpenError::TimedOut)?;
        if self.half_open >= self.config.half_open_max
            || (self.conns.is_full() && !self.recycle_time_wait())
        {
            return Err(OpenError::TableFull);
        }
        let key = self.free_local_port(request.remote).ok_or(OpenError::NoLocalPort)?;
        let (iss, ts_offset) = self.initial_sequence(now, &key);
        let tcb = Tcb::open_active(&self.config.tcp, now, iss, ts_offset);
        let mac = self.neighbours.find(now, next_hop);
        let slot = self.enter(&key, Connection::new(key, mac, tcb, Phase::Active(request.token)));
        if mac.is_none() {
            mark!(AddressAskedFor);
            let conn = self.conns.id(slot);
            self.resolving.push(Resolving { conn, next_hop, tries: 1, retry_at: now + ARP_RETRY });
            self.request_address(next_hop);
        }
        Ok(())
    }

    fn enter(&mut self, key: &FlowKey, conn: Connection<A::Conn>) -> u32 {
        let Ok(slot) = self.conns.insert(conn) else {
            unreachable!("the caller made sure that the table has room")
        };
        self.demux.insert(key, slot);
        self.half_open += 1;
        self.ready.push_back(slot);
        slot
    }

    fn initial_sequence(&mut self, now: Instant, key: &FlowKey) -> (crate::seq::SeqNumber, u32) {
        let (local, remote) = (key.local(), key.remote());
        if let Some(pinned) = self.app.pin_initial_sequence(local, remote) {
            return pinned;
        }
        tcp::initial_sequence(
            &self.secrets,
            now,
            (*local.ip(), local.port()),
            (*remote.ip(), remote.port()),
        )
    }

    /// A local port that makes a new four-tuple with `remote`.
    fn free_local_port(&mut self, remote: SocketAddrV4) -> Option<FlowKey> {
        for _ in EPHEMERAL_FIRST..=u16::MAX {
            let port = self.next_local_port;
            self.next_local_port = port.checked_add(1).unwrap_or(EPHEMERAL_FIRST);
            let local = SocketAddrV4::new(self.config.ip, port);
            let key = FlowKey::new(local, remote);
            let shard = self.config.shard.as_ref();
            if shard.is_some_and(|shard| shard.spread.ring_of_tcp(remote, local) != shard.ring) {
                continue;
            }
            if self.find(&key).is_none() && !self.config.listen.contains(&port) {
                return Some(key);
            }
        }
        None
    }

    /// The slot of the connection with this four-tuple.
    pub(super) fn find(&self, key: &FlowKey) -> Option<u32> {
        self.demux.find(key, |slot| self.conns.get(slot).is_some_and(|conn| conn.key == *key))
    }

    /// Ends the oldest TIME-WAIT early. False where there is none.
    fn recycle_time_wait(&mut self) -> bool {
        while let Some(conn) = self.time_wait.pop_front() {
            if let Some(slot) = self.conns.resolve(conn) {
                mark!(TimeWaitRecycled);
                self.stats.time_wait_recycled += 1;
                self.remove(slot, Ended::Finished);
                return true;
            }
        }
        false
    }

    /// The connection entered TIME-WAIT: the application is told, the slot stays.
    pub(super) fn enter_time_wait(&mut self, slot: u32) {
        let id = self.conns.id(slot);
        let Some(conn) = self.conns.get_mut(slot) else { return };
        conn.app_deadline = Instant::FAR_FUTURE;
        if conn.receive != receive_pool::NONE {
            self.receive.give_back(core::mem::replace(&mut conn.receive, receive_pool::NONE));
        }
        if let Phase::Open(value) = core::mem::replace(&mut conn.phase, Phase::Over) {
            self.stats.closed += 1;
            self.app.on_close(value, CloseReason::Finished);
        }
        // Half as long again as the table of connections: at least so many are stale when it is full.
        if self.time_wait.len() >= super::time_wait_max(self.config.connections_max) {
            let conns = &self.conns;
            self.time_wait.retain(|&conn| conns.resolve(conn).is_some());
        }
        self.time_wait.push_back(id);
    }

    /// Removes a connection that ended.
    pub(super) fn remove(&mut self, slot: u32, how: Ended) {
        let why = match how {
            Ended::Finished => CloseReason::Finished,
            Ended::Reset | Ended::Refused => CloseReason::Reset,
            Ended::TimedOut => CloseReason::TimedOut,
        };
        self.remove_because(slot, why);
    }

    fn remove_because(&mut self, slot: u32, why: CloseReason) {
        let Some(conn) = self.conns.remove(slot) else { return };
        self.demux.remove(&conn.key, slot);
        self.wheel.cancel(slot);
        if conn.receive != receive_pool::NONE {
            self.receive.give_back(conn.receive);
        }
        match conn.phase {
            Phase::Over => return,
            Phase::Passive => self.half_open -= 1,
            Phase::Active(token) => {
                self.half_open -= 1;
                let why = match why {
                    CloseReason::Reset => OpenError::Refused,
                    _ => OpenError::TimedOut,
                };
                self.app.on_open_failed(token, why);
            }
            Phase::Open(value) => self.app.on_close(value, why),
        }
        match why {
            CloseReason::Finished => self.stats.closed += 1,
            CloseReason::Reset => self.stats.reset_by_peer += 1,
            CloseReason::Aborted | CloseReason::ContentGone => self.stats.aborted += 1,
            CloseReason::TimedOut => self.stats.timed_out += 1,
        }
    }

    /// Sends RST where the state asks for one, and removes the connection. RFC 9293 §3.10.5.
    pub(super) fn abort_connection(&mut self, now: Instant, slot: u32, why: CloseReason) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let reset = conn.tcb.abort(now);
        let (key, mac) = (conn.key, conn.peer_mac);
        if let Some(plan) = reset.filter(|_| !conn.unresolved) {
            self.queue_reply(Reply::Segment { key, mac, plan });
        }
        self.remove_because(slot, why);
    }

    /// Notes a neighbour, and lets go whoever waited for it.
    pub(super) fn learn_neighbour(&mut self, now: Instant, ip: Ipv4Addr, mac: MacAddr) {
        self.stats.neighbours_replaced += u64::from(self.neighbours.learn(now, ip, mac));
        if self.resolving.is_empty() {
            return;
        }
        let (conns, ready) = (&mut self.conns, &mut self.ready);
        self.resolving.retain(|waiting| {
            let Some(slot) = conns.resolve(waiting.conn) else { return false };
            if waiting.next_hop != ip {
                return true;
            }
            if let Some(conn) = conns.get_mut(slot) {
                conn.peer_mac = mac;
                conn.unresolved = false;
                ready.push_back(slot);
            }
            false
        });
    }

    /// Asks again for the next hops that are due, and gives up on those that never answer.
    pub(super) fn retry_resolving(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(waiting) = self.resolving.get_mut(at) {
            let Some(slot) = self.conns.resolve(waiting.conn) else {
                self.resolving.swap_remove(at);
                continue;
            };
            if waiting.retry_at > now {
                at += 1;
            } else if waiting.tries >= ARP_TRIES_MAX {
                mark!(AddressNeverCame);
                self.resolving.swap_remove(at);
                self.remove_because(slot, CloseReason::TimedOut);
            } else {
                mark!(AddressAskedAgain);
                waiting.tries += 1;
                waiting.retry_at = now + ARP_RETRY;
                let next_hop = waiting.next_hop;
                self.request_address(next_hop);
                at += 1;
            }
        }
    }

    /// When [`Stack::retry_resolving`] has something to do.
    pub(super) fn resolving_due(&self) -> Option<Instant> {
        self.resolving.iter().map(|waiting| waiting.retry_at).min()
    }

    fn request_address(&mut self, ip: Ipv4Addr) {
        self.queue_reply(Reply::ArpRequest { ip });
    }
}

/// Gives a half-open connection its application value.
#[inline]
pub(super) fn open_if_half_open<A: App>(
    phase: &mut Phase<A::Conn>,
    key: &FlowKey,
    app: &mut A,
    cx: &mut Cx<'_>,
    half_open: &mut u32,
    opened: &mut u64,
) {
    let token = match *phase {
        Phase::Passive => None,
        Phase::Active(token) => Some(token),
        Phase::Open(_) | Phase::Over => return,
    };
    *half_open -= 1;
    *opened += 1;
    let peer = Peer { id: cx.conn, local: key.local(), remote: key.remote(), token };
    *phase = Phase::Open(app.on_open(cx, peer));
}
