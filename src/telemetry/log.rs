//! One line for each event, on stderr.
//!
//! Owns the two forms of a line (`key=value` for people, JSON for machines) and their quoting. Must not
//! know what the events mean. Decision: a line is built whole and written at once, so that lines of several
//! threads do not mix; and a line that cannot be written (a full disk, a closed pipe, a reader that sleeps)
//! is dropped and counted, because the alternative is to stop issuing tokens.

mod allowance;
mod sink;

pub use allowance::Allowance;

use crate::config::LogFormat;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::text::{acts, escape};
use crate::ground::time::UnixTime;
use crate::issuer::Record;
use crate::store::Notice;
use sink::Sink;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Ordinary business, refusals of what nobody should ask included.
    Info,
    /// Somebody was not let in, or something should not stay as it is.
    Warning,
    /// The program or its surroundings failed.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// The level of an answer.
    pub fn of_status(status: u16) -> Self {
        match status {
            500.. => Level::Error,
            401 | 403 | 429 => Level::Warning,
            _ => Level::Info,
        }
    }
}

/// Writes lines in one form.
#[derive(Debug, Clone)]
pub struct Log {
    format: LogFormat,
    sink: Arc<Sink>,
}

impl Log {
    /// A log in that form.
    pub fn new(format: LogFormat) -> Self {
        Self { format, sink: Arc::new(Sink::stderr()) }
    }

    /// Begins a line of ordinary business.
    pub fn line(&self, time: UnixTime, event: &'static str) -> Line<'_> {
        self.at(Level::Info, time, event)
    }

    /// Begins a line.
    pub fn at(&self, level: Level, time: UnixTime, event: &'static str) -> Line<'_> {
        let mut line = Line { log: self, time, text: String::with_capacity(512) };
        if self.format == LogFormat::Json {
            line.text.push('{');
        }
        line.plain("time", time).text("level", level.name()).text("event", event)
    }

    /// Writes what works but should not stay as it is.
    pub fn warning(&self, time: UnixTime, warning: &Diagnostic) {
        let line = self.at(Level::Warning, time, "warning").text("message", &warning.what);
        line.maybe("hint", Some(warning.hint.as_str()).filter(|hint| !hint.is_empty())).end();
    }

    /// Writes that the store is away, or back.
    pub fn store(&self, time: UnixTime, notice: &Notice) {
        match notice {
            Notice::Down(fault) => {
                let line = self.at(Level::Error, time, "store").text("what", "down");
                line.text("error", &fault.to_string()).maybe("hint", fault.hint.as_deref()).end();
            }
            Notice::Up { dropped } => {
                self.line(time, "store").text("what", "up").number("dropped", *dropped).end();
            }
            Notice::Lost { records } => {
                let line = self.at(Level::Error, time, "store").text("what", "lost");
                line.number("records", *records).end();
            }
        }
    }

    /// How many lines could not be written.
    pub fn lost_lines(&self) -> u64 {
        self.sink.lost()
    }
}

/// A line in the making. The keys are the program's own; the values may be anybody's.
#[derive(Debug)]
#[must_use = "a line is written by `end`"]
pub struct Line<'l> {
    log: &'l Log,
    time: UnixTime,
    text: String,
}

/// Whole lines that are written with a later one.
#[derive(Debug)]
#[must_use = "a line is written by another's `end_after`"]
pub struct Finished {
    text: String,
    lines: u64,
}

/// The longest value that is written, in bytes, but for what a token grants.
const MAX_VALUE_BYTES: usize = 4096;

impl Line<'_> {
    /// Adds a text. One that is too long is cut, and ends in three dots.
    pub fn text(self, key: &'static str, value: &str) -> Self {
        if value.len() <= MAX_VALUE_BYTES {
            return self.whole_text(key, value);
        }
        let cut = value.char_indices().find(|(at, _)| *at >= MAX_VALUE_BYTES);
        self.whole_text(key, &format!("{}...", &value[..cut.map_or(value.len(), |(cut, _)| cut)]))
    }

    /// Adds a text of any length, which something else bounds.
    fn whole_text(mut self, key: &'static str, value: &str) -> Self {
        self.key(key);
        if self.log.format == LogFormat::Text && is_plain(value) {
            self.text.push_str(value);
        } else {
            quote(&mut self.text, value);
        }
        self
    }

