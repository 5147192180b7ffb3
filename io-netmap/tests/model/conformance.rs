//! The suite that every port passes, and the frames that turn logs determine.

use crate::harness::{Faults, NicHarness, PipeHarness, Policies, Shape, USUAL, all_policies};
use simoom_core::port::turn_log::TurnLog;
use simoom_netmap::model::{CompletionPolicy, DmaPolicy};
use simoom_port_conformance::vec_port::{VecHarness, VecPort};
use simoom_port_conformance::{Harness, run_suite, same_bytes};
use std::fs;
use std::path::Path;

fn passes(policies: Policies, shape: Shape) {
    let faults = Faults::default();
    run_suite(|| NicHarness::new(policies, shape, &faults));
    assert_eq!(faults.all(), Vec::<String>::new(), "{policies:?} {shape:?}");
}

#[test]
fn port_passes_over_a_nic_under_every_policy() {
    for policies in all_policies() {
        passes(policies, USUAL);
    }
}

#[test]
fn port_with_the_hosts_rings_passes_under_every_policy() {
    for policies in all_policies() {
        let faults = Faults::default();
        run_suite(|| NicHarness::with_host(policies, USUAL, &faults));
        assert_eq!(faults.all(), Vec::<String>::new(), "{policies:?}");
    }
}

#[test]
fn port_passes_with_frames_of_every_length() {
    let shape = Shape { mtu: 1_500, ..USUAL };
    passes((DmaPolicy::Random, CompletionPolicy::WholeRing), shape);
    passes((DmaPolicy::AtWork, CompletionPolicy::Random), shape);
}

#[test]
fn rings_and_pools_of_every_small_shape_pass() {
    for (tx_slots, extra) in [(3, 2), (3, 3), (4, 2), (5, 40), (64, 3), (17, 9)] {
        for policies in [
            (DmaPolicy::AtWork, CompletionPolicy::WholeRing),
            (DmaPolicy::Random, CompletionPolicy::Random),
        ] {
            passes(policies, Shape { tx_slots, extra, ..USUAL });
        }
    }
}

#[test]
fn random_policies_pass_with_many_seeds() {
    for seed in 0..20 {
        let faults = Faults::default();
        let policies = (DmaPolicy::Random, CompletionPolicy::Random);
        run_suite(|| NicHarness::with_seed(policies, USUAL, seed, &faults));
        assert_eq!(faults.all(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn port_passes_over_a_pipe() {
    for (tx_slots, extra) in [(128, 200), (128, 3)] {
        let faults = Faults::default();
        let shape = Shape { tx_slots, rx_slots: tx_slots, extra, ..USUAL };
        run_suite(|| PipeHarness::new(shape, &faults));
        assert_eq!(faults.all(), Vec::<String>::new(), "{shape:?}");
    }
}

/// Room for what the logs were recorded with, and a few more.
const LOGGED: Shape = Shape { tx_slots: 64, rx_slots: 128, extra: 256, mtu: 1_500 };

fn same_bytes_over<H: Harness>(mut make: impl FnMut(&Faults) -> H) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    let mut logs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "turnlog") {
            continue;
        }
        logs += 1;
        let log = TurnLog::decode(&fs::read(&path).unwrap()).unwrap();
        let plain = same_bytes(&log, &mut VecHarness::new(VecPort::at_once(256))).unwrap();
        let faults = Faults::default();
        let sent = same_bytes(&log, &mut make(&faults));
        assert_eq!(sent.as_ref(), Ok(&plain), "{path:?}");
        assert_eq!(faults.all(), Vec::<String>::new(), "{path:?}");
    }
    assert!(logs > 0, "no turn log found");
}

#[test]
fn turn_logs_give_the_same_bytes_over_a_nic_under_every_policy() {
    for policies in all_policies() {
        same_bytes_over(|faults| NicHarness::new(policies, LOGGED, faults));
    }
}

#[test]
fn turn_logs_give_the_same_bytes_over_a_nic_with_the_hosts_rings() {
    for policies in all_policies() {
        same_bytes_over(|faults| NicHarness::with_host(policies, LOGGED, faults));
    }
}

#[test]
fn turn_logs_give_the_same_bytes_over_a_pipe() {
    same_bytes_over(|faults| PipeHarness::new(LOGGED, faults));
}
