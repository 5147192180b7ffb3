//! Measures what a turn of the file server costs, term by term, and writes the file that the
//! simulator reads: `cost_model --write sim-scenarios/costs.toml`.
//!
//! `--check FILE` measures anew and says by how much each number of the file differs; times differ
//! between machines, so that is no failure. What can fail a check is the file itself: a model that
//! does not come within its stated error of its own rows. `--quick` measures shortly.
//!
//! The model is linear in what a stack counts. Its terms are found from some rows and held to the
//! others; all rows are in the file, with the error.

use simoom_benches::row::{Lifetime, Row};
use simoom_benches::run::{Amount, run};
use simoom_core::content::Mode;
use simoom_sim::machine::{CostFile, CostModel, MeasuredRow};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
What a turn of the file server costs, for the simulator.

usage: cost_model [--quick] (--write FILE | --check FILE)

  --write FILE   measure, and write the file
  --check FILE   measure, and say by how much the file's numbers differ
  --quick        measure shortly";

/// Runs of each row, interleaved with the others; the median counts.
const RUNS: usize = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (quick, rest) = match words.as_slice() {
        ["--quick", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let done = match rest {
        ["--write", path] => write(path, quick),
        ["--check", path] => check(path, quick),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cost_model: {why}");
            ExitCode::FAILURE
        }
    }
}

fn write(path: &str, quick: bool) -> Result<(), String> {
    let text = text_of(&measure(quick)?);
    CostFile::parse(&text).map_err(|why| format!("what was to be written is wrong: {why}"))?;
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    println!("wrote {path}");
    Ok(())
}

fn check(path: &str, quick: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let kept = CostFile::parse(&text).map_err(|why| format!("{path}: {why}"))?;
    let error = error_max(&kept);
    if error > kept.error_max_percent + 0.05 {
        return Err(format!(
            "{path} states an error of {} %, and is {error:.1} % from its own rows",
            kept.error_max_percent
        ));
    }
    println!("{path} comes within {error:.1} % of its own rows");
    let fresh = measure(quick)?;
    for (name, kept, fresh) in [
        ("checksums in software", &kept.checksums_in_software, &fresh.checksums_in_software),
        ("checksums offloaded", &kept.checksums_offloaded, &fresh.checksums_offloaded),
    ] {
        println!("{name:32}    file     here");
        for ((key, _, kept), (_, _, fresh)) in terms(kept).into_iter().zip(terms(fresh)) {
            let more = (fresh as f64 / kept.max(1) as f64 - 1.0) * 100.0;
            println!("  {key:24} {kept:12} {fresh:8} {more:+7.0} %");
        }
    }
    println!("{:72}    file     here", "nanoseconds a request");
    for kept in &kept.measured {
        let here = fresh.measured.iter().find(|row| row.row == kept.row);
        let here = here.map_or(f64::NAN, |row| row.ns);
        let more = (here / kept.ns - 1.0) * 100.0;
        println!("  {:70} {:7.0} {here:8.0} {more:+7.0} %", kept.row, kept.ns);
    }
    Ok(())
}

/// A row, and whether the model is made from it.
fn rows(checksums: bool) -> Vec<(Row, bool)> {
    let base = Row { checksums, ..Row::BASE };
    let sized = |object_bytes| Row { object_bytes, ..base };
    let many = |object_bytes| Row { open: 64, active: 64, ..sized(object_bytes) };
    let copy = |row| Row { content: Mode::Copy, ..row };
    let no_class = |row| Row { class: false, ..row };
    let close = |object_bytes| Row { lifetime: Lifetime::Close, ..sized(object_bytes) };
    let objects = |objects| Row { objects, ..base };
    vec![
        (sized(1_024), true),
        (sized(8_192), false),
        (sized(22_528), true),
        (sized(102_400), true),
        (many(1_024), true),
        (many(8_192), false),
        (many(22_528), true),
        (Row { lifetime: Lifetime::KeepAliveTimers, ..base }, false),
        (Row { ack_every: 1, ..base }, true),
        (Row { ack_every: 1, ..many(22_528) }, false),
        (Row { ack_every: 8, ..base }, false),
        (Row { ack_every: 8, ..sized(102_400) }, true),
        (copy(sized(22_528)), true),
        (copy(sized(102_400)), true),
        (copy(many(22_528)), false),
        (no_class(sized(22_528)), true),
        // Beyond some 90 KB the copy depends on where the allocator puts the body: pages alias.
        (no_class(sized(60_000)), false),
        (close(1_024), true),
        (close(22_528), true),
        (objects(10_000), true),
        (objects(5_000), false),
        (objects(3_000), true),
        (copy(objects(10_000)), true),
        (copy(objects(5_000)), false),
        (copy(objects(3_000)), true),
    ]
}

