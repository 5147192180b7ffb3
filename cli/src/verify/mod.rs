//! `simoom verify`: whether a NIC, a pipe or a switch keeps what prepared segments rest on.
//!
//! Opens both ports, drives the [`Verifier`] with their clock, and makes of what it measured a NIC for
//! the simulator. What is sent, and what is wrong about what comes, is the verifier's alone;
//! [`said`] is how it is told.

mod said;
#[cfg(test)]
mod tests;

use crate::failure::{Failure, Kind};
use crate::human;
use crate::serve::{PortName, netmap_failure};
use clap::value_parser;
use simoom_core::port::Port;
use simoom_core::time::Duration;
use simoom_core::wire::MacAddr;
use simoom_linux::stop::StopFlag;
use simoom_netmap::device::{Device, hardware_address};
use simoom_netmap::error::NetmapError;
use simoom_netmap::kernel::Kernel;
use simoom_netmap::name;
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use simoom_port_conformance::verify::{Report, Step, Verifier, VerifyConfig};
use simoom_scenarios::{Measurement, NicFindings};
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};
use std::fs;
use std::path::PathBuf;

/// What to type, as `--help` shows it.
pub(crate) const EXAMPLE: &str = "\
Examples, as root:
  simoom verify --a netmap:eth1 --b netmap:eth2     two ports, a cable between them
  simoom verify --a 'netmap:check{1' --b 'netmap:check}1' --frames 100000
  simoom sim sim-scenarios/standard.toml --nic nic.toml

Neither port may serve meanwhile; nothing else should send on the cable.";

/// What `simoom verify` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port under test: it sends
    #[arg(long, value_name = "netmap:NAME")]
    a: PortName,
    /// Where its frames arrive
    #[arg(long, value_name = "netmap:NAME")]
    b: PortName,
    /// Frames to send
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = value_parser!(u64).range(2..=1_000_000_000_000))]
    frames: u64,
    /// Stop sending after this many seconds [default: when all frames are sent]
    #[arg(long, value_name = "S", value_parser = value_parser!(u32).range(1..=1_000_000))]
    seconds: Option<u32>,
    /// Frames on the way at once, at most: what the receiver's ring holds [default: the slots of the
    /// sender's ring, or the receiver's where those are fewer]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65_536))]
    window: Option<u32>,
    /// Where the NIC's file goes; it is written where nothing wrong was found
    #[arg(long, value_name = "FILE.toml", default_value = "nic.toml")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Verifies, says what was found and writes the NIC's file. Fails where anything was wrong.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let [from, to] = [("--a", &args.a), ("--b", &args.b)].map(|(option, port)| match port {
        PortName::Netmap(name) => Ok(name),
        PortName::Tap(_) => Err(Failure::new(
            Kind::Usage,
            format!(
                "{option} {port}: a TAP device copies every frame before it answers, so there is \
                 nothing to verify: write netmap:NAME"
            ),
        )),
    });
    let (from, to) = (from?, to?);
    if from == to {
        let what = format!("--a and --b are both {from}: frames need a second port to arrive at");
        return Err(Failure::new(Kind::Usage, what));
    }
    let stop = StopFlag::new()
        .and_then(|stop| stop.raise_on_interrupt().map(|()| stop))
        .map_err(|e| Failure::new(Kind::Runtime, format!("cannot wait for signals: {e}")))?;
    let (mut a, mut b) = (open(from)?, open(to)?);
    let window = args.window.unwrap_or_else(|| a.caps().tx_slots.min(b.rx_slots()));
    let config = VerifyConfig {
        frames: args.frames,
        seed: getrandom::u64().map_err(|e| {
            Failure::new(Kind::Runtime, format!("the system gives no random numbers: {e}"))
        })?,
        destination: address(to, 2),
        source: address(from, 1),
        window: Some(window),
        ..VerifyConfig::default()
    };
    let limit = args.seconds.map(|s| Duration::from_secs(s.into()));
    let report = drive(&config, &mut a, &mut b, limit, || stop.is_raised())?;
    let findings = nic_of(&report, &a, [&from.to_string(), &to.to_string()]);
    let closed = a.close().and(b.close());
    let is_right = report.is_right();
    if is_right {
        fs::write(&args.out, findings.to_toml()).map_err(|e| {
            Failure::new(Kind::File, format!("cannot write {}: {e}", args.out.display()))
        })?;
    }
    let file = is_right.then_some(args.out.as_path());
    let text = if args.json {
        format!("{:#}\n", said::json(&report, &findings, file))
    } else {
        said::text(&report, &findings, file)
    };
    human::print(&text)
        .map_err(|e| Failure::new(Kind::File, format!("cannot write the answer: {e}")))?;
    closed.map_err(|e| netmap_failure(&e))?;
    if is_right { Ok(()) } else { Err(Failure::new(Kind::Runtime, said::wrong(&report, from, to))) }
}

