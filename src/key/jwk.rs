//! Public keys as JWK (RFC 7517) and their thumbprint (RFC 7638).
//!
//! Owns the members that are written; what is read is in `read`. Decision: the members that a thumbprint hashes
//! and those of the JWK come from the same list, so that the two can't disagree; nothing here has access
//! to a private number, so that none can be written by mistake.

mod read;

pub(crate) use read::{Jwk, Use, is_json};

use super::kind::Kind;
use super::numbers::Numbers;
use super::public::PublicKey;
use crate::ground::base64::text as base64url;
use crate::ground::digest;
use serde_json::{Map, Value};

impl PublicKey {
    /// The JWK: `kty`, `alg`, `use`, `kid` where there is one, and the public members
    /// (RFC 7518, 6; RFC 8037, 2; the JOSE registry's AKP for ML-DSA).
    pub fn jwk(&self, kid: Option<&str>) -> Value {
        let mut jwk = Map::new();
        for (name, value) in members(self) {
            jwk.insert(name.to_owned(), Value::String(value));
        }
        jwk.insert("alg".to_owned(), self.algorithm().name().into());
        jwk.insert("use".to_owned(), "sig".into());
        if let Some(kid) = kid {
            jwk.insert("kid".to_owned(), kid.into());
        }
        Value::Object(jwk)
    }

    /// The thumbprint (RFC 7638, SHA-256, base64url). For ML-DSA the required members are `alg`, `kty`
    /// and `pub`.
    pub fn thumbprint(&self) -> String {
        // Every value is base64url or a registered name: nothing to escape.
        let members: Vec<String> =
            members(self).iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let canonical = format!("{{{}}}", members.join(","));
        base64url(&digest::sha256(canonical.as_bytes()))
    }
}

/// The members that identify the key (RFC 7638, 3.2; RFC 8037, 2), in lexical order.
fn members(key: &PublicKey) -> Vec<(&'static str, String)> {
    let mut members = numbers(key.kind(), key.numbers());
    if key.algorithm().is_ml_dsa() {
        members.insert(0, ("alg", key.algorithm().name().to_owned()));
    }
    members
}

