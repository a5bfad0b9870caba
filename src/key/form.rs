//! What a DER text is, told by its outermost elements and not by the label around it, as OpenSSL tells it.
//!
//! Owns the shapes of the files that hold keys and certificates. Decision: only the shape is looked at here; the
//! reader of that form then takes it or refuses it.

use super::der::{self, Reader};

/// The form of a DER text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `OneAsymmetricKey` (RFC 5958, 2).
    Pkcs8,
    /// `RSAPrivateKey` (RFC 8017, A.1.2).
    Pkcs1,
    /// `ECPrivateKey` (RFC 5915, 3).
    Sec1,
    /// OpenSSL's own form of a DSA key.
    Dsa,
    /// `EncryptedPrivateKeyInfo` (RFC 5958, 3), or a PEM block with OpenSSL's older encryption.
    Encrypted,
    /// OpenSSH's own form of a private key.
    OpenSsh,
    /// A key and its certificates, as Windows and Java keep them (RFC 7292, 4).
    Pkcs12,
    /// `SubjectPublicKeyInfo` (RFC 5280, 4.1).
    Spki,
    /// `RSAPublicKey` (RFC 8017, A.1.1).
    RsaPublic,
    /// A certificate (RFC 5280, 4.1).
    Certificate,
    /// The name of a curve (RFC 5480, 2.1.1).
    Curve,
    /// None of these.
    Other,
}

impl Form {
    /// The form of a DER text.
    pub(crate) fn of(text: &[u8]) -> Form {
        use der::{INTEGER, SEQUENCE};
        if text.starts_with(b"openssh-key-v1\0") {
            return Form::OpenSsh;
        }
        if Reader::only(text, der::OID).is_ok() {
            return Form::Curve;
        }
        let Ok(outer) = Reader::only(text, SEQUENCE) else { return Form::Other };
        match tags(outer).as_slice() {
            [INTEGER, SEQUENCE, der::OCTET_STRING, ..] => Form::Pkcs8,
            [INTEGER, SEQUENCE, ..] => Form::Pkcs12,
            [INTEGER, der::OCTET_STRING, ..] => Form::Sec1,
            [INTEGER, INTEGER] => Form::RsaPublic,
            [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER] => Form::Dsa,
            [INTEGER, INTEGER, ..] => Form::Pkcs1,
            [SEQUENCE, der::OCTET_STRING] => Form::Encrypted,
            [SEQUENCE, der::BIT_STRING] => Form::Spki,
            [SEQUENCE, SEQUENCE, der::BIT_STRING] => Form::of_signed(outer),
            _ => Form::Other,
        }
    }

    /// A request for a certificate and a list of revoked ones are signed, too.
    fn of_signed(mut outer: Reader<'_>) -> Form {
        use der::{INTEGER, SEQUENCE};
        let inner = outer.enter(SEQUENCE).map(tags).unwrap_or_default();
        let inner = inner.strip_prefix(&[der::context(0)]).unwrap_or(&inner); // the version
        let begins = [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE];
        if inner.starts_with(&begins) { Form::Certificate } else { Form::Other }
    }

    /// Whether it is a private key, of whatever kind.
    pub(crate) fn is_private(self) -> bool {
        use Form::{Dsa, Encrypted, OpenSsh, Pkcs1, Pkcs8, Sec1};
        matches!(self, Pkcs8 | Pkcs1 | Sec1 | Dsa | Encrypted | OpenSsh)
    }
}

/// The tags of the next elements, as many as tell any form.
fn tags(mut reader: Reader<'_>) -> Vec<u8> {
    std::iter::from_fn(|| reader.element().ok()).map(|element| element.tag).take(10).collect()
}
