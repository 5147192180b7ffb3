//! `simoom replay --turn-log`: the stack that a log tells of, over other ports than the one that was
//! recorded. A turn log determines every frame that leaves: one that differs is a fault, of a port or
//! of the stack.

mod ends;

use super::Failure;
use crate::failure::Kind;
use crate::human;
use crate::serve::netmap_failure;
use crate::site::Site;
use ends::{Cable, NicEnd, SimEnd, TwoEnds, far_config, netmap_config};
use serde_json::{Value, json};
use simoom_core::port::turn_log::codec::CONTENT_FILES_MAX;
use simoom_core::port::turn_log::{Output, TurnLog};
use simoom_core::wire::MacAddr;
use simoom_netmap::name::{Pipe, PipeEnd, PortName};
use simoom_netmap::port::NetmapPort;
use simoom_netmap::{error::NetmapError, model};
use simoom_port_conformance::scripted::Divergence;
use simoom_port_conformance::served::{self, Served};
use simoom_port_conformance::{Harness, same_output, sender};
use simoom_sim::nic;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
A log of simoom serve --turn-log is played over the simulator's NIC, over the model of netmap's NIC
and pipe, and where --port names one, over real netmap: every frame must be the same.
  simoom serve public/ --port netmap:eth0 --addr 192.0.2.2/24 --turn-log eth0.turnlog
  simoom replay --turn-log eth0.turnlog
  simoom replay --turn-log eth0.turnlog --port 'netmap:test{1' --far 'netmap:test}1'";

/// What `simoom replay` may be told about a turn log.
#[derive(Debug, clap::Args)]
pub(super) struct TurnLogArgs {
    /// Play a log of serve --turn-log over other ports, instead of a capture; --content names the
    /// directory that was served where the bodies are not in the log
    #[arg(long, value_name = "FILE.turnlog", conflicts_with_all = ["files", "whom", "server", "client",
          "around", "slowest", "tolerance_us", "ignore_checksums", "exact_bytes", "report",
          "connection", "pcap", "WhatIfArgs"])]
    pub(super) turn_log: Option<PathBuf>,
    /// A real netmap port to play the log over as well: netmap:NAME, or valeN:NAME
    #[arg(long, value_name = "PORT", requires = "turn_log", conflicts_with = "files")]
    port: Option<PortName>,
    /// The port at the other end of its cable [default: the other end of a pipe]
    #[arg(long, value_name = "PORT", requires = "port", conflicts_with = "files")]
    far: Option<PortName>,
}

/// A log at most: what the largest --turn-log-max gives, with bodies.
const LOG_BYTES_MAX: u64 = 70 << 30;

/// Bytes of all bodies, which are kept in memory, at most.
const SITE_BYTES_MAX: u64 = 2 << 30;

/// What came of one port.
struct Played {
    over: String,
    sent: Result<Output, String>,
}

/// Plays the log over every port. Fails where a frame differs.
pub(super) fn run(
    path: &Path,
    args: &TurnLogArgs,
    content: Option<&Path>,
    as_json: bool,
) -> Result<(), Failure> {
    let mut log = read(path)?;
    if let Some(dir) = content {
        log.header.content = bodies(&log, dir)?;
    }
    // A log that tells of no stack is the log's fault, not a port's.
    let sender = sender(&log.header).map_err(|e| unusable(path, &e))?;
    let real = args.port.as_ref().map(|near| Ok((near, far_end(near, args.far.as_ref())?)));
    let real = real.transpose()?;
    let mut played = Vec::new();
    let caps = log.header.caps;
    {
        use nic::{CompletionPolicy, DmaPolicy};
        for (what, policies) in [
            ("reads and reports at once", (DmaPolicy::ALL[0], CompletionPolicy::ALL[0])),
            ("reads and reports late", (DmaPolicy::WholeRing, CompletionPolicy::WholeRing)),
            ("reads at random", (DmaPolicy::Random, CompletionPolicy::HalfRing)),
        ] {
            let mut end = SimEnd::new(&caps, policies);
            let sent = play(path, &log, &mut end)?;
            let broken = end.port_mut().take_violation();
            let sent = match broken {
                Some(violation) => Err(format!("{violation:?}")),
                None => sent,
            };
            played.push(Played { over: format!("the simulated NIC, {what}"), sent });
        }
    }
    {
        use model::{CompletionPolicy, DmaPolicy};
        for (what, policies) in [
            ("reads and reports at once", (DmaPolicy::AtDoorbell, CompletionPolicy::AtRead)),
            ("reads and reports late", (DmaPolicy::AtWork, CompletionPolicy::WholeRing)),
        ] {
            let mut end = NicEnd::new(&caps, policies).map_err(|e| netmap_failure(&e))?;
            let sent = play(path, &log, &mut end)?;
            let sent = match end.violations().first() {
                Some(violation) => Err(format!("{violation:?}")),
                None => sent,
            };
            played.push(Played { over: format!("the model of netmap's NIC, {what}"), sent });
        }
    }
    let mut pipe = TwoEnds::modelled(&caps, sender).map_err(|e| netmap_failure(&e))?;
    let sent = play(path, &log, &mut pipe)?;
    played.push(Played { over: "the model of netmap's pipe".into(), sent });
    if let Some((near, far)) = real {
        let mut ends = open(near, &far, &log, sender).map_err(|e| netmap_failure(&e))?;
        let sent = play(path, &log, &mut ends)?;
        played.push(Played { over: near.to_string(), sent });
    }
    let said = if as_json { json(&log, &played) } else { text(path, &log, &played) };
    human::print(&said)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the results: {e}")))?;
    match played.iter().filter(|played| played.sent.is_err()).count() {
        0 => Ok(()),
        differ => Err(Failure::new(
            Kind::Difference,
            format!("other frames than were recorded over {}", human::count(differ as u64, "port")),
        )),
    }
}

