//! New keys.
//!
//! Owns random secrets and the form in which new keys are written. Must not know files. Decision: a new
//! key is written as PEM and read back by the loader that every start uses, so that what was generated
//! is known to load.

use super::error::KeyError;
use super::{Key, engine, pem};
use crate::ground::base64;
use crate::ground::secret::Secret;
use crate::key::algorithm::Algorithm;
use crate::key::kind::Kind;
use zeroize::Zeroizing;

impl Key {
    /// A new key with its default id, and the text to keep it in: a PKCS#8 PEM, or for HMAC 64 random
    /// characters of base64url (48 random bytes).
    ///
    /// RSA keys have 2048 bits. One takes from a tenth of a second to a few.
    pub fn generate(algorithm: Algorithm) -> Result<(Key, Secret), KeyError> {
        let Some(kind) = Kind::of(algorithm) else {
            let mut random = Zeroizing::new([0; 48]);
            getrandom::fill(random.as_mut_slice())
                .map_err(|_| KeyError::Crypto { task: "generate a key" })?;
            let secret = Secret::new(base64::text(random.as_slice()).into_bytes());
            return Ok((Key::from_secret(algorithm, &secret, None)?, secret));
        };
        let pem = pem::encode("PRIVATE KEY", &engine::generate(kind)?.to_pkcs8());
        let secret = Secret::new(pem.as_bytes().to_vec());
        Ok((Key::from_pem(&secret, Some(algorithm), None)?, secret))
    }
}
