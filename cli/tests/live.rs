//! `simoom serve` over real TAP devices to a stock curl, in a network namespace of its own.
//!
//! Without the privilege to make a namespace, or without curl, ip or unshare, a line says what is
//! missing and the test ends; with `SIMOOM_REQUIRE_LIVE=1` that is a failure.

#[path = "../examples/apps/mod.rs"]
mod apps;
mod common;

use common::{TestDir, simoom};
use simoom_core::stack::app::App;
use simoom_linux::prefix::Ipv4Prefix;
use simoom_linux::stop::StopFlag;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{env, str, thread};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "SIMOOM_LIVE_INSIDE";

/// Bytes of the files that are served.
const SIZES: [usize; 6] = [0, 1, 1_000, 22_000, 1_000_000, 200_000_000];

#[test]
fn curl_gets_every_byte_over_tap() {
    if env::var_os(INSIDE).is_some() {
        inside();
        return;
    }
    let own_user: &[&str] = &["--user", "--map-root-user", "--net"];
    let Some(flags) = [&["--net"], own_user].into_iter().find(|flags| can_unshare(flags)) else {
        return skip("no network namespace is to be had: run as root, or allow user namespaces");
    };
    for tool in ["curl", "ip"] {
        if !works(Command::new(tool).arg("-V")) {
            return skip(&format!("{tool} is not installed"));
        }
    }
    let output = Command::new("unshare")
        .args(flags)
        .arg(env::current_exe().expect("this test has a path"))
        .args(["--exact", "curl_gets_every_byte_over_tap", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare starts");
    let (said, wrong) = (str::from_utf8(&output.stdout), str::from_utf8(&output.stderr));
    println!("{}", said.unwrap_or("?"));
    eprintln!("{}", wrong.unwrap_or("?"));
    assert!(output.status.success(), "inside the namespace: {}", output.status);
}

/// Whether a namespace can be made and a TAP device in it.
fn can_unshare(flags: &[&str]) -> bool {
    let make = ["ip", "tuntap", "add", "dev", "probe0", "mode", "tap"];
    works(Command::new("unshare").args(flags).args(make))
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn skip(why: &str) {
    assert!(env::var_os("SIMOOM_REQUIRE_LIVE").is_none(), "SIMOOM_REQUIRE_LIVE is set, but {why}");
    println!("skipped: {why}");
}

fn inside() {
    assert!(works(Command::new("ip").args(["link", "set", "lo", "up"])));
    let site = Site::new();
    files_arrive(&site);
    two_ports_serve_and_record(&site);
    turns_are_logged_and_play_again(&site);
    loss_is_made_good(&site);
    a_signal_drains_and_a_second_one_ends(&site);
    what_is_taken_or_vanishes_is_said(&site);
    an_interface_that_vanishes_ends_its_shard_alone(&site);
    the_example_applications_answer();
    assert_eq!(interfaces(), ["lo"], "every device is gone");
    assert_eq!(tcp_checksum_errors(), 0, "the kernel found no wrong checksum of ours");
}

fn files_arrive(site: &Site) {
    let server = Server::start(site, &["--port", "tap:live0", "--addr", "10.66.0.2/24"]);
    assert_eq!(server.lines, ["serving 8 files (201.0 MB) on http://10.66.0.2/ through tap:live0"]);
    for len in SIZES {
        site.fetch("10.66.0.2", len).expect_right();
    }
    site.fetch_in_parallel("10.66.0.2", 50);
    for (target, status) in [
        ("/", "200"),
        ("/sub", "301"),
        ("/sub/", "200"),
        ("/missing", "404"),
        ("/../../../../etc/passwd", "400"),
        ("/%2e%2e/%2e%2e/etc/passwd", "400"),
        ("/link", "404"),
    ] {
        assert_eq!(status_of("10.66.0.2", target), status, "{target}");
    }
    let summary = server.end();
    for wanted in ["200 OK", "404 Not Found", "segments from prepared copies"] {
        assert!(summary.contains(wanted), "{wanted:?} is not in: {summary}");
    }
    for unwanted in ["wrong checksum", "malformed", "refused by the kernel"] {
        assert!(!summary.contains(unwanted), "{summary}");
    }
}

fn two_ports_serve_and_record(site: &Site) {
    let capture = site.dir.path().join("capture.pcapng");
    let mut args = vec!["--port", "tap:live0", "--addr", "10.66.0.2/24"];
    args.extend(["--port", "tap:live1", "--addr", "10.67.0.9/30", "--listen", "8080,80"]);
    args.extend(["--content-mode", "copies-in-advance:2", "--stats"]);
    args.extend(["--record", capture.to_str().expect("a path in UTF-8")]);
    let server = Server::start(site, &args);
    assert_eq!(server.lines.len(), 2, "{:?}", server.lines);
    for host in ["10.66.0.2", "10.67.0.9", "10.66.0.2:8080", "10.67.0.9:8080"] {
        for len in [0, 22_000, 1_000_000] {
            site.fetch(host, len).expect_right();
        }
    }
    let summary = server.end();
    assert!(summary.contains("frames recorded"), "{summary}");
    for name in ["capture-live0.pcapng", "capture-live1.pcapng"] {
        let bytes = fs::read(site.dir.path().join(name)).expect("a capture for each port");
        assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "{name} starts with a section header");
        assert!(bytes.len() > 2_000_000, "{name} holds what was sent");
    }
}

fn turns_are_logged_and_play_again(site: &Site) {
    let log = site.dir.path().join("log.turnlog");
    // It is there, and others may read it: not any more.
    fs::write(site.dir.path().join("log-live0.turnlog"), "old").expect("a file");
    let mut args = vec!["--port", "tap:live0", "--addr", "10.66.0.2/24", "--buffers", "512"];
    args.extend(["--port", "tap:live1", "--addr", "10.67.0.9/30"]);
    args.extend(["--turn-log", log.to_str().expect("a path in UTF-8")]);
    let server = Server::start(site, &args);
    for host in ["10.66.0.2", "10.67.0.9"] {
        for len in [0, 1, 22_000, 1_000_000] {
            site.fetch(host, len).expect_right();
        }
    }
    site.fetch_in_parallel("10.67.0.9", 8);
    let summary = server.end();
    assert!(summary.contains("turns logged"), "{summary}");
    for name in ["log-live0.turnlog", "log-live1.turnlog"] {
        let path = site.dir.path().join(name);
        let mode = fs::metadata(&path).expect("a log for each port").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let play = |more: &[&Path]| {
            let mut replay = simoom();
            replay.args(["replay", "--turn-log"]).arg(&path).args(more);
            replay.output().expect("it starts")
        };
        // The site is too large to be in the log.
        let without = play(&[]);
        assert_eq!(without.status.code(), Some(4), "{}", common::stderr(&without));
        assert!(common::stderr(&without).contains("name the directory"));
        let played = play(&[Path::new("--content"), &site.root()]);
        let said = common::stdout(&played);
        assert_eq!(played.status.code(), Some(0), "{said}{}", common::stderr(&played));
        assert_eq!(said.matches("  the same  ").count(), 6, "{said}");
        fs::remove_file(&path).expect("it is there");
    }
}

fn loss_is_made_good(site: &Site) {
    if !works(Command::new("nft").arg("--version")) {
        return skip("nft is not installed: nothing was served over a lossy cable");
    }
    let server = Server::start(site, &["--port", "tap:live0", "--addr", "10.66.0.2/24"]);
    nft("add table ip lossy");
    for (chain, hook, device) in [("in", "input", "iifname"), ("out", "output", "oifname")] {
        nft(&format!("add chain ip lossy {chain} {{ type filter hook {hook} priority 0; }}"));
        nft(&format!(
            "add rule ip lossy {chain} {device} live0 numgen random mod 100 == 0 counter drop"
        ));
    }
    for len in &SIZES[..5] {
        site.fetch("10.66.0.2", *len).expect_right();
    }
    site.fetch_in_parallel("10.66.0.2", 50);
    let counters = Command::new("nft").args(["list", "table", "ip", "lossy"]).output().unwrap();
    let counters = String::from_utf8(counters.stdout).unwrap();
    assert!(!counters.contains("packets 0 "), "both ways lost something: {counters}");
    nft("delete table ip lossy");
    server.end();
}

fn a_signal_drains_and_a_second_one_ends(site: &Site) {
    // The kernel's socket takes some of it; the rest has to come while the server drains.
    let server = Server::start(site, &["--port", "tap:live0", "--addr", "10.66.0.2/24"]);
    let mut slow = site.fetch_with("10.66.0.2", 1_000_000, &["--limit-rate", "600k"]);
    slow.wait_until_begun();
    server.signal("TERM");
    while status_of("10.66.0.2", "/") != NO_CONNECTION {
        assert!(slow.is_under_way(), "new connections are refused while this one goes on");
    }
    slow.expect_right();
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start(site, &["--port", "tap:live0", "--addr", "10.66.0.2/24"]);
    let mut endless = site.fetch_with("10.66.0.2", 200_000_000, &["--limit-rate", "100k"]);
    endless.wait_until_begun();
    server.signal("INT");
    // Signals that come before the first is taken are one with it.
    let status = server.wait_while(|server| server.signal("TERM"));
    assert_eq!(status.code(), None, "ended by the signal itself: {status}");
    endless.give_up();
}

fn what_is_taken_or_vanishes_is_said(site: &Site) {
    let args = ["--port", "tap:live0", "--addr", "10.66.0.2/24"];
    let server = Server::start(site, &args);
    for (args, wanted) in [
        (args, "held by another program"),
        (["--port", "tap:live1", "--addr", "10.66.0.2/24"], "already that of interface live0"),
        (["--port", "tap:live1", "--addr", "10.66.0.1/23"], "already reached through"),
        (["--port", "tap:lo", "--addr", "10.68.0.2/24"], "no TAP device"),
    ] {
        let output = simoom().arg("serve").arg(site.root()).args(args).output().expect("it starts");
        let said = common::stderr(&output);
        assert_eq!(output.status.code(), Some(5), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {wanted:?} is not in: {said}");
    }
    site.fetch("10.66.0.2", 22_000).expect_right();
    assert!(works(Command::new("ip").args(["link", "del", "live0"])));
    let (status, said) = server.wait_and_hear();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("interface live0 is gone"), "{said}");
}

fn an_interface_that_vanishes_ends_its_shard_alone(site: &Site) {
    let mut args = vec!["--port", "tap:live0", "--addr", "10.66.0.2/24"];
    args.extend(["--port", "tap:live1", "--addr", "10.67.0.2/24", "--shards", "1"]);
    let mut server = Server::start(site, &args);
    for (line, port) in server.lines.iter().zip(["tap:live0", "tap:live1"]) {
        assert!(line.contains(&format!("through {port}, 1 shard on core ")), "{line}");
    }
    let mut slow = site.fetch_to("10.67.0.2", 1_000_000, &["--limit-rate", "600k"], "slow");
    slow.wait_until_begun();
    site.fetch("10.66.0.2", 22_000).expect_right();
    assert!(works(Command::new("ip").args(["link", "del", "live0"])));
    let gone = server.hear_until("serves no more");
    assert!(gone.contains("simoom: tap:live0 serves no more, 1 other goes on: "), "{gone}");
    assert!(gone.contains("interface live0 is gone"), "{gone}");
    slow.expect_right();
    site.fetch_in_parallel("10.67.0.2", 10);
    assert_eq!(interfaces(), ["lo", "live1"]);
    server.signal("INT");
    let (status, said) = server.wait_and_hear();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("all ports: "), "{said}");
    assert!(said.ends_with("simoom: 1 of 2 shards ended by a failure, said above\n"), "{said}");

    // Where all are gone there is nothing to wait for.
    let server = Server::start(site, &args);
    for interface in ["live0", "live1"] {
        assert!(works(Command::new("ip").args(["link", "del", interface])));
    }
    let (status, said) = server.wait_and_hear();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("serves no more, none is left: "), "{said}");
    assert!(said.ends_with("simoom: 2 of 2 shards ended by a failure, said above\n"), "{said}");
}

