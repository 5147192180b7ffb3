//! The first pass: the capture is read once, split into connections, and each becomes a script and
//! its part of the tape.

use crate::content::keep::Keeper;
use crate::flow::{Class, Counts, Ended, FlowOptions, FlowTable, Placed, Side};
use crate::script::build::Builder;
use crate::script::store::{ScriptStore, Spool};
use crate::script::{Script, WriteOp};
use crate::tape::{FlowRef, TapeSegment, TapeWriter};
use simoom_core::wire::tcp::TcpFlags;
use simoom_pcap::dissect::{Dissected, OptionsSeen, Segment};
use simoom_pcap::read::FrameInfo;
use simoom_pcap::segments::Item;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::rc::Rc;

/// Bytes that scripts of connections still alive may take, all together. One that finds no room
/// ends where it is ([`Script::cut`]).
pub const SCRIPT_BYTES_MAX: usize = 48 << 20;

/// Different SYN-ACKs that are told apart, at most; others go with one that is near.
pub const SHAPES_MAX: usize = 64;

/// What a server announced on its SYN-ACK that our stack must have in its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// MSS; 536 where it said none.
    pub mss: u16,
    /// Window shift; None where it offered none to a client that did.
    pub window_scale: Option<u8>,
    /// Whether it answers timestamps.
    pub timestamps: bool,
    /// Whether it answers SACK permitted.
    pub sack_permitted: bool,
}

/// How many connections have a shape, and the largest window that one of them announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShapeCount {
    /// Connections.
    pub connections: u64,
    /// Bytes.
    pub window_max: u32,
}

impl Shape {
    /// The shape of a script's server. What the client did not ask for, the server would have
    /// answered like the others: it is told by `usual`.
    pub fn of(script: &Script, usual: &Self) -> Self {
        let (syn, answer) = (&script.syn, &script.syn_ack);
        Self {
            mss: answer.mss.unwrap_or(536),
            window_scale: match syn.window_scale {
                Some(_) => answer.window_scale,
                None => usual.window_scale,
            },
            timestamps: match syn.timestamps {
                Some(_) => answer.timestamps.is_some(),
                None => usual.timestamps,
            },
            sack_permitted: match syn.sack_permitted {
                true => answer.sack_permitted,
                false => usual.sack_permitted,
            },
        }
    }

    /// How unlike two shapes are.
    pub fn distance(&self, other: &Self) -> u32 {
        u32::from(self.mss.abs_diff(other.mss))
            + 100_000 * u32::from(self.timestamps != other.timestamps)
            + 1_000 * u32::from(self.window_scale != other.window_scale)
            + u32::from(self.sack_permitted != other.sack_permitted)
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self { mss: 1_460, window_scale: Some(7), timestamps: true, sack_permitted: true }
    }
}

/// What the first pass is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrepareOptions {
    /// How connections are told apart, and which are wanted.
    pub flows: FlowOptions,
    /// Whether the octets of clients are kept on the tape.
    pub keeps_requests: bool,
    /// Whether a frame that looks as if it had been captured twice did come twice: so it is where
    /// the server's own recorder captured it.
    pub takes_copies: bool,
}

/// What the first pass found.
#[derive(Debug)]
pub struct Prepared<S> {
    /// Where every frame went.
    pub counts: Counts,
    /// Scripts, one for each connection that can be replayed.
    pub scripts: ScriptStore<S>,
    /// What servers announced.
    pub shapes: BTreeMap<Shape, ShapeCount>,
    /// Shapes beyond [`SHAPES_MAX`], in connections.
    pub shapes_unlisted: u64,
    /// Connections alive at once, at most, places counted.
    pub slots: u32,
    /// The only connections to be replayed, by number; None for all that have a script.
    pub only: Option<BTreeSet<u32>>,
    /// When the first frame was captured, in nanoseconds since 1970.
    pub first_at: u64,
    /// When the last one was.
    pub last_at: u64,
    /// Records on the tape.
    pub records: u64,
    /// Scripts that were cut for want of room.
    pub scripts_cut: u64,
    /// Wanted connections that are not replayed, by class.
    pub left_out: BTreeMap<Class, u64>,
    /// Those of them that could be replayed but for their SYN or SYN-ACK, whose options were cut off or
    /// whose sides were mistaken at first.
    pub handshakes_unread: u64,
    /// The servers' text, where it was kept.
    pub text: Option<Rc<RefCell<S>>>,
    /// Gaps in that text, over all scripts, and their octets: filled synthetically.
    pub text_gaps: (u64, u64),
}

