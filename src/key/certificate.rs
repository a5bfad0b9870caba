//! Certificates for a registry's `rootcertbundle`.
//!
//! Owns what our certificates say. Must not know files or the time. Decision: no authority. A registry
//! takes the public key out of each certificate of its bundle, and lets any certificate that chains to one
//! sign; ours is no CA (`CA:FALSE`, `digitalSignature`), so that it vouches for its own key alone. The same
//! key and times always give the same bytes (ECDSA and RSA are deterministic here), so that an export can
//! be repeated and compared.

use super::asn1::{self, element, sequence};
use super::error::KeyError;
use super::kind::Kind;
use super::pem;
use super::{Key, PublicKey};
use crate::ground::digest;
use crate::ground::time::UnixTime;
use der::asn1::ObjectIdentifier;

// RFC 5280: 4.2.1.9, 4.2.1.3, 4.2.1.2, and A.1 for the names.
pub(super) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(super) const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
const ORGANIZATION: &str = "2.5.4.10";
pub(super) const COMMON_NAME: &str = "2.5.4.3";

impl Key {
    /// A certificate, as PEM, for a public key: its own (self-signed) or that of a key whose private half
    /// is gone. Valid from and until these seconds since the Unix epoch, both inclusive.
    ///
    /// Its subject is the key's default id. HMAC keys have none and can sign none.
    pub fn certificate(&self, subject: &PublicKey, from: i64, until: i64) -> Result<String, KeyError> {
        let own = self.public().ok_or(KeyError::Crypto { task: "make a certificate" })?;
        let algorithm = signature_algorithm(own.kind());
        let signed = sequence(&[
            &element(asn1::context(0), &[&asn1::unsigned(&[2])]), // version 3
            &serial(subject, own, from, until),
            &algorithm,
            &name(own),
            &sequence(&[&time(from), &time(until)]),
            &name(subject),
            subject.spki_der(),
            &element(asn1::context(3), &[&extensions(subject)]),
        ]);
        // An RSA certificate is signed as every verifier can check it, whatever the tokens are.
        let raw = self.signer.sign_alike(own.kind().choose(None)?, &signed)?;
        let signature = match own.kind() {
            // RFC 5758 (3.2): an ECDSA signature is a SEQUENCE of two numbers, where a JWS has them side by side.
            Kind::P256 | Kind::P384 => {
                let (r, s) = raw.split_at(raw.len() / 2);
                sequence(&[&asn1::unsigned(r), &asn1::unsigned(s)])
            }
            _ => raw,
        };
        let certificate = sequence(&[&signed, &algorithm, &element(asn1::BIT_STRING, &[&[0], &signature])]);
        Ok(pem::encode("CERTIFICATE", &certificate).to_string())
    }
}

/// An OBJECT IDENTIFIER; of a constant, so it is well-formed.
fn oid(dotted: &str) -> Vec<u8> {
    asn1::oid(ObjectIdentifier::new_unwrap(dotted))
}

/// RFC 5758 (3.2); RFC 4055 (5), with NULL; RFC 8410 (3) and RFC 9881 (2): the key's own identifier.
fn signature_algorithm(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::P256 => sequence(&[&oid("1.2.840.10045.4.3.2")]),
        Kind::P384 => sequence(&[&oid("1.2.840.10045.4.3.3")]),
        Kind::Rsa => sequence(&[&oid("1.2.840.113549.1.1.11"), &element(asn1::NULL, &[])]),
        kind => kind.identifier(),
    }
}

fn name(key: &PublicKey) -> Vec<u8> {
    let part = |kind: &str, text: &str| {
        let attribute = sequence(&[&oid(kind), &element(asn1::UTF8_STRING, &[text.as_bytes()])]);
        element(asn1::SET, &[&attribute])
    };
    sequence(&[&part(ORGANIZATION, "Keypebble"), &part(COMMON_NAME, &key.default_id())])
}

/// At most 20 bytes, positive (RFC 5280, 4.1.2.2): a hash of all that could make two certificates differ.
fn serial(subject: &PublicKey, own: &PublicKey, from: i64, until: i64) -> Vec<u8> {
    let text = [subject.spki_der(), own.spki_der(), &from.to_be_bytes(), &until.to_be_bytes()].concat();
    let mut hash = digest::sha256(&text);
    hash[0] = hash[0] & 0x3F | 0x40;
    asn1::unsigned(&hash[..16])
}

/// `UTCTime` to 2049, `GeneralizedTime` from then on (RFC 5280, 4.1.2.5).
fn time(seconds: i64) -> Vec<u8> {
    let text: String = UnixTime(seconds).to_string().chars().filter(|c| !"-:T".contains(*c)).collect();
    if text.as_str() < "2050" {
        element(asn1::UTC_TIME, &[&text.as_bytes()[2..]])
    } else {
        element(asn1::GENERALIZED_TIME, &[text.as_bytes()])
    }
}

