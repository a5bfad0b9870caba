//! Issuer, audience and times of a token, as a program compares them.

use super::rules::Program;
use super::{Case, go};
use crate::diagnosis::claims::{Expected, Times, judge};
use crate::ground::diagnostic::Diagnostic;
use serde_json::Value;

/// A proxy's default buffer for one header line, in bytes (nginx: `large_client_header_buffers`).
pub(crate) const PROXY_LINE: usize = 8192;
/// `Authorization: Bearer ` before the token, and the line's end.
pub(crate) const LINE_AROUND: usize = 24;

/// What the program compares.
pub(super) fn check(case: &mut Case<'_>) {
    let (rules, claims) = (case.rules, &case.token.claims);
    let said = |code: &str, part: &str| {
        case.findings.iter().any(|finding| finding.code == code && finding.what.contains(part))
    };
    let audiences: &[&str] = if said("audience-type", "") { &[] } else { case.expected.audiences };
    let expected =
        if rules.names_checked { Expected { audiences, ..*case.expected } } else { Expected::default() };
    let times = Times { leeway: rules.leeway, issued: rules.checks_iat.then_some(0), clock: go::instant };
    let mut findings = judge(claims, &expected, &times, case.now);
    // A wrong type has a finding of its own.
    if !claims.contains_key("exp") && !said("type", "`exp`") {
        findings.push(if rules.needs_exp {
            Diagnostic::error("expired", "there is no `exp`, which counts as expired in 1970")
        } else {
            Diagnostic::warning("no-expiry", "there is no `exp`: it never expires here")
        });
    }
    case.findings.append(&mut findings);
}

/// What decides nothing, but should be known.
pub(super) fn remarks(case: &mut Case<'_>) {
    if let Some(finding) = size(case.token.bytes) {
        case.say(finding);
    }
    if case.program != Program::Zot && stars(&case.token.claims) {
        case.say(
            Diagnostic::warning("everything", "an entry of `access` has the action `*` on a repository")
                .why("to this registry that means every action"),
        );
    }
}

/// Whether proxies on the way take a token of this length.
pub(crate) fn size(bytes: usize) -> Option<Diagnostic> {
    if bytes + LINE_AROUND <= PROXY_LINE {
        return None;
    }
    Some(
        Diagnostic::warning(
            "size",
            format!("the token has {bytes} bytes: nginx answers 400 to a header line past 8 kB"),
        )
        .hint("ask for fewer scopes, use `kid` and not x5c, or raise nginx's large_client_header_buffers"),
    )
}

fn stars(claims: &serde_json::Map<String, Value>) -> bool {
    let entries = claims.get("access").and_then(Value::as_array).into_iter().flatten();
    entries.filter(|entry| entry.get("type").is_some_and(|kind| kind == "repository")).any(|entry| {
        entry
            .get("actions")
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|action| action == "*"))
    })
}
