//! A failing run made smaller: fewer connections and requests, shorter answers, an earlier end, no
//! change and no chance that is not needed, and in the end a list of single faults in place of chances.
//!
//! What is kept is that the run fails alike: its first violation says the same but for numbers. That is
//! not enough where a run that asks for less, or ends earlier, fails of itself: a measure below its
//! bound, a limit. There a smaller world must not fail alike when nothing goes wrong on its links.

use crate::doc::{self, Node, Table, Value};
use crate::model::Case;
use crate::read::Scenario;
use crate::run::{RunOptions, RunResult, run};
use crate::schema;
use simoom_sim::check::reduce;
use simoom_sim::fault::{Fault, FaultKind};
use simoom_sim::seed::Seed;
use std::collections::BTreeSet;

/// A smaller run that fails as the first one did.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The world.
    pub case: Case,
    /// What goes wrong on its links, if a list in place of chances fails alike.
    pub faults: Option<Vec<Fault>>,
    /// The seed: the same.
    pub seed: Seed,
    /// How it fails.
    pub result: RunResult,
    /// Runs that it took.
    pub runs: u32,
}

impl Shrunk {
    /// A scenario file that fails like this in a plain run.
    pub fn to_toml(&self) -> String {
        let node = |value| Node { at: 0, value };
        let mut tree = self.case.tree.clone();
        let first = self.result.violations.first().map(String::as_str).unwrap_or_default();
        let about = format!(
            "Made smaller from {} {} under seed {}, where it fails with: {}",
            self.result.scenario,
            self.result.case,
            self.seed,
            first.lines().next().unwrap_or_default()
        );
        tree.set("about", node(Value::Text(about)));
        tree.set("seed_first", node(Value::Whole(self.seed.0.into())));
        tree.set("seeds", node(Value::Whole(1)));
        if let Some(faults) = &self.faults {
            let links: Vec<&str> = self.case.links().collect();
            let faults = faults.iter().map(|fault| node(Value::Table(fault_table(fault, &links))));
            tree.set("fault", node(Value::List(faults.collect())));
        }
        doc::write(&tree)
    }
}

fn fault_table(fault: &Fault, links: &[&str]) -> Table {
    let mut table = Table::default();
    let mut put = |key: &str, value| table.set(key, Node { at: 0, value });
    let text = |text: &str| Value::Text(text.to_owned());
    let whole = |n: u64| Value::Whole(n.into());
    put("link", text(links.get(fault.way as usize / 2).copied().unwrap_or_default()));
    put("direction", text(if fault.way.is_multiple_of(2) { "forward" } else { "backward" }));
    put("frame", whole(fault.frame));
    match fault.kind {
        FaultKind::Lost => put("kind", text("lost")),
        FaultKind::Delayed(by) => {
            put("kind", text("delayed"));
            put("by_ns", whole(by.as_nanos()));
        }
        FaultKind::Duplicated => put("kind", text("duplicated")),
        FaultKind::Corrupted { offset, mask, repaired } => {
            put("kind", text("corrupted"));
            put("offset", whole(offset.into()));
            put("mask", whole(mask.into()));
            put("repaired", Value::Flag(repaired));
        }
        FaultKind::Truncated { len } => {
            put("kind", text("truncated"));
            put("len_bytes", whole(len.into()));
        }
        FaultKind::Displaced { frames, time_max } => {
            put("kind", text("displaced"));
            put("frames", whole(frames.into()));
            put("by_ns", whole(time_max.as_nanos()));
        }
    }
    table
}

/// Makes a failing run smaller, with at most `runs_max` runs. None where it does not fail.
/// `watch` is told of each run: how many there were, and whether the last one still failed alike.
pub fn shrink(
    case: &Case,
    seed: Seed,
    runs_max: u32,
    watch: &mut dyn FnMut(u32, bool),
) -> Option<Shrunk> {
    let first = run(case, &RunOptions::new(seed));
    let wanted = symptom(&first)?;
    let reason = Reason::of(case, &first);
    let mut search = Search { seed, wanted, reason, runs: 1, watch };
    search.look_without_faults(case);
    let mut best = Best { case: case.clone(), result: first, faults: None };
    // Half of the runs for the world, most of the others for its faults. With these alone, all runs of
    // a world go wrong at the same frames: it may then be made smaller still.
    search.smallest_world(&mut best, runs_max.div_ceil(2));
    search.fewest_faults(&mut best, runs_max - runs_max / 6);
    if best.faults.is_some() && search.smallest_world(&mut best, runs_max) {
        search.fewest_faults(&mut best, runs_max);
    }
    let Best { case, result, faults } = best;
    Some(Shrunk { case, faults, seed, result, runs: search.runs })
}

