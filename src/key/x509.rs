//! A certificate as a verifier looks at it: whose it is, who signed it, and whether a path of them holds.
//!
//! Owns reading a certificate for diagnosis (RFC 5280), and what judging a path needs to ask of one. Must not
//! know tokens. Decision: nothing that Keypebble issues depends on this; it only
//! predicts what a verifier will say, so what it can't judge it calls unknown and never guesses.

mod path;

pub use path::{PathError, verify_path};

use super::asn1::{self, sequence_bytes, whole_bytes};
use super::certificate::{BASIC_CONSTRAINTS, COMMON_NAME, KEY_USAGE};
use super::engine::Over;
use super::error::KeyError;
use super::kind::Kind;
use super::public::PublicKey;
use crate::ground::base64;
use crate::ground::time::days_from_civil;
use crate::key::algorithm::Algorithm;
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Reader, Tag, TagNumber, Tagged};
use sha2::{Digest, Sha256, Sha384};

const MALFORMED: KeyError = KeyError::Malformed { what: "certificate" };

/// A certificate, and all that judging a path needs.
#[derive(Debug, Clone)]
pub struct X509 {
    der: Vec<u8>,
    signed: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: i64,
    not_after: i64,
    key: Result<PublicKey, KeyError>,
    spki: Vec<u8>,
    signature_algorithm: ObjectIdentifier,
    signature: Vec<u8>,
    constraints: Constraints,
    /// It has an extension that may decide and is not judged here.
    unjudged: bool,
}

/// What the extensions say of signing other certificates.
#[derive(Debug, Clone, Copy, Default)]
struct Constraints {
    version_3: bool,
    basic: bool,
    authority: bool,
    path_length: Option<usize>,
    key_usage: Option<u8>,
}

/// Verifiers of tokens ask for no usage in particular.
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
/// Name constraints, policy mappings, policy constraints and `inhibitAnyPolicy` (RFC 5280, 4.2.1): they decide
/// without being critical, too.
const CONSTRAINTS: [&str; 4] = ["2.5.29.30", "2.5.29.33", "2.5.29.36", "2.5.29.54"];
/// `keyCertSign`, bit 5 (RFC 5280, 4.2.1.3).
const CERT_SIGN: u8 = 0x04;

impl X509 {
    /// Reads one certificate's DER.
    pub fn from_der(bytes: &[u8]) -> Result<X509, KeyError> {
        X509::read(bytes).map_err(|_| MALFORMED)
    }

    /// Reads an element of an `x5c` header: DER in standard base64 (RFC 7515, 4.1.6).
    pub fn from_base64(text: &str) -> Result<X509, KeyError> {
        let der = base64::read_standard(text);
        X509::from_der(&der.ok_or_else(|| KeyError::Base64 { label: "CERTIFICATE".to_owned() })?)
    }