    /// Adds a text where there is one.
    pub fn maybe(self, key: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// Adds what needs no quoting in `key=value` and no escapes in JSON, such as a time or an address.
    pub fn plain(mut self, key: &'static str, value: impl Display) -> Self {
        self.key(key);
        let quote = if self.log.format == LogFormat::Json { "\"" } else { "" };
        // Writing to a String does not fail.
        let _ = write!(self.text, "{quote}{value}{quote}");
        self
    }

    /// Adds a number.
    pub fn number(mut self, key: &'static str, value: impl Into<i128>) -> Self {
        self.key(key);
        // Writing to a String does not fail.
        let _ = write!(self.text, "{}", value.into());
        self
    }

    /// Writes the line.
    pub fn end(self) {
        self.end_after(None);
    }

    /// Writes the line, and `earlier` ones before it, at once: for events that always come together.
    pub fn end_after(self, earlier: Option<Finished>) {
        let (log, time) = (self.log, self.time);
        let Finished { text, lines } = self.finish_after(earlier);
        log.sink.write(&text, lines, |lost| {
            log.at(Level::Warning, time, "log_lost").number("lines", lost).whole()
        });
    }

    /// The line whole, behind `earlier` ones, to be written with a later one.
    pub fn finish_after(self, earlier: Option<Finished>) -> Finished {
        let line = self.whole();
        match earlier {
            Some(Finished { text, lines }) => Finished { text: text + &line, lines: lines + 1 },
            None => Finished { text: line, lines: 1 },
        }
    }

    /// Adds what is remembered of a token: who got what, for how long; never the token itself.
    pub fn record(self, record: &Record<'_>) -> Self {
        self.text("profile", record.profile)
            .text("jti", &record.id)
            .text("user", record.subject)
            .text("audience", record.audience)
            // Bounded by what may be asked. Nobody is to hide the last of it behind the rest.
            .whole_text("granted", &record.granted)
            .text("algorithm", record.algorithm.name())
            .maybe("kid", record.key_id)
            .plain("expires", record.expires_at)
    }

    fn whole(mut self) -> String {
        if self.log.format == LogFormat::Json {
            self.text.push('}');
        }
        self.text.push('\n');
        self.text
    }

    fn key(&mut self, key: &'static str) {
        match self.log.format {
            LogFormat::Text => {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(key);
                self.text.push('=');
            }
            LogFormat::Json => {
                if self.text.len() > 1 {
                    self.text.push(',');
                }
                self.text.push('"');
                self.text.push_str(key);
                self.text.push_str("\":");
            }
        }
    }
}

/// Whether a value can stand without quotes: no space, quote, `=` or anything that a terminal acts on.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='))
}

/// A JSON string, which is also how `key=value` quotes; what could act on a terminal is escaped.
fn quote(out: &mut String, value: &str) {
    out.push('"');
    escape(out, value, |c| !matches!(c, '"' | '\\') && !acts(c));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, value: &str) -> String {
        Log::new(format).line(UnixTime(0), "x").text("user", value).number("n", 7).maybe("a", None).whole()
    }

    #[test]
    fn a_value_cannot_add_a_field_or_a_line() {
        for (value, text) in [
            ("alice", "user=alice"),
            ("", "user=\"\""),
            ("a b", "user=\"a b\""),
            ("a\nevent=token", "user=\"a\\nevent=token\""),
            ("a\" n=8", "user=\"a\\\" n=8\""),
            ("\u{1b}[2J", "user=\"\\u001b[2J\""),
            ("a\u{202e}b", "user=\"a\\u202eb\""),
            ("a\u{e0041}b", "user=\"a\\udb40\\udc41b\""),
            ("a=b", "user=\"a=b\""),
        ] {
            assert_eq!(
                line(LogFormat::Text, value),
                format!("time=1970-01-01T00:00:00Z level=info event=x {text} n=7\n")
            );
            let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, value)).unwrap();
            assert_eq!((json["user"].as_str(), json["n"].as_i64()), (Some(value), Some(7)));
        }
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = "ä".repeat(5000);
        let line = line(LogFormat::Text, &long);
        assert!(line.len() < MAX_VALUE_BYTES + 100 && line.contains("ä..."), "a cut is seen");
    }
}
