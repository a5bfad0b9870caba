//! The private half of a key: from PEM to something that signs.
//!
//! Owns the forms of private key files and the calls that sign. Must not know tokens or key ids.
//! Decision: a key is read once, by its own bytes, into the crates' ready-to-sign types (RSA with its CRT
//! values computed), and its public half is computed from it rather than believed; what the file says
//! about the public half must agree.
//!
//! Wiped when dropped: the PEM text and its DER, HMAC secrets, RSA numbers (rsa), EC scalars
//! (elliptic-curve), Ed25519 keys (ed25519-compact), the ML-DSA seed (superboring, by a plain write that a
//! compiler may drop). Not wiped, since the crates don't: the expanded ML-DSA key (ml-dsa is built without
//! `zeroize`), the inner state of HMAC while it runs, numbers on the way through num-bigint, and what the
//! stack held.

use super::der::{self, BadDer, Reader};
use super::error::KeyError;
use super::kind::Kind;
use super::pem::{self, Block};
use super::public::{Numbers, PublicKey, rsa_error, rsa_scheme};
use crate::key::algorithm::Algorithm;
use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ECDSAP384KeyPairLike, ECDSAP384PublicKeyLike, ES256KeyPair,
    ES384KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, RS256KeyPair, RSAKeyPairLike,
};
use p256::ecdsa::signature::Signer as _;
use sha2::{Sha256, Sha384, Sha512};
use superboring::mldsa::MlDsaPrivateKey;
use superboring::pkey::{PKey, Private};
use superboring::sign::Signer;
use zeroize::Zeroizing;

/// A key that is ready to sign.
pub(crate) enum Signing {
    Hmac(Zeroizing<Vec<u8>>),
    Rsa(Box<PKey<Private>>),
    P256(Box<ES256KeyPair>),
    P384(Box<ES384KeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    MlDsa(Box<MlDsaPrivateKey>),
}

/// A private key read, its public half computed.
pub(crate) struct Loaded {
    pub(crate) signing: Signing,
    pub(crate) kind: Kind,
    pub(crate) numbers: Numbers,
}

impl Signing {
    /// The raw JWS signature (RFC 7518, 3; RFC 8037, 3.1; ML-DSA pure, with an empty context).
    ///
    /// ECDSA is deterministic (RFC 6979) and Ed25519 is by definition: a device with a poor random
    /// source at start signs safely. RSA is blinded; ML-DSA is hedged.
    pub(crate) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = || KeyError::Crypto { task: "sign" };
        match self {
            Signing::Hmac(secret) => mac(algorithm, secret, input).ok_or_else(failed),
            Signing::Rsa(key) => {
                let (digest, padding) = rsa_scheme(algorithm).ok_or_else(failed)?;
                let mut signer = Signer::new(digest, key).map_err(|_| failed())?;
                signer.set_rsa_padding(padding).map_err(|_| failed())?;
                signer.update(input).map_err(|_| failed())?;
                signer.sign_to_vec().map_err(|_| failed())
            }
            Signing::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.key_pair().as_ref().try_sign(input).map_err(|_| failed())?;
                Ok(signature.to_bytes().to_vec())
            }
            Signing::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    key.key_pair().as_ref().try_sign(input).map_err(|_| failed())?;
                Ok(signature.to_bytes().to_vec())
            }
            Signing::Ed25519(key) => Ok(key.key_pair().as_ref().sk.sign(input, None).to_vec()),
            Signing::MlDsa(key) => key.sign(input).map_err(|_| failed()),
        }
    }
}

fn mac(algorithm: Algorithm, secret: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    fn made<M: Mac + KeyInit>(secret: &[u8], input: &[u8]) -> Option<Vec<u8>> {
        // HMAC takes a key of any length.
        let mac = <M as KeyInit>::new_from_slice(secret).ok()?.chain_update(input);
        Some(mac.finalize().into_bytes().to_vec())
    }
    match algorithm {
        Algorithm::HS256 => made::<Hmac<Sha256>>(secret, input),
        Algorithm::HS384 => made::<Hmac<Sha384>>(secret, input),
        Algorithm::HS512 => made::<Hmac<Sha512>>(secret, input),
        _ => None,
    }
}

