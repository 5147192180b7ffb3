//! Frames that wait for their turn, where a link decides then what becomes of them: behind a trace,
//! CoDel, an outage that holds them, or a rate that is to change.

use super::codel::{CoDel, Verdict};
use super::config::Aqm;
use super::ip;
use crate::frames::{FrameId, Frames};
use simoom_core::time::Instant;
use std::collections::VecDeque;

/// The queue and what manages it.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    frames: VecDeque<Waiter>,
    bytes: u64,
    codel: CoDel,
    /// The longest frame that has come by. RFC 8289 §5.
    maxpacket: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    frame: FrameId,
    len: u32,
    since: Instant,
}

/// What the head of a queue gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A frame to be sent; `marked` if its packet was just marked as one that met congestion.
    Send { frame: FrameId, len: u64, marked: bool },
    /// A frame to be dropped; there may be more behind it.
    Drop(FrameId),
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn push(&mut self, now: Instant, frame: FrameId, len: u64) {
        self.maxpacket = self.maxpacket.max(len);
        self.bytes += len;
        self.frames.push_back(Waiter { frame, len: len as u32, since: now });
    }

    /// Takes the first frame.
    pub(super) fn pop(&mut self, now: Instant, aqm: &Aqm, frames: &mut Frames) -> Option<Head> {
        let Some(Waiter { frame, len, since }) = self.frames.pop_front() else {
            self.codel.on_empty();
            return None;
        };
        let len = u64::from(len);
        self.bytes -= len;
        let Aqm::CoDel(config) = aqm else {
            return Some(Head::Send { frame, len, marked: false });
        };
        match self.codel.judge(config, now, now - since, self.bytes, self.maxpacket) {
            Verdict::Send => Some(Head::Send { frame, len, marked: false }),
            Verdict::Drop if config.ecn && ip::mark_congestion(frames.get_mut(frame)) => {
                Some(Head::Send { frame, len, marked: true })
            }
            Verdict::Drop => Some(Head::Drop(frame)),
        }
    }
}
