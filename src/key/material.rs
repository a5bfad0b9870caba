//! Private keys as their files have them: numbers, and nothing that computes with them.
//!
//! Owns the forms of private key files. Must not know engines, tokens or key ids. Decision: what a file says of
//! the public half is taken along and believed by nobody: the engine computes that half, and [`Key`](super::Key)
//! compares. Every private number is wiped when dropped.

use super::asn1;
use super::error::KeyError;
use super::form::Form;
use super::kind::Kind;
use super::numbers::Numbers;
use super::pem;
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, OctetStringRef, SequenceRef, UintRef};
use der::{Decode, Reader, Tag, TagMode, TagNumber, Tagged};
use zeroize::Zeroizing;

const MALFORMED: KeyError = KeyError::Malformed { what: "key" };

/// A private key.
pub(crate) struct Material {
    pub(crate) kind: Kind,
    pub(crate) private: Private,
    /// What the file says of the public half.
    pub(crate) stated: Vec<Stated>,
}

/// `[0]`, the seed alone of an ML-DSA key.
const SEED: u8 = 0x80;

/// The private numbers.
pub(crate) enum Private {
    Rsa(Box<RsaNumbers>),
    /// An EC scalar or a seed, as long as [`Kind::private_bytes`].
    Bytes(Zeroizing<Vec<u8>>),
}

/// Modulus, public and private exponent, two primes, an exponent for each, coefficient (RFC 8017, A.1.2):
/// big-endian, without leading zeros.
pub(crate) type RsaNumbers = [Zeroizing<Vec<u8>>; 8];

/// What a file says of the public half of its key.
pub(crate) enum Stated {
    Whole(Numbers),
    /// How an ML-DSA public key begins.
    Start(Vec<u8>),
}

impl Material {
    /// Reads the one private key of a PEM text; what else is in it is passed over.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Material, KeyError> {
        let PrivateBlock { form, der, curve } = private_block(text)?;
        match form {
            Form::Pkcs8 => pkcs8(&der),
            Form::Pkcs1 => rsa(&der),
            Form::Sec1 => sec1(&der, curve),
            _ => Err(KeyError::Unsupported { what: "a DSA key".to_owned() }),
        }
    }

    /// A key of one private number of this length; RSA has eight.
    pub(crate) fn new(kind: Kind, bytes: &[u8]) -> Result<Material, KeyError> {
        if bytes.len() != kind.private_bytes() {
            return Err(MALFORMED);
        }
        let private = Private::Bytes(Zeroizing::new(bytes.to_vec()));
        Ok(Material { kind, private, stated: Vec::new() })
    }

    /// An RSA key.
    pub(crate) fn rsa(numbers: RsaNumbers) -> Material {
        Material { kind: Kind::Rsa, private: Private::Rsa(Box::new(numbers)), stated: Vec::new() }
    }

    /// The plain PKCS#8 form (RFC 5958, 2).
    pub(crate) fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let inner = match (&self.private, self.kind) {
            (Private::Rsa(numbers), _) => write_rsa(numbers),
            (Private::Bytes(scalar), Kind::P256 | Kind::P384) => {
                let scalar = secret(asn1::OCTET_STRING, &[scalar]);
                secret(asn1::SEQUENCE, &[&asn1::unsigned(&[1]), &scalar])
            }
            (Private::Bytes(seed), Kind::Ed25519 | Kind::X25519) => secret(asn1::OCTET_STRING, &[seed]),
            // The seed alone, as RFC 9881 (6) recommends.
            (Private::Bytes(seed), _) => secret(SEED, &[seed]),
        };
        let octets = secret(asn1::OCTET_STRING, &[&inner]);
        secret(asn1::SEQUENCE, &[&asn1::unsigned(&[0]), &self.kind.identifier(), &octets])
    }
}

/// The private key of a PEM text, not yet read.
pub(crate) struct PrivateBlock {
    pub(crate) form: Form,
    pub(crate) der: Zeroizing<Vec<u8>>,
    curve: Option<Kind>,
}

