//! Every way in which the logs write a point in time → [`Micros`].
//!
//! One form is on the hot path (`2026-03-01T10:00:00.123Z`) and is read from its bytes without an allocation; the
//! others are rare and are read with more patience. Day and month are never swapped to make a date fit: what cannot be
//! read as written is not a time. .NET ticks are not here, because only one member of one log holds them.

use crate::model::Micros;

/// The first year that is believed. Epoch 0 stands for "not set" in many producers, but it is still a time.
const YEAR_MIN: i64 = 1970;

/// The last year that is believed: later ones are broken counters, and their microseconds would pin the watermark.
const YEAR_MAX: i64 = 2200;

/// A point in time and whether its zone or its form had to be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) time: Micros,
    /// The text has no zone, or its form does not say which number is what.
    pub(crate) guessed: bool,
}

/// Reads a time in any form that real logs use. `None` for everything else.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    if let Some(time) = fast(text.as_bytes()) {
        return Some(Parsed {
            time,
            guessed: false,
        });
    }
    let text = text.trim();
    let numeric = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric {
        return epoch(text);
    }
    iso(text).or_else(|| words(text))
}

/// Date and time of day as written, not yet checked against the calendar.
#[derive(Clone, Copy, Debug)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    clock: Clock,
}

/// Time of day as written.
#[derive(Clone, Copy, Debug)]
struct Clock {
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Civil {
    /// The point in time, if the date exists and the year is believed. `offset` is minutes east of UTC.
    fn at(self, offset: i64) -> Option<Micros> {
        let Clock {
            hour,
            minute,
            second,
            micros,
        } = self.clock;
        let dated = (YEAR_MIN..=YEAR_MAX).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day);
        // A leap second is written as second 60; it becomes the first second of the next minute.
        let timed = hour <= 23 && minute <= 59 && second <= 60;
        if !dated || !timed {
            return None;
        }
        let days = days_from_civil(self.year, self.month, self.day);
        let time = days * Micros::DAY
            + hour * Micros::HOUR
            + (minute - offset) * Micros::MINUTE
            + second * Micros::SECOND
            + micros;
        (time >= 0).then_some(Micros(time))
    }
}

/// Exactly `YYYY-MM-DDTHH:MM:SSZ`, with one to nine fraction digits or none.
fn fast(bytes: &[u8]) -> Option<Micros> {
    let (head, tail) = bytes.split_at_checked(19)?;
    let micros = match tail {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] => fraction(digits)?,
        _ => return None,
    };
    let separated = head[4] == b'-'
        && head[7] == b'-'
        && head[10] == b'T'
        && head[13] == b':'
        && head[16] == b':';
    if !separated {
        return None;
    }
    let civil = Civil {
        year: number(&head[..4])?,
        month: number(&head[5..7])?,
        day: number(&head[8..10])?,
        clock: Clock {
            hour: number(&head[11..13])?,
            minute: number(&head[14..16])?,
            second: number(&head[17..19])?,
            micros,
        },
    };
    civil.at(0)
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size; seconds may have a fraction.
fn epoch(text: &str) -> Option<Parsed> {
    let (whole, rest) = match text.split_once('.') {
        Some((whole, rest)) => (whole, fraction(rest.as_bytes())?),
        None => (text, 0),
    };
    // Shorter numbers are versions, counts or codes that ended up in the wrong member.
    if whole.len() < 9 {
        return None;
    }
    let value: i64 = whole.parse().ok()?;
    let micros = match whole.len() {
        9..=11 => value * Micros::SECOND + rest,
        12..=14 => value * 1_000,
        15..=17 => value,
        _ => value / 1_000,
    };
    let end = days_from_civil(YEAR_MAX + 1, 1, 1) * Micros::DAY;
    (micros < end).then_some(Parsed {
        time: Micros(micros),
        guessed: true,
    })
}

