//! One turn of the loop: reclaim, receive, deadlines, transmit, sync.
//!
//! The stack alone moves buffers. TCP is given a budget and answers with a plan; the application
//! is asked for bytes by stream offset; the store hands out prepared segments; the port sends.
//! Read [`Stack::turn`] first, then `arrive` (frames in) and `transmit` (frames out).

pub mod app;
mod arrive;
mod connection;
mod demux;
mod neighbour;
mod ready;
mod receive_pool;
mod replies;
mod slab;
mod stats;
mod timer_wheel;
mod transmit;
mod turn;

pub use demux::FlowKey;
pub use stats::Stats;
pub use turn::{Deadline, WakeReason};

use crate::content;
use crate::port::{Port, PortCaps};
use crate::secrets::Secrets;
use crate::tcp;
use crate::time::Instant;
use crate::trace::{NoTrace, Trace};
use crate::wire::MacAddr;
use crate::wire::emit::{HeaderTemplate, headers_len};
use crate::wire::rss;
use crate::wire::tcp::TIMESTAMPS_LEN;
use alloc::vec::Vec;
use app::{App, Commands, ConnId, OpenError, OpenRequest};
use connection::Connection;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Answers without a connection (resets, ARP, ICMP echo) that wait for a slot of the ring, at most.
/// More are dropped and counted ([`Stats::replies_full`]): each costs the peer one retry.
pub const REPLIES_MAX: usize = 64;

/// Longest ICMP echo request that is answered, as a frame. Longer ones count as other.
pub const ECHO_FRAME_MAX: usize = 1_514;

/// Entries of the list of connections in TIME-WAIT, stale ones among them.
const fn time_wait_max(connections: u32) -> usize {
    connections as usize + connections as usize / 2 + 1
}

/// How a stack is set up. Constant while it lives.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our hardware address.
    pub mac: MacAddr,
    /// Our address.
    pub ip: Ipv4Addr,
    /// Bits of the subnet.
    pub prefix_len: u8,
    /// Where packets to other subnets go.
    pub gateway: Option<Ipv4Addr>,
    /// The 802.1Q VLAN that we are in; None for untagged.
    pub vlan: Option<u16>,
    /// Time to live of what we send.
    pub ttl: u8,
    /// TCP ports that accept connections.
    pub listen: Vec<u16>,
    /// The host's own network has our address too, and gets what is left unclaimed: ARP, ICMP, and
    /// segments of no connection to a port that is not in `listen` are its to answer. False: the
    /// address is ours alone.
    pub host_shares_address: bool,
    /// Where several stacks share our address, each behind a ring of one interface: which is ours.
    /// Connections that we open get local ports whose answers come to it.
    pub shard: Option<rss::Shard>,
    /// Connections in any state, at most.
    pub connections_max: u32,
    /// Connections that have not yet reached ESTABLISHED, at most.
    pub half_open_max: u32,
    /// Neighbours remembered, at most.
    pub neighbours_max: u32,
    /// Receive buffers, each of [`tcp::Config::receive_window`] bytes, shared by the connections
    /// that hold half a request or text out of order.
    pub receive_buffers: u32,
    /// Frames a connection may send before others have their turn.
    pub quantum_frames: u16,
    /// UTC time of [`Instant::ZERO`], in nanoseconds since 1970.
    pub unix_nanos_at_start: u64,
    /// TCP.
    pub tcp: tcp::Config,
    /// The store.
    pub content: content::Config,
}

impl Config {
    /// A configuration for an address, with defaults for the rest: port 80, 4,096 connections.
    pub fn new(mac: MacAddr, ip: Ipv4Addr, prefix_len: u8) -> Self {
        Self {
            mac,
            ip,
            prefix_len,
            gateway: None,
            vlan: None,
            ttl: 64,
            listen: alloc::vec![80],
            host_shares_address: false,
            shard: None,
            connections_max: 4_096,
            half_open_max: 1_024,
            neighbours_max: 1_024,
            receive_buffers: 256,
            quantum_frames: 64,
            unix_nanos_at_start: 0,
            tcp: tcp::Config::default(),
            content: content::Config::default(),
        }
    }

    /// Whether an address is reached without the gateway.
    pub fn is_on_link(&self, ip: Ipv4Addr) -> bool {
        let shift = 32 - u32::from(self.prefix_len.min(32));
        shift == 32 || (ip.to_bits() ^ self.ip.to_bits()) >> shift == 0
    }

