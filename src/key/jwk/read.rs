//! Keys as their JWK files have them (RFC 7517, 7518, 8037, 9964), public and private.
//!
//! Owns the members by name, and what `use`, `key_ops` and `alg` allow. Decision: an object with a name twice is
//! refused, and what a private key says of its public half is compared, as for PEM files. Every text of a JWK
//! is wiped when dropped, since any could be a secret.

use crate::ground::base64;
use crate::ground::json::{self, JsonError};
use crate::ground::secret::Secret;
use crate::key::algorithm::Algorithm;
use crate::key::error::KeyError;
use crate::key::kind::Kind;
use crate::key::material::{Material, RsaNumbers, Stated};
use crate::key::numbers::Numbers;
use crate::key::pem::MAX_TEXT;
use crate::key::{Key, PublicKey};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

/// The largest member that is decoded, in characters: an ML-DSA-87 key has 3456.
const MAX_MEMBER: usize = 4096;
/// The members of private keys and secrets (RFC 7518, 6.2.2, 6.3.2, 6.4; RFC 9964).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"];

/// What a key is to be used for: `use`, and the operations of which `key_ops` must name one (RFC 7517, 4.2, 4.3).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// Signatures are checked with it.
    Verify,
    /// It signs.
    Sign,
    /// Tokens are encrypted to it.
    Encrypt,
    /// Tokens that were encrypted to it are opened.
    Decrypt,
}

impl Use {
    /// `use`, the operations, and what to say where none is named. A public key of an agreement has no operation
    /// in Web Crypto, which writes an empty list.
    fn rules(self) -> (&'static str, &'static [&'static str], [&'static str; 2]) {
        let sig = "its `use` is not `sig`";
        let enc = "its `use` is not `enc`";
        match self {
            Use::Verify => ("sig", &["verify"], [sig, "its `key_ops` don't include `verify`"]),
            Use::Sign => ("sig", &["sign"], [sig, "its `key_ops` don't include `sign`"]),
            Use::Encrypt => {
                let why = "its `key_ops` include neither `deriveKey`, `deriveBits` nor `wrapKey`";
                ("enc", &["deriveKey", "deriveBits", "wrapKey"], [enc, why])
            }
            Use::Decrypt => {
                let why = "its `key_ops` include neither `deriveKey`, `deriveBits` nor `unwrapKey`";
                ("enc", &["deriveKey", "deriveBits", "unwrapKey"], [enc, why])
            }
        }
    }
}

