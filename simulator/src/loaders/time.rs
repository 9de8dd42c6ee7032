//! Times in files: numbers since 1970 in one unit for the whole file, or dates of ISO 8601.

use sordino_client::event::Timestamp;

/// What a file's times are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds since 1970, whole or broken.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Dates of ISO 8601; in UTC where no zone is written.
    Iso,
}

impl Unit {
    /// The unit that most of these fields are in, judged by the size of the one in the middle;
    /// seconds where there is none to judge by.
    pub(super) fn of<'f>(fields: impl Iterator<Item = &'f str>) -> Self {
        let (mut numbers, mut dates) = (Vec::new(), 0);
        for field in fields {
            match field.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => numbers.push(number),
                _ => dates += usize::from(iso(field).is_some()),
            }
        }
        if dates > numbers.len() {
            return Self::Iso;
        }
        let middle = numbers.len() / 2;
        if numbers.is_empty() {
            return Self::Seconds;
        }
        let (_, &mut size, _) = numbers.select_nth_unstable_by(middle, f64::total_cmp);
        match size {
            s if s < MOST_SECONDS => Self::Seconds,
            s if s < MOST_SECONDS * 1e3 => Self::Milliseconds,
            s if s < MOST_SECONDS * 1e6 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    /// A field as a time; `None` where it is none in this unit.
    pub(super) fn read(self, field: &str) -> Option<Timestamp> {
        if self == Self::Iso {
            return iso(field).map(Timestamp);
        }
        if let Ok(number) = field.parse::<i64>() {
            return Some(Timestamp(match self {
                Self::Seconds => number.saturating_mul(1000),
                Self::Milliseconds | Self::Iso => number,
                Self::Microseconds => number / 1000,
                Self::Nanoseconds => number / 1_000_000,
            }));
        }
        let number: f64 = field.parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(Timestamp(match self {
            Self::Seconds => number * 1000.0,
            Self::Milliseconds | Self::Iso => number,
            Self::Microseconds => number / 1e3,
            Self::Nanoseconds => number / 1e6,
        } as i64))
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds since 1970",
            Self::Milliseconds => "milliseconds since 1970",
            Self::Microseconds => "microseconds since 1970",
            Self::Nanoseconds => "nanoseconds since 1970",
            Self::Iso => "dates (ISO 8601; UTC where no zone is written)",
        }
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar (Hinnant 2013).
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Milliseconds since 1970 of `2024-01-31`, `2024-01-31T10:00:00.5Z`, `2024-01-31 10:00+01:00`.
fn iso(field: &str) -> Option<i64> {
    let field = field.trim();
    let (date, rest) = field.split_at_checked(10)?;
    let mut parts = date.split('-');
    let mut next = |length: usize| parts.next().filter(|part| part.len() == length).and_then(whole);
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * DAY_MS;
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    Some(midnight + clock_ms(clock)? - zone_ms(zone.trim())?)
}

// `10:00`, `10:00:30`, `10:00:30.25`.
fn clock_ms(clock: &str) -> Option<i64> {
    let (whole_part, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole_part.split(':');
    let mut next = |most: i64| parts.next().filter(|p| p.len() == 2).and_then(whole).filter(|&n| n <= most);
    let (hour, minute) = (next(23)?, next(59)?);
    let is_long = whole_part.len() > 5;
    // A leap second is the second after it.
    let second = if is_long { next(60)? } else { 0 };
    if parts.next().is_some() || (!fraction.is_empty() && !is_long) || clock.ends_with('.') {
        return None;
    }
    let thousandths = fraction.bytes().chain(*b"000").take(3);
    let ms = thousandths.fold(0, |ms, digit| ms * 10 + i64::from(digit.saturating_sub(b'0')));
    fraction.bytes().all(|b| b.is_ascii_digit()).then_some(((hour * 60 + minute) * 60 + second) * 1000 + ms)
}

// What is ahead of UTC: `Z`, `UTC`, `+01:00`, `-0330`, `+01`.
fn zone_ms(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") || zone.eq_ignore_ascii_case("utc") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|&c| c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (whole(&digits)?, 0),
        4 => (whole(digits.get(..2)?)?, whole(digits.get(2..)?)?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn whole(digits: &str) -> Option<i64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DAY_MS: i64 = 86_400_000;
// Seconds until the year 5138; as milliseconds, 1973. Larger ones are of a smaller unit.
const MOST_SECONDS: f64 = 1e11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
        assert_eq!(days_from_civil(1956, 1, 1), -5114);
    }

    #[test]
    fn dates_are_read_or_refused() {
        for (field, ms) in [
            ("1970-01-01", 0),
            ("1970-01-02T00:00", DAY_MS),
            ("2024-02-29T10:01:02Z", 1_709_200_862_000),
            ("2024-02-29 10:01:02.25 UTC", 1_709_200_862_250),
            ("2024-02-29T11:01:02.1234567+01:00", 1_709_200_862_123),
            ("2024-02-29T06:31:02-0330", 1_709_200_862_000),
        ] {
            assert_eq!(iso(field), Some(ms), "{field}");
        }
        for field in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "24-01-01",
            "2024-01-01T",
            "2024-01-01T25:00",
            "2024-01-01T10",
            "2024-01-01T10:00.5",
            "2024-01-01T10:00:00.",
            "2024-01-01T10:00:00 CET",
            "2024-01-01T10:00+1",
            "2024-1-1",
            "2024-01-0é",
            "1704067200",
            "",
            "2024-01-01T10:00:00.5.5",
        ] {
            assert_eq!(iso(field), None, "{field}");
        }
    }

    #[test]
    fn a_file_has_one_unit_and_strays_do_not_choose_it() {
        let unit = |fields: &[&str]| Unit::of(fields.iter().copied());
        assert_eq!(unit(&["1704067200", "1704067300.5", "4102444800"]), Unit::Seconds);
        assert_eq!(unit(&["0", "1000", "2000"]), Unit::Seconds);
        assert_eq!(unit(&["1704067200000", "0", "1704067300000"]), Unit::Milliseconds);
        assert_eq!(unit(&["1704067200000000"; 3]), Unit::Microseconds);
        assert_eq!(unit(&["1704067200000000000"; 3]), Unit::Nanoseconds);
        assert_eq!(unit(&["2024-01-01", "x", "2024-01-02"]), Unit::Iso);
        assert_eq!(unit(&[]), Unit::Seconds);
        let same = Some(Timestamp(1_704_067_200_000));
        assert_eq!(Unit::Seconds.read("1704067200"), same);
        assert_eq!(Unit::Milliseconds.read("1704067200000"), same);
        assert_eq!(Unit::Microseconds.read("1704067200000000"), same);
        assert_eq!(Unit::Nanoseconds.read("1704067200000000000"), same);
        assert_eq!(Unit::Seconds.read("1704067200.5"), Some(Timestamp(1_704_067_200_500)));
        assert_eq!(Unit::Seconds.read("soon"), None);
        assert_eq!(Unit::Seconds.read("NaN"), None);
    }
}
