//! Certificates that vouch for the signing key: what the `x5c` header carries (RFC 7515, 4.1.6).
//!
//! Owns the few fields of a certificate that configuration and diagnosis need. Must not know tokens, nor
//! the time. Decision: nothing is verified here beyond form and order of bytes: whether a chain is
//! trusted is the registry's business, and an issuer that judged it would only disagree with it.

use super::der::{self, BadDer, Element, Reader};
use super::error::KeyError;
use super::pem;
use super::public::PublicKey;
use crate::ground::base64;
use crate::ground::time::days_from_civil;

/// The most certificates that a chain may hold: two make a token too long for nginx already.
pub const MAX_CERTIFICATES: usize = 10;

/// A certificate chain, the signing key's own first.
#[derive(Debug, Clone)]
pub struct Chain {
    certificates: Vec<Certificate>,
    x5c: Vec<String>,
    leaf: PublicKey,
}

/// What is read of a certificate (RFC 5280, 4.1).
#[derive(Debug, Clone)]
pub struct Certificate {
    spki: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl Chain {
    /// Reads every `CERTIFICATE` of a PEM text, leaf first; other blocks are passed over.
    pub fn from_pem(text: &[u8]) -> Result<Chain, KeyError> {
        let blocks = pem::blocks(text)?;
        let blocks: Vec<_> = blocks.iter().filter(|block| block.label() == "CERTIFICATE").collect();
        if blocks.len() > MAX_CERTIFICATES {
            return Err(KeyError::LongChain { count: blocks.len(), most: MAX_CERTIFICATES });
        }
        let mut certificates = Vec::with_capacity(blocks.len());
        let mut x5c = Vec::with_capacity(blocks.len());
        for block in blocks {
            let der = block.decode()?;
            certificates.push(Certificate::read(&der)?);
            x5c.push(base64::standard(&der));
        }
        let leaf = certificates.first().ok_or(KeyError::EmptyChain)?;
        let leaf = PublicKey::from_spki(leaf.spki(), None)?;
        Ok(Chain { certificates, x5c, leaf })
    }

    /// The certificates, leaf first; at least one.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The key that the first certificate is for, with that key's default algorithm: compare it with
    /// [`PublicKey::matches`].
    pub fn leaf_public_key(&self) -> &PublicKey {
        &self.leaf
    }

    /// The value of the `x5c` header: each certificate's DER in standard base64.
    pub fn x5c(&self) -> &[String] {
        &self.x5c
    }

    /// Start and end of the leaf's validity, in seconds since the Unix epoch, both inclusive.
    pub fn leaf_validity(&self) -> (i64, i64) {
        self.certificates.first().map_or((0, 0), |leaf| (leaf.not_before, leaf.not_after))
    }

    /// Whether the certificate at this place is its own issuer, by name. At any place but the first it is
    /// a root, which a verifier has already and a token need not carry.
    pub fn is_self_signed(&self, index: usize) -> bool {
        self.certificates.get(index).is_some_and(Certificate::is_self_signed)
    }

    /// Where, counted from 0, a certificate is for this key.
    pub fn position_of(&self, key: &PublicKey) -> Option<usize> {
        self.certificates.iter().position(|certificate| {
            PublicKey::from_spki(certificate.spki(), None).is_ok_and(|other| other.matches(key))
        })
    }
}

impl Certificate {
    /// Reads one certificate's DER.
    pub(crate) fn read(certificate: &[u8]) -> Result<Certificate, KeyError> {
        Certificate::fields(certificate).map_err(|_| KeyError::Malformed { what: "certificate" })
    }

    fn fields(certificate: &[u8]) -> Result<Certificate, BadDer> {
        let mut outer = Reader::only(certificate, der::SEQUENCE)?;
        let mut signed = outer.enter(der::SEQUENCE)?;
        outer.expect(der::SEQUENCE)?; // signature algorithm
        outer.bit_string()?;
        outer.end()?;

        signed.optional(der::context(0))?; // version
        signed.expect(der::INTEGER)?; // serial number
        signed.expect(der::SEQUENCE)?; // signature algorithm
        let issuer = signed.expect(der::SEQUENCE)?.whole.to_vec();
        let mut validity = signed.enter(der::SEQUENCE)?;
        let not_before = unix_time(validity.element()?)?;
        let not_after = unix_time(validity.element()?)?;
        validity.end()?;
        let subject = signed.expect(der::SEQUENCE)?.whole.to_vec();
        let spki = signed.expect(der::SEQUENCE)?.whole.to_vec();
        Ok(Certificate { spki, issuer, subject, not_before, not_after })
    }

