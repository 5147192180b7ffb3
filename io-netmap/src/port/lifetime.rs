//! How a port begins and ends: what is taken from the kernel, checked, and given back.

use super::gather::{FRAGS_MAX, MORE};
use super::host::{HOST, HostRings};
use super::{Away, ETHERNET_LEN, NetmapPort, NetmapStats, VLAN_TAG_LEN};
use crate::clock::Clock;
use crate::device::Device;
use crate::error::NetmapError;
use crate::gathering::Gathering;
use crate::kernel::Kernel;
use crate::mutants::mutant;
use crate::name::PortName;
use crate::region::{Buffers, Index, Region};
use crate::ring::{Interface, Malformed, Ring};
use simoom_core::port::{BATCH_MAX, ChecksumOffload, Port, PortCaps, TxSync};
use simoom_core::time::Duration;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The smallest MTU: RFC 791 §3.2 asks every link to carry 68 bytes.
pub const MTU_MIN: u16 = 68;
/// The largest MTU: what the largest buffers that netmap has take.
pub const MTU_MAX: u16 = 16_000;
/// Buffers without which nothing moves: an idle device keeps one.
const BUFFERS_LEAST: u32 = 2;

/// What kind of port to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetmapConfig {
    /// Bytes of the longest IP packet, [`MTU_MIN`] to [`MTU_MAX`]; 1500 by default. Not above the
    /// interface's.
    pub mtu: u16,
    /// Extra buffers to ask for where the port's name does not say: at least `buffers_min`; 4096 by
    /// default. The kernel may have fewer.
    pub buffers: u32,
    /// The least that are enough, at least 2; 64 by default.
    pub buffers_min: u32,
    /// Ask again and again instead of sleeping in poll(2): less delay for a whole core.
    pub busy_poll: bool,
}

impl Default for NetmapConfig {
    fn default() -> Self {
        Self { mtu: 1_500, buffers: 4_096, buffers_min: 64, busy_poll: false }
    }
}

/// A binding that a kernel has made: what a port is made of.
#[derive(Debug)]
pub struct Attachment<K> {
    /// The port's name, for messages.
    pub name: String,
    /// The memory that is shared.
    pub region: Arc<Region>,
    /// Where the interface's description is in it.
    pub interface: u64,
    /// Which of its ring pairs is bound.
    pub ring: u16,
    /// Extra buffers asked for.
    pub asked: u32,
    /// Extra buffers that there were.
    pub extra: u32,
    /// Whether the device takes frames of several slots.
    pub gathering: Gathering,
    /// The host's rings that are bound with it.
    pub host: Option<HostAttachment>,
    /// Who is called.
    pub kernel: K,
}

/// A binding of a pair of the host's rings, in the same memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAttachment {
    /// Where the description of the interface is that lists them.
    pub interface: u64,
    /// Which pair of them is bound.
    pub ring: u16,
}

impl<K> Attachment<K> {
    /// The same binding, with calls going through what `wrap` makes of the kernel.
    pub fn map_kernel<L>(self, wrap: impl FnOnce(K) -> L) -> Attachment<L> {
        let Self { name, region, interface, ring, asked, extra, gathering, host, kernel } = self;
        let kernel = wrap(kernel);
        Attachment { name, region, interface, ring, asked, extra, gathering, host, kernel }
    }
}

/// Ports made in this process so far: what tells their tokens apart in debug builds.
static PORTS: AtomicU32 = AtomicU32::new(1);

impl NetmapPort<Device> {
    /// Opens the port that `name` means.
    ///
    /// # Errors
    /// Where it cannot be had; each says what to do.
    pub fn open(name: &PortName, config: &NetmapConfig) -> Result<Self, NetmapError> {
        config.check(name.buffers)?;
        Self::over(Device::attach(name, config)?, config)
    }

    /// A descriptor that makes `advance` answer None once it can be read; it is never read. None takes
    /// it away, to drain.
    pub fn set_stop(&mut self, stop: Option<OwnedFd>) {
        self.kernel.set_stop(stop);
    }
}

