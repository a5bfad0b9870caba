//! JWS in compact form (RFC 7515, 3.1): sealing and opening.
//!
//! Owns the form and its header. Decision: assembled by hand, since no library sets `x5c` and keeps our payload byte for byte;
//! and the algorithm is a property of the key: the header only ever agrees with it or is refused, so that
//! there is no `alg` to confuse (RFC 8725, 3.1).

use super::{SealError, Typ};
use crate::ground::base64;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::{KeySet, RingKey};
use crate::key::{Key, KeyError, base64url};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest token that is looked at, in bytes: one signed with ML-DSA-87 has about 7 KiB.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The JWS format with its key and the header, which is the same for every token.
#[derive(Debug)]
pub struct Jws {
    key: Arc<Key>,
    /// The header of each kind in base64url, and the dot after it.
    headers: [String; Typ::ALL.len()],
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<&'a [String]>,
}

impl Jws {
    /// `alg`, `typ`, the key's `kid` where it has one, `x5c` where it has a chain.
    pub(super) fn new(key: Arc<Key>) -> Self {
        let header = |typ: Typ| {
            let header = Header {
                alg: key.algorithm().name(),
                typ: typ.name(),
                kid: key.id(),
                x5c: key.chain().map(crate::key::Chain::x5c),
            };
            // Strings into memory: serde_json can't fail here.
            base64url(&serde_json::to_vec(&header).unwrap_or_default()) + "."
        };
        let headers = Typ::ALL.map(header);
        Self { key, headers }
    }

    /// The key that signs.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The token of these claims.
    pub(super) fn seal(&self, claims_json: &[u8], typ: Typ) -> Result<String, SealError> {
        let header = &self.headers[typ as usize];
        let mut token = Vec::with_capacity(header.len() + claims_json.len() / 3 * 4 + 720);
        token.extend_from_slice(header.as_bytes());
        base64::append(&mut token, claims_json);
        let signature = self.key.sign(&token).map_err(SealError::Sign)?;
        token.push(b'.');
        base64::append(&mut token, &signature);
        // Base64url and dots: always text.
        String::from_utf8(token).map_err(|_| SealError::Sign(KeyError::Crypto { task: "sign" }))
    }
}

/// Why a token's signature doesn't stand. `Display` is for whoever holds the token and the keys; it holds
/// text of the token's header, escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// Longer than [`MAX_TOKEN`].
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// Five parts: a JWE (RFC 7516, 3.1), which nobody but its recipient can read.
    Encrypted,
    /// Not three parts.
    Parts {
        /// How many there are.
        count: usize,
    },
    /// A part is not base64url without padding.
    Base64 {
        /// `header`, `payload` or `signature`.
        part: &'static str,
    },
    /// The header is not a JSON object with a string `alg`; or has a member twice that is read here.
    Header,
    /// `alg` is `none`: no signature at all.
    Unsigned,
    /// A `crit` extension (RFC 7515, 4.1.11): none is understood here.
    Critical,
    /// No key has the token's `kid`.
    UnknownKey {
        /// The token's `kid`, shortened.
        kid: String,
    },
    /// The token has no `kid`, and several keys could be meant.
    NoKeyId,
    /// The key is for another algorithm than the header names.
    AlgorithmMismatch {
        /// What the header names, shortened.
        header: String,
        /// The key's.
        key: Algorithm,
    },
    /// The signature is not this key's over these bytes.
    Signature,
}

#[derive(Deserialize)]
struct UntrustedHeader {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Present,
}

/// Whether a member is there, whatever its value: `null` counts.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Present, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Present(true))
    }
}

