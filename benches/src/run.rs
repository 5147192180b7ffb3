//! Runs one row: set up, warm up, measure.

use crate::client::{Done, Script};
use crate::row::{Lifetime, Row, Stack};
use crate::simoom::{self, Setup, Simoom};
use crate::smol::Smol;
use crate::subject::Subject;
use simoom_core::content::{ContentSource, Mode, ObjectId, ReadAt};
use simoom_core::stack::app::App;
use simoom_sim::machine::Work;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// Batches until this much time was spent in them.
    Time(Duration),
    /// Exactly so many requests, in batches of one round.
    Requests(u32),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Median over the batches of nanoseconds a request.
    pub ns: f64,
    /// Frames that the server received for a request.
    pub frames_in: f64,
    /// Frames that it sent.
    pub frames_out: f64,
    /// Calls of the allocator for a request.
    pub allocations: f64,
    /// Requests measured.
    pub requests: u64,
    /// What the stack did for them.
    pub work: Work,
    /// The most packet buffers that were out of the pool at once, warm-up and all.
    pub buffers: u32,
    /// Pages of the buffers, as the system gave them: `4KB` or `2MB`.
    pub memory: &'static str,
}

/// Sets up the row's stack and measures.
pub fn run(row: &Row, amount: Amount) -> Outcome {
    match row.stack {
        Stack::Simoom if row.content == Mode::Gather => {
            drive(row, Simoom::<true>::new(setup_of(row)), amount)
        }
        Stack::Simoom => drive(row, simoom_of(row), amount),
        Stack::Smoltcp => drive(row, smol_of(row), amount),
    }
}

/// simoom as the row asks for it.
pub fn simoom_of(row: &Row) -> Simoom {
    Simoom::new(setup_of(row))
}

fn setup_of(row: &Row) -> Setup {
    Setup {
        object_bytes: row.object_bytes,
        objects: row.objects,
        connections: row.open + 8,
        checksums: row.checksums,
        mode: row.content,
        class: row.class,
        pages: row.pages,
    }
}

/// smoltcp with the same answers.
pub fn smol_of(row: &Row) -> Smol {
    Smol::new(responses(row.object_bytes, row.objects), row.open, row.checksums)
}

/// The answers that simoom gives, as bytes.
pub fn responses(object_bytes: u64, objects: u32) -> Vec<Vec<u8>> {
    let mut app = simoom::file_server(object_bytes, objects);
    let lens: Vec<u64> = app.catalogue().files().map(|file| file.total_len).collect();
    let read = |(object, len): (usize, u64)| {
        let mut out = vec![0; len as usize];
        let read = app.content().read_at(ObjectId(object as u32), 0, &mut out);
        assert_eq!(read, ReadAt::Done);
        out
    };
    lens.into_iter().enumerate().map(read).collect()
}

/// Connections and objects in turn, neighbours far apart: 0 ≤ x < n in an order that a
/// prefetcher does not guess, all different before any comes again.
fn scattered(i: u64, n: u32) -> u32 {
    // Coprime to every n that a row has: powers of two and of ten.
    const STRIDE: u64 = 618_033_989;
    (i.wrapping_mul(STRIDE) % u64::from(n)) as u32
}

fn drive<S: Subject>(row: &Row, subject: S, amount: Amount) -> Outcome {
    let mut script = Script::new(subject, row.step_nanos());
    if row.lifetime == Lifetime::Close {
        return drive_close(row, &mut script, amount);
    }
    let passes = if row.moving { row.open } else { row.active };
    let many = passes > 10_000;
    // The first answers must not be sent again before the last connection was warmed up.
    script.clock.step = if row.open > 10_000 { 50 } else { row.step_nanos() };
    script.open(row.open);
    script.ack_every = row.ack_every;
    script.ack_last = row.lifetime == Lifetime::KeepAliveTimers;
    let mut next = 0;
    let mut pick = || {
        let i = next;
        next += 1;
        let conn = if row.moving {
            scattered(i, row.open)
        } else {
            (i % u64::from(row.active)) as u32 * (row.open / row.active)
        };
        (conn, scattered(i, row.objects))
    };
    let per_round = row.active;
    // Every connection and every object once; few connections until their windows are open.
    let warm_up = passes.max(row.objects).div_ceil(per_round) + if many { 0 } else { 16 };
    for _ in 0..warm_up {
        script.keep_alive(1, row.active, true, &mut pick);
    }
    script.clock.step = row.step_nanos();
    match amount {
        Amount::Requests(requests) => {
            let mut total = Done::default();
            for _ in 0..requests.div_ceil(per_round) {
                total += script.keep_alive(1, row.active, false, &mut pick);
            }
            Outcome { requests: u64::from(requests), ..Outcome::default() }
        }
        Amount::Time(spend) => {
            let rounds = (256 / per_round).max(1);
            let batch = rounds * per_round;
            let before = script.subject.work();
            let outcome =
                measure(spend, batch, || script.keep_alive(rounds, row.active, false, &mut pick));
            let work = script.subject.work().since(&before);
            let buffers = script.subject.buffers_used();
            Outcome { memory: pages_in_use(), work, buffers, ..outcome }
        }
    }
}

fn drive_close<S: Subject>(row: &Row, script: &mut Script<S>, amount: Amount) -> Outcome {
    for _ in 0..row.objects + 16 {
        script.close(row.objects);
    }
    match amount {
        Amount::Requests(requests) => {
            for _ in 0..requests {
                script.close(row.objects);
            }
            Outcome { requests: u64::from(requests), ..Outcome::default() }
        }
        Amount::Time(spend) => {
            let before = script.subject.work();
            let outcome = measure(spend, 64, || {
                let mut done = Done::default();
                for _ in 0..64 {
                    done += script.close(row.objects);
                }
                done
            });
            let work = script.subject.work().since(&before);
            let buffers = script.subject.buffers_used();
            Outcome { memory: pages_in_use(), work, buffers, ..outcome }
        }
    }
}

/// Batches until the time is spent, 11 at least and 400 at most.
fn measure(spend: Duration, batch: u32, mut one: impl FnMut() -> Done) -> Outcome {
    let clock = clock_nanos();
    let mut samples = Vec::with_capacity(400);
    let mut total = Done::default();
    while samples.len() < 11 || (total.time < spend && samples.len() < 400) {
        let done = one();
        let ns = done.time.as_nanos() as f64 - clock * f64::from(done.regions);
        samples.push(ns / f64::from(batch));
        total += done;
    }
    samples.sort_by(f64::total_cmp);
    let requests = samples.len() as u64 * u64::from(batch);
    let each = |count: u64| count as f64 / requests as f64;
    Outcome {
        ns: samples[samples.len() / 2],
        frames_in: each(total.frames_in),
        frames_out: each(total.frames_out),
        allocations: each(total.allocations),
        requests,
        work: Work::default(),
        buffers: 0,
        memory: "",
    }
}

/// What a measured region of nothing shows: two readings of the clock.
#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
fn clock_nanos() -> f64 {
    let mut samples: Vec<u128> =
        (0..1_001).map(|_| std::time::Instant::now().elapsed().as_nanos()).collect();
    samples.sort_unstable();
    samples[500] as f64
}

/// Whether this process has huge pages: only the buffers of simoom ask for any.
fn pages_in_use() -> &'static str {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let huge = smaps.lines().find_map(|line| {
        line.strip_prefix("AnonHugePages:")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    if huge.unwrap_or(0) >= 2_048 { "2MB" } else { "4KB" }
}
