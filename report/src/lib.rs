//! One self-contained page of HTML from plain data: facts, tables and plots.
//!
//! Knows nothing of simulation, replay or TCP, reads no file and no clock: the same [`Page`] gives
//! the same bytes. The page asks the network for nothing (its security policy forbids it), follows
//! the reader's choice of light or dark, and prints on white. Plots are drawn in the browser by
//! plotly.js, which the page carries: drag to zoom, double-click to go back, point at a mark to read
//! what it was. All text is escaped: no data can become markup or run.
//!
//! Read in this order: the types here, [`plots`] (the standard plots, from numbers), [`thin`] (what
//! is left out where there are too many points), [`render`].
//!
//! ```
//! use simoom_report::{Page, plots, render};
//!
//! let page = Page {
//!     title: "Ten seeds of the bulk transfer".into(),
//!     facts: vec![("Seeds".into(), "10".into())],
//!     plots: vec![plots::completion_times(&[("1 MB", &[0.82, 0.79, 1.31])])],
//!     ..Page::default()
//! };
//! let html: String = render(&page);
//! assert!(html.starts_with("<!doctype html>"));
//! ```
#![forbid(unsafe_code)]

mod html;
pub mod plots;
pub mod thin;

pub use html::{render, write};

/// What a page shows, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The heading, and the window's title.
    pub title: String,
    /// One line below the heading; none where empty.
    pub subtitle: String,
    /// Names and values, in order.
    pub facts: Vec<(String, String)>,
    /// Tables, in order.
    pub tables: Vec<Table>,
    /// Plots, in order.
    pub plots: Vec<Plot>,
}

/// A table. A column whose cells all look like numbers is aligned to the right.
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
    /// A sentence below the title: what to look for. None where empty.
    pub note: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// Plots of one page with the same name here show the same range of x: zooming into one zooms
    /// into all. Alone where empty.
    pub zooms_with: String,
    /// Drawn in order, later ones on top.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// What it measures, with the unit: `time (s)`.
    pub label: String,
    /// Whether its scale is logarithmic; then what is not above zero is not drawn.
    pub log: bool,
    /// Whether it begins at zero, whatever the values; without effect where `log`.
    pub from_zero: bool,
}

/// Points of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// In which colour.
    pub colour: Colour,
    /// Points, ascending by x where they are joined. A value that is not finite is a gap.
    pub points: Vec<(f64, f64)>,
    /// For [`Style::Bars`], where each bar ends: as many as points; else empty.
    pub upto: Vec<f64>,
    /// What is shown when the pointer is over a point: as many as points, or none, which shows the
    /// numbers. A line feed begins a new line.
    pub hover: Vec<String>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Points joined by straight lines.
    #[default]
    Line,
    /// A value holds until the next one.
    Steps,
    /// The same, dashed: a bound rather than a measurement.
    Bound,
    /// Single points.
    Points,
    /// Crosses, for what must not be missed.
    Crosses,
    /// Upright bars from a point's y to [`Series::upto`]: segments in a time-sequence graph.
    Bars,
}

/// The colour of a series: told apart by the colour-blind too, with a shade of its own on dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// The next of the others that is free in the plot.
    #[default]
    Next,
    /// Blue.
    Blue,
    /// Orange.
    Orange,
    /// Green.
    Green,
    /// Vermilion.
    Red,
    /// Purple.
    Purple,
    /// Sky blue.
    Sky,
    /// Grey: what is in the background.
    Grey,
}
