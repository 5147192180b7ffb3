//! One self-contained page of HTML from plain data: facts, tables and plots.
//!
//! Knows nothing of simulation, replay or TCP, reads no file and no clock: the same [`Page`] gives
//! the same bytes.
#![forbid(unsafe_code)]

/// What a page shows, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The heading, and the window's title.
    pub title: String,
    /// One line below the heading.
    pub subtitle: String,
    /// Names and values, in order.
    pub facts: Vec<(String, String)>,
    /// Tables, in order.
    pub tables: Vec<Table>,
    /// Plots, in order.
    pub plots: Vec<Plot>,
}

/// A table: cells are text, right-aligned where they look like numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Above it.
    pub title: String,
    /// Headings.
    pub columns: Vec<String>,
    /// Rows of as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// One pair of axes and what is drawn on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// Drawn in order.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// What it measures, with the unit: `time (s)`.
    pub label: String,
    /// Whether its scale is logarithmic.
    pub log: bool,
}

/// Points of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// Points, ascending by x where they are joined.
    pub points: Vec<(f64, f64)>,
    /// For [`Style::Bars`], where each bar ends; else empty.
    pub upto: Vec<f64>,
    /// What is shown when the pointer is over a point: as many as points, or none.
    pub hover: Vec<String>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Points joined by straight lines.
    #[default]
    Line,
    /// A value holds until the next one.
    Steps,
    /// Single points.
    Points,
    /// Upright bars from a point's y to [`Series::upto`]: segments in a time-sequence graph.
    Bars,
}
