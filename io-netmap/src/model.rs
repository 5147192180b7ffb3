//! The kernel's side of the same memory, for tests: what netmap and a NIC, or a pipe, do with rings.
//!
//! A [`Model`] lays out an interface, rings, slots and buffers in one allocation as the kernel does,
//! and answers the calls of a port ([`Kernel`]). It is deterministic: all that varies is a policy, or
//! drawn from a seed.
//!
//! - The NIC reads a buffer when its modelled DMA runs ([`DmaPolicy`]), not when it was queued. What
//!   memory holds *then* goes on the wire, and it must be what it held at the doorbell.
//! - It reads the buffer that its descriptor was programmed with; a slot whose `buf_idx` changed
//!   without `NS_BUF_CHANGED` goes on being read where it was.
//! - Completions show lazily and in batches ([`CompletionPolicy`]), all of them where the port forces
//!   it. The slot at `tail` stays with the kernel.
//! - A released receive buffer is overwritten at once.
//! - The host's rings copy what is queued for the host, and what it sends into the slots' buffers.
//! - A pipe exchanges slots, in both directions; [`Model::exchange_received`] is a peer that keeps the
//!   buffers it gets.
//! - Closing frees what the slots and the list of extra buffers hold, and notes what is freed twice or
//!   not at all.
//!
//! What a port did wrong is a [`Violation`]. Test support: not part of what serves.

mod host;
mod memory;
mod nic;
mod pipe;

use crate::gathering::Gathering;
use crate::kernel::{Kernel, Ready, Wait};
use crate::port::{Attachment, HostAttachment};
use host::Host;

use crate::sys::{InterfaceHeader, RingHeader, Slot};
use memory::Memory;
use nic::Nic;
use pipe::Pipe;
use simoom_core::time::Duration;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a model is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// Slots of each transmit ring, at least 2; one is always the kernel's.
    pub tx_slots: u32,
    /// Slots of each receive ring, at least 2.
    pub rx_slots: u32,
    /// Ring pairs of the NIC. A pipe has one at each end.
    pub rings: u16,
    /// Pairs of rings between the NIC and the host's own network; 0 by default. A pipe has none.
    pub host_rings: u16,
    /// Buffers of the memory, netmap's own two not counted: slots and extra buffers come from them.
    pub buffers: u32,
    /// Bytes of a buffer, a multiple of 64.
    pub buffer_bytes: u32,
    /// Extra buffers that a binding gets at most, whatever it asks for.
    pub extra_max: u32,
    /// Whether the NIC's driver is known to take frames of several slots. A pipe's never is.
    pub gathers: bool,
    /// The driver gives the NIC no buffer for the last receive slot before that comes back with
    /// `NS_BUF_CHANGED`, as netmap's e1000 does. The NIC passes the slot over, and the driver shows it as
    /// the beginning of the frame in the next one.
    pub rx_slot_forgotten: bool,
    /// When the NIC reads what was queued.
    pub dma: DmaPolicy,
    /// When completions show.
    pub completion: CompletionPolicy,
    /// What [`DmaPolicy::Random`] and [`CompletionPolicy::Random`] draw from.
    pub seed: u64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            tx_slots: 64,
            rx_slots: 128,
            rings: 1,
            host_rings: 0,
            buffers: 1_024,
            buffer_bytes: 2_048,
            extra_max: u32::MAX,
            gathers: true,
            rx_slot_forgotten: false,
            dma: DmaPolicy::AtWork,
            completion: CompletionPolicy::WholeRing,
            seed: 1,
        }
    }
}

/// When the NIC reads the buffer of a frame that was made visible to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaPolicy {
    /// At the doorbell.
    AtDoorbell,
    /// At the next call after the doorbell.
    NextCall,
    /// When it is left to work ([`Model::work`]) or waited for; and half of a ring that is full.
    AtWork,
    /// At each call as many as a draw says.
    Random,
}

impl DmaPolicy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AtDoorbell, Self::NextCall, Self::AtWork, Self::Random];
}

/// When completions of frames that were read show, unless they are forced or the ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionPolicy {
    /// At every call.
    AtRead,
    /// As soon as there is half a ring of them.
    HalfRing,
    /// Not before the ring is full.
    WholeRing,
    /// At each call as many as a draw says.
    Random,
}

impl CompletionPolicy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AtRead, Self::HalfRing, Self::WholeRing, Self::Random];
}