/// The first pass.
#[derive(Debug)]
pub struct Preparation<W, S> {
    options: PrepareOptions,
    table: FlowTable,
    tape: TapeWriter<W>,
    scripts: ScriptStore<S>,
    /// By slot.
    builders: Vec<Option<Box<Builder>>>,
    /// The servers' text, where its next region begins, and what of it is there, by slot.
    text: Option<S>,
    text_end: u64,
    keepers: Vec<Option<Keeper>>,
    text_gaps: (u64, u64),
    script_bytes: usize,
    shapes: BTreeMap<Shape, ShapeCount>,
    shapes_unlisted: u64,
    first_at: u64,
    last_at: u64,
    scripts_cut: u64,
    left_out: BTreeMap<Class, u64>,
    handshakes_unread: u64,
}

impl<W: Write, S: Spool> Preparation<W, S> {
    /// A pass that has seen nothing, with its tape and two spools for scripts.
    pub fn new(options: PrepareOptions, tape: W, index: S, scripts: S) -> Self {
        Self {
            options,
            table: FlowTable::new(options.flows),
            tape: TapeWriter::new(tape),
            scripts: ScriptStore::new(index, scripts),
            builders: Vec::new(),
            text: None,
            text_end: 0,
            keepers: Vec::new(),
            text_gaps: (0, 0),
            script_bytes: 0,
            shapes: BTreeMap::new(),
            shapes_unlisted: 0,
            first_at: 0,
            last_at: 0,
            scripts_cut: 0,
            left_out: BTreeMap::new(),
            handshakes_unread: 0,
        }
    }

    /// The same, keeping the servers' text on a third spool.
    #[must_use]
    pub fn keeping_text(self, spool: S) -> Self {
        Self { text: Some(spool), ..self }
    }

    /// Takes in one frame of the capture.
    ///
    /// # Errors
    /// What the tape and the spools answer.
    pub fn on_item(&mut self, item: &Item<'_>) -> io::Result<()> {
        if self.first_at == 0 {
            self.first_at = item.frame.at_unix_nanos;
        }
        self.last_at = self.last_at.max(item.frame.at_unix_nanos);
        let Dissected::Segment(segment) = &item.what else {
            self.table.on_item(item);
            return Ok(());
        };
        let Some(placed) = self.table.on_segment(&item.frame, segment) else { return Ok(()) };
        self.end_those_over()?;
        let passed_over = placed.is_copy && !self.options.takes_copies;
        if passed_over || placed.is_damaged || !placed.is_wanted {
            return Ok(());
        }
        self.on_segment(&item.frame, segment, &placed)
    }

