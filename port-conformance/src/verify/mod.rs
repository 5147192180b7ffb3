//! Whether a device and its driver keep the promise that prepared segments rest on: a buffer that
//! `reclaim` shows is not read any more.
//!
//! A [`Verifier`] sends frames from one port to another and writes every buffer anew at the earliest
//! moment that is permitted: as soon as it is shown. Each frame is summed when it is submitted and when
//! it comes to the peer; every eight bytes of it say whose they are, so that what is wrong tells where
//! it comes from. Half of the frames go with completions forced at every turn (reuse as early as it
//! gets), half with none (the device's own laziness, which is measured), in stretches; then the device
//! idles.
//!
//! Generic over both ports, and without a clock: whoever drives it gives the time, and lets both
//! devices work between the turns. Read [`Verifier::turn`] first.

mod content;
mod report;

pub use report::{FINDINGS_MAX, Finding, Report, Seen};

use content::{Contents, FRAME_MIN, HEADER_LEN, NUMBER_MAX, digest};
use simoom_core::port::{BATCH_MAX, Buf, Port, PortCaps, TxFull, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use std::collections::VecDeque;
use std::fmt;

/// What a run is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyConfig {
    /// Frames to send, 2 to 2^40.
    pub frames: u64,
    /// What contents, lengths and bursts are drawn from. Another one in each run tells its frames from
    /// those that an earlier run left in a ring.
    pub seed: u64,
    /// Where the frames go to.
    pub destination: MacAddr,
    /// Where they come from.
    pub source: MacAddr,
    /// Frames on the way to the peer, at most: what its ring can hold. None: the slots of the sender's
    /// ring.
    pub window: Option<u32>,
    /// How long nothing has to come for frames on the way to count as missing.
    pub patience: Duration,
}

impl Default for VerifyConfig {
    /// A million frames to every station, and 200 ms of patience.
    fn default() -> Self {
        Self {
            frames: 1_000_000,
            seed: 1,
            destination: MacAddr([0xff; 6]),
            source: MacAddr([2, 0, 0, 0, 0, 1]),
            window: None,
            patience: Duration::from_millis(200),
        }
    }
}

/// Why nothing can be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// Too few or too many frames were asked for.
    Frames {
        /// So many.
        given: u64,
    },
    /// A port takes no frame that would not be padded on the way.
    TooShort {
        /// What it takes.
        frame_max: u16,
    },
    /// There are fewer than two buffers.
    Buffers,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames { given } => {
                write!(f, "{given} frames: 2 to {FRAMES_MAX} can be verified")
            }
            Self::TooShort { frame_max } => write!(
                f,
                "a port takes frames of {frame_max} bytes at most: {FRAME_MIN} are needed"
            ),
            Self::Buffers => f.write_str("the sender needs two free buffers at least"),
        }
    }
}

impl std::error::Error for VerifyError {}

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something moved: the next turn is welcome at once.
    Moved,
    /// Nothing did: there is time to wait.
    Waiting,
    /// The run is over.
    Done,
}

/// Frames that one run can have: at a hundred million a second, three hours.
const FRAMES_MAX: u64 = 1 << 40;
const _: () = assert!(FRAMES_MAX < NUMBER_MAX);

/// Frames of a stretch with completions forced, or with none, at most: several times the slots of the
/// usual rings.
const STRETCH_MAX: u64 = 16_384;
/// Frames submitted in one turn, at most: what a busy server's turn may queue.
const BURST_MAX: u32 = 32;
/// Frames that came, or did not, of which is known which they were.
const REMEMBERED_MAX: usize = 4_096;
/// Turns of forced completions before what is left counts as what an idle device keeps.
const IDLE_TURNS: u32 = 64;

/// A frame in a buffer, to be submitted.
#[derive(Debug)]
struct Prepared {
    buf: Buf,
    frame: Frame,
}

/// What a frame was.
#[derive(Clone, Copy, Debug)]
struct Frame {
    number: u64,
    len: u16,
    digest: u64,
}

/// A frame on the way to the peer.
#[derive(Clone, Copy, Debug)]
struct OnTheWay {
    frame: Frame,
    at: Instant,
}

/// A frame whose buffer is with the device.
#[derive(Clone, Copy, Debug)]
struct Away {
    frame: Frame,
    buffer: u32,
}

