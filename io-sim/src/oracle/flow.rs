//! What is known of each connection: what either side has sent, and what has reached the other.
//!
//! Offsets are counted from the SYN, which is number 0; the first byte of the stream is number 1.

use super::text::{Chunks, Text};
use super::{FlowName, OracleConfig, OracleStats, WireViolation};
use crate::observe::FlowStats;
use hashbrown::HashMap;
use simoom_core::seq::SeqNumber;
use simoom_core::time::Instant;
use simoom_core::wire::TcpFrame;
use simoom_core::wire::tcp::{TcpFlags, TcpSegment};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Both ends of a connection, the lower one first: 32 bits of address and 16 of port each.
type Key = u128;

/// Hashes a [`Key`]. No adversary chooses the keys of a simulation, and nothing iterates.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    #[inline]
    fn write_u128(&mut self, key: u128) {
        let product = u128::from(key as u64 ^ 0x243f_6a88_85a3_08d3)
            * u128::from((key >> 64) as u64 ^ 0x1319_8a2e_0370_7344);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// Every connection that was seen, up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Flows {
    config: OracleConfig,
    index: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
    flows: Vec<Flow>,
    chunks: Chunks,
    /// The slot to be forgotten next, once all are taken.
    oldest: usize,
    /// The connection of the last frame: the next one is likely of the same.
    last: (Key, u32),
    now: Instant,
}

#[derive(Clone, Debug)]
struct Flow {
    key: Key,
    /// What the lower end sends, and what the higher one sends.
    halves: [Half; 2],
    /// What each of them was seen to do.
    stats: [FlowStats; 2],
    /// Which of them sent first.
    opener: usize,
}

/// What one end sends, and how much of it the other end has.
#[derive(Clone, Debug, Default)]
struct Half {
    /// Of the SYN; None before one was seen.
    isn: Option<SeqNumber>,
    /// The shift offered in the SYN.
    scale: Option<u8>,
    /// Behind the last number sent, SYN and FIN counted.
    sent: u64,
    /// The number of the FIN.
    fin: Option<u64>,
    /// Behind the last number that the windows which reached the sender allow.
    edge: Option<u64>,
    /// Numbers that have reached the other end without a gap.
    came: u64,
    /// Ranges beyond `came` that have reached the other end, ascending, disjoint, not touching.
    islands: Vec<(u64, u64)>,
    text: Text,
    /// Somebody who is held to nothing sent, in the name of this end, what this end never did. From then on
    /// the other end may have received anything: its acknowledgements are not checked.
    lied: bool,
    /// The connection that had this name before: late segments of it are still under way, and a
    /// listener that went back to LISTEN may have two initial sequence numbers out at once.
    before: Option<Box<Half>>,
}

