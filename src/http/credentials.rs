//! The `Authorization` field: a user's name and password (Basic, RFC 7617), or why it is none.
//!
//! Owns the reading of untrusted credentials. Must not know whether they are right. Decision: whatever is
//! wrong with them is one refusal, 401 with a challenge, since the field is a claim to be somebody; it never
//! falls through to being nobody.

use super::refusal::Refusal;
use super::route::decode;
use crate::ground::base64;
use crate::ground::name::MAX_NAME_BYTES;
use crate::login::password::Password;
use std::fmt;
use zeroize::Zeroizing;

/// Who somebody claims to be, and their proof. Not shown in `Debug`.
pub struct Credentials {
    /// The name, at most [`MAX_NAME_BYTES`], without a colon or control characters.
    pub user: String,
    /// The proof.
    pub password: Password,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// The longest Basic credentials: a name, a colon and a password, in base64; and some room, so that a
/// password that is too long is called that.
const MAX_BASIC_BYTES: usize = 1024;

const MALFORMED: Refusal = Refusal::Credentials("the Basic credentials are malformed");

impl Credentials {
    /// Takes a name and a password as they were sent.
    pub fn new(user: &str, password: Zeroizing<String>) -> Result<Self, Refusal> {
        if user.is_empty() {
            return Err(Refusal::Credentials("the user name is missing"));
        }
        if user.len() > MAX_NAME_BYTES || user.contains(':') || user.chars().any(char::is_control) {
            return Err(Refusal::Credentials(
                "the user name is not valid: at most 256 bytes, no colon, no control characters",
            ));
        }
        let password = Password::new(password).map_err(|error| Refusal::Credentials(error.text()))?;
        Ok(Self { user: user.to_owned(), password })
    }

    /// Reads the value of an `Authorization` field.
    pub fn from_authorization(value: &str) -> Result<Self, Refusal> {
        Self::read(value, |part| Ok(Zeroizing::new(part.to_owned())))
    }

    /// The same of an OAuth 2.0 client, which encodes both parts as in a form before (RFC 6749, 2.3.1).
    pub fn of_client(value: &str) -> Result<Self, Refusal> {
        Self::read(value, |part| {
            decode(part).map(|text| Zeroizing::new(text.into_owned())).map_err(|_| MALFORMED)
        })
    }

    fn read(
        value: &str,
        decode: impl Fn(&str) -> Result<Zeroizing<String>, Refusal>,
    ) -> Result<Self, Refusal> {
        const SCHEME: Refusal = Refusal::Credentials("expected Authorization: Basic");
        let (scheme, encoded) = value.split_once(' ').ok_or(SCHEME)?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Err(SCHEME);
        }
        let encoded = encoded.trim_matches(' ');
        if encoded.len() > MAX_BASIC_BYTES {
            return Err(MALFORMED);
        }
        let decoded = Zeroizing::new(base64::read_standard(encoded).ok_or(MALFORMED)?);
        let text = std::str::from_utf8(&decoded).map_err(|_| MALFORMED)?;
        let (user, password) = text.split_once(':').ok_or(MALFORMED)?;
        Self::new(&decode(user)?, decode(password)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &[u8]) -> String {
        format!("Basic {}", base64::standard(text))
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        for (value, user, password) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned(), "Aladdin", "open sesame"), // RFC 7617, 2
            ("Basic dGVzdDoxMjPCow==".to_owned(), "test", "123£"),                       // RFC 7617, 2.1
            (basic(b"a:b:c").replace("Basic", "bASIC "), "a", "b:c"),
        ] {
            let credentials = Credentials::from_authorization(&value).unwrap();
            assert_eq!((&*credentials.user, credentials.password.expose()), (user, password.as_bytes()));
            assert_eq!(format!("{credentials:?}"), "Credentials(redacted)");
        }
    }

    #[test]
    fn a_client_s_name_and_secret_are_encoded_like_a_form() {
        for (text, name, secret) in [
            ("gateway:secret", "gateway", "secret"),
            ("a%2Fb+c:s%2Bt%25%C3%A9+u:v", "a/b c", "s+t%\u{e9} u:v"),
            ("a:b=/", "a", "b=/"),
        ] {
            let credentials = Credentials::of_client(&basic(text.as_bytes())).unwrap();
            assert_eq!((&*credentials.user, credentials.password.expose()), (name, secret.as_bytes()));
        }
        for text in ["a:%", "a:%zz", "a:%ff", "%3A:x", "a:%0a", "a%00:x"] {
            let read = Credentials::of_client(&basic(text.as_bytes()));
            assert!(matches!(read, Err(Refusal::Credentials(_))), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_one_refusal() {
        for (value, part) in [
            (String::new(), "expected Authorization: Basic"),
            ("Basic".into(), "expected"),
            ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x".into(), "expected"),
            ("Digest username=\"a\"".into(), "expected"),
            ("Basic ".into(), "malformed"),
            ("Basic !!!!".into(), "malformed"),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ".into(), "malformed"), // no padding
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== x".into(), "malformed"),
            (basic(b"no colon"), "malformed"),
            (basic(b"a:\xff"), "malformed"),
            (basic(b":secret"), "name is missing"),
            (basic(b"a\n:secret"), "no control characters"),
            (basic(b"a:"), "the password is empty"),
            (basic(b"a:b\0"), "a password holds no control characters"),
            (basic(format!("a:{}", "x".repeat(73)).as_bytes()), "at most 72 bytes"),
            (basic(format!("{}:x", "a".repeat(257)).as_bytes()), "at most 256 bytes"),
            (basic(&[b'a'; 800]), "malformed"),
        ] {
            match Credentials::from_authorization(&value) {
                Err(Refusal::Credentials(text)) => assert!(text.contains(part), "{value}: {text}"),
                other => panic!("{value}: {other:?}"),
            }
        }
    }
}
