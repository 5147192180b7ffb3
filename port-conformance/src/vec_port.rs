//! A port in memory: the plainest device that can hold on to buffers, and the first to pass.
//!
//! It reads a frame at once, or late: when it is left to work. It reports a completion at once,
//! or after so many later frames. Plain data: a clone is a fork.

use crate::Harness;
use simoom_core::port::{
    BATCH_MAX, Buf, Census, ChecksumOffload, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame,
    TxFull, TxSync, Unclaimed, gathered_len,
};
use std::collections::VecDeque;
use std::convert::Infallible;

/// When the device reads a frame that was made visible to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAt {
    /// At the doorbell.
    Doorbell,
    /// When it is left to work ([`VecPort::work`]), or when the ring is full and half of it has to
    /// be reported.
    Work,
}

/// A frame in the ring: where its parts are, the first of them its own buffer.
#[derive(Clone, Debug)]
struct Queued {
    parts: Vec<Part>,
}

/// Bytes of a buffer.
#[derive(Clone, Copy, Debug)]
struct Part {
    buffer: u32,
    len: u16,
}

/// A device in memory, with or without gathering ([`PortCaps::max_frags`]).
#[derive(Clone, Debug)]
pub struct VecPort {
    caps: PortCaps,
    id: u32,
    read_at: ReadAt,
    memory: Vec<Box<[u8]>>,
    free: Vec<u32>,
    /// Submitted and not reclaimed, oldest first; the first `visible` were rung in, the first
    /// `read` have left, the first `done` may be reported.
    ring: VecDeque<Queued>,
    /// Slots that they take.
    slots: usize,
    /// Pieces of each buffer in the ring.
    uses: Vec<u32>,
    visible: usize,
    read: usize,
    done: usize,
    /// Completions in a row with their bytes, before one without; None: all have them.
    keeps: Option<u32>,
    /// Of these, how many came since the last one without.
    kept: u32,
    /// Frames that left.
    wire: Vec<Vec<u8>>,
    /// Frames that came, oldest first.
    inbox: VecDeque<Vec<u8>>,
    /// Frames that came and whoever received them did not claim.
    unclaimed: Vec<Vec<u8>>,
    /// Frames that came when the receive ring was full.
    overflows: u64,
}

/// What is in a buffer that came home without its bytes.
pub(crate) const FOREIGN: u8 = 0xee;

/// Frames that the receive ring holds; what comes beyond is dropped and counted.
pub const RX_SLOTS: usize = 256;

impl VecPort {
    /// A device with these capabilities. `id` marks its tokens in debug builds.
    pub fn new(caps: PortCaps, read_at: ReadAt, id: u32) -> Self {
        let buffer = vec![0; usize::from(caps.frame_max)].into_boxed_slice();
        Self {
            caps,
            id,
            read_at,
            memory: vec![buffer; caps.buffers as usize],
            free: (0..caps.buffers).rev().collect(),
            ring: VecDeque::new(),
            slots: 0,
            uses: vec![0; caps.buffers as usize],
            visible: 0,
            read: 0,
            done: 0,
            keeps: None,
            kept: 0,
            wire: Vec::new(),
            inbox: VecDeque::new(),
            unclaimed: Vec::new(),
            overflows: 0,
        }
    }

    /// A device of `buffers` buffers and half as many slots that reads at the doorbell and reports
    /// at once.
    pub fn at_once(buffers: u32) -> Self {
        Self::new(caps(buffers, 0, 0), ReadAt::Doorbell, 1)
    }

    /// A device of `buffers` buffers and half as many slots that reads late, reports a completion
    /// after a ring of later frames and keeps one buffer when idle, as netmap does.
    pub fn late(buffers: u32) -> Self {
        Self::new(caps(buffers, buffers / 2 - 1, 1), ReadAt::Work, 2)
    }

    /// The same device, one that makes a frame out of up to `max_frags` parts.
    #[must_use]
    pub fn gathering(mut self, max_frags: u8) -> Self {
        self.caps.max_frags = max_frags;
        self
    }

    /// The same device behind which somebody keeps a buffer after every `keeps` that come home with
    /// their bytes, as the peer of a netmap pipe may: the completion says so, and other bytes are in it.
    #[must_use]
    pub fn losing_bytes(mut self, keeps: u32) -> Self {
        self.keeps = Some(keeps);
        self
    }

    /// Whether the completion at hand is one without bytes.
    fn loses_bytes(&mut self) -> bool {
        match self.keeps {
            Some(keeps) if self.kept == keeps => self.kept = 0,
            _ => {
                self.kept += 1;
                return false;
            }
        }
        true
    }

    /// Puts a frame in the receive ring.
    pub fn arrive(&mut self, frame: &[u8]) {
        if self.inbox.len() < RX_SLOTS {
            self.inbox.push_back(frame.to_vec());
        } else {
            self.overflows += 1;
        }
    }

    /// Frames that found the receive ring full.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Frames that left since the last call.
    pub fn take_wire(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire)
    }

    /// Frames since the last call that came and that whoever received them left to others.
    pub fn take_unclaimed(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.unclaimed)
    }

    /// The device reads every frame made visible to it.
    pub fn work(&mut self) {
        self.read_up_to(self.visible);
    }

    /// What memory holds now is what goes on the wire.
    fn read_up_to(&mut self, end: usize) {
        for queued in self.ring.range(self.read.min(end)..end) {
            let bytes = |part: &Part| &self.memory[part.buffer as usize][..usize::from(part.len)];
            self.wire.push(queued.parts.iter().flat_map(bytes).copied().collect());
        }
        self.read = self.read.max(end);
    }

    fn enqueue(&mut self, parts: Vec<Part>) {
        self.slots += parts.len();
        self.ring.push_back(Queued { parts });
    }

    /// Whether the longest frame that there may be finds no room.
    fn is_full(&self) -> bool {
        self.tx_free() < usize::from(self.caps.max_frags)
    }

    /// Frames in front of the last `hold` that were read may be reported.
    fn report_all_but(&mut self, hold: usize) {
        self.done = self.done.max(self.read.min(self.ring.len().saturating_sub(hold)));
    }
}

