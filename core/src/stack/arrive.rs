//! Frames in: look-ahead over the batch, then one frame after the other to its connection.
//!
//! Nothing is sent from here: whoever has something to say enters the ready list or the queue of
//! replies.

use super::app::{App, COMMANDS_MAX, CloseReason, Commands, Cx};
use super::connection::{Connection, Phase, open_if_half_open};
use super::demux::FlowKey;
use super::receive_pool::{self, ReceivePool};
use super::replies::Reply;
use super::{ECHO_FRAME_MAX, Stack};
use crate::marks::mark;
use crate::port::{BATCH_MAX, RxFrame, Unclaimed};
use crate::tcp::{self, Taken, TextSink};
use crate::time::Instant;
use crate::trace::Trace;
use crate::wire::arp::{ArpOperation, ArpPacket};
use crate::wire::plain::PlainFrame;
use crate::wire::tcp::{OrdinarySegment, TcpFlags, TcpOptions, TcpSegment};
use crate::wire::{self, Frame, IcmpMessage, MacAddr};
use core::net::SocketAddrV4;

const NONE: u32 = u32::MAX;

impl<A: App, T: Trace> Stack<A, T> {
    /// Processes a batch. First the table is searched for all frames, then their connections are
    /// touched, so that the cache misses of the batch overlap; then each is processed.
    ///
    /// Not inlined: a turn has enough in registers.
    #[inline(never)]
    pub(super) fn on_batch(&mut self, now: Instant, frames: &[RxFrame<'_>]) -> Unclaimed {
        self.stats.frames_in += frames.len() as u64;
        let mut unclaimed = Unclaimed::NONE;
        let mut candidates = [NONE; BATCH_MAX];
        // Neighbours are often of one connection: a client's ACKs.
        let (mut before, mut found) = (None, NONE);
        for (candidate, frame) in candidates.iter_mut().zip(frames) {
            let key = FlowKey::peek(frame.bytes);
            if key != before {
                found = key.and_then(|key| self.demux.candidate(&key)).unwrap_or(NONE);
                before = key;
            }
            *candidate = found;
        }
        let mut touched = NONE;
        for &candidate in candidates.iter().take(frames.len()) {
            if candidate != touched
                && let Some(conn) = self.conns.get(candidate)
            {
                core::hint::black_box(conn.touch());
            }
            touched = candidate;
        }
        for (at, (frame, candidate)) in frames.iter().zip(candidates).enumerate() {
            if self.on_frame(now, frame.bytes, candidate) == Claim::Left {
                unclaimed.insert(at);
            }
        }
        unclaimed
    }

    #[inline(always)]
    fn on_frame(&mut self, now: Instant, bytes: &[u8], candidate: u32) -> Claim {
        self.stats.bytes_in += bytes.len() as u64;
        match PlainFrame::parse(bytes, !self.caps.checksum.rx) {
            Some(frame) if frame.is_to(&self.config.mac) && self.config.vlan.is_none() => {
                if self.on_predicted(now, frame, candidate) {
                    return Claim::Taken;
                }
                self.on_plain(now, frame, candidate)
            }
            _ => self.on_unusual_frame(now, bytes, candidate),
        }
    }

    /// The straight way, as `on_segment`: the segment that everyone gets, and the connection is the one
    /// looked for ahead. False, and nothing done, for any other.
    #[inline(always)]
    fn on_predicted(&mut self, now: Instant, frame: PlainFrame<'_>, slot: u32) -> bool {
        // Whoever has this key has our address.
        let key = FlowKey::new(frame.dst(), frame.src());
        let segment = frame.segment();
        let Some(conn) = self.conns.get_mut(slot) else { return false };
        if conn.key != key || !conn.tcb.predicts(&segment) {
            return false;
        }
        if !segment.payload.is_empty() {
            self.on_predicted_text(now, frame, slot);
            return true;
        }
        let acked = conn.tcb.on_predicted(&self.config.tcp, now, segment, &mut NoText);
        self.after_predicted(now, slot, acked);
        true
    }

    /// The same for a segment with text. A function of its own, so that one without keeps to registers.
    #[inline(never)]
    fn on_predicted_text(&mut self, now: Instant, frame: PlainFrame<'_>, slot: u32) {
        let unix_nanos = self.unix_nanos(now);
        let Some((conn, id)) = self.conns.get_mut_with_id(slot) else { return };
        let Connection { key, tcb, phase, receive, discard, drained, .. } = conn;
        let mut sink = Sink {
            phase,
            receive,
            discard,
            drained,
            key,
            app: &mut self.app,
            pool: &mut self.receive,
            half_open: &mut self.half_open,
            stats: &mut self.stats,
            cx: Cx { now, unix_nanos, conn: id, commands: &mut self.commands },
        };
        let acked = tcb.on_predicted(&self.config.tcp, now, frame.segment(), &mut sink);
        self.after_predicted(now, slot, acked);
    }

    /// Tells the application, and sees whether there is something to send.
    #[inline(always)]
    fn after_predicted(&mut self, now: Instant, slot: u32, acked: u32) {
        let unix_nanos = self.unix_nanos(now);
        let Some((conn, id)) = self.conns.get_mut_with_id(slot) else { return };
        if T::ENABLED {
            self.trace.on_state(now, &conn.key, &conn.tcb.info(&self.config.tcp));
        }
        if acked > 0
            && let Phase::Open(value) = &mut conn.phase
        {
            let mut cx = Cx { now, unix_nanos, conn: id, commands: &mut self.commands };
            self.app.on_acked(&mut cx, value, conn.tcb.acked());
        }
        let waits_to_be_shown = acked > 0 && conn.receive != receive_pool::NONE;
        if waits_to_be_shown || self.commands.own {
            self.finish_predicted(now, slot, waits_to_be_shown);
        } else if conn.drained && !conn.tcb.has_output() {
            if let Some(due) = conn.take_nearer_due() {
                self.wheel.arm(slot, due);
            }
        } else {
            self.ready.push_back(slot);
        }
    }

    /// What is left to do where the application has a say.
    #[inline(never)]
    fn finish_predicted(&mut self, now: Instant, slot: u32, waits_to_be_shown: bool) {
        if waits_to_be_shown {
            self.show_again(now, slot);
        }
        if self.commands.own {
            self.apply_commands(now, slot);
        }
        self.ready.push_back(slot);
    }

    /// A plain segment to our station that is not the one expected.
    #[inline(never)]
    fn on_plain(&mut self, now: Instant, frame: PlainFrame<'_>, candidate: u32) -> Claim {
        if *frame.dst().ip() != self.config.ip {
            self.stats.rx_not_ours += 1;
            return Claim::Left;
        }
        let OrdinarySegment { seq, ack, flags, window, timestamps, payload } = frame.segment();
        let options = TcpOptions { timestamps, ..TcpOptions::default() };
        let (src_port, dst_port) = (frame.src().port(), frame.dst().port());
        let segment = TcpSegment { src_port, dst_port, seq, ack, flags, window, options, payload };
        let key = FlowKey::new(frame.dst(), frame.src());
        self.on_tcp(now, &Incoming { key, mac: frame.src_mac(), segment }, candidate)
    }

    /// Whatever is not a plain TCP segment for us.
    #[inline(never)]
    fn on_unusual_frame(&mut self, now: Instant, bytes: &[u8], candidate: u32) -> Claim {
        match wire::parse(bytes, !self.caps.checksum.rx) {
            Ok(Frame::Tcp(frame)) if self.is_for_us(&frame) => {
                self.on_tcp(now, &Incoming::new(&frame), candidate)
            }
            Ok(Frame::Arp { eth, arp }) if eth.vlan == self.config.vlan => self.on_arp(now, &arp),
            Ok(Frame::Icmp(frame))
                if self.is_ours(frame.eth.dst, frame.eth.vlan)
                    && frame.ip.dst == self.config.ip =>
            {
                self.on_icmp(now, bytes, &frame)
            }
            Ok(Frame::Tcp(_) | Frame::Arp { .. } | Frame::Icmp(_)) => {
                self.stats.rx_not_ours += 1;
                Claim::Left
            }
            Ok(Frame::Other { .. }) => {
                self.stats.rx_other += 1;
                Claim::Left
            }
            Err(error) => {
                if matches!(error.kind, wire::WireErrorKind::Checksum) {
                    mark!(BadChecksum);
                    self.stats.rx_bad_checksum += 1;
                } else {
                    mark!(Malformed);
                    self.stats.rx_malformed += 1;
                }
                // What is wrong with a frame to the host is the host's to judge.
                let alone = !self.config.host_shares_address && self.is_addressed_to_us(bytes);
                if alone { Claim::Taken } else { Claim::Left }
            }
        }
    }

    /// The same as [`Stack::is_for_us`] of a frame that is wrong behind its addresses.
    fn is_addressed_to_us(&self, bytes: &[u8]) -> bool {
        let Ok((eth, ethertype, datagram)) = wire::ethernet::parse(bytes) else { return false };
        self.is_ours(eth.dst, eth.vlan)
            && ethertype == wire::ethernet::ETHERTYPE_IPV4
            && datagram.get(16..20) == Some(&self.config.ip.octets()[..])
    }

    /// Whether a frame was sent to us alone: broadcasts open no connection. RFC 9293 MUST-57.
    #[inline]
    fn is_ours(&self, dst: MacAddr, vlan: Option<u16>) -> bool {
        dst == self.config.mac && vlan == self.config.vlan
    }

    #[inline]
    fn is_for_us(&self, frame: &wire::TcpFrame<'_>) -> bool {
        self.is_ours(frame.eth.dst, frame.eth.vlan) && frame.ip.dst == self.config.ip
    }

    fn on_arp(&mut self, now: Instant, arp: &ArpPacket) -> Claim {
        // RFC 826: whoever speaks to us is noted; others are not, or any host could fill the table.
        if arp.target_ip != self.config.ip || !self.config.is_on_link(arp.sender_ip) {
            self.stats.rx_not_ours += 1;
            return Claim::Left;
        }
        let shared = self.config.host_shares_address;
        if arp.sender_ip == self.config.ip {
            self.stats.rx_other += 1;
            return if shared { Claim::Left } else { Claim::Taken };
        }
        self.learn_neighbour(now, arp.sender_ip, arp.sender_mac);
        if shared {
            // Either may have asked, so both hear the answer; the host gives one.
            self.stats.rx_for_host += 1;
            return Claim::Left;
        }
        if arp.operation == ArpOperation::Request {
            self.queue_reply(Reply::Arp(*arp));
        }
        Claim::Taken
    }

    fn on_icmp(&mut self, now: Instant, bytes: &[u8], frame: &wire::IcmpFrame<'_>) -> Claim {
        let src = frame.ip.src;
        if self.config.host_shares_address {
            self.stats.rx_for_host += 1;
            return Claim::Left;
        }
        if !matches!(frame.icmp, IcmpMessage::EchoRequest(_))
            || bytes.len() > ECHO_FRAME_MAX
            || src.is_multicast()
            || src.is_broadcast()
        {
            self.stats.rx_other += 1;
            return Claim::Taken;
        }
        if self.config.is_on_link(src) {
            self.learn_neighbour(now, src, frame.eth.src);
        }
        self.queue_echo(bytes);
        Claim::Taken
    }

    #[inline(never)]
    fn on_tcp(&mut self, now: Instant, incoming: &Incoming<'_>, candidate: u32) -> Claim {
        let slot = match self.conns.get(candidate) {
            Some(conn) if conn.key == incoming.key => Some(candidate),
            _ => self.find(&incoming.key),
        };
        match slot {
            Some(slot) => self.on_segment(now, slot, incoming),
            None => self.on_unknown(now, incoming),
        }
    }

    /// CLOSED and LISTEN. RFC 9293 §3.10.7.1 and §3.10.7.2.
    #[inline(never)]
    fn on_unknown(&mut self, now: Instant, incoming: &Incoming<'_>) -> Claim {
        let Incoming { key, mac, ref segment } = *incoming;
        let is_listening = self.config.listen.contains(&segment.dst_port);
        if self.config.host_shares_address && !is_listening {
            self.stats.rx_for_host += 1;
            return Claim::Left;
        }
        let src = *key.remote().ip();
        if src.is_multicast() || src.is_broadcast() || src.is_unspecified() || src == self.config.ip
        {
            self.stats.rx_not_ours += 1;
            return Claim::Taken;
        }
        let control = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST;
        let is_syn = segment.flags.0 & control.0 == TcpFlags::SYN.0;
        if is_syn && is_listening {
            self.accept(now, &key, mac, segment);
            return Claim::Taken;
        }
        mark!(NoConnection);
        self.stats.rx_no_connection += 1;
        if let Some(plan) = tcp::reset_for(segment) {
            self.queue_reply(Reply::Segment { key, mac, plan });
        }
        Claim::Taken
    }

    #[inline(always)]
    fn on_segment(&mut self, now: Instant, slot: u32, incoming: &Incoming<'_>) -> Claim {
        let Incoming { key, ref segment, .. } = *incoming;
        let unix_nanos = self.unix_nanos(now);
        let Some((conn, id)) = self.conns.get_mut_with_id(slot) else { return Claim::Taken };
        if matches!(conn.phase, Phase::Over) && conn.tcb.can_reuse(segment) {
            mark!(TimeWaitReused);
            // RFC 9293 MAY-2: a new SYN may reopen a connection in TIME-WAIT.
            self.remove(slot, tcp::Ended::Finished);
            return self.on_unknown(now, incoming);
        }
        let arrival = if segment.payload.is_empty() {
            conn.tcb.on_segment(&self.config.tcp, now, segment, &mut NoText)
        } else {
            let Connection { tcb, phase, receive, discard, drained, .. } = conn;
            let mut sink = Sink {
                phase,
                receive,
                discard,
                drained,
                key: &key,
                app: &mut self.app,
                pool: &mut self.receive,
                half_open: &mut self.half_open,
                stats: &mut self.stats,
                cx: Cx { now, unix_nanos, conn: id, commands: &mut self.commands },
            };
            tcb.on_segment(&self.config.tcp, now, segment, &mut sink)
        };
        if T::ENABLED {
            self.trace.on_state(now, &key, &conn.tcb.info(&self.config.tcp));
        }
        if arrival.events.contains(tcp::Events::ESTABLISHED) {
            open_if_half_open(
                &mut conn.phase,
                &key,
                &mut self.app,
                &mut Cx { now, unix_nanos, conn: id, commands: &mut self.commands },
                &mut self.half_open,
                &mut self.stats.opened,
            );
            conn.choose_class(&self.config.content);
        }
        if arrival.acked > 0
            && let Phase::Open(value) = &mut conn.phase
        {
            let mut cx = Cx { now, unix_nanos, conn: id, commands: &mut self.commands };
            self.app.on_acked(&mut cx, value, conn.tcb.acked());
        }
        let waits_to_be_shown = arrival.acked > 0 && conn.receive != receive_pool::NONE;
        if !arrival.is_ordinary() || waits_to_be_shown || self.commands.own {
            self.finish_segment(now, slot, incoming, arrival, waits_to_be_shown);
        } else if conn.drained && !conn.tcb.has_output() {
            if let Some(due) = conn.take_nearer_due() {
                self.wheel.arm(slot, due);
            }
        } else {
            self.ready.push_back(slot);
        }
        Claim::Taken
    }

    /// What is left to do for a segment that was no ordinary one.
    #[inline(never)]
    fn finish_segment(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: &Incoming<'_>,
        arrival: tcp::Arrival,
        waits_to_be_shown: bool,
    ) {
        if let Some(drop) = arrival.drop {
            #[cfg(feature = "marks")]
            crate::marks::dropped(drop);
            self.stats.tcp_drops[drop as usize] += 1;
        }
        if waits_to_be_shown {
            self.show_again(now, slot);
        }
        if arrival.events.contains(tcp::Events::FIN) {
            self.on_fin(now, slot);
        }
        if self.commands.own {
            self.apply_commands(now, slot);
        }
        if arrival.asks_for_reset()
            && let Some(plan) = tcp::reset_for(&incoming.segment)
        {
            self.queue_reply(Reply::Segment { key: incoming.key, mac: incoming.mac, plan });
        }
        if let Some(ended) = arrival.ended {
            self.remove(slot, ended);
            return;
        }
        if arrival.events.contains(tcp::Events::TIME_WAIT) {
            self.enter_time_wait(slot);
        }
        self.ready.push_back(slot);
    }

    /// Shows the application what it did not take before: it may have room now.
    #[inline(never)]
    fn show_again(&mut self, now: Instant, slot: u32) {
        let id = self.conns.id(slot);
        let unix_nanos = self.unix_nanos(now);
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let Connection { tcb, phase, receive, discard, drained, key, .. } = conn;
        let mut sink = Sink {
            phase,
            receive,
            discard,
            drained,
            key,
            app: &mut self.app,
            pool: &mut self.receive,
            half_open: &mut self.half_open,
            stats: &mut self.stats,
            cx: Cx { now, unix_nanos, conn: id, commands: &mut self.commands },
        };
        let taken = sink.show_buffered();
        if taken > 0 {
            tcb.on_app_read(&self.config.tcp, taken);
        }
    }

    fn on_fin(&mut self, now: Instant, slot: u32) {
        let id = self.conns.id(slot);
        let unix_nanos = self.unix_nanos(now);
        if let Some(Connection { phase: Phase::Open(value), drained, .. }) =
            self.conns.get_mut(slot)
        {
            *drained = false;
            let commands = &mut self.commands;
            self.app.on_fin(&mut Cx { now, unix_nanos, conn: id, commands }, value);
        }
    }

    /// Carries out what the application asked for its own connection. Requests to open and to
    /// wake others stay for [`Stack::run_commands`].
    pub(super) fn apply_commands(&mut self, now: Instant, slot: u32) {
        let Commands { close, abort, deadline, own, .. } = &mut self.commands;
        *own = false;
        let (close, abort) = (core::mem::take(close), core::mem::take(abort));
        let deadline = deadline.take();
        if abort {
            self.abort_connection(now, slot, CloseReason::Aborted);
            return;
        }
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if let Some(deadline) = deadline {
            conn.app_deadline = deadline.unwrap_or(Instant::FAR_FUTURE);
        }
        if close {
            conn.drained = false;
            conn.discard = true;
            conn.tcb.close();
            if conn.receive != receive_pool::NONE {
                let unread = self.receive.get(conn.receive).0.ready();
                self.receive.give_back(core::mem::replace(&mut conn.receive, receive_pool::NONE));
                conn.tcb.on_app_read(&self.config.tcp, unread);
            }
        }
    }

    /// Opens and wakes what was asked for.
    pub(super) fn run_commands(&mut self, now: Instant) {
        while let Some(conn) = self.commands.wakes.pop() {
            if !self.wake(conn) {
                self.stats.wakes_lost += 1;
            }
        }
        while self.commands.opens.len() < COMMANDS_MAX
            && let Some(request) = self.app.poll_open()
        {
            self.commands.opens.push(request);
        }
        // Only what waits now: a failure may make the application ask again at once.
        for _ in 0..self.commands.opens.len() {
            let request = self.commands.opens.remove(0);
            self.open(now, request);
        }
    }
}

/// Whose a frame is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// The stack's, whatever it made of it.
    Taken,
    /// The host's, or of both.
    Left,
}

