//! Dates: rendering IMF-fixdate, reading the three formats of RFC 9110 §5.6.7.

/// Bytes of an IMF-fixdate.
pub const DATE_LEN: usize = 29;

const DAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const LONG_DAYS: [&[u8]; 7] =
    [b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const SECONDS_A_DAY: u64 = 86_400;
/// 9999-12-31 23:59:59: the last second that four digits of a year can name.
const LAST_SECOND: u64 = 253_402_300_799;

/// A date as it stands in a field: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImfFixdate(pub [u8; DATE_LEN]);

impl ImfFixdate {
    /// The date of `unix` seconds since 1970; seconds beyond the year 9999 show its last.
    pub fn from_unix(unix: u64) -> Self {
        let unix = unix.min(LAST_SECOND);
        let (days, second) = (unix / SECONDS_A_DAY, unix % SECONDS_A_DAY);
        let (year, month, day) = civil_from_days(days);
        let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        // 1970 began on a Thursday, day 4 of a week that begins on Sunday.
        out[..3].copy_from_slice(DAYS[((days + 4) % 7) as usize]);
        out[5..7].copy_from_slice(&two_digits(day));
        out[8..11].copy_from_slice(MONTHS[(month - 1) as usize]);
        out[12..14].copy_from_slice(&two_digits(year / 100));
        out[14..16].copy_from_slice(&two_digits(year % 100));
        out[17..19].copy_from_slice(&two_digits((second / 3600) as u32));
        out[20..22].copy_from_slice(&two_digits((second / 60 % 60) as u32));
        out[23..25].copy_from_slice(&two_digits((second % 60) as u32));
        Self(out)
    }
}

/// Reads a date in any of the three formats, as seconds since 1970 (negative before). `now` is the
/// present in the same count: RFC 9110 §5.6.7 takes a two-digit year that seems more than 50 years
/// ahead for the last past one. None where it is no date; day names are not held against the day.
pub fn parse(bytes: &[u8], now: u64) -> Option<i64> {
    let comma = bytes.iter().position(|b| *b == b',');
    match comma {
        Some(3) => parse_imf_fixdate(bytes),
        Some(n) => parse_rfc850(bytes.get(..n)?, bytes.get(n + 1..)?, now),
        None => parse_asctime(bytes),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn parse_imf_fixdate(b: &[u8]) -> Option<i64> {
    let b: &[u8; DATE_LEN] = b.try_into().ok()?;
    day_name(&b[..3])?;
    let shape = b[3..5] == *b", " && b[7] == b' ' && b[11] == b' ' && b[16] == b' ';
    if !shape || b[25..] != *b" GMT" {
        return None;
    }
    seconds(number(&b[12..16])?, month(&b[8..11])?, number(&b[5..7])?, &b[17..25])
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`, split at the comma.
fn parse_rfc850(day: &[u8], rest: &[u8], now: u64) -> Option<i64> {
    if !LONG_DAYS.contains(&day) {
        return None;
    }
    let b: &[u8; 23] = rest.try_into().ok()?;
    if b[0] != b' ' || b[3] != b'-' || b[7] != b'-' || b[10] != b' ' || b[19..] != *b" GMT" {
        return None;
    }
    let (this_year, _, _) = civil_from_days(now.min(LAST_SECOND) / SECONDS_A_DAY);
    let two = number(&b[8..10])?;
    let mut year = this_year - this_year % 100 + two;
    if year > this_year + 50 {
        year -= 100;
    } else if year + 50 <= this_year {
        year += 100;
    }
    seconds(year, month(&b[4..7])?, number(&b[1..3])?, &b[11..19])
}

/// `Sun Nov  6 08:49:37 1994`
fn parse_asctime(b: &[u8]) -> Option<i64> {
    let b: &[u8; 24] = b.try_into().ok()?;
    day_name(&b[..3])?;
    if b[3] != b' ' || b[7] != b' ' || b[10] != b' ' || b[19] != b' ' {
        return None;
    }
    let day = if b[8] == b' ' { number(&b[9..10])? } else { number(&b[8..10])? };
    seconds(number(&b[20..])?, month(&b[4..7])?, day, &b[11..19])
}

/// Seconds since 1970 of a day and a time `08:49:37`; a leap second counts into the next minute.
fn seconds(year: u32, month: u32, day: u32, time: &[u8]) -> Option<i64> {
    let t: &[u8; 8] = time.try_into().ok()?;
    let (h, m, s) = (number(&t[..2])?, number(&t[3..5])?, number(&t[6..])?);
    if t[2] != b':' || t[5] != b':' || h > 23 || m > 59 || s > 60 {
        return None;
    }
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some(days * SECONDS_A_DAY as i64 + i64::from(h * 3600 + m * 60 + s))
}

fn two_digits(n: u32) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))
}

fn day_name(name: &[u8]) -> Option<()> {
    DAYS.iter().any(|d| d[..] == *name).then_some(())
}

/// 1 to 12.
fn month(name: &[u8]) -> Option<u32> {
    MONTHS.iter().position(|m| m[..] == *name).map(|n| n as u32 + 1)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar. Counts years from March, so
/// that the leap day is a year's last and the months before it have constant lengths.
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    let y = i64::from(year) - i64::from(month <= 2);
    let months_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * months_from_march + 2) / 5 + i64::from(day) - 1;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + day_of_year - 719_468
}

/// Year, month and day of a day counted from 1970-01-01: the inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u32, u32, u32) {
    let n = days + 719_468;
    let (era, day_of_era) = (n / 146_097, n % 146_097);
    // Every fourth year has a day more, every hundredth not, the last day of an era is extra.
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_from_march + 2) / 5 + 1;
    let month = if months_from_march < 10 { months_from_march + 3 } else { months_from_march - 9 };
    ((era * 400 + year_of_era + u64::from(month <= 2)) as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    /// 2026-01-01.
    const NOW: u64 = 1_767_225_600;

    /// The obvious twin: walks from 1970, a year, then a month at a time.
    fn render_slowly(unix: u64) -> String {
        let (mut days, second) = (unix / 86_400, unix % 86_400);
        let weekday = DAYS[((days + 4) % 7) as usize];
        let (mut year, mut month) = (1970, 1);
        loop {
            let len = if days_in_month(year, 2) == 29 { 366 } else { 365 };
            if days < len {
                break;
            }
            days -= len;
            year += 1;
        }
        while days >= u64::from(days_in_month(year, month)) {
            days -= u64::from(days_in_month(year, month));
            month += 1;
        }
        std::format!(
            "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
            String::from_utf8_lossy(weekday),
            days + 1,
            String::from_utf8_lossy(MONTHS[month as usize - 1]),
            year,
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }

    #[test]
    fn three_formats_of_the_rfc_name_one_second() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), Some(784_111_777), "{text}");
        }
        assert_eq!(&ImfFixdate::from_unix(784_111_777).0, b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn two_digit_years_are_at_most_fifty_ahead() {
        let year = |two: &str| {
            let text = std::format!("Monday, 01-Jan-{two} 00:00:00 GMT");
            civil_from_days((parse(text.as_bytes(), NOW).unwrap() / 86_400) as u64).0
        };
        assert_eq!((year("26"), year("76"), year("77"), year("99")), (2026, 2076, 1977, 1999));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "784111777",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    #[test]
    fn leap_days_and_leap_seconds() {
        assert!(parse(b"Tue, 29 Feb 2000 00:00:00 GMT", NOW).is_some());
        let last = parse(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW);
        assert_eq!(last, parse(b"Sun, 01 Jan 2017 00:00:00 GMT", NOW));
    }

    #[test]
    fn before_1970_is_negative_and_after_9999_stands_still() {
        assert_eq!(parse(b"Wed, 31 Dec 1969 23:59:59 GMT", NOW), Some(-1));
        assert_eq!(ImfFixdate::from_unix(u64::MAX), ImfFixdate::from_unix(LAST_SECOND));
        assert_eq!(&ImfFixdate::from_unix(LAST_SECOND).0[5..], b"31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_the_slow_twin() {
        let mut day = 0;
        while day < 146_097 {
            let unix = day * 86_400 + day % 86_400;
            assert_eq!(ImfFixdate::from_unix(unix).0[..], *render_slowly(unix).as_bytes());
            day += 13;
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_rendering(unix in 0..=LAST_SECOND) {
            let date = ImfFixdate::from_unix(unix);
            let slowly = render_slowly(unix);
            prop_assert_eq!(&date.0[..], slowly.as_bytes());
            prop_assert_eq!(parse(&date.0, NOW), Some(unix as i64));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes: [u8; 32], len in 0usize..=32, now: u64) {
            let _ = parse(&bytes[..len], now);
        }
    }
}
