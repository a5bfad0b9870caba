//! What computes with keys: pure Rust, and AWS-LC beside it in builds with the feature `fast`.
//!
//! Owns the choice between the two, and is the only place that knows of that feature. Decision: every key is
//! read and judged by the Rust engine, in every build, and AWS-LC is handed only what that found good. Both
//! builds take and refuse the same keys by construction, and one engine is there to check the other.

#[cfg(feature = "fast")]
mod aws_lc;
mod rust;

#[cfg(test)]
mod tests;

use super::error::KeyError;
use super::kind::Kind;
use super::material::Material;
use super::numbers::Numbers;
use crate::key::algorithm::Algorithm;

pub(crate) use rust::generate;

/// What signs in this build: `Rust`, or `AWS-LC` for what it can do.
pub const ENGINE: &str = if cfg!(feature = "fast") { aws_lc::NAME } else { rust::NAME };

/// What a build without the feature `fast` has of AWS-LC.
#[cfg(not(feature = "fast"))]
mod aws_lc {
    use super::{Algorithm, Kind, Material, Numbers};

    pub(super) const NAME: &str = "";

    pub(super) enum Signer {}

    #[derive(Clone)]
    pub(super) enum Verifier {}

    impl Signer {
        pub(super) fn hmac(_: Algorithm, _: &[u8]) -> Option<Signer> {
            None
        }

        pub(super) fn new(_: &Material, _: &Numbers) -> Option<Signer> {
            None
        }

        pub(super) fn sign(&self, _: Algorithm, _: &[u8]) -> Option<Vec<u8>> {
            match *self {}
        }
    }

    impl Verifier {
        pub(super) fn new(_: Algorithm, _: Kind, _: &Numbers) -> Option<Verifier> {
            None
        }

        pub(super) fn verify(&self, _: &[u8], _: &[u8]) -> bool {
            match *self {}
        }
    }
}

/// A key that is ready to sign.
pub(crate) struct Signer {
    rust: rust::Signer,
    fast: Option<aws_lc::Signer>,
}

impl Signer {
    /// For a shared secret; `None` where the algorithm is for key pairs.
    pub(crate) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<Signer> {
        let rust = rust::Signer::hmac(algorithm, secret)?;
        Some(Signer { rust, fast: aws_lc::Signer::hmac(algorithm, secret) })
    }

    /// For a key pair, whose public half is computed.
    pub(crate) fn new(material: &Material) -> Result<(Signer, Numbers), KeyError> {
        let (rust, public) = rust::Signer::new(material)?;
        let fast = aws_lc::Signer::new(material, &public);
        Ok((Signer { rust, fast }, public))
    }

    /// The raw JWS signature (RFC 7518, 3; RFC 8037, 3.1; ML-DSA pure, with an empty context).
    pub(crate) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.fast {
            Some(fast) => fast.sign(algorithm, input).ok_or(KeyError::Crypto { task: "sign" }),
            None => self.sign_in_rust(algorithm, input),
        }
    }

    /// The same by the Rust engine, which signs one text always alike, but for PSS and ML-DSA.
    pub(crate) fn sign_in_rust(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.rust.sign(algorithm, input).ok_or(KeyError::Crypto { task: "sign" })
    }

    /// Whether the MAC is right, found in constant time.
    pub(crate) fn is_mac(&self, input: &[u8], mac: &[u8]) -> bool {
        self.rust.is_mac(input, mac)
    }

    /// The same key without AWS-LC.
    pub(crate) fn in_rust(self) -> Signer {
        Signer { fast: None, ..self }
    }

    /// What signs with this key.
    pub(crate) fn name(&self) -> &'static str {
        if self.fast.is_some() { aws_lc::NAME } else { rust::NAME }
    }
}

/// A public key that is ready to verify.
#[derive(Clone)]
pub(crate) struct Verifier {
    rust: rust::Verifier,
    fast: Option<aws_lc::Verifier>,
}

impl Verifier {
    /// For one algorithm, with the numbers in the one form that they are written in.
    pub(crate) fn new(
        algorithm: Algorithm,
        kind: Kind,
        numbers: Numbers,
    ) -> Result<(Verifier, Numbers), KeyError> {
        let (rust, numbers) = rust::Verifier::new(kind, numbers)?;
        let fast = aws_lc::Verifier::new(algorithm, kind, &numbers);
        Ok((Verifier { rust, fast }, numbers))
    }

    /// Whether the raw JWS signature is this key's over the input.
    pub(crate) fn verify(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        match &self.fast {
            Some(fast) => fast.verify(input, signature),
            None => self.rust.verify(algorithm, input, signature),
        }
    }

    /// Whether the signature of a certificate is this key's: RSA or Ed25519 as in a token of that algorithm.
    pub(crate) fn verify_in_rust(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        self.rust.verify(algorithm, input, signature)
    }

    /// Whether the ECDSA signature `r || s` is this key's over a hash, which need not be that of the curve.
    pub(crate) fn verify_hash(&self, hash: &[u8], signature: &[u8]) -> bool {
        self.rust.verify_hash(hash, signature)
    }

    /// The same key without AWS-LC.
    pub(crate) fn in_rust(self) -> Verifier {
        Verifier { fast: None, ..self }
    }
}
