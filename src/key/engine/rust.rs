//! The engine of every build, in pure Rust.
//!
//! Owns the crates' ready-to-use key types, and the calls that sign and verify. Must not know files or key ids.
//!
//! ECDSA is deterministic (RFC 6979) and Ed25519 is by definition: a device with a poor random source at start
//! signs safely. RSA computes in constant time and is blinded all the same; ML-DSA is hedged.
//!
//! Wiped when dropped: the inner state of HMAC (hmac, sha2), RSA numbers (rsa), EC scalars (elliptic-curve),
//! Ed25519 keys (ed25519-compact), the ML-DSA seed (superboring, by a plain write that a compiler may drop).
//! Not wiped, since the crates don't: the expanded ML-DSA key (ml-dsa is built without `zeroize`), intermediate
//! values of RSA, and what the stack held.

use crate::key::algorithm::Algorithm;
use crate::key::error::KeyError;
use crate::key::kind::Kind;
use crate::key::material::{Material, Private, RsaNumbers};
use crate::key::numbers::Numbers;
use ed25519_compact::{KeyPair, Seed};
use getrandom::SysRng;
use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ECDSAP384KeyPairLike, ECDSAP384PublicKeyLike, ES256KeyPair,
    ES256PublicKey, ES384KeyPair, ES384PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike,
};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use rsa::BoxedUint;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use sha2::{Sha256, Sha384, Sha512};
use superboring::mldsa::{self, MlDsaPrivateKey, MlDsaPublicKey};
use zeroize::Zeroizing;

pub(super) const NAME: &str = "Rust";

/// The size of new RSA keys, in bits. NIST SP 800-57 holds 2048 good to 2030; a signature with 3072 takes
/// about three times as long, and a token lives for minutes.
const RSA_BITS: usize = 2048;

pub(super) enum Signer {
    Hs256(Box<Hmac<Sha256>>),
    Hs384(Box<Hmac<Sha384>>),
    Hs512(Box<Hmac<Sha512>>),
    Rsa(Box<rsa::PrivateKey>),
    P256(Box<ES256KeyPair>),
    P384(Box<ES384KeyPair>),
    Ed25519(Box<KeyPair>),
    MlDsa(Box<MlDsaPrivateKey>),
}

impl Signer {
    pub(super) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<Signer> {
        // HMAC takes a key of any length.
        Some(match algorithm {
            Algorithm::HS256 => Signer::Hs256(Box::new(KeyInit::new_from_slice(secret).ok()?)),
            Algorithm::HS384 => Signer::Hs384(Box::new(KeyInit::new_from_slice(secret).ok()?)),
            Algorithm::HS512 => Signer::Hs512(Box::new(KeyInit::new_from_slice(secret).ok()?)),
            _ => return None,
        })
    }

    pub(super) fn new(material: &Material) -> Result<(Signer, Numbers), KeyError> {
        let inconsistent = || KeyError::Inconsistent { key: material.kind.name() };
        let bytes = match &material.private {
            Private::Rsa(numbers) => return load_rsa(numbers),
            Private::Bytes(bytes) => bytes,
        };
        let (signer, public) = match material.kind {
            Kind::P256 => {
                let key = ES256KeyPair::from_bytes(bytes).map_err(|_| inconsistent())?;
                let point = key.public_key().public_key().to_bytes_uncompressed();
                (Signer::P256(Box::new(key)), point)
            }
            Kind::P384 => {
                let key = ES384KeyPair::from_bytes(bytes).map_err(|_| inconsistent())?;
                let point = key.public_key().public_key().to_bytes_uncompressed();
                (Signer::P384(Box::new(key)), point)
            }
            Kind::Ed25519 => {
                let key = KeyPair::from_seed(Seed::from_slice(bytes).map_err(|_| inconsistent())?);
                let public = key.pk.to_vec();
                (Signer::Ed25519(Box::new(key)), public)
            }
            kind => {
                let seed = bytes.as_slice().try_into().map_err(|_| inconsistent())?;
                let failed = |_| KeyError::Crypto { task: "expand a key" };
                let key = MlDsaPrivateKey::from_seed(ml_dsa(kind)?, seed).map_err(failed)?;
                let public = key.public_key().and_then(|public| public.to_bytes()).map_err(failed)?;
                (Signer::MlDsa(Box::new(key)), public)
            }
        };
        Ok((signer, Numbers::Bytes(public)))
    }

