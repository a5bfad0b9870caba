//! What a program is told to trust: certificates, a JWKS, one key.
//!
//! Owns reading the files as the program does, and why it would not start with them. Must not know tokens.

use super::go;
use super::jwks::{Entry, Held, Trouble, entries};
use super::rules::Program;
use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::secret::Secret;
use crate::ground::{base64, digest};
use crate::key::x509::X509;
use crate::key::{Key, KeyError, PublicKey, base64url};
use serde_json::Value;

/// What a program trusts. Each part is there if its file was given.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    bundle: Option<Bundle>,
    jwks: Option<Result<Vec<Entry>, Trouble>>,
    /// The one key of zot, from whichever file was given.
    only: Option<Result<Held, Trouble>>,
}

#[derive(Debug, Clone)]
struct Bundle {
    /// Its certificates; `None` if one of the blocks is not a certificate.
    certificates: Option<Vec<X509>>,
    /// How many certificates a person sees in it that a program does not.
    passed_over: usize,
}

impl Trust {
    /// With the file of `rootcertbundle`.
    #[must_use]
    pub fn with_bundle(mut self, file: &[u8]) -> Trust {
        const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
        let blocks = go::pem(file);
        let certificates: Vec<_> = blocks.iter().filter(|(label, _)| label == b"CERTIFICATE").collect();
        let begun = file.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
        self.bundle = Some(Bundle {
            passed_over: begun.saturating_sub(certificates.len()),
            certificates: certificates.iter().map(|(_, der)| X509::from_der(der).ok()).collect(),
        });
        self.with_key(file)
    }

    /// With the file of `jwks`.
    #[must_use]
    pub fn with_jwks(mut self, file: &[u8]) -> Trust {
        self.jwks = Some(entries(file));
        self.with_key(file)
    }

    /// With the one file of zot: a certificate, a public key, or a JWKS of one key.
    #[must_use]
    pub fn with_key(mut self, file: &[u8]) -> Trust {
        self.only.get_or_insert_with(|| only_key(file));
        self
    }

    /// The keys of its certificates that are known here.
    pub(super) fn certificate_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.certificates().iter().filter_map(|one| one.key().ok())
    }

    /// The certificates; empty if none were given.
    pub(super) fn certificates(&self) -> &[X509] {
        self.bundle.as_ref().and_then(|bundle| bundle.certificates.as_deref()).unwrap_or_default()
    }

    /// Whether a `rootcertbundle` was given.
    pub(super) fn has_bundle(&self) -> bool {
        self.bundle.is_some()
    }

    /// The entries of the JWKS; empty if none was given.
    pub(super) fn entries(&self) -> &[Entry] {
        self.jwks.as_ref().and_then(|jwks| jwks.as_deref().ok()).unwrap_or_default()
    }

    /// Whether it holds this key in any form.
    pub fn holds(&self, key: &PublicKey) -> bool {
        let jwks = self.entries().iter().filter_map(|entry| match &entry.held {
            Held::Key(key) => Some(key),
            _ => None,
        });
        self.certificate_keys().chain(jwks).any(|known| known.matches(key))
    }

    /// Why the program would not start with this, which refuses every token.
    pub fn start(&self, program: Program) -> Vec<Diagnostic> {
        let title = program.title();
        let refuse =
            |(what, hint): (&str, &str)| Diagnostic::error("no-start", format!("{title} {what}")).hint(hint);
        let mut findings: Vec<Diagnostic> = self.lacks(program).map(refuse).into_iter().collect();
        let (file, trouble) = match program {
            Program::Zot => ("cert", self.only.as_ref().and_then(|only| only.as_ref().err())),
            Program::Registry3 => ("jwks", self.jwks.as_ref().and_then(|jwks| jwks.as_ref().err())),
            Program::Registry28 => ("jwks", None),
        };
        match trouble {
            Some(Trouble::Refused(why)) => findings.push(refuse((
                &format!("does not start: it does not read its {file}: {}", shortened(why, 200)),
                "leave out what stops it, or give it the JWKS that Keypebble serves",
            ))),
            Some(Trouble::Unknown(why)) => findings.push(Diagnostic::unknown(
                "no-start",
                format!("whether {title} starts cannot be told: its {file}: {}", shortened(why, 200)),
            )),
            None => {}
        }
        if program != Program::Zot {
            findings.extend(self.bundle_oddities(title));
        }
        findings
    }

    /// What is missing or wrong in the files as a whole, and the cure.
    fn lacks(&self, program: Program) -> Option<(&'static str, &'static str)> {
        let certificates = self.certificates();
        let broken = self.bundle.as_ref().is_some_and(|bundle| bundle.certificates.is_none());
        Some(match program {
            Program::Zot if self.only.is_none() => {
                ("has no key to check tokens with", "give its certificate or public key")
            }
            Program::Zot => return None,
            _ if broken => (
                "does not start: a CERTIFICATE block of its rootcertbundle is not a certificate",
                "make the file again: openssl x509 -in FILE shows what is in it",
            ),
            Program::Registry28 if self.bundle.is_none() => (
                "does not start without `rootcertbundle`: it knows no `jwks`",
                "give it the certificate of the signing key as rootcertbundle",
            ),
            Program::Registry28 if certificates.is_empty() => (
                "does not start: it finds no certificate in its rootcertbundle",
                "a public key is not enough: make a self-signed certificate of the signing key",
            ),
            Program::Registry28 if self.certificate_keys().any(|key| !is_rsa_or_ec(key)) => (
                "does not start: its rootcertbundle holds a certificate that is neither for RSA nor EC",
                "use an RSA or EC key (RS256 or ES256), or distribution 3",
            ),
            Program::Registry3
                if certificates.is_empty()
                    && !matches!(&self.jwks, Some(Err(_)))
                    && self.entries().is_empty() =>
            {
                (
                    "does not start: it finds neither a certificate nor a key",
                    "give it the JWKS of the signing key as jwks",
                )
            }
            _ => return None,
        })
    }

    /// Certificates that are not read here, and those that the program does not see.
    fn bundle_oddities(&self, title: &str) -> Vec<Diagnostic> {
        let known =
            |error: &&KeyError| matches!(error, KeyError::Unsupported { what } if !what.ends_with("P-521"));
        let errors = self.certificates().iter().filter_map(|one| one.key().err()).filter(known);
        let mut findings: Vec<Diagnostic> = errors
            .map(|error| {
                let what = format!("whether {title} starts cannot be told: a certificate's key: {error}");
                Diagnostic::unknown("no-start", what)
            })
            .collect();
        let passed_over = self.bundle.as_ref().map_or(0, |bundle| bundle.passed_over);
        if passed_over > 0 {
            let what = format!("{title} skips {passed_over} certificate(s) of its rootcertbundle");
            let finding = Diagnostic::warning("bundle", what)
                .why("BEGIN and END must each be alone on a line, with nothing before them");
            findings.push(
                finding.hint("leave out byte order marks and indentation, and end lines with a line feed"),
            );
        }
        findings
    }

    /// The one key of a program that has one.
    pub(super) fn only_key(&self) -> Option<&Held> {
        self.only.as_ref()?.as_ref().ok()
    }
}

