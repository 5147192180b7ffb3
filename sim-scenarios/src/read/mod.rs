//! From a file to its cases: axes are multiplied out, each case is read as a file of its own, and
//! everything that is wrong is said at once.

mod hosts;
mod interfaces;
mod link_file;
mod links;
mod nic_file;
mod peers;
#[cfg(test)]
mod tests;
mod topology;
mod way;

use crate::doc::{self, Node, Table, Value};
use crate::keys;
use crate::measure;
use crate::model::{Case, Expectation, LimitSpec, WorldSpec};
use crate::problem::{Errors, Problem, Sink, listed, nearest};
use crate::schema::{self, Fields};
use simoom_core::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use link_file::LinkFile;
pub use nic_file::{Measurement, NicFile, NicFindings};

/// Cases of one scenario, at most.
pub const CASES_MAX: usize = 2_000;

/// Bytes of a scenario file, at most.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// What is wrong with a file as a whole.
fn whole_file(path: &Path, what: String) -> Errors {
    let problems = vec![Problem { line: 0, column: 0, key: String::new(), what }];
    Errors { file: path.to_owned(), problems }
}

/// A scenario file that was read and found right.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name of the file, without `.toml`.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it shows.
    pub about: String,
    /// Where its numbers come from.
    pub source: Option<String>,
    /// What it waits for, where what it expects is not built.
    pub needs: Option<String>,
    /// Seeds of a plain run.
    pub seeds: u64,
    /// The first of them.
    pub seed_first: u64,
    /// Measures in its table of results.
    pub columns: Vec<String>,
    cases: Vec<Case>,
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        Self::load_with(path, None)
    }

    /// The same; where a NIC is given, every host of our own stack has it, whatever the file says. An
    /// axis or a case of the file that changes a NIC does so after that.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn load_with(path: &Path, nic: Option<&NicFile>) -> Result<Self, Errors> {
        let whole = |what| whole_file(path, what);
        let cannot = |error| whole(format!("cannot be read: {error}"));
        let metadata = std::fs::metadata(path).map_err(cannot)?;
        if metadata.is_dir() {
            return Err(whole(String::from("is a folder: name a file, FOLDER/NAME.toml")));
        }
        let len = metadata.len();
        if len > FILE_BYTES_MAX {
            return Err(whole(format!("has {len} bytes; a scenario has at most {FILE_BYTES_MAX}")));
        }
        let bytes = std::fs::read(path).map_err(cannot)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let at = error.valid_up_to();
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            let what = "a scenario is a file of text, TOML in UTF-8";
            whole(format!("is no text: {what}; byte {at}, in line {line}, is {:#04x}", bytes[at]))
        })?;
        Self::parse_with(path, text, nic)
    }

    /// Reads the text of a file; `path` names it in errors, and its stem is the scenario's name.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Errors> {
        Self::parse_with(path, text, None)
    }

    /// The same with a NIC, as [`Scenario::load_with`].
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse_with(path: &Path, text: &str, nic: Option<&NicFile>) -> Result<Self, Errors> {
        let mut sink = Sink::of(path, text);
        let mut tree = doc::parse(text, &mut sink);
        // What is no TOML makes the rest look wrong in ways that it is not.
        if !sink.is_empty() {
            sink.into_result(path)?;
            unreachable!("a sink that is not empty is an error");
        }
        if let Some(nic) = nic {
            nic.apply(&mut tree);
        }
        let name = path.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
        let scenario = read_scenario(&name, &tree, &mut sink);
        sink.into_result(path)?;
        Ok(scenario)
    }

    /// Its cases: the axes multiplied out, the last one running fastest.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The seeds of a plain run.
    pub fn seed_range(&self) -> Range<u64> {
        self.seed_first..self.seed_first + self.seeds
    }

    /// Whether it waits for something that is not built.
    pub fn is_not_yet(&self) -> bool {
        self.needs.is_some()
    }
}

/// One axis: what each of its values is called and puts where.
struct Axis {
    /// As `[[where]]` names it.
    name: String,
    values: Vec<AxisValue>,
}

struct AxisValue {
    label: String,
    /// As a file would write it: what `[[where]]` compares.
    value: Value,
    sets: Vec<(String, Node)>,
    expect: Vec<Expectation>,
    pinned: Vec<Expectation>,
}

