//! Every pattern of faults over the first packets of a world, by walking the tree of patterns.
//!
//! A seed tries one pattern; here all are tried: each of the first packets that come to a link,
//! counted over both directions, passes, is lost, is doubled, or changes places with the next one
//! of its direction. The world is cloned where patterns part, so that what two patterns have in
//! common runs once. Must not know what a world is for: whoever walks says what must hold at the
//! end of each.

use crate::endpoint::Host;
use crate::hash::EventTap;
use crate::world::{Ruling, RunError, World};
use simoom_core::time::Duration;
use std::fmt;

/// Which patterns to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The packets that something may happen to: so many, the first.
    pub packets: usize,
    /// To how many of them at most; the rest pass.
    pub faults_max: usize,
    /// How long a packet that is to change places waits for the next one, at most.
    pub swap_wait: Duration,
}

/// What became of the first packets of a world, in the order in which they came to their links.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(pub Vec<Ruling>);

impl fmt::Display for Pattern {
    /// One word for what went wrong with each packet, by its number from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (number, ruling) in (1..).zip(&self.0) {
            let verb = match ruling {
                Ruling::Pass => continue,
                Ruling::Lose => "lose",
                Ruling::Double => "double",
                Ruling::Swap => "swap",
            };
            write!(f, "{separator}{verb} {number}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

/// A pattern under which something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The pattern.
    pub pattern: Pattern,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pattern, self.what)
    }
}

impl std::error::Error for Found {}

/// Walks through every pattern, in a fixed order, from a world that has not lost a packet yet.
///
/// `at_end` is given each world when the last packet that something may happen to has entered its
/// link (or nothing was to come before that), with nothing going wrong from there on: it runs the
/// world to its end and says what is wrong with it. The first pattern under which something is
/// wrong ends the walk; a second walk then finds one with the fewest faults, which is the answer.
/// Where nothing is wrong: how many patterns were tried.
pub fn walk<H, T>(
    mut world: World<H, T>,
    walk: Walk,
    mut at_end: impl FnMut(World<H, T>, &Pattern) -> Result<(), String>,
) -> Result<u64, Found>
where
    H: Host + Clone,
    T: EventTap + Clone,
{
    world.close_gate(walk.swap_wait);
    let again = world.clone();
    let found = match descend(world, walk, &mut at_end) {
        Ok(patterns) => return Ok(patterns),
        Err(found) => found,
    };
    let faults = found.pattern.0.iter().filter(|ruling| **ruling != Ruling::Pass).count();
    let smaller = (0..faults).find_map(|faults_max| {
        descend(again.clone(), Walk { faults_max, ..walk }, &mut at_end).err()
    });
    Err(smaller.unwrap_or(found))
}

fn descend<H, T>(
    world: World<H, T>,
    walk: Walk,
    at_end: &mut impl FnMut(World<H, T>, &Pattern) -> Result<(), String>,
) -> Result<u64, Found>
where
    H: Host + Clone,
    T: EventTap + Clone,
{
    let mut walker = Walker { walk, pattern: Pattern(Vec::new()), faults: 0, patterns: 0, at_end };
    walker.descend(world)?;
    Ok(walker.patterns)
}

struct Walker<F> {
    walk: Walk,
    /// Of the world that is on its way.
    pattern: Pattern,
    /// Rulings of `pattern` that are not [`Ruling::Pass`].
    faults: usize,
    patterns: u64,
    at_end: F,
}

impl<F> Walker<F> {
    /// Tries every way in which a pattern goes on. The pattern is the same afterwards.
    fn descend<H, T>(&mut self, mut world: World<H, T>) -> Result<(), Found>
    where
        H: Host + Clone,
        T: EventTap + Clone,
        F: FnMut(World<H, T>, &Pattern) -> Result<(), String>,
    {
        let depth = self.pattern.0.len();
        while self.pattern.0.len() < self.walk.packets && self.faults < self.walk.faults_max {
            if !self.run_to_gate(&mut world)? {
                break;
            }
            for ruling in Ruling::ALL.into_iter().skip(1).filter(|r| world.may_rule(*r)) {
                let mut fork = world.clone();
                fork.rule(ruling);
                self.pattern.0.push(ruling);
                self.faults += 1;
                self.descend(fork)?;
                self.faults -= 1;
                self.pattern.0.pop();
            }
            world.rule(Ruling::Pass);
            self.pattern.0.push(Ruling::Pass);
        }
        world.open_gate();
        self.patterns += 1;
        (self.at_end)(world, &self.pattern).map_err(|what| self.found(what))?;
        self.pattern.0.truncate(depth);
        Ok(())
    }

    /// Runs until a packet waits for its ruling. False where nothing is to come.
    fn run_to_gate<H: Host, T: EventTap>(&self, world: &mut World<H, T>) -> Result<bool, Found> {
        while !world.is_at_gate() {
            let more = world.step().map_err(|error: RunError| self.found(error.to_string()))?;
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn found(&self, what: String) -> Found {
        Found { pattern: self.pattern.clone(), what }
    }
}

#[cfg(test)]
mod tests;
