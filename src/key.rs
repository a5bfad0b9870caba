//! Keys that sign tokens: a shared secret, or a private key with its public half.
//!
//! Owns loading, signing and key ids. Must not know files, configuration or tokens. Decision: everything
//! that can be refused is refused when a key is loaded, so that signing can only fail if the
//! cryptographic library does; an HMAC key has no [`PublicKey`], by type, so it can't be published.
//!
//! ```text
//! PEM -> key::pem -> key::form -> key::material -> key::engine -> Key -> sign
//! JWK -> key::jwk              |-> key::numbers -> key::engine -> PublicKey -> verify, ids, key::jwk
//!                              |-> key::encryption -> wraps and unwraps the keys of encrypted tokens
//! ```

pub mod algorithm;
mod asn1;
mod certificate;
pub mod chain;
pub mod encryption;
mod engine;
mod error;
pub mod fernet;
pub(crate) mod form;
mod generate;
mod jwk;
pub mod keyring;
mod kind;
pub(crate) mod material;
mod numbers;
mod pem;
mod public;
pub mod x509;

pub(crate) use crate::ground::base64::text as base64url;
pub use chain::Chain;
pub use engine::ENGINE;
pub use error::KeyError;
pub use public::PublicKey;

use crate::ground::secret::Secret;
use crate::key::algorithm::Algorithm;
use engine::{Signer, Verifier};
use material::{Material, Stated};
use numbers::Numbers;
use std::fmt;

/// A key that signs one algorithm. `Debug` shows no secret.
pub struct Key {
    algorithm: Algorithm,
    id: Option<String>,
    signer: Signer,
    verifier: Verifier,
    weakness: Option<Weakness>,
    public: Option<PublicKey>,
    chain: Option<Chain>,
}

