//! The simulator's NIC passes the suite under every policy, and sends what the turn logs determine.

mod common;

use common::SimHarness;
use simoom_core::port::turn_log::TurnLog;
use simoom_port_conformance::Harness;
use simoom_port_conformance::vec_port::{VecHarness, VecPort};
use simoom_port_conformance::{run_suite, same_bytes, same_bytes_in_parts};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};
use std::fs;
use std::path::Path;

#[test]
fn simulated_nic_passes_under_every_policy() {
    for dma in DmaPolicy::ALL {
        for completion in CompletionPolicy::ALL {
            for idle in [0, 1] {
                eprintln!("{dma:?}, {completion:?}, {idle} held when idle");
                run_suite(|| SimHarness::new((dma, completion), (48, 16), idle, 200));
            }
        }
    }
}

#[test]
fn simulated_nic_that_gathers_passes_under_every_policy() {
    for dma in DmaPolicy::ALL {
        for completion in CompletionPolicy::ALL {
            for (idle, max_frags) in [(0, 2), (1, 2), (1, 4)] {
                eprintln!("{dma:?}, {completion:?}, {idle} held when idle, {max_frags} parts");
                let policies = (dma, completion);
                run_suite(|| SimHarness::gathering(policies, (48, 16), idle, 200, max_frags));
            }
        }
    }
}

#[test]
fn simulated_nic_passes_with_frames_of_every_length() {
    let policies = (DmaPolicy::Random, CompletionPolicy::WholeRing);
    run_suite(|| SimHarness::new(policies, (48, 16), 1, 1514));
}

#[test]
fn turn_logs_give_the_same_bytes_under_every_policy() {
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
        for dma in DmaPolicy::ALL {
            for completion in CompletionPolicy::ALL {
                let mut harness = SimHarness::new((dma, completion), (160, 64), 1, 1514);
                let simulated = same_bytes(&log, &mut harness);
                assert_eq!(simulated.as_ref(), Ok(&plain), "{path:?} {dma:?} {completion:?}");
                let mut harness = SimHarness::gathering((dma, completion), (1024, 64), 1, 1514, 2);
                let parts = if log.header.caps.max_frags == 1 {
                    same_bytes_in_parts(&log, &mut harness)
                } else {
                    same_bytes(&log, &mut harness)
                };
                assert_eq!(parts.as_ref(), Ok(&plain), "{path:?} in parts {dma:?} {completion:?}");
                assert!(harness.port().stats().tx_gathered > 10, "{path:?}");
                assert_eq!(harness.port_mut().take_violation(), None);
            }
        }
    }
    assert!(logs > 0, "no turn log found");
}
