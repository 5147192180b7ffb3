//! `simoom relay` between two network namespaces: round trips, bytes and losses.
//!
//! This test runs itself again in the roles of both hosts, so that no further tool is needed. Without
//! the privilege to make namespaces, or without ip, unshare or nsenter, a line says what is missing
//! and the test ends; with `SIMOOM_REQUIRE_LIVE=1` that is a failure.
#![allow(clippy::disallowed_methods, reason = "measures real time over real sockets")]

mod common;

use common::{TestDir, simoom};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, str, thread};

const NAME: &str = "a_relayed_link_has_its_delay_and_its_loss";
/// Set in the processes that this test starts of itself: `inside`, `left` or `right`.
const ROLE: &str = "SIMOOM_RELAY_ROLE";
const LEFT: &str = "10.71.0.1";
const RIGHT: &str = "10.71.0.2";
const PORT: u16 = 4711;
const DELAY: Duration = Duration::from_millis(20);
const ECHOES: u16 = 1_000;
const STREAM_LEN: usize = 500_000;

#[test]
fn a_relayed_link_has_its_delay_and_its_loss() {
    match env::var(ROLE).as_deref() {
        Ok("inside") => return inside(),
        Ok("left") => return left(),
        Ok("right") => return right(),
        _ => (),
    }
    let own_user: &[&str] = &["--user", "--map-root-user", "--net"];
    let Some(flags) = [&["--net"], own_user].into_iter().find(|flags| can_unshare(flags)) else {
        return skip("no network namespace is to be had: run as root, or allow user namespaces");
    };
    for tool in ["ip", "nsenter"] {
        if !works(Command::new(tool).arg("-V")) {
            return skip(&format!("{tool} is not installed"));
        }
    }
    let mut command = Command::new("unshare");
    let output = as_role(command.args(flags).arg(this_test()), "inside").output();
    let output = output.expect("unshare starts");
    let (said, wrong) = (str::from_utf8(&output.stdout), str::from_utf8(&output.stderr));
    println!("{}", said.unwrap_or("?"));
    eprintln!("{}", wrong.unwrap_or("?"));
    assert!(output.status.success(), "inside the namespace: {}", output.status);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_opened() {
    let dir = TestDir::new("relay-arguments");
    let wrong = dir.file("wrong.toml", b"[link]\nrate_mbits = 20\n");
    let right = dir.file("right.toml", b"[link]\n");
    let (wrong, right) = (wrong.to_str().expect("UTF-8"), right.to_str().expect("UTF-8"));
    for (args, code, said) in [
        (["--a", "tap:x", "--b", "tap:x", "--link", right], 2, "a link has two ends"),
        (["--a", "tap:x", "--b", "veth:y", "--link", right], 2, "write tap:NAME"),
        (["--a", "tap:x", "--b", "tap:y", "--link", wrong], 2, "wrong.toml:2:1: link.rate_mbits"),
        (["--a", "tap:x", "--b", "tap:y", "--link", "/none.toml"], 4, "cannot be read"),
    ] {
        let output = simoom().arg("relay").args(args).output().expect("it starts");
        let error = common::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {said:?} is not in: {error}");
    }
}

fn this_test() -> std::path::PathBuf {
    env::current_exe().expect("this test has a path")
}

/// Whether a namespace can be made, a TAP device in it, and another namespace.
fn can_unshare(flags: &[&str]) -> bool {
    let make = "ip tuntap add dev probe0 mode tap && unshare --net true";
    works(Command::new("unshare").args(flags).args(["sh", "-c", make]))
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn skip(why: &str) {
    assert!(env::var_os("SIMOOM_REQUIRE_LIVE").is_none(), "SIMOOM_REQUIRE_LIVE is set, but {why}");
    println!("skipped: {why}");
}

fn as_role<'a>(command: &'a mut Command, role: &str) -> &'a mut Command {
    command.args(["--exact", NAME, "--nocapture"]).env(ROLE, role)
}

