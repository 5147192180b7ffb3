//! What was found, for people and for programs.

use super::{batch_mean, micros};
use serde_json::{Value, json};
use simoom_netmap::name::PortName;
use simoom_port_conformance::verify::{Finding, Report};
use simoom_scenarios::NicFindings;
use std::fmt::Write;
use std::path::Path;

/// Findings that are told on the terminal.
const TOLD_MAX: usize = 5;

pub(super) fn text(report: &Report, nic: &NicFindings, file: Option<&Path>) -> String {
    let mut out = String::new();
    let slots = nic.tx_slots;
    for (count, what) in [
        (report.submitted, format!("frames sent in {:.1} s", report.took.as_secs_f64())),
        (report.shared, "of them in two slots, with payload that others share".to_owned()),
        (report.renewed, "payloads written anew as soon as they were given back".to_owned()),
        (report.right, "came as they were sent".to_owned()),
        (report.missing, "never came".to_owned()),
        (report.foreign, "came from somebody else".to_owned()),
        (report.wrong, "findings".to_owned()),
        (
            report.hold_lazy_max.into(),
            format!("later frames before a completion showed, at most, of {slots} slots"),
        ),
        (report.hold_eager_max.into(), "the same, completions forced at every turn".to_owned()),
        (
            report.batch_max.into(),
            format!("completions at once, at most; {:.1} on average", batch_mean(report)),
        ),
        (report.idle_unforced.into(), "frames kept when all had come, nothing forced".to_owned()),
        (report.idle.into(), "frames kept by the idle device whatever was forced".to_owned()),
        (report.exchanged, "buffers kept by the peer, another given for each".to_owned()),
    ] {
        let _ = writeln!(out, "  {count:>12}  {what}");
    }
    let _ = writeln!(
        out,
        "  {:>12.1}  µs from submission to arrival, at most",
        micros(report.arrival_max)
    );
    match file {
        Some(path) => {
            let path = path.display();
            let _ = writeln!(out, "nothing wrong; {path} is for: simoom sim FILE --nic {path}");
        }
        None => out.push_str("no NIC's file is written: no simulation speaks for such a device\n"),
    }
    out
}

pub(super) fn json(report: &Report, nic: &NicFindings, file: Option<&Path>) -> Value {
    json!({
        "right": report.is_right(),
        "frames_sent": report.submitted,
        "frames_shared": report.shared,
        "payloads_renewed": report.renewed,
        "frames_right": report.right,
        "frames_missing": report.missing,
        "frames_foreign": report.foreign,
        "findings": report.wrong,
        "first_findings": report.findings.iter().map(Finding::to_string).collect::<Vec<_>>(),
        "tx_slots": nic.tx_slots,
        "hold_lazy_frames": report.hold_lazy_max,
        "hold_eager_frames": report.hold_eager_max,
        "batches": report.batches,
        "batch_max": report.batch_max,
        "batch_mean": batch_mean(report),
        "forced": report.forced,
        "idle_unforced_frames": report.idle_unforced,
        "idle_frames": report.idle,
        "exchanged": report.exchanged,
        "arrival_max_us": micros(report.arrival_max),
        "seconds": report.took.as_secs_f64(),
        "nic_file": file.map(|path| path.display().to_string()),
    })
}

/// Why the device cannot be trusted, in a few lines.
pub(super) fn wrong(report: &Report, from: &PortName, to: &PortName) -> String {
    if report.wrong == 0 {
        return format!(
            "none of {} frames from {from} came to {to}: see that a cable or a switch joins them, and \
             that both interfaces are up",
            report.submitted
        );
    }
    let mut out = format!("{from} is not to be trusted with prepared segments:");
    for finding in report.findings.iter().take(TOLD_MAX) {
        let _ = write!(out, "\n  {finding}");
    }
    let rest = report.wrong - report.findings.len().min(TOLD_MAX) as u64;
    if rest > 0 {
        let _ = write!(out, "\n  and {rest} more");
    }
    out
}
