//! A token that somebody shows: what it says, once it is proven that this issuer made it.
//!
//! Owns which tokens count now, as far as they alone can tell: signature, issuer, times. Must not know the store.
//! Decision: whatever is wrong with a token is one answer, because whoever asks is to be told no more than that.

use super::Issuer;
use crate::claims::read_object;
use crate::ground::base64;
use crate::ground::time::{Ttl, UnixTime};
use crate::token::{self, Inside, Typ};
use serde_json::{Map, Value};

/// The clocks of several nodes differ: a token made by another may begin this many seconds from now.
const LEEWAY_SECONDS: i64 = 60;

/// What a token says that counts now.
#[derive(Debug)]
pub struct Opened {
    /// Its claims.
    pub claims: Map<String, Value>,
    /// The key that signed it, where that has an id.
    pub key_id: Option<String>,
    /// Whether it says that it is an access token (RFC 9068).
    pub is_access_token: bool,
    /// `iat`
    pub issued_at: UnixTime,
    /// `exp`
    pub expires_at: UnixTime,
}

impl Opened {
    /// A claim that is a text; empty where it is not there, or none.
    pub fn text(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whom it is meant to be shown to: `aud`, which may be one or several (RFC 7519, 4.1.3).
    pub fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(one) => one.as_str().into_iter().collect(),
            None => Vec::new(),
        }
    }
}

impl Issuer {
    /// What a token says that this issuer made and that counts now; `None` for any other text. Refresh tokens are
    /// none of these: their form is another, and whether they stand depends on the users file.
    pub fn open(&self, token: &str, now: UnixTime) -> Option<Opened> {
        let (payload, Header { key_id, is_access_token }) = self.payload(token, now)?;
        let claims = read_object(&payload).ok()?;
        let seconds = |name| claims.get(name).and_then(Value::as_i64);
        let (issued_at, expires_at) = (UnixTime(seconds("iat")?), UnixTime(seconds("exp")?));
        let begins = claims.contains_key("nbf").then(|| seconds("nbf").unwrap_or(i64::MAX));
        let counts = claims.get("iss").and_then(Value::as_str) == Some(&self.name)
            && now < expires_at
            && begins.is_none_or(|begins| begins <= now.0.saturating_add(LEEWAY_SECONDS));
        counts.then_some(Opened { claims, key_id, is_access_token, issued_at, expires_at })
    }

    /// The payload of a token in any format, and what its header says: what a signature of ours stands for, or, if this issuer
    /// gives out such tokens, what only who has our secret can have encrypted. What is encrypted to a recipient nobody
    /// here can open.
    fn payload(&self, token: &str, now: UnixTime) -> Option<(Vec<u8>, Header)> {
        let signed = |token: &str| {
            let payload = token::verify(token, self.keyring.verifiers()).ok()?;
            Some((payload, Header::of(token)))
        };
        let open = |opener| token::open(token, opener, Ttl::MAX, now).ok().map(|inside| (opener, inside));
        match signed(token) {
            Some(found) => Some(found),
            None => match self.openers.iter().find_map(open)? {
                (_, Inside::Signed(inner)) => signed(&inner),
                // A recipient of nested tokens has the secret, too, and must not be able to make one.
                (opener, Inside::Claims { payload, authentic, .. }) => (authentic
                    && self.format().relies_on(opener))
                .then(|| (payload.to_vec(), Header::of(token))),
            },
        }
    }
}

/// What the header of a token says whose signature stands.
struct Header {
    key_id: Option<String>,
    is_access_token: bool,
}

