//! AWS-LC, in builds with the feature `fast`: the same signatures, made several times faster.
//!
//! Owns all that names `aws-lc-rs`. Must not know key files. What AWS-LC doesn't take stays with the Rust engine,
//! and so does ML-DSA, which is asked for too rarely to be worth it.
//!
//! ECDSA here takes a random nonce, where the Rust engine's follows from key and message (RFC 6979): two
//! signatures of one text differ. AWS-LC mixes a hash of both into its generator's output, against a poor
//! source. RSA is blinded in both. Keys are wiped when dropped (`OPENSSL_cleanse`).

use super::{Over, Sign, Verify};
use crate::key::algorithm::Algorithm;
use crate::key::kind::Kind;
use crate::key::material::{Material, Private, write_rsa};
use crate::key::numbers::Numbers;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair};
use std::sync::Arc;

pub(super) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<Sign> {
    let hash = match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => return None,
    };
    let key = hmac::Key::new(hash, secret);
    Some(Box::new(move |_, input| Some(hmac::sign(&key, input).as_ref().to_vec())))
}

/// Takes over a key that is found good. `None` where AWS-LC can't have it.
pub(super) fn signer(material: &Material, public: &Numbers) -> Option<Sign> {
    let bytes = match &material.private {
        Private::Rsa(numbers) => {
            let key = RsaKeyPair::from_der(&write_rsa(numbers)).ok()?;
            return Some(Box::new(move |algorithm, input| {
                // AWS-LC has a generator of its own and doesn't look at this one, here and below.
                let random = SystemRandom::new();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(rsa_encoding(algorithm)?, &random, input, &mut signature).ok()?;
                Some(signature)
            }));
        }
        Private::Bytes(bytes) => bytes,
    };
    let public = public.to_bytes();
    let curve = match material.kind {
        Kind::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Kind::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Kind::Ed25519 => {
            let key = Ed25519KeyPair::from_seed_and_public_key(bytes, &public).ok()?;
            return Some(Box::new(move |_, input| Some(key.try_sign(input).ok()?.as_ref().to_vec())));
        }
        _ => return None,
    };
    let key = EcdsaKeyPair::from_private_key_and_public_key(curve, bytes, &public).ok()?;
    Some(Box::new(move |_, input| Some(key.sign(&SystemRandom::new(), input).ok()?.as_ref().to_vec())))
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

/// Takes over a public key that is found good. `None` where AWS-LC can't have it.
pub(super) fn verifier(algorithm: Algorithm, kind: Kind, numbers: &Numbers) -> Option<Verify> {
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
    let key = key.ok()?;
    Some(Arc::new(
        move |_, over, signature| matches!(over, Over::Text(text) if key.verify_sig(text, signature).is_ok()),
    ))
}
