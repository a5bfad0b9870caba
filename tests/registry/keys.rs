//! Owns the signing keys, their certificates and key ids, all made by openssl.
//!
//! Key ids and JWKS are computed here, from their documents and not by Keypebble: what a registry is told
//! to trust must not come from the program under test.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::common::encode::{base32, base64url, from_base64url};
use crate::common::{Folder, output};
use crate::tools::sha256;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
    Hs256,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Hs256 => "HS256",
        }
    }
}

/// How a token names its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyId {
    Kid,
    X5c,
}

/// A private key and its self-signed certificate, in a folder of the test's.
pub(crate) struct SigningKey {
    pub(crate) private: PathBuf,
    pub(crate) certificate: PathBuf,
    public_der: Vec<u8>,
    algorithm: Algorithm,
}

impl SigningKey {
    /// For HS256 an RSA key: something must stand in the registry's bundle.
    pub(crate) fn new(folder: &Folder, name: &str, algorithm: Algorithm) -> Self {
        loop {
            let key = SigningKey::of_pem(folder, name, algorithm, &private_pem(algorithm));
            // One EC key in 128 has a coordinate that begins with a zero, which distribution 3 leaves out.
            let is_short = |name| key.jwk()[name].as_str().is_some_and(|text| from_base64url(text)[0] == 0);
            if !["x", "y"].into_iter().any(is_short) {
                return key;
            }
        }
    }

    /// With a private key that is there already.
    pub(crate) fn of_pem(folder: &Folder, name: &str, algorithm: Algorithm, pem: &str) -> Self {
        let private = folder.write(&format!("{name}.key"), pem);
        let certificate = folder.path().join(format!("{name}.crt"));
        let (key, crt) = (private.to_str().unwrap(), certificate.to_str().unwrap());
        let subject = format!("/CN=keypebble {name}");
        let _ = output("openssl", &["req", "-x509", "-key", key, "-subj", &subject, "-out", crt], b"");
        let public_der = output("openssl", &["pkey", "-in", key, "-pubout", "-outform", "DER"], b"");
        SigningKey { private, certificate, public_der, algorithm }
    }

    /// libtrust: SHA-256 of the public key's DER, cut to 240 bits, in base32, in groups of four.
    pub(crate) fn libtrust_id(&self) -> String {
        let text = base32(&sha256(&self.public_der)[..30]);
        let groups: Vec<&str> = (0..text.len()).step_by(4).map(|at| &text[at..at + 4]).collect();
        groups.join(":")
    }

    /// What distribution 3 reads as `jwks`; its `kid` is the one that Keypebble chooses by itself.
    pub(crate) fn jwks(&self) -> String {
        let mut key = self.jwk();
        let kid = match self.algorithm {
            Algorithm::EdDsa => thumbprint(&key),
            _ => self.libtrust_id(),
        };
        key["kid"] = kid.into();
        json!({ "keys": [key] }).to_string()
    }

    /// The members that RFC 7638 hashes, no others.
    pub(crate) fn jwk(&self) -> Value {
        let last = |count: usize| &self.public_der[self.public_der.len() - count..];
        match self.algorithm {
            Algorithm::Rs256 | Algorithm::Hs256 => {
                let private = self.private.to_str().unwrap();
                let text = output("openssl", &["rsa", "-in", private, "-noout", "-modulus"], b"");
                let text = String::from_utf8(text).unwrap();
                let digits = text.trim().strip_prefix("Modulus=").unwrap();
                let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                let modulus: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
                json!({ "kty": "RSA", "n": base64url(&modulus), "e": "AQAB" })
            }
            Algorithm::Es256 => json!({
                "kty": "EC", "crv": "P-256", "x": base64url(&last(64)[..32]), "y": base64url(last(32)),
            }),
            Algorithm::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(last(32)) }),
        }
    }
}

/// RFC 7638: the hash of the members in order of their names, without white space.
pub(crate) fn thumbprint(key: &Value) -> String {
    let sorted: std::collections::BTreeMap<&String, &Value> = key.as_object().unwrap().iter().collect();
    base64url(&sha256(serde_json::to_string(&sorted).unwrap().as_bytes()))
}

/// One private key for each algorithm and process, as making an RSA key takes long; a second one of the
/// same algorithm comes from `fresh_pem`.
fn private_pem(algorithm: Algorithm) -> String {
    static RSA: OnceLock<String> = OnceLock::new();
    match algorithm {
        Algorithm::Rs256 | Algorithm::Hs256 => RSA.get_or_init(|| fresh_pem(algorithm)).clone(),
        Algorithm::Es256 | Algorithm::EdDsa => fresh_pem(algorithm),
    }
}

fn fresh_pem(algorithm: Algorithm) -> String {
    let args: &[&str] = match algorithm {
        Algorithm::Rs256 | Algorithm::Hs256 => {
            &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        }
        Algorithm::Es256 => &["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
        Algorithm::EdDsa => &["genpkey", "-algorithm", "ed25519"],
    };
    String::from_utf8(output("openssl", args, b"")).unwrap()
}

/// The certificate of a key that signs nothing.
pub(crate) fn strangers_certificate(folder: &Folder, algorithm: Algorithm) -> PathBuf {
    let key = folder.write("stranger.key", &fresh_pem(algorithm));
    let certificate = folder.path().join("stranger.crt");
    let (key, crt) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let _ = output("openssl", &["req", "-x509", "-key", key, "-subj", "/CN=stranger", "-out", crt], b"");
    assert!(fs::metadata(&certificate).unwrap().len() > 0);
    certificate
}
