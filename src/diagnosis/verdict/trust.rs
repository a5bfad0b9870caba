//! What a program is told to trust: certificates, a JWKS, one key.
//!
//! Owns reading them as the program does, and why it would not start with them. Must not know tokens.

use super::rules::Program;
use crate::ground::finding::{Finding, shortened};
use crate::ground::secret::Secret;
use crate::ground::{base64, digest};
use crate::key::x509::X509;
use crate::key::{Key, KeyError, PublicKey, base64url};
use serde_json::Value;

/// The most entries of a JWKS that are looked at.
const MAX_JWKS: usize = 256;

/// What a program trusts. Each part is there where its file was given.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The certificates of `rootcertbundle`.
    pub certificates: Option<Vec<X509>>,
    /// The entries of `jwks`.
    pub jwks: Option<Vec<JwksEntry>>,
    /// The one key of a program that has one (zot).
    pub key: Option<PublicKey>,
}

/// An entry of a JWKS as distribution 3 takes it.
#[derive(Debug, Clone)]
pub struct JwksEntry {
    /// `kid`; empty where there is none.
    pub kid: String,
    /// Its key, whatever its `alg` and `use` say: the registry looks at neither.
    pub key: Result<PublicKey, KeyError>,
    /// Whether the registry reads keys of this `kty` and `crv`: one that it doesn't stops its start.
    readable: bool,
}

impl Trust {
    /// Reads a `rootcertbundle`. A file without a certificate is an empty bundle: [`Trust::start`] says so.
    pub fn with_bundle(mut self, pem: &[u8]) -> Result<Trust, KeyError> {
        self.certificates = Some(match X509::bundle(pem) {
            Err(KeyError::NotPem { .. }) => Vec::new(),
            bundle => bundle?,
        });
        Ok(self)
    }

    /// Reads a JWKS (RFC 7517, 5).
    pub fn with_jwks(mut self, json: &[u8]) -> Result<Trust, String> {
        let jwks: Value = serde_json::from_slice(json).map_err(|error| format!("not JSON: {error}"))?;
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or("a JWKS has a list `keys`")?;
        self.jwks = Some(keys.iter().take(MAX_JWKS).map(JwksEntry::read).collect());
        Ok(self)
    }

    /// Reads the one key: a public key, a certificate, or a private key, of which only the public half
    /// is kept.
    pub fn with_key(mut self, pem: &Secret) -> Result<Trust, KeyError> {
        self.key = Some(public_key(pem)?);
        Ok(self)
    }

    /// Why the program would not start with this, which refuses every token.
    pub fn start(&self, program: Program) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut refuse = |what: &str, mend: &str| {
            findings.push(Finding::error("no-start", format!("{} {what}", program.title())).mend(mend));
        };
        let certificates = self.certificates.as_deref();
        match program {
            Program::Registry28 => match certificates {
                None => refuse(
                    "does not start without `rootcertbundle`: it knows no `jwks`",
                    "give it the certificate of the signing key as rootcertbundle",
                ),
                Some([]) => refuse(
                    "does not start: its rootcertbundle holds no certificate",
                    "a public key is not enough: make a self-signed certificate of the signing key",
                ),
                Some(list) if list.iter().any(|one| one.key().is_ok_and(|key| !is_rsa_or_ec(key))) => refuse(
                    "does not start: its rootcertbundle holds a certificate that is neither for RSA nor EC",
                    "use an RSA or EC key (RS256 or ES256), or distribution 3",
                ),
                Some(_) => {}
            },
            Program::Registry3 => {
                let has_jwks = self.jwks.as_ref().is_some_and(|keys| !keys.is_empty());
                if certificates.is_none_or(<[X509]>::is_empty) && !has_jwks {
                    refuse(
                        "does not start: it is given neither a certificate nor a key",
                        "give it the JWKS of the signing key as jwks",
                    );
                }
                for entry in self.jwks.iter().flatten().filter(|entry| !entry.readable) {
                    let kid = shortened(&entry.kid, 80);
                    refuse(
                        &format!(
                            "does not start: an entry of its jwks (kid `{kid}`) is of a kind that it does not know"
                        ),
                        "leave that entry out",
                    );
                }
            }
            Program::Zot => {
                if self.only_key().is_none() {
                    refuse("has no key to check tokens with", "give its certificate or public key");
                }
            }
        }
        findings
    }

    /// The one key of a program that has one: `key`, else that of the first certificate.
    pub(super) fn only_key(&self) -> Option<&PublicKey> {
        self.key.as_ref().or_else(|| self.certificates.as_ref()?.first()?.key().ok())
    }
}

impl JwksEntry {
    fn read(entry: &Value) -> JwksEntry {
        let kid = entry.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
        // The registry looks at the numbers alone.
        let mut bare = entry.clone();
        if let Some(bare) = bare.as_object_mut() {
            bare.retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "n" | "e" | "x" | "y"));
        }
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let readable = matches!(
            (text("kty"), text("crv")),
            (Some("RSA" | "oct"), _)
                | (Some("EC"), Some("P-256" | "P-384" | "P-521"))
                | (Some("OKP"), Some("Ed25519"))
        );
        JwksEntry { kid, key: PublicKey::from_jwk(&bare), readable }
    }
}

fn is_rsa_or_ec(key: &PublicKey) -> bool {
    let name = key.algorithm().name();
    name.starts_with("RS") || name.starts_with("ES")
}

/// The public key of a PEM text of any kind.
pub fn public_key(pem: &Secret) -> Result<PublicKey, KeyError> {
    match PublicKey::from_pem(pem.expose(), None) {
        Err(KeyError::NotPublic { found }) if found.ends_with("PRIVATE KEY") => {
            let key = Key::from_pem(pem, None, None)?;
            key.public().cloned().ok_or(KeyError::NotPublic { found })
        }
        read => read,
    }
}

/// The thumbprint as distribution 3 computes it: of RFC 7638, but without the leading zeros of an EC
/// key's coordinates, so that one key in 128 has another id than the RFC says (util.go).
pub(super) fn thumbprint_of_registry_3(key: &PublicKey) -> String {
    let jwk = key.jwk(None);
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("kty") != "EC" {
        return key.thumbprint();
    }
    let short = |name: &str| {
        let bytes = base64::read(text(name)).unwrap_or_default();
        let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        base64url(bytes.get(start..).unwrap_or_default())
    };
    let canonical = format!(
        "{{\"crv\":\"{}\",\"kty\":\"EC\",\"x\":\"{}\",\"y\":\"{}\"}}",
        text("crv"),
        short("x"),
        short("y")
    );
    base64url(&digest::sha256(canonical.as_bytes()))
}