/// Capabilities of a device with `buffers` buffers and half as many slots.
fn caps(buffers: u32, tx_hold_max: u32, tx_hold_idle: u32) -> PortCaps {
    PortCaps {
        frame_max: 1514,
        buffers,
        tx_slots: buffers / 2,
        tx_hold_max,
        tx_hold_idle,
        max_frags: 1,
        checksum: ChecksumOffload { tx: false, rx: false },
    }
}

impl Port for VecPort {
    type Error = Infallible;

    const GATHERS: bool = true;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        buf.assert_port(self.id);
        &self.memory[buf.index() as usize]
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        buf.assert_port(self.id);
        &mut self.memory[buf.index() as usize]
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        from.assert_port(self.id);
        to.assert_port(self.id);
        let [from, to] = [from.index() as usize, to.index() as usize];
        if let Ok([from, to]) = self.memory.get_disjoint_mut([from, to]) {
            to[..len].copy_from_slice(&from[..len]);
        }
    }

    fn take_free(&mut self) -> Option<Buf> {
        self.free.pop().map(|index| Buf::mint(self.id, index))
    }

    fn give_back(&mut self, buf: Buf) {
        buf.assert_port(self.id);
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
        let count = self.inbox.len().min(max).min(BATCH_MAX);
        if count > 0 {
            let came: Vec<_> = self.inbox.drain(..count).collect();
            let frames: Vec<_> = came.iter().map(|bytes| RxFrame { bytes }).collect();
            let unclaimed = on_batch(&frames);
            let left = came.iter().enumerate().filter(|(at, _)| unclaimed.contains(*at));
            self.unclaimed.extend(left.map(|(_, frame)| frame.clone()));
        }
        count
    }

    fn tx_free(&self) -> usize {
        self.caps.tx_slots as usize - self.slots
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        buf.assert_port(self.id);
        if self.tx_free() == 0 {
            return Err(TxFull(buf));
        }
        self.enqueue(vec![Part { buffer: buf.index(), len }]);
        Ok(())
    }

    fn pin(&mut self, buf: Buf) -> Pinned {
        buf.assert_port(self.id);
        Pinned::mint(buf)
    }

    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        pinned.buf().assert_port(self.id);
        if self.uses[pinned.buf().index() as usize] > 0 {
            Err(pinned)
        } else {
            Ok(pinned.into_buf())
        }
    }

    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        header.assert_port(self.id);
        let most = usize::from(self.caps.max_frags);
        assert!((1..most).contains(&pieces.len()), "{} pieces of {most} parts", pieces.len());
        let len = gathered_len(header_len, pieces);
        assert!(len <= usize::from(self.caps.frame_max), "a frame of {len} bytes is too long");
        if self.tx_free() < 1 + pieces.len() {
            return Err(GatherFull(header));
        }
        let mut parts = vec![Part { buffer: header.index(), len: header_len }];
        for Piece { of, len } in pieces {
            of.buf().assert_port(self.id);
            self.uses[of.buf().index() as usize] += 1;
            parts.push(Part { buffer: of.buf().index(), len: *len });
        }
        self.enqueue(parts);
        Ok(())
    }

    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let count = std::mem::take(&mut self.done);
        for _ in 0..count {
            let Some(Queued { parts }) = self.ring.pop_front() else { break };
            self.slots -= parts.len();
            let [header, pieces @ ..] = &parts[..] else { unreachable!("a frame has a buffer") };
            for piece in pieces {
                self.uses[piece.buffer as usize] -= 1;
            }
            let mut buf = Buf::mint(self.id, header.buffer);
            if self.loses_bytes() {
                self.memory[header.buffer as usize].fill(FOREIGN);
                buf = buf.without_bytes();
            }
            if let Some(buf) = on_done(buf) {
                self.free.push(buf.index());
            }
        }
        self.visible -= count;
        self.read -= count;
        count
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), Infallible> {
        self.visible = self.ring.len();
        if self.read_at == ReadAt::Doorbell {
            self.work();
        } else if self.is_full() {
            self.read_up_to(self.ring.len() / 2);
        }
        self.report_all_but(self.caps.tx_hold_max as usize);
        if how == TxSync::PushAndReclaim {
            self.report_all_but(self.caps.tx_hold_idle as usize);
        }
        Ok(())
    }

    fn census(&self) -> Census {
        let (free, device) = (self.free.len() as u32, self.ring.len() as u32);
        // Wraps where somebody has two tokens of one buffer: this device is not the one to notice.
        Census { free, caller: self.caps.buffers.wrapping_sub(free + device), device }
    }
}

/// A [`VecPort`] and the far end of its wire.
#[derive(Clone, Debug)]
pub struct VecHarness {
    port: VecPort,
}

impl VecHarness {
    /// Puts this port under test.
    pub fn new(port: VecPort) -> Self {
        Self { port }
    }
}

impl Harness for VecHarness {
    type Port = VecPort;

    fn port(&self) -> &VecPort {
        &self.port
    }

    fn port_mut(&mut self) -> &mut VecPort {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        frames.iter().for_each(|frame| self.port.arrive(frame));
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        self.port.take_wire()
    }

    fn let_device_work(&mut self) {
        self.port.work();
    }

    fn rx_room(&self) -> usize {
        RX_SLOTS
    }
}
