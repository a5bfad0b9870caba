//! The engine of every build, in pure Rust.
//!
//! Owns the libraries' keys, and the calls that sign and verify. Must not know files or key ids.
//!
//! ECDSA is deterministic (RFC 6979) and Ed25519 is by definition: a device with a poor random source at start
//! signs safely. RSA computes in constant time and is blinded all the same; ML-DSA is hedged.
//!
//! Wiped when dropped: the inner state of HMAC (hmac, sha2), RSA numbers (rsa), EC scalars (elliptic-curve),
//! Ed25519 keys (ed25519-compact), the ML-DSA seed (superboring, by a plain write that a compiler may drop).
//! Not wiped, since the crates don't: the expanded ML-DSA key (ml-dsa is built without `zeroize`), intermediate
//! values of RSA, and what the stack held.

use super::{Over, Sign, Verify};
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
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::BoxedUint;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::sync::Arc;
use superboring::mldsa::{self, MlDsaPrivateKey, MlDsaPublicKey};
use zeroize::Zeroizing;

/// The size of new RSA keys, in bits. NIST SP 800-57 holds 2048 good to 2030; a signature with 3072 takes
/// about three times as long, and a token lives for minutes.
const RSA_BITS: usize = 2048;

const MALFORMED: KeyError = KeyError::Malformed { what: "key" };

impl<'a> Over<'a> {
    fn text(self) -> Option<&'a [u8]> {
        match self {
            Over::Text(text) => Some(text),
            Over::Hash(_) => None,
        }
    }

    fn hash<D: Digest>(self) -> Vec<u8> {
        match self {
            Over::Text(text) => D::digest(text).to_vec(),
            Over::Hash(hash) => hash.to_vec(),
        }
    }
}

pub(super) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<(Sign, Verify)> {
    match algorithm {
        Algorithm::HS256 => keyed::<Hmac<Sha256>>(secret),
        Algorithm::HS384 => keyed::<Hmac<Sha384>>(secret),
        Algorithm::HS512 => keyed::<Hmac<Sha512>>(secret),
        _ => None,
    }
}

fn keyed<M: Mac + KeyInit + Clone + Send + Sync + 'static>(secret: &[u8]) -> Option<(Sign, Verify)> {
    // HMAC takes a key of any length.
    let key = <M as KeyInit>::new_from_slice(secret).ok()?;
    let other = key.clone();
    let sign = move |_, input: &[u8]| Some(key.clone().chain_update(input).finalize().into_bytes().to_vec());
    let verify = move |_, over: Over<'_>, mac: &[u8]| {
        over.text().is_some_and(|text| other.clone().chain_update(text).verify_slice(mac).is_ok())
    };
    Some((Box::new(sign), Arc::new(verify)))
}

pub(super) fn signer(material: &Material) -> Result<(Sign, Numbers), KeyError> {
    let inconsistent = || KeyError::Inconsistent { key: material.kind.name() };
    let bytes = match &material.private {
        Private::Rsa(numbers) => {
            let public = Numbers::rsa(&numbers[0], &numbers[1])?;
            return Ok((rsa_signer(numbers).ok_or_else(inconsistent)?, public));
        }
        Private::Bytes(bytes) => bytes,
    };
    let (sign, public): (Sign, _) = match material.kind {
        Kind::P256 => {
            let key = ES256KeyPair::from_bytes(bytes).map_err(|_| inconsistent())?;
            let point = key.public_key().public_key().to_bytes_uncompressed();
            let sign = move |_, input: &[u8]| {
                let signature: p256::ecdsa::Signature = key.key_pair().as_ref().try_sign(input).ok()?;
                Some(signature.to_bytes().to_vec())
            };
            (Box::new(sign), point)
        }
        Kind::P384 => {
            let key = ES384KeyPair::from_bytes(bytes).map_err(|_| inconsistent())?;
            let point = key.public_key().public_key().to_bytes_uncompressed();
            let sign = move |_, input: &[u8]| {
                let signature: p384::ecdsa::Signature = key.key_pair().as_ref().try_sign(input).ok()?;
                Some(signature.to_bytes().to_vec())
            };
            (Box::new(sign), point)
        }
        Kind::Ed25519 => {
            let key = KeyPair::from_seed(Seed::from_slice(bytes).map_err(|_| inconsistent())?);
            let public = key.pk.to_vec();
            (Box::new(move |_, input| Some(key.sk.sign(input, None).to_vec())), public)
        }
        kind => {
            let seed = bytes.as_slice().try_into().map_err(|_| inconsistent())?;
            let failed = |_| KeyError::Crypto { task: "expand a key" };
            let key = MlDsaPrivateKey::from_seed(ml_dsa(kind)?, seed).map_err(failed)?;
            let public = key.public_key().and_then(|public| public.to_bytes()).map_err(failed)?;
            (Box::new(move |_, input| key.sign(input).ok()), public)
        }
    };
    Ok((sign, Numbers::Bytes(public)))
}

