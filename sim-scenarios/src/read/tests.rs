//! Files that are wrong, and what is said of them.

use super::*;
use proptest::prelude::*;

const RIGHT: &str = r#"title = "t"
about = "a"
[host.client]
kind = "client"
server = "server"
size_kb = 1
[host.server]
kind = "server"
[link.path]
from = "client"
to = "server"
"#;

fn parse(text: &str) -> Result<Scenario, Errors> {
    Scenario::parse(Path::new("x.toml"), text)
}

fn errors(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("nothing is wrong with\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// The errors of the right file with something replaced.
fn with(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    errors(&RIGHT.replacen(from, to, 1))
}

/// The errors of the right file with something added.
fn and(more: &str) -> String {
    errors(&format!("{RIGHT}{more}"))
}

#[test]
fn the_smallest_file_has_one_case_called_base() {
    let scenario = parse(RIGHT).unwrap();
    let names: Vec<_> = scenario.cases().iter().map(|case| case.name.as_str()).collect();
    assert_eq!((names, scenario.name.as_str(), scenario.seeds), (vec!["base"], "x", 3));
    assert_eq!(scenario.cases()[0].hosts().collect::<Vec<_>>(), ["client", "server"]);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    assert_eq!(
        with("size_kb = 1", "size_kb = 1\nconections = 3"),
        "x.toml:7:1: host.client.conections: is no key of a host of kind `client`; connections \
         perhaps?"
    );
    assert!(and("colour = 3").starts_with(
        "x.toml:12:1: link.path.colour: is no key of a link, which knows from, to, forward"
    ));
    assert!(
        and("[lnk.other]\n").contains("x.toml:12:2: lnk: is no key of a scenario; link perhaps?")
    );
}

#[test]
fn numbers_out_of_bounds_are_refused_with_the_bounds() {
    assert_eq!(
        and("delay_ms = -1"),
        "x.toml:12:12: link.path.delay_ms: must be a number from 0 to 60000"
    );
    assert!(and("rate_mbit = 1e300").contains("must be a number from 0.001 to 1000000"));
    assert!(and("rate_mbit = nan").contains("must be a number from 0.001 to 1000000"));
    assert!(and("rate_mbit = 99999999999999999999999999999").contains("0.001 to 1000000"));
    assert!(
        and("queue_packets = 1.5").contains("a whole number from 0 to 100000000, not a number")
    );
    assert!(and("loss_percent = \"1\"").contains("a number from 0 to 100, not a text"));
    assert!(with("size_kb = 1", "size_kb = []").contains("must name at least one number"));
    assert!(
        with("size_kb = 1", "size_kb = [1, -2]").contains("6:11: host.client.size_kb: must be")
    );
}

#[test]
fn buffers_that_no_machine_has_are_refused() {
    let text = with("size_kb = 1", "size_kb = 1\nconnections = 60000\nreceive_window_kb = 1000000");
    assert!(text.contains("7") && text.contains("bytes with all connections"), "{text}");
}

#[test]
fn a_missing_file_and_a_missing_key_are_said() {
    let gone = Scenario::load(Path::new("/nowhere/x.toml")).unwrap_err().to_string();
    assert!(gone.starts_with("/nowhere/x.toml: cannot be read: "), "{gone}");
    let text = with("title = \"t\"\n", "");
    assert_eq!(text, "x.toml:1:1: title: is missing: one line, for lists and reports (text)");
    assert!(with("to = \"server\"", "").contains("x.toml:9:7: link.path.to: is missing"));
    assert!(errors("").contains("host: is missing"));
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let text = and("= 3");
    assert!(text.starts_with("x.toml:12:1: is no TOML: "), "{text}");
}

#[test]
fn impossible_topologies_are_refused() {
    assert_eq!(
        with("to = \"server\"", "to = \"sever\""),
        "x.toml:11:6: link.path.to: is no host of this file; server perhaps?"
    );
    assert!(with("to = \"server\"", "to = \"moon\"").contains("there are client and server"));
    assert!(with("to = \"server\"", "to = \"client\"").contains("must be another host than from"));
    assert_eq!(
        and("[link.second]\nfrom = \"client\"\nto = \"server\"\n"),
        "x.toml:13:8: link.second.from: is wrong: client has one port, and a link on it already\n\
         x.toml:14:6: link.second.to: is wrong: server has one port, and a link on it already"
    );
    assert!(
        and("[host.spare]\nkind = \"server\"\n").contains(
            "x.toml:12:7: host.spare: has no link: name it as from or to of a [link.NAME]"
        )
    );
    let idle = "[host.a]\nkind = \"server\"\n[host.b]\nkind = \"server\"\n[link.l]\nfrom = \"a\"\nto = \"b\"\n";
    assert!(and(idle).contains("host.a: is a server whom nobody asks"));
    assert!(with("server = \"server\"", "server = \"client\"").contains("client is no server"));
    assert!(with("[link.path]", "[link.path]\n[link.x]").contains("link.path.from: is missing"));
}

#[test]
fn a_client_asks_a_server_that_a_link_leads_to() {
    let more = "[host.other]\nkind = \"client\"\nserver = \"server\"\nsize_kb = 1\n[host.last]\n\
                kind = \"server\"\n[link.l]\nfrom = \"other\"\nto = \"last\"\n";
    let text = and(more);
    assert!(text.contains("host.other.server: no link leads to server"), "{text}");
}

#[test]
fn kinds_of_hosts_are_named() {
    let text = with("kind = \"client\"", "kind = \"clint\"");
    assert!(text.contains("x.toml:4:8: host.client.kind: must be one of server, client"), "{text}");
    assert!(text.contains("\"client\" perhaps?"), "{text}");
    assert!(!text.contains("size_kb"), "keys of an unknown kind are not worth a word: {text}");
}

const CROWD: &str = r#"title = "t"
about = "a"
[host.reader]
kind = "receiver"
server = "server"
size_kb = 1
[host.thief]
kind = "blind-injector"
server = "server"
victim = "reader"
per_second = 10
count = 10
[host.switch]
kind = "switch"
mirror_to = "thief"
[host.server]
kind = "machine"
interfaces = 1
[link.a]
from = "reader"
to = "switch"
[link.b]
from = "thief"
to = "switch"
[link.c]
from = "switch"
to = "server"
"#;

fn crowd(from: &str, to: &str) -> String {
    assert!(CROWD.contains(from), "{from}");
    errors(&CROWD.replacen(from, to, 1))
}

#[test]
fn hosts_behind_switches_reach_each_other_and_say_what_they_lack() {
    let scenario = parse(CROWD).unwrap();
    let world = &scenario.cases()[0].world;
    let crate::model::HostKind::Switch(switch) = &world.hosts[2].kind else { panic!("a switch") };
    assert_eq!((switch.ports, switch.mirror_port), (3, Some(1)));
    assert!(crowd("victim = \"reader\"", "victim = \"server\"").contains("server is no receiver"));
    assert!(crowd("mirror_to = \"thief\"", "mirror_to = \"thieve\"").contains("thief perhaps?"));
    assert!(crowd("interfaces = 1", "interfaces = 3").contains("has 3 interfaces and 1 links"));
    assert!(crowd("per_second = 10\n", "").contains("per_second: is missing"));
    assert!(crowd("interfaces = 1", "cost_file = \"none.toml\"").contains("none.toml: "));
    let cut = crowd("from = \"switch\"\nto = \"server\"", "from = \"thief\"\nto = \"server\"");
    assert!(cut.contains("thief has one port"), "{cut}");
}

#[test]
fn manners_that_contradict_each_other_are_refused() {
    let with = |more: &str| crowd("size_kb = 1", &format!("size_kb = 1\n{more}"));
    assert!(with("read_chunk_bytes = 5").contains("say how slow with read_kbit"));
    assert!(with("ack_parts = 3\nack_every = 2").contains("stands in place of ack_every"));
    assert!(with("connections = 40000\nrounds = 2").contains("at most 45536"));
    assert!(with("size_mb = 1").contains("says again what another key says"));
}

#[test]
fn keys_of_a_link_that_mean_nothing_alone_are_refused() {
    assert!(and("jitter_reorders = true").contains("means nothing without jitter_ms"));
    assert!(and("codel_ecn = true").contains("means nothing without aqm = \"codel\""));
    assert!(and("mtu_icmp = true").contains("means nothing without mtu_bytes"));
    assert!(and("trace_ms = [5, 3]").contains("must not fall"));
    assert!(and("trace_file = \"none\"").contains("none: "));
    assert!(and("preset = \"lan2\"").contains("\"lan\" perhaps?"));
    assert!(and("flap_up_ms = 3\ndown = true").contains("keep one of them"));
}

#[test]
fn a_script_that_says_nothing_is_refused_with_its_line() {
    let script = "[host.peer]\nkind = \"scripted\"\nserver = \"server\"\nscript = \"\"\"\nsend S\nsend what\n\"\"\"\n";
    let text = crowd("[host.switch]", &format!("{script}[host.switch]"));
    assert!(text.contains("host.peer.script: in its line 2: "), "{text}");
}

#[test]
fn stalls_are_for_hosts_that_have_a_nic() {
    let at = |rest: &str| and(&format!("[[at]]\ntime_ms = 1\n{rest}"));
    assert!(at("host = \"client\"\n").contains("stall_ms: is missing"));
    assert!(at("host = \"client\"\nstall_ms = 1\nrate_mbit = 3\n").contains("is for a link"));
    assert!(at("link = \"path\"\nstall_ms = 3\n").contains("is for a host"));
    let stalls = at("host = \"client\"\nstall_ms = 1\nstall_what = [\"all\"]\n");
    assert!(stalls.contains("must be receive, transmit or report"), "{stalls}");
}

#[test]
fn more_memory_than_there_is_and_more_hosts_than_addresses_are_refused() {
    let smoltcp = RIGHT.replacen("kind = \"client\"", "kind = \"smoltcp-client\"", 1);
    assert!(errors(&smoltcp.replace("size_kb = 1", "size_mb = 9999")).contains("bodies; "));
    let mut text = String::from(RIGHT);
    for n in 0..900 {
        text.push_str(&format!(
            "[host.m{n}]\nkind = \"machine\"\ninterfaces = 64\n[host.c{n}]\nkind = \"client\"\n\
             server = \"m{n}\"\nsize_kb = 1\n[link.l{n}]\nfrom = \"c{n}\"\nto = \"m{n}\"\n"
        ));
    }
    assert!(errors(&text).contains("there are 50000 addresses"));
}

#[test]
fn several_errors_are_shown_at_once_in_the_order_of_lines() {
    let text = errors(
        &RIGHT
            .replace("size_kb = 1", "size = 1")
            .replace("\"a\"", "3")
            .replace("to = \"server\"", "to = \"server\"\ndelay_ms = -3\nloss = 1"),
    );
    let lines: Vec<_> = text.lines().map(|l| l.split(": ").nth(1).unwrap()).collect();
    let wanted = [
        "about",
        "host.client.size_kb",
        "host.client.size",
        "link.path.delay_ms",
        "link.path.loss",
    ];
    assert_eq!(lines, wanted, "{text}");
}

#[test]
fn expectations_of_unknown_measures_are_refused() {
    let text = and("[expect]\ncompletd = 1\n\"path.forward.losd\" = 0\n\"clint.bytes\" = 1\n");
    assert!(text.contains("x.toml:13:1: expect.completd: is no measure; completed perhaps?"));
    assert!(text.contains("path.forward.lost perhaps?"), "{text}");
    assert!(text.contains("client.bytes perhaps?"), "{text}");
    assert!(and("[expect]\ncompleted = { minimum = 1 }").contains("min"));
    assert!(and("[expect]\ncompleted = { min = 2, max = 1 }").contains("is above max, 1"));
    assert!(and("[expect]\ncompleted = \"all\"").contains("must be a number"));
    assert!(and("[expect]\npath.forward.lost = 1").contains("stands in quotes"));
    assert!(and("[expect]\ncompleted = {}").contains("a table with min, max or both"));
}

#[test]
fn a_not_yet_scenario_says_what_it_waits_for_and_what_is() {
    let not_yet = |rest: &str| format!("status = \"not-yet\"\n{rest}{RIGHT}");
    let text = errors(&not_yet(""));
    for key in ["needs", "pinned", "expect"] {
        assert!(text.contains(&format!("{key}: is missing")), "{text}");
    }
    let whole = "[expect]\ncompleted = 1\n[pinned]\ncompleted = 0\n";
    let text = format!("{}{whole}", not_yet("needs = \"it\"\n"));
    assert!(parse(&text).unwrap().is_not_yet());
    assert!(and("[pinned]\ncompleted = 0").contains("pinned: is for scenarios with status"));
}

#[test]
fn axes_are_multiplied_out_the_last_one_fastest() {
    let text = format!(
        "{RIGHT}[sweep]\n\"link.path.delay_ms\" = [1, 2.5]\n\"host.client.order\" = [\"random\"]\n\
         [[case]]\nname = \"a\"\n[[case]]\nname = \"b\"\nset = {{ \"link.path.rate_mbit\" = 3 }}\n"
    );
    let scenario = parse(&text).unwrap();
    let names: Vec<_> = scenario.cases().iter().map(|case| case.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "a,delay_ms=1,order=random",
            "a,delay_ms=2.5,order=random",
            "b,delay_ms=1,order=random",
            "b,delay_ms=2.5,order=random"
        ]
    );
    let ways = |n: usize| &scenario.cases()[n].world.links[0].ways[1];
    assert_eq!(ways(1).delay, Duration::from_micros(2500));
    assert_eq!(ways(2).rate, simoom_sim::link::Rate::mbit(3));
}

#[test]
fn axes_that_lead_nowhere_are_refused() {
    let text = and("[sweep]\n\"link.pth.delay_ms\" = [1]\n");
    assert!(text.contains("x.toml:13:24: link.pth.delay_ms: is no place in this file"), "{text}");
    assert!(and("[sweep]\n\"link.path.delay\" = [1]\n").contains("delay_ms perhaps?"));
    assert!(and("[sweep]\n\"link.path.delay_ms\" = [-1]\n").contains("must be a number from 0"));
    assert!(and("[sweep]\n\"link.path.delay_ms\" = 1\n").contains("must be a list"));
    assert!(and("[sweep]\nlink.path.delay_ms = [1]\n").contains("in quotes"));
    assert!(and("[sweep]\n\"title\" = [\"x\"]\n").contains("is no place in this file"));
    let many = "1, ".repeat(200);
    let text = and(&format!(
        "[sweep]\n\"link.path.delay_ms\" = [{many}]\n\"link.path.rate_mbit\" = [{many}]\n"
    ));
    assert!(text.contains("makes more than 2000 cases"), "{text}");
}

#[test]
fn a_where_adds_to_and_replaces_expectations_of_its_cases() {
    let text = format!(
        "{RIGHT}[expect]\ncompleted = 1\nfailed = 0\n[sweep]\n\"link.path.loss_percent\" = [0, 1]\n\
         [[where]]\n\"link.path.loss_percent\" = 1.0\nexpect = {{ failed = {{ max = 1 }}, lost = 2 }}\n"
    );
    let scenario = parse(&text).unwrap();
    let of = |n: usize| -> Vec<_> {
        let expect = &scenario.cases()[n].expect;
        expect.iter().map(|e| (e.measure.as_str(), e.min, e.max)).collect()
    };
    assert_eq!(of(0), [("completed", 1.0, 1.0), ("failed", 0.0, 0.0)]);
    let any = f64::NEG_INFINITY;
    assert_eq!(of(1), [("completed", 1.0, 1.0), ("failed", any, 1.0), ("lost", 2.0, 2.0)]);
    let wrong = text.replace("= 1.0", "= 7");
    assert!(errors(&wrong).contains("has no value 7: there are 0 and 1"));
    let wrong = text.replace("[[where]]\n\"link.path.loss", "[[where]]\n\"link.path.los");
    assert!(errors(&wrong).contains("is no key of a where"));
}

#[test]
fn a_schedule_adds_up_in_time_and_must_change_something() {
    let text = format!(
        "{RIGHT}[[at]]\ntime_ms = 20\nlink = \"path\"\nrate_mbit = 1\n\
         [[at]]\ntime_ms = 10\nlink = \"path\"\ndirection = \"backward\"\nqueue_bdp = 1\ndelay_ms = 4\n"
    );
    let scenario = parse(&text).unwrap();
    let changes = &scenario.cases()[0].world.changes;
    let at: Vec<_> = changes.iter().map(|c| (c.at.as_nanos() / 1_000_000, c.direction)).collect();
    assert_eq!(at, [(10, 1), (20, 0), (20, 1)]);
    // 1 Gb/s over 5 ms, and 1 Mb/s over the same.
    assert_eq!(changes[0].config.queue_bytes_max, 625_000);
    assert_eq!(changes[2].config.queue_bytes_max, 1514);
    assert_eq!(changes[2].config.delay, Duration::from_millis(4));
    assert!(and("[[at]]\ntime_ms = 1\nlink = \"path\"\n").contains("changes nothing"));
    assert!(and("[[at]]\nlink = \"pat\"\nrate_mbit = 1\n").contains("path perhaps?"));
    assert!(and("[at]\nlink = \"path\"\n").contains("write [[at]]"));
}

#[test]
fn faults_are_read_as_they_are_written() {
    let faults = "[[fault]]\nlink = \"path\"\ndirection = \"backward\"\nframe = 7\nkind = \"corrupted\"\n\
                  offset = 60\nmask = 3\n";
    let scenario = parse(&format!("{RIGHT}{faults}")).unwrap();
    let read = scenario.cases()[0].world.faults.as_ref().unwrap();
    assert_eq!(read[0].to_string(), "flip 0x03 in byte 60 of frame 7 of link 0 backward");
    assert!(and(&faults.replace("mask = 3", "")).contains("fault.mask: is missing"));
    assert!(and(&faults.replace("= 7", "= 0")).contains("must be a whole number from 1"));
    let none = format!("fault = []\n{RIGHT}");
    assert_eq!(parse(&none).unwrap().cases()[0].world.faults, Some(Vec::new()));
}

#[test]
fn a_case_written_as_a_file_reads_as_the_same_world() {
    let text = format!(
        "{RIGHT}[expect]\ncompleted = 1\n[sweep]\n\"link.path.loss_percent\" = [0.25, 1]\n\
         [[where]]\n\"link.path.loss_percent\" = 1\nexpect = {{ failed = {{ max = 1 }} }}\n"
    );
    for case in parse(&text).unwrap().cases() {
        let again = parse(&case.to_toml()).unwrap();
        let again = &again.cases()[0];
        assert_eq!(again.expect, case.expect);
        assert_eq!(format!("{:?}", again.world), format!("{:?}", case.world));
    }
}

proptest! {
    /// Lines of the right file and of wrong ones, in any order, with any number.
    #[test]
    fn no_mixture_of_lines_is_read_with_a_panic(
        lines in proptest::collection::vec((0..40_usize, "[-+0-9.e_]{1,24}|nan|inf|\"x\"|true|\\[\\]|\\{\\}"), 0..30)
    ) {
        let keys: Vec<&str> = crate::keys::ALL.iter().flat_map(|s| s.keys()).map(|k| k.name).collect();
        let mut text = String::from(RIGHT);
        for (n, value) in lines {
            let line = match n {
                0 => "[[at]]".to_owned(),
                1 => "[[case]]".to_owned(),
                2 => "[[where]]".to_owned(),
                3 => "[sweep]".to_owned(),
                4 => "[expect]".to_owned(),
                5 => "[[fault]]".to_owned(),
                6 => format!("\"link.path.delay_ms\" = [{value}, 1]"),
                7 => format!("[link.{value}]"),
                8 => "[limits]".to_owned(),
                n => format!("{} = {value}", keys[(n * 37) % keys.len()]),
            };
            text.push_str(&line);
            text.push('\n');
        }
        let _ = parse(&text);
    }

    #[test]
    fn any_number_behind_any_key_of_a_link_is_read_or_refused(
        key in 0..crate::keys::LINK_KEYS.len(),
        value in any::<f64>(),
        change in any::<bool>(),
    ) {
        let name = crate::keys::LINK_KEYS[key].name;
        let at = if change { "[[at]]\ntime_ms = 1\nlink = \"path\"\n" } else { "" };
        let _ = parse(&format!("{RIGHT}{at}{name} = {value:?}\n"));
        let _ = parse(&format!("{RIGHT}{at}{name} = {}\n", value as i64));
    }
}

#[test]
fn two_cases_of_one_name_are_refused() {
    assert_eq!(
        and("[[case]]\nname = \"a\"\n[[case]]\nname = \"b\"\n[[case]]\nname = \"a\"\n"),
        "x.toml:17:8: case.name: a is the name of another case: each has a name of its own"
    );
    assert_eq!(
        and("[sweep]\n\"link.path.delay_ms\" = [5, 1, 5.0]\n"),
        "x.toml:13:31: sweep.link.path.delay_ms: 5.0 stands here twice: once is enough"
    );
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let said = and("delay_ms = 5\ndelay_ms = 6\n");
    assert!(said.starts_with("x.toml:13:1: is no TOML: duplicate key: delay_ms"), "{said}");
}

#[test]
fn a_folder_and_what_is_no_text_are_refused_as_such() {
    let folder = std::env::temp_dir().join(format!("simoom-read-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let said = Scenario::load(&folder).unwrap_err().to_string();
    assert!(said.ends_with("is a folder: name a file, FOLDER/NAME.toml"), "{said}");
    let file = folder.join("x.toml");
    std::fs::write(&file, b"title = \"t\"\nabout = \"\xff\"\n").unwrap();
    let said = Scenario::load(&file).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(said.contains("is no text") && said.ends_with("byte 21, in line 2, is 0xff"), "{said}");
}

#[test]
fn every_controller_has_a_name_that_reaches_the_stack() {
    use simoom_core::tcp::congestion::Algorithm;
    for algorithm in Algorithm::ALL {
        let line = format!("kind = \"server\"\ncontroller = \"{}\"", algorithm.name());
        let scenario = parse(&RIGHT.replace("kind = \"server\"", &line)).unwrap();
        let mut kind = scenario.cases()[0].world.hosts[1].kind.clone();
        assert_eq!(kind.stack_mut().unwrap().tcp.congestion, algorithm);
    }
    assert_eq!(crate::keys::CONTROLLERS, Algorithm::ALL.map(Algorithm::name));
}

/// Two interfaces, a client and a link written once.
const EACH: &str = r#"title = "t"
about = "a"
[host.client]
kind = "client"
server = "server"
size_kb = 1
[host.server]
kind = "machine"
interfaces = 2
[link.path]
from = "client"
to = "server"
each_interface = true
[[at]]
time_ms = 1
link = "path"
delay_ms = 2
"#;

/// The same written out.
const WRITTEN_OUT: &str = r#"title = "t"
about = "a"
[host.client]
kind = "client"
server = "server"
size_kb = 1
[host.client-2]
kind = "client"
server = "server"
size_kb = 1
[host.server]
kind = "machine"
interfaces = 2
[link.path]
from = "client"
to = "server"
[link.path-2]
from = "client-2"
to = "server"
[[at]]
time_ms = 1
link = "path"
delay_ms = 2
[[at]]
time_ms = 1
link = "path-2"
delay_ms = 2
"#;

#[test]
fn a_link_for_each_interface_is_the_same_world_as_one_written_out() {
    let world = |text: &str| format!("{:?}", parse(text).unwrap().cases()[0].world);
    assert_eq!(world(EACH), world(WRITTEN_OUT));
    let turned =
        EACH.replace("from = \"client\"\nto = \"server\"", "from = \"server\"\nto = \"client\"");
    let names: Vec<_> = parse(&turned).unwrap().cases()[0].links().map(str::to_owned).collect();
    assert_eq!(names, ["path", "path-2"]);
}

#[test]
fn the_number_of_interfaces_can_be_an_axis_and_there_may_be_a_core_for_each() {
    let text = format!("{EACH}[sweep]\n\"host.server.interfaces\" = [1, 3]\n");
    let text = text.replace("interfaces = 2", "interfaces = 2\nrings = 2\ncores = 0");
    let scenario = parse(&text).unwrap();
    let hosts = |n: usize| scenario.cases()[n].hosts().collect::<Vec<_>>();
    assert_eq!(hosts(0), ["client", "server"]);
    assert_eq!(hosts(1), ["client", "client-2", "client-3", "server"]);
    let cores = |n: usize| {
        let hosts = &scenario.cases()[n].world.hosts;
        let machine = hosts.iter().find_map(|host| match &host.kind {
            crate::model::HostKind::Machine(machine) => Some(machine.cores),
            _ => None,
        });
        machine.unwrap()
    };
    assert_eq!((cores(0), cores(1)), (2, 6));
    // A case written as a file of its own is the same world.
    let case = &scenario.cases()[1];
    let again = parse(&case.to_toml()).unwrap();
    assert_eq!(format!("{:?}", again.cases()[0].world), format!("{:?}", case.world));
}

#[test]
fn a_link_for_each_interface_that_cannot_be_is_refused() {
    let with = |from: &str, to: &str| errors(&EACH.replacen(from, to, 1));
    assert_eq!(
        and("each_interface = true"),
        "x.toml:12:18: link.path.each_interface: is for a link of a machine: neither end is one"
    );
    let text = with("[[at]]", "[link.other]\nfrom = \"client\"\nto = \"server\"\n[[at]]");
    assert!(text.contains("it cannot have the link other besides"), "{text}");
    let text = with("[host.server]", "[host.client-2]\nkind = \"switch\"\n[host.server]");
    assert!(text.contains("x.toml:7:7: host.client-2: is the name of one more client"), "{text}");
    // What is wrong with both is said once.
    assert_eq!(
        with("size_kb = 1", "size_kb = -1"),
        "x.toml:6:11: host.client.size_kb: must be a number from 0 to 10000000"
    );
    // What cannot be a number of interfaces is said of that key alone.
    for wrong in ["0", "65", "1e9", "\"two\"", "-1", "[2]", "2.5"] {
        let text = with("interfaces = 2", &format!("interfaces = {wrong}"));
        assert!(text.starts_with("x.toml:9:14: host.server.interfaces: must be"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    for (from, to) in
        [("each_interface = true", "each_interface = 1"), ("to = \"server\"\neach", "to = 3\neach")]
    {
        assert!(with(from, to).contains(": must be"), "{to}");
    }
}