fn measure(quick: bool) -> Result<CostFile, String> {
    let spend = Duration::from_millis(if quick { 20 } else { 100 });
    let all: Vec<_> = [true, false].into_iter().flat_map(rows).collect();
    let mut samples = vec![Vec::new(); all.len()];
    for round in 0..if quick { 3 } else { RUNS } {
        eprintln!("round {round}");
        for ((row, _), samples) in all.iter().zip(&mut samples) {
            samples.push(run(row, Amount::Time(spend)));
        }
    }
    let measured = all.iter().zip(samples).map(|((row, fitted), mut samples)| {
        samples.sort_by(|one, other| one.ns.total_cmp(&other.ns));
        let median = samples[samples.len() / 2];
        let work = median.work;
        MeasuredRow {
            row: row.name(),
            fitted: *fitted,
            offloaded: !row.checksums,
            ns: (median.ns * 10.0).round() / 10.0,
            requests: median.requests,
            turns: work.turns,
            frames_in: work.frames_in,
            texts_in: work.texts_in,
            frames_out: work.frames_out,
            copied_bytes: work.copied_bytes,
            copied_frames: work.copied_frames,
            filled_frames: work.filled_frames,
            opened: work.opened,
            kept_bytes: work.kept_bytes,
        }
    });
    let measured: Vec<_> = measured.collect();
    let doorbell_ps = doorbell_ps();
    let cache_bytes = cache_bytes()?;
    let model = |offloaded| {
        let mine = measured.iter().filter(|row| row.fitted && row.offloaded == offloaded);
        fit(&mine.collect::<Vec<_>>(), doorbell_ps, cache_bytes)
    };
    let (checksums_in_software, checksums_offloaded) = (model(false), model(true));
    let mut file =
        CostFile { error_max_percent: 0.0, checksums_in_software, checksums_offloaded, measured };
    file.error_max_percent = (error_max(&file) * 10.0).ceil() / 10.0;
    Ok(file)
}

/// Percent by which the model is farthest from a row.
fn error_max(file: &CostFile) -> f64 {
    file.measured.iter().map(|row| error_of(file, row).abs()).fold(0.0, f64::max)
}

fn error_of(file: &CostFile, row: &MeasuredRow) -> f64 {
    (file.predicted_ns(row) / row.ns - 1.0) * 100.0
}

/// Terms of the model that are found together.
const TERMS: usize = 9;

/// How often each term is in a request of a row.
fn counts(row: &MeasuredRow, cache_bytes: u64) -> [f64; TERMS] {
    let kept = row.kept_bytes.max(1) as f64;
    let cold = (1.0 - cache_bytes as f64 / kept).max(0.0);
    let prepared =
        row.frames_out.saturating_sub(row.filled_frames).saturating_sub(row.copied_frames);
    [
        row.turns as f64,
        row.frames_in as f64,
        row.texts_in as f64,
        row.frames_out as f64,
        row.copied_bytes as f64,
        row.filled_frames as f64,
        row.opened as f64,
        prepared as f64 * cold,
        row.copied_frames as f64 * cold,
    ]
    .map(|count| count / row.requests as f64)
}

/// Least squares of the relative error. A term that would be negative is left out.
fn fit(rows: &[&MeasuredRow], doorbell_ps: u64, cache_bytes: u64) -> CostModel {
    let mut used = vec![true; TERMS];
    let terms = loop {
        let terms = least_squares(rows, &used, cache_bytes);
        let Some(least) =
            (0..TERMS).filter(|&at| terms[at] < 0.0).min_by(|&a, &b| terms[a].total_cmp(&terms[b]))
        else {
            break terms;
        };
        used[least] = false;
    };
    let ps = |at: usize| (terms[at] * 1_000.0).round() as u64;
    CostModel {
        turn_ps: ps(0),
        frame_in_ps: ps(1),
        text_in_ps: ps(2),
        frame_out_ps: ps(3),
        copied_byte_ps: ps(4),
        filled_frame_ps: ps(5),
        connection_ps: ps(6),
        doorbell_ps,
        cold_frame_ps: ps(7),
        cold_copy_ps: ps(8),
        cache_bytes,
    }
}

/// The normal equations of the terms in use, solved by elimination.
fn least_squares(rows: &[&MeasuredRow], used: &[bool], cache_bytes: u64) -> [f64; TERMS] {
    let mut matrix = [[0.0; TERMS + 1]; TERMS];
    for row in rows {
        let counts = counts(row, cache_bytes);
        for (at, line) in matrix.iter_mut().enumerate() {
            for (other, cell) in line[..TERMS].iter_mut().enumerate() {
                *cell += counts[at] * counts[other] / (row.ns * row.ns);
            }
            line[TERMS] += counts[at] / row.ns;
        }
    }
    for at in (0..TERMS).filter(|&at| !used[at] || matrix[at][at] == 0.0).collect::<Vec<_>>() {
        matrix.iter_mut().for_each(|line| line[at] = 0.0);
        matrix[at] = [0.0; TERMS + 1];
        matrix[at][at] = 1.0;
    }
    for at in 0..TERMS {
        let pivot = (at..TERMS)
            .max_by(|&a, &b| matrix[a][at].abs().total_cmp(&matrix[b][at].abs()))
            .unwrap_or(at);
        matrix.swap(at, pivot);
        let line = matrix[at];
        for (other, cells) in matrix.iter_mut().enumerate() {
            if other != at {
                let factor = cells[at] / line[at];
                cells.iter_mut().zip(line).for_each(|(cell, of)| *cell -= factor * of);
            }
        }
    }
    std::array::from_fn(|at| matrix[at][TERMS] / matrix[at][at])
}