    pub(super) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Option<Vec<u8>> {
        match self {
            Signer::Hs256(key) => Some(mac_of(&**key, input)),
            Signer::Hs384(key) => Some(mac_of(&**key, input)),
            Signer::Hs512(key) => Some(mac_of(&**key, input)),
            Signer::Rsa(key) => match algorithm {
                Algorithm::RS256 => key.pkcs1v15_sign::<Sha256>(input).ok(),
                Algorithm::RS384 => key.pkcs1v15_sign::<Sha384>(input).ok(),
                Algorithm::RS512 => key.pkcs1v15_sign::<Sha512>(input).ok(),
                Algorithm::PS256 => key.pss_sign::<Sha256>(input).ok(),
                Algorithm::PS384 => key.pss_sign::<Sha384>(input).ok(),
                Algorithm::PS512 => key.pss_sign::<Sha512>(input).ok(),
                _ => None,
            },
            Signer::P256(key) => {
                let signature: p256::ecdsa::Signature = key.key_pair().as_ref().try_sign(input).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Signer::P384(key) => {
                let signature: p384::ecdsa::Signature = key.key_pair().as_ref().try_sign(input).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Signer::Ed25519(key) => Some(key.sk.sign(input, None).to_vec()),
            Signer::MlDsa(key) => key.sign(input).ok(),
        }
    }

    pub(super) fn is_mac(&self, input: &[u8], mac: &[u8]) -> bool {
        match self {
            Signer::Hs256(key) => is_mac(&**key, input, mac),
            Signer::Hs384(key) => is_mac(&**key, input, mac),
            Signer::Hs512(key) => is_mac(&**key, input, mac),
            _ => false,
        }
    }
}

fn mac_of<M: Mac + Clone>(key: &M, input: &[u8]) -> Vec<u8> {
    key.clone().chain_update(input).finalize().into_bytes().to_vec()
}

fn is_mac<M: Mac + Clone>(key: &M, input: &[u8], mac: &[u8]) -> bool {
    key.clone().chain_update(input).verify_slice(mac).is_ok()
}

/// Every number of the file must be what the others make it.
fn load_rsa(numbers: &RsaNumbers) -> Result<(Signer, Numbers), KeyError> {
    let inconsistent = KeyError::Inconsistent { key: Kind::Rsa.name() };
    // Size and exponent first: a huge key costs no arithmetic.
    let public = Numbers::rsa(&numbers[0], &numbers[1])?;
    let numbers = numbers.each_ref().map(|number| BoxedUint::from_be_slice_vartime(number));
    let [modulus, exponent, private, p, q, dp, dq, coefficient] = numbers;
    let stated = Zeroizing::new([dp, dq, coefficient]);
    let Ok(key) = rsa::PrivateKey::from_components(modulus, exponent, private, vec![p, q]) else {
        return Err(inconsistent);
    };
    let coefficient = key.crt_coefficient().map(Zeroizing::new);
    let computed = [key.dp(), key.dq(), coefficient.as_deref()];
    if !stated.iter().map(Some).eq(computed) {
        return Err(inconsistent);
    }
    Ok((Signer::Rsa(Box::new(key)), public))
}

fn ml_dsa(kind: Kind) -> Result<mldsa::Algorithm, KeyError> {
    match kind {
        Kind::MlDsa44 => Ok(mldsa::Algorithm::MlDsa44),
        Kind::MlDsa65 => Ok(mldsa::Algorithm::MlDsa65),
        Kind::MlDsa87 => Ok(mldsa::Algorithm::MlDsa87),
        _ => Err(KeyError::Malformed { what: "key" }),
    }
}

#[derive(Clone)]
pub(super) enum Verifier {
    Rsa(rsa::PublicKey),
    P256(ES256PublicKey),
    P384(ES384PublicKey),
    Ed25519(Ed25519PublicKey),
    MlDsa(Box<MlDsaPublicKey>),
}

impl Verifier {
    pub(super) fn new(kind: Kind, numbers: Numbers) -> Result<(Verifier, Numbers), KeyError> {
        let malformed = || KeyError::Malformed { what: "public key" };
        let bytes = match &numbers {
            Numbers::Rsa { modulus, exponent } => {
                let number = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
                let key = rsa::PublicKey::new(number(modulus), number(exponent));
                return Ok((Verifier::Rsa(key.map_err(|_| malformed())?), numbers));
            }
            Numbers::Bytes(bytes) => bytes,
        };
        // A point may come compressed.
        Ok(match kind {
            Kind::P256 => {
                let key = ES256PublicKey::from_bytes(bytes).map_err(|_| malformed())?;
                let point = key.public_key().to_bytes_uncompressed();
                (Verifier::P256(key), Numbers::Bytes(point))
            }
            Kind::P384 => {
                let key = ES384PublicKey::from_bytes(bytes).map_err(|_| malformed())?;
                let point = key.public_key().to_bytes_uncompressed();
                (Verifier::P384(key), Numbers::Bytes(point))
            }
            Kind::Ed25519 => {
                let key = Ed25519PublicKey::from_bytes(bytes).map_err(|_| malformed())?;
                (Verifier::Ed25519(key), numbers)
            }
            kind => {
                let key = MlDsaPublicKey::from_slice(ml_dsa(kind)?, bytes).map_err(|_| malformed())?;
                (Verifier::MlDsa(Box::new(key)), numbers)
            }
        })
    }

    pub(super) fn verify(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        match self {
            Verifier::Rsa(key) => match algorithm {
                Algorithm::RS256 => key.pkcs1v15_verify::<Sha256>(input, signature).is_ok(),
                Algorithm::RS384 => key.pkcs1v15_verify::<Sha384>(input, signature).is_ok(),
                Algorithm::RS512 => key.pkcs1v15_verify::<Sha512>(input, signature).is_ok(),
                Algorithm::PS256 => key.pss_verify::<Sha256>(input, signature).is_ok(),
                Algorithm::PS384 => key.pss_verify::<Sha384>(input, signature).is_ok(),
                Algorithm::PS512 => key.pss_verify::<Sha512>(input, signature).is_ok(),
                _ => false,
            },
            Verifier::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(input, &signature).is_ok()),
            Verifier::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(input, &signature).is_ok()),
            Verifier::Ed25519(key) => ed25519_compact::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(input, &signature).is_ok()),
            Verifier::MlDsa(key) => key.verify(input, signature).is_ok(),
        }
    }

    pub(super) fn verify_hash(&self, hash: &[u8], signature: &[u8]) -> bool {
        match self {
            Verifier::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify_prehash(hash, &signature).is_ok()),
            Verifier::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify_prehash(hash, &signature).is_ok()),
            _ => false,
        }
    }
}

