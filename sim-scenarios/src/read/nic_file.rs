//! A NIC alone in a file of its own: what `verify` measured of a real one, for worlds to be run with.

use super::hosts::{completion_name, dma_name};
use super::{FILE_BYTES_MAX, whole_file};
use crate::doc::{self, Node, Table, Value};
use crate::keys;
use crate::problem::{Errors, Sink};
use crate::schema::Fields;
use simoom_core::time::Duration;
use simoom_sim::nic::{CompletionPolicy, DmaPolicy};
use std::path::Path;

/// What a NIC was found to be like: what a file of it is written from.
#[derive(Clone, Debug, PartialEq)]
pub struct NicFindings {
    /// Slots of the transmit ring, 2 to 65,536.
    pub tx_slots: u32,
    /// Frames that the receive ring holds, 1 to 1,000,000; None where it is not known.
    pub rx_slots: Option<u32>,
    /// Packet buffers, 16 to 1,000,000.
    pub buffers: u32,
    /// When frames are read.
    pub dma: DmaPolicy,
    /// When completions show.
    pub completion: CompletionPolicy,
    /// How long a frame waits at most before it is read, up to 1000 s.
    pub lateness: Duration,
    /// Later frames before a completion shows, at most; 1 to 65,536.
    pub hold_frames: u32,
    /// Frames that stay with an idle device.
    pub hold_idle_frames: u32,
    /// What all this was taken from: keys of `[measured]` and their values.
    pub measured: Vec<(&'static str, Measurement)>,
}

/// A value of `[measured]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Measurement {
    /// A count.
    Count(u64),
    /// A number with its unit in its key.
    Number(f64),
    /// A name.
    Text(String),
}

/// What hosts have for a NIC, read from a file with a table `[nic]`, whose keys are those that a host
/// of our own stack has for its NIC, and a table `[measured]` for people.
#[derive(Clone, Debug, PartialEq)]
pub struct NicFile {
    nic: Table,
}

impl NicFindings {
    /// The file: TOML, keys with their units.
    pub fn to_toml(&self) -> String {
        let whole = |n: u32| Value::Whole(n.into());
        let text = |name: &str| Value::Text(name.to_owned());
        let mut nic = Table::default();
        let mut set = |key: &str, value: Value| nic.set(key, Node { at: 0, value });
        set("tx_slots", whole(self.tx_slots));
        if let Some(slots) = self.rx_slots {
            set("rx_slots", whole(slots));
        }
        set("buffers", whole(self.buffers));
        set("dma", text(dma_name(self.dma)));
        set("completion", text(completion_name(self.completion)));
        set("lateness_us", Value::Number(self.lateness.as_nanos() as f64 / 1e3));
        set("hold_frames", whole(self.hold_frames));
        set("hold_idle_frames", whole(self.hold_idle_frames));
        let mut measured = Table::default();
        for (key, value) in &self.measured {
            let value = match value {
                Measurement::Count(n) => Value::Whole((*n).into()),
                Measurement::Number(n) => Value::Number(*n),
                Measurement::Text(text) => Value::Text(text.clone()),
            };
            measured.set(key, Node { at: 0, value });
        }
        let mut file = Table::default();
        file.set("nic", Node { at: 0, value: Value::Table(nic) });
        file.set("measured", Node { at: 0, value: Value::Table(measured) });
        doc::write(&file).trim_start().to_owned()
    }
}

impl NicFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let cannot = |error| whole_file(path, format!("cannot be read: {error}"));
        let len = std::fs::metadata(path).map_err(cannot)?.len();
        if len > FILE_BYTES_MAX {
            let what = format!("has {len} bytes; a NIC has at most {FILE_BYTES_MAX}");
            return Err(whole_file(path, what));
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(cannot)?)
    }

    /// Reads the text of a file; `path` names it in errors.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Errors> {
        let mut sink = Sink::of(path, text);
        let tree = doc::parse(text, &mut sink);
        // What is no TOML makes the rest look wrong in ways that it is not.
        let nic = if sink.is_empty() { read(&tree, &mut sink) } else { Table::default() };
        sink.into_result(path)?;
        Ok(Self { nic })
    }

    /// Puts the NIC into every host of a scenario that is of our own stack.
    pub(super) fn apply(&self, tree: &mut Table) {
        let Some(hosts) = tree.table_mut(&["host"]) else { return };
        for host in &mut hosts.entries {
            let Value::Table(table) = &mut host.node.value else { continue };
            let kind = table.get("kind").map(|node| &node.value);
            let Some(Value::Text(kind)) = kind else { continue };
            if !["server", "client", "machine", "browser"].contains(&kind.as_str()) {
                continue;
            }
            for entry in &self.nic.entries {
                // What does not go with the rest of the host is wrong where the host stands.
                let node = Node { at: host.key_at, value: entry.node.value.clone() };
                table.set(&entry.key, node);
            }
        }
    }
}

fn read(tree: &Table, sink: &mut Sink<'_>) -> Table {
    let file = Fields::open(tree, 0, "", &keys::NIC_FILE, sink);
    file.require("nic", sink);
    let mut nic = Table::default();
    for (key, section) in [("nic", &keys::NIC_ALONE), ("measured", &keys::NIC_MEASURED)] {
        match file.table(key) {
            Some((table, at)) => {
                let fields = Fields::open(table, at, key, section, sink);
                if key == "nic" {
                    check(&fields, sink);
                    nic = table.clone();
                }
            }
            None if file.node(key).is_some() => file.complain(key, "must be a table", sink),
            None => (),
        }
    }
    nic
}