fn read(path: &Path) -> Result<TurnLog, Failure> {
    let fail = |what: String| Failure::new(Kind::File, format!("{}: {what}", path.display()));
    let len = fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if len > LOG_BYTES_MAX {
        return Err(fail(format!("{}: no turn log is that long", human::bytes(len))));
    }
    let file = fs::read(path).map_err(|e| fail(e.to_string()))?;
    TurnLog::decode(&file).map_err(|e| fail(e.to_string()))
}

fn unusable(path: &Path, what: &Divergence) -> Failure {
    Failure::new(Kind::File, format!("{}: {what}", path.display()))
}

/// Plays the log over one port; fails where no port could play it.
fn play<H: Harness>(
    path: &Path,
    log: &TurnLog,
    end: &mut H,
) -> Result<Result<Output, String>, Failure> {
    match same_output(log, end) {
        Err(what @ Divergence::Config(_)) => Err(unusable(path, &what)),
        done => Ok(done.map_err(|what| what.to_string())),
    }
}

/// The bodies that were served, out of the directory that they came from.
fn bodies(log: &TurnLog, dir: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let fail = |what: String| Failure::new(Kind::File, format!("{}: {what}", dir.display()));
    if log.header.config.lines().next() != Some(served::TITLE) {
        return Err(Failure::new(Kind::Usage, "--content: this log was not recorded by serve"));
    }
    let served: Served = log.header.config.parse().map_err(|e| fail(format!("the log: {e}")))?;
    if served.files.len() > CONTENT_FILES_MAX {
        return Err(fail(format!("more than {CONTENT_FILES_MAX} files were served")));
    }
    let bytes: u64 = served.files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.len));
    if bytes > SITE_BYTES_MAX {
        let most = human::bytes(SITE_BYTES_MAX);
        return Err(fail(format!("more than {most}, which a replay keeps in memory")));
    }
    let site = Site::scan(dir)?;
    let mut bodies = Vec::with_capacity(served.files.len());
    let paths: std::collections::BTreeMap<_, _> =
        site.catalogue.files().map(|item| (item.path, item.file.0 as usize)).collect();
    for file in &served.files {
        let Some(at) = paths.get(file.path.as_str()) else {
            return Err(fail(format!("{} was served and is not there", file.path)));
        };
        let body = fs::read(&site.files[*at].path);
        let body = body.map_err(|e| fail(format!("{}: {e}", file.path)))?;
        if body.len() as u64 != file.len || served::body_digest(&body) != file.digest {
            return Err(fail(format!("{} is not the file that was served", file.path)));
        }
        bodies.push(body);
    }
    Ok(bodies)
}

/// The port at the other end of a cable.
fn far_end(near: &PortName, said: Option<&PortName>) -> Result<PortName, Failure> {
    if let Some(far) = said {
        return Ok(far.clone());
    }
    let mut far = near.clone();
    let Some(Pipe { end, .. }) = &mut far.pipe else {
        let what = format!("--port {near}: name the port at the other end of its cable with --far");
        return Err(Failure::new(Kind::Usage, what));
    };
    *end = match end {
        PipeEnd::Master => PipeEnd::Slave,
        PipeEnd::Slave => PipeEnd::Master,
    };
    Ok(far)
}

fn open(
    near: &PortName,
    far: &PortName,
    log: &TurnLog,
    sender: MacAddr,
) -> Result<TwoEnds<simoom_netmap::device::Device>, NetmapError> {
    let config = netmap_config(&log.header.caps);
    let cable = if near.is_interface() { Cable::Interfaces } else { Cable::Memory };
    let far_port = NetmapPort::open(far, &far_config(&config))?;
    // Whatever the name asks for, the log needs its own number of buffers.
    let near = PortName { buffers: None, ..near.clone() };
    Ok(TwoEnds::new(NetmapPort::open(&near, &config)?, far_port, cable, sender))
}

fn frames_in(log: &TurnLog) -> usize {
    log.turns.iter().flat_map(|turn| &turn.received).map(Vec::len).sum()
}

fn text(path: &Path, log: &TurnLog, played: &[Played]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {}, {} in, {} out",
        path.display(),
        human::count(log.turns.len() as u64, "turn"),
        human::count(frames_in(log) as u64, "frame"),
        human::count(log.output.frames, "frame"),
    );
    for Played { over, sent } in played {
        let _ = match sent {
            Ok(output) => writeln!(
                out,
                "  the same  {}, {} over {over}",
                human::count(output.frames, "frame"),
                human::bytes(output.bytes)
            ),
            Err(what) => writeln!(out, "  DIFFERS   over {over}: {what}"),
        };
    }
    out
}

fn json(log: &TurnLog, played: &[Played]) -> String {
    let ports: Vec<Value> = played
        .iter()
        .map(|Played { over, sent }| match sent {
            Ok(output) => json!({ "over": over, "same": true, "frames_out": output.frames }),
            Err(what) => json!({ "over": over, "same": false, "why": what }),
        })
        .collect();
    let output = log.output;
    let digest = u128::from_be_bytes(output.digest);
    let all = json!({
        "turns": log.turns.len(),
        "frames_in": frames_in(log),
        "frames_out": output.frames,
        "bytes_out": output.bytes,
        "digest": format!("{digest:032x}"),
        "ports": ports,
    });
    format!("{all:#}\n")
}
