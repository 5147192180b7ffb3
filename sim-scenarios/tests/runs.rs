//! What running a case promises: bounds that say where and why, dumps, shards, lists of faults in place
//! of chances, and observers that change nothing.

use simoom_scenarios::{
    Case, RunOptions, RunResult, Scenario, json_line, pairs, run, run_observed, run_with, shard,
};
use simoom_sim::hash::{EventRecord, EventTap, NoTap};
use simoom_sim::observe::ProbeConfig;
use simoom_sim::seed::Seed;
use simoom_sim::world::Direction;
use std::path::Path;

const LOSSY: &str = r#"title = "t"
about = "a"
[host.client]
kind = "client"
server = "server"
connections = 3
requests = 12
size_kb = [1, 40]
[host.server]
kind = "server"
[link.path]
from = "client"
to = "server"
rate_mbit = 50
delay_ms = 3
loss_percent = 3
reorder_percent = 2
"#;

fn parse(text: &str) -> Scenario {
    Scenario::parse(Path::new("x.toml"), text).unwrap_or_else(|e| panic!("\n{e}"))
}

fn case(text: &str) -> Case {
    parse(text).cases()[0].clone()
}

fn plain(text: &str, seed: u64) -> RunResult {
    run(&case(text), &RunOptions::new(Seed(seed)))
}

#[test]
fn a_run_that_cannot_end_is_stopped_by_its_bound_and_says_at_which_event_and_why() {
    let endless = LOSSY.replace("loss_percent = 3", "loss_percent = 100");
    let result = plain(&format!("{endless}[limits]\nevents = 50\n"), 1);
    let said = &result.violations[0];
    assert!(said.contains("event 51, ") && said.contains("not done after 50 events"), "{said}");
    let result = plain(&format!("{endless}[limits]\nsimulated_s = 40\n"), 1);
    let said = &result.violations[0];
    assert!(said.contains("the limit of simulated time") && said.contains("event "), "{said}");
    assert!(!result.ok);
}

#[test]
fn a_run_stops_at_an_event_and_shows_every_connection() {
    let options = RunOptions { until: Some(150), ..RunOptions::new(Seed(2)) };
    let result = run(&case(LOSSY), &options);
    let dump = result.dump.unwrap();
    assert_eq!((result.events, result.ok), (150, true));
    assert!(dump.contains("after event 150"), "{dump}");
    assert_eq!(
        dump.matches("10.66.0.1:").count(),
        6,
        "three connections, seen from both ends: {dump}"
    );
    assert!(dump.contains("cwnd ") && dump.contains("Established"), "{dump}");
}

#[test]
fn the_recorded_faults_forced_give_the_same_run_and_none_of_them_a_clean_one() {
    let case = case(LOSSY);
    let options = RunOptions { record_faults: true, ..RunOptions::new(Seed(3)) };
    let first = run(&case, &options);
    assert!(first.faults.len() > 5);
    let again =
        run(&case, &RunOptions { faults: Some(first.faults.clone()), ..RunOptions::new(Seed(3)) });
    assert_eq!(again.event_hash, first.event_hash);
    let clean = run(&case, &RunOptions { faults: Some(Vec::new()), ..RunOptions::new(Seed(3)) });
    assert_eq!(clean.measure("lost"), Some(0.0));
    assert_eq!(clean.measure("retransmitted_segments"), Some(0.0));
}

#[test]
fn probes_and_watchers_see_and_change_nothing() {
    let case = case(LOSSY);
    let options = RunOptions::new(Seed(5));
    let plain = run(&case, &options);
    let mut watched = Vec::new();
    let probe = ProbeConfig::default();
    let seen = run_observed(&case, &options, probe, NoTap, &mut |w| watched.push(w));
    assert_eq!(seen.result, plain);
    assert_eq!(watched[0].requests, 12);
    let hosts: Vec<_> = seen.stacks.iter().map(|stack| stack.host.as_str()).collect();
    assert_eq!(hosts, ["client", "server"]);
    assert_eq!(seen.ends, [["client", "server"]]);
    assert_eq!(seen.stacks[1].way, (seen.links[0], Direction::Backward));
    let connections = seen.stacks[1].probe.connections();
    assert_eq!(connections.len(), 3);
    assert!(connections.iter().all(|c| c.points.len() > 20));
    let (same, NoTap) = run_with(&case, &options, NoTap, &mut |_| {});
    assert_eq!(same, plain);
}