/// The one private key of a PEM text, which nothing protects; what else is in the text is passed over.
pub(crate) fn private_block(text: &[u8]) -> Result<PrivateBlock, KeyError> {
    let blocks = pem::blocks(text)?;
    let (mut keys, mut curve) = (Vec::new(), None);
    for block in &blocks {
        match block.read() {
            Ok((form, der)) if form.is_private() => keys.push((form, der)),
            // `openssl ecparam -genkey` writes the curve in a block of its own, too.
            Ok((Form::Curve, der)) => curve = Some(Kind::of_curve(AnyRef::from_der(&der)?)?),
            Err(error) if block.label().ends_with("PRIVATE KEY") => return Err(error),
            _ => {}
        }
    }
    let count = keys.len();
    match (keys.pop(), count) {
        (Some((Form::Encrypted, _)), 1) => Err(KeyError::ENCRYPTED),
        (Some((Form::OpenSsh, _)), 1) => Err(KeyError::OPENSSH),
        (Some((form, der)), 1) => Ok(PrivateBlock { form, der, curve }),
        (Some(_), _) => Err(KeyError::SeveralKeys { count }),
        (None, _) => {
            let found = blocks.first().map(|block| block.label().to_owned()).unwrap_or_default();
            Err(KeyError::NotPrivate { found })
        }
    }
}

/// `RSAPrivateKey` (RFC 8017, A.1.2).
pub(crate) fn write_rsa(numbers: &RsaNumbers) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(asn1::unsigned(&[0]));
    for number in numbers {
        content.extend_from_slice(&Zeroizing::new(asn1::unsigned(number)));
    }
    secret(asn1::SEQUENCE, &[&content])
}

fn secret(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(asn1::element(tag, parts))
}

/// `OneAsymmetricKey` (RFC 5958, 2).
fn pkcs8(bytes: &[u8]) -> Result<Material, KeyError> {
    AnyRef::from_der(bytes)?.sequence(|fields| {
        fields.decode::<UintRef<'_>>()?; // version
        let kind = Kind::read(fields.decode()?)?;
        let inner = fields.decode::<&OctetStringRef>()?.as_bytes();
        fields.context_specific::<&SequenceRef>(TagNumber(0), TagMode::Implicit)?; // attributes
        let public = fields.context_specific(TagNumber(1), TagMode::Implicit)?;
        let mut material = match kind {
            Kind::Rsa => rsa(inner)?,
            Kind::P256 | Kind::P384 => sec1(inner, Some(kind))?,
            // `CurvePrivateKey` (RFC 8410, 7): the seed.
            Kind::Ed25519 | Kind::X25519 => {
                Material::new(kind, <&OctetStringRef>::from_der(inner)?.as_bytes())?
            }
            Kind::MlDsa44 | Kind::MlDsa65 | Kind::MlDsa87 => ml_dsa(kind, inner)?,
        };
        if let Some(public) = public {
            material.stated.push(Stated::Whole(Numbers::read(kind, asn1::whole_bytes(public)?)?));
        }
        Ok(material)
    })
}

/// `RSAPrivateKey` (RFC 8017, A.1.2).
fn rsa(bytes: &[u8]) -> Result<Material, KeyError> {
    AnyRef::from_der(bytes)?.sequence(|fields| {
        if fields.decode::<UintRef<'_>>()?.as_bytes() != [0] {
            return Err(KeyError::Unsupported { what: "an RSA key of more than two primes".to_owned() });
        }
        let mut numbers = RsaNumbers::default();
        for number in &mut numbers {
            *number = Zeroizing::new(fields.decode::<UintRef<'_>>()?.as_bytes().to_vec());
        }
        Ok(Material::rsa(numbers))
    })
}

/// `ECPrivateKey` (RFC 5915, 3). The curve may stand in it, around it, or both.
fn sec1(bytes: &[u8], around: Option<Kind>) -> Result<Material, KeyError> {
    AnyRef::from_der(bytes)?.sequence(|fields| {
        fields.decode::<UintRef<'_>>()?; // version
        let scalar = fields.decode::<&OctetStringRef>()?.as_bytes();
        let inside = ContextSpecific::<AnyRef<'_>>::decode_explicit(fields, TagNumber(0))?;
        let inside = inside.map(|curve| Kind::of_curve(curve.value)).transpose()?;
        let public = fields.context_specific::<BitStringRef<'_>>(TagNumber(1), TagMode::Explicit)?;
        let nameless = KeyError::Malformed { what: "EC private key: it names no curve" };
        let kind = inside.or(around).ok_or(nameless)?;
        if around.is_some_and(|around| around != kind) {
            return Err(KeyError::Inconsistent { key: kind.name() });
        }
        // Some writers leave out leading zeros, which RFC 5915 asks for.
        let zeros = vec![0; kind.private_bytes().saturating_sub(scalar.len())];
        let mut material = Material::new(kind, &Zeroizing::new([&zeros, scalar].concat()))?;
        if let Some(point) = public {
            material.stated.push(Stated::Whole(Numbers::Bytes(asn1::whole_bytes(point)?.to_vec())));
        }
        Ok(material)
    })
}

