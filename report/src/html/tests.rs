use super::*;
use crate::{Axis, plots};

fn page() -> Page {
    let table = Table {
        title: "Runs".into(),
        columns: ["name", "seconds", "address"].map(String::from).into(),
        rows: vec![
            ["first", "1.5 s", "10.66.0.1"].map(String::from).into(),
            ["second", "-", "10.66.0.2"].map(String::from).into(),
        ],
    };
    Page {
        title: "A title".into(),
        subtitle: "A subtitle".into(),
        facts: vec![("Seed".into(), "v1:7".into())],
        tables: vec![table],
        plots: vec![plots::completion_times(&[("small", &[0.25, 0.5])])],
    }
}

/// What stands between two marks.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = html.split_once(from).expect(from);
    rest.split_once(to).expect(to).0
}

fn data(html: &str) -> serde_json::Value {
    let packed = STANDARD.decode(between(html, "id=\"data\">", "</script>")).expect("base64");
    serde_json::from_reader(flate2::read::GzDecoder::new(&packed[..])).expect("JSON")
}

#[test]
fn a_page_holds_what_it_was_given() {
    let html = render(&page());
    assert!(html.starts_with("<!doctype html>"));
    assert!(html.contains("<title>A title</title>"));
    assert!(html.contains("<p>A subtitle</p>"));
    assert!(html.contains("<dt>Seed</dt><dd>v1:7</dd>"));
    assert!(html.contains("<th scope=\"col\">name</th><th scope=\"col\" class=\"number\">seconds"));
    assert!(html.contains("<td>10.66.0.2</td>"), "an address is no number");
    let data = data(&html);
    assert_eq!(data[0]["series"][0]["name"], "small (2 samples)");
    assert_eq!(data[0]["series"][0]["x"], serde_json::json!([0.25, 0.25, 0.5]));
    assert_eq!(data[0]["series"][0]["y"], serde_json::json!([0.0, 0.5, 1.0]));
}

#[test]
fn the_same_page_gives_the_same_bytes() {
    assert_eq!(render(&page()), render(&page()));
}

#[test]
fn no_text_becomes_markup() {
    let evil = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\"'&amp;\0";
    let text = || String::from(evil);
    let series =
        Series { name: text(), points: vec![(0.0, 1.0)], hover: vec![text()], ..Series::default() };
    let plot = Plot {
        title: text(),
        note: text(),
        zooms_with: text(),
        x: Axis { label: text(), ..Axis::default() },
        y: Axis { label: text(), ..Axis::default() },
        series: vec![series],
    };
    let table = Table { title: text(), columns: vec![text()], rows: vec![vec![text()]] };
    let html = render(&Page {
        title: text(),
        subtitle: text(),
        facts: vec![(text(), text())],
        tables: vec![table],
        plots: vec![plot],
    });
    assert!(!html.contains("<script>alert"));
    assert!(!html.contains("<img"));
    assert!(!html.contains("<!--"));
    // The data, the library, the page's own.
    assert_eq!(html.matches("<script").count(), 3);
    assert_eq!(html.matches("</script").count(), 3);
    let safe = "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!--&lt;img src=x \
                onerror=alert(2)&gt;&#34;&#39;&amp;amp;\u{fffd}";
    assert!(html.contains(&format!("<title>{safe}</title>")));
    assert!(html.contains(&format!("aria-label=\"{safe}\"")));
    let data = data(&html);
    assert_eq!(data[0]["series"][0]["hover"][0], safe, "the library reads tags and entities");
    assert_eq!(data[0]["zooms_with"], evil, "a name that is only compared stays as it is");
}

#[test]
fn a_page_asks_the_network_for_nothing() {
    let html = render(&page());
    assert!(html.contains("content=\"default-src 'none'; script-src 'sha256-"));
    for wanting in ["src=", "href=", "url(", "@import", "http://", "https://"] {
        let own = html.replace(LIBRARY, "");
        assert!(!own.contains(wanting), "{wanting}");
    }
}

#[test]
fn a_page_without_plots_carries_no_library() {
    let html = render(&Page { plots: Vec::new(), ..page() });
    assert!(html.len() < 10_000 && !html.contains("<script"), "{} bytes", html.len());
    let with = render(&page());
    assert!((1_000_000..2_500_000).contains(&with.len()), "{} bytes", with.len());
}

#[test]
fn what_is_not_drawn_is_said() {
    let points = (0..100_000).map(|n| (f64::from(n), 0.0)).collect::<Vec<_>>();
    let style = Style::Bars;
    let upto = vec![1.0; points.len()];
    let series = Series { name: "sent <b>".into(), style, points, upto, ..Series::default() };
    let plot = Plot { series: vec![series], ..Plot::default() };
    let html = render(&Page { plots: vec![plot], ..Page::default() });
    assert!(html.contains("sent &lt;b&gt;: 20000 of 100000 points are drawn."));
    let data = data(&html);
    for column in ["x", "y", "upto"] {
        assert_eq!(data[0]["series"][0][column].as_array().map(Vec::len), Some(20_000));
    }
    assert!(!render(&page()).contains("points are drawn"));
}

#[test]
fn what_is_not_finite_is_a_gap() {
    let points = vec![(0.0, f64::INFINITY), (1.0, f64::NAN), (2.0, 3.0)];
    let series = Series { points, ..Series::default() };
    let html = render(&Page {
        plots: vec![Plot { series: vec![series], ..Plot::default() }],
        ..Page::default()
    });
    assert_eq!(data(&html)[0]["series"][0]["y"], serde_json::json!([null, null, 3.0]));
}

#[test]
fn cells_that_look_like_numbers() {
    for number in ["1", "-1,234.5", "98.2 %", "12 ms", "1.5 Mbit/s", "", "-", "—", "≤ 3", "10 MB"]
    {
        assert!(is_number(number), "{number:?}");
    }
    for text in ["first", "10.66.0.1", "v1:7", "12:30", "3 of 10 runs", "2a02::1", ".", "1e5x7"] {
        assert!(!is_number(text), "{text:?}");
    }
}

#[test]
#[should_panic(expected = "a row has a cell for each column")]
fn a_row_too_short_is_refused() {
    let mut page = page();
    page.tables[0].rows[1].pop();
    render(&page);
}

#[test]
#[should_panic(expected = "every bar has an end, and only bars")]
fn a_bar_without_an_end_is_refused() {
    let mut page = page();
    page.plots[0].series[0].style = Style::Bars;
    render(&page);
}

#[test]
#[should_panic(expected = "1 texts for 3 points")]
fn texts_for_some_points_are_refused() {
    let mut page = page();
    page.plots[0].series[0].hover.push(String::new());
    render(&page);
}
