//! A configuration file, as if it lay beside the keys of the tests, and the issuer that it makes.

use super::keys_folder;
use keypebble::claims::Allowed;
use keypebble::config::Config;
use keypebble::ground::document::{Document, DocumentError};
use keypebble::ground::time::{Ttl, UnixTime};
use keypebble::issuer::{Issuance, Profile};
use keypebble::key::algorithm::Algorithm;
use keypebble::token;
use serde_json::Value;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Files that never end, or that change.
    if ["/dev", "/proc", "/sys", "..", "stdin"].iter().any(|path| text.contains(path)) {
        return;
    }
    let path = keys_folder().join("config.yaml");
    let read = Document::parse(&path, text.to_owned()).and_then(|document| Config::read(&document));
    match read {
        Ok(config) => issues(config),
        // A folder of keys has a file of its own.
        Err(error) if error.path != path => assert!(!error.problem.is_empty()),
        Err(error) => placed(text, &error),
    }
}

/// An error says where it is and what is wrong, and shows the line that it speaks of or none.
pub fn placed(text: &str, error: &DocumentError) {
    let shown = error.to_string();
    assert!(!error.problem.is_empty() && shown.starts_with(&*error.path.to_string_lossy()), "{shown}");
    let Some((line, column)) = error.location else {
        // Only what speaks of the whole of a file without content has no place in it.
        assert!(error.at.is_empty() && error.line.is_none() && is_empty(text), "no place: {shown}");
        return;
    };
    // YAML 1.1, 5.4.
    let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split(breaks);
    assert!(line >= 1 && column >= 1 && line <= lines.clone().count() + 1, "{shown}");
    if let Some(excerpt) = &error.line {
        assert_eq!(lines.nth(line - 1), Some(excerpt.as_str()), "{shown}");
        assert!(!excerpt.to_ascii_lowercase().contains("secret") && !excerpt.contains("PRIVATE KEY"));
        assert!(error.excerpt().unwrap().lines().count() >= 2);
    }
}

/// Nothing but comments, blanks and document markers.
fn is_empty(text: &str) -> bool {
    let content = |line: &str| !matches!(line.trim(), "" | "---" | "...") && !line.trim().starts_with('#');
    !text.trim_start_matches('\u{feff}').lines().any(content)
}

fn issues(config: Config) {
    assert!(!config.issuer.is_empty() && !config.audience.is_empty());
    assert!(config.lifetimes.default <= config.lifetimes.max);
    for wanted in [Ttl::REGISTRY_MIN, Ttl::DEFAULT, Ttl::MAX] {
        let ttl = config.lifetimes.registry(wanted);
        assert!(ttl >= Ttl::REGISTRY_MIN && ttl <= config.lifetimes.max.max(Ttl::REGISTRY_MIN));
    }
    let issuer = config.into_issuer();
    // Public members alone (RFC 7518, 6).
    let public = ["kty", "crv", "x", "y", "n", "e", "pub", "alg", "use", "kid"];
    for key in issuer.keyring().jwks()["keys"].as_array().unwrap() {
        assert!(key.as_object().unwrap().keys().all(|name| public.contains(&name.as_str())), "{key}");
    }
    let quick = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512, Algorithm::EdDSA, Algorithm::ES256];
    if !quick.contains(&issuer.keyring().active().algorithm()) {
        return;
    }
    let issuance = Issuance {
        profile: Profile::Generic(&Allowed::default()),
        subject: "",
        audience: issuer.audience(),
        ttl: issuer.lifetimes().default,
    };
    let issued = issuer.issue(&issuance, UnixTime(1_000_000), "id".to_owned()).unwrap();
    // An HMAC key without an id is found only where it is alone, which a keyring sees to.
    let payload = token::verify(issued.token.expose(), issuer.keyring().verifiers());
    let Ok(payload) = payload else {
        assert!(issued.token.expose().len() > token::MAX_TOKEN, "{payload:?}");
        return;
    };
    assert_eq!(payload, issued.claims.as_bytes());
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["iss"], issuer.name());
    assert_eq!(payload["aud"], issuer.audience());
    assert_eq!(payload["exp"], 1_000_000 + i64::from(issuer.lifetimes().default.seconds()));
}
