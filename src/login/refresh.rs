//! Refresh tokens: what a client keeps instead of a password.
//!
//! Owns whose they are and when they die. Must not know requests or policies. The issuer makes them like any
//! other token; their form is `token`'s. Decision: the ring's own keys sign them, so that nothing more needs to
//! be configured for them to survive restarts and rotations (as long as the old key stays in the ring);
//! `refresh_secret_path` gives them a key of their own. The user's line of the users file is signed with a
//! token but not in it: when the line changes or goes, the signature stands no more.

use crate::claims::REFRESH_AUDIENCE;
use crate::ground::secret::Secret;
use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::{Issuance, Issuer, Profile};
use crate::login::password::{FINGERPRINT, Hash};
use crate::login::users::Users;
use crate::token::refresh::Opened;
use serde::Deserialize;
use std::fmt;

/// The shortest secret of `refresh_secret_path`, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// Makes and checks refresh tokens.
#[derive(Debug)]
pub struct Refresh {
    /// From `refresh_secret_path`; without it the issuer's ring signs and verifies.
    secret: Option<Secret>,
    ttl: Ttl,
}

/// Whose a refresh token is, for which registry, and which token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user.
    pub user: String,
    /// The one service that it gives tokens for.
    pub service: String,
    /// The token's `jti`.
    pub id: String,
    /// When it was made.
    pub issued_at: UnixTime,
    /// From when on it counts no more.
    pub expires_at: UnixTime,
    /// The key that signed it, where that has an id.
    pub key_id: Option<String>,
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

/// What a refresh token says; `claims` writes it.
#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    service: String,
    jti: String,
    iat: i64,
    exp: i64,
    #[serde(default)]
    kid: Option<String>,
}

impl Refresh {
    /// Tokens that live that long, under that secret, else under the issuer's keys.
    pub fn new(secret: Option<Secret>, ttl: Ttl) -> Self {
        Self { secret, ttl }
    }

    /// How long they live.
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// A token for a user whose password was just checked against the hash of that fingerprint.
    pub fn issuance<'a>(
        &'a self,
        user: &'a str,
        service: &'a str,
        fingerprint: &'a [u8; FINGERPRINT],
    ) -> Issuance<'a> {
        let profile = Profile::Refresh { bound_to: fingerprint, secret: self.secret.as_ref() };
        Issuance { profile, subject: user, audience: service, ttl: self.ttl }
    }

    /// Whose token this is, if it stands now.
    pub fn verify(
        &self,
        issuer: &Issuer,
        users: &Users,
        token: &str,
        now: UnixTime,
    ) -> Result<Holder, RefreshError> {
        let opened = Opened::of(token).ok_or(RefreshError::Form)?;
        let claimed: Payload = serde_json::from_slice(&opened.payload).map_err(|_| RefreshError::Form)?;
        if claimed.iss != issuer.name() || claimed.aud != REFRESH_AUDIENCE {
            return Err(RefreshError::Elsewhere);
        }
        // An unknown user's costs the same work, so that the time does not tell who is known.
        let hash = users.hash_of(&claimed.sub);
        let bound_to = hash.map_or([0; FINGERPRINT], Hash::fingerprint);
        let mut keys = issuer.keyring().verifiers().iter();
        let stands = if let Some(secret) = &self.secret {
            opened.stands_by_secret(&bound_to, secret)
        } else {
            keys.find(|key| key.id() == claimed.kid.as_deref())
                .is_some_and(|key| opened.stands_by_key(&bound_to, key))
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
        Ok(Holder {
            user: claimed.sub,
            service: claimed.service,
            id: claimed.jti,
            issued_at: UnixTime(claimed.iat),
            expires_at: UnixTime(end),
            key_id: claimed.kid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Allowed;
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
        Config::read(&Document::parse(Path::new(path), text).unwrap()).unwrap().into_issuer()
    }

    fn users(text: &str) -> Users {
        Users::parse(Path::new("users"), text.as_bytes()).unwrap()
    }

    fn holder(issuer: &Issuer, own: bool) -> Holder {
        let key_id = issuer.keyring().active().id().filter(|_| !own).map(str::to_owned);
        Holder {
            user: "alice".into(),
            service: "registry".into(),
            id: "id".into(),
            issued_at: NOW,
            expires_at: UnixTime(NOW.0 + 100),
            key_id,
        }
    }

    fn refresh(own: Option<&[u8]>) -> Refresh {
        Refresh::new(own.map(|secret| Secret::new(secret.to_vec())), Ttl::new(100).unwrap())
    }

    fn made(refresh: &Refresh, issuer: &Issuer) -> String {
        let users = users(ALICE);
        let fingerprint = users.hash_of("alice").unwrap().fingerprint();
        let issuance = refresh.issuance("alice", "registry", &fingerprint);
        issuer.issue(&issuance, NOW, "id".to_owned()).unwrap().token.expose().to_owned()
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
            let holder = holder(&issuer, own.is_some());
            assert_eq!(at(0), Ok(holder.clone()), "{yaml}");
            assert_eq!(at(99), Ok(holder), "{yaml}");
            assert_eq!(at(100), Err(RefreshError::Expired), "{yaml}");
            let shorter = Refresh::new(refresh.secret, Ttl::new(10).unwrap());
            let late = shorter.verify(&issuer, &users(ALICE), &token, UnixTime(NOW.0 + 10));
            assert_eq!(late, Err(RefreshError::Expired));
        }
    }

    #[test]
    fn it_dies_with_the_user_s_line_the_key_and_the_issuer_s_name() {
        let one = issuer(KEYS[3]);
        let refresh_token = refresh(None);
        let token = made(&refresh_token, &one);
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml"));
        let yaml = "issuer: j\naudience: a\nprivate_key_path: p256.pem\n".to_owned();
        let other_name = Config::read(&Document::parse(path, yaml).unwrap()).unwrap().into_issuer();
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
            let stripped = token.trim_start_matches("kpr1_");
            let header = crate::key::base64url(
                format!("{{\"alg\":\"{}\"}}", issuer.keyring().active().algorithm().name()).as_bytes(),
            );
            for dressed in [stripped.to_owned(), format!("{header}.{stripped}")] {
                assert!(token::verify(&dressed, issuer.keyring().verifiers()).is_err(), "{dressed}");
            }
            let profile = Profile::Generic(&Allowed::default());
            let jwt = Issuance { profile, subject: "alice", audience: "a", ttl: Ttl::DEFAULT };
            let jwt = issuer.issue(&jwt, NOW, "x".to_owned()).unwrap();
            let jwt = jwt.token.expose();
            for dressed in [jwt.to_owned(), format!("kpr1_{jwt}")] {
                assert_eq!(
                    refresh(None).verify(&issuer, &users(ALICE), &dressed, NOW),
                    Err(RefreshError::Form)
                );
            }
        }
    }
}
