//! What the stack of a log recorded from a live server is built from, as the text in the log's header:
//! every setting by its name, then the files.
//!
//! ```text
//! simoom served 1
//! start 1700000000000000000          settings of the stack, each once; times in nanoseconds
//! mac 02:00:00:00:00:02
//! ...
//! file 22000 1700000000 7 5d14a46cc5a0daebf3216eb25e4ca5f4 /a.bin
//! type application/octet-stream      of the file before
//! ```
//!
//! A setting that a text does not have is from after its time, and has its default. A file's numbers are its bytes, the time of its last change in seconds since 1970, its version, and
//! the digest of its body ([`body_digest`]). The bodies are in the log, or with whoever replays it.
//! Reads no files, and trusts no number: a log may come from anybody.

use crate::fixture::FixtureError;
use simoom_core::content::{self, Mode, Pin};
use simoom_core::port::PortCaps;
use simoom_core::port::turn_log::{Header, OutputSum};
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{Config, Stack};
use simoom_core::tcp::congestion::Algorithm;
use simoom_core::time::Duration;
use simoom_core::wire::MacAddr;
use simoom_core::wire::emit::headers_len;
use simoom_core::wire::rss::{KEY_LEN, Shard, Spread};
use simoom_core::wire::tcp::TIMESTAMPS_LEN;
use std::fmt::{self, Write as _};
use std::iter::Peekable;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The first line of such a text.
pub const TITLE: &str = "simoom served 1";

/// A file server as it ran.
#[derive(Clone, Debug)]
pub struct Served {
    /// The stack's.
    pub config: Config,
    /// The application's.
    pub server: ServerConfig,
    /// What was served, in the order of the catalogue.
    pub files: Vec<ServedFile>,
}

/// A file that was served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedFile {
    /// Absolute, decoded.
    pub path: String,
    /// As in `Content-Type`.
    pub content_type: String,
    /// Seconds since 1970 of the last change.
    pub modified: u64,
    /// As in the entity tag.
    pub version: u64,
    /// Bytes.
    pub len: u64,
    /// Of the body.
    pub digest: [u8; 16],
}

/// The digest of a body: that of a log's output ([`simoom_core::port::turn_log::Output`]) which is one
/// frame of these bytes.
pub fn body_digest(body: &[u8]) -> [u8; 16] {
    let mut sum = OutputSum::default();
    sum.push(body);
    sum.output().digest
}

/// Connections, buffers and table entries of a stack at most: what the command line allows.
const TABLE_MAX: u32 = 1 << 22;
/// Bytes of all receive buffers at most.
const RECEIVE_BYTES_MAX: u64 = 1 << 30;

impl Served {
    /// The stack, with bodies from the log's header.
    ///
    /// # Errors
    /// Where the secrets were withheld, a body is missing or another than was served, a path cannot be
    /// served, or the numbers make no stack.
    pub fn stack(&self, header: &Header) -> Result<Stack<FileServer<MemoryBodies>>, FixtureError> {
        let error = |what: String| FixtureError { line: 0, what };
        let words = header.secrets.ok_or_else(|| error("the secrets were withheld".into()))?;
        check(&self.config, &self.server, &header.caps).map_err(error)?;
        if header.content.len() != self.files.len() {
            return Err(error(format!(
                "{} files were served and {} bodies are there: name the directory that was served",
                self.files.len(),
                header.content.len()
            )));
        }
        let mut bodies = MemoryBodies::new();
        let mut catalogue = Catalogue::builder(0);
        for (file, body) in self.files.iter().zip(&header.content) {
            let ServedFile { path, content_type, modified, version, len, digest } = file;
            if body.len() as u64 != *len || body_digest(body) != *digest {
                return Err(error(format!("{path}: these are not the bytes that were served")));
            }
            let file = bodies.add_bytes(&body[..]);
            let (modified, version, len) = (*modified, *version, *len);
            let info = FileInfo { path, content_type, modified, version, len, file };
            catalogue.add_file(info).map_err(|e| error(e.to_string()))?;
        }
        let server = FileServer::new(catalogue.build(), bodies, self.server);
        Ok(Stack::new(self.config.clone(), Secrets::new(words), &header.caps, server))
    }
}

