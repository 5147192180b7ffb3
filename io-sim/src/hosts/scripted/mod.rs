//! A peer that follows a script: packets that it sends at times or after events, and packets that must come.
//!
//! [`script`] is what a script says, in Rust; [`text`] is the same as text, one line a packet, for scenario files.
//! Numbers are relative: 0 is the SYN of whoever sends them, 1 the first byte of the stream.
//!
//! ```
//! use simoom_sim::hosts::scripted::{Script, ack, syn, syn_ack, text};
//! use simoom_core::time::Duration;
//!
//! let in_rust = Script::new()
//!     .send(syn().mss(1460))
//!     .expect(syn_ack().ack(1))
//!     .after(Duration::from_millis(10))
//!     .send(ack(1))
//!     .silence(Duration::from_secs(1));
//! let as_text = "
//!     send S mss 1460
//!     expect S. ack 1
//!     after 10ms send . ack 1
//!     silence 1s
//! ";
//! assert_eq!(text::parse(as_text).unwrap().without_lines(), in_rust);
//! ```

pub mod script;
pub mod text;

pub use script::{Packet, Script, Step, What, When, ack, data, fin, reset, syn, syn_ack};
pub use text::ScriptError;

use super::tcp_peer::station::{Segment, Station};
use crate::endpoint::Endpoint;
use simoom_core::seq::SeqNumber;
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{MacAddr, SackBlocks, TcpFlags, TcpFrame, TcpOptions, Timestamps};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddrV4;

/// What a scripted peer is told.
#[derive(Clone, Debug)]
pub struct ScriptedConfig {
    /// The other end; None: whoever sends a SYN to `local_port` first, and where the script expects
    /// another SYN, whoever sends that.
    pub remote: Option<SocketAddrV4>,
    /// This end's port.
    pub local_port: u16,
    /// The number of this end's SYN.
    pub iss: u32,
    /// When the script begins.
    pub start_at: Instant,
    /// By how much a packet that is expected at a time may come earlier or later.
    pub tolerance: Duration,
    /// The script.
    pub script: Script,
}

impl ScriptedConfig {
    /// A client's script.
    pub fn client(remote: SocketAddrV4, script: Script) -> Self {
        Self { remote: Some(remote), ..Self::server(32_000, script) }
    }

    /// A server's script, whose clock starts with the world.
    pub fn server(local_port: u16, script: Script) -> Self {
        Self {
            remote: None,
            local_port,
            iss: 1_000_000,
            start_at: Instant::ZERO,
            tolerance: Duration::from_millis(1),
            script,
        }
    }
}

/// At which step a script went wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFailure {
    /// The step, from 1.
    pub step: usize,
    /// Its line, where the script was text.
    pub line: Option<usize>,
    /// When.
    pub at: Instant,
    /// What was wrong.
    pub why: String,
    /// The last packets before, oldest first.
    pub log: Vec<String>,
}

impl fmt::Display for ScriptFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.step)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, " at {:?}: {}", self.at, self.why)?;
        self.log.iter().try_for_each(|packet| write!(f, "\n  {packet}"))
    }
}

impl std::error::Error for ScriptFailure {}

/// A packet that came, with relative numbers.
#[derive(Clone, Debug)]
struct Came {
    at: Instant,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    window: u16,
    options: TcpOptions,
    sack: Vec<(u32, u32)>,
    text: Vec<u8>,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.seq.wrapping_add(self.text.len() as u32);
        let flags = script::flags_text(self.flags);
        write!(f, "{flags} {}..{end} ack {} win {}", self.seq, self.ack, self.window)?;
        if let Some(ts) = self.options.timestamps {
            write!(f, " ts {} ecr {}", ts.val, ts.ecr)?;
        }
        self.sack.iter().try_for_each(|(left, right)| write!(f, " sack {left}..{right}"))
    }
}

/// The scripted peer.
#[derive(Clone, Debug)]
pub struct Scripted {
    config: ScriptedConfig,
    station: Station,
    remote: Option<SocketAddrV4>,
    remote_mac: Option<MacAddr>,
    irs: SeqNumber,
    /// What the other end's stream has reached, and ours: the defaults of what is sent.
    rcv_nxt: u32,
    snd_nxt: u32,
    ts_recent: u32,
    /// Came and is not looked at yet.
    inbox: VecDeque<Came>,
    /// The present step, and when it began.
    step: usize,
    step_at: Instant,
    failure: Option<ScriptFailure>,
    log: VecDeque<String>,
}

/// Packets kept for a failure's log.
const LOG_MAX: usize = 30;

impl Scripted {
    /// A scripted peer at a station.
    pub fn new(station: Station, config: ScriptedConfig) -> Self {
        Self {
            remote: config.remote,
            step_at: config.start_at,
            config,
            station,
            remote_mac: None,
            irs: SeqNumber(0),
            rcv_nxt: 0,
            snd_nxt: 0,
            ts_recent: 0,
            inbox: VecDeque::new(),
            step: 0,
            failure: None,
            log: VecDeque::new(),
        }
    }

