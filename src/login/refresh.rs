//! Refresh tokens: what a client keeps instead of a password.
//!
//! Owns their form, their key and when they die. Must not know requests or policies. Decision: such a token
//! is no JWT and no part of one. It has one dot, not two, and its signature is over a text with a NUL in it,
//! which no JWS signing input has (RFC 7515, 5.1: base64url and a dot). So no program that checks this
//! issuer's JWTs, however carelessly, takes a refresh token for one; nor is a JWT ever taken here. That is
//! why the ring's own keys can sign it, and nothing more needs to be configured for it to survive restarts
//! and rotations (as long as the old key stays in the ring); `refresh_secret_path` gives it a key of its own.
//!
//! The user's line of the users file is signed with it but not in it: when the line changes or goes, the
//! signature stands no more, and nothing of the line can be learned from the token.

use crate::ground::secret::Secret;
use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::{Issuer, Token};
use crate::key::keyring::RingKey;
use crate::key::{KeyError, base64url};
use crate::login::password::{FINGERPRINT, Hash};
use crate::login::users::Users;
use hmac_sha256::HMAC;
use jwt_simple::reexports::ct_codecs::{Base64UrlSafeNoPadding, Decoder};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a refresh token begins: a name to search leaked text for.
const PREFIX: &str = "kpr1_";

/// What is signed begins with this: its type, apart from everything else that the keys sign.
const LABEL: &[u8] = b"keypebble refresh token v1\0";

/// `aud` of every refresh token.
const AUDIENCE: &str = "keypebble-refresh";

/// The longest refresh token that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The shortest secret of `refresh_secret_path`, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// Makes and checks refresh tokens.
#[derive(Debug)]
pub struct Refresh {
    key: RefreshKey,
    ttl: Ttl,
}

/// What signs them.
#[derive(Debug)]
pub enum RefreshKey {
    /// The issuer's active key; its ring verifies.
    Ring,
    /// A secret of their own, from `refresh_secret_path`.
    Own(Secret),
}

/// Whose a refresh token is, and for which registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user.
    pub user: String,
    /// The one service that it gives tokens for.
    pub service: String,
}

/// Why a refresh token is refused: for the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshError {
    /// Not the form of a refresh token.
    Form,
    /// Another issuer's, or for another use.
    Elsewhere,
    /// It has lived its time.
    Expired,
    /// Its user is not in the users file.
    UserGone,
    /// The signature does not stand: forged, the key is gone, or the user's password has changed.
    Signature,
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefreshError::Form => "not a refresh token",
            RefreshError::Elsewhere => "a refresh token of another issuer",
            RefreshError::Expired => "the refresh token has expired",
            RefreshError::UserGone => "the refresh token's user is not in the users file",
            RefreshError::Signature => {
                "the refresh token's signature does not stand: forged, or the signing key or the user's password has changed"
            }
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    service: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
}

impl Refresh {
    /// Tokens that live that long, under that key.
    pub fn new(key: RefreshKey, ttl: Ttl) -> Self {
        Self { key, ttl }
    }

    /// How long they live.
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// A token for a user whose password was just checked against this hash.
    pub fn issue(
        &self,
        issuer: &Issuer,
        holder: &Holder,
        hash: &Hash,
        now: UnixTime,
    ) -> Result<Token, KeyError> {
        let kid = match self.key {
            RefreshKey::Ring => issuer.keyring().active().id().map(str::to_owned),
            RefreshKey::Own(_) => None,
        };
        let payload = Payload {
            iss: issuer.name().to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: holder.user.clone(),
            service: holder.service.clone(),
            iat: now.0,
            exp: now.plus(self.ttl).0,
            kid,
        };
        // Strings and numbers into memory: serde_json can't fail here.
        let payload = serde_json::to_vec(&payload).unwrap_or_default();
        let input = signed(&payload, &hash.fingerprint());
        let signature = match &self.key {
            RefreshKey::Ring => issuer.keyring().active().sign(&input)?,
            RefreshKey::Own(secret) => HMAC::mac(&input, secret.expose()).to_vec(),
        };
        Ok(Token::new(format!("{PREFIX}{}.{}", base64url(&payload), base64url(&signature))))
    }