/// What would make [`Stack::new`] panic, or ask for more memory than any server has.
fn check(config: &Config, server: &ServerConfig, caps: &PortCaps) -> Result<(), String> {
    let Config { tcp, content, .. } = config;
    for (what, is, max) in [
        ("connections", config.connections_max, TABLE_MAX),
        ("half-open", config.half_open_max, TABLE_MAX),
        ("neighbours", config.neighbours_max, TABLE_MAX),
        ("receive-buffers", config.receive_buffers, TABLE_MAX),
        ("runs", content.runs_max, TABLE_MAX),
        ("buffers of the port", caps.buffers, TABLE_MAX),
        ("prefix", config.prefix_len.into(), 32),
        ("copies in advance", copies_in_advance(content.mode), 1_024),
        ("memo-heads", u32::try_from(server.memo_heads).unwrap_or(u32::MAX), TABLE_MAX),
        ("head", u32::try_from(server.head_bytes_max).unwrap_or(u32::MAX), TABLE_MAX),
    ] {
        if is > max {
            return Err(format!("{what}: {is}, more than {max}"));
        }
    }
    if config.connections_max == 0 {
        return Err("connections: 0".into());
    }
    if u64::from(config.receive_buffers) * u64::from(tcp.receive_window) > RECEIVE_BYTES_MAX {
        return Err(format!("receive-buffers: more than {RECEIVE_BYTES_MAX} bytes of them"));
    }
    let longest = headers_len(config.vlan.is_some(), false) + usize::from(tcp.mss);
    if longest > usize::from(caps.frame_max) {
        return Err(format!("mss: {} does not fit frames of {} bytes", tcp.mss, caps.frame_max));
    }
    let smallest = content.mss_classes.iter().copied().min().unwrap_or(u16::MAX);
    if usize::from(smallest) < Pin::REACH + TIMESTAMPS_LEN {
        return Err(format!("classes: {smallest} bytes have no room for a response's first lines"));
    }
    if config.shard.as_ref().is_some_and(|shard| !shard.spread.table.contains(&shard.ring)) {
        return Err("shard: nothing arrives on its ring".into());
    }
    Ok(())
}

fn copies_in_advance(mode: Mode) -> u32 {
    match mode {
        Mode::CopiesInAdvance(copies) => copies.into(),
        Mode::Copy | Mode::CopiesOnDemand | Mode::Gather => 0,
    }
}

/// A setting as words of the text.
trait Say: Sized {
    fn say(&self) -> String;
    fn hear(words: &str) -> Option<Self>;
}

macro_rules! said_as_it_is_written {
    ($($kind:ty),*) => {$(
        impl Say for $kind {
            fn say(&self) -> String {
                self.to_string()
            }

            fn hear(words: &str) -> Option<Self> {
                words.parse().ok()
            }
        }
    )*};
}
said_as_it_is_written!(u8, u16, u32, u64, usize, bool, Ipv4Addr);

impl Say for Duration {
    fn say(&self) -> String {
        self.as_nanos().to_string()
    }

    fn hear(words: &str) -> Option<Self> {
        words.parse().ok().map(Self::from_nanos)
    }
}

impl Say for MacAddr {
    fn say(&self) -> String {
        self.to_string()
    }

    fn hear(words: &str) -> Option<Self> {
        let mut address = [0; 6];
        let mut bytes = words.split(':');
        for byte in &mut address {
            let word = bytes.next().filter(|word| word.len() == 2)?;
            *byte = u8::from_str_radix(word, 16).ok()?;
        }
        bytes.next().is_none().then_some(Self(address))
    }
}

impl<T: Say> Say for Option<T> {
    fn say(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), T::say)
    }

    fn hear(words: &str) -> Option<Self> {
        if words == "none" { Some(None) } else { T::hear(words).map(Some) }
    }
}

impl Say for Vec<u16> {
    fn say(&self) -> String {
        self.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
    }

    fn hear(words: &str) -> Option<Self> {
        words.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
    }
}

impl Say for Mode {
    fn say(&self) -> String {
        match self {
            Self::Copy => "copy".into(),
            Self::CopiesInAdvance(copies) => format!("copies-in-advance {copies}"),
            Self::CopiesOnDemand => "copies-on-demand".into(),
            Self::Gather => "gather".into(),
        }
    }

    fn hear(words: &str) -> Option<Self> {
        Some(match words.split_once(' ') {
            None if words == "copy" => Self::Copy,
            None if words == "copies-on-demand" => Self::CopiesOnDemand,
            None if words == "gather" => Self::Gather,
            Some(("copies-in-advance", copies)) => Self::CopiesInAdvance(copies.parse().ok()?),
            _ => return None,
        })
    }
}

impl Say for Algorithm {
    fn say(&self) -> String {
        self.name().into()
    }

