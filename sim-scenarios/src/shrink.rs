//! A failing run made smaller: fewer connections and requests, shorter answers, no change that is not
//! needed, and in the end a list of single faults in place of chances.
//!
//! What is kept is that the run fails alike: its first violation says the same but for numbers.

use crate::doc::{self, Node, Table, Value};
use crate::model::Case;
use crate::read::Scenario;
use crate::run::{RunOptions, RunResult, run};
use simoom_sim::check::reduce;
use simoom_sim::fault::{Fault, FaultKind};
use simoom_sim::seed::Seed;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    let mut search = Search { seed, wanted, runs: 1, runs_max, watch };
    let mut best = (case.clone(), first);
    while let Some(smaller) = search.smaller_world(&best.0) {
        best = smaller;
    }
    let (case, mut result) = best;
    let faults = search.fewest_faults(&case);
    if let Some(faults) = &faults {
        let options = RunOptions { faults: Some(faults.clone()), ..RunOptions::new(seed) };
        result = run(&case, &options);
    }
    Some(Shrunk { case, faults, seed, result, runs: search.runs })
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
    runs: u32,
    runs_max: u32,
    watch: &'a mut dyn FnMut(u32, bool),
}

impl Search<'_> {
    /// Runs a case; the result where it fails alike, None where not. Asked when runs are left.
    fn fails(&mut self, case: &Case, options: &RunOptions) -> Option<RunResult> {
        self.runs += 1;
        // A stack that panics fails in another way: that world is not the smaller one looked for.
        let result = catch_unwind(AssertUnwindSafe(|| run(case, options))).ok();
        let result = result.filter(|result| symptom(result).as_ref() == Some(&self.wanted));
        (self.watch)(self.runs, result.is_some());
        result
    }

    /// The first of the smaller worlds that fails alike.
    fn smaller_world(&mut self, case: &Case) -> Option<(Case, RunResult)> {
        for tree in smaller(&case.tree) {
            if self.runs >= self.runs_max {
                return None;
            }
            // What is no world any more, a server without clients say, is no candidate.
            let text = doc::write(&tree);
            let Ok(scenario) = Scenario::parse(&case.path, &text) else { continue };
            let [smaller] = scenario.cases() else { continue };
            let smaller = Case { name: case.name.clone(), ..smaller.clone() };
            if let Some(result) = self.fails(&smaller, &RunOptions::new(self.seed)) {
                return Some((smaller, result));
            }
        }
        None
    }

    /// The fewest faults that fail alike in place of chances; None where a list does not.
    fn fewest_faults(&mut self, case: &Case) -> Option<Vec<Fault>> {
        if self.runs + 2 > self.runs_max {
            return None;
        }
        let record = RunOptions { record_faults: true, ..RunOptions::new(self.seed) };
        let faults = self.fails(case, &record)?.faults;
        let with = |faults: &[Fault]| RunOptions {
            faults: Some(faults.to_vec()),
            ..RunOptions::new(self.seed)
        };
        let options = with(&faults);
        self.fails(case, &options)?;
        let tests_max = self.runs_max.saturating_sub(self.runs);
        let reduced = reduce(faults, tests_max, |part| {
            let options = RunOptions { faults: Some(part.to_vec()), ..RunOptions::new(self.seed) };
            Some(self.fails(case, &options).is_some())
        });
        Some(reduced.list)
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
    "size_bytes",
    "size_kb",
    "size_mb",
];

/// Trees with one thing less, the boldest first.
fn smaller(tree: &Table) -> Vec<Table> {
    let mut trees = Vec::new();
    let changes = match tree.get("at").map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes.len(),
        _ => 0,
    };
    if changes > 0 {
        let mut without = tree.clone();
        without.remove("at");
        trees.push(without);
    }
    let hosts = tree.table("host").map(|hosts| &hosts.entries[..]).unwrap_or_default();
    for entry in hosts {
        let Value::Table(host) = &entry.node.value else { continue };
        // A client, with all links that only it has: only worlds that are worlds are run.
        trees.push(without_host(tree, &entry.key));
        for key in COUNTS {
            for value in host.get(key).map(|node| fewer(&node.value)).unwrap_or_default() {
                let mut smaller = tree.clone();
                let path = format!("host.{}.{key}", entry.key);
                smaller.set_at(&path, Node { at: 0, value }, &[]);
                trees.push(smaller);
            }
        }
    }
    for n in (0..changes).filter(|_| changes > 1) {
        let mut without = tree.clone();
        if let Some(entry) = without.entries.iter_mut().find(|entry| entry.key == "at")
            && let Value::List(nodes) = &mut entry.node.value
        {
            nodes.remove(n);
        }
        trees.push(without);
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

/// One, a quarter, half and one less of a number; half of a list, and its members' halves.
fn fewer(value: &Value) -> Vec<Value> {
    match value {
        Value::Whole(n) => {
            let mut values = vec![1, n / 4, n / 2, n - 1];
            values.retain(|value| *value >= 1 && value < n);
            values.dedup();
            values.into_iter().map(Value::Whole).collect()
        }
        Value::Number(n) if *n > 0.001 => vec![Value::Number(n / 4.0), Value::Number(n / 2.0)],
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
