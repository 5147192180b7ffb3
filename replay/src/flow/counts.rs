//! Where every frame of a capture went.

use super::class::Class;
use super::table::Found;
use simoom_pcap::dissect::OtherKind;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Servers that are told apart. What comes after so many (a scan) is counted together.
pub const SERVERS_MAX: usize = 4096;

/// Connections and frames of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCount {
    /// Connections.
    pub connections: u64,
    /// Their frames.
    pub frames: u64,
    /// Those of the connections that were evicted, for want of room.
    pub evicted: u64,
}

/// A server's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCount {
    /// Connections whose handshake showed it, as far as seen.
    pub handshakes: u64,
    /// All that had more than a SYN.
    pub connections: u64,
}

/// Where every frame went. [`Counts::accounted`] is [`Counts::frames`] once the table is finished.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Frames that were given.
    pub frames: u64,
    /// By class of their connection: in the order of [`Class::ALL`].
    pub classes: [ClassCount; Class::ALL.len()],
    /// Frames without a segment: in the order of [`OtherKind::ALL`].
    pub others: [u64; OtherKind::ALL.len()],
    /// Parts of IP datagrams that did not complete one.
    pub fragments: u64,
    /// Segments with a wrong checksum that belong to no known connection.
    pub damaged_strays: u64,
    /// Frames, among those of the classes, that were captured again.
    pub copies: u64,
    /// Segments, among those of the classes, with a wrong checksum.
    pub damaged: u64,
    /// Connections by what told the server: in the order of [`Found::ALL`].
    pub found: [u64; Found::ALL.len()],
    /// Connections whose ends had been taken for each other at first.
    pub turned_round: u64,
    /// By server, up to [`SERVERS_MAX`].
    pub servers: BTreeMap<SocketAddr, ServerCount>,
    /// Connections of further servers.
    pub servers_unlisted: u64,
    /// The most connections that were alive at once, half-open and lately closed ones among them.
    pub alive_most: u64,
}

impl Counts {
    /// A class's count.
    pub fn class(&self, class: Class) -> ClassCount {
        self.classes[class as usize]
    }

    /// Frames that have come to a place for good.
    pub fn accounted(&self) -> u64 {
        let classes: u64 = self.classes.iter().map(|class| class.frames).sum();
        classes + self.others.iter().sum::<u64>() + self.fragments + self.damaged_strays
    }

    /// Connections that have ended.
    pub fn connections(&self) -> u64 {
        self.classes.iter().map(|class| class.connections).sum()
    }

    pub(super) fn server(&mut self, end: SocketAddr) -> Option<&mut ServerCount> {
        if self.servers.len() < SERVERS_MAX || self.servers.contains_key(&end) {
            return Some(self.servers.entry(end).or_default());
        }
        None
    }
}