fn read_scenario(name: &str, tree: &Table, sink: &mut Sink<'_>) -> Scenario {
    let file = Fields::open(tree, 0, "", &keys::FILE, sink);
    for key in ["title", "about", "host", "link"] {
        file.require(key, sink);
    }
    let text = |key| file.text(key).unwrap_or_default().to_owned();
    let not_yet = file.text("status") == Some("not-yet");
    if not_yet {
        file.require("needs", sink);
        file.require("pinned", sink);
    }
    if not_yet && !file.has("expect") && !file.has("where") && !file.has("case") {
        file.require("expect", sink);
    }
    if !not_yet && (file.has("needs") || file.has("pinned")) {
        let key = if file.has("needs") { "needs" } else { "pinned" };
        file.complain(key, "is for scenarios with status = \"not-yet\"", sink);
    }
    let expect = read_expectations(&file, "expect", sink);
    let pinned = read_expectations(&file, "pinned", sink);
    let axes = read_axes(&file, sink);
    let wheres = read_wheres(&file, &axes, sink);
    let mut cases = Vec::new();
    let count = axes.iter().try_fold(1_usize, |n, axis| n.checked_mul(axis.values.len()));
    match count.filter(|n| *n <= CASES_MAX) {
        None => {
            let key = if file.has("sweep") { "sweep" } else { "case" };
            file.complain(key, format!("makes more than {CASES_MAX} cases"), sink);
        }
        Some(count) => {
            for n in 0..count {
                let place = place_of(n, &axes);
                let mut case = read_case(name, tree, &place, sink);
                merge(&mut case.expect, &expect);
                let mut of_pinned = pinned.clone();
                for value in &place {
                    merge(&mut case.expect, &value.expect);
                    merge(&mut of_pinned, &value.pinned);
                }
                for filter in wheres.iter().filter(|filter| filter.matches(&axes, &place)) {
                    merge(&mut case.expect, &filter.expect);
                    merge(&mut of_pinned, &filter.pinned);
                }
                write_expectations(&mut case.tree, "expect", &case.expect);
                if not_yet {
                    write_expectations(&mut case.tree, "pinned", &of_pinned);
                    case.pinned = Some(of_pinned);
                }
                cases.push(case);
            }
        }
    }
    let default_columns = || measure::DEFAULT_COLUMNS.iter().map(|s| (*s).to_owned()).collect();
    let columns = file.texts("columns").map_or_else(default_columns, |columns| {
        for (column, at) in &columns {
            check_measure(column, *at, "columns", tree, sink);
        }
        columns.into_iter().map(|(column, _)| column.to_owned()).collect()
    });
    Scenario {
        name: name.to_owned(),
        title: text("title"),
        about: text("about"),
        source: file.text("source").map(str::to_owned),
        needs: not_yet.then(|| text("needs")),
        seeds: file.whole("seeds").unwrap_or(3),
        seed_first: file.whole("seed_first").unwrap_or(0),
        columns,
        cases,
    }
}

/// The values of the nth case, the last axis running fastest.
fn place_of(mut n: usize, axes: &[Axis]) -> Vec<&AxisValue> {
    let mut place: Vec<_> = axes
        .iter()
        .rev()
        .map(|axis| {
            let value = &axis.values[n % axis.values.len()];
            n /= axis.values.len();
            value
        })
        .collect();
    place.reverse();
    place
}

fn read_axes(file: &Fields<'_>, sink: &mut Sink<'_>) -> Vec<Axis> {
    let mut axes = Vec::new();
    let cases = file.tables("case", sink);
    if !cases.is_empty() {
        let mut values: Vec<AxisValue> = Vec::new();
        for (table, at) in cases {
            values.push(read_named_case(table, at, &values, sink));
        }
        axes.push(Axis { name: String::from("case"), values });
    }
    let Some((sweep, _)) = file.table("sweep") else { return axes };
    // `loss_percent` says enough where no other axis ends alike.
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let is_alone = |path: &str| {
        sweep.entries.iter().filter(|other| last(&other.key) == last(path)).count() == 1
    };
    for entry in &sweep.entries {
        let path = format!("sweep.{}", entry.key);
        let complaint = "must be a list of values: sweep \"link.path.loss_percent\" = [0, 1]";
        let Value::List(nodes) = &entry.node.value else {
            let hint = "; the path of the key stands in quotes";
            let hint = if matches!(entry.node.value, Value::Table(_)) { hint } else { "" };
            sink.add(entry.key_at, &path, format!("{complaint}{hint}"));
            continue;
        };
        if nodes.is_empty() {
            sink.add(entry.node.at, &path, complaint);
            continue;
        }
        for (n, node) in nodes.iter().enumerate() {
            if nodes[..n].iter().any(|other| is_same(&other.value, &node.value)) {
                let what =
                    format!("{} stands here twice: once is enough", doc::inline(&node.value));
                sink.add(node.at, &path, what);
            }
        }
        let short = if is_alone(&entry.key) { last(&entry.key) } else { entry.key.clone() };
        let values = nodes.iter().map(|node| AxisValue {
            label: format!("{short}={}", label_of(&node.value)),
            value: node.value.clone(),
            sets: vec![(entry.key.clone(), node.clone())],
            expect: Vec::new(),
            pinned: Vec::new(),
        });
        axes.push(Axis { name: entry.key.clone(), values: values.collect() });
    }
    axes
}