    /// Whose hardware address packets to `ip` carry; None where there is no way.
    pub fn next_hop(&self, ip: Ipv4Addr) -> Option<Ipv4Addr> {
        if self.is_on_link(ip) { Some(ip) } else { self.gateway }
    }
}

/// A network stack of one core with its application and its prepared content.
///
/// Owns no frame memory: it holds tokens of one port's buffers, so the same port must be given to
/// every [`Stack::turn`].
pub struct Stack<A: App, T: Trace = NoTrace> {
    config: Config,
    secrets: Secrets,
    template: HeaderTemplate,
    /// Frames have to be checked and checksums written here, not by the device.
    caps: PortCaps,
    app: A,
    trace: T,
    conns: slab::Slab<Connection<A::Conn>>,
    demux: demux::Demux,
    wheel: timer_wheel::TimerWheel,
    ready: ready::ReadyList,
    receive: receive_pool::ReceivePool,
    neighbours: neighbour::Neighbours,
    store: content::Store,
    replies: alloc::collections::VecDeque<replies::Reply>,
    echo_frames: replies::EchoFrames,
    /// Connections that wait for their next hop's hardware address.
    resolving: Vec<connection::Resolving>,
    /// Connections in TIME-WAIT, oldest first; some may be gone.
    time_wait: alloc::collections::VecDeque<ConnId>,
    half_open: u32,
    next_local_port: u16,
    commands: Commands,
    stats: Stats,
}

impl<A: App> Stack<A> {
    /// A stack for a port with these capabilities. Allocates every table; a turn allocates nothing.
    pub fn new(config: Config, secrets: Secrets, caps: &PortCaps, app: A) -> Self {
        Self::with_trace(config, secrets, caps, app, NoTrace)
    }
}

impl<A: App, T: Trace> Stack<A, T> {
    /// The same with an observer. [`Stack::config`] then says how content is sent: the mode *gather*
    /// over a port whose frames take one slot becomes *copies on demand*.
    ///
    /// # Panics
    /// Where a full-sized segment would not fit a frame of the port, or a class of the store is too
    /// small for pinned fields.
    pub fn with_trace(config: Config, secrets: Secrets, caps: &PortCaps, app: A, trace: T) -> Self {
        let longest = headers_len(config.vlan.is_some(), false) + usize::from(config.tcp.mss);
        assert!(longest <= usize::from(caps.frame_max), "the MSS does not fit the port's frames");
        let smallest = config.content.mss_classes.iter().copied().min().unwrap_or(u16::MAX);
        assert!(
            usize::from(smallest) >= content::Pin::REACH + TIMESTAMPS_LEN,
            "pinned fields would not fit the first segment of a class of {smallest} bytes"
        );
        let mut config = config;
        if config.content.mode == content::Mode::Gather && caps.max_frags < 2 {
            config.content.mode = content::Mode::CopiesOnDemand;
        }
        let connections = config.connections_max;
        Self {
            template: HeaderTemplate::new(config.mac, config.vlan, config.ip, config.ttl),
            caps: *caps,
            app,
            trace,
            conns: slab::Slab::new(connections),
            demux: demux::Demux::new(secrets.demux_key, connections),
            wheel: timer_wheel::TimerWheel::new(connections),
            ready: ready::ReadyList::new(connections),
            receive: receive_pool::ReceivePool::new(
                config.receive_buffers,
                config.tcp.receive_window,
            ),
            neighbours: neighbour::Neighbours::new(config.neighbours_max, secrets.demux_key[0]),
            store: content::Store::new(&config.content, caps.buffers, secrets.demux_key[1]),
            replies: alloc::collections::VecDeque::with_capacity(REPLIES_MAX),
            echo_frames: replies::EchoFrames::new(),
            resolving: Vec::with_capacity(config.half_open_max as usize),
            time_wait: alloc::collections::VecDeque::with_capacity(time_wait_max(connections)),
            half_open: 0,
            next_local_port: connection::first_local_port(&secrets),
            commands: Commands::with_capacity(),
            stats: Stats::default(),
            config,
            secrets,
        }
    }

    /// Opens a connection, as [`app::Cx::open`] does from inside.
    pub fn connect(&mut self, remote: SocketAddrV4, token: u64) -> Result<(), OpenError> {
        if self.commands.opens.len() >= app::COMMANDS_MAX {
            return Err(OpenError::TableFull);
        }
        self.commands.opens.push(OpenRequest { remote, token });
        Ok(())
    }

    /// Accepts no further connections: a SYN is answered with RST. Those there are stay.
    pub fn stop_listening(&mut self) {
        self.config.listen.clear();
    }

