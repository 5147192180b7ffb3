//! Open loop: the captured clients' segments reach our stack when they were captured, and what it
//! sends is laid beside what the captured server sent.
//!
//! Our stack begins every connection with the captured server's initial sequence number and
//! timestamp, so that acknowledgements, SACK blocks and timestamp echoes fit without being
//! rewritten; what cannot fit is cut to what was sent. The clients do not react to our stack: from the
//! first acknowledgement of something that it has not sent ([`Meaningless`]) a connection is played
//! on, but no longer compared.
//!
//! Read [`profile`] (whose configuration), `lane` (a stack), `app` (what it says), `frame` and `watch`
//! (in and out), then [`OpenLoop`].

mod app;
mod frame;
mod lane;
mod port;
pub mod profile;
mod watch;
pub mod wire;

pub use profile::Profile;

use crate::compare::infer::Inferred;
use crate::compare::pairing::Limit;
use crate::compare::summary::Meaningless;
use crate::compare::{Again, ConnectionReport, Kind, OurState, Pairing, Sent, Side, Summary};
use crate::prepare::{Prepared, Shape, ShapeCount};
use crate::script::Script;
use crate::script::build::offset;
use crate::script::store::Spool;
use crate::tape::{Record, TapeReader, TapeSegment};
use app::Manners;
use frame::{ClientFrame, TEXT_MAX};
use lane::Lane;
use simoom_core::seq::SeqNumber;
use simoom_core::tcp::Info;
use simoom_core::wire::tcp::{SackBlocks, TcpFlags, TcpOptions, Timestamps};
use simoom_pcap::dissect::Ecn;
use std::cell::RefCell;
use std::io::{self, Read};
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;
use watch::{Known, OurSegment};

/// Stacks, at most: one for each of the most frequent shapes of SYN-ACK.
pub const LANES_MAX: usize = 8;

/// Segments that wait for their like in all connections together, at most: 64 bytes each.
pub const WAITING_ALL_MAX: usize = 1 << 20;

/// Records between two calls of [`Output::on_progress`].
const PROGRESS_EVERY: u64 = 1 << 16;

/// What a replay is told.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whose configuration.
    pub profile: Profile,
    /// Whether [`Output::on_frame`] wants our frames, with text.
    pub wants_frames: bool,
}

/// A segment of ours, for those who write or draw it.
#[derive(Clone, Copy, Debug)]
pub struct OurFrame<'a> {
    /// The connection's number.
    pub serial: u32,
    /// The captured client.
    pub client: SocketAddr,
    /// The captured server, for which ours stands.
    pub server: SocketAddr,
    /// Nanoseconds since 1970.
    pub at: u64,
    /// The TCP segment; its checksum is not filled in, its ports are made up.
    pub tcp: &'a [u8],
    /// The IP header's ECN field.
    pub ecn: Ecn,
    /// What its connection knew; None for answers of no connection.
    pub info: Option<&'a Info>,
}

/// A segment of either server, or an acknowledgement of the client, for those who draw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A server sent something.
    Sent(Side, Sent),
    /// The client acknowledged everything before `acked` and takes what is before `edge`.
    Acked {
        /// Nanoseconds since 1970.
        at: u64,
        /// Stream offset.
        acked: u64,
        /// Stream offset.
        edge: u64,
    },
}

/// Who is told of what happens. Every method may do nothing.
pub trait Output {
    /// Whether this connection's marks are wanted.
    fn watches(&self, _serial: u32) -> bool {
        false
    }

    /// Something to draw, of a connection that is watched.
    fn on_mark(&mut self, _serial: u32, _mark: Mark) {}

    /// Ours sent a segment. Called where [`OpenOptions::wants_frames`].
    ///
    /// # Errors
    /// What ends the replay.
    fn on_frame(&mut self, _frame: &OurFrame<'_>) -> io::Result<()> {
        Ok(())
    }

    /// A connection is over.
    fn on_connection(&mut self, _report: &ConnectionReport) {}

