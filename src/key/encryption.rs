//! Keys to which tokens are encrypted, and which open them again: JWE's key management (RFC 7518, 4).
//!
//! Owns the wrapped key. Must not know tokens. Decision: what a key is decides which algorithms it takes, and its
//! algorithm is fixed when it is loaded; a header only ever agrees with it or is refused (RFC 8725, 3.1).

mod agreement;
mod management;
#[cfg(test)]
mod tests;

pub use management::Management;

use super::error::KeyError;
use super::jwk::{Jwk, Use, is_json};
use super::kind::Kind;
use super::material::Material;
use super::numbers::Numbers;
use super::public;
use crate::ground::base64;
use crate::ground::secret::Secret;
use agreement::{Private, Recipient};
use serde_json::Value;
use std::fmt;
use superboring::aes::{AesKey, unwrap_key, wrap_key};
use zeroize::Zeroizing;

/// How much longer a wrapped key is than the key, in bytes (RFC 3394, 2.2.1).
const WRAP_BYTES: usize = 8;

/// What tokens are encrypted to. `Debug` shows no secret.
#[derive(Clone)]
pub struct EncryptionKey {
    management: Management,
    id: Option<String>,
    to: To,
}

#[derive(Clone)]
enum To {
    Shared(Zeroizing<Vec<u8>>),
    Public(Recipient),
}

/// A key as it travels in a token.
pub struct Wrapped {
    /// The encrypted key.
    pub key: Vec<u8>,
    /// `epk`: the public half of the key that was made for this token, as a JWK.
    pub ephemeral: Option<Value>,
}

/// What the header of an encrypted token says of its key.
#[derive(Debug, Clone, Copy)]
pub struct Stated<'a> {
    /// `alg`
    pub management: Management,
    /// `epk`
    pub ephemeral: Option<&'a Value>,
    /// `apu`, decoded.
    pub producer: Option<&'a [u8]>,
    /// `apv`, decoded.
    pub consumer: Option<&'a [u8]>,
}

impl EncryptionKey {
    /// A shared secret: its text in base64, or a JWK (`oct`). Without an algorithm, A256KW.
    pub fn shared(
        text: &Secret,
        algorithm: Option<Management>,
        id: Option<String>,
    ) -> Result<EncryptionKey, KeyError> {
        if is_json(text.expose()) {
            return EncryptionKey::from_jwk(text.expose(), algorithm, id);
        }
        let management = algorithm.unwrap_or(Management::A256Kw);
        EncryptionKey::of_secret(&read_secret(text)?, Some(management), id)
    }

    /// Without an algorithm, the one for a secret of that length.
    fn of_secret(
        bytes: &[u8],
        algorithm: Option<Management>,
        id: Option<String>,
    ) -> Result<EncryptionKey, KeyError> {
        let fitting = if bytes.len() == 16 { Management::A128Kw } else { Management::A256Kw };
        let management = algorithm.unwrap_or(fitting);
        if !management.is_shared() {
            return Err(KeyError::encryption("a shared secret is for A256KW and A128KW"));
        }
        if bytes.len() != management.key_bytes() {
            return Err(KeyError::encryption(if management == Management::A128Kw {
                "A128KW takes a secret of 16 bytes"
            } else {
                "A256KW takes a secret of 32 bytes"
            }));
        }
        Ok(EncryptionKey { management, id, to: To::Shared(bytes.to_vec().into()) })
    }

    /// A recipient's public key on P-256 or X25519, in PEM or as a JWK. Without an algorithm, ECDH-ES+A256KW.
    pub fn public(
        text: &[u8],
        algorithm: Option<Management>,
        id: Option<String>,
    ) -> Result<EncryptionKey, KeyError> {
        if is_json(text) {
            return EncryptionKey::from_jwk(text, algorithm, id);
        }
        let (kind, numbers) = public::read_numbers(text)?;
        EncryptionKey::to_recipient(kind, &numbers, algorithm, id)
    }

