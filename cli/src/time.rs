//! Times on the command line.

use std::str::FromStr;

/// `--around`: a time, or so long after the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// Nanoseconds since 1970, UTC.
    At(u64),
    /// Nanoseconds after the first frame.
    After(u64),
}

impl Around {
    /// In nanoseconds since 1970, where the capture begins at `first`.
    pub(crate) fn at(self, first: u64) -> u64 {
        match self {
            Self::At(at) => at,
            Self::After(nanos) => first.saturating_add(nanos),
        }
    }
}

impl FromStr for Around {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no time: write 2026-03-01T12:00:00Z, 1772366400.5 or +12.5");
        if let Some(after) = text.strip_prefix('+') {
            return decimal(after).map(Self::After).ok_or_else(wrong);
        }
        decimal(text).or_else(|| calendar(text)).map(Self::At).ok_or_else(wrong)
    }
}

/// Seconds with up to nine digits behind the point, in nanoseconds.
fn decimal(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(part)
}

/// `2026-03-01T12:00:00.5Z`, or with a blank in place of T; UTC.
fn calendar(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (minutes, seconds) = time.rsplit_once(':')?;
    let (hour, minute) = minutes.split_once(':')?;
    let (hour, minute): (u64, u64) = (hour.parse().ok()?, minute.parse().ok()?);
    let nanos = decimal(seconds)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |month: u64| match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_date = (1970..=2500).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || nanos >= 61_000_000_000 {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let days = years + (1..month).map(days_of).sum::<u64>() + day - 1;
    (days * 86_400 + hour * 3600 + minute * 60).checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_ways() {
        for (text, wanted) in [
            ("+12.5", Around::After(12_500_000_000)),
            ("1772366400.000000001", Around::At(1_772_366_400_000_000_001)),
            ("2026-03-01T12:00:00Z", Around::At(1_772_366_400_000_000_000)),
            ("2024-02-29 23:59:59.5", Around::At(1_709_251_199_500_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        for text in ["", "+", "noon", "2026-02-29T00:00:00Z", "2026-03-01", "1.0000000001", "-5"] {
            assert!(text.parse::<Around>().is_err(), "{text}");
        }
    }
}