    /// Whether the script is over, well or not.
    pub fn is_done(&self) -> bool {
        self.failure.is_some() || self.step == self.config.script.steps.len()
    }

    /// Whether the script went to its end as it says.
    ///
    /// # Errors
    /// Where and why it did not; also where it has not ended yet.
    pub fn verdict(&self) -> Result<(), ScriptFailure> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.is_done() => Ok(()),
            None => Err(self.failure_of(self.step_at, String::from("the script has not ended"))),
        }
    }

    fn failure_of(&self, at: Instant, why: String) -> ScriptFailure {
        ScriptFailure {
            step: self.step + 1,
            line: self.config.script.steps.get(self.step).and_then(|step| step.line),
            at,
            why,
            log: self.log.iter().cloned().collect(),
        }
    }

    fn fail(&mut self, at: Instant, why: String) {
        self.failure = Some(self.failure_of(at, why));
    }

    fn note(&mut self, at: Instant, what: &str, packet: &dyn fmt::Display) {
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(format!("{at:?} {what} {packet}"));
    }

    fn on_segment(&mut self, now: Instant, frame: &TcpFrame<'_>) {
        let tcp = &frame.tcp;
        if tcp.dst_port != self.config.local_port {
            return;
        }
        let from = SocketAddrV4::new(frame.ip.src, tcp.src_port);
        let syn = tcp.flags.contains(TcpFlags::SYN);
        let is_another =
            self.remote.is_none() || (self.remote != Some(from) && self.waits_for_syn());
        if self.config.remote.is_none() && syn && is_another {
            self.remote = Some(from);
            (self.rcv_nxt, self.snd_nxt, self.ts_recent) = (0, 0, 0);
        }
        if self.remote != Some(from) {
            return;
        }
        self.remote_mac = Some(frame.eth.src);
        if syn {
            self.irs = tcp.seq;
        }
        let seq = tcp.seq.since(self.irs);
        if seq == self.rcv_nxt {
            self.rcv_nxt = seq.wrapping_add(tcp.seg_len());
        }
        if let Some(timestamps) = tcp.options.timestamps {
            self.ts_recent = timestamps.val;
        }
        let ours = |number: SeqNumber| number.since(SeqNumber(self.config.iss));
        let sack = tcp.options.sack.as_slice().iter().map(|(l, r)| (ours(*l), ours(*r)));
        let came = Came {
            at: now,
            flags: tcp.flags,
            seq,
            ack: ours(tcp.ack),
            window: tcp.window,
            options: tcp.options,
            sack: sack.collect(),
            text: tcp.payload.to_vec(),
        };
        self.note(now, "came", &came);
        self.inbox.push_back(came);
    }

    fn waits_for_syn(&self) -> bool {
        let step = self.config.script.steps.get(self.step);
        matches!(step.map(|step| &step.what), Some(What::Expect { packet, .. })
            if packet.flags == Some(TcpFlags::SYN))
    }

    /// Goes through the steps that can be taken now. Answers when to come again.
    fn follow(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        while !self.is_done() {
            let step = self.config.script.steps[self.step].clone();
            let due = match step.when {
                When::Next => self.step_at,
                When::At(time) => self.config.start_at + time,
                When::After(time) => self.step_at + time,
            };
            match step.what {
                What::Send(packet) => {
                    if due > now {
                        return Some(due);
                    }
                    let remote = self.remote?;
                    let Some(mac) = self.mac(now, remote, out) else {
                        return self.station.ask_at();
                    };
                    self.send(now, mac, remote, &packet, out);
                }
                What::Expect { packet, within } => {
                    let exact = step.when != When::Next;
                    let last =
                        if exact { due + self.config.tolerance } else { self.step_at + within };
                    let Some(came) = self.inbox.pop_front() else {
                        if now < last {
                            return Some(last);
                        }
                        self.fail(now, format!("nothing came; expected {packet}"));
                        return None;
                    };
                    let early = exact && came.at + self.config.tolerance < due;
                    let wrong = if early || came.at > last {
                        Some(format!("time {:?}, expected at {due:?}", came.at))
                    } else {
                        mismatch(&packet, &came)
                    };
                    if let Some(wrong) = wrong {
                        self.fail(now, format!("{wrong}; came {came}; expected {packet}"));
                        return None;
                    }
                }
                What::Silence(time) => {
                    let end = due + time;
                    if let Some(came) = self.inbox.front().filter(|came| came.at < end) {
                        let why = format!("expected silence until {end:?}; came {came}");
                        self.fail(now, why);
                        return None;
                    }
                    if now < end {
                        return Some(end);
                    }
                }
            }
            self.step += 1;
            self.step_at = now;
        }
        None
    }

    fn mac(
        &mut self,
        now: Instant,
        remote: SocketAddrV4,
        out: &mut dyn FnMut(&[u8]),
    ) -> Option<MacAddr> {
        self.remote_mac.or_else(|| self.station.resolve(now, *remote.ip(), out))
    }

    fn send(
        &mut self,
        now: Instant,
        mac: MacAddr,
        remote: SocketAddrV4,
        packet: &Packet,
        out: &mut dyn FnMut(&[u8]),
    ) {
        let flags = packet.flags.unwrap_or(TcpFlags::ACK);
        let text = match (&packet.text, packet.len) {
            (Some(text), _) => text.clone(),
            (None, len) => vec![b'x'; len.unwrap_or(0) as usize],
        };
        let seq = packet.seq.unwrap_or(self.snd_nxt);
        let controls =
            u32::from(flags.contains(TcpFlags::SYN)) + u32::from(flags.contains(TcpFlags::FIN));
        let end = seq.wrapping_add(text.len() as u32).wrapping_add(controls);
        if !flags.contains(TcpFlags::RST) {
            self.snd_nxt = self.snd_nxt.max(end);
        }
        let ack = match (packet.ack, flags.contains(TcpFlags::ACK)) {
            (Some(ack), _) => self.irs + ack,
            (None, true) => self.irs + self.rcv_nxt,
            (None, false) => SeqNumber(0),
        };
        let mut sack = SackBlocks::default();
        for (left, right) in &packet.sack {
            sack.push(self.irs + *left, self.irs + *right);
        }
        let ecr = packet.ts_ecr.unwrap_or(self.ts_recent);
        let segment = Segment {
            src_port: self.config.local_port,
            dst_port: remote.port(),
            seq: SeqNumber(self.config.iss) + seq,
            ack,
            flags,
            window: packet.window.unwrap_or(65_535),
            options: TcpOptions {
                mss: packet.mss,
                window_scale: packet.window_scale,
                sack_permitted: packet.sack_permitted,
                timestamps: packet.ts_val.map(|val| Timestamps { val, ecr }),
                sack,
            },
        };
        self.note(now, "sent", packet);
        self.station.send(mac, *remote.ip(), &segment, &text, out);
    }
}