/// Every number of the file must be what the others make it.
fn rsa_signer(numbers: &RsaNumbers) -> Option<Sign> {
    let numbers = numbers.each_ref().map(|number| BoxedUint::from_be_slice_vartime(number));
    let [modulus, exponent, private, p, q, dp, dq, coefficient] = numbers;
    let stated = Zeroizing::new([dp, dq, coefficient]);
    let key = rsa::PrivateKey::from_components(modulus, exponent, private, vec![p, q]).ok()?;
    let coefficient = key.crt_coefficient().map(Zeroizing::new);
    if !stated.iter().map(Some).eq([key.dp(), key.dq(), coefficient.as_deref()]) {
        return None;
    }
    Some(Box::new(move |algorithm, input| match algorithm {
        Algorithm::RS256 => key.pkcs1v15_sign::<Sha256>(input).ok(),
        Algorithm::RS384 => key.pkcs1v15_sign::<Sha384>(input).ok(),
        Algorithm::RS512 => key.pkcs1v15_sign::<Sha512>(input).ok(),
        Algorithm::PS256 => key.pss_sign::<Sha256>(input).ok(),
        Algorithm::PS384 => key.pss_sign::<Sha384>(input).ok(),
        Algorithm::PS512 => key.pss_sign::<Sha512>(input).ok(),
        _ => None,
    }))
}

fn ml_dsa(kind: Kind) -> Result<mldsa::Algorithm, KeyError> {
    match kind {
        Kind::MlDsa44 => Ok(mldsa::Algorithm::MlDsa44),
        Kind::MlDsa65 => Ok(mldsa::Algorithm::MlDsa65),
        Kind::MlDsa87 => Ok(mldsa::Algorithm::MlDsa87),
        _ => Err(MALFORMED),
    }
}

/// The numbers come back in the one form in which they are written: a point may come compressed.
pub(super) fn verifier(kind: Kind, numbers: Numbers) -> Result<(Verify, Numbers), KeyError> {
    let bytes = match &numbers {
        Numbers::Rsa { modulus, exponent } => return Ok((rsa_verifier(modulus, exponent)?, numbers)),
        Numbers::Bytes(bytes) => bytes,
    };
    Ok(match kind {
        Kind::P256 => {
            let key = ES256PublicKey::from_bytes(bytes).map_err(|_| MALFORMED)?;
            let point = key.public_key().to_bytes_uncompressed();
            let verify = move |_, over: Over<'_>, signature: &[u8]| {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.public_key().as_ref().verify_prehash(&over.hash::<Sha256>(), &signature).is_ok()
                })
            };
            (Arc::new(verify), Numbers::Bytes(point))
        }
        Kind::P384 => {
            let key = ES384PublicKey::from_bytes(bytes).map_err(|_| MALFORMED)?;
            let point = key.public_key().to_bytes_uncompressed();
            let verify = move |_, over: Over<'_>, signature: &[u8]| {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.public_key().as_ref().verify_prehash(&over.hash::<Sha384>(), &signature).is_ok()
                })
            };
            (Arc::new(verify), Numbers::Bytes(point))
        }
        Kind::Ed25519 => {
            let key = Ed25519PublicKey::from_bytes(bytes).map_err(|_| MALFORMED)?;
            let verify = move |_, over: Over<'_>, signature: &[u8]| {
                let signature = ed25519_compact::Signature::from_slice(signature).ok();
                let both = over.text().zip(signature);
                both.is_some_and(|(text, signature)| {
                    key.public_key().as_ref().verify(text, &signature).is_ok()
                })
            };
            (Arc::new(verify), numbers)
        }
        kind => {
            let key = MlDsaPublicKey::from_slice(ml_dsa(kind)?, bytes).map_err(|_| MALFORMED)?;
            let verify = move |_, over: Over<'_>, signature: &[u8]| {
                over.text().is_some_and(|text| key.verify(text, signature).is_ok())
            };
            (Arc::new(verify), numbers)
        }
    })
}

fn rsa_verifier(modulus: &[u8], exponent: &[u8]) -> Result<Verify, KeyError> {
    let number = |bytes| BoxedUint::from_be_slice_vartime(bytes);
    let key = rsa::PublicKey::new(number(modulus), number(exponent)).map_err(|_| MALFORMED)?;
    Ok(Arc::new(move |algorithm, over, signature| {
        let Some(text) = over.text() else { return false };
        let verified = match algorithm {
            Algorithm::RS256 => key.pkcs1v15_verify::<Sha256>(text, signature),
            Algorithm::RS384 => key.pkcs1v15_verify::<Sha384>(text, signature),
            Algorithm::RS512 => key.pkcs1v15_verify::<Sha512>(text, signature),
            Algorithm::PS256 => key.pss_verify::<Sha256>(text, signature),
            Algorithm::PS384 => key.pss_verify::<Sha384>(text, signature),
            Algorithm::PS512 => key.pss_verify::<Sha512>(text, signature),
            _ => return false,
        };
        verified.is_ok()
    }))
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
