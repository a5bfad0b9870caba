//! Keys under AWS-LC, in builds with the feature `fast`: the same signatures, made several times faster.
//!
//! Owns all that names `aws-lc-rs`. Must not know key files. Decision: every key is read and judged by the
//! code of the default build, and only what that found good is handed over: both builds take and refuse the
//! same keys by construction, and the default code is there to check this one. What AWS-LC doesn't take
//! stays with the default code, and so does ML-DSA, which is asked for too rarely to be worth it.
//!
//! ECDSA here takes a random nonce, where the default build's follows from key and message (RFC 6979): two
//! signatures of one text differ. AWS-LC mixes a hash of both into its generator's output, against a poor
//! source. RSA is blinded in both builds. Keys are wiped when dropped (`OPENSSL_cleanse`).

use super::error::KeyError;
use super::private::Signing;
use super::public::Numbers;
use crate::key::algorithm::Algorithm;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair};
use jwt_simple::algorithms::{ECDSAP256KeyPairLike, ECDSAP384KeyPairLike, EdDSAKeyPairLike};
use superboring::pkey::PKey;
use zeroize::Zeroizing;

/// A key of AWS-LC's that is ready to sign.
pub(super) enum Signer {
    Hmac(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signer {
    /// Takes over a key that is loaded. `None` where AWS-LC can't have it.
    pub(super) fn new(algorithm: Algorithm, key: &Signing, public: Option<&Numbers>) -> Option<Signer> {
        let point = match public {
            Some(Numbers::Bytes(point)) => point.as_slice(),
            _ => &[],
        };
        Some(match key {
            Signing::Hmac(secret) => Signer::Hmac(Box::new(hmac::Key::new(hmac_hash(algorithm)?, secret))),
            Signing::Rsa(key) => {
                let PKey::Rsa(key) = &**key else { return None };
                let der = Zeroizing::new(key.private_key_to_der().ok()?);
                Signer::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der).ok()?), rsa_encoding(algorithm)?)
            }
            Signing::P256(key) => {
                let scalar = Zeroizing::new(key.key_pair().to_bytes());
                ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &scalar, point)?
            }
            Signing::P384(key) => {
                let scalar = Zeroizing::new(key.key_pair().to_bytes());
                ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &scalar, point)?
            }
            Signing::Ed25519(key) => {
                let seed = Zeroizing::new(*key.key_pair().as_ref().sk.seed());
                Signer::Ed25519(Box::new(
                    Ed25519KeyPair::from_seed_and_public_key(seed.as_slice(), point).ok()?,
                ))
            }
            Signing::MlDsa(_) => return None,
        })
    }

    /// The raw JWS signature, as the default build's `Signing::sign` makes it.
    pub(super) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Crypto { task: "sign" };
        // AWS-LC has a generator of its own and doesn't look at this one.
        let random = SystemRandom::new();
        match self {
            Signer::Hmac(key) => Ok(hmac::sign(key, input).as_ref().to_vec()),
            Signer::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, input, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Signer::Ecdsa(key) => Ok(key.sign(&random, input).map_err(failed)?.as_ref().to_vec()),
            Signer::Ed25519(key) => Ok(key.try_sign(input).map_err(failed)?.as_ref().to_vec()),
        }
    }
}

fn ecdsa(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    scalar: &[u8],
    point: &[u8],
) -> Option<Signer> {
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point).ok()?;
    Some(Signer::Ecdsa(Box::new(key)))
}

fn hmac_hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::RS256 => Some(&signature::RSA_PKCS1_SHA256),
        Algorithm::RS384 => Some(&signature::RSA_PKCS1_SHA384),
        Algorithm::RS512 => Some(&signature::RSA_PKCS1_SHA512),
        Algorithm::PS256 => Some(&signature::RSA_PSS_SHA256),
        Algorithm::PS384 => Some(&signature::RSA_PSS_SHA384),
        Algorithm::PS512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

