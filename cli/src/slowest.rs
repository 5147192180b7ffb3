//! `--slowest N`: the connections with the slowest turns, in bounded memory.

use simoom_replay::analysis::{Connection, Sink};
use simoom_replay::flow::FlowId;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Hears of every connection of an analysis, and keeps the slowest.
#[derive(Debug)]
pub(crate) struct Slowest {
    most: usize,
    /// The quickest of them on top.
    found: BinaryHeap<Reverse<(u64, Reverse<FlowId>)>>,
}

impl Slowest {
    /// So many, at most.
    pub(crate) fn new(most: u32) -> Self {
        Self { most: most as usize, found: BinaryHeap::new() }
    }

    /// Which they are.
    pub(crate) fn into_ids(self) -> BTreeSet<FlowId> {
        self.found.into_iter().map(|Reverse((_, Reverse(id)))| id).collect()
    }
}

impl Sink for Slowest {
    fn on_connection(&mut self, connection: &Connection<'_>) {
        if connection.turns > 0 {
            self.found.push(Reverse((connection.slowest_nanos, Reverse(connection.flow.id))));
            if self.found.len() > self.most {
                self.found.pop();
            }
        }
    }
}
