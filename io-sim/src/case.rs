//! What [`check`](crate::check::check) and the worlds made while it runs say to each other: which
//! faults are to happen, and which have.
//!
//! A case belongs to one thread; worlds that other threads make have no part in it. Must not know
//! hosts or links.

use crate::fault::{Fault, FaultLog};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// A fault of one of the worlds that a test makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseFault {
    /// Which world: the first that is made is 1.
    pub world: u32,
    /// What happens in it.
    pub fault: Fault,
}

/// What is to happen in the worlds of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan<'a> {
    /// What their seeds say. Worlds are only counted.
    Watch,
    /// What their seeds say, and all of it is written down.
    Record,
    /// These faults, and no others.
    Force(&'a [CaseFault]),
}

/// How a run ended, and what happened in it.
pub(crate) struct Ended {
    /// Whether it panicked.
    pub(crate) result: thread::Result<()>,
    /// Worlds that were made.
    pub(crate) worlds: u32,
    /// What happened in them, as far as it was written down.
    pub(crate) faults: Vec<CaseFault>,
    /// Faults beyond the bound of a world's record.
    pub(crate) left_out: u64,
    /// Which frames the faults happened to.
    pub(crate) frames: BTreeMap<CaseFault, String>,
    /// Events of all worlds, where faults were written down.
    pub(crate) events: u64,
}

/// What a new world has to do.
pub(crate) struct Orders {
    /// Where it writes faults down, if it does.
    pub(crate) log: Option<FaultLog>,
    /// What is to happen in it, instead of what chances say.
    pub(crate) forced: Option<Vec<Fault>>,
    /// Events at most, whatever its limits say.
    pub(crate) events_max: u64,
}

struct Case {
    record: bool,
    forced: Option<Vec<CaseFault>>,
    events_max: u64,
    worlds: u32,
    faults: Vec<CaseFault>,
    left_out: u64,
    frames: BTreeMap<CaseFault, String>,
    events: u64,
}

/// Faults whose frames are described at most: more are not read.
const FRAMES_MAX: usize = 64;

thread_local! {
    static CASE: RefCell<Option<Case>> = const { RefCell::new(None) };
}

/// Runs `body`; the worlds that it makes follow the plan, for `events_max` events at most.
pub(crate) fn run(plan: Plan<'_>, events_max: u64, body: impl FnOnce()) -> Ended {
    let case = Case {
        record: !matches!(plan, Plan::Watch),
        forced: match plan {
            Plan::Force(faults) => Some(faults.to_vec()),
            Plan::Watch | Plan::Record => None,
        },
        events_max,
        worlds: 0,
        faults: Vec::new(),
        left_out: 0,
        frames: BTreeMap::new(),
        events: 0,
    };
    let before = CASE.replace(Some(case));
    let result = catch_unwind(AssertUnwindSafe(body));
    let case = CASE.replace(before);
    let Some(mut case) = case else { unreachable!("a case is taken away by whoever made it") };
    // Two forks of one world may say the same thing.
    let mut seen = BTreeSet::new();
    case.faults.retain(|fault| seen.insert(*fault));
    Ended {
        result,
        worlds: case.worlds,
        faults: case.faults,
        left_out: case.left_out,
        frames: case.frames,
        events: case.events,
    }
}

/// A world is made.
pub(crate) fn enter() -> Orders {
    let orders = CASE.try_with(|case| {
        let mut case = case.borrow_mut();
        let case = case.as_mut()?;
        case.worlds += 1;
        let world = case.worlds;
        Some(Orders {
            log: case.record.then(|| FaultLog::of_case(world)),
            forced: case.forced.as_ref().map(|forced| {
                let mine = forced.iter().filter(|fault| fault.world == world);
                mine.map(|fault| fault.fault).collect()
            }),
            events_max: case.events_max.saturating_sub(case.events),
        })
    });
    orders.ok().flatten().unwrap_or(Orders { log: None, forced: None, events_max: u64::MAX })
}

/// Faults have happened to a frame.
#[cold]
pub(crate) fn tell(world: u32, faults: &[Fault], frame: impl FnOnce() -> Option<String>) {
    // A thread that ends has no case any more.
    let _ = CASE.try_with(|case| {
        if let Some(case) = case.borrow_mut().as_mut()
            && case.forced.is_some()
            && case.frames.len() < FRAMES_MAX
            && let Some(frame) = frame()
        {
            for fault in faults {
                case.frames.insert(CaseFault { world, fault: *fault }, frame.clone());
            }
        }
    });
}

/// A world ends, or a fork of it.
pub(crate) fn leave(world: u32, faults: &[Fault], left_out: u64, events: u64) {
    let _ = CASE.try_with(|case| {
        if let Some(case) = case.borrow_mut().as_mut() {
            case.faults.extend(faults.iter().map(|fault| CaseFault { world, fault: *fault }));
            case.left_out += left_out;
            case.events += events;
        }
    });
}
