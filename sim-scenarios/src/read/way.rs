//! One direction of a link: from keys to the simulator's configuration.

use super::millis;
use crate::problem::Sink;
use crate::schema::Fields;
use simoom_core::time::{Duration, Instant};
use simoom_sim::link::{
    AckBunch, Aqm, CoDelConfig, Displace, Every, Flap, GilbertElliott, Jitter, LinkConfig,
    LoseByte, Mtu, MtuExceeded, Outages, Preset, Rate, Trace, Variation, WhileDown,
};
use simoom_sim::seed::Chance;
use std::net::Ipv4Addr;

/// Who says that a packet is too long.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 66, 255, 254);

/// One direction, before the queue's bound is known.
#[derive(Clone, Debug, Default)]
pub(super) struct WayDraft {
    pub(super) config: LinkConfig,
    pub(super) queue_bdp: Option<f64>,
}

impl WayDraft {
    /// Puts in what a table names. `is_forward`: which side of a preset.
    pub(super) fn apply(&mut self, fields: &Fields<'_>, is_forward: bool, sink: &mut Sink<'_>) {
        if let Some(preset) = fields.text("preset").and_then(Preset::from_name) {
            self.config = if is_forward { preset.up() } else { preset.down() };
            self.queue_bdp = None;
        }
        let config = &mut self.config;
        if let Some(mbit) = fields.number("rate_mbit") {
            config.rate = Rate::bits_per_second(((mbit * 1e6).round() as u64).max(1));
            config.trace = None;
        }
        let set_time = |key, to: &mut Duration| {
            if let Some(n) = fields.number(key) {
                *to = millis(n);
            }
        };
        set_time("delay_ms", &mut config.delay);
        set_time("reorder_by_ms", &mut config.reorder_by_max);
        let set_chance = |key, to: &mut Chance| {
            if let Some(percent) = fields.number(key) {
                *to = chance(percent);
            }
        };
        set_chance("loss_percent", &mut config.loss);
        set_chance("reorder_percent", &mut config.reorder);
        set_chance("duplicate_percent", &mut config.duplicate);
        set_chance("corrupt_percent", &mut config.corrupt);
        set_chance("forge_percent", &mut config.corrupt_repaired);
        set_chance("truncate_percent", &mut config.truncate);
        set_chance("ack_loss_percent", &mut config.ack_loss);
        if let Some(bytes) = fields.whole("overhead_bytes") {
            config.overhead_bytes = bytes as u16;
        }
        self.apply_queue(fields, sink);
        self.apply_losses(fields, sink);
        self.apply_order(fields, sink);
        self.apply_outages(fields, sink);
    }

    fn apply_queue(&mut self, fields: &Fields<'_>, sink: &mut Sink<'_>) {
        let config = &mut self.config;
        if fields.has("queue_bdp") && (fields.has("queue_packets") || fields.has("queue_kb")) {
            fields.complain("queue_bdp", "stands in place of queue_packets and queue_kb", sink);
        }
        if let Some(packets) = fields.whole("queue_packets") {
            config.queue_frames_max = packets as u32;
            if self.queue_bdp.take().is_some() {
                config.queue_bytes_max = u64::MAX;
            }
        }
        if let Some(kb) = fields.number("queue_kb") {
            config.queue_bytes_max = (kb * 1e3).round() as u64;
            self.queue_bdp = None;
            if !fields.has("queue_packets") {
                config.queue_frames_max = u32::MAX;
            }
        }
        if let Some(bdp) = fields.number("queue_bdp") {
            self.queue_bdp = Some(bdp);
        }
        let codel = ["codel_target_ms", "codel_interval_ms", "codel_ecn"];
        match fields.text("aqm") {
            Some("codel") => {
                let default = CoDelConfig::default();
                let time = |key, default| fields.number(key).map_or(default, millis);
                config.aqm = Aqm::CoDel(CoDelConfig {
                    target: time("codel_target_ms", default.target),
                    interval: time("codel_interval_ms", default.interval),
                    ecn: fields.flag("codel_ecn").unwrap_or(false),
                });
            }
            Some(_) => config.aqm = Aqm::DropTail,
            None => {}
        }
        if fields.text("aqm") != Some("codel") {
            needs(fields, &codel, "aqm = \"codel\"", sink);
        }
        if let Some(times) = fields.numbers("trace_ms") {
            if times.iter().any(|ms| ms.fract() != 0.0) {
                fields.complain("trace_ms", "must be whole milliseconds", sink);
            }
            match Trace::from_millis(times.iter().map(|ms| *ms as u32)) {
                Ok(trace) => config.trace = Some(trace),
                Err(error) => fields.complain("trace_ms", error.to_string(), sink),
            }
        }
        if let Some(name) = fields.text("trace_file") {
            let read = sink.read_beside(name);
            match read.and_then(|text| Trace::parse(&text).map_err(|e| e.to_string())) {
                Ok(trace) => config.trace = Some(trace),
                Err(error) => fields.complain("trace_file", format!("{name}: {error}"), sink),
            }
        }
        if let Some(bytes) = fields.whole("mtu_bytes") {
            let exceeded = match fields.flag("mtu_icmp").unwrap_or(false) {
                true => MtuExceeded::Icmp { from: ROUTER },
                false => MtuExceeded::Silent,
            };
            config.mtu = Some(Mtu { bytes: bytes as u16, exceeded });
        } else {
            needs(fields, &["mtu_icmp"], "mtu_bytes", sink);
        }
    }

