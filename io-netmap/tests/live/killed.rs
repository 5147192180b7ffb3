//! A program that is killed gives nothing back; the next one says so.

use crate::harness::{has_netmap, open};
use simoom_core::port::Port;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Set for the copy of this program that is to be killed: the port it opens.
const VICTIM: &str = "SIMOOM_TEST_VICTIM";
const BUFFERS: u32 = 100;

/// Not a test by itself: what the tests below start and kill.
#[test]
fn victim() {
    let Ok(port) = env::var(VICTIM) else { return };
    let _port = open(&port, BUFFERS);
    println!("victim has its port");
    loop {
        std::thread::park();
    }
}

/// Opens `port` in another process and kills that.
fn kill_one(port: &str) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::victim", "--nocapture"])
        .env(VICTIM, port)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("victim has its port")));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_program_loses_nothing_where_it_was_the_last() {
    if !has_netmap() {
        return;
    }
    for round in 0..5 {
        kill_one("netmap:last{1");
        let port = open("netmap:last{1", BUFFERS);
        assert_eq!(port.buffers_missing(), 0, "round {round}");
    }
}

#[test]
fn next_start_says_how_many_buffers_a_killed_program_lost() {
    if !has_netmap() {
        return;
    }
    // Somebody else has the memory all the time.
    let other = open("netmap:lost}1", BUFFERS);
    let all = open("netmap:lost{1", 200_000).caps().buffers;
    assert!(all > 2 * BUFFERS);
    kill_one("netmap:lost{1");
    let port = open("netmap:lost{1", all);
    assert_eq!(port.buffers_missing(), BUFFERS);
    assert_eq!(port.caps().buffers, all - BUFFERS);
    drop(port);
    drop(other);
    // Once nobody has the memory, all is there again.
    let _other = open("netmap:lost}1", BUFFERS);
    let port = open("netmap:lost{1", all);
    assert_eq!(port.buffers_missing(), 0);
}
