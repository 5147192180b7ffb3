//! What a request costs, simoom beside smoltcp: `request_cost --json`.
//!
//! `--rows FILTER` keeps the rows whose names contain every word of FILTER; `--row NAME` runs one row
//! that need not be in the table; `--quick` measures shortly; `--profile-hint` shows where the
//! instructions of a row go; `--no-instructions` leaves valgrind out; `--check` holds the rows that
//! have a budget to it, and ends with 1 where one is missed.

use simoom_benches::arena::Pages;
use simoom_benches::callgrind::{self, Instructions};
use simoom_benches::counting::Counting;
use simoom_benches::row::{COPIES_IN_ADVANCE, Lifetime, Row, Stack};
use simoom_benches::run::{Amount, Outcome, run};
use simoom_core::content::Mode;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Why a row is not run under valgrind: where setting it up there takes minutes.
fn too_long_to_count(row: &Row) -> Option<String> {
    let open_max = match row.stack {
        Stack::Simoom => 10_000,
        // It looks at all its sockets for each frame.
        Stack::Smoltcp => 1_000,
    };
    let objects_max = 1_000;
    (row.open > open_max || row.objects > objects_max).then(|| {
        format!("not counted above {open_max} connections or {objects_max} objects: setting up takes minutes under valgrind")
    })
}

const HELP: &str = "\
What a request costs, simoom beside smoltcp: the same scripted client in memory against both.

usage: request_cost [OPTION]...

  --json              rows as a JSON array instead of a table
  --rows 'WORD ...'   only rows whose names have every word, as stack=simoom bytes=22528
  --row 'KEY=VALUE ...'  one row that need not be in the table
  --quick             measure shortly
  --no-instructions   leave valgrind out
  --profile-hint      where the instructions of a row go, by function
  --check             hold the costs that have a budget to it; exit 1 where one is missed
  --help              this text";

#[derive(Default)]
struct Args {
    help: bool,
    json: bool,
    quick: bool,
    no_instructions: bool,
    profile_hint: bool,
    check: bool,
    rows: Vec<String>,
    row: Option<String>,
    worker: Option<String>,
    requests: u32,
}

fn main() -> ExitCode {
    let args = match parse_args() {
        Ok(args) => args,
        Err(message) => {
            eprintln!("request_cost: {message}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if let Some(name) = &args.worker {
        return match Row::parse(name) {
            Some(row) => {
                run(&row, Amount::Requests(args.requests));
                ExitCode::SUCCESS
            }
            None => ExitCode::from(2),
        };
    }
    if args.check {
        return check(&args);
    }
    let rows: Vec<Row> = match &args.row {
        Some(name) => match Row::parse(name) {
            Some(row) => vec![row],
            None => {
                eprintln!("request_cost: {name:?} is no row; one is {:?}", Row::BASE.name());
                return ExitCode::from(2);
            }
        },
        None if args.profile_hint => vec![Row::BASE],
        None => table(),
    };
    let wanted = |row: &Row| {
        let name = row.name();
        args.rows.iter().all(|word| name.split(' ').any(|part| part == word))
    };
    let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    if args.profile_hint {
        return profile_hint(&rows);
    }
    report(&rows, &args);
    ExitCode::SUCCESS
}

fn parse_args() -> Result<Args, String> {
    let mut args = Args::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--json" => args.json = true,
            "--quick" => args.quick = true,
            "--no-instructions" => args.no_instructions = true,
            "--profile-hint" => args.profile_hint = true,
            "--check" => args.check = true,
            "--rows" => args.rows.extend(value()?.split_whitespace().map(str::to_owned)),
            "--row" => args.row = Some(value()?),
            "--worker" => args.worker = Some(value()?),
            "--requests" => {
                args.requests = value()?.parse().map_err(|_| "--requests needs a number")?
            }
            "--help" | "-h" => args.help = true,
            _ => return Err(format!("{word:?} is unknown; see --help")),
        }
    }
    Ok(args)
}

