//! The order of a turn, and when to come again.

use super::Stack;
use super::app::{App, Cx};
use super::connection::Phase;
use crate::port::{BATCH_MAX, Port, TxSync};
use crate::time::{Duration, Instant};
use crate::trace::Trace;

/// How long a turn that could not send for want of ring slots or buffers waits, where nothing
/// else wakes it. A port that reports completions wakes it earlier.
const STARVED_RETRY: Duration = Duration::from_micros(50);

/// How long a turn waits before it asks again for content that was not there.
const CONTENT_RETRY: Duration = Duration::from_millis(1);

/// Timers that fire in one turn, at most: the rest is due at once.
const EXPIRIES_MAX: usize = 256;

/// When to call [`Stack::turn`] again, where no frame arrives before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Not later than this; it may be in the past.
    pub at: Instant,
    /// What for.
    pub why: WakeReason,
}

/// What a turn waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// A timer of a connection, or a step of the timer wheel towards one.
    Timer,
    /// An answer to an ARP request.
    AddressResolution,
    /// More work than one turn does.
    MoreWork,
    /// The ring was full or no buffer was free.
    Starved,
    /// Content that was not there yet.
    Content,
}

/// Why a turn stopped sending with connections still ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Nobody is left, or each has had its turn.
    No,
    /// The ring is full.
    RingFull,
    /// No buffer is free, and none can be stolen.
    NoBuffer,
    /// Whoever is left waits for content.
    Content,
}

impl<A: App, T: Trace> Stack<A, T> {
    /// One bounded turn: reclaim, receive, deadlines, transmit, sync. Says when to come again;
    /// None: not before a frame arrives.
    ///
    /// `now` must not go back. `port` must be the same at every turn.
    ///
    /// # Errors
    /// What the port's doorbell answered. The stack stays usable; the port may not.
    pub fn turn<P: Port>(
        &mut self,
        now: Instant,
        port: &mut P,
    ) -> Result<Option<Deadline>, P::Error> {
        self.stats.turns += 1;
        let store = &mut self.store;
        port.reclaim(|buf| store.on_done(buf));
        let received = port.receive(BATCH_MAX, |frames| self.on_batch(now, frames));
        let expired = self.run_deadlines(now);
        self.run_commands(now);
        let sent_before = self.stats.frames_out;
        let held = self.transmit(now, port);
        let starved = matches!(held, Held::RingFull | Held::NoBuffer);
        if starved {
            port.sync_tx(TxSync::PushAndReclaim)?;
        } else if self.stats.frames_out != sent_before {
            port.sync_tx(TxSync::Push)?;
        }
        let more = received == BATCH_MAX || expired == EXPIRIES_MAX || !self.commands.is_idle();
        Ok(self.next_deadline(now, held, more))
    }

    fn next_deadline(&self, now: Instant, held: Held, more: bool) -> Option<Deadline> {
        if more {
            return Some(Deadline { at: now, why: WakeReason::MoreWork });
        }
        let timer = self.wheel.next_wake().map(|at| Deadline { at, why: WakeReason::Timer });
        let held = match held {
            Held::No if self.ready.len() > 0 => {
                Some(Deadline { at: now, why: WakeReason::MoreWork })
            }
            Held::No => None,
            Held::RingFull | Held::NoBuffer => {
                Some(Deadline { at: now + STARVED_RETRY, why: WakeReason::Starved })
            }
            Held::Content => Some(Deadline { at: now + CONTENT_RETRY, why: WakeReason::Content }),
        };
        let resolving =
            self.resolving_due().map(|at| Deadline { at, why: WakeReason::AddressResolution });
        [timer, held, resolving].into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Lets the timers fire that are due, and answers how many did.
    fn run_deadlines(&mut self, now: Instant) -> usize {
        if !self.resolving.is_empty() && self.resolving_due().is_some_and(|at| at <= now) {
            self.retry_resolving(now);
        }
        for fired in 0..EXPIRIES_MAX {
            let Some(slot) = self.wheel.poll_expired(now) else { return fired };
            self.on_timer(now, slot);
        }
        EXPIRIES_MAX
    }

    fn on_timer(&mut self, now: Instant, slot: u32) {
        let id = self.conns.id(slot);
        let unix_nanos = self.unix_nanos(now);
        let Some(conn) = self.conns.get_mut(slot) else { return };
        conn.armed_at = Instant::FAR_FUTURE;
        if conn.tcb.next_deadline().is_some_and(|deadline| deadline.at <= now) {
            if let Some(ended) = conn.tcb.on_deadline(&self.config.tcp, now) {
                self.remove(slot, ended);
                return;
            }
            if T::ENABLED {
                self.trace.on_state(now, &conn.key, &conn.tcb.info(&self.config.tcp));
            }
        }
        if conn.app_deadline <= now {
            conn.app_deadline = Instant::FAR_FUTURE;
            conn.drained = false;
            if let Phase::Open(value) = &mut conn.phase {
                let commands = &mut self.commands;
                self.app.on_deadline(&mut Cx { now, unix_nanos, conn: id, commands }, value);
                self.apply_commands(now, slot);
            }
        }
        // The visit arms the timer again, whether there is something to send or not.
        self.ready.push_back(slot);
    }

    /// Arms a connection's timer, where its deadline came nearer. One that moved away is left: it
    /// is looked at when it fires.
    #[inline]
    pub(super) fn arm(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if let Some(due) = conn.take_nearer_due() {
            self.wheel.arm(slot, due);
        }
    }
}
