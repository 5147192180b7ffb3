//! One run of one case under one seed: built, run, measured, judged, healed, brought to rest.
//!
//! Reads no clock: how long a run took is its caller's business.

use crate::host::{Progress, ScenarioHost};
use crate::measure::{DIRECTIONS, jain, percentile};
use crate::model::{Case, Change, Expectation};
use simoom_core::time::{Duration, Instant};
use simoom_sim::fault::Fault;
use simoom_sim::hash::{EventHash, EventTap, NoTap};
use simoom_sim::seed::Seed;
use simoom_sim::world::{Direction, HostId, Limits, LinkId, RunError, Why, World};
use std::collections::VecDeque;
use std::fmt::Write;

/// How a case is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What decides everything that the case leaves open.
    pub seed: Seed,
    /// Stop after the event with this number; nothing is judged then but what went wrong before.
    pub until: Option<u64>,
    /// Exactly these faults happen and no chance has its way, in place of what the case says.
    pub faults: Option<Vec<Fault>>,
    /// Whether to keep a list of what went wrong on the links.
    pub record_faults: bool,
}

impl RunOptions {
    /// A plain run.
    pub fn new(seed: Seed) -> Self {
        Self { seed, until: None, faults: None, record_faults: false }
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// The name of the scenario.
    pub scenario: String,
    /// The name of the case.
    pub case: String,
    /// The seed.
    pub seed: Seed,
    /// The digest of all events, healing included.
    pub event_hash: EventHash,
    /// Nothing was violated.
    pub ok: bool,
    /// What was: oracles, bounds, expectations, in the order in which they were found.
    pub violations: Vec<String>,
    /// Frames that arrived and were taken.
    pub packets: u64,
    /// Events.
    pub events: u64,
    /// Simulated time until the end of the run, healing included.
    pub simulated_seconds: f64,
    /// Measures that this run has, in a fixed order: of the world, of hosts, of links.
    pub measures: Vec<(String, f64)>,
    /// What went wrong on the links, where it was recorded.
    pub faults: Vec<Fault>,
    /// Where [`RunOptions::until`] stopped it: the state of every connection, one a line.
    pub dump: Option<String>,
}

impl RunResult {
    /// A measure by its name.
    pub fn measure(&self, name: &str) -> Option<f64> {
        self.measures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Events so far.
    pub events: u64,
    /// Frames that arrived and were taken.
    pub packets: u64,
    /// The world's time.
    pub now: Instant,
    /// Requests answered.
    pub completed: u64,
    /// Requests in all.
    pub requests: u64,
}

/// Events between two calls of whoever watches.
pub const WATCH_EVERY: u64 = 1 << 16;

/// Runs a case.
pub fn run(case: &Case, options: &RunOptions) -> RunResult {
    run_with(case, options, NoTap, &mut |_| {}).0
}

/// Runs a case; `tap` sees every frame that ends its way, `watch` is told from time to time how
/// far the run is.
pub fn run_with<T: EventTap>(
    case: &Case,
    options: &RunOptions,
    tap: T,
    watch: &mut dyn FnMut(Watch),
) -> (RunResult, T) {
    let mut run = Run::new(case, options, tap, watch);
    run.all();
    run.into_result()
}

struct Run<'a, T> {
    case: &'a Case,
    until: u64,
    world: World<ScenarioHost, T>,
    hosts: Vec<HostId>,
    links: Vec<LinkId>,
    changes: VecDeque<&'a Change>,
    /// Clients whose work is not done; the last is asked first.
    busy: Vec<usize>,
    violations: Vec<String>,
    measures: Vec<(String, f64)>,
    event_hash: EventHash,
    watch: &'a mut dyn FnMut(Watch),
    dump: Option<String>,
}

/// The run is over before its end: stopped, or failed.
struct Over;

impl<'a, T: EventTap> Run<'a, T> {
    fn new(case: &'a Case, options: &RunOptions, tap: T, watch: &'a mut dyn FnMut(Watch)) -> Self {
        let spec = &case.world;
        let mut world = World::with_tap(options.seed, tap);
        world.set_limits(Limits {
            events_max: spec.limits.events,
            time_max: Instant::ZERO + spec.limits.simulated,
            ..Limits::default()
        });
        let hosts: Vec<_> = (0..spec.hosts.len())
            .map(|n| world.add_host(ScenarioHost::build(&spec.hosts, n, options.seed)))
            .collect();
        let links = spec
            .links
            .iter()
            .map(|link| {
                let end = |(host, port): (usize, usize)| (hosts[host], port);
                let [forward, backward] = link.ways.clone();
                world.connect(end(link.from), end(link.to), forward, backward)
            })
            .collect();
        let busy = (0..hosts.len()).filter(|n| spec.hosts[*n].kind.work().is_some()).collect();
        Self {
            case,
            until: options.until.unwrap_or(u64::MAX),
            event_hash: world.hash(),
            world,
            hosts,
            links,
            changes: spec.changes.iter().collect(),
            busy,
            violations: Vec::new(),
            measures: Vec::new(),
            watch,
            dump: None,
        }
    }