/// Whether a key file is JSON: what is told so is never PEM.
pub(crate) fn is_json(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

/// A JWK.
pub(crate) struct Jwk(Map<String, Value>);

impl Drop for Jwk {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

const fn bad(why: &'static str) -> KeyError {
    KeyError::Jwk { why }
}

impl Jwk {
    /// Reads the text of a file.
    pub(crate) fn parse(text: &[u8]) -> Result<Jwk, KeyError> {
        if text.len() > MAX_TEXT {
            return Err(KeyError::TooLong { most: MAX_TEXT });
        }
        let jwk = Jwk(json::object(text).map_err(|error| match error {
            JsonError::NotAnObject => bad("not an object"),
            JsonError::Malformed(problem) if problem.contains("appears twice") => bad("a name appears twice"),
            JsonError::Malformed(_) => bad("not valid JSON"),
        })?);
        match jwk.text("kty") {
            None if jwk.0.get("keys").is_some_and(Value::is_array) => {
                Err(bad("a key set, where one key is expected"))
            }
            _ => Ok(jwk),
        }
    }

    /// The same of what was read already.
    pub(crate) fn of(value: &Value) -> Result<Jwk, KeyError> {
        value.as_object().cloned().map(Jwk).ok_or(bad("not an object"))
    }

    /// A member that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// `kid`, where it is one that a header can carry.
    pub(crate) fn kid(&self) -> Result<Option<String>, KeyError> {
        match self.0.get("kid") {
            None => Ok(None),
            Some(Value::String(id))
                if id.len() <= 256 && !id.is_empty() && !id.chars().any(char::is_control) =>
            {
                Ok(Some(id.clone()))
            }
            Some(_) => Err(bad("its `kid` is no text of at most 256 bytes without control characters")),
        }
    }

    /// Whether it is a shared secret.
    pub(crate) fn is_shared(&self) -> bool {
        self.text("kty") == Some("oct")
    }

    /// Whether it holds what is nobody's business.
    pub(crate) fn is_private(&self) -> bool {
        self.is_shared() || PRIVATE.iter().any(|name| self.0.contains_key(*name))
    }

    /// Refuses a key that is not for this.
    pub(crate) fn check_use(&self, usage: Use) -> Result<(), KeyError> {
        let (name, operations, [other_use, no_operation]) = usage.rules();
        if self.0.get("use").is_some_and(|usage| usage != name) {
            return Err(bad(other_use));
        }
        let Some(listed) = self.0.get("key_ops") else { return Ok(()) };
        let list = listed.as_array().ok_or(bad(no_operation))?;
        let names_one = list.iter().any(|listed| operations.iter().any(|operation| listed == operation));
        let empty = list.is_empty() && matches!(usage, Use::Encrypt) && !self.is_private();
        if names_one || empty { Ok(()) } else { Err(bad(no_operation)) }
    }

    /// `alg`, where it stands.
    pub(crate) fn alg(&self) -> Result<Option<&str>, KeyError> {
        match self.0.get("alg") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(_) => Err(bad("`alg` is not a string")),
        }
    }

    /// `alg` as a signature's, where it stands and agrees with what is asked.
    fn algorithm(&self, asked: Option<Algorithm>) -> Result<Option<Algorithm>, KeyError> {
        let own = match self.alg()? {
            None => return Ok(asked),
            // RFC 9864 (2.2) gives EdDSA on this curve a name of its own.
            Some("Ed25519") => Algorithm::EdDSA,
            // Names are compared as they stand: in a JWK they are case-sensitive (RFC 7517, 4.4).
            Some(name) => {
                let known = Algorithm::ALL.into_iter().find(|known| known.name() == name);
                known.ok_or(bad("unknown `alg`"))?
            }
        };
        match asked {
            Some(asked) if asked != own => Err(bad("its `alg` is not the algorithm that is asked for")),
            _ => Ok(Some(own)),
        }
    }

    /// The bytes of a member.
    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let [missing, malformed] = if PRIVATE.contains(&name) {
            ["a private member is missing", "a private member is not base64url"]
        } else {
            ["a public member is missing", "a public member is not base64url"]
        };
        let text = self.text(name).ok_or(bad(missing))?;
        let bytes = if text.len() > MAX_MEMBER { None } else { base64::read(text) };
        bytes.map(Zeroizing::new).ok_or(bad(malformed))
    }

    /// The bytes of a shared secret.
    pub(crate) fn secret(&self) -> Result<Secret, KeyError> {
        self.bytes("k").map(Secret::from)
    }

    /// What it is, and its public numbers.
    pub(crate) fn public(&self) -> Result<(Kind, Numbers), KeyError> {
        let bytes = |name| self.bytes(name).map(|bytes| bytes.to_vec());
        Ok(match (self.text("kty"), self.text("crv")) {
            (Some("RSA"), _) => (Kind::Rsa, Numbers::rsa(&bytes("n")?, &bytes("e")?)?),
            (Some("EC"), Some("P-256")) => (Kind::P256, point(Kind::P256, &bytes("x")?, &bytes("y")?)?),
            (Some("EC"), Some("P-384")) => (Kind::P384, point(Kind::P384, &bytes("x")?, &bytes("y")?)?),
            (Some("OKP"), Some("Ed25519")) => (Kind::Ed25519, Numbers::Bytes(bytes("x")?)),
            (Some("OKP"), Some("X25519")) => (Kind::X25519, Numbers::Bytes(bytes("x")?)),
            // RFC 9964 (3): `alg` says which key it is.
            (Some("AKP"), _) => {
                let algorithm = self.algorithm(None)?.filter(|algorithm| algorithm.is_ml_dsa());
                (
                    algorithm.and_then(Kind::of).ok_or(bad("an AKP key needs `alg`"))?,
                    Numbers::Bytes(bytes("pub")?),
                )
            }
            (Some("oct"), _) => return Err(bad("a shared secret is not a public key")),
            (Some(_), _) => return Err(bad("unknown `kty` or `crv`")),
            (None, _) => return Err(bad("`kty` is missing")),
        })
    }

    /// The private numbers, with what it says of the public half.
    pub(crate) fn material(&self) -> Result<Material, KeyError> {
        let (kind, public) = self.public()?;
        let mut material = match kind {
            Kind::Rsa => {
                if self.0.contains_key("oth") {
                    let what = "an RSA key of more than two primes".to_owned();
                    return Err(KeyError::Unsupported { what });
                }
                let mut numbers = RsaNumbers::default();
                for (number, name) in numbers.iter_mut().zip(["n", "e", "d", "p", "q", "dp", "dq", "qi"]) {
                    *number = self.bytes(name)?;
                }
                Material::rsa(numbers)
            }
            Kind::MlDsa44 | Kind::MlDsa65 | Kind::MlDsa87 => Material::new(kind, &self.bytes("priv")?)?,
            _ => Material::new(kind, &self.bytes("d")?)?,
        };
        material.stated.push(Stated::Whole(public));
        Ok(material)
    }
}

