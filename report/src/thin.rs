//! What is left out where a series has more points than a browser draws fluently.
//!
//! A line keeps the first, lowest, highest and last point of every stretch, which draws the same
//! picture; single marks are thinned evenly. The page says of every plot what it left out.

use crate::{Page, Series, Style};

/// Points of one series at most. Zooming and pointing stay fluid with this many bars.
pub const SERIES_POINTS_MAX: usize = 20_000;

/// Points of one page at most; more lowers the bound of its longest series. Such a page has
/// some 4 MB and opens in a few seconds.
pub const PAGE_POINTS_MAX: usize = 200_000;

/// How many points of each series this page may show, so that both bounds hold.
pub fn bound(page: &Page) -> usize {
    let lens = || page.plots.iter().flat_map(|plot| &plot.series).map(|s| s.points.len());
    let total = |bound: usize| lens().map(|len| len.min(bound)).sum::<usize>();
    let (mut fits, mut above) = (0, SERIES_POINTS_MAX + 1);
    while fits + 1 < above {
        let middle = fits.midpoint(above);
        if total(middle) <= PAGE_POINTS_MAX {
            fits = middle;
        } else {
            above = middle;
        }
    }
    fits
}

/// Which points of a series to show, ascending: at most `most`, all where they fit.
pub fn keep(series: &Series, most: usize) -> Vec<usize> {
    let len = series.points.len();
    if len <= most {
        return (0..len).collect();
    }
    match series.style {
        Style::Line | Style::Steps | Style::Bound if most >= 4 => extremes(&series.points, most),
        _ => (0..most).map(|n| (n as u128 * len as u128 / most as u128) as usize).collect(),
    }
}

/// The first, lowest, highest and last point of each of `most / 4` stretches.
fn extremes(points: &[(f64, f64)], most: usize) -> Vec<usize> {
    let stretches = most / 4;
    let start = |n: usize| (n as u128 * points.len() as u128 / stretches as u128) as usize;
    let mut kept = Vec::with_capacity(stretches * 4);
    for n in 0..stretches {
        let stretch = start(n)..start(n + 1);
        let by_y = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
        let lowest = stretch.clone().min_by(by_y).expect("longer than its bound");
        let highest = stretch.clone().max_by(by_y).expect("longer than its bound");
        let mut four = [stretch.start, lowest, highest, stretch.end - 1];
        four.sort_unstable();
        for at in four {
            if kept.last() != Some(&at) {
                kept.push(at);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plot;

    fn series(style: Style, len: usize) -> Series {
        let points = (0..len).map(|n| (n as f64, (n % 1000) as f64)).collect();
        Series { style, points, ..Series::default() }
    }

    fn page(lens: &[usize]) -> Page {
        let series = lens.iter().map(|len| series(Style::Line, *len)).collect();
        Page { plots: vec![Plot { series, ..Plot::default() }], ..Page::default() }
    }

    #[test]
    fn short_series_are_whole() {
        let one = series(Style::Points, SERIES_POINTS_MAX);
        assert_eq!(keep(&one, SERIES_POINTS_MAX).len(), SERIES_POINTS_MAX);
        assert_eq!(bound(&page(&[5, SERIES_POINTS_MAX, 7])), SERIES_POINTS_MAX);
    }

    #[test]
    fn a_line_keeps_its_ends_and_its_peak_within_the_bound() {
        let mut one = series(Style::Line, 1_000_003);
        one.points[777_777].1 = 1e9;
        one.points[333_333].1 = -1e9;
        let kept = keep(&one, 20_000);
        assert!(kept.len() <= 20_000 && kept.is_sorted_by(|a, b| a < b));
        for wanted in [0, 333_333, 777_777, 1_000_002] {
            assert!(kept.binary_search(&wanted).is_ok(), "{wanted}");
        }
    }

    #[test]
    fn marks_are_thinned_evenly() {
        let kept = keep(&series(Style::Bars, 100_000), 20_000);
        assert_eq!(kept.len(), 20_000);
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] == 5));
    }

    #[test]
    fn many_series_share_the_bound_of_the_page() {
        let lens = [vec![20_000; 30], vec![10; 100]].concat();
        let page = page(&lens);
        let each = bound(&page);
        assert_eq!(each, (PAGE_POINTS_MAX - 1_000) / 30);
        let series = &page.plots[0].series;
        let shown: usize = series.iter().map(|series| keep(series, each).len()).sum();
        assert!(shown <= PAGE_POINTS_MAX);
    }

    #[test]
    fn a_bound_of_nothing_shows_nothing() {
        for style in [Style::Line, Style::Points] {
            assert!(keep(&series(style, 10), 0).is_empty());
            assert_eq!(keep(&series(style, 10), 3), [0, 3, 6]);
        }
    }
}