    /// So many records of the tape are done.
    fn on_progress(&mut self, _records: u64) {}
}

/// Wants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutput;

impl Output for NoOutput {}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenTotals {
    /// What differs.
    pub summary: Summary,
    /// Records of the tape.
    pub records: u64,
    /// Segments of clients that our stack got.
    pub fed: u64,
    /// Segments of captured servers.
    pub theirs: u64,
    /// Segments that our stack sent.
    pub ours: u64,
    /// Connections captured away from their server.
    pub distant: u64,
    /// Connections in stacks whose SYN-ACK is not quite theirs: more than [`LANES_MAX`] shapes.
    pub misfits: u64,
}

/// A connection while it is replayed.
#[derive(Debug)]
struct Live {
    serial: u32,
    lane: u8,
    watched: bool,
    client: SocketAddr,
    server: SocketAddr,
    synthetic: SocketAddrV4,
    opened_at: u64,
    client_isn: SeqNumber,
    server_isn: SeqNumber,
    /// Shift of what servers announce.
    shift: u8,
    /// Most text per segment.
    text_max: u32,
    /// The captured server's clock: its first stamp and ticks a second.
    clock: (u32, u32),
    client_max: u64,
    /// The client's newest timestamp.
    client_stamp: Option<u32>,
    cut: Option<u64>,
    /// Before its segments were captured the server had sent them, by so much; and the client's
    /// segments needed as long: both together.
    distance: u64,
    /// Stream offset from which on nothing of the captured server is known, though it went on.
    unknown_from: u64,
    pairing: Pairing,
    meaningless: Option<(Meaningless, u64, u64)>,
    /// Stream offset of the highest octet that ours sent.
    our_max: u64,
    /// Ours has answered the SYN.
    our_syn: bool,
    /// Each of the client's segments has a turn of its own: our own server, captured by its device.
    /// What its recorder captures at one time came in one turn.
    alone: bool,
}

#[derive(Debug)]
enum Slot {
    Empty,
    /// A connection that is not replayed.
    PassedOver(u32),
    Live(Box<Live>),
}

/// The second pass.
pub struct OpenLoop<'a, O> {
    options: &'a OpenOptions,
    out: &'a mut O,
    lanes: Vec<Lane>,
    slots: Vec<Slot>,
    base: u64,
    now: u64,
    waiting: usize,
    totals: OpenTotals,
}