impl Key {
    /// A JWK's key: a key pair, or a shared secret for HMAC. Without an algorithm its `alg`, without either its
    /// default; without an id its `kid`.
    pub(crate) fn from_jwk(
        text: &[u8],
        asked: Option<Algorithm>,
        id: Option<String>,
    ) -> Result<Key, KeyError> {
        let jwk = Jwk::parse(text)?;
        jwk.check_use(Use::Sign)?;
        let id = match id {
            Some(id) => Some(id),
            None => jwk.kid()?,
        };
        let algorithm = jwk.algorithm(asked)?;
        if jwk.is_shared() {
            return Key::from_secret(algorithm.unwrap_or(Algorithm::HS256), &jwk.secret()?, id);
        }
        if !jwk.is_private() {
            jwk.public()?; // what lacks `kty` is no key at all
            return Err(KeyError::NotPrivate { found: "a public JWK".to_owned() });
        }
        Key::from_material(&jwk.material()?, algorithm, id)
    }
}

impl PublicKey {
    /// Reads a public JWK. Without `alg`, the key's default: RS256 for RSA.
    ///
    /// Refused: a shared secret (`oct`), a private key, a `use` or `key_ops` that isn't for verifying.
    pub fn from_jwk(jwk: &Value) -> Result<PublicKey, KeyError> {
        Jwk::of(jwk)?.public_key(None)
    }
}

impl Jwk {
    /// The key that it is, where it is public and for verifying.
    pub(crate) fn public_key(&self, asked: Option<Algorithm>) -> Result<PublicKey, KeyError> {
        if self.is_private() && !self.is_shared() {
            return Err(bad("it holds a private key"));
        }
        self.check_use(Use::Verify)?;
        let algorithm = self.algorithm(asked)?;
        let (kind, numbers) = self.public()?;
        PublicKey::new(kind, numbers, algorithm)
    }
}