    fn read(bytes: &[u8]) -> Result<X509, KeyError> {
        let (signed, signature_algorithm, signature) = AnyRef::from_der(bytes)?.sequence(|outer| {
            let signed = sequence_bytes(outer)?;
            let (algorithm, _): (_, Option<AnyRef<'_>>) = asn1::pair(outer.decode()?)?;
            Ok::<_, KeyError>((signed, algorithm, whole_bytes(outer.decode()?)?.to_vec()))
        })?;
        AnyRef::from_der(signed)?.sequence(|fields| {
            let version = ContextSpecific::<UintRef<'_>>::decode_explicit(fields, TagNumber(0))?;
            let version_3 = version.is_some_and(|version| version.value.as_bytes() == [2]);
            let serial: AnyRef<'_> = fields.decode()?;
            serial.tag().assert_eq(Tag::Integer)?;
            sequence_bytes(fields)?; // signature algorithm
            let issuer = sequence_bytes(fields)?.to_vec();
            let (from, until) = asn1::pair(fields.decode()?)?;
            let (not_before, not_after) = (unix_time(from)?, unix_time(until)?);
            let (subject, spki) = (sequence_bytes(fields)?.to_vec(), sequence_bytes(fields)?.to_vec());
            let mut constraints = Constraints { version_3, ..Constraints::default() };
            let mut unjudged = false;
            while !fields.is_finished() {
                let element: AnyRef<'_> = fields.decode()?;
                if element.tag() == (Tag::ContextSpecific { constructed: true, number: TagNumber(3) }) {
                    unjudged |= constraints.read(AnyRef::from_der(element.value())?)?;
                }
            }
            Ok(X509 {
                der: bytes.to_vec(),
                signed: signed.to_vec(),
                issuer,
                subject,
                not_before,
                not_after,
                key: PublicKey::from_spki(&spki, None),
                spki,
                signature_algorithm,
                signature,
                constraints,
                unjudged,
            })
        })
    }

    /// The key that it is for; an error where it is of a kind that Keypebble doesn't know.
    pub fn key(&self) -> Result<&PublicKey, &KeyError> {
        self.key.as_ref()
    }

    /// Start of the validity, in seconds since the Unix epoch.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// End of the validity, in seconds since the Unix epoch; that second is still valid.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether issuer and subject are the same name, byte by byte.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// The whole certificate, as DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name of its issuer is that certificate's, byte by byte, as verifiers compare them.
    pub fn names_as_issuer(&self, other: &X509) -> bool {
        self.issuer == other.subject
    }

    /// The common name of its subject; a question mark where there is none. Text of the certificate:
    /// escape it before it is shown.
    pub fn name(&self) -> String {
        common_name(&self.subject).unwrap_or_else(|| "?".to_owned())
    }

    /// The common name of its issuer, as [`X509::name`].
    pub fn issuer_name(&self) -> String {
        common_name(&self.issuer).unwrap_or_else(|| "?".to_owned())
    }

    fn in_time(&self, place: usize, now: i64) -> Result<(), PathError> {
        if now > self.not_after {
            return Err(PathError::Expired(place, self.not_after));
        }
        if now < self.not_before { Err(PathError::NotYet(place, self.not_before)) } else { Ok(()) }
    }

    /// The `SubjectPublicKeyInfo` as it stands in the certificate, as DER.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether `parent` signed this certificate; `None` where that is not known here.
    fn signed_by(&self, parent: &X509) -> Option<bool> {
        let scheme = Scheme::read(self.signature_algorithm)?;
        let key = parent.key.as_ref().ok()?;
        let hash = match scheme {
            Scheme::Jws(algorithm) if key.kind().algorithms().contains(&algorithm) => {
                let over = Over::Text(&self.signed);
                return Some(key.verifier().verify_any(algorithm, over, &self.signature));
            }
            // The hash need not be that of the curve, as a token's is.
            Scheme::Ecdsa(hash) if matches!(key.kind(), Kind::P256 | Kind::P384) => hash(&self.signed),
            _ => return None,
        };
        let raw = ecdsa_raw(&self.signature, key.kind().private_bytes()).unwrap_or_default();
        Some(key.verifier().verify_any(key.algorithm(), Over::Hash(&hash), &raw))
    }
}

impl PartialEq for X509 {
    /// The same bytes.
    fn eq(&self, other: &X509) -> bool {
        self.der == other.der
    }
}

impl Eq for X509 {}

impl Constraints {
    /// Reads them; whether there is one that is not judged here.
    fn read(&mut self, extensions: AnyRef<'_>) -> Result<bool, KeyError> {
        let mut unjudged = false;
        extensions.sequence(|extensions| {
            while !extensions.is_finished() {
                let extension: AnyRef<'_> = extensions.decode()?;
                extension.sequence(|fields| {
                    let name = fields.decode::<ObjectIdentifier>()?.to_string();
                    let critical = fields.decode::<Option<bool>>()?.unwrap_or_default();
                    let value = fields.decode::<&OctetStringRef>()?.as_bytes();
                    match name.as_str() {
                        BASIC_CONSTRAINTS => self.read_basic(AnyRef::from_der(value)?)?,
                        KEY_USAGE => {
                            let bits = BitStringRef::from_der(value)?.raw_bytes();
                            self.key_usage = Some(bits.first().copied().unwrap_or(0));
                        }
                        name => {
                            unjudged |= critical && name != EXTENDED_KEY_USAGE || CONSTRAINTS.contains(&name);
                        }
                    }
                    Ok::<_, KeyError>(())
                })?;
            }
            Ok::<_, KeyError>(unjudged)
        })
    }

    fn read_basic(&mut self, basic: AnyRef<'_>) -> Result<(), KeyError> {
        basic.sequence(|fields| {
            self.basic = true;
            self.authority = fields.decode::<Option<bool>>()?.unwrap_or_default();
            let length = fields.decode::<Option<UintRef<'_>>>()?;
            self.path_length = length.map(|length| {
                length
                    .as_bytes()
                    .iter()
                    .fold(0, |sum: usize, &byte| sum.saturating_mul(256).saturating_add(usize::from(byte)))
            });
            Ok(())
        })
    }

