//! A token taken apart, without a look at its signature.
//!
//! Owns the exact reason why a text is no token. Must not know keys or what claims mean. Decision: a type
//! of its own that nothing takes for trusted: only `inspect`, and `verify` beside a real check of the
//! signature, look at it.

use crate::claims::read_object;
use crate::ground::base64;
use crate::ground::diagnostic::{Diagnostic, printable, shortened};
use serde_json::{Map, Value};
use std::fmt;

/// The longest text that is looked at, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The parts of a token in JWS compact form (RFC 7515, 3.1): what it says of itself.
#[derive(Debug, Clone)]
pub struct Unverified {
    /// The header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
    /// The length of the whole, in bytes.
    pub bytes: usize,
    /// `header` or `payload`, where a name stands twice in it: readers differ on which of the two counts.
    pub twice: Option<(&'static str, String)>,
}

/// Why a text is no signed token. `Display` holds text of the token, made printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing is there.
    Empty,
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// Other bytes than printable ASCII: the place, from 0.
    NotText(usize),
    /// A PEM text.
    Pem,
    /// The JSON of an answer, or the JSON form of a JWS.
    Json,
    /// No dots, and Fernet's version byte.
    Fernet,
    /// Five parts: a JWE, and what its header says.
    Encrypted(String),
    /// Not three parts.
    Parts(usize),
    /// A part is not base64url: which one, and what is wrong with it.
    Base64(&'static str, String),
    /// A part is not JSON: which one, and what is wrong with it.
    NotJson(&'static str, String),
    /// A part is JSON, but no object.
    NotObject(&'static str),
}

impl Unverified {
    /// Takes a token apart.
    pub fn parse(token: &str) -> Result<Unverified, Malformed> {
        let parts = Parts::split(token, base64::read)?;
        let mut twice = None;
        let header = object(&parts.header, "header", &mut twice)?;
        let claims = object(&parts.payload, "payload", &mut twice)?;
        Ok(Unverified { header, claims, signature: parts.signature, bytes: token.len(), twice })
    }

    /// Claims that no header and no signature stand beside: what was in an encrypted token.
    pub fn of_claims(payload: &[u8]) -> Result<Unverified, Malformed> {
        let mut twice = None;
        let claims = object(payload, "payload", &mut twice)?;
        Ok(Unverified { header: Map::new(), claims, signature: Vec::new(), bytes: payload.len(), twice })
    }

    /// A member of the header that is a string.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }
}

/// The decoded bytes of a token's parts, whatever they hold.
pub(crate) struct Parts {
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Parts {
    /// Takes a token apart with this reader of base64url.
    pub(crate) fn split(token: &str, decode: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Parts, Malformed> {
        check_text(token)?;
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => Malformed::Encrypted(jwe_summary(parts.first().copied().unwrap_or_default())),
                1 if token.starts_with("gAAAA") => Malformed::Fernet,
                count => Malformed::Parts(count),
            });
        };
        let decode = |text, part| decode(text).ok_or_else(|| Malformed::Base64(part, base64_problem(text)));
        Ok(Parts {
            header: decode(header, "header")?,
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }
}

/// What can be said before the dots are counted.
pub(super) fn check_text(token: &str) -> Result<(), Malformed> {
    if token.is_empty() {
        return Err(Malformed::Empty);
    }
    if token.len() > MAX_BYTES {
        return Err(Malformed::TooLong);
    }
    if token.starts_with("-----BEGIN ") {
        return Err(Malformed::Pem);
    }
    if token.starts_with('{') {
        return Err(Malformed::Json);
    }
    match token.bytes().position(|byte| !byte.is_ascii_graphic()) {
        Some(at) => Err(Malformed::NotText(at)),
        None => Ok(()),
    }
}

/// What is wrong with a text that is not base64url.
pub(super) fn base64_problem(text: &str) -> String {
    let digit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match text.char_indices().find(|(_, c)| !digit(*c)) {
        Some((at, '=')) => {
            format!("padding (`=`) at character {}, and base64url in a token has none", at + 1)
        }
        Some((at, c @ ('+' | '/'))) => {
            format!("`{c}` at character {}: that is standard base64, not base64url", at + 1)
        }
        Some((at, c)) => format!("`{}` at character {}", printable(&c.to_string()), at + 1),
        None if text.len() % 4 == 1 => {
            format!("{} characters, a length that base64url never has: cut short?", text.len())
        }
        None => "its last character has extra bits: cut short?".to_owned(),
    }
}

pub(super) fn object(
    bytes: &[u8],
    part: &'static str,
    twice: &mut Option<(&'static str, String)>,
) -> Result<Map<String, Value>, Malformed> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let problem = match std::str::from_utf8(bytes) {
            Ok(_) => printable(&error.to_string()),
            Err(_) => "it is not even UTF-8".to_owned(),
        };
        Malformed::NotJson(part, problem)
    })?;
    let Value::Object(object) = value else { return Err(Malformed::NotObject(part)) };
    if let Err(problem) = read_object(bytes) {
        twice.get_or_insert((part, printable(&problem.to_string())));
    }
    Ok(object)
}

/// `alg` and `enc` of a JWE's header, where they can be read.
fn jwe_summary(header: &str) -> String {
    let header = base64::read(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    let named = |name: &str| {
        let text = header.get(name)?.as_str()?;
        Some(format!("{name} {}", shortened(text, 40)))
    };
    [named("alg"), named("enc")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Malformed {
    /// As a finding. A registry's own limit on length is not known.
    pub fn finding(&self) -> Diagnostic {
        let what = self.to_string();
        let finding = match self {
            Malformed::TooLong => Diagnostic::unknown("malformed", what),
            _ => Diagnostic::error("malformed", what),
        };
        finding.hint(self.hint().unwrap_or_default())
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Malformed::Empty => Some("pipe the token in: keypebble issue ... | keypebble inspect -"),
            Malformed::NotText(_) => {
                Some("give the token alone: no `Bearer `, no quotes, no line breaks inside")
            }
            Malformed::Pem => Some("this is a key or a certificate; a token is three parts between dots"),
            Malformed::Json => Some("take the token out of the answer: jq -r .token | keypebble inspect -"),
            Malformed::Parts(_) => Some("a token is header.payload.signature, without blanks: cut short?"),
            Malformed::Base64(..) => Some("copy the token again, all of it and nothing else"),
            _ => None,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Empty => f.write_str("there is no token: the input is empty"),
            Malformed::TooLong => write!(f, "the input is longer than {MAX_BYTES} bytes, and no token is"),
            Malformed::NotText(at) => {
                write!(
                    f,
                    "not a token: a blank, a line break or another unexpected byte at character {}",
                    at + 1
                )
            }
            Malformed::Pem => f.write_str("not a token: a PEM text"),
            Malformed::Json => f.write_str("not a token: JSON"),
            Malformed::Fernet => {
                f.write_str("this looks like a Fernet token: it is encrypted, and only its key can read it")
            }
            Malformed::Encrypted(how) if how.is_empty() => {
                f.write_str("encrypted (a JWE: five parts), so only its recipient can read it")
            }
            Malformed::Encrypted(how) => {
                write!(f, "encrypted (a JWE: five parts; {how}), so only its recipient can read it")
            }
            Malformed::Parts(count) => write!(f, "not a token: {count} part(s) between dots, not three"),
            Malformed::Base64(part, problem) => write!(f, "the {part} is not base64url: {problem}"),
            Malformed::NotJson(part, problem) => write!(f, "the {part} is not JSON: {problem}"),
            Malformed::NotObject(part) => write!(f, "the {part} is JSON, but not an object"),
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::base64url;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", base64url(header.as_bytes()), base64url(payload.as_bytes()))
    }

    #[test]
    fn the_parts_are_as_they_stand() {
        let text = token("{\"alg\":\"ES256\"}", "{\"sub\":\"\\u001b\",\"exp\":1.5}");
        let read = Unverified::parse(&text).unwrap();
        assert_eq!(read.header_text("alg"), Some("ES256"));
        assert_eq!(read.claims["sub"], "\u{1b}");
        assert_eq!((read.signature, read.bytes), (vec![0, 0, 0], text.len()));
        assert!(read.twice.is_none());
        let twice = Unverified::parse(&token("{}", "{\"a\":1,\"a\":2}")).unwrap();
        assert_eq!(twice.twice.unwrap().0, "payload");
    }

    #[test]
    fn each_text_that_is_no_token_has_its_own_reason() {
        let good = token("{}", "{}");
        let long = "A".repeat(MAX_BYTES + 1);
        let jwe = format!("{}.a.b.c.d", base64url(b"{\"alg\":\"dir\",\"enc\":\"A256GCM\\u001b\"}"));
        for (text, part) in [
            ("", "the input is empty"),
            (long.as_str(), "longer than 65536 bytes"),
            ("Bearer eyJ", "another unexpected byte at character 7"),
            ("a\u{1b}b.c.d", "unexpected byte at character 2"),
            ("a\u{fc}b.c.d", "unexpected byte at character 2"),
            ("-----BEGIN PUBLIC KEY-----", "a PEM text"),
            ("{\"token\":\"x\"}", "not a token: JSON"),
            ("gAAAAABcd", "Fernet"),
            ("abc", "1 part(s)"),
            ("a.b", "2 part(s)"),
            ("a.b.c.d", "4 part(s)"),
            ("a.b.c.d.e", "a JWE: five parts), so"),
            (jwe.as_str(), "five parts; alg dir, enc A256GCM\\u001b)"),
            ("e30=.e30.AAAA", "the header is not base64url: padding (`=`) at character 4"),
            ("e30.e+0.AAAA", "the payload is not base64url: `+` at character 2: that is standard base64"),
            ("e30.e30.A!AA", "the signature is not base64url: `!` at character 2"),
            ("e30.e30.AAAAA", "5 characters, a length that base64url never has"),
            ("e30.e30.AB", "extra bits"),
            ("AAAA.e30.AAAA", "the header is not JSON: "),
            ("e30._w.AAAA", "the payload is not JSON: it is not even UTF-8"),
            ("e30.W10.AAAA", "the payload is JSON, but not an object"),
        ] {
            let error = Unverified::parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\u{1b}'), "{error}");
        }
        assert!(Unverified::parse(&good).is_ok());
    }
}