    fn all(&mut self) {
        let worked = self.work().is_ok();
        self.measure();
        if worked && self.dump.is_none() {
            self.judge();
            let rested = self.rest().is_ok();
            self.event_hash = self.world.hash();
            if rested && self.dump.is_none() {
                self.shut_down();
            }
        } else {
            self.event_hash = self.world.hash();
        }
        self.judge_bytes();
    }

    /// Runs until every client has what it asked for, or until measures are to be taken.
    fn work(&mut self) -> Result<(), Over> {
        let measure_at = self.case.world.limits.measure_at;
        while !self.work_is_done() {
            // The next thing to do between two events, if there is one.
            let change_at = self.changes.front().map(|change| change.at);
            let next = change_at.into_iter().chain(measure_at).min();
            if let Some(next) = next
                && self.world.next_at().is_none_or(|at| at > next)
            {
                self.pass(next)?;
                if measure_at == Some(next) {
                    return Ok(());
                }
                self.change();
                continue;
            }
            if !self.step()? {
                return self.failed(Why::NothingLeft);
            }
        }
        Ok(())
    }

    /// Lets time pass in which nothing happens.
    fn pass(&mut self, until: Instant) -> Result<(), Over> {
        let time = until.saturating_since(self.world.now());
        self.world.run_for(time).or_else(|error| self.violated(&error))
    }

    /// Makes the changes whose time has come.
    fn change(&mut self) {
        let now = self.world.now();
        while let Some(change) = self.changes.pop_front_if(|change| change.at <= now) {
            let direction = [Direction::Forward, Direction::Backward][change.direction];
            self.world.set_link(self.links[change.link], direction, change.config.clone());
        }
    }

    fn step(&mut self) -> Result<bool, Over> {
        if self.world.events() >= self.until {
            self.dump = Some(self.describe());
            return Err(Over);
        }
        if self.world.events().is_multiple_of(WATCH_EVERY) {
            self.report();
        }
        self.world.step().or_else(|error| self.violated(&error))
    }

    fn violated<R>(&mut self, error: &RunError) -> Result<R, Over> {
        self.violations.push(error.to_string());
        Err(Over)
    }

    /// Something that the world does not know to be wrong.
    fn failed<R>(&mut self, why: Why) -> Result<R, Over> {
        let error = RunError {
            seed: self.world.seed(),
            event: self.world.events(),
            at: self.world.now(),
            why,
            hosts: self.world.hosts().map(simoom_sim::endpoint::Host::describe).collect(),
        };
        self.violated(&error)
    }

    /// Whether every client has seen every answer, or given up. What is done stays done.
    #[inline]
    fn work_is_done(&mut self) -> bool {
        while let Some(n) = self.busy.last() {
            let wanted = self.case.world.hosts[*n].kind.work().map_or(0, |work| work.requests);
            let progress = self.progress(*n);
            if progress.completed + progress.failed < wanted {
                return false;
            }
            self.busy.pop();
        }
        true
    }

    #[inline]
    fn progress(&self, host: usize) -> Progress {
        self.world.host(self.hosts[host]).progress().unwrap_or_default()
    }

    fn report(&mut self) {
        let work = self.case.world.hosts.iter().filter_map(|host| host.kind.work());
        let requests = work.map(|work| work.requests).sum();
        let clients = self.world.hosts().filter_map(ScenarioHost::progress);
        let watch = Watch {
            events: self.world.events(),
            packets: self.world.stats().arrived,
            now: self.world.now(),
            completed: clients.map(|progress| progress.completed).sum(),
            requests,
        };
        (self.watch)(watch);
    }

    /// Heals the world and demands that what is under way ends, and that no connection is left.
    fn rest(&mut self) -> Result<(), Over> {
        self.world.heal();
        self.changes.clear();
        let limits = &self.case.world.limits;
        self.world.set_limits(Limits {
            events_max: limits.events,
            time_max: self.world.now() + limits.rest,
            ..Limits::default()
        });
        if limits.measure_at.is_some() && !self.work_is_done() {
            return self.go_on();
        }
        while !self.is_at_rest() {
            if !self.step()? {
                return self.failed(Why::NothingLeft);
            }
        }
        Ok(())
    }

