//! What computes with keys: pure Rust, and AWS-LC beside it in builds with the feature `fast`.
//!
//! Owns the choice between the two, and is the only place that knows of that feature. Decisions: a key that is
//! ready is a function, which owns the library's key; and every key is read and judged by the Rust engine, in
//! every build, so that AWS-LC is handed only what that found good. Both builds take and refuse the same keys
//! by construction, and one engine is there to check the other.

mod rust;

use super::error::KeyError;
use super::kind::Kind;
use super::material::Material;
use super::numbers::Numbers;
use crate::key::algorithm::Algorithm;
use std::sync::Arc;

pub(crate) use rust::generate;

const RUST: &str = "Rust";
const AWS_LC: &str = "AWS-LC";

/// Whether this build has AWS-LC.
const FAST: bool = cfg!(feature = "fast");

/// What signs in this build: Rust, or AWS-LC wherever that can.
pub const ENGINE: &str = if FAST { AWS_LC } else { RUST };

/// Signs for one of the key's algorithms; `None` where the library fails.
type Sign = Box<dyn Fn(Algorithm, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Whether a signature of one of the key's algorithms stands.
type Verify = Arc<dyn Fn(Algorithm, Over<'_>, &[u8]) -> bool + Send + Sync>;

/// What a signature is over.
#[derive(Clone, Copy)]
pub(crate) enum Over<'a> {
    Text(&'a [u8]),
    /// Its hash, which ECDSA takes with another length than that of the curve, too.
    Hash(&'a [u8]),
}

#[cfg(feature = "fast")]
mod aws_lc;

/// What a build without the feature `fast` has of AWS-LC.
#[cfg(not(feature = "fast"))]
mod aws_lc {
    use super::{Algorithm, Kind, Material, Numbers, Sign, Verify};

    pub(super) fn hmac(_: Algorithm, _: &[u8]) -> Option<Sign> {
        None
    }

    pub(super) fn signer(_: &Material, _: &Numbers) -> Option<Sign> {
        None
    }

    pub(super) fn verifier(_: Algorithm, _: Kind, _: &Numbers) -> Option<Verify> {
        None
    }
}

/// A key that is ready to sign.
pub(crate) struct Signer {
    rust: Sign,
    fast: Option<Sign>,
}

/// A key that is ready to verify.
#[derive(Clone)]
pub(crate) struct Verifier {
    rust: Verify,
    fast: Option<Verify>,
}

/// For a shared secret; `None` where the algorithm is for key pairs. MACs are compared in constant time.
pub(crate) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<(Signer, Verifier)> {
    let (sign, verify) = rust::hmac(algorithm, secret)?;
    let signer = Signer { rust: sign, fast: aws_lc::hmac(algorithm, secret) };
    Some((signer, Verifier { rust: verify, fast: None }))
}

impl Signer {
    /// For a key pair, whose public half is computed.
    pub(crate) fn new(material: &Material) -> Result<(Signer, Numbers), KeyError> {
        let (rust, public) = rust::signer(material)?;
        let fast = aws_lc::signer(material, &public);
        Ok((Signer { rust, fast }, public))
    }

    /// The raw JWS signature (RFC 7518, 3; RFC 8037, 3.1; ML-DSA pure, with an empty context).
    pub(crate) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        let sign = self.fast.as_ref().unwrap_or(&self.rust);
        sign(algorithm, input).ok_or(KeyError::Crypto { task: "sign" })
    }

    /// The same by the Rust engine, which signs one text always alike, but for PSS and ML-DSA.
    pub(crate) fn sign_alike(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        (self.rust)(algorithm, input).ok_or(KeyError::Crypto { task: "sign" })
    }

    /// The same key without AWS-LC.
    pub(crate) fn in_rust(self) -> Signer {
        Signer { fast: None, ..self }
    }

    /// What signs with this key.
    pub(crate) fn name(&self) -> &'static str {
        if self.fast.is_some() { AWS_LC } else { RUST }
    }
}

impl Verifier {
    /// For one algorithm, with the numbers in the one form in which they are written.
    pub(crate) fn new(
        algorithm: Algorithm,
        kind: Kind,
        numbers: Numbers,
    ) -> Result<(Verifier, Numbers), KeyError> {
        let (rust, numbers) = rust::verifier(kind, numbers)?;
        let fast = aws_lc::verifier(algorithm, kind, &numbers);
        Ok((Verifier { rust, fast }, numbers))
    }

    /// Whether the raw JWS signature is this key's over the input.
    pub(crate) fn verify(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        let verify = self.fast.as_ref().unwrap_or(&self.rust);
        verify(algorithm, Over::Text(input), signature)
    }

    /// The same by the Rust engine for any algorithm of the key's kind, as certificates need it.
    pub(crate) fn verify_any(&self, algorithm: Algorithm, over: Over<'_>, signature: &[u8]) -> bool {
        (self.rust)(algorithm, over, signature)
    }

    /// The same key without AWS-LC.
    pub(crate) fn in_rust(self) -> Verifier {
        Verifier { fast: None, ..self }
    }
}

#[cfg(test)]
mod tests;