impl Flows {
    pub(super) fn new(config: OracleConfig) -> Self {
        Self {
            config,
            index: HashMap::default(),
            flows: Vec::new(),
            chunks: Chunks::default(),
            oldest: 0,
            last: (0, 0),
            now: Instant::ZERO,
        }
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The directions of every connection, in the order in which the connections were first seen,
    /// the direction that sent first before the other.
    pub(super) fn stats(&self) -> impl Iterator<Item = &FlowStats> {
        let (newer, older) = self.flows.split_at(self.oldest.min(self.flows.len()));
        older
            .iter()
            .chain(newer)
            .flat_map(|flow| [&flow.stats[flow.opener], &flow.stats[1 - flow.opener]])
    }

    /// The connection of a frame, and which of its ends is the sender.
    #[inline]
    fn find(&mut self, frame: &TcpFrame<'_>) -> (usize, usize) {
        let end = |ip: Ipv4Addr, port: u16| u128::from(ip.to_bits()) << 16 | u128::from(port);
        let from = end(frame.ip.src, frame.tcp.src_port);
        let to = end(frame.ip.dst, frame.tcp.dst_port);
        let key = from.min(to) << 64 | from.max(to);
        if self.last.0 != key || self.flows.is_empty() {
            let slot = self.index.get(&key).copied().unwrap_or_else(|| self.begin(key, from > to));
            self.last = (key, slot);
        }
        (self.last.1 as usize, usize::from(from > to))
    }

    /// What a segment carries, in words.
    pub(super) fn describe(&self, frame: &TcpFrame<'_>) -> String {
        let tcp = &frame.tcp;
        let from = SocketAddrV4::new(frame.ip.src, tcp.src_port);
        let to = SocketAddrV4::new(frame.ip.dst, tcp.dst_port);
        let name = FlowName { from, to };
        let end = |end: SocketAddrV4| u128::from(end.ip().to_bits()) << 16 | u128::from(end.port());
        let (from, to) = (end(from), end(to));
        let slot = self.index.get(&(from.min(to) << 64 | from.max(to)));
        let half = |n: usize| slot.map(|slot| &self.flows[*slot as usize].halves[n]);
        let offset = |n: usize, seq: SeqNumber| {
            half(n).filter(|half| half.isn.is_some()).map(|half| half.unwrap(seq).saturating_sub(1))
        };
        let (mine, theirs) = (usize::from(from > to), usize::from(from < to));
        let flag = |flag, word| if tcp.flags.contains(flag) { word } else { "" };
        let syn = flag(TcpFlags::SYN, "SYN");
        let fin = flag(TcpFlags::FIN, if tcp.payload.is_empty() { "FIN" } else { " and FIN" });
        if tcp.flags.contains(TcpFlags::RST) {
            format!("RST of {name}")
        } else if let (false, Some(first)) = (tcp.payload.is_empty(), offset(mine, tcp.seq)) {
            format!("bytes {first}..{}{fin} of {name}", first + tcp.payload.len() as u64)
        } else if !syn.is_empty() || !fin.is_empty() {
            let ack = flag(TcpFlags::ACK, "-ACK");
            format!("{syn}{}{fin} of {name}", if syn.is_empty() { "" } else { ack })
        } else {
            match offset(theirs, tcp.ack) {
                Some(acked) => format!("ACK of byte {acked}, {name}"),
                None => format!("a segment of {name}"),
            }
        }
    }

    #[cold]
    fn begin(&mut self, key: Key, opener_is_higher: bool) -> u32 {
        let end =
            |end: u128| SocketAddrV4::new(Ipv4Addr::from_bits((end >> 16) as u32), end as u16);
        let (low, high) = (end(key >> 64), end(key & u128::from(u64::MAX)));
        let flow = Flow {
            key,
            halves: Default::default(),
            stats: [
                FlowStats::new(FlowName { from: low, to: high }),
                FlowStats::new(FlowName { from: high, to: low }),
            ],
            opener: usize::from(opener_is_higher),
        };
        let slot = if self.flows.len() < self.config.flows_max {
            self.flows.push(flow);
            self.flows.len() - 1
        } else {
            let slot = self.oldest;
            self.oldest = (slot + 1) % self.flows.len();
            let mut forgotten = std::mem::replace(&mut self.flows[slot], flow);
            self.index.remove(&forgotten.key);
            for half in &mut forgotten.halves {
                half.give_back(&mut self.chunks);
            }
            slot
        };
        self.index.insert(key, slot as u32);
        slot as u32
    }

    #[inline]
    pub(super) fn on_sent(
        &mut self,
        frame: &TcpFrame<'_>,
        stats: &mut OracleStats,
    ) -> Result<(), WireViolation> {
        let (slot, sender) = self.find(frame);
        let now = self.now;
        let Flow { halves: [low, high], stats: seen, .. } = &mut self.flows[slot];
        let (mine, theirs) = if sender == 0 { (low, high) } else { (high, low) };
        let seen = &mut seen[sender];
        let tcp = &frame.tcp;
        seen.on_sent(now);
        let name = || FlowName {
            from: SocketAddrV4::new(frame.ip.src, tcp.src_port),
            to: SocketAddrV4::new(frame.ip.dst, tcp.dst_port),
        };
        if tcp.flags.contains(TcpFlags::RST) {
            seen.resets += 1;
            return Ok(());
        }
        if !tcp.flags.contains(TcpFlags::SYN) {
            mine.select(tcp.seq);
        } else if mine.isn != Some(tcp.seq) {
            mine.begin(tcp, &mut self.chunks);
            seen.on_new_connection();
        }
        if tcp.flags.contains(TcpFlags::ACK) && !theirs.lied {
            theirs.select(tcp.ack);
            let waits = theirs.isn.is_some() && theirs.unwrap(tcp.ack) < theirs.sent;
            seen.on_ack_sent(tcp.ack, tcp.window, tcp.seg_len() == 0, waits);
            let acknowledged = theirs.check_acknowledged(tcp, &name)?;
            theirs.text.on_acknowledged(acknowledged, &mut self.chunks);
        }
        if mine.isn.is_some() && tcp.seg_len() > 0 {
            let kept = (self.config.bytes_kept, &mut self.chunks);
            mine.check_text(now, tcp, kept, &name, stats, seen)?;
        }
        Ok(())
    }

    /// What a forwarder passes on is what its sender sent before. Anything else is a lie, and what is
    /// known of a liar's own end is only what it announced: its SYN, for the windows that follow.
    pub(super) fn on_sent_unjudged(&mut self, frame: &TcpFrame<'_>) {
        let (slot, sender) = self.find(frame);
        let now = self.now;
        let Flow { halves, stats: seen, .. } = &mut self.flows[slot];
        let (half, seen) = (&mut halves[sender], &mut seen[sender]);
        let tcp = &frame.tcp;
        seen.on_sent(now);
        if tcp.flags.contains(TcpFlags::RST) {
            seen.resets += 1;
            return;
        }
        let syn = tcp.flags.contains(TcpFlags::SYN);
        let is_repeated = |half: &Half| {
            let first = half.unwrap(tcp.seq);
            half.isn.is_some()
                && (!syn || half.isn == Some(tcp.seq))
                && first <= half.sent
                && first.saturating_add(u64::from(tcp.seg_len())) <= half.sent
        };
        let honest = half.sent > 0;
        if honest && (is_repeated(half) || half.before.as_deref().is_some_and(is_repeated)) {
            return;
        }
        half.lied = true;
        if syn && !honest {
            half.isn = Some(tcp.seq);
            // Which of several the other end believes is not known: the largest window counts.
            half.scale = half.scale.max(tcp.options.window_scale);
        }
    }

    #[inline]
    pub(super) fn on_arrived(&mut self, frame: &TcpFrame<'_>) {
        let (slot, sender) = self.find(frame);
        let now = self.now;
        let Flow { halves: [low, high], stats: seen, .. } = &mut self.flows[slot];
        let (mine, theirs) = if sender == 0 { (low, high) } else { (high, low) };
        let tcp = &frame.tcp;
        if tcp.flags.contains(TcpFlags::RST) || mine.isn.is_none() {
            return;
        }
        let syn = tcp.flags.contains(TcpFlags::SYN);
        if mine.lied {
            // A lie is no reason to take another connection for the present one.
        } else if !syn {
            mine.select(tcp.seq);
        } else if mine.isn != Some(tcp.seq) && !mine.return_to(tcp.seq) {
            return;
        }
        if tcp.seg_len() > 0 {
            let first = mine.unwrap(tcp.seq);
            if let Some(end) = first.checked_add(tcp.seg_len().into()) {
                let before = mine.text_came();
                mine.on_came(first, end);
                seen[sender].on_delivered(now, mine.text_came() - before);
            }
        }
        if tcp.flags.contains(TcpFlags::ACK) && theirs.isn.is_some() {
            if !mine.lied {
                theirs.select(tcp.ack);
            }
            let scale = match (syn, mine.scale, theirs.scale) {
                (false, Some(shift), Some(_)) => shift.min(14),
                _ => 0,
            };
            let acknowledged = theirs.unwrap(tcp.ack);
            // An acknowledgement of what was never sent is of the connection before.
            if acknowledged <= theirs.sent {
                let edge = acknowledged + (u64::from(tcp.window) << scale);
                theirs.edge = theirs.edge.max(Some(edge));
                seen[1 - sender].on_acknowledged(now, acknowledged);
            }
        }
    }
}

impl Half {
    /// A SYN with another number is sent: a new connection of the same name.
    #[cold]
    fn begin(&mut self, syn: &TcpSegment<'_>, chunks: &mut Chunks) {
        if self.return_to(syn.seq) {
            return;
        }
        let mut before = std::mem::take(self);
        if let Some(mut oldest) = before.before.take() {
            oldest.give_back(chunks);
        }
        self.isn = Some(syn.seq);
        self.scale = syn.options.window_scale;
        self.text.end = 1;
        self.before = before.isn.map(|_| Box::new(before));
    }