/// One run between two ports.
#[derive(Debug)]
pub struct Verifier {
    contents: Contents,
    /// Frames that will be sent.
    target: u64,
    /// The number of the next frame to be prepared.
    next: u64,
    window: usize,
    burst_max: u32,
    patience: Duration,
    draws: u64,
    /// Prepared, in the order in which they will be submitted.
    ready: VecDeque<Prepared>,
    /// Oldest first.
    away: VecDeque<Away>,
    /// Oldest first.
    on_the_way: VecDeque<OnTheWay>,
    /// Skipped over by later ones: missing, unless they come late.
    skipped: VecDeque<Frame>,
    /// The last that came.
    came: VecDeque<Frame>,
    /// Buffers that `reclaim` has just shown.
    home: Vec<Buf>,
    scratch: Box<[u8]>,
    started: Option<Instant>,
    /// When something last came, or nothing could have.
    heard_at: Instant,
    /// Turns of the idle stage so far.
    idle_turns: Option<u32>,
    report: Report,
}

impl Verifier {
    /// A run from `a` to a port with the capabilities `b`. Takes buffers of `a`, two for each slot of
    /// its ring as far as there are so many, and prepares a frame in each.
    ///
    /// # Errors
    /// Where nothing can be verified.
    pub fn new<A: Port>(
        config: &VerifyConfig,
        a: &mut A,
        b: &PortCaps,
    ) -> Result<Self, VerifyError> {
        let caps = *a.caps();
        if !(2..=FRAMES_MAX).contains(&config.frames) {
            return Err(VerifyError::Frames { given: config.frames });
        }
        let len_max = caps.frame_max.min(b.frame_max);
        if len_max < FRAME_MIN {
            return Err(VerifyError::TooShort { frame_max: len_max });
        }
        if a.free() < 2 {
            return Err(VerifyError::Buffers);
        }
        let VerifyConfig { seed, destination, source, .. } = *config;
        let mut verifier = Self {
            contents: Contents { seed, destination, source, len_max },
            target: config.frames,
            next: 0,
            window: config.window.unwrap_or(caps.tx_slots).max(1) as usize,
            burst_max: (caps.tx_slots / 8).clamp(1, BURST_MAX),
            patience: config.patience,
            draws: seed,
            ready: VecDeque::new(),
            away: VecDeque::new(),
            on_the_way: VecDeque::new(),
            skipped: VecDeque::new(),
            came: VecDeque::new(),
            home: Vec::new(),
            scratch: vec![0; usize::from(len_max)].into_boxed_slice(),
            started: None,
            heard_at: Instant::ZERO,
            idle_turns: None,
            report: Report::default(),
        };
        for _ in 0..a.free().min(2 * caps.tx_slots as usize) {
            if let Some(buf) = a.take_free() {
                verifier.prepare(a, buf);
            }
        }
        Ok(verifier)
    }

    /// One turn: what is done comes home and is written anew, a burst is submitted, the doorbell rings,
    /// and what came to the peer is looked at. The driver lets both devices work before the next:
    /// sends what was queued, gives back what the peer released, and forces no completions.
    ///
    /// # Errors
    /// Where the doorbell fails: the sender is dead.
    pub fn turn<A: Port, B: Port>(
        &mut self,
        now: Instant,
        a: &mut A,
        b: &mut B,
    ) -> Result<Step, A::Error> {
        let started = *self.started.get_or_insert(now);
        self.report.took = now - started;
        if self.on_the_way.is_empty() {
            self.heard_at = now;
        }
        let eager = self.is_eager();
        let done = self.reclaim(a, eager || self.idle_turns.is_some());
        let submitted = self.submit(now, a);
        let is_stuck = done + submitted == 0
            && self.report.submitted < self.target
            && self.on_the_way.len() < self.window
            && !self.away.is_empty();
        let sync = if eager || is_stuck || self.idle_turns.is_some() {
            TxSync::PushAndReclaim
        } else {
            TxSync::Push
        };
        self.report.forced += u64::from(is_stuck && !eager);
        a.sync_tx(sync)?;
        let came = self.receive(now, b);
        if came > 0 {
            self.heard_at = now;
        } else if now - self.heard_at >= self.patience {
            self.write_off(self.on_the_way.len());
            self.heard_at = now;
        }
        let moved = done + submitted + came > 0;
        if self.report.submitted < self.target || !self.on_the_way.is_empty() {
            return Ok(if moved { Step::Moved } else { Step::Waiting });
        }
        Ok(self.idle(a))
    }

    /// Sends no more: the run ends when what is on the way has come.
    pub fn stop(&mut self) {
        self.target = self.report.submitted;
    }

    /// What was found and measured so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Whether completions are forced now: in every second stretch, counted from the end, so that the
    /// last is lazy and a run that is stopped has had both.
    fn is_eager(&self) -> bool {
        let left = self.target - self.report.submitted;
        left > 0 && (left - 1) / (self.target / 2).clamp(1, STRETCH_MAX) % 2 == 1
    }

