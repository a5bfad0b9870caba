//! The agreement of a secret (RFC 7518, 4.6) on P-256 and on X25519 (RFC 8037, 3.2).
//!
//! Owns the two curves' calls. Decision: a point that is not on its curve, and a result that is all zeros, are
//! refused here, so that nobody's key leaks and no secret is known beforehand.

use crate::key::error::KeyError;
use crate::key::jwk::{self, Jwk};
use crate::key::kind::Kind;
use crate::key::material::{Material, Private as PrivateNumbers, Stated};
use crate::key::numbers::Numbers;
use ed25519_compact::x25519;
use p256::elliptic_curve::sec1::ToSec1Point;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What two sides agree on, before a key is derived from it.
type Shared = Zeroizing<Vec<u8>>;

/// A recipient's public key.
#[derive(Clone)]
pub(super) enum Recipient {
    P256(p256::PublicKey),
    X25519(x25519::PublicKey),
}

/// A recipient's private key. Both wipe themselves.
#[derive(Clone)]
pub(super) enum Private {
    P256(p256::SecretKey),
    X25519(x25519::SecretKey),
}

impl Recipient {
    pub(super) fn new(kind: Kind, numbers: &Numbers) -> Result<Recipient, KeyError> {
        let malformed = KeyError::Malformed { what: "key" };
        match (kind, numbers) {
            // SEC1 (2.3.4): the point is on the curve, and not at infinity.
            (Kind::P256, Numbers::Bytes(point)) => {
                p256::PublicKey::from_sec1_bytes(point).map(Recipient::P256).map_err(|_| malformed)
            }
            (Kind::X25519, Numbers::Bytes(bytes)) => {
                let key = x25519::PublicKey::from_slice(bytes).map_err(|_| malformed.clone())?;
                // A key of small order agrees on zero with everybody (RFC 7748, 6.1).
                key.clear_cofactor().map_err(|_| malformed)?;
                Ok(Recipient::X25519(key))
            }
            _ => Err(KeyError::encryption("tokens are encrypted to keys on P-256 and X25519 alone")),
        }
    }

    fn numbers(&self) -> (Kind, Numbers) {
        match self {
            Recipient::P256(key) => {
                (Kind::P256, Numbers::Bytes(key.to_sec1_point(false).as_bytes().to_vec()))
            }
            Recipient::X25519(key) => (Kind::X25519, Numbers::Bytes(key.to_vec())),
        }
    }

    /// Whether it is this key.
    pub(super) fn is(&self, kind: Kind, numbers: &Numbers) -> bool {
        let (own_kind, own) = self.numbers();
        own_kind == kind && own == *numbers
    }

    /// Agrees with a key that is new for each call: the secret, and that key's public half as `epk`.
    pub(super) fn agree(&self) -> Option<(Shared, Value)> {
        let private = match self {
            Recipient::P256(_) => Private::P256(new_scalar()?),
            Recipient::X25519(_) => Private::X25519(x25519::SecretKey::new(*random()?)),
        };
        let shared = private.agree_with(self)?;
        let (kind, numbers) = private.public()?.numbers();
        let members =
            jwk::numbers(kind, &numbers).into_iter().map(|(name, text)| (name.to_owned(), text.into()));
        Some((shared, Value::Object(members.collect::<Map<_, _>>())))
    }
}

impl Private {
    /// What the file says of the public half must be so.
    pub(super) fn new(material: &Material) -> Result<Private, KeyError> {
        let inconsistent = KeyError::Inconsistent { key: material.kind.name() };
        let private = match (material.kind, &material.private) {
            (Kind::P256, PrivateNumbers::Bytes(bytes)) => {
                Private::P256(p256::SecretKey::from_slice(bytes).map_err(|_| inconsistent.clone())?)
            }
            (Kind::X25519, PrivateNumbers::Bytes(bytes)) => {
                Private::X25519(x25519::SecretKey::from_slice(bytes).map_err(|_| inconsistent.clone())?)
            }
            _ => {
                return Err(KeyError::encryption("tokens are opened with keys on P-256 and X25519 alone"));
            }
        };
        let (kind, own) = private.public().ok_or(inconsistent.clone())?.numbers();
        let agrees = |stated: &Stated| match stated {
            Stated::Whole(numbers) => Recipient::new(kind, numbers).is_ok_and(|stated| stated.is(kind, &own)),
            Stated::Start(_) => false,
        };
        if material.stated.iter().all(agrees) { Ok(private) } else { Err(inconsistent) }
    }

    fn public(&self) -> Option<Recipient> {
        Some(match self {
            Private::P256(key) => Recipient::P256(key.public_key()),
            Private::X25519(key) => Recipient::X25519(key.recover_public_key().ok()?),
        })
    }

    /// Agrees with the key of a header's `epk`.
    pub(super) fn agree(&self, ephemeral: &Value) -> Option<Shared> {
        let jwk = Jwk::of(ephemeral).ok()?;
        if jwk.is_private() {
            return None;
        }
        let (kind, numbers) = jwk.public().ok()?;
        self.agree_with(&Recipient::new(kind, &numbers).ok()?)
    }

    fn agree_with(&self, other: &Recipient) -> Option<Shared> {
        match (self, other) {
            (Private::P256(own), Recipient::P256(other)) => {
                let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), other.as_affine());
                Some(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
            }
            // Refuses a result that is all zeros.
            (Private::X25519(own), Recipient::X25519(other)) => {
                Some(Zeroizing::new(other.dh(own).ok()?.to_vec()))
            }
            _ => None,
        }
    }
}

/// The Concat KDF (RFC 7518, 4.6.2) for a key of at most 256 bits: one round of SHA-256.
pub(super) fn derive(shared: &[u8], algorithm: &str, apu: &[u8], apv: &[u8], length: usize) -> Shared {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    for part in [algorithm.as_bytes(), apu, apv] {
        hash.update(number(part.len()));
        hash.update(part);
    }
    hash.update(number(length * 8));
    let mut key = Zeroizing::new(hash.finalize().to_vec());
    key.truncate(length);
    key
}

fn random() -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

/// Nearly every 32 bytes are a scalar: it is not zero, and below the order.
fn new_scalar() -> Option<p256::SecretKey> {
    (0..8).find_map(|_| p256::SecretKey::from_slice(random()?.as_slice()).ok())
}
