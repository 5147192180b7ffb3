//! `--json`: a line of JSON for each turn and each connection as it ends, and one for the capture at
//! the end. docs/analyze.md describes every field. Times are nanoseconds, names end with their unit.

use super::Read;
use super::text::{FINDINGS_MAX, filter};
use crate::captures::Captures;
use crate::failure::{Failure, Kind};
use serde_json::{Map, Value, json};
use simoom_pcap::dissect::OtherKind;
use simoom_replay::analysis::spread::{Nothing, Spread};
use simoom_replay::analysis::{
    Cause, Connection, Direction, Division, SendCounts, Summary, Times, Turn, Vantage,
};
use simoom_replay::flow::{Class, Flow, Found, SynSeen};
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

/// Raised when a field changes its meaning or goes away.
const FORMAT: u32 = 1;

/// The lines, where they are asked for. A reader that has seen enough is no failure.
pub(super) struct Lines {
    out: Option<BufWriter<Stdout>>,
    error: Option<io::Error>,
}

impl Lines {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { out: is_wanted.then(|| BufWriter::new(io::stdout())), error: None }
    }

    pub(super) fn turn(&mut self, flow: &Flow, turn: &Turn) {
        if self.out.is_some() {
            self.write(&turn_line(flow, turn));
        }
    }

    pub(super) fn connection(&mut self, connection: &Connection<'_>) {
        if self.out.is_some() {
            self.write(&connection_line(connection));
        }
    }

    /// The last line.
    pub(super) fn end(
        &mut self,
        summary: &Summary,
        read: &Read,
        captures: &Captures,
    ) -> Result<(), Failure> {
        if self.out.is_some() {
            self.write(&capture_line(summary, read, &captures.names()));
        }
        if let Some(out) = &mut self.out
            && let Err(error) = out.flush()
        {
            self.error.get_or_insert(error);
        }
        match self.error.take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(Kind::Runtime, format!("stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, value: &Value) {
        if self.error.is_none()
            && let Some(out) = &mut self.out
        {
            let written = serde_json::to_writer(&mut *out, value).map_err(io::Error::from);
            self.error = written.and_then(|()| out.write_all(b"\n")).err();
        }
    }
}

fn turn_line(flow: &Flow, turn: &Turn) -> Value {
    json!({
        "type": "turn",
        "connection": flow.id.0,
        "turn": turn.number,
        "client": flow.client().to_string(),
        "server": flow.server().to_string(),
        "began_unix_ns": turn.began_at,
        "ns": turn.nanos,
        "end": turn.end.name(),
        "partial": turn.is_partial,
        "pipelined": turn.is_pipelined,
        "request_bytes": turn.request_bytes,
        "answer_bytes": turn.answer_bytes,
        "first_frame": turn.frames.0,
        "last_frame": turn.frames.1,
        "causes_ns": causes(&turn.division),
        "waits_ns": waits(&turn.division),
    })
}

fn connection_line(connection: &Connection<'_>) -> Value {
    let flow = connection.flow;
    let ended = connection.ended;
    json!({
        "type": "connection",
        "connection": flow.id.0,
        "client": flow.client().to_string(),
        "server": flow.server().to_string(),
        "server_found_by": flow.found.name(),
        "class": ended.verdict.class.name(),
        "reason": ended.verdict.reason.to_string(),
        "ending": ended.ending.name(),
        "first_frame": flow.first_frame,
        "last_frame": flow.last_frame,
        "began_unix_ns": flow.opened_at,
        "ns": connection.nanos(),
        "vantage": connection.handshake.vantage().name(),
        "handshake_ns": connection.handshake.nanos,
        "to_server_ns": connection.handshake.to_server,
        "to_client_ns": connection.handshake.to_client,
        "turns": connection.turns,
        "slowest_turn_ns": connection.slowest_nanos,
        "idle_ns": connection.idle_nanos,
        "causes_ns": causes(&connection.division),
        "waits_ns": waits(&connection.division),
        "goodput_bits_per_s": connection.goodput(),
        "throughput_bits_per_s": connection.throughput(),
        "copies": flow.copies,
        "damaged": flow.damaged,
        "outside_window": flow.outside,
        "client_sent": direction(connection, 0),
        "server_sent": direction(connection, 1),
    })
}

fn direction(connection: &Connection<'_>, n: usize) -> Value {
    let (flow, direction) = (connection.flow, &connection.directions[n]);
    let mut all = Map::new();
    all.insert("frames".into(), flow.frames[n].into());
    all.insert("wire_bytes".into(), flow.wire_bytes[n].into());
    all.insert("syn".into(), flow.syns[n].as_ref().map_or(Value::Null, syn));
    all.insert("mss".into(), direction.mss.into());
    all.insert("gap_bytes".into(), flow.streams[n].gap_bytes().into());
    all.extend(counts(&direction.counts));
    all.insert("rtt_by_timestamps".into(), times(&direction.by_timestamps));
    all.insert("rtt_by_sequence".into(), times(&direction.by_sequence));
    all.insert("rtt_quantiles_ns".into(), quantiles(direction));
    Value::Object(all)
}

fn quantiles(direction: &Direction) -> Value {
    match direction.rtt_quantiles {
        Some([median, p95, p99]) => json!({ "p50": median, "p95": p95, "p99": p99 }),
        None => Value::Null,
    }
}

fn syn(syn: &SynSeen) -> Value {
    json!({
        "frame": syn.frame,
        "sent": syn.count,
        "window": syn.window,
        "mss": syn.mss,
        "window_scale": syn.window_scale,
        "sack_permitted": syn.sack_permitted,
        "timestamps": syn.timestamps.is_some(),
    })
}

fn times(times: &Times) -> Value {
    match times.mean() {
        Some(mean) => json!({
            "count": times.count, "least_ns": times.least, "mean_ns": mean, "most_ns": times.most
        }),
        None => json!({ "count": 0 }),
    }
}

fn counts(counts: &SendCounts) -> Map<String, Value> {
    let all: [(&str, u64); 21] = [
        ("segments", counts.segments),
        ("bytes", counts.bytes),
        ("bytes_again", counts.bytes_again),
        ("again", counts.again()),
        ("fast", counts.fast.into()),
        ("rto", counts.rto.into()),
        ("rto_tail", counts.rto_tail.into()),
        ("after_rto", counts.after_rto.into()),
        ("tail_probes", counts.tail_probes.into()),
        ("unclear", counts.unclear.into()),
        ("syn_again", counts.syn.into()),
        ("fin_again", counts.fin.into()),
        ("spurious", counts.spurious.into()),
        ("window_probes", counts.window_probes.into()),
        ("keep_alives", counts.keep_alives.into()),
        ("out_of_order", counts.out_of_order.into()),
        ("duplicate_acks", counts.duplicate_acks.into()),
        ("dsacks", counts.dsacks.into()),
        ("sack_acks", counts.sack_acks.into()),
        ("zero_windows", counts.zero_windows.into()),
        ("zero_window_ns", counts.zero_window_nanos),
    ];
    let mut all: Map<_, _> = all.into_iter().map(|(name, n)| (name.into(), n.into())).collect();
    all.insert("zero_window_acks".into(), counts.zero_window_acks.into());
    all
}

fn causes(division: &Division) -> Value {
    let of = |cause: &Cause| (cause.name().to_owned(), division.of_cause(*cause).into());
    Value::Object(Cause::ALL.iter().map(of).collect())
}

/// Only those that took any time.
fn waits(division: &Division) -> Value {
    let parts = division.parts().map(|(wait, nanos)| (wait.name().to_owned(), nanos.into()));
    Value::Object(parts.collect())
}

fn spread(spread: &Spread<Nothing>) -> Value {
    json!({
        "count": spread.count(),
        "least": spread.least(),
        "p50": spread.quantile(500),
        "p95": spread.quantile(950),
        "p99": spread.quantile(990),
        "most": spread.most(),
        "mean": spread.mean(),
    })
}

fn capture_line(summary: &Summary, read: &Read, names: &[String]) -> Value {
    let counts_of = &summary.counts;
    let classes: Map<_, _> = Class::ALL
        .iter()
        .map(|class| {
            let count = counts_of.class(*class);
            let value = json!({
                "connections": count.connections, "frames": count.frames, "evicted": count.evicted
            });
            (class.name().to_owned(), value)
        })
        .collect();
    let others: Map<_, _> = OtherKind::ALL
        .iter()
        .zip(counts_of.others)
        .map(|(kind, n)| (kind.name().to_owned(), n.into()))
        .collect();
    let found: Map<_, _> = Found::ALL
        .iter()
        .zip(counts_of.found)
        .map(|(found, n)| (found.name().to_owned(), n.into()))
        .collect();
    let servers: Vec<_> = counts_of
        .servers
        .iter()
        .map(|(server, count)| {
            json!({
                "server": server.to_string(),
                "handshakes": count.handshakes,
                "connections": count.connections
            })
        })
        .collect();
    json!({
        "type": "capture",
        "format": FORMAT,
        "inputs": names,
        "frames": counts_of.frames,
        "frames_accounted": counts_of.accounted(),
        "wire_bytes": summary.wire_bytes,
        "first_unix_ns": summary.span.map(|span| span.0),
        "last_unix_ns": summary.span.map(|span| span.1),
        "reading": reading(read),
        "classes": classes,
        "frames_besides": {
            "other": others,
            "fragments": counts_of.fragments,
            "damaged_strays": counts_of.damaged_strays,
        },
        "copies": counts_of.copies,
        "damaged": counts_of.damaged,
        "alive_most": counts_of.alive_most,
        "servers": servers,
        "servers_unlisted": counts_of.servers_unlisted,
        "server_found_by": found,
        "turned_round": counts_of.turned_round,
        "vantage": summary.vantage().name(),
        "vantages": vantages(summary),
        "connections_wanted": summary.connections,
        "connections_with_turns": summary.with_turns,
        "turns": turns(summary),
        "idle_ns": summary.idle_nanos,
        "findings": findings(summary, names.len()),
        "client_sent": counts(&summary.directions[0]),
        "server_sent": counts(&summary.directions[1]),
        "rtt_ns": {
            "to_client_by_timestamps": spread(&summary.by_timestamps[1]),
            "to_client_by_sequence": spread(&summary.by_sequence[1]),
            "to_server_by_timestamps": spread(&summary.by_timestamps[0]),
            "to_server_by_sequence": spread(&summary.by_sequence[0]),
        },
        "handshake_ns": spread(&summary.handshakes),
        "syn_to_syn_ack_ns": spread(&summary.to_server),
        "syn_ack_to_ack_ns": spread(&summary.to_client),
    })
}

fn reading(read: &Read) -> Value {
    let (stats, fragment) = (&read.stats, &read.segments.fragment);
    json!({
        "frame_bytes": stats.frame_bytes,
        "cut_frames": stats.cut_frames,
        "clock_backwards": stats.clock_backwards,
        "times_out_of_range": stats.times_out_of_range,
        "bad_blocks": stats.bad_blocks,
        "bad_lengths": stats.bad_lengths,
        "bytes_passed_over": stats.bytes_passed_over,
        "cut_inputs": stats.cut_inputs,
        "segments": read.segments.segments,
        "datagrams": {
            "completed": fragment.completed,
            "not_tcp": fragment.not_tcp,
            "malformed": fragment.malformed,
            "given_up": fragment.given_up,
            "expired": fragment.expired,
            "evicted": fragment.evicted,
            "incomplete": fragment.incomplete,
            "duplicate_parts": fragment.duplicates,
            "overlapping_parts": fragment.overlaps,
        },
    })
}

fn vantages(summary: &Summary) -> Value {
    let of =
        |vantage: &Vantage| (vantage.name().to_owned(), summary.vantages[*vantage as usize].into());
    Value::Object(Vantage::ALL.iter().map(of).collect())
}

fn turns(summary: &Summary) -> Value {
    let turns = &summary.turns;
    let at = |per_mille: u64, and_slower: bool| {
        let found =
            if and_slower { turns.spread.from(per_mille) } else { turns.spread.at(per_mille) };
        found.map(|bucket| {
            json!({
                "turns": bucket.count,
                "ns": bucket.with.total(),
                "causes_ns": causes(&bucket.with),
                "waits_ns": waits(&bucket.with),
            })
        })
    };
    json!({
        "count": turns.spread.count(),
        "unanswered": turns.unanswered,
        "unfinished": turns.unfinished,
        "pipelined": turns.pipelined,
        "partial": turns.partial,
        "request_bytes": turns.bytes[0],
        "answer_bytes": turns.bytes[1],
        "ns": {
            "least": turns.spread.least(),
            "p50": turns.spread.quantile(500),
            "p95": turns.spread.quantile(950),
            "p99": turns.spread.quantile(990),
            "most": turns.spread.most(),
            "mean": turns.spread.mean(),
        },
        "causes_ns": causes(&turns.sum),
        "waits_ns": waits(&turns.sum),
        "median": at(500, false),
        "p99_and_slower": at(990, true),
    })
}

fn findings(summary: &Summary, inputs: usize) -> Value {
    let worst = summary.findings.worst();
    let all = worst.iter().enumerate().map(|(n, finding)| {
        let cases: Vec<_> = finding
            .cases
            .iter()
            .map(|case| {
                json!({
                    "connection": case.flow.0,
                    "client": case.client.to_string(),
                    "server": case.server.to_string(),
                    "turn": case.turn,
                    "ns": case.nanos,
                    "turn_ns": case.turn_nanos,
                    "first_frame": case.frames.0,
                    "last_frame": case.frames.1,
                    "filter": filter(case, inputs),
                })
            })
            .collect();
        json!({
            "wait": finding.wait.name(),
            "cause": finding.wait.cause().name(),
            "what": finding.wait.finding(),
            "on_screen": n < FINDINGS_MAX,
            "ns": finding.nanos,
            "turns": finding.turns,
            "worst": cases,
        })
    });
    Value::Array(all.collect())
}
