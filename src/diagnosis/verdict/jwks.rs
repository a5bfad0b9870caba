//! A JWKS as go-jose reads it, which distribution 3 and zot do.
//!
//! Owns why an entry makes the whole file unreadable. Decision: a private half is looked at only as far as it
//! makes a program stumble, and is not kept.

use super::go;
use crate::ground::digest;
use crate::key::x509::X509;
use crate::key::{PublicKey, base64url};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A key that a program was given.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// One that can check a token.
    Key(PublicKey),
    /// It is read, and checks no token: what it is.
    Useless(&'static str),
    /// It is read there and not here: why.
    Unread(String),
}

/// An entry of a JWKS.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// `kid`; empty where there is none.
    pub(super) kid: String,
    /// Its key, whatever its `alg` and `use` say: no program looks at these.
    pub(super) held: Held,
    /// Whether it holds a private half, too.
    pub(super) private: bool,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The program does not read it.
    Refused(String),
    /// Whether it does cannot be told here.
    Unknown(String),
}

/// Every entry of a JWKS, or why a program does not take it.
pub(super) fn entries(json: &[u8]) -> Result<Vec<Entry>, Trouble> {
    let refused = |what: &str| Trouble::Refused(what.to_owned());
    let json = String::from_utf8_lossy(json);
    let members = go::members(&json).map_err(|error| Trouble::Refused(format!("not a JWKS: {error}")))?;
    let mut entries = Vec::new();
    for (_, keys) in members.iter().filter(|(name, _)| crate::ground::fold::folds_to(name, "keys")) {
        let list: Option<Vec<&RawValue>> =
            serde_json::from_str(keys.get()).map_err(|_| refused("`keys` is no list"))?;
        entries = list
            .unwrap_or_default()
            .into_iter()
            .map(|entry| Entry::read(entry.get()))
            .collect::<Result<_, _>>()?;
    }
    Ok(entries)
}

impl Entry {
    /// Reads one.
    pub(super) fn read(json: &str) -> Result<Entry, Trouble> {
        let members = go::members(json).map_err(|_| Trouble::Refused("an entry is no object".to_owned()))?;
        let get = |name: &str| {
            let value = members.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
            value.filter(|value| *value != "null")
        };
        let kid = get("kid").and_then(go::text).unwrap_or_default();
        let refused = |what: &str| Trouble::Refused(format!("the entry with the kid `{kid}` {what}"));
        if (1..members.len()).any(|at| members[..at].iter().any(|(name, _)| *name == members[at].0)) {
            return Err(refused("has a name twice"));
        }
        let text = |name: &str| match get(name) {
            None => Ok(String::new()),
            Some(value) => {
                go::text(value).ok_or_else(|| refused(&format!("has a `{name}` that is no string")))
            }
        };
        for name in ["use", "kid", "alg"] {
            text(name)?;
        }
        // A number in base64url; none where it is missing.
        let bytes = |name: &str| match get(name) {
            None => Ok(None),
            Some(_) => go::base64(text(name)?.as_bytes(), true, false)
                .map(Some)
                .ok_or_else(|| refused(&format!("has a `{name}` that is no base64url"))),
        };
        let mut numbers = Map::new();
        for name in ["k", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi"] {
            if let Some(bytes) = bytes(name)? {
                numbers.insert(name.to_owned(), base64url(&bytes).into());
            }
        }
        let has = |names: &[&str]| names.iter().all(|name| numbers.contains_key(*name));
        let length = |name: &str| bytes(name).ok().flatten().map_or(0, |bytes| bytes.len());
        let private = has(&["d"]);
        let (kty, crv) = (text("kty")?, text("crv")?);
        let field = match crv.as_str() {
            "P-256" => 32,
            "P-384" => 48,
            _ => 66,
        };
        let fits = match (kty.as_str(), crv.as_str()) {
            ("EC", "P-256" | "P-384" | "P-521") => {
                ["x", "y"].iter().all(|name| length(name) == field) && (!private || length("d") == field)
            }
            ("RSA", _) => has(&["n", "e"]) && (!private || has(&["p", "q"])),
            ("OKP", "Ed25519") => has(&["x"]),
            ("oct", _) => has(&["k"]),
            _ => return Err(refused("is of a kind that it does not know")),
        };
        if !fits {
            return Err(refused("lacks a number, or has one of another length"));
        }
        let mut public: Map<String, Value> = numbers;
        public.retain(|name, _| ["n", "e", "x", "y"].contains(&name.as_str()));
        public.insert("kty".to_owned(), kty.as_str().into());
        public.insert("crv".to_owned(), crv.as_str().into());
        let held = match PublicKey::from_jwk(&public.into()) {
            _ if kty == "oct" => Held::Useless("a shared secret"),
            Ok(key) => Held::Key(key),
            Err(_) if kty == "EC" && crv != "P-521" => return Err(refused("is no point of its curve")),
            Err(error) => Held::Unread(error.to_string()),
        };
        let unknown = |what: &str| Err(Trouble::Unknown(format!("the entry with the kid `{kid}` {what}")));
        if private && kty == "RSA" {
            return unknown("holds a private RSA key, whose numbers are not checked here");
        }
        let chain: Option<Vec<String>> = get("x5c")
            .map_or(Ok(None), |list| serde_json::from_str(list))
            .map_err(|_| refused("has an `x5c` that is no list of strings"))?;
        let mut leaf = None;
        for text in chain.iter().flatten() {
            let der = go::base64(text.as_bytes(), false, true);
            let Some((der, certificate)) =
                der.and_then(|der| X509::from_der(&der).ok().map(|read| (der, read)))
            else {
                return Err(refused("has an `x5c` that is no certificate"));
            };
            leaf.get_or_insert((der, certificate));
        }
        if let Some((_, certificate)) = &leaf {
            match (&held, certificate.key()) {
                (Held::Key(own), Ok(key)) if own.matches(key) => {}
                (Held::Unread(_), _) | (_, Err(_)) => {
                    return unknown("has an `x5c` for a key that is not known here");
                }
                _ => return Err(refused("has an `x5c` for another key")),
            }
        }
        for (name, length) in [("x5t", 20), ("x5t#S256", 32)] {
            let mut print = bytes(name)?.unwrap_or_default();
            if print.len() == 2 * length {
                let hex: Option<Vec<u8>> =
                    print.as_chunks::<2>().0.iter().map(|pair| hex_byte(*pair)).collect();
                print = hex.ok_or_else(|| refused(&format!("has an `{name}` that is no hash")))?;
            }
            let expected = leaf.as_ref().filter(|_| length == 32).map(|(der, _)| digest::sha256(der));
            if !print.is_empty() && (print.len() != length || expected.is_some_and(|hash| hash != *print)) {
                return Err(refused(&format!("has an `{name}` that does not fit")));
            }
            if length == 20 && !print.is_empty() && leaf.is_some() {
                return unknown("has both `x5c` and `x5t`, whose SHA-1 is not computed here");
            }
        }
        let url = text("x5u")?;
        if url.starts_with(':') || url.contains(|c: char| c.is_ascii_control()) {
            return Err(refused("has an `x5u` that is no URL"));
        }
        let plain = |url: &str| url.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/~".contains(&b));
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !url.is_empty() && !rest.is_some_and(plain) {
            return unknown("has an `x5u` whose form is not judged here");
        }
        Ok(Entry { kid, held, private })
    }
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