    /// Asks a connection's source again in the next turn. False where it is gone.
    pub fn wake(&mut self, conn: ConnId) -> bool {
        let Some(slot) = self.conns.resolve(conn) else { return false };
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.drained = false;
        }
        self.ready.push_back(slot);
        true
    }

    /// The application.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// The application, to change between two turns.
    pub fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// The observer.
    pub fn trace(&self) -> &T {
        &self.trace
    }

    /// The observer, to change between two turns.
    pub fn trace_mut(&mut self) -> &mut T {
        &mut self.trace
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What the store counted.
    pub fn store(&self) -> &content::Store {
        &self.store
    }

    /// Connections in any state.
    pub fn connections(&self) -> u32 {
        self.conns.len()
    }

    /// Connections that have not reached ESTABLISHED.
    pub fn half_open(&self) -> u32 {
        self.half_open
    }

    /// Receive buffers on loan.
    pub fn receive_buffers_lent(&self) -> usize {
        self.receive.lent()
    }

    /// Tokens that this stack holds between two turns: what the port's census must show as the
    /// caller's.
    pub fn buffers_held(&self) -> u32 {
        self.store.idle()
    }

    /// The connections and what TCP says of each, by slot.
    pub fn connection_infos(&self) -> impl Iterator<Item = (FlowKey, tcp::Info)> {
        self.conns.iter().map(|(_, conn)| (conn.key, conn.tcb.info(&self.config.tcp)))
    }

    /// Checks what must hold between two turns. For oracles; looks at every connection.
    pub fn audit(&self) -> Result<(), &'static str> {
        for (slot, conn) in self.conns.iter() {
            conn.tcb.audit()?;
            let due = conn.next_due();
            if due < conn.armed_at && !self.ready.contains(slot) {
                return Err("a connection's timer is armed later than its deadline");
            }
        }
        Ok(())
    }

    /// Bytes of tables that one further idle connection takes: its slot, its timer, its place in
    /// the ready list and two entries of the connection table. The application's share is in the
    /// slot; what it keeps elsewhere is its own to count.
    pub const fn connection_bytes() -> usize {
        slab::Slab::<Connection<A::Conn>>::slot_bytes()
            + demux::Demux::BYTES_PER_CONNECTION
            + timer_wheel::TimerWheel::entry_bytes()
            + size_of::<u32>()
            + size_of::<ConnId>() * 3 / 2
    }

    /// Ends every connection with RST, as far as the ring has room, and gives all buffers back.
    /// What the device still holds comes home through [`Port::reclaim`]; payload that its frames share
    /// stays pinned until this is called again.
    pub fn shut_down<P: Port>(&mut self, now: Instant, port: &mut P) -> Result<(), P::Error> {
        for slot in 0..self.conns.used() {
            if self.replies.len() == REPLIES_MAX {
                let mut room = transmit::room(&self.store, port);
                self.send_replies(now, port, &mut room);
                port.sync_tx(crate::port::TxSync::PushAndReclaim)?;
                let store = &mut self.store;
                port.reclaim(|buf| store.on_done(buf));
            }
            self.abort_connection(now, slot, app::CloseReason::Aborted);
        }
        self.transmit(now, port);
        let synced = port.sync_tx(crate::port::TxSync::PushAndReclaim);
        // What is done by now is given back as well, and payload that only this was sharing.
        let store = &mut self.store;
        port.reclaim(|buf| store.on_done(buf));
        store.release(port);
        synced
    }

    /// A second stack in the same state, holding the same tokens: the port must be forked with it.
    pub fn fork(&self) -> Self
    where
        A: Clone,
        A::Conn: Clone,
        T: Clone,
    {
        Self {
            config: self.config.clone(),
            secrets: self.secrets,
            template: self.template,
            caps: self.caps,
            app: self.app.clone(),
            trace: self.trace.clone(),
            conns: self.conns.clone(),
            demux: self.demux.clone(),
            wheel: self.wheel.clone(),
            ready: self.ready.clone(),
            receive: self.receive.clone(),
            neighbours: self.neighbours.clone(),
            store: self.store.fork(),
            replies: self.replies.clone(),
            echo_frames: self.echo_frames.clone(),
            resolving: self.resolving.clone(),
            time_wait: self.time_wait.clone(),
            half_open: self.half_open,
            next_local_port: self.next_local_port,
            commands: self.commands.clone(),
            stats: self.stats.clone(),
        }
    }

    fn unix_nanos(&self, now: Instant) -> u64 {
        self.config.unix_nanos_at_start.saturating_add(now.as_nanos())
    }
}
