//! One run of one case under one seed: built, run, measured, judged, healed, brought to rest.
//!
//! A stack that panics has failed its run, and no other: the panic is caught here.
//!
//! Reads no clock: how long a run took is its caller's business.

mod dump;
mod measures;
mod observed;

pub use observed::{Observed, Probed, run_observed};

use crate::host::{Making, Progress, ScenarioHost};
use crate::marks;
use crate::model::{Case, Change, Expectation, HostKind};
use simoom_core::time::Instant;
use simoom_sim::fault::Fault;
use simoom_sim::hash::{EventHash, EventTap, NoTap};
use simoom_sim::observe::ProbeConfig;
use simoom_sim::oracle::OracleConfig;
use simoom_sim::panics;
use simoom_sim::seed::Seed;
use simoom_sim::world::{Demand, Direction, HostId, Limits, LinkId, RunError, Why, World};
use std::collections::VecDeque;

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
    /// Whether to say which marks were reached.
    pub marks: bool,
}

impl RunOptions {
    /// A plain run.
    pub fn new(seed: Seed) -> Self {
        Self { seed, until: None, faults: None, record_faults: false, marks: false }
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
    /// The last violation is a panic, and says where: the run ended there and was not judged.
    pub panicked: bool,
    /// Frames that arrived and were taken.
    pub packets: u64,
    /// Events.
    pub events: u64,
    /// Simulated time until the end of the run, healing included.
    pub simulated_seconds: f64,
    /// Measures that this run has, in a fixed order: of the world, of hosts, of links.
    pub measures: Vec<(String, f64)>,
    /// How long each answered request took, in nanoseconds, ascending; of clients that know.
    pub completion_nanos: Vec<u64>,
    /// What went wrong on the links, where it was recorded.
    pub faults: Vec<Fault>,
    /// How often each of [`crate::marks`] was reached, where that was asked for and the feature
    /// `marks` is on: else empty.
    pub marks: Vec<u64>,
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
    let mut run = Run::new(case, options, None, tap, watch);
    run.all_caught();
    run.into_result()
}

struct Run<'a, T> {
    case: &'a Case,
    making: Making,
    until: u64,
    world: World<ScenarioHost, T>,
    hosts: Vec<HostId>,
    links: Vec<LinkId>,
    changes: VecDeque<&'a Change>,
    /// Clients whose work is not done; the last is asked first.
    busy: Vec<usize>,
    violations: Vec<String>,
    panicked: bool,
    measures: Vec<(String, f64)>,
    completion_nanos: Vec<u64>,
    event_hash: EventHash,
    watch: &'a mut dyn FnMut(Watch),
    dump: Option<String>,
    /// From healing on: what is under way has to end.
    demand: Option<Demand>,
    marks: bool,
}

/// The run is over before its end: stopped, or failed.
struct Over;

impl<'a, T: EventTap> Run<'a, T> {
    fn new(
        case: &'a Case,
        options: &RunOptions,
        probe: Option<ProbeConfig>,
        tap: T,
        watch: &'a mut dyn FnMut(Watch),
    ) -> Self {
        let spec = &case.world;
        if options.marks {
            // What the thread did before is another run's.
            marks::take();
        }
        let mut world = World::with_tap(options.seed, tap);
        world.set_limits(Limits {
            events_max: spec.limits.events,
            time_max: Instant::ZERO + spec.limits.simulated,
            ..Limits::default()
        });
        if !spec.promises {
            world.set_oracles(OracleConfig { promises: false, ..OracleConfig::default() });
        }
        if options.record_faults {
            world.record_faults();
        }
        if let Some(faults) = options.faults.as_ref().or(spec.faults.as_ref()) {
            world.force_faults(faults.clone());
        }
        let busy = (0..spec.hosts.len()).filter(|n| spec.hosts[*n].kind.work().is_some()).collect();
        Self {
            case,
            making: Making { seed: options.seed, probe },
            until: options.until.unwrap_or(u64::MAX),
            event_hash: world.hash(),
            world,
            hosts: Vec::new(),
            links: Vec::new(),
            changes: spec.changes.iter().collect(),
            busy,
            violations: Vec::new(),
            panicked: false,
            measures: Vec::new(),
            completion_nanos: Vec::new(),
            watch,
            dump: None,
            marks: options.marks,
            demand: None,
        }
    }

    /// All of it, up to a panic at most. Behind one only plain numbers of the world are asked for.
    fn all_caught(&mut self) {
        if let Err(panicked) = panics::catch(|| self.all()) {
            let (seed, event) = (self.world.seed(), self.world.events());
            let at = self.world.now();
            self.violations.push(format!("seed {seed}, event {event}, at {at:?}: {panicked}"));
            self.panicked = true;
            self.event_hash = self.world.hash();
        }
    }

