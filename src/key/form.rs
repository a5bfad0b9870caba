//! What a DER text is, told by its outermost elements and not by the label around it, as OpenSSL tells it.
//!
//! Owns the shapes of the files that hold keys and certificates. Decision: only the shape is looked at here; the
//! reader of that form then takes it or refuses it.

use der::asn1::AnyRef;
use der::{Decode, SliceReader, Tag, TagNumber, Tagged};

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
        use Tag::{BitString, Integer, OctetString, Sequence};
        if text.starts_with(b"openssh-key-v1\0") {
            return Form::OpenSsh;
        }
        let Ok(outer) = AnyRef::from_der(text) else { return Form::Other };
        if outer.tag() != Sequence {
            return if outer.tag() == Tag::ObjectIdentifier { Form::Curve } else { Form::Other };
        }
        match tags(outer).as_slice() {
            [Integer, Sequence, OctetString, ..] => Form::Pkcs8,
            [Integer, Sequence, ..] => Form::Pkcs12,
            [Integer, OctetString, ..] => Form::Sec1,
            [Integer, Integer] => Form::RsaPublic,
            [Integer, Integer, Integer] => Form::Other, // `openssl dsaparam`
            [Integer, Integer, Integer, Integer, Integer, Integer] => Form::Dsa,
            [Integer, Integer, ..] => Form::Pkcs1,
            [Sequence, OctetString] => Form::Encrypted,
            [Sequence, BitString] => Form::Spki,
            [Sequence, Sequence, BitString] => Form::of_signed(outer),
            _ => Form::Other,
        }
    }

    /// A request for a certificate and a list of revoked ones are signed, too.
    fn of_signed(outer: AnyRef<'_>) -> Form {
        use Tag::{Integer, Sequence};
        let signed = SliceReader::new(outer.value()).and_then(|mut reader| AnyRef::decode(&mut reader));
        let tags = signed.map(tags).unwrap_or_default();
        let version = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
        let tags = tags.strip_prefix(&[version]).unwrap_or(&tags);
        let begins = [Integer, Sequence, Sequence, Sequence, Sequence, Sequence];
        if tags.starts_with(&begins) { Form::Certificate } else { Form::Other }
    }

    /// Whether it is a private key, of whatever kind.
    pub(crate) fn is_private(self) -> bool {
        use Form::{Dsa, Encrypted, OpenSsh, Pkcs1, Pkcs8, Sec1};
        matches!(self, Pkcs8 | Pkcs1 | Sec1 | Dsa | Encrypted | OpenSsh)
    }
}

/// The tags of what is in it, as many as tell any form.
fn tags(outer: AnyRef<'_>) -> Vec<Tag> {
    let Ok(mut reader) = SliceReader::new(outer.value()) else { return Vec::new() };
    let elements = std::iter::from_fn(|| AnyRef::decode(&mut reader).ok());
    elements.map(|element| element.tag()).take(10).collect()
}
