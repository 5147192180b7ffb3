//! The findings: which waits cost most, and where they were worst.

use super::cause::Wait;
use super::turns::Turn;
use crate::flow::{Flow, FlowId};
use std::net::SocketAddr;

/// The worst cases of a finding that are kept.
pub const CASES_MAX: usize = 8;

/// One turn's share of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The connection.
    pub flow: FlowId,
    /// Its client.
    pub client: SocketAddr,
    /// Its server.
    pub server: SocketAddr,
    /// Which turn of the connection, from 1 on.
    pub turn: u32,
    /// What the waits of this kind cost the turn, in nanoseconds.
    pub nanos: u64,
    /// First and last frame of the longest of them, or of the turn.
    pub frames: (u64, u64),
    /// When the turn began, in nanoseconds since 1970, and what it took.
    pub began_at: u64,
    /// What the turn took, in nanoseconds.
    pub turn_nanos: u64,
}

/// A kind of wait over the whole capture.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The kind.
    pub wait: Wait,
    /// What it cost all turns, in nanoseconds.
    pub nanos: u64,
    /// Turns that had it.
    pub turns: u64,
    /// The worst, worst first; at most [`CASES_MAX`].
    pub cases: Vec<Case>,
}

impl Finding {
    fn new(wait: Wait) -> Self {
        Self { wait, nanos: 0, turns: 0, cases: Vec::new() }
    }

    fn take(&mut self, flow: &Flow, turn: &Turn, nanos: u64) {
        self.nanos = self.nanos.saturating_add(nanos);
        self.turns += 1;
        if self.cases.len() == CASES_MAX && self.cases[CASES_MAX - 1].nanos >= nanos {
            return;
        }
        let frames = turn.frames_of(self.wait);
        let case = Case {
            flow: flow.id,
            client: flow.client(),
            server: flow.server(),
            turn: turn.number,
            nanos,
            frames,
            began_at: turn.began_at,
            turn_nanos: turn.nanos,
        };
        let at = self.cases.partition_point(|other| other.nanos >= nanos);
        self.cases.truncate(CASES_MAX - 1);
        self.cases.insert(at, case);
    }
}

/// All kinds of wait of a capture.
#[derive(Clone, Debug)]
pub struct Findings {
    all: Vec<Finding>,
}

impl Default for Findings {
    fn default() -> Self {
        Self { all: Wait::ALL.into_iter().map(Finding::new).collect() }
    }
}

impl Findings {
    pub(super) fn on_turn(&mut self, flow: &Flow, turn: &Turn) {
        for (wait, nanos) in turn.division.parts() {
            self.all[wait as usize].take(flow, turn, nanos);
        }
    }

    /// The kind over the whole capture.
    pub fn of(&self, wait: Wait) -> &Finding {
        &self.all[wait as usize]
    }

    /// Those that are findings ([`Wait::finding`]), the one that cost most first.
    pub fn worst(&self) -> Vec<&Finding> {
        let mut found: Vec<_> = self
            .all
            .iter()
            .filter(|finding| finding.nanos > 0 && finding.wait.finding().is_some())
            .collect();
        found.sort_by_key(|finding| (std::cmp::Reverse(finding.nanos), finding.wait));
        found
    }
}
