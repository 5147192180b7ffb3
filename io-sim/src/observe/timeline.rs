//! The frames of a run in the order in which they were sent, flow by flow and link by link: what a
//! time-sequence graph is drawn from.

use crate::hash::{EventRecord, EventTap, Fate};
use crate::oracle::FlowName;
use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// How much a [`Timeline`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineConfig {
    /// TCP segments, at most, 88 bytes each: the first ones are kept.
    pub segments_max: usize,
    /// Queue depths of each direction of a link, at most: the first ones are kept.
    pub depths_max: usize,
}

impl Default for TimelineConfig {
    /// A quarter of a million of each.
    fn default() -> Self {
        Self { segments_max: 1 << 18, depths_max: 1 << 18 }
    }
}

/// A segment that carries text, SYN or FIN, on its way over one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSeen {
    /// When it was handed to the link.
    pub sent_at: Instant,
    /// When it arrived, or was lost.
    pub ended_at: Instant,
    /// How its way ended.
    pub fate: Fate,
    /// Stream offset of its first byte: 0 is the first of the stream.
    pub from: u64,
    /// Stream offset behind its last byte; `from` without text.
    pub upto: u64,
    /// Its control bits.
    pub flags: TcpFlags,
    /// It begins with a number that was sent before.
    pub again: bool,
}

/// What a segment of the other direction acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckSeen {
    /// When it was handed to the link.
    pub sent_at: Instant,
    /// When it arrived, or was lost.
    pub ended_at: Instant,
    /// How its way ended.
    pub fate: Fate,
    /// Everything below this stream offset is acknowledged.
    pub ack: u64,
    /// Where the window ends that it offers.
    pub edge: u64,
    /// Ranges beyond that have come: SACK blocks, as stream offsets.
    pub sack: Vec<(u64, u64)>,
    /// It carries no text, SYN or FIN, and repeats the number and the window of the one before.
    pub duplicate: bool,
}

/// One direction of one connection on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTimeline {
    /// Who sends the text, and to whom.
    pub name: FlowName,
    /// The link.
    pub link: u16,
    /// The direction of the text: 0 from the end named first, 1 towards it.
    pub direction: u8,
    /// Segments with text, SYN or FIN, in the order in which they were sent.
    pub segments: Vec<SegmentSeen>,
    /// What came back, in the order in which it was sent.
    pub acks: Vec<AckSeen>,
}

/// What waits in a queue from some moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// When: a frame was offered then.
    pub at: Instant,
    /// Frames that wait.
    pub frames: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// The queue of one direction of a link over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueTimeline {
    /// The link.
    pub link: u16,
    /// The direction: 0 from the end named first, 1 towards it.
    pub direction: u8,
    /// In the order of time, whenever a frame was offered, it counted in.
    pub depths: Vec<QueueDepth>,
    /// Depths beyond the bound of the record.
    pub unrecorded: u64,
}

/// A segment as it was recorded.
#[derive(Clone, Copy, Debug)]
struct Record {
    sent_at: Instant,
    ended_at: Instant,
    fate: Fate,
    link: u16,
    direction: u8,
    flags: TcpFlags,
    scale: Option<u8>,
    window: u16,
    /// In [`Timeline::names`].
    name: u32,
    seq: SeqNumber,
    ack: SeqNumber,
    len: u32,
    /// SACK blocks, in [`Timeline::sack`]: where, and how many.
    sack: (u32, u8),
}

/// Keeps every TCP segment of a world that fits its bounds: give it to `World::with_tap`, or ask a
/// [`Lab`](crate::lab::Lab) for one.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    config: TimelineConfig,
    records: Vec<Record>,
    names: Vec<FlowName>,
    index: BTreeMap<(SocketAddrV4, SocketAddrV4), u32>,
    sack: Vec<(SeqNumber, SeqNumber)>,
    queues: Vec<QueueTimeline>,
    unrecorded: u64,
}

impl Timeline {
    /// A timeline that keeps so much.
    pub fn new(config: TimelineConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// TCP segments beyond the bound of the record.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded
    }

    /// The queues of the links' directions, in the order in which each first took a frame.
    pub fn queues(&self) -> &[QueueTimeline] {
        &self.queues
    }

    /// Every direction of every connection on every link that it took, in the order in which they
    /// were first seen. A connection that takes over the name of an earlier one begins another.
    pub fn flows(&self) -> Vec<FlowTimeline> {
        let mut order: Vec<&Record> = self.records.iter().collect();
        // Records come when frames end their way; sorting is stable.
        order.sort_by_key(|record| record.sent_at);
        let mut flows = Flows::default();
        for record in order {
            let name = self.names[record.name as usize];
            let (from, blocks) = (record.sack.0 as usize, usize::from(record.sack.1));
            flows.add(name, record, &self.sack[from..from + blocks]);
        }
        flows.list.into_iter().map(|flow| flow.seen).collect()
    }
}

impl EventTap for Timeline {
    const QUEUES: bool = true;

