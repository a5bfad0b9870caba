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

pub(crate) use claims::size;
pub(crate) use key_id::{Form, form};
pub(crate) use rules::KNOWN_TO_3;
pub use rules::Program;
#[cfg(feature = "tls")]
pub(crate) use trust::thumbprint_of_registry_3;
pub use trust::{Trust, public_key};

use crate::diagnosis::claims::Expected;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::time::UnixTime;
use rules::Rules;

/// A token, all that decides about it, and the findings so far.
struct Case<'a> {
    program: Program,
    rules: &'static Rules,
    token: &'a read::Token,
    trust: &'a Trust,
    expected: &'a Expected<'a>,
    algorithms: &'a [String],
    now: UnixTime,
    findings: Vec<Diagnostic>,
}

impl Case<'_> {
    fn say(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// A reason to refuse the token, and its cure; the hint may be empty.
    fn refuse(&mut self, code: &'static str, what: impl AsRef<str>, hint: &str) {
        self.say(Diagnostic::error(code, what).hint(hint));
    }

    /// What could be a reason, and cannot be told here.
    fn unsure(&mut self, code: &'static str, what: impl AsRef<str>) {
        self.say(Diagnostic::unknown(code, what));
    }
}

/// The verdict of `program`, which trusts `trust` and expects `expected`, on a token at this time: errors are
/// reasons to refuse it; what is unknown could be one; warnings are remarks. If `algorithms` are named, others
/// are refused (`auth.token.signingalgorithms` of distribution 3).
pub fn judge(
    program: Program,
    token: &str,
    trust: &Trust,
    expected: &Expected<'_>,
    algorithms: &[String],
    now: UnixTime,
) -> Vec<Diagnostic> {
    let rules = program.rules();
    let mut findings = trust.start(program);
    let token = match read::token(token, rules, &mut findings) {
        Ok(token) => token,
        Err(malformed) => {
            findings.push(malformed.finding());
            return findings;
        }
    };
    let mut case = Case { program, rules, token: &token, trust, expected, algorithms, now, findings };
    key::check(&mut case);
    claims::check(&mut case);
    claims::remarks(&mut case);
    case.findings
}

#[cfg(test)]
mod tests;
