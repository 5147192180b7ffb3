//! `simoom load`: wrong arguments anywhere; and, in a network namespace of its own, over real TAP
//! devices, with a kernel that forwards between the client's and the server's.
//!
//! Without the privilege to make a namespace a line says so; with `SIMOOM_REQUIRE_LIVE=1` that is a
//! failure.

mod common;

use common::{TestDir, run, simoom, stderr, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "SIMOOM_LOAD_INSIDE";

#[test]
fn wrong_arguments_are_exit_code_2_and_say_what_to_write() {
    let dir = TestDir::new("load-arguments");
    dir.file("a", b"a");
    let good = ["load", "--port", "tap:t0", "--addr", "10.66.0.9/24", "--server", "10.66.0.2"];
    let content = dir.path().to_str().unwrap();
    let end = ["--requests", "1"];
    for (more, wanted) in [
        (vec![], "--content"),
        (vec!["--content", content], "--requests"),
        (vec!["--content", content, "--requests", "0"], "0"),
        (vec!["--content", content, "--for", "604801"], "604800"),
        (vec!["--content", content, "--rate", "0", "--for", "1"], "0.001"),
        (vec!["--content", content, "--rate", "x", "--for", "1"], "a number"),
        (vec!["--content", content, "--connections", "16001", "--for", "1"], "16000"),
        (vec!["--pattern", "/a:1", "--for", "1"], "/PATH:BYTES:SEED"),
        (vec!["--pattern", "/a:1:2", "--content", content, "--for", "1"], "cannot be used with"),
        (vec!["--content", content, "--gateway", "10.9.0.1", "--for", "1"], "subnet"),
        (
            vec!["--content", content, "--host-addr", "10.66.0.9/24", "--for", "1"],
            "another address",
        ),
    ] {
        let output = run(&[&good[..], &more].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {said}");
        assert!(said.contains(wanted), "{more:?}: {wanted:?} is not in: {said}");
    }
    for (port, server, wanted) in [
        ("tap:t0", "10.66.0.9", "the client's own"),
        ("tap:t0", "somewhere", "IPv4 address"),
        ("tap:t0", "10.66.0.2:0", "no server"),
        ("netmap:x{1", "10.67.0.2", "give a --gateway"),
        ("dpdk:0", "10.66.0.2", "no port is of kind"),
    ] {
        let args = ["load", "--port", port, "--addr", "10.66.0.9/24", "--server", server];
        let output = run(&[&args[..], &["--content", content], &end].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{port} {server}: {said}");
        assert!(said.contains(wanted), "{port} {server}: {wanted:?} is not in: {said}");
    }
    let missing = run(&[&good[..], &["--content", "/no/such/directory"], &end].concat());
    assert_eq!(missing.status.code(), Some(4), "{}", stderr(&missing));
}

#[test]
fn load_gets_every_byte_over_tap_and_says_what_was_wrong() {
    const NAME: &str = "load_gets_every_byte_over_tap_and_says_what_was_wrong";
    if env::var_os(INSIDE).is_some() {
        return inside();
    }
    let own_user: &[&str] = &["--user", "--map-root-user", "--net"];
    let make = ["ip", "tuntap", "add", "dev", "probe0", "mode", "tap"];
    let can = |flags: &&&[&str]| works(Command::new("unshare").args(**flags).args(make));
    let Some(flags) = [&["--net"][..], own_user].iter().find(can).copied() else {
        let why = "no network namespace with a TAP device is to be had";
        assert!(
            env::var_os("SIMOOM_REQUIRE_LIVE").is_none(),
            "SIMOOM_REQUIRE_LIVE is set, but {why}"
        );
        return println!("skipped: {why}");
    };
    let output = Command::new("unshare")
        .args(flags)
        .arg(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    println!("{}\n{}", stdout(&output), stderr(&output));
    assert!(output.status.success(), "inside the namespace: {}", output.status);
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// A server, ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn inside() {
    assert!(works(Command::new("ip").args(["link", "set", "lo", "up"])));
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let dir = TestDir::new("load-live");
    let mut body = vec![0; 60_000];
    simoom_core::server::bodies::pattern_fill(1, 0, &mut body);
    for (name, len) in [("empty", 0), ("small", 900), ("middle", 22_000), ("large", 60_000)] {
        dir.file(&format!("site/{name}.bin"), &body[..len]);
        dir.file(&format!("other/{name}.bin"), &body[..len]);
    }
    let site = dir.path().join("site");
    let child = simoom()
        .arg("serve")
        .arg(&site)
        .args(["--port", "tap:live0", "--addr", "10.66.0.2/24"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("serving 4 files"), "{line}");

    let load = |content: &str, more: &[&str]| -> Output {
        simoom()
            .args(["load", "--port", "tap:live1", "--addr", "10.67.0.2/24", "--content"])
            .arg(dir.path().join(content))
            .args(more)
            .output()
            .unwrap()
    };
    let right = |more: &[&str]| -> Value {
        let output = load("site", &[&["--server", "10.66.0.2", "--json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        for count in ["failed", "wrong_bytes", "wrong_length", "wrong_status", "malformed"] {
            assert_eq!(report[count], 0, "{more:?}: {count}");
        }
        assert_eq!(report["latency_nanos"]["count"], report["succeeded"], "{more:?}");
        report
    };

    let report = right(&["--requests", "2000"]);
    assert_eq!((&report["succeeded"], &report["connections_opened"]), (&2_000.into(), &16.into()));
    assert_eq!((&report["paths"], &report["paths_below_25_kb"]), (&4.into(), &3.into()));
    // One in ten is for the large one, give or take four standard deviations.
    let bytes = report["body_bytes"].as_f64().unwrap();
    let (small, large) = ((900.0 + 22_000.0) / 3.0, 60_000.0);
    let expected = 2_000.0 * (0.9 * small + 0.1 * large);
    assert!((bytes / expected - 1.0).abs() < 0.25, "{bytes} bytes, about {expected} expected");

    let report = right(&["--requests", "200", "--requests-per-connection", "1"]);
    assert_eq!((&report["succeeded"], &report["connections_opened"]), (&200.into(), &200.into()));
    let report = right(&["--requests", "300", "--pipeline", "4", "--connections", "3"]);
    assert_eq!(report["connections_opened"], 3);

    let report = right(&["--rate", "200", "--requests", "100", "--path", "/small.bin"]);
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(seconds >= 99.0 / 200.0, "100 requests at 200 a second took {seconds} s");
    assert_eq!(report["body_bytes"], 90_000);
    let report = right(&["--rate", "100", "--for", "1", "--requests-per-connection", "1"]);
    let made = report["requests"].as_u64().unwrap();
    assert!((1..=101).contains(&made), "{made} requests in a second at 100 a second");

    // What is compared with differs from what is served in one byte.
    body[21_999] ^= 1;
    dir.file("other/middle.bin", &body[..22_000]);
    let output = load("other", &["--server", "10.66.0.2", "--requests", "100", "--seed", "3"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("answers were wrong"), "{}", stderr(&output));
    assert!(stdout(&output).contains("WRONG BYTES"), "{}", stdout(&output));
    dir.file("other/middle.bin", &body[..21_999]);
    dir.file("other/nowhere.bin", b"!");
    for (path, wanted) in
        [("/middle.bin", "1 of another length"), ("/nowhere.bin", "1 of another status")]
    {
        let output = load("other", &["--server", "10.66.0.2", "--requests", "1", "--path", path]);
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        assert!(stderr(&output).contains(wanted), "{path}: {}", stderr(&output));
    }

    let refused = load("site", &["--server", "10.67.0.1:9", "--requests", "10"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("refuses connections"), "{}", stderr(&refused));
    let silent = load("site", &["--server", "10.67.0.77", "--requests", "10", "--timeout", "1"]);
    assert_eq!(silent.status.code(), Some(1), "{}", stderr(&silent));
    assert!(stderr(&silent).contains("10.67.0.77"), "{}", stderr(&silent));
}
