//! What was seen: the stack from inside ([`Probe`]), every flow from the wire ([`FlowStats`]), and
//! the frames of a run in order ([`Timeline`]).
//!
//! Observers change nothing: a run has the same events and the same hash with them and without. What
//! they keep is bounded, and what did not fit is counted.

mod flow_stats;
mod probe;
mod timeline;

pub use flow_stats::{FlowStats, RttStats};
pub use probe::{Point, PointKind, Probe, ProbeConfig, ProbedConnection};
pub use timeline::{
    AckSeen, FlowTimeline, QueueDepth, QueueTimeline, SegmentSeen, Timeline, TimelineConfig,
};
