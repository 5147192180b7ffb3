//! Which runs: seeds, cases and a part of them.

use super::Args;
use crate::failure::{Failure, Kind};
use crate::human;
use simoom_scenarios::{Case, Pair, Scenario, pairs, shard};
use simoom_sim::seed::Seed;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::thread;

/// Cases that an error lists, at most.
const LISTED_MAX: usize = 20;

/// `A..B`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("write the first and the end, like 0..1000");
        let (from, end) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<Seed>().map(|seed| seed.0).map_err(|_| wrong());
        let (from, end) = (number(from)?, number(end)?);
        if from >= end {
            return Err(format!("is empty: {end}, its end, is not one of them"));
        }
        Ok(Self(from..end))
    }
}

/// `I/N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("write which part of how many, like 3/20");
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
        let (index, count) = (number(index)?, number(count)?);
        if count == 0 {
            return Err(String::from("there is at least one part: 1/1"));
        }
        if index == 0 || index > count {
            return Err(format!("the parts are 1/{count} to {count}/{count}"));
        }
        Ok(Self { index, count })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// The runs that were asked for.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) scenario: &'a Scenario,
    /// In the order of the file; at least one.
    pub(super) cases: Vec<&'a Case>,
    pub(super) seeds: Range<u64>,
    pub(super) jobs: usize,
    pub(super) file: &'a Path,
    nic: Option<&'a Path>,
    shard: Option<Shard>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(args: &'a Args, scenario: &'a Scenario) -> Result<Self, Failure> {
        let cases = match &args.case {
            None => scenario.cases().iter().collect(),
            Some(wanted) => choose(scenario, wanted)?,
        };
        let seeds = match (args.seed, &args.seeds) {
            (Some(Seed(u64::MAX)), _) => {
                let what = format!("--seed {}: seeds end one before", u64::MAX);
                return Err(Failure::new(Kind::Usage, what));
            }
            (Some(Seed(seed)), _) => seed..seed + 1,
            (None, Some(Seeds(seeds))) => seeds.clone(),
            (None, None) => scenario.seed_range(),
        };
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let jobs = args.jobs.map_or_else(cores, usize::from);
        Ok(Self {
            scenario,
            cases,
            seeds,
            jobs,
            file: &args.file,
            nic: args.nic.as_deref(),
            shard: args.shard,
        })
    }

    /// What there is instead of runs, where a part has none: more parts than runs.
    pub(super) fn emptiness(&self) -> Option<String> {
        let shard = self.shard.filter(|_| self.count() == 0)?;
        Some(format!("part {shard} has no run: there {}", are(self.all())))
    }

    /// Every run of the part that was asked for, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = Pair<'a>> + Send {
        let cases = self.cases.clone();
        let is_wanted = move |pair: &Pair<'_>| cases.iter().any(|case| case.name == pair.case.name);
        let runs = pairs(self.scenario, self.seeds.clone()).filter(is_wanted);
        let Shard { index, count } = self.shard.unwrap_or(Shard { index: 1, count: 1 });
        shard(runs, index, count)
    }

    /// How many runs these are.
    pub(super) fn count(&self) -> u64 {
        let Some(Shard { index, count }) = self.shard else { return self.all() };
        let before = index as u64 - 1;
        self.all().saturating_sub(before).div_ceil(count as u64)
    }

    /// How many there are in all parts together.
    fn all(&self) -> u64 {
        (self.seeds.end - self.seeds.start).saturating_mul(self.cases.len() as u64)
    }

    /// The only run; what asks for one begins the error where there are more.
    pub(super) fn require_one(&self, what: &str) -> Result<Pair<'a>, Failure> {
        let mut runs = self.runs();
        if let (Some(run), None) = (runs.next(), runs.next()) {
            return Ok(run);
        }
        let mut text = format!("{what} one run, and there {}", are(self.count()));
        if self.seeds.end - self.seeds.start > 1 {
            text += &format!("\nchoose a seed: --seed {}", self.seeds.start);
        }
        if self.cases.len() > 1 {
            text += &format!("\nchoose a case:{}", listed(&self.cases));
        }
        Err(Failure::new(Kind::Usage, text))
    }

    /// What to type to have one run again.
    pub(super) fn command_of(&self, case: &str, seed: Seed) -> String {
        let mut command = format!("simoom sim {} --seed {seed}", quoted(self.file));
        if let Some(nic) = self.nic {
            command += &format!(" --nic {}", quoted(nic));
        }
        if self.scenario.cases().len() > 1 {
            command += &format!(" --case {}", quoted(Path::new(case)));
        }
        command
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Cases of that name, else those that have all of these values on their axes.
fn choose<'a>(scenario: &'a Scenario, wanted: &str) -> Result<Vec<&'a Case>, Failure> {
    let all = scenario.cases();
    if let Some(case) = all.iter().find(|case| case.name == wanted) {
        return Ok(vec![case]);
    }
    let has = |case: &&Case| {
        let labels = || {
            case.axes.iter().map(|(axis, value)| match axis.as_str() {
                "case" => value.clone(),
                _ => format!("{axis}={value}"),
            })
        };
        wanted.split(',').all(|part| labels().any(|label| label == part))
    };
    let cases: Vec<&Case> = all.iter().filter(has).collect();
    if cases.is_empty() {
        let all: Vec<&Case> = all.iter().collect();
        let what = format!("--case {wanted}: there is no such case; there are{}", listed(&all));
        return Err(Failure::new(Kind::Usage, what));
    }
    Ok(cases)
}