/// A new private key.
pub(crate) fn generate(kind: Kind) -> Result<Material, KeyError> {
    let failed = || KeyError::Crypto { task: "generate a key" };
    match kind {
        Kind::Rsa => {
            let key = rsa::PrivateKey::new(&mut SysRng, RSA_BITS).map_err(|_| failed())?;
            let coefficient = key.crt_coefficient().map(Zeroizing::new);
            let (Some(dp), Some(dq), Some(coefficient), [p, q]) =
                (key.dp(), key.dq(), coefficient, key.primes())
            else {
                return Err(failed());
            };
            let numbers = [key.n().as_ref(), key.e(), key.d(), p, q, dp, dq, &coefficient];
            let bytes = |number: &BoxedUint| Zeroizing::new(number.to_be_bytes_trimmed_vartime().into_vec());
            Ok(Material::rsa(numbers.map(bytes)))
        }
        Kind::P256 => Material::new(kind, &Zeroizing::new(ES256KeyPair::generate().to_bytes())),
        Kind::P384 => Material::new(kind, &Zeroizing::new(ES384KeyPair::generate().to_bytes())),
        Kind::Ed25519 => Material::new(kind, KeyPair::generate().sk.seed().as_slice()),
        kind => {
            let (_, key) = MlDsaPrivateKey::generate(ml_dsa(kind)?).map_err(|_| failed())?;
            Material::new(kind, key.seed_bytes())
        }
    }
}
