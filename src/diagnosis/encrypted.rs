//! An encrypted token: what it says in the open, and what is inside where a key is at hand.
//!
//! Must not know files. Decision: what was opened comes back as what it is, claims or a signed token, so that nobody
//! takes one for the other; and of a token that does not open nothing is said but that.

use crate::diagnosis::inspect::{shown, time_text};
use crate::diagnosis::unverified::{Malformed, base64_problem, check_text, object};
use crate::diagnosis::verdict::size;
use crate::ground::base64;
use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::time::{Ttl, UnixTime};
use crate::token::jwe::Header;
use crate::token::{self, Inside, OpenError, Opener, fernet};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// What an encrypted token says of itself.
#[derive(Debug)]
pub enum Outer {
    /// Five parts (RFC 7516, 3.1).
    Jwe {
        /// The header.
        header: Map<String, Value>,
        /// Why nobody opens it here, where that is so.
        refused: Option<OpenError>,
        /// The length of the whole, in bytes.
        bytes: usize,
    },
    /// Fernet.
    Fernet {
        /// When it was made.
        made: Option<UnixTime>,
        /// The length of the whole, in bytes.
        bytes: usize,
    },
}

impl Outer {
    /// Takes an encrypted token apart; `None` for what is none.
    pub fn parse(token: &str) -> Result<Option<Outer>, Malformed> {
        check_text(token)?;
        let bytes = token.len();
        if fernet::is_one(token) {
            return Ok(Some(Outer::Fernet { made: fernet::made_at(token), bytes }));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [first, _, _, _, _] = parts[..] else { return Ok(None) };
        let json = base64::read(first).ok_or_else(|| Malformed::Base64("header", base64_problem(first)))?;
        let header = object(&json, "header", &mut None)?;
        Ok(Some(Outer::Jwe { header, refused: Header::read(first).err(), bytes }))
    }

    /// As text for people.
    pub fn text(&self, now: UnixTime) -> String {
        let mut out = "An encrypted token: only its key shows what is inside.\n\n".to_owned();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(out, "  {name:<7} {value}"); // to a String: cannot fail
        };
        match self {
            Outer::Jwe { header, refused, .. } => {
                line("format", "JWE (RFC 7516)");
                for (name, value) in header {
                    line(&shortened(name, 40), &shown(value));
                }
                if let Some(refused) = refused {
                    line("note", &refused.to_string());
                }
            }
            Outer::Fernet { made, .. } => {
                line("format", "Fernet");
                let made = made.map(|made| time_text("made", &json!(made.0), made.0, now));
                line("made", made.as_deref().unwrap_or("cannot be read: cut short, or not Fernet"));
            }
        }
        let bytes = self.bytes();
        let _ = writeln!(out, "\nsize       {bytes} bytes");
        if let Some(finding) = size(bytes) {
            let _ = writeln!(out, "note       {}", finding.what);
        }
        out
    }

    /// As an object for programs.
    pub fn json(&self) -> Value {
        match self {
            Outer::Jwe { header, refused, bytes } => json!({
                "format": "jwe",
                "header": header,
                "refused": refused.as_ref().map(ToString::to_string),
                "bytes": bytes,
            }),
            Outer::Fernet { made, bytes } => {
                json!({ "format": "fernet", "made": made.map(|made| made.to_string()), "bytes": bytes })
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Outer::Jwe { bytes, .. } | Outer::Fernet { bytes, .. } => *bytes,
        }
    }

    /// What is inside, by the one of the keys that is for this format; or why it does not open.
    pub fn open(&self, token: &str, openers: &[Opener], now: UnixTime) -> Result<Inside, Diagnostic> {
        let fits = |opener: &&Opener| {
            matches!(
                (self, opener),
                (Outer::Jwe { .. }, Opener::Jwe(_)) | (Outer::Fernet { .. }, Opener::Fernet(_))
            )
        };
        let mut closed = None;
        for opener in openers.iter().filter(fits) {
            // No token lives longer, so an older one is none of ours.
            match token::open(token, opener, Ttl::MAX, now) {
                Ok(inside) => return Ok(inside),
                Err(error) => closed = Some(error),
            }
        }
        let refused = match self {
            Outer::Jwe { refused, .. } => refused.clone(),
            Outer::Fernet { .. } => None,
        };
        Err(match refused.or(closed) {
            Some(error) => {
                let finding = Diagnostic::error("decrypt", error.to_string());
                if error == OpenError::Closed {
                    finding.why("it is for another key, or it was changed on its way")
                } else {
                    finding
                }
            }
            None => Diagnostic::error(
                "decrypt",
                "the token is encrypted, and there is no key here that opens it",
            )
            .hint(
                "give --decrypt-key FILE: the shared secret, the recipient's private key, or the Fernet keys",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::encryption::EncryptionKey;
    use crate::token::{Sealer, Typ};

    const NOW: UnixTime = UnixTime(1_700_000_000);

    #[test]
    fn what_stands_in_the_open_is_shown_and_what_is_inside_with_the_key_alone() {
        let key = EncryptionKey::shared(&Secret::new(b"A".repeat(43)), None, Some("k".to_owned())).unwrap();
        let other = EncryptionKey::shared(
            &Secret::new(b"B".repeat(42).into_iter().chain(*b"A").collect()),
            None,
            None,
        );
        let token = Sealer::jwe(key.clone()).seal(b"{\"sub\":\"alice\"}", Typ::Jwt, NOW).unwrap();
        let outer = Outer::parse(&token).unwrap().unwrap();
        let text = outer.text(NOW);
        for part in
            ["JWE (RFC 7516)", "  alg     A256KW", "  enc     A256GCM", "  kid     k", "  typ     JWT"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("alice"));
        assert_eq!(outer.json()["header"]["alg"], "A256KW");
        let opener = |key: &EncryptionKey| vec![Opener::Jwe(key.opener().unwrap())];
        assert!(matches!(outer.open(&token, &opener(&key), NOW), Ok(Inside::Claims { authentic: true, .. })));
        let findings = [outer.open(&token, &opener(&other.unwrap()), NOW), outer.open(&token, &[], NOW)];
        let findings = findings.map(|opened| opened.err().unwrap().what);
        assert_eq!(findings[0], "the token does not open with this key");
        assert!(findings[1].contains("no key here"), "{findings:?}");
    }

    #[cfg(feature = "fernet")]
    #[test]
    fn a_fernet_token_says_when_it_was_made() {
        use crate::key::fernet::{FernetKey, FernetKeys};
        let key = FernetKey::generate().unwrap();
        let keys = std::sync::Arc::new(FernetKeys::new(vec![key]).unwrap());
        let token = Sealer::fernet(keys).seal(b"{}", Typ::Jwt, NOW).unwrap();
        let outer = Outer::parse(&token).unwrap().unwrap();
        assert!(outer.text(NOW).contains("made    2023-11-14T22:13:20Z"), "{}", outer.text(NOW));
    }

    #[test]
    fn what_nobody_opens_here_is_named_and_nothing_reaches_a_terminal_raw() {
        let header = "{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\",\"kid\":\"\\u001b[2J\"}";
        let token = format!("{}.a.b.c.d", base64::text(header.as_bytes()));
        let text = Outer::parse(&token).unwrap().unwrap().text(NOW);
        assert!(text.contains("`alg` is `RSA-OAEP`, which is refused"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(Outer::parse("a.b.c").unwrap().is_none());
        for bad in ["", "a.b.c.d.e", "e30=.a.b.c.d", "AAAA.a.b.c.d", "W10.a.b.c.d"] {
            assert!(Outer::parse(bad).is_err(), "{bad}");
        }
    }
}