/// A segment and where it came from: what is left of a frame that is for us.
struct Incoming<'a> {
    key: FlowKey,
    /// The sender's hardware address.
    mac: MacAddr,
    segment: TcpSegment<'a>,
}

impl<'a> Incoming<'a> {
    #[inline(always)]
    fn new(frame: &wire::TcpFrame<'a>) -> Self {
        let segment = frame.tcp;
        Self {
            key: FlowKey::new(
                SocketAddrV4::new(frame.ip.dst, segment.dst_port),
                SocketAddrV4::new(frame.ip.src, segment.src_port),
            ),
            mac: frame.eth.src,
            segment,
        }
    }
}

/// Where the text of a segment without text goes.
struct NoText;

impl TextSink for NoText {
    fn on_text(&mut self, _offset: u32, _bytes: &[u8]) -> Taken {
        Taken::default()
    }
}

/// Where TCP puts text: the application, or a receive buffer while it must wait.
struct Sink<'a, A: App> {
    phase: &'a mut Phase<A::Conn>,
    receive: &'a mut u32,
    discard: &'a mut bool,
    drained: &'a mut bool,
    key: &'a FlowKey,
    app: &'a mut A,
    pool: &'a mut ReceivePool,
    half_open: &'a mut u32,
    stats: &'a mut super::Stats,
    cx: Cx<'a>,
}

