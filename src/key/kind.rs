//! The types of asymmetric key that can sign tokens.
//!
//! Owns their names, their object identifiers and which algorithms each can do. Must not know key
//! material. Decision: a key's type comes from its own bytes only; a configured algorithm chooses among
//! what that type can do, and never changes how the bytes are read.

use super::der::{self, Reader};
use super::error::KeyError;
use crate::key::algorithm::Algorithm;

/// What an asymmetric key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

// RFC 3279 (2.3.1), RFC 5480 (2.1.1), RFC 8410 (3), RFC 9881 (2).
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
const ML_DSA_44: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11];
const ML_DSA_65: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12];
const ML_DSA_87: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13];

/// Known only to be named in a refusal.
const REFUSED: [(&[u8], &str); 10] = [
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A], "an RSA key restricted to PSS"),
    (&[0x2A, 0x86, 0x48, 0xCE, 0x38, 0x04, 0x01], "a DSA key"),
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x03, 0x01], "a Diffie-Hellman key"),
    (&[0x2B, 0x65, 0x6E], "an X25519 key"),
    (&[0x2B, 0x65, 0x6F], "an X448 key"),
    (&[0x2B, 0x65, 0x71], "an Ed448 key"),
    (&[0x2B, 0x81, 0x04, 0x00, 0x23], "an EC key on P-521"),
    (&[0x2B, 0x81, 0x04, 0x00, 0x0A], "an EC key on secp256k1"),
    (&[0x2B, 0x81, 0x04, 0x00, 0x21], "an EC key on P-224"),
    (&[0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07], "an EC key on brainpoolP256r1"),
];

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Rsa, Kind::P256, Kind::P384, Kind::Ed25519, Kind::MlDsa44, Kind::MlDsa65, Kind::MlDsa87];

    /// The kind that signs this algorithm; an HMAC's key is of none.
    pub(crate) fn of(algorithm: Algorithm) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.algorithms().contains(&algorithm))
    }

    /// As messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Rsa => "an RSA key",
            Kind::P256 => "an EC key on P-256",
            Kind::P384 => "an EC key on P-384",
            Kind::Ed25519 => "an Ed25519 key",
            Kind::MlDsa44 => "an ML-DSA-44 key",
            Kind::MlDsa65 => "an ML-DSA-65 key",
            Kind::MlDsa87 => "an ML-DSA-87 key",
        }
    }

    /// What it can sign, the default first: of RSA's, the only one that every registry takes.
    pub(crate) fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Kind::Rsa => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            Kind::P256 => &[Algorithm::ES256],
            Kind::P384 => &[Algorithm::ES384],
            Kind::Ed25519 => &[Algorithm::EdDSA],
            Kind::MlDsa44 => &[Algorithm::MlDsa44],
            Kind::MlDsa65 => &[Algorithm::MlDsa65],
            Kind::MlDsa87 => &[Algorithm::MlDsa87],
        }
    }

    /// The asked algorithm if the key can do it; without one, its default.
    pub(crate) fn choose(self, asked: Option<Algorithm>) -> Result<Algorithm, KeyError> {
        let can = self.algorithms();
        match asked {
            None => Ok(can[0]),
            Some(asked) if can.contains(&asked) => Ok(asked),
            Some(asked) => Err(KeyError::WrongAlgorithm { key: self.name(), asked, can }),
        }
    }

    /// The bytes of a private key that is no RSA key: an EC scalar, as long as a coordinate, or a seed.
    pub(crate) fn private_bytes(self) -> usize {
        if self == Kind::P384 { 48 } else { 32 }
    }

    /// Its object identifier, and that of its curve.
    fn oids(self) -> (&'static [u8], Option<&'static [u8]>) {
        match self {
            Kind::Rsa => (RSA, None),
            Kind::P256 => (EC, Some(P256)),
            Kind::P384 => (EC, Some(P384)),
            Kind::Ed25519 => (ED25519, None),
            Kind::MlDsa44 => (ML_DSA_44, None),
            Kind::MlDsa65 => (ML_DSA_65, None),
            Kind::MlDsa87 => (ML_DSA_87, None),
        }
    }

    /// The `AlgorithmIdentifier` of its `SubjectPublicKeyInfo` (RFC 5280, 4.1.1.2), as DER.
    pub(crate) fn identifier(self) -> Vec<u8> {
        let (oid, curve) = self.oids();
        let parameters = match curve {
            Some(curve) => der::encode(der::OID, &[curve]),
            None if self == Kind::Rsa => der::encode(der::NULL, &[]),
            None => Vec::new(),
        };
        der::encode(der::SEQUENCE, &[&der::encode(der::OID, &[oid]), &parameters])
    }

    /// Reads an `AlgorithmIdentifier`'s content.
    pub(crate) fn read(mut identifier: Reader<'_>) -> Result<Kind, KeyError> {
        let oid = identifier.expect(der::OID)?.content;
        if oid == EC {
            return Kind::of_curve(identifier);
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.oids().0 == oid);
        let kind = kind.ok_or_else(|| unsupported(oid, "a key of type"))?;
        if kind == Kind::Rsa {
            identifier.optional(der::NULL)?; // RFC 3279 asks for it; some writers leave it out
        }
        identifier.end()?;
        Ok(kind)
    }

    /// Reads `ECParameters` (RFC 5480, 2.1.1), which must be the name of a curve.
    pub(crate) fn of_curve(mut parameters: Reader<'_>) -> Result<Kind, KeyError> {
        let element = parameters.element()?;
        parameters.end()?;
        match (element.tag, element.content) {
            (der::OID, P256) => Ok(Kind::P256),
            (der::OID, P384) => Ok(Kind::P384),
            (der::OID, other) => Err(unsupported(other, "an EC key on curve")),
            (der::SEQUENCE, _) => {
                Err(KeyError::Unsupported { what: "an EC key that spells out its curve".to_owned() })
            }
            _ => Err(KeyError::Malformed { what: "key" }),
        }
    }
}

fn unsupported(oid: &[u8], kind: &str) -> KeyError {
    let known = REFUSED.iter().find(|(refused, _)| *refused == oid);
    KeyError::Unsupported {
        what: known.map_or_else(|| format!("{kind} {}", der::dotted(oid)), |(_, name)| (*name).to_owned()),
    }
}