/// The payload of a token whose signature stands, and nothing else: not its times, issuer or audience.
///
/// The key is found by `kid`; without one, the set must have a single key.
pub fn verify(token: &str, keys: &KeySet) -> Result<Vec<u8>, VerifyError> {
    if token.len() > MAX_TOKEN {
        return Err(VerifyError::TooLong { bytes: token.len() });
    }
    let (signed, header, payload, signature) = split(token)?;
    let header = decode(header, "header")?;
    if !header.starts_with(b"{") {
        return Err(VerifyError::Header); // serde would take the members from an array, too
    }
    let header: UntrustedHeader = serde_json::from_slice(&header).map_err(|_| VerifyError::Header)?;
    if header.crit.0 {
        return Err(VerifyError::Critical);
    }
    if header.alg.eq_ignore_ascii_case("none") {
        return Err(VerifyError::Unsigned);
    }
    let key = choose(keys, header.kid.as_deref())?;
    if header.alg != key.algorithm().name() {
        return Err(VerifyError::AlgorithmMismatch { header: shortened(&header.alg), key: key.algorithm() });
    }
    let payload = decode(payload, "payload")?;
    let signature = decode(signature, "signature")?;
    if key.verify(signed.as_bytes(), &signature) { Ok(payload) } else { Err(VerifyError::Signature) }
}

/// What is signed, then the three parts.
fn split(token: &str) -> Result<(&str, &str, &str, &str), VerifyError> {
    let count = token.split('.').count();
    match count {
        3 => {}
        5 => return Err(VerifyError::Encrypted),
        count => return Err(VerifyError::Parts { count }),
    }
    let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
        let (header, payload) = signed.split_once('.')?;
        Some((signed, header, payload, signature))
    });
    parts.ok_or(VerifyError::Parts { count })
}

fn choose<'k>(keys: &'k KeySet, kid: Option<&str>) -> Result<&'k RingKey, VerifyError> {
    if let Some(kid) = kid {
        return keys.find(kid).ok_or_else(|| VerifyError::UnknownKey { kid: shortened(kid) });
    }
    let mut all = keys.iter();
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(VerifyError::NoKeyId),
    }
}

fn decode(text: &str, part: &'static str) -> Result<Vec<u8>, VerifyError> {
    base64::read(text).ok_or(VerifyError::Base64 { part })
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::TooLong { bytes } => {
                write!(f, "the token has {bytes} bytes, at most {MAX_TOKEN} are read")
            }
            VerifyError::Encrypted => write!(f, "the token is encrypted (a JWE, five parts)"),
            VerifyError::Parts { count } => write!(f, "not a token: {count} parts between dots instead of 3"),
            VerifyError::Base64 { part } => write!(f, "the token's {part} is not base64url"),
            VerifyError::Header => write!(f, "the token's header is not a JSON object with an `alg`"),
            VerifyError::Unsigned => write!(f, "the token is not signed (alg none)"),
            VerifyError::Critical => write!(f, "the token's header has `crit`, which is not supported"),
            VerifyError::UnknownKey { kid } => write!(f, "no key has the id `{}`", kid.escape_debug()),
            VerifyError::NoKeyId => write!(f, "the token names no key (no kid), and there are several"),
            VerifyError::AlgorithmMismatch { header, key } => {
                write!(f, "the header says {}, but the key is for {key}", header.escape_debug())
            }
            VerifyError::Signature => write!(f, "the signature is wrong"),
        }
    }
}

