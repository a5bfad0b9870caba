//! The types of asymmetric key: those that sign tokens, and X25519, to which tokens are encrypted.
//!
//! Owns their names, their object identifiers and which algorithms each can do. Must not know key
//! material. Decision: a key's type comes from its own bytes only; a configured algorithm chooses among
//! what that type can do, and never changes how the bytes are read.

use super::asn1;
use super::error::KeyError;
use crate::key::algorithm::Algorithm;
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Tag, Tagged};

const MALFORMED: KeyError = KeyError::Malformed { what: "key" };

/// What an asymmetric key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
    /// Agrees on secrets (RFC 7748), and signs nothing.
    X25519,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

// RFC 3279 (2.3.1), RFC 5480 (2.1.1), RFC 8410 (3), RFC 9881 (2).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

/// Known only to be named in a refusal.
const REFUSED: [(&str, &str); 9] = [
    ("1.2.840.113549.1.1.10", "an RSA key restricted to PSS"),
    ("1.2.840.10040.4.1", "a DSA key"),
    ("1.2.840.113549.1.3.1", "a Diffie-Hellman key"),
    ("1.3.101.111", "an X448 key"),
    ("1.3.101.113", "an Ed448 key"),
    ("1.3.132.0.35", "an EC key on P-521"),
    ("1.3.132.0.10", "an EC key on secp256k1"),
    ("1.3.132.0.33", "an EC key on P-224"),
    ("1.3.36.3.3.2.8.1.1.7", "an EC key on brainpoolP256r1"),
];

/// What is known of a kind.
struct Facts {
    name: &'static str,
    oid: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
    algorithms: &'static [Algorithm],
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Rsa,
        Kind::P256,
        Kind::P384,
        Kind::Ed25519,
        Kind::X25519,
        Kind::MlDsa44,
        Kind::MlDsa65,
        Kind::MlDsa87,
    ];

    fn facts(self) -> Facts {
        use Algorithm::{ES256, ES384, EdDSA, MlDsa44, MlDsa65, MlDsa87};
        let (name, oid, curve, algorithms): (_, _, _, &[Algorithm]) = match self {
            Kind::Rsa => ("an RSA key", RSA, None, &Algorithm::RSA),
            Kind::P256 => ("an EC key on P-256", EC, Some(P256), &[ES256]),
            Kind::P384 => ("an EC key on P-384", EC, Some(P384), &[ES384]),
            Kind::Ed25519 => ("an Ed25519 key", ED25519, None, &[EdDSA]),
            Kind::X25519 => ("an X25519 key", X25519, None, &[]),
            Kind::MlDsa44 => ("an ML-DSA-44 key", ML_DSA_44, None, &[MlDsa44]),
            Kind::MlDsa65 => ("an ML-DSA-65 key", ML_DSA_65, None, &[MlDsa65]),
            Kind::MlDsa87 => ("an ML-DSA-87 key", ML_DSA_87, None, &[MlDsa87]),
        };
        Facts { name, oid, curve, algorithms }
    }

    /// The kind that signs this algorithm; an HMAC's key is of none.
    pub(crate) fn of(algorithm: Algorithm) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.algorithms().contains(&algorithm))
    }

    /// As messages name it.
    pub(crate) fn name(self) -> &'static str {
        self.facts().name
    }

    /// What it can sign, the default first: of RSA's, the only one that every registry takes. A key that only
    /// agrees on secrets signs nothing.
    pub(crate) fn algorithms(self) -> &'static [Algorithm] {
        self.facts().algorithms
    }

    /// The asked algorithm if the key can do it; without one, its default.
    pub(crate) fn choose(self, asked: Option<Algorithm>) -> Result<Algorithm, KeyError> {
        let can = self.algorithms();
        match asked {
            None => can.first().copied().ok_or_else(|| unsupported_kind(self)),
            Some(_) if can.is_empty() => Err(unsupported_kind(self)),
            Some(asked) if can.contains(&asked) => Ok(asked),
            Some(asked) => Err(KeyError::WrongAlgorithm { key: self.name(), asked, can }),
        }
    }

    /// The bytes of a private key that is no RSA key: an EC scalar, as long as a coordinate, or a seed.
    pub(crate) fn private_bytes(self) -> usize {
        if self == Kind::P384 { 48 } else { 32 }
    }

    /// The `AlgorithmIdentifier` of its `SubjectPublicKeyInfo` (RFC 5280, 4.1.1.2), as DER.
    pub(crate) fn identifier(self) -> Vec<u8> {
        let Facts { oid, curve, .. } = self.facts();
        let parameters = match curve {
            Some(curve) => asn1::oid(curve),
            None if self == Kind::Rsa => asn1::element(asn1::NULL, &[]),
            None => Vec::new(),
        };
        asn1::sequence(&[&asn1::oid(oid), &parameters])
    }

    /// Reads an `AlgorithmIdentifier`.
    pub(crate) fn read(identifier: AnyRef<'_>) -> Result<Kind, KeyError> {
        let (oid, parameters): (ObjectIdentifier, Option<AnyRef<'_>>) = asn1::pair(identifier)?;
        if oid == EC {
            return Kind::of_curve(parameters.ok_or(MALFORMED)?);
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.facts().oid == oid);
        let kind = kind.ok_or_else(|| unsupported(oid, "a key of type"))?;
        // RFC 3279 asks for NULL; some writers leave it out.
        let fits = parameters.is_none_or(|parameters| kind == Kind::Rsa && parameters.is_null());
        if fits { Ok(kind) } else { Err(MALFORMED) }
    }

    /// Reads `ECParameters` (RFC 5480, 2.1.1), which must be the name of a curve.
    pub(crate) fn of_curve(parameters: AnyRef<'_>) -> Result<Kind, KeyError> {
        if parameters.tag() == Tag::Sequence {
            let what = "an EC key that spells out its curve".to_owned();
            return Err(KeyError::Unsupported { what });
        }
        match parameters.decode_as::<ObjectIdentifier>()? {
            P256 => Ok(Kind::P256),
            P384 => Ok(Kind::P384),
            other => Err(unsupported(other, "an EC key on curve")),
        }
    }
}

fn unsupported_kind(kind: Kind) -> KeyError {
    KeyError::Unsupported { what: kind.name().to_owned() }
}

fn unsupported(oid: ObjectIdentifier, kind: &str) -> KeyError {
    let oid = oid.to_string();
    let known = REFUSED.iter().find(|(refused, _)| *refused == oid);
    KeyError::Unsupported {
        what: known.map_or_else(|| format!("{kind} {oid}"), |(_, name)| (*name).to_owned()),
    }
}