/// A value as part of the name of a case: without quotes and spaces.
fn label_of(value: &Value) -> String {
    doc::inline(value).replace(['"', ' ', '\\'], "")
}

fn read_named_case(
    table: &Table,
    at: usize,
    others: &[AxisValue],
    sink: &mut Sink<'_>,
) -> AxisValue {
    let case = Fields::open(table, at, "case", &keys::CASE, sink);
    case.require("name", sink);
    let name = case.text("name").unwrap_or_default().to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if case.has("name") && (name.is_empty() || !name.chars().all(plain)) {
        case.complain("name", "must be letters, digits, `-`, `_` and `.`", sink);
    }
    if others.iter().any(|other| other.label == name) && !name.is_empty() {
        let what = format!("{name} is the name of another case: each has a name of its own");
        case.complain("name", what, sink);
    }
    let set = case.table("set").map(|(set, _)| set);
    let sets = set.iter().flat_map(|set| &set.entries);
    AxisValue {
        label: name.clone(),
        value: Value::Text(name),
        sets: sets.map(|entry| (entry.key.clone(), entry.node.clone())).collect(),
        expect: read_expectations(&case, "expect", sink),
        pinned: read_expectations(&case, "pinned", sink),
    }
}

/// Expectations for some of the cases.
struct Filter {
    /// The axis, by its number, and the values that are meant.
    wanted: Vec<(usize, Vec<Value>)>,
    expect: Vec<Expectation>,
    pinned: Vec<Expectation>,
}

impl Filter {
    fn matches(&self, axes: &[Axis], place: &[&AxisValue]) -> bool {
        debug_assert_eq!(axes.len(), place.len());
        self.wanted.iter().all(|(n, values)| values.iter().any(|v| is_same(v, &place[*n].value)))
    }
}

/// Whether two values are the same wherever they stand; `1` and `1.0` are.
fn is_same(a: &Value, b: &Value) -> bool {
    match (schema::number(a), schema::number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => doc::inline(a) == doc::inline(b),
    }
}

fn read_wheres(file: &Fields<'_>, axes: &[Axis], sink: &mut Sink<'_>) -> Vec<Filter> {
    let axis_of = |key: &str| axes.iter().position(|axis| axis.name == key);
    let tables = file.tables("where", sink);
    tables
        .into_iter()
        .map(|(table, at)| {
            let is_axis = |key: &str| axis_of(key).is_some();
            let fields = Fields::open_with(table, at, "where", &keys::WHERE, is_axis, sink);
            let mut wanted = Vec::new();
            for entry in &table.entries {
                let Some(axis) = axis_of(&entry.key) else { continue };
                let values: Vec<Value> = match &entry.node.value {
                    Value::List(nodes) => nodes.iter().map(|n| n.value.clone()).collect(),
                    value => vec![value.clone()],
                };
                let known = |v: &Value| axes[axis].values.iter().any(|k| is_same(v, &k.value));
                if let Some(stranger) = values.iter().find(|value| !known(value)) {
                    let has: Vec<_> =
                        axes[axis].values.iter().map(|v| doc::inline(&v.value)).collect();
                    let has = listed(has.iter().map(String::as_str));
                    let what = format!("has no value {}: there are {has}", doc::inline(stranger));
                    sink.add(entry.node.at, &fields.path_of(&entry.key), what);
                }
                wanted.push((axis, values));
            }
            Filter {
                wanted,
                expect: read_expectations(&fields, "expect", sink),
                pinned: read_expectations(&fields, "pinned", sink),
            }
        })
        .collect()
}

