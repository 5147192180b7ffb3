//! From a [`Page`] to its bytes.
//!
//! Text enters by two doors only: [`Text`] escapes it for HTML, [`label`] for the pseudo-HTML that
//! the plotting library reads. What plots hold is packed as the library is, in an element that no browser runs.

use crate::{Colour, Page, Plot, Series, Style, Table, thin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// The plotting library: gzip in base64.
const LIBRARY: &str = include_str!(concat!(env!("OUT_DIR"), "/library.txt"));
const LIBRARY_DIGEST: &str = include_str!(concat!(env!("OUT_DIR"), "/library.digest"));
const SCRIPT: &str = include_str!("page.js");
const SCRIPT_DIGEST: &str = include_str!(concat!(env!("OUT_DIR"), "/page.digest"));
const STYLE: &str = include_str!("page.css");

/// The page as HTML: about 2 MB, and what the plots hold.
///
/// # Panics
/// Where a table's row has other than as many cells as columns, or a series has some but not as
/// many `upto` or `hover` as points.
pub fn render(page: &Page) -> String {
    let mut bytes = Vec::new();
    write(page, &mut bytes).expect("a vector takes everything");
    String::from_utf8(bytes).expect("made of strings")
}

/// Writes the page as HTML. Panics as [`render`] does.
///
/// # Errors
/// What `to` answers.
pub fn write(page: &Page, mut to: impl Write) -> io::Result<()> {
    let title = Text(&page.title);
    write!(
        to,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src '{SCRIPT_DIGEST}' '{LIBRARY_DIGEST}'; style-src 'unsafe-inline'; \
         img-src data: blob:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>{title}</h1>\n"
    )?;
    if !page.subtitle.is_empty() {
        writeln!(to, "<p>{}</p>", Text(&page.subtitle))?;
    }
    to.write_all(b"</header>\n")?;
    write_facts(&page.facts, &mut to)?;
    for table in &page.tables {
        write_table(table, &mut to)?;
    }
    if !page.plots.is_empty() {
        write_plots(page, &mut to)?;
    }
    to.write_all(b"</main>\n</body>\n</html>\n")
}

fn write_facts(facts: &[(String, String)], to: &mut impl Write) -> io::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    to.write_all(b"<dl>\n")?;
    for (name, value) in facts {
        writeln!(to, "<div><dt>{}</dt><dd>{}</dd></div>", Text(name), Text(value))?;
    }
    to.write_all(b"</dl>\n")
}

fn write_table(table: &Table, to: &mut impl Write) -> io::Result<()> {
    let columns = table.columns.len();
    assert!(table.rows.iter().all(|row| row.len() == columns), "a row has a cell for each column");
    let classes: Vec<&str> = (0..columns)
        .map(|column| table.rows.iter().all(|row| is_number(&row[column])))
        .map(|numbers| if numbers { " class=\"number\"" } else { "" })
        .collect();
    // The scrolling box takes the keyboard, so that a wide table can be read without a mouse.
    write!(
        to,
        "<section>\n<h2>{0}</h2>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">\n\
         <table>\n<thead><tr>",
        Text(&table.title)
    )?;
    for (name, class) in table.columns.iter().zip(&classes) {
        write!(to, "<th scope=\"col\"{class}>{}</th>", Text(name))?;
    }
    to.write_all(b"</tr></thead>\n<tbody>\n")?;
    for row in &table.rows {
        to.write_all(b"<tr>")?;
        for (cell, class) in row.iter().zip(&classes) {
            write!(to, "<td{class}>{}</td>", Text(cell))?;
        }
        to.write_all(b"</tr>\n")?;
    }
    to.write_all(b"</tbody>\n</table>\n</div>\n</section>\n")
}

