//! A token in words: what it says of itself.
//!
//! Owns the description that `keypebble inspect` prints. Must not know keys or files, nor check a
//! signature, which the description says first. Decision: made of a text that was taken apart already, and
//! of a time that is given, so that it is the same for the same input.

use crate::claims::{ClaimsError, check_members, check_name};
use crate::diagnosis::claims::seconds;
use crate::diagnosis::unverified::Unverified;
use crate::diagnosis::verdict::{Form, form, size};
use crate::ground::diagnostic::{Diagnostic, printable, shortened};
use crate::ground::time::UnixTime;
use crate::ground::when::duration;
use crate::key::x509::X509;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The first line of every description.
const UNCHECKED: &str = "No signature was checked: this is what the token says of itself, true or not.";
/// The claims that have a line of their own.
const KNOWN: [&str; 8] = ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "access"];
/// The most characters of one value that are shown.
const SHOWN: usize = 300;

/// The description as text for people.
pub fn text(token: &Unverified, now: UnixTime) -> String {
    let mut out = format!("{UNCHECKED}\n\nheader\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<7} {value}"); // to a String: cannot fail
    };
    for (name, value) in &token.header {
        match (name.as_str(), value) {
            ("kid", Value::String(kid)) => {
                line("kid", &format!("{}  ({})", shortened(kid, SHOWN), key_id(kid)));
            }
            ("x5c", Value::Array(x5c)) => {
                line("x5c", &format!("{} certificate(s), the signing key's first", x5c.len()));
                for (index, certificate) in x5c.iter().take(10).enumerate() {
                    line("", &format!("{}. {}", index + 1, certificate_text(certificate, now)));
                }
            }
            _ => line(&shortened(name, 40), &shown(value)),
        }
    }
    claims(&mut out, token, now);
    let _ = writeln!(out, "\nsignature  {} bytes, not checked", token.signature.len());
    let _ = writeln!(out, "size       {}", size_text(token.bytes));
    for finding in remarks(token) {
        let _ = writeln!(out, "note       {}", finding.what);
    }
    out
}

/// What an encrypted token held that holds no other token.
pub fn inside(token: &Unverified, now: UnixTime) -> String {
    let mut out = String::new();
    claims(&mut out, token, now);
    for finding in misread(token) {
        let _ = writeln!(out, "note       {}", finding.what);
    }
    out
}

fn claims(out: &mut String, token: &Unverified, now: UnixTime) {
    line_break(out, "claims");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<7} {value}");
    };
    for name in KNOWN.into_iter().filter(|name| *name != "access") {
        let Some(value) = token.claims.get(name) else { continue };
        match (name, seconds(value)) {
            ("iat" | "nbf" | "exp", Some(time)) => line(name, &time_text(name, value, time, now)),
            _ => line(name, &shown(value)),
        }
    }
    match token.claims.get("access") {
        None => {}
        Some(Value::Array(list)) if list.is_empty() => {
            line("access", "none: a login, or nothing was granted");
        }
        Some(Value::Array(list)) => {
            for (index, entry) in list.iter().enumerate() {
                line(if index == 0 { "access" } else { "" }, &access_text(entry));
            }
        }
        Some(other) => line("access", &format!("{}  (expected a list)", shown(other))),
    }
    for (name, value) in token.claims.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
        line(&shortened(name, 40), &shown(value));
    }
}

fn line_break(out: &mut String, title: &str) {
    let _ = writeln!(out, "\n{title}");
}

/// The description as an object for programs.
pub fn json(token: &Unverified, now: UnixTime) -> Value {
    let mut times = Map::new();
    for name in ["iat", "nbf", "exp"] {
        if let Some(time) = token.claims.get(name).and_then(seconds) {
            let entry =
                json!({ "date": UnixTime(time).to_string(), "in_seconds": time.saturating_sub(now.0) });
            times.insert(name.to_owned(), entry);
        }
    }
    let kid = token.header_text("kid").map(|kid| json!({ "value": kid, "form": form_name(kid) }));
    let x5c = token.header.get("x5c").and_then(Value::as_array);
    let x5c: Vec<Value> = x5c.into_iter().flatten().map(certificate_json).collect();
    let access = token.claims.get("access").and_then(Value::as_array);
    let access: Vec<String> = access.into_iter().flatten().map(access_scope).collect();
    json!({
        "signature_checked": false,
        "header": token.header,
        "claims": token.claims,
        "times": times,
        "key_id": kid,
        "x5c": x5c,
        "access": access,
        "signature_bytes": token.signature.len(),
        "bytes": token.bytes,
        "notes": remarks(token).iter().map(Diagnostic::json).collect::<Vec<_>>(),
    })
}