fn the_example_applications_answer() {
    let addr: Ipv4Prefix = "10.69.0.2/24".parse().expect("an address");
    let say = noise(500_000);
    with_app(apps::echo::Echo::default(), addr, |stream| talk(stream, &say, &say));

    let rpc = apps::rpc::Rpc::new(|request: &[u8], answer: &mut Vec<u8>| {
        answer.extend(request.iter().map(u8::to_ascii_uppercase));
    });
    let (say, expect) =
        (*b"\0\0\0\x05hello\0\0\0\0\0\0\0\x01x", *b"\0\0\0\x05HELLO\0\0\0\0\0\0\0\x01X");
    with_app(rpc, addr, |stream| talk(stream, &say, &expect));
}

/// Serves an application in a thread while `client` talks to it.
fn with_app<A: App + Send>(app: A, addr: Ipv4Prefix, client: impl FnOnce(TcpStream)) {
    let stop = StopFlag::new().expect("a flag");
    thread::scope(|scope| {
        let serving = stop.clone();
        let server = scope
            .spawn(move || apps::serve(app, "live0", addr, serving).map_err(|e| e.to_string()));
        let stream = loop {
            match TcpStream::connect((addr.addr(), apps::PORT)) {
                Ok(stream) => break stream,
                // The interface is not there yet.
                Err(_) if !server.is_finished() => thread::yield_now(),
                Err(e) => panic!("{e}: {:?}", server.join()),
            }
        };
        client(stream);
        stop.raise();
        assert_eq!(server.join().expect("no panic"), Ok(()));
    });
}

