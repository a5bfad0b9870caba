//! Whether a token holds for its issuer's keys: signature, algorithm, issuer, audience, times.
//!
//! Owns the judgement that Keypebble itself makes of a token. Must not know files. Decision: every reason
//! is given, also those that an unproven token only claims, because the one who asks is looking for a
//! mistake; but only a token without any is taken.

use crate::diagnosis::inspect::misread;
use crate::diagnosis::unverified::Unverified;
use crate::diagnosis::verdict::number;
use crate::ground::finding::{Finding, shortened};
use crate::ground::time::UnixTime;
use crate::key::keyring::KeySet;
use crate::token::{self, VerifyError};
use serde_json::Value;

/// Seconds of tolerance on `exp`, `nbf` and `iat`.
pub const LEEWAY: i64 = 60;

/// What a token must say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checks<'a> {
    /// `iss`; not judged without.
    pub issuer: Option<&'a str>,
    /// The names that `aud` may be, or hold; not judged where there are none.
    pub audiences: &'a [&'a str],
}

/// Everything that is wrong with a token; it holds where no finding is an error.
pub fn verify(token: &str, keys: &KeySet, checks: &Checks<'_>, now: UnixTime) -> Vec<Finding> {
    let read = match Unverified::parse(token) {
        Ok(read) => read,
        Err(malformed) => {
            let finding = Finding::error("malformed", malformed.to_string());
            return vec![match malformed.hint() {
                Some(hint) => finding.mend(hint),
                None => finding,
            }];
        }
    };
    let mut findings = Vec::new();
    if let Err(error) = token::verify(token, keys) {
        findings.push(signature(&error, keys));
    }
    if let Some((part, problem)) = &read.twice {
        findings.push(Finding::error("twice", format!("the {part}: {problem}")));
    }
    findings.extend(misread(&read));
    findings.extend(issuer(&read, checks));
    findings.extend(audience(&read, checks));
    findings.extend(times(&read, now));
    findings
}

fn signature(error: &VerifyError, keys: &KeySet) -> Finding {
    let code = match error {
        VerifyError::UnknownKey { .. } | VerifyError::NoKeyId => "key-id",
        VerifyError::AlgorithmMismatch { .. } | VerifyError::Unsigned => "algorithm",
        VerifyError::Critical => "crit",
        VerifyError::Signature => "signature",
        _ => "malformed",
    };
    let finding = Finding::error(code, error.to_string());
    match error {
        VerifyError::UnknownKey { .. } => {
            let ids: Vec<String> = keys
                .iter()
                .take(8)
                .filter_map(|key| key.id())
                .map(|id| format!("`{}`", shortened(id, 80)))
                .collect();
            let ids = if ids.is_empty() { "keys without an id".to_owned() } else { ids.join(", ") };
            finding
                .why(format!("the keys here are {ids}"))
                .mend("it is another issuer's token, or the key was retired")
        }
        VerifyError::Signature => finding.why("another key signed it, or the token was changed on its way"),
        VerifyError::AlgorithmMismatch { .. } => finding.mend(
            "the key decides the algorithm; for an RSA key in --key, --algorithm names another than RS256",
        ),
        _ => finding,
    }
}

fn issuer(read: &Unverified, checks: &Checks<'_>) -> Option<Finding> {
    let expected = checks.issuer?;
    let found = match read.claims.get("iss") {
        Some(Value::String(found)) if found == expected => return None,
        Some(Value::String(found)) => format!("`{}`", shortened(found, 120)),
        Some(_) => "not a string".to_owned(),
        None => "missing".to_owned(),
    };
    Some(Finding::error("issuer", format!("`iss` is {found}, expected `{}`", shortened(expected, 120))))
}