/// `YYYY-MM-DD`, then a clock after `T` or a space, with or without a zone. White space inside the clock is dropped:
/// a template engine in front of one public producer puts it there (`07: 45: 44.58Z`).
fn iso(text: &str) -> Option<Parsed> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = date.as_bytes();
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let rest: String = rest.chars().filter(|c| !c.is_whitespace()).collect();
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(&rest);
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ','))
        .unwrap_or(rest.len());
    let (clock_text, zone) = rest.split_at(end);
    let civil = Civil {
        year: number(&date[..4])?,
        month: number(&date[5..7])?,
        day: number(&date[8..10])?,
        clock: clock(clock_text)?,
    };
    let guessed = zone.is_empty();
    let offset = if guessed { 0 } else { zone_minutes(zone)? };
    Some(Parsed {
        time: civil.at(offset)?,
        guessed,
    })
}

/// The two forms that put words or slashes first: `Jul 10, 2023, 12:09:47 PM`, which AWS writes in UTC, and
/// `7/10/2023 12:09:47 PM +02:00`, which .NET writes for the United States.
fn words(text: &str) -> Option<Parsed> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        [date, rest @ ..] if date.contains('/') => {
            let mut parts = date.split('/');
            let month = number(parts.next()?.as_bytes())?;
            let day = number(parts.next()?.as_bytes())?;
            let year = parts.next().filter(|year| year.len() == 4)?;
            let year = number(year.as_bytes())?;
            if parts.next().is_some() {
                return None;
            }
            let time = worded(year, month, day, rest)?;
            // 3/4 is the fourth of March here, but a producer set to another country would mean the third of April.
            Some(Parsed {
                time,
                guessed: true,
            })
        }
        [month, day, year, rest @ ..] if year.len() == 4 => {
            let month = month_number(month)?;
            let day = number(day.as_bytes())?;
            let year = number(year.as_bytes())?;
            let time = worded(year, month, day, rest)?;
            Some(Parsed {
                time,
                guessed: false,
            })
        }
        _ => None,
    }
}

/// A date and the words after it: a clock, perhaps a half of the day, perhaps a zone. Without a zone it is UTC.
fn worded(year: i64, month: i64, day: i64, rest: &[&str]) -> Option<Micros> {
    let (clock_text, rest) = rest.split_first()?;
    let mut clock = clock(clock_text)?;
    let half = rest
        .first()
        .filter(|word| word.eq_ignore_ascii_case("AM") || word.eq_ignore_ascii_case("PM"));
    let rest = match half {
        Some(half) => {
            if !(1..=12).contains(&clock.hour) {
                return None;
            }
            let afternoon = half.eq_ignore_ascii_case("PM");
            clock.hour = clock.hour % 12 + if afternoon { 12 } else { 0 };
            &rest[1..]
        }
        None => rest,
    };
    let offset = match rest {
        [] => 0,
        [zone] => zone_minutes(zone)?,
        _ => return None,
    };
    let civil = Civil {
        year,
        month,
        day,
        clock,
    };
    civil.at(offset)
}

/// `H:MM`, `H:MM:SS` or `H:MM:SS.f`. The fraction may follow a comma, as ISO 8601 allows.
fn clock(text: &str) -> Option<Clock> {
    let mut parts = text.split(':');
    let hour = number(parts.next()?.as_bytes())?;
    let minute = number(parts.next()?.as_bytes())?;
    let seconds = parts.next().unwrap_or("0");
    if parts.next().is_some() {
        return None;
    }
    let (second, micros) = match seconds.split_once(['.', ',']) {
        Some((second, digits)) => (second, fraction(digits.as_bytes())?),
        None => (seconds, 0),
    };
    Some(Clock {
        hour,
        minute,
        second: number(second.as_bytes())?,
        micros,
    })
}

