//! Public keys as their files have them: PEM texts.

use super::PublicKey;
use crate::key::algorithm::Algorithm;
use crate::key::error::KeyError;
use crate::key::form::Form;
use crate::key::kind::Kind;
use crate::key::numbers::Numbers;
use crate::key::pem;
use crate::key::x509::X509;

impl PublicKey {
    /// Reads the first public key of a PEM text, or the key of its first certificate, whichever comes first.
    /// A text with a private key is refused.
    ///
    /// Without an algorithm, the key's default: RS256 for RSA.
    pub fn from_pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<PublicKey, KeyError> {
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
                    Ok((Form::Spki, der)) => Some(PublicKey::from_spki(&der, algorithm)),
                    Ok((Form::RsaPublic, der)) => Some(
                        Numbers::read(Kind::Rsa, &der)
                            .and_then(|numbers| PublicKey::new(Kind::Rsa, numbers, algorithm)),
                    ),
                    Ok((Form::Certificate, der)) => Some(
                        X509::from_der(&der)
                            .and_then(|certificate| PublicKey::from_spki(certificate.spki(), algorithm)),
                    ),
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
}