/// The smallest run so far.
struct Best {
    case: Case,
    result: RunResult,
    /// What goes wrong in it, in place of chances.
    faults: Option<Vec<Fault>>,
}

/// What kind of thing a run fails of, and so which smaller worlds would fail of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// An oracle saw it as it happened: the run ended there.
    Seen,
    /// The end: a limit, a measure above its bound.
    AtEnd,
    /// A measure at the end is below its bound, as it would be had less been asked for, or had the
    /// run ended earlier.
    TooLittle,
    /// The same, and nothing that goes wrong on the links is to blame: which worlds that ask for less
    /// fail for the same reason cannot be known.
    TooLittleAnyway,
}

impl Reason {
    fn of(case: &Case, result: &RunResult) -> Self {
        let first = result.violations.first().map(String::as_str).unwrap_or_default();
        let all = case.pinned.as_ref().unwrap_or(&case.expect);
        let broken = all.iter().find(|e| first.starts_with(&format!("{} is ", e.measure)));
        let is_limit =
            first.contains(", the limit of simulated time") || first.contains(" events, the limit");
        match broken {
            Some(e) if result.measure(&e.measure).is_some_and(|value| value > e.max) => Self::AtEnd,
            Some(_) => Self::TooLittle,
            None if is_limit => Self::AtEnd,
            None => Self::Seen,
        }
    }
}

/// What a run fails of: its first violation without numbers, which differ from run to run.
fn symptom(result: &RunResult) -> Option<String> {
    let line = result.violations.first()?.lines().next().unwrap_or_default();
    let mut out = String::new();
    for c in line.chars().take(400) {
        let c = if c.is_ascii_digit() { '#' } else { c };
        let is_number = c == '#' || c == '.';
        if !(is_number && out.ends_with('#')) {
            out.push(c);
        }
    }
    Some(out)
}

struct Search<'a> {
    seed: Seed,
    wanted: String,
    reason: Reason,
    runs: u32,
    watch: &'a mut dyn FnMut(u32, bool),
}

