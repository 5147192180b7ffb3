//! The demonstration: one seed decides everything, and every byte is checked.

mod common;

use common::{TestDir, run, stderr, stdout};
use serde_json::Value;
use std::fs;

fn demo(more: &[&str]) -> Value {
    let mut args = vec!["demo", "--json", "--requests", "60", "--clients", "4"];
    args.extend(more);
    let output = run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("one JSON object")
}

#[test]
fn the_same_seed_gives_the_same_object_and_another_seed_another_hash() {
    let one = demo(&["--seed", "7"]);
    assert_eq!(one, demo(&["--seed", "v1:7"]));
    let other = demo(&["--seed", "8"]);
    assert_ne!(one["event_hash"], other["event_hash"]);
    for (run, seed) in [(&one, 7), (&other, 8)] {
        assert_eq!(run["seed"], seed);
        assert_eq!(run["requests"], 60);
        assert_eq!(run["failed"], 0);
        assert_eq!(run["wrong_bytes"], 0);
        assert!(run["bytes"].as_u64().unwrap() > 0);
        assert!(run["packets"].as_u64().unwrap() > run["packets_lost"].as_u64().unwrap());
        assert!(run["simulated_seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(run["event_hash"].as_str().unwrap().len(), 32);
    }
}

#[test]
fn the_events_written_are_those_whose_digest_is_the_hash() {
    let dir = TestDir::new("demo-events");
    let path = dir.path().join("events");
    let result = demo(&["--seed", "3", "--events", path.to_str().unwrap()]);
    let mut bytes = fs::read(&path).unwrap();
    let digest = |bytes: &[u8]| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes));
    assert_eq!(result["event_hash"], digest(&bytes));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert_ne!(result["event_hash"], digest(&bytes), "one flipped bit changes it");
}

#[test]
fn loss_costs_packets_and_time_but_no_byte() {
    let [clean, lossy] = ["0", "100000"].map(|loss| demo(&["--seed", "5", "--loss", loss]));
    assert_eq!(clean["bytes"], lossy["bytes"]);
    assert_eq!(clean["packets_lost"], 0);
    assert!(lossy["packets_lost"].as_u64().unwrap() > 100);
    assert!(lossy["simulated_seconds"].as_f64() > clean["simulated_seconds"].as_f64());
    assert_eq!([&clean["failed"], &lossy["failed"]], [0, 0]);
}

#[test]
fn the_table_has_both_kinds_of_client_and_says_how_to_see_it_again() {
    let output = run(&["demo", "--seed", "7", "--requests", "20", "--clients", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for wanted in [
        "simoom ",
        "smoltcp ",
        "simoom demo --seed v1:7 --clients 3 --requests 20 --loss 10000",
        "hash ",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in: {text}");
    }
    assert_eq!(stderr(&output), "", "progress is for terminals");
}
