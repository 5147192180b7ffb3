//! What is asked for, and what must come: the files of a directory, or patterns. Sorted by size, so
//! that the small ones are the first.

use crate::failure::{Failure, Kind};
use crate::human;
use crate::site::Site;
use simoom_core::client::Expect;
use simoom_core::server::bodies::pattern_matches;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// Files below this many bytes are small: nine of ten that are asked for on the web.
pub(super) const SMALL_BELOW: u64 = 25_000;
/// Bytes of all bodies, which are kept in memory: more than this is refused.
const BYTES_MAX: u64 = 2 << 30;

/// Every path with its body.
#[derive(Debug)]
pub(crate) struct Targets(Vec<Target>);

#[derive(Debug)]
struct Target {
    /// As in the request line.
    path: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Box<[u8]>),
    Pattern { seed: u64, len: u64 },
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Pattern { len, .. } => *len,
        }
    }
}

/// A path whose body is a pattern, as on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    path: String,
    len: u64,
    seed: u64,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, ':');
        let number = |part: Option<&str>| part?.parse::<u64>().ok();
        let (seed, len, path) = (number(parts.next()), number(parts.next()), parts.next());
        match (path, len, seed) {
            (Some(path), Some(len), Some(seed)) if is_target(path) => {
                Ok(Self { path: path.into(), len, seed })
            }
            _ => Err("write /PATH:BYTES:SEED, as /a.bin:22000:7".into()),
        }
    }
}

/// Whether this may stand in a request line: RFC 9112 §3.2.1, origin-form.
fn is_target(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic())
}

impl Targets {
    /// The files of a directory as `simoom serve` would serve them; `only` these, where any is named.
    pub(super) fn of_directory(dir: &Path, only: &[String]) -> Result<Self, Failure> {
        let site = Site::scan(dir)?;
        for line in &site.notes.lines {
            eprintln!("simoom: {line}");
        }
        let fail = |what: String| Failure::new(Kind::File, format!("{}: {what}", dir.display()));
        let mut targets = Vec::new();
        let mut bytes = 0;
        for item in site.catalogue.files() {
            let named = |only: &String| only == item.path || *only == encoded(item.path);
            if !only.is_empty() && !only.iter().any(named) {
                continue;
            }
            let Some(file) = site.files.get(item.file.0 as usize) else { continue };
            bytes += file.stamp.len;
            if bytes > BYTES_MAX {
                let most = human::bytes(BYTES_MAX);
                return Err(fail(format!(
                    "more than {most} to compare with, which is kept in memory: choose files with --path"
                )));
            }
            let body = fs::read(&file.path).map_err(|e| fail(format!("{}: {e}", item.path)))?;
            targets.push(Target { path: encoded(item.path), body: Body::Bytes(body.into()) });
        }
        if let Some(missing) = only
            .iter()
            .find(|only| !targets.iter().any(|t| t.path == **only || t.path == encoded(only)))
        {
            return Err(fail(format!("{missing} is none of its files: see `simoom content`")));
        }
        if targets.is_empty() {
            return Err(fail("there is no file in it to ask for".into()));
        }
        Ok(Self::sorted(targets))
    }

    /// Patterns.
    pub(super) fn of_patterns(patterns: &[Pattern]) -> Result<Self, Failure> {
        let target = |p: &Pattern| Target {
            path: p.path.clone(),
            body: Body::Pattern { seed: p.seed, len: p.len },
        };
        Ok(Self::sorted(patterns.iter().map(target).collect()))
    }

    fn sorted(mut targets: Vec<Target>) -> Self {
        targets.sort_by(|a, b| a.body.len().cmp(&b.body.len()).then(a.path.cmp(&b.path)));
        Self(targets)
    }

    /// As in request lines, the small ones first.
    pub(super) fn paths(&self) -> Vec<String> {
        self.0.iter().map(|target| target.path.clone()).collect()
    }

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// How many are below [`SMALL_BELOW`].
    pub(super) fn small(&self) -> u32 {
        self.0.iter().filter(|target| target.body.len() < SMALL_BELOW).count() as u32
    }

    /// Bytes of all bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|target| target.body.len()).sum()
    }
}

/// Percent-encoded as RFC 3986 §3.3 asks of a path.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b) {
            out.push(b.into());
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

impl Expect for Targets {
    fn len(&self, path_index: u32) -> u64 {
        self.0.get(path_index as usize).map_or(0, |target| target.body.len())
    }

    fn check(&mut self, path_index: u32, offset: u64, bytes: &[u8]) -> bool {
        let Some(target) = self.0.get(path_index as usize) else { return false };
        match &target.body {
            Body::Bytes(body) => {
                let part = usize::try_from(offset).ok().and_then(|at| body.get(at..));
                part.and_then(|rest| rest.get(..bytes.len())).is_some_and(|part| part == bytes)
            }
            Body::Pattern { seed, len } => {
                offset.saturating_add(bytes.len() as u64) <= *len
                    && pattern_matches(*seed, offset, bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    #[test]
    fn files_are_sorted_by_size_and_encoded_and_compared() {
        let dir = TestDir::new("load-targets");
        fs::write(dir.path().join("large.bin"), vec![7; 25_000]).unwrap();
        fs::write(dir.path().join("small, with café"), vec![1; 24_999]).unwrap();
        fs::write(dir.path().join("empty"), b"").unwrap();
        let mut all = Targets::of_directory(dir.path(), &[]).unwrap();
        assert_eq!(all.paths(), ["/empty", "/small,%20with%20caf%C3%A9", "/large.bin"]);
        assert_eq!((all.len(), all.small(), all.bytes()), (3, 2, 49_999));
        assert_eq!((Expect::len(&all, 2), Expect::len(&all, 3)), (25_000, 0));
        assert!(all.check(2, 24_000, &[7; 1_000]));
        assert!(!all.check(2, 24_000, &[7; 1_001]), "beyond the end");
        assert!(!all.check(2, 0, &[7, 7, 6]));
        assert!(!all.check(1, 0, &[7]));
        assert!(!all.check(2, u64::MAX, &[7]));
    }

    #[test]
    fn paths_choose_among_files_and_unknown_ones_are_named() {
        let dir = TestDir::new("load-paths");
        for name in ["a", "b", "c d"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let only = ["/c d".to_string(), "/a".to_string()];
        assert_eq!(Targets::of_directory(dir.path(), &only).unwrap().paths(), ["/a", "/c%20d"]);
        let error = Targets::of_directory(dir.path(), &["/nowhere".to_string()]).unwrap_err();
        assert!(error.to_string().contains("/nowhere is none of its files"), "{error}");
        let empty = TestDir::new("load-empty");
        let error = Targets::of_directory(empty.path(), &[]).unwrap_err();
        assert!(error.to_string().contains("no file"), "{error}");
    }

    #[test]
    fn patterns_are_read_and_compared() {
        let pattern: Pattern = "/a:b.bin:1000:7".parse().unwrap();
        assert_eq!(pattern, Pattern { path: "/a:b.bin".into(), len: 1_000, seed: 7 });
        let mut targets = Targets::of_patterns(&[pattern]).unwrap();
        let mut body = [0; 1_000];
        simoom_core::server::bodies::pattern_fill(7, 0, &mut body);
        assert!(targets.check(0, 0, &body) && targets.check(0, 10, &body[10..]));
        assert!(!targets.check(0, 1, &body[..999]));
        for text in ["/a", "/a:1", "a:1:2", "/a:x:2", "/a b:1:2", "/a:1:-2", ""] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
