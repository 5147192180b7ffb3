//! The answer for people: a screen of at most 40 lines, unless there are more variants than that.

use super::Shown;
use crate::replay::text::grouped;
use simoom_replay::closed::{Answer, LossMode, Range, VariantAnswer};
use simoom_replay::fit::{Fit, Fits, LeftOut};
use simoom_replay::flow::Counts;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Lines at most, where the table leaves room.
const LINES_MAX: usize = 40;

/// Connections listed for one variant, at most.
const LISTED_MAX: usize = 3;

/// Connections that the fit explains worst, at most.
const WORST_MAX: usize = 3;

/// A fit farther away than this is worth a line.
const FAR: f64 = 0.1;

pub(super) fn text(shown: &Shown<'_>) -> String {
    let Shown { fits, answer, question, .. } = *shown;
    let mut out = String::new();
    let _ = writeln!(out, "{}", servers(&fits.counts));
    let _ = writeln!(out, "{}", connections(shown));
    let seeds = &question.seeds;
    let _ = writeln!(
        out,
        "as {}, {}, seeds {}..{}",
        shown.whom,
        match question.losses {
            LossMode::Observed => "losses where they were",
            LossMode::Resampled => "losses by chance",
        },
        seeds.start,
        seeds.end
    );
    let _ = writeln!(out, "fitted: {}", fitted(&fits.fits));
    let _ = writeln!(out, "{}\n", explained(answer));
    for line in table(answer) {
        let _ = writeln!(out, "{line}");
    }
    let mut rest: Vec<String> = worst(shown);
    for variant in &answer.variants {
        rest.extend(unfinished(variant));
        rest.extend(changed(shown, variant));
    }
    let used = out.lines().count();
    let room = LINES_MAX.saturating_sub(used);
    let cut = rest.len() > room;
    rest.truncate(if cut { room.saturating_sub(1) } else { room });
    for line in rest {
        let _ = writeln!(out, "{line}");
    }
    if cut && room > 0 {
        out += "more with --json\n";
    }
    out
}

pub(super) fn servers(counts: &Counts) -> String {
    let servers = &counts.servers;
    let most = servers
        .iter()
        .max_by_key(|(addr, one)| ((one.handshakes, one.connections), std::cmp::Reverse(*addr)));
    let Some((addr, one)) = most else { return String::from("no server was found") };
    let mut out = format!("server {addr}, {} connections", grouped(one.connections));
    if servers.len() > 1 {
        let _ = write!(out, "; and {} others", grouped(servers.len() as u64 - 1));
    }
    out
}

pub(super) fn connections(shown: &Shown<'_>) -> String {
    let Fits { fits, fitted, left_out, .. } = shown.fits;
    let mut out = match fits.len() as u64 {
        n if n == *fitted => format!("{} connections fitted", grouped(n)),
        n if shown.slowest => format!("the slowest {} of {} fitted", grouped(n), grouped(*fitted)),
        n => format!("{} drawn of {} connections fitted", grouped(n), grouped(*fitted)),
    };
    let _ = write!(out, ", {} turns", grouped(shown.answer.turns));
    if !left_out.is_empty() {
        let one = |(why, n): (&LeftOut, &u64)| format!("{} {}", grouped(*n), why_left_out(why));
        let _ =
            write!(out, "; left out: {}", left_out.iter().map(one).collect::<Vec<_>>().join(", "));
    }
    out
}

pub(super) fn why_left_out(why: &LeftOut) -> String {
    match why {
        LeftOut::Class(class) => class.to_string(),
        LeftOut::NoTurn => String::from("without a whole answer"),
    }
}

/// What the fits are like, in one line.
pub(super) fn fitted(fits: &[Fit]) -> String {
    let mut trips: Vec<u64> = fits.iter().map(Fit::round_trip).collect();
    trips.sort_unstable();
    let mut rates: Vec<u64> = fits.iter().filter_map(|fit| fit.path.rate.value).collect();
    rates.sort_unstable();
    let middle = |sorted: &[u64]| sorted.get(sorted.len().saturating_sub(1) / 2).copied();
    let losses: usize = fits.iter().map(|fit| fit.path.losses.len()).sum();
    let segments: u64 = fits.iter().map(|fit| fit.path.segments).sum();
    let mut every: BTreeMap<u32, u64> = BTreeMap::new();
    for fit in fits.iter().filter(|fit| fit.client_side.ack_every.stands_in.is_none()) {
        *every.entry(fit.client_side.ack_every.value).or_default() += 1;
    }
    let acks = every.iter().max_by_key(|(every, n)| (**n, std::cmp::Reverse(**every)));
    let mut out = format!("round trip {}", time(middle(&trips).unwrap_or(0)));
    match middle(&rates) {
        Some(rate) => {
            let (n, all) = (rates.len(), fits.len());
            let _ = write!(out, ", a bottleneck in {n} of {all} ({:.1} Mb/s)", rate as f64 / 1e6);
        }
        None => out += ", no bottleneck",
    }
    let _ = write!(out, ", {losses} of {} segments lost", grouped(segments));
    if let Some((every, n)) = acks {
        let _ = write!(out, ", an ACK for {every} ({n} of {})", fits.len());
    }
    out
}

