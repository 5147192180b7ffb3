//! Instructions a frame over netmap: a loop that swaps buffers, the port, the stack over the port.
//!
//! All over the model of the kernel's side, whose own instructions are not counted: what is measured
//! lies between two system calls. `--check` ends with 1 where the port, or the stack with it, costs more
//! than its budget, or a request more behind one of several rings.

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
const PORT_BUDGET: f64 = 70.0;
/// Instructions a frame that the stack with the port may cost beyond that loop. The goal is 400.
const STACK_BUDGET: f64 = 380.0;

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
    for name in ["bare", "port", "stack", "gather"] {
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
    let whole = |at: usize| rows[at].1 + rows[at].2 - (rows[0].1 + rows[0].2);
    let (port, stack, gather) = (whole(1), whole(2), whole(3));
    println!("  the port over the loop: {port:.1}, budget {PORT_BUDGET}");
    println!("  the stack over the loop: {stack:.1}, budget {STACK_BUDGET}");
    println!("  of two slots each, with shared payload: {gather:.1} beside {stack:.1}");
    let [copies, payloads] = [Mode::CopiesOnDemand, Mode::Gather].map(wanted_at_once);
    println!(
        "  buffers that content takes, {AT_ONCE} connections for 22 KB at once: {copies} copies, \
         {payloads} payloads"
    );
    let within = match report_shards() {
        Ok(within) => within,
        Err(why) => {
            eprintln!("netmap_cost: {why}");
            return ExitCode::FAILURE;
        }
    };
    if check && (port > PORT_BUDGET || stack > STACK_BUDGET || !within) {
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
        "stack" | "gather" => {
            let mode = if name == "gather" { Mode::Gather } else { Mode::CopiesOnDemand };
            let server = NetmapSimoom::new(22_528, 1, 1, mode);
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

/// Connections that want the same at once.
const AT_ONCE: u32 = 64;

/// Buffers that the store keeps at most where all connections ask for one object in one turn.
fn wanted_at_once(mode: Mode) -> u32 {
    let server = NetmapSimoom::new(22_528, 1, AT_ONCE, mode);
    let mut script = Script::new(server, 1_000);
    script.open(AT_ONCE);
    let mut next = 0;
    script.keep_alive(20, AT_ONCE, false, || {
        next = (next + 1) % AT_ONCE;
        (next, 0)
    });
    script.subject.stack.store().stats().kept_high
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
