//! The package's own port passes, in every shape that a device may have.

use simoom_core::port::{Buf, ChecksumOffload, Port, PortCaps, RxFrame, Unclaimed};
use simoom_port_conformance::vec_port::{RX_SLOTS, ReadAt, VecHarness, VecPort};
use simoom_port_conformance::{Harness, run_suite};

#[test]
fn device_that_reads_and_reports_at_once_passes() {
    run_suite(|| VecHarness::new(VecPort::at_once(64)));
}

#[test]
fn device_that_reads_late_and_reports_lazily_passes() {
    run_suite(|| VecHarness::new(VecPort::late(64)));
}

#[test]
fn devices_that_gather_pass() {
    for max_frags in [2, 3, 4, 8] {
        run_suite(|| VecHarness::new(VecPort::at_once(64).gathering(max_frags)));
        run_suite(|| VecHarness::new(VecPort::late(64).gathering(max_frags)));
    }
}

#[test]
fn devices_of_every_small_shape_pass() {
    for read_at in [ReadAt::Doorbell, ReadAt::Work] {
        for (buffers, tx_slots) in [2, 3, 8].into_iter().flat_map(|b| [2, 3, 16].map(|s| (b, s))) {
            for (tx_hold_max, tx_hold_idle) in [(0, 0), (1, 0), (1, 1), (2, 1)] {
                for max_frags in [1, 2, 3] {
                    let longest = u32::from(max_frags) * (tx_hold_idle + 1);
                    if tx_hold_max >= tx_slots || longest > tx_slots {
                        continue;
                    }
                    let checksum = ChecksumOffload::default();
                    let caps = PortCaps {
                        frame_max: 100,
                        buffers,
                        tx_slots,
                        tx_hold_max,
                        tx_hold_idle,
                        max_frags,
                        checksum,
                    };
                    run_suite(|| VecHarness::new(VecPort::new(caps, read_at, 3)));
                }
            }
        }
    }
}

#[test]
fn full_receive_ring_drops_the_newest_and_counts() {
    let mut port = VecPort::at_once(2);
    for i in 0..RX_SLOTS + 3 {
        port.arrive(&[i as u8; 14]);
    }
    assert_eq!(port.overflows(), 3);
    let mut first = None;
    port.receive(1, |frames: &[RxFrame<'_>]| {
        first = Some(frames[0].bytes.to_vec());
        Unclaimed::NONE
    });
    assert_eq!(first.unwrap(), [0; 14]);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "only debug builds carry the port's id")]
#[should_panic(expected = "belongs to another port")]
fn token_of_another_port_is_refused_in_debug_builds() {
    let mut harness = VecHarness::new(VecPort::at_once(2));
    harness.port_mut().give_back(Buf::mint(99, 0));
}
