//! The application of a replayed server: says what its scripts say, when they say it, to whoever
//! asks and whatever was asked. Or our file server says it, when the scripts do.

use super::files::{Answers, Laid, Texts, said_before};
use crate::compare::HeadDifference;
use crate::script::{End, Script, WriteOp};
use simoom_core::content::ObjectId;
use simoom_core::seq::SeqNumber;
use simoom_core::server::ServerConn;
use simoom_core::stack::app::{App, CloseReason, Cx, Peer, Source};
use simoom_core::time::Instant;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Addresses that stand for captured clients: 10.0.0.0/8, without the server's own.
const CLIENTS: u32 = 0x0a00_0000;

/// The address that stands for every captured server.
pub(super) const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80);

/// Connections alive at once, at most: what a client's address has room for.
pub(super) const SLOTS_MAX: u32 = 1 << 20;

/// Ports of one synthetic client.
const PORTS: u32 = 64_000;

/// The address that stands for the client of a connection: its slot in the upper bits, so that it is
/// found again, and what makes two connections in one slot differ below.
pub(super) fn synthetic_client(slot: u32, serial: u32) -> SocketAddrV4 {
    let era = serial % (16 * PORTS);
    let ip = CLIENTS | (slot % SLOTS_MAX) << 4 | (era / PORTS);
    SocketAddrV4::new(ip.into(), 1_024 + (era % PORTS) as u16)
}

/// The slot that a synthetic client stands for.
#[inline]
pub(super) fn slot_of(ip: Ipv4Addr) -> u32 {
    (ip.to_bits() & 0x00ff_ffff) >> 4
}

/// Octets that the last write of a script has beyond the captured ones, where the capture ends within
/// it: more than any window.
const BEYOND_CAPTURE: u64 = 1 << 30;

/// How the captured server's application behaved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// Whether every PSH ends a write.
    pub(super) push_ends_writes: bool,
    /// What it did within this time of the client's last word it did in the same turn, in nanoseconds.
    pub(super) reacts_within: u64,
}

/// What a SYN-ACK may take longer than the shortest frame, in nanoseconds: 20 bytes at 10 Mb/s.
const SYN_ACK_LONGER: u64 = 16_000;

/// A connection's place in its script.
#[derive(Debug)]
struct Cursor {
    server_isn: SeqNumber,
    ts_offset: u32,
    writes: Box<[WriteOp]>,
    /// Where the last write ends.
    upto: u64,
    end: End,
    /// Octets that the client's stream has brought.
    received: u64,
    /// Those of them that our file server took.
    taken: u64,
    /// Writes whose time has come.
    due: usize,
    /// Writes of which everything is acknowledged.
    acked: usize,
    fin_came: bool,
    ended: bool,
    /// Our file server answers.
    answers: Option<Answers>,
}

/// What came of the heads of answers from files.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Those that differ, by slot, since somebody took them.
    pub(super) found: Vec<(u32, HeadDifference)>,
    /// Answers whose heads were compared.
    pub(super) compared: u64,
    /// Answers without a captured one that can be read.
    pub(super) unread: u64,
}

/// A connection: its slot, and what our file server keeps of it where that answers.
#[derive(Debug)]
pub(super) struct ReplayConn {
    slot: u32,
    server: Option<ServerConn>,
}

/// One application for all connections of a stack.
#[derive(Debug)]
pub(super) struct ScriptApp {
    /// By slot.
    cursors: Vec<Option<Cursor>>,
    texts: Texts,
    heads: Heads,
    /// UTC of the stack's start.
    base: u64,
    /// UTC of this turn.
    now: u64,
}

impl ScriptApp {
    pub(super) fn new(texts: Texts, base: u64) -> Self {
        Self { cursors: Vec::new(), texts, heads: Heads::default(), base, now: base }
    }

    /// Says what time it is, before a turn: UTC, in nanoseconds since 1970.
    #[inline]
    pub(super) fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// What came of heads.
    pub(super) fn heads(&mut self) -> &mut Heads {
        &mut self.heads
    }