/// What a port did that breaks netmap's rules or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A slot has another buffer than before, and no `NS_BUF_CHANGED`.
    BufChangedMissing {
        /// The slot.
        slot: u32,
    },
    /// A cursor lies outside of the slots that are the port's.
    BadCursor {
        /// What `head` was.
        head: u32,
        /// The first slot that was the port's.
        first: u32,
        /// The first one that was not.
        tail: u32,
    },
    /// A slot names no buffer, or more bytes than one has.
    BadSlot {
        /// The slot.
        slot: u32,
        /// The buffer it names.
        index: u32,
    },
    /// A buffer was queued that is queued already, and not both times behind the first slot of a frame.
    QueuedTwice {
        /// The buffer.
        index: u32,
    },
    /// A buffer's bytes at DMA are not those at the doorbell.
    ChangedInFlight {
        /// The buffer.
        index: u32,
    },
    /// What was queued ends within a frame: its last slot says that the frame goes on.
    EndsWithinFrame {
        /// The slot.
        slot: u32,
    },
    /// At closing, a slot or the list of extra buffers held a buffer that was free.
    FreedTwice {
        /// The buffer.
        index: u32,
    },
}

/// Why a model does not bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// There is no such ring or end.
    NoRing,
    /// Somebody has it: EBUSY.
    Busy,
    /// There are not enough buffers for the slots: ENOMEM.
    NoMemory,
}

/// A modelled kernel with one NIC or one pipe. Clones are the same.
#[derive(Clone, Debug)]
pub struct Model(Arc<Mutex<State>>);

/// A port's way to a [`Model`]. Dropping it closes the binding.
#[derive(Debug)]
pub struct ModelKernel {
    model: Model,
    end: u16,
    /// Bound with the host's pair of the same number.
    host: bool,
}

#[derive(Debug)]
struct State {
    config: ModelConfig,
    memory: Memory,
    link: Link,
    /// Which rings or ends are bound.
    bound: Vec<bool>,
    hosts: Vec<Host>,
    /// Which of the host's pairs are bound.
    host_bound: Vec<bool>,
    /// Somebody else holds the memory.
    held: bool,
    removed: bool,
    now_nanos: u64,
    calls: u64,
    random: Random,
    violations: Vec<Violation>,
}

#[derive(Debug)]
enum Link {
    Nic(Vec<Nic>),
    Pipe(Pipe),
}

/// What a call takes, so that nobody can wait for ever without time passing.
const CALL_NANOS: u64 = 1_000;

/// More violations than anybody reads.
const VIOLATIONS_MAX: usize = 64;

impl Model {
    /// A NIC with its wire.
    ///
    /// # Panics
    /// Where the numbers make no rings.
    pub fn nic(config: ModelConfig) -> Self {
        let memory = Memory::new(&config, config.rings, true);
        let nics = (0..config.rings).map(|ring| Nic::new(&config, memory.place(ring))).collect();
        Self::new(config, memory, Link::Nic(nics), config.rings)
    }

    /// A pipe; its ends are 0 and 1. Policies have no meaning for it.
    ///
    /// # Panics
    /// Where the numbers make no rings, or the two rings of a direction differ in length.
    pub fn pipe(config: ModelConfig) -> Self {
        assert_eq!(config.tx_slots, config.rx_slots, "the rings of a pipe mirror each other");
        let memory = Memory::new(&config, 2, false);
        let pipe = Pipe::new([memory.place(0), memory.place(1)], config.tx_slots);
        Self::new(config, memory, Link::Pipe(pipe), 2)
    }

