//! Whether a token holds for its issuer's keys: signature, algorithm, issuer, audience, times.
//!
//! Owns the judgement that Keypebble itself makes of a token. Must not know files. Decision: every reason
//! is given, also those that an unproven token only claims, because the one who asks is looking for a
//! mistake; but only a token without any is taken.

use crate::diagnosis::claims::{self, Expected, Times};
use crate::diagnosis::inspect::misread;
use crate::diagnosis::unverified::Unverified;
use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::time::UnixTime;
use crate::key::keyring::KeySet;
use crate::token::{self, Typ, VerifyError};

/// Seconds of tolerance on `exp`, `nbf` and `iat`.
pub const LEEWAY: i64 = 60;

/// Everything that is wrong with a token; it holds where no finding is an error.
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>, now: UnixTime) -> Vec<Diagnostic> {
    let read = match Unverified::parse(token) {
        Ok(read) => read,
        Err(malformed) => return vec![malformed.finding()],
    };
    let mut findings = Vec::new();
    if let Err(error) = token::verify(token, keys) {
        findings.push(signature(&error, keys));
    }
    findings.extend(kind(&read, read.header_text("typ"), None));
    findings.extend(of_claims(&read, expected, now));
    findings
}

/// Claims that were encrypted and not signed.
#[derive(Debug)]
pub struct Opened {
    /// The claims.
    pub read: Unverified,
    /// Whether only who has the secret that opens it can have made it.
    pub authentic: bool,
    /// `typ` of the header.
    pub typ: Option<String>,
}

impl Opened {
    /// Everything that is wrong with it. `signed`: whether a signature was to be checked.
    pub fn judge(
        &self,
        signed: bool,
        typ: Option<Typ>,
        expected: &Expected<'_>,
        now: UnixTime,
    ) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        if signed {
            findings.push(
                Diagnostic::error("signature", "nothing in it is signed, so these keys say nothing of it")
                    .hint(
                        "to take what a shared secret encrypted, leave --jwks and --key out, or give it with --config as \
                         --decrypt-key",
                    ),
            );
        }
        if !self.authentic {
            findings.push(
                Diagnostic::error("signature", "it is encrypted to a public key, and not signed")
                    .why("whoever has that key can have made it")
                    .hint("let the issuer sign it first: `token_format: nested`"),
            );
        }
        findings.extend(kind(&self.read, self.typ.as_deref(), typ));
        findings.extend(of_claims(&self.read, expected, now));
        findings
    }
}

/// What speaks against the claims of a token, however it was sealed.
fn of_claims(read: &Unverified, expected: &Expected<'_>, now: UnixTime) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    if let Some((part, problem)) = &read.twice {
        findings.push(Diagnostic::error("twice", format!("the {part}: {problem}")));
    }
    findings.extend(misread(read));
    if !read.claims.contains_key("exp") {
        findings.push(Diagnostic::error("expired", "there is no `exp`: it would never expire"));
    }
    let times = Times { leeway: LEEWAY, issued: Some(LEEWAY), clock: |time| time };
    findings.extend(claims::judge(&read.claims, expected, &times, now));
    findings
}

/// What speaks against the kind of a token, by its `typ` (RFC 8725, 3.11): it must be the asked one, or where none
/// is asked one that is issued here. An access token has claims that it must have (RFC 9068, 2.2).
pub fn kind(read: &Unverified, typ: Option<&str>, asked: Option<Typ>) -> Vec<Diagnostic> {
    const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
    let named = typ.map(Typ::named);
    let fits = match (named, asked) {
        (Some(named), None) => named.is_some(),
        (None, None) => true,
        (named, asked) => named.flatten() == asked,
    };
    if !fits {
        let found = typ.map_or_else(|| "missing".to_owned(), |typ| format!("`{}`", shortened(typ, 40)));
        let expected = asked.map_or("JWT` or `at+jwt", Typ::name);
        return vec![
            Diagnostic::error("typ", format!("`typ` is {found}, expected `{expected}`"))
                .why("it is another kind of token, made for another use"),
        ];
    }
    if named.flatten() != Some(Typ::AccessToken) {
        return Vec::new();
    }
    let missing = REQUIRED.into_iter().filter(|name| !read.claims.contains_key(*name));
    missing
        .map(|name| Diagnostic::error("claims", format!("there is no `{name}`, which RFC 9068 asks for")))
        .collect()
}

