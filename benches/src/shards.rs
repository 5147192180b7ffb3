//! Several shards behind one modelled NIC: a ring pair, a port, a stack and a store each.
//!
//! The wire spreads frames as the NIC would, by the Toeplitz hash of their addresses and ports. Who
//! turns the shards is somebody else's business ([`Turns`]): one thread for them all where
//! instructions are counted, a thread each where cache lines are watched.

use crate::client::{SERVER_IP, Script, client_end};
use crate::memory_port::HEADERS;
use crate::netmap::netmap_region_stack;
use crate::rx::RxQueue;
use crate::simoom::{App, config, file_server};
use crate::subject::Subject;
use simoom_core::content::{self, Mode};
use simoom_core::port::{BATCH_MAX, Port};
use simoom_core::secrets::Secrets;
use simoom_core::stack::{Stack, WakeReason};
use simoom_core::time::Instant;
use simoom_core::wire::rss::{self, MICROSOFT_KEY, Spread};
use simoom_netmap::kernel::Kernel;
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model, ModelConfig, ModelKernel};
use simoom_netmap::port::{Attachment, NetmapConfig, NetmapPort};
use std::net::SocketAddrV4;

/// Slots of each ring.
const SLOTS: u32 = 256;
/// Extra buffers of each shard.
const BUFFERS: u32 = 512;
/// Objects that are asked for in turn, and bytes of each.
const OBJECTS: u32 = 8;
const OBJECT_BYTES: u64 = 22_528;
/// Connections at once, for each shard.
const CONNECTIONS: u32 = 256;

/// Connections of each shard that ask together: their acknowledgements make a batch.
pub const ACTIVE: usize = 4;
/// Connections opened to find so many for each of eight rings.
const OPENED: u32 = 128;

/// A NIC of so many ring pairs that reads late and reports half a ring at a time, as drivers do.
pub fn nic(rings: u16) -> Model {
    Model::nic(ModelConfig {
        rings,
        tx_slots: SLOTS,
        rx_slots: SLOTS,
        buffers: u32::from(rings) * (2 * SLOTS + BUFFERS),
        dma: DmaPolicy::NextCall,
        completion: CompletionPolicy::HalfRing,
        ..ModelConfig::default()
    })
}

/// Ring pair `ring` of it, for a port.
pub fn bind(model: &Model, ring: u16) -> Attachment<ModelKernel> {
    model.bind(ring, BUFFERS).expect("the ring is free")
}

/// A stack and its port.
pub struct Shard<K: Kernel> {
    /// The stack.
    pub stack: Stack<App>,
    /// Its port.
    pub port: NetmapPort<K>,
}

impl<K: Kernel> Shard<K> {
    /// A server, cold.
    pub fn new(attachment: Attachment<K>) -> Self {
        let port = NetmapPort::over(attachment, &NetmapConfig::default());
        let port = port.expect("the model is sound");
        let mut config = config(CONNECTIONS);
        config.half_open_max = 64;
        config.neighbours_max = 64;
        config.receive_buffers = 64;
        config.content = content::Config {
            mode: Mode::CopiesOnDemand,
            copies_max: BUFFERS,
            runs_max: 256,
            ..content::Config::default()
        };
        let app = file_server(OBJECT_BYTES, OBJECTS);
        let stack = Stack::new(config, Secrets::new([1, 2, 3, 4]), port.caps(), app);
        Self { stack, port }
    }

    /// What a thread of its own does over and over: frames are sent and received, then comes a turn.
    /// Whether there is more to do at once.
    pub fn turn(&mut self, now: u64) -> bool {
        self.port.flush().expect("the model does not fail");
        let now = Instant::from_nanos(now);
        let syncs = self.port.stats().tx_syncs;
        let deadline = netmap_region_stack(&mut self.stack, &mut self.port, now);
        assert_eq!(self.port.stats().tx_syncs, syncs, "the kernel worked within the turn");
        self.port.flush().expect("the model does not fail");
        deadline.is_some_and(|d| matches!(d.why, WakeReason::MoreWork | WakeReason::Starved))
    }
}

/// Whoever turns the shards.
pub trait Turns {
    /// One turn of the shard behind `ring`; whether it has more to do at once.
    fn turn(&mut self, ring: u16, now: u64) -> bool;
    /// What went wrong, for the message of a script that did not go as written.
    fn diagnosis(&self) -> String;
}

/// All of them by the thread that asks.
pub struct InTurn(pub Vec<Shard<ModelKernel>>);

impl Turns for InTurn {
    fn turn(&mut self, ring: u16, now: u64) -> bool {
        self.0[usize::from(ring)].turn(now)
    }

    fn diagnosis(&self) -> String {
        let stats: Vec<_> = self.0.iter().map(|shard| shard.stack.stats()).collect();
        format!("{stats:?}")
    }
}

