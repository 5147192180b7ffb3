//! Scenarios from the command line: the same lines whatever runs where, files that others can read,
//! and errors that say what would be right.

mod common;

use common::{TestDir, run, simoom, stderr, stdout};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Two axes, six cases, each a few milliseconds.
const SWEEP: &str = r#"
title = "A small sweep"
about = "For tests of the command line."
seeds = 2
columns = ["completed", "goodput_mbit", "lost"]
[host.client]
kind = "client"
server = "server"
connections = 2
size_kb = 20
[host.server]
kind = "server"
[link.path]
from = "client"
to = "server"
rate_mbit = 100
delay_ms = 2
queue_packets = 100
[sweep]
"link.path.delay_ms" = [1, 2, 5]
"link.path.loss_percent" = [0, 10]
[expect]
completed = 2
"#;

/// One case, which fails under every seed that loses a frame.
const FAILING: &str = r#"
title = "Nothing may be lost"
about = "Something will be."
[host.client]
kind = "client"
server = "server"
connections = 6
requests = 12
size_kb = [30, 50]
[host.server]
kind = "server"
[link.path]
from = "client"
to = "server"
loss_percent = 2
[expect]
lost = 0
"#;

/// A folder with a scenario in it, and the command's arguments so far.
struct Bench {
    dir: TestDir,
    file: String,
}

impl Bench {
    fn new(name: &str, text: &str) -> Self {
        let dir = TestDir::new(&format!("sim-{name}"));
        let file = dir.file("small.toml", text.as_bytes()).display().to_string();
        Self { dir, file }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// What is printed, which has to end with this exit code; stdout, then stderr.
    fn sim(&self, args: &[&str], code: i32) -> (String, String) {
        let output = run(&[&["sim", &self.file], args].concat());
        let both = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {both:?}");
        both
    }

    /// The lines of a run with --json, without the time on the wall, which is never the same.
    fn lines(&self, args: &[&str]) -> Vec<String> {
        let (out, _) = self.sim(&[args, &["--json"]].concat(), 0);
        out.lines().map(without_wall_time).collect()
    }
}

fn without_wall_time(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).expect("a line is an object");
    let seconds = value.as_object_mut().and_then(|line| line.shift_remove("wall_seconds"));
    assert!(seconds.and_then(|s| s.as_f64()).is_some_and(|s| s > 0.0), "{line}");
    value.to_string()
}

#[test]
fn a_line_of_json_has_the_promised_keys_in_their_order() {
    let bench = Bench::new("keys", SWEEP);
    let (out, err) =
        bench.sim(&["--seed", "3", "--case", "delay_ms=1,loss_percent=0", "--json"], 0);
    assert_eq!((out.lines().count(), err.as_str()), (1, ""), "progress is for terminals");
    let line: Value = serde_json::from_str(&out).unwrap();
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "scenario",
        "case",
        "seed",
        "event_hash",
        "ok",
        "violations",
        "packets",
        "events",
        "simulated_seconds",
        "wall_seconds",
        "measures",
    ];
    assert_eq!(keys, wanted);
    assert_eq!((&line["scenario"], &line["seed"]), (&Value::from("small"), &Value::from(3)));
    assert_eq!(
        (&line["ok"], &line["measures"]["completed"]),
        (&Value::from(true), &Value::from(2.0))
    );
}

#[test]
fn the_same_lines_come_in_the_same_order_twice_and_whatever_runs_beside_what() {
    let bench = Bench::new("jobs", SWEEP);
    let one = bench.lines(&["--seeds", "3..7", "--jobs", "1"]);
    assert_eq!(one.len(), 24);
    assert_eq!(one, bench.lines(&["--seeds", "3..7", "--jobs", "1"]));
    assert_eq!(one, bench.lines(&["--seeds", "3..7", "--jobs", "5"]));
    assert_eq!(one, bench.lines(&["--seeds", "v1:3..v1:7"]));
    let of_clean_runs = one.iter().filter(|line| line.contains("loss_percent=0"));
    let hashes: BTreeSet<String> = of_clean_runs
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event_hash"].to_string())
        .collect();
    assert_eq!(hashes.len(), 12, "each seed and each delay is another run");
    // A plain run has the seeds of the file.
    assert_eq!(bench.lines(&[]), bench.lines(&["--seeds", "0..2"]));
}

