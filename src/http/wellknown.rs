//! `/.well-known/`: what verifiers need to know of this issuer.
//!
//! Owns the two documents and how long they may be kept. Must not know who asks: both are public. Decision:
//! the discovery document claims nothing that we don't do. There is no authorization endpoint, and no grant
//! but the registry's own on `/v2/token`, which is a protocol of its own and so not announced as OAuth's
//! `token_endpoint`: both lists are empty rather than left to their defaults, which would promise some
//! (RFC 8414, 2). What libraries such as go-oidc read of it (`issuer`, `jwks_uri`, the algorithms) is all true.

use super::State;
use super::response::Response;
use crate::key::keyring::Keyring;
use crate::login::clients::Act;
use serde_json::{Map, Value, json};

/// A staged key must have been here for longer than this before it signs.
const CACHE: &str = "public, max-age=300";

/// `GET /.well-known/jwks.json`: the bytes of `keypebble keys export --format jwks`.
pub(super) fn jwks(keyring: &Keyring) -> Response {
    Response::json(200, keyring.jwks_text().into_bytes()).header("Cache-Control", CACHE)
}

/// `GET /.well-known/openid-configuration` (`OpenID` Connect Discovery 1.0, 3) and
/// `GET /.well-known/oauth-authorization-server` (RFC 8414, 3).
///
/// The endpoints that clients ask about tokens are named only where there are such clients, and the one that ends
/// tokens only where a store remembers that.
pub(super) fn discovery(state: &State, remembers: bool) -> Response {
    let issuer = &state.issuer;
    let mut document = Map::new();
    document.insert("issuer".to_owned(), issuer.name().into());
    if let Some(base) = url(issuer.name()) {
        document.insert("jwks_uri".to_owned(), format!("{base}/.well-known/jwks.json").into());
        for (name, path, there) in [
            ("introspection_endpoint", "/introspect", state.clients.any_may(Act::Introspect)),
            ("revocation_endpoint", "/revoke", remembers && state.clients.any_may(Act::Revoke)),
        ] {
            if there {
                let methods = json!(["client_secret_basic", "client_secret_post"]);
                document.insert(name.to_owned(), format!("{base}{path}").into());
                document.insert(format!("{name}_auth_methods_supported"), methods);
            }
        }
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
    use crate::config::{Config, Profiles};
    use crate::ground::document::Document;
    use crate::policy::Enforcement;
    use std::path::Path;

    fn state(name: &str, more: &str) -> State {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");
        let yaml = format!("issuer: \"{name}\"\naudience: a\n{more}");
        let mut config = Config::read(&Document::parse(Path::new(here), yaml).unwrap()).unwrap();
        let (clients, service) = (std::mem::take(&mut config.clients), config.service.clone());
        State::new(config.into_issuer(), Enforcement::Off, None, clients, Profiles::default(), &service)
    }

    fn discovered(state: &State, remembers: bool) -> Value {
        serde_json::from_slice(&discovery(state, remembers).body).unwrap()
    }

    #[test]
    fn discovery_says_what_is_true() {
        let found = discovered(&state("https://keys.example.com/a/", "private_key_path: p256.pem"), true);
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
            let found = discovered(&state(name, "private_key_path: p256.pem"), true);
            assert_eq!(found.get("jwks_uri"), None, "{name}");
            assert_eq!(found["issuer"], name);
        }
    }

    #[cfg(feature = "passwords")]
    #[test]
    fn endpoints_are_named_where_somebody_can_use_them() {
        const HASH: &str = "$2b$10$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let methods = json!(["client_secret_basic", "client_secret_post"]);
        for (name, may, remembers, named) in [
            ("https://a/", "introspect, revoke", true, [true, true]),
            ("https://a", "introspect, revoke", false, [true, false]),
            ("https://a", "revoke", true, [false, true]),
            ("https://a", "introspect", true, [true, false]),
            ("a", "introspect, revoke", true, [false, false]),
        ] {
            let more = format!("secret: x\nclients: [{{name: c, hash: {HASH}, may: [{may}]}}]");
            let found = discovered(&state(name, &more), remembers);
            let endpoints = [
                ("introspection_endpoint", "https://a/introspect"),
                ("revocation_endpoint", "https://a/revoke"),
            ];
            for ((endpoint, address), named) in endpoints.into_iter().zip(named) {
                let expected =
                    if named { [json!(address), methods.clone()] } else { [Value::Null, Value::Null] };
                let of = |name: &str| found.get(name).cloned().unwrap_or_default();
                assert_eq!(
                    [of(endpoint), of(&format!("{endpoint}_auth_methods_supported"))],
                    expected,
                    "{name} {may}"
                );
            }
        }
    }

    #[test]
    fn a_shared_secret_is_in_neither_document() {
        let state = state("https://a", "secret: 0123456789abcdef0123456789abcdef");
        assert_eq!(discovered(&state, false)["id_token_signing_alg_values_supported"], json!([]));
        let answer = jwks(state.issuer.keyring());
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({ "keys": [] }));
        assert!(answer.headers.contains(&("Cache-Control", "public, max-age=300".into())));
    }
}
