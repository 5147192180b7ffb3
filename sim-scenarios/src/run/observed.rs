//! A run whose stacks are watched from inside: what pictures and captures are made from.

use super::{Run, RunOptions, RunResult, Watch};
use crate::model::Case;
use simoom_sim::hash::EventTap;
use simoom_sim::observe::{Probe, ProbeConfig};
use simoom_sim::panics;
use simoom_sim::world::{Direction, LinkId};

/// What came of a run, and what was seen of it.
#[derive(Debug)]
pub struct Observed<T> {
    /// The same as without anybody watching.
    pub result: RunResult,
    /// What saw every frame.
    pub tap: T,
    /// The links, in the order of the file.
    pub links: Vec<LinkId>,
    /// For each link, the names of the hosts that send into its directions: forward, backward.
    pub ends: Vec<[String; 2]>,
    /// One for each stack of ours: hosts in the order of the file, a machine's rings in theirs.
    pub stacks: Vec<Probed>,
}

/// What was seen of one stack of ours.
#[derive(Debug)]
pub struct Probed {
    /// Its host.
    pub host: String,
    /// The direction of a link that its frames go into.
    pub way: (LinkId, Direction),
    /// Its connections.
    pub probe: Probe,
}

/// Runs a case as [`crate::run_with`] does, with a probe in every stack of ours that keeps so much.
/// What is seen changes nothing: the run is the same.
pub fn run_observed<T: EventTap>(
    case: &Case,
    options: &RunOptions,
    probe: ProbeConfig,
    tap: T,
    watch: &mut dyn FnMut(Watch),
) -> Observed<T> {
    let mut run = Run::new(case, options, Some(probe), tap, watch);
    run.all_caught();
    let mut stacks = Vec::new();
    for (n, id) in run.hosts.clone().into_iter().enumerate() {
        // A host that has panicked may do so again; what it has seen is lost then.
        let probes = panics::catch(|| run.world.host_mut(id).take_probes());
        for (port, probe) in probes.unwrap_or_default() {
            let host = case.world.hosts[n].name.clone();
            if let Some(way) = run.world.way_of(id, port) {
                stacks.push(Probed { host, way, probe });
            }
        }
    }
    let links = run.links.clone();
    let name = |host: usize| case.world.hosts[host].name.clone();
    let ends = case.world.links.iter().map(|link| [name(link.from.0), name(link.to.0)]).collect();
    let (result, tap) = run.into_result();
    Observed { result, tap, links, ends, stacks }
}
