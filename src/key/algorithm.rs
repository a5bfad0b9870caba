//! The signature algorithms, by the names that JWS gives them.
//!
//! Owns names and families. Must not know keys.

use std::fmt;
use std::str::FromStr;

/// A JWS `alg` value: RFC 7518 (3.1), RFC 8037 (`EdDSA`) and the JOSE registry (ML-DSA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
    /// ML-DSA-44 (FIPS 204).
    MlDsa44,
    /// ML-DSA-65 (FIPS 204).
    MlDsa65,
    /// ML-DSA-87 (FIPS 204).
    MlDsa87,
}

impl Algorithm {
    /// Every algorithm, in the order that messages list them.
    pub const ALL: [Algorithm; 15] = {
        use Algorithm::{
            ES256, ES384, EdDSA, HS256, HS384, HS512, MlDsa44, MlDsa65, MlDsa87, PS256, PS384, PS512, RS256,
            RS384, RS512,
        };
        [
            HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, MlDsa44,
            MlDsa65, MlDsa87,
        ]
    };

    /// Those of an RSA key.
    pub(crate) const RSA: [Algorithm; 6] = {
        use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
        [RS256, RS384, RS512, PS256, PS384, PS512]
    };

    /// The `alg` value.
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; Algorithm::ALL.len()] = [
            "HS256",
            "HS384",
            "HS512",
            "RS256",
            "RS384",
            "RS512",
            "PS256",
            "PS384",
            "PS512",
            "ES256",
            "ES384",
            "EdDSA",
            "ML-DSA-44",
            "ML-DSA-65",
            "ML-DSA-87",
        ];
        NAMES[self as usize]
    }

    /// True for the algorithms whose key is a shared secret.
    pub fn is_hmac(self) -> bool {
        matches!(self, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
    }

    /// Whether it is one of ML-DSA's (FIPS 204), which registries do not know.
    pub fn is_ml_dsa(self) -> bool {
        matches!(self, Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87)
    }

    /// The least sensible length of an HMAC secret, in bytes: that of the hash (RFC 7518, 3.2).
    pub fn hmac_bytes(self) -> Option<usize> {
        match self {
            Algorithm::HS256 => Some(32),
            Algorithm::HS384 => Some(48),
            Algorithm::HS512 => Some(64),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is no algorithm that Keypebble signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Without regard to case: the original upper-cases what it reads.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_whatever_its_case() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(algorithm.name().to_lowercase().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn none_is_no_algorithm() {
        for name in ["none", "", "HS", "HS2560", "ES512"] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
        }
    }
}
