//! What the stack of a turn log is built from, as the text in the log's header: a file server at a
//! fixed address whose files are patterns.
//!
//! ```text
//! simoom fixture 1
//! start 1700000000000000000          the UTC time of instant 0, in nanoseconds since 1970
//! mode copies-on-demand              or copy, or copies-in-advance 2, or gather
//! copies 16                          copies kept at most
//! reserve 8                          buffers left to the copying way
//! file /a.bin 22000 7                path, bytes, seed of the pattern; any number of these
//! ```

use simoom_core::content::{self, Mode};
use simoom_core::port::turn_log::Header;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{Config, Stack};
use simoom_core::wire::MacAddr;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The stack's hardware address.
pub const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 2]);

/// The stack's address; the subnet has [`PREFIX_LEN`] bits.
pub const IP: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);

/// Bits of the subnet.
pub const PREFIX_LEN: u8 = 24;

const TITLE: &str = "simoom fixture 1";

/// A file server to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixture {
    /// The UTC time of instant 0, in nanoseconds since 1970.
    pub unix_nanos_at_start: u64,
    /// How segments are sent.
    pub mode: Mode,
    /// Copies kept at most.
    pub copies_max: u32,
    /// Buffers left to the copying way.
    pub reserve: u32,
    /// What is served.
    pub files: Vec<FixtureFile>,
}

/// A file of a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureFile {
    /// The path, without spaces.
    pub path: String,
    /// Bytes.
    pub len: u64,
    /// Which pattern.
    pub seed: u64,
}

/// A text that is no fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureError {
    /// The line, from 1 on; 0 where one is missing.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for FixtureError {}

impl Fixture {
    /// The stack, for a port with the capabilities of a log's header and with its secrets.
    ///
    /// # Errors
    /// Where the secrets were withheld, or a path cannot be served.
    pub fn stack(&self, header: &Header) -> Result<Stack<FileServer<MemoryBodies>>, FixtureError> {
        let error = |what: String| FixtureError { line: 0, what };
        let words = header.secrets.ok_or_else(|| error("the secrets were withheld".into()))?;
        let mut bodies = MemoryBodies::new();
        let mut catalogue = Catalogue::builder(0);
        for &FixtureFile { ref path, len, seed } in &self.files {
            let info = FileInfo {
                path,
                content_type: "application/octet-stream",
                modified: 1_000_000_000,
                version: seed,
                len,
                file: bodies.add_pattern(seed, len),
            };
            catalogue.add_file(info).map_err(|e| error(e.to_string()))?;
        }
        let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
        let config = Config {
            connections_max: 256,
            unix_nanos_at_start: self.unix_nanos_at_start,
            content: content::Config {
                mode: self.mode,
                copies_max: self.copies_max,
                reserve: self.reserve,
                ..content::Config::default()
            },
            ..Config::new(MAC, IP, PREFIX_LEN)
        };
        Ok(Stack::new(config, Secrets::new(words), &header.caps, server))
    }
}

impl fmt::Display for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}\nstart {}", self.unix_nanos_at_start)?;
        match self.mode {
            Mode::Copy => writeln!(f, "mode copy")?,
            Mode::CopiesInAdvance(copies) => writeln!(f, "mode copies-in-advance {copies}")?,
            Mode::CopiesOnDemand => writeln!(f, "mode copies-on-demand")?,
            Mode::Gather => writeln!(f, "mode gather")?,
        }
        writeln!(f, "copies {}\nreserve {}", self.copies_max, self.reserve)?;
        for FixtureFile { path, len, seed } in &self.files {
            writeln!(f, "file {path} {len} {seed}")?;
        }
        Ok(())
    }
}

impl FromStr for Fixture {
    type Err = FixtureError;

    fn from_str(text: &str) -> Result<Self, FixtureError> {
        let mut lines = text.lines().enumerate().map(|(n, line)| Line {
            number: n + 1,
            words: line.split_ascii_whitespace().collect(),
        });
        let mut next = |name: &str| {
            lines.next().ok_or_else(|| FixtureError { line: 0, what: format!("no `{name}`") })
        };
        let title = next(TITLE)?;
        if title.words.join(" ") != TITLE {
            return Err(title.error(format!("not `{TITLE}`")));
        }
        let unix_nanos_at_start = next("start")?.number("start")?;
        let mode = next("mode")?.mode()?;
        let copies_max = next("copies")?.number("copies")?;
        let reserve = next("reserve")?.number("reserve")?;
        let files = lines.map(|line| line.file()).collect::<Result<_, _>>()?;
        Ok(Self { unix_nanos_at_start, mode, copies_max, reserve, files })
    }
}

/// A line of a fixture.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

impl Line<'_> {
    fn error(&self, what: String) -> FixtureError {
        FixtureError { line: self.number, what }
    }

    fn parse<N: FromStr>(&self, word: &str) -> Result<N, FixtureError> {
        word.parse().map_err(|_| self.error(format!("`{word}` is no number, or too large")))
    }

    fn number<N: FromStr>(&self, name: &str) -> Result<N, FixtureError> {
        match self.words[..] {
            [word, value] if word == name => self.parse(value),
            _ => Err(self.error(format!("not `{name} NUMBER`"))),
        }
    }

    fn mode(&self) -> Result<Mode, FixtureError> {
        match self.words[..] {
            ["mode", "copy"] => Ok(Mode::Copy),
            ["mode", "copies-on-demand"] => Ok(Mode::CopiesOnDemand),
            ["mode", "gather"] => Ok(Mode::Gather),
            ["mode", "copies-in-advance", copies] => Ok(Mode::CopiesInAdvance(self.parse(copies)?)),
            _ => Err(self.error("not a mode that there is".into())),
        }
    }

    fn file(&self) -> Result<FixtureFile, FixtureError> {
        match self.words[..] {
            ["file", path, len, seed] => {
                let (len, seed) = (self.parse(len)?, self.parse(seed)?);
                Ok(FixtureFile { path: path.into(), len, seed })
            }
            _ => Err(self.error("not `file PATH BYTES SEED`".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(mode: Mode) -> Fixture {
        let file = |path: &str, len, seed| FixtureFile { path: path.into(), len, seed };
        let files = vec![file("/a", 22_000, 7), file("/b/c.bin", 0, u64::MAX)];
        Fixture { unix_nanos_at_start: 5, mode, copies_max: 16, reserve: 8, files }
    }

    #[test]
    fn text_of_a_fixture_is_read_back() {
        for mode in [Mode::Copy, Mode::CopiesInAdvance(3), Mode::CopiesOnDemand, Mode::Gather] {
            assert_eq!(fixture(mode).to_string().parse(), Ok(fixture(mode)));
        }
    }

    #[test]
    fn text_that_is_no_fixture_is_refused_by_line() {
        let good = fixture(Mode::Copy).to_string();
        let line = |text: String| text.parse::<Fixture>().unwrap_err().line;
        assert_eq!(line(String::new()), 0);
        assert_eq!(line("simoom fixture 2".into()), 1);
        assert_eq!(line(good.replace("start 5", "start x")), 2);
        assert_eq!(line(good.replace("mode copy", "mode scatter")), 3);
        assert_eq!(line(good.replace("copies 16", "copies 4294967296")), 4);
        assert_eq!(line(good.replace("reserve", "copies")), 5);
        assert_eq!(line(good.replace("/b/c.bin 0", "/b/c.bin")), 7);
    }
}