impl Search<'_> {
    /// Runs a case; the result where it fails alike, None where not. Asked when runs are left.
    fn fails(&mut self, case: &Case, options: &RunOptions) -> Option<RunResult> {
        self.runs += 1;
        let result = Some(run(case, options));
        let result = result.filter(|result| symptom(result).as_ref() == Some(&self.wanted));
        (self.watch)(self.runs, result.is_some());
        result
    }

    /// Whether a case fails alike when nothing goes wrong on its links, and nothing changes there.
    fn fails_without_faults(&mut self, case: &Case) -> bool {
        let options = RunOptions { faults: Some(Vec::new()), ..RunOptions::new(self.seed) };
        let mut calm = case.clone();
        calm.world.changes.clear();
        self.fails(&calm, &options).is_some()
    }

    /// Finds out whether the links are to blame, where that says what may be made smaller.
    fn look_without_faults(&mut self, case: &Case) {
        if self.reason == Reason::TooLittle && self.fails_without_faults(case) {
            self.reason = Reason::TooLittleAnyway;
        }
    }

    /// Takes away what is not needed, until nothing more can be, or so many runs are used. Whether
    /// anything was.
    fn smallest_world(&mut self, best: &mut Best, runs_max: u32) -> bool {
        // What was tried in vain is tried once more when all else has been: not after each step.
        let mut in_vain = BTreeSet::new();
        let (mut is_smaller, mut was_smaller) = (false, false);
        loop {
            match self.smaller_world(best, &mut in_vain, runs_max) {
                Some((case, result)) => {
                    (best.case, best.result) = (case, result);
                    (is_smaller, was_smaller) = (true, true);
                }
                None if is_smaller && self.runs < runs_max => {
                    in_vain.clear();
                    is_smaller = false;
                }
                None => return was_smaller,
            }
        }
    }

    /// The first of the smaller worlds that fails alike.
    fn smaller_world(
        &mut self,
        best: &Best,
        in_vain: &mut BTreeSet<String>,
        runs_max: u32,
    ) -> Option<(Case, RunResult)> {
        let options = RunOptions { faults: best.faults.clone(), ..RunOptions::new(self.seed) };
        for Smaller { name, kind, tree } in smaller(&best.case.tree, &best.result) {
            let may_be = match kind {
                Kind::Less => self.reason != Reason::TooLittleAnyway,
                Kind::Earlier => matches!(self.reason, Reason::AtEnd | Reason::TooLittle),
                Kind::WithoutChange => true,
                // A list of faults stands in place of chances already.
                Kind::WithoutChance => best.faults.is_none(),
            };
            if !may_be || in_vain.contains(&name) {
                continue;
            }
            if self.runs >= runs_max {
                return None;
            }
            // What is no world any more, a server without clients say, is no candidate.
            let text = doc::write(&tree);
            let Ok(scenario) = Scenario::parse(&best.case.path, &text) else { continue };
            let [smaller] = scenario.cases() else { continue };
            let smaller = Case { name: best.case.name.clone(), ..smaller.clone() };
            let result = self.fails(&smaller, &options);
            // Fewer who take longer until an oracle sees it are not less to look at.
            let result = result
                .filter(|after| self.reason != Reason::Seen || after.events <= best.result.events);
            match result {
                Some(result) if !self.fails_of_itself(kind, &smaller) => {
                    return Some((smaller, result));
                }
                _ => in_vain.insert(name),
            };
        }
        None
    }

    /// Whether a world fails because it asks for less or ends earlier, whatever its links do.
    fn fails_of_itself(&mut self, kind: Kind, case: &Case) -> bool {
        let can = self.reason == Reason::TooLittle || kind == Kind::Earlier;
        can && matches!(kind, Kind::Less | Kind::Earlier) && self.fails_without_faults(case)
    }

    /// Puts the fewest faults that fail alike in place of chances, or of more faults; leaves the chances
    /// where no list fails alike.
    fn fewest_faults(&mut self, best: &mut Best, runs_max: u32) {
        let with = |faults: &[Fault], seed| RunOptions {
            faults: Some(faults.to_vec()),
            ..RunOptions::new(seed)
        };
        let seed = self.seed;
        if best.faults.is_none() {
            if self.runs + 2 > runs_max {
                return;
            }
            let record = RunOptions { record_faults: true, ..RunOptions::new(seed) };
            let Some(recorded) = self.fails(&best.case, &record) else { return };
            let options = with(&recorded.faults, seed);
            let Some(result) = self.fails(&best.case, &options) else { return };
            (best.result, best.faults) = (result, Some(recorded.faults));
        }
        let tests_max = runs_max.saturating_sub(self.runs);
        let mut last = None;
        let all = best.faults.clone().unwrap_or_default();
        let reduced = reduce(all, tests_max, |part| {
            let result = self.fails(&best.case, &with(part, seed));
            let fails = result.is_some();
            last = result.or(last.take());
            Some(fails)
        });
        // The last that failed alike is the smallest: each part is of the one before it.
        best.result = last.unwrap_or_else(|| best.result.clone());
        best.faults = Some(reduced.list);
    }
}

/// Numbers that make a world smaller when they are.
const COUNTS: &[&str] = &[
    "connections",
    "requests",
    "requests_each",
    "rounds",
    "pages",
    "count",
    "pipeline",
    "interfaces",
    "size_bytes",
    "size_kb",
    "size_mb",
];

/// In what a world is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Less is asked for, or by fewer.
    Less,
    /// It ends earlier.
    Earlier,
    /// Less changes on its links.
    WithoutChange,
    /// Less happens on them by chance.
    WithoutChance,
}