fn listed(cases: &[&Case]) -> String {
    let mut lines: Vec<String> =
        cases.iter().take(LISTED_MAX).map(|case| format!("\n  --case {}", case.name)).collect();
    if cases.len() > LISTED_MAX {
        lines.push(format!("\n  and {} more", cases.len() - LISTED_MAX));
    }
    lines.concat()
}

fn are(runs: u64) -> String {
    if runs == 1 { String::from("is 1 run") } else { format!("are {}", human::count(runs, "run")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        title = "Three rates, two delays"
        about = "a test"
        [host.client]
        kind = "client"
        server = "server"
        size_kb = 1
        [host.server]
        kind = "server"
        [link.path]
        from = "client"
        to = "server"
        [sweep]
        "link.path.rate_mbit" = [1, 10, 100]
        "link.path.delay_ms" = [1, 5]
    "#;

    fn scenario() -> Scenario {
        Scenario::parse(Path::new("six.toml"), TEXT).unwrap_or_else(|e| panic!("{e}"))
    }

    fn choice<'a>(scenario: &'a Scenario, shard: Option<&str>) -> Choice<'a> {
        Choice {
            scenario,
            cases: scenario.cases().iter().collect(),
            seeds: 3..7,
            jobs: 1,
            file: Path::new("six.toml"),
            nic: None,
            shard: shard.map(|text| text.parse().unwrap()),
        }
    }

    fn names(choice: &Choice<'_>) -> Vec<(String, u64)> {
        choice.runs().map(|pair| (pair.case.name.clone(), pair.seed.0)).collect()
    }

    #[test]
    fn shards_have_every_run_once_and_know_how_many() {
        let scenario = scenario();
        let whole = choice(&scenario, None);
        assert_eq!(whole.count(), 24);
        for count in [1, 2, 5, 7, 24] {
            let mut together = Vec::new();
            for index in 1..=count {
                let part = choice(&scenario, Some(&format!("{index}/{count}")));
                assert_eq!(part.count(), names(&part).len() as u64);
                together.extend(names(&part));
            }
            together.sort();
            let mut all = names(&whole);
            all.sort();
            assert_eq!(together, all, "{count} parts");
        }
    }

    #[test]
    fn a_case_is_chosen_by_its_name_or_by_values_of_its_axes() {
        let scenario = scenario();
        let chosen = |wanted: &str| choose(&scenario, wanted).map(|cases| cases.len()).ok();
        assert_eq!(chosen("rate_mbit=10,delay_ms=5"), Some(1));
        assert_eq!(chosen("delay_ms=5,rate_mbit=10"), Some(1));
        assert_eq!(chosen("delay_ms=5"), Some(3));
        assert_eq!((chosen("delay_ms=50"), chosen(""), chosen("base")), (None, None, None));
    }

    #[test]
    fn ranges_and_parts_that_make_no_sense_are_refused() {
        for wrong in ["", "5", "5..", "..5", "5..5", "6..5", "-1..5", "a..b", "0...5"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
        assert_eq!("v1:3..v1:5".parse(), Ok(Seeds(3..5)));
        for wrong in ["", "1", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, count: 3 }));
    }

    #[test]
    fn paths_with_spaces_and_quotes_are_quoted() {
        assert_eq!(quoted(Path::new("a/b-c.toml")), "a/b-c.toml");
        assert_eq!(quoted(Path::new("it's one.toml")), "'it'\\''s one.toml'");
    }
}
