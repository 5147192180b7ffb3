//! `--report`: completion times before and after, drawn.

use super::Shown;
use super::text::{cells, connections, fitted, percent, servers, time};
use simoom_replay::closed::{LossMode, VariantAnswer};
use simoom_report::{Axis, Page, Plot, Series, Style, Table, plots};

/// Variants drawn beside the capture and the baseline, at most: more cannot be told apart.
const DRAWN_MAX: usize = 8;

/// Rows of a table, at most.
const ROWS_MAX: usize = 300;

pub(super) fn build(shown: &Shown<'_>) -> Page {
    let Shown { fits, answer, question, .. } = *shown;
    let mut facts = vec![
        ("Capture", servers(&fits.counts)),
        ("Connections", connections(shown)),
        ("Fitted", fitted(&fits.fits)),
        ("As", shown.whom.to_owned()),
        (
            "Losses",
            String::from(match question.losses {
                LossMode::Observed => "where they were",
                LossMode::Resampled => "by chance, as likely as they were",
            }),
        ),
        ("Seeds", format!("{}..{}", question.seeds.start, question.seeds.end)),
    ];
    if let Some([middle, p90, most]) = answer.error_quantiles() {
        let [middle, p90, most] = [middle, p90, most].map(percent);
        let text =
            format!("{middle} away in the middle, {p90} at the 90th percentile, {most} at most");
        facts.push(("Simulated as captured", text));
    }
    Page {
        title: String::from("What if"),
        subtitle: String::from(
            "Each captured connection in a simulated world, as captured and otherwise.",
        ),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        tables: tables(shown),
        plots: vec![distributions(shown), explained(shown)],
    }
}

fn tables(shown: &Shown<'_>) -> Vec<Table> {
    let columns = [
        "variant",
        "median",
        "p90",
        "p99",
        "change of median",
        "of p90",
        "of p99",
        "better",
        "worse",
        "same",
    ];
    let rows = shown.answer.variants.iter().map(|variant| {
        let mut row = cells(variant);
        row.resize(columns.len(), String::new());
        row
    });
    let mut tables = vec![table("Completion times", &columns, rows.collect())];
    for variant in shown.answer.variants.iter().filter(|one| !one.most_changed.is_empty()) {
        tables.push(changed(shown, variant));
    }
    let mut far: Vec<_> = shown.answer.connections.iter().collect();
    let size = |error: Option<f64>| error.map_or(f64::INFINITY, f64::abs);
    far.sort_by(|a, b| size(b.error()).total_cmp(&size(a.error())).then(a.serial.cmp(&b.serial)));
    let rows = far.into_iter().take(ROWS_MAX).map(|one| {
        vec![
            format!("#{}", one.serial),
            time(one.captured),
            one.simulated.map_or_else(|| String::from("did not end"), |all| time(all.middle)),
            one.error().map_or_else(String::new, |error| format!("{:+.1}%", error * 100.0)),
        ]
    });
    let columns = ["connection", "captured", "simulated as captured", "away"];
    tables.push(table(
        "How well the fit explains the capture, worst first",
        &columns,
        rows.collect(),
    ));
    tables
}

fn changed(shown: &Shown<'_>, variant: &VariantAnswer) -> Table {
    let rows = variant.most_changed.iter().map(|row| {
        let found = shown.fits.fits.binary_search_by_key(&row.serial, |fit| fit.serial);
        let client =
            found.map_or_else(|_| String::new(), |at| shown.fits.fits[at].client.to_string());
        vec![
            format!("#{}", row.serial),
            client,
            time(row.captured),
            time(row.before.middle),
            time(row.after.middle),
        ]
    });
    let columns = ["connection", "client", "captured", "before", "after"];
    table(&format!("Changed most by {}", variant.name), &columns, rows.collect())
}

fn table(title: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    let columns = columns.iter().map(|name| String::from(*name)).collect();
    Table { title: title.to_owned(), columns, rows }
}

fn distributions(shown: &Shown<'_>) -> Plot {
    let answer = shown.answer;
    let seconds = |nanos: &[u64]| nanos.iter().map(|n| *n as f64 / 1e9).collect::<Vec<_>>();
    let mut groups = vec![(String::from("the capture"), seconds(&answer.captured_drawn))];
    let drawn = answer.variants.iter().take(DRAWN_MAX + 1);
    groups.extend(drawn.map(|one| (one.name.clone(), seconds(&one.drawn))));
    let groups: Vec<(&str, &[f64])> =
        groups.iter().map(|(name, times)| (name.as_str(), times.as_slice())).collect();
    let mut plot = plots::completion_times(&groups);
    plot.title = String::from("Completion times of turns");
    plot.note = String::from("How many of all turns were over within a time; of the first seed.");
    if answer.variants.len() > DRAWN_MAX + 1 {
        plot.note += &format!(" {DRAWN_MAX} of {} variants.", answer.variants.len() - 1);
    }
    plot
}

fn explained(shown: &Shown<'_>) -> Plot {
    let points: Vec<(&u64, (f64, f64))> = shown
        .answer
        .connections
        .iter()
        .filter_map(|one| {
            let simulated = one.simulated?.middle;
            Some((&one.serial, (one.captured as f64 / 1e9, simulated as f64 / 1e9)))
        })
        .take(2_000)
        .collect();
    let longest = points.iter().map(|(_, (x, y))| x.max(*y)).fold(0.0, f64::max);
    let axis = |label: &str| Axis { label: label.into(), from_zero: true, ..Axis::default() };
    let series = Series {
        name: String::from("a connection"),
        style: Style::Points,
        hover: points.iter().map(|(serial, _)| format!("#{serial}")).collect(),
        points: points.into_iter().map(|(_, point)| point).collect(),
        ..Series::default()
    };
    let same = Series {
        name: String::from("the same"),
        style: Style::Bound,
        points: vec![(0.0, 0.0), (longest, longest)],
        ..Series::default()
    };
    Plot {
        title: String::from("Simulated as captured"),
        note: String::from(
            "On the line, the fit explains the capture; far from it, do not trust it.",
        ),
        x: axis("captured (s)"),
        y: axis("simulated (s)"),
        series: vec![series, same],
        ..Plot::default()
    }
}