fn open(name: &name::PortName) -> Result<NetmapPort<Device>, Failure> {
    let config = NetmapConfig { buffers: BUFFERS, busy_poll: true, ..NetmapConfig::default() };
    NetmapPort::open(name, &config).map_err(|e| netmap_failure(&e))
}

/// Extra buffers to ask for: two for each slot of the longest ring that is usual.
const BUFFERS: u32 = 4_096;

/// The address that an interface takes frames for; else one of our own making.
fn address(name: &name::PortName, number: u8) -> MacAddr {
    MacAddr(hardware_address(name).unwrap_or([2, 0, 0, 0, 0, number]))
}

/// How long to wait where nothing moves.
const PAUSE: Duration = Duration::from_micros(50);

/// Turns the verifier until it is done; stops sending when the time is over or `is_stopped` says so.
fn drive<K: Kernel>(
    config: &VerifyConfig,
    a: &mut NetmapPort<K>,
    b: &mut NetmapPort<K>,
    limit: Option<Duration>,
    is_stopped: impl Fn() -> bool,
) -> Result<Report, Failure> {
    let dead = |e: NetmapError| netmap_failure(&e);
    let mut verifier =
        Verifier::new(config, a, b.caps()).map_err(|e| Failure::new(Kind::Usage, e.to_string()))?;
    let start = a.now();
    let mut is_sending = true;
    loop {
        let now = a.now();
        if is_sending && (is_stopped() || limit.is_some_and(|limit| now - start >= limit)) {
            verifier.stop();
            is_sending = false;
        }
        let step = verifier.turn(now, a, b).map_err(dead)?;
        if step == Step::Done {
            return Ok(verifier.report().clone());
        }
        // What was queued leaves, what was released goes back; no completion is forced.
        a.flush().map_err(dead)?;
        b.flush().map_err(dead)?;
        if step == Step::Waiting {
            a.kernel_mut().pause(PAUSE);
        }
    }
}

/// What a simulated NIC must be like to be no kinder than this one was.
///
/// When a device reads cannot be seen from outside, only that it had read when the frame arrived. So
/// the simulated one reads as late as it may: when its ring is full, or after the longest time that
/// any frame took to arrive.
fn nic_of<K: Kernel>(report: &Report, a: &NetmapPort<K>, names: [&str; 2]) -> NicFindings {
    let caps = a.caps();
    let count = |n: u32| Measurement::Count(n.into());
    let [from, to] = names.map(|name| Measurement::Text(name.to_owned()));
    NicFindings {
        tx_slots: caps.tx_slots,
        rx_slots: Some(a.rx_slots()),
        buffers: caps.buffers.max(16),
        dma: DmaPolicy::WholeRing,
        completion: completion_of(report.hold_lazy_max, caps.tx_slots),
        lateness: report.arrival_max.min(LATENESS_MAX),
        hold_frames: report.hold_lazy_max.max(1),
        hold_idle_frames: report.idle,
        measured: vec![
            ("from", from),
            ("to", to),
            ("frames", Measurement::Count(report.right)),
            ("missing", Measurement::Count(report.missing)),
            ("hold_lazy_frames", count(report.hold_lazy_max)),
            ("hold_eager_frames", count(report.hold_eager_max)),
            ("batch_max", count(report.batch_max)),
            ("batch_mean", Measurement::Number(batch_mean(report))),
            ("idle_unforced_frames", count(report.idle_unforced)),
            ("arrival_max_us", Measurement::Number(micros(report.arrival_max.min(LATENESS_MAX)))),
        ],
    }
}

/// What a NIC's file can say.
const LATENESS_MAX: Duration = Duration::from_secs(1_000);

/// The policy whose hold comes closest from above: sooner than half a ring, around half, later.
fn completion_of(hold: u32, tx_slots: u32) -> CompletionPolicy {
    match u64::from(hold) * 8 {
        n if n < u64::from(tx_slots) * 3 => CompletionPolicy::AtSent,
        n if n < u64::from(tx_slots) * 6 => CompletionPolicy::HalfRing,
        _ => CompletionPolicy::WholeRing,
    }
}

fn batch_mean(report: &Report) -> f64 {
    if report.batches == 0 { 0.0 } else { report.batched as f64 / report.batches as f64 }
}

fn micros(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e3
}