    /// A connection is about to be opened that follows this script.
    pub(super) fn begin(&mut self, script: &Script, ts_offset: u32, manners: &Manners) {
        let slot = script.flow.slot as usize;
        if self.cursors.len() <= slot {
            self.cursors.resize_with(slot + 1, || None);
        }
        // The server did it before it could be captured, but not before what it answers.
        let distance = script.distance();
        let moved = |at: u64, told_at: u64| {
            if at.saturating_sub(told_at) <= manners.reacts_within {
                // What came after the turn was not its reason. A SYN-ACK is longer than others on the
                // wire, and way() with it.
                let turn = at.saturating_sub(script.way());
                return if told_at <= turn + SYN_ACK_LONGER { told_at.min(at) } else { turn };
            }
            at.saturating_sub(distance).max(told_at.min(at))
        };
        let kept = script.writes.iter().filter(|write| manners.push_ends_writes || !write.soft);
        let kept = kept.map(|write| WriteOp { at: moved(write.at, write.told_at), ..*write });
        let end = match script.end {
            End::Open => End::Open,
            End::Fin { at, told_at, after_fin, with_text } => {
                End::Fin { at: moved(at, told_at), told_at, after_fin, with_text }
            }
            End::Reset { at, told_at } => End::Reset { at: moved(at, told_at), told_at },
        };
        self.texts.scripts.begin(script.flow, script.kept.clone());
        self.cursors[slot] = Some(Cursor {
            server_isn: script.server_isn,
            ts_offset,
            writes: kept.collect(),
            upto: match script.goes_on {
                true => script.cut.unwrap_or(script.server_bytes + BEYOND_CAPTURE),
                false => script.cut.unwrap_or(script.server_bytes),
            },
            end,
            received: 0,
            taken: 0,
            due: 0,
            acked: 0,
            fin_came: false,
            ended: false,
            answers: self.answers(script).then(Answers::default),
        });
    }

    /// Whether our file server answers in this connection.
    pub(super) fn answers(&self, script: &Script) -> bool {
        script.reads_as_http && self.texts.files.is_some()
    }

    /// The connection is over.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(cursor) = self.cursors.get_mut(slot as usize) {
            *cursor = None;
            self.texts.scripts.forget(slot);
        }
    }

    /// Stream offset up to which the application has something to say by now.
    pub(super) fn ready_upto(&self, slot: u32) -> u64 {
        match self.cursors.get(slot as usize) {
            Some(Some(cursor)) => cursor.due_end(),
            _ => 0,
        }
    }

    /// What the time brings, and when to look again.
    fn advance(&mut self, cx: &mut Cx<'_>, slot: u32) {
        let (now, base) = (self.now, self.base);
        let Some(Some(cursor)) = self.cursors.get_mut(slot as usize) else { return };
        cursor.advance(now);
        let end_at = match cursor.end {
            End::Open => None,
            // Said with the last of the text.
            End::Fin { with_text: true, .. } => None,
            End::Fin { at, .. } | End::Reset { at, .. } => Some(at),
        };
        // As with writes: at its very time it waits for what it answers.
        let waits = matches!(cursor.end, End::Fin { after_fin: true, .. }) && !cursor.fin_came;
        if let Some(at) = end_at
            && (at < now || (at == now && !waits))
            && cursor.due == cursor.writes.len()
            && !cursor.ended
        {
            cursor.ended = true;
            match cursor.end {
                End::Reset { .. } => cx.abort(),
                _ => cx.close(),
            }
        }
        let next = cursor.writes.get(cursor.due).map(|write| write.at.max(now + 1));
        let next = next.or(end_at.filter(|_| !cursor.ended).map(|at| at.max(now + 1)));
        cx.set_deadline(next.map(|at| Instant::from_nanos(at.saturating_sub(base))));
    }
}

impl Cursor {
    #[inline]
    fn advance(&mut self, now: u64) {
        // At its very time it waits for what it answers; later it does not: that may never come.
        let is_due = |write: &WriteOp| {
            write.at < now || (write.at == now && self.received >= write.request_upto)
        };
        while self.writes.get(self.due).is_some_and(is_due) {
            self.due += 1;
        }
    }

    /// Stream offset before which our file server may speak: it is not bound to the captured lengths,
    /// but to the captured times.
    fn free_upto(&self) -> u64 {
        if self.due == self.writes.len() { u64::MAX } else { self.due_end() }
    }

    fn end_of(&self, write: usize) -> u64 {
        self.writes.get(write + 1).map_or(self.upto, |next| next.start)
    }

    fn due_end(&self) -> u64 {
        self.due.checked_sub(1).map_or(0, |last| self.end_of(last))
    }
}

impl App for ScriptApp {
    type Conn = ReplayConn;
    type Content = Texts;

    fn content(&mut self) -> &mut Texts {
        &mut self.texts
    }

