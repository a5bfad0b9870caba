//! The public half of a key as numbers, before anything computes with them.
//!
//! Owns how they stand in a `SubjectPublicKeyInfo` (RFC 5280, 4.1), and which RSA keys are taken at all. Decision:
//! an SPKI is always written anew, so that one key has one, and one id.

use super::asn1;
use super::error::KeyError;
use super::kind::Kind;
use der::Decode;
use der::asn1::{AnyRef, UintRef};

/// The public numbers, as JWK and SPKI carry them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Big-endian, without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// An EC point in SEC1 form, an Ed25519 or an ML-DSA public key.
    Bytes(Vec<u8>),
}

impl Numbers {
    /// Those of an RSA key; refused where it is too small to be safe, or too large to be quick.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Numbers, KeyError> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let unused = modulus.first().map_or(0, |top| top.leading_zeros() as usize);
        let bits = modulus.len() * 8 - unused;
        if !(2048..=4096).contains(&bits) {
            return Err(KeyError::RsaSize { bits });
        }
        if exponent != [1, 0, 1] {
            return Err(KeyError::RsaExponent);
        }
        Ok(Numbers::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    /// Reads the key of a `SubjectPublicKeyInfo`; for RSA, that is `RSAPublicKey` (RFC 8017, A.1.1).
    pub(crate) fn read(kind: Kind, bytes: &[u8]) -> Result<Numbers, KeyError> {
        if kind != Kind::Rsa {
            return Ok(Numbers::Bytes(bytes.to_vec()));
        }
        let (modulus, exponent): (UintRef<'_>, UintRef<'_>) = asn1::pair(AnyRef::from_der(bytes)?)?;
        Numbers::rsa(modulus.as_bytes(), exponent.as_bytes())
    }

    /// Reads a `SubjectPublicKeyInfo`.
    pub(crate) fn read_spki(spki: &[u8]) -> Result<(Kind, Numbers), KeyError> {
        let (identifier, key) = asn1::pair(AnyRef::from_der(spki)?)?;
        let kind = Kind::read(identifier)?;
        Ok((kind, Numbers::read(kind, asn1::whole_bytes(key)?)?))
    }

    /// What [`Numbers::read`] reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Numbers::Rsa { modulus, exponent } => {
                asn1::sequence(&[&asn1::unsigned(modulus), &asn1::unsigned(exponent)])
            }
            Numbers::Bytes(bytes) => bytes.clone(),
        }
    }

    /// The `SubjectPublicKeyInfo`.
    pub(crate) fn to_spki(&self, kind: Kind) -> Vec<u8> {
        let key = asn1::element(asn1::BIT_STRING, &[&[0], &self.to_bytes()]);
        asn1::sequence(&[&kind.identifier(), &key])
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}
