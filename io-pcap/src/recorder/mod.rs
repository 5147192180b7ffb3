//! A port around a port that records every frame received and every frame submitted.
//!
//! Changes nothing that passes and nothing about when it passes: a turn over a recorded port gives
//! the same frames. Writing to the sink happens in the caller's thread, a few hundred frames at a
//! time; a sink that blocks delays the turn.
//!
//! ```no_run
//! use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
//! use simoom_pcap::recorder::Recorder;
//! use simoom_pcap::writer::{Interface, Writer};
//! use std::fs::File;
//!
//! /// Runs `port` to its end. Its clock started at `start_unix_nanos`.
//! fn record<P: Port + Advance>(port: P, start_unix_nanos: u64) -> std::io::Result<P> {
//!     let writer = Writer::new(File::create("run.pcapng")?, &[Interface::new("tap0")])?;
//!     let mut port = Recorder::new(port, writer, start_unix_nanos);
//!     while let Some(_now) = port.advance(None) {
//!         // A stack would take its turn here, over the recorder.
//!         port.receive(32, |_| Unclaimed::NONE);
//!         port.sync_tx(TxSync::Push).expect("the device works");
//!     }
//!     let (port, writer) = port.into_inner();
//!     writer.finish()?; // or dropped, where nobody asks for its errors
//!     Ok(port)
//! }
//! ```

#[cfg(test)]
mod tests;

use crate::writer::{Direction, Packet, Writer};
use simoom_core::port::{
    Advance, Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull, TxSync,
    Unclaimed, assembled,
};
use simoom_core::time::{Duration, Instant};
use std::io::Write;

/// How much of the port's time may pass with records held back from the sink while turns go on:
/// a capture that is being watched stays fresh, and the sink is not flushed more often.
pub const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The capture's only interface.
const INTERFACE: u32 = 0;

/// A [`Port`] that records what passes through another.
///
/// A received frame is recorded when it is shown, a sent frame when it is submitted, with the bytes
/// it has then: where the device fills checksums ([`simoom_core::port::ChecksumOffload::tx`]), they
/// are not in it yet. A frame that the port refuses ([`TxFull`]) is not recorded.
///
/// The time of a record is what the port's last `advance` (or [`Recorder::set_now`]) said, so all
/// frames of one turn have the same.
#[derive(Debug)]
pub struct Recorder<P, W: Write> {
    port: P,
    writer: Writer<W>,
    unix_nanos_at_start: u64,
    now: Instant,
    flushed_at: Instant,
}

impl<P, W: Write> Recorder<P, W> {
    /// Records `port` as interface 0 of `writer`'s capture. `unix_nanos_at_start` is the UTC time
    /// of the port's [`Instant::ZERO`], in nanoseconds since 1970.
    pub fn new(port: P, writer: Writer<W>, unix_nanos_at_start: u64) -> Self {
        Self { port, writer, unix_nanos_at_start, now: Instant::ZERO, flushed_at: Instant::ZERO }
    }

    /// Says what time it is, where turns are not driven by this port's `advance`.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The port.
    pub fn inner(&self) -> &P {
        &self.port
    }

    /// The port. Frames received or submitted through it directly are not recorded.
    pub fn inner_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// The capture: how much is in it, and whether it still grows.
    pub fn writer(&self) -> &Writer<W> {
        &self.writer
    }

    /// Ends the recording: the port, and the capture to [`Writer::finish`].
    pub fn into_inner(self) -> (P, Writer<W>) {
        (self.port, self.writer)
    }
}

fn packet(start: u64, now: Instant, direction: Direction, bytes: &[u8]) -> Packet<'_> {
    Packet {
        interface: INTERFACE,
        at_unix_nanos: start.saturating_add(now.as_nanos()),
        direction,
        bytes,
        comment: None,
    }
}

impl<P: Port, W: Write> Port for Recorder<P, W> {
    type Error = P::Error;

    const GATHERS: bool = P::GATHERS;

    fn caps(&self) -> &PortCaps {
        self.port.caps()
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        self.port.bytes(buf)
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        self.port.bytes_mut(buf)
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        self.port.copy(from, to, len);
    }

    fn prefetch(&self, buf: &Buf) {
        self.port.prefetch(buf);
    }

    fn take_free(&mut self) -> Option<Buf> {
        self.port.take_free()
    }

    fn give_back(&mut self, buf: Buf) {
        self.port.give_back(buf);
    }

    fn free(&self) -> usize {
        self.port.free()
    }

    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let (start, now, writer) = (self.unix_nanos_at_start, self.now, &mut self.writer);
        self.port.receive(max, |batch| {
            for frame in batch {
                writer.write(&packet(start, now, Direction::Inbound, frame.bytes));
            }
            on_batch(batch)
        })
    }

    fn tx_free(&self) -> usize {
        self.port.tx_free()
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        // Once submitted, the bytes are the device's: note them before, take the note back if not.
        let bytes = &self.port.bytes(&buf)[..usize::from(len)];
        let (start, now) = (self.unix_nanos_at_start, self.now);
        let mark = self.writer.append(&packet(start, now, Direction::Outbound, bytes));
        let answer = self.port.submit(buf, len);
        if answer.is_err() {
            self.writer.retract(mark);
        }
        answer
    }

    fn pin(&mut self, buf: Buf) -> Pinned {
        self.port.pin(buf)
    }

    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        self.port.unpin(pinned)
    }

    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        let frame = assembled(&self.port, &header, header_len, pieces);
        let (start, now) = (self.unix_nanos_at_start, self.now);
        let mark = self.writer.append(&packet(start, now, Direction::Outbound, &frame));
        let answer = self.port.submit_gather(header, header_len, pieces);
        if answer.is_err() {
            self.writer.retract(mark);
        }
        answer
    }

    fn reclaim(&mut self, on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        self.port.reclaim(on_done)
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), P::Error> {
        self.port.sync_tx(how)
    }

    fn census(&self) -> Census {
        self.port.census()
    }
}

impl<P: Advance, W: Write> Advance for Recorder<P, W> {
    /// The port's own answer. Before waiting, records go to the sink if [`FLUSH_EVERY`] has passed
    /// since they last did; at the end, all of them.
    fn advance(&mut self, wake_at: Option<Instant>) -> Option<Instant> {
        if self.now - self.flushed_at >= FLUSH_EVERY {
            self.flushed_at = self.now;
            self.writer.flush();
        }
        let answer = self.port.advance(wake_at);
        match answer {
            Some(now) => self.now = now,
            None => self.writer.flush(),
        }
        answer
    }
}