/// What differs between a packet that came and what was said of it; None where nothing does.
fn mismatch(packet: &Packet, came: &Came) -> Option<String> {
    // PSH says when to read, not what.
    let core = |flags: TcpFlags| flags.0 & !TcpFlags::PSH.0;
    let differs = |name: &str, want: Option<u32>, have: u32| match want {
        Some(want) if want != have => Some(format!("{name} is {have}, not {want}")),
        _ => None,
    };
    let opt = |name: &str, want: Option<u32>, have: Option<u32>| match want {
        Some(want) if have != Some(want) => Some(format!("{name} is {have:?}, not {want}")),
        _ => None,
    };
    if let Some(flags) = packet.flags
        && core(flags) != core(came.flags)
    {
        let (have, want) = (script::flags_text(came.flags), script::flags_text(flags));
        return Some(format!("flags are {have}, not {want}"));
    }
    if packet.sack_permitted && !came.options.sack_permitted {
        return Some(String::from("SACK is not permitted"));
    }
    if !packet.sack.is_empty() && packet.sack != came.sack {
        return Some(format!("SACK blocks are {:?}, not {:?}", came.sack, packet.sack));
    }
    if let Some(text) = &packet.text
        && *text != came.text
    {
        return Some(format!("the text is {:?}", String::from_utf8_lossy(&came.text)));
    }
    let stamps = came.options.timestamps;
    differs("seq", packet.seq, came.seq)
        .or_else(|| differs("length", packet.len, came.text.len() as u32))
        .or_else(|| differs("ack", packet.ack, came.ack))
        .or_else(|| differs("win", packet.window.map(u32::from), came.window.into()))
        .or_else(|| opt("mss", packet.mss.map(u32::from), came.options.mss.map(u32::from)))
        .or_else(|| {
            let have = came.options.window_scale.map(u32::from);
            opt("ws", packet.window_scale.map(u32::from), have)
        })
        .or_else(|| opt("ts", packet.ts_val, stamps.map(|ts| ts.val)))
        .or_else(|| opt("ecr", packet.ts_ecr, stamps.map(|ts| ts.ecr)))
}

impl Endpoint for Scripted {
    fn on_frame(&mut self, now: Instant, frame: &[u8]) {
        if let Some(frame) = self.station.on_frame(frame) {
            self.on_segment(now, &frame);
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        self.station.poll(out);
        if now < self.config.start_at {
            return Some(self.config.start_at);
        }
        self.follow(now, out)
    }

    fn describe(&self) -> String {
        match self.verdict() {
            Ok(()) => String::from("a script that has ended"),
            Err(failure) => format!("a script: {failure}"),
        }
    }
}
