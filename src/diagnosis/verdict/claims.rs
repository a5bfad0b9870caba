//! Types, issuer, audience and times of a token, as a program reads them.
//!
//! Decision: a program that reads JSON into fixed types refuses a whole token for one member of the wrong
//! type, so that each member it names is checked, whether it is used or not.

use super::Case;
use super::rules::Program;
use crate::ground::finding::{Finding, shortened};
use crate::ground::time::UnixTime;
use serde_json::Value;

/// A proxy's default buffer for one header line, in bytes (nginx: `large_client_header_buffers`).
pub(crate) const PROXY_LINE: usize = 8192;
/// `Authorization: Bearer ` before the token, and the line's end.
pub(crate) const LINE_AROUND: usize = 24;

pub(super) fn names_twice(case: &mut Case<'_>) {
    let Some((part, problem)) = &case.token.twice else { return };
    let what = format!("the {part}: {problem}");
    case.say(if case.rules.refuses_twice {
        Finding::error("twice", what)
    } else {
        Finding::warning("twice", what).why("the last one counts there, the first one elsewhere")
    });
}

/// Members whose type makes the whole token malformed.
pub(super) fn types(case: &mut Case<'_>) {
    let mut wrong: Vec<(&str, &str, String)> = Vec::new();
    let text = |value: &Value| value.is_string() || value.is_null();
    let typ = if case.rules.typ_string { &["typ"][..] } else { &[] };
    for name in ["alg", "kid"].iter().chain(typ) {
        if case.token.header.get(*name).is_some_and(|value| !text(value)) {
            wrong.push(("header", name, "a string".to_owned()));
        }
    }
    let list_of_text = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(text));
    if case.rules.x5c && case.token.header.get("x5c").is_some_and(|x5c| !x5c.is_null() && !list_of_text(x5c))
    {
        wrong.push(("header", "x5c", "a list of strings".to_owned()));
    }
    let claims = &case.token.claims;
    for name in ["iss", "sub", "jti"] {
        if claims.get(name).is_some_and(|value| !text(value)) {
            wrong.push(("claims", name, "a string".to_owned()));
        }
    }
    for name in ["exp", "nbf", "iat"] {
        let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { continue };
        let fits = if case.rules.integers { value.as_i64().is_some() } else { number(value).is_some() };
        if !fits {
            let expected = if case.rules.integers { "a whole number" } else { "a number" };
            wrong.push(("claims", name, format!("{expected}, found {}", shortened(&value.to_string(), 40))));
        }
    }
    let is_access = |entry: &Value| {
        entry.is_null()
            || entry.is_object()
                && ["type", "name", "class"].iter().all(|name| entry.get(*name).is_none_or(text))
                && entry.get("actions").is_none_or(|actions| actions.is_null() || list_of_text(actions))
    };
    let access = claims.get("access").filter(|access| !access.is_null());
    if access.is_some_and(|access| !access.as_array().is_some_and(|list| list.iter().all(is_access))) {
        wrong.push(("claims", "access", "a list of {type, name, actions}".to_owned()));
    }
    for (part, name, expected) in wrong {
        case.say(
            Finding::error("type", format!("{part}: `{name}` is expected to be {expected}"))
                .why("a member of the wrong type makes the whole token malformed"),
        );
    }
}

pub(super) fn issuer(case: &mut Case<'_>) {
    let (true, Some(expected)) = (case.rules.names_checked, case.expected.issuer) else { return };
    let found = case.token.claim_text("iss").unwrap_or_default();
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
    let found = case.token.claims.get("aud").filter(|found| !found.is_null());
    if let Some(list) = found.filter(|found| !found.is_string()) {
        let strings = list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if !strings || !case.rules.audience_list {
            let what = if strings {
                format!("`aud` is a list, and {} takes one string only", case.program.title())
            } else {
                "`aud` is neither a string nor a list of strings".to_owned()
            };
            case.say(
                Finding::error("audience-type", what)
                    .mend("Keypebble writes one string: who made this token?"),
            );
        }
    }
    let (true, Some(expected)) = (case.rules.names_checked, case.expected.service) else { return };
    let names: Vec<&str> = match found {
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
    let time = |name: &str| case.token.claims.get(name).and_then(number);
    let (exp, nbf, iat) = (time("exp"), time("nbf"), time("iat"));
    match exp {
        None if case.rules.needs_exp => {
            // Where its type is wrong, that is said already.
            if case.token.claims.get("exp").is_none_or(Value::is_null) {
                case.say(Finding::error("expired", "there is no `exp`, which counts as expired in 1970"));
            }
        }
        None => case.say(Finding::warning("no-expiry", "there is no `exp`: it never expires here")),
        Some(exp) if now > exp.saturating_add(leeway) => {
            let what =
                format!("it expired at {}, {} s ago ({leeway} s are tolerated)", UnixTime(exp), now - exp);
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
        if let Some(time) = time.filter(|time| now < time.saturating_sub(leeway)) {
            let what =
                format!("`{name}` is {}, in {} s ({leeway} s are tolerated)", UnixTime(time), time - now);
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
