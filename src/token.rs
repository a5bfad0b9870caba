//! Token formats: from claims, already JSON, to the text of a token, and back.
//!
//! Must not know what the claims mean; the time is an argument, for Fernet has one beside the claims. Decision: the
//! set of formats is closed, so they are an enum and not a trait: an exhaustive match lists every place that a new
//! one touches. Three parts, five parts and none are three ways that never meet: a token that is to be encrypted
//! is never taken for one that is signed.

pub mod fernet;
pub mod jwe;
mod jws;
mod nested;
pub mod refresh;

pub use jws::{MAX_TOKEN, VerifyError, verify};

use crate::ground::time::{Ttl, UnixTime};
use crate::key::algorithm::Algorithm;
use crate::key::encryption::{DecryptionKey, EncryptionKey, Management};
use crate::key::fernet::FernetKeys;
use crate::key::{Key, KeyError};
use fernet::Fernet;
use jwe::Jwe;
use jws::Jws;
use nested::Nested;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The formats, as configurations name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A signed JWT: anybody can read it.
    #[default]
    Jwt,
    /// Claims that are encrypted, and not signed.
    Jwe,
    /// A signed JWT, encrypted.
    Nested,
    /// Fernet: for programs that have nothing else.
    Fernet,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Jwt, Format::Jwe, Format::Nested, Format::Fernet];

    /// `jwt`, `jwe`, `nested` or `fernet`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jwt => "jwt",
            Format::Jwe => "jwe",
            Format::Nested => "nested",
            Format::Fernet => "fernet",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// What kind of token it is: the `typ` of its header, by which kinds exclude each other (RFC 8725, 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Typ {
    /// Any JWT.
    #[default]
    Jwt,
    /// An OAuth 2.0 access token (RFC 9068).
    AccessToken,
}

impl Typ {
    /// Every kind.
    pub const ALL: [Typ; 2] = [Typ::Jwt, Typ::AccessToken];

    /// `JWT` or `at+jwt`.
    pub fn name(self) -> &'static str {
        match self {
            Typ::Jwt => "JWT",
            Typ::AccessToken => "at+jwt",
        }
    }

    /// The kind of this media type (RFC 7515, 4.1.9).
    pub fn named(name: &str) -> Option<Typ> {
        Typ::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(media_type(name)))
    }
}

/// A media type without the `application/` that may be left out (RFC 7515, 4.1.9).
pub(crate) fn media_type(name: &str) -> &str {
    const PREFIX: &str = "application/";
    match name.get(..PREFIX.len()) {
        Some(begin) if begin.eq_ignore_ascii_case(PREFIX) => &name[PREFIX.len()..],
        _ => name,
    }
}

/// What made a token what it is: its signature, or where it has none what encrypted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedBy {
    /// A signature.
    Signature(Algorithm),
    /// A JWE's key.
    Encryption(Management),
    /// A Fernet key.
    Fernet,
}

impl SealedBy {
    /// How many there are.
    pub const COUNT: usize = Algorithm::ALL.len() + Management::ALL.len() + 1;

    /// Every one, each at its [`SealedBy::place`].
    pub fn all() -> impl Iterator<Item = SealedBy> {
        let signatures = Algorithm::ALL.into_iter().map(SealedBy::Signature);
        signatures.chain(Management::ALL.into_iter().map(SealedBy::Encryption)).chain([SealedBy::Fernet])
    }

    /// Where it stands among all.
    pub fn place(self) -> usize {
        match self {
            SealedBy::Signature(algorithm) => algorithm as usize,
            SealedBy::Encryption(management) => Algorithm::ALL.len() + management as usize,
            SealedBy::Fernet => SealedBy::COUNT - 1,
        }
    }

    /// The name, from a closed set.
    pub fn name(self) -> &'static str {
        match self {
            SealedBy::Signature(algorithm) => algorithm.name(),
            SealedBy::Encryption(management) => management.name(),
            SealedBy::Fernet => "Fernet",
        }
    }
}

impl fmt::Display for SealedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A token format with what it seals with.
#[derive(Debug)]
pub enum Sealer {
    /// A JWT as JWS in compact form.
    Jws(Jws),
    /// Claims as JWE in compact form.
    Jwe(Jwe),
    /// A JWS in a JWE.
    Nested(Nested),
    /// Claims as Fernet.
    Fernet(Fernet),
}

