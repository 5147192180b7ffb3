//! A thread for each shard, one of which runs at a time, and marks in memory that say which.
//!
//! The client, the wire and the model of the kernel are nobody: their work is not the shards'. A
//! thread that waits does so in read(2) of a pipe; whatever it still does on its way there touches its
//! own stack alone.

use crate::allocations::set_owner;
use crate::shards::{Shard, Turns, bind};
use simoom_core::time::Duration;
use simoom_netmap::kernel::{Kernel, Ready, Wait};
use simoom_netmap::model::{Model, ModelKernel};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

/// Shards at most.
pub const SHARDS_MAX: u16 = 16;

/// A line that is written to to say something.
#[repr(align(64))]
struct Mark(AtomicU8);

/// One for each shard, and those of the other things that are said.
const MARKS_COUNT: usize = SHARDS_MAX as usize + 3;

static MARKS: [Mark; MARKS_COUNT] = [const { Mark(AtomicU8::new(0)) }; MARKS_COUNT];

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// No shard runs.
    Nobody,
    /// Starting up is over.
    Steady,
    /// All is over: what is done from now on is to end.
    Over,
    /// This one runs.
    Shard(u16),
}

impl Said {
    /// Where the marks are, and how many bytes.
    pub fn marks() -> Range<usize> {
        let start = MARKS.as_ptr().addr();
        start..start + size_of_val(&MARKS)
    }

    /// What a store to an address among the marks says.
    pub fn of(marks: &Range<usize>, address: usize) -> Option<Self> {
        if !marks.contains(&address) {
            return None;
        }
        Some(match (address - marks.start) / size_of::<Mark>() {
            0 => Self::Nobody,
            1 => Self::Steady,
            2 => Self::Over,
            shard => Self::Shard(shard as u16 - 3),
        })
    }

    /// Says it.
    #[inline]
    pub fn say(self) {
        let at = match self {
            Self::Nobody => 0,
            Self::Steady => 1,
            Self::Over => 2,
            Self::Shard(shard) => usize::from(shard) + 3,
        };
        MARKS[at].0.store(1, Relaxed);
    }
}

/// The model's side of a shard's binding: nobody works while it does.
#[derive(Debug)]
pub struct Marked {
    kernel: ModelKernel,
    shard: u16,
}

impl Marked {
    fn as_nobody<T>(&mut self, work: impl FnOnce(&mut ModelKernel) -> T) -> T {
        Said::Nobody.say();
        let done = work(&mut self.kernel);
        Said::Shard(self.shard).say();
        done
    }
}

impl Kernel for Marked {
    fn tx_sync(&mut self) -> io::Result<()> {
        self.as_nobody(Kernel::tx_sync)
    }

    fn rx_sync(&mut self) -> io::Result<()> {
        self.as_nobody(Kernel::rx_sync)
    }

    fn host_sync(&mut self) -> io::Result<()> {
        self.as_nobody(Kernel::host_sync)
    }

    fn poll(&mut self, wait: Wait) -> io::Result<Ready> {
        self.as_nobody(|kernel| kernel.poll(wait))
    }

    fn now_nanos(&self) -> u64 {
        Said::Nobody.say();
        let now = self.kernel.now_nanos();
        Said::Shard(self.shard).say();
        now
    }

    fn pause(&mut self, span: Duration) {
        self.as_nobody(|kernel| kernel.pause(span));
    }
}

/// Who makes a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// The thread that it runs in.
    ItsThread,
    /// The first thread, one shard after the other; then each moves to its thread.
    TheFirst,
}

/// What is wrong with the shards: to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// All count their turns in one number.
    OneCounter,
    /// Each has a number of its own, side by side with the others'.
    CountersSideBySide,
}

static TURNS: AtomicU64 = AtomicU64::new(0);

/// The shards' threads.
pub struct Threads {
    seats: Vec<Seat>,
    /// Where each thread's stack is, and the first thread's.
    pub stacks: Vec<Range<usize>>,
}

/// This side of a shard's pipes.
struct Seat {
    go: Option<PipeWriter>,
    done: PipeReader,
    thread: Option<JoinHandle<()>>,
}