fn audience(read: &Unverified, checks: &Checks<'_>) -> Option<Finding> {
    if checks.audiences.is_empty() {
        return None;
    }
    let found: Vec<&str> = match read.claims.get("aud") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if found.iter().any(|name| checks.audiences.contains(name)) {
        return None;
    }
    let found = if found.is_empty() {
        "missing".to_owned()
    } else {
        format!("`{}`", shortened(&found.join(" "), 120))
    };
    let expected = shortened(&checks.audiences.join("` or `"), 200);
    Some(Finding::error("audience", format!("`aud` is {found}, expected `{expected}`")))
}

fn times(read: &Unverified, now: UnixTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        let Some(value) = read.claims.get(name) else {
            if name == "exp" {
                findings.push(Finding::error("expired", "there is no `exp`: it would never expire"));
            }
            continue;
        };
        let Some(time) = number(value) else {
            let found = shortened(&value.to_string(), 40);
            findings
                .push(Finding::error("type", format!("`{name}` is expected to be a number, found {found}")));
            continue;
        };
        if name == "exp" && now.0 > time.saturating_add(LEEWAY) {
            let ago = now.0 - time;
            findings
                .push(Finding::error("expired", format!("it expired at {}, {ago} s ago", UnixTime(time))));
        } else if name != "exp" && now.0 < time.saturating_sub(LEEWAY) {
            let ahead = time - now.0;
            findings.push(
                Finding::error("not-yet", format!("`{name}` is {}, in {ahead} s", UnixTime(time)))
                    .mend("the clock of this host or of the issuer's is wrong: compare `date -u`"),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::Key;
    use crate::key::algorithm::Algorithm;
    use crate::key::keyring::Keyring;
    use crate::token::Sealer;
    use serde_json::json;
    use std::sync::Arc;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn ring(secret: &[u8]) -> Keyring {
        let secret = Secret::new(secret.to_vec());
        Keyring::single(Key::from_secret(Algorithm::HS256, &secret, Some("k".to_owned())).unwrap())
    }

    fn codes(claims: &Value, secret: &[u8]) -> Vec<&'static str> {
        let token =
            Sealer::jws(Arc::clone(ring(secret).active())).seal(claims.to_string().as_bytes()).unwrap();
        let checks = Checks { issuer: Some("i"), audiences: &["a", "b"] };
        let own = ring(b"0123456789abcdef0123456789abcdef");
        verify(&token, own.verifiers(), &checks, NOW).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn every_reason_is_given_and_a_good_token_has_none() {
        let good = json!({ "iss": "i", "aud": "b", "exp": 1_000_060, "nbf": 1_000_060, "iat": 1_000_060 });
        let own = b"0123456789abcdef0123456789abcdef";
        assert_eq!(codes(&good, own), [""; 0]);
        assert_eq!(codes(&json!({ "iss": "i", "aud": ["x", "a"], "exp": 999_940.5 }), own), [""; 0]);
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        for (claims, secret, expected) in [
            (&good, &b"x"[..], &["signature"][..]),
            (&with("iss", json!("i/")), own, &["issuer"]),
            (&with("iss", json!(["i"])), own, &["issuer"]),
            (&with("aud", json!("c")), own, &["audience"]),
            (&with("aud", json!([])), own, &["audience"]),
            (&with("exp", json!(999_939)), own, &["expired"]),
            (&with("exp", json!("1000060")), own, &["type"]),
            (&with("exp", Value::Null), own, &["type"]),
            (&with("nbf", json!(1_000_061)), own, &["not-yet"]),
            (&with("iat", json!(1_000_061)), own, &["not-yet"]),
            (&json!({}), b"x", &["signature", "issuer", "audience", "expired"]),
        ] {
            assert_eq!(codes(claims, secret), expected, "{claims}");
        }
    }

    #[test]
    fn what_is_no_token_has_one_reason() {
        let findings = verify("abc", ring(b"x").verifiers(), &Checks::default(), NOW);
        assert_eq!((findings.len(), findings[0].code), (1, "malformed"));
    }
}
