//! Numbers for people, from integers: the same everywhere.

/// Nanoseconds as milliseconds, with three digits behind the point below ten and one above:
/// `0.012`, `3.204`, `12.3`, `1,234.5`. Rounded half up.
pub(super) fn ms(nanos: u64) -> String {
    if nanos < 9_999_500 {
        let micros = (nanos + 500) / 1000;
        return format!("{}.{:03}", micros / 1000, micros % 1000);
    }
    let tenths = (u128::from(nanos) + 50_000) / 100_000;
    format!("{}.{}", grouped((tenths / 10) as u64), tenths % 10)
}

/// Nanoseconds as seconds: `12.345`.
pub(super) fn seconds(nanos: u64) -> String {
    let millis = (u128::from(nanos) + 500_000) / 1_000_000;
    format!("{}.{:03}", grouped((millis / 1000) as u64), millis % 1000)
}

/// A part of a whole in percent with one digit behind the point: `12.3`; `-` of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::from("-");
    }
    let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes: `999 B`, `1.0 KB`, `3.4 MB`; decimal units.
pub(super) fn bytes(n: u64) -> String {
    scaled(n, &["B", "KB", "MB", "GB", "TB", "PB", "EB"])
}

/// Bits a second: `1.2 Mbit/s`.
pub(super) fn bit_rate(n: u64) -> String {
    scaled(n, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"])
}

fn scaled(n: u64, units: &[&str]) -> String {
    if n < 1000 {
        return format!("{n} {}", units[0]);
    }
    let mut unit = 1;
    let mut size = 1000u128;
    let tenths = |size: u128| (u128::from(n) * 10 + size / 2) / size;
    while tenths(size) >= 10_000 && unit + 1 < units.len() {
        unit += 1;
        size *= 1000;
    }
    format!("{}.{} {}", tenths(size) / 10, tenths(size) % 10, units[unit])
}

/// A time in nanoseconds since 1970 as RFC 3339 has it, UTC, with milliseconds.
pub(super) fn date(unix_nanos: u64) -> String {
    let seconds = unix_nanos / 1_000_000_000;
    let millis = unix_nanos / 1_000_000 % 1000;
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    // Days from 1 March of year 0 in eras of 400 years, 146,097 days each.
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_matter() {
        let shown = [0, 499, 500, 9_999_499, 9_999_500, 12_345_678_901].map(ms);
        assert_eq!(shown, ["0.000", "0.000", "0.001", "9.999", "10.0", "12,345.7"]);
        assert_eq!(ms(u64::MAX), "18,446,744,073,709.6");
        assert_eq!(seconds(12_345_500_000), "12.346");
    }

    #[test]
    fn parts_and_sizes_are_rounded() {
        assert_eq!([percent(1, 3), percent(2, 3), percent(0, 0)], ["33.3", "66.7", "-"]);
        assert_eq!([bytes(999), bytes(999_949), bytes(999_950)], ["999 B", "999.9 KB", "1.0 MB"]);
        assert_eq!(bit_rate(10_000_000_000), "10.0 Gbit/s");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!([grouped(0), grouped(12_345_678)], ["0", "12,345,678"]);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let nanos = |seconds: u64| seconds * 1_000_000_000 + 7_999_999;
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00.007 UTC"),
            (951_782_399, "2000-02-28 23:59:59.007 UTC"),
            (951_782_400, "2000-02-29 00:00:00.007 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59.007 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00.007 UTC"),
        ] {
            assert_eq!(date(nanos(seconds)), shown);
        }
    }
}