fn explained(answer: &Answer) -> String {
    match answer.error_quantiles() {
        Some([middle, p90, most]) => format!(
            "simulated as captured, connections lie {} away from the capture (median; {} p90, {} most)",
            percent(middle),
            percent(p90),
            percent(most)
        ),
        None => String::from("simulated as captured, no connection came to its end"),
    }
}

/// The table: one line a variant, below a heading and what was captured.
fn table(answer: &Answer) -> Vec<String> {
    let heading = ["", "median", "p90", "p99", "median", "p90", "p99", "better", "worse", "same"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let captured = [answer.captured.median, answer.captured.p90, answer.captured.p99].map(time);
    let mut row = vec![String::from("the capture")];
    row.extend(captured);
    rows.push(row);
    for variant in &answer.variants {
        rows.push(cells(variant));
    }
    let columns = heading.len();
    let wide = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cell = |(n, cell): (usize, &String)| match n {
            0 => format!("{cell:<width$}", width = widths[0]),
            n => format!("  {cell:>width$}", width = widths[n]),
        };
        row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A variant's cells: name, times, changes, connections.
pub(super) fn cells(variant: &VariantAnswer) -> Vec<String> {
    let mut row = vec![variant.name.clone()];
    row.extend(variant.times.map(|time_range| time(time_range.middle)));
    match &variant.changes {
        Some(changes) => {
            row.extend(changes.iter().map(change));
            row.extend([variant.better, variant.worse, variant.same].map(grouped));
        }
        None => row.extend(variant.times.map(|range| spread(&range))),
    }
    row
}

/// `-12.3 %`, and over which range where seeds differ.
fn change(range: &Range<f64>) -> String {
    let [min, middle, max] = [range.min, range.middle, range.max].map(signed);
    if min == max { middle } else { format!("{middle} ({min} to {max})") }
}

fn spread(range: &Range<u64>) -> String {
    let (min, max) = (range.min.abs_diff(range.middle), range.max.abs_diff(range.middle));
    match min.max(max) {
        0 => String::from("±0"),
        off => format!("±{}", time(off)),
    }
}

fn signed(part: f64) -> String {
    let percent = format!("{:+.1}%", part * 100.0);
    if percent == "-0.0%" { String::from("+0.0%") } else { percent }
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// The connections that the fit explains worst.
fn worst(shown: &Shown<'_>) -> Vec<String> {
    let mut far: Vec<_> = shown
        .answer
        .connections
        .iter()
        .filter_map(|one| Some((one, one.error()?)))
        .filter(|(_, error)| error.abs() > FAR)
        .collect();
    far.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.serial.cmp(&b.0.serial)));
    let mut lines = Vec::new();
    if far.is_empty() {
        return lines;
    }
    lines.push(format!("\nexplained worst, of {} more than {} away", far.len(), percent(FAR)));
    for (one, error) in far.into_iter().take(WORST_MAX) {
        let simulated = one.simulated.map_or(0, |range| range.middle);
        lines.push(format!(
            "  #{} {}: captured {}, simulated {} ({})",
            one.serial,
            client(shown, one.serial),
            time(one.captured),
            time(simulated),
            signed(error)
        ));
    }
    lines
}

fn unfinished(variant: &VariantAnswer) -> Vec<String> {
    let one = |(why, n): (&&str, &u64)| {
        format!("  {}: {} runs ended early: {why}", variant.name, grouped(*n))
    };
    variant.unfinished.iter().map(one).collect()
}

fn changed(shown: &Shown<'_>, variant: &VariantAnswer) -> Vec<String> {
    let mut lines = Vec::new();
    if variant.most_changed.is_empty() {
        return lines;
    }
    lines.push(format!("\nchanged most by {}", variant.name));
    for row in variant.most_changed.iter().take(LISTED_MAX) {
        lines.push(format!(
            "  #{} {}: {} to {} (captured {})",
            row.serial,
            client(shown, row.serial),
            time(row.before.middle),
            time(row.after.middle),
            time(row.captured)
        ));
    }
    lines
}

fn client(shown: &Shown<'_>, serial: u64) -> String {
    let found = shown.fits.fits.binary_search_by_key(&serial, |fit| fit.serial);
    found.map_or_else(|_| String::new(), |at| shown.fits.fits[at].client.to_string())
}

/// Milliseconds, or seconds where there are many.
pub(super) fn time(nanos: u64) -> String {
    match nanos {
        0..10_000_000_000 => format!("{:.1} ms", nanos as f64 / 1e6),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_a_range_only_where_seeds_differ() {
        let range = |min, middle, max| Range { min, middle, max };
        assert_eq!(change(&range(-0.25, -0.25, -0.25)), "-25.0%");
        assert_eq!(change(&range(-0.25, -0.2, 0.1)), "-20.0% (-25.0% to +10.0%)");
        assert_eq!(change(&range(-0.0001, -0.0001, -0.0001)), "+0.0%");
    }

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(time(0), "0.0 ms");
        assert_eq!(time(1_260_000), "1.3 ms");
        assert_eq!(time(12_345_000_000), "12.35 s");
    }
}
