//! `simoom replay` as it is typed: what it says, and with which exit code.

mod common;

use common::{TestDir, run, stderr, stdout};
use serde_json::Value;
use simoom_core::port::turn_log::TurnLog;
use simoom_core::time::Duration;
use std::fs;
use std::path::Path;
use std::process::Output;

fn capture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/pcap");
    folder.join(name).to_str().unwrap().to_owned()
}

fn replay(args: &[&str]) -> Output {
    run(&[&["replay"], args].concat())
}

fn json(args: &[&str]) -> Value {
    let output = replay(&[args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

#[test]
fn answers_from_a_directory_show_where_status_and_fields_differ() {
    let dir = TestDir::new("replay-content");
    let site = dir.path().to_str().unwrap();
    let name = capture("http-kinds.pcap");
    let found = json(&[&name, "--content", site]);
    assert_eq!(found["replayed"]["from_files"], 1);
    let head = &found["connections"][0]["head"];
    // The directory is empty: the first request is answered otherwise.
    assert_eq!((&head["answer"], &head["our_status"]), (&1.into(), &404.into()));
    assert_eq!(head["captured_status"], 200);
    // Our stack has no SACK: that shows first.
    assert_eq!(found["connections"][0]["parting"]["class"], "http_head");
    let text = replay(&[&name, "--content", site]);
    assert_eq!(text.status.code(), Some(7));
    assert!(stdout(&text).contains("#0, answer 1: HTTP status or header"), "{}", stdout(&text));
    assert_eq!(replay(&[&name, "--content", site]).stdout, text.stdout);

    // What is no clear text follows its script, and nothing is asked of the files.
    let found = json(&[&capture("tls.pcap"), "--content", site]);
    assert_eq!(found["replayed"]["from_files"], 0);

    fs::write(dir.path().join("file"), "text").unwrap();
    for wrong in ["not-there", "file"] {
        let wrong = dir.path().join(wrong);
        let output = replay(&[&name, "--content", wrong.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    }
}

#[test]
fn only_the_slowest_are_replayed_and_they_are_those_that_analyze_names() {
    let name = capture("many-causes.pcap");
    let all = json(&[&name])["replayed"]["connections"].as_u64().unwrap();
    assert!(all > 3, "{all}");
    let numbers = |n: &str| {
        let output = run(&["analyze", &name, "--slowest", n, "--json"]);
        let lines = stdout(&output);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = lines.filter(|line| line["type"] == "connection");
        let mut told: Vec<_> = told.map(|line| line["connection"].as_u64().unwrap()).collect();
        told.sort_unstable();
        told
    };
    for n in ["1", "3"] {
        let found = json(&[&name, "--slowest", n]);
        assert_eq!(found["replayed"]["connections"].to_string(), n);
        let kept = found["connections"].as_array().unwrap().iter();
        let kept: Vec<_> = kept.map(|one| one["number"].as_u64().unwrap()).collect();
        let named = numbers(n);
        assert_eq!(named.len().to_string(), n);
        assert!(kept.iter().all(|number| named.contains(number)), "{kept:?} {named:?}");
    }
    let many = json(&[&name, "--slowest", "100000"])["replayed"]["connections"].as_u64();
    assert!(many <= Some(all));
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason_and_a_capture_is_never_written_over() {
    let dir = TestDir::new("replay-refused");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let name = capture("keep-alive.pcapng");
    let whole = fs::read(&name).unwrap();
    let (text, empty, cut, own) = (path("notes.txt"), path("empty"), path("cut"), path("own"));
    let (page, missing, no_folder) = (path("page.html"), path("missing"), path("no/out"));
    fs::write(&text, "no capture at all, but longer than a header of one").unwrap();
    fs::write(&empty, "").unwrap();
    fs::write(&cut, &whole[..whole.len() - 40]).unwrap();
    fs::write(&own, &whole).unwrap();
    let folder = dir.path().to_str().unwrap();
    for (args, code, says) in [
        (vec![], 2, "<FILE>"),
        (vec![missing.as_str(), "--report", &page], 4, "cannot read"),
        (vec![folder], 4, "it is a directory"),
        (vec![&text], 4, "expected a capture"),
        (vec![&empty], 4, "the input is empty"),
        (vec!["-", "-"], 2, "twice"),
        (vec![&name, "--server", "server"], 2, "neither an address"),
        (vec![&name, "--client", "10.0.0.0/99"], 2, "no network"),
        (vec![&name, "--around", "noon"], 2, "no time"),
        (vec![&name, "--slowest", "0"], 2, "1..=100000"),
        (vec![&name, "--tolerance-us", "-1"], 2, "-1 is not in 0..=60000000"),
        (vec![&name, "--report", &page, "--connection", "99999"], 2, "has connection 0 alone"),
        (vec![&name, "--report", &no_folder], 4, "cannot write the report"),
        (vec![&name, "--pcap", &no_folder], 4, "cannot write the capture"),
        (vec![&own, "--report", &own], 2, "--report would write over the capture"),
        (vec![&own, "--pcap", &own], 2, "--pcap would write over the capture"),
        (vec![&name, "--server", "192.0.2.99"], 8, "ask for"),
        (vec![&name, "--around", "+99999"], 8, "ask for"),
        (vec![&name, "--as", "nobody"], 2, "neither simoom, linux nor freebsd"),
    ] {
        let output = replay(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() || code == 8, "{args:?}");
    }
    assert_eq!(fs::read(&own).unwrap(), whole);

    // Cut within a record: the rest is replayed, and what is damaged is said.
    let output = replay(&[&cut]);
    assert!(stderr(&output).contains("the input ends within"), "{}", stderr(&output));
    assert!([7, 9].contains(&output.status.code().unwrap()));
}

#[test]
fn a_terrible_link_makes_no_difference() {
    let dir = TestDir::new("replay-terrible");
    let file = dir.path().join("run.pcapng");
    let file = file.to_str().unwrap();
    let world =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim-scenarios/everything-at-once.toml");
    // Of two copies one is damaged, lengths are damaged: what the server did not take, ours must not.
    for seed in ["1", "2", "6"] {
        let world = world.to_str().unwrap();
        let run = run(&["sim", world, "--seed", seed, "--pcap", file, "--at", "server"]);
        assert!(run.status.success(), "{}", stderr(&run));
        let output = replay(&[file]);
        assert_eq!(output.status.code(), Some(0), "{seed}: {}", stdout(&output));
    }
}

fn turn_log(name: &str) -> TurnLog {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    TurnLog::decode(&fs::read(folder.join(name)).unwrap()).unwrap()
}

/// Plays a log of a live server after a change of it.
fn play(dir: &TestDir, change: impl FnOnce(&mut TurnLog), more: &[&str]) -> Output {
    let mut log = turn_log("netmap-pipe.turnlog");
    change(&mut log);
    let path = dir.file("changed.turnlog", &log.encode().unwrap());
    replay(&[&["--turn-log", path.to_str().unwrap()], more].concat())
}

#[test]
fn turn_log_of_a_live_server_plays_over_every_port() {
    let dir = TestDir::new("turn-log");
    let output = play(&dir, |_| (), &[]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
    assert_eq!(said.matches("  the same  166 frames").count(), 6, "{said}");
    let output = play(&dir, |_| (), &["--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["frames_out"], 166);
    assert!(said["ports"].as_array().unwrap().iter().all(|port| port["same"] == true), "{said}");
}

#[test]
fn turn_log_that_was_changed_does_not_play() {
    let dir = TestDir::new("turn-log-changed");
    for (what, output) in [
        (
            "times",
            play(
                &dir,
                |log| {
                    log.turns.iter_mut().skip(3).for_each(|t| t.now += Duration::from_millis(3));
                },
                &[],
            ),
        ),
        ("an ACK", play(&dir, |log| log.turns[4].received[0].clear(), &[])),
        ("completions", play(&dir, |log| log.turns[9].reclaims[0].completed += 100, &[])),
        ("the pool", play(&dir, |log| log.turns[9].buffers_free += 1, &[])),
        ("its output", play(&dir, |log| log.output.digest[3] ^= 1, &[])),
    ] {
        assert_eq!(output.status.code(), Some(7), "{what}: {}", stderr(&output));
        assert!(stdout(&output).contains("DIFFERS"), "{what}: {}", stdout(&output));
    }
}

#[test]
fn turn_log_that_cannot_be_played_is_refused_in_a_sentence() {
    let dir = TestDir::new("turn-log-refused");
    let site = dir.path().join("site");
    fs::create_dir(&site).unwrap();
    let site = site.to_str().unwrap();
    let refused = |change: fn(&mut TurnLog), more: &[&str]| {
        let output = play(&dir, change, more);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        stderr(&output)
    };
    assert!(refused(|log| log.header.secrets = None, &[]).contains("withheld"));
    assert!(refused(|log| log.header.content.clear(), &[]).contains("name the directory"));
    assert!(refused(|log| log.header.content[2][0] ^= 1, &[]).contains("not the bytes"));
    assert!(refused(|log| log.header.config.truncate(40), &[]).contains("the log's configuration"));
    assert!(refused(|log| log.header.config = "what?".into(), &[]).contains("simoom fixture 1"));
    assert!(refused(|_| (), &["--content", site]).contains("was served and is not there"));
    // The bodies that are needed may come from a directory.
    let log = turn_log("netmap-pipe.turnlog");
    let names = log.header.config.lines().filter_map(|line| line.strip_prefix("file "));
    for (line, body) in names.zip(&log.header.content) {
        let (_, name) = line.split_once('/').unwrap();
        fs::write(dir.path().join("site").join(name), body).unwrap();
    }
    let output = play(&dir, |log| log.header.content.clear(), &["--content", site]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let cut = dir.file("cut.turnlog", &log.encode().unwrap()[..500]);
    let output = replay(&["--turn-log", cut.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("ends early"), "{}", stderr(&output));
    let name = capture("tls.pcap");
    let output = replay(&["--turn-log", &name]);
    assert!(stderr(&output).contains("not a turn log"), "{}", stderr(&output));
    assert_eq!(replay(&["--turn-log", &name, &name]).status.code(), Some(2));
    assert_eq!(replay(&["--port", "netmap:a{1", &name]).status.code(), Some(2));
    assert_eq!(replay(&[]).status.code(), Some(2));
}
