//! Points in time and lengths of it, as tokens carry them.
//!
//! Owns seconds since the epoch, RFC 3339 text and the bounds of a token's life. Reads no clock but in
//! [`UnixTime::now`], which only the edges call: the core takes `now` as an argument.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted: JWT's `NumericDate` (RFC 7519, 2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// The system's clock. A clock before 1970 reads as 1970: tokens are then long expired, not wrong.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Self(i64::try_from(since).unwrap_or(i64::MAX))
    }

    /// This many seconds later.
    #[must_use]
    pub fn plus(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(i64::from(ttl.0)))
    }

    /// The time that a text names: whole seconds since 1970, or RFC 3339 in UTC as [`UnixTime`] is displayed,
    /// `2026-11-26T12:00:00Z`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |range: std::ops::Range<usize>| {
            let part = text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            part.parse::<i64>().ok()
        };
        if let Some(seconds) = digits(0..text.len()) {
            return Some(Self(seconds));
        }
        let days = days_from_civil(digits(0..4)?, digits(5..7)?, digits(8..10)?);
        let second = (digits(11..13)? * 60 + digits(14..16)?) * 60 + digits(17..19)?;
        // A date or an hour that there is not is written otherwise; and so are other marks between them.
        let time = Self(days * 86_400 + second);
        (time.to_string() == text).then_some(time)
    }

    /// RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, for years to 9999.
    pub fn http_date(self) -> [u8; 29] {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let (days, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let name = |names: &[&'static str], index: i64| names[usize::try_from(index).unwrap_or(0)].as_bytes();
        let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
        text[..3].copy_from_slice(name(&DAYS, days.rem_euclid(7)));
        text[8..11].copy_from_slice(name(&MONTHS, month - 1));
        put_digits(&mut text, [(5, day), (12, year / 100), (14, year % 100)]);
        put_digits(&mut text, [(17, second / 3600), (20, second / 60 % 60), (23, second % 60)]);
        text
    }

    /// Reads an HTTP date, in the one form that is still written. Not the name of the day.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.trim().split([' ', ':']).collect();
        let [_, day, month, year, hour, minute, second, "GMT"] = words[..] else { return None };
        let number = |text: &str, least: i64, most: i64| {
            text.parse().ok().filter(|number| (least..=most).contains(number))
        };
        let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
        let days = days_from_civil(number(year, 1970, 9999)?, month, number(day, 1, 31)?);
        let clock = number(hour, 0, 23)? * 3600 + number(minute, 0, 59)? * 60 + number(second, 0, 60)?;
        Some(Self(days * 86_400 + clock))
    }

    /// This many seconds earlier, not before 1970.
    #[must_use]
    pub fn minus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(seconds)).max(0))
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339 in UTC with `Z`, as `issued_at` needs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        if !(0..=9999).contains(&year) {
            return write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        }
        let mut text = *b"0000-00-00T00:00:00Z";
        put_digits(&mut text, [(0, year / 100), (2, year % 100), (5, month), (8, day)]);
        put_digits(&mut text, [(11, hour), (14, minute), (17, second)]);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// Writes numbers below 100 over the two zeros at their places. By hand, because each request writes five times,
/// and padded numbers cost 16 times as much.
fn put_digits<const N: usize>(text: &mut [u8], numbers: [(usize, i64); N]) {
    for (at, number) in numbers {
        let digits = number.to_le_bytes()[0];
        text[at] += digits / 10;
        text[at + 1] += digits % 10;
    }
}

/// Year, month and day of a day number in the proleptic Gregorian calendar, counted from 1970-01-01.
///
/// The era method: 400-year eras that begin on 1 March, so that the leap day is each year's last.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-compatible date algorithms"), for
/// years from 0 on.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years start in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// How long the tokens of one issuer live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Where nothing else is asked.
    pub default: Ttl,
    /// The longest life of a token that is asked for over HTTP, whatever a policy or a caller says.
    pub max: Ttl,
}

impl Default for Lifetimes {
    /// Those of a configuration that says nothing of them: an hour, and at most a day.
    fn default() -> Self {
        Self { default: Ttl::DEFAULT, max: Ttl(86_400) }
    }
}

impl Lifetimes {
    /// The life of a registry's token: at least what its clients can use, at most what is configured.
    pub fn registry(self, wanted: Ttl) -> Ttl {
        wanted.min(self.max).max(Ttl::REGISTRY_MIN)
    }

    /// The life of a registry's token under a rule that may say how long.
    pub fn of_rule(self, ttl: Option<Ttl>) -> Ttl {
        self.registry(ttl.unwrap_or(self.default))
    }

    /// The life of a service account's token: what is asked, within what Kubernetes and the configuration
    /// allow. Its answer says what it came to.
    pub fn service_account(self, wanted: Ttl) -> Ttl {
        wanted.max(Ttl::KUBERNETES_MIN).min(self.max)
    }

    /// A life that a caller asks for in seconds; `None` outside 1 to the longest.
    pub fn asked(self, seconds: u64) -> Option<Ttl> {
        Ttl::new(seconds).filter(|ttl| *ttl <= self.max)
    }
}

