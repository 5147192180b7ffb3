//! One end of the simulated link: what a device gave goes in, what it is to get waits here.
//!
//! Knows no device and no clock.

use simoom_core::time::Instant;
use simoom_sim::endpoint::{Host, HostCx};
use simoom_sim::frames::FrameId;
use std::collections::VecDeque;

/// Frames that wait for a device, at most. A device takes them as fast as the kernel copies: so many
/// wait only where the kernel has no room, and more are dropped as by a full receive ring.
pub(super) const WAITING_MAX: usize = 4_096;

/// A device's place in the world.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// From the device, not yet on the link.
    entering: VecDeque<Vec<u8>>,
    /// For the device, with the time at which each was due.
    leaving: VecDeque<(Instant, Vec<u8>)>,
    /// Empty, to be used again.
    spare: Vec<Vec<u8>>,
}

impl Gate {
    /// A frame came from the device: it enters the link at the world's present time.
    pub(super) fn enter(&mut self, frame: &[u8]) {
        let frame = self.copy(frame);
        self.entering.push_back(frame);
    }

    /// The oldest frame for the device, with the time at which it was due.
    pub(super) fn first(&self) -> Option<(Instant, &[u8])> {
        self.leaving.front().map(|(due, frame)| (*due, &frame[..]))
    }

    /// The oldest frame for the device has been taken.
    pub(super) fn remove_first(&mut self) {
        if let Some((_, frame)) = self.leaving.pop_front() {
            self.spare.push(frame);
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.clear();
        frame.extend_from_slice(bytes);
        frame
    }
}

impl Host for Gate {
    fn accepts(&mut self, _port: usize, _frame: &[u8]) -> bool {
        self.leaving.len() < WAITING_MAX
    }

    fn on_frame(&mut self, cx: &mut HostCx<'_>, _port: usize, frame: FrameId) {
        let copy = self.copy(cx.bytes(frame));
        self.leaving.push_back((cx.now(), copy));
        cx.release(frame);
    }

    fn on_wake(&mut self, cx: &mut HostCx<'_>) {
        while let Some(frame) = self.entering.pop_front() {
            cx.send(0, &frame);
            self.spare.push(frame);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        (!self.entering.is_empty()).then_some(Instant::ZERO)
    }

    fn poke(&mut self, _now: Instant) {}

    fn describe(&self) -> String {
        format!("a device for which {} frames wait", self.leaving.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_core::time::Duration;
    use simoom_sim::link::LinkConfig;
    use simoom_sim::seed::Seed;
    use simoom_sim::world::World;

    #[test]
    fn a_frame_leaves_at_its_time_and_the_number_of_those_that_wait_is_bounded() {
        let mut world = World::new(Seed(1));
        let a = world.add_lawless_host(Gate::default());
        let b = world.add_lawless_host(Gate::default());
        let link = LinkConfig {
            delay: Duration::from_millis(20),
            queue_frames_max: u32::MAX,
            ..LinkConfig::default()
        };
        world.connect((a, 0), (b, 0), link.clone(), link);
        world.run_for(Duration::from_millis(5)).unwrap();
        for n in 0..=WAITING_MAX {
            world.host_mut(a).enter(&[n as u8; 60]);
        }
        world.run_for(Duration::from_millis(19)).unwrap();
        assert_eq!(world.host(b).first(), None);
        world.run_for(Duration::from_millis(1)).unwrap();
        // A gigabit: 60 bytes take 480 ns.
        let due = Instant::ZERO + Duration::from_millis(25) + Duration::from_nanos(480);
        world.run_for(Duration::from_millis(10)).unwrap();
        assert_eq!(world.host(b).first(), Some((due, &[0; 60][..])));
        let mut count = 0;
        while world.host(b).first().is_some() {
            world.host_mut(b).remove_first();
            count += 1;
        }
        assert_eq!((count, world.stats().ring_full), (WAITING_MAX, 1));
    }
}
