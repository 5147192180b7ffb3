//! What stands once for each interface of a machine: a link with `each_interface`, and the host at its
//! other end, are written once and read as often as the machine has interfaces.
//!
//! Works on the tree, so that everything behind it reads a file in which every host and link is
//! written out. The first of each keeps its name and its place in the file, the others follow it.

use crate::doc::{Entry, Node, Table, Value};
use crate::problem::Sink;

/// Interfaces of a machine, at most: as the key says.
const INTERFACES_MAX: i128 = 64;

/// A link that stands there several times.
struct Repeated {
    link: String,
    /// The host at its other end.
    host: String,
    count: usize,
}

/// The tree with every host and link written out, and the names of those that were added, each behind
/// the one that it is like.
pub(super) fn write_out(tree: &Table, sink: &mut Sink<'_>) -> (Table, Vec<(String, String)>) {
    let repeated: Vec<Repeated> = tree
        .table("link")
        .into_iter()
        .flat_map(|links| &links.entries)
        .filter_map(|entry| find(entry, tree, sink))
        .collect();
    let mut tree = tree.clone();
    let mut copies = Vec::new();
    for Repeated { link, host, count } in repeated {
        for (section, name) in [("host", &host), ("link", &link)] {
            for n in 2..=count {
                copies.push((format!("{section}.{name}."), format!("{section}.{name}-{n}.")));
            }
            repeat(&mut tree, section, name, count, sink);
        }
        for n in (2..=count).rev() {
            for end in ["from", "to"] {
                rename_end(&mut tree, &format!("{link}-{n}"), end, &host, &format!("{host}-{n}"));
            }
        }
        repeat_changes(&mut tree, "link", &link, count);
        repeat_changes(&mut tree, "host", &host, count);
    }
    (tree, copies)
}

/// A link that is one for each interface; None for any other, and where the file is wrong.
fn find(entry: &Entry, tree: &Table, sink: &mut Sink<'_>) -> Option<Repeated> {
    let Value::Table(link) = &entry.node.value else { return None };
    let each = link.get("each_interface")?;
    if !matches!(each.value, Value::Flag(true)) {
        return None;
    }
    let path = format!("link.{}.each_interface", entry.key);
    let [from, to] = ["from", "to"].map(|key| text(link, key));
    let (from, to) = (from?, to?);
    let hosts = tree.table("host")?;
    let interfaces = |name: &str| {
        let host = hosts.table(name).filter(|host| text(host, "kind") == Some("machine"))?;
        match host.get("interfaces").map(|node| &node.value) {
            None => Some(1),
            Some(Value::Whole(n)) if (1..=INTERFACES_MAX).contains(n) => Some(*n as usize),
            // What is no number of interfaces is said where the host is read.
            Some(_) => Some(1),
        }
    };
    let (host, count) = match (interfaces(from), interfaces(to)) {
        (None, Some(count)) => (from, count),
        (Some(count), None) => (to, count),
        (None, None) => {
            sink.add(each.at, &path, "is for a link of a machine: neither end is one");
            return None;
        }
        (Some(_), Some(_)) => {
            sink.add(each.at, &path, "is for a link between a machine and another host");
            return None;
        }
    };
    let others = tree.table("link").into_iter().flat_map(|links| &links.entries);
    let mut others = others.filter(|other| other.key != entry.key);
    let has_end = |other: &&Entry| match &other.node.value {
        Value::Table(other) => ["from", "to"].iter().any(|key| text(other, key) == Some(host)),
        _ => false,
    };
    if let Some(other) = others.find(has_end) {
        let what = format!(
            "makes {host} stand there once for each interface: it cannot have the link {} besides",
            other.key
        );
        sink.add(each.at, &path, what);
        return None;
    }
    Some(Repeated { link: entry.key.clone(), host: host.to_owned(), count })
}

fn text<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    match &table.get(key)?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Puts copies of an entry behind it, named `NAME-2` and so on.
fn repeat(tree: &mut Table, section: &str, name: &str, count: usize, sink: &mut Sink<'_>) {
    let Some(entry) = tree.entries.iter_mut().find(|entry| entry.key == section) else { return };
    let Value::Table(table) = &mut entry.node.value else { return };
    let Some(at) = table.entries.iter().position(|entry| entry.key == name) else { return };
    for n in 2..=count {
        let copy = Entry { key: format!("{name}-{n}"), ..table.entries[at].clone() };
        if let Some(taken) = table.entries.iter().find(|entry| entry.key == copy.key) {
            let what = format!("is the name of one more {name}, by each_interface: choose another");
            sink.add(taken.key_at, &format!("{section}.{}", copy.key), what);
            return;
        }
        table.entries.insert(at + n - 1, copy);
    }
}

fn rename_end(tree: &mut Table, link: &str, end: &str, old: &str, new: &str) {
    let place = format!("link.{link}.{end}");
    let links = tree.table("link").and_then(|links| links.table(link));
    let Some(node) = links.and_then(|link| link.get(end)) else { return };
    if matches!(&node.value, Value::Text(name) if name == old) {
        let node = Node { at: node.at, value: Value::Text(new.to_owned()) };
        tree.set_at(&place, node, &[]);
    }
}

/// What changes on the one changes on all.
fn repeat_changes(tree: &mut Table, key: &str, name: &str, count: usize) {
    let Some(entry) = tree.entries.iter_mut().find(|entry| entry.key == "at") else { return };
    let Value::List(changes) = &mut entry.node.value else { return };
    let one = std::mem::take(changes);
    for change in one {
        let is_meant =
            matches!(&change.value, Value::Table(table) if text(table, key) == Some(name));
        changes.push(change.clone());
        let Value::Table(table) = change.value else { continue };
        for n in (2..=count).filter(|_| is_meant) {
            let mut table = table.clone();
            table.set(key, Node { at: change.at, value: Value::Text(format!("{name}-{n}")) });
            changes.push(Node { at: change.at, value: Value::Table(table) });
        }
    }
}
