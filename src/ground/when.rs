//! Time as people write and read it: `2026-11-24`, `2026-11-24 14:30`, `2h` ago; `in 4 min`.
//!
//! Owns these forms. Must not know any clock. Decision: all of it is UTC, as in the log and in tokens, so that one line
//! means the same on every machine; and what a text names is a span, because a day is one.

use super::time::{UnixTime, days_from_civil, seconds};
use std::fmt;

/// What [`Span::parse`] takes, for messages.
pub const FORMS: &str = "expected a day or a time in UTC such as 2026-11-24 or \"2026-11-24 14:30\", or an age such as 90m, 12h or 7d";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The seconds that a text names, the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first second.
    pub from: UnixTime,
    /// The last second.
    pub until: UnixTime,
}

impl Span {
    /// Reads a day, a minute or a second in UTC, or an age, counted back from `now`.
    pub fn parse(text: &str, now: UnixTime) -> Option<Self> {
        let (start, length) = match age(text) {
            Some(seconds) => (now.0.checked_sub(seconds)?, 1),
            None => point(text)?,
        };
        Some(Self { from: UnixTime(start), until: UnixTime(start + length - 1) })
    }
}

/// A whole number of at most nine digits and a unit.
fn age(text: &str) -> Option<i64> {
    let has_unit = !text.ends_with(|last: char| last.is_ascii_digit());
    seconds(text).filter(|_| has_unit && text.len() <= 10)?.try_into().ok()
}

/// `YYYY-MM-DD`, perhaps with `HH:MM` or `HH:MM:SS` behind a `T` or a space and `Z` at the end: its first second, and
/// how many there are.
fn point(text: &str) -> Option<(i64, i64)> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time.strip_suffix('Z').unwrap_or(time))),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let first = days_from_civil(year, month, day);
    let is_day = (1..=12).contains(&month) && day >= 1 && super::time::civil(first) == (year, month, day);
    let first = is_day.then_some(first * DAY)?;
    let Some(time) = time else { return Some((first, DAY)) };
    let with_seconds = time.matches(':').count() == 2;
    let [hour, minute, second] = if with_seconds {
        numbers(time, ':', [2, 2, 2])?
    } else {
        numbers(&format!("{time}:00"), ':', [2, 2, 2])?
    };
    let is_time = hour < 24 && minute < 60 && second < 60;
    let start = first + hour * HOUR + minute * MINUTE + second;
    is_time.then_some((start, if with_seconds { 1 } else { MINUTE }))
}

/// Three numbers of so many digits each.
fn numbers(text: &str, mark: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let parts: Vec<i64> =
        text.split(mark).zip(digits).map_while(|(part, digits)| number(part, digits)).collect();
    (text.split(mark).count() == 3).then(|| parts.try_into().ok()).flatten()
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A time as people read it: `2026-11-24 14:30:05`, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable(pub UnixTime);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.to_string().replace('T', " ").trim_end_matches('Z'))
    }
}

/// How far away a time is, in one unit: `in 4 min`, `3 days ago`, `now`.
pub fn distance(time: UnixTime, now: UnixTime) -> String {
    let seconds = time.0.saturating_sub(now.0);
    let length = duration(seconds.unsigned_abs());
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {length}"),
        _ => format!("{length} ago"),
    }
}

/// A length of time in the unit that a person would use.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_a_minute_a_second_or_an_age() {
        let now = UnixTime(1_000_000);
        for (text, from, seconds) in [
            ("1970-01-01", 0, DAY),
            ("2000-02-29", 951_782_400, DAY),
            ("2000-02-29 00:01", 951_782_460, 60),
            ("2000-02-29T23:59:59Z", 951_868_799, 1),
            ("2000-02-29T23:59Z", 951_868_740, 60),
            ("90s", 999_910, 1),
            ("10m", 999_400, 1),
            ("2h", 992_800, 1),
            ("1d", 913_600, 1),
        ] {
            let span = Span { from: UnixTime(from), until: UnixTime(from + seconds - 1) };
            assert_eq!(Span::parse(text, now), Some(span), "{text}");
        }
        for text in [
            "",
            "x",
            "d",
            "-1d",
            "1w",
            "1.5h",
            "\u{e9}d",
            "2001-02-29",
            "2000-13-01",
            "2000-00-01",
            "2000-01-00",
            "2000-1-1",
            "2000-01-01T24:00",
            "2000-01-01 12:60",
            "2000-01-01 12",
            "2000-01-01T12:00+01:00",
            "2000-01-01 12:00:00:00",
            "2000-01",
            "20000-01-01",
            "9999999999d",
            "2000-01-01 ",
        ] {
            assert_eq!(Span::parse(text, now), None, "{text}");
        }
    }

    #[test]
    fn what_is_read_is_read_back() {
        let time = UnixTime(951_868_799);
        let text = Readable(time).to_string();
        assert_eq!(text, "2000-02-29 23:59:59");
        assert_eq!(Span::parse(&text, UnixTime(0)).unwrap().from, time);
        assert_eq!(format!("{:<20}|", Readable(time)), "2000-02-29 23:59:59 |");
    }

    #[test]
    fn a_distance_has_one_unit() {
        let now = UnixTime(1_000_000);
        for (seconds, text) in [
            (0, "now"),
            (1, "in 1 s"),
            (119, "in 119 s"),
            (120, "in 2 min"),
            (7199, "in 119 min"),
            (-7200, "2 h ago"),
            (172_799, "in 47 h"),
            (-172_800, "2 days ago"),
        ] {
            assert_eq!(distance(UnixTime(now.0 + seconds), now), text);
        }
        assert_eq!(duration(0), "0 s");
    }
}