/// Whether the MAC is right, compared in constant time.
pub(crate) fn mac_verify(algorithm: Algorithm, secret: &[u8], input: &[u8], mac: &[u8]) -> bool {
    fn right<M: Mac + KeyInit>(secret: &[u8], input: &[u8], mac: &[u8]) -> bool {
        <M as KeyInit>::new_from_slice(secret)
            .is_ok_and(|made| made.chain_update(input).verify_slice(mac).is_ok())
    }
    match algorithm {
        Algorithm::HS256 => right::<Hmac<Sha256>>(secret, input, mac),
        Algorithm::HS384 => right::<Hmac<Sha384>>(secret, input, mac),
        Algorithm::HS512 => right::<Hmac<Sha512>>(secret, input, mac),
        _ => false,
    }
}

/// Reads the one private key of a PEM text; certificates and public keys beside it are passed over.
pub(crate) fn load(text: &[u8]) -> Result<Loaded, KeyError> {
    let blocks = pem::blocks(text)?;
    let private: Vec<&Block<'_>> =
        blocks.iter().filter(|block| block.label().ends_with("PRIVATE KEY")).collect();
    let block = match private.as_slice() {
        [only] => only,
        [] => {
            let found = blocks.first().map(|block| block.label().to_owned());
            return Err(KeyError::NotPrivate { found: found.unwrap_or_default() });
        }
        several => return Err(KeyError::SeveralKeys { count: several.len() }),
    };
    if block.is_encrypted() {
        return Err(KeyError::Encrypted);
    }
    match block.label() {
        "PRIVATE KEY" => pkcs8(&block.decode()?),
        "RSA PRIVATE KEY" => rsa(&block.decode()?),
        "EC PRIVATE KEY" => {
            // `openssl ecparam -genkey` writes the curve in a block of its own, too.
            let parameters = blocks.iter().find(|block| block.label() == "EC PARAMETERS");
            let curve = match parameters {
                Some(block) => Some(Kind::of_curve(Reader::new(&block.decode()?), "EC PARAMETERS")?),
                None => None,
            };
            sec1(&block.decode()?, curve)
        }
        "OPENSSH PRIVATE KEY" => Err(KeyError::OpenSsh),
        label => Err(KeyError::Unsupported { what: format!("a {label}") }),
    }
}

/// `OneAsymmetricKey` (RFC 5958, 2).
fn pkcs8(bytes: &[u8]) -> Result<Loaded, KeyError> {
    let what = "PKCS#8 private key";
    let malformed = |_: BadDer| KeyError::Malformed { what };
    let mut fields = Reader::only(bytes, der::SEQUENCE).map_err(malformed)?;
    fields.unsigned().map_err(malformed)?; // version
    let kind = Kind::read(fields.enter(der::SEQUENCE).map_err(malformed)?, what)?;
    let inner = fields.expect(der::OCTET_STRING).map_err(malformed)?.content;
    fields.optional(der::context(0)).map_err(malformed)?; // attributes
    let public = fields.optional(der::context_primitive(1)).map_err(malformed)?;
    fields.end().map_err(malformed)?;
    let loaded = match kind {
        Kind::Rsa => rsa(inner)?,
        Kind::P256 | Kind::P384 => sec1(inner, Some(kind))?,
        Kind::Ed25519 => ed25519(inner)?,
        Kind::MlDsa44 | Kind::MlDsa65 | Kind::MlDsa87 => ml_dsa(kind, inner)?,
    };
    match public {
        Some(public) => loaded.agreeing_with(der::whole_bytes(public.content).map_err(malformed)?),
        None => Ok(loaded),
    }
}

/// `RSAPrivateKey` (RFC 8017, A.1.2). jwt-simple checks every number against the others.
fn rsa(bytes: &[u8]) -> Result<Loaded, KeyError> {
    let malformed = |_: BadDer| KeyError::Malformed { what: "RSA private key" };
    let mut fields = Reader::only(bytes, der::SEQUENCE).map_err(malformed)?;
    if fields.unsigned().map_err(malformed)? != [0] {
        return Err(KeyError::Unsupported { what: "an RSA key of more than two primes".to_owned() });
    }
    let modulus = fields.unsigned().map_err(malformed)?;
    let exponent = fields.unsigned().map_err(malformed)?;
    // Size and exponent first, by the rules for public keys: a huge key costs no arithmetic.
    let numbers = Numbers::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() };
    PublicKey::new(Kind::Rsa, numbers.clone(), None)?;
    let key = RS256KeyPair::from_der(bytes).map_err(|error| rsa_error(&error, modulus, exponent))?;
    let key = PKey::from_rsa(key.key_pair().as_ref().clone())
        .map_err(|_| KeyError::Inconsistent { key: Kind::Rsa.name() })?;
    Ok(Loaded { signing: Signing::Rsa(Box::new(key)), kind: Kind::Rsa, numbers })
}