    /// Demands that every client whose work is not done gets further.
    fn go_on(&mut self) -> Result<(), Over> {
        let state = |run: &Self, n: &usize| {
            let Progress { completed, failed, bytes, .. } = run.progress(*n);
            (completed + failed, bytes)
        };
        let mut waiting: Vec<_> =
            self.busy.clone().into_iter().map(|n| (n, state(self, &n))).collect();
        while let Some((n, before)) = waiting.last() {
            if state(self, n) != *before {
                waiting.pop();
            } else if !self.step()? {
                return self.failed(Why::NothingLeft);
            }
        }
        Ok(())
    }

    fn is_at_rest(&mut self) -> bool {
        self.work_is_done() && self.world.hosts().all(ScenarioHost::is_at_rest)
    }

    /// Ends every stack and counts its buffers home.
    fn shut_down(&mut self) {
        let now = self.world.now();
        for (n, id) in self.hosts.clone().into_iter().enumerate() {
            if let Err(what) = self.world.host_mut(id).shut_down(now) {
                let name = &self.case.world.hosts[n].name;
                self.violations.push(format!("seed {}, host {name}: {what}", self.world.seed()));
            }
        }
    }

    /// Delivered bytes are right in every scenario, whatever it expects.
    fn judge_bytes(&mut self) {
        for (n, host) in self.case.world.hosts.iter().enumerate() {
            let wrong = self.progress(n).wrong_bytes;
            if wrong > 0 {
                let seed = self.world.seed();
                let what = format!("seed {seed}, host {}: {wrong} wrong answers", host.name);
                self.violations.push(what);
            }
        }
    }

    fn judge(&mut self) {
        let fails = |expectations: &[Expectation], run: &Self| -> Vec<String> {
            expectations.iter().filter_map(|e| run.complaint(e)).collect()
        };
        match &self.case.pinned {
            None => {
                let found = fails(&self.case.expect, self);
                self.violations.extend(found);
            }
            Some(pinned) => {
                let found = fails(pinned, self);
                self.violations.extend(found);
                if !self.case.expect.is_empty() && fails(&self.case.expect, self).is_empty() {
                    let what = "meets what it waits for: take status = \"not-yet\" away";
                    self.violations.push(what.to_owned());
                }
            }
        }
    }

    /// What is wrong with a measure, if anything.
    fn complaint(&self, expectation: &Expectation) -> Option<String> {
        let Expectation { measure, min, max } = expectation;
        let found = self.measures.iter().find(|(name, _)| name == measure);
        let Some((_, value)) = found else {
            return Some(format!("{measure} has no value in this run"));
        };
        if value >= min && value <= max {
            return None;
        }
        Some(match (min, max) {
            (min, max) if min == max => format!("{measure} is {value}, expected {min}"),
            (min, _) if value < min => format!("{measure} is {value}, expected at least {min}"),
            _ => format!("{measure} is {value}, expected at most {max}"),
        })
    }

