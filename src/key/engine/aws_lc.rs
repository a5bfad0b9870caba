//! AWS-LC, in builds with the feature `fast`: the same signatures, made several times faster.
//!
//! Owns all that names `aws-lc-rs`. Must not know key files. What AWS-LC doesn't take stays with the Rust engine,
//! and so does ML-DSA, which is asked for too rarely to be worth it.
//!
//! ECDSA here takes a random nonce, where the Rust engine's follows from key and message (RFC 6979): two
//! signatures of one text differ. AWS-LC mixes a hash of both into its generator's output, against a poor
//! source. RSA is blinded in both. Keys are wiped when dropped (`OPENSSL_cleanse`).

use crate::key::algorithm::Algorithm;
use crate::key::kind::Kind;
use crate::key::material::{Material, Private, write_rsa};
use crate::key::numbers::Numbers;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair};

pub(super) const NAME: &str = "AWS-LC";

/// A key of AWS-LC's that is ready to sign.
pub(super) enum Signer {
    Hmac(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signer {
    pub(super) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<Signer> {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return None,
        };
        Some(Signer::Hmac(Box::new(hmac::Key::new(hash, secret))))
    }

    /// Takes over a key that is found good. `None` where AWS-LC can't have it.
    pub(super) fn new(material: &Material, public: &Numbers) -> Option<Signer> {
        let (bytes, public) = match (&material.private, public) {
            (Private::Rsa(numbers), _) => {
                return Some(Signer::Rsa(Box::new(RsaKeyPair::from_der(&write_rsa(numbers)).ok()?)));
            }
            (Private::Bytes(bytes), Numbers::Bytes(public)) => (bytes, public),
            (Private::Bytes(_), Numbers::Rsa { .. }) => return None,
        };
        let curve = match material.kind {
            Kind::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Kind::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            Kind::Ed25519 => {
                let key = Ed25519KeyPair::from_seed_and_public_key(bytes, public).ok()?;
                return Some(Signer::Ed25519(Box::new(key)));
            }
            _ => return None,
        };
        let key = EcdsaKeyPair::from_private_key_and_public_key(curve, bytes, public).ok()?;
        Some(Signer::Ecdsa(Box::new(key)))
    }

    /// The raw JWS signature, as the Rust engine makes it.
    pub(super) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Option<Vec<u8>> {
        // AWS-LC has a generator of its own and doesn't look at this one.
        let random = SystemRandom::new();
        match self {
            Signer::Hmac(key) => Some(hmac::sign(key, input).as_ref().to_vec()),
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(rsa_encoding(algorithm)?, &random, input, &mut signature).ok()?;
                Some(signature)
            }
            Signer::Ecdsa(key) => Some(key.sign(&random, input).ok()?.as_ref().to_vec()),
            Signer::Ed25519(key) => Some(key.try_sign(input).ok()?.as_ref().to_vec()),
        }
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
    /// Takes over a public key that is found good. `None` where AWS-LC can't have it.
    pub(super) fn new(algorithm: Algorithm, kind: Kind, numbers: &Numbers) -> Option<Verifier> {
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
        let key = match numbers {
            Numbers::Rsa { .. } => ParsedPublicKey::new(scheme, numbers.to_spki(kind)),
            Numbers::Bytes(bytes) => ParsedPublicKey::new(scheme, bytes),
        };
        key.ok().map(Verifier)
    }

    pub(super) fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(input, signature).is_ok()
    }
}
