//! The public half of a key: what verifies, and what may be published.
//!
//! Owns verification, SPKI and the key ids. Must not know private keys or tokens. Decision: built from
//! the numbers of the key in one place, whatever form they came in, and its SPKI is always written anew,
//! so that one key has one id and two public keys are equal exactly when their SPKI is.

use super::der::{self, BadDer, Reader};
use super::error::KeyError;
use super::kind::Kind;
use super::{chain, pem};
use crate::ground::digest;
use crate::key::algorithm::Algorithm;
use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES384PublicKey, Ed25519PublicKey,
    EdDSAPublicKeyLike, RS256PublicKey, RSAPublicKeyLike,
};
use jwt_simple::{Error, JWTError};
use p256::ecdsa::signature::Verifier as _;
use std::fmt;
use superboring::hash::MessageDigest;
use superboring::mldsa::MlDsaPublicKey;
use superboring::pkey::{PKey, Public};
use superboring::rsa::Padding;
use superboring::sign::Verifier;

/// A key that verifies one algorithm. An HMAC secret is never one.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    kind: Kind,
    numbers: Numbers,
    verifying: Verifying,
    /// The same key under AWS-LC, where that can have it.
    #[cfg(feature = "fast")]
    fast: Option<super::fast::Verifier>,
    spki: Vec<u8>,
}

/// The public numbers, as JWK and SPKI carry them.
#[derive(Clone)]
pub(crate) enum Numbers {
    /// Big-endian, without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// An EC point in SEC1 form, an Ed25519 or an ML-DSA public key.
    Bytes(Vec<u8>),
}

#[derive(Clone)]
enum Verifying {
    Rsa(Box<PKey<Public>>),
    P256(ES256PublicKey),
    P384(ES384PublicKey),
    Ed25519(Ed25519PublicKey),
    MlDsa(Box<MlDsaPublicKey>),
}

impl PublicKey {
    /// Reads a PEM text: `PUBLIC KEY`, `RSA PUBLIC KEY`, or the key of the first `CERTIFICATE`.
    ///
    /// Without an algorithm, the key's default: RS256 for RSA.
    pub fn from_pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<PublicKey, KeyError> {
        let blocks = pem::blocks(text)?;
        if let Some(private) = blocks.iter().find(|block| block.label().ends_with("PRIVATE KEY")) {
            return Err(KeyError::NotPublic { found: private.label().to_owned() });
        }
        for block in &blocks {
            match block.label() {
                "PUBLIC KEY" => return PublicKey::from_spki(&block.decode()?, algorithm),
                "RSA PUBLIC KEY" => {
                    let numbers = read_rsa(&block.decode()?)?;
                    return PublicKey::new(Kind::Rsa, numbers, algorithm);
                }
                "CERTIFICATE" => {
                    let der = block.decode()?;
                    return PublicKey::from_spki(chain::Certificate::read(&der)?.spki(), algorithm);
                }
                _ => {}
            }
        }
        let found = blocks.first().map(|block| block.label().to_owned());
        Err(KeyError::NotPublic { found: found.unwrap_or_default() })
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280, 4.1), as DER.
    pub fn from_spki(spki: &[u8], algorithm: Option<Algorithm>) -> Result<PublicKey, KeyError> {
        let what = "public key";
        let malformed = |_: BadDer| KeyError::Malformed { what };
        let mut fields = Reader::only(spki, der::SEQUENCE).map_err(malformed)?;
        let kind = Kind::read(fields.enter(der::SEQUENCE).map_err(malformed)?, what)?;
        let bytes = fields.bit_string().map_err(malformed)?;
        fields.end().map_err(malformed)?;
        let numbers = if kind == Kind::Rsa { read_rsa(bytes)? } else { Numbers::Bytes(bytes.to_vec()) };
        PublicKey::new(kind, numbers, algorithm)
    }