/// A public key of AWS-LC's.
#[derive(Clone)]
pub(super) struct Verifier(ParsedPublicKey);

impl Verifier {
    /// Takes over a public key that is found good; `spki` is its `SubjectPublicKeyInfo`. `None` where
    /// AWS-LC can't have it.
    pub(super) fn new(algorithm: Algorithm, numbers: &Numbers, spki: &[u8]) -> Option<Verifier> {
        let scheme: &'static dyn signature::VerificationAlgorithm = match algorithm {
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDSA => &signature::ED25519,
            _ => return None,
        };
        let bytes = match numbers {
            Numbers::Rsa { .. } => spki,
            Numbers::Bytes(bytes) => bytes,
        };
        ParsedPublicKey::new(scheme, bytes).ok().map(Verifier)
    }

    pub(super) fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(input, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::Key;

    fn pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<Key, KeyError> {
        Key::from_pem(&Secret::new(text.to_vec()), algorithm, None)
    }

    const KEYS: [(Algorithm, &[u8]); 9] = {
        let rsa = include_bytes!("../../tests/data/keys/rsa2048.pem").as_slice();
        [
            (Algorithm::RS256, rsa),
            (Algorithm::RS384, rsa),
            (Algorithm::RS512, rsa),
            (Algorithm::PS256, rsa),
            (Algorithm::PS384, rsa),
            (Algorithm::PS512, rsa),
            (Algorithm::ES256, include_bytes!("../../tests/data/keys/p256.pem")),
            (Algorithm::ES384, include_bytes!("../../tests/data/keys/p384.pem")),
            (Algorithm::EdDSA, include_bytes!("../../tests/data/keys/ed25519.pem")),
        ]
    };

    #[test]
    fn what_one_signs_the_other_verifies() {
        for (algorithm, text) in KEYS {
            let fast = pem(text, Some(algorithm)).unwrap();
            let rust = pem(text, Some(algorithm)).unwrap().in_rust();
            assert_eq!((fast.engine(), rust.engine()), ("aws-lc", "rust"));
            let (by_fast, by_rust) = (fast.sign(b"text").unwrap(), rust.sign(b"text").unwrap());
            for verifier in [&fast, &rust] {
                assert!(
                    verifier.verify(b"text", &by_fast) && verifier.verify(b"text", &by_rust),
                    "{algorithm}"
                );
                assert!(!verifier.verify(b"texT", &by_fast) && !verifier.verify(b"texT", &by_rust));
                assert!(!verifier.verify(b"text", &vec![0; by_fast.len()]), "{algorithm}");
                assert!(!verifier.verify(b"text", &by_fast[1..]), "{algorithm}");
                assert!(!verifier.verify(b"text", b""), "{algorithm}");
            }
            let deterministic = matches!(
                algorithm,
                Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::EdDSA
            );
            assert_eq!(by_fast == by_rust, deterministic, "{algorithm}");
        }
    }

    #[test]
    fn macs_are_equal_whatever_the_length_of_the_secret() {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for length in [1, 12, 32, 64, 65, 128, 129, 300] {
                let key = || Key::from_secret(algorithm, &Secret::new(vec![7; length]), None).unwrap();
                assert_eq!(key().engine(), "aws-lc");
                assert_eq!(key().sign(b"text"), key().in_rust().sign(b"text"), "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn every_key_that_the_default_build_takes_is_taken_over_but_ml_dsa() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
        let mut taken = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let Ok(key) = pem(&std::fs::read(&path).unwrap(), None) else { continue };
            let engine = if matches!(key.signing, Signing::MlDsa(_)) { "rust" } else { "aws-lc" };
            assert_eq!(key.engine(), engine, "{}", path.display());
            assert_eq!(key.public.unwrap().is_fast(), engine == "aws-lc", "{}", path.display());
            taken += 1;
        }
        assert!(taken > 5);
    }
}