impl NetmapConfig {
    fn check(&self, named_buffers: Option<u32>) -> Result<(), NetmapError> {
        let buffers = named_buffers.unwrap_or(self.buffers);
        let (mtu, least) = (u32::from(self.mtu), self.buffers_min);
        let most = crate::name::BUFFERS_MAX;
        for (what, given, min, max) in [
            ("the MTU", mtu, u32::from(MTU_MIN), u32::from(MTU_MAX)),
            ("the least number of buffers", least, BUFFERS_LEAST, most),
            ("the number of buffers", buffers, least, most),
        ] {
            if !(min..=max).contains(&given) {
                return Err(NetmapError::Config { what, given, min, max });
            }
        }
        Ok(())
    }
}

impl<K: Kernel> NetmapPort<K> {
    /// A port over what a kernel has bound. Everything that the shared memory says is checked before
    /// anything is changed in it: where this fails, closing the binding gives all back as it came.
    ///
    /// # Errors
    /// Where the memory is not as it must be, or there are too few extra buffers.
    pub fn over(attachment: Attachment<K>, config: &NetmapConfig) -> Result<Self, NetmapError> {
        let Attachment { name, region, interface, ring, asked, extra, gathering, host, kernel } =
            attachment;
        config.check(Some(asked))?;
        let found = bind(&region, interface, ring, extra);
        let corrupt = |Malformed { what, found }: Malformed| NetmapError::Corrupt {
            name: name.clone(),
            what,
            found,
        };
        let Bound { tx, rx, buffers, place, interface, extra } = found.map_err(corrupt)?;
        let host = host.map(|host| HostRings::bind(&region, host, place)).transpose();
        let host = host.map_err(corrupt)?;
        let (got, least) = (extra.len() as u32, config.buffers_min);
        if got < least {
            return Err(NetmapError::TooFewBuffers { name, asked, got, least });
        }
        let rx_len_max = config.mtu + ETHERNET_LEN + VLAN_TAG_LEN;
        if usize::from(rx_len_max) > buffers.size() {
            let (mtu, buffer) = (config.mtu.into(), buffers.size() as u32);
            return Err(NetmapError::MtuAboveBuffer { name, mtu, buffer });
        }
        let tail = tx.tail().map_err(corrupt)?;
        // From here on the list is ours. A program that is killed loses the buffers until the memory
        // is closed; with the list in place, the kernel would take bytes of frames for its links.
        interface.set_extra_head(0);
        let slots = tx.num_slots();
        // What an idle device keeps leaves room for one frame more.
        let frags_room = u8::try_from((slots - 1) / 2).unwrap_or(u8::MAX).max(1);
        let max_frags = if gathering.is_there() { FRAGS_MAX.min(frags_room) } else { 1 };
        let head = tx.head();
        Ok(Self {
            id: PORTS.fetch_add(1, Ordering::Relaxed),
            caps: PortCaps {
                frame_max: config.mtu + ETHERNET_LEN,
                buffers: got,
                // One slot is always the kernel's.
                tx_slots: slots - 1,
                tx_hold_max: slots - 1,
                // The one at `tail`.
                tx_hold_idle: 1,
                max_frags,
                checksum: ChecksumOffload { tx: false, rx: false },
            },
            away: vec![Away { token: 0, kept: Index::NONE }; slots as usize].into_boxed_slice(),
            oldest: head,
            tail,
            pushed: head,
            more_slots: 0,
            uses: vec![0; if max_frags > 1 { got as usize } else { 0 }].into_boxed_slice(),
            gathering,
            host,
            starved: false,
            skipping: false,
            rx_seen: rx.head(),
            joined: vec![0; BATCH_MAX * usize::from(rx_len_max)].into_boxed_slice(),
            rx_untold: rx.num_slots(),
            rx_len_max,
            busy_poll: config.busy_poll,
            asked,
            given_back: false,
            fatal: None,
            clock: Clock::start(&kernel),
            stats: NetmapStats::default(),
            free: (0..got).rev().collect(),
            memory: extra.into_boxed_slice(),
            name,
            tx,
            rx,
            buffers,
            interface,
            kernel,
        })
    }

    /// Waits a little for queued frames to leave, gives every buffer back and ends the binding: what
    /// dropping does, without the waiting.
    ///
    /// # Errors
    /// Why the port was dead, if it was. The buffers are given back all the same.
    pub fn close(mut self) -> Result<(), NetmapError> {
        for _ in 0..LEAVE_ROUNDS {
            if self.sync_tx(TxSync::PushAndReclaim).is_err() {
                break;
            }
            let done = self.completed().0;
            if self.pending_slots() - done <= self.caps.tx_hold_idle {
                break;
            }
            self.kernel.pause(LEAVE_PAUSE);
        }
        self.give_all_back();
        self.fatal.clone().map_or(Ok(()), Err)
    }

