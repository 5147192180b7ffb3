//! Segments to connections: which one, which way, where in its stream; and what became of each.
//!
//! Knows nothing of turns, timers or what a server should have done. Memory is bounded whatever the
//! capture holds: the bounds are in [`FlowOptions`], and what falls out by one is counted.
//!
//! Every frame of a capture goes in: those with a segment by [`FlowTable::on_segment`], the others by
//! [`FlowTable::on_other`] and [`FlowTable::on_fragment`], or all by [`FlowTable::on_item`]. After
//! each, [`FlowTable::poll_ended`] is asked until it answers none; after the last,
//! [`FlowTable::finish`], and the same again. Then [`Counts::accounted`] equals the frames given.
//!
//! Read in this order: [`FlowTable`], `table` (one connection), [`stream`] (sequence space),
//! [`class`], `echo` (frames captured twice), [`select`] (filters).

pub mod class;
mod counts;
mod echo;
mod key;
mod place;
pub mod select;
pub mod stream;
mod table;

pub use class::{Class, Ending, Reason, Side, Verdict};
pub use counts::{ClassCount, Counts, SERVERS_MAX, ServerCount};
pub use select::{Net, Selection, ServerAddr};
pub use stream::{Stream, Text};
pub use table::{Flow, FlowId, Found, Stage, SynSeen};

use echo::Echoes;
use hashbrown::HashTable;
use key::FlowKey;
use simoom_core::wire::TcpFlags;
use simoom_pcap::dissect::{ChecksumSeen, Dissected, OtherKind, Segment};
use simoom_pcap::read::FrameInfo;
use simoom_pcap::segments::Item;
use std::collections::VecDeque;

/// Bounds and filters.
#[derive(Clone, Copy, Debug)]
pub struct FlowOptions {
    /// Connections past their handshake that are followed at once. One more evicts one that
    /// has been silent for long.
    pub live_max: usize,
    /// Connections in their handshake that are kept at once. One more, as in a SYN flood, evicts the
    /// oldest.
    pub half_open_max: usize,
    /// Closed connections that wait for late frames. One more ends the oldest.
    pub closed_max: usize,
    /// How long a closed connection waits for late frames at most, in nanoseconds of the capture:
    /// four minutes is twice the MSL of RFC 9293 §3.4.2.
    pub closed_linger_nanos: u64,
    /// Which connections are wanted.
    pub selection: Selection,
    /// Whether a segment with a wrong checksum is taken all the same.
    pub ignore_checksums: bool,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            live_max: 40_000,
            half_open_max: 32_768,
            closed_max: 4_096,
            closed_linger_nanos: 240_000_000_000,
            selection: Selection::default(),
            ignore_checksums: false,
        }
    }
}

/// Where a segment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The connection.
    pub flow: FlowId,
    /// Its place in the table, below [`FlowTable::slots`]: given to another connection once
    /// [`FlowTable::poll_ended`] has told that this one is over.
    pub slot: usize,
    /// Who sent it.
    pub from: Side,
    /// Whether it is the connection's first frame.
    pub is_first: bool,
    /// Whether the filters want the connection, as far as that can be told already.
    pub is_wanted: bool,
    /// Whether the frame is a copy of one before, captured again: to be passed over.
    pub is_copy: bool,
    /// Whether its checksum is wrong, so that its receiver did not take it: to be passed over.
    pub is_damaged: bool,
    /// Whether client and server have just been told apart anew: what was kept by side has to be
    /// exchanged, before this segment is looked at.
    pub is_turned_round: bool,
    /// Stream offset of the first byte of text, or of SYN (-1), in its sender's stream.
    pub seq: i64,
    /// Stream offset that it acknowledges in the other stream; none without ACK.
    pub ack: Option<i64>,
    /// Whether the capture had shown its text before.
    pub text: Text,
}

/// A connection that is over. Its [`Flow`] can be read until the table is called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub flow: FlowId,
    /// Its place.
    pub slot: usize,
    /// Class and reason.
    pub verdict: Verdict,
    /// How it ended.
    pub ending: Ending,
    /// Whether the filters want it.
    pub is_wanted: bool,
}

/// All connections of a capture, one after another.
#[derive(Debug)]
pub struct FlowTable {
    options: FlowOptions,
    by_key: HashTable<u32>,
    flows: Vec<Option<Flow>>,
    free: Vec<u32>,
    /// Half-open, live and closed ones: by [`queue_of`].
    queues: [Queue; 3],
    /// Out of the table, not yet told.
    over: VecDeque<(u32, Ending)>,
    /// Told; its place is free when the table is next called.
    told: Option<u32>,
    next_id: u64,
    /// The latest time seen: captures run backwards at times.
    clock: u64,
    counts: Counts,
    echoes: Echoes,
}

/// Connections in the order in which they came, with stale entries that are passed over.
#[derive(Debug, Default)]
struct Queue {
    /// Place, number, and when it last had a frame, as far as known.
    entries: VecDeque<(u32, FlowId, u64)>,
    len: usize,
}