    /// Whose token this is, if it stands now.
    pub fn verify(
        &self,
        issuer: &Issuer,
        users: &Users,
        token: &str,
        now: UnixTime,
    ) -> Result<Holder, RefreshError> {
        let (payload, signature) = split(token).ok_or(RefreshError::Form)?;
        let claimed: Payload = serde_json::from_slice(&payload).map_err(|_| RefreshError::Form)?;
        if claimed.iss != issuer.name() || claimed.aud != AUDIENCE {
            return Err(RefreshError::Elsewhere);
        }
        // An unknown user's costs the same work, so that the time does not tell who is known.
        let hash = users.hash_of(&claimed.sub);
        let input = signed(&payload, &hash.map_or([0; FINGERPRINT], Hash::fingerprint));
        let stands = match &self.key {
            RefreshKey::Ring => {
                let is_meant = |key: &&RingKey| key.id() == claimed.kid.as_deref();
                issuer
                    .keyring()
                    .verifiers()
                    .iter()
                    .find(is_meant)
                    .is_some_and(|key| key.verify(&input, &signature))
            }
            RefreshKey::Own(secret) => <&[u8; 32]>::try_from(signature.as_slice())
                .is_ok_and(|expected| HMAC::verify(&input, secret.expose(), expected)),
        };
        if hash.is_none() {
            return Err(RefreshError::UserGone);
        }
        if !stands {
            return Err(RefreshError::Signature);
        }
        // A shorter `refresh_ttl_seconds` holds for tokens that are out already, too.
        let end = claimed.exp.min(UnixTime(claimed.iat).plus(self.ttl).0);
        if now.0 >= end {
            return Err(RefreshError::Expired);
        }
        Ok(Holder { user: claimed.sub, service: claimed.service })
    }
}

/// What the signature is over: no two pairs of payload and hash give the same bytes.
fn signed(payload: &[u8], line: &[u8; FINGERPRINT]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes();
    [LABEL, &length, payload, line].concat()
}