/// Coordinates have the full length of the field (RFC 7518, 6.2.1.2).
fn point(kind: Kind, x: &[u8], y: &[u8]) -> Result<Numbers, KeyError> {
    let length = kind.private_bytes();
    if x.len() != length || y.len() != length {
        return Err(bad("a coordinate has the wrong length"));
    }
    Ok(Numbers::Bytes([&[4], x, y].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(jwk: &Value) -> Result<Key, KeyError> {
        Key::read(&Secret::new(jwk.to_string().into_bytes()), None, None)
    }

    /// The private JWK of a PEM file.
    fn private(pem: &[u8]) -> Value {
        let material = Material::from_pem(pem).unwrap();
        let key = Key::from_pem(&Secret::new(pem.to_vec()), None, None).unwrap();
        let mut jwk = key.public().unwrap().jwk(Some("the id"));
        match &material.private {
            crate::key::material::Private::Rsa(numbers) => {
                for (number, name) in numbers.iter().zip(["n", "e", "d", "p", "q", "dp", "dq", "qi"]) {
                    jwk[name] = base64::text(number).into();
                }
            }
            crate::key::material::Private::Bytes(bytes) => {
                let name = if key.algorithm().is_ml_dsa() { "priv" } else { "d" };
                jwk[name] = base64::text(bytes).into();
            }
        }
        jwk
    }

    #[test]
    fn every_kind_of_private_key_is_read_as_from_pem() {
        for pem in [
            key_file!("rsa2048.pem"),
            key_file!("p256.pem"),
            key_file!("p384.pem"),
            key_file!("ed25519.pem"),
            key_file!("mldsa44.pem"),
            key_file!("mldsa65.pem"),
            key_file!("mldsa87.pem"),
        ] {
            let jwk = private(pem);
            let key = read(&jwk).unwrap();
            let same = Key::from_pem(&Secret::new(pem.to_vec()), None, None).unwrap();
            assert_eq!((key.public(), key.id()), (same.public(), Some("the id")));
            let public = key.public().unwrap().jwk(Some("the id")).to_string();
            let (read, id) = PublicKey::read(public.as_bytes(), None).unwrap();
            assert_eq!((Some(&read), id.as_deref()), (key.public(), Some("the id")));
            assert!(read.verify(b"x", &key.sign(b"x").unwrap()));
            let found = "a private JWK".to_owned();
            let refused = PublicKey::read(jwk.to_string().as_bytes(), None).err();
            assert_eq!(refused, Some(KeyError::NotPublic { found }));
            let found = "a public JWK".to_owned();
            let refused = Key::read(&Secret::new(public.into_bytes()), None, None).err();
            assert_eq!(refused, Some(KeyError::NotPrivate { found }));
        }
    }

    /// RFC 8037, A.1 and A.4; RFC 7515, A.1.
    #[test]
    fn the_keys_of_the_rfcs_sign_what_stands_there() {
        let ed25519 = json!({
            "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert_eq!(base64::text(&read(&ed25519).unwrap().sign(input).unwrap()), signature);
        let oct = json!({
            "kty": "oct", "kid": "s",
            "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        });
        let key = read(&oct).unwrap();
        assert_eq!((key.algorithm(), key.id(), key.public().is_none()), (Algorithm::HS256, Some("s"), true));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason() {
        let ec = private(key_file!("p256.pem"));
        let with = |name: &str, value: Value| {
            let mut jwk = ec.clone();
            jwk[name] = value;
            jwk
        };
        let mut rsa = private(key_file!("rsa2048.pem"));
        let mut several = rsa.clone();
        several["oth"] = json!([]);
        rsa.as_object_mut().unwrap().remove("qi");
        let other = private(key_file!("p256-short-x.pem"));
        let mut seed = private(key_file!("mldsa44.pem"));
        seed["alg"] = "ML-DSA-65".into();
        let mut nameless = seed.clone();
        nameless.as_object_mut().unwrap().remove("alg");
        let bad = |why| KeyError::Jwk { why };
        for (jwk, expected) in [
            (with("d", other["d"].clone()), KeyError::Inconsistent { key: "an EC key on P-256" }),
            (with("x", other["x"].clone()), KeyError::Inconsistent { key: "an EC key on P-256" }),
            (with("use", "enc".into()), bad("its `use` is not `sig`")),
            (with("key_ops", json!(["verify"])), bad("its `key_ops` don't include `sign`")),
            (with("key_ops", json!("sign")), bad("its `key_ops` don't include `sign`")),
            (
                with("kid", json!(1)),
                bad("its `kid` is no text of at most 256 bytes without control characters"),
            ),
            (
                with("kid", json!("a\nb")),
                bad("its `kid` is no text of at most 256 bytes without control characters"),
            ),
            (with("d", json!("AAAA")), KeyError::Malformed { what: "key" }),
            (with("kty", json!("oct")), bad("a private member is missing")),
            (with("crv", json!("secp256k1")), bad("unknown `kty` or `crv`")),
            (rsa, bad("a private member is missing")),
            (several, KeyError::Unsupported { what: "an RSA key of more than two primes".to_owned() }),
            (nameless, bad("an AKP key needs `alg`")),
            (json!({}), bad("`kty` is missing")),
            (json!({ "keys": [ec.clone()] }), bad("a key set, where one key is expected")),
        ] {
            assert_eq!(read(&jwk).err(), Some(expected), "{jwk}");
        }
        assert!(matches!(read(&seed), Err(KeyError::Malformed { .. } | KeyError::Inconsistent { .. })));
        let text = ec.to_string();
        for (text, expected) in [
            (text.replacen("\"d\":", "\"d\":\"AAAA\",\"d\":", 1), bad("a name appears twice")),
            (text[..40].to_owned(), bad("not valid JSON")),
        ] {
            let read = Key::read(&Secret::new(text.clone().into_bytes()), None, None);
            assert_eq!(read.err(), Some(expected), "{text}");
        }
        let asked = Key::read(&Secret::new(text.clone().into_bytes()), Some(Algorithm::ES384), None).err();
        assert_eq!(asked, Some(bad("its `alg` is not the algorithm that is asked for")));
        let shared = Key::from_secret(Algorithm::HS256, &Secret::new(text.into_bytes()), None).err();
        assert_eq!(shared, Some(KeyError::JWK_AS_SECRET));
    }
}
