//! The reference of the format, written from the tables that files are checked with.

use crate::keys;
use crate::measure::{HOST, Measure, WAY, WORLD};
use std::fmt::Write;

/// Every key and every measure, as Markdown.
pub fn reference() -> String {
    let mut out = String::from("## Every key\n\n");
    for section in keys::ALL {
        out.push_str(&section.reference());
        out.push('\n');
    }
    out.push_str("## Every measure\n\n");
    let groups: [(&str, &[Measure]); 3] = [
        ("Of the world", WORLD),
        ("Of a host, `HOST.completed`", HOST),
        ("Of one direction of a link, `LINK.forward.lost`", WAY),
    ];
    for (title, measures) in groups {
        let _ = writeln!(out, "### {title}\n\n| measure | what |\n|---|---|");
        for Measure { name, about, .. } in measures {
            let _ = writeln!(out, "| `{name}` | {about} |");
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