    fn apply_losses(&mut self, fields: &Fields<'_>, sink: &mut Sink<'_>) {
        let config = &mut self.config;
        let percent = |key, default| chance(fields.number(key).unwrap_or(default));
        if fields.has("burst_start_percent") {
            config.burst_loss = Some(GilbertElliott {
                to_bad: percent("burst_start_percent", 0.0),
                to_good: percent("burst_end_percent", 25.0),
                loss_bad: percent("burst_loss_percent", 100.0),
                loss_good: percent("burst_good_loss_percent", 0.0),
            });
        } else {
            let keys = ["burst_end_percent", "burst_loss_percent", "burst_good_loss_percent"];
            needs(fields, &keys, "burst_start_percent", sink);
        }
        if let Some(nth) = fields.whole("lose_every") {
            let first = fields.whole("lose_every_first").unwrap_or(nth);
            config.loss_every = Some(Every { nth, first });
        } else {
            needs(fields, &["lose_every_first"], "lose_every", sink);
        }
        if let Some(frames) = fields.numbers("lose_frames") {
            let mut frames: Vec<u64> = frames.into_iter().map(|n| n as u64).collect();
            frames.sort_unstable();
            config.lose_frames = frames.into();
        }
        if let Some(offset) = fields.whole("lose_byte") {
            let times = fields.numbers("lose_byte_times").unwrap_or_else(|| vec![0.0]);
            let lose = times.into_iter().map(|n| LoseByte { offset, retransmission: n as u32 });
            config.lose_bytes = lose.collect();
        } else {
            needs(fields, &["lose_byte_times"], "lose_byte", sink);
        }
        if let Some(count) = fields.whole("ack_bunch") {
            let time_max = millis(fields.number("ack_bunch_ms").unwrap_or(10.0));
            config.ack_bunch = Some(AckBunch { count_max: count as u32, time_max });
        } else {
            needs(fields, &["ack_bunch_ms"], "ack_bunch", sink);
        }
    }

    fn apply_order(&mut self, fields: &Fields<'_>, sink: &mut Sink<'_>) {
        let config = &mut self.config;
        if let Some(ms) = fields.number("jitter_ms") {
            let time = millis(ms);
            let deviation = fields.number("jitter_deviation_ms").unwrap_or(ms / 4.0);
            let variation = match fields.text("jitter") {
                Some("normal") => Variation::Normal { mean: time, deviation: millis(deviation) },
                Some("exponential") => Variation::Exponential { mean: time },
                _ => Variation::Uniform { max: time },
            };
            config.jitter = match (ms > 0.0, fields.flag("jitter_reorders").unwrap_or(false)) {
                (false, _) => Jitter::None,
                (true, false) => Jitter::InOrder(variation),
                (true, true) => Jitter::Reordering(variation),
            };
        } else {
            let keys = ["jitter", "jitter_deviation_ms", "jitter_reorders"];
            needs(fields, &keys, "jitter_ms", sink);
        }
        if let Some(percent) = fields.number("displace_percent") {
            config.displace = (percent > 0.0).then(|| Displace {
                chance: chance(percent),
                frames: fields.whole("displace_frames").unwrap_or(3) as u32,
                time_max: millis(fields.number("displace_hold_ms").unwrap_or(100.0)),
            });
        } else {
            needs(fields, &["displace_frames", "displace_hold_ms"], "displace_percent", sink);
        }
    }

    fn apply_outages(&mut self, fields: &Fields<'_>, sink: &mut Sink<'_>) {
        let while_down = match fields.flag("down_holds").unwrap_or(false) {
            true => WhileDown::Hold,
            false => WhileDown::Drop,
        };
        if fields.has("down") && fields.has("flap_up_ms") {
            fields.complain("flap_up_ms", "says again what down says: keep one of them", sink);
        }
        if let Some(up) = fields.number("flap_up_ms") {
            let flap = Flap {
                first: Instant::ZERO + millis(fields.number("flap_first_ms").unwrap_or(up)),
                down: millis(fields.number("flap_down_ms").unwrap_or(100.0)),
                up: millis(up),
            };
            self.config.outages = Outages::flapping(flap, while_down);
            return;
        }
        needs(fields, &["flap_down_ms", "flap_first_ms"], "flap_up_ms", sink);
        match fields.flag("down") {
            Some(true) => {
                let always = (Instant::ZERO, Instant::FAR_FUTURE);
                self.config.outages = Outages::new([always], while_down);
            }
            Some(false) => self.config.outages = Outages::default(),
            None => needs(fields, &["down_holds"], "down or flap_up_ms", sink),
        }
    }
}

/// Complains about keys that mean nothing without another.
fn needs(fields: &Fields<'_>, keys: &[&str], other: &str, sink: &mut Sink<'_>) {
    for key in keys.iter().filter(|key| fields.has(key)) {
        fields.complain(key, format!("means nothing without {other}"), sink);
    }
}

/// Percent as a chance, to 2⁻³².
pub(super) fn chance(percent: f64) -> Chance {
    if percent >= 100.0 {
        return Chance::ALWAYS;
    }
    Chance::per_2_32((percent / 100.0 * 4_294_967_296.0).round().min(4_294_967_295.0) as u32)
}
