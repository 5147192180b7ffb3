//! Which cache lines the shards of a server write: no line may be two shards'.
//!
//! Runs itself under valgrind's lackey, a thread for each shard, all behind one modelled NIC, and
//! looks at every load and store ([`simoom_benches::lackey`]): of stack, store and port, and of the
//! memory that they share with the model of the kernel, whose own accesses are left out. What is on a
//! thread's own stack is left out too: nobody else has a reference to it.
//!
//! `--check` ends with 1 where a line is written by two shards, or by one and read by another, once all
//! are started; or where a fault that was made on purpose is not found.

use simoom_benches::allocations::{self, Remembering};
use simoom_benches::lackey::{LINE, Lines, Touched, trace};
use simoom_benches::shards::{self, Client, Shards};
use simoom_benches::threads::{Fault, MadeBy, SHARDS_MAX, Said, Threads};
use simoom_netmap::model::Model;
use std::collections::BTreeMap;
use std::io::{BufRead, stdin};
use std::ops::Range;
use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: Remembering = Remembering;

/// Numbers of shards that are looked at.
const SHARDS: [u16; 2] = [2, 8];
/// Rounds of requests before and after starting up is over: enough for the rings to wrap.
const WARM: u32 = 3;
const ROUNDS: u32 = 6;
/// Lines that a shard writes once started, at least: the headers of its copies alone are more.
const LINES_LEAST: usize = 500;
/// Lines named, at most.
const NAMED_MAX: usize = 12;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => report(false),
        ["--check"] => report(true),
        ["--worker", shards, made_by, fault] => match worker(shards, made_by, fault) {
            Some(()) => Ok(true),
            None => Err("not a worker's arguments".into()),
        },
        _ => Err("usage: shard_lines [--check]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("shard_lines: {why}");
            ExitCode::from(2)
        }
    }
}

const MADE_BY: [(&str, MadeBy); 2] =
    [("its-thread", MadeBy::ItsThread), ("the-first", MadeBy::TheFirst)];
const FAULTS: [(&str, Fault); 3] = [
    ("none", Fault::None),
    ("one-counter", Fault::OneCounter),
    ("counters-side-by-side", Fault::CountersSideBySide),
];

fn worker(shards: &str, made_by: &str, fault: &str) -> Option<()> {
    let count: u16 = shards.parse().ok().filter(|count| (1..=SHARDS_MAX).contains(count))?;
    let made_by = MADE_BY.into_iter().find(|(name, _)| *name == made_by)?.1;
    let fault = FAULTS.into_iter().find(|(name, _)| *name == fault)?.1;
    let marks = Said::marks();
    println!("marks {:x} {:x}", marks.start, marks.end);
    stdin().lock().lines().next()?.ok()?;
    let model = shards::nic(count);
    let threads = Threads::new(&model, count, made_by, fault);
    let mut client = Client::new(Shards::new(model, count, threads));
    client.run(WARM, true);
    Said::Steady.say();
    client.run(ROUNDS, false);
    Said::Over.say();
    let requests = ROUNDS * client.requests();
    let shards = client.into_shards();
    println!("requests {requests}");
    println!("region {:x}", shards.model.address());
    println!("marks {:x}", marks.start);
    for stack in &shards.turns.stacks {
        println!("stack {:x} {:x}", stack.start, stack.end);
    }
    let alive = allocations::alive();
    assert_eq!(allocations::forgotten(), 0, "the table of allocations is full");
    for allocations::Allocation { address, size, owner } in alive {
        println!("allocation {address:x} {size} {owner}");
    }
    Some(())
}

fn report(check: bool) -> Result<bool, String> {
    let mut right = true;
    for shards in SHARDS {
        let found = Found::of(shards, "its-thread", "none")?;
        right &= found.is_right();
        print!("{}", found.text());
    }
    let moved = Found::of(2, "the-first", "none")?;
    print!("made by one thread and moved: {}", moved.text());
    for (fault, _) in &FAULTS[1..] {
        let found = Found::of(2, "its-thread", fault)?;
        let seen = !found.twice_written().is_empty();
        println!("fault {fault}: {}", if seen { "found" } else { "NOT FOUND" });
        right &= seen;
    }
    Ok(right || !check)
}

/// What a run showed.
struct Found {
    shards: u16,
    start_up: Lines,
    steady: Lines,
    map: Map,
}

impl Found {
    fn of(shards: u16, made_by: &str, fault: &str) -> Result<Self, String> {
        let traced = trace(&[&shards.to_string(), made_by, fault])?;
        let map = Map::new(shards, &traced.said)?;
        let own = |lines: Lines| -> Lines {
            lines.into_iter().filter(|(line, _)| !map.is_stack(*line)).collect()
        };
        let (start_up, steady) = (own(traced.start_up), own(traced.steady));
        let found = Self { shards, start_up, steady, map };
        let each = found.each();
        if each.iter().any(|&lines| lines < LINES_LEAST) {
            return Err(format!("the trace is not whole: shards wrote {each:?} lines"));
        }
        Ok(found)
    }

    /// Lines that each shard writes.
    fn each(&self) -> Vec<usize> {
        let of = |shard: u16| pick(&self.steady, |touched| touched.writers >> shard & 1 != 0).len();
        (0..self.shards).map(of).collect()
    }

    fn is_right(&self) -> bool {
        self.twice_written().is_empty() && self.written_and_read().is_empty()
    }

    /// Lines that two shards write.
    fn twice_written(&self) -> Vec<(usize, Touched)> {
        pick(&self.steady, |touched| touched.writers.count_ones() > 1)
    }