/// What zot takes out of its file: the key of a JWKS that has one, or of the first PEM block.
fn only_key(file: &[u8]) -> Result<Held, Trouble> {
    match entries(file) {
        Ok(mut list) => {
            return match (list.pop(), list.len()) {
                (Some(entry), 0) if entry.private => Ok(Held::Useless("a private key")),
                (Some(entry), 0) => Ok(entry.held),
                _ => Err(Trouble::Refused("a JWKS of one key is expected".to_owned())),
            };
        }
        Err(unknown @ Trouble::Unknown(_)) => return Err(unknown),
        Err(Trouble::Refused(_)) => {}
    }
    let blocks = go::pem(file);
    let Some((label, der)) = blocks.first() else {
        return Err(Trouble::Refused("it finds neither a PEM block nor a JWKS".to_owned()));
    };
    let held = |read: Result<PublicKey, KeyError>| match read {
        Ok(key) => Some(Held::Key(key)),
        Err(error @ (KeyError::Unsupported { .. } | KeyError::RsaSize { .. } | KeyError::RsaExponent)) => {
            Some(Held::Unread(error.to_string()))
        }
        Err(_) => None,
    };
    if let Ok(certificate) = X509::from_der(der) {
        return Ok(match certificate.key() {
            Ok(key) => Held::Key(key.clone()),
            Err(error) => Held::Unread(error.to_string()),
        });
    }
    let pkcs1 = || {
        let base64 = base64::standard(der);
        let text = format!("-----BEGIN RSA PUBLIC KEY-----\n{base64}\n-----END RSA PUBLIC KEY-----\n");
        PublicKey::from_pem(text.as_bytes(), None)
    };
    held(PublicKey::from_spki(der, None)).or_else(|| held(pkcs1())).ok_or_else(|| {
        let label = shortened(&String::from_utf8_lossy(label), 40);
        Trouble::Refused(format!("its first PEM block, `{label}`, is neither a certificate nor a public key"))
    })
}

fn is_rsa_or_ec(key: &PublicKey) -> bool {
    let name = key.algorithm().name();
    name.starts_with("RS") || name.starts_with("ES")
}

/// The public key of a PEM text of any kind.
pub fn public_key(pem: &Secret) -> Result<PublicKey, KeyError> {
    match PublicKey::read(pem.expose(), None) {
        Err(KeyError::NotPublic { found }) if found.ends_with("PRIVATE KEY") || found == "a private JWK" => {
            let key = Key::read(pem, None, None)?;
            key.public().cloned().ok_or(KeyError::NotPublic { found })
        }
        read => read.map(|(key, _)| key),
    }
}

/// The thumbprint as distribution 3 computes it: of RFC 7638, but without the leading zeros of an EC
/// key's coordinates, so that one key in 128 has another id than the RFC says (util.go).
pub(crate) fn thumbprint_of_registry_3(key: &PublicKey) -> String {
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
