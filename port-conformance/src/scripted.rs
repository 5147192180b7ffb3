//! A port that tells a stack what a turn log says, while every frame takes the way of the real port
//! below: received frames are injected on its wire, sent ones leave on it.
//!
//! A real port has its own idea of when completions show. The log's idea is what the caller sees:
//! completions that show early wait here, and for one that is late the device is driven: doorbell,
//! time to work, and at last frames of our own (*fillers*, taken off the wire again) that push out
//! what an idle device would keep.
//!
//! A frame of several parts takes the way of the real port in parts where that port gathers, else as a
//! whole. Uses of payload are counted here, by the completions that the caller was told of.

use crate::Harness;
use crate::frames::{FRAME_MIN, is_ours, numbered};
use crate::vec_port::FOREIGN;
use crate::watch::ROUNDS_MAX;
use simoom_core::port::turn_log::{Output, OutputSum, Reclaim, Turn, TurnLog};
use simoom_core::port::{
    Buf, Census, GatherFull, Piece, Pinned, Port, PortCaps, RxFrame, TxFull, TxSync, Unclaimed,
    assembled,
};
use simoom_core::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Why a port did not, or could not, do what the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The port below is smaller than the one that was recorded.
    PortTooSmall {
        /// Which capability.
        what: &'static str,
        /// What the log needs.
        need: u32,
        /// What the port has.
        have: u32,
    },
    /// One of the ports fills in the checksums that leave, the other does not.
    ChecksumOffload {
        /// Whether the recorded one did.
        logged: bool,
        /// Whether this one does.
        is: bool,
    },
    /// The caller asked more or less often than when the log was made.
    Calls {
        /// Which call.
        what: &'static str,
        /// Calls logged.
        logged: usize,
        /// Calls made.
        made: usize,
    },
    /// The caller asked for fewer frames than were shown when the log was made.
    AskedForFewer {
        /// Frames asked for.
        asked: usize,
        /// Frames logged.
        logged: usize,
    },
    /// Buffers in the pool when a turn began.
    Pool {
        /// What the log says.
        logged: u32,
        /// What the caller left.
        is: u32,
    },
    /// More completions were logged than frames are away.
    CompletionsOfNothing {
        /// Completions logged.
        logged: u32,
        /// Buffers away.
        away: usize,
    },
    /// The port kept buffers that it should have given back.
    NotHome {
        /// Completions that were due.
        due: usize,
        /// Completions that came.
        came: usize,
    },
    /// Frames that were injected were not received.
    NotReceived {
        /// Frames injected.
        sent: usize,
        /// Frames received.
        came: usize,
    },
    /// Frames that were submitted did not leave, or others did.
    NotOnTheWire {
        /// Frames submitted.
        submitted: usize,
        /// Frames that left.
        left: usize,
    },
    /// The port failed.
    Port(String),
    /// What the log is about cannot be built.
    Config(String),
    /// Other frames left than when the log was made.
    Output {
        /// What left then.
        logged: Output,
        /// What left now.
        is: Output,
    },
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTooSmall { what, need, have } => {
                write!(f, "the port's {what} is {have}, the log needs {need}")
            }
            Self::ChecksumOffload { logged, is } => {
                write!(f, "transmit checksum offload is {is}, in the log it is {logged}")
            }
            Self::Calls { what, logged, made } => {
                write!(f, "{made} calls of {what} in a turn, {logged} were logged")
            }
            Self::AskedForFewer { asked, logged } => {
                write!(f, "{asked} frames asked for, {logged} were logged")
            }
            Self::Pool { logged, is } => {
                write!(f, "{is} buffers free when the turn began, {logged} were logged")
            }
            Self::CompletionsOfNothing { logged, away } => {
                write!(f, "{logged} completions logged, {away} buffers away")
            }
            Self::NotHome { due, came } => write!(f, "{due} completions due, {came} came"),
            Self::NotReceived { sent, came } => {
                write!(f, "{sent} frames injected, {came} received")
            }
            Self::NotOnTheWire { submitted, left } => {
                write!(f, "{submitted} frames submitted, {left} left")
            }
            Self::Port(error) => write!(f, "the port failed: {error}"),
            Self::Config(error) => write!(f, "the log's configuration: {error}"),
            Self::Output { logged, is } => {
                write!(f, "other bytes left: {is:?}, logged were {logged:?}")
            }
        }
    }
}