/// Says everything, ends, and compares everything that comes back.
fn talk(stream: TcpStream, say: &[u8], expect: &[u8]) {
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(say).expect("it listens");
            stream.shutdown(std::net::Shutdown::Write).expect("an end");
        });
        let mut heard = Vec::new();
        (&stream).read_to_end(&mut heard).expect("it answers");
        assert!(heard == expect, "{} bytes came back, {} expected", heard.len(), expect.len());
    });
}

/// A directory of files, and what curl made of them.
struct Site {
    dir: TestDir,
}

impl Site {
    fn new() -> Self {
        let dir = TestDir::new("live");
        for len in SIZES {
            dir.file(&format!("site/{len}.bin"), &noise(len));
        }
        dir.file("site/index.html", b"<h1>here</h1>\n");
        dir.file("site/sub/index.html", b"<h1>there</h1>\n");
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("site/link")).expect("a link");
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    fn fetch(&self, host: &str, len: usize) -> Fetch {
        self.fetch_with(host, len, &[])
    }

    fn fetch_with(&self, host: &str, len: usize, more: &[&str]) -> Fetch {
        self.fetch_to(host, len, more, "fetched")
    }

    fn fetch_to(&self, host: &str, len: usize, more: &[&str], name: &str) -> Fetch {
        let (wanted, got) = (self.root().join(format!("{len}.bin")), self.dir.path().join(name));
        let _ = fs::remove_file(&got);
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "40", "--output"])
            .arg(&got)
            .args(more)
            .arg(format!("http://{host}/{len}.bin"))
            .spawn()
            .expect("curl starts");
        Fetch { curl, wanted, got }
    }

    /// All at once, of every size but the largest.
    fn fetch_in_parallel(&self, host: &str, count: usize) {
        let fetches: Vec<_> = (0..count)
            .map(|n| self.fetch_to(host, SIZES[n % 5], &[], &format!("fetched-{n}")))
            .collect();
        fetches.into_iter().for_each(Fetch::expect_right);
    }
}

