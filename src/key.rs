//! Keys that sign tokens: a shared secret, or a private key with its public half.
//!
//! Owns loading, signing and key ids. Must not know files, configuration or tokens. Decision: everything
//! that can be refused is refused when a key is loaded, so that signing can only fail if the
//! cryptographic library does; an HMAC key has no [`PublicKey`], by type, so it can't be published.
//!
//!     PEM -> key::pem -> key::der -> key::private -> Key -> sign
//!                                        |-> key::public -> verify, ids, key::jwk

pub mod chain;
mod der;
mod error;
mod generate;
mod jwk;
mod kind;
mod pem;
mod private;
mod public;

pub use chain::Chain;
pub use error::KeyError;
pub(crate) use jwk::base64url;
pub use public::PublicKey;

use crate::algorithm::Algorithm;
use crate::secret::Secret;
use private::Signing;
use std::fmt;
use zeroize::Zeroizing;

/// A key that signs one algorithm. `Debug` shows no secret.
pub struct Key {
    algorithm: Algorithm,
    id: Option<String>,
    signing: Signing,
    public: Option<PublicKey>,
    chain: Option<Chain>,
}

/// A key that works but is easier to guess than its algorithm supposes. `Display` says so and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weakness {
    /// The key's algorithm.
    pub algorithm: Algorithm,
    /// The length of the secret, in bytes.
    pub bytes: usize,
    /// What RFC 7518 (3.2) asks for, in bytes.
    pub least: usize,
}

impl Key {
    /// A shared secret of any length but zero, for HS256, HS384 or HS512.
    ///
    /// Without an id the key has none: a hash of the secret would help to guess it (RFC 7638, 7).
    pub fn from_secret(algorithm: Algorithm, secret: &Secret, id: Option<String>) -> Result<Key, KeyError> {
        if !algorithm.is_hmac() {
            return Err(KeyError::SecretForKeyPair { algorithm });
        }
        if secret.expose().is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let signing = Signing::Hmac(Zeroizing::new(secret.expose().to_vec()));
        Ok(Key { algorithm, id, signing, public: None, chain: None })
    }

    /// The private key of a PEM text: PKCS#1, PKCS#8 or SEC1.
    ///
    /// Without an algorithm, the key's default (RS256, ES256, ES384, EdDSA, ML-DSA-*); without an id,
    /// [`PublicKey::default_id`].
    pub fn from_pem(pem: &Secret, algorithm: Option<Algorithm>, id: Option<String>) -> Result<Key, KeyError> {
        let loaded = private::load(pem.expose())?;
        let public = PublicKey::new(loaded.kind, loaded.numbers, algorithm)?;
        let id = id.unwrap_or_else(|| public.default_id());
        Ok(Key {
            algorithm: public.algorithm(),
            id: Some(id),
            signing: loaded.signing,
            public: Some(public),
            chain: None,
        })
    }

    /// The same key with certificates for the `x5c` header; refused where the first is for another key.
    pub fn with_chain(self, chain: Chain) -> Result<Key, KeyError> {
        let own = self.public.as_ref();
        if own.is_some_and(|own| own.matches(chain.leaf_public_key())) {
            return Ok(Key { chain: Some(chain), ..self });
        }
        let found_at = own.and_then(|own| chain.position_of(own)).map(|index| index + 1);
        Err(KeyError::ChainOfOtherKey { found_at })
    }

    /// The one algorithm that it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of its tokens; only an HMAC key can be without.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The certificates for the `x5c` header.
    pub fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// The public half; an HMAC key has none.
    pub fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// What to warn about, where the key is a secret shorter than RFC 7518 (3.2) asks.
    pub fn weakness(&self) -> Option<Weakness> {
        let Signing::Hmac(secret) = &self.signing else { return None };
        let least = self.algorithm.hmac_bytes()?;
        let bytes = secret.len();
        (bytes < least).then_some(Weakness { algorithm: self.algorithm, bytes, least })
    }

    /// The raw JWS signature over the input: a MAC (RFC 7518, 3.2), RSA as long as the modulus, ECDSA as
    /// `r || s` (3.4), Ed25519 (RFC 8037, 3.1), ML-DSA with an empty context.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.signing.sign(self.algorithm, input)
    }

    /// Whether the raw JWS signature over the input is this key's. A MAC is compared in constant time.
    pub fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        match (&self.signing, &self.public) {
            (Signing::Hmac(secret), _) => private::mac_verify(self.algorithm, secret, input, signature),
            (_, Some(public)) => public.verify(input, signature),
            (_, None) => false,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Weakness { algorithm, bytes, least } = self;
        write!(
            f,
            "the secret has {bytes} bytes, {algorithm} asks for {least} (RFC 7518, 3.2): whoever has one \
             token can try to guess it; make one with: openssl rand -base64 48"
        )
    }
}