fn write_plots(page: &Page, to: &mut impl Write) -> io::Result<()> {
    let most = thin::bound(page);
    let mut data = Vec::with_capacity(page.plots.len());
    for (n, plot) in page.plots.iter().enumerate() {
        let (drawing, left_out) = drawing(plot, most);
        write!(to, "<section class=\"plot\">\n<h2 id=\"plot-{n}\">{}</h2>\n", Text(&plot.title))?;
        if !plot.note.is_empty() {
            writeln!(to, "<p>{}</p>", Text(&plot.note))?;
        }
        for (name, shown, all) in left_out {
            writeln!(
                to,
                "<p class=\"left-out\">{}: {shown} of {all} points are drawn.</p>",
                Text(name)
            )?;
        }
        to.write_all(b"<div class=\"drawing\" role=\"img\"")?;
        writeln!(to, " aria-labelledby=\"plot-{n}\"></div>\n</section>")?;
        data.push(drawing);
    }
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::default());
    serde_json::to_writer(&mut packed, &data).map_err(io::Error::from)?;
    let packed = STANDARD.encode(packed.finish()?);
    write!(
        to,
        "<noscript><p>The plots are drawn by scripts inside this page, which are turned off here.</p>\
         </noscript>\n<p id=\"trouble\" hidden></p>\n\
         <footer>Drag to zoom, double-click to go back, point at a mark to read it, click a name to \
         hide it. Drawn by plotly.js (MIT licence), which this page carries.</footer>\n\
         <script type=\"application/octet-stream\" id=\"data\">{packed}</script>\n\
         <script type=\"application/octet-stream\" id=\"library\">{LIBRARY}</script>\n\
         <script>{SCRIPT}</script>\n"
    )
}

/// A plot as the page's script reads it.
#[derive(Serialize)]
struct Drawing<'a> {
    x: Scale,
    y: Scale,
    zooms_with: &'a str,
    series: Vec<Marks>,
}

#[derive(Serialize)]
struct Scale {
    label: String,
    log: bool,
    from_zero: bool,
}

#[derive(Serialize)]
struct Marks {
    name: String,
    style: Style,
    colour: Colour,
    x: Vec<Option<f64>>,
    y: Vec<Option<f64>>,
    upto: Vec<Option<f64>>,
    hover: Vec<String>,
}

/// The plot within its bound, and (series, shown, all) for each that was thinned.
fn drawing(plot: &Plot, most: usize) -> (Drawing<'_>, Vec<(&str, usize, usize)>) {
    let scale = |axis: &crate::Axis| Scale {
        label: label(&axis.label),
        log: axis.log,
        from_zero: axis.from_zero,
    };
    let mut left_out = Vec::new();
    let mut series = Vec::with_capacity(plot.series.len());
    for one in &plot.series {
        let kept = thin::keep(one, most);
        if kept.len() < one.points.len() {
            left_out.push((one.name.as_str(), kept.len(), one.points.len()));
        }
        series.push(marks(one, &kept));
    }
    let (x, y) = (scale(&plot.x), scale(&plot.y));
    (Drawing { x, y, zooms_with: &plot.zooms_with, series }, left_out)
}

fn marks(series: &Series, kept: &[usize]) -> Marks {
    let Series { points, upto, hover, .. } = series;
    let bars = if series.style == Style::Bars { points.len() } else { 0 };
    assert_eq!(upto.len(), bars, "{}: every bar has an end, and only bars", series.name);
    assert!(
        hover.is_empty() || hover.len() == points.len(),
        "{}: {} texts for {} points",
        series.name,
        hover.len(),
        points.len()
    );
    // JSON knows no infinity: such a value is a gap.
    let finite = |value: f64| value.is_finite().then_some(value);
    Marks {
        name: label(&series.name),
        style: series.style,
        colour: series.colour,
        x: kept.iter().map(|&at| finite(points[at].0)).collect(),
        y: kept.iter().map(|&at| finite(points[at].1)).collect(),
        upto: kept.iter().filter_map(|&at| upto.get(at)).map(|&value| finite(value)).collect(),
        hover: kept.iter().filter_map(|&at| hover.get(at)).map(|text| label(text)).collect(),
    }
}

/// Text for the plotting library, which reads a few tags and entities: a line feed becomes a break,
/// everything else stays itself.
fn label(text: &str) -> String {
    Text(text).to_string().replace('\n', "<br>")
}

/// Text in HTML, as content or as a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&#34;")?,
                '\'' => f.write_str("&#39;")?,
                // Not a character of HTML.
                '\0' => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Whether a cell is read as a number: `-1,234.5 ms`, `98.2 %`, an empty cell or a dash, but not
/// an address or a name that begins with a digit.
fn is_number(cell: &str) -> bool {
    let cell = cell.trim();
    let digits = cell.trim_start_matches(['-', '+', '−', '<', '≤', '≥', '±', '~']).trim_start();
    let (number, unit) = match digits.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',') {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    match number {
        "" => matches!(cell, "" | "-" | "–" | "—"),
        _ => {
            number.starts_with(|c: char| c.is_ascii_digit())
                && number.matches('.').count() <= 1
                && unit.trim_start().chars().count() <= 6
                && !unit.chars().any(|c| c.is_ascii_digit() || c == ':')
        }
    }
}

#[cfg(test)]
mod tests;