/// A world with one thing less.
struct Smaller {
    /// What is less, and how.
    name: String,
    kind: Kind,
    tree: Table,
}

/// Trees with one thing less, the boldest first. `before` is what came of the present one.
fn smaller(tree: &Table, before: &RunResult) -> Vec<Smaller> {
    let mut trees = Vec::new();
    let mut push = |name: String, kind, tree| trees.push(Smaller { name, kind, tree });
    let changes = match tree.get("at").map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes.len(),
        _ => 0,
    };
    if changes > 0 {
        let mut without = tree.clone();
        without.remove("at");
        push(String::from("no changes"), Kind::WithoutChange, without);
    }
    let hosts = tree.table("host").map(|hosts| &hosts.entries[..]).unwrap_or_default();
    for entry in hosts {
        let Value::Table(host) = &entry.node.value else { continue };
        // A client, with all links that only it has: only worlds that are worlds are run.
        push(format!("no {}", entry.key), Kind::Less, without_host(tree, &entry.key));
        for key in COUNTS {
            for value in host.get(key).map(|node| fewer(key, &node.value)).unwrap_or_default() {
                let mut smaller = tree.clone();
                let path = format!("host.{}.{key}", entry.key);
                let name = format!("{path} = {}", doc::inline(&value));
                smaller.set_at(&path, Node { at: 0, value }, &[]);
                push(name, Kind::Less, smaller);
            }
        }
    }
    for (name, tree) in calmer(tree) {
        push(name, Kind::WithoutChance, tree);
    }
    for (name, tree) in earlier(tree, before) {
        push(name, Kind::Earlier, tree);
    }
    for n in (0..changes).filter(|_| changes > 1) {
        let mut without = tree.clone();
        if let Some(entry) = without.entries.iter_mut().find(|entry| entry.key == "at")
            && let Value::List(nodes) = &mut entry.node.value
        {
            nodes.remove(n);
        }
        push(format!("no change {n} of {changes}"), Kind::WithoutChange, without);
    }
    trees
}

/// Links without one of the things that happen to frames by chance.
fn calmer(tree: &Table) -> Vec<(String, Table)> {
    let mut trees = Vec::new();
    let links = tree.table("link").map(|links| &links.entries[..]).unwrap_or_default();
    for entry in links {
        let Value::Table(link) = &entry.node.value else { continue };
        let ways = ["", "forward", "backward"];
        for way in ways {
            let table = if way.is_empty() { Some(link) } else { link.table(way) };
            let path: Vec<&str> =
                ["link", &entry.key, way].into_iter().filter(|part| !part.is_empty()).collect();
            for chance in table.into_iter().flat_map(|table| &table.entries) {
                if chance.key.ends_with("_percent") && !chance.key.starts_with("burst_") {
                    let mut without = tree.clone();
                    if let Some(table) = without.table_mut(&path) {
                        table.remove(&chance.key);
                    }
                    trees.push((format!("no {}.{}", path.join("."), chance.key), without));
                }
            }
        }
    }
    trees
}

/// The same world, measured or stopped at a part of the time that it took.
fn earlier(tree: &Table, before: &RunResult) -> Vec<(String, Table)> {
    let mut trees = Vec::new();
    let limits = tree.table("limits");
    let limit = |key: &str| limits.and_then(|limits| schema::number(&limits.get(key)?.value));
    // Measures were taken then, or the run was over.
    let done_at = before.measure("done_at_ms").map(|ms| ms / 1e3);
    let ends = [limit("measure_at_s"), done_at].into_iter().flatten();
    let end = ends.fold(before.simulated_seconds, f64::min);
    for (key, end) in [("measure_at_s", end), ("simulated_s", before.simulated_seconds)] {
        for part in [16.0, 4.0, 2.0, 4.0 / 3.0] {
            // Milliseconds read well, and are fine enough for all but the shortest runs.
            let at = if end > 0.1 { (end / part * 1e3).round() / 1e3 } else { end / part };
            let was = limit(key).unwrap_or(f64::INFINITY);
            if at < 0.001 || at >= was {
                continue;
            }
            let mut smaller = tree.clone();
            let value = Value::Number(at);
            if smaller.set_at(&format!("limits.{key}"), Node { at: 0, value }, &["limits"]) {
                trees.push((format!("{key} = {at}"), smaller));
            }
        }
    }
    trees
}