fn extensions(subject: &PublicKey) -> Vec<u8> {
    const CRITICAL: &[u8] = &[asn1::BOOLEAN, 1, 0xFF];
    let extension = |kind: &str, critical: &[u8], value: &[u8]| {
        sequence(&[&oid(kind), critical, &element(asn1::OCTET_STRING, &[value])])
    };
    // RFC 7093 (2, method 1): 160 bits of SHA-256 over the key.
    let hash = digest::sha256(&subject.numbers().to_bytes());
    let identifier = element(asn1::OCTET_STRING, &[&hash[..20]]);
    sequence(&[
        &extension(BASIC_CONSTRAINTS, CRITICAL, &sequence(&[])), // no authority
        &extension(KEY_USAGE, CRITICAL, &element(asn1::BIT_STRING, &[&[7, 0x80]])), // digitalSignature
        &extension(SUBJECT_KEY_IDENTIFIER, &[], &identifier),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::base64;
    use crate::ground::secret::Secret;
    use crate::key::Chain;
    use crate::key::algorithm::Algorithm;

    const FROM: i64 = 1_700_000_000;
    const UNTIL: i64 = 2_600_000_000; // past 2049, where the form of the time changes

    #[test]
    fn a_certificate_of_every_algorithm_is_for_its_key_and_reads_back() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac()) {
            let (key, _) = Key::generate(algorithm).unwrap();
            let public = key.public().unwrap().clone();
            let text = key.certificate(&public, FROM, UNTIL).unwrap();
            let chain = Chain::from_pem(text.as_bytes()).unwrap();
            assert!(chain.leaf_public_key().matches(&public), "{algorithm}");
            assert_eq!(chain.leaf_validity(), (FROM, UNTIL), "{algorithm}");
            assert!(chain.is_self_signed(0), "{algorithm}");
            let again = key.certificate(&public, FROM, UNTIL).unwrap();
            assert_eq!(again == text, !algorithm.is_ml_dsa(), "{algorithm}");
            assert_ne!(key.certificate(&public, FROM, UNTIL + 1).unwrap(), text);
        }
    }

    #[test]
    fn a_key_vouches_for_another_and_a_secret_for_none() {
        let (key, other) =
            (Key::generate(Algorithm::ES256).unwrap().0, Key::generate(Algorithm::EdDSA).unwrap().0);
        let text = key.certificate(other.public().unwrap(), FROM, UNTIL).unwrap();
        let chain = Chain::from_pem(text.as_bytes()).unwrap();
        assert!(chain.leaf_public_key().matches(other.public().unwrap()));
        assert!(!chain.is_self_signed(0));
        let (secret, _) = Key::generate(Algorithm::HS256).unwrap();
        assert!(secret.certificate(key.public().unwrap(), FROM, UNTIL).is_err());
    }

    /// As x509-cert 0.3 wrote them, by the SHA-256 of their DER: a bundle that was exported before is the same now.
    #[test]
    fn the_same_key_and_times_give_the_same_bytes_for_good() {
        for (name, until, expected) in [
            ("p256", 2_000_000_000, "WzaAMqDNYQ-0zg51W-ZdOGkQKdi3-dRLXfMGqx522Ls"),
            ("p256", UNTIL, "hIbguRGuiQRjn9ut9rFWvKyATeZDWIZGgB99Hbv-hik"),
            ("p384", 2_000_000_000, "jNiLBXiiui-pk6tZFX_Oi5MOctkZWfXdrjeCVS2kWcM"),
            ("p384", UNTIL, "2upurtnAyUzg4UXNs7mcCLGzeOuBEGKnWYsDVKKixuY"),
            ("rsa2048", 2_000_000_000, "ViRGtylg8P6k3_Di5eMXQbnSaFmUYxRvxWv7UY-9cs4"),
            ("rsa2048", UNTIL, "qmDatYCQVkcvzBREStYk7CwErpDC7CUAi7ZeYzEYf3k"),
            ("ed25519", 2_000_000_000, "tcnCOHw0lpfbyIyz1LH2l52vMuc7AGVasH89089R9Tg"),
            ("ed25519", UNTIL, "04i9fRMSbdFP812hJqFOfDtRrQjy334r9W4EqMkm6DY"),
        ] {
            let pem = std::fs::read(format!("tests/data/keys/{name}.pem")).unwrap();
            let key = Key::from_pem(&Secret::new(pem), None, None).unwrap();
            let text = key.certificate(key.public().unwrap(), FROM, until).unwrap();
            let der = pem::blocks(text.as_bytes()).unwrap()[0].decode().unwrap();
            assert_eq!(base64::text(&digest::sha256(&der)), expected, "{name} {until}");
        }
    }
}