/// What is known of a secret that works but is easier to guess than its algorithm supposes.
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
    /// A PEM text is refused: as a secret, a public key or a certificate is known to everyone.
    /// Without an id the key has none: a hash of the secret would help to guess it (RFC 7638, 7).
    pub fn from_secret(algorithm: Algorithm, secret: &Secret, id: Option<String>) -> Result<Key, KeyError> {
        let secret = secret.expose();
        let least = algorithm.hmac_bytes().ok_or(KeyError::SecretForKeyPair { algorithm })?;
        if secret.is_empty() {
            return Err(KeyError::EMPTY_SECRET);
        }
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err(KeyError::PEM_AS_SECRET);
        }
        if jwk::is_json(secret) && jwk::Jwk::parse(secret).is_ok_and(|jwk| jwk.text("kty").is_some()) {
            return Err(KeyError::JWK_AS_SECRET);
        }
        let keyed = engine::hmac(algorithm, secret);
        let (signer, verifier) = keyed.ok_or(KeyError::SecretForKeyPair { algorithm })?;
        let bytes = secret.len();
        let weakness = (bytes < least).then_some(Weakness { algorithm, bytes, least });
        Ok(Key { algorithm, id, signer, verifier, weakness, public: None, chain: None })
    }

    /// The private key of a PEM text: PKCS#1, PKCS#8 or SEC1, whatever its label says.
    ///
    /// Without an algorithm, the key's default (RS256, ES256, ES384, `EdDSA`, ML-DSA-*); without an id,
    /// [`PublicKey::default_id`].
    pub fn from_pem(pem: &Secret, algorithm: Option<Algorithm>, id: Option<String>) -> Result<Key, KeyError> {
        Key::from_material(&Material::from_pem(pem.expose())?, algorithm, id)
    }

    /// The key of a file, in PEM or as a JWK (RFC 7517), as [`Key::from_pem`]. A JWK may also hold a shared secret,
    /// and its `alg` and `kid` count where nothing else is asked.
    pub fn read(text: &Secret, algorithm: Option<Algorithm>, id: Option<String>) -> Result<Key, KeyError> {
        if jwk::is_json(text.expose()) {
            Key::from_jwk(text.expose(), algorithm, id)
        } else {
            Key::from_pem(text, algorithm, id)
        }
    }

    fn from_material(
        material: &Material,
        algorithm: Option<Algorithm>,
        id: Option<String>,
    ) -> Result<Key, KeyError> {
        let kind = material.kind;
        kind.choose(algorithm)?;
        let (signer, numbers) = Signer::new(material)?;
        let public = PublicKey::new(kind, numbers, algorithm)?;
        // What the file says of the public half must be so.
        let agrees = |stated: &Stated| match (stated, public.numbers()) {
            (Stated::Whole(numbers), _) => {
                PublicKey::new(kind, numbers.clone(), None).is_ok_and(|stated| stated.matches(&public))
            }
            (Stated::Start(start), Numbers::Bytes(bytes)) => bytes.starts_with(start),
            (Stated::Start(_), Numbers::Rsa { .. }) => false,
        };
        if !material.stated.iter().all(agrees) {
            return Err(KeyError::Inconsistent { key: kind.name() });
        }
        let (algorithm, verifier) = (public.algorithm(), public.verifier().clone());
        let id = Some(id.unwrap_or_else(|| public.default_id()));
        Ok(Key { algorithm, id, signer, verifier, weakness: None, public: Some(public), chain: None })
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
        self.weakness
    }

    /// The raw JWS signature over the input: a MAC (RFC 7518, 3.2), RSA as long as the modulus, ECDSA as
    /// `r || s` (3.4), Ed25519 (RFC 8037, 3.1), ML-DSA with an empty context.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.signer.sign(self.algorithm, input)
    }

    /// The same key without AWS-LC: what a build with the feature `fast` is measured and checked against.
    #[must_use]
    pub fn in_rust(self) -> Key {
        Key { signer: self.signer.in_rust(), verifier: self.verifier.in_rust(), ..self }
    }

    /// What signs: `Rust`, or `AWS-LC` in a build with the feature `fast`, except for ML-DSA.
    pub fn engine(&self) -> &'static str {
        self.signer.name()
    }

    /// Whether the raw JWS signature over the input is this key's. A MAC is compared in constant time.
    pub fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify(self.algorithm, input, signature)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pem: &[u8], algorithm: Option<Algorithm>) -> Result<Key, KeyError> {
        Key::from_pem(&Secret::new(pem.to_vec()), algorithm, None)
    }

    fn hmac(algorithm: Algorithm, secret: &[u8]) -> Key {
        Key::from_secret(algorithm, &Secret::new(secret.to_vec()), None).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 4231, 4.3: a secret of four bytes, far below any floor.
    #[test]
    fn a_secret_of_any_length_gives_the_mac_of_rfc_4231() {
        for (algorithm, expected) in [
            (Algorithm::HS256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Algorithm::HS384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Algorithm::HS512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let key = hmac(algorithm, b"Jefe");
            let mac = key.sign(b"what do ya want for nothing?").unwrap();
            assert_eq!(mac, hex(expected), "{algorithm}");
            assert!(key.verify(b"what do ya want for nothing?", &mac));
            // HMAC pads a short secret with zeros: the padded one is the same key.
            let mut padded = b"Jefe".to_vec();
            padded.resize(32, 0);
            assert_eq!(hmac(algorithm, &padded).sign(b"x"), key.sign(b"x"));
        }
    }

    #[test]
    fn a_secret_shorter_than_its_hash_is_weak_and_an_empty_one_refused() {
        for (algorithm, bytes, least) in [
            (Algorithm::HS256, 9, Some(32)),
            (Algorithm::HS256, 31, Some(32)),
            (Algorithm::HS256, 32, None),
            (Algorithm::HS384, 47, Some(48)),
            (Algorithm::HS384, 48, None),
            (Algorithm::HS512, 63, Some(64)),
            (Algorithm::HS512, 64, None),
        ] {
            let weakness = hmac(algorithm, &vec![b'x'; bytes]).weakness();
            assert_eq!(weakness.map(|weakness| weakness.least), least, "{algorithm} {bytes}");
        }
        assert!(load(key_file!("p256.pem"), None).unwrap().weakness().is_none());
        let empty = Key::from_secret(Algorithm::HS256, &Secret::new(Vec::new()), None);
        assert_eq!(empty.err(), Some(KeyError::EMPTY_SECRET));
        let public = Secret::new(key_file!("p256-pub.pem").to_vec());
        let public = Key::from_secret(Algorithm::HS256, &public, None);
        assert_eq!(public.err(), Some(KeyError::PEM_AS_SECRET));
        let secret = Secret::new(vec![b'x'; 32]);
        assert_eq!(
            Key::from_secret(Algorithm::RS256, &secret, None).err(),
            Some(KeyError::SecretForKeyPair { algorithm: Algorithm::RS256 })
        );
    }

    #[test]
    fn an_hmac_key_has_no_id_and_no_public_half() {
        let key = hmac(Algorithm::HS256, b"change-me");
        assert_eq!(key.id(), None);
        assert!(key.public().is_none());
        let chain = Chain::from_pem(key_file!("p256-chain.pem")).unwrap();
        assert_eq!(key.with_chain(chain).err(), Some(KeyError::ChainOfOtherKey { found_at: None }));
    }

    #[test]
    fn every_form_of_private_key_is_read() {
        let crlf = String::from_utf8(key_file!("p256.pem").to_vec()).unwrap().replace('\n', "\r\n");
        let folded = String::from_utf8(key_file!("rsa2048.pem").to_vec()).unwrap().replace('\n', " ");
        let combined = [b"a comment\n", key_file!("p256-chain.pem"), key_file!("p256.pem")].concat();
        for (name, pem, algorithm, same_as) in [
            ("PKCS#8 RSA", key_file!("rsa2048.pem"), Algorithm::RS256, key_file!("rsa2048-pub.pem")),
            ("PKCS#1", key_file!("rsa2048-pkcs1.pem"), Algorithm::RS256, key_file!("rsa2048-pub-pkcs1.pem")),
            ("folded lines", folded.as_bytes(), Algorithm::RS256, key_file!("rsa2048-cert.pem")),
            ("PKCS#8 EC", key_file!("p256.pem"), Algorithm::ES256, key_file!("p256-pub.pem")),
            ("CRLF", crlf.as_bytes(), Algorithm::ES256, key_file!("p256-pub-compressed.pem")),
            (
                "with EC PARAMETERS",
                key_file!("p256-sec1-params.pem"),
                Algorithm::ES256,
                key_file!("p256-pub.pem"),
            ),
            ("with certificates", &combined, Algorithm::ES256, key_file!("p256-chain.pem")),
            ("PKCS#8 Ed25519", key_file!("ed25519.pem"), Algorithm::EdDSA, key_file!("ed25519-pub.pem")),
        ] {
            let key = load(pem, None).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.algorithm(), algorithm, "{name}");
            let public = PublicKey::from_pem(same_as, None).unwrap();
            assert!(key.public().unwrap().matches(&public), "{name}");
            assert_eq!(key.public(), Some(&public), "{name}");
            assert!(public.verify(b"input", &key.sign(b"input").unwrap()), "{name}");
        }
        let (sec1, pkcs8) = (load(key_file!("p384-sec1.pem"), None), load(key_file!("p384.pem"), None));
        assert_eq!(sec1.unwrap().public(), pkcs8.unwrap().public());
        for (pem, algorithm) in [
            (key_file!("p384.pem"), Algorithm::ES384),
            (key_file!("mldsa44.pem"), Algorithm::MlDsa44),
            (key_file!("mldsa65.pem"), Algorithm::MlDsa65),
            (key_file!("mldsa87.pem"), Algorithm::MlDsa87),
        ] {
            assert_eq!(load(pem, None).unwrap().algorithm(), algorithm);
        }
    }

    #[test]
    fn each_unusable_file_has_its_own_refusal() {
        let two = [key_file!("p256.pem"), key_file!("ed25519.pem")].concat();
        let cut = &key_file!("rsa2048.pem")[..800];
        let rsa_text = String::from_utf8(key_file!("rsa2048.pem").to_vec()).unwrap();
        let shorter: Vec<&str> =
            rsa_text.lines().enumerate().filter(|(at, _)| *at != 5).map(|(_, line)| line).collect();
        let shorter = shorter.join("\n");
        // A version of 1, and another prime at the end, which nobody gets to.
        let several_primes = String::from_utf8(key_file!("rsa2048-pkcs1.pem").to_vec())
            .unwrap()
            .replacen("owIBAAKC", "owIBAQKC", 1);
        let label = String::from;
        let unsupported = |what: &str| KeyError::Unsupported { what: what.to_owned() };
        for (name, pem, expected) in [
            ("encrypted PKCS#8", key_file!("rsa2048-encrypted.pem"), KeyError::ENCRYPTED),
            ("encrypted PKCS#1", key_file!("rsa2048-encrypted-pkcs1.pem"), KeyError::ENCRYPTED),
            ("public", key_file!("p256-pub.pem"), KeyError::NotPrivate { found: label("PUBLIC KEY") }),
            (
                "certificate",
                key_file!("rsa2048-cert.pem"),
                KeyError::NotPrivate { found: label("CERTIFICATE") },
            ),
            ("two", &two, KeyError::SeveralKeys { count: 2 }),
            ("cut", cut, KeyError::Unterminated { label: label("PRIVATE KEY") }),
            ("a line short", shorter.as_bytes(), KeyError::Malformed { what: "key" }),
            ("several primes", several_primes.as_bytes(), unsupported("an RSA key of more than two primes")),
            ("1024 bits", key_file!("rsa1024.pem"), KeyError::RsaSize { bits: 1024 }),
            ("8192 bits", key_file!("rsa8192.pem"), KeyError::RsaSize { bits: 8192 }),
            ("exponent 3", key_file!("rsa2048-e3.pem"), KeyError::RsaExponent),
            ("PSS only", key_file!("rsa-pss.pem"), unsupported("an RSA key restricted to PSS")),
            ("P-521", key_file!("p521.pem"), unsupported("an EC key on P-521")),
            ("secp256k1", key_file!("secp256k1.pem"), unsupported("an EC key on secp256k1")),
            ("Ed448", key_file!("ed448.pem"), unsupported("an Ed448 key")),
            ("X25519", key_file!("x25519.pem"), unsupported("an X25519 key")),
            ("OpenSSH", key_file!("openssh.pem"), KeyError::OPENSSH),
        ] {
            assert_eq!(load(pem, None).err(), Some(expected), "{name}");
        }
    }

    #[test]
    fn the_key_decides_what_an_asked_algorithm_may_be() {
        for algorithm in
            Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name().starts_with(['R', 'P']))
        {
            assert_eq!(load(key_file!("rsa2048.pem"), Some(algorithm)).unwrap().algorithm(), algorithm);
        }
        for (pem, asked, message) in [
            (
                key_file!("rsa2048.pem"),
                Algorithm::ES256,
                "an RSA key can't sign ES256, it can sign RS256, RS384, RS512, PS256, PS384 or PS512",
            ),
            (
                key_file!("p256.pem"),
                Algorithm::ES384,
                "an EC key on P-256 can't sign ES384, it can sign ES256",
            ),
            (
                key_file!("ed25519.pem"),
                Algorithm::HS256,
                "an Ed25519 key can't sign HS256, it can sign EdDSA",
            ),
            (
                key_file!("mldsa44.pem"),
                Algorithm::MlDsa65,
                "an ML-DSA-44 key can't sign ML-DSA-65, it can sign ML-DSA-44",
            ),
        ] {
            assert_eq!(load(pem, Some(asked)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn every_algorithm_signs_and_verifies_and_no_tampering_passes() {
        for algorithm in Algorithm::ALL {
            let (key, secret) = if algorithm.name().starts_with(['R', 'P']) {
                // Generation is tried once below: it is slow.
                (load(key_file!("rsa2048.pem"), Some(algorithm)).unwrap(), None)
            } else {
                let (key, secret) = Key::generate(algorithm).unwrap();
                (key, Some(secret))
            };
            assert_eq!(key.algorithm(), algorithm);
            let input = b"header.payload";
            let signature = key.sign(input).unwrap();
            assert!(key.verify(input, &signature), "{algorithm}");
            assert!(!key.verify(b"header.payloae", &signature), "{algorithm}");
            assert!(!key.verify(input, &[]), "{algorithm}");
            assert!(!key.verify(input, &signature[1..]), "{algorithm}");
            assert!(!key.verify(input, &[signature.as_slice(), &[0]].concat()), "{algorithm}");
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut tampered = signature.clone();
                tampered[at] ^= 1;
                assert!(!key.verify(input, &tampered), "{algorithm} byte {at}");
            }
            if let Some(secret) = secret {
                // What is kept of a new key is the same key.
                let again = if algorithm.is_hmac() {
                    Key::from_secret(algorithm, &secret, None)
                } else {
                    Key::from_pem(&secret, None, None)
                };
                let again = again.unwrap();
                assert!(again.verify(input, &signature), "{algorithm}");
                assert_eq!(again.id(), key.id(), "{algorithm}");
                assert!(again.weakness().is_none());
            }
        }
    }

    #[test]
    fn a_new_rsa_key_loads_again() {
        let (key, pem) = Key::generate(Algorithm::PS256).unwrap();
        assert_eq!(key.algorithm(), Algorithm::PS256);
        assert!(pem.expose().starts_with(b"-----BEGIN PRIVATE KEY-----\n"));
        let again = Key::from_pem(&pem, Some(Algorithm::PS256), None).unwrap();
        assert!(again.verify(b"x", &key.sign(b"x").unwrap()));
    }

    /// The signature of openssl: `printf input | openssl dgst -sha256 -sign rsa2048.pem`.
    #[test]
    fn rs256_is_what_openssl_signs() {
        let expected = "ScpkeTuGWZacpdfXUZZ2OQjHaX9ek2VYZtywpUOE_WG6RjL0FVGs2O-YCHGuIrQShWL7sLI8eG57_\
                        HymT6UFXmMiOzR6M1IPQ_JPdGYonuHsYMDaFALllhVP3YwgjRHtDh7XBWFv9klw9p4RNbd2XiwvQJ8-_\
                        ogS-k7HZWqWsEN0OsBMbaKm-YXy9E8iDWpKL8x52skHxHdBodvMjMEJB_SE-xIAIeZDk278xTVIXz-DA\
                        zQs11wpBABd9Gyr8tr5m9WYtTvY6qWKxnjvtYrmYgbWqwB-rGxSIm5sCE5N3r9Ph5II3EXTH1qV87lkJ\
                        wo6F0PzRJJm2rYXUILTbuu-0g";
        let key = load(key_file!("rsa2048.pem"), None).unwrap();
        assert_eq!(base64url(&key.sign(b"input").unwrap()), expected);
    }

    #[test]
    fn a_chain_must_start_with_the_keys_own_certificate() {
        let chain = || Chain::from_pem(key_file!("p256-chain.pem")).unwrap();
        let key = load(key_file!("p256.pem"), None).unwrap().with_chain(chain()).unwrap();
        assert_eq!(key.chain().unwrap().x5c().len(), 2);
        for (pem, found_at) in [(key_file!("p384.pem"), Some(2)), (key_file!("rsa2048.pem"), None)] {
            let refused = load(pem, None).unwrap().with_chain(chain());
            assert_eq!(refused.err(), Some(KeyError::ChainOfOtherKey { found_at }));
        }
        let cert = Chain::from_pem(key_file!("rsa2048-cert.pem")).unwrap();
        let pss = load(key_file!("rsa2048.pem"), Some(Algorithm::PS512)).unwrap();
        assert!(pss.with_chain(cert).is_ok(), "a certificate doesn't say which RSA algorithm");
    }

    #[test]
    fn neither_debug_nor_errors_show_the_key() {
        let key = hmac(Algorithm::HS256, b"hunter2");
        assert_eq!(format!("{key:?}"), "Key { algorithm: HS256, id: None, .. }");
        assert!(!format!("{:?}", load(key_file!("ed25519.pem"), None).unwrap()).contains("private"));
        let text = "-----BEGIN PRIVATE KEY-----\nhunter2hunter2!\n-----END PRIVATE KEY-----";
        let error = load(text.as_bytes(), None).unwrap_err();
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
    }
}