/// `ECPrivateKey` (RFC 5915, 3). The curve may stand in it, around it, or both.
fn sec1(bytes: &[u8], curve: Option<Kind>) -> Result<Loaded, KeyError> {
    let what = "EC private key";
    let malformed = |_: BadDer| KeyError::Malformed { what };
    let mut fields = Reader::only(bytes, der::SEQUENCE).map_err(malformed)?;
    fields.unsigned().map_err(malformed)?; // version
    let scalar = fields.expect(der::OCTET_STRING).map_err(malformed)?.content;
    let own_curve = match fields.optional(der::context(0)).map_err(malformed)? {
        Some(parameters) => Some(Kind::of_curve(Reader::new(parameters.content), what)?),
        None => None,
    };
    let public = fields.optional(der::context(1)).map_err(malformed)?;
    fields.end().map_err(malformed)?;

    let kind =
        own_curve.or(curve).ok_or(KeyError::Malformed { what: "EC private key: it names no curve" })?;
    let inconsistent = || KeyError::Inconsistent { key: kind.name() };
    if curve.is_some_and(|curve| curve != kind) {
        return Err(inconsistent());
    }
    // Some writers leave out leading zeros, which RFC 5915 asks for.
    let length = kind.field_bytes().unwrap_or_default();
    let padding = length.checked_sub(scalar.len()).ok_or(KeyError::Malformed { what })?;
    let mut padded = Zeroizing::new(vec![0; padding]);
    padded.extend_from_slice(scalar);
    let (signing, point) = if kind == Kind::P384 {
        let key = ES384KeyPair::from_bytes(&padded).map_err(|_| inconsistent())?;
        let point = key.public_key().public_key().to_bytes_uncompressed();
        (Signing::P384(Box::new(key)), point)
    } else {
        let key = ES256KeyPair::from_bytes(&padded).map_err(|_| inconsistent())?;
        let point = key.public_key().public_key().to_bytes_uncompressed();
        (Signing::P256(Box::new(key)), point)
    };
    let loaded = Loaded { signing, kind, numbers: Numbers::Bytes(point) };
    match public {
        Some(public) => loaded.agreeing_with(Reader::new(public.content).bit_string().map_err(malformed)?),
        None => Ok(loaded),
    }
}

/// `CurvePrivateKey` (RFC 8410, 7): the seed.
fn ed25519(bytes: &[u8]) -> Result<Loaded, KeyError> {
    let malformed = || KeyError::Malformed { what: "Ed25519 private key" };
    let mut reader = Reader::new(bytes);
    let seed = reader.expect(der::OCTET_STRING).map_err(|_| malformed())?.content;
    reader.end().map_err(|_| malformed())?;
    if seed.len() != 32 {
        return Err(malformed());
    }
    // jwt-simple reads the plain RFC 8410 form only: no attributes, no public key.
    let octets = Zeroizing::new(der::encode(der::OCTET_STRING, &[bytes]));
    let plain = Zeroizing::new(der::encode(
        der::SEQUENCE,
        &[&der::encode_unsigned(&[0]), &Kind::Ed25519.identifier(), &octets],
    ));
    let key = Ed25519KeyPair::from_der(&plain).map_err(|_| malformed())?;
    let public = key.public_key().to_bytes();
    Ok(Loaded {
        signing: Signing::Ed25519(Box::new(key)),
        kind: Kind::Ed25519,
        numbers: Numbers::Bytes(public),
    })
}