#[test]
fn the_lines_of_all_shards_are_those_of_the_whole() {
    let bench = Bench::new("shards", SWEEP);
    let mut whole = bench.lines(&["--seeds", "0..2"]);
    let mut parts = Vec::new();
    for part in ["1/5", "2/5", "3/5", "4/5", "5/5"] {
        parts.extend(bench.lines(&["--seeds", "0..2", "--shard", part]));
    }
    whole.sort();
    parts.sort();
    assert_eq!(parts, whole);
    // More parts than runs: a job of the array that has nothing to do is no failure.
    let (out, err) = bench.sim(&["--seed", "0", "--shard", "7/7", "--json"], 0);
    assert_eq!(out, "");
    assert!(err.contains("part 7/7 has no run: there are 6 runs"), "{err}");
}

#[test]
fn tables_have_a_line_for_each_run_or_the_spread_of_many() {
    let bench = Bench::new("tables", SWEEP);
    let (few, _) = bench.sim(&["--seeds", "0..3"], 0);
    assert!(few.starts_with("A small sweep\n"), "{few}");
    assert_eq!(few.lines().filter(|line| line.starts_with("delay_ms=")).count(), 18, "{few}");
    assert!(few.contains("18 runs, none failed"), "{few}");
    let (many, _) = bench.sim(&["--seeds", "0..25", "--case", "delay_ms=1"], 0);
    for word in ["least", "median", "most"] {
        let lines = many.lines().filter(|line| line.split_whitespace().any(|cell| cell == word));
        assert_eq!(lines.count(), 2, "{many}");
    }
    let (one, _) = bench.sim(&["--seed", "1", "--case", "delay_ms=1,loss_percent=10"], 0);
    for wanted in ["event hash ", "server.segments ", "path.backward.utilisation ", "outcome "] {
        assert!(one.contains(wanted), "{wanted:?} is not in: {one}");
    }
}

#[test]
fn a_run_that_fails_has_its_own_exit_code_and_says_how_to_see_it_again() {
    let bench = Bench::new("fails", FAILING);
    let (out, err) = bench.sim(&["--seeds", "0..3"], 6);
    assert!(out.contains("FAILED: base under seed v1:0\n  lost is "), "{out}");
    assert!(err.contains(&format!("simoom sim {} --seed v1:0", bench.file)), "{err}");
    let (out, _) = bench.sim(&["--seed", "v1:0", "--json"], 6);
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(line["ok"], false);
    assert!(line["violations"][0].as_str().unwrap().starts_with("lost is "), "{line}");
}

#[test]
fn a_run_that_cannot_end_says_at_which_event_it_was_stopped_and_why() {
    let text = SWEEP.replace("[expect]", "[limits]\nevents = 50\n[expect]");
    let bench = Bench::new("bound", &text);
    let (out, _) = bench.sim(&["--seed", "0", "--case", "delay_ms=1,loss_percent=0"], 6);
    assert!(out.contains("event 51, at 0.0") && out.contains("not done after 50 events"), "{out}");
}

