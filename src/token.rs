//! Token formats: from claims, already JSON, to the text of a token, and back.
//!
//! Must not know what the claims mean or what time it is. Decision: the set of formats is closed, so they
//! are an enum and not a trait: an exhaustive match lists every place that a new one touches.

mod jws;
pub mod refresh;

pub use jws::{MAX_TOKEN, VerifyError, verify};

use crate::key::{Key, KeyError};
use jws::Jws;
use std::fmt;
use std::sync::Arc;

/// A token format with what it seals with.
#[derive(Debug)]
pub enum Sealer {
    /// A JWT as JWS in compact form.
    Jws(Jws),
}

impl Sealer {
    /// Seals as JWS with this key: `alg`, `typ`, its `kid` where it has one, `x5c` where it has a chain.
    pub fn jws(key: Arc<Key>) -> Sealer {
        Sealer::Jws(Jws::new(key))
    }

    /// The token of these claims, which become its payload byte for byte.
    pub fn seal(&self, claims_json: &[u8]) -> Result<String, SealError> {
        match self {
            Sealer::Jws(jws) => jws.seal(claims_json),
        }
    }
}

/// A token could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The key did not sign; `source` says why.
    Sign(KeyError),
    /// The claims are so long that their encoded length overflows.
    TooLong,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::Sign(_) => write!(f, "cannot sign the token"),
            SealError::TooLong => write!(f, "the claims are too long"),
        }
    }
}

impl std::error::Error for SealError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SealError::Sign(error) => Some(error),
            SealError::TooLong => None,
        }
    }
}
