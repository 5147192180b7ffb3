//! Frames out: replies first, then every connection that is ready, within the ring's room.
//!
//! Text is planned only when a slot and a buffer for it are at hand: TCP never learns of text that
//! could not be sent. A segment without text that finds no buffer counts as lost on the wire.

mod shared;

use super::app::{App, CloseReason, Source};
use super::connection::{Connection, Phase};
use super::demux::FlowKey;
use super::turn::Held;
use super::{Stack, Stats};
use crate::content::{
    Checkout, ContentSource, Cut, ObjectId, Pin, PinnedFields, ReadAt, SEGMENTS_PER_RUN, Store,
};
use crate::marks::mark;
use crate::mutants::mutant;
use crate::port::{Buf, Port, TxFull};
use crate::seq::SeqNumber;
use crate::tcp::{Burst, Motive, Output, SegmentPlan, Tcb, Why};
use crate::time::Instant;
use crate::trace::Trace;
use crate::wire::MacAddr;
use crate::wire::burst::HeaderBurst;
use crate::wire::checksum::{Sum, sum};
use crate::wire::emit::{HeaderTemplate, TcpHeader, headers_len, write_tcp_frame};
use crate::wire::rewrite::TcpFrameMut;
use crate::wire::tcp::TcpFlags;

/// Segments that go the straight way at once, at most: keeps their bytes below 2³².
const BURST_MAX: usize = 1_024;

/// What became of a connection's visit.
enum Visit {
    /// Nothing more to send now.
    Done,
    /// Its share of the turn is used up.
    QuantumSpent,
    /// The ring has no slot.
    RingFull,
    /// No buffer.
    NoBuffer,
    /// Content is not there yet.
    NotYet,
    /// Content is gone: the connection is to be reset.
    Gone,
}

impl<A: App, T: Trace> Stack<A, T> {
    /// Sends until nobody is ready, the ring is full, or the buffers are used up.
    pub(super) fn transmit<P: Port>(&mut self, now: Instant, port: &mut P) -> Held {
        let mut room = room(&self.store, port);
        if !self.replies.is_empty() {
            let held = self.send_replies(now, port, &mut room);
            if held != Held::No {
                return held;
            }
        }
        let mut visits = self.ready.len();
        let mut waits_for_content = false;
        while visits > 0
            && let Some(slot) = self.ready.pop()
        {
            visits -= 1;
            let visit = self.visit(now, slot, port, &mut room);
            self.arm(slot);
            match visit {
                Visit::Done => {}
                Visit::QuantumSpent => {
                    mark!(QuantumSpent);
                    self.stats.quantum_spent += 1;
                    self.ready.push_back(slot);
                    visits += 1;
                }
                Visit::RingFull => {
                    mark!(TxRingFull);
                    self.stats.tx_ring_full += 1;
                    self.ready.push_front(slot);
                    return Held::RingFull;
                }
                Visit::NoBuffer => {
                    mark!(TxNoBuffer);
                    self.stats.tx_no_buffer += 1;
                    self.ready.push_front(slot);
                    return Held::NoBuffer;
                }
                Visit::NotYet => {
                    mark!(ContentNotYet);
                    self.stats.content_not_yet += 1;
                    self.ready.push_back(slot);
                    waits_for_content = true;
                }
                Visit::Gone => {
                    mark!(ContentGone);
                    self.abort_connection(now, slot, CloseReason::ContentGone);
                }
            }
        }
        // Resets of the connections just aborted.
        let held = if self.replies.is_empty() {
            Held::No
        } else {
            self.send_replies(now, port, &mut room)
        };
        match held {
            Held::No if waits_for_content => Held::Content,
            held => held,
        }
    }

