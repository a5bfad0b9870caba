//! Issuer, audience and times of a token, compared with what is expected of them.

use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::time::UnixTime;
use serde_json::{Map, Value};

/// What a token must say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// `iss`; not judged without.
    pub issuer: Option<&'a str>,
    /// The names that `aud` may be, or hold; not judged if there are none.
    pub audiences: &'a [&'a str],
}

/// How a verifier compares times.
pub(super) struct Times {
    /// Seconds of tolerance on `exp` and `nbf`.
    pub(super) leeway: i64,
    /// The same on `iat`, if that may not be in the future.
    pub(super) issued: Option<i64>,
    /// Its clock's count of a time in seconds since the epoch.
    pub(super) clock: fn(i64) -> i64,
}

/// What is wrong with the claims. A missing time is not judged.
pub(super) fn judge(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    times: &Times,
    now: UnixTime,
) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> =
        expected.issuer.and_then(|name| issuer(claims, name)).into_iter().collect();
    findings.extend(audience(claims, expected.audiences));
    let clock = times.clock;
    for (name, leeway) in [("exp", Some(times.leeway)), ("nbf", Some(times.leeway)), ("iat", times.issued)] {
        let (Some(value), Some(leeway)) = (claims.get(name), leeway) else { continue };
        let Some(time) = seconds(value) else {
            let what =
                format!("`{name}` is expected to be a number, found {}", shortened(&value.to_string(), 40));
            findings.push(Diagnostic::error("type", what));
            continue;
        };
        let distance = now.0.abs_diff(time);
        // A token has expired in the second that `exp` names.
        if name == "exp" && clock(now.0) >= clock(time).saturating_add(leeway) {
            let what = if time <= now.0 {
                format!("it expired at {}, {distance} s ago ({leeway} s are tolerated)", UnixTime(time))
            } else {
                format!("`exp` is {time}, beyond the end of Go's clock, and counts as long ago")
            };
            findings.push(
                Diagnostic::error("expired", what)
                    .why("the token is old, or the clock of the host that made it is behind")
                    .hint("ask for a new one; compare `date -u` on both hosts"),
            );
        } else if name != "exp" && clock(now.0) < clock(time).saturating_sub(leeway) {
            let what = format!("`{name}` is {}, in {distance} s ({leeway} s are tolerated)", UnixTime(time));
            findings.push(
                Diagnostic::error("not-yet", what)
                    .why("the clock of the host that made it is ahead, or the reader's behind")
                    .hint("let both hosts keep time (chrony, systemd-timesyncd); compare `date -u`"),
            );
        }
    }
    findings
}

fn issuer(claims: &Map<String, Value>, expected: &str) -> Option<Diagnostic> {
    let found = match claims.get("iss") {
        Some(Value::String(found)) if found == expected => return None,
        Some(Value::String(found)) => format!("`{}`", shortened(found, 120)),
        Some(_) => "not a string".to_owned(),
        None => "missing".to_owned(),
    };
    let what = format!("`iss` is {found}, expected `{}`", shortened(expected, 120));
    Some(
        Diagnostic::error("issuer", what)
            .hint("make the issuer's and the reader's name the same text, to the last slash"),
    )
}

fn audience(claims: &Map<String, Value>, expected: &[&str]) -> Option<Diagnostic> {
    let found: Vec<&str> = match claims.get("aud") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if expected.is_empty() || found.iter().any(|name| expected.contains(name)) {
        return None;
    }
    let found = match found.join(" ") {
        none if none.is_empty() => "missing".to_owned(),
        names => format!("`{}`", shortened(&names, 120)),
    };
    let what = format!("`aud` is {found}, expected `{}`", shortened(&expected.join("` or `"), 200));
    Some(
        Diagnostic::error("audience", what)
            .hint("make `audience`, or an entry of service.allowed_services, that text"),
    )
}

/// A number of seconds, rounded down.
#[allow(clippy::cast_possible_truncation, reason = "`as` saturates: beyond every clock either way")]
pub(crate) fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64))
}
