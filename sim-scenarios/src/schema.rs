//! What keys mean anything, and what may stand behind them: data from which files are checked and
//! the reference in the README is written.

use crate::doc::{Node, Table, Value};
use crate::problem::{Sink, listed, nearest};
use std::fmt::Write;

/// What may stand behind a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number, both bounds included.
    Whole(u64, u64),
    /// A number, both bounds included.
    Number(f64, f64),
    /// A text.
    Text,
    /// One of some texts.
    OneOf(&'static [&'static str]),
    /// One number, or a list of them, each within bounds.
    Numbers(f64, f64),
    /// A list of texts.
    Texts,
    /// A table or a list of tables, read by a section of its own.
    Section,
}

impl Kind {
    /// As the reference says it.
    fn describe(self) -> String {
        match self {
            Self::Flag => String::from("true or false"),
            Self::Whole(min, max) => format!("whole, {min} to {max}"),
            Self::Number(min, max) => format!("{min} to {max}"),
            Self::Numbers(min, max) => format!("one or a list, each {min} to {max}"),
            Self::Text => String::from("text"),
            Self::Texts => String::from("list of texts"),
            Self::OneOf(names) => {
                names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            }
            Self::Section => String::from("section of its own"),
        }
    }

    /// What is wrong with a value, if anything.
    fn complain(self, value: &Value) -> Option<String> {
        let wanted = |what: &str| Some(format!("must be {what}, not {}", value.kind()));
        match (self, value) {
            (Self::Flag, Value::Flag(_))
            | (Self::Text, Value::Text(_))
            | (Self::Section, Value::Table(_) | Value::List(_)) => None,
            (Self::Whole(min, max), Value::Whole(n)) => {
                let is_right = *n >= i128::from(min) && *n <= i128::from(max);
                (!is_right).then(|| format!("must be a whole number from {min} to {max}"))
            }
            (Self::Whole(min, max), _) => wanted(&format!("a whole number from {min} to {max}")),
            (Self::Number(min, max), _) => match number(value) {
                Some(n) => {
                    let is_right = n >= min && n <= max;
                    (!is_right).then(|| format!("must be a number from {min} to {max}"))
                }
                None => wanted(&format!("a number from {min} to {max}")),
            },
            (Self::Numbers(min, max), Value::List(nodes)) => match nodes.is_empty() {
                true => Some(String::from("must name at least one number")),
                false => nodes.iter().find_map(|n| Self::Number(min, max).complain(&n.value)),
            },
            (Self::Numbers(min, max), _) => Self::Number(min, max).complain(value),
            (Self::OneOf(names), Value::Text(text)) => {
                if names.contains(&text.as_str()) {
                    return None;
                }
                let meant = nearest(text, names.iter().copied());
                let meant = meant.map_or(String::new(), |name| format!("; \"{name}\" perhaps?"));
                Some(format!("must be one of {}{meant}", listed(names.iter().copied())))
            }
            (Self::OneOf(names), _) => wanted(&format!("one of {}", listed(names.iter().copied()))),
            (Self::Texts, Value::List(nodes)) => {
                let all = nodes.iter().all(|node| matches!(node.value, Value::Text(_)));
                (!all).then(|| String::from("must be a list of texts"))
            }
            (Self::Flag, _) => wanted("true or false"),
            (Self::Text, _) => wanted("a text"),
            (Self::Texts, _) => wanted("a list of texts"),
            (Self::Section, _) => wanted("a table"),
        }
    }
}

/// A whole or broken number.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Whole(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    }
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What holds where the key is missing, as the reference says it.
    pub(crate) default: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
}

/// A key, in the order in which the tables below write it.
pub(crate) const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, about }
}

/// A table of a file: what it is called in the reference, what it is, its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    /// Groups of keys, so that sections can share them.
    pub(crate) keys: &'static [&'static [Key]],
}

impl Section {
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// The section as a table of the reference.
    pub(crate) fn reference(&self) -> String {
        let mut out = format!("### {}\n\n{}\n\n", self.title, self.about);
        out.push_str("| key | value | default | what |\n|---|---|---|---|\n");
        for Key { name, kind, default, about } in self.keys() {
            let kind = kind.describe();
            let _ = writeln!(out, "| `{name}` | {kind} | {default} | {about} |");
        }
        out
    }
}

