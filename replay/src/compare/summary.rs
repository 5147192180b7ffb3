//! Over all connections of a capture.

use super::class::Class;
use super::head::HeadDifference;
use super::pairing::Difference;
use super::sent::Again;
use std::net::SocketAddr;

/// Connections with a difference that are kept whole, at most; all are counted.
pub const KEPT_MAX: usize = 1_000;

/// Connections named for each class, at most.
pub const EXAMPLES_MAX: usize = 3;

/// From which event on the replay of a connection means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaningless {
    /// The client acknowledged what ours had not sent.
    AckOfUnsent,
    /// The client sent more than ours had room for; it will not send it again.
    TextBeyondWindow,
    /// More of the server's writes than a script holds.
    ScriptCut,
    /// More segments waited than there is memory for.
    NoMemory,
}

impl Meaningless {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::AckOfUnsent, Self::TextBeyondWindow, Self::ScriptCut, Self::NoMemory];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckOfUnsent => "ack_of_unsent",
            Self::TextBeyondWindow => "text_beyond_window",
            Self::ScriptCut => "script_cut",
            Self::NoMemory => "no_memory",
        }
    }

    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::AckOfUnsent => "the client acknowledged what ours had not sent",
            Self::TextBeyondWindow => "the client sent more than ours had room for",
            Self::ScriptCut => "the server wrote more often than a script holds",
            Self::NoMemory => "more waited to be compared than there is memory for",
        }
    }
}

/// What became of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Its number, in the order of first frames, from 0.
    pub serial: u32,
    /// The client.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// When it was opened: nanoseconds since 1970.
    pub opened_at: u64,
    /// Segments laid side by side.
    pub compared: u64,
    /// The first difference.
    pub first: Option<Difference>,
    /// The difference that parted their ways, where it is not the first.
    pub parting: Option<Difference>,
    /// How often each class was found, by [`Class::ALL`].
    pub counts: [u32; Class::ALL.len()],
    /// From where on its replay means nothing: why, the captured frame, and when.
    pub meaningless: Option<(Meaningless, u64, u64)>,
    /// The first head of an answer that differs, where answers come from files.
    pub head: Option<HeadDifference>,
    /// What ours sent again, by [`Again::ALL`].
    pub our_again: [u32; Again::ALL.len()],
    /// What the captured server sent again.
    pub their_again: [u32; Again::ALL.len()],
    /// The longest time between two segments that are the same, in nanoseconds.
    pub farthest: u64,
    /// Segments of its client that were damaged: neither server took them.
    pub damaged: u32,
}

impl ConnectionReport {
    /// Whether anything differs, or could not be compared to the end.
    pub fn differs(&self) -> bool {
        self.first.is_some() || self.meaningless.is_some()
    }
}

/// A class over the capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassCount {
    /// Connections whose first difference it is.
    pub first_in: u64,
    /// Connections in which it was found.
    pub found_in: u64,
    /// How often it was found in all.
    pub times: u64,
    /// The first connections whose first difference it is, or whose ways it parted.
    pub examples: Vec<u32>,
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections replayed.
    pub connections: u64,
    /// Those of them in which nothing differs.
    pub same: u64,
    /// Segments laid side by side.
    pub compared: u64,
    /// By [`Class::ALL`].
    pub classes: [ClassCount; Class::ALL.len()],
    /// Connections whose replay means nothing from some event on, by [`Meaningless::ALL`].
    pub meaningless: [u64; Meaningless::ALL.len()],
    /// What ours sent again, by [`Again::ALL`].
    pub our_again: [u64; Again::ALL.len()],
    /// What the captured servers sent again.
    pub their_again: [u64; Again::ALL.len()],
    /// The longest time between two segments that are the same, in nanoseconds.
    pub farthest: u64,
    /// Segments of clients that were damaged.
    pub damaged: u64,
    /// The first connections that differ.
    pub kept: Vec<ConnectionReport>,
    /// Those that differ and are not in `kept`.
    pub not_kept: u64,
}

impl Summary {
    /// Takes in one connection.
    pub fn add(&mut self, one: &ConnectionReport) {
        self.connections += 1;
        self.compared += one.compared;
        self.farthest = self.farthest.max(one.farthest);
        self.damaged += u64::from(one.damaged);
        for (sum, n) in self.our_again.iter_mut().zip(one.our_again) {
            *sum += u64::from(n);
        }
        for (sum, n) in self.their_again.iter_mut().zip(one.their_again) {
            *sum += u64::from(n);
        }
        for (sum, &n) in self.classes.iter_mut().zip(&one.counts) {
            sum.times += u64::from(n);
            sum.found_in += u64::from(n > 0);
        }
        if let Some(first) = &one.first {
            self.classes[first.class as usize].first_in += 1;
        }
        for told in one.first.iter().chain(&one.parting) {
            let class = &mut self.classes[told.class as usize];
            if class.examples.len() < EXAMPLES_MAX {
                class.examples.push(one.serial);
            }
        }
        if let Some((why, ..)) = one.meaningless {
            self.meaningless[why as usize] += 1;
        }
        if !one.differs() {
            self.same += 1;
        } else if self.kept.len() < KEPT_MAX {
            self.kept.push(one.clone());
        } else {
            self.not_kept += 1;
        }
    }

    /// The classes that were found: those that come first in the most connections first.
    pub fn by_weight(&self) -> Vec<(Class, &ClassCount)> {
        let mut found: Vec<_> = Class::ALL
            .into_iter()
            .zip(&self.classes)
            .filter(|(_, count)| count.times > 0)
            .collect();
        found.sort_by_key(|(class, count)| {
            (std::cmp::Reverse((count.first_in, count.found_in)), *class)
        });
        found
    }

    /// Whether nothing differs in any connection.
    pub fn is_same(&self) -> bool {
        self.same == self.connections
    }
}
