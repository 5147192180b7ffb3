//! Counters for people: a line a second while serving, and a summary at the end.

use crate::human;
use simoom_core::http::response::Status;
use simoom_core::server::{Bodies, FileServer};
use simoom_core::stack::Stack;
use simoom_core::tcp::Drop;
use std::fmt::Write;

/// What a line of `--stats` is the difference of, and what shards are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) requests: u64,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) bytes_out: u64,
    pub(super) turns: u64,
    /// Open at this moment.
    pub(super) connections: u64,
}

impl Snapshot {
    pub(super) fn of<B: Bodies>(stack: &Stack<FileServer<B>>) -> Self {
        let stats = stack.stats();
        Self {
            requests: stack.app().stats().requests,
            frames_in: stats.frames_in,
            frames_out: stats.frames_out,
            bytes_out: stats.bytes_out,
            turns: stats.turns,
            connections: stack.connections().into(),
        }
    }

    /// Of several shards, all together.
    pub(super) fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            requests: sum.requests + one.requests,
            frames_in: sum.frames_in + one.frames_in,
            frames_out: sum.frames_out + one.frames_out,
            bytes_out: sum.bytes_out + one.bytes_out,
            turns: sum.turns + one.turns,
            connections: sum.connections + one.connections,
        })
    }

    /// What was counted since `before`; the connections are those of now.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            frames_in: self.frames_in - before.frames_in,
            frames_out: self.frames_out - before.frames_out,
            bytes_out: self.bytes_out - before.bytes_out,
            turns: self.turns - before.turns,
            connections: self.connections,
        }
    }

    /// In a line.
    pub(super) fn line(&self, name: &str) -> String {
        format!(
            "{name}: {} connections, {} requests, {} frames in, {} out ({}), {} turns",
            self.connections,
            self.requests,
            self.frames_in,
            self.frames_out,
            human::bytes(self.bytes_out),
            self.turns,
        )
    }
}

/// All that was counted and is not zero, a line each; `dropped` is the port's part of it.
pub(super) fn of<B: Bodies>(
    name: &str,
    stack: &Stack<FileServer<B>>,
    dropped: &[(u64, &str)],
) -> String {
    let mut out = String::new();
    let (stats, app, store) = (stack.stats(), stack.app().stats(), stack.store().stats());
    let _ = writeln!(
        out,
        "{name}: {} frames in ({}), {} out ({}), {} turns",
        stats.frames_in,
        human::bytes(stats.bytes_in),
        stats.frames_out,
        human::bytes(stats.bytes_out),
        stats.turns
    );
    let _ = writeln!(
        out,
        "  {} requests on {} connections, {} acknowledged",
        app.requests,
        app.connections,
        human::bytes(app.response_bytes)
    );
    for status in Status::ALL {
        line(&mut out, app.responses_with(status), status.text());
    }
    for (count, what) in [
        (stats.tx_prepared, "segments from prepared copies"),
        (store.shared, "of them from payload that others share"),
        (stats.tx_copied, "segments copied"),
        (stats.copied_no_class, "of them because the peer's MSS has no class"),
        (stats.copied_unaligned, "of them because they start or end between prepared ones"),
        (stats.copied_store_miss, "of them because the store had no copy"),
        (store.cuts, "segments cut"),
        (store.copies_made, "further copies made"),
        (store.kept_high.into(), "copies or payloads kept at once, at most"),
        (store.stolen, "copies given up to make room"),
        (store.bytes_lost, "copies that a device took for good"),
        (stats.closed, "connections closed"),
        (stats.reset_by_peer, "connections reset by the peer"),
        (stats.aborted, "connections reset by this side"),
        (stats.timed_out, "connections given up: the peer stopped answering"),
        (app.cut_off, "connections that ended before their answers were acknowledged"),
        (app.idle_closed, "connections closed because nothing was asked"),
        (app.stalled, "connections reset because nothing was acknowledged"),
        (stats.time_wait_recycled, "connections in TIME-WAIT made room early"),
    ] {
        line(&mut out, count, what);
    }
    // A port with the host's rings has handed these on.
    for (count, what) in [
        (stats.rx_not_ours, "to another address"),
        (stats.rx_other, "of another protocol, or a fragment"),
        (stats.rx_for_host, "to the address that is the host's too"),
    ] {
        line(&mut out, count, &format!("not ours: {what}"));
    }
    if stats.rx_hashed > 0 {
        let what = format!(
            "of {} new connections on a ring that the hash does not choose",
            stats.rx_hashed
        );
        line(&mut out, stats.rx_other_ring, &what);
    }
    for (count, what) in [
        (stats.rx_malformed, "malformed"),
        (stats.rx_bad_checksum, "wrong checksum"),
        (stats.rx_no_connection, "of no connection"),
        (stats.syn_table_full, "SYN, connection table full (--connections)"),
        (stats.syn_half_open_full, "SYN, too many half-open connections"),
        (stats.receive_pool_empty, "text, no receive buffer"),
        (stats.reassembly_full, "text, too many ranges out of order"),
        (stats.replies_full, "answer not sent, queue full"),
    ]
    .into_iter()
    .chain(dropped.iter().copied())
    {
        line(&mut out, count, &format!("dropped: {what}"));
    }
    for drop in Drop::ALL {
        line(&mut out, stats.tcp_drops[drop as usize], &format!("dropped by TCP: {drop:?}"));
    }
    out
}

fn line(out: &mut String, count: u64, what: &str) {
    if count > 0 {
        let _ = writeln!(out, "  {count:>12}  {what}");
    }
}