    /// Lets one connection send what it may.
    fn visit<P: Port>(&mut self, now: Instant, slot: u32, port: &mut P, room: &mut usize) -> Visit {
        let Some(conn) = self.conns.get_mut(slot) else { return Visit::Done };
        if conn.unresolved {
            return Visit::Done;
        }
        let mut out = Out {
            now,
            port,
            room,
            quantum: usize::from(self.config.quantum_frames),
            config: &self.config,
            template: &self.template,
            offload: self.caps.checksum.tx,
            store: &mut self.store,
            stats: &mut self.stats,
            trace: &mut self.trace,
            motive: Motive::NONE,
        };
        conn.tcb.on_visit();
        let mut content_is_late = false;
        loop {
            // First, because a segment that `poll_output` hands out counts as sent.
            if let Some(stop) = out.stop() {
                return stop;
            }
            if T::ENABLED {
                out.motive = conn.tcb.motive();
            }
            let Some(output) = conn.tcb.poll_output(&self.config.tcp, now) else {
                return if content_is_late { Visit::NotYet } else { Visit::Done };
            };
            match output {
                Output::Segment(plan) => {
                    if !out.send_plan(conn, &plan) {
                        return Visit::NoBuffer;
                    }
                }
                Output::Text { at, max, partial, whole_only, .. } => {
                    let nagle = self.config.tcp.nagle;
                    let offer = Offer { max, partial, whole_only, nagle };
                    match out.send_text(conn, &mut self.app, at, offer) {
                        Visit::Done => {}
                        Visit::NotYet => {
                            // An ACK that waits for text must not wait for the disk.
                            content_is_late = true;
                            conn.tcb.decline_text();
                        }
                        stop => return stop,
                    }
                }
            }
        }
    }
}

/// What one visit sends with.
struct Out<'a, P: Port, T: Trace> {
    now: Instant,
    port: &'a mut P,
    /// Frames that the ring has slots for.
    room: &'a mut usize,
    /// Frames left of this connection's share.
    quantum: usize,
    config: &'a super::Config,
    template: &'a HeaderTemplate,
    offload: bool,
    store: &'a mut Store,
    stats: &'a mut Stats,
    trace: &'a mut T,
    /// Why the next segment is sent. Set for observers alone.
    motive: Motive,
}

