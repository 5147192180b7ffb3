//! A port over a capture: frames arrive when they were captured, what the stack submits goes to a
//! sink, time is the capture's.
//!
//! The device is the plainest that there is: it reads a frame when it is submitted and reports it
//! at once. Frames come from a [`FrameSource`], which may be a capture, frames made from one (a
//! replay translates them on the way) or a list; frames go to a [`FrameSink`]. Reads no clock, and
//! allocates nothing once a batch of the longest frames has come.
//!
//! ```
//! use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
//! use simoom_core::time::Instant;
//! use simoom_pcap::port::{CapturePort, PortConfig, Sent};
//! use std::collections::VecDeque;
//!
//! let frames = VecDeque::from([(Instant::from_nanos(5_000), vec![0xff; 60])]);
//! let mut port = CapturePort::new(PortConfig::default(), frames, Vec::<Sent>::new());
//! while let Some(now) = port.advance(None) {
//!     // A stack would take its turn here.
//!     port.receive(32, |frames| {
//!         println!("{now:?}: {} frames", frames.len());
//!         Unclaimed::NONE
//!     });
//! }
//! assert_eq!(port.stats().received, 1);
//! ```

mod flow;
#[cfg(test)]
mod tests;

pub use flow::{CaptureFrames, CaptureFramesStats, FrameSink, FrameSource, Sent, WriterSink};

use simoom_core::port::{
    Advance, BATCH_MAX, Buf, Census, ChecksumOffload, Port, PortCaps, RxFrame, TxFull, TxSync,
    Unclaimed,
};
use simoom_core::time::{Duration, Instant};
use std::collections::VecDeque;
use std::convert::Infallible;

/// What a port over a capture is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Bytes of the longest frame, either way, Ethernet header in, FCS out. Longer ones do not
    /// arrive and are counted.
    pub frame_max: u16,
    /// Buffers of the transmit side. The store of the stack keeps copies in them.
    pub buffers: u32,
    /// Frames that may be submitted in one turn.
    pub tx_slots: u32,
    /// Which checksums the stack leaves alone.
    pub checksum: ChecksumOffload,
    /// How long time goes on for the stack's deadlines once the last frame has come: the time in
    /// which a server would still retransmit to a client that the capture no longer shows.
    pub runs_on: Duration,
    /// Marks this port's tokens in debug builds.
    pub id: u32,
}

impl Default for PortConfig {
    /// Ethernet's frames, 4,096 buffers, a ring of 512, no offload, nothing runs on.
    fn default() -> Self {
        Self {
            frame_max: 1514,
            buffers: 4096,
            tx_slots: 512,
            checksum: ChecksumOffload::default(),
            runs_on: Duration::ZERO,
            id: 0x70636170,
        }
    }
}

/// What a port over a capture counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames shown to the caller.
    pub received: u64,
    /// Frames longer than `frame_max`: never shown.
    pub too_long: u64,
    /// Frames submitted, all of which went to the sink.
    pub sent: u64,
}

/// A [`Port`] over a capture.
#[derive(Clone, Debug)]
pub struct CapturePort<S, K> {
    caps: PortCaps,
    id: u32,
    runs_on: Duration,
    source: S,
    sink: K,
    /// All buffers, `stride` bytes each; grows to the highest taken.
    memory: Vec<u8>,
    stride: usize,
    free: Vec<u32>,
    /// Submitted, gone and not reclaimed, oldest first.
    done: VecDeque<u32>,
    /// One batch of received frames.
    batch: [Vec<u8>; BATCH_MAX],
    now: Instant,
    /// When the last frame came.
    last_frame_at: Instant,
    stats: PortStats,
}

impl<S: FrameSource, K: FrameSink> CapturePort<S, K> {
    /// A port to which the frames of `source` come, and that gives what is submitted to `sink`.
    pub fn new(config: PortConfig, source: S, sink: K) -> Self {
        let caps = PortCaps {
            frame_max: config.frame_max,
            buffers: config.buffers,
            tx_slots: config.tx_slots,
            tx_hold_max: 0,
            tx_hold_idle: 0,
            max_frags: 1,
            checksum: config.checksum,
        };
        Self {
            caps,
            id: config.id,
            runs_on: config.runs_on,
            source,
            sink,
            memory: Vec::new(),
            stride: usize::from(config.frame_max),
            free: (0..config.buffers).rev().collect(),
            done: VecDeque::new(),
            batch: std::array::from_fn(|_| Vec::new()),
            now: Instant::ZERO,
            last_frame_at: Instant::ZERO,
            stats: PortStats::default(),
        }
    }