impl std::error::Error for Divergence {}

/// Runs the turns of a log over the port of `harness`, which must be fresh and a few buffers larger
/// than the recorded one. `turn` is the stack's turn; what it asks of the port it is shown is
/// answered as the log says. Answers the frames that left, which are the log's, byte for byte.
pub fn replay<H: Harness>(
    log: &TurnLog,
    harness: &mut H,
    turn: impl FnMut(Instant, &mut Scripted<'_, H>) -> Result<(), Divergence>,
) -> Result<Vec<Vec<u8>>, Divergence> {
    let mut port = Scripted::new(harness, log.header.caps, Telling::AsLogged)?;
    port.left.frames = Some(Vec::new());
    run(log, port, turn).map(|left| left.frames.unwrap_or_default())
}

/// The same without keeping the frames, for logs of any length: what they sum up to, which is what
/// the log says.
pub fn replay_summed<H: Harness>(
    log: &TurnLog,
    harness: &mut H,
    turn: impl FnMut(Instant, &mut Scripted<'_, H>) -> Result<(), Divergence>,
) -> Result<Output, Divergence> {
    let port = Scripted::new(harness, log.header.caps, Telling::AsLogged)?;
    run(log, port, turn).map(|left| left.sum.output())
}

/// The same for a log of whole frames with a caller that sends frames of two parts: see
/// [`crate::same_bytes_in_parts`].
pub fn replay_in_parts<H: Harness>(
    log: &TurnLog,
    harness: &mut H,
    turn: impl FnMut(Instant, &mut Scripted<'_, H>) -> Result<(), Divergence>,
) -> Result<Vec<Vec<u8>>, Divergence> {
    let mut port = Scripted::new(harness, log.header.caps, Telling::TwoSlotsAFrame)?;
    port.left.frames = Some(Vec::new());
    run(log, port, turn).map(|left| left.frames.unwrap_or_default())
}

/// How slots and buffers of a log are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    AsLogged,
    /// For each slot two, of which every frame takes both.
    TwoSlotsAFrame,
}

impl Telling {
    fn slots(self, logged: u32) -> u32 {
        if self == Self::AsLogged { logged } else { logged.saturating_mul(2) }
    }
}

fn run<H: Harness>(
    log: &TurnLog,
    mut port: Scripted<'_, H>,
    mut turn: impl FnMut(Instant, &mut Scripted<'_, H>) -> Result<(), Divergence>,
) -> Result<Left, Divergence> {
    for entry in &log.turns {
        port.begin(entry);
        turn(entry.now, &mut port)?;
        port.end(entry)?;
    }
    let (logged, is) = (log.output, port.left.sum.output());
    if is == logged { Ok(port.left) } else { Err(Divergence::Output { logged, is }) }
}

/// What left: summed up, and kept where somebody wants to see it.
#[derive(Default)]
struct Left {
    sum: OutputSum,
    count: usize,
    frames: Option<Vec<Vec<u8>>>,
}

impl Left {
    fn push(&mut self, frame: Vec<u8>) {
        self.sum.push(&frame);
        self.count += 1;
        if let Some(frames) = &mut self.frames {
            frames.push(frame);
        }
    }
}

/// The port that a log tells of, over the port of a harness. Made by [`replay`].
pub struct Scripted<'h, H> {
    harness: &'h mut H,
    telling: Telling,
    /// The recorded port's, as they are told.
    caps: PortCaps,
    /// Buffers kept back for fillers.
    spares: Vec<Buf>,
    /// The device's frames that the caller waits for, oldest first, each with the pinned buffers that
    /// it has pieces of; a filler is None.
    ring: VecDeque<Option<Vec<u32>>>,
    /// Home, and not yet told.
    home: VecDeque<(Buf, Vec<u32>)>,
    /// Pieces of each pinned buffer in frames whose completion was not told.
    uses: BTreeMap<u32, u32>,
    /// Buffers in the caller's hands.
    hands: u32,
    tx_free: u32,
    reclaims: VecDeque<Reclaim>,
    received: VecDeque<Vec<Vec<u8>>>,
    reclaim_calls: usize,
    receive_calls: usize,
    /// Frames submitted, and what left of them.
    submitted: usize,
    left: Left,
    diverged: Option<Divergence>,
}

impl<'h, H: Harness> Scripted<'h, H> {
    /// Shows a caller the port with the capabilities `caps` over the port of `harness`, which must
    /// be fresh, and larger by the few buffers that an idle device of its kind keeps (at least one).
    fn new(harness: &'h mut H, mut caps: PortCaps, telling: Telling) -> Result<Self, Divergence> {
        let real = *harness.port().caps();
        let spare = real.tx_hold_idle.max(1);
        if telling == Telling::TwoSlotsAFrame {
            caps.tx_slots = telling.slots(caps.tx_slots);
            caps.max_frags = 2;
            caps.buffers = caps.buffers.max(real.buffers.saturating_sub(spare));
        }
        for (what, need, have) in [
            ("frame_max", caps.frame_max.into(), real.frame_max.into()),
            ("buffers", caps.buffers + spare, real.buffers),
            ("tx_slots", spare + 1, real.tx_slots),
        ] {
            if have < need {
                return Err(Divergence::PortTooSmall { what, need, have });
            }
        }
        if real.checksum.tx != caps.checksum.tx {
            let (logged, is) = (caps.checksum.tx, real.checksum.tx);
            return Err(Divergence::ChecksumOffload { logged, is });
        }
        let spares = (0..spare).filter_map(|_| harness.port_mut().take_free()).collect();
        Ok(Self {
            harness,
            telling,
            caps,
            spares,
            ring: VecDeque::new(),
            home: VecDeque::new(),
            uses: BTreeMap::new(),
            hands: 0,
            tx_free: caps.tx_slots,
            reclaims: VecDeque::new(),
            received: VecDeque::new(),
            reclaim_calls: 0,
            receive_calls: 0,
            submitted: 0,
            left: Left::default(),
            diverged: None,
        })
    }

    /// What this turn of the log says is told from here on.
    fn begin(&mut self, turn: &Turn) {
        self.tx_free = self.telling.slots(turn.tx_free);
        self.reclaims = turn.reclaims.iter().cloned().collect();
        self.received = turn.received.iter().cloned().collect();
        (self.reclaim_calls, self.receive_calls) = (0, 0);
        let (logged, is) = (turn.buffers_free, self.free() as u32);
        if logged != is && self.telling == Telling::AsLogged {
            self.diverge(Divergence::Pool { logged, is });
        }
    }

    /// The turn is over: everything submitted leaves, and everything logged was asked for.
    fn end(&mut self, turn: &Turn) -> Result<(), Divergence> {
        for (what, logged, made) in [
            ("reclaim", turn.reclaims.len(), self.reclaim_calls),
            ("receive", turn.received.len(), self.receive_calls),
        ] {
            if logged != made {
                self.diverge(Divergence::Calls { what, logged, made });
            }
        }
        self.drive(TxSync::Push);
        let (submitted, left) = (self.submitted, self.left.count);
        if submitted != left {
            self.diverge(Divergence::NotOnTheWire { submitted, left });
        }
        self.diverged.take().map_or(Ok(()), Err)
    }

    /// Keeps the first divergence: later ones follow from it.
    fn diverge(&mut self, divergence: Divergence) {
        self.diverged.get_or_insert(divergence);
    }

    /// Lets the device work, and notes what left.
    fn work(&mut self) {
        self.harness.let_device_work();
        for frame in self.harness.wire() {
            if !is_ours(&frame) {
                self.left.push(frame);
            }
        }
    }

    /// Rings, lets the device work, notes what left and fetches what came home.
    fn drive(&mut self, how: TxSync) {
        if let Err(error) = self.harness.port_mut().sync_tx(how) {
            self.diverge(Divergence::Port(format!("{error:?}")));
        }
        self.work();
        let Self { harness, ring, home, spares, .. } = self;
        harness.port_mut().reclaim(|buf| {
            match ring.pop_front() {
                Some(Some(pieces)) => home.push_back((buf, pieces)),
                Some(None) | None => spares.push(buf),
            }
            None
        });
    }

    /// Brings at least `due` completions home.
    fn bring_home(&mut self, due: usize) {
        for round in 0..3 * ROUNDS_MAX {
            if self.home.len() >= due {
                return;
            }
            if round >= ROUNDS_MAX {
                self.submit_filler();
            }
            self.drive(TxSync::PushAndReclaim);
        }
        let came = self.home.len();
        self.diverge(Divergence::NotHome { due, came });
    }

    fn submit_filler(&mut self) {
        let Some(mut buf) = self.spares.pop() else { return };
        let port = self.harness.port_mut();
        port.bytes_mut(&mut buf)[..FRAME_MIN].copy_from_slice(&numbered(0, FRAME_MIN));
        match port.submit(buf, FRAME_MIN as u16) {
            Ok(()) => self.ring.push_back(None),
            Err(TxFull(back)) => self.spares.push(back),
        }
    }

    /// Whether the port below makes frames out of parts.
    fn in_parts(&self) -> bool {
        H::Port::GATHERS && self.harness.port().caps().max_frags > 1
    }

    /// A frame is in the ring, with pieces of these buffers.
    fn is_queued(&mut self, slots: u32, used: Vec<u32>) {
        self.ring.push_back(Some(used));
        self.hands -= 1;
        self.tx_free -= slots;
        self.submitted += 1;
    }

    /// Buffers that the caller believes to be with the device.
    fn away(&self) -> usize {
        self.home.len() + self.ring.iter().flatten().count()
    }
}

impl<H: Harness> Port for Scripted<'_, H> {
    type Error = Divergence;

    const GATHERS: bool = true;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }

    fn bytes(&self, buf: &Buf) -> &[u8] {
        self.harness.port().bytes(buf)
    }

    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        self.harness.port_mut().bytes_mut(buf)
    }

    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        self.harness.port_mut().copy(from, to, len);
    }

    fn prefetch(&self, buf: &Buf) {
        self.harness.port().prefetch(buf);
    }

    fn take_free(&mut self) -> Option<Buf> {
        if self.free() == 0 {
            return None;
        }
        let taken = self.harness.port_mut().take_free();
        self.hands += u32::from(taken.is_some());
        taken
    }

    fn give_back(&mut self, buf: Buf) {
        self.hands -= 1;
        self.harness.port_mut().give_back(buf);
    }

    fn free(&self) -> usize {
        (self.caps.buffers - self.hands) as usize - self.away()
    }

    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        self.receive_calls += 1;
        let due = self.received.pop_front().unwrap_or_default();
        if due.len() > max {
            self.diverge(Divergence::AskedForFewer { asked: max, logged: due.len() });
        }
        let mut came = Vec::new();
        for frames in due.chunks(self.harness.rx_room().max(1)) {
            let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
            self.harness.inject(&frames);
            self.work();
            for _ in 0..frames.len() + ROUNDS_MAX {
                self.harness.port_mut().receive(due.len() - came.len(), |batch| {
                    // A live wire brings frames of others as well.
                    let ours = batch.iter().filter(|f| frames.contains(&f.bytes));
                    came.extend(ours.map(|f| f.bytes.to_vec()));
                    Unclaimed::NONE
                });
            }
        }
        if came != due {
            self.diverge(Divergence::NotReceived { sent: due.len(), came: came.len() });
        }
        if !came.is_empty() {
            on_batch(&came.iter().map(|bytes| RxFrame { bytes }).collect::<Vec<_>>());
        }
        came.len()
    }

    fn tx_free(&self) -> usize {
        self.tx_free as usize
    }

    fn submit(&mut self, buf: Buf, len: u16) -> Result<(), TxFull> {
        let slots = self.telling.slots(1);
        if self.tx_free < slots {
            return Err(TxFull(buf));
        }
        let mut offered = buf;
        for _ in 0..ROUNDS_MAX {
            match self.harness.port_mut().submit(offered, len) {
                Ok(()) => {
                    self.is_queued(slots, Vec::new());
                    return Ok(());
                }
                // The log's port had a slot; this one gets one as soon as its device has worked.
                Err(TxFull(back)) => offered = back,
            }
            self.drive(TxSync::PushAndReclaim);
        }
        self.diverge(Divergence::PortTooSmall { what: "tx_slots", need: 1, have: 0 });
        Err(TxFull(offered))
    }

    fn pin(&mut self, buf: Buf) -> Pinned {
        if self.in_parts() { self.harness.port_mut().pin(buf) } else { Pinned::mint(buf) }
    }

    fn unpin(&mut self, pinned: Pinned) -> Result<Buf, Pinned> {
        if self.uses.get(&pinned.buf().index()).is_some_and(|uses| *uses > 0) {
            return Err(pinned);
        }
        if self.in_parts() { self.harness.port_mut().unpin(pinned) } else { Ok(pinned.into_buf()) }
    }

    fn submit_gather(
        &mut self,
        header: Buf,
        header_len: u16,
        pieces: &[Piece<'_>],
    ) -> Result<(), GatherFull> {
        let slots = match self.telling {
            Telling::AsLogged => 1 + pieces.len() as u32,
            Telling::TwoSlotsAFrame => 2,
        };
        if self.tx_free < slots {
            return Err(GatherFull(header));
        }
        let in_parts =
            self.in_parts() && self.harness.port().caps().max_frags as usize > pieces.len();
        let mut offered = header;
        let mut len = header_len;
        if !in_parts {
            let whole = assembled(self.harness.port(), &offered, header_len, pieces);
            self.harness.port_mut().bytes_mut(&mut offered)[..whole.len()].copy_from_slice(&whole);
            len = whole.len() as u16;
        }
        for _ in 0..ROUNDS_MAX {
            let port = self.harness.port_mut();
            let answer = if in_parts {
                port.submit_gather(offered, len, pieces).map_err(|GatherFull(back)| back)
            } else {
                port.submit(offered, len).map_err(|TxFull(back)| back)
            };
            match answer {
                Ok(()) => {
                    let used: Vec<_> = pieces.iter().map(|piece| piece.of.buf().index()).collect();
                    used.iter().for_each(|index| *self.uses.entry(*index).or_default() += 1);
                    self.is_queued(slots, used);
                    return Ok(());
                }
                Err(back) => offered = back,
            }
            self.drive(TxSync::PushAndReclaim);
        }
        self.diverge(Divergence::PortTooSmall { what: "tx_slots", need: slots, have: 0 });
        Err(GatherFull(offered))
    }

    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        self.reclaim_calls += 1;
        let said = self.reclaims.pop_front();
        let Reclaim { completed, tx_free, lost } = said.unwrap_or_default();
        let away = self.away();
        if completed as usize > away {
            self.diverge(Divergence::CompletionsOfNothing { logged: completed, away });
        }
        let due = (completed as usize).min(away);
        self.bring_home(due);
        self.tx_free = self.telling.slots(tx_free);
        let due = due.min(self.home.len());
        let mut lost = lost.into_iter().peekable();
        for (place, (mut buf, pieces)) in (0..).zip(self.home.drain(..due)) {
            for piece in pieces {
                self.uses.entry(piece).and_modify(|uses| *uses -= 1);
            }
            self.hands += 1;
            if lost.next_if_eq(&place).is_some() {
                // Other memory than was submitted, so that nobody can go on using what was in it.
                self.harness.port_mut().bytes_mut(&mut buf).fill(FOREIGN);
                buf = buf.without_bytes();
            }
            if let Some(back) = on_done(buf) {
                self.hands -= 1;
                self.harness.port_mut().give_back(back);
            }
        }
        due
    }

    fn sync_tx(&mut self, how: TxSync) -> Result<(), Divergence> {
        self.harness.port_mut().sync_tx(how).map_err(|error| Divergence::Port(format!("{error:?}")))
    }

    fn census(&self) -> Census {
        Census { free: self.free() as u32, caller: self.hands, device: self.away() as u32 }
    }
}
