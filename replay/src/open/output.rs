//! What a replay tells while it goes on, and to whom.

use crate::compare::{ConnectionReport, Sent, Side};
use simoom_core::tcp::Info;
use simoom_pcap::dissect::Ecn;
use std::io;
use std::net::SocketAddr;

/// A segment of ours, for those who write or draw it.
#[derive(Clone, Copy, Debug)]
pub struct OurFrame<'a> {
    /// The connection's number.
    pub serial: u32,
    /// The captured client.
    pub client: SocketAddr,
    /// The captured server, for which ours stands.
    pub server: SocketAddr,
    /// Nanoseconds since 1970.
    pub at: u64,
    /// The TCP segment; its checksum is not filled in, its ports are made up.
    pub tcp: &'a [u8],
    /// The IP header's ECN field.
    pub ecn: Ecn,
    /// What its connection knew; None for answers of no connection.
    pub info: Option<&'a Info>,
}

/// A segment of either server, or an acknowledgement of the client, for those who draw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A server sent something.
    Sent(Side, Sent),
    /// The client acknowledged everything before `acked` and takes what is before `edge`.
    Acked {
        /// Nanoseconds since 1970.
        at: u64,
        /// Stream offset.
        acked: u64,
        /// Stream offset.
        edge: u64,
    },
}

/// Who is told of what happens. Every method may do nothing.
pub trait Output {
    /// Whether this connection's marks are wanted.
    fn watches(&self, _serial: u32) -> bool {
        false
    }

    /// Something to draw, of a connection that is watched.
    fn on_mark(&mut self, _serial: u32, _mark: Mark) {}

    /// Ours sent a segment. Called where [`super::OpenOptions::wants_frames`].
    ///
    /// # Errors
    /// What ends the replay.
    fn on_frame(&mut self, _frame: &OurFrame<'_>) -> io::Result<()> {
        Ok(())
    }

    /// A connection is over.
    fn on_connection(&mut self, _report: &ConnectionReport) {}

    /// So many records of the tape are done.
    fn on_progress(&mut self, _records: u64) {}
}

/// Wants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutput;

impl Output for NoOutput {}