    fn on_event(&mut self, event: &EventRecord<'_>) {
        let Ok(Frame::Tcp(frame)) = wire::parse(event.bytes, false) else { return };
        if self.records.len() >= self.config.segments_max {
            self.unrecorded += 1;
            return;
        }
        let tcp = &frame.tcp;
        let from = SocketAddrV4::new(frame.ip.src, tcp.src_port);
        let to = SocketAddrV4::new(frame.ip.dst, tcp.dst_port);
        let name = *self.index.entry((from, to)).or_insert_with(|| {
            self.names.push(FlowName { from, to });
            self.names.len() as u32 - 1
        });
        let blocks = tcp.options.sack.as_slice();
        let sack = (self.sack.len() as u32, blocks.len() as u8);
        self.sack.extend_from_slice(blocks);
        self.records.push(Record {
            sent_at: event.sent_at,
            ended_at: event.at,
            fate: event.fate,
            link: event.link,
            direction: event.direction,
            flags: tcp.flags,
            scale: tcp.options.window_scale,
            window: tcp.window,
            name,
            seq: tcp.seq,
            ack: tcp.ack,
            len: tcp.payload.len() as u32,
            sack,
        });
    }

    fn on_queue(&mut self, at: Instant, link: u16, direction: u8, frames: u32, bytes: u64) {
        let is_it = |queue: &QueueTimeline| queue.link == link && queue.direction == direction;
        let n = self.queues.iter().position(is_it).unwrap_or_else(|| {
            let (depths, unrecorded) = (Vec::new(), 0);
            self.queues.push(QueueTimeline { link, direction, depths, unrecorded });
            self.queues.len() - 1
        });
        let queue = &mut self.queues[n];
        if queue.depths.len() < self.config.depths_max {
            queue.depths.push(QueueDepth { at, frames, bytes });
        } else {
            queue.unrecorded += 1;
        }
    }
}

/// The flows as they are put together.
#[derive(Default)]
struct Flows {
    list: Vec<Growing>,
    /// The newest of each name and link.
    index: BTreeMap<(SocketAddrV4, SocketAddrV4, u16), usize>,
}

struct Growing {
    seen: FlowTimeline,
    /// The number of the byte before the first: the SYN's.
    isn: SeqNumber,
    /// Behind the highest number sent, counted from the SYN, which is 0.
    sent: u64,
    /// The shift that the other end offered in its SYN, and this end in its own.
    scale: Option<u8>,
    last_ack: Option<(u64, u16)>,
}

impl Flows {
    fn add(&mut self, name: FlowName, record: &Record, sack: &[(SeqNumber, SeqNumber)]) {
        let syn = record.flags.contains(TcpFlags::SYN);
        let key = (name.from, name.to, record.link);
        let known = self.index.get(&key).copied();
        let at = match known {
            Some(at) if !syn || self.list[at].isn == record.seq => at,
            // Without a SYN the first byte seen is number 1.
            _ => self.begin(key, record, if syn { record.seq } else { record.seq - 1 }),
        };
        self.list[at].add_segment(record);
        let reverse = self.index.get(&(name.to, name.from, record.link)).copied();
        if let (Some(reverse), true) = (reverse, record.flags.contains(TcpFlags::ACK)) {
            let shift = match (syn, self.list[at].scale, self.list[reverse].scale) {
                (false, Some(shift), Some(_)) => shift.min(14),
                _ => 0,
            };
            self.list[reverse].add_ack(record, sack, shift);
        }
    }

    fn begin(
        &mut self,
        key: (SocketAddrV4, SocketAddrV4, u16),
        record: &Record,
        isn: SeqNumber,
    ) -> usize {
        let seen = FlowTimeline {
            name: FlowName { from: key.0, to: key.1 },
            link: record.link,
            direction: record.direction,
            segments: Vec::new(),
            acks: Vec::new(),
        };
        self.list.push(Growing { seen, isn, sent: 0, scale: record.scale, last_ack: None });
        self.index.insert(key, self.list.len() - 1);
        self.list.len() - 1
    }
}

impl Growing {
    /// The number of a sequence number, counted from the SYN: the one next to what was sent.
    fn unwrap(&self, seq: SeqNumber) -> u64 {
        let distance = seq.since(self.isn + self.sent as u32) as i32;
        self.sent.saturating_add_signed(i64::from(distance))
    }

    fn add_segment(&mut self, record: &Record) {
        let syn = u64::from(record.flags.contains(TcpFlags::SYN));
        let fin = u64::from(record.flags.contains(TcpFlags::FIN));
        if syn + fin == 0 && record.len == 0 {
            return;
        }
        let number = self.unwrap(record.seq);
        let from = (number + syn).saturating_sub(1);
        let upto = from + u64::from(record.len);
        let again = number < self.sent;
        // The second of two that a link made of one was sent once.
        let again = again && record.fate != Fate::ArrivedAgain;
        self.sent = self.sent.max(number + syn + u64::from(record.len) + fin);
        self.seen.segments.push(SegmentSeen {
            sent_at: record.sent_at,
            ended_at: record.ended_at,
            fate: record.fate,
            from,
            upto,
            flags: record.flags,
            again,
        });
    }

    fn add_ack(&mut self, record: &Record, sack: &[(SeqNumber, SeqNumber)], shift: u8) {
        let offset = |seq: SeqNumber| self.unwrap(seq).saturating_sub(1);
        let ack = offset(record.ack);
        let sack = sack.iter().map(|(left, right)| (offset(*left), offset(*right))).collect();
        let counted = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        let pure = record.len == 0 && !record.flags.intersects(counted);
        let same = self.last_ack.replace((ack, record.window)) == Some((ack, record.window));
        self.seen.acks.push(AckSeen {
            sent_at: record.sent_at,
            ended_at: record.ended_at,
            fate: record.fate,
            ack,
            edge: ack + (u64::from(record.window) << shift),
            sack,
            duplicate: pure && same && record.fate != Fate::ArrivedAgain,
        });
    }
}