/// The members that stand for the public numbers, in lexical order.
pub(crate) fn numbers(kind: Kind, numbers: &Numbers) -> Vec<(&'static str, String)> {
    let name = str::to_owned;
    match (kind, numbers) {
        (_, Numbers::Rsa { modulus, exponent }) => {
            vec![("e", base64url(exponent)), ("kty", name("RSA")), ("n", base64url(modulus))]
        }
        (kind @ (Kind::P256 | Kind::P384), Numbers::Bytes(point)) => {
            let curve = if kind == Kind::P256 { "P-256" } else { "P-384" };
            // 04 || x || y
            let (_, coordinates) = point.split_at(1);
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            vec![("crv", name(curve)), ("kty", name("EC")), ("x", base64url(x)), ("y", base64url(y))]
        }
        (kind @ (Kind::Ed25519 | Kind::X25519), Numbers::Bytes(bytes)) => {
            let curve = if kind == Kind::Ed25519 { "Ed25519" } else { "X25519" };
            vec![("crv", name(curve)), ("kty", name("OKP")), ("x", base64url(bytes))]
        }
        (_, Numbers::Bytes(bytes)) => vec![("kty", name("AKP")), ("pub", base64url(bytes))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::algorithm::Algorithm;
    use crate::key::{Key, KeyError};
    use serde_json::json;

    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/data/keys/", $name)).as_slice()
        };
    }

    fn public(pem: &[u8]) -> PublicKey {
        Key::from_pem(&Secret::new(pem.to_vec()), None, None).unwrap().public().unwrap().clone()
    }

    /// RFC 7638, 3.1.
    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let key = PublicKey::from_jwk(&json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP\
                  ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY\
                  368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f\
                  M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        }));
        assert_eq!(key.unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// RFC 8037, A.3; the others by Python's cryptography, json and hashlib from the same files. For ML-DSA
    /// that is also a check of the key expansion by another implementation.
    #[test]
    fn thumbprints_are_what_others_compute() {
        let rfc8037 = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let rfc8037 = PublicKey::from_jwk(&rfc8037).unwrap();
        assert_eq!(rfc8037.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        for (pem, expected) in [
            (file!("rsa2048.pem"), "XzCxFzAcsVFWETFF7RPBq6CJ5QnrM7B2sxjvQEUF15w"),
            (file!("p256.pem"), "uDKTQQorSVXEdvpXU-u3FlQfO0gLDBivc2NVgzt0zmQ"),
            (file!("p384.pem"), "3zY0DE9j92kfbciVnS2PaN2FpluKxA-FBgoENDs_gGk"),
            (file!("ed25519.pem"), "A4qo0iMTFTo-YXbiATanlOr49SVlVBwAnvR-JSM1bB4"),
            (file!("mldsa44.pem"), "PNOHbENuHwPe2ufm2-Wxc-Qfo3HrAxwDPISLfnKrBzU"),
            (file!("mldsa65.pem"), "hrudj80A5tLaEf8gd28OQCucH4KN7OFg9RwcIHRfqqw"),
            (file!("mldsa87.pem"), "HxKnm-gNh1rHFHXha1jJlYnP-77xu-kHaw4BO50qu8s"),
        ] {
            assert_eq!(public(pem).thumbprint(), expected);
        }
    }

    #[test]
    fn a_jwk_has_the_public_members_alone_and_reads_back() {
        for (pem, expected) in [
            (file!("rsa2048.pem"), &["alg", "e", "kid", "kty", "n", "use"][..]),
            (file!("p256.pem"), &["alg", "crv", "kid", "kty", "use", "x", "y"]),
            (file!("p384.pem"), &["alg", "crv", "kid", "kty", "use", "x", "y"]),
            (file!("ed25519.pem"), &["alg", "crv", "kid", "kty", "use", "x"]),
            (file!("mldsa44.pem"), &["alg", "kid", "kty", "pub", "use"]),
            (file!("mldsa87.pem"), &["alg", "kid", "kty", "pub", "use"]),
        ] {
            let key = public(pem);
            let jwk = key.jwk(Some("the id"));
            let mut names: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
            assert_eq!((&jwk["kid"], &jwk["use"]), (&json!("the id"), &json!("sig")));
            assert_eq!(PublicKey::from_jwk(&jwk).unwrap(), key);
            assert_eq!(key.jwk(None).get("kid"), None);
        }
        let ps384 = PublicKey::from_pem(file!("rsa2048-pub.pem"), Some(Algorithm::PS384)).unwrap();
        assert_eq!(ps384.jwk(None)["alg"], "PS384");
        assert_eq!(PublicKey::from_jwk(&ps384.jwk(None)).unwrap(), ps384);
    }

    #[test]
    fn unusable_jwks_say_why() {
        let ec = public(file!("p256.pem")).jwk(None);
        let with = |name: &str, value: Value| {
            let mut jwk = ec.clone();
            jwk[name] = value;
            jwk
        };
        let short = ec["x"].as_str().unwrap()[..40].to_owned();
        for (jwk, expected) in [
            (json!("x"), "not an object"),
            (json!({}), "`kty` is missing"),
            (json!({ "kty": "oct", "k": "AAAA" }), "a shared secret is not a public key"),
            (with("kty", json!("future")), "unknown `kty` or `crv`"),
            (with("crv", json!("P-521")), "unknown `kty` or `crv`"),
            (with("d", json!("AAAA")), "it holds a private key"),
            (with("use", json!("enc")), "its `use` is not `sig`"),
            (with("key_ops", json!(["sign"])), "its `key_ops` don't include `verify`"),
            (with("alg", json!("none")), "unknown `alg`"),
            (with("alg", json!("es256")), "unknown `alg`"),
            (with("alg", json!(1)), "`alg` is not a string"),
            (with("y", json!(null)), "a public member is missing"),
            (with("y", json!("!")), "a public member is not base64url"),
            (with("y", json!("A".repeat(5000))), "a public member is not base64url"),
            (with("x", json!(short)), "a coordinate has the wrong length"),
            (json!({ "kty": "AKP", "pub": "AAAA" }), "an AKP key needs `alg`"),
        ] {
            assert_eq!(PublicKey::from_jwk(&jwk).err(), Some(KeyError::Jwk { why: expected }), "{jwk}");
        }
        let hmac = PublicKey::from_jwk(&with("alg", json!("HS256")));
        assert!(matches!(hmac, Err(KeyError::WrongAlgorithm { .. })), "{hmac:?}");
    }
}