    fn measure(&mut self) {
        let mut measures = Vec::new();
        self.measure_world(&mut measures);
        for n in 0..self.hosts.len() {
            self.measure_host(n, &mut measures);
        }
        for n in 0..self.links.len() {
            self.measure_link(n, &mut measures);
        }
        self.measures = measures;
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
        let clients: Vec<Progress> = world.hosts().filter_map(ScenarioHost::progress).collect();
        let sum = |of: fn(&Progress) -> u64| clients.iter().map(of).sum::<u64>();
        let bytes = sum(|p| p.bytes);
        put("completed", sum(|p| p.completed) as f64);
        put("failed", sum(|p| p.failed) as f64);
        put("wrong_bytes", sum(|p| p.wrong_bytes) as f64);
        put("bytes", bytes as f64);
        let last = world.hosts().filter_map(ScenarioHost::last_done_at).max();
        if let Some(last) = last {
            put("done_at_ms", in_ms(last.saturating_since(Instant::ZERO).as_nanos()));
        }
        put("goodput_mbit", mbit(bytes, self.span(last, is_done)));
        let mut times: Vec<u64> =
            world.hosts().flat_map(ScenarioHost::completions).map(|(time, _)| time).collect();
        times.sort_unstable();
        for (name, percent) in [("time_p50_ms", 50), ("time_p99_ms", 99), ("time_max_ms", 100)] {
            if let Some(time) = percentile(&times, percent) {
                put(name, in_ms(time));
            }
        }
        let ours = || world.hosts().filter_map(|host| Some((host.stats()?, host.recorder()?)));
        put("connections", ours().map(|(stats, _)| stats.opened).sum::<u64>() as f64);
        put("segments", ours().map(|(_, r)| r.segments).sum::<u64>() as f64);
        put("retransmitted_segments", ours().map(|(_, r)| r.retransmitted).sum::<u64>() as f64);
        put("timeouts", ours().map(|(_, r)| r.timeouts).sum::<u64>() as f64);
        put("compared_bytes", world.oracle_stats().compared_bytes as f64);
        let ways = self.links.iter().flat_map(|link| {
            [Direction::Forward, Direction::Backward].map(|d| world.link_stats(*link, d))
        });
        let ways: Vec<_> = ways.collect();
        put("lost", ways.iter().map(|s| s.lost).sum::<u64>() as f64);
        put("queue_drops", ways.iter().map(|s| s.queue_full).sum::<u64>() as f64);
        put("reordered", ways.iter().map(|s| s.reordered).sum::<u64>() as f64);
        put("duplicated", ways.iter().map(|s| s.duplicated).sum::<u64>() as f64);
        put("damaged", ways.iter().map(|s| s.damaged).sum::<u64>() as f64);
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
        if let Some(progress) = host.progress() {
            put("completed", progress.completed as f64);
            put("failed", progress.failed as f64);
            put("bytes", progress.bytes as f64);
            let is_done = !self.busy.contains(&n);
            put("goodput_mbit", mbit(progress.bytes, self.span(host.last_done_at(), is_done)));
            if let Some((time, _)) = host.completions().into_iter().max() {
                put("time_max_ms", in_ms(time));
            }
        }
        if let (Some(stats), Some(recorder)) = (host.stats(), host.recorder()) {
            put("segments", recorder.segments as f64);
            put("retransmitted_segments", recorder.retransmitted as f64);
            put("timeouts", recorder.timeouts as f64);
            put("dropped_segments", stats.tcp_drops.iter().sum::<u64>() as f64);
            let resets = stats.reset_by_peer + stats.aborted + stats.timed_out;
            put("resets", resets as f64);
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
            put("lost", stats.lost as f64);
            put("queue_drops", stats.queue_full as f64);
            put("reordered", stats.reordered as f64);
            put("duplicated", stats.duplicated as f64);
            put("damaged", stats.damaged as f64);
            // What was dropped took no time of the link.
            let overhead = u64::from(config.overhead_bytes) * stats.offered;
            let share = stats.offered.saturating_sub(stats.queue_full);
            let bytes = (stats.offered_bytes + overhead) as f64
                * (share as f64 / stats.offered.max(1) as f64);
            let nanos = config.rate.time_of(bytes as u64).as_nanos() as f64;
            if span > Duration::ZERO {
                put("utilisation", nanos / span.as_nanos() as f64);
            }
        }
    }

    /// The state of every connection, and what every host says of itself.
    fn describe(&self) -> String {
        let world = &self.world;
        let mut out = format!(
            "{} {}, seed {}: after event {}, at {:?}, hash {}\n",
            self.case.scenario,
            self.case.name,
            world.seed(),
            world.events(),
            world.now(),
            world.hash()
        );
        for (n, id) in self.hosts.iter().enumerate() {
            let host = world.host(*id);
            let name = &self.case.world.hosts[n].name;
            let _ = writeln!(out, "{name}: {}", simoom_sim::endpoint::Host::describe(host));
            for (key, info) in host.connections() {
                let _ = writeln!(
                    out,
                    "  {} from {}: {:?} una {} nxt {} max {} wnd {} | rcv.nxt {} rcv.wnd {} | mss {} \
                     cwnd {} ssthresh {} flight {} | srtt {:?} rttvar {:?} rto {:?} backoffs {} \
                     retries {}{}",
                    key.local(),
                    key.remote(),
                    info.state,
                    info.snd_una.0,
                    info.snd_nxt.0,
                    info.snd_max.0,
                    info.snd_wnd,
                    info.rcv_nxt.0,
                    info.rcv_wnd,
                    info.mss,
                    info.cwnd,
                    info.ssthresh,
                    info.flight,
                    info.srtt,
                    info.rttvar,
                    info.rto,
                    info.backoffs,
                    info.retries,
                    if info.in_recovery { ", in recovery" } else { "" },
                );
            }
        }
        out
    }

    fn into_result(self) -> (RunResult, T) {
        let result = RunResult {
            scenario: self.case.scenario.to_string(),
            case: self.case.name.clone(),
            seed: self.world.seed(),
            event_hash: self.event_hash,
            ok: self.violations.is_empty(),
            violations: self.violations,
            packets: self.world.stats().arrived,
            events: self.world.events(),
            simulated_seconds: self.world.now().saturating_since(Instant::ZERO).as_nanos() as f64
                / 1e9,
            measures: self.measures,
            faults: Vec::new(),
            dump: self.dump,
        };
        (result, self.world.into_tap())
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