#[test]
fn shards_have_every_run_once_and_their_lines_are_those_of_the_whole() {
    let scenario = parse(&format!("{LOSSY}[sweep]\n\"link.path.delay_ms\" = [1, 2, 3]\n"));
    let line = |pair: simoom_scenarios::Pair<'_>| {
        json_line(&run(pair.case, &RunOptions::new(pair.seed)), None)
    };
    let mut whole: Vec<String> = pairs(&scenario, 0..5).map(line).collect();
    let mut parts = Vec::new();
    for index in 1..=4 {
        parts.extend(shard(pairs(&scenario, 0..5), index, 4).map(line));
    }
    assert_eq!(whole.len(), 15);
    whole.sort();
    parts.sort();
    assert_eq!(parts, whole);
}

#[test]
fn a_line_of_json_has_its_keys_in_order() {
    let line = json_line(&plain(LOSSY, 7), Some(0.25));
    let keys = [
        "{\"scenario\":\"x\",\"case\":\"base\",\"seed\":7,\"event_hash\":\"",
        "\",\"ok\":true,\"violations\":[],\"packets\":",
        ",\"events\":",
        ",\"simulated_seconds\":",
        ",\"wall_seconds\":0.25,\"measures\":{\"completed\":12.0,\"failed\":0.0,",
    ];
    let mut at = 0;
    for key in keys {
        let found = line[at..].find(key).unwrap_or_else(|| panic!("{key} is not in {line}"));
        at += found + key.len();
    }
}

#[test]
fn an_expectation_that_is_not_met_fails_the_run_and_says_so() {
    let result = plain(&format!("{LOSSY}[expect]\ncompleted = 13\nlost = {{ max = 1 }}\n"), 1);
    assert_eq!(result.violations[0], "completed is 12, expected 13");
    assert!(result.violations[1].ends_with("expected at most 1"), "{:?}", result.violations);
}

#[test]
fn a_not_yet_scenario_fails_once_it_meets_what_it_waits_for() {
    let text = |expected: u32, pinned: u32| {
        format!(
            "status = \"not-yet\"\nneeds = \"it\"\n{LOSSY}[expect]\ncompleted = {expected}\n\
             [pinned]\ncompleted = {pinned}\n"
        )
    };
    assert!(plain(&text(99, 12), 1).ok);
    let met = plain(&text(12, 12), 1);
    assert_eq!(met.violations, ["meets what it waits for: take status = \"not-yet\" away"]);
    let moved = plain(&text(99, 11), 1);
    assert_eq!(moved.violations, ["completed is 12, expected 11"]);
}

#[test]
fn a_healed_world_must_get_on_where_measures_are_taken_in_the_middle() {
    let text = format!("{LOSSY}[limits]\nmeasure_at_s = 0.02\n")
        .replace("requests = 12", "requests = 3000");
    let result = plain(&text, 4);
    assert!(result.ok, "{:?}", result.violations);
    assert!(result.measure("completed").unwrap() < 3000.0);
    let stuck =
        text.replace("delay_ms = 3", "delay_ms = 900").replace("[limits]", "[limits]\nrest_s = 1");
    let result = plain(&stuck, 4);
    assert!(!result.ok, "nobody gets further within a second");
}

/// Stands for a stack that panics: at the arrival of a frame.
#[derive(Default)]
struct PanicsAt(u64);

impl EventTap for PanicsAt {
    fn on_event(&mut self, record: &EventRecord<'_>) {
        assert!(record.number < self.0, "frame {} is one too many", record.number);
    }
}