/// The rows of a full run: one thing varied at a time, each beside smoltcp where it can follow.
fn table() -> Vec<Row> {
    let base = Row::BASE;
    let mut rows = Vec::new();
    let mut both = |row: Row| {
        rows.push(row);
        rows.push(Row { stack: Stack::Smoltcp, ..row });
    };
    for object_bytes in [1_024, 8_192, 22_528, 102_400] {
        for checksums in [true, false] {
            both(Row { object_bytes, checksums, ..base });
        }
        both(Row { object_bytes, lifetime: Lifetime::Close, ..base });
    }
    both(Row { lifetime: Lifetime::KeepAliveTimers, ..base });
    both(Row { open: 64, active: 64, ..base });
    both(Row { open: 1_000, active: 1, ..base });
    both(Row { open: 1_000, active: 64, ..base });
    both(Row { open: 10_000, active: 64, ..base });
    rows.push(Row { open: 10_000, active: 64, moving: true, ..base });
    rows.push(Row { open: 1_000_000, active: 64, ..base });
    rows.push(Row { open: 1_000_000, active: 64, moving: true, ..base });
    for content in [Mode::Copy, Mode::CopiesInAdvance(COPIES_IN_ADVANCE), Mode::Gather] {
        rows.push(Row { content, ..base });
    }
    // Many who want the same segments at once.
    for content in [Mode::CopiesOnDemand, Mode::Gather] {
        rows.push(Row { open: 64, active: 64, content, ..base });
        rows.push(Row { open: 1_024, active: 1_024, content, ..base });
    }
    for pages in [Pages::Huge, Pages::Small] {
        for content in [Mode::CopiesOnDemand, Mode::Copy, Mode::Gather] {
            rows.push(Row { objects: 10_000, content, pages, ..base });
        }
    }
    rows
}

fn report(rows: &[Row], args: &Args) {
    let machine = machine();
    let spend = Duration::from_millis(if args.quick { 40 } else { 300 });
    if args.json {
        println!("[");
    } else {
        println!("{machine}");
    }
    for (i, row) in rows.iter().enumerate() {
        let outcome = run(row, Amount::Time(spend));
        let instructions = instructions(row, args);
        if args.json {
            let comma = if i + 1 < rows.len() { "," } else { "" };
            println!("  {}{comma}", json(row, &outcome, &instructions, &machine));
        } else {
            let count = match &instructions {
                Ok(i) => format!("{:9.0} + {:.0} memcpy", i.without_memcpy, i.memcpy),
                Err(_) => "        -".to_owned(),
            };
            println!(
                "{:9.0} ns {count:25} instr {:5.2} alloc  {:.2} in {:.2} out  {:6} buffers  {} pages  {}",
                outcome.ns,
                outcome.allocations,
                outcome.frames_in,
                outcome.frames_out,
                outcome.buffers,
                outcome.memory,
                row.name()
            );
        }
    }
    if args.json {
        println!("]");
    }
}

fn instructions(row: &Row, args: &Args) -> Result<Instructions, String> {
    if args.no_instructions {
        return Err("not asked for".to_owned());
    }
    if let Some(reason) = too_long_to_count(row) {
        return Err(reason);
    }
    callgrind::count(&row.name(), row.active * 8, row.active * 24)
}