    fn hear(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == words)
    }
}

impl Say for Shard {
    fn say(&self) -> String {
        format!("{} {} {}", self.ring, hex(&self.spread.key), hex(&self.spread.table))
    }

    fn hear(words: &str) -> Option<Self> {
        let mut words = words.split(' ');
        let (ring, key, table) = (words.next()?, words.next()?, words.next()?);
        let key: [u8; KEY_LEN] = unhex(key, KEY_LEN)?.try_into().ok()?;
        let table = unhex(table, TABLE_ENTRIES_MAX)?;
        let ring = ring.parse().ok()?;
        words.next().is_none().then_some(Self { spread: Spread { key, table }, ring })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Entries of an indirection table at most: several times what NICs have.
const TABLE_ENTRIES_MAX: usize = 1 << 14;

fn unhex(text: &str, most: usize) -> Option<Vec<u8>> {
    if text.len() > 2 * most || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Each setting's line, in this order.
macro_rules! settings {
    ($($name:literal, $($field:ident).+;)*) => {
        fn write_settings(served: &Served, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            $(writeln!(f, "{} {}", $name, served.$($field).+.say())?;)*
            Ok(())
        }

        fn read_settings(served: &mut Served, lines: &mut Lines<'_>) -> Result<(), FixtureError> {
            $(if let Some(value) = lines.setting($name)? {
                served.$($field).+ = value;
            })*
            Ok(())
        }
    };
}

settings! {
    "start", config.unix_nanos_at_start;
    "mac", config.mac;
    "ip", config.ip;
    "prefix", config.prefix_len;
    "gateway", config.gateway;
    "vlan", config.vlan;
    "ttl", config.ttl;
    "listen", config.listen;
    "shard", config.shard;
    "host-shares-address", config.host_shares_address;
    "connections", config.connections_max;
    "half-open", config.half_open_max;
    "neighbours", config.neighbours_max;
    "receive-buffers", config.receive_buffers;
    "quantum", config.quantum_frames;
    "mss", config.tcp.mss;
    "receive-window", config.tcp.receive_window;
    "timestamps", config.tcp.timestamps;
    "window-scaling", config.tcp.window_scaling;
    "window-shift-min", config.tcp.window_shift_min;
    "initial-window", config.tcp.initial_window_segments;
    "min-rto", config.tcp.min_rto;
    "initial-rto", config.tcp.initial_rto;
    "max-rto", config.tcp.max_rto;
    "delayed-ack", config.tcp.delayed_ack;
    "time-wait", config.tcp.time_wait;
    "fin-wait-2", config.tcp.fin_wait_2;
    "retries", config.tcp.retries_max;
    "syn-retries", config.tcp.syn_retries_max;
    "nagle", config.tcp.nagle;
    "challenge-ack-interval", config.tcp.challenge_ack_interval;
    "congestion", config.tcp.congestion;
    "mode", config.content.mode;
    "copies", config.content.copies_max;
    "reserve", config.content.reserve;
    "runs", config.content.runs_max;
    "classes", config.content.mss_classes;
    "head", server.head_bytes_max;
    "request-timeout", server.request_timeout;
    "idle-timeout", server.idle_timeout;
    "stall-timeout", server.stall_timeout;
    "memo-heads", server.memo_heads;
}

/// A setting that is added must get a line above, and a default that is what was before it: this does not compile until somebody has looked.
#[expect(dead_code, reason = "for the compiler")]
fn every_setting_has_a_line(config: Config, server: ServerConfig) {
    let Config {
        mac: _,
        ip: _,
        prefix_len: _,
        gateway: _,
        vlan: _,
        ttl: _,
        listen: _,
        shard: _,
        host_shares_address: _,
        connections_max: _,
        half_open_max: _,
        neighbours_max: _,
        receive_buffers: _,
        quantum_frames: _,
        unix_nanos_at_start: _,
        tcp,
        content,
    } = config;
    let simoom_core::tcp::Config {
        mss: _,
        receive_window: _,
        timestamps: _,
        window_scaling: _,
        window_shift_min: _,
        initial_window_segments: _,
        min_rto: _,
        initial_rto: _,
        max_rto: _,
        delayed_ack: _,
        time_wait: _,
        fin_wait_2: _,
        retries_max: _,
        syn_retries_max: _,
        nagle: _,
        challenge_ack_interval: _,
        congestion: _,
    } = tcp;
    let content::Config { mode: _, copies_max: _, reserve: _, runs_max: _, mss_classes: _ } =
        content;
    let ServerConfig {
        head_bytes_max: _,
        request_timeout: _,
        idle_timeout: _,
        stall_timeout: _,
        memo_heads: _,
    } = server;
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}")?;
        write_settings(self, f)?;
        for file in &self.files {
            let ServedFile { path, content_type, modified, version, len, digest } = file;
            writeln!(f, "file {len} {modified} {version} {} {path}", hex(digest))?;
            writeln!(f, "type {content_type}")?;
        }
        Ok(())
    }
}

impl FromStr for Served {
    type Err = FixtureError;