    fn on_segment(
        &mut self,
        frame: &FrameInfo,
        segment: &Segment<'_>,
        placed: &Placed,
    ) -> io::Result<()> {
        let slot = placed.slot;
        let flow = FlowRef { slot: slot as u32, serial: placed.flow.0 as u32 };
        let to_server = placed.from == Side::Client;
        let text = if to_server && self.options.keeps_requests { segment.payload } else { &[] };
        let at = (frame.number, frame.at_unix_nanos);
        let mut seg = TapeSegment::new(flow, at, to_server, segment, text);
        if self.builders.len() <= slot {
            self.builders.resize_with(slot + 1, || None);
        }
        if self.builders[slot].is_none() {
            // Only a SYN begins what can be replayed; its answer may have been captured first.
            if !segment.flags.contains(TcpFlags::SYN) {
                return Ok(());
            }
            let [client, server] = self.table.flow(slot).ends;
            self.builders[slot] = Some(Box::new(Builder::new(flow, client, server)));
        }
        let Some(builder) = &mut self.builders[slot] else { return Ok(()) };
        if placed.is_turned_round
            || (segment.flags.contains(TcpFlags::SYN)
                && segment.options_seen == OptionsSeen::UpToCut)
        {
            builder.spoil();
        }
        if let Some(spool) = &mut self.text
            && !to_server
            && let Some(at) = builder.place_of_text(&seg)
        {
            if self.keepers.len() <= slot {
                self.keepers.resize_with(slot + 1, || None);
            }
            let keeper = self.keepers[slot].get_or_insert_default();
            seg.rewrites = keeper.put(spool, &mut self.text_end, at, segment.payload)?;
        }
        if to_server && self.options.keeps_requests {
            builder.on_request(&seg, segment.payload);
        }
        let room = self.script_bytes + size_of::<WriteOp>() <= SCRIPT_BYTES_MAX;
        let before = builder.held_bytes();
        builder.on_segment(&seg, room);
        self.script_bytes += builder.held_bytes() - before;
        self.tape.segment(&seg)
    }

    fn end_those_over(&mut self) -> io::Result<()> {
        while let Some(ended) = self.table.poll_ended() {
            self.end(&ended)?;
        }
        Ok(())
    }

    fn end(&mut self, ended: &Ended) -> io::Result<()> {
        let builder = self.builders.get_mut(ended.slot).and_then(Option::take);
        let keeper = self.keepers.get_mut(ended.slot).and_then(Option::take);
        let flow = FlowRef { slot: ended.slot as u32, serial: ended.flow.0 as u32 };
        let replayable = matches!(ended.verdict.class, Class::Complete | Class::EndsInTheMiddle);
        if let Some(builder) = builder {
            self.script_bytes -= builder.held_bytes();
            self.tape.end(flow)?;
            if ended.is_wanted
                && replayable
                && let Some(mut script) = builder.finish()
            {
                script.kept = keeper.map(|keeper| keeper.finish(script.server_bytes));
                for (from, upto) in script.kept.iter().flat_map(|kept| &kept.gaps) {
                    self.text_gaps.0 += 1;
                    self.text_gaps.1 += upto - from;
                }
                self.scripts_cut += u64::from(script.cut.is_some());
                self.note_shape(&script);
                return self.scripts.put(&script);
            }
        }
        if ended.is_wanted {
            self.handshakes_unread += u64::from(replayable);
            *self.left_out.entry(ended.verdict.class).or_default() += 1;
        }
        Ok(())
    }

    fn note_shape(&mut self, script: &Script) {
        let shape = Shape::of(script, &Shape::default());
        if self.shapes.len() >= SHAPES_MAX && !self.shapes.contains_key(&shape) {
            self.shapes_unlisted += 1;
            return;
        }
        let count = self.shapes.entry(shape).or_default();
        count.connections += 1;
        count.window_max = count.window_max.max(script.window_max);
    }

    /// The capture is over: the tape, and what was found.
    ///
    /// # Errors
    /// What the tape and the spools answer.
    pub fn finish(mut self) -> io::Result<(W, Prepared<S>)> {
        self.table.finish();
        self.end_those_over()?;
        let records = self.tape.records();
        let prepared = Prepared {
            counts: self.table.counts().clone(),
            scripts: self.scripts,
            shapes: self.shapes,
            shapes_unlisted: self.shapes_unlisted,
            slots: self.table.slots() as u32,
            only: None,
            first_at: self.first_at,
            last_at: self.last_at,
            records,
            scripts_cut: self.scripts_cut,
            left_out: self.left_out,
            handshakes_unread: self.handshakes_unread,
            text: self.text.map(|text| Rc::new(RefCell::new(text))),
            text_gaps: self.text_gaps,
        };
        Ok((self.tape.finish()?, prepared))
    }
}