impl FlowTable {
    /// An empty one.
    pub fn new(options: FlowOptions) -> Self {
        Self {
            options,
            by_key: HashTable::new(),
            flows: Vec::new(),
            free: Vec::new(),
            queues: Default::default(),
            over: VecDeque::new(),
            told: None,
            next_id: 0,
            clock: 0,
            counts: Counts::default(),
            echoes: Echoes::default(),
        }
    }

    /// Where the frames went so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// One more than the highest place that was ever given.
    pub fn slots(&self) -> usize {
        self.flows.len()
    }

    /// The connection at a place.
    ///
    /// # Panics
    ///
    /// Where the place is free.
    pub fn flow(&self, slot: usize) -> &Flow {
        self.flows[slot].as_ref().expect("a place that was given")
    }

    /// Takes any frame; answers where a segment belongs, and none for everything else.
    pub fn on_item(&mut self, item: &Item<'_>) -> Option<Placed> {
        match &item.what {
            Dissected::Segment(segment) => self.on_segment(&item.frame, segment),
            Dissected::Fragment(_) => {
                self.on_fragment();
                None
            }
            Dissected::Other(kind) => {
                self.on_other(*kind);
                None
            }
        }
    }

    /// Counts a frame without a segment.
    pub fn on_other(&mut self, kind: OtherKind) {
        self.counts.frames += 1;
        self.counts.others[kind as usize] += 1;
    }

    /// Counts a part of a datagram that did not complete it.
    pub fn on_fragment(&mut self) {
        self.counts.frames += 1;
        self.counts.fragments += 1;
    }