    /// Puts hosts and links into the world.
    fn build(&mut self) {
        let spec = &self.case.world;
        for (n, host) in spec.hosts.iter().enumerate() {
            let built = ScenarioHost::build(&spec.hosts, n, self.making);
            self.hosts.push(match &host.kind {
                HostKind::Switch(_) => self.world.add_forwarder(built),
                HostKind::Hostile(_) => self.world.add_lawless_host(built),
                HostKind::Scripted(spec) if spec.is_lawless => self.world.add_lawless_host(built),
                _ => self.world.add_host(built),
            });
        }
        for link in &spec.links {
            let end = |(host, port): (usize, usize)| (self.hosts[host], port);
            let [forward, backward] = link.ways.clone();
            let link = self.world.connect(end(link.from), end(link.to), forward, backward);
            self.links.push(link);
        }
    }

    fn all(&mut self) {
        self.build();
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
        let stepped = match &mut self.demand {
            Some(demand) => self.world.step_on_demand(demand).map(|()| true),
            None => self.world.step(),
        };
        stepped.or_else(|error| self.violated(&error))
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
            if !self.progress(*n).is_done {
                return false;
            }
            self.busy.pop();
        }
        true
    }

    /// Requests that a host makes in all.
    #[inline]
    fn wanted(&self, host: usize) -> u64 {
        self.case.world.hosts[host].kind.work().map_or(0, |work| work.requests)
    }

    #[inline]
    fn progress(&self, host: usize) -> Progress {
        self.world.host(self.hosts[host]).progress(self.wanted(host))
    }

    /// The same with what takes a look at every connection.
    fn full_progress(&self, host: usize) -> Progress {
        self.world.host(self.hosts[host]).full_progress(self.wanted(host))
    }

    /// Whether a host asks for anything.
    fn is_client(&self, host: usize) -> bool {
        self.case.world.hosts[host].kind.work().is_some()
    }

    fn report(&mut self) {
        let hosts = 0..self.hosts.len();
        let watch = Watch {
            events: self.world.events(),
            packets: self.world.stats().arrived,
            now: self.world.now(),
            completed: hosts.clone().map(|n| self.progress(n).completed).sum(),
            requests: hosts.map(|n| self.wanted(n)).sum(),
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
        self.demand = Some(self.world.demand_progress(limits.rest));
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
        let busy = !self.is_at_rest();
        for (n, id) in self.hosts.clone().into_iter().enumerate() {
            // A device that stands still just now cannot say what it has sent.
            let busy = busy || self.case.world.hosts[n].kind.stalls();
            if let Err(what) = self.world.host_mut(id).shut_down(now, busy) {
                let name = &self.case.world.hosts[n].name;
                self.violations.push(format!("seed {}, host {name}: {what}", self.world.seed()));
            }
        }
    }

    /// Delivered bytes are right in every scenario, whatever it expects.
    fn judge_bytes(&mut self) {
        let ways = self.links.iter().flat_map(|link| {
            [Direction::Forward, Direction::Backward].map(|d| self.world.link_stats(*link, d))
        });
        let forged: u64 = ways.map(|stats| stats.forged).sum();
        for (n, host) in self.case.world.hosts.iter().enumerate() {
            let wrong = self.full_progress(n).wrong_answers;
            // A frame whose checksum was made right again fools any TCP.
            if wrong > forged {
                let seed = self.world.seed();
                let what = format!("seed {seed}, host {}: {wrong} wrong answers", host.name);
                self.violations.push(what);
            }
        }
    }

    fn judge(&mut self) {
        for n in 0..self.hosts.len() {
            if let Some(failure) = self.world.host(self.hosts[n]).script_failure() {
                let name = &self.case.world.hosts[n].name;
                self.violations.push(format!("host {name}: its script: {failure}"));
            }
        }
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

    fn into_result(self) -> (RunResult, T) {
        let result = RunResult {
            scenario: self.case.scenario.to_string(),
            case: self.case.name.clone(),
            seed: self.world.seed(),
            event_hash: self.event_hash,
            ok: self.violations.is_empty(),
            violations: self.violations,
            panicked: self.panicked,
            packets: self.world.stats().arrived,
            events: self.world.events(),
            simulated_seconds: self.world.now().saturating_since(Instant::ZERO).as_nanos() as f64
                / 1e9,
            measures: self.measures,
            completion_nanos: self.completion_nanos,
            faults: self.world.faults(),
            marks: if self.marks { marks::take() } else { Vec::new() },
            dump: self.dump,
        };
        (result, self.world.into_tap())
    }
}
