//! The standard plots, from plain numbers. Times are seconds.
//!
//! Plots over time are named so that zooming into one zooms into all of a page
//! ([`Plot::zooms_with`]).

use crate::{Axis, Colour, Plot, Series, Style};

/// What a mark of a time-sequence graph stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sequence {
    /// The highest number that the receiver lets the sender reach: `upto`.
    Window,
    /// A segment sent for the first time.
    Sent,
    /// A segment sent again.
    Retransmitted,
    /// A range that the receiver holds beyond what it acknowledged.
    Sacked,
    /// A cumulative acknowledgement, of all before `upto`.
    Acked,
    /// A segment that did not arrive.
    Lost,
}

/// One mark of a time-sequence graph.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceMark {
    /// When, in seconds.
    pub at: f64,
    /// What it stands for.
    pub kind: Sequence,
    /// Its first byte, counted from the connection's first; for [`Sequence::Acked`] and
    /// [`Sequence::Window`] without meaning.
    pub from: u64,
    /// One beyond its last.
    pub upto: u64,
    /// What is shown when the pointer is over it, below time and numbers; may be empty.
    pub note: String,
}

/// The time-sequence graph of one direction of a connection: segments are upright bars from their
/// first to their last byte, acknowledgements a staircase below them, the window's edge one above.
pub fn time_sequence(title: &str, marks: &[SequenceMark]) -> Plot {
    let kinds = [
        (Sequence::Window, "window's edge", Style::Bound, Colour::Grey),
        (Sequence::Acked, "acked", Style::Steps, Colour::Green),
        (Sequence::Sent, "sent", Style::Bars, Colour::Blue),
        (Sequence::Sacked, "SACKed", Style::Bars, Colour::Purple),
        (Sequence::Retransmitted, "retransmitted", Style::Bars, Colour::Red),
        (Sequence::Lost, "lost", Style::Crosses, Colour::Orange),
    ];
    let series = kinds.into_iter().filter_map(|(kind, name, style, colour)| {
        let mut series = Series { name: name.into(), style, colour, ..Series::default() };
        for mark in marks.iter().filter(|mark| mark.kind == kind) {
            let (low, high) = (mark.from as f64, mark.upto as f64);
            match kind {
                Sequence::Window | Sequence::Acked => series.points.push((mark.at, high)),
                Sequence::Lost => series.points.push((mark.at, low.midpoint(high))),
                _ => {
                    series.points.push((mark.at, low));
                    series.upto.push(high);
                }
            }
            series.hover.push(hover_of(mark, name));
        }
        (!series.points.is_empty()).then_some(series)
    });
    Plot {
        title: title.into(),
        y: Axis { from_zero: true, ..axis("stream (bytes)") },
        series: series.collect(),
        ..over_time()
    }
}

fn hover_of(mark: &SequenceMark, name: &str) -> String {
    let range = match mark.kind {
        Sequence::Window | Sequence::Acked => format!("up to {}", mark.upto),
        _ => format!("{} to {}, {} bytes", mark.from, mark.upto, mark.upto - mark.from),
    };
    let head = format!("{name} at {:.6} s\n{range}", mark.at);
    if mark.note.is_empty() { head } else { format!("{head}\n{}", mark.note) }
}

/// Bits a second that reached the application, in a moving window of `window` seconds: from (time,
/// bytes so far) of each named flow, ascending.
pub fn goodput(flows: &[(&str, &[(f64, f64)])], window: f64) -> Plot {
    let series = flows.iter().map(|(name, sums)| Series {
        name: (*name).into(),
        points: rate(sums, window),
        ..Series::default()
    });
    Plot {
        title: "Goodput".into(),
        note: format!("Mean of the {window} s before."),
        y: Axis { from_zero: true, ..axis("goodput (bit/s)") },
        series: series.collect(),
        ..over_time()
    }
}