    /// Everything has arrived: what stays with the device now?
    fn idle<A: Port>(&mut self, a: &mut A) -> Step {
        let turns = self.idle_turns.unwrap_or(0);
        if turns == 0 {
            self.report.idle_unforced = a.census().device;
            self.drop_ready(a);
        }
        self.idle_turns = Some(turns + 1);
        if turns < IDLE_TURNS {
            return Step::Waiting;
        }
        if turns == IDLE_TURNS {
            let census = a.census();
            self.report.idle = census.device;
            let (count, claimed) = (census.device, a.caps().tx_hold_idle);
            if count > claimed {
                self.report.add(Finding::IdleKeepsMore { count, claimed });
            }
            if census.caller > 0 {
                self.report.add(Finding::BuffersLost { count: census.caller });
            }
        }
        Step::Done
    }

    /// Writes the next frame into a buffer; gives it back where there is no next.
    fn prepare<A: Port>(&mut self, a: &mut A, mut buf: Buf) {
        if self.next >= self.target {
            a.give_back(buf);
            return;
        }
        let number = self.next;
        self.next += 1;
        let bytes = a.bytes_mut(&mut buf);
        let len = self.contents.fill(number, bytes);
        let digest = digest(&bytes[..usize::from(len)]);
        self.ready.push_back(Prepared { buf, frame: Frame { number, len, digest } });
    }

    /// Takes home what is done; each buffer is written anew on the spot.
    fn reclaim<A: Port>(&mut self, a: &mut A, forced: bool) -> usize {
        let mut home = std::mem::take(&mut self.home);
        a.reclaim(|buf| {
            home.push(buf);
            None
        });
        let done = home.len();
        if done > 0 && !forced {
            self.report.batches += 1;
            self.report.batched += done as u64;
            self.report.batch_max = self.report.batch_max.max(done as u32);
        }
        for buf in home.drain(..) {
            self.take_home(a, buf, forced);
        }
        self.home = home;
        done
    }

    fn take_home<A: Port>(&mut self, a: &mut A, buf: Buf, forced: bool) {
        let Some(Away { frame, buffer }) = self.away.pop_front() else {
            self.report.add(Finding::CompletedOutOfOrder { number: self.report.submitted });
            return self.prepare(a, buf);
        };
        // In the last turns nothing is submitted behind a frame any more.
        let later = (self.report.submitted - 1 - frame.number) as u32;
        let hold = match forced {
            true => &mut self.report.hold_eager_max,
            false => &mut self.report.hold_lazy_max,
        };
        *hold = later.max(*hold);
        let claimed = a.caps().tx_hold_max;
        if later > claimed {
            self.report.add(Finding::HeldTooLong { number: frame.number, later, claimed });
        }
        if buffer != buf.index() {
            self.report.add(Finding::CompletedOutOfOrder { number: frame.number });
        } else if buf.has_lost_bytes() {
            self.report.exchanged += 1;
        } else {
            self.check_at_home(a, &buf, frame);
        }
        self.prepare(a, buf);
    }

    /// A buffer in the caller's hands holds what was written to it.
    fn check_at_home<A: Port>(&mut self, a: &A, buf: &Buf, frame: Frame) {
        let bytes = &a.bytes(buf)[..usize::from(frame.len)];
        if digest(bytes) == frame.digest {
            return;
        }
        self.contents.fill(frame.number, &mut self.scratch);
        let (offset, _) = difference(&self.scratch, bytes);
        let seen = self.seen(bytes, offset, frame.number);
        let offset = offset as u16;
        self.report.add(Finding::ChangedAtHome { number: frame.number, offset, seen });
    }

    fn submit<A: Port>(&mut self, now: Instant, a: &mut A) -> usize {
        let burst = 1 + self.draw() % u64::from(self.burst_max);
        let mut submitted = 0;
        while submitted < burst && self.on_the_way.len() < self.window && a.tx_free() > 0 {
            if self.report.submitted >= self.target {
                break;
            }
            let Some(Prepared { buf, frame }) = self.ready.pop_front() else { break };
            self.check_at_home(a, &buf, frame);
            let buffer = buf.index();
            if let Err(TxFull(buf)) = a.submit(buf, frame.len) {
                self.ready.push_front(Prepared { buf, frame });
                break;
            }
            self.away.push_back(Away { frame, buffer });
            self.on_the_way.push_back(OnTheWay { frame, at: now });
            self.report.submitted += 1;
            submitted += 1;
        }
        submitted as usize
    }

    fn drop_ready<A: Port>(&mut self, a: &mut A) {
        for Prepared { buf, .. } in self.ready.drain(..) {
            a.give_back(buf);
        }
    }