/// A curl on its way.
struct Fetch {
    curl: Child,
    wanted: PathBuf,
    got: PathBuf,
}

impl Fetch {
    fn expect_right(mut self) {
        let status = self.curl.wait().expect("curl ends");
        assert!(status.success(), "{}: curl: {status}", self.wanted.display());
        if fs::metadata(&self.wanted).expect("the file is there").len() > 0 {
            assert!(same_bytes(&self.wanted, &self.got), "{} differs", self.wanted.display());
        }
        let _ = fs::remove_file(&self.got);
    }

    fn is_under_way(&mut self) -> bool {
        self.curl.try_wait().expect("curl is ours").is_none()
    }

    fn wait_until_begun(&mut self) {
        while !fs::metadata(&self.got).is_ok_and(|meta| meta.len() > 0) {
            assert!(self.is_under_way(), "curl ended early");
            thread::yield_now();
        }
    }

    fn give_up(&mut self) {
        self.curl.kill().expect("curl is ours");
        self.curl.wait().expect("curl ends");
    }
}

/// The program, serving.
struct Server {
    child: Child,
    /// What it said when it began.
    lines: Vec<String>,
}

impl Server {
    fn start(site: &Site, args: &[&str]) -> Self {
        let mut child = simoom()
            .arg("serve")
            .arg(site.root())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let ports = args.iter().filter(|&&arg| arg == "--port").count();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let lines: Vec<_> = out.lines().take(ports).map(|line| line.expect("text")).collect();
        let mut server = Self { child, lines };
        if server.lines.len() < ports {
            panic!("it did not serve: {}", server.said());
        }
        server
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(works(Command::new("kill").args([&format!("-{name}"), &pid])), "kill -{name}");
    }

    fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the program ends")
    }

    fn wait_while(mut self, mut what: impl FnMut(&Self)) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("the program is ours") {
                return status;
            }
            what(&self);
        }
    }

    /// Ends it by a signal; the summary.
    fn end(self) -> String {
        self.signal("INT");
        let (status, said) = self.wait_and_hear();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }

    fn wait_and_hear(mut self) -> (ExitStatus, String) {
        let said = self.said();
        (self.child.wait().expect("the program ends"), said)
    }

    /// What it says up to the end of the line with this in it.
    fn hear_until(&mut self, wanted: &str) -> String {
        let err = self.child.stderr.as_mut().expect("piped and not yet read");
        // Byte by byte: what follows is for whoever reads next.
        let (mut heard, mut byte) = (Vec::new(), [0]);
        while err.read(&mut byte).expect("a pipe") > 0 {
            heard.push(byte[0]);
            let text = String::from_utf8_lossy(&heard);
            if text.ends_with('\n') && text.contains(wanted) {
                return text.into_owned();
            }
        }
        panic!("{wanted:?} was not said: {}", String::from_utf8_lossy(&heard));
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        let mut err = self.child.stderr.take().expect("piped and not yet read");
        err.read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes without a short period.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    simoom_core::server::bodies::pattern_fill(len as u64, 0, &mut bytes);
    bytes
}

fn same_bytes(one: &Path, other: &Path) -> bool {
    let open = |path| BufReader::with_capacity(1 << 20, File::open(path).expect("a file"));
    let (mut one, mut other) = (open(one), open(other));
    loop {
        let (a, b) = (one.fill_buf().expect("bytes"), other.fill_buf().expect("bytes"));
        let n = a.len().min(b.len());
        if n == 0 || a[..n] != b[..n] {
            return a.is_empty() && b.is_empty();
        }
        one.consume(n);
        other.consume(n);
    }
}

/// What curl shows where it got no answer.
const NO_CONNECTION: &str = "000";

fn status_of(host: &str, target: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--path-as-is", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}"])
        .arg(format!("http://{host}{target}"))
        .output()
        .expect("curl starts");
    String::from_utf8(output.stdout).expect("digits")
}

fn nft(rule: &str) {
    let output = Command::new("nft").arg(rule).output().expect("nft starts");
    assert!(output.status.success(), "nft {rule}: {}", String::from_utf8_lossy(&output.stderr));
}

fn interfaces() -> Vec<String> {
    let output = Command::new("ip").args(["-brief", "link"]).output().expect("ip starts");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(String::from).collect()
}

/// `TcpInCsumErrors` of this namespace.
fn tcp_checksum_errors() -> u64 {
    let text = fs::read_to_string("/proc/self/net/snmp").expect("the kernel's counters");
    let mut rows = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
    let at = names.split_whitespace().position(|name| name == "InCsumErrors").expect("a counter");
    values.split_whitespace().nth(at).and_then(|value| value.parse().ok()).expect("a number")
}
