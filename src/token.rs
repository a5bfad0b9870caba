//! Token formats: from claims, already JSON, to the text of a token, and back.
//!
//! Owns JWS compact form (RFC 7515, 3.1) and its header. Must not know what the claims mean or what time
//! it is. Decision: assembled by hand, since no library sets `x5c` and keeps our payload byte for byte;
//! and the algorithm is a property of the key: the header only ever agrees with it or is refused, so that
//! there is no `alg` to confuse (RFC 8725, 3.1).

use crate::algorithm::Algorithm;
use crate::key::{Key, KeyError, base64url};
use crate::keyring::{KeySet, RingKey};
use jwt_simple::reexports::ct_codecs::{Base64UrlSafeNoPadding, Decoder, Encoder};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest token that is looked at, in bytes: one signed with ML-DSA-87 has about 7 KiB.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A token format. The set is closed: an exhaustive match lists every place that a new one touches.
#[derive(Debug)]
pub enum Sealer {
    /// A JWT as JWS in compact form.
    Jws(Jws),
}

/// The JWS format with its key and the header, which is the same for every token.
#[derive(Debug)]
pub struct Jws {
    key: Arc<Key>,
    /// The header in base64url, and the dot after it.
    header: String,
}

/// A token could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The key did not sign; `source` says why.
    Sign(KeyError),
    /// The claims are so long that their encoded length overflows.
    TooLong,
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

impl Sealer {
    /// Seals as JWS with this key: `alg`, `typ`, its `kid` where it has one, `x5c` where it has a chain.
    pub fn jws(key: Arc<Key>) -> Sealer {
        let header = Header {
            alg: key.algorithm().name(),
            typ: "JWT",
            kid: key.id(),
            x5c: key.chain().map(crate::key::Chain::x5c),
        };
        // Strings into memory: serde_json can't fail here.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let header = base64url(&header) + ".";
        Sealer::Jws(Jws { key, header })
    }

    /// The token of these claims, which become its payload byte for byte.
    pub fn seal(&self, claims_json: &[u8]) -> Result<String, SealError> {
        match self {
            Sealer::Jws(jws) => jws.seal(claims_json),
        }
    }

    /// The key that seals.
    pub fn key(&self) -> &Key {
        match self {
            Sealer::Jws(jws) => &jws.key,
        }
    }
}

impl Jws {
    fn seal(&self, claims_json: &[u8]) -> Result<String, SealError> {
        let mut token = Vec::with_capacity(self.header.len() + claims_json.len() / 3 * 4 + 720);
        token.extend_from_slice(self.header.as_bytes());
        append_base64url(&mut token, claims_json)?;
        let signature = self.key.sign(&token).map_err(SealError::Sign)?;
        token.push(b'.');
        append_base64url(&mut token, &signature)?;
        String::from_utf8(token).map_err(|_| SealError::TooLong) // base64url and dots: always text
    }
}

fn append_base64url(token: &mut Vec<u8>, bytes: &[u8]) -> Result<(), SealError> {
    let start = token.len();
    let length = Base64UrlSafeNoPadding::encoded_len(bytes.len()).map_err(|_| SealError::TooLong)?;
    token.resize(start + length, 0);
    let room = token.get_mut(start..).unwrap_or_default();
    Base64UrlSafeNoPadding::encode(room, bytes).map_err(|_| SealError::TooLong)?;
    Ok(())
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::Sign(_) => write!(f, "cannot sign the token"),
            SealError::TooLong => write!(f, "the claims are too long"),
        }
    }
}

impl std::error::Error for SealError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SealError::Sign(error) => Some(error),
            SealError::TooLong => None,
        }
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
    /// The header is not a JSON object with a string `alg` and no member twice.
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
    crit: Option<serde::de::IgnoredAny>,
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
    let header: UntrustedHeader = serde_json::from_slice(&header).map_err(|_| VerifyError::Header)?;
    if header.crit.is_some() {
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
    match kid {
        Some(kid) => keys.find(kid).ok_or_else(|| VerifyError::UnknownKey { kid: shortened(kid) }),
        None => {
            let mut all = keys.iter();
            match (all.next(), all.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(VerifyError::NoKeyId),
            }
        }
    }
}

fn decode(text: &str, part: &'static str) -> Result<Vec<u8>, VerifyError> {
    Base64UrlSafeNoPadding::decode_to_vec(text, None).map_err(|_| VerifyError::Base64 { part })
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
