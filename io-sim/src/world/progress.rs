//! Promises and progress: what a world demands beyond that nothing wrong happens.

use super::{HostId, RunError, Why, World};
use crate::endpoint::Host;
use crate::hash::EventTap;
use crate::oracle::FlowName;
use crate::oracle::promises::{PromiseConfig, Stats};
use simoom_core::tcp::{Info, State};
use simoom_core::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::fmt;

/// A connection that made no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Whose.
    pub host: HostId,
    /// Which; the host is `from`.
    pub flow: FlowName,
    /// Its state.
    pub info: Info,
    /// When one of its numbers was seen to move last.
    pub since: Instant,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, flow, info, since } = self;
        write!(
            f,
            "host {}, {flow}: {:?}, still since {since:?}, waits for {}; {} in flight, window {}, \
             cwnd {}, ssthresh {}, srtt {:?}, rto {:?} after {} doublings, {} retries",
            host.0,
            info.state,
            waits_for(info),
            info.flight,
            info.snd_wnd,
            info.cwnd,
            info.ssthresh,
            info.srtt,
            info.rto,
            info.backoffs,
            info.retries,
        )
    }
}

/// What a connection waits for, as far as its numbers say.
fn waits_for(info: &Info) -> &'static str {
    match info.state {
        State::SynSent => "an answer to its SYN",
        State::SynReceived => "an acknowledgement of its SYN",
        _ if info.snd_una != info.snd_max && info.snd_wnd == 0 => "the peer's window to open",
        _ if info.snd_una != info.snd_max => "an acknowledgement",
        State::FinWait2 => "the peer's FIN",
        State::CloseWait => "its application to close",
        State::TimeWait => "the end of TIME-WAIT",
        _ => "text of the peer, or of its own application",
    }
}

/// How far the demand for progress has come: [`World::demand_progress`].
#[derive(Clone, Debug)]
pub struct Demand {
    within: Duration,
    end: Instant,
    pause: Duration,
    look_at: Instant,
    seen: Vec<Stuck>,
}

/// Times at which connections are looked at while progress is waited for.
const LOOKS: u64 = 16;

impl<H: Host, T: EventTap> World<H, T> {
    /// Holds a host's stacks to other promises than they give by themselves, as with more latency;
    /// before the first event. False where the host cannot show what passes between its stacks and
    /// its ports.
    pub fn hold_to_promises(
        &mut self,
        host: HostId,
        mut change: impl FnMut(&mut PromiseConfig),
    ) -> bool {
        assert_eq!(self.event, 0, "promises begin before the first event");
        let mut stacks = self.nodes[host.0 as usize].host.promises();
        stacks.iter_mut().for_each(&mut change);
        let shows = !stacks.is_empty();
        self.promises.hold(host.0, stacks);
        shows
    }

    /// How often each promise was put to the test.
    pub fn promise_stats(&self) -> &Stats {
        self.promises.stats()
    }

    /// What was due before `now` must have been done.
    pub(super) fn check_promises(&mut self, now: Instant) -> Result<(), RunError> {
        let kept = self.promises.on_time(now);
        kept.map_err(|(host, broken)| self.fail(Why::Promise(HostId(host), Box::new(broken))))
    }

    /// Heals every link, and demands that `done` comes true within a time. Where it does not, the
    /// error is [`Why::NoProgress`] and names the connections that have not moved.
    ///
    /// # Errors
    /// That, or whatever else ends a run.
    pub fn heal_and_demand_progress(
        &mut self,
        within: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<(), RunError> {
        self.heal();
        let mut demand = self.demand_progress(within);
        while !done(self) {
            self.step_on_demand(&mut demand)?;
        }
        Ok(())
    }

    /// Begins to demand that what is under way is done within a time from now, by whoever calls
    /// [`World::step_on_demand`] until it is.
    pub fn demand_progress(&self, within: Duration) -> Demand {
        Demand {
            within,
            end: self.now + within,
            pause: Duration::from_nanos((within.as_nanos() / LOOKS).max(1)),
            look_at: self.now,
            seen: Vec::new(),
        }
    }

    /// Lets one event happen, where it comes in time.
    ///
    /// # Errors
    /// [`Why::NoProgress`] where it does not, or whatever else ends a run.
    #[inline]
    pub fn step_on_demand(&mut self, demand: &mut Demand) -> Result<(), RunError> {
        if self.now >= demand.look_at {
            demand.look_at = self.now + demand.pause;
            self.look(&mut demand.seen);
        }
        if self.next_at().is_none_or(|next| next > demand.end) {
            return Err(self.no_progress(demand));
        }
        self.step().map(|_| ())
    }

    #[cold]
    fn no_progress(&mut self, demand: &mut Demand) -> RunError {
        if let Some(error) = &self.failed {
            return error.clone();
        }
        self.look(&mut demand.seen);
        let still = demand.seen.iter().map(|stuck| stuck.since).min();
        let seen = demand.seen.drain(..);
        let stuck = seen.filter(|stuck| Some(stuck.since) == still).collect();
        self.fail(Why::NoProgress { within: demand.within, stuck })
    }

    /// What [`World::heal_and_demand_progress`] may reasonably be given where so many bytes are left
    /// to be carried: the longest timeout of any host twice (one that began before the links
    /// healed, and one for what was lost in it), and every byte in flights of two segments over the
    /// slowest and longest way.
    pub fn progress_bound(&self, bytes: u64) -> Duration {
        let links = || self.ways.iter().map(|way| way.link.config());
        let delay: u64 = links().map(|link| link.delay.as_nanos()).sum();
        let slowest = links().map(|link| link.rate.time_of(1_514).as_nanos()).max().unwrap_or(0);
        let segments = bytes / 1_000 + 16;
        let rounds = segments / 2 + 16;
        // A delayed acknowledgement may be waited for in each.
        let round = delay + Duration::from_millis(50).as_nanos();
        let timeout = self.promises.longest_timeout().as_nanos();
        Duration::from_nanos(2 * timeout + rounds * round + 4 * segments * slowest)
    }

    /// Notes which connections there are, and which of them have moved.
    fn look(&self, seen: &mut Vec<Stuck>) {
        let key = |host: u32, flow: &FlowName| (host, flow.from, flow.to);
        let before: BTreeMap<_, _> =
            seen.drain(..).map(|old| (key(old.host.0, &old.flow), old)).collect();
        for (host, node) in (0..).zip(&self.nodes) {
            for (flow, info) in node.host.connections() {
                if info.state == State::TimeWait {
                    continue;
                }
                let moves = |info: &Info| (info.snd_una, info.snd_max, info.rcv_nxt, info.state);
                let since = match before.get(&key(host, &flow)) {
                    Some(old) if moves(&old.info) == moves(&info) => old.since,
                    _ => self.now,
                };
                seen.push(Stuck { host: HostId(host), flow, info, since });
            }
        }
    }
}