fn without_host(tree: &Table, name: &str) -> Table {
    let mut without = tree.clone();
    let is_end = |link: &Table, key| matches!(link.get(key).map(|node| &node.value), Some(Value::Text(end)) if end == name);
    for entry in &mut without.entries {
        let Value::Table(table) = &mut entry.node.value else { continue };
        match entry.key.as_str() {
            "host" => table.remove(name),
            "link" => table.entries.retain(|link| match &link.node.value {
                Value::Table(link) => !is_end(link, "from") && !is_end(link, "to"),
                _ => true,
            }),
            _ => {}
        }
    }
    without
}

/// One, a quarter, half, three quarters and one less of a number; of a size a sixteenth too, however small; half of a
/// list.
fn fewer(key: &str, value: &Value) -> Vec<Value> {
    let is_size = key.starts_with("size_") && key != "size_bytes";
    match value {
        Value::Whole(n) if is_size && *n > 0 => fewer(key, &Value::Number(*n as f64)),
        Value::Whole(n) => {
            let mut values = vec![1, n / 4, n / 2, 3 * n / 4, n - 1];
            values.retain(|value| *value >= 1 && value < n);
            values.dedup();
            values.into_iter().map(Value::Whole).collect()
        }
        Value::Number(n) if *n > 0.001 => {
            let parts = [16.0, 4.0, 2.0].map(|part| (n / part * 1e3).round() / 1e3);
            let parts = parts.into_iter().filter(|part| *part > 0.0 && part < n);
            parts.map(Value::Number).collect()
        }
        Value::List(nodes) if nodes.len() > 1 => {
            let half = nodes.len().div_ceil(2);
            vec![Value::List(nodes[..half].to_vec()), Value::List(nodes[half..].to_vec())]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_core::time::{Duration, Instant};
    use std::path::Path;

    /// Fails whenever something is lost; one lost frame is enough.
    const FAILING: &str = r#"title = "t"
about = "a"
[host.client]
kind = "client"
server = "server"
connections = 6
requests = 12
size_kb = [30, 50]
[host.server]
kind = "server"
[link.path]
from = "client"
to = "server"
loss_percent = 2
[[at]]
time_ms = 5
link = "path"
delay_ms = 2
[expect]
lost = 0
"#;

    #[test]
    fn a_failing_run_shrinks_to_one_request_and_one_lost_frame_and_its_file_fails_alike() {
        let scenario = Scenario::parse(Path::new("x.toml"), FAILING).unwrap();
        let seed = Seed(4);
        let shrunk = shrink(&scenario.cases()[0], seed, 300, &mut |_, _| {}).unwrap();
        let faults = shrunk.faults.as_ref().unwrap();
        assert_eq!(faults.len(), 1, "{faults:?}");
        let text = shrunk.to_toml();
        assert!(!text.contains("[[at]]"), "{text}");
        let again = Scenario::parse(Path::new("y.toml"), &text).unwrap();
        assert_eq!(again.seed_range(), 4..5);
        let result = run(&again.cases()[0], &RunOptions::new(seed));
        assert_eq!(result.violations, shrunk.result.violations);
        assert_eq!(result.violations, ["lost is 1, expected 0"]);
        let work = again.cases()[0].world.hosts[0].kind.work().unwrap();
        assert_eq!((work.connections, work.sizes.len()), (1, 1), "{text}");
    }

    fn shrunk(text: &str, runs_max: u32) -> (Shrunk, Case) {
        let scenario = Scenario::parse(Path::new("x.toml"), text).unwrap();
        let shrunk = shrink(&scenario.cases()[0], Seed(4), runs_max, &mut |_, _| {}).unwrap();
        let written = Scenario::parse(Path::new("y.toml"), &shrunk.to_toml()).unwrap();
        let result = run(&written.cases()[0], &RunOptions::new(Seed(4)));
        assert_eq!(result.violations, shrunk.result.violations, "{}", shrunk.to_toml());
        (shrunk, written.cases()[0].clone())
    }

    #[test]
    fn a_run_that_cannot_end_is_stopped_as_soon_as_it_fails_for_the_same_reason() {
        let text = FAILING.replace("loss_percent = 2", "loss_percent = 100");
        let (_, case) = shrunk(&text, 200);
        let limit = case.world.limits.simulated;
        assert!(limit < Duration::from_secs(1), "{limit:?}");
        // In that time it would be done, were it not for the link.
        let calm = RunOptions { faults: Some(Vec::new()), ..RunOptions::new(Seed(4)) };
        let result = run(&case, &calm);
        assert!(result.ok, "{:?}", result.violations);
    }

    /// Noise that loses one frame in five for ten seconds, beside a client that gets nothing.
    const NOISY: &str = r#"title = "t"
about = "a"
[host.client]
kind = "client"
server = "server"
size_bytes = 1
[host.server]
kind = "server"
[host.noise]
kind = "cross-source"
to = "sink"
rate_mbit = 1
stop_ms = 10_000
[host.sink]
kind = "cross-sink"
[link.path]
from = "client"
to = "server"
down = true
[link.noise]
from = "noise"
to = "sink"
loss_percent = 20
[limits]
measure_at_s = 10
[expect]
"noise.forward.lost" = 0
"#;

    #[test]
    fn a_run_is_measured_as_early_as_it_still_fails() {
        let (shrunk, case) = shrunk(NOISY, 300);
        let at = case.world.limits.measure_at.unwrap();
        assert!(at <= Instant::ZERO + Duration::from_millis(200), "{at:?}\n{}", shrunk.to_toml());
        assert_eq!(shrunk.result.violations[0], "noise.forward.lost is 1, expected 0");
    }

    #[test]
    fn what_is_below_its_bound_because_of_faults_is_not_so_without_them_in_the_smaller_world() {
        let text = FAILING
            .replace("loss_percent = 2", "rate_mbit = 20\nloss_percent = 20")
            .replace("lost = 0", "completed = { min = 1 }\ngoodput_mbit = { min = 5 }");
        let (shrunk, case) = shrunk(&text, 200);
        assert!(shrunk.result.violations[0].starts_with("goodput_mbit is "), "{shrunk:?}");
        let calm = RunOptions { faults: Some(Vec::new()), ..RunOptions::new(Seed(4)) };
        assert!(run(&case, &calm).ok, "{}", shrunk.to_toml());
        let work = case.world.hosts[0].kind.work().unwrap();
        assert!(work.connections < 6 || work.requests < 12, "{}", shrunk.to_toml());
    }

    #[test]
    fn what_is_too_little_without_any_fault_is_asked_for_as_before() {
        let text = FAILING.replace("lost = 0", "completed = 13");
        let (shrunk, case) = shrunk(&text, 200);
        assert_eq!(shrunk.result.violations, ["completed is 12, expected 13"]);
        let work = case.world.hosts[0].kind.work().unwrap();
        assert_eq!((work.connections, work.requests), (6, 12));
        assert_eq!(shrunk.faults, Some(Vec::new()));
        assert!(case.world.changes.is_empty());
    }

    #[test]
    fn a_run_that_fails_of_nothing_does_not_shrink() {
        let text = FAILING.replace("loss_percent = 2", "");
        let scenario = Scenario::parse(Path::new("x.toml"), &text).unwrap();
        assert!(shrink(&scenario.cases()[0], Seed(1), 10, &mut |_, _| {}).is_none());
    }

    #[test]
    fn symptoms_differ_by_words_and_not_by_numbers() {
        let of = |text: &str| {
            let scenario = Scenario::parse(Path::new("x.toml"), FAILING).unwrap();
            let options = RunOptions { until: Some(0), ..RunOptions::new(Seed(0)) };
            let result = run(&scenario.cases()[0], &options);
            symptom(&RunResult { violations: vec![text.to_owned()], ..result })
        };
        assert_eq!(of("seed v1:1, event 20, at 1.25s: x"), of("seed v1:1, event 7, at 0.5s: x"));
        assert_ne!(of("event 1: x"), of("event 1: y"));
    }
}
