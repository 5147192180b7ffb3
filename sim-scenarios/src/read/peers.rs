//! Receivers of all manners, switches, cross traffic and hostile hosts.

use super::hosts::{read_host, read_sizes};
use super::millis;
use super::way::chance;
use crate::model::{
    CrossSourceSpec, HostKind, HostileKind, HostileSpec, ReceiverSpec, ScriptedSpec, SwitchSpec,
    WorkSpec,
};
use crate::problem::Sink;
use crate::schema::Fields;
use simoom_core::time::{Duration, Instant};
use simoom_sim::hosts::hostile::{Aim, Forgery, Pace};
use simoom_sim::hosts::scripted::{Script, text};
use simoom_sim::hosts::tcp_peer::{Acknowledging, Closing, Manners, Reading, Shrinking};

fn at(fields: &Fields<'_>, key: &str) -> Instant {
    Instant::ZERO + fields.number(key).map_or(Duration::ZERO, millis)
}

/// Thousand bytes as bytes.
fn kb(fields: &Fields<'_>, key: &str) -> Option<u64> {
    fields.number(key).map(|n| (n * 1e3).round() as u64)
}

pub(super) fn read_receiver(
    fields: &Fields<'_>,
    names: &[&str],
    sink: &mut Sink<'_>,
) -> Option<HostKind> {
    let sizes = read_sizes(fields, sink);
    let server = read_host("server", fields, names, sink)?;
    let connections = fields.whole("connections").unwrap_or(1);
    let rounds = fields.whole("rounds").unwrap_or(1);
    let requests_each = fields.whole("requests_each").unwrap_or(1);
    // Each connection has a port of its own, from 20,000 on.
    if connections * rounds > 45_536 {
        fields.complain("rounds", "times connections must be at most 45536: one port each", sink);
    }
    let manners = read_manners(fields, sink);
    if let Err(what) = manners.check() {
        sink.add(fields.at, &fields.path, what);
    }
    let requests = connections * rounds * requests_each;
    let connections = connections as u32;
    Some(HostKind::Receiver(Box::new(ReceiverSpec {
        work: WorkSpec { server, server_port: 0, connections, requests, sizes },
        rounds: rounds as u32,
        requests_each: requests_each as u32,
        start_at: at(fields, "start_ms"),
        stagger: fields.number("stagger_ms").map_or(Duration::ZERO, millis),
        manners,
    })))
}

fn read_manners(fields: &Fields<'_>, sink: &mut Sink<'_>) -> Manners {
    let mut manners = Manners::default();
    if let Some(mss) = fields.whole("mss_bytes") {
        manners.mss = mss as u16;
    }
    if let Some(bytes) = kb(fields, "window_kb") {
        manners = manners.with_window(bytes.clamp(1, 65_535 << 14) as u32);
    }
    if fields.flag("window_scaling") == Some(false) {
        manners.window_scale = None;
        manners.window = manners.window.min(65_535);
    }
    manners.timestamps = fields.flag("timestamps").unwrap_or(true);
    manners.sack = fields.flag("sack").unwrap_or(false);
    let every = fields.whole("ack_every").unwrap_or(1) as u32;
    let delay = match fields.number("ack_delay_ms") {
        Some(ms) => millis(ms),
        None if every > 1 => Duration::from_millis(40),
        None => Duration::ZERO,
    };
    manners.acknowledging = match fields.whole("ack_parts") {
        Some(parts) => Acknowledging::Divided { parts: parts as u32 },
        None => Acknowledging::Delayed { every, delay },
    };
    if fields.has("ack_parts") && (fields.has("ack_every") || fields.has("ack_delay_ms")) {
        fields.complain("ack_parts", "stands in place of ack_every and ack_delay_ms", sink);
    }
    let slow = ["read_chunk_bytes", "read_stall_at_kb", "read_stall_ms", "read_silly"];
    match fields.number("read_kbit") {
        Some(kbit) => {
            let stall_at = kb(fields, "read_stall_at_kb");
            let stall_for = fields.number("read_stall_ms").unwrap_or(1000.0);
            manners.reading = Reading::Slow {
                bytes_per_second: ((kbit * 125.0).round() as u64).max(1),
                chunk: fields.whole("read_chunk_bytes").unwrap_or(4096) as u32,
                stall: stall_at.map(|at| (at, millis(stall_for))),
                silly: fields.flag("read_silly").unwrap_or(false),
            };
        }
        None => {
            for key in slow.into_iter().filter(|key| fields.has(key)) {
                fields.complain(key, "is for a slow reader: say how slow with read_kbit", sink);
            }
        }
    }
    manners.shrinking = kb(fields, "shrink_after_kb").map(|after| Shrinking {
        after,
        every: kb(fields, "shrink_every_kb").unwrap_or(0),
        to: fields.whole("shrink_to_bytes").unwrap_or(0) as u32,
        hold: millis(fields.number("shrink_hold_ms").unwrap_or(1000.0)),
    });
    let after = kb(fields, "closing_after_kb").unwrap_or(0);
    manners.closing = match fields.text("closing") {
        Some("behind-requests") => Closing::BehindRequests,
        Some("after-server") => Closing::AfterServer,
        Some("abort") => Closing::Abort { after },
        Some("vanish") => Closing::Vanish { after },
        _ => Closing::AfterAnswers,
    };
    manners.drip = fields.number("drip_ms").map(millis);
    manners.think = fields.number("think_ms").map_or(Duration::ZERO, millis);
    manners.verify_one_in = fields.whole("verify_one_in").unwrap_or(1) as u32;
    manners
}

