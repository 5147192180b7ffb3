//! The committed turn logs give the committed bytes. Other ports have their own tests of the same.

#[path = "../examples/record_turn_logs/scenarios.rs"]
mod scenarios;

use simoom_core::port::turn_log::TurnLog;
use simoom_port_conformance::scripted::Divergence;
use simoom_port_conformance::vec_port::{VecHarness, VecPort};
use simoom_port_conformance::{same_bytes, same_bytes_in_parts};
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs")
}

/// Every committed log, with its name.
fn logs() -> Vec<(&'static str, TurnLog)> {
    let log = |name| {
        let file = fs::read(folder().join(name).with_extension("turnlog")).unwrap();
        (name, TurnLog::decode(&file).unwrap())
    };
    let made = scenarios::ALL.iter().map(|scenario| scenario.name);
    made.chain(scenarios::LIVE).map(log).collect()
}

#[test]
fn logs_give_the_same_bytes_whenever_the_device_reads_and_reports() {
    for (name, log) in logs() {
        let first = same_bytes(&log, &mut VecHarness::new(VecPort::at_once(256))).unwrap();
        assert_eq!(first.len() as u64, log.output.frames, "{name}");
        for buffers in [140, 200, 1024] {
            let late = same_bytes(&log, &mut VecHarness::new(VecPort::late(buffers)));
            assert_eq!(late.as_ref(), Ok(&first), "{name} over a late port of {buffers} buffers");
        }
    }
}

/// Logs of every mode, frames made of private headers and shared payload, and a payload that keeps
/// its buffer until the log says that its frames are done.
#[test]
fn frames_in_parts_are_the_same_bytes() {
    for (name, log) in logs() {
        let whole = same_bytes(&log, &mut VecHarness::new(VecPort::at_once(256))).unwrap();
        for port in [VecPort::at_once(1024), VecPort::late(1024)] {
            for max_frags in [1, 2, 3] {
                let mut harness = VecHarness::new(port.clone().gathering(max_frags));
                let logged = same_bytes(&log, &mut harness);
                assert_eq!(logged.as_ref(), Ok(&whole), "{name}, {max_frags} parts");
                if log.header.caps.max_frags == 1 {
                    let mut harness = VecHarness::new(port.clone().gathering(max_frags));
                    let parts = same_bytes_in_parts(&log, &mut harness);
                    assert_eq!(parts.as_ref(), Ok(&whole), "{name} in parts, {max_frags}");
                }
            }
        }
    }
}

/// What a log has to say beside its frames: completions without bytes, and that they matter.
#[test]
fn log_in_which_buffers_lost_their_bytes_is_told_with_them() {
    let (_, mut log) = logs().into_iter().find(|(name, _)| *name == "exchanged-buffers").unwrap();
    let reclaims = |log: &mut TurnLog| {
        log.turns
            .iter_mut()
            .flat_map(|turn| &mut turn.reclaims)
            .map(|r| r.lost.len())
            .sum::<usize>()
    };
    assert!(reclaims(&mut log) > 20, "{}", reclaims(&mut log));
    // A store that does not know keeps the copies, and others are made less often.
    log.turns.iter_mut().flat_map(|turn| &mut turn.reclaims).for_each(|r| r.lost.clear());
    assert!(same_bytes(&log, &mut VecHarness::new(VecPort::at_once(256))).is_err());
}

#[test]
fn table_says_what_the_logs_say() {
    let rows = logs().iter().map(|(name, log)| scenarios::table_row(name, log)).collect::<String>();
    let table = fs::read_to_string(folder().join("expected.tsv")).unwrap();
    assert_eq!(table, format!("{}{rows}", scenarios::TABLE_HEAD));
}

/// Where this fails, the stack's behaviour has changed. Meant? Then make the logs again (see
/// `testvectors/turn-logs/README.md`) and have the table's diff reviewed.
#[test]
fn recording_again_gives_the_same_logs() {
    for (scenario, (name, log)) in scenarios::ALL.iter().zip(logs()) {
        assert!(scenario.record() == log, "{name} is recorded otherwise");
    }
}

#[test]
fn log_with_a_flipped_bit_in_a_frame_gives_other_bytes() {
    let (_, mut log) = logs().swap_remove(0);
    let request = log.turns.iter_mut().flat_map(|turn| &mut turn.received).flatten();
    // A request. Its checksum is wrong now: it is dropped, and nothing answers it.
    let request = request.max_by_key(|frame| frame.len()).unwrap();
    let at = request.len() - 4;
    request[at] ^= 0x01;
    let error = same_bytes(&log, &mut VecHarness::new(VecPort::at_once(256))).unwrap_err();
    assert!(!matches!(error, Divergence::Config(_)), "{error}");
}

#[test]
fn log_without_secrets_or_with_another_text_is_refused() {
    let (_, log) = logs().swap_remove(0);
    let over = |log: &TurnLog| same_bytes(log, &mut VecHarness::new(VecPort::at_once(256)));
    let mut withheld = log.clone();
    withheld.header.secrets = None;
    assert!(matches!(over(&withheld), Err(Divergence::Config(_))));
    let mut other = log.clone();
    other.header.config = "a server somewhere".into();
    assert!(matches!(over(&other), Err(Divergence::Config(_))));
    let mut guessed = log;
    guessed.header.secrets = Some([0; 4]);
    assert!(over(&guessed).is_err(), "initial sequence numbers do not depend on the secrets");
}