/// `ML-DSA-*-PrivateKey` (RFC 9881, 6): the seed, or the seed and what it expands to. An expanded key
/// alone is refused: the crate's loader for it is deprecated and panics on hostile input.
fn ml_dsa(kind: Kind, bytes: &[u8]) -> Result<Loaded, KeyError> {
    let malformed = |_: BadDer| KeyError::Malformed { what: "ML-DSA private key" };
    let mut reader = Reader::new(bytes);
    let choice = reader.element().map_err(malformed)?;
    reader.end().map_err(malformed)?;
    let (seed, expanded) = match choice.tag {
        der::OCTET_STRING => return Err(KeyError::NoSeed),
        der::SEQUENCE => {
            let mut both = Reader::new(choice.content);
            let seed = both.expect(der::OCTET_STRING).map_err(malformed)?.content;
            let expanded = both.expect(der::OCTET_STRING).map_err(malformed)?.content;
            both.end().map_err(malformed)?;
            (seed, Some(expanded))
        }
        tag if tag == der::context_primitive(0) => (choice.content, None),
        _ => return Err(malformed(BadDer)),
    };
    let set = kind.ml_dsa().ok_or_else(|| malformed(BadDer))?;
    let seed = seed.try_into().map_err(|_| malformed(BadDer))?;
    let failed = |_| KeyError::Crypto { task: "expand a key" };
    let key = MlDsaPrivateKey::from_seed(set, seed).map_err(failed)?;
    let public = key.public_key().and_then(|public| public.to_bytes()).map_err(failed)?;
    // Both start with rho, which the seed determines (FIPS 204, algorithm 6).
    if expanded.is_some_and(|expanded| expanded.get(..32) != public.get(..32)) {
        return Err(KeyError::Inconsistent { key: kind.name() });
    }
    Ok(Loaded { signing: Signing::MlDsa(Box::new(key)), kind, numbers: Numbers::Bytes(public) })
}

impl Loaded {
    /// Itself, if the public key that the file holds beside it is its own.
    fn agreeing_with(self, public: &[u8]) -> Result<Loaded, KeyError> {
        let own = PublicKey::new(self.kind, self.numbers.clone(), None)?;
        let agrees = match self.kind {
            Kind::Rsa => own.spki_der().ends_with(public),
            kind => PublicKey::new(kind, Numbers::Bytes(public.to_vec()), None)
                .is_ok_and(|public| public.matches(&own)),
        };
        if agrees { Ok(self) } else { Err(KeyError::Inconsistent { key: self.kind.name() }) }
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

    fn der_of(pem: &[u8]) -> Vec<u8> {
        let blocks = pem::blocks(pem).unwrap();
        let block = blocks.iter().find(|block| block.label().ends_with("PRIVATE KEY"));
        block.unwrap().decode().unwrap().to_vec()
    }

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        der::encode(der::SEQUENCE, parts)
    }

    fn octets(bytes: &[u8]) -> Vec<u8> {
        der::encode(der::OCTET_STRING, &[bytes])
    }

    /// The parts of a PKCS#8: version, algorithm and inner key.
    fn wrapped(kind: Kind, inner: &[u8], more: &[u8]) -> Vec<u8> {
        sequence(&[&[2, 1, 0], &kind.identifier(), &octets(inner), more])
    }

    fn refusal(result: Result<Loaded, KeyError>) -> Option<KeyError> {
        result.err()
    }

    #[test]
    fn an_ml_dsa_key_is_read_by_its_seed_in_every_form_that_has_one() {
        let kind = Kind::MlDsa44;
        let der = der_of(file!("mldsa44.pem"));
        let seed = &der[der.len() - 32..];
        let Numbers::Bytes(public) = pkcs8(&der).unwrap().numbers else { panic!("not bytes") };
        let mut expanded = vec![0; 2560];
        expanded[..32].copy_from_slice(&public[..32]);
        let both = |expanded: &[u8]| wrapped(kind, &sequence(&[&octets(seed), &octets(expanded)]), &[]);
        let Numbers::Bytes(again) = pkcs8(&both(&expanded)).unwrap().numbers else { panic!("not bytes") };
        assert_eq!(again, public);
        expanded[0] ^= 1;
        let inconsistent = KeyError::Inconsistent { key: "an ML-DSA-44 key" };
        assert_eq!(refusal(pkcs8(&both(&expanded))), Some(inconsistent.clone()));
        assert_eq!(refusal(pkcs8(&both(&[]))), Some(inconsistent));
        let alone = wrapped(kind, &octets(&expanded), &[]);
        assert_eq!(refusal(pkcs8(&alone)), Some(KeyError::NoSeed));
        let short = wrapped(kind, &der::encode(0x80, &[&seed[1..]]), &[]);
        assert_eq!(refusal(pkcs8(&short)), Some(KeyError::Malformed { what: "ML-DSA private key" }));
    }