fn remarks(token: &Unverified) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    if let Some((part, problem)) = &token.twice {
        findings.push(Diagnostic::warning(
            "twice",
            format!("the {part}: {problem}; programs differ on which counts"),
        ));
    }
    findings.extend(misread(token));
    for name in ["exp", "nbf", "iat"] {
        if let Some(value) = token.claims.get(name).filter(|value| value.as_i64().is_none()) {
            let found = shortened(&value.to_string(), 40);
            findings.push(Diagnostic::warning(
                "type",
                format!("`{name}` is {found}, not a whole number: registries refuse the token"),
            ));
        }
    }
    if !token.claims.contains_key("exp") {
        findings
            .push(Diagnostic::warning("no-expiry", "there is no `exp`: registries treat that as expired"));
    }
    if token.claims.get("aud").is_some_and(Value::is_array) {
        findings.push(Diagnostic::warning(
            "audience-type",
            "`aud` is a list: distribution 2.8 refuses the token",
        ));
    }
    if token.signature.is_empty() {
        findings.push(Diagnostic::warning("signature", "there is no signature"));
    }
    findings.extend(size(token.bytes));
    findings
}

/// What programs that ignore letter case, or round numbers, read otherwise than it stands there.
pub(super) fn misread(token: &Unverified) -> impl Iterator<Item = Diagnostic> {
    let names = token.claims.keys().filter_map(|name| check_name(name).err());
    let members = [&token.header, &token.claims].into_iter().filter_map(|part| check_members(part).err());
    names.chain(members).map(|error| {
        let code = if matches!(error, ClaimsError::Number(_)) { "number" } else { "letter-case" };
        Diagnostic::warning(code, error.to_string())
    })
}

/// A JSON value on one line, safe to print.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shortened(text, SHOWN),
        other => shortened(&other.to_string(), SHOWN),
    }
}

fn form_name(kid: &str) -> &'static str {
    match form(kid) {
        Form::Libtrust => "libtrust",
        Form::Thumbprint => "rfc7638",
        Form::Literal => "literal",
    }
}

fn key_id(kid: &str) -> &'static str {
    match form(kid) {
        Form::Libtrust => {
            "libtrust form: distribution 2.8 computes it from a certificate of its bundle; 3 needs a jwks with it"
        }
        Form::Thumbprint => {
            "RFC 7638 form: distribution 3 computes it from a certificate of its bundle; 2.8 does not know it"
        }
        Form::Literal => "a name of your own: a registry knows it only from a jwks with this `kid`",
    }
}

pub(super) fn time_text(name: &str, value: &Value, time: i64, now: UnixTime) -> String {
    let distance = time.saturating_sub(now.0);
    let span = duration(distance.unsigned_abs());
    let relation = match (name, distance >= 0) {
        ("exp", true) => format!("expires in {span}"),
        ("exp", false) => format!("expired {span} ago"),
        ("nbf", true) if distance > 0 => format!("not valid for another {span}"),
        (_, true) if distance > 0 => format!("{span} in the future: clocks differ"),
        _ => format!("{span} ago"),
    };
    format!("{}  ({relation}; {})", UnixTime(time), shortened(&value.to_string(), 40))
}

fn certificate_text(certificate: &Value, now: UnixTime) -> String {
    let Some(read) = certificate.as_str().and_then(|text| X509::from_base64(text).ok()) else {
        return "not a certificate in base64".to_owned();
    };
    let issuer = if read.is_self_signed() {
        "self-signed".to_owned()
    } else {
        format!("issued by `{}`", printable(&read.issuer_name()))
    };
    let left = read.not_after().saturating_sub(now.0);
    let span = duration(left.unsigned_abs());
    let left = if left < 0 { format!("expired {span} ago") } else { format!("expires in {span}") };
    let key = read.key().map_or_else(ToString::to_string, |key| format!("libtrust id {}", key.libtrust_id()));
    format!(
        "`{}`, {issuer}, {} to {} ({left}), {key}",
        printable(&read.name()),
        UnixTime(read.not_before()),
        UnixTime(read.not_after())
    )
}

