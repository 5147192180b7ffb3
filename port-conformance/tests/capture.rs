//! The port over a capture passes the suite, and draws from each turn log the frames that the
//! simulator's NIC draws.

mod common;

use common::SimHarness;
use simoom_core::port::ChecksumOffload;
use simoom_core::port::turn_log::TurnLog;
use simoom_core::time::Instant;
use simoom_pcap::port::{CapturePort, PortConfig, Sent};
use simoom_port_conformance::{Harness, run_suite, same_bytes};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};
use std::collections::VecDeque;
use std::fs;
use std::path::Path;

/// A capture port and both ends of its wire.
struct CaptureHarness {
    port: CapturePort<VecDeque<(Instant, Vec<u8>)>, Vec<Sent>>,
}

impl CaptureHarness {
    fn new(buffers: u32, tx_slots: u32, frame_max: u16) -> Self {
        let config = PortConfig {
            buffers,
            tx_slots,
            frame_max,
            checksum: ChecksumOffload::default(),
            ..PortConfig::default()
        };
        Self { port: CapturePort::new(config, VecDeque::new(), Vec::new()) }
    }
}

impl Harness for CaptureHarness {
    type Port = CapturePort<VecDeque<(Instant, Vec<u8>)>, Vec<Sent>>;

    fn port(&self) -> &Self::Port {
        &self.port
    }

    fn port_mut(&mut self) -> &mut Self::Port {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        let now = self.port.now();
        self.port.source_mut().extend(frames.iter().map(|frame| (now, frame.to_vec())));
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        self.port.sink_mut().drain(..).map(|sent| sent.bytes).collect()
    }

    fn let_device_work(&mut self) {}
}

#[test]
fn capture_port_passes() {
    run_suite(|| CaptureHarness::new(64, 32, 1514));
}

#[test]
fn capture_ports_of_small_shapes_pass() {
    for buffers in [2, 3, 8] {
        for tx_slots in [2, 3, 16] {
            run_suite(|| CaptureHarness::new(buffers, tx_slots, 100));
        }
    }
}

#[test]
fn turn_logs_draw_the_same_frames_from_a_capture_as_from_the_simulator() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    let mut logs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "turnlog") {
            continue;
        }
        logs += 1;
        let log = TurnLog::decode(&fs::read(&path).unwrap()).unwrap();
        let captured = same_bytes(&log, &mut CaptureHarness::new(512, 256, 1514)).unwrap();
        let policies = (DmaPolicy::Random, CompletionPolicy::WholeRing);
        let mut simulated = SimHarness::new(policies, (160, 64), 1, 1514);
        assert_eq!(captured, same_bytes(&log, &mut simulated).unwrap(), "{path:?}");
        assert_eq!(captured.len() as u64, log.output.frames, "{path:?}");
    }
    assert!(logs > 0, "no turn log found");
}
