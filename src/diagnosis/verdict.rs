//! What a registry would say to a token, and why: its verdict, predicted.
//!
//! Owns the order of the checks; what differs between programs stands in one table, `rules`. Must not
//! know files or the network. Decision: every reason is given, not the first only, because the program
//! itself gives none; and what cannot be told here is said to be unknown, so that a prediction is never a
//! guess. A test holds the predictions against the real programs.

mod claims;
mod go;
mod jwks;
mod key;
mod key_id;
mod read;
mod rules;
mod trust;

pub(crate) use claims::{number, size};
pub(crate) use key_id::{Form, form};
pub(crate) use rules::KNOWN_TO_3;
pub use rules::Program;
pub use trust::{Trust, public_key};

use crate::diagnosis::unverified::Malformed;
use crate::ground::finding::{Finding, Level, worst};
use crate::ground::time::UnixTime;
use rules::Rules;

/// What the program is configured to expect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// `auth.token.service`; without it the audience is not judged.
    pub service: Option<&'a str>,
    /// `auth.token.issuer`; without it the issuer is not judged.
    pub issuer: Option<&'a str>,
    /// `auth.token.signingalgorithms` of distribution 3; empty is its default, all that it knows.
    pub algorithms: &'a [String],
}

/// A predicted verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whose verdict it is.
    pub program: Program,
    /// Errors are reasons to refuse; what is unknown could be one; warnings are remarks.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// Whether the token is taken; `None` where that could not be told.
    pub fn accepted(&self) -> Option<bool> {
        match worst(&self.findings) {
            Level::Error => Some(false),
            Level::Unknown => None,
            Level::Warning | Level::Ok => Some(true),
        }
    }
}

/// What the checks work with.
struct Case<'a> {
    program: Program,
    rules: &'static Rules,
    token: &'a read::Token,
    trust: &'a Trust,
    expected: &'a Expected<'a>,
    now: UnixTime,
    findings: Vec<Finding>,
}

impl Case<'_> {
    fn say(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// The verdict of `program`, which trusts `trust` and expects `expected`, on a token at this time.
pub fn judge(
    program: Program,
    token: &str,
    trust: &Trust,
    expected: &Expected<'_>,
    now: UnixTime,
) -> Judgement {
    let rules = program.rules();
    let mut findings = trust.start(program);
    let parsed = match read::token(token, rules, &mut findings) {
        Ok(parsed) => parsed,
        Err(malformed) => {
            let what = malformed.to_string();
            let finding = match malformed {
                Malformed::TooLong => Finding::unknown("malformed", what),
                _ => Finding::error("malformed", what),
            };
            findings.push(finding.mend(malformed.hint().unwrap_or_default()));
            return Judgement { program, findings };
        }
    };
    let mut case = Case { program, rules, token: &parsed, trust, expected, now, findings };
    key::check(&mut case);
    claims::issuer(&mut case);
    claims::audience(&mut case);
    claims::times(&mut case);
    claims::remarks(&mut case);
    Judgement { program, findings: case.findings }
}

#[cfg(test)]
mod tests;
