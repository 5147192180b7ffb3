//! What is measured at the end of a run's work, by the names of [`crate::measure`].

use super::Run;
use crate::host::{Progress, ScenarioHost, StackCounts};
use crate::measure::{DIRECTIONS, jain, percentile};
use simoom_core::tcp::congestion::Algorithm;
use simoom_core::time::{Duration, Instant};
use simoom_sim::hash::EventTap;
use simoom_sim::link::LinkStats;
use simoom_sim::world::Direction;

impl<T: EventTap> Run<'_, T> {
    /// Takes every measure that the run has, in a fixed order.
    pub(super) fn measure(&mut self) {
        let mut measures = Vec::new();
        self.measure_world(&mut measures);
        for n in 0..self.hosts.len() {
            self.measure_host(n, &mut measures);
        }
        for n in 0..self.links.len() {
            self.measure_link(n, &mut measures);
        }
        self.measures = measures;
        self.completion_nanos = self.completions();
    }

    /// Durations of all requests, ascending.
    fn completions(&self) -> Vec<u64> {
        let hosts = self.world.hosts();
        let mut times: Vec<u64> =
            hosts.flat_map(ScenarioHost::completions).map(|(time, _)| time).collect();
        times.sort_unstable();
        times
    }

    /// From the start to the last answer, or to now where not all came.
    fn span(&self, last_done_at: Option<Instant>, is_done: bool) -> Duration {
        let end = if is_done { last_done_at } else { None };
        end.unwrap_or(self.world.now()).saturating_since(Instant::ZERO)
    }

    fn measure_world(&mut self, out: &mut Vec<(String, f64)>) {
        let is_done = self.work_is_done();
        let world = &self.world;
        let mut put = |name: &str, value: f64| out.push((name.to_owned(), value));
        let clients: Vec<Progress> = (0..self.hosts.len())
            .filter(|n| self.is_client(*n))
            .map(|n| self.full_progress(n))
            .collect();
        let sum = |of: fn(&Progress) -> u64| clients.iter().map(of).sum::<u64>();
        let bytes = sum(|p| p.bytes);
        put("completed", sum(|p| p.completed) as f64);
        put("failed", sum(|p| p.failed) as f64);
        put("wrong_answers", sum(|p| p.wrong_answers) as f64);
        put("bytes", bytes as f64);
        let last = world.hosts().filter_map(ScenarioHost::last_done_at).max();
        if let Some(last) = last {
            put("done_at_ms", in_ms(last.saturating_since(Instant::ZERO).as_nanos()));
        }
        put("goodput_mbit", mbit(bytes, self.span(last, is_done)));
        let times = self.completions();
        for (name, percent) in [("time_p50_ms", 50), ("time_p99_ms", 99), ("time_max_ms", 100)] {
            if let Some(time) = percentile(&times, percent) {
                put(name, in_ms(time));
            }
        }
        let ours: Vec<StackCounts> = world.hosts().filter_map(ScenarioHost::counts).collect();
        let sum = |of: fn(&StackCounts) -> u64| ours.iter().map(of).sum::<u64>() as f64;
        put("connections", sum(|c| c.opened));
        put("segments", sum(|c| c.segments));
        put("retransmitted_segments", sum(|c| c.retransmitted));
        put("timeouts", sum(|c| c.timeouts));
        put("compared_bytes", world.oracle_stats().compared_bytes as f64);
        let ways = self.links.iter().flat_map(|link| {
            [Direction::Forward, Direction::Backward].map(|d| world.link_stats(*link, d))
        });
        let ways: Vec<_> = ways.collect();
        let sum = |of: fn(&LinkStats) -> u64| ways.iter().map(|s| of(s)).sum::<u64>() as f64;
        put("lost", sum(|s| s.lost + s.link_down));
        put("queue_drops", sum(|s| s.queue_full + s.queue_managed));
        put("marked", sum(|s| s.marked));
        put("too_long", sum(|s| s.too_long));
        put("reordered", sum(|s| s.reordered + s.displaced));
        put("duplicated", sum(|s| s.duplicated));
        put("damaged", sum(|s| s.damaged));
        put("ring_full", world.stats().ring_full as f64);
        let shares: Vec<u64> = clients.iter().map(|p| p.bytes).collect();
        if let Some(jain) = jain(&shares) {
            put("jain", jain);
        }
    }

    fn measure_host(&self, n: usize, out: &mut Vec<(String, f64)>) {
        let host = self.world.host(self.hosts[n]);
        let name = &self.case.world.hosts[n].name;
        let mut put = |measure: &str, value: f64| out.push((format!("{name}.{measure}"), value));
        if self.is_client(n) {
            let progress = self.full_progress(n);
            put("completed", progress.completed as f64);
            put("failed", progress.failed as f64);
            put("bytes", progress.bytes as f64);
            let span = self.span(host.last_done_at(), progress.is_done);
            put("goodput_mbit", mbit(progress.bytes, span));
            if let Some((time, _)) = host.completions().into_iter().max() {
                put("time_max_ms", in_ms(time));
            }
        }
        if let Some(counts) = host.counts() {
            put("segments", counts.segments as f64);
            put("retransmitted_segments", counts.retransmitted as f64);
            put("timeouts", counts.timeouts as f64);
            if let Some(longest) = counts.handshake_max {
                put("handshake_max_ms", in_ms(longest.as_nanos()));
            }
            if counts.windows > 0 {
                put("window_mean_kb", counts.window_sum as f64 / counts.windows as f64 / 1e3);
            }
            put("dropped_segments", counts.dropped_segments as f64);
            put("resets", counts.resets as f64);
            put("syns_refused", counts.syns_refused as f64);
            put("controllers", Algorithm::ALL.len() as f64);
        }
        if let Some(frames) = host.noise_frames() {
            put("frames", frames as f64);
        }
        let cores = host.cores();
        if !cores.is_empty() {
            let elapsed = self.world.now().saturating_since(Instant::ZERO).as_nanos().max(1);
            let busy: u64 = cores.iter().map(|core| core.busy.as_nanos()).sum();
            let most = cores.iter().map(|core| core.busy.as_nanos()).max().unwrap_or(0);
            let waited = cores.iter().map(|core| core.waited_max.as_nanos()).max().unwrap_or(0);
            put("core_load", busy as f64 / elapsed as f64 / cores.len() as f64);
            put("core_load_max", most as f64 / elapsed as f64);
            put("turn_wait_max_us", waited as f64 / 1e3);
        }
    }

    fn measure_link(&mut self, n: usize, out: &mut Vec<(String, f64)>) {
        let is_done = self.work_is_done();
        let world = &self.world;
        let last = world.hosts().filter_map(ScenarioHost::last_done_at).max();
        let span = self.span(last, is_done);
        for (d, direction) in [Direction::Forward, Direction::Backward].into_iter().enumerate() {
            let stats = world.link_stats(self.links[n], direction);
            let config = world.link_config(self.links[n], direction);
            let way = format!("{}.{}", self.case.world.links[n].name, DIRECTIONS[d]);
            let mut put = |measure: &str, value: f64| out.push((format!("{way}.{measure}"), value));
            put("offered", stats.offered as f64);
            put("lost", (stats.lost + stats.link_down) as f64);
            put("queue_drops", (stats.queue_full + stats.queue_managed) as f64);
            put("queue_max", stats.queue_max as f64);
            put("marked", stats.marked as f64);
            put("too_long", stats.too_long as f64);
            put("delivered", stats.delivered as f64);
            put("reordered", (stats.reordered + stats.displaced) as f64);
            put("duplicated", stats.duplicated as f64);
            put("damaged", stats.damaged as f64);
            // What was dropped took no time of the link.
            let overhead = u64::from(config.overhead_bytes) * stats.offered;
            let dropped = stats.queue_full + stats.queue_managed + stats.link_down + stats.too_long;
            let share = stats.offered.saturating_sub(dropped);
            let bytes = (stats.offered_bytes + overhead) as f64
                * (share as f64 / stats.offered.max(1) as f64);
            let nanos = config.rate.time_of(bytes as u64).as_nanos() as f64;
            if span > Duration::ZERO && config.trace.is_none() {
                put("utilisation", nanos / span.as_nanos() as f64);
            }
        }
    }
}

fn in_ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// Million bits a second. Nothing in no time is nothing.
fn mbit(bytes: u64, time: Duration) -> f64 {
    if bytes == 0 || time == Duration::ZERO {
        0.0
    } else {
        bytes as f64 * 8e3 / time.as_nanos() as f64
    }
}
