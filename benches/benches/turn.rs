//! What a turn costs: with nothing to do, with the acknowledgements of one answer, with a request
//! and the sixteen segments of its answer.
//!
//! Budget, one connection and 22 KB: 20 ns idle, 500 ns for request and acknowledgements together.
#![allow(missing_docs, reason = "the macros make an undocumented main")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use simoom_benches::client::Script;
use simoom_benches::row::Row;
use simoom_benches::run::simoom_of;
use simoom_benches::simoom::Simoom;
use simoom_benches::subject::Subject;
use std::hint::black_box;

fn warm(row: &Row) -> Script<Simoom> {
    let mut script = Script::new(simoom_of(row), row.step_nanos());
    script.open(row.open);
    for _ in 0..32 {
        script.keep_alive(1, 1, true, || (0, 0));
    }
    script
}

fn turns(c: &mut Criterion) {
    for checksums in [true, false] {
        let row = Row { checksums, ..Row::BASE };
        let name = |what: &str| {
            format!("{what}, {}", if checksums { "checksums" } else { "checksums offloaded" })
        };

        let mut script = warm(&row);
        c.bench_function(&name("idle turn"), |b| {
            b.iter(|| {
                script.clock.now += 1_000;
                let now = script.clock.now;
                black_box(script.subject.turn(now, &[]))
            })
        });

        let script = std::cell::RefCell::new(warm(&row));
        c.bench_function(&name("request turn: 1 in, 16 out"), |b| {
            b.iter_batched(
                || script.borrow_mut().stage_request(),
                |_| script.borrow_mut().run_stage(0),
                BatchSize::PerIteration,
            )
        });

        let script = std::cell::RefCell::new(warm(&row));
        c.bench_function(&name("ack turn: 7 in, 0 out"), |b| {
            b.iter_batched(
                || {
                    let mut script = script.borrow_mut();
                    script.stage_request();
                    script.run_stage(0);
                },
                |()| script.borrow_mut().run_stage(1),
                BatchSize::PerIteration,
            )
        });
    }
}

criterion_group!(benches, turns);
criterion_main!(benches);
