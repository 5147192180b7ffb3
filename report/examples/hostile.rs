//! Writes a page all of whose texts try to be something else, to the file named by the only
//! argument. `check/check.mjs` finds them shown as they are: nothing runs, nothing is asked for.

use simoom_report::{Axis, Page, Plot, Series, Style, Table, write};
use std::io::BufWriter;
use std::{env, fs};

const EVIL: &str = "<b>%{x}</b><img src=x onerror=alert(1)>";
const WORSE: &str = "</script><script>alert(2)</script><!-- $\\alpha$ &lt; &amp;lt;";
const LINK: &str = "<a href='javascript:alert(3)'>\"here\"</a><style>*{display:none}</style>";

fn main() -> std::io::Result<()> {
    let path = env::args_os().nth(1).expect("usage: hostile OUT.html");
    write(&page(), BufWriter::new(fs::File::create(path)?))
}

fn page() -> Page {
    let series = |name: &str, style, y: f64| Series {
        name: name.into(),
        style,
        points: vec![(1.0, y), (2.0, y + 1.0), (3.0, y + 2.0)],
        upto: if style == Style::Bars { vec![y + 0.5; 3] } else { Vec::new() },
        hover: vec![format!("{EVIL}\n{LINK}"); 3],
        ..Series::default()
    };
    let plot = Plot {
        title: EVIL.into(),
        note: WORSE.into(),
        x: Axis { label: LINK[..30].into(), ..Axis::default() },
        y: Axis { label: EVIL[..20].into(), ..Axis::default() },
        zooms_with: EVIL.into(),
        series: vec![
            series("<i>%{y}</i>", Style::Bars, 1.0),
            series("&lt;&amp;", Style::Line, 2.0),
        ],
    };
    Page {
        title: WORSE.into(),
        subtitle: LINK.into(),
        facts: vec![(EVIL.into(), WORSE.into())],
        tables: vec![Table {
            title: LINK.into(),
            columns: vec![EVIL.into(), WORSE.into()],
            rows: vec![vec![LINK.into(), EVIL.into()]],
        }],
        plots: vec![plot],
    }
}
