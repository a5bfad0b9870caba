//! A signed token inside an encrypted one (RFC 7519, 5.2): signed first, then encrypted.
//!
//! Owns the order and `cty`. Decision: exactly one signed token inside exactly one encrypted one, so that whoever
//! opens it knows what to check, and how long that takes.

use super::jwe::Jwe;
use super::jws::Jws;
use super::{OpenError, SealError, Typ};
use zeroize::Zeroizing;

/// Both formats with their keys.
#[derive(Debug)]
pub struct Nested {
    pub(super) jws: Jws,
    pub(super) jwe: Jwe,
}

impl Nested {
    /// The token of these claims. `typ` is the inner token's; the outer one holds a JWT, whatever it is for.
    pub(super) fn seal(&self, claims_json: &[u8], typ: Typ) -> Result<String, SealError> {
        let signed = self.jws.seal(claims_json, typ)?;
        self.jwe.seal(signed.as_bytes(), Typ::Jwt, Some("JWT"))
    }
}

/// The signed token that was inside.
pub(super) fn inside(content: &Zeroizing<Vec<u8>>) -> Result<String, OpenError> {
    let text = std::str::from_utf8(content).map_err(|_| OpenError::Inside)?;
    if text.split('.').count() == 3 { Ok(text.to_owned()) } else { Err(OpenError::Inside) }
}
