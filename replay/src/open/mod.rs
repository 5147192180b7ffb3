//! Open loop: the captured clients' segments reach our stack when they were captured, and what it
//! sends is laid beside what the captured server sent.
//!
//! Our stack begins every connection with the captured server's initial sequence number and
//! timestamp, so that acknowledgements, SACK blocks and timestamp echoes fit without being
//! rewritten; what cannot fit is cut to what was sent. The clients do not react to our stack: from the
//! first acknowledgement of something that it has not sent ([`Meaningless`]) a connection is played
//! on, but no longer compared.
//!
//! Read [`profile`] (whose configuration), `lane` (a stack), `app` (what it says), `files` (answers
//! in HTTP), `frame` and `watch`
//! (in and out), then [`OpenLoop`].

mod app;
mod files;
mod frame;
mod lane;
mod live;
mod output;
mod port;
pub mod profile;
mod watch;
pub mod wire;

pub use files::Files;
pub use output::{Mark, NoOutput, OurFrame, Output};
pub use profile::{Announces, Profile};

use crate::compare::summary::Meaningless;
use crate::compare::{Again, Kind, Sent, Side, Summary};
use crate::content::Content;
use crate::prepare::{Prepared, Shape, ShapeCount};
use crate::script::build::offset;
use crate::script::store::Spool;
use crate::tape::{Record, TapeReader, TapeSegment};
use app::Manners;
use files::Texts;
use frame::{ClientFrame, TEXT_MAX};
use lane::Lane;
use live::{Live, in_pieces, limit};
use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::{TcpFlags, TcpOptions};
use simoom_pcap::dissect::Ecn;
use std::cell::RefCell;
use std::io::{self, Read};
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
    /// What answers clients whose octets read as HTTP. Their octets must be on the tape, and those of
    /// the servers kept, for answers to be asked for and compared.
    pub files: Option<Files>,
}

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
    /// Connections answered from files.
    pub from_files: u64,
    /// Their answers whose heads were compared with captured ones.
    pub heads_compared: u64,
    /// Their answers without a captured one that can be read.
    pub heads_unread: u64,
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
            // Ends by itself: a connection gives up after so many timeouts.
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
        self.take_heads(lane, at);
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

    /// Heads of answers are noted before what carries them.
    fn take_heads(&mut self, lane: usize, at: u64) {
        if self.options.files.is_none() {
            return;
        }
        let heads = self.lanes[lane].app().heads();
        self.totals.heads_compared += std::mem::take(&mut heads.compared);
        self.totals.heads_unread += std::mem::take(&mut heads.unread);
        for (slot, found) in std::mem::take(&mut heads.found) {
            let state = self.lanes[lane].watch().known(slot).state;
            let Some(Slot::Live(live)) = self.slots.get_mut(slot as usize) else { continue };
            if live.pairing.is_over() {
                continue;
            }
            let before = live.pairing.waiting();
            live.pairing.on_head(
                (at.max(self.base), live.last_frame),
                found.moves_the_rest(),
                &state,
            );
            self.waiting = self.waiting + live.pairing.waiting() - before;
            live.head.get_or_insert_with(|| Box::new(found));
        }
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
        let is_wanted = slot < app::SLOTS_MAX
            && prepared.only.as_ref().is_none_or(|only| only.contains(&serial));
        let script = if is_wanted { prepared.scripts.get(serial)? } else { None };
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
        self.totals.from_files += u64::from(self.lanes[lane].app().answers(&script));
        let watched = self.out.watches(serial);
        let live = Live::new(&script, lane as u8, self.options.profile.rules, watched);
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
        live.last_frame = seg.frame;
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
        .map(|(shape, count)| {
            let scripts = Content::synthetic(keeps).with_captured(text());
            let texts = Texts::new(scripts, options.files.as_ref(), keeps);
            Lane::new(profile, shape, count, connections, base, texts)
        })
        .collect()
}