fn signature(error: &VerifyError, keys: &KeySet) -> Diagnostic {
    let code = match error {
        VerifyError::UnknownKey { .. } | VerifyError::NoKeyId => "key-id",
        VerifyError::AlgorithmMismatch { .. } | VerifyError::Unsigned => "algorithm",
        VerifyError::Critical => "crit",
        VerifyError::Signature => "signature",
        _ => "malformed",
    };
    let finding = Diagnostic::error(code, error.to_string());
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
                .hint("it is another issuer's token, or the key was retired")
        }
        VerifyError::Signature => finding.why("another key signed it, or the token was changed on its way"),
        VerifyError::AlgorithmMismatch { .. } => finding.hint(
            "the key decides the algorithm; for an RSA key in --key, --algorithm names another than RS256",
        ),
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::Key;
    use crate::key::algorithm::Algorithm;
    use crate::key::keyring::Keyring;
    use crate::token::{Sealer, Typ};
    use serde_json::{Value, json};
    use std::sync::Arc;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn ring(secret: &[u8]) -> Keyring {
        let secret = Secret::new(secret.to_vec());
        Keyring::single(Key::from_secret(Algorithm::HS256, &secret, Some("k".to_owned())).unwrap())
    }

    fn codes(claims: &Value, secret: &[u8]) -> Vec<&'static str> {
        let token = Sealer::jws(Arc::clone(ring(secret).active()))
            .seal(claims.to_string().as_bytes(), Typ::Jwt, NOW)
            .unwrap();
        let checks = Expected { issuer: Some("i"), audiences: &["a", "b"] };
        let own = ring(b"0123456789abcdef0123456789abcdef");
        verify(&token, own.verifiers(), &checks, NOW).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn every_reason_is_given_and_a_good_token_has_none() {
        let good = json!({ "iss": "i", "aud": "b", "exp": 1_000_060, "nbf": 1_000_060, "iat": 1_000_060 });
        let own = b"0123456789abcdef0123456789abcdef";
        assert_eq!(codes(&good, own), [""; 0]);
        assert_eq!(codes(&json!({ "iss": "i", "aud": ["x", "a"], "exp": 999_941.5 }), own), [""; 0]);
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
            (&json!({}), b"x", &["signature", "expired", "issuer", "audience"]),
        ] {
            assert_eq!(codes(claims, secret), expected, "{claims}");
        }
    }

    #[test]
    fn kinds_exclude_each_other() {
        let all =
            json!({ "iss": "i", "exp": 1, "aud": "a", "sub": "s", "client_id": "c", "iat": 1, "jti": "j" });
        let read = |claims: &Value| Unverified::of_claims(claims.to_string().as_bytes()).unwrap();
        let at = Some(Typ::AccessToken);
        for (typ, asked, count) in [
            (None, None, 0),
            (Some("JWT"), None, 0),
            (Some("jwt"), Some(Typ::Jwt), 0),
            (Some("at+jwt"), None, 0),
            (Some("application/at+jwt"), at, 0),
            (None, Some(Typ::Jwt), 1),
            (None, at, 1),
            (Some("JWT"), at, 1),
            (Some("at+jwt"), Some(Typ::Jwt), 1),
            (Some("dpop+jwt"), None, 1),
            (Some("logout+jwt"), at, 1),
        ] {
            assert_eq!(kind(&read(&all), typ, asked).len(), count, "{typ:?} {asked:?}");
        }
        let findings = kind(&read(&json!({ "iss": "i" })), Some("at+jwt"), None);
        assert!(findings.len() == 6 && findings.iter().all(|finding| finding.code == "claims"));
    }

    #[test]
    fn what_is_no_token_has_one_reason() {
        let findings = verify("abc", ring(b"x").verifiers(), &Expected::default(), NOW);
        assert_eq!((findings.len(), findings[0].code), (1, "malformed"));
    }
}