fn split(token: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    if token.len() > MAX_BYTES {
        return None;
    }
    let (payload, signature) = token.strip_prefix(PREFIX)?.split_once('.')?;
    let decode = |text: &str| Base64UrlSafeNoPadding::decode_to_vec(text, None).ok();
    Some((decode(payload)?, decode(signature)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ground::document::Document;
    use crate::token;
    use std::path::Path;

    const ALICE: &str = "alice:$2b$04$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OTHER: &str = "alice:$2b$04$BAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const NOW: UnixTime = UnixTime(1_000_000);

    fn issuer(yaml: &str) -> Issuer {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");
        let text = format!("issuer: i\naudience: a\n{yaml}\n");
        Issuer::open(Config::read(&Document::parse(Path::new(path), text).unwrap()).unwrap())
    }

    fn users(text: &str) -> Users {
        Users::parse(Path::new("users"), text.as_bytes()).unwrap()
    }

    fn holder() -> Holder {
        Holder { user: "alice".into(), service: "registry".into() }
    }

    fn refresh(own: Option<&[u8]>) -> Refresh {
        let key = own.map_or(RefreshKey::Ring, |secret| RefreshKey::Own(Secret::new(secret.to_vec())));
        Refresh::new(key, Ttl::new(100).unwrap())
    }

    fn made(refresh: &Refresh, issuer: &Issuer) -> String {
        let users = users(ALICE);
        refresh.issue(issuer, &holder(), users.hash_of("alice").unwrap(), NOW).unwrap().expose().to_owned()
    }

    const KEYS: [&str; 6] = [
        "hs256_secret: change-me",
        "hs256_secret: change-me\nkid: v1",
        "private_key_path: rsa2048.pem",
        "private_key_path: p256.pem",
        "private_key_path: ed25519.pem",
        "private_key_path: mldsa44.pem",
    ];

    #[test]
    fn a_token_lives_its_time_under_every_kind_of_key() {
        for (yaml, own) in KEYS.iter().map(|yaml| (*yaml, None)).chain([(KEYS[0], Some([1; 32].as_slice()))])
        {
            let (issuer, refresh) = (issuer(yaml), refresh(own));
            let token = made(&refresh, &issuer);
            let at = |seconds| refresh.verify(&issuer, &users(ALICE), &token, UnixTime(NOW.0 + seconds));
            assert_eq!(at(0), Ok(holder()), "{yaml}");
            assert_eq!(at(99), Ok(holder()), "{yaml}");
            assert_eq!(at(100), Err(RefreshError::Expired), "{yaml}");
            let shorter = Refresh::new(refresh.key, Ttl::new(10).unwrap());
            let late = shorter.verify(&issuer, &users(ALICE), &token, UnixTime(NOW.0 + 10));
            assert_eq!(late, Err(RefreshError::Expired));
        }
    }

    #[test]
    fn it_dies_with_the_user_s_line_the_key_and_the_issuer_s_name() {
        let one = issuer(KEYS[3]);
        let refresh_token = refresh(None);
        let token = made(&refresh_token, &one);
        let other_name = Issuer::open(
            Config::read(
                &Document::parse(
                    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml")),
                    "issuer: j\naudience: a\nprivate_key_path: p256.pem\n".to_owned(),
                )
                .unwrap(),
            )
            .unwrap(),
        );
        let same_kid = issuer("hs256_secret: x\nkid: k");
        for (refresh, issuer, file, error) in [
            (refresh(None), &one, "", RefreshError::UserGone),
            (refresh(None), &one, OTHER, RefreshError::Signature),
            (refresh(None), &issuer(KEYS[2]), ALICE, RefreshError::Signature),
            (refresh(None), &same_kid, ALICE, RefreshError::Signature),
            (refresh(None), &other_name, ALICE, RefreshError::Elsewhere),
            (refresh(Some(&[1; 32])), &one, ALICE, RefreshError::Signature),
        ] {
            assert_eq!(refresh.verify(issuer, &users(file), &token, NOW), Err(error));
        }
        let own = made(&refresh(Some(&[1; 32])), &one);
        for other in [refresh(None), refresh(Some(&[2; 32]))] {
            assert_eq!(other.verify(&one, &users(ALICE), &own, NOW), Err(RefreshError::Signature));
        }
    }

    #[test]
    fn no_byte_of_it_may_change() {
        let issuer = issuer(KEYS[0]);
        let token = made(&refresh(None), &issuer);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(refresh(None).verify(&issuer, &users(ALICE), &changed, NOW).is_err(), "{changed}");
        }
        for bad in ["", "kpr1_", "kpr1_.", "kpr1_e30.", &format!("{token}."), &"a".repeat(20_000)] {
            assert!(refresh(None).verify(&issuer, &users(ALICE), bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn neither_is_taken_for_the_other() {
        for yaml in KEYS {
            let issuer = issuer(yaml);
            let token = made(&refresh(None), &issuer);
            assert!(token::verify(&token, issuer.keyring().verifiers()).is_err());
            let stripped = token.trim_start_matches(PREFIX);
            let header = base64url(format!("{{\"alg\":\"{}\"}}", issuer.algorithm().name()).as_bytes());
            for dressed in [stripped.to_owned(), format!("{header}.{stripped}")] {
                assert!(token::verify(&dressed, issuer.keyring().verifiers()).is_err(), "{dressed}");
            }
            let jwt = issuer
                .issue(
                    crate::claims::custom(
                        &issuer.frame(NOW, Ttl::DEFAULT, "x"),
                        issuer.filter(),
                        &serde_json::Map::new(),
                    )
                    .unwrap(),
                )
                .unwrap();
            let jwt = jwt.token.expose();
            for dressed in [jwt.to_owned(), format!("{PREFIX}{jwt}")] {
                assert_eq!(
                    refresh(None).verify(&issuer, &users(ALICE), &dressed, NOW),
                    Err(RefreshError::Form)
                );
            }
        }
    }
}