impl<P: Port, T: Trace> Out<'_, P, T> {
    /// Sends a segment without text. False where no buffer is free; the peer will make TCP send
    /// it again, as if it had been lost.
    fn send_plan<C>(&mut self, conn: &Connection<C>, plan: &SegmentPlan) -> bool {
        let Some(mut buf) = self.store.take_buffer(self.port) else { return false };
        let len = write_tcp_frame(
            self.template,
            self.port.bytes_mut(&mut buf),
            &header(&conn.key, conn.peer_mac, plan),
            0,
            Sum::ZERO,
            self.offload,
        );
        if T::ENABLED {
            let counted = TcpFlags::SYN | TcpFlags::FIN;
            let end = plan.seq + u32::from(plan.flags.intersects(counted));
            self.observe(&conn.tcb, &buf, len, end, self.motive.of_plan(plan));
        }
        self.submit(buf, len);
        true
    }

    /// Sends text from stream offset `at` on, as TCP offers. It is told where there is none,
    /// or none that fits.
    #[inline]
    fn send_text<A: App>(
        &mut self,
        conn: &mut Connection<A::Conn>,
        app: &mut A,
        at: u64,
        offer: Offer,
    ) -> Visit {
        let Phase::Open(value) = &conn.phase else {
            conn.tcb.decline_text();
            return Visit::Done;
        };
        match app.source(value, at, offer.max) {
            Source::Prepared { object, offset, len, pins, fin } => {
                // The pinned fields are copied: the application is asked for content meanwhile.
                let pins = if offset < Pin::REACH as u64 {
                    PinnedFields::new(&pins)
                } else {
                    PinnedFields::NONE
                };
                let text = Text { object, object_len: offset + len, offset, left: len, fin };
                self.send_object(conn, app.content(), text, &pins, offer)
            }
            Source::Bytes { bytes, fin } if !bytes.is_empty() => {
                self.send_bytes(conn, bytes, fin, offer)
            }
            Source::Bytes { fin: ended, .. } => {
                conn.tcb.no_text(ended);
                Visit::Done
            }
            Source::Pending => {
                conn.drained = true;
                conn.tcb.no_text(false);
                Visit::Done
            }
            Source::End => {
                conn.tcb.no_text(true);
                Visit::Done
            }
        }
    }

    fn send_object<Conn, C: ContentSource>(
        &mut self,
        conn: &mut Connection<Conn>,
        content: &mut C,
        mut text: Text,
        pins: &PinnedFields,
        Offer { max, partial, whole_only, nagle }: Offer,
    ) -> Visit {
        let mss = conn.tcb.mss();
        let text_at = headers_len(self.config.vlan.is_some(), conn.tcb.uses_timestamps());
        let cut = Cut {
            object: text.object,
            object_len: text.object_len,
            text_max: mss as u16,
            text_at: text_at as u16,
        };
        let (mut index, ahead) = divide(text.offset, mss);
        let mut allowed = max;
        // Where an ACK fell inside a segment: one short segment leads back to where they begin.
        let mut goal = mss - ahead;
        let mut burst = None;
        let visit = loop {
            let most = goal.min(allowed);
            let ends = text.left <= u64::from(most);
            let len = if ends { text.left as u32 } else { most };
            let fin = ends && text.fin;
            if allowed == 0 {
                break Visit::Done;
            }
            let waits = len < mss && !fin && holds_short(&conn.tcb, &burst, whole_only, nagle);
            if waits || (len < goal && !ends && !partial) {
                if waits {
                    mark!(NagleHeld);
                }
                conn.tcb.decline_text();
                break Visit::Done;
            }
            if let Some(stop) = self.stop() {
                break stop;
            }
            let in_step = goal == mss && (len == mss || ends);
            let last = ends || partial;
            let shares = P::GATHERS && in_step && conn.prepared && self.store.shares();
            let burst = if shares {
                let what = (&cut, &text, index, pins);
                let fetched = match self.fetch_shared(conn, content, what, len) {
                    Ok(fetched) => fetched,
                    Err(stop) => break stop,
                };
                let burst = burst.get_or_insert_with(|| self.begin_burst(conn));
                self.send_shared(&mut conn.tcb, burst, fetched, len, (last, fin, ends));
                burst
            } else {
                let fetched = self.fetch(conn, content, &cut, &text, index, in_step, len, pins);
                let (buf, sum) = match fetched {
                    Ok(fetched) => fetched,
                    Err(stop) => break stop,
                };
                let burst = burst.get_or_insert_with(|| self.begin_burst(conn));
                self.send_segment(&mut conn.tcb, burst, buf, len, sum, last, fin, ends);
                burst
            };
            if last {
                break Visit::Done;
            }
            text.advance(len);
            allowed -= len;
            index += 1;
            goal = mss;
            if in_step {
                let hint = conn.run_hint;
                let sent = if shares {
                    self.send_middle_shared(&conn.tcb, burst, &cut, &text, (index, hint), allowed)
                } else {
                    self.send_middle(&conn.tcb, burst, &cut, &text, index, hint, allowed)
                };
                text.advance(sent * mss);
                allowed -= sent * mss;
                index += sent;
            }
        };
        if let Some(burst) = &mut burst {
            self.tell(&mut conn.tcb, burst);
        }
        visit
    }

    /// The straight way: whole segments of a run whose copies are at home, none of them the object's
    /// first or last. Answers how many were sent; whatever is not as usual is left to the caller.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "one call, kept apart from the loop for reading")]
    fn send_middle(
        &mut self,
        tcb: &Tcb,
        burst: &mut UntoldBurst,
        cut: &Cut,
        text: &Text,
        first: u32,
        hint: u32,
        allowed: u32,
    ) -> u32 {
        let mss = u32::from(cut.text_max);
        let to_send = u64::from(allowed).min(text.left - 1) as u32 / mss;
        let in_run = SEGMENTS_PER_RUN as u32 - first % SEGMENTS_PER_RUN as u32;
        let slots = (*self.room).min(self.quantum).min(BURST_MAX) as u32;
        let most = to_send.min(in_run).min(slots);
        if most == 0 || first.is_multiple_of(SEGMENTS_PER_RUN as u32) {
            return 0;
        }
        let Some(mut run) = self.store.idle_run(cut, first, hint) else { return 0 };
        let seq = burst.seq + burst.untold;
        let what = (TcpFlags::ACK, cut.text_max);
        let mut train = burst.headers.train(self.template, seq, most as u16, what, self.offload);
        let mut sent = 0;
        while sent < most
            && let Some((mut buf, sum)) = run.take(first + sent)
        {
            let start = train.write_next(self.port.bytes_mut(&mut buf), sum);
            let len = start + mss as usize;
            if T::ENABLED {
                let end = train.seq();
                let info = tcb.info_behind(&self.config.tcp, end, self.motive.of_text(end - mss));
                self.trace.on_sent(self.now, &self.port.bytes(&buf)[..len], Some(&info));
            }
            if let Err(TxFull(buf)) = self.port.submit(buf, len as u16) {
                // The ring was seen to have room. TCP is not told of the segment: it goes later.
                drop(run);
                give_back(self.port, self.store, buf);
                *self.room = 0;
                break;
            }
            sent += 1;
        }
        burst.untold += sent * mss;
        if sent < most {
            mark!(StraightRunBroken);
        }
        *self.room = self.room.saturating_sub(sent as usize);
        self.quantum -= sent as usize;
        self.stats.tx_prepared += u64::from(sent);
        self.stats.frames_out += u64::from(sent);
        self.stats.bytes_out += u64::from(sent) * (u64::from(cut.text_at) + u64::from(mss));
        sent
    }

    /// A buffer with the text of the next segment: prepared where it is in step with the variant,
    /// else filled for this one send.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "one call, kept apart from the loop for reading")]
    fn fetch<Conn, C: ContentSource>(
        &mut self,
        conn: &mut Connection<Conn>,
        content: &mut C,
        cut: &Cut,
        text: &Text,
        index: u32,
        in_step: bool,
        len: u32,
        pins: &PinnedFields,
    ) -> Result<(Buf, Sum), Visit> {
        if in_step && conn.prepared {
            let hint = &mut conn.run_hint;
            match self.store.checkout(self.port, content, cut, index, pins, hint) {
                Checkout::Ready { buf, sum } => {
                    self.stats.tx_prepared += 1;
                    return Ok((buf, sum));
                }
                Checkout::NotYet => return Err(Visit::NotYet),
                Checkout::Gone => return Err(Visit::Gone),
                Checkout::Miss => {
                    mark!(CopiedStoreMiss);
                    self.stats.copied_store_miss += 1;
                }
            }
        } else if conn.prepared {
            mark!(CopiedUnaligned);
            self.stats.copied_unaligned += 1;
        } else {
            mark!(CopiedNoClass);
            self.stats.copied_no_class += 1;
        }
        self.fill(content, cut, text, len, pins)
    }

    /// The copying way: a buffer that is filled from the source for this one send.
    #[inline]
    fn fill<C: ContentSource>(
        &mut self,
        content: &mut C,
        cut: &Cut,
        text: &Text,
        len: u32,
        pins: &PinnedFields,
    ) -> Result<(Buf, Sum), Visit> {
        let Some(mut buf) = self.store.take_buffer(self.port) else { return Err(Visit::NoBuffer) };
        let start = usize::from(cut.text_at);
        let out = &mut self.port.bytes_mut(&mut buf)[start..start + len as usize];
        let read = content.read_at(text.object, text.offset, out);
        if read != ReadAt::Done {
            self.port.give_back(buf);
            return Err(if read == ReadAt::NotYet { Visit::NotYet } else { Visit::Gone });
        }
        pins.apply(text.offset, out);
        let sum = sum(out);
        self.stats.tx_copied += 1;
        Ok((buf, sum))
    }

    /// The application's own bytes.
    fn send_bytes<Conn>(
        &mut self,
        conn: &mut Connection<Conn>,
        bytes: &[u8],
        fin: bool,
        Offer { max, partial, whole_only, nagle }: Offer,
    ) -> Visit {
        let mss = conn.tcb.mss() as usize;
        let start = headers_len(self.config.vlan.is_some(), conn.tcb.uses_timestamps());
        let mut left = bytes;
        let mut allowed = max as usize;
        let mut burst = None;
        let visit = loop {
            let len = mss.min(left.len()).min(allowed);
            let ends = len == left.len();
            if allowed == 0 {
                break Visit::Done;
            }
            let fin = ends && fin;
            let waits = len < mss && !fin && holds_short(&conn.tcb, &burst, whole_only, nagle);
            if waits || (len < mss && !ends && !partial) {
                if waits {
                    mark!(NagleHeld);
                }
                conn.tcb.decline_text();
                break Visit::Done;
            }
            if let Some(stop) = self.stop() {
                break stop;
            }
            let Some(mut buf) = self.store.take_buffer(self.port) else { break Visit::NoBuffer };
            let (text, rest) = left.split_at(len);
            self.port.bytes_mut(&mut buf)[start..start + len].copy_from_slice(text);
            left = rest;
            allowed -= len;
            self.stats.tx_copied += 1;
            let burst = burst.get_or_insert_with(|| self.begin_burst(conn));
            let last = ends || partial;
            let (len, sum) = (len as u32, sum(text));
            self.send_segment(&mut conn.tcb, burst, buf, len, sum, last, fin, ends);
            if last {
                break Visit::Done;
            }
        };
        if let Some(burst) = &mut burst {
            self.tell(&mut conn.tcb, burst);
        }
        visit
    }

    /// Whether this connection must stop before its next segment.
    #[inline]
    fn stop(&mut self) -> Option<Visit> {
        if P::GATHERS && *self.room == 0 {
            // Frames of one slot leave room for others.
            *self.room = room(self.store, self.port);
        }
        if *self.room == 0 {
            Some(Visit::RingFull)
        } else if self.quantum == 0 {
            Some(Visit::QuantumSpent)
        } else {
            None
        }
    }

    /// Lays out the headers of the segments that follow.
    #[inline]
    fn begin_burst<Conn>(&self, conn: &mut Connection<Conn>) -> UntoldBurst {
        let Burst { seq, ack, window, timestamps } =
            conn.tcb.begin_burst(&self.config.tcp, self.now);
        let plan = SegmentPlan { ack, window, timestamps, ..SegmentPlan::default() };
        let headers = HeaderBurst::new(self.template, &header(&conn.key, conn.peer_mac, &plan));
        UntoldBurst { headers, seq, untold: 0 }
    }

    /// The sequence number and flags of the next segment of a burst: whether it is the last, carries
    /// FIN, carries PSH. TCP is told of all but the last together.
    #[inline]
    fn number(
        &self,
        tcb: &mut Tcb,
        burst: &mut UntoldBurst,
        len: u32,
        (last, fin, push): (bool, bool, bool),
    ) -> (SeqNumber, TcpFlags) {
        if last {
            self.tell(tcb, burst);
            tcb.take_text(&self.config.tcp, self.now, len, fin, push)
        } else {
            let seq = burst.seq + burst.untold;
            burst.untold += len;
            (seq, TcpFlags::ACK)
        }
    }

    /// Sends one segment of a burst.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "what a segment is, none belonging together")]
    fn send_segment(
        &mut self,
        tcb: &mut Tcb,
        burst: &mut UntoldBurst,
        mut buf: Buf,
        len: u32,
        sum: Sum,
        last: bool,
        fin: bool,
        push: bool,
    ) {
        let again = tcb.was_sent(burst.seq + burst.untold);
        let (seq, flags) = self.number(tcb, burst, len, (last, fin, push));
        let out = self.port.bytes_mut(&mut buf);
        let len = len as usize;
        let start = burst.headers.write(self.template, out, seq, flags, len, sum, self.offload);
        if again && mutant!(ByteChangedOnRetransmission) {
            change_byte(&mut out[..start + len], start);
        }
        if T::ENABLED {
            let end = seq + len as u32 + u32::from(flags.contains(TcpFlags::FIN));
            self.observe(tcb, &buf, start + len, end, self.motive.of_text(seq));
        }
        self.submit(buf, start + len);
    }

    /// Shows a finished frame, which ends before number `end`, to the observer.
    fn observe(&mut self, tcb: &Tcb, buf: &Buf, len: usize, end: SeqNumber, why: Why) {
        let info = tcb.info_behind(&self.config.tcp, end, why);
        self.trace.on_sent(self.now, &self.port.bytes(buf)[..len], Some(&info));
    }

    /// Tells TCP of the segments that it does not know of.
    #[inline]
    fn tell(&self, tcb: &mut Tcb, burst: &mut UntoldBurst) {
        let untold = core::mem::take(&mut burst.untold);
        if untold > 0 {
            tcb.take_text(&self.config.tcp, self.now, untold, false, false);
            burst.seq += untold;
        }
    }

    #[inline]
    fn submit(&mut self, buf: Buf, len: usize) {
        self.quantum = self.quantum.saturating_sub(1);
        submit(self.port, self.room, self.store, self.stats, buf, len);
    }
}