    /// Gives back what is kept of its bytes.
    fn give_back(&mut self, chunks: &mut Chunks) {
        self.text.give_back(chunks);
        if let Some(before) = &mut self.before {
            before.give_back(chunks);
        }
    }

    /// Makes the connection that had this name before the present one, if its SYN had this number.
    #[cold]
    fn return_to(&mut self, isn: SeqNumber) -> bool {
        let Some(mut before) = self.before.take_if(|before| before.isn == Some(isn)) else {
            return false;
        };
        std::mem::swap(self, &mut before);
        self.before = Some(before);
        true
    }

    /// Makes the connection that had this name before the present one, if a sequence number can
    /// only be of that one.
    #[inline]
    fn select(&mut self, seq: SeqNumber) {
        if self.unwrap(seq) > self.sent
            && let Some(mut before) =
                self.before.take_if(|before| before.unwrap(seq) <= before.sent)
        {
            std::mem::swap(self, &mut before);
            self.before = Some(before);
        }
    }

    /// The number of a sequence number: the one next to what was sent. Numbers below the SYN
    /// count as beyond everything.
    #[inline]
    fn unwrap(&self, seq: SeqNumber) -> u64 {
        let isn = self.isn.unwrap_or_default();
        let distance = seq.since(isn + self.sent as u32) as i32;
        self.sent.wrapping_add_signed(i64::from(distance))
    }

