//! The TAP port passes the suite over one end of a datagram socket pair, where one read or write is
//! one frame as on TAP, and sends what the turn logs determine. Needs no privilege.
#![cfg(target_os = "linux")]

use simoom_core::port::Advance;
use simoom_core::port::turn_log::TurnLog;
use simoom_core::time::Instant;
use simoom_linux::tap::{TapConfig, TapPort};
use simoom_port_conformance::{Harness, run_suite, same_bytes};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Frames that may wait in one direction: the kernel's default for such a pair is ten.
const ROOM: usize = 8;

struct PairHarness {
    port: TapPort,
    far: UnixDatagram,
    wire: Vec<Vec<u8>>,
}

impl PairHarness {
    fn new(buffers: u32, tx_slots: u32) -> Self {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let config = TapConfig { buffers, tx_slots, ..TapConfig::new("pair") };
        Self { port: TapPort::over(near.into(), &config).unwrap(), far, wire: Vec::new() }
    }

    /// Reads what left; whether there was anything.
    fn read_far_end(&mut self) -> bool {
        let (before, mut frame) = (self.wire.len(), [0; 2048]);
        while let Ok(len) = self.far.recv(&mut frame) {
            self.wire.push(frame[..len].to_vec());
        }
        self.wire.len() > before
    }
}

impl Harness for PairHarness {
    type Port = TapPort;

    fn port(&self) -> &TapPort {
        &self.port
    }

    fn port_mut(&mut self) -> &mut TapPort {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        for frame in frames {
            assert_eq!(self.far.send(frame).unwrap(), frame.len());
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        self.read_far_end();
        std::mem::take(&mut self.wire)
    }

    /// A wait that has ended before it began: what the pair had no room for goes out.
    fn let_device_work(&mut self) {
        while self.read_far_end() {
            self.port.advance(Some(Instant::ZERO));
        }
    }

    fn rx_room(&self) -> usize {
        ROOM
    }
}

#[test]
fn tap_port_passes_over_a_socket_pair() {
    for (buffers, tx_slots) in [(64, 32), (12, 32), (3, 2)] {
        run_suite(|| PairHarness::new(buffers, tx_slots));
    }
}

#[test]
fn turn_logs_give_the_same_bytes_over_a_socket_pair() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "turnlog") {
            let log = TurnLog::decode(&fs::read(&path).unwrap()).unwrap();
            let wire = same_bytes(&log, &mut PairHarness::new(256, 64)).unwrap();
            assert_eq!(wire.len() as u64, log.output.frames, "{path:?}");
        }
    }
}