/// What a system call costs that does nothing: the least that a doorbell of netmap takes.
#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
fn doorbell_ps() -> u64 {
    const CALLS: u32 = 10_000;
    let mut samples: Vec<u128> = (0..51)
        .map(|_| {
            let start = std::time::Instant::now();
            for _ in 0..CALLS {
                std::hint::black_box(std::os::unix::process::parent_id());
            }
            start.elapsed().as_nanos() * 1_000 / u128::from(CALLS)
        })
        .collect();
    samples.sort_unstable();
    samples[samples.len() / 2] as u64
}

/// Bytes of the last level of cache.
fn cache_bytes() -> Result<u64, String> {
    let path = "/sys/devices/system/cpu/cpu0/cache/index3/size";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let kib: Option<u64> = text.trim().strip_suffix('K').and_then(|kib| kib.parse().ok());
    kib.map(|kib| kib * 1_024).ok_or_else(|| format!("{path}: {text:?} is no size"))
}

/// Key, meaning and value of each term.
fn terms(model: &CostModel) -> [(&'static str, &'static str, u64); 11] {
    [
        ("turn_ps", "a turn, whatever it does", model.turn_ps),
        ("frame_in_ps", "a frame received", model.frame_in_ps),
        ("text_in_ps", "more for a request: read, answer chosen", model.text_in_ps),
        ("frame_out_ps", "a frame sent, prepared and in cache", model.frame_out_ps),
        ("copied_byte_ps", "a byte copied from buffer to buffer", model.copied_byte_ps),
        ("filled_frame_ps", "more for a frame filled from the source", model.filled_frame_ps),
        ("connection_ps", "a connection, beyond its frames", model.connection_ps),
        ("doorbell_ps", "a system call that does nothing", model.doorbell_ps),
        ("cold_frame_ps", "more for a prepared frame out of cache", model.cold_frame_ps),
        ("cold_copy_ps", "more for a frame copied from out of cache", model.cold_copy_ps),
        ("cache_bytes", "the last level of cache", model.cache_bytes),
    ]
}

fn text_of(file: &CostFile) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text += line;
        text.push('\n');
    };
    line("# What a turn of the file server costs, in picoseconds of one core. Written by");
    line(
        "#   cargo run --release -p simoom-benches --bin cost_model -- --write sim-scenarios/costs.toml",
    );
    line(&format!("# on a core of: {}", processor()));
    line(
        "# over a port in memory: what a device and its driver cost is not in it, but for doorbell_ps,",
    );
    line("# a system call that does nothing. Objects of the rows are asked for evenly.");
    line("");
    line("# Percent by which the model is farthest from one of the rows below.");
    line(&format!("error_max_percent = {:.1}", file.error_max_percent));
    for (name, model) in [
        ("checksums_in_software", &file.checksums_in_software),
        ("checksums_offloaded", &file.checksums_offloaded),
    ] {
        line("");
        line(&format!("[{name}]"));
        for (key, what, value) in terms(model) {
            line(&format!("{:40} # {what}", format!("{key} = {value}")));
        }
    }
    for row in &file.measured {
        line("");
        line(&format!(
            "[[measured]] # the model says {:.1} ns, {:+.1} %",
            file.predicted_ns(row),
            error_of(file, row)
        ));
        let mut entry = String::new();
        let counts = [
            ("requests", row.requests),
            ("turns", row.turns),
            ("frames_in", row.frames_in),
            ("texts_in", row.texts_in),
            ("frames_out", row.frames_out),
            ("copied_bytes", row.copied_bytes),
            ("copied_frames", row.copied_frames),
            ("filled_frames", row.filled_frames),
            ("opened", row.opened),
            ("kept_bytes", row.kept_bytes),
        ];
        let _ = writeln!(entry, "row = {:?}", row.row);
        let _ = writeln!(entry, "fitted = {}\noffloaded = {}", row.fitted, row.offloaded);
        let _ = write!(entry, "ns = {:.1}", row.ns);
        for (key, value) in counts {
            let _ = write!(entry, "\n{key} = {value}");
        }
        line(&entry);
    }
    text
}

/// The processor, as the system names it.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        line.map_or("?", |(_, value)| value.trim())
    };
    let (model, mhz) = (field("model name"), field("cpu MHz"));
    let mhz = mhz.split('.').next().unwrap_or(mhz);
    format!("{model} (family {}, model {}), {mhz} MHz", field("cpu family"), field("model\t"))
}