/// `ML-DSA-*-PrivateKey` (RFC 9881, 6): the seed, or the seed and what it expands to. An expanded key
/// alone is refused: the crate's loader for it is deprecated and panics on hostile input.
fn ml_dsa(kind: Kind, bytes: &[u8]) -> Result<Material, KeyError> {
    let choice = AnyRef::from_der(bytes)?;
    match choice.tag() {
        Tag::OctetString => Err(KeyError::NO_SEED),
        Tag::ContextSpecific { constructed: false, number: TagNumber(0) } => {
            Material::new(kind, choice.value())
        }
        _ => {
            let (seed, expanded): (&OctetStringRef, &OctetStringRef) = asn1::pair(choice)?;
            let mut material = Material::new(kind, seed.as_bytes())?;
            // Private and public key both start with rho, which the seed determines (FIPS 204, algorithm 6).
            let start = expanded.as_bytes().get(..32).ok_or(MALFORMED)?;
            material.stated.push(Stated::Start(start.to_vec()));
            Ok(material)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::algorithm::Algorithm;
    use crate::key::{Key, PublicKey};
    use der::SliceReader;

    fn der_of(pem: &[u8]) -> Vec<u8> {
        pem::blocks(pem).unwrap().last().unwrap().decode().unwrap().to_vec()
    }

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        asn1::sequence(parts)
    }

    fn octets(bytes: &[u8]) -> Vec<u8> {
        asn1::element(asn1::OCTET_STRING, &[bytes])
    }

    /// The parts of a PKCS#8: version, algorithm and inner key.
    fn wrapped(kind: Kind, inner: &[u8], more: &[u8]) -> Vec<u8> {
        sequence(&[&[2, 1, 0], &kind.identifier(), &octets(inner), more])
    }

    fn load(der: &[u8]) -> Result<Key, KeyError> {
        let pem = pem::encode("PRIVATE KEY", der);
        Key::from_pem(&Secret::new(pem.as_bytes().to_vec()), None, None)
    }

    fn bytes(key: &Key) -> Vec<u8> {
        key.public().unwrap().numbers().to_bytes()
    }

    const MALFORMED: Option<KeyError> = Some(super::MALFORMED);

    /// Whether it is refused because its parts do not belong together.
    fn is_inconsistent(read: &Result<Key, KeyError>) -> bool {
        matches!(read, Err(KeyError::Inconsistent { .. }))
    }

    /// As `openssl pkey` reads them (3.0.22): every private key under every label of a key.
    #[test]
    fn a_key_is_read_by_what_its_block_holds_and_not_by_its_label() {
        const LABELS: [&str; 7] = [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "DSA PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "PUBLIC KEY",
            "RSA PUBLIC KEY",
        ];
        let text = |label: &str, pem: &[u8]| pem::encode(label, &der_of(pem)).as_bytes().to_vec();
        for label in LABELS {
            let private = |pem: &[u8]| Key::from_pem(&Secret::new(text(label, pem)), None, None);
            for (name, pem, algorithm) in [
                ("PKCS#8 RSA", key_file!("rsa2048.pem"), Algorithm::RS256),
                ("PKCS#1", key_file!("rsa2048-pkcs1.pem"), Algorithm::RS256),
                ("PKCS#8 EC", key_file!("p256.pem"), Algorithm::ES256),
                ("SEC1", key_file!("p256-sec1-params.pem"), Algorithm::ES256),
                ("SEC1 P-384", key_file!("p384-sec1.pem"), Algorithm::ES384),
                ("Ed25519", key_file!("ed25519.pem"), Algorithm::EdDSA),
                ("ML-DSA", key_file!("mldsa44.pem"), Algorithm::MlDsa44),
            ] {
                let key = private(pem).unwrap_or_else(|error| panic!("{name} as {label}: {error}"));
                assert_eq!(key.algorithm(), algorithm, "{name} as {label}");
                let refused = PublicKey::from_pem(&text(label, pem), None).err();
                assert!(
                    matches!(&refused, Some(KeyError::NotPublic { found }) if found.ends_with("PRIVATE KEY")),
                    "{name} as {label}: {refused:?}"
                );
            }
            assert_eq!(
                private(key_file!("rsa2048-encrypted.pem")).err(),
                Some(KeyError::ENCRYPTED),
                "{label}"
            );
            assert_eq!(private(key_file!("openssh.pem")).err(), Some(KeyError::OPENSSH), "{label}");
            let found = KeyError::NotPrivate { found: label.to_owned() };
            assert_eq!(private(key_file!("p256-pub.pem")).err(), Some(found), "{label}");
            for (name, pem, same_as) in [
                ("SPKI", key_file!("p256-pub.pem"), key_file!("p256-pub.pem")),
                ("compressed", key_file!("p256-pub-compressed.pem"), key_file!("p256-pub.pem")),
                ("RSAPublicKey", key_file!("rsa2048-pub-pkcs1.pem"), key_file!("rsa2048-pub.pem")),
                ("certificate", key_file!("rsa2048-cert.pem"), key_file!("rsa2048-pub.pem")),
            ] {
                let read = PublicKey::from_pem(&text(label, pem), None);
                let key = read.unwrap_or_else(|error| panic!("{name} as {label}: {error}"));
                assert_eq!(key, PublicKey::from_pem(same_as, None).unwrap(), "{name} as {label}");
            }
            let garbage = pem::encode(label, b"\0\0");
            let refused = Key::from_pem(&Secret::new(garbage.as_bytes().to_vec()), None, None).err();
            let is_private = label.ends_with("PRIVATE KEY");
            let found = KeyError::NotPrivate { found: label.to_owned() };
            assert_eq!(refused, if is_private { MALFORMED } else { Some(found) }, "{label}");
        }
        // What is no key is no key under the label of one either, and what is none of ours is passed over.
        let request = key_file!("p256-request.pem");
        let found = KeyError::NotPublic { found: "CERTIFICATE REQUEST".to_owned() };
        assert_eq!(PublicKey::from_pem(request, None).err(), Some(found));
        assert_eq!(PublicKey::from_pem(&text("PUBLIC KEY", request), None).err(), MALFORMED);
        let both = [request, key_file!("p256-pub.pem")].concat();
        assert!(PublicKey::from_pem(&both, None).is_ok());
        let certificate = Some(KeyError::Malformed { what: "certificate" });
        assert_eq!(PublicKey::from_pem(&text("CERTIFICATE", request), None).err(), certificate);
    }

    #[test]
    fn an_ml_dsa_key_is_read_by_its_seed_in_every_form_that_has_one() {
        let kind = Kind::MlDsa44;
        let der = der_of(key_file!("mldsa44.pem"));
        let seed = &der[der.len() - 32..];
        let public = bytes(&load(&der).unwrap());
        let mut expanded = vec![0; 2560];
        expanded[..32].copy_from_slice(&public[..32]);
        let both = |expanded: &[u8]| wrapped(kind, &sequence(&[&octets(seed), &octets(expanded)]), &[]);
        assert_eq!(bytes(&load(&both(&expanded)).unwrap()), public);
        expanded[0] ^= 1;
        assert!(is_inconsistent(&load(&both(&expanded))));
        assert_eq!(load(&both(&[])).err(), MALFORMED);
        assert_eq!(load(&wrapped(kind, &octets(&expanded), &[])).err(), Some(KeyError::NO_SEED));
        assert_eq!(load(&wrapped(kind, &asn1::element(SEED, &[&seed[1..]]), &[])).err(), MALFORMED);
    }

    #[test]
    fn a_public_half_in_the_file_must_agree() {
        // RFC 5958's second version, as some libraries write Ed25519 keys.
        let der = der_of(key_file!("ed25519.pem"));
        let inner = octets(&der[der.len() - 32..]);
        let public = bytes(&load(&der).unwrap());
        let field = |public: &[u8]| asn1::element(0x81, &[&[0], public]);
        assert!(load(&wrapped(Kind::Ed25519, &inner, &field(&public))).is_ok());
        let other = load(&wrapped(Kind::Ed25519, &inner, &field(&[9; 32])));
        assert!(is_inconsistent(&other));

        let mut ec = der_of(key_file!("p256-sec1-params.pem"));
        assert!(load(&ec).is_ok());
        assert!(is_inconsistent(&load(&wrapped(Kind::P384, &ec, &[]))));
        ec[20] ^= 1; // within the scalar
        assert!(is_inconsistent(&load(&ec)));

        let rsa = der_of(key_file!("rsa2048-pkcs1.pem"));
        let own = bytes(&load(&rsa).unwrap());
        let beside = |public: &[u8]| load(&wrapped(Kind::Rsa, &rsa, &field(public)));
        assert!(beside(&own).is_ok());
        // The ends of the right bytes are not the right bytes.
        for end in [1, 2, 5, 128, own.len() - 1] {
            assert_eq!(beside(&own[own.len() - end..]).err(), MALFORMED, "{end}");
        }
        let other = bytes(&load(&der_of(key_file!("rsa2048-other.pem"))).unwrap());
        assert!(is_inconsistent(&beside(&other)));
    }

    /// One bit wrong in any number but the version.
    #[test]
    fn the_numbers_of_an_rsa_key_must_belong_together() {
        let der = der_of(key_file!("rsa2048-pkcs1.pem"));
        let outer = AnyRef::from_der(&der).unwrap();
        let header = der.len() - outer.value().len();
        let mut fields = SliceReader::new(outer.value()).unwrap();
        fields.decode::<AnyRef<'_>>().unwrap();
        for index in 0..8 {
            let length = fields.decode::<AnyRef<'_>>().unwrap().value().len();
            let end = header + usize::try_from(fields.position()).unwrap();
            for at in [end - length / 2, end - 1] {
                let mut damaged = der.clone();
                damaged[at] ^= 2;
                let inconsistent = KeyError::Inconsistent { key: "an RSA key" };
                let expected = if index == 1 { KeyError::RsaExponent } else { inconsistent };
                assert_eq!(load(&damaged).err(), Some(expected), "number {index}, byte {at}");
            }
        }
    }

    #[test]
    fn an_ec_key_may_lack_leading_zeros_but_not_its_curve() {
        let one = |scalar: &[u8]| sequence(&[&[2, 1, 1], &octets(scalar)]);
        let p256 = |scalar: &[u8]| load(&wrapped(Kind::P256, &one(scalar), &[]));
        let mut full = [0; 32];
        full[31] = 1;
        assert_eq!(bytes(&p256(&[1]).unwrap()), bytes(&p256(&full).unwrap()));
        let nameless = KeyError::Malformed { what: "EC private key: it names no curve" };
        assert_eq!(load(&one(&[1])).err(), Some(nameless));
        assert_eq!(p256(&[1; 33]).err(), MALFORMED);
        for scalar in [[0; 32], [0xFF; 32]] {
            assert!(is_inconsistent(&p256(&scalar)));
        }
        let explicit =
            sequence(&[&[2, 1, 1], &octets(&full), &asn1::element(asn1::context(0), &[&sequence(&[])])]);
        let spelled_out = "an EC key that spells out its curve".to_owned();
        assert_eq!(load(&explicit).err(), Some(KeyError::Unsupported { what: spelled_out }));
    }

    #[test]
    fn parameters_of_dsa_are_no_key() {
        let text =
            b"-----BEGIN DSA PARAMETERS-----\nMAkCARcCAQsCAQQ=\n-----END DSA PARAMETERS-----\n".to_vec();
        let found = "DSA PARAMETERS".to_owned();
        let refused = Key::from_pem(&Secret::new(text), None, None).err();
        assert_eq!(refused, Some(KeyError::NotPrivate { found }));
    }

    #[test]
    fn no_damaged_key_makes_it_panic() {
        for (pem, step) in [
            (key_file!("rsa2048.pem"), 29),
            (key_file!("rsa2048-pkcs1.pem"), 31),
            (key_file!("p256.pem"), 1),
            (key_file!("p384.pem"), 1),
            (key_file!("ed25519.pem"), 1),
            (key_file!("mldsa44.pem"), 1),
        ] {
            let der = der_of(pem);
            for at in (0..der.len()).step_by(step) {
                for change in [1, 0x80, 0xFF] {
                    let mut damaged = der.clone();
                    damaged[at] ^= change;
                    drop(load(&damaged));
                }
                drop(load(&der[..at]));
            }
        }
    }
}