    fn pin_initial_sequence(
        &mut self,
        _local: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> Option<(SeqNumber, u32)> {
        let cursor = self.cursors.get(slot_of(*remote.ip()) as usize)?.as_ref()?;
        Some((cursor.server_isn, cursor.ts_offset))
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, peer: Peer) -> ReplayConn {
        let slot = slot_of(*peer.remote.ip());
        let answers = match self.cursors.get(slot as usize) {
            Some(Some(cursor)) => cursor.answers.is_some(),
            _ => false,
        };
        let server = self.texts.files.as_mut().filter(|_| answers);
        let server = server.map(|files| files.on_open(cx, peer));
        self.advance(cx, slot);
        ReplayConn { slot, server }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, conn: &mut ReplayConn, bytes: &[u8]) -> usize {
        let slot = conn.slot;
        let Some(Some(cursor)) = self.cursors.get_mut(slot as usize) else { return bytes.len() };
        let Some(server) = &mut conn.server else {
            cursor.received += bytes.len() as u64;
            return bytes.len();
        };
        // What is not taken is shown again.
        cursor.received = cursor.received.max(cursor.taken + bytes.len() as u64);
        let Some(files) = &mut self.texts.files else { return bytes.len() };
        let n = files.on_bytes(cx, server, bytes);
        cursor.taken += n as u64;
        if let Some(answers) = &mut cursor.answers {
            let heads = &mut self.heads;
            answers.look(slot, server, &mut self.texts, |laid| match laid {
                Laid::Same => heads.compared += 1,
                Laid::Differs(found) => {
                    heads.compared += 1;
                    heads.found.push((slot, found));
                }
                Laid::Unread => heads.unread += 1,
            });
        }
        // The script's times, not those after which our server would give up.
        self.advance(cx, slot);
        n
    }

    fn source(&mut self, conn: &ReplayConn, at: u64, max: u32) -> Source<'_> {
        let (now, slot) = (self.now, conn.slot);
        let Some(Some(cursor)) = self.cursors.get_mut(slot as usize) else {
            return Source::Pending;
        };
        cursor.advance(now);
        if let (Some(server), Some(files)) = (&conn.server, &mut self.texts.files) {
            return said_before(files, server, at, cursor.free_upto(), max);
        }
        let due = &cursor.writes[cursor.acked..cursor.due];
        let with_text = matches!(cursor.end, End::Fin { with_text: true, .. });
        if at >= cursor.due_end() {
            let all = cursor.due == cursor.writes.len();
            return if all && with_text { Source::End } else { Source::Pending };
        }
        // Nearly always the last one.
        let found = match due.last() {
            Some(last) if last.start <= at => due.len() - 1,
            _ => due.partition_point(|write| write.start <= at).saturating_sub(1),
        };
        let write = cursor.acked + found;
        let (start, end) = (cursor.writes[write].start, cursor.end_of(write));
        self.texts.scripts.point_at(start);
        Source::Prepared {
            object: ObjectId(slot),
            offset: at - start,
            len: end - at,
            pins: [None, None],
            fin: with_text && write + 1 == cursor.writes.len(),
        }
    }

    fn on_acked(&mut self, cx: &mut Cx<'_>, conn: &mut ReplayConn, upto: u64) {
        let slot = conn.slot;
        if let (Some(server), Some(files)) = (&mut conn.server, &mut self.texts.files) {
            files.on_acked(cx, server, upto);
            self.advance(cx, slot);
            return;
        }
        if let Some(Some(cursor)) = self.cursors.get_mut(slot as usize) {
            while cursor.acked < cursor.due && cursor.end_of(cursor.acked) <= upto {
                cursor.acked += 1;
            }
        }
    }

    fn on_deadline(&mut self, cx: &mut Cx<'_>, conn: &mut ReplayConn) {
        self.advance(cx, conn.slot);
    }

    /// The script says when this side ends.
    fn on_fin(&mut self, cx: &mut Cx<'_>, conn: &mut ReplayConn) {
        if let (Some(server), Some(files)) = (&mut conn.server, &mut self.texts.files) {
            files.on_fin(cx, server);
        }
        if let Some(Some(cursor)) = self.cursors.get_mut(conn.slot as usize) {
            cursor.fin_came = true;
        }
        self.advance(cx, conn.slot);
    }

    fn on_close(&mut self, conn: ReplayConn, why: CloseReason) {
        if let (Some(server), Some(files)) = (conn.server, &mut self.texts.files) {
            files.on_close(server, why);
        }
    }
}
