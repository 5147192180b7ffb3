//! What was seen of a run, to assert on.

use super::{Client, Handle, LabWorld, inside};
use crate::fault::Fault;
use crate::hash::EventHash;
use crate::link::LinkStats;
use crate::observe::{FlowStats, Probe, Recording, Timeline};
use crate::world::{Direction, LinkId};
use simoom_core::stack::Stats;
use simoom_core::time::{Duration, Instant};
use std::ops::Index;

/// What a lab has seen so far, at the end of a run or between two events of it. `seen[handle]` is the
/// application or the endpoint on a host.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    world: &'a LabWorld,
}

/// What all flows of one host have sent together: the sums of their [`FlowStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Connections.
    pub connections: u64,
    /// Segments sent, of any kind.
    pub segments: u64,
    /// Bytes of text sent, those sent again among them.
    pub bytes: u64,
    /// Segments that begin with a number sent before.
    pub retransmitted_segments: u64,
    /// Bytes of text that had been sent before.
    pub retransmitted_bytes: u64,
    /// Segments that only acknowledge.
    pub pure_acks: u64,
    /// Those of them that repeat the one before.
    pub duplicate_acks: u64,
    /// Segments with RST.
    pub resets: u64,
    /// Bytes of text that the other ends have without a gap.
    pub delivered_bytes: u64,
    /// When the first segment was sent; zero where none was.
    pub first_at: Instant,
    /// When the last byte was delivered; zero where none was.
    pub delivered_at: Instant,
}

impl Traffic {
    fn add(&mut self, flow: &FlowStats) {
        if flow.segments > 0 {
            let first = if self.segments == 0 { flow.first_at } else { self.first_at };
            self.first_at = first.min(flow.first_at);
        }
        self.connections += 1;
        self.segments += flow.segments;
        self.bytes += flow.bytes;
        self.retransmitted_segments += flow.retransmitted_segments;
        self.retransmitted_bytes += flow.retransmitted_bytes;
        self.pure_acks += flow.pure_acks;
        self.duplicate_acks += flow.duplicate_acks;
        self.resets += flow.resets;
        self.delivered_bytes += flow.delivered_bytes;
        self.delivered_at = self.delivered_at.max(flow.delivered_at);
    }

    /// Bits a second delivered, from the first segment sent to the last byte delivered; zero where
    /// nothing was.
    pub fn goodput(&self) -> f64 {
        let seconds = (self.delivered_at - self.first_at).as_secs_f64();
        if seconds > 0.0 { self.delivered_bytes as f64 * 8.0 / seconds } else { 0.0 }
    }
}

impl<'a> Seen<'a> {
    pub(super) fn new(world: &'a LabWorld) -> Self {
        Self { world }
    }

    /// Both directions of every connection, as the wire shows them: in the order in which the
    /// connections were first seen, the side that sent first before the other. Nothing where the
    /// oracles are off.
    pub fn flows(&self) -> impl Iterator<Item = &'a FlowStats> + use<'a> {
        self.world.flows()
    }

    /// What a host has sent over all its connections, as the wire shows it: our stack or another.
    pub fn sent_by<T>(&self, host: Handle<T>) -> Traffic {
        let mut traffic = Traffic::default();
        self.flows()
            .filter(|flow| flow.name.from.ip() == host.addr.ip())
            .for_each(|flow| traffic.add(flow));
        traffic
    }

    /// Bits a second of text that a host has delivered: [`Traffic::goodput`].
    pub fn goodput<T>(&self, sender: Handle<T>) -> f64 {
        self.sent_by(sender).goodput()
    }

    /// Segments that a host has sent again: text, SYN or FIN.
    pub fn retransmissions<T>(&self, sender: Handle<T>) -> u64 {
        self.sent_by(sender).retransmitted_segments
    }

    /// Bytes of text that a host has delivered without a gap.
    pub fn delivered<T>(&self, sender: Handle<T>) -> u64 {
        self.sent_by(sender).delivered_bytes
    }