/// How much text may be sent, and in which pieces: see [`Output::Text`].
#[derive(Clone, Copy)]
struct Offer {
    max: u32,
    partial: bool,
    whole_only: bool,
    /// Nagle is on: segments behind the first of the offer find that one in flight.
    nagle: bool,
}

/// Whether a short segment has to wait by Nagle's rule, as the first of an offer or behind others of
/// it. What was sent before does not.
fn holds_short(tcb: &Tcb, burst: &Option<UntoldBurst>, first: bool, nagle: bool) -> bool {
    match burst {
        None => first,
        Some(burst) => nagle && !tcb.was_sent(burst.seq + burst.untold),
    }
}

/// Segments that follow each other: their headers, and how much was sent that TCP was not told of.
struct UntoldBurst {
    headers: HeaderBurst,
    /// Number of the first byte that is untold.
    seq: SeqNumber,
    untold: u32,
}

/// What is left to send of an object.
struct Text {
    object: ObjectId,
    object_len: u64,
    offset: u64,
    left: u64,
    fin: bool,
}

impl Text {
    #[inline]
    fn advance(&mut self, len: u32) {
        self.left -= u64::from(len);
        self.offset += u64::from(len);
    }
}

/// Frames that the ring takes for certain: where they are made of two parts, two slots each.
#[inline]
pub(super) fn room<P: Port>(store: &Store, port: &P) -> usize {
    let slots = port.tx_free();
    if P::GATHERS && store.shares() { slots / 2 } else { slots }
}