    /// What this half's end sends: one value a byte, no gap, one end, within the window.
    #[inline]
    fn check_text(
        &mut self,
        now: Instant,
        tcp: &TcpSegment<'_>,
        (bytes_kept, chunks): (usize, &mut Chunks),
        name: &impl Fn() -> FlowName,
        stats: &mut OracleStats,
        seen: &mut FlowStats,
    ) -> Result<(), WireViolation> {
        let syn = u64::from(tcp.flags.contains(TcpFlags::SYN));
        let fin = u64::from(tcp.flags.contains(TcpFlags::FIN));
        let seq = self.unwrap(tcp.seq);
        let first = seq.wrapping_add(syn);
        if first == 0 || first > 1 << 63 {
            return Ok(()); // Below the SYN: a probe, or of the connection before.
        }
        let len = tcp.payload.len() as u64;
        let end = first + len;
        if seq > self.sent {
            let (expected, found) = (self.sent.saturating_sub(1), seq - 1);
            return Err(WireViolation::SequenceSkipped { flow: name(), expected, found });
        }
        if let Some(fin_at) = self.fin
            && (end > fin_at || (fin == 1 && end != fin_at))
        {
            return Err(WireViolation::EndMoved { flow: name(), was: fin_at - 1, is: end - 1 });
        }
        if fin == 1 {
            // Bytes beyond this end were sent before it was known.
            if self.text.end > end {
                let was = self.text.end - 1;
                return Err(WireViolation::EndMoved { flow: name(), was, is: end - 1 });
            }
            self.fin = Some(end);
        }
        if let Some(edge) = self.edge {
            // One byte may be sent into a closed window, to ask. RFC 9293 §3.8.6.1.
            let probe = len == 1 && first == edge;
            if len > 0 && end > edge && !probe {
                let (allowed, sent) = (edge.saturating_sub(1), end - 1);
                return Err(WireViolation::BeyondWindow { flow: name(), allowed, sent });
            }
        }
        let again = self.text.end.min(end).saturating_sub(first);
        seen.on_numbers_sent(now, (len, again), seq < self.sent, end + fin);
        self.sent = self.sent.max(end + fin);
        self.text.check_and_keep(first, tcp.payload, bytes_kept, chunks, name, stats)
    }

    /// Bytes of text that have reached the other end without a gap.
    #[inline]
    fn text_came(&self) -> u64 {
        self.came.min(self.fin.unwrap_or(u64::MAX)).saturating_sub(1)
    }

    /// Numbers `first..end` have reached the other end.
    #[inline]
    fn on_came(&mut self, first: u64, end: u64) {
        if end > self.sent || end <= self.came {
            return; // Not of this connection, or nothing new.
        }
        if first > self.came {
            return self.on_island(first, end);
        }
        self.came = end;
        let reached = self.islands.iter().take_while(|(left, _)| *left <= end).count();
        for (_, right) in self.islands.drain(..reached) {
            self.came = self.came.max(right);
        }
    }

    #[cold]
    fn on_island(&mut self, mut first: u64, mut end: u64) {
        let from = self.islands.iter().take_while(|(_, right)| *right < first).count();
        let touched = self.islands[from..].iter().take_while(|(left, _)| *left <= end).count();
        if touched > 0 {
            first = first.min(self.islands[from].0);
            end = end.max(self.islands[from + touched - 1].1);
        }
        self.islands.splice(from..from + touched, [(first, end)]);
    }

    /// What the other end acknowledges of this half has come. Answers how much that is.
    #[inline]
    fn check_acknowledged(
        &self,
        tcp: &TcpSegment<'_>,
        name: &impl Fn() -> FlowName,
    ) -> Result<u64, WireViolation> {
        if self.isn.is_none() {
            return Ok(0);
        }
        let acknowledged = self.unwrap(tcp.ack);
        // What lies below the SYN wraps to beyond everything.
        if acknowledged > self.came {
            let came = self.came;
            return Err(WireViolation::AckOfNothing { flow: name(), came, acknowledged });
        }
        for (left, right) in tcp.options.sack.as_slice() {
            let block = (self.unwrap(*left), self.unwrap(*right));
            let covers = |island: &(u64, u64)| island.0 <= block.0 && block.1 <= island.1;
            if block.1 > self.came && !self.islands.iter().any(covers) {
                return Err(WireViolation::SackOfNothing { flow: name(), block });
            }
        }
        Ok(acknowledged)
    }
}
