//! Key files: PEM texts, DER (which gets a PEM text around it, its label chosen by the first byte), and JWK.

use super::base64::{self, STANDARD};
use keypebble::diagnosis::verdict::{Program, Trust};
use keypebble::ground::secret::Secret;
use keypebble::key::keyring::KeySet;
use keypebble::key::x509::X509;
use keypebble::key::{Chain, Key, PublicKey};
use serde_json::{Value, json};

const LABELS: [&str; 7] = [
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "CERTIFICATE",
    "ENCRYPTED PRIVATE KEY",
];

pub fn check(bytes: &[u8]) {
    trusted(bytes);
    if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        pem(bytes);
    } else if let Ok(jwk) = serde_json::from_slice::<Value>(bytes) {
        json_key(&jwk);
    } else if let [label, der @ ..] = bytes {
        if let Ok(key) = PublicKey::from_spki(der, None) {
            public(&key);
        }
        let _ = X509::from_der(der).map(|certificate| judged(&certificate));
        let label = LABELS[usize::from(*label) % LABELS.len()];
        let base64 = base64::encode(STANDARD, true, der);
        pem(format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n").as_bytes());
    }
}

fn pem(text: &[u8]) {
    match Key::from_pem(&Secret::new(text.to_vec()), None, None) {
        Ok(key) => private(&key),
        Err(error) => message(&error.to_string()),
    }
    match PublicKey::from_pem(text, None) {
        Ok(key) => public(&key),
        Err(error) => message(&error.to_string()),
    }
    match Chain::from_pem(text) {
        Ok(chain) => {
            assert_eq!(chain.certificates().len(), chain.x5c().len());
            public(chain.leaf_public_key());
            assert_eq!(chain.position_of(chain.leaf_public_key()), Some(0));
            let leaf = X509::from_base64(&chain.x5c()[0]).unwrap();
            assert_eq!((leaf.not_before(), leaf.not_after()), chain.leaf_validity());
        }
        Err(error) => message(&error.to_string()),
    }
}

/// What a registry would make of it.
fn trusted(file: &[u8]) {
    let trust = Trust::default().with_bundle(file).with_jwks(file);
    for program in Program::ALL {
        for found in trust.start(program) {
            message(&found.what);
        }
    }
}

/// A message for a terminal, of bounded length: a key file is nobody's business.
fn message(text: &str) {
    assert!(!text.is_empty() && text.len() < 400 && !text.chars().any(char::is_control), "{text:?}");
}

/// What was loaded signs, and its public half agrees.
fn private(key: &Key) {
    let own = key.public().expect("a key pair");
    assert_eq!(format!("{key:?}").matches("PRIVATE").count(), 0);
    public(own);
    let signature = key.sign(b"input").unwrap();
    assert!(key.verify(b"input", &signature) && !key.verify(b"other", &signature));
}

/// Every written form reads back as the same key.
fn public(key: &PublicKey) {
    let text = key.to_pem();
    assert!(PublicKey::from_pem(text.as_bytes(), Some(key.algorithm())).unwrap().matches(key));
    let again = PublicKey::from_jwk(&key.jwk(Some("id"))).unwrap();
    assert!(again.matches(key));
    assert_eq!((again.thumbprint(), again.default_id()), (key.thumbprint(), key.default_id()));
    assert_eq!(again.spki_der(), key.spki_der());
    assert!(!key.verify(b"input", b"") && !key.verify(b"input", &[0; 64]));
}

fn json_key(jwk: &Value) {
    match PublicKey::from_jwk(jwk) {
        Ok(key) => {
            public(&key);
            let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"];
            assert!(!private.iter().any(|name| jwk.get(name).is_some()));
            assert!(KeySet::from_jwks(&json!({ "keys": [jwk] })).is_ok());
        }
        Err(error) => message(&error.to_string()),
    }
    match KeySet::from_jwks(jwk) {
        Ok(set) => {
            let again = KeySet::from_jwks(&set.jwks()).unwrap();
            assert!(set.iter().map(|key| key.id()).eq(again.iter().map(|key| key.id())));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn judged(certificate: &X509) {
    // Text of the certificate, which whoever shows it escapes.
    let _ = (certificate.name(), certificate.issuer_name());
    if let Ok(key) = certificate.key() {
        public(key);
    }
}