#[test]
fn a_failing_run_becomes_a_smaller_scenario_that_fails_alike() {
    let bench = Bench::new("shrink", FAILING);
    let small = bench.path("tiny.toml");
    let (out, err) = bench.sim(&["--seeds", "0..9", "--shrink", &small], 0);
    assert!(out.contains("it fails alike:\n  lost is 1, expected 0"), "{out}");
    assert!(out.contains(&format!("to see it: simoom sim {small}")), "{out}");
    assert_eq!(err, "");
    let again = run(&["sim", &small, "--json"]);
    assert_eq!(again.status.code(), Some(6), "{}", stderr(&again));
    let line: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(line["violations"], serde_json::json!(["lost is 1, expected 0"]));
    let original: Value =
        serde_json::from_str(&bench.sim(&["--seed", "0", "--json"], 6).0).unwrap();
    assert!(line["packets"].as_u64().unwrap() < original["packets"].as_u64().unwrap() / 2);

    let fine = Bench::new("shrink-fine", SWEEP);
    let (out, _) = fine.sim(&["--shrink", &small], 0);
    assert!(out.contains("12 runs: none failed, nothing to make smaller"), "{out}");
}

#[test]
fn a_stopped_run_shows_every_connection_and_every_link() {
    let bench = Bench::new("dump", SWEEP);
    let one = ["--seed", "1", "--case", "delay_ms=2,loss_percent=0"];
    let (out, _) = bench.sim(&[&one[..], &["--until", "60", "--dump"]].concat(), 0);
    assert!(out.contains("after event 60,"), "{out}");
    for wanted in [
        "client: ",
        "server: ",
        "of 2 requests answered",
        "cwnd ",
        "ssthresh ",
        "path, from client to server: ",
        "path, from server to client: ",
        "found the queue full",
    ] {
        assert!(out.contains(wanted), "{wanted:?} is not in: {out}");
    }
    assert_eq!(out.matches(" to 10.66.0.2:80: ").count(), 2, "{out}");
    let (_, err) = bench.sim(&[&one[..], &["--until", "60000", "--dump"]].concat(), 2);
    assert!(err.contains("--until 60000: the run was over after event "), "{err}");
}

#[test]
fn a_capture_has_every_frame_once_and_ours_with_their_state() {
    let bench = Bench::new("pcap", SWEEP);
    let pcap = bench.path("run.pcapng");
    let one = ["--seed", "1", "--case", "delay_ms=2,loss_percent=0", "--json", "--pcap", &pcap];
    let (out, _) = bench.sim(&one, 0);
    let plain = bench.sim(&one[..5], 0).0;
    assert_eq!(
        without_wall_time(out.trim()),
        without_wall_time(plain.trim()),
        "watching changes nothing"
    );
    let bytes = fs::read(&pcap).unwrap();
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section header of pcapng");
    let line: Value = serde_json::from_str(&out).unwrap();
    bench.sim(&one, 0);
    assert!(fs::read(&pcap).unwrap() == bytes, "the same run gives the same file");

    let Some(fields) = tshark(&pcap, &["-T", "fields", "-e", "frame.comment"]) else { return };
    let frames: Vec<&str> = fields.lines().collect();
    assert_eq!(Some(frames.len() as u64), line["packets"].as_u64(), "nothing is lost there");
    let with_state = frames.iter().filter(|comment| comment.contains("cwnd ")).count();
    assert!(with_state > frames.len() * 9 / 10, "{with_state} of {}", frames.len());
    let said =
        tshark(&pcap, &["-q", "-o", "tcp.check_checksum:TRUE", "-z", "expert,warn"]).unwrap();
    assert!(!said.contains("Warns") && !said.contains("Errors"), "{said}");

    let of_nic = bench.path("nic.pcapng");
    bench.sim(&[&one[..6], &[&of_nic, "--at", "server"]].concat(), 0);
    let names = tshark(&of_nic, &["-T", "fields", "-e", "frame.interface_name"]).unwrap();
    assert!(names.lines().all(|name| name == "server at path"), "{names}");
    assert_eq!(names.lines().count(), frames.len());
}

/// What tshark says of a capture; None where it is not installed.
fn tshark(pcap: &str, args: &[&str]) -> Option<String> {
    match Command::new("tshark").args(["-r", pcap]).args(args).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", stderr(&output));
            Some(stdout(&output))
        }
        Err(e) => {
            eprintln!("tshark is not there: {e}");
            None
        }
    }
}