impl<'a, O: Output> OpenLoop<'a, O> {
    /// Replays a tape from its beginning to its end.
    ///
    /// # Errors
    /// What the tape, the spools and `out` answer.
    pub fn run<R: Read, S: Spool + 'static>(
        tape: R,
        prepared: &mut Prepared<S>,
        options: &'a OpenOptions,
        out: &'a mut O,
    ) -> io::Result<OpenTotals> {
        // Whole seconds: the clock of a simulated server is in step with it.
        let base = prepared.first_at / 1_000_000_000 * 1_000_000_000;
        let mut this = Self {
            lanes: lanes(prepared, options, base),
            options,
            out,
            slots: Vec::new(),
            base,
            now: base,
            waiting: 0,
            totals: OpenTotals::default(),
        };
        let mut tape = TapeReader::new(tape);
        while let Some(record) = tape.next_record()? {
            match record {
                Record::Segment(seg) => this.on_segment(&seg, prepared)?,
                Record::End(flow) => this.on_end(flow.slot, flow.serial)?,
            }
            this.totals.records += 1;
            if this.totals.records.is_multiple_of(PROGRESS_EVERY) {
                this.out.on_progress(this.totals.records);
            }
        }
        this.flush()?;
        for slot in 0..this.slots.len() {
            if let Slot::Live(live) = &this.slots[slot] {
                let serial = live.serial;
                this.on_end(slot as u32, serial)?;
            }
        }
        this.out.on_progress(this.totals.records);
        Ok(this.totals)
    }

    fn on_segment<S: Spool>(
        &mut self,
        seg: &TapeSegment<'_>,
        prepared: &mut Prepared<S>,
    ) -> io::Result<()> {
        if seg.at_unix_nanos > self.now {
            self.go_to(seg.at_unix_nanos)?;
        }
        let slot = seg.flow.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || Slot::Empty);
        }
        let known = match &self.slots[slot] {
            Slot::Empty => false,
            Slot::PassedOver(serial) => *serial == seg.flow.serial,
            Slot::Live(live) => live.serial == seg.flow.serial,
        };
        if !known {
            self.begin(seg, prepared)?;
        }
        if seg.to_server { self.on_client(seg) } else { self.on_theirs(seg) }
    }

    /// Nothing of this time is left to be done: the time is `at` now.
    fn go_to(&mut self, at: u64) -> io::Result<()> {
        self.flush()?;
        let slack = self.options.profile.timer_slack;
        for lane in 0..self.lanes.len() {
            while let Some(wake) = self.lanes[lane].wake_at
                && wake.saturating_add(slack) < at
            {
                self.turn(lane, wake)?;
            }
        }
        self.now = at;
        Ok(())
    }

    /// Gives every stack its turn that has frames, or something due.
    fn flush(&mut self) -> io::Result<()> {
        for lane in 0..self.lanes.len() {
            self.flush_lane(lane)?;
        }
        Ok(())
    }

    fn flush_lane(&mut self, lane: usize) -> io::Result<()> {
        let now = self.now;
        while self.lanes[lane].staged().0 || self.lanes[lane].wake_at.is_some_and(|at| at <= now) {
            self.turn(lane, now)?;
        }
        Ok(())
    }

    fn turn(&mut self, lane: usize, at: u64) -> io::Result<()> {
        self.lanes[lane].turn(at);
        let mut sent = std::mem::take(&mut self.lanes[lane].watch_mut().sent);
        if sent.is_empty() {
            self.lanes[lane].watch_mut().sent = sent;
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.lanes[lane].watch_mut().bytes);
        for one in &sent {
            self.on_ours(lane, at, one, &bytes)?;
        }
        sent.clear();
        bytes.clear();
        let watch = self.lanes[lane].watch_mut();
        watch.sent = sent;
        watch.bytes = bytes;
        Ok(())
    }

    fn on_ours(&mut self, lane: usize, at: u64, one: &OurSegment, bytes: &[u8]) -> io::Result<()> {
        let Some(Slot::Live(live)) = self.slots.get_mut(one.slot as usize) else { return Ok(()) };
        self.totals.ours += 1;
        let at = at.max(self.base);
        let syn = one.flags.contains(TcpFlags::SYN);
        let first = if syn { one.seq + 1 } else { one.seq };
        let from = offset(live.server_isn, live.our_max, first).max(0) as u64;
        live.our_max = live.our_max.max(from + u64::from(one.len));
        // What is sent again because the client asked again is no new one.
        let again = syn && std::mem::replace(&mut live.our_syn, true);
        let sent = Sent {
            at,
            frame: 0,
            from,
            len: one.len,
            window: u32::from(one.window) << if syn { 0 } else { live.shift },
            acked: one.ack.0.wrapping_sub(live.client_isn.0.wrapping_add(1)),
            echo: one.options.timestamps.map_or(0, |ts| ts.ecr),
            options: Sent::options(&one.options),
            flags: one.flags,
            ecn: one.ecn,
            kind: if again { Kind::Again(Again::Syn) } else { one.kind },
        };
        let state = one.state.unwrap_or(self.lanes[lane].watch().known(one.slot).state);
        let before = live.pairing.waiting();
        if sent.len == 0 || from < live.unknown_from {
            live.pairing.on_ours(sent, &state);
        }
        self.waiting = self.waiting + live.pairing.waiting() - before;
        if live.watched {
            self.out.on_mark(live.serial, Mark::Sent(Side::Ours, sent));
        }
        if self.options.wants_frames {
            self.out.on_frame(&OurFrame {
                serial: live.serial,
                client: live.client,
                server: live.server,
                at,
                tcp: &bytes[one.bytes.clone()],
                ecn: one.ecn,
                info: one.info.as_ref(),
            })?;
        }
        Ok(())
    }

    /// The first segment of a connection.
    fn begin<S: Spool>(
        &mut self,
        seg: &TapeSegment<'_>,
        prepared: &mut Prepared<S>,
    ) -> io::Result<()> {
        let (slot, serial) = (seg.flow.slot, seg.flow.serial);
        let script = if slot < app::SLOTS_MAX { prepared.scripts.get(serial)? } else { None };
        let Some(script) = script else {
            self.slots[slot as usize] = Slot::PassedOver(serial);
            return Ok(());
        };
        let usual = self.lanes.first().map_or(Shape::default(), |lane| lane.shape);
        let shape = Shape::of(&script, &usual);
        let near = (0..self.lanes.len()).min_by_key(|n| self.lanes[*n].shape.distance(&shape));
        let Some(lane) = near else {
            self.slots[slot as usize] = Slot::PassedOver(serial);
            return Ok(());
        };
        self.totals.distant += u64::from(script.distance() > 0);
        self.totals.misfits += u64::from(self.lanes[lane].shape != shape);
        let live = self.live(&script, lane as u8);
        let Profile { push_ends_writes, reacts_within, .. } = self.options.profile;
        let manners = Manners { push_ends_writes, reacts_within };
        // TSval counts milliseconds from the stack's start on.
        let accepted_at = script.accepted_at - script.distance();
        let millis = (accepted_at.saturating_sub(self.base) / 1_000_000) as u32;
        let offset = script.syn_ack.timestamps.unwrap_or(0).wrapping_sub(millis);
        self.lanes[lane].watch_mut().forget(slot);
        self.lanes[lane].app().begin(&script, offset, &manners);
        self.slots[slot as usize] = Slot::Live(Box::new(live));
        Ok(())
    }

    fn live(&self, script: &Script, lane: u8) -> Live {
        let inferred = Inferred::new(script.server_isn, script.client_shift());
        Live {
            serial: script.flow.serial,
            lane,
            watched: self.out.watches(script.flow.serial),
            client: script.client,
            server: script.server,
            synthetic: app::synthetic_client(script.flow.slot, script.flow.serial),
            opened_at: script.opened_at,
            client_isn: script.client_isn,
            server_isn: script.server_isn,
            shift: script.server_shift(),
            text_max: script.segment_text_max(),
            clock: (script.syn_ack.timestamps.unwrap_or(0), script.ts_per_second),
            client_max: 0,
            client_stamp: script.syn.timestamps.filter(|_| script.uses_timestamps()),
            cut: script.cut,
            distance: script.distance(),
            unknown_from: if script.goes_on { script.server_bytes } else { u64::MAX },
            pairing: Pairing::new(self.options.profile.rules, inferred),
            meaningless: None,
            our_max: 0,
            our_syn: false,
            alone: self.options.profile.rules.exact_acks && script.way() > 0,
        }
    }

    /// A segment of the captured server.
    fn on_theirs(&mut self, seg: &TapeSegment<'_>) -> io::Result<()> {
        self.note_limit(seg);
        let Some(Slot::Live(live)) = self.slots.get_mut(seg.flow.slot as usize) else {
            return Ok(());
        };
        self.totals.theirs += 1;
        let state = self.lanes[usize::from(live.lane)].watch().known(seg.flow.slot).state;
        let (serial, watched) = (live.serial, live.watched);
        let before = live.pairing.waiting();
        let out = &mut *self.out;
        let mut sent_then = *seg;
        sent_then.at_unix_nanos = seg.at_unix_nanos.saturating_sub(live.distance);
        in_pieces(&sent_then, live.text_max, |piece| {
            let sent = live.theirs(piece);
            live.pairing.on_theirs(piece, sent, &state);
            if watched {
                out.on_mark(serial, Mark::Sent(Side::Theirs, sent));
            }
        });
        if let Some(cut) = live.cut
            && live.pairing.inferred.max > cut
            && live.meaningless.is_none()
        {
            live.meaningless = Some((Meaningless::ScriptCut, seg.frame, seg.at_unix_nanos));
            live.pairing.stop();
        }
        self.waiting = self.waiting + live.pairing.waiting() - before;
        if self.waiting > WAITING_ALL_MAX && live.pairing.waiting() > 64 {
            self.waiting -= live.pairing.waiting();
            live.meaningless = Some((Meaningless::NoMemory, seg.frame, seg.at_unix_nanos));
            live.pairing.stop();
        }
        Ok(())
    }

    /// Before our stack's state changes: what kept it from sending what the captured server has sent.
    fn note_limit(&mut self, seg: &TapeSegment<'_>) {
        let Some(Slot::Live(live)) = self.slots.get_mut(seg.flow.slot as usize) else { return };
        if !live.pairing.wants_limit(seg.at_unix_nanos) {
            return;
        }
        let lane = &mut self.lanes[usize::from(live.lane)];
        let known = *lane.watch().known(seg.flow.slot);
        let ready = lane.app().ready_upto(seg.flow.slot);
        live.pairing.note_limit(limit(&known.state, ready > live.our_max));
    }

    /// A segment of the client: it goes to our stack.
    fn on_client(&mut self, seg: &TapeSegment<'_>) -> io::Result<()> {
        self.note_limit(seg);
        let slot = seg.flow.slot;
        let Some(Slot::Live(live)) = self.slots.get(slot as usize) else { return Ok(()) };
        let lane = usize::from(live.lane);
        let established = live.client_max > 0 || !seg.flags.contains(TcpFlags::SYN);
        if !self.lanes[lane].staged().1 {
            self.flush_lane(lane)?;
        }
        // What it acknowledges may be sent at this very time.
        let acks = seg.flags.contains(TcpFlags::ACK) && !seg.flags.contains(TcpFlags::RST);
        let mut known = *self.lanes[lane].watch().known(slot);
        if acks && established && seg.ack.gt(known.snd_max) {
            self.flush_lane(lane)?;
            known = *self.lanes[lane].watch().known(slot);
        }
        let Some(Slot::Live(live)) = self.slots.get_mut(slot as usize) else { return Ok(()) };
        let before = live.pairing.waiting();
        let unsent = acks && established && seg.ack.gt(known.snd_max);
        let opened = known.state.mss > 0;
        if unsent && opened && live.meaningless.is_none() {
            live.meaningless = Some((Meaningless::AckOfUnsent, seg.frame, seg.at_unix_nanos));
            live.pairing.overtaken(&known.state);
        }
        let beyond = seg.seq + seg.len;
        if opened && seg.len > 0 && beyond.gt(known.rcv_nxt + known.rcv_wnd) {
            // In flight at the same time it may be what this turn takes.
            self.waiting = self.waiting + live.pairing.waiting() - before;
            self.flush_lane(lane)?;
            known = *self.lanes[lane].watch().known(slot);
            let Some(Slot::Live(live)) = self.slots.get_mut(slot as usize) else { return Ok(()) };
            if beyond.gt(known.rcv_nxt + known.rcv_wnd) && live.meaningless.is_none() {
                let why = Meaningless::TextBeyondWindow;
                live.meaningless = Some((why, seg.frame, seg.at_unix_nanos));
                self.waiting -= live.pairing.waiting();
                live.pairing.overtaken(&known.state);
            }
            return self.feed(seg, &known, unsent && opened);
        }
        self.waiting = self.waiting + live.pairing.waiting() - before;
        self.feed(seg, &known, unsent && opened)
    }

    /// Stages the segment for the next turn, translated.
    fn feed(&mut self, seg: &TapeSegment<'_>, known: &Known, unsent: bool) -> io::Result<()> {
        let Some(Slot::Live(live)) = self.slots.get_mut(seg.flow.slot as usize) else {
            return Ok(());
        };
        let lane = usize::from(live.lane);
        let end = offset(live.client_isn, live.client_max, seg.seq) + i64::from(seg.len);
        live.client_max = live.client_max.max(end.max(0) as u64);
        let mut options = seg.options;
        live.repair(&mut options, seg.flags);
        live.translate(&mut options, known);
        let ack = if unsent { known.snd_max } else { seg.ack };
        let before = live.pairing.waiting();
        live.pairing.on_client(seg, &known.state);
        self.waiting = self.waiting + live.pairing.waiting() - before;
        if live.watched {
            let inferred = &live.pairing.inferred;
            let (acked, edge) = (inferred.una, inferred.una + inferred.window);
            self.out.on_mark(live.serial, Mark::Acked { at: seg.at_unix_nanos, acked, edge });
        }
        let (from, alone) = (live.synthetic, live.alone);
        let mut at = 0;
        loop {
            let len = (seg.len - at).min(TEXT_MAX);
            let last = at + len == seg.len;
            let ends = if last { TcpFlags(0) } else { TcpFlags::FIN | TcpFlags::PSH };
            let known_text = seg.text.get(at as usize..).unwrap_or(&[]);
            let frame = ClientFrame {
                from,
                seq: seg.seq + at,
                ack,
                flags: TcpFlags(seg.flags.0 & !ends.0),
                window: seg.window,
                options: &options,
                ecn: seg.ecn,
                text: known_text,
                len,
            };
            if !self.lanes[lane].staged().1 {
                self.flush_lane(lane)?;
            }
            self.lanes[lane].stage(&frame);
            self.totals.fed += 1;
            at += len;
            if last {
                break;
            }
        }
        if alone { self.flush_lane(lane) } else { Ok(()) }
    }

    /// A connection is over: what is left of it in our stack goes.
    fn on_end(&mut self, slot: u32, serial: u32) -> io::Result<()> {
        let lane = match self.slots.get(slot as usize) {
            Some(Slot::Live(live)) if live.serial == serial => usize::from(live.lane),
            Some(Slot::PassedOver(passed)) if *passed == serial => {
                self.slots[slot as usize] = Slot::Empty;
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.flush_lane(lane)?;
        let known = *self.lanes[lane].watch().known(slot);
        let Slot::Live(mut live) = std::mem::replace(&mut self.slots[slot as usize], Slot::Empty)
        else {
            return Ok(());
        };
        self.waiting -= live.pairing.waiting();
        live.pairing.finish(self.now, &known.state);
        let report = live.report();
        self.totals.summary.add(&report);
        self.out.on_connection(&report);
        // A reset from the client ends it in any state. Nobody looks at what is said to it.
        let reset = ClientFrame {
            from: live.synthetic,
            seq: known.rcv_nxt,
            ack: SeqNumber(0),
            flags: TcpFlags::RST,
            window: 0,
            options: &TcpOptions::default(),
            ecn: Ecn::NotEct,
            text: &[],
            len: 0,
        };
        self.lanes[lane].stage(&reset);
        self.flush_lane(lane)?;
        self.lanes[lane].app().forget(slot);
        self.lanes[lane].watch_mut().forget(slot);
        Ok(())
    }
}

impl<O> std::fmt::Debug for OpenLoop<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let alive: u32 = self.lanes.iter().map(Lane::connections).sum();
        f.debug_struct("OpenLoop")
            .field("now", &self.now)
            .field("connections", &alive)
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

impl Live {
    /// A segment of the captured server in the terms of the comparison.
    fn theirs(&self, seg: &TapeSegment<'_>) -> Sent {
        let syn = seg.flags.contains(TcpFlags::SYN);
        Sent {
            at: seg.at_unix_nanos,
            frame: seg.frame,
            from: self.pairing.inferred.offset_of(seg),
            len: seg.len,
            window: u32::from(seg.window) << if syn { 0 } else { self.shift },
            acked: seg.ack.0.wrapping_sub(self.client_isn.0.wrapping_add(1)),
            echo: seg.options.timestamps.map_or(0, |ts| ts.ecr),
            options: Sent::options(&seg.options),
            flags: seg.flags,
            ecn: seg.ecn,
            kind: Kind::Ack,
        }
    }

    /// Timestamps that the capture has cut off: the client's last one again, which echoes nothing.
    fn repair(&mut self, options: &mut TcpOptions, flags: TcpFlags) {
        let Some(stamp) = &mut self.client_stamp else { return };
        match options.timestamps {
            Some(ts) => *stamp = ts.val,
            None if !flags.intersects(TcpFlags::RST | TcpFlags::SYN) => {
                options.timestamps = Some(Timestamps { val: *stamp, ecr: 0 });
            }
            None => (),
        }
    }

    /// From the captured server's numbers to ours: the clock's ticks, and blocks of what ours has
    /// not sent.
    fn translate(&self, options: &mut TcpOptions, known: &Known) {
        let (first, per_second) = self.clock;
        if per_second != 1_000
            && let Some(ts) = &mut options.timestamps
            && ts.ecr != 0
        {
            let ticks = i64::from(ts.ecr.wrapping_sub(first) as i32);
            let millis = ticks * 1_000 / i64::from(per_second.max(1));
            ts.ecr = first.wrapping_add(millis as u32);
        }
        if !options.sack.is_empty() {
            let mut kept = SackBlocks::default();
            for &(left, right) in options.sack.as_slice() {
                if right.le(known.snd_max) {
                    kept.push(left, right);
                }
            }
            options.sack = kept;
        }
    }

    fn report(&self) -> ConnectionReport {
        ConnectionReport {
            serial: self.serial,
            client: self.client,
            server: self.server,
            opened_at: self.opened_at,
            compared: self.pairing.compared(),
            first: self.pairing.first().copied(),
            parting: self.pairing.parting().copied(),
            counts: *self.pairing.counts(),
            meaningless: self.meaningless,
            our_again: *self.pairing.again(Side::Ours),
            their_again: *self.pairing.again(Side::Theirs),
            farthest: self.pairing.farthest(),
            damaged: 0,
        }
    }
}

/// What keeps our stack from sending more; `has_more`: its application has.
fn limit(state: &OurState, has_more: bool) -> Limit {
    if !has_more {
        Limit::Application
    } else if state.flight + state.mss > state.cwnd {
        Limit::Congestion
    } else if state.flight + state.mss > state.window {
        Limit::Client
    } else {
        Limit::Other
    }
}

/// A segment captured before segmentation, in the pieces that the device made of it.
fn in_pieces(seg: &TapeSegment<'_>, text_max: u32, mut each: impl FnMut(&TapeSegment<'_>)) {
    if seg.len <= text_max {
        each(seg);
        return;
    }
    let mut at = 0;
    while at < seg.len {
        let len = (seg.len - at).min(text_max);
        let mut piece = *seg;
        piece.seq = seg.seq + at;
        piece.len = len;
        if at + len < seg.len {
            piece.flags = TcpFlags(seg.flags.0 & !(TcpFlags::FIN | TcpFlags::PSH).0);
        }
        if at > 0 {
            piece.flags = TcpFlags(piece.flags.0 & !TcpFlags::CWR.0);
        }
        each(&piece);
        at += len;
    }
}

/// A stack for each of the most frequent shapes.
fn lanes<S: Spool + 'static>(
    prepared: &Prepared<S>,
    options: &OpenOptions,
    base: u64,
) -> Vec<Lane> {
    let mut shapes: Vec<(Shape, ShapeCount)> =
        prepared.shapes.iter().map(|(shape, count)| (*shape, *count)).collect();
    shapes.sort_by_key(|(shape, count)| (std::cmp::Reverse(count.connections), *shape));
    shapes.truncate(LANES_MAX);
    let connections = prepared.slots.min(app::SLOTS_MAX) + 16;
    let (profile, keeps) = (&options.profile, options.wants_frames);
    let text = || prepared.text.clone().map(|text| text as Rc<RefCell<dyn Spool>>);
    shapes
        .into_iter()
        .map(|(shape, count)| Lane::new(profile, shape, count, connections, base, keeps, text()))
        .collect()
}