    /// Says what time it is, where turns are not driven by this port's `advance`. Time does not go
    /// back: an earlier one changes nothing.
    pub fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The capture's present time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What was counted.
    pub fn stats(&self) -> PortStats {
        self.stats
    }

    /// Where frames come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Where frames come from, to change what is still to come.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Where frames go.
    pub fn sink(&self) -> &K {
        &self.sink
    }

    /// Where frames go, to take out what has come.
    pub fn sink_mut(&mut self) -> &mut K {
        &mut self.sink
    }

    /// Ends the port: where frames came from, and where they went.
    pub fn into_parts(self) -> (S, K) {
        (self.source, self.sink)
    }
}

impl<S, K> CapturePort<S, K> {
    fn range_of(&self, buf: &Buf) -> std::ops::Range<usize> {
        buf.assert_port(self.id);
        let start = buf.index() as usize * self.stride;
        start..start + self.stride
    }
}

impl<S: FrameSource, K: FrameSink> Port for CapturePort<S, K> {
    type Error = Infallible;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    #[inline]
    fn bytes(&self, buf: &Buf) -> &[u8] {
        &self.memory[self.range_of(buf)]
    }

    #[inline]
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        let range = self.range_of(buf);
        &mut self.memory[range]
    }

    #[inline]
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        assert!(len <= self.stride, "{len} bytes are more than a buffer");
        let (from, to) = (self.range_of(from).start, self.range_of(to).start);
        self.memory.copy_within(from..from + len, to);
    }

    #[inline]
    fn take_free(&mut self) -> Option<Buf> {
        let index = self.free.pop()?;
        let end = (index as usize + 1) * self.stride;
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        Some(Buf::mint(self.id, index))
    }

    #[inline]
    fn give_back(&mut self, buf: Buf) {
        buf.assert_port(self.id);
        self.free.push(buf.index());
    }

    fn free(&self) -> usize {
        self.free.len()
    }

    /// Shows the frames that are due at the port's present time.
    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let mut count = 0;
        while count < max.min(BATCH_MAX) && self.source.next_at().is_some_and(|at| at <= self.now) {
            let frame = &mut self.batch[count];
            frame.clear();
            self.source.take_next(frame);
            if frame.len() > usize::from(self.caps.frame_max) {
                self.stats.too_long += 1;
            } else {
                count += 1;
            }
        }
        if count > 0 {
            self.last_frame_at = self.now;
            self.stats.received += count as u64;
            let mut shown = [RxFrame { bytes: &[] }; BATCH_MAX];
            for (shown, frame) in shown.iter_mut().zip(&self.batch[..count]) {
                shown.bytes = frame;
            }
            on_batch(&shown[..count]);
        }
        count
    }

    #[inline]
    fn tx_free(&self) -> usize {
        self.caps.tx_slots as usize - self.done.len()
    }

    #[inline]
    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        assert!(len <= self.caps.frame_max, "a frame of {len} bytes is too long");
        if self.tx_free() == 0 {
            return Err(TxFull(buf));
        }
        let start = self.range_of(&buf).start;
        let frame = &self.memory[start..start + usize::from(len)];
        self.sink.on_frame(self.now, frame);
        self.done.push_back(buf.index());
        self.stats.sent += 1;
        Ok(())
    }

    #[inline]
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let count = self.done.len();
        for index in self.done.drain(..) {
            if let Some(buf) = on_done(Buf::mint(self.id, index)) {
                buf.assert_port(self.id);
                self.free.push(buf.index());
            }
        }
        count
    }

    fn sync_tx(&mut self, _how: TxSync) -> Result<(), Infallible> {
        Ok(())
    }

    fn census(&self) -> Census {
        let (free, device) = (self.free.len() as u32, self.done.len() as u32);
        // Wraps where somebody has two tokens of one buffer: this port is not the one to notice.
        Census { free, caller: self.caps.buffers.wrapping_sub(free + device), device }
    }
}

impl<S: FrameSource, K: FrameSink> Advance for CapturePort<S, K> {
    /// Goes to the next frame or to `wake_at`, whichever is first; at once where a frame is due.
    /// None once all frames have come and `wake_at` is none, or later than
    /// [`PortConfig::runs_on`] allows.
    fn advance(&mut self, wake_at: Option<Instant>) -> Option<Instant> {
        let next = match (self.source.next_at(), wake_at) {
            (Some(frame), Some(wake)) => frame.min(wake),
            (Some(frame), None) => frame,
            (None, Some(wake)) if wake <= self.last_frame_at + self.runs_on => wake,
            (None, _) => return None,
        };
        self.now = self.now.max(next);
        Some(self.now)
    }
}