impl Header {
    fn of(token: &str) -> Self {
        let first = token.split('.').next().and_then(base64::read);
        let header: Value = first.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let text = |name| header.get(name).and_then(Value::as_str);
        Self {
            key_id: text("kid").map(str::to_owned),
            is_access_token: text("typ") == Some(Typ::AccessToken.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::ClaimFilter;
    use crate::ground::secret::Secret;
    use crate::ground::time::Lifetimes;
    use crate::key::Key;
    use crate::key::algorithm::Algorithm;
    use crate::key::encryption::EncryptionKey;
    use crate::key::keyring::Keyring;
    use crate::token::{Opener, Sealer};
    use serde_json::json;
    use std::sync::Arc;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn issuer(secret: &str) -> Issuer {
        let secret = Secret::new(secret.as_bytes().to_vec());
        let ring =
            Keyring::single(Key::from_secret(Algorithm::HS256, &secret, Some("k".to_owned())).unwrap());
        let lifetimes = Lifetimes { default: Ttl::DEFAULT, max: Ttl::DEFAULT };
        Issuer::new("i".to_owned(), "a".to_owned(), lifetimes, ClaimFilter::default(), ring)
    }

    #[test]
    fn only_a_token_of_this_issuer_that_counts_now_is_opened() {
        let good =
            json!({ "iss": "i", "aud": "a", "iat": 999_990, "nbf": 999_990, "exp": 1_000_001, "jti": "x" });
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        for (claims, opens) in [
            (good.clone(), true),
            (with("exp", json!(1_000_000)), false),
            (with("exp", json!(1_000_001.5)), false),
            (with("exp", json!("1000001")), false),
            (with("exp", Value::Null), false),
            (with("iat", json!(null)), false),
            (with("nbf", json!(1_000_060)), true),
            (with("nbf", json!(1_000_061)), false),
            (with("nbf", json!("0")), false),
            (with("iss", json!("j")), false),
            (with("iss", json!(["i"])), false),
            (with("aud", json!(["b", "c"])), true),
            (json!({ "iat": 1, "exp": 2_000_000 }), false),
        ] {
            let (own, other) = (issuer("0123456789abcdef0123456789abcdef"), issuer("x"));
            let sealed =
                |issuer: &Issuer| issuer.format().seal(claims.to_string().as_bytes(), Typ::Jwt, NOW).unwrap();
            let opened = own.open(&sealed(&own), NOW);
            assert_eq!(opened.is_some(), opens, "{claims}");
            assert!(own.open(&sealed(&other), NOW).is_none(), "another's: {claims}");
            if let Some(opened) = opened {
                assert_eq!((opened.key_id.as_deref(), opened.text("jti")), (Some("k"), "x"));
                assert_eq!(Value::Object(opened.claims), claims);
            }
        }
        for text in ["", "a.b.c", "e30.e30.", "kpr1_e30.x", &"x".repeat(100_000)] {
            assert!(issuer("x").open(text, NOW).is_none(), "{text}");
        }
    }

    #[test]
    fn a_token_of_any_format_is_opened_where_its_key_is_here() {
        let claims = br#"{"iss":"i","iat":999990,"exp":1000001,"jti":"x"}"#;
        let shared = |text: &[u8; 43]| {
            EncryptionKey::shared(&Secret::new(text.to_vec()), None, Some("jwe".to_owned())).unwrap()
        };
        let (own, other) = (shared(&[b'A'; 43]), shared(b"BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        let with = |key: &EncryptionKey, nested: bool| {
            let issuer = issuer("0123456789abcdef0123456789abcdef");
            let signing = Arc::clone(issuer.keyring().active());
            let sealer = if nested { Sealer::nested(signing, key.clone()) } else { Sealer::jwe(key.clone()) };
            issuer.with_format(Some(sealer), Typ::Jwt, key.opener().map(Opener::Jwe).into_iter().collect())
        };
        for (nested, kid) in [(true, "k"), (false, "jwe")] {
            let issuer = with(&own, nested);
            let token = issuer.format().seal(claims, Typ::Jwt, NOW).unwrap();
            let opened = issuer.open(&token, NOW).unwrap();
            assert_eq!((opened.text("jti"), opened.key_id.as_deref()), ("x", Some(kid)));
            assert!(with(&other, nested).open(&token, NOW).is_none());
            // Who has the secret and not the signing key makes no nested token.
            let forged = Sealer::nested(
                Arc::new(Key::from_secret(Algorithm::HS256, &Secret::new(vec![b'x'; 32]), None).unwrap()),
                own.clone(),
            );
            assert!(issuer.open(&forged.seal(claims, Typ::Jwt, NOW).unwrap(), NOW).is_none());
            // Nor claims alone, unless all that such an issuer's tokens prove is that somebody had the secret.
            let claims_alone = Sealer::jwe(own.clone()).seal(claims, Typ::Jwt, NOW).unwrap();
            assert_eq!(issuer.open(&claims_alone, NOW).is_some(), !nested);
        }
        // The section `encryption` may stand there for `issue --format`.
        let openers = vec![Opener::Jwe(own.opener().unwrap())];
        let signing = issuer("0123456789abcdef0123456789abcdef").with_format(None, Typ::Jwt, openers);
        let claims_alone = Sealer::jwe(own.clone()).seal(claims, Typ::Jwt, NOW).unwrap();
        assert!(signing.open(&claims_alone, NOW).is_none());
    }

    #[cfg(feature = "fernet")]
    #[test]
    fn claims_that_nobody_signed_count_in_the_issuer_s_own_format_alone() {
        use crate::key::fernet::{FernetKey, FernetKeys};
        let claims = br#"{"iss":"i","iat":999990,"exp":1000001,"jti":"x"}"#;
        let fernet = Arc::new(FernetKeys::new(vec![FernetKey::generate().unwrap()]).unwrap());
        let secret = EncryptionKey::shared(&Secret::new(vec![b'A'; 43]), None, None).unwrap();
        let sealer = |which| match which {
            0 => None,
            1 => Some(Sealer::jwe(secret.clone())),
            _ => Some(Sealer::fernet(Arc::clone(&fernet))),
        };
        for own in 0..3 {
            let openers = vec![Opener::Jwe(secret.opener().unwrap()), Opener::Fernet(Arc::clone(&fernet))];
            let issuer = issuer("x").with_format(sealer(own), Typ::Jwt, openers);
            for made in 1..3 {
                let token = sealer(made).unwrap().seal(claims, Typ::Jwt, NOW).unwrap();
                assert_eq!(issuer.open(&token, NOW).is_some(), own == made, "{own} {made}");
            }
        }
    }

    #[test]
    fn an_audience_is_one_or_several() {
        let of = |aud: Value| {
            let claims = json!({ "aud": aud }).as_object().unwrap().clone();
            Opened { claims, key_id: None, is_access_token: false, issued_at: NOW, expires_at: NOW }
        };
        assert_eq!(of(json!("a")).audiences(), ["a"]);
        assert_eq!(of(json!(["a", 1, "b"])).audiences(), ["a", "b"]);
        assert_eq!(of(json!(7)).audiences(), [""; 0]);
    }
}
