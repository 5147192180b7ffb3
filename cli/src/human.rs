//! Numbers for people, and the way to them.

use std::io::{self, ErrorKind, Write};

/// Writes to stdout. A reader that has seen enough (`simoom content … | head`) is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Bytes with three digits or so: `0 B`, `22.0 KB`, `3.4 MB`. Decimal units, as disks and links
/// are counted.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = 0;
    // 999,950 would be shown as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 file`, `12 files`.
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_the_unit_that_keeps_them_below_a_thousand() {
        for (n, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (22_000, "22.0 KB"),
            (999_949, "999.9 KB"),
            (999_950, "1.0 MB"),
            (3_400_000, "3.4 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(super::bytes(n), shown);
        }
    }
}