#[test]
fn a_report_holds_the_plots_of_the_sweep_and_of_its_first_run() {
    let bench = Bench::new("report", SWEEP);
    let page = bench.path("page.html");
    bench.sim(&["--seeds", "0..3", "--report", &page], 0);
    let html = fs::read_to_string(&page).unwrap();
    for title in [
        "goodput_mbit over delay_ms",
        "lost over delay_ms",
        "Completion times over all seeds",
        "Time and sequence: 10.66.0.2:80 to 10.66.0.1:",
        "Goodput",
        "Congestion window",
        "Round-trip time",
        "Queue",
    ] {
        assert!(html.contains(&format!("\">{title}")), "{title:?} is no heading of the page");
    }
    assert!(!html.contains("\">completed over delay_ms"), "it is the same everywhere");
    assert!(html.contains("loss_percent=10"), "the second axis is in the legend");
    assert!(!html.contains("src=\"http") && !html.contains("href=\"http"), "self-contained");

    let second = bench.path("second.html");
    bench.sim(&["--seeds", "0..3", "--report", &second, "--connection", "2"], 0);
    assert_ne!(sequence_title(&html), sequence_title(&fs::read_to_string(&second).unwrap()));
    // Known before the sweep: no run is made, and the page that was there stays.
    let before = fs::read(&second).unwrap();
    let (out, err) =
        bench.sim(&["--seeds", "0..3", "--json", "--report", &second, "--connection", "3"], 2);
    assert!(err.contains("--connection 3: the first run has 2 connections"), "{err}");
    assert_eq!((out.as_str(), fs::read(&second).unwrap()), ("", before));
}

#[test]
fn the_pictures_are_of_the_first_run_that_failed() {
    let bench = Bench::new("report-failed", FAILING);
    let page = bench.path("page.html");
    let (out, _) = bench.sim(&["--seeds", "0..4", "--report", &page], 6);
    let seed = out.split("FAILED: base under seed ").nth(1).and_then(|rest| rest.lines().next());
    let html = fs::read_to_string(&page).unwrap();
    let wanted = format!("base, seed {}", seed.expect("one failed"));
    assert!(html.contains(&wanted), "{wanted} is not in the page");
    assert!(html.contains("\">Failed<") || html.contains(">Failed</h2>"), "nor what failed");
}

