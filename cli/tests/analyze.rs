//! `simoom analyze` over every capture of testvectors: what it says, in how much room, and with which
//! exit code.

mod common;

use common::{TestDir, run, simoom, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/pcap")
}

fn capture(name: &str) -> String {
    folder().join(name).to_str().unwrap().to_owned()
}

/// Every capture, the broken ones too.
fn captures() -> Vec<String> {
    let mut all = Vec::new();
    for sub in ["", "formats", "broken"] {
        for entry in fs::read_dir(folder().join(sub)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_str().unwrap().to_owned();
            if [".pcap", ".pcapng", ".gz", ".zst"].iter().any(|end| name.ends_with(end)) {
                all.push(name);
            }
        }
    }
    all.sort();
    assert!(all.len() > 100, "{} captures", all.len());
    all
}

fn analyze(args: &[&str]) -> Output {
    run(&[&["analyze"], args].concat())
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_capture_is_explained_on_one_screen_and_every_frame_accounted_for() {
    for name in captures() {
        let output = analyze(&[&name]);
        let code = output.status.code().expect("it ends by itself");
        assert!([0, 4, 9].contains(&code), "{name}: {code} {}", stderr(&output));
        assert_eq!(code == 0, output.stderr.is_empty(), "{name}: {}", stderr(&output));
        let text = stdout(&output);
        assert!(text.lines().count() <= 40, "{name}: {} lines", text.lines().count());
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{name}: {widest} columns");

        let json = analyze(&[&name, "--json"]);
        assert_eq!(json.status.code(), Some(code), "{name}");
        assert_eq!(json.stdout, analyze(&[&name, "--json"]).stdout, "{name}");
        let lines = lines(&json);
        let last = lines.last().expect("a line for the capture");
        assert_eq!(last["type"], "capture");
        assert_eq!(last["frames"], last["frames_accounted"], "{name}");
        let classes = last["classes"].as_object().unwrap().values();
        let connections: u64 = classes.map(|class| class["connections"].as_u64().unwrap()).sum();
        let told = lines.iter().filter(|line| line["type"] == "connection").count();
        assert_eq!(told as u64, connections, "{name}");
        for line in lines.iter().filter(|line| line["type"] == "turn") {
            let sum = |of: &str| -> u64 {
                line[of].as_object().unwrap().values().map(|ns| ns.as_u64().unwrap()).sum()
            };
            assert_eq!(line["ns"], sum("causes_ns"), "{name}");
            assert_eq!(line["ns"], sum("waits_ns"), "{name}");
        }
    }
}

/// Names of files beside this one hold what was said in a debug build; a release build says the same.
#[test]
fn what_is_said_is_the_same_everywhere() {
    for (name, said) in [
        ("tail-loss-rto.pcap", include_str!("analyze/tail-loss-rto.txt")),
        ("many-causes.pcap", include_str!("analyze/many-causes.txt")),
        ("loss-client.pcap", include_str!("analyze/loss-client.txt")),
    ] {
        assert_eq!(stdout(&analyze(&[&capture(name)])), said, "{name}");
    }
}

#[test]
fn a_tail_loss_of_the_kernel_is_named_with_its_cost() {
    let output = analyze(&[&capture("tail-loss-rto.pcap"), "--json"]);
    let lines = lines(&output);
    let finding = &lines.last().unwrap()["findings"][0];
    assert_eq!(finding["wait"], "rto_tail");
    assert_eq!(finding["what"], "tail loss, repaired by RTO");
    let cost = finding["ns"].as_u64().unwrap();
    // Linux waits for the round trip and 200 ms at least.
    assert!((200_000_000..400_000_000).contains(&cost), "{cost}");
    let server = &lines[1]["server_sent"];
    assert_eq!(
        (&server["rto"], &server["rto_tail"], &server["again"]),
        (&1.into(), &1.into(), &1.into())
    );
}

/// The same exchange seen from both ends: what the server waited for does not depend on where one
/// looks, but for the path's jitter.
#[test]
fn both_ends_say_the_same_of_the_server() {
    for name in ["clean", "loss", "reordering"] {
        let of = |end: &str| -> Vec<Value> {
            let output = analyze(&[&capture(&format!("{name}-{end}.pcap")), "--json"]);
            lines(&output).into_iter().filter(|line| line["type"] == "turn").collect()
        };
        let (server, client) = (of("server"), of("client"));
        assert_eq!(server.len(), client.len());
        for (at_server, at_client) in server.iter().zip(&client) {
            for cause in ["handshake", "receiver_window", "rto", "pacing", "unknown"] {
                let ns = |turn: &Value| turn["causes_ns"][cause].as_u64().unwrap();
                let apart = ns(at_server).abs_diff(ns(at_client));
                assert!(apart < 15_000_000, "{name} {cause}: {apart} ns of {at_server}");
            }
            // Losses in front of the capture look like a full congestion window for longer.
            let ns = |turn: &Value| {
                let causes = &turn["causes_ns"];
                let of = |cause: &str| causes[cause].as_u64().unwrap();
                of("congestion_window") + of("fast_recovery")
            };
            let apart = ns(at_server).abs_diff(ns(at_client));
            assert!(apart < 15_000_000, "{name}: {apart} ns");
        }
    }
}

/// Where tshark is installed, it finds by each filter on the screen the frames that the finding is
/// about.
#[test]
fn filters_find_their_frames() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("tshark is not installed: not tried");
        return;
    }
    for name in ["tail-loss-rto.pcap", "ipv6.pcapng", "many-causes.pcap", "vlan.pcap"] {
        let output = analyze(&[&capture(name), "--json"]);
        let lines = lines(&output);
        let findings = lines.last().unwrap()["findings"].as_array().unwrap().clone();
        assert!(!findings.is_empty());
        for case in findings.iter().take(3).map(|finding| &finding["worst"][0]) {
            let filter = case["filter"].as_str().unwrap();
            let arguments = ["-n", "-r", &capture(name), "-Y", filter, "-T", "fields", "-e"];
            let found =
                Command::new("tshark").args(arguments).arg("frame.number").output().unwrap();
            assert!(found.status.success(), "{filter}: {}", stderr(&found));
            let frames: Vec<u64> =
                stdout(&found).lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(frames.first(), case["first_frame"].as_u64().as_ref(), "{filter}");
            assert_eq!(frames.last(), case["last_frame"].as_u64().as_ref(), "{filter}");
        }
    }
}