    fn to_recipient(
        kind: Kind,
        numbers: &Numbers,
        algorithm: Option<Management>,
        id: Option<String>,
    ) -> Result<EncryptionKey, KeyError> {
        let management = algorithm.unwrap_or(Management::EcdhEsA256Kw);
        if management.is_shared() {
            return Err(KeyError::encryption("a public key is for ECDH-ES+A256KW and ECDH-ES+A128KW"));
        }
        Ok(EncryptionKey { management, id, to: To::Public(Recipient::new(kind, numbers)?) })
    }

    /// A JWK: a shared secret, or a recipient's public key. Its `alg` and `kid` count where nothing else is asked.
    pub fn from_jwk(
        text: &[u8],
        asked: Option<Management>,
        id: Option<String>,
    ) -> Result<EncryptionKey, KeyError> {
        let jwk = Jwk::parse(text)?;
        jwk.check_use(Use::Encrypt)?;
        let algorithm = algorithm_of(&jwk, asked)?;
        let id = match id {
            Some(id) => Some(id),
            None => jwk.kid()?,
        };
        if jwk.is_shared() {
            return EncryptionKey::of_secret(jwk.secret()?.expose(), algorithm, id);
        }
        if jwk.is_private() {
            return Err(KeyError::NotPublic { found: "a private JWK".to_owned() });
        }
        let (kind, numbers) = jwk.public()?;
        EncryptionKey::to_recipient(kind, &numbers, algorithm, id)
    }

    /// The one algorithm.
    pub fn management(&self) -> Management {
        self.management
    }

    /// `kid`
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What opens its tokens; `None` for a recipient's public key.
    pub fn opener(&self) -> Option<DecryptionKey> {
        match &self.to {
            To::Shared(bytes) => {
                Some(DecryptionKey { management: Some(self.management), with: With::Shared(bytes.clone()) })
            }
            To::Public(_) => None,
        }
    }

    /// Whether it is this key, which signs: one key is for one purpose.
    pub fn is_half_of(&self, key: &super::PublicKey) -> bool {
        matches!(&self.to, To::Public(recipient) if recipient.is(key.kind(), key.numbers()))
    }

