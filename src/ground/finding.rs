//! What diagnosis has to say: one finding, its level, and how it is written.
//!
//! Owns the form in which `verify` and `doctor` speak, for people and for programs. Must not know what is
//! examined. Decision: every text of a finding is made safe when it is made, so that no token, file or
//! server can send control characters to a terminal.

use super::text::escape;
pub use super::text::{printable, shortened};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but should not stay so.
    Warning,
    /// Could not be told.
    Unknown,
    /// Does not work.
    Error,
}

impl Level {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Unknown => "unknown",
            Level::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// A short name that does not change, for programs: `audience`, `key-id`.
    pub code: &'static str,
    /// What was found.
    pub what: String,
    /// What it leads to; may be empty.
    pub why: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

impl Finding {
    fn new(level: Level, code: &'static str, what: &str) -> Self {
        Self { level, code, what: printable(what), why: String::new(), mend: String::new() }
    }

    /// Something that does not work.
    pub fn error(code: &'static str, what: impl AsRef<str>) -> Self {
        Self::new(Level::Error, code, what.as_ref())
    }

    /// Something that could not be told.
    pub fn unknown(code: &'static str, what: impl AsRef<str>) -> Self {
        Self::new(Level::Unknown, code, what.as_ref())
    }

    /// Something that should not stay so.
    pub fn warning(code: &'static str, what: impl AsRef<str>) -> Self {
        Self::new(Level::Warning, code, what.as_ref())
    }

    /// Something that is as it should be.
    pub fn ok(code: &'static str, what: impl AsRef<str>) -> Self {
        Self::new(Level::Ok, code, what.as_ref())
    }

    /// With what it leads to.
    #[must_use]
    pub fn why(mut self, why: impl AsRef<str>) -> Self {
        self.why = printable(why.as_ref());
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn mend(mut self, mend: impl AsRef<str>) -> Self {
        self.mend = printable(mend.as_ref());
        self
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let mut value = json!({ "level": self.level.name(), "code": self.code, "what": self.what });
        for (name, text) in [("why", &self.why), ("mend", &self.mend)] {
            if !text.is_empty() {
                value[name] = text.as_str().into();
            }
        }
        value
    }

    /// As lines.
    pub fn text(&self) -> String {
        let mut text = format!("{:<8} {:<16} {}\n", self.level.name(), self.code, self.what);
        for (name, more) in [("why", &self.why), ("do", &self.mend)] {
            if !more.is_empty() {
                let _ = writeln!(text, "{:>25}{name}: {more}", ""); // to a String: cannot fail
            }
        }
        text
    }
}

/// The worst level among them; [`Level::Ok`] where there are none.
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

/// A JSON text in printable ASCII: other characters as `\u` escapes, which every reader takes.
pub fn ascii_json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut safe = String::with_capacity(text.len() + 1);
    escape(&mut safe, &text, |c| c == '\n' || c == ' ' || c.is_ascii_graphic());
    safe.push('\n');
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_ascii_and_reads_back() {
        let value = json!({ "a\u{9b}": "\u{202e}\u{1f600}\u{7f}\n\u{1b}" });
        let text = ascii_json(&value);
        assert!(text.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn the_worst_level_counts() {
        let findings = [Finding::ok("a", ""), Finding::unknown("b", ""), Finding::warning("c", "")];
        assert_eq!(worst(&findings), Level::Unknown);
        assert_eq!(worst(&[]), Level::Ok);
        assert!(Level::Error > Level::Unknown);
    }

    #[test]
    fn a_finding_says_what_why_and_what_to_do() {
        let finding = Finding::error("audience", "a\u{1b}").why("w").mend("m");
        let text = finding.text();
        assert!(text.starts_with("error    audience         a\\u001b\n"), "{text}");
        assert!(text.contains("why: w\n") && text.ends_with("do: m\n"), "{text}");
        assert_eq!(Finding::ok("x", "y").json(), json!({ "level": "ok", "code": "x", "what": "y" }));
    }
}