impl Sealer {
    /// Seals as JWS with this key: `alg`, `typ`, its `kid` where it has one, `x5c` where it has a chain.
    pub fn jws(key: Arc<Key>) -> Sealer {
        Sealer::Jws(Jws::new(key))
    }

    /// Encrypts claims to this key.
    pub fn jwe(key: EncryptionKey) -> Sealer {
        Sealer::Jwe(Jwe::new(key))
    }

    /// Signs with the one and encrypts to the other.
    pub fn nested(key: Arc<Key>, encryption: EncryptionKey) -> Sealer {
        Sealer::Nested(Nested { jws: Jws::new(key), jwe: Jwe::new(encryption) })
    }

    /// Seals as Fernet with the first of these keys.
    pub fn fernet(keys: Arc<FernetKeys>) -> Sealer {
        Sealer::Fernet(Fernet::new(keys))
    }

    /// The token of these claims, which become its payload byte for byte.
    pub fn seal(&self, claims_json: &[u8], typ: Typ, now: UnixTime) -> Result<String, SealError> {
        match self {
            Sealer::Jws(jws) => jws.seal(claims_json, typ),
            Sealer::Jwe(jwe) => jwe.seal(claims_json, typ, None),
            Sealer::Nested(nested) => nested.seal(claims_json, typ),
            Sealer::Fernet(fernet) => fernet.seal(claims_json, now),
        }
    }

    /// The format, what signs and what encrypts, in words.
    pub fn summary(&self) -> String {
        match self {
            Sealer::Jws(jws) => format!("jwt, signed by {}", jws.key().algorithm()),
            Sealer::Jwe(jwe) => format!("jwe, encrypted by {}", jwe.management().name()),
            Sealer::Nested(Nested { jws, jwe }) => {
                format!(
                    "nested, signed by {}, encrypted by {}",
                    jws.key().algorithm(),
                    jwe.management().name()
                )
            }
            Sealer::Fernet(_) => "fernet".to_owned(),
        }
    }

    /// Whether claims that this opens, and nothing else, prove themselves: whether the tokens made here do no more.
    pub fn relies_on(&self, opener: &Opener) -> bool {
        matches!((self, opener), (Sealer::Jwe(_), Opener::Jwe(_)) | (Sealer::Fernet(_), Opener::Fernet(_)))
    }

    /// What its tokens are sealed by, and the id of that key.
    pub fn sealed_by(&self) -> (SealedBy, Option<&str>) {
        match self {
            Sealer::Jws(jws) | Sealer::Nested(Nested { jws, .. }) => {
                (SealedBy::Signature(jws.key().algorithm()), jws.key().id())
            }
            Sealer::Jwe(jwe) => (SealedBy::Encryption(jwe.management()), jwe.key_id()),
            Sealer::Fernet(_) => (SealedBy::Fernet, None),
        }
    }
}

/// A token could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The key did not sign; `source` says why.
    Sign(KeyError),
    /// The key did not encrypt; `source` says why.
    Encrypt(KeyError),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::Sign(_) => write!(f, "cannot sign the token"),
            SealError::Encrypt(_) => write!(f, "cannot encrypt the token"),
        }
    }
}

impl std::error::Error for SealError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (SealError::Sign(error) | SealError::Encrypt(error)) = self;
        Some(error)
    }
}

/// What opens encrypted tokens.
#[derive(Debug, Clone)]
pub enum Opener {
    /// Those that are JWE.
    Jwe(DecryptionKey),
    /// Those that are Fernet.
    Fernet(Arc<FernetKeys>),
}

/// What was in an encrypted token.
pub enum Inside {
    /// The claims, and whether whoever could make the token has the secret that opened it.
    Claims {
        /// The payload.
        payload: Zeroizing<Vec<u8>>,
        /// False where it was encrypted to a public key, which anybody may have.
        authentic: bool,
        /// `typ` of the header; a Fernet token has none.
        typ: Option<String>,
    },
    /// A signed token, whose signature nobody has looked at.
    Signed(String),
}