#[test]
fn a_panic_is_a_failed_run_that_says_where_and_with_which_seed() {
    let (result, _) = run_with(
        &case(LOSSY),
        &RunOptions { record_faults: true, ..RunOptions::new(Seed(3)) },
        PanicsAt(40),
        &mut |_| {},
    );
    assert!(!result.ok && result.panicked);
    assert!(result.packets > 30 && result.simulated_seconds > 0.0 && !result.faults.is_empty());
    let [said] = &result.violations[..] else { panic!("{:?}", result.violations) };
    assert!(said.starts_with(&format!("seed v1:3, event {}, at ", result.events)), "{said}");
    assert!(said.contains("panicked at ") && said.contains("runs.rs:"), "{said}");
    assert!(said.ends_with("is one too many"), "{said}");
    let line = json_line(&result, None);
    assert!(line.contains("\"ok\":false") && line.contains("is one too many"), "{line}");
    // Other runs go on, as if nothing had been.
    let next = plain(LOSSY, 3);
    assert!(next.ok && !next.panicked, "{:?}", next.violations);
}

#[test]
fn a_run_that_panics_is_observed_up_to_there() {
    let probe = ProbeConfig::default();
    let options = RunOptions::new(Seed(3));
    let seen = run_observed(&case(LOSSY), &options, probe, PanicsAt(40), &mut |_| {});
    assert!(seen.result.panicked && seen.links.len() == 1 && seen.stacks.len() == 2);
    assert!(seen.stacks.iter().any(|stack| !stack.probe.connections().is_empty()));
}

#[test]
fn what_does_not_come_to_rest_names_its_connections_and_what_they_wait_for() {
    let far = LOSSY.replace("delay_ms = 3", "delay_ms = 3000");
    let result = plain(&format!("{far}[limits]\nrest_s = 1\n"), 1);
    let said = &result.violations[0];
    assert!(said.contains("not done 1.0") && said.contains("after the links healed"), "{said}");
    let stuck: Vec<_> = said.lines().filter(|line| line.contains("stuck: host ")).collect();
    assert!(!stuck.is_empty(), "{said}");
    assert!(stuck.iter().all(|line| line.contains("10.66.0.1:") && line.contains("waits for ")));
}

#[test]
fn handshakes_windows_and_queues_are_measured() {
    let calm = LOSSY.replace("loss_percent = 3\nreorder_percent = 2", "queue_packets = 5");
    let result = plain(&calm, 1);
    let of = |name: &str| result.measure(name).unwrap();
    // Two ways of 3 ms, and hardly more.
    for host in ["client", "server"] {
        let took = of(&format!("{host}.handshake_max_ms"));
        assert!(took > 6.0 && took < 6.5, "{host}: {took}");
    }
    // An initial window is ten segments, which are more than the queue holds.
    assert!(of("path.backward.queue_drops") > 0.0);
    assert_eq!(of("path.backward.queue_max"), 5.0);
    let roomy = plain(&calm.replace("queue_packets = 5", ""), 1);
    assert_eq!(roomy.measure("path.backward.queue_drops"), Some(0.0));
    assert!(roomy.measure("path.backward.queue_max").unwrap() > 5.0);
    let (narrow, wide) =
        (of("server.window_mean_kb"), roomy.measure("server.window_mean_kb").unwrap());
    assert!(narrow < wide && wide >= 14.48, "{narrow}, {wide}");
    // The same where the queue is not the plain one.
    let managed =
        plain(&calm.replace("queue_packets = 5", "queue_packets = 5\naqm = \"codel\""), 1);
    assert_eq!(managed.measure("path.backward.queue_max"), Some(5.0));
}

#[test]
fn a_handshake_whose_syn_was_lost_took_the_time_of_the_timeout_too() {
    let one = LOSSY
        .replace("loss_percent = 3\nreorder_percent = 2", "[link.path.forward]\nlose_frames = [2]")
        .replace("connections = 3\nrequests = 12", "connections = 1\nrequests = 1");
    let result = plain(&one, 1);
    let took = result.measure("client.handshake_max_ms").unwrap();
    assert!(took > 1006.0 && took < 1007.0, "{took}");
    assert!(result.measure("server.handshake_max_ms").unwrap() < 7.0);
}