fn inside() {
    let dir = TestDir::new("relay");
    let link = dir.file(
        "link.toml",
        b"[link]\nrate_mbit = 100\ndelay_ms = 20\n[link.forward]\nloss_percent = 1\n",
    );
    let (left, right) = (Namespace::new(), Namespace::new());
    let args = ["--a", "tap:left0", "--b", "tap:right0", "--seed", "7", "--json", "--link"];
    let mut relay = Started::new(simoom().arg("relay").args(args).arg(&link));
    assert_eq!(relay.line(), "relaying between tap:left0 and tap:right0, seed v1:7");
    left.take("left0", LEFT);
    right.take("right0", RIGHT);

    // Whichever ends first, ends the other: a port that is closed.
    let server = Started::new(as_role(right.enter().arg(this_test()), "right"));
    let client = as_role(left.enter().arg(this_test()), "left").output().expect("it starts");
    let said = str::from_utf8(&client.stdout).expect("text");
    assert!(client.status.success(), "{said}\n{}", String::from_utf8_lossy(&client.stderr));
    let (status, said_there) = server.end();
    assert!(status.success(), "{said_there}");

    let pid = relay.child.id().to_string();
    assert!(works(Command::new("kill").args(["-INT", &pid])), "kill -INT");
    let mut json = String::new();
    relay.child.stdout.take().expect("piped").read_to_string(&mut json).expect("text");
    let (status, error) = relay.end();
    assert_eq!(status.code(), Some(0), "{error}");
    let results: Value = serde_json::from_str(&json).expect(&json);
    let number = |way: &str, what: &str| results[way][what].as_u64().expect(what);
    println!("{said}{json}");

    let value = |name: &str| -> u64 {
        let (_, rest) = said.split_once(name).expect(name);
        rest.split_whitespace().next().expect("a value").parse().expect("a number")
    };
    // What was not echoed was lost on the way there; nothing is lost on the way back.
    let missing = value("missing ");
    let lost = number("forward", "lost");
    assert!(missing > 0 && lost >= missing, "{missing} echoes missing, {lost} frames lost");
    assert_eq!(number("backward", "lost"), 0);
    let offered = number("forward", "frames_in");
    assert!(lost * 1000 >= offered * 3 && lost * 1000 <= offered * 30, "{lost} of {offered}");
    assert_eq!(number("forward", "dropped_outside") + number("backward", "dropped_outside"), 0);
    let under_way = results["under_way"].as_u64().expect("a number");
    let out = number("forward", "frames_out");
    assert!(out + lost <= offered && out + lost + under_way >= offered, "{out} of {offered}");
    // The smallest of a thousand round trips: twice the delay, and what a loaded machine takes.
    let least = Duration::from_micros(value("least "));
    assert!(least >= DELAY * 2 && least < DELAY * 3, "{least:?}");
    let median = Duration::from_micros(value("median "));
    assert!(median >= DELAY * 2 && median < DELAY * 4, "{median:?}");
}

/// The host at the one end: echoes, then a stream there and back.
fn left() {
    let there: SocketAddrV4 = format!("{RIGHT}:{PORT}").parse().expect("an address");
    // The other side may not be there yet.
    let stream = (0..200)
        .find_map(|_| {
            TcpStream::connect(there).ok().or_else(|| {
                thread::sleep(Duration::from_millis(50));
                None
            })
        })
        .expect("it listens");

    let socket = UdpSocket::bind((LEFT, 0)).expect("a socket");
    socket.connect(there).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time");
    let begin = Instant::now();
    let receiver = socket.try_clone().expect("a second one");
    let receiving = thread::spawn(move || {
        let mut trips = Vec::new();
        let mut frame = [0; 8];
        // Ends when nothing came for two seconds.
        while receiver.recv(&mut frame).is_ok() {
            let sent = Duration::from_micros(u64::from_be_bytes(frame));
            trips.push((begin.elapsed() - sent).as_micros());
        }
        trips
    });
    for _ in 0..ECHOES {
        let now = begin.elapsed().as_micros() as u64;
        socket.send(&now.to_be_bytes()).expect("it is sent");
        thread::sleep(Duration::from_millis(1));
    }
    let mut trips = receiving.join().expect("it ends");
    trips.sort_unstable();
    assert!(trips.len() > usize::from(ECHOES) / 2, "{} echoes", trips.len());
    println!("missing {}", usize::from(ECHOES) - trips.len());
    println!("least {}\nmedian {}", trips[0], trips[trips.len() / 2]);

    let mut say = vec![0; STREAM_LEN];
    simoom_core::server::bodies::pattern_fill(1, 0, &mut say);
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&say).expect("it listens");
            stream.shutdown(std::net::Shutdown::Write).expect("an end");
        });
        let mut heard = Vec::new();
        (&stream).read_to_end(&mut heard).expect("it answers");
        assert!(heard == say, "{} bytes came back", heard.len());
    });
}

/// The host at the other end: gives everything back, until the stream ends.
fn right() {
    let listener = TcpListener::bind((RIGHT, PORT)).expect("a port");
    let socket = UdpSocket::bind((RIGHT, PORT)).expect("a port");
    thread::spawn(move || {
        let mut frame = [0; 2_048];
        while let Ok((len, from)) = socket.recv_from(&mut frame) {
            socket.send_to(&frame[..len], from).expect("it is sent");
        }
    });
    let (mut stream, _) = listener.accept().expect("a client");
    let mut reader = stream.try_clone().expect("a second one");
    std::io::copy(&mut reader, &mut stream).expect("an echo");
}

/// A network namespace, held by a process that sleeps in it.
struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo; exec sleep 600"]).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare starts");
        // The empty line is written from inside.
        let mut line = [0];
        holder.stdout.take().expect("piped").read_exact(&mut line).expect("a line");
        Self { holder }
    }

    /// Takes a device and gives it an address.
    fn take(&self, device: &str, addr: &str) {
        let pid = self.holder.id().to_string();
        assert!(works(Command::new("ip").args(["link", "set", device, "netns", &pid])), "{device}");
        let addr = format!("{addr}/24");
        for args in [&["addr", "add", &addr, "dev", device][..], &["link", "set", device, "up"]] {
            assert!(works(self.enter().arg("ip").args(args)), "{args:?}");
        }
    }

    /// To run a program in it.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&format!("--net=/proc/{}/ns/net", self.holder.id()), "--"]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A program that runs beside this one.
struct Started {
    child: Child,
    error: BufReader<std::process::ChildStderr>,
}

impl Started {
    fn new(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let error = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, error }
    }

    /// The next line that it says on stderr.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.error.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.error.read_to_string(&mut said).expect("text");
        (self.child.wait().expect("it ends"), said)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