/// Opens an encrypted token. `ttl` is the longest life of a Fernet token, whose own time counts beside `exp`.
pub fn open(token: &str, opener: &Opener, ttl: Ttl, now: UnixTime) -> Result<Inside, OpenError> {
    if token.len() > MAX_TOKEN {
        return Err(OpenError::TooLong { bytes: token.len() });
    }
    match opener {
        Opener::Jwe(key) => {
            let (header, content) = jwe::open(token, key)?;
            if header.is_nested() {
                return nested::inside(&content).map(Inside::Signed);
            }
            let typ = header.text("typ").map(str::to_owned);
            Ok(Inside::Claims { payload: content, authentic: header.management().is_shared(), typ })
        }
        Opener::Fernet(keys) => {
            let payload = fernet::open(token, keys, ttl, now)?;
            Ok(Inside::Claims { payload, authentic: true, typ: None })
        }
    }
}

/// Why an encrypted token does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// Longer than [`MAX_TOKEN`].
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// Not five parts.
    Form,
    /// The header is not a JSON object with `alg` and `enc`, or has a name twice.
    Header,
    /// The header asks for what is not done here.
    Refused {
        /// The member: `alg`, `enc`, `zip` or `crit`.
        name: &'static str,
        /// Its value, shortened.
        value: String,
        /// Why it is not done.
        why: &'static str,
    },
    /// Another key made it, or it was changed, or it is too old: nothing says which.
    Closed,
    /// It opens, and what is inside is not what it says.
    Inside,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::TooLong { bytes } => {
                write!(f, "the token has {bytes} bytes, at most {MAX_TOKEN} are read")
            }
            OpenError::Form => write!(f, "not an encrypted token: five parts between dots are expected"),
            OpenError::Header => write!(f, "the token's header is not a JSON object with `alg` and `enc`"),
            OpenError::Refused { name, value, why } => {
                write!(f, "the header's `{name}` is `{}`, which is refused: {why}", value.escape_debug())
            }
            OpenError::Closed => write!(f, "the token does not open with this key"),
            OpenError::Inside => write!(f, "the token opens, but there is no signed token in it"),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;

    #[test]
    fn names_read_back_and_places_are_those_of_the_list() {
        assert!(Format::ALL.into_iter().all(|format| Format::named(format.name()) == Some(format)));
        assert_eq!(SealedBy::all().count(), SealedBy::COUNT);
        assert!(SealedBy::all().enumerate().all(|(place, by)| by.place() == place));
        for (text, typ) in [
            ("jwt", Some(Typ::Jwt)),
            ("application/JWT", Some(Typ::Jwt)),
            ("Application/AT+jwt", Some(Typ::AccessToken)),
            ("dpop+jwt", None),
            ("", None),
        ] {
            assert_eq!(Typ::named(text), typ, "{text}");
        }
    }

    #[test]
    fn a_nested_token_is_one_signed_token_in_one_encrypted_one() {
        let now = UnixTime(1_000);
        let key = || Arc::new(Key::generate(Algorithm::EdDSA).unwrap().0);
        let encryption = EncryptionKey::shared(&Secret::new(b"A".repeat(43)), None, None).unwrap();
        let opener = Opener::Jwe(encryption.opener().unwrap());
        let nested = Sealer::nested(key(), encryption.clone());
        let token = nested.seal(b"{}", Typ::AccessToken, now).unwrap();
        let Inside::Signed(inner) = open(&token, &opener, Ttl::MAX, now).unwrap() else {
            panic!("not nested")
        };
        assert!(inner.starts_with("eyJ") && inner.split('.').count() == 3);
        // Nothing deeper, and nothing else under the name of a token.
        let jwe = Jwe::new(encryption.clone());
        for content in [token.as_bytes(), b"{}", b"\xff.a.b"] {
            let other = jwe.seal(content, Typ::Jwt, Some("JWT")).unwrap();
            assert_eq!(open(&other, &opener, Ttl::MAX, now).err(), Some(OpenError::Inside));
        }
        let claims = Sealer::jwe(encryption).seal(b"{}", Typ::Jwt, now).unwrap();
        let opened = open(&claims, &opener, Ttl::MAX, now).unwrap();
        assert!(matches!(opened, Inside::Claims { authentic: true, typ: Some(typ), .. } if typ == "JWT"));
        let long = "A".repeat(MAX_TOKEN + 1);
        assert!(matches!(open(&long, &opener, Ttl::MAX, now), Err(OpenError::TooLong { .. })));
    }
}