    /// Lines that one shard writes and another reads.
    fn written_and_read(&self) -> Vec<(usize, Touched)> {
        pick(&self.steady, written_and_read)
    }

    fn text(&self) -> String {
        let Self { shards, start_up, steady, map } = self;
        let count = |lines: &Lines, which: fn(&Touched) -> bool| pick(lines, which).len();
        let mut text = format!(
            "{shards} shards, {} requests\n  once started: {} lines written, {} by two shards, {} by one \
             and read by another; each wrote {:?}\n  starting up:  {} lines written, {} by two shards, {} by one and read \
             by another\n",
            map.requests,
            count(steady, |touched| touched.writers != 0),
            self.twice_written().len(),
            self.written_and_read().len(),
            self.each(),
            count(start_up, |touched| touched.writers != 0),
            count(start_up, |touched| touched.writers.count_ones() > 1),
            count(start_up, written_and_read),
        );
        let shared =
            |touched: &Touched| touched.writers.count_ones() > 1 || written_and_read(touched);
        for (when, lines) in [("once started", steady), ("starting up", start_up)] {
            for (line, touched) in pick(lines, shared).into_iter().take(NAMED_MAX) {
                text += &format!(
                    "    {when}, line {:x}: written by {}, read by {}: {}\n",
                    line * LINE,
                    bits(touched.writers),
                    bits(touched.readers),
                    map.name(line)
                );
            }
        }
        text
    }
}

fn written_and_read(touched: &Touched) -> bool {
    touched.writers.count_ones() == 1 && touched.readers & !touched.writers != 0
}

fn pick(lines: &Lines, which: impl Fn(&Touched) -> bool) -> Vec<(usize, Touched)> {
    lines.iter().filter(|(_, touched)| which(touched)).map(|(line, t)| (*line, *t)).collect()
}

fn bits(shards: u16) -> String {
    let numbers = (0..SHARDS_MAX).filter(|shard| shards >> shard & 1 != 0);
    numbers.map(|shard| shard.to_string()).collect::<Vec<_>>().join(" and ")
}

/// What is where in the worker.
struct Map {
    requests: u32,
    stacks: Vec<Range<usize>>,
    region: usize,
    /// The same NIC once more: what lies where in the region.
    model: Model,
    shards: u16,
    /// Bytes and owner, by address.
    allocations: BTreeMap<usize, (usize, u32)>,
    marks: usize,
}

impl Map {
    fn new(shards: u16, said: &[String]) -> Result<Self, String> {
        let mut map = Self {
            requests: 0,
            stacks: Vec::new(),
            region: 0,
            model: shards::nic(shards),
            shards,
            allocations: BTreeMap::new(),
            marks: 0,
        };
        for line in said {
            map.take(line).ok_or_else(|| format!("the worker said {line:?}"))?;
        }
        Ok(map)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let hex = |word: &str| usize::from_str_radix(word, 16).ok();
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["requests", count] => self.requests = count.parse().ok()?,
            ["region", start] => self.region = hex(start)?,
            ["marks", start] => self.marks = hex(start)?,
            ["stack", start, end] => self.stacks.push(hex(start)?..hex(end)?),
            ["allocation", at, size, owner] => {
                self.allocations.insert(hex(at)?, (size.parse().ok()?, owner.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }

    fn is_stack(&self, line: usize) -> bool {
        self.stacks.iter().any(|stack| stack.contains(&(line * LINE)))
    }

    /// What a line is part of.
    fn name(&self, line: usize) -> String {
        let bytes = line * LINE..(line + 1) * LINE;
        let overlaps = |range: &Range<usize>| range.start < bytes.end && bytes.start < range.end;
        for shard in 0..self.shards {
            for (what, place) in self.model.places(shard) {
                let at = self.region + place.start;
                if overlaps(&(at..self.region + place.end)) {
                    let offset = bytes.start.saturating_sub(at);
                    return format!("{what} of shard {shard}, byte {offset}");
                }
            }
        }
        let of = |at: usize, size: usize, owner: u32| {
            let whose = match owner {
                0 => "nobody in particular".into(),
                owner => format!("shard {}", owner - 1),
            };
            format!("{size} bytes at {at:x}, allocated by {whose}")
        };
        // The last one that begins before the line, and those in it.
        let before = self.allocations.range(..bytes.start).next_back();
        let within = self.allocations.range(bytes.clone());
        let named: Vec<_> = before
            .filter(|(at, (size, _))| overlaps(&(**at..**at + *size)))
            .into_iter()
            .chain(within)
            .map(|(at, (size, owner))| of(*at, *size, *owner))
            .collect();
        if !named.is_empty() {
            return named.join(" and ");
        }
        symbol(self.marks, bytes).unwrap_or_else(|| "of the program".into())
    }
}

/// The static that a line is part of, as nm says, where it is to be had.
fn symbol(marks: usize, bytes: Range<usize>) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let said = Command::new("nm").args(["-nC", "--defined-only"]).arg(program).output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    let symbols: Vec<(usize, &str)> = text
        .lines()
        .filter_map(|line| {
            let (address, rest) = line.split_once(' ')?;
            Some((usize::from_str_radix(address, 16).ok()?, rest.split_once(' ')?.1))
        })
        .collect();
    let (at, _) = symbols.iter().find(|(_, name)| name.ends_with("threads::MARKS"))?;
    let moved = marks.checked_sub(*at)?;
    let named: Vec<_> = symbols
        .windows(2)
        .filter(|pair| pair[0].0 + moved < bytes.end && bytes.start < pair[1].0 + moved)
        .map(|pair| pair[0].1)
        .collect();
    (!named.is_empty()).then(|| named.join(" and "))
}