/// How long a token lives: whole seconds, 1 to ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// The longest life: ten years of 365 days.
    pub const MAX: Ttl = Ttl(315_360_000);
    /// The shortest life of a registry token: Docker's clients round anything shorter up to this.
    pub const REGISTRY_MIN: Ttl = Ttl(60);
    /// The shortest life of a service account's token (Kubernetes: `TokenRequestSpec.expirationSeconds`).
    pub const KUBERNETES_MIN: Ttl = Ttl(600);
    /// `default_ttl_seconds` where the configuration has none.
    pub const DEFAULT: Ttl = Ttl(3600);

    /// A life of that many seconds; `None` outside 1 to ten years.
    pub fn new(seconds: u64) -> Option<Self> {
        match u32::try_from(seconds) {
            Ok(seconds) if (1..=Self::MAX.0).contains(&seconds) => Some(Self(seconds)),
            _ => None,
        }
    }

    /// The whole seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

/// Why a text is no [`Ttl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTtl;

impl fmt::Display for NoTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a time from 1 s to ten years, such as 90, 15m, 12h or 30d")
    }
}

impl std::error::Error for NoTtl {}

impl FromStr for Ttl {
    type Err = NoTtl;

    /// Whole seconds, or a whole number with its unit: `s`, `m`, `h` or `d`.
    fn from_str(text: &str) -> Result<Self, NoTtl> {
        seconds(text).and_then(Self::new).ok_or(NoTtl)
    }
}

/// How many seconds a whole number with a unit, or with none, comes to.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_whole_seconds_or_a_number_with_its_unit() {
        for (text, seconds) in [("1", 1), ("90s", 90), ("15m", 900), ("12h", 43_200), ("3650d", 315_360_000)]
        {
            assert_eq!(text.parse(), Ok(Ttl(seconds)), "{text}");
        }
        for text in [
            "",
            "h",
            "0",
            "0h",
            "+5",
            "-5",
            "1.5h",
            "1H",
            "1 h",
            "1h30m",
            "315360001",
            "3651d",
            "99999999999999999999d",
        ] {
            assert_eq!(text.parse::<Ttl>(), Err(NoTtl), "{text}");
        }
    }

    #[test]
    fn rfc_3339_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(UnixTime(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_day_number_is_read_back_as_its_date() {
        for days in (-1_000..40_000).step_by(7) {
            let (year, month, day) = civil(days);
            assert_eq!(days_from_civil(year, month, day), days, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (second, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(str::from_utf8(&UnixTime(second).http_date()), Ok(expected));
        }
    }

    #[test]
    fn dates_are_read_as_http_writes_them() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 9223372036854775807 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:99999999999999999:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(UnixTime::from_http_date(text).map(|time| time.0), expected, "{text}");
        }
    }

    #[test]
    fn a_time_is_read_as_rfc_3339_or_as_seconds() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("1735689600", Some(1_735_689_600)),
            ("2025-01-01T00:00:00Z", Some(1_735_689_600)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("99999999999999999999", None),
            ("2025-01-01", None),
            ("2025-01-01T00:00:00", None),
            ("2025-01-01t00:00:00z", None),
            ("2025-01-01 00:00:00Z", None),
            ("2025-01-01T00:00:00.5Z", None),
            ("2025-01-01T02:30:00+02:30", None),
            ("2025-1-01T00:00:000Z", None),
            ("10000-01-01T00:00:00Z", None),
            ("2025-01-01T00:00:00.", None),
            ("2025-01-01T00:00Z", None),
            ("2025-02-29T00:00:00Z", None),
            ("2025-13-01T00:00:00Z", None),
            ("2025-00-01T00:00:00Z", None),
            ("2025-01-01T24:00:00Z", None),
            ("2025-01-01T00:60:00Z", None),
            ("2025-01-01T00:00:60Z", None),
            ("2025-01-01T00:00:00+2:30", None),
            ("2025-01-01T00:00:00+24:00", None),
            ("2025-01-01T00:00:00ZZ", None),
            ("2025-01-01T00:00:00 Z", None),
            ("2025/01/01T00:00:00Z", None),
            ("2025-01-01T00:00:0\u{fc}", None),
            ("tomorrow", None),
        ] {
            assert_eq!(UnixTime::parse(text).map(|time| time.0), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_asked_stays_within_what_is_configured() {
        let lives = Lifetimes { default: Ttl(300), max: Ttl(7200) };
        for (asked, given) in [(1, 600), (599, 600), (600, 600), (3600, 3600), (7200, 7200), (7201, 7200)] {
            assert_eq!(lives.service_account(Ttl(asked)), Ttl(given), "{asked}");
        }
        for (asked, fits) in [(0, false), (1, true), (7200, true), (7201, false), (u64::MAX, false)] {
            assert_eq!(lives.asked(asked).is_some(), fits, "{asked}");
        }
    }

    #[test]
    fn a_ttl_is_one_second_to_ten_years() {
        for (seconds, fits) in
            [(0, false), (1, true), (315_360_000, true), (315_360_001, false), (u64::MAX, false)]
        {
            assert_eq!(Ttl::new(seconds).is_some(), fits, "{seconds}");
        }
    }

    #[test]
    fn time_does_not_wrap() {
        assert_eq!(UnixTime(i64::MAX).plus(Ttl::MAX), UnixTime(i64::MAX));
        assert_eq!(UnixTime(3).minus_seconds(10), UnixTime(0));
    }
}
