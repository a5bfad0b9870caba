//! `/.well-known/`: what verifiers need to know of this issuer.
//!
//! Owns the two documents and how long they may be kept. Must not know who asks: both are public. Decision:
//! the discovery document claims nothing that we don't do. There is no authorization endpoint, and no grant
//! but the registry's own on `/v2/token`, which is a protocol of its own and so not announced as OAuth's
//! `token_endpoint`: both lists are empty rather than left to their defaults, which would promise some
//! (RFC 8414, 2). What libraries such as go-oidc read of it (`issuer`, `jwks_uri`, the algorithms) is all true.

use super::response::Response;
use crate::issuer::Issuer;
use crate::key::keyring::Keyring;
use serde_json::{Map, Value, json};

/// A staged key must have been here for longer than this before it signs.
const CACHE: &str = "public, max-age=300";

/// `GET /.well-known/jwks.json`: the bytes of `keypebble keys export --format jwks`.
pub(super) fn jwks(keyring: &Keyring) -> Response {
    Response::json(200, keyring.jwks_text().into_bytes()).header("Cache-Control", CACHE)
}

/// `GET /.well-known/openid-configuration` (`OpenID` Connect Discovery 1.0, 3; RFC 8414).
pub(super) fn discovery(issuer: &Issuer) -> Response {
    let mut document = Map::new();
    document.insert("issuer".to_owned(), issuer.name().into());
    if let Some(base) = url(issuer.name()) {
        document.insert("jwks_uri".to_owned(), format!("{base}/.well-known/jwks.json").into());
    }
    let mut algorithms: Vec<&str> = Vec::new();
    for key in issuer.keyring().verifiers().iter().filter_map(|key| key.public()) {
        let name = key.algorithm().name();
        if !algorithms.contains(&name) {
            algorithms.push(name);
        }
    }
    document.insert("id_token_signing_alg_values_supported".to_owned(), json!(algorithms));
    document.insert("subject_types_supported".to_owned(), json!(["public"]));
    document.insert("response_types_supported".to_owned(), json!([]));
    document.insert("grant_types_supported".to_owned(), json!([]));
    let text = format!("{:#}\n", Value::Object(document));
    Response::json(200, text.into_bytes()).header("Cache-Control", CACHE)
}

/// The issuer without a slash at its end, where it is an address that something can be fetched from.
fn url(issuer: &str) -> Option<&str> {
    let rest = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"))?;
    let plain = |c: char| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c);
    (!rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain))
        .then(|| issuer.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ground::document::Document;
    use std::path::Path;

    fn issuer(name: &str, key: &str) -> Issuer {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");
        let yaml = format!("issuer: \"{name}\"\naudience: a\n{key}");
        Config::read(&Document::parse(Path::new(here), yaml).unwrap()).unwrap().into_issuer()
    }

    fn discovered(issuer: &Issuer) -> Value {
        serde_json::from_slice(&discovery(issuer).body).unwrap()
    }

    #[test]
    fn discovery_says_what_is_true() {
        let found = discovered(&issuer("https://keys.example.com/a/", "private_key_path: p256.pem"));
        assert_eq!(
            found,
            json!({
                "issuer": "https://keys.example.com/a/",
                "jwks_uri": "https://keys.example.com/a/.well-known/jwks.json",
                "id_token_signing_alg_values_supported": ["ES256"],
                "subject_types_supported": ["public"],
                "response_types_supported": [],
                "grant_types_supported": [],
            })
        );
        for name in ["registry.example.com", "https://", "http:///x", "https://a b", "urn:x", "https://a?b"] {
            let found = discovered(&issuer(name, "private_key_path: p256.pem"));
            assert_eq!(found.get("jwks_uri"), None, "{name}");
            assert_eq!(found["issuer"], name);
        }
    }

    #[test]
    fn a_shared_secret_is_in_neither_document() {
        let issuer = issuer("https://a", "secret: 0123456789abcdef0123456789abcdef");
        assert_eq!(discovered(&issuer)["id_token_signing_alg_values_supported"], json!([]));
        let answer = jwks(issuer.keyring());
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({ "keys": [] }));
        assert!(answer.headers.contains(&("Cache-Control", "public, max-age=300".into())));
    }
}