fn json(
    row: &Row,
    outcome: &Outcome,
    instructions: &Result<Instructions, String>,
    machine: &str,
) -> String {
    let (count, memcpy, reason) = match instructions {
        Ok(i) => (format!("{:.0}", i.without_memcpy), format!("{:.0}", i.memcpy), String::new()),
        Err(reason) => {
            let reason = format!("\"instructions_null_because\":{reason:?},");
            ("null".to_owned(), "null".to_owned(), reason)
        }
    };
    format!(
        "{{\"stack\":{:?},\"object_bytes\":{},\"objects\":{},\"open\":{},\"active\":{},\"active_set\":{:?},\"mode\":{:?},\
         \"checksums\":{},\"content_mode\":{:?},\"memory\":{:?},\"ns\":{:.0},\"instructions\":{count},\
         \"instructions_memcpy\":{memcpy},{reason}\"allocations\":{:.3},\"frames_in\":{:.2},\
         \"frames_out\":{:.2},\"buffers\":{},\"turn_nanos\":{},\"requests\":{},\"machine\":{machine:?}}}",
        row.stack_name(),
        row.object_bytes,
        row.objects,
        row.open,
        row.active,
        row.set_name(),
        row.lifetime_name(),
        row.checksums,
        row.content_name(),
        outcome.memory,
        outcome.ns,
        outcome.allocations,
        outcome.frames_in,
        outcome.frames_out,
        outcome.buffers,
        row.step_nanos(),
        outcome.requests,
    )
}

/// Functions shown by `--profile-hint`.
const HINTS: usize = 15;

fn profile_hint(rows: &[Row]) -> ExitCode {
    for row in rows {
        println!("{}", row.name());
        match callgrind::count(&row.name(), 16, 144) {
            Ok(i) => {
                println!(
                    "{:.0} instructions a request, {:.0} in memcpy",
                    i.without_memcpy, i.memcpy
                );
                println!("{:>8} {:>10}  function", "own", "inclusive");
                for (function, own, inclusive) in i.functions.iter().take(HINTS) {
                    println!("{own:8.0} {inclusive:10.0}  {function}");
                }
            }
            Err(reason) => {
                eprintln!("request_cost: {reason}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The budgets. Times are ratios within this run; instructions and allocations are exact.
fn check(args: &Args) -> ExitCode {
    let spend = Amount::Time(Duration::from_millis(if args.quick { 40 } else { 300 }));
    let base = Row::BASE;
    let one = run(&base, spend);
    let ns = |row: Row| run(&row, spend).ns;
    let cold = Row { objects: 10_000, ..base };
    let mut claims = vec![
        ("allocations a request", one.allocations, 0.0),
        ("time of smoltcp's", one.ns / ns(Row { stack: Stack::Smoltcp, ..base }), 1.0 / 3.5),
        (
            "time of one's, 10,000 open, 64 active",
            { ns(Row { open: 10_000, active: 64, moving: true, ..base }) / one.ns },
            1.5,
        ),
        (
            "time of one's, 1,000,000 open, 64 active",
            { ns(Row { open: 1_000_000, active: 64, moving: true, ..base }) / one.ns },
            2.2,
        ),
        (
            "time of copy's, copies on demand, 10,000 objects",
            { ns(cold) / ns(Row { content: Mode::Copy, ..cold }) },
            0.65,
        ),
    ];
    let wanted_at_once = |content| {
        let row = Row { open: 64, active: 64, content, ..base };
        f64::from(run(&row, spend).buffers)
    };
    claims.push((
        "buffers of copies on demand's, gather, 64 who want the same",
        wanted_at_once(Mode::Gather) / wanted_at_once(Mode::CopiesOnDemand),
        0.15,
    ));
    for (what, row, most) in [
        ("instructions a request", base, 8_300.0),
        ("instructions a request, gather", Row { content: Mode::Gather, ..base }, 9_350.0),
    ] {
        match instructions(&row, args) {
            Ok(i) => claims.push((what, i.without_memcpy + i.memcpy, most)),
            Err(reason) => println!("     ? {what}: {reason}"),
        }
    }
    let mut missed = false;
    for (what, is, most) in claims {
        let held = is <= most;
        missed |= !held;
        println!("{} {is:9.2}, at most {most:9.2}: {what}", if held { "    ok" } else { "MISSED" });
    }
    ExitCode::from(u8::from(missed))
}

/// The processor, as the system names it.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    model.unwrap_or(std::env::consts::ARCH).trim().to_owned()
}