    /// Wraps the key of a token's content (RFC 3394).
    pub fn wrap(&self, content_key: &[u8]) -> Result<Wrapped, KeyError> {
        let failed = KeyError::Crypto { task: "encrypt" };
        let (secret, ephemeral) = match &self.to {
            To::Shared(bytes) => (bytes.clone(), None),
            To::Public(recipient) => {
                let (secret, ephemeral) = recipient.agree().ok_or(failed.clone())?;
                let name = self.management.name();
                (agreement::derive(&secret, name, &[], &[], self.management.key_bytes()), Some(ephemeral))
            }
        };
        let mut key = vec![0; content_key.len() + WRAP_BYTES];
        let aes = AesKey::new_encrypt(&secret).map_err(|_| failed.clone())?;
        wrap_key(&aes, None, &mut key, content_key).map_err(|_| failed)?;
        Ok(Wrapped { key, ephemeral })
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EncryptionKey");
        shown.field("algorithm", &self.management.name()).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What opens encrypted tokens. `Debug` shows no secret.
#[derive(Clone)]
pub struct DecryptionKey {
    /// Where it is for one algorithm alone.
    management: Option<Management>,
    with: With,
}

#[derive(Clone)]
enum With {
    Shared(Zeroizing<Vec<u8>>),
    Private(Private),
}

impl DecryptionKey {
    /// The key of a file: a private key on P-256 or X25519, in PEM or as a JWK, or a shared secret in base64.
    pub fn read(text: &Secret) -> Result<DecryptionKey, KeyError> {
        let bytes = text.expose();
        if is_json(bytes) {
            let jwk = Jwk::parse(bytes)?;
            jwk.check_use(Use::Decrypt)?;
            let asked = algorithm_of(&jwk, None)?;
            if jwk.is_shared() {
                return DecryptionKey::of_secret(jwk.secret()?.expose(), asked);
            }
            if !jwk.is_private() {
                jwk.public()?; // what lacks `kty` is no key at all
                return Err(KeyError::NotPrivate { found: "a public JWK".to_owned() });
            }
            return DecryptionKey::of_material(&jwk.material()?, asked);
        }
        if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            return DecryptionKey::of_material(&Material::from_pem(bytes)?, None);
        }
        DecryptionKey::of_secret(&read_secret(text)?, None)
    }

    fn of_secret(bytes: &[u8], asked: Option<Management>) -> Result<DecryptionKey, KeyError> {
        let key = EncryptionKey::of_secret(bytes, asked, None)?;
        key.opener().ok_or(KeyError::Malformed { what: "key" })
    }

    fn of_material(material: &Material, asked: Option<Management>) -> Result<DecryptionKey, KeyError> {
        if asked.is_some_and(Management::is_shared) {
            return Err(KeyError::encryption("a private key is for ECDH-ES+A256KW and ECDH-ES+A128KW"));
        }
        Ok(DecryptionKey { management: asked, with: With::Private(Private::new(material)?) })
    }

    /// Whether the key can be for this algorithm.
    pub fn takes(&self, management: Management) -> bool {
        let shared = matches!(self.with, With::Shared(_));
        self.management.map_or(shared == management.is_shared(), |own| own == management)
    }

    /// The key of a token's content. `None` wherever something does not fit, without saying what.
    pub fn unwrap(&self, stated: &Stated<'_>, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Stated { management, ephemeral, producer, consumer } = *stated;
        if !self.takes(management) {
            return None;
        }
        let secret = match &self.with {
            With::Shared(bytes) => bytes.clone(),
            With::Private(private) => {
                // RFC 7518 (4.6.2): the two must be distinct.
                if producer.is_some() && producer == consumer {
                    return None;
                }
                let (name, length) = (management.name(), management.key_bytes());
                let shared = private.agree(ephemeral?)?;
                let [producer, consumer] = [producer, consumer].map(Option::unwrap_or_default);
                agreement::derive(&shared, name, producer, consumer, length)
            }
        };
        let mut key = Zeroizing::new(vec![0; wrapped.len().checked_sub(WRAP_BYTES)?]);
        let aes = AesKey::new_decrypt(&secret).ok()?;
        unwrap_key(&aes, None, &mut key, wrapped).ok()?;
        Some(key)
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey(redacted)")
    }
}

/// `alg` of a JWK, where it stands and agrees with what is asked. Some writers name the agreement alone.
fn algorithm_of(jwk: &Jwk, asked: Option<Management>) -> Result<Option<Management>, KeyError> {
    let Some(name) = jwk.alg()?.filter(|name| *name != "ECDH" && *name != "ECDH-ES") else {
        return Ok(asked);
    };
    let own =
        Management::named(name).map_err(|_| KeyError::Jwk { why: "its `alg` encrypts no token here" })?;
    match asked {
        Some(asked) if asked != own => {
            Err(KeyError::Jwk { why: "its `alg` is not the algorithm that is asked for" })
        }
        _ => Ok(Some(own)),
    }
}

/// A secret's text in base64, of either alphabet, padded or not. No other form: a password has too little in it.
fn read_secret(text: &Secret) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = std::str::from_utf8(text.expose().trim_ascii()).ok();
    let bytes = text.and_then(|text| base64::read_padded(text).or_else(|| base64::read_standard(text)));
    let bytes = bytes.map(Zeroizing::new).filter(|bytes| matches!(bytes.len(), 16 | 32));
    bytes.ok_or(KeyError::encryption("expected 32 bytes in base64 (16 for A128KW), a JWK or a PEM text"))
}
