//! The port: buffers, the receive arena, the doorbell and the wait.
//!
//! Never blocks but in `advance`. Does not know how the descriptor came to be.

use super::device::TapDevice;
use super::error::TapError;
use super::queue::TxQueue;
use super::{ETHERNET_LEN, STRIDE, TapConfig, VLAN_TAG_LEN};
use crate::clock::Clock;
use crate::stop::StopFlag;
use crate::sys;
use simoom_core::port::{
    Advance, BATCH_MAX, Buf, Census, ChecksumOffload, Port, PortCaps, RxFrame, TxFull, TxSync,
    Unclaimed,
};
use simoom_core::time::{Duration, Instant};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// How long the port waits before it offers frames again that the kernel had no memory for. There
/// is nothing to poll for; a millisecond is short against any retransmission timer.
const MEMORY_RETRY: Duration = Duration::from_millis(1);

/// Ports made in this process so far: what tells their tokens apart in debug builds.
static PORTS: AtomicU32 = AtomicU32::new(1);

/// A [`Port`] over a TAP device, or over any descriptor that carries one frame a read or write.
#[derive(Debug)]
pub struct TapPort {
    id: u32,
    caps: PortCaps,
    /// Puts the interface back when dropped, which is before `frames` is closed.
    device: Option<TapDevice>,
    frames: File,
    /// All transmit buffers, `STRIDE` bytes each.
    buffers: Box<[u8]>,
    free: Vec<u32>,
    queue: TxQueue,
    /// One batch of received frames, `STRIDE` bytes each.
    arena: Box<[u8]>,
    /// The last `receive` ended because the batch was full: more input is likely.
    more_input: bool,
    held_up: HeldUp,
    fatal: Option<TapError>,
    clock: Clock,
    stop: Option<StopFlag>,
    stats: TapStats,
}

/// Why frames wait although the doorbell was rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldUp {
    No,
    /// The descriptor takes no more for now (EAGAIN): poll says when.
    Full,
    /// The kernel had no memory (ENOBUFS, ENOMEM): nothing says when.
    NoMemory,
}

/// What a TAP port counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapStats {
    /// Frames shown to the caller.
    pub rx_frames: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Frames longer than the MTU and a tag allow, dropped.
    pub rx_oversize: u64,
    /// Frames shorter than an Ethernet header, dropped.
    pub rx_runt: u64,
    /// Reads that found nothing (EAGAIN): one for each batch that was not full.
    pub rx_would_block: u64,
    /// Reads that failed for good.
    pub rx_errors: u64,
    /// Frames written.
    pub tx_frames: u64,
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Writes that took less than the frame; what was cut is lost.
    pub tx_short: u64,
    /// Writes that had to wait (EAGAIN); the frame stayed queued.
    pub tx_would_block: u64,
    /// Writes for which the kernel had no memory (ENOBUFS, ENOMEM); the frame stayed queued.
    pub tx_no_memory: u64,
    /// Frames lost because the interface was administratively down (EIO), as on a cut cable.
    pub tx_link_down: u64,
    /// Frames that the kernel refused for another reason; they are lost.
    pub tx_errors: u64,
    /// Frames refused to the caller because all slots were taken.
    pub tx_ring_full: u64,
    /// Times that `advance` went to sleep.
    pub waits: u64,
}

impl TapPort {
    /// Opens the interface that `config` names: makes or joins it, sets MTU and address, brings it
    /// up. What was changed is undone when the port is dropped.
    pub fn open(config: &TapConfig) -> Result<Self, TapError> {
        config.check()?;
        let (device, frames) = TapDevice::open(config)?;
        Ok(Self::new(config, Some(device), frames))
    }

    /// A port over a descriptor that is open already, on which one read or write is one frame: a
    /// TAP descriptor handed over by a more privileged process, or one end of a datagram socket
    /// pair. It must be non-blocking. `config.host_addr` is ignored, `config.name` names it in
    /// errors.
    pub fn over(frames: OwnedFd, config: &TapConfig) -> Result<Self, TapError> {
        config.check()?;
        Ok(Self::new(config, None, File::from(frames)))
    }