/// The NIC with its wire, and the shards behind it.
pub struct Shards<T> {
    /// Who turns them.
    pub turns: T,
    /// What they are behind.
    pub model: Model,
    rings: u16,
    spread: Spread,
    rx: RxQueue,
    response_lens: Vec<u64>,
    /// What left in the last turn, one frame after the other.
    wire: Vec<u8>,
    ends: Vec<usize>,
    frames_out: u64,
    text_out: u64,
}

impl<T: Turns> Shards<T> {
    /// The wire of `model`, which has so many rings.
    pub fn new(model: Model, rings: u16, turns: T) -> Self {
        let app = file_server(OBJECT_BYTES, OBJECTS);
        Self {
            turns,
            model,
            rings,
            spread: spread(rings),
            rx: RxQueue::default(),
            response_lens: app.catalogue().files().map(|file| file.total_len).collect(),
            wire: Vec::with_capacity(1 << 20),
            ends: Vec::with_capacity(SLOTS as usize),
            frames_out: 0,
            text_out: 0,
        }
    }
}

fn spread(rings: u16) -> Spread {
    Spread::in_turn(MICROSOFT_KEY, u8::try_from(rings).expect("few rings"))
}

/// Where an IPv4 header without options has its addresses, and the TCP header behind it its ports.
const ADDRESSES_AT: usize = 26;

/// The hash that the NIC computes.
fn hash(frame: &[u8]) -> u32 {
    rss::toeplitz(&MICROSOFT_KEY, &frame[ADDRESSES_AT..ADDRESSES_AT + 12])
}

impl<T: Turns> Subject for Shards<T> {
    fn rx(&mut self) -> &mut RxQueue {
        &mut self.rx
    }

    fn turn(&mut self, now: u64, _active: &[u32]) -> bool {
        let mut came = [0; rss::INDIRECTION_ENTRIES as usize];
        while let Some(frame) = self.rx.pop() {
            let ring = self.spread.ring(hash(frame));
            came[usize::from(ring)] += 1;
            assert!(self.model.inject(ring.into(), frame), "the ring has room for a turn");
        }
        assert!(came.iter().all(|&came| came <= BATCH_MAX), "a turn of more than a batch");
        let mut more = false;
        for ring in 0..self.rings {
            more |= self.turns.turn(ring, now);
        }
        self.model.work();
        self.wire.clear();
        self.ends.clear();
        let Self { model, wire, ends, frames_out, text_out, .. } = self;
        for ring in 0..self.rings {
            model.take_wire(ring, |frame| {
                *frames_out += 1;
                *text_out += (frame.len() as u64).saturating_sub(HEADERS);
                wire.extend_from_slice(frame);
                ends.push(wire.len());
            });
        }
        more
    }

    fn last_frames(&self, show: &mut dyn FnMut(&[u8])) {
        let mut start = 0;
        for &end in &self.ends {
            show(&self.wire[start..end]);
            start = end;
        }
    }

    fn sent(&self) -> (u64, u64) {
        (self.frames_out, self.text_out)
    }

    fn response_len(&self, object: u32) -> u64 {
        self.response_lens[object as usize]
    }

    fn diagnosis(&self) -> String {
        format!("{}\n{:?}", self.turns.diagnosis(), self.model.violations())
    }
}

/// A client of all shards, with as many active connections to each.
pub struct Client<T> {
    script: Script<Shards<T>>,
    /// Connection and object of each request of a round: every shard's first one, every shard's
    /// second one, and so on.
    round: Vec<(u32, u32)>,
}

impl<T: Turns> Client<T> {
    /// Opens connections until every shard has [`ACTIVE`] of its own.
    ///
    /// # Panics
    /// Where the hash leaves a shard without.
    pub fn new(shards: Shards<T>) -> Self {
        let rings = shards.rings;
        let mut script = Script::new(shards, 1_000);
        script.open(OPENED);
        let mut of_ring = vec![Vec::new(); rings.into()];
        let spread = spread(rings);
        for conn in 0..OPENED {
            let ring = spread.ring_of_tcp(client_end(conn), SocketAddrV4::new(SERVER_IP, 80));
            of_ring[usize::from(ring)].push(conn);
        }
        let mut round = Vec::new();
        for place in 0..ACTIVE {
            for conns in &of_ring {
                round.push((conns[place], place as u32 % OBJECTS));
            }
        }
        Self { script, round }
    }

    /// So many requests of each active connection; checks that every byte was answered, once.
    /// `warm` opens the congestion windows.
    pub fn run(&mut self, rounds: u32, warm: bool) {
        let mut next = self.round.iter().cycle();
        let mut pick = || *next.next().expect("a round has requests");
        self.script.keep_alive(rounds, self.round.len() as u32, warm, &mut pick);
        assert_eq!(self.script.subject.model.violations(), []);
    }

    /// Requests of a round.
    pub fn requests(&self) -> u32 {
        self.round.len() as u32
    }

    /// The shards.
    pub fn into_shards(self) -> Shards<T> {
        self.script.subject
    }
}