    fn receive<B: Port>(&mut self, now: Instant, b: &mut B) -> usize {
        let mut came = 0;
        // A ring that fills as fast as it is emptied must not keep the sender from its turn.
        for _ in 0..=self.window / BATCH_MAX {
            let shown = b.receive(BATCH_MAX, |frames| {
                for frame in frames {
                    self.on_frame(now, frame.bytes);
                }
                Unclaimed::NONE
            });
            came += shown;
            if shown == 0 {
                break;
            }
        }
        came
    }

    fn on_frame(&mut self, now: Instant, bytes: &[u8]) {
        let sum = digest(bytes);
        let is = |frame: &Frame| usize::from(frame.len) == bytes.len() && frame.digest == sum;
        if self.on_the_way.front().is_some_and(|first| is(&first.frame)) {
            self.arrive(now, true);
            return;
        }
        if !self.contents.is_ours(bytes) {
            self.report.foreign += 1;
            return;
        }
        if let Some(before) = self.on_the_way.iter().position(|later| is(&later.frame)) {
            self.write_off(before);
            self.arrive(now, true);
        } else if let Some(at) = self.skipped.iter().position(is) {
            let Some(frame) = self.skipped.remove(at) else { return };
            self.report.missing -= 1;
            match self.came.back() {
                Some(after) if after.number > frame.number => {
                    let (number, after) = (frame.number, after.number);
                    self.report.add(Finding::OutOfOrder { number, after });
                }
                // Given up too early: it was late, and still the next.
                _ => self.report.right += 1,
            }
            self.remember(frame);
        } else if let Some(again) = self.came.iter().find(|frame| is(frame)) {
            let number = again.number;
            self.report.add(Finding::NotSent { number });
        } else {
            self.on_damaged(now, bytes);
        }
    }

    /// A frame that was never submitted so. Its length tells its place, which the bytes do not.
    fn on_damaged(&mut self, now: Instant, bytes: &[u8]) {
        let place = |sent: &OnTheWay| usize::from(sent.frame.len) == bytes.len();
        if let Some(before) = self.on_the_way.iter().position(place) {
            self.write_off(before);
            let Some(OnTheWay { frame: Frame { number, len, .. }, .. }) =
                self.on_the_way.front().copied()
            else {
                return;
            };
            self.contents.fill(number, &mut self.scratch);
            let (offset, wrong) = difference(&self.scratch, bytes);
            let seen = self.seen(bytes, offset, number);
            let (offset, wrong) = (offset as u16, wrong as u16);
            self.report.add(Finding::WrongBytes { number, offset, len, wrong, seen });
            self.arrive(now, false);
            return;
        }
        let finding = match self.contents.seen_at(bytes, HEADER_LEN) {
            None => Finding::Unknown { len: bytes.len() },
            Some(number) => {
                let sent = self.contents.len(number);
                if number < self.report.submitted && usize::from(sent) != bytes.len() {
                    Finding::WrongLength { number, sent, came: bytes.len() }
                } else {
                    Finding::NotSent { number }
                }
            }
        };
        self.report.add(finding);
    }

    /// What stands at a wrong byte of frame `number`.
    fn seen(&self, bytes: &[u8], offset: usize, number: u64) -> Seen {
        match self.contents.seen_at(bytes, offset) {
            Some(n) if n > number => Seen::Later(n),
            Some(n) if n < number => Seen::Earlier(n),
            Some(_) => Seen::Own,
            None => Seen::Nobody,
        }
    }

    /// The oldest frame on the way is there.
    fn arrive(&mut self, now: Instant, is_right: bool) {
        let Some(OnTheWay { frame, at }) = self.on_the_way.pop_front() else { return };
        self.report.right += u64::from(is_right);
        self.report.arrival_max = self.report.arrival_max.max(now - at);
        self.remember(frame);
    }

    fn remember(&mut self, frame: Frame) {
        if self.came.len() >= REMEMBERED_MAX {
            self.came.pop_front();
        }
        self.came.push_back(frame);
    }

    /// The oldest so many on the way count as missing.
    fn write_off(&mut self, count: usize) {
        self.report.missing += count as u64;
        self.skipped.extend(self.on_the_way.drain(..count).map(|sent| sent.frame));
        let surplus = self.skipped.len().saturating_sub(REMEMBERED_MAX);
        self.skipped.drain(..surplus);
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.draws ^ (self.draws >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The first byte that differs, and how many do.
fn difference(right: &[u8], found: &[u8]) -> (usize, usize) {
    let mut wrong = right.iter().zip(found).enumerate().filter(|(_, (a, b))| a != b);
    match wrong.next() {
        Some((first, _)) => (first, 1 + wrong.count()),
        None => (0, 0),
    }
}
