//! What was seen of stacks from inside.

use super::ScenarioHost;
use crate::record::Recorder;
use simoom_sim::observe::Probe;

impl ScenarioHost {
    /// What was observed of its stacks, where they are ours and were: which of the host's ports a
    /// stack sends through, and its probe.
    pub(crate) fn take_probes(&mut self) -> Vec<(usize, Probe)> {
        let take = |recorder: &mut Recorder| recorder.probe.take().map(|probe| *probe);
        let one = |probe: Option<Probe>| probe.map(|probe| (0, probe)).into_iter().collect();
        match self {
            Self::Server(host) => one(take(host.stack.trace_mut())),
            Self::Client(host) => one(take(host.stack.trace_mut())),
            Self::Browser(host) => one(take(host.stack.trace_mut())),
            Self::Machine(machine) => {
                let shards = machine.shards_mut().iter_mut();
                let probes = shards.map(|shard| (shard.interface(), shard.stack.trace_mut()));
                probes.filter_map(|(port, seen)| Some((port, take(seen)?))).collect()
            }
            _ => Vec::new(),
        }
    }
}
