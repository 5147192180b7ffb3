//! A TOML document as a plain tree in which every key and value knows where it stands.
//!
//! The tree is what cases are made from: an axis of a sweep puts another value in, a smaller run is
//! the tree with something taken out, and either is written as TOML again. Must not know what the
//! keys mean.

use crate::problem::Sink;
use std::fmt::Write;
use toml::de::{DeTable, DeValue};

/// A value and the byte of the file at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// What a value is. Dates are refused when the file is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Flag(bool),
    /// Every whole number of a file fits, or is saturated: bounds are checked later.
    Whole(i128),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: usize,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, for an error.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "true or false",
            Self::Whole(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The table of that name; None too where it is something else.
    pub(crate) fn table(&self, key: &str) -> Option<&Table> {
        match &self.get(key)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The table at the end of a path.
    pub(crate) fn table_mut(&mut self, path: &[&str]) -> Option<&mut Table> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let entry = self.entries.iter_mut().find(|entry| entry.key == *first)?;
        match &mut entry.node.value {
            Value::Table(table) => table.table_mut(rest),
            _ => None,
        }
    }

    /// Puts a value in, in place of the one there or behind all others.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.node = node,
            None => {
                let key_at = node.at;
                self.entries.push(Entry { key: key.to_owned(), key_at, node });
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// Puts a value in at the end of a path `link.path.rate_mbit`. Tables on the way that are not
    /// there are made where they may be. False where there is no such place.
    pub(crate) fn set_at(&mut self, path: &str, node: Node, may_be_made: &[&str]) -> bool {
        let Some((first, rest)) = path.split_once('.') else {
            self.set(path, node);
            return true;
        };
        if self.get(first).is_none() && may_be_made.contains(&first) {
            let value = Value::Table(Self::default());
            self.set(first, Node { at: node.at, value });
        }
        let entry = self.entries.iter_mut().find(|entry| entry.key == first);
        match entry.map(|entry| &mut entry.node.value) {
            Some(Value::Table(table)) => table.set_at(rest, node, may_be_made),
            _ => false,
        }
    }
}

/// Reads a document. What is no TOML, and dates, are problems; what could be read is in the tree.
pub(crate) fn parse(text: &str, sink: &mut Sink<'_>) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        // Which key, say: of a word that is wrong the parser tells the place alone.
        let word = error.span().and_then(|span| text.get(span)).unwrap_or_default();
        let is_word = !word.is_empty() && word.len() <= 60 && !word.contains(char::is_whitespace);
        let word = if is_word { format!(": {word}") } else { String::new() };
        sink.add(at, "", format!("is no TOML: {}{word}", error.message()));
    }
    convert_table(table.get_ref(), "", sink)
}

fn convert_table(table: &DeTable<'_>, path: &str, sink: &mut Sink<'_>) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let name = key.get_ref().to_string();
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let value_at = value.span().start;
        Entry {
            key: name,
            key_at: key.span().start,
            node: Node { at: value_at, value: convert(value.get_ref(), value_at, &path, sink) },
        }
    });
    Table { entries: entries.collect() }
}

fn convert(value: &DeValue<'_>, at: usize, path: &str, sink: &mut Sink<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => {
            let (text, radix) = (n.as_str(), n.radix());
            let saturated = || if text.starts_with('-') { i128::MIN } else { i128::MAX };
            Value::Whole(i128::from_str_radix(text, radix).unwrap_or_else(|_| saturated()))
        }
        DeValue::Float(n) => Value::Number(n.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => {
            sink.add(at, path, "is a date: times are numbers of milliseconds or seconds here");
            Value::Flag(false)
        }
        DeValue::Array(list) => {
            let nodes = list.iter().map(|item| {
                let at = item.span().start;
                Node { at, value: convert(item.get_ref(), at, path, sink) }
            });
            Value::List(nodes.collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(table, path, sink)),
    }
}

/// The document as TOML: plain values first, then tables, each in their order.
pub(crate) fn write(table: &Table) -> String {
    let mut out = String::new();
    write_table(&mut out, table, "");
    out
}

fn write_table(out: &mut String, table: &Table, path: &str) {
    let is_tables = |value: &Value| match value {
        Value::Table(_) => true,
        Value::List(nodes) => {
            !nodes.is_empty() && nodes.iter().all(|node| matches!(node.value, Value::Table(_)))
        }
        _ => false,
    };
    for Entry { key, node, .. } in table.entries.iter().filter(|e| !is_tables(&e.node.value)) {
        let _ = writeln!(out, "{} = {}", key_text(key), inline(&node.value));
    }
    for Entry { key, node, .. } in &table.entries {
        let path = match path {
            "" => key_text(key),
            _ => format!("{path}.{}", key_text(key)),
        };
        match &node.value {
            Value::Table(table) => {
                let _ = writeln!(out, "\n[{path}]");
                write_table(out, table, &path);
            }
            Value::List(nodes) if is_tables(&node.value) => {
                for node in nodes {
                    if let Value::Table(table) = &node.value {
                        let _ = writeln!(out, "\n[[{path}]]");
                        write_table(out, table, &path);
                    }
                }
            }
            _ => {}
        }
    }
}

fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as it stands behind a `=`, and in the name of a case.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        // TOML's whole numbers have 64 bits; beyond, they were no number to begin with.
        Value::Whole(n) => (*n).clamp(i64::MIN.into(), i64::MAX.into()).to_string(),
        Value::Number(n) if n.is_nan() => String::from("nan"),
        Value::Number(n) if n.is_infinite() => (if *n < 0.0 { "-inf" } else { "inf" }).to_owned(),
        Value::Number(n) => format!("{n:?}"),
        Value::Text(text) => quoted(text),
        Value::List(nodes) => {
            let items: Vec<_> = nodes.iter().map(|node| inline(&node.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let entry = |e: &Entry| format!("{} = {}", key_text(&e.key), inline(&e.node.value));
            let entries: Vec<_> = table.entries.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn read(text: &str) -> Table {
        let mut sink = Sink::new(text);
        let table = parse(text, &mut sink);
        sink.into_result(Path::new("x")).unwrap();
        table
    }

    /// The tree without places.
    fn bare(table: &Table) -> Table {
        fn value(v: &Value) -> Value {
            match v {
                Value::List(nodes) => Value::List(
                    nodes.iter().map(|n| Node { at: 0, value: value(&n.value) }).collect(),
                ),
                Value::Table(table) => Value::Table(bare(table)),
                other => other.clone(),
            }
        }
        let entry = |e: &Entry| Entry {
            key: e.key.clone(),
            key_at: 0,
            node: Node { at: 0, value: value(&e.node.value) },
        };
        Table { entries: table.entries.iter().map(entry).collect() }
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        let text = "a = 1\nb = -2.5e300\n\"c d\" = \"x\\\"\\\\\\u0007\\n\"\ne = [1, [true, \"y\"]]\n\
                    [t.u]\nv = { w = 1.0 }\n[[l]]\na = 1\n[l.m]\nb = 2\n[[l]]\n";
        let table = read(text);
        assert_eq!(bare(&read(&write(&table))), bare(&table));
    }

    #[test]
    fn places_are_bytes_of_the_file() {
        let text = "one = 1\n[two]\nthree = [4, 5]\n";
        let two = read(text);
        let Some(Value::List(list)) =
            two.table("two").and_then(|t| t.get("three")).map(|n| &n.value)
        else {
            panic!("no list")
        };
        assert_eq!(&text[list[1].at..=list[1].at], "5");
        assert_eq!(&text[two.entries[0].key_at..][..3], "one");
    }

    #[test]
    fn a_path_makes_the_tables_that_it_may() {
        let mut table = read("[link.path]\nx = 1\n");
        let node = || Node { at: 0, value: Value::Whole(2) };
        let may = ["forward"];
        assert!(table.set_at("link.path.x", node(), &may));
        assert!(table.set_at("link.path.forward.y", node(), &may));
        assert!(!table.set_at("link.other.forward.y", node(), &may));
        assert!(!table.set_at("link.path.x.y", node(), &may));
        let path = table.table("link").and_then(|t| t.table("path")).unwrap();
        assert_eq!(path.get("x").unwrap().value, Value::Whole(2));
        assert_eq!(path.table("forward").unwrap().get("y").unwrap().value, Value::Whole(2));
    }

    #[test]
    fn huge_numbers_saturate_and_dates_are_refused() {
        let text = "a = 99999999999999999999999999999999999999999999\nb = 1979-05-27\nc = 1e999";
        let mut sink = Sink::new(text);
        let table = parse(text, &mut sink);
        assert_eq!(table.get("a").unwrap().value, Value::Whole(i128::MAX));
        assert_eq!(table.get("c").unwrap().value, Value::Number(f64::INFINITY));
        let errors = sink.into_result(Path::new("x")).unwrap_err();
        assert_eq!(errors.problems.len(), 1, "{errors}");
        assert_eq!((errors.problems[0].line, errors.problems[0].key.as_str()), (2, "b"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z\\[\\]=.\" \\n0-9{},#'-]{0,200}") {
            let mut sink = Sink::new(&text);
            let table = parse(&text, &mut sink);
            if sink.is_empty() {
                prop_assert_eq!(bare(&read(&write(&table))).entries.len(), table.entries.len());
            }
        }

        #[test]
        fn any_quoted_text_survives(text in "\\PC{0,40}", key in "\\PC{1,10}") {
            let mut table = Table::default();
            table.set(&key, Node { at: 0, value: Value::Text(text) });
            prop_assert_eq!(bare(&read(&write(&table))), bare(&table));
        }
    }
}