/// Minutes east of UTC: `Z`, `UTC`, `GMT`, `+02:00`, `-0530`, `+02`.
fn zone_minutes(text: &str) -> Option<i64> {
    if ["Z", "UTC", "GMT"]
        .iter()
        .any(|zone| text.eq_ignore_ascii_case(zone))
    {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replacen(':', "", 1);
    let digits = digits.as_bytes();
    let (hours, minutes) = match digits.len() {
        2 => (number(digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn month_number(name: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let short = name.get(..3)?;
    let index = MONTHS
        .iter()
        .position(|month| short.eq_ignore_ascii_case(month))?;
    i64::try_from(index + 1).ok()
}

/// One to nine fraction digits, cut to microseconds: rounding up could move a time into the next second.
fn fraction(digits: &[u8]) -> Option<i64> {
    let readable = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    readable.then(|| {
        (0..6_usize).fold(0, |micros, place| {
            let digit = digits.get(place).map_or(0, |byte| i64::from(byte - b'0'));
            micros * 10 + digit
        })
    })
}

/// One to four decimal digits.
fn number(digits: &[u8]) -> Option<i64> {
    let readable = (1..=4).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    readable.then(|| {
        digits
            .iter()
            .fold(0, |value, byte| value * 10 + i64::from(byte - b'0'))
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March, so that the leap day is its last
/// (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is RFC 3339 in UTC, with `?` behind it where the time is guessed, or empty for "not a time".
    fn check(text: &str, expected: &str) {
        let read = parse(text).map_or(String::new(), |parsed| {
            format!("{}{}", parsed.time, if parsed.guessed { "?" } else { "" })
        });
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn every_form_that_logs_use_is_read() {
        check("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z");
        check(
            "2026-03-01T10:00:00.1234567Z",
            "2026-03-01T10:00:00.123456Z",
        );
        check("2026-03-01T10:00:00.5+00:00", "2026-03-01T10:00:00.500Z");
        check("2026-03-01T00:30:00+05:30", "2026-02-28T19:00:00Z");
        check("2026-03-01T10:00:00-0130", "2026-03-01T11:30:00Z");
        check("2026-03-01 10:00:00.000000000", "2026-03-01T10:00:00Z?");
        check("2026-03-01 10:00:00 UTC", "2026-03-01T10:00:00Z");
        check("2026-03-01T10: 00: 05.25Z", "2026-03-01T10:00:05.250Z");
        check("3/1/2026 1:02:03 PM", "2026-03-01T13:02:03Z?");
        check("3/1/2026 12:02:03 AM +01:00", "2026-02-28T23:02:03Z?");
        check("12/31/2026 23:59:59", "2026-12-31T23:59:59Z?");
        check("Mar 1, 2026, 12:09:47 PM", "2026-03-01T12:09:47Z");
        check("Mar 1, 2026 12:56:03 AM", "2026-03-01T00:56:03Z");
        check("Mar 1, 2026, 4:10:11\u{202f}PM", "2026-03-01T16:10:11Z");
        check("1772359200", "2026-03-01T10:00:00Z?");
        check("1772359200.25", "2026-03-01T10:00:00.250Z?");
        check("1772359200250", "2026-03-01T10:00:00.250Z?");
        check("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_not_a_time_is_not_made_one() {
        for text in [
            "",
            "null",
            "2026-03-01",
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T10:00:00.Z",
            "2026-03-01T10:00:00.1234567890Z",
            "2026-03-01:21:02.338Z",
            "1969-12-31T23:59:59Z",
            "2201-01-01T00:00:00Z",
            "31/3/2026 10:00:00 AM",
            "3/1/26 10:00:00 AM",
            "3/1/2026 13:00:00 PM",
            "Foo 1, 2026, 1:00:00 PM",
            "42",
            "99999999999999999999",
        ] {
            check(text, "");
        }
    }

    #[test]
    fn the_fast_path_is_chrono() {
        // A step of a day and a bit meets every date of 230 years at a different time of day.
        let end = days_from_civil(YEAR_MAX + 1, 1, 1) * 86_400;
        let mut seconds = 0;
        let mut nanos = 0;
        let mut read = 0;
        while seconds < end {
            let time = chrono::DateTime::from_timestamp(seconds, nanos).unwrap();
            let digits = usize::try_from(seconds % 10).unwrap();
            let text = if digits == 0 {
                time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
            } else {
                let fraction = format!("{nanos:09}");
                format!(
                    "{}.{}Z",
                    time.format("%Y-%m-%dT%H:%M:%S"),
                    &fraction[..digits]
                )
            };
            let expected = chrono::DateTime::parse_from_rfc3339(&text)
                .unwrap()
                .timestamp_micros();
            assert_eq!(fast(text.as_bytes()), Some(Micros(expected)), "{text}");
            seconds += 86_401;
            nanos = (nanos + 123_456_789) % 1_000_000_000;
            read += 1;
        }
        assert!(read > 84_000);
    }
}
