//! The form of refresh tokens: `kpr1_`, a payload, a dot, a signature.
//!
//! Owns the form and what is signed. Decision: such a token is no JWT and no part of one. It has one dot, not
//! two, and its signature is over a text with a NUL in it, which no JWS signing input has (RFC 7515, 5.1:
//! base64url and a dot). So no program that checks this issuer's JWTs, however carelessly, takes a refresh
//! token for one; nor is a JWT ever taken here. That is why the ring's own keys can sign it.

use super::SealError;
use crate::ground::base64;
use crate::ground::secret::Secret;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::RingKey;
use crate::key::{Key, KeyError};

/// How a refresh token begins: a name to search leaked text for.
pub const PREFIX: &str = "kpr1_";

/// What is signed begins with this: its type, apart from everything else that the keys sign.
const LABEL: &[u8] = b"keypebble refresh token v1\0";

/// The longest refresh token that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// What signs a refresh token.
#[derive(Debug, Clone, Copy)]
pub enum SigningKey<'k> {
    /// A secret of its own: HMAC-SHA-256.
    Own(&'k Secret),
    /// A key of the ring.
    Ring(&'k Key),
}

impl<'k> SigningKey<'k> {
    /// The secret, if there is one, else the key.
    pub fn of(secret: Option<&'k Secret>, key: &'k Key) -> Self {
        secret.map_or(SigningKey::Ring(key), SigningKey::Own)
    }
}

/// The key that a secret for refresh tokens alone makes: HMAC-SHA-256. A PEM text is refused, as for tokens.
pub fn own_key(secret: &Secret) -> Result<Key, KeyError> {
    Key::from_secret(Algorithm::HS256, secret, None)
}

/// The token of this payload. `bound_to` is signed with it but not in it: when that changes the signature
/// stands no more, and nothing of it can be learned from the token.
pub fn seal(payload: &[u8], bound_to: &[u8], key: SigningKey<'_>) -> Result<String, SealError> {
    let input = signed(payload, bound_to);
    let signature = match key {
        SigningKey::Own(secret) => own_key(secret).and_then(|key| key.sign(&input)),
        SigningKey::Ring(key) => key.sign(&input),
    };
    let signature = signature.map_err(SealError::Sign)?;
    Ok(format!("{PREFIX}{}.{}", base64::text(payload), base64::text(&signature)))
}

/// A refresh token taken apart, its signature not yet checked.
#[derive(Debug)]
pub struct Opened {
    /// What it says of itself.
    pub payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Opened {
    /// Takes a token apart; `None` where it has not the form of one.
    pub fn of(token: &str) -> Option<Self> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (payload, signature) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let decode = |text: &str| base64::read(text);
        Some(Self { payload: decode(payload)?, signature: decode(signature)? })
    }

    /// Whether this secret signed it.
    pub fn stands_by_secret(&self, bound_to: &[u8], secret: &Secret) -> bool {
        own_key(secret).is_ok_and(|key| key.verify(&signed(&self.payload, bound_to), &self.signature))
    }

    /// Whether this key of the ring signed it.
    pub fn stands_by_key(&self, bound_to: &[u8], key: &RingKey) -> bool {
        key.verify(&signed(&self.payload, bound_to), &self.signature)
    }
}

/// What the signature is over: no two pairs of payload and bound bytes give the same.
fn signed(payload: &[u8], bound_to: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes();
    [LABEL, &length, payload, bound_to].concat()
}
