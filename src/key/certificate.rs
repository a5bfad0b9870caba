//! Certificates for a registry's `rootcertbundle` (feature `certificates`).
//!
//! Owns what our certificates say. Must not know files or the time. Decision: no authority. A registry
//! takes the public key out of each certificate of its bundle, and lets any certificate that chains to one
//! sign; ours is no CA (`CA:FALSE`, `digitalSignature`), so that it vouches for its own key alone. The same
//! key and times always give the same bytes (ECDSA and RSA here are deterministic), so that an export can
//! be repeated and compared.

use super::der;
use super::error::KeyError;
use super::kind::Kind;
use super::pem;
use super::private::Signing;
use super::{Key, PublicKey};
use crate::key::algorithm::Algorithm;
use p256::ecdsa::signature::Keypair;
use std::str::FromStr;
use std::time::Duration;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{BitString, GeneralizedTime, OctetString};
use x509_cert::der::{Decode, Document, Encode};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, ObjectIdentifier,
    SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};

const FAILED: KeyError = KeyError::Crypto { task: "make a certificate" };

impl Key {
    /// A certificate, as PEM, for a public key: its own (self-signed) or that of a key whose private half
    /// is gone. Valid from and until these seconds since the Unix epoch, both inclusive.
    ///
    /// Its subject is the key's default id. HMAC keys have none and can sign none.
    pub fn certificate(&self, subject: &PublicKey, from: i64, until: i64) -> Result<String, KeyError> {
        let own = self.public().ok_or(FAILED)?;
        let signer = Signer { public: own, algorithm: certificate_algorithm(own.kind()) };
        let profile = Profile { subject: name(subject)?, issuer: name(own)? };
        let validity = Validity::new(time(from)?, time(until)?);
        let spki = SubjectPublicKeyInfoOwned::try_from(subject.spki_der()).map_err(|_| FAILED)?;
        let mut builder =
            CertificateBuilder::new(profile, serial(subject, own, from, until)?, validity, spki)
                .map_err(|_| FAILED)?;
        let signed = builder.finalize(&signer).map_err(|_| FAILED)?;
        let signature = sign(&self.signing, signer.algorithm, &signed)?;
        let signature = BitString::from_bytes(&signature).map_err(|_| FAILED)?;
        let certificate = builder.assemble(signature, &signer).map_err(|_| FAILED)?;
        let der = certificate.to_der().map_err(|_| FAILED)?;
        Ok(pem::encode("CERTIFICATE", &der)?.to_string())
    }
}

/// An RSA certificate is signed as every verifier can check it, whatever the tokens are.
fn certificate_algorithm(kind: Kind) -> Algorithm {
    if kind == Kind::Rsa {
        Algorithm::RS256
    } else {
        kind.algorithms().first().copied().unwrap_or(Algorithm::RS256)
    }
}

/// RFC 5758 (3.2): an ECDSA signature is a SEQUENCE of two numbers, where a JWS has them side by side.
fn sign(signing: &Signing, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, KeyError> {
    let raw = signing.sign(algorithm, input)?;
    if !matches!(algorithm, Algorithm::ES256 | Algorithm::ES384) {
        return Ok(raw);
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    Ok(der::encode(der::SEQUENCE, &[&der::encode_unsigned(r), &der::encode_unsigned(s)]))
}

fn name(key: &PublicKey) -> Result<Name, KeyError> {
    Name::from_str(&format!("CN={},O=Keypebble", key.default_id())).map_err(|_| FAILED)
}

/// At most 20 bytes, positive (RFC 5280, 4.1.2.2): a hash of all that could make two certificates differ.
fn serial(subject: &PublicKey, own: &PublicKey, from: i64, until: i64) -> Result<SerialNumber, KeyError> {
    let text = [subject.spki_der(), own.spki_der(), &from.to_be_bytes(), &until.to_be_bytes()].concat();
    let mut hash = hmac_sha256::Hash::hash(&text);
    hash[0] = hash[0] & 0x3F | 0x40;
    SerialNumber::new(&hash[..16]).map_err(|_| FAILED)
}

fn time(seconds: i64) -> Result<Time, KeyError> {
    let since = Duration::from_secs(u64::try_from(seconds).map_err(|_| FAILED)?);
    GeneralizedTime::from_unix_duration(since).map(Time::from).map_err(|_| FAILED)
}

/// The names, and the extensions.
struct Profile {
    subject: Name,
    issuer: Name,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        subject: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        // RFC 7093 (2, method 1): 160 bits of SHA-256 over the key.
        let hash = hmac_sha256::Hash::hash(subject.subject_public_key.raw_bytes());
        let identifier = SubjectKeyIdentifier(OctetString::new(&hash[..20])?);
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        let usage = KeyUsage(KeyUsages::DigitalSignature.into());
        Ok(vec![
            constraints.to_extension(&self.subject, &[])?,
            usage.to_extension(&self.subject, &[])?,
            identifier.to_extension(&self.subject, &[])?,
        ])
    }
}

/// What the builder asks of a signer: its public key and its algorithm. It signs nothing.
struct Signer<'k> {
    public: &'k PublicKey,
    algorithm: Algorithm,
}

#[derive(Clone)]
struct Spki(Vec<u8>);

impl Keypair for Signer<'_> {
    type VerifyingKey = Spki;

    fn verifying_key(&self) -> Spki {
        Spki(self.public.spki_der().to_vec())
    }
}

impl EncodePublicKey for Spki {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.as_slice())?)
    }
}

impl DynSignatureAlgorithmIdentifier for Signer<'_> {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        let oid = match self.algorithm {
            Algorithm::ES256 => "1.2.840.10045.4.3.2", // RFC 5758 (3.2)
            Algorithm::ES384 => "1.2.840.10045.4.3.3",
            // RFC 4055 (5), with NULL; RFC 8410 (3); RFC 9881 (2): the key's own identifier.
            Algorithm::RS256 => "1.2.840.113549.1.1.11",
            _ => return Ok(AlgorithmIdentifierOwned::from_der(&self.public.kind().identifier())?),
        };
        let parameters = (self.algorithm == Algorithm::RS256).then(x509_cert::der::Any::null);
        Ok(AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Chain;

    const FROM: i64 = 1_700_000_000;
    const UNTIL: i64 = 2_500_000_000; // past 2049, where the form of the time changes

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
}
