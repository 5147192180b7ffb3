//! An Ethernet switch: learns who is behind which port, floods what it does not know.

use crate::endpoint::{Host, HostCx};
use crate::frames::FrameId;
use simoom_core::time::Instant;

/// A switch without delay and without faults: its links have those. What goes through it is not its own: add it
/// with `World::add_forwarder`, the oracles judge the hosts behind it.
#[derive(Clone, Debug)]
pub struct Switch {
    ports: usize,
    /// Gets a copy of every frame.
    mirror: Option<usize>,
    /// Addresses seen, in the order of their numbers, with their ports. As many as there are hosts.
    known: Vec<([u8; 6], usize)>,
}

impl Switch {
    /// A switch that knows nobody, with ports 0 to `ports - 1`.
    pub fn new(ports: usize) -> Self {
        Self { ports, mirror: None, known: Vec::with_capacity(ports) }
    }

    /// The same, with one port that gets a copy of every frame: whoever is there overhears everything.
    #[must_use]
    pub fn mirrored(self, port: usize) -> Self {
        Self { mirror: Some(port), ..self }
    }

    /// Addresses that it has seen.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    fn learn(&mut self, source: [u8; 6], port: usize) {
        match self.known.binary_search_by_key(&source, |(mac, _)| *mac) {
            Ok(at) => self.known[at].1 = port,
            Err(at) => self.known.insert(at, (source, port)),
        }
    }

    fn find(&self, destination: [u8; 6]) -> Option<usize> {
        let at = self.known.binary_search_by_key(&destination, |(mac, _)| *mac).ok()?;
        Some(self.known[at].1)
    }
}

impl Host for Switch {
    fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId) {
        let Some((&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5], _)) =
            cx.bytes(frame).split_first_chunk()
        else {
            return cx.release(frame);
        };
        let destination = [d0, d1, d2, d3, d4, d5];
        self.learn([s0, s1, s2, s3, s4, s5], port);
        // What is flooded, or for the mirror's own host, comes there anyway.
        let to_mirror = |to: Option<usize>| to.is_some() && to != self.mirror;
        if let Some(mirror) = self.mirror.filter(|&mirror| mirror != port)
            && to_mirror(self.find(destination))
        {
            let bytes = cx.bytes(frame).to_vec();
            cx.send(mirror, &bytes);
        }
        match self.find(destination) {
            Some(to) if to == port => cx.release(frame),
            Some(to) => cx.send_frame(to, frame, cx.now()),
            None => {
                let bytes = cx.bytes(frame).to_vec();
                for to in (0..self.ports).filter(|&to| to != port) {
                    cx.send(to, &bytes);
                }
                cx.release(frame);
            }
        }
    }

    fn on_wake(&mut self, _cx: &mut HostCx<'_>) {}

    fn next_wake(&self) -> Option<Instant> {
        None
    }

    fn poke(&mut self, _now: Instant) {}

    fn describe(&self) -> String {
        format!("a switch that knows {} addresses", self.known.len())
    }
}
