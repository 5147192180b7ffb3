//! What came of a load: lines for people, an object for scripts, and whether it was well.

use super::Args;
use super::drive::{GaveUp, Outcome};
use super::targets::{SMALL_BELOW, Targets};
use crate::failure::{Failure, Kind};
use crate::human;
use serde_json::{Value, json};
use std::fmt::Write;

/// What was asked for.
pub(super) struct Setup {
    port: String,
    server: String,
    targets: u32,
    small: u32,
    bytes: u64,
    connections: u32,
    requests_per_connection: Option<u64>,
    pipeline: u8,
    rate: Option<f64>,
    timeout: u64,
}

impl Setup {
    pub(super) fn of(args: &Args, targets: &Targets) -> Self {
        Self {
            port: args.port.to_string(),
            server: args.server.to_string(),
            targets: targets.len(),
            small: targets.small(),
            bytes: targets.bytes(),
            connections: args.connections,
            requests_per_connection: args.requests_per_connection,
            pipeline: args.pipeline,
            rate: args.rate.map(|per_kilosecond| per_kilosecond as f64 / 1_000.0),
            timeout: args.timeout,
        }
    }
}

/// The quantiles that are shown, and what they are called.
const QUANTILES: [(f64, &str, &str); 6] = [
    (0.5, "p50", "50 %"),
    (0.75, "p75", "75 %"),
    (0.9, "p90", "90 %"),
    (0.99, "p99", "99 %"),
    (0.999, "p999", "99.9 %"),
    (0.9999, "p9999", "99.99 %"),
];

impl Outcome {
    /// Answers that were not what they must be.
    fn wrong(&self) -> u64 {
        let c = &self.client;
        c.wrong_bytes + c.wrong_length + c.wrong_status + c.malformed
    }

    fn per_second(&self, n: u64) -> f64 {
        if self.seconds > 0.0 { n as f64 / self.seconds } else { 0.0 }
    }

    pub(super) fn text(&self, setup: &Setup) -> String {
        let mut out = String::new();
        let loop_kind = match setup.rate {
            Some(rate) => format!("open loop, {rate} requests a second"),
            None => "closed loop".to_string(),
        };
        let kept = match setup.requests_per_connection {
            Some(1) => "one request each".to_string(),
            Some(n) => format!("{n} requests each"),
            None => "kept".to_string(),
        };
        let small = human::bytes(SMALL_BELOW);
        let _ = writeln!(
            out,
            "{} through {}: {}, {} below {small}; {}, {kept}; {loop_kind}",
            setup.server,
            setup.port,
            human::count(setup.targets.into(), "path"),
            setup.small,
            human::count(setup.connections.into(), "connection"),
        );
        let c = &self.client;
        let _ = writeln!(
            out,
            "{} requests, {} answered right, {} in {:.3} s: {:.1} a second, {} a second",
            c.requests,
            c.succeeded,
            human::bytes(c.bytes),
            self.seconds,
            self.per_second(c.succeeded),
            human::bytes(self.per_second(c.bytes) as u64),
        );
        let mut line = |count: u64, what: &str| {
            if count > 0 {
                let _ = writeln!(out, "  {count:>12}  {what}");
            }
        };
        line(c.wrong_bytes, "answers with WRONG BYTES");
        line(c.wrong_length, "answers of another length");
        line(c.wrong_status, "answers of another status than 200");
        line(c.malformed, "answers that are no HTTP");
        line(c.failed, "requests failed in all");
        line(c.cut_off, "connections ended before their last answer");
        line(c.open_failed, "connections not opened");
        line(self.unfinished, "requests under way at the end");
        line(c.connections, "connections opened");
        line(self.stack.frames_in, "frames in");
        line(self.stack.frames_out, "frames out");
        line(self.stack.rx_bad_checksum, "frames with a wrong checksum");
        for (count, what) in &self.dropped {
            line(*count, &format!("dropped: {what}"));
        }
        if !self.latencies.is_empty() {
            let from = if setup.rate.is_some() { "when a request was due" } else { "the request" };
            let _ = writeln!(out, "latency, from {from} to the last byte of its answer:");
            for (quantile, _, shown) in QUANTILES {
                let nanos = self.latencies.value_at_quantile(quantile);
                let _ = writeln!(out, "  {shown:>8}  {:>12} us", micros(nanos));
            }
            let _ = writeln!(out, "  {:>8}  {:>12} us", "longest", micros(self.latencies.max()));
            let mean = self.latencies.mean() / 1e3;
            let _ = writeln!(out, "  {:>8}  {mean:>12.1} us", "mean");
        }
        if self.interrupted {
            out.push_str("ended by a signal\n");
        }
        out
    }

    pub(super) fn json(&self, setup: &Setup) -> Value {
        let c = &self.client;
        let mut latency = json!({
            "count": self.latencies.len(),
            "mean": self.latencies.mean(),
            "max": self.latencies.max(),
        });
        for (quantile, name, _) in QUANTILES {
            latency[name] = self.latencies.value_at_quantile(quantile).into();
        }
        let dropped = self.dropped.iter().map(|(n, what)| (what.to_string(), json!(n)));
        json!({
            "server": setup.server,
            "port": setup.port,
            "paths": setup.targets,
            "paths_below_25_kb": setup.small,
            "content_bytes": setup.bytes,
            "connections": setup.connections,
            "requests_per_connection": setup.requests_per_connection,
            "pipeline": setup.pipeline,
            "rate": setup.rate,
            "interrupted": self.interrupted,
            "gave_up": self.gave_up.map(|why| match why {
                GaveUp::Silence => "silence",
                GaveUp::Refused => "refused",
            }),
            "seconds": self.seconds,
            "requests": c.requests,
            "succeeded": c.succeeded,
            "failed": c.failed,
            "unfinished": self.unfinished,
            "wrong_bytes": c.wrong_bytes,
            "wrong_length": c.wrong_length,
            "wrong_status": c.wrong_status,
            "malformed": c.malformed,
            "cut_off": c.cut_off,
            "connections_opened": c.connections,
            "connections_failed": c.open_failed,
            "body_bytes": c.bytes,
            "head_bytes": c.head_bytes,
            "requests_per_second": self.per_second(c.succeeded),
            "bytes_per_second": self.per_second(c.bytes),
            "latency_nanos": latency,
            "frames_in": self.stack.frames_in,
            "frames_out": self.stack.frames_out,
            "port_dropped": dropped.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// Whether all was well; `setup` names whom to look at.
    pub(super) fn verdict(self, setup: &Setup) -> Result<(), Failure> {
        let c = &self.client;
        let wrong = self.wrong();
        if wrong > 0 {
            return Err(Failure::new(
                Kind::Scenario,
                format!(
                    "{wrong} of {} answers were wrong: {} with other bytes, {} of another length, {} of \
                     another status, {} no HTTP",
                    c.requests, c.wrong_bytes, c.wrong_length, c.wrong_status, c.malformed
                ),
            ));
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let server = &setup.server;
        let why = match self.gave_up {
            Some(GaveUp::Refused) => format!(
                "{server} refuses connections, or cannot be reached: is a server listening there?"
            ),
            Some(GaveUp::Silence) => format!(
                "no answer from {server} for {} s: look whether it runs, and whether its end of the \
                 cable is in the same subnet",
                setup.timeout
            ),
            None if c.failed > 0 => format!("{} of {} requests failed", c.failed, c.requests),
            None => return Ok(()),
        };
        Err(Failure::new(Kind::Runtime, why))
    }
}

fn micros(nanos: u64) -> String {
    format!("{:.1}", nanos as f64 / 1e3)
}