    fn from_str(text: &str) -> Result<Self, FixtureError> {
        let mut lines = Lines { lines: text.lines().peekable(), number: 0 };
        let title = lines.next(TITLE)?;
        if title != TITLE {
            return Err(lines.error(format!("not `{TITLE}`")));
        }
        let config = Config::new(MacAddr::ZERO, Ipv4Addr::UNSPECIFIED, 0);
        let mut served = Self { config, server: ServerConfig::default(), files: Vec::new() };
        read_settings(&mut served, &mut lines)?;
        while let Some(line) = lines.lines.next() {
            lines.number += 1;
            served.files.push(lines.file(line)?);
        }
        Ok(served)
    }
}

/// What is left of a text.
struct Lines<'a> {
    lines: Peekable<std::str::Lines<'a>>,
    /// Of the last line read, from 1 on.
    number: usize,
}

impl<'a> Lines<'a> {
    fn error(&self, what: String) -> FixtureError {
        FixtureError { line: self.number, what }
    }

    fn next(&mut self, name: &str) -> Result<&'a str, FixtureError> {
        let missing = || FixtureError { line: 0, what: format!("no `{name}`") };
        let line = self.lines.next().ok_or_else(missing)?;
        self.number += 1;
        Ok(line)
    }

    /// The value of a setting, if the next line is about it.
    fn setting<T: Say>(&mut self, name: &str) -> Result<Option<T>, FixtureError> {
        let words = |line: &&'a str| line.strip_prefix(name)?.strip_prefix(' ');
        let Some(words) = self.lines.peek().and_then(words) else { return Ok(None) };
        self.next(name)?;
        let value = T::hear(words).map(Some);
        value.ok_or_else(|| self.error(format!("not `{name}` and its value")))
    }

    fn file(&mut self, line: &str) -> Result<ServedFile, FixtureError> {
        let parts: Vec<_> = line.splitn(6, ' ').collect();
        let ["file", len, modified, version, digest, path] = parts[..] else {
            return Err(self.error(
                "neither a setting in its place nor `file BYTES MODIFIED VERSION DIGEST PATH`"
                    .into(),
            ));
        };
        let number = |word: &str| {
            let number = word.parse::<u64>();
            number.map_err(|_| self.error(format!("`{word}` is no number, or too large")))
        };
        let (len, modified, version) = (number(len)?, number(modified)?, number(version)?);
        let digest = unhex(digest, 16).and_then(|digest| digest.try_into().ok());
        let digest = digest.ok_or_else(|| self.error("not a digest".into()))?;
        let kind = self.next("type")?;
        let Some(content_type) = kind.strip_prefix("type ") else {
            return Err(self.error("not `type` of the file before".into()));
        };
        let (path, content_type) = (path.into(), content_type.into());
        Ok(ServedFile { path, content_type, modified, version, len, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_core::port::ChecksumOffload;

    const CAPS: PortCaps = PortCaps {
        frame_max: 1_514,
        buffers: 256,
        tx_slots: 64,
        tx_hold_max: 63,
        tx_hold_idle: 1,
        max_frags: 1,
        checksum: ChecksumOffload { tx: false, rx: false },
    };

    /// Nothing is as it is by default.
    fn served() -> (Served, Header) {
        let mut config = Config::new(MacAddr([2, 0, 0, 0, 0xab, 9]), Ipv4Addr::new(10, 1, 2, 3), 9);
        config.gateway = Some(Ipv4Addr::new(10, 1, 2, 1));
        config.vlan = Some(7);
        config.listen = vec![80, 8_080];
        config.shard = Some(Shard {
            spread: Spread::in_turn(simoom_core::wire::rss::MICROSOFT_KEY, 3),
            ring: 2,
        });
        config.host_shares_address = true;
        config.tcp.mss = 1_400;
        config.tcp.timestamps = false;
        config.content.mode = Mode::CopiesInAdvance(3);
        config.content.mss_classes = vec![1_400, 536];
        let server =
            ServerConfig { idle_timeout: Duration::from_secs(9), ..ServerConfig::default() };
        let bodies = [b"a body".to_vec(), Vec::new()];
        let file = |path: &str, body: &[u8]| ServedFile {
            path: path.into(),
            content_type: "text/html; charset=utf-8".into(),
            modified: 1_700_000_000,
            version: u64::MAX,
            len: body.len() as u64,
            digest: body_digest(body),
        };
        let files = vec![file("/with two spaces/é.html", &bodies[0]), file("/b", &bodies[1])];
        let served = Served { config, server, files };
        let config = served.to_string();
        let header = Header { caps: CAPS, secrets: Some([1; 4]), config, content: bodies.into() };
        (served, header)
    }

    #[test]
    fn text_of_a_server_is_read_back() {
        let (served, header) = served();
        let read: Served = header.config.parse().unwrap();
        assert_eq!(read.to_string(), header.config);
        assert_eq!(read.files, served.files);
        assert_eq!(read.config.shard, served.config.shard);
        assert_eq!((read.config.tcp, read.server), (served.config.tcp.clone(), served.server));
        assert_eq!(read.config.content, served.config.content);
        assert!(read.config.mac == served.config.mac && read.config.listen == [80, 8_080]);
        assert!(served.stack(&header).is_ok());
    }

    #[test]
    fn line_that_says_nothing_is_refused_and_its_place_is_said() {
        let (_, header) = served();
        let lines: Vec<_> = header.config.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let with = |other: &str| {
                let mut lines = lines.clone();
                lines[at] = other;
                format!("{}\n", lines.join("\n")).parse::<Served>()
            };
            for other in ["", "nonsense", &format!("{}x x", line.split(' ').next().unwrap())] {
                assert_eq!(with(other).unwrap_err().line, at + 1, "{line:?} as {other:?}");
            }
        }
        assert_eq!("".parse::<Served>().unwrap_err().line, 0);
        assert_eq!(lines[..lines.len() - 1].join("\n").parse::<Served>().unwrap_err().line, 0);
    }

    #[test]
    fn setting_from_after_the_texts_time_has_its_default() {
        let (_, header) = served();
        let without = header.config.lines().filter(|line| !line.starts_with("host-shares-address"));
        let read: Served = without.collect::<Vec<_>>().join("\n").parse().unwrap();
        assert!(!read.config.host_shares_address);
        assert_eq!(read.to_string(), header.config.replace("address true", "address false"));
        // In another place it says nothing.
        let moved = header.config.replace("vlan 7\nttl 64\n", "ttl 64\nvlan 7\n");
        assert!(moved != header.config && moved.parse::<Served>().is_err());
    }

    #[test]
    fn bodies_that_are_not_those_served_are_refused() {
        let (served, header) = served();
        let refused = |change: fn(&mut Header)| {
            let mut header = header.clone();
            change(&mut header);
            served.stack(&header).err().expect("refused").what
        };
        assert!(refused(|h| h.content.clear()).contains("name the directory"));
        assert!(refused(|h| h.content[0][0] ^= 1).contains("not the bytes"));
        assert!(refused(|h| h.content[1].push(0)).contains("not the bytes"));
        assert!(refused(|h| h.secrets = None).contains("withheld"));
    }

    #[test]
    fn numbers_that_make_no_stack_are_refused_and_nothing_panics() {
        let (served, header) = served();
        let refused = |change: fn(&mut Served)| {
            let mut served = served.clone();
            change(&mut served);
            served.stack(&header).err().expect("refused").what
        };
        assert!(refused(|s| s.config.connections_max = u32::MAX).starts_with("connections"));
        assert!(refused(|s| s.config.connections_max = 0).starts_with("connections"));
        assert!(refused(|s| s.config.receive_buffers = TABLE_MAX).starts_with("receive-buffers"));
        assert!(refused(|s| s.config.tcp.mss = 9_000).starts_with("mss"));
        assert!(refused(|s| s.config.content.mss_classes = vec![20]).starts_with("classes"));
        assert!(refused(|s| s.config.content.runs_max = u32::MAX).starts_with("runs"));
        assert!(refused(|s| s.server.memo_heads = usize::MAX).starts_with("memo-heads"));
        assert!(refused(|s| s.config.shard.as_mut().unwrap().ring = 3).starts_with("shard"));
        assert!(refused(|s| s.config.prefix_len = 33).starts_with("prefix"));
    }
}
