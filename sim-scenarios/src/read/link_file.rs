//! A link alone in a file of its own, for whoever has the hosts already.

use super::links::WayDrafts;
use super::{FILE_BYTES_MAX, whole_file};
use crate::doc::{self, Table};
use crate::keys;
use crate::problem::{Errors, Sink};
use crate::schema::Fields;
use simoom_sim::link::LinkConfig;
use std::path::Path;

/// Both directions of a link, read from a file with one table `[link]`. It has the keys that
/// `[link.NAME]` has in a scenario, but for the two ends; `[link.forward]` and `[link.backward]`
/// say what is different for one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFile {
    /// From the one end to the other.
    pub forward: LinkConfig,
    /// And back.
    pub backward: LinkConfig,
}

impl LinkFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let cannot = |error| whole_file(path, format!("cannot be read: {error}"));
        let len = std::fs::metadata(path).map_err(cannot)?.len();
        if len > FILE_BYTES_MAX {
            let what = format!("has {len} bytes; a link has at most {FILE_BYTES_MAX}");
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
        let ways = if sink.is_empty() { read(&tree, &mut sink) } else { WayDrafts::default() };
        sink.into_result(path)?;
        let [forward, backward] = ways.configs();
        Ok(Self { forward, backward })
    }
}

fn read(tree: &Table, sink: &mut Sink<'_>) -> WayDrafts {
    let file = Fields::open(tree, 0, "", &keys::LINK_FILE, sink);
    file.require("link", sink);
    let mut ways = WayDrafts::default();
    match file.table("link") {
        Some((table, at)) => {
            let link = Fields::open(table, at, "link", &keys::LINK_ALONE, sink);
            ways.read(&link, sink);
        }
        None if file.node("link").is_some() => file.complain("link", "must be a table", sink),
        None => (),
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_core::time::Duration;
    use simoom_sim::link::Rate;

    fn parse(text: &str) -> Result<LinkFile, String> {
        LinkFile::parse(Path::new("x.toml"), text).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_direction_takes_what_is_said_of_the_link_and_then_its_own() {
        let text = "[link]\nrate_mbit = 20\ndelay_ms = 5\n[link.backward]\ndelay_ms = 7.5\n";
        let LinkFile { forward, backward } = parse(text).unwrap();
        assert_eq!(forward.rate, Rate::mbit(20));
        assert_eq!(backward.rate, Rate::mbit(20));
        assert_eq!(forward.delay, Duration::from_millis(5));
        assert_eq!(backward.delay, Duration::from_micros(7_500));
        let bare = parse("[link]\n").unwrap();
        assert_eq!(bare.forward, LinkConfig::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, wanted) in [
            ("", "x.toml:1:1: link: is missing"),
            ("link = 3\n", "link: must be "),
            ("[link]\nrate_mbits = 3\n", "x.toml:2:1: link.rate_mbits: "),
            ("[link]\ndelay_ms = -1\n", "x.toml:2:12: link.delay_ms: must be "),
            ("[link]\n[link.forward]\nfrom = \"a\"\n", "x.toml:3:1: link.forward.from: "),
            ("[link]\nfrom = \"a\"\n", "x.toml:2:1: link.from: "),
            ("[link]\nqueue_kb = 3\nqueue_bdp = 1\n", "queue_bdp: stands in place of"),
            ("[link\n", "x.toml:1:"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
        }
        let said = LinkFile::load(Path::new("there-is-none.toml")).unwrap_err().to_string();
        assert!(said.starts_with("there-is-none.toml: cannot be read: "), "{said}");
    }
}