    fn new(config: &TapConfig, device: Option<TapDevice>, frames: File) -> Self {
        let buffers = config.buffers;
        Self {
            id: PORTS.fetch_add(1, Ordering::Relaxed),
            caps: PortCaps {
                frame_max: config.mtu + ETHERNET_LEN,
                buffers,
                tx_slots: config.tx_slots,
                // A frame completes at the doorbell: those submitted before it come in between.
                tx_hold_max: config.tx_slots,
                tx_hold_idle: 0,
                max_frags: 1,
                checksum: ChecksumOffload { tx: false, rx: false },
            },
            device,
            frames,
            buffers: vec![0; buffers as usize * STRIDE].into_boxed_slice(),
            free: (0..buffers).rev().collect(),
            queue: TxQueue::new(config.tx_slots, buffers),
            arena: vec![0; BATCH_MAX * STRIDE].into_boxed_slice(),
            more_input: false,
            held_up: HeldUp::No,
            fatal: None,
            clock: Clock::start(),
            stop: None,
            stats: TapStats::default(),
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> &TapStats {
        &self.stats
    }

    /// The port's clock: its start is the zero of every `Instant` that `advance` answers.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The Ethernet address of the host's end; None for a port made by [`TapPort::over`]. The stack
    /// needs another one.
    pub fn host_mac(&self) -> Option<[u8; 6]> {
        self.device.as_ref().map(|device| device.host_mac)
    }

    /// The interface's number; None for a port made by [`TapPort::over`].
    pub fn interface_index(&self) -> Option<u32> {
        self.device.as_ref().map(|device| device.index)
    }

    /// The flag that makes `advance` answer None; None takes it away, to drain.
    pub fn set_stop(&mut self, stop: Option<StopFlag>) {
        self.stop = stop;
    }

    /// Why the port is dead, if it is. `sync_tx` answers the same, and `advance` None.
    pub fn fatal(&self) -> Option<&TapError> {
        self.fatal.as_ref()
    }

    /// Puts the interface back as it was and closes it: what dropping does, with an answer.
    pub fn close(mut self) -> Result<(), TapError> {
        self.device.as_mut().map_or(Ok(()), TapDevice::restore)
    }

    /// Waits for two ports at once, as `advance` does for one: until there is input at either, until
    /// one that was full has taken frames again, so that there is room for others, or until `wake_at`
    /// by `clock`. The first port's stop flag ends the wait. Answers the time; None once that flag is
    /// up or a port is dead ([`TapPort::fatal`]).
    pub fn advance_two(
        ports: &mut [Self; 2],
        clock: Clock,
        wake_at: Option<Instant>,
    ) -> Option<Instant> {
        let taken = |ports: &[Self; 2]| ports.each_ref().map(|port| port.stats.tx_frames);
        let before = taken(ports);
        for port in &mut *ports {
            if port.held_up != HeldUp::No && port.fatal.is_none() {
                port.push();
            }
        }
        loop {
            let stop = ports[0].stop.as_ref();
            if stop.is_some_and(StopFlag::is_raised) || ports.iter().any(|p| p.fatal.is_some()) {
                return None;
            }
            let now = clock.now();
            let ends = ports.iter().any(|port| port.more_input) || taken(ports) != before;
            if ends || wake_at.is_some_and(|at| at <= now) {
                return Some(now);
            }
            let no_memory = ports.iter().any(|port| port.held_up == HeldUp::NoMemory);
            let retry_at = no_memory.then(|| now + MEMORY_RETRY);
            let until = retry_at.into_iter().chain(wake_at).min();
            let fds = ports.each_ref().map(|p| (p.frames.as_raw_fd(), p.held_up == HeldUp::Full));
            ports[0].stats.waits += 1;
            match sys::wait_two(fds, stop_fd(&ports[0].stop), until.map(|at| at - now)) {
                Ok(ready) => {
                    for (port, ready) in ports.iter_mut().zip(ready) {
                        port.more_input |= ready.input;
                        if ready.output || port.held_up == HeldUp::NoMemory {
                            port.push();
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                Err(e) => {
                    let name = ports[0].name();
                    ports[0].fatal = Some(TapError::system("wait for", &name, &e));
                }
            }
        }
    }

    /// Writes queued frames, oldest first, until all are written or the kernel takes no more.
    fn push(&mut self) {
        self.held_up = HeldUp::No;
        while let Some((index, len)) = self.queue.next() {
            let at = index as usize * STRIDE;
            let frame = &self.buffers[at..at + usize::from(len)];
            match (&self.frames).write(frame) {
                Ok(written) => {
                    self.stats.tx_frames += 1;
                    self.stats.tx_bytes += written as u64;
                    self.stats.tx_short += u64::from(written < frame.len());
                }
                Err(e) => match e.raw_os_error().unwrap_or_default() {
                    libc::EINTR => continue,
                    libc::EAGAIN => {
                        self.stats.tx_would_block += 1;
                        self.held_up = HeldUp::Full;
                        return;
                    }
                    libc::ENOBUFS | libc::ENOMEM => {
                        self.stats.tx_no_memory += 1;
                        self.held_up = HeldUp::NoMemory;
                        return;
                    }
                    libc::EIO => self.stats.tx_link_down += 1,
                    libc::EBADFD
                    | libc::ENODEV
                    | libc::ENXIO
                    | libc::EPIPE
                    | libc::ECONNRESET
                    | libc::ECONNREFUSED
                    | libc::ENOTCONN => {
                        self.fatal = Some(TapError::Gone { name: self.name() });
                        return;
                    }
                    _ => self.stats.tx_errors += 1,
                },
            }
            self.queue.mark_written();
        }
    }

    /// Reads one frame to `arena[at..]`. Answers its length; None where nothing more came.
    fn read_frame(&mut self, at: usize) -> Option<usize> {
        let longest = usize::from(self.caps.frame_max + VLAN_TAG_LEN);
        loop {
            match (&self.frames).read(&mut self.arena[at..at + STRIDE]) {
                Ok(0) => {
                    // A TAP device never ends; the other end of a socket pair does.
                    self.fatal = Some(TapError::Gone { name: self.name() });
                    return None;
                }
                Ok(len) if len > longest => self.stats.rx_oversize += 1,
                Ok(len) if len < usize::from(ETHERNET_LEN) => self.stats.rx_runt += 1,
                Ok(len) => return Some(len),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stats.rx_would_block += 1;
                    return None;
                }
                Err(e) => {
                    self.stats.rx_errors += 1;
                    self.fatal = Some(match e.raw_os_error().unwrap_or_default() {
                        libc::EBADFD
                        | libc::EIO
                        | libc::ENODEV
                        | libc::ENXIO
                        | libc::ECONNRESET => TapError::Gone { name: self.name() },
                        errno => TapError::System { step: "read from", name: self.name(), errno },
                    });
                    return None;
                }
            }
        }
    }

    fn name(&self) -> String {
        self.device.as_ref().map_or_else(|| "(handed over)".into(), |device| device.name.clone())
    }

    /// Sleeps until there is input, until `until`, or until the flag is raised; a signal ends the
    /// sleep early.
    fn sleep(&mut self, now: Instant, until: Option<Instant>) {
        self.stats.waits += 1;
        let ready = sys::wait(
            self.frames.as_raw_fd(),
            self.held_up == HeldUp::Full,
            stop_fd(&self.stop),
            until.map(|at| at - now),
        );
        match ready {
            Ok(ready) => {
                self.more_input |= ready.input;
                if ready.output {
                    self.push();
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => self.fatal = Some(TapError::system("wait for", &self.name(), &e)),
        }
    }
}

fn stop_fd(stop: &Option<StopFlag>) -> Option<RawFd> {
    stop.as_ref().map(StopFlag::raw_fd)
}

impl Port for TapPort {
    type Error = TapError;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        buf.assert_port(self.id);
        let at = buf.index() as usize * STRIDE;
        &self.buffers[at..at + STRIDE]
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        buf.assert_port(self.id);
        let at = buf.index() as usize * STRIDE;
        &mut self.buffers[at..at + STRIDE]
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        from.assert_port(self.id);
        to.assert_port(self.id);
        assert!(len <= STRIDE, "{len} bytes are more than a buffer");
        let (from, to) = (from.index() as usize * STRIDE, to.index() as usize * STRIDE);
        self.buffers.copy_within(from..from + len, to);
    }

    fn take_free(&mut self) -> Option<Buf> {
        self.free.pop().map(|index| Buf::mint(self.id, index))
    }

    fn give_back(&mut self, buf: Buf) {
        buf.assert_port(self.id);
        debug_assert!(self.free.len() + self.queue.len() < self.caps.buffers as usize);
        self.free.push(buf.index());
    }

    fn free(&self) -> usize {
        self.free.len()
    }

    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let max = max.min(BATCH_MAX);
        let mut lens = [0; BATCH_MAX];
        let mut count = 0;
        while count < max && self.fatal.is_none() {
            let Some(len) = self.read_frame(count * STRIDE) else {
                break;
            };
            lens[count] = len;
            count += 1;
        }
        self.more_input = count == max && max > 0;
        if count == 0 {
            return 0;
        }
        let mut frames = [RxFrame { bytes: &[] }; BATCH_MAX];
        for ((frame, bytes), len) in
            frames.iter_mut().zip(self.arena.chunks_exact(STRIDE)).zip(&lens[..count])
        {
            frame.bytes = &bytes[..*len];
        }
        self.stats.rx_frames += count as u64;
        self.stats.rx_bytes += lens[..count].iter().sum::<usize>() as u64;
        on_batch(&frames[..count]);
        count
    }

    fn tx_free(&self) -> usize {
        self.queue.free()
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        buf.assert_port(self.id);
        let longest = self.caps.frame_max;
        assert!(
            (ETHERNET_LEN..=longest).contains(&len),
            "a frame of {len} bytes: {ETHERNET_LEN} to {longest} can be sent"
        );
        let answer = self.queue.push(buf, len);
        self.stats.tx_ring_full += u64::from(answer.is_err());
        answer
    }

    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let mut count = 0;
        while let Some(buf) = self.queue.take_written() {
            count += 1;
            if let Some(buf) = on_done(buf) {
                self.give_back(buf);
            }
        }
        count
    }

    /// Writes what is queued. Both kinds are the same here: a frame is done once written.
    fn sync_tx(&mut self, _how: TxSync) -> Result<(), TapError> {
        if self.fatal.is_none() {
            self.push();
        }
        self.fatal.clone().map_or(Ok(()), Err)
    }

    fn census(&self) -> Census {
        let (free, device) = (self.free.len() as u32, self.queue.len() as u32);
        Census { free, caller: self.caps.buffers - free - device, device }
    }
}

impl Advance for TapPort {
    /// Waits in ppoll(2), with nanoseconds; does not wait at all where input is pending or the time
    /// has come. Offers frames again that the kernel held up. None once the stop flag is up or the
    /// port is dead ([`TapPort::fatal`]).
    fn advance(&mut self, wake_at: Option<Instant>) -> Option<Instant> {
        if self.held_up != HeldUp::No && self.fatal.is_none() {
            self.push();
        }
        loop {
            if self.fatal.is_some() || self.stop.as_ref().is_some_and(StopFlag::is_raised) {
                return None;
            }
            let now = self.clock.now();
            if self.more_input || wake_at.is_some_and(|at| at <= now) {
                return Some(now);
            }
            match self.held_up {
                HeldUp::NoMemory => {
                    let retry_at = now + MEMORY_RETRY;
                    self.sleep(now, Some(wake_at.map_or(retry_at, |at| at.min(retry_at))));
                    self.push();
                }
                HeldUp::No | HeldUp::Full => self.sleep(now, wake_at),
            }
        }
    }
}
