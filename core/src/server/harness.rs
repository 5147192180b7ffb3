//! An application without a stack: one connection whose callbacks a test calls, in the order and
//! with the promises of [`App`]. Every byte asked for is asked for twice and must stay the same.

use crate::content::{ContentSource, ReadAt};
use crate::stack::app::{App, CloseReason, Commands, ConnId, Cx, OpenRequest, Peer, Source};
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

const ID: ConnId = ConnId { slot: 1, generation: 1 };

/// One connection of an application.
pub(crate) struct Driver<A: App> {
    pub(crate) app: A,
    conn: Option<A::Conn>,
    pub(crate) now: Instant,
    pub(crate) unix_nanos: u64,
    /// Bytes shown and not taken.
    pub(crate) untaken: Vec<u8>,
    /// Every byte sent so far.
    pub(crate) stream: Vec<u8>,
    pub(crate) acked: u64,
    pub(crate) deadline: Option<Instant>,
    /// Times that a deadline was set.
    pub(crate) deadlines_set: u32,
    /// Our direction has ended, or ends at the next `Pending`.
    pub(crate) closing: bool,
    pub(crate) ended: bool,
    pub(crate) aborted: bool,
    pub(crate) opens: Vec<OpenRequest>,
}

impl<A: App> Driver<A> {
    /// An application with a connection just open.
    pub(crate) fn new(app: A, unix_seconds: u64) -> Self {
        let mut driver = Self {
            app,
            conn: None,
            now: Instant::from_nanos(5_000_000_000),
            unix_nanos: unix_seconds * 1_000_000_000,
            untaken: Vec::new(),
            stream: Vec::new(),
            acked: 0,
            deadline: None,
            deadlines_set: 0,
            closing: false,
            ended: false,
            aborted: false,
            opens: Vec::new(),
        };
        driver.open();
        driver
    }

    /// Opens a connection; the one before must be over.
    pub(crate) fn open(&mut self) {
        assert!(self.conn.is_none());
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
        let peer = Peer { id: ID, local: at, remote: at, token: None };
        self.untaken.clear();
        self.stream.clear();
        (self.acked, self.deadline) = (0, None);
        (self.closing, self.ended, self.aborted) = (false, false, false);
        let conn = self.call(|app, _, cx| app.on_open(cx, peer));
        self.conn = Some(conn);
    }

    pub(crate) fn close(&mut self, why: CloseReason) {
        let conn = self.conn.take().expect("a connection");
        self.app.on_close(conn, why);
    }

    fn call<R>(&mut self, f: impl FnOnce(&mut A, Option<&mut A::Conn>, &mut Cx<'_>) -> R) -> R {
        let mut commands = Commands::default();
        let mut cx =
            Cx { now: self.now, unix_nanos: self.unix_nanos, conn: ID, commands: &mut commands };
        let answer = f(&mut self.app, self.conn.as_mut(), &mut cx);
        self.closing |= commands.close;
        self.aborted |= commands.abort;
        self.opens.append(&mut commands.opens);
        if let Some(deadline) = commands.deadline {
            self.deadlines_set += 1;
            self.deadline = deadline;
        }
        answer
    }

    /// Shows bytes, after those not taken before.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) {
        self.untaken.extend_from_slice(bytes);
        self.show();
    }

    fn show(&mut self) {
        let shown = core::mem::take(&mut self.untaken);
        let taken = self.call(|app, conn, cx| app.on_bytes(cx, conn.expect("open"), &shown));
        assert!(taken <= shown.len(), "took more than there was");
        self.untaken = shown[taken..].to_vec();
    }

    /// What `source` says of offset `at`, as bytes (at most `max`), and whether FIN follows them.
    fn read(&mut self, at: u64, max: u32) -> Option<(Vec<u8>, bool)> {
        let conn = self.conn.as_ref().expect("open");
        match self.app.source(conn, at, max) {
            Source::Prepared { object, offset, len, pins, fin } => {
                let n = len.min(u64::from(max)) as usize;
                let pins: Vec<(usize, Vec<u8>)> = pins
                    .iter()
                    .flatten()
                    .map(|p| (usize::from(p.offset), p.bytes.to_vec()))
                    .collect();
                let mut out = alloc::vec![0; n];
                assert_eq!(self.app.content().read_at(object, offset, &mut out), ReadAt::Done);
                for (pin_at, bytes) in pins {
                    for (i, byte) in bytes.iter().enumerate() {
                        let i = (pin_at + i) as u64;
                        if i >= offset && i < offset + n as u64 {
                            out[(i - offset) as usize] = *byte;
                        }
                    }
                }
                Some((out, fin && n as u64 == len))
            }
            Source::Bytes { bytes, fin } => {
                assert!(!bytes.is_empty());
                let n = bytes.len().min(max as usize);
                Some((bytes[..n].to_vec(), fin && n == bytes.len()))
            }
            Source::Pending => {
                self.ended |= self.closing;
                None
            }
            Source::End => {
                self.ended = true;
                None
            }
        }
    }

    /// Sends up to `max` bytes; what was sent.
    pub(crate) fn send(&mut self, max: u32) -> Vec<u8> {
        if self.ended {
            return Vec::new();
        }
        let at = self.stream.len() as u64;
        let Some((bytes, fin)) = self.read(at, max) else {
            return Vec::new();
        };
        assert_eq!(self.read(at, max), Some((bytes.clone(), fin)), "asked twice");
        self.stream.extend_from_slice(&bytes);
        self.ended |= fin;
        bytes
    }

    /// Sends all there is, in segments of `mss` bytes.
    pub(crate) fn send_all(&mut self, mss: u32) -> Vec<u8> {
        let from = self.stream.len();
        while !self.send(mss).is_empty() {}
        self.stream[from..].to_vec()
    }

    /// Reads everything not yet acknowledged once more: it must be what was sent.
    pub(crate) fn retransmit_all(&mut self, mss: u32) {
        let mut at = self.acked;
        while at < self.stream.len() as u64 {
            let sent = &self.stream[at as usize..];
            let max = mss.min(sent.len() as u32);
            let sent = sent[..max as usize].to_vec();
            let (bytes, _) = self.read(at, max).expect("sent before");
            assert_eq!(bytes, sent[..bytes.len()], "at {at}");
            at += bytes.len() as u64;
        }
    }

    /// Acknowledges everything below `upto`.
    pub(crate) fn ack(&mut self, upto: u64) {
        assert!(upto <= self.stream.len() as u64);
        self.acked = upto;
        self.call(|app, conn, cx| app.on_acked(cx, conn.expect("open"), upto));
        if !self.untaken.is_empty() {
            self.show();
        }
    }

    pub(crate) fn ack_all(&mut self) {
        self.ack(self.stream.len() as u64);
    }

    /// The peer's FIN.
    pub(crate) fn fin(&mut self) {
        self.call(|app, conn, cx| app.on_fin(cx, conn.expect("open")));
    }

    /// Lets time pass; deadlines on the way are kept.
    pub(crate) fn pass(&mut self, nanos: u64) {
        let end = Instant::from_nanos(self.now.as_nanos() + nanos);
        while let Some(due) = self.deadline.filter(|d| *d <= end && !self.aborted) {
            self.step_to(due.max(self.now));
            self.deadline = None;
            self.call(|app, conn, cx| app.on_deadline(cx, conn.expect("open")));
            assert!(self.deadline.is_none_or(|next| next > self.now), "deadlines advance");
        }
        self.step_to(end);
    }

    fn step_to(&mut self, at: Instant) {
        self.unix_nanos += (at - self.now).as_nanos();
        self.now = at;
    }
}