impl std::error::Error for VerifyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::keyring::{Keyring, State};
    use crate::key::{Chain, PublicKey};
    use hmac::{Hmac, KeyInit, Mac};
    use serde_json::{Value, json};
    use sha2::Sha256;

    fn key(pem: &[u8], algorithm: Option<Algorithm>, id: Option<&str>) -> Key {
        Key::from_pem(&Secret::new(pem.to_vec()), algorithm, id.map(str::to_owned)).unwrap()
    }

    fn hmac(secret: &[u8]) -> Key {
        Key::from_secret(Algorithm::HS256, &Secret::new(secret.to_vec()), None).unwrap()
    }

    fn sealed(key: Key, claims: &str) -> (String, KeySet) {
        let ring = Keyring::single(key);
        let token = Jws::new(Arc::clone(ring.active())).seal(claims.as_bytes(), Typ::Jwt).unwrap();
        (token, ring.verifiers().clone())
    }

    fn set_of(jwk: &Value) -> KeySet {
        let key = PublicKey::from_jwk(jwk).unwrap();
        KeySet::new(vec![RingKey::public_only(key, None, State::Active)]).unwrap()
    }

    fn header_of(token: &str) -> Value {
        serde_json::from_slice(&decode(token.split('.').next().unwrap(), "header").unwrap()).unwrap()
    }

    /// A token of this header with a signature that stands.
    fn forged(key: &Key, header: &str) -> String {
        let input = format!("{}.{}", base64url(header.as_bytes()), base64url(b"{}"));
        let signature = key.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url(&signature))
    }

    const RFC7515_PAYLOAD: &str =
        "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    const RFC7515_PAYLOAD_B64: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                                       cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    /// RFC 7515, A.1.
    #[test]
    fn hs256_is_that_of_rfc_7515() {
        let secret = decode(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
            "key",
        );
        let key = hmac(&secret.unwrap());
        let signed = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{RFC7515_PAYLOAD_B64}");
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(base64url(&key.sign(signed.as_bytes()).unwrap()), signature);
        let ring = Keyring::single(key);
        let payload = verify(&format!("{signed}.{signature}"), ring.verifiers()).unwrap();
        assert_eq!(payload, RFC7515_PAYLOAD.as_bytes());
    }

    /// RFC 7515, A.2.
    #[test]
    fn rs256_is_that_of_rfc_7515() {
        let keys = set_of(&json!({
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4\
                  d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5re\
                  xMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX\
                  FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        }));
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt\
                         _O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArL\
                         IARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7no\
                         OPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ\
                         Ge77Rw";
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{RFC7515_PAYLOAD_B64}.{signature}");
        assert_eq!(verify(&token, &keys).unwrap(), RFC7515_PAYLOAD.as_bytes());
    }

    /// RFC 7515, A.3.
    #[test]
    fn es256_is_that_of_rfc_7515() {
        let keys = set_of(&json!({
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }));
        let signature =
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let token = format!("eyJhbGciOiJFUzI1NiJ9.{RFC7515_PAYLOAD_B64}.{signature}");
        assert_eq!(verify(&token, &keys).unwrap(), RFC7515_PAYLOAD.as_bytes());
    }

    /// RFC 8037, A.1 and A.4: the private key as PKCS#8 is a fixed prefix and `d`.
    #[test]
    fn eddsa_is_that_of_rfc_8037() {
        let d = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "key").unwrap();
        let pkcs8 = [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", &d[..]].concat();
        let base64 = base64::standard(&pkcs8);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
        let key = key(pem.as_bytes(), None, None);
        assert_eq!(key.id(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(base64url(&key.sign(signed.as_bytes()).unwrap()), signature);
        let ring = Keyring::single(key);
        let payload = verify(&format!("{signed}.{signature}"), ring.verifiers()).unwrap();
        assert_eq!(payload, b"Example of Ed25519 signing");
    }

    #[test]
    fn the_payload_is_the_claims_byte_for_byte() {
        let claims = "{ \"b\":1,\"a\":\"\u{fc}\",\"b2\":1.0}";
        for algorithm in Algorithm::ALL {
            let key = if algorithm.name().starts_with(['R', 'P']) {
                key(key_file!("rsa2048.pem"), Some(algorithm), None)
            } else {
                Key::generate(algorithm).unwrap().0
            };
            let (token, keys) = sealed(key, claims);
            assert_eq!(verify(&token, &keys).unwrap(), claims.as_bytes(), "{algorithm}");
            assert_eq!(header_of(&token)["alg"], algorithm.name());
        }
    }

    #[test]
    fn the_header_names_algorithm_type_key_and_chain() {
        let (token, _) = sealed(hmac(b"change-me"), "{}");
        assert_eq!(header_of(&token), json!({ "alg": "HS256", "typ": "JWT" }));
        let (token, _) = sealed(key(key_file!("ed25519.pem"), None, Some("v1")), "{}");
        assert_eq!(header_of(&token), json!({ "alg": "EdDSA", "typ": "JWT", "kid": "v1" }));
        let chain = Chain::from_pem(key_file!("p256-chain.pem")).unwrap();
        let x5c = chain.x5c().to_vec();
        let (token, keys) =
            sealed(key(key_file!("p256.pem"), None, Some("v1")).with_chain(chain).unwrap(), "{}");
        assert_eq!(header_of(&token), json!({ "alg": "ES256", "typ": "JWT", "kid": "v1", "x5c": x5c }));
        assert!(verify(&token, &keys).is_ok());
    }

    /// The sizes that `nginx` has to let through, for a registry token of one scope.
    #[test]
    fn sizes_are_those_that_were_planned_for() {
        let claims = "x".repeat(220);
        for (pem, most) in
            [(key_file!("p256.pem"), 520), (key_file!("rsa2048.pem"), 780), (key_file!("mldsa44.pem"), 3700)]
        {
            let (token, _) = sealed(key(pem, None, None), &claims);
            assert!(token.len() <= most, "{}", token.len());
        }
    }

    #[test]
    fn each_bad_token_is_refused_for_its_own_reason() {
        let (token, keys) = sealed(hmac(b"0123456789abcdef0123456789abcdef"), "{}");
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("{token}") };
        let other = base64url(b"{\"a\":1}");
        let with_header = |json: &str| format!("{}.{payload}.{signature}", base64url(json.as_bytes()));
        let base64 = |part| VerifyError::Base64 { part };
        for (name, token, expected) in [
            ("empty", String::new(), VerifyError::Parts { count: 1 }),
            ("two parts", format!("{header}.{payload}"), VerifyError::Parts { count: 2 }),
            ("four parts", format!("{token}.AA"), VerifyError::Parts { count: 4 }),
            ("JWE", format!("{token}.AA.AA"), VerifyError::Encrypted),
            ("padded header", format!("{header}=.{payload}.{signature}"), base64("header")),
            ("bad payload", format!("{header}.!.{signature}"), base64("payload")),
            ("standard base64", format!("{header}.{payload}.+/+/"), base64("signature")),
            ("line end", format!("{token}\n"), base64("signature")),
            ("no signature", format!("{header}.{payload}."), VerifyError::Signature),
            ("another payload", format!("{header}.{other}.{signature}"), VerifyError::Signature),
            ("header not JSON", with_header("x"), VerifyError::Header),
            ("header an array", with_header("[\"HS256\"]"), VerifyError::Header),
            ("no alg", with_header("{}"), VerifyError::Header),
            ("alg a number", with_header("{\"alg\":1}"), VerifyError::Header),
            ("alg twice", with_header("{\"alg\":\"HS256\",\"alg\":\"none\"}"), VerifyError::Header),
            ("alg none", with_header("{\"alg\":\"none\"}"), VerifyError::Unsigned),
            ("alg NoNe", with_header("{\"alg\":\"NoNe\"}"), VerifyError::Unsigned),
            (
                "alg in small letters",
                with_header("{\"alg\":\"hs256\"}"),
                VerifyError::AlgorithmMismatch { header: "hs256".into(), key: Algorithm::HS256 },
            ),
            (
                "crit",
                with_header("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}"),
                VerifyError::Critical,
            ),
            ("crit null", with_header("{\"alg\":\"HS256\",\"crit\":null}"), VerifyError::Critical),
            (
                "a kid that no key has",
                with_header("{\"alg\":\"HS256\",\"kid\":\"../x\"}"),
                VerifyError::UnknownKey { kid: "../x".into() },
            ),
            ("oversize", "A".repeat(MAX_TOKEN + 1), VerifyError::TooLong { bytes: MAX_TOKEN + 1 }),
        ] {
            assert_eq!(verify(&token, &keys), Err(expected), "{name}");
        }
        assert!(verify(&token, &keys).is_ok());
    }

    #[test]
    fn a_public_key_is_never_taken_for_an_hmac_secret() {
        // The classic: HS256 with the text of the public key as the secret (RFC 8725, 2.1).
        let rsa = Keyring::single(key(key_file!("rsa2048.pem"), None, Some("k")));
        let spki = rsa.active().public().unwrap().spki_der();
        let mismatch = VerifyError::AlgorithmMismatch { header: "HS256".into(), key: Algorithm::RS256 };
        for (alg, expected) in [("HS256", mismatch), ("RS256", VerifyError::Signature)] {
            for secret in [key_file!("rsa2048-pub.pem"), spki] {
                let header = format!("{{\"alg\":\"{alg}\",\"kid\":\"k\"}}");
                let input = format!("{}.{}", base64url(header.as_bytes()), base64url(b"{}"));
                // `Key` refuses a PEM text as a secret; an attacker's program doesn't.
                let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&input);
                let mac = mac.finalize().into_bytes();
                let token = format!("{input}.{}", base64url(&mac));
                assert_eq!(verify(&token, rsa.verifiers()), Err(expected.clone()));
            }
        }
        // One RSA key, another RSA algorithm: the signature stands, and is still refused.
        let token = forged(
            &key(key_file!("rsa2048.pem"), Some(Algorithm::PS256), None),
            "{\"alg\":\"PS256\",\"kid\":\"k\"}",
        );
        let mismatch = VerifyError::AlgorithmMismatch { header: "PS256".into(), key: Algorithm::RS256 };
        assert_eq!(verify(&token, rsa.verifiers()), Err(mismatch));
    }

    #[test]
    fn a_token_that_names_no_key_is_taken_only_where_there_is_one() {
        let ed25519 = || key(key_file!("ed25519.pem"), None, Some("a"));
        let token = forged(&ed25519(), "{\"alg\":\"EdDSA\"}");
        let one = Keyring::single(ed25519());
        assert!(verify(&token, one.verifiers()).is_ok());
        let next = RingKey::own(key(key_file!("p256.pem"), None, Some("b")), State::Next);
        let two = Keyring::new(ed25519(), vec![next]).unwrap();
        assert_eq!(verify(&token, two.verifiers()), Err(VerifyError::NoKeyId));
        let wrong = forged(&ed25519(), "{\"alg\":\"EdDSA\",\"kid\":\"b\"}");
        let mismatch = VerifyError::AlgorithmMismatch { header: "EdDSA".into(), key: Algorithm::ES256 };
        assert_eq!(verify(&wrong, two.verifiers()), Err(mismatch));
    }

    #[test]
    fn a_key_in_the_header_is_never_used() {
        let attacker = Key::generate(Algorithm::ES256).unwrap().0;
        let own = Keyring::single(key(key_file!("p256.pem"), None, Some("k")));
        let jwk = attacker.public().unwrap().jwk(Some("k"));
        let header = json!({ "alg": "ES256", "kid": "k", "jwk": jwk, "jku": "https://example.com" });
        let token = forged(&attacker, &header.to_string());
        assert_eq!(verify(&token, own.verifiers()), Err(VerifyError::Signature));
    }

    #[test]
    fn refusals_escape_what_the_token_says() {
        let error = VerifyError::UnknownKey { kid: "\u{1b}[31m\n".into() };
        assert_eq!(error.to_string(), "no key has the id `\\u{1b}[31m\\n`");
        assert_eq!(shortened(&"x".repeat(1000)).len(), 80);
    }
}
