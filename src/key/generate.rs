//! New keys.
//!
//! Owns random secrets and the form in which new keys are written. Must not know files. Decision: a new
//! key is written as PEM and read back by the loader that every start uses, so that what was generated
//! is known to load.

use super::error::KeyError;
use super::kind::Kind;
use super::{Key, der, pem};
use crate::ground::secret::Secret;
use crate::key::algorithm::Algorithm;
use jwt_simple::algorithms::{ES256KeyPair, ES384KeyPair, Ed25519KeyPair, RS256KeyPair};
use jwt_simple::reexports::rand;
use superboring::mldsa::MlDsaPrivateKey;
use zeroize::Zeroizing;

/// The size of new RSA keys, in bits. NIST SP 800-57 holds 2048 good to 2030; a signature with 3072 takes
/// about three times as long, and a token lives for minutes.
const RSA_BITS: usize = 2048;

impl Key {
    /// A new key with its default id, and the text to keep it in: a PKCS#8 PEM, or for HMAC 64 random
    /// characters of base64url (48 random bytes).
    ///
    /// RSA keys have 2048 bits. One takes from a tenth of a second to a few.
    pub fn generate(algorithm: Algorithm) -> Result<(Key, Secret), KeyError> {
        let failed = |_| KeyError::Crypto { task: "generate a key" };
        if algorithm.is_hmac() {
            let mut random = Zeroizing::new([0; 48]);
            rand::fill(random.as_mut_slice());
            let secret = Secret::new(super::base64url(random.as_slice()).into_bytes());
            return Ok((Key::from_secret(algorithm, &secret, None)?, secret));
        }
        let text = match algorithm {
            Algorithm::ES256 => wrap(ES256KeyPair::generate().to_der().map_err(failed)?),
            Algorithm::ES384 => wrap(ES384KeyPair::generate().to_der().map_err(failed)?),
            Algorithm::EdDSA => wrap(Ed25519KeyPair::generate().to_der()),
            Algorithm::MlDsa44 => ml_dsa(Kind::MlDsa44)?,
            Algorithm::MlDsa65 => ml_dsa(Kind::MlDsa65)?,
            Algorithm::MlDsa87 => ml_dsa(Kind::MlDsa87)?,
            _ => wrap(RS256KeyPair::generate(RSA_BITS).and_then(|key| key.to_der()).map_err(failed)?),
        };
        let secret = Secret::new(text.as_bytes().to_vec());
        Ok((Key::from_pem(&secret, Some(algorithm), None)?, secret))
    }
}

/// The PEM text of a PKCS#8 key; the DER is wiped.
fn wrap(der: Vec<u8>) -> Zeroizing<String> {
    pem::encode("PRIVATE KEY", &Zeroizing::new(der))
}

/// The seed alone, as RFC 9881 (6) recommends.
fn ml_dsa(kind: Kind) -> Result<Zeroizing<String>, KeyError> {
    let failed = || KeyError::Crypto { task: "generate a key" };
    let (_, key) = MlDsaPrivateKey::generate(kind.ml_dsa().ok_or_else(failed)?).map_err(|_| failed())?;
    let seed = Zeroizing::new(der::encode(der::context_primitive(0), &[key.seed_bytes()]));
    let octets = Zeroizing::new(der::encode(der::OCTET_STRING, &[&seed]));
    Ok(wrap(der::encode(der::SEQUENCE, &[&der::encode_unsigned(&[0]), &kind.identifier(), &octets])))
}