    fn new(config: ModelConfig, memory: Memory, link: Link, ends: u16) -> Self {
        let host = |ring| Host::new(memory.host_place(ring), config.tx_slots, config.rx_slots);
        let host_rings = if matches!(link, Link::Nic(_)) { config.host_rings } else { 0 };
        let hosts = (0..host_rings).map(host).collect();
        Self(Arc::new(Mutex::new(State {
            config,
            memory,
            link,
            bound: vec![false; ends.into()],
            hosts,
            host_bound: vec![false; host_rings.into()],
            held: false,
            removed: false,
            now_nanos: 0,
            calls: 0,
            random: Random(config.seed),
            violations: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has its message already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds ring pair or end `end` and asks for extra buffers.
    ///
    /// # Errors
    /// Where there is nothing to bind.
    pub fn bind(&self, end: u16, asked: u32) -> Result<Attachment<ModelKernel>, BindError> {
        self.bind_as(end, asked, false)
    }

    /// Binds ring pair `end` of a NIC, and with it the pair of the host's rings of the same number.
    ///
    /// # Errors
    /// Where there is nothing to bind.
    pub fn bind_with_host(
        &self,
        end: u16,
        asked: u32,
    ) -> Result<Attachment<ModelKernel>, BindError> {
        self.bind_as(end, asked, true)
    }

    fn bind_as(
        &self,
        end: u16,
        asked: u32,
        with_host: bool,
    ) -> Result<Attachment<ModelKernel>, BindError> {
        let mut state = self.state();
        let extra = state.bind(end, asked)?;
        if with_host && let Err(error) = state.bind_host(end) {
            state.close(end, false);
            return Err(error);
        }
        let listed = |state: &State| state.memory.host_place(end).interface as u64;
        let host = with_host.then(|| HostAttachment { interface: listed(&state), ring: end });
        Ok(Attachment {
            name: format!("model:{end}"),
            region: Arc::clone(state.memory.region()),
            interface: state.memory.place(end).interface as u64,
            // A NIC's interface lists all its rings.
            ring: if matches!(state.link, Link::Nic(_)) { end } else { 0 },
            asked,
            extra,
            gathering: match state.link {
                Link::Pipe(_) => Gathering::Pipe,
                Link::Nic(_) if state.config.gathers => Gathering::Model,
                Link::Nic(_) => Gathering::Unknown,
            },
            host,
            kernel: ModelKernel { model: self.clone(), end, host: with_host },
        })
    }

    /// Writes a word anywhere in the shared memory, as a broken or hostile kernel would.
    ///
    /// # Panics
    /// Where the place is not in the memory, or not aligned.
    pub fn overwrite(&self, offset: usize, word: u32) {
        self.state().memory.region().write(offset, word);
    }

    /// The word at a place of the shared memory.
    ///
    /// # Panics
    /// Where the place is not in the memory, or not aligned.
    pub fn word(&self, offset: usize) -> u32 {
        self.state().memory.region().read(offset)
    }

    /// Where a buffer is in the shared memory.
    pub fn buffer_at(&self, index: u32) -> usize {
        self.state().memory.buffer(index)
    }

    /// Where the shared memory begins in this process.
    pub fn address(&self) -> usize {
        self.state().memory.region().address()
    }

    /// Where in the shared memory the interface, the transmit ring and the receive ring of ring pair or
    /// end `end` are, slots in.
    pub fn places(&self, end: u16) -> [(&'static str, Range<usize>); 3] {
        let state = self.state();
        let place = state.memory.place(end);
        let ring = |at: usize, slots: u32| {
            at..at + size_of::<RingHeader>() + slots as usize * size_of::<Slot>()
        };
        [
            ("interface", place.interface..place.interface + size_of::<InterfaceHeader>()),
            ("transmit ring", ring(place.tx, state.config.tx_slots)),
            ("receive ring", ring(place.rx, state.config.rx_slots)),
        ]
    }

    /// A frame comes from the wire to ring pair `ring`; false where its receive ring is full or
    /// nobody has bound it.
    pub fn inject(&self, ring: u16, frame: &[u8]) -> bool {
        self.inject_fragments(ring, &[frame])
    }

    /// The same in several slots, each with its part.
    ///
    /// # Panics
    /// Where this is no NIC, or a part is longer than a buffer.
    pub fn inject_fragments(&self, ring: u16, parts: &[&[u8]]) -> bool {
        self.arrive(ring, parts, true)
    }

    /// The beginning of a frame whose other slots come later: some drivers show each descriptor as
    /// soon as it is filled.
    ///
    /// # Panics
    /// As above.
    pub fn inject_beginning(&self, ring: u16, parts: &[&[u8]]) -> bool {
        self.arrive(ring, parts, false)
    }

    fn arrive(&self, ring: u16, parts: &[&[u8]], ends: bool) -> bool {
        let State { link, memory, bound, .. } = &mut *self.state();
        let Link::Nic(nics) = link else { panic!("frames come to a pipe through its other end") };
        bound[usize::from(ring)] && nics[usize::from(ring)].arrive(memory, parts, ends)
    }

    /// Shows the frames that left ring pair `ring` since the last call, oldest first.
    pub fn take_wire(&self, ring: u16, on_frame: impl FnMut(&[u8])) {
        if let Link::Nic(nics) = &mut self.state().link {
            nics[usize::from(ring)].take_wire(on_frame);
        }
    }

    /// The host sends a frame out of the interface, by its pair `ring`; false where its ring is full or
    /// nobody has bound it.
    pub fn host_send(&self, ring: u16, frame: &[u8]) -> bool {
        let State { hosts, host_bound, .. } = &mut *self.state();
        host_bound[usize::from(ring)] && hosts[usize::from(ring)].send(frame)
    }

    /// Frames that came to the host by its pair `ring` since the last call, oldest first.
    pub fn take_host(&self, ring: u16) -> Vec<Vec<u8>> {
        self.state().hosts[usize::from(ring)].take_came()
    }

    /// Frames of the host that found its ring full.
    pub fn host_dropped(&self) -> u64 {
        self.state().hosts.iter().map(Host::dropped).sum()
    }

    /// Lets the NIC read everything that was made visible to it.
    pub fn work(&self) {
        self.state().work();
    }

    /// The interface is deleted: from now on every call fails.
    pub fn remove(&self) {
        self.state().removed = true;
    }

    /// Another program has the memory, so that what a binding loses stays lost.
    pub fn hold(&self, held: bool) {
        let mut state = self.state();
        state.held = held;
        state.end_of_memory();
    }

    /// The peer at end `end` of a pipe takes the oldest frame in its ring and keeps the buffer, giving
    /// one of its own, full of other bytes, for it; false where nothing has come. Nobody has bound
    /// that end.
    ///
    /// # Panics
    /// Where this is no pipe, or the peer has no buffer left.
    pub fn exchange_received(&self, end: u16, on_frame: impl FnMut(&[u8])) -> bool {
        let State { link, memory, bound, .. } = &mut *self.state();
        let Link::Pipe(pipe) = link else { panic!("a NIC has no peer that exchanges buffers") };
        assert!(!bound[usize::from(end)], "somebody has this end");
        pipe.exchange_received(usize::from(end), memory, on_frame)
    }

    /// What was done wrong so far, at most the first so many.
    pub fn violations(&self) -> Vec<Violation> {
        self.state().violations.clone()
    }

    /// Buffers that are nobody's.
    pub fn buffers_free(&self) -> u32 {
        self.state().memory.free()
    }

    /// Buffers that no closing had given back when the last one closed the memory, in all.
    pub fn buffers_lost(&self) -> u32 {
        self.state().memory.lost()
    }

    /// Calls of the kernel.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Frames that found a receive ring full.
    pub fn overflows(&self) -> u64 {
        match &self.state().link {
            Link::Nic(nics) => nics.iter().map(Nic::overflows).sum(),
            Link::Pipe(_) => 0,
        }
    }
}

impl State {
    fn bind(&mut self, end: u16, asked: u32) -> Result<u32, BindError> {
        let at = usize::from(end);
        match self.bound.get(at) {
            None => return Err(BindError::NoRing),
            Some(true) => return Err(BindError::Busy),
            Some(false) => {}
        }
        let ready = match &mut self.link {
            Link::Nic(nics) => nics[at].open(&mut self.memory),
            Link::Pipe(pipe) => pipe.open(&mut self.memory),
        };
        if !ready {
            return Err(BindError::NoMemory);
        }
        self.bound[at] = true;
        let extra = asked.min(self.config.extra_max);
        Ok(self.memory.give_extra(end, extra))
    }

    fn bind_host(&mut self, ring: u16) -> Result<(), BindError> {
        let at = usize::from(ring);
        match self.host_bound.get(at) {
            None => return Err(BindError::NoRing),
            Some(true) => return Err(BindError::Busy),
            Some(false) => {}
        }
        if !self.hosts[at].open(&mut self.memory) {
            return Err(BindError::NoMemory);
        }
        self.host_bound[at] = true;
        Ok(())
    }

    /// What the kernel does when the descriptors are closed.
    fn close(&mut self, end: u16, with_host: bool) {
        let at = usize::from(end);
        self.bound[at] = false;
        let mut twice = Vec::new();
        if with_host {
            self.host_bound[at] = false;
            self.hosts[at].close(&mut self.memory, &mut twice);
        }
        self.memory.take_extra(end, &mut twice);
        match &mut self.link {
            Link::Nic(nics) => nics[at].close(&mut self.memory, &mut twice),
            Link::Pipe(pipe) if !self.bound.contains(&true) => {
                pipe.close(&mut self.memory, &mut twice);
            }
            Link::Pipe(_) => {}
        }
        for index in twice {
            self.violate(Violation::FreedTwice { index });
        }
        self.end_of_memory();
    }

    /// The last one to close the memory leaves it as new.
    fn end_of_memory(&mut self) {
        if !self.held && !self.bound.contains(&true) {
            self.memory.reset();
        }
    }

    fn violate(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }

    fn work(&mut self) {
        let Self { link, memory, violations, .. } = self;
        if let Link::Nic(nics) = link {
            for nic in nics {
                nic.read_all(memory, violations);
            }
        }
    }

    /// A call is made: it takes time, and fails where the interface is gone.
    fn enter(&mut self) -> io::Result<()> {
        self.calls += 1;
        self.now_nanos += CALL_NANOS;
        if self.removed { Err(io::Error::from_raw_os_error(libc::ENXIO)) } else { Ok(()) }
    }

    /// Whether the cursors made sense.
    fn tx_sync(&mut self, end: usize, force: bool) -> bool {
        let Self { link, memory, random, violations, .. } = self;
        match link {
            Link::Nic(nics) => nics[end].tx_sync(memory, force, random, violations),
            Link::Pipe(pipe) => pipe.tx_sync(end, memory, violations),
        }
    }

    fn rx_sync(&mut self, end: usize) -> bool {
        let Self { link, memory, violations, .. } = self;
        match link {
            Link::Nic(nics) => nics[end].rx_sync(memory, violations),
            Link::Pipe(pipe) => pipe.rx_sync(end, memory, violations),
        }
    }

    /// One round of poll: send where there is something, receive where nothing waits.
    fn poll_once(&mut self, end: usize, wait: Wait, with_host: bool) -> Polled {
        let output = wait.output;
        let (mut sane, mut input, mut space) = (true, false, false);
        let rings = match &self.link {
            Link::Nic(nics) => nics[end].rings(),
            Link::Pipe(pipe) => pipe.rings(end),
        };
        if output || rings.tx.has_news(&self.memory) {
            sane &= self.tx_sync(end, false);
        }
        if !rings.rx.shows_any(&self.memory) {
            sane &= self.rx_sync(end);
        }
        input |= rings.rx.shows_any(&self.memory);
        space |= output && rings.tx.shows_any(&self.memory);
        if with_host {
            let (host, memory) = (&mut self.hosts[end], &self.memory);
            if host.has_news(memory) {
                sane &= host.tx_sync(memory, &mut self.violations);
            }
            if wait.host {
                sane &= host.rx_sync(memory, &mut self.violations);
                input |= host.shows_any(memory);
            }
        }
        Polled { sane, ready: input || space }
    }
}

struct Polled {
    sane: bool,
    ready: bool,
}

impl Kernel for ModelKernel {
    fn tx_sync(&mut self) -> io::Result<()> {
        let mut state = self.model.state();
        state.enter()?;
        // Rings that make no sense are set right by the kernel; the call says nothing of it.
        state.tx_sync(self.end.into(), true);
        Ok(())
    }

    fn rx_sync(&mut self) -> io::Result<()> {
        let mut state = self.model.state();
        state.enter()?;
        state.rx_sync(self.end.into());
        Ok(())
    }

    fn host_sync(&mut self) -> io::Result<()> {
        let mut state = self.model.state();
        state.enter()?;
        let State { hosts, memory, violations, .. } = &mut *state;
        if self.host {
            hosts[usize::from(self.end)].tx_sync(memory, violations);
        }
        Ok(())
    }

    fn poll(&mut self, wait: Wait) -> io::Result<Ready> {
        let mut state = self.model.state();
        if state.enter().is_err() {
            return Ok(Ready { failed: true, ended: false });
        }
        let end = self.end.into();
        let mut polled = state.poll_once(end, wait, self.host);
        if polled.sane && !polled.ready && wait.timeout != Some(Duration::ZERO) {
            // Time passes, in which the device gets everything done.
            state.work();
            let again = state.poll_once(end, wait, self.host);
            polled = Polled { sane: again.sane, ..again };
            if !polled.ready {
                match wait.timeout {
                    Some(span) => state.now_nanos += span.as_nanos(),
                    // Nothing is there that could ever bring a frame.
                    None => return Ok(Ready { failed: !polled.sane, ended: true }),
                }
            }
        }
        Ok(Ready { failed: !polled.sane, ended: false })
    }

    fn now_nanos(&self) -> u64 {
        self.model.state().now_nanos
    }

    fn pause(&mut self, span: Duration) {
        let mut state = self.model.state();
        state.now_nanos += span.as_nanos();
        state.work();
    }
}

impl Drop for ModelKernel {
    fn drop(&mut self) {
        self.model.state().close(self.end, self.host);
    }
}

/// SplitMix64: small, and the same on every machine.
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `most`.
    fn upto(&mut self, most: usize) -> usize {
        (self.next() % (most as u64 + 1)) as usize
    }
}
