//! The simulator's NIC under test, with the far end of its wire.

use simoom_core::port::{ChecksumOffload, PortCaps};
use simoom_core::time::{Duration, Instant};
use simoom_port_conformance::Harness;
use simoom_sim::link::Rate;
use simoom_sim::nic::{CompletionPolicy, DmaPolicy, NicConfig, SimPort};
use simoom_sim::seed::{Seed, Stream};

/// A NIC of the simulator and its time.
pub(crate) struct SimHarness {
    port: SimPort,
    now: Instant,
}

impl SimHarness {
    /// A NIC with these policies, `buffers` buffers and a ring of `slots`.
    pub(crate) fn new(
        policies: (DmaPolicy, CompletionPolicy),
        memory: (u32, u32),
        tx_hold_idle: u32,
        frame_max: u16,
    ) -> Self {
        Self::gathering(policies, memory, tx_hold_idle, frame_max, 1)
    }

    /// The same whose frames have up to `max_frags` parts.
    pub(crate) fn gathering(
        (dma, completion): (DmaPolicy, CompletionPolicy),
        (buffers, slots): (u32, u32),
        tx_hold_idle: u32,
        frame_max: u16,
        max_frags: u8,
    ) -> Self {
        let caps = PortCaps {
            frame_max,
            buffers,
            tx_slots: slots,
            tx_hold_max: match completion {
                CompletionPolicy::AtRead | CompletionPolicy::AtSent => tx_hold_idle,
                CompletionPolicy::HalfRing => slots / 2 + tx_hold_idle,
                CompletionPolicy::WholeRing => slots,
            },
            tx_hold_idle,
            max_frags,
            checksum: ChecksumOffload::default(),
        };
        let config = NicConfig {
            caps,
            rx_slots: 80,
            rate: Rate::gbit(10),
            overhead_bytes: 24,
            dma,
            completion,
            lateness_max: Duration::from_micros(100),
            stalls: None,
        };
        let port = SimPort::new(config, 11, Seed(5).stream(Stream::Dma(0)));
        Self { port, now: Instant::ZERO }
    }
}

impl Harness for SimHarness {
    type Port = SimPort;

    fn port(&self) -> &SimPort {
        &self.port
    }

    fn port_mut(&mut self) -> &mut SimPort {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        for frame in frames {
            let frame = self.port.frames_mut().add(frame);
            assert!(self.port.deliver(frame), "more was injected than there is room for");
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        while let Some(sent) = self.port.take_sent() {
            wire.push(self.port.frames_mut().get(sent.frame).to_vec());
            self.port.frames_mut().remove(sent.frame);
        }
        wire
    }

    fn let_device_work(&mut self) {
        while let Some(at) = self.port.next_event() {
            self.now = self.now.max(at);
            self.port.advance(self.now);
        }
        // A frame that was read may still be on its way out.
        self.now += Duration::from_millis(1);
        self.port.advance(self.now);
    }
}
