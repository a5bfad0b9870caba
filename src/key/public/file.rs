//! Public keys as their files have them: PEM texts and JWKs.

use super::PublicKey;
use crate::key::algorithm::Algorithm;
use crate::key::error::KeyError;
use crate::key::form::Form;
use crate::key::jwk::{self, Jwk};
use crate::key::kind::Kind;
use crate::key::numbers::Numbers;
use crate::key::pem;
use crate::key::x509::X509;

impl PublicKey {
    /// The public key of a file, in PEM or as a JWK, as [`PublicKey::from_pem`]; and a JWK's `kid`.
    pub fn read(text: &[u8], algorithm: Option<Algorithm>) -> Result<(PublicKey, Option<String>), KeyError> {
        if !jwk::is_json(text) {
            return PublicKey::from_pem(text, algorithm).map(|key| (key, None));
        }
        let jwk = Jwk::parse(text)?;
        if jwk.is_private() && !jwk.is_shared() {
            return Err(KeyError::NotPublic { found: "a private JWK".to_owned() });
        }
        Ok((jwk.public_key(algorithm)?, jwk.kid()?))
    }

    /// Reads the first public key of a PEM text, or the key of its first certificate, whichever comes first.
    /// A text with a private key is refused.
    ///
    /// Without an algorithm, the key's default: RS256 for RSA.
    pub fn from_pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<PublicKey, KeyError> {
        let (kind, numbers) = read_numbers(text)?;
        PublicKey::new(kind, numbers, algorithm)
    }
}

/// What the first public key of a PEM text is, also of one that signs nothing.
pub(crate) fn read_numbers(text: &[u8]) -> Result<(Kind, Numbers), KeyError> {
    let blocks = pem::blocks(text)?;
    let mut first = None;
    for block in &blocks {
        let label = block.label();
        let read = block.read();
        if read.as_ref().map_or(label.ends_with("PRIVATE KEY"), |(form, _)| form.is_private()) {
            let found = if label.ends_with("PRIVATE KEY") { label } else { "PRIVATE KEY" };
            return Err(KeyError::NotPublic { found: found.to_owned() });
        }
        if first.is_none() {
            first = match read {
                Ok((Form::Spki, der)) => Some(Numbers::read_spki(&der)),
                Ok((Form::RsaPublic, der)) => {
                    Some(Numbers::read(Kind::Rsa, &der).map(|numbers| (Kind::Rsa, numbers)))
                }
                Ok((Form::Certificate, der)) => {
                    Some(X509::from_der(&der).and_then(|certificate| Numbers::read_spki(certificate.spki())))
                }
                Err(error) if label.ends_with("PUBLIC KEY") || label == "CERTIFICATE" => Some(Err(error)),
                _ => None,
            };
        }
    }
    first.unwrap_or_else(|| {
        let found = blocks.first().map(|block| block.label().to_owned()).unwrap_or_default();
        Err(KeyError::NotPublic { found })
    })
}