impl<A: App> Sink<'_, A> {
    /// Gives the application its value, where it has none yet.
    fn open(&mut self) {
        open_if_half_open(
            self.phase,
            self.key,
            self.app,
            &mut self.cx,
            self.half_open,
            &mut self.stats.opened,
        );
    }

    /// Shows bytes to the application; answers how many it took.
    #[inline]
    fn show(&mut self, bytes: &[u8]) -> usize {
        *self.drained = false;
        self.stats.texts_in += 1;
        match self.phase {
            Phase::Open(value) if !*self.discard && !self.cx.commands.close => {
                self.app.on_bytes(&mut self.cx, value, bytes).min(bytes.len())
            }
            _ => bytes.len(),
        }
    }

    /// Shows what the connection's receive buffer has in order; answers how many bytes were taken.
    fn show_buffered(&mut self) -> u32 {
        let (list, store) = self.pool.get(*self.receive);
        let ready = list.ready();
        if ready == 0 {
            return 0;
        }
        *self.drained = false;
        self.stats.texts_in += 1;
        let taken = match self.phase {
            Phase::Open(value) if !*self.discard && !self.cx.commands.close => {
                let shown = &store[..ready as usize];
                self.app.on_bytes(&mut self.cx, value, shown).min(shown.len()) as u32
            }
            _ => ready,
        };
        list.consume(store, taken);
        if list.is_empty() {
            self.pool.give_back(core::mem::replace(self.receive, receive_pool::NONE));
        }
        taken
    }
}