/// Eight times the growth of a sum over the `window` before each tenth of a window, divided by it.
fn rate(sums: &[(f64, f64)], window: f64) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (sums.first(), sums.last()) else { return Vec::new() };
    if !(window > 0.0 && (last.0 - first.0).is_finite()) {
        return Vec::new();
    }
    // Two decades of windows more than any plot can show.
    let ticks = ((last.0 - first.0) / window * 10.0).ceil().min(1e6) as usize;
    let step = (last.0 - first.0) / ticks.max(1) as f64;
    let (mut ahead, mut behind) = (0, 0);
    let value = |from: usize| if from == 0 { 0.0 } else { sums[from - 1].1 };
    (0..=ticks)
        .map(|tick| {
            let now = if tick == ticks { last.0 } else { first.0 + step * tick as f64 };
            while sums.get(ahead).is_some_and(|sum| sum.0 <= now) {
                ahead += 1;
            }
            while sums.get(behind).is_some_and(|sum| sum.0 <= now - window) {
                behind += 1;
            }
            (now, (value(ahead) - value(behind)) * 8.0 / window)
        })
        .collect()
}

/// The congestion window and the slow start threshold of one connection, in bytes. A threshold that
/// was never lowered, and so has no value worth drawing, is a gap: give infinity.
pub fn congestion(cwnd: Vec<(f64, f64)>, ssthresh: Vec<(f64, f64)>) -> Plot {
    let cwnd = Series { colour: Colour::Blue, ..steps("cwnd", cwnd) };
    let ssthresh =
        Series { style: Style::Bound, colour: Colour::Orange, ..steps("ssthresh", ssthresh) };
    Plot {
        title: "Congestion window".into(),
        y: Axis { from_zero: true, ..axis("window (bytes)") },
        series: vec![cwnd, ssthresh],
        ..over_time()
    }
}

/// Round-trip times in seconds: single samples, the smoothed one, the retransmission timeout. What
/// is empty is left out.
pub fn round_trip(samples: Vec<(f64, f64)>, srtt: Vec<(f64, f64)>, rto: Vec<(f64, f64)>) -> Plot {
    let samples = Series {
        name: "sample".into(),
        style: Style::Points,
        colour: Colour::Sky,
        points: samples,
        ..Series::default()
    };
    let srtt = Series { colour: Colour::Blue, ..steps("smoothed", srtt) };
    let rto = Series { style: Style::Bound, colour: Colour::Orange, ..steps("timeout", rto) };
    let series = [samples, srtt, rto].into_iter().filter(|s| !s.points.is_empty());
    Plot {
        title: "Round-trip time".into(),
        y: Axis { from_zero: true, ..axis("time (s)") },
        series: series.collect(),
        ..over_time()
    }
}

/// What waits in the queue of each named link, in bytes.
pub fn queue(links: &[(&str, &[(f64, f64)])]) -> Plot {
    Plot {
        title: "Queue".into(),
        y: Axis { from_zero: true, ..axis("queue (bytes)") },
        series: links.iter().map(|(name, points)| steps(name, points.to_vec())).collect(),
        ..over_time()
    }
}

/// How completion times are spread over seeds: each named group of samples, in seconds, as a
/// [`cdf`]; on a logarithmic scale where the longest is more than 30 times the shortest.
pub fn completion_times(groups: &[(&str, &[f64])]) -> Plot {
    let all = || groups.iter().flat_map(|(_, samples)| samples.iter().copied());
    let shortest = all().fold(f64::INFINITY, f64::min);
    let longest = all().fold(0.0, f64::max);
    let series = groups.iter().map(|(name, samples)| {
        let name = format!("{name} ({} samples)", samples.len());
        steps(&name, cdf(samples))
    });
    Plot {
        title: "Completion times".into(),
        note: "How many of all were done within a time.".into(),
        x: Axis { log: shortest > 0.0 && longest > shortest * 30.0, ..axis("time (s)") },
        y: Axis { from_zero: true, ..axis("share done") },
        series: series.collect(),
        ..Plot::default()
    }
}

