//! The public half of a key: what verifies, and what may be published.
//!
//! Owns verification and the key ids. Must not know private keys, files or tokens. Decision: built from the
//! numbers of the key in one place, whatever form they came in, and its SPKI is always written anew, so that
//! one key has one id and two public keys are equal exactly when their SPKI is.

mod file;

pub(crate) use file::read_numbers;

use super::engine::Verifier;
use super::error::KeyError;
use super::kind::Kind;
use super::numbers::Numbers;
use super::pem;
use crate::ground::digest;
use crate::key::algorithm::Algorithm;
use std::fmt;

/// A key that verifies one algorithm. An HMAC secret is never one.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    kind: Kind,
    numbers: Numbers,
    verifier: Verifier,
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280, 4.1), as DER. Without an algorithm, the key's default.
    pub fn from_spki(spki: &[u8], algorithm: Option<Algorithm>) -> Result<PublicKey, KeyError> {
        let (kind, numbers) = Numbers::read_spki(spki)?;
        PublicKey::new(kind, numbers, algorithm)
    }

    /// The only constructor: checks the numbers and writes the SPKI.
    pub(crate) fn new(
        kind: Kind,
        numbers: Numbers,
        algorithm: Option<Algorithm>,
    ) -> Result<PublicKey, KeyError> {
        let algorithm = kind.choose(algorithm)?;
        let (verifier, numbers) = Verifier::new(algorithm, kind, numbers)?;
        let spki = numbers.to_spki(kind);
        Ok(PublicKey { algorithm, kind, numbers, verifier, spki })
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
        self.verifier.verify(self.algorithm, input, signature)
    }

    /// What checks signatures that are no token's.
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The key id of libtrust, as distribution 2.8 computes it: the first 30 bytes of SHA-256 over the
    /// SPKI, in base32, twelve groups of four joined by colons.
    pub fn libtrust_id(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let hash = digest::sha256(&self.spki);
        let digits = hash[..30].chunks(5).flat_map(|five| {
            let bits = five.iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
            let digit = move |place: u32| usize::try_from((bits >> (5 * place)) & 31).unwrap_or_default();
            (0..8).rev().map(move |place| char::from(ALPHABET[digit(place)]))
        });
        let digits: Vec<char> = digits.collect();
        digits.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(":")
    }

    /// The id used where none is configured: libtrust's for RSA and EC keys, since every version of the
    /// Docker registry takes it; the RFC 7638 thumbprint for those that libtrust doesn't know.
    pub fn default_id(&self) -> String {
        match self.kind {
            Kind::Rsa | Kind::P256 | Kind::P384 => self.libtrust_id(),
            _ => self.thumbprint(),
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
            assert_eq!(refused.err(), Some(KeyError::Malformed { what: "key" }), "{kind:?}");
        }
    }
}
