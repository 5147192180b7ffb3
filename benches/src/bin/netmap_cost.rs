//! Instructions a frame over netmap: a loop that swaps buffers, the port, the stack over the port.
//!
//! All over the model of the kernel's side, whose own instructions are not counted: what is measured
//! lies between two system calls. `--check` ends with 1 where the port costs more than its budget, or a
//! request more behind one of several rings. The whole stack has a goal, which it misses: the number is
//! printed, not held.

use simoom_benches::callgrind;
use simoom_benches::client::Script;
use simoom_benches::counting::Counting;
use simoom_benches::netmap::{self, NetmapSimoom};
use simoom_benches::shards::{self, Client, InTurn, Shard, Shards};
use simoom_core::content::Mode;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Instructions a frame that the port may cost beyond the loop that swaps buffers.
const BUDGET: f64 = 70.0;
/// What the stack with the port is to cost beyond that loop.
const GOAL: f64 = 400.0;

/// Frames of a request for 22 KB, in and out: what a keep-alive client and its server exchange.
const FRAMES_IN: usize = 8;
const FRAMES_OUT: usize = 16;
const FRAME_BYTES: u16 = 1_514;

/// Numbers of shards that are compared with one.
const SHARDS: [u16; 2] = [2, 8];
/// By how much a request may cost more instructions behind one of so many rings, of one's. Not zero:
/// other connections have other places in the tables.
const SHARDS_BOUND: f64 = 0.005;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--worker", name, "--requests", count] => match count.parse() {
            Ok(count) => work(name, count),
            Err(_) => ExitCode::from(2),
        },
        [] => report(false),
        ["--check"] => report(true),
        _ => {
            eprintln!("usage: netmap_cost [--check]");
            ExitCode::from(2)
        }
    }
}

fn report(check: bool) -> ExitCode {
    let per_frame = |name: &str| {
        let counted = callgrind::count_within("*netmap_region*", name, 200, 1_200)?;
        let frames = (FRAMES_IN + FRAMES_OUT) as f64;
        Ok((counted.without_memcpy / frames, counted.memcpy / frames))
    };
    let mut rows = Vec::new();
    for name in ["bare", "port", "stack"] {
        match per_frame(name) {
            Ok((own, memcpy)) => rows.push((name, own, memcpy)),
            Err(why) => {
                let why: String = why;
                eprintln!("netmap_cost: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("instructions a frame, {FRAMES_IN} in and {FRAMES_OUT} out a request");
    for (name, own, memcpy) in &rows {
        println!("  {name:<6} {own:>8.1}  and {memcpy:.1} in memcpy");
    }
    let (bare, port, stack) = (rows[0].1, rows[1].1, rows[2].1 + rows[2].2);
    println!("  the port over the loop: {:.1}, budget {BUDGET}", port - bare);
    println!("  the stack over the loop: {:.1}, goal {GOAL}", stack - bare);
    let within = match report_shards() {
        Ok(within) => within,
        Err(why) => {
            eprintln!("netmap_cost: {why}");
            return ExitCode::FAILURE;
        }
    };
    if check && (port - bare > BUDGET || !within) {
        eprintln!("netmap_cost: over its budget");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Whether a request costs the same behind one ring and behind one of several.
fn report_shards() -> Result<bool, String> {
    println!("instructions a request of stack, store and port");
    let per_request = |shards: u16| {
        let (few, many) = (20, 120);
        let counted =
            callgrind::count_within("*netmap_region*", &format!("shards-{shards}"), few, many)?;
        let requests = f64::from(shards) * shards::ACTIVE as f64;
        Ok::<_, String>((counted.without_memcpy / requests, counted.memcpy / requests))
    };
    let (one, memcpy) = per_request(1)?;
    println!("  1 shard  {one:>9.1}  and {memcpy:.1} in memcpy");
    let mut within = true;
    for shards in SHARDS {
        let (own, memcpy) = per_request(shards)?;
        let more = own / one - 1.0;
        within &= more <= SHARDS_BOUND;
        let percent = 100.0 * more;
        println!("  {shards} shards {own:>9.1}  and {memcpy:.1} in memcpy, {percent:+.3} %");
    }
    Ok(within)
}

fn work(name: &str, requests: u32) -> ExitCode {
    match name {
        "bare" => {
            let model = netmap::nic();
            let mut bare = netmap::open_bare(&model);
            for _ in 0..requests {
                receive(&model);
                bare.poll().expect("the model does not fail");
                netmap::netmap_region_bare(&mut bare, FRAMES_OUT, FRAME_BYTES);
                model.take_wire(0, |_| {});
            }
        }
        "port" => {
            let model = netmap::nic();
            let mut port = netmap::open(&model);
            for _ in 0..requests {
                receive(&model);
                port.flush().expect("the model does not fail");
                netmap::netmap_region_port(&mut port, FRAMES_OUT, FRAME_BYTES);
                model.take_wire(0, |_| {});
            }
        }
        "stack" => {
            let server = NetmapSimoom::new(22_528, 1, 1, Mode::CopiesOnDemand);
            let mut script = Script::new(server, 1_000);
            script.open(1);
            let done = script.keep_alive(requests, 1, true, || (0, 0));
            let frames = (FRAMES_IN + FRAMES_OUT) as u64;
            let seen = (done.frames_in + done.frames_out) / u64::from(requests);
            assert_eq!(seen, frames, "frames of a request");
        }
        _ => match name.strip_prefix("shards-").and_then(|count| count.parse().ok()) {
            Some(count) => work_shards(count, requests),
            None => return ExitCode::from(2),
        },
    }
    ExitCode::SUCCESS
}

/// So many rounds of requests to so many shards.
fn work_shards(count: u16, rounds: u32) {
    let model = shards::nic(count);
    let all = (0..count).map(|ring| Shard::new(shards::bind(&model, ring))).collect();
    let mut client = Client::new(Shards::new(model, count, InTurn(all)));
    client.run(10, true);
    client.run(rounds, false);
}

fn receive(model: &simoom_netmap::model::Model) {
    for _ in 0..FRAMES_IN {
        assert!(model.inject(0, &[2; 66]), "the ring has room for a request");
    }
}