fn sequence_title(html: &str) -> &str {
    let from = html.find("Time and sequence").expect("the graph is there");
    html[from..].split('<').next().unwrap()
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_sweep() {
    let bench = Bench::new("head", SWEEP);
    // A million runs: were they all made, the test would never end.
    let mut child = simoom()
        .args(["sim", &bench.file, "--seeds", "0..1000000", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn mistakes_are_answered_with_what_would_be_right() {
    let bench = Bench::new("mistakes", SWEEP);
    for (args, code, wanted) in [
        (&["--seed", "seven"][..], 2, "write a number below 2^64"),
        (&["--seed", "v9:1"], 2, "v9:1"),
        (&["--seed", "1", "--seeds", "0..3"], 2, "cannot be used with"),
        (&["--seeds", "9"], 2, "write the first and the end, like 0..1000"),
        (&["--seeds", "9..9"], 2, "is empty"),
        (&["--shard", "0/4"], 2, "the parts are 1/4 to 4/4"),
        (&["--shard", "5/4"], 2, "the parts are 1/4 to 4/4"),
        (&["--shard", "half"], 2, "write which part of how many, like 3/20"),
        (&["--jobs", "0"], 2, "1..=1024"),
        (&["--case", "delay_ms=7"], 2, "\n  --case delay_ms=1,loss_percent=0\n"),
        (
            &["--pcap", "x.pcapng"],
            2,
            "--pcap captures one run, and there are 12 runs\nchoose a seed",
        ),
        (&["--until", "5", "--dump", "--seed", "1"], 2, "choose a case:\n  --case "),
        (&["--until", "5"], 2, "--dump"),
        (&["--report", "/no/such/folder/x.html"], 4, "cannot write the report to /no/such"),
        (&["--shrink", "/no/such/folder/x.toml"], 4, "there is no such folder"),
        (&["--shrink", &bench.file], 2, "that is the scenario itself"),
        (
            &["--seed", "1", "--case", "delay_ms=1,loss_percent=0", "--pcap", "x", "--at", "paht"],
            2,
            "--at paht: neither a link (path) nor a host (client, server)",
        ),
    ] {
        let (_, err) = bench.sim(args, code);
        assert!(err.contains(wanted), "{args:?}: {wanted:?} is not in: {err}");
    }
    assert!(!Path::new("x").exists(), "what is refused leaves no file behind");
}

#[test]
fn a_file_that_is_wrong_is_said_to_be_with_line_key_and_what_would_be_right() {
    let text = SWEEP.replace("connections = 2", "conections = 2");
    let text = text.replace("rate_mbit = 100", "rate_mbit = -100");
    let bench = Bench::new("wrong", &text);
    let (_, err) = bench.sim(&[], 2);
    assert!(err.contains("small.toml:9:1: host.client.conections: is no key"), "{err}");
    assert!(err.contains("connections perhaps?"), "{err}");
    assert!(err.contains("small.toml:16:13: link.path.rate_mbit: must be"), "{err}");
    let missing = run(&["sim", "nothing-here.toml"]);
    assert_eq!(missing.status.code(), Some(4));
    assert!(stderr(&missing).contains("nothing-here.toml: cannot be read"), "{}", stderr(&missing));
}

#[test]
fn marks_are_said_by_a_program_that_counts_them_and_else_what_to_build() {
    let bench = Bench::new("marks", SWEEP);
    let args = ["--marks", "--case", "loss_percent=10", "--seeds", "0..5"];
    if simoom_scenarios::marks().is_empty() {
        let (_, said) = bench.sim(&args, 2);
        assert!(said.contains("--features marks"), "{said}");
        return;
    }
    let (text, _) = bench.sim(&args, 0);
    assert!(text.contains(" marks reached") && text.contains("not reached: "), "{text}");
    assert!(text.contains(" Timeout "), "{text}");
    let marked = bench.lines(&["--seed", "3", "--marks"]);
    let plain = bench.lines(&["--seed", "3"]);
    assert_eq!(marked.len(), plain.len());
    for (marked, plain) in marked.iter().zip(plain) {
        let mut line: Value = serde_json::from_str(marked).unwrap();
        let marks = line.as_object_mut().unwrap().shift_remove("marks").unwrap();
        assert!(marks["TimeWaitEntered"].as_u64().unwrap() > 0, "{marks}");
        assert_eq!(line.to_string(), plain);
    }
}

#[test]
fn a_nic_from_a_file_is_that_of_every_host_of_ours_and_stands_in_the_command() {
    let dir = TestDir::new("sim-nic");
    let (world, nic) = (dir.path().join("world.toml"), dir.path().join("nic.toml"));
    fs::write(&world, SWEEP.replace("completed = 2", "completed = 3")).unwrap();
    let sim = |nic_text: &str| {
        fs::write(&nic, nic_text).unwrap();
        let case = ["--seed", "1", "--case", "delay_ms=1,loss_percent=0", "--nic"];
        let [world, nic] = [&world, &nic].map(|path| path.to_str().unwrap());
        run(&[&["sim", world], &case[..], &[nic]].concat())
    };
    let out = sim("[nic]\ntx_slots = 4\nhold_frames = 4\ncompletion = \"whole-ring\"\n");
    assert_eq!(out.status.code(), Some(6), "{}", stderr(&out));
    assert!(stderr(&out).contains(" --nic "), "{}", stderr(&out));
    let out = sim("[nic]\ntx_slots = 1\n");
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("nic.toml:2:12: nic.tx_slots: must be"), "{}", stderr(&out));
}
