//! The threads that serve: opened one after the other, let go together, and each alone in its failure.
//!
//! What a thread opens, and what it serves, is a closure of the caller's: nothing here knows a port.
//! Threads share a channel that they write to when they are opened, once a second and when they end;
//! what they serve with, each has made for itself, on its core.

use super::live::Report;
use super::skew;
use super::summary::Snapshot;
use crate::failure::{Failure, Kind};
use crate::human;
use simoom_linux::cpu;
use simoom_linux::stop::StopFlag;
use std::any::Any;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// An open port with its stack, about to serve.
pub(super) type Serving = Box<dyn FnOnce() -> Report>;

/// One thread, before there is one.
pub(super) struct Member {
    /// The shard's name.
    pub(super) name: String,
    /// The port that it is a shard of: the same for all its shards, which follow one another.
    pub(super) port: String,
    /// The core to be kept on.
    pub(super) core: Option<usize>,
    /// Opens the port and makes the stack, in the thread.
    pub(super) open: Box<dyn FnOnce(Post) -> Result<Serving, Failure> + Send>,
}

/// A thread's way to tell of itself.
#[derive(Clone)]
pub(super) struct Post {
    from: usize,
    to: Sender<Event>,
}

impl Post {
    /// All that was counted so far.
    pub(super) fn counted(&self, all: Snapshot) {
        self.send(What::Counted(all));
    }

    /// Something for people to read, with its line's end.
    pub(super) fn say(&self, text: String) {
        self.send(What::Said(text));
    }

    fn send(&self, what: What) {
        // Nobody listens after a panic elsewhere.
        let _ = self.to.send(Event { from: self.from, what });
    }
}

struct Event {
    from: usize,
    what: What,
}

enum What {
    Opened(Result<(), Failure>),
    Counted(Snapshot),
    Said(String),
    /// The thread is at its end, by a return or a panic.
    Ended,
}

/// Tells of the end, whatever it is.
struct Ending(Post);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send(What::Ended);
    }
}

struct Thread {
    name: String,
    port: String,
    handle: Option<JoinHandle<Option<Report>>>,
    /// Lets it serve. Dropped before, it gives its port back and ends.
    go: Option<Sender<()>>,
    report: Option<Report>,
    /// As of the last time it told.
    counted: Snapshot,
    /// It has told since the last line was printed.
    told: bool,
    /// As of the last line.
    printed: Snapshot,
}

/// Threads with open ports.
pub(super) struct Crew {
    threads: Vec<Thread>,
    events: Receiver<Event>,
    stop: StopFlag,
    panic: Option<Box<dyn Any + Send>>,
}

impl Crew {
    /// Opens every port, each in a thread of its own. Where one cannot be had, those before it are given
    /// back: nothing is left half done.
    pub(super) fn open(members: Vec<Member>, stop: &StopFlag) -> Result<Self, Failure> {
        let (to, events) = mpsc::channel();
        let mut crew = Self { threads: Vec::new(), events, stop: stop.clone(), panic: None };
        for member in members {
            let post = Post { from: crew.threads.len(), to: to.clone() };
            if let Err(failure) = crew.start(member, post) {
                crew.give_up();
                return Err(failure);
            }
        }
        Ok(crew)
    }

    fn start(&mut self, member: Member, post: Post) -> Result<(), Failure> {
        let Member { name, port, core, open } = member;
        let (go, gone) = mpsc::channel();
        let run = move || {
            let _ending = Ending(post.clone());
            let opened = pin(core).and_then(|()| open(post.clone()));
            let (answer, serving) = match opened {
                Ok(serving) => (Ok(()), Some(serving)),
                Err(failure) => (Err(failure), None),
            };
            post.send(What::Opened(answer));
            let serving = serving?;
            gone.recv().ok()?;
            Some(serving())
        };
        let spawned = thread::Builder::new().name(name.clone()).spawn(run);
        let handle = spawned.map_err(|e| {
            Failure::new(Kind::Runtime, format!("{name}: cannot start a thread: {e}"))
        })?;
        let at = self.threads.len();
        self.threads.push(Thread {
            name,
            port,
            handle: Some(handle),
            go: Some(go),
            report: None,
            counted: Snapshot::default(),
            told: false,
            printed: Snapshot::default(),
        });
        loop {
            match self.events.recv() {
                Ok(Event { what: What::Opened(answer), .. }) => return answer,
                Ok(Event { from, what: What::Ended }) if from == at => {
                    self.give_up();
                    unreachable!("a thread that ends before it is open has panicked");
                }
                Ok(_) => {}
                Err(_) => unreachable!("this thread holds a sender"),
            }
        }
    }

    /// Ends those that are open and not yet let go.
    fn give_up(&mut self) {
        for at in 0..self.threads.len() {
            self.threads[at].go = None;
            self.join(at);
        }
        self.resume_panic();
    }

    /// Takes the answer of a thread that is at its end, or on its way there.
    fn join(&mut self, at: usize) {
        let thread = &mut self.threads[at];
        match thread.handle.take().map(JoinHandle::join) {
            Some(Ok(report)) => thread.report = report,
            Some(Err(panic)) => {
                // Whatever is wrong may be wrong with all: they put their devices back while they can.
                self.stop.raise();
                self.panic.get_or_insert(panic);
            }
            None => {}
        }
    }