/// The empirical distribution of some samples: (value, share of samples not above it), one for each
/// distinct value, ascending. What is not a number is left out.
pub fn cdf(samples: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let all = sorted.len() as f64;
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(sorted.len());
    for (below, value) in sorted.into_iter().enumerate() {
        let share = (below + 1) as f64 / all;
        match points.last_mut() {
            Some(last) if last.0 == value => last.1 = share,
            _ => points.push((value, share)),
        }
    }
    // The staircase starts on the ground.
    if let Some(first) = points.first().copied() {
        points.insert(0, (first.0, 0.0));
    }
    points
}

/// A value that holds until the next one.
pub fn steps(name: &str, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.into(), style: Style::Steps, points, ..Series::default() }
}

/// An empty plot over the page's time.
fn over_time() -> Plot {
    Plot { x: axis("time (s)"), zooms_with: "time".into(), ..Plot::default() }
}

fn axis(label: &str) -> Axis {
    Axis { label: label.into(), ..Axis::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: f64, kind: Sequence, from: u64, upto: u64) -> SequenceMark {
        SequenceMark { at, kind, from, upto, note: "a note".into() }
    }

    #[test]
    fn a_time_sequence_graph_has_a_series_for_each_kind_that_occurs() {
        let plot = time_sequence(
            "flow",
            &[
                mark(0.1, Sequence::Sent, 0, 1448),
                mark(0.2, Sequence::Sent, 1448, 2896),
                mark(0.25, Sequence::Lost, 1448, 2896),
                mark(0.3, Sequence::Acked, 0, 1448),
                mark(0.5, Sequence::Retransmitted, 1448, 2896),
            ],
        );
        let names: Vec<_> = plot.series.iter().map(|s| (s.name.as_str(), s.points.len())).collect();
        assert_eq!(names, [("acked", 1), ("sent", 2), ("retransmitted", 1), ("lost", 1)]);
        assert_eq!(plot.series[1].points[1], (0.2, 1448.0));
        assert_eq!(plot.series[1].upto, [1448.0, 2896.0]);
        assert_eq!(
            plot.series[2].hover,
            ["retransmitted at 0.500000 s\n1448 to 2896, 1448 bytes\na note"]
        );
        assert_eq!(plot.series[0].hover, ["acked at 0.300000 s\nup to 1448\na note"]);
        assert_eq!(plot.series[3].points, [(0.25, 2172.0)]);
    }

    #[test]
    fn a_distribution_counts_equal_samples_once_and_ends_at_one() {
        assert_eq!(cdf(&[]), []);
        assert_eq!(
            cdf(&[3.0, 1.0, 3.0, f64::NAN, 2.0]),
            [(1.0, 0.0), (1.0, 0.25), (2.0, 0.5), (3.0, 1.0)]
        );
    }

    #[test]
    fn goodput_of_a_steady_flow_is_its_rate() {
        let sums: Vec<_> =
            (0..=1000).map(|n| (f64::from(n) * 0.01, f64::from(n) * 125.0)).collect();
        let plot = goodput(&[("flow", &sums)], 1.0);
        let points = &plot.series[0].points;
        assert_eq!(points.first().map(|point| point.0), Some(0.0));
        assert_eq!(points.last().map(|point| point.0), Some(10.0));
        for (at, bits) in points.iter().filter(|point| point.0 > 1.5) {
            assert!((bits - 100_000.0).abs() <= 1_000.0, "{bits} at {at}");
        }
        assert_eq!(rate(&[], 1.0), []);
        assert_eq!(rate(&sums, 0.0), []);
    }

    #[test]
    fn widely_spread_completion_times_get_a_logarithmic_scale() {
        assert!(!completion_times(&[("a", &[1.0, 29.0])]).x.log);
        assert!(completion_times(&[("a", &[1.0]), ("b", &[31.0])]).x.log);
        assert!(!completion_times(&[("a", &[0.0, 31.0])]).x.log);
        assert!(!completion_times(&[]).x.log);
    }

    #[test]
    fn plots_over_time_zoom_together() {
        let plots = [
            time_sequence("", &[]),
            goodput(&[], 1.0),
            congestion(vec![], vec![]),
            round_trip(vec![], vec![], vec![]),
            queue(&[]),
        ];
        assert!(plots.iter().all(|plot| plot.zooms_with == "time" && plot.x.label == "time (s)"));
    }
}