    /// Takes a segment. None where it is damaged and of no known connection.
    pub fn on_segment(&mut self, frame: &FrameInfo, segment: &Segment<'_>) -> Option<Placed> {
        self.free_told();
        self.counts.frames += 1;
        self.clock = self.clock.max(frame.at_unix_nanos);
        self.end_lingering();
        let (key, src_is_high) = FlowKey::of(segment);
        let hash = key.hash();
        let is_damaged = segment.checksum == ChecksumSeen::Bad && !self.options.ignore_checksums;
        let mut found = self.find(&key, hash);
        if let Some(slot) = found
            && !is_damaged
            && place::begins_another(self.flow(slot as usize), src_is_high, segment)
        {
            let ending = match self.flow(slot as usize).stage {
                Stage::Over(ending) => ending,
                _ => Ending::Replaced,
            };
            self.take_out(slot, ending);
            found = None;
        }
        let is_first = found.is_none();
        if is_first && is_damaged {
            self.counts.damaged_strays += 1;
            return None;
        }
        let slot = match found {
            Some(slot) => slot,
            None => self.begin(key, hash, src_is_high, frame, segment),
        };
        let flow = self.flows[slot as usize].as_mut().expect("found or begun");
        let stage = flow.stage;
        let mut placed =
            place::place(flow, src_is_high, frame, segment, is_damaged, &mut self.echoes);
        placed.slot = slot as usize;
        placed.is_first = is_first;
        let (now, id, is_wanted) = (flow.stage, flow.id, flow.is_wanted);
        placed.is_wanted = is_wanted;
        self.counts.copies += u64::from(placed.is_copy);
        self.counts.damaged += u64::from(placed.is_damaged);
        self.counts.turned_round += u64::from(placed.is_turned_round);
        if segment.flags.contains(TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0))
            && let Some(syn) = flow.syns[1]
            && syn.count == 1
            && syn.frame == frame.number
        {
            let server = flow.server();
            if let Some(server) = self.counts.server(server) {
                server.handshakes += 1;
            }
        }
        if is_first {
            self.queues[queue_of(now)].push(slot, id, frame.at_unix_nanos);
            self.counts.alive_most = self.counts.alive_most.max(self.by_key.len() as u64);
            self.evict();
        } else if queue_of(stage) != queue_of(now) {
            self.queues[queue_of(stage)].len -= 1;
            self.queues[queue_of(now)].push(slot, id, frame.at_unix_nanos);
            self.evict();
        }
        Some(placed)
    }

    /// The next connection that is over, until none.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        self.free_told();
        let (slot, ending) = self.over.pop_front()?;
        self.told = Some(slot);
        let flow = self.flows[slot as usize].as_ref().expect("over and not yet told");
        let verdict = flow.verdict(ending);
        let class = &mut self.counts.classes[verdict.class as usize];
        class.connections += 1;
        class.frames += flow.frames_total();
        class.evicted += u64::from(ending == Ending::Evicted);
        self.counts.found[flow.found as usize] += 1;
        if !matches!(verdict.class, Class::SynOnly | Class::NotToTheServer) {
            match self.counts.server(flow.server()) {
                Some(server) => server.connections += 1,
                None => self.counts.servers_unlisted += 1,
            }
        }
        let around = self.options.selection.around_unix_nanos;
        let is_wanted =
            flow.is_wanted && around.is_none_or(|at| flow.opened_at <= at && at <= flow.last_at);
        Some(Ended { flow: flow.id, slot: slot as usize, verdict, ending, is_wanted })
    }

    /// The capture is over, and with it every connection, in the order of their numbers.
    pub fn finish(&mut self) {
        self.free_told();
        let flows = self.flows.iter().enumerate();
        let left = flows.filter_map(|(slot, flow)| {
            let flow = flow.as_ref().filter(|flow| !flow.is_out)?;
            let ending = match flow.stage {
                Stage::Over(ending) => ending,
                _ => Ending::EndOfCapture,
            };
            Some((flow.id, slot as u32, ending))
        });
        let mut left: Vec<_> = left.collect();
        left.sort_unstable_by_key(|(id, ..)| *id);
        for (_, slot, ending) in left {
            self.take_out(slot, ending);
        }
    }

    fn find(&self, key: &FlowKey, hash: u64) -> Option<u32> {
        let is_it = |slot: &u32| {
            let flow = self.flows[*slot as usize].as_ref().expect("in the table");
            flow.hash == hash && flow.key() == *key
        };
        self.by_key.find(hash, is_it).copied()
    }

    /// Makes room for a connection and gives it its number.
    fn begin(
        &mut self,
        key: FlowKey,
        hash: u64,
        src_is_high: bool,
        frame: &FrameInfo,
        segment: &Segment<'_>,
    ) -> u32 {
        let id = FlowId(self.next_id);
        self.next_id += 1;
        let side = place::server_side(&key, src_is_high, segment, &self.options.selection, |end| {
            self.counts.servers.get(&end).is_some_and(|server| server.handshakes > 0)
        });
        let flow = place::begin(id, key, hash, side, frame, &self.options.selection, segment);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.flows.push(None);
                (self.flows.len() - 1) as u32
            }
        };
        self.flows[slot as usize] = Some(flow);
        let flows = &self.flows;
        self.by_key.insert_unique(hash, slot, |slot| {
            flows[*slot as usize].as_ref().expect("in the table").hash
        });
        slot
    }

    /// Takes a connection out of the table; it is told by `poll_ended`.
    fn take_out(&mut self, slot: u32, ending: Ending) {
        let flow = self.flows[slot as usize].as_mut().expect("in the table");
        flow.is_out = true;
        let (hash, stage) = (flow.hash, flow.stage);
        if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.queues[queue_of(stage)].len -= 1;
        self.over.push_back((slot, ending));
    }

    fn free_told(&mut self) {
        if let Some(slot) = self.told.take() {
            self.flows[slot as usize] = None;
            self.free.push(slot);
        }
    }

    /// The connection of a queue's entry, unless it has gone to another queue or is over.
    fn entry(&self, queue: usize, slot: u32, id: FlowId) -> Option<&Flow> {
        let flow = self.flows[slot as usize].as_ref()?;
        (flow.id == id && !flow.is_out && queue_of(flow.stage) == queue).then_some(flow)
    }

    fn end_lingering(&mut self) {
        let until = self.clock.saturating_sub(self.options.closed_linger_nanos);
        while let Some((slot, id, at)) = self.queues[CLOSED].entries.front().copied() {
            if at > until {
                break;
            }
            self.queues[CLOSED].entries.pop_front();
            if let Some(flow) = self.entry(CLOSED, slot, id) {
                let last_at = flow.last_at;
                if last_at > until {
                    self.queues[CLOSED].entries.push_back((slot, id, last_at));
                } else {
                    self.end_closed(slot);
                }
            }
        }
    }

    fn end_closed(&mut self, slot: u32) {
        if let Stage::Over(ending) = self.flow(slot as usize).stage {
            self.take_out(slot, ending);
        }
    }

    /// Ends what is beyond the bounds.
    fn evict(&mut self) {
        let options = self.options;
        let bounds = [options.half_open_max, options.live_max, options.closed_max];
        for (queue, most) in bounds.into_iter().enumerate() {
            while self.queues[queue].len > most {
                let Some((slot, id, at)) = self.queues[queue].entries.pop_front() else { break };
                let Some(flow) = self.entry(queue, slot, id) else { continue };
                let last_at = flow.last_at;
                match queue {
                    // It was heard of since; it goes behind those that were not.
                    LIVE if last_at > at => {
                        self.queues[queue].entries.push_back((slot, id, last_at));
                    }
                    CLOSED => self.end_closed(slot),
                    _ => self.take_out(slot, Ending::Evicted),
                }
            }
            if self.queues[queue].entries.len() > 2 * self.queues[queue].len + 1024 {
                let mut entries = std::mem::take(&mut self.queues[queue].entries);
                entries.retain(|(slot, id, _)| self.entry(queue, *slot, *id).is_some());
                self.queues[queue].entries = entries;
            }
        }
    }
}

const HALF_OPEN: usize = 0;
const LIVE: usize = 1;
const CLOSED: usize = 2;

fn queue_of(stage: Stage) -> usize {
    match stage {
        Stage::SynSent | Stage::SynReceived => HALF_OPEN,
        Stage::Open => LIVE,
        Stage::Over(_) => CLOSED,
    }
}

impl Queue {
    fn push(&mut self, slot: u32, id: FlowId, at: u64) {
        self.entries.push_back((slot, id, at));
        self.len += 1;
    }
}

#[cfg(test)]
mod tests;
