//! Fernet (the specification of 2012, version 0x80): sealing and opening.
//!
//! Owns the form: version, seconds, IV, AES-128-CBC with PKCS#7, and HMAC-SHA-256 over all of it, in base64url.
//! Decision: the MAC is checked first and in constant time, and everything that does not open gives the one error,
//! [`OpenError::Closed`]; so that nobody learns anything of a padding.

use super::{OpenError, SealError};
use crate::ground::base64;
use crate::ground::time::{Ttl, UnixTime};
use crate::key::KeyError;
use crate::key::fernet::{FernetKey, FernetKeys};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;
use zeroize::Zeroizing;

const VERSION: u8 = 0x80;
const IV_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// Version and seconds.
const HEAD_BYTES: usize = 9;
/// How far ahead the clock of whoever made a token may be, in seconds.
const SKEW: i64 = 60;

/// How every token begins: the version, and seconds before the year 4147.
const BEGIN: &str = "gAAAA";

/// The Fernet format with its keys.
#[derive(Debug)]
pub struct Fernet {
    keys: Arc<FernetKeys>,
}

impl Fernet {
    pub(super) fn new(keys: Arc<FernetKeys>) -> Self {
        Self { keys }
    }

    /// The token of these claims.
    pub(super) fn seal(&self, claims_json: &[u8], now: UnixTime) -> Result<String, SealError> {
        let failed = || SealError::Encrypt(KeyError::Crypto { task: "encrypt" });
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut iv).map_err(|_| failed())?;
        self.keys.primary().and_then(|key| seal(key, claims_json, now, iv)).ok_or_else(failed)
    }
}

fn seal(key: &FernetKey, content: &[u8], now: UnixTime, iv: [u8; IV_BYTES]) -> Option<String> {
    let mut token = vec![VERSION];
    token.extend_from_slice(&u64::try_from(now.0).ok()?.to_be_bytes());
    token.extend_from_slice(&iv);
    token.extend_from_slice(&cbc::encrypt(key.encryption(), &iv, content)?);
    let mac = mac(key, &token)?.finalize().into_bytes();
    token.extend_from_slice(&mac);
    Some(base64::padded(&token))
}

fn mac(key: &FernetKey, text: &[u8]) -> Option<Hmac<Sha256>> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key.signing()).ok().map(|mac| mac.chain_update(text))
}

/// Whether a text can be such a token.
pub fn is_one(text: &str) -> bool {
    text.starts_with(BEGIN) && !text.contains('.')
}

/// When a token says that it was made; nothing of that is checked.
pub fn made_at(token: &str) -> Option<UnixTime> {
    seconds(&base64::read_padded(token)?)
}

