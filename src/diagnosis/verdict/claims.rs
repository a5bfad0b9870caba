//! Issuer, audience and times of a token, as a program compares them.

use super::rules::Program;
use super::{Case, go};
use crate::ground::finding::{Finding, shortened};
use crate::ground::time::UnixTime;
use serde_json::Value;

/// A proxy's default buffer for one header line, in bytes (nginx: `large_client_header_buffers`).
pub(crate) const PROXY_LINE: usize = 8192;
/// `Authorization: Bearer ` before the token, and the line's end.
pub(crate) const LINE_AROUND: usize = 24;

pub(super) fn issuer(case: &mut Case<'_>) {
    let (true, Some(expected)) = (case.rules.names_checked, case.expected.issuer) else { return };
    let found = case.token.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if found != expected {
        let what = format!(
            "`iss` is `{}`, the registry expects `{}`",
            shortened(found, 120),
            shortened(expected, 120)
        );
        let finding = Finding::error("issuer", what);
        case.say(
            finding.mend("make `issuer` in Keypebble's configuration and auth.token.issuer the same text, to the last slash"),
        );
    }
}

pub(super) fn audience(case: &mut Case<'_>) {
    let (true, Some(expected)) = (case.rules.names_checked, case.expected.service) else { return };
    if case.findings.iter().any(|finding| finding.code == "audience-type") {
        return;
    }
    let names: Vec<&str> = match case.token.claims.get("aud") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !names.contains(&expected) {
        let found = if names.is_empty() {
            "missing".to_owned()
        } else {
            format!("`{}`", shortened(&names.join(" "), 120))
        };
        let what = format!("`aud` is {found}, the registry's service is `{}`", shortened(expected, 120));
        case.say(Finding::error("audience", what).mend(
            "make `audience` (or an entry of service.allowed_services) and auth.token.service the same text",
        ));
    }
}

pub(super) fn times(case: &mut Case<'_>) {
    let (now, leeway) = (case.now.0, case.rules.leeway);
    let time = |name: &str| case.token.claims.get(name).and_then(Value::as_i64);
    let (exp, nbf, iat) = (time("exp"), time("nbf"), time("iat"));
    match exp {
        None if case.rules.needs_exp => {
            // Where its type is wrong, that is said already.
            if !case.findings.iter().any(|finding| finding.what.contains("`exp` is expected")) {
                case.say(Finding::error("expired", "there is no `exp`, which counts as expired in 1970"));
            }
        }
        None => case.say(Finding::warning("no-expiry", "there is no `exp`: it never expires here")),
        // The second that it names is over when the registry looks.
        Some(exp) if go::instant(now) >= go::instant(exp).saturating_add(leeway) => {
            let what = match now.checked_sub(exp) {
                Some(ago @ 0..) => {
                    format!("it expired at {}, {ago} s ago ({leeway} s are tolerated)", UnixTime(exp))
                }
                _ => format!("`exp` is {exp}, beyond the end of Go's clock, and counts as long ago"),
            };
            case.say(
                Finding::error("expired", what)
                    .why("the token is old, or the clock of the host that made it is behind")
                    .mend("ask for a new one; compare `date -u` on both hosts"),
            );
        }
        Some(_) => {}
    }
    let mut starts = vec![("nbf", nbf, leeway)];
    if case.rules.checks_iat {
        starts.push(("iat", iat, 0));
    }
    for (name, time, leeway) in starts {
        let early = |time: &i64| go::instant(now) < go::instant(*time).saturating_sub(leeway);
        if let Some(time) = time.filter(early) {
            let ahead = time.saturating_sub(now);
            let what = format!("`{name}` is {}, in {ahead} s ({leeway} s are tolerated)", UnixTime(time));
            case.say(
                Finding::error("not-yet", what)
                    .why("the clock of the host that made it is ahead, or the registry's behind")
                    .mend("let both hosts keep time (chrony, systemd-timesyncd); compare `date -u`"),
            );
        }
    }
}

/// What does not decide, and should be known.
pub(super) fn remarks(case: &mut Case<'_>) {
    if let Some(finding) = size(case.token.bytes) {
        case.say(finding);
    }
    if case.program != Program::Zot && stars(&case.token.claims) {
        case.say(
            Finding::warning("everything", "an entry of `access` has the action `*` on a repository")
                .why("to this registry that means every action"),
        );
    }
}

/// What a token's length means on its way.
pub(crate) fn size(bytes: usize) -> Option<Finding> {
    if bytes + LINE_AROUND <= PROXY_LINE {
        return None;
    }
    Some(
        Finding::warning(
            "size",
            format!("the token has {bytes} bytes: nginx answers 400 to a header line past 8 kB"),
        )
        .mend("ask for fewer scopes, use `kid` and not x5c, or raise nginx's large_client_header_buffers"),
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

/// A number of seconds; a fraction is cut off.
#[allow(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and every reader here cuts fractions off"
)]
pub(crate) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}