fn certificate_json(certificate: &Value) -> Value {
    let Some(read) = certificate.as_str().and_then(|text| X509::from_base64(text).ok()) else {
        return Value::Null;
    };
    json!({
        "subject": read.name(),
        "issuer": read.issuer_name(),
        "self_signed": read.is_self_signed(),
        "not_before": UnixTime(read.not_before()).to_string(),
        "not_after": UnixTime(read.not_after()).to_string(),
        "libtrust_id": read.key().ok().map(crate::key::PublicKey::libtrust_id),
        "thumbprint": read.key().ok().map(crate::key::PublicKey::thumbprint),
    })
}

/// An entry of `access` as the scope that asks for it.
fn access_scope(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("?");
    let actions = entry.get("actions").and_then(Value::as_array);
    let actions: Vec<&str> = actions.into_iter().flatten().filter_map(Value::as_str).collect();
    format!("{}:{}:{}", text("type"), text("name"), actions.join(","))
}

fn access_text(entry: &Value) -> String {
    shortened(&access_scope(entry), SHOWN)
}

fn size_text(bytes: usize) -> String {
    match size(bytes) {
        Some(finding) => finding.what,
        None => format!("{bytes} bytes: fits through nginx's default of 8 kB for a header line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::base64url;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    fn token(header: &Value, claims: &Value) -> Unverified {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        Unverified::parse(&format!("{}.{}.AAAA", part(header), part(claims))).unwrap()
    }

    #[test]
    fn each_part_is_explained() {
        let libtrust = ["ABCD"; 12].join(":");
        let thumbprint = "a".repeat(43);
        for (header, claims, part) in [
            (json!({ "kid": libtrust }), json!({}), "libtrust form"),
            (json!({ "kid": thumbprint }), json!({}), "RFC 7638 form"),
            (json!({ "kid": "prod-1" }), json!({}), "prod-1  (a name of your own"),
            (
                json!({}),
                json!({ "exp": 1_700_003_240 }),
                "2023-11-14T23:07:20Z  (expires in 54 min; 1700003240)",
            ),
            (json!({}), json!({ "exp": 1_699_989_200 }), "(expired 3 h ago;"),
            (json!({}), json!({ "nbf": 1_700_000_030 }), "not valid for another 30 s"),
            (json!({}), json!({ "iat": 1_700_000_500 }), "8 min in the future"),
            (json!({}), json!({ "exp": 1.5 }), "`exp` is 1.5, not a whole number"),
            (json!({}), json!({}), "there is no `exp`"),
            (json!({}), json!({ "aud": ["a"] }), "`aud` is a list"),
            (json!({}), json!({ "access": [] }), "none: a login"),
            (
                json!({}),
                json!({ "access": [{ "type": "repository", "name": "a/b", "actions": ["pull", "push"] }] }),
                "access  repository:a/b:pull,push",
            ),
            (json!({}), json!({ "access": [1] }), "access  ?:?:"),
            (json!({}), json!({ "roles": ["x"] }), "roles   [\"x\"]"),
            (json!({ "x5c": ["!"] }), json!({}), "1. not a certificate"),
            (json!({}), json!({ "sub": "x".repeat(9000) }), "nginx answers 400"),
        ] {
            let text = text(&token(&header, &claims), NOW);
            assert!(text.contains(part), "{part}: {text}");
            assert!(text.starts_with("No signature was checked"));
        }
    }

    #[test]
    fn nothing_of_a_token_reaches_a_terminal_raw() {
        let evil = "\u{1b}[2J\r\u{202e}\u{9b}";
        let header = json!({ "alg": evil, "kid": evil, "x5c": [evil], (evil): evil });
        let claims = json!({ "iss": evil, "sub": [evil], "exp": evil, "access": [{ "type": evil, "name": evil, "actions": [evil] }], (evil): { (evil): evil } });
        let token = token(&header, &claims);
        let text = text(&token, NOW);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
        let json = crate::ground::diagnostic::ascii_json(&super::json(&token, NOW));
        assert!(json.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)));
    }

    #[test]
    fn certificates_are_summarised() {
        let pem = include_str!("../../tests/data/x509/chain.pem");
        let der: String = pem.lines().skip(1).take_while(|line| !line.starts_with('-')).collect();
        let token = token(&json!({ "x5c": [der] }), &json!({}));
        let text = text(&token, NOW);
        assert!(
            text.contains(
                "1. `x509 test leaf`, issued by `x509 test intermediate`, 2020-01-01T00:00:00Z to 2030"
            ),
            "{text}"
        );
        assert_eq!(json(&token, NOW)["x5c"][0]["subject"], "x509 test leaf");
    }
}