/// Beyond the end of every clock, the end of it.
fn seconds(bytes: &[u8]) -> Option<UnixTime> {
    let (head, _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let (version, seconds) = head.split_first()?;
    let seconds = u64::from_be_bytes(seconds.try_into().ok()?);
    (*version == VERSION).then(|| UnixTime(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

/// What a token holds, where any of the keys made it no longer ago than `ttl`.
pub fn open(
    token: &str,
    keys: &FernetKeys,
    ttl: Ttl,
    now: UnixTime,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    opened(token, keys, ttl, now).ok_or(OpenError::Closed)
}

fn opened(token: &str, keys: &FernetKeys, ttl: Ttl, now: UnixTime) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = base64::read_padded(token)?;
    let (signed, tag) = bytes.split_last_chunk::<MAC_BYTES>()?;
    // All of them are tried, so that the time does not tell which one it is.
    let mut found = None;
    for key in keys.iter() {
        if mac(key, signed)?.verify_slice(tag).is_ok() {
            found = Some(key);
        }
    }
    let made = seconds(signed)?;
    if made.0 > now.0.saturating_add(SKEW) || made.plus(ttl).0 < now.0 {
        return None;
    }
    let (iv, ciphertext) = signed.get(HEAD_BYTES..)?.split_first_chunk::<IV_BYTES>()?;
    cbc::decrypt(found?.encryption(), iv, ciphertext)
}

/// AES-128-CBC with PKCS#7.
#[cfg(feature = "fernet")]
mod cbc {
    use ::cbc::cipher::block_padding::Pkcs7;
    use ::cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
    use aes::Aes128;
    use zeroize::Zeroizing;

    pub(super) fn encrypt(key: &[u8], iv: &[u8; 16], content: &[u8]) -> Option<Vec<u8>> {
        let cipher = ::cbc::Encryptor::<Aes128>::new_from_slices(key, iv).ok()?;
        Some(cipher.encrypt_padded_vec::<Pkcs7>(content))
    }

    pub(super) fn decrypt(key: &[u8], iv: &[u8; 16], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = ::cbc::Decryptor::<Aes128>::new_from_slices(key, iv).ok()?;
        cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).ok().map(Zeroizing::new)
    }
}

/// What a build without the feature has of it.
#[cfg(not(feature = "fernet"))]
mod cbc {
    use zeroize::Zeroizing;

    pub(super) fn encrypt(_: &[u8], _: &[u8; 16], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn decrypt(_: &[u8], _: &[u8; 16], _: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

#[cfg(feature = "fernet")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;

    /// The key of the specification's vectors.
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    /// 1985-10-26T01:20:00-07:00, the time of the specification's vectors.
    const MADE: UnixTime = UnixTime(499_162_800);
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    fn keys(texts: &[&str]) -> FernetKeys {
        let read = |text: &&str| FernetKey::read(&Secret::new(text.as_bytes().to_vec())).unwrap();
        FernetKeys::new(texts.iter().map(read).collect()).unwrap()
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime(MADE.0 + seconds)
    }

    fn minute() -> Ttl {
        Ttl::new(60).unwrap()
    }

    /// generate.json and verify.json of the specification.
    #[test]
    fn the_token_of_the_specification_is_made_and_opens() {
        let iv = std::array::from_fn(|at| u8::try_from(at).unwrap());
        assert_eq!(seal(keys(&[KEY]).primary().unwrap(), b"hello", MADE, iv).as_deref(), Some(TOKEN));
        assert_eq!(open(TOKEN, &keys(&[KEY]), minute(), at(1)).unwrap().as_slice(), b"hello");
        assert_eq!(
            open(TOKEN.trim_end_matches('='), &keys(&[KEY]), minute(), at(1)).unwrap().as_slice(),
            b"hello"
        );
        assert_eq!(made_at(TOKEN), Some(MADE));
    }

    /// invalid.json of the specification, in its order and with its names, and what it leaves out.
    #[test]
    fn whatever_is_wrong_gives_one_error() {
        let far = at(-600);
        for (name, token, now) in [
            (
                "incorrect mac",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
                at(1),
            ),
            ("too short", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==", at(1)),
            (
                "invalid base64",
                "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
                at(1),
            ),
            (
                "payload size not multiple of block size",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
                at(1),
            ),
            (
                "payload padding error",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
                at(1),
            ),
            (
                "far-future TS (unacceptable clock skew)",
                "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
                at(1),
            ),
            (
                "expired TTL",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
                at(62),
            ),
            (
                "incorrect IV (causes padding error)",
                "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
                at(1),
            ),
            ("standard base64", &TOKEN.replace(['_', '-'], "+"), at(1)),
            ("half of the padding", &TOKEN[..TOKEN.len() - 1], at(1)),
            ("a line end", &format!("{TOKEN}\n"), at(1)),
            ("made in the future", TOKEN, far),
            ("nothing", "", at(1)),
        ] {
            assert_eq!(open(token, &keys(&[KEY]), minute(), now).err(), Some(OpenError::Closed), "{name}");
        }
        let other = FernetKey::generate().unwrap().text();
        let other = std::str::from_utf8(other.expose()).unwrap();
        assert_eq!(open(TOKEN, &keys(&[other]), minute(), at(1)).err(), Some(OpenError::Closed));
        for at_byte in 0..TOKEN.len() {
            let mut changed = TOKEN.as_bytes().to_vec();
            changed[at_byte] = if changed[at_byte] == b'B' { b'C' } else { b'B' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                open(&changed, &keys(&[KEY]), minute(), at(1)).err(),
                Some(OpenError::Closed),
                "{at_byte}"
            );
        }
    }

    #[test]
    fn any_key_opens_and_the_first_one_seals() {
        let other = FernetKey::generate().unwrap().text();
        let other = std::str::from_utf8(other.expose()).unwrap();
        assert!(open(TOKEN, &keys(&[other, KEY]), minute(), at(1)).is_ok());
        let fernet = Fernet::new(Arc::new(keys(&[KEY, other])));
        let token = fernet.seal(b"{}", MADE).unwrap();
        assert!(is_one(&token) && token.ends_with('='));
        assert_eq!(open(&token, &keys(&[KEY]), minute(), MADE).unwrap().as_slice(), b"{}");
        assert!(open(&token, &keys(&[other]), minute(), MADE).is_err());
        assert_ne!(fernet.seal(b"{}", MADE).unwrap(), token, "the IV is new for each");
    }

    #[test]
    fn times_are_bounded_on_both_sides_and_never_wrap() {
        let keys = keys(&[KEY]);
        for (made, now, ttl, opens) in [
            (0, -60, 60, true),
            (0, -61, 60, false),
            (0, 60, 60, true),
            (0, 61, 60, false),
            (0, i64::MAX - MADE.0, 60, false),
            (i64::MAX - MADE.0, 0, 60, false),
            (i64::MAX - MADE.0, i64::MAX - MADE.0, 60, true),
        ] {
            let token = seal(keys.primary().unwrap(), b"{}", at(made), [0; IV_BYTES]).unwrap();
            assert_eq!(open(&token, &keys, Ttl::new(ttl).unwrap(), at(now)).is_ok(), opens, "{made} {now}");
        }
        assert!(seal(keys.primary().unwrap(), b"", UnixTime(-1), [0; IV_BYTES]).is_none());
        assert_eq!(seconds(&[0xff; 9]), None);
        assert_eq!(seconds(&[0x80, 255, 255, 255, 255, 255, 255, 255, 255]), Some(UnixTime(i64::MAX)));
    }
}
