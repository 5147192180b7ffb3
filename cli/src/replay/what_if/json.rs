//! `--json`: one object, keys in a fixed order, as docs/what-if.md describes. Times are nanoseconds.

use super::text::why_left_out;
use super::{Shown, names};
use serde_json::{Map, Value, json};
use simoom_replay::closed::{
    Changed, ConnectionAnswer, LossMode, Quantiles, Range, SeedNumbers, VariantAnswer,
};
use simoom_replay::fit::{Fit, Fitted};
use std::collections::BTreeMap;

pub(super) fn text(shown: &Shown<'_>) -> String {
    let Shown { fits, answer, question, .. } = *shown;
    let left_out: Map<String, Value> =
        fits.left_out.iter().map(|(why, n)| (why_left_out(why), json!(n))).collect();
    let by_serial: BTreeMap<u64, &ConnectionAnswer> =
        answer.connections.iter().map(|one| (one.serial, one)).collect();
    let connections: Vec<Value> =
        fits.fits.iter().map(|fit| connection(fit, by_serial.get(&fit.serial).copied())).collect();
    let [middle, p90, most] = answer.error_quantiles().map_or([None; 3], |errors| errors.map(Some));
    let value = json!({
        "as": shown.whom,
        "frames": shown.frames,
        "frames_accounted": fits.counts.accounted(),
        "losses": match question.losses {
            LossMode::Observed => "observed",
            LossMode::Resampled => "resampled",
        },
        "seeds": [question.seeds.start, question.seeds.end],
        "asked": names(&question.variants),
        "connections_fitted": fits.fitted,
        "connections_simulated": fits.fits.len(),
        "left_out": left_out,
        "pooled": { "segments": fits.pooled.0, "losses": fits.pooled.1, "runs": fits.pooled.2 },
        "turns": answer.turns,
        "captured": quantiles(&answer.captured),
        "error_as_captured": { "median": middle, "p90": p90, "most": most },
        "variants": answer.variants.iter().map(variant).collect::<Vec<_>>(),
        "connections": connections,
    });
    format!("{value:#}\n")
}

fn quantiles(all: &Quantiles) -> Value {
    json!({ "median": all.median, "p90": all.p90, "p99": all.p99 })
}

fn variant(one: &VariantAnswer) -> Value {
    let seed = |seed: &SeedNumbers| {
        let mut value = quantiles(&seed.quantiles);
        value["turns"] = json!(seed.turns);
        value
    };
    let [median, p90, p99] = &one.times;
    json!({
        "name": one.name,
        "times": { "median": range(median), "p90": range(p90), "p99": range(p99) },
        "changes": one.changes.as_ref().map(|[median, p90, p99]| {
            json!({ "median": range(median), "p90": range(p90), "p99": range(p99) })
        }),
        "better": one.better,
        "worse": one.worse,
        "same": one.same,
        "unfinished": one.unfinished,
        "seeds": one.seeds.iter().map(seed).collect::<Vec<_>>(),
        "most_changed": one.most_changed.iter().map(changed).collect::<Vec<_>>(),
    })
}

fn range<T: Copy + Into<Value>>(range: &Range<T>) -> Value {
    let [min, middle, max]: [Value; 3] = [range.min, range.middle, range.max].map(Into::into);
    json!({ "min": min, "middle": middle, "max": max })
}

fn changed(row: &Changed) -> Value {
    json!({
        "number": row.serial,
        "captured": row.captured,
        "before": range(&row.before),
        "after": range(&row.after),
        "by": row.by(),
    })
}

fn connection(fit: &Fit, one: Option<&ConnectionAnswer>) -> Value {
    let (path, side) = (&fit.path, &fit.client_side);
    let losses: Vec<Value> = path
        .losses
        .iter()
        .map(|loss| json!([loss.offset, loss.upto, loss.retransmission]))
        .collect();
    json!({
        "number": fit.serial,
        "client": fit.client.to_string(),
        "server": fit.server.to_string(),
        "class": fit.class.name(),
        "opened_at": fit.opened_at,
        "captured_at": fit.vantage.name(),
        "turns": fit.talk.turns.len(),
        "turns_left_out": fit.talk.turns_left_out,
        "request_bytes": fit.talk.client_bytes,
        "response_bytes": fit.talk.server_bytes,
        "captured": fit.took(),
        "simulated": one.and_then(|one| one.simulated.as_ref()).map(range),
        "error": one.and_then(ConnectionAnswer::error),
        "fit": {
            "round_trip_to_client": fitted(path.to_client),
            "round_trip_to_server": fitted(path.to_server),
            "variation": fitted(path.variation),
            "bits_per_second": fitted(path.rate),
            "segments": path.segments,
            "losses": losses,
            "losses_unlisted": path.losses_unlisted,
            "loss_runs": path.loss_runs,
            "spurious_retransmissions": path.spurious,
            "syn_acks_lost": path.syn_acks_lost,
            "overtaken": path.overtaken,
            "overtaken_by": path.overtaken_by,
            "ack_every": fitted(side.ack_every),
            "ack_delay": fitted(side.ack_delay),
            "mss": side.syn.mss,
            "window_scale": side.syn.window_scale,
            "sack_permitted": side.syn.sack_permitted,
            "timestamps": side.syn.timestamps.is_some(),
            "window_at_first": side.syn.window,
            "window_max": fitted(side.window_max),
            "window_steps": side.windows.len(),
            "window_steps_left_out": side.windows_left_out,
            "windows_closed": side.windows_closed,
        },
    })
}

fn fitted<T: Into<Value>>(fitted: Fitted<T>) -> Value {
    json!({
        "value": fitted.value.into(),
        "samples": fitted.samples,
        "stands_in": fitted.stands_in,
    })
}
