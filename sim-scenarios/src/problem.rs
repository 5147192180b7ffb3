//! What is wrong with a file, and where: every error names file, line, key and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// The key with its path, `link.path.rate_mbit`; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Everything that is wrong with a scenario file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// The file.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Problem { line, column, key, what }) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if *line > 0 {
                write!(f, ":{line}:{column}")?;
            }
            if !key.is_empty() {
                write!(f, ": {key}")?;
            }
            write!(f, ": {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Gathers problems while a file is read.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    /// The file; what it names lies beside it.
    path: PathBuf,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new(), path: PathBuf::new() }
    }

    /// A sink for the file at `path`.
    pub(crate) fn of(path: &Path, text: &'a str) -> Self {
        Self { path: path.to_owned(), ..Self::new(text) }
    }

    /// The file that is read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a file beside the one that is read.
    pub(crate) fn read_beside(&self, name: &str) -> Result<String, String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())
    }

    /// Notes a problem at a byte of the file. The same thing said of the same place once is enough:
    /// a file is read once for each of its cases.
    pub(crate) fn add(&mut self, at: usize, key: &str, what: impl Into<String>) {
        let (line, column) = line_and_column(self.text, at);
        let problem = Problem { line, column, key: key.to_owned(), what: what.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// What is wrong with something that stands in the file once and is read several times is said
    /// of the first. `copies` are beginnings of keys: of the first, and of one like it.
    pub(crate) fn say_once(&mut self, copies: &[(String, String)]) {
        for (first, copy) in copies {
            let of_first: Vec<Problem> = self
                .problems
                .iter()
                .filter(|problem| problem.key.starts_with(first))
                .cloned()
                .collect();
            self.problems.retain(|problem| {
                let Some(rest) = problem.key.strip_prefix(copy.as_str()) else { return true };
                let key = format!("{first}{rest}");
                !of_first.iter().any(|said| {
                    (said.line, said.column, &said.key) == (problem.line, problem.column, &key)
                })
            });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// What was found, or nothing.
    pub(crate) fn into_result(self, file: &Path) -> Result<(), Errors> {
        let mut problems = self.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Errors { file: file.to_owned(), problems }),
        }
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
    let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
    (line, column)
}

/// The known name that is nearest to `wrong`, where one is near enough to be meant.
pub(crate) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let bound = 1 + wrong.chars().count().min(60) / 3;
    // Who forgets the unit is nearest to the name with it.
    let lacks_unit =
        |name: &str| name.strip_prefix(wrong).is_some_and(|rest| rest.starts_with('_'));
    let scored = known.into_iter().map(|name| match !wrong.is_empty() && lacks_unit(name) {
        true => (0, name),
        false => (distance(wrong, name), name),
    });
    scored.filter(|(d, _)| *d <= bound).min().map(|(_, name)| name)
}

/// How many letters have to be added, removed or replaced to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `a, b and c`.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.split_last() {
        None => String::from("none"),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_in_characters() {
        let text = "a\nöb\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 4), (2, 2));
        assert_eq!(line_and_column(text, 5), (2, 3));
        assert_eq!(line_and_column(text, 99), (3, 1));
    }

    #[test]
    fn the_nearest_name_is_found_where_it_is_near() {
        let known = ["rate_mbit", "delay_ms", "queue_packets"];
        assert_eq!(nearest("rate_mbits", known), Some("rate_mbit"));
        assert_eq!(nearest("dealy_ms", known), Some("delay_ms"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("queue", known), Some("queue_packets"));
        assert_eq!(nearest("", known), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }

    #[test]
    fn a_name_is_said_with_its_place() {
        let mut sink = Sink::new("one\ntwo = 3\n");
        sink.add(10, "two", "must be 4");
        sink.add(4, "two", "is odd");
        sink.add(4, "two", "is odd");
        let errors = sink.into_result(Path::new("x.toml")).unwrap_err();
        assert_eq!(errors.to_string(), "x.toml:2:1: two: is odd\nx.toml:2:7: two: must be 4");
    }

    #[test]
    fn lists_read_as_a_sentence_does() {
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!((listed(["a"]), listed([])), ("a".into(), "none".into()));
    }
}