    /// Go's `CheckSignatureFrom`: what a certificate needs to vouch for another.
    fn may_sign(self) -> bool {
        (self.authority || (!self.version_3 && !self.basic))
            && self.key_usage.is_none_or(|usage| usage & CERT_SIGN != 0)
    }
}

/// How a certificate is signed (RFC 3279, 4055, 5758, 8410).
enum Scheme {
    /// As a token of this algorithm is.
    Jws(Algorithm),
    /// Over this hash.
    Ecdsa(fn(&[u8]) -> Vec<u8>),
}

impl Scheme {
    fn read(oid: ObjectIdentifier) -> Option<Scheme> {
        match oid.to_string().as_str() {
            "1.2.840.113549.1.1.11" => Some(Scheme::Jws(Algorithm::RS256)),
            "1.2.840.113549.1.1.12" => Some(Scheme::Jws(Algorithm::RS384)),
            "1.2.840.113549.1.1.13" => Some(Scheme::Jws(Algorithm::RS512)),
            "1.2.840.10045.4.3.2" => Some(Scheme::Ecdsa(|signed| Sha256::digest(signed).to_vec())),
            "1.2.840.10045.4.3.3" => Some(Scheme::Ecdsa(|signed| Sha384::digest(signed).to_vec())),
            "1.3.101.112" => Some(Scheme::Jws(Algorithm::EdDSA)),
            _ => None,
        }
    }
}

/// `SEQUENCE { r, s }` as `r || s`, each of the field's length.
fn ecdsa_raw(der: &[u8], length: usize) -> Option<Vec<u8>> {
    let (r, s): (UintRef<'_>, UintRef<'_>) = asn1::pair(AnyRef::from_der(der).ok()?).ok()?;
    let (r, s) = (r.as_bytes(), s.as_bytes());
    let mut raw = vec![0; length.checked_sub(r.len())?];
    raw.extend_from_slice(r);
    raw.resize(raw.len() + length.checked_sub(s.len())?, 0);
    raw.extend_from_slice(s);
    Some(raw)
}

/// `UTCTime` or `GeneralizedTime`, in the only forms that RFC 5280 (4.1.2.5) allows.
fn unix_time(element: AnyRef<'_>) -> Result<i64, KeyError> {
    let (digits, zone) = element.value().split_at(element.value().len().saturating_sub(1));
    if zone != b"Z" || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (element.tag(), digits.len()) {
        (Tag::UtcTime, 12) => {
            let (year, rest) = digits.split_at(2);
            let year = number(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (Tag::GeneralizedTime, 14) => {
            let (year, rest) = digits.split_at(4);
            (number(year), rest)
        }
        _ => return Err(MALFORMED),
    };
    let [month, day, hour, minute, second] = match rest.as_chunks::<2>() {
        ([month, day, hour, minute, second], []) => {
            [month, day, hour, minute, second].map(|pair| number(pair))
        }
        _ => return Err(MALFORMED),
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Err(MALFORMED);
    }
    Ok(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The last common name of a name (RFC 5280, 4.1.2.4), as far as it is text.
fn common_name(name: &[u8]) -> Option<String> {
    let sets: Vec<AnyRef<'_>> = Vec::from_der(name).ok()?;
    let attributes = sets.iter().filter_map(|set| AnyRef::from_der(set.value()).ok());
    let mut values = attributes.filter_map(|attribute| {
        let (kind, value): (ObjectIdentifier, AnyRef<'_>) = asn1::pair(attribute).ok()?;
        (kind.to_string() == COMMON_NAME).then_some(value)
    });
    let last = values.next_back()?;
    Some(String::from_utf8_lossy(last.value()).chars().take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::pem;

    fn bundle(text: &[u8]) -> Vec<X509> {
        let blocks = pem::blocks(text).unwrap();
        let certificates = blocks.iter().filter(|block| block.label() == "CERTIFICATE");
        certificates.map(|block| X509::from_der(&block.decode().unwrap()).unwrap()).collect()
    }

    /// Leaf, intermediate and root.
    const CHAIN: &[u8] = include_bytes!("../../tests/data/x509/chain.pem");
    /// Its root is of version 3 and does not say that it is an authority.
    const NO_AUTHORITY: &[u8] = include_bytes!("../../tests/data/keys/p256-chain.pem");
    const SELF_SIGNED: &[u8] = include_bytes!("../../tests/data/keys/rsa2048-cert.pem");
    /// All of them are valid.
    const THEN: i64 = 1_600_000_000;

    #[test]
    fn names_and_keys_are_read() {
        let chain = bundle(CHAIN);
        assert_eq!(chain[0].name(), "x509 test leaf");
        assert_eq!(chain[0].issuer_name(), chain[1].name());
        assert!(!chain[0].is_self_signed() && chain[2].is_self_signed());
        assert!(chain.iter().all(|certificate| certificate.key().is_ok()));
        assert!(bundle(include_bytes!("../../tests/data/keys/p256.pem")).is_empty());
    }

    #[test]
    fn a_path_holds_only_to_a_root_that_signed_it_and_in_time() {
        let (chain, other) = (bundle(CHAIN), bundle(SELF_SIGNED));
        let (leaf, bare, root) = (&chain[..2], &chain[..1], &chain[2..]);
        let (first, last) = (chain[0].not_before(), chain[0].not_after());
        let weak = bundle(NO_AUTHORITY);
        for (name, path, roots, now, expected) in [
            ("through the intermediate", leaf, root, THEN, Ok(())),
            ("root in x5c too", &chain[..], root, THEN, Ok(())),
            ("intermediate in the bundle", bare, &chain[1..], THEN, Ok(())),
            ("intermediate alone trusted", bare, &chain[1..2], THEN, Ok(())),
            ("leaf itself trusted", bare, bare, THEN, Ok(())),
            ("root alone", root, root, THEN, Ok(())),
            ("without the intermediate", bare, root, THEN, Err(PathError::Unknown)),
            ("other bundle", leaf, &other[..], THEN, Err(PathError::Unknown)),
            ("empty bundle", leaf, &[][..], THEN, Err(PathError::Unknown)),
            ("no certificate", &[][..], root, THEN, Err(PathError::Unknown)),
            ("a leaf is no authority for the root", root, leaf, THEN, Err(PathError::Unknown)),
            ("no authority", &weak[..1], &weak[1..], 1_580_000_000, Err(PathError::NotAuthority)),
            ("last second", leaf, root, last, Ok(())),
            ("expired", leaf, root, last + 1, Err(PathError::Expired(0, last))),
            ("not yet", leaf, root, first - 1, Err(PathError::NotYet(0, first))),
        ] {
            assert_eq!(verify_path(path, roots, now), expected, "{name}");
        }
        let late = chain[1].not_after() + 1;
        let mut forged = chain.clone();
        forged[0].not_after = i64::MAX;
        assert_eq!(verify_path(&forged[..2], root, late), Err(PathError::Expired(1, late - 1)));
        forged[0].signed.push(0);
        assert_eq!(verify_path(&forged[..2], root, THEN), Err(PathError::Unknown));
        let mut short = root.to_vec();
        short[0].constraints.path_length = Some(0);
        assert_eq!(verify_path(leaf, &short, THEN), Err(PathError::NotAuthority));
    }

    #[test]
    fn damaged_certificates_are_refused() {
        let der = &bundle(SELF_SIGNED)[0].der;
        for length in 0..der.len() {
            assert!(X509::from_der(&der[..length]).is_err(), "cut to {length}");
        }
        assert!(X509::from_base64("!").is_err() && X509::from_base64("AAAA").is_err());
    }

    #[test]
    fn times_are_those_of_rfc_5280() {
        let time = |tag, text: &str| unix_time(AnyRef::new(tag, text.as_bytes()).unwrap());
        for (tag, text, expected) in [
            (Tag::UtcTime, "700101000000Z", Ok(0)),
            (Tag::UtcTime, "500101000000Z", Ok(-631_152_000)),
            (Tag::UtcTime, "491231235959Z", Ok(2_524_607_999)),
            (Tag::GeneralizedTime, "20000229120000Z", Ok(951_825_600)),
            (Tag::GeneralizedTime, "99991231235959Z", Ok(253_402_300_799)),
            (Tag::UtcTime, "7001010000Z", Err(MALFORMED)),
            (Tag::UtcTime, "700101000000+0100", Err(MALFORMED)),
            (Tag::UtcTime, "701301000000Z", Err(MALFORMED)),
            (Tag::UtcTime, "70010100000aZ", Err(MALFORMED)),
            (Tag::GeneralizedTime, "", Err(MALFORMED)),
            (Tag::OctetString, "700101000000Z", Err(MALFORMED)),
        ] {
            assert_eq!(time(tag, text), expected, "{text}");
        }
    }
}