    /// The only constructor: checks the numbers and writes the SPKI.
    pub(crate) fn new(
        kind: Kind,
        numbers: Numbers,
        algorithm: Option<Algorithm>,
    ) -> Result<PublicKey, KeyError> {
        let algorithm = kind.choose(algorithm)?;
        let malformed = || KeyError::Malformed { what: "public key" };
        let (verifying, numbers) = match (kind, numbers) {
            (Kind::Rsa, Numbers::Rsa { modulus, exponent }) => {
                let (modulus, exponent) = (without_zeros(&modulus), without_zeros(&exponent));
                let key = RS256PublicKey::from_components(&modulus, &exponent)
                    .map_err(|error| rsa_error(&error, &modulus, &exponent))?;
                let key = PKey::from_rsa(key.public_key().as_ref().clone()).map_err(|_| malformed())?;
                (Verifying::Rsa(Box::new(key)), Numbers::Rsa { modulus, exponent })
            }
            (Kind::P256, Numbers::Bytes(point)) => {
                let key = ES256PublicKey::from_bytes(&point).map_err(|_| malformed())?;
                let point = key.public_key().to_bytes_uncompressed();
                (Verifying::P256(key), Numbers::Bytes(point))
            }
            (Kind::P384, Numbers::Bytes(point)) => {
                let key = ES384PublicKey::from_bytes(&point).map_err(|_| malformed())?;
                let point = key.public_key().to_bytes_uncompressed();
                (Verifying::P384(key), Numbers::Bytes(point))
            }
            (Kind::Ed25519, Numbers::Bytes(bytes)) => {
                let key = Ed25519PublicKey::from_bytes(&bytes).map_err(|_| malformed())?;
                (Verifying::Ed25519(key), Numbers::Bytes(bytes))
            }
            (_, Numbers::Bytes(bytes)) => {
                let set = kind.ml_dsa().ok_or_else(malformed)?;
                let key = MlDsaPublicKey::from_slice(set, &bytes).map_err(|_| malformed())?;
                (Verifying::MlDsa(Box::new(key)), Numbers::Bytes(bytes))
            }
            (_, Numbers::Rsa { .. }) => return Err(malformed()),
        };
        let spki = write_spki(kind, &numbers);
        Ok(PublicKey {
            algorithm,
            kind,
            #[cfg(feature = "fast")]
            fast: super::fast::Verifier::new(algorithm, &numbers, &spki),
            numbers,
            verifying,
            spki,
        })
    }

    /// The one algorithm that it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `SubjectPublicKeyInfo` (RFC 5280, 4.1), as DER: named curve, uncompressed point.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The `PUBLIC KEY` PEM text.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki).to_string()
    }

    /// Whether it is the same key, whatever algorithm each is used for.
    pub fn matches(&self, other: &PublicKey) -> bool {
        self.spki == other.spki
    }

    /// Whether the raw JWS signature (RFC 7518, 3; RFC 8037, 3.1) is this key's over the input.
    pub fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        #[cfg(feature = "fast")]
        if let Some(fast) = &self.fast {
            return fast.verify(input, signature);
        }
        self.verify_in_rust(input, signature)
    }

    #[cfg(feature = "fast")]
    pub(super) fn in_rust(self) -> PublicKey {
        PublicKey { fast: None, ..self }
    }

    #[cfg(all(feature = "fast", test))]
    pub(super) fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// As every build can verify.
    fn verify_in_rust(&self, input: &[u8], signature: &[u8]) -> bool {
        match &self.verifying {
            Verifying::Rsa(key) => rsa_verify(self.algorithm, key, input, signature).unwrap_or(false),
            Verifying::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(input, &signature).is_ok()),
            Verifying::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(input, &signature).is_ok()),
            Verifying::Ed25519(key) => ed25519_compact::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(input, &signature).is_ok()),
            Verifying::MlDsa(key) => key.verify(input, signature).is_ok(),
        }
    }

    /// The key id of libtrust, as distribution 2.8 computes it: the first 30 bytes of SHA-256 over the
    /// SPKI, in base32, twelve groups of four joined by colons.
    pub fn libtrust_id(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let hash = digest::sha256(&self.spki);
        let mut id = String::with_capacity(59);
        let mut bits: u32 = 0;
        let mut held = 0;
        let mut written = 0;
        for &byte in hash.iter().take(30) {
            bits = (bits << 8) | u32::from(byte);
            held += 8;
            while held >= 5 {
                held -= 5;
                let digit = (bits >> held) & 0x1F;
                if written > 0 && written % 4 == 0 {
                    id.push(':');
                }
                id.extend(
                    usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit)).map(|&c| char::from(c)),
                );
                written += 1;
            }
        }
        id
    }

    /// The id used where none is configured: libtrust's for RSA and EC keys, since every version of the
    /// Docker registry takes it; the RFC 7638 thumbprint for those that libtrust doesn't know.
    pub fn default_id(&self) -> String {
        match self.kind {
            Kind::Rsa | Kind::P256 | Kind::P384 => self.libtrust_id(),
            Kind::Ed25519 | Kind::MlDsa44 | Kind::MlDsa65 | Kind::MlDsa87 => self.thumbprint(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }
}

/// Equal if it is the same key for the same algorithm.
impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.algorithm == other.algorithm && self.matches(other)
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.default_id())
            .finish_non_exhaustive()
    }
}

