//! The suite that every port passes, over a real interface, with the host's end of the cable as the
//! far end.

use crate::world::{host_end, live};
use simoom_linux::tap::{TapConfig, TapPort};
use simoom_port_conformance::{Harness, run_suite};
use std::net::UdpSocket;

#[test]
fn a_tap_port_over_a_real_interface_passes_the_suite() {
    live(|| run_suite(|| Cable::new(64, 16)));
}

#[test]
fn a_tap_port_with_more_slots_than_buffers_passes_the_suite() {
    live(|| run_suite(|| Cable::new(16, 32)));
}

struct Cable {
    port: TapPort,
    host: UdpSocket,
}

impl Cable {
    /// A new interface, which takes the place of the one before: that went with its port.
    fn new(buffers: u32, tx_slots: u32) -> Self {
        let config = TapConfig { buffers, tx_slots, ..TapConfig::new("cable0") };
        let port = TapPort::open(&config).unwrap();
        let host = host_end(&port);
        host.set_nonblocking(true).unwrap();
        Self { port, host }
    }
}

impl Harness for Cable {
    type Port = TapPort;

    fn port(&self) -> &TapPort {
        &self.port
    }

    fn port_mut(&mut self) -> &mut TapPort {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        for frame in frames {
            assert_eq!(self.host.send(frame).unwrap(), frame.len());
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        let (mut left, mut frame) = (Vec::new(), [0; 2048]);
        while let Ok(len) = self.host.recv(&mut frame) {
            left.push(frame[..len].to_vec());
        }
        left
    }

    /// A write to a TAP device is done when it returns: there is nothing left to do.
    fn let_device_work(&mut self) {}
}
