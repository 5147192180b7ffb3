//! `--json`: one object, keys in a fixed order. Times are nanoseconds.

use serde_json::{Map, Value, json};
use simoom_replay::compare::summary::Meaningless;
use simoom_replay::compare::{
    Again, Class, ConnectionReport, Difference, HeadDifference, Kind, Sent,
};
use simoom_replay::flow;
use simoom_replay::open::OpenTotals;
use simoom_replay::open::wire::tshark_filter;
use simoom_replay::prepare::Prepared;
use simoom_sim::print::state_name;
use std::fs::File;

pub(super) fn text(
    whom: &str,
    prepared: &Prepared<File>,
    totals: &OpenTotals,
    frames: u64,
) -> String {
    let summary = &totals.summary;
    let counts = &prepared.counts;
    let servers: Vec<Value> = counts
        .servers
        .iter()
        .map(|(addr, one)| {
            json!({
                "address": addr.to_string(),
                "handshakes": one.handshakes,
                "connections": one.connections,
            })
        })
        .collect();
    let classes: Map<String, Value> = flow::Class::ALL
        .into_iter()
        .map(|class| {
            let count = counts.class(class);
            let value = json!({ "connections": count.connections, "frames": count.frames });
            (class.name().to_owned(), value)
        })
        .collect();
    let left_out: Map<String, Value> =
        prepared.left_out.iter().map(|(class, n)| (class.name().to_owned(), json!(n))).collect();
    let differences: Map<String, Value> = summary
        .by_weight()
        .into_iter()
        .map(|(class, count)| {
            let value = json!({
                "first_in": count.first_in,
                "found_in": count.found_in,
                "times": count.times,
                "examples": count.examples,
            });
            (class.name().to_owned(), value)
        })
        .collect();
    let meaningless: Map<String, Value> = Meaningless::ALL
        .into_iter()
        .zip(summary.meaningless)
        .map(|(why, n)| (why.name().to_owned(), json!(n)))
        .collect();
    let connections: Vec<Value> = summary.kept.iter().map(connection).collect();
    let value = json!({
        "as": whom,
        "frames": frames,
        "frames_accounted": counts.accounted(),
        "damaged": counts.damaged,
        "servers": servers,
        "classes": classes,
        "not_replayed": left_out,
        "replayed": {
            "connections": summary.connections,
            "same": summary.same,
            "client_segments": totals.fed,
            "captured_segments": totals.theirs,
            "our_segments": totals.ours,
            "pairs_compared": summary.compared,
            "farthest_apart": summary.farthest,
            "other_syn_ack": totals.misfits,
            "captured_away_from_the_server": totals.distant,
            "scripts_cut": prepared.scripts_cut,
            "from_files": totals.from_files,
            "heads_compared": totals.heads_compared,
            "heads_unread": totals.heads_unread,
            "text_gaps": prepared.text_gaps.0,
            "text_gap_octets": prepared.text_gaps.1,
        },
        "meaningless": meaningless,
        "sent_again": {
            "ours": again(&summary.our_again),
            "captured": again(&summary.their_again),
        },
        "differences": differences,
        "connections": connections,
        "connections_not_listed": summary.not_kept,
    });
    format!("{value:#}\n")
}

fn again(counts: &[u64; Again::ALL.len()]) -> Value {
    let each = Again::ALL.into_iter().zip(counts);
    Value::Object(each.map(|(again, n)| (again.name().to_owned(), json!(n))).collect())
}

fn connection(one: &ConnectionReport) -> Value {
    let found: Map<String, Value> = Class::ALL
        .into_iter()
        .zip(one.counts)
        .filter(|(_, n)| *n > 0)
        .map(|(class, n)| (class.name().to_owned(), json!(n)))
        .collect();
    json!({
        "number": one.serial,
        "client": one.client.to_string(),
        "server": one.server.to_string(),
        "filter": tshark_filter(one.client, one.server),
        "opened_at": one.opened_at,
        "pairs_compared": one.compared,
        "first": one.first.as_ref().map(difference),
        "parting": one.parting.as_ref().map(difference),
        "found": found,
        "head": one.head.as_ref().map(head),
        "meaningless": one.meaningless.map(|(why, frame, at)| json!({
            "why": why.name(), "frame": frame, "at": at,
        })),
    })
}

fn head(head: &HeadDifference) -> Value {
    let fields = head
        .fields
        .iter()
        .map(|one| json!({ "name": one.name, "captured": one.theirs, "ours": one.ours }));
    json!({
        "answer": head.answer,
        "captured_status": head.status[1],
        "our_status": head.status[0],
        "captured_octets": head.len[1],
        "our_octets": head.len[0],
        "fields": fields.collect::<Vec<_>>(),
        "fields_not_listed": head.fields_more,
    })
}

fn difference(first: &Difference) -> Value {
    let (ours, theirs) = (&first.our_state, &first.their_state);
    json!({
        "class": first.class.name(),
        "at": first.at,
        "frame": first.frame,
        "captured": first.theirs.as_ref().map(sent),
        "ours": first.ours.as_ref().map(sent),
        "our_state": {
            "state": state_name(ours.state),
            "cwnd": ours.cwnd,
            "ssthresh": (ours.ssthresh != u32::MAX).then_some(ours.ssthresh),
            "flight": ours.flight,
            "window": ours.window,
            "srtt": u64::from(ours.srtt_micros) * 1_000,
            "rto": u64::from(ours.rto_micros) * 1_000,
            "in_recovery": ours.in_recovery,
        },
        "captured_state": {
            "flight": theirs.flight,
            "window": theirs.window,
            "duplicate_acks": theirs.duplicates,
            "since_told": theirs.since_told,
            "in_recovery": theirs.in_recovery,
        },
    })
}

fn sent(sent: &Sent) -> Value {
    let kind = match sent.kind {
        Kind::Syn => "syn",
        Kind::Text => "text",
        Kind::Again(again) => again.name(),
        Kind::Fin => "fin",
        Kind::Reset => "rst",
        Kind::Ack => "ack",
    };
    json!({
        "at": sent.at,
        "kind": kind,
        "from": sent.from,
        "len": sent.len,
        "flags": sent.flags.0,
        "window": sent.window,
        "acked": sent.acked,
        "options": Sent::options_text(sent.options),
        "text": sent.to_string(),
    })
}