#[test]
fn standard_input_says_the_same_as_the_file() {
    let name = capture("keep-alive.pcapng");
    let mut child = simoom()
        .args(["analyze", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&name).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), stdout(&analyze(&[&name])));
}

#[test]
fn filters_choose_connections() {
    let name = capture("many-causes.pcap");
    let chosen = |args: &[&str]| -> Vec<u64> {
        let lines = lines(&analyze(&[&[name.as_str(), "--json"], args].concat()));
        let told = lines.iter().filter(|line| line["type"] == "connection");
        let mut ids: Vec<_> = told.map(|line| line["connection"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(chosen(&[]), [0, 1, 2, 3, 4, 5, 6, 7]);
    let all = lines(&analyze(&[&name, "--json"]));
    let slowest = all
        .iter()
        .filter(|line| line["type"] == "connection")
        .max_by_key(|line| line["slowest_turn_ns"].as_u64());
    let slowest = slowest.unwrap()["connection"].as_u64().unwrap();
    assert_eq!(chosen(&["--slowest", "1"]), [slowest]);
    assert_eq!(chosen(&["--client", "10.0.0.0/8"]), [0; 0]);
    let of_port = chosen(&["--server", "192.0.2.2:443"]);
    assert!(!of_port.is_empty() && of_port.len() < 8, "{of_port:?}");
    let at_the_start = chosen(&["--around", "+0"]);
    assert!(!at_the_start.is_empty() && at_the_start.len() < 8, "{at_the_start:?}");
}

#[test]
fn a_page_is_written_the_same_twice() {
    let dir = TestDir::new("analyze-page");
    let name = capture("many-causes.pcap");
    let pages = ["a.html", "b.html"].map(|page| {
        let out = dir.path().join(page);
        let output = analyze(&[&name, "--report", out.to_str().unwrap()]);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::read(out).unwrap()
    });
    assert!(pages[0] == pages[1]);
    assert!(String::from_utf8_lossy(&pages[0]).contains("Where the time of the server"));
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let dir = TestDir::new("analyze-refused");
    let text = dir.file("notes.txt", b"no capture at all, but longer than a header of one");
    let text = text.to_str().unwrap();
    let name = capture("keep-alive.pcapng");
    let missing = dir.path().join("missing.pcap");
    let no_folder = dir.path().join("no/out.html");
    let page = dir.path().join("page.html");
    let page = page.to_str().unwrap();
    for (args, code, says) in [
        (vec!["analyze"], 2, "<FILE>"),
        (vec!["analyze", missing.to_str().unwrap()], 4, "cannot read"),
        (vec!["analyze", dir.path().to_str().unwrap()], 4, "directory"),
        (vec!["analyze", text], 4, "notes.txt"),
        (vec!["analyze", "-", "-"], 2, "twice"),
        (vec!["analyze", "-", "--slowest", "3"], 2, "twice"),
        (vec!["analyze", &name, "--server", "server"], 2, "neither an address"),
        (vec!["analyze", &name, "--client", "10.0.0.0/99"], 2, "no network"),
        (vec!["analyze", &name, "--around", "noon"], 2, "no time"),
        (vec!["analyze", &name, "--report", no_folder.to_str().unwrap()], 4, "cannot write"),
        (vec!["analyze", &name, "--report", &name], 2, "write over the capture"),
        (vec!["analyze", &name, "--slowest", "0"], 2, "1..=100000"),
        (
            vec!["analyze", &name, "--report", page, "--connection", "99999"],
            2,
            "--connection 99999: the capture has connection 0 alone",
        ),
        (vec!["analyze", &name, "--server", "192.0.2.99"], 0, "none of 1 connection is what"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
}