impl Threads {
    /// A shard for each of so many rings of a model, each ready in its thread.
    ///
    /// # Panics
    /// Where the system gives no threads.
    pub fn new(model: &Model, rings: u16, made_by: MadeBy, fault: Fault) -> Self {
        assert!(rings <= SHARDS_MAX, "{rings} shards");
        let side_by_side: Arc<[AtomicU64]> = (0..rings).map(|_| AtomicU64::new(0)).collect();
        let mut made: Vec<Option<Box<Shard<Marked>>>> = (0..rings)
            .map(|ring| (made_by == MadeBy::TheFirst).then(|| make(model, ring)))
            .collect();
        let mut stacks = vec![stack_of_this_thread()];
        let mut seats = Vec::new();
        for (ring, made) in (0..rings).zip(&mut made) {
            let (mut wait, go) = io::pipe().expect("pipes");
            let (mut done, mut tell) = io::pipe().expect("pipes");
            let (made, model, counters) = (made.take(), model.clone(), Arc::clone(&side_by_side));
            let thread = thread::spawn(move || {
                let mut shard = made.unwrap_or_else(|| make(&model, ring));
                let stack = stack_of_this_thread();
                for end in [stack.start, stack.end] {
                    tell.write_all(&end.to_le_bytes()).expect("the first thread waits");
                }
                let mut now = [0; 8];
                while wait.read_exact(&mut now).is_ok() {
                    Said::Shard(ring).say();
                    let more = shard.turn(u64::from_le_bytes(now));
                    match fault {
                        Fault::None => {}
                        Fault::OneCounter => {
                            TURNS.fetch_add(1, Relaxed);
                        }
                        Fault::CountersSideBySide => {
                            counters[usize::from(ring)].fetch_add(1, Relaxed);
                        }
                    }
                    Said::Nobody.say();
                    tell.write_all(&[more.into()]).expect("the first thread waits");
                }
            });
            let mut ends = [[0; 8]; 2];
            for end in &mut ends {
                done.read_exact(end).expect("the shard is ready");
            }
            let [start, end] = ends.map(usize::from_le_bytes);
            stacks.push(start..end);
            seats.push(Seat { go: Some(go), done, thread: Some(thread) });
        }
        Self { seats, stacks }
    }
}

/// Makes a shard; what it allocates is its own.
fn make(model: &Model, ring: u16) -> Box<Shard<Marked>> {
    let attachment = bind(model, ring).map_kernel(|kernel| Marked { kernel, shard: ring });
    set_owner(u32::from(ring) + 1);
    Said::Shard(ring).say();
    // On the heap, where its own fields are looked at too.
    let shard = Box::new(Shard::new(attachment));
    Said::Nobody.say();
    set_owner(0);
    shard
}

/// Bytes of a stack below and above where a thread waits: what turns need, and what the system keeps
/// for a thread where its stack begins. Not the whole mapping: what is mapped next to a stack may look
/// like one with it.
const STACK_BELOW: usize = 256 << 10;
const STACK_ABOVE: usize = 12 << 10;

/// Where this thread's stack is.
fn stack_of_this_thread() -> Range<usize> {
    let here = 0u8;
    let here = std::ptr::from_ref(&here).addr();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the system has /proc");
    let ranges = maps.lines().filter_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        Some(hex(start)?..hex(end)?)
    });
    let mapped = ranges.into_iter().find(|range| range.contains(&here));
    let Range { start, end } = mapped.expect("a stack is mapped");
    start.max(here.saturating_sub(STACK_BELOW))..end.min(here + STACK_ABOVE)
}

impl Turns for Threads {
    fn turn(&mut self, ring: u16, now: u64) -> bool {
        let seat = &mut self.seats[usize::from(ring)];
        let mut more = [0];
        let go = seat.go.as_mut().expect("not ended");
        go.write_all(&now.to_le_bytes()).expect("the shard waits");
        seat.done.read_exact(&mut more).expect("the shard's turn ends");
        more[0] != 0
    }

    fn diagnosis(&self) -> String {
        "each shard's counters are in its thread".into()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for seat in &mut self.seats {
            // The end of what it reads ends it.
            seat.go = None;
            if let Some(thread) = seat.thread.take() {
                let done = thread.join();
                assert!(done.is_ok() || thread::panicking(), "a shard panicked");
            }
        }
    }
}