    /// The `SubjectPublicKeyInfo` as it stands in the certificate, as DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
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
}

/// `UTCTime` or `GeneralizedTime`, in the only forms that RFC 5280 (4.1.2.5) allows.
pub(super) fn unix_time(element: Element<'_>) -> Result<i64, BadDer> {
    let (digits, zone) = element.content.split_at(element.content.len().saturating_sub(1));
    if zone != b"Z" || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadDer);
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (element.tag, digits.len()) {
        (der::UTC_TIME, 12) => {
            let (year, rest) = digits.split_at(2);
            let year = number(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (der::GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (number(year), rest)
        }
        _ => return Err(BadDer),
    };
    let [month, day, hour, minute, second] = match rest.as_chunks::<2>() {
        ([month, day, hour, minute, second], []) => {
            [month, day, hour, minute, second].map(|pair| number(pair))
        }
        _ => return Err(BadDer),
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Err(BadDer);
    }
    Ok(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &[u8] = include_bytes!("../../tests/data/keys/p256-chain.pem");
    const SELF_SIGNED: &[u8] = include_bytes!("../../tests/data/keys/rsa2048-cert.pem");

    #[test]
    fn a_chain_gives_leaf_validity_and_roots() {
        let chain = Chain::from_pem(CHAIN).unwrap();
        assert_eq!(chain.certificates().len(), 2);
        let public = include_bytes!("../../tests/data/keys/p256-pub.pem");
        assert!(chain.leaf_public_key().matches(&PublicKey::from_pem(public, None).unwrap()));
        // 2020-01-02T03:04:05Z and 2021-01-02T03:04:05Z, by `date -ud ... +%s`.
        assert_eq!(chain.leaf_validity(), (1_577_934_245, 1_609_556_645));
        assert!(!chain.is_self_signed(0));
        assert!(chain.is_self_signed(1));
        assert!(!chain.is_self_signed(2));
        // A GeneralizedTime: 2060-02-29T23:59:59Z.
        assert_eq!(chain.certificates()[1].not_after(), 2_845_324_799);
        assert!(chain.x5c()[0].starts_with("MII"));
        assert!(Chain::from_pem(SELF_SIGNED).unwrap().is_self_signed(0));
    }

    #[test]
    fn a_chain_has_between_one_and_ten_certificates() {
        let key = include_bytes!("../../tests/data/keys/p256.pem");
        assert_eq!(Chain::from_pem(key).err(), Some(KeyError::EmptyChain));
        assert!(Chain::from_pem(&CHAIN.repeat(5)).is_ok());
        assert_eq!(
            Chain::from_pem(&SELF_SIGNED.repeat(11)).err(),
            Some(KeyError::LongChain { count: 11, most: 10 })
        );
    }

    #[test]
    fn damaged_certificates_are_refused() {
        let der = pem::blocks(SELF_SIGNED).unwrap()[0].decode().unwrap();
        for length in 0..der.len() {
            assert!(Certificate::read(&der[..length]).is_err(), "cut to {length}");
        }
        let longer = [der.as_slice(), &[0]].concat();
        assert!(Certificate::read(&longer).is_err());
    }

    #[test]
    fn times_are_those_of_rfc_5280() {
        let time = |tag, text: &str| unix_time(Element { tag, content: text.as_bytes(), whole: &[] });
        for (tag, text, expected) in [
            (der::UTC_TIME, "700101000000Z", Ok(0)),
            (der::UTC_TIME, "500101000000Z", Ok(-631_152_000)),
            (der::UTC_TIME, "491231235959Z", Ok(2_524_607_999)),
            (der::GENERALIZED_TIME, "20000229120000Z", Ok(951_825_600)),
            (der::GENERALIZED_TIME, "99991231235959Z", Ok(253_402_300_799)),
            (der::UTC_TIME, "7001010000Z", Err(BadDer)),
            (der::UTC_TIME, "700101000000+0100", Err(BadDer)),
            (der::UTC_TIME, "701301000000Z", Err(BadDer)),
            (der::UTC_TIME, "70010100000aZ", Err(BadDer)),
            (der::GENERALIZED_TIME, "", Err(BadDer)),
            (der::OCTET_STRING, "700101000000Z", Err(BadDer)),
        ] {
            assert_eq!(time(tag, text), expected, "{text}");
        }
    }
}