pub(super) fn read_scripted(
    fields: &Fields<'_>,
    names: &[&str],
    sink: &mut Sink<'_>,
) -> Option<HostKind> {
    fields.require("script", sink);
    let is_asked = !fields.has("server");
    let server = if is_asked { 0 } else { read_host("server", fields, names, sink)? };
    let script = match text::parse(fields.text("script").unwrap_or_default()) {
        Ok(script) => script,
        Err(error) => {
            fields.complain("script", format!("in its {error}"), sink);
            Script::new()
        }
    };
    let sizes = fields.numbers("size_bytes").unwrap_or_default();
    let sizes = sizes.into_iter().map(|size| size.round() as u64).collect();
    Some(HostKind::Scripted(ScriptedSpec {
        work: WorkSpec { server, server_port: 0, connections: 1, requests: 1, sizes },
        script,
        tolerance: millis(fields.number("tolerance_ms").unwrap_or(1.0)),
        is_asked,
        is_lawless: fields.flag("lawless").unwrap_or(false),
    }))
}

pub(super) fn read_switch(fields: &Fields<'_>, names: &[&str], sink: &mut Sink<'_>) -> HostKind {
    let has = fields.has("mirror_to");
    let mirror_to = has.then(|| read_host("mirror_to", fields, names, sink)).flatten();
    HostKind::Switch(SwitchSpec { mirror_to, ports: 0, mirror_port: None })
}

pub(super) fn read_cross_source(
    fields: &Fields<'_>,
    names: &[&str],
    sink: &mut Sink<'_>,
) -> Option<HostKind> {
    fields.require("rate_mbit", sink);
    fields.require("stop_ms", sink);
    let to = read_host("to", fields, names, sink)?;
    let mbit = fields.number("rate_mbit").unwrap_or(1.0);
    let on = fields.number("on_ms").map(millis);
    if fields.has("off_ms") && !fields.has("on_ms") {
        fields.complain("off_ms", "is the pause after on_ms, which is missing", sink);
    }
    Some(HostKind::CrossSource(CrossSourceSpec {
        to,
        rate_bits: ((mbit * 1e6).round() as u64).max(1),
        frame_bytes: fields.whole("frame_bytes").unwrap_or(1514) as u16,
        poisson: fields.text("gaps") == Some("poisson"),
        bursts: on.map(|on| (on, fields.number("off_ms").map_or(on, millis))),
        start_at: at(fields, "start_ms"),
        stop_at: at(fields, "stop_ms"),
    }))
}

pub(super) fn read_hostile(
    kind: &str,
    fields: &Fields<'_>,
    names: &[&str],
    sink: &mut Sink<'_>,
) -> Option<HostKind> {
    fields.require("per_second", sink);
    fields.require("count", sink);
    let server = read_host("server", fields, names, sink)?;
    let (per_second, count) = (fields.whole("per_second"), fields.whole("count"));
    let start_at = at(fields, "start_ms");
    let pace = Pace { start_at, ..Pace::per_second(per_second.unwrap_or(1), count.unwrap_or(1)) };
    let mut sizes = Vec::new();
    let kind = match kind {
        "syn-flood" => {
            HostileKind::SynFlood { sources: fields.whole("sources").unwrap_or(1000) as u32 }
        }
        "random-segments" => HostileKind::RandomSegments {
            ports: fields.whole("ports").unwrap_or(16) as u16,
            malformed: chance(fields.number("malformed_percent").unwrap_or(10.0)),
        },
        "blind-injector" => read_blind(fields, names, sink)?,
        _ => {
            fields.require("size_kb", sink);
            sizes.push(kb(fields, "size_kb").unwrap_or(0));
            HostileKind::OptimisticAcker {
                step: fields.whole("step_bytes").unwrap_or(1460) as u32,
                ahead_max: kb(fields, "ahead_kb").unwrap_or(1_000_000) as u32,
            }
        }
    };
    let target = WorkSpec { server, server_port: 0, connections: 1, requests: 0, sizes };
    Some(HostKind::Hostile(HostileSpec { target, pace, kind }))
}

fn read_blind(fields: &Fields<'_>, names: &[&str], sink: &mut Sink<'_>) -> Option<HostileKind> {
    let mut forgeries = Vec::new();
    for (text, at) in fields.texts("forgeries").unwrap_or_default() {
        match text {
            "reset" => forgeries.push(Forgery::Reset),
            "syn" => forgeries.push(Forgery::Syn),
            "text" => forgeries.push(Forgery::Text),
            _ => sink.add(at, &fields.path_of("forgeries"), "must be reset, syn or text"),
        }
    }
    if forgeries.is_empty() {
        forgeries = vec![Forgery::Reset, Forgery::Syn, Forgery::Text];
    }
    let overheard = fields.flag("overheard").unwrap_or(false);
    if fields.has("beyond_bytes") && !overheard {
        fields.complain("beyond_bytes", "is for who has overheard = true", sink);
    }
    let from = fields.whole("beyond_bytes").unwrap_or(1) as u32;
    let aim = if overheard { Aim::Overheard { from, upto: from * 2 } } else { Aim::Random };
    let victim = read_host("victim", fields, names, sink)?;
    Some(HostileKind::BlindInjector { victim, forgeries, aim })
}