/// What each key cannot know of the others.
fn check(nic: &Fields<'_>, sink: &mut Sink<'_>) {
    super::hosts::read_stalled(nic, sink);
    if let (Some(idle), Some(slots)) = (nic.whole("hold_idle_frames"), nic.whole("tx_slots"))
        && idle >= slots
    {
        let what = format!("must be below tx_slots, {slots}: a NIC that idles so sends nothing");
        nic.complain("hold_idle_frames", what, sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::Scenario;

    fn parse(text: &str) -> Result<NicFile, String> {
        NicFile::parse(Path::new("nic.toml"), text).map_err(|errors| errors.to_string())
    }

    fn findings() -> NicFindings {
        NicFindings {
            tx_slots: 511,
            rx_slots: Some(1_023),
            buffers: 4_096,
            dma: DmaPolicy::WholeRing,
            completion: CompletionPolicy::HalfRing,
            lateness: Duration::from_nanos(37_500),
            hold_frames: 300,
            hold_idle_frames: 2,
            measured: vec![
                ("from", Measurement::Text("netmap:\"x\"{1".into())),
                ("frames", Measurement::Count(1_000_000)),
                ("batch_mean", Measurement::Number(17.25)),
            ],
        }
    }

    const WORLD: &str = r#"
title = "x"
about = "y"
[host.server]
kind = "server"
tx_slots = 8
[host.client]
kind = "client"
server = "server"
size_kb = 1
[host.sink]
kind = "smoltcp-client"
server = "server"
size_kb = 1
[host.switch]
kind = "switch"
[link.a]
from = "server"
to = "switch"
[link.b]
from = "client"
to = "switch"
[link.c]
from = "sink"
to = "switch"
"#;

    #[test]
    fn what_was_found_is_what_every_host_of_ours_has() {
        let nic = parse(&findings().to_toml()).unwrap();
        let mut scenario = Scenario::parse_with(Path::new("w.toml"), WORLD, Some(&nic)).unwrap();
        let mut ours = 0;
        for host in &mut scenario.cases[0].world.hosts {
            let Some(stack) = host.kind.stack_mut() else { continue };
            ours += 1;
            let found = NicFindings {
                tx_slots: stack.tx_slots,
                rx_slots: Some(stack.rx_slots),
                buffers: stack.buffers,
                dma: stack.dma.unwrap(),
                completion: stack.completion.unwrap(),
                lateness: stack.lateness,
                hold_frames: stack.hold_max,
                hold_idle_frames: stack.hold_idle,
                measured: findings().measured,
            };
            assert_eq!(found, findings(), "{}", host.name);
        }
        assert_eq!(ours, 2);
    }

    #[test]
    fn every_policy_is_read_as_it_was_written() {
        for dma in DmaPolicy::ALL {
            for completion in CompletionPolicy::ALL {
                let text = NicFindings { dma, completion, ..findings() }.to_toml();
                let nic = parse(&text).unwrap_or_else(|e| panic!("{text}\n{e}"));
                let scenario = Scenario::parse_with(Path::new("w.toml"), WORLD, Some(&nic));
                let mut scenario = scenario.unwrap();
                let stack = scenario.cases[0].world.hosts[0].kind.stack_mut().unwrap();
                assert_eq!((stack.dma, stack.completion), (Some(dma), Some(completion)));
            }
        }
    }

    #[test]
    fn what_is_missing_stays_as_the_scenario_says() {
        let nic = parse("[nic]\nhold_frames = 5\n").unwrap();
        let scenario = Scenario::parse_with(Path::new("w.toml"), WORLD, Some(&nic));
        let mut scenario = scenario.unwrap();
        let stack = scenario.cases[0].world.hosts[0].kind.stack_mut().unwrap();
        assert_eq!((stack.tx_slots, stack.hold_max, stack.dma), (8, 5, None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, wanted) in [
            ("", "nic.toml:1:1: nic: is missing"),
            ("nic = 3\n", "nic: must be "),
            ("[nic]\ntx_slot = 3\n", "nic.toml:2:1: nic.tx_slot: is no key"),
            ("[nic]\ndma = \"late\"\n", "nic.toml:2:7: nic.dma: must be one of"),
            ("[nic]\nlateness_us = -1\n", "nic.toml:2:15: nic.lateness_us: must be"),
            ("[nic]\ntx_slots = 4\nhold_idle_frames = 4\n", "nic.toml:3:20: nic.hold_idle_frames"),
            ("[nic]\nstall_what = [\"all\"]\n", "must be receive, transmit or report"),
            ("[nic]\n[measured]\nframes = \"many\"\n", "nic.toml:3:10: measured.frames: must be"),
            ("[nic\n", "nic.toml:1:"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
        }
        let said = NicFile::load(Path::new("there-is-none.toml")).unwrap_err().to_string();
        assert!(said.starts_with("there-is-none.toml: cannot be read: "), "{said}");
        let nic = parse("[nic]\nhold_idle_frames = 8\n").unwrap();
        let said = Scenario::parse_with(Path::new("w.toml"), WORLD, Some(&nic)).unwrap_err();
        let said = said.to_string();
        assert!(said.contains("host.server.hold_idle_frames: leaves no slot free"), "{said}");
    }
}
