//! Certificates that vouch for the signing key: what the `x5c` header carries (RFC 7515, 4.1.6).
//!
//! Owns what configuration asks of them. Must not know tokens, nor the time. Decision: nothing is verified here
//! beyond form and order of bytes: whether a chain is trusted is the registry's business, and an issuer that
//! judged it would only disagree with it.

use super::error::KeyError;
use super::form::Form;
use super::pem;
use super::public::PublicKey;
use super::x509::X509;
use crate::ground::base64;

/// The most certificates that a chain may hold: two make a token too long for nginx already.
pub const MAX_CERTIFICATES: usize = 10;

/// A certificate chain, the signing key's own first.
#[derive(Debug, Clone)]
pub struct Chain {
    certificates: Vec<X509>,
    x5c: Vec<String>,
    leaf: PublicKey,
}

impl Chain {
    /// Reads every certificate of a PEM text, leaf first; other blocks are passed over.
    pub fn from_pem(text: &[u8]) -> Result<Chain, KeyError> {
        let certificates = certificates(text)?;
        let x5c = certificates.iter().map(|one| base64::standard(one.der())).collect();
        let leaf = certificates.first().ok_or(KeyError::EmptyChain)?.key().map_err(KeyError::clone)?.clone();
        Ok(Chain { certificates, x5c, leaf })
    }

    /// The certificates, leaf first; at least one.
    pub fn certificates(&self) -> &[X509] {
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
        self.certificates.first().map_or((0, 0), |leaf| (leaf.not_before(), leaf.not_after()))
    }

    /// Whether the certificate at this place is its own issuer, by name. At any place but the first it is
    /// a root, which a verifier has already and a token need not carry.
    pub fn is_self_signed(&self, index: usize) -> bool {
        self.certificates.get(index).is_some_and(X509::is_self_signed)
    }

    /// Where, counted from 0, a certificate is for this key.
    pub fn position_of(&self, key: &PublicKey) -> Option<usize> {
        self.certificates.iter().position(|one| one.key().is_ok_and(|other| other.matches(key)))
    }
}

/// Every certificate of a PEM text, one to ten, whatever their keys are; other blocks are passed over.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<X509>, KeyError> {
    let mut certificates = Vec::new();
    for block in pem::blocks(text)? {
        match block.read() {
            Ok((Form::Certificate, der)) => certificates.push(X509::from_der(&der)?),
            Err(error) if block.label() == "CERTIFICATE" => return Err(error),
            _ => {}
        }
    }
    match certificates.len() {
        0 => Err(KeyError::EmptyChain),
        1..=MAX_CERTIFICATES => Ok(certificates),
        count => Err(KeyError::LongChain { count, most: MAX_CERTIFICATES }),
    }
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
}
