//! A turn log: everything that a port told a stack, turn by turn, and a digest of what came out.
//!
//! A port can surprise a stack in four ways: the time at which it is asked, the frames it shows,
//! the slots it has free and the completions it reports. A log holds exactly these. The same log,
//! capabilities, configuration and secrets give the same frames, byte for byte, over any port.
//!
//! [`Recorder`] makes a log of any live port; [`TurnLog::encode`] and [`TurnLog::decode`] turn it
//! into a file and back (the format is described in [`codec`]). Must not know the stack.

pub mod codec;

#[cfg(test)]
mod tests;

use super::{
    Advance, Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull, TxSync,
    Unclaimed, for_each_part, gathered_len,
};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher;
use siphasher::sip128::{Hasher128, SipHasher24};

/// What a port told a stack, and what the stack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnLog {
    /// What the stack was built from.
    pub header: Header,
    /// The turns, oldest first.
    pub turns: Vec<Turn>,
    /// What the stack sent in these turns.
    pub output: Output,
}

/// What has to be known to build the stack again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The port's capabilities.
    pub caps: PortCaps,
    /// The four words of [`crate::secrets::Secrets::new`]; None where the recording withholds them
    /// (a log with the secrets of a live server lets its reader guess sequence numbers).
    pub secrets: Option<[u64; 4]>,
    /// The configuration, application and content, as text for whoever builds the stack again.
    /// This module does not interpret it. At most [`codec::CONFIG_BYTES_MAX`] bytes.
    pub config: String,
    /// Bodies that the text names, in its order, where they are in the log: then it needs nothing
    /// else. At most [`codec::CONTENT_FILES_MAX`], each of at most [`codec::CONTENT_BYTES_MAX`] bytes.
    pub content: Vec<Vec<u8>>,
}

/// What a port told a stack in one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The time handed to the turn.
    pub now: Instant,
    /// Slots free when the turn began. Later in the turn it is what the last [`Reclaim`] left,
    /// less the frames submitted since.
    pub tx_free: u32,
    /// Buffers in the free pool when the turn began. Follows from everything before: kept so that
    /// a port with a pool of another size is found at once.
    pub buffers_free: u32,
    /// One entry for each call of [`Port::reclaim`].
    pub reclaims: Vec<Reclaim>,
    /// One batch for each call of [`Port::receive`], empty where nothing came.
    pub received: Vec<Vec<Vec<u8>>>,
}

/// The answer to one call of [`Port::reclaim`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reclaim {
    /// Buffers handed back.
    pub completed: u32,
    /// Slots free afterwards.
    pub tx_free: u32,
    /// Which of the buffers handed back came without their bytes ([`Buf::has_lost_bytes`]): their
    /// places among `completed`, from 0 on, in ascending order.
    pub lost: Vec<u32>,
}

/// What a stack sent: a count for people, a digest for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Frames submitted.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SipHash-2-4 with 128 bits of output and a key of zero, over each frame's length (`u32`,
    /// little-endian) and bytes; itself little-endian.
    pub digest: [u8; 16],
}

/// Sums up frames to an [`Output`].
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputSum {
    frames: u64,
    bytes: u64,
    hasher: SipHasher24,
}

impl OutputSum {
    /// Adds the next frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.begin(frame.len());
        self.push_part(frame);
    }

    /// Begins the next frame, of `len` bytes in one part or several.
    pub fn begin(&mut self, len: usize) {
        self.frames += 1;
        self.bytes += len as u64;
        self.hasher.write(&(len as u32).to_le_bytes());
    }

    /// Adds the next part of the frame that was begun.
    pub fn push_part(&mut self, part: &[u8]) {
        self.hasher.write(part);
    }

    /// The sum of the frames so far.
    pub fn output(&self) -> Output {
        let digest = u128::from(self.hasher.finish128()).to_le_bytes();
        Output { frames: self.frames, bytes: self.bytes, digest }
    }
}

/// A port that writes down what the port below it tells.
///
/// Whoever drives the stack says [`Recorder::begin`] before each turn; [`Recorder::advance`] says it for
/// a caller that turns the stack each time that the port's time has advanced. A live port may free a slot
/// between any two questions; the recorder asks when a turn begins and after each `reclaim`, and
/// counts down from there, so that what the stack saw is what the log says. A completion without its
/// bytes is written down as such.
///
/// The log is bounded: at its limit it ends with the last whole turn that fits, and the port goes
/// on as before.
#[derive(Clone, Debug)]
pub struct Recorder<P> {
    port: P,
    log: TurnLog,
    /// The turn that is going on.
    turn: Option<Turn>,
    sum: OutputSum,
    tx_free: u32,
    bytes_max: usize,
    /// What the log takes in memory, roughly.
    bytes: usize,
    turns_lost: u64,
    ended: bool,
}

impl<P: Port> Recorder<P> {
    /// Records `port`, until the log takes about `bytes_max` bytes of memory. `config` and
    /// `secrets` go to the [`Header`] as they are.
    pub fn new(port: P, config: String, secrets: Option<[u64; 4]>, bytes_max: usize) -> Self {
        Self::with_content(port, config, Vec::new(), secrets, bytes_max)
    }