    /// How long each request of a client took, from the request to the last byte of its answer, in
    /// the order of their ends.
    pub fn completion_times(&self, client: Handle<Client>) -> Vec<Duration> {
        let completions = inside::<Client>(self.world, client.id).completions().iter();
        completions.map(|completion| completion.done_at - completion.asked_at).collect()
    }

    /// The congestion window of a host's first connection over time, in bytes: a step for every
    /// change. Others are in [`Seen::probe`].
    ///
    /// # Panics
    /// Where the host has no stack of ours.
    pub fn cwnd<T>(&self, sender: Handle<T>) -> Vec<(Instant, u32)> {
        let first = self.probe(sender).connections().first();
        first.map(|connection| connection.cwnd().collect()).unwrap_or_default()
    }

    /// What the probe in a host's stack has noted of its connections.
    ///
    /// # Panics
    /// Where the host has no stack of ours.
    pub fn probe<T>(&self, host: Handle<T>) -> &'a Probe {
        let host_inside = self.world.host(host.id);
        host_inside.probe().unwrap_or_else(|| panic!("{host:?} has no stack of ours"))
    }

    /// What a host's stack has counted.
    ///
    /// # Panics
    /// Where the host has no stack of ours.
    pub fn stack_stats<T>(&self, host: Handle<T>) -> &'a Stats {
        let host_inside = self.world.host(host.id);
        host_inside.stack_stats().unwrap_or_else(|| panic!("{host:?} has no stack of ours"))
    }

    /// What one direction of a link has done.
    pub fn link(&self, link: LinkId, direction: Direction) -> &'a LinkStats {
        self.world.link_stats(link, direction)
    }

    /// Every segment and every queue, where `Lab::record_timeline` asked for them.
    pub fn timeline(&self) -> Option<&'a Timeline> {
        self.world.tap().timeline.as_ref()
    }

    /// Every frame with its bytes, where `Lab::record_frames` asked for them.
    pub fn recording(&self) -> Option<&'a Recording> {
        self.world.tap().recording.as_ref()
    }

    /// Writes what `views` show as a capture, every frame of a stack of ours with the state of its
    /// connection; `unix_nanos_at_start` is the UTC time of the lab's start. See
    /// [`crate::capture`].
    ///
    /// # Errors
    /// What the sink answers; of kind `InvalidInput` where a view's name is too long, or where
    /// `Lab::record_frames` was not asked for frames.
    #[cfg(feature = "pcap")]
    pub fn write_capture(
        &self,
        sink: impl std::io::Write,
        views: &[crate::capture::View<'_>],
        unix_nanos_at_start: u64,
    ) -> std::io::Result<crate::capture::Written> {
        let Some(recording) = self.recording() else {
            let why = "no frames were recorded: call Lab::record_frames before the run";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why));
        };
        let ways = |host| (0..).map_while(move |port| self.world.way_of(host, port));
        let probed =
            self.world.host_ids().filter_map(|id| Some((id, self.world.host(id).probe()?)));
        let senders: Vec<_> = probed
            .flat_map(|(id, probe)| ways(id).map(move |way| crate::capture::Sender { probe, way }))
            .collect();
        crate::capture::write(sink, recording, views, &senders, unix_nanos_at_start)
    }

    /// The direction of a link that leads away from a host's port, where one does: for a capture's
    /// views.
    pub fn way_of<T>(&self, host: Handle<T>, port: usize) -> Option<(LinkId, Direction)> {
        self.world.way_of(host.id, port)
    }

    /// What the links' chances have done, where `World::record_faults` asked for it.
    pub fn faults(&self) -> Vec<Fault> {
        self.world.faults()
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.world.events()
    }

    /// The digest of all events so far: the same for the same seed, on every machine.
    pub fn hash(&self) -> EventHash {
        self.world.hash()
    }
}

impl<T: 'static> Index<Handle<T>> for Seen<'_> {
    type Output = T;

    fn index(&self, handle: Handle<T>) -> &T {
        inside(self.world, handle.id)
    }
}