/// Hash and padding of an RSA algorithm (RFC 7518, 3.3 and 3.5). The salt of PSS is as long as the hash
/// by superboring's default.
pub(crate) fn rsa_scheme(algorithm: Algorithm) -> Option<(MessageDigest, Padding)> {
    match algorithm {
        Algorithm::RS256 => Some((MessageDigest::sha256(), Padding::PKCS1)),
        Algorithm::RS384 => Some((MessageDigest::sha384(), Padding::PKCS1)),
        Algorithm::RS512 => Some((MessageDigest::sha512(), Padding::PKCS1)),
        Algorithm::PS256 => Some((MessageDigest::sha256(), Padding::PKCS1_PSS)),
        Algorithm::PS384 => Some((MessageDigest::sha384(), Padding::PKCS1_PSS)),
        Algorithm::PS512 => Some((MessageDigest::sha512(), Padding::PKCS1_PSS)),
        _ => None,
    }
}

fn rsa_verify(algorithm: Algorithm, key: &PKey<Public>, input: &[u8], signature: &[u8]) -> Option<bool> {
    let (digest, padding) = rsa_scheme(algorithm)?;
    let mut verifier = Verifier::new(digest, key).ok()?;
    verifier.set_rsa_padding(padding).ok()?;
    verifier.update(input).ok()?;
    verifier.verify(signature).ok()
}

/// `RSAPublicKey` (RFC 8017, A.1.1).
fn read_rsa(bytes: &[u8]) -> Result<Numbers, KeyError> {
    let malformed = |_: BadDer| KeyError::Malformed { what: "RSA public key" };
    let mut fields = Reader::only(bytes, der::SEQUENCE).map_err(malformed)?;
    let modulus = fields.unsigned().map_err(malformed)?.to_vec();
    let exponent = fields.unsigned().map_err(malformed)?.to_vec();
    fields.end().map_err(malformed)?;
    Ok(Numbers::Rsa { modulus, exponent })
}

fn write_spki(kind: Kind, numbers: &Numbers) -> Vec<u8> {
    let rsa;
    let bytes = match numbers {
        Numbers::Rsa { modulus, exponent } => {
            let (modulus, exponent) = (der::encode_unsigned(modulus), der::encode_unsigned(exponent));
            rsa = der::encode(der::SEQUENCE, &[&modulus, &exponent]);
            &rsa
        }
        Numbers::Bytes(bytes) => bytes,
    };
    der::encode(der::SEQUENCE, &[&kind.identifier(), &der::encode(der::BIT_STRING, &[&[0], bytes])])
}

/// What jwt-simple's refusal of an RSA key means: it checks the size first, then the exponent, then
/// whether the numbers belong together.
pub(crate) fn rsa_error(error: &Error, modulus: &[u8], exponent: &[u8]) -> KeyError {
    match error.downcast_ref::<JWTError>() {
        Some(JWTError::WeakKey | JWTError::UnsupportedRSAModulus) => {
            KeyError::RsaSize { bits: bit_length(modulus) }
        }
        _ if exponent != [1, 0, 1] => KeyError::RsaExponent,
        _ => KeyError::Inconsistent { key: Kind::Rsa.name() },
    }
}

fn without_zeros(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros..).unwrap_or_default().to_vec()
}