    /// Links all extra buffers again, for the kernel to take. A token whose buffer is in a slot, read
    /// or not, leaves it there (in one of them, where frames share it) in exchange for the one that the
    /// slot had: so whatever the caller did
    /// with its tokens, every slot has a buffer and the list has as many as at the beginning.
    fn give_all_back(&mut self) {
        if std::mem::replace(&mut self.given_back, true) || mutant!(ExtrasNotRestored) {
            return;
        }
        if self.fatal.is_none() {
            self.publish_tx();
            // What was queued leaves; whoever wanted to know has called `close`.
            let _ = self.kernel.tx_sync();
            if self.host.as_ref().is_some_and(|host| host.unpushed() > 0) {
                let _ = self.kernel.host_sync();
            }
        }
        let (mut slot, mut is_piece) = (self.oldest, false);
        for _ in 0..self.pending_slots() {
            let Away { token, kept } = self.away[slot as usize];
            let (token, goes_on) = (token & !MORE, token & MORE != 0);
            if is_piece {
                self.give_piece_back(slot, token as usize, kept);
            } else if token != HOST && !mutant!(SlotsForgotten) {
                // A slot with a frame of the host's has a buffer, and nobody waits for it.
                self.memory[token as usize] = kept;
            }
            (slot, is_piece) = (self.tx.next(slot), goes_on);
        }
        let mut next = 0;
        for &index in self.memory.iter().filter(|&&index| index != Index::NONE) {
            self.buffers.set_link(index, next);
            next = index.get();
        }
        self.interface.set_extra_head(next);
    }
}

/// How often `close` looks whether frames have left, and how long it waits in between: 50 ms in all,
/// many times what a ring takes at any rate that is used.
const LEAVE_ROUNDS: u32 = 50;
const LEAVE_PAUSE: Duration = Duration::from_millis(1);

impl<K: Kernel> Drop for NetmapPort<K> {
    fn drop(&mut self) {
        self.give_all_back();
    }
}

/// What lies in the memory.
pub(super) struct Bound {
    pub(super) tx: Ring,
    pub(super) rx: Ring,
    pub(super) buffers: Buffers,
    /// Where buffer 0 is, and the bytes of one.
    pub(super) place: (i64, u32),
    pub(super) interface: Interface,
    /// netmap's indexes of the extra buffers.
    pub(super) extra: Vec<Index>,
}

pub(super) fn bind(
    region: &Arc<Region>,
    at: u64,
    ring: u16,
    extra: u32,
) -> Result<Bound, Malformed> {
    let interface = Interface::new(Arc::clone(region), at)?;
    let (tx_at, rx_at) = (interface.tx_ring(ring)?, interface.rx_ring(ring)?);
    let tx = Ring::new(Arc::clone(region), tx_at)?;
    let rx = Ring::new(Arc::clone(region), rx_at)?;
    let (buffers_at, size) = tx.buffers_at(tx_at)?;
    let same = rx.buffers_at(rx_at)?;
    if same != (buffers_at, size) {
        return Err(Malformed { what: "the place of buffers", found: same.0 as u64 });
    }
    let buffers = Buffers::new(Arc::clone(region), buffers_at, size)
        .ok_or(Malformed { what: "the size of a buffer", found: size.into() })?;
    let mut list = Vec::with_capacity(extra as usize);
    let mut index = interface.extra_head();
    while index != 0 && list.len() < extra as usize {
        let known = buffers.check(index);
        let known = known.ok_or(Malformed { what: "an extra buffer", found: index.into() })?;
        list.push(known);
        index = buffers.link(known);
    }
    if index != 0 {
        return Err(Malformed { what: "an extra buffer beyond the last", found: index.into() });
    }
    // One buffer twice would be two tokens of one memory.
    let mut sorted: Vec<u32> = list.iter().map(|index| index.get()).collect();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Malformed { what: "an extra buffer", found: pair[0].into() });
    }
    Ok(Bound { tx, rx, buffers, place: (buffers_at, size), interface, extra: list })
}