    fn resume_panic(&mut self) {
        if let Some(panic) = self.panic.take() {
            std::panic::resume_unwind(panic);
        }
    }

    /// Lets all of them serve until the stop flag is up, or none is left. One that fails says so through
    /// `say` at once, and the others go on. At the end every counter is said.
    pub(super) fn serve(mut self, say: &mut dyn FnMut(&str)) -> Result<(), Failure> {
        for thread in &mut self.threads {
            if let Some(go) = thread.go.take() {
                let _ = go.send(());
            }
        }
        let mut left = self.threads.len();
        while left > 0 {
            let Ok(Event { from, what }) = self.events.recv() else { break };
            match what {
                What::Opened(_) => {}
                What::Counted(all) => self.on_counted(from, all, say),
                What::Said(text) => say(&text),
                What::Ended => {
                    left -= 1;
                    self.join(from);
                    self.say_failure(from, left, say);
                }
            }
        }
        self.resume_panic();
        self.say_all(say);
        self.verdict()
    }

    fn say_failure(&self, at: usize, left: usize, say: &mut dyn FnMut(&str)) {
        let Thread { name, report: Some(Report { failure: Some(failure), .. }), .. } =
            &self.threads[at]
        else {
            return;
        };
        if self.threads.len() == 1 {
            // It is the program's last word.
            return;
        }
        let others = match (left, self.stop.is_raised()) {
            (0, _) => "none is left".into(),
            (_, true) => "the others are ending".into(),
            (1, false) => "1 other goes on".into(),
            (left, false) => format!("{left} others go on"),
        };
        say(&format!("simoom: {name} serves no more, {others}: {failure}\n"));
    }

    fn on_counted(&mut self, from: usize, all: Snapshot, say: &mut dyn FnMut(&str)) {
        let shards = self.shards_of(from);
        let of_port = &mut self.threads[shards.clone()];
        // A line when each has told, and no later than when one tells for the second time.
        if of_port[from - shards.start].told {
            print_port(of_port, say);
        }
        let thread = &mut of_port[from - shards.start];
        (thread.counted, thread.told) = (all, true);
        if of_port.iter().all(|thread| thread.told || thread.handle.is_none()) {
            print_port(of_port, say);
        }
    }

    /// The threads of a thread's port.
    fn shards_of(&self, at: usize) -> std::ops::Range<usize> {
        let port = &self.threads[at].port;
        let is_other = |thread: &Thread| thread.port != *port;
        let start = self.threads[..at].iter().rposition(is_other).map_or(0, |i| i + 1);
        let end = self.threads[at..].iter().position(is_other);
        start..end.map_or(self.threads.len(), |i| at + i)
    }

    fn say_all(&self, say: &mut dyn FnMut(&str)) {
        let mut ports = Vec::new();
        let mut at = 0;
        while at < self.threads.len() {
            let shards = &self.threads[self.shards_of(at)];
            let counted: Vec<_> = shards
                .iter()
                .filter_map(|t| Some((t.name.as_str(), t.report.as_ref()?)))
                .map(|(name, report)| {
                    say(&report.summary);
                    (name, report.counted)
                })
                .collect();
            if shards.len() > 1 {
                say(&skew::table(&shards[0].port, &counted));
            }
            let sum = Snapshot::sum(counted.iter().map(|(_, one)| *one));
            ports.push((shards[0].port.as_str(), sum));
            at += shards.len();
        }
        if ports.len() > 1 {
            say(&Snapshot::sum(ports.iter().map(|(_, one)| *one)).line("all ports"));
            say("\n");
        }
    }

    fn verdict(self) -> Result<(), Failure> {
        let all = self.threads.len();
        let reports = self.threads.into_iter().filter_map(|thread| thread.report);
        let mut failures: Vec<_> = reports.filter_map(|report| report.failure).collect();
        match (failures.len(), all) {
            (0, _) => Ok(()),
            (1, 1) => Err(failures.remove(0)),
            (failed, all) => {
                let what = format!(
                    "{failed} of {} ended by a failure, said above",
                    human::count(all as u64, "shard")
                );
                Err(Failure::new(failures[0].kind(), what))
            }
        }
    }
}

fn pin(core: Option<usize>) -> Result<(), Failure> {
    let Some(core) = core else { return Ok(()) };
    cpu::pin(core).map_err(|e| {
        Failure::new(Kind::Runtime, format!("a thread cannot be kept on core {core}: {e}"))
    })
}

/// What a port's shards did since the last line.
fn print_port(shards: &mut [Thread], say: &mut dyn FnMut(&str)) {
    let done: Vec<_> =
        shards.iter().map(|t| (t.name.as_str(), t.counted.since(&t.printed))).collect();
    let mut line = Snapshot::sum(done.iter().map(|(_, one)| *one)).line(&shards[0].port);
    if shards.len() > 1 {
        line.push_str(&skew::short(&done));
    }
    line.push('\n');
    for thread in shards {
        (thread.printed, thread.told) = (thread.counted, false);
    }
    say(&line);
}

#[cfg(test)]
mod tests;