fn bit_length(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let top = number.get(zeros).map_or(0, |byte| 8 - byte.leading_zeros() as usize);
    (number.len() - zeros).saturating_sub(1) * 8 + top
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/data/keys/", $name)).as_slice()
        };
    }

    fn public(pem: &[u8]) -> PublicKey {
        let secret = crate::ground::secret::Secret::new(pem.to_vec());
        crate::key::Key::from_pem(&secret, None, None).unwrap().public().unwrap().clone()
    }

    /// Expected values by Python's cryptography and hashlib from the same files:
    /// `base64.b32encode(hashlib.sha256(spki).digest()[:30])` in groups of four.
    #[test]
    fn the_libtrust_id_is_what_registries_compute() {
        for (pem, expected) in [
            (file!("rsa2048.pem"), "4PUK:24GU:YZB2:GCPX:UV7B:VR35:UNQL:YEP6:32U2:IUPT:Y2ZJ:7O26"),
            (file!("p256.pem"), "TQHE:5T7T:GYKE:NW4A:TU6O:3D5M:4Q24:7EFX:VK64:DEET:HC6Z:W6WV"),
            (file!("p384.pem"), "B5AP:X5UJ:4YJR:64DV:BNSH:X6VM:LB4R:ISJT:UOSM:FDNA:HQ2C:IISD"),
            (file!("ed25519.pem"), "DEQD:AWF7:UBNX:K57S:U4HZ:2P5W:6CDU:BW2Q:K6W5:74NE:ZJMR:H5WW"),
            (file!("mldsa65.pem"), "OSNQ:JYK2:CYNL:L3Q4:ORIB:7G7R:IKDN:R2TL:JBMD:5MF4:KEPJ:WCH3"),
        ] {
            assert_eq!(public(pem).libtrust_id(), expected);
        }
    }

    #[test]
    fn the_default_id_is_libtrusts_where_libtrust_knows_the_key() {
        for (pem, libtrust) in [
            (file!("rsa2048.pem"), true),
            (file!("p256.pem"), true),
            (file!("p384.pem"), true),
            (file!("ed25519.pem"), false),
            (file!("mldsa44.pem"), false),
        ] {
            let key = public(pem);
            assert_eq!(key.default_id(), if libtrust { key.libtrust_id() } else { key.thumbprint() });
        }
    }

    #[test]
    fn the_pem_is_what_openssl_writes() {
        for (private, public_pem) in [
            (file!("rsa2048.pem"), file!("rsa2048-pub.pem")),
            (file!("p256.pem"), file!("p256-pub.pem")),
            (file!("ed25519.pem"), file!("ed25519-pub.pem")),
        ] {
            assert_eq!(public(private).to_pem().as_bytes(), public_pem);
        }
    }

    #[test]
    fn equal_means_the_same_key_and_algorithm() {
        let rs256 = PublicKey::from_pem(file!("rsa2048-pub.pem"), None).unwrap();
        let ps256 = PublicKey::from_pem(file!("rsa2048-pub.pem"), Some(Algorithm::PS256)).unwrap();
        assert!(rs256.matches(&ps256));
        assert_ne!(rs256, ps256);
        assert!(!rs256.matches(&public(file!("p256.pem"))));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let found = |label: &str| Some(KeyError::NotPublic { found: label.to_owned() });
        for (pem, expected) in [
            (file!("p256.pem"), found("PRIVATE KEY")),
            (file!("rsa2048-encrypted.pem"), found("ENCRYPTED PRIVATE KEY")),
            (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----".as_slice(), found("X509 CRL")),
        ] {
            assert_eq!(PublicKey::from_pem(pem, None).err(), expected);
        }
        // A point that is not on the curve, an Ed25519 key of small order, a short ML-DSA key.
        for (kind, bytes) in [
            (Kind::P256, [&[4][..], &[1; 64]].concat()),
            (Kind::P256, vec![0]),
            (Kind::Ed25519, vec![0; 32]),
            (Kind::Ed25519, vec![1; 31]),
            (Kind::MlDsa44, vec![0; 1311]),
        ] {
            let refused = PublicKey::new(kind, Numbers::Bytes(bytes), None);
            assert_eq!(refused.err(), Some(KeyError::Malformed { what: "public key" }), "{kind:?}");
        }
    }
}