impl<A: App> TextSink for Sink<'_, A> {
    #[inline]
    fn on_text(&mut self, offset: u32, bytes: &[u8]) -> Taken {
        self.open();
        if *self.receive != receive_pool::NONE {
            return self.on_text_buffered(offset, bytes);
        }
        if offset == 0 {
            let taken = self.show(bytes);
            if taken == bytes.len() {
                return Taken { advance: taken as u32, ..Taken::default() };
            }
            return self.keep_rest(taken, bytes);
        }
        match self.pool.take() {
            Some(slot) => {
                *self.receive = slot;
                self.on_text_buffered(offset, bytes)
            }
            None => {
                mark!(ReceivePoolEmpty);
                self.stats.receive_pool_empty += 1;
                Taken::default()
            }
        }
    }
}

impl<A: App> Sink<'_, A> {
    /// The application left bytes: they wait in a buffer, or the peer sends them again.
    #[cold]
    fn keep_rest(&mut self, taken: usize, bytes: &[u8]) -> Taken {
        mark!(AppLeftBytes);
        let Some(slot) = self.pool.take() else {
            mark!(ReceivePoolEmpty);
            self.stats.receive_pool_empty += 1;
            return Taken { advance: taken as u32, ..Taken::default() };
        };
        let (list, store) = self.pool.get(slot);
        let rest = &bytes[taken..];
        let kept = list.insert(store, 0, rest);
        if kept == 0 {
            self.pool.give_back(slot);
        } else {
            *self.receive = slot;
        }
        Taken { advance: taken as u32 + kept, unread: kept, fills_gap: false }
    }

    fn on_text_buffered(&mut self, offset: u32, bytes: &[u8]) -> Taken {
        let (list, store) = self.pool.get(*self.receive);
        let (before, beyond_hole) = (list.ready(), list.beyond_hole());
        let advance = list.insert(store, before + offset, bytes);
        let fills_gap = advance > 0 && beyond_hole > 0;
        if advance > 0 {
            self.show_buffered();
        } else if offset == 0 {
            self.stats.reassembly_full += 1;
        }
        let unread = match *self.receive {
            receive_pool::NONE => 0,
            slot => self.pool.get(slot).0.ready(),
        };
        Taken { advance, unread, fills_gap }
    }
}
