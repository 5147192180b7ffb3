//! A row of the table: what is measured, and how it is named on a command line.

use crate::arena::Pages;
use simoom_core::content::Mode;

/// Whose stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Ours.
    Simoom,
    /// smoltcp 0.14.
    Smoltcp,
}

/// How long a connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Request after request; the next acknowledges the end of the last answer. 1 µs a turn.
    KeepAlive,
    /// The same with the end of each answer acknowledged at once, and 1 ms a turn, so that timers
    /// are armed, moved and cancelled.
    KeepAliveTimers,
    /// Handshake, one request, FIN both ways. 1 µs a turn.
    Close,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose stack.
    pub stack: Stack,
    /// Bytes of a body.
    pub object_bytes: u64,
    /// Objects asked for in turn.
    pub objects: u32,
    /// Connections open.
    pub open: u32,
    /// Requests under way at once.
    pub active: u32,
    /// Whether each round is on other connections, until all had their turn, so that none is in
    /// cache when its frames arrive. Else always the same ones, spread over the open ones.
    pub moving: bool,
    /// How long a connection lasts.
    pub lifetime: Lifetime,
    /// Segments from one acknowledgement of the client to the next.
    pub ack_every: u32,
    /// Whether checksums are computed and verified.
    pub checksums: bool,
    /// How segments get into buffers; without meaning for smoltcp.
    pub content: Mode,
    /// Whether simoom's store has a class for the client's MSS: else segments go the copying way.
    pub class: bool,
    /// Pages of simoom's buffers.
    pub pages: Pages,
}

impl Row {
    /// The row that all others differ from: 22 KB, one object, one connection, keep-alive,
    /// checksums, copies on demand, huge pages.
    pub const BASE: Self = Self {
        stack: Stack::Simoom,
        object_bytes: 22_528,
        objects: 1,
        open: 1,
        active: 1,
        moving: false,
        lifetime: Lifetime::KeepAlive,
        ack_every: 2,
        checksums: true,
        content: Mode::CopiesOnDemand,
        class: true,
        pages: Pages::Huge,
    };

    /// Nanoseconds of virtual time a turn.
    pub fn step_nanos(&self) -> u64 {
        if self.lifetime == Lifetime::KeepAliveTimers { 1_000_000 } else { 1_000 }
    }

    /// As it is shown.
    pub fn content_name(&self) -> &'static str {
        match (self.stack, self.content) {
            (Stack::Smoltcp, _) => "socket-buffer",
            _ if !self.class => "no-class",
            (_, Mode::Copy) => "copy",
            (_, Mode::CopiesInAdvance(_)) => "copies-in-advance",
            (_, Mode::CopiesOnDemand) => "copies-on-demand",
            (_, Mode::Gather) => "gather",
        }
    }

    /// As it is shown.
    pub fn lifetime_name(&self) -> &'static str {
        match self.lifetime {
            Lifetime::KeepAlive => "keep-alive",
            Lifetime::KeepAliveTimers => "keep-alive-timers",
            Lifetime::Close => "close",
        }
    }

    /// As it is shown.
    pub fn set_name(&self) -> &'static str {
        if self.moving { "moving" } else { "fixed" }
    }

    /// As it is shown.
    pub fn stack_name(&self) -> &'static str {
        match self.stack {
            Stack::Simoom => "simoom",
            Stack::Smoltcp => "smoltcp",
        }
    }

    /// As it is shown.
    pub fn pages_name(&self) -> &'static str {
        match (self.stack, self.pages) {
            (Stack::Smoltcp, _) | (_, Pages::Small) => "4KB",
            (_, Pages::Huge) => "2MB-advised",
        }
    }

    /// The name of the row: what `--rows` looks into and what [`Row::parse`] reads.
    pub fn name(&self) -> String {
        let acks = match self.ack_every {
            2 => String::new(),
            every => format!(" ack-every={every}"),
        };
        format!(
            "stack={} bytes={} objects={} open={} active={} set={} mode={} checksums={} content={} pages={}{acks}",
            self.stack_name(),
            self.object_bytes,
            self.objects,
            self.open,
            self.active,
            self.set_name(),
            self.lifetime_name(),
            self.checksums,
            self.content_name(),
            self.pages_name(),
        )
    }

    /// Reads a name; what is not named is as in [`Row::BASE`]. None where a word is unknown.
    pub fn parse(name: &str) -> Option<Self> {
        let mut row = Self::BASE;
        for word in name.split_whitespace() {
            let (key, value) = word.split_once('=')?;
            match key {
                "stack" => {
                    row.stack = match value {
                        "simoom" => Stack::Simoom,
                        "smoltcp" => Stack::Smoltcp,
                        _ => return None,
                    }
                }
                "bytes" => row.object_bytes = value.parse().ok()?,
                "objects" => row.objects = value.parse().ok()?,
                "open" => row.open = value.parse().ok()?,
                "active" => row.active = value.parse().ok()?,
                "set" => {
                    row.moving = match value {
                        "moving" => true,
                        "fixed" => false,
                        _ => return None,
                    }
                }
                "mode" => {
                    row.lifetime = match value {
                        "keep-alive" => Lifetime::KeepAlive,
                        "keep-alive-timers" => Lifetime::KeepAliveTimers,
                        "close" => Lifetime::Close,
                        _ => return None,
                    }
                }
                "ack-every" => row.ack_every = value.parse().ok().filter(|every| *every > 0)?,
                "checksums" => row.checksums = value.parse().ok()?,
                "content" => {
                    row.content = match value {
                        "copy" => Mode::Copy,
                        "copies-in-advance" => Mode::CopiesInAdvance(COPIES_IN_ADVANCE),
                        "gather" => Mode::Gather,
                        "copies-on-demand" | "socket-buffer" | "no-class" => Mode::CopiesOnDemand,
                        _ => return None,
                    };
                    row.class = value != "no-class";
                }
                "pages" => {
                    row.pages = match value {
                        "4KB" => Pages::Small,
                        "2MB-advised" => Pages::Huge,
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        Some(row)
    }
}

/// Copies of each segment that the mode *copies in advance* makes here: as many as a turn of 32
/// requests may have away, and as many again before they come home.
pub const COPIES_IN_ADVANCE: u16 = 64;