/// Reads a table of measures. Their names are checked with the world: see [`read_case`].
fn read_expectations(fields: &Fields<'_>, key: &str, sink: &mut Sink<'_>) -> Vec<Expectation> {
    let Some((table, _)) = fields.table(key) else {
        if fields.has(key) && fields.node(key).is_some() {
            fields.complain(key, "must be a table: measure = { min = 1 }", sink);
        }
        return Vec::new();
    };
    let mut expectations = Vec::new();
    for entry in &table.entries {
        let path = format!("{}.{}", fields.path_of(key), entry.key);
        let measure = entry.key.clone();
        match &entry.node.value {
            Value::Table(bounds) => {
                let bounds = Fields::open(bounds, entry.node.at, &path, &keys::BOUND, sink);
                let (min, max) = (bounds.number("min"), bounds.number("max"));
                if !bounds.has("min") && !bounds.has("max") {
                    let what = "must be a number, or a table with min, max or both; the name of a \
                                measure with a dot stands in quotes";
                    sink.add(entry.node.at, &path, what);
                }
                if let (Some(min), Some(max)) = (min, max)
                    && min > max
                {
                    bounds.complain("min", format!("is above max, {max}"), sink);
                }
                let min = min.unwrap_or(f64::NEG_INFINITY);
                let max = max.unwrap_or(f64::INFINITY);
                expectations.push(Expectation { measure, min, max });
            }
            value => match schema::number(value).filter(|n| n.is_finite()) {
                Some(n) => expectations.push(Expectation { measure, min: n, max: n }),
                None => sink.add(entry.node.at, &path, "must be a number, or { min = …, max = … }"),
            },
        }
    }
    expectations
}

/// What stands in `others` replaces what is expected of the same measure, or is added.
fn merge(expectations: &mut Vec<Expectation>, others: &[Expectation]) {
    for other in others {
        match expectations.iter_mut().find(|e| e.measure == other.measure) {
            Some(expectation) => expectation.clone_from(other),
            None => expectations.push(other.clone()),
        }
    }
}

/// Puts expectations into a tree, so that it reads as the same.
fn write_expectations(tree: &mut Table, key: &str, expectations: &[Expectation]) {
    let node = |value| Node { at: 0, value };
    let mut table = Table::default();
    for Expectation { measure, min, max } in expectations {
        let value = if min == max {
            Value::Number(*min)
        } else {
            let mut bounds = Table::default();
            for (key, bound) in [("min", *min), ("max", *max)] {
                if bound.is_finite() {
                    bounds.set(key, node(Value::Number(bound)));
                }
            }
            Value::Table(bounds)
        };
        table.set(measure, node(value));
    }
    match table.entries.is_empty() {
        true => tree.remove(key),
        false => tree.set(key, node(Value::Table(table))),
    }
}

/// Reads one case: the file with the values of its axes put in.
fn read_case(name: &str, tree: &Table, place: &[&AxisValue], sink: &mut Sink<'_>) -> Case {
    let mut tree = tree.clone();
    for key in ["sweep", "case", "where"] {
        tree.remove(key);
    }
    for (path, node) in place.iter().flat_map(|value| &value.sets) {
        let first = path.split('.').next().unwrap_or_default();
        let may_be_made = ["limits", "forward", "backward"];
        if !["host", "link", "limits"].contains(&first)
            || !path.contains('.')
            || !tree.set_at(path, node.clone(), &may_be_made)
        {
            let what = "is no place in this file: write it like \"link.path.delay_ms\" or \
                        \"host.client.connections\"";
            sink.add(node.at, path, what);
        }
    }
    let (written_out, copies) = interfaces::write_out(&tree, sink);
    let file = Fields::open(&written_out, 0, "", &keys::FILE, sink);
    let world = read_world(&file, sink);
    sink.say_once(&copies);
    for key in ["expect", "pinned"] {
        for entry in tree.table(key).into_iter().flat_map(|t| &t.entries) {
            check_measure(&entry.key, entry.key_at, key, &tree, sink);
        }
    }
    for value in place {
        for Expectation { measure, .. } in value.expect.iter().chain(&value.pinned) {
            let at = value.sets.first().map_or(0, |(_, node)| node.at);
            check_measure(measure, at, "expect", &tree, sink);
        }
    }
    let labels: Vec<_> = place.iter().map(|value| value.label.as_str()).collect();
    let label = if labels.is_empty() { String::from("base") } else { labels.join(",") };
    let axis_of = |label: &str| match label.split_once('=') {
        Some((axis, value)) => (axis.to_owned(), value.to_owned()),
        None => (String::from("case"), label.to_owned()),
    };
    let axes = labels.into_iter().map(axis_of).collect();
    Case {
        scenario: Arc::from(name),
        path: Arc::from(sink.path()),
        name: label,
        axes,
        expect: Vec::new(),
        pinned: None,
        world,
        tree,
    }
}

