//! What is refused, in which words, and with which exit code.

mod common;

use common::{TestDir, run, simoom, stderr, stdout};
use std::path::Path;
use std::process::Command;

#[test]
fn wrong_arguments_are_exit_code_2_and_say_what_to_write() {
    let dir = TestDir::new("arguments");
    let dir = dir.path().to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["serve", dir], "--port"),
        (&["serve", dir, "--port", "tap:t0"], "--addr"),
        (&["serve", dir, "--port", "t0", "--addr", "10.66.0.2/24"], "write tap:t0"),
        (&["serve", dir, "--port", "tap:", "--addr", "10.66.0.2/24"], "name is missing"),
        (&["serve", dir, "--port", "dpdk:0", "--addr", "10.66.0.2/24"], "no port is of kind"),
        (&["verify", "--a", "netmap:e1"], "--b"),
        (&["verify", "--a", "tap:t0", "--b", "netmap:e1"], "a TAP device copies every frame"),
        (&["verify", "--a", "netmap:e1", "--b", "netmap:e1"], "are both netmap:e1"),
        (&["verify", "--a", "netmap:e1", "--b", "netmap:e2", "--frames", "1"], "--frames"),
        (&["serve", dir, "--port", "netmap:", "--addr", "10.66.0.2/24"], "name is missing"),
        (
            &["serve", dir, "--port", "netmap:eth0*", "--addr", "10.66.0.2/24"],
            "then ^ for the host",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--shards", "2"],
            "one queue here, and so one shard: leave out --shards",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--shards", "0"],
            "--shards",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--shards", "129"],
            "--shards",
        ),
        (&["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2"], "prefix length is missing"),
        (&["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.0/24"], "take the next one"),
        (&["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/33"], "prefix length"),
        (
            &["serve", dir, "--port", "tap:t0", "--port", "tap:t1", "--addr", "10.66.0.2/24"],
            "once for each --port",
        ),
        (
            &[
                "serve",
                dir,
                "--port",
                "tap:t0",
                "--port",
                "tap:t0",
                "--addr",
                "10.66.0.2/24",
                "--addr",
                "10.67.0.2/24",
            ],
            "is there twice",
        ),
        (
            &[
                "serve",
                dir,
                "--port",
                "tap:t0",
                "--port",
                "tap:t1",
                "--addr",
                "10.66.0.2/24",
                "--addr",
                "10.66.0.9/16",
            ],
            "in the same subnet",
        ),
        (
            &[
                "serve",
                dir,
                "--port",
                "tap:t0",
                "--addr",
                "10.66.0.2/24",
                "--host-addr",
                "10.66.1.1/24",
            ],
            "not in the subnet",
        ),
        (
            &[
                "serve",
                dir,
                "--port",
                "tap:t0",
                "--addr",
                "10.66.0.2/24",
                "--host-addr",
                "10.66.0.2/24",
            ],
            "stack's own",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--gateway", "10.9.9.9"],
            "--gateway 10.9.9.9",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--cc", "magic"],
            "new-reno",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--content-mode", "some"],
            "copies-on-demand",
        ),
        (
            &[
                "serve",
                dir,
                "--port",
                "tap:t0",
                "--addr",
                "10.66.0.2/24",
                "--content-mode",
                "gather",
            ],
            "tap:t0 takes whole frames only",
        ),
        (
            &[
                "serve",
                dir,
                "--port",
                "tap:t0",
                "--addr",
                "10.66.0.2/24",
                "--content-mode",
                "copies-in-advance:0",
            ],
            "1 to 1024",
        ),
        (
            &["serve", dir, "--port", "tap:t0", "--addr", "10.66.0.2/24", "--listen", "0"],
            "1..=65535",
        ),
        (
            &["serve", dir, "--port", "tap:a-name-of-17-bytes", "--addr", "10.66.0.2/24"],
            "longer than 15 bytes",
        ),
        (&["content", dir, "--content-mode", "copy:3"], "only copies-in-advance takes a number"),
        (&["demo", "--seed", "seven"], "is no seed"),
        (&["demo", "--seed", "v9:7"], "version"),
        (&["demo", "--loss", "1000001"], "0..=200000"),
        (&["demo", "--clients", "0"], "1..=200"),
    ];
    for (args, wanted) in cases {
        let output = run(args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {wanted:?} is not in: {said}");
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_exit_code_4() {
    let dir = TestDir::new("no-directory");
    let file = dir.file("file.txt", b"text");
    let missing = dir.path().join("missing");
    for (path, wanted) in [(&missing, "give a directory that exists"), (&file, "this is a file")] {
        let path = path.to_str().unwrap();
        for args in [
            vec!["content", path],
            vec!["serve", path, "--port", "tap:t0", "--addr", "10.66.0.2/24"],
        ] {
            let output = run(&args);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(4), "{args:?}: {said}");
            assert!(said.contains(wanted) && said.contains(path), "{args:?}: {said}");
        }
    }
    let events = missing.join("events").into_os_string().into_string().unwrap();
    let output = run(&["demo", "--requests", "1", "--clients", "1", "--events", &events]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains(&events));
}

/// In a user namespace of its own the program has no privilege over the machine's network, even
/// where the tests run as root.
#[test]
fn a_missing_privilege_is_exit_code_3_and_says_what_to_type() {
    let allowed = Command::new("unshare").args(["--user", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: user namespaces are not to be had here");
        return;
    }
    let dir = TestDir::new("no-privilege");
    let output = Command::new("unshare")
        .arg("--user")
        .arg(simoom().get_program())
        .args(["serve", dir.path().to_str().unwrap()])
        .args(["--port", "tap:simoomtest9", "--addr", "10.213.77.2/29"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("sudo"), "it says what to type: {said}");
    assert_eq!(stdout(&output), "", "nothing was served");
}

#[test]
fn a_kernel_without_netmap_is_exit_code_3_and_says_what_to_load() {
    if Path::new("/dev/netmap").exists() {
        println!("skipped: this kernel has netmap");
        return;
    }
    let dir = TestDir::new("no-netmap");
    for port in ["netmap:eth0", "netmap:x{1", "vale0:srv"] {
        let output = run(&[
            "serve",
            dir.path().to_str().unwrap(),
            "--port",
            port,
            "--addr",
            "10.213.77.2/29",
        ]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("modprobe netmap"), "it says what to load: {said}");
        assert_eq!(stdout(&output), "", "nothing was served");
    }
}

#[test]
fn help_names_every_command_and_exit_code() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for wanted in ["serve", "demo", "content", "Exit codes:", "  3  a missing privilege"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    for command in ["serve", "demo", "content"] {
        let output = run(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("Exit codes:"), "{command}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = simoom()
        .args(["demo", "--requests", "8", "--clients", "2"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