/// Queues a finished frame. The ring was seen to have room; should it refuse all the same, the
/// frame is as good as lost on the wire.
#[inline]
pub(super) fn submit<P: Port>(
    port: &mut P,
    room: &mut usize,
    store: &mut Store,
    stats: &mut Stats,
    buf: Buf,
    len: usize,
) {
    match port.submit(buf, len as u16) {
        Ok(()) => {
            *room -= 1;
            stats.frames_out += 1;
            stats.bytes_out += len as u64;
        }
        Err(TxFull(buf)) => {
            *room = 0;
            stats.tx_ring_full += 1;
            give_back(port, store, buf);
        }
    }
}

/// A fault of [`crate::mutants`]: changes the first byte of the text, and makes the checksum fit.
#[cold]
fn change_byte(frame: &mut [u8], at: usize) {
    frame[at] ^= 1;
    if let Ok(Some(mut frame)) = TcpFrameMut::new(frame) {
        frame.repair_checksums();
    }
}

/// Returns a buffer that was not sent to where it came from.
fn give_back<P: Port>(port: &mut P, store: &mut Store, buf: Buf) {
    if let Some(buf) = store.on_done(buf) {
        port.give_back(buf);
    }
}

/// The segment of a variant that holds `offset`, and how many of its bytes lie before that.
#[inline]
fn divide(offset: u64, mss: u32) -> (u32, u32) {
    if offset == 0 {
        return (0, 0);
    }
    let mss = u64::from(mss);
    ((offset / mss) as u32, (offset % mss) as u32)
}

#[inline]
pub(super) fn header(key: &FlowKey, mac: MacAddr, plan: &SegmentPlan) -> TcpHeader {
    let (local, remote) = (key.local(), key.remote());
    TcpHeader {
        dst_mac: mac,
        dst_ip: *remote.ip(),
        src_port: local.port(),
        dst_port: remote.port(),
        seq: plan.seq,
        ack: plan.ack,
        flags: plan.flags,
        window: plan.window,
        timestamps: plan.timestamps,
        syn: plan.syn,
    }
}