/// Complains about a measure that there is not.
fn check_measure(name: &str, at: usize, key: &str, tree: &Table, sink: &mut Sink<'_>) {
    let names = |key| {
        let table = tree.table(key);
        table.map(|t| t.entries.iter().map(|e| e.key.as_str()).collect()).unwrap_or_default()
    };
    let known = measure::names(&names("host"), &names("link"));
    if known.iter().any(|known| known == name) {
        return;
    }
    let meant = nearest(name, known.iter().map(String::as_str));
    let what = match meant {
        Some(meant) => format!("is no measure; {meant} perhaps?"),
        None => format!(
            "is no measure: there are {}, those of one host, HOST.completed, and those of one way \
             of a link, LINK.forward.lost; see the reference",
            listed(measure::WORLD.iter().map(|m| m.name))
        ),
    };
    sink.add(at, &format!("{key}.{name}"), what);
}

fn read_world(file: &Fields<'_>, sink: &mut Sink<'_>) -> WorldSpec {
    let named = |key, sink: &mut Sink<'_>| -> Vec<(String, usize, Option<&Table>)> {
        let Some((table, _)) = file.table(key) else {
            if file.node(key).is_some() {
                file.complain(key, format!("must be tables with names: [{key}.NAME]"), sink);
            }
            return Vec::new();
        };
        if table.entries.is_empty() {
            file.complain(key, format!("must have at least one: [{key}.NAME]"), sink);
        }
        let entries = table.entries.iter().map(|entry| {
            let path = format!("{key}.{}", entry.key);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if entry.key.is_empty() || !entry.key.chars().all(plain) {
                let what = "is no name: letters, digits, `-` and `_`";
                sink.add(entry.key_at, &path, what);
            }
            let table = match &entry.node.value {
                Value::Table(table) => Some(table),
                _ => {
                    sink.add(entry.node.at, &path, format!("must be a table: [{path}]"));
                    None
                }
            };
            (entry.key.clone(), entry.key_at, table)
        });
        entries.collect()
    };
    let host_tables = named("host", sink);
    let link_tables = named("link", sink);
    let names: Vec<&str> = host_tables.iter().map(|(name, ..)| name.as_str()).collect();
    let mut hosts = hosts::read(&host_tables, sink);
    let links = links::read(&link_tables, &names, &hosts, sink);
    topology::complete(&host_tables, &mut hosts, &links, sink);
    let changes = links::read_changes(file, &links, &names, &mut hosts, sink);
    let faults = links::read_faults(file, &links, sink);
    WorldSpec {
        hosts: hosts.into_iter().flatten().collect(),
        links: links.into_iter().map(|draft| draft.finish()).collect(),
        changes,
        limits: read_limits(file, sink),
        faults,
        promises: file.flag("promises").unwrap_or(true),
    }
}

fn read_limits(file: &Fields<'_>, sink: &mut Sink<'_>) -> LimitSpec {
    let empty = Table::default();
    let (table, at) = file.table("limits").unwrap_or((&empty, 0));
    let limits = Fields::open(table, at, "limits", &keys::LIMITS, sink);
    let measure_at = limits.number("measure_at_s").map(|s| Instant::ZERO + seconds(s));
    let simulated = limits.number("simulated_s").map_or(Duration::from_secs(3600), seconds);
    if measure_at.is_some_and(|at| at > Instant::ZERO + simulated) {
        limits.complain("measure_at_s", "is later than the run may last, simulated_s", sink);
    }
    LimitSpec {
        simulated,
        events: limits.whole("events").unwrap_or(100_000_000),
        measure_at,
        rest: limits.number("rest_s").map_or(Duration::from_secs(1800), seconds),
    }
}

/// Bounds keep the product within 64 bits.
pub(crate) fn seconds(n: f64) -> Duration {
    Duration::from_nanos((n * 1e9).round() as u64)
}

pub(crate) fn millis(n: f64) -> Duration {
    Duration::from_nanos((n * 1e6).round() as u64)
}

pub(crate) fn micros(n: f64) -> Duration {
    Duration::from_nanos((n * 1e3).round() as u64)
}

/// The names of things by number, for what is looked up by name.
pub(crate) fn index_of<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    names.into_iter().enumerate().map(|(n, name)| (name, n)).collect()
}