    #[test]
    fn a_public_half_in_the_file_must_agree() {
        // RFC 5958's second version, as some libraries write Ed25519 keys.
        let der = der_of(file!("ed25519.pem"));
        let inner = octets(&der[der.len() - 32..]);
        let Numbers::Bytes(public) = pkcs8(&der).unwrap().numbers else { panic!("not bytes") };
        let field = |public: &[u8]| der::encode(der::context_primitive(1), &[&[0], public]);
        assert!(pkcs8(&wrapped(Kind::Ed25519, &inner, &field(&public))).is_ok());
        let other = field(&[9; 32]);
        let inconsistent = |key| Some(KeyError::Inconsistent { key });
        assert_eq!(refusal(pkcs8(&wrapped(Kind::Ed25519, &inner, &other))), inconsistent("an Ed25519 key"));

        let mut ec = der_of(file!("p256-sec1-params.pem"));
        assert!(sec1(&ec, None).is_ok());
        assert_eq!(refusal(sec1(&ec, Some(Kind::P384))), inconsistent("an EC key on P-256"));
        ec[20] ^= 1; // within the scalar
        assert_eq!(refusal(sec1(&ec, None)), inconsistent("an EC key on P-256"));

        let mut rsa_key = der_of(file!("rsa2048-pkcs1.pem"));
        let last = rsa_key.len() - 1;
        rsa_key[last] ^= 1; // within the CRT coefficient
        assert_eq!(refusal(rsa(&rsa_key)), inconsistent("an RSA key"));
    }

    #[test]
    fn an_ec_key_may_lack_leading_zeros_but_not_its_curve() {
        let one = |scalar: &[u8]| sequence(&[&[2, 1, 1], &octets(scalar)]);
        let Numbers::Bytes(short) = sec1(&one(&[1]), Some(Kind::P256)).unwrap().numbers else { panic!("EC") };
        let mut full = [0; 32];
        full[31] = 1;
        let Numbers::Bytes(long) = sec1(&one(&full), Some(Kind::P256)).unwrap().numbers else { panic!("EC") };
        assert_eq!(short, long);
        for (scalar, curve, expected) in [
            (&[1][..], None, KeyError::Malformed { what: "EC private key: it names no curve" }),
            (&[1; 33], Some(Kind::P256), KeyError::Malformed { what: "EC private key" }),
            (&[0; 32], Some(Kind::P256), KeyError::Inconsistent { key: "an EC key on P-256" }),
            (&[0xFF; 32], Some(Kind::P256), KeyError::Inconsistent { key: "an EC key on P-256" }),
        ] {
            assert_eq!(refusal(sec1(&one(scalar), curve)), Some(expected));
        }
        let explicit =
            sequence(&[&[2, 1, 1], &octets(&full), &der::encode(der::context(0), &[&sequence(&[])])]);
        let spelled_out = "an EC key that spells out its curve".to_owned();
        assert_eq!(refusal(sec1(&explicit, None)), Some(KeyError::Unsupported { what: spelled_out }));
    }

    #[test]
    fn no_damaged_key_makes_it_panic() {
        for (pem, step) in [
            (file!("rsa2048.pem"), 29),
            (file!("rsa2048-pkcs1.pem"), 31),
            (file!("p256.pem"), 1),
            (file!("p384.pem"), 1),
            (file!("ed25519.pem"), 1),
            (file!("mldsa44.pem"), 1),
        ] {
            let der = der_of(pem);
            let read = |der: &[u8]| drop((pkcs8(der), rsa(der), sec1(der, None), ml_dsa(Kind::MlDsa44, der)));
            for at in (0..der.len()).step_by(step) {
                for change in [1, 0x80, 0xFF] {
                    let mut damaged = der.clone();
                    damaged[at] ^= change;
                    read(&damaged);
                }
                read(&der[..at]);
            }
        }
    }
}