    /// The same with bodies that the configuration names, which do not count against `bytes_max`.
    pub fn with_content(
        port: P,
        config: String,
        content: Vec<Vec<u8>>,
        secrets: Option<[u64; 4]>,
        bytes_max: usize,
    ) -> Self {
        let header = Header { caps: *port.caps(), secrets, config, content };
        let tx_free = slots(&port);
        let output = OutputSum::default().output();
        Self {
            port,
            log: TurnLog { header, turns: Vec::new(), output },
            turn: None,
            sum: OutputSum::default(),
            tx_free,
            bytes_max,
            bytes: 0,
            turns_lost: 0,
            ended: false,
        }
    }

    /// A turn begins at `now`.
    pub fn begin(&mut self, now: Instant) {
        self.commit();
        self.tx_free = slots(&self.port);
        if self.ended {
            return;
        }
        self.turn = Some(Turn {
            now,
            tx_free: self.tx_free,
            buffers_free: self.port.free() as u32,
            reclaims: Vec::new(),
            received: Vec::new(),
        });
    }

    /// The log ends here: what follows is not written down, and the port goes on as before.
    pub fn end(&mut self) {
        self.commit();
        self.ended = true;
    }

    /// The recorded port.
    pub fn port(&self) -> &P {
        &self.port
    }

    /// The recorded port. Receiving, submitting or reclaiming through it makes the log wrong.
    pub fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// The turns that are over. The one going on is added by the next [`Recorder::begin`].
    pub fn log(&self) -> &TurnLog {
        &self.log
    }

    /// Turns that found the log full.
    pub fn turns_lost(&self) -> u64 {
        self.turns_lost
    }

    /// Ends the recording: the port, and the log with the last turn in it.
    pub fn finish(mut self) -> (P, TurnLog) {
        self.commit();
        (self.port, self.log)
    }

    /// Adds the turn that was going on, and what was sent in it, to the log.
    fn commit(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let bytes = self.bytes + turn.memory();
        if self.turns_lost > 0 || bytes > self.bytes_max {
            self.turns_lost += 1;
            return;
        }
        self.bytes = bytes;
        self.log.turns.push(turn);
        self.log.output = self.sum.output();
    }
}

impl Turn {
    /// Bytes that this turn takes in memory, roughly.
    fn memory(&self) -> usize {
        let frames = self.received.iter().flatten();
        size_of::<Self>()
            + self.reclaims.len() * size_of::<Reclaim>()
            + self.reclaims.iter().map(|r| size_of_val(&r.lost[..])).sum::<usize>()
            + self.received.len() * size_of::<Vec<Vec<u8>>>()
            + frames.map(|f| size_of::<Vec<u8>>() + f.len()).sum::<usize>()
    }
}

/// Slots free, as the log writes them. A ring has fewer than 2³² of them.
fn slots<P: Port>(port: &P) -> u32 {
    u32::try_from(port.tx_free()).unwrap_or(u32::MAX)
}

impl<P: Port> Port for Recorder<P> {
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
        let mut batch = Vec::new();
        let count = self.port.receive(max, |frames| {
            batch.extend(frames.iter().map(|f| f.bytes.to_vec()));
            on_batch(frames)
        });
        if let Some(turn) = &mut self.turn {
            turn.received.push(batch);
        }
        count
    }

    fn tx_free(&self) -> usize {
        self.tx_free as usize
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        if self.tx_free == 0 {
            return Err(TxFull(buf));
        }
        // The sum is taken before the device has the frame, and kept only if it takes it.
        let mut sum = self.sum;
        sum.push(self.port.bytes(&buf).get(..usize::from(len)).unwrap_or(&[]));
        self.port.submit(buf, len)?;
        self.sum = sum;
        self.tx_free -= 1;
        Ok(())
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
        let slots = 1 + pieces.len() as u32;
        if self.tx_free < slots {
            return Err(GatherFull(header));
        }
        let mut sum = self.sum;
        sum.begin(gathered_len(header_len, pieces));
        for_each_part(&self.port, &header, header_len, pieces, |part| sum.push_part(part));
        self.port.submit_gather(header, header_len, pieces)?;
        self.sum = sum;
        self.tx_free -= slots;
        Ok(())
    }

    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let (mut place, mut lost) = (0, Vec::new());
        let completed = self.port.reclaim(|buf| {
            if buf.has_lost_bytes() {
                lost.push(place);
            }
            place += 1;
            on_done(buf)
        });
        self.tx_free = slots(&self.port);
        if let Some(turn) = &mut self.turn {
            let (completed, tx_free) = (completed as u32, self.tx_free);
            turn.reclaims.push(Reclaim { completed, tx_free, lost });
        }
        completed
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), Self::Error> {
        self.port.sync_tx(how)
    }

    fn census(&self) -> Census {
        self.port.census()
    }
}

impl<P: Port + Advance> Advance for Recorder<P> {
    fn advance(&mut self, wake_at: Option<Instant>) -> Option<Instant> {
        let now = self.port.advance(wake_at)?;
        self.begin(now);
        Some(now)
    }
}