/// A table that is read: its keys were checked, what is wrong is said, what is right is there.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'t> {
    table: &'t Table,
    section: &'static Section,
    pub(crate) path: String,
    /// Where the table begins.
    pub(crate) at: usize,
    /// Keys whose values are no use.
    wrong: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// Checks every key of a table. `path` is its place in the file, empty for the file itself.
    pub(crate) fn open(
        table: &'t Table,
        at: usize,
        path: impl Into<String>,
        section: &'static Section,
        sink: &mut Sink<'_>,
    ) -> Self {
        Self::open_with(table, at, path, section, |_| false, sink)
    }

    /// The same where `is_other` says of further keys that somebody else reads them.
    pub(crate) fn open_with(
        table: &'t Table,
        at: usize,
        path: impl Into<String>,
        section: &'static Section,
        is_other: impl Fn(&str) -> bool,
        sink: &mut Sink<'_>,
    ) -> Self {
        let mut fields = Self { table, section, path: path.into(), at, wrong: Vec::new() };
        for entry in &table.entries {
            let path = fields.path_of(&entry.key);
            let Some(key) = section.find(&entry.key) else {
                if !is_other(&entry.key) {
                    sink.add(entry.key_at, &path, unknown(&entry.key, section));
                }
                continue;
            };
            if let Some(complaint) = key.kind.complain(&entry.node.value) {
                sink.add(entry.node.at, &path, complaint);
                fields.wrong.push(key.name);
            }
        }
        fields
    }

    /// The place of a key in the file.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the key is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Whether the section knows such a key.
    pub(crate) fn section_has(&self, key: &str) -> bool {
        self.section.find(key).is_some()
    }

    /// The value of a key that is there and right.
    pub(crate) fn node(&self, key: &str) -> Option<&'t Node> {
        assert!(self.section.find(key).is_some(), "{key} is no key of {}", self.section.title);
        if self.wrong.contains(&key) { None } else { self.table.get(key) }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.node(key)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    pub(crate) fn whole(&self, key: &str) -> Option<u64> {
        match self.node(key)?.value {
            Value::Whole(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        number(&self.node(key)?.value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'t str> {
        match &self.node(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The numbers of a key that takes one or several.
    pub(crate) fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        match &self.node(key)?.value {
            Value::List(nodes) => Some(nodes.iter().filter_map(|n| number(&n.value)).collect()),
            value => number(value).map(|n| vec![n]),
        }
    }

    /// The texts of a list, each with its place.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<(&'t str, usize)>> {
        let Value::List(nodes) = &self.node(key)?.value else { return None };
        let text = |node: &'t Node| match &node.value {
            Value::Text(text) => Some((text.as_str(), node.at)),
            _ => None,
        };
        Some(nodes.iter().filter_map(text).collect())
    }

    /// A table within this one.
    pub(crate) fn table(&self, key: &str) -> Option<(&'t Table, usize)> {
        let node = self.node(key)?;
        match &node.value {
            Value::Table(table) => Some((table, node.at)),
            _ => None,
        }
    }

    /// The tables of a `[[list]]`, each with its place; a complaint where it is something else.
    pub(crate) fn tables(&self, key: &str, sink: &mut Sink<'_>) -> Vec<(&'t Table, usize)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let complaint = format!("must be a list of tables: write [[{key}]]");
        let Value::List(nodes) = &node.value else {
            sink.add(node.at, &self.path_of(key), complaint);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for node in nodes {
            match &node.value {
                Value::Table(table) => tables.push((table, node.at)),
                _ => sink.add(node.at, &self.path_of(key), complaint.clone()),
            }
        }
        tables
    }

    /// Where a key's value stands; the table's own place where it is missing.
    pub(crate) fn at_of(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.at, |node| node.at)
    }

    /// Complains about a key.
    pub(crate) fn complain(&self, key: &str, what: impl Into<String>, sink: &mut Sink<'_>) {
        sink.add(self.at_of(key), &self.path_of(key), what);
    }

    /// Complains unless the key is there.
    pub(crate) fn require(&self, key: &str, sink: &mut Sink<'_>) {
        if !self.has(key) {
            let known = self.section.find(key);
            let (kind, about) = known.map_or((String::new(), ""), |k| (k.kind.describe(), k.about));
            sink.add(self.at, &self.path_of(key), format!("is missing: {about} ({kind})"));
        }
    }
}

/// What to say of a key that no section knows.
pub(crate) fn unknown(name: &str, section: &Section) -> String {
    match nearest(name, section.keys().map(|key| key.name)) {
        Some(meant) => format!("is no key of {}; {meant} perhaps?", section.title),
        None => {
            let known = listed(section.keys().map(|key| key.name));
            format!("is no key of {}, which knows {known}", section.title)
        }
    }
}
